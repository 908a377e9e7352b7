//! What a write of a pod's status may say.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus};
use serde_json::json;

use super::update::same_text;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{is_dual_stack, list, text, validate_old_ip};
use crate::api::meta::IMMUTABLE;
use crate::api::names::{check_name, is_dns1123_subdomain, is_qualified_name};

const GENERATION: &str = "must be a non-negative integer";

/// Keeps what a writer that knows less left out: the class of service and the generations observed.
pub(super) fn keep_from(new: &mut PodStatus, old: Option<&PodStatus>) {
    let Some(old) = old else { return };
    if text(&new.qos_class).is_empty() {
        new.qos_class.clone_from(&old.qos_class);
    }
    if new.observed_generation.unwrap_or(0) == 0 {
        new.observed_generation = old.observed_generation;
    }
    let mut before: Vec<&PodCondition> = list(&old.conditions).iter().collect();
    for condition in new.conditions.iter_mut().flatten() {
        let Some(at) = before.iter().position(|old| old.type_ == condition.type_) else { continue };
        let old = before.remove(at);
        if condition.observed_generation.unwrap_or(0) == 0 {
            condition.observed_generation = old.observed_generation;
        }
    }
}

/// Collects what is wrong with the new status.
pub(super) fn validate_status(new: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let (none, empty) = (PodStatus::default(), PodSpec::default());
    let spec = old.spec.as_ref().unwrap_or(&empty);
    let now = new.status.as_ref().unwrap_or(&none);
    let before = old.status.as_ref().unwrap_or(&none);
    let path = FieldPath::new("status");
    validate_conditions(list(&now.conditions), &path.child("conditions"), errors);
    validate_nomination(now, before, spec, &path.child("nominatedNodeName"), errors);
    if let Some(generation) = now.observed_generation.filter(|generation| *generation < 0) {
        errors.invalid(&path.child("observedGeneration"), generation, GENERATION);
    }
    if !same_text(&now.qos_class, &before.qos_class) {
        errors.invalid(&path.child("qosClass"), text(&now.qos_class), IMMUTABLE);
    }
    let lists = [
        ("containerStatuses", &now.container_statuses, &before.container_statuses, &spec.containers[..]),
        (
            "initContainerStatuses",
            &now.init_container_statuses,
            &before.init_container_statuses,
            list(&spec.init_containers),
        ),
    ];
    for (field, now, before, containers) in lists {
        validate_restarts(list(now), list(before), containers, spec, &path.child(field), errors);
    }
    validate_addresses(now, before, errors);
}

fn validate_conditions(conditions: &[PodCondition], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
            errors.invalid(&path.child("observedGeneration"), generation, GENERATION);
        }
        let name = condition.type_.as_str();
        if !matches!(name, "PodScheduled" | "Ready" | "Initialized") {
            errors.invalid_each(&path.child("Type"), name, is_qualified_name(name));
        }
    }
}

fn validate_nomination(
    now: &PodStatus,
    before: &PodStatus,
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let node = text(&now.nominated_node_name);
    if node.is_empty() || same_text(&now.nominated_node_name, &before.nominated_node_name) {
        return;
    }
    errors.invalid_each(path, node, check_name(is_dns1123_subdomain, node, false));
    if !text(&spec.node_name).is_empty() {
        errors.forbidden(path, "may not be set on pods that are already bound to a node");
    }
}

/// A container that ended runs again only where its policy says so.
fn validate_restarts(
    now: &[ContainerStatus],
    before: &[ContainerStatus],
    containers: &[Container],
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let all = spec.containers.iter().chain(list(&spec.init_containers));
    let mut rules = all.flat_map(|container| list(&container.restart_policy_rules));
    if rules.any(|rule| rule.action == "RestartAllContainers") {
        return;
    }
    for (at, old) in before.iter().enumerate() {
        let ended = old.state.as_ref().and_then(|state| state.terminated.as_ref());
        let Some(ended) = ended else { continue };
        let Some(new) = now.iter().find(|new| new.name == old.name) else { continue };
        if new.state.as_ref().is_some_and(|state| state.terminated.is_some()) {
            continue;
        }
        let container = containers.iter().find(|container| container.name == old.name);
        if !container.is_some_and(|container| may_restart(container, spec, ended.exit_code)) {
            let detail = "may not be transitioned to non-terminated state";
            errors.forbidden(&path.index(at).child("state"), detail);
        }
    }
}

/// Whether a container that ended with this code is to run again.
fn may_restart(container: &Container, spec: &PodSpec, code: i32) -> bool {
    let by_policy = |policy: &str| match policy {
        "OnFailure" => code != 0,
        "Never" => false,
        _ => true,
    };
    let Some(policy) = container.restart_policy.as_deref() else {
        return by_policy(text(&spec.restart_policy));
    };
    let matches = list(&container.restart_policy_rules).iter().any(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = list(&codes.values).contains(&code);
            if codes.operator == "In" { listed } else { codes.operator == "NotIn" && !listed }
        })
    });
    matches || by_policy(policy)
}

fn validate_addresses(now: &PodStatus, before: &PodStatus, errors: &mut FieldErrors) {
    const DETAIL: &str = "may specify no more than one IP for each IP family";
    let status = FieldPath::new("status");
    let path = status.child("podIPs");
    let known: Vec<String> = list(&before.pod_ips).iter().map(|address| address.ip.clone()).collect();
    let addresses = list(&now.pod_ips);
    for (at, address) in addresses.iter().enumerate() {
        validate_old_ip(&address.ip, &known, &path.index(at), errors);
    }
    let texts = || addresses.iter().map(|address| address.ip.as_str());
    if addresses.len() > 1 && (!is_dual_stack(texts()) || addresses.len() > 2) {
        errors.invalid(&path, json!(addresses), DETAIL);
    }
    let path = status.child("hostIPs");
    let addresses = list(&now.host_ips);
    let Some(first) = addresses.first() else { return };
    if text(&now.host_ip) != first.ip {
        errors.invalid(&path.index(0).child("ip"), first.ip.as_str(), "must be equal to `hostIP`");
    }
    let known: Vec<String> = list(&before.host_ips).iter().map(|address| address.ip.clone()).collect();
    for (at, address) in addresses.iter().enumerate() {
        validate_old_ip(&address.ip, &known, &path.index(at), errors);
    }
    let texts = addresses.iter().map(|address| address.ip.as_str());
    if addresses.len() > 1 && (!is_dual_stack(texts) || addresses.len() > 2) {
        errors.invalid(&path, json!(addresses), DETAIL);
    }
}
