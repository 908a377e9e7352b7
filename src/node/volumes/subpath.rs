//! Finds `subPath` inside a volume that containers can write to, and so fill with symlinks.
//!
//! Every step is taken from the volume's descriptor with `openat2` and `RESOLVE_BENEATH`.
//!
//! Invariant: what is answered lay inside the volume when it was looked at, and its path holds no symlink: a runtime
//! that opens it without following symlinks cannot be led elsewhere afterwards.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, fstat, mkdirat};

use crate::limits;

/// The path of a file or folder inside the volume, made as a folder if it is missing, with the volume's own mode.
pub(super) fn find(volume: &Path, sub_path: &str) -> nix::Result<PathBuf> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(volume, flags, Mode::empty())?;
    let found = match open(&root, Path::new(sub_path), OFlag::O_PATH) {
        Err(Errno::ENOENT) => make(&root, sub_path)?,
        other => other?,
    };
    let path = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()))
        .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or_default()))?;
    Ok(path)
}

fn make(root: &OwnedFd, sub_path: &str) -> nix::Result<OwnedFd> {
    let mode = Mode::from_bits_truncate(fstat(root)?.st_mode & 0o7777);
    let folder = OFlag::O_DIRECTORY | OFlag::O_RDONLY;
    let mut at = PathBuf::new();
    let mut parent = open(root, Path::new("."), folder)?;
    for part in sub_path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        at.push(part);
        let made = match mkdirat(parent.as_fd(), part, mode) {
            Ok(()) => true,
            Err(Errno::EEXIST) => false,
            Err(errno) => return Err(errno),
        };
        parent = open(root, &at, folder)?;
        if made {
            // The umask of the host program took bits away.
            fchmod(&parent, mode)?;
        }
    }
    Ok(parent)
}

fn open(root: &OwnedFd, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    for _ in 1..limits::OPEN_TRIES {
        match openat2(root, path, how) {
            // A container renames meanwhile.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            other => return other,
        }
    }
    openat2(root, path, how)
}
