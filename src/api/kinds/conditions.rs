//! Conditions of the common form, and what a write of a status may not change of the metadata.
//!
//! Owns the checks for kinds that check their conditions at all; most do not.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::is_qualified_name;
use crate::limits::{CONDITION_MESSAGE_BYTES, CONDITION_REASON_BYTES};

/// What the status of a condition may be.
pub(crate) const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// Takes over from `old` the metadata that a write of the status leaves alone, for kinds of which upstream says
/// so: everything that users set.
pub(crate) fn keep_meta_for_status(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    new.generation = old.generation;
    new.self_link.clone_from(&old.self_link);
    new.labels.clone_from(&old.labels);
    new.annotations.clone_from(&old.annotations);
    new.finalizers.clone_from(&old.finalizers);
    new.owner_references.clone_from(&old.owner_references);
}

/// Collects what is wrong with conditions.
pub(crate) fn validate_conditions(conditions: &[Condition], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        if !seen.insert(condition.type_.as_str()) {
            errors.duplicate(&path.child("type"), condition.type_.as_str());
        }
        validate_condition(condition, &path, errors);
    }
}

fn validate_condition(condition: &Condition, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (kind, status) = (condition.type_.as_str(), condition.status.as_str());
    errors.invalid_each(&path.child("type"), kind, is_qualified_name(kind));
    if !STATUSES.contains(&status) {
        errors.not_supported(&path.child("status"), status, &STATUSES);
    }
    if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.invalid(&path.child("observedGeneration"), generation, detail);
    }
    // A time that was left out decodes to the first of all.
    if condition.last_transition_time.0 == Timestamp::default() {
        errors.required(&path.child("lastTransitionTime"), "");
    }
    let (field, reason) = (path.child("reason"), condition.reason.as_str());
    if reason.is_empty() {
        errors.required(&field, "");
    } else {
        if !is_reason(reason) {
            errors.invalid(&field, reason, REASON);
        }
        if reason.len() > CONDITION_REASON_BYTES {
            errors.too_long(&field, CONDITION_REASON_BYTES);
        }
    }
    if condition.message.len() > CONDITION_MESSAGE_BYTES {
        errors.too_long(&path.child("message"), CONDITION_MESSAGE_BYTES);
    }
}

const REASON: &str = "a condition reason must start with alphabetic character, optionally followed by a string of \
    alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or \
    'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is \
    '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

fn is_reason(reason: &str) -> bool {
    reason.starts_with(|first: char| first.is_ascii_alphabetic())
        && reason.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '_')
        && reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b':'))
}
