//! What runs in a child of the keeper between its clone and its exec.
//!
//! The child is a fork of a process with one thread, so it may allocate. It makes its own namespaces, root,
//! user and privileges, so that the keeper's loop never waits; what fails is told through a packet socket
//! that the exec closes. It decides nothing that the specification does not say.
//!
//! Invariant: a child reports `READY` as the last thing before its exec, or a failure, or it died; and it
//! is non-dumpable until that exec, as the keeper is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::super::{ContainerSpec, Propagation, SandboxSpec, Sharing};
use super::cgroup::Cgroups;
use super::seccomp::Filters;
use super::wire::{At, Failure, Step};
use super::{mount, packets, sys};

mod devices;
pub(super) mod identity;
mod pause;
pub(super) mod privileges;
mod program;
mod root;
mod volumes;

/// The packet that says that the exec comes next.
pub(super) const READY: &[u8] = b"ready";

/// What every child of a container gets from the keeper.
pub(super) struct Birth<'a> {
    /// Tells the keeper how it went.
    pub(super) report: BorrowedFd<'a>,
    /// Where standard output and error go.
    pub(super) output: [BorrowedFd<'a>; 2],
    /// The groups of the cluster, and the container's own among them.
    pub(super) cgroups: &'a Cgroups,
    /// Its name.
    pub(super) group: &'a str,
    /// Whether the child was born in it, where that can be.
    pub(super) born: bool,
    /// The container.
    pub(super) spec: &'a ContainerSpec,
    /// The pod's host name, for the environment.
    pub(super) hostname: &'a str,
    /// The bits of its capabilities.
    pub(super) capabilities: u64,
    /// The number of the last capability that the kernel knows.
    pub(super) last_capability: u32,
    /// The limit of open files that the keeper was started with.
    pub(super) file_limit: Option<(u64, u64)>,
    /// The filters of system calls, if any.
    pub(super) filters: Option<&'a Filters>,
    /// Says by a byte that the program may be executed; without one it may at once.
    pub(super) gate: Option<BorrowedFd<'a>>,
}

/// A volume whose source the keeper has found.
pub(super) struct Volume {
    /// A path in the host's mount namespace, or else in the keeper's.
    pub(super) source: PathBuf,
    /// Which of the two.
    pub(super) of_host: bool,
    /// A folder inside the source, made if missing.
    pub(super) inside: String,
    /// Where it goes.
    pub(super) target: String,
    /// No writing.
    pub(super) read_only: bool,
    /// How later mounts show.
    pub(super) propagation: Propagation,
}

/// What a new container gets besides.
pub(super) struct NewContainer<'a> {
    /// The pod's namespaces: its pause process.
    pub(super) pause: BorrowedFd<'a>,
    /// Which are the pod's.
    pub(super) sharing: Sharing,
    /// The host's mount namespace.
    pub(super) host_mounts: BorrowedFd<'a>,
    /// An empty folder to mount the root on.
    pub(super) root: &'a Path,
    /// The lowest layer of every root: the places that mounts need, so that no root is written to for them.
    pub(super) skeleton: &'a PathBuf,
    /// The file for `/etc/hostname`.
    pub(super) hostname: PathBuf,
    /// Where upper and work folders are.
    pub(super) layer: PathBuf,
    /// The pod's `/dev/shm`, as a path; `None` for the host's.
    pub(super) shm: &'a Path,
    /// The same, taken as a mount before the root changes.
    pub(super) shm_tree: Option<OwnedFd>,
    /// The file of the termination message.
    pub(super) termination: PathBuf,
    /// The volumes, in order.
    pub(super) volumes: Vec<Volume>,
    /// We are in a user namespace: fewer things can be mounted.
    pub(super) in_user_namespace: bool,
}

fn tell(report: BorrowedFd<'_>, failure: &Failure) {
    let text = serde_json::to_vec(failure).unwrap_or_default();
    let _ = packets::send(report, &text, &[], true);
}

/// Becomes the container. Never returns.
pub(super) fn become_container(birth: &Birth<'_>, new: &mut NewContainer<'_>) -> ! {
    let Err(failure) = make_container(birth, new);
    tell(birth.report, &failure);
    sys::exit_now(127)
}

fn make_container(
    birth: &Birth<'_>,
    new: &mut NewContainer<'_>,
) -> Result<std::convert::Infallible, Failure> {
    birth.cgroups.create(birth.group, &birth.spec.resources, false)?;
    begin(birth)?;
    let mut joined = 0;
    if !new.sharing.host_network {
        joined |= libc::CLONE_NEWNET | libc::CLONE_NEWUTS;
    }
    if !new.sharing.host_ipc {
        joined |= libc::CLONE_NEWIPC;
    }
    if joined != 0 {
        sys::setns(new.pause, joined).at(Step::Namespaces, "of the pod")?;
    }
    sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP).at(Step::Namespaces, "mounts and cgroups")?;
    new.shm_tree = Some(mount::copy_tree(new.shm, 0).at(Step::Devices, "/dev/shm")?);
    root::build(birth, new)?;
    run(birth)
}

/// Becomes a command inside a container that runs. Never returns.
pub(super) fn become_command(birth: &Birth<'_>, container: BorrowedFd<'_>) -> ! {
    let Err(failure) = join_container(birth, container);
    tell(birth.report, &failure);
    sys::exit_now(127)
}

fn join_container(birth: &Birth<'_>, container: BorrowedFd<'_>) -> Result<std::convert::Infallible, Failure> {
    begin(birth)?;
    let all = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC;
    sys::setns(container, all).at(Step::Namespaces, "of the container")?;
    run(birth)
}

fn begin(birth: &Birth<'_>) -> Result<(), Failure> {
    sys::reset_signals();
    sys::new_session();
    sys::new_keyring();
    sys::set_umask(0o022);
    if let Some(limit) = birth.file_limit {
        sys::set_file_limit(limit);
    }
    birth.cgroups.enter(birth.group, birth.born)
}

/// The part that new containers and commands share: user, directory, output, privileges, exec.
fn run(birth: &Birth<'_>) -> Result<std::convert::Infallible, Failure> {
    let spec = birth.spec;
    let identity = identity::find(&spec.security)?;
    let null = mount::open_in_root(
        mount::open_place(Path::new("/")).at(Step::Output, "/")?.as_fd(),
        c"dev/null",
        libc::O_RDONLY,
        0,
    );
    let null = null.at(Step::Output, "/dev/null")?;
    sys::put_at(null.as_fd(), 0).at(Step::Output, "standard input")?;
    for (number, pipe) in [(1, birth.output[0]), (2, birth.output[1])] {
        if identity.uid != 0 {
            let _ = sys::change_owner(pipe, identity.uid, identity.gid);
        }
        sys::put_at(pipe, number).at(Step::Output, "a pipe")?;
    }
    // Before the working directory is entered: it could name a descriptor.
    drop(null);
    let kept: Vec<BorrowedFd<'_>> = [birth.report].into_iter().chain(birth.gate).collect();
    sys::close_all_but(&kept).at(Step::Output, "close_range")?;
    let folder = if spec.working_dir.is_empty() { "/" } else { &spec.working_dir };
    let early = std::env::set_current_dir(folder);
    privileges::apply(birth, &identity)?;
    if early.is_err() {
        std::env::set_current_dir(folder)
            .map_err(|error| Failure::refused(Step::WorkingDir, format!("{folder}: {error}")))?;
    }
    // The kernel has no path for a directory outside the root.
    if !std::env::current_dir().is_ok_and(|path| path.is_absolute()) {
        return Err(Failure::refused(Step::WorkingDir, format!("{folder}: outside the root")));
    }
    let environment = program::environment(&spec.env, birth.hostname, &identity.home);
    let path = program::find(&spec.command, &environment)?;
    let program = program::Program::new(&path, &spec.command, &environment)?;
    if let Some(gate) = birth.gate {
        await_gate(gate)?;
    }
    program.execute(birth.report)
}

/// Waits until the program may be executed.
fn await_gate(gate: BorrowedFd<'_>) -> Result<(), Failure> {
    match sys::read(gate, &mut [0]).at(Step::Network, "the gate")? {
        0 => Err(Failure::kernel(Step::Network, "the pod's network was not made")),
        _ => Ok(()),
    }
}

/// Becomes the sandbox of a pod. Never returns.
pub(super) fn become_pause(
    spec: &SandboxSpec,
    (group, born): (&str, bool),
    cgroups: &Cgroups,
    title: (usize, usize),
    report: BorrowedFd<'_>,
) -> ! {
    match pause::prepare(spec, (group, born), cgroups, report) {
        Ok(()) => pause::hold(spec, title),
        Err(failure) => {
            tell(report, &failure);
            sys::exit_now(1)
        }
    }
}
