//! An object whose kind no Rust type describes: typed metadata, and everything else as JSON.
//!
//! Knows no schema. Invariant: `fields` holds neither apiVersion, kind nor metadata.

use std::any::Any;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

use super::object::Object;
use super::registry::WrongField;

/// An object of a kind that is known at run time only: a custom resource.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicObject {
    api_version: Arc<str>,
    kind: Arc<str>,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Everything but apiVersion, kind and metadata.
    pub fields: Map<String, Value>,
}

impl DynamicObject {
    /// An object with nothing in it.
    pub fn new(api_version: &str, kind: &str) -> DynamicObject {
        DynamicObject {
            api_version: Arc::from(api_version),
            kind: Arc::from(kind),
            metadata: ObjectMeta::default(),
            fields: Map::new(),
        }
    }

    /// Decodes JSON; what it says of apiVersion and kind counts, the arguments where it says nothing.
    pub fn from_slice(
        api_version: &str,
        kind: &str,
        json: &[u8],
    ) -> Result<DynamicObject, serde_json::Error> {
        let map: Map<String, Value> = serde_json::from_slice(json)?;
        DynamicObject::from_map(api_version, kind, map).map_err(serde::de::Error::custom)
    }

    /// The same from a value.
    pub fn from_value(api_version: &str, kind: &str, value: Value) -> Result<DynamicObject, WrongField> {
        match value {
            Value::Object(map) => DynamicObject::from_map(api_version, kind, map),
            _ => Err(WrongField { field: ".".to_owned(), cause: "an object is expected".to_owned() }),
        }
    }

    fn from_map(
        api_version: &str,
        kind: &str,
        mut map: Map<String, Value>,
    ) -> Result<DynamicObject, WrongField> {
        let mut text = |name: &str, default: &str| match map.remove(name) {
            Some(Value::String(text)) => Arc::from(text),
            _ => Arc::from(default),
        };
        let (api_version, kind) = (text("apiVersion", api_version), text("kind", kind));
        let metadata = match map.remove("metadata") {
            None | Some(Value::Null) => ObjectMeta::default(),
            Some(value) => serde_path_to_error::deserialize(value).map_err(|error| WrongField {
                field: format!("metadata.{}", error.path()),
                cause: error.into_inner().to_string(),
            })?,
        };
        Ok(DynamicObject { api_version, kind, metadata, fields: map })
    }

    /// Its `apiVersion`.
    pub fn api_version(&self) -> &str {
        &self.api_version
    }

    /// Its `kind`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Says that it is of another version.
    pub fn set_api_version(&mut self, api_version: &str) {
        self.api_version = Arc::from(api_version);
    }

    /// The whole as JSON.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Whether two objects are dynamic ones and equal.
    pub fn same(a: &dyn Object, b: &dyn Object) -> bool {
        let of = |object: &dyn Object| object.as_any().downcast_ref::<DynamicObject>().cloned();
        matches!((of(a), of(b)), (Some(a), Some(b)) if a == b)
    }
}

impl Serialize for DynamicObject {
    /// apiVersion, kind and metadata stand first, as in every other kind's JSON.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len() + 3))?;
        map.serialize_entry("apiVersion", &*self.api_version)?;
        map.serialize_entry("kind", &*self.kind)?;
        map.serialize_entry("metadata", &self.metadata)?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Object for DynamicObject {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    fn type_name(&self) -> (&str, &str) {
        (&self.api_version, &self.kind)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        // Encoding JSON values into memory cannot fail.
        let _ = serde_json::to_writer(out, self);
    }

    fn clone_object(&self) -> Box<dyn Object> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }

    fn shared_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
