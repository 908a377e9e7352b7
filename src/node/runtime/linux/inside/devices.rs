//! A container's `/dev`.
//!
//! Device nodes are bind mounts of the host's, one each, on file systems that open no others (`nodev`): a
//! container that can make device nodes still cannot use them, without a device cgroup. Privileged
//! containers have every node of the host.
//!
//! Invariant: a container that is not privileged opens no device but those of [`NAMES`] and its terminals.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use super::super::mount::{self, NO_DEVICES, NO_EXEC, NO_SUID};
use super::super::wire::{At, Failure, Step};
use super::NewContainer;

const NAMES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
    ("/proc/kcore", "/dev/core"),
];

/// The most nodes that a privileged container gets.
const MOST: usize = 1024;

/// Takes the host's nodes, by their names below `/dev`.
pub(super) fn take(privileged: bool) -> Result<Vec<(PathBuf, OwnedFd)>, Failure> {
    let mut names: Vec<PathBuf> = NAMES.iter().map(PathBuf::from).collect();
    if privileged {
        collect(Path::new("/dev"), &mut names);
    }
    let take = |name: PathBuf| match mount::copy_tree(&Path::new("/dev").join(&name), 0) {
        Ok(tree) => Some(Ok((name, tree))),
        // Nodes come and go; the six do not.
        Err(_) if !NAMES.iter().any(|fixed| Path::new(fixed) == name) => None,
        Err(error) => Some(Err(error).at(Step::Devices, name.display())),
    };
    names.into_iter().filter_map(take).collect()
}

fn collect(folder: &Path, names: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        let Ok(name) = path.strip_prefix("/dev") else { continue };
        if kind.is_dir()
            && name != Path::new("pts")
            && name != Path::new("shm")
            && name != Path::new("mqueue")
        {
            collect(&path, names);
        } else if (kind.is_char_device() || kind.is_block_device())
            && name != Path::new("ptmx")
            && !names.iter().any(|have| have == name)
            && names.len() < MOST
        {
            names.push(name.to_owned());
        }
    }
}

/// Makes `/dev` in the root that we are in.
pub(super) fn make(
    nodes: &[(PathBuf, OwnedFd)],
    new: &NewContainer<'_>,
    privileged: bool,
) -> Result<(), Failure> {
    let base = Path::new("/dev");
    let folder = || -> io::Result<()> {
        let options = [(c"mode", c"0755"), (c"size", c"65536k")];
        let attributes = if privileged { NO_SUID } else { NO_SUID | NO_DEVICES };
        let tree = mount::memory_tree(&options, attributes)?;
        mount::attach(tree.as_fd(), mount::open_place(base)?.as_fd())
    };
    folder().at(Step::Devices, "/dev")?;
    for (name, tree) in nodes {
        let path = base.join(name);
        let node = || -> io::Result<()> {
            if let Some(parent) = path.parent().filter(|parent| *parent != base) {
                fs::create_dir_all(parent)?;
            }
            mount::attach(tree.as_fd(), File::create(&path)?.as_fd())
        };
        node().at(Step::Devices, path.display())?;
    }
    for (target, link) in LINKS {
        symlink(target, link).at(Step::Devices, link)?;
    }
    terminals().at(Step::Devices, "/dev/pts")?;
    shared_memory(new).at(Step::Devices, "/dev/shm")?;
    // Message queues need an IPC namespace of our own user namespace; a pod without them runs.
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    if fs::create_dir("/dev/mqueue").is_ok() {
        let _ = mount::mount(c"mqueue", Path::new("/dev/mqueue"), c"mqueue", flags, c"");
    }
    Ok(())
}

fn terminals() -> io::Result<()> {
    let path = Path::new("/dev/pts");
    fs::create_dir(path)?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let full = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    // Group 5 (tty) may not be mapped in a user namespace.
    mount::mount(c"devpts", path, c"devpts", flags, full)
        .or_else(|_| mount::mount(c"devpts", path, c"devpts", flags, c"newinstance,ptmxmode=0666,mode=0620"))
}

fn shared_memory(new: &NewContainer<'_>) -> io::Result<()> {
    let path = Path::new("/dev/shm");
    fs::create_dir(path)?;
    let attributes = NO_SUID | NO_DEVICES | NO_EXEC;
    let tree = match &new.shm_tree {
        Some(tree) => tree.try_clone()?,
        None => mount::memory_tree(&[(c"mode", c"1777"), (c"size", c"64m")], attributes)?,
    };
    mount::attach(tree.as_fd(), mount::open_place(path)?.as_fd())
}
