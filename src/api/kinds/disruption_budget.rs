//! PodDisruptionBudget: how many of the selected pods may be taken away at a time.

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::age::since;
use super::canonical::canonical;
use super::conditions::validate_conditions;
use super::fields::{list, validate_choice, validate_label_selector};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain, status_apart};
use super::shares::{validate_share, validate_within_whole};
use super::workload::validate_numbers;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::object::{Column, Kind, Scope};

const EVICTION_POLICIES: [&str; 2] = ["AlwaysAllow", "IfHealthyBudget"];

impl Kind for PodDisruptionBudget {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["pdb"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::shown("Min Available"),
        Column::shown("Max Unavailable"),
        Column::shown("Allowed Disruptions"),
        Column::shown("Age"),
    ];

    named_as_subdomain!();
    status_apart!();
    generation_of_spec!();
    canonical_by_table!();

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        if spec.min_available.is_some() && spec.max_unavailable.is_some() {
            errors.invalid(&path, shown(spec), "minAvailable and maxUnavailable cannot be both set");
        }
        for (field, share) in
            [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)]
        {
            if let Some(share) = share {
                validate_share(share, &path.child(field), errors);
                validate_within_whole(share, &path.child(field), errors);
            }
        }
        if let Some(selector) = &spec.selector {
            validate_label_selector(selector, &path.child("selector"), errors);
        }
        let policy = path.child("unhealthyPodEvictionPolicy");
        validate_choice(&spec.unhealthy_pod_eviction_policy, &EVICTION_POLICIES, &policy, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let Some(status) = &self.status else { return };
        let path = FieldPath::new("status");
        validate_conditions(list(&status.conditions), &path.child("conditions"), errors);
        let number = |field: Option<i32>| i64::from(field.unwrap_or(0));
        let numbers = [
            ("disruptionsAllowed", number(status.disruptions_allowed)),
            ("currentHealthy", number(status.current_healthy)),
            ("desiredHealthy", number(status.desired_healthy)),
            ("expectedPods", number(status.expected_pods)),
        ];
        validate_numbers(&numbers, &path, errors);
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let spec = self.spec.as_ref();
        let share = |share: Option<&IntOrString>| match share {
            None => "N/A".to_owned(),
            Some(IntOrString::Int(number)) => number.to_string(),
            Some(IntOrString::String(text)) => text.clone(),
        };
        let allowed = self.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or(0);
        vec![
            share(spec.and_then(|spec| spec.min_available.as_ref())),
            share(spec.and_then(|spec| spec.max_unavailable.as_ref())),
            allowed.to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

/// Upstream's internal form, which its messages show.
fn shown(spec: &PodDisruptionBudgetSpec) -> serde_json::Value {
    json!({
        "MinAvailable": spec.min_available,
        "Selector": spec.selector,
        "MaxUnavailable": spec.max_unavailable,
        "UnhealthyPodEvictionPolicy": spec.unhealthy_pod_eviction_policy,
    })
}

canonical! {
    PodDisruptionBudget {
        fill: spec, status;
    }
    PodDisruptionBudgetSpec {
        keep: selector;
    }
    PodDisruptionBudgetStatus {
        drop: conditions, disrupted_pods, observed_generation;
        fill: current_healthy, desired_healthy, disruptions_allowed, expected_pods;
    }
}
