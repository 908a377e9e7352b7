//! Just enough route netlink for the floor: one batch of messages, one send, and their acknowledgements.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

const REQUEST_ACK: u16 = 1 | 4;
const CREATE: u16 = 0x400 | 0x200;

/// Whole messages, one after the other.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: usize,
}

impl Batch {
    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.count += 1;
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST_ACK | flags).to_ne_bytes());
        self.bytes.extend((self.count as u32).to_ne_bytes());
        self.bytes.extend([0; 4]);
        body(&mut self.bytes);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// A veth pair: `name` here and `eth0`, with these numbers, in the namespace `netns`.
    pub fn veth(&mut self, name: &str, index: i32, peer: i32, netns: BorrowedFd<'_>) {
        self.message(libc::RTM_NEWLINK, CREATE, |out| {
            link(out, index, 0);
            attribute(out, libc::IFLA_IFNAME, |out| text(out, name));
            attribute(out, libc::IFLA_LINKINFO, |out| {
                attribute(out, libc::IFLA_INFO_KIND, |out| out.extend(b"veth"));
                attribute(out, libc::IFLA_INFO_DATA, |out| {
                    attribute(out, 1, |out| {
                        link(out, peer, 0);
                        attribute(out, libc::IFLA_IFNAME, |out| text(out, "eth0"));
                        let netns = netns.as_raw_fd();
                        attribute(out, libc::IFLA_NET_NS_FD, |out| out.extend(netns.to_ne_bytes()));
                    });
                });
            });
        });
    }

    /// Switches a link on.
    pub fn up(&mut self, index: i32) {
        self.message(libc::RTM_NEWLINK, 0, |out| link(out, index, libc::IFF_UP as u32));
    }

    /// Gives a link an address that stands for itself alone.
    pub fn address(&mut self, index: i32, address: Ipv4Addr) {
        self.message(libc::RTM_NEWADDR, CREATE, |out| {
            out.extend([libc::AF_INET as u8, 32, 0, 0]);
            out.extend(index.to_ne_bytes());
            attribute(out, libc::IFA_LOCAL, |out| out.extend(address.octets()));
        });
    }

    /// Routes an address (or, without one, everything through a gateway) to a link.
    pub fn route(&mut self, index: i32, to: Option<Ipv4Addr>, gateway: Option<Ipv4Addr>) {
        self.message(libc::RTM_NEWROUTE, CREATE, |out| {
            let prefix = if to.is_some() { 32 } else { 0 };
            let scope = if gateway.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
            out.extend([
                libc::AF_INET as u8,
                prefix,
                0,
                0,
                libc::RT_TABLE_MAIN,
                98,
                scope,
                libc::RTN_UNICAST,
            ]);
            out.extend([0; 4]);
            if let Some(to) = to {
                attribute(out, libc::RTA_DST, |out| out.extend(to.octets()));
            }
            if let Some(gateway) = gateway {
                attribute(out, libc::RTA_GATEWAY, |out| out.extend(gateway.octets()));
            }
            attribute(out, libc::RTA_OIF, |out| out.extend(index.to_ne_bytes()));
        });
    }

    /// Sends the batch and waits for every acknowledgement; the first refusal is the error.
    pub fn ask(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: the bytes live through the call.
        let sent = unsafe { libc::send(socket.as_raw_fd(), self.bytes.as_ptr().cast(), self.bytes.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut buffer = [0u8; 16 * 1024];
        let mut answered = 0;
        while answered < self.count {
            // SAFETY: the buffer lives through the call and has that length.
            let length =
                unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
            let mut rest = &buffer[..length];
            while rest.len() >= 20 {
                let number =
                    |at: usize| i32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
                if number(16) != 0 {
                    return Err(io::Error::from_raw_os_error(-number(16)));
                }
                answered += 1;
                rest = &rest[(number(0) as usize).next_multiple_of(4).clamp(20, rest.len())..];
            }
        }
        Ok(())
    }
}

fn link(out: &mut Vec<u8>, index: i32, flags: u32) {
    out.extend([0; 4]);
    out.extend(index.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

fn attribute(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 2]);
    out.extend(kind.to_ne_bytes());
    body(out);
    let length = (out.len() - start) as u16;
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}
