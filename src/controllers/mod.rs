//! The controllers, one file or folder each: what brings the objects in the store closer to what is asked.
//!
//! Each is a reconciler: a pure plan from one view, applied through the door. No controller calls another;
//! they meet in the store.

mod claim;
pub mod custom_resources;
pub mod deployment;
pub mod endpoint_slice;
pub mod garbage;
#[cfg(test)]
pub(crate) mod harness;
pub mod namespace;
pub mod node_lifecycle;
pub mod pods;
mod programmed;
pub mod replica_set;
pub mod service_account;

pub mod rollout;

pub use programmed::Programmed;

use std::sync::Arc;

use crate::apiserver::Server;
use crate::reconcile::{Loop, Spawner};
use crate::world::World;

/// The name under which all controllers own the fields that they write, as upstream's own program has it.
pub(crate) const MANAGER: &str = "kube-controller-manager";

/// Starts every controller. With `programmed`, a pod counts as available only once the Services that lead to it are.
pub fn start_all(
    programmed: Option<Arc<dyn Programmed>>,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) {
    Loop::start(deployment::Deployments::new(), server, world, spawner);
    replica_set::ReplicaSets::start(programmed, server, world, spawner);
    Loop::start(namespace::Namespaces::default(), server, world, spawner);
    Loop::start(garbage::GarbageCollector::default(), server, world, spawner);
    Loop::start(endpoint_slice::EndpointSlices::default(), server, world, spawner);
    Loop::start(node_lifecycle::NodeLifecycle::new(world), server, world, spawner);
    Loop::start(custom_resources::CustomResources::default(), server, world, spawner);
    Loop::start(service_account::ServiceAccounts, server, world, spawner);
}
