//! The agent: registers one node and runs the pods bound to it. What a kubelet is to Kubernetes.
//!
//! ```text
//! Pod, EndpointSlice ─► pods (reconciler) ─► plan (pure) ─► work ─► jobs (on executors) ─► outcome ─► pods
//!                          │                                         runtime, network, images, inputs, probes
//!                          └─► status (pure) ─► Pod.status
//! ```
//!
//! It knows a runtime, a network, images, inputs and probes through traits alone, so that a Linux node and a hollow
//! one are the same code. It has no thread: a pod is a key with a state.
//!
//! Does not: schedule, evict, collect images, serve logs and exec (those are the node's connector), or resize pods in
//! place.

mod admit;
mod backoff;
mod config;
mod dial;
mod files;
mod folds;
pub mod hollow;
mod jobs;
mod outcome;
mod plan;
mod pod;
mod pods;
mod probe;
mod registration;
mod resources;
mod restart;
mod revival;
pub mod seams;
mod security;
mod statics;
mod status;
mod work;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use config::{Hands, Health, Machine, NodeConfig};
pub use dial::NetProber;
pub use pods::Key;
pub use registration::Part;
pub use resources::{Qos, qos};
pub use statics::FolderPods;

use crate::apiserver::Server;
use crate::reconcile::{Loop, Notifier, Spawner};
use crate::world::World;

/// The name under which a node owns the fields that it writes, as upstream's own program has it.
const MANAGER: &str = "kubelet";

/// A running agent: the handles by which its loops are woken. Its loops live in the driver that they were added to.
#[derive(Debug)]
pub struct NodeAgent {
    /// Wakes the loop of the pods.
    pub pods: Notifier<Key>,
    /// Wakes the loop of the registration.
    pub registration: Notifier<Part>,
    /// Whether the node can run pods.
    pub health: Arc<Health>,
}

/// Starts the agent of a node: adds its two loops to the driver and connects them with the hands' callbacks. The
/// runtime must be this node's alone.
pub fn start(
    config: NodeConfig,
    hands: Hands,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) -> NodeAgent {
    let (config, hands) = (Arc::new(config), Arc::new(hands));
    let health = Arc::new(Health::default());
    let inbox: Arc<pods::Inbox> = Arc::default();
    let registration =
        registration::Registration::new(config.clone(), hands.runtime.version(), health.clone());
    let registration = Loop::start(registration, server, world, spawner);
    let agent = pods::Pods::new(config, hands.clone(), health.clone(), inbox.clone());
    let pods = Loop::start(agent, server, world, spawner);
    let (wake, events) = (pods.clone(), inbox.clone());
    hands.runtime.subscribe(Box::new(move |event| {
        events.events.lock().push_back(event);
        wake.notify(Key::Node);
    }));
    let wake = pods.clone();
    hands.network.on_covered(Box::new(move || wake.notify(Key::Node)));
    if let Some(statics) = &hands.statics {
        let wake = pods.clone();
        statics.on_change(Box::new(move || {
            inbox.statics_changed.store(true, std::sync::atomic::Ordering::Release);
            wake.notify(Key::Node);
        }));
    }
    let wake = registration.clone();
    health.on_change(Box::new(move || wake.notify(Part::Node)));
    registration.notify(Part::Node);
    registration.notify(Part::Lease);
    pods.notify(Key::Node);
    NodeAgent { pods, registration, health }
}
