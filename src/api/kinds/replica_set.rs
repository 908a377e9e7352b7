//! ReplicaSet: so many pods of one template.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical, fill};
use super::pod_spec::{default_template, validate_kept_running, validate_template};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain, status_apart};
use super::versions::Specified;
use super::workload::{
    containers_text, given, selector_text, validate_available, validate_numbers, validate_parts,
    validate_required_selector, validate_selector_kept, validate_selects_template,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_not_negative;
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::api::selector::Selector;

impl Kind for ReplicaSet {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["rs"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const HAS_SCALE: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["status.replicas"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Desired", wide: false },
        Column { name: "Current", wide: false },
        Column { name: "Ready", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "Containers", wide: true },
        Column { name: "Images", wide: true },
        Column { name: "Selector", wide: true },
    ];

    named_as_subdomain!();
    status_apart!();
    canonical_by_table!();
    generation_of_spec!();

    fn set_defaults(&mut self) {
        let spec = self.spec_mut();
        spec.replicas.get_or_insert(1);
        default_template(spec.template.get_or_insert_default());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = self.spec() else { return };
        let path = FieldPath::new("spec");
        validate_not_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), errors);
        validate_not_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), errors);
        let empty = PodTemplateSpec::default();
        let template = spec.template.as_ref().unwrap_or(&empty);
        validate_replicated(&spec.selector, template, &path, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(old)) = (self.spec(), old.spec()) else { return };
        validate_selector_kept(&new.selector, &old.selector, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let Some(status) = &self.status else { return };
        let path = FieldPath::new("status");
        let full = status.fully_labeled_replicas.unwrap_or(0);
        let (ready, available) = (status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
        let numbers = [
            ("replicas", i64::from(status.replicas)),
            ("fullyLabeledReplicas", full.into()),
            ("readyReplicas", ready.into()),
            ("availableReplicas", available.into()),
            ("observedGeneration", status.observed_generation.unwrap_or(0)),
            ("terminatingReplicas", status.terminating_replicas.unwrap_or(0).into()),
        ];
        validate_numbers(&numbers, &path, errors);
        let parts =
            [("fullyLabeledReplicas", full), ("readyReplicas", ready), ("availableReplicas", available)];
        validate_parts(status.replicas, &parts, &path, errors);
        validate_available(available, ready, "readyReplicas", &path, errors);
    }

    fn terms(&self, terms: &mut Terms) {
        let replicas = self.status.as_ref().map_or(0, |status| status.replicas);
        terms.add("status.replicas", replicas.to_string());
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let spec = self.spec();
        let status = self.status.as_ref();
        let template = spec.and_then(|spec| spec.template.as_ref());
        let (names, images) = containers_text(template);
        vec![
            spec.and_then(|spec| spec.replicas).unwrap_or(0).to_string(),
            status.map_or(0, |status| status.replicas).to_string(),
            status.and_then(|status| status.ready_replicas).unwrap_or(0).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            selector_text(spec.map(|spec| &spec.selector)),
        ]
    }
}

/// The selector and the template of a ReplicaSet, or of a Deployment, whose ReplicaSets get them.
pub(super) fn validate_replicated(
    selector: &LabelSelector,
    template: &PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let selector_path = path.child("selector");
    validate_required_selector(selector, &selector_path, errors);
    let path = path.child("template");
    if Selector::from_label_selector(Some(selector)).is_err() {
        errors.invalid(&selector_path, json!(selector), "invalid label selector");
        return;
    }
    validate_selects_template(given(selector), template, &path, errors);
    validate_template(template, &path, errors);
    validate_kept_running(template, "ReplicaSet", &path, errors);
}

impl Canonical for ReplicaSet {
    fn make_canonical(&mut self) {
        self.spec_mut().make_canonical();
        fill(&mut self.status);
    }
}

canonical! {
    ReplicaSetCondition {
        drop: message, reason;
        keep: last_transition_time;
        text: type_, status;
    }
    ReplicaSetSpec {
        drop: min_ready_seconds;
        fill: template;
        deep: selector;
    }
    ReplicaSetStatus {
        drop: available_replicas, conditions, fully_labeled_replicas, observed_generation,
              ready_replicas;
    }
}
