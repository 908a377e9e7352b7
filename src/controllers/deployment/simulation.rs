//! Both controllers in a simulated cluster under random changes: bounds hold at every revision, everything
//! comes to rest where it should, and a seed replays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};

use super::fences::{desired, max_surge, max_unavailable};
use super::revision::desired_then;
use super::{Deployments, status};
use crate::api::kinds::versions::{Specified, Told};
use crate::api::{Kind, ObjectKey, Registry, kinds};
use crate::apiserver::{DeleteOptions, Face, Server, ServerConfig, ServiceRange, WriteOptions};
use crate::controllers::pods;
use crate::controllers::replica_set::ReplicaSets;
use crate::controllers::rollout;
use crate::reconcile::simulation::{Rest, Simulation};
use crate::reconcile::{Action, Context, Error, Loop, Notifier, Reconciler, Seen, Spawner, Wakes};
use crate::store::{Interest, Memory, Revision, Select, Snapshot, Stored};
use crate::world::Moment;

/// Plays the nodes: after a while a pod runs and is ready (unless its image is broken), after a while a deleted
/// one is gone.
#[derive(Default)]
struct Nodes {
    due: BTreeMap<(ObjectKey, bool), Moment>,
}

impl Nodes {
    fn is_done(pod: &Pod) -> bool {
        let broken = pod.spec.as_ref().is_some_and(|s| s.containers[0].image.as_deref() == Some("broken"));
        pods::is_ready(pod) || (broken && pods::phase(pod) == "Running")
    }
}

impl Reconciler for Nodes {
    type Key = ObjectKey;

    fn name(&self) -> &str {
        "nodes"
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        kinds.id_of::<Pod>().map(Interest::all).into_iter().collect()
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        wakes.wake(seen.key().clone());
    }

    fn reconcile(&mut self, cx: &mut Context<'_, ObjectKey>, key: &ObjectKey) -> Result<Action, Error> {
        let view = cx.view().clone();
        let Some(pod) = view.get::<Pod>(key) else { return Ok(Action::Done) };
        if !pod.is_deleting() && Nodes::is_done(&pod) {
            return Ok(Action::Done);
        }
        let now = cx.moment();
        let draw = cx.world().entropy.clone();
        let delay = || Duration::from_millis(draw.next() % 3000);
        let at = *self.due.entry((key.clone(), pod.is_deleting())).or_insert_with(|| now.after(delay()));
        if at > now {
            return Ok(Action::After(at.since(now)));
        }
        let options = WriteOptions::default();
        let mut changed = pod.shared().as_ref().clone();
        let server = cx.server().clone();
        let kind = pod.header().kind;
        if pod.is_deleting() {
            changed.metadata.finalizers = None;
            let refused = |cause| Error::Refused { step: "end".to_owned(), cause };
            server.update(kind, Face::Main, Box::new(changed), &options).map_err(refused)?;
            if server.get(kind, key).is_ok() {
                let at_once = DeleteOptions::default().of_uid(pod.uid()).grace(0);
                server.delete(kind, key, &at_once).map_err(refused)?;
            }
            return Ok(Action::Done);
        }
        let broken =
            changed.spec.as_ref().is_some_and(|s| s.containers[0].image.as_deref() == Some("broken"));
        let status = changed.status.get_or_insert_default();
        status.phase = Some("Running".to_owned());
        if !broken {
            let text = format!(
                "[{{type: Ready, status: 'True', lastTransitionTime: '{}'}}]",
                crate::api::meta::whole_seconds(cx.now())
            );
            status.conditions = Some(serde_yaml::from_str(&text).unwrap());
        }
        server
            .update(kind, Face::Status, Box::new(changed), &options)
            .map_err(|cause| Error::Refused { step: "run".to_owned(), cause })?;
        Ok(Action::Done)
    }
}

/// Holds every revision against the bounds.
#[derive(Default)]
struct Judge {
    deployment: Option<Arc<Deployment>>,
    pods: BTreeMap<ObjectKey, (bool, bool)>,
    holds_low: bool,
    holds_high: bool,
    log: Vec<(u64, String)>,
    seen: Revision,
}

impl Judge {
    fn counts(&self) -> (i32, i32) {
        let active = self.pods.values().filter(|(active, _)| *active).count() as i32;
        let available = self.pods.values().filter(|(active, ready)| *active && *ready).count() as i32;
        (active, available)
    }

    fn bounds(&self) -> (i32, i32) {
        let deployment = self.deployment.as_ref().unwrap();
        let desired = desired(deployment);
        (desired - max_unavailable(deployment), desired + max_surge(deployment))
    }

    /// Sees all changes since the last time.
    fn look(&mut self, cluster: &Cluster) {
        let mut changes = Vec::new();
        cluster.server.store().since(self.seen, |change| changes.push(change.clone())).unwrap();
        let kinds = cluster.server.registry();
        for change in changes {
            self.seen = change.revision;
            self.log.push((change.revision.0, change.new.header.key.to_string()));
            let key = change.new.header.key.clone();
            if change.new.header.kind == kinds.id_of::<Deployment>().unwrap() {
                let new: Arc<Deployment> = Arc::new(change.new.decode());
                if self.deployment.as_ref().is_some_and(|old| desired(old) != desired(&new)) {
                    (self.holds_low, self.holds_high) = (false, false);
                }
                self.deployment = Some(new);
            } else if change.new.header.kind == kinds.id_of::<Pod>().unwrap() {
                let pod: Pod = change.new.decode();
                if change.deleted {
                    self.pods.remove(&key);
                } else {
                    self.pods.insert(key.clone(), (pods::is_active(&pod), pods::is_ready(&pod)));
                }
            }
            if self.deployment.is_some() {
                let ((active, available), (low, high)) = (self.counts(), self.bounds());
                let at = change.revision;
                assert!(!self.holds_low || available >= low, "{available} available of {low} at {at} {key}");
                assert!(!self.holds_high || active <= high, "{active} pods, {high} allowed at {at} {key}");
            }
        }
    }

    /// From here on the bounds hold, if they do and nothing is on its way from an older size.
    fn arm(&mut self, view: &Snapshot) {
        let deployment = self.deployment.clone().unwrap();
        let mut sets = view.list::<ReplicaSet>(Select::All);
        let settled = sets.all(|set| {
            let observed = set.status.as_ref().and_then(|status| status.observed_generation);
            let size = set.spec().unwrap().replicas.unwrap();
            observed == set.metadata.generation
                && (size == 0 || desired_then(&set) == Some(desired(&deployment)))
        });
        if settled {
            let ((active, available), (low, high)) = (self.counts(), self.bounds());
            self.holds_low |= available >= low;
            self.holds_high |= active <= high;
        }
    }
}

struct Cluster {
    simulation: Arc<Simulation>,
    server: Arc<Server>,
    deployments: Notifier<ObjectKey>,
    sets: Notifier<ObjectKey>,
}

const DEPLOYMENT: &str = "
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  revisionHistoryLimit: 3
  progressDeadlineSeconds: 600
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}
  template:
    metadata: {labels: {app: web}, finalizers: [test/hold]}
    spec: {containers: [{name: web, image: one}]}
";

impl Cluster {
    fn new(seed: u64) -> Cluster {
        let simulation = Simulation::new(seed);
        let world = simulation.world().clone();
        let server = Server::open(ServerConfig {
            registry: Arc::new(kinds::builtin()),
            backend: Arc::new(Memory::new()),
            world: world.clone(),
            admission: Vec::new(),
            services: ServiceRange::default(),
        });
        let spawner: Arc<dyn Spawner> = simulation.clone();
        let deployments = Loop::start(Deployments::new(), &server, &world, &spawner);
        let sets = Loop::start(ReplicaSets::new(), &server, &world, &spawner);
        Loop::start(Nodes::default(), &server, &world, &spawner);
        let cluster = Cluster { simulation, server, deployments, sets };
        cluster.create::<Namespace>("{metadata: {name: shop}}");
        cluster
    }

    fn create<K: Kind>(&self, yaml: &str) -> Stored<K> {
        let object: K = serde_yaml::from_str(yaml).unwrap();
        let kind = self.server.registry().id_of::<K>().unwrap();
        Stored::new(self.server.create(kind, Box::new(object), &WriteOptions::default()).unwrap())
    }

    fn key() -> ObjectKey {
        ObjectKey::new("shop", "web")
    }

    fn deployment(&self) -> Arc<Deployment> {
        self.server.store().snapshot().get::<Deployment>(&Cluster::key()).unwrap().shared()
    }

    fn edit(&self, edit: impl FnOnce(&mut Deployment)) {
        let mut deployment = self.deployment().as_ref().clone();
        edit(&mut deployment);
        let kind = self.server.registry().id_of::<Deployment>().unwrap();
        let options = WriteOptions::default();
        self.server.update(kind, Face::Main, Box::new(deployment), &options).unwrap();
    }

    fn set_image(&self, image: &str) {
        self.edit(|it| {
            it.spec_mut().template.spec.as_mut().unwrap().containers[0].image = Some(image.into())
        });
    }

    fn draw(&self, choices: u64) -> u64 {
        self.simulation.draw() % choices
    }

    /// Does something that a user might do.
    fn meddle(&self) {
        match self.draw(10) {
            0..=2 => self.set_image(["one", "two", "three", "four"][self.draw(4) as usize]),
            3 => self.set_image("broken"),
            4 | 5 => {
                let replicas = self.draw(7) as i32;
                self.edit(|it| it.spec_mut().replicas = Some(replicas));
            }
            6 => drop(rollout::undo(&self.server, &Cluster::key(), None)),
            7 => drop(rollout::pause(&self.server, &Cluster::key())),
            8 => drop(rollout::resume(&self.server, &Cluster::key())),
            _ => drop(rollout::restart(&self.server, &Cluster::key())),
        }
    }

    /// Brings everything to rest on a good template, and looks whether all is as it should be.
    fn finish(&self, judge: &mut Judge) {
        let replicas = 1 + self.draw(5) as i32;
        self.edit(|it| {
            let spec = it.spec_mut();
            spec.paused = None;
            spec.replicas = Some(replicas);
        });
        self.set_image("last");
        self.simulation.run_for(Duration::from_secs(3600));
        judge.look(self);
        assert_eq!(self.simulation.settle(), Rest::Quiet);
        let view = self.server.store().snapshot();
        let deployment = self.deployment();
        assert!(rollout::status(&deployment).is_done(), "{}", rollout::status(&deployment));
        let told = deployment.status.clone().unwrap();
        assert!(status::is_complete(&deployment, &told), "{told:?}");
        assert_eq!(told.terminating_replicas, Some(0));
        let conditions: Vec<_> =
            told.conditions.iter().flatten().map(|c| (c.type_name(), c.reason.as_deref().unwrap())).collect();
        assert!(conditions.contains(&("Progressing", "NewReplicaSetAvailable")), "{conditions:?}");
        assert!(conditions.contains(&("Available", "MinimumReplicasAvailable")), "{conditions:?}");
        assert_eq!(judge.counts(), (replicas, replicas));
        assert_eq!(judge.pods.len(), replicas as usize);
        let sets: Vec<_> = view.list::<ReplicaSet>(Select::All).collect();
        let size = |set: &Stored<ReplicaSet>| set.spec().unwrap().replicas.unwrap();
        assert_eq!(sets.iter().map(size).filter(|size| *size > 0).collect::<Vec<_>>(), [replicas]);
        assert!(sets.len() <= 4, "{} sets are kept", sets.len());
        // Asked again, nobody has anything to do.
        let before = view.revision();
        self.deployments.notify(Cluster::key());
        for set in &sets {
            self.sets.notify(set.key().clone());
        }
        assert_eq!(self.simulation.settle(), Rest::Quiet);
        assert_eq!(self.server.store().revision(), before);
        self.server.store().check().unwrap();
    }
}

/// One run; answers every revision with its key.
fn run(seed: u64) -> Vec<(u64, String)> {
    let cluster = Cluster::new(seed);
    let mut judge = Judge::default();
    let surge = cluster.draw(3);
    let unavailable = cluster.draw(3);
    // Both must not be zero, but may round to it.
    let none = if surge == 0 { "'1%'" } else { "0" };
    let mut yaml = DEPLOYMENT.to_owned();
    yaml = yaml.replace("maxSurge: 1", &format!("maxSurge: {}", ["0", "2", "'40%'"][surge as usize]));
    yaml = yaml.replace(
        "maxUnavailable: 1",
        &format!("maxUnavailable: {}", [none, "1", "'40%'"][unavailable as usize]),
    );
    if cluster.draw(4) == 0 {
        yaml.push_str("  minReadySeconds: 5\n");
    }
    cluster.create::<Deployment>(&yaml);
    judge.look(&cluster);
    for _ in 0..3 + cluster.draw(6) {
        cluster.simulation.run_for(Duration::from_millis(cluster.draw(9000)));
        judge.look(&cluster);
        judge.arm(&cluster.server.store().snapshot());
        cluster.meddle();
    }
    cluster.finish(&mut judge);
    judge.log
}

/// How many seeds run: `CORACLE_SEEDS`, or a few.
fn seeds() -> u64 {
    std::env::var("CORACLE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(24)
}

/// Runs every fourth seed from `part` on, each twice.
fn replay(part: u64) {
    for seed in (part..seeds()).step_by(4) {
        let found = std::panic::catch_unwind(|| {
            let (first, second) = (run(seed), run(seed));
            assert_eq!(first.last(), second.last());
            assert!(first == second, "two runs of one seed differ");
        });
        assert!(found.is_ok(), "seed {seed}");
    }
}

// In parts, which run side by side.

#[test]
fn rollouts_keep_their_bounds_come_to_rest_and_replay_1() {
    replay(0);
}

#[test]
fn rollouts_keep_their_bounds_come_to_rest_and_replay_2() {
    replay(1);
}

#[test]
fn rollouts_keep_their_bounds_come_to_rest_and_replay_3() {
    replay(2);
}

#[test]
fn rollouts_keep_their_bounds_come_to_rest_and_replay_4() {
    replay(3);
}
