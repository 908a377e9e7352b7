//! What differs between two objects of a shape, as sets of fields.
//!
//! Invariant: nothing differs exactly if the objects are equal, as far as their lists' items can be told apart.

use std::sync::Arc;

use serde_json::Value;

use super::items::{check_scalar, identify};
use super::path::Element;
use super::set::Set;
use crate::api::shape::{Form, List, ListKind, Map, Node, Scalar};

/// The difference from one object to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// In the second only.
    pub added: Set,
    /// In both, with other values.
    pub modified: Set,
    /// In the first only.
    pub removed: Set,
}

/// How a place itself differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Same,
    Added,
    Modified,
    Removed,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// The difference without what is in `ignored` or below it.
    pub fn ignoring(self, ignored: &Set) -> Comparison {
        if ignored.is_empty() {
            return self;
        }
        Comparison {
            added: self.added.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            removed: self.removed.recursive_difference(ignored),
        }
    }

    fn mark(&mut self, element: Element, mark: Mark) {
        match mark {
            Mark::Same => {}
            Mark::Added => self.added.members.push(element),
            Mark::Modified => self.modified.members.push(element),
            Mark::Removed => self.removed.members.push(element),
        }
    }

    /// Takes in what differs at and below a step.
    fn take(&mut self, element: impl FnOnce() -> Element, below: Comparison, mark: Mark) {
        if mark == Mark::Same && below.is_same() {
            return;
        }
        let element = element();
        for (set, child) in [
            (&mut self.added, below.added),
            (&mut self.modified, below.modified),
            (&mut self.removed, below.removed),
        ] {
            if !child.is_empty() {
                set.children.push((element.clone(), Arc::new(child)));
            }
        }
        self.mark(element, mark);
    }

    pub(super) fn join(&mut self, other: Comparison) {
        self.added = self.added.union(&other.added);
        self.modified = self.modified.union(&other.modified);
        self.removed = self.removed.union(&other.removed);
    }

    fn sort(&mut self) {
        self.added.sort();
        self.modified.sort();
        self.removed.sort();
    }
}

/// Compares two objects.
///
/// Errors: a sentence where the items of a list cannot be told apart.
pub fn compare(node: Node<'_>, old: &Value, new: &Value) -> Result<Comparison, String> {
    Ok(walk(node, Some(old), Some(new))?.0)
}

/// Compares one field of two objects, which either may lack: the difference as if they had nothing else.
pub(super) fn compare_field(
    node: Node<'_>,
    name: &str,
    old: Option<Value>,
    new: Option<Value>,
) -> Result<Comparison, String> {
    let Some(map) = &node.get().map else { return Ok(Comparison::default()) };
    let with = |value: Option<Value>| {
        let field = value.map(|value| (name.to_owned(), value));
        Value::Object(field.into_iter().collect())
    };
    walk_fields(node, map, Some(&with(old)), Some(&with(new)))
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> (Comparison, Mark) {
    let mark = match (old, new) {
        (None, _) => Mark::Added,
        (_, None) => Mark::Removed,
        (old, new) if old == new => Mark::Same,
        _ => Mark::Modified,
    };
    (Comparison::default(), mark)
}

type Answer = Result<(Comparison, Mark), String>;

fn walk(node: Node<'_>, old: Option<&Value>, new: Option<&Value>) -> Answer {
    let (before, after) = (node.form(old), node.form(new));
    let same_form = matches!(
        (before, after),
        (Form::Map(_), Form::Map(_)) | (Form::List(_), Form::List(_)) | (Form::Scalar(_), Form::Scalar(_))
    );
    if new.is_none() {
        return walk_as(node, before, old, new);
    }
    if old.is_none() || same_form {
        return walk_as(node, after, old, new);
    }
    let (mut found, first) = walk_as(node, before, old, new)?;
    let (second, mark) = walk_as(node, after, old, new)?;
    found.join(second);
    Ok((found, if mark == Mark::Same { first } else { mark }))
}

fn walk_as(node: Node<'_>, form: Form<'_>, old: Option<&Value>, new: Option<&Value>) -> Answer {
    let found = match form {
        Form::Scalar(scalar) => {
            check_scalars(scalar, old, new)?;
            return Ok(leaf(old, new));
        }
        Form::List(list) => {
            let items = |value: Option<&'_ Value>| value.and_then(Value::as_array).map_or(0, Vec::len);
            if list.kind == ListKind::Atomic || items(old) + items(new) == 0 {
                return Ok(leaf(old, new));
            }
            walk_items(node, list, old, new)?
        }
        Form::Map(map) => {
            let fields =
                |value: Option<&'_ Value>| value.and_then(Value::as_object).map_or(0, |map| map.len());
            if map.atomic || fields(old) + fields(new) == 0 {
                return Ok(leaf(old, new));
            }
            walk_fields(node, map, old, new)?
        }
    };
    let mark = match (old, new) {
        (None, _) => Mark::Added,
        (_, None) => Mark::Removed,
        _ => Mark::Same,
    };
    Ok((found, mark))
}

fn check_scalars(scalar: Scalar, old: Option<&Value>, new: Option<&Value>) -> Result<(), String> {
    let wrong = |value: Option<&Value>| value.and_then(|value| check_scalar(scalar, value));
    match (wrong(old), wrong(new)) {
        (Some(old), Some(new)) => Err(format!("errors:\n  lhs: {old}\n  rhs: {new}")),
        _ => Ok(()),
    }
}

fn walk_fields(
    node: Node<'_>,
    map: &Map,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<Comparison, String> {
    let mut found = Comparison::default();
    let old = old.and_then(Value::as_object);
    let new = new.and_then(Value::as_object);
    let (has_old, has_new) = (old.is_some(), new.is_some());
    let mut each = |name: &str, before: Option<&Value>, after: Option<&Value>| -> Result<(), String> {
        // Equal parts need no look at what they are.
        if before == after {
            return Ok(());
        }
        let Some(kind) = map.type_of(name) else { return Ok(()) };
        let below = node.at(kind);
        // What the API's types always write is there with its zero where it was left out.
        let zero = map.declared(name).is_some_and(|field| field.always).then(|| below.zero());
        let before = before.or(zero.as_ref().filter(|_| has_old));
        let after = after.or(zero.as_ref().filter(|_| has_new));
        let (difference, mark) = walk(below, before, after)?;
        found.take(|| Element::field(name), difference, mark);
        Ok(())
    };
    for (name, before) in old.into_iter().flatten() {
        each(name, Some(before), new.and_then(|new| new.get(name)))?;
    }
    for (name, after) in new.into_iter().flatten() {
        if old.is_none_or(|old| !old.contains_key(name)) {
            each(name, None, Some(after))?;
        }
    }
    found.sort();
    Ok(found)
}

fn walk_items(
    node: Node<'_>,
    list: &List,
    old: Option<&Value>,
    new: Option<&Value>,
) -> Result<Comparison, String> {
    let mut all: Vec<(Element, bool, &Value)> = Vec::new();
    for (is_new, value) in [(false, old), (true, new)] {
        for (at, item) in value.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let element = identify(node, list, item).map_err(|problem| format!("element {at}: {problem}"))?;
            all.push((element, is_new, item));
        }
    }
    // Stable: items of the same keys stay in the order of the lists, the old ones first.
    all.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut found = Comparison::default();
    for same in all.chunk_by(|a, b| a.0 == b.0) {
        let of = |wanted: bool| {
            same.iter().filter(move |(_, is_new, _)| *is_new == wanted).map(|(.., value)| *value)
        };
        let (before, after): (Vec<&Value>, Vec<&Value>) = (of(false).collect(), of(true).collect());
        let element = || same[0].0.clone();
        let mut one = |before: Option<&Value>, after: Option<&Value>| -> Result<(), String> {
            let (below, mark) = walk(node.at(list.item), before, after)?;
            found.take(element, below, mark);
            Ok(())
        };
        match (before.len(), after.len()) {
            (0 | 1, 0 | 1) => {
                one(before.first().copied(), after.first().copied())?;
            }
            // Doubles are compared as if they were one.
            (2.., 2..) => {
                if before != after {
                    found.mark(element(), Mark::Modified);
                }
            }
            (2.., _) => {
                if let Some(entry) = after.first() {
                    one(None, Some(entry))?;
                }
                found.mark(element(), Mark::Removed);
            }
            _ => {
                if let Some(entry) = before.first() {
                    one(Some(entry), None)?;
                }
                found.mark(element(), Mark::Added);
            }
        }
    }
    found.sort();
    Ok(found)
}
