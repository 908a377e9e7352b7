//! What merging must know of a type: which parts are owned alone and which as a whole, by what the items of a list
//! are told apart, and how a strategic merge patch treats a field.
//!
//! Owns [`Shape`], its two sources (the `table` of the built-in types and the schema of a custom resource) and
//! the way down it ([`Node`]). Does not know how objects are merged: `api::fields` and `api::patch` do.
//!
//! Invariant: a shape is immutable, and every type it refers to is in it, so that a walk never fails; types may refer
//! to themselves.

mod schema;
mod table;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

/// The place of a type among those of its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// What a single value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// Any of these.
    Any,
}

/// A type: one of scalar, list and map, or several where a value of any form is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Type {
    /// As a single value.
    pub scalar: Option<Scalar>,
    /// As a list.
    pub list: Option<List>,
    /// As a map or structure.
    pub map: Option<Map>,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq)]
pub enum ListKind {
    /// Not at all: the list is owned as a whole.
    Atomic,
    /// By their values.
    Set,
    /// By these fields.
    Map(Box<[Arc<str>]>),
}

/// A list.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// How its items are told apart.
    pub kind: ListKind,
    /// What they are.
    pub item: TypeId,
}

/// A map or a structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The structure's name in the API; empty for maps and for those of custom resources.
    pub name: Arc<str>,
    /// It is owned as a whole.
    pub atomic: bool,
    fields: HashMap<Arc<str>, Field>,
    /// What fields are that are not declared; `None` where there may be none.
    pub rest: Option<TypeId>,
}

impl Map {
    /// The declared field of this name.
    pub fn declared(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// What a field of this name is, declared or not.
    pub fn type_of(&self, name: &str) -> Option<TypeId> {
        self.fields.get(name).map(|field| field.kind).or(self.rest)
    }

    /// Whether any field is declared.
    pub fn is_structure(&self) -> bool {
        !self.fields.is_empty()
    }

    fn add(&mut self, field: Field) {
        self.fields.insert(field.name.clone(), field);
    }
}

/// A declared field of a structure.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: TypeId,
    /// It is written, with its zero, even where it was not given.
    pub always: bool,
    /// What it counts as where it is a list's key and left out.
    pub default: Option<Value>,
    /// How a strategic merge patch treats it.
    pub patch: PatchRule,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchRule {
    /// The patch's value takes the place of a map that would be merged otherwise.
    pub replace: bool,
    /// The lists are merged.
    pub merge: bool,
    /// By which field the items of merged lists are told apart.
    pub key: Option<Arc<str>>,
}

/// Types that refer to each other.
#[derive(Debug)]
struct Shapes {
    /// Types that come before these.
    base: Option<Arc<Shapes>>,
    types: Vec<Type>,
    kinds: HashMap<(String, String), TypeId>,
}

/// Anything: maps are owned field by field, lists as a whole.
const DEDUCED: TypeId = TypeId(0);
/// Anything, owned as a whole.
const OPAQUE: TypeId = TypeId(1);
const TEXT: TypeId = TypeId(2);
const NUMBER: TypeId = TypeId(3);
const BOOL: TypeId = TypeId(4);
const ANY: TypeId = TypeId(5);

impl Shapes {
    fn new() -> Shapes {
        let scalar = |scalar| Type { scalar: Some(scalar), ..Type::default() };
        let any = |atomic, of| Type {
            scalar: Some(Scalar::Any),
            list: Some(List { kind: ListKind::Atomic, item: OPAQUE }),
            map: Some(Map { atomic, rest: Some(of), ..Map::default() }),
        };
        let types = vec![
            any(false, DEDUCED),
            any(true, OPAQUE),
            scalar(Scalar::Text),
            scalar(Scalar::Number),
            scalar(Scalar::Bool),
            scalar(Scalar::Any),
        ];
        Shapes { base: None, types, kinds: HashMap::new() }
    }

    fn over(base: Arc<Shapes>) -> Shapes {
        Shapes { base: Some(base), types: Vec::new(), kinds: HashMap::new() }
    }

    fn base_len(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.types.len())
    }

    fn add(&mut self, made: Type) -> TypeId {
        self.types.push(made);
        TypeId((self.base_len() + self.types.len()) as u32 - 1)
    }

    fn get(&self, id: TypeId) -> &Type {
        let at = id.0 as usize;
        match &self.base {
            Some(base) if at < base.types.len() => &base.types[at],
            _ => &self.types[at - self.base_len()],
        }
    }
}

/// The shape of one kind's objects. Cheap to clone.
#[derive(Clone)]
pub struct Shape {
    shapes: Arc<Shapes>,
    root: TypeId,
    /// Of a custom resource: its objects are kept as they are written.
    custom: bool,
}

impl Shape {
    /// The shape of a built-in kind; `None` for one that Kubernetes 1.36 does not have.
    pub fn builtin(api_version: &str, kind: &str) -> Option<Shape> {
        let (shapes, _) = table::builtin();
        let root = *shapes.kinds.get(&(api_version.to_owned(), kind.to_owned()))?;
        Some(Shape { shapes: shapes.clone(), root, custom: false })
    }

    /// The shape of a custom resource, from the OpenAPI v3 schema of one of its versions with the
    /// `x-kubernetes-` words. Where there is none, it is [`Shape::unknown`].
    pub fn of_schema(schema: &Value) -> Shape {
        schema::read(schema)
    }

    /// The shape of objects of which nothing is known but their metadata: maps are owned field by field, lists as a
    /// whole.
    pub fn unknown() -> Shape {
        static UNKNOWN: OnceLock<Shape> = OnceLock::new();
        UNKNOWN.get_or_init(|| schema::read(&Value::Null)).clone()
    }

    /// Whether it is a custom resource's.
    pub fn is_custom(&self) -> bool {
        self.custom
    }

    /// Where a walk begins.
    pub fn root(&self) -> Node<'_> {
        Node { shapes: &self.shapes, id: self.root }
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shape({:?} of {} types)", self.root, self.shapes.types.len())
    }
}

/// A place on the way down a shape.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    shapes: &'a Shapes,
    id: TypeId,
}

/// As what a value of a type is taken.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// A map or structure.
    Map(&'a Map),
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(&'a List),
}

impl<'a> Node<'a> {
    /// The type itself.
    pub fn get(self) -> &'a Type {
        self.shapes.get(self.id)
    }

    /// The type of another place.
    pub fn at(self, id: TypeId) -> Node<'a> {
        Node { id, ..self }
    }

    /// Whether both are the same type of the same shape.
    pub fn is(self, other: Node<'_>) -> bool {
        self.id == other.id && std::ptr::eq(self.shapes, other.shapes)
    }

    /// A number by which the type is known within its shape.
    pub fn number(self) -> u32 {
        self.id.0
    }

    /// As what this value is taken: as itself where the type allows it, else as what the type is in the first place.
    pub fn form(self, value: Option<&Value>) -> Form<'a> {
        let found = self.get();
        let fits = match value {
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => found.scalar.map(Form::Scalar),
            Some(Value::Array(_)) => found.list.as_ref().map(Form::List),
            Some(Value::Object(_)) => found.map.as_ref().map(Form::Map),
            Some(Value::Null) | None => None,
        };
        let first = || {
            let map = found.map.as_ref().map(Form::Map);
            let list = || found.list.as_ref().map(Form::List);
            map.or(found.scalar.map(Form::Scalar)).or_else(list)
        };
        fits.or_else(first).unwrap_or(Form::Scalar(Scalar::Any))
    }

    /// The field of a structure or map; `None` where there may be none of that name.
    pub fn field(self, name: &str) -> Option<Node<'a>> {
        Some(self.at(self.get().map.as_ref()?.type_of(name)?))
    }

    /// What is written of the type where nothing was given.
    pub fn zero(self) -> Value {
        let found = self.get();
        match (&found.map, found.scalar) {
            (Some(_), _) => Value::Object(serde_json::Map::new()),
            (None, Some(Scalar::Text)) => Value::from(""),
            (None, Some(Scalar::Number)) => Value::from(0),
            (None, Some(Scalar::Bool)) => Value::from(false),
            (None, _) => Value::Null,
        }
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
