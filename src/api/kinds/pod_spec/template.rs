//! The template of pods, as ReplicaSets and Deployments carry it.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::{Of, default_spec, validate_spec};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, selects_all, text, validate_label_selector};
use crate::api::kinds::pod::validate_pod_annotations;
use crate::api::meta::{validate_annotations, validate_labels};
use crate::api::selector::Selector;

/// Fills in what the user left open.
pub(crate) fn default_template(template: &mut PodTemplateSpec) {
    default_spec(template.spec.get_or_insert_default());
}

/// Collects what is wrong with the selector and the template of one who keeps pods running.
pub(crate) fn validate_template(
    selector: &LabelSelector,
    template: &PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let selector_path = path.child("selector");
    validate_label_selector(selector, &selector_path, errors);
    if selects_all(selector) {
        errors.invalid(&selector_path, json!(selector), "empty selector is invalid for deployment");
    }
    let path = path.child("template");
    match Selector::from_label_selector(Some(selector)) {
        Err(_) => errors.invalid(&selector_path, json!(selector), "invalid label selector"),
        Ok(matcher) => {
            let metadata = template.metadata.as_ref();
            let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
            let none = Default::default();
            if !matcher.is_everything() && !matcher.matches(labels.unwrap_or(&none)) {
                let detail = "`selector` does not match template `labels`";
                errors.invalid(&path.child("metadata").child("labels"), json!(labels), detail);
            }
            validate_parts(template, &path, errors);
        }
    }
}

fn validate_parts(template: &PodTemplateSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let metadata = template.metadata.as_ref();
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    validate_labels(metadata.and_then(|metadata| metadata.labels.as_ref()), &path.child("labels"), errors);
    validate_annotations(annotations, &path.child("annotations"), errors);
    let Some(spec) = &template.spec else {
        errors.required(&path.child("spec").child("containers"), "");
        return;
    };
    validate_pod_annotations(annotations, spec, &path.child("annotations"), errors);
    let path = path.child("spec");
    validate_spec(spec, Of::Template, &path, errors);
    if !list(&spec.ephemeral_containers).is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(&path.child("ephemeralContainers"), detail);
    }
    if text(&spec.restart_policy) != "Always" {
        errors.not_supported(&path.child("restartPolicy"), text(&spec.restart_policy), &["Always"]);
    }
    if spec.active_deadline_seconds.is_some() {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.forbidden(&path.child("activeDeadlineSeconds"), detail);
    }
}
