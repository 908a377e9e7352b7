//! Gives Services their cluster addresses and node ports.
//!
//! What is taken is what stored Services hold (found by index); what is being created is reserved until its
//! commit. What is free is decided under the lock of the reservations, on the store's newest state: a reservation
//! goes only after its commit. Invariant: no two Services hold the same address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::Ipv4Network;
use k8s_openapi::api::core::v1::Service;
use parking_lot::Mutex;

use crate::api::{FieldError, Problem, Reason, StatusError};
use crate::store::{Select, Snapshot, Store};
use crate::world::Entropy;

/// The range of Service addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    /// The addresses; the first and the last are not given out.
    pub addresses: Ipv4Network,
}

impl Default for ServiceRange {
    fn default() -> Self {
        // Upstream's customary range.
        let network = Ipv4Network::new(Ipv4Addr::new(10, 96, 0, 0), 16);
        let any = Ipv4Network::from(Ipv4Addr::UNSPECIFIED);
        ServiceRange { addresses: network.unwrap_or(any) }
    }
}

impl ServiceRange {
    fn usable(&self) -> u64 {
        u64::from(self.addresses.size()).saturating_sub(2)
    }

    fn nth(&self, n: u64) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.addresses.network()).wrapping_add(1 + n as u32))
    }
}

/// Upstream's range of node ports.
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30000..=32767;

/// The addresses that are being given out right now.
pub(super) struct Addresses {
    range: ServiceRange,
    reserved: Mutex<BTreeSet<String>>,
}

/// What was reserved for a Service; freed when dropped, after the commit.
pub(super) struct Reservation<'a> {
    addresses: &'a Addresses,
    taken: Vec<String>,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut reserved = self.addresses.reserved.lock();
        for text in &self.taken {
            reserved.remove(text);
        }
    }
}

impl Addresses {
    pub fn new(range: ServiceRange) -> Addresses {
        Addresses { range, reserved: Mutex::new(BTreeSet::new()) }
    }

    /// Fills in the addresses and ports that the Service is to have; `old` keeps what it had.
    pub fn allocate(
        &self,
        service: &mut Service,
        old: Option<&Service>,
        store: &Store,
        entropy: &dyn Entropy,
    ) -> Result<Reservation<'_>, StatusError> {
        let name = service.metadata.name.clone().unwrap_or_default();
        let mut reservation = Reservation { addresses: self, taken: Vec::new() };
        let Some(spec) = &mut service.spec else { return Ok(reservation) };
        let kind = spec.type_.clone().unwrap_or_else(|| "ClusterIP".to_owned());
        if kind == "ExternalName" {
            spec.cluster_ip = None;
            spec.cluster_ips = None;
            return Ok(reservation);
        }
        let had = old.and_then(|old| old.spec.as_ref()?.cluster_ip.clone()).filter(|ip| !ip.is_empty());
        let asked = spec.cluster_ip.clone().filter(|ip| !ip.is_empty());
        let address = match asked.or(had.clone()) {
            Some(ip) if ip == "None" || had.as_deref() == Some(ip.as_str()) => ip,
            Some(ip) => {
                self.claim(&ip, store, &mut reservation).map_err(|why| refuse(&name, &ip, why))?;
                ip
            }
            None => self.draw(store, entropy, &mut reservation).ok_or_else(|| {
                let why = format!("failed to allocate a serviceIP for Service {name:?}: range is full");
                StatusError::new(Reason::InternalError, format!("Internal error occurred: {why}"))
            })?,
        };
        spec.cluster_ips = Some(vec![address.clone()]);
        if address != "None" {
            spec.ip_families = Some(vec!["IPv4".to_owned()]);
            spec.ip_family_policy.get_or_insert_with(|| "SingleStack".to_owned());
        } else if spec.ip_families.is_none() {
            spec.ip_families = Some(vec!["IPv4".to_owned()]);
            spec.ip_family_policy.get_or_insert_with(|| "SingleStack".to_owned());
        }
        spec.cluster_ip = Some(address);
        if kind == "NodePort" || kind == "LoadBalancer" {
            self.node_ports(&name, service, old, store, entropy, &mut reservation)?;
        }
        Ok(reservation)
    }

    fn is_free(&self, term: &str, value: &str, snapshot: &Snapshot) -> bool {
        snapshot.list::<Service>(Select::Term(term, value)).next().is_none()
    }

    /// Reserves a given address.
    fn claim(&self, ip: &str, store: &Store, into: &mut Reservation<'_>) -> Result<(), String> {
        let inside = matches!(ip.parse(), Ok(IpAddr::V4(ip)) if self.range.addresses.contains(ip));
        if !inside {
            return Err(format!(
                "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. \
                 The range of valid IPs is {}",
                self.range.addresses
            ));
        }
        let mut reserved = self.reserved.lock();
        if !self.is_free("spec.clusterIP", ip, &store.snapshot()) || !reserved.insert(ip.to_owned()) {
            return Err(format!("failed to allocate IP {ip}: provided IP is already allocated"));
        }
        into.taken.push(ip.to_owned());
        Ok(())
    }

    /// Reserves a free address: a random one, and from there the next that is free. Upstream keeps the lower
    /// part of the range for addresses that are asked for by name; so does this.
    fn draw(&self, store: &Store, entropy: &dyn Entropy, into: &mut Reservation<'_>) -> Option<String> {
        let usable = self.range.usable();
        if usable == 0 {
            return None;
        }
        let kept = (usable / 16).clamp(16, 256).min(usable / 2);
        let upper = usable - kept;
        let start = entropy.next() % upper.max(1);
        let mut reserved = self.reserved.lock();
        let snapshot = store.snapshot();
        let upper_part = (0..upper).map(|i| kept + (start + i) % upper);
        for n in upper_part.chain(0..kept) {
            let ip = self.range.nth(n).to_string();
            if !reserved.contains(&ip) && self.is_free("spec.clusterIP", &ip, &snapshot) {
                reserved.insert(ip.clone());
                into.taken.push(ip.clone());
                return Some(ip);
            }
        }
        None
    }

    /// Ports of one Service with the same number share a node port (DNS over TCP and UDP), as upstream gives them.
    fn node_ports(
        &self,
        name: &str,
        service: &mut Service,
        old: Option<&Service>,
        store: &Store,
        entropy: &dyn Entropy,
        into: &mut Reservation<'_>,
    ) -> Result<(), StatusError> {
        let Some(spec) = &mut service.spec else { return Ok(()) };
        let draws = spec.type_.as_deref() != Some("LoadBalancer")
            || spec.allocate_load_balancer_node_ports != Some(false);
        let ports = spec.ports.get_or_insert_default();
        let asked: Vec<(i32, i32)> =
            ports.iter().map(|port| (port.port, port.node_port.unwrap_or(0))).collect();
        let asked_for = |port: i32| asked.iter().find(|(of, asked)| *of == port && *asked != 0);
        let mut own: BTreeSet<i32> = old.map(node_ports_of).unwrap_or_default().into_iter().collect();
        let mut given: BTreeMap<i32, i32> = BTreeMap::new();
        let mut reserved = self.reserved.lock();
        let snapshot = store.snapshot();
        let all = snapshot.list::<Service>(Select::All);
        let taken: BTreeSet<i32> = all.flat_map(|service| node_ports_of(&service.shared())).collect();
        for (index, port) in ports.iter_mut().enumerate() {
            let asked = port.node_port.filter(|port| *port != 0);
            if asked.is_none() && !draws {
                continue;
            }
            let shared = given.get(&port.port).copied();
            let asked = asked.or(shared).or_else(|| asked_for(port.port).map(|(_, asked)| *asked));
            let is_free = |number: i32| {
                own.contains(&number)
                    || (!taken.contains(&number) && !reserved.contains(&node_port_text(number)))
            };
            let in_range = |number: i32| own.contains(&number) || NODE_PORTS.contains(&number);
            let mut why = "provided port is already allocated".to_owned();
            if asked.is_some_and(|asked| !in_range(asked)) {
                let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
                why = format!(
                    "provided port is not in the valid range. The range of valid ports is {first}-{last}"
                );
            }
            let is_free = |number: i32| in_range(number) && is_free(number);
            let chosen = match asked {
                Some(asked) => Some(asked).filter(|asked| is_free(*asked)),
                None => {
                    let count = (NODE_PORTS.end() - NODE_PORTS.start() + 1) as u64;
                    let start = entropy.next() % count;
                    let mut drawn = (0..count).map(|i| NODE_PORTS.start() + ((start + i) % count) as i32);
                    drawn.find(|port| is_free(*port))
                }
            };
            let Some(chosen) = chosen else {
                let cause = FieldError {
                    problem: Problem::Invalid,
                    field: format!("spec.ports[{index}].nodePort"),
                    value: asked.into(),
                    detail: why,
                };
                return Err(StatusError::invalid("", "Service", name, vec![cause]));
            };
            if reserved.insert(node_port_text(chosen)) {
                into.taken.push(node_port_text(chosen));
            }
            own.insert(chosen);
            given.entry(port.port).or_insert(chosen);
            port.node_port = Some(chosen);
        }
        Ok(())
    }
}

fn node_ports_of(service: &Service) -> Vec<i32> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| port.node_port).filter(|port| *port != 0).collect()
}

fn node_port_text(port: i32) -> String {
    format!("port {port}")
}

fn refuse(name: &str, ip: &str, why: String) -> StatusError {
    let field = "spec.clusterIPs".to_owned();
    let cause = FieldError { problem: Problem::Invalid, field, value: vec![ip].into(), detail: why };
    StatusError::invalid("", "Service", name, vec![cause])
}
