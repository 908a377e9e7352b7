//! The template of pods, as those carry it who make pods.

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::{Of, default_spec, validate_spec};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::pod::validate_pod_annotations;
use crate::api::meta::{validate_annotations, validate_labels};

/// Fills in what the user left open.
pub(crate) fn default_template(template: &mut PodTemplateSpec) {
    default_spec(template.spec.get_or_insert_default());
}

/// Collects what is wrong with a template.
pub(crate) fn validate_template(template: &PodTemplateSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
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
}

/// The pods of one who keeps them running never end by themselves. `owner` is its kind, as upstream says it.
pub(crate) fn validate_kept_running(
    template: &PodTemplateSpec,
    owner: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(spec) = &template.spec else { return };
    let path = path.child("spec");
    if text(&spec.restart_policy) != "Always" {
        errors.not_supported(&path.child("restartPolicy"), text(&spec.restart_policy), &["Always"]);
    }
    if spec.active_deadline_seconds.is_some() {
        let detail = format!("activeDeadlineSeconds in {owner} is not Supported");
        errors.forbidden(&path.child("activeDeadlineSeconds"), detail);
    }
}
