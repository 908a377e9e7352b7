//! The pod links of one node: makes them, gives them addresses and routes, and sees them go.
//!
//! A pod has a veth pair: `eth0` in its own namespace, and an end here that is *routed*, not a port of a
//! bridge. The pod has a /32, an on-link route to its gateway and a default route through it; the host has
//! a /32 route to the pod over the pod's own link, and both have permanent neighbour entries. The bridge of
//! the cluster has no ports: it holds the gateway's address and the route of the Service range, so that
//! programs of the host reach Services without a default route and with an address that pods can answer.
//!
//! Why no ports: with `br_netfilter` on, a frame of a port is translated while it is still in the bridge,
//! and a packet to a Service whose endpoint lies behind the same bridge is then switched to the other port
//! instead of routed, where port isolation drops it. A routed link behaves alike with it on and off.
//!
//! Forwarding is switched on for the pods' links, and for the links of the host's default routes, whose
//! answers must find back to the pods; the bridge's alias keeps a record of the latter before it happens.
//!
//! No link is deleted one by one: it goes with its namespace, the listener hears of it, and only then is
//! the pod's address free again. Kernel calls happen outside of the lock.
//!
//! Invariant: an address belongs to at most one link that exists.

mod messages;
mod setup;
mod sweep;
#[cfg(test)]
pub(in crate::net) mod testing;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use parking_lot::{Condvar, Mutex};

use self::messages::{Link, POD_LINK, Setting};
use self::setup::Ipv6;
pub use self::sweep::sweep;
use self::watch::Watch;
use super::addresses::{Pools, RangeFull};
use super::conntrack;
use super::names::{self, Record};
use super::socket::{Answer, Socket, SocketError};

/// What one node's network is made of.
#[derive(Clone, Debug)]
pub struct LinksConfig {
    /// The cluster (or the cluster and node, where several nodes share a host): all names derive from it.
    pub cluster_id: String,
    /// Where the pods of this node have their addresses.
    pub pods: Ipv4Network,
    /// Where Services have theirs.
    pub services: Ipv4Network,
    /// The same for IPv6; `None` where pods have IPv4 alone.
    pub ipv6: Option<Ipv6Ranges>,
    /// Pods of an earlier run that still live, with their addresses: they are kept. If empty, whatever an
    /// earlier run of the same cluster left behind is removed first.
    pub adopt: Vec<(String, PodIps)>,
}

/// The IPv6 side of a node's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Ranges {
    /// Where the pods of this node have their addresses.
    pub pods: Ipv6Network,
    /// Where Services have theirs.
    pub services: Ipv6Network,
}

impl LinksConfig {
    fn pod_ranges(&self) -> impl Iterator<Item = IpNetwork> {
        [IpNetwork::V4(self.pods)].into_iter().chain(self.ipv6.map(|ranges| IpNetwork::V6(ranges.pods)))
    }

    fn service_ranges(&self) -> impl Iterator<Item = IpNetwork> {
        [IpNetwork::V4(self.services)]
            .into_iter()
            .chain(self.ipv6.map(|ranges| IpNetwork::V6(ranges.services)))
    }
}

/// The addresses of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodIps {
    /// The primary one first; at most one of each family.
    pub ips: Vec<IpAddr>,
}

impl PodIps {
    /// The primary address.
    fn primary(&self) -> IpAddr {
        self.ips.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// The hardware address that goes with it.
    fn mac(&self) -> [u8; 6] {
        names::pod_mac(self.primary())
    }
}

/// A step of the pod network that failed, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The range is used up.
    #[error("pod {uid}: {full}")]
    Full {
        /// The pod's uid.
        uid: String,
        /// Which range.
        full: RangeFull,
    },
    /// The same pod is being attached by somebody else at this moment.
    #[error("pod {uid}: its network is being made already")]
    Busy {
        /// The pod's uid.
        uid: String,
    },
    /// A pod of an earlier run cannot be taken over.
    #[error(
        "pod {uid}: of its addresses ({addresses}) one is missing, not of the pod range or another pod's"
    )]
    Adopt {
        /// The pod's uid.
        uid: String,
        /// What it says it has.
        addresses: String,
    },
    /// The kernel can forward IPv6 only for the whole host, and does not.
    #[error(
        "pods cannot have addresses of {range}: this kernel cannot forward IPv6 on single links (6.17 can); \
         set net.ipv6.conf.all.forwarding to 1, or leave IPv6 out"
    )]
    NoIpv6 {
        /// The range of the pods.
        range: Ipv6Network,
    },
    /// The kernel refused a request.
    #[error("{object}: {step}: {cause}")]
    Kernel {
        /// The pod or link.
        object: String,
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        cause: std::io::Error,
    },
    /// Speaking with the kernel failed.
    #[error("{object}: {cause}")]
    Netlink {
        /// The pod or link.
        object: String,
        /// What failed.
        cause: String,
    },
}

impl NetError {
    fn netlink(object: &str, cause: SocketError) -> NetError {
        NetError::Netlink { object: object.to_owned(), cause: cause.to_string() }
    }
}

/// Where a pod's network stands.
#[derive(Debug)]
enum Pod {
    /// It will have these addresses.
    Reserved { ips: PodIps },
    /// Its link is being made.
    Attaching { link: String },
    /// It has these addresses and this link.
    Attached {
        ips: PodIps,
        link: String,
        /// The link's number; not known of a pod that was taken over.
        index: Option<u32>,
    },
}

#[derive(Debug)]
struct State {
    addresses: Pools,
    pods: HashMap<String, Pod>,
    /// Addresses whose pod is gone and whose link is not yet, by link.
    ending: HashMap<String, PodIps>,
    /// Links that went before their pod was detached, with their numbers where those are known.
    gone: HashMap<String, Option<u32>>,
}

/// What the calls and the listener share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when addresses have come back.
    ended: Condvar,
    /// Sockets of the host's namespace that nobody uses at the moment.
    sockets: Mutex<Vec<Socket<OwnedFd>>>,
}

/// The pod links of one node. Calls may come from any thread that is in the host's network namespace.
#[derive(Debug)]
pub struct PodLinks {
    record: Record,
    bridge: String,
    group: u32,
    gateways: Vec<IpAddr>,
    ipv6: Ipv6,
    shared: Arc<Shared>,
    watch: Mutex<Option<Watch>>,
}

impl PodLinks {
    /// Makes the bridge, its addresses and routes, and starts to listen for links that go.
    pub fn open(config: LinksConfig) -> Result<PodLinks, NetError> {
        let bridge = names::bridge(&config.cluster_id);
        let socket = Socket::open(SockProtocol::NetlinkRoute).map_err(|e| NetError::netlink(&bridge, e))?;
        let mut addresses = Pools::new(config.pod_ranges());
        let gateways = addresses.gateways();
        let pods = adopt(&config, &mut addresses)?;
        let (record, ipv6) = setup::build(&socket, &config, &bridge, &gateways)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { addresses, pods, ending: HashMap::new(), gone: HashMap::new() }),
            ended: Condvar::new(),
            sockets: Mutex::new(vec![socket]),
        });
        let watch = Watch::start(shared.clone(), &bridge).inspect_err(|_| {
            shared.with_socket(|socket| sweep::remove(socket, &record));
        })?;
        let links = PodLinks {
            record,
            group: names::group(&config.cluster_id),
            gateways,
            ipv6,
            shared,
            watch: Mutex::new(Some(watch)),
            bridge,
        };
        links.shared.read_again();
        Ok(links)
    }

    /// The name of the bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The group of all links of this network.
    pub fn group(&self) -> u32 {
        self.group
    }

    /// The gateways of the pods, one of each family: the host's own addresses towards them.
    pub fn gateways(&self) -> &[IpAddr] {
        &self.gateways
    }

    /// Takes the addresses that [`PodLinks::attach`] will give a pod. They are its until it is detached, or an
    /// attachment failed.
    pub fn reserve(&self, uid: &str) -> Result<PodIps, NetError> {
        let mut state = self.shared.state.lock();
        match state.pods.get(uid) {
            Some(Pod::Attached { ips, .. } | Pod::Reserved { ips }) => Ok(ips.clone()),
            Some(Pod::Attaching { .. }) => Err(NetError::Busy { uid: uid.to_owned() }),
            None => {
                let full = |full| NetError::Full { uid: uid.to_owned(), full };
                let ips = PodIps { ips: state.addresses.take().map_err(full)? };
                state.pods.insert(uid.to_owned(), Pod::Reserved { ips: ips.clone() });
                Ok(ips)
            }
        }
    }

    /// Gives a pod its link and address. `netns` is the pod's namespace and `netlink_in_pod` a
    /// `NETLINK_ROUTE` socket that was opened inside it. A second call for the same uid answers the same.
    ///
    /// # Errors
    /// One sentence; nothing of the attempt is left.
    pub fn attach(
        &self,
        uid: &str,
        netns: BorrowedFd<'_>,
        netlink_in_pod: BorrowedFd<'_>,
    ) -> Result<PodIps, NetError> {
        let (ips, link) = {
            let mut state = self.shared.state.lock();
            let ips = match state.pods.get(uid) {
                Some(Pod::Attached { ips, .. }) => return Ok(ips.clone()),
                Some(Pod::Attaching { .. }) => return Err(NetError::Busy { uid: uid.to_owned() }),
                Some(Pod::Reserved { ips }) => ips.clone(),
                None => {
                    let full = |full| NetError::Full { uid: uid.to_owned(), full };
                    PodIps { ips: state.addresses.take().map_err(full)? }
                }
            };
            let link = link_of(&self.record.cluster, uid, &ips);
            state.pods.insert(uid.to_owned(), Pod::Attaching { link: link.clone() });
            (ips, link)
        };
        let made = self.shared.with_socket(|socket| self.wire(socket, &link, &ips, netns, netlink_in_pod));
        let mut state = self.shared.state.lock();
        match made {
            Ok(index) => {
                // News of an earlier link of this name do not count; of this one they do, as a pod can end
                // while it is being attached.
                if state.gone.get(&link).is_some_and(|gone| *gone != Some(index)) {
                    state.gone.remove(&link);
                }
                let pod = Pod::Attached { ips: ips.clone(), link, index: Some(index) };
                state.pods.insert(uid.to_owned(), pod);
                Ok(ips)
            }
            Err(error) => {
                state.gone.remove(&link);
                state.pods.remove(uid);
                state.addresses.release(&ips.ips);
                Err(error.for_pod(uid))
            }
        }
    }

    /// Makes and configures both ends of a link. Four system calls to send, whatever the number of messages;
    /// on failure the link is taken away again. Returns the number of the host's end.
    fn wire(
        &self,
        host: &Socket<OwnedFd>,
        link: &str,
        ips: &PodIps,
        netns: BorrowedFd<'_>,
        netlink_in_pod: BorrowedFd<'_>,
    ) -> Result<u32, NetError> {
        let macs = (names::HOST_MAC, ips.mac());
        let settings = [(Setting::Forwarding, 1), (Setting::RpFilter, 1)];
        let known = self.ipv6.is_known();
        // The host's end first: the link has its carrier when the pod's end is up, and routes come after.
        let made = ask(
            host,
            link,
            &mut [
                ("making the link", messages::new_pod_link(link, self.group, macs, netns.as_raw_fd())),
                ("allowing the link to forward", messages::prepare(link, &settings, known)),
                ("switching the link on", messages::up(link)),
                ("finding the link", messages::get_link(link)),
            ],
        );
        match made {
            Ok(made) => index_of(made, link)
                .and_then(|index| {
                    let pod = Socket::lent(netlink_in_pod);
                    self.connect(host, &pod, link, index, ips).map(|()| index)
                })
                .inspect_err(|_| drop_link(host, link)),
            // The link may have been made and a later step refused; but if the name belonged to another
            // link, that one stays.
            Err(error) => {
                if !error.is_exists() {
                    drop_link(host, link);
                }
                Err(error)
            }
        }
    }

    /// Switches the pod's end on, then gives both ends addresses, neighbours and routes.
    fn connect(
        &self,
        host: &Socket<OwnedFd>,
        pod: &Socket<BorrowedFd<'_>>,
        link: &str,
        index: u32,
        ips: &PodIps,
    ) -> Result<(), NetError> {
        if self.ipv6 == Ipv6::Links {
            setup::forward_ipv6(link, true)?;
        }
        let inside = ask(
            pod,
            link,
            &mut [
                ("switching lo on in the pod", messages::up("lo")),
                ("preparing eth0 in the pod", messages::prepare(POD_LINK, &[], self.ipv6.is_known())),
                ("switching eth0 on in the pod", messages::up(POD_LINK)),
                ("finding eth0 in the pod", messages::get_link(POD_LINK)),
            ],
        )?;
        let eth0 = index_of(inside, link)?;
        // Asking for a link makes the kernel take note of its carrier; without that the host's end, which
        // was switched on before the other, would drop packets until a worker of the kernel has run.
        let mut here = vec![("waiting for the carrier", messages::get_link(link))];
        let mut there = Vec::new();
        for (ip, gateway) in ips.ips.iter().zip(&self.gateways) {
            let (to_pod, to_gateway) = (IpNetwork::from(*ip), IpNetwork::from(*gateway));
            here.extend([
                ("telling the pod's hardware address", messages::neighbour(index, *ip, ips.mac())),
                ("routing to the pod", messages::route_to_link(to_pod, index, Some(*gateway))),
            ]);
            there.extend([
                ("giving the pod its address", messages::address(eth0, *ip)),
                ("telling the gateway's address", messages::neighbour(eth0, *gateway, names::HOST_MAC)),
                ("routing to the gateway", messages::route_to_link(to_gateway, eth0, None)),
                ("routing through the gateway", messages::default_route(*gateway, eth0)),
            ]);
        }
        ask(host, link, &mut here)?;
        ask(pod, link, &mut there)?;
        Ok(())
    }

    /// Forgets a pod whose namespace has been ended. Its link goes with the namespace; its address is free
    /// again when the kernel says that the link is gone. Unknown uids are fine.
    pub fn detach(&self, uid: &str) {
        let gone = {
            let mut state = self.shared.state.lock();
            match state.pods.remove(uid) {
                Some(Pod::Reserved { ips }) => {
                    // No packet ever had them.
                    state.addresses.release(&ips.ips);
                    return;
                }
                Some(Pod::Attached { ips, link, .. }) if state.gone.remove(&link).is_some() => Some(ips),
                Some(Pod::Attached { ips, link, .. }) => {
                    state.ending.insert(link, ips);
                    None
                }
                Some(Pod::Attaching { .. }) | None => None,
            }
        };
        if let Some(ips) = gone {
            self.shared.release(&[ips]);
        }
    }

    /// Waits, `bound` at the most, until the link of every detached pod is gone; false if some are not.
    pub fn wait_ended(&self, bound: Duration) -> bool {
        let mut state = self.shared.state.lock();
        let still = |state: &mut State| !state.ending.is_empty();
        !self.shared.ended.wait_while_for(&mut state, still, bound).timed_out()
    }

    /// Removes everything: links, bridge and routes, and restores the settings of the host unless another
    /// cluster lives on it. Goes on after errors and returns all of them. A second call does nothing.
    pub fn close(&self) -> Vec<NetError> {
        let Some(watch) = self.watch.lock().take() else { return Vec::new() };
        watch.stop();
        self.shared.with_socket(|socket| sweep::remove(socket, &self.record))
    }
}

impl Drop for PodLinks {
    fn drop(&mut self) {
        for error in self.close() {
            tracing::warn!(bridge = %self.bridge, %error, "a part of the pod network is left behind");
        }
    }
}

impl Shared {
    /// Runs `act` with a socket of the pool; opens one if all are in use.
    fn with_socket<T: FromNetlink>(&self, act: impl FnOnce(&Socket<OwnedFd>) -> T) -> T {
        let pooled = self.sockets.lock().pop();
        let socket = match pooled.map_or_else(|| Socket::open(SockProtocol::NetlinkRoute), Ok) {
            Ok(socket) => socket,
            Err(cause) => return T::failed(NetError::netlink("pod network", cause)),
        };
        let result = act(&socket);
        self.sockets.lock().push(socket);
        result
    }

    /// A link is gone. Tells its addresses if they are to be released now; otherwise they will be when the
    /// pod is detached.
    fn link_gone(&self, link: &str, index: Option<u32>) -> Option<PodIps> {
        let mut state = self.state.lock();
        if let Some(ips) = state.ending.get(link) {
            return Some(ips.clone());
        }
        let is_its = |pod: &Pod| match pod {
            Pod::Reserved { .. } => false,
            Pod::Attaching { link: its } => its == link,
            Pod::Attached { link: its, index: own, .. } => {
                its == link && (own.is_none() || index.is_none() || *own == index)
            }
        };
        if state.pods.values().any(is_its) {
            state.gone.insert(link.to_owned(), index);
        }
        None
    }

    /// Makes addresses of links that are gone free, after the flows that remember them are forgotten.
    fn release(&self, pods: &[PodIps]) {
        if pods.is_empty() {
            return;
        }
        let gone: HashSet<IpAddr> = pods.iter().flat_map(|pod| pod.ips.iter().copied()).collect();
        let remembers = |flow: &conntrack::Flow| {
            gone.contains(&flow.answers_from.ip()) || gone.contains(&flow.client.ip())
        };
        if let Err(error) = conntrack::forget_udp(remembers) {
            tracing::warn!(%error, "flows to pods that are gone may linger until they time out");
        }
        let mut state = self.state.lock();
        for pod in pods {
            state.addresses.release(&pod.ips);
        }
        state.ending.retain(|_, ips| !pods.contains(ips));
        drop(state);
        self.ended.notify_all();
    }

    /// Lists the links and treats each that should be there and is not as gone: after news were lost.
    fn read_again(&self) {
        let expected: Vec<String> = {
            let state = self.state.lock();
            let attached = state.pods.values().filter_map(|pod| match pod {
                Pod::Attached { link, .. } => Some(link.clone()),
                Pod::Attaching { .. } | Pod::Reserved { .. } => None,
            });
            attached.chain(state.ending.keys().cloned()).collect()
        };
        if expected.is_empty() {
            return;
        }
        match self.with_socket(list_links) {
            Ok(links) => {
                let there: HashSet<String> = links.into_iter().map(|link| link.name).collect();
                let gone: Vec<PodIps> = expected
                    .iter()
                    .filter(|link| !there.contains(*link))
                    .filter_map(|link| self.link_gone(link, None))
                    .collect();
                self.release(&gone);
            }
            Err(error) => tracing::warn!(%error, "addresses of pods that are gone stay in use"),
        }
    }
}

/// A result that can say that no socket could be opened.
trait FromNetlink {
    fn failed(error: NetError) -> Self;
}

impl<T> FromNetlink for Result<T, NetError> {
    fn failed(error: NetError) -> Self {
        Err(error)
    }
}

impl FromNetlink for Vec<NetError> {
    fn failed(error: NetError) -> Self {
        vec![error]
    }
}

impl NetError {
    fn is_exists(&self) -> bool {
        matches!(self, NetError::Kernel { cause, .. } if cause.raw_os_error() == Some(Errno::EEXIST as i32))
    }

    /// The same error, told of the pod and not of its link.
    fn for_pod(self, uid: &str) -> NetError {
        let object = format!("pod {uid}");
        match self {
            NetError::Kernel { step, cause, .. } => NetError::Kernel { object, step, cause },
            NetError::Netlink { cause, .. } => NetError::Netlink { object, cause },
            other => other,
        }
    }
}

/// Sends requests, each with what it does, in one call; the first refusal is the error.
fn ask<F: AsFd>(
    socket: &Socket<F>,
    object: &str,
    requests: &mut [(&'static str, Vec<u8>)],
) -> Result<Vec<Answer>, NetError> {
    let mut bytes: Vec<Vec<u8>> = requests.iter_mut().map(|(_, bytes)| std::mem::take(bytes)).collect();
    let answers = socket.ask(&mut bytes).map_err(|e| NetError::netlink(object, e))?;
    for (answer, (step, _)) in answers.iter().zip(requests.iter()) {
        if let Some(errno) = answer.error {
            return Err(NetError::Kernel { object: object.to_owned(), step, cause: errno.into() });
        }
    }
    Ok(answers)
}

/// The index of the link that one of the answers tells of.
fn index_of(answers: Vec<Answer>, object: &str) -> Result<u32, NetError> {
    links_in(&answers).next().map(|link| link.index).ok_or_else(|| NetError::Netlink {
        object: object.to_owned(),
        cause: "the kernel did not describe the link".to_owned(),
    })
}

fn links_in(answers: &[Answer]) -> impl Iterator<Item = Link> {
    answers
        .iter()
        .flat_map(|answer| &answer.messages)
        .filter_map(|(kind, payload)| messages::read_link(*kind, payload))
        .map(|(_, link)| link)
}

/// Every link of the namespace.
fn list_links(socket: &Socket<OwnedFd>) -> Result<Vec<Link>, NetError> {
    let answers = ask(socket, "links", &mut [("listing", messages::list_links())])?;
    Ok(links_in(&answers).collect())
}

/// Takes away a link whose making failed half-way. It may not exist.
fn drop_link(socket: &Socket<OwnedFd>, link: &str) {
    let _ = ask(socket, link, &mut [("removing", messages::delete_link(link))]);
}

/// The name of a pod's link.
fn link_of(cluster: &str, uid: &str, ips: &PodIps) -> String {
    names::pod_link(cluster, uid, ips.primary())
}

/// Reserves the addresses of pods of an earlier run.
fn adopt(config: &LinksConfig, addresses: &mut Pools) -> Result<HashMap<String, Pod>, NetError> {
    let mut pods = HashMap::new();
    for (uid, ips) in &config.adopt {
        if !addresses.reserve(&ips.ips) {
            let addresses: Vec<String> = ips.ips.iter().map(IpAddr::to_string).collect();
            return Err(NetError::Adopt { uid: uid.clone(), addresses: addresses.join(", ") });
        }
        let link = link_of(&config.cluster_id, uid, ips);
        pods.insert(uid.clone(), Pod::Attached { ips: ips.clone(), link, index: None });
    }
    Ok(pods)
}
