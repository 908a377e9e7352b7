//! What must hold in a cluster that nobody asks anything of any more.
//!
//! Reads one snapshot and says what is wrong, one sentence each; repairs nothing. Knows the kinds and their
//! promises, not how controllers keep them. Invariant: a cluster of healthy nodes with room for its pods fulfils
//! every sentence some minutes after the last change by a user.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::api::ObjectKey;
use crate::api::kinds::versions::Specified;
use crate::api::selector::Selector;
use crate::controllers::pods;
use crate::store::{Header, Select, Snapshot, Store, Stored};

/// Everything that is wrong.
pub(super) fn check(view: &Snapshot, store: &Store) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(cause) = store.check() {
        wrong.push(format!("the store: {cause}"));
    }
    check_objects(view, &mut wrong);
    check_namespaces(view, &mut wrong);
    check_nodes(view, &mut wrong);
    check_pods(view, &mut wrong);
    check_sets(view, &mut wrong);
    check_deployments(view, &mut wrong);
    check_services(view, &mut wrong);
    wrong
}

fn headers(view: &Snapshot) -> Vec<(String, &Header)> {
    let kinds: Vec<_> = view.registry().iter().collect();
    let mut all = Vec::new();
    for (kind, strategy) in kinds {
        let name = strategy.info().kind.clone();
        all.extend(view.list_records(kind, Select::All).map(|record| (name.clone(), &record.header)));
    }
    all
}

/// No object is being deleted, has an owner that is gone or lives in a namespace that is gone.
fn check_objects(view: &Snapshot, wrong: &mut Vec<String>) {
    let all = headers(view);
    let uids: BTreeMap<&str, &str> =
        all.iter().map(|(_, header)| (&*header.uid, header.key.namespace())).collect();
    for (kind, header) in &all {
        let namespace = header.key.namespace();
        if header.deleting {
            wrong.push(format!("{kind} {} is still being deleted", header.key));
        }
        let owners = header.owners.iter();
        let present = |uid: &str| uids.get(uid).is_some_and(|of| of.is_empty() || *of == namespace);
        for absent in owners.filter(|owner| !present(&owner.uid)) {
            wrong.push(format!("{kind} {} belongs to {}, which is gone", header.key, absent.uid));
        }
        if !namespace.is_empty() && view.get::<Namespace>(&ObjectKey::new("", namespace)).is_none() {
            wrong.push(format!("{kind} {} has lost its namespace", header.key));
        }
    }
}

fn check_namespaces(view: &Snapshot, wrong: &mut Vec<String>) {
    for namespace in view.list::<Namespace>(Select::All) {
        if view.get::<ServiceAccount>(&ObjectKey::new(namespace.name(), "default")).is_none() {
            wrong.push(format!("namespace {} has no default service account", namespace.name()));
        }
    }
}

/// Nodes are ready and without the taints of those that are not.
fn check_nodes(view: &Snapshot, wrong: &mut Vec<String>) {
    for node in view.list::<Node>(Select::All) {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let taints: Vec<&str> = taints.map(|taint| taint.key.as_str()).collect();
        if !ready || !taints.is_empty() {
            wrong.push(format!("node {} is ready: {ready}, with the taints {taints:?}", node.name()));
        }
    }
}

/// Pods run, ready, on a node that is there, with an address of their own.
fn check_pods(view: &Snapshot, wrong: &mut Vec<String>) {
    let mut addresses: BTreeMap<String, ObjectKey> = BTreeMap::new();
    for pod in view.list::<Pod>(Select::All) {
        let node = pod.header().term("spec.nodeName").unwrap_or_default();
        if view.get::<Node>(&ObjectKey::new("", node)).is_none() {
            wrong.push(format!("pod {} is on node {node:?}, which is not there", pod.key()));
        }
        if !pods::is_ready(&pod) || pods::phase(&pod) != "Running" {
            wrong.push(format!("pod {} is {} and not ready", pod.key(), pods::phase(&pod)));
        }
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        let Some(address) = address else {
            wrong.push(format!("pod {} has no address", pod.key()));
            continue;
        };
        if let Some(other) = addresses.insert(address.clone(), pod.key().clone()) {
            wrong.push(format!("pods {other} and {} both have {address}", pod.key()));
        }
    }
}

/// Every ReplicaSet has exactly the pods that it asks for, and says so.
fn check_sets(view: &Snapshot, wrong: &mut Vec<String>) {
    for set in view.list::<ReplicaSet>(Select::All) {
        let wanted = set.spec().and_then(|spec| spec.replicas).unwrap_or(1);
        let owned = view.list::<Pod>(Select::Owner(set.uid())).count() as i32;
        let status = set.status.clone().unwrap_or_default();
        let told = [Some(status.replicas), status.ready_replicas, status.available_replicas];
        let told = told.map(|count| count.unwrap_or(0));
        let observed = status.observed_generation == set.metadata.generation;
        if owned != wanted || told != [wanted; 3] || !observed {
            wrong.push(format!(
                "replicaset {} wants {wanted}, owns {owned}, tells {told:?}, has observed its spec: {observed}",
                set.key()
            ));
        }
    }
}

/// Every Deployment is rolled out whole, or paused with as many pods as it asks for.
fn check_deployments(view: &Snapshot, wrong: &mut Vec<String>) {
    for deployment in view.list::<Deployment>(Select::All) {
        let Some(spec) = deployment.spec() else { continue };
        let wanted = spec.replicas.unwrap_or(1);
        let sets: Vec<_> = view.list::<ReplicaSet>(Select::Owner(deployment.uid())).collect();
        let size = |set: &Stored<ReplicaSet>| set.spec().and_then(|spec| spec.replicas).unwrap_or(0);
        let sizes: Vec<i32> = sets.iter().map(size).filter(|size| *size > 0).collect();
        let status = deployment.status.clone().unwrap_or_default();
        let told = [status.replicas, status.ready_replicas, status.available_replicas];
        let told = told.map(|count| count.unwrap_or(0));
        let paused = spec.paused == Some(true);
        let updated = status.updated_replicas.unwrap_or(0);
        let whole = paused || (updated == wanted && sizes.len() <= 1);
        let observed = status.observed_generation == deployment.metadata.generation;
        let sum: i32 = sizes.iter().sum();
        // A rollout that is paused half way keeps its surge.
        let size = if paused { sum } else { wanted };
        if sum != size || told != [size; 3] || !whole || !observed {
            wrong.push(format!(
                "deployment {} wants {wanted}, its sets {sizes:?}, tells {told:?} and {updated} updated, has observed \
                 its spec: {observed}",
                deployment.key()
            ));
        }
    }
}

/// The endpoints of every Service with a selector are the addresses of the ready pods that it selects, and all of
/// them are ready.
fn check_services(view: &Snapshot, wrong: &mut Vec<String>) {
    for service in view.list::<Service>(Select::All) {
        let Some(labels) = service.spec.as_ref().and_then(|spec| spec.selector.clone()) else { continue };
        let text: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let Ok(selector) = Selector::parse(&text.join(",")) else { continue };
        let pods = view.list::<Pod>(Select::Namespace(service.namespace()));
        let wanted: BTreeSet<String> = pods
            .filter(|pod| selector.matches(pod.header()) && pods::is_ready(pod))
            .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
            .collect();
        let slices = view.list::<EndpointSlice>(Select::Owner(service.uid()));
        let endpoints: Vec<_> = slices.flat_map(|slice| slice.endpoints.clone()).flatten().collect();
        let ready = endpoints.iter().all(|endpoint| {
            endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
        });
        let count = endpoints.len();
        let told: BTreeSet<String> = endpoints.into_iter().flat_map(|endpoint| endpoint.addresses).collect();
        if told != wanted || !ready || count != wanted.len() {
            wrong.push(format!(
                "service {} leads to {told:?} (ready: {ready}) where {wanted:?} are ready",
                service.key()
            ));
        }
    }
}
