//! Speaks netlink: many requests in one system call, then all their answers.
//!
//! Owns the socket options, the sequence numbers and the reading of acknowledgements. Knows nothing of what
//! the messages say; `links` and `nft` build them.
//!
//! Invariant: when [`Socket::ask`] returns, every answer to what it sent has been read, so a socket can be
//! used again by anyone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use netlink_packet_core::NetlinkBuffer;
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};

use crate::limits;

/// `NLMSG_ERROR`: an acknowledgement, or the refusal, of one request.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a listing.
const DONE: u16 = 3;

/// What a socket failed at, before any single request was judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// Opening, configuring, sending or receiving failed.
    #[error("{step}: {cause}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Answers were lost because the receive buffer was full; the state is unknown and must be read again.
    #[error("the kernel dropped netlink answers because the receive buffer was full")]
    Overrun,
}

impl SocketError {
    fn io(step: &'static str, errno: Errno) -> SocketError {
        match errno {
            Errno::ENOBUFS => SocketError::Overrun,
            errno => SocketError::Io { step, cause: errno.into() },
        }
    }
}

/// The answer to one request of a conversation.
#[derive(Debug)]
pub(super) struct Answer {
    /// The kernel's judgement; `None` if it accepted.
    pub error: Option<Errno>,
    /// What it told besides: message type and payload.
    pub messages: Vec<(u16, Vec<u8>)>,
}

/// A netlink socket: one of our own, or one lent to us that was opened in another namespace.
#[derive(Debug)]
pub(super) struct Socket<F: AsFd> {
    fd: F,
    /// The largest datagram to be received. Listings are cut by the kernel to what the receiver takes.
    datagram: usize,
}

impl Socket<OwnedFd> {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open(protocol: SockProtocol) -> Result<Socket<OwnedFd>, SocketError> {
        let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(|e| SocketError::io("opening a netlink socket", e))?;
        // A refusal carries the refused request with it, and those of nftables are long.
        let datagram = match protocol {
            SockProtocol::NetlinkRoute => limits::NETLINK_ROUTE_DATAGRAM_BYTES,
            _ => limits::NETLINK_DATAGRAM_BYTES,
        };
        Ok(Socket { fd, datagram })
    }

    /// Opens a socket that hears the multicast groups of the bit mask `groups`.
    pub fn listen(protocol: SockProtocol, groups: u32) -> Result<Socket<OwnedFd>, SocketError> {
        let socket = Socket::open(protocol)?;
        socket::bind(socket.fd.as_raw_fd(), &NetlinkAddr::new(0, groups))
            .map_err(|e| SocketError::io("joining a netlink group", e))?;
        socket.widen(limits::NETLINK_BUFFER_BYTES);
        Ok(socket)
    }
}

impl<'a> Socket<BorrowedFd<'a>> {
    /// Uses a socket that somebody else opened, in whatever namespace that was.
    pub fn lent(fd: BorrowedFd<'a>) -> Socket<BorrowedFd<'a>> {
        Socket { fd, datagram: limits::NETLINK_ROUTE_DATAGRAM_BYTES }
    }
}

impl<F: AsFd> Socket<F> {
    /// The descriptor, to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Asks for socket buffers of `bytes`; where the kernel does not allow so much (an ordinary user's
    /// namespace), takes what it gives.
    pub fn widen(&self, bytes: usize) {
        use nix::sys::socket::sockopt;
        if socket::setsockopt(&self.fd, sockopt::SndBufForce, &bytes).is_err() {
            let _ = socket::setsockopt(&self.fd, sockopt::SndBuf, &bytes);
        }
        if socket::setsockopt(&self.fd, sockopt::RcvBufForce, &bytes).is_err() {
            let _ = socket::setsockopt(&self.fd, sockopt::RcvBuf, &bytes);
        }
    }

    /// The most bytes that one call may send.
    pub fn capacity(&self) -> usize {
        // Half of what the option reports is the kernel's own bookkeeping.
        socket::getsockopt(&self.fd, socket::sockopt::SndBuf).unwrap_or(limits::NETLINK_DATAGRAM_BYTES) / 2
    }

    /// Sends `requests` (whole messages, header included) in one call, each wanting an acknowledgement, and
    /// reads one answer for each, in order. Sequence numbers are written into the requests.
    pub fn ask(&self, requests: &mut [Vec<u8>]) -> Result<Vec<Answer>, SocketError> {
        let mut bytes = Vec::with_capacity(requests.iter().map(Vec::len).sum());
        for (number, request) in requests.iter_mut().enumerate() {
            NetlinkBuffer::new(request.as_mut_slice()).set_sequence_number(number as u32 + 1);
            bytes.extend_from_slice(request);
        }
        self.send(&bytes)?;
        let mut answers: Vec<Answer> =
            requests.iter().map(|_| Answer { error: None, messages: Vec::new() }).collect();
        let mut open = requests.len();
        let mut buffer = vec![0; self.datagram];
        while open > 0 {
            self.receive_into(&mut buffer, MsgFlags::empty(), |header, payload| {
                let Some(answer) = (header.sequence as usize).checked_sub(1).and_then(|i| answers.get_mut(i))
                else {
                    return;
                };
                match header.kind {
                    ERROR => {
                        answer.error = error_of(payload);
                        open -= 1;
                    }
                    DONE => open -= 1,
                    kind => answer.messages.push((kind, payload.to_vec())),
                }
            })?;
        }
        Ok(answers)
    }

    /// Sends bytes that hold whole messages.
    pub fn send(&self, bytes: &[u8]) -> Result<(), SocketError> {
        loop {
            match socket::sendto(
                self.fd.as_fd().as_raw_fd(),
                bytes,
                &NetlinkAddr::new(0, 0),
                MsgFlags::empty(),
            ) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SocketError::io("sending to netlink", errno)),
            }
        }
    }

    /// Receives one datagram and shows each message in it. False if nothing waits and `flags` says not to.
    pub fn receive(&self, flags: MsgFlags, each: impl FnMut(Header, &[u8])) -> Result<bool, SocketError> {
        self.receive_into(&mut vec![0; self.datagram], flags, each)
    }

    fn receive_into(
        &self,
        buffer: &mut [u8],
        flags: MsgFlags,
        mut each: impl FnMut(Header, &[u8]),
    ) -> Result<bool, SocketError> {
        let length = loop {
            match socket::recv(self.fd.as_fd().as_raw_fd(), buffer, flags) {
                Ok(length) => break length,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(false),
                Err(errno) => return Err(SocketError::io("receiving from netlink", errno)),
            }
        };
        let mut rest = &buffer[..length];
        while let Ok(message) = NetlinkBuffer::new_checked(&rest) {
            let header = Header { kind: message.message_type(), sequence: message.sequence_number() };
            each(header, message.payload());
            let step = (message.length() as usize).next_multiple_of(4).min(rest.len());
            if step == 0 {
                break;
            }
            rest = &rest[step..];
        }
        Ok(true)
    }
}

/// What identifies a received message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The message's type.
    pub kind: u16,
    /// The request that it answers.
    pub sequence: u32,
}

impl Header {
    /// Whether the payload is an acknowledgement, to be read with [`error_of`].
    pub fn is_answer(self) -> bool {
        self.kind == ERROR
    }
}

/// The error of an acknowledgement's payload; `None` if the request was accepted.
pub(super) fn error_of(payload: &[u8]) -> Option<Errno> {
    let code = payload.first_chunk::<4>().map_or(0, |code| i32::from_ne_bytes(*code));
    (code != 0).then(|| Errno::from_raw(-code))
}
