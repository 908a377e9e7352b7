//! StatefulSet: pods with a name and volumes of their own, made and changed in order.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetCondition, StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetStatus,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume};
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical, fill};
use super::fields::{list, text, validate_dns_label};
use super::persistent_volume_claim::validate_spec as validate_claim_spec;
use super::pod_spec::{default_template, or_word, validate_kept_running, validate_template};
use super::rules::{canonical_by_table, generation_of_spec, status_apart};
use super::shares::{number_of, validate_share, validate_within_whole};
use super::versions::Specified;
use super::workload::{
    containers_text, given, validate_available, validate_collisions, validate_numbers, validate_parts,
    validate_required_selector, validate_selects_template,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_not_negative;
use crate::api::names::{check_name, is_dns1123_label};
use crate::api::object::{Column, Kind, Scope};
use crate::api::selector::Selector;

/// What a change may touch, in upstream's words.
const FROZEN: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                      'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                      'minReadySeconds' are forbidden";

impl Kind for StatefulSet {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["sts"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const HAS_SCALE: bool = true;
    const COLUMNS: &'static [Column] =
        &[Column::shown("Ready"), Column::shown("Age"), Column::wide("Containers"), Column::wide("Images")];

    status_apart!();
    generation_of_spec!();
    canonical_by_table!();

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_label, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = self.spec_mut();
        or_word(&mut spec.pod_management_policy, "OrderedReady");
        let strategy = spec.update_strategy.get_or_insert_default();
        if text(&strategy.type_).is_empty() {
            strategy.type_ = Some("RollingUpdate".to_owned());
            strategy.rolling_update.get_or_insert_default();
        }
        if let Some(rolling) = &mut strategy.rolling_update {
            if text(&strategy.type_) == "RollingUpdate" {
                rolling.partition.get_or_insert(0);
            }
            // Several at a time are off in a default server, which drops the field.
            rolling.max_unavailable = None;
        }
        let retention = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
        or_word(&mut retention.when_deleted, "Retain");
        or_word(&mut retention.when_scaled, "Retain");
        spec.replicas.get_or_insert(1);
        spec.revision_history_limit.get_or_insert(10);
        default_template(&mut spec.template);
        spec.volume_claim_templates.iter_mut().flatten().for_each(Kind::set_defaults);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = self.spec() else { return };
        let path = FieldPath::new("spec");
        validate_policies(spec, &path, errors);
        validate_not_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), errors);
        validate_not_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), errors);
        if let Some(ordinals) = &spec.ordinals {
            validate_not_negative(ordinals.start.unwrap_or(0), &path.child("ordinals.start"), errors);
        }
        let selector_path = path.child("selector");
        validate_required_selector(&spec.selector, &selector_path, errors);
        let path = path.child("template");
        if Selector::from_label_selector(Some(&spec.selector)).is_err() {
            errors.invalid(&selector_path, json!(spec.selector), "");
        } else {
            validate_selects_template(given(&spec.selector), &spec.template, &path, errors);
            validate_template(&as_made(spec), &path, errors);
        }
        validate_kept_running(&spec.template, "StatefulSet", &path, errors);
    }

    fn validate_create(&self, errors: &mut FieldErrors) {
        let Some(spec) = self.spec() else { return };
        let path = FieldPath::new("spec");
        let templates = path.child("volumeClaimTemplates");
        for (at, claim) in list(&spec.volume_claim_templates).iter().enumerate() {
            if let Some(spec) = &claim.spec {
                validate_claim_spec(spec, &templates.index(at).child("spec"), errors);
            }
        }
        if !text(&spec.service_name).is_empty() {
            validate_dns_label(text(&spec.service_name), &path.child("serviceName"), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(old)) = (self.spec(), old.spec()) else { return };
        let same = new.selector == old.selector
            && new.service_name == old.service_name
            && new.pod_management_policy == old.pod_management_policy
            && new.volume_claim_templates == old.volume_claim_templates;
        if !same {
            errors.forbidden(&FieldPath::new("spec"), FROZEN);
        }
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        let none = StatefulSetStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        validate_counts(status, errors);
        let before = old.status.as_ref().and_then(|status| status.collision_count);
        validate_collisions(status.collision_count, before, &FieldPath::new("status"), errors);
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let spec = self.spec();
        let ready = self.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        let (names, images) = containers_text(spec.map(|spec| &spec.template));
        vec![
            format!("{ready}/{}", spec.and_then(|spec| spec.replicas).unwrap_or(0)),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
        ]
    }
}

/// How pods are made and changed, and what becomes of their volumes.
fn validate_policies(spec: &StatefulSetSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let management = path.child("podManagementPolicy");
    match text(&spec.pod_management_policy) {
        "" => errors.required(&management, ""),
        "OrderedReady" | "Parallel" => {}
        other => errors.invalid(&management, other, "must be 'OrderedReady' or 'Parallel'"),
    }
    let none = StatefulSetUpdateStrategy::default();
    let strategy = spec.update_strategy.as_ref().unwrap_or(&none);
    validate_strategy(strategy, &path.child("updateStrategy"), errors);
    if let Some(policy) = &spec.persistent_volume_claim_retention_policy {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for (field, word) in [("whenDeleted", &policy.when_deleted), ("whenScaled", &policy.when_scaled)] {
            if !matches!(text(word), "Retain" | "Delete") {
                errors.not_supported(&path.child(field), text(word), &["Retain", "Delete"]);
            }
        }
    }
}

/// Upstream's internal form, which its messages show.
fn shown(rolling: &RollingUpdateStatefulSetStrategy) -> serde_json::Value {
    json!({ "Partition": rolling.partition.unwrap_or(0), "MaxUnavailable": rolling.max_unavailable })
}

fn validate_strategy(strategy: &StatefulSetUpdateStrategy, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let rolling_path = path.child("rollingUpdate");
    match (text(&strategy.type_), &strategy.rolling_update) {
        ("", _) => errors.required(path, ""),
        ("OnDelete" | "RollingUpdate", None) => {}
        ("OnDelete", Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.invalid(&rolling_path, shown(rolling), detail);
        }
        ("RollingUpdate", Some(rolling)) => {
            validate_not_negative(rolling.partition.unwrap_or(0), &rolling_path.child("partition"), errors);
            if let Some(share) = &rolling.max_unavailable {
                let path = rolling_path.child("maxUnavailable");
                validate_share(share, &path, errors);
                if number_of(share) == 0 {
                    errors.invalid(&path, json!(share), "cannot be 0");
                }
                validate_within_whole(share, &path, errors);
            }
        }
        (other, rolling) => {
            let value = json!({ "Type": other, "RollingUpdate": rolling.as_ref().map(shown) });
            errors.invalid(path, value, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}

/// The template as the controller makes pods of it: with a hostname and a subdomain of its own, and with the
/// claims made from the claims' templates in the place of volumes of their names.
fn as_made(spec: &StatefulSetSpec) -> PodTemplateSpec {
    let mut template = spec.template.clone();
    let Some(pod) = &mut template.spec else { return template };
    pod.hostname = None;
    pod.subdomain = None;
    let claims: BTreeSet<&str> =
        list(&spec.volume_claim_templates).iter().map(|claim| text(&claim.metadata.name)).collect();
    if claims.is_empty() {
        return template;
    }
    let mut volumes: Vec<Volume> = claims.iter().map(|name| claim_volume(name)).collect();
    let own = pod.volumes.take().unwrap_or_default();
    volumes.extend(own.into_iter().filter(|volume| !claims.contains(volume.name.as_str())));
    pod.volumes = Some(volumes);
    template
}

fn claim_volume(name: &str) -> Volume {
    let source = PersistentVolumeClaimVolumeSource { claim_name: name.to_owned(), ..Default::default() };
    Volume { name: name.to_owned(), persistent_volume_claim: Some(source), ..Default::default() }
}

fn validate_counts(status: &StatefulSetStatus, errors: &mut FieldErrors) {
    let path = FieldPath::new("status");
    let number = |field: Option<i32>| field.unwrap_or(0);
    let parts = [
        ("readyReplicas", number(status.ready_replicas)),
        ("currentReplicas", number(status.current_replicas)),
        ("updatedReplicas", number(status.updated_replicas)),
        ("availableReplicas", number(status.available_replicas)),
    ];
    validate_not_negative(status.replicas, &path.child("replicas"), errors);
    validate_numbers(&parts.map(|(field, number)| (field, number.into())), &path, errors);
    let rest = [
        ("observedGeneration", status.observed_generation.unwrap_or(0)),
        ("collisionCount", number(status.collision_count).into()),
    ];
    validate_numbers(&rest, &path, errors);
    validate_parts(status.replicas, &parts, &path, errors);
    let (available, ready) = (number(status.available_replicas), number(status.ready_replicas));
    validate_available(available, ready, "status.readyReplicas", &path, errors);
}

impl Canonical for StatefulSet {
    fn make_canonical(&mut self) {
        let spec = self.spec_mut();
        spec.make_canonical();
        fill(&mut self.status);
    }
}

canonical! {
    StatefulSetCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    StatefulSetOrdinals {
        fill: start;
    }
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        drop: when_deleted, when_scaled;
    }
    StatefulSetSpec {
        drop: min_ready_seconds, pod_management_policy, volume_claim_templates;
        keep: ordinals, persistent_volume_claim_retention_policy;
        fill: service_name, update_strategy;
        deep: selector, template;
    }
    StatefulSetStatus {
        drop: conditions, current_replicas, current_revision, observed_generation, ready_replicas,
              update_revision, updated_replicas;
        fill: available_replicas;
    }
    StatefulSetUpdateStrategy {
        drop: type_;
    }
}
