//! Cgroups: finds the hierarchies and our place in them, makes, limits, kills and removes groups.
//!
//! Works on v1, on v2, and on the hybrid of both, where the unified tree (if we may write it) serves to kill
//! a group and to learn that it is empty. A group is named by its path below the cluster's own,
//! `coracle-<cluster>`, and made in every hierarchy that counts for us: cpu, memory, pids, and one to find
//! processes by. Where none may be written there are no limits and processes are found by other means.
//!
//! Invariant: no process that is not of this cluster is moved, but for a delegated v2 group with processes,
//! which go to a leaf and come back at the end.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use super::super::Resources;
use super::sys;
use super::wire::{At, Failure, Step};
use crate::limits;

const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// One hierarchy in which groups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
            let name = tree.place.file_name().and_then(|name| name.to_str()).unwrap_or("");
            if name.starts_with("coracle-")
                && name.ends_with("-host")
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
        for tree in self.trees.iter().filter(|tree| tree.unified && !tree.controllers.is_empty()) {
            if hand_down(&tree.place, &tree.controllers).is_err() {
                let leaf = tree.place.join(format!("{own}-host"));
                let _ = fs::create_dir(&leaf);
                move_processes(&tree.place, &leaf);
                let _ = hand_down(&tree.place, &tree.controllers);
            }
            let _ = hand_down(&tree.place.join(&own), &tree.controllers);
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
                    hand_down(&path, &tree.controllers).at(Step::Cgroup, "cgroup.subtree_control")?;
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

    /// Kills every process of a group and of those below. Does not wait.
    pub(super) fn kill(&self, group: &str) {
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
                let _ = sys::pidfd_signal(std::os::fd::AsFd::as_fd(&pidfd), libc::SIGKILL);
            }
        }
        if let Some(state) = &state {
            let _ = write(state, "THAWED");
        }
    }

    /// Removes a group and those below; false while one is still busy.
    pub(super) fn remove(&self, group: &str) -> bool {
        let mut all = true;
        for tree in &self.trees {
            all &= remove_tree(&self.path(tree, group));
        }
        all
    }

    /// Kills everything of the cluster, waits until it has ended, and removes all of its groups. Blocks.
    pub(super) fn destroy(&self) -> bool {
        self.drain("");
        for _ in 0..limits::CGROUP_REMOVAL_TRIES {
            if self.remove("") {
                self.give_back();
                return true;
            }
            // Events of the unified tree end the wait early; v1 has none.
            let events = self.trees.iter().find(|tree| tree.unified);
            let events = events.and_then(|tree| fs::File::open(self.path(tree, "cgroup.events")).ok());
            let list: Vec<(RawFd, i16)> = events.iter().map(|f| (f.as_raw_fd(), libc::POLLPRI)).collect();
            let _ = sys::poll(&list, 1);
        }
        false
    }

    /// Kills the processes of a group until none is left, within a bound.
    fn drain(&self, group: &str) {
        const SLICE: u128 = 100;
        let Some(tree) = self.tracker() else { return };
        let path = self.path(tree, group);
        for _ in 0..limits::CGROUP_DRAIN.as_millis() / SLICE {
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

    /// Brings processes back that `prepare` moved to a leaf.
    fn give_back(&self) {
        for tree in self.trees.iter().filter(|tree| tree.unified) {
            let leaf = tree.place.join(format!("{}-host", self.own));
            if leaf.exists() {
                let drop: Vec<String> = tree.controllers.iter().map(|name| format!("-{name}")).collect();
                let _ = write(&tree.place.join("cgroup.subtree_control"), &drop.join(" "));
                move_processes(&leaf, &tree.place);
                let _ = fs::remove_dir(&leaf);
            }
        }
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

fn hand_down(group: &Path, controllers: &[String]) -> io::Result<()> {
    let file = group.join("cgroup.subtree_control");
    let have = fs::read_to_string(&file)?;
    let lacks = |name: &&String| !have.split_whitespace().any(|given| given == *name);
    let more: Vec<String> = controllers.iter().filter(lacks).map(|name| format!("+{name}")).collect();
    if more.is_empty() { Ok(()) } else { write(&file, &more.join(" ")) }
}

fn move_processes(from: &Path, to: &Path) {
    for pid in fs::read_to_string(from.join("cgroup.procs")).unwrap_or_default().lines() {
        let _ = write(&to.join("cgroup.procs"), pid);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mountinfo: &str, membership: &str, expected: &str) {
        let found: Vec<String> = find_trees(mountinfo, membership)
            .iter()
            .map(|tree| {
                let version = if tree.unified { "v2" } else { "v1" };
                format!("{version} {} {}", tree.place.display(), tree.controllers.join(","))
            })
            .collect();
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(found.iter().map(|line| line.trim_end()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn finds_the_hierarchies() {
        check(
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
            "3:cpu,cpuacct:/\n4:memory:/a/b\n0::/",
            "v1 /sys/fs/cgroup/cpu,cpuacct cpu
             v1 /sys/fs/cgroup/memory/a/b memory
             v2 /sys/fs/cgroup/unified",
        );
        check(
            "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate",
            "0::/user.slice/x.scope",
            "v2 /sys/fs/cgroup/user.slice/x.scope",
        );
        // A container without a cgroup namespace of its own.
        check(
            "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
            "4:memory:/docker/1",
            "v1 /sys/fs/cgroup/memory memory",
        );
    }

    #[test]
    fn turns_limits_into_control_files() {
        let limits = Resources {
            cpu_request_millis: Some(250),
            cpu_limit_millis: Some(500),
            memory_limit: Some(1 << 20),
            pids_limit: Some(9),
            oom_score_adj: None,
        };
        let all: Vec<String> = CONTROLLERS.iter().map(|name| name.to_string()).collect();
        let text = |unified| {
            let tree = Tree { place: PathBuf::new(), unified, controllers: all.clone() };
            settings(&tree, &limits).iter().map(|(file, text)| format!("{file}={text};")).collect::<String>()
        };
        let v1 = "cpu.shares=256;cpu.cfs_quota_us=50000;memory.limit_in_bytes=1048576;pids.max=9;";
        assert_eq!(text(false), v1);
        assert_eq!(text(true), "cpu.weight=10;cpu.max=50000 100000;memory.max=1048576;pids.max=9;");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a process to be killed")]
    fn groups_without_a_unified_tree_are_killed_and_removed() {
        if sys::effective_uid() != 0 {
            let test = "groups_without_a_unified_tree_are_killed_and_removed";
            assert!(std::env::var("REQUIRE_ROOT").as_deref() != Ok("1"), "{test} needs root");
            eprintln!("SKIPPED: needs root: {test}");
            return;
        }
        let mut cgroups = Cgroups::find(&format!("test-{}-v1", std::process::id()));
        cgroups.trees.retain(|tree| !tree.unified);
        cgroups.prepare();
        if !cgroups.can_find() {
            return;
        }
        cgroups.create("pod", &Resources::default(), true).unwrap();
        cgroups.create("pod/container", &Resources::default(), false).unwrap();
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        for tree in &cgroups.trees {
            let path = cgroups.path(tree, "pod/container/cgroup.procs");
            fs::write(path, child.id().to_string()).unwrap();
        }
        assert!(!cgroups.remove(""));
        cgroups.kill("pod");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
        assert!(cgroups.destroy());
        assert!(cgroups.trees.iter().all(|tree| !cgroups.path(tree, "").exists()));
    }
}
