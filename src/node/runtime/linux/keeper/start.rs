//! What a keeper does first: its folders, its file system in memory, its place with the out-of-memory killer.
//!
//! Runs once, before the loop. Knows no sandbox.
//!
//! Invariant: mounts are made in the keeper's own mount namespace only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::super::wire::{At, Failure, Setup, Step};
use super::super::{mount, packets, sys};
use super::Title;

/// The keeper's own folders.
pub(super) struct Own {
    /// The cluster's folder.
    folder: OwnedFd,
    /// Upper folders of overlays cannot lie in it.
    pub(super) on_overlay: bool,
    /// The lowest layer of every root.
    pub(super) skeleton: PathBuf,
    /// The ends of containers, a line each.
    pub(super) exits: File,
}

/// Makes the folders of a cluster and the file system in memory.
pub(super) fn own_folders(setup: &Setup) -> Result<Own, Failure> {
    const OVERLAYFS: i64 = 0x794c_7630;
    for name in ["root", "mem", "layers"] {
        let path = setup.folder.join(name);
        fs::create_dir_all(&path).at(Step::Start, path.display())?;
    }
    let memory = setup.folder.join("mem");
    // The overlays whose layers lie in it have flags of their own.
    let attach = || -> io::Result<()> {
        let tree = mount::memory_tree(&[(c"mode", c"0700")], mount::NO_SUID | mount::NO_DEVICES)?;
        mount::attach(tree.as_fd(), mount::open_place(&memory)?.as_fd())
    };
    attach().at(Step::Start, "tmpfs")?;
    let skeleton = memory.join("skeleton");
    make_skeleton(&skeleton).at(Step::Start, skeleton.display())?;
    let exits = setup.folder.join("exits");
    let exits = OpenOptions::new().append(true).create(true).open(&exits).at(Step::Start, exits.display())?;
    let folder = mount::open_place(&setup.folder).at(Step::Start, setup.folder.display())?;
    let on_overlay = sys::filesystem_of(folder.as_fd()).is_ok_and(|kind| kind == OVERLAYFS);
    Ok(Own { folder, on_overlay, skeleton, exits })
}

/// Listens for the host that adopts us.
pub(super) fn listen(own: &Own) -> Result<OwnedFd, Failure> {
    // By descriptor, since a socket's path has no room for a deep folder.
    let path = mount::descriptor_path(own.folder.as_fd());
    let path = Path::new(&*path.to_string_lossy()).join("keeper.sock");
    let _ = fs::remove_file(&path);
    packets::listen(&path).at(Step::Start, "keeper.sock")
}

/// Takes the parent of all out of the out-of-memory killer's sight. Answers the file, and what it held.
pub(super) fn protect_from_oom() -> Option<(File, String)> {
    let path = "/proc/self/oom_score_adj";
    let mut file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    let before = fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let _ = file.write_all(b"-998");
    Some((file, if before.is_empty() { "0".to_owned() } else { before }))
}

/// The lowest layer of every root.
fn make_skeleton(folder: &Path) -> io::Result<()> {
    for name in ["proc", "sys", "dev", "etc"] {
        fs::create_dir_all(folder.join(name))?;
    }
    for name in ["hostname", "hosts", "resolv.conf"] {
        File::create(folder.join("etc").join(name))?;
    }
    Ok(())
}

/// Where the process's own arguments lie.
pub(super) fn argument_memory() -> Title {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // The fields 48 and 49; the list begins with the third.
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse().ok()).unwrap_or(0);
    (field(48), field(49))
}

/// Whether ids are mapped, and fewer things may be mounted.
pub(super) fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}
