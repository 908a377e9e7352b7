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

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::claim::Claims;
use super::programmed::{Holding, Programmed};
use crate::api::kinds::versions::Specified;
use crate::api::{ObjectKey, Registry};
use crate::apiserver::Server;
use crate::reconcile::{Action, Context, Error, Loop, Notifier, Reconciler, Seen, Spawner, Wakes};
use crate::store::Interest;
use crate::world::World;
use plan::Scene;

/// The controller of ReplicaSets. Its key is a ReplicaSet's.
#[derive(Default)]
pub struct ReplicaSets {
    claims: Claims,
    holding: Holding,
}

impl ReplicaSets {
    /// The controller, to which a pod is available as soon as it has been ready for long enough.
    pub fn new() -> ReplicaSets {
        ReplicaSets::default()
    }

    /// Starts the controller. With `programmed`, a pod is available only once the Services that select it lead to it.
    pub fn start(
        programmed: Option<Arc<dyn Programmed>>,
        server: &Arc<Server>,
        world: &World,
        spawner: &Arc<dyn Spawner>,
    ) -> Notifier<ObjectKey> {
        let sets = ReplicaSets { holding: Holding::new(programmed), ..ReplicaSets::default() };
        let listen = sets.holding.listener();
        let notifier = Loop::start(sets, server, world, spawner);
        listen(notifier.clone());
        notifier
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
        let mut ids = vec![kinds.id_of::<ReplicaSet>(), kinds.id_of::<Pod>()];
        if self.holding.is_on() {
            ids.extend([kinds.id_of::<Service>(), kinds.id_of::<EndpointSlice>()]);
        }
        ids.into_iter().flatten().map(Interest::all).collect()
    }

    fn reset(&mut self) {
        self.claims = Claims::default();
        self.holding.reset();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        if seen.is::<Pod>() {
            self.claims.owned_seen(seen, wakes);
            self.holding.pod_seen(seen, self.claims.owner_of(&seen.change().new.header));
        } else if seen.is::<Service>() {
            self.holding.service_seen(seen, wakes);
        } else if seen.is::<EndpointSlice>() {
            self.holding.slice_seen(seen, wakes);
        } else {
            let selector = |set: &ReplicaSet| set.spec().map(|spec| spec.selector.clone());
            self.claims.owner_seen(seen, selector, wakes);
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, ObjectKey>, key: &ObjectKey) -> Result<Action, Error> {
        let view = cx.view().clone();
        let world = cx.world().clone();
        let orphans = self.claims.orphans(key.namespace());
        let held = self.holding.of(key, &view, cx.moment());
        let scene =
            Scene { view: &view, orphans: &orphans, held: &held, now: cx.now(), entropy: &*world.entropy };
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
