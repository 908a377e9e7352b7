//! What a request may say besides the object itself.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::api::selector::{FieldSelector, Selector};

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// The object; its status stays as it is.
    Main,
    /// `status`; the rest stays as it is.
    Status,
    /// A Pod's `ephemeralcontainers`: those may be added, and nothing else changes.
    EphemeralContainers,
    /// A Pod's `resize`: the cpu and memory of its containers.
    Resize,
    /// A Namespace's `finalize`: `spec.finalizers` alone.
    Finalize,
}

/// How to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Do everything but commit.
    pub dry_run: bool,
    /// Who writes, for managed fields and logs.
    pub field_manager: String,
    /// In which of the kind's versions a patch is told; 0 is the storage version. An object that is written whole
    /// says so itself.
    pub version: usize,
    /// What becomes of fields that the kind has not.
    pub field_validation: FieldValidation,
    /// Where what the writer should know, and what is no error, is put.
    pub warnings: Warnings,
}

/// What becomes of fields that a kind has not, and of fields that are there twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped in silence.
    #[default]
    Ignore,
    /// They are dropped, and the writer is warned.
    Warn,
    /// The write is refused.
    Strict,
}

/// What a writer is told beside the answer; shared by the parts that its write passes through.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Adds a sentence, once.
    pub fn add(&self, text: impl Into<String>) {
        let text = text.into();
        let mut list = self.0.lock();
        if !list.contains(&text) {
            list.push(text);
        }
    }

    /// Takes out what has been said.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl PartialEq for Warnings {
    /// What is said on the way is no part of how to write.
    fn eq(&self, _other: &Warnings) -> bool {
        true
    }
}

impl Eq for Warnings {}

/// What becomes of the objects that the deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without that owner.
    Orphan,
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Seconds that the object gets to end; 0 at once; `None` for the kind's default.
    pub grace_period_seconds: Option<i64>,
    /// What becomes of dependents; `None` for the kind's default, which is `Background`.
    pub propagation: Option<Propagation>,
    /// Only if the object has this uid.
    pub uid: Option<String>,
    /// Only if the object is at this revision.
    pub resource_version: Option<String>,
    /// Do everything but commit.
    pub dry_run: bool,
}

impl DeleteOptions {
    /// Only if the object has this uid.
    pub fn of_uid(mut self, uid: &str) -> DeleteOptions {
        self.uid = Some(uid.to_owned());
        self
    }

    /// With this grace period, in seconds.
    pub fn grace(mut self, seconds: i64) -> DeleteOptions {
        self.grace_period_seconds = Some(seconds);
        self
    }

    /// With this propagation.
    pub fn propagation(mut self, propagation: Propagation) -> DeleteOptions {
        self.propagation = Some(propagation);
        self
    }
}

/// How the revision that a list names is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevisionMatch {
    /// As upstream without `resourceVersionMatch`: at least that revision for a whole list, exactly for a limited one.
    #[default]
    Unset,
    /// Exactly.
    Exact,
    /// At least.
    NotOlderThan,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListParams {
    /// The namespace; `None` for all, and for cluster-wide kinds.
    pub namespace: Option<String>,
    /// Only objects with matching labels.
    pub labels: Selector,
    /// Only objects with matching fields.
    pub fields: FieldSelector,
    /// At most this many; the answer then carries a token to go on with.
    pub limit: Option<usize>,
    /// The token of the piece before.
    pub continue_token: Option<String>,
    /// At which revision; empty for the present.
    pub resource_version: String,
    /// How the revision is meant.
    pub revision_match: RevisionMatch,
    /// In which of the kind's versions the request is made; 0 is the storage version.
    pub version: usize,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the present state, as `ADDED` events, and then the changes: upstream's watch without a revision.
    #[default]
    Present,
    /// With the present state, then a bookmark that says so, and then the changes
    /// (`sendInitialEvents=true`).
    PresentMarked,
    /// After this revision.
    Revision(crate::store::Revision),
    /// With the next change.
    Now,
}

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchParams {
    /// The namespace; `None` for all, and for cluster-wide kinds.
    pub namespace: Option<String>,
    /// Only objects with matching labels.
    pub labels: Selector,
    /// Only objects with matching fields.
    pub fields: FieldSelector,
    /// Where it begins.
    pub from: WatchFrom,
    /// In which of the kind's versions the request is made; 0 is the storage version.
    pub version: usize,
}
