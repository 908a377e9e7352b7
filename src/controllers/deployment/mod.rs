//! Deployment: rolls a template out over ReplicaSets, one a revision, without losing too many replicas or
//! having too many.
//!
//! ```text
//! plan ─► sets (claim, which is the new one) ─► revision (numbers, annotations, the new set)
//!      ─► scaling │ rolling │ recreate ─► status (counts, conditions) ─► Decision
//! ```
//!
//! Owns its ReplicaSets by controller reference and selector; pods are theirs. This file wakes keys and carries
//! out; everything else here is pure.
//!
//! Guarantees: of a rolling update, never more pods than `replicas + maxSurge`, and no available pod is given
//! up that `replicas - maxUnavailable` needs. For that nothing is scaled until every ReplicaSet has acted upon
//! what it was told last (`observedGeneration`).

mod fences;
mod plan;
mod revision;
mod rolling;
mod scaling;
mod sets;
#[cfg(test)]
mod simulation;
mod status;
#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::claim::Claims;
use crate::api::kinds::versions::Specified;
use crate::api::{ObjectKey, Registry};
use crate::reconcile::{Action, Context, Error, Reconciler, Seen, Wakes};
use crate::store::Interest;

pub use revision::{
    CHANGE_CAUSE, DESIRED_REPLICAS, MAX_REPLICAS, REVISION, REVISION_HISTORY, TEMPLATE_HASH, revision_of,
};
pub(crate) use revision::{is_copied, same_template};
pub(crate) use status::{PROGRESSING, TIMED_OUT};

/// The controller of Deployments. Its key is a Deployment's.
#[derive(Default)]
pub struct Deployments {
    claims: Claims,
}

impl Deployments {
    /// The controller.
    pub fn new() -> Deployments {
        Deployments::default()
    }
}

impl std::fmt::Debug for Deployments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Deployments")
    }
}

impl Reconciler for Deployments {
    type Key = ObjectKey;

    fn name(&self) -> &str {
        "deployment-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        // Owners first: a set's owner is known when the set is seen. Pods need not be watched: whatever of them
        // matters here shows in the status of their set.
        let kinds = [kinds.id_of::<Deployment>(), kinds.id_of::<ReplicaSet>()];
        kinds.into_iter().flatten().map(Interest::all).collect()
    }

    fn reset(&mut self) {
        self.claims = Claims::default();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        if seen.is::<ReplicaSet>() {
            self.claims.owned_seen(seen, wakes);
        } else {
            let selector = |it: &Deployment| it.spec().map(|spec| spec.selector.clone());
            self.claims.owner_seen(seen, selector, wakes);
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, ObjectKey>, key: &ObjectKey) -> Result<Action, Error> {
        let view = cx.view().clone();
        let orphans = self.claims.orphans(key.namespace());
        let scene = plan::Scene { view: &view, orphans: &orphans, now: cx.now() };
        let decision = plan::plan(&scene, key);
        cx.apply(decision.sets)?;
        if let Err(error) = cx.apply(decision.creation) {
            if let Error::Refused { cause, .. } = &error
                && !error.is_stale()
                && !cause.is_already_exists()
            {
                cx.apply(plan::report(&scene, key, &cause.message))?;
            }
            return Err(error);
        }
        cx.apply(decision.status)
    }
}
