//! Carries out the acts of a plan: changes the pod's state and submits the blocking part.
//!
//! Thin: one paragraph an act. Nothing is decided here.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::go_duration;
use super::jobs::{self, Desk, Order, Target};
use super::outcome::Done;
use super::plan::Act;
use super::pod::{Life, PodRun, PostStart, Stage, StopStep, Trouble, Why};
use super::pods::{Cx, Key, Pods};
use crate::limits::LEAST_GRACE;
use crate::reconcile::{Class, EventType};
use crate::world::Moment;

impl Pods {
    fn desk(&self, cx: &Cx<'_>, run: &PodRun) -> Desk {
        Desk {
            hands: self.hands.clone(),
            config: self.config.clone(),
            world: cx.world().clone(),
            pod: run.pod.clone(),
            uid: run.uid.clone(),
            view: cx.view().clone(),
        }
    }

    fn target(&self, run: &PodRun, at: usize) -> Option<Target> {
        let track = run.tracks.get(at)?;
        let ips = if run.host_network() { &self.config.ips } else { &run.ips };
        Some(Target {
            hands: self.hands.clone(),
            container: track.spec.clone(),
            id: track.running_id()?.clone(),
            ip: ips.first().copied(),
        })
    }

    /// Carries out one act.
    pub fn act(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, act: Act) {
        let key = Key::Pod(run.key.clone());
        let now = cx.moment();
        match act {
            Act::SetUp(containers) => {
                let orders: Vec<Order> = containers.iter().map(|at| order(run, *at, now)).collect();
                let desk = self.desk(cx, run);
                let ticket = cx.submit(Class::Runtime, key, move || Done::SetUp(desk.set_up(orders)));
                for at in containers {
                    run.tracks[at].life = Life::Starting(ticket);
                }
                run.touched = true;
                run.stale = false;
                run.stage = Stage::SettingUp { ticket };
            }
            Act::Refresh => {
                let (desk, ips) = (self.desk(cx, run), run.ips.clone());
                let refresh = move || Done::Refreshed(desk.refresh(ips));
                run.refreshing = Some(cx.submit(Class::Volume, key, refresh));
                run.stale = false;
            }
            Act::Start(at) => {
                let (desk, ips, order) = (self.desk(cx, run), run.ips.clone(), order(run, at, now));
                let start = move || Done::Started(desk.start_in(ips, order));
                run.tracks[at].life = Life::Starting(cx.submit(Class::Runtime, key, start));
            }
            Act::Pull(at) => self.pull(cx, run, at),
            Act::PullLater(at) => {
                let track = &mut run.tracks[at];
                let event =
                    format!("Back-off pulling image {:?}", track.spec.image.as_deref().unwrap_or_default());
                let last = track.pull_error.clone().unwrap_or_default();
                let message = if last.is_empty() { event.clone() } else { format!("{event}: {last}") };
                track.trouble = Some(Trouble { reason: "ImagePullBackOff".to_owned(), message });
                run.tell_of(at, EventType::Normal, "BackOff", event);
                run.tell_of(at, EventType::Warning, "Failed", "Error: ImagePullBackOff".to_owned());
            }
            Act::Loop(at, _) => {
                let printed = run.printed();
                let track = &mut run.tracks[at];
                let (name, delay) = (track.spec.name.clone(), go_duration(track.backoff.delay()));
                let message = format!("back-off {delay} restarting failed container={name} pod={printed}");
                track.trouble = Some(Trouble { reason: "CrashLoopBackOff".to_owned(), message });
                let event = format!("Back-off restarting failed container {name} in pod {printed}");
                run.tell_of(at, EventType::Warning, "BackOff", event);
            }
            Act::PostStart(at) => self.post_start(cx, run, at),
            Act::Slept(at) => {
                if let Life::Live { hook, .. } = &mut run.tracks[at].life {
                    *hook = PostStart::Done;
                }
            }
            Act::Probe(at, which) => {
                let Some(target) = self.target(run, at) else { return };
                let Some(probe) = run.tracks[at].probing.probe(which).cloned() else { return };
                let ticket = cx.submit(Class::Probe, key, move || Done::Probed(target.probe(&probe)));
                run.tracks[at].probing.submitted(which, ticket, now);
            }
            Act::Collect(at) => self.collect(cx, run, at),
            Act::Stop(at, deadline) => {
                let message = format!("Stopping container {}", run.tracks[at].spec.name);
                self.begin_stop(cx, run, at, deadline, message);
            }
            Act::Signal(at, least) => {
                let track = &mut run.tracks[at];
                let signal = track.stop_signal;
                let Life::Stopping { id, step, .. } = &mut track.life else { return };
                *step = StopStep::Asked(least);
                let (hands, id) = (self.hands.clone(), id.clone());
                cx.submit(Class::Runtime, key, move || {
                    // A container that cannot be asked is killed when its time is over.
                    let _ = hands.runtime.signal(&id, signal);
                    Done::Nothing
                });
            }
            Act::Kill(at) => {
                let hands = self.hands.clone();
                let Life::Stopping { id, step, .. } = &mut run.tracks[at].life else { return };
                let id = id.clone();
                let ticket = cx.submit(Class::Runtime, key, move || Done::Killed(hands.runtime.kill(&id)));
                *step = StopStep::Killed(ticket);
            }
            Act::End(why) => end(run, why),
            Act::Enter(stage) => run.stage = stage,
            Act::TearDown { anew } => {
                let desk = self.desk(cx, run);
                let ticket = cx.submit(Class::Runtime, key, move || Done::TornDown(desk.tear_down(anew)));
                run.stage = Stage::Removing { ticket, anew };
            }
        }
    }

    fn pull(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, at: usize) {
        let reference = run.tracks[at].spec.image.clone().unwrap_or_default();
        run.tell_of(at, EventType::Normal, "Pulling", format!("Pulling image {reference:?}"));
        let hands = self.hands.clone();
        let pull = move || Done::Pulled(hands.images.pull(&reference));
        let ticket = cx.submit(Class::Image, Key::Pod(run.key.clone()), pull);
        let track = &mut run.tracks[at];
        track.life = Life::Pulling(ticket);
        track.pull_at = cx.moment();
    }

    fn post_start(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, at: usize) {
        let handler =
            run.tracks[at].spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.clone());
        let target = self.target(run, at);
        let hook = match (handler, target) {
            (Some(handler), Some(target)) => match &handler.sleep {
                Some(sleep) => PostStart::Sleep(cx.moment().after(slept(sleep.seconds))),
                None => {
                    let timeout = crate::limits::HOOK_MOST;
                    let run_hook = move || Done::Hooked(target.hook(&handler, timeout));
                    PostStart::Running(cx.submit(Class::Probe, Key::Pod(run.key.clone()), run_hook))
                }
            },
            _ => PostStart::Done,
        };
        if let Life::Live { hook: state, .. } = &mut run.tracks[at].life {
            *state = hook;
        }
    }

    fn collect(&mut self, cx: &mut Cx<'_>, run: &mut PodRun, at: usize) {
        let track = &mut run.tracks[at];
        let Life::Exited { id, exit } = track.life.clone() else { return };
        let policy = track.spec.termination_message_policy.clone();
        let (hands, log) = (self.hands.clone(), track.log.clone());
        let (job_id, job_exit) = (id.clone(), exit.clone());
        let ticket = cx.submit(Class::Runtime, Key::Pod(run.key.clone()), move || {
            Done::Collected(jobs::collect(&hands, &job_id, &job_exit, policy.as_deref(), log))
        });
        track.life = Life::Collecting { id, exit, ticket };
    }

    /// Begins to stop a container: its preStop hook, or at once its stop signal.
    pub fn begin_stop(
        &mut self,
        cx: &mut Cx<'_>,
        run: &mut PodRun,
        at: usize,
        deadline: Moment,
        message: String,
    ) {
        let Life::Live { id, started, .. } = run.tracks[at].life.clone() else { return };
        let target = self.target(run, at);
        run.tell_of(at, EventType::Normal, "Killing", message);
        let handler = run.tracks[at].spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.clone());
        let grace = deadline.since(cx.moment());
        let step = match (handler, target) {
            (Some(handler), Some(target)) if grace > Duration::ZERO => match &handler.sleep {
                Some(sleep) => StopStep::Sleep(cx.moment().after(slept(sleep.seconds))),
                None => {
                    let timeout = grace.max(LEAST_GRACE);
                    let run_hook = move || Done::Hooked(target.hook(&handler, timeout));
                    StopStep::Hook(cx.submit(Class::Probe, Key::Pod(run.key.clone()), run_hook))
                }
            },
            _ => StopStep::Due,
        };
        run.tracks[at].life = Life::Stopping { id, started, deadline, step };
    }
}

fn slept(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// The order to start a container; counts it for the back-off.
fn order(run: &mut PodRun, at: usize, now: Moment) -> Order {
    let track = &mut run.tracks[at];
    if track.ended.is_some() && track.fetched.is_none() {
        track.backoff.next(track.ended_at, now);
    }
    Order {
        at,
        spec: track.spec.clone(),
        attempt: track.instances,
        fetched: track.fetched.as_ref().map(Arc::clone),
        leftover: track.id.clone(),
    }
}

fn end(run: &mut PodRun, why: Why) {
    if why == Why::Deadline {
        let message = "Pod was active on the node longer than the specified deadline";
        run.tell(EventType::Normal, "DeadlineExceeded", message.to_owned());
        run.verdict = Some(Trouble { reason: "DeadlineExceeded".to_owned(), message: message.to_owned() });
    }
    let grace = run.grace();
    run.end(why, grace);
}
