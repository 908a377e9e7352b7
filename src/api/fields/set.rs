//! A set of paths to fields, as a tree: which steps are in it, and what is below them.
//!
//! Owns the arithmetic of sets (union, intersection, the two differences) and their JSON, `fieldsV1`. Parts that
//! an operation does not change are shared. Invariant: members and children are sorted, and no child is empty.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::path::{Element, show_path};
use crate::limits::FIELDS_DEPTH;

/// A set of paths.
#[derive(Default)]
pub struct Set {
    pub(super) members: Vec<Element>,
    pub(super) children: Vec<(Element, Arc<Set>)>,
    /// Its hash, if it is the one that an interner keeps for all its equals; 0 for every other.
    pub(super) kept: u64,
}

impl Clone for Set {
    fn clone(&self) -> Set {
        Set { members: self.members.clone(), children: self.children.clone(), kept: 0 }
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Set) -> bool {
        self.members == other.members && self.children == other.children
    }
}

impl Eq for Set {}

/// Walks two sorted lists at once.
fn zip<'a, A, B>(
    left: &'a [A],
    right: &'a [B],
    key: impl Fn(&A) -> &Element,
    other: impl Fn(&B) -> &Element,
    mut each: impl FnMut(Option<&'a A>, Option<&'a B>),
) {
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let order = match (left.get(i), right.get(j)) {
            (Some(a), Some(b)) => key(a).cmp(other(b)),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => {
                each(left.get(i), None);
                i += 1;
            }
            Ordering::Greater => {
                each(None, right.get(j));
                j += 1;
            }
            Ordering::Equal => {
                each(left.get(i), right.get(j));
                i += 1;
                j += 1;
            }
        }
    }
}

fn itself(element: &Element) -> &Element {
    element
}

fn step(child: &(Element, Arc<Set>)) -> &Element {
    &child.0
}

impl Set {
    /// The set of one path.
    pub fn of(path: &[Element]) -> Set {
        let mut set = Set::default();
        set.insert(path);
        set
    }

    /// The set of these paths of field names.
    pub fn of_names(paths: &[&[&str]]) -> Set {
        let mut set = Set::default();
        for path in paths {
            set.insert(&path.iter().map(|name| Element::field(*name)).collect::<Vec<_>>());
        }
        set
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Element]) {
        self.kept = 0;
        match path {
            [] => {}
            [last] => {
                if let Err(at) = self.members.binary_search(last) {
                    self.members.insert(at, last.clone());
                }
            }
            [first, rest @ ..] => match self.children.binary_search_by(|(element, _)| element.cmp(first)) {
                Ok(at) => Arc::make_mut(&mut self.children[at].1).insert(rest),
                Err(at) => self.children.insert(at, (first.clone(), Arc::new(Set::of(rest)))),
            },
        }
    }

    /// Puts members and children in order, as they come from lists whose items are in any.
    pub(super) fn sort(&mut self) {
        if !self.members.is_sorted() {
            self.members.sort();
        }
        self.members.dedup();
        if !self.children.is_sorted_by(|a, b| a.0 < b.0) {
            self.children.sort_by(|a, b| a.0.cmp(&b.0));
            let mut merged: Vec<(Element, Arc<Set>)> = Vec::with_capacity(self.children.len());
            for (element, child) in self.children.drain(..) {
                match merged.last_mut() {
                    Some((last, set)) if *last == element => *set = Arc::new(set.union(&child)),
                    _ => merged.push((element, child)),
                }
            }
            self.children = merged;
        }
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// How many paths are in it.
    pub fn len(&self) -> usize {
        self.members.len() + self.children.iter().map(|(_, child)| child.len()).sum::<usize>()
    }

    /// Whether the path is in it.
    pub fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.has_member(last),
            [first, rest @ ..] => self.child(first).is_some_and(|child| child.has(rest)),
        }
    }

    /// Whether the path of one step is in it.
    pub fn has_member(&self, element: &Element) -> bool {
        self.members.binary_search(element).is_ok()
    }

    /// What is in it below a step.
    pub fn child(&self, element: &Element) -> Option<&Arc<Set>> {
        let at = self.children.binary_search_by(|(known, _)| known.cmp(element)).ok()?;
        Some(&self.children[at].1)
    }

    /// The paths in either.
    pub fn union(&self, other: &Set) -> Set {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other.clone() } else { self.clone() };
        }
        let mut out = Set::default();
        out.members.reserve(self.members.len().max(other.members.len()));
        zip(&self.members, &other.members, itself, itself, |a, b| out.members.extend(a.or(b).cloned()));
        zip(&self.children, &other.children, step, step, |a, b| match (a, b) {
            (Some((element, a)), Some((_, b))) => {
                let both = if Arc::ptr_eq(a, b) { a.clone() } else { Arc::new(a.union(b)) };
                out.children.push((element.clone(), both));
            }
            (a, b) => out.children.extend(a.or(b).cloned()),
        });
        out
    }

    /// The paths in both.
    pub fn intersection(&self, other: &Set) -> Set {
        let mut out = Set::default();
        zip(&self.members, &other.members, itself, itself, |a, b| {
            if let (Some(a), Some(_)) = (a, b) {
                out.members.push(a.clone());
            }
        });
        zip(&self.children, &other.children, step, step, |a, b| {
            if let (Some((element, a)), Some((_, b))) = (a, b) {
                let both = if Arc::ptr_eq(a, b) { a.clone() } else { Arc::new(a.intersection(b)) };
                out.push_child(element, both);
            }
        });
        out
    }

    /// The paths in this one and not in the other.
    pub fn difference(&self, other: &Set) -> Set {
        self.without(other, false)
    }

    /// The paths in this one that are neither in the other nor below one that is.
    pub fn recursive_difference(&self, other: &Set) -> Set {
        self.without(other, true)
    }

    fn without(&self, other: &Set, recursive: bool) -> Set {
        let mut out = Set::default();
        zip(&self.members, &other.members, itself, itself, |a, b| {
            if b.is_none() {
                out.members.extend(a.cloned());
            }
        });
        zip(&self.children, &other.children, step, step, |a, b| {
            let Some((element, a)) = a else { return };
            if recursive && other.has_member(element) {
                return;
            }
            match b {
                None => out.children.push((element.clone(), a.clone())),
                Some((_, b)) => {
                    let rest = a.without(b, recursive);
                    // What nothing was taken from stays shared.
                    let rest = if rest == **a { a.clone() } else { Arc::new(rest) };
                    out.push_child(element, rest);
                }
            }
        });
        out
    }

    pub(super) fn push_child(&mut self, element: &Element, child: Arc<Set>) {
        if !child.is_empty() {
            self.children.push((element.clone(), child));
        }
    }

    /// Shows each path, in order.
    pub fn each(&self, show: &mut dyn FnMut(&[Element])) {
        self.each_below(&mut Vec::new(), show);
    }

    fn each_below(&self, path: &mut Vec<Element>, show: &mut dyn FnMut(&[Element])) {
        for member in &self.members {
            path.push(member.clone());
            show(path);
            path.pop();
        }
        for (element, child) in &self.children {
            path.push(element.clone());
            child.each_below(path, show);
            path.pop();
        }
    }

    /// Appends its JSON, `fieldsV1`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_fields(false, out);
        out.push(b'}');
    }

    fn write_fields(&self, includes_itself: bool, out: &mut Vec<u8>) {
        let mut first = true;
        let mut name = |text: &str, out: &mut Vec<u8>| {
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
            // A string can always be written into memory.
            let _ = serde_json::to_writer(&mut *out, text);
            out.push(b':');
        };
        if includes_itself && !self.is_empty() {
            name(".", out);
            out.extend_from_slice(b"{}");
        }
        zip(&self.members, &self.children, itself, step, |member, child| match (member, child) {
            (member, Some((element, child))) => {
                name(&element.to_text(), out);
                out.push(b'{');
                child.write_fields(member.is_some(), out);
                out.push(b'}');
            }
            (Some(member), None) => {
                name(&member.to_text(), out);
                out.extend_from_slice(b"{}");
            }
            (None, None) => {}
        });
    }

    /// Its JSON, `fieldsV1`, as a value.
    pub fn to_value(&self) -> Value {
        Value::Object(self.to_map(false))
    }

    fn to_map(&self, includes_itself: bool) -> Map<String, Value> {
        let mut fields = Map::new();
        if includes_itself && !self.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        zip(&self.members, &self.children, itself, step, |member, child| match (member, child) {
            (member, Some((element, child))) => {
                fields.insert(element.to_text(), Value::Object(child.to_map(member.is_some())));
            }
            (Some(member), None) => {
                fields.insert(member.to_text(), Value::Object(Map::new()));
            }
            (None, None) => {}
        });
        fields
    }

    /// Reads `fieldsV1`.
    ///
    /// Errors: a sentence where it is none, or nests deeper than any object.
    pub fn from_value(value: &Value) -> Result<Set, String> {
        Ok(Set::read(value, 0)?.0.unwrap_or_default())
    }

    /// The set, and whether the step itself is in the set above.
    fn read(value: &Value, depth: usize) -> Result<(Option<Set>, bool), String> {
        if depth > FIELDS_DEPTH {
            return Err("the fields nest too deep".to_owned());
        }
        let Value::Object(fields) = value else {
            return match value {
                Value::Null => Ok((None, true)),
                _ => Err("an object of fields is expected".to_owned()),
            };
        };
        let (mut set, mut itself) = (Set::default(), false);
        for (text, below) in fields {
            if text == "." {
                itself = true;
                continue;
            }
            let Some(element) = Element::parse(text)? else { continue };
            let (children, member) = Set::read(below, depth + 1)?;
            if member {
                set.members.push(element.clone());
            }
            if let Some(children) = children {
                set.children.push((element, Arc::new(children)));
            }
        }
        set.sort();
        match set.is_empty() {
            true => Ok((None, true)),
            false => Ok((Some(set), itself)),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        self.each(&mut |path| lines.push(show_path(path)));
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        self.each(&mut |path| lines.push(show_path(path)));
        f.debug_set().entries(lines).finish()
    }
}
