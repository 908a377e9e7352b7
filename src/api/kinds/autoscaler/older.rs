//! Metrics, conditions and behaviour in the forms that `autoscaling/v1` keeps in annotations, with their fields in
//! upstream's order, and the ways to and from `autoscaling/v2`.
//!
//! The published types have none of these forms: servers alone write them.

use k8s_openapi::api::autoscaling::v2;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use serde::{Deserialize, Serialize};

/// Declares a metric, or what was measured of it, with the forms of its sources.
macro_rules! metric {
    ($($(#[$doc:meta])* $name:ident { $object:ident, $pods:ident, $resource:ident, $container:ident, $external:ident })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(super) struct $name {
            #[serde(rename = "type")]
            type_: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            object: Option<$object>,
            #[serde(skip_serializing_if = "Option::is_none")]
            pods: Option<$pods>,
            #[serde(skip_serializing_if = "Option::is_none")]
            resource: Option<$resource>,
            #[serde(skip_serializing_if = "Option::is_none")]
            container_resource: Option<$container>,
            #[serde(skip_serializing_if = "Option::is_none")]
            external: Option<$external>,
        }

        impl From<v2::$name> for $name {
            fn from(new: v2::$name) -> $name {
                $name {
                    type_: new.type_,
                    object: new.object.map(Into::into),
                    pods: new.pods.map(Into::into),
                    resource: new.resource.map(Into::into),
                    container_resource: new.container_resource.map(Into::into),
                    external: new.external.map(Into::into),
                }
            }
        }

        impl From<$name> for v2::$name {
            fn from(old: $name) -> v2::$name {
                v2::$name {
                    type_: old.type_,
                    object: old.object.map(Into::into),
                    pods: old.pods.map(Into::into),
                    resource: old.resource.map(Into::into),
                    container_resource: old.container_resource.map(Into::into),
                    external: old.external.map(Into::into),
                }
            }
        }
    )+};
}

metric! {
    /// What is to be measured, and what it should come to.
    MetricSpec { ObjectSource, PodsSource, ResourceSource, ContainerSource, ExternalSource }
    /// What was measured.
    MetricStatus { ObjectStatus, PodsStatus, ResourceStatus, ContainerStatus, ExternalStatus }
}

/// Declares a struct of the older form.
macro_rules! older {
    ($($name:ident { $($field:ident: $type:ty $(= $skip:literal)?),+ $(,)? })+) => {$(
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct $name { $($(#[serde(skip_serializing_if = $skip)])? $field: $type),+ }
    )+};
}

older! {
    Reference {
        kind: String,
        name: String,
        api_version: Option<String> = "Option::is_none",
    }
    ObjectSource {
        target: Reference,
        metric_name: String,
        target_value: Quantity,
        selector: Option<LabelSelector> = "Option::is_none",
        average_value: Option<Quantity> = "Option::is_none",
    }
    PodsSource {
        metric_name: String,
        target_average_value: Quantity,
        selector: Option<LabelSelector> = "Option::is_none",
    }
    ResourceSource {
        name: String,
        target_average_utilization: Option<i32> = "Option::is_none",
        target_average_value: Option<Quantity> = "Option::is_none",
    }
    ContainerSource {
        name: String,
        target_average_utilization: Option<i32> = "Option::is_none",
        target_average_value: Option<Quantity> = "Option::is_none",
        container: String,
    }
    ExternalSource {
        metric_name: String,
        metric_selector: Option<LabelSelector> = "Option::is_none",
        target_value: Option<Quantity> = "Option::is_none",
        target_average_value: Option<Quantity> = "Option::is_none",
    }
    ObjectStatus {
        target: Reference,
        metric_name: String,
        current_value: Quantity,
        selector: Option<LabelSelector> = "Option::is_none",
        average_value: Option<Quantity> = "Option::is_none",
    }
    PodsStatus {
        metric_name: String,
        current_average_value: Quantity,
        selector: Option<LabelSelector> = "Option::is_none",
    }
    ResourceStatus {
        name: String,
        current_average_utilization: Option<i32> = "Option::is_none",
        current_average_value: Quantity,
    }
    ContainerStatus {
        name: String,
        current_average_utilization: Option<i32> = "Option::is_none",
        current_average_value: Quantity,
        container: String,
    }
    ExternalStatus {
        metric_name: String,
        metric_selector: Option<LabelSelector> = "Option::is_none",
        current_value: Quantity,
        current_average_value: Option<Quantity> = "Option::is_none",
    }
}

/// A quantity that the older form always writes.
fn written(quantity: Option<Quantity>) -> Quantity {
    quantity.unwrap_or_else(zero)
}

fn zero() -> Quantity {
    Quantity("0".to_owned())
}

fn target(
    word: &str,
    value: Option<Quantity>,
    average_value: Option<Quantity>,
    average_utilization: Option<i32>,
) -> v2::MetricTarget {
    v2::MetricTarget { type_: word.to_owned(), value, average_value, average_utilization }
}

fn current(
    value: Option<Quantity>,
    average_value: Option<Quantity>,
    average_utilization: Option<i32>,
) -> v2::MetricValueStatus {
    v2::MetricValueStatus { value, average_value, average_utilization }
}

/// Of a use of resources that is told as a share or raw.
fn share_or_raw(utilization: Option<i32>) -> &'static str {
    if utilization.is_some() { "Utilization" } else { "AverageValue" }
}

fn metric(name: String, selector: Option<LabelSelector>) -> v2::MetricIdentifier {
    v2::MetricIdentifier { name, selector }
}

impl From<v2::CrossVersionObjectReference> for Reference {
    fn from(new: v2::CrossVersionObjectReference) -> Reference {
        Reference { kind: new.kind, name: new.name, api_version: new.api_version }
    }
}

impl From<Reference> for v2::CrossVersionObjectReference {
    fn from(old: Reference) -> v2::CrossVersionObjectReference {
        v2::CrossVersionObjectReference { kind: old.kind, name: old.name, api_version: old.api_version }
    }
}

/// Both ways between a struct of `v2` and its older form.
macro_rules! ways {
    ($($newer:ident <=> $older:ident { $new:ident => $to_old:expr; $old:ident => $to_new:expr; })+) => {$(
        impl From<v2::$newer> for $older {
            fn from($new: v2::$newer) -> $older {
                $to_old
            }
        }

        impl From<$older> for v2::$newer {
            fn from($old: $older) -> v2::$newer {
                $to_new
            }
        }
    )+};
}

ways! {
    ObjectMetricSource <=> ObjectSource {
        new => ObjectSource {
            target: new.described_object.into(),
            metric_name: new.metric.name,
            target_value: written(new.target.value),
            selector: new.metric.selector,
            average_value: new.target.average_value,
        };
        old => {
            // The older form cannot leave the value out; beside an average, a zero means none.
            let value = Some(old.target_value).filter(|value| old.average_value.is_none() || value.0 != "0");
            let word = if old.average_value.is_some() { "AverageValue" } else { "Value" };
            v2::ObjectMetricSource {
                described_object: old.target.into(),
                metric: metric(old.metric_name, old.selector),
                target: target(word, value, old.average_value, None),
            }
        };
    }
    PodsMetricSource <=> PodsSource {
        new => PodsSource {
            metric_name: new.metric.name,
            target_average_value: written(new.target.average_value),
            selector: new.metric.selector,
        };
        old => v2::PodsMetricSource {
            metric: metric(old.metric_name, old.selector),
            target: target("AverageValue", None, Some(old.target_average_value), None),
        };
    }
    ResourceMetricSource <=> ResourceSource {
        new => ResourceSource {
            name: new.name,
            target_average_utilization: new.target.average_utilization,
            target_average_value: new.target.average_value,
        };
        old => {
            let (share, raw) = (old.target_average_utilization, old.target_average_value);
            v2::ResourceMetricSource { name: old.name, target: target(share_or_raw(share), None, raw, share) }
        };
    }
    ContainerResourceMetricSource <=> ContainerSource {
        new => ContainerSource {
            name: new.name,
            target_average_utilization: new.target.average_utilization,
            target_average_value: new.target.average_value,
            container: new.container,
        };
        old => {
            let (share, raw) = (old.target_average_utilization, old.target_average_value);
            v2::ContainerResourceMetricSource {
                name: old.name,
                container: old.container,
                target: target(share_or_raw(share), None, raw, share),
            }
        };
    }
    ExternalMetricSource <=> ExternalSource {
        new => ExternalSource {
            metric_name: new.metric.name,
            metric_selector: new.metric.selector,
            target_value: new.target.value,
            target_average_value: new.target.average_value,
        };
        old => {
            let word = if old.target_value.is_some() { "Value" } else { "AverageValue" };
            v2::ExternalMetricSource {
                metric: metric(old.metric_name, old.metric_selector),
                target: target(word, old.target_value, old.target_average_value, None),
            }
        };
    }
    ObjectMetricStatus <=> ObjectStatus {
        new => ObjectStatus {
            target: new.described_object.into(),
            metric_name: new.metric.name,
            current_value: written(new.current.value),
            selector: new.metric.selector,
            average_value: new.current.average_value,
        };
        old => v2::ObjectMetricStatus {
            described_object: old.target.into(),
            metric: metric(old.metric_name, old.selector),
            current: current(Some(old.current_value), old.average_value, None),
        };
    }
    PodsMetricStatus <=> PodsStatus {
        new => PodsStatus {
            metric_name: new.metric.name,
            current_average_value: written(new.current.average_value),
            selector: new.metric.selector,
        };
        old => v2::PodsMetricStatus {
            metric: metric(old.metric_name, old.selector),
            current: current(None, Some(old.current_average_value), None),
        };
    }
    ResourceMetricStatus <=> ResourceStatus {
        new => ResourceStatus {
            name: new.name,
            current_average_utilization: new.current.average_utilization,
            current_average_value: written(new.current.average_value),
        };
        old => v2::ResourceMetricStatus {
            name: old.name,
            current: current(None, Some(old.current_average_value), old.current_average_utilization),
        };
    }
    ContainerResourceMetricStatus <=> ContainerStatus {
        new => ContainerStatus {
            name: new.name,
            current_average_utilization: new.current.average_utilization,
            current_average_value: written(new.current.average_value),
            container: new.container,
        };
        old => v2::ContainerResourceMetricStatus {
            name: old.name,
            container: old.container,
            current: current(None, Some(old.current_average_value), old.current_average_utilization),
        };
    }
    ExternalMetricStatus <=> ExternalStatus {
        new => ExternalStatus {
            metric_name: new.metric.name,
            metric_selector: new.metric.selector,
            current_value: written(new.current.value),
            current_average_value: new.current.average_value,
        };
        old => v2::ExternalMetricStatus {
            metric: metric(old.metric_name, old.metric_selector),
            current: current(Some(old.current_value), old.current_average_value, None),
        };
    }
}

/// A condition, in upstream's order of fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    last_transition_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<v2::HorizontalPodAutoscalerCondition> for Condition {
    fn from(new: v2::HorizontalPodAutoscalerCondition) -> Condition {
        Condition {
            type_: new.type_,
            status: new.status,
            last_transition_time: new.last_transition_time,
            reason: new.reason,
            message: new.message,
        }
    }
}

impl From<Condition> for v2::HorizontalPodAutoscalerCondition {
    #[allow(clippy::needless_update, reason = "newer versions of the types have more fields")]
    fn from(old: Condition) -> v2::HorizontalPodAutoscalerCondition {
        v2::HorizontalPodAutoscalerCondition {
            type_: old.type_,
            status: old.status,
            last_transition_time: old.last_transition_time,
            reason: old.reason,
            message: old.message,
            ..Default::default()
        }
    }
}

/// How fast is scaled, as upstream writes its internal form of it. It reads either case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Behavior {
    #[serde(alias = "scaleUp")]
    scale_up: Option<Rules>,
    #[serde(alias = "scaleDown")]
    scale_down: Option<Rules>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Rules {
    #[serde(alias = "stabilizationWindowSeconds")]
    stabilization_window_seconds: Option<i32>,
    #[serde(alias = "selectPolicy")]
    select_policy: Option<String>,
    #[serde(alias = "policies")]
    policies: Option<Vec<Policy>>,
    #[serde(alias = "tolerance")]
    tolerance: Option<Quantity>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Policy {
    #[serde(alias = "type")]
    r#type: String,
    #[serde(alias = "value")]
    value: i32,
    #[serde(alias = "periodSeconds")]
    period_seconds: i32,
}

impl From<v2::HorizontalPodAutoscalerBehavior> for Behavior {
    fn from(new: v2::HorizontalPodAutoscalerBehavior) -> Behavior {
        let policy = |policy: v2::HPAScalingPolicy| Policy {
            r#type: policy.type_,
            value: policy.value,
            period_seconds: policy.period_seconds,
        };
        let rules = |rules: v2::HPAScalingRules| Rules {
            stabilization_window_seconds: rules.stabilization_window_seconds,
            select_policy: rules.select_policy,
            policies: rules.policies.map(|policies| policies.into_iter().map(policy).collect()),
            tolerance: rules.tolerance,
        };
        Behavior { scale_up: new.scale_up.map(rules), scale_down: new.scale_down.map(rules) }
    }
}

impl From<Behavior> for v2::HorizontalPodAutoscalerBehavior {
    fn from(old: Behavior) -> v2::HorizontalPodAutoscalerBehavior {
        let policy = |policy: Policy| v2::HPAScalingPolicy {
            type_: policy.r#type,
            value: policy.value,
            period_seconds: policy.period_seconds,
        };
        let rules = |rules: Rules| v2::HPAScalingRules {
            stabilization_window_seconds: rules.stabilization_window_seconds,
            select_policy: rules.select_policy,
            policies: rules.policies.map(|policies| policies.into_iter().map(policy).collect()),
            tolerance: rules.tolerance,
        };
        v2::HorizontalPodAutoscalerBehavior {
            scale_up: old.scale_up.map(rules),
            scale_down: old.scale_down.map(rules),
        }
    }
}
