//! What becomes of one object: pure, from one view.
//!
//! Invariant: an object with one owner that is there and stays is never deleted.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::dependents;
use crate::api::meta::{FINALIZER_FOREGROUND, FINALIZER_ORPHAN};
use crate::api::{Object, ObjectKey, Scope};
use crate::apiserver::{DeleteOptions, Propagation};
use crate::limits::DELETIONS_A_TURN;
use crate::reconcile::{Plan, Step, View};
use crate::store::Record;

/// What a reference to an owner amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The owner is there and stays, or nobody can say.
    Solid,
    /// The owner is not there.
    Absent,
    /// The owner waits for its dependents before it goes.
    Waiting,
}

fn object(view: &View, record: &Record) -> Arc<dyn Object> {
    record.object(&*view.registry().strategy(record.header.kind))
}

fn has_finalizer(meta: &ObjectMeta, wanted: &str) -> bool {
    meta.finalizers.iter().flatten().any(|finalizer| finalizer == wanted)
}

/// Whether an object is marked and waits for its dependents.
fn deletes_dependents(view: &View, record: &Record) -> bool {
    let header = &record.header;
    header.deleting
        && header.has_finalizers
        && has_finalizer(object(view, record).meta(), FINALIZER_FOREGROUND)
}

fn standing(view: &View, reference: &OwnerReference, namespace: &str) -> Standing {
    let registry = view.registry();
    // Of a kind that is not known here nobody can say whether the owner is there.
    let Some(kind) = registry.find(&reference.api_version, &reference.kind) else { return Standing::Solid };
    let key = match (registry.strategy(kind).info().scope, namespace) {
        (Scope::Cluster, _) => ObjectKey::new("", &reference.name),
        // What lives in no namespace cannot be owned by what does; upstream leaves such objects alone.
        (Scope::Namespaced, "") => return Standing::Solid,
        (Scope::Namespaced, namespace) => ObjectKey::new(namespace, &reference.name),
    };
    match view.get_record(kind, key.as_str()) {
        Some(owner) if *owner.header.uid == *reference.uid => {
            if deletes_dependents(view, &owner) {
                Standing::Waiting
            } else {
                Standing::Solid
            }
        }
        _ => Standing::Absent,
    }
}

/// What becomes of an object that has owners and is not marked for deletion.
pub(super) fn of_dependent(view: &View, record: &Record) -> Plan {
    let mut plan = Plan::new();
    let header = &record.header;
    if header.deleting || header.owners.is_empty() {
        return plan;
    }
    let object = object(view, record);
    let references = object.meta().owner_references.as_deref().unwrap_or_default();
    let standings: Vec<Standing> =
        references.iter().map(|reference| standing(view, reference, header.key.namespace())).collect();
    let some = |wanted: Standing| standings.contains(&wanted);
    if some(Standing::Solid) {
        if some(Standing::Absent) || some(Standing::Waiting) {
            let kept =
                references.iter().zip(&standings).filter(|(_, standing)| **standing == Standing::Solid);
            let kept = kept.map(|(reference, _)| reference.clone()).collect();
            plan.steps.push(Step::Update(with_owners(&*object, kept)));
        }
        return plan;
    }
    let mut propagation = match object.meta() {
        meta if has_finalizer(meta, FINALIZER_ORPHAN) => Propagation::Orphan,
        meta if has_finalizer(meta, FINALIZER_FOREGROUND) => Propagation::Foreground,
        _ => Propagation::Background,
    };
    if some(Standing::Waiting) {
        let mut own = dependents(view, &header.uid).peekable();
        if own.peek().is_some() {
            // Two that wait for each other would wait for ever: this one stops blocking its owners first.
            let blocks = references.iter().any(|reference| reference.block_owner_deletion == Some(true));
            if blocks && own.any(|dependent| deletes_dependents(view, &dependent)) {
                let unblock = |reference: &OwnerReference| OwnerReference {
                    block_owner_deletion: reference.block_owner_deletion.map(|_| false),
                    ..reference.clone()
                };
                plan.steps
                    .push(Step::Update(with_owners(&*object, references.iter().map(unblock).collect())));
                return plan;
            }
            propagation = Propagation::Foreground;
        }
    }
    let strategy = view.registry().strategy(header.kind);
    let info = strategy.info();
    // Whoever changes the owners meanwhile must be heard.
    let options = DeleteOptions {
        resource_version: Some(header.revision.to_string()),
        ..DeleteOptions::default().of_uid(&header.uid).propagation(propagation)
    };
    let kind = (info.api_version.clone(), info.kind.clone());
    plan.steps.push(Step::Delete { kind, key: header.key.clone(), options });
    plan
}

/// What is to be done for an object that is marked for deletion and held by finalizers of ours: one plan for
/// each dependent, or, once there is none to wait for, the plan that lets the object go.
pub(super) fn of_owner(view: &View, record: &Record) -> Vec<Plan> {
    let owner = object(view, record);
    let uid = &record.header.uid;
    // One more than a turn takes, so that the turn knows whether there are more.
    let most = DELETIONS_A_TURN + 1;
    if has_finalizer(owner.meta(), FINALIZER_ORPHAN) {
        let children = dependents(view, uid).take(most);
        let orphaned: Vec<Plan> = children.map(|child| without_owner(view, &child, uid)).collect();
        return if orphaned.is_empty() {
            vec![without_finalizer(&*owner, FINALIZER_ORPHAN)]
        } else {
            orphaned
        };
    }
    if has_finalizer(owner.meta(), FINALIZER_FOREGROUND) {
        // An object that owns itself must not wait for itself.
        let blocks = |child: &Arc<Record>| {
            child.header.uid != *uid && child.header.owners.iter().any(|o| o.uid == *uid && o.blocks)
        };
        let mut blocking = dependents(view, uid).filter(blocks).peekable();
        if blocking.peek().is_none() {
            return vec![without_finalizer(&*owner, FINALIZER_FOREGROUND)];
        }
        let due = blocking.map(|child| of_dependent(view, &child)).filter(|plan| !plan.steps.is_empty());
        return due.take(most).collect();
    }
    Vec::new()
}

fn with_owners(object: &dyn Object, owners: Vec<OwnerReference>) -> Box<dyn Object> {
    let mut object = object.clone_object();
    object.meta_mut().owner_references = (!owners.is_empty()).then_some(owners);
    object
}

fn without_owner(view: &View, record: &Record, uid: &str) -> Plan {
    let object = object(view, record);
    let references = object.meta().owner_references.iter().flatten();
    let kept = references.filter(|reference| reference.uid != uid).cloned().collect();
    Plan { steps: vec![Step::Update(with_owners(&*object, kept))], again: None }
}

fn without_finalizer(object: &dyn Object, finalizer: &str) -> Plan {
    let mut object = object.clone_object();
    if let Some(list) = &mut object.meta_mut().finalizers {
        list.retain(|known| known != finalizer);
    }
    Plan { steps: vec![Step::Update(object)], again: None }
}
