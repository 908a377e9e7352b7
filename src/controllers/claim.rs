//! Which objects belong to a controller's object: adoption of orphans, release of what no longer fits.
//!
//! Owns the decision for one object and the fold that finds candidates: who owns by which selector, and which
//! objects have no managing owner. Invariant: the fold equals the one rebuilt from the state it has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::api::selector::Selector;
use crate::api::{Kind, ObjectKey};
use crate::reconcile::{Seen, Wakes};
use crate::store::{Header, Stored};

/// What an owner is to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It owns it, and the selector matches.
    Own,
    /// Nobody manages it, and the selector matches: it becomes the owner.
    Adopt,
    /// It owns it, and the selector no longer matches: it lets go.
    Release,
    /// It is none of its business.
    Leave,
}

/// The selector of an owner; one that is empty or broken matches nothing, lest its owner adopt everything.
pub(super) fn selector_of(selector: &LabelSelector) -> Selector {
    match Selector::from_label_selector(Some(selector)) {
        Ok(selector) if !selector.is_everything() => selector,
        _ => Selector::nothing(),
    }
}

/// Decides for one object.
pub(super) fn judge<K: Kind>(owner: &Stored<K>, selector: &Selector, object: &Header) -> Claim {
    if object.key.namespace() != owner.namespace() {
        return Claim::Leave;
    }
    match object.controller() {
        Some(other) if *other.uid != *owner.uid() => Claim::Leave,
        Some(_) if selector.matches(object) => Claim::Own,
        Some(_) if owner.is_deleting() => Claim::Leave,
        Some(_) => Claim::Release,
        None if owner.is_deleting() || object.deleting || !selector.matches(object) => Claim::Leave,
        None => Claim::Adopt,
    }
}

/// The reference by which `owner` manages an object.
pub(super) fn controller_reference<K: Kind>(owner: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: owner.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Makes `owner` the manager of an object.
pub(super) fn adopt<K: Kind>(object: &mut ObjectMeta, owner: &ObjectMeta) {
    release(object, owner);
    object.owner_references.get_or_insert_default().push(controller_reference::<K>(owner));
}

/// Takes `owner` out of an object's owners.
pub(super) fn release(object: &mut ObjectMeta, owner: &ObjectMeta) {
    if let Some(list) = &mut object.owner_references {
        list.retain(|reference| Some(&reference.uid) != owner.uid.as_ref());
    }
    if object.owner_references.as_ref().is_some_and(Vec::is_empty) {
        object.owner_references = None;
    }
}

struct Owner {
    uid: Arc<str>,
    selector: Selector,
}

/// The fold: the possible owners, and the objects that nobody manages.
#[derive(Default)]
pub(super) struct Claims {
    owners: BTreeMap<ObjectKey, Owner>,
    by_uid: BTreeMap<Arc<str>, ObjectKey>,
    orphans: BTreeSet<ObjectKey>,
}

impl Claims {
    /// Sees a change of an owner, whose key it wakes.
    pub fn owner_seen<K: Kind>(
        &mut self,
        seen: &Seen<'_>,
        selector: impl Fn(&K) -> Option<LabelSelector>,
        wakes: &mut Wakes<ObjectKey>,
    ) {
        let key = seen.key().clone();
        if let Some(old) = self.owners.remove(&key) {
            self.by_uid.remove(&old.uid);
        }
        if let Some(owner) = seen.new::<K>() {
            let uid = owner.header().uid.clone();
            self.by_uid.insert(uid.clone(), key.clone());
            let selector = selector(&owner).map_or_else(Selector::nothing, |selector| selector_of(&selector));
            self.owners.insert(key.clone(), Owner { uid, selector });
        }
        wakes.wake(key);
    }

    /// Sees a change of an object that may be owned: wakes its owner before and after, and whoever might adopt
    /// it.
    pub fn owned_seen(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        let change = seen.change();
        let new = (!change.deleted).then_some(&change.new.header);
        let old = change.old.as_ref().map(|record| &record.header);
        for header in old.into_iter().chain([&change.new.header]) {
            if let Some(key) = header.controller().and_then(|owner| self.by_uid.get(&owner.uid)) {
                wakes.wake(key.clone());
            }
        }
        let Some(orphan) = new.filter(|header| header.controller().is_none()) else {
            self.orphans.remove(seen.key());
            return;
        };
        self.orphans.insert(orphan.key.clone());
        let news = old.is_none_or(|old| old.controller().is_some() || old.labels != orphan.labels);
        if news && !orphan.deleting {
            for (key, owner) in in_namespace(&self.owners, orphan.key.namespace()) {
                if owner.selector.matches(orphan) {
                    wakes.wake(key.clone());
                }
            }
        }
    }

    /// The objects of a namespace that nobody manages.
    pub fn orphans(&self, namespace: &str) -> Vec<ObjectKey> {
        let start = ObjectKey::new(namespace, "");
        let keys = self.orphans.range(start..);
        keys.take_while(|key| key.namespace() == namespace).cloned().collect()
    }
}

fn in_namespace<'a, T>(
    map: &'a BTreeMap<ObjectKey, T>,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a ObjectKey, &'a T)> {
    map.range(ObjectKey::new(namespace, "")..).take_while(move |(key, _)| key.namespace() == namespace)
}
