//! YAML: from text to trees.
//!
//! Owns splitting a text into documents as kubectl does, and building a tree from the parser's events: keys,
//! merges, anchors. What a scalar means is decided in `scalar.rs`.
//!
//! Invariant: an alias costs nothing but a reference, and a merge is paid for out of one budget a manifest.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::Value;

use super::node::{Content, Entry, Node, Segment};
use super::scalar::{Scalar, Tag, resolve};
use super::{Fault, ManifestError, Problem};
use crate::limits::{MANIFEST_ALIAS_BYTES, MANIFEST_DEPTH, MANIFEST_DOCUMENTS, MANIFEST_VALUES};

/// The trees of all documents that are not empty.
pub(super) fn documents(text: &str) -> Result<Vec<Arc<Node>>, ManifestError> {
    let mut nodes = Vec::new();
    let mut spent = Spent::default();
    let mut rest = text;
    let mut first_line = 1;
    loop {
        let (part, separator) = next_part(rest);
        read_part(part, first_line, &mut spent, &mut nodes)
            .map_err(|fault| fault.in_document(nodes.len() + 1))?;
        let Some(separator) = separator else { return Ok(nodes) };
        first_line += part.matches('\n').count();
        let trailing = separator[3..].trim();
        if !trailing.is_empty() && !trailing.starts_with('#') {
            let fault = Fault::at(first_line, Problem::Separator(trailing.to_owned()));
            return Err(fault.in_document(nodes.len() + 1));
        }
        rest = &rest[part.len() + separator.len()..];
        first_line += 1;
    }
}

/// The keys of a document that are there twice, with their lines.
pub(super) type Doubled = Vec<(usize, String)>;

/// The tree of a text that is one document, and the keys that are in it twice.
pub(super) fn document(text: &str) -> Result<(Option<Arc<Node>>, Doubled), ManifestError> {
    let mut nodes = Vec::new();
    let mut spent = Spent { doubled: Some(Vec::new()), ..Spent::default() };
    read_part(text, 1, &mut spent, &mut nodes).map_err(|fault| fault.in_document(1))?;
    Ok((nodes.into_iter().next(), spent.doubled.unwrap_or_default()))
}

/// The text before the next line that begins with `---`, and that line.
fn next_part(text: &str) -> (&str, Option<&str>) {
    let start = if text.starts_with("---") { Some(0) } else { text.find("\n---").map(|at| at + 1) };
    let Some(start) = start else { return (text, None) };
    let (part, rest) = text.split_at(start);
    let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
    (part, Some(&rest[..end]))
}

/// What the documents so far have cost, against the limits of the whole manifest.
#[derive(Default)]
struct Spent {
    /// Values as written, merged entries counted with them.
    values: usize,
    /// Values once aliases are written out.
    expanded: u64,
    /// Bytes that aliases have added.
    aliased: u64,
    /// Keys that are there twice, with their lines, where they are allowed: the last counts.
    doubled: Option<Vec<(usize, String)>>,
}

impl Spent {
    /// Pays for a document that will be written out.
    fn pay(&mut self, node: &Node, text: usize) -> Result<(), Fault> {
        self.expanded = self.expanded.saturating_add(node.values);
        self.aliased = self.aliased.saturating_add(node.bytes.saturating_sub(text as u64));
        if self.expanded > MANIFEST_VALUES as u64 || self.aliased > MANIFEST_ALIAS_BYTES as u64 {
            return Err(Fault::at(node.line, Problem::Aliasing));
        }
        Ok(())
    }
}

/// Reads one part of the text, which holds one document or, where one ends with `...`, several.
fn read_part(
    part: &str,
    first_line: usize,
    spent: &mut Spent,
    nodes: &mut Vec<Arc<Node>>,
) -> Result<(), Fault> {
    if part.trim().is_empty() {
        return Ok(());
    }
    let parser = Parser::new_from_str(part);
    let mut reader = Reader { parser, before: first_line - 1, anchors: BTreeMap::new(), spent };
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(()),
            (Event::DocumentStart(_), _) => {
                reader.anchors.clear();
                let (event, span) = reader.next()?;
                let node = reader.node(event, span, 0)?;
                if matches!(node.content, Content::Scalar(Value::Null)) {
                    continue;
                }
                reader.spent.pay(&node, part.len())?;
                if nodes.len() >= MANIFEST_DOCUMENTS {
                    return Err(Fault::at(node.line, Problem::ManyDocuments));
                }
                nodes.push(node);
            }
            _ => {}
        }
    }
}

struct Reader<'a, 's> {
    parser: Parser<'a, StrInput<'a>>,
    /// How many lines lie before this part.
    before: usize,
    /// The values that have an anchor and are complete.
    anchors: BTreeMap<usize, Arc<Node>>,
    spent: &'s mut Spent,
}

impl<'a> Reader<'a, '_> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&self, error: &ScanError) -> Fault {
        Fault::at(self.before + error.marker().line(), Problem::Syntax(error.info().to_owned()))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Arc<Node>, Fault> {
        let line = self.before + span.start.line();
        self.spent.values += 1;
        if self.spent.values > MANIFEST_VALUES {
            return Err(Fault::at(line, Problem::ManyValues));
        }
        if depth > MANIFEST_DEPTH {
            return Err(Fault::at(line, Problem::Deep));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                return known.ok_or_else(|| Fault::at(line, Problem::Loop));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar =
                    understand(&text, style, tag.as_deref()).map_err(|problem| Fault::at(line, problem))?;
                let value = scalar.into_value().map_err(|problem| Fault::at(line, problem))?;
                (Node::scalar(line, value), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(line, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(line, depth)?, anchor),
            // The parser gives a value wherever one can stand.
            _ => (Node::scalar(line, Value::Null), 0),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        Ok(node)
    }

    fn list(&mut self, line: usize, depth: usize) -> Result<Arc<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Node::list(line, items);
            }
            let index = items.len();
            items.push(
                self.node(event, span, depth + 1).map_err(|fault| fault.within(Segment::Index(index)))?,
            );
        }
    }

    fn map(&mut self, line: usize, depth: usize) -> Result<Arc<Node>, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut known = HashSet::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                break;
            }
            let at = self.before + span.start.line();
            let key = self.key(event, at, depth)?;
            let (event, span) = self.next()?;
            let within = |fault: Fault| fault.within(Segment::Key(key.as_deref().unwrap_or("<<").into()));
            let node = self.node(event, span, depth + 1).map_err(within)?;
            match key {
                None => merges.push((at, node)),
                Some(key) => {
                    if !known.insert(key.clone()) {
                        if let Some(doubled) = &mut self.spent.doubled {
                            doubled.push((at, key.clone()));
                            entries.retain(|entry| entry.key != key);
                            entries.push(Entry { key, line: at, node });
                            continue;
                        }
                        let fault = Fault::at(at, Problem::DuplicateKey(key.clone()));
                        return Err(fault.within(Segment::Key(key.into())));
                    }
                    entries.push(Entry { key, line: at, node });
                }
            }
        }
        for (at, node) in merges {
            self.merge(at, &node, &mut entries, &mut known)?;
        }
        Node::map(line, entries)
    }

    /// A key's text, or none for a merge.
    fn key(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Option<String>, Fault> {
        let fault = |problem| Fault::at(line, problem);
        let Event::Scalar(text, style, anchor, tag) = event else {
            let node = self.node(event, Span::default(), depth + 1)?;
            return match &node.content {
                Content::Scalar(Value::String(text)) => Ok(Some(text.clone())),
                Content::Scalar(Value::Null) => Err(fault(Problem::Key("null"))),
                Content::Scalar(value) => Ok(Some(value.to_string())),
                Content::List(_) => Err(fault(Problem::Key("a list"))),
                Content::Map(_) => Err(fault(Problem::Key("a mapping"))),
            };
        };
        let tag = tag.as_deref();
        let is_merge_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "merge");
        if text == "<<" && (is_merge_tag || style == ScalarStyle::Plain && tag.is_none()) {
            return Ok(None);
        }
        let scalar = understand(&text, style, tag).map_err(fault)?;
        if anchor != 0 {
            let value = scalar.clone().into_value().map_err(fault)?;
            self.anchors.insert(anchor, Node::scalar(line, value));
        }
        scalar.into_key().map(Some).map_err(fault)
    }

    /// Adds the entries of a merged mapping that are not there yet: what is written in place counts more, and
    /// of several mappings the first.
    fn merge(
        &mut self,
        line: usize,
        node: &Node,
        entries: &mut Vec<Entry>,
        known: &mut HashSet<String>,
    ) -> Result<(), Fault> {
        let sources: Vec<&Node> = match &node.content {
            Content::Map(_) => vec![node],
            Content::List(items) => items.iter().map(Arc::as_ref).collect(),
            Content::Scalar(_) => return Err(Fault::at(line, Problem::Merge)),
        };
        for source in sources {
            let Content::Map(merged) = &source.content else { return Err(Fault::at(line, Problem::Merge)) };
            self.spent.values += merged.len() + 1;
            if self.spent.values > MANIFEST_VALUES {
                return Err(Fault::at(line, Problem::Aliasing));
            }
            for entry in merged {
                if known.insert(entry.key.clone()) {
                    entries.push(entry.clone());
                }
            }
        }
        Ok(())
    }
}

fn understand(text: &str, style: ScalarStyle, tag: Option<&saphyr_parser::Tag>) -> Result<Scalar, Problem> {
    let tag = match tag {
        None => Tag::Absent,
        Some(tag) if tag.is_yaml_core_schema() => Tag::Core(&tag.suffix),
        Some(_) => Tag::Foreign,
    };
    resolve(text, style == ScalarStyle::Plain, tag)
}
