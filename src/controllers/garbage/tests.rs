//! What the collector does with small families of objects.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::json;

use super::GarbageCollector;
use crate::api::ObjectKey;
use crate::apiserver::{DeleteOptions, Face, Propagation};
use crate::controllers::harness::{Harness, namespace, node};
use crate::reconcile::simulation::Rest;

/// One object of a family: `name`, `name<owner,owner!` (`!`: it blocks the owner), `name<owner{finalizer}`. It is a
/// ConfigMap in the namespace `n`, or in `m` for `m/name`, or a Node for `Name`. The owner `ghost` is nowhere;
/// `other:a` has `a`'s name and another uid.
struct Member<'r> {
    key: ObjectKey,
    owners: Vec<&'r str>,
    finalizer: Option<&'r str>,
}

fn member(text: &str) -> Member<'_> {
    let (rest, finalizer) = match text.split_once('{') {
        Some((rest, finalizer)) => (rest, Some(finalizer.trim_end_matches('}'))),
        None => (text, None),
    };
    let (name, owners) = rest.split_once('<').unwrap_or((rest, ""));
    Member { key: key(name), owners: owners.split(',').filter(|o| !o.is_empty()).collect(), finalizer }
}

fn is_node(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

fn key(name: &str) -> ObjectKey {
    match name.split_once('/') {
        _ if is_node(name) => ObjectKey::new("", &name.to_lowercase()),
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new("n", name),
    }
}

fn reference(harness: &Harness, owner: &str) -> OwnerReference {
    let (owner, blocks) = owner.strip_suffix('!').map_or((owner, false), |owner| (owner, true));
    let (owner, namesake) = owner.strip_prefix("other:").map_or((owner, false), |owner| (owner, true));
    let at = key(owner);
    let view = harness.view();
    let uid = match is_node(owner) {
        true => view.get::<Node>(&at).map(|node| node.uid().to_owned()),
        false => view.get::<ConfigMap>(&at).map(|map| map.uid().to_owned()),
    };
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: if is_node(owner) { "Node" } else { "ConfigMap" }.to_owned(),
        name: at.name().to_owned(),
        uid: uid.filter(|_| !namesake).unwrap_or_else(|| format!("absent-{owner}")),
        controller: None,
        block_owner_deletion: blocks.then_some(true),
    }
}

fn build(harness: &Harness, family: &str) {
    for text in family.split_whitespace() {
        let member = member(text);
        let name = member.key.name();
        if member.key.namespace().is_empty() {
            harness.create(node(name, 1, 1)).expect("a node");
            continue;
        }
        let meta = json!({"namespace": member.key.namespace(), "name": name, "finalizers": member.finalizer.map(|f| vec![f])});
        harness.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})).expect("a map");
    }
    for text in family.split_whitespace() {
        let member = member(text);
        let owners: Vec<_> = member.owners.iter().map(|owner| reference(harness, owner)).collect();
        if !owners.is_empty() {
            harness.change::<ConfigMap>(&member.key, Face::Main, |map| {
                map.metadata.owner_references = Some(owners);
            });
        }
    }
}

/// `-a` deletes in the background, `^a` in the foreground, `~a` orphans, `+a` takes the foreign finalizers away.
fn act(harness: &Harness, step: &str) {
    let (verb, name) = step.split_at(1);
    let propagation = match verb {
        "^" => Propagation::Foreground,
        "~" => Propagation::Orphan,
        _ => Propagation::Background,
    };
    let options = DeleteOptions::default().propagation(propagation);
    match verb {
        "+" => harness.change::<ConfigMap>(&key(name), Face::Main, |map| {
            let list = map.metadata.finalizers.get_or_insert_default();
            list.retain(|finalizer| !finalizer.contains('/'));
        }),
        _ if is_node(name) => harness.delete::<Node>(&key(name), &options),
        _ => harness.delete::<ConfigMap>(&key(name), &options),
    }
}

/// What is left: `name<owner,…`, a `*` behind what is marked for deletion.
fn left(harness: &Harness) -> String {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for map in harness.list::<ConfigMap>() {
        let name = if map.namespace() == "n" { map.name().to_owned() } else { map.key().to_string() };
        let owners: Vec<&str> =
            map.metadata.owner_references.iter().flatten().map(|owner| owner.name.as_str()).collect();
        let owners = if owners.is_empty() { String::new() } else { format!("<{}", owners.join(",")) };
        let marked = if map.is_deleting() { "*" } else { "" };
        names.insert(name.clone(), format!("{name}{owners}{marked}"));
    }
    names.into_values().collect::<Vec<_>>().join(" ")
}

/// Rows of `family | steps | what is left`. Each is run with the collector there from the beginning and with one
/// that comes when all is built, under several orders.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        for seed in 0..6 {
            let mut harness = Harness::new(seed);
            harness.create(namespace("n")).expect("a namespace");
            harness.create(namespace("m")).expect("a namespace");
            if seed % 2 == 0 {
                harness.start(GarbageCollector::default());
                harness.settle();
            }
            build(&harness, columns[0]);
            if seed % 2 == 1 {
                harness.start(GarbageCollector::default());
            }
            harness.settle();
            for step in columns[1].split_whitespace() {
                act(&harness, step);
                harness.settle();
            }
            assert_eq!(left(&harness), columns[2], "{row} (seed {seed})");
            assert_eq!(harness.settle(), Rest::Quiet, "{row}: nothing is left to do");
            harness.server.store().check().expect("a sound store");
        }
    }
}

#[test]
fn families() {
    check(
        "a b | | a b
         # Background: dependents go after their owner, whole trees of them.
         a b<a c<b d | -a | d
         a b<a! c<b! | -a |
         a b c<a,b | -a | b c<b
         a b c<a,b | -a -b |
         # Absent owners: never there, a namesake, in another namespace.
         a b<ghost | | a
         a b<other:a | | a
         a b<a,ghost | | a b<a
         a m/b<a | | a
         A b<A | | b<a
         A b<A | -A |
         # An owner that is held back is still there.
         a{x.io/f} b<a | -a | a* b<a
         a{x.io/f} b<a | -a +a |
         # Dependents that are held back go when they are let go.
         a b<a{x.io/f} | -a | b<a*
         a b<a{x.io/f} | -a +b |
         # Foreground: dependents that block go first, the others afterwards.
         a b<a! | ^a |
         a b<a | ^a |
         a b<a!{x.io/f} c<a | ^a | a* b<a* c<a
         a b<a!{x.io/f} c<a | ^a +b |
         a b<a! c<b!{x.io/f} | ^a | a* b<a* c<b*
         a b<a! c<b!{x.io/f} | ^a +c |
         a b<a!,d d | ^a | b<d d
         a b<a!{x.io/f} | ^a -a | b<a*
         # Two that wait for each other do not wait for ever.
         a<b! b<a! | ^a |
         a<c! b<a! c<b! | ^a |
         a<a! | ^a |
         # Orphans lose that owner alone.
         a b<a c<a | ~a | b c
         a b<a! | ~a | b
         a b c<a,b | ~a | b c<b
         a b<a c<b | ~a | b c<b
         a{x.io/f} b<a | ~a | a* b
         a{x.io/f} b<a | ~a +a | b",
    );
}

#[test]
fn large_families_go_in_turns() {
    let mut harness = Harness::new(1);
    harness.create(namespace("n")).expect("a namespace");
    harness.start(GarbageCollector::default());
    let children: Vec<String> = (0..350).map(|at| format!("c{at}<a")).collect();
    build(&harness, &format!("a {}", children.join(" ")));
    harness.settle();
    act(&harness, "-a");
    assert_eq!(harness.settle(), Rest::Quiet);
    assert_eq!(left(&harness), "");
}
