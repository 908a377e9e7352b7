//! Whether and how long a pod may stay on a node with NoExecute taints.
//!
//! Pure. A pod that says nothing of a node that is not ready or unreachable may stay five minutes: what
//! upstream's admission writes into every pod. Invariant: a pod that bears every taint for ever is never evicted.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition, Taint, Toleration};

use crate::api::meta::time_now_meta;
use crate::api::taints::{NO_EXECUTE, NOT_READY, UNREACHABLE, tolerates};
use crate::limits::NODE_LOSS_TOLERATION_SECONDS;
use crate::reconcile::{EventType, Plan};
use crate::store::Stored;

/// How long a pod may stay, from the moment when it first had to bear a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// Nothing asks it to leave.
    Untouched,
    /// As long as it likes: it bears every taint.
    Ever,
    /// This long.
    For(Duration),
    /// Not at all.
    Not,
}

/// How long a pod may stay on its node.
pub(super) fn stays(pod: &Pod, node: &Node) -> Stay {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let taints: Vec<&Taint> = taints.iter().filter(|taint| taint.effect == NO_EXECUTE).collect();
    if taints.is_empty() {
        return Stay::Untouched;
    }
    let tolerations = with_defaults(pod);
    let mut least: Option<i64> = None;
    for taint in taints {
        let mut borne = false;
        for toleration in tolerations.iter().filter(|toleration| tolerates(toleration, taint)) {
            borne = true;
            if let Some(seconds) = toleration.toleration_seconds {
                least = Some(least.map_or(seconds, |least| least.min(seconds)));
            }
        }
        if !borne {
            return Stay::Not;
        }
    }
    match least {
        None => Stay::Ever,
        Some(seconds) if seconds <= 0 => Stay::Not,
        Some(seconds) => Stay::For(Duration::from_secs(seconds.unsigned_abs())),
    }
}

/// The pod's tolerations, with those for a lost node that upstream's admission would have added.
fn with_defaults(pod: &Pod) -> Vec<Toleration> {
    let mut tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.clone()).unwrap_or_default();
    for key in [NOT_READY, UNREACHABLE] {
        let speaks = |toleration: &Toleration| {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            let (its_key, effect) = (text(&toleration.key), text(&toleration.effect));
            (its_key == key || its_key.is_empty()) && (effect == NO_EXECUTE || effect.is_empty())
        };
        if !tolerations.iter().any(speaks) {
            tolerations.push(Toleration {
                key: Some(key.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some(NO_EXECUTE.to_owned()),
                toleration_seconds: Some(NODE_LOSS_TOLERATION_SECONDS),
                value: None,
            });
        }
    }
    tolerations
}

/// Makes a pod leave: says why in its status, tells users, deletes it with its grace.
pub(super) fn evict(pod: &Stored<Pod>, now: Timestamp) -> Plan {
    let mut plan = Plan::new();
    let condition = PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("DeletionByTaintManager".to_owned()),
        message: Some("Taint manager: deleting due to NoExecute taint".to_owned()),
        last_transition_time: Some(time_now_meta(now)),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    };
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let said = conditions.unwrap_or_default().iter().any(|old| {
        (&old.type_, &old.status, &old.reason) == (&condition.type_, &condition.status, &condition.reason)
    });
    if !said {
        let mut pod = Pod::clone(pod);
        let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
        conditions.retain(|old| old.type_ != condition.type_);
        conditions.push(condition);
        plan.update_status(pod);
    }
    let message = format!("Marking for deletion Pod {}", pod.key());
    plan.event(&**pod, EventType::Normal, "TaintManagerEviction", message);
    plan.delete::<Pod>(pod.key(), pod.uid());
    plan
}
