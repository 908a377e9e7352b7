//! The scheduler as a reconciler: folds changes, takes the most urgent pod, decides, binds.
//!
//! One key, [`Turn`], since only one pod can be the most urgent; a failure delays its own pod alone. Invariant: a
//! pod is decided from a fold that holds every change observed and every binding of our own.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::cluster::ClusterSnapshot;
use super::decide::{Decision, Diagnosis};
use super::node::NodeInfo;
use super::plugin::Profile;
use super::pod::{PodInfo, Usage};
use super::queue::{PodQueue, Tried, Waiting};
use crate::api::ObjectKey;
use crate::api::meta::time_now_meta;
use crate::reconcile::{Action, Context, Error, EventType, Plan, Reconciler, Seen, Step, Wakes};
use crate::store::{Interest, Stored};
use crate::world::Moment;

/// The key of the scheduler: one pod's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Turn;

/// The name by which pods ask for this scheduler unless they say otherwise.
pub const DEFAULT_NAME: &str = "default-scheduler";

/// Gives pods their nodes.
pub struct Scheduler {
    name: String,
    profile: Profile,
    cluster: ClusterSnapshot,
    queue: PodQueue,
    /// Nodes that changed in favour of pods since the waiting ones were last held against them.
    freed: BTreeSet<Arc<str>>,
    /// Nodes that may have room for more than the pods that were woken for them.
    roomy: BTreeSet<Arc<str>>,
    /// Whether a pod was bound since then: only then it is worth looking again.
    bound: bool,
    /// Whether anything changed that a filter could see that looks further than one node.
    changed: bool,
}

impl Scheduler {
    /// The scheduler of pods that name none, with these filters and scores.
    pub fn new(profile: Profile) -> Scheduler {
        Scheduler {
            name: DEFAULT_NAME.to_owned(),
            profile,
            cluster: ClusterSnapshot::default(),
            queue: PodQueue::default(),
            freed: BTreeSet::new(),
            roomy: BTreeSet::new(),
            bound: false,
            changed: false,
        }
    }

    /// Serves the pods that name this scheduler instead.
    pub fn named(mut self, name: &str) -> Scheduler {
        self.name = name.to_owned();
        self
    }

    /// The cluster as it was last seen.
    pub fn cluster(&self) -> &ClusterSnapshot {
        &self.cluster
    }

    fn observe_node(&mut self, seen: &Seen<'_>) -> bool {
        let Some(node) = seen.new::<Node>() else {
            self.cluster.remove_node(seen.key().name());
            self.changed = true;
            return false;
        };
        let info = NodeInfo::of_stored(&node);
        let name = info.name.clone();
        let offers_more = self.cluster.set_node(info);
        if offers_more {
            self.freed.insert(name);
            self.changed = true;
        }
        offers_more
    }

    /// Answers whether somebody may have to be tried.
    fn observe_pod(&mut self, seen: &Seen<'_>) -> bool {
        let header = &seen.change().new.header;
        let node = header.term("spec.nodeName").unwrap_or_default();
        let ended = matches!(header.term("status.phase"), Some("Succeeded" | "Failed"));
        if seen.deleted() || ended || (node.is_empty() && header.deleting) {
            self.queue.remove(&header.key);
            let freed = self.cluster.remove(&header.key);
            self.changed |= freed.is_some();
            let wakes = freed.is_some();
            self.freed.extend(freed);
            return wakes;
        }
        if !node.is_empty() {
            self.queue.remove(&header.key);
            if !self.cluster.is_placed(&header.key, &header.uid, node)
                && let Some(pod) = seen.new::<Pod>()
            {
                self.cluster.place(&header.key, &header.uid, node, Arc::new(Usage::of(&pod)));
                self.changed = true;
                return true;
            }
            return false;
        }
        let Some(pod) = seen.new::<Pod>() else { return false };
        // A namesake that was placed before is gone.
        self.freed.extend(self.cluster.remove(&header.key));
        self.observe_waiting(&pod)
    }

    fn observe_waiting(&mut self, pod: &Stored<Pod>) -> bool {
        let Some(spec) = &pod.spec else { return false };
        let wanted = spec.scheduler_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAME);
        if wanted != self.name {
            self.queue.remove(pod.key());
            return false;
        }
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        let known = self.queue.holds(pod.key(), pod.uid());
        if known && gated == self.queue.is_gated(pod.key()) {
            // Our own condition, or a change of something that no node cares about.
            let same = self.queue.found(pod.key()).is_none_or(|found| **found == PodInfo::of_stored(pod));
            if same {
                return false;
            }
        }
        let created = pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        self.queue.put(Waiting {
            key: pod.key().clone(),
            uid: pod.header().uid.clone(),
            priority: spec.priority.unwrap_or(0),
            created,
            gated,
        });
        !gated
    }

    /// Wakes the waiting pods that a changed node takes now: as many as it has room for, the most urgent first.
    /// The node is looked at again once those have been tried, since they may have gone elsewhere.
    fn wake_helped(&mut self, now: Moment) {
        if self.queue.waiting().next().is_none() {
            self.freed.clear();
            self.roomy.clear();
            self.changed = false;
            return;
        }
        if self.queue.is_idle() {
            if std::mem::take(&mut self.bound) {
                self.freed.append(&mut self.roomy);
            }
            self.roomy.clear();
        }
        let mut helped: Vec<ObjectKey> = Vec::new();
        if std::mem::take(&mut self.changed) {
            helped.extend(self.queue.waiting().filter(|(_, any)| *any).map(|(info, _)| info.key.clone()));
        }
        for name in std::mem::take(&mut self.freed) {
            let Some(node) = self.cluster.node(&name) else { continue };
            let mut trial = node.clone();
            let mut found = false;
            for (info, _) in self.queue.waiting() {
                if self.profile.takes(info, &trial) {
                    trial.taken.add(&info.usage);
                    helped.push(info.key.clone());
                    found = true;
                }
            }
            if found {
                self.roomy.insert(name);
            }
        }
        for key in helped {
            self.queue.retry(&key, now);
        }
    }

    /// Tries one pod. Every failure is this pod's own: it waits in the queue and tries again.
    fn attempt(&mut self, cx: &mut Context<'_, Turn>, tried: &Tried) -> Result<(), Error> {
        let stored = cx.view().get::<Pod>(&tried.key).filter(|pod| *pod.uid() == *tried.uid);
        let Some(pod) = stored.filter(|pod| !pod.is_deleting()) else {
            return Ok(());
        };
        let info = Arc::new(PodInfo::of_stored(&pod));
        if info.node_name.is_some() {
            return Ok(());
        }
        let draw = cx.world().entropy.next();
        let decided = catch_unwind(AssertUnwindSafe(|| self.profile.decide(&self.cluster, &info, draw)));
        let decision = decided.map_err(|_| Error::Failed {
            step: format!("decide where {} goes", tried.key),
            cause: "a filter or score panicked".to_owned(),
        })?;
        match decision {
            Decision::Node(node) => {
                cx.apply(binding(&pod, &node))?;
                self.bound = true;
                self.queue.remove(&tried.key);
                self.cluster.place(&tried.key, &tried.uid, &node, info.usage.clone());
            }
            Decision::Unschedulable(diagnosis) => {
                cx.apply(refusal(&pod, &diagnosis, time_now_meta(cx.now())))?;
                self.queue.wait_for_change(&tried.key, info, diagnosis.looks_further);
            }
        }
        Ok(())
    }
}

/// Binds a pod and says so.
fn binding(pod: &Stored<Pod>, node: &str) -> Plan {
    let mut plan = Plan::new();
    plan.steps.push(Step::Bind { pod: pod.key().clone(), uid: pod.uid().to_owned(), node: node.to_owned() });
    let message = format!("Successfully assigned {} to {node}", pod.key());
    plan.event(&**pod, EventType::Normal, "Scheduled", message);
    plan
}

/// Says why a pod has no node: in its conditions, where that is new, and as an event.
fn refusal(pod: &Stored<Pod>, diagnosis: &Diagnosis, now: Time) -> Plan {
    let mut plan = Plan::new();
    let message = diagnosis.message();
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref());
    let old = conditions.unwrap_or_default().iter().find(|condition| condition.type_ == "PodScheduled");
    let mut new = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(message.clone()),
        observed_generation: pod.metadata.generation,
        last_transition_time: Some(now),
        ..PodCondition::default()
    };
    let same = |old: &PodCondition| {
        (&old.status, &old.reason, &old.message) == (&new.status, &new.reason, &new.message)
    };
    if !old.is_some_and(same) {
        if let Some(old) = old.filter(|old| old.status == new.status) {
            new.last_transition_time.clone_from(&old.last_transition_time);
        }
        let mut pod = Pod::clone(pod);
        let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
        conditions.retain(|condition| condition.type_ != new.type_);
        conditions.push(new);
        plan.update_status(pod);
    }
    plan.event(&**pod, EventType::Warning, "FailedScheduling", message);
    plan
}

impl Reconciler for Scheduler {
    type Key = Turn;

    fn name(&self) -> &str {
        &self.name
    }

    fn manager(&self) -> &str {
        "kube-scheduler"
    }

    fn interests(&self, kinds: &crate::api::Registry) -> Vec<Interest> {
        [kinds.id_of::<Node>(), kinds.id_of::<Pod>()].into_iter().flatten().map(Interest::all).collect()
    }

    fn reset(&mut self) {
        self.cluster = ClusterSnapshot::default();
        self.queue = PodQueue::default();
        self.freed.clear();
        self.roomy.clear();
        self.bound = false;
        self.changed = true;
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Turn>) {
        let woken = if seen.is::<Node>() { self.observe_node(seen) } else { self.observe_pod(seen) };
        if woken {
            wakes.wake(Turn);
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Turn>, _turn: &Turn) -> Result<Action, Error> {
        let now = cx.moment();
        self.wake_helped(now);
        if let Some(tried) = self.queue.take(now)
            && let Err(error) = self.attempt(cx, &tried)
        {
            tracing::warn!(pod = %tried.key, %error, "tries this pod again later");
        }
        let look_again = self.queue.is_idle() && self.bound && !self.roomy.is_empty();
        match self.queue.next(now) {
            _ if look_again => Ok(Action::After(Duration::ZERO)),
            Some(delay) => Ok(Action::After(delay)),
            None => Ok(Action::Done),
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scheduler({})", self.name)
    }
}
