//! Pods through a whole cluster: one after the other, many at once, and gone.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use coracle::client::{Api, DeleteOptions, Event, WatchParams};
use coracle::cluster::Cluster;
use coracle::k8s_openapi::api::core::v1::{self as k8s, Pod};
use coracle::node::runtime::{ContainerId, ContainerState, Runtime};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use serde_json::json;

use crate::figures::{Options, Outcome, millis, percentile, spread};
use crate::floor::Floor;
use crate::kernel::Traces;
use crate::{peer, rest};

const PATIENCE: Duration = Duration::from_secs(20);
/// How many rounds a floor is the median of, each time that it is asked.
const ROUNDS: usize = 50;

/// What the pods run: nothing, until SIGTERM.
pub fn hold() -> i32 {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    let _ = signals.thread_block();
    // Never called, since the signal is waited for; the bench sees by it that the program has come so far.
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    let _ = unsafe { sigaction(Signal::SIGTERM, &action) };
    let _ = signals.wait();
    0
}

/// Every measure, in order.
pub fn measure(options: &Options, floor: &mut Floor) -> Outcome<()> {
    let mut starts = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let cluster = Cluster::builder().node("bench").start()?;
        starts.push(began.elapsed());
        cluster.shutdown()?;
    }
    println!("start until the node is Ready: {}, first {:.2} ms", spread(&starts), millis(starts[0]));
    let cluster = Cluster::builder().node("bench").start()?;
    let node = cluster.linux_node().ok_or("the cluster has no node")?;
    let traces = Traces::of(node.cluster_id()).ok_or("the kernel shows nothing of the cluster")?;
    rest::print(traces.keeper(), options.ballast, options.rest);

    let pods = Bench { cluster: &cluster, pods: cluster.client().namespaced("default"), traces: &traces };
    // The image of the own executable is made when it is first asked for.
    let began = Instant::now();
    pods.create("first")?;
    pods.until_running(["first".to_owned()].into())?;
    println!("the very first pod, with making its image: {:.2} ms", millis(began.elapsed()));
    pods.delete_all()?;

    let mut floors = floor.measure(ROUNDS)?;
    let times = pods.one_by_one(options.pods)?;
    pods.delete_all()?;
    floors.extend(floor.measure(ROUNDS)?);
    let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
    let lowest = percentile(&floors, 50);
    println!("floor: {}", spread(&floors));
    println!(
        "until Running: p50 {:.2} p99 {:.2} ms, floor p50 {:.2} ms, ratio {:.2}",
        millis(p50),
        millis(p99),
        millis(lowest),
        p50.as_secs_f64() / lowest.as_secs_f64()
    );

    for _ in 0..2 {
        let began = Instant::now();
        let names: BTreeSet<String> = (0..options.pods).map(|number| format!("many-{number}")).collect();
        names.iter().try_for_each(|name| pods.create(name))?;
        pods.until_running(names)?;
        println!("{} pods at once until all are Running: {:.0} ms", options.pods, millis(began.elapsed()));
        let (all, after_processes) = pods.delete_all()?;
        println!(
            "{} pods deleted at once until nothing is left: {:.0} ms, {:.0} ms after their last process ended",
            options.pods,
            millis(all),
            millis(after_processes)
        );
    }
    rest::print(traces.keeper(), options.ballast, Duration::from_secs(1));
    let began = Instant::now();
    cluster.shutdown()?;
    println!("end of the cluster: {:.2} ms", millis(began.elapsed()));
    peer::print()
}

struct Bench<'a> {
    cluster: &'a Cluster,
    pods: Api<Pod>,
    traces: &'a Traces,
}

fn is_running(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    status.is_some_and(|status| status.phase.as_deref() == Some("Running") && status.pod_ip.is_some())
}

impl Bench<'_> {
    fn create(&self, name: &str) -> Outcome<()> {
        let pod = json!({
            "metadata": {"name": name, "labels": {"app": "bench"}},
            "spec": {"containers": [{
                "name": "main",
                "image": "coracle.local/self:latest",
                "args": ["--coracle-entry=hold"],
            }]},
        });
        self.pods.create(&serde_json::from_value(pod)?)?;
        Ok(())
    }

    /// Waits until a watcher has all of these Running with an address.
    fn until_running(&self, mut names: BTreeSet<String>) -> Outcome<()> {
        let mut watch = self.pods.watch(WatchParams::default())?;
        let began = Instant::now();
        while !names.is_empty() {
            let event = watch.next_within(PATIENCE.saturating_sub(began.elapsed()))?;
            match event.ok_or_else(|| self.explain())? {
                Event::Added(pod) | Event::Modified(pod) if is_running(&pod) => {
                    names.remove(pod.name());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Why pods did not become Running in time: what the cluster warns of.
    fn explain(&self) -> String {
        let events = self.cluster.client().all::<k8s::Event>().list(&Default::default());
        let events = events.map(|list| list.items).unwrap_or_default();
        let warnings = events.iter().filter(|event| event.type_.as_deref() == Some("Warning"));
        let told = warnings.take(3).filter_map(|event| event.message.as_deref());
        format!("pods did not become Running in time: {}", told.collect::<Vec<_>>().join("; "))
    }

    fn one_by_one(&self, count: usize) -> Outcome<Vec<Duration>> {
        let mut watch = self.pods.watch(WatchParams::default())?;
        let mut times = Vec::new();
        for number in 0..count {
            let name = format!("one-{number}");
            let began = Instant::now();
            self.create(&name)?;
            loop {
                let event = watch.next_within(PATIENCE)?.ok_or_else(|| self.explain())?;
                let (Event::Added(pod) | Event::Modified(pod)) = event else { continue };
                if pod.name() == name && is_running(&pod) {
                    break;
                }
            }
            times.push(began.elapsed());
        }
        Ok(times)
    }

    /// The first processes of all containers.
    fn processes(&self) -> Outcome<Vec<OwnedFd>> {
        let node = self.cluster.linux_node().ok_or("the cluster has no node")?;
        let mut processes = Vec::new();
        for pod in self.pods.list(&Default::default())?.items {
            let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
            for id in statuses.filter_map(|status| status.container_id.as_deref()) {
                let id = ContainerId(id.trim_start_matches("coracle://").to_owned());
                if let ContainerState::Running { pid, .. } = node.runtime().state(&id)? {
                    let began = Instant::now();
                    while !takes_signals(pid) && began.elapsed() < PATIENCE {
                        thread::sleep(Duration::from_millis(1));
                    }
                    processes.push(open_process(pid)?);
                }
            }
        }
        Ok(processes)
    }

    /// Deletes every pod; how long until nothing is left of them, in all and since the last process ended.
    fn delete_all(&self) -> Outcome<(Duration, Duration)> {
        let processes = self.processes()?;
        let began = Instant::now();
        let ends = thread::spawn(move || {
            for process in &processes {
                let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut ended, PollTimeout::NONE);
            }
            Instant::now()
        });
        for pod in self.pods.list(&Default::default())?.items {
            self.pods.delete(pod.name(), &DeleteOptions::default())?;
        }
        self.pods.wait("", coracle::client::conditions::gone(), PATIENCE)?;
        while !self.traces.left().is_nothing() {
            if began.elapsed() > PATIENCE {
                return Err(format!("still there: {:?}", self.traces.left()).into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        let now = Instant::now();
        let ended = ends.join().map_err(|_| "the thread that watches processes panicked")?;
        Ok((now - began, now - ended))
    }
}

/// Whether a program has come to where it waits for SIGTERM: the first process of a PID namespace does not get one before.
fn takes_signals(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (libc::SIGTERM - 1)) != 0
}

fn open_process(pid: u32) -> std::io::Result<OwnedFd> {
    // SAFETY: a plain call; what it gives is new and ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(std::os::fd::FromRawFd::from_raw_fd(fd as i32))
    }
}
