//! The threaded driver: a small pool of threads steps the loops, bounded executors run blocking work.
//!
//! The one home of threads. A loop is stepped by one thread at a time; one idle thread waits for the
//! next timer, the others for work, so a cluster at rest wakes nobody. Invariant: a wake that comes while its
//! loop is being stepped makes it be stepped again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::Class;
use super::driver::{Component, Handle, Progress, Spawner, Work};
use crate::limits;
use crate::limits::{KEYS_A_STEP, LOOP_THREADS};
use crate::store::Wake;
use crate::world::{Clock, Moment, World};

/// Starts a named thread. Every thread of the crate is started here.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const RUNNING_AGAIN: u8 = 3;

/// A loop and where it stands.
struct Slot {
    state: AtomicU8,
    component: Mutex<Option<Box<dyn Component>>>,
    shared: Weak<Shared>,
    me: Weak<Slot>,
}

impl Slot {
    fn exchange(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Slot {
    fn wake(&self) {
        loop {
            let (from, to) = match self.state.load(Ordering::Acquire) {
                IDLE => (IDLE, QUEUED),
                RUNNING => (RUNNING, RUNNING_AGAIN),
                _ => return,
            };
            if self.exchange(from, to) {
                if from == IDLE
                    && let (Some(shared), Some(me)) = (self.shared.upgrade(), self.me.upgrade())
                {
                    shared.enqueue(me);
                }
                return;
            }
        }
    }
}

#[derive(Default)]
struct Ready {
    slots: VecDeque<Arc<Slot>>,
    timers: BTreeSet<(Moment, usize)>,
    by_slot: BTreeMap<usize, (Moment, Arc<Slot>)>,
    idle: usize,
    timer_watched: bool,
    stopping: bool,
}

struct Shared {
    clock: Arc<dyn Clock>,
    ready: Mutex<Ready>,
    work: Condvar,
    timer: Condvar,
    executors: BTreeMap<Class, Executor>,
}

impl Shared {
    fn enqueue(&self, slot: Arc<Slot>) {
        let mut ready = self.ready.lock();
        ready.slots.push_back(slot);
        if ready.idle > 0 {
            self.work.notify_one();
        } else if ready.timer_watched {
            self.timer.notify_one();
        }
    }

    fn set_timer(&self, slot: &Arc<Slot>, at: Option<Moment>) {
        let id = Arc::as_ptr(slot) as usize;
        let mut ready = self.ready.lock();
        if ready.by_slot.get(&id).map(|(at, _)| *at) == at {
            return;
        }
        if let Some((old, _)) = ready.by_slot.remove(&id) {
            ready.timers.remove(&(old, id));
        }
        if let Some(at) = at {
            ready.timers.insert((at, id));
            ready.by_slot.insert(id, (at, slot.clone()));
            // Whoever watches the timers must see an earlier one.
            if ready.timers.first() == Some(&(at, id)) && ready.timer_watched {
                self.timer.notify_one();
            }
        }
    }

    /// Takes what is due out of the timers and queues it.
    fn expire(&self, ready: &mut Ready) {
        let now = self.clock.moment();
        while let Some(&(at, id)) = ready.timers.first() {
            if at > now {
                return;
            }
            ready.timers.pop_first();
            let Some((_, slot)) = ready.by_slot.remove(&id) else { continue };
            if slot.exchange(IDLE, QUEUED) {
                ready.slots.push_back(slot);
            } else {
                slot.exchange(RUNNING, RUNNING_AGAIN);
            }
        }
    }

    /// The next loop to step; `None` when the driver ends.
    fn next(&self) -> Option<Arc<Slot>> {
        let mut ready = self.ready.lock();
        loop {
            if ready.stopping {
                return None;
            }
            self.expire(&mut ready);
            if let Some(slot) = ready.slots.pop_front() {
                if !ready.slots.is_empty() && ready.idle > 0 {
                    self.work.notify_one();
                }
                return Some(slot);
            }
            if ready.timer_watched {
                ready.idle += 1;
                self.work.wait(&mut ready);
                ready.idle -= 1;
                continue;
            }
            ready.timer_watched = true;
            match ready.timers.first().map(|(at, _)| *at) {
                Some(at) => {
                    let wait = at.since(self.clock.moment());
                    self.timer.wait_for(&mut ready, wait);
                }
                None => self.timer.wait(&mut ready),
            }
            ready.timer_watched = false;
            // Somebody must take over watching the timers while this thread works.
            if ready.idle > 0 {
                self.work.notify_one();
            }
        }
    }

    fn run(self: &Arc<Self>) {
        while let Some(slot) = self.next() {
            slot.state.store(RUNNING, Ordering::Release);
            let progress = match &mut *slot.component.lock() {
                Some(component) => component.step(KEYS_A_STEP, None),
                None => Progress::Idle,
            };
            let timer = match progress {
                Progress::Until(at) => Some(at),
                Progress::Idle | Progress::More => None,
            };
            self.set_timer(&slot, timer);
            let rest = progress != Progress::More && slot.exchange(RUNNING, IDLE);
            if !rest {
                slot.state.store(QUEUED, Ordering::Release);
                self.enqueue(slot);
            }
        }
    }
}

/// How many threads work of this class may use.
const fn threads_for(class: Class) -> usize {
    match class {
        Class::Runtime => limits::RUNTIME_THREADS,
        Class::Image => limits::IMAGE_THREADS,
        Class::Volume => limits::VOLUME_THREADS,
        Class::Probe => limits::PROBE_THREADS,
        Class::Network => limits::NETWORK_THREADS,
        Class::Remote => limits::REMOTE_THREADS,
    }
}

/// The bounded pool of threads for one class of blocking work. Threads are started when there is work for them
/// and stay.
struct Executor {
    class: Class,
    most: usize,
    queue: Mutex<ExecutorQueue>,
    work: Condvar,
}

#[derive(Default)]
struct ExecutorQueue {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    stopping: bool,
    handles: Vec<JoinHandle<()>>,
}

impl Executor {
    fn submit(shared: &Arc<Shared>, class: Class, work: Work) {
        let Some(executor) = shared.executors.get(&class) else { return };
        let mut queue = executor.queue.lock();
        if queue.stopping {
            return;
        }
        queue.waiting.push_back(work);
        if queue.idle >= queue.waiting.len() {
            executor.work.notify_one();
            return;
        }
        if queue.threads < executor.most {
            let for_thread = shared.clone();
            let started = spawn("coracle-work", move || {
                if let Some(executor) = for_thread.executors.get(&class) {
                    executor.run();
                }
            });
            match started {
                Ok(handle) => {
                    queue.threads += 1;
                    queue.handles.push(handle);
                }
                Err(cause) => tracing::error!(?class, %cause, "no thread could be started for work"),
            }
        }
    }

    fn run(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(work) = queue.waiting.pop_front() {
                parking_lot::MutexGuard::unlocked(&mut queue, work);
                continue;
            }
            if queue.stopping {
                return;
            }
            queue.idle += 1;
            self.work.wait(&mut queue);
            queue.idle -= 1;
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executor({:?})", self.class)
    }
}

/// The threaded driver. Dropping it ends its threads; work under way is awaited.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    slots: Mutex<Vec<Arc<Slot>>>,
}

impl Threads {
    /// Starts the threads that step loops.
    pub fn start(world: &World) -> std::io::Result<Arc<Threads>> {
        let executors = Class::ALL.into_iter().map(|class| {
            let most = threads_for(class);
            (class, Executor { class, most, queue: Mutex::default(), work: Condvar::new() })
        });
        let shared = Arc::new(Shared {
            clock: world.clock.clone(),
            ready: Mutex::default(),
            work: Condvar::new(),
            timer: Condvar::new(),
            executors: executors.collect(),
        });
        let threads =
            Arc::new(Threads { shared: shared.clone(), workers: Mutex::default(), slots: Mutex::default() });
        for _ in 0..LOOP_THREADS {
            let shared = shared.clone();
            let handle = spawn("coracle-loop", move || shared.run())?;
            threads.workers.lock().push(handle);
        }
        Ok(threads)
    }

    /// Makes the driver look at the clock again: for a clock that was moved by hand.
    pub fn clock_moved(&self) {
        let ready = self.shared.ready.lock();
        self.shared.timer.notify_all();
        drop(ready);
    }

    /// Ends every thread: loops stop after their step, waiting work is dropped, work under way is awaited.
    pub fn stop(&self) {
        {
            let mut ready = self.shared.ready.lock();
            ready.stopping = true;
            ready.slots.clear();
            self.shared.work.notify_all();
            self.shared.timer.notify_all();
        }
        for worker in self.workers.lock().drain(..) {
            let _ = worker.join();
        }
        for executor in self.shared.executors.values() {
            let handles = {
                let mut queue = executor.queue.lock();
                queue.stopping = true;
                queue.waiting.clear();
                executor.work.notify_all();
                std::mem::take(&mut queue.handles)
            };
            for handle in handles {
                let _ = handle.join();
            }
        }
        // Loops hold the driver through their spawner: letting go of them breaks the circle.
        for slot in self.slots.lock().drain(..) {
            *slot.component.lock() = None;
        }
        let mut ready = self.shared.ready.lock();
        ready.timers.clear();
        ready.by_slot.clear();
    }
}

impl Spawner for Threads {
    fn add(&self, build: Box<dyn FnOnce(Handle) -> Box<dyn Component> + '_>) {
        let slot = Arc::new_cyclic(|me| Slot {
            state: AtomicU8::new(IDLE),
            component: Mutex::new(None),
            shared: Arc::downgrade(&self.shared),
            me: me.clone(),
        });
        let component = build(Handle(slot.clone()));
        *slot.component.lock() = Some(component);
        self.slots.lock().push(slot.clone());
        slot.wake();
    }

    fn submit(&self, class: Class, work: Work) {
        Executor::submit(&self.shared, class, work);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Threads")
    }
}
