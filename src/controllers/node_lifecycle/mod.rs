//! Watches over nodes: who has not been heard of is `Unknown`, what ails a node becomes taints, and pods that do
//! not bear such a taint leave.
//!
//! A node is heard of when its lease is renewed or its Ready condition has a new heartbeat, by our own clock at
//! the moment when we see it, since clocks of nodes may be wrong. Does not limit the rate of evictions and does not
//! hold them back when most nodes are lost at once. Invariant: one timer a node and a pod, for its next deadline;
//! nothing is polled.

mod eviction;
mod health;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::api::taints::NO_EXECUTE;
use crate::api::{ObjectKey, Registry};
use crate::limits::{NODE_GRACE, NODE_STARTUP_GRACE};
use crate::reconcile::{Action, Context, Error, EventType, Plan, Reconciler, Seen, View, Wakes};
use crate::store::{Interest, Select, Stored, Within};
use crate::world::{Clock, Moment, World};

/// What the controller works on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Concern {
    /// A node: its health and its taints.
    Node(String),
    /// A pod that may have to leave its node.
    Pod(ObjectKey),
}

/// When a node was last heard of, and what it said.
#[derive(Clone, Debug, Default)]
struct Heard {
    at: Moment,
    renewed: Option<MicroTime>,
    heartbeat: Option<Time>,
    /// Its NoExecute taints.
    taints: Vec<Taint>,
}

/// The controller.
pub struct NodeLifecycle {
    clock: Arc<dyn Clock>,
    heard: BTreeMap<String, Heard>,
    /// Nodes whose pods have been marked as not ready since the node was last ready.
    marked: BTreeSet<String>,
    /// Since when pods have had to bear a taint, with their uid.
    bearing: BTreeMap<ObjectKey, (Arc<str>, Moment)>,
}

/// The namespace of the leases of nodes.
const LEASES: &str = "kube-node-lease";

impl NodeLifecycle {
    /// A controller that goes by this world's clock.
    pub fn new(world: &World) -> NodeLifecycle {
        NodeLifecycle {
            clock: world.clock.clone(),
            heard: BTreeMap::new(),
            marked: BTreeSet::new(),
            bearing: BTreeMap::new(),
        }
    }

    fn observe_lease(&mut self, seen: &Seen<'_>) {
        let Some(lease) = seen.new::<Lease>() else { return };
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
        let now = self.clock.moment();
        let heard = self.heard.entry(seen.key().name().to_owned()).or_default();
        if renewed > heard.renewed {
            heard.renewed = renewed;
            heard.at = now;
        }
    }

    fn observe_node(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        let name = seen.key().name().to_owned();
        let Some(node) = seen.new::<Node>() else {
            self.heard.remove(&name);
            self.marked.remove(&name);
            return;
        };
        let now = self.clock.moment();
        let heartbeat = health::condition(&node, "Ready").and_then(|ready| ready.last_heartbeat_time.clone());
        let first = seen.change().old.is_none();
        let heard = self.heard.entry(name.clone()).or_default();
        if first || heartbeat != heard.heartbeat {
            heard.heartbeat = heartbeat;
            heard.at = now;
        }
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        heard.taints = taints.iter().filter(|taint| taint.effect == NO_EXECUTE).cloned().collect();
        wakes.wake(Concern::Node(name));
    }

    fn observe_pod(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        if seen.deleted() {
            self.bearing.remove(seen.key());
            return;
        }
        let header = &seen.change().new.header;
        let node = header.term("spec.nodeName").unwrap_or_default();
        let tainted = self.heard.get(node).is_some_and(|heard| !heard.taints.is_empty());
        if tainted && !header.deleting {
            wakes.wake(Concern::Pod(header.key.clone()));
        }
    }

    fn reconcile_node(&mut self, cx: &mut Context<'_, Concern>, name: &str) -> Result<Action, Error> {
        let Some(node) = cx.view().get::<Node>(&ObjectKey::new("", name)) else { return Ok(Action::Done) };
        let now = cx.moment();
        let heard =
            self.heard.entry(name.to_owned()).or_insert_with(|| Heard { at: now, ..Heard::default() });
        let ready = health::condition(&node, "Ready");
        let grace = if ready.is_some() { NODE_GRACE } else { NODE_STARTUP_GRACE };
        let left = heard.at.after(grace).since(now);
        if left == Duration::ZERO
            && let Some(lost) = health::lost(&node, cx.now())
        {
            let mut plan = Plan::new();
            plan.update_status(lost);
            // The change wakes this key again, for the taints.
            return cx.apply(plan);
        }
        let mut plan = Plan::new();
        if let Some(tainted) = health::tainted(&node, cx.now()) {
            plan.update(tainted);
        }
        cx.apply(plan)?;
        if ready.is_none_or(|ready| ready.status == "True") {
            self.marked.remove(name);
        } else if !self.marked.contains(name) {
            let mut plan = Plan::new();
            let message = format!("Node {name} status is now: NodeNotReady");
            plan.event(&*node, EventType::Normal, "NodeNotReady", message);
            cx.apply(plan)?;
            self.mark_pods(cx, name)?;
            self.marked.insert(name.to_owned());
        }
        // Each pod looks for itself whether it must leave, and forgets its timer if not.
        let notifier = cx.notifier();
        let tainted = self.heard.get(name).is_some_and(|heard| !heard.taints.is_empty());
        for pod in cx.view().list::<Pod>(Select::Term("spec.nodeName", name)) {
            if tainted || self.bearing.contains_key(pod.key()) {
                notifier.notify(Concern::Pod(pod.key().clone()));
            }
        }
        Ok(if left > Duration::ZERO { Action::After(left) } else { Action::Done })
    }

    /// Tells the world that the pods of a lost node cannot be relied on.
    fn mark_pods(&mut self, cx: &mut Context<'_, Concern>, name: &str) -> Result<(), Error> {
        let view: View = cx.view().clone();
        for pod in view.list::<Pod>(Select::Term("spec.nodeName", name)) {
            let Some(unready) = health::unready(&pod, cx.now()) else { continue };
            let mut plan = Plan::new();
            plan.update_status(unready);
            plan.event(&*pod, EventType::Warning, "NodeNotReady", "Node is not ready".to_owned());
            // Where somebody else was faster the key comes back, and those that were marked are left alone.
            cx.apply(plan)?;
        }
        Ok(())
    }

    fn reconcile_pod(&mut self, cx: &mut Context<'_, Concern>, key: &ObjectKey) -> Result<Action, Error> {
        let pod = cx.view().get::<Pod>(key).filter(|pod| !pod.is_deleting());
        let node = pod.as_ref().and_then(|pod| {
            let name = pod.header().term("spec.nodeName").filter(|name| !name.is_empty())?;
            cx.view().get::<Node>(&ObjectKey::new("", name))
        });
        let (Some(pod), Some(node)) = (pod, node) else {
            self.bearing.remove(key);
            return Ok(Action::Done);
        };
        let now = cx.moment();
        let stays = eviction::stays(&pod, &node);
        if stays == eviction::Stay::Untouched {
            self.bearing.remove(key);
            return Ok(Action::Done);
        }
        let since = self.since(&pod, now);
        match stays {
            eviction::Stay::For(time) if since.after(time) > now => {
                Ok(Action::After(since.after(time).since(now)))
            }
            eviction::Stay::Ever | eviction::Stay::Untouched => Ok(Action::Done),
            eviction::Stay::For(_) | eviction::Stay::Not => {
                let plan = eviction::evict(&pod, cx.now());
                cx.apply(plan)
            }
        }
    }

    /// Since when this pod has had a taint to bear.
    fn since(&mut self, pod: &Stored<Pod>, now: Moment) -> Moment {
        let uid = &pod.header().uid;
        let entry = self.bearing.entry(pod.key().clone()).or_insert_with(|| (uid.clone(), now));
        if entry.0 != *uid {
            *entry = (uid.clone(), now);
        }
        entry.1
    }
}

impl Reconciler for NodeLifecycle {
    type Key = Concern;

    fn name(&self) -> &str {
        "node-controller"
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        let leases = kinds
            .id_of::<Lease>()
            .map(|kind| Interest { kind, within: Within::Namespace(LEASES.to_owned()) });
        let whole = [kinds.id_of::<Node>(), kinds.id_of::<Pod>()];
        leases.into_iter().chain(whole.into_iter().flatten().map(Interest::all)).collect()
    }

    fn reset(&mut self) {
        self.heard.clear();
        self.marked.clear();
        self.bearing.clear();
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Concern>) {
        if seen.is::<Lease>() {
            self.observe_lease(seen);
        } else if seen.is::<Node>() {
            self.observe_node(seen, wakes);
        } else {
            self.observe_pod(seen, wakes);
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Concern>, concern: &Concern) -> Result<Action, Error> {
        match concern {
            Concern::Node(name) => self.reconcile_node(cx, name),
            Concern::Pod(key) => self.reconcile_pod(cx, key),
        }
    }
}

impl std::fmt::Debug for NodeLifecycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeLifecycle")
    }
}
