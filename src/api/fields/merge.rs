//! Merging an applied object into the live one, and taking fields out of an object.
//!
//! Invariant: both objects have passed [`super::check`], the applied one without doubles. What the applied object says
//! stands in the result; what it does not speak of stays.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::items::identify;
use super::path::Element;
use super::set::Set;
use crate::api::shape::{Form, List, ListKind, Node};

/// The live object with the applied one merged into it.
///
/// Errors: a sentence where the items of a list cannot be told apart.
pub fn merge(node: Node<'_>, live: &Value, applied: &Value) -> Result<Value, String> {
    Ok(walk(node, Some(live), Some(applied))?.unwrap_or(Value::Null))
}

fn walk(node: Node<'_>, live: Option<&Value>, applied: Option<&Value>) -> Result<Option<Value>, String> {
    // Where both are there, the applied one says what the place is now.
    let form = node.form(applied.or(live));
    let kept = || Ok(applied.or(live).cloned());
    match form {
        Form::Scalar(_) => kept(),
        Form::List(list) => {
            let items = |value: Option<&'_ Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
            if list.kind == ListKind::Atomic || items(live) + items(applied) == 0 {
                return kept();
            }
            // Null says that the list is to be as if it were not spoken of.
            walk_items(node, list, live, applied)
        }
        Form::Map(map) => {
            let fields =
                |value: Option<&'_ Value>| value.and_then(Value::as_object).map_or(0, |map| map.len());
            if map.atomic || fields(live) + fields(applied) == 0 {
                return kept();
            }
            let (live, applied) = (live.and_then(Value::as_object), applied.and_then(Value::as_object));
            let mut out = serde_json::Map::new();
            for (name, before) in live.into_iter().flatten() {
                let after = applied.and_then(|applied| applied.get(name));
                let merged = match (after, map.type_of(name)) {
                    (None, _) | (_, None) => Some(before.clone()),
                    (after, Some(kind)) => walk(node.at(kind), Some(before), after)?,
                };
                if let Some(merged) = merged {
                    out.insert(name.clone(), merged);
                }
            }
            for (name, after) in applied.into_iter().flatten() {
                if live.is_some_and(|live| live.contains_key(name)) {
                    continue;
                }
                out.insert(name.clone(), after.clone());
            }
            Ok((!out.is_empty()).then_some(Value::Object(out)))
        }
    }
}

/// The steps of a list's items in order, and the item of each; `None` for doubles, which are not merged with.
type Indexed<'a> = (Vec<(Element, &'a Value)>, BTreeMap<Element, Option<&'a Value>>);

fn index<'a>(node: Node<'_>, list: &List, value: Option<&'a Value>) -> Result<Indexed<'a>, String> {
    let (mut order, mut known) = (Vec::new(), BTreeMap::new());
    for (at, item) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let element = identify(node, list, item).map_err(|problem| format!("element {at}: {problem}"))?;
        order.push((element.clone(), item));
        known.entry(element).and_modify(|item| *item = None).or_insert(Some(item));
    }
    Ok((order, known))
}

/// Merges two lists: the applied items in their order, and the live ones where they stand among them.
fn walk_items(
    node: Node<'_>,
    list: &List,
    live: Option<&Value>,
    applied: Option<&Value>,
) -> Result<Option<Value>, String> {
    let (left, in_left) = index(node, list, live)?;
    let (right, in_right) = index(node, list, applied)?;
    let mut shared: VecDeque<&Element> =
        right.iter().map(|(element, _)| element).filter(|element| in_left.contains_key(element)).collect();
    let mut next = shared.pop_front();
    let mut out = Vec::with_capacity(left.len().max(right.len()));
    let mut merged: BTreeSet<&Element> = BTreeSet::new();
    let both = |element: &Element| {
        // Doubles in the live list count as nothing.
        let live = in_left.get(element).map(|item| item.unwrap_or(&Value::Null));
        walk(node.at(list.item), live, in_right.get(element).copied().flatten())
    };
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        if let (Some((element, _)), Some((other, _))) = (left.get(i), right.get(j)) {
            if element == other {
                merged.insert(other);
                out.extend(both(element)?);
                i += 1;
                j += 1;
                next = shared.pop_front();
                continue;
            }
            if in_right.contains_key(element) && next.is_some_and(|next| next != element) {
                i += 1;
                continue;
            }
        }
        if let Some((element, item)) = left.get(i) {
            if !in_right.contains_key(element) {
                out.push((*item).clone());
                i += 1;
                continue;
            }
            if merged.contains(element) {
                i += 1;
            }
        }
        if let Some((element, _)) = right.get(j) {
            merged.insert(element);
            out.extend(both(element)?);
            j += 1;
            if next == Some(element) {
                next = shared.pop_front();
            }
        }
    }
    Ok((!out.is_empty()).then_some(Value::Array(out)))
}

/// The object without the fields of the set.
pub(super) fn remove(node: Node<'_>, value: &Value, set: &Set) -> Value {
    take_out(node, value, set).unwrap_or(Value::Null)
}

fn take_out(node: Node<'_>, value: &Value, set: &Set) -> Option<Value> {
    // What becomes empty because something below it went stays, empty.
    let below = |kind: Node<'_>, value: &Value, set: &Set| {
        take_out(kind, value, set).unwrap_or_else(|| match value {
            Value::Object(_) => Value::Object(serde_json::Map::new()),
            Value::Array(_) => Value::Array(Vec::new()),
            _ => Value::Null,
        })
    };
    match (node.form(Some(value)), value) {
        (Form::Scalar(_), value) => Some(value.clone()),
        (Form::List(list), Value::Array(items)) => {
            if list.kind == ListKind::Atomic || items.is_empty() {
                return None;
            }
            let (mut out, mut matched) = (Vec::with_capacity(items.len()), false);
            for item in items {
                let Ok(element) = identify(node, list, item) else {
                    out.push(item.clone());
                    continue;
                };
                if set.has_member(&element) {
                    continue;
                }
                match set.child(&element) {
                    Some(child) => {
                        matched = true;
                        out.push(below(node.at(list.item), item, child));
                    }
                    None => out.push(item.clone()),
                }
            }
            (!out.is_empty() || matched).then_some(Value::Array(out))
        }
        (Form::Map(map), Value::Object(fields)) => {
            if map.atomic || fields.is_empty() {
                return None;
            }
            let (mut out, mut matched) = (serde_json::Map::new(), false);
            for (name, value) in fields {
                let element = Element::field(name.as_str());
                if set.has_member(&element) {
                    continue;
                }
                let value = match (set.child(&element), map.type_of(name)) {
                    (Some(child), Some(kind)) => {
                        matched = true;
                        below(node.at(kind), value, child)
                    }
                    _ => value.clone(),
                };
                out.insert(name.clone(), value);
            }
            (!out.is_empty() || matched).then_some(Value::Object(out))
        }
        _ => None,
    }
}
