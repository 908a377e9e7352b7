//! What the agent asks of the node's other parts besides runtime and network: images, inputs, probes.
//!
//! Owns the traits and the plain data that crosses them. Who fills them: the image store and the volumes of a
//! Linux node through a thin adapter, [`hollow`](super::hollow) for hollow nodes. Every call may block and is made
//! from an executor, never from a loop, unless its documentation says otherwise.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::node::runtime::{Mount, Rootfs};
use crate::reconcile::View;

/// When an image is asked for elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// When it is not here.
    IfNotPresent,
    /// Never.
    Never,
}

impl PullPolicy {
    /// The policy of a container; where it gives none, the tag decides as upstream's defaulting does.
    pub fn of(container: &Container) -> PullPolicy {
        match container.image_pull_policy.as_deref() {
            Some("Always") => PullPolicy::Always,
            Some("Never") => PullPolicy::Never,
            Some("IfNotPresent") => PullPolicy::IfNotPresent,
            _ => {
                let image = container.image.as_deref().unwrap_or_default();
                let last = image.rsplit('/').next().unwrap_or_default();
                let untagged = !last.contains(':') && !image.contains('@');
                if untagged || (last.ends_with(":latest") && !image.contains('@')) {
                    PullPolicy::Always
                } else {
                    PullPolicy::IfNotPresent
                }
            }
        }
    }
}

/// An image that is here, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// Its id, as in `status.containerStatuses[].imageID`.
    pub id: String,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments.
    pub cmd: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// The working directory; empty for `/`.
    pub working_dir: String,
    /// The user as the image writes it; empty for root.
    pub user: String,
    /// The signal that asks it to end; `None` for SIGTERM.
    pub stop_signal: Option<i32>,
    /// Bytes of its layers.
    pub size: u64,
}

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageProblem {
    /// The name is none: `InvalidImageName`.
    #[error("{0}")]
    InvalidName(String),
    /// It is not here and must not be fetched: `ErrImageNeverPull`.
    #[error("{0}")]
    NeverPull(String),
    /// Fetching it failed: `ErrImagePull`, then `ImagePullBackOff`.
    #[error("{0}")]
    Failed(String),
}

/// Finds the root file systems of containers.
pub trait Images: Send + Sync + fmt::Debug + 'static {
    /// The image if it is here and `policy` lets it be used as it is; `None` if it must be fetched first.
    /// Must be quick: it is called on the way of every start.
    fn present(
        &self,
        reference: &str,
        policy: PullPolicy,
    ) -> Result<Option<Arc<ResolvedImage>>, ImageProblem>;

    /// Fetches the image. May take long.
    fn pull(&self, reference: &str) -> Result<Arc<ResolvedImage>, ImageProblem>;
}

/// The agent's own files of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFiles {
    /// `/etc/hosts`; `None` leaves the image's (host network).
    pub hosts: Option<String>,
    /// `/etc/resolv.conf`; `None` leaves the image's.
    pub resolv: Option<String>,
    /// The host name, for `/etc/hostname`.
    pub hostname: String,
}

/// An input that could not be made ready, in one sentence for the event `FailedMount` or for the waiting message
/// `CreateContainerConfigError`. Trying again later may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputProblem(pub String);

/// What a pod brings besides its images: its files, volumes and environment.
pub trait Inputs: Send + Sync + fmt::Debug + 'static {
    /// Makes the pod's folder, its files and its volumes ready. Doing it again brings them up to date.
    fn prepare(&self, pod: &Pod, view: &View, files: &PodFiles) -> Result<(), InputProblem>;

    /// The environment of a container: the image's, `envFrom` and `env`, services; expanded, in order. The
    /// pod's status carries the addresses that it has.
    fn environment(
        &self,
        pod: &Pod,
        container: &Container,
        image: &ResolvedImage,
        view: &View,
    ) -> Result<Vec<(String, String)>, InputProblem>;

    /// The mounts of a container: its volumes and the pod's files.
    fn mounts(
        &self,
        pod: &Pod,
        container: &Container,
        env: &[(String, String)],
    ) -> Result<Vec<Mount>, InputProblem>;

    /// Where a container's output goes; the folders above it are made.
    fn log_path(&self, pod: &Pod, container: &str, attempt: u32) -> Result<PathBuf, InputProblem>;

    /// The last of a container's output, for `FallbackToLogsOnError`.
    fn log_tail(&self, path: &std::path::Path, lines: usize, bytes: usize) -> String;

    /// Removes the volumes and files of a pod, by its uid. Its logs stay. Unknown uids are fine.
    fn release(&self, uid: &str) -> Result<(), InputProblem>;

    /// Removes the logs as well: the pod is gone for good.
    fn forget(&self, uid: &str, pod: &str) -> Result<(), InputProblem>;
}

/// An HTTP request of a probe or a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Where to connect to.
    pub address: IpAddr,
    /// The name given instead of an address, if one was given.
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// `HTTPS`.
    pub tls: bool,
    /// Path and query.
    pub path: String,
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is well.
    Success,
    /// It is well, with a warning for the event `ProbeWarning`.
    Warning(String),
    /// It is not; the text is the probe's output.
    Failure(String),
}

/// Reaches into pods over the network.
pub trait Prober: Send + Sync + fmt::Debug + 'static {
    /// Whether a TCP connection is accepted.
    fn tcp(&self, address: IpAddr, port: u16, timeout: Duration) -> Verdict;

    /// Whether a GET is answered with a status from 200 to 399.
    fn http(&self, call: &HttpCall, timeout: Duration) -> Verdict;
}

/// One file of a folder of static pods.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticFile {
    /// Where it came from, for logs.
    pub name: String,
    /// The pod in it, or why there is none.
    pub pod: Result<Box<Pod>, String>,
}

/// Gives the pods that a node runs without being told by the API.
pub trait StaticPods: Send + Sync + fmt::Debug + 'static {
    /// Every pod, in the order of the files' names. Called from an executor.
    fn read(&self) -> Result<Vec<StaticFile>, String>;

    /// Calls `wake` whenever the answer of [`StaticPods::read`] may have changed. `wake` does not block.
    fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>);
}
