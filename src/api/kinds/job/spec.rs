//! What may be wrong with the specification of a Job, or of the Jobs that a CronJob makes.

use k8s_openapi::api::batch::v1::{JobSpec, JobTemplateSpec};
use serde_json::json;

use super::{is_indexed, policy};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{text, validate_domain_path};
use crate::api::kinds::pod_spec::validate_template;
use crate::api::meta::validate_not_negative;
use crate::limits::{INDEXED_JOB_PODS, JOB_MANAGED_BY_BYTES, LONG_JOB_COMPLETIONS, LONG_JOB_PODS};

const MODES: [&str; 2] = ["NonIndexed", "Indexed"];
const NOT_INDEXED: &str = "requires indexed completion mode";

/// Collects what is wrong with a Job's specification, but for its selector.
pub(super) fn validate_spec(spec: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_numbers(spec, path, errors);
    if let Some(manager) = &spec.managed_by {
        let path = path.child("managedBy");
        validate_domain_path(manager, &path, errors);
        if manager.len() > JOB_MANAGED_BY_BYTES {
            errors.too_long(&path, JOB_MANAGED_BY_BYTES);
        }
    }
    validate_mode(spec, path, errors);
    if let Some(failure) = &spec.pod_failure_policy {
        policy::validate_failure(failure, spec, &path.child("podFailurePolicy"), errors);
    }
    if let Some(success) = &spec.success_policy {
        let path = path.child("successPolicy");
        if is_indexed(spec) {
            policy::validate_success(success, spec, &path, errors);
        } else {
            errors.invalid(&path, policy::shown_success(success), NOT_INDEXED);
        }
    }
    if let Some(replacement) = &spec.pod_replacement_policy {
        let allowed: &[&str] = match spec.pod_failure_policy {
            Some(_) => &["Failed"],
            None => &["Failed", "TerminatingOrFailed"],
        };
        if !allowed.contains(&replacement.as_str()) {
            errors.not_supported(&path.child("podReplacementPolicy"), replacement.as_str(), allowed);
        }
    }
    let template = path.child("template");
    validate_template(&spec.template, &template, errors);
    validate_restarts(spec, &template.child("spec").child("restartPolicy"), errors);
}

fn validate_numbers(spec: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let numbers = [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ];
    for (field, number) in numbers {
        validate_not_negative(number.unwrap_or(0), &path.child(field), errors);
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
}

fn validate_mode(spec: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mode = spec.completion_mode.as_deref();
    if let Some(mode) = mode.filter(|mode| !MODES.contains(mode)) {
        errors.not_supported(&path.child("completionMode"), mode, &MODES);
    }
    if is_indexed(spec) {
        validate_indexed(spec, path, errors);
    } else if mode.is_none_or(|mode| mode == "NonIndexed") {
        let numbers = [
            ("backoffLimitPerIndex", spec.backoff_limit_per_index),
            ("maxFailedIndexes", spec.max_failed_indexes),
        ];
        for (field, number) in numbers {
            if let Some(number) = number {
                errors.invalid(&path.child(field), number, NOT_INDEXED);
            }
        }
    }
}

/// The bounds of an indexed Job, which keep its status small.
fn validate_indexed(spec: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (parallelism, failed) = (path.child("parallelism"), path.child("maxFailedIndexes"));
    if spec.completions.is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    if let Some(pods) = spec.parallelism.filter(|pods| *pods > INDEXED_JOB_PODS) {
        let detail =
            format!("must be less than or equal to {INDEXED_JOB_PODS} when completion mode is Indexed");
        errors.invalid(&parallelism, pods, detail);
    }
    if let (Some(completions), Some(most)) = (spec.completions, spec.max_failed_indexes)
        && most > completions
    {
        errors.invalid(&failed, most, "must be less than or equal to completions");
    }
    if let Some(most) = spec.max_failed_indexes.filter(|most| *most > INDEXED_JOB_PODS) {
        errors.invalid(&failed, most, format!("must be less than or equal to {INDEXED_JOB_PODS}"));
    }
    let long = spec.completions.is_some_and(|completions| completions > LONG_JOB_COMPLETIONS);
    if !long || spec.backoff_limit_per_index.is_none() {
        return;
    }
    if spec.max_failed_indexes.is_none() {
        let detail = format!("must be specified when completions is above {LONG_JOB_COMPLETIONS}");
        errors.required(&failed, detail);
    }
    for (path, number) in [(&parallelism, spec.parallelism), (&failed, spec.max_failed_indexes)] {
        if let Some(number) = number.filter(|number| *number > LONG_JOB_PODS) {
            let detail = format!(
                "must be less than or equal to {LONG_JOB_PODS} when completions are above \
                 {LONG_JOB_COMPLETIONS} and used with backoff limit per index"
            );
            errors.invalid(path, number, detail);
        }
    }
}

/// The pods of a Job end, so their containers are not always started again.
fn validate_restarts(spec: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let policy = spec.template.spec.as_ref().map_or("", |pod| text(&pod.restart_policy));
    match policy {
        "" | "Always" => errors.required(path, "valid values: \"OnFailure\", \"Never\""),
        "Never" => {}
        "OnFailure" if spec.pod_failure_policy.is_none() => {}
        "OnFailure" => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.invalid(path, policy, detail);
        }
        other => errors.not_supported(path, other, &["OnFailure", "Never"]),
    }
}

/// Collects what is wrong with the template of Jobs that are made later, whose selector is always generated.
pub(crate) fn validate_made_later(
    template: &JobTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let none = JobSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&none);
    let path = path.child("spec");
    validate_spec(spec, &path, errors);
    if let Some(selector) = &spec.selector {
        errors.invalid(&path.child("selector"), json!(selector), "`selector` will be auto-generated");
    }
    if spec.manual_selector == Some(true) {
        errors.not_supported(&path.child("manualSelector"), true, &["nil", "false"]);
    }
}
