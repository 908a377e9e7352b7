//! The shapes of the built-in types: reads `table.txt`, whose head says where its facts come from and how it is
//! written.
//!
//! Invariant: the table is read once, and a test reads it without a complaint; a line that cannot be read would leave its
//! type open (anything), never fail.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{
    ANY, BOOL, DEDUCED, Field, List, ListKind, Map, NUMBER, OPAQUE, PatchRule, Shapes, TEXT, Type, TypeId,
};

const TABLE: &str = include_str!("table.txt");

/// The built-in types, and which of them is that of all metadata. They never change, so all registries share them.
pub(super) fn builtin() -> &'static (Arc<Shapes>, TypeId) {
    static BUILTIN: OnceLock<(Arc<Shapes>, TypeId)> = OnceLock::new();
    BUILTIN.get_or_init(|| {
        let (shapes, meta) = read(TABLE);
        (Arc::new(shapes), meta)
    })
}

struct Reader<'a> {
    shapes: Shapes,
    names: HashMap<&'a str, TypeId>,
    /// The copies of types that a field owns as a whole.
    wholes: HashMap<&'a str, TypeId>,
}

/// The types of a table, and that of metadata.
fn read(text: &str) -> (Shapes, TypeId) {
    let lines = || text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut reader = Reader { shapes: Shapes::new(), names: HashMap::new(), wholes: HashMap::new() };
    // Types refer to later ones, so each gets its place before any is read.
    for line in lines() {
        let name = line.split(' ').next().unwrap_or_default().trim_end_matches('!');
        let id = reader.shapes.add(Type::default());
        reader.names.insert(name, id);
    }
    for line in lines() {
        reader.line(line);
    }
    let meta = reader.names.get("meta.v1.ObjectMeta").copied().unwrap_or(DEDUCED);
    for (name, id) in std::mem::take(&mut reader.wholes) {
        let mut whole = reader.shapes.get(reader.names[name]).clone();
        if let Some(map) = &mut whole.map {
            map.atomic = true;
        }
        reader.shapes.types[id.0 as usize] = whole;
    }
    (reader.shapes, meta)
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) {
        let mut words = line.split(' ');
        let head = words.next().unwrap_or_default();
        let id = self.names[head.trim_end_matches('!')];
        let name = head.trim_end_matches('!').rsplit('.').next().unwrap_or_default();
        let mut map = Map { name: Arc::from(name), atomic: head.ends_with('!'), ..Map::default() };
        for word in words {
            if let Some((api_version, kind)) = word.strip_prefix('=').and_then(|word| word.split_once(',')) {
                self.shapes.kinds.insert((api_version.to_owned(), kind.to_owned()), id);
            } else if let Some(field) = self.field(word) {
                map.add(field);
            }
        }
        self.shapes.types[id.0 as usize] = Type { map: Some(map), ..Type::default() };
    }

    fn field(&mut self, word: &'a str) -> Option<Field> {
        let (name, rest) = word.split_once(':')?;
        let (rest, default) = match rest.split_once('"') {
            Some((rest, default)) => (rest, Some(default)),
            None => (rest, None),
        };
        let (rest, patch) = match rest.split_once(';') {
            Some((rest, patch)) => (rest, patch_rule(patch)),
            None => (rest, PatchRule::default()),
        };
        let (always, rest) = match rest.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let kind = self.kind(rest);
        let default = match default {
            Some(number) if kind == NUMBER => number.parse::<i64>().ok().map(Value::from),
            Some(text) => Some(Value::from(text)),
            None if !always => None,
            None => match kind {
                TEXT => Some(Value::from("")),
                NUMBER => Some(Value::from(0)),
                BOOL => Some(Value::from(false)),
                _ => None,
            },
        };
        Some(Field { name: Arc::from(name), kind, always, default, patch })
    }

    fn kind(&mut self, text: &'a str) -> TypeId {
        let (first, rest) = text.split_at(text.len().min(1));
        match first {
            "s" => TEXT,
            "n" => NUMBER,
            "b" => BOOL,
            "*" => ANY,
            "?" => OPAQUE,
            "@" => self.reference(rest),
            "[" => {
                let (kind, item) = match (rest.strip_prefix('='), rest.split_once('|')) {
                    (Some(item), _) => (ListKind::Set, item),
                    (None, Some((keys, item))) => {
                        (ListKind::Map(keys.split(',').map(Arc::from).collect()), item)
                    }
                    (None, None) => (ListKind::Atomic, rest),
                };
                let item = self.kind(item);
                self.shapes.add(Type { list: Some(List { kind, item }), ..Type::default() })
            }
            "{" => {
                let (atomic, of) = match rest.strip_prefix('!') {
                    Some(of) => (true, of),
                    None => (false, rest),
                };
                let map = Map { atomic, rest: Some(self.kind(of)), ..Map::default() };
                self.shapes.add(Type { map: Some(map), ..Type::default() })
            }
            _ => DEDUCED,
        }
    }

    fn reference(&mut self, name: &'a str) -> TypeId {
        match name.strip_suffix('!') {
            None => self.names.get(name).copied().unwrap_or(DEDUCED),
            Some(name) if self.names.contains_key(name) => match self.wholes.get(name) {
                Some(found) => *found,
                None => {
                    let id = self.shapes.add(Type::default());
                    self.wholes.insert(name, id);
                    id
                }
            },
            Some(_) => OPAQUE,
        }
    }
}

fn patch_rule(text: &str) -> PatchRule {
    let (flags, key) = match text.split_once('=') {
        Some((flags, key)) => (flags, Some(Arc::from(key))),
        None => (text, None),
    };
    // Retaining keys is asked for by the patch itself; the mark on the field only tells those who make patches.
    PatchRule { replace: flags.contains('x'), merge: flags.contains('m'), key }
}
