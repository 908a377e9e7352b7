//! What the agent remembers of one pod: where it stands, and where each of its containers stands.
//!
//! Plain data: `plan` reads it, `work` changes it, `status` shows it. Nothing here knows a store or a runtime.
//!
//! Invariant: a ticket that is held in a state is under way; its completion leaves that state.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backoff::Backoff;
use super::probe::Probing;
use super::resources::is_sidecar;
use super::seams::ResolvedImage;
use crate::api::ObjectKey;
use crate::node::runtime::{ContainerId, ContainerState, Exit};
use crate::reconcile::{EventType, Ticket};
use crate::world::Moment;

/// The reason of a container whose end nobody saw, as upstream names it.
pub(super) const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";
/// Its message.
pub(super) const STATUS_UNKNOWN_MESSAGE: &str =
    "The container could not be located when the pod was terminated";
/// How container ids begin in the API.
pub(super) const ID_SCHEME: &str = "coracle://";

/// Where a pod stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing runs and nothing is under way: just bound, or the last attempt to make its sandbox failed.
    Pending {
        /// Not to be tried before.
        retry_at: Option<Moment>,
    },
    /// Its sandbox, network, volumes and first containers are being made.
    SettingUp {
        /// By this work.
        ticket: Ticket,
    },
    /// The sandbox stands and containers are started as their turn comes.
    Running,
    /// It is to end, and Services may still lead to it: everything goes on.
    Draining {
        /// Until this moment at the latest.
        until: Moment,
    },
    /// Its containers are being stopped.
    Stopping {
        /// Since when: the grace period counts from here.
        began: Moment,
    },
    /// Its sandbox, network and volumes are being removed.
    Removing {
        /// By this work.
        ticket: Ticket,
        /// It is then made anew: what a former agent left could not be taken over.
        anew: bool,
    },
    /// Removing failed.
    RemoveFailed {
        /// To be tried again then.
        retry_at: Moment,
        /// As in `Removing`.
        anew: bool,
    },
    /// Nothing of it is left at the runtime.
    Gone,
}

/// Why a pod ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Its containers ended and do not run again.
    Finished,
    /// It was active for longer than it may be.
    Deadline,
    /// Its object is marked for deletion.
    Deleted,
    /// Its object is gone, or another of its name is there.
    Vanished,
}

/// That a pod ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// Why; a stronger reason replaces a weaker.
    pub why: Why,
    /// How long its containers get; it is only ever shortened.
    pub grace: Duration,
}

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// Starts among the init containers and runs beside the pod's containers.
    Sidecar,
    /// One of the pod's containers.
    Main,
}

/// How far the stopping of a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopStep {
    /// Its preStop hook runs.
    Hook(Ticket),
    /// Its hook is to sleep until this moment.
    Sleep(Moment),
    /// Its hook is over and its stop signal is due.
    Due,
    /// It has been sent its stop signal, and is not killed before this moment even if the grace period is over.
    Asked(Moment),
    /// It has been killed; its end will be told.
    Killed(Ticket),
}

/// Whether the postStart hook has been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PostStart {
    /// There is one, and it is due.
    Due,
    /// It runs.
    Running(Ticket),
    /// It is to sleep until this moment.
    Sleep(Moment),
    /// There is none, or it succeeded.
    Done,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// No instance of it runs: it was never started, waits, or ended for good.
    Idle {
        /// Not to be started before, whatever else says so.
        retry_at: Option<Moment>,
    },
    /// Its image is to be fetched.
    Wanting,
    /// Its image is being fetched.
    Pulling(Ticket),
    /// It is being made and started.
    Starting(Ticket),
    /// It runs.
    Live {
        /// The runtime's name of it.
        id: ContainerId,
        /// Since when, for people.
        started: Timestamp,
        /// Since when, for timers.
        since: Moment,
        /// Its postStart hook.
        hook: PostStart,
    },
    /// It is being stopped.
    Stopping {
        /// The runtime's name of it.
        id: ContainerId,
        /// Since when it runs.
        started: Timestamp,
        /// When its time is over.
        deadline: Moment,
        /// How far it has come.
        step: StopStep,
    },
    /// It has ended; what it left is to be read.
    Exited {
        /// The runtime's name of it.
        id: ContainerId,
        /// How.
        exit: Exit,
    },
    /// It has ended; what it left is being read.
    Collecting {
        /// The runtime's name of it.
        id: ContainerId,
        /// How.
        exit: Exit,
        /// By this work.
        ticket: Ticket,
    },
}

/// Why a container waits, as its status tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// One container of a pod.
#[derive(Clone, Debug)]
pub(super) struct Track {
    /// Its specification.
    pub spec: Container,
    /// What it is.
    pub role: Role,
    /// Where it stands.
    pub life: Life,
    /// Why it waits, if not just for its turn.
    pub trouble: Option<Trouble>,
    /// Its image, once fetched for the start that is due.
    pub fetched: Option<Arc<ResolvedImage>>,
    /// The last failure to fetch it.
    pub pull_error: Option<String>,
    /// When that was; while the image is being fetched, since when.
    pub pull_at: Moment,
    /// The waits between fetches.
    pub pull_backoff: Backoff,
    /// The waits between restarts.
    pub backoff: Backoff,
    /// How many instances were made.
    pub instances: u32,
    /// How many of them before the pod's present sandbox, where an earlier one was lost.
    pub before: u32,
    /// The newest instance, whether it runs or not.
    pub id: Option<ContainerId>,
    /// Its image.
    pub image_id: String,
    /// Its stop signal.
    pub stop_signal: i32,
    /// Its log.
    pub log: Option<PathBuf>,
    /// How the newest instance ended, if it did.
    pub ended: Option<ContainerStateTerminated>,
    /// When that was seen.
    pub ended_at: Moment,
    /// How the instance before ended.
    pub last: Option<ContainerStateTerminated>,
    /// Its probes.
    pub probing: Probing,
}

impl Track {
    /// A container that has not run yet.
    pub fn new(spec: &Container, init: bool) -> Track {
        let role = match (init, is_sidecar(spec)) {
            (true, true) => Role::Sidecar,
            (true, false) => Role::Init,
            (false, _) => Role::Main,
        };
        Track {
            probing: Probing::of(spec, role != Role::Init),
            spec: spec.clone(),
            role,
            life: Life::Idle { retry_at: None },
            trouble: None,
            fetched: None,
            pull_error: None,
            pull_at: Moment::default(),
            pull_backoff: Backoff::default(),
            backoff: Backoff::default(),
            instances: 0,
            before: 0,
            id: None,
            image_id: String::new(),
            stop_signal: 15,
            log: None,
            ended: None,
            ended_at: Moment::default(),
            last: None,
        }
    }

    /// Whether an instance runs, as far as the agent knows.
    pub fn is_live(&self) -> bool {
        matches!(self.life, Life::Live { .. } | Life::Stopping { .. })
    }

    /// Whether nothing of it runs and nothing is under way at the runtime.
    pub fn is_at_rest(&self) -> bool {
        matches!(self.life, Life::Idle { .. } | Life::Wanting | Life::Pulling(_))
    }

    /// The running instance.
    pub fn running_id(&self) -> Option<&ContainerId> {
        match &self.life {
            Life::Live { id, .. } | Life::Stopping { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Whether it runs, its postStart hook is over, and its startup probe succeeded.
    pub fn is_started(&self) -> bool {
        let running = match &self.life {
            Life::Live { hook, .. } => *hook == PostStart::Done,
            Life::Stopping { .. } => true,
            _ => false,
        };
        running && (self.role == Role::Init || self.probing.started())
    }

    /// Whether it counts as ready.
    pub fn is_ready(&self) -> bool {
        match self.role {
            Role::Init => self.ended.as_ref().is_some_and(|end| end.exit_code == 0) && !self.is_live(),
            _ => self.is_started() && self.probing.ready(),
        }
    }

    /// Whether it has a preStop hook.
    pub fn has_pre_stop(&self) -> bool {
        self.spec.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.pre_stop.is_some())
    }

    /// How often it was restarted.
    pub fn restarts(&self) -> u32 {
        self.instances.saturating_sub(1)
    }

    /// An instance runs.
    pub fn begin(&mut self, id: ContainerId, started: Timestamp, now: Moment) {
        let lifecycle = self.spec.lifecycle.as_ref();
        let has_hook = lifecycle.is_some_and(|lifecycle| lifecycle.post_start.is_some());
        let hook = if has_hook { PostStart::Due } else { PostStart::Done };
        self.life = Life::Live { id: id.clone(), started, since: now, hook };
        self.id = Some(id);
        if let Some(ended) = self.ended.take() {
            self.last = Some(ended);
        }
        self.trouble = None;
        self.fetched = None;
        self.probing.begin(now);
    }

    /// The instance ended, and this is all there is to know.
    pub fn end(&mut self, terminated: ContainerStateTerminated, now: Moment) {
        self.ended = Some(terminated);
        self.ended_at = now;
        self.life = Life::Idle { retry_at: None };
        self.trouble = None;
        self.probing.end();
    }

    /// The instance is gone without anybody having seen its end.
    pub fn end_unknown(&mut self, finished: Timestamp, now: Moment) {
        let container_id = self.id.as_ref().map(|id| format!("{ID_SCHEME}{}", id.0));
        let terminated = ContainerStateTerminated {
            exit_code: 137,
            reason: Some(STATUS_UNKNOWN.to_owned()),
            message: Some(STATUS_UNKNOWN_MESSAGE.to_owned()),
            finished_at: Some(seconds(finished)),
            container_id,
            ..ContainerStateTerminated::default()
        };
        self.end(terminated, now);
    }

    /// Takes over what the API says of an instance of a former agent's time.
    pub fn remember(&mut self, status: &ContainerStatus) {
        let state = status.state.clone().unwrap_or_default();
        let made = state.running.is_some() || state.terminated.is_some() || status.container_id.is_some();
        self.instances = u32::try_from(status.restart_count).unwrap_or(0) + u32::from(made);
        self.last = status.last_state.clone().and_then(|last| last.terminated);
        self.image_id = status.image_id.clone();
        self.id = status
            .container_id
            .as_deref()
            .and_then(|id| id.strip_prefix(ID_SCHEME))
            .map(|id| ContainerId(id.to_owned()));
        self.ended = state.terminated;
        if self.ended.is_none() && state.running.is_none() {
            self.ended = self.last.take();
        }
    }
}

/// A time as objects keep it.
pub(super) fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

/// Something users should hear about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The container it is about, with whether it is an init container; the pod if `None`.
    pub container: Option<(String, bool)>,
    /// Normal or warning.
    pub kind: EventType,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Where a pod comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The API.
    Api,
    /// A file of the node; the API has its mirror.
    Static,
}

/// One pod of the node.
#[derive(Debug)]
pub(super) struct PodRun {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The uid under which the runtime knows it.
    pub uid: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The newest state of its object that was seen.
    pub pod: Arc<Pod>,
    /// Where it stands.
    pub stage: Stage,
    /// That it ends.
    pub ending: Option<Ending>,
    /// Its containers: init containers first, in the order of the specification.
    pub tracks: Vec<Track>,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Its sandbox stands, with addresses.
    pub sandbox: bool,
    /// The runtime may hold something of it.
    pub touched: bool,
    /// Since when the node knows it, for `status.startTime`.
    pub started: Timestamp,
    /// The same for timers (`activeDeadlineSeconds`).
    pub since: Moment,
    /// Why it failed as a whole: reason and message.
    pub verdict: Option<Trouble>,
    /// Ends that were told before their start was.
    pub early: BTreeMap<ContainerId, Exit>,
    /// What users are to hear.
    pub told: Vec<Told>,
    /// A ConfigMap or Secret that it uses has changed.
    pub stale: bool,
    /// Volumes being brought up to date.
    pub refreshing: Option<Ticket>,
    /// Its sandbox was lost while it was being set up.
    pub overtaken: bool,
    /// It was over before this agent saw it: its status is not this agent's to write.
    pub settled: bool,
}

impl PodRun {
    /// A pod that has just been seen.
    pub fn new(
        key: &ObjectKey,
        uid: &str,
        origin: Origin,
        pod: Arc<Pod>,
        now: (Timestamp, Moment),
    ) -> PodRun {
        let spec = pod.spec.clone().unwrap_or_default();
        let inits = spec.init_containers.iter().flatten().map(|c| Track::new(c, true));
        let mains = spec.containers.iter().map(|c| Track::new(c, false));
        let known = pod.status.as_ref().and_then(|status| status.start_time.clone());
        let started = known.map_or(now.0, |time| time.0);
        let age = now.0.duration_since(started);
        let age = Duration::try_from(age).unwrap_or_default();
        PodRun {
            key: key.clone(),
            uid: uid.to_owned(),
            origin,
            tracks: inits.chain(mains).collect(),
            stage: Stage::Pending { retry_at: None },
            ending: None,
            ips: Vec::new(),
            sandbox: false,
            touched: false,
            started,
            since: Moment(now.1.0.saturating_sub(age)),
            verdict: None,
            early: BTreeMap::new(),
            told: Vec::new(),
            stale: false,
            refreshing: None,
            overtaken: false,
            settled: false,
            pod,
        }
    }

    /// The pod's restart policy.
    pub fn policy(&self) -> &str {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
    }

    /// The pod's grace period, at least the second that upstream gives.
    pub fn grace(&self) -> Duration {
        let seconds = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        grace_of(seconds.unwrap_or(30))
    }

    /// Whether its network is the node's.
    pub fn host_network(&self) -> bool {
        self.pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
    }

    /// Whether one of the pod's own containers has run in its sandbox: then init containers are not looked at again.
    pub fn initialized(&self) -> bool {
        self.tracks.iter().any(|track| track.role == Role::Main && track.instances > track.before)
    }

    /// Whether one of the pod's own containers has ever run.
    pub fn has_run(&self) -> bool {
        self.tracks.iter().any(|track| track.role == Role::Main && track.instances > 0)
    }

    /// Asks for its end. A stronger reason replaces a weaker, a shorter time a longer.
    pub fn end(&mut self, why: Why, grace: Duration) {
        let ending = self.ending.get_or_insert(Ending { why, grace });
        ending.why = ending.why.max(why);
        ending.grace = ending.grace.min(grace);
    }

    /// Tells users about the pod.
    pub fn tell(&mut self, kind: EventType, reason: &str, message: String) {
        self.told.push(Told { container: None, kind, reason: reason.to_owned(), message });
    }

    /// Tells users about a container.
    pub fn tell_of(&mut self, at: usize, kind: EventType, reason: &str, message: String) {
        let Some(track) = self.tracks.get(at) else { return };
        let container = Some((track.spec.name.clone(), track.role != Role::Main));
        self.told.push(Told { container, kind, reason: reason.to_owned(), message });
    }

    /// `name_namespace(uid)`, as upstream prints pods in messages.
    pub fn printed(&self) -> String {
        format!("{}_{}({})", self.key.name(), self.key.namespace(), self.uid)
    }

    /// The runtime is gone and every instance with it. A pod that does not end is made anew once there is a runtime.
    pub fn lose(&mut self, now: (Timestamp, Moment)) {
        self.lose_instances(now);
        self.sandbox = false;
        match self.stage {
            Stage::Running if self.ending.is_none() => self.make_anew(now.1),
            Stage::SettingUp { .. } => self.overtaken = true,
            _ => {}
        }
    }

    /// Ends what runs or ran in a sandbox that is gone.
    pub fn lose_instances(&mut self, now: (Timestamp, Moment)) {
        for track in &mut self.tracks {
            match track.life {
                Life::Live { .. } | Life::Stopping { .. } | Life::Exited { .. } => {
                    track.end_unknown(now.0, now.1)
                }
                _ => {}
            }
        }
    }

    /// The pod begins again in a new sandbox, its init containers too, unless nothing of it is to run again.
    pub fn make_anew(&mut self, now: Moment) {
        for track in &mut self.tracks {
            track.before = track.instances;
        }
        self.stage = Stage::RemoveFailed { retry_at: now, anew: true };
    }

    /// What an init container did in a sandbox that is gone does not count: it is to run again.
    pub fn forget_inits(&mut self) {
        for track in self.tracks.iter_mut().filter(|track| track.role == Role::Init) {
            if let Some(ended) = track.ended.take() {
                track.last = Some(ended);
            }
        }
    }

    /// Takes over what a former agent left running, as far as the API tells which container is which. Answers
    /// whether it could; otherwise what is there must be removed first.
    pub fn adopt(&mut self, found: &[(ContainerId, ContainerState)], now: (Timestamp, Moment)) -> bool {
        self.touched = true;
        for (id, state) in found {
            let Some(track) = self.tracks.iter_mut().find(|track| track.id.as_ref() == Some(id)) else {
                if matches!(state, ContainerState::Exited(_)) {
                    continue;
                }
                return false;
            };
            match state {
                ContainerState::Created => return false,
                ContainerState::Running { started, .. } => {
                    track.begin(id.clone(), *started, now.1);
                    if let Life::Live { hook, .. } = &mut track.life {
                        *hook = PostStart::Done;
                    }
                }
                ContainerState::Exited(exit) => {
                    track.life = Life::Exited { id: id.clone(), exit: exit.clone() };
                }
            }
        }
        true
    }
}

/// A grace period in seconds as the agent keeps it: at least one, as upstream.
pub(super) fn grace_of(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
}
