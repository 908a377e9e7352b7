//! Tables: a Deployment with its ReplicaSets in short words, and what the plan makes of them.
//!
//! First line: `SIZE surge=S unavailable=U` and what else is particular; image `new` unless said otherwise.
//! Then a set a line, from old to new: `NAME SIZE/AVAILABLE rev=R`, image `NAME` unless said otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};

use super::plan::{self, Decision, Scene};
use super::revision::{self, revision_of};
use crate::api::kinds::versions::{Specified, Told};
use crate::api::{Kind, ObjectKey, kinds};
use crate::apiserver::{Face, Server, ServerConfig, ServiceRange, WriteOptions};
use crate::reconcile::simulation::Simulation;
use crate::reconcile::{EventType, Step};
use crate::store::{Memory, Snapshot, Stored};

mod status;

/// The words of a line: `name=value`, or a name alone.
struct Words<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        Words(line.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn get(&self, name: &str, otherwise: &'a str) -> &'a str {
        self.0.get(name).copied().unwrap_or(otherwise)
    }
}

struct Fixture {
    simulation: Arc<Simulation>,
    server: Arc<Server>,
}

fn template(image: &str, hash: Option<&str>) -> String {
    let hash = hash.map_or_else(String::new, |hash| format!(", pod-template-hash: {hash}"));
    format!(
        "{{metadata: {{labels: {{app: web{hash}}}}}, spec: {{containers: [{{name: web, image: '{image}'}}]}}}}"
    )
}

impl Fixture {
    fn new(input: &str) -> Fixture {
        let simulation = Simulation::new(1);
        let server = Server::open(ServerConfig {
            registry: Arc::new(kinds::builtin()),
            backend: Arc::new(Memory::new()),
            world: simulation.world().clone(),
            admission: Vec::new(),
            services: ServiceRange::default(),
        });
        let fixture = Fixture { simulation, server };
        fixture.put::<Namespace>("{metadata: {name: shop}}");
        let mut lines = input.trim().lines();
        fixture.deployment(lines.next().unwrap());
        for line in lines {
            fixture.simulation.run_for(Duration::from_secs(10));
            match line.trim().strip_prefix("pod ") {
                Some(pod) => fixture.pod(pod),
                None => fixture.set(line),
            }
        }
        fixture.simulation.run_for(Duration::from_secs(10));
        fixture
    }

    fn put<K: Kind>(&self, yaml: &str) -> Stored<K> {
        let object: K = serde_yaml::from_str(yaml).unwrap_or_else(|cause| panic!("{cause}: {yaml}"));
        let kind = self.server.registry().id_of::<K>().unwrap();
        let options = WriteOptions::default();
        let record = self.server.create(kind, Box::new(object.clone()), &options).unwrap();
        let mut with_status = serde_json::to_value(&object).unwrap();
        with_status["metadata"] = serde_json::to_value(record.decode::<K>().metadata()).unwrap();
        if with_status.get("status").is_none() {
            return Stored::new(record);
        }
        let object: K = serde_json::from_value(with_status).unwrap();
        Stored::new(self.server.update(kind, Face::Status, Box::new(object), &options).unwrap())
    }

    fn found(&self) -> Stored<Deployment> {
        self.view().get::<Deployment>(&key()).unwrap()
    }

    fn view(&self) -> Snapshot {
        self.server.store().snapshot()
    }

    fn deployment(&self, line: &str) {
        let words = Words::of(line);
        let size = line.split_whitespace().next().unwrap();
        let strategy = if words.has("recreate") {
            "{type: Recreate}".to_owned()
        } else {
            // Both must not be zero, but may round to it.
            let surge = words.get("surge", "1");
            let unavailable = words.get("unavailable", if surge == "0" { "1%" } else { "0" });
            format!(
                "{{type: RollingUpdate, rollingUpdate: {{maxSurge: {surge}, maxUnavailable: {unavailable}}}}}"
            )
        };
        let count = |name: &str| words.get(name, "0").to_owned();
        let progress = words.0.get("progress").map_or_else(String::new, |progress| {
            let (reason, at) = progress.split_once('@').unwrap_or((progress, "0"));
            let at = self.simulation.world().clock.now() - SignedDuration::from_secs(at.parse().unwrap());
            let state = if words.has("failed") { "False" } else { "True" };
            format!(
                "{{type: Progressing, status: '{state}', reason: {reason}, message: m, lastUpdateTime: '{at}', \
                 lastTransitionTime: '{at}'}}"
            )
        });
        let collisions =
            words.0.get("collisions").map_or_else(String::new, |n| format!("collisionCount: {n}, "));
        self.put::<Deployment>(&format!(
            "{{metadata: {{name: web, namespace: shop, annotations: {{{}}}}}, spec: {{replicas: {size}, paused: {}, \
             minReadySeconds: {}, revisionHistoryLimit: {}, progressDeadlineSeconds: {}, selector: {{matchLabels: \
             {{app: web}}}}, strategy: {strategy}, template: {}}}, status: {{{collisions} observedGeneration: 1, \
             replicas: {}, updatedReplicas: {}, readyReplicas: {}, availableReplicas: {}, conditions: [{progress}]}}}}",
            words.0.get("note").map_or_else(String::new, |note| format!("note: '{note}'")),
            words.has("paused"),
            words.get("minReady", "0"),
            words.get("limit", "10"),
            words.get("deadline", "600"),
            template(words.get("image", "new"), None),
            count("replicas"),
            count("updated"),
            count("ready"),
            count("available"),
        ));
    }

    fn set(&self, line: &str) {
        let words = Words::of(line);
        let mut plain = line.split_whitespace();
        let name = plain.next().unwrap();
        let (size, available) = plain.next().unwrap().split_once('/').unwrap();
        let uid = self.found().uid().to_owned();
        let owner = match words.get("owner", "web") {
            "none" => String::new(),
            "web" => {
                format!("{{apiVersion: apps/v1, kind: Deployment, name: web, uid: {uid}, controller: true}}")
            }
            other => {
                format!("{{apiVersion: apps/v1, kind: Deployment, name: {other}, uid: x, controller: true}}")
            }
        };
        let mut annotations = Vec::new();
        for (word, annotation) in [
            ("rev", revision::REVISION),
            ("was", revision::REVISION_HISTORY),
            ("desired", revision::DESIRED_REPLICAS),
            ("max", revision::MAX_REPLICAS),
            ("note", "note"),
        ] {
            if let Some(value) = words.0.get(word) {
                annotations.push(format!("{annotation}: '{value}'"));
            }
        }
        let failure = if words.has("failure") {
            "{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: no}"
        } else {
            ""
        };
        self.put::<ReplicaSet>(&format!(
            "{{metadata: {{name: {name}, namespace: shop, labels: {{app: {}}}, annotations: {{{}}}, ownerReferences: \
             [{owner}], finalizers: [{}]}}, spec: {{replicas: {size}, minReadySeconds: {}, selector: {{matchLabels: \
             {{app: web, pod-template-hash: {name}}}}}, template: {}}}, status: {{observedGeneration: {}, replicas: \
             {}, readyReplicas: {}, availableReplicas: {available}, terminatingReplicas: {}, conditions: \
             [{failure}]}}}}",
            words.get("app", "web"),
            annotations.join(", "),
            if words.has("deleting") { "test/hold" } else { "" },
            words.get("minReady", "0"),
            template(words.get("image", name), Some(name)),
            if words.has("unsettled") { 0 } else if words.has("deleting") { 2 } else { 1 },
            words.get("pods", size),
            words.get("ready", available),
            words.get("terminating", "0"),
        ));
        if words.has("deleting") {
            let kind = self.server.registry().id_of::<ReplicaSet>().unwrap();
            let key = ObjectKey::new("shop", name);
            self.server.delete(kind, &key, &crate::apiserver::DeleteOptions::default()).unwrap();
        }
    }

    fn pod(&self, line: &str) {
        let words = Words::of(line);
        let mut plain = line.split_whitespace();
        let (name, set) = (plain.next().unwrap(), plain.next().unwrap());
        let set = self.view().get::<ReplicaSet>(&ObjectKey::new("shop", set)).unwrap();
        self.put::<Pod>(&format!(
            "{{metadata: {{name: {name}, namespace: shop, labels: {{app: web, pod-template-hash: {}}}, \
             ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {}, uid: {}, controller: true}}]}}, \
             spec: {{containers: [{{name: web, image: one}}]}}, status: {{phase: {}}}}}",
            set.name(),
            set.name(),
            set.uid(),
            words.get("phase", "Running")
        ));
    }

    fn plan(&self) -> Decision {
        let view = self.view();
        let sets = view.list::<ReplicaSet>(crate::store::Select::Namespace("shop"));
        let orphans: Vec<ObjectKey> =
            sets.filter(|set| set.header().controller().is_none()).map(|set| set.key().clone()).collect();
        let now = self.simulation.world().clock.now();
        plan::plan(&Scene { view: &view, orphans: &orphans, now }, &key())
    }

    /// What a plan does to sets, one word or two a thing.
    fn tell_sets(&self, decision: &Decision) -> String {
        let mut told = Vec::new();
        let mut scaled = Vec::new();
        let mut events = Vec::new();
        for step in decision.sets.steps.iter().chain(&decision.creation.steps) {
            match step {
                Step::Update(object) => {
                    let set = object.as_any().downcast_ref::<ReplicaSet>().unwrap();
                    self.tell_update(set, &mut told, &mut scaled);
                }
                Step::Create(object) => {
                    let set = object.as_any().downcast_ref::<ReplicaSet>().unwrap();
                    let (size, revision) = (size(set), revision_of(&set.metadata).unwrap());
                    told.push(format!("new {size} rev {revision}"));
                    if size > 0 {
                        let name = set.metadata.name.as_ref().unwrap();
                        scaled.push(format!("Scaled up replica set {name} from 0 to {size}"));
                    }
                }
                Step::Delete { key, .. } => told.push(format!("delete {}", key.name())),
                Step::Event { reason, message, event_type, .. } => {
                    assert_eq!((reason.as_str(), *event_type), ("ScalingReplicaSet", EventType::Normal));
                    events.push(message.clone());
                }
                other => panic!("{other:?}"),
            }
        }
        // One event for each step of a size; together they lead from the old to the new.
        let mut joined: Vec<String> = Vec::new();
        for event in events {
            let (from, to) = event.rsplit_once(" to ").unwrap();
            let (name, from) = from.rsplit_once(" from ").unwrap();
            match joined.last_mut() {
                Some(last) if last.starts_with(name) && last.ends_with(&format!(" to {from}")) => {
                    let end = last.rfind(" to ").unwrap();
                    last.replace_range(end.., &format!(" to {to}"));
                }
                _ => joined.push(event),
            }
        }
        scaled.sort();
        joined.sort();
        assert_eq!(joined, scaled);
        told.join(", ")
    }

    fn tell_update(&self, set: &ReplicaSet, told: &mut Vec<String>, scaled: &mut Vec<String>) {
        let name = set.metadata.name.clone().unwrap();
        let old = self.view().get::<ReplicaSet>(&ObjectKey::new("shop", &name)).unwrap().shared();
        let controlled =
            |set: &ReplicaSet| set.metadata.owner_references.iter().flatten().any(|o| o.name == "web");
        match (controlled(&old), controlled(set)) {
            (false, true) => told.push(format!("adopt {name}")),
            (true, false) => told.push(format!("release {name}")),
            _ => {}
        }
        let (had, has) = (size(&old), size(set));
        if had != has {
            told.push(format!("{name} {had}>{has}"));
            let way = if had < has { "up" } else { "down" };
            scaled.push(format!("Scaled {way} replica set {name} from {had} to {has}"));
        }
        let note = |set: &ReplicaSet, key: &str| {
            set.metadata.annotations.as_ref().and_then(|all| all.get(key).cloned()).unwrap_or_default()
        };
        let changed = |key: &str| note(&old, key) != note(set, key);
        if changed(revision::REVISION) {
            told.push(format!("{name} rev {}", note(set, revision::REVISION)));
        }
        if changed(revision::REVISION_HISTORY) {
            told.push(format!("{name} was {}", note(set, revision::REVISION_HISTORY)));
        }
        if had == has && (changed(revision::DESIRED_REPLICAS) || changed(revision::MAX_REPLICAS)) {
            let (desired, most) = (note(set, revision::DESIRED_REPLICAS), note(set, revision::MAX_REPLICAS));
            told.push(format!("{name} notes {desired}/{most}"));
        }
        if changed("note") {
            told.push(format!("{name} note {}", note(set, "note")));
        }
        let min_ready = |set: &ReplicaSet| set.spec().unwrap().min_ready_seconds.unwrap_or(0);
        if min_ready(&old) != min_ready(set) {
            told.push(format!("{name} minReady {}", min_ready(set)));
        }
    }
}

fn key() -> ObjectKey {
    ObjectKey::new("shop", "web")
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec().unwrap().replicas.unwrap()
}

/// Holds what the plan does to sets against what is expected, row by row.
fn check(rows: &[(&str, &str)]) {
    compare(rows, |fixture| fixture.tell_sets(&fixture.plan()));
}

fn compare(rows: &[(&str, &str)], tell: impl Fn(&Fixture) -> String) {
    let wrong = rows.iter().filter_map(|(input, expected)| {
        let told = tell(&Fixture::new(input));
        (told != *expected).then(|| format!("{input}\n  found    {told}\n  expected {expected}\n"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_new_set_grows_as_surge_allows() {
    check(&[
        ("3 surge=1", "new 3 rev 1"),
        ("0 surge=1", "new 0 rev 1"),
        ("3 surge=1\na 3/3 rev=1", "new 1 rev 2"),
        ("10 surge=3 unavailable=2\na 10/10 rev=1", "a 10>8, new 3 rev 2"),
        ("3 surge=0 unavailable=1\na 3/3 rev=1", "a 3>2, new 0 rev 2"),
        ("3 surge=1\na 3/3 rev=7\nb 0/0 rev=3", "new 1 rev 8"),
        ("10 surge=0\nnew 0/0 rev=1", "new 0>10"),
        ("10 surge=2\nnew 0/0 rev=2\na 10/10 rev=1", "new 0>2"),
        ("10 surge=2\nnew 5/0 rev=2\na 5/5 rev=1", "new 5>7"),
        ("10 surge=2\nnew 2/0 rev=2\na 10/10 rev=1", ""),
        ("10 surge=0\nnew 2/0 rev=2\na 10/10 rev=1", "a 10>9"),
        ("10 surge=2 unavailable=2\nnew 7/3 rev=2\na 5/5 rev=1", ""),
        ("4 surge=50%\na 4/4 rev=1\nnew 1/0 rev=2", "new 1>2"),
        ("5 surge=2\nnew 8/8 rev=1", "new 8>5"),
    ]);
}

#[test]
fn old_sets_shrink_as_availability_allows() {
    check(&[
        ("10 unavailable=0\na 10/10 rev=1\nnew 0/0 rev=2 image=new", "new 0>1"),
        ("10 surge=0 unavailable=2\na 10/10 rev=1\nnew 0/0 rev=2", "a 10>8"),
        ("10 surge=0 unavailable=2\na 8/8 rev=1\nnew 2/0 rev=2", ""),
        ("10 surge=0 unavailable=2\na 8/8 rev=1\nnew 2/1 rev=2", "a 8>7"),
        ("10 surge=0 unavailable=2\na 8/8 rev=1\nnew 2/2 rev=2", "a 8>6"),
        // What does not serve goes at once.
        ("10 surge=0 unavailable=2\na 10/8 rev=1\nnew 0/0 rev=2", "a 10>8"),
        ("10 surge=3 unavailable=2\na 8/0 rev=1\nnew 5/0 rev=2", ""),
        ("10 surge=3 unavailable=2\na 8/7 rev=1\nnew 5/5 rev=2", "a 8>3"),
        ("10 surge=3 unavailable=0\na 3/0 rev=1\nb 3/3 rev=2\nnew 7/7 rev=3", "a 3>0"),
        ("10 surge=3 unavailable=0\na 3/2 rev=1\nb 3/2 rev=2\nnew 7/7 rev=3", "a 3>1, b 3>2"),
        // Older ones first.
        ("10 surge=3 unavailable=1\na 2/2 rev=1\nb 3/3 rev=2\nnew 8/8 rev=3", "a 2>0, b 3>1"),
        ("10 surge=3\na 3/3 rev=1\nnew 10/10 rev=2", "a 3>0"),
        ("10 surge=3\na 3/3 rev=1\nnew 10/9 rev=2", "a 3>1"),
        // A set that has still more pods than it should counts with what it will keep.
        ("10 surge=1 unavailable=1\na 4/6 ready=6 pods=6 rev=1\nnew 7/5 rev=2", ""),
        // Nothing moves until every set has acted upon its size.
        ("10 surge=0 unavailable=2\na 10/10 rev=1 unsettled\nnew 0/0 rev=2", ""),
        ("3 surge=1\na 3/3 rev=1 unsettled", ""),
        // Ready pods that are not available yet are no reason to shrink a set.
        ("4 surge=1 unavailable=1 minReady=9\na 3/1 ready=3 rev=1 minReady=9\nnew 2/2 rev=2 minReady=9", ""),
    ]);
}

#[test]
fn recreate_ends_all_before_it_begins() {
    check(&[
        ("3 recreate", "new 3 rev 1"),
        ("3 recreate\na 3/3 rev=1", "a 3>0"),
        ("3 recreate\na 0/0 rev=1 pods=2", ""),
        ("3 recreate\na 0/0 rev=1\npod p a", ""),
        ("3 recreate\na 0/0 rev=1\npod p a phase=Unknown", ""),
        ("3 recreate\na 0/0 rev=1\npod p a phase=Failed\npod q a phase=Succeeded", "new 3 rev 2"),
        ("3 recreate\na 0/0 rev=1", "new 3 rev 2"),
        ("3 recreate\na 1/1 rev=1\nb 2/2 rev=2\nnew 0/0 rev=3", "a 1>0, b 2>0"),
        ("3 recreate\na 0/0 rev=1\nnew 0/0 rev=2", "new 0>3"),
        ("3 recreate\nnew 1/1 rev=2\npod p new", "new 1>3"),
    ]);
}

#[test]
fn revisions_move_on_and_are_remembered() {
    check(&[
        ("3 surge=1\nnew 3/3 rev=1", ""),
        ("3 surge=1\nnew 3/3 rev=5\na 0/0 rev=1", ""),
        ("3 surge=1\nnew 3/3", "new rev 1"),
        ("3 surge=1\na 3/3 rev=2\nnew 1/0 rev=1", "new rev 3, new was 1"),
        ("3 surge=1\na 3/3 rev=4\nnew 1/0 rev=3 was=1", "new rev 5, new was 1,3"),
        ("3 surge=1\na 3/3 rev=x\nnew 1/0", "new rev 1"),
        ("3 surge=1\na 3/3 rev=4\nnew 1/0 rev=x", ""),
        ("3 surge=1 note=why\nnew 3/3 rev=1", "new note why"),
        ("3 surge=1 note=why\nnew 3/3 rev=1 note=why", ""),
        ("3 surge=1 minReady=5\nnew 3/3 rev=1", "new minReady 5"),
        // Of two with the template, the older is the new one.
        ("3 surge=1\na 3/3 rev=1 image=new\nb 1/1 rev=2 image=new", "a rev 3, a was 1, b 1>0"),
    ]);
}

#[test]
fn sets_are_adopted_and_released() {
    check(&[
        ("3 surge=1\nnew 3/3 rev=1 owner=none", "adopt new"),
        ("3 surge=1\nnew 3/3 rev=1\na 0/0 rev=0 owner=none", "adopt a"),
        ("3 surge=1\nnew 3/3 rev=1\na 2/2 owner=none app=other", ""),
        ("3 surge=1\nnew 3/3 rev=1\na 2/2 owner=else", ""),
        ("3 surge=1\nnew 3/3 rev=1\na 2/2 app=other", "release a"),
        ("3 surge=1\nnew 3/3 rev=1\na 0/0 owner=none deleting", ""),
    ]);
}

#[test]
fn scaling_is_shared_out_in_proportion() {
    check(&[
        // One set with pods, or none.
        ("10 surge=0\nnew 5/5 rev=1 desired=5 max=5", "new 5>10"),
        ("5 surge=0\nnew 10/10 rev=1 desired=10 max=10", "new 10>5"),
        ("5 surge=0 paused\na 0/0 rev=1", "a 0>5"),
        ("5 surge=0 paused\na 0/0 rev=1\nb 0/0 rev=2", "b 0>5"),
        ("5 surge=0 paused\nnew 0/0 rev=1\nb 0/0 rev=2", "new 0>5, new rev 3, new was 1"),
        ("5 surge=0 paused", ""),
        ("5 surge=0\na 5/5 rev=1 desired=10 max=10", "a notes 5/5"),
        // Several.
        ("15 surge=0\na 5/5 rev=1 desired=10 max=10\nnew 5/5 rev=2 desired=10 max=10", "a 5>7, new 5>8"),
        ("5 surge=0\na 5/5 rev=1 desired=10 max=10\nnew 5/5 rev=2 desired=10 max=10", "a 5>2, new 5>3"),
        (
            "9 surge=0\na 3/3 rev=1 desired=6 max=6\nnew 2/2 rev=2 desired=6 max=6\nb 1/1 rev=0 desired=6 max=6",
            "a 3>5, new 2>3, b notes 9/9",
        ),
        ("12 surge=3\na 8/8 rev=1 desired=10 max=13\nnew 5/0 rev=2 desired=10 max=13", "a 8>9, new 5>6"),
        ("0 surge=3\na 8/8 rev=1 desired=10 max=13\nnew 5/0 rev=2 desired=10 max=13", "a 8>0, new 5>0"),
        (
            "20 surge=0\na 7/7 rev=1 desired=10 max=10\nb 2/2 rev=2 desired=10 max=10\nnew 1/1 rev=3 desired=10 max=10",
            "a 7>14, b 2>4, new 1>2",
        ),
        ("6 surge=0\nnew 5/5 rev=2 desired=5 max=5\na 1/1 rev=1 desired=6 max=6", "new notes 6/6"),
        ("10 surge=0\na 3/3 rev=1 desired=5 max=5\nnew 2/2 rev=2 desired=5 max=5", "a 3>6, new 2>4"),
        ("3 surge=0\na 3/3 rev=1 desired=5 max=5\nnew 2/2 rev=2 desired=5 max=5", "a 3>2, new 2>1"),
        ("4 surge=0\na 1/1 rev=1 desired=9 max=9\nnew 8/8 rev=2 desired=9 max=9", "a 1>0, new 8>4"),
        (
            "10 surge=0\na 2/2 rev=1 desired=7 max=7\nb 3/3 rev=2 desired=7 max=7\nnew 2/2 rev=3 desired=7 max=7",
            "a 2>3, b 3>4, new 2>3",
        ),
        (
            "8 surge=0\na 3/3 rev=1 desired=13 max=13\nb 8/8 rev=2 desired=13 max=13\nnew 2/2 rev=3 desired=13 max=13",
            "a 3>2, b 8>5, new 2>1",
        ),
        // What is left over goes to the newest when growing, and is taken from the oldest when shrinking.
        (
            "4 surge=0\na 1/1 rev=1 desired=3 max=3\nb 1/1 rev=2 desired=3 max=3\nnew 1/1 rev=3 desired=3 max=3",
            "a notes 4/4, b notes 4/4, new 1>2",
        ),
        (
            "2 surge=0\na 1/1 rev=1 desired=3 max=3\nb 1/1 rev=2 desired=3 max=3\nnew 1/1 rev=3 desired=3 max=3",
            "a 1>0, b notes 2/2, new notes 2/2",
        ),
        ("5 surge=0\na 2/2 rev=1 desired=4 max=4\nb 2/2 rev=2 desired=4 max=4", "a notes 5/5, b 2>3"),
        (
            "0 surge=0\na 1/1 rev=1 desired=6 max=6\nb 2/2 rev=2 desired=6 max=6\nnew 3/3 rev=3 desired=6 max=6",
            "a 1>0, b 2>0, new 3>0",
        ),
        (
            "6 surge=0 paused\na 0/0 rev=1 desired=6\nb 0/0 rev=2 desired=6\nnew 0/0 rev=3 desired=6",
            "new 0>6",
        ),
        // One set was not written the last time.
        (
            "5 surge=0\na 1/1 rev=1 desired=5 max=5\nb 1/1 rev=2 desired=3 max=3\nnew 2/2 rev=3 desired=5 max=5",
            "b 1>2",
        ),
        ("20 surge=2\na 6/6 rev=1 desired=10 max=12\nnew 6/6 rev=2 desired=10 max=12", "a 6>11, new 6>11"),
        ("50 surge=6\na 8/8 rev=1 desired=10 max=13\nnew 5/5 rev=2 desired=10 max=13", "a 8>34, new 5>22"),
        ("14 surge=0\na 3/3 rev=1 desired=10 max=10\nb 7/7 rev=2 desired=10 max=10", "a 3>4, b 7>10"),
        ("2 unavailable=1 paused\na 1/1 rev=1 desired=2 max=3\nnew 2/0 rev=2 desired=2 max=3", ""),
        // The new one has everything: the others go.
        ("10 surge=0\nnew 10/10 rev=2 desired=10 max=10\na 10/10 rev=1 desired=8 max=8", "a 10>0"),
        // Nothing moves until every set has acted upon its size.
        ("10 surge=0\nnew 5/5 rev=1 desired=5 max=5 unsettled", ""),
        // Recreate has nothing to share.
        ("9 recreate\na 3/3 rev=1 desired=6 max=6\nnew 3/3 rev=2 desired=6 max=6", "a 3>0"),
    ]);
}

#[test]
fn the_history_is_kept_within_its_limit() {
    check(&[
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=2\na 0/0 rev=1\nb 0/0 rev=2\nc 0/0 rev=3\nnew 3/3 rev=4",
            "delete a",
        ),
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=0\na 0/0 rev=2\nb 0/0 rev=1\nnew 3/3 rev=4",
            "delete b, delete a",
        ),
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=5\na 0/0 rev=1\nnew 3/3 rev=4",
            "",
        ),
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=2147483647\na 0/0 rev=1\nnew 3/3 rev=4",
            "",
        ),
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=0\na 0/0 rev=1 pods=1\nnew 3/3 rev=4",
            "",
        ),
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=0\na 0/0 rev=1 deleting\nnew 3/3 rev=4",
            "",
        ),
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable limit=0 paused\na 0/0 rev=1\nnew 3/3 rev=4 desired=3 max=4",
            "delete a",
        ),
        // Not before it is over.
        ("3 surge=1 limit=0\na 0/0 rev=1\nnew 3/2 rev=2", ""),
    ]);
}

#[test]
fn a_hash_that_is_taken_becomes_another() {
    let fixture = Fixture::new("3 surge=1");
    let name = |fixture: &Fixture| {
        let decision = fixture.plan();
        let mut created = decision.creation.steps.iter().filter_map(|step| match step {
            Step::Create(object) => object.meta().name.clone(),
            _ => None,
        });
        created.next()
    };
    let first = name(&fixture).unwrap();
    fixture.set(&format!("{first} 0/0 owner=else"));
    assert_eq!(name(&fixture), None);
    let decision = fixture.plan();
    let Some(Step::UpdateStatus(object)) = decision.status.steps.first() else { panic!("{decision:?}") };
    let deployment = object.as_any().downcast_ref::<Deployment>().unwrap().clone();
    assert_eq!(deployment.status.as_ref().unwrap().collision_count, Some(1));
    let kind = fixture.server.registry().id_of::<Deployment>().unwrap();
    fixture.server.update(kind, Face::Status, Box::new(deployment), &WriteOptions::default()).unwrap();
    let second = name(&fixture).unwrap();
    assert!(second.starts_with("web-") && second != first);
}

#[test]
fn a_new_set_carries_hash_owner_and_size() {
    let fixture = Fixture::new("4 surge=25% note=why");
    let decision = fixture.plan();
    let Some(Step::Create(object)) = decision.creation.steps.first() else { panic!("{decision:?}") };
    let set = object.as_any().downcast_ref::<ReplicaSet>().unwrap();
    let spec = set.spec().unwrap();
    let labels = set.metadata.labels.clone().unwrap();
    let hash = &labels[revision::TEMPLATE_HASH];
    assert_eq!(set.metadata.name, Some(format!("web-{hash}")));
    assert_eq!(spec.selector.match_labels.as_ref(), Some(&labels));
    assert_eq!(spec.template.as_ref().unwrap().metadata.as_ref().unwrap().labels.as_ref(), Some(&labels));
    let annotations = set.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[revision::DESIRED_REPLICAS], "4");
    assert_eq!(annotations[revision::MAX_REPLICAS], "5");
    assert_eq!(annotations["note"], "why");
    let owner = &set.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("Deployment", Some(true)));
    assert_eq!(owner.uid, fixture.found().uid());
}

#[test]
fn a_refused_creation_is_told() {
    let fixture = Fixture::new("3 surge=1 progress=NewReplicaSetAvailable");
    let view = fixture.view();
    let now = fixture.simulation.world().clock.now();
    let plan = plan::report(&Scene { view: &view, orphans: &[], now }, &key(), "quota");
    let [Step::Event { reason, message, .. }, Step::UpdateStatus(object)] = &plan.steps[..] else {
        panic!("{plan:?}")
    };
    assert_eq!(reason, "ReplicaSetCreateError");
    assert!(message.starts_with("Failed to create new replica set \"web-") && message.ends_with("\": quota"));
    let deployment = object.as_any().downcast_ref::<Deployment>().unwrap();
    let condition = &deployment.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
    assert_eq!((condition.state(), condition.reason.as_deref()), ("False", Some("ReplicaSetCreateError")));
}
