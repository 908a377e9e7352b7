//! Between typed objects and what the store keeps: bodies and the facts of a header.
//!
//! Invariant: a body begins with the object's metadata and holds no apiVersion, kind, resourceVersion or
//! managedFields, so that what is served is stitched from a prefix, the body and a suffix.

use std::sync::Arc;

use bytes::Bytes;

use super::custom::Definitions;
use crate::api::fields::ManagedFields;
use crate::api::{KindId, KindInfo, Object, ObjectKey, Registry, StatusError, Strategy, Terms};
use crate::limits::ENCODE_ROOM;
use crate::store::{self, Draft, Owner, ReadFacts, Record};

/// Encodes an object's body. The object's resourceVersion is dropped on the way.
pub(super) fn encode_body(info: &KindInfo, object: &mut dyn Object) -> Bytes {
    let meta = object.meta_mut();
    meta.resource_version = None;
    meta.managed_fields = None;
    // Encoded with room to spare and copied to its size: a body lives long, and what a shrunk one leaves is lost.
    let mut json = Vec::with_capacity(ENCODE_ROOM);
    object.encode(&mut json);
    let prefix = info.api_version.len() + info.kind.len() + r#"{"apiVersion":"","kind":"","#.len();
    if json.get(prefix - 1) == Some(&b',') {
        json[prefix - 1] = b'{';
        return Bytes::copy_from_slice(&json[prefix - 1..]);
    }
    Bytes::copy_from_slice(&json)
}

/// The JSON of an object as it would be stored.
pub(super) fn value_of(object: &dyn Object) -> serde_json::Value {
    let mut json = Vec::with_capacity(ENCODE_ROOM);
    object.encode(&mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}

/// The JSON of a stored object as it is served: with apiVersion, kind, resourceVersion and managedFields.
pub(super) fn full_value(info: &KindInfo, record: &store::Record) -> serde_json::Value {
    let mut value = value_without_managers(info, record);
    if let Some(managed) = &record.header.managed {
        value["metadata"]["managedFields"] = managed_value(managed);
    }
    value
}

/// The list of who owns what, as a value.
pub(super) fn managed_value(managed: &ManagedFields) -> serde_json::Value {
    let mut json = Vec::new();
    managed.write_json(&mut json);
    serde_json::from_slice(&json).unwrap_or_default()
}

/// The same without managedFields, which most writes have no use for.
pub(super) fn value_without_managers(info: &KindInfo, record: &store::Record) -> serde_json::Value {
    let mut value: serde_json::Value = serde_json::from_slice(record.body()).unwrap_or_default();
    value["apiVersion"] = info.api_version.clone().into();
    value["kind"] = info.kind.clone().into();
    if let Some(revision) = record.header.revision.as_text() {
        value["metadata"]["resourceVersion"] = revision.into();
    }
    value
}

/// The same without managedFields.
pub(super) fn plain_value_in(
    strategy: &dyn Strategy,
    record: &store::Record,
    version: usize,
) -> Result<serde_json::Value, StatusError> {
    let value = value_without_managers(strategy.info(), record);
    if strategy.is_verbatim(version) { Ok(value) } else { strategy.convert(value, 0, version) }
}

/// The same in one of the kind's versions.
pub(super) fn value_in(
    strategy: &dyn Strategy,
    record: &store::Record,
    version: usize,
) -> Result<serde_json::Value, StatusError> {
    let value = full_value(strategy.info(), record);
    if strategy.is_verbatim(version) { Ok(value) } else { strategy.convert(value, 0, version) }
}

/// The facts of a header, read from the typed object.
pub(super) fn facts(strategy: &dyn Strategy, object: &dyn Object) -> store::Facts {
    let meta = object.meta();
    let mut terms = Terms::default();
    strategy.terms(object, &mut terms);
    let pairs = |indexed: bool| {
        terms.list.iter().filter(move |(name, _)| strategy.info().terms.contains(name) == indexed)
    };
    store::Facts {
        uid: Arc::from(meta.uid.as_deref().unwrap_or_default()),
        labels: meta.labels.iter().flatten().collect(),
        owners: meta
            .owner_references
            .iter()
            .flatten()
            .map(|owner| Owner {
                uid: Arc::from(owner.uid.as_str()),
                controller: owner.controller == Some(true),
                blocks: owner.block_owner_deletion == Some(true),
            })
            .collect(),
        deleting: meta.deletion_timestamp.is_some(),
        has_finalizers: meta.finalizers.as_ref().is_some_and(|list| !list.is_empty()),
        terms: pairs(true).map(|(name, value)| (name, value)).collect(),
        fields: pairs(false).map(|(name, value)| (name, value)).collect(),
        managed: None,
    }
}

/// An object, encoded and with its facts, ready to be proposed.
///
/// Errors: the object is not of the storage version and could not be converted.
pub(super) fn draft(
    strategy: &dyn Strategy,
    object: Box<dyn Object>,
    managed: Option<Arc<ManagedFields>>,
) -> Result<Draft, StatusError> {
    let mut object = strategy.to_stored(object)?;
    let facts = store::Facts { managed, ..facts(strategy, &*object) };
    let body = encode_body(strategy.info(), &mut *object);
    Ok(Draft { body, facts, view: Some(object) })
}

/// Reads the facts of bodies that came from elsewhere.
pub(super) struct Facts {
    pub registry: Arc<Registry>,
    pub definitions: Definitions,
}

impl ReadFacts for Facts {
    fn read_facts(&self, kind: KindId, body: &Bytes) -> Result<store::Facts, String> {
        let strategy = self.registry.strategy(kind);
        let object = strategy.decode(body).map_err(|cause| cause.to_string())?;
        Ok(facts(&*strategy, &*object))
    }

    fn foresee(&self, kind: KindId, key: &ObjectKey, new: Option<&Record>) {
        self.definitions.foresee(kind, key, new);
    }
}
