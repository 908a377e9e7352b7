//! What may be wrong with a write of a Job's status, whose controller may be anyone: its ends are final, its numbers
//! fit, and what it says of its indexes is so.
//!
//! As upstream, a rule is held only against what the write changes, so that a status that breaks one can still be
//! mended elsewhere.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use serde_json::json;

use super::{holds, indexes, is_indexed};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::workload::validate_numbers;
use crate::api::meta::IMMUTABLE;

/// One status, in the words that the rules use.
struct Told<'a> {
    status: &'a JobStatus,
    complete: bool,
    failed: bool,
    finished: bool,
    failing: bool,
    met: bool,
}

impl<'a> Told<'a> {
    fn of(status: &'a JobStatus) -> Told<'a> {
        let (complete, failed) = (holds(status, "Complete"), holds(status, "Failed"));
        Told {
            status,
            complete,
            failed,
            finished: complete || failed,
            failing: holds(status, "FailureTarget"),
            met: holds(status, "SuccessCriteriaMet"),
        }
    }
}

/// Collects what is wrong with the write.
pub(super) fn validate_status(new: &Job, old: &Job, errors: &mut FieldErrors) {
    let (none, no_spec) = (JobStatus::default(), JobSpec::default());
    let status = new.status.as_ref().unwrap_or(&none);
    let before = old.status.as_ref().unwrap_or(&none);
    let spec = new.spec.as_ref().unwrap_or(&no_spec);
    let path = FieldPath::new("status");
    let number = |field: Option<i32>| i64::from(field.unwrap_or(0));
    let numbers = [
        ("active", number(status.active)),
        ("succeeded", number(status.succeeded)),
        ("failed", number(status.failed)),
        ("ready", number(status.ready)),
        ("terminating", number(status.terminating)),
    ];
    validate_numbers(&numbers, &path, errors);
    validate_uncounted(status, &path, errors);
    let (now, was) = (Told::of(status), Told::of(before));
    validate_ends(&now, &was, &path, errors);
    validate_finished(&now, &was, spec, &path, errors);
    validate_indexes(status, before, spec, &path, errors);
    validate_pods(&now, &was, &path, errors);
    validate_success(&now, spec, &path, errors);
    validate_history(&now, &was, spec, &path, errors);
}

/// Pods that have ended and are not counted yet, each once.
fn validate_uncounted(status: &JobStatus, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(pods) = &status.uncounted_terminated_pods else { return };
    let path = path.child("uncountedTerminatedPods");
    let mut seen = BTreeSet::new();
    for (field, uids) in [("succeeded", list(&pods.succeeded)), ("failed", list(&pods.failed))] {
        let path = path.child(field);
        for (at, uid) in uids.iter().enumerate() {
            let path = path.index(at);
            if uid.is_empty() {
                errors.invalid(&path, uid.as_str(), "must not be empty");
            } else if !seen.insert(uid.as_str()) {
                errors.duplicate(&path, uid.as_str());
            }
        }
    }
}

/// A Job ends one way, by way of the condition that leads there, and has then an end in time.
fn validate_ends(now: &Told<'_>, was: &Told<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (status, before) = (now.status, was.status);
    let conditions = path.child("conditions");
    let completion = path.child("completionTime");
    let complete_changed = now.complete != was.complete;
    let failed_changed = now.failed != was.failed;
    let time_changed = status.completion_time != before.completion_time;
    if (complete_changed || failed_changed) && now.complete && now.failed {
        errors.invalid_unshown(&conditions, "cannot set Complete=True and Failed=true conditions");
    }
    if (complete_changed || now.failing != was.failing) && now.complete && now.failing {
        errors.invalid_unshown(&conditions, "cannot set Complete=True and FailureTarget=true conditions");
    }
    if complete_changed || time_changed {
        match (&status.completion_time, now.complete) {
            (Some(time), false) => {
                let detail = "cannot set completionTime when there is no Complete=True condition";
                errors.invalid(&completion, json!(time), detail);
            }
            (None, true) => {
                errors.required(&completion, "completionTime is required for Complete jobs");
            }
            _ => {}
        }
    }
    if (time_changed || status.start_time != before.start_time)
        && let (Some(start), Some(end)) = (&status.start_time, &status.completion_time)
        && end.0 < start.0
    {
        errors.invalid(&completion, json!(end), "must be equal to or after `startTime`");
    }
    let failed_indexes_changed = status.failed_indexes != before.failed_indexes;
    if (failed_changed || failed_indexes_changed) && now.failed && !now.failing {
        let detail = "cannot set Failed=True condition without the FailureTarget=true condition";
        errors.invalid_unshown(&conditions, detail);
    }
    if (complete_changed || now.met != was.met) && now.complete && !now.met {
        let detail = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        errors.invalid_unshown(&conditions, detail);
    }
}

/// A Job that has ended has begun, and has neither pods that run nor pods that are to be counted.
fn validate_finished(
    now: &Told<'_>,
    was: &Told<'_>,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if !now.finished {
        return;
    }
    let (status, before) = (now.status, was.status);
    let changed = now.finished != was.finished;
    let active = status.active.unwrap_or(0);
    if (changed || status.active != before.active) && active > 0 {
        errors.invalid(&path.child("active"), active, "active>0 is invalid for finished job");
    }
    let never_ran = spec.suspend == Some(true) && spec.completions == Some(0);
    if (changed || status.start_time != before.start_time) && !never_ran && status.start_time.is_none() {
        errors.required(&path.child("startTime"), "startTime is required for finished job");
    }
    if (changed || status.uncounted_terminated_pods != before.uncounted_terminated_pods)
        && let Some(pods) = &status.uncounted_terminated_pods
        && !(list(&pods.failed).is_empty() && list(&pods.succeeded).is_empty())
    {
        // Upstream shows its internal form of the struct here.
        let value = json!({ "Succeeded": pods.succeeded, "Failed": pods.failed });
        errors.invalid(&path.child("uncountedTerminatedPods"), value, "must be empty for finished job");
    }
}

fn validate_indexes(
    status: &JobStatus,
    before: &JobStatus,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (completed, failed) = (text(&status.completed_indexes), status.failed_indexes.as_deref());
    let completed_changed = completed != text(&before.completed_indexes);
    let failed_changed = status.failed_indexes != before.failed_indexes;
    let (completed_path, failed_path) = (path.child("completedIndexes"), path.child("failedIndexes"));
    if let (true, Some(completions)) = (completed_changed, spec.completions)
        && let Err(wrong) = indexes::count(completed, completions)
    {
        errors.invalid(&completed_path, completed, format!("error parsing completedIndexes: {wrong}"));
    }
    if let (true, Some(completions), Some(failed)) = (failed_changed, spec.completions, failed)
        && spec.backoff_limit_per_index.is_some()
        && let Err(wrong) = indexes::count(failed, completions)
    {
        errors.invalid(&failed_path, failed, format!("error parsing failedIndexes: {wrong}"));
    }
    if completed_changed && !completed.is_empty() && !is_indexed(spec) {
        let detail = "cannot set non-empty completedIndexes when non-indexed completion mode";
        errors.invalid(&completed_path, completed, detail);
    }
    let Some(failed) = failed else { return };
    if failed_changed && spec.backoff_limit_per_index.is_none() {
        let detail = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
        errors.invalid(&failed_path, failed, detail);
    }
    if let (true, Some(completions)) = (failed_changed || completed_changed, spec.completions)
        && let Some(index) = indexes::overlap(completed, failed, completions)
    {
        let detail = format!("failedIndexes and completedIndexes overlap at index: {index}");
        errors.invalid(&failed_path, failed, detail);
    }
}

fn validate_pods(now: &Told<'_>, was: &Told<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (status, before) = (now.status, was.status);
    let terminating = status.terminating.unwrap_or(0);
    let changed = now.finished != was.finished || status.terminating != before.terminating;
    if changed && now.finished && terminating > 0 {
        let detail = "terminating>0 is invalid for finished job";
        errors.invalid(&path.child("terminating"), terminating, detail);
    }
    if (status.ready != before.ready || status.active != before.active)
        && let Some(ready) = status.ready
        && ready > status.active.unwrap_or(0)
    {
        errors.invalid(&path.child("ready"), ready, "cannot set more ready pods than active");
    }
}

/// What it means that the criteria of success are met.
fn validate_success(now: &Told<'_>, spec: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let conditions = path.child("conditions");
    let wrong = [
        (now.met && now.failed, "cannot set SuccessCriteriaMet=True and Failed=true conditions"),
        (now.met && now.failing, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"),
        (
            spec.success_policy.is_some() && !now.met && now.complete,
            "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        ),
    ];
    for (_, detail) in wrong.into_iter().filter(|(wrong, _)| *wrong) {
        errors.invalid_unshown(&conditions, detail);
    }
}

/// What has been said stays said.
fn validate_history(
    now: &Told<'_>,
    was: &Told<'_>,
    spec: &JobSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (status, before) = (now.status, was.status);
    let conditions = path.child("conditions");
    for (word, held, holds) in [
        ("Failed", was.failed, now.failed),
        ("Complete", was.complete, now.complete),
        ("FailureTarget", was.failing, now.failing),
    ] {
        if held && !holds {
            let detail = format!("cannot disable the terminal {word}=True condition");
            errors.invalid_unshown(&conditions, detail);
        }
    }
    let may_shrink = is_indexed(spec) && spec.completions == spec.parallelism;
    let counters = [
        ("failed", status.failed, before.failed, false),
        ("succeeded", status.succeeded, before.succeeded, may_shrink),
    ];
    for (field, now, was, may_shrink) in counters {
        let now = now.unwrap_or(0);
        if !may_shrink && now < was.unwrap_or(0) {
            errors.invalid(&path.child(field), now, format!("cannot decrease the {field} counter"));
        }
    }
    if let (Some(time), Some(was)) = (&status.completion_time, &before.completion_time)
        && time != was
    {
        errors.invalid(&path.child("completionTime"), json!(time), IMMUTABLE);
    }
    let suspended = |status: &JobStatus, word: &str| {
        list(&status.conditions).iter().any(|one| one.type_ == "Suspended" && one.status == word)
    };
    let resumes = suspended(before, "True") && suspended(status, "False");
    if before.start_time.is_some()
        && status.start_time != before.start_time
        && !resumes
        && spec.suspend != Some(true)
    {
        let detail = "field is immutable for unsuspended job once set";
        errors.invalid(&path.child("startTime"), json!(status.start_time), detail);
    }
    if was.met && !now.met {
        errors.invalid_unshown(&conditions, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if was.complete && !was.met && now.met {
        let detail = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        errors.invalid_unshown(&conditions, detail);
    }
}
