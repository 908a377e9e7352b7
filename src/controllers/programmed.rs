//! Which ready pods are not available yet because the Services that lead to them are not programmed.
//!
//! A pod that becomes ready is held until each Service that selects it at that moment has it as a ready endpoint and
//! whoever programs Services has covered that, or until a bounded wait is over. Once let go it is not held again
//! before it becomes ready anew, so that a later change of a Service takes nobody's availability away. Knows nothing
//! of networks: the cluster gives a [`Programmed`], and without one nobody is held.
//!
//! Invariant: a pod is held only between its becoming ready and the end of the bounded wait.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;

use super::pods;
use crate::api::ObjectKey;
use crate::api::selector::Selector;
use crate::limits::PROGRAM_MOST;
use crate::reconcile::{Notifier, Seen, View, Wakes};
use crate::store::{Revision, Select};
use crate::world::Moment;

#[cfg(test)]
mod tests;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const BY_SERVICE: &str = "label:kubernetes.io/service-name";

/// Says how far the endpoints of Services are programmed. The cluster gives one where real connections follow them.
pub trait Programmed: Send + Sync + 'static {
    /// The revision up to which every node that must has programmed Services and endpoints.
    fn covered(&self) -> Revision;

    /// Calls `wake` whenever [`Programmed::covered`] has moved, from any thread. `wake` does not block.
    fn on_covered(&self, wake: Box<dyn Fn() + Send + Sync>);
}

/// A pod that is held.
struct Held {
    pod: ObjectKey,
    /// Whoever counts it.
    owner: ObjectKey,
    /// The Services that must lead to it, each with the revision at which it was first found to.
    services: BTreeMap<ObjectKey, Option<Revision>>,
    /// When the wait is over; told once its owner has looked.
    until: Option<Moment>,
}

/// The pods of one owner that do not count as available yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unprogrammed {
    /// Their uids.
    pub uids: BTreeSet<Arc<str>>,
    /// When to look again, though nothing may have changed.
    pub look_in: Option<Duration>,
}

/// The fold: the Services that lead to pods, and the pods that are held.
///
/// Begun anew, it holds nobody: pods that were ready before count as programmed.
#[derive(Default)]
pub(super) struct Holding {
    by: Option<Arc<dyn Programmed>>,
    services: BTreeMap<ObjectKey, Selector>,
    held: BTreeMap<Arc<str>, Held>,
    /// The owners of held pods, as the listener sees them.
    owners: Arc<Mutex<BTreeSet<ObjectKey>>>,
}

impl Holding {
    /// A fold that asks `by`; nobody is held where that is `None`.
    pub fn new(by: Option<Arc<dyn Programmed>>) -> Holding {
        Holding { by, ..Holding::default() }
    }

    /// Whether anybody can be held.
    pub fn is_on(&self) -> bool {
        self.by.is_some()
    }

    /// What lets `notifier` look at the owners of held pods whenever coverage has moved.
    pub fn listener(&self) -> impl FnOnce(Notifier<ObjectKey>) + use<> {
        let (by, owners) = (self.by.clone(), self.owners.clone());
        move |notifier| {
            if let Some(by) = by {
                by.on_covered(Box::new(move || {
                    owners.lock().iter().for_each(|owner| notifier.notify(owner.clone()));
                }));
            }
        }
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.services.clear();
        self.held.clear();
        self.owners.lock().clear();
    }

    /// Sees a Service.
    pub fn service_seen(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        let key = seen.key();
        match seen.new::<Service>().and_then(|service| selector_of(&service)) {
            Some(selector) => drop(self.services.insert(key.clone(), selector)),
            None => drop(self.services.remove(key)),
        }
        self.wake_waiting(key, wakes);
    }

    fn wake_waiting(&self, service: &ObjectKey, wakes: &mut Wakes<ObjectKey>) {
        let waiting = self.held.values().filter(|held| held.services.contains_key(service));
        waiting.for_each(|held| wakes.wake(held.owner.clone()));
    }

    /// Sees a slice: who waits for its Service is to be looked at.
    pub fn slice_seen(&self, seen: &Seen<'_>, wakes: &mut Wakes<ObjectKey>) {
        if self.held.is_empty() {
            return;
        }
        let Some(service) = seen.change().new.header.label(SERVICE_NAME) else { return };
        self.wake_waiting(&ObjectKey::new(seen.key().namespace(), service), wakes);
    }

    /// Sees a pod, which `owner` counts and is woken for.
    pub fn pod_seen(&mut self, seen: &Seen<'_>, owner: Option<&ObjectKey>) {
        let header = &seen.change().new.header;
        let known = self.held.contains_key(&header.uid);
        // Most pods are in no Service, and need not be decoded.
        let services: BTreeMap<ObjectKey, Option<Revision>> = match owner {
            Some(_) if !known && !seen.deleted() => self
                .of_namespace(header.key.namespace())
                .filter(|(_, selector)| selector.matches(header))
                .map(|(service, _)| (service.clone(), None))
                .collect(),
            _ => BTreeMap::new(),
        };
        if !known && services.is_empty() {
            return;
        }
        let ready = seen.new::<Pod>().is_some_and(|pod| pods::is_ready(&pod));
        if !ready {
            self.held.remove(&header.uid);
        } else if let (false, Some(owner), Some(false)) =
            (known, owner, seen.old::<Pod>().map(|pod| pods::is_ready(&pod)))
        {
            let held = Held { pod: header.key.clone(), owner: owner.clone(), services, until: None };
            self.held.insert(header.uid.clone(), held);
        }
    }

    fn of_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a ObjectKey, &'a Selector)> {
        let from = self.services.range(ObjectKey::new(namespace, "")..);
        from.take_while(move |(key, _)| key.namespace() == namespace)
    }

    /// Lets go of the pods of `owner` that are programmed or have waited for too long, and tells the others.
    pub fn of(&mut self, owner: &ObjectKey, view: &View, now: Moment) -> Unprogrammed {
        let mut left = Unprogrammed::default();
        let Some(by) = &self.by else { return left };
        if !self.held.values().any(|held| held.owner == *owner) {
            self.owners.lock().remove(owner);
            return left;
        }
        // Listed before it is asked, so that no move of the coverage is missed.
        self.owners.lock().insert(owner.clone());
        let covered = by.covered();
        self.held.retain(|uid, held| {
            if held.owner != *owner {
                return true;
            }
            let until = *held.until.get_or_insert(now.after(PROGRAM_MOST));
            let pod = view.get::<Pod>(&held.pod);
            let selects = |selector: &Selector| pod.as_ref().is_some_and(|pod| selector.matches(pod.header()));
            held.services.retain(|service, _| self.services.get(service).is_some_and(selects));
            for (service, since) in &mut held.services {
                *since = since.or_else(|| leads_since(view, service, uid));
            }
            if held.services.values().all(|since| since.is_some_and(|since| since <= covered)) {
                return false;
            }
            let wait = until.since(now);
            if wait.is_zero() {
                tracing::warn!(pod = %held.pod, "its Services are not programmed in time; it counts all the same");
                return false;
            }
            left.uids.insert(uid.clone());
            left.look_in = Some(left.look_in.map_or(wait, |sooner| sooner.min(wait)));
            true
        });
        if left.uids.is_empty() {
            self.owners.lock().remove(owner);
        }
        left
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holding({} pods)", self.held.len())
    }
}

/// The selector of a Service with addresses that lead to ready pods alone.
fn selector_of(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    let programmed = spec.type_.as_deref() != Some("ExternalName")
        && spec.cluster_ip.as_deref().is_some_and(|ip| !matches!(ip, "" | "None"))
        && spec.publish_not_ready_addresses != Some(true);
    programmed.then(|| Selector::from_set(selector))
}

/// The revision of a slice by which a Service leads to a pod.
fn leads_since(view: &View, service: &ObjectKey, uid: &str) -> Option<Revision> {
    let slices = view.list::<EndpointSlice>(Select::Term(BY_SERVICE, service.name()));
    let leads = |slice: &EndpointSlice| {
        slice.endpoints.iter().flatten().any(|endpoint| {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            ready && endpoint.target_ref.as_ref().and_then(|pod| pod.uid.as_deref()) == Some(uid)
        })
    };
    let found = slices.filter(|slice| slice.namespace() == service.namespace() && leads(slice));
    found.map(|slice| slice.revision()).min()
}
