//! Keeps pods off nodes without room for them, and likes nodes with much room left.

use std::borrow::Cow;

use crate::scheduler::plugin::MOST_SCORE;
use crate::scheduler::{Filter, NodeInfo, PodInfo, Rejection, Score};

/// Holds requests of pods against what nodes have left.
#[derive(Clone, Copy, Debug)]
pub struct NodeResourcesFit;

impl Filter for NodeResourcesFit {
    fn name(&self) -> &str {
        "NodeResourcesFit"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let (asked, given, taken) = (&pod.usage.requests.exact, &node.allocatable, &node.taken.exact);
        let mut short = Rejection { reasons: Vec::new(), resolvable: true };
        if node.taken.pods + 1 > node.allowed_pods {
            short.reasons.push(Cow::Borrowed("Too many pods"));
        }
        let mut check = |asked: i64, given: i64, taken: i64, reason: &dyn Fn() -> Cow<'static, str>| {
            if asked > 0 && asked > given - taken {
                short.reasons.push(reason());
                short.resolvable &= asked <= given;
            }
        };
        check(asked.milli_cpu, given.milli_cpu, taken.milli_cpu, &|| "Insufficient cpu".into());
        check(asked.memory, given.memory, taken.memory, &|| "Insufficient memory".into());
        let (storage, of) = (asked.ephemeral_storage, given.ephemeral_storage);
        check(storage, of, taken.ephemeral_storage, &|| "Insufficient ephemeral-storage".into());
        for (name, asked) in asked.extended_all() {
            let reason = || format!("Insufficient {name}").into();
            check(asked, given.extended(name), taken.extended(name), &reason);
        }
        if short.reasons.is_empty() { Ok(()) } else { Err(short) }
    }
}

impl Score for NodeResourcesFit {
    fn name(&self) -> &str {
        "NodeResourcesFit"
    }

    /// The mean of what is left of cpu and of memory, in percent.
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (asked, taken) = (&pod.usage.requests.guessed, &node.taken.guessed);
        let parts = [
            (taken.milli_cpu + asked.milli_cpu, node.allocatable.milli_cpu),
            (taken.memory + asked.memory, node.allocatable.memory),
        ];
        let left = parts.iter().filter(|(_, given)| *given > 0).map(|(taken, given)| {
            // Wider than 64 bits: a memory of 2^63 bytes times a hundred must not overflow.
            let left = i128::from((given - taken).max(0)) * i128::from(MOST_SCORE) / i128::from(*given);
            (left as i64, 1)
        });
        let (sum, count) = left.fold((0, 0), |(sum, count), (left, one)| (sum + left, count + one));
        if count == 0 { 0 } else { sum / count }
    }
}
