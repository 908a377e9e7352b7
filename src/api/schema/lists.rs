//! Lists whose items must differ: sets by the items themselves, maps by their key fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ListType, Schema};
use crate::api::error::{FieldErrors, FieldPath};

/// Collects the duplicates below an object. `path` is `None` for the object itself.
pub fn validate(
    fields: &Map<String, Value>,
    schema: &Schema,
    path: Option<&FieldPath<'_>>,
    errors: &mut FieldErrors,
) {
    for (name, value) in fields {
        if let Some(property) = schema.properties.get(name) {
            match path {
                Some(path) => inside(value, property, &path.child(name), errors),
                None => inside(value, property, &FieldPath::new(name), errors),
            }
        } else if let (Some(additional), Some(path)) = (schema.additional_schema(), path) {
            inside(value, additional, &path.key(name), errors);
        }
    }
}

fn inside(value: &Value, schema: &Schema, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match value {
        Value::Object(fields) => validate(fields, schema, Some(path), errors),
        Value::Array(items) => {
            match schema.list_type {
                Some(ListType::Set) => {
                    let texts = items.iter().map(ToString::to_string).collect();
                    for at in repeated(texts) {
                        errors.duplicate(&path.index(at), items[at].clone());
                    }
                }
                Some(ListType::Map) => map(items, schema, path, errors),
                _ => {}
            }
            if let Some(inner) = schema.items.as_deref() {
                for (at, item) in items.iter().enumerate() {
                    inside(item, inner, &path.index(at), errors);
                }
            }
        }
        _ => {}
    }
}

/// The places where a text stands for the second time.
fn repeated(texts: Vec<String>) -> Vec<usize> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut places = Vec::new();
    for (at, text) in texts.into_iter().enumerate() {
        let times = seen.entry(text).or_default();
        *times += 1;
        if *times == 2 {
            places.push(at);
        }
    }
    places
}

fn map(items: &[Value], schema: &Schema, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(at) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        errors.invalid(&path.index(at), items[at].clone(), detail);
        return;
    }
    let keys: Vec<Value> = items.iter().map(|item| key_of(item, schema)).collect();
    for at in repeated(keys.iter().map(ToString::to_string).collect()) {
        errors.duplicate(&path.index(at), keys[at].clone());
    }
}

/// The key fields of an item of a list that is a map.
pub fn key_of(item: &Value, schema: &Schema) -> Value {
    let fields = schema.list_map_keys.iter();
    Value::Object(fields.filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect())
}
