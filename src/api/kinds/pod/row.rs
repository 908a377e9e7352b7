//! A pod as one printed line. Its status is what its containers are at, told in one word.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::kinds::age::since;
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::pod_spec::is_sidecar;

/// What the containers say so far.
#[derive(Default)]
struct Summary {
    reason: String,
    ready: usize,
    restarts: i64,
    last_restart: Option<Time>,
}

impl Summary {
    fn count_restarts(&mut self, container: &ContainerStatus) {
        self.restarts += i64::from(container.restart_count);
        let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        if let Some(at) = last.and_then(|ended| ended.finished_at.clone())
            && self.last_restart.as_ref().is_none_or(|last| *last < at)
        {
            self.last_restart = Some(at);
        }
    }
}

pub(super) fn row(pod: &Pod, now: Timestamp) -> Vec<String> {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let sidecars = list(&spec.init_containers).iter().filter(|container| is_sidecar(container)).count();
    let total = spec.containers.len() + sidecars;
    let mut summary = summarise(spec, status);
    if pod.metadata.deletion_timestamp.is_some() {
        if text(&status.reason) == "NodeLost" {
            summary.reason = "Unknown".to_owned();
        } else if !matches!(text(&status.phase), "Failed" | "Succeeded") {
            summary.reason = "Terminating".to_owned();
        }
    }
    let restarts = match &summary.last_restart {
        Some(at) if summary.restarts != 0 => format!("{} ({} ago)", summary.restarts, since(Some(at), now)),
        _ => summary.restarts.to_string(),
    };
    let or_none = |value: &str| if value.is_empty() { "<none>".to_owned() } else { value.to_owned() };
    vec![
        format!("{}/{total}", summary.ready),
        summary.reason,
        restarts,
        since(pod.metadata.creation_timestamp.as_ref(), now),
        or_none(list(&status.pod_ips).first().map_or("", |address| &address.ip)),
        or_none(text(&spec.node_name)),
        or_none(text(&status.nominated_node_name)),
        gates(spec, status),
    ]
}

fn gates(spec: &PodSpec, status: &PodStatus) -> String {
    let gates = list(&spec.readiness_gates);
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    let holds = |name: &str| {
        let condition = list(&status.conditions).iter().find(|condition| condition.type_ == name);
        condition.is_some_and(|condition| condition.status == "True")
    };
    let held = gates.iter().filter(|gate| holds(&gate.condition_type)).count();
    format!("{held}/{}", gates.len())
}

fn has_condition(status: &PodStatus, name: &str) -> bool {
    list(&status.conditions).iter().any(|condition| condition.type_ == name && condition.status == "True")
}

fn summarise(spec: &PodSpec, status: &PodStatus) -> Summary {
    let reason = match text(&status.reason) {
        "" => text(&status.phase),
        reason => reason,
    };
    let mut summary = Summary { reason: reason.to_owned(), ..Summary::default() };
    let gated = |condition: &k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == "PodScheduled" && text(&condition.reason) == "SchedulingGated"
    };
    if list(&status.conditions).iter().any(gated) {
        summary.reason = "SchedulingGated".to_owned();
    }
    let mut sidecars = Summary::default();
    let initialising = look_at_init(spec, status, &mut summary, &mut sidecars);
    if !initialising || has_condition(status, "Initialized") {
        summary.restarts = sidecars.restarts;
        summary.last_restart = sidecars.last_restart;
        look_at_containers(status, &mut summary);
    }
    summary
}

/// Goes through the init containers up to the one that is at work; answers whether there is one.
fn look_at_init(spec: &PodSpec, status: &PodStatus, summary: &mut Summary, sidecars: &mut Summary) -> bool {
    let all = list(&spec.init_containers);
    for (at, container) in list(&status.init_container_statuses).iter().enumerate() {
        let named = |other: &&Container| other.name == container.name;
        let sidecar = all.iter().find(named).is_some_and(is_sidecar);
        summary.count_restarts(container);
        if sidecar {
            sidecars.count_restarts(container);
        }
        let none = ContainerState::default();
        let state = container.state.as_ref().unwrap_or(&none);
        match (&state.terminated, &state.waiting) {
            (Some(ended), _) if ended.exit_code == 0 => continue,
            _ if sidecar && container.started == Some(true) => {
                summary.ready += usize::from(container.ready);
                continue;
            }
            (Some(ended), _) => summary.reason = format!("Init:{}", end_text(ended)),
            (None, Some(waiting)) if !matches!(text(&waiting.reason), "" | "PodInitializing") => {
                summary.reason = format!("Init:{}", text(&waiting.reason));
            }
            _ => summary.reason = format!("Init:{at}/{}", all.len()),
        }
        return true;
    }
    false
}

fn look_at_containers(status: &PodStatus, summary: &mut Summary) {
    let (mut running, mut error) = (false, None);
    for container in list(&status.container_statuses).iter().rev() {
        summary.count_restarts(container);
        let none = ContainerState::default();
        let state = container.state.as_ref().unwrap_or(&none);
        if let Some(reason) =
            state.waiting.as_ref().map(|waiting| text(&waiting.reason)).filter(|r| !r.is_empty())
        {
            summary.reason = reason.to_owned();
        } else if let Some(ended) = &state.terminated {
            summary.reason = end_text(ended);
            if ended.exit_code != 0 {
                error = Some(summary.reason.clone());
            }
        } else if container.ready && state.running.is_some() {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" {
        if running && has_condition(status, "Ready") {
            summary.reason = "Running".to_owned();
        } else if let Some(error) = error {
            summary.reason = error;
        } else if running {
            summary.reason = "NotReady".to_owned();
        }
    }
}

fn end_text(ended: &ContainerStateTerminated) -> String {
    match (text(&ended.reason), ended.signal.unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", ended.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}
