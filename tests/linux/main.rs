//! Real clusters on this machine, asked through the kernel and the network: what runs in `/proc`, what a connection
//! answers, what is left when a cluster has ended.
//!
//! Each test starts clusters of its own, so that all run in parallel, and ends by looking for what carries its
//! clusters' ids. Nothing here asserts how long something takes: waits are for conditions. As an ordinary user every
//! test says that it was skipped, and with `REQUIRE_ROOT=1` it fails instead.
//!
//! Needs `nginx`, `redis-server` and a static `busybox` of this machine (Debian: `nginx-light`, `redis-server`,
//! `busybox-static`), which become images.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests wait, and start programs that die")]

mod death;
mod echo;
mod environment;
mod images;
mod lifecycle;
mod machine;
mod network;
mod probes;
mod refusals;
mod rig;
mod security;
mod software;
mod statics;
mod volumes;
mod wire;

coracle::entry!(udp_echo, echo::udp);
