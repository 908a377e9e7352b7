//! The shape of a custom resource, read from its OpenAPI v3 schema.
//!
//! Owns what the `x-kubernetes-` words mean for merging, as upstream converts them. Does not check that the schema
//! is structural. Invariant: whatever the value, a shape comes out; what cannot be read is open.

use std::sync::Arc;

use serde_json::Value;

use super::{
    ANY, BOOL, DEDUCED, Field, List, ListKind, Map, NUMBER, OPAQUE, PatchRule, Shape, Shapes, TEXT, Type,
    TypeId,
};
use crate::limits::SHAPE_DEPTH;

/// The shape that a schema describes.
pub(super) fn read(schema: &Value) -> Shape {
    // Metadata is that of all kinds, so the built-in types come along.
    let (builtin, _) = super::table::builtin();
    let mut shapes = Shapes::over(builtin.clone());
    let root = match schema {
        Value::Object(_) => {
            let mut root = map_type(&mut shapes, schema, false, 0);
            add_object_fields(&mut root);
            root
        }
        _ => {
            let mut root = Map { rest: Some(DEDUCED), ..Map::default() };
            add_object_fields(&mut root);
            root
        }
    };
    let root = shapes.add(Type { map: Some(root), ..Type::default() });
    Shape { shapes: Arc::new(shapes), root, custom: true }
}

/// What every object has.
fn add_object_fields(map: &mut Map) {
    for (name, kind) in [("apiVersion", TEXT), ("kind", TEXT), ("metadata", super::table::builtin().1)] {
        map.add(Field {
            name: Arc::from(name),
            kind,
            always: false,
            default: None,
            patch: PatchRule::default(),
        });
    }
}

fn is_set(schema: &Value, word: &str) -> bool {
    schema[word] == Value::Bool(true)
}

/// The type of a schema. `open`: an enclosing one preserves unknown fields.
fn type_of(shapes: &mut Shapes, schema: &Value, open: bool, depth: usize) -> TypeId {
    if depth > SHAPE_DEPTH {
        return OPAQUE;
    }
    let open = open || is_set(schema, "x-kubernetes-preserve-unknown-fields");
    if is_set(schema, "x-kubernetes-int-or-string") {
        return ANY;
    }
    match schema["type"].as_str() {
        Some("string") => match schema["format"].as_str().unwrap_or_default() {
            "" | "byte" => TEXT,
            _ => ANY,
        },
        Some("integer" | "number") => NUMBER,
        Some("boolean") => BOOL,
        Some("array") => {
            let list = list_type(shapes, schema, open, depth);
            shapes.add(Type { list: Some(list), ..Type::default() })
        }
        Some("object") => {
            let mut map = map_type(shapes, schema, open, depth);
            if is_set(schema, "x-kubernetes-embedded-resource") {
                add_object_fields(&mut map);
            }
            shapes.add(Type { map: Some(map), ..Type::default() })
        }
        Some(_) => ANY,
        None if !schema.is_object() => DEDUCED,
        None => {
            let list = Some(list_type(shapes, schema, open, depth));
            let map = Some(map_type(shapes, schema, open, depth));
            shapes.add(Type { scalar: Some(super::Scalar::Any), list, map })
        }
    }
}

fn list_type(shapes: &mut Shapes, schema: &Value, open: bool, depth: usize) -> List {
    let keys = || {
        let keys = schema["x-kubernetes-list-map-keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter_map(Value::as_str).map(Arc::from).collect::<Box<[Arc<str>]>>()
    };
    let kind = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") if !keys().is_empty() => ListKind::Map(keys()),
        _ => ListKind::Atomic,
    };
    let item = match &schema["items"] {
        items @ Value::Object(_) => type_of(shapes, items, open, depth + 1),
        _ => DEDUCED,
    };
    List { kind, item }
}

fn map_type(shapes: &mut Shapes, schema: &Value, open: bool, depth: usize) -> Map {
    let open = open || is_set(schema, "x-kubernetes-preserve-unknown-fields");
    let mut map = Map { atomic: schema["x-kubernetes-map-type"] == "atomic", ..Map::default() };
    let properties = schema["properties"].as_object();
    for (name, property) in properties.into_iter().flatten() {
        let kind = type_of(shapes, property, open, depth + 1);
        let default = property.get("default").filter(|default| !default.is_null()).cloned();
        let patch = PatchRule::default();
        map.add(Field { name: Arc::from(name.as_str()), kind, always: false, default, patch });
    }
    map.rest = match &schema["additionalProperties"] {
        of @ Value::Object(_) => Some(type_of(shapes, of, open, depth + 1)),
        Value::Bool(true) => Some(DEDUCED),
        Value::Bool(false) => None,
        _ if open || properties.is_none_or(serde_json::Map::is_empty) => Some(DEDUCED),
        _ => None,
    };
    map
}
