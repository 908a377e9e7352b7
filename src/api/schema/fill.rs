//! Fills in the defaults of a schema, and drops the `null`s that it does not allow.
//!
//! Invariant: filling twice is filling once.

use serde_json::{Map, Value};

use super::{Additional, Schema};

/// Drops what is `null` where the schema neither allows it nor has a default for it.
pub fn drop_nulls(fields: &mut Map<String, Value>, schema: &Schema) {
    fields.retain(|name, value| {
        let schema = schema.field(name);
        let refused = value.is_null() && schema.is_some_and(|s| !s.nullable && s.default.is_none());
        if !refused {
            drop_in(value, schema);
        }
        !refused
    });
}

fn drop_in(value: &mut Value, schema: Option<&Schema>) {
    match (value, schema) {
        (Value::Object(fields), Some(schema)) => drop_nulls(fields, schema),
        (Value::Array(items), Some(schema)) => {
            items.iter_mut().for_each(|item| drop_in(item, schema.items.as_deref()));
        }
        _ => {}
    }
}

fn is_refused_null(value: &Value, schema: &Schema) -> bool {
    value.is_null() && !schema.nullable
}

/// Fills in what is missing.
pub fn fill(fields: &mut Map<String, Value>, schema: &Schema) {
    for (name, property) in &schema.properties {
        let Some(default) = &property.default else { continue };
        if fields.get(name).is_none_or(|value| is_refused_null(value, property)) {
            fields.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in fields.iter_mut() {
        if let Some(property) = schema.properties.get(name) {
            fill_value(value, property);
        } else if let Some(Additional::Schema(additional)) = &schema.additional {
            if is_refused_null(value, additional) {
                *value = additional.default.clone().unwrap_or_default();
            }
            fill_value(value, additional);
        }
    }
}

/// The same for any value.
pub fn fill_value(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(fields) => fill(fields, schema),
        Value::Array(items) => {
            let Some(inner) = schema.items.as_deref() else { return };
            for item in items {
                if is_refused_null(item, inner) {
                    *item = inner.default.clone().unwrap_or_default();
                }
                fill_value(item, inner);
            }
        }
        _ => {}
    }
}
