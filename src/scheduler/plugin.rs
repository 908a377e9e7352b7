//! The plug points: what may keep a pod from a node, and what makes one node better than another.
//!
//! Owns the traits [`Filter`] and [`Score`] and the list of those in use, the [`Profile`]. Invariant: a plug-in
//! sees one pod, one node and their use, changes nothing, and is called in the order of the list.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::node::NodeInfo;
use super::plugins;
use super::pod::PodInfo;

/// The highest score that a node can get from one [`Score`], after normalising.
pub const MOST_SCORE: i64 = 100;

/// Why a node does not take a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// One half sentence each, as users read them after the number of nodes.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether the node would take the pod if it had fewer other pods.
    pub resolvable: bool,
}

impl Rejection {
    /// The node would take the pod if other pods left.
    pub fn resolvable(reason: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection { reasons: vec![reason.into()], resolvable: true }
    }

    /// The node does not take the pod, whatever other pods do.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Rejection {
        Rejection { reasons: vec![reason.into()], resolvable: false }
    }
}

/// May keep a pod from a node.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use coracle::scheduler::{Filter, NodeInfo, PodInfo, Profile, Rejection, Scheduler};
///
/// /// Keeps pods of the namespace `batch` off nodes with fewer than eight cores.
/// #[derive(Debug)]
/// struct BigNodes;
///
/// impl Filter for BigNodes {
///     fn name(&self) -> &str {
///         "BigNodes"
///     }
///
///     fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
///         if pod.key.namespace() == "batch" && node.allocatable.milli_cpu < 8000 {
///             return Err(Rejection::unresolvable("node(s) were too small for a batch"));
///         }
///         Ok(())
///     }
/// }
///
/// let scheduler = Scheduler::new(Profile::default().with_filter(Arc::new(BigNodes)));
/// ```
pub trait Filter: Send + Sync + fmt::Debug {
    /// Its name, in logs.
    fn name(&self) -> &str;

    /// Whether the node takes the pod, as far as this filter goes.
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;

    /// The only nodes that can pass for this pod, where that is known beforehand.
    fn candidates<'p>(&self, pod: &'p PodInfo) -> Option<Vec<&'p str>> {
        let _ = pod;
        None
    }

    /// Whether what it says of a node depends on that node alone. A pod that was rejected by one that looks
    /// further is tried again whenever anything changed anywhere.
    fn is_local(&self) -> bool {
        true
    }
}

/// Makes one node better than another.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use coracle::scheduler::{NodeInfo, PodInfo, Profile, Scheduler, Score};
///
/// /// Likes full nodes, so that empty ones can be switched off.
/// #[derive(Debug)]
/// struct Packed;
///
/// impl Score for Packed {
///     fn name(&self) -> &str {
///         "Packed"
///     }
///
///     fn score(&self, _pod: &PodInfo, node: &NodeInfo) -> i64 {
///         (100 * node.taken.pods / node.allowed_pods.max(1)) as i64
///     }
/// }
///
/// let scheduler = Scheduler::new(Profile::default().with_score(Arc::new(Packed), 5));
/// ```
pub trait Score: Send + Sync + fmt::Debug {
    /// Its name, in logs.
    fn name(&self) -> &str;

    /// Whether it has nothing to say about this pod.
    fn skips(&self, pod: &PodInfo) -> bool {
        let _ = pod;
        false
    }

    /// The score of a node, the higher the better.
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64;

    /// Brings the scores of all nodes into the range from 0 to [`MOST_SCORE`].
    fn normalise(&self, scores: &mut [i64]) {
        let _ = scores;
    }
}

/// Stretches scores so that the highest is [`MOST_SCORE`]; `reversed` makes the lowest the best.
pub fn stretch(scores: &mut [i64], reversed: bool) {
    let most = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        *score = if most > 0 { MOST_SCORE * *score / most } else { *score };
        if reversed {
            *score = MOST_SCORE - *score;
        }
    }
}

/// The filters and scores in use.
#[derive(Clone, Debug)]
pub struct Profile {
    pub(super) filters: Vec<Arc<dyn Filter>>,
    /// Each with its weight.
    pub(super) scores: Vec<(Arc<dyn Score>, i64)>,
    /// The percentage of a large cluster's nodes that is scored; `None` adapts to the size.
    pub(super) percentage: Option<usize>,
}

impl Default for Profile {
    /// The built-in ones, with upstream's order and weights.
    fn default() -> Self {
        Profile {
            filters: vec![
                Arc::new(plugins::NodeUnschedulable),
                Arc::new(plugins::NodeName),
                Arc::new(plugins::TaintToleration),
                Arc::new(plugins::NodeAffinity),
                Arc::new(plugins::NodePorts),
                Arc::new(plugins::NodeResourcesFit),
            ],
            scores: vec![
                (Arc::new(plugins::TaintToleration), 3),
                (Arc::new(plugins::NodeAffinity), 2),
                (Arc::new(plugins::NodeResourcesFit), 1),
                (Arc::new(plugins::BalancedAllocation), 1),
            ],
            percentage: None,
        }
    }
}

impl Profile {
    /// With one more filter, after the others.
    pub fn with_filter(mut self, filter: Arc<dyn Filter>) -> Profile {
        self.filters.push(filter);
        self
    }

    /// With one more score, of this weight.
    pub fn with_score(mut self, score: Arc<dyn Score>, weight: i64) -> Profile {
        self.scores.push((score, weight));
        self
    }

    /// Without the filter and the score of this name.
    pub fn without(mut self, name: &str) -> Profile {
        self.filters.retain(|filter| filter.name() != name);
        self.scores.retain(|(score, _)| score.name() != name);
        self
    }

    /// Looks in a large cluster for this percentage of its nodes before it scores them.
    pub fn percentage_of_nodes(mut self, percentage: usize) -> Profile {
        self.percentage = Some(percentage.clamp(1, 100));
        self
    }
}
