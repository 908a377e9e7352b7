//! What the slices of one Service must hold, and the fewest writes that bring them there.
//!
//! Pure. Invariants: an endpoint stays in the slice in which it stands; a change of many endpoints of one slice
//! is one write of it; a slice holds endpoints with the same ports only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::endpoint::{PodFacts, sort_key};
use crate::api::names::is_dns1123_subdomain;
use crate::limits::SLICE_ENDPOINTS_FILLED;
use crate::reconcile::Plan;
use crate::store::Stored;

pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
const HEADLESS: &str = "service.kubernetes.io/headless";
const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Where nodes are.
pub(super) trait Places {
    /// The zone of a node, if the node is there.
    fn zone(&self, node: &str) -> Option<Option<&str>>;
}

/// Ports, comparable.
type PortKey = Vec<(String, i32, String, String)>;

fn port_key(ports: &[EndpointPort]) -> PortKey {
    let owned = |port: &EndpointPort| {
        let (name, number, protocol, app) = sort_key(port);
        (name.to_owned(), number, protocol.to_owned(), app.to_owned())
    };
    let mut key: PortKey = ports.iter().map(owned).collect();
    key.sort_unstable();
    key
}

/// The endpoints with the same ports, by the uid of their pod.
#[derive(Default)]
struct Group {
    ports: Vec<EndpointPort>,
    endpoints: BTreeMap<Arc<str>, Endpoint>,
}

/// The writes, collected over all groups before they are ordered.
#[derive(Default)]
struct Writes {
    create: Vec<EndpointSlice>,
    update: Vec<EndpointSlice>,
    delete: Vec<Stored<EndpointSlice>>,
    /// The pods whose endpoint is new or different.
    changed: BTreeSet<Arc<str>>,
}

/// The writes for a Service, its pods and the slices that are there.
pub(super) fn plan(
    service: &Stored<Service>,
    pods: &[Arc<PodFacts>],
    places: &dyn Places,
    slices: &[Stored<EndpointSlice>],
) -> Plan {
    let mut writes = Writes::default();
    let types = address_types(service);
    let (kept, other): (Vec<_>, Vec<_>) =
        slices.iter().cloned().partition(|slice| types.contains(&slice.address_type.as_str()));
    for address_type in types {
        let of_type = kept.iter().filter(|slice| slice.address_type == address_type);
        plan_type(service, pods, places, address_type, of_type, &mut writes);
    }
    let mut deleted = writes.delete;
    writes.delete = Vec::new();
    reuse(service, &mut writes.create, &mut deleted, &mut writes.update);
    deleted.extend(other);
    let triggered = trigger(service, pods, slices.is_empty(), &writes.changed);
    let mut plan = Plan::new();
    if !service.is_deleting() {
        for slice in writes.create {
            plan.create(stamped(slice, triggered));
        }
    }
    for slice in writes.update {
        plan.update(stamped(slice, triggered));
    }
    for slice in deleted {
        plan.delete::<EndpointSlice>(slice.key(), slice.uid());
    }
    plan
}

/// The address families that a Service wants.
fn address_types(service: &Service) -> Vec<&'static str> {
    let spec = service.spec.as_ref();
    let families = spec.and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    let mut types: Vec<&'static str> =
        ["IPv4", "IPv6"].into_iter().filter(|family| families.iter().any(|f| f == family)).collect();
    if types.is_empty() {
        // Without families: that of the cluster address, or both where there is none.
        types = match spec.and_then(|spec| spec.cluster_ip.as_deref()) {
            None | Some("" | "None") => vec!["IPv4", "IPv6"],
            Some(address) if address.contains(':') => vec!["IPv6"],
            Some(_) => vec!["IPv4"],
        };
    }
    types
}

fn plan_type<'s>(
    service: &Stored<Service>,
    pods: &[Arc<PodFacts>],
    places: &dyn Places,
    address_type: &str,
    slices: impl Iterator<Item = &'s Stored<EndpointSlice>>,
    writes: &mut Writes,
) {
    let mut groups = desired(service, pods, places, address_type);
    let mut existing: BTreeMap<PortKey, Vec<&Stored<EndpointSlice>>> = BTreeMap::new();
    let (mut count, before) = (0, (writes.create.len(), writes.delete.len()));
    for slice in slices {
        count += 1;
        let owned = slice.header().owners.iter().any(|owner| *owner.uid == *service.uid());
        if owned {
            existing.entry(port_key(slice.ports.as_deref().unwrap_or_default())).or_default().push(slice);
        } else {
            writes.delete.push(slice.clone());
        }
    }
    for (key, group) in &mut groups {
        let slices = existing.remove(key).unwrap_or_default();
        plan_group(service, address_type, group, &slices, writes);
    }
    let mut spare: Vec<&Stored<EndpointSlice>> = existing.into_values().flatten().collect();
    let created = writes.create.len() > before.0;
    let emptied = writes.delete.len() - before.1 + spare.len() == count;
    if emptied && !created {
        // A Service without endpoints keeps one empty slice, so that watchers see that there are none.
        let placeholder = new_slice(service, address_type, Vec::new());
        let is_placeholder = |slice: &Stored<EndpointSlice>| {
            slice.endpoints.as_ref().is_none_or(Vec::is_empty)
                && slice.ports.as_ref().is_none_or(Vec::is_empty)
                && slice.metadata.labels == placeholder.metadata.labels
        };
        match spare.iter().position(|slice| is_placeholder(slice)) {
            Some(at) => drop(spare.remove(at)),
            None => writes.create.push(placeholder),
        }
    }
    writes.delete.extend(spare.into_iter().cloned());
}

/// The endpoints that must be there, by their ports.
fn desired(
    service: &Stored<Service>,
    pods: &[Arc<PodFacts>],
    places: &dyn Places,
    address_type: &str,
) -> BTreeMap<PortKey, Group> {
    let mut groups: BTreeMap<PortKey, Group> = BTreeMap::new();
    let published = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    for pod in pods.iter().filter(|pod| pod.counts) {
        let zone = pod.node.as_deref().and_then(|node| places.zone(node));
        if pod.node.is_some() && zone.is_none() && !published {
            continue;
        }
        let Some(endpoint) = pod.endpoint(service, address_type, zone.flatten()) else { continue };
        let ports = pod.ports(service);
        let group = groups.entry(port_key(&ports)).or_default();
        group.ports = ports;
        group.endpoints.insert(pod.uid.clone(), endpoint);
    }
    groups
}

fn pod_of(endpoint: &Endpoint) -> &str {
    endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default()
}

/// Brings the endpoints of a group into its slices: what stands stays where it is, what is new fills slices
/// that are written anyway, then one slice that has room for all of it, then new slices.
fn plan_group(
    service: &Stored<Service>,
    address_type: &str,
    group: &mut Group,
    slices: &[&Stored<EndpointSlice>],
    writes: &mut Writes,
) {
    let labels = labels(service);
    let mut updated: Vec<EndpointSlice> = Vec::new();
    let mut untouched: Vec<&Stored<EndpointSlice>> = Vec::new();
    let mut emptied: Vec<&Stored<EndpointSlice>> = Vec::new();
    for slice in slices {
        let old = slice.endpoints.as_deref().unwrap_or_default();
        let kept: Vec<Endpoint> =
            old.iter().filter_map(|endpoint| group.endpoints.remove(pod_of(endpoint))).collect();
        for endpoint in kept.iter().filter(|endpoint| !old.contains(endpoint)) {
            writes.changed.insert(Arc::from(pod_of(endpoint)));
        }
        if kept.is_empty() {
            emptied.push(slice);
        } else if kept != old || slice.metadata.labels.as_ref() != Some(&labels) {
            let mut slice = EndpointSlice::clone(slice);
            slice.endpoints = Some(kept);
            slice.metadata.labels = Some(labels.clone());
            updated.push(slice);
        } else {
            untouched.push(slice);
        }
    }
    writes.changed.extend(group.endpoints.keys().cloned());
    let mut new: Vec<Endpoint> = std::mem::take(&mut group.endpoints).into_values().collect();
    updated.sort_by_key(|slice| std::cmp::Reverse(slice.endpoints.as_ref().map_or(0, Vec::len)));
    for slice in &mut updated {
        fill(slice, &mut new);
    }
    if !new.is_empty() && new.len() < SLICE_ENDPOINTS_FILLED {
        let len = |slice: &Stored<EndpointSlice>| slice.endpoints.as_ref().map_or(0, Vec::len);
        let fits = untouched.iter().filter(|slice| len(slice) + new.len() <= SLICE_ENDPOINTS_FILLED);
        if let Some(fullest) = fits.max_by_key(|slice| len(slice)) {
            let mut slice = EndpointSlice::clone(fullest);
            fill(&mut slice, &mut new);
            updated.push(slice);
        }
    }
    while !new.is_empty() {
        let mut slice = new_slice(service, address_type, group.ports.clone());
        fill(&mut slice, &mut new);
        writes.create.push(slice);
    }
    writes.update.extend(updated);
    writes.delete.extend(emptied.into_iter().cloned());
}

/// Moves endpoints into a slice as long as it has room.
fn fill(slice: &mut EndpointSlice, new: &mut Vec<Endpoint>) {
    let endpoints = slice.endpoints.get_or_insert_default();
    let room = SLICE_ENDPOINTS_FILLED.saturating_sub(endpoints.len()).min(new.len());
    endpoints.extend(new.drain(..room));
}

/// Writes new slices over those that would be deleted: one event instead of two, and no moment without either.
fn reuse(
    service: &Stored<Service>,
    create: &mut Vec<EndpointSlice>,
    delete: &mut Vec<Stored<EndpointSlice>>,
    update: &mut Vec<EndpointSlice>,
) {
    delete.retain(|old| {
        let owned = old.header().owners.iter().any(|owner| *owner.uid == *service.uid());
        let fitting = create.iter().position(|new| owned && new.address_type == old.address_type);
        let Some(at) = fitting else { return true };
        let mut new = create.remove(at);
        let labels = new.metadata.labels.take();
        new.metadata = ObjectMeta { labels, ..old.metadata.clone() };
        update.push(new);
        false
    });
}

fn labels(service: &Stored<Service>) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(super::SERVICE_NAME.to_owned(), service.name().to_owned());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let address = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref());
    if matches!(address, None | Some("" | "None")) {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels
}

fn new_slice(service: &Stored<Service>, address_type: &str, ports: Vec<EndpointPort>) -> EndpointSlice {
    let mut prefix = format!("{}-", service.name());
    if !crate::api::names::check_name(is_dns1123_subdomain, &prefix, true).is_empty() {
        prefix.pop();
    }
    EndpointSlice {
        address_type: address_type.to_owned(),
        endpoints: None,
        ports: (!ports.is_empty()).then_some(ports),
        metadata: ObjectMeta {
            generate_name: Some(prefix),
            namespace: Some(service.namespace().to_owned()),
            labels: Some(labels(service)),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Service".to_owned(),
                name: service.name().to_owned(),
                uid: service.uid().to_owned(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
    }
}

/// When what is written now was caused: the Service's creation for its first slices, else the first turn of
/// readiness among the endpoints that changed.
fn trigger(
    service: &Stored<Service>,
    pods: &[Arc<PodFacts>],
    first: bool,
    changed: &BTreeSet<Arc<str>>,
) -> Option<Timestamp> {
    if first {
        return service.metadata.creation_timestamp.as_ref().map(|time| time.0);
    }
    pods.iter().filter(|pod| changed.contains(&pod.uid)).filter_map(|pod| pod.turned).min()
}

fn stamped(mut slice: EndpointSlice, at: Option<Timestamp>) -> EndpointSlice {
    let annotations = slice.metadata.annotations.get_or_insert_default();
    match at {
        Some(at) => drop(annotations.insert(TRIGGERED.to_owned(), at.to_string())),
        None => drop(annotations.remove(TRIGGERED)),
    }
    slice
}
