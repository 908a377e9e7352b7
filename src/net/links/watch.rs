//! Listens for links that go, on one private thread.
//!
//! Blocks in the kernel and wakes for news of links alone; a second descriptor ends it. Decides nothing:
//! it tells `links` which links are gone.
//!
//! Invariant: no news is lost silently: when the kernel says that some were, everything is read again.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{MsgFlags, SockProtocol};

use super::{NetError, Shared, messages};
use crate::net::socket::{Socket, SocketError};
use crate::reconcile::threads;

/// `RTMGRP_LINK`: news of links, as a bit of the socket's group mask.
const LINK_NEWS: u32 = 1;

/// The running listener.
#[derive(Debug)]
pub(super) struct Watch {
    end: Arc<EventFd>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Starts to listen in the calling thread's namespace. On a thread of its own, since it blocks in the kernel and
    /// the loop's executors must not.
    pub fn start(shared: Arc<Shared>, bridge: &str) -> Result<Watch, NetError> {
        let socket = Socket::listen(SockProtocol::NetlinkRoute, LINK_NEWS)
            .map_err(|e| NetError::netlink(bridge, e))?;
        let failed = |step: &'static str, cause: std::io::Error| NetError::Kernel {
            object: bridge.to_owned(),
            step,
            cause,
        };
        let end = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)
            .map_err(|e| failed("making the listener's end signal", e.into()))?;
        let end = Arc::new(end);
        let ends = end.clone();
        let thread = threads::spawn("coracle-links", move || listen(&socket, &ends, &shared))
            .map_err(|e| failed("starting the listener", e))?;
        Ok(Watch { end, thread })
    }

    /// Ends the listener and waits until it has ended.
    pub fn stop(self) {
        if self.end.write(1).is_ok() && self.thread.join().is_err() {
            tracing::warn!("the listener for links ended with a panic");
        }
    }
}

fn listen(socket: &Socket<OwnedFd>, end: &EventFd, shared: &Shared) {
    loop {
        let mut ready =
            [PollFd::new(socket.fd(), PollFlags::POLLIN), PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::warn!(%error, "no more news of links: addresses of pods that go stay in use");
                return;
            }
        }
        if ready[1].any().unwrap_or(false) {
            return;
        }
        if ready[0].any().unwrap_or(false) && !hear(socket, shared) {
            return;
        }
    }
}

/// Reads all news that wait and acts on them together. False if the socket is of no more use.
fn hear(socket: &Socket<OwnedFd>, shared: &Shared) -> bool {
    let mut gone = Vec::new();
    loop {
        let heard = socket.receive(MsgFlags::MSG_DONTWAIT, |header, payload| {
            if let Some((false, link)) = messages::read_link(header.kind, payload) {
                gone.extend(shared.link_gone(&link.name, Some(link.index)));
            }
        });
        match heard {
            Ok(true) => {}
            Ok(false) => break,
            Err(SocketError::Overrun) => shared.read_again(),
            Err(error) => {
                tracing::warn!(%error, "no more news of links: addresses of pods that go stay in use");
                return false;
            }
        }
    }
    shared.release(&gone);
    true
}
