//! The registry of kinds: finds a kind's [`Strategy`] by its names, and gives each a small number by which
//! the store keeps its table.
//!
//! Owns the list; the rules of each kind are its own file's. Kinds keep their number for the registry's life.

use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::error::FieldErrors;
use super::object::{Column, Kind, Object, Scope, TermName, Terms};
use super::shape::Shape;

/// The number of a kind in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindId(pub u16);

/// The names and traits of a kind.
#[derive(Clone, Debug)]
pub struct KindInfo {
    /// `apps`; empty for the core.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `deployments`.
    pub plural: String,
    /// `deployment`.
    pub singular: String,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
    /// Where its objects live.
    pub scope: Scope,
    /// Has a status subresource.
    pub has_status: bool,
    /// Carries a generation.
    pub has_generation: bool,
    /// Deletion waits for a grace period.
    pub graceful_deletion: bool,
    /// A deletion that says nothing of its dependents orphans them.
    pub orphans_dependents: bool,
    /// The index terms of its objects.
    pub terms: &'static [TermName],
    /// The terms that users may select by.
    pub selectable_fields: &'static [TermName],
    /// Columns after `Name`.
    pub columns: &'static [Column],
    /// Where its objects keep what the `scale` subresource shows; `None` without one.
    pub scale: Option<ScalePaths>,
}

/// The JSON paths of a scale subresource: `.spec.replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScalePaths {
    /// Where the wanted number stands.
    pub spec_replicas: String,
    /// Where the present number stands.
    pub status_replicas: String,
    /// Where the selector of the pods stands: a text, or a label selector.
    pub label_selector: Option<String>,
}

/// The rules of a kind for objects whose type is known only at run time; see [`Kind`] for each method.
///
/// Objects handed in must be of the kind; others are left alone.
#[allow(missing_docs, reason = "each method is documented at `Kind`")]
pub trait Strategy: Send + Sync {
    fn info(&self) -> &KindInfo;
    /// How its objects are merged and owned. Where nothing is said, maps are owned field by field, lists as a whole.
    fn shape(&self) -> Shape {
        Shape::unknown()
    }
    /// Decodes a body: JSON with or without apiVersion and kind.
    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error>;
    /// Decodes a JSON value; a field of the wrong type is named.
    fn decode_value(&self, value: serde_json::Value) -> Result<Box<dyn Object>, WrongField>;
    /// Decodes a JSON value as a user wrote it: a field of the wrong type or one that the kind has not is
    /// named.
    fn check_fields(&self, value: &serde_json::Value) -> Result<(), WrongField>;
    /// Decodes a JSON value and names every field that the kind has not, in the order of the value.
    fn decode_fields(&self, value: serde_json::Value) -> Result<(Box<dyn Object>, Vec<String>), WrongField> {
        Ok((self.decode_value(value)?, Vec::new()))
    }
    /// An object with nothing in it.
    fn empty(&self) -> Box<dyn Object>;
    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String>;
    fn set_defaults(&self, object: &mut dyn Object);
    fn prepare_create(&self, object: &mut dyn Object);
    fn prepare_update(&self, object: &mut dyn Object, old: &dyn Object);
    fn prepare_status(&self, object: &mut dyn Object, old: &dyn Object);
    fn stamp(&self, object: &mut dyn Object, old: Option<&dyn Object>, now: Timestamp) {
        let _ = (object, old, now);
    }
    fn canonicalise(&self, object: &mut dyn Object);
    fn validate(&self, object: &dyn Object, errors: &mut FieldErrors);
    fn validate_create(&self, object: &dyn Object, errors: &mut FieldErrors);
    fn validate_update(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors);
    fn validate_status(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors);
    fn moves_generation(&self, object: &dyn Object, old: &dyn Object) -> bool;
    fn terms(&self, object: &dyn Object, terms: &mut Terms);
    fn grace_period(&self, object: &dyn Object, asked: Option<i64>) -> i64;
    fn held_back(&self, object: &dyn Object) -> bool;
    fn mark_deleting(&self, object: &mut dyn Object);
    fn row(&self, object: &dyn Object, now: Timestamp) -> Vec<String>;
    /// Whether both are equal in every field.
    fn same(&self, a: &dyn Object, b: &dyn Object) -> bool;
}

/// A field that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongField {
    /// Its path: `spec.template.spec.containers[0].name`.
    pub field: String,
    /// What is wrong.
    pub cause: String,
}

impl std::fmt::Display for WrongField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.cause)
    }
}

/// The first field of `given` that `known`, the same object decoded and encoded again, has lost.
fn unknown_field(given: &Value, known: &Value, path: &mut String) -> Option<String> {
    let length = path.len();
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(name, value)| {
            if length > 0 {
                path.push('.');
            }
            path.push_str(name);
            let found = match known.get(name) {
                Some(known) => unknown_field(value, known, path),
                None if value.is_null() => None,
                None => Some(path.clone()),
            };
            path.truncate(length);
            found
        }),
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).enumerate().find_map(|(at, (given, known))| {
                path.push_str(&format!("[{at}]"));
                let found = unknown_field(given, known, path);
                path.truncate(length);
                found
            })
        }
        _ => None,
    }
}

/// A path as errors spell it: `spec.containers[0].name`.
fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => match field_path(parent) {
            above if above.is_empty() => key.clone(),
            above => format!("{above}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            field_path(parent)
        }
    }
}

/// Fields whose values are quantities, or maps of them, whatever the kind.
const QUANTITIES: [&str; 10] = [
    "requests",
    "limits",
    "capacity",
    "allocatable",
    "overhead",
    "divisor",
    "sizeLimit",
    "storage",
    "averageValue",
    "tolerance",
];

/// Fields of autoscalers below which a `value` is a quantity; elsewhere it is text or a number.
const METRICS: [&str; 2] = ["target", "current"];

/// A quantity may be written as a number (`cpu: 1`); the types know text only.
fn quantities_as_text(value: &mut Value, more: &[&str]) {
    fn number_as_text(value: &mut Value) {
        if value.is_number() {
            *value = Value::String(value.to_string());
        }
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if QUANTITIES.contains(&name.as_str()) || more.contains(&name.as_str()) {
                    number_as_text(value);
                    value.as_object_mut().into_iter().flatten().for_each(|(_, value)| number_as_text(value));
                }
                if METRICS.contains(&name.as_str())
                    && let Some(value) = value.get_mut("value")
                {
                    number_as_text(value);
                }
                quantities_as_text(value, more);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| quantities_as_text(item, more)),
        _ => {}
    }
}

/// The strategy of a built-in kind.
struct BuiltIn<K> {
    info: KindInfo,
    shape: Shape,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> BuiltIn<K> {
    fn new() -> BuiltIn<K> {
        let info = KindInfo {
            group: K::GROUP.to_owned(),
            version: K::VERSION.to_owned(),
            api_version: K::API_VERSION.to_owned(),
            kind: K::KIND.to_owned(),
            plural: K::URL_PATH_SEGMENT.to_owned(),
            singular: K::KIND.to_ascii_lowercase(),
            short_names: K::SHORT_NAMES.iter().map(|&s| s.to_owned()).collect(),
            categories: K::CATEGORIES.iter().map(|&s| s.to_owned()).collect(),
            scope: K::SCOPE,
            has_status: K::HAS_STATUS,
            has_generation: K::has_generation(),
            graceful_deletion: K::GRACEFUL_DELETION,
            orphans_dependents: K::ORPHANS_DEPENDENTS,
            terms: K::TERMS,
            selectable_fields: K::SELECTABLE_FIELDS,
            columns: K::COLUMNS,
            scale: K::HAS_SCALE.then(|| ScalePaths {
                spec_replicas: ".spec.replicas".to_owned(),
                status_replicas: ".status.replicas".to_owned(),
                label_selector: Some(".spec.selector".to_owned()),
            }),
        };
        let shape = Shape::builtin(K::API_VERSION, K::KIND).unwrap_or_else(Shape::unknown);
        BuiltIn { info, shape, kind: PhantomData }
    }
}

fn typed<K: Kind>(object: &dyn Object) -> Option<&K> {
    object.as_any().downcast_ref()
}

fn typed_mut<K: Kind>(object: &mut dyn Object) -> Option<&mut K> {
    object.as_any_mut().downcast_mut()
}

impl<K: Kind> Strategy for BuiltIn<K> {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error> {
        Ok(Box::new(serde_json::from_slice::<K>(json)?))
    }

    fn decode_value(&self, mut value: serde_json::Value) -> Result<Box<dyn Object>, WrongField> {
        quantities_as_text(&mut value, K::QUANTITIES);
        match serde_path_to_error::deserialize::<_, K>(value) {
            Ok(object) => Ok(Box::new(object)),
            Err(error) => {
                let field = error.path().to_string();
                Err(WrongField { field, cause: error.into_inner().to_string() })
            }
        }
    }

    fn check_fields(&self, value: &serde_json::Value) -> Result<(), WrongField> {
        let object = self.decode_value(value.clone())?;
        let mut known = Vec::new();
        object.encode(&mut known);
        let known = serde_json::from_slice(&known).unwrap_or_default();
        match unknown_field(value, &known, &mut String::new()) {
            Some(field) => Err(WrongField { cause: format!("unknown field \"{field}\""), field }),
            None => Ok(()),
        }
    }

    fn decode_fields(
        &self,
        mut value: serde_json::Value,
    ) -> Result<(Box<dyn Object>, Vec<String>), WrongField> {
        quantities_as_text(&mut value, K::QUANTITIES);
        let mut unknown = Vec::new();
        let mut note = |path: serde_ignored::Path<'_>| unknown.push(field_path(&path));
        let fields = serde_ignored::Deserializer::new(value, &mut note);
        match serde_path_to_error::deserialize::<_, K>(fields) {
            Ok(object) => Ok((Box::new(object), unknown)),
            Err(error) => {
                let field = error.path().to_string();
                Err(WrongField { field, cause: error.into_inner().to_string() })
            }
        }
    }

    fn empty(&self) -> Box<dyn Object> {
        Box::new(K::default())
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        K::validate_name(name, prefix)
    }

    fn set_defaults(&self, object: &mut dyn Object) {
        if let Some(object) = typed_mut::<K>(object) {
            object.set_defaults();
        }
    }

    fn prepare_create(&self, object: &mut dyn Object) {
        if let Some(object) = typed_mut::<K>(object) {
            object.prepare_create();
        }
    }

    fn prepare_update(&self, object: &mut dyn Object, old: &dyn Object) {
        if let (Some(object), Some(old)) = (typed_mut::<K>(object), typed::<K>(old)) {
            object.prepare_update(old);
        }
    }

    fn prepare_status(&self, object: &mut dyn Object, old: &dyn Object) {
        if let (Some(object), Some(old)) = (typed_mut::<K>(object), typed::<K>(old)) {
            object.prepare_status(old);
        }
    }

    fn stamp(&self, object: &mut dyn Object, old: Option<&dyn Object>, now: Timestamp) {
        if let Some(object) = typed_mut::<K>(object) {
            object.stamp(old.and_then(typed::<K>), now);
        }
    }

    fn canonicalise(&self, object: &mut dyn Object) {
        if let Some(object) = typed_mut::<K>(object) {
            object.canonicalise();
        }
    }

    fn validate(&self, object: &dyn Object, errors: &mut FieldErrors) {
        if let Some(object) = typed::<K>(object) {
            object.validate(errors);
        }
    }

    fn validate_create(&self, object: &dyn Object, errors: &mut FieldErrors) {
        if let Some(object) = typed::<K>(object) {
            object.validate_create(errors);
        }
    }

    fn validate_update(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors) {
        if let (Some(object), Some(old)) = (typed::<K>(object), typed::<K>(old)) {
            object.validate_update(old, errors);
        }
    }

    fn validate_status(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors) {
        if let (Some(object), Some(old)) = (typed::<K>(object), typed::<K>(old)) {
            object.validate_status(old, errors);
        }
    }

    fn moves_generation(&self, object: &dyn Object, old: &dyn Object) -> bool {
        match (typed::<K>(object), typed::<K>(old)) {
            (Some(object), Some(old)) => object.moves_generation(old),
            _ => false,
        }
    }

    fn terms(&self, object: &dyn Object, terms: &mut Terms) {
        if let Some(object) = typed::<K>(object) {
            object.terms(terms);
        }
    }

    fn grace_period(&self, object: &dyn Object, asked: Option<i64>) -> i64 {
        typed::<K>(object).map_or(0, |object| object.grace_period(asked))
    }

    fn held_back(&self, object: &dyn Object) -> bool {
        typed::<K>(object).is_some_and(Kind::held_back)
    }

    fn mark_deleting(&self, object: &mut dyn Object) {
        if let Some(object) = typed_mut::<K>(object) {
            object.mark_deleting();
        }
    }

    fn row(&self, object: &dyn Object, now: Timestamp) -> Vec<String> {
        typed::<K>(object).map_or_else(Vec::new, |object| object.row(now))
    }

    fn same(&self, a: &dyn Object, b: &dyn Object) -> bool {
        matches!((typed::<K>(a), typed::<K>(b)), (Some(a), Some(b)) if a == b)
    }
}

/// The kinds of a cluster.
pub struct Registry {
    kinds: Vec<Arc<dyn Strategy>>,
    by_type: HashMap<TypeId, KindId>,
    by_gvk: HashMap<(String, String), KindId>,
}

impl Registry {
    /// A registry without kinds.
    pub fn empty() -> Registry {
        Registry { kinds: Vec::new(), by_type: HashMap::new(), by_gvk: HashMap::new() }
    }

    /// Adds a built-in kind.
    pub fn with<K: Kind>(mut self) -> Registry {
        let id = KindId(self.kinds.len() as u16);
        let strategy = BuiltIn::<K>::new();
        self.by_type.insert(TypeId::of::<K>(), id);
        self.by_gvk.insert((strategy.info.api_version.clone(), strategy.info.kind.clone()), id);
        self.kinds.push(Arc::new(strategy));
        self
    }

    /// The number of a built-in kind; `None` where it is not registered.
    pub fn id_of<K: Kind>(&self) -> Option<KindId> {
        self.by_type.get(&TypeId::of::<K>()).copied()
    }

    /// The kind of these names (`apps/v1`, `Deployment`).
    pub fn find(&self, api_version: &str, kind: &str) -> Option<KindId> {
        self.by_gvk.get(&(api_version.to_owned(), kind.to_owned())).copied()
    }

    /// The kind that a user names on a command line: plural, singular, short name or kind, with or without
    /// the group (`deployments.apps`).
    pub fn find_word(&self, word: &str) -> Option<KindId> {
        let word = word.to_ascii_lowercase();
        let (name, group) = word.split_once('.').map_or((word.as_str(), None), |(n, g)| (n, Some(g)));
        let position = self.kinds.iter().position(|strategy| {
            let info = strategy.info();
            group.is_none_or(|group| group == info.group)
                && (info.plural == name
                    || info.singular == name
                    || info.short_names.iter().any(|s| s == name))
        })?;
        Some(KindId(position as u16))
    }

    /// The rules of a kind. The id must come from this registry.
    pub fn strategy(&self, id: KindId) -> &Arc<dyn Strategy> {
        &self.kinds[id.0 as usize]
    }

    /// Every kind, in the order of registration.
    pub fn iter(&self) -> impl Iterator<Item = (KindId, &Arc<dyn Strategy>)> {
        self.kinds.iter().enumerate().map(|(i, strategy)| (KindId(i as u16), strategy))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.kinds.iter().map(|kind| &kind.info().kind)).finish()
    }
}
