//! Structural schemas: what a custom resource may hold, as its definition describes it.
//!
//! Owns the parsed form of apiextensions/v1 `JSONSchemaProps`, the rules that a schema itself must follow
//! ([`structural`], [`openapi`], [`defaults`]), and what is done with an object by it: pruning ([`prune`]), defaulting
//! ([`fill`]), validation ([`validate`], [`lists`], [`embedded`]). Knows no kind and no store; rules in CEL are
//! evaluated by [`crate::api::cel`].
//!
//! Invariant: a parsed schema has at most [`SCHEMA_NODES`] nodes, at most [`SCHEMA_DEPTH`] below each other, so
//! that every walk over it ends soon.

pub mod defaults;
pub mod embedded;
pub mod fill;
pub mod formats;
pub mod lists;
pub mod openapi;
pub mod prune;
pub mod structural;
pub mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use regex::Regex;
use serde_json::Value;

use super::cel::Rule;
use crate::limits::{CEL_RULES, PATTERN_BYTES, SCHEMA_DEPTH, SCHEMA_NODES};

/// What `additionalProperties` says.
#[derive(Clone, Debug)]
pub enum Additional {
    /// A boolean.
    Any(bool),
    /// A schema for each.
    Schema(Box<Schema>),
}

/// A pattern, and the expression that it is; `Err` where it is none.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    /// The expression.
    pub expression: Result<Regex, String>,
}

/// How an array's items are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Not at all: the array is one value.
    #[default]
    Atomic,
    /// By themselves.
    Set,
    /// By their key fields.
    Map,
}

/// One node of a schema.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`, or nothing.
    pub type_: String,
    /// `null` is allowed.
    pub nullable: bool,
    /// What stands where nothing was given.
    pub default: Option<Value>,
    /// It carries a title or a description, which nested validations may not.
    pub words: [bool; 2],
    /// The format, where it is one that is checked.
    pub format: String,
    /// Largest number, and whether it is itself too large.
    pub maximum: Option<(f64, bool)>,
    /// Smallest number, and whether it is itself too small.
    pub minimum: Option<(f64, bool)>,
    /// Numbers are multiples of this.
    pub multiple_of: Option<f64>,
    /// Longest text, in characters.
    pub max_length: Option<i64>,
    /// Shortest text, in characters.
    pub min_length: Option<i64>,
    /// What a text must match.
    pub pattern: Option<Pattern>,
    /// Most items.
    pub max_items: Option<i64>,
    /// Fewest items.
    pub min_items: Option<i64>,
    /// Most fields.
    pub max_properties: Option<i64>,
    /// Fewest fields.
    pub min_properties: Option<i64>,
    /// The values that are allowed.
    pub enumeration: Option<Vec<Value>>,
    /// The fields that must be there.
    pub required: Vec<String>,
    /// What must not hold.
    pub not: Option<Box<Schema>>,
    /// What must all hold.
    pub all_of: Vec<Schema>,
    /// Of what at least one must hold.
    pub any_of: Vec<Schema>,
    /// Of what exactly one must hold.
    pub one_of: Vec<Schema>,
    /// The items.
    pub items: Option<Box<Schema>>,
    /// The fields that are named.
    pub properties: BTreeMap<String, Schema>,
    /// The fields that are not.
    pub additional: Option<Additional>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve: bool,
    /// `x-kubernetes-embedded-resource`.
    pub embedded: bool,
    /// `x-kubernetes-int-or-string`.
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`, where it is given.
    pub list_type: Option<ListType>,
    /// `x-kubernetes-list-map-keys`.
    pub list_map_keys: Vec<String>,
    /// `x-kubernetes-map-type`, where it is given; true for `atomic`.
    pub map_atomic: Option<bool>,
    /// `x-kubernetes-validations`.
    pub rules: Vec<Rule>,
    /// This node or one below has rules.
    pub ruled: bool,
}

/// Counts nodes while a schema is parsed.
struct Budget {
    nodes: usize,
    rules: usize,
}

impl Schema {
    /// Parses a schema.
    ///
    /// # Errors
    /// What a structural schema cannot hold, and what is too large or too deep, in one sentence.
    pub fn parse(props: &JSONSchemaProps) -> Result<Schema, String> {
        parse(props, &mut Budget { nodes: 0, rules: 0 }, 0)
    }

    /// The schema of a field of an object, named or not.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        })
    }

    /// The schema of the fields that are not named.
    pub fn additional_schema(&self) -> Option<&Schema> {
        match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }
}

/// Why a schema is refused before anything else is done with it.
fn unsupported(props: &JSONSchemaProps) -> Result<(), String> {
    let given = [
        (props.id.as_deref().is_some_and(|text| !text.is_empty()), "id"),
        (props.schema.as_deref().is_some_and(|text| !text.is_empty()), "schema"),
        (props.ref_path.as_deref().is_some_and(|text| !text.is_empty()), "$ref"),
        (props.pattern_properties.as_ref().is_some_and(|map| !map.is_empty()), "patternProperties"),
        (props.dependencies.as_ref().is_some_and(|map| !map.is_empty()), "dependencies"),
        (props.additional_items.is_some(), "additionalItems"),
        (props.definitions.as_ref().is_some_and(|map| !map.is_empty()), "definitions"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, name)) => Err(format!("OpenAPIV3Schema '{name}' is not supported")),
        None => Ok(()),
    }
}

/// Compiles a pattern within bounds.
pub fn compile_pattern(text: &str) -> Result<Regex, String> {
    let built =
        regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build();
    built.map_err(|cause| cause.to_string().replace('\n', " "))
}

/// The format where upstream checks it for that type, otherwise nothing.
fn checked_format(type_: &str, format: &str) -> String {
    let known = match type_ {
        "" | "string" => formats::is_known(format),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    };
    if known { format.to_owned() } else { String::new() }
}

fn parse_all(
    list: &Option<Vec<JSONSchemaProps>>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Vec<Schema>, String> {
    list.iter().flatten().map(|props| parse(props, budget, depth + 1)).collect()
}

fn rules(given: &Option<Vec<ValidationRule>>, budget: &mut Budget) -> Result<Vec<Rule>, String> {
    let given = given.as_deref().unwrap_or_default();
    budget.rules += given.len();
    if budget.rules > CEL_RULES {
        return Err(format!("the schema has too many x-kubernetes-validations: {CEL_RULES} are allowed"));
    }
    Ok(given.iter().map(Rule::new).collect())
}

fn parse(props: &JSONSchemaProps, budget: &mut Budget, depth: usize) -> Result<Schema, String> {
    budget.nodes += 1;
    if budget.nodes > SCHEMA_NODES {
        return Err(format!("the schema is too large: it has more than {SCHEMA_NODES} nodes"));
    }
    if depth > SCHEMA_DEPTH {
        return Err(format!("the schema is too deep: it has more than {SCHEMA_DEPTH} levels"));
    }
    unsupported(props)?;
    let type_ = props.type_.clone().unwrap_or_default();
    if props.x_kubernetes_preserve_unknown_fields == Some(false) {
        return Err("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined".into());
    }
    let items = match &props.items {
        None => None,
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(Box::new(parse(items, budget, depth + 1)?)),
        Some(JSONSchemaPropsOrArray::Schemas(_)) => {
            return Err("OpenAPIV3Schema 'items' must be a schema, but is an array".into());
        }
    };
    let mut properties = BTreeMap::new();
    for (name, props) in props.properties.iter().flatten() {
        properties.insert(name.clone(), parse(props, budget, depth + 1)?);
    }
    let additional = match &props.additional_properties {
        None => None,
        Some(JSONSchemaPropsOrBool::Bool(any)) => Some(Additional::Any(*any)),
        Some(JSONSchemaPropsOrBool::Schema(schema)) => {
            Some(Additional::Schema(Box::new(parse(schema, budget, depth + 1)?)))
        }
    };
    let not = match &props.not {
        Some(not) => Some(Box::new(parse(not, budget, depth + 1)?)),
        None => None,
    };
    let below = items.iter().any(|items| items.ruled)
        || properties.values().any(|property| property.ruled)
        || matches!(&additional, Some(Additional::Schema(schema)) if schema.ruled);
    let pattern = props.pattern.as_deref().filter(|text| !text.is_empty());
    Ok(Schema {
        format: checked_format(&type_, props.format.as_deref().unwrap_or_default()),
        nullable: props.nullable == Some(true),
        default: props.default.as_ref().map(|json| json.0.clone()).filter(|value| !value.is_null()),
        words: [&props.title, &props.description].map(|w| w.as_deref().is_some_and(|w| !w.is_empty())),
        maximum: props.maximum.map(|most| (most, props.exclusive_maximum == Some(true))),
        minimum: props.minimum.map(|least| (least, props.exclusive_minimum == Some(true))),
        multiple_of: props.multiple_of,
        max_length: props.max_length,
        min_length: props.min_length,
        pattern: pattern.map(|text| Pattern { text: text.to_owned(), expression: compile_pattern(text) }),
        max_items: props.max_items,
        min_items: props.min_items,
        max_properties: props.max_properties,
        min_properties: props.min_properties,
        enumeration: props.enum_.as_ref().map(|list| list.iter().map(|json| json.0.clone()).collect()),
        required: props.required.clone().unwrap_or_default(),
        not,
        all_of: parse_all(&props.all_of, budget, depth)?,
        any_of: parse_all(&props.any_of, budget, depth)?,
        one_of: parse_all(&props.one_of, budget, depth)?,
        items,
        properties,
        additional,
        preserve: props.x_kubernetes_preserve_unknown_fields == Some(true),
        embedded: props.x_kubernetes_embedded_resource == Some(true),
        int_or_string: props.x_kubernetes_int_or_string == Some(true),
        list_type: props.x_kubernetes_list_type.as_deref().map(|text| match text {
            "set" => ListType::Set,
            "map" => ListType::Map,
            _ => ListType::Atomic,
        }),
        list_map_keys: props.x_kubernetes_list_map_keys.clone().unwrap_or_default(),
        map_atomic: props.x_kubernetes_map_type.as_deref().map(|text| text == "atomic"),
        ruled: below || props.x_kubernetes_validations.as_ref().is_some_and(|rules| !rules.is_empty()),
        rules: rules(&props.x_kubernetes_validations, budget)?,
        type_,
    })
}
