//! What a pod and its containers ask of CPU and memory: the QoS class, the limits of their cgroups, and the sums
//! that the node's admission compares.
//!
//! Pure. Quantities are read exactly; one that does not parse was refused by the door and counts as nothing.
//!
//! Invariant: what a pod requests is what the scheduler counts: the sum of its containers and sidecars, or what an
//! init container needs while it runs, whichever is more, and the overhead.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::quantity::Amount;
use crate::node::runtime::Resources;

/// `status.qosClass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Every container has CPU and memory limits that equal its requests.
    Guaranteed,
    /// Some container requests or limits something.
    Burstable,
    /// Nothing is requested or limited.
    BestEffort,
}

impl Qos {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Qos::Guaranteed => "Guaranteed",
            Qos::Burstable => "Burstable",
            Qos::BestEffort => "BestEffort",
        }
    }
}

type List = BTreeMap<String, Quantity>;

fn amount(list: Option<&List>, name: &str) -> Option<Amount> {
    Amount::parse(&list?.get(name)?.0).ok().filter(|amount| amount.signum() > 0)
}

fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Option<Amount> {
    amount(resources?.limits.as_ref(), name)
}

/// What is requested; a limit without a request is one, as the API's defaulting makes it.
fn request(resources: Option<&ResourceRequirements>, name: &str) -> Option<Amount> {
    let resources = resources?;
    match resources.requests.as_ref() {
        Some(requests) if requests.contains_key(name) => amount(Some(requests), name),
        _ => amount(resources.limits.as_ref(), name),
    }
}

/// Whether an init container runs on beside the pod's containers.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn init_containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
}

fn containers(pod: &Pod) -> &[Container] {
    pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default()
}

const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// The pod's QoS class.
pub fn qos(pod: &Pod) -> Qos {
    let parts: Vec<Option<&ResourceRequirements>> =
        match pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()) {
            Some(whole) => vec![Some(whole)],
            None => {
                containers(pod).iter().chain(init_containers(pod)).map(|c| c.resources.as_ref()).collect()
            }
        };
    let mut any = false;
    let mut guaranteed = !parts.is_empty();
    for part in parts {
        for name in COMPUTE {
            let (request, limit) = (request(part, name), limit(part, name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => Qos::BestEffort,
        (true, true) => Qos::Guaranteed,
        (true, false) => Qos::Burstable,
    }
}

/// How eagerly the kernel kills a container when memory runs out.
fn oom_score_adj(pod: &Pod, container: &Container, node_memory: i64) -> i32 {
    let spec = pod.spec.as_ref();
    if spec.and_then(|spec| spec.priority).unwrap_or(0) >= 2_000_001_000 {
        return -997;
    }
    match qos(pod) {
        Qos::Guaranteed => return -997,
        Qos::BestEffort => return 1000,
        Qos::Burstable => {}
    }
    let memory = |c: &Container| request(c.resources.as_ref(), "memory").map_or(0, |amount| amount.value());
    let score = |bytes: i64| 1000 - 1000i64.saturating_mul(bytes) / node_memory.max(1);
    let mut adjust = score(memory(container));
    let sidecar = is_sidecar(container) && init_containers(pod).iter().any(|c| c.name == container.name);
    if sidecar && let Some(least) = containers(pod).iter().map(memory).min() {
        adjust = adjust.min(score(least));
    }
    match adjust {
        ..=2 => 3,
        1000 => 999,
        other => other.min(1000) as i32,
    }
}

fn millis(amount: Option<Amount>) -> Option<u64> {
    amount.and_then(|amount| u64::try_from(amount.millis()).ok())
}

fn bytes(amount: Option<Amount>) -> Option<u64> {
    amount.and_then(|amount| u64::try_from(amount.value()).ok())
}

/// The limits of a container's cgroup.
pub fn container_resources(pod: &Pod, container: &Container, node_memory: i64) -> Resources {
    let resources = container.resources.as_ref();
    Resources {
        // Without a request the weight is the least there is, as upstream's 2 shares.
        cpu_request_millis: Some(millis(request(resources, "cpu")).unwrap_or(0)),
        cpu_limit_millis: millis(limit(resources, "cpu")),
        memory_limit: bytes(limit(resources, "memory")),
        pids_limit: None,
        oom_score_adj: Some(oom_score_adj(pod, container, node_memory)),
    }
}

/// The limits of the pod's own cgroup: a limit holds only if every container has one.
pub fn pod_resources(pod: &Pod) -> Resources {
    let every_limit = |name: &str| {
        let own = pod.spec.as_ref().and_then(|spec| limit(spec.resources.as_ref(), name));
        let each = || containers(pod).iter().chain(init_containers(pod));
        own.or_else(|| {
            each().all(|c| limit(c.resources.as_ref(), name).is_some()).then(|| pod_sum(pod, name, limit))
        })
    };
    Resources {
        cpu_request_millis: Some(millis(Some(pod_request(pod, "cpu"))).unwrap_or(0)),
        cpu_limit_millis: millis(every_limit("cpu")),
        memory_limit: bytes(every_limit("memory")),
        pids_limit: None,
        oom_score_adj: None,
    }
}

/// The pod's sum of what `of` reads of each container, as the scheduler counts it.
fn pod_sum(pod: &Pod, name: &str, of: fn(Option<&ResourceRequirements>, &str) -> Option<Amount>) -> Amount {
    let read = |c: &Container| of(c.resources.as_ref(), name).unwrap_or_default();
    let mut sidecars = Amount::default();
    let mut most = Amount::default();
    for init in init_containers(pod) {
        if is_sidecar(init) {
            sidecars += read(init);
            most = most.max(sidecars);
        } else {
            most = most.max(sidecars + read(init));
        }
    }
    let running: Amount = containers(pod).iter().map(read).sum();
    most.max(running + sidecars)
}

/// What the pod requests of a resource, overhead included.
pub fn pod_request(pod: &Pod, name: &str) -> Amount {
    let spec = pod.spec.as_ref();
    let own = spec.and_then(|spec| request(spec.resources.as_ref(), name));
    let sum = own.unwrap_or_else(|| pod_sum(pod, name, request));
    let overhead = spec.and_then(|spec| amount(spec.overhead.as_ref(), name)).unwrap_or_default();
    sum + overhead
}

/// The names of everything that the pod requests.
pub fn requested_names(pod: &Pod) -> Vec<String> {
    let mut names = Vec::new();
    for container in containers(pod).iter().chain(init_containers(pod)) {
        let Some(resources) = &container.resources else { continue };
        for list in [&resources.requests, &resources.limits].into_iter().flatten() {
            names.extend(list.keys().cloned());
        }
    }
    names.sort();
    names.dedup();
    names
}
