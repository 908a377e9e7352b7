//! What happens to nodes that fall silent, and to their pods.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Node, Pod, Taint, Toleration};
use parking_lot::Mutex;
use serde_json::json;

use super::eviction::{Stay, stays};
use super::{NodeLifecycle, health};
use crate::api::ObjectKey;
use crate::apiserver::Face;
use crate::controllers::harness::{Agents, Harness, namespace, node, pod};

/// Rows of `taints (key:Effect) | tolerations (key:Effect:seconds; * is all) | how long`.
#[test]
fn how_long_pods_stay() {
    let table = "| | untouched
        k:NoSchedule | | untouched
        k:NoExecute | | not
        k:NoExecute | k:NoExecute: | ever
        k:NoExecute | k:: | ever
        k:NoExecute | *:: | ever
        k:NoExecute | k:NoSchedule: | not
        k:NoExecute | j:NoExecute: | not
        k:NoExecute | k:NoExecute:30 | 30
        k:NoExecute | k:NoExecute:0 | not
        k:NoExecute | k:NoExecute:-5 | not
        k:NoExecute | k:NoExecute:30 *::10 | 10
        k:NoExecute | k:NoExecute: *::10 | 10
        k:NoExecute j:NoExecute | k:NoExecute:30 | not
        k:NoExecute j:NoExecute | k:NoExecute:30 j:NoExecute:20 | 20
        node.kubernetes.io/not-ready:NoExecute | | 300
        node.kubernetes.io/unreachable:NoExecute | | 300
        node.kubernetes.io/unreachable:NoExecute k:NoExecute | | not
        node.kubernetes.io/unreachable:NoExecute | node.kubernetes.io/unreachable:NoExecute: | ever
        node.kubernetes.io/unreachable:NoExecute | node.kubernetes.io/unreachable:NoExecute:7 | 7
        node.kubernetes.io/unreachable:NoExecute | node.kubernetes.io/not-ready:NoExecute:7 | 300
        node.kubernetes.io/unreachable:NoExecute | *:NoExecute: | ever";
    for row in table.lines().map(str::trim) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let taint = |text: &str| {
            let (key, effect) = text.split_once(':').expect("an effect");
            Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added: None }
        };
        let toleration = |text: &str| {
            let parts: Vec<&str> = text.split(':').collect();
            Toleration {
                key: Some(parts[0].replace('*', "")),
                operator: Some("Exists".to_owned()),
                effect: Some(parts[1].to_owned()),
                toleration_seconds: parts[2].parse().ok(),
                value: None,
            }
        };
        let mut node = Node::default();
        let taints = columns[0].split_whitespace().map(taint).collect();
        node.spec.get_or_insert_default().taints = Some(taints);
        let mut pod = Pod::default();
        let tolerations = columns[1].split_whitespace().map(toleration).collect();
        pod.spec.get_or_insert_default().tolerations = Some(tolerations);
        let got = match stays(&pod, &node) {
            Stay::Untouched => "untouched".to_owned(),
            Stay::Ever => "ever".to_owned(),
            Stay::Not => "not".to_owned(),
            Stay::For(time) => time.as_secs().to_string(),
        };
        assert_eq!(got, columns[2], "{row}");
    }
}

/// Rows of `conditions | unschedulable | taints before | taints after`, each taint as `key:Effect`.
#[test]
fn conditions_become_taints() {
    let table = "Ready=True | | |
        Ready=True | | k:NoSchedule | k:NoSchedule
        Ready=False | | | not-ready:NoSchedule not-ready:NoExecute
        Ready=Unknown | | | unreachable:NoSchedule unreachable:NoExecute
        Ready=Unknown | | not-ready:NoSchedule not-ready:NoExecute | unreachable:NoSchedule unreachable:NoExecute
        Ready=False | | unreachable:NoSchedule unreachable:NoExecute k:NoExecute | k:NoExecute not-ready:NoSchedule not-ready:NoExecute
        Ready=True | | unreachable:NoSchedule unreachable:NoExecute k:NoExecute | k:NoExecute
        Ready=True | yes | | unschedulable:NoSchedule
        Ready=True | yes | unschedulable:NoSchedule | unschedulable:NoSchedule
        Ready=True | | unschedulable:NoSchedule |
        Ready=True | | unschedulable:NoExecute | unschedulable:NoExecute
        Ready=True MemoryPressure=True | | | memory-pressure:NoSchedule
        Ready=True DiskPressure=True PIDPressure=True | | | disk-pressure:NoSchedule pid-pressure:NoSchedule
        Ready=True NetworkUnavailable=True | | | network-unavailable:NoSchedule
        Ready=True MemoryPressure=Unknown | | memory-pressure:NoSchedule |
        | | k:NoSchedule | k:NoSchedule";
    for row in table.lines().map(str::trim) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let conditions: Vec<_> = columns[0]
            .split_whitespace()
            .filter_map(|text| text.split_once('='))
            .map(|(type_, status)| json!({"type": type_, "status": status}))
            .collect();
        let full = |key: &str| if key == "k" { key.to_owned() } else { format!("node.kubernetes.io/{key}") };
        let taints: Vec<_> = columns[2]
            .split_whitespace()
            .filter_map(|text| text.split_once(':'))
            .map(|(key, effect)| json!({"key": full(key), "effect": effect}))
            .collect();
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"taints": taints, "unschedulable": columns[1] == "yes"},
            "status": {"conditions": conditions},
        }))
        .expect("a node");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let after = health::tainted(&node, now).unwrap_or(node);
        assert_eq!(health::tainted(&after, now), None, "{row}: a second time changes nothing");
        let text = |taint: &Taint| {
            let key = taint.key.trim_start_matches("node.kubernetes.io/");
            format!("{key}:{}", taint.effect)
        };
        let taints = after.spec.and_then(|spec| spec.taints).unwrap_or_default();
        assert_eq!(taints.iter().map(text).collect::<Vec<_>>().join(" "), columns[3], "{row}");
    }
}

struct Scene {
    harness: Harness,
    dead: Arc<Mutex<BTreeSet<String>>>,
}

fn scene(seed: u64) -> Scene {
    let mut harness = Harness::new(seed);
    for name in ["default", "kube-node-lease"] {
        harness.create(namespace(name)).expect("a namespace");
    }
    let dead: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    harness.create(node("a", 4, 10)).expect("a node");
    let place = |name: &str, seconds: Option<i64>| {
        let mut value = pod("default", name, 1);
        value["spec"]["nodeName"] = json!("a");
        if let Some(seconds) = seconds {
            let toleration = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
            value["spec"]["tolerations"] = json!([
                toleration("node.kubernetes.io/unreachable"),
                toleration("node.kubernetes.io/not-ready")
            ]);
        }
        harness.create(value).expect("a pod");
    };
    place("patient", None);
    place("hasty", Some(20));
    harness.start(Agents { dead: dead.clone() });
    harness.start(NodeLifecycle::new(harness.simulation.world()));
    harness.run_for(Duration::from_secs(100));
    Scene { harness, dead }
}

impl Scene {
    /// The status of Ready, the taints, and the pods that are not marked for deletion, ready ones with `+`.
    fn show(&self) -> String {
        let node = self.harness.view().get::<Node>(&ObjectKey::new("", "a")).expect("the node");
        let ready = health::condition(&node, "Ready").map_or("", |ready| &ready.status).to_owned();
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let taints = taints
            .iter()
            .map(|t| format!("{}:{}", t.key.trim_start_matches("node.kubernetes.io/"), t.effect));
        let pods = self.harness.list::<Pod>();
        let pods = pods.iter().filter(|pod| !pod.is_deleting()).map(|pod| {
            let status = pod.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
            format!("{}{}", pod.name(), if ready { "+" } else { "" })
        });
        [ready].into_iter().chain(taints).chain(pods).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_silent_node_loses_its_pods_in_time() {
    for seed in 0..5 {
        let mut scene = scene(seed);
        assert_eq!(scene.show(), "True hasty+ patient+");
        scene.dead.lock().insert("a".to_owned());
        scene.harness.run_for(Duration::from_secs(29));
        assert_eq!(scene.show(), "True hasty+ patient+");
        scene.harness.run_for(Duration::from_secs(12));
        assert_eq!(scene.show(), "Unknown unreachable:NoSchedule unreachable:NoExecute hasty patient");
        scene.harness.run_for(Duration::from_secs(20));
        assert_eq!(scene.show(), "Unknown unreachable:NoSchedule unreachable:NoExecute patient");
        scene.harness.run_for(Duration::from_secs(269));
        assert_eq!(scene.show(), "Unknown unreachable:NoSchedule unreachable:NoExecute patient");
        scene.harness.run_for(Duration::from_secs(15));
        assert_eq!(scene.show(), "Unknown unreachable:NoSchedule unreachable:NoExecute");
        let node = scene.harness.view().get::<Node>(&ObjectKey::new("", "a")).expect("the node");
        let ready = health::condition(&node, "Ready").expect("a condition");
        assert_eq!(ready.reason.as_deref(), Some("NodeStatusUnknown"));
        assert_eq!(ready.message.as_deref(), Some("Kubelet stopped posting node status."));
        let events: Vec<String> =
            scene.harness.list::<Event>().iter().filter_map(|event| event.reason.clone()).collect();
        assert_eq!(events.iter().filter(|reason| *reason == "TaintManagerEviction").count(), 2, "{events:?}");
    }
}

#[test]
fn a_node_that_comes_back_keeps_its_pods() {
    let mut scene = scene(7);
    scene.dead.lock().insert("a".to_owned());
    scene.harness.run_for(Duration::from_secs(45));
    assert_eq!(scene.show(), "Unknown unreachable:NoSchedule unreachable:NoExecute hasty patient");
    scene.dead.lock().clear();
    scene.harness.run_for(Duration::from_secs(15));
    assert_eq!(scene.show(), "True hasty patient");
    scene.harness.run_for(Duration::from_secs(600));
    assert_eq!(scene.show(), "True hasty patient");
}

#[test]
fn a_taint_of_the_user_makes_pods_leave_at_once() {
    let mut scene = scene(9);
    scene.harness.change::<Node>(&ObjectKey::new("", "a"), Face::Main, |node| {
        let taint = Taint { key: "k".to_owned(), effect: "NoExecute".to_owned(), ..Taint::default() };
        node.spec.get_or_insert_default().taints = Some(vec![taint]);
    });
    scene.harness.settle();
    assert_eq!(scene.show(), "True k:NoExecute");
    // A pod that comes to such a node leaves too.
    let mut late = pod("default", "late", 1);
    late["spec"]["nodeName"] = json!("a");
    scene.harness.create(late).expect("a pod");
    scene.harness.settle();
    assert_eq!(scene.show(), "True k:NoExecute");
}
