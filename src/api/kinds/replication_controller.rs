//! ReplicationController: what ReplicaSets were before; it selects by a plain map.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ReplicationController, ReplicationControllerCondition, ReplicationControllerSpec,
    ReplicationControllerStatus,
};

use super::age::since;
use super::canonical::canonical;
use super::pod_spec::{default_template, validate_kept_running, validate_template};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain, status_apart};
use super::workload::{
    containers_text, labels_text, validate_available, validate_map_selects_template, validate_numbers,
    validate_parts,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_not_negative;
use crate::api::object::{Column, Kind, Scope, TermName, Terms};

impl Kind for ReplicationController {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["rc"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const HAS_SCALE: bool = true;
    const ORPHANS_DEPENDENTS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["status.replicas"];
    const COLUMNS: &'static [Column] = &[
        Column::shown("Desired"),
        Column::shown("Current"),
        Column::shown("Ready"),
        Column::shown("Age"),
        Column::wide("Containers"),
        Column::wide("Images"),
        Column::wide("Selector"),
    ];

    named_as_subdomain!();
    status_apart!();
    generation_of_spec!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.replicas.get_or_insert(1);
        let Some(template) = &mut spec.template else { return };
        default_template(template);
        // Without words of its own, it selects and is labelled as its pods are.
        let Some(labels) = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref()) else {
            return;
        };
        if spec.selector.as_ref().is_none_or(|selector| selector.is_empty()) {
            spec.selector = Some(labels.clone());
        }
        if self.metadata.labels.as_ref().is_none_or(|labels| labels.is_empty()) {
            self.metadata.labels = Some(labels.clone());
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        validate_not_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), errors);
        let none = Default::default();
        let selector = spec.selector.as_ref().unwrap_or(&none);
        if selector.is_empty() {
            errors.required(&path.child("selector"), "");
        }
        validate_not_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), errors);
        let path = path.child("template");
        let Some(template) = &spec.template else {
            errors.required(&path, "");
            return;
        };
        validate_map_selects_template(selector, template, &path, errors);
        validate_template(template, &path, errors);
        validate_kept_running(template, "ReplicationController", &path, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let none = ReplicationControllerStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let (ready, available) = (status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
        let parts = [
            ("fullyLabeledReplicas", status.fully_labeled_replicas.unwrap_or(0)),
            ("readyReplicas", ready),
            ("availableReplicas", available),
        ];
        let path = FieldPath::new("status");
        validate_not_negative(status.replicas, &path.child("replicas"), errors);
        validate_numbers(&parts.map(|(field, number)| (field, number.into())), &path, errors);
        let generation = status.observed_generation.unwrap_or(0);
        validate_not_negative(generation, &path.child("observedGeneration"), errors);
        validate_parts(status.replicas, &parts, &path, errors);
        validate_available(available, ready, "readyReplicas", &path, errors);
    }

    fn terms(&self, terms: &mut Terms) {
        let replicas = self.status.as_ref().map_or(0, |status| status.replicas);
        terms.add("status.replicas", replicas.to_string());
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let (spec, status) = (self.spec.as_ref(), self.status.as_ref());
        let (names, images) = containers_text(spec.and_then(|spec| spec.template.as_ref()));
        vec![
            spec.and_then(|spec| spec.replicas).unwrap_or(0).to_string(),
            status.map_or(0, |status| status.replicas).to_string(),
            status.and_then(|status| status.ready_replicas).unwrap_or(0).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            labels_text(spec.and_then(|spec| spec.selector.as_ref())),
        ]
    }
}

canonical! {
    ReplicationController {
        fill: spec, status;
    }
    ReplicationControllerCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    ReplicationControllerSpec {
        drop: min_ready_seconds, selector;
        keep: template;
    }
    ReplicationControllerStatus {
        drop: available_replicas, conditions, fully_labeled_replicas, observed_generation, ready_replicas;
    }
}
