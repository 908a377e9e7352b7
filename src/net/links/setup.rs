//! Makes the bridge of a node and what the host needs besides: addresses, routes, forwarding.
//!
//! Runs once at a start. What an earlier run of the same cluster left is either taken over, if pods of it
//! live, or removed first. Settings of the host are changed link by link, written into the bridge's alias
//! before.
//!
//! Invariant: a setting that is changed stands in the alias of every bridge of ours that was made while it
//! was changed, so that whoever goes last restores it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;

use super::messages::{self, Link, Setting};
use super::{LinksConfig, NetError, ask, index_of, list_links, sweep};
use crate::net::names::{self, Record};
use crate::net::socket::Socket;

/// How IPv6 packets of pods come to be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ipv6 {
    /// The kernel has no IPv6.
    Unknown,
    /// Pods have no IPv6 addresses.
    Unused,
    /// The whole host forwards already.
    Host,
    /// Our links alone, which kernels can from 6.17 on.
    Links,
}

impl Ipv6 {
    /// Finds out what the kernel can. Forwarding of the whole host is never switched on: the host would
    /// forget its own default route.
    fn find(config: &LinksConfig) -> Result<Ipv6, NetError> {
        let root = Path::new("/proc/sys/net/ipv6/conf/all");
        match config.ipv6 {
            None if root.exists() => Ok(Ipv6::Unused),
            None => Ok(Ipv6::Unknown),
            Some(_) if std::fs::read(root.join("forwarding")).is_ok_and(|on| on.starts_with(b"1")) => {
                Ok(Ipv6::Host)
            }
            Some(_) if root.join("force_forwarding").exists() => Ok(Ipv6::Links),
            Some(ranges) => Err(NetError::NoIpv6 { range: ranges.pods }),
        }
    }

    /// Whether links have IPv6 settings.
    pub fn is_known(self) -> bool {
        self != Ipv6::Unknown
    }
}

fn force_forwarding(link: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv6/conf").join(link).join("force_forwarding")
}

/// Lets a link forward IPv6, or no longer. There is no netlink message for it.
pub(super) fn forward_ipv6(link: &str, on: bool) -> Result<(), NetError> {
    std::fs::write(force_forwarding(link), if on { "1" } else { "0" }).map_err(|cause| NetError::Kernel {
        object: link.to_owned(),
        step: "switching IPv6 forwarding",
        cause,
    })
}

fn forwards_ipv6(link: &str) -> bool {
    std::fs::read(force_forwarding(link)).is_ok_and(|on| on.starts_with(b"1"))
}

/// Makes the bridge, or takes over the one that pods of an earlier run hang on. On failure nothing is left.
pub(super) fn build(
    socket: &Socket<OwnedFd>,
    config: &LinksConfig,
    bridge: &str,
    gateways: &[IpAddr],
) -> Result<(Record, Ipv6), NetError> {
    let ipv6 = Ipv6::find(config)?;
    let links = list_links(socket)?;
    let old = links.iter().find(|link| link.name == bridge).map(|link| {
        Record::parse(&link.alias)
            .unwrap_or_else(|| Record { cluster: config.cluster_id.clone(), ..Record::default() })
    });
    let keep = !config.adopt.is_empty() && old.is_some();
    if let Some(old) = &old
        && !keep
        && let Some(error) = sweep::remove(socket, old).into_iter().next()
    {
        return Err(error);
    }
    let old = old.filter(|_| keep).unwrap_or_default();
    let mut record =
        Record { cluster: config.cluster_id.clone(), pods: config.pod_ranges().collect(), ..old };
    // Listed again: what the old one had changed is restored by now.
    let links = list_links(socket)?;
    let change = plan_forwarding(socket, &links, ipv6, &mut record)?;

    if !keep {
        let mac = gateways.first().map_or(names::HOST_MAC, |gateway| names::pod_mac(*gateway));
        let group = names::group(&config.cluster_id);
        ask(socket, bridge, &mut [("making the bridge", messages::new_bridge(bridge, mac, group))])?;
    }
    if let Err(error) = furnish(socket, config, bridge, gateways, ipv6, &record, &change) {
        if !keep {
            sweep::remove(socket, &record);
        }
        return Err(error);
    }
    Ok((record, ipv6))
}

/// Records, then changes; gives the bridge its addresses and routes.
fn furnish(
    socket: &Socket<OwnedFd>,
    config: &LinksConfig,
    bridge: &str,
    gateways: &[IpAddr],
    ipv6: Ipv6,
    record: &Record,
    change: &Forwarding,
) -> Result<(), NetError> {
    let forward = [(Setting::Forwarding, 1)];
    let answers = ask(
        socket,
        bridge,
        &mut [
            ("recording what is changed", messages::alias(bridge, &record.alias())),
            ("preparing the bridge", messages::prepare(bridge, &forward, ipv6.is_known())),
            ("switching the bridge on", messages::up(bridge)),
            ("finding the bridge", messages::get_link(bridge)),
        ],
    )?;
    let index = index_of(answers, bridge)?;
    let mut steps = Vec::new();
    for gateway in gateways {
        steps.push(("giving the bridge the gateway's address", messages::address(index, *gateway)));
    }
    for range in config.service_ranges() {
        let source = gateways.iter().find(|gateway| gateway.is_ipv4() == range.is_ipv4()).copied();
        steps.push(("routing the Service range", messages::route_to_link(range, index, source)));
    }
    for range in &record.pods {
        steps.push(("closing the pod range", messages::add_unreachable(*range)));
    }
    for link in &change.ipv4 {
        steps.push(("allowing the uplink to forward", messages::settings(link, &forward)));
    }
    ask(socket, bridge, &mut steps)?;
    change.ipv6.iter().try_for_each(|link| forward_ipv6(link, true))
}

/// Uplinks on which forwarding must be switched on.
#[derive(Debug, Default)]
struct Forwarding {
    ipv4: Vec<String>,
    ipv6: Vec<String>,
}

/// Finds the links of default routes that do not forward. Afterwards the record names all that we, or
/// another cluster that lives, have switched on.
fn plan_forwarding(
    socket: &Socket<OwnedFd>,
    links: &[Link],
    ipv6: Ipv6,
    record: &mut Record,
) -> Result<Forwarding, NetError> {
    let note = |names: &mut Vec<String>, name: &String| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    };
    for other in links.iter().filter_map(|link| Record::parse(&link.alias)) {
        other.forwarding.iter().for_each(|name| note(&mut record.forwarding, name));
        other.forwarding6.iter().for_each(|name| note(&mut record.forwarding6, name));
    }
    let answers = ask(socket, "routes", &mut [("listing", messages::list_routes())])?;
    let uplinks: HashSet<(bool, u32)> = answers
        .iter()
        .flat_map(|answer| &answer.messages)
        .filter_map(|(kind, payload)| messages::read_route(*kind, payload))
        .filter(|route| route.destination.prefix() == 0)
        .filter_map(|route| Some((matches!(route.destination, IpNetwork::V4(_)), route.link?)))
        .collect();
    let mut change = Forwarding::default();
    for link in links {
        if uplinks.contains(&(true, link.index)) && !link.forwarding {
            change.ipv4.push(link.name.clone());
        }
        if ipv6 == Ipv6::Links && uplinks.contains(&(false, link.index)) && !forwards_ipv6(&link.name) {
            change.ipv6.push(link.name.clone());
        }
    }
    change.ipv4.iter().for_each(|name| note(&mut record.forwarding, name));
    change.ipv6.iter().for_each(|name| note(&mut record.forwarding6, name));
    Ok(change)
}
