//! The host's half of the runtime: starts or adopts a keeper, sends requests, hands out answers and events.
//!
//! Many requests are in flight at once; each caller waits for its own answer. One thread reads the socket.
//!
//! A keeper that died is replaced by a new one on request; what the dead one left was removed before.
//!
//! Invariant: when the socket ends without our asking, nothing of the cluster's runs any more before `Lost`
//! is told.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, RwLock};

use super::super::{
    ContainerId, ContainerSpec, ContainerState, EventSink, ExecOutput, Netns, Runtime, RuntimeError,
    RuntimeEvent, Sandbox, SandboxId, SandboxSpec,
};
use super::cgroup::Cgroups;
use super::wire::{self, Answer, Ask, At, Failure, FromKeeper, Packet, Request, Setup, Step};
use super::{launch, packets, sweep, sys};
use crate::reconcile::threads;
use crate::world::World;

/// What becomes of the containers when the host program ends, however it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHostExit {
    /// The keeper ends everything and leaves nothing behind.
    #[default]
    EndAll,
    /// The keeper and its containers go on; the next [`LinuxRuntime::start`] with the same cluster id and
    /// state folder adopts them.
    StayForAdoption,
}

/// Where what containers write to their root file systems goes.
///
/// On a disk's file system the kernel's overlay takes some ten operations for a new layer, which can be most
/// of the time that a container's start takes; in memory they take nothing. What is in memory counts
/// towards the memory limit of the container that wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WritableLayers {
    /// In the state folder. (In memory all the same where that lies on an overlay, which cannot hold them.)
    #[default]
    StateFolder,
    /// In a file system in memory.
    Memory,
}

/// How a [`LinuxRuntime`] is set up.
#[derive(Clone, Debug)]
pub struct LinuxConfig {
    /// The cluster's id, which every kernel object carries: letters, digits, `-`, `_` and `.`.
    pub cluster_id: String,
    /// The node's name, for the keeper's title.
    pub node_name: String,
    /// The folder that holds one folder for each cluster id.
    pub state_dir: PathBuf,
    /// What becomes of the containers when the host program ends.
    pub on_host_exit: OnHostExit,
    /// Where the containers' writable layers lie.
    pub writable_layers: WritableLayers,
}

type Reply = (Answer, Vec<OwnedFd>);

/// What callers and the reading thread share of one keeper.
struct Shared {
    socket: OwnedFd,
    waiting: Mutex<BTreeMap<u64, Sender<Reply>>>,
    next: AtomicU64,
    sink: Arc<Mutex<Option<Arc<EventSink>>>>,
    lost: Mutex<Option<String>>,
    /// The keeper ended without our asking.
    died: AtomicBool,
    stopping: Arc<AtomicBool>,
    /// First processes, where no cgroup finds them: to be killed should the keeper die.
    orphans: Mutex<BTreeMap<String, OwnedFd>>,
    folder: PathBuf,
    cgroups: Cgroups,
}

/// Runs containers by Linux namespaces and cgroups.
pub struct LinuxRuntime {
    /// The keeper of now.
    shared: RwLock<Arc<Shared>>,
    /// Reads its socket. Locked while a keeper is started or ended, so that neither meets the other.
    reader: Mutex<Option<JoinHandle<()>>>,
    world: World,
    config: LinuxConfig,
    without_limits: Vec<String>,
    /// Held while we live, with the keeper; a cluster id is alive while it is.
    lock: OwnedFd,
}

impl fmt::Debug for LinuxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinuxRuntime").field("folder", &self.shared().folder).finish_non_exhaustive()
    }
}

impl LinuxRuntime {
    /// Starts a keeper for a cluster, or adopts the one that stayed.
    ///
    /// # Errors
    /// `Refused` when the cluster id is no name or is in use by a living host; `Kernel` when the keeper
    /// cannot be started.
    pub fn start(config: &LinuxConfig, world: &World) -> Result<LinuxRuntime, RuntimeError> {
        start(config, world).map_err(|failure| failure.about(&format!("cluster {}", config.cluster_id)))
    }

    fn shared(&self) -> Arc<Shared> {
        self.shared.read().clone()
    }

    /// Which of cpu, memory and pids cannot be limited here.
    pub fn without_limits(&self) -> &[String] {
        &self.without_limits
    }

    fn ask(&self, object: &str, ask: Ask) -> Result<Reply, RuntimeError> {
        self.ask_with(object, ask, Vec::new())
    }

    /// Sends a request with descriptors and waits for its answer.
    fn ask_with(&self, object: &str, ask: Ask, fds: Vec<OwnedFd>) -> Result<Reply, RuntimeError> {
        let shared = self.shared();
        let pending = shared.send(object, ask, fds)?;
        shared.answer(object, &pending)
    }

    /// Makes a container; with `meanwhile`, its program is executed once that is done.
    fn make_container(
        &self,
        sandbox: &SandboxId,
        spec: &ContainerSpec,
        meanwhile: Option<&mut dyn FnMut() -> Result<(), RuntimeError>>,
    ) -> Result<ContainerId, RuntimeError> {
        let id = new_container_id(&self.world);
        let object = format!("container {}", spec.name);
        let ask =
            Ask::StartContainer { sandbox: sandbox.0.clone(), id: id.clone(), spec: Box::new(spec.clone()) };
        // Opened here, where waiting for a disk holds up this container alone.
        let log = OpenOptions::new().append(true).create(true).open(&spec.log_path);
        let log = log.at(Step::Log, spec.log_path.display()).map_err(|failure| failure.about(&object))?;
        let mut fds: Vec<OwnedFd> = vec![log.into()];
        let gate = match &meanwhile {
            Some(_) => {
                let (theirs, ours) =
                    std::io::pipe().at(Step::Setup, "a pipe").map_err(|failure| failure.about(&object))?;
                fds.push(theirs.into());
                Some(ours)
            }
            None => None,
        };
        let shared = self.shared();
        let pending = shared.send(&object, ask, fds)?;
        let opened = match (meanwhile, gate) {
            // A gate that is closed unopened ends the child, and so the request.
            (Some(meanwhile), Some(mut gate)) => meanwhile().map(|()| drop(gate.write(&[1]))),
            _ => Ok(()),
        };
        match (shared.answer(&object, &pending), opened) {
            (Ok((Answer::Started { .. }, mut fds)), Ok(())) => {
                if let Some(process) = fds.pop() {
                    shared.orphans.lock().insert(id.clone(), process);
                }
                Ok(ContainerId(id))
            }
            (Ok(_), Ok(())) => Err(nonsense(&object)),
            (Err(error), Ok(())) | (_, Err(error)) => {
                let _ = self.remove_layer(&id);
                Err(error)
            }
        }
    }

    /// Deletes a container's layer on the disk.
    fn remove_layer(&self, container: &str) -> Result<(), RuntimeError> {
        let folder = self.shared().folder.join("layers").join(container);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let cause = format!("{}: {error}", folder.display());
                Err(Failure::kernel(Step::Remove, cause).about(container))
            }
            _ => Ok(()),
        }
    }
}

fn nonsense(object: &str) -> RuntimeError {
    Failure::kernel(Step::Send, "the keeper's answer makes no sense").about(object)
}

/// Opens and locks the lock file of a cluster's folder; `None` when somebody holds it.
pub(super) fn lock_folder(folder: &Path) -> std::io::Result<Option<OwnedFd>> {
    let path = folder.join("lock");
    // An ending keeper may remove the folder between our steps: what we locked must still be what is there.
    for _ in 0..64 {
        let builder = |path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        builder(folder)?;
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let file = match opened {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if !sys::try_lock(file.as_fd())? {
            return Ok(None);
        }
        if fs::metadata(&path).is_ok_and(|there| {
            file.metadata().is_ok_and(|ours| ours.ino() == there.ino() && ours.dev() == there.dev())
        }) {
            return Ok(Some(file.into()));
        }
    }
    Ok(None)
}

fn start(config: &LinuxConfig, world: &World) -> Result<LinuxRuntime, Failure> {
    let id = &config.cluster_id;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if id.is_empty() || id.len() > 63 || !id.chars().all(plain) || id.starts_with('.') {
        return Err(Failure::refused(Step::Start, format!("{id:?} cannot be a cluster's id")));
    }
    let state_dir = std::path::absolute(&config.state_dir).at(Step::State, config.state_dir.display())?;
    let folder = state_dir.join(id);
    let stay = config.on_host_exit == OnHostExit::StayForAdoption;
    let mut cgroups = Cgroups::find(id);
    let (socket, lock) = match lock_folder(&folder).at(Step::State, folder.display())? {
        Some(lock) => {
            sweep::clean(&folder, &cgroups, true);
            (new_keeper(id, &lock)?, Some(lock))
        }
        None if stay => {
            let place = File::open(&folder).at(Step::State, folder.display())?;
            let path = super::mount::descriptor_path(place.as_fd());
            let path = Path::new(&*path.to_string_lossy()).join("keeper.sock");
            let socket = packets::connect(&path);
            (socket.at(Step::Start, "the keeper that stayed cannot be reached")?, None)
        }
        None => return Err(Failure::refused(Step::Start, "its id is in use by a host that lives")),
    };
    let (missing, lock) = greet(config, &folder, stay, &socket, lock)?;
    cgroups.forget_missing();
    let shared = Arc::new(Shared {
        socket,
        waiting: Mutex::new(BTreeMap::new()),
        next: AtomicU64::new(1),
        sink: Arc::default(),
        lost: Mutex::new(None),
        died: AtomicBool::new(false),
        stopping: Arc::default(),
        orphans: Mutex::new(BTreeMap::new()),
        folder,
        cgroups,
    });
    let reader = spawn_reader(Arc::clone(&shared)).at(Step::Start, "a thread")?;
    Ok(LinuxRuntime {
        shared: RwLock::new(shared),
        reader: Mutex::new(Some(reader)),
        world: world.clone(),
        config: LinuxConfig { state_dir, ..config.clone() },
        without_limits: missing,
        lock,
    })
}

/// Launches a keeper that holds the lock too. Answers our end of its socket.
fn new_keeper(id: &str, lock: &OwnedFd) -> Result<OwnedFd, Failure> {
    let (ours, theirs) = packets::pair().at(Step::Start, "a socket pair")?;
    launch::launch(id, theirs.as_fd(), lock.as_fd()).at(Step::Start, "clone and exec")?;
    Ok(ours)
}

/// A keeper in the place of a dead one.
fn replace(config: &LinuxConfig, dead: &Shared, lock: &OwnedFd) -> Result<Shared, Failure> {
    let own = lock.try_clone().at(Step::Start, "the lock")?;
    let socket = new_keeper(&config.cluster_id, lock)?;
    let stay = config.on_host_exit == OnHostExit::StayForAdoption;
    greet(config, &dead.folder, stay, &socket, Some(own))?;
    Ok(Shared {
        socket,
        waiting: Mutex::new(BTreeMap::new()),
        next: AtomicU64::new(1),
        sink: Arc::clone(&dead.sink),
        lost: Mutex::new(None),
        died: AtomicBool::new(false),
        stopping: Arc::clone(&dead.stopping),
        orphans: Mutex::new(BTreeMap::new()),
        folder: dead.folder.clone(),
        cgroups: dead.cgroups.clone(),
    })
}

/// The first exchange: tells the keeper who it is, and gets what it lacks and (adopted) the lock.
fn greet(
    config: &LinuxConfig,
    folder: &Path,
    stay: bool,
    socket: &OwnedFd,
    lock: Option<OwnedFd>,
) -> Result<(Vec<String>, OwnedFd), Failure> {
    let setup = Setup {
        cluster: config.cluster_id.clone(),
        node: config.node_name.clone(),
        folder: folder.to_owned(),
        stay,
        layers_in_memory: config.writable_layers == WritableLayers::Memory,
    };
    let hello = Packet::new(&Request { number: 0, ask: Ask::Hello(setup) }, Vec::new());
    hello.and_then(|packet| packet.send(socket.as_fd(), true)).at(Step::Start, "greet the keeper")?;
    let mut buffer = Vec::new();
    let ended = || Failure::kernel(Step::Start, "the keeper ended before it said anything");
    // An adopted keeper may first tell of ends that the last host did not hear of; `list` tells them again.
    loop {
        let received = wire::receive::<FromKeeper>(socket.as_fd(), &mut buffer, true);
        let (message, mut fds) = received.at(Step::Start, "greet the keeper")?.ok_or_else(ended)?;
        let FromKeeper::Answer { answer, .. } = message else { continue };
        let text = match answer {
            Answer::Text(text) => text,
            Answer::Failed(failure) => return Err(failure),
            _ => return Err(ended()),
        };
        let missing = text.split(',').filter(|name| !name.is_empty()).map(String::from).collect();
        let lock = lock.or_else(|| fds.pop()).ok_or_else(ended)?;
        return Ok((missing, lock));
    }
}

/// The one thread of a keeper: its socket's reader, joined at its end.
fn spawn_reader(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    threads::spawn("coracle-runtime", move || read_all(&shared))
}

fn read_all(shared: &Shared) {
    let mut buffer = Vec::new();
    loop {
        match wire::receive::<FromKeeper>(shared.socket.as_fd(), &mut buffer, true) {
            Ok(Some((FromKeeper::Answer { number, answer }, fds))) => {
                let waiting = shared.waiting.lock().remove(&number);
                if let Some(waiting) = waiting {
                    let _ = waiting.send((answer, fds));
                }
            }
            Ok(Some((FromKeeper::Exited { sandbox, container, exit }, _))) => {
                shared.orphans.lock().remove(&container);
                shared.tell(RuntimeEvent::Exited {
                    sandbox: SandboxId(sandbox),
                    container: ContainerId(container),
                    exit: exit.into(),
                });
            }
            Ok(None) | Err(_) => break,
        }
    }
    let expected = shared.stopping.load(Ordering::Acquire);
    let reason = if expected { "it was shut down" } else { "the keeper process ended unexpectedly" };
    if !expected {
        shared.died.store(true, Ordering::Release);
        shared.clean_up();
    }
    *shared.lost.lock() = Some(reason.to_owned());
    shared.waiting.lock().clear();
    if !expected {
        shared.tell(RuntimeEvent::Lost { reason: reason.to_owned() });
    }
}

impl Shared {
    /// Sends a request. Its answer comes out of the channel.
    fn send(&self, object: &str, ask: Ask, fds: Vec<OwnedFd>) -> Result<Receiver<Reply>, RuntimeError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = bounded(1);
        self.waiting.lock().insert(number, sender);
        let sent = Packet::new(&Request { number, ask }, fds)
            .and_then(|packet| packet.send(wire::socket(&self.socket), true));
        // The reader sets the reason before it drops the waiting, so one of the two is always seen.
        if sent.is_err() || self.lost.lock().is_some() {
            self.waiting.lock().remove(&number);
            return match (sent, self.lost.lock().clone()) {
                (_, Some(reason)) => Err(RuntimeError::Lost(reason)),
                (Err(error), None) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    Err(Failure::refused(Step::Send, error.to_string()).about(object))
                }
                _ => Err(RuntimeError::Lost("the keeper has ended".to_owned())),
            };
        }
        Ok(receiver)
    }

    /// Waits for the answer of a request.
    fn answer(&self, object: &str, pending: &Receiver<Reply>) -> Result<Reply, RuntimeError> {
        let Ok((answer, fds)) = pending.recv() else {
            let reason = self.lost.lock().clone();
            return Err(RuntimeError::Lost(reason.unwrap_or_else(|| "the keeper has ended".to_owned())));
        };
        match answer {
            Answer::Failed(failure) => Err(failure.about(object)),
            Answer::NotFound(name) => Err(RuntimeError::NotFound(name)),
            answer => Ok((answer, fds)),
        }
    }

    fn tell(&self, event: RuntimeEvent) {
        let sink = self.sink.lock().clone();
        if let Some(sink) = sink {
            sink(event);
        }
    }

    /// After the keeper's death: kills what it left and removes it. What the host has in the folder stays.
    fn clean_up(&self) {
        for orphan in std::mem::take(&mut *self.orphans.lock()).into_values() {
            let _ = sys::pidfd_signal(orphan.as_fd(), libc::SIGKILL);
            let _ = sys::poll(&[(orphan.as_raw_fd(), libc::POLLIN)], 10_000);
        }
        sweep::clean_after_keeper(&self.folder, &self.cgroups);
    }
}

/// A new container's id: 64 hexadecimal digits.
fn new_container_id(world: &World) -> String {
    (0..4).map(|_| format!("{:016x}", world.entropy.next())).collect()
}

impl Runtime for LinuxRuntime {
    fn version(&self) -> String {
        format!("coracle://{}", env!("CARGO_PKG_VERSION"))
    }

    fn subscribe(&self, sink: EventSink) {
        *self.shared().sink.lock() = Some(Arc::new(sink));
    }

    fn run_sandbox(&self, spec: &SandboxSpec) -> Result<Sandbox, RuntimeError> {
        let shared = self.shared();
        let pending = shared.send(&spec.pod, Ask::RunSandbox(spec.clone()), Vec::new())?;
        let (_, fds) = shared.answer(&spec.pod, &pending)?;
        let mut fds = fds.into_iter();
        let netns = if spec.sharing.host_network {
            None
        } else {
            match (fds.next(), fds.next()) {
                (Some(namespace), Some(netlink)) => Some(Netns { namespace, netlink }),
                _ => return Err(nonsense(&spec.pod)),
            }
        };
        if let Some(pause) = fds.next() {
            shared.orphans.lock().insert(spec.id.clone(), pause);
        }
        Ok(Sandbox { id: SandboxId(spec.id.clone()), netns })
    }

    fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let (answer, _) = self.ask(&id.0, Ask::RemoveSandbox { sandbox: id.0.clone() })?;
        self.shared().orphans.lock().remove(&id.0);
        let Answer::Text(containers) = answer else { return Ok(()) };
        containers.split(',').filter(|id| !id.is_empty()).try_for_each(|id| self.remove_layer(id))
    }

    fn start_container(
        &self,
        sandbox: &SandboxId,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, RuntimeError> {
        self.make_container(sandbox, spec, None)
    }

    fn start_container_with(
        &self,
        sandbox: &SandboxId,
        spec: &ContainerSpec,
        meanwhile: &mut dyn FnMut() -> Result<(), RuntimeError>,
    ) -> Result<ContainerId, RuntimeError> {
        self.make_container(sandbox, spec, Some(meanwhile))
    }

    fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), RuntimeError> {
        self.ask(&id.0, Ask::Signal { id: id.0.clone(), signal }).map(drop)
    }

    fn kill(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(&id.0, Ask::Kill { id: id.0.clone() }).map(drop)
    }

    fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.ask(&id.0, Ask::RemoveContainer { id: id.0.clone() })?;
        self.remove_layer(&id.0)
    }

    fn state(&self, id: &ContainerId) -> Result<ContainerState, RuntimeError> {
        match self.ask(&id.0, Ask::State { id: id.0.clone() })? {
            (Answer::State(state), _) => Ok(state.into()),
            _ => Err(nonsense(&id.0)),
        }
    }

    fn exec(
        &self,
        id: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, RuntimeError> {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        match self.ask(&id.0, Ask::Exec { id: id.0.clone(), command: command.to_vec(), timeout_ms })? {
            (Answer::Executed { code, output, timed_out }, _) => Ok(ExecOutput { code, output, timed_out }),
            _ => Err(nonsense(&id.0)),
        }
    }

    fn termination_message(&self, id: &ContainerId) -> Result<String, RuntimeError> {
        match self.ask(&id.0, Ask::TerminationMessage { id: id.0.clone() })? {
            (Answer::Text(text), _) => Ok(text),
            _ => Err(nonsense(&id.0)),
        }
    }

    fn list(&self) -> Result<Vec<(SandboxId, Vec<(ContainerId, ContainerState)>)>, RuntimeError> {
        let (Answer::List(all), _) = self.ask("all sandboxes", Ask::List)? else {
            return Err(nonsense("all sandboxes"));
        };
        let containers = |list: Vec<(String, wire::WireState)>| {
            list.into_iter().map(|(id, state)| (ContainerId(id), state.into())).collect()
        };
        Ok(all.into_iter().map(|(id, list)| (SandboxId(id), containers(list))).collect())
    }

    fn restart(&self) -> Result<(), RuntimeError> {
        let mut reader = self.reader.lock();
        let dead = self.shared();
        if dead.stopping.load(Ordering::Acquire) {
            return Err(RuntimeError::Lost("it was shut down".to_owned()));
        }
        if dead.lost.lock().is_none() {
            return Ok(());
        }
        let about = |failure: Failure| failure.about(&format!("cluster {}", self.config.cluster_id));
        let shared = Arc::new(replace(&self.config, &dead, &self.lock).map_err(about)?);
        let spawned = spawn_reader(Arc::clone(&shared)).at(Step::Start, "a thread").map_err(about)?;
        *self.shared.write() = shared;
        // The old one has nothing left to do: what it told last was the end.
        drop(reader.replace(spawned));
        Ok(())
    }

    fn shutdown(&self) -> Result<(), RuntimeError> {
        self.shared().stopping.store(true, Ordering::Release);
        let mut reader = self.reader.lock();
        let result = self.ask("the runtime", Ask::Shutdown).map(drop);
        let first = reader.is_some();
        join(reader.take());
        match result {
            // Its end is what was asked for, by whomever. One that ended without a word has removed nothing.
            Err(RuntimeError::Lost(_)) => {
                if first {
                    self.shared().clean_up();
                    self.remove_folder();
                }
                Ok(())
            }
            other => other,
        }
    }
}

fn join(reader: Option<JoinHandle<()>>) {
    if let Some(reader) = reader
        && reader.thread().id() != std::thread::current().id()
    {
        let _ = reader.join();
    }
}

impl LinuxRuntime {
    /// A keeper removes the cluster's folder at its end; for one that died, we do.
    fn remove_folder(&self) {
        let shared = self.shared();
        sweep::clean(&shared.folder, &shared.cgroups, false);
    }
}

impl Drop for LinuxRuntime {
    fn drop(&mut self) {
        if self.config.on_host_exit == OnHostExit::EndAll {
            let _ = self.shutdown();
            return;
        }
        let shared = self.shared();
        shared.stopping.store(true, Ordering::Release);
        let mut reader = self.reader.lock();
        packets::end(shared.socket.as_fd());
        join(reader.take());
        drop(reader);
        if shared.died.load(Ordering::Acquire) {
            self.remove_folder();
        }
    }
}
