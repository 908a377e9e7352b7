//! Holds node selectors and node affinity of pods against labels and names of nodes.

use crate::scheduler::plugin::stretch;
use crate::scheduler::{Filter, NodeInfo, PodInfo, Rejection, Score};

/// Looks at `spec.nodeSelector` and `spec.affinity.nodeAffinity` of pods.
#[derive(Clone, Copy, Debug)]
pub struct NodeAffinity;

impl Filter for NodeAffinity {
    fn name(&self) -> &str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let selected = pod.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value));
        if selected && pod.required.as_ref().is_none_or(|terms| terms.matches(node)) {
            return Ok(());
        }
        Err(Rejection::unresolvable("node(s) didn't match Pod's node affinity/selector"))
    }

    fn candidates<'p>(&self, pod: &'p PodInfo) -> Option<Vec<&'p str>> {
        pod.required.as_ref().and_then(|terms| terms.names())
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &str {
        "NodeAffinity"
    }

    fn skips(&self, pod: &PodInfo) -> bool {
        pod.preferred.is_empty()
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        pod.preferred.iter().filter(|term| term.matches(node)).map(|term| term.weight).sum()
    }

    fn normalise(&self, scores: &mut [i64]) {
        stretch(scores, false);
    }
}
