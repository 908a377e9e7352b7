//! The strategic merge patch: a merge patch that knows by which key the items of a list are told apart, and directives
//! that say what a merge cannot.
//!
//! Owns the directives (`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…`) and upstream's
//! sentences for patches that make no sense. What it must know of the types comes from the kind's
//! [`crate::api::shape::Shape`].
//!
//! Invariant: the work is bounded by the size of object and patch (their lists are searched by index, never by scan),
//! and a patch that fails leaves nothing changed.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::api::error::Reason;
use crate::api::fields::go_bare;
use crate::api::shape::{Node, PatchRule, Shape};
use crate::limits::PATCH_DEPTH;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

type Fields = Map<String, Value>;

/// Why a strategic merge patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StrategicError {
    /// The patch is no object.
    #[error("invalid JSON document")]
    Document,
    /// A list in a list.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// `$deleteFromPrimitiveList` names no list.
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    /// `$retainKeys` is no list, or lacks a field that the patch sets.
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    /// `$setElementOrder` names no list or is none.
    #[error("invalid patch format of setElementOrder list")]
    ElementOrder,
    /// Custom resources have no strategic merge patch.
    #[error("strategic merge patch format is not supported")]
    Unsupported,
    /// An item lacks the key that tells it from others.
    #[error("map: {item} does not contain declared merge key: {key}")]
    MergeKey {
        /// The item, as Go shows it.
        item: String,
        /// The key.
        key: String,
    },
    /// There is no such directive.
    #[error("unknown patch type: {directive} in map: {item}")]
    Directive {
        /// What `$patch` says.
        directive: String,
        /// Where, as Go shows it.
        item: String,
    },
    /// A directive that lists do not take.
    #[error("merging lists cannot yet be specified in the patch")]
    MergeList,
    /// A value of another form is needed.
    #[error("expected a {expected}, but received a {received}")]
    Form {
        /// What is needed, in Go's words.
        expected: &'static str,
        /// What is there.
        received: &'static str,
    },
    /// The items of a list, live and patch, are of several forms.
    #[error("list element types are not identical: {0}")]
    Mixed(String),
    /// There is no item whose form could be known.
    #[error("no elements in any of the given slices")]
    Empty,
    /// The type has no such field.
    #[error("unable to find api field in struct {structure} for the json field {field:?}")]
    Field {
        /// The type.
        structure: String,
        /// The field.
        field: String,
    },
    /// Something that has no fields of its own cannot be merged field by field.
    #[error("merging an object in json but data type is not struct, instead is: {0}")]
    NotAStructure(&'static str),
    /// An order is given for what is no list.
    #[error("expected slice or array type, but got: struct")]
    NotAList,
    /// The items of a list have nothing to be told apart by.
    #[error("cannot merge lists without merge key for struct")]
    NoKey,
    /// The items of the patch are not in the order that the patch itself asks for.
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    Disorder {
        /// The patch's list.
        patch: String,
        /// The order asked for.
        order: String,
    },
    /// The patch nests deeper than any object.
    #[error("the patch nests deeper than {PATCH_DEPTH} levels")]
    Deep,
}

impl StrategicError {
    /// With which reason the API answers it.
    pub fn reason(&self) -> Reason {
        match self {
            StrategicError::Document
            | StrategicError::PrimitiveList
            | StrategicError::RetainKeys
            | StrategicError::ElementOrder
            | StrategicError::Unsupported
            | StrategicError::Deep => Reason::BadRequest,
            StrategicError::ListOfLists => Reason::Invalid,
            _ => Reason::InternalError,
        }
    }
}

/// What a value is, in Go's words.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn list_expected(value: &Value) -> StrategicError {
    StrategicError::Form { expected: "[]interface {}", received: go_type(value) }
}

fn map_expected(value: &Value) -> StrategicError {
    StrategicError::Form { expected: "map[string]interface {}", received: go_type(value) }
}

/// Applies a strategic merge patch to an object of a kind.
pub fn merge(shape: &Shape, object: Value, patch: Value) -> Result<Value, StrategicError> {
    if shape.is_custom() {
        return Err(StrategicError::Unsupported);
    }
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(StrategicError::Document);
    };
    Ok(Value::Object(merge_map(object, patch, shape.root(), 0)?))
}

/// What the type says of a field: what it is, and how patches treat it.
fn look_up<'a>(node: Node<'a>, name: &str) -> Result<(Node<'a>, &'a PatchRule), StrategicError> {
    let found = node.get();
    let Some(map) = found.map.as_ref().filter(|map| !map.name.is_empty()) else {
        let kind = if found.map.is_some() { "map" } else { "slice" };
        return Err(StrategicError::NotAStructure(kind));
    };
    let field = map
        .declared(name)
        .ok_or_else(|| StrategicError::Field { structure: map.name.to_string(), field: name.to_owned() })?;
    Ok((node.at(field.kind), &field.patch))
}

/// The same for a field that must be a list: what its items are.
fn look_up_list<'a>(node: Node<'a>, name: &str) -> Result<(Node<'a>, &'a PatchRule), StrategicError> {
    let (found, rule) = look_up(node, name)?;
    let list = found.get().list.as_ref().ok_or(StrategicError::NotAList)?;
    Ok((found.at(list.item), rule))
}

fn merge_map(
    mut object: Fields,
    mut patch: Fields,
    node: Node<'_>,
    depth: usize,
) -> Result<Fields, StrategicError> {
    if depth > PATCH_DEPTH {
        return Err(StrategicError::Deep);
    }
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Fields::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    retain_keys(&mut object, &mut patch)?;
    set_orders(&mut object, &mut patch, node, depth)?;
    for (name, change) in patch {
        merge_field(&mut object, name, change, node, depth)?;
    }
    Ok(object)
}

fn unknown_directive(directive: &Value, patch: &Fields) -> StrategicError {
    StrategicError::Directive { directive: go_bare(directive), item: go_bare(&Value::Object(patch.clone())) }
}

fn merge_field(
    object: &mut Fields,
    name: String,
    mut change: Value,
    node: Node<'_>,
    depth: usize,
) -> Result<(), StrategicError> {
    let (name, deletes) = match name.starts_with(DELETE_FROM_LIST) {
        true => match name.strip_prefix(DELETE_FROM_LIST).and_then(|rest| rest.strip_prefix('/')) {
            Some(list) => (list.to_owned(), true),
            None => return Err(StrategicError::PrimitiveList),
        },
        false => (name, false),
    };
    if change.is_null() {
        object.remove(&name);
        return Ok(());
    }
    let same_form = object.get(&name).is_some_and(|present| go_type(present) == go_type(&change));
    if !same_form {
        // It takes the place of whatever was there, without what only directs.
        if !deletes {
            discard_nulls(&mut change);
            put(object, name, change);
        }
        return Ok(());
    }
    let present = object.remove(&name).unwrap_or_default();
    match (present, change) {
        (Value::Object(present), Value::Object(change)) => {
            let (below, rule) = look_up(node, &name)?;
            let merged = if rule.replace { change } else { merge_map(present, change, below, depth + 1)? };
            object.insert(name, Value::Object(merged));
        }
        (Value::Array(present), Value::Array(change)) => {
            let (item, rule) = look_up_list(node, &name)?;
            let merged = merge_list_field(present, change, item, rule, deletes, depth)?;
            object.insert(name, Value::Array(merged));
        }
        (_, change) => put(object, name, change),
    }
    Ok(())
}

fn put(object: &mut Fields, name: String, value: Value) {
    match without_directives(value) {
        Some(value) => object.insert(name, value),
        None => object.remove(&name),
    };
}

/// The value without directives in it; `None` if it is one itself.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => {
            let fields =
                fields.into_iter().filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// `$retainKeys`: of the object's fields only those that are listed stay.
fn retain_keys(object: &mut Fields, patch: &mut Fields) -> Result<(), StrategicError> {
    let Some(listed) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(listed) = listed else { return Err(StrategicError::RetainKeys) };
    let kept: HashSet<&str> = listed.iter().filter_map(Value::as_str).collect();
    let directs = |name: &str| name.starts_with(DELETE_FROM_LIST) || name.starts_with(SET_ORDER);
    if patch.iter().any(|(name, value)| !value.is_null() && !directs(name) && !kept.contains(name.as_str())) {
        return Err(StrategicError::RetainKeys);
    }
    object.retain(|name, _| kept.contains(name.as_str()));
    Ok(())
}

/// `$setElementOrder`: merges the lists that an order is given for, and puts their items in it.
fn set_orders(
    object: &mut Fields,
    patch: &mut Fields,
    node: Node<'_>,
    depth: usize,
) -> Result<(), StrategicError> {
    let names: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ORDER)).cloned().collect();
    for directive in names {
        let Some(order) = patch.remove(&directive) else { continue };
        let Value::Array(order) = order else { return Err(list_expected(&order)) };
        let name = directive.strip_prefix(SET_ORDER).and_then(|rest| rest.strip_prefix('/'));
        let name = name.ok_or(StrategicError::ElementOrder)?;
        let list = |value: Option<&Value>| match value {
            Some(Value::Array(items)) => Ok(Some(items.clone())),
            Some(other) => Err(list_expected(other)),
            None => Ok(None),
        };
        let (present, change) = (list(object.get(name))?, list(patch.get(name))?);
        let (item, rule) = look_up_list(node, name)?;
        let key = rule.key.as_deref();
        check_order(change.as_deref().unwrap_or_default(), &order, key)?;
        let kind = kind_of_items([present.as_deref(), change.as_deref()]);
        let merged = match (&present, change) {
            (Some(present), None) => present.clone(),
            (None, Some(change)) => change.into_iter().filter_map(without_directives).collect(),
            (Some(present), Some(change)) => {
                merge_list_field(present.clone(), change, item, rule, false, depth)?
            }
            (None, None) => continue,
        };
        let are_maps = kind?;
        let key = key.filter(|_| are_maps);
        let sorted = in_order(merged, &order, present.as_deref().unwrap_or_default(), key)?;
        object.insert(name.to_owned(), Value::Array(sorted));
        patch.remove(name);
    }
    Ok(())
}

/// The items of the patch must be in the order that it asks for itself.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), StrategicError> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut kept = Vec::new();
    for item in patch {
        match (key, item) {
            (Some(_), Value::Object(fields)) => {
                if !fields.contains_key(DIRECTIVE) {
                    kept.push(item);
                }
            }
            (Some(_), other) => return Err(map_expected(other)),
            (None, _) => kept.push(item),
        }
    }
    let mut at = 0;
    for place in order {
        let Some(item) = kept.get(at) else { break };
        let same = match key {
            None => *item == place,
            Some(key) => key_of(item, key)? == key_of(place, key)?,
        };
        at += usize::from(same);
    }
    if at < kept.len() {
        let show = |items: &[Value]| go_bare(&Value::Array(items.to_vec()));
        return Err(StrategicError::Disorder { patch: show(patch), order: show(order) });
    }
    Ok(())
}

fn key_of<'v>(item: &'v Value, key: &str) -> Result<&'v Value, StrategicError> {
    let Value::Object(fields) = item else { return Err(map_expected(item)) };
    let missing = || StrategicError::MergeKey { item: go_bare(item), key: key.to_owned() };
    fields.get(key).ok_or_else(missing)
}

/// Whether the items are maps: all must be of one form, and no lists.
fn kind_of_items(lists: [Option<&[Value]>; 2]) -> Result<bool, StrategicError> {
    let items = || lists.iter().flat_map(|list| list.unwrap_or_default());
    let first = items().next().ok_or(StrategicError::Empty)?;
    if first.is_array() {
        return Err(StrategicError::ListOfLists);
    }
    if first.is_null() || items().any(|item| go_type(item) != go_type(first)) {
        let show = lists.map(|list| go_bare(&Value::Array(list.unwrap_or_default().to_vec())));
        return Err(StrategicError::Mixed(format!("[{}]", show.join(" "))));
    }
    Ok(first.is_object())
}

fn merge_list_field(
    present: Vec<Value>,
    change: Vec<Value>,
    item: Node<'_>,
    rule: &PatchRule,
    deletes: bool,
    depth: usize,
) -> Result<Vec<Value>, StrategicError> {
    if !rule.merge && !deletes {
        return Ok(change);
    }
    if present.is_empty() && change.is_empty() {
        return Ok(present);
    }
    if !kind_of_items([Some(&present), Some(&change)])? {
        if deletes {
            let gone: HashSet<String> = change.iter().map(Value::to_string).collect();
            return Ok(present.into_iter().filter(|item| !gone.contains(&item.to_string())).collect());
        }
        let mut seen = HashSet::new();
        let both = present.iter().chain(&change);
        let merged = both.filter(|item| seen.insert(item.to_string())).cloned().collect();
        return in_order(merged, &change, &present, None);
    }
    let key = rule.key.as_deref().ok_or(StrategicError::NoKey)?;
    let (present, change) = apply_item_directives(present, change, key)?;
    let live = present.clone();
    let merged = merge_items(present, &change, item, key, depth)?;
    in_order(merged, &change, &live, Some(key))
}

/// `$patch` in the items of a list: `delete` takes the present items of that key, `replace` all present ones.
fn apply_item_directives(
    present: Vec<Value>,
    change: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), StrategicError> {
    let (mut kept, mut gone, mut replaces) = (Vec::new(), HashSet::new(), false);
    for item in change {
        let Value::Object(fields) = &item else { return Err(map_expected(&item)) };
        match fields.get(DIRECTIVE) {
            None => kept.push(item),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    gone.insert(key_of(&item, key)?.to_string());
                }
                Some("replace") => replaces = true,
                Some("merge") => return Err(StrategicError::MergeList),
                _ => return Err(unknown_directive(directive, fields)),
            },
        }
    }
    if replaces {
        return Ok((kept, Vec::new()));
    }
    let stays = |item: &Value| item.get(key).is_none_or(|value| !gone.contains(&value.to_string()));
    Ok((present.into_iter().filter(stays).collect(), kept))
}

/// Merges items with the present ones of the same key, and appends the others.
fn merge_items(
    present: Vec<Value>,
    change: &[Value],
    item: Node<'_>,
    key: &str,
    depth: usize,
) -> Result<Vec<Value>, StrategicError> {
    let mut merged = present;
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, known) in merged.iter().enumerate() {
        if let Some(value) = known.get(key) {
            places.entry(value.to_string()).or_insert(at);
        }
    }
    for new in change {
        let value = key_of(new, key)?.to_string();
        match places.get(&value) {
            Some(at) => {
                let (Value::Object(old), Value::Object(new)) =
                    (std::mem::take(&mut merged[*at]), new.clone())
                else {
                    continue;
                };
                merged[*at] = Value::Object(merge_map(old, new, item, depth + 1)?);
            }
            None => {
                places.insert(value, merged.len());
                merged.push(new.clone());
            }
        }
    }
    Ok(merged)
}

/// Orders a merged list: what `order` names stands in its order, the rest in that of the live list, and the two are
/// interleaved as they stand in the live list.
fn in_order(
    merged: Vec<Value>,
    order: &[Value],
    live: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, StrategicError> {
    let name = |item: &Value| match key {
        None => Ok(item.to_string()),
        Some(key) => key_of(item, key).map(Value::to_string),
    };
    let places = |items: &[Value]| -> Result<HashMap<String, usize>, StrategicError> {
        let mut places = HashMap::new();
        for (at, item) in items.iter().enumerate() {
            places.entry(name(item)?).or_insert(at);
        }
        Ok(places)
    };
    let (wanted, lived) = (places(order)?, places(live)?);
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let name = name(&item)?;
        let live = lived.get(&name).copied();
        match wanted.get(&name) {
            Some(at) => named.push((*at, live, item)),
            None => others.push((live.unwrap_or(usize::MAX), live, item)),
        }
    }
    named.sort_by_key(|(at, ..)| *at);
    others.sort_by_key(|(at, ..)| *at);
    let mut out = Vec::with_capacity(named.len() + others.len());
    let (mut left, mut right) = (others.into_iter().peekable(), named.into_iter().peekable());
    loop {
        let left_first = match (left.peek(), right.peek()) {
            (None, None) => return Ok(out),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((_, a, _)), Some((_, b, _))) => matches!((a, b), (Some(a), Some(b)) if a < b),
        };
        let next = if left_first { left.next() } else { right.next() };
        out.extend(next.map(|(.., item)| item));
    }
}

#[cfg(test)]
mod tests;
