//! A pod as the scheduler sees it: what it needs of a node, read once and ready to be held against many.
//!
//! Owns the compiled form. Invariant: two pods with equal needs are equal whatever else differs, so that an
//! update that changes no need wakes nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Toleration};

use super::affinity::{NodeTerms, PreferredTerm};
use super::resources::{Requests, is_sidecar};
use crate::api::ObjectKey;
use crate::store::{Record, Stored};

/// A port of a node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Arc<str>,
    /// The number.
    pub port: i32,
    /// The address, `0.0.0.0` for all.
    pub address: Arc<str>,
}

/// What a pod takes from its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resources.
    pub requests: Requests,
    /// Ports, sorted.
    pub ports: Vec<HostPort>,
}

#[derive(Clone)]
enum Source {
    Stored(Arc<Record>),
    Typed(Arc<Pod>),
}

/// A pod that wants a node.
#[derive(Clone)]
pub struct PodInfo {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Arc<str>,
    /// What it will take.
    pub usage: Arc<Usage>,
    /// `spec.nodeName`, where it is set already.
    pub node_name: Option<String>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// The node affinity that must hold.
    pub required: Option<NodeTerms>,
    /// The node affinity that is liked.
    pub preferred: Vec<PreferredTerm>,
    /// Which taints it bears.
    pub tolerations: Vec<Toleration>,
    /// Whether `spec.preemptionPolicy` is `Never`.
    pub never_preempts: bool,
    source: Source,
}

impl PodInfo {
    /// Reads a pod.
    pub fn new(pod: &Arc<Pod>) -> PodInfo {
        PodInfo::read(pod, Source::Typed(pod.clone()))
    }

    /// Reads a stored pod. Its typed view is not kept.
    pub(crate) fn of_stored(pod: &Stored<Pod>) -> PodInfo {
        PodInfo::read(pod, Source::Stored(pod.record().clone()))
    }

    fn read(pod: &Pod, source: Source) -> PodInfo {
        let key = ObjectKey::of(&pod.metadata);
        let uid = Arc::from(pod.metadata.uid.as_deref().unwrap_or_default());
        let spec = pod.spec.clone().unwrap_or_default();
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred =
            affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        PodInfo {
            key,
            uid,
            usage: Arc::new(Usage::of(pod)),
            required: required.map(|selector| NodeTerms::new(&selector.node_selector_terms)),
            preferred: preferred.into_iter().flatten().filter_map(PreferredTerm::new).collect(),
            node_name: spec.node_name.filter(|name| !name.is_empty()),
            node_selector: spec.node_selector.unwrap_or_default(),
            tolerations: spec.tolerations.unwrap_or_default(),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            source,
        }
    }

    /// The whole pod, for filters and scores that look at something else. Decoded on each call unless somebody
    /// else has just done so.
    pub fn pod(&self) -> Arc<Pod> {
        match &self.source {
            Source::Stored(record) => Stored::<Pod>::new(record.clone()).shared(),
            Source::Typed(pod) => pod.clone(),
        }
    }
}

impl PartialEq for PodInfo {
    fn eq(&self, other: &PodInfo) -> bool {
        (&self.key, &self.uid, &self.usage, &self.node_name, &self.node_selector)
            == (&other.key, &other.uid, &other.usage, &other.node_name, &other.node_selector)
            && (&self.required, &self.preferred, &self.tolerations)
                == (&other.required, &other.preferred, &other.tolerations)
    }
}

impl fmt::Debug for PodInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PodInfo({})", self.key)
    }
}

impl Usage {
    /// What a pod takes from its node.
    pub fn of(pod: &Pod) -> Usage {
        let Some(spec) = &pod.spec else { return Usage::default() };
        let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
        let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
        let mut ports: Vec<HostPort> = ports
            .filter_map(|port| {
                let or = |field: &Option<String>, default: &str| {
                    Arc::from(field.as_deref().filter(|text| !text.is_empty()).unwrap_or(default))
                };
                Some(HostPort {
                    protocol: or(&port.protocol, "TCP"),
                    port: port.host_port.filter(|number| *number > 0)?,
                    address: or(&port.host_ip, ALL_ADDRESSES),
                })
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        Usage { requests: Requests::of(spec), ports }
    }
}

/// The address that stands for all of a node's.
pub(super) const ALL_ADDRESSES: &str = "0.0.0.0";
