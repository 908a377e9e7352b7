//! The environment of a container: single variables and whole sources of them.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector, PodSpec, ResourceFieldSelector,
};

use super::defaults::all_containers;
use super::mounts::validate_no_backsteps;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_dns_label};
use crate::api::names::{
    check_name, is_annotation_key, is_config_map_key, is_dns1123_subdomain, is_env_var_name,
    is_qualified_name,
};
use crate::api::quantity::Amount;

/// The fields of a pod that a variable may have.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The fields of a pod that can be referred to at all.
const POD_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// The resources of a container that can be referred to.
const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn validate_env(vars: &[EnvVar], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, var) in vars.iter().enumerate() {
        let path = path.index(at);
        if var.name.is_empty() {
            errors.required(&path.child("name"), "");
        } else {
            errors.invalid_each(&path.child("name"), &var.name, is_env_var_name(&var.name));
        }
        if let Some(source) = &var.value_from {
            validate_source(source, text(&var.value), &path.child("valueFrom"), errors);
        }
    }
}

fn validate_source(source: &EnvVarSource, value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        validate_field(field, &ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        validate_resource(resource, false, &path.child("resourceFieldRef"), errors);
    }
    if let Some(key) = &source.config_map_key_ref {
        sources += 1;
        validate_key(&key.name, &key.key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(key) = &source.secret_key_ref {
        sources += 1;
        validate_key(&key.name, &key.key, &path.child("secretKeyRef"), errors);
    }
    if let Some(key) = &source.file_key_ref {
        sources += 1;
        validate_file_key(key, &path.child("fileKeyRef"), errors);
    }
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or \
                      `fileKeyRef`";
        errors.invalid(path, "", detail);
    } else if !value.is_empty() {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

fn validate_key(name: &str, key: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    errors.invalid_each(&path.child("name"), name, check_name(is_dns1123_subdomain, name, false));
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        errors.invalid_each(&path.child("key"), key, is_config_map_key(key));
    }
}

fn validate_file_key(key: &FileKeySelector, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match key.key.as_str() {
        "" => errors.required(&path.child("key"), ""),
        name => errors.invalid_each(&path.child("key"), name, is_env_var_name(name)),
    }
    match key.volume_name.as_str() {
        "" => errors.required(&path.child("volumeName"), ""),
        name => validate_dns_label(name, &path.child("volumeName"), errors),
    }
    match key.path.as_str() {
        "" => errors.required(&path.child("path"), ""),
        file => validate_no_backsteps(file, &path.child("path"), errors),
    }
}

/// A field of the pod, out of those that may be had here.
pub(super) fn validate_field(
    field: &ObjectFieldSelector,
    allowed: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let version = text(&field.api_version);
    if version.is_empty() {
        errors.required(&path.child("apiVersion"), "");
        return;
    }
    let name = field.field_path.as_str();
    if name.is_empty() {
        errors.required(&path.child("fieldPath"), "");
        return;
    }
    let subscripted = name.strip_suffix("']").and_then(|name| name.split_once("['"));
    let wrong = if version != "v1" {
        Some(format!("unsupported pod version: {version}"))
    } else {
        match subscripted {
            Some(("metadata.annotations" | "metadata.labels", _)) => None,
            Some((map, _)) if !map.is_empty() => {
                Some(format!("field label does not support subscript: {name}"))
            }
            _ if POD_FIELDS.contains(&name) || name == "spec.host" => None,
            _ => Some(format!("field label not supported: {name}")),
        }
    };
    if let Some(wrong) = wrong {
        errors.invalid(&path.child("fieldPath"), name, format!("error converting fieldPath: {wrong}"));
        return;
    }
    match subscripted {
        Some(("metadata.annotations", key)) => {
            errors.invalid_each(path, &key.to_lowercase(), is_annotation_key(key));
        }
        Some((_, key)) => errors.invalid_each(path, key, is_qualified_name(key)),
        None => {
            let name = if name == "spec.host" { "spec.nodeName" } else { name };
            if !allowed.contains(&name) {
                errors.not_supported(&path.child("fieldPath"), name, allowed);
            }
        }
    }
}

/// A resource of a container; a volume must say of which.
pub(super) fn validate_resource(
    field: &ResourceFieldSelector,
    of_volume: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let name = field.resource.as_str();
    let huge = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if of_volume && text(&field.container_name).is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if name.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !RESOURCE_FIELDS.contains(&name) && !huge {
        errors.not_supported(&path.child("resource"), name, &RESOURCE_FIELDS);
    }
    let Some(divisor) = &field.divisor else { return };
    let path = path.child("divisor");
    let amount = match Amount::parse(&divisor.0) {
        Ok(amount) => amount,
        Err(_) if divisor.0.is_empty() => return,
        Err(wrong) => {
            errors.invalid(&path, divisor.0.as_str(), wrong.to_string());
            return;
        }
    };
    let word = amount.to_string();
    let what = match name {
        _ if amount.is_zero() => return,
        "limits.cpu" | "requests.cpu" => {
            if !matches!(word.as_str(), "1m" | "1") {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                errors.invalid(&path, name, detail);
            }
            return;
        }
        "limits.memory" | "requests.memory" => "memory",
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => "local ephemeral storage",
        _ if huge => "hugepages",
        _ => return,
    };
    if !DIVISORS.contains(&word.as_str()) {
        let detail = format!(
            "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the \
             {what} resource"
        );
        errors.invalid(&path, name, detail);
    }
}

pub(super) fn validate_env_from(sources: &[EnvFromSource], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, source) in sources.iter().enumerate() {
        let path_of = path.index(at);
        let prefix = text(&source.prefix);
        if !prefix.is_empty() {
            errors.invalid_each(&path_of.child("prefix"), prefix, is_env_var_name(prefix));
        }
        let config_map = source.config_map_ref.as_ref().map(|source| source.name.as_str());
        let secret = source.secret_ref.as_ref().map(|source| source.name.as_str());
        for (field, name) in [("configMapRef", config_map), ("secretRef", secret)] {
            let path = path_of.child(field);
            match name {
                None => {}
                Some("") => errors.required(&path.child("name"), ""),
                Some(name) => {
                    let wrong = check_name(is_dns1123_subdomain, name, true);
                    errors.invalid_each(&path.child("name"), name, wrong);
                }
            }
        }
        // Upstream names the list here, not the entry.
        match (config_map, secret) {
            (None, None) => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            (Some(_), Some(_)) => {
                errors.invalid(path, "", "may not have more than one field specified at a time");
            }
            _ => {}
        }
    }
}

/// Files of variables come out of emptyDir volumes.
pub(super) fn validate_file_volumes(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (kind, at, container) in all_containers(spec) {
        for (var_at, var) in list(&container.env).iter().enumerate() {
            let Some(key) = var.value_from.as_ref().and_then(|source| source.file_key_ref.as_ref()) else {
                continue;
            };
            let wanted = list(&spec.volumes).iter().find(|volume| volume.name == key.volume_name);
            if wanted.is_some_and(|volume| volume.empty_dir.is_some()) {
                continue;
            }
            let path = path.child(kind);
            let path = path.index(at);
            let path = path.child("env");
            let path = path.index(var_at);
            let path = path.child("valueFrom");
            let path = path.child("fileKeyRef");
            let name = key.volume_name.as_str();
            match wanted {
                None => errors.not_found(&path.child("volumeName"), name),
                Some(_) => {
                    let detail = "referenced volume must be of type emptyDir";
                    errors.invalid(&path.child("volumeName"), name, detail);
                }
            }
        }
    }
}
