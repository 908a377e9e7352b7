//! Takes out of an object what its schema does not specify.
//!
//! Invariant: apiVersion, kind and metadata of the object and of embedded ones are never touched.

use serde_json::{Map, Value};

use super::{Additional, Schema};

/// Prunes the fields of a custom resource: everything but apiVersion, kind and metadata. Answers the paths of what
/// went.
pub fn prune_root(fields: &mut Map<String, Value>, schema: &Schema) -> Vec<String> {
    let mut walk = Walk { path: String::new(), gone: Vec::new() };
    if schema.preserve {
        walk.inside_preserved_map(fields, schema, true);
    } else {
        walk.map(fields, schema, true);
    }
    walk.gone.sort();
    walk.gone
}

/// Prunes any value by its schema.
pub fn prune(value: &mut Value, schema: &Schema) {
    Walk { path: String::new(), gone: Vec::new() }.value(value, Some(schema));
}

fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

struct Walk {
    path: String,
    gone: Vec<String>,
}

impl Walk {
    fn within(&mut self, name: &str, walk: impl FnOnce(&mut Walk)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        walk(self);
        self.path.truncate(length);
    }

    fn at(&mut self, index: usize, walk: impl FnOnce(&mut Walk)) {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        walk(self);
        self.path.truncate(length);
    }

    fn record(&mut self, name: &str) {
        self.gone.push(match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.path),
        });
    }

    fn value(&mut self, value: &mut Value, schema: Option<&Schema>) {
        if let Some(schema) = schema.filter(|schema| schema.preserve) {
            return self.inside_preserved(value, schema);
        }
        match value {
            Value::Object(fields) => match schema {
                Some(schema) => self.map(fields, schema, schema.embedded),
                None => {
                    fields.keys().for_each(|name| self.record(name));
                    fields.clear();
                }
            },
            Value::Array(items) => {
                let inner = schema.and_then(|schema| schema.items.as_deref());
                for (index, item) in items.iter_mut().enumerate() {
                    self.at(index, |walk| walk.value(item, inner));
                }
            }
            _ => {}
        }
    }

    fn map(&mut self, fields: &mut Map<String, Value>, schema: &Schema, embedded: bool) {
        let mut gone = Vec::new();
        for (name, value) in fields.iter_mut() {
            if embedded && is_meta(name) {
                continue;
            }
            match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => self.within(name, |walk| walk.value(value, Some(property))),
                (None, Some(Additional::Schema(additional))) => {
                    self.within(name, |walk| walk.value(value, Some(additional)));
                }
                (None, Some(Additional::Any(_))) => self.within(name, |walk| walk.value(value, None)),
                (None, None) => gone.push(name.clone()),
            }
        }
        for name in gone {
            self.record(&name);
            fields.remove(&name);
        }
    }

    fn inside_preserved(&mut self, value: &mut Value, schema: &Schema) {
        match value {
            Value::Object(fields) => self.inside_preserved_map(fields, schema, schema.embedded),
            Value::Array(items) => {
                if let Some(inner) = schema.items.as_deref() {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.at(index, |walk| walk.inside_preserved(item, inner));
                    }
                }
            }
            _ => {}
        }
    }

    /// What is specified is pruned, what is not is kept.
    fn inside_preserved_map(&mut self, fields: &mut Map<String, Value>, schema: &Schema, embedded: bool) {
        for (name, value) in fields.iter_mut() {
            if embedded && is_meta(name) {
                continue;
            }
            match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => self.within(name, |walk| walk.value(value, Some(property))),
                (None, Some(Additional::Schema(additional))) => {
                    self.within(name, |walk| walk.value(value, Some(additional)));
                }
                (None, Some(Additional::Any(_))) => self.within(name, |walk| walk.value(value, None)),
                (None, None) => {}
            }
        }
    }
}
