//! Accepts the names of custom resource definitions, establishes them, and ends them: the objects of the kind go
//! first.
//!
//! The kind itself is registered by the door, from the log, when a definition says that it is established. Invariant:
//! two definitions of a group never have the same accepted name, and a definition loses its finalizer only when a view
//! shows no object of its kind.

mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::api::custom::is_condition_true;
use crate::api::kinds::custom_resource_definition::{CLEANUP_FINALIZER, set_condition};
use crate::api::{KindId, ObjectKey, Registry};
use crate::apiserver::DeleteOptions;
use crate::limits::DELETIONS_A_TURN;
use crate::reconcile::{Action, Context, Error, Plan, Reconciler, Seen, Step, View, Wakes};
use crate::store::{Interest, Record, Select, Stored};

/// The controller. Its keys are names of definitions.
#[derive(Clone, Debug, Default)]
pub struct CustomResources {
    /// The groups, and the definitions of each.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// The kinds whose last objects are waited for, and their definitions.
    ending: BTreeMap<KindId, String>,
}

/// The kind that a definition made, if it is registered.
fn kind_of(registry: &Registry, definition: &CustomResourceDefinition) -> Option<KindId> {
    let spec = &definition.spec;
    let is = |info: &crate::api::KindInfo| info.group == spec.group && info.plural == spec.names.plural;
    registry.iter().find(|(_, strategy)| is(strategy.info())).map(|(id, _)| id)
}

fn deletions(view: &View, kind: KindId, records: &[Arc<Record>]) -> Vec<Step> {
    let strategy = view.registry().strategy(kind);
    // Any served version will do; the storage version need not be served.
    let info = strategy.versions().iter().find(|info| info.served).unwrap_or(strategy.info());
    let due = records.iter().filter(|record| !record.header.deleting).take(DELETIONS_A_TURN);
    due.map(|record| Step::Delete {
        kind: (info.api_version.clone(), info.kind.clone()),
        key: record.header.key.clone(),
        options: DeleteOptions::default().of_uid(&record.header.uid),
    })
    .collect()
}

impl CustomResources {
    /// Deletes what is left of a kind; when nothing is, lets the definition go.
    fn end(
        &mut self,
        cx: &mut Context<'_, String>,
        definition: &Stored<CustomResourceDefinition>,
    ) -> Result<Action, Error> {
        let view = cx.view().clone();
        let kind = kind_of(view.registry(), definition);
        let established = is_condition_true(definition, "Established");
        let records: Vec<Arc<Record>> =
            kind.map(|kind| view.list_records(kind, Select::All).cloned().collect()).unwrap_or_default();
        let (reason, message) = match (established, records.is_empty()) {
            (false, true) => ("NeverEstablished", "resource was never established"),
            (true, true) => ("InstanceDeletionCompleted", "removed all instances"),
            (_, false) => ("InstanceDeletionInProgress", "CustomResource deletion is in progress"),
        };
        let mut object = CustomResourceDefinition::clone(definition);
        let status = object.status.get_or_insert_default();
        let mut plan = Plan::new();
        if set_condition(status, "Terminating", !records.is_empty(), reason, message, cx.now()) {
            plan.update_status(object.clone());
        }
        let (Some(kind), false) = (kind, records.is_empty()) else {
            // The status was written a moment ago, whatever its revision.
            object.metadata.resource_version = None;
            if let Some(finalizers) = &mut object.metadata.finalizers {
                finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
            }
            plan.update(object);
            if let Some(kind) = kind {
                self.ending.remove(&kind);
            }
            return cx.apply(plan);
        };
        self.ending.insert(kind, definition.name().to_owned());
        cx.apply(plan)?;
        let mut failed = None;
        let due = deletions(&view, kind, &records);
        let more = !due.is_empty();
        for step in due {
            match cx.apply(Plan { steps: vec![step], again: None }) {
                Err(error) if !error.is_stale() => failed = Some(error),
                _ => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            // What goes at once is gone in the next view.
            None if more => Ok(Action::After(Duration::ZERO)),
            None => Ok(Action::Done),
        }
    }
}

impl Reconciler for CustomResources {
    type Key = String;

    fn name(&self) -> &str {
        "custom-resource-definition-controller"
    }

    fn interests(&self, _kinds: &Registry) -> Vec<Interest> {
        vec![Interest::everything()]
    }

    fn reset(&mut self) {
        *self = CustomResources::default();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<String>) {
        if !seen.is::<CustomResourceDefinition>() {
            if let Some(name) = self.ending.get(&seen.change().new.header.kind).filter(|_| seen.deleted()) {
                wakes.wake(name.clone());
            }
            return;
        }
        let name = seen.key().name().to_owned();
        let Some(definition) = seen.latest::<CustomResourceDefinition>() else { return };
        let group = self.groups.entry(definition.spec.group.clone()).or_default();
        if seen.deleted() {
            group.remove(&name);
        } else {
            group.insert(name.clone());
            wakes.wake(name.clone());
        }
        let accepted = |definition: &CustomResourceDefinition| {
            definition.status.as_ref().and_then(|status| status.accepted_names.clone())
        };
        let old = seen.old::<CustomResourceDefinition>();
        // Names may be free now.
        if seen.deleted() || old.is_some_and(|old| accepted(&old) != accepted(&definition)) {
            group.iter().filter(|other| **other != name).for_each(|other| wakes.wake(other.clone()));
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, String>, name: &String) -> Result<Action, Error> {
        let Some(definition) = cx.view().get::<CustomResourceDefinition>(&ObjectKey::new("", name)) else {
            return Ok(Action::Done);
        };
        if definition.is_deleting() {
            let finalizers = definition.metadata.finalizers.as_deref().unwrap_or_default();
            let ours = finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER);
            return if ours { self.end(cx, &definition) } else { Ok(Action::Done) };
        }
        let others: Vec<Stored<CustomResourceDefinition>> = {
            let names = self.groups.get(&definition.spec.group).into_iter().flatten();
            let get = |other: &String| cx.view().get(&ObjectKey::new("", other));
            names.filter(|other| *other != name).filter_map(get).collect()
        };
        let mut plan = Plan::new();
        if let Some(object) = names::plan(&definition, &others, cx.now()) {
            plan.update_status(object);
        }
        cx.apply(plan)
    }
}
