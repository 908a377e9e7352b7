//! What is in a pod, shared by pods and by the templates of those who make pods: defaults, validation by
//! concept, canonical form, and the pod's class of service.
//!
//! Knows no kind: a pod's own rules and those of its owners are in their files.
//!
//! Invariant: nothing is allocated for a specification in which nothing is wrong, beyond the sets of its names.

mod affinity;
mod canonical;
mod containers;
mod defaults;
mod env;
mod mounts;
mod network;
mod probes;
mod projected;
mod qos;
mod resources;
mod scheduling;
mod security;
mod template;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub(crate) use affinity::validate_node_selector;
pub(crate) use containers::{is_sidecar, validate_image_space};
pub(crate) use defaults::{default_pod_only, default_spec, or_word};
pub(crate) use mounts::validate_no_backsteps;
pub(crate) use qos::qos_class;
pub(crate) use resources::{validate_container_resource, validate_limits};
pub(crate) use scheduling::validate_tolerations;
pub(crate) use template::{default_template, validate_kept_running, validate_template};
pub(crate) use volumes::{validate_host_path, validate_nfs};

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_dns_label, validate_required_choice};
use crate::api::meta::validate_labels;
use crate::api::names::{check_name, in_range, is_dns1123_subdomain};

/// Whose specification is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of<'a> {
    /// A pod's own.
    Pod(&'a ObjectMeta),
    /// A template's.
    Template,
}

/// The volumes of a pod by name.
type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

/// Collects what is wrong with a pod's specification.
pub(crate) fn validate_spec(spec: &PodSpec, of: Of<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if spec.termination_grace_period_seconds.is_none() {
        errors.required(&path.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::validate_volumes(spec, of, &path.child("volumes"), errors);
    resources::validate_claims(list(&spec.resource_claims), &path.child("resourceClaims"), errors);
    containers::validate_all(spec, &volumes, path, errors);
    resources::validate_pod_resources(spec, path, errors);
    network::validate_host_ports(spec, of, path, errors);
    const RESTARTS: [&str; 3] = ["Always", "OnFailure", "Never"];
    validate_required_choice(&spec.restart_policy, &RESTARTS, &path.child("restartPolicy"), errors);
    const DNS: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    validate_required_choice(&spec.dns_policy, &DNS, &path.child("dnsPolicy"), errors);
    validate_labels(spec.node_selector.as_ref(), &path.child("nodeSelector"), errors);
    security::validate_pod_context(spec, &path.child("securityContext"), errors);
    affinity::validate_affinity(spec.affinity.as_ref(), &path.child("affinity"), errors);
    network::validate_dns_config(spec, &path.child("dnsConfig"), errors);
    scheduling::validate_gates(spec, path, errors);
    let constraints = list(&spec.topology_spread_constraints);
    scheduling::validate_spread(constraints, &path.child("topologySpreadConstraints"), errors);
    security::validate_host_users(spec, path, errors);
    network::validate_hostname_override(spec, path, errors);
    validate_names(spec, path, errors);
    validate_tolerations(list(&spec.tolerations), &path.child("tolerations"), errors);
    network::validate_host_aliases(list(&spec.host_aliases), &path.child("hostAliases"), errors);
    validate_classes(spec, path, errors);
    env::validate_file_volumes(spec, path, errors);
}

/// What the pod names: its account, its node, itself in DNS; and how long it may live.
fn validate_names(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, value) in [("serviceAccountName", &spec.service_account_name), ("nodeName", &spec.node_name)]
    {
        let value = text(value);
        if !value.is_empty() {
            let wrong = check_name(is_dns1123_subdomain, value, false);
            errors.invalid_each(&path.child(field), value, wrong);
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        for detail in in_range(seconds, 1, i32::MAX.into()) {
            errors.invalid(&path.child("activeDeadlineSeconds"), seconds, detail);
        }
    }
    for (field, value) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if !text(value).is_empty() {
            validate_dns_label(text(value), &path.child(field), errors);
        }
    }
}

/// The classes that the pod belongs to, and the system that it is for.
fn validate_classes(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let priority = text(&spec.priority_class_name);
    if !priority.is_empty() {
        let wrong = check_name(is_dns1123_subdomain, priority, false);
        errors.invalid_each(&path.child("priorityClassName"), priority, wrong);
    }
    if let Some(class) = &spec.runtime_class_name {
        let wrong = check_name(is_dns1123_subdomain, class, false);
        errors.invalid_each(&path.child("runtimeClassName"), class, wrong);
    }
    if spec.preemption_policy.is_some() {
        const POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];
        let path = path.child("preemptionPolicy");
        validate_required_choice(&spec.preemption_policy, &POLICIES, &path, errors);
    }
    if let Some(overhead) = &spec.overhead {
        let path = path.child("overhead");
        resources::validate_limits(overhead, &path, errors);
    }
    if let Some(os) = &spec.os {
        let name = path.child("os");
        match os.name.as_str() {
            "" => errors.required(&name.child("name"), ""),
            "linux" => security::validate_linux(spec, path, errors),
            "windows" => {}
            other => errors.not_supported(&name, other, &["linux", "windows"]),
        }
    }
}
