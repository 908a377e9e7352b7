//! How namespaces end.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use serde_json::json;

use super::Namespaces;
use crate::api::{Kind, ObjectKey};
use crate::apiserver::{DeleteOptions, Face};
use crate::controllers::harness::{Harness, namespace, pod};
use crate::controllers::service_account::ServiceAccounts;
use crate::reconcile::simulation::Rest;

/// `pod:a` (unbound), `pod:a@` (bound, so that it gets its grace), `map:a`, `map:a{x.io/f}` (held back), all in `n`;
/// with `m/` in front of the name, in `m`.
fn build(harness: &Harness, content: &str) {
    for text in content.split_whitespace() {
        let (rest, finalizer) = match text.split_once('{') {
            Some((rest, finalizer)) => (rest, Some(vec![finalizer.trim_end_matches('}')])),
            None => (text, None),
        };
        let (kind, name) = rest.split_once(':').expect("a kind and a name");
        let (place, name) = name.split_once('/').unwrap_or(("n", name));
        let mut object = match kind {
            "pod" => pod(place, name.trim_end_matches('@'), 1),
            _ => {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": place, "name": name}})
            }
        };
        object["metadata"]["finalizers"] = json!(finalizer);
        if name.ends_with('@') {
            object["spec"]["nodeName"] = json!("somewhere");
        }
        harness.create(object).expect("content");
    }
}

/// `!n` deletes the namespace, `-pod:a` ends a pod, `+map:a` lets go of a map, `+n` takes foreign finalizers of the
/// namespace.
fn act(harness: &Harness, step: &str) {
    let (verb, what) = step.split_at(1);
    let key = |name: &str| ObjectKey::new("n", name);
    match (verb, what.split_once(':')) {
        ("!", _) => harness.delete::<Namespace>(&ObjectKey::new("", what), &DeleteOptions::default()),
        ("-", Some(("pod", name))) => harness.delete::<Pod>(&key(name), &DeleteOptions::default().grace(0)),
        ("+", Some(("map", name))) => {
            harness.change::<ConfigMap>(&key(name), Face::Main, |map| map.metadata.finalizers = None);
        }
        ("+", Some(("pod", name))) => {
            harness.change::<Pod>(&key(name), Face::Main, |pod| pod.metadata.finalizers = None);
        }
        _ => harness.change::<Namespace>(&ObjectKey::new("", what), Face::Finalize, |namespace| {
            let list = namespace.spec.get_or_insert_default().finalizers.get_or_insert_default();
            list.retain(|finalizer| finalizer == "kubernetes");
        }),
    }
}

fn marks<K: Kind>(harness: &Harness, word: &str) -> Vec<String> {
    let all = harness.list::<K>();
    let mark = |deleting: bool| if deleting { "*" } else { "" };
    all.iter()
        .map(|object| {
            let place = if object.namespace() == "n" { "" } else { "m/" };
            format!("{word}:{place}{}{}", object.name(), mark(object.is_deleting()))
        })
        .collect()
}

/// Rows of `content | steps | what is left, then the phase of n | conditions that are true`.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        for seed in 0..4 {
            let mut harness = Harness::new(seed);
            harness.create(namespace("n")).expect("a namespace");
            harness.create(namespace("m")).expect("a namespace");
            build(&harness, columns[0]);
            harness.start(Namespaces::default());
            harness.settle();
            for step in columns[1].split_whitespace() {
                act(&harness, step);
                harness.settle();
            }
            let mut left = marks::<Pod>(&harness, "pod");
            left.extend(marks::<ConfigMap>(&harness, "map"));
            let namespace = harness.view().get::<Namespace>(&ObjectKey::new("", "n"));
            let status = namespace.as_ref().and_then(|namespace| namespace.status.clone());
            let phase = status.as_ref().and_then(|status| status.phase.clone());
            left.push(phase.unwrap_or_else(|| "gone".to_owned()));
            assert_eq!(left.join(" "), columns[2], "{row} (seed {seed})");
            let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
            let bad: Vec<String> = conditions
                .iter()
                .filter(|condition| condition.status == "True")
                .map(|c| {
                    format!(
                        "{}: {}",
                        c.reason.clone().unwrap_or_default(),
                        c.message.clone().unwrap_or_default()
                    )
                })
                .collect();
            assert_eq!(bad.join("; "), columns[3], "{row} (seed {seed})");
            assert!(conditions.is_empty() || conditions.len() == 5);
            assert_eq!(harness.settle(), Rest::Quiet, "{row}: nothing is left to do");
        }
    }
}

#[test]
fn namespaces_end() {
    let remaining = "SomeResourcesRemain: Some resources are remaining:";
    let held = "SomeFinalizersRemain: Some content in the namespace has finalizers remaining:";
    let table = "map:a map:m/b | | map:m/b map:a Active |
         | !n | gone |
         map:a map:b map:m/c | !n | map:m/c gone |
         pod:a map:b | !n | gone |
         pod:a@ map:b | !n | pod:a* map:b Terminating | REMAIN pods. has 1 resource instances
         pod:a@ map:b | !n -pod:a | gone |
         pod:a@ pod:b@ pod:c | !n -pod:a | pod:b* Terminating | REMAIN pods. has 1 resource instances
         pod:a@ pod:b@ | !n -pod:a -pod:b | gone |
         map:a{x.io/f} map:b | !n | map:a* Terminating | REMAIN configmaps. has 1 resource instances; HELD x.io/f in 1 resource instances
         map:a{x.io/f} map:b{x.io/f} | !n | map:a* map:b* Terminating | REMAIN configmaps. has 2 resource instances; HELD x.io/f in 2 resource instances
         map:a{x.io/f} map:b{x.io/g} | !n | map:a* map:b* Terminating | REMAIN configmaps. has 2 resource instances; HELD x.io/f in 1 resource instances, x.io/g in 1 resource instances
         map:a{x.io/f} map:b{x.io/g} | !n +map:a | map:b* Terminating | REMAIN configmaps. has 1 resource instances; HELD x.io/g in 1 resource instances
         map:a{x.io/f} map:b{x.io/g} | !n +map:a +map:b | gone |
         pod:a@{x.io/f} map:b | !n -pod:a | pod:a* map:b Terminating | REMAIN pods. has 1 resource instances; HELD x.io/f in 1 resource instances
         pod:a@{x.io/f} map:b | !n -pod:a +pod:a | gone |
         map:a | !n !m | gone |";
    for row in table.lines() {
        let row = row.replace("REMAIN", remaining).replace("HELD", held);
        check(&row);
    }
}

#[test]
fn a_foreign_finalizer_keeps_an_empty_namespace() {
    let mut harness = Harness::new(3);
    let mut value = namespace("n");
    value["spec"] = json!({"finalizers": ["x.io/f"]});
    harness.create(value).expect("a namespace");
    build(&harness, "map:a");
    harness.start(Namespaces::default());
    act(&harness, "!n");
    harness.settle();
    let kept = harness.view().get::<Namespace>(&ObjectKey::new("", "n")).expect("kept");
    assert_eq!(kept.spec.as_ref().and_then(|spec| spec.finalizers.clone()), Some(vec!["x.io/f".to_owned()]));
    let conditions = kept.status.as_ref().and_then(|status| status.conditions.clone()).expect("conditions");
    assert!(conditions.iter().all(|condition| condition.status == "False"));
    assert!(harness.list::<ConfigMap>().is_empty());
}

#[test]
fn every_active_namespace_has_its_account() {
    let mut harness = Harness::new(5);
    harness.create(namespace("n")).expect("a namespace");
    harness.start(ServiceAccounts);
    harness.settle();
    harness.create(namespace("m")).expect("a namespace");
    harness.settle();
    let names = |harness: &Harness| -> Vec<String> {
        harness.list::<ServiceAccount>().iter().map(|account| account.key().to_string()).collect()
    };
    assert_eq!(names(&harness), ["m/default", "n/default"]);
    harness.delete::<ServiceAccount>(&ObjectKey::new("n", "default"), &DeleteOptions::default());
    harness.settle();
    assert_eq!(names(&harness), ["m/default", "n/default"]);
    harness.start(Namespaces::default());
    act(&harness, "!n");
    assert_eq!(harness.settle(), Rest::Quiet);
    assert_eq!(names(&harness), ["m/default"]);
}
