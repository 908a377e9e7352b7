//! Forgets tracked UDP flows whose peer is gone.
//!
//! A TCP connection notices that its endpoint is gone; a UDP flow goes on to the dead address until its
//! entry times out, and never does while packets come. Owns no state: lists the kernel's entries and
//! deletes those that the caller names.
//!
//! Invariant: only entries for which the caller's test says so are deleted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, ParseableParametrized,
};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Protocol, Tuple,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::nft::NftError;
use super::socket::{Answer, Socket};

/// A tracked UDP flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// Who began it.
    pub client: SocketAddr,
    /// Whom the client wrote to.
    pub service: SocketAddr,
    /// Who answers: the endpoint, after translation.
    pub answers_from: SocketAddr,
}

/// Deletes every IPv4 and IPv6 UDP entry that `doomed` picks; returns how many. A kernel that tracks nothing
/// is fine.
pub(super) fn forget_udp(doomed: impl Fn(&Flow) -> bool) -> Result<usize, NftError> {
    let socket = Socket::open(SockProtocol::NetlinkNetFilter).map_err(|e| NftError::netlink("flows", &e))?;
    let mut deletions = Vec::new();
    for family in [NetfilterProtoFamily::IPv4, NetfilterProtoFamily::IPv6] {
        let list = request(family, ConntrackMessage::Get(Vec::new()), NLM_F_DUMP);
        let answers = socket.ask(&mut [list]).map_err(|e| NftError::netlink("flows", &e))?;
        for Answer { error, messages } in answers {
            match error {
                // No connection tracking in this kernel or namespace: nothing to forget.
                Some(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOENT) => return Ok(0),
                Some(errno) => return Err(NftError::refused("listing tracked flows", errno)),
                None => {}
            }
            for (kind, payload) in messages {
                let Some((flow, tuple)) = read(kind, &payload) else { continue };
                if doomed(&flow) {
                    let origin = vec![ConntrackAttribute::CtaTupleOrig(tuple)];
                    deletions.push(request(family, ConntrackMessage::Delete(origin), NLM_F_ACK));
                }
            }
        }
    }
    let count = deletions.len();
    // In portions, so that their acknowledgements fit the receive buffer.
    for portion in deletions.chunks_mut(64) {
        for answer in socket.ask(portion).map_err(|e| NftError::netlink("flows", &e))? {
            match answer.error {
                None | Some(Errno::ENOENT) => {}
                Some(errno) => return Err(NftError::refused("deleting a tracked flow", errno)),
            }
        }
    }
    Ok(count)
}

fn request(family: NetfilterProtoFamily, message: ConntrackMessage, flags: u16) -> Vec<u8> {
    let mut message =
        NetlinkMessage::from(NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message));
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    bytes
}

/// A UDP flow and its original tuple, from one listed entry.
fn read(kind: u16, payload: &[u8]) -> Option<(Flow, Vec<Tuple>)> {
    let message = NetfilterMessage::parse_with_param(payload, kind).ok()?;
    let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = message.inner else {
        return None;
    };
    let mut origin = None;
    let mut reply = None;
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => origin = Some(tuple),
            ConntrackAttribute::CtaTupleReply(tuple) => reply = Some(tuple),
            _ => {}
        }
    }
    let origin = origin?;
    let (client, service, protocol) = ends(&origin);
    let (answers_from, _, _) = ends(&reply?);
    (protocol == Some(Protocol::Udp)).then_some((Flow { client, service, answers_from }, origin))
}

fn ends(tuple: &[Tuple]) -> (SocketAddr, SocketAddr, Option<Protocol>) {
    let unset = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let (mut source, mut destination, mut protocol) = (unset, unset, None);
    for part in tuple {
        match part {
            Tuple::Ip(ips) => {
                for ip in ips {
                    match ip {
                        IPTuple::SourceAddress(ip) => source.set_ip(*ip),
                        IPTuple::DestinationAddress(ip) => destination.set_ip(*ip),
                        _ => {}
                    }
                }
            }
            Tuple::Proto(ports) => {
                for port in ports {
                    match port {
                        ProtoTuple::Protocol(number) => protocol = Some(*number),
                        ProtoTuple::SourcePort(port) => source.set_port(*port),
                        ProtoTuple::DestinationPort(port) => destination.set_port(*port),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (source, destination, protocol)
}
