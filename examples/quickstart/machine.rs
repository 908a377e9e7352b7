//! What there is of one cluster on this machine: mounts, links, routes, processes, cgroups, nftables tables. Asked of
//! the kernel, not of the library, and of no other cluster: several may run at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// By what the things of a cluster are known in the kernel.
pub struct Marks {
    id: String,
    /// Its bridge, and the group of its links.
    bridge: Option<(String, String)>,
    /// This program has its processes and mounts to itself: everything there is ours.
    alone: bool,
}

fn read(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).trim().to_owned()
}

fn names(folder: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

impl Marks {
    /// Those of a cluster that runs.
    pub fn of(id: &str, alone: bool) -> Marks {
        let link = |name: &str, what: &str| read(format!("/sys/class/net/{name}/{what}"));
        let is_ours =
            |name: &String| link(name, "ifalias").split(' ').next() == Some(format!("coracle:{id}").as_str());
        let bridge = names("/sys/class/net").find(is_ours);
        let bridge = bridge.map(|name| (name.clone(), link(&name, "netdev_group")));
        Marks { id: id.to_owned(), bridge, alone }
    }

    /// Everything that there is of the cluster, one line each.
    pub fn traces(&self) -> BTreeSet<String> {
        let mut traces = BTreeSet::new();
        for line in read("/proc/self/mountinfo").lines().filter(|line| line.contains(&self.id)) {
            traces.extend(line.split(' ').nth(4).map(|place| format!("mount {place}")));
        }
        if let Some((bridge, group)) = &self.bridge {
            links(bridge, group, &mut traces);
        }
        for pid in names("/proc").filter_map(|name| name.parse::<u32>().ok()).filter(|pid| self.owns(*pid)) {
            traces.insert(format!("process {pid}"));
        }
        groups(Path::new("/sys/fs/cgroup"), &format!("coracle-{}", self.id), 4, &mut traces);
        match coracle::net::tables() {
            Ok(tables) => {
                let ours = tables.into_iter().filter(|table| table.contains(&self.id));
                traces.extend(ours.map(|table| format!("nftables table {table}")));
            }
            Err(cause) => drop(traces.insert(format!("nftables: {cause}"))),
        }
        if Path::new("/run/coracle").join(&self.id).exists() {
            traces.insert(format!("folder /run/coracle/{}", self.id));
        }
        traces
    }

    /// Whether a process is the keeper or in a pod. What has ended and waits for its parent to hear of it is none.
    fn owns(&self, pid: u32) -> bool {
        let stat = read(format!("/proc/{pid}/stat"));
        if pid == std::process::id() || stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")) {
            return false;
        }
        let title = read(format!("/proc/{pid}/cmdline"));
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
        title.starts_with("coracle-") && title.contains(&self.id)
            || read(format!("/proc/{pid}/cgroup")).contains(&format!("coracle-{}", self.id))
            // The first process of private namespaces is ours too, and stays with us.
            || self.alone && pid != 1 && exe.is_some() && exe == fs::read_link("/proc/self/exe").ok()
    }
}

fn links(bridge: &str, group: &str, traces: &mut BTreeSet<String>) {
    for name in names("/sys/class/net") {
        if name == bridge || read(format!("/sys/class/net/{name}/netdev_group")) == group {
            traces.insert(format!("link {name}"));
        }
    }
    for file in ["/proc/net/route", "/proc/net/ipv6_route"] {
        for line in read(file).lines().filter(|line| line.split_whitespace().any(|word| word == bridge)) {
            traces.insert(format!("route {line}"));
        }
    }
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
