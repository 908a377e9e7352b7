//! Custom kinds through the door: from their definition to writes of their objects in several versions.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::custom::is_condition_true;
use crate::api::patch::JsonPatch;
use crate::api::selector::FieldSelector;
use crate::api::{KindId, ObjectKey, StatusError};
use crate::apiserver::{Face, ListParams, Patch, Server, WriteOptions};
use crate::store::Record;

fn server() -> Arc<Server> {
    let (server, _clock) = super::door(Vec::new());
    super::create(&server, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}").unwrap();
    server
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn put(server: &Server, value: Value) -> Result<Arc<Record>, StatusError> {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    let kind = server.registry().find(&text("apiVersion"), &text("kind")).expect("a known kind");
    let object = server.registry().strategy(kind).decode_value(value).unwrap();
    server.create(kind, object, &WriteOptions::default())
}

fn definition() -> Value {
    yaml(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, shortNames: [th], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  - name: v2
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type==\"Ready\")].status'}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations: [{rule: 'self.replicas <= 5', message: too many}]
            properties:
              color: {type: string, default: red, enum: [red, blue]}
              replicas: {type: integer, default: 1}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
",
    )
}

/// Says of a definition that it is established, as its controller does.
fn establish(server: &Server, name: &str) {
    let kind = server.registry().find("apiextensions.k8s.io/v1", "CustomResourceDefinition").unwrap();
    let patch = json!({"status": {"acceptedNames": {"plural": "things", "singular": "thing", "kind": "Thing",
        "listKind": "ThingList", "shortNames": ["th"]},
        "conditions": [{"type": "Established", "status": "True"}]}});
    let key = ObjectKey::new("", name);
    let options = WriteOptions::default();
    let record = server.patch(kind, &key, Face::Status, &Patch::Merge(patch), &options).unwrap();
    assert!(is_condition_true(&record.decode(), "Established"));
}

fn ready() -> (Arc<Server>, KindId) {
    let server = server();
    put(&server, definition()).unwrap();
    assert!(server.registry().find("example.com/v2", "Thing").is_none());
    establish(&server, "things.example.com");
    let kind = server.registry().find("example.com/v2", "Thing").expect("established, so there");
    assert_eq!(server.registry().find("example.com/v1", "Thing"), Some(kind));
    (server, kind)
}

fn thing(version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Thing",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec, "status": {"replicas": 3}})
}

#[test]
fn objects_are_pruned_defaulted_and_validated() {
    let (server, kind) = ready();
    let record = put(&server, thing("v2", "a", json!({"unknown": 1}))).unwrap();
    let value = server.value(&record);
    assert_eq!(value["spec"], json!({"color": "red", "replicas": 1}));
    assert_eq!((value.get("status"), &value["metadata"]["generation"]), (None, &json!(1)));
    for (spec, message) in [
        (
            json!({"color": "green"}),
            "Thing.example.com \"b\" is invalid: [spec.color: Unsupported value: \"green\": supported values: \"red\", \
             \"blue\", <nil>: Invalid value: \"null\": some validation rules were not checked because the object was \
             invalid; correct the existing errors to complete validation]",
        ),
        (json!({"replicas": 6}), "Thing.example.com \"b\" is invalid: spec: Invalid value: too many"),
        (
            json!({"replicas": -1}),
            "Thing.example.com \"b\" is invalid: .spec.replicas: Invalid value: -1: should be a non-negative integer",
        ),
    ] {
        assert_eq!(put(&server, thing("v2", "b", spec)).unwrap_err().message, message);
    }
    // The status is written by its own face and moves no generation.
    let key = ObjectKey::new("default", "a");
    let options = WriteOptions::default();
    let status = Patch::Merge(json!({"status": {"replicas": 2}, "spec": {"color": "blue"}}));
    let record = server.patch(kind, &key, Face::Status, &status, &options).unwrap();
    let value = server.value(&record);
    assert_eq!((&value["status"]["replicas"], &value["spec"]["color"]), (&json!(2), &json!("red")));
    assert_eq!(value["metadata"]["generation"], 1);
    let spec = Patch::Merge(json!({"status": {"replicas": 9}, "spec": {"color": "blue"}}));
    let value = server.value(&server.patch(kind, &key, Face::Main, &spec, &options).unwrap());
    assert_eq!((&value["status"]["replicas"], &value["spec"]["color"]), (&json!(2), &json!("blue")));
    assert_eq!(value["metadata"]["generation"], 2);
    let json = JsonPatch::from_value(json!([{"op": "remove", "path": "/spec/color"}])).unwrap();
    let value = server.value(&server.patch(kind, &key, Face::Main, &Patch::Json(json), &options).unwrap());
    assert_eq!(value["spec"]["color"], "red");
}

#[test]
fn versions_fields_and_columns() {
    let (server, kind) = ready();
    put(&server, thing("v2", "a", json!({"color": "blue"}))).unwrap();
    let record = put(&server, thing("v1", "b", json!({"color": "red", "extra": true}))).unwrap();
    // Stored as v2, asked for as v1.
    let value = server.value(&record);
    assert_eq!((&value["apiVersion"], value["spec"].get("extra")), (&json!("example.com/v2"), None));
    let served = server.registry().find_served("example.com/v1", "Thing").unwrap();
    assert_eq!(server.value_in(&record, served.version).unwrap()["apiVersion"], "example.com/v1");
    let fields = FieldSelector::parse("spec.color=blue").unwrap();
    let page = server.list(kind, &ListParams { fields: fields.clone(), ..ListParams::default() }).unwrap();
    assert_eq!(page.items.len(), 1);
    let in_v1 = ListParams { fields, version: served.version, ..ListParams::default() };
    assert!(server.list(kind, &in_v1).unwrap_err().message.contains("field label not supported: spec.color"));
    let strategy = server.registry().strategy(kind);
    let object = page.items[0].object(&*strategy);
    let cells = strategy.cells(&*object, 0, server.world().clock.now());
    assert_eq!(cells[..2], [json!("blue"), Value::Null]);
    let wrong = strategy.check_fields(&thing("v2", "c", json!({"unknown": 1}))).unwrap_err();
    assert_eq!(wrong.field, "spec.unknown");
    assert!(strategy.schema(0).is_some_and(|schema| schema["properties"]["spec"].is_object()));
}

#[test]
fn a_definition_must_be_one() {
    let server = server();
    let refuse = |path: &str, value: Value| {
        let mut given = definition();
        *given.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        put(&server, given).unwrap_err().message.split_once("is invalid: ").unwrap().1.to_owned()
    };
    for (path, value, message) in [
        (
            "/metadata/name",
            json!("x.example.com"),
            "metadata.name: Invalid value: \"x.example.com\": must be spec.names.plural+\".\"+spec.group",
        ),
        (
            "/spec/scope",
            json!("Other"),
            "spec.scope: Unsupported value: \"Other\": supported values: \"Cluster\", \"Namespaced\"",
        ),
        (
            "/spec/versions/0/storage",
            json!(true),
            "spec.versions: Invalid value: must have exactly one version marked as storage version",
        ),
        (
            "/spec/names/shortNames/0",
            json!("A"),
            "spec.names.shortNames[0]: Invalid value: \"A\": a DNS-1035 label",
        ),
        (
            "/spec/versions/1/subresources/scale/specReplicasPath",
            json!(".x.y"),
            "spec.versions[1].subresources.scale.specReplicasPath: Invalid value: \".x.y\": should be a json path under .spec",
        ),
        (
            "/spec/versions/1/additionalPrinterColumns/0/type",
            json!("x"),
            "spec.versions[1].additionalPrinterColumns[0].type: Invalid value: \"x\": must be one of boolean,date,integer,number,string",
        ),
        (
            "/spec/versions/1/selectableFields/0/jsonPath",
            json!(".spec.no"),
            "spec.versions[1].selectableFields[0].jsonPath: Invalid value: \".spec.no\": is an invalid path: does not refer to a valid field",
        ),
        (
            "/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties/color/default",
            json!("green"),
            "spec.versions[1].schema.openAPIV3Schema.properties[spec].properties[color].default: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
    ] {
        let found = refuse(path, value);
        assert!(
            found.trim_start_matches('[').starts_with(message),
            "{path}\n  expected {message}\n  found    {found}"
        );
    }
    put(&server, definition()).unwrap();
}
