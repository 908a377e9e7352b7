//! PersistentVolumeClaim: what storage a pod asks for, and what it got.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ModifyVolumeStatus, PersistentVolumeClaim, PersistentVolumeClaimCondition, PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus, TypedLocalObjectReference, TypedObjectReference,
};
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::{list, text, validate_label_selector};
use super::persistent_volume::{
    CLASS_ANNOTATION, VOLUME_MODES, access_text, class_text, storage_text, validate_access_modes,
};
use super::resources::{ResourceList, is_native, round_amounts, validate_amount};
use super::unchanged::{changes, validate_unchanged};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;
use crate::api::names::{check_name, is_dns1123_label, is_dns1123_subdomain, is_qualified_name};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::api::quantity::Amount;

const CLAIM: &str = "PersistentVolumeClaim";
const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

impl Kind for PersistentVolumeClaim {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["pvc"];
    const HAS_STATUS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["name"];
    const QUANTITIES: &'static [&'static str] = &["allocatedResources"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Status", wide: false },
        Column { name: "Volume", wide: false },
        Column { name: "Capacity", wide: false },
        Column { name: "Access Modes", wide: false },
        Column { name: "StorageClass", wide: false },
        Column { name: "VolumeAttributesClass", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "VolumeMode", wide: true },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let status = self.status.get_or_insert_default();
        if text(&status.phase).is_empty() {
            status.phase = Some("Pending".to_owned());
        }
        round_amounts(&mut status.capacity);
        round_amounts(&mut status.allocated_resources);
        let spec = self.spec.get_or_insert_default();
        spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        if let Some(resources) = &mut spec.resources {
            round_amounts(&mut resources.requests);
            round_amounts(&mut resources.limits);
        }
    }

    fn prepare_create(&mut self) {
        let phase = Some("Pending".to_owned());
        self.status = Some(PersistentVolumeClaimStatus { phase, ..Default::default() });
        prepare_sources(self.spec.get_or_insert_default(), None);
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        prepare_sources(self.spec.get_or_insert_default(), old.spec.as_ref());
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(spec) = &self.spec {
            validate_spec(spec, &FieldPath::new("spec"), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        validate_change(self, old, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let none = PersistentVolumeClaimStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        if self.spec.as_ref().is_none_or(|spec| list(&spec.access_modes).is_empty()) {
            // Upstream's own spelling of the field.
            errors.required(&FieldPath::new("Spec").child("accessModes"), "");
        }
        let path = FieldPath::new("status");
        validate_capacity(&status.capacity, &path.child("capacity"), errors);
        let field = path.child("allocatedResourceStatuses");
        for (name, resize) in status.allocated_resource_statuses.iter().flatten() {
            validate_resource_key(name, &field, errors);
            if !RESIZES.contains(&resize.as_str()) {
                errors.not_supported(&field, name.as_str(), &RESIZES);
            }
        }
        let field = path.child("allocatedResources");
        for (name, quantity) in status.allocated_resources.iter().flatten() {
            if validate_resource_key(name, &field, errors) {
                validate_amount("storage", quantity, &field.key(name), errors);
            }
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        terms.add("name", text(&self.metadata.name));
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let (none, empty) = (PersistentVolumeClaimSpec::default(), PersistentVolumeClaimStatus::default());
        let (spec, status) = (self.spec.as_ref().unwrap_or(&none), self.status.as_ref().unwrap_or(&empty));
        let or_unset = |value: &Option<String>| value.clone().unwrap_or_else(|| "<unset>".to_owned());
        let phase = match self.metadata.deletion_timestamp {
            Some(_) => "Terminating",
            None => text(&status.phase),
        };
        let volume = text(&spec.volume_name);
        let (capacity, modes) = if volume.is_empty() {
            (String::new(), String::new())
        } else {
            let size = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
            (storage_text(size), access_text(list(&status.access_modes)))
        };
        vec![
            phase.to_owned(),
            volume.to_owned(),
            capacity,
            modes,
            class_text(&self.metadata.annotations, &spec.storage_class_name),
            or_unset(&spec.volume_attributes_class_name),
            since(self.metadata.creation_timestamp.as_ref(), now),
            or_unset(&spec.volume_mode),
        ]
    }
}

/// Brings the two fields that say what a volume is filled from into agreement: the old one, which knows claims and
/// snapshots of the same namespace alone, and the new one.
fn prepare_sources(spec: &mut PersistentVolumeClaimSpec, old: Option<&PersistentVolumeClaimSpec>) {
    // A source in another namespace is behind a feature that is off in a default server.
    let elsewhere = spec.data_source_ref.as_ref().is_some_and(|source| !text(&source.namespace).is_empty());
    if elsewhere && old.is_none_or(|old| old.data_source_ref.is_none()) {
        spec.data_source_ref = None;
    }
    let in_use = old.is_some_and(|old| old.data_source.is_some() || old.data_source_ref.is_some());
    if !in_use && spec.data_source_ref.is_none() && !spec.data_source.as_ref().is_some_and(is_old_source) {
        spec.data_source = None;
    }
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(source), None) => {
            spec.data_source_ref = Some(TypedObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
                ..Default::default()
            });
        }
        (None, Some(source)) if text(&source.namespace).is_empty() => {
            spec.data_source = Some(TypedLocalObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
            });
        }
        _ => {}
    }
}

fn is_old_source(source: &TypedLocalObjectReference) -> bool {
    matches!(
        (text(&source.api_group), source.kind.as_str()),
        ("", CLAIM) | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// Collects what is wrong with a claim's specification.
pub(super) fn validate_spec(
    spec: &PersistentVolumeClaimSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let modes = list(&spec.access_modes);
    let field = path.child("accessModes");
    if modes.is_empty() {
        errors.required(&field, "at least 1 access mode is required");
    }
    if let Some(selector) = &spec.selector {
        validate_label_selector(selector, &path.child("selector"), errors);
    }
    validate_access_modes(modes, &field, errors);
    validate_size(spec, &path.child("resources").key("storage"), errors);
    validate_class_name(text(&spec.storage_class_name), &path.child("storageClassName"), errors);
    if let Some(mode) = spec.volume_mode.as_deref().filter(|mode| !VOLUME_MODES.contains(mode)) {
        errors.not_supported(&path.child("volumeMode"), mode, &VOLUME_MODES);
    }
    validate_sources(spec, path, errors);
    let class = text(&spec.volume_attributes_class_name);
    validate_class_name(class, &path.child("volumeAttributesClassName"), errors);
}

fn validate_class_name(class: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !class.is_empty() {
        errors.invalid_each(path, class, check_name(is_dns1123_subdomain, class, false));
    }
}

fn validate_size(spec: &PersistentVolumeClaimSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let Some(size) = requests.and_then(|requests| requests.get("storage")) else {
        errors.required(path, "");
        return;
    };
    match Amount::parse(&size.0) {
        Err(wrong) => errors.invalid(path, size.0.as_str(), wrong.to_string()),
        Ok(amount) if amount.signum() <= 0 => {
            errors.invalid(path, amount.to_string(), "must be greater than zero");
        }
        Ok(_) => {}
    }
}

fn validate_sources(spec: &PersistentVolumeClaimSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (source, reference) = (spec.data_source.as_ref(), spec.data_source_ref.as_ref());
    if let Some(source) = source {
        let path = path.child("dataSource");
        validate_source(&source.name, &source.kind, text(&source.api_group), &path, errors);
    }
    let mut elsewhere = false;
    if let Some(reference) = reference {
        let path = path.child("dataSourceRef");
        validate_source(&reference.name, &reference.kind, text(&reference.api_group), &path, errors);
        let namespace = text(&reference.namespace);
        elsewhere = !namespace.is_empty();
        if elsewhere {
            let wrong = check_name(is_dns1123_label, namespace, false);
            errors.invalid_each(&path.child("namespace"), namespace, wrong);
        }
    }
    // The value that upstream shows is a path, of which its encoder sees nothing.
    if let (Some(source), Some(reference)) = (source, reference) {
        let same = (&source.api_group, &source.kind, &source.name)
            == (&reference.api_group, &reference.kind, &reference.name);
        if elsewhere {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            errors.invalid(path, json!({}), detail);
        } else if !same {
            errors.invalid(path, json!({}), "must match dataSourceRef");
        }
    }
}

fn validate_source(name: &str, kind: &str, group: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, value) in [("name", name), ("kind", kind)] {
        if value.is_empty() {
            errors.required(&path.child(field), "");
        }
    }
    if group.is_empty() && kind != CLAIM {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.invalid(path, kind, detail);
    }
    if !group.is_empty() {
        errors.invalid_each(&path.child("apiGroup"), group, is_dns1123_subdomain(group));
    }
}

/// What of a claim may change: the name of its volume while it has none, its class once, its size and attributes
/// once it is bound.
fn validate_change(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim, errors: &mut FieldErrors) {
    let (none, path) = (PersistentVolumeClaimSpec::default(), FieldPath::new("spec"));
    let spec = new.spec.as_ref().unwrap_or(&none);
    let mut before = old.spec.clone().unwrap_or_default();
    prepare_sources(&mut before, old.spec.as_ref());
    let mut rest = spec.clone();
    if text(&before.volume_name).is_empty() {
        before.volume_name.clone_from(&rest.volume_name);
    }
    put_back_class(&mut rest, &before, new, old, errors);
    let status = new.status.as_ref();
    if status.is_some_and(|status| text(&status.phase) == "Bound") {
        let size = before.resources.as_ref().and_then(|it| it.requests.as_ref()?.get("storage").cloned());
        if let Some(requests) = rest.resources.as_mut().and_then(|it| it.requests.as_mut()) {
            // What is left out counts as nothing.
            requests.insert("storage".to_owned(), size.unwrap_or_default());
        }
        rest.volume_attributes_class_name.clone_from(&before.volume_attributes_class_name);
    }
    rest.make_canonical();
    before.make_canonical();
    if rest != before {
        let changes = changes(&path, &before, &rest);
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims\n{changes}"
        );
        errors.forbidden(&path, detail);
    }
    validate_shrink(new, old, &path, errors);
    validate_unchanged(&spec.volume_mode, &before.volume_mode, &FieldPath::new("volumeMode"), errors);
    let class = &spec.volume_attributes_class_name;
    let was = old.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_ref());
    let current = status.is_some_and(|status| status.current_volume_attributes_class_name.is_some());
    if current && class.as_ref() != was {
        let what = match class.as_deref() {
            None => "nil",
            Some("") => "empty string",
            Some(_) => return,
        };
        let detail =
            format!("update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil");
        errors.forbidden(&path.child("volumeAttributesClassName"), detail);
    }
}

/// A claim without a class gets one once; one whose class was an annotation may turn it into the field.
fn put_back_class(
    rest: &mut PersistentVolumeClaimSpec,
    before: &PersistentVolumeClaimSpec,
    new: &PersistentVolumeClaim,
    old: &PersistentVolumeClaim,
    errors: &mut FieldErrors,
) {
    let annotation = |claim: &PersistentVolumeClaim| {
        claim.metadata.annotations.as_ref().and_then(|them| them.get(CLASS_ANNOTATION)).cloned()
    };
    let (was, is) = (annotation(old), annotation(new));
    let gets_class = before.storage_class_name.is_none() && rest.storage_class_name.is_some();
    let from_annotation =
        gets_class && was.is_some() && rest.storage_class_name == was && (is.is_none() || is == was);
    if from_annotation {
        rest.storage_class_name = None;
        return;
    }
    if was.clone().unwrap_or_default() != is.clone().unwrap_or_default() {
        let path = FieldPath::new("metadata");
        let path = path.child("annotations");
        errors.invalid(&path.child(CLASS_ANNOTATION), is.unwrap_or_default(), IMMUTABLE);
    }
    if gets_class && (was.is_none() || rest.storage_class_name == was) {
        rest.storage_class_name.clone_from(&before.storage_class_name);
    }
}

/// A claim may become smaller only while its volume is not yet as large.
fn validate_shrink(
    new: &PersistentVolumeClaim,
    old: &PersistentVolumeClaim,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let amount = |amounts: Option<&ResourceList>| {
        let size = amounts.and_then(|amounts| amounts.get("storage"));
        size.and_then(|size| Amount::parse(&size.0).ok()).unwrap_or_default()
    };
    let requested = |claim: &PersistentVolumeClaim| {
        let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
        amount(resources.and_then(|resources| resources.requests.as_ref()))
    };
    let has = amount(old.status.as_ref().and_then(|status| status.capacity.as_ref()));
    let (size, before) = (requested(new), requested(old));
    if size < before && size <= has {
        let (resources, detail) = (path.child("resources"), "field can not be less than status.capacity");
        errors.forbidden(&resources.child("requests").child("storage"), detail);
    }
}

fn validate_capacity(capacity: &Option<ResourceList>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (name, quantity) in capacity.iter().flatten() {
        match Amount::parse(&quantity.0) {
            Err(wrong) => errors.invalid(&path.key(name), quantity.0.as_str(), wrong.to_string()),
            Ok(amount) if amount.value() < 0 => {
                errors.invalid(&path.key(name), amount.value(), "must be a valid resource quantity");
            }
            Ok(_) => {}
        }
    }
}

/// The name of something that a volume can have more of; whether it is one.
fn validate_resource_key(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) -> bool {
    let wrong = is_qualified_name(name);
    let qualified = wrong.is_empty();
    errors.invalid_each(path, name, wrong);
    if qualified && is_native(name) && name != "storage" {
        errors.not_supported(path, name, &["storage"]);
        return false;
    }
    qualified
}

canonical! {
    ModifyVolumeStatus {
        drop: target_volume_attributes_class_name;
    }
    PersistentVolumeClaim {
        fill: spec, status;
    }
    PersistentVolumeClaimCondition {
        drop: message, reason;
        keep: last_probe_time, last_transition_time;
    }
    PersistentVolumeClaimStatus {
        drop: access_modes, allocated_resource_statuses, allocated_resources, capacity, conditions, phase;
        keep: modify_volume_status;
    }
}
