//! Packet sockets between host, keeper and children, with descriptors in the packets.
//!
//! Owns the `unsafe` of sending and receiving them. What the bytes mean is told in `wire.rs`.
//!
//! Invariant: every descriptor made or received here is close-on-exec.

use std::ffi::{c_char, c_long, c_uint};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use super::sys::{check, owned};

/// A pair of connected packet sockets.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `fds` has room for two.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) }.into())?;
    // SAFETY: both are new and ours.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

fn unix_address(path: &Path) -> io::Result<libc::sockaddr_un> {
    // SAFETY: an all-zero address is valid.
    let mut address: libc::sockaddr_un = unsafe { zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as c_char;
    }
    Ok(address)
}

fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain call.
    owned(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) }.into())
}

/// A packet socket that listens at a path.
pub(super) fn listen(path: &Path) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    let address = unix_address(path)?;
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address lives through the call and has that length.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) }.into())?;
    // SAFETY: plain call.
    check(unsafe { libc::listen(socket.as_raw_fd(), 4) }.into())?;
    Ok(socket)
}

/// A packet socket connected to a path.
pub(super) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    let address = unix_address(path)?;
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address lives through the call and has that length.
    check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) }.into())?;
    Ok(socket)
}

/// The next connection of a listening socket.
pub(super) fn accept(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: null address asks for none.
    owned(
        unsafe { libc::accept4(socket.as_raw_fd(), ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC) }
            .into(),
    )
}

/// Ends a connection in both directions: whoever reads it, here too, sees its end.
pub(super) fn end(socket: BorrowedFd<'_>) {
    // SAFETY: plain call.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// The most descriptors in one packet.
const PACKET_FDS: usize = 4;

#[repr(C, align(8))]
struct ControlSpace([u8; 64]);

/// Sends one packet with descriptors; `wait` false answers `WouldBlock` when the socket is full.
pub(super) fn send(socket: BorrowedFd<'_>, data: &[u8], fds: &[RawFd], wait: bool) -> io::Result<()> {
    debug_assert!(fds.len() <= PACKET_FDS);
    let mut space = ControlSpace([0; 64]);
    let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: an all-zero header is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        let bytes = size_of_val(fds) as c_uint;
        header.msg_control = (&raw mut space).cast();
        // SAFETY: arithmetic; the space is large enough for PACKET_FDS descriptors and is aligned.
        unsafe {
            header.msg_controllen = libc::CMSG_SPACE(bytes) as _;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(bytes) as _;
            ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(message), bytes as usize);
        }
    }
    let flags = libc::MSG_NOSIGNAL | if wait { 0 } else { libc::MSG_DONTWAIT };
    loop {
        // SAFETY: the header points at memory that lives through the call.
        match check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) } as c_long) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}

/// Receives one packet into `buffer`; no bytes mean that the other side has ended.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    wait: bool,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = ControlSpace([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: an all-zero header is valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut space).cast();
    header.msg_controllen = size_of::<ControlSpace>() as _;
    let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
    let length = loop {
        // SAFETY: the header points at memory that lives through the call.
        match check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) } as c_long) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other? as usize,
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel filled the control space; the macros walk it within its length, and the
    // descriptors found there are new and ours.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                for index in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    Ok((length, fds))
}
