//! What the agent folds over the log: which pods Services lead to, and which pods use which ConfigMaps and Secrets.
//!
//! Pure: changes are passed in. Invariant: after a rebuild from a snapshot the folds hold what they would hold had
//! they seen every change, except when endpoints that are gone went; those count as gone at the time of the rebuild.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, VolumeProjection};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::api::ObjectKey;
use crate::store::Revision;

/// The pods of a slice that Services lead to: their uids.
fn ready_pods(slice: &EndpointSlice) -> BTreeMap<String, ObjectKey> {
    let mut ready = BTreeMap::new();
    for endpoint in slice.endpoints.iter().flatten() {
        let is_ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        let Some(target) = endpoint.target_ref.as_ref().filter(|_| is_ready) else { continue };
        let (Some(uid), Some(name)) = (&target.uid, &target.name) else { continue };
        let namespace =
            target.namespace.as_deref().or(slice.metadata.namespace.as_deref()).unwrap_or_default();
        ready.insert(uid.clone(), ObjectKey::new(namespace, name));
    }
    ready
}

/// Which pods Services lead to.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    slices: BTreeMap<ObjectKey, BTreeMap<String, ObjectKey>>,
    counts: BTreeMap<String, u32>,
    /// When the last endpoint of a pod went; `None` if it was while the fold was lost.
    left: BTreeMap<String, Option<Revision>>,
}

impl Endpoints {
    /// Begins anew.
    pub fn reset(&mut self) {
        self.slices.clear();
        let gone = std::mem::take(&mut self.counts);
        self.left.extend(gone.into_keys().map(|uid| (uid, None)));
    }

    /// Sees a slice, or that it is gone. Answers the pods to which none leads any more.
    pub fn see(
        &mut self,
        key: &ObjectKey,
        slice: Option<&EndpointSlice>,
        revision: Revision,
    ) -> Vec<ObjectKey> {
        let new = slice.map(ready_pods).unwrap_or_default();
        for uid in new.keys() {
            *self.counts.entry(uid.clone()).or_insert(0) += 1;
            self.left.remove(uid);
        }
        let old = match new.is_empty() {
            true => self.slices.remove(key),
            false => self.slices.insert(key.clone(), new),
        };
        let mut freed = Vec::new();
        for (uid, pod) in old.unwrap_or_default() {
            let Some(count) = self.counts.get_mut(&uid) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&uid);
                self.left.insert(uid, Some(revision));
                freed.push(pod);
            }
        }
        freed
    }

    /// Whether no Service leads to a pod and the proxy has covered that; `now` is the revision of the view.
    pub fn is_drained(&mut self, uid: &str, covered: Revision, now: Revision) -> bool {
        if self.counts.contains_key(uid) {
            return false;
        }
        match self.left.get_mut(uid) {
            None => true,
            Some(left) => covered >= *left.get_or_insert(now),
        }
    }

    /// A pod is gone for good.
    pub fn forget(&mut self, uid: &str) {
        self.left.remove(uid);
    }

    /// Keeps only what concerns these pods: others' endpoints that went are of no interest.
    pub fn keep(&mut self, is_ours: impl Fn(&str) -> bool) {
        self.left.retain(|uid, _| is_ours(uid));
    }
}

/// A ConfigMap (`false`) or Secret (`true`) that a pod uses.
type Source = (bool, ObjectKey);

/// Which pods use which ConfigMaps and Secrets.
#[derive(Debug, Default)]
pub(super) struct Uses {
    by_source: BTreeMap<Source, BTreeSet<ObjectKey>>,
    by_pod: BTreeMap<ObjectKey, BTreeSet<Source>>,
}

impl Uses {
    /// A pod runs on this node.
    pub fn add(&mut self, key: &ObjectKey, pod: &Pod) {
        let sources = sources(key.namespace(), pod);
        for source in &sources {
            self.by_source.entry(source.clone()).or_default().insert(key.clone());
        }
        self.by_pod.insert(key.clone(), sources);
    }

    /// It does no more.
    pub fn remove(&mut self, key: &ObjectKey) {
        for source in self.by_pod.remove(key).unwrap_or_default() {
            if let Some(pods) = self.by_source.get_mut(&source) {
                pods.remove(key);
                if pods.is_empty() {
                    self.by_source.remove(&source);
                }
            }
        }
    }

    /// The pods that use a ConfigMap or Secret.
    pub fn of(&self, secret: bool, key: &ObjectKey) -> Vec<ObjectKey> {
        self.by_source.get(&(secret, key.clone())).into_iter().flatten().cloned().collect()
    }
}

fn sources(namespace: &str, pod: &Pod) -> BTreeSet<Source> {
    let mut found = BTreeSet::new();
    let mut add = |secret: bool, name: &str| {
        if !name.is_empty() {
            found.insert((secret, ObjectKey::new(namespace, name)));
        }
    };
    let Some(spec) = &pod.spec else { return found };
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        for source in container.env_from.iter().flatten() {
            if let Some(map) = &source.config_map_ref {
                add(false, &map.name);
            }
            if let Some(secret) = &source.secret_ref {
                add(true, &secret.name);
            }
        }
        for from in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
            if let Some(map) = &from.config_map_key_ref {
                add(false, &map.name);
            }
            if let Some(secret) = &from.secret_key_ref {
                add(true, &secret.name);
            }
        }
    }
    for volume in spec.volumes.iter().flatten() {
        if let Some(map) = &volume.config_map {
            add(false, &map.name);
        }
        if let Some(secret) = &volume.secret {
            add(true, secret.secret_name.as_deref().unwrap_or_default());
        }
        let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        for VolumeProjection { config_map, secret, .. } in projected {
            if let Some(map) = config_map {
                add(false, &map.name);
            }
            if let Some(secret) = secret {
                add(true, &secret.name);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(pods: &[(&str, bool)]) -> EndpointSlice {
        let endpoints: Vec<_> = pods
            .iter()
            .map(|(uid, ready)| {
                serde_json::json!({"addresses": ["1.1.1.1"], "conditions": {"ready": ready},
                    "targetRef": {"kind": "Pod", "namespace": "d", "name": uid, "uid": uid}})
            })
            .collect();
        let value = serde_json::json!({"addressType": "IPv4", "endpoints": endpoints, "ports": []});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_pod_is_drained_once_its_last_endpoint_is_covered() {
        let (a, b) = (ObjectKey::from_text("d/a"), ObjectKey::from_text("d/b"));
        let mut endpoints = Endpoints::default();
        let at = Revision;
        assert!(endpoints.is_drained("x", at(0), at(1)), "never an endpoint");
        endpoints.see(&a, Some(&slice(&[("x", true), ("y", true)])), at(5));
        endpoints.see(&b, Some(&slice(&[("x", true)])), at(6));
        assert!(!endpoints.is_drained("x", at(99), at(9)));
        assert_eq!(endpoints.see(&a, Some(&slice(&[("x", false), ("y", true)])), at(7)), []);
        assert_eq!(endpoints.see(&b, None, at(8)), [ObjectKey::from_text("d/x")]);
        assert!(!endpoints.is_drained("x", at(7), at(9)));
        assert!(endpoints.is_drained("x", at(8), at(9)));
        assert!(!endpoints.is_drained("y", at(99), at(9)));
        endpoints.reset();
        assert!(!endpoints.is_drained("y", at(9), at(10)), "gone while nobody looked");
        assert!(endpoints.is_drained("y", at(10), at(11)));
    }
}
