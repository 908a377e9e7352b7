//! What the kernel says about containers: needs root, and asks `/proc`, the cgroup tree and the mount table.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::*;
use super::{LinuxConfig, LinuxRuntime, OnHostExit, WritableLayers, sys};
use crate::world::{Clock, SystemClock, World};

mod lifecycle;
mod security;
mod speed;

/// A folder, an image of busybox in it, and a runtime, all of which are gone afterwards.
pub(super) struct Machine {
    pub(super) folder: PathBuf,
    pub(super) cluster: String,
    pub(super) runtime: LinuxRuntime,
    pub(super) events: crossbeam_channel::Receiver<RuntimeEvent>,
}

/// A new folder and cluster id, and the folder's image.
pub(super) fn prepare(test: &str) -> Option<(PathBuf, String)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if sys::effective_uid() != 0 {
        assert!(std::env::var("REQUIRE_ROOT").as_deref() != Ok("1"), "{test} needs root");
        eprintln!("SKIPPED: needs root: {test}");
        return None;
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let cluster = format!("test-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(format!("coracle-{cluster}"));
    let layer = folder.join("layer");
    for part in ["bin", "etc", "tmp", "home"] {
        fs::create_dir_all(layer.join(part)).unwrap();
    }
    fs::copy("/bin/busybox", layer.join("bin/busybox")).expect("needs Debian's busybox-static");
    for name in ["sh", "sleep", "cat", "echo", "id", "true", "false", "ls", "hostname", "kill", "grep"] {
        let _ = std::os::unix::fs::symlink("busybox", layer.join("bin").join(name));
    }
    fs::write(layer.join("bin/data"), "not a program").unwrap();
    fs::write(layer.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/home:/bin/sh\n").unwrap();
    fs::write(layer.join("etc/group"), "root:x:0:\nwww:x:34:\nlog:x:40:web\n").unwrap();
    Some((folder, cluster))
}

/// Whether a test of users and privileges must be left out: with one id mapped they cannot be had.
pub(super) fn skip_in_user_namespace(test: &str) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let skip = map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"];
    if skip {
        eprintln!("SKIPPED: in a user namespace: {test}");
    }
    skip
}

pub(super) fn config(folder: &Path, cluster: &str) -> LinuxConfig {
    LinuxConfig {
        cluster_id: cluster.to_owned(),
        node_name: "node-1".to_owned(),
        state_dir: folder.join("state"),
        on_host_exit: OnHostExit::EndAll,
        writable_layers: WritableLayers::default(),
    }
}

impl Machine {
    pub(super) fn new(test: &str) -> Option<Machine> {
        Machine::with(test, WritableLayers::default())
    }

    pub(super) fn with(test: &str, writable_layers: WritableLayers) -> Option<Machine> {
        let (folder, cluster) = prepare(test)?;
        let config = LinuxConfig { writable_layers, ..config(&folder, &cluster) };
        let runtime = LinuxRuntime::start(&config, &World::real()).unwrap();
        let (sender, events) = crossbeam_channel::unbounded();
        runtime.subscribe(Box::new(move |event| drop(sender.send(event))));
        Some(Machine { folder, cluster, runtime, events })
    }

    pub(super) fn sandbox(&self, id: &str) -> SandboxSpec {
        SandboxSpec {
            id: id.to_owned(),
            pod: format!("default/{id}"),
            hostname: format!("host-of-{id}"),
            ..SandboxSpec::default()
        }
    }

    pub(super) fn run_sandbox(&self, id: &str) -> SandboxId {
        self.runtime.run_sandbox(&self.sandbox(id)).unwrap().id
    }

    /// A container that runs a shell script.
    pub(super) fn script(&self, name: &str, script: &str) -> ContainerSpec {
        let command = ["sh", "-c", script].map(String::from).to_vec();
        container(&self.folder, name, command)
    }

    pub(super) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap()
    }

    /// The texts of the log's lines, without time, stream and tag.
    pub(super) fn output(&self, name: &str) -> String {
        let text = |line: &str| line.splitn(4, ' ').nth(3).unwrap_or("").to_owned() + "\n";
        self.log(name).lines().map(text).collect()
    }

    pub(super) fn exit(&self, of: &ContainerId) -> Exit {
        loop {
            match self.events.recv_timeout(Duration::from_secs(20)).expect("an exit") {
                RuntimeEvent::Exited { container, exit, .. } if container == *of => return exit,
                RuntimeEvent::Exited { .. } => {}
                RuntimeEvent::Lost { reason } => panic!("lost: {reason}"),
            }
        }
    }

    /// Runs a container to its end.
    pub(super) fn run(&self, sandbox: &SandboxId, spec: &ContainerSpec) -> Exit {
        let id = self.runtime.start_container(sandbox, spec).unwrap();
        self.exit(&id)
    }
}

pub(super) fn container(folder: &Path, name: &str, command: Vec<String>) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        attempt: 0,
        rootfs: Rootfs::Layers(vec![folder.join("layer")]),
        command,
        env: Vec::new(),
        working_dir: String::new(),
        mounts: Vec::new(),
        resources: Resources::default(),
        security: Security::default(),
        log_path: folder.join(format!("{name}.log")),
        termination_message_path: "/dev/termination-log".to_owned(),
        stop_signal: libc::SIGTERM,
    }
}

/// Everything of a cluster that the kernel still knows.
pub(super) fn left_behind(folder: &Path, cluster: &str) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        // A zombie waits for init only.
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if status.contains("State:\tZ") || status.contains("State:\tX") {
            continue;
        }
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let ours = line.starts_with("coracle-") && line.contains(cluster);
        if ours || groups.contains(&format!("/coracle-{cluster}/")) {
            left.push(format!("process {} {line}", entry.path().display()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    left.extend(mounts.lines().filter(|line| line.contains(cluster)).map(|line| format!("mount {line}")));
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(path) = folders.pop() {
        let below = fs::read_dir(&path).into_iter().flatten().flatten();
        folders.extend(below.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
        if path.ends_with(format!("coracle-{cluster}")) {
            left.push(format!("cgroup {}", path.display()));
        }
    }
    if folder.join("state").join(cluster).exists() {
        left.push("its state folder".to_owned());
    }
    left
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.runtime.shutdown();
        let left = left_behind(&self.folder, &self.cluster);
        let _ = fs::remove_dir_all(&self.folder);
        if !std::thread::panicking() {
            assert_eq!(left, Vec::<String>::new());
        }
    }
}

#[test]
fn a_full_socket_is_told_once_it_has_room() {
    use std::os::fd::AsFd;
    let (ours, theirs) = super::packets::pair().unwrap();
    let epoll = sys::Epoll::new().unwrap();
    epoll.add(ours.as_fd(), libc::EPOLLIN, 1).unwrap();
    let bytes = vec![0; crate::limits::KEEPER_PACKET_BYTES];
    while super::packets::send(ours.as_fd(), &bytes, &[], false).is_ok() {}
    assert!(epoll.wait(0).unwrap().is_empty());
    epoll.change(ours.as_fd(), libc::EPOLLIN | libc::EPOLLOUT, 1).unwrap();
    assert!(epoll.wait(0).unwrap().is_empty(), "no room, no wake-up");
    let mut buffer = vec![0; bytes.len()];
    while super::packets::receive(theirs.as_fd(), &mut buffer, false).is_ok() {}
    assert_eq!(epoll.wait(0).unwrap(), [1]);
    super::packets::send(ours.as_fd(), &bytes, &[], false).unwrap();
    epoll.change(ours.as_fd(), libc::EPOLLIN, 1).unwrap();
    assert!(epoll.wait(0).unwrap().is_empty());
}
