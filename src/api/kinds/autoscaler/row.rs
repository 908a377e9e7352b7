//! A HorizontalPodAutoscaler as one printed line.

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::kinds::age::since;
use crate::api::kinds::fields::list;

/// How many metrics are shown.
const SHOWN: usize = 2;
const UNKNOWN: &str = "<unknown>";

pub(super) fn row(autoscaler: &HorizontalPodAutoscaler, now: Timestamp) -> Vec<String> {
    let spec = &autoscaler.spec;
    let status = autoscaler.status.as_ref();
    let statuses = status.map_or(&[][..], |status| list(&status.current_metrics));
    vec![
        format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name),
        metrics_text(list(&spec.metrics), statuses),
        spec.min_replicas.map_or_else(|| "<unset>".to_owned(), |least| least.to_string()),
        spec.max_replicas.to_string(),
        status.and_then(|status| status.current_replicas).unwrap_or(0).to_string(),
        since(autoscaler.metadata.creation_timestamp.as_ref(), now),
    ]
}

fn metrics_text(specs: &[MetricSpec], statuses: &[MetricStatus]) -> String {
    if specs.is_empty() {
        return "<none>".to_owned();
    }
    let texts = specs.iter().enumerate().take(SHOWN).map(|(at, spec)| metric_text(spec, statuses.get(at)));
    let text = texts.collect::<Vec<_>>().join(", ");
    match specs.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text} + {more} more..."),
    }
}

fn metric_text(spec: &MetricSpec, status: Option<&MetricStatus>) -> String {
    let text = match spec.type_.as_str() {
        "External" => spec.external.as_ref().map(|source| {
            let current = status.and_then(|status| status.external.as_ref()).map(|status| &status.current);
            amount_text(&source.target, current)
        }),
        "Object" => spec.object.as_ref().map(|source| {
            let current = status.and_then(|status| status.object.as_ref()).map(|status| &status.current);
            amount_text(&source.target, current)
        }),
        "Pods" => spec.pods.as_ref().map(|source| {
            let current = status.and_then(|status| status.pods.as_ref()).map(|status| &status.current);
            let current = current.map_or(UNKNOWN, |current| quantity_text(&current.average_value));
            format!("{current}/{}", quantity_text(&source.target.average_value))
        }),
        "Resource" => spec.resource.as_ref().map(|source| {
            let current = status.and_then(|status| status.resource.as_ref()).map(|status| &status.current);
            resource_text(&source.name, &source.target, current)
        }),
        "ContainerResource" => spec.container_resource.as_ref().map(|source| {
            let current = status.and_then(|status| status.container_resource.as_ref());
            resource_text(&source.name, &source.target, current.map(|status| &status.current))
        }),
        _ => None,
    };
    text.unwrap_or_else(|| "<unknown type>".to_owned())
}

fn quantity_text(quantity: &Option<Quantity>) -> &str {
    quantity.as_ref().map_or("<nil>", |quantity| &quantity.0)
}

/// Of something that is counted as a whole, or on the average of the pods.
fn amount_text(target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    match &target.average_value {
        Some(average) => {
            let current = current.and_then(|current| current.average_value.as_ref());
            format!("{}/{} (avg)", current.map_or(UNKNOWN, |current| &current.0), average.0)
        }
        None => {
            let current = current.map_or(UNKNOWN, |current| quantity_text(&current.value));
            format!("{current}/{}", quantity_text(&target.value))
        }
    }
}

fn resource_text(name: &str, target: &MetricTarget, current: Option<&MetricValueStatus>) -> String {
    match &target.average_value {
        Some(average) => {
            let current = current.map_or(UNKNOWN, |current| quantity_text(&current.average_value));
            format!("{name}: {current}/{}", average.0)
        }
        None => {
            let percent = |number: i32| format!("{number}%");
            let current = current.and_then(|current| current.average_utilization).map(percent);
            let wanted = target.average_utilization.map(percent);
            let current = current.as_deref().unwrap_or(UNKNOWN);
            format!("{name}: {current}/{}", wanted.as_deref().unwrap_or("<auto>"))
        }
    }
}
