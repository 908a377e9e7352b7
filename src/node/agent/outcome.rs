//! Takes in how submitted work ended, and containers' ends.
//!
//! Invariant: an outcome is taken only in the state that waits for its ticket; any other is dropped.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backoff::go_duration;
use super::jobs::{SetUp, Started};
use super::pod::{ID_SCHEME, Life, PodRun, PostStart, Stage, StopStep, Trouble, seconds};
use super::pods::{Cx, Pods};
use super::probe::{Turn, Which};
use super::restart::should_restart;
use super::seams::{ImageProblem, ResolvedImage, StaticFile, Verdict};
use crate::limits::POD_RETRY;
use crate::node::runtime::{ContainerId, ContainerState, Exit, RuntimeError, SandboxId};
use crate::reconcile::{EventType, Output, Panicked, Ticket};
use crate::world::Moment;
use std::sync::Arc;
use std::time::Duration;

/// What a runtime holds: every sandbox with its containers.
type Held = Vec<(SandboxId, Vec<(ContainerId, ContainerState)>)>;

/// How a piece of work ended.
#[derive(Debug)]
pub(super) enum Done {
    /// The runtime told what it holds, and the node's own pods are read.
    Booted { found: Result<Held, RuntimeError>, statics: Result<Vec<StaticFile>, String> },
    /// The runtime was started again, or not.
    Restarted(Result<(), RuntimeError>),
    /// The node's own pods are read.
    Statics(Result<Vec<StaticFile>, String>),
    /// A pod was set up, or not.
    SetUp(SetUp),
    /// A container was started, or not.
    Started(Started),
    /// An image was fetched, or not.
    Pulled(Result<Arc<ResolvedImage>, ImageProblem>),
    /// An ended container's message.
    Collected(String),
    /// A probe ran, or could not.
    Probed(Result<Verdict, String>),
    /// A hook ran, or failed.
    Hooked(Result<(), String>),
    /// A container was killed, or could not be.
    Killed(Result<(), RuntimeError>),
    /// Volumes are up to date, or why not.
    Refreshed(Option<String>),
    /// Everything of a pod is removed, or why not.
    TornDown(Result<(), String>),
    /// Nobody waits for it.
    Nothing,
    /// The work panicked.
    Panicked(String),
}

impl Done {
    /// Reads the loop's output.
    pub fn of(output: Output) -> Done {
        match output.downcast::<Done>() {
            Ok(done) => *done,
            Err(other) => match other.downcast::<Panicked>() {
                Ok(panicked) => Done::Panicked(panicked.0),
                Err(_) => Done::Nothing,
            },
        }
    }
}

/// A container's first process ended.
pub(super) fn exited(run: &mut PodRun, id: ContainerId, exit: Exit) {
    let track = run.tracks.iter_mut().find(|track| track.running_id() == Some(&id));
    match track {
        Some(track) => {
            track.probing.end();
            track.life = Life::Exited { id, exit };
        }
        // Its start has not been told yet: the two come from different threads.
        None => {
            run.early.insert(id, exit);
        }
    }
}

fn reason_of(exit: &Exit) -> &'static str {
    match (exit.oom_killed, exit.code) {
        (true, _) => "OOMKilled",
        (false, 0) => "Completed",
        (false, _) => "Error",
    }
}

impl Pods {
    /// Takes in the outcome of work for a pod.
    pub fn take(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, ticket: Ticket, done: Done) {
        let now = cx.moment();
        if run.stage == (Stage::SettingUp { ticket }) {
            self.set_up(cx, run, done);
            return;
        }
        if let Stage::Removing { ticket: awaited, anew } = run.stage
            && awaited == ticket
        {
            torn_down(run, done, anew, now);
            return;
        }
        if run.refreshing == Some(ticket) {
            run.refreshing = None;
            if let Done::Refreshed(Some(cause)) = done {
                run.tell(EventType::Warning, "FailedMount", format!("MountVolume.SetUp failed: {cause}"));
            }
            return;
        }
        let Some(at) = run.tracks.iter().position(|track| waits_for(&track.life, ticket)) else {
            let probed = run
                .tracks
                .iter()
                .enumerate()
                .find_map(|(at, track)| Some((at, track.probing.of_ticket(ticket)?)));
            if let Some((at, which)) = probed {
                self.probed(cx, run, at, which, done);
            }
            return;
        };
        match run.tracks[at].life.clone() {
            Life::Starting(_) => {
                self.started(cx, run, at, started_of(done));
                if matches!(run.stage, Stage::RemoveFailed { anew: true, .. }) {
                    // It had been started when its sandbox was lost.
                    run.lose_instances((cx.now(), now));
                    run.make_anew(now);
                }
            }
            Life::Pulling(_) => pulled(run, at, done, now),
            Life::Collecting { id, exit, .. } => {
                let message = if let Done::Collected(message) = done { message } else { String::new() };
                collected(run, at, id, exit, message, now);
            }
            Life::Live { id, started, since, .. } => {
                run.tracks[at].life = Life::Live { id, started, since, hook: PostStart::Done };
                if let Some(cause) = hook_failure(done) {
                    tracing::debug!(pod = %run.key, %cause, "a postStart hook failed");
                    run.tell_of(
                        at,
                        EventType::Warning,
                        "FailedPostStartHook",
                        "PostStartHook failed".to_owned(),
                    );
                    let deadline = now.after(run.grace());
                    self.begin_stop(cx, run, at, deadline, "FailedPostStartHook".to_owned());
                }
            }
            Life::Stopping { id, started, deadline, step } => {
                self.stopped_a_step(cx, run, at, (id, started, deadline, step), done);
            }
            _ => {}
        }
    }

    fn stopped_a_step(
        &mut self,
        cx: &mut Cx<'_>,
        run: &mut PodRun,
        at: usize,
        (id, started, deadline, step): (ContainerId, Timestamp, Moment, StopStep),
        done: Done,
    ) {
        match step {
            StopStep::Hook(_) => {
                if let Some(cause) = hook_failure(done) {
                    tracing::debug!(pod = %run.key, %cause, "a preStop hook failed");
                    run.tell_of(at, EventType::Warning, "FailedPreStopHook", "PreStopHook failed".to_owned());
                }
                run.tracks[at].life = Life::Stopping { id, started, deadline, step: StopStep::Due };
            }
            StopStep::Killed(_) => match done {
                Done::Killed(Err(RuntimeError::NotFound(_) | RuntimeError::Lost(_))) => {
                    run.tracks[at].end_unknown(cx.now(), cx.moment());
                }
                Done::Killed(Err(cause)) => {
                    run.tell(EventType::Warning, "FailedKillPod", format!("error killing pod: {cause}"));
                    let step = StopStep::Asked(cx.moment().after(POD_RETRY));
                    run.tracks[at].life = Life::Stopping { id, started, deadline, step };
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn set_up(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, done: Done) {
        let now = cx.moment();
        let done = match done {
            Done::SetUp(done) => done,
            Done::Panicked(cause) => {
                let message = format!("Failed to create pod sandbox: {cause}");
                SetUp {
                    ips: Vec::new(),
                    failed: Some(("FailedCreatePodSandBox", message)),
                    started: Vec::new(),
                }
            }
            _ => return,
        };
        for track in &mut run.tracks {
            if matches!(track.life, Life::Starting(_)) {
                track.life = Life::Idle { retry_at: None };
            }
        }
        let overtaken = std::mem::take(&mut run.overtaken);
        if let Some((reason, message)) = done.failed {
            run.tell(EventType::Warning, reason, message);
            if overtaken {
                run.make_anew(now);
                return;
            }
            run.stage = Stage::Pending { retry_at: Some(now.after(POD_RETRY)) };
            return;
        }
        run.stage = Stage::Running;
        run.sandbox = true;
        run.ips = done.ips;
        for (at, started) in done.started {
            self.started(cx, run, at, started);
        }
        if overtaken {
            run.lose((cx.now(), now));
        }
    }

    fn started(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, at: usize, started: Started) {
        let now = cx.moment();
        let reference = run.tracks[at].spec.image.clone().unwrap_or_default();
        match started {
            Started::Running { id, started, image, log } => {
                let track = &mut run.tracks[at];
                let present = track.fetched.is_none();
                track.image_id = image.id.clone();
                track.stop_signal = image.stop_signal.unwrap_or(super::jobs::SIGTERM);
                track.log = Some(log);
                track.instances += 1;
                track.begin(id.clone(), started, now);
                if present {
                    let message = format!(
                        "Container image {reference:?} already present on machine and can be accessed by the pod"
                    );
                    run.tell_of(at, EventType::Normal, "Pulled", message);
                }
                run.tell_of(at, EventType::Normal, "Created", "Container created".to_owned());
                run.tell_of(at, EventType::Normal, "Started", "Container started".to_owned());
                if let Some(exit) = run.early.remove(&id) {
                    exited(run, id, exit);
                }
            }
            Started::NoImage => run.tracks[at].life = Life::Wanting,
            Started::Image(problem) => no_image(run, at, &problem, now),
            Started::Config(cause) => {
                waits(run, at, "CreateContainerConfigError", cause, now);
            }
            Started::NotMade(cause, image) => {
                run.tracks[at].image_id = image.id.clone();
                waits(run, at, "CreateContainerError", cause, now);
            }
            Started::NotRun(cause, image) => not_run(run, at, &cause, &image, (cx.now(), now)),
        }
    }

    fn probed(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, at: usize, which: Which, done: Done) {
        let now = cx.moment();
        let verdict = match done {
            Done::Probed(Ok(verdict)) => verdict,
            Done::Probed(Err(cause)) | Done::Panicked(cause) => {
                let message =
                    format!("{} probe errored and resulted in unknown state: {cause}", which.text());
                run.tell_of(at, EventType::Warning, "Unhealthy", message);
                // A probe that could not be run says nothing about the container.
                run.tracks[at].probing.dropped(which);
                return;
            }
            _ => return,
        };
        let turn = run.tracks[at].probing.took(which, &verdict, now);
        match &verdict {
            Verdict::Success => {}
            Verdict::Warning(output) => {
                let message = format!("{} probe warning: {output}", which.text());
                run.tell_of(at, EventType::Warning, "ProbeWarning", message);
            }
            Verdict::Failure(output) => {
                let message = format!("{} probe failed: {output}", which.text());
                run.tell_of(at, EventType::Warning, "Unhealthy", message);
            }
        }
        let live = matches!(run.tracks[at].life, Life::Live { .. });
        if turn != Turn::Down || which == Which::Readiness || !live || run.ending.is_some() {
            return;
        }
        let track = &run.tracks[at];
        let name = track.spec.name.clone();
        let mut message = format!("Container {name} failed {} probe", which.text().to_ascii_lowercase());
        if should_restart(run.policy(), &track.spec, 137) {
            message.push_str(", will be restarted");
        }
        let own = track.probing.probe(which).and_then(|probe| probe.termination_grace_period_seconds);
        let grace = own.map_or_else(|| run.grace(), super::pod::grace_of);
        self.begin_stop(cx, run, at, now.after(grace), message);
    }
}

fn waits_for(life: &Life, ticket: Ticket) -> bool {
    match life {
        Life::Starting(t) | Life::Pulling(t) => *t == ticket,
        Life::Collecting { ticket: t, .. } => *t == ticket,
        Life::Live { hook: PostStart::Running(t), .. } => *t == ticket,
        Life::Stopping { step: StopStep::Hook(t) | StopStep::Killed(t), .. } => *t == ticket,
        _ => false,
    }
}

fn started_of(done: Done) -> Started {
    match done {
        Done::Started(started) => started,
        Done::Panicked(cause) => Started::Config(cause),
        _ => Started::Config("the start was answered by something else".to_owned()),
    }
}

fn hook_failure(done: Done) -> Option<String> {
    match done {
        Done::Hooked(Ok(())) => None,
        Done::Hooked(Err(cause)) | Done::Panicked(cause) => Some(cause),
        _ => None,
    }
}

fn torn_down(run: &mut PodRun, done: Done, anew: bool, now: Moment) {
    let failed = match done {
        Done::TornDown(Ok(())) => None,
        Done::TornDown(Err(cause)) | Done::Panicked(cause) => Some(cause),
        _ => return,
    };
    if let Some(cause) = failed {
        run.tell(EventType::Warning, "FailedKillPod", format!("error killing pod: {cause}"));
        run.stage = Stage::RemoveFailed { retry_at: now.after(POD_RETRY), anew };
        return;
    }
    run.sandbox = false;
    run.early.clear();
    if anew && !super::plan::is_finished(run) {
        run.forget_inits();
    }
    run.stage = match anew {
        true => Stage::Pending { retry_at: None },
        false => Stage::Gone,
    };
}

/// A container waits, and is tried again after a while.
fn waits(run: &mut PodRun, at: usize, reason: &str, message: String, now: Moment) {
    run.tell_of(at, EventType::Warning, "Failed", format!("Error: {message}"));
    let track = &mut run.tracks[at];
    track.trouble = Some(Trouble { reason: reason.to_owned(), message });
    track.life = Life::Idle { retry_at: Some(now.after(POD_RETRY)) };
}

/// The container was made and its program could not be executed: an instance that ended with 128.
fn not_run(run: &mut PodRun, at: usize, cause: &str, image: &ResolvedImage, now: (Timestamp, Moment)) {
    run.tell_of(at, EventType::Warning, "Failed", format!("Error: {cause}"));
    let again = should_restart(run.policy(), &run.tracks[at].spec, 128);
    let track = &mut run.tracks[at];
    track.image_id = image.id.clone();
    track.instances += 1;
    track.fetched = None;
    if let Some(ended) = track.ended.take() {
        track.last = Some(ended);
    }
    let terminated = ContainerStateTerminated {
        exit_code: 128,
        reason: Some("StartError".to_owned()),
        message: Some(cause.to_owned()),
        started_at: Some(Time(Timestamp::UNIX_EPOCH)),
        finished_at: Some(seconds(now.0)),
        ..ContainerStateTerminated::default()
    };
    track.end(terminated, now.1);
    if again {
        track.trouble = Some(Trouble { reason: "RunContainerError".to_owned(), message: cause.to_owned() });
    }
}

fn no_image(run: &mut PodRun, at: usize, problem: &ImageProblem, now: Moment) {
    let reference = run.tracks[at].spec.image.clone().unwrap_or_default();
    let text = problem.to_string();
    let (event, told, reason) = match problem {
        ImageProblem::InvalidName(_) => (
            "InspectFailed",
            format!("Failed to apply default image tag {reference:?}: {text}"),
            "InvalidImageName",
        ),
        ImageProblem::NeverPull(_) => ("ErrImageNeverPull", text.clone(), "ErrImageNeverPull"),
        ImageProblem::Failed(_) => {
            ("Failed", format!("Failed to pull image {reference:?}: {text}"), "ErrImagePull")
        }
    };
    let message = if reason == "InvalidImageName" { told.clone() } else { text.clone() };
    run.tell_of(at, EventType::Warning, event, told);
    run.tell_of(at, EventType::Warning, "Failed", format!("Error: {reason}"));
    let track = &mut run.tracks[at];
    track.trouble = Some(Trouble { reason: reason.to_owned(), message });
    if reason == "ErrImagePull" {
        track.pull_error = Some(format!("ErrImagePull: {text}"));
        track.pull_at = now;
        track.pull_backoff.failed(now);
        track.life = Life::Wanting;
    } else {
        track.life = Life::Idle { retry_at: Some(now.after(POD_RETRY)) };
    }
}

fn pulled(run: &mut PodRun, at: usize, done: Done, now: Moment) {
    let image = match done {
        Done::Pulled(Ok(image)) => image,
        Done::Pulled(Err(problem)) => return no_image(run, at, &problem, now),
        Done::Panicked(cause) => return no_image(run, at, &ImageProblem::Failed(cause), now),
        _ => return,
    };
    let track = &mut run.tracks[at];
    let reference = track.spec.image.clone().unwrap_or_default();
    let millis = now.since(track.pull_at).as_millis();
    let took = go_duration(Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)));
    let message = format!(
        "Successfully pulled image {reference:?} in {took} ({took} including waiting). Image size: {} bytes.",
        image.size
    );
    track.fetched = Some(image);
    track.pull_error = None;
    track.pull_backoff = super::backoff::Backoff::default();
    track.trouble = None;
    track.life = Life::Idle { retry_at: None };
    run.tell_of(at, EventType::Normal, "Pulled", message);
}

fn collected(run: &mut PodRun, at: usize, id: ContainerId, exit: Exit, message: String, now: Moment) {
    let terminated = ContainerStateTerminated {
        exit_code: exit.code,
        reason: Some(reason_of(&exit).to_owned()),
        message: (!message.is_empty()).then_some(message),
        started_at: Some(seconds(exit.started)),
        finished_at: Some(seconds(exit.finished)),
        container_id: Some(format!("{ID_SCHEME}{}", id.0)),
        ..ContainerStateTerminated::default()
    };
    run.tracks[at].end(terminated, now);
}
