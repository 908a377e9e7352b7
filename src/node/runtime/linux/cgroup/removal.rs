//! The end of groups: killing, waiting until they are empty, removing.
//!
//! Where there is a unified tree, its `cgroup.events` tells when a group has become empty. v1 tells nothing, so
//! that there a removal is tried again.
//!
//! Invariant: every wait has a bound.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::super::sys;
use super::{Cgroups, delegation, folders_below, write};
use crate::limits;

/// Whether a process is in a group or in one below, by the group's open `cgroup.events`; one that is gone has
/// none. The descriptor has `POLLPRI` after the next change.
pub(in super::super) fn populated(events: BorrowedFd<'_>) -> bool {
    let mut text = [0; 256];
    match sys::read_at_start(events, &mut text) {
        Ok(length) => String::from_utf8_lossy(&text[..length]).lines().any(|line| line == "populated 1"),
        Err(_) => false,
    }
}

impl Cgroups {
    /// The events of a group, where the unified tree has it.
    pub(in super::super) fn events(&self, group: &str) -> Option<OwnedFd> {
        let tree = self.trees.iter().find(|tree| tree.unified)?;
        File::open(self.path(tree, group).join("cgroup.events")).ok().map(OwnedFd::from)
    }

    /// Kills every process of a group and of those below. Does not wait.
    pub(in super::super) fn kill(&self, group: &str) {
        let Some(tree) = self.tracker() else { return };
        let path = self.path(tree, group);
        if tree.unified && write(&path.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        let freezer = self.trees.iter().find(|tree| tree.controls("freezer"));
        let state = freezer.map(|tree| self.path(tree, group).join("freezer.state"));
        if let Some(state) = &state {
            let _ = write(state, "FROZEN");
        }
        for pid in processes(&path) {
            if let Ok(pidfd) = sys::pidfd_open(pid) {
                let _ = sys::pidfd_signal(pidfd.as_fd(), libc::SIGKILL);
            }
        }
        if let Some(state) = &state {
            let _ = write(state, "THAWED");
        }
    }

    /// Removes a group and those below; false while one is still busy.
    pub(in super::super) fn remove(&self, group: &str) -> bool {
        let mut all = true;
        for tree in &self.trees {
            all &= remove_tree(&self.path(tree, group));
        }
        all
    }

    /// Kills everything of the cluster, waits until it has ended, and removes all of its groups. Blocks.
    pub(in super::super) fn destroy(&self) -> bool {
        self.drain("");
        for _ in 0..limits::CGROUP_REMOVAL_TRIES {
            if self.remove("") {
                for tree in self.trees.iter().filter(|tree| tree.unified) {
                    delegation::give_back(&tree.place);
                }
                return true;
            }
            // Its processes have ended, and on v2 that is all; on v1 they leave their groups a moment later,
            // of which nothing tells.
            let _ = sys::poll(&[], 1);
        }
        false
    }

    /// Kills the processes of a group until none is left, within a bound.
    fn drain(&self, group: &str) {
        const SLICE: u128 = 100;
        let Some(tree) = self.tracker() else { return };
        let path = self.path(tree, group);
        let events = self.events(group);
        for _ in 0..limits::CGROUP_DRAIN.as_millis() / SLICE {
            if let Some(events) = &events {
                if !populated(events.as_fd()) {
                    return;
                }
                self.kill(group);
                let _ = sys::poll(&[(events.as_raw_fd(), libc::POLLPRI)], SLICE as i32);
                continue;
            }
            let left: Vec<OwnedFd> =
                processes(&path).into_iter().filter_map(|pid| sys::pidfd_open(pid).ok()).collect();
            if left.is_empty() {
                return;
            }
            self.kill(group);
            for pidfd in left {
                let _ = sys::poll(&[(pidfd.as_raw_fd(), libc::POLLIN)], SLICE as i32);
            }
        }
    }
}

/// The processes of a group and of those below.
fn processes(path: &Path) -> Vec<u32> {
    let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    let own = text.lines().filter_map(|line| line.parse().ok());
    own.chain(folders_below(path).iter().flat_map(|folder| processes(folder))).collect()
}

fn remove_tree(path: &Path) -> bool {
    let gone = |result: io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if gone(fs::remove_dir(path)) {
        return true;
    }
    for folder in folders_below(path) {
        remove_tree(&folder);
    }
    gone(fs::remove_dir(path))
}
