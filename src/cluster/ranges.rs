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
        let refused = |cause: String| StartError::Node { node: spec.name.clone(), cause };
        fs::create_dir_all(&state).map_err(|cause| {
            refused(format!("the state folder {} cannot be made: {cause}", state.display()))
        })?;
        if let (Some(pods), Some(services)) = (spec.pod_range, services) {
            return Ok(Ranges { pods, services: services.addresses, state, _slot: None });
        }
        let slots = default_state().join("slots");
        fs::create_dir_all(&slots)
            .map_err(|cause| refused(format!("{} cannot be made: {cause}", slots.display())))?;
        for number in 0..CLUSTERS_A_HOST {
            let path = slots.join(number.to_string());
            let open = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file =
                open.map_err(|cause| refused(format!("{} cannot be opened: {cause}", path.display())))?;
            let Ok(slot) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { continue };
            return Ok(Ranges {
                pods: spec.pod_range.unwrap_or(network(10, 244 - number, 0, 16)),
                services: services.map_or(network(10, 96, number * 16, 20), |range| range.addresses),
                state,
                _slot: Some(slot),
            });
        }
        Err(refused(format!(
            "{CLUSTERS_A_HOST} clusters run on this machine already; give this one its ranges with pod_range and \
             service_range"
        )))
    }
}
