//! The reconciler of a node's pods: takes in what happens, asks `plan` what is due, has `work` do it, and writes
//! statuses.
//!
//! A key is a pod; one more key stands for the node itself (its start, its runtime, its own pods). All blocking calls
//! are submitted work. The state of the runs is rebuilt at a start from the API and from what the runtime still holds.
//!
//! Invariants: under one name at most one run; what the runtime holds belongs to a run or is being removed; an object
//! that is marked for deletion is deleted only after nothing of its pod is left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Node, ObjectReference, Pod, PodStatus, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use parking_lot::Mutex;

use super::admit::{Room, admit};
use super::config::{Hands, Health, NodeConfig};
use super::folds::{Endpoints, Uses};
use super::outcome::Done;
use super::plan::{Wish, plan};
use super::pod::{Life, Origin, PodRun, Stage, Told, Track, Trouble, Why, grace_of};
use super::registration::node_labels;
use super::revival::Revival;
use super::statics::{self, MIRROR, StaticPod};
use super::status::{Host, pod_status};
use crate::api::{ObjectKey, Registry};
use crate::apiserver::DeleteOptions;
use crate::limits::POD_STEPS;
use crate::node::runtime::{ContainerId, ContainerState, RuntimeError, RuntimeEvent};
use crate::reconcile::{
    Action, Class, Context, Error, EventType, Output, Plan, Reconciler, Seen, Ticket, View, Wakes,
};
use crate::store::{Interest, Select, Within};
use crate::world::Moment;

/// The index term of the pods by node.
const NODE_NAME: &str = "spec.nodeName";

/// What an agent's work is divided by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The node itself: its start, its runtime, its network, its own pods.
    Node,
    /// A pod, by namespace and name.
    Pod(ObjectKey),
}

/// What others leave for the agent before they wake its [`Key::Node`].
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub events: Mutex<VecDeque<RuntimeEvent>>,
    pub statics_changed: AtomicBool,
}

/// How far the agent's own start has come.
#[derive(Debug)]
enum Boot {
    /// Nothing has been done.
    New,
    /// The runtime is being asked what it holds.
    Asking(Ticket),
    /// It has answered: what it holds and no run has claimed yet.
    Up(BTreeMap<String, Vec<(ContainerId, ContainerState)>>),
}

pub(super) type Cx<'a> = Context<'a, Key>;

/// The reconciler of a node's pods.
#[derive(Debug)]
pub(super) struct Pods {
    name: String,
    pub config: Arc<NodeConfig>,
    pub hands: Arc<Hands>,
    health: Arc<Health>,
    inbox: Arc<Inbox>,
    boot: Boot,
    pub runs: BTreeMap<ObjectKey, PodRun>,
    uids: BTreeMap<String, ObjectKey>,
    early_keys: BTreeSet<ObjectKey>,
    endpoints: Endpoints,
    uses: Uses,
    statics: BTreeMap<ObjectKey, StaticPod>,
    reading: Option<Ticket>,
    revival: Revival,
}

/// What the cluster wants under one name.
enum Desire {
    /// Nothing.
    Nothing,
    /// A pod of the API.
    Api(Arc<Pod>),
    /// A pod of the node's own, with its mirror if there is one.
    Static(StaticPod, Option<Arc<Pod>>),
}

impl Desire {
    fn uid(&self) -> Option<&str> {
        match self {
            Desire::Nothing => None,
            Desire::Api(pod) => pod.metadata.uid.as_deref(),
            Desire::Static(pod, _) => Some(&pod.uid),
        }
    }
}

impl Pods {
    pub fn new(config: Arc<NodeConfig>, hands: Arc<Hands>, health: Arc<Health>, inbox: Arc<Inbox>) -> Pods {
        Pods {
            name: format!("node-agent/{}", config.name),
            config,
            hands,
            health,
            inbox,
            boot: Boot::New,
            runs: BTreeMap::new(),
            uids: BTreeMap::new(),
            early_keys: BTreeSet::new(),
            endpoints: Endpoints::default(),
            uses: Uses::default(),
            statics: BTreeMap::new(),
            reading: None,
            revival: Revival::default(),
        }
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(self.config.name.as_str())
    }

    /// The uids of the pods that are bound to this node.
    fn bound(&self, view: &View) -> Vec<String> {
        let indexed = view
            .registry()
            .id_of::<Pod>()
            .is_some_and(|kind| view.registry().strategy(kind).info().terms.contains(&NODE_NAME));
        let select = if indexed { Select::Term(NODE_NAME, &self.config.name) } else { Select::All };
        view.list::<Pod>(select).filter(|pod| self.is_ours(pod)).map(|pod| pod.uid().to_owned()).collect()
    }

    /// The container images of a running pod may be changed: such a container is replaced.
    fn redefine(&mut self, cx: &mut Cx<'_>, run: &mut PodRun) {
        let Some(spec) = run.pod.spec.clone() else { return };
        if run.ending.is_some() {
            return;
        }
        for new in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            let found = run.tracks.iter().position(|t| t.spec.name == new.name && t.spec.image != new.image);
            let Some(at) = found else { continue };
            let track = &mut run.tracks[at];
            track.spec.image = new.image.clone();
            track.fetched = None;
            track.pull_error = None;
            if matches!(track.life, Life::Wanting) {
                track.life = Life::Idle { retry_at: None };
            }
            let message = format!("Container {} definition changed, will be restarted", new.name);
            let deadline = cx.moment().after(run.grace());
            self.begin_stop(cx, run, at, deadline, message);
        }
    }

    fn desire(&self, view: &View, key: &ObjectKey) -> Desire {
        let object = view.get::<Pod>(key).map(|pod| pod.shared()).filter(|pod| self.is_ours(pod));
        let is_mirror = |pod: &Arc<Pod>| {
            pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR))
        };
        match (self.statics.get(key), object) {
            (Some(own), object) => Desire::Static(own.clone(), object.filter(is_mirror)),
            (None, Some(pod)) if is_mirror(&pod) => Desire::Nothing,
            (None, Some(pod)) => Desire::Api(pod),
            (None, None) => Desire::Nothing,
        }
    }

    // --- the node's own key ---

    /// Answers when to look again.
    fn reconcile_node(&mut self, cx: &mut Cx<'_>) -> Option<Moment> {
        if matches!(self.boot, Boot::New) {
            let hands = self.hands.clone();
            let ask = move || Done::Booted { found: hands.runtime.list(), statics: statics::read(&hands) };
            self.boot = Boot::Asking(cx.submit(Class::Runtime, Key::Node, ask));
            return None;
        }
        if !matches!(self.boot, Boot::Up(_)) {
            return None;
        }
        // A change that comes while the files are read is kept: the reading may have missed it.
        if self.reading.is_none() && self.inbox.statics_changed.swap(false, Ordering::AcqRel) {
            let hands = self.hands.clone();
            let read = move || Done::Statics(statics::read(&hands));
            self.reading = Some(cx.submit(Class::Volume, Key::Node, read));
        }
        let events = std::mem::take(&mut *self.inbox.events.lock());
        for event in events {
            self.take_event(cx, event);
        }
        for (key, run) in &self.runs {
            if matches!(run.stage, Stage::Draining { .. }) {
                cx.notifier().notify(Key::Pod(key.clone()));
            }
        }
        self.revive(cx)
    }

    fn take_event(&mut self, cx: &mut Cx<'_>, event: RuntimeEvent) {
        match event {
            RuntimeEvent::Exited { sandbox, container, exit } => {
                let Some(key) = self.uids.get(&sandbox.0) else { return };
                if let Some(run) = self.runs.get_mut(key) {
                    super::outcome::exited(run, container, exit);
                    cx.notifier().notify(Key::Pod(key.clone()));
                }
            }
            RuntimeEvent::Lost { reason } => self.lost(cx, &reason),
        }
    }

    /// There is no runtime any more, and so no container.
    fn lost(&mut self, cx: &mut Cx<'_>, reason: &str) {
        let now = (cx.now(), cx.moment());
        self.revival.lost(now.1);
        let given_up = if self.revival.is_given_up() { ", too often to be started again" } else { "" };
        tracing::error!(node = %self.config.name, %reason, "the container runtime is gone{given_up}");
        self.health.set_trouble(format!("the container runtime is gone: {reason}{given_up}"));
        for (key, run) in &mut self.runs {
            run.lose(now);
            cx.notifier().notify(Key::Pod(key.clone()));
        }
    }

    /// Starts a runtime that is gone again when that is due. Answers when to look again.
    fn revive(&mut self, cx: &mut Cx<'_>) -> Option<Moment> {
        let due = self.revival.due()?;
        if due > cx.moment() {
            return Some(due);
        }
        let hands = self.hands.clone();
        let restart = move || Done::Restarted(hands.runtime.restart());
        self.revival.begin(cx.submit(Class::Runtime, Key::Node, restart));
        None
    }

    /// The runtime was started again, or not.
    fn revived(&mut self, cx: &mut Cx<'_>, started: Result<(), RuntimeError>) {
        match started {
            Ok(()) => {
                tracing::warn!(node = %self.config.name, "the container runtime was started again");
                self.revival.up(cx.moment());
                self.health.clear();
                self.runs.keys().for_each(|key| cx.notifier().notify(Key::Pod(key.clone())));
            }
            Err(RuntimeError::Lost(reason)) => self.lost(cx, &reason),
            Err(cause) => self.lost(cx, &cause.to_string()),
        }
    }

    /// The runtime has told what it holds: what nobody wants is removed, the rest waits for its run.
    pub fn booted(&mut self, cx: &mut Cx<'_>, ticket: Ticket, done: Done) {
        if self.revival.awaits(ticket) {
            let started = match done {
                Done::Restarted(started) => started,
                Done::Panicked(cause) => Err(RuntimeError::Lost(cause)),
                _ => return,
            };
            self.revived(cx, started);
            return;
        }
        if let Done::Statics(read) = done {
            if self.reading == Some(ticket) {
                self.reading = None;
                self.take_statics(cx, read);
                cx.notifier().notify(Key::Node);
            }
            return;
        }
        let Done::Booted { found, statics } = done else { return };
        if !matches!(self.boot, Boot::Asking(asked) if asked == ticket) {
            return;
        }
        let found = found.unwrap_or_else(|cause| {
            self.lost(cx, &cause.to_string());
            cx.notifier().notify(Key::Node);
            Vec::new()
        });
        self.boot = Boot::Up(BTreeMap::new());
        self.take_statics(cx, statics);
        let mut wanted: BTreeSet<String> = self.statics.values().map(|own| own.uid.clone()).collect();
        let keys = std::mem::take(&mut self.early_keys);
        // Not only the pods that were looked at so far: their keys may still be waiting.
        wanted.extend(self.bound(cx.view()));
        let mut held = BTreeMap::new();
        for (sandbox, containers) in found {
            if wanted.contains(&sandbox.0) {
                held.insert(sandbox.0, containers);
            } else {
                let hands = self.hands.clone();
                cx.submit(Class::Runtime, Key::Node, move || {
                    if let Err(cause) = super::jobs::tear_down(&hands, &sandbox.0) {
                        tracing::warn!(uid = %sandbox.0, %cause, "what a former agent left could not be removed");
                    }
                    Done::Nothing
                });
            }
        }
        self.boot = Boot::Up(held);
        for key in keys {
            cx.notifier().notify(Key::Pod(key));
        }
    }

    fn take_statics(&mut self, cx: &mut Cx<'_>, read: Result<Vec<super::seams::StaticFile>, String>) {
        let files = match read {
            Ok(files) => files,
            Err(cause) => {
                tracing::warn!(node = %self.config.name, %cause, "the node's own pods cannot be read");
                return;
            }
        };
        let new = statics::prepare(files, &self.config.name, cx.now());
        let old = std::mem::take(&mut self.statics);
        for key in old.keys().chain(new.keys()) {
            let same = old.get(key).map(|own| &own.uid) == new.get(key).map(|own| &own.uid);
            if !same {
                cx.notifier().notify(Key::Pod(key.clone()));
            }
        }
        // What has not changed keeps the time at which it was first seen.
        self.statics = new
            .into_iter()
            .map(|(key, own)| match old.get(&key) {
                Some(before) if before.uid == own.uid => (key, before.clone()),
                _ => (key, own),
            })
            .collect();
    }

    // --- a pod's key ---

    fn reconcile_pod(&mut self, cx: &mut Cx<'_>, key: &ObjectKey) -> Result<Action, Error> {
        if !matches!(self.boot, Boot::Up(_)) {
            self.early_keys.insert(key.clone());
            return Ok(Action::Done);
        }
        let view = cx.view().clone();
        let desire = self.desire(&view, key);
        let mut run = match self.runs.remove(key) {
            Some(run) => run,
            None => {
                let Some(run) = self.begin(cx, key, &desire) else {
                    return self.orphaned_mirror(cx, key);
                };
                run
            }
        };
        update(&mut run, &desire);
        if run.origin == Origin::Api {
            self.redefine(cx, &mut run);
        }
        let again = self.advance(cx, &mut run);
        let (mut steps, mut events) = (Plan::new(), Plan::new());
        tell(&mut events, &mut run);
        let ours = desire.uid() == Some(run.uid.as_str());
        let gone = run.stage == Stage::Gone;
        if ours {
            self.show(&mut steps, &run, &desire, &view, cx.now());
            let deleted = run.ending.is_some_and(|ending| ending.why == Why::Deleted);
            if let (Desire::Api(_), true, true) = (&desire, gone, deleted) {
                let options = DeleteOptions::default().grace(0).of_uid(&run.uid);
                steps.delete_with::<Pod>(key, options);
            }
        }
        if gone && !ours {
            self.forget(cx, &run);
            // Another pod of this name, if there is one, begins now; and a mirror without a pod goes.
            cx.notifier().notify(Key::Pod(key.clone()));
        } else {
            self.runs.insert(key.clone(), run);
        }
        if let Some(at) = again {
            steps.look_again(at.since(cx.moment()));
        }
        // Whoever waits for the pod waits for its status, and events come whatever becomes of that.
        let applied = cx.apply(steps);
        cx.apply(events)?;
        applied
    }

    /// A mirror pod that has no pod behind it goes.
    fn orphaned_mirror(&mut self, cx: &mut Cx<'_>, key: &ObjectKey) -> Result<Action, Error> {
        let mut steps = Plan::new();
        if let Some(pod) = cx.view().get::<Pod>(key).filter(|pod| self.is_ours(pod))
            && pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR))
        {
            steps.delete_with::<Pod>(key, DeleteOptions::default().grace(0).of_uid(pod.uid()));
        }
        cx.apply(steps)
    }

    /// Begins the run of what is wanted under a name; `None` if nothing is.
    fn begin(&mut self, cx: &mut Cx<'_>, key: &ObjectKey, desire: &Desire) -> Option<PodRun> {
        let now = (cx.now(), cx.moment());
        let (origin, pod) = match desire {
            Desire::Nothing => return None,
            Desire::Api(pod) => (Origin::Api, pod.clone()),
            Desire::Static(own, _) => (Origin::Static, own.pod.clone()),
        };
        let uid = desire.uid().unwrap_or_default().to_owned();
        let found = match &mut self.boot {
            Boot::Up(held) => held.remove(&uid),
            _ => None,
        };
        let mut run = PodRun::new(key, &uid, origin, pod, now);
        self.uids.insert(uid.clone(), key.clone());
        self.uses.add(key, &run.pod);
        let status = match desire {
            Desire::Static(_, mirror) => mirror.as_ref().and_then(|mirror| mirror.status.clone()),
            _ => run.pod.status.clone(),
        };
        let status = status.unwrap_or_default();
        let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) && origin == Origin::Api;
        self.remember(&mut run, &status, found.as_deref(), over, now);
        let knew = found.is_some() || over || run.tracks.iter().any(|track| track.instances > 0);
        if !knew && run.pod.metadata.deletion_timestamp.is_none() {
            self.judge(cx.view(), &mut run);
        }
        Some(run)
    }

    /// Takes over what a former agent did for the pod.
    fn remember(
        &self,
        run: &mut PodRun,
        status: &PodStatus,
        found: Option<&[(ContainerId, ContainerState)]>,
        over: bool,
        now: (Timestamp, Moment),
    ) {
        let statuses = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        for status in statuses {
            if let Some(track) = run.tracks.iter_mut().find(|track| track.spec.name == status.name) {
                track.remember(status);
            }
        }
        run.ips = status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect();
        run.settled = over;
        let adopted = found.is_none_or(|found| run.adopt(found, now));
        match (found.is_some(), over, adopted) {
            (true, true, _) => run.stage = Stage::RemoveFailed { retry_at: now.1, anew: false },
            (true, false, false) => run.stage = Stage::RemoveFailed { retry_at: now.1, anew: true },
            (false, true, _) => run.stage = Stage::Gone,
            _ => {}
        }
        let was_running = |status: &k8s_openapi::api::core::v1::ContainerStatus| {
            status.state.as_ref().is_some_and(|state| state.running.is_some())
        };
        let statuses = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        for status in statuses.filter(|status| was_running(status)) {
            let track = run.tracks.iter_mut().find(|track| track.spec.name == status.name);
            if let Some(track) = track.filter(|track| track.is_at_rest() && track.ended.is_none()) {
                track.end_unknown(now.0, now.1);
            }
        }
    }

    /// Whether the node takes the pod.
    fn judge(&mut self, view: &View, run: &mut PodRun) {
        let own = view.get::<Node>(&ObjectKey::new("", &self.config.name));
        let labels = own.and_then(|node| node.metadata.labels.clone());
        let others = self.runs.values().filter(|other| other.stage != Stage::Gone);
        let room = Room {
            config: &self.config,
            labels: labels.unwrap_or_else(|| node_labels(&self.config)),
            others: others.map(|other| &*other.pod).collect(),
        };
        if let Some(refused) = admit(&run.pod, &room) {
            run.tell(EventType::Warning, &refused.reason, refused.message.clone());
            let message = format!("Pod was rejected: {}", refused.message);
            run.verdict = Some(Trouble { reason: refused.reason, message });
            run.stage = Stage::Gone;
        }
    }

    /// Does what is due until nothing is. Answers when to look again.
    fn advance(&mut self, cx: &mut Cx<'_>, run: &mut PodRun) -> Option<Moment> {
        for _ in 0..POD_STEPS {
            if self.revival.is_lost() && run.ending.is_none() {
                return None;
            }
            let covered = self.hands.network.covered();
            let drained = self.endpoints.is_drained(&run.uid, covered, cx.view().revision());
            let next = plan(run, Wish { drained }, cx.moment());
            if next.acts.is_empty() {
                return next.at;
            }
            for act in next.acts {
                self.act(cx, run, act);
            }
        }
        tracing::error!(pod = %run.key, stage = ?run.stage, "the plan of a pod goes round");
        None
    }

    /// Plans the writes that show the pod as it is.
    fn show(&self, steps: &mut Plan, run: &PodRun, desire: &Desire, view: &View, now: Timestamp) {
        let object = match desire {
            Desire::Nothing => return,
            Desire::Api(pod) => pod,
            Desire::Static(own, mirror) => {
                let current = mirror.as_ref().filter(|mirror| own.is_mirrored_by(mirror));
                match (current, mirror) {
                    (Some(mirror), _) => mirror,
                    (None, Some(old)) => {
                        let uid = old.metadata.uid.as_deref().unwrap_or_default();
                        steps.delete_with::<Pod>(&run.key, DeleteOptions::default().grace(0).of_uid(uid));
                        return;
                    }
                    (None, None) => {
                        // Without its node's object, the mirror waits for it.
                        if let Some(node) = view.get::<Node>(&ObjectKey::new("", &self.config.name)) {
                            steps.create(own.mirror(&self.config.name, node.uid()));
                        }
                        return;
                    }
                }
            }
        };
        // What an ended container left is known in a moment: one write then, instead of two.
        let collecting = |track: &Track| matches!(track.life, Life::Exited { .. } | Life::Collecting { .. });
        if run.settled || run.tracks.iter().any(collecting) {
            return;
        }
        let old = object.status.clone().unwrap_or_default();
        let host = Host { ips: self.config.ips.clone() };
        let new = pod_status(run, &old, &host, now);
        if new != old {
            let mut object = (**object).clone();
            object.status = Some(new);
            steps.update_status(object);
        }
    }

    /// A run is over and nothing of it is left.
    fn forget(&mut self, cx: &mut Cx<'_>, run: &PodRun) {
        self.uids.remove(&run.uid);
        self.endpoints.forget(&run.uid);
        self.uses.remove(&run.key);
        let (hands, uid, key) = (self.hands.clone(), run.uid.clone(), run.key.clone());
        cx.submit(Class::Volume, Key::Pod(run.key.clone()), move || {
            if let Err(cause) = hands.inputs.forget(&uid, key.as_str()) {
                tracing::warn!(pod = %key, %cause, "logs of a pod could not be removed");
            }
            Done::Nothing
        });
    }
}

/// Takes over the newest state of a pod's object, or that it is no longer wanted.
fn update(run: &mut PodRun, desire: &Desire) {
    if desire.uid() != Some(run.uid.as_str()) {
        run.end(Why::Vanished, run.grace());
        return;
    }
    if let Desire::Api(pod) = desire {
        run.pod = pod.clone();
        if pod.metadata.deletion_timestamp.is_some() {
            let asked = pod.metadata.deletion_grace_period_seconds;
            run.end(Why::Deleted, asked.map_or_else(|| run.grace(), grace_of));
        }
    }
}

/// Moves what users are to hear into a plan.
fn tell(steps: &mut Plan, run: &mut PodRun) {
    let meta = &run.pod.metadata;
    for Told { container, kind, reason, message } in run.told.drain(..) {
        let field_path = container.map(|(name, init)| {
            let list = if init { "initContainers" } else { "containers" };
            format!("spec.{list}{{{name}}}")
        });
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            field_path,
        };
        steps.event_on(regarding, kind, &reason, message);
    }
}

impl Reconciler for Pods {
    type Key = Key;

    fn name(&self) -> &str {
        &self.name
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        let mut interests = Vec::new();
        if let Some(kind) = kinds.id_of::<Pod>() {
            let indexed = kinds.strategy(kind).info().terms.contains(&NODE_NAME);
            let within =
                if indexed { Within::Term(NODE_NAME, self.config.name.clone()) } else { Within::All };
            interests.push(Interest { kind, within });
        }
        let own = kinds
            .id_of::<Node>()
            .map(|kind| Interest { kind, within: Within::Key(ObjectKey::new("", &self.config.name)) });
        interests.extend(own);
        let whole = [kinds.id_of::<EndpointSlice>(), kinds.id_of::<ConfigMap>(), kinds.id_of::<Secret>()];
        interests.extend(whole.into_iter().flatten().map(Interest::all));
        interests
    }

    fn reset(&mut self) {
        self.endpoints.reset();
        let keys: Vec<ObjectKey> = self.runs.keys().cloned().collect();
        self.early_keys.extend(keys);
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Key>) {
        // After the cursor was lost, pods that are gone meanwhile are not observed: look at all of them.
        if matches!(self.boot, Boot::Up(_)) {
            std::mem::take(&mut self.early_keys).into_iter().for_each(|key| wakes.wake(Key::Pod(key)));
        }
        let key = seen.key();
        if seen.is::<Pod>() {
            let known = self.runs.contains_key(key) || self.statics.contains_key(key);
            let ours = || match seen.change().new.header.term(NODE_NAME) {
                Some(node) => node == self.config.name,
                None => seen.latest::<Pod>().is_some_and(|pod| self.is_ours(&pod)),
            };
            if known || ours() {
                wakes.wake(Key::Pod(key.clone()));
            }
        } else if seen.is::<Node>() {
            // A mirror may wait for it.
            self.statics.keys().for_each(|key| wakes.wake(Key::Pod(key.clone())));
        } else if seen.is::<EndpointSlice>() {
            let slice = seen.new::<EndpointSlice>();
            let freed = self.endpoints.see(key, slice.as_deref(), seen.change().revision);
            if !freed.is_empty() {
                let uids = &self.uids;
                self.endpoints.keep(|uid| uids.contains_key(uid));
            }
            freed
                .into_iter()
                .filter(|key| self.runs.contains_key(key))
                .for_each(|key| wakes.wake(Key::Pod(key)));
        } else {
            for pod in self.uses.of(seen.is::<Secret>(), key) {
                if let Some(run) = self.runs.get_mut(&pod) {
                    run.stale = true;
                }
                wakes.wake(Key::Pod(pod));
            }
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Key>, key: &Key) -> Result<Action, Error> {
        match key {
            Key::Node => {
                let again = self.reconcile_node(cx);
                Ok(again.map_or(Action::Done, |at| Action::After(at.since(cx.moment()))))
            }
            Key::Pod(key) => self.reconcile_pod(cx, key),
        }
    }

    fn complete(&mut self, cx: &mut Context<'_, Key>, key: &Key, ticket: Ticket, output: Output) {
        let done = Done::of(output);
        match key {
            Key::Node => self.booted(cx, ticket, done),
            Key::Pod(key) => {
                if let Some(mut run) = self.runs.remove(key) {
                    self.take(cx, &mut run, ticket, done);
                    self.runs.insert(key.clone(), run);
                }
            }
        }
    }
}
