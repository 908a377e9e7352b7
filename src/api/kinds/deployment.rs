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
use super::part::Part;
use super::pod_spec::{default_template, validate_template};
use super::replica_set::{MORE_THAN_ALL, containers_text};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{IMMUTABLE, NEGATIVE, validate_not_negative};
use crate::api::names::{check_name, is_dns1123_subdomain, is_percent};
use crate::api::object::{Column, Kind, Scope};
use crate::api::selector::Selector;

impl Kind for Deployment {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["deploy"];
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

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec: &mut DeploymentSpec = self.spec.part_mut();
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

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let spec: Option<&DeploymentSpec> = self.spec.part();
        let Some(spec) = spec else { return };
        let path = FieldPath::new("spec");
        validate_not_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), errors);
        validate_template(&spec.selector, &spec.template, &path, errors);
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
        let (new, old): (Option<&DeploymentSpec>, _) = (self.spec.part(), old.spec.part());
        let (Some(new), Some(old)): (_, Option<&DeploymentSpec>) = (new, old) else { return };
        if new.selector != old.selector {
            errors.invalid(&FieldPath::new("spec").child("selector"), json!(new.selector), IMMUTABLE);
        }
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        let none = DeploymentStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let path = FieldPath::new("status");
        validate_numbers(status, &path, errors);
        let before = old.status.as_ref().and_then(|status| status.collision_count);
        let now = status.collision_count;
        if before.is_some_and(|before| now.is_none_or(|now| now < before)) {
            errors.invalid(&path.child("collisionCount"), now.unwrap_or(0), "cannot be decremented");
        }
    }

    fn moves_generation(&self, old: &Self) -> bool {
        // Annotations too, since ReplicaSets get them.
        self.spec != old.spec || self.metadata.annotations != old.metadata.annotations
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let (none, empty) = (DeploymentSpec::default(), DeploymentStatus::default());
        let spec: &DeploymentSpec = self.spec.part().unwrap_or(&none);
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

fn validate_numbers(status: &DeploymentStatus, path: &FieldPath<'_>, errors: &mut FieldErrors) {
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
    for (field, number) in numbers {
        validate_not_negative(number, &path.child(field), errors);
    }
    let parts = [("updatedReplicas", updated), ("readyReplicas", ready), ("availableReplicas", available)];
    for (field, number) in parts.into_iter().filter(|(_, number)| *number > all) {
        errors.invalid(&path.child(field), number, MORE_THAN_ALL);
    }
    if available > ready {
        let detail = "cannot be greater than readyReplicas";
        errors.invalid(&path.child("availableReplicas"), available, detail);
    }
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
    validate_amount(unavailable, &path.child("maxUnavailable"), errors);
    validate_amount(surge, &path.child("maxSurge"), errors);
    let path = path.child("maxUnavailable");
    if number_of(unavailable) == 0 && number_of(surge) == 0 {
        errors.invalid(&path, json!(unavailable), "may not be 0 when `maxSurge` is 0");
    }
    if percent_of(unavailable).is_some_and(|percent| percent > 100) {
        errors.invalid(&path, json!(unavailable), "must not be greater than 100%");
    }
}

/// A number of pods, or a share of them.
fn validate_amount(amount: &IntOrString, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match amount {
        IntOrString::Int(number) if *number < 0 => errors.invalid(path, *number, NEGATIVE),
        IntOrString::Int(_) => {}
        IntOrString::String(share) => errors.invalid_each(path, share, is_percent(share)),
    }
}

fn percent_of(amount: &IntOrString) -> Option<i64> {
    let IntOrString::String(share) = amount else { return None };
    // A share with more digits than fit is far above every bound.
    is_percent(share).is_empty().then(|| share.trim_end_matches('%').parse().unwrap_or(i64::MAX))
}

fn number_of(amount: &IntOrString) -> i64 {
    match amount {
        IntOrString::Int(number) => (*number).into(),
        IntOrString::String(word) => percent_of(amount).unwrap_or_else(|| word.parse().unwrap_or(0)),
    }
}

impl Canonical for Deployment {
    fn make_canonical(&mut self) {
        let spec: &mut DeploymentSpec = self.spec.part_mut();
        spec.make_canonical();
        fill(&mut self.status);
    }
}

canonical! {
    DeploymentCondition {
        drop: message, reason;
        keep: last_transition_time, last_update_time;
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
