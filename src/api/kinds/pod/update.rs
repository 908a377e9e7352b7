//! What an update of a pod may change: images, a deadline that comes nearer, tolerations that are added; and
//! where the pod may go, while it is held back by gates.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, NodeAffinity, NodeSelectorTerm, Pod, PodSpec, Toleration,
};
use serde_json::{Value, json};

use super::MIRROR_ANNOTATION;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::unchanged::changes;
use crate::api::names::in_range;

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                         `spec.tolerations` (only additions to existing tolerations),\
                         `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Collects what is wrong with the change.
pub(super) fn validate_update(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    validate_annotation_change(new, old, errors);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return };
    let path = FieldPath::new("spec");
    let lists = [
        ("containers", new.containers.as_slice(), old.containers.as_slice()),
        ("initContainers", list(&new.init_containers), list(&old.init_containers)),
    ];
    for (field, new, old) in lists {
        if !validate_containers(new, old, &path.child(field), errors) {
            return;
        }
    }
    if !validate_deadline(new, old, &path.child("activeDeadlineSeconds"), errors) {
        return;
    }
    let path_of = path.child("tolerations");
    validate_tolerations(list(&new.tolerations), list(&old.tolerations), &path_of, errors);
    validate_gates(new, old, &path.child("schedulingGates"), errors);
    if new != old {
        validate_rest(new, old, &path, errors);
    }
}

/// Annotations that a pod has for good.
pub(super) fn validate_annotation_change(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let metadata = FieldPath::new("metadata");
    let path = metadata.child("annotations");
    let none = BTreeMap::new();
    let now = new.metadata.annotations.as_ref().unwrap_or(&none);
    let before = old.metadata.annotations.as_ref().unwrap_or(&none);
    let kind = |key: &str| match key {
        MIRROR_ANNOTATION => Some("mirror pod annotation"),
        _ if key.starts_with(APP_ARMOR) => Some("AppArmor annotations"),
        _ => None,
    };
    for (key, value) in before {
        if let Some(kind) = kind(key).filter(|_| now.get(key) != Some(value)) {
            errors.forbidden(&path.key(key), format!("may not remove or update {kind}"));
        }
    }
    for key in now.keys() {
        if let Some(kind) = kind(key).filter(|_| !before.contains_key(key)) {
            errors.forbidden(&path.key(key), format!("may not add {kind}"));
        }
    }
}

fn validate_containers(
    new: &[Container],
    old: &[Container],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> bool {
    if new.len() != old.len() {
        errors.forbidden(path, "pod updates may not add or remove containers");
        return false;
    }
    true
}

/// A deadline may be set and come nearer. Answers whether to go on.
fn validate_deadline(new: &PodSpec, old: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) -> bool {
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(now), before) => {
            let wrong = in_range(now, 0, i32::MAX.into());
            if let Some(detail) = wrong.into_iter().next() {
                errors.invalid(path, now, detail);
                return false;
            }
            if before.is_some_and(|before| before < now) {
                errors.invalid(path, now, "must be less than or equal to previous value");
                return false;
            }
        }
        (None, Some(_)) => {
            errors.invalid(path, Value::Null, "must not update from a positive integer to nil value");
        }
        (None, None) => {}
    }
    true
}

fn validate_tolerations(
    new: &[Toleration],
    old: &[Toleration],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let same = |a: &Toleration, b: &Toleration| {
        a.key == b.key && a.operator == b.operator && a.value == b.value && a.effect == b.effect
    };
    if old.iter().any(|old| !new.iter().any(|new| same(new, old))) {
        errors.forbidden(path, "existing toleration can not be modified except its tolerationSeconds");
    }
}

fn validate_gates(new: &PodSpec, old: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let before = list(&old.scheduling_gates);
    for (at, gate) in list(&new.scheduling_gates).iter().enumerate() {
        if !before.contains(gate) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.forbidden(&path.index(at).child("name"), detail);
        }
    }
}

/// Once everything that may change is put back, nothing may be left.
fn validate_rest(new: &PodSpec, old: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut rest = new.clone();
    for (new, old) in rest.containers.iter_mut().zip(&old.containers) {
        new.image.clone_from(&old.image);
    }
    for (new, old) in rest.init_containers.iter_mut().flatten().zip(list(&old.init_containers)) {
        new.image.clone_from(&old.image);
    }
    rest.active_deadline_seconds = old.active_deadline_seconds;
    rest.scheduling_gates.clone_from(&old.scheduling_gates);
    rest.tolerations.clone_from(&old.tolerations);
    if old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0)
        && rest.termination_grace_period_seconds == Some(1)
    {
        rest.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
    if !list(&old.scheduling_gates).is_empty() {
        put_back_placement(&mut rest, old, path, errors);
    }
    if rest != *old {
        let changes = changes(path, old, &rest);
        errors
            .forbidden(path, format!("pod updates may not change fields other than {UPDATABLE}\n{changes}"));
    }
}

/// A gated pod may be told more exactly where to go.
fn put_back_placement(rest: &mut PodSpec, old: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if rest.node_selector != old.node_selector {
        let now = rest.node_selector.clone().unwrap_or_default();
        let kept = |(key, value): (&String, &String)| now.get(key) == Some(value);
        if !old.node_selector.iter().flatten().all(kept) {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.invalid(&path.child("nodeSelector"), json!(now), detail);
        }
        rest.node_selector.clone_from(&old.node_selector);
    }
    let node_of = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (now, before) = (node_of(rest), node_of(old));
    if now == before {
        return;
    }
    let path = path.child("affinity");
    validate_node_affinity(now.as_ref(), before.as_ref(), &path.child("nodeAffinity"), errors);
    let affinity = rest.affinity.get_or_insert_default();
    affinity.node_affinity = before;
    if *affinity == Affinity::default() && old.affinity.is_none() {
        rest.affinity = None;
    }
}

fn validate_node_affinity(
    new: Option<&NodeAffinity>,
    old: Option<&NodeAffinity>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let terms = |affinity: Option<&NodeAffinity>| {
        let required = affinity
            .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.clone());
        required.map(|required| required.node_selector_terms)
    };
    let Some(before) = terms(old) else { return };
    let now = terms(new).unwrap_or_default();
    let path = path.child("requiredDuringSchedulingIgnoredDuringExecution");
    let path = path.child("nodeSelectorTerms");
    if !before.is_empty() && before.len() != now.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.invalid(&path, json!(now), detail);
        return;
    }
    for (at, (now, before)) in now.iter().zip(&before).enumerate() {
        if !has_only_additions(now, before) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.invalid(&path.index(at), json!(now), detail);
        }
    }
}

fn has_only_additions(new: &NodeSelectorTerm, old: &NodeSelectorTerm) -> bool {
    let (labels, fields) = (list(&old.match_expressions), list(&old.match_fields));
    let (new_labels, new_fields) = (list(&new.match_expressions), list(&new.match_fields));
    if labels.is_empty() && fields.is_empty() && !(new_labels.is_empty() && new_fields.is_empty()) {
        return false;
    }
    new_labels.starts_with(labels) && new_fields.starts_with(fields)
}

/// Whether two texts say the same, absent being empty.
pub(super) fn same_text(a: &Option<String>, b: &Option<String>) -> bool {
    text(a) == text(b)
}
