//! Where a pod would rather or must be: near nodes and near other pods.

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, validate_label_selector};
use crate::api::names::{
    check_name, is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name,
};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NO_OPERATOR: &str = "not a valid selector operator";

pub(super) fn validate_affinity(affinity: Option<&Affinity>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(affinity) = affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        validate_node_affinity(node, &path.child("nodeAffinity"), errors);
    }
    if let Some(pods) = &affinity.pod_affinity {
        let path = path.child("podAffinity");
        let required = list(&pods.required_during_scheduling_ignored_during_execution);
        validate_terms(required, &path.child(REQUIRED), errors);
        let preferred = list(&pods.preferred_during_scheduling_ignored_during_execution);
        validate_weighted(preferred, &path.child(PREFERRED), errors);
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        let path = path.child("podAntiAffinity");
        let required = list(&pods.required_during_scheduling_ignored_during_execution);
        validate_terms(required, &path.child(REQUIRED), errors);
        let preferred = list(&pods.preferred_during_scheduling_ignored_during_execution);
        validate_weighted(preferred, &path.child(PREFERRED), errors);
    }
}

fn validate_node_affinity(affinity: &NodeAffinity, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(required) = &affinity.required_during_scheduling_ignored_during_execution {
        validate_node_selector(required, &path.child(REQUIRED), errors);
    }
    let preferred = list(&affinity.preferred_during_scheduling_ignored_during_execution);
    for (at, term) in preferred.iter().enumerate() {
        let path = path.child(PREFERRED);
        let path = path.index(at);
        validate_weight(term.weight, &path, errors);
        validate_node_term(&term.preference, false, &path.child("preference"), errors);
    }
}

/// Collects what is wrong with the terms by which nodes are chosen.
pub(crate) fn validate_node_selector(
    selector: &NodeSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.required(&path, "must have at least one node selector term");
    }
    for (at, term) in selector.node_selector_terms.iter().enumerate() {
        validate_node_term(term, true, &path.index(at), errors);
    }
}

fn validate_weight(weight: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

fn validate_node_term(
    term: &NodeSelectorTerm,
    check_values: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (at, requirement) in list(&term.match_expressions).iter().enumerate() {
        validate_node_label(requirement, check_values, &path.child("matchExpressions").index(at), errors);
    }
    for (at, requirement) in list(&term.match_fields).iter().enumerate() {
        validate_node_field(requirement, &path.child("matchFields").index(at), errors);
    }
}

fn validate_node_label(
    requirement: &NodeSelectorRequirement,
    check_values: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let values = list(&requirement.values);
    let field = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" => {
            if values.is_empty() {
                errors.required(&field, "must be specified when `operator` is 'In' or 'NotIn'");
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&field, detail);
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.required(&field, detail);
            }
        }
        other => errors.invalid(&path.child("operator"), other, NO_OPERATOR),
    }
    errors.invalid_each(&path.child("key"), &requirement.key, is_qualified_name(&requirement.key));
    if check_values {
        for (at, value) in values.iter().enumerate() {
            errors.invalid_each(&field.index(at), value, is_label_value(value));
        }
    }
}

fn validate_node_field(
    requirement: &NodeSelectorRequirement,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let values = list(&requirement.values);
    match requirement.operator.as_str() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let detail =
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(&path.child("values"), detail);
            }
        }
        other => errors.invalid(&path.child("operator"), other, NO_OPERATOR),
    }
    if requirement.key != "metadata.name" {
        let key = requirement.key.as_str();
        errors.invalid(&path.child("key"), key, "not a valid field selector key");
        return;
    }
    for (at, value) in values.iter().enumerate() {
        let wrong = check_name(is_dns1123_subdomain, value, false);
        errors.invalid_each(&path.child("values").index(at), value, wrong);
    }
}

fn validate_terms(terms: &[PodAffinityTerm], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, term) in terms.iter().enumerate() {
        validate_term(term, &path.index(at), errors);
    }
}

fn validate_weighted(terms: &[WeightedPodAffinityTerm], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, term) in terms.iter().enumerate() {
        let path = path.index(at);
        validate_weight(term.weight, &path, errors);
        validate_term(&term.pod_affinity_term, &path.child("podAffinityTerm"), errors);
    }
}

fn validate_term(term: &PodAffinityTerm, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, selector) in
        [("labelSelector", &term.label_selector), ("namespaceSelector", &term.namespace_selector)]
    {
        if let Some(selector) = selector {
            validate_label_selector(selector, &path.child(field), errors);
        }
    }
    for name in list(&term.namespaces) {
        let wrong = check_name(is_dns1123_label, name, false);
        errors.invalid_each(&path.child("namespace"), name, wrong);
    }
    let (keys, other_keys) = (list(&term.match_label_keys), list(&term.mismatch_label_keys));
    validate_label_keys(keys, other_keys, term.label_selector.as_ref(), path, errors);
    if term.topology_key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    let wrong = is_qualified_name(&term.topology_key);
    errors.invalid_each(&path.child("topologyKey"), &term.topology_key, wrong);
}

/// Keys of labels whose values a selector takes from the pod itself.
pub(super) fn validate_label_keys(
    keys: &[String],
    other_keys: &[String],
    selector: Option<&LabelSelector>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (field, keys) in [("matchLabelKeys", keys), ("mismatchLabelKeys", other_keys)] {
        let path = path.child(field);
        if !keys.is_empty() && selector.is_none() {
            errors.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (at, key) in keys.iter().enumerate() {
            errors.invalid_each(&path.index(at), key, is_qualified_name(key));
        }
    }
    if let Some(selector) = selector {
        validate_doubled_keys(keys, selector, path, errors);
    }
    for (at, key) in keys.iter().enumerate().filter(|(_, key)| other_keys.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.invalid(&path.child("matchLabelKeys").index(at), key.as_str(), detail);
    }
}

/// The server itself adds a requirement for each key, so only a second one is wrong.
fn validate_doubled_keys(
    keys: &[String],
    selector: &LabelSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let expressions = list(&selector.match_expressions);
    for (at, expression) in expressions.iter().enumerate() {
        let key = &expression.key;
        let before = selector.match_labels.as_ref().is_some_and(|labels| labels.contains_key(key))
            || expressions[..at].iter().any(|other| other.key == *key);
        let Some(at) = keys.iter().rposition(|other| other == key) else { continue };
        if before {
            let detail = "exists in both matchLabelKeys and labelSelector";
            errors.invalid(&path.index(at), key.as_str(), detail);
        }
    }
}
