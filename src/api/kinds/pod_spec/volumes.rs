//! The volumes of a pod: their names, and what each source must say.
//!
//! Sources that no node of ours mounts are counted but not looked into.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, DownwardAPIVolumeFile, GitRepoVolumeSource, HostPathVolumeSource, ImageVolumeSource,
    KeyToPath, NFSVolumeSource, PodSpec, Volume,
};

use super::containers::PULL_POLICIES;
use super::env::{validate_field, validate_resource};
use super::mounts::{validate_descending, validate_no_backsteps, validate_non_reserved};
use super::{Of, Volumes, projected};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_dns_label, validate_required_choice};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::quantity::Amount;

/// One source of volumes: its field, and whether a volume has it.
pub(super) struct Source {
    /// The field, in the spelling of upstream's messages.
    pub field: &'static str,
    /// Whether the volume has it.
    pub is_set: fn(&Volume) -> bool,
}

macro_rules! sources {
    ($($name:literal $field:ident,)+) => {
        &[$(Source { field: $name, is_set: |volume| volume.$field.is_some() },)+]
    };
}

/// Every source, in the order in which upstream looks for a second one.
pub(super) const SOURCES: &[Source] = sources![
    "emptyDir" empty_dir,
    "hostPath" host_path,
    "gitRepo" git_repo,
    "gcePersistentDisk" gce_persistent_disk,
    "awsElasticBlockStore" aws_elastic_block_store,
    "secret" secret,
    "nfs" nfs,
    "iscsi" iscsi,
    "glusterfs" glusterfs,
    "flocker" flocker,
    "persistentVolumeClaim" persistent_volume_claim,
    "rbd" rbd,
    "cinder" cinder,
    "cephFS" cephfs,
    "quobyte" quobyte,
    "downwarAPI" downward_api,
    "fc" fc,
    "flexVolume" flex_volume,
    "configMap" config_map,
    "azureFile" azure_file,
    "vsphereVolume" vsphere_volume,
    "photonPersistentDisk" photon_persistent_disk,
    "portworxVolume" portworx_volume,
    "azureDisk" azure_disk,
    "storageos" storageos,
    "projected" projected,
    "scaleIO" scale_io,
    "csi" csi,
    "ephemeral" ephemeral,
    "image" image,
];

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Collects what is wrong with the volumes, and answers with those that mounts may name.
pub(super) fn validate_volumes<'a>(
    spec: &'a PodSpec,
    of: Of<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Volumes<'a> {
    let mut names = BTreeSet::new();
    let mut volumes = Volumes::new();
    for (at, volume) in list(&spec.volumes).iter().enumerate() {
        let path = path.index(at);
        let before = errors.len();
        validate_source(volume, of, &path, errors);
        let name = volume.name.as_str();
        if name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            validate_dns_label(name, &path.child("name"), errors);
        }
        if names.contains(name) {
            errors.duplicate(&path.child("name"), name);
        }
        if errors.len() == before {
            names.insert(name);
            volumes.insert(name, volume);
        }
        validate_claim_name(spec, volume, of, &path, errors);
    }
    volumes
}

/// A claim that is made for one volume of the pod is not for another.
fn validate_claim_name(
    spec: &PodSpec,
    volume: &Volume,
    of: Of<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (Of::Pod(meta), Some(claim)) = (of, &volume.persistent_volume_claim) else { return };
    let pod = text(&meta.name);
    let made = |other: &&Volume| other.ephemeral.is_some();
    let mut made = list(&spec.volumes).iter().filter(made);
    if !pod.is_empty() && made.any(|other| claim.claim_name == format!("{pod}-{}", other.name)) {
        let path = path.child("persistentVolumeClaim");
        let detail = "must not reference a PVC that gets created for an ephemeral volume";
        errors.invalid(&path.child("claimName"), claim.claim_name.as_str(), detail);
    }
}

fn validate_source(volume: &Volume, of: Of<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut given = SOURCES.iter().filter(|source| (source.is_set)(volume));
    let Some(first) = given.next() else {
        errors.required(path, "must specify a volume type");
        return;
    };
    validate_first(volume, first.field, of, path, errors);
    for more in given {
        errors.forbidden(&path.child(more.field), "may not specify more than 1 volume type");
    }
}

fn validate_first(volume: &Volume, first: &str, of: Of<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let field = path.child(first);
    if let Some(source) = &volume.empty_dir {
        let limit = source.size_limit.as_ref().map(|limit| Amount::parse(&limit.0));
        if limit.is_some_and(|limit| limit.is_err() || limit.is_ok_and(|limit| limit.signum() < 0)) {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.forbidden(&field.child("sizeLimit"), detail);
        }
    } else if let Some(source) = &volume.host_path {
        validate_host_path(source, &field, errors);
    } else if let Some(source) = &volume.git_repo {
        validate_git_repo(source, &field, errors);
    } else if let Some(source) = &volume.secret {
        if text(&source.secret_name).is_empty() {
            errors.required(&field.child("secretName"), "");
        }
        validate_mode(source.default_mode, &field.child("defaultMode"), errors);
        validate_items(list(&source.items), &field.child("items"), errors);
    } else if let Some(source) = &volume.nfs {
        validate_nfs(source, &field, errors);
    } else if let Some(source) = &volume.persistent_volume_claim {
        if source.claim_name.is_empty() {
            errors.required(&field.child("claimName"), "");
        }
    } else if let Some(source) = &volume.downward_api {
        let field = path.child("downwardAPI");
        validate_mode(source.default_mode, &field.child("defaultMode"), errors);
        for file in list(&source.items) {
            validate_downward_file(file, &field, errors);
        }
    } else if let Some(source) = &volume.config_map {
        if source.name.is_empty() {
            errors.required(&field.child("name"), "");
        }
        validate_mode(source.default_mode, &field.child("defaultMode"), errors);
        validate_items(list(&source.items), &field.child("items"), errors);
    } else if let Some(source) = &volume.projected {
        projected::validate_projected(source, &field, errors);
    } else if let Some(source) = &volume.csi {
        validate_csi(source, &field, errors);
    } else if let Some(source) = &volume.ephemeral {
        if source.volume_claim_template.is_none() {
            errors.required(&field.child("volumeClaimTemplate"), "");
        }
        validate_made_claim(volume, of, path, errors);
    } else if let Some(source) = &volume.image {
        validate_image(source, of, &field, errors);
    }
}

fn validate_made_claim(volume: &Volume, of: Of<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Of::Pod(meta) = of else { return };
    let pod = text(&meta.name);
    if pod.is_empty() || volume.name.is_empty() {
        return;
    }
    let claim = format!("{pod}-{}", volume.name);
    for wrong in check_name(is_dns1123_subdomain, &claim, false) {
        let detail = format!("PVC name {claim:?}: {wrong}");
        errors.invalid(&path.child("name"), volume.name.as_str(), detail);
    }
}

/// A path of the node.
pub(crate) fn validate_host_path(
    source: &HostPathVolumeSource,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if source.path.is_empty() {
        errors.required(&path.child("path"), "");
        return;
    }
    validate_no_backsteps(&source.path, &path.child("path"), errors);
    let kind = text(&source.type_);
    if !HOST_PATH_TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), kind, &HOST_PATH_TYPES);
    }
}

fn validate_git_repo(source: &GitRepoVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if source.repository.is_empty() {
        errors.required(&path.child("repository"), "");
    }
    validate_descending(text(&source.directory), &path.child("directory"), errors);
}

/// A folder of a file server.
pub(crate) fn validate_nfs(source: &NFSVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if source.server.is_empty() {
        errors.required(&path.child("server"), "");
    }
    if source.path.is_empty() {
        errors.required(&path.child("path"), "");
    }
    if !source.path.starts_with('/') {
        errors.invalid(&path.child("path"), source.path.as_str(), "must be an absolute path");
    }
}

fn validate_csi(source: &CSIVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const DRIVER_BYTES: usize = 63;
    let driver = source.driver.as_str();
    let field = path.child("driver");
    if driver.is_empty() {
        errors.required(&field, "");
    } else {
        if driver.len() > DRIVER_BYTES {
            errors.too_long(&field, DRIVER_BYTES);
        }
        errors.invalid_each(&field, driver, is_dns1123_subdomain(&driver.to_lowercase()));
    }
    match source.node_publish_secret_ref.as_ref().map(|secret| secret.name.as_str()) {
        None => {}
        Some("") => errors.required(&path.child("nodePublishSecretRef").child("name"), ""),
        Some(name) => {
            let wrong = check_name(is_dns1123_subdomain, name, false);
            errors.invalid_each(&path.child("name"), name, wrong);
        }
    }
}

fn validate_image(source: &ImageVolumeSource, of: Of<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if matches!(of, Of::Pod(_)) && text(&source.reference).is_empty() {
        errors.required(&path.child("reference"), "");
    }
    validate_required_choice(&source.pull_policy, &PULL_POLICIES, &path.child("pullPolicy"), errors);
}

/// The mode of files, as chmod takes it.
pub(super) fn validate_mode(mode: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive");
    }
}

fn validate_items(items: &[KeyToPath], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, item) in items.iter().enumerate() {
        validate_item(item, &path.index(at), errors);
    }
}

/// One key, and the file that it becomes.
pub(super) fn validate_item(item: &KeyToPath, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if item.key.is_empty() {
        errors.required(&path.child("key"), "");
    }
    if item.path.is_empty() {
        errors.required(&path.child("path"), "");
    }
    validate_non_reserved(&item.path, &path.child("path"), errors);
    validate_mode(item.mode, &path.child("mode"), errors);
}

/// One field of the pod, and the file that it becomes. Upstream names the volume in its paths.
pub(super) fn validate_downward_file(
    file: &DownwardAPIVolumeFile,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if file.path.is_empty() {
        errors.required(&path.child("path"), "");
    }
    validate_non_reserved(&file.path, &path.child("path"), errors);
    if let Some(field) = &file.field_ref {
        validate_field(field, &VOLUME_FIELDS, &path.child("fieldRef"), errors);
        if file.resource_field_ref.is_some() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.invalid(path, "resource", detail);
        }
    } else if let Some(resource) = &file.resource_field_ref {
        validate_resource(resource, true, &path.child("resourceFieldRef"), errors);
    } else {
        errors.required(path, "one of fieldRef and resourceFieldRef is required");
    }
    validate_mode(file.mode, &path.child("mode"), errors);
}
