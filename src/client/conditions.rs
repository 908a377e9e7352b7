//! What [`Api::wait`](super::Api::wait) can wait for.
//!
//! A condition looks at all selected objects. Closures over them are conditions too.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

use crate::api::Kind;
use crate::api::kinds::versions::Specified;
use crate::store::Stored;

/// Something that the selected objects fulfil or not.
pub trait Condition<K: Kind> {
    /// Whether they do.
    fn holds(&self, objects: &[Stored<K>]) -> bool;

    /// What is waited for, for the error: `3 ready`.
    fn what(&self) -> String {
        "a condition".to_owned()
    }

    /// How things stand, for the error.
    fn state(&self, objects: &[Stored<K>]) -> String {
        let names: Vec<&str> = objects.iter().map(|object| object.name()).collect();
        format!("{} are there: {}", objects.len(), names.join(", "))
    }
}

impl<K: Kind, F: Fn(&[Stored<K>]) -> bool> Condition<K> for F {
    fn holds(&self, objects: &[Stored<K>]) -> bool {
        self(objects)
    }
}

/// At least this many pods are ready and not being deleted.
pub fn ready(count: usize) -> Ready {
    Ready { count }
}

/// See [`ready`].
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    count: usize,
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl Condition<Pod> for Ready {
    fn holds(&self, pods: &[Stored<Pod>]) -> bool {
        pods.iter().filter(|pod| !pod.is_deleting() && is_ready(pod)).count() >= self.count
    }

    fn what(&self) -> String {
        format!("{} ready", self.count)
    }

    fn state(&self, pods: &[Stored<Pod>]) -> String {
        let lines: Vec<String> = pods.iter().map(pod_state).collect();
        let ready = pods.iter().filter(|pod| is_ready(pod)).count();
        format!("{ready} of {} are: {}", pods.len(), lines.join("; "))
    }
}

/// A pod's name and why it is not ready, as far as its status says.
fn pod_state(pod: &Stored<Pod>) -> String {
    let Some(status) = &pod.status else { return format!("{} has no status", pod.name()) };
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref()?;
        let message = waiting.message.as_deref().unwrap_or_default();
        Some(format!("{} {message}", waiting.reason.as_deref().unwrap_or("waiting")))
    });
    let unmet = status.conditions.iter().flatten().find(|c| c.status != "True" && c.message.is_some());
    let why = waiting.or_else(|| unmet.and_then(|condition| condition.message.clone()));
    let phase = status.phase.as_deref().unwrap_or("without phase");
    format!("{} {phase} {}", pod.name(), why.unwrap_or_default()).trim_end().to_owned()
}

/// Every selected deployment has observed its newest state and has all of its replicas updated and available,
/// and no old ones left. There must be at least one.
pub fn available() -> Available {
    Available
}

/// See [`available`].
#[derive(Clone, Copy, Debug)]
pub struct Available;

fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else { return false };
    status.observed_generation >= deployment.metadata.generation
        && status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

impl Condition<Deployment> for Available {
    fn holds(&self, deployments: &[Stored<Deployment>]) -> bool {
        !deployments.is_empty() && deployments.iter().all(|deployment| is_rolled_out(deployment))
    }

    fn what(&self) -> String {
        "the rollout".to_owned()
    }

    fn state(&self, deployments: &[Stored<Deployment>]) -> String {
        let line = |deployment: &Stored<Deployment>| {
            let status = deployment.status.clone().unwrap_or_default();
            format!(
                "{} has {} of {} updated, {} available",
                deployment.name(),
                status.updated_replicas.unwrap_or(0),
                deployment.spec().and_then(|spec| spec.replicas).unwrap_or(1),
                status.available_replicas.unwrap_or(0)
            )
        };
        deployments.iter().map(line).collect::<Vec<_>>().join("; ")
    }
}

/// No selected object is there.
pub fn gone() -> Gone {
    Gone
}

/// See [`gone`].
#[derive(Clone, Copy, Debug)]
pub struct Gone;

impl<K: Kind> Condition<K> for Gone {
    fn holds(&self, objects: &[Stored<K>]) -> bool {
        objects.is_empty()
    }

    fn what(&self) -> String {
        "the end".to_owned()
    }
}

/// Exactly this many objects are there.
pub fn count(count: usize) -> Count {
    Count { count }
}

/// See [`count`].
#[derive(Clone, Copy, Debug)]
pub struct Count {
    count: usize,
}

impl<K: Kind> Condition<K> for Count {
    fn holds(&self, objects: &[Stored<K>]) -> bool {
        objects.len() == self.count
    }

    fn what(&self) -> String {
        format!("the presence of {}", self.count)
    }
}
