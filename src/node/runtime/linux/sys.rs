//! The system calls that the runtime needs and the standard library lacks, each as a safe function.
//!
//! Owns nearly all `unsafe` of the runtime. Knows no pod, no container and no policy: a function here is one
//! call, or a few that only make sense together.
//!
//! Invariant: every descriptor made here is close-on-exec.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_ulong};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// The result of a call that answers -1 on failure.
pub(super) fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The descriptor that a call answered.
pub(super) fn owned(result: c_long) -> io::Result<OwnedFd> {
    // SAFETY: callers pass the answer of a call that makes a descriptor; it is ours alone.
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A path as C wants it.
pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// The two sides of a clone.
pub(super) enum Side {
    /// We are the new process.
    Child,
    /// We are the old one.
    Parent {
        /// The new process, in our numbering.
        pid: u32,
        /// The new process, as a descriptor.
        pidfd: OwnedFd,
    },
}

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Forks into the new namespaces of `flags`, and into a group of the unified tree.
///
/// Only for a process with one thread: the child goes on in a copy of all memory.
pub(super) fn fork_into(flags: c_int, group: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    /// `CLONE_INTO_CGROUP`, which is wider than the flags of the old call.
    const INTO_GROUP: u64 = 0x2_0000_0000;
    let mut pidfd: c_int = -1;
    let mut args = CloneArgs {
        flags: flags as u64 | libc::CLONE_PIDFD as u64 | if group.is_some() { INTO_GROUP } else { 0 },
        cgroup: group.map_or(0, |group| group.as_raw_fd() as u64),
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: without CLONE_VM and a stack of its own this is a fork; `args` lives through the call.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: the kernel stored a new descriptor there.
    Ok(Side::Parent { pid: pid as u32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
}

/// Ends this process at once, running nothing of the host program.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: always sound.
    unsafe { libc::_exit(code) }
}

/// Joins the namespaces of `kinds` that a process or a namespace descriptor stands for.
pub(super) fn setns(of: BorrowedFd<'_>, kinds: c_int) -> io::Result<()> {
    // SAFETY: plain call.
    check(unsafe { libc::setns(of.as_raw_fd(), kinds) }.into()).map(drop)
}

/// Moves this process into new namespaces.
pub(super) fn unshare(kinds: c_int) -> io::Result<()> {
    // SAFETY: plain call.
    check(unsafe { libc::unshare(kinds) }.into()).map(drop)
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By `exit`.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Asks whether a child has ended, without waiting; `reap` takes it away.
pub(super) fn child_ending(pidfd: BorrowedFd<'_>, reap: bool) -> io::Result<Option<Ending>> {
    let mut options = libc::WEXITED | libc::WNOHANG;
    if !reap {
        options |= libc::WNOWAIT;
    }
    // SAFETY: an all-zero siginfo is valid, and it lives through the call.
    let (result, info) = unsafe {
        let mut info: libc::siginfo_t = zeroed();
        let result = libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, &raw mut info, options);
        (result, info)
    };
    check(result.into())?;
    // SAFETY: waitid filled the child fields, or left them zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    Ok(Some(if info.si_code == libc::CLD_EXITED { Ending::Code(status) } else { Ending::Signal(status) }))
}

/// Reaps whatever child has ended: only for the first process of a PID namespace.
pub(super) fn reap_any() {
    // SAFETY: plain call.
    while unsafe { libc::waitpid(-1, ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

/// A descriptor of a process by number.
pub(super) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain call.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) })
}

/// Sends a signal to a process; one that has ended is fine.
pub(super) fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: a null siginfo asks for the ordinary one.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match check(result) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other.map(drop),
    }
}

/// Sends a signal to the process group that a child of ours, not yet reaped, leads.
pub(super) fn signal_group(leader: u32, signal: i32) {
    // SAFETY: plain call.
    unsafe { libc::kill(-(leader as libc::pid_t), signal) };
}

/// A file in memory.
pub(super) fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: plain call.
    owned(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) }.into())
}

/// A pipe: the end to read from, which does not block, and the end to write to.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for two.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: both are new and ours.
    let (read, write) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    // SAFETY: plain call.
    check(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }.into())?;
    Ok((read, write))
}

/// Reads without waiting.
pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer has that length.
    check(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) } as c_long)
        .map(|n| n as usize)
}

/// Reads from the start, whatever was read before.
pub(super) fn read_at_start(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer has that length.
    check(unsafe { libc::pread(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) } as c_long)
        .map(|n| n as usize)
}

/// Writes an extended attribute.
pub(super) fn set_attribute(path: &Path, name: &CStr, value: &[u8]) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: both strings are terminated, and the value has that length.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    check(set.into()).map(drop)
}

/// Reads an extended attribute of at most 256 bytes.
pub(super) fn attribute(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let path = c_path(path)?;
    let mut value = vec![0; 256];
    // SAFETY: both strings are terminated, and the buffer has that length.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(check(length as c_long)? as usize);
    Ok(value)
}

/// Removes an extended attribute.
pub(super) fn remove_attribute(path: &Path, name: &CStr) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: both strings are terminated.
    check(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) }.into()).map(drop)
}

/// Takes an exclusive lock on an open file, which all its descriptors share; false if it is held.
pub(super) fn try_lock(file: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: plain call.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }.into()) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// A set of descriptors to wait on.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub(super) fn new() -> io::Result<Epoll> {
        // SAFETY: plain call.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into()).map(Epoll)
    }

    /// Adds a descriptor under a token. It leaves the set when its last copy is closed, or by `remove`.
    pub(super) fn add(&self, fd: BorrowedFd<'_>, events: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: the event lives through the call.
        check(
            unsafe {
                libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event)
            }
            .into(),
        )
        .map(drop)
    }

    /// Changes what a descriptor in the set is watched for.
    pub(super) fn change(&self, fd: BorrowedFd<'_>, events: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: the event lives through the call.
        check(
            unsafe {
                libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_MOD, fd.as_raw_fd(), &raw mut event)
            }
            .into(),
        )
        .map(drop)
    }

    /// Takes a descriptor out. Needed before it is closed wherever a forked child may hold a copy.
    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        // SAFETY: plain call.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), ptr::null_mut()) };
    }

    /// Waits, at most `timeout` milliseconds (-1 for ever), and gives the tokens that are ready.
    pub(super) fn wait(&self, timeout: i32) -> io::Result<Vec<u64>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        // SAFETY: the array has room for that many.
        let result = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, timeout) };
        match check(result.into()) {
            Ok(count) => Ok(events[..count as usize].iter().map(|event| event.u64).collect()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// Waits until one of the descriptors has something (or an error), at most `timeout` milliseconds.
pub(super) fn poll(fds: &[(RawFd, i16)], timeout: i32) -> io::Result<bool> {
    let mut list: Vec<libc::pollfd> =
        fds.iter().map(|(fd, events)| libc::pollfd { fd: *fd, events: *events, revents: 0 }).collect();
    // SAFETY: the list has that length.
    match check(unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, timeout) }.into()) {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

/// Marks every descriptor from `first` on as close-on-exec, or closes them at once.
pub(super) fn close_from(first: u32, at_once: bool) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: c_uint = 4;
    let flags = if at_once { 0 } else { CLOSE_RANGE_CLOEXEC };
    // SAFETY: callers own every descriptor of this process: it is the keeper or a child of it.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, c_uint::MAX, flags) }).map(drop)
}

/// Closes every descriptor but the first three and `kept`.
pub(super) fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<c_uint> = kept.iter().map(|fd| fd.as_raw_fd() as c_uint).collect();
    kept.sort_unstable();
    let mut first: c_uint = 3;
    for kept in kept {
        if kept > first {
            // SAFETY: callers are children of the keeper that execute next, and use no other descriptor.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, kept - 1, 0 as c_uint) })?;
        }
        first = first.max(kept + 1);
    }
    close_from(first, true)
}

/// Leaves the keys of the keeper's session behind.
pub(super) fn new_keyring() {
    const JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for a new, nameless one. Kernels without keys have none to leave.
    unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, ptr::null::<c_char>()) };
}

/// Puts a copy of `fd` at `number`, open across exec.
pub(super) fn put_at(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: callers are children of the keeper, which hold nothing at the numbers 0 to 2.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// The limit of open files: the present one, and the most it can be raised to.
pub(super) fn file_limit() -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit lives through the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }.into())?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets the limit of open files of this process.
pub(super) fn set_file_limit((now, most): (u64, u64)) {
    let limit = libc::rlimit { rlim_cur: now, rlim_max: most };
    // SAFETY: the limit lives through the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
}

/// What the keeper ignores: its end is the socket's.
const IGNORED: [c_int; 5] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE];

/// For the keeper after its exec, which leaves what the host ignored or blocked: the default for all signals
/// but a few.
pub(super) fn ignore_signals() {
    for signal in 1..=64 {
        let action = if IGNORED.contains(&signal) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: neither action runs code of ours.
        unsafe { libc::signal(signal, action) };
    }
    unblock_signals();
}

/// For a child of the keeper: the default for all signals.
pub(super) fn reset_signals() {
    for signal in IGNORED {
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    unblock_signals();
}

fn unblock_signals() {
    // SAFETY: the set lives through the calls.
    unsafe {
        let mut none: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Blocks the given signals and waits for them, one after the other, giving each to `each`.
pub(super) fn wait_for_signals(signals: &[c_int], mut each: impl FnMut(c_int)) -> ! {
    // SAFETY: the set lives through the calls.
    let set = unsafe {
        let mut set: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut());
        set
    };
    loop {
        // SAFETY: the set is valid, a null siginfo asks for none.
        let signal = unsafe { libc::sigwaitinfo(&raw const set, ptr::null_mut()) };
        if signal > 0 {
            each(signal);
        }
    }
}

/// One `prctl` with a number as argument.
pub(super) fn prctl(option: c_int, argument: c_ulong) -> io::Result<c_int> {
    // SAFETY: callers use only options whose arguments are numbers.
    check(unsafe { libc::prctl(option, argument, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) }.into())
        .map(|n| n as c_int)
}

/// Sets the name of this process, as `ps` shows it.
pub(super) fn set_name(name: &CStr) {
    // SAFETY: the kernel copies at most 16 bytes of a terminated string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Overwrites the argument memory of this process, from `start` to `end` as `/proc/self/stat` tells.
pub(super) fn overwrite_arguments(start: usize, end: usize, title: &str) {
    let room = end.saturating_sub(start);
    if start == 0 || room < 2 {
        return;
    }
    let length = title.len().min(room - 1);
    // SAFETY: the kernel says that our writable argument strings lie there; nobody reads them any more.
    unsafe {
        ptr::write_bytes(start as *mut u8, 0, room);
        ptr::copy_nonoverlapping(title.as_ptr(), start as *mut u8, length);
    }
}

/// Starts a session of its own, with no terminal.
pub(super) fn new_session() {
    // SAFETY: plain call.
    unsafe { libc::setsid() };
}

/// Sets the mask of file modes of this process.
pub(super) fn set_umask(mask: u32) {
    // SAFETY: plain call.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Our effective user id.
pub(super) fn effective_uid() -> u32 {
    // SAFETY: plain call.
    unsafe { libc::geteuid() }
}

/// Sets the supplementary groups.
pub(super) fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the list has that length.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets all group ids.
pub(super) fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: plain call; the process has one thread.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Sets all user ids.
pub(super) fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: plain call; the process has one thread.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// Sets the effective, permitted and inheritable capabilities of this process.
pub(super) fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let low = [effective as u32, permitted as u32, inheritable as u32];
    let high = [(effective >> 32) as u32, (permitted >> 32) as u32, (inheritable >> 32) as u32];
    let data = [low, high];
    // SAFETY: header and data have the layout of version 3.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

/// Installs a filter of system calls.
pub(super) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    const SET_MODE_FILTER: c_uint = 1;
    // SAFETY: the program lives through the call; the kernel only reads it.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0 as c_uint, &raw const filter) })
        .map(drop)
}

/// Executes a program in place of this process. Returns only on failure.
pub(super) fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let list = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: both lists end in null and their strings live through the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Whether this process may execute the file, by its real ids.
pub(super) fn may_execute(path: &CStr) -> io::Result<()> {
    // SAFETY: the path is terminated.
    check(unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) }.into())
        .map(drop)
}

/// Brings the loopback link of our network namespace up.
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: plain call.
    let socket =
        owned(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    // SAFETY: an all-zero request is valid.
    let mut request: libc::ifreq = unsafe { zeroed() };
    request.ifr_name[0] = b'l' as c_char;
    request.ifr_name[1] = b'o' as c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    // SAFETY: the request lives through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into())
        .map(drop)
}

/// A route netlink socket of our present network namespace.
pub(super) fn netlink_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: plain call.
    owned(unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) }.into())
}

/// Sets the host name of our UTS namespace.
pub(super) fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: the pointer and length describe the name.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len() as _) }.into()).map(drop)
}

/// Changes owner and group of an open file.
pub(super) fn change_owner(file: BorrowedFd<'_>, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: plain call.
    check(unsafe { libc::fchown(file.as_raw_fd(), uid, gid) }.into()).map(drop)
}

/// The magic number of the file system that holds a descriptor.
pub(super) fn filesystem_of(file: BorrowedFd<'_>) -> io::Result<i64> {
    // SAFETY: an all-zero statfs is valid, and lives through the call.
    let (result, stat) = unsafe {
        let mut stat: libc::statfs = zeroed();
        (libc::fstatfs(file.as_raw_fd(), &raw mut stat), stat)
    };
    #[allow(clippy::unnecessary_cast, reason = "the width differs between C libraries")]
    check(result.into()).map(|_| stat.f_type as i64)
}
