//! HorizontalPodAutoscaler: how many pods there are, by what is measured. `autoscaling/v2` is stored.
//!
//! Owns its rules; `convert` turns objects into `autoscaling/v1` and back.

mod convert;
mod older;
mod row;
mod validate;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, ContainerResourceMetricStatus, CrossVersionObjectReference,
    ExternalMetricSource, ExternalMetricStatus, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus, MetricIdentifier, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ObjectMetricSource, ObjectMetricStatus, PodsMetricSource, PodsMetricStatus,
    ResourceMetricSource, ResourceMetricStatus,
};

use serde_json::Value;

pub use self::convert::{ConvertError, convert};
use super::canonical::{canonical, canonical_as_is};
use super::fields::list;
use super::rules::{canonical_by_table, named_as_subdomain, no_generation, status_apart};
use crate::api::error::FieldErrors;
use crate::api::object::{Column, Kind, Scope, ServedName};
use crate::api::registry::WrongField;

/// The share of its CPU that a pod should use where nothing is said, in percent.
const CPU_PERCENT: i32 = 80;
/// How fast pods are added and taken away where nothing is said.
const PERIOD_SECONDS: i32 = 15;
const PODS_PER_PERIOD: i32 = 4;
const PERCENT_PER_PERIOD: i32 = 100;

impl Kind for HorizontalPodAutoscaler {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["hpa"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::shown("Reference"),
        Column::shown("Targets"),
        Column::shown("MinPods"),
        Column::shown("MaxPods"),
        Column::shown("Replicas"),
        Column::shown("Age"),
    ];

    const ALSO_SERVED: &'static [ServedName] = &[ServedName {
        group: "autoscaling",
        version: "v1",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
    }];

    fn convert(value: Value, _from: &str, to: &str) -> Result<Value, WrongField> {
        convert::convert(value, to).map_err(|error| match error {
            ConvertError::Field { field, cause } => WrongField { field: field.to_owned(), cause },
            other => WrongField { field: "apiVersion".to_owned(), cause: other.to_string() },
        })
    }

    named_as_subdomain!();
    status_apart!();
    no_generation!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        spec.min_replicas.get_or_insert(1);
        if list(&spec.metrics).is_empty() {
            spec.metrics = Some(vec![cpu_metric(CPU_PERCENT)]);
        }
        if let Some(behavior) = &mut spec.behavior {
            let up = behavior.scale_up.get_or_insert_default();
            up.stabilization_window_seconds.get_or_insert(0);
            default_rules(up, &[("Pods", PODS_PER_PERIOD), ("Percent", PERCENT_PER_PERIOD)]);
            let down = behavior.scale_down.get_or_insert_default();
            default_rules(down, &[("Percent", PERCENT_PER_PERIOD)]);
        }
        convert::drop_annotations(&mut self.metadata.annotations);
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate::validate(self, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        validate::validate_status(self, errors);
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        row::row(self, now)
    }
}

/// The metric of an autoscaler that looks at nothing but the use of CPUs.
fn cpu_metric(percent: i32) -> MetricSpec {
    let target = MetricTarget {
        type_: "Utilization".to_owned(),
        average_utilization: Some(percent),
        ..Default::default()
    };
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource { name: "cpu".to_owned(), target }),
        ..Default::default()
    }
}

fn default_rules(rules: &mut HPAScalingRules, policies: &[(&str, i32)]) {
    rules.select_policy.get_or_insert_with(|| "Max".to_owned());
    rules.policies.get_or_insert_with(|| {
        let policy = |&(word, value): &(&str, i32)| HPAScalingPolicy {
            type_: word.to_owned(),
            value,
            period_seconds: PERIOD_SECONDS,
        };
        policies.iter().map(policy).collect()
    });
}

canonical_as_is!(HPAScalingPolicy,);

canonical! {
    ContainerResourceMetricSource {
        deep: target;
    }
    ContainerResourceMetricStatus {
        deep: current;
    }
    CrossVersionObjectReference {
        drop: api_version;
    }
    ExternalMetricSource {
        deep: metric, target;
    }
    ExternalMetricStatus {
        deep: current, metric;
    }
    HPAScalingRules {
        keep: policies, tolerance;
    }
    HorizontalPodAutoscaler {
        fill: status;
        deep: spec;
    }
    HorizontalPodAutoscalerBehavior {
        keep: scale_down, scale_up;
    }
    HorizontalPodAutoscalerCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    HorizontalPodAutoscalerSpec {
        drop: metrics;
        keep: behavior;
        deep: scale_target_ref;
    }
    HorizontalPodAutoscalerStatus {
        drop: conditions, current_replicas;
        keep: current_metrics, last_scale_time;
    }
    MetricIdentifier {
        keep: selector;
    }
    MetricSpec {
        keep: container_resource, external, object, pods, resource;
    }
    MetricStatus {
        keep: container_resource, external, object, pods, resource;
    }
    MetricTarget {
        keep: average_value, value;
    }
    MetricValueStatus {
        keep: average_value, value;
    }
    ObjectMetricSource {
        deep: described_object, metric, target;
    }
    ObjectMetricStatus {
        deep: current, described_object, metric;
    }
    PodsMetricSource {
        deep: metric, target;
    }
    PodsMetricStatus {
        deep: current, metric;
    }
    ResourceMetricSource {
        deep: target;
    }
    ResourceMetricStatus {
        deep: current;
    }
}
