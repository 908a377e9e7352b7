//! Who owns what after a write: of an update, which takes what it changes, and of an apply, which owns what it says.
//!
//! Owns upstream's rules: stripped and reset fields, the first apply of an untracked object, the removal of what an
//! applier no longer says, conflicts and force, the bound on updaters, the times.
//! Pure: the time is handed in. Invariant: an apply that succeeds leaves everything it says in the object and owned by its
//! applier.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::compare::{Comparison, compare};
use super::extract::{field_set, reconcile, with_structures};
use super::items::check;
use super::managed::{Entry, ManagedFields, Operation};
use super::merge::{merge, remove};
use super::path::{Element, show_path};
use super::set::Set;
use crate::api::shape::{Node, Shape};
use crate::limits::UPDATE_MANAGERS;

/// The owner of what was there before the first apply of an object that was not tracked.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The owner of what the oldest updaters owned, where there are too many.
const ANCIENT_CHANGES: &str = "ancient-changes";
/// The manager that takes over from kubectl's own apply.
const KUBECTL: &str = "kubectl";
/// Where kubectl's own apply keeps what it applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Who writes, and through what.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    /// The manager's name; empty for `unknown`.
    pub manager: &'a str,
    /// The version of the object as it is written.
    pub api_version: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// Now, in seconds since 1970.
    pub now: i64,
    /// What a write through this subresource does not change.
    pub reset: &'a Set,
}

impl<'a> Writer<'a> {
    /// The manager's name as it is kept.
    pub(super) fn name(&self) -> &'a str {
        if self.manager.is_empty() { "unknown" } else { self.manager }
    }

    fn entry(&self, operation: Operation, fields: Set, time: Option<i64>) -> Entry {
        Entry {
            manager: Arc::from(self.name()),
            operation,
            api_version: Arc::from(self.api_version),
            subresource: Arc::from(self.subresource),
            time,
            fields: Arc::new(fields),
        }
    }
}

/// Fields that nobody owns.
fn stripped() -> &'static Set {
    static STRIPPED: OnceLock<Set> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        Set::of_names(&[
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ])
    })
}

/// What the writer of a new object owns, given the difference from nothing to it.
pub fn fields_of_change(difference: &Comparison, reset: &Set) -> Set {
    let taken = difference.modified.union(&difference.added);
    let taken = if reset.is_empty() { taken } else { taken.recursive_difference(reset) };
    taken.difference(stripped())
}

/// Who owns what after an update that made this difference.
pub fn update(managed: &ManagedFields, difference: &Comparison, writer: &Writer<'_>) -> ManagedFields {
    if difference.is_same() {
        return managed.clone();
    }
    let fields = fields_of_change(difference, writer.reset);
    let (changed, removed) = match writer.reset.is_empty() {
        true => (difference.modified.union(&difference.added), difference.removed.clone()),
        false => {
            let seen = difference.clone().ignoring(writer.reset);
            (seen.modified.union(&seen.added), seen.removed)
        }
    };
    let mut entries = managed.clone().into_entries();
    lose(&mut entries, &changed, &removed);
    if !fields.is_empty() {
        take(&mut entries, writer.entry(Operation::Update, fields, Some(writer.now)));
    }
    cap(&mut entries);
    ManagedFields::new(entries)
}

/// Takes from everyone what was changed and what is gone.
fn lose(entries: &mut Vec<Entry>, changed: &Set, removed: &Set) {
    for entry in entries.iter_mut() {
        let mut fields = entry.fields.clone();
        for gone in [changed, removed] {
            if !fields.intersection(gone).is_empty() {
                fields = Arc::new(fields.difference(gone));
            }
        }
        entry.fields = fields;
    }
    entries.retain(|entry| !entry.fields.is_empty());
}

/// Adds fields to their manager's entry.
fn take(entries: &mut Vec<Entry>, new: Entry) {
    match entries.iter_mut().find(|entry| entry.is_same_manager(&new)) {
        Some(known) => {
            let both = known.fields.union(&new.fields);
            if both != *known.fields {
                known.fields = Arc::new(both);
            }
            known.time = new.time;
            known.api_version = new.api_version;
        }
        None => entries.push(new),
    }
}

/// Merges the oldest updaters, one bucket a version, until there are no more of them than allowed.
fn cap(entries: &mut Vec<Entry>) {
    let updaters = |entries: &[Entry]| entries.iter().filter(|e| e.operation == Operation::Update).count();
    let mut count = updaters(entries);
    if count <= UPDATE_MANAGERS {
        return;
    }
    let mut oldest: Vec<Entry> =
        entries.iter().filter(|entry| entry.operation == Operation::Update).cloned().collect();
    let name = |entry: &Entry| (entry.manager.clone(), entry.api_version.clone(), entry.subresource.clone());
    oldest.sort_by(|a, b| a.time.unwrap_or(0).cmp(&b.time.unwrap_or(0)).then(name(a).cmp(&name(b))));
    let mut firsts: Vec<Entry> = Vec::new();
    for old in oldest {
        if count <= UPDATE_MANAGERS {
            break;
        }
        let Some(first) = firsts.iter().find(|first| first.api_version == old.api_version).cloned() else {
            firsts.push(old);
            continue;
        };
        let mut bucket =
            Entry { manager: Arc::from(ANCIENT_CHANGES), subresource: Arc::from(""), ..old.clone() };
        let at = entries.iter().position(|entry| entry.is_same_manager(&bucket)).or_else(|| {
            // The first of its version becomes the bucket.
            entries.iter().position(|entry| entry.is_same_manager(&first))
        });
        if let Some(at) = at {
            bucket.fields = Arc::new(old.fields.union(&entries[at].fields));
            entries[at] = bucket.clone();
        }
        entries.retain(|entry| !entry.is_same_manager(&old) || entry.is_same_manager(&bucket));
        count -= 1;
    }
}

/// A field that an apply would change and another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as the conflict names it.
    pub manager: String,
    /// The field's path.
    pub field: String,
    path: Vec<Element>,
}

/// Why an apply does not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields that it would change.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The applied object does not fit the kind.
    #[error("failed to create typed patch object ({object}): {problem}")]
    Patch {
        /// Which object.
        object: String,
        /// What is wrong.
        problem: String,
    },
    /// The live object does not fit the kind.
    #[error("failed to create typed live object ({object}): {problem}")]
    Live {
        /// Which object.
        object: String,
        /// What is wrong.
        problem: String,
    },
    /// They do not merge.
    #[error("failed to merge config: {0}")]
    Merge(String),
}

/// Upstream's sentence for conflicts: one is told in a line, more are listed by manager.
fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.field);
    }
    let mut lines: Vec<String> = Vec::new();
    for same in conflicts.chunk_by(|a, b| a.manager == b.manager) {
        lines.push(format!("conflicts with {}:", same[0].manager));
        lines.extend(same.iter().map(|conflict| format!("- {}", conflict.field)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// What an apply leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The object; `None` where it stays as it is.
    pub object: Option<Value>,
    /// Who owns what.
    pub managed: ManagedFields,
}

/// Applies an object to the live one (an empty one if there is none), as upstream does.
///
/// `live` has no managed fields in it.
pub fn apply(
    shape: &Shape,
    live: &Value,
    applied: &Value,
    managed: &ManagedFields,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Outcome, ApplyError> {
    let first = apply_once(shape, live, applied, managed, writer, force);
    let mut outcome = match first {
        Err(ApplyError::Conflicts(conflicts)) if writer.manager == KUBECTL => {
            // Fields that kubectl's own apply set, and that are as it set them, are kubectl's to take.
            let Some(allowed) = from_last_applied(shape, live, writer.api_version) else {
                return Err(ApplyError::Conflicts(conflicts));
            };
            let others: Vec<Conflict> =
                conflicts.into_iter().filter(|conflict| !allowed.has(&conflict.path)).collect();
            if !others.is_empty() {
                return Err(ApplyError::Conflicts(others));
            }
            apply_once(shape, live, applied, managed, writer, true)?
        }
        answer => answer?,
    };
    if writer.manager == KUBECTL {
        refresh_last_applied(&mut outcome.object, live, applied);
    }
    Ok(outcome)
}

fn titled(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&value["apiVersion"]);
    let version = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
    let (namespace, name) = (text(&value["metadata"]["namespace"]), text(&value["metadata"]["name"]));
    format!("{namespace}/{name}; {version}, Kind={}", text(&value["kind"]))
}

fn apply_once(
    shape: &Shape,
    live: &Value,
    applied: &Value,
    managed: &ManagedFields,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Outcome, ApplyError> {
    let node = shape.root();
    let object = || titled(applied);
    check(node, applied, false)
        .map_err(|problem| ApplyError::Patch { object: object(), problem: problem.to_string() })?;
    check(node, live, true)
        .map_err(|problem| ApplyError::Live { object: object(), problem: problem.to_string() })?;
    let mut entries = match managed.is_empty() {
        true => before_first_apply(node, live, writer)?,
        false => managed.clone().into_entries(),
    };
    for entry in &mut entries {
        let now = reconcile(node, &entry.fields);
        if now != *entry.fields {
            entry.fields = Arc::new(now);
        }
    }
    let merged = merge(node, live, applied).map_err(ApplyError::Merge)?;
    let said = field_set(node, applied);
    let said = if writer.reset.is_empty() { said } else { said.recursive_difference(writer.reset) };
    let mut own = writer.entry(Operation::Apply, said, None);
    let last = entries.iter().position(|entry| entry.is_same_manager(&own)).map(|at| entries.remove(at));
    own.time = last.as_ref().and_then(|last| last.time);
    let merged = match &last {
        // Nothing that it said last time is missing now.
        Some(last) if !last.fields.difference(&own.fields).is_empty() => {
            let owned = entries.iter().fold((*own.fields).clone(), |all, entry| all.union(&entry.fields));
            prune(node, merged, &last.fields, &owned)
        }
        _ => merged,
    };
    let difference = compare(node, live, &merged).map_err(ApplyError::Merge)?.ignoring(writer.reset);
    let changed = difference.modified.union(&difference.added);
    if !force {
        let conflicts = conflicts(&entries, &changed);
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    lose(&mut entries, &changed, &difference.removed);
    own.fields = Arc::new(own.fields.difference(stripped()));
    let object = (merged != *live).then_some(merged);
    if object.is_some() {
        own.time = Some(writer.now);
    }
    entries.push(own);
    Ok(Outcome { object, managed: ManagedFields::new(entries) })
}

/// What was there before the first apply gets an owner of its own.
fn before_first_apply(node: Node<'_>, live: &Value, writer: &Writer<'_>) -> Result<Vec<Entry>, ApplyError> {
    let nothing = Value::Object(serde_json::Map::new());
    let difference = compare(node, &nothing, live).map_err(ApplyError::Merge)?;
    let writer = Writer { manager: BEFORE_FIRST_APPLY, ..writer.clone() };
    Ok(update(&ManagedFields::default(), &difference, &writer).into_entries())
}

fn conflicts(entries: &[Entry], changed: &Set) -> Vec<Conflict> {
    let mut others: Vec<&Entry> = entries.iter().collect();
    others.sort_by_key(|entry| {
        (entry.manager.clone(), entry.operation, entry.api_version.clone(), entry.subresource.clone())
    });
    let mut found = Vec::new();
    for entry in others {
        entry.fields.intersection(changed).each(&mut |path| {
            found.push(Conflict { manager: entry.title(), field: show_path(path), path: path.to_vec() });
        });
    }
    found
}

/// Takes out what the applier said last time and does not say now, unless somebody owns it or it was never the
/// applier's.
fn prune(node: Node<'_>, merged: Value, last: &Set, owned: &Set) -> Value {
    let named = |set: &Set| with_structures(Some(node), set);
    let last = named(last);
    let pruned = remove(node, &merged, &last);
    let in_merged = named(&field_set(node, &merged));
    let kept = named(&field_set(node, &pruned)).union(&named(owned));
    let pruned = remove(node, &merged, &in_merged.difference(&kept));
    let in_pruned = named(&field_set(node, &pruned));
    remove(node, &merged, &in_merged.difference(&in_pruned).intersection(&last))
}

/// The fields that kubectl's own apply set and that nobody has changed since; `None` where it never was there.
fn from_last_applied(shape: &Shape, live: &Value, api_version: &str) -> Option<Set> {
    let text = live["metadata"]["annotations"][LAST_APPLIED].as_str().filter(|text| !text.is_empty())?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last["apiVersion"] != api_version || check(shape.root(), &last, false).is_err() {
        return None;
    }
    let difference = compare(shape.root(), &last, live).ok()?;
    let said = field_set(shape.root(), &last);
    Some(said.difference(&difference.modified).difference(&difference.added).difference(&difference.removed))
}

/// Keeps kubectl's annotation true, where there is one.
fn refresh_last_applied(object: &mut Option<Value>, live: &Value, applied: &Value) {
    let has = |value: &Value| {
        value["metadata"]["annotations"][LAST_APPLIED].as_str().is_some_and(|text| !text.is_empty())
    };
    if !has(object.as_ref().unwrap_or(live)) {
        return;
    }
    fn annotations(value: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
        value.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()
    }
    let mut said = applied.clone();
    if let Some(annotations) = annotations(&mut said) {
        annotations.remove(LAST_APPLIED);
    }
    let mut now = object.take().unwrap_or_else(|| live.clone());
    if let Some(annotations) = annotations(&mut now) {
        annotations.insert(LAST_APPLIED.to_owned(), Value::from(format!("{said}\n")));
        let bytes = |(name, value): (&String, &Value)| name.len() + value.as_str().map_or(0, str::len);
        if annotations.iter().map(bytes).sum::<usize>() > crate::limits::ANNOTATION_BYTES {
            annotations.remove(LAST_APPLIED);
        }
    }
    *object = (now != *live).then_some(now);
}
