//! Node: a machine that runs pods.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    AttachedVolume, ConfigMapNodeConfigSource, ContainerImage, DaemonEndpoint, Node, NodeAddress,
    NodeCondition, NodeConfigSource, NodeConfigStatus, NodeDaemonEndpoints, NodeRuntimeHandler, NodeSpec,
    NodeStatus, NodeSystemInfo, Taint,
};
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical, canonical_as_is};
use super::fields::{is_dual_stack, list, text, validate_old_cidr};
use super::resources::{ResourceList, round_amounts, validate_amount};
use crate::api::error::{FieldErrors, FieldPath, Problem};
use crate::api::names::{check_name, is_dns1123_subdomain, is_label_value, is_qualified_name};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};

/// The effects that a taint may have.
pub(super) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

impl Kind for Node {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["no"];
    const HAS_STATUS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["spec.unschedulable"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Status", wide: false },
        Column { name: "Roles", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "Version", wide: false },
        Column { name: "Internal-IP", wide: true },
        Column { name: "External-IP", wide: true },
        Column { name: "OS-Image", wide: true },
        Column { name: "Kernel-Version", wide: true },
        Column { name: "Container-Runtime", wide: true },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        // The singular and the plural field are one to Kubernetes; the plural wins where both are given.
        match (spec.pod_cidrs.as_deref().and_then(|ranges| ranges.first()), text(&spec.pod_cidr)) {
            (Some(first), single) if first != single => spec.pod_cidr = Some(first.clone()),
            (None, single) if !single.is_empty() => spec.pod_cidrs = Some(vec![single.to_owned()]),
            _ => {}
        }
        let status = self.status.get_or_insert_default();
        round_amounts(&mut status.capacity);
        round_amounts(&mut status.allocatable);
        if status.allocatable.is_none() {
            status.allocatable.clone_from(&status.capacity);
        }
    }

    fn prepare_create(&mut self) {
        self.spec.get_or_insert_default().config_source = None;
        self.status.get_or_insert_default().config = None;
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        if old.spec.as_ref().is_none_or(|spec| spec.config_source.is_none()) {
            self.spec.get_or_insert_default().config_source = None;
        }
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        if old.status.as_ref().is_none_or(|status| status.config.is_none()) {
            self.status.get_or_insert_default().config = None;
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        // Upstream's own path for these.
        validate_taints(list(&spec.taints), &FieldPath::new("metadata").child("taints"), errors);
        validate_resources(self, errors);
        let path = FieldPath::new("spec");
        let path = path.child("podCIDRs");
        let ranges = list(&spec.pod_cidrs);
        for (at, range) in ranges.iter().enumerate() {
            validate_old_cidr(range, &[], &path.index(at), errors);
        }
        if ranges.len() > 1 {
            let bases = ranges.iter().filter_map(|range| range.split_once('/')).map(|(base, _)| base);
            if !is_dual_stack(bases) || ranges.len() > 2 {
                let detail = "may specify no more than one CIDR for each IP family";
                errors.invalid(&path, json!(ranges), detail);
            }
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(old)) = (&self.spec, &old.spec) else { return };
        let path = FieldPath::new("spec");
        let before = list(&old.pod_cidrs);
        if !before.is_empty() && before != list(&new.pod_cidrs) {
            let detail = "node updates may not change podCIDR except from \"\" to valid";
            errors.forbidden(&path.child("podCIDRs"), detail);
        }
        if !text(&old.provider_id).is_empty() && old.provider_id != new.provider_id {
            let detail = "node updates may not change providerID except from \"\" to valid";
            errors.forbidden(&path.child("providerID"), detail);
        }
        if old.external_id != new.external_id {
            errors.forbidden(&path.child("externalID"), "may not be updated");
        }
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        validate_resources(self, errors);
        let path = FieldPath::new("status");
        let path = path.child("addresses");
        let mut seen = BTreeSet::new();
        let addresses = self.status.iter().flat_map(|status| list(&status.addresses));
        for (at, address) in addresses.enumerate() {
            if !seen.insert((&address.type_, &address.address)) {
                let value = json!({ "Type": address.type_, "Address": address.address });
                errors.duplicate(&path.index(at), value);
            }
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        let unschedulable = self.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
        terms.add("spec.unschedulable", if unschedulable { "true" } else { "false" });
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let or =
            |value: &str, other: &str| if value.is_empty() { other.to_owned() } else { value.to_owned() };
        let info = self.status.as_ref().and_then(|status| status.node_info.clone()).unwrap_or_default();
        let mut kernel = or(&info.kernel_version, "<unknown>");
        if !info.architecture.is_empty() {
            kernel = format!("{kernel} ({})", info.architecture);
        }
        vec![
            status_text(self),
            or(&roles(self).join(","), "<none>"),
            since(self.metadata.creation_timestamp.as_ref(), now),
            info.kubelet_version,
            address_of(self, "InternalIP"),
            address_of(self, "ExternalIP"),
            or(&info.os_image, "<unknown>"),
            kernel,
            or(&info.container_runtime_version, "<unknown>"),
        ]
    }
}

fn status_text(node: &Node) -> String {
    let mut conditions = node.status.iter().flat_map(|status| list(&status.conditions));
    let mut status = match conditions.rfind(|condition| condition.type_ == "Ready") {
        Some(ready) if ready.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn roles(node: &Node) -> Vec<&str> {
    let labels = node.metadata.labels.iter().flatten();
    let found = labels.filter_map(|(key, value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some("") => None,
        Some(role) => Some(role),
        None if key == "kubernetes.io/role" && !value.is_empty() => Some(value.as_str()),
        None => None,
    });
    found.collect::<BTreeSet<_>>().into_iter().collect()
}

fn address_of(node: &Node, kind: &str) -> String {
    let mut addresses = node.status.iter().flat_map(|status| list(&status.addresses));
    let found = addresses.find(|address| address.type_ == kind);
    found.map_or_else(|| "<none>".to_owned(), |address| address.address.clone())
}

fn validate_resources(node: &Node, errors: &mut FieldErrors) {
    let Some(status) = &node.status else { return };
    let path = FieldPath::new("status");
    for (field, amounts) in [("capacity", &status.capacity), ("allocatable", &status.allocatable)] {
        let path = path.child(field);
        for (name, quantity) in amounts.iter().flat_map(|amounts: &ResourceList| amounts) {
            validate_amount(name, quantity, &path.child(name), errors);
        }
    }
}

fn validate_taints(taints: &[Taint], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (at, taint) in taints.iter().enumerate() {
        let path = path.index(at);
        errors.invalid_each(&path.child("key"), &taint.key, is_qualified_name(&taint.key));
        let value = text(&taint.value);
        let wrong = is_label_value(value);
        if !wrong.is_empty() {
            errors.invalid(&path.child("value"), value, wrong.join(";"));
        }
        if taint.effect.is_empty() {
            errors.required(&path.child("effect"), "");
        } else if !TAINT_EFFECTS.contains(&taint.effect.as_str()) {
            errors.not_supported(&path.child("effect"), taint.effect.as_str(), &TAINT_EFFECTS);
        }
        if !seen.insert((&taint.effect, &taint.key)) {
            let value = json!({ "Key": taint.key, "Value": value, "Effect": taint.effect, "TimeAdded": taint.time_added });
            errors.push(Problem::Duplicate, &path, value, "taints must be unique by key and effect pair");
        }
    }
}

canonical_as_is!(AttachedVolume, DaemonEndpoint, NodeAddress, NodeSystemInfo);

canonical! {
    ConfigMapNodeConfigSource {
        drop: resource_version, uid;
    }
    ContainerImage {
        drop: names, size_bytes;
    }
    Node {
        fill: spec, status;
    }
    NodeCondition {
        drop: message, reason;
        keep: last_heartbeat_time, last_transition_time;
    }
    NodeConfigSource {
        keep: config_map;
    }
    NodeConfigStatus {
        drop: error;
        keep: active, assigned, last_known_good;
    }
    NodeDaemonEndpoints {
        fill: kubelet_endpoint;
    }
    NodeRuntimeHandler {
        fill: name;
    }
    NodeSpec {
        drop: external_id, pod_cidr, pod_cidrs, provider_id, taints, unschedulable;
        keep: config_source;
    }
    NodeStatus {
        drop: addresses, allocatable, capacity, conditions, declared_features, images, phase,
              runtime_handlers, volumes_attached, volumes_in_use;
        keep: config;
        fill: daemon_endpoints, node_info;
    }
    Taint {
        drop: value;
        keep: time_added;
    }
}
