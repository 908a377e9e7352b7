//! Following the objects that match: a cursor on the log, told as ADDED, MODIFIED and DELETED.
//!
//! An object that begins to match arrives as ADDED, one that stops matching as DELETED, with its old body and
//! the new revision. Invariant: applying the events to the list that the watch began with gives the present
//! list.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Server;
use super::list::Filter;
use super::options::{WatchFrom, WatchParams};
use crate::api::{KindId, StatusError};
use crate::store::{Change, Follower, Gone, Interest, Record, Revision, Select, Wake, Within};

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// An object is there that was not, as far as the watch is concerned.
    Added(Arc<Record>),
    /// An object has changed.
    Modified(Arc<Record>),
    /// An object is gone, or no longer matches: its last matching state, with the revision of the change.
    Deleted(Arc<Record>),
    /// The state that the watch began with has been told whole, up to this revision.
    Synced(Revision),
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Its place has fallen off the log: list again, and watch from there.
    #[error("too old resource version: the watch fell behind the log")]
    Gone,
}

/// Tells whoever waits, a thread or a task, that there is something new.
#[derive(Default)]
struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    yes: bool,
    /// The task that waits, if one does.
    task: Option<Waker>,
}

impl Wake for Bell {
    fn wake(&self) {
        let mut rung = self.rung.lock();
        rung.yes = true;
        let task = rung.task.take();
        drop(rung);
        self.changed.notify_one();
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// A watch. Costs nothing while nothing that matches happens; ends when dropped.
pub struct Watch {
    follower: Follower,
    filter: Filter,
    bell: Arc<Bell>,
    ready: VecDeque<WatchEvent>,
}

impl Server {
    /// Watches objects of a kind.
    ///
    /// Errors: 400 for a selector that is none, 410 for a revision that the log no longer knows.
    pub fn watch(&self, kind: KindId, params: &WatchParams) -> Result<Watch, StatusError> {
        let strategy = self.strategy(kind);
        let info = strategy.versions().get(params.version).unwrap_or(strategy.info());
        let filter = Filter::new(info, &params.namespace, &params.labels, &params.fields)?;
        let within = match (filter.single(), filter.select(info)) {
            (Some(key), _) => Within::Key(key),
            (None, Select::Term(term, value)) => {
                let term = info.terms.iter().find(|known| **known == term);
                term.map_or(Within::All, |term| Within::Term(term, value.to_owned()))
            }
            (None, Select::Namespace(namespace)) => Within::Namespace(namespace.to_owned()),
            (None, _) => Within::All,
        };
        let snapshot = self.store.snapshot();
        let after = match params.from {
            WatchFrom::Revision(revision) => revision,
            _ => snapshot.revision(),
        };
        let bell = Arc::new(Bell::default());
        let interests = vec![Interest { kind, within }];
        let follower = self.store.follow(interests, after, bell.clone()).map_err(|Gone| {
            let oldest = self.store.forgotten();
            StatusError::expired(format!("too old resource version: {after} ({oldest})"))
        })?;
        let mut ready = VecDeque::new();
        if matches!(params.from, WatchFrom::Present | WatchFrom::PresentMarked) {
            let present = snapshot.list_records(kind, filter.select(info));
            ready.extend(
                present
                    .filter(|record| filter.matches(&record.header))
                    .map(|record| WatchEvent::Added(record.clone())),
            );
        }
        if params.from == WatchFrom::PresentMarked {
            ready.push_back(WatchEvent::Synced(snapshot.revision()));
        }
        Ok(Watch { follower, filter, bell, ready })
    }
}

impl Watch {
    /// The next event if there is one already.
    pub fn try_next(&mut self) -> Result<Option<WatchEvent>, WatchError> {
        while self.ready.is_empty() {
            let mut changes = Vec::new();
            let more = self.follower.read(&mut changes).map_err(|Gone| WatchError::Gone)?;
            self.ready.extend(changes.iter().filter_map(|change| tell(&self.filter, change)));
            if !more && self.ready.is_empty() {
                return Ok(None);
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Whether the next event is there already.
    pub(crate) fn has_next(&mut self) -> Result<bool, WatchError> {
        if self.ready.is_empty()
            && let Some(event) = self.try_next()?
        {
            self.ready.push_front(event);
        }
        Ok(!self.ready.is_empty())
    }

    /// The next event, waiting for it as long as `most`. `None` when the time is over.
    pub fn next_within(&mut self, most: Duration) -> Result<Option<WatchEvent>, WatchError> {
        self.wait(Some(most))
    }

    /// The next event, waiting for it as long as it takes.
    pub fn next_event(&mut self) -> Result<WatchEvent, WatchError> {
        loop {
            if let Some(event) = self.wait(None)? {
                return Ok(event);
            }
        }
    }

    /// The next event for a task, which is woken when there is one. Needs no thread.
    pub fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<WatchEvent, WatchError>> {
        if let Some(event) = self.ready.pop_front() {
            return Poll::Ready(Ok(event));
        }
        // The task is named before looking: what comes while we look wakes it.
        self.bell.rung.lock().task = Some(task.waker().clone());
        match self.try_next() {
            Ok(None) => Poll::Pending,
            Ok(Some(event)) => Poll::Ready(Ok(event)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn wait(&mut self, most: Option<Duration>) -> Result<Option<WatchEvent>, WatchError> {
        loop {
            // Lowered before looking: what comes while we look rings again.
            self.bell.rung.lock().yes = false;
            if let Some(event) = self.try_next()? {
                return Ok(Some(event));
            }
            let mut rung = self.bell.rung.lock();
            if rung.yes {
                continue;
            }
            match most {
                None => self.bell.changed.wait(&mut rung),
                Some(most) => {
                    if self.bell.changed.wait_for(&mut rung, most).timed_out() && !rung.yes {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.follower.fmt(f)
    }
}

/// What a change means to a watch.
fn tell(filter: &Filter, change: &Change) -> Option<WatchEvent> {
    let was = change.old.as_ref().filter(|old| filter.matches(&old.header));
    let is = !change.deleted && filter.matches(&change.new.header);
    match (was, is) {
        (None, false) => None,
        (None, true) => Some(WatchEvent::Added(change.new.clone())),
        (Some(_), true) => Some(WatchEvent::Modified(change.new.clone())),
        (Some(_), false) if change.deleted => Some(WatchEvent::Deleted(change.new.clone())),
        (Some(old), false) => Some(WatchEvent::Deleted(Arc::new(old.at_revision(change.revision)))),
    }
}
