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

    /// The owner that manages an object.
    pub fn owner_of(&self, header: &Header) -> Option<&ObjectKey> {
        self.by_uid.get(&header.controller()?.uid)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds;
    use crate::api::kinds::versions::Specified;
    use crate::apiserver::{DeleteOptions, Face, Server, ServerConfig, ServiceRange, WriteOptions};
    use crate::store::{Change, Memory, Revision};
    use crate::world::{Entropy, SeededEntropy, World};
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::{Namespace, Pod};

    /// What a fold holds, as text.
    fn tell(claims: &Claims) -> String {
        let owners: Vec<_> =
            claims.owners.iter().map(|(key, owner)| (key, &owner.uid, &owner.selector)).collect();
        format!("{owners:?} {:?} {:?}", claims.by_uid, claims.orphans)
    }

    fn see(claims: &mut Claims, server: &Server, change: &Change) -> BTreeSet<ObjectKey> {
        let mut wakes = Wakes::default();
        let seen = Seen { change, registry: server.registry() };
        if seen.is::<ReplicaSet>() {
            let selector = |set: &ReplicaSet| set.spec().map(|spec| spec.selector.clone());
            claims.owner_seen(&seen, selector, &mut wakes);
        } else if seen.is::<Pod>() {
            claims.owned_seen(&seen, &mut wakes);
        }
        BTreeSet::from_iter(wakes.now)
    }

    fn rebuilt(server: &Server) -> Claims {
        let mut claims = Claims::default();
        let view = server.store().snapshot();
        for kind in [server.registry().id_of::<ReplicaSet>(), server.registry().id_of::<Pod>()] {
            for record in view.list_records(kind.unwrap(), crate::store::Select::All) {
                let (revision, new) = (record.header.revision, record.clone());
                see(&mut claims, server, &Change { revision, old: None, new, deleted: false });
            }
        }
        claims
    }

    struct Scene {
        server: Arc<Server>,
        entropy: SeededEntropy,
    }

    impl Scene {
        fn draw(&self, choices: u64) -> u64 {
            self.entropy.next() % choices
        }

        fn create<K: Kind>(&self, yaml: &str) {
            let object: K = serde_yaml::from_str(yaml).unwrap();
            let kind = self.server.registry().id_of::<K>().unwrap();
            // One of that name may be there already.
            let _ = self.server.create(kind, Box::new(object), &WriteOptions::default());
        }

        fn change<K: Kind>(&self, key: &ObjectKey, edit: impl FnOnce(&mut K)) {
            let Some(found) = self.server.store().snapshot().get::<K>(key) else { return };
            let mut object = found.shared().as_ref().clone();
            edit(&mut object);
            let options = WriteOptions::default();
            self.server.update(found.header().kind, Face::Main, Box::new(object), &options).unwrap();
        }

        fn delete<K: Kind>(&self, key: &ObjectKey) {
            let kind = self.server.registry().id_of::<K>().unwrap();
            let _ = self.server.delete(kind, key, &DeleteOptions::default());
        }

        fn step(&self) {
            let namespace = ["a", "a-b"][self.draw(2) as usize];
            let set = format!("s{}", self.draw(3));
            let key = ObjectKey::new(namespace, &format!("p{}", self.draw(6)));
            let set_key = ObjectKey::new(namespace, &set);
            match self.draw(8) {
                0 | 1 => self.create::<ReplicaSet>(&format!(
                    "{{metadata: {{name: {set}, namespace: {namespace}}}, spec: {{selector: {{matchLabels: {{app: \
                     {set}}}}}, template: {{metadata: {{labels: {{app: {set}}}}}, spec: {{containers: [{{name: a, \
                     image: a}}]}}}}}}}}"
                )),
                2 => self.delete::<ReplicaSet>(&set_key),
                3 | 4 => self.create::<Pod>(&format!(
                    "{{metadata: {{name: {}, namespace: {namespace}, labels: {{app: {set}}}}}, spec: {{containers: \
                     [{{name: a, image: a}}]}}}}",
                    key.name()
                )),
                5 => self.delete::<Pod>(&key),
                6 => {
                    let Some(owner) = self.server.store().snapshot().get::<ReplicaSet>(&set_key) else { return };
                    self.change::<Pod>(&key, |pod| {
                        pod.metadata.owner_references = None;
                        adopt::<ReplicaSet>(&mut pod.metadata, &owner.metadata);
                    });
                }
                _ => self.change::<Pod>(&key, |pod| {
                    pod.metadata.owner_references = None;
                    pod.metadata.labels = Some([("app".to_owned(), set)].into());
                }),
            }
        }
    }

    #[test]
    fn the_fold_equals_the_one_rebuilt() {
        for seed in 0..20 {
            let entropy = SeededEntropy::from_seed(seed);
            let world = World { entropy: Arc::new(SeededEntropy::from_seed(seed)), ..World::real() };
            let server = Server::open(ServerConfig {
                registry: Arc::new(kinds::builtin()),
                backend: Arc::new(Memory::new()),
                world,
                admission: Vec::new(),
                services: ServiceRange::default(),
            });
            let scene = Scene { server, entropy };
            scene.create::<Namespace>("{metadata: {name: a}}");
            scene.create::<Namespace>("{metadata: {name: a-b}}");
            let (mut claims, mut at) = (Claims::default(), Revision(0));
            for _ in 0..60 {
                scene.step();
                let view = scene.server.store().snapshot();
                let mut changes = Vec::new();
                scene.server.store().since(at, |change| changes.push(change.clone())).unwrap();
                for change in &changes {
                    let woken = see(&mut claims, &scene.server, change);
                    at = change.revision;
                    expect_woken(&scene.server, change, &woken);
                }
                assert_eq!(tell(&claims), tell(&rebuilt(&scene.server)), "seed {seed}");
                for namespace in ["a", "a-b"] {
                    let pods = view.list::<Pod>(crate::store::Select::Namespace(namespace));
                    let orphans = pods.filter(|pod| pod.header().controller().is_none());
                    let expected: Vec<ObjectKey> = orphans.map(|pod| pod.key().clone()).collect();
                    assert_eq!(claims.orphans(namespace), expected, "seed {seed}");
                }
            }
        }
    }

    /// Whoever manages a pod, before or after, hears of each change; whoever could adopt one hears of its coming.
    fn expect_woken(server: &Server, change: &Change, woken: &BTreeSet<ObjectKey>) {
        let view = server.store().snapshot();
        if Some(change.new.header.kind) != server.registry().id_of::<Pod>() {
            return;
        }
        let pod = &change.new.header;
        let old = change.old.as_ref().map(|record| &record.header);
        for set in view.list::<ReplicaSet>(crate::store::Select::Namespace(pod.key.namespace())) {
            let managed = [Some(pod), old].into_iter().flatten().filter_map(|header| header.controller());
            let mine = managed.into_iter().any(|owner| *owner.uid == *set.uid());
            let selector = selector_of(&set.spec().unwrap().selector);
            let comes = old.is_none_or(|old| old.labels != pod.labels || old.controller().is_some());
            let fits = !change.deleted && pod.controller().is_none() && comes && selector.matches(pod);
            assert!(!(mine || fits) || woken.contains(set.key()), "{pod:?} wakes {woken:?}");
        }
    }
}
