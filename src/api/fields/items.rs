//! How the items of a list are told apart, and what is wrong with an object whose parts do not fit its shape.
//!
//! Owns the identity of list items and the check of an object before it is merged, with upstream's sentences.
//! Invariant: an object that passed [`check`] can be compared, merged and taken apart without an error.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::path::Element;
use crate::api::shape::{Form, List, ListKind, Node, Scalar};
use crate::limits::FIELDS_DEPTH;

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where: `.spec.replicas`.
    pub path: String,
    /// What.
    pub problem: String,
}

impl Misfit {
    fn new(problem: impl Into<String>) -> Misfit {
        Misfit { path: String::new(), problem: problem.into() }
    }
}

/// Everything about an object that does not fit its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfits(pub Vec<Misfit>);

impl fmt::Display for Misfits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |misfit: &Misfit| match misfit.path.as_str() {
            "" => misfit.problem.clone(),
            path => format!("{path}: {}", misfit.problem),
        };
        match self.0.as_slice() {
            [one] => f.write_str(&show(one)),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|misfit| write!(f, "\n  {}", show(misfit)))
            }
        }
    }
}

/// The step to an item of a list that is not owned as a whole.
///
/// Errors: a sentence where the item has nothing to tell it by.
pub fn identify(node: Node<'_>, list: &List, item: &Value) -> Result<Element, String> {
    match &list.kind {
        ListKind::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListKind::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            single => Ok(Element::value(single.clone())),
        },
        ListKind::Map(keys) => {
            let fields = match item {
                Value::Object(fields) => fields,
                Value::Null => {
                    return Err("associative list with keys may not have a null element".to_owned());
                }
                _ => return Err("associative list with keys may not have non-map elements".to_owned()),
            };
            let declared = node.at(list.item).get().map.as_ref();
            let found = keys.iter().filter_map(|key| {
                let default = || declared?.declared(key)?.default.as_ref();
                let value = fields.get(&**key).or_else(default)?;
                Some((key.clone(), value.clone()))
            });
            let found: Vec<(Arc<str>, Value)> = found.collect();
            if found.is_empty() {
                let names = keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" ");
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{names}] (and doesn't have \
                     default values for any key fields)"
                ));
            }
            Ok(Element::key(found))
        }
    }
}

/// Go's way of showing a value, in the three ways that upstream's sentences use.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Object(_) => "map[string]interface {}{}".to_owned(),
        Value::Array(_) => "[]interface {}{}".to_owned(),
        other => other.to_string(),
    }
}

fn go_plain(value: &Value) -> String {
    match value {
        Value::String(text) => format!("&{{{text}}}"),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}:{}", go_bare(value)));
            format!("&{{map[{}]}}", fields.collect::<Vec<_>>().join(" "))
        }
        Value::Array(items) => {
            format!("&{{[{}]}}", items.iter().map(go_bare).collect::<Vec<_>>().join(" "))
        }
        other => format!("&{{{other}}}"),
    }
}

pub(crate) fn go_bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}:{}", go_bare(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(go_bare).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// What is wrong with a single value; null is none.
pub(super) fn check_scalar(scalar: Scalar, value: &Value) -> Option<String> {
    match (scalar, value) {
        (_, Value::Null)
        | (Scalar::Number, Value::Number(_))
        | (Scalar::Text, Value::String(_))
        | (Scalar::Bool, Value::Bool(_))
        | (Scalar::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Scalar::Number, _) => Some(format!("expected numeric (int or float), got {}", go_type(value))),
        (Scalar::Text, _) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value)))
        }
        (Scalar::Bool, _) => Some(format!("expected boolean, got {}", go_plain(value))),
        (Scalar::Any, _) => Some(format!("expected any scalar, got {}", go_plain(value))),
    }
}

/// Finds what of an object does not fit its shape. `duplicates`: several items of a list may have the same keys.
pub fn check(node: Node<'_>, value: &Value, duplicates: bool) -> Result<(), Misfits> {
    let found = check_below(node, value, duplicates, 0);
    if found.is_empty() { Ok(()) } else { Err(Misfits(found)) }
}

fn check_below(node: Node<'_>, value: &Value, duplicates: bool, depth: usize) -> Vec<Misfit> {
    if depth > FIELDS_DEPTH {
        return vec![Misfit::new("the object nests too deep")];
    }
    match (node.form(Some(value)), value) {
        (Form::Scalar(scalar), value) => check_scalar(scalar, value).map(Misfit::new).into_iter().collect(),
        (_, Value::Null) => Vec::new(),
        (Form::Map(map), Value::Object(fields)) => {
            let mut found = Vec::new();
            for (name, value) in fields {
                let mut below = match map.type_of(name) {
                    Some(kind) => check_below(node.at(kind), value, duplicates, depth + 1),
                    None => vec![Misfit::new("field not declared in schema")],
                };
                below.iter_mut().for_each(|misfit| misfit.path.insert_str(0, &format!(".{name}")));
                found.append(&mut below);
                if map.type_of(name).is_none() {
                    break;
                }
            }
            found
        }
        (Form::List(list), Value::Array(items)) => check_items(node, list, items, duplicates, depth),
        (Form::Map(_), other) => vec![Misfit::new(format!("expected map, got {}", go_plain(other)))],
        (Form::List(_), other) => vec![Misfit::new(format!("expected list, got {}", go_plain(other)))],
    }
}

fn check_items(node: Node<'_>, list: &List, items: &[Value], duplicates: bool, depth: usize) -> Vec<Misfit> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        let step = if list.kind == ListKind::Atomic {
            format!("[{at}]")
        } else {
            let element = match identify(node, list, item) {
                Ok(element) => element,
                Err(problem) => {
                    found.push(Misfit::new(format!("element {at}: {problem}")));
                    return found;
                }
            };
            let step = element.to_string();
            if !seen.insert(element) && !duplicates {
                found.push(Misfit::new(format!("duplicate entries for key {step}")));
            }
            step
        };
        let mut below = check_below(node.at(list.item), item, duplicates, depth + 1);
        below.iter_mut().for_each(|misfit| misfit.path.insert_str(0, &step));
        found.append(&mut below);
    }
    found
}
