//! What happens when the host program or a keeper dies in the middle, and when the host is careless with its children.
//!
//! The host that dies is this very test binary, started again for the test [`scenario`] with the name of what it is
//! to do in the environment.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use coracle::client::DeleteOptions;
use coracle::k8s_openapi::api::core::v1::{Node, Pod};
use coracle::store::Stored;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::machine::{self, Links, keeper, processes};
use crate::rig::{Folder, Rig, assert_nothing_left, can_run, pod, terminated, until};
use crate::wire::get;

const SCENARIO: &str = "CORACLE_TEST_SCENARIO";

/// Not a test of its own: what a child process of another test does.
#[test]
fn scenario() {
    match std::env::var(SCENARIO).as_deref() {
        Ok("wait") => host_that_waits(),
        Ok("busy") => host_that_is_busy(),
        Ok("ignore") => host_that_ignores_its_children(),
        Ok("reap") => host_that_reaps_every_child(),
        Ok("rollout") => crate::network::rollout_in_own_namespace(),
        Ok(other) => panic!("no scenario {other}"),
        Err(_) => {}
    }
}

/// This test binary again, for one scenario.
pub fn command(scenario: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "death::scenario", "--nocapture", "--test-threads=1"]);
    command.env(SCENARIO, scenario).stdin(Stdio::piped());
    command
}

/// A host in a process of its own, killed at the end at the latest.
struct Host {
    child: Child,
    lines: BufReader<ChildStdout>,
    id: String,
    links: Links,
    /// Where it keeps its files, since it may have no time to remove them.
    _folder: Folder,
}

impl Host {
    /// Starts a host, and waits until it says that its pods run, or that it is about to start them.
    fn start(scenario: &str) -> Host {
        let folder = Folder::new(scenario);
        let mut command = command(scenario);
        command.env("TMPDIR", folder.path()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let id = loop {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the host ended before its pods ran");
            if let Some((_, id)) = line.split_once("RUNNING ") {
                break id.trim().to_owned();
            }
        };
        let links = Links::of(&id);
        Host { child, lines, id, links, _folder: folder }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn kill_keeper(&self) {
        kill(Pid::from_raw(keeper(&self.id) as i32), Signal::SIGKILL).unwrap();
    }

    /// Lets the host go on, which looks at what became of its pods and ends.
    fn go_on(&mut self) {
        drop(self.child.stdin.take());
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap_or(0) > 0 {}
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{line}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WEB: &str = "mkdir /page; echo I live > /page/index.html; exec httpd -f -p 8080 -h /page";

const MANY: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: many, labels: {app: many}}, spec: {replicas: 3, selector: {matchLabels: {app: many}}, template: {metadata: {labels: {app: many}}, spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: BUSYBOX, command: [sleep, '100000']}]}}}}";

/// A pod that serves, and its Service.
fn serve(rig: &Rig) -> std::net::SocketAddr {
    rig.apply("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}");
    rig.apply(&pod("web", WEB, "", ""));
    rig.ready("web");
    let target = rig.service("web", 80);
    until("the Service answers", || get(target).ok());
    target
}

/// Runs pods, says so, and waits until its input ends; then its pods must run, again or still.
fn host_that_waits() {
    let Some(rig) = Rig::start("host_that_waits") else { return };
    let target = serve(&rig);
    let mounts = "volumeMounts: [{name: m, mountPath: /m}]\nresources: {limits: {memory: 32Mi}}";
    rig.apply(&pod(
        "holder",
        "trap '' TERM; while :; do sleep 1; done",
        mounts,
        "volumes: [{name: m, emptyDir: {medium: Memory}}]",
    ));
    rig.ready("holder");
    rig.script("once", "exec sleep 100000", "restartPolicy: Never");
    rig.ready("once");
    rig.apply(MANY);
    rig.available("many");
    let before = processes(&rig.id);
    println!("RUNNING {}", rig.id);
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap_or(0) > 0 {}
    all_is_back(&rig, &before);
    assert_eq!(get(target).unwrap(), "I live");
    rig.end();
    assert_eq!(nix::sys::wait::wait(), Err(nix::errno::Errno::ECHILD), "a child of the host is left");
}

/// Makes and removes pods without end.
fn host_that_is_busy() {
    let Some(rig) = Rig::start("host_that_is_busy") else { return };
    println!("RUNNING {}", rig.id);
    let pods = rig.client.namespaced::<Pod>("default");
    for turn in 0.. {
        for number in 0..4 {
            let mounts = "volumeMounts: [{name: m, mountPath: /m}]";
            let volumes = "volumes: [{name: m, emptyDir: {medium: Memory}}]";
            rig.apply(&pod(&format!("pod-{turn}-{number}"), "exec sleep 100000", mounts, volumes));
        }
        let some = |pods: &[Stored<Pod>]| {
            pods.iter().any(|pod| crate::rig::is_ready(&serde_json::to_value(&**pod).unwrap()))
        };
        pods.wait("", some, crate::rig::PATIENCE).unwrap();
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        pods.delete_collection(&Default::default(), &now).unwrap();
    }
}

/// The keeper was killed: another has taken its place, and the pods run again as after a reboot of the node.
fn all_is_back(rig: &Rig, before: &BTreeSet<u32>) {
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64();
    let again = |pod: &Value| crate::rig::is_ready(pod) && restarts(pod) == Some(1);
    for name in ["web", "holder"] {
        let pod = rig.pod_when(name, "runs again", again);
        let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
        assert_eq!(
            (&last["exitCode"], &last["reason"]),
            (&json!(137), &json!("ContainerStatusUnknown")),
            "{pod}"
        );
    }
    let pods = rig.client.namespaced::<Pod>("default");
    let many = |pods: &[Stored<Pod>]| {
        pods.len() == 3 && pods.iter().all(|pod| again(&serde_json::to_value(&**pod).unwrap()))
    };
    pods.wait("app=many", many, crate::rig::PATIENCE).unwrap();
    rig.available("many");
    assert_eq!(terminated(&rig.phase("once", "Failed"), "main")["exitCode"], json!(137));
    let nodes = rig.client.all::<Node>();
    until("the node is ready again", || {
        let node = serde_json::to_value(&*nodes.get("node-1").unwrap()).unwrap();
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    let left: Vec<_> = processes(&rig.id).intersection(before).copied().collect();
    assert!(left.is_empty(), "{left:?} outlived the keeper");
}

fn assert_all_ended(id: &str) {
    until(&format!("no process of {id} is left"), || processes(id).is_empty().then_some(()));
}

#[test]
fn a_host_that_is_killed_leaves_nothing_that_the_next_start_does_not_sweep() {
    let Some(neighbour) = Rig::start("a_host_that_is_killed") else { return };
    let target = serve(&neighbour);
    let mut host = Host::start("wait");
    assert!(processes(&host.id).len() > 2);
    host.kill();
    // The keeper ends the pods by itself.
    assert_all_ended(&host.id);
    assert_eq!(get(target).unwrap(), "I live");
    Rig::start("the_next_start").unwrap().end();
    until("another start has swept", || machine::traces(&host.id, &host.links).is_empty().then_some(()));
    assert_eq!(get(target).unwrap(), "I live", "the neighbour is not touched");
    neighbour.exec("web", "main", "true");
    neighbour.end();
}

#[test]
fn a_host_that_is_killed_while_it_makes_pods_leaves_nothing_that_the_next_start_does_not_sweep() {
    if !can_run("a_host_that_is_killed_while_it_makes_pods") {
        return;
    }
    for turn in 0..4 {
        let mut host = Host::start("busy");
        // Somewhere in the middle, each time elsewhere.
        until("pods are being made", || (processes(&host.id).len() > 1 + turn).then_some(()));
        if turn % 2 == 0 {
            host.kill();
        } else {
            host.kill_keeper();
            host.kill();
        }
        Rig::start("the_next_start_after_a_busy_host").unwrap().end();
        assert_all_ended(&host.id);
        // The keeper may have held the lock while that one started.
        Rig::start("the_start_after_next").unwrap().end();
        assert_nothing_left(&host.id, &host.links);
    }
}

#[test]
fn a_host_and_its_keeper_that_are_killed_leave_nothing_that_the_next_start_does_not_sweep() {
    let Some(neighbour) = Rig::start("a_host_and_its_keeper_that_are_killed") else { return };
    let target = serve(&neighbour);
    let mut host = Host::start("wait");
    // Stopped first, so that it cannot act on the death of the other.
    kill(Pid::from_raw(host.child.id() as i32), Signal::SIGSTOP).unwrap();
    host.kill_keeper();
    host.kill();
    Rig::start("the_next_start_after_both").unwrap().end();
    assert_all_ended(&host.id);
    assert_nothing_left(&host.id, &host.links);
    assert_eq!(get(target).unwrap(), "I live", "the neighbour is not touched");
    neighbour.end();
}

#[test]
fn a_keeper_that_is_killed_is_replaced_and_its_pods_run_again() {
    if !can_run("a_keeper_that_is_killed_is_replaced_and_its_pods_run_again") {
        return;
    }
    let mut host = Host::start("wait");
    host.kill_keeper();
    host.go_on();
    assert_all_ended(&host.id);
    assert_nothing_left(&host.id, &host.links);
}

/// Pods that end in every way, and what is told of them.
fn exit_codes_are_right() {
    let Some(rig) = Rig::start("exit_codes_are_right") else { return };
    for code in [0, 3, 77] {
        rig.script(&format!("exit-{code}"), &format!("exit {code}"), "restartPolicy: Never");
    }
    rig.script("shot", "exec sleep 100000", "restartPolicy: Never");
    rig.ready("shot");
    let (code, said) = rig.exec("shot", "main", "echo heard; exit 5");
    assert_eq!((code, said.as_str()), (5, "heard"));
    kill(Pid::from_raw(rig.pid("shot", "main") as i32), Signal::SIGKILL).unwrap();
    for (name, phase, code) in [
        ("exit-0", "Succeeded", 0),
        ("exit-3", "Failed", 3),
        ("exit-77", "Failed", 77),
        ("shot", "Failed", 137),
    ] {
        assert_eq!(terminated(&rig.phase(name, phase), "main")["exitCode"], json!(code), "{name}");
    }
    rig.end();
}

fn host_that_ignores_its_children() {
    // SAFETY: no handler is set, only the kernel's own way to ignore.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
    exit_codes_are_right();
}

fn host_that_reaps_every_child() {
    std::thread::spawn(|| {
        loop {
            if nix::sys::wait::wait().is_err() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    exit_codes_are_right();
}

#[test]
fn a_host_that_ignores_its_children_gets_right_exit_codes() {
    if can_run("a_host_that_ignores_its_children_gets_right_exit_codes") {
        assert!(command("ignore").status().unwrap().success());
    }
}

#[test]
fn a_host_that_reaps_every_child_gets_right_exit_codes() {
    if can_run("a_host_that_reaps_every_child_gets_right_exit_codes") {
        assert!(command("reap").status().unwrap().success());
    }
}
