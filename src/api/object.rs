//! What an object is to the rest of the crate: [`Kind`] says everything about one built-in kind,
//! [`Object`] is any object whose kind is known only at run time, [`ObjectKey`] names one.
//!
//! Nothing here knows a particular kind: those live in `kinds`, one file each.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::FieldErrors;
use super::fields::{Outline, OutlineKeys};
use super::registry::WrongField;
use super::shape::Node;

/// The name of an object within its kind: `namespace/name`, or just the name for cluster-wide kinds.
///
/// Ordered by its text, as etcd orders keys, so that lists come in upstream's order. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// The key of an object; `namespace` is empty for cluster-wide kinds.
    pub fn new(namespace: &str, name: &str) -> ObjectKey {
        if namespace.is_empty() {
            ObjectKey(Arc::from(name))
        } else {
            ObjectKey(Arc::from(format!("{namespace}/{name}")))
        }
    }

    /// The key of an object, from its metadata.
    pub fn of(meta: &ObjectMeta) -> ObjectKey {
        ObjectKey::new(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        )
    }

    /// The key whose text this is.
    pub fn from_text(text: &str) -> ObjectKey {
        ObjectKey(Arc::from(text))
    }

    /// The namespace; empty for cluster-wide kinds.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The whole text, shared.
    pub(crate) fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the whole cluster.
    Cluster,
    /// In a namespace.
    Namespaced,
}

/// A column of the table in which a kind is printed, as `kubectl get` prints it.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading, in upstream's spelling (`Ready`, printed in capitals).
    pub name: &'static str,
    /// Shown only in the wide form (`-o wide`).
    pub wide: bool,
}

impl Column {
    /// A column that is always shown.
    pub const fn shown(name: &'static str) -> Column {
        Column { name, wide: false }
    }

    /// A column of the wide form.
    pub const fn wide(name: &'static str) -> Column {
        Column { name, wide: true }
    }
}

/// What an index term is called. A kind declares its terms; the store looks them up.
pub type TermName = &'static str;

/// The index terms of one object: (name of the term, value).
#[derive(Debug, Default)]
pub struct Terms {
    /// The pairs, in any order.
    pub list: Vec<(TermName, String)>,
}

impl Terms {
    /// Adds a term. Empty values count too (`spec.nodeName=` finds unbound pods).
    pub fn add(&mut self, name: TermName, value: impl Into<String>) {
        self.list.push((name, value.into()));
    }
}

/// A name under which a kind is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedName {
    /// `autoscaling`; empty for the core.
    pub group: &'static str,
    /// `v1`.
    pub version: &'static str,
    /// `HorizontalPodAutoscaler`.
    pub kind: &'static str,
    /// `horizontalpodautoscalers`.
    pub plural: &'static str,
}

impl ServedName {
    /// `autoscaling/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// Everything that is particular to one built-in kind: what upstream keeps in defaults, validation and
/// strategies. One file a kind implements it (`kinds/pod.rs`), one line registers it.
///
/// The door calls it in this order. Create: `prepare_create`, `set_defaults`, `canonicalise`, admission,
/// `validate`, `validate_create`. Update: `set_defaults`, `prepare_update`, `canonicalise`, admission, `validate`,
/// `validate_update`. Write of the status: `set_defaults`, `prepare_status`, `canonicalise`, `validate_status`. Metadata
/// (names, labels, annotations, owners, finalizers, immutable fields) is validated by the door for every kind
/// alike; a kind validates its own name by [`Kind::validate_name`].
pub trait Kind:
    k8s_openapi::Resource
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + Serialize
    + DeserializeOwned
    + Clone
    + fmt::Debug
    + Default
    + PartialEq
    + Send
    + Sync
    + 'static
{
    /// Where its objects live.
    const SCOPE: Scope;
    /// Short names (`po`).
    const SHORT_NAMES: &'static [&'static str] = &[];
    /// The groups of kinds that it is listed with (`all`).
    const CATEGORIES: &'static [&'static str] = &[];
    /// The names under which it is served besides its own, which is that of the storage version. Highest
    /// priority first.
    const ALSO_SERVED: &'static [ServedName] = &[];
    /// Whether it has a `status` subresource.
    const HAS_STATUS: bool;
    /// Whether it has a `scale` subresource (`spec.replicas`, `status.replicas`, `spec.selector`).
    const HAS_SCALE: bool = false;
    /// Those of the terms that [`Kind::terms`] gives by which the store indexes: few, since each costs memory and
    /// time at every write. The others can be selected by, at the cost of a scan.
    const TERMS: &'static [TermName] = &[];
    /// The terms that users may name in a field selector, besides `metadata.name` and
    /// `metadata.namespace`.
    const SELECTABLE_FIELDS: &'static [TermName] = &[];
    /// How long a deletion without `gracePeriodSeconds` waits, and whether deletion is graceful at all.
    const GRACEFUL_DELETION: bool = false;
    /// Whether a finalizer need neither be a known one nor qualified by a domain.
    const ANY_FINALIZER: bool = false;
    /// Whether a deletion that says nothing of its dependents leaves them alone, as some old kinds do; those of
    /// the others are collected.
    const ORPHANS_DEPENDENTS: bool = false;
    /// The columns after `Name`.
    const COLUMNS: &'static [Column] = &[];
    /// The fields, besides those that are quantities in every kind (`requests`, `capacity`), whose values are
    /// quantities or maps of them: a user may write those as numbers.
    const QUANTITIES: &'static [&'static str] = &[];

    /// Brings JSON from one of its versions to another, both named as apiVersion; apiVersion and kind
    /// themselves are set afterwards.
    ///
    /// Errors: a field that cannot be converted, and what is wrong with it.
    fn convert(value: Value, from: &str, to: &str) -> Result<Value, WrongField> {
        let _ = (from, to);
        Ok(value)
    }

    /// The fields that users of a version may select by, and the term of each.
    fn selectable_in(api_version: &str) -> Vec<(&'static str, TermName)> {
        let _ = api_version;
        Self::SELECTABLE_FIELDS.iter().map(|&term| (term, term)).collect()
    }

    /// The validation of a version that has rules of its own in place of [`Kind::validate`] and its like; answers
    /// whether it has. `old`: what is changed, `None` for a new object.
    fn validate_as(&self, old: Option<&Self>, api_version: &str, errors: &mut FieldErrors) -> bool {
        let _ = (old, api_version, errors);
        false
    }

    /// What is wrong with a name of this kind (`prefix`: it is a `generateName`); empty if nothing.
    fn validate_name(name: &str, prefix: bool) -> Vec<String>;

    /// Fills what the user left out, as upstream's defaulting does. Must be idempotent.
    fn set_defaults(&mut self) {}

    /// Makes a new object fit for storage: clears what a user may not set at creation (the status).
    fn prepare_create(&mut self) {}

    /// Takes over from `old` what a write of the whole object may not change (the status).
    fn prepare_update(&mut self, old: &Self) {
        let _ = old;
    }

    /// Takes over from `old` what a write of the status may not change (everything else).
    fn prepare_status(&mut self, old: &Self) {
        let _ = old;
    }

    /// Stamps times that only the server can give: of a creation (`old` is none), or of a write of the whole object or
    /// of its status. Comes right after the `prepare` of the write.
    fn stamp(&mut self, old: Option<&Self>, now: Timestamp) {
        let _ = (old, now);
    }

    /// Brings the object into the form that decoding its JSON would give: times without fractions of a
    /// second, quantities in canonical form, empty lists and maps as upstream stores them. Metadata is done by the door.
    fn canonicalise(&mut self) {}

    /// Collects what is wrong with the object.
    fn validate(&self, errors: &mut FieldErrors) {
        let _ = errors;
    }

    /// Collects what is wrong with the object that only its creation checks: upstream lets later changes pass.
    fn validate_create(&self, errors: &mut FieldErrors) {
        let _ = errors;
    }

    /// Collects what is wrong with the change from `old` to this object.
    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let _ = (old, errors);
    }

    /// Collects what is wrong with a write of the status.
    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        let _ = (old, errors);
    }

    /// Whether objects of this kind carry a generation at all (it starts at 1).
    fn has_generation() -> bool {
        true
    }

    /// Whether the change from `old` moves the generation: upstream's rule for the kind, mostly "the spec
    /// differs".
    fn moves_generation(&self, old: &Self) -> bool;

    /// The object's index terms.
    fn terms(&self, terms: &mut Terms) {
        let _ = terms;
    }

    /// For kinds with graceful deletion: the grace period in seconds that a deletion of this object gets,
    /// given what the request asks for. 0 deletes at once.
    fn grace_period(&self, asked: Option<i64>) -> i64 {
        asked.unwrap_or(0)
    }

    /// Whether something in the object, besides its finalizers, keeps it when it is deleted (a Namespace's
    /// `spec.finalizers`).
    fn held_back(&self) -> bool {
        false
    }

    /// Shows in the object that it is marked for deletion (a Namespace's phase `Terminating`).
    fn mark_deleting(&mut self) {}

    /// The cells after `Name`, one for each of [`Kind::COLUMNS`].
    fn row(&self, now: Timestamp) -> Vec<String> {
        let _ = now;
        Vec::new()
    }
}

/// An object whose kind is known only at run time. Every [`Kind`] is one, and so is a custom resource
/// ([`DynamicObject`](super::dynamic::DynamicObject)).
pub trait Object: Any + Send + Sync + fmt::Debug {
    /// Its metadata.
    fn meta(&self) -> &ObjectMeta;
    /// Its metadata, for change.
    fn meta_mut(&mut self) -> &mut ObjectMeta;
    /// Its `apiVersion` and `kind`.
    fn type_name(&self) -> (&str, &str);
    /// Appends its whole JSON.
    fn encode(&self, out: &mut Vec<u8>);
    /// The outline of the fields that it speaks of; equal ones speak of the same. `node` is the root of its kind's
    /// shape.
    fn outline(&self, keys: OutlineKeys, seed: u64, node: Node<'_>) -> u128 {
        let mut json = Vec::new();
        self.encode(&mut json);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap_or_default();
        Outline::of(keys, seed, node, &value)
    }
    /// A copy.
    fn clone_object(&self) -> Box<dyn Object>;
    /// For downcasts.
    fn as_any(&self) -> &(dyn Any + Send + Sync);
    /// For downcasts, mutable.
    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync);
    /// For downcasts of a shared one.
    fn shared_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<K: Kind> Object for K {
    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.metadata_mut()
    }

    fn type_name(&self) -> (&str, &str) {
        (K::API_VERSION, K::KIND)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        // Serialising our own typed objects into memory cannot fail: their map keys are strings.
        let _ = serde_json::to_writer(out, self);
    }

    fn outline(&self, keys: OutlineKeys, seed: u64, node: Node<'_>) -> u128 {
        Outline::of(keys, seed, node, self)
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
