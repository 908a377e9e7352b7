//! What a definition's schema may say at all: the vocabulary of OpenAPI v3 that custom resources have, list and map
//! types, and the rules in CEL.
//!
//! Works on the schema as it was written, before it is parsed. Invariant: a schema that passes here, is structural and
//! has valid defaults can be used.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;

use super::{Schema, defaults, structural};
use crate::api::cel::Rule;
use crate::api::error::{FieldErrors, FieldPath, Problem};
use crate::limits::{SCHEMA_DEPTH, SCHEMA_NODES};

/// What holds where a node stands.
#[derive(Clone, Default)]
struct Place {
    root: bool,
    /// Why no defaults may stand here.
    no_defaults: Option<String>,
    inside_meta: bool,
    /// Above here values cannot be matched with their past.
    uncorrelatable: Option<String>,
    /// Rules are checked here.
    rules: bool,
}

/// Collects what is wrong with the schema of a version. `status` says that the version has a status subresource.
pub fn validate(props: &JSONSchemaProps, status: bool, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Err(cause) = within_bounds(props) {
        errors.invalid(path, "", cause);
        return;
    }
    let before = errors.len();
    if status {
        root_fields(props, path, errors);
    }
    if props.nullable == Some(true) {
        errors.forbidden(&path.child("nullable"), "nullable cannot be true at the root");
    }
    let (mut parsed, mut rules) = (None, false);
    match Schema::parse(props) {
        Err(cause) => parsed = Some(cause),
        Ok(schema) => {
            structural::validate(&schema, path, errors);
            if errors.len() == before {
                defaults::validate(&schema, path, errors);
            }
            rules = errors.len() == before;
        }
    }
    let place = Place { root: true, rules, ..Place::default() };
    node(props, &place, path, errors);
    if let Some(cause) = parsed.filter(|_| errors.len() == before) {
        errors.invalid(path, "", cause);
    }
}

/// Refuses a schema that is too large or too deep before anything walks it by recursion.
fn within_bounds(props: &JSONSchemaProps) -> Result<(), String> {
    let (mut open, mut count) = (vec![(props, 0)], 0);
    while let Some((next, depth)) = open.pop() {
        count += 1;
        if count > SCHEMA_NODES {
            return Err(format!("the schema is too large: it has more than {SCHEMA_NODES} nodes"));
        }
        if depth > SCHEMA_DEPTH {
            return Err(format!("the schema is too deep: it has more than {SCHEMA_DEPTH} levels"));
        }
        let lists = [&next.all_of, &next.any_of, &next.one_of];
        open.extend(lists.into_iter().flatten().flatten().map(|schema| (schema, depth + 1)));
        open.extend(next.properties.iter().flatten().map(|(_, schema)| (schema, depth + 1)));
        open.extend(next.not.iter().map(|schema| (&**schema, depth + 1)));
        if let Some(JSONSchemaPropsOrBool::Schema(schema)) = &next.additional_properties {
            open.push((schema, depth + 1));
        }
        match &next.items {
            Some(JSONSchemaPropsOrArray::Schema(schema)) => open.push((schema, depth + 1)),
            Some(JSONSchemaPropsOrArray::Schemas(list)) => {
                open.extend(list.iter().map(|schema| (schema, depth + 1)));
            }
            None => {}
        }
    }
    Ok(())
}

/// With a status subresource only some fields may stand at the root, so that the status can be told apart.
fn root_fields(props: &JSONSchemaProps, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if props.type_.as_deref().is_some_and(|type_| !type_.is_empty() && type_ != "object") {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is \
                      enabled";
        errors.invalid(&path.child("type"), props.type_.clone(), detail);
        return;
    }
    let mut rest = props.clone();
    rest.description = None;
    rest.type_ = None;
    rest.format = None;
    rest.title = None;
    rest.maximum = None;
    rest.exclusive_maximum = None;
    rest.minimum = None;
    rest.exclusive_minimum = None;
    rest.max_length = None;
    rest.min_length = None;
    rest.pattern = None;
    rest.max_items = None;
    rest.min_items = None;
    rest.unique_items = None;
    rest.multiple_of = None;
    rest.required = None;
    rest.items = None;
    rest.properties = None;
    rest.external_docs = None;
    rest.example = None;
    rest.x_kubernetes_preserve_unknown_fields = None;
    rest.x_kubernetes_validations = None;
    rest.nullable = None;
    if rest != JSONSchemaProps::default() {
        let detail = "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength \
                      MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs \
                      Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the \
                      status subresource is enabled";
        errors.push(Problem::InvalidUnshown, path, Value::Null, detail);
    }
}

fn given(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

fn node(props: &JSONSchemaProps, place: &Place, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let before = errors.len();
    vocabulary(props, place, path, errors);
    if props.unique_items == Some(true) {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.forbidden(&path.child("uniqueItems"), detail);
    }
    children(props, place, path, errors);
    if props.x_kubernetes_preserve_unknown_fields == Some(false) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.invalid(&at, false, "must be true or undefined");
    }
    map_type(props, path, errors);
    list_type(props, path, errors);
    if given(&props.x_kubernetes_list_type) == "map" {
        list_map(props, path, errors);
    }
    list_items(props, path, errors);
    let rules = props.x_kubernetes_validations.as_deref().unwrap_or_default();
    let at = path.child("x-kubernetes-validations");
    for (number, rule) in rules.iter().enumerate() {
        rule_words(props, rule, &at.index(number), errors);
    }
    if place.rules && errors.len() == before {
        for (number, rule) in rules.iter().enumerate() {
            rule_program(rule, place, &at.index(number), errors);
        }
    }
}

fn vocabulary(props: &JSONSchemaProps, place: &Place, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
    let type_ = given(&props.type_);
    if !type_.is_empty() && !TYPES.contains(&type_) && type_ != "null" {
        errors.not_supported(&path.child("type"), type_, &TYPES);
    }
    if props.default.is_some()
        && let Some(why) = &place.no_defaults
    {
        errors.forbidden(&path.child("default"), format!("must not be set {why}"));
    }
    let some = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let refused = [
        (some(&props.id), "id"),
        (props.additional_items.is_some(), "additionalItems"),
        (props.pattern_properties.as_ref().is_some_and(|map| !map.is_empty()), "patternProperties"),
        (props.definitions.as_ref().is_some_and(|map| !map.is_empty()), "definitions"),
        (props.dependencies.is_some(), "dependencies"),
        (props.ref_path.is_some(), "$ref"),
    ];
    for (_, name) in refused.iter().filter(|(given, _)| *given) {
        errors.forbidden(&path.child(name), format!("{name} is not supported"));
    }
    if type_ == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.forbidden(&path.child("type"), detail);
    }
    if matches!(&props.items, Some(JSONSchemaPropsOrArray::Schemas(_))) {
        errors.forbidden(&path.child("items"), "items must be a schema object and not an array");
    }
    if place.inside_meta && props.x_kubernetes_embedded_resource == Some(true) {
        let at = path.child("x-kubernetes-embedded-resource");
        errors.forbidden(&at, "must not be used inside of resource meta");
    }
}

fn children(props: &JSONSchemaProps, place: &Place, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let has_properties = props.properties.as_ref().is_some_and(|map| !map.is_empty());
    let below = Place { root: false, ..place.clone() };
    match &props.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(_)) | Some(JSONSchemaPropsOrBool::Bool(false))
            if has_properties =>
        {
            let at = path.child("additionalProperties");
            errors.forbidden(&at, "additionalProperties and properties are mutual exclusive");
        }
        _ => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(additional)) = &props.additional_properties {
        let mut below = below.clone();
        if place.inside_meta {
            below.no_defaults = Some("inside additionalProperties applying to object metadata".to_owned());
        }
        node(additional, &below, &path.child("additionalProperties"), errors);
    }
    let embedded = props.x_kubernetes_embedded_resource == Some(true);
    let map_type = given(&props.x_kubernetes_map_type);
    for (name, property) in props.properties.iter().flatten() {
        let mut below = below.clone();
        if !matches!(map_type, "" | "granular" | "atomic") {
            below.uncorrelatable.get_or_insert_with(|| path.to_string());
        }
        if (place.root || embedded) && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
            below.inside_meta = true;
            if place.root {
                below.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        node(property, &below, &path.child("properties").key(name), errors);
    }
    let nested = Place { rules: false, ..below.clone() };
    if let Some(not) = &props.not {
        node(not, &nested, &path.child("not"), errors);
    }
    for (name, list) in [("allOf", &props.all_of), ("oneOf", &props.one_of), ("anyOf", &props.any_of)] {
        for (at, schema) in list.iter().flatten().enumerate() {
            node(schema, &nested, &path.child(name).index(at), errors);
        }
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &props.items {
        let mut below = below;
        if given(&props.x_kubernetes_list_type) != "map" {
            below.uncorrelatable.get_or_insert_with(|| path.to_string());
        }
        node(items, &below, &path.child("items"), errors);
    }
}

fn map_type(props: &JSONSchemaProps, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(map_type) = props.x_kubernetes_map_type.as_deref() else { return };
    let type_ = given(&props.type_);
    if type_ != "object" {
        let detail = "must be object if x-kubernetes-map-type is specified";
        match type_.is_empty() {
            true => errors.required(&path.child("type"), detail),
            false => errors.invalid(&path.child("type"), type_, detail),
        }
    }
    if !matches!(map_type, "atomic" | "granular") {
        let at = path.child("x-kubernetes-map-type");
        errors.not_supported(&at, map_type, &["atomic", "granular"]);
    }
}

fn item_schema(props: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &props.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items),
        _ => None,
    }
}

fn list_type(props: &JSONSchemaProps, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (list_type, type_) = (props.x_kubernetes_list_type.as_deref(), given(&props.type_));
    if list_type.is_some() && type_ != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        match type_.is_empty() {
            true => errors.required(&path.child("type"), detail),
            false => errors.invalid(&path.child("type"), type_, detail),
        }
    } else if let (Some("set"), Some(items)) = (list_type, item_schema(props)) {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let at = path.child("items");
        let inner = items.x_kubernetes_list_type.as_deref();
        match given(&items.type_) {
            "array" if inner.is_some_and(|inner| inner != "atomic") => {
                errors.invalid(&at.child("x-kubernetes-list-type"), inner, detail);
            }
            "object" if items.x_kubernetes_map_type.as_deref() != Some("atomic") => {
                errors.invalid(&at.child("x-kubernetes-map-type"), inner, detail);
            }
            _ => {}
        }
    }
    let at = path.child("x-kubernetes-list-type");
    if let Some(list_type) = list_type.filter(|list_type| !matches!(*list_type, "atomic" | "set" | "map")) {
        errors.not_supported(&at, list_type, &["atomic", "set", "map"]);
    }
    if props.x_kubernetes_list_map_keys.as_ref().is_some_and(|keys| !keys.is_empty()) {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        match list_type {
            None => errors.required(&at, detail),
            Some("map") => {}
            Some(other) => errors.invalid(&at, other, detail),
        }
    }
}

fn list_map(props: &JSONSchemaProps, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let keys = props.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    let (keys_path, items_path) = (path.child("x-kubernetes-list-map-keys"), path.child("items"));
    if keys.is_empty() {
        errors.required(&keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    if props.items.is_none() {
        errors.required(&items_path, "must have a schema if x-kubernetes-list-type is map");
    }
    let Some(items) = item_schema(props) else { return };
    let type_ = given(&items.type_);
    if type_ != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.invalid(&items_path.child("type"), type_, detail);
        return;
    }
    for (at, key) in keys.iter().enumerate() {
        match items.properties.as_ref().and_then(|properties| properties.get(key)) {
            Some(property) if matches!(given(&property.type_), "array" | "object") => {
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                errors.invalid(&items_path.child("properties").key(key).child("type"), type_, detail);
            }
            Some(_) => {}
            None => errors.invalid(&keys_path, keys.to_vec(), "entries must all be names of item properties"),
        }
        if keys[..at].contains(key) {
            errors.invalid(&keys_path, keys.to_vec(), "must not contain duplicate entries");
        }
    }
}

/// Items of sets and maps are there, and the keys of maps too.
fn list_items(props: &JSONSchemaProps, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let list_type = given(&props.x_kubernetes_list_type);
    let (Some(items), "set" | "map") = (item_schema(props), list_type) else { return };
    let at = path.child("items");
    if items.nullable == Some(true) {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.forbidden(&at.child("nullable"), detail);
    }
    if list_type == "set" {
        return;
    }
    let properties = at.child("properties");
    for key in props.x_kubernetes_list_map_keys.iter().flatten() {
        let Some(property) = items.properties.as_ref().and_then(|properties| properties.get(key)) else {
            continue;
        };
        let required = items.required.as_ref().is_some_and(|required| required.contains(key));
        if !required && property.default.is_none() {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                          property";
            errors.required(&properties.key(key).child("default"), detail);
        }
        if property.nullable == Some(true) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.forbidden(&properties.key(key).child("nullable"), detail);
        }
    }
}

fn has_breaks(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

fn rule_words(
    props: &JSONSchemaProps,
    rule: &ValidationRule,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (text, message) = (rule.rule.trim(), given(&rule.message));
    if text.is_empty() {
        errors.required(&path.child("rule"), "rule is not specified");
    } else if !message.is_empty() && message.trim().is_empty() {
        errors.invalid(&path.child("message"), message, "must be non-empty if specified");
    } else if has_breaks(message.trim()) {
        errors.invalid(&path.child("message"), message, "must not contain line breaks");
    } else if has_breaks(text) && message.trim().is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.required(&path.child("message"), detail);
    }
    let expression = given(&rule.message_expression);
    if !expression.is_empty() && expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        errors.required(&path.child("messageExpression"), detail);
    }
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    if let Some(reason) = rule.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        errors.not_supported(&path.child("reason"), reason, &REASONS);
    }
    let field = given(&rule.field_path);
    if field.is_empty() {
        return;
    }
    let at = path.child("fieldPath");
    if field.trim().is_empty() {
        errors.invalid(&at, field, "must be non-empty if specified");
    }
    if has_breaks(field) {
        errors.invalid(&at, field, "must not contain line breaks");
    }
    if Schema::parse(props).is_ok_and(|schema| field_at(&schema, field, true).is_err()) {
        errors.invalid(&at, field, "must be a valid path");
    }
}

fn rule_program(rule: &ValidationRule, place: &Place, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let parsed = Rule::new(rule);
    let shown = || serde_json::to_value(rule).unwrap_or_default();
    let known = ["self", "oldSelf"];
    match &parsed.rule {
        Err(cause) => errors.invalid(&path.child("rule"), shown(), format!("compilation failed: {cause}")),
        Ok(program) => {
            if let Some(name) = program.unknown_names(&known).first() {
                let detail =
                    format!("compilation failed: undeclared reference to '{name}' (in container '')");
                errors.invalid(&path.child("rule"), shown(), detail);
            }
        }
    }
    if let Some(expression) = &parsed.message_expression {
        let cause = match expression {
            Err(cause) => Some(cause.clone()),
            Ok(program) => program
                .unknown_names(&known)
                .first()
                .map(|name| format!("undeclared reference to '{name}' (in container '')")),
        };
        if let Some(cause) = cause {
            let detail = format!("messageExpression compilation failed: {cause}");
            errors.invalid(&path.child("messageExpression"), shown(), detail);
        }
    }
    if parsed.uses_old {
        if let Some(above) = &place.uncorrelatable {
            let detail =
                format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {above}");
            errors.invalid(&path.child("rule"), rule.rule.as_str(), detail);
        }
    } else if let Some(optional) = rule.optional_old_self {
        let at = path.child("optionalOldSelf");
        errors.invalid(&at, optional, "may not be set if oldSelf is not used in rule");
    }
}

/// The schema at a path of fields (`.spec.x`, `.labels['a.b']`).
///
/// # Errors
/// What is wrong with the path.
pub fn field_at<'s>(schema: &'s Schema, path: &str, brackets: bool) -> Result<&'s Schema, String> {
    let (mut here, mut rest) = (schema, path);
    while !rest.is_empty() {
        let name;
        if let Some(after) = rest.strip_prefix('[') {
            if !brackets {
                return Err("array notation is not allowed".to_owned());
            }
            let Some((quoted, after)) = after.split_once(']') else {
                return Err("unexpected end of JSON path".to_owned());
            };
            let inner = quoted.strip_prefix('\'').and_then(|quoted| quoted.strip_suffix('\''));
            let Some(inner) = inner else {
                return Err(format!("expected single quoted string but got {quoted}"));
            };
            name = inner.replace("\\'", "'").replace("\\\\", "\\");
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() {
                return Err("unexpected end of JSON path".to_owned());
            }
            let end = after.find(['.', '[']).unwrap_or(after.len());
            name = after[..end].to_owned();
            rest = &after[end..];
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            return Err(format!("expected [ or . but got: {}", &rest[..end]));
        }
        let found = match here.properties.is_empty() {
            false => here.properties.get(&name),
            true => here.additional_schema(),
        };
        here = found.ok_or_else(|| "does not refer to a valid field".to_owned())?;
    }
    Ok(here)
}
