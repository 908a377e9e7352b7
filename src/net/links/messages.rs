//! The route netlink messages of the pod network, as bytes ready to send.
//!
//! Pure. Says what each message asks for and why; `links` sends them in batches.
//!
//! Invariant: every message names its link by a name or an index that the caller has made sure is ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use ipnetwork::IpNetwork;
use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE,
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
};
use netlink_packet_route::address::AddressHeaderFlags;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

/// The name of a pod's own link.
pub(super) const POD_LINK: &str = "eth0";

/// Who made a route, as the kernel records it: marks our routes for people who list them.
const ROUTE_PROTOCOL: RouteProtocol = RouteProtocol::Other(98);

/// The metric of the unreachable route of a pod range: any other route to the same range wins.
const UNREACHABLE_METRIC: u32 = 0xFF00_0000;

/// Per-link IPv4 settings that netlink can write, by the kernel's numbers. Set this way they need no
/// writable `/proc/sys`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setting {
    /// Packets that come in here may be routed on.
    Forwarding = 1,
    /// A source address must be routed back to where it came from.
    RpFilter = 8,
}

fn request(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// Makes the bridge, with a hardware address of its own and in the cluster's group.
pub(super) fn new_bridge(name: &str, mac: [u8; 6], group: u32) -> Vec<u8> {
    let link = LinkBridge::new(name).address(mac.to_vec()).link_group(group).mcast_snooping(false).build();
    request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
}

/// Makes a pod's link: the host's end here, the other end as `eth0` in the pod's namespace.
pub(super) fn new_pod_link(
    name: &str,
    group: u32,
    (host_mac, pod_mac): ([u8; 6], [u8; 6]),
    netns: RawFd,
) -> Vec<u8> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(POD_LINK)
        .address(pod_mac.to_vec())
        .setns_by_fd(netns)
        .build();
    let link = LinkVeth::new(name, POD_LINK)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .address(host_mac.to_vec())
        .link_group(group)
        .build();
    request(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
}

fn change(link: LinkMessage) -> Vec<u8> {
    request(RouteNetlinkMessage::SetLink(link), 0)
}

fn named(name: &str) -> LinkMessageBuilder<LinkUnspec> {
    LinkMessageBuilder::<LinkUnspec>::new().name(name)
}

/// Switches a link on.
pub(super) fn up(name: &str) -> Vec<u8> {
    change(named(name).up().build())
}

/// Writes a link's alias.
pub(super) fn alias(name: &str, alias: &str) -> Vec<u8> {
    change(named(name).alias(alias).build())
}

/// Writes IPv4 settings of a link.
pub(super) fn settings(name: &str, settings: &[(Setting, u32)]) -> Vec<u8> {
    change(named(name).append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![inet(settings)])).build())
}

/// Writes IPv4 settings of a link and, if the kernel knows IPv6, keeps the link from making itself an
/// address of that kind, which would cost timers and multicast for each pod.
pub(super) fn prepare(name: &str, settings: &[(Setting, u32)], knows_ipv6: bool) -> Vec<u8> {
    let mut families = Vec::new();
    if !settings.is_empty() {
        families.push(inet(settings));
    }
    if knows_ipv6 {
        families.push(AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]));
    }
    change(named(name).append_extra_attribute(LinkAttribute::AfSpecUnspec(families)).build())
}

fn inet(settings: &[(Setting, u32)]) -> AfSpecUnspec {
    /// `IFLA_INET_CONF`: the nest of settings.
    const CONF: u16 = 1;
    let nest: Vec<DefaultNla> = settings
        .iter()
        .map(|(setting, value)| DefaultNla::new(*setting as u16, value.to_ne_bytes().to_vec()))
        .collect();
    let mut bytes = vec![0; nest.as_slice().buffer_len()];
    nest.as_slice().emit(&mut bytes);
    AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(CONF | NLA_F_NESTED, bytes))])
}

/// Asks for one link.
pub(super) fn get_link(name: &str) -> Vec<u8> {
    request(RouteNetlinkMessage::GetLink(named(name).build()), 0)
}

/// Asks for all links.
pub(super) fn list_links() -> Vec<u8> {
    request(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)
}

/// Removes one link.
pub(super) fn delete_link(name: &str) -> Vec<u8> {
    request(RouteNetlinkMessage::DelLink(named(name).build()), 0)
}

/// Removes every link of a group in one step: 50 links take as long as one.
pub(super) fn delete_group(group: u32) -> Vec<u8> {
    let link = LinkMessageBuilder::<LinkUnspec>::new().link_group(group).build();
    request(RouteNetlinkMessage::DelLink(link), 0)
}

/// Gives a link an address that stands for itself alone. Nobody else can have it, so an IPv6 address need
/// not first be looked for.
pub(super) fn address(link: u32, address: IpAddr) -> Vec<u8> {
    let message = match address {
        IpAddr::V4(ip) => AddressMessageBuilder::<Ipv4Addr>::new().index(link).address(ip, 32).build(),
        IpAddr::V6(ip) => {
            let mut message = AddressMessageBuilder::<Ipv6Addr>::new().index(link).address(ip, 128).build();
            message.header.flags = AddressHeaderFlags::Nodad;
            message
        }
    };
    request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
}

fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn route(range: IpNetwork) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = family_of(range.ip());
    route.header.destination_prefix_length = range.prefix();
    route.header.table = RouteHeader::RT_TABLE_MAIN;
    route.header.protocol = ROUTE_PROTOCOL;
    route.header.scope = RouteScope::Universe;
    route.header.kind = RouteType::Unicast;
    if range.prefix() > 0 {
        route.attributes.push(RouteAttribute::Destination(range.network().into()));
    }
    route
}

fn new_route(route: RouteMessage) -> Vec<u8> {
    request(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Routes a range to a link, with nobody between; `source` is what programs of this namespace use as their
/// own address.
pub(super) fn route_to_link(range: IpNetwork, link: u32, source: Option<IpAddr>) -> Vec<u8> {
    let mut route = route(range);
    if range.is_ipv4() {
        route.header.scope = RouteScope::Link;
    }
    route.attributes.push(RouteAttribute::Oif(link));
    route.attributes.extend(source.map(|source| RouteAttribute::PrefSource(source.into())));
    new_route(route)
}

/// Sends everything else through the gateway.
pub(super) fn default_route(gateway: IpAddr, link: u32) -> Vec<u8> {
    let all = match gateway {
        IpAddr::V4(_) => IpNetwork::from(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(_) => IpNetwork::from(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
    };
    let mut route = route(all);
    route.header.destination_prefix_length = 0;
    route.attributes = vec![RouteAttribute::Gateway(gateway.into()), RouteAttribute::Oif(link)];
    new_route(route)
}

fn unreachable(range: IpNetwork) -> RouteMessage {
    let mut route = route(range);
    route.header.kind = RouteType::Unreachable;
    route.attributes.push(RouteAttribute::Priority(UNREACHABLE_METRIC));
    route
}

/// Answers "unreachable" at once for addresses of a pod range that no pod has; otherwise such packets would
/// leave by the host's default route.
pub(super) fn add_unreachable(range: IpNetwork) -> Vec<u8> {
    new_route(unreachable(range))
}

/// Takes [`add_unreachable`] back.
pub(super) fn delete_unreachable(range: IpNetwork) -> Vec<u8> {
    request(RouteNetlinkMessage::DelRoute(unreachable(range)), 0)
}

/// Tells once and for all which hardware address an address has.
pub(super) fn neighbour(link: u32, address: IpAddr, mac: [u8; 6]) -> Vec<u8> {
    let mut message = NeighbourMessage::default();
    message.header.family = family_of(address);
    message.header.ifindex = link;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        NeighbourAttribute::Destination(address.into()),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    request(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
}

/// Asks for all routes of both families.
pub(super) fn list_routes() -> Vec<u8> {
    request(RouteNetlinkMessage::GetRoute(RouteMessage::default()), NLM_F_DUMP)
}

/// What is known of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: u32,
    /// Its alias, empty if it has none.
    pub alias: String,
    /// Whether packets that come in there are routed on.
    pub forwarding: bool,
}

fn parse(kind: u16, payload: &[u8]) -> Option<RouteNetlinkMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    RouteNetlinkMessage::deserialize(&header, payload).ok()
}

/// Reads a message about a link, as an answer (`true`: it is there) or as news (`false`: it is gone).
pub(super) fn read_link(kind: u16, payload: &[u8]) -> Option<(bool, Link)> {
    let (there, message) = match parse(kind, payload)? {
        RouteNetlinkMessage::NewLink(message) => (true, message),
        RouteNetlinkMessage::DelLink(message) => (false, message),
        _ => return None,
    };
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut link = Link { index: message.header.index, ..Link::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Group(group) => link.group = group,
            LinkAttribute::IfAlias(alias) => link.alias = alias,
            LinkAttribute::AfSpecUnspec(families) => {
                link.forwarding = families.iter().any(|family| match family {
                    AfSpecUnspec::Inet(inet) => inet
                        .iter()
                        .any(|conf| matches!(conf, AfSpecInet::DevConf(conf) if conf.forwarding != 0)),
                    _ => false,
                });
            }
            _ => {}
        }
    }
    Some((there, link))
}

/// A route, as far as we look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Where to.
    pub destination: IpNetwork,
    /// Over which link.
    pub link: Option<u32>,
}

/// Reads one route of the main table from a listing.
pub(super) fn read_route(kind: u16, payload: &[u8]) -> Option<Route> {
    /// `RT_TABLE_MAIN`.
    const MAIN: u8 = 254;
    let RouteNetlinkMessage::NewRoute(message) = parse(kind, payload)? else { return None };
    if message.header.table != MAIN {
        return None;
    }
    let mut address = match message.header.address_family {
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let mut link = None;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => address = ip.into(),
            RouteAttribute::Destination(RouteAddress::Inet6(ip)) => address = ip.into(),
            RouteAttribute::Oif(index) => link = Some(index),
            _ => {}
        }
    }
    let destination = IpNetwork::new(address, message.header.destination_prefix_length).ok()?;
    Some(Route { destination, link })
}
