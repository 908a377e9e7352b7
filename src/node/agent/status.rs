//! How a pod is, as its status tells: containers, phase, conditions.
//!
//! Pure, and exact: the same rules, reasons and sentences as upstream's kubelet, since controllers and people read
//! them.
//!
//! Invariant: a phase that ended (Succeeded, Failed) is never left, and conditions of others are kept.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus, VolumeMountStatus,
};

use super::pod::{
    ID_SCHEME, Life, PodRun, PostStart, Role, STATUS_UNKNOWN, STATUS_UNKNOWN_MESSAGE, Stage, Track, seconds,
};
use super::resources::{is_sidecar, qos};
use super::restart::should_restart;

const OWN_CONDITIONS: [&str; 5] =
    ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

fn waiting(reason: &str, message: &str) -> ContainerState {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ContainerState {
        waiting: Some(ContainerStateWaiting { reason: text(reason), message: text(message) }),
        ..ContainerState::default()
    }
}

fn terminated(end: &ContainerStateTerminated) -> ContainerState {
    ContainerState { terminated: Some(end.clone()), ..ContainerState::default() }
}

/// The state and the last state of a container.
fn states(track: &Track, has_inits: bool) -> (ContainerState, ContainerState) {
    let last = track.last.as_ref().map(terminated).unwrap_or_default();
    let ended = track.ended.as_ref().map(terminated);
    let default_reason = if has_inits { "PodInitializing" } else { "ContainerCreating" };
    match &track.life {
        Life::Live { hook, .. } if *hook != PostStart::Done => (waiting(default_reason, ""), last),
        Life::Live { started, .. } | Life::Stopping { started, .. } => {
            let running = ContainerStateRunning { started_at: Some(seconds(*started)) };
            (ContainerState { running: Some(running), ..ContainerState::default() }, last)
        }
        Life::Exited { exit, .. } | Life::Collecting { exit, .. } => {
            let running = ContainerStateRunning { started_at: Some(seconds(exit.started)) };
            (ContainerState { running: Some(running), ..ContainerState::default() }, last)
        }
        Life::Idle { .. } | Life::Wanting | Life::Pulling(_) | Life::Starting(_) => {
            match (&track.trouble, ended) {
                (Some(trouble), ended) => (waiting(&trouble.reason, &trouble.message), ended.unwrap_or(last)),
                (None, Some(ended)) => (ended, last),
                (None, None) => (waiting(default_reason, ""), last),
            }
        }
    }
}

fn mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let status = mounts.iter().map(|mount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only,
        recursive_read_only: mount.read_only.unwrap_or(false).then(|| "Disabled".to_owned()),
        ..VolumeMountStatus::default()
    });
    Some(status.collect())
}

/// The status of one container.
pub(super) fn container_status(track: &Track, has_inits: bool) -> ContainerStatus {
    let (state, last_state) = states(track, has_inits);
    let started = match track.role {
        Role::Init => state.running.is_some(),
        _ => track.is_started() && state.running.is_some(),
    };
    let seen = track.id.is_some();
    let resources = track.spec.resources.clone().filter(|_| seen);
    ContainerStatus {
        name: track.spec.name.clone(),
        image: track.spec.image.clone().unwrap_or_default(),
        image_id: track.image_id.clone(),
        container_id: track.id.as_ref().map(|id| format!("{ID_SCHEME}{}", id.0)),
        ready: match track.role {
            Role::Init => state.terminated.as_ref().is_some_and(|end| end.exit_code == 0),
            _ => started && track.is_ready(),
        },
        restart_count: i32::try_from(track.restarts()).unwrap_or(i32::MAX),
        started: Some(started),
        state: Some(state),
        last_state: Some(last_state),
        allocated_resources: resources.as_ref().and_then(|resources| resources.requests.clone()),
        resources,
        volume_mounts: mounts(&track.spec),
        ..ContainerStatus::default()
    }
}

fn find<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name)
}

/// How the containers of a pod stand, counted.
#[derive(Default)]
struct Counts {
    pending_inits: u32,
    pending_sidecars: u32,
    failed_for_good: u32,
    unknown: u32,
    running: u32,
    waiting: u32,
    stopped: u32,
    stopped_for_good: u32,
    succeeded: u32,
}

impl Counts {
    fn init(&mut self, policy: &str, container: &Container, status: Option<&ContainerStatus>) {
        let state = status.and_then(|status| status.state.clone()).unwrap_or_default();
        let last = status.and_then(|status| status.last_state.clone()).and_then(|last| last.terminated);
        let end = match (state.terminated, state.waiting) {
            (Some(end), _) => Some(end),
            (None, Some(_)) => last,
            (None, None) => None,
        };
        match end {
            Some(end) if end.exit_code != 0 => {
                if !should_restart(policy, container, end.exit_code) {
                    self.failed_for_good += 1;
                }
            }
            Some(_) => {}
            None => self.pending_inits += 1,
        }
    }

    fn sidecar(&mut self, status: Option<&ContainerStatus>) {
        let Some(status) = status else {
            self.unknown += 1;
            return;
        };
        let state = status.state.clone().unwrap_or_default();
        let has_last = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
        if state.running.is_some() {
            if status.started != Some(true) {
                self.pending_sidecars += 1;
            }
            self.running += 1;
        } else if state.terminated.is_none() && state.waiting.is_some() && !has_last {
            self.pending_sidecars += 1;
            self.waiting += 1;
        } else if state.terminated.is_none() && state.waiting.is_none() {
            self.pending_sidecars += 1;
            self.unknown += 1;
        }
    }

    fn main(&mut self, policy: &str, container: &Container, status: Option<&ContainerStatus>) {
        let state = status.and_then(|status| status.state.clone()).unwrap_or_default();
        let last = status.and_then(|status| status.last_state.clone()).and_then(|last| last.terminated);
        if state.running.is_some() {
            self.running += 1;
        } else if let Some(end) = state.terminated {
            self.stopped += 1;
            self.stopped_for_good += u32::from(!should_restart(policy, container, end.exit_code));
            self.succeeded += u32::from(end.exit_code == 0);
        } else if state.waiting.is_some() {
            match last {
                Some(end) => {
                    self.stopped += 1;
                    self.stopped_for_good += u32::from(!should_restart(policy, container, end.exit_code));
                }
                None => self.waiting += 1,
            }
        } else {
            self.unknown += 1;
        }
    }
}

/// The phase of a pod whose containers have these statuses. `terminal`: none of them will run again, whatever its
/// policy says. `initialized`: one of the pod's containers has run.
pub(super) fn phase(
    pod: &Pod,
    statuses: &[ContainerStatus],
    terminal: bool,
    initialized: bool,
    is_static: bool,
) -> &'static str {
    let Some(spec) = &pod.spec else { return "Pending" };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let mut counts = Counts::default();
    for container in spec.init_containers.iter().flatten() {
        let status = find(statuses, &container.name);
        match is_sidecar(container) {
            true => counts.sidecar(status),
            false => counts.init(policy, container, status),
        }
    }
    for container in &spec.containers {
        counts.main(policy, container, find(statuses, &container.name));
    }
    if counts.failed_for_good > 0 {
        return "Failed";
    }
    if counts.pending_inits > 0 || (counts.pending_sidecars > 0 && !initialized) || counts.waiting > 0 {
        return "Pending";
    }
    let ended = |all: bool| if all { "Succeeded" } else { "Failed" };
    match (counts.running, counts.stopped, counts.unknown) {
        (1.., _, 0) => "Running",
        (0, 1.., 0) if terminal && !is_static => ended(counts.stopped == counts.succeeded),
        (0, 1.., 0) if counts.stopped != counts.stopped_for_good => "Running",
        (0, 1.., 0) => ended(counts.stopped == counts.succeeded),
        _ => "Pending",
    }
}

fn condition(kind: &str, good: bool, reason: &str, message: String) -> PodCondition {
    PodCondition {
        type_: kind.to_owned(),
        status: if good { "True" } else { "False" }.to_owned(),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        message: (!message.is_empty()).then_some(message),
        ..PodCondition::default()
    }
}

/// Names as Go prints a list of strings: `[a b]`.
fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn unready_message(kind: &str, unknown: &[&str], bad: &[&str]) -> String {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: {}", list(unknown)));
    }
    if !bad.is_empty() {
        parts.push(format!("containers with {kind} status: {}", list(bad)));
    }
    parts.join(", ")
}

/// `ContainersReady`.
pub(super) fn containers_ready(pod: &Pod, statuses: &[ContainerStatus], phase: &str) -> PodCondition {
    let kind = "ContainersReady";
    let spec = pod.spec.clone().unwrap_or_default();
    if statuses.is_empty() {
        return condition(kind, false, "UnknownContainerStatuses", String::new());
    }
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    for container in sidecars.chain(&spec.containers) {
        match find(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return condition(kind, false, "PodCompleted", String::new());
    }
    if phase == "Failed" {
        return condition(kind, false, "PodFailed", String::new());
    }
    let message = unready_message("unready", &unknown, &unready);
    match message.is_empty() {
        true => condition(kind, true, "", String::new()),
        false => condition(kind, false, "ContainersNotReady", message),
    }
}

/// `Ready`: the containers, and the pod's readiness gates among `conditions`.
pub(super) fn pod_ready(
    pod: &Pod,
    conditions: &[PodCondition],
    statuses: &[ContainerStatus],
    phase: &str,
) -> PodCondition {
    let ready = containers_ready(pod, statuses, phase);
    if ready.status != "True" {
        return PodCondition { type_: "Ready".to_owned(), ..ready };
    }
    let mut messages = Vec::new();
    for gate in pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten()) {
        let name = &gate.condition_type;
        match conditions.iter().find(|condition| condition.type_ == *name) {
            None => messages
                .push(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
            Some(found) if found.status != "True" => messages.push(format!(
                "the status of pod readiness gate {name:?} is not \"True\", but {}",
                found.status
            )),
            Some(_) => {}
        }
    }
    match messages.is_empty() {
        true => condition("Ready", true, "", String::new()),
        false => condition("Ready", false, "ReadinessGatesNotReady", messages.join(", ")),
    }
}

/// `Initialized`.
pub(super) fn initialized(
    pod: &Pod,
    statuses: &[ContainerStatus],
    phase: &str,
    main_started: bool,
) -> PodCondition {
    let kind = "Initialized";
    let spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.unwrap_or_default();
    if statuses.is_empty() && !inits.is_empty() {
        return condition(kind, false, "UnknownContainerStatuses", String::new());
    }
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in &inits {
        match find(statuses, &container.name) {
            None => unknown.push(container.name.as_str()),
            Some(status) => {
                let done = if is_sidecar(container) { status.started == Some(true) } else { status.ready };
                if !done {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return condition(kind, true, "PodCompleted", String::new());
    }
    let message = unready_message("incomplete", &unknown, &incomplete);
    match message.is_empty() || main_started {
        true => condition(kind, true, "", String::new()),
        false => condition(kind, false, "ContainersNotInitialized", message),
    }
}

/// Fills in what a condition keeps from before: when it last changed.
fn dated(
    mut new: PodCondition,
    old: &[PodCondition],
    generation: Option<i64>,
    now: Timestamp,
) -> PodCondition {
    let before = old.iter().find(|condition| condition.type_ == new.type_);
    new.last_transition_time = match before {
        Some(before) if before.status == new.status => before.last_transition_time.clone(),
        _ => None,
    }
    .or_else(|| Some(seconds(now)));
    new.last_probe_time = before.and_then(|before| before.last_probe_time.clone());
    new.observed_generation = generation;
    new
}

/// The node as statuses show it.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// Its addresses, the primary one first.
    pub ips: Vec<std::net::IpAddr>,
}

/// Ends what a pod that is over leaves open: a container that ran and whose end nobody saw, and the phase.
fn close(status: &mut PodStatus, initialized: bool) {
    if initialized {
        for container in status.container_statuses.iter_mut().flatten() {
            let state = container.state.get_or_insert_default();
            let had_end = container.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
            if state.terminated.is_some() || (state.waiting.is_some() && had_end) {
                continue;
            }
            let end = ContainerStateTerminated {
                exit_code: 137,
                reason: Some(STATUS_UNKNOWN.to_owned()),
                message: Some(STATUS_UNKNOWN_MESSAGE.to_owned()),
                ..ContainerStateTerminated::default()
            };
            *state = terminated(&end);
        }
    }
    if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        status.phase = Some("Failed".to_owned());
    }
}

/// The whole status of a pod. `old` is the status in the API, `generation` the generation that was acted on.
pub(super) fn pod_status(run: &PodRun, old: &PodStatus, host: &Host, now: Timestamp) -> PodStatus {
    let pod = &run.pod;
    let generation = pod.metadata.generation;
    let is_static = run.origin == super::pod::Origin::Static;
    let mut status = old.clone();
    status.observed_generation = generation;
    status.qos_class = status.qos_class.or_else(|| Some(qos(pod).as_str().to_owned()));
    status.start_time = Some(seconds(run.started));
    if let (Some(verdict), false) = (&run.verdict, run.touched) {
        // Never admitted: nothing else is known of it.
        status.phase = Some("Failed".to_owned());
        status.reason = Some(verdict.reason.clone());
        status.message = Some(verdict.message.clone());
        return status;
    }
    let has_inits = run.tracks.iter().any(|track| track.role != Role::Main);
    let shown = |init: bool| -> Option<Vec<ContainerStatus>> {
        let tracks = run.tracks.iter().filter(|track| (track.role != Role::Main) == init);
        let list: Vec<_> = tracks.map(|track| container_status(track, has_inits)).collect();
        (!list.is_empty()).then_some(list)
    };
    status.init_container_statuses = shown(true);
    status.container_statuses = shown(false);
    let over = run.stage == Stage::Gone;
    let terminal = over
        || matches!(run.stage, Stage::Removing { anew: false, .. } | Stage::RemoveFailed { anew: false, .. });
    let all = |status: &PodStatus| -> Vec<ContainerStatus> {
        let inits = status.init_container_statuses.iter().flatten();
        inits.chain(status.container_statuses.iter().flatten()).cloned().collect()
    };
    let started = run.has_run();
    let new_phase = phase(pod, &all(&status), terminal, started, is_static);
    let old_phase = old.phase.clone().unwrap_or_default();
    if run.touched || old_phase.is_empty() {
        status.phase = Some(new_phase.to_owned());
    }
    if matches!(old_phase.as_str(), "Succeeded" | "Failed") {
        status.phase = Some(old_phase.clone());
    } else if run.verdict.is_some() {
        status.phase = Some("Failed".to_owned());
    } else if over && !is_static && run.ending.is_some() {
        close(&mut status, started);
    }
    if let Some(verdict) = &run.verdict {
        status.reason = Some(verdict.reason.clone());
        status.message = Some(verdict.message.clone());
    } else if status.phase.as_deref() != Some(old_phase.as_str()) {
        status.reason = None;
        status.message = None;
    }
    addresses(&mut status, run, host);
    let final_phase = status.phase.clone().unwrap_or_default();
    let statuses = all(&status);
    let kept = old.conditions.iter().flatten().filter(|c| !OWN_CONDITIONS.contains(&c.type_.as_str()));
    let mut conditions: Vec<PodCondition> = kept.cloned().collect();
    let own = [
        condition("PodReadyToStartContainers", run.sandbox, "", String::new()),
        initialized(pod, &statuses, &final_phase, started),
        pod_ready(pod, &conditions, &statuses, &final_phase),
        containers_ready(pod, &statuses, &final_phase),
        condition("PodScheduled", true, "", String::new()),
    ];
    let before = old.conditions.clone().unwrap_or_default();
    conditions.extend(own.map(|condition| dated(condition, &before, generation, now)));
    status.conditions = Some(conditions);
    status
}

fn addresses(status: &mut PodStatus, run: &PodRun, host: &Host) {
    let hosts: Vec<String> = host.ips.iter().map(ToString::to_string).collect();
    status.host_ip = hosts.first().cloned();
    status.host_ips = (!hosts.is_empty()).then(|| hosts.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let ips: Vec<String> = match run.host_network() {
        true => hosts,
        false => run.ips.iter().map(ToString::to_string).collect(),
    };
    // A pod that is over keeps the addresses that it had.
    if let Some(first) = ips.first() {
        status.pod_ip = Some(first.clone());
        status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect());
    }
}
