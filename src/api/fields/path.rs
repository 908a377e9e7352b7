//! The steps of a path to a field: by name, by a list item's keys, by its value, by its index.
//!
//! Owns their order and their two texts: the one that people read (`.spec.ports[port=80]`) and the one of `fieldsV1`
//! (`k:{"port":80}`). Invariant: two steps are equal exactly if their texts are.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;

/// A value that tells an item of a list from others.
#[derive(Clone, Debug)]
pub struct Literal(pub Value);

impl Literal {
    /// Numbers, text, truth, lists, maps, null: upstream's order of values of different kinds.
    fn rank(&self) -> u8 {
        match &self.0 {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
}

impl Ord for Literal {
    fn cmp(&self, other: &Literal) -> Ordering {
        match (&self.0, &other.0) {
            (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
            },
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Null, Value::Null) => Ordering::Equal,
            (a @ (Value::Array(_) | Value::Object(_)), b) if self.rank() == other.rank() => {
                a.to_string().cmp(&b.to_string())
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Literal {
    fn partial_cmp(&self, other: &Literal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Literal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Literal {}

impl Hash for Literal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match &self.0 {
            // 1 and 1.0 are equal, so they hash alike.
            Value::Number(number) => number.as_f64().unwrap_or(0.0).to_bits().hash(state),
            Value::String(text) => text.hash(state),
            Value::Bool(truth) => truth.hash(state),
            other => other.to_string().hash(state),
        }
    }
}

/// What a step goes by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The field of this name.
    Field(Arc<str>),
    /// The item of a list whose fields have these values, sorted by name.
    Key(Box<[(Arc<str>, Literal)]>),
    /// The item of a set.
    Value(Literal),
    /// The item at this place.
    Index(i64),
}

/// One step of a path. Cheap to clone and to compare with itself.
#[derive(Clone, Eq)]
pub struct Element(pub(super) Arc<Step>);

impl Element {
    /// The field of this name.
    pub fn field(name: impl Into<Arc<str>>) -> Element {
        Element(Arc::new(Step::Field(name.into())))
    }

    /// The item of a list with these keys.
    pub fn key(mut keys: Vec<(Arc<str>, Value)>) -> Element {
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Element(Arc::new(Step::Key(keys.into_iter().map(|(name, value)| (name, Literal(value))).collect())))
    }

    /// The item of a set.
    pub fn value(value: Value) -> Element {
        Element(Arc::new(Step::Value(Literal(value))))
    }

    /// What it goes by.
    pub fn step(&self) -> &Step {
        &self.0
    }

    /// The name of the field, if it goes by one.
    pub fn name(&self) -> Option<&str> {
        match &*self.0 {
            Step::Field(name) => Some(name),
            _ => None,
        }
    }

    /// Its text in `fieldsV1`.
    pub fn to_text(&self) -> String {
        match &*self.0 {
            Step::Field(name) => format!("f:{name}"),
            Step::Key(keys) => {
                let keys = keys.iter().map(|(name, value)| {
                    let name = Value::from(&**name);
                    format!("{name}:{}", value.0)
                });
                format!("k:{{{}}}", keys.collect::<Vec<_>>().join(","))
            }
            Step::Value(value) => format!("v:{}", value.0),
            Step::Index(at) => format!("i:{at}"),
        }
    }

    /// Reads the text of `fieldsV1`; `None` for a kind of step that is not known, which is passed over.
    ///
    /// Errors: with a sentence where the text is none.
    pub fn parse(text: &str) -> Result<Option<Element>, String> {
        let (Some(kind), rest) = (text.get(..2), text.get(2..).unwrap_or_default()) else {
            return Err("key must be 2 characters long:".to_owned());
        };
        if !kind.ends_with(':') {
            return Err(format!("missing colon: {text}"));
        }
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|cause| cause.to_string());
        let step = match kind {
            "f:" => Step::Field(Arc::from(rest)),
            "v:" => Step::Value(Literal(json(rest)?)),
            "i:" => Step::Index(rest.parse::<i64>().map_err(|cause| cause.to_string())?),
            "k:" => match json(rest)? {
                Value::Object(keys) => Step::Key(
                    keys.into_iter().map(|(name, value)| (Arc::from(name), Literal(value))).collect(),
                ),
                _ => return Err(format!("an object of keys is expected: {rest}")),
            },
            _ => return Ok(None),
        };
        Ok(Some(Element(Arc::new(step))))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Element) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Element) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Element) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Element {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// As a path shows a value.
fn show(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name}={}", show(value))).collect()
        }
        // Text is quoted as JSON quotes it, which is Go's way too for what can be typed.
        other => other.to_string(),
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Step::Field(name) => write!(f, ".{name}"),
            Step::Key(keys) => {
                let keys = keys.iter().map(|(name, value)| format!("{name}={}", show(&value.0)));
                write!(f, "[{}]", keys.collect::<Vec<_>>().join(","))
            }
            Step::Value(value) => write!(f, "[={}]", show(&value.0)),
            Step::Index(at) => write!(f, "[{at}]"),
        }
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text of a path.
pub fn show_path(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}
