//! The cluster as the scheduler sees it: a fold over nodes and placed pods.
//!
//! Owns [`ClusterSnapshot`]. Invariant: it equals what observing the present objects anew would give; pods that
//! were bound a moment ago are in it before their change is observed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{NodeInfo, Taken};
use super::pod::Usage;
use crate::api::ObjectKey;

/// Where a pod is and what it takes there.
#[derive(Clone, Debug, PartialEq)]
struct Placed {
    uid: Arc<str>,
    node: Arc<str>,
    usage: Arc<Usage>,
}

/// Nodes with their use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSnapshot {
    /// Sorted by name.
    nodes: Vec<NodeInfo>,
    /// What pods take of nodes that are not there (yet, or any more).
    absent: BTreeMap<Arc<str>, Taken>,
    pods: BTreeMap<ObjectKey, Placed>,
}

impl ClusterSnapshot {
    /// The nodes, sorted by name.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.find(name).ok().map(|at| &self.nodes[at])
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.nodes.binary_search_by(|node| (*node.name).cmp(name))
    }

    /// A node appeared or changed; what its pods take is kept. Answers whether it offers something else than
    /// before.
    pub fn set_node(&mut self, mut node: NodeInfo) -> bool {
        match self.find(&node.name) {
            Ok(at) => {
                let old = &mut self.nodes[at];
                node.taken = std::mem::take(&mut old.taken);
                let same = old.offers_same(&node);
                *old = node;
                !same
            }
            Err(at) => {
                node.taken = self.absent.remove(&node.name).unwrap_or_default();
                self.nodes.insert(at, node);
                true
            }
        }
    }

    /// A node is gone.
    pub fn remove_node(&mut self, name: &str) {
        let Ok(at) = self.find(name) else { return };
        let node = self.nodes.remove(at);
        if node.taken.pods > 0 {
            self.absent.insert(node.name, node.taken);
        }
    }

    /// Whether this pod is known to be on this node.
    pub fn is_placed(&self, pod: &ObjectKey, uid: &str, node: &str) -> bool {
        self.pods.get(pod).is_some_and(|placed| *placed.uid == *uid && *placed.node == *node)
    }

    /// A pod is on a node.
    pub fn place(&mut self, pod: &ObjectKey, uid: &Arc<str>, node: &str, usage: Arc<Usage>) {
        self.remove(pod);
        let node = self.find(node).map_or_else(|_| Arc::from(node), |at| self.nodes[at].name.clone());
        self.taken(&node).add(&usage);
        self.pods.insert(pod.clone(), Placed { uid: uid.clone(), node, usage });
    }

    /// A pod is gone or has ended. Answers the node that it was on.
    pub fn remove(&mut self, pod: &ObjectKey) -> Option<Arc<str>> {
        let placed = self.pods.remove(pod)?;
        let taken = self.taken(&placed.node);
        taken.remove(&placed.usage);
        if taken.pods == 0 {
            self.absent.remove(&placed.node);
        }
        Some(placed.node)
    }

    fn taken(&mut self, node: &Arc<str>) -> &mut Taken {
        match self.find(node) {
            Ok(at) => &mut self.nodes[at].taken,
            Err(_) => self.absent.entry(node.clone()).or_default(),
        }
    }
}
