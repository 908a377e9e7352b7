//! Tables: a ReplicaSet with its pods in short words, and what the plan makes of them.
//!
//! First line: `SIZE` and what else is particular. Then a pod a line: `NAME`, and what it is like; running, ready
//! for 1000 s and owned by the set unless said otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};

use super::ReplicaSets;
use super::plan::{self, Decision, Scene};
use crate::api::kinds::versions::Told;
use crate::api::{Kind, Object, ObjectKey, StatusError, kinds};
use crate::apiserver::{
    Admission, Attempt, DeleteOptions, Face, Operation, Server, ServerConfig, ServiceRange, WriteOptions,
};
use crate::controllers::programmed::Unprogrammed;
use crate::reconcile::simulation::{Rest, Simulation};
use crate::reconcile::{Loop, Spawner, Step};
use crate::store::{Memory, Select, Snapshot, Stored};

struct Fixture {
    simulation: Arc<Simulation>,
    server: Arc<Server>,
}

fn words(line: &str) -> BTreeMap<&str, &str> {
    line.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))).collect()
}

fn key() -> ObjectKey {
    ObjectKey::new("shop", "web")
}

impl Fixture {
    fn empty(admission: Vec<Arc<dyn Admission>>) -> Fixture {
        let simulation = Simulation::new(1);
        let server = Server::open(ServerConfig {
            registry: Arc::new(kinds::builtin()),
            backend: Arc::new(Memory::new()),
            world: simulation.world().clone(),
            admission,
            services: ServiceRange::default(),
        });
        let fixture = Fixture { simulation, server };
        fixture.put::<Namespace>("{metadata: {name: shop}}");
        fixture
    }

    fn new(input: &str) -> Fixture {
        let fixture = Fixture::empty(Vec::new());
        fixture.simulation.run_for(Duration::from_secs(2000));
        let mut lines = input.trim().lines();
        fixture.set("web", lines.next().unwrap());
        for line in lines {
            fixture.pod(line.trim());
        }
        fixture
    }

    /// Creates an object, and then writes its status.
    fn put<K: Kind>(&self, yaml: &str) -> Stored<K> {
        let object: K = serde_yaml::from_str(yaml).unwrap_or_else(|cause| panic!("{cause}: {yaml}"));
        let kind = self.server.registry().id_of::<K>().unwrap();
        let options = WriteOptions::default();
        let record = self.server.create(kind, Box::new(object.clone()), &options).unwrap();
        let mut value = serde_json::to_value(&object).unwrap();
        value["metadata"] = serde_json::to_value(record.decode::<K>().metadata()).unwrap();
        if value.get("status").is_none() {
            return Stored::new(record);
        }
        let object: K = serde_json::from_value(value).unwrap();
        Stored::new(self.server.update(kind, Face::Status, Box::new(object), &options).unwrap())
    }

    fn view(&self) -> Snapshot {
        self.server.store().snapshot()
    }

    fn set(&self, name: &str, line: &str) {
        let given = words(line);
        let size = line.split_whitespace().next().unwrap();
        let get =
            |word: &str, otherwise: &'static str| given.get(word).copied().unwrap_or(otherwise).to_owned();
        let owner = given.get("deployment").map_or_else(String::new, |uid| {
            format!("{{apiVersion: apps/v1, kind: Deployment, name: d, uid: {uid}, controller: true}}")
        });
        let failure = if given.contains_key("failure") {
            "{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: no}"
        } else {
            ""
        };
        let finalizer = if given.contains_key("deleting") { "test/hold" } else { "" };
        let counts: Vec<_> = get("told", "0/0/0/0").split('/').map(str::to_owned).collect();
        self.put::<ReplicaSet>(&format!(
            "{{metadata: {{name: {name}, namespace: shop, finalizers: [{finalizer}], ownerReferences: [{owner}]}}, \
             spec: {{replicas: {size}, minReadySeconds: {}, selector: {{matchLabels: {{app: {name}}}}}, template: \
             {{metadata: {{labels: {{app: {name}, full: 'yes'}}, annotations: {{a: b}}, finalizers: [test/keep]}}, \
             spec: {{containers: [{{name: web, image: one}}]}}}}}}, status: {{replicas: {}, fullyLabeledReplicas: {}, \
             readyReplicas: {}, availableReplicas: {}, terminatingReplicas: {}, observedGeneration: {}, conditions: \
             [{failure}]}}}}",
            get("minReady", "0"),
            counts[0],
            counts[1],
            counts[2],
            counts[3],
            get("terminating", "0"),
            get("observed", "1"),
        ));
        if given.contains_key("deleting") {
            let kind = self.server.registry().id_of::<ReplicaSet>().unwrap();
            let key = ObjectKey::new("shop", name);
            self.server.delete(kind, &key, &DeleteOptions::default()).unwrap();
        }
    }

    fn pod(&self, line: &str) {
        if let Some((name, set)) = line.strip_prefix("set ").and_then(|line| line.split_once(' ')) {
            return self.set(name, set);
        }
        let given = words(line);
        let name = line.split_whitespace().next().unwrap();
        let get =
            |word: &str, otherwise: &'static str| given.get(word).copied().unwrap_or(otherwise).to_owned();
        let app = get("app", "web");
        let owner = match get("owner", "web").as_str() {
            "none" => String::new(),
            "else" => "{apiVersion: apps/v1, kind: ReplicaSet, name: e, uid: e, controller: true}".to_owned(),
            "weak" => "{apiVersion: v1, kind: Node, name: e, uid: e}".to_owned(),
            set => {
                let uid =
                    self.view().get::<ReplicaSet>(&ObjectKey::new("shop", set)).unwrap().uid().to_owned();
                format!(
                    "{{apiVersion: apps/v1, kind: ReplicaSet, name: {set}, uid: {uid}, controller: true}}"
                )
            }
        };
        let now = crate::api::meta::whole_seconds(self.simulation.world().clock.now());
        let ready = match get("ready", "1000").as_str() {
            "no" => String::new(),
            ago => {
                let at = now - SignedDuration::from_secs(ago.parse().unwrap());
                format!("{{type: Ready, status: 'True', lastTransitionTime: '{at}'}}")
            }
        };
        let finalizer = if given.contains_key("deleting") { "test/hold" } else { "" };
        self.put::<Pod>(&format!(
            "{{metadata: {{name: {name}, namespace: shop, finalizers: [{finalizer}], labels: {{app: {app}, full: \
             '{}'}}, annotations: {{controller.kubernetes.io/pod-deletion-cost: '{}'}}, ownerReferences: \
             [{owner}]}}, spec: {{nodeName: '{}', containers: [{{name: web, image: one}}]}}, status: {{phase: {}, \
             containerStatuses: [{{name: web, image: '', imageID: '', ready: true, restartCount: {}}}], conditions: \
             [{ready}]}}}}",
            get("full", "yes"),
            get("cost", "0"),
            get("node", "n1"),
            get("phase", "Running"),
            get("restarts", "0"),
        ));
        if given.contains_key("deleting") {
            let kind = self.server.registry().id_of::<Pod>().unwrap();
            let key = ObjectKey::new("shop", name);
            self.server.delete(kind, &key, &DeleteOptions::default()).unwrap();
        }
    }

    fn orphans(&self) -> Vec<ObjectKey> {
        let view = self.view();
        let pods = view.list::<Pod>(Select::Namespace("shop"));
        pods.filter(|pod| pod.header().controller().is_none()).map(|pod| pod.key().clone()).collect()
    }

    fn with_scene<T>(&self, call: impl FnOnce(&Scene<'_>) -> T) -> T {
        let view = self.view();
        let orphans = self.orphans();
        let world = self.simulation.world().clone();
        let held = Unprogrammed::default();
        let (now, entropy) = (world.clock.now(), &*world.entropy);
        call(&Scene { view: &view, orphans: &orphans, held: &held, now, entropy })
    }

    fn plan(&self) -> Decision {
        self.with_scene(|scene| plan::plan(scene, &key()))
    }

    fn tell(&self, decision: &Decision) -> String {
        let mut told = Vec::new();
        for step in &decision.claims.steps {
            let Step::Update(object) = step else { panic!("{step:?}") };
            let pod = object.as_any().downcast_ref::<Pod>().unwrap();
            let owned = pod.metadata.owner_references.iter().flatten().any(|owner| owner.name == "web");
            let name = pod.metadata.name.as_ref().unwrap();
            told.push(format!("{} {name}", if owned { "adopt" } else { "release" }));
        }
        let mut created = 0;
        let mut deleted = Vec::new();
        for pair in decision.replicas.steps.chunks(2) {
            let [step, Step::Event { reason, message, .. }] = pair else { panic!("{pair:?}") };
            match step {
                Step::Create(object) => {
                    created += 1;
                    let name = object.meta().name.as_ref().unwrap();
                    assert_eq!(
                        (reason.as_str(), message.clone()),
                        ("SuccessfulCreate", format!("Created pod: {name}"))
                    );
                }
                Step::Delete { key, options, .. } => {
                    assert!(options.uid.is_some());
                    let text = format!("Deleted pod: {}", key.name());
                    assert_eq!((reason.as_str(), message), ("SuccessfulDelete", &text));
                    deleted.push(key.name().to_owned());
                }
                other => panic!("{other:?}"),
            }
        }
        if created > 0 {
            told.push(format!("create {created}"));
        }
        if !deleted.is_empty() {
            deleted.sort();
            told.push(format!("delete {}", deleted.join(" ")));
        }
        for step in &decision.status.steps {
            let Step::UpdateStatus(object) = step else { panic!("{step:?}") };
            let set = object.as_any().downcast_ref::<ReplicaSet>().unwrap();
            let status = set.status.clone().unwrap();
            let count = |count: Option<i32>| count.unwrap_or(0);
            told.push(format!(
                "status {}/{}/{}/{} {}",
                status.replicas,
                count(status.fully_labeled_replicas),
                count(status.ready_replicas),
                count(status.available_replicas),
                status.terminating_replicas.unwrap()
            ));
            assert_eq!(status.observed_generation, set.metadata.generation);
            let failed = status.conditions.iter().flatten().any(|c| c.is("ReplicaFailure"));
            if failed {
                told.push("failed".to_owned());
            }
        }
        if let Some(wait) = decision.status.again {
            told.push(format!("again {}", wait.as_secs()));
        }
        told.join(", ")
    }
}

/// Holds plans against what is expected, row by row.
fn check(rows: &[(&str, &str)]) {
    let wrong = rows.iter().filter_map(|(input, expected)| {
        let fixture = Fixture::new(input);
        let told = fixture.tell(&fixture.plan());
        (told != *expected).then(|| format!("{input}\n  found    {told}\n  expected {expected}\n"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pods_are_created_and_deleted() {
    check(&[
        ("2", "create 2"),
        ("0", ""),
        ("2 told=2/2/2/2\na\nb", ""),
        ("3 told=2/2/2/2\na\nb", "create 1"),
        ("1 told=2/2/2/2\na\nb ready=no", "delete b, status 2/2/1/1 0"),
        ("0 told=2/2/2/2\na\nb", "delete a b"),
        // Ended and ending pods do not count.
        ("2 told=1/1/1/1\na\nb phase=Failed\nc phase=Succeeded", "create 1"),
        ("2 told=1/1/1/1 terminating=1\na\nb deleting", "create 1"),
        ("1 told=0/0/0/0 terminating=1\nb deleting", "create 1"),
        // No more than the bound at a time.
        ("600", "create 500"),
        // One that is being deleted makes and ends nothing, but tells.
        ("5 deleting told=1/1/1/1 observed=2\na", ""),
        ("0 deleting told=0/0/0/0 observed=2\na", "status 1/1/1/1 0"),
        ("2 observed=0 told=2/2/2/2\na\nb", "status 2/2/2/2 0"),
    ]);
}

#[test]
fn pods_are_adopted_and_released() {
    check(&[
        ("1 told=1/1/1/1\na owner=none", "adopt a"),
        ("2 told=2/2/2/2\na owner=none\nb", "adopt a"),
        ("1 told=1/1/1/1\na owner=weak", "adopt a"),
        ("0 told=1/1/1/1\na owner=none", "adopt a, delete a"),
        ("1 told=1/1/1/1\na\nb owner=else", ""),
        ("1 told=1/1/1/1\na\nb owner=none app=other", ""),
        ("1 told=1/1/1/1\na\nb owner=none deleting", ""),
        ("1 told=1/1/1/1\na\nb owner=none phase=Failed", ""),
        ("1 told=1/1/1/1\na app=other", "release a, create 1, status 0/0/0/0 0"),
        ("1 told=1/1/1/1\na\nb app=other", "release b"),
        ("1 told=1/1/1/1\na\nb app=other deleting", ""),
        ("1 deleting told=1/1/1/1 observed=2\na\nb app=other", ""),
        ("1 deleting told=1/1/1/1 observed=2\na\nb owner=none", ""),
    ]);
}

#[test]
fn those_that_serve_least_go_first() {
    check(&[
        ("1 told=2/2/2/2\na node=\nb", "delete a"),
        ("1 told=2/2/2/2\na phase=Pending\nb phase=Unknown", "delete a"),
        ("1 told=2/2/2/2\na phase=Unknown\nb", "delete a"),
        ("2 told=3/3/2/2\na\nb ready=no\nc cost=-9", "delete b"),
        ("1 told=2/2/2/2\na cost=5\nb cost=-5", "delete b"),
        ("2 told=3/3/3/3\na ready=1000\nb ready=3\nc ready=100", "delete b"),
        ("1 told=3/3/3/3\na ready=1000\nb ready=3\nc ready=100", "delete b c"),
        ("1 told=2/2/2/2\na restarts=3\nb", "delete a"),
        // Neighbours count only where sets share an owner, and then those of all its sets.
        (
            "1 told=2/2/2/2 deployment=d\na node=n1 cost=0 ready=1000\nb node=n2 ready=3\nset other 2 deployment=d\n\
          x app=other owner=other node=n1\ny app=other owner=other node=n1",
            "delete a",
        ),
        (
            "1 told=2/2/2/2\na node=n1 ready=1000\nb node=n2 ready=3\nset other 2\n\
          x app=other owner=other node=n1\ny app=other owner=other node=n1",
            "delete b",
        ),
        (
            "2 told=3/3/3/3 deployment=d\na node=n1 ready=1000\nb node=n1 ready=3\nc node=n2 ready=1",
            "delete b",
        ),
    ]);
}

#[test]
fn the_status_counts() {
    check(&[
        ("2\na\nb ready=no", "status 2/2/1/1 0"),
        ("2\na full=no\nb", "status 2/1/2/2 0"),
        ("1 terminating=0\na\nb deleting\nc deleting app=other\nd deleting phase=Failed", "status 1/1/1/1 1"),
        ("2 minReady=30\na ready=30\nb ready=29", "status 2/2/2/1 0, again 1"),
        ("3 minReady=30\na ready=10\nb ready=25\nc ready=no", "status 3/3/2/0 0, again 5"),
        ("2 minReady=30 told=2/2/1/1\na ready=40\nb ready=no", ""),
        ("1 failure told=1/1/1/1\na", "status 1/1/1/1 0"),
    ]);
}

#[test]
fn a_pod_is_made_from_the_template() {
    let fixture = Fixture::new("1");
    let decision = fixture.plan();
    let Some(Step::Create(object)) = decision.replicas.steps.first() else { panic!("{decision:?}") };
    let pod = object.as_any().downcast_ref::<Pod>().unwrap();
    let meta = &pod.metadata;
    assert_eq!(meta.generate_name.as_deref(), Some("web-"));
    let name = meta.name.as_deref().unwrap();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_eq!(meta.namespace.as_deref(), Some("shop"));
    assert_eq!(meta.labels.as_ref().unwrap()["full"], "yes");
    assert_eq!(meta.annotations.as_ref().unwrap()["a"], "b");
    assert_eq!(meta.finalizers.as_deref(), Some(&["test/keep".to_owned()][..]));
    let owner = &meta.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.api_version.as_str(), owner.kind.as_str(), owner.name.as_str()),
        ("apps/v1", "ReplicaSet", "web")
    );
    assert_eq!((owner.controller, owner.block_owner_deletion), (Some(true), Some(true)));
    assert_eq!(pod.spec.as_ref().unwrap().containers[0].image.as_deref(), Some("one"));
    assert_eq!(object.type_name(), ("v1", "Pod"));
}

#[test]
fn failures_are_told_once() {
    for (input, expected) in [("2\na", "FailedCreate"), ("0\na", "FailedDelete")] {
        let fixture = Fixture::new(input);
        let plan = fixture.with_scene(|scene| plan::report(scene, &key(), "quota"));
        let [Step::Event { reason, message, .. }, Step::UpdateStatus(object)] = &plan.steps[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(reason, expected);
        assert!(message == "Error creating: quota" || message == "Error deleting: quota");
        let set = object.as_any().downcast_ref::<ReplicaSet>().unwrap();
        let condition = &set.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
        assert_eq!(condition.reason.as_deref(), Some(expected));
    }
}

/// Refuses pods while it is told to.
#[derive(Debug, Default)]
struct Quota(std::sync::atomic::AtomicBool);

impl Admission for Quota {
    fn validate(&self, attempt: &Attempt<'_>, _: Option<&dyn Object>) -> Result<(), StatusError> {
        let info = attempt.strategy.info();
        let full = self.0.load(std::sync::atomic::Ordering::SeqCst);
        if full && info.kind == "Pod" && attempt.operation == Operation::Create {
            return Err(StatusError::forbidden("", &info.plural, attempt.key.name(), "exceeded quota"));
        }
        Ok(())
    }
}

#[test]
fn a_set_that_is_refused_its_pods_says_so_and_goes_on_later() {
    let quota = Arc::new(Quota::default());
    quota.0.store(true, std::sync::atomic::Ordering::SeqCst);
    let fixture = Fixture::empty(vec![quota.clone()]);
    let spawner: Arc<dyn Spawner> = fixture.simulation.clone();
    Loop::start(ReplicaSets::new(), &fixture.server, fixture.simulation.world(), &spawner);
    fixture.set("web", "3");
    fixture.simulation.run_for(Duration::from_secs(10));
    let set = fixture.view().get::<ReplicaSet>(&key()).unwrap();
    let condition = set.status.as_ref().unwrap().conditions.as_ref().unwrap()[0].clone();
    assert_eq!(
        (condition.type_name(), condition.reason.as_deref()),
        ("ReplicaFailure", Some("FailedCreate"))
    );
    let message = condition.message.unwrap();
    assert!(message.starts_with("pods \"web-") && message.ends_with("exceeded quota"), "{message}");
    quota.0.store(false, std::sync::atomic::Ordering::SeqCst);
    fixture.simulation.run_for(Duration::from_secs(600));
    let set = fixture.view().get::<ReplicaSet>(&key()).unwrap();
    let status = set.status.clone().unwrap();
    assert_eq!((status.replicas, status.conditions.unwrap_or_default().len()), (3, 0));
    assert_eq!(fixture.simulation.settle(), Rest::Quiet);
}

#[test]
fn orphans_find_their_set_whichever_comes_first() {
    let fixture = Fixture::empty(Vec::new());
    let spawner: Arc<dyn Spawner> = fixture.simulation.clone();
    Loop::start(ReplicaSets::new(), &fixture.server, fixture.simulation.world(), &spawner);
    fixture.pod("early owner=none");
    fixture.simulation.settle();
    fixture.set("web", "2");
    fixture.simulation.settle();
    let pods = |fixture: &Fixture| {
        let view = fixture.view();
        let set = view.get::<ReplicaSet>(&key()).unwrap();
        let alive = view.list::<Pod>(Select::Owner(set.uid())).filter(|pod| !pod.is_deleting());
        alive.map(|pod| pod.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pods(&fixture).len(), 2);
    assert!(pods(&fixture).contains(&"early".to_owned()));
    // A third is one too many; it has been ready for longer than the one that just came.
    fixture.pod("late owner=none");
    fixture.simulation.settle();
    let left = pods(&fixture);
    assert!(
        left.len() == 2 && left.contains(&"late".to_owned()) && left.contains(&"early".to_owned()),
        "{left:?}"
    );
    fixture.server.store().check().unwrap();
}
