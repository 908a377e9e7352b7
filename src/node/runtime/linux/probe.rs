//! Finds out what this machine lacks for containers, by making one.
//!
//! The trial is the real thing: a keeper, a sandbox and a container on the host's own root, whose program is
//! one that does not exist. If that is all that is wrong, everything else worked.
//!
//! Invariant: nothing of the trial is left, whatever its outcome.

use std::path::PathBuf;

use super::super::{ContainerSpec, Resources, Rootfs, Runtime, RuntimeError, SandboxSpec, Security};
use super::host::{LinuxConfig, LinuxRuntime, OnHostExit};
use super::sys;
use super::wire::{Failure, Step};
use crate::world::{World, new_uid};

/// What works here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which of cpu, memory and pids cannot be limited.
    pub without_limits: Vec<String>,
}

impl Report {
    /// One sentence for people; empty when everything works.
    pub fn sentence(&self) -> String {
        if self.without_limits.is_empty() {
            return String::new();
        }
        let list = self.without_limits.join(", ");
        format!("Containers run without limits of {list}, because no cgroup for these can be made here.")
    }
}

impl LinuxRuntime {
    /// Tries once what containers need, in a few milliseconds.
    ///
    /// # Errors
    /// One sentence that names what is missing.
    pub fn probe(config: &LinuxConfig, world: &World) -> Result<Report, RuntimeError> {
        if sys::effective_uid() != 0 {
            let cause = "containers need root, or a user namespace in which the program is root";
            return Err(Failure::refused(Step::Setup, cause).about("this machine"));
        }
        let uid = new_uid(&*world.entropy);
        let config = LinuxConfig {
            cluster_id: format!("probe-{uid}"),
            on_host_exit: OnHostExit::EndAll,
            ..config.clone()
        };
        let runtime = LinuxRuntime::start(&config, world).map_err(explain)?;
        let result = try_container(&runtime, &config, &uid).map_err(explain);
        let without_limits = runtime.without_limits().to_vec();
        let _ = runtime.shutdown();
        result.map(|()| Report { without_limits })
    }
}

fn try_container(runtime: &LinuxRuntime, config: &LinuxConfig, uid: &str) -> Result<(), RuntimeError> {
    let program = "/coracle-probe-of-what-is-missing";
    let sandbox = runtime.run_sandbox(&SandboxSpec {
        id: uid.to_owned(),
        pod: "this machine".to_owned(),
        hostname: "probe".to_owned(),
        ..SandboxSpec::default()
    })?;
    let spec = ContainerSpec {
        name: "probe".to_owned(),
        attempt: 0,
        rootfs: Rootfs::HostRoot(PathBuf::from("/")),
        command: vec![program.to_owned()],
        env: Vec::new(),
        working_dir: String::new(),
        mounts: Vec::new(),
        resources: Resources::default(),
        security: Security::default(),
        log_path: config.state_dir.join(&config.cluster_id).join("probe.log"),
        termination_message_path: String::new(),
        stop_signal: libc::SIGTERM,
    };
    match runtime.start_container(&sandbox.id, &spec) {
        Err(RuntimeError::Refused { step, .. }) if step == Step::Exec.text() => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Adds what to do to what went wrong.
fn explain(error: RuntimeError) -> RuntimeError {
    let RuntimeError::Kernel { step, cause, .. } = error else { return error };
    let known = [
        (Step::Start, "the program needs CAP_SYS_ADMIN (a privileged container, or root on the host)"),
        (Step::Namespaces, "new namespaces are not allowed here"),
        (Step::Clone, "new processes or PID namespaces are not allowed here"),
        (Step::Network, "new network namespaces are not allowed here"),
        (Step::Root, "the file systems of a container cannot be mounted here"),
        (Step::Cgroup, "the cgroups cannot be written here"),
    ];
    let why = known.iter().find(|(of, _)| of.text() == step).map_or("containers do not work", |(_, why)| why);
    RuntimeError::Kernel { object: "this machine".to_owned(), step, cause: format!("{why} ({cause})") }
}
