//! Tables of sets, comparisons, merges and applies over plain values, and properties.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::extract::reconcile;
use super::*;
use crate::api::shape::Shape;

mod applies;
mod properties;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|cause| panic!("{text}: {cause}"))
}

/// A custom resource with every kind of part.
pub(super) fn shape() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| {
        Shape::of_schema(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "number": {"type": "integer"},
            "text": {"type": "string"},
            "flag": {"type": "boolean"},
            "list": {"type": "array", "items": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "numbers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
            "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}, "value": {"type": "integer"},
                    "more": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}},
            "ports": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"type": "object", "properties": {"port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"}, "name": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
            "inner": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
            "free": {"x-kubernetes-preserve-unknown-fields": true},
        }}, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}))
    })
}

/// The paths of a set in a row.
fn show(set: &Set) -> String {
    set.to_string().replace('\n', " ")
}

fn set(text: &str) -> Set {
    Set::from_value(&yaml(text)).unwrap_or_else(|cause| panic!("{text}: {cause}"))
}

/// Rows of parts between ` | `.
pub(super) fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    let rows = table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with("//"));
    rows.map(|row| {
        let parts: Vec<&str> = row.split('|').map(str::trim).collect();
        parts.try_into().unwrap_or_else(|_| panic!("a row has {N} parts: {row}"))
    })
}

#[test]
fn sets_are_read_and_written() {
    // fieldsV1 | its paths
    for [text, paths] in rows::<2>(
        r#"
        {} |
        {"f:a":{}} | .a
        {"f:a":{"f:b":{}}} | .a.b
        {"f:a":{".":{},"f:b":{}}} | .a .a.b
        {"f:a":{},"f:b":{"f:c":{}}} | .a .b.c
        {"f:l":{"k:{\"name\":\"x\"}":{".":{},"f:v":{}}}} | .l[name="x"] .l[name="x"].v
        {"f:l":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{}}} | .l[port=80,protocol="TCP"]
        {"f:s":{"v:\"x\"":{},"v:1":{},"v:true":{}}} | .s[=1] .s[="x"] .s[=true]
        {"f:l":{"i:0":{},"i:10":{},"i:2":{}}} | .l[0] .l[2] .l[10]
        {"f:a.b/c":{}} | .a.b/c
        {"f:with \"quotes\"":{}} | .with "quotes"
        "#,
    ) {
        let read = set(text);
        assert_eq!(show(&read), paths, "{text}");
        let mut written = Vec::new();
        read.write_json(&mut written);
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((&written, &read.to_value()), (&yaml(text), &yaml(text)), "{text}");
    }
}

#[test]
fn texts_that_are_no_sets() {
    for [text, sentence] in rows::<2>(
        r#"
        [] | an object of fields is expected
        {"f:a":1} | an object of fields is expected
        {"x":{}} | key must be 2 characters long:
        {"fa":{}} | missing colon: fa
        {"i:x":{}} | invalid digit found in string
        {"k:[]":{}} | an object of keys is expected: []
        "#,
    ) {
        assert_eq!(Set::from_value(&yaml(text)), Err(sentence.to_owned()), "{text}");
    }
    // What a later version may add is passed over.
    assert_eq!(show(&set(r#"{"z:new":{"f:a":{}},"f:b":{}}"#)), ".b");
    let mut deep = json!({});
    for _ in 0..1000 {
        deep = json!({"f:a": deep});
    }
    assert_eq!(Set::from_value(&deep), Err("the fields nest too deep".to_owned()));
}

#[test]
fn arithmetic_of_sets() {
    // left | right | union | intersection | difference | recursive difference
    for [left, right, union, both, less, below] in rows::<6>(
        r#"
        {} | {} | | | |
        {"f:a":{}} | {} | .a | | .a | .a
        {} | {"f:a":{}} | .a | | |
        {"f:a":{},"f:b":{}} | {"f:b":{},"f:c":{}} | .a .b .c | .b | .a | .a
        {"f:a":{"f:b":{}}} | {"f:a":{}} | .a .a.b | | .a.b |
        {"f:a":{".":{},"f:b":{}}} | {"f:a":{}} | .a .a.b | .a | .a.b |
        {"f:a":{"f:b":{},"f:c":{}}} | {"f:a":{"f:b":{}}} | .a.b .a.c | .a.b | .a.c | .a.c
        {"f:a":{"f:b":{"f:c":{},"f:d":{}}}} | {"f:a":{"f:b":{}}} | .a.b .a.b.c .a.b.d | | .a.b.c .a.b.d |
        {"f:s":{"v:1":{},"v:2":{}}} | {"f:s":{"v:2":{}}} | .s[=1] .s[=2] | .s[=2] | .s[=1] | .s[=1]
        "#,
    ) {
        let (l, r) = (set(left), set(right));
        assert_eq!(show(&l.union(&r)), union, "union of {left} and {right}");
        assert_eq!(show(&l.intersection(&r)), both, "intersection of {left} and {right}");
        assert_eq!(show(&l.difference(&r)), less, "{left} without {right}");
        assert_eq!(show(&l.recursive_difference(&r)), below, "{left} without what is below {right}");
    }
}

#[test]
fn what_an_object_speaks_of() {
    for [object, paths] in rows::<2>(
        r#"
        {} |
        {spec: {}} | .spec
        {spec: {number: 1, text: x}} | .spec.number .spec.text
        {spec: {number: null}} | .spec.number
        {spec: {list: [a, b]}} | .spec.list
        {spec: {list: []}} | .spec.list
        {spec: {set: [b, a]}} | .spec.set[="a"] .spec.set[="b"]
        {spec: {set: []}} |
        {spec: {keyed: [{name: x, value: 1}]}} | .spec.keyed[name="x"] .spec.keyed[name="x"].name .spec.keyed[name="x"].value
        {spec: {ports: [{port: 80}]}} | .spec.ports[port=80,protocol="TCP"] .spec.ports[port=80,protocol="TCP"].port
        {spec: {map: {a: x}}} | .spec.map.a
        {spec: {map: {}}} | .spec.map
        {spec: {whole: {a: x}}} | .spec.whole
        {spec: {inner: {a: 1}}} | .spec.inner.a
        {spec: {inner: {}}} | .spec.inner
        {spec: {inner: null}} | .spec.inner
        {spec: {free: {a: {b: 1}, l: [1]}}} | .spec.free.a .spec.free.l .spec.free.a.b
        {spec: {free: 1}} | .spec.free
        {metadata: {labels: {a: x}, finalizers: [f]}} | .metadata.finalizers[="f"] .metadata.labels.a
        "#,
    ) {
        assert_eq!(show(&field_set(shape().root(), &yaml(object))), paths, "{object}");
    }
}

#[test]
fn what_differs_between_objects() {
    // old | new | added | modified | removed
    for [old, new, added, modified, removed] in rows::<5>(
        r#"
        {} | {} | | |
        {} | {spec: {number: 1}} | .spec .spec.number | |
        {spec: {number: 1}} | {spec: {number: 2}} | | .spec.number |
        {spec: {number: 1}} | {spec: {}} | | | .spec.number
        {spec: {number: 1}} | {} | | | .spec .spec.number
        {spec: {list: [a]}} | {spec: {list: [a, b]}} | | .spec.list |
        {spec: {set: [a, b]}} | {spec: {set: [b, c]}} | .spec.set[="c"] | | .spec.set[="a"]
        {spec: {set: [a, b]}} | {spec: {set: [b, a]}} | | |
        {spec: {}} | {spec: {set: [a]}} | .spec.set .spec.set[="a"] | |
        {spec: {keyed: [{name: x, value: 1}]}} | {spec: {keyed: [{name: x, value: 2}]}} | | .spec.keyed[name="x"].value |
        {spec: {keyed: [{name: x}]}} | {spec: {keyed: [{name: y}, {name: x}]}} | .spec.keyed[name="y"] .spec.keyed[name="y"].name | |
        {spec: {map: {a: x}}} | {spec: {map: {a: y, b: z}}} | .spec.map.b | .spec.map.a |
        {spec: {map: {a: x}}} | {spec: {map: {}}} | | | .spec.map.a
        {spec: {}} | {spec: {map: {}}} | .spec.map | |
        {spec: {whole: {a: x}}} | {spec: {whole: {a: x, b: y}}} | | .spec.whole |
        {spec: {free: {a: 1}}} | {spec: {free: {a: [1]}}} | | .spec.free.a |
        {spec: {free: {a: {b: 1}}}} | {spec: {free: {a: 1}}} | | .spec.free.a | .spec.free.a.b
        {spec: {keyed: [{name: x, value: 1}, {name: x, value: 2}]}} | {spec: {keyed: [{name: x, value: 1}, {name: x, value: 3}]}} | | .spec.keyed[name="x"] |
        {spec: {keyed: [{name: x, value: 1}, {name: x}]}} | {spec: {keyed: [{name: x}]}} | .spec.keyed[name="x"] .spec.keyed[name="x"].name | | .spec.keyed[name="x"]
        {spec: {keyed: [{name: x}]}} | {spec: {keyed: [{name: x}, {name: x}]}} | .spec.keyed[name="x"] | | .spec.keyed[name="x"] .spec.keyed[name="x"].name
        {spec: {number: 1}} | {spec: {number: null}} | | .spec.number |
        "#,
    ) {
        let found = compare(shape().root(), &yaml(old), &yaml(new)).unwrap();
        let got = [show(&found.added), show(&found.modified), show(&found.removed)];
        assert_eq!(got, [added, modified, removed], "{old} to {new}");
        // The same by the bodies.
        let found_in_bodies = compare_bodies(
            shape().root(),
            yaml(old).to_string().as_bytes(),
            yaml(new).to_string().as_bytes(),
        );
        assert_eq!(found_in_bodies, Ok(found), "{old} to {new}");
    }
    let broken = compare(shape().root(), &yaml("{spec: {set: [a]}}"), &yaml("{spec: {set: [null]}}"));
    let sentence = "element 0: associative list without keys has an element that's an explicit null";
    assert_eq!(broken, Err(sentence.to_owned()));
}

#[test]
fn what_is_always_written_is_not_new() {
    let shape = Shape::builtin("apps/v1", "Deployment").unwrap();
    let object = yaml(
        "{metadata: {labels: {a: x}}, spec: {replicas: 1, strategy: {type: Recreate}, selector: {matchLabels: {a: x}},
          template: {metadata: {labels: {a: x}}, spec: {containers: [{name: c, resources: {}}]}}}}",
    );
    let found = compare(shape.root(), &json!({}), &object).unwrap();
    assert_eq!(
        show(&found.added.union(&found.modified)),
        ".metadata.labels .metadata.labels.a .spec.replicas .spec.selector .spec.strategy.type \
         .spec.template.metadata.labels .spec.template.metadata.labels.a \
         .spec.template.spec.containers[name=\"c\"] .spec.template.spec.containers[name=\"c\"].name \
         .spec.template.spec.containers[name=\"c\"].resources"
    );
}

#[test]
fn what_becomes_of_two_objects() {
    for [live, applied, merged] in rows::<3>(
        r#"
        {spec: {number: 1}} | {spec: {text: x}} | {spec: {number: 1, text: x}}
        {spec: {number: 1}} | {spec: {number: 2}} | {spec: {number: 2}}
        {spec: {number: 1}} | {spec: {number: null}} | {spec: {number: null}}
        {spec: {list: [a, b]}} | {spec: {list: [c]}} | {spec: {list: [c]}}
        {spec: {list: [a, b]}} | {spec: {list: []}} | {spec: {list: []}}
        {spec: {set: [a, b]}} | {spec: {set: [c]}} | {spec: {set: [a, b, c]}}
        {spec: {set: [a, b]}} | {spec: {set: [b, a]}} | {spec: {set: [b, a]}}
        {spec: {set: [a, b, c]}} | {spec: {set: [c, a]}} | {spec: {set: [b, c, a]}}
        {spec: {set: [a]}} | {spec: {set: []}} | {spec: {set: [a]}}
        {spec: {map: {a: x}}} | {spec: {map: {b: y}}} | {spec: {map: {a: x, b: y}}}
        {spec: {map: {a: x}}} | {spec: {map: null}} | {spec: {map: {a: x}}}
        {spec: {whole: {a: x}}} | {spec: {whole: {b: y}}} | {spec: {whole: {b: y}}}
        {spec: {keyed: [{name: x, value: 1}]}} | {spec: {keyed: [{name: x, more: {a: 1}}]}} | {spec: {keyed: [{name: x, value: 1, more: {a: 1}}]}}
        {spec: {keyed: [{name: x}]}} | {spec: {keyed: [{name: y}]}} | {spec: {keyed: [{name: x}, {name: y}]}}
        {spec: {keyed: [{name: x}, {name: y}]}} | {spec: {keyed: [{name: n}, {name: x}]}} | {spec: {keyed: [{name: n}, {name: x}, {name: y}]}}
        {spec: {keyed: [{name: a}, {name: b}, {name: c}]}} | {spec: {keyed: [{name: c}, {name: b}]}} | {spec: {keyed: [{name: a}, {name: c}, {name: b}]}}
        {spec: {ports: [{port: 80, protocol: TCP}]}} | {spec: {ports: [{port: 80, name: web}]}} | {spec: {ports: [{port: 80, protocol: TCP, name: web}]}}
        {spec: {ports: [{port: 80, protocol: TCP}]}} | {spec: {ports: [{port: 80, protocol: UDP}]}} | {spec: {ports: [{port: 80, protocol: TCP}, {port: 80, protocol: UDP}]}}
        {spec: {free: {a: 1}}} | {spec: {free: [1]}} | {spec: {free: [1]}}
        {spec: {keyed: [{name: x, value: 1}, {name: x, value: 2}]}} | {spec: {keyed: [{name: x, value: 3}]}} | {spec: {keyed: [{name: x, value: 3}]}}
        "#,
    ) {
        assert_eq!(
            merge(shape().root(), &yaml(live), &yaml(applied)),
            Ok(yaml(merged)),
            "{live} with {applied}"
        );
    }
}

#[test]
fn objects_that_do_not_fit() {
    for [object, sentence] in rows::<2>(
        r#"
        {spec: {number: x}} | .spec.number: expected numeric (int or float), got string
        {spec: {number: true}} | .spec.number: expected numeric (int or float), got bool
        {spec: {text: 1}} | .spec.text: expected string, got &value.valueUnstructured{Value:1}
        {spec: {flag: x}} | .spec.flag: expected boolean, got &{x}
        {spec: {nope: 1}} | .spec.nope: field not declared in schema
        {spec: x} | .spec: expected map, got &{x}
        {spec: {list: x}} | .spec.list: expected list, got &{x}
        {spec: {list: [1]}} | .spec.list[0]: expected string, got &value.valueUnstructured{Value:1}
        {spec: {set: [a, a]}} | .spec.set: duplicate entries for key [="a"]
        {spec: {set: [{}]}} | .spec.set: element 0: associative list without keys has an element that's a map type
        {spec: {set: [null]}} | .spec.set: element 0: associative list without keys has an element that's an explicit null
        {spec: {set: [[a]]}} | .spec.set: element 0: not supported: associative list with lists as elements
        {spec: {keyed: [{name: x}, {name: x}]}} | .spec.keyed: duplicate entries for key [name="x"]
        {spec: {keyed: [{value: 1}]}} | .spec.keyed: element 0: associative list with keys has an element that omits all key fields ["name"] (and doesn't have default values for any key fields)
        {spec: {keyed: [x]}} | .spec.keyed: element 0: associative list with keys may not have non-map elements
        {spec: {keyed: [null]}} | .spec.keyed: element 0: associative list with keys may not have a null element
        {spec: {keyed: [{name: x, value: y}]}} | .spec.keyed[name="x"].value: expected numeric (int or float), got string
        {spec: {ports: [{port: 80}, {port: 80, protocol: TCP}]}} | .spec.ports: duplicate entries for key [port=80,protocol="TCP"]
        {spec: {ports: [{port: 80}, {port: 80, protocol: UDP}]}} | fits
        {spec: {free: {a: [{b: 1}]}}} | fits
        {status: {a: {b: 1}}} | fits
        {spec: null} | fits
        "#,
    ) {
        let found = check(shape().root(), &yaml(object), false);
        let got = found.err().map_or("fits".to_owned(), |misfits| misfits.to_string());
        assert_eq!(got, sentence, "{object}");
    }
}

#[test]
fn a_shape_that_changed_is_followed() {
    for [before, after] in rows::<2>(
        r#"
        {"f:spec":{"f:whole":{"f:a":{}}}} | .spec.whole
        {"f:spec":{"f:list":{"i:0":{}}}} | .spec.list
        {"f:spec":{"f:list":{},"f:number":{}}} | .spec.list .spec.number
        {"f:spec":{"f:map":{".":{},"f:a":{}}}} | .spec.map .spec.map.a
        {"f:spec":{"f:gone":{"f:a":{}}}} | .spec.gone.a
        "#,
    ) {
        assert_eq!(show(&reconcile(shape().root(), &set(before))), after, "{before}");
    }
}

#[test]
fn managers_of_user_agents() {
    for [agent, name] in rows::<2>(
        "
        kubectl/v1.36.0 (linux/amd64) kubernetes/abc | kubectl
        kube-controller-manager/v1.36.0 | kube-controller-manager
        plain | plain
        a b/c | a b
        |
        /x |
        ",
    ) {
        assert_eq!(manager_of_user_agent(agent), name, "{agent}");
    }
    assert_eq!(manager_of_user_agent("a\u{7}b\n/"), "ab");
    assert_eq!(manager_of_user_agent(&"ä".repeat(100)), "ä".repeat(64));
}

#[test]
fn equal_sets_are_kept_once() {
    let mut interner = Interner::default();
    let one = |ip: &str| {
        let status = json!({"status": {"ip": ip, "ips": {ip: 1}, "more": {"a": 1, "b": {"c": 1}}}});
        Arc::new(field_set(shape().root(), &status))
    };
    let (a, b) = (interner.set(&one("1")), interner.set(&one("1")));
    assert!(Arc::ptr_eq(&a, &b));
    assert_eq!(a, one("1"));
    let c = interner.set(&one("2"));
    let below = |set: &Set, names: &[&str]| {
        names
            .iter()
            .fold(Arc::new(set.clone()), |set, name| set.child(&Element::field(*name)).unwrap().clone())
    };
    // What does not differ is shared.
    assert!(Arc::ptr_eq(&below(&a, &["status", "more"]), &below(&c, &["status", "more"])));
    assert!(!Arc::ptr_eq(&below(&a, &["status"]), &below(&c, &["status"])));
}

#[test]
fn outlines_tell_objects_apart_exactly_by_their_fields() {
    let keys = OutlineKeys::new();
    let outline = |text: &str| Outline::of(keys, 1, shape().root(), &yaml(text));
    // Same fields, other values.
    for [one, other] in rows::<2>(
        "
        {spec: {number: 1, text: x}} | {spec: {number: 2, text: y}}
        {spec: {list: [a, b]}} | {spec: {list: [c]}}
        {spec: {whole: {a: x}}} | {spec: {whole: {b: y, c: z}}}
        {spec: {keyed: [{name: x, value: 1}]}} | {spec: {keyed: [{name: x, value: 2}]}}
        {spec: {map: {a: x}}} | {spec: {map: {a: y}}}
        ",
    ) {
        assert_eq!(outline(one), outline(other), "{one} and {other}");
    }
    let all = [
        "{}",
        "{spec: {}}",
        "{spec: {number: 1}}",
        "{spec: {text: x}}",
        "{spec: {inner: {}}}",
        "{spec: {map: {}}}",
        "{spec: {inner: null}}",
        "{spec: {map: {a: x}}}",
        "{spec: {map: {b: x}}}",
        "{spec: {map: {a: x, b: x}}}",
        "{spec: {set: []}}",
        "{spec: {set: [a]}}",
        "{spec: {set: [b]}}",
        "{spec: {set: [a, b]}}",
        "{spec: {keyed: [{name: x}]}}",
        "{spec: {keyed: [{name: y}]}}",
        "{spec: {keyed: [{name: x, value: 1}]}}",
        "{spec: {ports: [{port: 80}]}}",
        "{spec: {ports: [{port: 81}]}}",
        "{spec: {ports: [{port: 80, name: x}]}}",
        "{spec: {free: 1}}",
        "{spec: {free: [1]}}",
        "{spec: {free: {a: 1}}}",
        "{status: {number: 1}}",
    ];
    let known: BTreeSet<u128> = all.iter().map(|text| outline(text)).collect();
    assert_eq!(known.len(), all.len());
}

/// Objects of built-in kinds that differ in what decides their fields, and in what does not.
#[test]
fn outlines_of_typed_objects_decide_their_fields() {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Pod;
    let keys = OutlineKeys::new();
    let mut known: std::collections::BTreeMap<u128, (Set, Value)> = std::collections::BTreeMap::new();
    let mut see = |shape: &Shape, seed: u64, outline: u128, value: Value| {
        let difference = compare(shape.root(), &json!({}), &value).unwrap();
        let set = fields_of_change(&difference, &Set::default());
        let (of_first, first) = known.entry(outline).or_insert((set.clone(), value.clone()));
        assert_eq!(*of_first, set, "kind {seed}: {first} and {value}");
    };
    let pod = Shape::builtin("v1", "Pod").unwrap();
    let mut outlines = BTreeSet::new();
    for name in ["a", "b"] {
        for port in [None, Some(80), Some(81)] {
            for (image, limit) in [("i", None), ("j", Some("1")), ("j", Some("2"))] {
                let mut container = json!({"name": name, "image": image, "resources": {}, "args": [image]});
                if let Some(port) = port {
                    container["ports"] = json!([{"containerPort": port}]);
                }
                if let Some(limit) = limit {
                    container["resources"] = json!({"limits": {"cpu": limit}});
                }
                for ip in [None, Some("10.0.0.1"), Some("10.0.0.2")] {
                    let mut value = json!({
                        "metadata": {"name": image, "labels": {"app": name}, "creationTimestamp": "2026-01-01T00:00:00Z"},
                        "spec": {"containers": [container], "tolerations": [{"key": image}], "nodeSelector": {"a": name}},
                    });
                    if let Some(ip) = ip {
                        value["status"] = json!({"podIPs": [{"ip": ip}], "phase": "Running",
                            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
                    }
                    let typed: Pod = serde_json::from_value(value).unwrap();
                    let outline = Outline::of(keys, 1, pod.root(), &typed);
                    outlines.insert(outline);
                    see(&pod, 1, outline, serde_json::to_value(&typed).unwrap());
                }
            }
        }
    }
    // Names, ports, limits and addresses decide; images, arguments, tolerations and amounts do not.
    assert_eq!(outlines.len(), 2 * 3 * 2 * 3);
    let deployment = Shape::builtin("apps/v1", "Deployment").unwrap();
    for strategy in [None, Some("Recreate"), Some("RollingUpdate")] {
        for replicas in [None, Some(0), Some(1)] {
            let value = json!({"metadata": {"name": "d"}, "spec": {"replicas": replicas, "strategy": {"type": strategy},
                "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": []}}}});
            let typed: Deployment = serde_json::from_value(value).unwrap();
            let outline = Outline::of(keys, 2, deployment.root(), &typed);
            see(&deployment, 2, outline, serde_json::to_value(&typed).unwrap());
        }
    }
}
