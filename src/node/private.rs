//! Running as an ordinary user: the program moves into namespaces of its own before it does anything else.
//!
//! Owns the one function of the crate that forks the host program ([`enter`]), on purpose and by name. What lives
//! inside: the program and all that it starts; what stays outside: a waiter that passes on the exit status.
//!
//! Invariant: the function returns in the program that goes on, or not at all, or with an error before
//! anything has changed.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getgid, getuid, pipe2};

/// Why a program cannot move into private namespaces: one sentence, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivateError {
    /// The program has started threads already.
    #[error(
        "private namespaces can be entered by a program with one thread only, and this one has {0}: call it first \
         in main"
    )]
    Threads(usize),
    /// A setting of the kernel or the distribution forbids it.
    #[error("{setting} forbids user namespaces here: {remedy}")]
    Forbidden {
        /// The setting and its value.
        setting: String,
        /// What to do.
        remedy: String,
    },
    /// The kernel refused a step.
    #[error("private namespaces: {step}: {cause}")]
    Kernel {
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        cause: Errno,
    },
}

fn step<T>(step: &'static str, result: nix::Result<T>) -> Result<T, PrivateError> {
    result.map_err(|cause| PrivateError::Kernel { step, cause })
}

/// Moves the program into private user, PID, mount, network, UTS and IPC namespaces, where it is root and can
/// run everything that needs root but cgroup limits and further user ids.
///
/// Must be called first in `main`, while the program has one thread. It forks: the caller goes on as a
/// child, and the original process waits and exits with its status. What runs inside ends with the program. The
/// network inside reaches nothing outside.
///
/// # Errors
/// Where the kernel does not allow it, the error names the setting that forbids it and what to do. The process is
/// then as it was.
///
/// # Example
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// if !coracle::node::private::is_root() {
///     coracle::node::private::enter()?;
/// }
/// // From here on as root of private namespaces.
/// # Ok(())
/// # }
/// ```
pub fn enter() -> Result<(), PrivateError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(PrivateError::Threads(threads));
    }
    forbidden()?;
    // Tried in a child first: what cannot be done must not be found out halfway.
    try_out()?;
    let (uid, gid) = (getuid(), getgid());
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    // The waiter stays outside: the namespaces are entered by the child.
    let (held, watched) = step("pipe", pipe2(OFlag::O_CLOEXEC))?;
    // SAFETY: the process has one thread, so the child may do all that the parent could.
    match step("fork", unsafe { fork() })? {
        ForkResult::Parent { child } => {
            drop(held);
            wait_outside(child, watched)
        }
        ForkResult::Child => {
            drop(watched);
            if let Err(error) = unshare_as_root(flags, uid.as_raw(), gid.as_raw()) {
                exit_with(&error);
            }
            // SAFETY: still one thread.
            match unsafe { fork() } {
                // This one is outside the PID namespace and only hands the status on.
                Ok(ForkResult::Parent { child }) => wait_outside(child, held),
                Ok(ForkResult::Child) => become_init(held),
                Err(cause) => exit_with(&PrivateError::Kernel { step: "fork", cause }),
            }
        }
    }
}

/// Whether the program is root, of the machine or of its user namespace.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn exit_with(error: &PrivateError) -> ! {
    eprintln!("{error}");
    std::process::exit(71)
}

/// Names the settings that forbid user namespaces before the kernel's bare EPERM does.
fn forbidden() -> Result<(), PrivateError> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    let known = [
        ("user.max_user_namespaces", "/proc/sys/user/max_user_namespaces", "0", "10000"),
        ("kernel.unprivileged_userns_clone", "/proc/sys/kernel/unprivileged_userns_clone", "0", "1"),
    ];
    for (name, path, off, on) in known {
        if read(path) == off {
            return Err(PrivateError::Forbidden {
                setting: format!("{name}={off}"),
                remedy: format!("set it with `sysctl -w {name}={on}` as root, or run as root"),
            });
        }
    }
    Ok(())
}

/// The distribution's own gate, which lets the namespace be made and then denies what is done in it.
fn apparmor() -> Option<PrivateError> {
    let path = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    (fs::read_to_string(path).ok()?.trim() == "1").then(|| PrivateError::Forbidden {
        setting: "kernel.apparmor_restrict_unprivileged_userns=1".to_owned(),
        remedy: "set it to 0 with sysctl as root, give the program an AppArmor profile with `userns`, or run as root"
            .to_owned(),
    })
}

/// Makes the namespaces in a child that ends at once, and mounts something there.
fn try_out() -> Result<(), PrivateError> {
    let (uid, gid) = (getuid(), getgid());
    // SAFETY: the process has one thread, so the child may do all that the parent could.
    match step("fork", unsafe { fork() })? {
        ForkResult::Child => {
            let tried = unshare_as_root(
                CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET,
                uid.as_raw(),
                gid.as_raw(),
            );
            let mounted = tried.and_then(|()| {
                step("mount", mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&str>))
            });
            let code = match mounted {
                Ok(()) => 0,
                Err(PrivateError::Kernel { cause, .. }) => cause as i32,
                Err(_) => 1,
            };
            std::process::exit(code)
        }
        ForkResult::Parent { child } => match step("wait", waitpid(child, None))? {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, code) => Err(apparmor().unwrap_or(PrivateError::Kernel {
                step: "making user namespaces and mounting in them",
                cause: Errno::from_raw(code),
            })),
            _ => Err(PrivateError::Kernel { step: "trying user namespaces out", cause: Errno::ECHILD }),
        },
    }
}

fn write(path: &str, text: &str) -> Result<(), PrivateError> {
    fs::write(Path::new(path), text).map_err(|error| PrivateError::Kernel {
        step: "mapping the user",
        cause: Errno::from_raw(error.raw_os_error().unwrap_or(0)),
    })
}

fn unshare_as_root(flags: CloneFlags, uid: u32, gid: u32) -> Result<(), PrivateError> {
    step("unshare", unshare(flags))?;
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", &format!("0 {gid} 1"))
}

/// Waits for a child and exits as it did. The held end of a pipe tells the inside when this process dies.
fn wait_outside(child: Pid, pipe: OwnedFd) -> ! {
    let code = loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => break code,
            Ok(WaitStatus::Signaled(_, signal, _)) => break 128 + signal as i32,
            Err(Errno::EINTR) | Ok(_) => {}
            Err(_) => break 71,
        }
    };
    drop(pipe);
    std::process::exit(code)
}

/// The first process of the PID namespace: makes the namespace fit, starts the program's own process, which
/// returns to the caller, and reaps what is left to it until that one ends.
fn become_init(outside: OwnedFd) -> Result<(), PrivateError> {
    if let Err(error) = furnish() {
        exit_with(&error);
    }
    // SAFETY: one thread still.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            drop(outside);
            Ok(())
        }
        Ok(ForkResult::Parent { child }) => init_loop(child, outside),
        Err(cause) => exit_with(&PrivateError::Kernel { step: "fork", cause }),
    }
}

/// Mounts `/proc` and `/sys` of the new namespaces, and a writable `/run`.
fn furnish() -> Result<(), PrivateError> {
    let none = None::<&str>;
    step("private mounts", mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none))?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step("mount /proc", mount(Some("proc"), "/proc", Some("proc"), safe, none))?;
    step("mount /run", mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755")))?;
    // Sysfs shows the network namespace's links; where it cannot be mounted, the outer one stays.
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), safe, none);
    Ok(())
}

fn init_loop(program: Pid, outside: OwnedFd) -> ! {
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    let signals = children
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK));
    let Ok(signals) = signals else {
        exit_with(&PrivateError::Kernel { step: "signalfd", cause: Errno::EIO })
    };
    loop {
        // This process has no other children than the program and those that were orphaned to it.
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == program => std::process::exit(code),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                    std::process::exit(128 + signal as i32)
                }
                Ok(WaitStatus::StillAlive) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let mut fds = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(outside.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
        let gone = fds[1].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP));
        if gone {
            // Nobody waits for the status any more: everything inside ends with this process.
            std::process::exit(137);
        }
        while let Ok(Some(_)) = signals.read_signal() {}
    }
}
