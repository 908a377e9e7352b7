//! Fields that an update may not change: the check, and how values and differences are shown.
//!
//! Knows no kind.

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;

/// A field that keeps the value that the object was created with.
pub(crate) fn validate_unchanged<T: PartialEq + Serialize>(
    new: &T,
    old: &T,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if new != old {
        errors.invalid(path, json!(new), IMMUTABLE);
    }
}

/// The fields that differ, each with both values.
pub(crate) fn changes<T: Serialize>(path: &FieldPath<'_>, old: &T, new: &T) -> String {
    let mut lines = Vec::new();
    compare(path, &json!(old), &json!(new), &mut lines);
    lines.join("\n")
}

fn compare(path: &FieldPath<'_>, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(now)) => {
            let fields = before.keys().chain(now.keys().filter(|field| !before.contains_key(*field)));
            for field in fields {
                let at = |map: &serde_json::Map<String, Value>| map.get(field).cloned().unwrap_or_default();
                compare(&path.child(field), &at(before), &at(now), lines);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (at, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&path.index(at), before, now, lines);
            }
        }
        _ => lines.extend([format!("- {path}: {old}"), format!("+ {path}: {new}")]),
    }
}
