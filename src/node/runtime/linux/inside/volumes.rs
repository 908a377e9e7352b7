//! Mounts of volumes and files into a container.
//!
//! Sources are copied as mounts before the root changes; targets are found and made inside the new root,
//! following no magic link, and never in `/proc`.
//!
//! Invariant: a target lies in the container's root whatever links an image or another volume holds.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::super::super::Propagation;
use super::super::mount::{self, NO_DEVICES, READ_ONLY};
use super::super::sys;
use super::super::wire::{At, Failure, Step};
use super::{Birth, NewContainer, Volume};

const PROC_MAGIC: i64 = 0x9fa0;

/// A volume's mount, attached nowhere, and where it goes.
pub(super) struct Source {
    tree: OwnedFd,
    target: String,
    folder: bool,
    /// Whether the container is refused without it.
    needed: bool,
}

/// Copies the mounts of all volumes, and of the file of the termination message.
pub(super) fn take_sources(birth: &Birth<'_>, new: &NewContainer<'_>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let tree = mount::copy_tree(&new.hostname, 0).at(Step::Mount, "the host name")?;
    let target = "/etc/hostname".to_owned();
    sources.push(Source { tree, target, folder: false, needed: false });
    for (volume, tree) in new.volumes.iter().zip(copy_all(new)?) {
        let what = || format!("{} to {}", volume.source.display(), volume.target);
        let tree = tree.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::refused(Step::Mount, format!("{}: {error}", what())),
            _ => Failure::kernel(Step::Mount, format!("{}: {error}", what())),
        })?;
        let mut attributes = if volume.read_only { READ_ONLY } else { 0 };
        if !birth.spec.security.privileged {
            attributes |= NO_DEVICES;
        }
        let (own, below) = match volume.propagation {
            Propagation::None => (libc::MS_PRIVATE, libc::MS_PRIVATE),
            Propagation::HostToContainer => (libc::MS_SLAVE, libc::MS_SLAVE),
            Propagation::Bidirectional => (libc::MS_SHARED, libc::MS_SHARED),
        };
        mount::set_attributes(tree.as_fd(), true, 0, below).at(Step::Mount, what())?;
        mount::set_attributes(tree.as_fd(), false, attributes, own).at(Step::Mount, what())?;
        let tree = File::from(tree);
        let folder = tree.metadata().at(Step::Mount, what())?.is_dir();
        sources.push(Source { tree: tree.into(), target: volume.target.clone(), folder, needed: true });
    }
    let target = birth.spec.termination_message_path.clone();
    if !target.is_empty() {
        let tree = mount::copy_tree(&new.termination, 0).at(Step::Mount, "the termination message")?;
        sources.push(Source { tree, target, folder: false, needed: true });
    }
    Ok(sources)
}

/// Copies the mounts of all sources: the host's own in the host's mount namespace, so that they are what the
/// host sees now, and peers of its mounts; the pod's in ours.
fn copy_all(new: &NewContainer<'_>) -> Result<Vec<io::Result<OwnedFd>>, Failure> {
    let host = new.volumes.iter().any(|volume| volume.of_host);
    let ours = File::open("/proc/self/ns/mnt").at(Step::Namespaces, "/proc/self/ns/mnt")?;
    let mut trees: Vec<Option<io::Result<OwnedFd>>> = new.volumes.iter().map(|_| None).collect();
    if host {
        sys::setns(new.host_mounts, libc::CLONE_NEWNS).at(Step::Namespaces, "the host's mounts")?;
        for (tree, volume) in trees.iter_mut().zip(&new.volumes).filter(|(_, volume)| volume.of_host) {
            *tree = Some(mount::copy_tree(&volume.source, mount::RECURSIVE));
        }
        sys::setns(ours.as_fd(), libc::CLONE_NEWNS).at(Step::Namespaces, "mounts")?;
    }
    let copies = trees.into_iter().zip(&new.volumes);
    Ok(copies.map(|(tree, volume)| tree.unwrap_or_else(|| copy_of_pod(volume))).collect())
}

fn copy_of_pod(volume: &Volume) -> io::Result<OwnedFd> {
    if volume.inside.is_empty() {
        return mount::copy_tree(&volume.source, mount::RECURSIVE);
    }
    let base = mount::open_place(&volume.source)?;
    let place = descend(base.as_fd(), &volume.inside, true)?;
    mount::copy_tree(Path::new(&*mount::descriptor_path(place.as_fd()).to_string_lossy()), mount::RECURSIVE)
}

/// Opens a path below `root`, making what is missing of it; the last part is a file unless `folder`.
fn descend(root: BorrowedFd<'_>, path: &str, folder: bool) -> io::Result<OwnedFd> {
    let whole = CString::new(path)?;
    match mount::open_in_root(root, &whole, libc::O_PATH, 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut done = String::new();
    let mut parent = mount::open_in_root(root, c".", libc::O_PATH, 0)?;
    for (index, part) in parts.iter().enumerate() {
        done = format!("{done}/{part}");
        let (name, so_far) = (CString::new(*part)?, CString::new(done.as_str())?);
        let opened = mount::open_in_root(root, &so_far, libc::O_PATH, 0);
        parent = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if index + 1 == parts.len() && !folder {
                    let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW;
                    mount::open_in_root(parent.as_fd(), &name, flags, 0o644)?;
                } else {
                    mount::make_folder(parent.as_fd(), &name, 0o755)?;
                }
                mount::open_in_root(root, &so_far, libc::O_PATH, 0)?
            }
            other => other?,
        };
    }
    Ok(parent)
}

/// Attaches the volumes, in order, in the root that we are in.
pub(super) fn attach(sources: &[Source]) -> Result<(), Failure> {
    for source in sources {
        let place = descend_from_root(&source.target, source.folder);
        if place.is_err() && !source.needed {
            continue;
        }
        let place = place.at(Step::Mount, &source.target)?;
        if sys::filesystem_of(place.as_fd()).at(Step::Mount, &source.target)? == PROC_MAGIC {
            let cause = format!("{}: nothing may be mounted inside /proc", source.target);
            return Err(Failure::refused(Step::Mount, cause));
        }
        mount::attach(source.tree.as_fd(), place.as_fd()).at(Step::Mount, &source.target)?;
    }
    Ok(())
}

fn descend_from_root(path: &str, folder: bool) -> io::Result<OwnedFd> {
    // Opened anew each time: an earlier volume may lie on the root itself.
    descend(mount::open_place(Path::new("/"))?.as_fd(), path, folder)
}

/// Makes a folder and those above it in the root that we are in; one that cannot be made but is there is
/// fine.
pub(super) fn make_folders(path: &str) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|data| data.is_dir()) {
        return Ok(());
    }
    let place = descend_from_root(path, true)?;
    debug_assert!(place.as_raw_fd() >= 0);
    Ok(())
}
