//! Decides what happens next with one pod.
//!
//! Pure: sees what the agent remembers of the pod, what is wished for it, and the time; answers the acts that are due
//! and when to look again. `work` carries them out and then asks anew, until nothing is due.
//!
//! Invariant: carrying out an act changes the pod's state so that the same act is not planned again.

use std::time::Duration;

use super::pod::{Life, PodRun, PostStart, Role, Stage, StopStep, Track, Why};
use super::probe::Which;
use super::restart::should_restart;
use crate::limits::{DRAIN_MOST, LEAST_GRACE, PULL_ERROR_SHOWN};
use crate::world::Moment;

/// What is wished for a pod, as the view tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// No Service leads to it any more, and the node's proxy knows.
    pub drained: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Make the sandbox, attach the network, prepare the volumes, and start these containers, in one piece of work.
    SetUp(Vec<usize>),
    /// Bring the volumes up to date.
    Refresh,
    /// Start a container.
    Start(usize),
    /// Fetch a container's image.
    Pull(usize),
    /// Say that a container waits to have its image fetched again.
    PullLater(usize),
    /// Say that a container waits because it fails again and again; the moment is when it is started.
    Loop(usize, Moment),
    /// Run a postStart hook.
    PostStart(usize),
    /// A postStart hook has slept long enough.
    Slept(usize),
    /// Run a probe.
    Probe(usize, Which),
    /// Read what an ended container left.
    Collect(usize),
    /// Begin to stop a container, which gets until this moment.
    Stop(usize, Moment),
    /// Send a container its stop signal; it is not killed before this moment.
    Signal(usize, Moment),
    /// Kill a container.
    Kill(usize),
    /// The pod ends.
    End(Why),
    /// The pod's state changes, and nothing else.
    Enter(Stage),
    /// Remove the sandbox, the network and the volumes; `anew`: the pod is then started from the beginning.
    TearDown {
        /// See above.
        anew: bool,
    },
}

/// What is due, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Next {
    /// In order.
    pub acts: Vec<Act>,
    /// At this moment at the latest.
    pub at: Option<Moment>,
}

impl Next {
    fn act(&mut self, act: Act) {
        self.acts.push(act);
    }

    fn look_at(&mut self, at: Moment) {
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether the moment has come; if not, it is looked at again then.
    fn is_due(&mut self, at: Moment, now: Moment) -> bool {
        if at > now {
            self.look_at(at);
        }
        at <= now
    }
}

/// What is due for a pod.
pub(super) fn plan(run: &PodRun, wish: Wish, now: Moment) -> Next {
    let mut next = Next::default();
    for (at, track) in run.tracks.iter().enumerate() {
        if matches!(track.life, Life::Exited { .. }) {
            next.act(Act::Collect(at));
        }
    }
    if !next.acts.is_empty() {
        return next;
    }
    match &run.stage {
        Stage::Pending { retry_at } => pending(run, *retry_at, now, &mut next),
        Stage::SettingUp { .. } | Stage::Removing { .. } | Stage::Gone => {}
        Stage::Running => running(run, wish, now, &mut next),
        Stage::Draining { until } => {
            if wish.drained || next.is_due(*until, now) {
                next.act(Act::Enter(Stage::Stopping { began: now }));
            } else {
                for (at, track) in run.tracks.iter().enumerate() {
                    if let Life::Stopping { deadline, .. } = track.life {
                        stop_step(at, track, deadline, now, &mut next);
                    }
                }
                probes(run, now, true, &mut next);
            }
        }
        Stage::Stopping { began } => stopping(run, *began, now, &mut next),
        // A start that is under way is waited for: it may reach the next sandbox.
        Stage::RemoveFailed { anew: true, .. } if run.tracks.iter().any(is_under_way) => {}
        Stage::RemoveFailed { retry_at, anew } => {
            if next.is_due(*retry_at, now) {
                next.act(Act::TearDown { anew: *anew && run.ending.is_none() });
            }
        }
    }
    next
}

/// Whether the runtime is busy with a container.
fn is_under_way(track: &Track) -> bool {
    matches!(track.life, Life::Starting(_) | Life::Collecting { .. })
}

fn pending(run: &PodRun, retry_at: Option<Moment>, now: Moment, next: &mut Next) {
    if run.ending.is_some() {
        next.act(if run.touched { Act::TearDown { anew: false } } else { Act::Enter(Stage::Gone) });
        return;
    }
    if over_deadline(run, now, next) {
        next.act(Act::End(Why::Deadline));
        return;
    }
    // Its sandbox was lost, and nothing of it runs again.
    if is_finished(run) {
        next.act(Act::End(Why::Finished));
        return;
    }
    if run.stale || retry_at.is_none_or(|at| next.is_due(at, now)) {
        next.at = None;
        next.act(Act::SetUp(startable(run, now, &mut Next::default())));
    }
}

/// Whether the pod's `activeDeadlineSeconds` are over.
fn over_deadline(run: &PodRun, now: Moment, next: &mut Next) -> bool {
    let seconds = run.pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    let Some(seconds) = seconds.and_then(|seconds| u64::try_from(seconds).ok()) else { return false };
    next.is_due(run.since.after(Duration::from_secs(seconds)), now)
}

fn running(run: &PodRun, wish: Wish, now: Moment, next: &mut Next) {
    if let Some(ending) = run.ending {
        let drains = matches!(ending.why, Why::Deleted | Why::Vanished) && !wish.drained;
        let stage = match drains && run.tracks.iter().any(Track::is_live) {
            true => Stage::Draining { until: now.after(DRAIN_MOST) },
            false => Stage::Stopping { began: now },
        };
        next.act(Act::Enter(stage));
        return;
    }
    if over_deadline(run, now, next) {
        next.act(Act::End(Why::Deadline));
        return;
    }
    if is_finished(run) {
        next.act(Act::End(Why::Finished));
        return;
    }
    if run.stale && run.refreshing.is_none() {
        next.act(Act::Refresh);
    }
    for at in startable(run, now, next) {
        next.act(Act::Start(at));
    }
    for (at, track) in run.tracks.iter().enumerate() {
        match &track.life {
            Life::Wanting => wanting(at, track, now, next),
            Life::Live { hook: PostStart::Due, .. } => next.act(Act::PostStart(at)),
            Life::Live { hook: PostStart::Sleep(until), .. } if next.is_due(*until, now) => {
                next.act(Act::Slept(at));
            }
            Life::Stopping { deadline, .. } => stop_step(at, track, *deadline, now, next),
            _ => {}
        }
    }
    probes(run, now, false, next);
}

/// A container whose image is to be fetched: now, or once the wait after a failure is over.
fn wanting(at: usize, track: &Track, now: Moment, next: &mut Next) {
    let until = track.pull_error.as_ref().and_then(|_| track.pull_backoff.wait_until(track.pull_at));
    let Some(until) = until.filter(|until| *until > now) else {
        next.act(Act::Pull(at));
        return;
    };
    next.look_at(until);
    let fresh = track.trouble.as_ref().is_some_and(|trouble| trouble.reason == "ErrImagePull");
    if fresh && next.is_due(track.pull_at.after(PULL_ERROR_SHOWN), now) {
        next.act(Act::PullLater(at));
    }
}

/// Whether no container of the pod will run again.
pub(super) fn is_finished(run: &PodRun) -> bool {
    let policy = run.policy();
    let is_over = |track: &Track| {
        track.is_at_rest()
            && track.ended.as_ref().is_some_and(|end| !should_restart(policy, &track.spec, end.exit_code))
    };
    let initialized = run.initialized();
    let failed_init = |track: &Track| {
        track.role == Role::Init
            && is_over(track)
            && track.ended.as_ref().is_some_and(|end| end.exit_code != 0)
    };
    if !initialized && run.tracks.iter().any(failed_init) {
        return true;
    }
    run.tracks.iter().filter(|track| track.role == Role::Main).all(is_over)
}

/// Whether a container that is at rest may be started now. A wait is put into `next`.
fn may_start(run: &PodRun, at: usize, now: Moment, next: &mut Next) -> bool {
    let track = &run.tracks[at];
    let Life::Idle { retry_at } = track.life else { return false };
    if let Some(retry_at) = retry_at
        && !run.stale
        && !next.is_due(retry_at, now)
    {
        return false;
    }
    let Some(end) = &track.ended else { return true };
    let again = match track.role {
        // A sidecar always runs again while its pod does.
        Role::Sidecar => true,
        Role::Init => end.exit_code != 0 && should_restart(run.policy(), &track.spec, end.exit_code),
        Role::Main => should_restart(run.policy(), &track.spec, end.exit_code),
    };
    if !again {
        return false;
    }
    if track.fetched.is_some() {
        // Its wait was over when the image began to be fetched.
        return true;
    }
    match track.backoff.wait_until(track.ended_at) {
        Some(until) if until > now => {
            let told = track.trouble.as_ref().is_some_and(|trouble| trouble.reason == "CrashLoopBackOff");
            if told {
                next.look_at(until);
            } else {
                next.act(Act::Loop(at, until));
            }
            false
        }
        _ => true,
    }
}

/// The containers that are to be started now, in order.
fn startable(run: &PodRun, now: Moment, next: &mut Next) -> Vec<usize> {
    let mut start = Vec::new();
    let initialized = run.initialized();
    for (at, track) in run.tracks.iter().enumerate() {
        let done = match track.role {
            Role::Main => true,
            Role::Sidecar => track.is_started(),
            Role::Init => {
                initialized
                    || (track.is_at_rest() && track.ended.as_ref().is_some_and(|end| end.exit_code == 0))
            }
        };
        let passed = done && track.role != Role::Main;
        let wanted = !passed && (track.role != Role::Init || !initialized);
        if wanted && may_start(run, at, now, next) {
            start.push(at);
        }
        let holds = track.role != Role::Sidecar || !initialized;
        if !done && holds {
            break;
        }
    }
    start
}

fn probes(run: &PodRun, now: Moment, ending: bool, next: &mut Next) {
    for (at, track) in run.tracks.iter().enumerate() {
        let Life::Live { hook: PostStart::Done, .. } = track.life else { continue };
        match track.probing.due(now, ending) {
            Ok(which) => next.act(Act::Probe(at, which)),
            Err(Some(due)) => next.look_at(due),
            Err(None) => {}
        }
    }
}

/// Brings the stopping of one container further.
fn stop_step(at: usize, track: &Track, deadline: Moment, now: Moment, next: &mut Next) {
    let Life::Stopping { step, .. } = track.life else { return };
    match step {
        StopStep::Due if track.has_pre_stop() => next.act(Act::Signal(at, now.after(LEAST_GRACE))),
        StopStep::Due => next.act(Act::Signal(at, now)),
        StopStep::Hook(_) => {
            if next.is_due(deadline, now) {
                next.act(Act::Signal(at, now.after(LEAST_GRACE)));
            }
        }
        StopStep::Sleep(until) => {
            if next.is_due(until.min(deadline), now) {
                next.act(Act::Signal(at, now.after(LEAST_GRACE)));
            }
        }
        StopStep::Asked(least) => {
            if next.is_due(deadline.max(least), now) {
                next.act(Act::Kill(at));
            }
        }
        StopStep::Killed(_) => {}
    }
}

fn stopping(run: &PodRun, began: Moment, now: Moment, next: &mut Next) {
    let grace = run.ending.map_or(Duration::from_secs(1), |ending| ending.grace);
    let deadline = began.after(grace);
    // Sidecars end after the others, the last one first.
    let others_run = run.tracks.iter().any(|track| track.role != Role::Sidecar && !track.is_at_rest());
    let last_sidecar =
        run.tracks.iter().rposition(|track| track.role == Role::Sidecar && !track.is_at_rest());
    for (at, track) in run.tracks.iter().enumerate() {
        let turn =
            track.role != Role::Sidecar || deadline <= now || (!others_run && last_sidecar == Some(at));
        match &track.life {
            Life::Live { .. } if turn => next.act(Act::Stop(at, deadline.max(now))),
            Life::Live { .. } => next.look_at(deadline),
            Life::Stopping { deadline: own, .. } => {
                stop_step(at, track, (*own).min(deadline), now, next);
            }
            _ => {}
        }
    }
    if run.tracks.iter().all(Track::is_at_rest) {
        next.act(Act::TearDown { anew: false });
    }
}
