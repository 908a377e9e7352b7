//! Where volumes come from: classes of storage, drivers, and what is attached where.
//!
//! Owns the kinds of `storage.k8s.io` and the rules that they share. Makes, attaches and mounts nothing.

mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
mod storage_class;
mod volume_attachment;
mod volume_attributes_class;

use std::collections::BTreeMap;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{is_dns1123_subdomain, is_qualified_name};
use crate::limits::{CLASS_PARAMETER_BYTES, CLASS_PARAMETERS, CSI_DRIVER_BYTES};

/// The name of a CSI driver.
pub(super) fn validate_driver_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    if name.len() > CSI_DRIVER_BYTES {
        errors.too_long(path, CSI_DRIVER_BYTES);
    }
    errors.invalid_each(path, name, is_dns1123_subdomain(&name.to_lowercase()));
}

/// Who makes the volumes of a class.
fn validate_provisioner(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let lower = name.to_lowercase();
    errors.invalid_each(path, &lower, is_qualified_name(&lower));
}

/// What a class tells its driver.
fn validate_parameters(
    parameters: Option<&BTreeMap<String, String>>,
    may_be_empty: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let count = parameters.map_or(0, BTreeMap::len);
    if count > CLASS_PARAMETERS {
        errors.too_long(path, CLASS_PARAMETERS);
        return;
    }
    let mut bytes = 0;
    for (key, value) in parameters.into_iter().flatten() {
        if key.is_empty() {
            errors.invalid(path, "", "field can not be empty.");
        }
        bytes += key.len() + value.len();
    }
    if bytes > CLASS_PARAMETER_BYTES {
        errors.too_long(path, CLASS_PARAMETER_BYTES);
    }
    if !may_be_empty && count == 0 {
        errors.required(path, "must contain at least one key/value pair");
    }
}
