//! What the scheduler is told besides affinity: gates, tolerations, spreading.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodSpec, Toleration, TopologySpreadConstraint};

use super::affinity::validate_label_keys;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_choice, validate_label_selector};
use crate::api::kinds::node::TAINT_EFFECTS;
use crate::api::names::{is_label_value, is_qualified_name};

const NOT_POSITIVE: &str = "must be greater than zero";

/// The conditions that a pod waits for to be ready, and those without which it is not scheduled.
pub(super) fn validate_gates(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, gate) in list(&spec.readiness_gates).iter().enumerate() {
        let path = path.child("readinessGates");
        let name = gate.condition_type.as_str();
        errors.invalid_each(&path.index(at).child("conditionType"), name, is_qualified_name(name));
    }
    let mut seen = BTreeSet::new();
    for (at, gate) in list(&spec.scheduling_gates).iter().enumerate() {
        let path = path.child("schedulingGates");
        let name = gate.name.as_str();
        errors.invalid_each(&path.index(at), name, is_qualified_name(name));
        if !seen.insert(name) {
            errors.duplicate(&path.index(at), name);
        }
    }
}

/// Collects what is wrong with tolerations.
pub(crate) fn validate_tolerations(
    tolerations: &[Toleration],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (at, toleration) in tolerations.iter().enumerate() {
        let path = path.index(at);
        let (key, operator, value, effect) = (
            text(&toleration.key),
            text(&toleration.operator),
            text(&toleration.value),
            text(&toleration.effect),
        );
        if !key.is_empty() {
            errors.invalid_each(&path.child("key"), key, is_qualified_name(key));
        } else if operator != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(&path.child("operator"), operator, detail);
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid(&path.child("effect"), effect, detail);
        }
        let field = path.child("operator");
        match operator {
            "" | "Equal" => {
                let wrong = is_label_value(value);
                if !wrong.is_empty() {
                    errors.invalid(&field, value, wrong.join(";"));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => errors.invalid(&field, value, "value must be empty when `operator` is 'Exists'"),
            "Lt" | "Gt" => errors.not_supported(&field, operator, &["Equal", "Exists", "Lt", "Gt"]),
            other => errors.not_supported(&field, other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() && !TAINT_EFFECTS.contains(&effect) {
            errors.not_supported(&path.child("effect"), effect, &TAINT_EFFECTS);
        }
    }
}

/// Collects what is wrong with the constraints of spreading.
pub(super) fn validate_spread(
    constraints: &[TopologySpreadConstraint],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (at, constraint) in constraints.iter().enumerate() {
        let path = path.index(at);
        let (key, action) = (constraint.topology_key.as_str(), constraint.when_unsatisfiable.as_str());
        if constraint.max_skew <= 0 {
            errors.invalid(&path.child("maxSkew"), constraint.max_skew, NOT_POSITIVE);
        }
        if key.is_empty() {
            errors.required(&path.child("topologyKey"), "can not be empty");
        }
        const ACTIONS: [&str; 2] = ["DoNotSchedule", "ScheduleAnyway"];
        if !ACTIONS.contains(&action) {
            errors.not_supported(&path.child("whenUnsatisfiable"), action, &ACTIONS);
        }
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == key && other.when_unsatisfiable == action
        };
        if constraints[at + 1..].iter().any(same) {
            let value = format!("{{{key}, {action}}}");
            errors.duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), value);
        }
        if let Some(domains) = constraint.min_domains {
            let path = path.child("minDomains");
            if domains <= 0 {
                errors.invalid(&path, domains, NOT_POSITIVE);
            }
            if action != "DoNotSchedule" {
                let detail =
                    format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.invalid(&path, domains, detail);
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            validate_choice(policy, &["Honor", "Ignore"], &path.child(field), errors);
        }
        let selector = constraint.label_selector.as_ref();
        validate_label_keys(list(&constraint.match_label_keys), &[], selector, &path, errors);
        if let Some(selector) = selector {
            validate_label_selector(selector, &path.child("labelSelector"), errors);
        }
    }
}
