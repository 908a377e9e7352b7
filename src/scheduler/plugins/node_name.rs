//! Keeps a pod that names its node off all others.

use crate::scheduler::{Filter, NodeInfo, PodInfo, Rejection};

/// Looks at `spec.nodeName` of pods.
#[derive(Clone, Copy, Debug)]
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &str {
        "NodeName"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match &pod.node_name {
            Some(name) if **name != *node.name => {
                Err(Rejection::unresolvable("node(s) didn't match the requested node name"))
            }
            _ => Ok(()),
        }
    }
}
