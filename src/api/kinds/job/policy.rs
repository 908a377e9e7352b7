//! What may be wrong with a Job's policies: what failed pods mean, and when it has succeeded.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
};
use serde_json::{Value, json};

use super::indexes;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text};
use crate::api::meta::validate_not_negative;
use crate::api::names::is_qualified_name;
use crate::limits::{JOB_INDEXES_BYTES, JOB_POLICY_CONDITIONS, JOB_POLICY_EXIT_CODES, JOB_POLICY_RULES};

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// A word out of a list, which upstream names when the word is missing.
fn validate_listed(word: &str, allowed: &[&str], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if word.is_empty() {
        let words = allowed.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ");
        errors.required(path, format!("valid values: [{words}]"));
    } else if !allowed.contains(&word) {
        errors.not_supported(path, word, allowed);
    }
}

/// Collects what is wrong with the policy for failed pods.
pub(super) fn validate_failure(
    policy: &PodFailurePolicy,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.child("rules");
    if policy.rules.len() > JOB_POLICY_RULES {
        errors.too_many(&path, policy.rules.len(), JOB_POLICY_RULES);
    }
    for (at, rule) in policy.rules.iter().enumerate() {
        validate_failure_rule(rule, spec, &path.index(at), errors);
    }
}

fn validate_failure_rule(
    rule: &PodFailurePolicyRule,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let action = path.child("action");
    if rule.action == "FailIndex" {
        if spec.backoff_limit_per_index.is_none() {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.invalid(&action, rule.action.as_str(), detail);
        }
    } else {
        validate_listed(&rule.action, &ACTIONS, &action, errors);
    }
    if let Some(codes) = &rule.on_exit_codes {
        validate_codes(codes, spec, &path.child("onExitCodes"), errors);
    }
    let conditions = list(&rule.on_pod_conditions);
    validate_patterns(conditions, &path.child("onPodConditions"), errors);
    match (&rule.on_exit_codes, conditions.is_empty()) {
        (Some(_), false) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.invalid_unshown(path, detail);
        }
        (None, true) => {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.invalid_unshown(path, detail);
        }
        _ => {}
    }
}

fn validate_patterns(
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if patterns.len() > JOB_POLICY_CONDITIONS {
        errors.too_many(path, patterns.len(), JOB_POLICY_CONDITIONS);
    }
    for (at, pattern) in patterns.iter().enumerate() {
        let path = path.index(at);
        errors.invalid_each(&path.child("type"), &pattern.type_, is_qualified_name(&pattern.type_));
        validate_listed(text(&pattern.status), &STATUSES, &path.child("status"), errors);
    }
}

fn validate_codes(
    codes: &PodFailurePolicyOnExitCodesRequirement,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_listed(&codes.operator, &OPERATORS, &path.child("operator"), errors);
    if let Some(name) = &codes.container_name {
        let pod = spec.template.spec.iter();
        let mut containers = pod.flat_map(|pod| pod.containers.iter().chain(list(&pod.init_containers)));
        if !containers.any(|container| container.name == *name) {
            let detail = "must be one of the container or initContainer names in the pod template";
            errors.invalid(&path.child("containerName"), name.as_str(), detail);
        }
    }
    let path = path.child("values");
    if codes.values.is_empty() {
        errors.invalid(&path, json!(codes.values), "at least one value is required");
    } else if codes.values.len() > JOB_POLICY_EXIT_CODES {
        errors.too_many(&path, codes.values.len(), JOB_POLICY_EXIT_CODES);
    }
    let mut seen = BTreeSet::new();
    for (at, code) in codes.values.iter().enumerate() {
        let path = path.index(at);
        if codes.operator == "In" && *code == 0 {
            errors.invalid(&path, *code, "must not be 0 for the In operator");
        }
        if !seen.insert(*code) {
            errors.duplicate(&path, *code);
        }
    }
    if !codes.values.is_sorted() {
        errors.invalid(&path, json!(codes.values), "must be ordered");
    }
}

/// Collects what is wrong with the policy for success, of an indexed Job.
pub(super) fn validate_success(
    policy: &SuccessPolicy,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.child("rules");
    if policy.rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        errors.required(&path, detail);
    }
    if policy.rules.len() > JOB_POLICY_RULES {
        errors.too_many(&path, policy.rules.len(), JOB_POLICY_RULES);
    }
    // Upstream cannot go on without completions, whose absence is told elsewhere.
    let Some(completions) = spec.completions else { return };
    for (at, rule) in policy.rules.iter().enumerate() {
        validate_success_rule(rule, completions, &path.index(at), errors);
    }
}

fn validate_success_rule(
    rule: &SuccessPolicyRule,
    completions: i32,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        errors.required(path, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut listed = None;
    if let Some(indexes) = &rule.succeeded_indexes {
        let path = path.child("succeededIndexes");
        if indexes.len() > JOB_INDEXES_BYTES {
            errors.too_long(&path, JOB_INDEXES_BYTES);
        }
        match indexes::count(indexes, completions) {
            Ok(count) => listed = Some(count),
            Err(wrong) => {
                listed = Some(0);
                let detail = format!("error parsing succeededIndexes: {wrong}");
                errors.invalid(&path, indexes.as_str(), detail);
            }
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = path.child("succeededCount");
    validate_not_negative(count, &path, errors);
    if count > completions {
        let detail =
            format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.invalid(&path, count, detail);
    }
    if let Some(listed) = listed.filter(|listed| count > *listed) {
        let detail = format!(
            "must be less than or equal to {listed} (the number of indexes in the specified succeededIndexes field)"
        );
        errors.invalid(&path, count, detail);
    }
}

/// Upstream's internal form of a policy for success, which its messages show.
pub(super) fn shown_success(policy: &SuccessPolicy) -> Value {
    let rules = policy.rules.iter().map(
        |rule| json!({ "SucceededIndexes": rule.succeeded_indexes, "SucceededCount": rule.succeeded_count }),
    );
    json!({ "Rules": rules.collect::<Vec<_>>() })
}

/// Upstream's internal form of a policy for failed pods, which its messages show.
pub(super) fn shown_failure(policy: &PodFailurePolicy) -> Value {
    let rules = policy.rules.iter().map(|rule| {
        let codes = rule.on_exit_codes.as_ref().map(|codes| {
            json!({
                "ContainerName": codes.container_name,
                "Operator": codes.operator,
                "Values": codes.values,
            })
        });
        let conditions = rule.on_pod_conditions.as_ref().map(|patterns| {
            patterns
                .iter()
                .map(|pattern| json!({ "Type": pattern.type_, "Status": pattern.status }))
                .collect::<Vec<_>>()
        });
        json!({ "Action": rule.action, "OnExitCodes": codes, "OnPodConditions": conditions })
    });
    json!({ "Rules": rules.collect::<Vec<_>>() })
}
