//! What the kernel holds of a cluster: links, groups, processes. Asked of the kernel, not of the library.

use std::fs;
use std::path::{Path, PathBuf};

/// What is left of a cluster's pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub links: usize,
    pub groups: usize,
    pub processes: usize,
}

impl Left {
    pub fn is_nothing(self) -> bool {
        self == Left::default()
    }
}

/// Where a cluster is found.
pub struct Traces {
    group: String,
    places: Vec<PathBuf>,
    keeper: u32,
}

impl Traces {
    /// Finds the cluster of this id. Its links share the group of its bridge, whose alias tells the id.
    pub fn of(cluster: &str) -> Option<Traces> {
        let links = || fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let bridge = links().map(|link| link.path()).find(|link| {
            fs::read_to_string(link.join("ifalias")).is_ok_and(|alias| alias.contains(cluster))
        })?;
        let mut places = Vec::new();
        find(Path::new("/sys/fs/cgroup"), &format!("coracle-{cluster}"), 5, &mut places);
        let title = format!("coracle-keeper {cluster}");
        let is_keeper = |pid: &u32| {
            let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            text.starts_with(title.as_bytes())
        };
        Some(Traces { group: link_group(&bridge)?, places, keeper: pids().find(is_keeper)? })
    }

    /// The process that is the parent of all containers.
    pub fn keeper(&self) -> u32 {
        self.keeper
    }

    /// What there is of pods at this moment.
    pub fn left(&self) -> Left {
        let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let links = links.filter(|link| link_group(&link.path()).as_ref() == Some(&self.group)).count();
        let groups = |place: &PathBuf| {
            let entries = fs::read_dir(place).into_iter().flatten().flatten();
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
        };
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.keeper));
        Left {
            // The bridge is the cluster's own.
            links: links.saturating_sub(1),
            groups: self.places.iter().map(groups).sum(),
            processes: children.unwrap_or_default().split_whitespace().count(),
        }
    }
}

fn link_group(link: &Path) -> Option<String> {
    fs::read_to_string(link.join("netdev_group")).ok()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn find(folder: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match entry.file_name() == name {
            true => found.push(entry.path()),
            false => find(&entry.path(), name, depth - 1, found),
        }
    }
}
