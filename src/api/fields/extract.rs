//! The fields that an object speaks of: those that its applier owns.
//!
//! Invariant: the object has passed [`super::check`]; parts that cannot be told apart are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::items::identify;
use super::path::Element;
use super::set::Set;
use crate::api::shape::{Form, List, ListKind, Node};

/// The set of an object's fields.
pub fn field_set(node: Node<'_>, value: &Value) -> Set {
    extract(node, value).0
}

/// What is below, and whether the place itself counts.
fn extract(node: Node<'_>, value: &Value) -> (Set, bool) {
    match node.form(Some(value)) {
        Form::Scalar(_) => (Set::default(), true),
        Form::List(list) if list.kind == ListKind::Atomic => (Set::default(), true),
        Form::List(list) => match value {
            Value::Array(items) => (extract_items(node, list, items), false),
            _ => (Set::default(), false),
        },
        Form::Map(map) if map.atomic => (Set::default(), true),
        Form::Map(map) => {
            let mut set = Set::default();
            for (name, value) in value.as_object().into_iter().flatten() {
                let Some(kind) = map.type_of(name) else { continue };
                let element = Element::field(name.as_str());
                let (below, itself) = extract(node.at(kind), value);
                let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                if itself || is_empty || map.declared(name).is_none() {
                    set.members.push(element.clone());
                }
                set.push_child(&element, Arc::new(below));
            }
            set.sort();
            (set, false)
        }
    }
}

fn extract_items(node: Node<'_>, list: &List, items: &[Value]) -> Set {
    let mut known: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for item in items {
        if let Ok(element) = identify(node, list, item) {
            known.entry(element).or_default().push(item);
        }
    }
    let mut set = Set::default();
    for (element, items) in known {
        // Of items that share their keys only the place is known.
        if let [item] = items[..] {
            let (below, _) = extract(node.at(list.item), item);
            set.push_child(&element, Arc::new(below));
        }
        set.members.push(element);
    }
    set
}

/// The set with every declared field that has something in it below also in it itself: so a structure goes with the
/// last of its fields.
pub(super) fn with_structures(node: Option<Node<'_>>, set: &Set) -> Set {
    let found = node.map(Node::get);
    let map = found.and_then(|found| found.map.as_ref());
    let list = found.and_then(|found| found.list.as_ref());
    let mut out =
        Set { members: set.members.clone(), children: Vec::with_capacity(set.children.len()), kept: 0 };
    for (element, child) in &set.children {
        let below = match (element.name(), map, list) {
            (Some(name), Some(map), _) => {
                if map.declared(name).is_some() {
                    out.members.push(element.clone());
                }
                map.type_of(name)
            }
            (None, _, Some(list)) => Some(list.item),
            _ => None,
        };
        let below = node.and_then(|node| below.map(|kind| node.at(kind)));
        out.children.push((element.clone(), Arc::new(with_structures(below, child))));
    }
    out.sort();
    out
}

/// Follows a change of the shape: what was owned field by field and is now owned as a whole.
pub(super) fn reconcile(node: Node<'_>, set: &Set) -> Set {
    let mut out =
        Set { members: set.members.clone(), children: Vec::with_capacity(set.children.len()), kept: 0 };
    for (element, child) in &set.children {
        let found = node.get();
        let below = match (element.name(), &found.map, &found.list) {
            (Some(name), Some(map), _) => map.type_of(name).map(|kind| node.at(kind)),
            (None, _, Some(list)) => Some(node.at(list.item)),
            _ => None,
        };
        let whole = below.is_some_and(|below| {
            let found = below.get();
            found.scalar.is_none()
                && (found.map.as_ref().is_some_and(|map| map.atomic)
                    || found.list.as_ref().is_some_and(|list| list.kind == ListKind::Atomic))
        });
        match below {
            Some(_) if whole => out.members.push(element.clone()),
            Some(below) => {
                let now = reconcile(below, child);
                let now = if now == **child { child.clone() } else { Arc::new(now) };
                out.children.push((element.clone(), now));
            }
            None => out.children.push((element.clone(), child.clone())),
        }
    }
    out.sort();
    out
}
