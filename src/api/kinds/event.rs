//! Event: what happened to an object, in words.
//!
//! Its rules are those of `core/v1`, which are laxer than those of `events.k8s.io`: names are hardly checked,
//! and an update may change everything.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSeries, EventSource};
use serde_json::Value;

use super::age::{since, since_micro};
use super::canonical::{Canonical, canonical};
use super::event_versions;
use super::fields::text;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{is_dns1123_subdomain, is_path_segment_name, is_qualified_name};
use crate::api::object::{Column, Kind, Scope, ServedName, TermName, Terms};
use crate::api::registry::WrongField;
use crate::limits::{EVENT_MESSAGE_BYTES, EVENT_WORD_BYTES};

const FIELDS: &[TermName] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

impl Kind for Event {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["ev"];
    const HAS_STATUS: bool = false;
    const TERMS: &'static [TermName] = &["involvedObject.name", "involvedObject.uid"];
    const SELECTABLE_FIELDS: &'static [TermName] = FIELDS;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Last Seen", wide: false },
        Column { name: "Type", wide: false },
        Column { name: "Reason", wide: false },
        Column { name: "Object", wide: false },
        Column { name: "Subobject", wide: true },
        Column { name: "Source", wide: true },
        Column { name: "Message", wide: false },
        Column { name: "First Seen", wide: true },
        Column { name: "Count", wide: true },
    ];

    const ALSO_SERVED: &'static [ServedName] =
        &[ServedName { group: "events.k8s.io", version: "v1", kind: "Event", plural: "events" }];

    fn convert(mut value: Value, from: &str, to: &str) -> Result<Value, WrongField> {
        event_versions::convert_event(&mut value, from, to);
        Ok(value)
    }

    fn selectable_in(api_version: &str) -> Vec<(&'static str, TermName)> {
        match api_version {
            event_versions::EVENTS => event_versions::SELECTABLE_FIELDS.to_vec(),
            _ => FIELDS.iter().map(|&term| (term, term)).collect(),
        }
    }

    fn validate_as(&self, old: Option<&Event>, api_version: &str, errors: &mut FieldErrors) -> bool {
        match (api_version, old) {
            (event_versions::EVENTS, None) => event_versions::validate_new_event(self, errors),
            (event_versions::EVENTS, Some(old)) => event_versions::validate_event_change(self, old, errors),
            _ => return false,
        }
        true
    }

    fn validate_name(name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_event(self, "reportingComponent", errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        let object = &self.involved_object;
        let component = self.source.as_ref().map_or("", |source| text(&source.component));
        let reporter = text(&self.reporting_component);
        let values = [
            text(&object.kind),
            text(&object.namespace),
            text(&object.name),
            text(&object.uid),
            text(&object.api_version),
            text(&object.resource_version),
            text(&object.field_path),
            text(&self.reason),
            reporter,
            if component.is_empty() { reporter } else { component },
            text(&self.type_),
        ];
        for (name, value) in FIELDS.iter().zip(values) {
            terms.add(name, value);
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let first = match &self.first_timestamp {
            Some(_) => since(self.first_timestamp.as_ref(), now),
            None => since_micro(self.event_time.as_ref(), now),
        };
        let mut last = match &self.last_timestamp {
            Some(_) => since(self.last_timestamp.as_ref(), now),
            None => first.clone(),
        };
        let mut count = self.count.unwrap_or(0).max(1);
        if let Some(series) = &self.series {
            last = since_micro(series.last_observed_time.as_ref(), now);
            count = series.count.unwrap_or(0);
        }
        let kind = text(&self.involved_object.kind).to_lowercase();
        let object = match text(&self.involved_object.name) {
            "" => kind,
            name => format!("{kind}/{name}"),
        };
        vec![
            last,
            text(&self.type_).to_owned(),
            text(&self.reason).to_owned(),
            object,
            text(&self.involved_object.field_path).to_owned(),
            source_text(self),
            text(&self.message).trim().to_owned(),
            first,
            count.to_string(),
        ]
    }
}

/// Collects what is wrong with an event, whichever version it came by; that version has its own word for the
/// reporter.
pub(super) fn validate_event(event: &Event, reporter: &str, errors: &mut FieldErrors) {
    let namespace = text(&event.metadata.namespace);
    let involved = text(&event.involved_object.namespace);
    let path = FieldPath::new("involvedObject");
    let path = path.child("namespace");
    let fits = match (event.event_time.is_some(), involved.is_empty()) {
        (false, true) => matches!(namespace, "" | "default"),
        (false, false) => namespace == involved,
        (true, true) => matches!(namespace, "default" | "kube-system"),
        (true, false) => true,
    };
    if !fits {
        errors.invalid(&path, involved, "does not match event.namespace");
    }
    if event.event_time.is_some() {
        validate_reporter(event, reporter, errors);
    }
    errors.invalid_each(&FieldPath::new("namespace"), namespace, is_dns1123_subdomain(namespace));
}

/// What events that carry an exact time must say.
fn validate_reporter(event: &Event, field: &str, errors: &mut FieldErrors) {
    let reporter = text(&event.reporting_component);
    let path = FieldPath::new(field);
    if reporter.is_empty() {
        errors.required(&path, "");
    }
    errors.invalid_each(&path, reporter, is_qualified_name(reporter));
    let words = [
        ("reportingInstance", text(&event.reporting_instance)),
        ("action", text(&event.action)),
        ("reason", text(&event.reason)),
    ];
    for (field, value) in words {
        let path = FieldPath::new(field);
        if value.is_empty() {
            errors.required(&path, "");
        }
        if value.len() > EVENT_WORD_BYTES {
            errors.invalid(&path, "", format!("can have at most {EVENT_WORD_BYTES} characters"));
        }
    }
    if text(&event.message).len() > EVENT_MESSAGE_BYTES {
        let detail = format!("can have at most {EVENT_MESSAGE_BYTES} characters");
        errors.invalid(&FieldPath::new("message"), "", detail);
    }
}

fn source_text(event: &Event) -> String {
    let first = |one, other| if str::is_empty(one) { other } else { one };
    let (component, host) =
        event.source.as_ref().map_or(("", ""), |source| (text(&source.component), text(&source.host)));
    let component = first(component, text(&event.reporting_component));
    match first(host, text(&event.reporting_instance)) {
        "" => component.to_owned(),
        instance => format!("{component}, {instance}"),
    }
}

canonical! {
    Event {
        drop: action, count, message, reason, type_;
        keep: event_time, first_timestamp, last_timestamp, related, series;
        fill: reporting_component, reporting_instance, source;
        deep: involved_object;
    }
    EventSeries {
        drop: count;
        keep: last_observed_time;
    }
    EventSource {
        drop: component, host;
    }
}
