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

/// Removes the cluster's links by one request for their group; if a stranger has put a link into our group,
/// ours go one by one.
fn remove_links(socket: &Socket<OwnedFd>, record: &Record, links: &[messages::Link]) -> Vec<NetError> {
    let group = names::group(&record.cluster);
    let bridge = names::bridge(&record.cluster);
    let ours = |link: &&messages::Link| link.name == bridge || link.name.starts_with("cv");
    let members: Vec<_> = links.iter().filter(|link| link.group == group).collect();
    if members.iter().all(ours) {
        return ask(socket, &record.cluster, &mut [("removing its links", messages::delete_group(group))])
            .err()
            .into_iter()
            .collect();
    }
    members
        .into_iter()
        .filter(ours)
        .filter_map(|link| {
            ask(socket, &link.name, &mut [("removing", messages::delete_link(&link.name))]).err()
        })
        .collect()
}

fn is_absent(error: &NetError) -> bool {
    let NetError::Kernel { cause, .. } = error else { return false };
    [Errno::ENODEV, Errno::ESRCH, Errno::ENOENT].iter().any(|e| cause.raw_os_error() == Some(*e as i32))
}
