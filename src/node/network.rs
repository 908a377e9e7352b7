//! What the node agent asks of a pod network. The network's own part fills it (through the cluster); the
//! agent knows no bridge, no address range and no table.

use std::fmt;
use std::net::IpAddr;

use crate::store::Revision;

/// The addresses of one pod, the primary one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAddresses {
    /// At most one of each family.
    pub ips: Vec<IpAddr>,
}

/// A network step that failed, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network of pod {pod}: {step}: {cause}")]
pub struct PodNetworkError {
    /// The pod, as `namespace/name`.
    pub pod: String,
    /// What was being done.
    pub step: &'static str,
    /// What went wrong.
    pub cause: String,
}

/// The namespace of a sandbox, as the runtime hands it to the network.
#[cfg(target_os = "linux")]
pub type PodNetns = super::runtime::Netns;
/// The namespace of a sandbox: nothing on platforms without namespaces.
#[cfg(not(target_os = "linux"))]
pub type PodNetns = ();

/// Connects pods. Every call may block and is made from an executor, never from a loop.
pub trait PodNetwork: Send + Sync + fmt::Debug + 'static {
    /// Says which addresses [`PodNetwork::attach`] will give the pod with this uid, and keeps them for it until it is
    /// attached or detached, so that other things of the pod can be made meanwhile. `None` where that is not known
    /// before.
    fn reserve(&self, uid: &str, pod: &str) -> Result<Option<PodAddresses>, PodNetworkError> {
        let _ = (uid, pod);
        Ok(None)
    }

    /// Gives the pod with this uid an interface in `netns` and addresses. A second call for the same uid
    /// answers the same addresses. `netns` is `None` where the runtime has no namespaces (hollow nodes); a
    /// network of the kernel refuses that.
    fn attach(&self, uid: &str, pod: &str, netns: Option<&PodNetns>)
    -> Result<PodAddresses, PodNetworkError>;

    /// Frees what `attach` gave, once the pod's namespace has been ended. Unknown uids are fine.
    fn detach(&self, uid: &str) -> Result<(), PodNetworkError>;

    /// The revision up to which the Service proxy has programmed the kernel; the agent begins to stop a pod
    /// only when the removal of its endpoint is covered.
    fn covered(&self) -> Revision;

    /// Calls `wake` whenever [`PodNetwork::covered`] has moved, from any thread; `wake` does not block. Each
    /// call adds one listener: a network serves the agents of several nodes.
    fn on_covered(&self, wake: Box<dyn Fn() + Send + Sync>);
}
