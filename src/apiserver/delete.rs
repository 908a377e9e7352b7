//! Deleting objects: at once, after a grace period, or once nobody holds them back any more.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::admission::{Attempt, Operation};
use super::options::{DeleteOptions, ListParams, Propagation};
use super::{Server, encode, write};
use crate::api::{KindId, Object, ObjectKey, StatusError, Strategy};
use crate::limits::{CONFLICT_RETRIES, LIST_CHUNK};
use crate::store::{Expect, Proposal, Record, Refused};

/// The finalizer that makes dependents lose their owner.
pub(crate) const ORPHAN: &str = "orphan";
/// The finalizer that holds an owner until its blocking dependents are gone.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";

/// What a deletion means for an object.
enum Verdict {
    /// It goes now.
    Remove,
    /// It is marked, and stays until its finalizers, its grace period or its own content let it go.
    Mark(Box<dyn Object>),
    /// It is marked already, and nothing about that changes.
    Leave,
}

impl Server {
    /// Deletes an object, or marks it for deletion. Answers its last or its marked state.
    ///
    /// Errors: 404, 409 where a precondition does not hold, 403 from admission, 422 for an impossible grace
    /// period.
    pub fn delete(
        &self,
        kind: KindId,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<Arc<Record>, StatusError> {
        let strategy = self.strategy(kind);
        let strategy = &*strategy;
        let info = strategy.info();
        let conflict = |why: &str| StatusError::conflict(&info.group, &info.plural, key.name(), why);
        for _ in 0..CONFLICT_RETRIES {
            let snapshot = self.store.snapshot();
            let current = snapshot.get_record(kind, key.as_str()).ok_or_else(|| self.not_found(kind, key))?;
            preconditions(options, &current).map_err(|why| conflict(&why))?;
            let old = current.object(strategy);
            let attempt = Attempt {
                operation: Operation::Delete,
                strategy,
                key,
                old: Some(&*old),
                snapshot: &snapshot,
                dry_run: options.dry_run,
            };
            for link in self.admission.iter() {
                link.validate(&attempt, None)?;
            }
            let put = match judge(strategy, &*old, options, self.now()) {
                Verdict::Leave => return Ok(current),
                Verdict::Remove => None,
                Verdict::Mark(object) => {
                    // Upstream does not track the mark either.
                    Some(encode::draft(strategy, object, current.header.managed.clone())?)
                }
            };
            if options.dry_run {
                return Ok(match put {
                    Some(draft) => self.store.unsaved(kind, key.clone(), draft, current.header.revision),
                    None => current,
                });
            }
            let expect = Expect::At(current.header.revision);
            match self.store.commit(Proposal { kind, key: key.clone(), expect, put }) {
                Ok(record) => return Ok(record),
                Err(Refused::Conflict { .. }) => {}
                Err(refused) => return Err(write::failed(refused)),
            }
        }
        Err(conflict("too many others changed it at the same time"))
    }

    /// Deletes every object that the parameters select. Answers how many; objects that are gone meanwhile do
    /// not count, and the first other failure ends it.
    pub fn delete_collection(
        &self,
        kind: KindId,
        params: &ListParams,
        options: &DeleteOptions,
    ) -> Result<usize, StatusError> {
        let mut piece = ListParams { limit: Some(LIST_CHUNK), ..params.clone() };
        let mut count = 0;
        loop {
            let page = self.list(kind, &piece)?;
            for record in &page.items {
                match self.delete(kind, &record.header.key, options) {
                    Ok(_) => count += 1,
                    Err(gone) if gone.is_not_found() => {}
                    Err(other) => return Err(other),
                }
            }
            match page.continue_token {
                Some(token) => piece.continue_token = Some(token),
                None => return Ok(count),
            }
        }
    }
}

fn preconditions(options: &DeleteOptions, current: &Record) -> Result<(), String> {
    if let Some(uid) = options.uid.as_deref().filter(|uid| **uid != *current.header.uid) {
        return Err(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            current.header.uid
        ));
    }
    let revision = current.header.revision.to_string();
    if let Some(asked) = options.resource_version.as_deref().filter(|asked| **asked != *revision) {
        return Err(format!(
            "the ResourceVersion in the precondition ({asked}) does not match the ResourceVersion in record \
             ({revision}). The object might have been modified"
        ));
    }
    Ok(())
}

/// Decides, as upstream's `BeforeDelete` and the finalizers of the garbage collector do.
fn judge(strategy: &dyn Strategy, old: &dyn Object, options: &DeleteOptions, now: Timestamp) -> Verdict {
    let graceful = strategy.info().graceful_deletion;
    let grace = if graceful { strategy.grace_period(old, options.grace_period_seconds).max(0) } else { 0 };
    let marked = old.meta().deletion_timestamp.is_some();
    let mut object = old.clone_object();
    let orphans = strategy.info().orphans_dependents && !has_propagation(object.meta());
    let propagation = options.propagation.or(orphans.then_some(Propagation::Orphan));
    set_propagation(object.meta_mut(), propagation);
    let held =
        strategy.held_back(&*object) || object.meta().finalizers.as_ref().is_some_and(|f| !f.is_empty());
    let set_deadline = |meta: &mut ObjectMeta, from: Timestamp, seconds: i64| {
        let at = from.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(from);
        meta.deletion_timestamp = Some(Time(at));
        meta.deletion_grace_period_seconds = Some(seconds);
    };
    if !marked {
        if grace == 0 && !held {
            return Verdict::Remove;
        }
        let meta = object.meta_mut();
        set_deadline(meta, now, grace);
        if let Some(generation) = meta.generation.filter(|generation| *generation > 0) {
            meta.generation = Some(generation + 1);
        }
        strategy.mark_deleting(&mut *object);
        return Verdict::Mark(object);
    }
    let given = old.meta().deletion_grace_period_seconds.unwrap_or(0);
    if graceful && given > 0 {
        // A second deletion can shorten the time that is left, never lengthen it; without that it says nothing.
        let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
        return match asked.filter(|asked| *asked < given) {
            None => Verdict::Leave,
            Some(0) if !held => Verdict::Remove,
            Some(seconds) => {
                // Counted from the first request, but not into the past.
                let first = old.meta().deletion_timestamp.as_ref().map_or(now, |at| at.0);
                let began = first.checked_sub(SignedDuration::from_secs(given)).unwrap_or(now);
                let meta = object.meta_mut();
                set_deadline(meta, began, seconds);
                if meta.deletion_timestamp.as_ref().is_some_and(|at| at.0 < now) {
                    meta.deletion_timestamp = Some(Time(now));
                    meta.deletion_grace_period_seconds = Some(seconds.min(1));
                }
                Verdict::Mark(object)
            }
        };
    }
    if !held {
        return Verdict::Remove;
    }
    match object.meta().finalizers != old.meta().finalizers {
        true => Verdict::Mark(object),
        false => Verdict::Leave,
    }
}

/// Whether the object's finalizers say already what becomes of its dependents.
fn has_propagation(meta: &ObjectMeta) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == ORPHAN || finalizer == FOREGROUND)
}

/// The finalizers that a propagation policy asks for.
fn set_propagation(meta: &mut ObjectMeta, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let list = meta.finalizers.get_or_insert_default();
    list.retain(|f| (f != ORPHAN && f != FOREGROUND) || Some(f.as_str()) == wanted);
    if let Some(wanted) = wanted
        && !list.iter().any(|f| f == wanted)
    {
        list.push(wanted.to_owned());
    }
    if list.is_empty() {
        meta.finalizers = None;
    }
}
