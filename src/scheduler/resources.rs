//! Amounts of resources as the scheduler counts them: whole numbers, cpu in thousandths.
//!
//! Owns what a pod asks for (init containers, sidecars, overhead, pod-level requests) and what a node can give.
//! Knows no node's use. Invariant: `extended` is sorted by name and holds no zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::quantity::Amount;
use crate::limits::{SCHEDULER_GUESSED_CPU_MILLIS, SCHEDULER_GUESSED_MEMORY_BYTES};

type List = BTreeMap<String, Quantity>;

/// Amounts of each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// Everything else that is counted: extended resources, huge pages, attachable volumes.
    extended: Vec<(Arc<str>, i64)>,
}

impl Resources {
    /// The amounts of a list; a quantity that is none counts as nothing, since the door refuses it.
    pub fn of(list: &List) -> Resources {
        let mut resources = Resources::default();
        for (name, quantity) in list {
            let amount = Amount::try_from(quantity).unwrap_or(Amount::ZERO);
            match name.as_str() {
                "cpu" => resources.milli_cpu = amount.millis(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                name if is_counted(name) => resources.set(name, amount.value()),
                _ => {}
            }
        }
        resources
    }

    /// The amount of an extended resource.
    pub fn extended(&self, name: &str) -> i64 {
        self.find(name).map_or(0, |at| self.extended[at].1)
    }

    /// Every extended resource that is there.
    pub fn extended_all(&self) -> impl Iterator<Item = (&str, i64)> {
        self.extended.iter().map(|(name, amount)| (&**name, *amount))
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        self.milli_cpu == 0 && self.memory == 0 && self.ephemeral_storage == 0 && self.extended.is_empty()
    }

    /// Adds each amount.
    pub fn add(&mut self, other: &Resources) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes each amount away.
    pub fn subtract(&mut self, other: &Resources) {
        self.combine(other, i64::saturating_sub);
    }

    /// Takes the larger of each.
    pub fn raise_to(&mut self, other: &Resources) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Resources, with: fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.extended {
            let sum = with(self.extended(name), *amount);
            self.set(name, sum);
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.extended.binary_search_by(|(known, _)| (**known).cmp(name)).ok()
    }

    fn set(&mut self, name: &str, amount: i64) {
        match self.extended.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) if amount == 0 => {
                self.extended.remove(at);
            }
            Ok(at) => self.extended[at].1 = amount,
            Err(_) if amount == 0 => {}
            Err(at) => self.extended.insert(at, (Arc::from(name), amount)),
        }
    }
}

/// Whether a resource besides the basic ones is counted.
fn is_counted(name: &str) -> bool {
    name.contains('/') || name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// As written.
    pub exact: Resources,
    /// With a guess for each container that asks for no cpu or no memory, so that scores see it.
    pub guessed: Resources,
}

impl Requests {
    /// The requests of a pod.
    pub fn of(spec: &PodSpec) -> Requests {
        Requests { exact: pod_requests(spec, false), guessed: pod_requests(spec, true) }
    }
}

fn container_requests(container: &Container, guess: bool) -> Resources {
    let empty = List::new();
    let list = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let list = list.unwrap_or(&empty);
    let mut resources = Resources::of(list);
    if guess {
        if !list.contains_key("cpu") {
            resources.milli_cpu = SCHEDULER_GUESSED_CPU_MILLIS;
        }
        if !list.contains_key("memory") {
            resources.memory = SCHEDULER_GUESSED_MEMORY_BYTES;
        }
    }
    resources
}

/// Whether a container of the init list runs beside the others for the pod's whole life.
pub(super) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The most that a pod needs at any time: all containers and sidecars together, or an init container with the
/// sidecars started before it; or what the pod as a whole asks for; and its overhead.
fn pod_requests(spec: &PodSpec, guess: bool) -> Resources {
    let mut sum = Resources::default();
    for container in &spec.containers {
        sum.add(&container_requests(container, guess));
    }
    let mut sidecars = Resources::default();
    let mut starting = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let mut asked = container_requests(container, guess);
        if is_sidecar(container) {
            sum.add(&asked);
            sidecars.add(&asked);
            asked = sidecars.clone();
        } else {
            asked.add(&sidecars);
        }
        starting.raise_to(&asked);
    }
    sum.raise_to(&starting);
    let whole = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    for (name, quantity) in whole.into_iter().flatten() {
        let amount = Amount::try_from(quantity).unwrap_or(Amount::ZERO);
        match name.as_str() {
            "cpu" => sum.milli_cpu = amount.millis(),
            "memory" => sum.memory = amount.value(),
            name if name.starts_with("hugepages-") => sum.set(name, amount.value()),
            _ => {}
        }
    }
    if let Some(overhead) = &spec.overhead {
        sum.add(&Resources::of(overhead));
    }
    sum
}
