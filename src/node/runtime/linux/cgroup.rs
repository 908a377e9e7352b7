//! Cgroups: finds the hierarchies and our place in them, makes, limits, kills and removes groups.
//!
//! Works on v1, on v2, and on the hybrid of both, where the unified tree (if we may write it) serves to kill
//! a group and to learn that it is empty. A group is named by its path below the cluster's own,
//! `coracle-<cluster>`, and made in every hierarchy that counts for us: cpu, memory, pids, and one to find
//! processes by. Where none may be written there are no limits and processes are found by other means.
//!
//! `delegation` takes controllers at our place and gives them back; `removal` kills, awaits and removes.
//!
//! Invariant: no process that is not of this cluster is moved, but for a delegated v2 group with processes,
//! which go to a leaf and come back at the end.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::super::Resources;
use super::wire::{At, Failure, Step};

mod delegation;
mod removal;
#[cfg(test)]
mod tests;

pub(super) use removal::populated;

const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// One hierarchy in which groups are made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub(super) struct Tree {
    /// Our place, a folder that exists; the cluster's own group lies in it.
    place: PathBuf,
    /// v2.
    unified: bool,
    /// Which of cpu, memory, pids (and freezer) it controls.
    controllers: Vec<String>,
}

impl Tree {
    fn controls(&self, controller: &str) -> bool {
        self.controllers.iter().any(|have| have == controller)
    }
}

/// Finds the hierarchies of a process in the text of its `mountinfo` and `cgroup` files.
pub(super) fn find_trees(mountinfo: &str, membership: &str) -> Vec<Tree> {
    let mut trees: Vec<Tree> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
        let mount: Vec<&str> = mount.split(' ').collect();
        let filesystem: Vec<&str> = filesystem.split(' ').collect();
        let (Some(root), Some(point), Some(kind)) = (mount.get(3), mount.get(4), filesystem.first()) else {
            continue;
        };
        let options: Vec<&str> = filesystem.get(2).unwrap_or(&"").split(',').collect();
        let unified = match *kind {
            "cgroup" => false,
            "cgroup2" => true,
            _ => continue,
        };
        let controllers: Vec<String> = ["cpu", "memory", "pids", "freezer"]
            .into_iter()
            .filter(|name| !unified && options.contains(name))
            .map(String::from)
            .collect();
        if !unified && controllers.is_empty() {
            continue;
        }
        let member = membership.lines().find_map(|line| {
            let (_, line) = line.split_once(':')?;
            let (names, path) = line.split_once(':')?;
            let ours = if unified {
                names.is_empty()
            } else {
                names.split(',').any(|name| controllers.iter().any(|have| have == name))
            };
            ours.then_some(path)
        });
        let below = member.and_then(|path| Path::new(path).strip_prefix(root).ok()).unwrap_or(Path::new(""));
        let point = point.replace("\\040", " ");
        let outside = below.components().any(|part| part == std::path::Component::ParentDir);
        let place = if outside || below.as_os_str().is_empty() {
            PathBuf::from(point)
        } else {
            PathBuf::from(point).join(below)
        };
        let tree = Tree { place, unified, controllers };
        if !trees.iter().any(|have| have.unified == tree.unified && have.controllers == tree.controllers) {
            trees.push(tree);
        }
    }
    trees
}

/// The file in a cluster's folder that tells where its groups are.
pub(super) const PLACES: &str = "cgroups";

/// The groups of one cluster.
#[derive(Clone, Debug)]
pub(super) struct Cgroups {
    own: String,
    trees: Vec<Tree>,
}

/// Writes a control file.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

impl Cgroups {
    /// Names the groups of a cluster without making any.
    pub(super) fn find(cluster: &str) -> Cgroups {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let mut trees = find_trees(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        for tree in trees.iter_mut().filter(|tree| tree.unified) {
            // Where a cluster of ours moved us to a leaf, our place is the group above it.
            if tree.place.ends_with(delegation::LEAF)
                && let Some(above) = tree.place.parent()
            {
                tree.place = above.to_owned();
            }
            // In sight of the real root we need nobody's delegation: its group is beside the others.
            let mount = tree.place.ancestors().take_while(|path| path.join("cgroup.procs").exists()).last();
            if let Some(mount) = mount
                && !mount.join("cgroup.type").exists()
            {
                tree.place = mount.to_owned();
            }
            let controllers = fs::read_to_string(tree.place.join("cgroup.controllers")).unwrap_or_default();
            let has = |name: &&str| controllers.split_whitespace().any(|have| have == *name);
            tree.controllers = CONTROLLERS.iter().filter(|name| has(name)).map(|s| s.to_string()).collect();
        }
        Cgroups { own: format!("coracle-{cluster}"), trees }
    }

    /// Names the groups of a cluster that another process made, which wrote down where it was going to.
    pub(super) fn find_written(cluster: &str, folder: &Path) -> Cgroups {
        let mut found = Cgroups::find(cluster);
        let written = fs::read(folder.join(PLACES)).unwrap_or_default();
        let written: Vec<Tree> = serde_json::from_slice(&written).unwrap_or_default();
        // A process elsewhere in a hierarchy looks for its groups below its own place.
        found.trees.retain(|tree| written.iter().all(|known| known.place != tree.place));
        found.trees.splice(0..0, written);
        found
    }

    /// Writes down where the groups are going to be.
    pub(super) fn write_down(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(PLACES), serde_json::to_vec(&self.trees)?)
    }

    /// Makes the cluster's own group wherever it can be, and forgets the hierarchies where it cannot.
    pub(super) fn prepare(&mut self) {
        let own = self.own.clone();
        self.trees.retain(|tree| match fs::create_dir(tree.place.join(&own)) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::AlreadyExists,
        });
        let unified = self.trees.iter().any(|tree| tree.unified);
        self.trees.retain(|tree| {
            let needed = tree.unified || CONTROLLERS.iter().any(|name| tree.controls(name)) || !unified;
            if !needed {
                let _ = fs::remove_dir(tree.place.join(&own));
            }
            needed
        });
        for tree in self.trees.iter_mut().filter(|tree| tree.unified && !tree.controllers.is_empty()) {
            tree.controllers = delegation::take(&tree.place, &tree.controllers);
            let own = tree.place.join(&own);
            let _ = delegation::hand_down(&own, &tree.controllers);
            tree.controllers = delegation::among(&tree.controllers, &delegation::handed_down(&own));
        }
    }

    /// Forgets the hierarchies where the cluster's own group is not.
    pub(super) fn forget_missing(&mut self) {
        let own = &self.own;
        self.trees.retain(|tree| tree.place.join(own).is_dir());
    }

    /// Which of cpu, memory and pids cannot be limited.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let can = |name: &&str| self.trees.iter().any(|tree| tree.controls(name));
        CONTROLLERS.into_iter().filter(|name| !can(name)).collect()
    }

    /// Whether the processes of a group can be found by it.
    pub(super) fn can_find(&self) -> bool {
        !self.trees.is_empty()
    }

    fn path(&self, tree: &Tree, group: &str) -> PathBuf {
        tree.place.join(&self.own).join(group)
    }

    /// The hierarchy by which processes are found: the unified one where there is one.
    fn tracker(&self) -> Option<&Tree> {
        let freezer = || self.trees.iter().find(|tree| tree.controls("freezer"));
        self.trees.iter().find(|tree| tree.unified).or_else(freezer).or(self.trees.first())
    }

    /// Makes a group with its limits. `parent` says that others will lie in it.
    pub(super) fn create(&self, group: &str, limits: &Resources, parent: bool) -> Result<(), Failure> {
        for tree in &self.trees {
            let path = self.path(tree, group);
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.at(Step::Cgroup, path.display())?,
            }
            for (file, text) in settings(tree, limits) {
                write(&path.join(file), &text).at(Step::Cgroup, format_args!("{file} to {text}"))?;
            }
            if tree.unified && !tree.controllers.is_empty() {
                if parent {
                    delegation::hand_down(&path, &tree.controllers)
                        .at(Step::Cgroup, "cgroup.subtree_control")?;
                } else if tree.controls("memory") {
                    // As the kubelet has it: a container dies as a whole, and a limit is one on memory and swap.
                    let _ = write(&path.join("memory.oom.group"), "1");
                    if limits.memory_limit.is_some() {
                        let _ = write(&path.join("memory.swap.max"), "0");
                    }
                }
            } else if tree.controls("memory") && limits.memory_limit.is_some() {
                // Without swap accounting the file is not there, and nothing is lost.
                let limit = limits.memory_limit.unwrap_or_default().to_string();
                let _ = write(&path.join("memory.memsw.limit_in_bytes"), &limit);
            }
        }
        Ok(())
    }

    /// The group of the unified tree in which a process is to be born, made if it is missing; `to_be_found`: one
    /// without limits. None where there is no such tree.
    ///
    /// A process that is moved there later waits for all processors, which takes milliseconds on a busy machine.
    pub(super) fn birthplace(&self, group: &str, to_be_found: bool) -> Option<OwnedFd> {
        let tree = self.trees.iter().find(|tree| tree.unified)?;
        let path = self.path(tree, group);
        let _ = fs::create_dir(&path);
        let path = leaf(tree, path, to_be_found);
        fs::File::open(path).ok().map(OwnedFd::from)
    }

    /// Moves this process, which has one thread, into a group; `born`: in the unified tree it is in it already.
    pub(super) fn enter(&self, group: &str, born: bool) -> Result<(), Failure> {
        let trees = self.trees.iter().filter(|tree| !(born && tree.unified));
        trees.into_iter().try_for_each(|tree| enter(tree, &self.path(tree, group)))
    }

    /// Moves this process only where its group is found by, and not under limits.
    pub(super) fn enter_to_be_found(&self, group: &str, born: bool) -> Result<(), Failure> {
        match self.tracker() {
            Some(tree) if !(born && tree.unified) => enter(tree, &leaf(tree, self.path(tree, group), true)),
            _ => Ok(()),
        }
    }

    /// What a container sees of its groups: the name of the folder (empty for all of v2), and the group.
    pub(super) fn views(&self, group: &str) -> Vec<(String, PathBuf)> {
        let alone = self.trees.len() == 1 && self.trees[0].unified;
        let name = |tree: &Tree| match tree.unified {
            true if alone => String::new(),
            true => "unified".to_owned(),
            false => tree
                .place
                .ancestors()
                .filter(|path| path.parent().is_some_and(|parent| parent.ends_with("cgroup")))
                .find_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
                .unwrap_or_else(|| tree.controllers.join(",")),
        };
        self.trees.iter().map(|tree| (name(tree), self.path(tree, group))).collect()
    }

    /// How often the out-of-memory killer struck in a group.
    pub(super) fn oom_kills(&self, group: &str) -> u64 {
        let Some(tree) = self.trees.iter().find(|tree| tree.controls("memory")) else { return 0 };
        let file = if tree.unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.path(tree, group).join(file)).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill "))
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0)
    }
}

/// The group below `path` for processes that are only to be found: a group that hands controllers down can have none.
fn leaf(tree: &Tree, mut path: PathBuf, to_be_found: bool) -> PathBuf {
    if to_be_found && tree.unified && !tree.controllers.is_empty() {
        path.push("sandbox");
        let _ = fs::create_dir(&path);
    }
    path
}

/// Moves this process, which has one thread, into a group. On v1 as a thread: for that alone the kernel does not wait
/// for all processors.
fn enter(tree: &Tree, group: &Path) -> Result<(), Failure> {
    let path = group.join(if tree.unified { "cgroup.procs" } else { "tasks" });
    write(&path, "0").at(Step::Cgroup, path.display())
}

/// The control files that carry the limits.
fn settings(tree: &Tree, limits: &Resources) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    if tree.controls("cpu") {
        if let Some(millis) = limits.cpu_request_millis {
            let shares = (millis * 1024 / 1000).clamp(2, 262_144);
            files.push(match tree.unified {
                true => ("cpu.weight", (1 + (shares - 2) * 9999 / 262_142).to_string()),
                false => ("cpu.shares", shares.to_string()),
            });
        }
        if let Some(millis) = limits.cpu_limit_millis {
            let quota = (millis * 100).max(1000);
            files.push(match tree.unified {
                true => ("cpu.max", format!("{quota} 100000")),
                false => ("cpu.cfs_quota_us", quota.to_string()),
            });
        }
    }
    if let Some(bytes) = limits.memory_limit.filter(|_| tree.controls("memory")) {
        files.push((if tree.unified { "memory.max" } else { "memory.limit_in_bytes" }, bytes.to_string()));
    }
    if let Some(most) = limits.pids_limit.filter(|_| tree.controls("pids")) {
        files.push(("pids.max", most.to_string()));
    }
    files
}

fn folders_below(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}
