//! A node as the scheduler sees it: what it offers and what its pods take.
//!
//! Owns [`NodeInfo`] and its bookkeeping. Invariant: what is taken is the sum over the pods that were added and
//! not removed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Taint};

use super::pod::{ALL_ADDRESSES, HostPort, Usage};
use super::resources::Resources;
use crate::api::quantity::Amount;
use crate::store::{Record, Stored};

/// What the pods of a node take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The requests as written.
    pub exact: Resources,
    /// The requests with guesses for what was not written.
    pub guessed: Resources,
    /// How many pods.
    pub pods: usize,
    /// How often each port of the host is taken.
    ports: BTreeMap<HostPort, usize>,
}

impl Taken {
    /// Adds a pod.
    pub fn add(&mut self, usage: &Usage) {
        self.exact.add(&usage.requests.exact);
        self.guessed.add(&usage.requests.guessed);
        self.pods += 1;
        for port in &usage.ports {
            *self.ports.entry(port.clone()).or_default() += 1;
        }
    }

    /// Takes a pod away that was added before.
    pub fn remove(&mut self, usage: &Usage) {
        self.exact.subtract(&usage.requests.exact);
        self.guessed.subtract(&usage.requests.guessed);
        self.pods = self.pods.saturating_sub(1);
        for port in &usage.ports {
            if let Some(count) = self.ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(port);
                }
            }
        }
    }

    /// Whether a port is taken: on the same address, or where either side means all addresses.
    pub fn has_port(&self, wanted: &HostPort) -> bool {
        let from = HostPort { address: Arc::from(""), ..wanted.clone() };
        self.ports
            .range(from..)
            .take_while(|(taken, _)| taken.port == wanted.port && taken.protocol == wanted.protocol)
            .any(|(taken, _)| {
                *taken.address == *wanted.address
                    || *wanted.address == *ALL_ADDRESSES
                    || *taken.address == *ALL_ADDRESSES
            })
    }
}

#[derive(Clone)]
enum Source {
    Stored(Arc<Record>),
    Typed(Arc<Node>),
}

/// A node with its use.
#[derive(Clone)]
pub struct NodeInfo {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// What its pods may take together.
    pub allocatable: Resources,
    /// How many pods it takes.
    pub allowed_pods: usize,
    /// What its pods take.
    pub taken: Taken,
    source: Source,
}

impl NodeInfo {
    /// A node without pods.
    pub fn new(node: &Arc<Node>) -> NodeInfo {
        NodeInfo::read(node, Source::Typed(node.clone()))
    }

    /// A stored node without pods. Its typed view is not kept.
    pub(crate) fn of_stored(node: &Stored<Node>) -> NodeInfo {
        NodeInfo::read(node, Source::Stored(node.record().clone()))
    }

    fn read(node: &Node, source: Source) -> NodeInfo {
        let spec = node.spec.as_ref();
        let empty = BTreeMap::new();
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let allocatable = allocatable.unwrap_or(&empty);
        let pods = allocatable.get("pods").and_then(|quantity| Amount::try_from(quantity).ok());
        NodeInfo {
            name: Arc::from(node.metadata.name.as_deref().unwrap_or_default()),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            allocatable: Resources::of(allocatable),
            allowed_pods: pods.map_or(0, |pods| usize::try_from(pods.value()).unwrap_or(0)),
            taken: Taken::default(),
            source,
        }
    }

    /// The whole node, for filters and scores that look at something else. Decoded on each call unless somebody
    /// else has just done so.
    pub fn node(&self) -> Arc<Node> {
        match &self.source {
            Source::Stored(record) => Stored::<Node>::new(record.clone()).shared(),
            Source::Typed(node) => node.clone(),
        }
    }

    /// Whether both offer the same to pods, whatever their pods take.
    pub fn offers_same(&self, other: &NodeInfo) -> bool {
        (&self.name, &self.labels, &self.taints, self.unschedulable)
            == (&other.name, &other.labels, &other.taints, other.unschedulable)
            && (&self.allocatable, self.allowed_pods) == (&other.allocatable, other.allowed_pods)
    }
}

impl PartialEq for NodeInfo {
    fn eq(&self, other: &NodeInfo) -> bool {
        self.offers_same(other) && self.taken == other.taken
    }
}

impl fmt::Debug for NodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeInfo({}, {:?} of {:?})", self.name, self.taken, self.allocatable)
    }
}
