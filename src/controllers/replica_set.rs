//! ReplicaSet: keeps as many pods of one template as asked.
//!
//! Owns its pods by controller reference and selector. The decision is in `plan`; this file wakes
//! keys and carries out. It knows nothing of Deployments, but for asking which sets share an owner.
//!
//! Guarantee: the pods to go are the ones that serve least. Invariant: the plan of the state that a plan leads
//! to makes and ends no pod.

mod plan;
#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use crate::api::{ObjectKey, Registry};
use crate::reconcile::{Action, Context, Error, Reconciler, Seen, Wakes};
use crate::store::Interest;

use super::claim::Claims;
use plan::Scene;

/// The controller of ReplicaSets. Its key is a ReplicaSet's.
#[derive(Default)]
pub struct ReplicaSets {
    claims: Claims,
}

impl ReplicaSets {
    /// The controller.
    pub fn new() -> ReplicaSets {
        ReplicaSets::default()
    }
}

impl Reconciler for ReplicaSets {
    type Key = ObjectKey;

    fn name(&self) -> &str {
        "replicaset-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        // Owners first: a pod's owner is known when the pod is seen.
        [kinds.id_of::<ReplicaSet>(), kinds.id_of::<Pod>()].into_iter().flatten().map(Interest::all).collect()
    }

    fn reset(&mut self) {
        self.claims = Claims::default();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        if seen.is::<Pod>() {
            self.claims.owned_seen(seen, wakes);
        } else {
            let selector = |set: &ReplicaSet| set.spec.as_ref().map(|spec| spec.selector.clone());
            self.claims.owner_seen(seen, selector, wakes);
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, ObjectKey>, key: &ObjectKey) -> Result<Action, Error> {
        let view = cx.view().clone();
        let world = cx.world().clone();
        let orphans = self.claims.orphans(key.namespace());
        let scene = Scene { view: &view, orphans: &orphans, now: cx.now(), entropy: &*world.entropy };
        let decision = plan::plan(&scene, key);
        cx.apply(decision.claims)?;
        if let Err(error) = cx.apply(decision.replicas) {
            if let Error::Refused { cause, .. } = &error
                && !error.is_stale()
            {
                cx.apply(plan::report(&scene, key, &cause.message))?;
            }
            return Err(error);
        }
        cx.apply(decision.status)
    }
}

impl std::fmt::Debug for ReplicaSets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplicaSets")
    }
}
