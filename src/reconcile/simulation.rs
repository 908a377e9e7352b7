//! The simulated driver: the same loops on one thread, in an order drawn from a seed, on a clock that jumps.
//!
//! Owns the simulated clock, the loops that are ready and the work that is under way. Which loop is stepped,
//! which of its keys, and when work ends is drawn from the seed, so a seed that fails once fails every time.
//! Invariant: the clock moves only when no loop is ready and no work is due.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use super::Class;
use super::driver::{Component, Handle, Progress, Spawner, Work};
use crate::store::Wake;
use crate::world::{Clock, Entropy, Moment, SeededEntropy, World};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct StillClock {
    began: Timestamp,
    passed: Mutex<Duration>,
}

impl StillClock {
    /// A clock that stands at `began`.
    pub fn at(began: Timestamp) -> StillClock {
        StillClock { began, passed: Mutex::new(Duration::ZERO) }
    }

    /// Moves the clock forward to a moment; a moment that has passed changes nothing.
    pub fn move_to(&self, moment: Moment) {
        let mut passed = self.passed.lock();
        *passed = (*passed).max(moment.0);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.passed.lock() += by;
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(*self.passed.lock()).unwrap_or_default();
        self.began.checked_add(passed).unwrap_or(self.began)
    }

    fn moment(&self) -> Moment {
        Moment(*self.passed.lock())
    }
}

#[derive(Default)]
struct Table {
    components: Vec<Option<Box<dyn Component>>>,
    ready: BTreeSet<usize>,
    timers: BTreeSet<(Moment, usize)>,
    /// Work under way: when it ends, a number that makes the order definite, and the work.
    work: Vec<(Moment, u64, Work)>,
    submitted: u64,
    /// How often each loop was stepped since somebody asked.
    stepped: BTreeMap<String, u64>,
}

struct Waker {
    index: usize,
    woken: Arc<Mutex<BTreeSet<usize>>>,
}

impl Wake for Waker {
    fn wake(&self) {
        self.woken.lock().insert(self.index);
    }
}

/// The simulated driver.
pub struct Simulation {
    clock: Arc<StillClock>,
    chance: SeededEntropy,
    world: World,
    table: Mutex<Table>,
    woken: Arc<Mutex<BTreeSet<usize>>>,
}

/// How far a run of the simulation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing is ready, and nothing will be by itself.
    Quiet,
    /// Nothing is ready before this moment.
    Until(Moment),
}

impl Simulation {
    /// A simulation that begins at 2026-01-01 and draws everything from `seed`.
    pub fn new(seed: u64) -> Arc<Simulation> {
        let began = Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH);
        let clock = Arc::new(StillClock::at(began));
        let entropy = Arc::new(SeededEntropy::from_seed(seed ^ 0x5EED_0FC0_0AC1_E000));
        Arc::new(Simulation {
            world: World { clock: clock.clone(), entropy },
            clock,
            chance: SeededEntropy::from_seed(seed),
            table: Mutex::default(),
            woken: Arc::default(),
        })
    }

    /// The simulated clock and entropy, for everything that takes part.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// A number drawn from the seed, for the scenario's own choices.
    pub fn draw(&self) -> u64 {
        self.chance.next()
    }

    /// Takes one step: a loop works on one key, or one piece of work ends. Answers how things stand when there
    /// was nothing to do now.
    pub fn step(&self) -> Option<Rest> {
        let now = self.clock.moment();
        let mut table = self.table.lock();
        let woken = std::mem::take(&mut *self.woken.lock());
        table.ready.extend(woken);
        while let Some(&(at, index)) = table.timers.first() {
            if at > now {
                break;
            }
            table.timers.pop_first();
            table.ready.insert(index);
        }
        let due: Vec<usize> = (0..table.work.len()).filter(|&i| table.work[i].0 <= now).collect();
        let choices = table.ready.len() + due.len();
        if choices == 0 {
            let timer = table.timers.first().map(|(at, _)| *at);
            let work = table.work.iter().map(|(at, ..)| *at).min();
            return Some(match (timer, work) {
                (Some(a), Some(b)) => Rest::Until(a.min(b)),
                (Some(at), None) | (None, Some(at)) => Rest::Until(at),
                (None, None) => Rest::Quiet,
            });
        }
        let choice = (self.chance.next() % choices as u64) as usize;
        let Some(&index) = table.ready.iter().nth(choice) else {
            let chosen = due[choice - table.ready.len()];
            let (_, _, work) = table.work.remove(chosen);
            drop(table);
            work();
            return None;
        };
        table.ready.remove(&index);
        table.timers.retain(|(_, other)| *other != index);
        let mut component = table.components[index].take()?;
        drop(table);
        let progress = component.step(1, Some(self.chance.next()));
        let mut table = self.table.lock();
        match table.stepped.get_mut(component.name()) {
            Some(count) => *count += 1,
            None => drop(table.stepped.insert(component.name().to_owned(), 1)),
        }
        table.components[index] = Some(component);
        match progress {
            Progress::More => {
                table.ready.insert(index);
            }
            Progress::Until(at) => {
                table.timers.insert((at, index));
            }
            Progress::Idle => {}
        }
        None
    }

    /// How often each loop was stepped since this was asked last, by its name: shows who does not come to rest.
    pub fn take_steps(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.table.lock().stepped)
    }

    /// Steps until nothing is ready at the present moment.
    pub fn settle(&self) -> Rest {
        loop {
            if let Some(rest) = self.step() {
                return rest;
            }
        }
    }

    /// Lets this much time pass, doing everything that falls due.
    pub fn run_for(&self, time: Duration) {
        let end = self.clock.moment().after(time);
        while let Rest::Until(at) = self.settle() {
            if at > end {
                break;
            }
            self.clock.move_to(at);
        }
        self.clock.move_to(end);
        self.settle();
    }

    /// Lets time pass until `done` answers true, at most this much. Answers whether it did.
    pub fn run_until(&self, most: Duration, mut done: impl FnMut() -> bool) -> bool {
        let end = self.clock.moment().after(most);
        loop {
            let rest = self.settle();
            if done() {
                return true;
            }
            match rest {
                Rest::Until(at) if at <= end => self.clock.move_to(at),
                _ => return false,
            }
        }
    }
}

impl Spawner for Simulation {
    fn add(&self, build: Box<dyn FnOnce(Handle) -> Box<dyn Component> + '_>) {
        let index = {
            let mut table = self.table.lock();
            table.components.push(None);
            table.components.len() - 1
        };
        let handle = Handle(Arc::new(Waker { index, woken: self.woken.clone() }));
        let component = build(handle.clone());
        self.table.lock().components[index] = Some(component);
        handle.wake();
    }

    /// Work takes between nothing and two simulated seconds; now and then, much longer.
    fn submit(&self, _class: Class, work: Work) {
        let draw = self.chance.next();
        let most = if draw.is_multiple_of(50) { 30_000 } else { 2_000 };
        let ends = self.clock.moment().after(Duration::from_millis((draw >> 8) % most));
        let mut table = self.table.lock();
        table.submitted += 1;
        let number = table.submitted;
        table.work.push((ends, number, work));
        table.work.sort_by_key(|(at, number, _)| (*at, *number));
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulation({:?})", self.clock)
    }
}
