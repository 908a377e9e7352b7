//! The wire face of a cluster: its alarms, and a `kube::Client` on top of it.
//!
//! Owns the loop that wakes streams when their time comes. Invariant: when the cluster ends, every stream is woken,
//! and ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use crate::apiserver::http::{Alarm, Alarms, Blocking};
use crate::reconcile::threads::Threads;
use crate::reconcile::{Class, Component, Handle, Progress, Spawner};
use crate::world::{Clock, Moment, World};

/// Wakes tasks at moments, stepped by the cluster's driver.
pub(crate) struct AlarmClock {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    handle: Mutex<Option<Handle>>,
}

#[derive(Default)]
struct State {
    set: BTreeMap<(Moment, u64), Waker>,
    next: u64,
    closed: bool,
}

impl AlarmClock {
    /// An alarm clock that `spawner` steps.
    pub(crate) fn start(world: &World, spawner: &Arc<dyn Spawner>) -> Arc<AlarmClock> {
        let clock = world.clock.clone();
        let shared = Arc::new(Shared { clock, state: Mutex::default(), handle: Mutex::default() });
        spawner.add(Box::new(|handle| {
            *shared.handle.lock() = Some(handle);
            Box::new(Ringer { shared: shared.clone() })
        }));
        Arc::new(AlarmClock { shared })
    }

    /// Wakes every task for the last time.
    pub(crate) fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let woken = std::mem::take(&mut state.set);
        drop(state);
        woken.into_values().for_each(Waker::wake);
    }
}

impl Alarms for AlarmClock {
    fn set(&self, at: Moment, task: Waker) -> Alarm {
        let mut state = self.shared.state.lock();
        let key = (at, state.next);
        state.next += 1;
        if state.closed {
            drop(state);
            task.wake_by_ref();
            return Alarm::new(task, ());
        }
        let earliest = state.set.first_key_value().is_none_or(|(first, _)| key < *first);
        state.set.insert(key, task.clone());
        drop(state);
        if earliest && let Some(handle) = &*self.shared.handle.lock() {
            handle.wake();
        }
        Alarm::new(task, Held { shared: self.shared.clone(), key })
    }

    fn is_closed(&self) -> bool {
        self.shared.state.lock().closed
    }
}

impl fmt::Debug for AlarmClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlarmClock({} set)", self.shared.state.lock().set.len())
    }
}

/// Takes an alarm back when it is dropped.
struct Held {
    shared: Arc<Shared>,
    key: (Moment, u64),
}

impl Drop for Held {
    fn drop(&mut self) {
        // Dropped outside the lock: a waker may own a task, and with it another alarm.
        let taken = self.shared.state.lock().set.remove(&self.key);
        drop(taken);
    }
}

struct Ringer {
    shared: Arc<Shared>,
}

impl Component for Ringer {
    fn name(&self) -> &str {
        "alarms"
    }

    fn step(&mut self, _most: usize, _pick: Option<u64>) -> Progress {
        let now = self.shared.clock.moment();
        let mut due = Vec::new();
        let mut state = self.shared.state.lock();
        while let Some(entry) = state.set.first_entry().filter(|entry| entry.key().0 <= now) {
            due.push(entry.remove());
        }
        let next = state.set.first_key_value().map(|((at, _), _)| *at);
        drop(state);
        due.into_iter().for_each(Waker::wake);
        next.map_or(Progress::Idle, Progress::Until)
    }
}

/// Writes that may block run where the cluster's other remote work does.
pub(crate) struct Executor(pub Arc<Threads>);

impl Blocking for Executor {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.submit(Class::Remote, work);
    }
}
