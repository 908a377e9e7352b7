//! A cluster in this process: the only place that knows every part and wires them together.
//!
//! Owns the order in which parts start and end, and nothing that they do. Invariant: when [`Cluster::shutdown`] has
//! returned, or the cluster was dropped, nothing of it is left on the machine.

mod check;
#[cfg(feature = "kube")]
mod kube;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod ranges;
#[cfg(feature = "http")]
pub(crate) mod wire;

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::scheduling::v1::PriorityClass;

use crate::api::{Registry, StatusError, kinds};
use crate::apiserver::{Admission, Server, ServerConfig, ServiceRange};
use crate::client::{Client, Condition};
use crate::controllers::{self, Programmed};
use crate::limits::NODE_READY;
use crate::node::agent::hollow::{self, HollowNetwork};
use crate::node::agent::{NodeAgent, NodeConfig};
use crate::node::runtime::fake::FakeRuntime;
use crate::reconcile::threads::Threads;
use crate::reconcile::{Loop, Reconciler, Spawner};
use crate::scheduler::{Profile, Scheduler};
use crate::store::{Backend, Memory, Stored};
use crate::world::World;

#[cfg(target_os = "linux")]
pub use linux::LinuxNode;

/// Why a cluster did not start: one sentence, with what is missing and what still works.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// No thread could be started.
    #[error("the cluster's threads could not be started: {0}")]
    Threads(String),
    /// The door refused one of the cluster's own objects.
    #[error("the cluster's own objects could not be written: {0}")]
    Objects(#[from] StatusError),
    /// A real node cannot run here.
    #[error("node {node} cannot run here: {cause}; hollow nodes and the control plane work all the same")]
    Node {
        /// The node.
        node: String,
        /// What is missing, in one sentence.
        cause: String,
    },
    /// The builder was given what cannot be.
    #[error("{0}")]
    Builder(String),
    /// A node did not become ready in time.
    #[error("{0}")]
    NotReady(String),
}

type AddReconciler = Box<dyn FnOnce(&Arc<Server>, &World, &Arc<dyn Spawner>) + Send>;

/// What a cluster is to be made of. See [`Cluster::builder`].
pub struct ClusterBuilder {
    registry: Registry,
    backend: Arc<dyn Backend>,
    world: World,
    admission: Vec<Arc<dyn Admission>>,
    services: Option<ServiceRange>,
    hollow_nodes: usize,
    reconcilers: Vec<AddReconciler>,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    node: Option<NodeSpec>,
}

/// How a real node is set up.
#[derive(Clone, Debug, Default)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct NodeSpec {
    /// What `node` was called with; one, where all is well.
    pub names: Vec<String>,
    pub state_dir: Option<PathBuf>,
    pub images: Vec<PathBuf>,
    pub image_folders: Vec<PathBuf>,
    pub static_pods: Option<PathBuf>,
    pub labels: Vec<(String, String)>,
    pub layers_on_disk: bool,
    pub pod_range: Option<ipnetwork::Ipv4Network>,
}

impl NodeSpec {
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterBuilder({:?}, {} hollow nodes)", self.node, self.hollow_nodes)
    }
}

impl ClusterBuilder {
    /// Adds a real node of this name: pods run on this machine. Linux only, and one a cluster.
    pub fn node(mut self, name: &str) -> ClusterBuilder {
        self.spec().names.push(name.to_owned());
        self
    }

    /// Adds hollow nodes (`hollow-0`, …): pods are bound to them and become Running, and nothing runs.
    pub fn hollow_nodes(mut self, count: usize) -> ClusterBuilder {
        self.hollow_nodes += count;
        self
    }

    fn spec(&mut self) -> &mut NodeSpec {
        self.node.get_or_insert_default()
    }

    /// Gives the real node an image: an OCI layout, or an OCI or Docker archive, under the names in it.
    pub fn image(mut self, path: impl Into<PathBuf>) -> ClusterBuilder {
        self.spec().images.push(path.into());
        self
    }

    /// Lets the real node find images in a folder of layouts and archives when a pod asks for them.
    pub fn image_folder(mut self, path: impl Into<PathBuf>) -> ClusterBuilder {
        self.spec().image_folders.push(path.into());
        self
    }

    /// Runs the pods of a folder of manifests on the real node, whatever the API says. The folder is made if it is
    /// missing, and watched.
    pub fn static_pods(mut self, folder: impl Into<PathBuf>) -> ClusterBuilder {
        self.spec().static_pods = Some(folder.into());
        self
    }

    /// Adds a label to the real node.
    pub fn node_label(mut self, key: &str, value: &str) -> ClusterBuilder {
        self.spec().labels.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Keeps the real node's state below this folder instead of `/run/coracle`.
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> ClusterBuilder {
        self.spec().state_dir = Some(folder.into());
        self
    }

    /// Keeps what containers write to their root file systems in the state folder instead of memory.
    pub fn layers_on_disk(mut self) -> ClusterBuilder {
        self.spec().layers_on_disk = true;
        self
    }

    /// Gives the real node's pods their addresses from this range. Without it, a range that no other cluster of this
    /// machine uses is taken.
    pub fn pod_range(mut self, range: ipnetwork::Ipv4Network) -> ClusterBuilder {
        self.spec().pod_range = Some(range);
        self
    }

    /// Gives Services their addresses from this range. Without it, one that no other cluster of this machine uses.
    pub fn service_range(mut self, range: ipnetwork::Ipv4Network) -> ClusterBuilder {
        self.services = Some(ServiceRange { addresses: range });
        self
    }

    /// Takes time and chance from here.
    pub fn world(mut self, world: World) -> ClusterBuilder {
        self.world = world;
        self
    }

    /// Keeps the truth here instead of in memory.
    pub fn backend(mut self, backend: Arc<dyn Backend>) -> ClusterBuilder {
        self.backend = backend;
        self
    }

    /// Adds a link to the admission chain.
    pub fn admission(mut self, link: Arc<dyn Admission>) -> ClusterBuilder {
        self.admission.push(link);
        self
    }

    /// Runs a reconciler of the host's own beside the built-in ones.
    pub fn reconciler<R: Reconciler>(mut self, reconciler: R) -> ClusterBuilder {
        self.reconcilers.push(Box::new(move |server, world, spawner| {
            Loop::start(reconciler, server, world, spawner);
        }));
        self
    }

    /// Starts the cluster; returns when its nodes are ready.
    ///
    /// # Errors
    /// One sentence. Nothing of the attempt is left.
    pub fn start(mut self) -> Result<Cluster, StartError> {
        check::check(&self)?;
        #[cfg(target_os = "linux")]
        let ranges = match &self.node {
            Some(spec) => Some(ranges::Ranges::take(spec, self.services)?),
            None => None,
        };
        #[cfg(target_os = "linux")]
        if let Some(ranges) = &ranges {
            self.services = Some(ServiceRange { addresses: ranges.services });
        }
        #[cfg(not(target_os = "linux"))]
        if let Some(spec) = &self.node {
            let cause = "real nodes need Linux".to_owned();
            return Err(StartError::Node { node: spec.name().to_owned(), cause });
        }
        let server = Server::open(ServerConfig {
            registry: Arc::new(self.registry),
            backend: self.backend,
            world: self.world.clone(),
            admission: self.admission,
            services: self.services.unwrap_or_default(),
        });
        write_namespaces(&server)?;
        write_priority_classes(&server)?;
        let threads = Threads::start(&self.world).map_err(|cause| StartError::Threads(cause.to_string()))?;
        let spawner: Arc<dyn Spawner> = threads.clone();
        #[cfg(target_os = "linux")]
        let covered = self.node.is_some().then(linux::Coverage::default);
        #[cfg(target_os = "linux")]
        let programmed = covered.clone().map(|covered| Arc::new(covered) as Arc<dyn Programmed>);
        #[cfg(not(target_os = "linux"))]
        let programmed = None;
        start_control_plane(programmed, &server, &self.world, &spawner);
        for add in self.reconcilers {
            add(&server, &self.world, &spawner);
        }
        let mut agents = start_hollow_nodes(self.hollow_nodes, &server, &self.world, &spawner);
        #[cfg(feature = "http")]
        let alarms = wire::AlarmClock::start(&self.world, &spawner);
        #[cfg(feature = "kube")]
        let executor = kube::Executor::start().map_err(|cause| StartError::Threads(cause.to_string()))?;
        let mut cluster = Cluster {
            client: Client::local(server.clone()),
            #[cfg(feature = "kube")]
            executor,
            #[cfg(feature = "http")]
            alarms,
            server,
            threads,
            agents: Vec::new(),
            #[cfg(target_os = "linux")]
            node: None,
        };
        #[cfg(target_os = "linux")]
        if let (Some(spec), Some(ranges), Some(covered)) = (self.node, ranges, covered) {
            let (node, agent) = linux::start(spec, ranges, covered, &cluster.server, &self.world, &spawner)?;
            cluster.node = Some(node);
            agents.push(agent);
        }
        cluster.agents = agents;
        cluster.await_nodes()?;
        Ok(cluster)
    }
}

/// The namespaces that every cluster has.
pub(crate) fn write_namespaces(server: &Arc<Server>) -> Result<(), StatusError> {
    let namespaces = Client::local(server.clone()).all::<Namespace>();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        match namespaces.create(&namespace) {
            Ok(_) => {}
            // A durable backend has them already.
            Err(crate::client::Error::Status(status)) if status.is_already_exists() => {}
            Err(crate::client::Error::Status(status)) => return Err(status),
            Err(other) => return Err(StatusError::new(crate::api::Reason::InternalError, other.to_string())),
        }
    }
    Ok(())
}

/// The priorities that every cluster has.
fn write_priority_classes(server: &Arc<Server>) -> Result<(), StatusError> {
    let classes = Client::local(server.clone()).all::<PriorityClass>();
    for class in kinds::system_priority_classes() {
        match classes.create(&class) {
            Ok(_) => {}
            Err(crate::client::Error::Status(status)) if status.is_already_exists() => {}
            Err(crate::client::Error::Status(status)) => return Err(status),
            Err(other) => return Err(StatusError::new(crate::api::Reason::InternalError, other.to_string())),
        }
    }
    Ok(())
}

/// The controllers and the scheduler of every cluster. Hollow pods need no `programmed`: nobody connects to them.
pub(crate) fn start_control_plane(
    programmed: Option<Arc<dyn Programmed>>,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) {
    controllers::start_all(programmed, server, world, spawner);
    Loop::start(Scheduler::new(Profile::default()), server, world, spawner);
}

/// Where hollow pods have their addresses: a range set aside for documentation and benchmarks, which no host routes.
const HOLLOW_PODS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The network that the hollow nodes of a cluster share.
pub(crate) fn hollow_network() -> Arc<HollowNetwork> {
    Arc::new(HollowNetwork::new(HOLLOW_PODS, (1 << 17) - 2))
}

/// Starts one hollow node. Its loops are added to `spawner`.
pub(crate) fn start_hollow_node(
    name: &str,
    network: &Arc<HollowNetwork>,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) -> NodeAgent {
    let runtime = Arc::new(FakeRuntime::new(world.clone()));
    hollow::start(NodeConfig::new(name), runtime, network.clone(), server, world, spawner)
}

fn start_hollow_nodes(
    count: usize,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) -> Vec<NodeAgent> {
    let network = hollow_network();
    let names = (0..count).map(|number| format!("hollow-{number}"));
    names.map(|name| start_hollow_node(&name, &network, server, world, spawner)).collect()
}

/// A cluster in this process. Dropping it ends it and leaves the machine as it was found.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use coracle::client::{Api, conditions};
/// use coracle::cluster::Cluster;
/// use coracle::k8s_openapi::api::core::v1::Pod;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = Cluster::builder().hollow_nodes(1).start()?;
/// let client = cluster.client();
/// client.apply_manifest("{apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: a, image: a}]}}")?;
/// let pods: Api<Pod> = client.namespaced("default");
/// pods.wait("", conditions::ready(1), Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// ```
pub struct Cluster {
    server: Arc<Server>,
    client: Client,
    #[cfg(feature = "kube")]
    executor: kube::Executor,
    #[cfg(feature = "http")]
    alarms: Arc<wire::AlarmClock>,
    threads: Arc<Threads>,
    agents: Vec<NodeAgent>,
    #[cfg(target_os = "linux")]
    node: Option<LinuxNode>,
}

impl Cluster {
    /// What a cluster is to be made of: at first a control plane without nodes, in memory.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder {
            registry: kinds::builtin(),
            backend: Arc::new(Memory::new()),
            world: World::real(),
            admission: Vec::new(),
            services: None,
            hollow_nodes: 0,
            reconcilers: Vec::new(),
            node: None,
        }
    }

    /// A client of the cluster.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The cluster as a `tower` service: an HTTP request in, a response out, without a socket. For hosts with a client
    /// of their own.
    ///
    /// Requests are answered by the thread that awaits the answer, unless they may block. Streams end when the cluster does.
    #[cfg(feature = "http")]
    pub fn wire_service(&self) -> crate::apiserver::http::Wire {
        let blocking = Arc::new(wire::Executor(self.threads.clone()));
        crate::apiserver::http::Wire::new(self.server.clone(), self.alarms.clone()).with_blocking(blocking)
    }

    /// A `kube::Client` of the cluster, without a socket.
    ///
    /// Needs no runtime to be made, belongs to none, and works from any number of them until the cluster ends.
    ///
    /// A request passes through a thread of the cluster on its way. A runtime whose time is paused
    /// (`tokio::time::pause`) sees that as idling and moves its time on to the next timer; a test that sets such timers
    /// around its requests makes its client in its own runtime instead, where nothing is passed on:
    /// `kube::Client::new(cluster.wire_service(), "default")`. That one ends with its runtime.
    #[cfg(feature = "kube")]
    pub fn kube_client(&self) -> ::kube::Client {
        self.executor.client(self.wire_service())
    }

    /// The door of the cluster.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The real node, if the cluster has one.
    #[cfg(target_os = "linux")]
    pub fn linux_node(&self) -> Option<&LinuxNode> {
        self.node.as_ref()
    }

    fn await_nodes(&self) -> Result<(), StartError> {
        if self.agents.is_empty() {
            return Ok(());
        }
        let ready = NodesReady { count: self.agents.len() };
        let waited = self.client.all::<Node>().wait("", ready, NODE_READY);
        waited.map(|_| ()).map_err(|cause| StartError::NotReady(cause.to_string()))
    }

    /// Ends the cluster: every pod at once, and everything that it had on this machine. Waits until it is gone.
    ///
    /// # Errors
    /// What could not be removed, one sentence each.
    pub fn shutdown(mut self) -> Result<(), ShutdownError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), ShutdownError> {
        #[cfg(feature = "http")]
        self.alarms.close();
        #[cfg(feature = "kube")]
        self.executor.stop();
        self.threads.stop();
        self.agents.clear();
        #[cfg(target_os = "linux")]
        if let Some(node) = self.node.take() {
            let causes = node.end();
            if !causes.is_empty() {
                return Err(ShutdownError { causes });
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(cause) = self.end() {
            tracing::error!(%cause, "the cluster left something behind");
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}

/// What a cluster could not remove when it ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cluster left something behind: {}", causes.join("; "))]
pub struct ShutdownError {
    /// One sentence each.
    pub causes: Vec<String>,
}

/// At least this many nodes are ready.
struct NodesReady {
    count: usize,
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl Condition<Node> for NodesReady {
    fn holds(&self, nodes: &[Stored<Node>]) -> bool {
        nodes.iter().filter(|node| is_ready(node)).count() >= self.count
    }

    fn what(&self) -> String {
        format!("{} ready", self.count)
    }
}
