//! Likes nodes whose cpu and memory would be taken in like measure, and that the pod makes more so.

use crate::scheduler::plugin::MOST_SCORE;
use crate::scheduler::resources::Resources;
use crate::scheduler::{NodeInfo, PodInfo, Score};

/// Compares the balance of a node with the pod to that without it.
#[derive(Clone, Copy, Debug)]
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn name(&self) -> &str {
        "NodeResourcesBalancedAllocation"
    }

    fn skips(&self, pod: &PodInfo) -> bool {
        let asked = &pod.usage.requests.exact;
        asked.milli_cpu == 0 && asked.memory == 0
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (asked, taken) = (&pod.usage.requests.exact, &node.taken.exact);
        let given = &node.allocatable;
        let without = balance(taken.milli_cpu, taken.memory, given);
        let with = balance(taken.milli_cpu + asked.milli_cpu, taken.memory + asked.memory, given);
        MOST_SCORE / 2 + (MOST_SCORE / 2 + with - without) / 2
    }
}

/// 100 where both are taken in like measure, 50 where one is whole and the other is free.
fn balance(milli_cpu: i64, memory: i64, given: &Resources) -> i64 {
    if given.milli_cpu == 0 || given.memory == 0 {
        return MOST_SCORE;
    }
    let part = |taken: i64, given: i64| (taken as f64 / given as f64).min(1.0);
    let deviation = (part(milli_cpu, given.milli_cpu) - part(memory, given.memory)).abs() / 2.0;
    ((1.0 - deviation) * MOST_SCORE as f64) as i64
}
