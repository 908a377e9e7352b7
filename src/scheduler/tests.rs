//! What the scheduler decides: tables of cluster, pod and decision, the fold against its rebuilding, and whole
//! schedulers in simulation.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Map, Value, json};

use super::*;
use crate::world::{Entropy, SeededEntropy};

mod decisions;
mod folds;
mod simulated;

/// A node from a short form: `cpu`, `memory`, `storage`, `gpu`, `pods`, `labels`, `taints` (`key=value:Effect`),
/// `off` (unschedulable).
fn node(name: &str, short: &Value) -> Node {
    let mut amounts = Map::new();
    for (word, resource) in RESOURCES {
        if let Some(amount) = short.get(word) {
            amounts.insert(resource.to_owned(), text(amount).into());
        }
    }
    amounts.entry("pods").or_insert("110".into());
    let taints: Vec<Value> = list(short, "taints")
        .map(|taint| {
            let (pair, effect) = taint.split_once(':').expect("a taint has an effect");
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            json!({"key": key, "value": value, "effect": effect})
        })
        .collect();
    let spec = json!({"taints": taints, "unschedulable": short.get("off")});
    let labels = short.get("labels").cloned().unwrap_or(json!({}));
    let status = json!({"allocatable": amounts});
    let whole = json!({"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status});
    serde_json::from_value(whole).expect("a node")
}

const RESOURCES: [(&str, &str); 6] = [
    ("cpu", "cpu"),
    ("memory", "memory"),
    ("storage", "ephemeral-storage"),
    ("gpu", "example.com/gpu"),
    ("huge", "hugepages-2Mi"),
    ("pods", "pods"),
];

/// A pod from a short form: resources as a node's; `on`, `ports` (`80`, `UDP:53@10.0.0.1`), `tolerate`
/// (`key=value:Effect`, `key:Effect`, `*:Effect`), `select`, `must` and `like` (terms), `init`, `sidecars` and `more`
/// (lists of short forms of containers), `overhead`, `whole` (requests of the pod).
fn pod(name: &str, short: &Value) -> Pod {
    let containers = |key: &str, policy: Option<&str>| -> Vec<Value> {
        let given = short.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        given.iter().map(|short| container(short, policy)).collect()
    };
    let mut main = vec![container(short, None)];
    main.extend(containers("more", None));
    let mut init = containers("sidecars", Some("Always"));
    init.extend(containers("init", None));
    init.extend(containers("late_sidecars", Some("Always")));
    let tolerations: Vec<Value> = list(short, "tolerate")
        .map(|toleration| {
            let (pair, effect) = toleration.split_once(':').expect("a toleration has an effect");
            match pair.split_once('=') {
                Some((key, value)) => json!({"key": key, "value": value, "effect": effect}),
                None => json!({"key": pair.replace('*', ""), "operator": "Exists", "effect": effect}),
            }
        })
        .collect();
    let mut spec = json!({
        "containers": main, "initContainers": init, "tolerations": tolerations,
        "nodeName": short.get("on"), "nodeSelector": short.get("select"),
        "preemptionPolicy": short.get("preempt"),
    });
    if let Some(overhead) = short.get("overhead") {
        spec["overhead"] = requests(overhead);
    }
    if let Some(whole) = short.get("whole") {
        spec["resources"] = json!({"requests": requests(whole)});
    }
    let mut affinity = json!({});
    if let Some(terms) = short.get("must") {
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = json!({"nodeSelectorTerms": terms});
    }
    if let Some(terms) = short.get("like") {
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = terms.clone();
    }
    spec["affinity"] = json!({"nodeAffinity": affinity});
    let metadata = json!({"name": name, "namespace": "default", "uid": format!("uid-{name}")});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a pod")
}

fn container(short: &Value, policy: Option<&str>) -> Value {
    let ports: Vec<Value> = list(short, "ports")
        .map(|port| {
            let (port, address) = port.split_once('@').unwrap_or((&port, ""));
            let (protocol, number) = port.split_once(':').unwrap_or(("TCP", port));
            let number: i32 = number.parse().expect("a port");
            json!({"containerPort": 1, "hostPort": number, "protocol": protocol, "hostIP": address})
        })
        .collect();
    let resources = json!({"requests": requests(short)});
    json!({"name": "c", "resources": resources, "ports": ports, "restartPolicy": policy})
}

fn requests(short: &Value) -> Value {
    let given = RESOURCES.iter().filter_map(|(word, name)| Some(((*name).to_owned(), short.get(*word)?)));
    given.map(|(name, amount)| (name, text(amount).into())).collect::<Map<String, Value>>().into()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = String> + 'v {
    value.get(key).and_then(Value::as_array).into_iter().flatten().map(text)
}

fn yaml(source: &str) -> Value {
    serde_yaml::from_str(source).unwrap_or_else(|wrong| panic!("{source}: {wrong}"))
}

/// The cluster of `{name: node}` with the pods of a list.
fn cluster(nodes: &Value, pods: &Value) -> ClusterSnapshot {
    let mut cluster = ClusterSnapshot::default();
    for (name, short) in nodes.as_object().into_iter().flatten() {
        cluster.set_node(NodeInfo::new(&Arc::new(node(name, short))));
    }
    for (at, short) in pods.as_array().into_iter().flatten().enumerate() {
        let info = PodInfo::new(&Arc::new(pod(&format!("placed-{at}"), short)));
        let on = info.node_name.clone().expect("a placed pod is on a node");
        cluster.place(&info.key, &info.uid, &on, info.usage);
    }
    cluster
}

fn info(short: &Value) -> PodInfo {
    PodInfo::new(&Arc::new(pod("new", short)))
}
