//! What a driver and a loop know of each other: a loop is stepped, and wakes its driver.

use std::fmt;
use std::sync::Arc;

use super::Class;
use crate::store::Wake;
use crate::world::Moment;

/// A loop, as drivers see it.
pub trait Component: Send {
    /// Its name.
    fn name(&self) -> &str;

    /// Takes in what is new and works on at most `most` keys. `pick` chooses among ready keys where order is
    /// free; without it they are taken in the order in which they were woken.
    fn step(&mut self, most: usize, pick: Option<u64>) -> Progress;
}

/// How a step left its loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do at once.
    More,
    /// Nothing to do until it is woken.
    Idle,
    /// Nothing to do until it is woken, or this moment.
    Until(Moment),
}

/// Wakes one loop from any thread. Cheap to clone; does nothing once the driver is gone.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<dyn Wake>);

impl Handle {
    /// The loop has something to do.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// The same as the store's [`Wake`].
    pub fn as_wake(&self) -> Arc<dyn Wake> {
        self.0.clone()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// A piece of blocking work. It delivers its own output.
pub type Work = Box<dyn FnOnce() + Send>;

/// Runs loops and blocking work.
pub trait Spawner: Send + Sync {
    /// Takes in a loop, made by `build` with the handle that will wake it, and starts to step it.
    fn add(&self, build: Box<dyn FnOnce(Handle) -> Box<dyn Component> + '_>);

    /// Runs blocking work on the executor of its class, in order of submission, as many at once as the class is
    /// bounded to.
    fn submit(&self, class: Class, work: Work);
}
