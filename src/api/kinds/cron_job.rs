//! CronJob: Jobs made by a schedule.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, JobTemplateSpec};

use super::age::since;
use super::canonical::canonical;
use super::fields::{list, text, validate_required_choice};
use super::job::{default_made_later, validate_made_later};
use super::pod_spec::or_word;
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain, status_apart};
use super::workload::{containers_text, selector_text};
use crate::api::cron::{Schedule, time_zone};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_not_negative;
use crate::api::object::{Column, Kind, Scope};
use crate::limits::CRON_JOB_NAME_BYTES;

const POLICIES: [&str; 3] = ["Allow", "Forbid", "Replace"];

impl Kind for CronJob {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["cj"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::shown("Schedule"),
        Column::shown("Timezone"),
        Column::shown("Suspend"),
        Column::shown("Active"),
        Column::shown("Last Schedule"),
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
        let spec = &mut self.spec;
        or_word(&mut spec.concurrency_policy, "Allow");
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        default_made_later(spec.job_template.spec.get_or_insert_default());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let spec = &self.spec;
        let path = FieldPath::new("spec");
        validate_schedule(&spec.schedule, &path.child("schedule"), errors);
        let deadline = spec.starting_deadline_seconds.unwrap_or(0);
        validate_not_negative(deadline, &path.child("startingDeadlineSeconds"), errors);
        if let Some(zone) = &spec.time_zone {
            validate_zone(zone, &path.child("timeZone"), errors);
        }
        let policy = path.child("concurrencyPolicy");
        validate_required_choice(&spec.concurrency_policy, &POLICIES, &policy, errors);
        validate_made_later(&spec.job_template, &path.child("jobTemplate"), errors);
        for (field, limit) in [
            ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
            ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
        ] {
            validate_not_negative(limit.unwrap_or(0), &path.child(field), errors);
        }
    }

    fn validate_create(&self, errors: &mut FieldErrors) {
        let name = text(&self.metadata.name);
        if name.len() > CRON_JOB_NAME_BYTES {
            let path = FieldPath::new("metadata");
            errors.invalid(&path.child("name"), name, "must be no more than 52 characters");
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = || "<none>".to_owned();
        let spec = &self.spec;
        let status = self.status.as_ref();
        let job = spec.job_template.spec.as_ref();
        let (names, images) = containers_text(job.map(|job| &job.template));
        let last = status.and_then(|status| status.last_schedule_time.as_ref());
        let suspend = match spec.suspend {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        vec![
            spec.schedule.clone(),
            spec.time_zone.clone().unwrap_or_else(none),
            suspend.to_owned(),
            status.map_or(0, |status| list(&status.active).len()).to_string(),
            last.map_or_else(none, |last| since(Some(last), now)),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            selector_text(job.and_then(|job| job.selector.as_ref())),
        ]
    }
}

fn validate_schedule(schedule: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if schedule.is_empty() {
        errors.required(path, "");
        return;
    }
    if let Err(wrong) = Schedule::parse(schedule) {
        errors.invalid(path, schedule, wrong.to_string());
    }
    if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.invalid(path, schedule, detail);
    }
}

fn validate_zone(zone: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if zone.is_empty() {
        errors.invalid(path, zone, "timeZone must be nil or non-empty string");
        return;
    }
    let unknown = || format!("unknown time zone {zone}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    let is_part = |part: &str| {
        !matches!(part, "." | "..")
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.bytes().all(plain)
    };
    if !zone.split('/').all(is_part) {
        errors.invalid(path, zone, unknown());
        return;
    }
    if zone.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.invalid(path, zone, detail);
    }
    // Upstream's library knows the name `Local`, in this spelling alone.
    if zone != "Local" && time_zone(zone).is_none() {
        errors.invalid(path, zone, unknown());
    }
}

canonical! {
    CronJob {
        fill: status;
        deep: spec;
    }
    CronJobSpec {
        drop: concurrency_policy;
        deep: job_template;
    }
    CronJobStatus {
        drop: active;
        keep: last_schedule_time, last_successful_time;
    }
    JobTemplateSpec {
        fill: metadata, spec;
    }
}
