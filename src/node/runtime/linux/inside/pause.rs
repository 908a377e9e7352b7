//! The process that holds a pod's namespaces, and is the first of its PID namespace where that is shared.
//!
//! It stays a fork of the keeper: small, non-dumpable, without a descriptor. It reaps what it inherits and
//! ends on SIGTERM.
//!
//! Invariant: through it no process of the pod reaches a file of the host.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use super::super::super::SandboxSpec;
use super::super::cgroup::Cgroups;
use super::super::wire::{At, Failure, Step};
use super::super::{mount, packets, sys};

/// Makes the pod's namespaces and cgroup and tells the keeper, with the network namespace and its netlink.
pub(super) fn prepare(
    spec: &SandboxSpec,
    (group, born): (&str, bool),
    cgroups: &Cgroups,
    report: BorrowedFd<'_>,
) -> Result<(), Failure> {
    sys::reset_signals();
    sys::new_session();
    cgroups.create(group, &spec.resources, true)?;
    cgroups.enter_to_be_found(group, born)?;
    let sharing = spec.sharing;
    let mut own = 0;
    if !sharing.host_network {
        own |= libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    }
    if !sharing.host_ipc {
        own |= libc::CLONE_NEWIPC;
    }
    if sharing.share_pid && !sharing.host_pid {
        own |= libc::CLONE_NEWNS;
    }
    sys::unshare(own).at(Step::Namespaces, "of the pod")?;
    let mut sent = Vec::new();
    if !sharing.host_network {
        sys::set_hostname(&spec.hostname).at(Step::Namespaces, "the host name")?;
        sys::loopback_up().at(Step::Network, "lo")?;
        sent.push(File::open("/proc/self/ns/net").at(Step::Network, "/proc/self/ns/net")?.into());
        sent.push(sys::netlink_socket().at(Step::Network, "netlink")?);
    }
    for (name, value) in &spec.sysctls {
        set_sysctl(name, value, spec)?;
    }
    if own & libc::CLONE_NEWNS != 0 {
        enter_nothing().at(Step::Root, "of the pod's first process")?;
    }
    let fds: Vec<RawFd> = sent.iter().map(AsRawFd::as_raw_fd).collect();
    packets::send(report, super::READY, &fds, true).at(Step::Setup, "the report")
}

/// Sets a parameter of the pod's namespaces, and only of those.
fn set_sysctl(name: &str, value: &str, spec: &SandboxSpec) -> Result<(), Failure> {
    let network = name.starts_with("net.");
    let messages = name.starts_with("kernel.msg")
        || name.starts_with("kernel.sem")
        || name.starts_with("kernel.shm")
        || name.starts_with("fs.mqueue.");
    let own = (network && !spec.sharing.host_network) || (messages && !spec.sharing.host_ipc);
    if !own {
        return Err(Failure::refused(Step::Sysctl, format!("{name} is not of the pod's own namespaces")));
    }
    // As sysctl(8): dots part, and slashes stand for dots within a name.
    let parts: String = name
        .chars()
        .map(|c| {
            if c == '.' {
                '/'
            } else if c == '/' {
                '.'
            } else {
                c
            }
        })
        .collect();
    if parts.split('/').any(|part| part == "..") {
        return Err(Failure::refused(Step::Sysctl, format!("{name} is no name")));
    }
    std::fs::write(format!("/proc/sys/{parts}"), value)
        .map_err(|error| Failure::refused(Step::Sysctl, format!("{name} to {value:?}: {error}")))
}

/// Takes an empty read-only root: containers that share the PID namespace see it as `/proc/1/root`.
fn enter_nothing() -> std::io::Result<()> {
    let empty = mount::memory_tree(&[(c"size", c"4k"), (c"mode", c"0555")], mount::READ_ONLY)?;
    mount::attach(empty.as_fd(), mount::open_place(Path::new("/proc"))?.as_fd())?;
    std::env::set_current_dir("/proc")?;
    mount::pivot_here()
}

/// Holds the namespaces until SIGTERM or SIGKILL.
pub(super) fn hold(spec: &SandboxSpec, title: (usize, usize)) -> ! {
    sys::set_name(c"coracle-pause");
    let text = CString::new(format!("coracle-pause {}", spec.pod)).unwrap_or_default();
    sys::overwrite_arguments(title.0, title.1, &text.to_string_lossy());
    let _ = sys::close_from(0, true);
    sys::wait_for_signals(&[libc::SIGTERM, libc::SIGINT, libc::SIGCHLD], |signal| match signal {
        libc::SIGCHLD => sys::reap_any(),
        _ => sys::exit_now(0),
    })
}
