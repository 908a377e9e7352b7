//! Definitions from creation to end, with objects of their kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use super::CustomResources;
use crate::api::ObjectKey;
use crate::apiserver::DeleteOptions;
use crate::controllers::garbage::GarbageCollector;
use crate::controllers::harness::{Harness, namespace};
use crate::controllers::namespace::Namespaces;

fn definition(plural: &str, kind: &str, short: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": [short]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}}}],
        },
    })
}

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}})
}

fn harness() -> Harness {
    let harness = Harness::new(1);
    harness.create(namespace("n")).unwrap();
    harness.start(CustomResources::default());
    harness.start(Namespaces::default());
    harness.start(GarbageCollector::default());
    harness
}

fn conditions(harness: &Harness, name: &str) -> String {
    let key = ObjectKey::new("", name);
    let Some(found) = harness.view().get::<CustomResourceDefinition>(&key) else { return "gone".into() };
    let status = found.status.clone().unwrap_or_default();
    let list = status.conditions.unwrap_or_default();
    let texts =
        list.iter().map(|c| format!("{}={}:{}", c.type_, c.status, c.reason.as_deref().unwrap_or("")));
    texts.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_kind_is_there_when_it_is_established() {
    let mut harness = harness();
    harness.create(definition("things", "Thing", "th")).unwrap();
    assert_eq!(harness.server.registry().find("example.com/v1", "Thing"), None);
    harness.settle();
    assert_eq!(
        conditions(&harness, "things.example.com"),
        "NamesAccepted=True:NoConflicts Established=True:InitialNamesAccepted"
    );
    harness.create(object("Thing", "a")).unwrap();
    assert!(harness.server.registry().find_word("th").is_some());
}

#[test]
fn names_that_are_taken_are_waited_for() {
    let mut harness = harness();
    harness.create(definition("things", "Thing", "th")).unwrap();
    harness.settle();
    harness.create(definition("others", "Thing", "ot")).unwrap();
    harness.settle();
    assert_eq!(
        conditions(&harness, "others.example.com"),
        "NamesAccepted=False:ListKindConflict Established=False:NotAccepted"
    );
    let key = ObjectKey::new("", "things.example.com");
    harness.delete::<CustomResourceDefinition>(&key, &DeleteOptions::default());
    harness.settle();
    assert_eq!(conditions(&harness, "things.example.com"), "gone");
    assert_eq!(
        conditions(&harness, "others.example.com"),
        "NamesAccepted=True:NoConflicts Established=True:InitialNamesAccepted"
    );
}

#[test]
fn the_objects_go_before_their_definition() {
    let mut harness = harness();
    harness.create(definition("things", "Thing", "th")).unwrap();
    harness.settle();
    let kind = harness.server.registry().find("example.com/v1", "Thing").unwrap();
    for number in 0..250 {
        harness.create(object("Thing", &format!("a{number}"))).unwrap();
    }
    let mut held = object("Thing", "held");
    held["metadata"]["finalizers"] = json!(["example.com/x"]);
    harness.create(held).unwrap();
    let key = ObjectKey::new("", "things.example.com");
    harness.delete::<CustomResourceDefinition>(&key, &DeleteOptions::default());
    let refused = harness.create(object("Thing", "late")).unwrap_err();
    assert_eq!(refused.message, "create not allowed while custom resource definition is terminating");
    harness.settle();
    assert_eq!(harness.view().count(kind), 1);
    assert!(
        conditions(&harness, "things.example.com").ends_with("Terminating=True:InstanceDeletionInProgress")
    );
    let held = harness.server.get(kind, &ObjectKey::new("n", "held")).unwrap();
    let mut free = held.object(&*harness.server.registry().strategy(kind)).clone_object();
    free.meta_mut().finalizers = None;
    harness.server.update(kind, crate::apiserver::Face::Main, free, &Default::default()).unwrap();
    harness.settle();
    assert_eq!(conditions(&harness, "things.example.com"), "gone");
    assert!(!harness.server.registry().is_there(kind));
    // The same names again make another kind.
    harness.create(definition("things", "Thing", "th")).unwrap();
    harness.settle();
    let again = harness.server.registry().find("example.com/v1", "Thing").unwrap();
    assert_ne!(again, kind);
    assert_eq!(harness.view().count(again), 0);
}

#[test]
fn namespaces_and_owners_take_custom_objects_along() {
    let mut harness = harness();
    harness.create(definition("things", "Thing", "th")).unwrap();
    harness.settle();
    let kind = harness.server.registry().find("example.com/v1", "Thing").unwrap();
    let owner = harness.create(object("Thing", "owner")).unwrap();
    let mut owned =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}});
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "example.com/v1", "kind": "Thing",
        "name": "owner", "uid": &*owner.header.uid}]);
    let map = harness.create(owned.clone()).unwrap().header.kind;
    let mut child = object("Thing", "child");
    child["metadata"]["ownerReferences"] = owned["metadata"]["ownerReferences"].clone();
    harness.create(child).unwrap();
    harness.create(object("Thing", "free")).unwrap();
    harness.settle();
    assert_eq!((harness.view().count(kind), harness.view().count(map)), (3, 1));
    harness.server.delete(kind, &ObjectKey::new("n", "owner"), &DeleteOptions::default()).unwrap();
    harness.settle();
    assert_eq!((harness.view().count(kind), harness.view().count(map)), (1, 0));
    let key = ObjectKey::new("", "n");
    harness.delete::<k8s_openapi::api::core::v1::Namespace>(&key, &DeleteOptions::default());
    harness.settle();
    assert_eq!(harness.view().count(kind), 0);
    assert!(harness.view().get::<k8s_openapi::api::core::v1::Namespace>(&key).is_none());
}
