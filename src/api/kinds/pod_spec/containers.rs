//! Containers of all sorts: names, images, ports, restart rules; the rest of a container by its concept.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, EphemeralContainer, PodSpec,
};
use serde_json::json;

use super::{Volumes, env, mounts, probes, resources, security};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{
    list, text, validate_dns_label, validate_port, validate_protocol, validate_required_choice,
};
use crate::api::names::is_port_name;
use crate::limits::{RESTART_RULE_CODES, RESTART_RULES};

pub(super) const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];
const MESSAGE_POLICIES: [&str; 2] = ["File", "FallbackToLogsOnError"];
const RESTART_POLICIES: [&str; 3] = ["Always", "Never", "OnFailure"];

/// Collects what is wrong with the containers of a pod.
pub(super) fn validate_all(
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_containers(spec, volumes, &path.child("containers"), errors);
    if !list(&spec.init_containers).is_empty() {
        validate_init_containers(spec, volumes, &path.child("initContainers"), errors);
    }
    if !list(&spec.ephemeral_containers).is_empty() {
        validate_ephemeral_containers(spec, volumes, &path.child("ephemeralContainers"), errors);
    }
}

fn validate_containers(
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if spec.containers.is_empty() {
        errors.required(path, "");
        return;
    }
    let mut names = BTreeSet::new();
    for (at, container) in spec.containers.iter().enumerate() {
        let path = path.index(at);
        validate_common(container, spec, volumes, &path, errors);
        if !names.insert(container.name.as_str()) {
            errors.duplicate(&path.child("name"), container.name.as_str());
        }
        probes::validate_hooks_and_probes(container, spec, &path, errors);
        validate_restarts(container, &path, errors);
    }
    validate_host_ports(&spec.containers, path, errors);
}

fn validate_init_containers(
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let containers = list(&spec.init_containers);
    let mut names: BTreeSet<&str> = spec.containers.iter().map(|other| other.name.as_str()).collect();
    for (at, container) in containers.iter().enumerate() {
        let path_of = path.index(at);
        validate_common(container, spec, volumes, &path_of, errors);
        validate_restarts(container, &path_of, errors);
        if names.contains(container.name.as_str()) {
            errors.duplicate(&path_of.child("name"), container.name.as_str());
        } else if !container.name.is_empty() {
            names.insert(&container.name);
        }
        validate_host_ports(std::slice::from_ref(container), path, errors);
        if is_sidecar(container) {
            probes::validate_hooks_and_probes(container, spec, &path_of, errors);
        } else {
            forbid_hooks_and_probes(container, &path_of, errors);
        }
    }
}

fn forbid_hooks_and_probes(container: &Container, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let set = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        let detail = "may not be set for init containers without restartPolicy=Always";
        errors.forbidden(&path.child(field), detail);
    }
    for (at, policy) in list(&container.resize_policy).iter().enumerate() {
        if policy.restart_policy == "RestartContainer" {
            let path = path.child("resizePolicy");
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.invalid(&path.index(at).child("restartPolicy"), "RestartContainer", detail);
        }
    }
}

/// Whether the init container goes on beside the others.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn validate_ephemeral_containers(
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let others: BTreeSet<&str> = spec
        .containers
        .iter()
        .chain(list(&spec.init_containers))
        .map(|container| container.name.as_str())
        .collect();
    let mut names = others.clone();
    for (at, ephemeral) in list(&spec.ephemeral_containers).iter().enumerate() {
        let path = path.index(at);
        let container = as_container(ephemeral);
        validate_common(&container, spec, volumes, &path, errors);
        validate_image_space(&container, &path, errors);
        if !names.insert(&ephemeral.name) {
            errors.duplicate(&path.child("name"), ephemeral.name.as_str());
        }
        let target = text(&ephemeral.target_container_name);
        if !target.is_empty() && !others.contains(target) {
            errors.not_found(&path.child("targetContainerName"), target);
        }
        forbid_for_ephemeral(ephemeral, &path, errors);
    }
}

fn forbid_for_ephemeral(container: &EphemeralContainer, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const DETAIL: &str = "cannot be set for an Ephemeral Container";
    let resources = container.resources.as_ref();
    let set = [
        ("ports", !list(&container.ports).is_empty()),
        ("resources", resources.is_some_and(|resources| *resources != Default::default())),
        ("resizePolicy", !list(&container.resize_policy).is_empty()),
        ("restartPolicy", container.restart_policy.is_some()),
        ("restartPolicyRules", !list(&container.restart_policy_rules).is_empty()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        ("lifecycle", container.lifecycle.is_some()),
    ];
    for (field, _) in set.into_iter().filter(|(_, set)| *set) {
        errors.forbidden(&path.child(field), DETAIL);
    }
    for (at, mount) in list(&container.volume_mounts).iter().enumerate() {
        let path = path.child("volumeMounts");
        for (field, value) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
            if !text(value).is_empty() {
                errors.forbidden(&path.index(at).child(field), DETAIL);
            }
        }
    }
}

/// The fields that an ephemeral container shares with others.
fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let ephemeral = ephemeral.clone();
    Container {
        name: ephemeral.name,
        image: ephemeral.image,
        image_pull_policy: ephemeral.image_pull_policy,
        termination_message_policy: ephemeral.termination_message_policy,
        ports: ephemeral.ports,
        env: ephemeral.env,
        env_from: ephemeral.env_from,
        volume_mounts: ephemeral.volume_mounts,
        volume_devices: ephemeral.volume_devices,
        resources: ephemeral.resources,
        resize_policy: ephemeral.resize_policy,
        security_context: ephemeral.security_context,
        ..Container::default()
    }
}

/// What all sorts of containers have.
fn validate_common(
    container: &Container,
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if container.name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        validate_dns_label(&container.name, &path.child("name"), errors);
    }
    if text(&container.image).is_empty() {
        errors.required(&path.child("image"), "");
    }
    let policy = path.child("terminationMessagePolicy");
    validate_required_choice(&container.termination_message_policy, &MESSAGE_POLICIES, &policy, errors);
    validate_ports(list(&container.ports), &path.child("ports"), errors);
    env::validate_env(list(&container.env), &path.child("env"), errors);
    env::validate_env_from(list(&container.env_from), &path.child("envFrom"), errors);
    mounts::validate_mounts(container, volumes, &path.child("volumeMounts"), errors);
    mounts::validate_devices(container, volumes, &path.child("volumeDevices"), errors);
    let policy = path.child("imagePullPolicy");
    validate_required_choice(&container.image_pull_policy, &PULL_POLICIES, &policy, errors);
    resources::validate_container(container, spec, &path.child("resources"), errors);
    let never = text(&spec.restart_policy) == "Never";
    validate_resizes(list(&container.resize_policy), never, &path.child("resizePolicy"), errors);
    security::validate_container_context(container, spec, &path.child("securityContext"), errors);
}

/// An image's name has no space around it. Only pods are held to this.
pub(crate) fn validate_image_space(container: &Container, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let image = text(&container.image);
    if image.len() != image.trim().len() {
        errors.invalid(&path.child("image"), image, "must not have leading or trailing whitespace");
    }
}

fn validate_ports(ports: &[ContainerPort], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = path.index(at);
        let name = text(&port.name);
        if !name.is_empty() {
            let wrong = is_port_name(name);
            if wrong.is_empty() && !names.insert(name) {
                errors.duplicate(&path.child("name"), name);
            }
            errors.invalid_each(&path.child("name"), name, wrong);
        }
        if port.container_port == 0 {
            errors.required(&path.child("containerPort"), "");
        } else {
            validate_port(port.container_port, &path.child("containerPort"), errors);
        }
        if let Some(host_port) = port.host_port.filter(|port| *port != 0) {
            validate_port(host_port, &path.child("hostPort"), errors);
        }
        validate_protocol(text(&port.protocol), &path.child("protocol"), errors);
    }
}

/// Ports of the host that two containers want.
fn validate_host_ports(containers: &[Container], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        for (port_at, port) in list(&container.ports).iter().enumerate() {
            let Some(number) = port.host_port.filter(|port| *port != 0) else { continue };
            let (protocol, address) = (text(&port.protocol), text(&port.host_ip));
            if !seen.insert((protocol, address, number)) {
                let path = path.index(at);
                let ports = path.child("ports");
                let value = format!("{protocol}/{address}/{number}");
                errors.duplicate(&ports.index(port_at).child("hostPort"), value);
            }
        }
    }
}

fn validate_resizes(
    policies: &[ContainerResizePolicy],
    never: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (at, policy) in policies.iter().enumerate() {
        let name = policy.resource_name.as_str();
        if policies[..at].iter().any(|other| other.resource_name == name) {
            errors.duplicate(&path.index(at), name);
        }
        match name {
            "cpu" | "memory" => {}
            "" => errors.required(path, ""),
            other => errors.not_supported(path, other, &["cpu", "memory"]),
        }
        match policy.restart_policy.as_str() {
            "NotRequired" | "RestartContainer" => {}
            "" => errors.required(path, ""),
            other => errors.not_supported(path, other, &["NotRequired", "RestartContainer"]),
        }
        if never && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.invalid(path, policy.restart_policy.as_str(), detail);
        }
    }
}

fn validate_restarts(container: &Container, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let rules = list(&container.restart_policy_rules);
    let policy = path.child("restartPolicy");
    match &container.restart_policy {
        None if rules.is_empty() => return,
        None => errors.required(&policy, "must specify restartPolicy when restart rules are used"),
        Some(word) if !RESTART_POLICIES.contains(&word.as_str()) => {
            errors.not_supported(&policy, word.as_str(), &RESTART_POLICIES);
        }
        Some(_) => {}
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > RESTART_RULES {
        errors.too_many(&path, rules.len(), RESTART_RULES);
    }
    for (at, rule) in rules.iter().enumerate() {
        validate_restart_rule(rule, &path.index(at), errors);
    }
}

fn validate_restart_rule(rule: &ContainerRestartRule, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const ACTIONS: [&str; 2] = ["Restart", "RestartAllContainers"];
    if !ACTIONS.contains(&rule.action.as_str()) {
        errors.not_supported(&path.child("action"), json!(rule.action), &ACTIONS);
    }
    let path = path.child("exitCodes");
    let Some(codes) = &rule.exit_codes else {
        errors.required(&path, "must be specified");
        return;
    };
    if !["In", "NotIn"].contains(&codes.operator.as_str()) {
        errors.not_supported(&path.child("operator"), codes.operator.as_str(), &["In", "NotIn"]);
    }
    let values = list(&codes.values);
    if values.len() > RESTART_RULE_CODES {
        errors.too_many(&path.child("values"), values.len(), RESTART_RULE_CODES);
    }
}
