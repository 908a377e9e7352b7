//! The Linux runtime: namespaces, cgroups and overlays, through one keeper process.
//!
//! [`LinuxRuntime`] is the host's half: it starts the keeper, asks it, and passes on what it tells. The
//! keeper (the same executable, taken over before `main`) is the parent of every container. `docs/runtime.md`
//! draws the whole.
//!
//! Invariant: the host's process makes no container, joins no namespace and waits for no child.

mod cgroup;
mod entry;
mod host;
mod inside;
mod keeper;
mod launch;
mod mount;
mod packets;
mod probe;
mod seccomp;
mod sweep;
mod sys;
#[cfg(test)]
mod tests;
mod wire;

pub use entry::run_entry;
pub use host::{LinuxConfig, LinuxRuntime, OnHostExit, WritableLayers};
pub use probe::Report;
