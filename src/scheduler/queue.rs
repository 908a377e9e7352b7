//! The pods that wait for a node: which is next, which wait a while, which wait for something to change.
//!
//! Pure: time is passed in. Owns the order (priority, then creation, then arrival) and the back-off. Invariant:
//! a pod stands in exactly one of the sets, the one that its state names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::pod::PodInfo;
use crate::api::ObjectKey;
use crate::limits::{SCHEDULER_BACKOFF_FIRST, SCHEDULER_BACKOFF_MOST};
use crate::world::Moment;

/// The place of a pod in the order: the least is next.
type Rank = (Reverse<i32>, i64, u64);

/// A pod as it enters the queue.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    pub key: ObjectKey,
    pub uid: Arc<str>,
    pub priority: i32,
    /// When it was created, in seconds since 1970.
    pub created: i64,
    /// Whether somebody still holds it back (`spec.schedulingGates`).
    pub gated: bool,
}

enum State {
    /// To be tried.
    Active,
    /// To be tried at a moment; sooner, when nobody else is to be tried, unless it waits for an error to pass.
    BackingOff(Moment, bool),
    /// Not to be tried before something changes.
    Unschedulable(Arc<PodInfo>, bool),
    /// Not to be tried before its gates are gone.
    Gated,
}

struct Entry {
    uid: Arc<str>,
    rank: Rank,
    attempts: u32,
    /// When its back-off ends.
    rested: Moment,
    state: State,
}

#[derive(Default)]
pub(super) struct PodQueue {
    entries: BTreeMap<ObjectKey, Entry>,
    active: BTreeSet<(Rank, ObjectKey)>,
    backing_off: BTreeSet<(Moment, Rank, ObjectKey)>,
    failing: BTreeSet<(Moment, Rank, ObjectKey)>,
    unschedulable: BTreeSet<(Rank, ObjectKey)>,
    arrived: u64,
}

/// A pod that was taken out to be tried.
#[derive(Debug, PartialEq)]
pub(super) struct Tried {
    pub key: ObjectKey,
    pub uid: Arc<str>,
}

impl PodQueue {
    /// A pod is there, or has changed in what matters: it is to be tried, unless it is gated.
    pub fn put(&mut self, pod: Waiting) {
        let old = self.forget(&pod.key).filter(|old| old.uid == pod.uid);
        let arrived = old.as_ref().map_or_else(
            || {
                self.arrived += 1;
                self.arrived
            },
            |old| old.rank.2,
        );
        let rank = (Reverse(pod.priority), pod.created, arrived);
        let state = if pod.gated { State::Gated } else { State::Active };
        let (attempts, rested) = old.map_or((0, Moment::default()), |old| (old.attempts, old.rested));
        self.insert(pod.key, Entry { uid: pod.uid, rank, attempts, rested, state });
    }

    /// A pod needs no node any more.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.forget(key);
    }

    /// What was last found out about a pod that waits for a change.
    pub fn found(&self, key: &ObjectKey) -> Option<&Arc<PodInfo>> {
        match &self.entries.get(key)?.state {
            State::Unschedulable(info, _) => Some(info),
            _ => None,
        }
    }

    /// Whether this pod waits here.
    pub fn holds(&self, key: &ObjectKey, uid: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| *entry.uid == *uid)
    }

    /// Whether this pod waits for its gates.
    pub fn is_gated(&self, key: &ObjectKey) -> bool {
        self.entries.get(key).is_some_and(|entry| matches!(entry.state, State::Gated))
    }

    /// The next pod to try. It stays in the queue, as one that waits for an error to pass, so that a panic on
    /// the way does not lose it and does not bring it back at once.
    pub fn take(&mut self, now: Moment) -> Option<Tried> {
        self.expire(now);
        let key = match self.active.first() {
            Some((_, key)) => key.clone(),
            // Nobody else is to be tried, so there is no reason to let this one wait.
            None => self.backing_off.first()?.2.clone(),
        };
        let mut entry = self.forget(&key)?;
        entry.attempts += 1;
        let doubled = SCHEDULER_BACKOFF_FIRST.saturating_mul(1 << (entry.attempts - 1).min(16));
        entry.rested = now.after(doubled.min(SCHEDULER_BACKOFF_MOST));
        entry.state = State::BackingOff(entry.rested, true);
        let uid = entry.uid.clone();
        self.insert(key.clone(), entry);
        Some(Tried { key, uid })
    }

    /// No node takes a pod that was tried. `any_change` says that any change anywhere may help it.
    pub fn wait_for_change(&mut self, key: &ObjectKey, info: Arc<PodInfo>, any_change: bool) {
        let Some(mut entry) = self.forget(key) else { return };
        entry.state = State::Unschedulable(info, any_change);
        self.insert(key.clone(), entry);
    }

    /// The pods that wait for a change, most urgent first, each with whether any change may help it.
    pub fn waiting(&self) -> impl Iterator<Item = (&Arc<PodInfo>, bool)> {
        self.unschedulable.iter().filter_map(|(_, key)| match &self.entries.get(key)?.state {
            State::Unschedulable(info, any_change) => Some((info, *any_change)),
            _ => None,
        })
    }

    /// A change may help a pod that waits for one: it is to be tried once its back-off is over.
    pub fn retry(&mut self, key: &ObjectKey, now: Moment) {
        let Some(mut entry) = self.forget(key) else { return };
        entry.state = if entry.rested > now { State::BackingOff(entry.rested, false) } else { State::Active };
        self.insert(key.clone(), entry);
    }

    /// When the next pod is to be tried: at once, after a while, or not before something changes.
    pub fn next(&self, now: Moment) -> Option<Duration> {
        if !self.active.is_empty() || !self.backing_off.is_empty() {
            return Some(Duration::ZERO);
        }
        self.failing.first().map(|(at, ..)| at.since(now))
    }

    /// Whether nobody is to be tried at this moment.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty() && self.backing_off.is_empty()
    }

    fn expire(&mut self, now: Moment) {
        for failing in [true, false] {
            loop {
                let set = if failing { &self.failing } else { &self.backing_off };
                let Some((at, _, key)) = set.first() else { break };
                if *at > now {
                    break;
                }
                let key = key.clone();
                let Some(mut entry) = self.forget(&key) else { break };
                entry.state = State::Active;
                self.insert(key, entry);
            }
        }
    }

    fn insert(&mut self, key: ObjectKey, entry: Entry) {
        match &entry.state {
            State::Active => self.active.insert((entry.rank, key.clone())),
            State::BackingOff(at, true) => self.failing.insert((*at, entry.rank, key.clone())),
            State::BackingOff(at, false) => self.backing_off.insert((*at, entry.rank, key.clone())),
            State::Unschedulable(..) => self.unschedulable.insert((entry.rank, key.clone())),
            State::Gated => true,
        };
        self.entries.insert(key, entry);
    }

    fn forget(&mut self, key: &ObjectKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        match &entry.state {
            State::Active => self.active.remove(&(entry.rank, key.clone())),
            State::BackingOff(at, true) => self.failing.remove(&(*at, entry.rank, key.clone())),
            State::BackingOff(at, false) => self.backing_off.remove(&(*at, entry.rank, key.clone())),
            State::Unschedulable(..) => self.unschedulable.remove(&(entry.rank, key.clone())),
            State::Gated => true,
        };
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script of one letter a step over pods `name:priority:created` and answers what was taken.
    ///
    /// `+a:0:5` puts, `-a` removes, `t` takes, `u` lets the last taken wait for a change, `r a` retries, `>500`
    /// lets milliseconds pass.
    fn check(script: &str, expected: &str) {
        let mut queue = PodQueue::default();
        let mut now = Moment::default();
        let mut taken = Vec::new();
        for step in script.split_whitespace() {
            let (verb, rest) = step.split_at(1);
            let key = ObjectKey::new("n", rest.split(':').next().unwrap_or_default());
            match verb {
                "+" | "g" => {
                    let mut parts = rest.split(':').skip(1).map(|part| part.parse::<i64>().unwrap());
                    queue.put(Waiting {
                        key,
                        uid: Arc::from(rest),
                        priority: parts.next().unwrap_or(0) as i32,
                        created: parts.next().unwrap_or(0),
                        gated: verb == "g",
                    });
                }
                "-" => queue.remove(&key),
                "t" => {
                    let tried = queue.take(now);
                    taken.push(tried.map_or("none".to_owned(), |tried| tried.key.name().to_owned()));
                }
                "u" => {
                    let key = ObjectKey::new("n", taken.last().unwrap());
                    queue.wait_for_change(&key, Arc::new(PodInfo::new(&Arc::default())), false);
                }
                "r" => queue.retry(&key, now),
                ">" => now = now.after(Duration::from_millis(rest.parse().unwrap())),
                "n" => taken.push(queue.next(now).map_or("never".to_owned(), |d| d.as_millis().to_string())),
                _ => panic!("{step}"),
            }
        }
        assert_eq!(taken.join(" "), expected, "{script}");
    }

    #[test]
    fn pods_are_taken_in_order_and_wait_their_time() {
        check("t n", "none never");
        check("+a +b +c t t t t", "a b c none");
        check("+a:0:9 +b:0:5 +c:7:9 t t t", "c b a");
        check("+a:-1 +b:0 t t", "b a");
        check("+a +b -a t t", "b none");
        check("+a ga t n", "none never");
        check("ga +a t", "a");
        // Unless told otherwise, a pod that was taken waits for an error to pass: one second, two, four.
        check("+a t n t >1000 t n >2000 t n", "a 1000 none a 2000 a 4000");
        check("+a t >1000 t >2000 t >4000 t >8000 t n", "a a a a a 10000");
        // One that waits for a change comes at once when nobody else is there, and else after its back-off.
        check("+a t u n ra n t", "a never 0 a");
        check("+a t u ra +b t t", "a b a");
        check("+a t u >1000 ra +b t t", "a a b");
        check("+a t u +a:0:0 n", "a 0");
        check("+a t u -a ra t", "a none");
    }
}
