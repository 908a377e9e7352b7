//! What a pod and its containers may do: users, groups, privileges, profiles.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext, Sysctl,
};
use serde_json::json;

use super::defaults::all_containers;
use super::mounts::validate_descending;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, validate_choice};
use crate::api::names::in_range;

const SYSCTL_BYTES: usize = 253;
const SYSCTL_FORM: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const SECCOMP_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
const PROFILE_BYTES: usize = 4095;

/// Whether the pod has the users of its host.
fn has_host_users(spec: &PodSpec) -> bool {
    spec.host_users != Some(false)
}

/// A user or group by number.
fn validate_id(id: Option<i64>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(id) = id {
        for detail in in_range(id, 0, i32::MAX.into()) {
            errors.invalid(path, id, detail);
        }
    }
}

/// Collects what is wrong with the context of the pod as a whole.
pub(super) fn validate_pod_context(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), true, detail);
    }
    let Some(context) = &spec.security_context else { return };
    validate_id(context.fs_group, &path.child("fsGroup"), errors);
    validate_id(context.run_as_user, &path.child("runAsUser"), errors);
    validate_id(context.run_as_group, &path.child("runAsGroup"), errors);
    for (at, group) in list(&context.supplemental_groups).iter().enumerate() {
        validate_id(Some(*group), &path.child("supplementalGroups").index(at), errors);
    }
    validate_sysctls(list(&context.sysctls), spec, &path.child("sysctls"), errors);
    let words = [
        ("fsGroupChangePolicy", &context.fs_group_change_policy, &["Always", "OnRootMismatch"][..]),
        ("supplementalGroupsPolicy", &context.supplemental_groups_policy, &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &context.se_linux_change_policy, &["Recursive"]),
    ];
    for (field, word, allowed) in words {
        validate_choice(word, allowed, &path.child(field), errors);
    }
    validate_profiles(context.seccomp_profile.as_ref(), context.app_armor_profile.as_ref(), path, errors);
}

fn validate_profiles(
    seccomp: Option<&SeccompProfile>,
    app_armor: Option<&AppArmorProfile>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(profile) = seccomp {
        validate_seccomp(profile, &path.child("seccompProfile"), errors);
    }
    if let Some(profile) = app_armor {
        validate_app_armor(profile, &path.child("appArmorProfile"), errors);
    }
}

fn validate_sysctls(sysctls: &[Sysctl], spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, sysctl) in sysctls.iter().enumerate() {
        let entry = path.index(at);
        let (name, path) = (sysctl.name.as_str(), entry.child("name"));
        if name.is_empty() {
            errors.required(&path, "");
        } else if !is_sysctl(name) {
            let detail = format!("must have at most {SYSCTL_BYTES} characters and match regex {SYSCTL_FORM}");
            errors.invalid(&path, name, detail);
        } else if sysctls[..at].iter().any(|other| other.name == name) {
            errors.duplicate(&path, name);
        }
        let plain = name.replace('/', ".");
        if spec.host_network == Some(true) && plain.starts_with("net.") {
            errors.invalid(&path, name, "may not be specified when 'hostNetwork' is true");
        }
        let ipc = plain == "kernel.sem"
            || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| plain.starts_with(prefix));
        if spec.host_ipc == Some(true) && ipc {
            errors.invalid(&path, name, "may not be specified when 'hostIPC' is true");
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let plain = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let segment = |part: &str| {
        let bytes = part.as_bytes();
        plain(bytes.first())
            && plain(bytes.last())
            && bytes.iter().all(|byte| plain(Some(byte)) || matches!(byte, b'-' | b'_'))
    };
    name.len() <= SYSCTL_BYTES && name.split(['.', '/']).all(segment)
}

/// Collects what is wrong with the context of a container.
pub(super) fn validate_container_context(
    container: &Container,
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(context) = &container.security_context else { return };
    validate_id(context.run_as_user, &path.child("runAsUser"), errors);
    validate_id(context.run_as_group, &path.child("runAsGroup"), errors);
    validate_choice(&context.proc_mount, &["Default", "Unmasked"], &path.child("procMount"), errors);
    if has_host_users(spec) && context.proc_mount.as_deref() == Some("Unmasked") {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.invalid(&path.child("procMount"), "Unmasked", detail);
    }
    if let Some(profile) = &context.seccomp_profile {
        validate_seccomp(profile, &path.child("seccompProfile"), errors);
    }
    validate_escalation(context, path, errors);
    validate_profiles(None, context.app_armor_profile.as_ref(), path, errors);
}

fn validate_escalation(context: &SecurityContext, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if context.allow_privilege_escalation != Some(false) {
        return;
    }
    if context.privileged == Some(true) {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.invalid(path, json!(context), detail);
    }
    let added = context.capabilities.as_ref().map_or(&[][..], |capabilities| list(&capabilities.add));
    for _ in added.iter().filter(|capability| *capability == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.invalid(path, json!(context), detail);
    }
}

fn validate_seccomp(profile: &SeccompProfile, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let kind = profile.type_.as_str();
    if kind.is_empty() {
        errors.required(&path.child("type"), "type is required when seccompProfile is set");
    } else if !SECCOMP_TYPES.contains(&kind) {
        errors.not_supported(&path.child("type"), kind, &SECCOMP_TYPES);
    }
    let file = path.child("localhostProfile");
    match (kind, &profile.localhost_profile) {
        ("Localhost", None) => errors.required(&file, "must be set when seccomp type is Localhost"),
        ("Localhost", Some(name)) => validate_descending(name, &file, errors),
        (_, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.invalid(&file, json!(profile), detail);
        }
        (_, None) => {}
    }
}

fn validate_app_armor(profile: &AppArmorProfile, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let file = path.child("localhostProfile");
    const WHEN: &str = "must be set when AppArmor type is Localhost";
    match (profile.type_.as_str(), profile.localhost_profile.as_deref()) {
        ("Localhost", None) => errors.required(&file, WHEN),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.invalid(&file, name, "must not be padded with whitespace");
            } else if name.is_empty() {
                errors.required(&file, WHEN);
            }
            if name.len() > PROFILE_BYTES {
                errors.too_long(&file, PROFILE_BYTES);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&file, name, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            errors.required(&path.child("type"), "type is required when appArmorProfile is set");
        }
        (other, _) => errors.not_supported(&path.child("type"), other, &SECCOMP_TYPES),
    }
}

/// Users of its own do not go with the host's namespaces.
pub(super) fn validate_host_users(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if has_host_users(spec) {
        return;
    }
    const DETAIL: &str = "when `hostUsers` is false";
    let set = [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)];
    for (field, _) in set.into_iter().filter(|(_, set)| *set == Some(true)) {
        errors.forbidden(&path.child(field), DETAIL);
    }
    for (kind, at, container) in all_containers(spec) {
        if !list(&container.volume_devices).is_empty() {
            errors.forbidden(&path.child(kind).index(at).child("volumeDevices"), DETAIL);
        }
    }
}

/// What a pod for Linux has nothing to do with.
pub(super) fn validate_linux(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const DETAIL: &str = "windows options cannot be set for a linux pod";
    let windows = |context: &PodSecurityContext| context.windows_options.is_some();
    if spec.security_context.as_ref().is_some_and(windows) {
        errors.forbidden(&path.child("securityContext").child("windowsOptions"), DETAIL);
    }
    for (kind, at, container) in all_containers(spec) {
        if container.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
            let list = path.child(kind);
            let container = list.index(at);
            errors.forbidden(&container.child("securityContext").child("windowsOptions"), DETAIL);
        }
    }
}
