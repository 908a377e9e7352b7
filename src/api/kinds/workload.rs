//! What the kinds that keep pods running share: selectors and templates that fit, the numbers of pods in a
//! status, and the cells that tables show of them.
//!
//! Knows no kind; what is in a template is `pod_spec`'s.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::fields::{selects_all, validate_label_selector};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{IMMUTABLE, validate_not_negative};
use crate::api::selector::Selector;

const NO_MATCH: &str = "`selector` does not match template `labels`";

/// A selector as upstream has it, where one that is not given is none, and one that is given must say something.
/// Of a field that the types require, the two cannot be told apart: it is taken as not given.
pub(crate) fn given(selector: &LabelSelector) -> Option<&LabelSelector> {
    (!selects_all(selector)).then_some(selector)
}

/// A selector that must be given.
pub(crate) fn validate_required_selector(
    selector: &LabelSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    match given(selector) {
        Some(selector) => validate_label_selector(selector, path, errors),
        None => errors.required(path, ""),
    }
}

/// The labels of a template are those that its owner selects. Without a selector none are; one that cannot be is
/// not for here to tell.
pub(crate) fn validate_selects_template(
    selector: Option<&LabelSelector>,
    template: &PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let none = BTreeMap::new();
    if let Ok(selector) = Selector::from_label_selector(selector)
        && !selector.matches(labels.unwrap_or(&none))
    {
        errors.invalid(&path.child("metadata").child("labels"), json!(labels), NO_MATCH);
    }
}

/// The labels of a template are those that a plain map selects; an empty one says nothing.
pub(crate) fn validate_map_selects_template(
    selector: &BTreeMap<String, String>,
    template: &PodTemplateSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let none = BTreeMap::new();
    if !Selector::from_set(selector).matches(labels.unwrap_or(&none)) {
        errors.invalid(&path.child("metadata").child("labels"), json!(labels), NO_MATCH);
    }
}

/// A selector never changes.
pub(crate) fn validate_selector_kept(new: &LabelSelector, old: &LabelSelector, errors: &mut FieldErrors) {
    if new != old {
        errors.invalid(&FieldPath::new("spec").child("selector"), json!(new), IMMUTABLE);
    }
}

/// Numbers that are not negative.
pub(crate) fn validate_numbers(numbers: &[(&str, i64)], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, number) in numbers {
        validate_not_negative(*number, &path.child(field), errors);
    }
}

/// No part of the pods is more than all of them.
pub(crate) fn validate_parts(
    all: i32,
    parts: &[(&str, i32)],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (field, number) in parts.iter().filter(|(_, number)| *number > all) {
        errors.invalid(&path.child(field), *number, "cannot be greater than status.replicas");
    }
}

/// No more pods are available than are ready; `ready_field` is what upstream calls those.
pub(crate) fn validate_available(
    available: i32,
    ready: i32,
    ready_field: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if available > ready {
        let detail = format!("cannot be greater than {ready_field}");
        errors.invalid(&path.child("availableReplicas"), available, detail);
    }
}

/// The count of collisions only grows.
pub(crate) fn validate_collisions(
    now: Option<i32>,
    before: Option<i32>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if before.is_some_and(|before| now.is_none_or(|now| now < before)) {
        errors.invalid(&path.child("collisionCount"), now.unwrap_or(0), "cannot be decremented");
    }
}

/// The names and images of the containers, each with commas between.
pub(crate) fn containers_text(template: Option<&PodTemplateSpec>) -> (String, String) {
    let containers = template.and_then(|template| template.spec.as_ref()).map(|spec| &spec.containers[..]);
    let join = |of: fn(&Container) -> &str| {
        containers.unwrap_or_default().iter().map(of).collect::<Vec<_>>().join(",")
    };
    (join(|container| &container.name), join(|container| container.image.as_deref().unwrap_or_default()))
}

/// A label selector in a cell.
pub(crate) fn selector_text(selector: Option<&LabelSelector>) -> String {
    match Selector::from_label_selector(selector) {
        Err(_) => "<error>".to_owned(),
        Ok(selector) if selector.is_everything() || selector.is_nothing() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
    }
}

/// Labels in a cell.
pub(crate) fn labels_text(labels: Option<&BTreeMap<String, String>>) -> String {
    let pairs: Vec<String> =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}
