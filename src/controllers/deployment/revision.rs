//! Revisions of a Deployment: which template a ReplicaSet has, what its number is, what its annotations say,
//! and how a new one looks.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::fences::{desired, max_surge};
use crate::api::kinds::versions::{Part, Specified};
use crate::controllers::claim::controller_reference;
use crate::limits::REVISION_HISTORY_BYTES;

/// The label that tells the pods of one revision from those of another.
pub const TEMPLATE_HASH: &str = "pod-template-hash";
/// The annotation with the number of a revision.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation with the numbers that the revision had before it was rolled back to.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The annotation of a ReplicaSet with the size of its Deployment when the set was last scaled.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The annotation of a ReplicaSet with the most pods of its Deployment when the set was last scaled.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// The annotation in which users say why they made a change.
pub const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// The annotations that a Deployment and its ReplicaSets do not share.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// Whether a Deployment and its ReplicaSets share the annotation.
pub(crate) fn is_copied(annotation: &str) -> bool {
    !NOT_COPIED.contains(&annotation)
}

fn annotation<'a>(meta: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(name).map(String::as_str)
}

/// The number of the revision that an object carries: 0 where it has none, `None` where it is not a number.
pub fn revision_of(meta: &ObjectMeta) -> Option<i64> {
    annotation(meta, REVISION).map_or(Some(0), |text| text.parse().ok())
}

/// The size that the Deployment had when the set was last scaled.
pub(super) fn desired_then(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, DESIRED_REPLICAS)?.parse().ok().filter(|number| *number >= 0)
}

/// The most pods that the Deployment could have when the set was last scaled.
pub(super) fn most_then(set: &ReplicaSet) -> Option<i32> {
    annotation(&set.metadata, MAX_REPLICAS)?.parse().ok().filter(|number| *number >= 0)
}

/// Whether two templates are equal but for the hash label.
pub(crate) fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    fn labels(meta: &ObjectMeta) -> impl Iterator<Item = (&String, &String)> {
        meta.labels.iter().flatten().filter(|(key, _)| *key != TEMPLATE_HASH)
    }
    let empty = ObjectMeta::default();
    let (left, right) = (a.metadata.as_ref().unwrap_or(&empty), b.metadata.as_ref().unwrap_or(&empty));
    let bare = |meta: &ObjectMeta| ObjectMeta {
        labels: None,
        annotations: meta.annotations.clone().filter(|annotations| !annotations.is_empty()),
        ..meta.clone()
    };
    a.spec == b.spec && labels(left).eq(labels(right)) && bare(left) == bare(right)
}

/// The hash of a template, in the alphabet of generated names. The collision count makes it another.
pub(super) fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bytes = serde_json::to_vec(template).unwrap_or_default();
    if let Some(collisions) = collisions {
        bytes.extend_from_slice(&i64::from(collisions).to_le_bytes());
    }
    // FNV-1a, 32 bits, as upstream's; its digits are then spelled without vowels.
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = bytes.iter().fold(0x811C_9DC5, step);
    hash.to_string().bytes().map(|digit| ALPHABET[usize::from(digit) % ALPHABET.len()] as char).collect()
}

/// The name of the ReplicaSet with this hash: the Deployment's name is cut where the whole would not fit.
pub(super) fn set_name(deployment: &str, hash: &str) -> String {
    const LONGEST: usize = 253;
    let kept = deployment.len().min(LONGEST - 1 - hash.len());
    format!("{}-{hash}", &deployment[..kept])
}

/// A new ReplicaSet for the Deployment's template, of no size yet.
pub(super) fn new_set(deployment: &Deployment, collisions: Option<i32>, revision: i64) -> ReplicaSet {
    let spec = deployment.spec().cloned().unwrap_or_default();
    let mut template = spec.template;
    let hash = template_hash(&template, collisions);
    let template_meta = template.metadata.get_or_insert_default();
    template_meta.labels.get_or_insert_default().insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let labels = template_meta.labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH.to_owned(), hash.clone());
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    let mut set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(set_name(name, &hash)),
            namespace: deployment.metadata.namespace.clone(),
            owner_references: Some(vec![controller_reference::<Deployment>(&deployment.metadata)]),
            labels,
            ..ObjectMeta::default()
        },
        spec: Part::of(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    };
    annotate_new(deployment, &mut set, revision);
    annotate_size(deployment, &mut set);
    set
}

/// Gives the new set the Deployment's annotations and its revision. A set that had a smaller number, since it
/// is rolled back to, remembers it.
pub(super) fn annotate_new(deployment: &Deployment, set: &mut ReplicaSet, revision: i64) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if is_copied(key) && annotations.get(key) != Some(value) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    let old = annotations.get(REVISION).cloned();
    let number = match old.as_deref() {
        None | Some("") => 0,
        // What somebody else wrote there is left alone.
        Some(text) => text.parse().unwrap_or(i64::MAX),
    };
    if number < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        if let Some(old) = old {
            remember(annotations, &old);
        }
    }
}

/// Adds a revision to the history, from which the oldest fall where it grows too long.
fn remember(annotations: &mut BTreeMap<String, String>, old: &str) {
    let history = annotations.get(REVISION_HISTORY).cloned().unwrap_or_default();
    let mut kept: Vec<&str> = history.split(',').filter(|revision| !revision.is_empty()).collect();
    kept.push(old);
    let length = |list: &[&str]| list.iter().map(|text| text.len() + 1).sum::<usize>().saturating_sub(1);
    while length(&kept) > REVISION_HISTORY_BYTES && kept.len() > 1 {
        kept.remove(0);
    }
    if length(&kept) <= REVISION_HISTORY_BYTES {
        annotations.insert(REVISION_HISTORY.to_owned(), kept.join(","));
    }
}

/// Notes in a set how large its Deployment is now.
pub(super) fn annotate_size(deployment: &Deployment, set: &mut ReplicaSet) {
    let desired = desired(deployment);
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED_REPLICAS.to_owned(), desired.to_string());
    let most = desired.saturating_add(max_surge(deployment));
    annotations.insert(MAX_REPLICAS.to_owned(), most.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(yaml: &str) -> PodTemplateSpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn templates_are_compared_without_their_hash() {
        let rows = [
            ("{}", "{}", true),
            ("{metadata: {labels: {a: b}}}", "{metadata: {labels: {a: b, pod-template-hash: x}}}", true),
            ("{}", "{metadata: {labels: {pod-template-hash: x}}}", true),
            (
                "{metadata: {labels: {a: b, pod-template-hash: y}}}",
                "{metadata: {labels: {a: b, pod-template-hash: x}}}",
                true,
            ),
            ("{metadata: {labels: {a: b}}}", "{metadata: {labels: {a: c}}}", false),
            ("{metadata: {labels: {a: b}}}", "{metadata: {labels: {}}}", false),
            ("{metadata: {annotations: {}}}", "{metadata: {}}", true),
            ("{metadata: {annotations: {a: b}}}", "{metadata: {}}", false),
            ("{spec: {containers: [{name: a}]}}", "{spec: {containers: [{name: a}]}}", true),
            ("{spec: {containers: [{name: a}]}}", "{spec: {containers: [{name: b}]}}", false),
        ];
        for (a, b, same) in rows {
            assert_eq!(same_template(&template(a), &template(b)), same, "{a} {b}");
        }
    }

    #[test]
    fn hashes_are_stable_and_differ_with_template_and_count() {
        let one = template("{metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: x}]}}");
        let two = template("{metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: y}]}}");
        let hash = template_hash(&one, None);
        assert_eq!(hash, template_hash(&one, None));
        let others = [template_hash(&two, None), template_hash(&one, Some(1)), template_hash(&one, Some(2))];
        assert!(!others.contains(&hash));
        assert!(hash.len() <= 10 && hash.chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)));
    }

    #[test]
    fn names_are_cut_to_fit() {
        assert_eq!(set_name("web", "abc"), "web-abc");
        assert_eq!(set_name(&"x".repeat(253), "abcdefghij").len(), 253);
    }

    #[test]
    fn the_history_of_revisions_is_bounded() {
        let rows = [
            // had, history, now; then: revision, history
            ("", "-", 1, "1", "-"),
            ("1", "-", 3, "3", "1"),
            ("3", "1", 5, "5", "1,3"),
            ("5", "1,3", 5, "5", "1,3"),
            ("7", "1,3", 5, "7", "1,3"),
            ("x", "-", 5, "x", "-"),
        ];
        for (had, history, now, revision, expected) in rows {
            let mut set = ReplicaSet::default();
            let annotations = set.metadata.annotations.get_or_insert_default();
            if !had.is_empty() {
                annotations.insert(REVISION.to_owned(), had.to_owned());
            }
            if history != "-" {
                annotations.insert(REVISION_HISTORY.to_owned(), history.to_owned());
            }
            annotate_new(&Deployment::default(), &mut set, now);
            assert_eq!(annotation(&set.metadata, REVISION).unwrap(), revision, "{had} {now}");
            assert_eq!(annotation(&set.metadata, REVISION_HISTORY).unwrap_or("-"), expected, "{had} {now}");
        }
        let mut annotations = BTreeMap::new();
        for revision in 1000..2000 {
            remember(&mut annotations, &revision.to_string());
        }
        let history = &annotations[REVISION_HISTORY];
        assert!(history.len() <= REVISION_HISTORY_BYTES && history.ends_with("1998,1999"));
        assert_eq!(history.split(',').count(), 400);
    }
}
