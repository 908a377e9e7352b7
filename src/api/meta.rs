//! The rules of metadata, which every kind shares: names, labels, annotations, owners, finalizers, and what an
//! update may not change.
//!
//! Owns the checks with the sentences of Kubernetes' API server and the canonical form of metadata. Does not
//! stamp anything (uid, times, versions): the door does, with its own clock.
//!
//! Invariant: metadata that passed has a name, a namespace exactly if its kind lives in one, and at most one
//! controlling owner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference, Time};
use serde_json::{Value, json};

use super::error::{FieldErrors, FieldPath};
use super::names::{check_name, is_annotation_key, is_dns1123_label, is_label_value, is_qualified_name};
use super::object::Scope;
use crate::limits::{ANNOTATION_BYTES, FIELD_MANAGER_BYTES, SUBRESOURCE_NAME_BYTES};

/// The finalizer of an object whose dependents are to be orphaned before it goes.
pub const FINALIZER_ORPHAN: &str = "orphan";

/// The finalizer of an object whose dependents are to be deleted before it goes.
pub const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// The finalizer that a Namespace carries in its specification.
pub const FINALIZER_KUBERNETES: &str = "kubernetes";

/// What is said of a field that may not change.
pub(crate) const IMMUTABLE: &str = "field is immutable";

/// What is said of a number below zero.
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";

/// The point in time without its fraction of a second, as JSON keeps it.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    whole(at, 1_000_000_000)
}

/// The point in time without what is finer than a microsecond, as JSON keeps it.
pub fn whole_microseconds(at: Timestamp) -> Timestamp {
    whole(at, 1000)
}

/// The last multiple of so many nanoseconds (a second at the most) that is not after `at`.
fn whole(at: Timestamp, step: i32) -> Timestamp {
    // Before 1970 the fraction is negative.
    let (second, fraction) = match (at.as_second(), at.subsec_nanosecond()) {
        (second, fraction) if fraction < 0 => (second - 1, fraction + 1_000_000_000),
        exact => exact,
    };
    if fraction % step == 0 {
        return at;
    }
    Timestamp::new(second, fraction - fraction % step).unwrap_or(at)
}

/// A time as objects hold it: in whole seconds.
pub fn time_now_meta(now: Timestamp) -> Time {
    Time(whole_seconds(now))
}

/// Brings metadata into the form that decoding its JSON gives, without what Kubernetes leaves out.
pub fn canonicalise_meta(meta: &mut ObjectMeta) {
    for text in [
        &mut meta.name,
        &mut meta.generate_name,
        &mut meta.namespace,
        &mut meta.uid,
        &mut meta.resource_version,
        &mut meta.self_link,
    ] {
        text.take_if(|text| text.is_empty());
    }
    meta.labels.take_if(|map| map.is_empty());
    meta.annotations.take_if(|map| map.is_empty());
    meta.finalizers.take_if(|list| list.is_empty());
    meta.owner_references.take_if(|list| list.is_empty());
    meta.managed_fields.take_if(|list| list.is_empty());
    meta.generation.take_if(|generation| *generation == 0);
    for time in [&mut meta.creation_timestamp, &mut meta.deletion_timestamp].into_iter().flatten() {
        time.0 = whole_seconds(time.0);
    }
    for entry in meta.managed_fields.iter_mut().flatten() {
        if let Some(time) = &mut entry.time {
            time.0 = whole_seconds(time.0);
        }
        for text in [
            &mut entry.api_version,
            &mut entry.fields_type,
            &mut entry.manager,
            &mut entry.operation,
            &mut entry.subresource,
        ] {
            text.take_if(|text| text.is_empty());
        }
    }
}

/// Takes over from `old` the metadata that no update changes, whatever the request says: the generation, the
/// creation, a deletion that has begun; and the uid where the request names none.
pub fn prepare_meta_update(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.generation = old.generation;
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    if new.uid.as_deref().unwrap_or_default().is_empty() {
        new.uid.clone_from(&old.uid);
    }
    if old.deletion_timestamp.is_some() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    if new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
}

/// Collects what is wrong with the metadata of an object of a built-in kind. Its name must have been generated
/// before.
pub fn validate_meta(
    meta: &ObjectMeta,
    scope: Scope,
    name_rule: &dyn Fn(&str, bool) -> Vec<String>,
    errors: &mut FieldErrors,
) {
    validate_plain_meta(meta, scope, name_rule, errors);
    validate_standard_finalizers(meta, errors);
}

/// Finalizers of most built-in kinds are known ones, or qualified by a domain.
pub fn validate_standard_finalizers(meta: &ObjectMeta, errors: &mut FieldErrors) {
    let path = FieldPath::new("metadata");
    for (at, finalizer) in meta.finalizers.iter().flatten().enumerate() {
        validate_standard_finalizer(finalizer, &path.child("finalizers").index(at), errors);
    }
}

/// The same for kinds that take any finalizer: custom ones and their definitions.
pub fn validate_plain_meta(
    meta: &ObjectMeta,
    scope: Scope,
    name_rule: &dyn Fn(&str, bool) -> Vec<String>,
    errors: &mut FieldErrors,
) {
    let path = FieldPath::new("metadata");
    let base = meta.generate_name.as_deref().unwrap_or_default();
    if !base.is_empty() {
        errors.invalid_each(&path.child("generateName"), base, name_rule(base, true));
    }
    match meta.name.as_deref().unwrap_or_default() {
        "" => errors.required(&path.child("name"), "name or generateName is required"),
        name => errors.invalid_each(&path.child("name"), name, name_rule(name, false)),
    }
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    match scope {
        Scope::Namespaced if namespace.is_empty() => errors.required(&path.child("namespace"), ""),
        Scope::Namespaced => {
            let wrong = check_name(is_dns1123_label, namespace, false);
            errors.invalid_each(&path.child("namespace"), namespace, wrong);
        }
        Scope::Cluster if namespace.is_empty() => {}
        Scope::Cluster => errors.forbidden(&path.child("namespace"), "not allowed on this type"),
    }
    validate_not_negative(meta.generation.unwrap_or(0), &path.child("generation"), errors);
    validate_parts(meta, &path, errors);
}

/// Collects what is wrong with the change of the metadata of an object of a built-in kind.
pub fn validate_meta_update(new: &ObjectMeta, old: &ObjectMeta, errors: &mut FieldErrors) {
    validate_plain_meta_update(new, old, errors);
    validate_standard_finalizers(new, errors);
}

/// The same for kinds that take any finalizer.
pub fn validate_plain_meta_update(new: &ObjectMeta, old: &ObjectMeta, errors: &mut FieldErrors) {
    let path = FieldPath::new("metadata");
    if old.deletion_timestamp.is_some() {
        validate_no_new_finalizers(new, old, &path.child("finalizers"), errors);
    }
    if new.resource_version.as_deref().unwrap_or_default().is_empty() {
        errors.invalid(&path.child("resourceVersion"), "", "must be specified for an update");
    }
    if new.generation.unwrap_or(0) < old.generation.unwrap_or(0) {
        let value = new.generation.unwrap_or(0);
        errors.invalid(&path.child("generation"), value, "must not be decremented");
    }
    let texts = [
        ("name", &new.name, &old.name),
        ("namespace", &new.namespace, &old.namespace),
        ("uid", &new.uid, &old.uid),
    ];
    for (field, new, old) in texts {
        let (new, old) = (new.as_deref().unwrap_or_default(), old.as_deref().unwrap_or_default());
        if new != old {
            errors.invalid(&path.child(field), new, IMMUTABLE);
        }
    }
    let times = [
        ("creationTimestamp", &new.creation_timestamp, &old.creation_timestamp),
        ("deletionTimestamp", &new.deletion_timestamp, &old.deletion_timestamp),
    ];
    for (field, new, old) in times {
        if new != old {
            errors.invalid(&path.child(field), json!(new), IMMUTABLE);
        }
    }
    if new.deletion_grace_period_seconds != old.deletion_grace_period_seconds {
        let value = json!(new.deletion_grace_period_seconds);
        errors.invalid(&path.child("deletionGracePeriodSeconds"), value, IMMUTABLE);
    }
    validate_parts(new, &path, errors);
}

/// What creation and update check alike.
fn validate_parts(meta: &ObjectMeta, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_labels(meta.labels.as_ref(), &path.child("labels"), errors);
    validate_annotations(meta.annotations.as_ref(), &path.child("annotations"), errors);
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    validate_owners(owners, &path.child("ownerReferences"), errors);
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    validate_finalizers(finalizers, &path.child("finalizers"), errors);
    let entries = meta.managed_fields.as_deref().unwrap_or_default();
    validate_managed_fields(entries, &path.child("managedFields"), errors);
}

/// Collects what is wrong with labels.
pub(crate) fn validate_labels(
    labels: Option<&BTreeMap<String, String>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (key, value) in labels.into_iter().flatten() {
        errors.invalid_each(path, key, is_qualified_name(key));
        errors.invalid_each(path, value, is_label_value(value));
    }
}

/// Collects what is wrong with annotations.
pub(crate) fn validate_annotations(
    annotations: Option<&BTreeMap<String, String>>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut bytes = 0;
    for (key, value) in annotations.into_iter().flatten() {
        errors.invalid_each(path, key, is_annotation_key(key));
        bytes += key.len() + value.len();
    }
    if bytes > ANNOTATION_BYTES {
        errors.too_long(path, ANNOTATION_BYTES);
    }
}

/// A number that may not be negative.
pub(crate) fn validate_not_negative(value: impl Into<i64>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let value = value.into();
    if value < 0 {
        errors.invalid(path, value, NEGATIVE);
    }
}

fn validate_owners(owners: &[OwnerReference], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        validate_owner(owner, path, errors);
        if owner.controller != Some(true) {
            continue;
        }
        match controller {
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and \
                     {}/{}",
                    first.kind, first.name, owner.kind, owner.name
                );
                errors.invalid(path, json!(owners), detail);
            }
            None => controller = Some(owner),
        }
    }
}

fn validate_owner(owner: &OwnerReference, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let version = match owner.api_version.split('/').collect::<Vec<_>>()[..] {
        [version] | [_, version] => version,
        _ => "",
    };
    if version.is_empty() {
        errors.invalid(&path.child("apiVersion"), owner.api_version.as_str(), "version must not be empty");
    }
    for (field, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
        if value.is_empty() {
            errors.invalid(&path.child(field), value.as_str(), "must not be empty");
        }
    }
    if matches!(owner.api_version.as_str(), "v1" | "/v1") && owner.kind == "Event" {
        errors.invalid(path, json!(owner), "/v1, Kind=Event is disallowed from being an owner");
    }
}

fn validate_finalizers(finalizers: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for finalizer in finalizers {
        errors.invalid_each(path, finalizer, is_qualified_name(finalizer));
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(FINALIZER_ORPHAN) && has(FINALIZER_FOREGROUND) {
        let detail = format!("finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set");
        errors.invalid(path, json!(finalizers), detail);
    }
}

/// A finalizer without a domain must be one of Kubernetes' own.
pub(crate) fn validate_standard_finalizer(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let standard = [FINALIZER_KUBERNETES, FINALIZER_ORPHAN, FINALIZER_FOREGROUND];
    if !name.contains('/') && !standard.contains(&name) {
        errors.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

fn validate_no_new_finalizers(
    new: &ObjectMeta,
    old: &ObjectMeta,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let before = old.finalizers.as_deref().unwrap_or_default();
    let mut added: Vec<&String> =
        new.finalizers.iter().flatten().filter(|finalizer| !before.contains(finalizer)).collect();
    if added.is_empty() {
        return;
    }
    added.sort();
    added.dedup();
    let list = added.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    errors.forbidden(
        path,
        format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
        ),
    );
}

fn validate_managed_fields(entries: &[ManagedFieldsEntry], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, entry) in entries.iter().enumerate() {
        let path = path.index(at);
        let operation = entry.operation.as_deref().unwrap_or_default();
        if !matches!(operation, "Apply" | "Update") {
            errors.invalid(&path.child("operation"), operation, "must be `Apply` or `Update`");
        }
        let fields_type = entry.fields_type.as_deref().unwrap_or_default();
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.invalid(&path.child("fieldsType"), fields_type, "must be `FieldsV1`");
        }
        let manager = entry.manager.as_deref().unwrap_or_default();
        validate_field_manager(manager, &path.child("manager"), errors);
        if entry.subresource.as_deref().unwrap_or_default().len() > SUBRESOURCE_NAME_BYTES {
            errors.too_long(&path.child("subresource"), SUBRESOURCE_NAME_BYTES);
        }
    }
}

/// The name that a client gives itself as the owner of fields.
pub fn validate_field_manager(manager: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if manager.len() > FIELD_MANAGER_BYTES {
        errors.too_long(path, FIELD_MANAGER_BYTES);
    }
    for (at, letter) in manager.char_indices().filter(|(_, letter)| letter.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {at})", letter as u32);
        errors.invalid(path, Value::from(manager), detail);
    }
}

#[cfg(test)]
mod tests;
