//! Conditions in the shape that many kinds share: their checks. Their canonical form stands beside the Service,
//! which had them first. A time that is missing is refused where they are decoded.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::is_qualified_name;
use crate::limits::{CONDITION_MESSAGE_BYTES, CONDITION_REASON_BYTES};

const STATUSES: [&str; 3] = ["False", "True", "Unknown"];
const REASON_RULE: &str = "a condition reason must start with alphabetic character, optionally followed by a \
                           string of alphanumeric characters or '_,:', and must end with an alphanumeric \
                           character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or \
                           'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is \
                           '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";

/// Collects what is wrong with a list of conditions.
pub(crate) fn validate_conditions(conditions: &[Condition], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut types = BTreeSet::new();
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        if !types.insert(condition.type_.as_str()) {
            errors.duplicate(&path.child("type"), condition.type_.as_str());
        }
        validate_condition(condition, &path, errors);
    }
}

fn validate_condition(condition: &Condition, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    errors.invalid_each(&path.child("type"), &condition.type_, is_qualified_name(&condition.type_));
    if !STATUSES.contains(&condition.status.as_str()) {
        errors.not_supported(&path.child("status"), condition.status.as_str(), &STATUSES);
    }
    let generation = condition.observed_generation.unwrap_or(0);
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.invalid(&path.child("observedGeneration"), generation, detail);
    }
    let reason = path.child("reason");
    if condition.reason.is_empty() {
        errors.required(&reason, "");
    } else {
        if !is_reason(&condition.reason) {
            errors.invalid(&reason, condition.reason.as_str(), REASON_RULE);
        }
        if condition.reason.len() > CONDITION_REASON_BYTES {
            errors.too_long(&reason, CONDITION_REASON_BYTES);
        }
    }
    if condition.message.len() > CONDITION_MESSAGE_BYTES {
        errors.too_long(&path.child("message"), CONDITION_MESSAGE_BYTES);
    }
}

fn is_reason(reason: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = reason.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(|byte| word(*byte))
        && bytes.iter().all(|byte| word(*byte) || matches!(byte, b',' | b':'))
}
