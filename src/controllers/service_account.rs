//! Gives each namespace its service account `default`.
//!
//! Does not make tokens or certificates. Invariant: at rest every active namespace has the account.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{ObjectKey, Reason, Registry};
use crate::reconcile::{Action, Context, Error, Plan, Reconciler, Seen, View, Wakes};
use crate::store::Interest;

const DEFAULT: &str = "default";

/// The controller. Its keys are names of namespaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceAccounts;

/// What a namespace lacks.
fn plan(view: &View, namespace: &str) -> Plan {
    let mut plan = Plan::new();
    let active = view.get::<Namespace>(&ObjectKey::new("", namespace)).is_some_and(|n| !n.is_deleting());
    if active && view.get::<ServiceAccount>(&ObjectKey::new(namespace, DEFAULT)).is_none() {
        plan.create(ServiceAccount {
            metadata: ObjectMeta {
                name: Some(DEFAULT.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        });
    }
    plan
}

impl Reconciler for ServiceAccounts {
    type Key = String;

    fn name(&self) -> &str {
        "serviceaccount-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        let kinds = [kinds.id_of::<Namespace>(), kinds.id_of::<ServiceAccount>()];
        kinds.into_iter().flatten().map(Interest::all).collect()
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<String>) {
        if seen.is::<Namespace>() {
            if seen.change().old.is_none() {
                wakes.wake(seen.key().name().to_owned());
            }
        } else if seen.deleted() && seen.key().name() == DEFAULT {
            wakes.wake(seen.key().namespace().to_owned());
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, String>, namespace: &String) -> Result<Action, Error> {
        match cx.apply(plan(cx.view(), namespace)) {
            // Somebody else made it, or the namespace has begun to end.
            Err(Error::Refused { cause, .. })
                if matches!(cause.reason, Reason::AlreadyExists | Reason::Forbidden | Reason::NotFound) =>
            {
                Ok(Action::Done)
            }
            answer => answer,
        }
    }
}
