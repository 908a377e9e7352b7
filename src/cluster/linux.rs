//! The parts of a real node: runtime, links, Service table, images, agent.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parking_lot::Mutex;

use super::ranges::{Claim, Ranges};
use super::{NodeSpec, StartError};
use crate::apiserver::Server;
use crate::controllers::Programmed;
use crate::net::{self, Covered, LinksConfig, NftConfig, PodLinks, ServiceProxy, ServiceTable};
use crate::node::agent::{self, FolderPods, Hands, Machine, NetProber, NodeAgent, NodeConfig};
use crate::node::folder_watch::{FolderWatch, FolderWatchError};
use crate::node::images::{FolderSource, ImageSource, ImageStore, StoreOptions};
use crate::node::local::{LocalImages, LocalInputs};
use crate::node::network::{PodAddresses, PodNetns, PodNetwork, PodNetworkError};
use crate::node::runtime::Runtime;
use crate::node::runtime::linux::{LinuxConfig, LinuxRuntime, OnHostExit, WritableLayers};
use crate::reconcile::{Loop, Spawner};
use crate::store::Revision;
use crate::world::World;

/// The real node of a cluster.
pub struct LinuxNode {
    name: String,
    id: String,
    runtime: Arc<LinuxRuntime>,
    links: Arc<PodLinks>,
    table: Arc<Mutex<ServiceTable>>,
    state: PathBuf,
    warnings: Vec<String>,
    _manifests: Option<FolderWatch>,
    _ranges: Ranges,
    _claim: Claim,
}

impl LinuxNode {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that every kernel object of the cluster carries.
    pub fn cluster_id(&self) -> &str {
        &self.id
    }

    /// Its container runtime.
    pub fn runtime(&self) -> &Arc<LinuxRuntime> {
        &self.runtime
    }

    /// The folder of the pods' logs: `<namespace>_<pod>_<uid>/<container>/<n>.log`, in the CRI format.
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// What does not work here as it does elsewhere, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Ends everything; answers what could not be removed.
    pub(super) fn end(self) -> Vec<String> {
        let mut left = Vec::new();
        left.extend(self.runtime.shutdown().err().map(|cause| cause.to_string()));
        left.extend(self.table.lock().close().err().map(|cause| cause.to_string()));
        left.extend(self.links.close().iter().map(ToString::to_string));
        left.extend(remove(&self.state));
        left
    }
}

fn remove(folder: &PathBuf) -> Option<String> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Some(format!("{} cannot be removed: {cause}", folder.display()))
        }
        _ => None,
    }
}

impl fmt::Debug for LinuxNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinuxNode({} of {})", self.name, self.id)
    }
}

/// The pod network of this machine, as the agent asks for it.
#[derive(Debug)]
struct HostNetwork {
    links: Arc<PodLinks>,
    covered: Arc<Covered>,
}

impl PodNetwork for HostNetwork {
    fn reserve(&self, uid: &str, pod: &str) -> Result<Option<PodAddresses>, PodNetworkError> {
        let ips = self.links.reserve(uid);
        ips.map(|ips| Some(PodAddresses { ips: ips.ips })).map_err(|cause| PodNetworkError {
            pod: pod.to_owned(),
            step: "reserve",
            cause: cause.to_string(),
        })
    }

    fn attach(
        &self,
        uid: &str,
        pod: &str,
        netns: Option<&PodNetns>,
    ) -> Result<PodAddresses, PodNetworkError> {
        let failed = |cause: String| PodNetworkError { pod: pod.to_owned(), step: "attach", cause };
        let netns = netns.ok_or_else(|| failed("the sandbox has no network namespace".to_owned()))?;
        let ips = self.links.attach(uid, netns.namespace.as_fd(), netns.netlink.as_fd());
        ips.map(|ips| PodAddresses { ips: ips.ips }).map_err(|cause| failed(cause.to_string()))
    }

    fn detach(&self, uid: &str) -> Result<(), PodNetworkError> {
        self.links.detach(uid);
        Ok(())
    }

    fn covered(&self) -> Revision {
        self.covered.revision()
    }

    fn on_covered(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.covered.on_change(wake);
    }
}

/// What the node's Service proxy covers, as controllers ask for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage(Arc<Covered>);

impl Programmed for Coverage {
    fn covered(&self) -> Revision {
        self.0.revision()
    }

    fn on_covered(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.0.on_change(wake);
    }
}

/// Undoes what has been started, in reverse, when a later step fails.
struct Started<'a> {
    spec: &'a NodeSpec,
    runtime: Option<Arc<LinuxRuntime>>,
    links: Option<Arc<PodLinks>>,
    state: PathBuf,
}

impl Started<'_> {
    fn refuse(&mut self, cause: impl fmt::Display) -> StartError {
        if let Some(runtime) = self.runtime.take() {
            let _ = runtime.shutdown();
        }
        if let Some(links) = self.links.take() {
            links.close();
        }
        remove(&self.state);
        StartError::Node { node: self.spec.name.clone(), cause: cause.to_string() }
    }
}

/// Starts the node of a cluster: sweeps what dead clusters left, then starts its parts from the kernel up.
pub(super) fn start(
    spec: NodeSpec,
    ranges: Ranges,
    Coverage(covered): Coverage,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) -> Result<(LinuxNode, NodeAgent), StartError> {
    let id = format!("{:08x}", world.entropy.next() as u32);
    let state = ranges.state.join(&id);
    let mut started = Started { spec: &spec, runtime: None, links: None, state: state.clone() };
    let claim = match Claim::take(&id) {
        Ok(Some(claim)) => claim,
        Ok(None) => return Err(started.refuse(format!("the cluster id {id} is in use"))),
        Err(cause) => return Err(started.refuse(format!("the cluster id cannot be claimed: {cause}"))),
    };
    sweep(&ranges).map_err(|cause| started.refuse(cause))?;
    let config = LinuxConfig {
        cluster_id: id.clone(),
        node_name: spec.name.clone(),
        state_dir: ranges.state.clone(),
        on_host_exit: OnHostExit::EndAll,
        writable_layers: match spec.layers_on_disk {
            true => WritableLayers::StateFolder,
            false => WritableLayers::Memory,
        },
    };
    let runtime = match LinuxRuntime::start(&config, world) {
        Ok(runtime) => Arc::new(runtime),
        Err(cause) => return Err(started.refuse(missing(&config, world, cause.to_string()))),
    };
    started.runtime = Some(runtime.clone());
    let links = PodLinks::open(LinksConfig {
        cluster_id: id.clone(),
        pods: ranges.pods,
        services: ranges.services,
        ipv6: None,
        adopt: Vec::new(),
    });
    let links = Arc::new(links.map_err(|cause| started.refuse(cause))?);
    started.links = Some(links.clone());
    let table = ServiceTable::open(NftConfig {
        cluster_id: id.clone(),
        group: links.group(),
        gateways: links.gateways().to_vec(),
        pods: vec![IpNetwork::V4(ranges.pods)],
        cluster_pods: vec![IpNetwork::V4(ranges.pods)],
        services: vec![IpNetwork::V4(ranges.services)],
    });
    let table = Arc::new(Mutex::new(table.map_err(|cause| started.refuse(cause))?));
    let store = image_store(&spec, &state).map_err(|cause| started.refuse(cause))?;
    let mut warnings = net::obstacles().unwrap_or_default();
    let without = runtime.without_limits();
    if !without.is_empty() {
        warnings.push(format!("Containers run without limits of {} here.", without.join(", ")));
    }
    let proxy = ServiceProxy::new(&spec.name, table.clone(), covered.clone());
    Loop::start(proxy, server, world, spawner);
    let config = node_config(&spec, &ranges, links.gateways());
    let statics = spec.static_pods.as_ref().map(|folder| Arc::new(FolderPods::new(folder)));
    let manifests = watch_manifests(&spec, statics.as_ref()).map_err(|cause| started.refuse(cause))?;
    let hands = Hands {
        runtime: runtime.clone(),
        network: Arc::new(HostNetwork { links: links.clone(), covered }),
        images: Arc::new(LocalImages::new(store, sources(&spec))),
        inputs: Arc::new(LocalInputs::new(&state, allocatable(&config), world.clock.clone())),
        prober: Arc::new(NetProber::new(world.clock.clone())),
        statics: statics.map(|statics| statics as _),
    };
    let agent = agent::start(config, hands, server, world, spawner);
    let node = LinuxNode {
        name: spec.name.clone(),
        id,
        runtime,
        links,
        table,
        state,
        warnings,
        _manifests: manifests,
        _ranges: ranges,
        _claim: claim,
    };
    Ok((node, agent))
}

/// Removes what clusters left behind whose host and keeper are dead.
fn sweep(ranges: &Ranges) -> Result<(), String> {
    let dead = LinuxRuntime::sweep(&ranges.state).map_err(|cause| cause.to_string())?;
    if !dead.is_empty() {
        tracing::info!(clusters = ?dead, "removed what dead clusters had left");
    }
    for sentence in net::sweep(Claim::is_taken).errors {
        tracing::warn!("{sentence}");
    }
    Ok(())
}

/// Tells the node's own pods of changes of their folder.
fn watch_manifests(
    spec: &NodeSpec,
    statics: Option<&Arc<FolderPods>>,
) -> Result<Option<FolderWatch>, FolderWatchError> {
    let (Some(folder), Some(statics)) = (&spec.static_pods, statics.cloned()) else { return Ok(None) };
    FolderWatch::start(folder, move || statics.changed()).map(Some)
}

/// The one sentence that says what the machine lacks: what the trial finds, or else the step that failed.
fn missing(config: &LinuxConfig, world: &World, cause: String) -> String {
    match LinuxRuntime::probe(config, world) {
        Err(found) => found.to_string(),
        Ok(_) => cause,
    }
}

fn image_store(spec: &NodeSpec, state: &std::path::Path) -> Result<ImageStore, String> {
    let store = ImageStore::open(&state.join("images"), StoreOptions::default());
    let store = store.map_err(|cause| cause.to_string())?;
    for path in &spec.images {
        store.import(path, None).map_err(|cause| cause.to_string())?;
    }
    Ok(store)
}

fn sources(spec: &NodeSpec) -> Vec<Arc<dyn ImageSource>> {
    spec.image_folders.iter().map(|folder| Arc::new(FolderSource::new(folder)) as _).collect()
}

/// What the machine has, as the node tells it.
fn node_config(spec: &NodeSpec, ranges: &Ranges, gateways: &[IpAddr]) -> NodeConfig {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let memory = read("/proc/meminfo").lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let disk = nix::sys::statvfs::statvfs(&ranges.state);
    let system = nix::sys::utsname::uname().ok();
    let text = |part: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        system.as_ref().map(|name| part(name).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let machine = Machine {
        os: "linux".to_owned(),
        arch: match std::env::consts::ARCH {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        },
        kernel: text(|name| name.release()),
        os_image: read("/etc/os-release")
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME=").map(|name| name.trim_matches('"').to_owned()))
            .unwrap_or_default(),
        machine_id: read("/etc/machine-id"),
        system_uuid: read("/sys/class/dmi/id/product_uuid"),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
    };
    let mut labels = BTreeMap::new();
    labels.extend(spec.labels.iter().cloned());
    NodeConfig {
        labels,
        ips: vec![host_address(ranges).unwrap_or_else(|| gateways[0])],
        pod_cidrs: vec![ranges.pods.to_string()],
        cpu_millis: cores * 1000,
        memory: memory.map_or(1 << 30, |kilobytes| kilobytes * 1024),
        ephemeral_storage: disk.map_or(1 << 30, |disk| disk.blocks() * disk.fragment_size()),
        machine,
        host_resolv: read("/etc/resolv.conf"),
        ..NodeConfig::new(&spec.name)
    }
}

/// The first address of this machine that is not a pod's or the machine's alone.
fn host_address(ranges: &Ranges) -> Option<IpAddr> {
    let addresses = nix::ifaddrs::getifaddrs().ok()?;
    addresses
        .filter_map(|interface| Some(IpAddr::V4(interface.address?.as_sockaddr_in()?.ip())))
        .find(|ip| !ip.is_loopback() && !matches!(ip, IpAddr::V4(ip) if ranges.pods.contains(*ip)))
}

fn allocatable(config: &NodeConfig) -> BTreeMap<String, Quantity> {
    let entries = [
        ("cpu", format!("{}m", config.cpu_millis)),
        ("memory", config.memory.to_string()),
        ("ephemeral-storage", config.ephemeral_storage.to_string()),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), Quantity(value))).collect()
}
