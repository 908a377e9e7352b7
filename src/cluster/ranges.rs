//! Address ranges and an id for a cluster on this machine, such that two clusters never meet.
//!
//! Each cluster with a real node holds a numbered slot by a lock for as long as it lives; the slot decides its ranges.
//! Invariant: two living clusters of one machine hold different slots.

use std::fs::{self, File, OpenOptions};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use ipnetwork::Ipv4Network;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

use super::{NodeSpec, StartError};
use crate::apiserver::ServiceRange;
use crate::limits::CLUSTERS_A_HOST;

/// The ranges of a cluster, and the lock by which it holds them.
pub(super) struct Ranges {
    pub pods: Ipv4Network,
    pub services: Ipv4Network,
    pub state: PathBuf,
    _slot: Option<Flock<File>>,
}

/// Says to every other cluster in this network namespace that an id is alive, for as long as it is held.
///
/// It is the name of a socket that nobody speaks to: such names belong to the network namespace, as links and tables
/// do, and go with the process.
pub(super) struct Claim {
    _socket: OwnedFd,
}

impl Claim {
    /// Claims an id; `None` where somebody holds it.
    pub fn take(id: &str) -> nix::Result<Option<Claim>> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
        let name = UnixAddr::new_abstract(format!("coracle/{id}").as_bytes())?;
        match socket::bind(socket.as_raw_fd(), &name) {
            Ok(()) => Ok(Some(Claim { _socket: socket })),
            Err(Errno::EADDRINUSE) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Whether somebody holds an id. In doubt, yes.
    pub fn is_taken(id: &str) -> bool {
        !matches!(Claim::take(id), Ok(Some(_)))
    }
}

fn network(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Network {
    let address = Ipv4Addr::new(a, b, c, 0);
    Ipv4Network::new(address, prefix).unwrap_or_else(|_| Ipv4Network::from(address))
}

/// The ranges that this network namespace has routes to, but for the default route and for clusters' bridges, whose
/// ranges their slots keep apart. Takes the text of `/proc/net/route`.
fn routes(text: &str) -> Vec<Ipv4Network> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (link, address, mask) = (*fields.first()?, fields.get(1)?, fields.get(7)?);
        let read = |hex: &str| Some(Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?.swap_bytes()));
        let range = Ipv4Network::with_netmask(read(address)?, read(mask)?).ok()?;
        (range.prefix() > 0 && !crate::net::is_bridge_name(link)).then_some(range)
    };
    text.lines().skip(1).filter_map(route).collect()
}

fn overlap(a: &Ipv4Network, b: &Ipv4Network) -> bool {
    a.contains(b.network()) || b.contains(a.network())
}

/// Where nodes keep their state unless told otherwise.
fn default_state() -> PathBuf {
    let run = PathBuf::from("/run/coracle");
    match fs::create_dir_all(&run) {
        Ok(()) => run,
        Err(_) => std::env::temp_dir().join("coracle"),
    }
}

impl Ranges {
    /// Takes a free slot, unless the builder names both ranges.
    pub fn take(spec: &NodeSpec, services: Option<ServiceRange>) -> Result<Ranges, StartError> {
        let state = spec.state_dir.clone().unwrap_or_else(default_state);
        let refused = |cause: String| StartError::Node { node: spec.name().to_owned(), cause };
        fs::create_dir_all(&state).map_err(|cause| {
            refused(format!("the state folder {} cannot be made: {cause}", state.display()))
        })?;
        if let (Some(pods), Some(services)) = (spec.pod_range, services) {
            return Ok(Ranges { pods, services: services.addresses, state, _slot: None });
        }
        let given = services;
        let routed = routes(&fs::read_to_string("/proc/net/route").unwrap_or_default());
        let slots = default_state().join("slots");
        fs::create_dir_all(&slots)
            .map_err(|cause| refused(format!("{} cannot be made: {cause}", slots.display())))?;
        for number in 0..CLUSTERS_A_HOST {
            let path = slots.join(number.to_string());
            let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file =
                open.map_err(|cause| refused(format!("{} cannot be opened: {cause}", path.display())))?;
            let Ok(slot) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
            let pods = spec.pod_range.unwrap_or(network(10, 244 - number, 0, 16));
            let services = services.map_or(network(10, 96, number * 16, 20), |range| range.addresses);
            let chosen = [spec.pod_range.is_none().then_some(pods), given.is_none().then_some(services)];
            if chosen.iter().flatten().any(|range| routed.iter().any(|other| overlap(range, other))) {
                continue;
            }
            return Ok(Ranges { pods, services, state, _slot: Some(slot) });
        }
        Err(refused(format!(
            "of {CLUSTERS_A_HOST} pairs of ranges each is another cluster's or is routed by this machine already; give this one its ranges with pod_range and \
             service_range"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{overlap, routes};

    #[test]
    fn ranges_that_the_machine_reaches_already() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                    cor0123456789ab\t0000F30A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                    flannel.1\t0001F40A\t0001F40A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let found = routes(text);
        assert_eq!(found, ["10.244.1.0/24".parse().unwrap()]);
        let meets = |range: &str| overlap(&range.parse().unwrap(), &found[0]);
        assert_eq!(
            [meets("10.244.0.0/16"), meets("10.243.0.0/16"), meets("10.244.1.7/32")],
            [true, false, true]
        );
    }
}
