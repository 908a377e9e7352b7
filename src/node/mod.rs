//! The node agent: registers a node, runs the pods bound to it, and tells how they are.
//!
//! `runtime` makes containers; `images` finds their root file systems; `volumes` prepares what is mounted;
//! `agent` decides, as a reconciler. What it needs of the network it asks through a trait of its own
//! ([`network::PodNetwork`]), which the cluster fills.

pub mod agent;
pub mod env;
#[cfg(target_os = "linux")]
pub mod folder_watch;
#[cfg(target_os = "linux")]
pub mod images;
#[cfg(target_os = "linux")]
pub mod local;
pub mod network;
#[cfg(target_os = "linux")]
pub mod private;
pub mod runtime;
pub mod volumes;
