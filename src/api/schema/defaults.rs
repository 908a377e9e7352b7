//! The defaults that a schema carries must themselves be valid, and hold nothing that would be pruned.

use serde_json::Value;

use super::{Schema, embedded, prune, validate};
use crate::api::cel::{self, Ratchet, Spent};
use crate::api::error::{FieldErrors, FieldPath};

/// Collects what is wrong with the defaults of a schema.
pub fn validate(schema: &Schema, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    walk(schema, path, &mut Spent::default(), errors);
}

fn walk(schema: &Schema, path: &FieldPath<'_>, spent: &mut Spent, errors: &mut FieldErrors) {
    if let Some(default) = &schema.default {
        one(default, schema, &path.child("default"), spent, errors);
    }
    if let Some(items) = &schema.items {
        walk(items, &path.child("items"), spent, errors);
    }
    for (name, property) in &schema.properties {
        walk(property, &path.child("properties").key(name), spent, errors);
    }
}

fn one(default: &Value, schema: &Schema, path: &FieldPath<'_>, spent: &mut Spent, errors: &mut FieldErrors) {
    let mut pruned = default.clone();
    prune::prune(&mut pruned, schema);
    if pruned != *default {
        errors.invalid(path, default.clone(), "must not have unknown fields");
    }
    let before = errors.len();
    embedded::inside(default, schema, path, errors);
    if errors.len() > before {
        return;
    }
    validate::validate(default, None, schema, &path.to_string(), errors);
    if errors.len() > before {
        return;
    }
    cel::validate(
        default,
        Some(default),
        schema,
        schema.embedded,
        Some(path),
        Ratchet::default(),
        spent,
        errors,
    );
    if errors.len() == before {
        cel::validate(default, None, schema, schema.embedded, Some(path), Ratchet::default(), spent, errors);
    }
}
