//! Pod: containers that live and die together on one node.

mod canonical;
mod row;
mod status;
mod update;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Affinity, Pod, PodAffinityTerm, PodCondition, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::canonical::Canonical;
use super::fields::{list, text};
use super::pod_spec::{Of, default_pod_only, default_spec, qos_class, validate_image_space, validate_spec};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};

/// Pods of the node itself, mirrored in the API, carry this.
pub(crate) const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The labels by which pods are looked up often, with the terms that stand for them.
const LABEL_TERMS: [(&str, TermName); 4] = [
    ("app", "label:app"),
    ("app.kubernetes.io/name", "label:app.kubernetes.io/name"),
    ("k8s-app", "label:k8s-app"),
    ("pod-template-hash", "label:pod-template-hash"),
];

impl Kind for Pod {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["po"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const TERMS: &'static [TermName] = &[
        "spec.nodeName",
        "label:app",
        "label:app.kubernetes.io/name",
        "label:k8s-app",
        "label:pod-template-hash",
    ];
    const SELECTABLE_FIELDS: &'static [TermName] = &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ];
    const GRACEFUL_DELETION: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Ready", wide: false },
        Column { name: "Status", wide: false },
        Column { name: "Restarts", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "IP", wide: true },
        Column { name: "Node", wide: true },
        Column { name: "Nominated Node", wide: true },
        Column { name: "Readiness Gates", wide: true },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        default_pod_only(spec);
        default_spec(spec);
        if let Some(status) = &mut self.status {
            align_addresses(status);
            // The class is known from the specification; pods are created before their defaults are there.
            if status.phase.as_deref() == Some("Pending") && status.qos_class.is_none() {
                status.qos_class = Some(qos_class(spec).to_owned());
            }
        }
    }

    fn prepare_create(&mut self) {
        let spec = self.spec.get_or_insert_default();
        let gated = !list(&spec.scheduling_gates).is_empty();
        let conditions = gated.then(|| vec![gated_condition()]);
        self.status = Some(PodStatus { phase: Some("Pending".to_owned()), conditions, ..Default::default() });
        if let Some(affinity) = &mut spec.affinity {
            merge_affinity_keys(affinity, self.metadata.labels.as_ref());
        }
        for constraint in spec.topology_spread_constraints.iter_mut().flatten() {
            let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
            let labels = self.metadata.labels.as_ref();
            if let Some(selector) = &mut constraint.label_selector {
                merge_keys(selector, keys, "In", labels);
            }
        }
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.metadata.owner_references.clone_from(&old.metadata.owner_references);
        status::keep_from(self.status.get_or_insert_default(), old.status.as_ref());
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        let metadata = FieldPath::new("metadata");
        let Some(spec) = &self.spec else { return };
        let annotations = self.metadata.annotations.as_ref();
        validate_pod_annotations(annotations, spec, &metadata.child("annotations"), errors);
        validate_spec(spec, Of::Pod(&self.metadata), &path, errors);
        validate_tokens(spec, &path, errors);
        for (at, container) in spec.containers.iter().enumerate() {
            validate_image_space(container, &path.child("containers").index(at), errors);
        }
        for (at, container) in list(&spec.init_containers).iter().enumerate() {
            validate_image_space(container, &path.child("initContainers").index(at), errors);
        }
        // A new object: it has no version yet. These hold for creation alone.
        if self.metadata.resource_version.is_none() {
            validate_new(spec, &path, errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        update::validate_update(self, old, errors);
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        update::validate_annotation_change(self, old, errors);
        status::validate_status(self, old, errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn terms(&self, terms: &mut Terms) {
        if let Some(spec) = &self.spec {
            terms.add("spec.nodeName", text(&spec.node_name));
            terms.add("spec.restartPolicy", text(&spec.restart_policy));
            terms.add("spec.schedulerName", text(&spec.scheduler_name));
            terms.add("spec.serviceAccountName", text(&spec.service_account_name));
            let host_network = spec.host_network == Some(true);
            terms.add("spec.hostNetwork", if host_network { "true" } else { "false" });
        }
        if let Some(status) = &self.status {
            terms.add("status.phase", text(&status.phase));
            terms.add("status.podIP", list(&status.pod_ips).first().map_or("", |address| &address.ip));
            terms.add("status.nominatedNodeName", text(&status.nominated_node_name));
        }
        let Some(labels) = &self.metadata.labels else { return };
        for (label, term) in LABEL_TERMS {
            if let Some(value) = labels.get(label) {
                terms.add(term, value.as_str());
            }
        }
    }

    fn grace_period(&self, asked: Option<i64>) -> i64 {
        let own = self.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        let unscheduled = self.spec.as_ref().is_none_or(|spec| text(&spec.node_name).is_empty());
        let phase = self.status.as_ref().map_or("", |status| text(&status.phase));
        let seconds = asked.or(own).unwrap_or(0);
        match seconds {
            _ if unscheduled || matches!(phase, "Failed" | "Succeeded") => 0,
            ..0 => 1,
            seconds => seconds,
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        row::row(self, now)
    }
}

/// The one address and the list of addresses are one to Kubernetes; the list wins.
fn align_addresses(status: &mut PodStatus) {
    use k8s_openapi::api::core::v1::{HostIP, PodIP};
    let first = status.pod_ips.as_deref().and_then(|list| list.first()).map(|address| address.ip.clone());
    match (first, text(&status.pod_ip)) {
        (Some(first), single) if first != single => status.pod_ip = Some(first),
        (None, single) if !single.is_empty() => {
            status.pod_ips = Some(vec![PodIP { ip: single.to_owned() }]);
        }
        _ => {}
    }
    if list(&status.host_ips).is_empty() && !text(&status.host_ip).is_empty() {
        status.host_ips = Some(vec![HostIP { ip: text(&status.host_ip).to_owned() }]);
    }
}

fn gated_condition() -> PodCondition {
    PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("SchedulingGated".to_owned()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".to_owned()),
        ..Default::default()
    }
}

/// Selectors that are to match the pod's own value of a label get that value now.
fn merge_affinity_keys(affinity: &mut Affinity, labels: Option<&BTreeMap<String, String>>) {
    let merge = |term: &mut PodAffinityTerm| {
        let Some(selector) = &mut term.label_selector else { return };
        merge_keys(selector, term.match_label_keys.as_deref().unwrap_or_default(), "In", labels);
        merge_keys(selector, term.mismatch_label_keys.as_deref().unwrap_or_default(), "NotIn", labels);
    };
    if let Some(pods) = &mut affinity.pod_affinity {
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
        preferred.for_each(|term| merge(&mut term.pod_affinity_term));
        pods.required_during_scheduling_ignored_during_execution.iter_mut().flatten().for_each(merge);
    }
    if let Some(pods) = &mut affinity.pod_anti_affinity {
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.iter_mut().flatten();
        preferred.for_each(|term| merge(&mut term.pod_affinity_term));
        pods.required_during_scheduling_ignored_during_execution.iter_mut().flatten().for_each(merge);
    }
}

fn merge_keys(
    selector: &mut LabelSelector,
    keys: &[String],
    operator: &str,
    labels: Option<&BTreeMap<String, String>>,
) {
    for key in keys {
        if let Some(value) = labels.and_then(|labels| labels.get(key)) {
            selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
                key: key.clone(),
                operator: operator.to_owned(),
                values: Some(vec![value.clone()]),
            });
        }
    }
}

/// What pods and templates say in annotations.
pub(crate) fn validate_pod_annotations(
    annotations: Option<&BTreeMap<String, String>>,
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(annotations) = annotations else { return };
    if let Some(mirror) = annotations.get(MIRROR_ANNOTATION)
        && text(&spec.node_name).is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.invalid(&path.key(MIRROR_ANNOTATION), mirror.as_str(), detail);
    }
    if let Some(cost) = annotations.get(DELETION_COST) {
        let plain = cost == "0" || cost.starts_with(|first| matches!(first, '-' | '1'..='9'));
        if !plain || cost.parse::<i32>().is_err() {
            errors.invalid(&path.key(DELETION_COST), cost.as_str(), "must be a 32bit integer");
        }
    }
}

/// Tokens are those of an account.
fn validate_tokens(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !text(&spec.service_account_name).is_empty() {
        return;
    }
    for (at, volume) in list(&spec.volumes).iter().enumerate() {
        let sources = volume.projected.as_ref().map_or(&[][..], |projected| list(&projected.sources));
        for (source_at, source) in sources.iter().enumerate() {
            if source.service_account_token.is_some() {
                let path = path.child("volumes");
                let path = path.index(at);
                let path = path.child("projected");
                let path = path.child("sources");
                let detail = "must not be specified when serviceAccountName is not set";
                errors.forbidden(&path.index(source_at).child("serviceAccountToken"), detail);
            }
        }
    }
}

fn validate_new(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !list(&spec.ephemeral_containers).is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    if !text(&spec.node_name).is_empty() && !list(&spec.scheduling_gates).is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.forbidden(&path.child("nodeName"), detail);
    }
}
