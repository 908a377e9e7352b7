//! The keys of one loop that wait to be worked on: now, later, or once the view has caught up.
//!
//! Pure: time is passed in. Invariants: a key stands in the queue once, however often it is woken; of several
//! timers of a key the earliest counts; a key that is held waits for a revision and is then ready.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MOST, STALE_RETRIES_AT_ONCE};
use crate::store::Revision;
use crate::world::Moment;

/// Collects the keys that a change wakes.
#[derive(Debug)]
pub struct Wakes<K> {
    pub(crate) now: Vec<K>,
    pub(super) later: Vec<(K, Duration)>,
}

impl<K> Default for Wakes<K> {
    fn default() -> Self {
        Wakes { now: Vec::new(), later: Vec::new() }
    }
}

impl<K> Wakes<K> {
    /// This key is to be reconciled.
    pub fn wake(&mut self, key: K) {
        self.now.push(key);
    }

    /// This key is to be reconciled after a while.
    pub fn wake_after(&mut self, key: K, delay: Duration) {
        self.later.push((key, delay));
    }
}

pub(super) struct Queue<K> {
    order: VecDeque<K>,
    ready: BTreeSet<K>,
    timers: BTreeSet<(Moment, K)>,
    due: BTreeMap<K, Moment>,
    held: BTreeMap<K, Revision>,
    failures: BTreeMap<K, u32>,
}

impl<K: Ord + Clone> Queue<K> {
    pub fn new() -> Queue<K> {
        Queue {
            order: VecDeque::new(),
            ready: BTreeSet::new(),
            timers: BTreeSet::new(),
            due: BTreeMap::new(),
            held: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Makes a key ready.
    pub fn wake(&mut self, key: K) {
        if self.ready.insert(key.clone()) {
            self.order.push_back(key);
        }
    }

    /// Makes a key ready at a moment, unless it will be sooner.
    pub fn wake_at(&mut self, key: K, at: Moment) {
        match self.due.get(&key) {
            Some(&earlier) if earlier <= at => return,
            Some(&later) => {
                self.timers.remove(&(later, key.clone()));
            }
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.timers.insert((at, key));
    }

    /// Holds a key back until the view has reached a revision.
    pub fn hold(&mut self, key: &K, until: Revision) {
        self.held.insert(key.clone(), until);
    }

    /// Makes ready what is due.
    pub fn expire(&mut self, now: Moment) {
        while let Some((at, _)) = self.timers.first() {
            if *at > now {
                break;
            }
            let Some((_, key)) = self.timers.pop_first() else { break };
            self.due.remove(&key);
            self.wake(key);
        }
    }

    /// Takes a ready key that the view allows: the first, or the one that `pick` chooses.
    pub fn take(&mut self, view: Revision, pick: Option<u64>) -> Option<K> {
        let start = pick.map_or(0, |pick| (pick % self.order.len().max(1) as u64) as usize);
        let allowed = |queue: &Self, key: &K| queue.held.get(key).is_none_or(|until| view >= *until);
        let count = self.order.len();
        let at = (0..count).map(|i| (start + i) % count).find(|&at| allowed(self, &self.order[at]))?;
        let key = self.order.remove(at)?;
        self.ready.remove(&key);
        self.held.remove(&key);
        Some(key)
    }

    /// Whether a key is ready and not held.
    pub fn is_ready(&self, view: Revision) -> bool {
        self.order.iter().any(|key| self.held.get(key).is_none_or(|until| view >= *until))
    }

    /// When the next timer ends.
    pub fn next_timer(&self) -> Option<Moment> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A key's work was done: its failures are forgotten, and its timer is the one now asked for.
    pub fn succeeded(&mut self, key: &K, again: Option<Moment>) {
        self.failures.remove(key);
        if let Some(at) = self.due.remove(key) {
            self.timers.remove(&(at, key.clone()));
        }
        if let Some(at) = again {
            self.wake_at(key.clone(), at);
        }
    }

    /// A key's work failed: it comes back after a back-off. `stale` failures come back at once for some times,
    /// since only the view was old.
    pub fn failed(&mut self, key: K, stale: bool, now: Moment) {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        *failures += 1;
        if stale && *failures <= STALE_RETRIES_AT_ONCE {
            self.wake(key);
            return;
        }
        let delay = BACKOFF_FIRST.saturating_mul(1 << (*failures - 1).min(16)).min(BACKOFF_MOST);
        self.wake_at(key, now.after(delay));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    #[test]
    fn a_key_stands_once_and_in_order() {
        let mut queue = Queue::new();
        for key in ["b", "a", "b", "c"] {
            queue.wake(key);
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take(Revision(0), None)).collect();
        assert_eq!(taken, ["b", "a", "c"]);
    }

    #[test]
    fn the_earliest_timer_counts_and_success_replaces_it() {
        let mut queue = Queue::new();
        queue.wake_at("a", at(50));
        queue.wake_at("a", at(20));
        queue.wake_at("a", at(90));
        assert_eq!(queue.next_timer(), Some(at(20)));
        queue.succeeded(&"a", Some(at(70)));
        assert_eq!(queue.next_timer(), Some(at(70)));
        queue.expire(at(69));
        assert_eq!(queue.take(Revision(0), None), None);
        queue.expire(at(70));
        assert_eq!(queue.take(Revision(0), None), Some("a"));
    }

    #[test]
    fn a_held_key_waits_for_its_revision() {
        let mut queue = Queue::new();
        queue.hold(&"a", Revision(5));
        queue.wake("a");
        queue.wake("b");
        assert_eq!(queue.take(Revision(4), None), Some("b"));
        assert_eq!(queue.take(Revision(4), None), None);
        assert!(queue.is_ready(Revision(5)));
        assert_eq!(queue.take(Revision(5), None), Some("a"));
    }

    #[test]
    fn failures_back_off_and_are_bounded() {
        let mut queue = Queue::new();
        let mut waits = Vec::new();
        for _ in 0..20 {
            queue.failed("a", false, at(0));
            waits.push(queue.next_timer().unwrap().0);
            queue.expire(Moment(BACKOFF_MOST));
            queue.take(Revision(0), None);
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits[0], BACKOFF_FIRST);
        assert_eq!(waits[19], BACKOFF_MOST);
    }
}
