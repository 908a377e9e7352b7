//! Where a container sees its volumes, and the rules of paths.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::Volumes;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text};

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
const RECURSIVE_READ_ONLY: [&str; 3] = ["Disabled", "Enabled", "IfPossible"];

pub(super) fn validate_mounts(
    container: &Container,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let devices = list(&container.volume_devices);
    let mut seen = BTreeSet::new();
    for (at, mount) in list(&container.volume_mounts).iter().enumerate() {
        let path_of = path.index(at);
        let (name, target) = (mount.name.as_str(), mount.mount_path.as_str());
        if name.is_empty() {
            errors.required(&path_of.child("name"), "");
        }
        if !volumes.contains_key(name) {
            errors.not_found(&path_of.child("name"), name);
        }
        if target.is_empty() {
            errors.required(&path_of.child("mountPath"), "");
        }
        if !seen.insert(target) {
            errors.invalid(&path_of.child("mountPath"), target, "must be unique");
        }
        if devices.iter().any(|device| device.name == name) {
            errors.invalid(&path_of.child("name"), name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.device_path == target) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.invalid(&path_of.child("mountPath"), target, detail);
        }
        validate_sub_paths(mount, path, &path_of, errors);
        validate_propagation(mount, container, &path.child("mountPropagation"), errors);
        validate_recursive(mount, &path.child("recursiveReadOnly"), errors);
    }
}

/// Upstream names the list in the paths of these, not the entry.
fn validate_sub_paths(
    mount: &VolumeMount,
    path: &FieldPath<'_>,
    entry: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (fixed, expanded) = (text(&mount.sub_path), text(&mount.sub_path_expr));
    if !fixed.is_empty() {
        validate_descending(fixed, &path.child("subPath"), errors);
    }
    if !expanded.is_empty() {
        if !fixed.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.invalid(&entry.child("subPathExpr"), expanded, detail);
        }
        validate_descending(expanded, &path.child("subPathExpr"), errors);
    }
}

fn validate_propagation(
    mount: &VolumeMount,
    container: &Container,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(propagation) = mount.mount_propagation.as_deref() else { return };
    if !PROPAGATIONS.contains(&propagation) {
        errors.not_supported(path, propagation, &PROPAGATIONS);
    }
    let privileged =
        container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true));
    if propagation == "Bidirectional" && !privileged {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.forbidden(path, detail);
    }
}

fn validate_recursive(mount: &VolumeMount, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.forbidden(path, "may only be specified when readOnly is true");
            }
            if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.forbidden(path, detail);
            }
        }
        Some(other) => errors.not_supported(path, other, &RECURSIVE_READ_ONLY),
    }
}

pub(super) fn validate_devices(
    container: &Container,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mounts = list(&container.volume_mounts);
    let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for (at, device) in list(&container.volume_devices).iter().enumerate() {
        let path = path.index(at);
        let (name, target) = (device.name.as_str(), device.device_path.as_str());
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        }
        if names.contains(name) {
            errors.invalid(&path.child("name"), name, "must be unique");
        }
        match volumes.get(name) {
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&path.child("name"), name, detail);
            }
            Some(_) => {}
            None => errors.not_found(&path.child("name"), name),
        }
        if target.is_empty() {
            errors.required(&path.child("devicePath"), "");
        }
        if targets.contains(target) {
            errors.invalid(&path.child("devicePath"), target, "must be unique");
        }
        if has_backstep(target) {
            errors.invalid(&path.child("devicePath"), target, "can not contain backsteps ('..')");
        } else {
            targets.insert(target);
        }
        if mounts.iter().any(|mount| mount.name == name) {
            errors.invalid(&path.child("name"), name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.mount_path == target) {
            let detail = "must not already exist as a path in volumeMounts";
            errors.invalid(&path.child("devicePath"), target, detail);
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}

fn has_backstep(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// A path that never steps up.
pub(crate) fn validate_no_backsteps(target: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if has_backstep(target) {
        errors.invalid(path, target, "must not contain '..'");
    }
}

/// A path that stays below where it begins.
pub(super) fn validate_descending(target: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if target.starts_with('/') {
        errors.invalid(path, target, "must be a relative path");
    }
    validate_no_backsteps(target, path, errors);
}

/// A path below a volume, whose own files begin with two dots.
pub(super) fn validate_non_reserved(target: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_descending(target, path, errors);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.invalid(path, target, "must not start with '..'");
    }
}
