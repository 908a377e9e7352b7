//! What may be wrong with a HorizontalPodAutoscaler.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    MetricIdentifier, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_choice, validate_dns_label, validate_required_segment};
use crate::api::kinds::pod_spec::validate_container_resource;
use crate::api::kinds::resources::validate_amount;
use crate::api::kinds::workload::validate_numbers;
use crate::api::names::is_path_segment_name;
use crate::api::quantity::Amount;
use crate::limits::{SCALING_PERIOD_SECONDS, SCALING_WINDOW_SECONDS};

const SOURCES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const SELECTIONS: [&str; 3] = ["Disabled", "Max", "Min"];
const POLICIES: [&str; 2] = ["Percent", "Pods"];
const NOT_POPULATED: &str = "must populate information for the given metric source";

/// Collects what is wrong with the autoscaler.
pub(super) fn validate(autoscaler: &HorizontalPodAutoscaler, errors: &mut FieldErrors) {
    let spec = &autoscaler.spec;
    let path = FieldPath::new("spec");
    // Scaling to nothing is off in a default server.
    if let Some(least) = spec.min_replicas.filter(|least| *least < 1) {
        errors.invalid(&path.child("minReplicas"), least, "must be greater than or equal to 1");
    }
    let most = spec.max_replicas;
    let most_path = path.child("maxReplicas");
    if most == 0 {
        errors.required(&most_path, "must be set and greater than 0");
    } else if most < 0 {
        errors.invalid(&most_path, most, "must be greater than or equal to 1");
    }
    if spec.min_replicas.is_some_and(|least| most < least) {
        errors.invalid(&most_path, most, "must be greater than or equal to `minReplicas`");
    }
    let target = &spec.scale_target_ref;
    // The only kind of the core that can be scaled.
    let in_core = target.kind == "ReplicationController";
    validate_reference(target, in_core, &path.child("scaleTargetRef"), errors);
    let metrics = list(&spec.metrics);
    let metrics_path = path.child("metrics");
    for (at, metric) in metrics.iter().enumerate() {
        validate_metric(metric, &metrics_path.index(at), errors);
    }
    let wakes = |metric: &MetricSpec| matches!(metric.type_.as_str(), "Object" | "External");
    if spec.min_replicas == Some(0) && !metrics.iter().any(wakes) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(&metrics_path, detail);
    }
    if let Some(behavior) = &spec.behavior {
        let path = path.child("behavior");
        for (field, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            if let Some(rules) = rules {
                validate_rules(rules, &path.child(field), errors);
            }
        }
    }
}

/// Collects what is wrong with a write of the status.
pub(super) fn validate_status(autoscaler: &HorizontalPodAutoscaler, errors: &mut FieldErrors) {
    let Some(status) = &autoscaler.status else { return };
    let numbers = [
        ("currentReplicas", status.current_replicas.unwrap_or(0).into()),
        ("desiredReplicas", status.desired_replicas.into()),
    ];
    validate_numbers(&numbers, &FieldPath::new("status"), errors);
}

fn validate_reference(
    reference: &CrossVersionObjectReference,
    in_core: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_required_segment(&reference.kind, &path.child("kind"), errors);
    validate_required_segment(&reference.name, &path.child("name"), errors);
    let version = text(&reference.api_version);
    let path = path.child("apiVersion");
    let group = if version == "/" { "" } else { version.split_once('/').map_or("", |(group, _)| group) };
    if version != "/" && version.matches('/').count() > 1 {
        errors.invalid(&path, version, format!("unexpected GroupVersion string: {version}"));
    } else if group.is_empty() && !in_core {
        errors.invalid(&path, version, "apiVersion must specify API group");
    }
}

fn validate_rules(rules: &HPAScalingRules, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let window_path = path.child("stabilizationWindowSeconds");
    match rules.stabilization_window_seconds {
        Some(window) if window < 0 => {
            errors.invalid(&window_path, window, "must be greater than or equal to zero");
        }
        Some(window) if window > SCALING_WINDOW_SECONDS => {
            let detail = format!("must be less than or equal to {SCALING_WINDOW_SECONDS}");
            errors.invalid(&window_path, window, detail);
        }
        _ => {}
    }
    validate_choice(&rules.select_policy, &SELECTIONS, &path.child("selectPolicy"), errors);
    let policies = path.child("policies");
    if list(&rules.policies).is_empty() {
        errors.required(&policies, "must specify at least one Policy");
    }
    for (at, policy) in list(&rules.policies).iter().enumerate() {
        validate_policy(policy, &policies.index(at), errors);
    }
    if let Some(tolerance) = &rules.tolerance {
        validate_amount("tolerance", tolerance, &path.child("tolerance"), errors);
    }
}

fn validate_policy(policy: &HPAScalingPolicy, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !POLICIES.contains(&policy.type_.as_str()) {
        errors.not_supported(&path.child("type"), policy.type_.as_str(), &POLICIES);
    }
    for (field, number) in [("value", policy.value), ("periodSeconds", policy.period_seconds)] {
        if number <= 0 {
            errors.invalid(&path.child(field), number, "must be greater than zero");
        }
    }
    if policy.period_seconds > SCALING_PERIOD_SECONDS {
        let detail = format!("must be less than or equal to {SCALING_PERIOD_SECONDS}");
        errors.invalid(&path.child("periodSeconds"), policy.period_seconds, detail);
    }
}

/// A metric has exactly the source that its type names; of several, the first alone is looked into.
fn validate_metric(metric: &MetricSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let type_path = path.child("type");
    if metric.type_.is_empty() {
        errors.required(&type_path, "must specify a metric source type");
    }
    let known = SOURCES.contains(&metric.type_.as_str());
    if !known {
        errors.not_supported(&type_path, metric.type_.as_str(), &SOURCES);
    }
    validate_first_source(metric, path, errors);
    let present = [
        ("containerResource", metric.container_resource.is_some()),
        ("external", metric.external.is_some()),
        ("object", metric.object.is_some()),
        ("pods", metric.pods.is_some()),
        ("resource", metric.resource.is_some()),
    ];
    let expected = SOURCES.iter().position(|source| *source == metric.type_).map(|at| present[at]);
    if let Some((field, false)) = expected {
        errors.required(&path.child(field), NOT_POPULATED);
    }
    let present = present.into_iter().filter(|(_, present)| *present).map(|(field, _)| field);
    let present: Vec<&str> = present.collect();
    if present.len() != 1 {
        let expected = expected.map_or("", |(field, _)| field);
        for field in present.into_iter().filter(|field| *field != expected) {
            errors.forbidden(&path.child(field), "must populate the given metric source only");
        }
    }
}

fn validate_first_source(metric: &MetricSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(source) = &metric.object {
        let path = path.child("object");
        validate_reference(&source.described_object, true, &path.child("describedObject"), errors);
        validate_identifier(&source.metric, &path.child("metric"), errors);
        let target = path.child("target");
        validate_target(&source.target, &target, errors);
        if source.target.value.is_none() && source.target.average_value.is_none() {
            let detail = "must set either a target value or averageValue";
            errors.required(&target.child("averageValue"), detail);
        }
    } else if let Some(source) = &metric.external {
        let path = path.child("external");
        validate_identifier(&source.metric, &path.child("metric"), errors);
        let target = path.child("target");
        validate_target(&source.target, &target, errors);
        match (&source.target.value, &source.target.average_value) {
            (None, None) => {
                let detail = "must set either a target value for metric or a per-pod target";
                errors.required(&target.child("averageValue"), detail);
            }
            (Some(_), Some(_)) => {
                let detail = "may not set both a target value for metric and a per-pod target";
                errors.forbidden(&target.child("value"), detail);
            }
            _ => {}
        }
    } else if let Some(source) = &metric.pods {
        let path = path.child("pods");
        validate_identifier(&source.metric, &path.child("metric"), errors);
        let target = path.child("target");
        validate_target(&source.target, &target, errors);
        if source.target.average_value.is_none() {
            errors.required(&target.child("averageValue"), "must specify a positive target averageValue");
        }
    } else if let Some(source) = &metric.resource {
        let path = path.child("resource");
        if source.name.is_empty() {
            errors.required(&path.child("name"), "must specify a resource name");
        }
        validate_resource_target(&source.target, &path.child("target"), errors);
    } else if let Some(source) = &metric.container_resource {
        let path = path.child("containerResource");
        if source.name.is_empty() {
            errors.required(&path.child("name"), "must specify a resource name");
        } else {
            validate_container_resource(&source.name, &path.child("name"), errors);
        }
        if source.container.is_empty() {
            errors.required(&path.child("container"), "must specify a container");
        } else {
            validate_dns_label(&source.container, &path.child("container"), errors);
        }
        validate_resource_target(&source.target, &path.child("target"), errors);
    }
}

fn validate_identifier(metric: &MetricIdentifier, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if metric.name.is_empty() {
        errors.required(&path.child("name"), "must specify a metric name");
    } else {
        errors.invalid_each(&path.child("name"), &metric.name, is_path_segment_name(&metric.name));
    }
}

/// What pods use of a resource is measured raw or as a share.
fn validate_resource_target(target: &MetricTarget, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_target(target, path, errors);
    match (target.average_utilization, &target.average_value) {
        (None, None) => {
            let detail = "must set either a target raw value or a target utilization";
            errors.required(&path.child("averageUtilization"), detail);
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.forbidden(&path.child("averageValue"), detail);
        }
        _ => {}
    }
}

fn validate_target(target: &MetricTarget, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let type_path = path.child("type");
    if target.type_.is_empty() {
        errors.required(&type_path, "must specify a metric target type");
    }
    if !matches!(target.type_.as_str(), "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.invalid(&type_path, target.type_.as_str(), detail);
    }
    for (field, quantity) in [("value", &target.value), ("averageValue", &target.average_value)] {
        if let Some(quantity) = quantity {
            validate_positive(quantity, &path.child(field), errors);
        }
    }
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        errors.invalid(&path.child("averageUtilization"), percent, "must be greater than 0");
    }
}

fn validate_positive(quantity: &Quantity, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match Amount::parse(&quantity.0) {
        Err(wrong) => errors.invalid(path, quantity.0.as_str(), wrong.to_string()),
        Ok(amount) if amount.signum() <= 0 => {
            errors.invalid(path, amount.to_string(), "must be positive");
        }
        Ok(_) => {}
    }
}
