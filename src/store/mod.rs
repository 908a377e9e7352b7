//! The truth: one ordered log of revisions, snapshots, watches.
//!
//! One object a commit, one revision an object, one counter for everything. The store keeps encoded bodies
//! beside small headers, knows no kind by name, and is fed only by its backend's ordered stream.
//!
//! ```text
//! propose ─► Backend ─► Feed ─► State (tables, index) ─► Log ─► marks and wakes
//!              decides            published at once       │
//!                                 readers: Snapshot       readers: Follower
//! ```
//!
//! Guarantees: a snapshot is the result of exactly the first N commits; a follower sees every commit after its
//! revision, in order, or is told [`Gone`]; whoever is answered a revision reads it in the next snapshot.

mod backend;
mod log;
mod pairs;
mod record;
mod snapshot;
mod tree;
mod watch;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

pub use backend::{Backend, Decided, Draft, Expect, Feed, Leftover, Memory, Proposal, Refused, Write};
pub use log::Change;
pub use pairs::Pairs;
pub use record::{Facts, Header, Owner, Record, Stored, ViewCache};
pub use snapshot::{Select, Snapshot};
pub use watch::{Interest, Wake, Within};

use crate::api::{KindId, ObjectKey, Registry};
use crate::limits::FOLLOW_BATCH;
use crate::world::{Clock, World};
use log::Log;
use record::Warm;
use snapshot::State;
use watch::{Subscription, Watchers};

/// A revision of the store: one counter for everything, as etcd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// As an object's `resourceVersion`: an object that was never stored has none.
    pub fn as_text(self) -> Option<String> {
        (self.0 > 0).then(|| self.0.to_string())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The revision asked for has fallen off the log: read the present state and go on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the revision asked for is no longer kept")]
pub struct Gone;

/// Reads the facts of a header out of a body that another process wrote.
pub trait ReadFacts: Send + Sync {
    /// The facts, or why the body is not an object of the kind.
    fn read_facts(&self, kind: KindId, body: &Bytes) -> Result<Facts, String>;

    /// Sees each object that was written (`None`: deleted) in the order of revisions, before any reader can see
    /// it. Called under the writer's lock: it must be short, and must not use the store.
    fn foresee(&self, kind: KindId, key: &ObjectKey, new: Option<&Record>) {
        let _ = (kind, key, new);
    }
}

/// The store.
pub struct Store {
    inner: Arc<Inner>,
    backend: Arc<dyn Backend>,
}

struct Inner {
    state: ArcSwap<State>,
    log: Log,
    watchers: Watchers,
    views: Arc<ViewCache>,
    registry: Arc<Registry>,
    facts: Arc<dyn ReadFacts>,
    clock: Arc<dyn Clock>,
    /// The newest revision that every follower it concerns has been told of.
    announced: AtomicU64,
    /// Held by the feed while it applies; the condition tells waiting writers that a revision is applied.
    writing: Mutex<()>,
    applied: Condvar,
}

impl Store {
    /// A store over a backend. Returns once the backend's present content is in.
    pub fn open(
        backend: Arc<dyn Backend>,
        registry: Arc<Registry>,
        facts: Arc<dyn ReadFacts>,
        world: &World,
    ) -> Store {
        let inner = Arc::new(Inner {
            state: ArcSwap::from_pointee(State::default()),
            log: Log::new(Revision(0)),
            watchers: Watchers::default(),
            views: Arc::default(),
            registry,
            facts,
            clock: world.clock.clone(),
            announced: AtomicU64::new(0),
            writing: Mutex::new(()),
            applied: Condvar::new(),
        });
        let start = backend.connect(inner.clone());
        inner.begin_at(start);
        Store { inner, backend }
    }

    /// The whole state as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { state: self.inner.state.load_full(), registry: self.inner.registry.clone() }
    }

    /// One object as it is now: cheaper than a whole snapshot.
    pub fn get(&self, kind: KindId, key: &str) -> Option<Arc<Record>> {
        self.inner.state.load().get(kind, key).cloned()
    }

    /// The present revision.
    pub fn revision(&self) -> Revision {
        self.inner.state.load().revision
    }

    /// The newest revision of which every follower has been told: one that finds nothing new after reading this has
    /// seen everything up to it.
    pub fn announced(&self) -> Revision {
        Revision(self.inner.announced.load(Ordering::Acquire))
    }

    /// The newest revision that watches can no longer begin at.
    pub fn forgotten(&self) -> Revision {
        self.inner.log.forgotten()
    }

    /// The kinds.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// Whether a commit may take long; see [`Backend::blocks`].
    pub fn blocks(&self) -> bool {
        self.backend.blocks()
    }

    /// Proposes a change and waits until the store itself has it. Answers the object as it was written, or
    /// its last state for a deletion.
    pub fn commit(&self, proposal: Proposal) -> Result<Arc<Record>, Refused> {
        let (kind, key) = (proposal.kind, proposal.key.clone());
        let revision = self.backend.propose(proposal)?;
        self.inner.wait_for(revision);
        if let Some(record) = self.inner.state.load().get(kind, key.as_str())
            && record.header.revision == revision
        {
            return Ok(record.clone());
        }
        match self.inner.log.find(revision) {
            Some(change) => Ok(change.new.clone()),
            None => Err(Refused::Failed { key, cause: "it was written, and is no longer in the log".into() }),
        }
    }

    /// Follows the changes of what `interests` name, beginning after `after`.
    pub fn follow(
        &self,
        interests: Vec<Interest>,
        after: Revision,
        wake: Arc<dyn Wake>,
    ) -> Result<Follower, Gone> {
        let subscription = self.inner.watchers.subscribe(&interests, wake);
        let mut follower = Follower { inner: self.inner.clone(), subscription, interests, after, next: 0 };
        // Subscribed first, positioned second: nothing committed in between is missed.
        follower.next = self.inner.log.position_after(after)?;
        if follower.next < self.inner.log.end() {
            follower.subscription.mark(follower.next);
        }
        Ok(follower)
    }

    /// Shows each change after `revision` that the log still holds, in order.
    pub fn since(&self, revision: Revision, mut each: impl FnMut(&Arc<Change>)) -> Result<(), Gone> {
        let mut position = self.inner.log.position_after(revision)?;
        let end = self.inner.log.end();
        while position < end {
            position = self.inner.log.read(position, FOLLOW_BATCH, &mut each)?;
        }
        Ok(())
    }

    /// A record that is not stored: what a dry run answers. Its revision is that of the object before, or 0 for one
    /// that is not there.
    pub fn unsaved(&self, kind: KindId, key: ObjectKey, draft: Draft, revision: Revision) -> Arc<Record> {
        let header = Header { kind, key, revision, facts: draft.facts };
        Arc::new(Record::new(header, draft.body, None, &self.inner.views))
    }

    /// Whether everything is as it must be; for tests.
    pub fn check(&self) -> Result<(), String> {
        let _quiet = self.inner.writing.lock();
        self.inner.log.check()?;
        self.snapshot().check()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({:?} at {})", self.backend, self.revision())
    }
}

impl Inner {
    /// Makes `revision` the present one if the backend's content did not reach it already.
    fn begin_at(&self, revision: Revision) {
        let _writing = self.writing.lock();
        let state = self.state.load();
        if state.revision < revision {
            self.state.store(Arc::new(State { revision, tables: state.tables.clone() }));
        }
        self.announced.fetch_max(revision.0, Ordering::AcqRel);
    }

    fn wait_for(&self, revision: Revision) {
        if self.state.load().revision >= revision {
            return;
        }
        let mut writing = self.writing.lock();
        while self.state.load().revision < revision {
            self.applied.wait(&mut writing);
        }
    }

    /// The record of a decided change, and the views that went out of the cache for it.
    fn record(&self, decided: &Decided, write: Write, dropped: &mut Vec<Warm>) -> Result<Record, String> {
        let (body, facts, view) = match write {
            Write::Own(draft) => (draft.body, draft.facts, draft.view),
            Write::Bytes(body) => {
                let facts = self.facts.read_facts(decided.kind, &body)?;
                (body, facts, None)
            }
        };
        let header =
            Header { kind: decided.kind, key: decided.key.clone(), revision: decided.revision, facts };
        let view = view.map(|mut view| {
            view.meta_mut().resource_version = Some(decided.revision.0.to_string());
            let view = Warm::new(Arc::from(view));
            *dropped = self.views.keep(view.clone(), body.len());
            view
        });
        Ok(Record::new(header, body, view.as_ref(), &self.views))
    }
}

impl Feed for Inner {
    fn apply(&self, mut decided: Decided) -> Leftover {
        // The text of a key is kept once, however often the object is written.
        if let Some(old) = self.state.load().get(decided.kind, decided.key.as_str()) {
            decided.key = old.header.key.clone();
        }
        let mut leftover = Leftover::default();
        let put = decided.put.take();
        let new = match put.map(|write| self.record(&decided, write, &mut leftover.views)) {
            Some(Ok(record)) => Some(Arc::new(record)),
            Some(Err(cause)) => {
                tracing::error!(key = %decided.key, %cause, "a foreign object does not decode and is left out");
                None
            }
            None => None,
        };
        let writing = self.writing.lock();
        let mut state = (**self.state.load()).clone();
        let old = state.change(decided.kind, &decided.key, new.clone(), decided.revision);
        self.facts.foresee(decided.kind, &decided.key, new.as_deref());
        leftover.state = Some(self.state.swap(Arc::new(state)));
        let deleted = new.is_none();
        let new = new.or_else(|| {
            // The last state, with the revision of its deletion.
            let last = old.as_ref()?;
            Some(Arc::new(last.at_revision(decided.revision)))
        });
        let announced = new.map(|new| {
            let change = Arc::new(Change { revision: decided.revision, old, new, deleted });
            let position = self.log.push(change.clone(), self.clock.moment());
            (change, position)
        });
        drop(writing);
        self.applied.notify_all();
        if let Some((change, position)) = announced {
            self.watchers.announce(&change, position);
        }
        self.announced.fetch_max(decided.revision.0, Ordering::AcqRel);
        leftover
    }

    fn current(&self, kind: KindId, key: &ObjectKey) -> Option<Revision> {
        self.state.load().get(kind, key.as_str()).map(|record| record.header.revision)
    }
}

/// A cursor on the log for some interests: gives each matching change once, in order.
///
/// Dropping it ends the subscription. A follower that stands still costs the writer nothing.
pub struct Follower {
    inner: Arc<Inner>,
    subscription: Arc<Subscription>,
    interests: Vec<Interest>,
    after: Revision,
    next: u64,
}

impl Follower {
    /// Appends what is new to `into`, at most some hundred at a time. Answers whether there may be more at once;
    /// otherwise the follower's wake is called when there is.
    ///
    /// Errors: [`Gone`] when unseen changes that matched have fallen off the log.
    pub fn read(&mut self, into: &mut Vec<Arc<Change>>) -> Result<bool, Gone> {
        let Some(unseen) = self.subscription.take_unseen() else { return Ok(false) };
        let from = self.next.max(unseen);
        let (interests, after) = (&self.interests, self.after);
        self.next = self.inner.log.read(from, FOLLOW_BATCH, |change| {
            if change.revision > after && interests.iter().any(|interest| interest.matches(change)) {
                into.push(change.clone());
            }
        })?;
        if let Some(last) = into.last() {
            self.after = self.after.max(last.revision);
        }
        let more = self.next < self.inner.log.end();
        if more {
            self.subscription.mark(self.next);
        }
        Ok(more)
    }

    /// The revision up to which everything that matches has been read, given that nothing is unread.
    pub fn seen(&self) -> Revision {
        self.after
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.inner.watchers.unsubscribe(&self.interests, &self.subscription);
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Follower({:?} after {})", self.interests, self.after)
    }
}
