//! What the node agent asks of a container runtime, in its own words.
//!
//! [`Runtime`] is the seam: `linux` fills it with namespaces and cgroups through the keeper, `fake` with
//! nothing at all. The types here are plain data that the agent's planner makes from a Pod; they hold no
//! Kubernetes types, so that a runtime never reads a Pod.
//!
//! Every call may block and is made from an executor, never from a loop. What happens by itself (a container
//! ends) is told through the sink given to [`Runtime::subscribe`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub mod fake;
#[cfg(target_os = "linux")]
pub mod linux;

/// Names one sandbox: the pod's uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxId(pub String);

/// Names one container of a sandbox for its whole life: 64 hexadecimal digits, as users know them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub String);

/// A pod's network namespace, as descriptors that work from any thread of the host.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub struct Netns {
    /// The namespace itself (an open `/proc/PID/ns/net`).
    pub namespace: std::os::fd::OwnedFd,
    /// A NETLINK_ROUTE socket that was opened inside the namespace and so acts there.
    pub netlink: std::os::fd::OwnedFd,
}

/// Which namespaces a pod shares with the node or among its containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// `hostNetwork`: no network namespace of its own.
    pub host_network: bool,
    /// `hostPID`.
    pub host_pid: bool,
    /// `hostIPC`.
    pub host_ipc: bool,
    /// `shareProcessNamespace`: one PID namespace for all containers of the pod.
    pub share_pid: bool,
}

/// Limits of one cgroup. `None` leaves the kernel's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU requests as relative weight, in millicores (`cpu.shares`, `cpu.weight`).
    pub cpu_request_millis: Option<u64>,
    /// CPU limit, in millicores (quota over a period of 100 ms).
    pub cpu_limit_millis: Option<u64>,
    /// Memory limit, in bytes.
    pub memory_limit: Option<u64>,
    /// The most processes.
    pub pids_limit: Option<u64>,
    /// `oom_score_adj` of the processes.
    pub oom_score_adj: Option<i32>,
}

/// What a sandbox is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The pod's uid.
    pub id: String,
    /// `namespace/name`, for messages.
    pub pod: String,
    /// The host name that the containers see.
    pub hostname: String,
    /// Namespaces shared.
    pub sharing: Sharing,
    /// Limits of the pod's own cgroup, the sum of its containers'.
    pub resources: Resources,
    /// Kernel parameters set in the sandbox's namespaces.
    pub sysctls: BTreeMap<String, String>,
}

/// The root file system of a container, as the image store found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    /// Layers, the lowest first, joined by overlayfs under a writable layer of the container's own.
    Layers(Vec<PathBuf>),
    /// A folder of the host seen read-only, with a writable layer in memory above it.
    HostRoot(PathBuf),
}

/// How a mount behaves towards mounts made after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Neither side sees the other's.
    #[default]
    None,
    /// The container sees the host's.
    HostToContainer,
    /// Both see each other's.
    Bidirectional,
}

/// Something mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, an absolute path inside the container.
    pub target: String,
    /// Whether the container may not write.
    pub read_only: bool,
    /// Propagation between the two sides.
    pub propagation: Propagation,
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or folder of the host.
    Host(PathBuf),
    /// A tmpfs of the pod, made by the runtime on first use and shared by the pod's containers under its
    /// name.
    PodTmpfs {
        /// The volume's name.
        name: String,
        /// The most bytes, or half of the memory.
        size_limit: Option<u64>,
        /// A folder inside it (`subPath`), made if missing; empty for the whole.
        sub_path: String,
    },
}

/// Who the first process of a container is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum User {
    /// Numbers that the pod gives.
    Ids {
        /// User id.
        uid: u32,
        /// Group id; `None` takes the user's own group from the image's `/etc/passwd`, else 0.
        gid: Option<u32>,
    },
    /// What the image says (`user`, `uid`, `user:group`, `uid:gid`, empty for root), looked up in the
    /// container's own `/etc/passwd` and `/etc/group`.
    Image(String),
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// All.
    #[default]
    Unconfined,
    /// The runtime's default filter.
    RuntimeDefault,
}

/// The security of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Who runs it.
    pub user: User,
    /// Further groups.
    pub supplemental_groups: Vec<u32>,
    /// Refuse to run as uid 0 (`runAsNonRoot`), found out after the image's user is looked up.
    pub must_be_non_root: bool,
    /// Everything allowed, all devices, nothing masked.
    pub privileged: bool,
    /// Capabilities added to the default ones, without `CAP_`; `ALL` for all.
    pub add_capabilities: Vec<String>,
    /// Capabilities taken from the default ones, without `CAP_`; `ALL` for all.
    pub drop_capabilities: Vec<String>,
    /// `allowPrivilegeEscalation: false`.
    pub no_new_privileges: bool,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// The root file system may not be written.
    pub read_only_root: bool,
    /// `procMount: Unmasked`: nothing of `/proc` is hidden.
    pub unmasked_proc: bool,
}

impl Default for Security {
    fn default() -> Self {
        Security {
            user: User::Image(String::new()),
            supplemental_groups: Vec::new(),
            must_be_non_root: false,
            privileged: false,
            add_capabilities: Vec::new(),
            drop_capabilities: Vec::new(),
            no_new_privileges: false,
            seccomp: Seccomp::Unconfined,
            read_only_root: false,
            unmasked_proc: false,
        }
    }
}

/// What a container is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its name in the pod.
    pub name: String,
    /// How many of this name were made before it.
    pub attempt: u32,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// The whole argument list; the first is looked up in the `PATH` of `env` inside the container.
    pub command: Vec<String>,
    /// Environment, in order; the last of equal names wins.
    pub env: Vec<(String, String)>,
    /// Working directory inside the container, made if it is missing.
    pub working_dir: String,
    /// Mounts, in order.
    pub mounts: Vec<Mount>,
    /// Limits of its own cgroup.
    pub resources: Resources,
    /// Its security.
    pub security: Security,
    /// Where its output goes, in the CRI format; folders above it exist.
    pub log_path: PathBuf,
    /// The file inside the container whose text is the termination message.
    pub termination_message_path: String,
    /// The signal that asks it to end, by number (SIGTERM is 15).
    pub stop_signal: i32,
}

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its first process runs.
    Running {
        /// The first process, in the host's numbering.
        pid: u32,
        /// Since when.
        started: Timestamp,
    },
    /// Its first process ended.
    Exited(Exit),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code; 128 plus the signal for a death by signal.
    pub code: i32,
    /// The signal, if one ended it; otherwise 0.
    pub signal: i32,
    /// The kernel's out-of-memory killer struck in its cgroup.
    pub oom_killed: bool,
    /// Since when it ran.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// A sandbox that runs.
#[derive(Debug)]
pub struct Sandbox {
    /// Its name.
    pub id: SandboxId,
    /// Its network namespace; `None` for `hostNetwork` and for runtimes without one.
    #[cfg(target_os = "linux")]
    pub netns: Option<Netns>,
}

/// What a command run inside a container gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code; 128 plus the signal for a death by signal.
    pub code: i32,
    /// The first bytes of its standard output and error together, bounded.
    pub output: Vec<u8>,
    /// It ran longer than allowed and was killed.
    pub timed_out: bool,
}

/// Something that happened by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container's first process ended.
    Exited {
        /// The sandbox.
        sandbox: SandboxId,
        /// The container.
        container: ContainerId,
        /// How.
        exit: Exit,
    },
    /// The runtime itself is gone, and with it every container: nothing runs any more.
    Lost {
        /// Why, in one sentence.
        reason: String,
    },
}

/// The step of a [`RuntimeError`] that says: the container was made, and its program could not be executed. Users
/// see it as `RunContainerError` and `StartError`, everything before it as `CreateContainerError`.
pub const EXEC_STEP: &str = "exec";

/// A step of the runtime that failed. The text is what users read in events, so it is one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The specification cannot be carried out (unknown user, bad path, missing command): trying again
    /// is of no use until the pod or its image changes.
    #[error("{object}: {step}: {cause}")]
    Refused {
        /// The sandbox or container, for people.
        object: String,
        /// What was being done.
        step: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The kernel answered an error.
    #[error("{object}: {step}: {cause}")]
    Kernel {
        /// The sandbox or container, for people.
        object: String,
        /// What was being done.
        step: &'static str,
        /// The error's text.
        cause: String,
    },
    /// No sandbox or container of this name.
    #[error("{0}: not found")]
    NotFound(String),
    /// The runtime is gone.
    #[error("the container runtime is gone: {0}")]
    Lost(String),
}

/// A sandbox that exists, with its containers.
pub type SandboxContent = (SandboxId, Vec<(ContainerId, ContainerState)>);

/// Receives what happens by itself. Called from the runtime's own thread: must not block.
pub type EventSink = Box<dyn Fn(RuntimeEvent) + Send + Sync>;

/// Runs sandboxes and containers.
pub trait Runtime: Send + Sync + fmt::Debug + 'static {
    /// What it calls itself, as in `status.nodeInfo.containerRuntimeVersion` (`coracle://0.1.0`).
    fn version(&self) -> String;

    /// Where events go from now on; replaces an earlier sink.
    fn subscribe(&self, sink: EventSink);

    /// Makes a sandbox: its namespaces, its cgroup, the process that holds them. Making one that exists
    /// answers it again.
    fn run_sandbox(&self, spec: &SandboxSpec) -> Result<Sandbox, RuntimeError>;

    /// Ends every process of a sandbox at once and removes all of it: containers, mounts, cgroups,
    /// namespaces. Returns when no process is left. Unknown ids are fine.
    fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;

    /// Makes and starts a container in a sandbox; returns when the program has been executed, or says why
    /// it could not be.
    fn start_container(&self, sandbox: &SandboxId, spec: &ContainerSpec)
    -> Result<ContainerId, RuntimeError>;

    /// The same, and does `meanwhile` while the container is being made. The program is executed only after that has
    /// succeeded; otherwise nothing of the container is left, and the answer is its error.
    ///
    /// By default one after the other.
    fn start_container_with(
        &self,
        sandbox: &SandboxId,
        spec: &ContainerSpec,
        meanwhile: &mut dyn FnMut() -> Result<(), RuntimeError>,
    ) -> Result<ContainerId, RuntimeError> {
        meanwhile()?;
        self.start_container(sandbox, spec)
    }

    /// Sends a signal to a container's first process. One that has ended is fine.
    fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), RuntimeError>;

    /// Kills every process of a container. Its exit is told as an event.
    fn kill(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Removes an ended container: its root file system and cgroup. Unknown ids are fine.
    fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Where a container stands.
    fn state(&self, id: &ContainerId) -> Result<ContainerState, RuntimeError>;

    /// Runs a command inside a running container, with its environment, user and limits, and waits.
    fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, RuntimeError>;

    /// The text of the termination message file of an ended container, at most 4 KiB of it; empty where
    /// there is none.
    fn termination_message(&self, id: &ContainerId) -> Result<String, RuntimeError>;

    /// Every sandbox that exists, with its containers: what an agent finds after a restart.
    fn list(&self) -> Result<Vec<SandboxContent>, RuntimeError>;

    /// Starts the runtime again after [`RuntimeEvent::Lost`] was told: it then holds nothing. One that lives stays as
    /// it is. Events go where they went.
    ///
    /// By default a runtime that is gone stays gone.
    fn restart(&self) -> Result<(), RuntimeError> {
        Err(RuntimeError::Lost("it cannot be started again".to_owned()))
    }

    /// Ends everything and leaves nothing behind. Every later call answers `Lost`.
    fn shutdown(&self) -> Result<(), RuntimeError>;
}
