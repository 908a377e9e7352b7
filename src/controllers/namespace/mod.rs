//! Ends namespaces: deletes what is in them, says how far that is, and lets go of them.
//!
//! Pods go first and get their grace; everything else follows once they are gone. Knows no kind besides Pod: the
//! registry tells which live in namespaces. Invariant: a namespace loses the finalizer `kubernetes` only when a
//! view shows nothing in it.

mod conditions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};

use crate::api::meta::{FINALIZER_KUBERNETES, time_now_meta};
use crate::api::{KindId, ObjectKey, Registry, Scope};
use crate::apiserver::{DeleteOptions, Propagation};
use crate::limits::DELETIONS_A_TURN;
use crate::reconcile::{Action, Context, Error, Plan, Reconciler, Seen, Step, View, Wakes};
use crate::store::{Interest, Record, Select, Stored};
use conditions::Findings;

/// The controller. Its keys are names of namespaces.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    present: BTreeSet<String>,
    ending: BTreeSet<String>,
}

fn namespaced(registry: &Registry) -> impl Iterator<Item = KindId> + '_ {
    registry.iter().filter(|(_, strategy)| strategy.info().scope == Scope::Namespaced).map(|(id, _)| id)
}

/// What is in a namespace, in the order in which it goes: the kinds of the first group that is not empty.
fn content(view: &View, namespace: &str) -> Vec<(KindId, Vec<std::sync::Arc<Record>>)> {
    let registry = view.registry();
    let pods = registry.id_of::<Pod>();
    let of = |kind: KindId| {
        let records: Vec<_> = view.list_records(kind, Select::Namespace(namespace)).cloned().collect();
        (!records.is_empty()).then_some((kind, records))
    };
    if let Some(pods) = pods.and_then(of) {
        return vec![pods];
    }
    namespaced(registry).filter_map(of).collect()
}

/// The deletions that are due, at most some of them.
fn deletions(view: &View, content: &[(KindId, Vec<std::sync::Arc<Record>>)]) -> Vec<Step> {
    let all = content.iter().flat_map(|(kind, records)| records.iter().map(move |record| (*kind, record)));
    let due = all.filter(|(_, record)| !record.header.deleting).take(DELETIONS_A_TURN);
    due.map(|(kind, record)| {
        let strategy = view.registry().strategy(kind);
        let info = strategy.info();
        Step::Delete {
            kind: (info.api_version.clone(), info.kind.clone()),
            key: record.header.key.clone(),
            options: DeleteOptions::default().of_uid(&record.header.uid).propagation(Propagation::Background),
        }
    })
    .collect()
}

/// What is left although all of it is being deleted: how many of each resource, and who holds on to them.
fn findings(view: &View, content: &[(KindId, Vec<std::sync::Arc<Record>>)]) -> Findings {
    let mut findings = Findings::default();
    for (kind, records) in content {
        let strategy = view.registry().strategy(*kind);
        let info = strategy.info();
        findings.resources.insert(format!("{}.{}", info.plural, info.group), records.len());
        for record in records.iter().filter(|record| record.header.has_finalizers) {
            for finalizer in record.object(&*strategy).meta().finalizers.iter().flatten() {
                *findings.finalizers.entry(finalizer.clone()).or_default() += 1;
            }
        }
    }
    findings
}

/// Says how far the end has come, and lets the namespace go when nothing is left.
fn plan(namespace: &Stored<Namespace>, findings: &Findings, now: jiff::Timestamp) -> Plan {
    let mut plan = Plan::new();
    let mut object = Namespace::clone(namespace);
    if findings.write(object.status.get_or_insert_default(), time_now_meta(now)) {
        plan.update_status(object.clone());
    }
    if findings.is_empty() {
        // The status was written a moment ago: the finalizers alone are written, whatever the revision.
        object.metadata.resource_version = None;
        if let Some(finalizers) = object.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != FINALIZER_KUBERNETES);
        }
        plan.steps.push(Step::Finalize(Box::new(object)));
    }
    plan
}

fn is_finalized(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref());
    !finalizers.unwrap_or_default().iter().any(|finalizer| finalizer == FINALIZER_KUBERNETES)
}

impl Reconciler for Namespaces {
    type Key = String;

    fn name(&self) -> &str {
        "namespace-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, _kinds: &Registry) -> Vec<Interest> {
        vec![Interest::everything()]
    }

    fn reset(&mut self) {
        *self = Namespaces::default();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<String>) {
        if seen.is::<Namespace>() {
            let name = seen.key().name().to_owned();
            if seen.deleted() {
                self.present.remove(&name);
                self.ending.remove(&name);
                // What was created while it went must go too.
                wakes.wake(name);
                return;
            }
            self.present.insert(name.clone());
            if seen.change().new.header.deleting {
                self.ending.insert(name.clone());
                wakes.wake(name);
            }
            return;
        }
        let namespace = seen.key().namespace();
        if namespace.is_empty() {
            return;
        }
        let change = seen.change();
        let held = |record: &Record| record.header.has_finalizers;
        let matters = change.deleted || change.old.as_ref().is_none_or(|old| held(old) != held(&change.new));
        if matters && self.ending.contains(namespace) || !change.deleted && !self.present.contains(namespace)
        {
            wakes.wake(namespace.to_owned());
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, String>, name: &String) -> Result<Action, Error> {
        let namespace = cx.view().get::<Namespace>(&ObjectKey::new("", name));
        if namespace.as_ref().is_some_and(|namespace| !namespace.is_deleting() || is_finalized(namespace)) {
            return Ok(Action::Done);
        }
        let content = content(cx.view(), name);
        let steps = deletions(cx.view(), &content);
        let deleted = !steps.is_empty();
        let mut failures: BTreeMap<String, Error> = BTreeMap::new();
        for step in steps {
            let done = cx.apply(Plan { steps: vec![step], again: None });
            if let Err(error) = done
                && !error.is_stale()
            {
                failures.insert(error.to_string(), error);
            }
        }
        let Some(namespace) = namespace else {
            let failed = failures.into_values().next();
            return failed.map_or(Ok(Action::Done), Err);
        };
        if deleted && failures.is_empty() {
            // What goes at once is gone in the next view.
            return Ok(Action::After(Duration::ZERO));
        }
        let mut findings = findings(cx.view(), &content);
        findings.failures = failures.keys().cloned().collect();
        let plan = plan(&namespace, &findings, cx.now());
        cx.apply(plan)?;
        failures.into_values().next().map_or(Ok(Action::Done), Err)
    }
}
