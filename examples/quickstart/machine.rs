//! What there is of clusters on this machine: mounts, links, routes, processes, cgroups, nftables tables. Asked of the
//! kernel, not of the library.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Everything that a cluster could have left, one line each.
pub fn traces() -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    for line in read("/proc/self/mountinfo").lines() {
        traces.extend(line.split(' ').nth(4).map(|place| format!("mount {place}")));
    }
    for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
        traces.insert(format!("link {}", entry.file_name().to_string_lossy()));
    }
    for file in ["/proc/net/route", "/proc/net/ipv6_route"] {
        for line in read(file).lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let device = words.first().filter(|_| file.ends_with("/route")).or(words.last());
            traces.extend(device.map(|device| format!("route {} by {device}", words[..2].join(" "))));
        }
    }
    let own = fs::read_link("/proc/self/exe").ok();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let number = name.parse::<u32>();
        let ours = fs::read_link(entry.path().join("exe")).ok() == own || {
            let title = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&title).contains("coracle-")
        };
        if number.is_ok_and(|number| number != std::process::id()) && ours {
            traces.insert(format!("process {name}"));
        }
    }
    groups(Path::new("/sys/fs/cgroup"), 4, &mut traces);
    match coracle::net::tables() {
        Ok(tables) => traces.extend(tables.into_iter().map(|table| format!("nftables table {table}"))),
        Err(cause) => drop(traces.insert(format!("nftables: {cause}"))),
    }
    for entry in fs::read_dir("/run/coracle").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // The numbered lock files of address ranges stay, as lock files do.
        if name != "slots" {
            traces.insert(format!("folder /run/coracle/{name}"));
        }
    }
    traces
}

fn groups(folder: &Path, depth: usize, traces: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains("coracle") {
            traces.insert(format!("cgroup {}", entry.path().display()));
        }
        groups(&entry.path(), depth - 1, traces);
    }
}
