//! Job: pods that run to their end.
//!
//! Owns its rules; what may be wrong is in files of their own: with the specification (`spec`), with its policies
//! for failed pods and success (`policy`), with a status (`status`), with lists of indexes (`indexes`).

mod indexes;
mod policy;
mod spec;
mod status;
mod update;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{
    Job, JobCondition, JobSpec, JobStatus, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule,
    UncountedTerminatedPods,
};
use serde_json::json;

pub(super) use self::spec::validate_made_later;
use self::spec::validate_spec;
use super::age::{human_duration, since};
use super::canonical::{canonical, canonical_as_is};
use super::fields::{list, text, validate_label_selector};
use super::pod_spec::{default_template, or_word};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain, status_apart};
use super::workload::{containers_text, selector_text, validate_selects_template};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::is_dns1123_label;
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::api::selector::Selector;

const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const OLD_JOB_NAME: &str = "job-name";
const OLD_CONTROLLER_UID: &str = "controller-uid";

impl Kind for Job {
    const SCOPE: Scope = Scope::Namespaced;
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const ORPHANS_DEPENDENTS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["status.successful"];
    const COLUMNS: &'static [Column] = &[
        Column::shown("Status"),
        Column::shown("Completions"),
        Column::shown("Duration"),
        Column::shown("Age"),
        Column::wide("Containers"),
        Column::wide("Images"),
        Column::wide("Selector"),
    ];

    named_as_subdomain!();
    status_apart!(but prepare_create);
    generation_of_spec!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        default_made_later(spec);
        if spec.completions.is_none() && spec.parallelism.is_none() {
            spec.completions = Some(1);
        }
        spec.parallelism.get_or_insert(1);
        let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
        spec.backoff_limit.get_or_insert(limit);
        spec.completion_mode.get_or_insert_with(|| "NonIndexed".to_owned());
        spec.suspend.get_or_insert(false);
        let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
        spec.pod_replacement_policy.get_or_insert_with(|| replacement.to_owned());
        spec.manual_selector.get_or_insert(false);
        // Without labels of its own, it is labelled as its pods are.
        if self.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty)
            && let Some(labels) = labels(spec).filter(|labels| !labels.is_empty())
        {
            self.metadata.labels = Some(labels.clone());
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(JobStatus::default());
        let manual = self.spec.as_ref().and_then(|spec| spec.manual_selector);
        if !manual.unwrap_or(false) {
            generate_selector(self);
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        validate_generated(self, spec, errors);
        let path = FieldPath::new("spec");
        validate_spec(spec, &path, errors);
        match &spec.selector {
            None => errors.required(&path.child("selector"), ""),
            Some(selector) => validate_label_selector(selector, &path.child("selector"), errors),
        }
        validate_selects_template(spec.selector.as_ref(), &spec.template, &path.child("template"), errors);
        validate_hostnames(self, spec, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if let (Some(new), Some(before)) = (&self.spec, &old.spec) {
            update::validate_change(new, before, old, errors);
        }
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        status::validate_status(self, old, errors);
    }

    fn terms(&self, terms: &mut Terms) {
        let succeeded = self.status.as_ref().and_then(|status| status.succeeded).unwrap_or(0);
        terms.add("status.successful", succeeded.to_string());
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = JobStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let spec = self.spec.as_ref();
        let succeeded = status.succeeded.unwrap_or(0);
        let completions = match spec.and_then(|spec| spec.completions) {
            Some(wanted) => format!("{succeeded}/{wanted}"),
            None => match spec.and_then(|spec| spec.parallelism).unwrap_or(0) {
                many @ 2.. => format!("{succeeded}/1 of {many}"),
                _ => format!("{succeeded}/1"),
            },
        };
        let duration = status.start_time.as_ref().map(|start| {
            let end = status.completion_time.as_ref().map_or(now, |end| end.0);
            human_duration(end.duration_since(start.0).as_secs())
        });
        let (names, images) = containers_text(spec.map(|spec| &spec.template));
        vec![
            self.state(status).to_owned(),
            completions,
            duration.unwrap_or_default(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            selector_text(spec.and_then(|spec| spec.selector.as_ref())),
        ]
    }
}

/// How a Job stands, in one word.
trait State {
    fn state(&self, status: &JobStatus) -> &'static str;
}

impl State for Job {
    fn state(&self, status: &JobStatus) -> &'static str {
        let first = |words: &[&'static str]| words.iter().copied().find(|word| holds(status, word));
        if let Some(end) = first(&["Complete", "Failed"]) {
            return end;
        }
        if self.metadata.deletion_timestamp.is_some() {
            return "Terminating";
        }
        first(&["Suspended", "FailureTarget", "SuccessCriteriaMet"]).unwrap_or("Running")
    }
}

/// Whether a condition of this type is true.
fn holds(status: &JobStatus, kind: &str) -> bool {
    list(&status.conditions).iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn is_indexed(spec: &JobSpec) -> bool {
    text(&spec.completion_mode) == "Indexed"
}

fn labels(spec: &JobSpec) -> Option<&BTreeMap<String, String>> {
    spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref())
}

/// Fills in what a Job and the template of a CronJob share.
pub(super) fn default_made_later(spec: &mut JobSpec) {
    default_template(&mut spec.template);
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for pattern in rules.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
        or_word(&mut pattern.status, "True");
    }
}

/// Gives the pods labels that no other Job's pods have, and selects by them. What the user has written under these
/// labels stays, and is refused.
fn generate_selector(job: &mut Job) {
    let name = job.metadata.name.clone().unwrap_or_default();
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let spec = job.spec.get_or_insert_default();
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    for key in [OLD_JOB_NAME, JOB_NAME] {
        labels.entry(key.to_owned()).or_insert_with(|| name.clone());
    }
    for key in [OLD_CONTROLLER_UID, CONTROLLER_UID] {
        labels.entry(key.to_owned()).or_insert_with(|| uid.clone());
    }
    let selector = spec.selector.get_or_insert_default();
    selector.match_labels.get_or_insert_default().entry(CONTROLLER_UID.to_owned()).or_insert(uid);
}

/// A selector that was not made by hand is the one that would be generated.
fn validate_generated(job: &Job, spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(selector) = &spec.selector else { return };
    if spec.manual_selector == Some(true) {
        return;
    }
    let uid = text(&job.metadata.uid);
    if uid.is_empty() {
        errors.required(&FieldPath::new("metadata").child("uid"), "");
    }
    let wanted = [
        (OLD_CONTROLLER_UID, uid),
        (OLD_JOB_NAME, text(&job.metadata.name)),
        (CONTROLLER_UID, uid),
        (JOB_NAME, text(&job.metadata.name)),
    ];
    for (key, value) in wanted {
        validate_label(spec, key, value, errors);
    }
    let labels: BTreeMap<String, String> =
        wanted.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if Selector::from_label_selector(Some(selector)).is_ok_and(|selector| !selector.matches(&labels)) {
        let path = FieldPath::new("spec");
        errors.invalid(&path.child("selector"), json!(selector), "`selector` not auto-generated");
    }
}

fn validate_label(spec: &JobSpec, key: &str, value: &str, errors: &mut FieldErrors) {
    let path = FieldPath::new("spec");
    let path = path.child("template");
    let path = path.child("metadata");
    let path = path.child("labels");
    let path = path.key(key);
    let labels = labels(spec);
    match labels.and_then(|labels| labels.get(key)) {
        None => errors.required(&path, format!("must be '{value}'")),
        Some(found) if found != value => {
            errors.invalid(&path, json!(labels), format!("must be '{value}'"));
        }
        Some(_) => {}
    }
}

/// The pods of an indexed Job are called after it and their index: the longest of these names must be a label.
fn validate_hostnames(job: &Job, spec: &JobSpec, errors: &mut FieldErrors) {
    let Some(completions) = spec.completions.filter(|count| is_indexed(spec) && *count > 0) else { return };
    let name = text(&job.metadata.name);
    let longest = format!("{name}-{}", completions - 1);
    if !is_dns1123_label(&longest).is_empty() {
        let path = FieldPath::new("metadata");
        let detail = format!("will not able to create pod with invalid DNS label: {longest}");
        errors.invalid(&path.child("name"), name, detail);
    }
}

canonical_as_is!(PodFailurePolicyOnExitCodesRequirement, SuccessPolicy, SuccessPolicyRule);

canonical! {
    Job {
        fill: spec, status;
    }
    JobCondition {
        drop: message, reason;
        keep: last_probe_time, last_transition_time;
    }
    JobSpec {
        keep: pod_failure_policy, selector;
        deep: template;
    }
    JobStatus {
        drop: active, completed_indexes, conditions, failed, succeeded;
        keep: completion_time, start_time, uncounted_terminated_pods;
    }
    PodFailurePolicy {
        deep: rules;
    }
    PodFailurePolicyOnPodConditionsPattern {
        fill: status;
    }
    PodFailurePolicyRule {
        drop: on_pod_conditions;
    }
    UncountedTerminatedPods {
        drop: failed, succeeded;
    }
}
