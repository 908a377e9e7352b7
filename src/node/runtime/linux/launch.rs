//! Starts the keeper: the host's own executable again, as nobody's child.
//!
//! The host may be large and threaded, so the first steps share its memory and allocate nothing (as `vfork`).
//! Two clones in a row leave the keeper to init, so that no `wait` of the host ever meets it; the first has
//! no exit signal, so that no SIGCHLD is sent. What is executed is a read-only, detached bind mount of
//! `/proc/self/exe`: through a container's `/proc/PID/exe` the host's file cannot be written.
//!
//! Invariant: the host's signal handlers, descriptors, mounts and children are as before.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use super::entry;

/// Where the keeper finds its socket.
pub(super) const SOCKET_FD: RawFd = 3;
/// Where the keeper finds the lock of its folder.
pub(super) const LOCK_FD: RawFd = 4;

const STACK_BYTES: usize = 64 * 1024;

/// All that the clones need, made before the first.
struct Plan {
    socket: RawFd,
    lock: RawFd,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    inner_stack: *mut c_void,
    error: c_int,
}

/// Starts a keeper that gets copies of the socket and the lock.
pub(super) fn launch(cluster: &str, socket: BorrowedFd<'_>, lock: BorrowedFd<'_>) -> io::Result<()> {
    // The first argument leaves room for the titles of the keeper and of its sandboxes.
    let title = CString::new(format!("{:<96}", format!("coracle-keeper {cluster}")))?;
    let mark = CString::new(entry::KEEPER_ARGUMENT)?;
    let kept: Vec<CString> = ["LD_LIBRARY_PATH", "RUST_BACKTRACE"]
        .iter()
        .filter_map(|name| CString::new(format!("{name}={}", std::env::var(name).ok()?)).ok())
        .collect();
    let mut stacks = vec![0u128; 2 * STACK_BYTES / size_of::<u128>()];
    let base = stacks.as_mut_ptr().cast::<u8>();
    // SAFETY: both lie within the allocation, one past the end of each half.
    let (inner_stack, outer_stack) = unsafe { (base.add(STACK_BYTES), base.add(2 * STACK_BYTES)) };
    let mut plan = Plan {
        socket: socket.as_raw_fd(),
        lock: lock.as_raw_fd(),
        arguments: vec![title.as_ptr(), mark.as_ptr(), ptr::null()],
        environment: kept.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect(),
        inner_stack: inner_stack.cast(),
        error: 0,
    };
    std::hint::black_box(&entry::BEFORE_MAIN);
    // SAFETY: with CLONE_VFORK this thread waits until the child has ended, which happens after its own
    // child has executed or ended; until then nothing here is touched. All signals are blocked around it,
    // so that no handler of the host runs in a child that shares its memory.
    let pid = unsafe {
        let mut all: libc::sigset_t = zeroed();
        let mut before: libc::sigset_t = zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK;
        let pid = libc::clone(outer, outer_stack.cast(), flags, (&raw mut plan).cast());
        let error = io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
        if pid < 0 {
            return Err(error);
        }
        pid
    };
    // SAFETY: the pid is that of our own child, which only such a wait can reap.
    unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WCLONE) };
    drop(stacks);
    if plan.error != 0 { Err(io::Error::from_raw_os_error(plan.error)) } else { Ok(()) }
}

/// The child between: makes the keeper and ends.
extern "C" fn outer(plan: *mut c_void) -> c_int {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the plan outlives us, and the inner stack is ours. Nothing here allocates.
    unsafe {
        let plan = plan.cast::<Plan>();
        if libc::clone(inner, (*plan).inner_stack, flags, plan.cast()) < 0 {
            (*plan).error = *libc::__errno_location();
        }
    }
    0
}

/// The keeper to be: arranges its descriptors and executes.
extern "C" fn inner(plan: *mut c_void) -> c_int {
    // SAFETY: the plan outlives us; descriptors are our own copy since CLONE_FILES is not set. Nothing here
    // allocates, and the pointers are to terminated strings and lists.
    unsafe {
        let plan = plan.cast::<Plan>();
        let socket = libc::fcntl((*plan).socket, libc::F_DUPFD, 64);
        let lock = libc::fcntl((*plan).lock, libc::F_DUPFD, 64);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        let null = libc::fcntl(null, libc::F_DUPFD, 64);
        if socket < 0 || lock < 0 || null < 0 {
            (*plan).error = *libc::__errno_location();
            return 1;
        }
        for number in 0..3 {
            libc::dup2(null, number);
        }
        libc::dup2(socket, SOCKET_FD);
        libc::dup2(lock, LOCK_FD);
        libc::syscall(libc::SYS_close_range, LOCK_FD + 1, u32::MAX, 0);
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        let (arguments, environment) = ((*plan).arguments.as_ptr(), (*plan).environment.as_ptr());
        let exe = c"/proc/self/exe".as_ptr();
        const CLONE_CLOEXEC: c_int = 1 | libc::O_CLOEXEC;
        const EMPTY_PATH: c_int = 0x1000;
        let tree = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, exe, CLONE_CLOEXEC);
        if tree >= 0 {
            let read_only: [u64; 4] = [1, 0, 0, 0];
            let empty = c"".as_ptr();
            let set = libc::syscall(
                libc::SYS_mount_setattr,
                tree,
                empty,
                EMPTY_PATH,
                read_only.as_ptr(),
                size_of::<[u64; 4]>(),
            );
            if set == 0 {
                libc::syscall(libc::SYS_execveat, tree, empty, arguments, environment, EMPTY_PATH);
            }
        }
        libc::execve(exe, arguments, environment);
        (*plan).error = *libc::__errno_location();
        1
    }
}
