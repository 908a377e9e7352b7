//! What there is of one cluster on this machine, asked of the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

fn read(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The links of a cluster: its bridge and its pods' ends, and the ranges that its routes are for.
#[derive(Clone, Debug, Default)]
pub struct Links {
    cluster: String,
    bridge: String,
    group: String,
    /// As `/proc/net/route` writes them.
    ranges: Vec<String>,
}

impl Links {
    /// The links of a living cluster.
    pub fn of(id: &str) -> Links {
        let found = bridges().into_iter().find(|links| links.cluster == id);
        found.unwrap_or_else(|| panic!("cluster {id} has no bridge"))
    }

    fn traces(&self, traces: &mut BTreeSet<String>) {
        for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let group = read(entry.path().join("netdev_group"));
            if name == self.bridge || (!self.group.is_empty() && group.trim() == self.group) {
                traces.insert(format!("link {name}"));
            }
        }
        for line in read("/proc/net/route").lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first() == Some(&self.bridge.as_str()) {
                traces.insert(format!("route {line}"));
            }
        }
    }

    /// Whether the cluster's ranges are routed nowhere, or to another cluster that has them now.
    pub fn ranges_are_free(&self) -> bool {
        let text = read("/proc/net/route");
        let mut routes = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
        routes.all(|to| {
            !self.ranges.iter().any(|range| range == to)
                || bridges().iter().any(|other| other.ranges.iter().any(|range| range == to))
        })
    }
}

/// The links of every living cluster, found by the aliases of their bridges.
fn bridges() -> Vec<Links> {
    let hex = |address: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(address.octets()));
    let links = |entry: fs::DirEntry| {
        let alias = read(entry.path().join("ifalias"));
        let mut words = alias.split_whitespace();
        let cluster = words.next()?.strip_prefix("coracle:")?.to_owned();
        let ranges = words.filter_map(|word| word.strip_prefix("pods=")?.split('/').next());
        Some(Links {
            cluster,
            bridge: entry.file_name().to_string_lossy().into_owned(),
            group: read(entry.path().join("netdev_group")).trim().to_owned(),
            ranges: ranges.filter_map(|range| Some(hex(range.parse().ok()?))).collect(),
        })
    };
    fs::read_dir("/sys/class/net").into_iter().flatten().flatten().filter_map(links).collect()
}

/// The processes of a cluster: the keeper and everything in its cgroups. What has ended and waits for its parent to
/// hear of it is none.
pub fn processes(id: &str) -> BTreeSet<u32> {
    let ours = |pid: &u32| {
        let group = read(format!("/proc/{pid}/cgroup"));
        let title = read(format!("/proc/{pid}/cmdline"));
        let dead =
            read(format!("/proc/{pid}/stat")).rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"));
        if dead {
            return false;
        }
        group.contains(&format!("coracle-{id}")) || (title.starts_with("coracle-") && title.contains(id))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).filter(ours).collect()
}

/// The keeper of a cluster.
pub fn keeper(id: &str) -> u32 {
    let title = |pid: &u32| read(format!("/proc/{pid}/cmdline")).starts_with(&format!("coracle-keeper {id}"));
    let found = processes(id).into_iter().find(title);
    found.unwrap_or_else(|| panic!("cluster {id} has no keeper"))
}

/// Everything that a cluster has on this machine, one line each.
pub fn traces(id: &str, links: &Links) -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    let mounts = read("/proc/self/mountinfo");
    traces.extend(mounts.lines().filter(|line| line.contains(id)).map(|line| format!("mount {line}")));
    traces.extend(processes(id).iter().map(|pid| format!("process {pid}")));
    groups(Path::new("/sys/fs/cgroup"), &format!("coracle-{id}"), 5, &mut traces);
    let tables = coracle::net::tables().unwrap();
    traces.extend(tables.into_iter().filter(|name| name.contains(id)).map(|name| format!("table {name}")));
    if Path::new("/run/coracle").join(id).exists() {
        traces.insert(format!("folder /run/coracle/{id}"));
    }
    links.traces(&mut traces);
    traces
}

fn groups(folder: &Path, name: &str, depth: usize, traces: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(name) {
            traces.insert(format!("cgroup {}", entry.path().display()));
        }
        groups(&entry.path(), name, depth - 1, traces);
    }
}

/// A file of a process's cgroup: under its v1 name or its v2 name, whichever tree this machine has.
pub fn cgroup_file(pid: u32, controller: &str, v1: &str, v2: &str) -> String {
    let groups = read(format!("/proc/{pid}/cgroup"));
    let mut unified = String::new();
    for line in groups.lines() {
        let parts: Vec<&str> = line.splitn(3, ':').collect();
        if parts[1].split(',').any(|name| name == controller) {
            return read(format!("/sys/fs/cgroup/{}{}/{v1}", parts[1], parts[2])).trim().to_owned();
        }
        if parts[0] == "0" {
            unified = parts[2].to_owned();
        }
    }
    read(format!("/sys/fs/cgroup{unified}/{v2}")).trim().to_owned()
}
