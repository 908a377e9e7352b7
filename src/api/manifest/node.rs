//! The tree of one document: values with their lines.
//!
//! Owns the tree's shape and measures. Aliases share their node, so the tree is as large as the text, and
//! what it would be when written out is known before anything is copied.
//!
//! Invariant: a node's measures are those of its expansion, and its depth is within the limit.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::{Fault, Problem};
use crate::limits::MANIFEST_DEPTH;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

impl Segment<'_> {
    pub(super) fn into_owned(self) -> Segment<'static> {
        match self {
            Segment::Key(key) => Segment::Key(Cow::Owned(key.into_owned())),
            Segment::Index(index) => Segment::Index(index),
        }
    }
}

/// A value with the line that it begins on.
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
    depth: usize,
    /// How many values it has, itself counted, once aliases are written out.
    pub(super) values: u64,
    /// How many bytes of text its keys and strings have, once aliases are written out.
    pub(super) bytes: u64,
}

pub(super) enum Content {
    /// Neither list nor mapping.
    Scalar(Value),
    List(Vec<Arc<Node>>),
    /// In the order of the text, each key once.
    Map(Vec<Entry>),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The key's line.
    pub(super) line: usize,
    pub(super) node: Arc<Node>,
}

impl Node {
    pub(super) fn scalar(line: usize, value: Value) -> Arc<Node> {
        let bytes = value.as_str().map_or(0, str::len) as u64;
        Arc::new(Node { line, content: Content::Scalar(value), depth: 0, values: 1, bytes })
    }

    pub(super) fn list(line: usize, items: Vec<Arc<Node>>) -> Result<Arc<Node>, Fault> {
        let bytes = total(items.iter().map(|node| node.bytes));
        let values = total(items.iter().map(|node| node.values));
        let depth = items.iter().map(|node| node.depth).max();
        Node::holding(line, Content::List(items), depth, values, bytes)
    }

    pub(super) fn map(line: usize, entries: Vec<Entry>) -> Result<Arc<Node>, Fault> {
        let bytes =
            total(entries.iter().map(|entry| entry.node.bytes.saturating_add(entry.key.len() as u64)));
        let values = total(entries.iter().map(|entry| entry.node.values));
        let depth = entries.iter().map(|entry| entry.node.depth).max();
        Node::holding(line, Content::Map(entries), depth, values, bytes)
    }

    fn holding(
        line: usize,
        content: Content,
        held: Option<usize>,
        values: u64,
        bytes: u64,
    ) -> Result<Arc<Node>, Fault> {
        let depth = held.unwrap_or(0) + 1;
        if depth > MANIFEST_DEPTH {
            return Err(Fault::at(line, Problem::Deep));
        }
        Ok(Arc::new(Node { line, content, depth, values: values.saturating_add(1), bytes }))
    }

    /// The items of a list; nothing for other values.
    pub(super) fn items(&self) -> &[Arc<Node>] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The value of a mapping's key.
    pub(super) fn field(&self, key: &str) -> Option<&Arc<Node>> {
        self.entry(key).map(|entry| &entry.node)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The line of what lies at the end of a path, or as far along it as there is anything.
    pub(super) fn line_of(&self, path: &[Segment<'_>]) -> usize {
        let (mut node, mut line) = (self, self.line);
        for segment in path {
            let found = match (segment, &node.content) {
                (Segment::Key(key), Content::Map(_)) => {
                    node.entry(key).map(|entry| (entry.line, entry.node.as_ref()))
                }
                (segment, Content::List(items)) => {
                    let index = match segment {
                        Segment::Index(index) => Some(*index),
                        Segment::Key(key) => key.parse().ok(),
                    };
                    index.and_then(|index| items.get(index)).map(|node| (node.line, node.as_ref()))
                }
                _ => None,
            };
            let Some((at, next)) = found else { break };
            (line, node) = (at, next);
        }
        line
    }

    /// The value with aliases written out. The caller has looked at the measures.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(|node| node.to_value()).collect()),
            Content::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_value())).collect(),
            ),
        }
    }
}

fn total(measures: impl Iterator<Item = u64>) -> u64 {
    measures.fold(0, u64::saturating_add)
}
