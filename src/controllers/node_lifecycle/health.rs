//! What a node's conditions and taints must be, and what becomes of its pods' readiness.
//!
//! Pure. Invariant: a taint that this controller knows is on a node exactly if the condition or field that it
//! stands for says so; taints of others are left alone.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::meta::time_now_meta;
use crate::api::taints::{NO_EXECUTE, NO_SCHEDULE, NOT_READY, UNREACHABLE, UNSCHEDULABLE};

/// The conditions that a node reports itself: they are unknown when it is lost.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Condition, its status, and the taint that stands for it.
const TAINTED: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// A condition of a node.
pub(super) fn condition<'n>(node: &'n Node, type_: &str) -> Option<&'n NodeCondition> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref());
    conditions.unwrap_or_default().iter().find(|condition| condition.type_ == type_)
}

/// The node as one that has not been heard of; `None` if its status says so already.
pub(super) fn lost(node: &Node, now: Timestamp) -> Option<Node> {
    let now = time_now_meta(now);
    let mut lost = node.clone();
    let created = node.metadata.creation_timestamp.clone();
    let conditions = lost.status.get_or_insert_default().conditions.get_or_insert_default();
    let mut changed = false;
    for type_ in REPORTED {
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            Some(condition) if condition.status == "Unknown" => continue,
            Some(condition) => {
                condition.status = "Unknown".to_owned();
                condition.reason = Some("NodeStatusUnknown".to_owned());
                condition.message = Some("Kubelet stopped posting node status.".to_owned());
                condition.last_transition_time = Some(now.clone());
            }
            None => conditions.push(NodeCondition {
                type_: type_.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: created.clone(),
                last_transition_time: Some(now.clone()),
            }),
        }
        changed = true;
    }
    changed.then_some(lost)
}

/// The node with the taints that its conditions and its field `unschedulable` ask for; `None` if it has them.
pub(super) fn tainted(node: &Node, now: Timestamp) -> Option<Node> {
    let spec = node.spec.clone().unwrap_or_default();
    let old = spec.taints.clone().unwrap_or_default();
    let is = |type_: &str, status: &str| condition(node, type_).is_some_and(|c| c.status == status);
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (type_, status, key) in TAINTED {
        if is(type_, status) {
            wanted.push((key, NO_SCHEDULE));
            if type_ == "Ready" {
                wanted.push((key, NO_EXECUTE));
            }
        }
    }
    if spec.unschedulable == Some(true) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    let ours = |taint: &Taint| match (taint.key.as_str(), taint.effect.as_str()) {
        (NOT_READY | UNREACHABLE, NO_EXECUTE) => true,
        (key, NO_SCHEDULE) => key == UNSCHEDULABLE || TAINTED.iter().any(|(.., known)| *known == key),
        _ => false,
    };
    let is_wanted = |taint: &Taint| wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let mut new: Vec<Taint> = old.iter().filter(|taint| !ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in &wanted {
        if !new.iter().any(|taint| taint.key == *key && taint.effect == *effect) {
            new.push(Taint {
                key: (*key).to_owned(),
                effect: (*effect).to_owned(),
                value: None,
                time_added: Some(time_now_meta(now)),
            });
        }
    }
    if new == old {
        return None;
    }
    let mut node = node.clone();
    node.spec.get_or_insert_default().taints = (!new.is_empty()).then_some(new);
    Some(node)
}

/// The pod as one that is not ready; `None` if it is not ready already, or has never said.
pub(super) fn unready(pod: &Pod, now: Timestamp) -> Option<Pod> {
    let mut pod = pod.clone();
    let conditions = pod.status.as_mut()?.conditions.as_mut()?;
    let ready = conditions.iter_mut().find(|condition| condition.type_ == "Ready")?;
    if ready.status == "False" {
        return None;
    }
    ready.status = "False".to_owned();
    ready.last_transition_time = Some(Time(crate::api::meta::whole_seconds(now)));
    Some(pod)
}
