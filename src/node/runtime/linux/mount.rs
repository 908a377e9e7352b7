//! The mount system calls, old and new, each as a safe function.
//!
//! Owns the `unsafe` of mounting and of opening paths inside a root. Decides nothing: what is mounted where
//! is told by `root.rs` and `volumes.rs`.
//!
//! Invariant: every descriptor made here is close-on-exec.

use std::ffi::{CStr, CString, c_int, c_uint};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;

use super::sys::{c_path, check, owned};
use crate::limits;

/// Copies the mounts below too.
pub(super) const RECURSIVE: c_uint = 0x8000;
/// Takes a symbolic link itself.
pub(super) const NO_FOLLOW: c_uint = 0x100;
/// Read-only, as an attribute of a mount.
pub(super) const READ_ONLY: u64 = 0x1;
/// Set-user-id bits do not count.
pub(super) const NO_SUID: u64 = 0x2;
/// Device nodes do not open.
pub(super) const NO_DEVICES: u64 = 0x4;
/// Programs do not execute.
pub(super) const NO_EXEC: u64 = 0x8;

const EMPTY_PATH: c_uint = 0x1000;

/// The old mount call, with a path as target.
pub(super) fn mount(source: &CStr, target: &Path, kind: &CStr, flags: u64, options: &CStr) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: all strings are terminated and live through the call.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags as libc::c_ulong,
            options.as_ptr().cast(),
        )
    };
    check(result.into()).map(drop)
}

/// Changes the propagation of a mount (`MS_SLAVE`, with `MS_REC` for those below too).
pub(super) fn propagate(target: &Path, flags: u64) -> io::Result<()> {
    mount(c"", target, c"", flags, c"")
}

/// Takes a mount away at once, whoever still uses it.
pub(super) fn detach(target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: the path is terminated.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

/// Makes the working directory, a mount, the root of this mount namespace and drops the old root.
pub(super) fn pivot_here() -> io::Result<()> {
    // SAFETY: the paths are terminated.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    detach(Path::new("."))?;
    std::env::set_current_dir("/")
}

/// A copy of the mount at a path, attached nowhere yet.
pub(super) fn copy_tree(path: &Path, flags: c_uint) -> io::Result<OwnedFd> {
    const CLONE: c_uint = 1;
    let path = c_path(path)?;
    let flags = flags | CLONE | libc::O_CLOEXEC as c_uint;
    // SAFETY: the path is terminated.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Attaches a mount at the place that a descriptor stands for.
pub(super) fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    const FROM_EMPTY: c_uint = 0x4;
    const TO_EMPTY: c_uint = 0x40;
    let (tree, target) = (tree.as_raw_fd(), target.as_raw_fd());
    let empty = c"".as_ptr();
    // SAFETY: both paths are the empty string.
    check(unsafe { libc::syscall(libc::SYS_move_mount, tree, empty, target, empty, FROM_EMPTY | TO_EMPTY) })
        .map(drop)
}

/// Sets attributes of a mount, and its propagation (0 leaves that).
pub(super) fn set_attributes(
    tree: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    propagation: u64,
) -> io::Result<()> {
    let attributes: [u64; 4] = [set, 0, propagation, 0];
    let flags = EMPTY_PATH | if recursive { RECURSIVE } else { 0 };
    // SAFETY: the attributes have the layout and the size that are told.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of::<[u64; 4]>(),
        )
    })
    .map(drop)
}

/// A file system being configured.
pub(super) struct NewFilesystem(OwnedFd);

impl NewFilesystem {
    /// Begins one of a kind.
    pub(super) fn open(kind: &CStr) -> io::Result<NewFilesystem> {
        const CLOEXEC: c_uint = 1;
        // SAFETY: the kind is terminated.
        owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC) }).map(NewFilesystem)
    }

    fn configure(&self, command: c_uint, key: Option<&CStr>, value: Option<&CStr>) -> io::Result<()> {
        let key = key.map_or(ptr::null(), CStr::as_ptr);
        let value = value.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: strings are terminated or null, as each command wants.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key, value, 0) })
            .map(drop)
    }

    /// Sets an option.
    pub(super) fn set(&self, key: &CStr, value: &CStr) -> io::Result<()> {
        self.configure(1, Some(key), Some(value))
    }

    /// Sets an option without a value.
    pub(super) fn set_flag(&self, key: &CStr) -> io::Result<()> {
        self.configure(0, Some(key), None)
    }

    /// Makes it: a mount that is attached nowhere yet.
    pub(super) fn create(&self, attributes: u64) -> io::Result<OwnedFd> {
        const CLOEXEC: c_uint = 1;
        self.configure(6, None, None)?;
        // SAFETY: plain call.
        owned(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), CLOEXEC, attributes as c_uint) })
    }
}

/// A new file system in memory, attached nowhere yet.
pub(super) fn memory_tree(options: &[(&CStr, &CStr)], attributes: u64) -> io::Result<OwnedFd> {
    let filesystem = NewFilesystem::open(c"tmpfs")?;
    for (key, value) in options {
        filesystem.set(key, value)?;
    }
    filesystem.create(attributes)
}

/// Opens a path for use as a place, following links.
pub(super) fn open_place(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: the path is terminated.
    owned(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) }.into())
}

/// Opens a path below `root` as if that were the root, following no magic link.
pub(super) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: c_int,
    mode: u32,
) -> io::Result<OwnedFd> {
    const NO_MAGICLINKS: u64 = 0x02;
    const IN_ROOT: u64 = 0x10;
    let how: [u64; 3] = [(flags | libc::O_CLOEXEC) as u64, mode.into(), IN_ROOT | NO_MAGICLINKS];
    let mut tries = 0;
    loop {
        // SAFETY: `how` has the layout and the size that are told.
        let opened = owned(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                how.as_ptr(),
                size_of::<[u64; 3]>(),
            )
        });
        match opened {
            // Somebody on the machine mounted or renamed while a `..` was walked: the kernel asks to try again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < limits::OPEN_IN_ROOT_TRIES => {
                tries += 1;
            }
            other => return other,
        }
    }
}

/// Makes a folder below an open one.
pub(super) fn make_folder(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: the name is terminated.
    match check(unsafe { libc::mkdirat(at.as_raw_fd(), name.as_ptr(), mode as libc::mode_t) }.into()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

/// The shortest text that names an open file as a path of this process.
pub(super) fn descriptor_path(fd: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default()
}
