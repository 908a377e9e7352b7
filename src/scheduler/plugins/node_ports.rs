//! Keeps a pod off nodes where a port of the host that it wants is taken.

use crate::scheduler::{Filter, NodeInfo, PodInfo, Rejection};

/// Looks at `hostPort` of containers.
#[derive(Clone, Copy, Debug)]
pub struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> &str {
        "NodePorts"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if pod.usage.ports.iter().any(|port| node.taken.has_port(port)) {
            return Err(Rejection::resolvable("node(s) didn't have free ports for the requested pod ports"));
        }
        Ok(())
    }
}
