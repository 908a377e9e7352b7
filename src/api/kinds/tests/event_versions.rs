//! Events in the version of their own group.

use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use super::super::event_versions::{
    EVENTS, SELECTABLE_FIELDS, STORED, convert_event, validate_event_change, validate_new_event,
};
use super::{lines, read};
use crate::api::error::FieldErrors;
use crate::api::object::Kind;

fn value(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap_or_else(|wrong| panic!("{wrong} in {yaml}"))
}

#[test]
fn versions() {
    let rows = [
        (
            "{metadata: {name: a}, involvedObject: {kind: Pod}, message: m, source: {component: c}, firstTimestamp: t, lastTimestamp: u, count: 3, \
             reportingComponent: r, reportingInstance: i, reason: why, type: Normal, eventTime: v, action: do, related: {kind: Node}, series: {count: 2}}",
            "{metadata: {name: a}, regarding: {kind: Pod}, note: m, deprecatedSource: {component: c}, deprecatedFirstTimestamp: t, deprecatedLastTimestamp: u, \
             deprecatedCount: 3, reportingController: r, reportingInstance: i, reason: why, type: Normal, eventTime: v, action: do, related: {kind: Node}, \
             series: {count: 2}}",
        ),
        (
            "{apiVersion: v1, kind: Event, involvedObject: {}, source: {}, reportingComponent: '', reportingInstance: ''}",
            "{apiVersion: events.k8s.io/v1, kind: Event, regarding: {}, deprecatedSource: {}}",
        ),
    ];
    for (stored, events) in rows {
        let (stored, events) = (value(stored), value(events));
        let mut there = stored.clone();
        convert_event(&mut there, STORED, EVENTS);
        assert_eq!(there, events);
        convert_event(&mut there, EVENTS, STORED);
        assert_eq!(there, stored, "and back");
    }
}

#[test]
fn odd_values_are_left_alone() {
    let rows = [
        (json!(5), STORED, EVENTS, json!(5)),
        (json!({"message": "m"}), STORED, STORED, json!({"message": "m"})),
        (json!({"message": "m"}), STORED, "v2", json!({"message": "m"})),
        // A field of the other version is none of this one.
        (
            json!({"message": "m", "note": "n"}),
            EVENTS,
            STORED,
            json!({"message": "n", "reportingComponent": "", "reportingInstance": "", "involvedObject": {}, "source": {}}),
        ),
    ];
    for (mut value, from, to, expected) in rows {
        convert_event(&mut value, from, to);
        assert_eq!(value, expected);
    }
    let known = |field: &str| Event::SELECTABLE_FIELDS.contains(&field);
    assert!(SELECTABLE_FIELDS.iter().all(|(_, stored)| known(stored)));
}

#[test]
fn new_events() {
    const GOOD: &str = "metadata: {name: a, namespace: default}\ninvolvedObject: {}\neventTime: '2026-05-01T11:00:00.000000Z'\ntype: Normal\n\
                        reportingComponent: c\nreportingInstance: i\naction: a\nreason: r\n";
    let rows = [
        (GOOD.to_owned(), ""),
        (format!("{GOOD}series: {{count: 2, lastObservedTime: '2026-05-01T11:00:00.000000Z'}}"), ""),
        (
            format!("{GOOD}series: {{count: 1}}"),
            "series.count: Invalid value: \"\": should be at least 2\nseries.lastObservedTime: Required value\n",
        ),
        (
            "metadata: {name: a, namespace: default}\ninvolvedObject: {}".to_owned(),
            "eventTime: Required value\ntype: Invalid value: \"\": has invalid value: \n",
        ),
        (
            GOOD.replace("reportingComponent: c", "reportingComponent: 'a b'")
                .replace("action: a", "action: ''"),
            "reportingController: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n\
             action: Required value\n",
        ),
        (GOOD.replace("Normal", "Odd"), "type: Invalid value: \"\": has invalid value: Odd\n"),
        (
            format!(
                "{GOOD}firstTimestamp: '2026-05-01T11:00:00Z'\nlastTimestamp: '2026-05-01T11:00:00Z'\ncount: 1\nsource: {{host: h}}"
            ),
            "firstTimestamp: Invalid value: \"\": needs to be unset\nlastTimestamp: Invalid value: \"\": needs to be unset\n\
             count: Invalid value: \"\": needs to be unset\nsource: Invalid value: \"\": needs to be unset\n",
        ),
        (
            GOOD.replace("name: a", "name: A/b"),
            "metadata.name: Invalid value: \"A/b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n",
        ),
    ];
    for (yaml, expected) in rows {
        let mut errors = FieldErrors::default();
        validate_new_event(&read(&yaml), &mut errors);
        assert_eq!(lines(errors), expected, "{yaml}");
    }
}

#[test]
fn changes_of_events() {
    const OLD: &str = "metadata: {name: a, namespace: default}\ninvolvedObject: {name: p}\nreason: r\nmessage: m\ntype: Normal\n";
    let rows = [
        (OLD.to_owned(), ""),
        (format!("{OLD}series: {{count: 2, lastObservedTime: '2026-05-01T11:00:00.000000Z'}}"), ""),
        (
            format!("{OLD}series: {{count: 1, lastObservedTime: '2026-05-01T11:00:00.000000Z'}}"),
            "series.count: Invalid value: \"\": should be at least 2\n",
        ),
        (OLD.replace("message: m", "message: n"), "message: Invalid value: \"n\": field is immutable\n"),
        (
            OLD.replace("name: p", "name: q"),
            "involvedObject: Invalid value: {\"name\":\"q\"}: field is immutable\n",
        ),
        (
            OLD.replace("reason: r", "reason: s"),
            "reason: Invalid value: \"s\": field is immutable\nreason: Invalid value: \"s\": field is immutable\n",
        ),
        (
            format!("{OLD}action: a\nreportingComponent: c\nreportingInstance: i\ncount: 4"),
            "count: Invalid value: 4: field is immutable\naction: Invalid value: \"a\": field is immutable\n\
             reportingController: Invalid value: \"c\": field is immutable\nreportingInstance: Invalid value: \"i\": field is immutable\n",
        ),
    ];
    for (yaml, expected) in rows {
        let mut errors = FieldErrors::default();
        validate_event_change(&read(&yaml), &read(OLD), &mut errors);
        assert_eq!(lines(errors), expected, "{yaml}");
    }
}
