//! Controllers that a v2 group hands down to the groups below it: taken for us, written down, given back.
//!
//! A group with processes can hand none down, but for the real root. So in a delegated group (that of a
//! container) its processes go to a leaf first, which all clusters of the place share. What was added is
//! written down in an extended attribute of the place itself, so that it is known whoever ends last.
//!
//! Invariant: after the last cluster of a place has ended, the place hands down what it did before the first,
//! and its processes are in it again, unless somebody else uses by now what we added.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::super::sys;
use super::{folders_below, write};
use crate::limits;

/// Where the processes of a delegated place are. No cluster's own group can have that name.
pub(super) const LEAF: &str = "coracle.leaf";

const RECORD: &std::ffi::CStr = c"user.coracle.controllers";

/// What a group hands down.
pub(super) fn handed_down(group: &Path) -> Vec<String> {
    let text = fs::read_to_string(group.join("cgroup.subtree_control")).unwrap_or_default();
    text.split_whitespace().map(String::from).collect()
}

/// Those of the wanted that there are.
pub(super) fn among(wanted: &[String], there: &[String]) -> Vec<String> {
    wanted.iter().filter(|name| there.contains(name)).cloned().collect()
}

fn missing(group: &Path, wanted: &[String]) -> Vec<String> {
    let have = handed_down(group);
    wanted.iter().filter(|name| !have.contains(name)).cloned().collect()
}

fn change(group: &Path, sign: char, names: &[String]) -> io::Result<()> {
    let words: Vec<String> = names.iter().map(|name| format!("{sign}{name}")).collect();
    if words.is_empty() { Ok(()) } else { write(&group.join("cgroup.subtree_control"), &words.join(" ")) }
}

/// Makes a group hand controllers down.
pub(super) fn hand_down(group: &Path, controllers: &[String]) -> io::Result<()> {
    change(group, '+', &missing(group, controllers))
}

/// Makes our place hand controllers down, and answers which it does.
pub(super) fn take(place: &Path, wanted: &[String]) -> Vec<String> {
    let _lock = lock(place);
    let added = missing(place, wanted);
    if !added.is_empty() {
        let mut all = recorded(place).unwrap_or_default();
        all.extend(added.iter().filter(|name| !all.contains(name)).cloned().collect::<Vec<_>>());
        // Written down before it is done. Where it cannot be, a place without a leaf keeps what it got.
        let _ = sys::set_attribute(place, RECORD, all.join(" ").as_bytes());
        match hand_down(place, wanted) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => take_by_leaf(place, &added),
            // One that is refused (cpu, where real-time processes run) must not cost us the others.
            Err(_) => added.iter().for_each(|name| drop(change(place, '+', std::slice::from_ref(name)))),
            Ok(()) => {}
        }
    }
    among(wanted, &handed_down(place))
}

/// The place has processes, so that it cannot hand down: they make room first.
fn take_by_leaf(place: &Path, added: &[String]) {
    let leaf = place.join(LEAF);
    let _ = fs::create_dir(&leaf);
    move_processes(place, &leaf);
    if change(place, '+', added).is_err() {
        // Processes that we may not move: then nobody is moved.
        move_processes(&leaf, place);
        let _ = fs::remove_dir(&leaf);
        let _ = sys::remove_attribute(place, RECORD);
    }
}

/// After a cluster's own group is gone: undoes what was taken, unless another cluster still needs it.
pub(super) fn give_back(place: &Path) {
    let _lock = lock(place);
    let named =
        |path: &Path, start| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    if folders_below(place).iter().any(|folder| named(folder, "coracle-")) {
        return;
    }
    let leaf = place.join(LEAF);
    // A leaf was only needed where nothing was handed down.
    let added = match recorded(place) {
        Some(added) => added,
        None if leaf.exists() => handed_down(place),
        None => return,
    };
    let unused: Vec<String> = added.into_iter().filter(|name| !in_use(place, name)).collect();
    for name in among(&unused, &handed_down(place)) {
        let _ = change(place, '-', &[name]);
    }
    if leaf.exists() {
        move_processes(&leaf, place);
        if fs::remove_dir(&leaf).is_err() {
            return;
        }
    }
    let _ = sys::remove_attribute(place, RECORD);
}

/// Whether a group at our place has a limit by a controller. (One that hands it down further lets the kernel
/// refuse its end.)
fn in_use(place: &Path, controller: &str) -> bool {
    let defaults: &[(&str, &str)] = match controller {
        "cpu" => &[("cpu.weight", "100"), ("cpu.max", "max 100000")],
        "memory" => {
            &[("memory.max", "max"), ("memory.high", "max"), ("memory.min", "0"), ("memory.low", "0")]
        }
        _ => &[("pids.max", "max")],
    };
    let changed = |folder: &Path| {
        let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
        defaults.iter().any(|(file, default)| read(file).is_some_and(|text| text.trim() != *default))
    };
    folders_below(place).iter().any(|folder| changed(folder))
}

fn recorded(place: &Path) -> Option<Vec<String>> {
    let text = sys::attribute(place, RECORD).ok()?;
    Some(String::from_utf8_lossy(&text).split_whitespace().map(String::from).collect())
}

/// Moves all processes, those too that are forked meanwhile, within a bound.
fn move_processes(from: &Path, to: &Path) {
    for _ in 0..limits::CGROUP_MOVES {
        let text = fs::read_to_string(from.join("cgroup.procs")).unwrap_or_default();
        // A process that our PID namespace does not show is a 0, which as a target would be ourselves.
        let pids = text.lines().filter(|pid| *pid != "0");
        let moved = pids.map(|pid| write(&to.join("cgroup.procs"), pid)).filter(Result::is_ok).count();
        if moved == 0 {
            return;
        }
    }
}

/// Keeps other clusters from the place meanwhile. Anybody may hold such a lock, so that after a bound we go
/// on without it.
fn lock(place: &Path) -> Option<File> {
    let file = File::open(place).ok()?;
    for _ in 0..limits::CGROUP_LOCK_TRIES {
        if sys::try_lock(file.as_fd()).ok()? {
            return Some(file);
        }
        let _ = sys::poll(&[], 1);
    }
    None
}
