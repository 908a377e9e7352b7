//! Keeps the EndpointSlices of each Service that selects pods.
//!
//! Here changes of services, pods, nodes and slices are brought to the services that they concern; what their
//! slices must hold is decided in `plan`. Does nothing for services without a selector, and deletes no slices of a
//! Service that is gone (the garbage collector does). Invariant: at rest each pod that a Service selects
//! stands in exactly one of its slices of each address family that it has an address of.

mod endpoint;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::api::selector::{LabelSet, Selector};
use crate::api::{ObjectKey, Registry};
use crate::reconcile::{Action, Context, Error, Reconciler, Seen, View, Wakes};
use crate::store::{Header, Interest, Revision, Select, Stored};
use endpoint::PodFacts;
use plan::Places;

/// What the controller works on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// The slices of a Service.
    Service(ObjectKey),
    /// The services with pods on a node.
    Node(String),
}

/// The controller.
#[derive(Clone, Debug, Default)]
pub struct EndpointSlices {
    /// The selectors of services, by namespace.
    selectors: BTreeMap<String, BTreeMap<ObjectKey, Selector>>,
    /// The zone of each node.
    zones: BTreeMap<String, Option<Arc<str>>>,
    /// What was read of pods, each at a revision, so that a change of one does not decode the others again.
    facts: BTreeMap<ObjectKey, (Revision, Arc<PodFacts>)>,
}

const ZONE: &str = "topology.kubernetes.io/zone";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const BY_SERVICE: &str = "label:kubernetes.io/service-name";

/// The selector of a Service whose slices are ours to keep.
fn selector_of(service: &Service) -> Option<Selector> {
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    (spec.type_.as_deref() != Some("ExternalName")).then(|| Selector::from_set(selector))
}

impl EndpointSlices {
    /// The services of a namespace that select one of these sets of labels.
    fn selecting<'s>(
        &'s self,
        namespace: &str,
        headers: [Option<&'s Header>; 2],
    ) -> impl Iterator<Item = Concern> + 's {
        let services = self.selectors.get(namespace).into_iter().flatten();
        let selects = move |selector: &Selector| {
            headers.into_iter().flatten().any(|header| selector.matches(header as &dyn LabelSet))
        };
        services.filter(move |(_, selector)| selects(selector)).map(|(key, _)| Concern::Service(key.clone()))
    }

    fn observe_service(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        let key = seen.key().clone();
        let services = self.selectors.entry(key.namespace().to_owned()).or_default();
        match seen.new::<Service>().and_then(|service| selector_of(&service)) {
            Some(selector) => {
                services.insert(key.clone(), selector);
                wakes.wake(Concern::Service(key));
            }
            None => {
                services.remove(&key);
                if services.is_empty() {
                    self.selectors.remove(key.namespace());
                }
            }
        }
    }

    fn observe_node(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        let name = seen.key().name().to_owned();
        let zone = (!seen.deleted())
            .then(|| seen.change().new.header.label(ZONE).filter(|zone| !zone.is_empty()).map(Arc::from));
        let old = match zone.clone() {
            Some(zone) => self.zones.insert(name.clone(), zone),
            None => self.zones.remove(&name),
        };
        if old != zone {
            wakes.wake(Concern::Node(name));
        }
    }

    fn observe_pod(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        let change = seen.change();
        if change.deleted {
            self.facts.remove(seen.key());
        }
        let headers = [Some(&change.new.header), change.old.as_ref().map(|old| &old.header)];
        for concern in self.selecting(seen.key().namespace(), headers) {
            wakes.wake(concern);
        }
    }

    /// The pods that a Service selects, each read once a revision.
    fn pods(&mut self, view: &View, namespace: &str, selector: &Selector) -> Vec<Arc<PodFacts>> {
        let pods = view.list::<Pod>(Select::Namespace(namespace));
        let selected = pods.filter(|pod| selector.matches(pod.header()));
        selected
            .map(|pod| match self.facts.get(pod.key()) {
                Some((revision, facts)) if *revision == pod.revision() => facts.clone(),
                _ => {
                    let facts = Arc::new(PodFacts::of(&pod));
                    self.facts.insert(pod.key().clone(), (pod.revision(), facts.clone()));
                    facts
                }
            })
            .collect()
    }
}

impl Places for BTreeMap<String, Option<Arc<str>>> {
    fn zone(&self, node: &str) -> Option<Option<&str>> {
        self.get(node).map(|zone| zone.as_deref())
    }
}

impl Reconciler for EndpointSlices {
    type Key = Concern;

    fn name(&self) -> &str {
        "endpoint-slice-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        let kinds = [
            kinds.id_of::<Service>(),
            kinds.id_of::<Node>(),
            kinds.id_of::<Pod>(),
            kinds.id_of::<EndpointSlice>(),
        ];
        kinds.into_iter().flatten().map(Interest::all).collect()
    }

    fn reset(&mut self) {
        *self = EndpointSlices::default();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        if seen.is::<Pod>() {
            self.observe_pod(seen, wakes);
        } else if seen.is::<Service>() {
            self.observe_service(seen, wakes);
        } else if seen.is::<Node>() {
            self.observe_node(seen, wakes);
        } else if let Some(service) = seen.change().new.header.label(SERVICE_NAME) {
            let key = ObjectKey::new(seen.key().namespace(), service);
            let services = self.selectors.get(key.namespace());
            if services.is_some_and(|services| services.contains_key(&key)) {
                wakes.wake(Concern::Service(key));
            }
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Concern>, concern: &Concern) -> Result<Action, Error> {
        let view = cx.view().clone();
        match concern {
            Concern::Node(name) => {
                let notifier = cx.notifier();
                for pod in view.list::<Pod>(Select::Term("spec.nodeName", name)) {
                    self.selecting(pod.namespace(), [Some(pod.header()), None])
                        .for_each(|c| notifier.notify(c));
                }
                Ok(Action::Done)
            }
            Concern::Service(key) => {
                let Some(service) = view.get::<Service>(key) else { return Ok(Action::Done) };
                let Some(selector) = selector_of(&service) else { return Ok(Action::Done) };
                let pods = self.pods(&view, key.namespace(), &selector);
                let slices = view.list::<EndpointSlice>(Select::Term(BY_SERVICE, key.name()));
                let slices: Vec<Stored<EndpointSlice>> = slices
                    .filter(|slice| slice.namespace() == key.namespace() && !slice.is_deleting())
                    .filter(|slice| slice.header().label(plan::MANAGED_BY) == Some(plan::MANAGER))
                    .collect();
                cx.apply(plan::plan(&service, &pods, &self.zones, &slices))
            }
        }
    }
}
