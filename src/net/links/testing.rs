//! What a host has before us, for tests: `lo`, and an uplink.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::SockProtocol;

use super::{ask, index_of, messages};
use crate::net::socket::Socket;
use crate::net::testbed::Namespace;

/// Switches `lo` on.
pub(in crate::net) fn lo_up() {
    let socket = Socket::open(SockProtocol::NetlinkRoute).unwrap();
    ask(&socket, "lo", &mut [("switching on", messages::up("lo"))]).unwrap();
}

/// Joins a namespace with this one: 192.0.2.1 here on `up0`, .2 there, and a default route to it.
pub(in crate::net) fn uplink(outside: &Namespace) {
    let socket = Socket::open(SockProtocol::NetlinkRoute).unwrap();
    let mac = |n| [0x0A, 0, 0, 0, 0, n];
    let made = ask(
        &socket,
        "up0",
        &mut [
            ("making", messages::new_pod_link("up0", 0, (mac(1), mac(2)), outside.netns.as_raw_fd())),
            ("preparing", messages::prepare("up0", &[], true)),
            ("up", messages::up("up0")),
            ("finding", messages::get_link("up0")),
        ],
    )
    .unwrap();
    let up0 = index_of(made, "up0").unwrap();
    let there = Socket::lent(outside.netlink.as_fd());
    let made =
        ask(&there, "eth0", &mut [("up", messages::up("eth0")), ("finding", messages::get_link("eth0"))]);
    let eth0 = index_of(made.unwrap(), "eth0").unwrap();
    let (here, far) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    ask(
        &there,
        "eth0",
        &mut [
            ("address", messages::address(eth0, far.into())),
            ("route", messages::route_to_link(IpAddr::V4(here).into(), eth0, None)),
        ],
    )
    .unwrap();
    ask(
        &socket,
        "up0",
        &mut [
            ("address", messages::address(up0, here.into())),
            ("route", messages::route_to_link(IpAddr::V4(far).into(), up0, None)),
            ("default route", messages::default_route(far.into(), up0)),
        ],
    )
    .unwrap();
}
