//! Keeps pods off nodes whose taints they do not bear, and likes nodes with few taints that only ask.

use crate::api::taints::{NO_EXECUTE, NO_SCHEDULE, PREFER_NO_SCHEDULE, first_untolerated, tolerates};
use crate::scheduler::plugin::stretch;
use crate::scheduler::{Filter, NodeInfo, PodInfo, Rejection, Score};

/// Holds taints of nodes against tolerations of pods.
#[derive(Clone, Copy, Debug)]
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> &str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match first_untolerated(&node.taints, &pod.tolerations, &[NO_SCHEDULE, NO_EXECUTE]) {
            Some(_) => Err(Rejection::unresolvable("node(s) had untolerated taint(s)")),
            None => Ok(()),
        }
    }
}

impl Score for TaintToleration {
    fn name(&self) -> &str {
        "TaintToleration"
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let unwelcome = node.taints.iter().filter(|taint| {
            taint.effect == PREFER_NO_SCHEDULE
                && !pod.tolerations.iter().any(|toleration| tolerates(toleration, taint))
        });
        unwelcome.count() as i64
    }

    fn normalise(&self, scores: &mut [i64]) {
        stretch(scores, true);
    }
}
