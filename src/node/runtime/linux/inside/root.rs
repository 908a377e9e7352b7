//! Builds a container's root file system and makes it the root.
//!
//! Every source is taken from the host first, as a mount attached nowhere; then the new root is entered and
//! the old one dropped; then everything is attached, so that whatever links an image or a volume holds lead
//! nowhere but into the new root.
//!
//! Invariant: after `build` no path leads to the host's files, but for what the specification mounts.

use std::ffi::{CStr, CString, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::super::super::Rootfs;
use super::super::mount::{self, NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY};
use super::super::sys::c_path;
use super::super::wire::{At, Failure, Step};
use super::{Birth, NewContainer, devices, volumes};

/// Hidden from containers, as by containerd and Docker.
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Not to be written by containers.
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Builds the root in our own new mount namespace and enters it.
pub(super) fn build(birth: &Birth<'_>, new: &NewContainer<'_>) -> Result<(), Failure> {
    let spec = birth.spec;
    let privileged = spec.security.privileged;
    let sources = volumes::take_sources(birth, new)?;
    let devices = devices::take(privileged)?;
    let views = take_views(birth);
    let kernel = kernel_trees(privileged, new.in_user_namespace)?;
    let (root, entries) = root_tree(&spec.rootfs, new)?;
    let place = mount::open_place(new.root).at(Step::Root, new.root.display())?;
    mount::attach(root.as_fd(), place.as_fd()).at(Step::Root, new.root.display())?;
    std::env::set_current_dir(new.root).at(Step::Root, new.root.display())?;
    if let (Rootfs::HostRoot(folder), Some(entries)) = (&spec.rootfs, &entries) {
        attach_entries(folder, entries).at(Step::Root, folder.display())?;
    }
    mount::pivot_here().at(Step::Root, "pivot_root")?;

    attach_kernel_trees(&kernel)?;
    devices::make(&devices, new, privileged)?;
    attach_views(&views, privileged)?;
    if !privileged && !spec.security.unmasked_proc {
        hide()?;
    }
    volumes::attach(&sources)?;
    if !spec.working_dir.is_empty() {
        volumes::make_folders(&spec.working_dir).at(Step::WorkingDir, &spec.working_dir)?;
    }
    if spec.security.read_only_root {
        let root = mount::open_place(Path::new("/")).at(Step::Root, "/")?;
        mount::set_attributes(root.as_fd(), false, READ_ONLY, 0).at(Step::Root, "read-only")?;
    }
    Ok(())
}

/// The root, attached nowhere, and what goes into it where it is no overlay.
fn root_tree(rootfs: &Rootfs, new: &NewContainer<'_>) -> Result<(OwnedFd, Option<Vec<Entry>>), Failure> {
    let (upper, work) = (new.layer.join("upper"), new.layer.join("work"));
    let folders = || -> io::Result<()> {
        fs::create_dir_all(&new.layer)?;
        fs::create_dir(&upper)?;
        fs::create_dir(&work)
    };
    folders().at(Step::Root, new.layer.display())?;
    match rootfs {
        Rootfs::Layers(layers) => {
            if let Some(gone) = layers.iter().find(|layer| !layer.is_dir()) {
                return Err(Failure::refused(Step::Root, format!("{}: no such layer", gone.display())));
            }
            let layers: Vec<PathBuf> = [new.skeleton].into_iter().chain(layers).cloned().collect();
            let overlay = overlay(&layers, &upper, &work, new.in_user_namespace);
            overlay.map(|tree| (tree, None)).at(Step::Root, "overlay")
        }
        Rootfs::HostRoot(folder) => {
            let layers = [new.skeleton.clone(), folder.clone()];
            let overlay = overlay(&layers, &upper, &work, new.in_user_namespace);
            let overlay = overlay.map(|tree| (tree, None));
            let entries = || entries_of(folder).map(|(root, entries)| (root, Some(entries)));
            overlay.or_else(|_| entries()).at(Step::Root, folder.display())
        }
    }
}

/// What is attached below a root in memory, where no overlay can be: copies of a folder's entries.
struct Entry {
    name: OsString,
    tree: OwnedFd,
}

/// Where no overlay can be (a user namespace may not look below the mounts of the folder): a root in memory
/// with the folder's entries in it, each read-only with all below. So new entries can be made, and `/tmp`
/// be written.
fn entries_of(folder: &Path) -> io::Result<(OwnedFd, Vec<Entry>)> {
    let root = mount::memory_tree(&[(c"mode", c"0755")], 0)?;
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if ["proc", "sys", "dev", "tmp"].iter().any(|own| name == *own) {
            continue;
        }
        // One that goes away meanwhile, or may not be copied, is not shown.
        let Ok(tree) = mount::copy_tree(&folder.join(&name), mount::RECURSIVE | mount::NO_FOLLOW) else {
            continue;
        };
        mount::set_attributes(tree.as_fd(), true, READ_ONLY, libc::MS_PRIVATE)?;
        entries.push(Entry { name, tree });
    }
    Ok((root, entries))
}

/// Attaches them in the root that is our working directory.
fn attach_entries(folder: &Path, entries: &[Entry]) -> io::Result<()> {
    for entry in entries {
        let file = File::from(entry.tree.try_clone()?);
        let kind = file.metadata()?.file_type();
        let place = Path::new(&entry.name);
        if kind.is_symlink() {
            symlink(fs::read_link(folder.join(&entry.name))?, place)?;
            continue;
        } else if kind.is_dir() {
            fs::create_dir(place)?;
        } else {
            File::create(place)?;
        }
        mount::attach(entry.tree.as_fd(), mount::open_place(place)?.as_fd())?;
    }
    fs::create_dir("tmp")?;
    fs::set_permissions("tmp", fs::Permissions::from_mode(0o1777))
}

/// An overlay of layers, the lowest first. `volatile`: a container's own layer never outlives a crash, so
/// its unmounting need not write it to the disk.
fn overlay(layers: &[PathBuf], upper: &Path, work: &Path, in_user: bool) -> io::Result<OwnedFd> {
    // An option holds 255 bytes and gives colons and backslashes a meaning: longer or odd paths go by
    // descriptor.
    let mut held = Vec::new();
    let mut short = |path: &Path| -> io::Result<CString> {
        let text = c_path(path)?;
        if text.as_bytes().len() < 250 && !text.as_bytes().iter().any(|byte| b":\\,".contains(byte)) {
            return Ok(text);
        }
        let place = mount::open_place(path)?;
        let text = mount::descriptor_path(place.as_fd());
        held.push(place);
        Ok(text)
    };
    let lowers = layers.iter().rev().map(|layer| short(layer)).collect::<io::Result<Vec<_>>>()?;
    let (upper, work) = (short(upper)?, short(work)?);
    let joined = lowers.iter().map(|path| path.as_bytes()).collect::<Vec<_>>().join(&b':');
    let single = joined.len() < 250;
    let make = |user_attributes: bool, volatile: bool| -> io::Result<OwnedFd> {
        let new = mount::NewFilesystem::open(c"overlay")?;
        if single {
            new.set(c"lowerdir", &CString::new(joined.clone())?)?;
        } else {
            for lower in &lowers {
                new.set(c"lowerdir+", lower)?;
            }
        }
        new.set(c"upperdir", &upper)?;
        new.set(c"workdir", &work)?;
        if volatile {
            new.set_flag(c"volatile")?;
        }
        if user_attributes {
            new.set_flag(c"userxattr")?;
        }
        new.create(if in_user { 0 } else { NO_DEVICES })
    };
    make(in_user, true).or_else(|_| make(in_user, false)).or_else(|error| {
        // Kernels before 6.8 do not know `lowerdir+`; the old call takes a page of options.
        if single { Err(error) } else { old_overlay(layers, &upper, &work) }
    })
}

fn old_overlay(layers: &[PathBuf], upper: &CString, work: &CString) -> io::Result<OwnedFd> {
    let places = layers.iter().rev().map(|path| mount::open_place(path)).collect::<io::Result<Vec<_>>>()?;
    let names: Vec<String> = places
        .iter()
        .map(|place| mount::descriptor_path(place.as_fd()).to_string_lossy().into_owned())
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        names.join(":"),
        upper.to_string_lossy(),
        work.to_string_lossy()
    );
    // The old call cannot mount nowhere: mount over the upper folder, in our own namespace, and copy that.
    let target = Path::new(std::ffi::OsStr::new(upper.to_str().unwrap_or_default()));
    mount::mount(c"overlay", target, c"overlay", libc::MS_NODEV, &CString::new(options)?)?;
    let tree = mount::copy_tree(target, 0)?;
    mount::detach(target)?;
    Ok(tree)
}

fn make_folder(path: &str) -> Result<(), Failure> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A root that cannot be written may still have the folder.
        Err(_) if Path::new(path).is_dir() => Ok(()),
        other => other.at(Step::Root, path),
    }
}

/// `/proc` and `/sys`, attached nowhere.
struct KernelTrees {
    processes: OwnedFd,
    system: OwnedFd,
}

/// Makes them while the old ones are still in sight: in a user namespace the kernel shows no more than these.
fn kernel_trees(privileged: bool, in_user_namespace: bool) -> Result<KernelTrees, Failure> {
    const PLAIN: u64 = NO_SUID | NO_DEVICES | NO_EXEC;
    let new = |kind: &CStr, attributes| mount::NewFilesystem::open(kind)?.create(attributes);
    let processes = new(c"proc", PLAIN).at(Step::Root, "/proc")?;
    let attributes = if privileged { PLAIN } else { PLAIN | READ_ONLY };
    let copy = || -> io::Result<OwnedFd> {
        let tree = mount::copy_tree(Path::new("/sys"), mount::RECURSIVE)?;
        mount::set_attributes(tree.as_fd(), true, READ_ONLY, libc::MS_PRIVATE)?;
        Ok(tree)
    };
    // It needs a network namespace of our own user namespace, which the host's is not.
    let system = new(c"sysfs", attributes)
        .or_else(|error| if in_user_namespace { copy() } else { Err(error) })
        .at(Step::Root, "/sys")?;
    Ok(KernelTrees { processes, system })
}

fn attach_kernel_trees(trees: &KernelTrees) -> Result<(), Failure> {
    for (path, tree) in [("/proc", Some(&trees.processes)), ("/sys", Some(&trees.system)), ("/dev", None)] {
        make_folder(path)?;
        if let Some(tree) = tree {
            let place = mount::open_place(Path::new(path)).at(Step::Root, path)?;
            mount::attach(tree.as_fd(), place.as_fd()).at(Step::Root, path)?;
        }
    }
    Ok(())
}

/// The container's own cgroups, by the name of their folder. What cannot be had is not shown.
fn take_views(birth: &Birth<'_>) -> Vec<(String, OwnedFd)> {
    let views = birth.cgroups.views(birth.group).into_iter();
    views.filter_map(|(name, path)| Some((name, mount::copy_tree(&path, 0).ok()?))).collect()
}

fn attach_views(views: &[(String, OwnedFd)], privileged: bool) -> Result<(), Failure> {
    let base = Path::new("/sys/fs/cgroup");
    if views.is_empty() || !base.is_dir() {
        return Ok(());
    }
    let plain = NO_SUID | NO_DEVICES | NO_EXEC;
    let attributes = if privileged { plain } else { plain | READ_ONLY };
    let attach = || -> io::Result<()> {
        if views.iter().any(|(name, _)| !name.is_empty()) {
            let folder = mount::memory_tree(&[(c"mode", c"0755"), (c"size", c"64k")], plain)?;
            mount::attach(folder.as_fd(), mount::open_place(base)?.as_fd())?;
        }
        for (name, tree) in views {
            let path = if name.is_empty() { base.to_owned() } else { base.join(name) };
            if !name.is_empty() {
                fs::create_dir(&path)?;
            }
            mount::set_attributes(tree.as_fd(), false, attributes, 0)?;
            mount::attach(tree.as_fd(), mount::open_place(&path)?.as_fd())?;
        }
        if views.iter().any(|(name, _)| !name.is_empty()) && !privileged {
            mount::set_attributes(mount::open_place(base)?.as_fd(), false, READ_ONLY, 0)?;
        }
        Ok(())
    };
    attach().at(Step::Cgroup, base.display())
}

/// Masks and write-protects what the kernel shows of the whole machine. Runs before any volume is there.
fn hide() -> Result<(), Failure> {
    let mut nothing: Option<OwnedFd> = None;
    for path in MASKED {
        let Ok(place) = mount::open_place(Path::new(path)) else { continue };
        let folder = Path::new(path).is_dir();
        let mask = || -> io::Result<()> {
            let tree = if !folder {
                mount::copy_tree(Path::new("/dev/null"), 0)?
            } else if let Some(nothing) = &nothing {
                mount::copy_tree(Path::new(&*mount::descriptor_path(nothing.as_fd()).to_string_lossy()), 0)?
            } else {
                mount::memory_tree(&[(c"size", c"4k"), (c"nr_inodes", c"1")], READ_ONLY)?
            };
            mount::attach(tree.as_fd(), place.as_fd())?;
            if folder && nothing.is_none() {
                nothing = Some(tree);
            }
            Ok(())
        };
        let mut mask = mask;
        mask().at(Step::Root, path)?;
    }
    for path in READ_ONLY_PATHS.iter().map(Path::new) {
        let Ok(tree) = mount::copy_tree(path, mount::RECURSIVE) else { continue };
        let protect = || -> io::Result<()> {
            mount::set_attributes(tree.as_fd(), true, READ_ONLY, 0)?;
            mount::attach(tree.as_fd(), mount::open_place(path)?.as_fd())
        };
        protect().at(Step::Root, path.display())?;
    }
    Ok(())
}
