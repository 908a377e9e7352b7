//! Patches that know no types: JSON merge patch (RFC 7386) and JSON patch (RFC 6902).
//!
//! Owns how a patch changes a JSON value, with the tolerance of upstream's library where that is wider than the
//! RFC. Does not know which fields a patch may touch. The strategic merge patch, which needs the types, is in
//! [`strategic`].
//!
//! Invariant: a JSON patch that fails changes nothing, and one that succeeds leaves no value deeper than the
//! limit.

pub mod strategic;

use serde_json::Value;

use crate::limits::{PATCH_COPY_BYTES, PATCH_DEPTH, PATCH_OPERATIONS, PATCH_WORK};

/// Applies a JSON merge patch: what is null in the patch goes, objects are merged, all else is replaced.
///
/// Where a new value takes a place, its own nulls go too, also those of objects within lists, as upstream does.
pub fn merge(target: &mut Value, patch: Value) {
    let changes = match (&mut *target, patch) {
        (Value::Object(_), Value::Object(changes)) => changes,
        (Value::Object(_), other) => {
            *target = other;
            return;
        }
        (_, mut other) => {
            prune_nulls(&mut other);
            *target = other;
            return;
        }
    };
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(&key);
            continue;
        }
        merge(fields.entry(key).or_insert(Value::Null), change);
    }
}

fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        _ => {}
    }
}

/// Why a JSON patch cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The body is no list of operations.
    #[error("cannot decode the JSON patch: {0}")]
    Form(String),
    /// There are too many operations.
    #[error("The allowed maximum operations in a JSON patch is {PATCH_OPERATIONS}, got {0}")]
    Many(usize),
    /// One operation fails, and with it the patch.
    #[error("operation {index}: {problem}")]
    Operation {
        /// Which one, counted from 0 as in a JSON pointer.
        index: usize,
        /// Why.
        problem: OperationError,
    },
}

/// Why one operation of a JSON patch fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// There is no such operation.
    #[error("Unexpected kind: {0}")]
    Kind(String),
    /// A field that the operation needs is not there or no text.
    #[error("{op} operation failed to decode {field}: missing value")]
    Field {
        /// The operation.
        op: &'static str,
        /// Its field.
        field: &'static str,
    },
    /// A path is no JSON pointer.
    #[error("{0:?} is not a JSON pointer: it must begin with '/'")]
    Pointer(String),
    /// What should hold the value is not there or holds nothing.
    #[error("{op} operation does not apply: doc is missing path: \"{path}\": missing value")]
    Path {
        /// The operation.
        op: &'static str,
        /// The path of the value.
        path: String,
    },
    /// An object has no such key to take away.
    #[error("error in {op} for path: '{path}': Unable to remove nonexistent key: {key}: missing value")]
    Key {
        /// The operation.
        op: &'static str,
        /// The path of the value.
        path: String,
        /// The key.
        key: String,
    },
    /// What stands for a list's index is no number, or the list is not that long.
    #[error(
        "error in {op} for path: '{path}': Unable to access invalid index: {key}: invalid index referenced"
    )]
    Index {
        /// The operation.
        op: &'static str,
        /// The path of the value.
        path: String,
        /// The index as written.
        key: String,
    },
    /// The whole object can only be replaced by an object or a list.
    #[error("replace operation value must be object or array")]
    Root,
    /// A value is not the one that was asked for.
    #[error("testing value {0} failed: test failed")]
    Test(String),
    /// The copies add too much.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {0}, exceeding the limit {PATCH_COPY_BYTES}"
    )]
    Copies(usize),
    /// The result would nest too deep.
    #[error("the result would nest deeper than {PATCH_DEPTH} levels")]
    Deep,
    /// The patch moves too much about.
    #[error("the patch takes too much work")]
    Work,
}

/// A JSON patch, decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPatch {
    operations: Vec<Operation>,
}

#[derive(Clone, Debug, PartialEq)]
enum Operation {
    Add { path: Pointer, value: Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: Value },
}

impl JsonPatch {
    /// Decodes the body of a request.
    pub fn decode(body: &[u8]) -> Result<JsonPatch, PatchError> {
        let value = serde_json::from_slice(body).map_err(|error| PatchError::Form(error.to_string()))?;
        JsonPatch::from_value(value)
    }

    /// Whether an operation reads or writes the value at a path, something in it, or something that holds it.
    pub fn touches(&self, path: &str) -> bool {
        let meets = |pointer: &Pointer| {
            let other = pointer.text.as_str();
            let below = |outer: &str, inner: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            below(other, path) || below(path, other)
        };
        self.operations.iter().any(|operation| match operation {
            Operation::Add { path, .. }
            | Operation::Remove { path }
            | Operation::Replace { path, .. }
            | Operation::Test { path, .. } => meets(path),
            Operation::Move { from, path } | Operation::Copy { from, path } => meets(from) || meets(path),
        })
    }

    /// Takes a value for a patch. An operation without a value has null for one, as upstream has it.
    pub fn from_value(value: Value) -> Result<JsonPatch, PatchError> {
        let Value::Array(items) = value else {
            return Err(PatchError::Form("a list of operations is expected".to_owned()));
        };
        if items.len() > PATCH_OPERATIONS {
            return Err(PatchError::Many(items.len()));
        }
        let mut operations = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let Value::Object(fields) = item else {
                return Err(PatchError::Form(format!("operation {index} is not an object")));
            };
            let operation = Operation::decode(fields);
            operations.push(operation.map_err(|problem| PatchError::Operation { index, problem })?);
        }
        Ok(JsonPatch { operations })
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it has no operation.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The document as the patch leaves it.
    ///
    /// Beyond the RFC, as upstream: an index may count from the end (`-1`), `replace` makes a key that is not
    /// there, and a key that is not there equals null in `test` and is null in `copy`.
    pub fn apply(&self, document: &Value) -> Result<Value, PatchError> {
        let mut run = Run { document: document.clone(), copied: 0, work: 0 };
        for (index, operation) in self.operations.iter().enumerate() {
            run.step(operation).map_err(|problem| PatchError::Operation { index, problem })?;
        }
        Ok(run.document)
    }
}

impl Operation {
    fn decode(mut fields: serde_json::Map<String, Value>) -> Result<Operation, OperationError> {
        let kind = fields.get("op").and_then(Value::as_str).unwrap_or("unknown");
        let op = match kind {
            "add" => "add",
            "remove" => "remove",
            "replace" => "replace",
            "move" => "move",
            "copy" => "copy",
            "test" => "test",
            other => return Err(OperationError::Kind(other.to_owned())),
        };
        let value = fields.remove("value").unwrap_or(Value::Null);
        let pointer = |field: &'static str| {
            let text =
                fields.get(field).and_then(Value::as_str).ok_or(OperationError::Field { op, field })?;
            Pointer::parse(text)
        };
        Ok(match op {
            "add" => Operation::Add { path: pointer("path")?, value },
            "remove" => Operation::Remove { path: pointer("path")? },
            "replace" => Operation::Replace { path: pointer("path")?, value },
            "move" => Operation::Move { from: pointer("from")?, path: pointer("path")? },
            "copy" => Operation::Copy { from: pointer("from")?, path: pointer("path")? },
            _ => Operation::Test { path: pointer("path")?, value },
        })
    }
}

/// A JSON pointer (RFC 6901): its text and its steps without escapes.
#[derive(Clone, Debug, PartialEq)]
struct Pointer {
    text: String,
    steps: Vec<String>,
}

impl Pointer {
    fn parse(text: &str) -> Result<Pointer, OperationError> {
        let mut parts = text.split('/');
        if parts.next().is_some_and(|before| !before.is_empty()) {
            return Err(OperationError::Pointer(text.to_owned()));
        }
        let steps = parts.map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        Ok(Pointer { text: text.to_owned(), steps })
    }

    fn missing(&self, op: &'static str) -> OperationError {
        OperationError::Path { op, path: self.text.clone() }
    }

    fn no_index(&self, op: &'static str, key: &str) -> OperationError {
        OperationError::Index { op, path: self.text.clone(), key: key.to_owned() }
    }

    /// What holds the value, and the value's key there. The whole document is held by nothing.
    fn holder<'p, 'd>(
        &'p self,
        op: &'static str,
        document: &'d mut Value,
    ) -> Result<(&'d mut Value, &'p str), OperationError> {
        let Some((key, way)) = self.steps.split_last() else { return Err(self.missing(op)) };
        let mut holder = document;
        for step in way {
            let next = match holder {
                Value::Object(fields) => fields.get_mut(step),
                Value::Array(items) => place(step, items.len()).and_then(|index| items.get_mut(index)),
                _ => None,
            };
            holder = next.ok_or_else(|| self.missing(op))?;
        }
        if holder.is_object() || holder.is_array() { Ok((holder, key)) } else { Err(self.missing(op)) }
    }
}

/// The place that an index means in `length` places; negative ones count from the end.
fn place(key: &str, length: usize) -> Option<usize> {
    let index: i64 = key.parse().ok()?;
    let index = if index < 0 { index.checked_add(i64::try_from(length).ok()?)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

/// A patch on its way through a document.
struct Run {
    document: Value,
    copied: usize,
    work: usize,
}

impl Run {
    fn step(&mut self, operation: &Operation) -> Result<(), OperationError> {
        match operation {
            Operation::Add { path, value } => self.add("add", path, value.clone()),
            Operation::Remove { path } => self.remove("remove", path).map(drop),
            Operation::Replace { path, value } => self.replace(path, value),
            Operation::Test { path, value } => self.test(path, value),
            Operation::Move { from, path } => {
                let value = self.remove("move", from)?;
                self.add("move", path, value)
            }
            Operation::Copy { from, path } => {
                let value = self.get("copy", from)?.cloned().unwrap_or(Value::Null);
                self.copied = self.copied.saturating_add(size(&value));
                if self.copied > PATCH_COPY_BYTES {
                    return Err(OperationError::Copies(self.copied));
                }
                self.add("copy", path, value)
            }
        }
    }

    fn charge(&mut self, work: usize) -> Result<(), OperationError> {
        self.work = self.work.saturating_add(work);
        if self.work > PATCH_WORK { Err(OperationError::Work) } else { Ok(()) }
    }

    /// Makes sure that a value fits below a path.
    fn check_depth(&mut self, path: &Pointer, value: &Value) -> Result<(), OperationError> {
        let room = PATCH_DEPTH.checked_sub(path.steps.len()).ok_or(OperationError::Deep)?;
        let mut seen = 0;
        let fits = fits(value, room, &mut seen);
        self.charge(seen)?;
        if fits { Ok(()) } else { Err(OperationError::Deep) }
    }

    /// The value at a path; none where an object lacks the key.
    fn get(&mut self, op: &'static str, path: &Pointer) -> Result<Option<&Value>, OperationError> {
        let (holder, key) = path.holder(op, &mut self.document)?;
        match holder {
            Value::Array(items) => match place(key, items.len()) {
                Some(index) => Ok(items.get(index)),
                None => Err(path.no_index(op, key)),
            },
            holder => Ok(holder.get(key)),
        }
    }

    fn add(&mut self, op: &'static str, path: &Pointer, value: Value) -> Result<(), OperationError> {
        self.check_depth(path, &value)?;
        let (holder, key) = path.holder(op, &mut self.document)?;
        let mut shifted = 0;
        match holder {
            Value::Object(fields) => {
                fields.insert(key.to_owned(), value);
            }
            Value::Array(items) if key == "-" => items.push(value),
            Value::Array(items) => {
                let index = place(key, items.len() + 1).ok_or_else(|| path.no_index(op, key))?;
                shifted = items.len() - index;
                items.insert(index, value);
            }
            _ => return Err(path.missing(op)),
        }
        self.charge(shifted)
    }

    fn remove(&mut self, op: &'static str, path: &Pointer) -> Result<Value, OperationError> {
        let (holder, key) = path.holder(op, &mut self.document)?;
        match holder {
            Value::Object(fields) => fields.remove(key).ok_or_else(|| OperationError::Key {
                op,
                path: path.text.clone(),
                key: key.to_owned(),
            }),
            Value::Array(items) => {
                let index = place(key, items.len()).ok_or_else(|| path.no_index(op, key))?;
                let shifted = items.len() - index;
                let value = items.remove(index);
                self.charge(shifted)?;
                Ok(value)
            }
            _ => Err(path.missing(op)),
        }
    }

    fn replace(&mut self, path: &Pointer, value: &Value) -> Result<(), OperationError> {
        self.check_depth(path, value)?;
        if path.steps.is_empty() {
            if !value.is_object() && !value.is_array() {
                return Err(OperationError::Root);
            }
            self.document = value.clone();
            return Ok(());
        }
        let (holder, key) = path.holder("replace", &mut self.document)?;
        match holder {
            Value::Object(fields) => {
                fields.insert(key.to_owned(), value.clone());
                Ok(())
            }
            Value::Array(items) => match place(key, items.len()).and_then(|index| items.get_mut(index)) {
                Some(item) => {
                    *item = value.clone();
                    Ok(())
                }
                None => Err(path.no_index("replace", key)),
            },
            _ => Err(path.missing("replace")),
        }
    }

    fn test(&mut self, path: &Pointer, value: &Value) -> Result<(), OperationError> {
        let found = if path.steps.is_empty() { Some(&self.document) } else { self.get("test", path)? };
        if found.unwrap_or(&Value::Null) == value {
            return Ok(());
        }
        Err(OperationError::Test(path.text.clone()))
    }
}

/// Whether a value has no more than so many levels below it; counts what it looks at.
fn fits(value: &Value, room: usize, seen: &mut usize) -> bool {
    *seen += 1;
    match value {
        Value::Array(items) => room > 0 && items.iter().all(|item| fits(item, room - 1, seen)),
        Value::Object(fields) => room > 0 && fields.values().all(|field| fits(field, room - 1, seen)),
        _ => true,
    }
}

/// About how many bytes a value has as JSON; escapes do not count.
fn size(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().fold(2, |sum, item| sum + size(item) + 1),
        Value::Object(fields) => fields.iter().fold(2, |sum, (key, value)| sum + key.len() + 4 + size(value)),
    }
}

#[cfg(test)]
mod tests;
