//! ReplicaSet: so many pods of one template.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical, fill};
use super::part::Part;
use super::pod_spec::{default_template, validate_template};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{IMMUTABLE, validate_not_negative};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::api::selector::Selector;

pub(super) const MORE_THAN_ALL: &str = "cannot be greater than status.replicas";

impl Kind for ReplicaSet {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["rs"];
    const HAS_STATUS: bool = true;
    const HAS_SCALE: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["status.replicas"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Desired", wide: false },
        Column { name: "Current", wide: false },
        Column { name: "Ready", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "Containers", wide: true },
        Column { name: "Images", wide: true },
        Column { name: "Selector", wide: true },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec: &mut ReplicaSetSpec = self.spec.part_mut();
        spec.replicas.get_or_insert(1);
        default_template(spec.template.get_or_insert_default());
    }

    fn prepare_create(&mut self) {
        self.status = Some(ReplicaSetStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let spec: Option<&ReplicaSetSpec> = self.spec.part();
        let Some(spec) = spec else { return };
        let path = FieldPath::new("spec");
        validate_not_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), errors);
        validate_not_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), errors);
        let empty = PodTemplateSpec::default();
        validate_template(&spec.selector, spec.template.as_ref().unwrap_or(&empty), &path, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (new, old): (Option<&ReplicaSetSpec>, _) = (self.spec.part(), old.spec.part());
        let (Some(new), Some(old)): (_, Option<&ReplicaSetSpec>) = (new, old) else { return };
        if new.selector != old.selector {
            errors.invalid(&FieldPath::new("spec").child("selector"), json!(new.selector), IMMUTABLE);
        }
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let Some(status) = &self.status else { return };
        let path = FieldPath::new("status");
        let full = status.fully_labeled_replicas.unwrap_or(0);
        let (ready, available) = (status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0));
        let numbers = [
            ("replicas", i64::from(status.replicas)),
            ("fullyLabeledReplicas", full.into()),
            ("readyReplicas", ready.into()),
            ("availableReplicas", available.into()),
            ("observedGeneration", status.observed_generation.unwrap_or(0)),
            ("terminatingReplicas", status.terminating_replicas.unwrap_or(0).into()),
        ];
        for (field, number) in numbers {
            validate_not_negative(number, &path.child(field), errors);
        }
        let parts =
            [("fullyLabeledReplicas", full), ("readyReplicas", ready), ("availableReplicas", available)];
        for (field, number) in parts.into_iter().filter(|(_, number)| *number > status.replicas) {
            errors.invalid(&path.child(field), number, MORE_THAN_ALL);
        }
        if available > ready {
            let detail = "cannot be greater than readyReplicas";
            errors.invalid(&path.child("availableReplicas"), available, detail);
        }
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn terms(&self, terms: &mut Terms) {
        let replicas = self.status.as_ref().map_or(0, |status| status.replicas);
        terms.add("status.replicas", replicas.to_string());
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let spec: Option<&ReplicaSetSpec> = self.spec.part();
        let status = self.status.as_ref();
        let template = spec.and_then(|spec| spec.template.as_ref());
        let (names, images) = containers_text(template);
        vec![
            spec.and_then(|spec| spec.replicas).unwrap_or(0).to_string(),
            status.map_or(0, |status| status.replicas).to_string(),
            status.and_then(|status| status.ready_replicas).unwrap_or(0).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            names,
            images,
            match Selector::from_label_selector(spec.map(|spec| &spec.selector)) {
                Err(_) => "<error>".to_owned(),
                Ok(selector) if selector.is_everything() || selector.is_nothing() => "<none>".to_owned(),
                Ok(selector) => selector.to_string(),
            },
        ]
    }
}

/// The names and images of the containers, each with commas between.
pub(super) fn containers_text(template: Option<&PodTemplateSpec>) -> (String, String) {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| &spec.containers[..]);
    let join = |of: fn(&Container) -> &str| {
        containers.unwrap_or_default().iter().map(of).collect::<Vec<_>>().join(",")
    };
    (join(|container| &container.name), join(|container| container.image.as_deref().unwrap_or_default()))
}

impl Canonical for ReplicaSet {
    fn make_canonical(&mut self) {
        let spec: &mut ReplicaSetSpec = self.spec.part_mut();
        spec.make_canonical();
        fill(&mut self.status);
    }
}

canonical! {
    ReplicaSetCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    ReplicaSetSpec {
        drop: min_ready_seconds;
        fill: template;
        deep: selector;
    }
    ReplicaSetStatus {
        drop: available_replicas, conditions, fully_labeled_replicas, observed_generation,
              ready_replicas;
    }
}
