//! Claims of volumes as templates carry them: defaults, what may be wrong with a claim's specification, and its
//! canonical form.

use k8s_openapi::api::core::v1::{
    ModifyVolumeStatus, PersistentVolumeClaim, PersistentVolumeClaimCondition, PersistentVolumeClaimSpec,
    PersistentVolumeClaimStatus,
};

use super::canonical::canonical;
use super::fields::{list, text, validate_choice, validate_label_selector};
use super::pod_spec::or_word;
use super::resources::round_amounts;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_label, is_dns1123_subdomain};
use crate::api::quantity::Amount;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// Fills in what the user left open.
pub(crate) fn default_claim(claim: &mut PersistentVolumeClaim) {
    let spec = claim.spec.get_or_insert_default();
    spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    if let Some(resources) = &mut spec.resources {
        round_amounts(&mut resources.limits);
        round_amounts(&mut resources.requests);
    }
    or_word(&mut claim.status.get_or_insert_default().phase, "Pending");
}

/// Collects what is wrong with what a claim asks for.
pub(crate) fn validate_claim_spec(
    spec: &PersistentVolumeClaimSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let modes_path = path.child("accessModes");
    let modes = list(&spec.access_modes);
    if modes.is_empty() {
        errors.required(&modes_path, "at least 1 access mode is required");
    }
    if let Some(selector) = &spec.selector {
        validate_label_selector(selector, &path.child("selector"), errors);
    }
    let known = |mode: &&String| ACCESS_MODES.contains(&mode.as_str());
    for mode in modes.iter().filter(|mode| !known(mode)) {
        errors.not_supported(&modes_path, mode.as_str(), &ACCESS_MODES);
    }
    let (alone, shared): (Vec<&String>, Vec<&String>) =
        modes.iter().filter(known).partition(|mode| *mode == "ReadWriteOncePod");
    if !alone.is_empty() && !shared.is_empty() {
        errors.forbidden(&modes_path, "may not use ReadWriteOncePod with other access modes");
    }
    validate_storage(spec, path, errors);
    validate_class(&spec.storage_class_name, &path.child("storageClassName"), errors);
    validate_choice(&spec.volume_mode, &VOLUME_MODES, &path.child("volumeMode"), errors);
    validate_sources(spec, path, errors);
    validate_class(&spec.volume_attributes_class_name, &path.child("volumeAttributesClassName"), errors);
}

fn validate_storage(spec: &PersistentVolumeClaimSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let resources = path.child("resources");
    let path = resources.key("storage");
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let Some(storage) = requests.and_then(|requests| requests.get("storage")) else {
        errors.required(&path, "");
        return;
    };
    match Amount::parse(&storage.0) {
        Err(wrong) => errors.invalid(&path, storage.0.as_str(), wrong.to_string()),
        Ok(amount) if amount.signum() <= 0 => {
            errors.invalid(&path, amount.to_string(), "must be greater than zero");
        }
        Ok(_) => {}
    }
}

fn validate_class(class: &Option<String>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let class = text(class);
    if !class.is_empty() {
        errors.invalid_each(path, class, check_name(is_dns1123_subdomain, class, false));
    }
}

/// Where the contents come from: the same is said in two fields, the newer of which can say more.
fn validate_sources(spec: &PersistentVolumeClaimSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(source) = &spec.data_source {
        let path = path.child("dataSource");
        validate_source(&source.name, &source.kind, text(&source.api_group), &path, errors);
    }
    let Some(source) = &spec.data_source_ref else { return };
    let ref_path = path.child("dataSourceRef");
    validate_source(&source.name, &source.kind, text(&source.api_group), &ref_path, errors);
    let namespace = text(&source.namespace);
    if !namespace.is_empty() {
        errors.invalid_each(&ref_path.child("namespace"), namespace, is_dns1123_label(namespace));
    }
    let Some(old) = &spec.data_source else { return };
    let value = path.child("dataSource").to_string();
    if !namespace.is_empty() {
        errors.invalid(path, value, "may not be specified when dataSourceRef.namespace is specified");
    } else if (&old.api_group, &old.kind, &old.name) != (&source.api_group, &source.kind, &source.name) {
        errors.invalid(path, value, "must match dataSourceRef");
    }
}

fn validate_source(name: &str, kind: &str, group: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    if kind.is_empty() {
        errors.required(&path.child("kind"), "");
    }
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.invalid(path, kind, detail);
    }
    if !group.is_empty() {
        errors.invalid_each(&path.child("apiGroup"), group, is_dns1123_subdomain(group));
    }
}

canonical! {
    ModifyVolumeStatus {
        drop: target_volume_attributes_class_name;
    }
    PersistentVolumeClaim {
        fill: spec, status;
        deep: metadata;
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
