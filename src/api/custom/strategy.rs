//! What a write to a custom resource goes through.
//!
//! Invariant: an object is judged by the schema of the version that it says it is of.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::CustomStrategy;
use super::version::Version;
use crate::api::cel::{self, Ratchet, Spent};
use crate::api::error::{FieldErrors, FieldPath, Problem, Reason, StatusError};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::registry::{KindInfo, Strategy, WrongField};
use crate::api::schema::{embedded, fill, lists, prune, validate};
use crate::api::shape::Shape;
use crate::api::{DynamicObject, Object, Terms};

fn dynamic(object: &dyn Object) -> Option<&DynamicObject> {
    object.as_any().downcast_ref()
}

fn dynamic_mut(object: &mut dyn Object) -> Option<&mut DynamicObject> {
    object.as_any_mut().downcast_mut()
}

impl CustomStrategy {
    fn number_of(&self, api_version: &str) -> Option<usize> {
        self.infos.iter().position(|info| info.api_version == api_version)
    }

    fn version(&self, object: &DynamicObject) -> &Version {
        &self.versions[self.number_of(object.api_version()).unwrap_or(0)]
    }

    /// Prunes and defaults, as the version's schema says.
    fn bring_into_form(&self, fields: &mut Map<String, Value>, version: usize) {
        let schema = self.versions[version].schema();
        prune::prune_root(fields, schema);
        fill::drop_nulls(fields, schema);
        fill::fill(fields, schema);
    }

    fn type_meta(&self, object: &DynamicObject, errors: &mut FieldErrors) -> bool {
        let info = &self.infos[0];
        if object.kind() != info.kind {
            let detail = format!("must be {}", info.kind);
            errors.invalid(&FieldPath::new("kind"), object.kind(), detail);
        }
        if self.number_of(object.api_version()).is_none() {
            let detail = format!("must be {}", info.api_version);
            errors.invalid(&FieldPath::new("apiVersion"), object.api_version(), detail);
        }
        errors.is_empty()
    }

    /// The validation of a whole object; of its status alone when `status` says so.
    fn check(
        &self,
        object: &DynamicObject,
        old: Option<&DynamicObject>,
        status: bool,
        errors: &mut FieldErrors,
    ) {
        let mut own = FieldErrors::default();
        if !self.type_meta(object, &mut own) {
            own.into_list().into_iter().for_each(|error| errors.add(error));
            return;
        }
        let version = self.version(object);
        let schema = version.schema();
        let value = object.to_value();
        let before = old.map(DynamicObject::to_value);
        if !status {
            validate::validate(&value, before.as_ref(), schema, "", &mut own);
            replicas(version, &value, true, &mut own);
        } else if let (Some(value), Some(schema)) = (value.get("status"), schema.properties.get("status")) {
            let before = before.as_ref().and_then(|before| before.get("status"));
            validate::validate(value, before, schema, "status", &mut own);
        }
        replicas(version, &value, false, &mut own);
        if !status {
            embedded::validate(&object.fields, schema, &mut own);
        }
        let mut repeated = FieldErrors::default();
        lists::validate(&object.fields, schema, None, &mut repeated);
        let mut earlier = FieldErrors::default();
        if let Some(old) = old.filter(|_| !repeated.is_empty()) {
            lists::validate(&old.fields, schema, None, &mut earlier);
        }
        if earlier.is_empty() {
            repeated.into_list().into_iter().for_each(|error| own.add(error));
        }
        self.rules(&value, before.as_ref(), version, &mut own);
        own.into_list().into_iter().for_each(|error| errors.add(error));
    }

    fn rules(&self, value: &Value, old: Option<&Value>, version: &Version, errors: &mut FieldErrors) {
        let schema = version.schema();
        if !schema.ruled {
            return;
        }
        let list = std::mem::take(errors).into_list();
        let blocked = list.iter().any(|error| {
            use Problem::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
            matches!(error.problem, NotSupported | Required | TooLong | TooMany | TypeInvalid)
        });
        list.into_iter().for_each(|error| errors.add(error));
        if blocked {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                          errors to complete validation";
            errors.invalid(&FieldPath::new("<nil>"), "null", detail);
            return;
        }
        let ratchet = Ratchet::of(value, old);
        cel::validate(value, old, schema, true, None, ratchet, &mut Spent::default(), errors);
    }
}

fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.trim_start_matches('.').split('.').try_fold(value, |value, name| value.get(name))
}

/// The numbers of the scale subresource must be such.
fn replicas(version: &Version, value: &Value, spec: bool, errors: &mut FieldErrors) {
    let Some(scale) = &version.scale else { return };
    let path = if spec { &scale.spec_replicas } else { &scale.status_replicas };
    let field = FieldPath::new(path);
    match at_path(value, path) {
        None => {}
        Some(Value::Number(number)) if number.is_i64() => {
            let number = number.as_i64().unwrap_or_default();
            if number < 0 {
                errors.invalid(&field, number, "should be a non-negative integer");
            } else if number > i64::from(i32::MAX) {
                errors.invalid(&field, number, format!("should be less than or equal to {}", i32::MAX));
            }
        }
        Some(other) => {
            let detail = format!("{path} accessor error: {other} is of the wrong type, expected int64");
            errors.invalid(&field, 0, detail);
        }
    }
    if let (false, Some(path)) = (spec, &scale.label_selector)
        && let Some(other) = at_path(value, path).filter(|value| !value.is_string())
    {
        let detail = format!("{path} accessor error: {other} is of the wrong type, expected string");
        errors.invalid(&FieldPath::new(path), "", detail);
    }
}

impl Strategy for CustomStrategy {
    fn info(&self) -> &KindInfo {
        &self.infos[0]
    }

    fn versions(&self) -> &[KindInfo] {
        &self.infos
    }

    fn convert(&self, value: Value, from: usize, to: usize) -> Result<Value, StatusError> {
        let (Some(_), Some(info)) = (self.infos.get(from), self.infos.get(to)) else {
            return Err(StatusError::new(Reason::InternalError, "a version that is none"));
        };
        let mut value = value;
        if from != to {
            let (name, uid) = (value["metadata"]["name"].clone(), value["metadata"]["uid"].clone());
            let converted = self.converter.convert(vec![value], &info.api_version)?;
            value = converted.into_iter().next().unwrap_or_default();
            if value["metadata"]["name"] != name || value["metadata"]["uid"] != uid {
                let why = format!("conversion webhook for {} changed the object's metadata", info.kind);
                return Err(StatusError::new(Reason::InternalError, why));
            }
        }
        if (from != to || self.changed)
            && let Value::Object(fields) = &mut value
        {
            self.bring_into_form(fields, to);
        }
        Ok(value)
    }

    fn is_verbatim(&self, version: usize) -> bool {
        version == 0 && !self.changed
    }

    fn to_stored(&self, object: Box<dyn Object>) -> Result<Box<dyn Object>, StatusError> {
        let Some(own) = dynamic(&*object) else { return Ok(object) };
        match self.number_of(own.api_version()) {
            None | Some(0) => Ok(object),
            Some(from) => {
                let mut value = self.convert(own.to_value(), from, 0)?;
                // What the converter must not touch.
                value["metadata"] = serde_json::to_value(&own.metadata).unwrap_or_default();
                let info = &self.infos[0];
                let stored = DynamicObject::from_value(&info.api_version, &info.kind, value);
                let stored =
                    stored.map_err(|cause| StatusError::new(Reason::InternalError, cause.to_string()))?;
                Ok(Box::new(stored))
            }
        }
    }

    fn in_version(&self, object: Arc<dyn Object>, version: usize) -> Result<Arc<dyn Object>, StatusError> {
        if self.is_verbatim(version) {
            return Ok(object);
        }
        let Some(own) = dynamic(&*object) else { return Ok(object) };
        let from = self.number_of(own.api_version()).unwrap_or(0);
        let value = self.convert(own.to_value(), from, version)?;
        let info = &self.infos[version];
        let made = DynamicObject::from_value(&info.api_version, &info.kind, value);
        Ok(Arc::new(made.map_err(|cause| StatusError::new(Reason::InternalError, cause.to_string()))?))
    }

    fn version_of(&self, object: &dyn Object) -> usize {
        self.number_of(object.type_name().0).unwrap_or(0)
    }

    fn accepts_new(&self) -> Result<(), StatusError> {
        if !self.ending {
            return Ok(());
        }
        let why = "create not allowed while custom resource definition is terminating";
        Err(StatusError::new(Reason::MethodNotAllowed, why))
    }

    fn shape(&self, version: usize) -> Shape {
        self.versions.get(version).map_or_else(Shape::unknown, Version::shape)
    }

    fn judges_changes(&self) -> bool {
        true
    }

    fn schema(&self, version: usize) -> Option<Value> {
        self.versions.get(version)?.open_api()
    }

    fn cells(&self, object: &dyn Object, version: usize, now: Timestamp) -> Vec<Value> {
        let (Some(object), Some(version)) = (dynamic(object), self.versions.get(version)) else {
            return Vec::new();
        };
        version.cells(&object.to_value(), now)
    }

    fn decode(&self, json: &[u8]) -> Result<Box<dyn Object>, serde_json::Error> {
        let info = &self.infos[0];
        Ok(Box::new(DynamicObject::from_slice(&info.api_version, &info.kind, json)?))
    }

    fn decode_value(&self, value: Value) -> Result<Box<dyn Object>, WrongField> {
        let info = &self.infos[0];
        Ok(Box::new(DynamicObject::from_value(&info.api_version, &info.kind, value)?))
    }

    fn check_fields(&self, value: &Value) -> Result<(), WrongField> {
        let (_, unknown) = self.decode_fields(value.clone())?;
        match unknown.into_iter().next() {
            Some(field) => Err(WrongField { cause: format!("unknown field \"{field}\""), field }),
            None => Ok(()),
        }
    }

    fn decode_fields(&self, value: Value) -> Result<(Box<dyn Object>, Vec<String>), WrongField> {
        let info = &self.infos[0];
        let given = value.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut object = DynamicObject::from_value(&info.api_version, &info.kind, value)?;
        let known = serde_json::to_value(&object.metadata).unwrap_or_default();
        let mut unknown: Vec<String> = given
            .iter()
            .filter(|(name, value)| known.get(name).is_none() && !value.is_null() && !is_meta_field(name))
            .map(|(name, _)| format!("metadata.{name}"))
            .collect();
        let version = self.number_of(object.api_version()).unwrap_or(0);
        unknown.extend(prune::prune_root(&mut object.fields, self.versions[version].schema()));
        Ok((Box::new(object), unknown))
    }

    fn empty(&self) -> Box<dyn Object> {
        Box::new(DynamicObject::new(&self.infos[0].api_version, &self.infos[0].kind))
    }

    fn validate_name(&self, name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&self, object: &mut dyn Object) {
        let Some(object) = dynamic_mut(object) else { return };
        let version = self.number_of(object.api_version()).unwrap_or(0);
        self.bring_into_form(&mut object.fields, version);
    }

    fn prepare_create(&self, object: &mut dyn Object) {
        let Some(object) = dynamic_mut(object) else { return };
        if self.version(object).has_status {
            object.fields.remove("status");
        }
    }

    fn prepare_update(&self, object: &mut dyn Object, old: &dyn Object) {
        let (Some(object), Some(old)) = (dynamic_mut(object), dynamic(old)) else { return };
        if self.version(object).has_status {
            match old.fields.get("status") {
                Some(status) => object.fields.insert("status".to_owned(), status.clone()),
                None => object.fields.remove("status"),
            };
        }
    }

    fn prepare_status(&self, object: &mut dyn Object, old: &dyn Object) {
        let (Some(object), Some(old)) = (dynamic_mut(object), dynamic(old)) else { return };
        let status = object.fields.remove("status");
        let managed = object.metadata.managed_fields.take();
        let revision = object.metadata.resource_version.take();
        object.metadata.clone_from(&old.metadata);
        object.metadata.managed_fields = managed;
        object.metadata.resource_version = revision;
        object.fields.clone_from(&old.fields);
        match status {
            Some(status) => object.fields.insert("status".to_owned(), status),
            None => object.fields.remove("status"),
        };
    }

    fn canonicalise(&self, _object: &mut dyn Object) {}

    fn validate(&self, object: &dyn Object, errors: &mut FieldErrors) {
        if let Some(object) = dynamic(object) {
            self.check(object, None, false, errors);
        }
    }

    fn validate_create(&self, _object: &dyn Object, _errors: &mut FieldErrors) {}

    fn validate_update(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors) {
        if let (Some(object), Some(old)) = (dynamic(object), dynamic(old)) {
            self.check(object, Some(old), false, errors);
        }
    }

    fn validate_status(&self, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors) {
        if let (Some(object), Some(old)) = (dynamic(object), dynamic(old)) {
            self.check(object, Some(old), true, errors);
        }
    }

    fn moves_generation(&self, object: &dyn Object, old: &dyn Object) -> bool {
        match (dynamic(object), dynamic(old)) {
            (Some(object), Some(old)) => object.fields != old.fields,
            _ => false,
        }
    }

    fn terms(&self, object: &dyn Object, terms: &mut Terms) {
        let Some(object) = dynamic(object) else { return };
        for (path, term) in self.selectable.iter().zip(super::TERMS) {
            let mut steps = path.split('.');
            let first = steps.next().and_then(|name| object.fields.get(name));
            let found = first.and_then(|first| steps.try_fold(first, |value, name| value.get(name)));
            let text = match found {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            terms.add(term, text);
        }
    }

    fn grace_period(&self, _object: &dyn Object, _asked: Option<i64>) -> i64 {
        0
    }

    fn held_back(&self, _object: &dyn Object) -> bool {
        false
    }

    fn mark_deleting(&self, _object: &mut dyn Object) {}

    fn row(&self, object: &dyn Object, now: Timestamp) -> Vec<String> {
        let text = |cell: Value| match cell {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.cells(object, 0, now).into_iter().map(text).collect()
    }

    fn same(&self, a: &dyn Object, b: &dyn Object) -> bool {
        DynamicObject::same(a, b)
    }
}

/// Fields of metadata that are known and may be left out when they are written.
fn is_meta_field(name: &str) -> bool {
    const FIELDS: [&str; 15] = [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ];
    FIELDS.contains(&name)
}
