//! Decides which elements a change of Services adds and removes.
//!
//! Pure: a model of the table goes from one state to the next and says what differs. Endpoints that stay
//! keep their index, so that a change costs as many elements as it has endpoints.
//!
//! Invariant: carrying out every change leads to exactly the elements of the model.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::limits;
use crate::net::nft::ruleset::Pick;

/// What a port carries, by the numbers of the Internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

/// One port of a Service with its ready endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRule {
    /// The Service, as `namespace/name`: the rules of one Service change together.
    pub service: String,
    /// Its addresses, at most one of each family.
    pub cluster_ips: Vec<IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// Where it leads; of each family, only to addresses of the same family.
    pub endpoints: Vec<SocketAddr>,
    /// `sessionAffinity: ClientIP` with its timeout. A client is led by its address, without a memory: it
    /// keeps its endpoint as long as the endpoints stay, and the timeout is not counted.
    pub affinity: Option<Duration>,
}

/// What a packet to a Service is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortKey {
    /// The Service's address.
    pub ip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{} {protocol} {}", self.ip, self.port)
    }
}

/// One element of the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    /// A Service's port has endpoints.
    Service(PortKey, Pick),
    /// The endpoint with an index.
    Endpoint(PortKey, u32, SocketAddr),
    /// An endpoint's address, to know a packet that comes back to its sender.
    Itself(IpAddr),
}

/// What is different.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Ways of drawing that no Service used before.
    pub new_picks: Vec<Pick>,
    /// Elements to delete, before the others are added.
    pub remove: Vec<Element>,
    /// Elements to add.
    pub add: Vec<Element>,
    /// UDP endpoints that a Service lost: (service, endpoint).
    pub gone_udp: Vec<(SocketAddr, SocketAddr)>,
    /// A sentence for each rule that another one stands in the way of.
    pub left_out: Vec<String>,
}

/// A Service's port as the table has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Port {
    endpoints: Vec<SocketAddr>,
    sticky: bool,
}

impl Port {
    fn pick(&self) -> Option<Pick> {
        let count = self.endpoints.len() as u32;
        (count > 0).then_some(Pick { count, sticky: self.sticky })
    }
}

/// What the table holds.
#[derive(Debug, Default)]
pub(super) struct Model {
    ports: BTreeMap<PortKey, (String, Port)>,
    services: BTreeMap<String, BTreeSet<PortKey>>,
    /// How many ports lead to an address.
    targets: HashMap<IpAddr, u32>,
    picks: BTreeSet<Pick>,
}

impl Model {
    /// Goes to exactly these rules.
    pub fn replace(&mut self, desired: Vec<ServiceRule>) -> Change {
        let mut by_service: BTreeMap<String, Vec<ServiceRule>> =
            self.services.keys().map(|service| (service.clone(), Vec::new())).collect();
        for rule in desired {
            by_service.entry(rule.service.clone()).or_default().push(rule);
        }
        self.update(by_service.into_iter().collect())
    }

    /// Gives the named Services these rules.
    pub fn update(&mut self, changes: Vec<(String, Vec<ServiceRule>)>) -> Change {
        let mut change = Change::default();
        // What goes, of all Services, goes first: another Service may get the same address in this step.
        let mut wanted = Vec::new();
        for (service, rules) in changes {
            let ports = ports_of(rules);
            let old = self.services.remove(&service).unwrap_or_default();
            for key in old {
                if ports.contains_key(&key) {
                    self.services.entry(service.clone()).or_default().insert(key);
                } else {
                    self.set(key, &service, Port::default(), &mut change);
                    self.ports.remove(&key);
                }
            }
            wanted.push((service, ports));
        }
        for (service, ports) in wanted {
            for (key, port) in ports {
                match self.ports.get(&key) {
                    Some((owner, _)) if *owner != service => {
                        change
                            .left_out
                            .push(format!("{key} of Service {service} is taken by Service {owner}"));
                        continue;
                    }
                    _ => {}
                }
                self.services.entry(service.clone()).or_default().insert(key);
                self.set(key, &service, port, &mut change);
            }
        }
        change
    }

    /// Every way of drawing that was ever used.
    pub fn picks(&self) -> impl Iterator<Item = Pick> {
        self.picks.iter().copied()
    }

    /// Every element.
    pub fn elements(&self) -> Vec<Element> {
        let mut elements: Vec<Element> = self.targets.keys().map(|ip| Element::Itself(*ip)).collect();
        elements.sort();
        for (key, (_, port)) in &self.ports {
            let indexed = (0..).zip(&port.endpoints);
            elements.extend(indexed.map(|(index, to)| Element::Endpoint(*key, index, *to)));
            elements.extend(port.pick().map(|pick| Element::Service(*key, pick)));
        }
        elements
    }

    /// The text of every element, one a line.
    pub fn render(&self) -> String {
        self.elements().iter().map(|element| format!("{element}\n")).collect()
    }

    /// Makes one port what it should be.
    fn set(&mut self, key: PortKey, service: &str, mut new: Port, change: &mut Change) {
        let old = self.ports.get(&key).map(|(_, port)| port.clone()).unwrap_or_default();
        new.endpoints = keep_places(&old.endpoints, new.endpoints);
        if old.pick() != new.pick() {
            change.remove.extend(old.pick().map(|pick| Element::Service(key, pick)));
            change.add.extend(new.pick().map(|pick| Element::Service(key, pick)));
            change.new_picks.extend(new.pick().filter(|pick| self.picks.insert(*pick)));
        }
        for index in 0..old.endpoints.len().max(new.endpoints.len()) {
            let (before, after) = (old.endpoints.get(index), new.endpoints.get(index));
            if before == after {
                continue;
            }
            let element = |to: &SocketAddr| Element::Endpoint(key, index as u32, *to);
            change.remove.extend(before.map(element));
            change.add.extend(after.map(element));
        }
        for endpoint in new.endpoints.iter().filter(|e| !old.endpoints.contains(e)) {
            let count = self.targets.entry(endpoint.ip()).or_default();
            *count += 1;
            if *count == 1 {
                change.add.push(Element::Itself(endpoint.ip()));
            }
        }
        for endpoint in old.endpoints.iter().filter(|e| !new.endpoints.contains(e)) {
            if key.protocol == Protocol::Udp {
                change.gone_udp.push((SocketAddr::new(key.ip, key.port), *endpoint));
            }
            if let Some(count) = self.targets.get_mut(&endpoint.ip()) {
                *count -= 1;
                if *count == 0 {
                    self.targets.remove(&endpoint.ip());
                    change.remove.push(Element::Itself(endpoint.ip()));
                }
            }
        }
        self.ports.insert(key, (service.to_owned(), new));
    }
}

/// The ports of a Service's rules: each address with the endpoints of its family, each endpoint once.
fn ports_of(rules: Vec<ServiceRule>) -> BTreeMap<PortKey, Port> {
    let mut ports = BTreeMap::new();
    for rule in rules {
        for ip in &rule.cluster_ips {
            let mut seen = BTreeSet::new();
            let endpoints = rule
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.is_ipv4() == ip.is_ipv4() && seen.insert(**endpoint))
                .take(limits::ENDPOINTS_PER_SERVICE)
                .copied()
                .collect();
            let key = PortKey { ip: *ip, protocol: rule.protocol, port: rule.port };
            ports.insert(key, Port { endpoints, sticky: rule.affinity.is_some() });
        }
    }
    ports
}

/// The new endpoints, with those that stay where they are as far as there is room, and the others in the
/// gaps.
fn keep_places(old: &[SocketAddr], new: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let wanted: BTreeSet<SocketAddr> = new.iter().copied().collect();
    let kept: BTreeSet<SocketAddr> =
        old.iter().take(new.len()).filter(|endpoint| wanted.contains(endpoint)).copied().collect();
    let count = new.len();
    let mut others = new.into_iter().filter(|endpoint| !kept.contains(endpoint));
    (0..count)
        .filter_map(|index| match old.get(index) {
            Some(endpoint) if kept.contains(endpoint) => Some(*endpoint),
            _ => others.next(),
        })
        .collect()
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Service(key, pick) => {
                write!(f, "services {key} : {}{}", pick.count, if pick.sticky { " sticky" } else { "" })
            }
            Element::Endpoint(key, index, to) => write!(f, "endpoints {key} {index} : {to}"),
            Element::Itself(ip) => write!(f, "itself {ip}"),
        }
    }
}
