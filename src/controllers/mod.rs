//! The controllers, one file or folder each: what brings the objects in the store closer to what is asked.
//!
//! Each is a reconciler: a pure plan from one view, applied through the door. No controller calls another;
//! they meet in the store.

mod claim;
pub mod deployment;
pub mod endpoint_slice;
pub mod garbage;
#[cfg(test)]
pub(crate) mod harness;
pub mod namespace;
pub mod node_lifecycle;
pub mod pods;
pub mod replica_set;
pub mod service_account;

pub mod rollout;
