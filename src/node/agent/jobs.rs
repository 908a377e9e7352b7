//! The blocking work of the agent: setting a pod up, starting, collecting and ending containers, probes, hooks.
//!
//! Every function here runs on an executor, with shared hands and plain data; it reads no state of the agent and
//! answers plain data that the agent's loop takes in.
//!
//! Invariant: each piece of work may be done again after it failed half way.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ExecAction, HTTPGetAction, LifecycleHandler, Pod, PodIP, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::{Hands, NodeConfig};
use super::files;
use super::probe;
use super::resources;
use super::seams::{HttpCall, ImageProblem, PullPolicy, ResolvedImage, Verdict};
use super::security;
use crate::limits::{TERMINATION_LOG_BYTES, TERMINATION_LOG_LINES, TERMINATION_MESSAGE_BYTES};
use crate::node::runtime::{
    ContainerId, ContainerSpec, EXEC_STEP, Exit, RuntimeError, Sandbox, SandboxId, SandboxSpec,
};
use crate::reconcile::View;
use crate::world::World;

/// Everything that work on one pod needs.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub hands: Arc<Hands>,
    pub config: Arc<NodeConfig>,
    pub world: World,
    /// The pod's specification; its status holds the addresses that it has.
    pub pod: Arc<Pod>,
    /// The uid under which the runtime knows it.
    pub uid: String,
    pub view: View,
}

/// A container to be started.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Its place in the pod.
    pub at: usize,
    pub spec: Container,
    pub attempt: u32,
    /// Its image, if it has just been fetched.
    pub fetched: Option<Arc<ResolvedImage>>,
    /// An old instance that is removed once the new one runs.
    pub leftover: Option<ContainerId>,
}

/// What became of a start.
#[derive(Clone, Debug)]
pub(super) enum Started {
    /// It runs.
    Running { id: ContainerId, started: Timestamp, image: Arc<ResolvedImage>, log: PathBuf },
    /// Its image must be fetched first.
    NoImage,
    /// There is no image.
    Image(ImageProblem),
    /// Its configuration does not add up.
    Config(String),
    /// It could not be made.
    NotMade(String, Arc<ResolvedImage>),
    /// It was made, and its program could not be executed.
    NotRun(String, Arc<ResolvedImage>),
}

/// What became of setting up a pod.
#[derive(Clone, Debug)]
pub(super) struct SetUp {
    pub ips: Vec<IpAddr>,
    /// The reason and message of the event where a step failed.
    pub failed: Option<(&'static str, String)>,
    pub started: Vec<(usize, Started)>,
}

/// The event of a pod whose sandbox or network cannot be made.
fn no_sandbox(cause: &dyn std::fmt::Display) -> (&'static str, String) {
    ("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {cause}"))
}

/// The link of a pod that is being set up.
struct Link<'a> {
    hands: &'a Hands,
    uid: &'a str,
    pod: String,
    sandbox: Sandbox,
    /// What became of making it.
    attached: Option<Result<Vec<IpAddr>, String>>,
}

impl Link<'_> {
    /// Makes it, the first time; answers the pod's addresses.
    fn attach(&mut self) -> Result<Vec<IpAddr>, String> {
        if let Some(attached) = &self.attached {
            return attached.clone();
        }
        #[cfg(target_os = "linux")]
        let netns = self.sandbox.netns.as_ref();
        #[cfg(not(target_os = "linux"))]
        let netns = {
            let _ = &self.sandbox;
            None
        };
        let attached = self.hands.network.attach(self.uid, &self.pod, netns);
        let attached = attached.map(|attached| attached.ips).map_err(|cause| cause.to_string());
        self.attached = Some(attached.clone());
        attached
    }
}

/// The pod as its containers see it: with the addresses that it has.
fn addressed(pod: &Arc<Pod>, config: &NodeConfig, ips: &[IpAddr]) -> Arc<Pod> {
    let mut pod = (**pod).clone();
    let status = pod.status.get_or_insert_default();
    status.pod_ip = ips.first().map(ToString::to_string);
    status.pod_ips = Some(ips.iter().map(|ip| PodIP { ip: ip.to_string() }).collect());
    status.host_ip = config.ips.first().map(ToString::to_string);
    Arc::new(pod)
}

impl Desk {
    fn pod_name(&self) -> String {
        let meta = &self.pod.metadata;
        format!(
            "{}/{}",
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default()
        )
    }

    fn sandbox_id(&self) -> SandboxId {
        SandboxId(self.uid.clone())
    }

    /// Makes everything that the pod's containers share, and starts the first of them.
    ///
    /// Where the network can tell the addresses before, the first container is made while the pod's link is: each takes
    /// about as long.
    pub fn set_up(mut self, orders: Vec<Order>) -> SetUp {
        let mut done = SetUp { ips: Vec::new(), failed: None, started: Vec::new() };
        done.failed = self.set_up_parts(orders, &mut done).err();
        done
    }

    fn set_up_parts(&mut self, orders: Vec<Order>, done: &mut SetUp) -> Result<(), (&'static str, String)> {
        let host_network = security::sharing(&self.pod).host_network;
        let hostname = files::hostname(&self.pod, &self.config);
        let pod = self.pod_name();
        let reserved = match host_network {
            true => Some(self.config.ips.clone()),
            false => {
                let reserved = self.hands.network.reserve(&self.uid, &pod);
                reserved.map_err(|e| no_sandbox(&e))?.map(|reserved| reserved.ips)
            }
        };
        let sandbox = self.run_sandbox(&hostname).map_err(|e| no_sandbox(&e))?;
        let attached = host_network.then(|| Ok(self.config.ips.clone()));
        let mut link = Link { hands: &self.hands.clone(), uid: &self.uid.clone(), pod, sandbox, attached };
        done.ips = match reserved {
            Some(ips) => ips,
            None => link.attach().map_err(|e| no_sandbox(&e))?,
        };
        self.pod = addressed(&self.pod, &self.config, &done.ips);
        let files = files::pod_files(&self.pod, &self.config, &done.ips, &hostname);
        let prepared = self.hands.inputs.prepare(&self.pod, &self.view, &files);
        prepared.map_err(|e| ("FailedMount", format!("MountVolume.SetUp failed: {e}")))?;
        for order in orders {
            let at = order.at;
            let started = self.start(order, Some(&mut link));
            if let Some(Err(cause)) = &link.attached {
                return Err(no_sandbox(cause));
            }
            done.started.push((at, started));
        }
        link.attach().map(drop).map_err(|e| no_sandbox(&e))
    }

    fn run_sandbox(&self, hostname: &str) -> Result<Sandbox, RuntimeError> {
        let sysctls = self.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
        let sysctls = sysctls.iter().flat_map(|security| security.sysctls.iter().flatten());
        self.hands.runtime.run_sandbox(&SandboxSpec {
            id: self.uid.clone(),
            pod: self.pod_name(),
            hostname: hostname.to_owned(),
            sharing: security::sharing(&self.pod),
            resources: resources::pod_resources(&self.pod),
            sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        })
    }

    /// Brings the volumes up to date.
    pub fn refresh(self, ips: Vec<IpAddr>) -> Option<String> {
        let pod = addressed(&self.pod, &self.config, &ips);
        let files = files::pod_files(&pod, &self.config, &ips, &files::hostname(&pod, &self.config));
        self.hands.inputs.prepare(&pod, &self.view, &files).err().map(|problem| problem.to_string())
    }

    /// Starts one container of a pod that has these addresses.
    pub fn start_in(mut self, ips: Vec<IpAddr>, order: Order) -> Started {
        self.pod = addressed(&self.pod, &self.config, &ips);
        self.start(order, None)
    }

    /// Starts a container; where the pod's link is still to be made, while it is.
    fn start(&self, order: Order, link: Option<&mut Link<'_>>) -> Started {
        let container = &order.spec;
        let reference = container.image.as_deref().unwrap_or_default();
        let image = match order.fetched {
            Some(image) => image,
            None => match self.hands.images.present(reference, PullPolicy::of(container)) {
                Ok(Some(image)) => image,
                Ok(None) => return Started::NoImage,
                Err(problem) => return Started::Image(problem),
            },
        };
        let (spec, log) = match self.container_spec(container, order.attempt, &image) {
            Ok(made) => made,
            Err(cause) => return Started::Config(cause),
        };
        let started = self.world.clock.now();
        let (runtime, sandbox) = (&self.hands.runtime, self.sandbox_id());
        let made = match link.filter(|link| link.attached.is_none()) {
            None => runtime.start_container(&sandbox, &spec),
            Some(link) => runtime.start_container_with(&sandbox, &spec, &mut || {
                let (object, step) = (link.pod.clone(), "network");
                link.attach().map(drop).map_err(|cause| RuntimeError::Kernel { object, step, cause })
            }),
        };
        match made {
            Ok(id) => {
                if let Some(old) = &order.leftover {
                    // What is left of the old one goes with the sandbox at the latest.
                    let _ = self.hands.runtime.remove_container(old);
                }
                Started::Running { id, started, image, log }
            }
            Err(
                cause @ (RuntimeError::Refused { step: EXEC_STEP, .. }
                | RuntimeError::Kernel { step: EXEC_STEP, .. }),
            ) => Started::NotRun(cause.to_string(), image),
            Err(cause) => Started::NotMade(cause.to_string(), image),
        }
    }

    fn container_spec(
        &self,
        container: &Container,
        attempt: u32,
        image: &ResolvedImage,
    ) -> Result<(ContainerSpec, PathBuf), String> {
        let config = &self.config;
        let inputs = &self.hands.inputs;
        let security =
            security::container_security(&self.pod, container, image, config.default_seccomp.clone())?;
        let env = inputs.environment(&self.pod, container, image, &self.view).map_err(|e| e.to_string())?;
        let mounts = inputs.mounts(&self.pod, container, &env).map_err(|e| e.to_string())?;
        let log_path = inputs.log_path(&self.pod, &container.name, attempt).map_err(|e| e.to_string())?;
        let expanded = |list: &Option<Vec<String>>| -> Vec<String> {
            list.iter().flatten().map(|text| files::expand(text, &env)).collect()
        };
        let (command, args) = (expanded(&container.command), expanded(&container.args));
        let command = command_line(image, command, args);
        if command.is_empty() {
            return Err(format!("no command specified for container {:?}", container.name));
        }
        let own_dir = container.working_dir.clone().filter(|dir| !dir.is_empty());
        let working_dir = own_dir.unwrap_or_else(|| image.working_dir.clone());
        let message_path = container.termination_message_path.clone();
        let spec = ContainerSpec {
            name: container.name.clone(),
            attempt,
            rootfs: image.rootfs.clone(),
            command,
            env,
            working_dir: if working_dir.is_empty() { "/".to_owned() } else { working_dir },
            mounts,
            resources: resources::container_resources(
                &self.pod,
                container,
                i64::try_from(config.memory).unwrap_or(i64::MAX),
            ),
            security,
            log_path: log_path.clone(),
            termination_message_path: message_path.unwrap_or_else(|| "/dev/termination-log".to_owned()),
            stop_signal: image.stop_signal.unwrap_or(SIGTERM),
        };
        Ok((spec, log_path))
    }

    /// Removes everything of the pod but its logs. The first failure is answered; the other parts are removed
    /// all the same. A runtime that is gone has nothing left to remove. A pod that is made anew keeps its volumes.
    pub fn tear_down(self, anew: bool) -> Result<(), String> {
        if anew { end_sandbox(&self.hands, &self.uid) } else { tear_down(&self.hands, &self.uid) }
    }
}

/// SIGTERM.
pub(super) const SIGTERM: i32 = 15;

/// See [`Desk::tear_down`].
pub(super) fn tear_down(hands: &Hands, uid: &str) -> Result<(), String> {
    end_processes(hands, uid)?;
    let network = hands.network.detach(uid).map_err(|e| e.to_string());
    let inputs = hands.inputs.release(uid).map_err(|e| e.to_string());
    network.and(inputs)
}

fn end_sandbox(hands: &Hands, uid: &str) -> Result<(), String> {
    end_processes(hands, uid)?;
    hands.network.detach(uid).map_err(|e| e.to_string())
}

/// While its processes live they may still use the network and the volumes: those go only after them.
fn end_processes(hands: &Hands, uid: &str) -> Result<(), String> {
    match hands.runtime.remove_sandbox(&SandboxId(uid.to_owned())) {
        Err(RuntimeError::Lost(_)) | Ok(()) => Ok(()),
        Err(cause) => Err(cause.to_string()),
    }
}

/// The whole argument list: `command` replaces the entry point and drops the image's arguments, `args` replaces
/// the arguments alone.
fn command_line(image: &ResolvedImage, command: Vec<String>, args: Vec<String>) -> Vec<String> {
    match (command.is_empty(), args.is_empty()) {
        (true, true) => [image.entrypoint.clone(), image.cmd.clone()].concat(),
        (true, false) => [image.entrypoint.clone(), args].concat(),
        (false, _) => [command, args].concat(),
    }
}

/// The message that an ended container left: its file, or the end of its log where it failed and the pod asks for it.
pub(super) fn collect(
    hands: &Hands,
    id: &ContainerId,
    exit: &Exit,
    policy: Option<&str>,
    log: Option<PathBuf>,
) -> String {
    let mut message = hands.runtime.termination_message(id).unwrap_or_default();
    let failed = exit.code != 0 || exit.oom_killed;
    if message.is_empty() && failed && policy == Some("FallbackToLogsOnError") {
        let tail = |log: PathBuf| hands.inputs.log_tail(&log, TERMINATION_LOG_LINES, TERMINATION_LOG_BYTES);
        message = log.map(tail).unwrap_or_default();
    }
    let mut end = message.len().min(TERMINATION_MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

/// Whom a probe or a hook asks.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub hands: Arc<Hands>,
    pub container: Container,
    pub id: ContainerId,
    /// The pod's address; probes of host network pods ask the node's.
    pub ip: Option<IpAddr>,
}

fn go_quote(command: &[String]) -> String {
    format!("{:?}", command.join(" "))
}

impl Target {
    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        let invalid = || "invalid port number".to_owned();
        match port {
            IntOrString::Int(number) => {
                u16::try_from(*number).ok().filter(|port| *port > 0).ok_or_else(invalid)
            }
            IntOrString::String(name) => {
                let named =
                    self.container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
                let number = named.map(|port| i64::from(port.container_port)).or_else(|| name.parse().ok());
                let number = number.ok_or_else(|| format!("couldn't find port: {name:?} in container"))?;
                u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(invalid)
            }
        }
    }

    fn address(&self, host: Option<&String>) -> Result<(IpAddr, Option<String>), String> {
        match host.filter(|host| !host.is_empty()) {
            None => {
                let ip = self.ip.ok_or_else(|| "the pod has no address".to_owned())?;
                Ok((ip, None))
            }
            Some(host) => match host.parse() {
                Ok(ip) => Ok((ip, Some(host.clone()))),
                Err(_) if host == "localhost" => Ok((IpAddr::from([127, 0, 0, 1]), Some(host.clone()))),
                Err(_) => {
                    Err(format!("host {host:?} is not an address; names are not looked up by this node"))
                }
            },
        }
    }

    fn http(&self, action: &HTTPGetAction, agent: &str, timeout: Duration) -> Result<Verdict, String> {
        let (address, host) = self.address(action.host.as_ref())?;
        let path = action.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        let given = action.http_headers.iter().flatten();
        let mut headers: Vec<(String, String)> =
            given.map(|header| (header.name.clone(), header.value.clone())).collect();
        let mut default = |name: &str, value: &str| {
            if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        default("User-Agent", agent);
        default("Accept", "*/*");
        headers.retain(|(name, value)| !(name.eq_ignore_ascii_case("accept") && value.is_empty()));
        let call = HttpCall {
            address,
            host,
            port: self.port(&action.port)?,
            tls: action.scheme.as_deref() == Some("HTTPS"),
            path: if path.starts_with('/') { path } else { format!("/{path}") },
            headers,
        };
        Ok(self.hands.prober.http(&call, timeout))
    }

    fn tcp(&self, action: &TCPSocketAction, timeout: Duration) -> Result<Verdict, String> {
        let (address, _) = self.address(action.host.as_ref())?;
        Ok(self.hands.prober.tcp(address, self.port(&action.port)?, timeout))
    }

    fn exec(&self, action: &ExecAction, timeout: Duration) -> Result<Verdict, String> {
        let command = action.command.clone().unwrap_or_default();
        let answer =
            self.hands.runtime.exec(&self.id, &command, timeout).map_err(|cause| cause.to_string())?;
        let output = String::from_utf8_lossy(&answer.output).into_owned();
        Ok(match (answer.timed_out, answer.code) {
            (true, _) => Verdict::Failure(format!(
                "command timed out: {} timed out after {}",
                go_quote(&command),
                super::backoff::go_duration(timeout)
            )),
            (false, 0) => Verdict::Success,
            (false, _) => Verdict::Failure(output),
        })
    }

    /// Runs a probe. An error is a probe that could not be run at all.
    pub fn probe(&self, probe: &Probe) -> Result<Verdict, String> {
        let timeout = probe::timeout(probe);
        if let Some(action) = &probe.exec {
            self.exec(action, timeout)
        } else if let Some(action) = &probe.http_get {
            self.http(action, "kube-probe/1.36", timeout)
        } else if let Some(action) = &probe.tcp_socket {
            self.tcp(action, timeout)
        } else if probe.grpc.is_some() {
            Err("gRPC probes are not built into this node".to_owned())
        } else {
            Err("missing probe handler".to_owned())
        }
    }

    /// Runs a hook. `Err` is its failure, in one sentence.
    pub fn hook(&self, handler: &LifecycleHandler, timeout: Duration) -> Result<(), String> {
        let verdict = if let Some(action) = &handler.exec {
            let command = action.command.clone().unwrap_or_default();
            match self.exec(action, timeout)? {
                Verdict::Failure(output) => Err(format!("Exec lifecycle hook {command:?} failed: {output}"))?,
                other => other,
            }
        } else if let Some(action) = &handler.http_get {
            self.http(action, "kube-lifecycle/1.36", timeout)?
        } else {
            // tcpSocket hooks do nothing upstream either; sleep is a timer of the loop.
            Verdict::Success
        };
        match verdict {
            Verdict::Failure(output) => Err(output),
            Verdict::Success | Verdict::Warning(_) => Ok(()),
        }
    }
}
