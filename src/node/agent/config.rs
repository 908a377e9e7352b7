//! What an agent is told about its node, and the hands that it works with.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::seams::{Images, Inputs, Prober, StaticPods};
use crate::limits::NODE_PODS;
use crate::node::network::PodNetwork;
use crate::node::runtime::{Runtime, Seccomp};

/// What a node tells about its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `linux`.
    pub os: String,
    /// As Go names it: `amd64`, `arm64`.
    pub arch: String,
    /// The kernel's release.
    pub kernel: String,
    /// What the system calls itself.
    pub os_image: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The firmware's uuid.
    pub system_uuid: String,
    /// The uuid of this boot.
    pub boot_id: String,
}

/// A node as its owner configures it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Taints that it registers with: key, value, effect.
    pub taints: Vec<(String, String, String)>,
    /// Its addresses, the primary one first, at most one of each family.
    pub ips: Vec<IpAddr>,
    /// The ranges that its pods get their addresses from, as text.
    pub pod_cidrs: Vec<String>,
    /// CPU, in millicores.
    pub cpu_millis: u64,
    /// Memory, in bytes.
    pub memory: u64,
    /// Room on disk, in bytes.
    pub ephemeral_storage: u64,
    /// The most pods.
    pub pods: u32,
    /// Further resources, as quantities.
    pub extra: BTreeMap<String, String>,
    /// What it tells about its machine.
    pub machine: Machine,
    /// The port of its own API, if it serves one.
    pub daemon_port: Option<u16>,
    /// The address of the cluster's DNS, for `dnsPolicy: ClusterFirst`; without it pods get the host's resolver.
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// The host's `resolv.conf`, as text.
    pub host_resolv: String,
    /// The filter of system calls where a pod says nothing.
    pub default_seccomp: Seccomp,
}

impl NodeConfig {
    /// A node of this name: 2 cores, 4 GiB, 110 pods, no addresses.
    pub fn new(name: &str) -> NodeConfig {
        NodeConfig {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            ips: Vec::new(),
            pod_cidrs: Vec::new(),
            cpu_millis: 2000,
            memory: 4 << 30,
            ephemeral_storage: 20 << 30,
            pods: NODE_PODS,
            extra: BTreeMap::new(),
            machine: Machine { os: "linux".to_owned(), arch: "amd64".to_owned(), ..Machine::default() },
            daemon_port: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            host_resolv: String::new(),
            default_seccomp: Seccomp::Unconfined,
        }
    }
}

/// What an agent works with. Several agents may share some of it.
#[derive(Clone, Debug)]
pub struct Hands {
    /// Makes containers.
    pub runtime: Arc<dyn Runtime>,
    /// Connects pods.
    pub network: Arc<dyn PodNetwork>,
    /// Finds images.
    pub images: Arc<dyn Images>,
    /// Prepares files, volumes and environment.
    pub inputs: Arc<dyn Inputs>,
    /// Reaches into pods.
    pub prober: Arc<dyn Prober>,
    /// Pods of the node's own; `None` for none.
    pub statics: Option<Arc<dyn StaticPods>>,
}

type Listener = Box<dyn Fn() + Send + Sync>;

/// Whether the node can run pods: written by the agent, read by the registration.
#[derive(Default)]
pub struct Health {
    trouble: Mutex<Option<String>>,
    listeners: Mutex<Vec<Listener>>,
}

impl Health {
    /// Why the node cannot run pods; `None` if it can.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Says why the node cannot run pods, and tells those who listen.
    pub fn set_trouble(&self, reason: String) {
        self.set(Some(reason));
    }

    /// Says that the node can run pods again, and tells those who listen.
    pub fn clear(&self) {
        self.set(None);
    }

    fn set(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
        for listener in self.listeners.lock().iter() {
            listener();
        }
    }

    /// Calls `wake` whenever the answer changes.
    pub fn on_change(&self, wake: Listener) {
        self.listeners.lock().push(wake);
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("trouble", &*self.trouble.lock()).finish_non_exhaustive()
    }
}
