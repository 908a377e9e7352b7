//! Scenes: a ReplicaSet of two pods behind a Service or not, real controllers in a simulation, and a coverage that
//! the scene moves by hand.
//!
//! A scene is a line of words, done in order; `=READY/AVAILABLE` says what the set's status must tell then.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::Programmed;
use crate::api::ObjectKey;
use crate::apiserver::{DeleteOptions, Face};
use crate::controllers::endpoint_slice::EndpointSlices;
use crate::controllers::harness::{Agents, Harness, namespace, node};
use crate::controllers::replica_set::ReplicaSets;
use crate::limits::PROGRAM_MOST;
use crate::reconcile::{Action, Context, Error, Reconciler, Seen, Spawner, Wakes};
use crate::store::{Interest, Revision, Select};

type Listener = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Coverage {
    revision: Mutex<Revision>,
    listeners: Mutex<Vec<Listener>>,
}

impl Coverage {
    fn advance(&self, to: Revision) {
        *self.revision.lock() = to;
        self.listeners.lock().iter().for_each(|wake| wake());
    }
}

/// A coverage that a scene and the controller share.
#[derive(Clone, Default)]
struct Shared(Arc<Coverage>);

impl Programmed for Shared {
    fn covered(&self) -> Revision {
        *self.0.revision.lock()
    }

    fn on_covered(&self, wake: Listener) {
        self.0.listeners.lock().push(wake);
    }
}

fn harness(seed: u64, coverage: Option<Shared>) -> Harness {
    let harness = Harness::new(seed);
    let spawner: Arc<dyn Spawner> = harness.simulation.clone();
    let programmed = coverage.map(|coverage| Arc::new(coverage) as Arc<dyn Programmed>);
    ReplicaSets::start(programmed, &harness.server, harness.simulation.world(), &spawner);
    harness.start(EndpointSlices::default());
    harness.start(Agents { dead: Arc::default() });
    for object in [namespace("kube-node-lease"), namespace("shop"), node("n1", 4, 110)] {
        harness.create(object).unwrap();
    }
    harness
}

fn service(cluster_ip: Option<&str>, early: bool) -> Value {
    let mut spec =
        json!({"selector": {"app": "web"}, "ports": [{"port": 80}], "publishNotReadyAddresses": early});
    spec["clusterIP"] = json!(cluster_ip);
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web"}, "spec": spec})
}

fn set(replicas: u32, min_ready: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "shop", "name": "web"},
        "spec": {
            "replicas": replicas, "minReadySeconds": min_ready, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]},
            },
        },
    })
}

fn key() -> ObjectKey {
    ObjectKey::new("shop", "web")
}

fn told(harness: &Harness) -> String {
    let status =
        harness.view().get::<ReplicaSet>(&key()).and_then(|set| set.status.clone()).unwrap_or_default();
    format!("={}/{}", status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0))
}

/// Makes the first pod ready, or not.
fn turn(harness: &Harness, to: &str) {
    let pod = harness.list::<Pod>().remove(0).key().clone();
    harness.change::<Pod>(&pod, Face::Status, |pod| {
        for condition in pod.status.as_mut().unwrap().conditions.as_mut().unwrap() {
            condition.status = to.to_owned();
        }
    });
}

fn check(scene: &str) {
    let coverage = Shared::default();
    let mut harness = harness(1, Some(coverage.clone()));
    for word in scene.split_whitespace() {
        match word {
            "service" => drop(harness.create(service(None, false)).unwrap()),
            "headless" => drop(harness.create(service(Some("None"), false)).unwrap()),
            "early" => drop(harness.create(service(None, true)).unwrap()),
            "set" => drop(harness.create(set(2, 0)).unwrap()),
            "slow-set" => drop(harness.create(set(2, 1)).unwrap()),
            "cover" => {
                let now = harness.view().revision();
                coverage.0.advance(now);
            }
            "wait" => harness.run_for(PROGRAM_MOST),
            "part" => harness.run_for(PROGRAM_MOST - Duration::from_millis(1)),
            "no-service" => harness.delete::<Service>(&key(), &DeleteOptions::default()),
            "elsewhere" => harness.change::<Service>(&key(), Face::Main, |service| {
                let selector = [("app".to_owned(), "other".to_owned())];
                service.spec.as_mut().unwrap().selector = Some(selector.into());
            }),
            "unready" => turn(&harness, "False"),
            "ready" => turn(&harness, "True"),
            expected => assert_eq!(told(&harness), expected, "{scene}"),
        }
        harness.settle();
    }
    harness.server.store().check().unwrap();
}

#[test]
fn a_ready_pod_is_available_once_its_services_lead_to_it() {
    for scene in [
        // Held until covered.
        "service set =2/0 cover =2/2",
        // Nobody to wait for.
        "set =2/2 cover =2/2",
        "headless set =2/2",
        "early set =2/2",
        // A Service that comes later takes nothing away, nor does a change of one.
        "set =2/2 service =2/2 cover =2/2",
        "service set cover =2/2 elsewhere =2/2",
        // One that goes, or looks elsewhere, is not waited for.
        "service set =2/0 no-service =2/2",
        "service set =2/0 elsewhere =2/2",
        // Nothing is programmed: the wait is bounded.
        "service set part =2/0 wait =2/2 cover =2/2",
        // Each time anew.
        "service set cover =2/2 unready =1/1 cover ready =2/1 cover =2/2",
        "service set cover unready ready wait =2/2",
        "service set unready =1/0 cover =1/1",
        // The wait counts along with minReadySeconds, not after it.
        "service slow-set cover =2/0 wait =2/2",
        "service slow-set part =2/0 cover =2/2",
    ] {
        check(scene);
    }
}

/// Programs what it sees after a while, as a proxy does, and notes to how many pods its Services lead then.
struct Proxy {
    coverage: Shared,
    leads: Arc<Mutex<usize>>,
}

impl Reconciler for Proxy {
    type Key = ();

    fn name(&self) -> &str {
        "proxy"
    }

    fn interests(&self, kinds: &crate::api::Registry) -> Vec<Interest> {
        kinds.id_of::<EndpointSlice>().map(Interest::all).into_iter().collect()
    }

    fn observe(&mut self, _seen: &Seen<'_>, wakes: &mut Wakes<()>) {
        wakes.wake_after((), Duration::from_millis(30));
    }

    fn reconcile(&mut self, cx: &mut Context<'_, ()>, (): &()) -> Result<Action, Error> {
        let ready = cx.view().list::<EndpointSlice>(Select::All).map(|slice| {
            let endpoints = slice.endpoints.iter().flatten();
            endpoints.filter(|e| e.conditions.as_ref().and_then(|c| c.ready) == Some(true)).count()
        });
        *self.leads.lock() = ready.sum();
        self.coverage.0.advance(cx.view().revision());
        Ok(Action::Done)
    }
}

#[test]
fn never_more_pods_are_available_than_the_proxy_leads_to() {
    for seed in 0..50 {
        let coverage = Shared::default();
        let leads = Arc::default();
        let mut harness = harness(seed, Some(coverage.clone()));
        harness.start(Proxy { coverage, leads: Arc::clone(&leads) });
        harness.create(service(None, false)).unwrap();
        harness.create(set(1, 0)).unwrap();
        let mut size = 1;
        for millisecond in 0..300 {
            let draw = harness.simulation.world().entropy.next();
            if millisecond < 150 && draw.is_multiple_of(20) {
                size += i32::try_from(draw / 20 % 3).unwrap();
                harness.change::<ReplicaSet>(&key(), Face::Main, |set| {
                    set.spec.as_mut().unwrap().replicas = Some(size);
                });
            }
            harness.run_for(Duration::from_millis(1));
            let status = harness.view().get::<ReplicaSet>(&key()).unwrap().status.clone().unwrap();
            let available = usize::try_from(status.available_replicas.unwrap_or(0)).unwrap();
            assert!(available <= *leads.lock(), "seed {seed}: {available} after {millisecond} ms");
        }
        assert_eq!(told(&harness), format!("={size}/{size}"), "seed {seed}");
    }
}
