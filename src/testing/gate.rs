//! Cuts the loops of one node off from the cluster, and brings them back.
//!
//! Owns nothing but the switch. Work that is under way when a node is cut off still ends; its outcome waits until
//! the node is back. Invariant: a loop behind a closed gate is never stepped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::reconcile::{Class, Component, Handle, Progress, Spawner, Work};

/// A spawner whose loops can be stopped together.
pub(super) struct Gate {
    inner: Arc<dyn Spawner>,
    open: Arc<AtomicBool>,
    loops: Mutex<Vec<Handle>>,
}

impl Gate {
    /// An open gate before `inner`.
    pub fn new(inner: Arc<dyn Spawner>) -> Arc<Gate> {
        let open = Arc::new(AtomicBool::new(true));
        Arc::new(Gate { inner, open, loops: Mutex::default() })
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// From now on no loop behind it is stepped.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Every loop behind it goes on.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
        for handle in self.loops.lock().iter() {
            handle.wake();
        }
    }
}

impl Spawner for Gate {
    fn add(&self, build: Box<dyn FnOnce(Handle) -> Box<dyn Component> + '_>) {
        self.inner.add(Box::new(|handle| {
            self.loops.lock().push(handle.clone());
            Box::new(Gated { inner: build(handle), open: self.open.clone() })
        }));
    }

    fn submit(&self, class: Class, work: Work) {
        self.inner.submit(class, work);
    }
}

/// A loop behind a gate.
struct Gated {
    inner: Box<dyn Component>,
    open: Arc<AtomicBool>,
}

impl Component for Gated {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn step(&mut self, most: usize, pick: Option<u64>) -> Progress {
        match self.open.load(Ordering::Acquire) {
            true => self.inner.step(most, pick),
            false => Progress::Idle,
        }
    }
}
