//! HorizontalPodAutoscalers between `autoscaling/v1`, which knows CPUs alone, and `autoscaling/v2`. What v1 has no
//! fields for stands in annotations there, as upstream writes them.
//!
//! Works on JSON, so that what the types would refuse is refused by those who decode it, with its path.
//!
//! Invariant: an object of v2 that goes to v1 and comes back is the same.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::older::{Behavior, Condition, MetricSpec, MetricStatus};
use super::{CPU_PERCENT, cpu_metric};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
/// Everything that only serves the way to v1 and back; the last two are of the past.
const ANNOTATIONS: [&str; 6] = [
    METRICS,
    CURRENT_METRICS,
    CONDITIONS,
    BEHAVIOR,
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

const V1: &str = "autoscaling/v1";
const V2: &str = "autoscaling/v2";

/// Why an object cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// There is no such version.
    #[error("no kind \"HorizontalPodAutoscaler\" is registered for version \"{0}\"")]
    Version(String),
    /// A part has not the form that it needs.
    #[error("{field}: {cause}")]
    Field {
        /// Its path.
        field: &'static str,
        /// What is wrong.
        cause: String,
    },
}

/// The same autoscaler in another version (`autoscaling/v1`); the version that it has is read from it.
///
/// Errors: an unknown version, or metrics and conditions of v2 that are none.
pub fn convert(mut value: Value, to: &str) -> Result<Value, ConvertError> {
    let from = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (from.as_str(), to) {
        (V1 | V2, V1 | V2) if from == to || !has_form(&value) => {}
        (V1, V2) => to_v2(&mut value),
        (V2, V1) => to_v1(&mut value)?,
        (V1 | V2, other) => return Err(ConvertError::Version(other.to_owned())),
        (other, _) => return Err(ConvertError::Version(other.to_owned())),
    }
    value["apiVersion"] = to.into();
    Ok(value)
}

/// Whether what is converted are objects; where they are not, those who decode it say so.
fn has_form(value: &Value) -> bool {
    let is_object = |part: Option<&Value>| part.is_none_or(|part| part.is_null() || part.is_object());
    let annotations = value.get("metadata").and_then(|metadata| metadata.get("annotations"));
    ["metadata", "spec", "status"].into_iter().all(|field| is_object(value.get(field)))
        && is_object(annotations)
}

/// Drops what only serves the other version.
pub(super) fn drop_annotations(annotations: &mut Option<BTreeMap<String, String>>) {
    for key in ANNOTATIONS {
        if let Some(annotations) = annotations {
            annotations.remove(key);
        }
    }
}

/// The object below a field, taken out.
fn take(value: &mut Value, field: &str) -> Map<String, Value> {
    match value.get_mut(field).map(Value::take) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// Puts the fields that are there from one object into another.
fn carry(from: &mut Map<String, Value>, fields: &[&str], to: &mut Map<String, Value>) {
    for field in fields {
        if let Some(value) = from.remove(*field).filter(|value| !value.is_null()) {
            to.insert((*field).to_owned(), value);
        }
    }
}

fn set_annotations(value: &mut Value, annotations: Map<String, Value>) {
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        if !annotations.is_empty() {
            value["metadata"] = json!({ "annotations": annotations });
        }
        return;
    };
    if annotations.is_empty() {
        metadata.remove("annotations");
    } else {
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
}

/// The part of v2 below a field, where it is there.
fn part<T: DeserializeOwned>(
    from: &mut Map<String, Value>,
    field: &str,
    path: &'static str,
) -> Result<Option<T>, ConvertError> {
    let Some(part) = from.remove(field).filter(|part| !part.is_null()) else { return Ok(None) };
    let failed = |wrong: serde_json::Error| ConvertError::Field { field: path, cause: wrong.to_string() };
    serde_json::from_value(part).map(Some).map_err(failed)
}

fn annotate(annotations: &mut Map<String, Value>, key: &str, part: &impl Serialize) {
    // These forms have text for keys, so they can be written.
    if let Ok(text) = serde_json::to_string(part) {
        annotations.insert(key.to_owned(), text.into());
    }
}

/// The share of CPU that a metric is about, in percent.
fn cpu_percent(metric: &v2::MetricSpec) -> Option<i32> {
    let resource = metric.resource.as_ref().filter(|resource| resource.name == "cpu")?;
    resource.target.average_utilization.filter(|_| metric.type_ == "Resource")
}

fn to_v1(value: &mut Value) -> Result<(), ConvertError> {
    let mut annotations = value.get_mut("metadata").map_or_else(Map::new, |meta| take(meta, "annotations"));
    for key in ANNOTATIONS {
        annotations.remove(key);
    }
    let (mut spec, mut status) = (take(value, "spec"), take(value, "status"));
    let mut new_spec = Map::new();
    carry(&mut spec, &["scaleTargetRef", "minReplicas", "maxReplicas"], &mut new_spec);
    let metrics: Vec<v2::MetricSpec> = part(&mut spec, "metrics", "spec.metrics")?.unwrap_or_default();
    if let Some(percent) = metrics.iter().find_map(cpu_percent) {
        new_spec.insert("targetCPUUtilizationPercentage".to_owned(), percent.into());
    }
    let others: Vec<MetricSpec> =
        metrics.into_iter().filter(|metric| cpu_percent(metric).is_none()).map(Into::into).collect();
    if !others.is_empty() {
        annotate(&mut annotations, METRICS, &others);
    }
    let mut new_status = Map::new();
    carry(&mut status, &["observedGeneration", "lastScaleTime"], &mut new_status);
    for field in ["currentReplicas", "desiredReplicas"] {
        let number = status.remove(field).filter(|number| !number.is_null()).unwrap_or_else(|| 0.into());
        new_status.insert(field.to_owned(), number);
    }
    let current: Option<Vec<v2::MetricStatus>> =
        part(&mut status, "currentMetrics", "status.currentMetrics")?;
    let current = current.unwrap_or_default();
    let mut percents = current.iter().filter(|metric| metric.type_ == "Resource").filter_map(|metric| {
        metric.resource.as_ref().filter(|resource| resource.name == "cpu")?.current.average_utilization
    });
    if let Some(percent) = percents.next_back() {
        new_status.insert("currentCPUUtilizationPercentage".to_owned(), percent.into());
    }
    if !current.is_empty() {
        let current: Vec<MetricStatus> = current.into_iter().map(Into::into).collect();
        annotate(&mut annotations, CURRENT_METRICS, &current);
    }
    let behavior: Option<v2::HorizontalPodAutoscalerBehavior> = part(&mut spec, "behavior", "spec.behavior")?;
    if let Some(behavior) = behavior {
        annotate(&mut annotations, BEHAVIOR, &Behavior::from(behavior));
    }
    let conditions: Option<Vec<v2::HorizontalPodAutoscalerCondition>> =
        part(&mut status, "conditions", "status.conditions")?;
    let conditions = conditions.unwrap_or_default();
    if !conditions.is_empty() {
        let conditions: Vec<Condition> = conditions.into_iter().map(Into::into).collect();
        annotate(&mut annotations, CONDITIONS, &conditions);
    }
    value["spec"] = Value::Object(new_spec);
    value["status"] = Value::Object(new_status);
    set_annotations(value, annotations);
    Ok(())
}

/// What an annotation holds; a text that cannot be read counts for nothing.
fn read<T: DeserializeOwned>(annotations: &Map<String, Value>, key: &str) -> Option<T> {
    serde_json::from_str(annotations.get(key)?.as_str()?).ok()
}

fn to_v2(value: &mut Value) {
    let mut annotations = value.get_mut("metadata").map_or_else(Map::new, |meta| take(meta, "annotations"));
    let has_status = value.get("status").is_some_and(|status| !status.is_null());
    let (mut spec, mut status) = (take(value, "spec"), take(value, "status"));
    let mut new_spec = Map::new();
    carry(&mut spec, &["scaleTargetRef", "minReplicas", "maxReplicas"], &mut new_spec);
    let others: Vec<MetricSpec> = read(&annotations, METRICS).unwrap_or_default();
    let mut metrics: Vec<Value> =
        others.into_iter().map(|metric| json!(v2::MetricSpec::from(metric))).collect();
    let percent = spec.remove("targetCPUUtilizationPercentage").filter(|percent| !percent.is_null());
    if let Some(percent) = percent.or_else(|| metrics.is_empty().then(|| CPU_PERCENT.into())) {
        let mut metric = json!(cpu_metric(CPU_PERCENT));
        metric["resource"]["target"]["averageUtilization"] = percent;
        metrics.push(metric);
    }
    new_spec.insert("metrics".to_owned(), metrics.into());
    let behavior: Option<Behavior> = read(&annotations, BEHAVIOR);
    if let Some(behavior) = behavior.filter(|behavior| *behavior != Behavior::default()) {
        let behavior = v2::HorizontalPodAutoscalerBehavior::from(behavior);
        new_spec.insert("behavior".to_owned(), json!(behavior));
    }
    let mut new_status = Map::new();
    let fields = ["observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas"];
    carry(&mut status, &fields, &mut new_status);
    let percent = status.remove("currentCPUUtilizationPercentage").filter(|percent| !percent.is_null());
    let current: Option<Vec<MetricStatus>> = read(&annotations, CURRENT_METRICS);
    if let Some(current) = current {
        let current: Vec<v2::MetricStatus> = current.into_iter().map(Into::into).collect();
        new_status.insert("currentMetrics".to_owned(), json!(current));
    } else if let Some(percent) = percent {
        let metric = json!({
            "type": "Resource",
            "resource": { "name": "cpu", "current": { "averageUtilization": percent } },
        });
        new_status.insert("currentMetrics".to_owned(), json!([metric]));
    }
    if let Some(conditions) = read::<Vec<Condition>>(&annotations, CONDITIONS) {
        let conditions: Vec<v2::HorizontalPodAutoscalerCondition> =
            conditions.into_iter().map(Into::into).collect();
        new_status.insert("conditions".to_owned(), json!(conditions));
    }
    for key in ANNOTATIONS {
        annotations.remove(key);
    }
    value["spec"] = Value::Object(new_spec);
    if has_status || !new_status.is_empty() {
        value["status"] = Value::Object(new_status);
    }
    set_annotations(value, annotations);
}
