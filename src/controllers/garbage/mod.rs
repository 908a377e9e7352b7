//! The garbage collector: deletes what lost its owners, and carries out foreground and orphan deletion.
//!
//! Owners are found by uid: the same name with another uid is an absent owner, and so is one in another
//! namespace. All is in one view, so nothing is guessed about owners that were not seen yet. Decides in
//! `verdict`; here it is woken and applied. Invariant: at rest nothing lives whose owners are all absent.

#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{KindId, ObjectKey, Registry};
use crate::limits::DELETIONS_A_TURN;
use crate::reconcile::{Action, Context, Error, Plan, Reconciler, Seen, View, Wakes};
use crate::store::{Interest, Record, Select};

/// What the collector works on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// An object with owners, or one that waits for its dependents before it goes.
    Object(KindId, ObjectKey),
    /// The dependents of an object that is gone; its uid.
    Bereaved(Arc<str>),
}

/// The controller.
#[derive(Clone, Debug, Default)]
pub struct GarbageCollector {
    /// The objects that are marked for deletion and held by finalizers, by uid: their dependents wake them.
    waiting: BTreeMap<Arc<str>, Concern>,
}

/// The objects that name this uid as an owner, of every kind.
fn dependents<'v>(view: &'v View, uid: &'v str) -> impl Iterator<Item = Arc<Record>> + 'v {
    let kinds = view.registry().iter().map(|(kind, _)| kind);
    kinds.flat_map(move |kind| view.list_records(kind, Select::Owner(uid))).cloned()
}

impl GarbageCollector {
    /// Applies one plan for each object, at most so many; a failure delays only its own object. Answers the
    /// action, or the first failure.
    fn apply_each(cx: &mut Context<'_, Concern>, plans: impl Iterator<Item = Plan>) -> Result<Action, Error> {
        let mut failed = None;
        let mut plans = plans.filter(|plan| !plan.steps.is_empty());
        for plan in plans.by_ref().take(DELETIONS_A_TURN) {
            if let Err(error) = cx.apply(plan) {
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None if plans.next().is_some() => Ok(Action::After(Duration::ZERO)),
            None => Ok(Action::Done),
        }
    }
}

impl Reconciler for GarbageCollector {
    type Key = Concern;

    fn name(&self) -> &str {
        "garbage-collector-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, _kinds: &Registry) -> Vec<Interest> {
        vec![Interest::everything()]
    }

    fn reset(&mut self) {
        self.waiting.clear();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        let change = seen.change();
        let header = &change.new.header;
        let concern = || Concern::Object(header.kind, header.key.clone());
        if let Some(old) = change.old.as_ref().filter(|old| old.header.uid != header.uid) {
            self.waiting.remove(&old.header.uid);
            wakes.wake(Concern::Bereaved(old.header.uid.clone()));
        }
        if !self.waiting.is_empty() {
            let old = change.old.iter().flat_map(|old| old.header.owners.iter());
            for owner in header.owners.iter().chain(old) {
                if let Some(waiting) = self.waiting.get(&owner.uid) {
                    wakes.wake(waiting.clone());
                }
            }
        }
        if change.deleted {
            self.waiting.remove(&header.uid);
            wakes.wake(Concern::Bereaved(header.uid.clone()));
        } else if header.deleting {
            if header.has_finalizers {
                self.waiting.insert(header.uid.clone(), concern());
                wakes.wake(concern());
            }
        } else if !header.owners.is_empty()
            && change.old.as_ref().is_none_or(|old| old.header.owners != header.owners)
        {
            wakes.wake(concern());
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Concern>, concern: &Concern) -> Result<Action, Error> {
        let view = cx.view().clone();
        match concern {
            Concern::Bereaved(uid) => {
                let plans = dependents(&view, uid).map(|dependent| verdict::of_dependent(&view, &dependent));
                GarbageCollector::apply_each(cx, plans)
            }
            Concern::Object(kind, key) => {
                let Some(record) = view.get_record(*kind, key.as_str()) else { return Ok(Action::Done) };
                if !record.header.deleting {
                    return cx.apply(verdict::of_dependent(&view, &record));
                }
                GarbageCollector::apply_each(cx, verdict::of_owner(&view, &record).into_iter())
            }
        }
    }
}
