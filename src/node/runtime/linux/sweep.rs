//! Finds what clusters left behind that died with their keeper, and removes it.
//!
//! A cluster id is alive while the lock of its folder is held, by its host or its keeper. Only what belongs
//! to an id whose lock we could take is touched.
//!
//! Invariant: the lock is held during the removal, and is the last thing to go.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::super::RuntimeError;
use super::cgroup::Cgroups;
use super::host::{LinuxRuntime, lock_folder};
use super::wire::{At, Step};

impl LinuxRuntime {
    /// Removes what is left of every dead cluster of a state folder, and tells the ids of those.
    ///
    /// Blocks until the processes found have ended.
    ///
    /// # Errors
    /// When the state folder is there but cannot be read. A cluster that cannot be removed is not told.
    pub fn sweep(state_dir: &Path) -> Result<Vec<String>, RuntimeError> {
        let entries = match fs::read_dir(state_dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other
                .at(Step::State, state_dir.display())
                .map_err(|failure| failure.about("the state folder"))?,
        };
        let mut removed = Vec::new();
        for entry in entries.flatten() {
            let folder = entry.path();
            // What has no lock file is not a cluster's.
            if !folder.join("lock").is_file() {
                continue;
            }
            let Ok(id) = entry.file_name().into_string() else { continue };
            if let Ok(Some(_lock)) = lock_folder(&folder)
                && clean(&folder, &Cgroups::find(&id), false)
            {
                removed.push(id);
            }
        }
        Ok(removed)
    }
}

/// What a keeper makes in the folder of its cluster.
const OF_KEEPER: [&str; 5] = ["root", "mem", "layers", "exits", "keeper.sock"];

/// Kills and removes what a dead keeper left. The lock, and what the host keeps in the folder, stay.
pub(super) fn clean_after_keeper(folder: &Path, cgroups: &Cgroups) -> bool {
    remove(folder, cgroups, &|name| OF_KEEPER.iter().any(|own| name == *own))
}

/// Kills and removes what belongs to a cluster whose lock the caller holds. `keep` leaves the lock file.
pub(super) fn clean(folder: &Path, cgroups: &Cgroups, keep: bool) -> bool {
    let all = remove(folder, cgroups, &|name| name != "lock");
    if !keep {
        let _ = fs::remove_file(folder.join("lock"));
        let _ = fs::remove_dir(folder);
    }
    all
}

fn remove(folder: &Path, cgroups: &Cgroups, is_due: &dyn Fn(&OsStr) -> bool) -> bool {
    let mut cgroups = cgroups.clone();
    cgroups.forget_missing();
    let ended = cgroups.destroy();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all = true;
    for entry in entries.filter(|entry| is_due(&entry.file_name())) {
        let path = entry.path();
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        all &= if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.is_ok();
    }
    ended && all
}
