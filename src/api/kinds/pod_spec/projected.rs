//! Projected volumes: several sources in one folder, whose files may not meet.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, KeyToPath, ProjectedVolumeSource, ServiceAccountTokenProjection,
    VolumeProjection,
};
use serde_json::json;

use super::mounts::validate_non_reserved;
use super::volumes::{validate_downward_file, validate_item, validate_mode};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, validate_label_selector};

/// The shortest and the longest life of a token, in seconds.
const TOKEN_SECONDS: std::ops::RangeInclusive<i64> = 600..=1 << 32;

pub(super) fn validate_projected(
    volume: &ProjectedVolumeSource,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_mode(volume.default_mode, &path.child("defaultMode"), errors);
    let mut files = BTreeSet::new();
    for (at, source) in list(&volume.sources).iter().enumerate() {
        let sources = path.child("sources");
        let entry = sources.index(at);
        let count = validate_source(source, &mut files, path, &entry, errors);
        if count > 1 {
            errors.forbidden(&entry, "may not specify more than 1 volume type per source");
        }
    }
}

/// Collects what is wrong with one source; answers how many it is in truth.
fn validate_source<'a>(
    source: &'a VolumeProjection,
    files: &mut BTreeSet<&'a str>,
    path: &FieldPath<'_>,
    entry: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> usize {
    let mut count = 0;
    let secret = source.secret.as_ref().map(|secret| ("secret", &secret.name, list(&secret.items)));
    let map = source.config_map.as_ref().map(|map| ("configMap", &map.name, list(&map.items)));
    for (field, name, items) in [secret, map].into_iter().flatten() {
        count += 1;
        if name.is_empty() {
            errors.required(&entry.child(field).child("name"), "");
        }
        validate_items(items, name, files, path, &entry.child(field), errors);
    }
    if let Some(api) = &source.downward_api {
        count += 1;
        for file in list(&api.items) {
            validate_downward_file(file, &entry.child("downwardAPI"), errors);
            if !file.path.is_empty() && !files.insert(&file.path) {
                errors.invalid(path, file.path.as_str(), "conflicting duplicate paths");
            }
        }
    }
    if let Some(token) = &source.service_account_token {
        count += 1;
        validate_token(token, path, &entry.child("serviceAccountToken"), errors);
    }
    if let Some(bundle) = &source.cluster_trust_bundle {
        count += 1;
        validate_bundle(bundle, &entry.child("clusterTrustBundle"), errors);
        if !files.insert(&bundle.path) {
            errors.invalid(path, bundle.path.as_str(), "conflicting duplicate paths");
        }
    }
    count + usize::from(source.pod_certificate.is_some())
}

fn validate_items<'a>(
    items: &'a [KeyToPath],
    name: &str,
    files: &mut BTreeSet<&'a str>,
    path: &FieldPath<'_>,
    entry: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (at, item) in items.iter().enumerate() {
        validate_item(item, &entry.child("items").index(at), errors);
        if !item.path.is_empty() && !files.insert(&item.path) {
            errors.invalid(path, name, "conflicting duplicate paths");
        }
    }
}

fn validate_token(
    token: &ServiceAccountTokenProjection,
    path: &FieldPath<'_>,
    entry: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let seconds = token.expiration_seconds.unwrap_or(0);
    let field = entry.child("expirationSeconds");
    if seconds < *TOKEN_SECONDS.start() {
        errors.invalid(&field, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > *TOKEN_SECONDS.end() {
        errors.invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if token.path.is_empty() {
        errors.required(&path.child("path"), "");
    } else {
        validate_non_reserved(&token.path, &path.child("path"), errors);
    }
}

fn validate_bundle(bundle: &ClusterTrustBundleProjection, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match (&bundle.name, &bundle.signer_name) {
        (Some(_), Some(_)) => {
            errors.invalid(path, json!(bundle), "only one of name and signerName may be used");
        }
        (Some(name), None) => {
            if name.is_empty() {
                errors.required(&path.child("name"), "must be a valid object name");
            }
            if let Some(selector) = &bundle.label_selector {
                let detail = "labelSelector must be unset if name is specified";
                errors.invalid(&path.child("labelSelector"), json!(selector), detail);
            }
        }
        (None, Some(signer)) => {
            if signer.is_empty() {
                errors.required(&path.child("signerName"), "must be a valid signer name");
            }
            if let Some(selector) = &bundle.label_selector {
                validate_label_selector(selector, &path.child("labelSelector"), errors);
            }
        }
        (None, None) => errors.required(path, "either name or signerName must be specified"),
    }
    if bundle.path.is_empty() {
        errors.required(&path.child("path"), "");
    }
    validate_non_reserved(&bundle.path, &path.child("path"), errors);
}
