//! The rules by which a schema is structural: every field that a validation speaks of is specified outside of it
//! too, and every node says what it is.
//!
//! Pure. Invariant: the errors come sorted by their text, as upstream's.

use super::{Additional, Schema};
use crate::api::error::{FieldErrors, FieldPath};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Collects what keeps a schema from being structural.
pub fn validate(schema: &Schema, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut own = FieldErrors::default();
    invariants(schema, Level::Root, path, &mut own);
    completeness(schema, schema, path, path, &mut own);
    let mut list = own.into_list();
    list.sort_by_key(ToString::to_string);
    for error in list {
        errors.add(error);
    }
}

fn is_int_or_string(list: &[Schema]) -> bool {
    let plain = |schema: &Schema, type_: &str| {
        schema.type_ == type_
            && schema.properties.is_empty()
            && schema.items.is_none()
            && schema.enumeration.is_none()
            && schema.pattern.is_none()
            && schema.required.is_empty()
            && schema.maximum.is_none()
            && schema.minimum.is_none()
            && schema.max_length.is_none()
            && schema.min_length.is_none()
    };
    matches!(list, [first, second] if plain(first, "integer") && plain(second, "string"))
}

fn invariants(schema: &Schema, level: Level, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if schema.type_ == "array" && schema.items.is_none() {
        errors.required(&path.child("items"), "must be specified");
    }
    if let Some(items) = &schema.items {
        invariants(items, Level::Item, &path.child("items"), errors);
    }
    for (name, property) in &schema.properties {
        invariants(property, Level::Field, &path.child("properties").key(name), errors);
    }
    if let Some(additional) = &schema.additional {
        let at = path.child("additionalProperties");
        if level == Level::Root {
            errors.forbidden(&at, "must not be used at the root");
        }
        if let Additional::Schema(additional) = additional {
            invariants(additional, Level::Field, &at, errors);
        }
    }
    extensions(schema, path, errors);
    let skip_any_of = is_int_or_string(&schema.any_of);
    let skip_first = schema.all_of.first().is_some_and(|first| is_int_or_string(&first.any_of));
    value_validation(schema, skip_any_of, skip_first, path, errors);
    node_type(schema, level, path, errors);
    metadata(schema, level, path, errors);
    if schema.embedded && !schema.preserve && schema.properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.required(&path.child("properties"), detail);
    }
}

fn extensions(schema: &Schema, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if schema.int_or_string && schema.preserve {
        let detail = "must be false if x-kubernetes-int-or-string is true";
        errors.invalid(&path.child("x-kubernetes-preserve-unknown-fields"), true, detail);
    }
    if schema.int_or_string && schema.embedded {
        let detail = "must be false if x-kubernetes-int-or-string is true";
        errors.invalid(&path.child("x-kubernetes-embedded-resource"), true, detail);
    }
}

fn node_type(schema: &Schema, level: Level, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.child("type");
    if schema.embedded && schema.type_ != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        match schema.type_.is_empty() {
            true => errors.required(&at, detail),
            false => errors.invalid(&at, schema.type_.as_str(), detail),
        }
    } else if schema.type_.is_empty() && !schema.int_or_string && !schema.preserve {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.required(&at, detail);
    }
    if schema.embedded && schema.additional.is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.forbidden(&path.child("additionalProperties"), detail);
    }
    if level == Level::Root && !schema.type_.is_empty() && schema.type_ != "object" {
        errors.invalid(&at, schema.type_.as_str(), "must be object at the root");
    }
}

fn metadata(schema: &Schema, level: Level, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let check = level == Level::Root || schema.embedded;
    let properties = path.child("properties");
    for name in ["kind", "apiVersion"] {
        if let Some(property) = schema.properties.get(name).filter(|p| check && p.type_ != "string") {
            errors.invalid(&properties.key(name).child("type"), property.type_.as_str(), "must be string");
        }
    }
    let Some(metadata) = schema.properties.get("metadata") else { return };
    let at = properties.key("metadata");
    if check && metadata.type_ != "object" {
        errors.invalid(&at.child("type"), metadata.type_.as_str(), "must be object");
    }
    if level == Level::Root {
        let only_names = metadata.properties.keys().all(|name| name == "name" || name == "generateName");
        let says_more = !only_names
            || metadata.items.is_some()
            || metadata.additional.is_some()
            || metadata.nullable
            || metadata.words != [false, false]
            || metadata.preserve
            || metadata.embedded
            || metadata.int_or_string
            || metadata.list_type.is_some()
            || metadata.map_atomic.is_some()
            || !metadata.rules.is_empty()
            || has_validation(metadata);
        if says_more {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly \
                          specified";
            errors.forbidden(&at, detail);
        }
    }
}

fn has_validation(schema: &Schema) -> bool {
    !schema.required.is_empty()
        || schema.enumeration.is_some()
        || !schema.format.is_empty()
        || schema.max_properties.is_some()
        || schema.min_properties.is_some()
        || schema.not.is_some()
        || !schema.all_of.is_empty()
        || !schema.any_of.is_empty()
        || !schema.one_of.is_empty()
        || schema.pattern.is_some()
}

fn value_validation(
    schema: &Schema,
    skip_any_of: bool,
    skip_first: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if !skip_any_of {
        for (at, nested) in schema.any_of.iter().enumerate() {
            nested_validation(nested, false, &path.child("anyOf").index(at), errors);
        }
    }
    for (at, nested) in schema.all_of.iter().enumerate() {
        nested_validation(nested, skip_first && at == 0, &path.child("allOf").index(at), errors);
    }
    for (at, nested) in schema.one_of.iter().enumerate() {
        nested_validation(nested, false, &path.child("oneOf").index(at), errors);
    }
    if let Some(not) = &schema.not {
        nested_validation(not, false, &path.child("not"), errors);
    }
    if let Some(pattern) = &schema.pattern
        && let Err(cause) = &pattern.expression
    {
        let detail = format!("must be a valid regular expression, but isn't: {cause}");
        errors.invalid(&path.child("pattern"), pattern.text.as_str(), detail);
    }
}

fn nested_validation(schema: &Schema, skip_any_of: bool, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    value_validation(schema, skip_any_of, false, path, errors);
    if let Some(items) = &schema.items {
        nested_validation(items, false, &path.child("items"), errors);
    }
    for (name, property) in &schema.properties {
        nested_validation(property, false, &path.child("properties").key(name), errors);
    }
    let additional = !matches!(schema.additional, None | Some(Additional::Any(false)));
    let given = [
        (!schema.type_.is_empty(), "type", "must be empty to be structural"),
        (additional, "additionalProperties", "must be undefined to be structural"),
        (schema.default.is_some(), "default", "must be undefined to be structural"),
        (schema.words[0], "title", "must be empty to be structural"),
        (schema.words[1], "description", "must be empty to be structural"),
        (schema.nullable, "nullable", "must be false to be structural"),
        (schema.preserve, "x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        (schema.embedded, "x-kubernetes-embedded-resource", "must be false to be structural"),
        (schema.int_or_string, "x-kubernetes-int-or-string", "must be false to be structural"),
        (!schema.list_map_keys.is_empty(), "x-kubernetes-list-map-keys", "must be empty to be structural"),
        (schema.list_type.is_some(), "x-kubernetes-list-type", "must be undefined to be structural"),
        (schema.map_atomic.is_some(), "x-kubernetes-map-type", "must be undefined to be structural"),
        (!schema.rules.is_empty(), "x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (_, name, detail) in given.iter().filter(|(given, ..)| *given) {
        errors.forbidden(&path.child(name), *detail);
    }
    if schema.properties.contains_key("metadata") {
        let at = path.child("properties");
        errors.forbidden(&at.key("metadata"), "must not be specified in a nested context");
    }
}

/// Every field that a nested validation names must be specified outside.
fn completeness(
    validation: &Schema,
    spine: &Schema,
    spine_path: &FieldPath<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(not) = &validation.not {
        nested_completeness(not, Some(spine), spine_path, &path.child("not"), errors);
    }
    for (name, list) in
        [("allOf", &validation.all_of), ("anyOf", &validation.any_of), ("oneOf", &validation.one_of)]
    {
        for (at, nested) in list.iter().enumerate() {
            nested_completeness(nested, Some(spine), spine_path, &path.child(name).index(at), errors);
        }
    }
}

fn nested_completeness(
    nested: &Schema,
    spine: Option<&Schema>,
    spine_path: &FieldPath<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(spine) = spine else {
        errors.required(spine_path, format!("because it is defined in {path}"));
        return;
    };
    completeness(nested, spine, spine_path, path, errors);
    if let Some(items) = &nested.items {
        let (spine_items, items_path) = (spine_path.child("items"), path.child("items"));
        nested_completeness(items, spine.items.as_deref(), &spine_items, &items_path, errors);
    }
    for (name, property) in &nested.properties {
        let (spine_properties, properties) = (spine_path.child("properties"), path.child("properties"));
        let (spine_field, field) = (spine_properties.key(name), properties.key(name));
        nested_completeness(property, spine.properties.get(name), &spine_field, &field, errors);
    }
}
