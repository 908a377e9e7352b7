//! Decides what a Deployment does next: which ReplicaSets it creates, scales and deletes, and what its status
//! says.
//!
//! Pure: sees one view, returns plans. The order of the questions is upstream's.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};

use super::fences::{Strategy, strategy};
use super::revision::{self, REVISION, revision_of};
use super::sets::{Set, Sets};
use super::{rolling, scaling, status};
use crate::api::ObjectKey;
use crate::api::kinds::versions::Specified;
use crate::controllers::claim::{self, Claim};
use crate::controllers::pods;
use crate::reconcile::{EventType, Plan, View};
use crate::store::{Select, Stored};

/// What a decision is made from.
pub(super) struct Scene<'a> {
    /// The state.
    pub view: &'a View,
    /// The ReplicaSets of the namespace that nobody manages.
    pub orphans: &'a [ObjectKey],
    /// The time.
    pub now: Timestamp,
}

/// What is to be done, in this order. When the second fails, [`report`] takes the place of the third.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// ReplicaSets adopted, released, scaled, annotated, deleted.
    pub sets: Plan,
    /// The new ReplicaSet.
    pub creation: Plan,
    /// The status, and when to look again.
    pub status: Plan,
}

/// A decision in the making.
struct Work<'a> {
    scene: &'a Scene<'a>,
    /// As it is.
    was: Arc<Deployment>,
    /// As its status and annotations shall be.
    deployment: Deployment,
    sets: Sets,
    /// Sets to be deleted.
    ended: Vec<(ObjectKey, String)>,
    /// When to look again.
    again: Option<Duration>,
}

/// Decides.
pub(super) fn plan(scene: &Scene<'_>, key: &ObjectKey) -> Decision {
    let mut decision = Decision::default();
    let Some(found) = scene.view.get::<Deployment>(key) else { return decision };
    let was = found.shared();
    let Some(spec) = was.spec() else { return decision };
    if claim::selector_of(&spec.selector).is_nothing() {
        refuse(&was, &mut decision.status);
        return decision;
    }
    let sets = Sets::claim(scene.view, scene.orphans, &found);
    let mut work = Work {
        scene,
        deployment: was.as_ref().clone(),
        was: was.clone(),
        sets,
        ended: Vec::new(),
        again: None,
    };
    let status = work.decide(found.is_deleting());
    work.finish(status, &mut decision);
    decision
}

/// What to say when the new ReplicaSet could not be created, for which the door gave this sentence.
pub(super) fn report(scene: &Scene<'_>, key: &ObjectKey, sentence: &str) -> Plan {
    let mut plan = Plan::new();
    let Some(found) = scene.view.get::<Deployment>(key) else { return plan };
    let mut deployment = found.shared().as_ref().clone();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let set = revision::new_set(&deployment, collisions, 0);
    let name = set.metadata.name.unwrap_or_default();
    let message = format!("Failed to create new replica set \"{name}\": {sentence}");
    plan.event(&deployment, EventType::Warning, status::SET_NOT_CREATED, message.clone());
    if status::deadline(&deployment).is_some() {
        status::set_progressing(&mut deployment, "False", status::SET_NOT_CREATED, message, scene.now);
    }
    if deployment != *found.shared() {
        plan.update_status(deployment);
    }
    plan
}

/// A Deployment without a selector would take everything: it takes nothing, and says why once.
fn refuse(deployment: &Deployment, plan: &mut Plan) {
    let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
    if observed.unwrap_or(0) < deployment.metadata.generation.unwrap_or(0) {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        plan.event(deployment, EventType::Warning, "SelectingAll", message.to_owned());
        let mut changed = deployment.clone();
        changed.status.get_or_insert_default().observed_generation = deployment.metadata.generation;
        plan.update_status(changed);
    }
}

impl Work<'_> {
    /// Asks the questions in their order; answers the new status.
    fn decide(&mut self, deleting: bool) -> DeploymentStatus {
        if deleting {
            self.sync_new(false);
            return self.counted();
        }
        status::note_pause(&mut self.deployment, self.scene.now);
        let paused = status::is_paused(&self.deployment);
        if paused {
            self.sync_new(false);
            self.scale();
            self.clean_up();
            return self.counted();
        }
        if scaling::is_due(&self.deployment, &self.sets) {
            self.sync_new(false);
            self.scale();
            return self.counted();
        }
        match strategy(&self.deployment) {
            Strategy::Recreate => self.recreate(),
            Strategy::Rolling => self.roll(),
        }
        let status = status::of_rollout(&self.deployment, &self.sets, self.scene.now);
        self.again = status::next_check(&self.deployment, &status, self.scene.now);
        status
    }

    fn counted(&self) -> DeploymentStatus {
        status::counted(&self.deployment, &self.sets, self.scene.now)
    }

    fn scale(&mut self) {
        // Sets on their way to an older size would make the sum of all pods anybody's guess.
        if strategy(&self.deployment) == Strategy::Recreate || self.sets.are_settled() {
            scaling::scale(&self.deployment, &mut self.sets);
        }
    }

    fn roll(&mut self) {
        let settled = self.sets.are_settled();
        self.sync_new(settled);
        if !settled || self.sets.new.is_none() {
            return;
        }
        let changed = rolling::scale_new(&self.deployment, &mut self.sets)
            || rolling::scale_old(&self.deployment, &mut self.sets);
        if !changed {
            self.clean_up_if_complete();
        }
    }

    fn recreate(&mut self) {
        self.sync_new(false);
        if rolling::end_old(&self.deployment, &mut self.sets) || self.old_pods_run() {
            return;
        }
        self.sync_new(true);
        rolling::scale_new(&self.deployment, &mut self.sets);
        self.clean_up_if_complete();
    }

    /// Whether an old set has pods, or thinks so. Pods that are on their way out count, ended ones do not.
    fn old_pods_run(&self) -> bool {
        self.sets.old().into_iter().any(|at| {
            let set = &self.sets.list[at];
            let Some(stored) = self.scene.view.get::<ReplicaSet>(&ObjectKey::of(&set.get().metadata)) else {
                return false;
            };
            let selector = stored.spec().map(|spec| claim::selector_of(&spec.selector));
            let mut pods = self.scene.view.list::<Pod>(Select::Owner(stored.uid()));
            // Only pods that the set counts: its status changes when they are gone, which wakes the Deployment.
            let counts = |pod: &Stored<Pod>| {
                let claim = selector.as_ref().map(|selector| claim::judge(&stored, selector, pod.header()));
                claim == Some(Claim::Own) && !pods::is_terminal(pod)
            };
            set.replicas() > 0 || pods.any(|pod| counts(&pod))
        })
    }

    /// Brings the new set's annotations and the Deployment's revision up to date; creates the new set if there
    /// is none and `create` allows it.
    fn sync_new(&mut self, create: bool) {
        let old = self.sets.old().into_iter();
        let newest_old = old.filter_map(|at| revision_of(&self.sets.list[at].get().metadata)).max();
        let revision = newest_old.unwrap_or(0).max(0) + 1;
        match self.sets.new {
            Some(at) => self.sync_found(at, revision),
            None if create => self.create_new(revision),
            None => {}
        }
    }

    fn sync_found(&mut self, at: usize, revision: i64) {
        let set = &mut self.sets.list[at];
        let mut synced = set.get().clone();
        revision::annotate_new(&self.deployment, &mut synced, revision);
        let min_ready = self.deployment.spec().and_then(|spec| spec.min_ready_seconds);
        let spec = synced.spec_mut();
        if spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0) {
            spec.min_ready_seconds = min_ready;
        }
        if synced != *set.get() {
            *set.edit() = synced;
        }
        let annotations = set.get().metadata.annotations.as_ref();
        let number = annotations.and_then(|all| all.get(REVISION)).cloned().unwrap_or_default();
        let message = format!("Found new replica set \"{}\"", set.name());
        self.set_revision(number);
        let known = self.deployment.status.as_ref().and_then(|s| status::condition(s, status::PROGRESSING));
        if known.is_none() && status::deadline(&self.deployment).is_some() {
            let now = self.scene.now;
            status::set_progressing(&mut self.deployment, "True", status::SET_FOUND, message, now);
        }
    }

    fn create_new(&mut self, revision: i64) {
        let namespace = self.deployment.metadata.namespace.clone().unwrap_or_default();
        let home = self.scene.view.get::<Namespace>(&ObjectKey::new("", &namespace));
        if home.is_some_and(|namespace| namespace.is_deleting()) {
            return;
        }
        let collisions = self.deployment.status.as_ref().and_then(|status| status.collision_count);
        let mut set = revision::new_set(&self.deployment, collisions, revision);
        let name = set.metadata.name.clone().unwrap_or_default();
        if self.scene.view.get::<ReplicaSet>(&ObjectKey::new(&namespace, &name)).is_some() {
            // A set of that name with another template or another owner: the hash must become another.
            let status = self.deployment.status.get_or_insert_default();
            status.collision_count = Some(collisions.unwrap_or(0) + 1);
            return;
        }
        let size = rolling::new_size(&self.deployment, 0, self.sets.sum(Set::size));
        set.spec_mut().replicas = Some(size);
        self.sets.create(set);
        self.set_revision(revision.to_string());
        if status::deadline(&self.deployment).is_some() {
            let message = format!("Created new replica set \"{name}\"");
            let now = self.scene.now;
            status::set_progressing(&mut self.deployment, "True", status::SET_CREATED, message, now);
        }
    }

    fn set_revision(&mut self, revision: String) {
        self.deployment.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
    }

    fn clean_up_if_complete(&mut self) {
        let told = self.was.status.clone().unwrap_or_default();
        if status::is_complete(&self.deployment, &told) {
            self.clean_up();
        }
    }

    /// Deletes the oldest of the old sets beyond the history's limit, as far as they have no pods.
    fn clean_up(&mut self) {
        let limit = self.deployment.spec().and_then(|spec| spec.revision_history_limit);
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return };
        let alive = |set: &Set| set.get().metadata.deletion_timestamp.is_none();
        let mut old: Vec<&Set> = self.sets.old().into_iter().map(|at| &self.sets.list[at]).collect();
        old.retain(|set| alive(set));
        let surplus = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        old.sort_by_cached_key(|set| (revision_of(&set.get().metadata).unwrap_or(0), set.age_order()));
        for set in old.into_iter().take(surplus) {
            let Some(was) = set.was.as_ref() else { continue };
            let asked = was.spec().and_then(|spec| spec.replicas).unwrap_or(1);
            let seen = was.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
            let settled = was.metadata.generation.unwrap_or(0) <= seen;
            if asked == 0 && set.size() == 0 && set.replicas() == 0 && settled {
                self.ended.push((ObjectKey::of(&was.metadata), was.metadata.uid.clone().unwrap_or_default()));
            }
        }
    }

    fn finish(mut self, new: DeploymentStatus, decision: &mut Decision) {
        decision.status.again = self.again;
        self.sets.plan(&self.was, &mut decision.sets, &mut decision.creation);
        for (key, uid) in self.ended {
            decision.sets.delete::<ReplicaSet>(&key, &uid);
        }
        let new = status::normal(new);
        let told = status::normal(self.was.status.clone().unwrap_or_default());
        if new != told || self.deployment.metadata.annotations != self.was.metadata.annotations {
            self.deployment.status = Some(new);
            decision.status.update_status(self.deployment);
        }
    }
}
