//! The ReplicaSets of one Deployment while a plan is made: as they are, and as they shall be.
//!
//! Changes of one set are gathered, so that each set is written once. Invariant: what [`Set::get`] shows is
//! what will be stored once the plan is applied.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetStatus};

use super::revision::{annotate_size, same_template};
use crate::api::ObjectKey;
use crate::api::kinds::versions::Specified;
use crate::controllers::claim::{Claim, adopt, judge, release, selector_of};
use crate::reconcile::{EventType, Plan, View};
use crate::store::{Select, Stored};

/// One ReplicaSet.
#[derive(Clone)]
pub(super) struct Set {
    /// As it is; `None` for one that is to be created.
    pub was: Option<Arc<ReplicaSet>>,
    /// As it shall be, where that differs.
    change: Option<Box<ReplicaSet>>,
    /// What to tell users once it is written.
    news: Vec<String>,
}

impl Set {
    fn stored(set: Arc<ReplicaSet>) -> Set {
        Set { was: Some(set), change: None, news: Vec::new() }
    }

    /// The set as it shall be.
    pub fn get(&self) -> &ReplicaSet {
        match (&self.change, &self.was) {
            (Some(change), _) => change,
            (None, Some(was)) => was,
            (None, None) => unreachable!("a set is stored or to be created"),
        }
    }

    /// The set as it shall be, for change.
    pub fn edit(&mut self) -> &mut ReplicaSet {
        let was = &self.was;
        self.change.get_or_insert_with(|| Box::new(was.as_deref().cloned().unwrap_or_default()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.get().metadata.name.as_deref().unwrap_or_default()
    }

    /// How many replicas it is asked for.
    pub fn size(&self) -> i32 {
        self.get().spec().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn count(&self, field: impl Fn(&ReplicaSetStatus) -> Option<i32>) -> i32 {
        self.get().status.as_ref().and_then(field).unwrap_or(0)
    }

    /// How many pods it has.
    pub fn replicas(&self) -> i32 {
        self.count(|status| Some(status.replicas))
    }

    /// How many of its pods are ready.
    pub fn ready(&self) -> i32 {
        self.count(|status| status.ready_replicas)
    }

    /// How many of its pods are available.
    pub fn available(&self) -> i32 {
        self.count(|status| status.available_replicas)
    }

    /// How many available pods it will surely still have when it has come down to its size: what is ready and
    /// too many may be taken from the available ones.
    pub fn available_kept(&self) -> i32 {
        let too_many = (self.ready() - self.size()).max(0);
        (self.available() - too_many).clamp(0, self.size().max(0))
    }

    /// How many pods it can lose without losing a ready one.
    pub fn not_ready(&self) -> i32 {
        (self.size() - self.available().max(self.ready())).max(0)
    }

    /// Whether it has acted upon what it was told last.
    fn is_settled(&self) -> bool {
        let observed = self.get().status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
        observed >= self.get().metadata.generation.unwrap_or(0)
    }

    fn created(&self) -> Option<Timestamp> {
        self.get().metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// From old to new, then by name. One that is to be created is the newest.
    pub fn age_order(&self) -> (bool, Option<Timestamp>, String) {
        (self.was.is_none(), self.created(), self.name().to_owned())
    }
}

/// All ReplicaSets of a Deployment.
pub(super) struct Sets {
    /// From old to new.
    pub list: Vec<Set>,
    /// The one with the Deployment's template.
    pub new: Option<usize>,
    released: Vec<ReplicaSet>,
}

impl Sets {
    /// Finds a Deployment's sets: those that it owns, and orphans that fit.
    pub fn claim(view: &View, orphans: &[ObjectKey], deployment: &Stored<Deployment>) -> Sets {
        let mut sets = Sets { list: Vec::new(), new: None, released: Vec::new() };
        let Some(spec) = deployment.spec() else { return sets };
        let selector = selector_of(&spec.selector);
        let orphans = orphans.iter().filter_map(|key| view.get::<ReplicaSet>(key));
        for found in view.list::<ReplicaSet>(Select::Owner(deployment.uid())).chain(orphans) {
            match judge(deployment, &selector, found.header()) {
                Claim::Own => sets.list.push(Set::stored(found.shared())),
                Claim::Adopt => {
                    let mut set = Set::stored(found.shared());
                    adopt::<Deployment>(&mut set.edit().metadata, &deployment.metadata);
                    sets.list.push(set);
                }
                Claim::Release => {
                    let mut set = found.shared().as_ref().clone();
                    release(&mut set.metadata, &deployment.metadata);
                    sets.released.push(set);
                }
                Claim::Leave => {}
            }
        }
        sets.list.sort_by_cached_key(Set::age_order);
        sets.new = sets.list.iter().position(|set| {
            let template = set.get().spec().and_then(|spec| spec.template.as_ref());
            template.is_some_and(|template| same_template(template, &spec.template))
        });
        sets
    }

    /// Adds a set that is to be created: the new one.
    pub fn create(&mut self, set: ReplicaSet) {
        let mut news = Vec::new();
        let size = set.spec().and_then(|spec| spec.replicas).unwrap_or(0);
        if size > 0 {
            let name = set.metadata.name.as_deref().unwrap_or_default();
            news.push(format!("Scaled up replica set {name} from 0 to {size}"));
        }
        self.list.push(Set { was: None, change: Some(Box::new(set)), news });
        self.new = Some(self.list.len() - 1);
    }

    /// The new set.
    pub fn newest(&self) -> Option<&Set> {
        self.new.map(|at| &self.list[at])
    }

    /// The places of all sets but the new one, from old to new.
    pub fn old(&self) -> Vec<usize> {
        (0..self.list.len()).filter(|at| Some(*at) != self.new).collect()
    }

    /// The sum over all sets.
    pub fn sum(&self, of: impl Fn(&Set) -> i32) -> i32 {
        self.list.iter().map(of).fold(0, i32::saturating_add)
    }

    /// Whether every set has acted upon what it was told last.
    pub fn are_settled(&self) -> bool {
        self.list.iter().all(Set::is_settled)
    }

    /// Gives a set a size. Answers whether it had another. Its notes about the Deployment's size are brought
    /// up to date along with that, or always with `note`.
    pub fn scale(&mut self, at: usize, size: i32, deployment: &Deployment, note: bool) -> bool {
        let set = &mut self.list[at];
        let had = set.size();
        if had == size && !note {
            return false;
        }
        let mut scaled = set.get().clone();
        scaled.spec_mut().replicas = Some(size);
        annotate_size(deployment, &mut scaled);
        if scaled != *set.get() {
            *set.edit() = scaled;
        }
        if had != size {
            let way = if had < size { "up" } else { "down" };
            set.news.push(format!("Scaled {way} replica set {} from {had} to {size}", set.name()));
        }
        had != size
    }

    /// Plans the writes: changes of stored sets, and the creation of the new one.
    pub fn plan(self, deployment: &Deployment, changes: &mut Plan, creation: &mut Plan) {
        for set in self.released {
            changes.update(set);
        }
        for set in self.list {
            let plan = if set.was.is_some() { &mut *changes } else { &mut *creation };
            match (set.was, set.change) {
                (Some(was), Some(change)) if *was != *change => plan.update(*change),
                (None, Some(change)) => plan.create(*change),
                _ => {}
            }
            for news in set.news {
                plan.event(deployment, EventType::Normal, "ScalingReplicaSet", news);
            }
        }
    }
}
