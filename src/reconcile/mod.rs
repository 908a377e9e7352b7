//! The loop in which everything after the store is written.
//!
//! A [`Reconciler`] says which changes wake which of its keys, and what to do for one key. The loop
//! (`component`) owns queue, back-off, timers and tickets; a driver ([`threads`], [`simulation`]) owns the
//! threads and the clock. A reconciler owns neither: it decides from a [`View`] and returns a [`Plan`].
//!
//! Guarantees: a key is worked on by one thread at a time; every change that matches an interest is observed
//! once, in order, before a key that it wakes is reconciled; a key is held back until the view includes its
//! own last writes; a panic or an error of one key delays only that key.

mod apply;
mod component;
mod driver;
mod plan;
mod queue;
pub mod simulation;
pub mod threads;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{Kind, StatusError};
use crate::store::{Change, Interest, Snapshot, Stored};

pub use component::{Context, Loop, Notifier};
pub use driver::{Component, Handle, Progress, Spawner, Work};
pub use plan::{EventType, Plan, Step};
pub use queue::Wakes;

/// What a plan reads: the whole state at one revision.
pub type View = Snapshot;

/// What became of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing more to do until something changes.
    Done,
    /// Come back after this long, even if nothing changes. The newest answer for a key replaces the older.
    After(Duration),
}

/// Why a key could not be brought further. It is tried again after a back-off; a conflict, which only says that
/// somebody else was faster, soon and without a word.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The door refused a write.
    #[error("{step}: {cause}")]
    Refused {
        /// What was being done, with the object.
        step: String,
        /// The door's answer.
        cause: StatusError,
    },
    /// Something else went wrong.
    #[error("{step}: {cause}")]
    Failed {
        /// What was being done, with the object.
        step: String,
        /// Why, in one sentence.
        cause: String,
    },
}

impl Error {
    /// Whether it only says that the view was old: another writer was faster, or the object is gone.
    pub fn is_stale(&self) -> bool {
        matches!(self, Error::Refused { cause, .. } if cause.is_conflict() || cause.is_not_found())
    }
}

/// The number of a submitted piece of work, unique in its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a piece of work gave; the reconciler that submitted it knows the type. A panic in the work gives a
/// [`Panicked`].
pub type Output = Box<dyn Any + Send>;

/// The output of work that panicked, with the panic's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked(pub String);

/// The classes of blocking work. Each has its own bounded executor, so that one class cannot starve another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Making and ending sandboxes and containers, and their network.
    Runtime,
    /// Finding and unpacking images.
    Image,
    /// Volumes.
    Volume,
    /// Probes and hooks.
    Probe,
    /// Kernel state of the cluster's network.
    Network,
    /// Calls to servers elsewhere.
    Remote,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 6] =
        [Class::Runtime, Class::Image, Class::Volume, Class::Probe, Class::Network, Class::Remote];
}

/// A part of the cluster that brings the world closer to what is asked, one key at a time.
///
/// # Example
///
/// ```
/// use coracle::api::ObjectKey;
/// use coracle::k8s_openapi::api::core::v1::ConfigMap;
/// use coracle::reconcile::{Action, Context, Error, Plan, Reconciler, Seen, Wakes};
/// use coracle::api::Registry;
/// use coracle::store::Interest;
///
/// /// Counts the ConfigMaps of each namespace and says so in an annotation of none of them.
/// struct Counter;
///
/// impl Reconciler for Counter {
///     type Key = String;
///
///     fn name(&self) -> &str {
///         "counter"
///     }
///
///     fn interests(&self, kinds: &Registry) -> Vec<Interest> {
///         kinds.id_of::<ConfigMap>().map(Interest::all).into_iter().collect()
///     }
///
///     fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<String>) {
///         wakes.wake(seen.key().namespace().to_owned());
///     }
///
///     fn reconcile(&mut self, cx: &mut Context<'_, String>, namespace: &String) -> Result<Action, Error> {
///         let count = cx.view().list::<ConfigMap>(coracle::store::Select::Namespace(namespace)).count();
///         tracing::info!(%namespace, count);
///         cx.apply(Plan::new())
///     }
/// }
/// ```
pub trait Reconciler: Send + 'static {
    /// What its work is divided by.
    type Key: Clone + Ord + fmt::Debug + Send + 'static;

    /// Its name, in logs and as the source of events.
    fn name(&self) -> &str;

    /// The name under which it owns the fields that it writes; several reconcilers may share one.
    fn manager(&self) -> &str {
        self.name()
    }

    /// Which changes it wants to see.
    fn interests(&self, kinds: &crate::api::Registry) -> Vec<Interest>;

    /// Called before the first change, and again when the cursor was lost: every fold starts empty. Afterwards
    /// each present object of the interests is observed as if it had just been created.
    fn reset(&mut self) {}

    /// Sees one change: brings its folds up to date and wakes the keys that the change concerns.
    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Self::Key>);

    /// Brings one key closer to what is asked. Reads `cx.view()`, decides, applies.
    fn reconcile(&mut self, cx: &mut Context<'_, Self::Key>, key: &Self::Key) -> Result<Action, Error>;

    /// Takes the output of work that was submitted for `key`. The key is reconciled afterwards.
    fn complete(&mut self, cx: &mut Context<'_, Self::Key>, key: &Self::Key, ticket: Ticket, output: Output) {
        let _ = (cx, key, ticket, output);
    }
}

/// One change, as a reconciler observes it.
pub struct Seen<'a> {
    pub(crate) change: &'a Change,
    pub(crate) registry: &'a Arc<crate::api::Registry>,
}

impl Seen<'_> {
    /// The object's namespace and name.
    pub fn key(&self) -> &crate::api::ObjectKey {
        &self.change.new.header.key
    }

    /// The change itself: headers before and after, without decoding.
    pub fn change(&self) -> &Change {
        self.change
    }

    /// Whether the object is of this kind.
    pub fn is<K: Kind>(&self) -> bool {
        self.registry.id_of::<K>() == Some(self.change.new.header.kind)
    }

    /// The object before the change, if it is of this kind and was there.
    pub fn old<K: Kind>(&self) -> Option<Stored<K>> {
        let old = self.change.old.as_ref()?;
        self.is::<K>().then(|| Stored::new(old.clone()))
    }

    /// The object after the change, if it is of this kind and still there.
    #[allow(clippy::new_ret_no_self, reason = "the new object, not a new Seen")]
    pub fn new<K: Kind>(&self) -> Option<Stored<K>> {
        (self.is::<K>() && !self.change.deleted).then(|| Stored::new(self.change.new.clone()))
    }

    /// The object in its newest state, if it is of this kind: also that of a deleted one.
    pub fn latest<K: Kind>(&self) -> Option<Stored<K>> {
        self.is::<K>().then(|| Stored::new(self.change.new.clone()))
    }

    /// Whether the object is gone.
    pub fn deleted(&self) -> bool {
        self.change.deleted
    }
}
