//! Whole clusters in simulated time: for tests of ours and of our users.
//!
//! [`SimulatedCluster`] is the door, every controller, the scheduler and hollow nodes with the real agent, on one
//! thread, in an order drawn from a seed, on a clock that jumps. It keeps a log of everything that was written, can
//! lose nodes and bring them back, and can say whether all is as it must be at rest. Owns no rule of Kubernetes
//! but those that it checks.
//!
//! Invariant: two clusters made from the same [`Scenario`] and used in the same way have the same log.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use coracle::testing::Scenario;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut cluster = Scenario::new(7).nodes(2).start()?;
//! cluster.client().apply_manifest(
//!     "{apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: a, image: a}]}}",
//! )?;
//! cluster.run_for(Duration::from_secs(120))?;
//! assert_eq!(cluster.check_rest(), Vec::<String>::new());
//! # Ok(())
//! # }
//! ```

mod gate;
mod rest;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{ObjectKey, Registry, kinds};
use crate::apiserver::{Server, ServerConfig, ServiceRange};
use crate::client::Client;
use crate::cluster::{StartError, hollow_network, start_control_plane, start_hollow_node, write_namespaces};
use crate::reconcile::simulation::{Rest, Simulation};
use crate::reconcile::{Loop, Reconciler, Spawner};
use crate::store::{Change, Follower, Gone, Interest, Memory, Revision, Wake};
use gate::Gate;

pub use crate::reconcile::simulation::StillClock;

/// How long time passes at most between two looks at the store's log, which keeps five minutes.
const LOOK: Duration = Duration::from_secs(60);

/// What a simulated cluster is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    seed: u64,
    nodes: usize,
}

impl Scenario {
    /// A cluster without nodes that draws everything from `seed`.
    pub fn new(seed: u64) -> Scenario {
        Scenario { seed, nodes: 0 }
    }

    /// Gives it so many hollow nodes: `hollow-0`, …
    pub fn nodes(mut self, count: usize) -> Scenario {
        self.nodes = count;
        self
    }

    /// Starts the cluster. No time passes yet: nodes register when it does.
    ///
    /// # Errors
    /// The door refused one of the cluster's own objects.
    pub fn start(self) -> Result<SimulatedCluster, StartError> {
        let simulation = Simulation::new(self.seed);
        let world = simulation.world().clone();
        let registry: Arc<Registry> = Arc::new(kinds::builtin());
        let server = Server::open(ServerConfig {
            registry: registry.clone(),
            backend: Arc::new(Memory::new()),
            world: world.clone(),
            admission: Vec::new(),
            services: ServiceRange::default(),
        });
        let interests = vec![Interest::everything()];
        let follower = server.store().follow(interests, Revision(0), Arc::new(Deaf));
        let follower = follower.map_err(|gone| StartError::NotReady(gone.to_string()))?;
        write_namespaces(&server)?;
        let spawner: Arc<dyn Spawner> = simulation.clone();
        start_control_plane(None, &server, &world, &spawner);
        let network = hollow_network();
        let mut nodes = BTreeMap::new();
        for number in 0..self.nodes {
            let name = format!("hollow-{number}");
            let gate = Gate::new(spawner.clone());
            let gated: Arc<dyn Spawner> = gate.clone();
            start_hollow_node(&name, &network, &server, &world, &gated);
            nodes.insert(name, gate);
        }
        Ok(SimulatedCluster { simulation, server, nodes, follower, log: Vec::new() })
    }
}

/// What a line of the log tells of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is new.
    Created,
    /// It is different.
    Changed,
    /// It is gone.
    Deleted,
}

/// One write.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Its revision.
    pub revision: Revision,
    /// The kind of the object.
    pub kind: String,
    /// The object.
    pub key: ObjectKey,
    /// What became of it.
    pub verb: Verb,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} {}", self.revision, self.verb, self.kind, self.key)
    }
}

/// Nobody waits for the log: it is read between the steps of the simulation.
struct Deaf;

impl Wake for Deaf {
    fn wake(&self) {}
}

/// A whole cluster in simulated time.
pub struct SimulatedCluster {
    simulation: Arc<Simulation>,
    server: Arc<Server>,
    nodes: BTreeMap<String, Arc<Gate>>,
    follower: Follower,
    log: Vec<Line>,
}

impl SimulatedCluster {
    /// A client of the cluster. What it writes takes no simulated time.
    pub fn client(&self) -> Client {
        Client::local(self.server.clone())
    }

    /// The door.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The driver, with the clock and the chance of the cluster.
    pub fn simulation(&self) -> &Arc<Simulation> {
        &self.simulation
    }

    /// Runs a reconciler of the caller's own beside the built-in ones.
    pub fn add<R: Reconciler>(&self, reconciler: R) {
        let spawner: Arc<dyn Spawner> = self.simulation.clone();
        Loop::start(reconciler, &self.server, self.simulation.world(), &spawner);
    }

    /// The names of the nodes, lost ones too.
    pub fn nodes(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Cuts a node off: its agent stands still, its lease is not renewed. What it runs goes on running. Answers
    /// whether there is such a node.
    pub fn lose_node(&self, name: &str) -> bool {
        self.nodes.get(name).inspect(|gate| gate.close()).is_some()
    }

    /// Brings a lost node back: its agent goes on where it stood. Answers whether there is such a node.
    pub fn return_node(&self, name: &str) -> bool {
        self.nodes.get(name).inspect(|gate| gate.open()).is_some()
    }

    /// Whether the node is cut off.
    pub fn is_lost(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(|gate| !gate.is_open())
    }

    /// Does everything that is ready at the present moment.
    ///
    /// # Errors
    /// More was written than the store's log holds.
    pub fn settle(&mut self) -> Result<Rest, Gone> {
        let rest = self.simulation.settle();
        self.look(|_| {})?;
        Ok(rest)
    }

    /// Lets time pass, doing everything that falls due.
    ///
    /// # Errors
    /// More was written within a minute than the store's log holds.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Gone> {
        self.run_watching(time, |_| {})
    }

    /// The same, showing each write in its order. Writes are shown some time after they were made.
    ///
    /// # Errors
    /// As [`SimulatedCluster::run_for`].
    pub fn run_watching(&mut self, time: Duration, mut each: impl FnMut(&Change)) -> Result<(), Gone> {
        let mut left = time;
        self.look(&mut each)?;
        while !left.is_zero() {
            let piece = left.min(LOOK);
            self.simulation.run_for(piece);
            self.look(&mut each)?;
            left -= piece;
        }
        Ok(())
    }

    fn look(&mut self, mut each: impl FnMut(&Change)) -> Result<(), Gone> {
        let mut more = true;
        while more {
            let mut changes = Vec::new();
            more = self.follower.read(&mut changes)?;
            for change in &changes {
                let header = &change.new.header;
                let verb = match (change.deleted, &change.old) {
                    (true, _) => Verb::Deleted,
                    (false, None) => Verb::Created,
                    (false, Some(_)) => Verb::Changed,
                };
                let kind = self.server.registry().strategy(header.kind).info().kind.clone();
                self.log.push(Line { revision: change.revision, kind, key: header.key.clone(), verb });
                each(change);
            }
        }
        Ok(())
    }

    /// Everything that was written so far, as far as time has passed since.
    pub fn log(&self) -> &[Line] {
        &self.log
    }

    /// What is not as it must be when nothing is asked of the cluster any more: one sentence each.
    pub fn check_rest(&self) -> Vec<String> {
        rest::check(&self.server.store().snapshot(), self.server.store())
    }
}

impl fmt::Debug for SimulatedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedCluster({:?}, {:?})", self.server, self.simulation)
    }
}
