//! The seam behind which the truth is kept: memory here, a file or etcd elsewhere.
//!
//! A backend decides proposals and gives out revisions. What it decided reaches the store only by its ordered
//! stream, the [`Feed`]: that of its own proposals and that of writers it alone knows. Invariant: the
//! feed is called in the order of revisions, and a revision that `propose` answered is fed, sooner or later.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Revision;
use super::record::{Facts, Warm};
use super::snapshot::State;
use crate::api::{KindId, Object, ObjectKey};

/// What must hold for a proposal to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No such object.
    Absent,
    /// The object is at this revision.
    At(Revision),
}

/// A change of one object that is wished for.
#[derive(Debug)]
pub struct Proposal {
    /// The kind.
    pub kind: KindId,
    /// The object.
    pub key: ObjectKey,
    /// What must hold.
    pub expect: Expect,
    /// The new state; `None` deletes.
    pub put: Option<Draft>,
}

/// An encoded object, and beside it what its writer knows anyway, so that a backend in the same process need
/// not decode it.
#[derive(Debug)]
pub struct Draft {
    /// JSON without apiVersion, kind and resourceVersion.
    pub body: Bytes,
    /// The header's parts.
    pub facts: Facts,
    /// The typed object.
    pub view: Option<Box<dyn Object>>,
}

/// Why a proposal was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The expectation did not hold.
    #[error("{key} is at {current:?}, not as expected")]
    Conflict {
        /// The object.
        key: ObjectKey,
        /// Its revision; `None` where it is absent.
        current: Option<Revision>,
    },
    /// The backend cannot keep it.
    #[error("{key} could not be kept: {cause}")]
    Failed {
        /// The object.
        key: ObjectKey,
        /// Why.
        cause: String,
    },
}

/// A change that the backend has decided.
#[derive(Debug)]
pub struct Decided {
    /// The kind.
    pub kind: KindId,
    /// The object.
    pub key: ObjectKey,
    /// The revision it was given.
    pub revision: Revision,
    /// The new state; `None` for a deletion.
    pub put: Option<Write>,
}

/// The state that a decided change wrote.
#[derive(Debug)]
pub enum Write {
    /// By this process, handed through.
    Own(Draft),
    /// As bytes, by whomever.
    Bytes(Bytes),
}

/// What a change left over: versions that nobody may need any more. A backend drops it when it holds no lock.
#[must_use = "dropped outside the backend's lock, it delays nobody"]
#[derive(Default)]
pub struct Leftover {
    /// The state before.
    pub(super) state: Option<Arc<State>>,
    /// Typed views that went out of the cache.
    pub(super) views: Vec<Warm>,
}

/// Where a backend delivers what it decided.
pub trait Feed: Send + Sync {
    /// Takes one change. Called in the order of revisions, never from two threads at once.
    fn apply(&self, decided: Decided) -> Leftover;

    /// The revision at which the feed has an object.
    fn current(&self, kind: KindId, key: &ObjectKey) -> Option<Revision>;
}

/// Keeps the truth.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Starts the stream: first what is there already (as creations, oldest revision first), then every change. Answers the
    /// revision that the stream begins after.
    fn connect(&self, feed: Arc<dyn Feed>) -> Revision;

    /// Whether a proposal may take long (a disk, a network), so that callers who must not block let others propose.
    fn blocks(&self) -> bool {
        true
    }

    /// Decides a proposal. Answers its revision once it is durable; the feed may get it before or after.
    fn propose(&self, proposal: Proposal) -> Result<Revision, Refused>;
}

/// Keeps everything in memory: the store's own tables are the truth, and a revision is a counter.
#[derive(Default)]
pub struct Memory {
    feed: Mutex<Option<(Arc<dyn Feed>, Revision)>>,
}

impl Memory {
    /// An empty backend.
    pub fn new() -> Memory {
        Memory::default()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Backend for Memory {
    fn connect(&self, feed: Arc<dyn Feed>) -> Revision {
        // As etcd, whose first revision is 1 before anything is written.
        *self.feed.lock() = Some((feed, Revision(1)));
        Revision(1)
    }

    fn blocks(&self) -> bool {
        false
    }

    fn propose(&self, proposal: Proposal) -> Result<Revision, Refused> {
        let mut guard = self.feed.lock();
        let Some((feed, last)) = guard.as_mut() else {
            return Err(Refused::Failed { key: proposal.key, cause: "the backend is not connected".into() });
        };
        let current = feed.current(proposal.kind, &proposal.key);
        let holds = match proposal.expect {
            Expect::Absent => current.is_none(),
            Expect::At(revision) => current == Some(revision),
        };
        if !holds {
            return Err(Refused::Conflict { key: proposal.key, current });
        }
        last.0 += 1;
        let revision = *last;
        let put = proposal.put.map(Write::Own);
        let leftover = feed.apply(Decided { kind: proposal.kind, key: proposal.key, revision, put });
        drop(guard);
        drop(leftover);
        Ok(revision)
    }
}
