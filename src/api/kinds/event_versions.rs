//! Events as `events.k8s.io/v1` serves them: the second version of the kind that `core/v1` stores.
//!
//! Owns the conversion both ways, on JSON values, and the rules that are stricter there. The names of fields in
//! answers are those of the stored version, as upstream has them.
//!
//! Invariant: converting a served event there and back gives it again.

use k8s_openapi::api::core::v1::Event;
use serde_json::{Map, Value};

use super::event::validate_event;
use super::fields::text;
use super::unchanged::validate_unchanged;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_subdomain};

/// The version that is stored.
pub const STORED: &str = "v1";
/// The version of the group of events.
pub const EVENTS: &str = "events.k8s.io/v1";

/// The fields that have another name in each version: in the stored one, in that of the group.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// What field selectors of `events.k8s.io/v1` call the fields that the stored version can be selected by.
pub const SELECTABLE_FIELDS: [(&str, &str); 10] = [
    ("reason", "reason"),
    ("regarding.kind", "involvedObject.kind"),
    ("regarding.namespace", "involvedObject.namespace"),
    ("regarding.name", "involvedObject.name"),
    ("regarding.uid", "involvedObject.uid"),
    ("regarding.apiVersion", "involvedObject.apiVersion"),
    ("regarding.resourceVersion", "involvedObject.resourceVersion"),
    ("regarding.fieldPath", "involvedObject.fieldPath"),
    ("reportingController", "reportingComponent"),
    ("type", "type"),
];

/// Turns an event of one version into the same event of the other; other versions, and values that are no objects,
/// are left alone.
pub fn convert_event(value: &mut Value, from: &str, to: &str) {
    let Some(fields) = value.as_object_mut() else { return };
    let pairs = RENAMED.iter().map(|(stored, events)| match (from, to) {
        (STORED, EVENTS) => Some((*stored, *events)),
        (EVENTS, STORED) => Some((*events, *stored)),
        _ => None,
    });
    let Some(pairs) = pairs.collect::<Option<Vec<_>>>() else { return };
    // What has the name of a field of the other version is no field of this one.
    for (_, there) in &pairs {
        fields.remove(*there);
    }
    for (here, there) in pairs {
        rename(fields, here, there);
    }
    if fields.contains_key("apiVersion") {
        fields.insert("apiVersion".to_owned(), Value::from(to));
    }
    serve(fields, to);
}

fn rename(fields: &mut Map<String, Value>, here: &str, there: &str) {
    if let Some(value) = fields.remove(here) {
        fields.insert(there.to_owned(), value);
    }
}

/// Each version has fields that are written even where nothing is in them.
fn serve(fields: &mut Map<String, Value>, to: &str) {
    let is_empty = |value: &Value| value.is_null() || value.as_str() == Some("");
    if to == STORED {
        for field in ["reportingComponent", "reportingInstance"] {
            fields.entry(field).or_insert_with(|| Value::from(""));
        }
        for field in ["involvedObject", "source"] {
            fields.entry(field).or_insert_with(|| Value::Object(Map::new()));
        }
    } else {
        for field in ["reportingController", "reportingInstance"] {
            if fields.get(field).is_some_and(is_empty) {
                fields.remove(field);
            }
        }
        for field in ["regarding", "deprecatedSource"] {
            fields.entry(field).or_insert_with(|| Value::Object(Map::new()));
        }
    }
}

/// What this version calls the reporter, in answers too.
const REPORTER: &str = "reportingController";

/// Collects what is wrong with a new event that comes by `events.k8s.io/v1`: in place of the kind's own rules, which
/// these include.
pub fn validate_new_event(event: &Event, errors: &mut FieldErrors) {
    validate_event(event, REPORTER, errors);
    let path = FieldPath::new("metadata");
    let name = text(&event.metadata.name);
    errors.invalid_each(&path.child("name"), name, check_name(is_dns1123_subdomain, name, false));
    validate_series(event, errors);
    if event.event_time.is_none() {
        errors.required(&FieldPath::new("eventTime"), "");
    }
    let kind = text(&event.type_);
    if !matches!(kind, "Normal" | "Warning") {
        errors.invalid(&FieldPath::new("type"), "", format!("has invalid value: {kind}"));
    }
    let source = event.source.as_ref();
    let given = [
        ("firstTimestamp", event.first_timestamp.is_some()),
        ("lastTimestamp", event.last_timestamp.is_some()),
        ("count", event.count.unwrap_or(0) != 0),
        ("source", source.is_some_and(|it| !text(&it.component).is_empty() || !text(&it.host).is_empty())),
    ];
    for (field, _) in given.iter().filter(|(_, given)| *given) {
        errors.invalid(&FieldPath::new(field), "", "needs to be unset");
    }
}

/// Collects what is wrong with a change by `events.k8s.io/v1`, in place of the kind's own rules: but for its series,
/// an event stays as it is.
pub fn validate_event_change(new: &Event, old: &Event, errors: &mut FieldErrors) {
    validate_event(new, REPORTER, errors);
    if new.series != old.series {
        validate_series(new, errors);
    }
    let path = FieldPath::new;
    validate_unchanged(&new.involved_object, &old.involved_object, &path("involvedObject"), errors);
    validate_unchanged(&new.reason, &old.reason, &path("reason"), errors);
    validate_unchanged(&new.message, &old.message, &path("message"), errors);
    validate_unchanged(&new.source, &old.source, &path("source"), errors);
    validate_unchanged(&new.first_timestamp, &old.first_timestamp, &path("firstTimestamp"), errors);
    validate_unchanged(&new.last_timestamp, &old.last_timestamp, &path("lastTimestamp"), errors);
    validate_unchanged(&new.count, &old.count, &path("count"), errors);
    // Twice, as upstream has it.
    validate_unchanged(&new.reason, &old.reason, &path("reason"), errors);
    validate_unchanged(&new.type_, &old.type_, &path("type"), errors);
    validate_unchanged(&new.event_time, &old.event_time, &path("eventTime"), errors);
    validate_unchanged(&new.action, &old.action, &path("action"), errors);
    validate_unchanged(&new.related, &old.related, &path("related"), errors);
    let field = path(REPORTER);
    validate_unchanged(&new.reporting_component, &old.reporting_component, &field, errors);
    let field = path("reportingInstance");
    validate_unchanged(&new.reporting_instance, &old.reporting_instance, &field, errors);
}

fn validate_series(event: &Event, errors: &mut FieldErrors) {
    let Some(series) = &event.series else { return };
    if series.count.unwrap_or(0) < 2 {
        errors.invalid(&FieldPath::new("series.count"), "", "should be at least 2");
    }
    if series.last_observed_time.is_none() {
        errors.required(&FieldPath::new("series.lastObservedTime"), "");
    }
}
