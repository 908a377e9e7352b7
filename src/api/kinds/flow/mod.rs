//! Which requests the server takes first when there are too many: flow schemas sort them into priority levels.
//!
//! Owns the kinds of `flowcontrol.apiserver.k8s.io` and the objects that every cluster must have, against which those
//! of the same names are held. Holds back no request: that is the server's work.

mod flow_schema;
mod mandatory;
mod priority_level;

pub use mandatory::{mandatory_flow_schemas, mandatory_priority_levels};

use std::collections::BTreeSet;

use crate::api::error::{FieldErrors, FieldPath};

/// The level of requests that are never held back.
const EXEMPT: &str = "exempt";

/// Conditions have a type, each its own.
fn validate_conditions<'a>(types: impl Iterator<Item = &'a str>, errors: &mut FieldErrors) {
    let path = FieldPath::new("status");
    let path = path.child("conditions");
    let mut seen = BTreeSet::new();
    for (at, kind) in types.enumerate() {
        let path = path.index(at);
        if !seen.insert(kind) {
            errors.duplicate(&path.child("type"), kind);
        }
        if kind.is_empty() {
            errors.required(&path.child("type"), "");
        }
    }
}

/// A condition's type, which is optional in one version of the types.
fn type_of(kind: Option<&String>) -> &str {
    kind.map_or("", String::as_str)
}
