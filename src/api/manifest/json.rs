//! JSON: from text to trees.
//!
//! Owns the grammar and the lines; single strings and numbers are left to `serde_json`. Several values may
//! follow one another, as kubectl allows.
//!
//! Invariant: the reader goes through the text once, and its recursion ends at the depth limit.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::node::{Entry, Node, Segment};
use super::scalar::float;
use super::{Fault, ManifestError, Problem};
use crate::limits::{MANIFEST_DEPTH, MANIFEST_DOCUMENTS, MANIFEST_VALUES};

/// The trees of all values in the text.
pub(super) fn documents(text: &str) -> Result<Vec<Arc<Node>>, ManifestError> {
    let mut reader = Reader { text, at: 0, line: 1, values: 0 };
    let mut nodes = Vec::new();
    loop {
        reader.skip_space();
        if reader.at == text.len() {
            return Ok(nodes);
        }
        let node = reader.value(0).map_err(|fault| fault.in_document(nodes.len() + 1))?;
        if nodes.len() >= MANIFEST_DOCUMENTS {
            return Err(Fault::at(node.line, Problem::ManyDocuments).in_document(nodes.len() + 1));
        }
        nodes.push(node);
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    values: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault::at(self.line, problem)
    }

    fn expected(&self, what: &str) -> Fault {
        let found = match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("{c:?}"),
            None => "the end of the text".to_owned(),
        };
        self.fault(Problem::Syntax(format!("expected {what}, found {found}")))
    }

    fn take(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Arc<Node>, Fault> {
        self.skip_space();
        self.values += 1;
        if self.values > MANIFEST_VALUES {
            return Err(self.fault(Problem::ManyValues));
        }
        if depth > MANIFEST_DEPTH {
            return Err(self.fault(Problem::Deep));
        }
        let line = self.line;
        match self.peek() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(|text| Node::scalar(line, Value::String(text))),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in
                    [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
                {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(Node::scalar(line, value));
                    }
                }
                Err(self.expected("a value"))
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Arc<Node>, Fault> {
        let line = self.line;
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Node::list(line, items);
        }
        loop {
            let index = items.len();
            items.push(self.value(depth + 1).map_err(|fault| fault.within(Segment::Index(index)))?);
            self.skip_space();
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.take(b']', "',' or ']'")?;
            return Node::list(line, items);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Arc<Node>, Fault> {
        let line = self.line;
        self.at += 1;
        let mut entries = Vec::new();
        let mut known = HashSet::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Node::map(line, entries);
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let at = self.line;
            let key = self.string()?;
            self.take(b':', "':'")?;
            let node =
                self.value(depth + 1).map_err(|fault| fault.within(Segment::Key(key.as_str().into())))?;
            if !known.insert(key.clone()) {
                let fault = Fault::at(at, Problem::DuplicateKey(key.clone()));
                return Err(fault.within(Segment::Key(key.into())));
            }
            entries.push(Entry { key, line: at, node });
            self.skip_space();
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.take(b'}', "',' or '}'")?;
            return Node::map(line, entries);
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(self.fault(Problem::Syntax("a string does not end".to_owned()))),
            }
        }
        let literal = self.text.get(self.at..=end).unwrap_or_default();
        let text = serde_json::from_str(literal).map_err(|_| {
            self.fault(Problem::Syntax("a string has a character or an escape that JSON lacks".into()))
        })?;
        self.at = end + 1;
        Ok(text)
    }

    fn number(&mut self) -> Result<Arc<Node>, Fault> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let literal = &rest[..rest.bytes().position(|byte| !is_part(byte)).unwrap_or(rest.len())];
        let wrong = || self.fault(Problem::Syntax(format!("{literal} is not a number")));
        let mut value: Value = serde_json::from_str(literal).map_err(|_| wrong())?;
        if value.is_f64() {
            // serde_json is fast and off by a bit in the last place; the standard library is exact.
            value = float(literal.parse().map_err(|_| wrong())?).map_err(|problem| self.fault(problem))?;
        }
        self.at += literal.len();
        Ok(Node::scalar(self.line, value))
    }
}
