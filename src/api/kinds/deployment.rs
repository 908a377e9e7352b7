//! Deployment: pods of one template that change over to the next, step by step.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, DeploymentStrategy,
    RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical, fill};
use super::fields::text;
use super::pod_spec::default_template;
use super::replica_set::validate_replicated;
use super::rules::{canonical_by_table, named_as_subdomain};
use super::shares::{number_of, validate_share, validate_within_whole};
use super::versions::Specified;
use super::workload::{
    containers_text, validate_available, validate_collisions, validate_numbers, validate_parts,
    validate_selector_kept,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_not_negative;
use crate::api::object::{Column, Kind, Scope};
use crate::api::selector::Selector;

impl Kind for Deployment {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["deploy"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const HAS_SCALE: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Ready", wide: false },
        Column { name: "Up-to-date", wide: false },
        Column { name: "Available", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "Containers", wide: true },
        Column { name: "Images", wide: true },
        Column { name: "Selector", wide: true },
    ];

    named_as_subdomain!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = self.spec_mut();
        spec.replicas.get_or_insert(1);
        let strategy = spec.strategy.get_or_insert_default();
        if text(&strategy.type_).is_empty() {
            strategy.type_ = Some("RollingUpdate".to_owned());
        }
        if text(&strategy.type_) == "RollingUpdate" {
            let quarter = || IntOrString::String("25%".to_owned());
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert_with(quarter);
            rolling.max_surge.get_or_insert_with(quarter);
        }
        spec.revision_history_limit.get_or_insert(10);
        spec.progress_deadline_seconds.get_or_insert(600);
        default_template(&mut spec.template);
    }

    fn prepare_create(&mut self) {
        self.status = Some(DeploymentStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.metadata.labels.clone_from(&old.metadata.labels);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = self.spec() else { return };
        let path = FieldPath::new("spec");
        validate_not_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), errors);
        validate_replicated(&spec.selector, &spec.template, &path, errors);
        let none = DeploymentStrategy::default();
        validate_strategy(spec.strategy.as_ref().unwrap_or(&none), &path.child("strategy"), errors);
        let ready_seconds = spec.min_ready_seconds.unwrap_or(0);
        validate_not_negative(ready_seconds, &path.child("minReadySeconds"), errors);
        let limit = spec.revision_history_limit.unwrap_or(0);
        validate_not_negative(limit, &path.child("revisionHistoryLimit"), errors);
        if let Some(seconds) = spec.progress_deadline_seconds {
            let path = path.child("progressDeadlineSeconds");
            validate_not_negative(seconds, &path, errors);
            if seconds <= ready_seconds {
                errors.invalid(&path, seconds, "must be greater than minReadySeconds");
            }
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(old)) = (self.spec(), old.spec()) else { return };
        validate_selector_kept(&new.selector, &old.selector, errors);
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        let none = DeploymentStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let path = FieldPath::new("status");
        validate_counts(status, &path, errors);
        let before = old.status.as_ref().and_then(|status| status.collision_count);
        validate_collisions(status.collision_count, before, &path, errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        // Annotations too, since ReplicaSets get them.
        self.spec != old.spec || self.metadata.annotations != old.metadata.annotations
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let (none, empty) = (DeploymentSpec::default(), DeploymentStatus::default());
        let spec = self.spec().unwrap_or(&none);
        let status = self.status.as_ref().unwrap_or(&empty);
        let (names, images) = containers_text(Some(&spec.template));
        vec![
            format!("{}/{}", status.ready_replicas.unwrap_or(0), spec.replicas.unwrap_or(0)),
            status.updated_replicas.unwrap_or(0).to_string(),
            status.available_replicas.unwrap_or(0).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            Selector::from_label_selector(Some(&spec.selector))
                .map_or_else(|_| "<invalid>".to_owned(), |selector| selector.to_string()),
        ]
    }
}

fn validate_counts(status: &DeploymentStatus, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let number = |field: Option<i32>| field.unwrap_or(0);
    let all = number(status.replicas);
    let (updated, ready) = (number(status.updated_replicas), number(status.ready_replicas));
    let available = number(status.available_replicas);
    let numbers = [
        ("observedGeneration", status.observed_generation.unwrap_or(0)),
        ("replicas", all.into()),
        ("updatedReplicas", updated.into()),
        ("readyReplicas", ready.into()),
        ("availableReplicas", available.into()),
        ("unavailableReplicas", number(status.unavailable_replicas).into()),
        ("terminatingReplicas", number(status.terminating_replicas).into()),
        ("collisionCount", number(status.collision_count).into()),
    ];
    validate_numbers(&numbers, path, errors);
    let parts = [("updatedReplicas", updated), ("readyReplicas", ready), ("availableReplicas", available)];
    validate_parts(all, &parts, path, errors);
    validate_available(available, ready, "readyReplicas", path, errors);
}

fn validate_strategy(strategy: &DeploymentStrategy, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let rolling = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("Recreate", None) => {}
        ("Recreate", Some(_)) => {
            errors.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
        }
        ("RollingUpdate", None) => {
            errors.required(&rolling, "this should be defaulted and never be nil");
        }
        ("RollingUpdate", Some(update)) => validate_rolling(update, &rolling, errors),
        (other, update) => {
            // Upstream shows its internal form of the struct here.
            let update = update.as_ref().map(
                |update| json!({ "MaxUnavailable": update.max_unavailable, "MaxSurge": update.max_surge }),
            );
            let value = json!({ "Type": other, "RollingUpdate": update });
            errors.not_supported(path, value, &["Recreate", "RollingUpdate"]);
        }
    }
}

fn validate_rolling(update: &RollingUpdateDeployment, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let zero = IntOrString::Int(0);
    let unavailable = update.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = update.max_surge.as_ref().unwrap_or(&zero);
    validate_share(unavailable, &path.child("maxUnavailable"), errors);
    validate_share(surge, &path.child("maxSurge"), errors);
    let path = path.child("maxUnavailable");
    if number_of(unavailable) == 0 && number_of(surge) == 0 {
        errors.invalid(&path, json!(unavailable), "may not be 0 when `maxSurge` is 0");
    }
    validate_within_whole(unavailable, &path, errors);
}

impl Canonical for Deployment {
    fn make_canonical(&mut self) {
        self.spec_mut().make_canonical();
        fill(&mut self.status);
    }
}

canonical! {
    DeploymentCondition {
        drop: message, reason;
        keep: last_transition_time, last_update_time;
        text: type_, status;
    }
    DeploymentSpec {
        drop: min_ready_seconds, paused;
        fill: strategy;
        deep: selector, template;
    }
    DeploymentStatus {
        drop: available_replicas, conditions, observed_generation, ready_replicas, replicas,
              unavailable_replicas, updated_replicas;
    }
    DeploymentStrategy {
        drop: type_;
    }
}
