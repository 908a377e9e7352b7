//! Removes the links, routes and settings of a cluster: of our own at its end, of dead ones at a start.
//!
//! Knows a cluster by its record in a bridge's alias alone. Does not decide who is dead: the caller says.
//!
//! Invariant: nothing is touched that does not carry the cluster's own names.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::messages::{self, Setting};
use super::{NetError, ask, list_links, setup};
use crate::net::names::{self, Record};
use crate::net::socket::Socket;

/// Removes what clusters left behind of which `is_alive` says no. Returns the ids of the removed ones, and
/// every error met.
pub fn sweep(is_alive: impl Fn(&str) -> bool) -> (Vec<String>, Vec<NetError>) {
    let socket = match Socket::open(SockProtocol::NetlinkRoute) {
        Ok(socket) => socket,
        Err(cause) => return (Vec::new(), vec![NetError::netlink("sweep", cause)]),
    };
    let links = match list_links(&socket) {
        Ok(links) => links,
        Err(error) => return (Vec::new(), vec![error]),
    };
    let mut removed = Vec::new();
    let mut errors = Vec::new();
    // Whoever is killed between making its bridge and recording it leaves one that only its name tells of.
    for link in links.iter().filter(|link| link.alias.is_empty() && names::is_bridge(&link.name)) {
        if !is_alive(&link.name) {
            let request = messages::delete_link(&link.name);
            errors.extend(
                ask(&socket, &link.name, &mut [("removing a bridge without a record", request)]).err(),
            );
        }
    }
    for record in links.iter().filter_map(|link| Record::parse(&link.alias)) {
        if !is_alive(&record.cluster) {
            errors.extend(remove(&socket, &record));
            removed.push(record.cluster);
        }
    }
    (removed, errors)
}

/// Removes all that a record names. What is gone already is fine. The bridge, which holds the record, goes
/// last.
pub(super) fn remove(socket: &Socket<OwnedFd>, record: &Record) -> Vec<NetError> {
    let mut errors = Vec::new();
    let links = match list_links(socket) {
        Ok(links) => links,
        Err(error) => return vec![error],
    };
    let mut steps = Vec::new();
    for range in &record.pods {
        steps.push(("removing the unreachable route", messages::delete_unreachable(*range)));
    }
    let others = links
        .iter()
        .filter_map(|link| Record::parse(&link.alias))
        .any(|other| other.cluster != record.cluster);
    if !others {
        for link in links.iter().filter(|link| record.forwarding.contains(&link.name)) {
            steps.push((
                "restoring the uplink's forwarding",
                messages::settings(&link.name, &[(Setting::Forwarding, 0)]),
            ));
        }
    }
    let here = |name: &&String| links.iter().any(|link| link.name == **name);
    if !others {
        errors.extend(
            record.forwarding6.iter().filter(here).filter_map(|name| setup::forward_ipv6(name, false).err()),
        );
    }
    for (step, bytes) in steps {
        errors.extend(ask(socket, &record.cluster, &mut [(step, bytes)]).err());
    }
    errors.extend(remove_links(socket, record, &links));
    errors.retain(|error| !is_absent(error));
    errors
}

/// Removes the cluster's links by one request for their group. If a stranger, or another cluster of the same
/// hash, has a link in it, only the bridge is removed: the pods' links go with their namespaces.
fn remove_links(socket: &Socket<OwnedFd>, record: &Record, links: &[messages::Link]) -> Vec<NetError> {
    let group = names::group(&record.cluster);
    let bridge = names::bridge(&record.cluster);
    let is_ours = |link: &messages::Link| link.name == bridge || names::is_pod_link(&link.name);
    let request = if links.iter().filter(|link| link.group == group).all(is_ours) {
        messages::delete_group(group)
    } else {
        messages::delete_link(&bridge)
    };
    ask(socket, &record.cluster, &mut [("removing its links", request)]).err().into_iter().collect()
}

fn is_absent(error: &NetError) -> bool {
    let NetError::Kernel { cause, .. } = error else { return false };
    [Errno::ENODEV, Errno::ESRCH, Errno::ENOENT].iter().any(|e| cause.raw_os_error() == Some(*e as i32))
}
