//! Keeps pods off nodes that are marked unschedulable, unless they bear that mark's taint.

use k8s_openapi::api::core::v1::Taint;

use crate::api::taints::{NO_SCHEDULE, UNSCHEDULABLE, tolerates};
use crate::scheduler::{Filter, NodeInfo, PodInfo, Rejection};

/// Looks at `spec.unschedulable` of nodes.
#[derive(Clone, Copy, Debug)]
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &str {
        "NodeUnschedulable"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.unschedulable {
            return Ok(());
        }
        let taint = Taint {
            key: UNSCHEDULABLE.to_owned(),
            effect: NO_SCHEDULE.to_owned(),
            value: None,
            time_added: None,
        };
        if pod.tolerations.iter().any(|toleration| tolerates(toleration, &taint)) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) were unschedulable"))
    }
}
