//! Decides which pods a ReplicaSet must adopt, release, create or delete, and what its status says.
//!
//! Pure: sees one view, returns plans. Time and chance are passed in; chance only names pods.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::ObjectKey;
use crate::api::kinds::versions::{Part, Specified, Told};
use crate::api::meta::time_now_meta;
use crate::api::names::{check_name, generate_name, is_dns1123_subdomain};
use crate::api::selector::Selector;
use crate::controllers::claim::{Claim, adopt, controller_reference, judge, release, selector_of};
use crate::controllers::pods;
use crate::controllers::programmed::Unprogrammed;
use crate::limits::{BURST_REPLICAS, GENERATED_NAME_TRIES};
use crate::reconcile::{EventType, Plan, View};
use crate::store::{Select, Stored};
use crate::world::Entropy;

/// What a decision is made from.
pub(super) struct Scene<'a> {
    /// The state.
    pub view: &'a View,
    /// The pods of the namespace that nobody manages.
    pub orphans: &'a [ObjectKey],
    /// The pods that are not available yet, ready or not.
    pub held: &'a Unprogrammed,
    /// The time.
    pub now: Timestamp,
    /// Draws the names of pods.
    pub entropy: &'a dyn Entropy,
}

/// What is to be done, in this order. When the second fails, [`report`] takes the place of the third.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// Pods adopted and released.
    pub claims: Plan,
    /// Pods created and deleted.
    pub replicas: Plan,
    /// The status, and when to look again.
    pub status: Plan,
}

/// A ReplicaSet with its pods.
struct Family<'a> {
    set: Stored<ReplicaSet>,
    spec: &'a ReplicaSetSpec,
    /// The pods that count, adopted ones among them.
    active: Vec<Stored<Pod>>,
    /// How many of its pods are on their way out.
    terminating: i32,
}

/// Decides.
pub(super) fn plan(scene: &Scene<'_>, key: &ObjectKey) -> Decision {
    let mut decision = Decision::default();
    let Some(set) = scene.view.get::<ReplicaSet>(key) else { return decision };
    let shared = set.shared();
    let Some(spec) = shared.spec() else { return decision };
    let family = gather(scene, set, spec, &mut decision.claims);
    if !family.set.is_deleting() {
        manage(scene, &family, &mut decision.replicas);
    }
    write_status(scene, &family, None, &mut decision.status);
    decision
}

/// What to say when pods could not be created or deleted, for which the door gave this sentence.
pub(super) fn report(scene: &Scene<'_>, key: &ObjectKey, sentence: &str) -> Plan {
    let mut plan = Plan::new();
    let Some(set) = scene.view.get::<ReplicaSet>(key) else { return plan };
    let shared = set.shared();
    let Some(spec) = shared.spec() else { return plan };
    let family = gather(scene, set, spec, &mut Plan::new());
    let failure = if family.active.len() < wanted(spec) {
        let message = format!("Error creating: {sentence}");
        plan.event(&*shared, EventType::Warning, "FailedCreate", message);
        ("FailedCreate", sentence.to_owned())
    } else {
        let message = format!("Error deleting: {sentence}");
        plan.event(&*shared, EventType::Warning, "FailedDelete", message);
        ("FailedDelete", format!("unable to delete pods: {sentence}"))
    };
    write_status(scene, &family, Some(failure), &mut plan);
    plan
}

fn wanted(spec: &ReplicaSetSpec) -> usize {
    usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0)
}

/// Finds the pods of a set. Plans what must change about who owns them.
fn gather<'a>(
    scene: &Scene<'_>,
    set: Stored<ReplicaSet>,
    spec: &'a ReplicaSetSpec,
    claims: &mut Plan,
) -> Family<'a> {
    let selector = selector_of(&spec.selector);
    let mut active = Vec::new();
    let mut terminating = 0;
    let orphans = scene.orphans.iter().filter_map(|key| scene.view.get::<Pod>(key));
    for pod in scene.view.list::<Pod>(Select::Owner(set.uid())).chain(orphans) {
        let claim = judge(&set, &selector, pod.header());
        if claim == Claim::Leave {
            continue;
        }
        if !pods::is_active(&pod) {
            terminating += i32::from(claim == Claim::Own && pods::is_terminating(&pod));
            continue;
        }
        let changed = || pod.shared().as_ref().clone();
        match claim {
            Claim::Adopt => {
                let mut pod = changed();
                adopt::<ReplicaSet>(&mut pod.metadata, &set.metadata);
                claims.update(pod);
            }
            Claim::Release => {
                let mut pod = changed();
                release(&mut pod.metadata, &set.metadata);
                claims.update(pod);
                continue;
            }
            Claim::Own | Claim::Leave => {}
        }
        active.push(pod);
    }
    Family { set, spec, active, terminating }
}

/// Plans the pods that are too few or too many.
fn manage(scene: &Scene<'_>, family: &Family<'_>, plan: &mut Plan) {
    let wanted = wanted(family.spec);
    let have = family.active.len();
    if have < wanted {
        // In a namespace that ends, every creation would be refused.
        let ending = scene.view.get::<Namespace>(&ObjectKey::new("", family.set.namespace()));
        if !ending.is_some_and(|namespace| namespace.is_deleting()) {
            create(scene, family, (wanted - have).min(BURST_REPLICAS), plan);
        }
    } else if have > wanted {
        let surplus = (have - wanted).min(BURST_REPLICAS);
        for pod in choose(scene, family, surplus) {
            plan.delete::<Pod>(pod.key(), pod.uid());
            let message = format!("Deleted pod: {}", pod.name());
            plan.event(&*family.set, EventType::Normal, "SuccessfulDelete", message);
        }
    }
}

fn create(scene: &Scene<'_>, family: &Family<'_>, count: usize, plan: &mut Plan) {
    let template = family.spec.template.clone().unwrap_or_default();
    let meta = template.metadata.unwrap_or_default();
    let dashed = format!("{}-", family.set.name());
    // The dash only makes names prettier: it is left out where it does not fit.
    let fits = check_name(is_dns1123_subdomain, &dashed, true).is_empty();
    let base = if fits { dashed } else { family.set.name().to_owned() };
    let metadata = ObjectMeta {
        namespace: Some(family.set.namespace().to_owned()),
        generate_name: Some(base.clone()),
        labels: meta.labels,
        annotations: meta.annotations.filter(|annotations| !annotations.is_empty()),
        finalizers: meta.finalizers.filter(|finalizers| !finalizers.is_empty()),
        owner_references: Some(vec![controller_reference::<ReplicaSet>(&family.set.metadata)]),
        ..ObjectMeta::default()
    };
    let mut drawn = BTreeSet::new();
    for _ in 0..count {
        let name = draw_name(scene, family.set.namespace(), &base, &mut drawn);
        let metadata = ObjectMeta { name: Some(name.clone()), ..metadata.clone() };
        plan.create(Pod { metadata, spec: template.spec.clone(), status: None });
        plan.event(&*family.set, EventType::Normal, "SuccessfulCreate", format!("Created pod: {name}"));
    }
}

/// A name that no pod has. Should all draws be taken, the door refuses the last and the set tries again.
fn draw_name(scene: &Scene<'_>, namespace: &str, base: &str, drawn: &mut BTreeSet<String>) -> String {
    let mut name = generate_name(base, scene.entropy);
    for _ in 1..GENERATED_NAME_TRIES {
        let taken = scene.view.get::<Pod>(&ObjectKey::new(namespace, &name)).is_some();
        if !taken && !drawn.contains(&name) {
            break;
        }
        name = generate_name(base, scene.entropy);
    }
    drawn.insert(name.clone());
    name
}

/// Chooses the pods to go.
fn choose<'f>(scene: &Scene<'_>, family: &'f Family<'_>, count: usize) -> Vec<&'f Stored<Pod>> {
    let mut pods: Vec<&Stored<Pod>> = family.active.iter().collect();
    if count < pods.len() {
        let neighbours = neighbours(scene, &family.set);
        pods.sort_by_cached_key(|pod| {
            let node = node_of(pod);
            pods::deletion_rank(pod, neighbours.get(node).copied().unwrap_or(0), scene.now)
        });
        pods.truncate(count);
    }
    pods
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// How many active pods each node has of all the sets that share this set's owner. A set without owner has none
/// to compare with, as upstream has it.
fn neighbours(scene: &Scene<'_>, set: &Stored<ReplicaSet>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let Some(owner) = set.header().controller() else { return counts };
    let siblings = scene.view.list::<ReplicaSet>(Select::Owner(&owner.uid));
    for sibling in siblings.filter(|s| s.header().controller().is_some_and(|c| c.uid == owner.uid)) {
        for pod in scene.view.list::<Pod>(Select::Owner(sibling.uid())) {
            if pods::is_active(&pod) {
                *counts.entry(node_of(&pod).to_owned()).or_default() += 1;
            }
        }
    }
    counts
}

/// Plans the status, if it is not what it says already, and when time alone will change it.
fn write_status(scene: &Scene<'_>, family: &Family<'_>, failure: Option<(&str, String)>, plan: &mut Plan) {
    let set = family.set.shared();
    let old = set.status.clone().unwrap_or_default();
    let min_ready = family.spec.min_ready_seconds.unwrap_or(0);
    let template = family.spec.template.as_ref().and_then(|template| template.metadata.as_ref());
    let labels = template.and_then(|meta| meta.labels.as_ref()).map(Selector::from_set);
    let labels = labels.unwrap_or_default();
    let count = |test: &dyn Fn(&Stored<Pod>) -> bool| {
        i32::try_from(family.active.iter().filter(|pod| test(pod)).count()).unwrap_or(i32::MAX)
    };
    let ready = count(&|pod| pods::is_ready(pod));
    let is_held = |pod: &Stored<Pod>| scene.held.uids.contains(pod.uid());
    let available = count(&|pod| pods::is_available(pod, min_ready, scene.now) && !is_held(pod));
    let status = ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: Some(count(&|pod| labels.matches(pod.header()))),
        ready_replicas: Some(ready),
        available_replicas: Some(available),
        terminating_replicas: Some(family.terminating),
        observed_generation: set.metadata.generation,
        conditions: conditions(&old, failure, scene.now),
    };
    let status = normal(status);
    if normal(old) != status {
        plan.update_status(ReplicaSet { status: Some(status), ..set.as_ref().clone() });
    }
    if let Some(wait) = scene.held.look_in {
        plan.look_again(wait);
    }
    if min_ready > 0 && ready != available {
        let waits = family.active.iter().filter_map(|pod| pods::available_in(pod, min_ready, scene.now));
        plan.look_again(waits.min().unwrap_or(Duration::from_secs(min_ready.unsigned_abs().into())));
    }
}

/// The conditions, with or without a failure. One that is told already stays as it is.
fn conditions(
    old: &ReplicaSetStatus,
    failure: Option<(&str, String)>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut list = old.conditions.clone().unwrap_or_default();
    match failure {
        None => list.retain(|condition| !condition.is("ReplicaFailure")),
        Some(_) if list.iter().any(|condition| condition.is("ReplicaFailure")) => {}
        Some((reason, message)) => list.push(ReplicaSetCondition {
            type_: Part::of("ReplicaFailure".to_owned()),
            status: Part::of("True".to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(time_now_meta(now)),
        }),
    }
    Some(list)
}

/// The status as it is stored: no zeros where Kubernetes leaves them out.
fn normal(mut status: ReplicaSetStatus) -> ReplicaSetStatus {
    let counts =
        [&mut status.fully_labeled_replicas, &mut status.ready_replicas, &mut status.available_replicas];
    for count in counts {
        *count = count.filter(|count| *count != 0);
    }
    status.observed_generation = status.observed_generation.filter(|generation| *generation != 0);
    status.conditions = status.conditions.filter(|list| !list.is_empty());
    status
}
