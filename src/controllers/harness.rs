//! A small simulated cluster for the tests of controllers and scheduler: the door, the simulated driver, and a
//! stand-in for nodes that run pods.
//!
//! Owns no rule of Kubernetes. Invariant: everything it does is drawn from the seed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition, PodIP};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::api::{Kind, KindId, ObjectKey, Registry, StatusError};
use crate::apiserver::{DeleteOptions, Face, Server, ServerConfig, ServiceRange, WriteOptions};
use crate::reconcile::simulation::{Rest, Simulation};
use crate::reconcile::{Action, Context, Error, Loop, Plan, Reconciler, Seen, Wakes};
use crate::store::{Follower, Interest, Memory, Revision, Select, Snapshot, Stored, Wake};

/// The cluster.
pub(crate) struct Harness {
    pub server: Arc<Server>,
    pub simulation: Arc<Simulation>,
    follower: Follower,
    /// Everything that happened, one line a change.
    pub history: Vec<String>,
}

struct Deaf;

impl Wake for Deaf {
    fn wake(&self) {}
}

impl Harness {
    /// An empty cluster.
    pub fn new(seed: u64) -> Harness {
        let simulation = Simulation::new(seed);
        let server = Server::open(ServerConfig {
            registry: Arc::new(crate::api::kinds::builtin()),
            backend: Arc::new(Memory::new()),
            world: simulation.world().clone(),
            admission: Vec::new(),
            services: ServiceRange::default(),
        });
        let interests = vec![Interest::everything()];
        let follower = server.store().follow(interests, Revision(0), Arc::new(Deaf)).expect("a new log");
        Harness { server, simulation, follower, history: Vec::new() }
    }

    /// Starts a reconciler.
    pub fn start<R: Reconciler>(&self, reconciler: R) {
        let spawner: Arc<dyn crate::reconcile::Spawner> = self.simulation.clone();
        Loop::start(reconciler, &self.server, self.simulation.world(), &spawner);
    }

    /// The state.
    pub fn view(&self) -> Snapshot {
        self.server.store().snapshot()
    }

    pub fn kind(&self, value: &Value) -> KindId {
        let text = |key: &str| value[key].as_str().unwrap_or_default();
        self.server.registry().find(text("apiVersion"), text("kind")).expect("a known kind")
    }

    /// Creates an object.
    pub fn create(&self, value: Value) -> Result<Arc<crate::store::Record>, StatusError> {
        let kind = self.kind(&value);
        let object = self.server.registry().strategy(kind).decode_value(value).expect("an object");
        self.server.create(kind, object, &WriteOptions::default())
    }

    /// Changes an object, without regard to its revision.
    pub fn change<K: Kind>(&self, key: &ObjectKey, face: Face, change: impl FnOnce(&mut K)) {
        let Some(stored) = self.view().get::<K>(key) else { return };
        let mut object = K::clone(&stored);
        change(&mut object);
        object.metadata_mut().resource_version = None;
        let kind = self.server.registry().id_of::<K>().expect("a known kind");
        self.server.update(kind, face, Box::new(object), &WriteOptions::default()).expect("a change");
    }

    /// Deletes an object, if it is there.
    pub fn delete<K: Kind>(&self, key: &ObjectKey, options: &DeleteOptions) {
        let kind = self.server.registry().id_of::<K>().expect("a known kind");
        match self.server.delete(kind, key, options) {
            Err(error) if !error.is_not_found() => panic!("{error}"),
            _ => {}
        }
    }

    /// Lets everything run that is ready now.
    pub fn settle(&mut self) -> Rest {
        let rest = self.simulation.settle();
        self.note();
        rest
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.simulation.run_for(time);
        self.note();
    }

    fn note(&mut self) {
        let mut changes = Vec::new();
        while self.follower.read(&mut changes).expect("the log is long enough") {}
        let lines = changes.iter().map(|change| {
            let header = &change.new.header;
            let body =
                if change.deleted { "gone".into() } else { String::from_utf8_lossy(change.new.body()) };
            format!("{} {:?} {} {body}", change.revision, header.kind, header.key)
        });
        self.history.extend(lines);
    }

    /// The objects of a kind.
    pub fn list<K: Kind>(&self) -> Vec<Stored<K>> {
        self.view().list::<K>(Select::All).collect()
    }
}

/// A namespace.
pub(crate) fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A ready node of this size.
pub(crate) fn node(name: &str, cpu: u64, pods: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {
            "allocatable": {"cpu": cpu.to_string(), "memory": "8Gi", "pods": pods.to_string()},
            "capacity": {"cpu": cpu.to_string(), "memory": "8Gi", "pods": pods.to_string()},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// A pod with one container that asks for so much cpu.
pub(crate) fn pod(namespace: &str, name: &str, millis: u64) -> Value {
    let requests = json!({"cpu": format!("{millis}m")});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}]},
    })
}

/// Runs pods and renews leases on every node that is not in the list of the dead: a stand-in for node agents.
pub(crate) struct Agents {
    pub dead: Arc<Mutex<BTreeSet<String>>>,
}

/// What [`Agents`] works on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Concern {
    Node(String),
    Pod(ObjectKey),
}

impl Agents {
    fn beat(&self, cx: &mut Context<'_, Concern>, name: &str) -> Result<Action, Error> {
        let node = cx.view().get::<Node>(&ObjectKey::new("", name));
        if node.is_none() || !self.dead.lock().contains(name) {
            // What was not done while it was away.
            let notifier = cx.notifier();
            for pod in cx.view().list::<Pod>(Select::Term("spec.nodeName", name)) {
                if node.is_none() || pod.is_deleting() || pod.header().term("status.phase") == Some("Pending")
                {
                    notifier.notify(Concern::Pod(pod.key().clone()));
                }
            }
        }
        let Some(node) = node else { return Ok(Action::Done) };
        if self.dead.lock().contains(name) {
            return Ok(Action::After(Duration::from_secs(10)));
        }
        let mut plan = Plan::new();
        let key = ObjectKey::new("kube-node-lease", name);
        let now = Some(MicroTime(cx.now()));
        match cx.view().get::<Lease>(&key) {
            Some(lease) => {
                let mut lease = Lease::clone(&lease);
                lease.spec.get_or_insert_default().renew_time = now;
                plan.update(lease);
            }
            None => {
                let mut lease = Lease::default();
                lease.metadata.name = Some(name.to_owned());
                lease.metadata.namespace = Some("kube-node-lease".to_owned());
                lease.spec.get_or_insert_default().renew_time = now;
                plan.create(lease);
            }
        }
        let ready = |node: &Node| {
            let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|list| list.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        };
        if !ready(&node) {
            let mut node = Node::clone(&node);
            for condition in node.status.get_or_insert_default().conditions.iter_mut().flatten() {
                condition.status = if condition.type_ == "Ready" { "True" } else { "False" }.to_owned();
                condition.last_heartbeat_time = Some(Time(crate::api::meta::whole_seconds(cx.now())));
            }
            plan.update_status(node);
        }
        plan.look_again(Duration::from_secs(10));
        cx.apply(plan)
    }

    fn run(&self, cx: &mut Context<'_, Concern>, key: &ObjectKey) -> Result<Action, Error> {
        let Some(pod) = cx.view().get::<Pod>(key) else { return Ok(Action::Done) };
        let on = pod.header().term("spec.nodeName").unwrap_or_default().to_owned();
        let there = cx.view().get::<Node>(&ObjectKey::new("", &on)).is_some();
        if on.is_empty() || there && self.dead.lock().contains(&on) {
            return Ok(Action::Done);
        }
        let mut plan = Plan::new();
        // Pods of nodes that are gone are cleaned up as well, as upstream's pod collector does.
        if pod.is_deleting() || !there {
            let options = DeleteOptions::default().of_uid(pod.uid()).grace(0);
            plan.delete_with::<Pod>(key, options);
            return cx.apply(plan);
        }
        let status = pod.status.clone().unwrap_or_default();
        if status.phase.as_deref() == Some("Pending") {
            let mut pod = Pod::clone(&pod);
            let ip = format!("10.1.{}.{}", cx.world().entropy.next() % 250, cx.world().entropy.next() % 250);
            let status = pod.status.get_or_insert_default();
            status.phase = Some("Running".to_owned());
            status.pod_ip = Some(ip.clone());
            status.pod_ips = Some(vec![PodIP { ip }]);
            status.conditions.get_or_insert_default().push(PodCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(Time(crate::api::meta::whole_seconds(cx.now()))),
                ..PodCondition::default()
            });
            plan.update_status(pod);
        }
        cx.apply(plan)
    }
}

impl Reconciler for Agents {
    type Key = Concern;

    fn name(&self) -> &str {
        "agents"
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        [kinds.id_of::<Node>(), kinds.id_of::<Pod>()].into_iter().flatten().map(Interest::all).collect()
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        if seen.is::<Node>() {
            if seen.change().old.is_none() || seen.deleted() {
                wakes.wake(Concern::Node(seen.key().name().to_owned()));
            }
        } else {
            wakes.wake(Concern::Pod(seen.key().clone()));
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Concern>, concern: &Concern) -> Result<Action, Error> {
        match concern {
            Concern::Node(name) => self.beat(cx, name),
            Concern::Pod(key) => self.run(cx, key),
        }
    }
}
