//! The rules of a built-in kind behind [`Strategy`]: everything is handed on to its [`Kind`].
//!
//! Owns how a user's JSON becomes a typed object; knows no particular kind. Invariant: a typed object is
//! always of the storage version, whichever version its JSON was in.

use std::marker::PhantomData;

use jiff::Timestamp;
use serde_json::Value;

use super::{KindInfo, ScalePaths, Strategy, TableColumn, WrongField};
use crate::api::error::{FieldErrors, Reason, StatusError};
use crate::api::object::{Kind, Object, ServedName, Terms};
use crate::api::shape::Shape;

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
pub(super) struct BuiltIn<K> {
    /// The storage version first.
    versions: Vec<KindInfo>,
    /// One for each version.
    shapes: Vec<Shape>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> BuiltIn<K> {
    pub fn new() -> BuiltIn<K> {
        let own =
            ServedName { group: K::GROUP, version: K::VERSION, kind: K::KIND, plural: K::URL_PATH_SEGMENT };
        let names = std::iter::once(&own).chain(K::ALSO_SERVED);
        let versions: Vec<KindInfo> = names.map(info::<K>).collect();
        let shape =
            |info: &KindInfo| Shape::builtin(&info.api_version, &info.kind).unwrap_or_else(Shape::unknown);
        BuiltIn { shapes: versions.iter().map(shape).collect(), versions, kind: PhantomData }
    }

    /// Which of the versions a value says that it is of; the storage version if it says none.
    fn version_of(&self, value: &Value) -> usize {
        if self.versions.len() == 1 {
            return 0;
        }
        let (api_version, kind) = (value["apiVersion"].as_str(), value["kind"].as_str());
        let is = |info: &KindInfo| Some(&*info.api_version) == api_version && Some(&*info.kind) == kind;
        self.versions.iter().position(is).unwrap_or(0)
    }
}

fn info<K: Kind>(name: &ServedName) -> KindInfo {
    KindInfo {
        group: name.group.to_owned(),
        version: name.version.to_owned(),
        api_version: name.api_version(),
        kind: name.kind.to_owned(),
        plural: name.plural.to_owned(),
        singular: name.kind.to_ascii_lowercase(),
        short_names: K::SHORT_NAMES.iter().map(|&s| s.to_owned()).collect(),
        categories: K::CATEGORIES.iter().map(|&s| s.to_owned()).collect(),
        list_kind: format!("{}List", name.kind),
        scope: K::SCOPE,
        served: true,
        deprecation: None,
        has_status: K::HAS_STATUS,
        scale: K::HAS_SCALE.then(|| ScalePaths {
            spec_replicas: ".spec.replicas".to_owned(),
            status_replicas: ".status.replicas".to_owned(),
            label_selector: Some(".spec.selector".to_owned()),
        }),
        has_generation: K::has_generation(),
        graceful_deletion: K::GRACEFUL_DELETION,
        orphans_dependents: K::ORPHANS_DEPENDENTS,
        any_finalizer: K::ANY_FINALIZER,
        terms: K::TERMS,
        selectable_fields: K::selectable_in(&name.api_version())
            .into_iter()
            .map(|(field, term)| (field.to_owned(), term))
            .collect(),
        columns: K::COLUMNS.iter().map(TableColumn::from).collect(),
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
        &self.versions[0]
    }

    fn versions(&self) -> &[KindInfo] {
        &self.versions
    }

    fn shape(&self, version: usize) -> Shape {
        self.shapes.get(version).cloned().unwrap_or_else(Shape::unknown)
    }

    fn validate_as(
        &self,
        object: &dyn Object,
        old: Option<&dyn Object>,
        version: usize,
        errors: &mut FieldErrors,
    ) -> bool {
        let (Some(object), Some(info)) = (typed::<K>(object), self.versions.get(version)) else {
            return false;
        };
        object.validate_as(old.and_then(typed::<K>), &info.api_version, errors)
    }

    fn convert(&self, mut value: Value, from: usize, to: usize) -> Result<Value, StatusError> {
        if from == to {
            return Ok(value);
        }
        let (old, new) = (&self.versions[from], &self.versions[to]);
        value = K::convert(value, &old.api_version, &new.api_version)
            .map_err(|wrong| StatusError::new(Reason::BadRequest, wrong.to_string()))?;
        value["apiVersion"] = new.api_version.clone().into();
        value["kind"] = new.kind.clone().into();
        Ok(value)
    }

    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error> {
        Ok(Box::new(serde_json::from_slice::<K>(json)?))
    }

    fn decode_value(&self, mut value: Value) -> Result<Box<dyn Object>, WrongField> {
        let version = self.version_of(&value);
        if version > 0 {
            value = self
                .convert(value, version, 0)
                .map_err(|cause| WrongField { field: String::new(), cause: cause.message })?;
        }
        quantities_as_text(&mut value, K::QUANTITIES);
        match serde_path_to_error::deserialize::<_, K>(value) {
            Ok(object) => Ok(Box::new(object)),
            Err(error) => {
                let field = error.path().to_string();
                Err(WrongField { field, cause: error.into_inner().to_string() })
            }
        }
    }

    fn check_fields(&self, value: &Value) -> Result<(), WrongField> {
        let object = self.decode_value(value.clone())?;
        let mut known = Vec::new();
        object.encode(&mut known);
        let known: Value = serde_json::from_slice(&known).unwrap_or_default();
        let known = self.convert(known, 0, self.version_of(value)).unwrap_or_default();
        match unknown_field(value, &known, &mut String::new()) {
            Some(field) => Err(WrongField { cause: format!("unknown field \"{field}\""), field }),
            None => Ok(()),
        }
    }

    fn decode_fields(&self, mut value: Value) -> Result<(Box<dyn Object>, Vec<String>), WrongField> {
        if self.version_of(&value) > 0 {
            let unknown = self.check_fields(&value).err().map(|wrong| wrong.field);
            return Ok((self.decode_value(value)?, unknown.into_iter().collect()));
        }
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
