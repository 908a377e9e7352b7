//! Objects inside objects: their apiVersion, kind and metadata.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};

use super::Schema;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::object::Scope;
use crate::api::{meta, names};

/// Collects what is wrong with the objects that are embedded in this one.
pub fn validate(fields: &Map<String, Value>, schema: &Schema, errors: &mut FieldErrors) {
    for (name, value) in fields {
        if let Some(schema) = schema.properties.get(name) {
            inside(value, schema, &FieldPath::new(name), errors);
        }
    }
}

/// The same for any value.
pub fn inside(value: &Value, schema: &Schema, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match value {
        Value::Object(fields) => {
            if schema.embedded {
                object(fields, path, errors);
            }
            for (name, value) in fields {
                if let Some(property) = schema.properties.get(name) {
                    inside(value, property, &path.child(name), errors);
                } else if let Some(additional) = schema.additional_schema() {
                    inside(value, additional, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = schema.items.as_deref() else { return };
            for (at, item) in items.iter().enumerate() {
                inside(item, inner, &path.index(at), errors);
            }
        }
        _ => {}
    }
}

fn object(fields: &Map<String, Value>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for name in ["apiVersion", "kind"] {
        let at = path.child(name);
        match fields.get(name) {
            None => errors.required(&at, ""),
            Some(Value::String(text)) if text.is_empty() => errors.invalid(&at, "", "must not be empty"),
            Some(Value::String(text)) if name == "apiVersion" => {
                if text.matches('/').count() > 1 {
                    let detail = format!("unexpected GroupVersion string: {text}");
                    errors.invalid(&at, text.as_str(), detail);
                }
            }
            Some(Value::String(text)) => {
                let wrong = names::is_dns1035_label(&text.to_lowercase());
                if !wrong.is_empty() {
                    let detail =
                        format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                    errors.invalid(&at, text.as_str(), detail);
                }
            }
            Some(other) => errors.invalid(&at, other.clone(), "must be a string"),
        }
    }
    let Some(given) = fields.get("metadata") else { return };
    let mut found = match serde_json::from_value::<ObjectMeta>(given.clone()) {
        Ok(found) => found,
        Err(cause) => {
            errors.invalid(&path.child("metadata"), given.clone(), cause.to_string());
            return;
        }
    };
    if found.name.as_deref().unwrap_or_default().is_empty() {
        found.name = Some("fakename".to_owned());
    }
    let scope = match found.namespace.as_deref() {
        None | Some("") => Scope::Cluster,
        Some(_) => Scope::Namespaced,
    };
    let mut own = FieldErrors::default();
    meta::validate_meta(&found, scope, &|name, _| names::is_path_segment_name(name), &mut own);
    for mut error in own.into_list() {
        error.field = format!("{path}.{}", error.field);
        errors.add(error);
    }
}
