//! Which node a pod gets, or why it gets none.
//!
//! Pure: a snapshot, a pod and one random number in, a [`Decision`] out. Invariant: the same three give the same
//! decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cluster::ClusterSnapshot;
use super::node::NodeInfo;
use super::plugin::{Filter, Profile, Rejection};
use super::pod::PodInfo;
use crate::limits::{SCHEDULER_FEASIBLE_LEAST, SCHEDULER_PERCENT_LEAST};

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// To this node.
    Node(Arc<str>),
    /// Nowhere.
    Unschedulable(Diagnosis),
}

/// Why no node takes a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// How many nodes there are.
    pub nodes: usize,
    /// Why each node that was looked at does not take the pod.
    pub rejections: Vec<(Arc<str>, Rejection)>,
    /// The filters that ruled out the other nodes beforehand.
    pub narrowed_by: Vec<String>,
    /// Whether one of the filters that rejected looks further than one node.
    pub looks_further: bool,
    never_preempts: bool,
}

impl Diagnosis {
    /// The sentence that users read, in upstream's words. Its last part is what upstream says where preemption
    /// finds nobody to evict.
    pub fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let beforehand = self.nodes - self.rejections.len();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, rejection) in &self.rejections {
            for reason in &rejection.reasons {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        let narrowed = format!("node(s) didn't satisfy plugin(s) [{}]", self.narrowed_by.join(" "));
        if beforehand > 0 {
            reasons.insert(&narrowed, beforehand);
        }
        let filters = format!("0/{} nodes are available:{}", self.nodes, histogram(&reasons));
        if self.never_preempts {
            return format!("{filters} preemption: not eligible due to preemptionPolicy=Never.");
        }
        let resolvable = self.rejections.iter().filter(|(_, rejection)| rejection.resolvable).count();
        let mut victims: BTreeMap<&str, usize> = BTreeMap::new();
        if resolvable > 0 {
            victims.insert("No preemption victims found for incoming pod", resolvable);
        }
        if self.nodes > resolvable {
            victims.insert("Preemption is not helpful for scheduling", self.nodes - resolvable);
        }
        format!("{filters} preemption: 0/{} nodes are available:{}", self.nodes, histogram(&victims))
    }
}

/// ` 1 this, 2 that.`, sorted as text, as upstream sorts it.
fn histogram(reasons: &BTreeMap<&str, usize>) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let mut parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort_unstable();
    format!(" {}.", parts.join(", "))
}

/// How many feasible nodes are enough in a cluster of this size.
fn enough(nodes: usize, percentage: Option<usize>) -> usize {
    if nodes < SCHEDULER_FEASIBLE_LEAST {
        return nodes;
    }
    let adapted = 50usize.saturating_sub(nodes / 125).max(SCHEDULER_PERCENT_LEAST);
    (nodes * percentage.unwrap_or(adapted) / 100).max(SCHEDULER_FEASIBLE_LEAST)
}

impl Profile {
    /// Decides where a pod goes. `draw` is a random number: it chooses where a large cluster's search begins and
    /// which of equally good nodes is taken.
    pub fn decide(&self, cluster: &ClusterSnapshot, pod: &PodInfo, draw: u64) -> Decision {
        let all = cluster.nodes();
        let mut diagnosis = Diagnosis { nodes: all.len(), ..Diagnosis::default() };
        let nodes = self.candidates(cluster, pod, &mut diagnosis);
        let count = nodes.as_ref().map_or(all.len(), Vec::len);
        let enough = enough(count, self.percentage);
        let start = if enough < count { (draw >> 32) as usize % count } else { 0 };
        let mut feasible: Vec<&NodeInfo> = Vec::new();
        for at in 0..count {
            let at = (start + at) % count;
            let node = nodes.as_ref().map_or_else(|| &all[at], |nodes| nodes[at]);
            match self.filter(pod, node) {
                Ok(()) => feasible.push(node),
                Err((further, rejection)) => {
                    diagnosis.looks_further |= further;
                    diagnosis.rejections.push((node.name.clone(), rejection));
                }
            }
            if feasible.len() >= enough {
                break;
            }
        }
        match feasible[..] {
            [] => {
                diagnosis.never_preempts = pod.never_preempts;
                Decision::Unschedulable(diagnosis)
            }
            [only] => Decision::Node(only.name.clone()),
            _ => Decision::Node(self.best(pod, &feasible, draw)),
        }
    }

    /// The nodes that filters name beforehand, if any does.
    fn candidates<'c>(
        &self,
        cluster: &'c ClusterSnapshot,
        pod: &PodInfo,
        diagnosis: &mut Diagnosis,
    ) -> Option<Vec<&'c NodeInfo>> {
        let mut kept: Option<Vec<&str>> = None;
        for filter in &self.filters {
            let Some(mut names) = filter.candidates(pod) else { continue };
            names.sort_unstable();
            names.dedup();
            if let Some(kept) = &kept {
                names.retain(|name| kept.contains(name));
            }
            kept = Some(names);
            diagnosis.narrowed_by.push(filter.name().to_owned());
        }
        diagnosis.narrowed_by.sort_unstable();
        Some(kept?.into_iter().filter_map(|name| cluster.node(name)).collect())
    }

    /// Holds one node against every filter; with the first rejection, whether its filter looks further.
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), (bool, Rejection)> {
        for filter in &self.filters {
            filter.filter(pod, node).map_err(|rejection| (!filter.is_local(), rejection))?;
        }
        Ok(())
    }

    /// Whether a node takes a pod.
    pub fn takes(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let named = |filter: &Arc<dyn Filter>| {
            filter.candidates(pod).is_none_or(|names| names.contains(&&*node.name))
        };
        self.filter(pod, node).is_ok() && self.filters.iter().all(named)
    }

    /// The best of the feasible nodes; among equals the one drawn.
    fn best(&self, pod: &PodInfo, feasible: &[&NodeInfo], draw: u64) -> Arc<str> {
        let totals = self.totals(pod, feasible);
        let most = totals.iter().copied().max().unwrap_or(0);
        let ties = totals.iter().filter(|total| **total == most).count().max(1);
        let chosen = (draw & 0xFFFF_FFFF) as usize % ties;
        let mut best = totals.iter().zip(feasible).filter(|(total, _)| **total == most);
        best.nth(chosen).map_or_else(|| feasible[0].name.clone(), |(_, node)| node.name.clone())
    }

    fn totals(&self, pod: &PodInfo, feasible: &[&NodeInfo]) -> Vec<i64> {
        let mut totals = vec![0i64; feasible.len()];
        let mut scores = Vec::with_capacity(feasible.len());
        for (score, weight) in self.scores.iter().filter(|(score, _)| !score.skips(pod)) {
            scores.clear();
            scores.extend(feasible.iter().map(|node| score.score(pod, node)));
            score.normalise(&mut scores);
            for (total, score) in totals.iter_mut().zip(&scores) {
                *total = total.saturating_add(weight.saturating_mul(*score));
            }
        }
        totals
    }

    /// The total score of each node that takes the pod, to explain a decision.
    pub fn scores(&self, cluster: &ClusterSnapshot, pod: &PodInfo) -> Vec<(Arc<str>, i64)> {
        let feasible: Vec<&NodeInfo> =
            cluster.nodes().iter().filter(|node| self.filter(pod, node).is_ok()).collect();
        let totals = self.totals(pod, &feasible);
        feasible.iter().map(|node| node.name.clone()).zip(totals).collect()
    }
}
