//! Manifests through the client: what applying does the first, the second and a later time, and that no text brings
//! it down.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::{Client, Outcome, Patch};
use crate::api::ObjectKey;
use crate::apiserver::tests::{create, door};
use crate::apiserver::{Face, WriteOptions};

fn client() -> Client {
    let (server, _) = door(Vec::new());
    create(&server, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}").unwrap();
    Client::local(server)
}

const WHOLE: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: shop}
data: {a: '1', b: '2'}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: i, ports: [{containerPort: 80}], resources: {limits: {cpu: 1000m}}}]
      volumes: [{name: v, configMap: {name: page, defaultMode: 0644}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: shop}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: l, namespace: shop}
spec: {holderIdentity: a}
";

#[test]
fn applied_twice_a_manifest_changes_nothing() {
    let client = client();
    let first = client.apply_manifest(WHOLE).unwrap();
    assert!(first.iter().all(|applied| applied.outcome == Outcome::Created), "{first:?}");
    let before = client.server().store().revision();
    let second = client.apply_manifest(WHOLE).unwrap();
    assert!(second.iter().all(|applied| applied.outcome == Outcome::Unchanged), "{second:?}");
    assert_eq!(client.server().store().revision(), before);
}

/// Applies `first`, writes `others` with a merge patch, applies `second`; holds the data against `expected`.
#[track_caller]
fn check(first: &str, others: Value, second: &str, expected: Value) {
    let client = client();
    let text = |body: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a{body}}}");
    client.apply_manifest(&text(first)).unwrap();
    let (server, key) = (client.server(), ObjectKey::new("default", "a"));
    let kind = server.registry().find("v1", "ConfigMap").unwrap();
    let options = WriteOptions::default();
    server.patch(kind, &key, Face::Main, &Patch::Merge(others), &options).unwrap();
    client.apply_manifest(&text(second)).unwrap();
    let value = server.value(&server.get(kind, &key).unwrap());
    let found = json!({"data": value["data"], "labels": value["metadata"]["labels"]});
    assert_eq!(found, expected);
    let again = client.apply_manifest(&text(second)).unwrap();
    assert_eq!(again[0].outcome, Outcome::Unchanged);
}

#[test]
fn what_is_said_no_more_goes_and_what_others_said_stays() {
    check(
        "}, data: {x: '1', y: '2'}",
        json!({"data": {"z": "3"}}),
        "}, data: {x: '1'}",
        json!({"data": {"x": "1", "z": "3"}, "labels": null}),
    );
    check(
        ", labels: {l: m, n: o}}, data: {x: '1'}",
        json!({"metadata": {"labels": {"p": "q"}}}),
        ", labels: {l: m}}",
        json!({"data": null, "labels": {"l": "m", "p": "q"}}),
    );
    check(
        ", labels: {l: m}}, data: {x: '1'}",
        json!({"data": {"z": "3"}}),
        "}",
        json!({"data": {"z": "3"}, "labels": null}),
    );
    check(
        "}, data: {x: '1'}",
        json!({"data": {"x": "others"}}),
        "}, data: {x: '1'}",
        json!({"data": {"x": "1"}, "labels": null}),
    );
    check(
        "}, data: {x: '1'}",
        json!({"data": {"x": null, "y": "2"}}),
        "}, data: {}",
        json!({"data": {"y": "2"}, "labels": null}),
    );
    check("}, data: null", json!({"data": {"y": "2"}}), "}", json!({"data": {"y": "2"}, "labels": null}));
}

/// Values that a careless hand could write.
fn yaml() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof!["[a-z.-]{0,8}", "\\PC{0,6}", Just("1..5".to_owned()), Just("default".to_owned())]
            .prop_map(Value::from),
    ];
    let fields = prop_oneof![
        Just("metadata"),
        Just("name"),
        Just("namespace"),
        Just("generateName"),
        Just("labels"),
        Just("annotations"),
        Just("finalizers"),
        Just("ownerReferences"),
        Just("creationTimestamp"),
        Just("resourceVersion"),
        Just("spec"),
        Just("status"),
        Just("data"),
        Just("stringData"),
        Just("template"),
        Just("selector"),
        Just("matchLabels"),
        Just("containers"),
        Just("image"),
        Just("resources"),
        Just("limits"),
        Just("cpu"),
        Just("ports"),
        Just("port"),
        Just("clusterIP"),
        Just("type"),
        Just("replicas"),
        Just("strategy"),
        Just("endpoints"),
        Just("items"),
        Just("a"),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((fields.clone(), inner), 0..6).prop_map(|fields| {
                fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
            }),
        ]
    })
}

const KINDS: [(&str, &str); 14] = [
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "Event"),
    ("coordination.k8s.io/v1", "Lease"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "Deployment"),
    ("v1", "List"),
    ("x", "Y"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn no_object_brings_a_client_down(kind in 0..KINDS.len(), named in any::<bool>(), mut value in yaml(), mut second in yaml()) {
        let client = client();
        for value in [&mut value, &mut second] {
            if !value.is_object() {
                *value = json!({"spec": value});
            }
            value["apiVersion"] = KINDS[kind].0.into();
            value["kind"] = KINDS[kind].1.into();
            if named {
                if !value["metadata"].is_object() {
                    value["metadata"] = json!({});
                }
                value["metadata"]["name"] = "a".into();
            }
            let yaml = serde_yaml::to_string(value).unwrap();
            if let Err(error) = client.apply_manifest(&yaml) {
                prop_assert!(!error.to_string().is_empty());
            }
            drop(client.delete_manifest("{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}"));
        }
        client.server().store().check().unwrap();
    }

    #[test]
    fn no_text_brings_a_client_down(text in "[-a-z{}\\[\\]:,&*!|>'\"#% \n0-9]{0,80}", end in "\\PC{0,20}") {
        let client = client();
        drop(client.apply_manifest(&text));
        drop(client.apply_manifest(&format!("{text}\n---\n{end}")));
        drop(client.apply_manifest(&format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {text}")));
        client.server().store().check().unwrap();
    }
}
