//! A Kubernetes cluster that you link into your program.
//!
//! ```text
//! manifest ─► api ─► apiserver ─► store ─► watch ─► reconcile ─► controllers ─► scheduler ─► node ─► net
//!  (text)    decode   admit,      commit    events   queue,      child          bind         run     connect
//!            default  validate    revision           driver      objects
//! ```
//!
//! The modules below are declared in the order of that flow, and imports go one way along it.

pub mod limits;
pub mod world;

pub mod api;
pub mod store;

pub mod apiserver;

pub mod client;

pub mod reconcile;

pub mod controllers;

pub mod scheduler;

pub mod node;

#[cfg(target_os = "linux")]
pub mod net;

pub mod cluster;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use k8s_openapi;
