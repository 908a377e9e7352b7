//! DaemonSet: one pod on each node that fits.
//!
//! Its number of template changes is an annotation that only the server writes, as upstream serves it.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetCondition, DaemonSetSpec, DaemonSetStatus, DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical, fill};
use super::fields::{text, validate_label_selector};
use super::pod_spec::{default_template, or_word, validate_kept_running, validate_template};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain};
use super::shares::{number_of, validate_share, validate_within_whole};
use super::versions::Specified;
use super::workload::{
    containers_text, given, labels_text, selector_text, validate_collisions, validate_numbers,
    validate_selector_kept, validate_selects_template,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_not_negative;
use crate::api::object::{Column, Kind, Scope};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

impl Kind for DaemonSet {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["ds"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::shown("Desired"),
        Column::shown("Current"),
        Column::shown("Ready"),
        Column::shown("Up-to-date"),
        Column::shown("Available"),
        Column::shown("Node Selector"),
        Column::shown("Age"),
        Column::wide("Containers"),
        Column::wide("Images"),
        Column::wide("Selector"),
    ];

    named_as_subdomain!();
    generation_of_spec!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = self.spec_mut();
        let strategy = spec.update_strategy.get_or_insert_default();
        or_word(&mut strategy.type_, "RollingUpdate");
        if text(&strategy.type_) == "RollingUpdate" {
            let rolling = strategy.rolling_update.get_or_insert_default();
            rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
            rolling.max_surge.get_or_insert(IntOrString::Int(0));
        }
        spec.revision_history_limit.get_or_insert(10);
        default_template(&mut spec.template);
    }

    fn prepare_create(&mut self) {
        self.status = Some(DaemonSetStatus::default());
        // A text that is no number stays, and is refused.
        if let Ok(generation) = template_generation(self) {
            set_template_generation(self, generation.max(1));
        }
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        let (new, before) = (self.spec(), old.spec());
        // The form in which both would be stored is compared.
        let canonical = new.cloned().map(|mut spec| {
            spec.template.make_canonical();
            spec.template
        });
        let changed = canonical.as_ref() != before.map(|spec| &spec.template);
        let generation = template_generation(old).unwrap_or(1);
        set_template_generation(self, if changed { generation.saturating_add(1) } else { generation });
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        set_template_generation(self, template_generation(old).unwrap_or(1));
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = self.spec() else { return };
        let path = FieldPath::new("spec");
        let template = path.child("template");
        validate_label_selector(&spec.selector, &path.child("selector"), errors);
        validate_selects_template(given(&spec.selector), &spec.template, &template, errors);
        validate_template(&spec.template, &template, errors);
        validate_kept_running(&spec.template, "DaemonSet", &template, errors);
        validate_not_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), errors);
        let none = DaemonSetUpdateStrategy::default();
        let strategy = spec.update_strategy.as_ref().unwrap_or(&none);
        validate_strategy(strategy, &path.child("updateStrategy"), errors);
        let limit = spec.revision_history_limit.unwrap_or(0);
        validate_not_negative(limit, &path.child("revisionHistoryLimit"), errors);
    }

    fn validate_create(&self, errors: &mut FieldErrors) {
        if let Err(wrong) = template_generation(self) {
            let path = FieldPath::new("metadata");
            let detail = format!("strconv.ParseInt: parsing \"{wrong}\": invalid syntax");
            errors.invalid(&path.child("annotations").key(TEMPLATE_GENERATION), wrong, detail);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(old)) = (self.spec(), old.spec()) else { return };
        validate_selector_kept(&new.selector, &old.selector, errors);
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        let none = DaemonSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let number = |field: Option<i32>| i64::from(field.unwrap_or(0));
        let numbers = [
            ("currentNumberScheduled", status.current_number_scheduled.into()),
            ("numberMisscheduled", status.number_misscheduled.into()),
            ("desiredNumberScheduled", status.desired_number_scheduled.into()),
            ("numberReady", status.number_ready.into()),
            ("observedGeneration", status.observed_generation.unwrap_or(0)),
            ("updatedNumberScheduled", number(status.updated_number_scheduled)),
            ("numberAvailable", number(status.number_available)),
            ("numberUnavailable", number(status.number_unavailable)),
            ("collisionCount", number(status.collision_count)),
        ];
        let path = FieldPath::new("status");
        validate_numbers(&numbers, &path, errors);
        let before = old.status.as_ref().and_then(|status| status.collision_count);
        validate_collisions(status.collision_count, before, &path, errors);
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = DaemonSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let spec = self.spec();
        let template = spec.map(|spec| &spec.template);
        let pod = template.and_then(|template| template.spec.as_ref());
        let (names, images) = containers_text(template);
        vec![
            status.desired_number_scheduled.to_string(),
            status.current_number_scheduled.to_string(),
            status.number_ready.to_string(),
            status.updated_number_scheduled.unwrap_or(0).to_string(),
            status.number_available.unwrap_or(0).to_string(),
            labels_text(pod.and_then(|pod| pod.node_selector.as_ref())),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            selector_text(spec.map(|spec| &spec.selector)),
        ]
    }
}

/// How often the template has changed; the text where it is no number.
fn template_generation(set: &DaemonSet) -> Result<i64, &str> {
    let text = set.metadata.annotations.as_ref().and_then(|all| all.get(TEMPLATE_GENERATION));
    text.map_or(Ok(0), |text| text.parse().map_err(|_| text.as_str()))
}

fn set_template_generation(set: &mut DaemonSet, generation: i64) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string());
}

fn validate_strategy(strategy: &DaemonSetUpdateStrategy, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let rolling_path = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.required(&rolling_path, ""),
        ("RollingUpdate", Some(rolling)) => validate_rolling(rolling, &rolling_path, errors),
        (other, rolling) => {
            // Upstream shows its internal form of the struct here.
            let rolling = rolling.as_ref().map(
                |rolling| json!({ "MaxUnavailable": rolling.max_unavailable, "MaxSurge": rolling.max_surge }),
            );
            let value = json!({ "Type": other, "RollingUpdate": rolling });
            errors.not_supported(path, value, &["RollingUpdate", "OnDelete"]);
        }
    }
}

fn validate_rolling(rolling: &RollingUpdateDaemonSet, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let zero = IntOrString::Int(0);
    let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    validate_share(unavailable, &unavailable_path, errors);
    validate_share(surge, &surge_path, errors);
    validate_within_whole(unavailable, &unavailable_path, errors);
    validate_within_whole(surge, &surge_path, errors);
    match (number_of(unavailable) != 0, number_of(surge) != 0) {
        (true, true) => {
            errors.invalid(&surge_path, json!(surge), "may not be set when maxUnavailable is non-zero");
        }
        (false, false) => errors.required(&unavailable_path, "cannot be 0 when maxSurge is 0"),
        _ => {}
    }
}

impl Canonical for DaemonSet {
    fn make_canonical(&mut self) {
        let spec = self.spec_mut();
        spec.make_canonical();
        fill(&mut self.status);
    }
}

canonical! {
    DaemonSetCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    DaemonSetSpec {
        drop: min_ready_seconds;
        fill: update_strategy;
        deep: selector, template;
    }
    DaemonSetStatus {
        drop: conditions, number_available, number_unavailable, observed_generation,
              updated_number_scheduled;
    }
    DaemonSetUpdateStrategy {
        drop: type_;
    }
}
