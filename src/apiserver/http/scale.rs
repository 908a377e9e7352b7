//! The `scale` subresource: the number of an object's replicas as an `autoscaling/v1` Scale, whatever its kind.
//!
//! Owns the two ways between an object and its Scale, by the paths that the kind declares. Invariant: a write of a
//! scale changes one number.

use serde_json::{Map, Value, json};

use crate::api::selector::Selector;
use crate::api::{KindInfo, ScalePaths};

/// The Scale of an object.
pub(super) fn of(object: &Value, paths: &ScalePaths) -> Value {
    let meta = &object["metadata"];
    let mut shown = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = meta.get(field).filter(|value| !value.is_null()) {
            shown.insert(field.to_owned(), value.clone());
        }
    }
    let number = |path: &str| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut spec = json!({});
    if number(&paths.spec_replicas) != 0 {
        spec["replicas"] = number(&paths.spec_replicas).into();
    }
    let mut status = json!({ "replicas": number(&paths.status_replicas) });
    let selector = paths.label_selector.as_deref().and_then(|path| at(object, path)).map(selector_text);
    if let Some(selector) = selector.filter(|text| !text.is_empty()) {
        status["selector"] = selector.into();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status,
    })
}

/// A selector as one text: it is one, a label selector, or labels.
fn selector_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields)
            if fields.contains_key("matchLabels") || fields.contains_key("matchExpressions") =>
        {
            let selector = serde_json::from_value(value.clone()).ok();
            let selector = Selector::from_label_selector(selector.as_ref());
            selector.map_or_else(|_| String::new(), |selector| selector.to_string())
        }
        Value::Object(labels) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let labels = labels.iter().map(|(key, value)| (key.clone(), text(value))).collect();
            Selector::from_set(&labels).to_string()
        }
        _ => String::new(),
    }
}

/// The value at a path of fields.
fn at<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    path.trim_start_matches('.').split('.').try_fold(object, |holder, field| holder.get(field))
}

/// The merge patch that gives an object the number of a Scale.
pub(super) fn patch(paths: &ScalePaths, replicas: i64, resource_version: Option<&str>) -> Value {
    let mut patch = paths
        .spec_replicas
        .trim_start_matches('.')
        .rsplit('.')
        .fold(Value::from(replicas), |value, field| json!({ field: value }));
    if let Some(version) = resource_version.filter(|version| !version.is_empty()) {
        patch["metadata"] = json!({ "resourceVersion": version });
    }
    patch
}

/// What a Scale's own names are, for bodies that are one.
pub(super) fn info(of: &KindInfo) -> KindInfo {
    KindInfo {
        group: "autoscaling".to_owned(),
        version: "v1".to_owned(),
        api_version: "autoscaling/v1".to_owned(),
        kind: "Scale".to_owned(),
        ..of.clone()
    }
}
