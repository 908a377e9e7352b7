//! The executor behind the `kube::Client`s of a cluster.
//!
//! A `kube::Client` hands its requests to a task of its own, which must outlive the runtime of the test that uses the
//! client: here it lives on one private thread of the cluster, which does nothing but hand requests on. They are
//! answered where their answers are awaited. Invariant: when the executor is dropped, its thread has ended.

use std::fmt;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::apiserver::http::Wire;
use crate::reconcile::threads::spawn;

/// The thread and the runtime on it.
pub(super) struct Executor {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Executor {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Executor> {
        let runtime = Builder::new_current_thread().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = spawn("coracle-kube", move || {
            // Ends when the sender goes, whatever it says.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Executor { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// A client of the wire face.
    pub fn client(&self, wire: Wire) -> kube::Client {
        let _entered = self.handle.enter();
        kube::Client::new(wire, "default")
    }

    /// Ends the thread, and with it every client.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}
