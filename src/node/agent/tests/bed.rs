//! A bed for scenes: a door over memory, one hollow node, the simulated driver.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, Event, Namespace, Pod};
use serde_json::{Value, json};

use crate::api::{Kind, ObjectKey};
use crate::apiserver::{DeleteOptions, Server, ServerConfig, ServiceRange, WriteOptions};
use crate::node::agent::NodeConfig;
use crate::node::agent::hollow::{self, HollowNetwork};
use crate::node::agent::seams::StaticPods;
use crate::node::network::PodNetwork;
use crate::node::runtime::Runtime;
use crate::node::runtime::fake::{Behaviour, FakeRuntime, Script};
use crate::reconcile::Spawner;
use crate::reconcile::simulation::Simulation;
use crate::store::{Memory, Revision, Select};

pub struct Bed {
    pub sim: Arc<Simulation>,
    pub server: Arc<Server>,
    pub runtime: Arc<FakeRuntime>,
    pub network: Arc<HollowNetwork>,
    pub config: NodeConfig,
    history: RefCell<(Revision, Vec<String>)>,
}

/// Behaviours by the container's first argument: `exit:SECONDS:CODE`, `deaf`, `bad`, `missing`, `sick`, `oom`.
pub fn script() -> Script {
    Box::new(|spec| {
        let mut behaviour = Behaviour::default();
        for word in &spec.command {
            let parts: Vec<&str> = word.split(':').collect();
            match parts.as_slice() {
                ["exit", after, code] => {
                    let after = Duration::from_secs(after.parse().unwrap());
                    behaviour.exit = Some((after, code.parse().unwrap()));
                }
                ["deaf"] => behaviour.ignores_signals = true,
                ["bad"] => behaviour.not_made = Some("no such user".to_owned()),
                ["missing"] => behaviour.not_run = Some("no such file or directory".to_owned()),
                ["sick"] => behaviour.exec_code = 1,
                ["oom"] => behaviour.oom_killed = true,
                ["says", message] => behaviour.message = (*message).to_owned(),
                _ => {}
            }
        }
        behaviour
    })
}

impl Bed {
    pub fn new(seed: u64) -> Bed {
        Bed::made(seed, None, |_| {})
    }

    fn made(seed: u64, statics: Option<Arc<dyn StaticPods>>, configure: impl FnOnce(&mut NodeConfig)) -> Bed {
        let sim = Simulation::new(seed);
        let world = sim.world().clone();
        let server = Server::open(ServerConfig {
            registry: Arc::new(crate::api::kinds::builtin()),
            backend: Arc::new(Memory::new()),
            world: world.clone(),
            admission: Vec::new(),
            services: ServiceRange::default(),
        });
        let mut config = NodeConfig::new("n");
        config.ips = vec!["192.168.0.1".parse().unwrap()];
        config.pods = 30;
        configure(&mut config);
        let runtime = Arc::new(FakeRuntime::scripted(world.clone(), script()));
        let network = Arc::new(HollowNetwork::new("10.0.0.1".parse().unwrap(), 200));
        Bed::start_agent(&sim, &server, &runtime, &network, &config, statics);
        let history = RefCell::default();
        let bed = Bed { sim, server, runtime, network, config, history };
        for name in ["d", "kube-node-lease"] {
            bed.create::<Namespace>(json!({"metadata": {"name": name}}));
        }
        bed
    }

    fn start_agent(
        sim: &Arc<Simulation>,
        server: &Arc<Server>,
        runtime: &Arc<FakeRuntime>,
        network: &Arc<HollowNetwork>,
        config: &NodeConfig,
        statics: Option<Arc<dyn StaticPods>>,
    ) {
        let spawner: Arc<dyn Spawner> = sim.clone();
        let network: Arc<dyn PodNetwork> = network.clone();
        let (world, runtime) = (sim.world(), runtime.clone());
        hollow::start_with(config.clone(), runtime, network, statics, server, world, &spawner);
    }

    /// A bed whose node has pods of its own.
    pub fn with_statics(seed: u64, statics: Arc<dyn StaticPods>) -> Bed {
        Bed::made(seed, Some(statics), |_| {})
    }

    /// The agent's program ends without a word, and another one begins over the same store and runtime.
    pub fn restart(self, seed: u64) -> Bed {
        let sim = Simulation::new(seed);
        Bed::start_agent(&sim, &self.server, &self.runtime, &self.network, &self.config, None);
        Bed { sim, ..self }
    }

    pub fn create<K: Kind>(&self, value: Value) {
        let object: K = serde_json::from_value(value).unwrap();
        let kind = self.server.registry().id_of::<K>().unwrap();
        self.server.create(kind, Box::new(object), &WriteOptions::default()).unwrap();
    }

    /// A pod of one container, or as `spec` says, bound to the node.
    pub fn pod(&self, name: &str, mut spec: Value) {
        spec["nodeName"] = json!("n");
        self.create::<Pod>(json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec}));
    }

    pub fn delete(&self, name: &str, grace: i64) {
        let kind = self.server.registry().id_of::<Pod>().unwrap();
        let options = DeleteOptions::default().grace(grace);
        let _ = self.server.delete(kind, &ObjectKey::new("d", name), &options);
    }

    pub fn get(&self, name: &str) -> Option<Pod> {
        let snapshot = self.server.store().snapshot();
        snapshot.get::<Pod>(&ObjectKey::new("d", name)).map(|pod| (*pod).clone())
    }

    pub fn phase(&self, name: &str) -> String {
        self.get(name).and_then(|pod| pod.status?.phase).unwrap_or_default()
    }

    pub fn is_ready(&self, name: &str) -> bool {
        let conditions = self.get(name).and_then(|pod| pod.status?.conditions).unwrap_or_default();
        conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
    }

    pub fn run_for(&self, seconds: u64) {
        self.sim.run_for(Duration::from_secs(seconds));
    }

    pub fn until(&self, seconds: u64, done: impl FnMut() -> bool) {
        assert!(self.sim.run_until(Duration::from_secs(seconds), done), "{}", self.trace());
    }

    /// Every state of every pod that was written, one a line. The log forgets: look now and then.
    pub fn trace(&self) -> String {
        let kind = self.server.registry().id_of::<Pod>().unwrap();
        let (seen, lines) = &mut *self.history.borrow_mut();
        let lost = self.server.store().since(*seen, |change| {
            *seen = change.revision;
            if change.new.header.kind == kind {
                let pod: Pod = change.new.decode();
                lines.push(if change.deleted {
                    format!("{} deleted", change.new.header.key.name())
                } else {
                    line(&pod)
                });
            }
        });
        if lost.is_err() {
            *seen = self.server.store().revision();
            lines.push("... the log forgot".to_owned());
        }
        lines.join("\n")
    }

    /// Every event, as `reason message (count)`.
    pub fn events(&self) -> Vec<String> {
        let snapshot = self.server.store().snapshot();
        let mut events: Vec<Event> =
            snapshot.list::<Event>(Select::Namespace("d")).map(|event| (*event).clone()).collect();
        events.sort_by_key(|event| event.metadata.creation_timestamp.as_ref().map(|at| at.0));
        events
            .iter()
            .map(|event| {
                format!(
                    "{} {}",
                    event.reason.as_deref().unwrap_or_default(),
                    event.message.as_deref().unwrap_or_default()
                )
            })
            .collect()
    }

    fn shows_what_runs(&self, pod: &Pod) -> bool {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let live = self.runtime.running().iter().filter(|(sandbox, _)| sandbox.0 == uid).count();
        let status = pod.status.clone().unwrap_or_default();
        let shown = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
        let shown = shown.filter(|c| c.state.as_ref().is_some_and(|state| state.running.is_some())).count();
        live == shown
    }

    /// What must hold when nothing is under way.
    pub fn check(&self) {
        let snapshot = self.server.store().snapshot();
        let pods: Vec<Pod> = snapshot.list::<Pod>(Select::All).map(|pod| (*pod).clone()).collect();
        let uids: Vec<String> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        for (sandbox, containers) in self.runtime.list().unwrap() {
            assert!(
                uids.contains(&sandbox.0),
                "sandbox {sandbox:?} has no pod: {containers:?}\n{}",
                self.trace()
            );
        }
        for uid in self.network.attached() {
            assert!(uids.contains(&uid), "address of {uid} has no pod\n{}", self.trace());
        }
        for pod in &pods {
            assert!(pod.metadata.deletion_timestamp.is_none(), "{} still ends\n{}", line(pod), self.trace());
        }
        // A crash loop is always on its way to somewhere: it must come to show what is there.
        let shows =
            || self.server.store().snapshot().list::<Pod>(Select::All).all(|pod| self.shows_what_runs(&pod));
        assert!(self.sim.run_until(Duration::from_secs(120), shows), "{}", self.trace());
        self.server.store().check().unwrap();
    }
}

fn state(state: Option<&ContainerState>) -> String {
    let Some(state) = state else { return "-".to_owned() };
    if let Some(waiting) = &state.waiting {
        return waiting.reason.clone().unwrap_or_default();
    }
    if let Some(ended) = &state.terminated {
        return format!("{}({})", ended.reason.clone().unwrap_or_default(), ended.exit_code);
    }
    if state.running.is_some() { "Running".to_owned() } else { "-".to_owned() }
}

/// A pod on one line: phase, readiness, containers with restarts.
pub fn line(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let containers: Vec<String> = all
        .map(|c| {
            let last = state(c.last_state.as_ref());
            let last = if last == "-" { String::new() } else { format!("<{last}") };
            let restarts = if c.restart_count > 0 { format!("+{}", c.restart_count) } else { String::new() };
            format!("{}={}{last}{restarts}", c.name, state(c.state.as_ref()))
        })
        .collect();
    let mut text = pod.metadata.name.clone().unwrap_or_default();
    text.push(' ');
    text.push_str(status.phase.as_deref().unwrap_or("-"));
    if let Some(reason) = &status.reason {
        text.push_str(&format!("/{reason}"));
    }
    if ready {
        text.push_str(" ready");
    }
    if pod.metadata.deletion_timestamp.is_some() {
        text.push_str(" ending");
    }
    for container in containers {
        text.push(' ');
        text.push_str(&container);
    }
    text
}
