//! The keeper's containers: their start, output, end and removal.
//!
//! Invariant: a container's end is written to its folder before it is reaped, and told after its output.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use super::super::super::{ContainerSpec, MountSource, Rootfs};
use super::super::inside::{self, Birth, NewContainer, Volume, privileges};
use super::super::packets;
use super::super::sys::{self, Ending, Side};
use super::super::wire::{Answer, At, Failure, FromKeeper, Step, WireExit, WireState, nanoseconds};
use super::logs::{Lines, STREAMS};
use super::pods::{Phase as PodPhase, is_plain};
use super::{Asker, Keeper, Process, Report, Source, Watched};
use crate::limits;
use crate::world::Clock;

/// Where a container stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its child sets itself up.
    Starting { asker: Asker, report: Watched, exec_next: bool, failure: Option<Failure> },
    /// Its program runs.
    Running { started: i64 },
    /// Its program has ended.
    Exited(WireExit),
}

/// The two output pipes, while they are open.
type Pipes = [Option<(Watched, Lines)>; 2];

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) sandbox: String,
    pub(super) spec: Rc<ContainerSpec>,
    pub(super) group: String,
    pub(super) process: Option<Process>,
    pub(super) phase: Phase,
    pub(super) capabilities: u64,
    /// The end of its first process does not end the others.
    pub(super) shares_pids: bool,
    folder: PathBuf,
    log: File,
    pipes: Pipes,
    removing: Vec<Asker>,
}

/// What a start needs that can fail before a child exists.
struct Prepared {
    folder: PathBuf,
    layer: PathBuf,
    shm: PathBuf,
    volumes: Vec<Volume>,
    capabilities: u64,
}

impl Keeper {
    pub(super) fn start_container(
        &mut self,
        asker: Asker,
        sandbox: &str,
        id: &str,
        spec: Box<ContainerSpec>,
        (log, gate): (Option<File>, Option<OwnedFd>),
    ) {
        let log = log.ok_or_else(|| Failure::kernel(Step::Log, "no log was passed"));
        if let Err(failure) = log.and_then(|log| self.fork_container(asker, sandbox, id, spec, (log, gate))) {
            self.answer(asker, Answer::Failed(failure));
        }
    }

    fn prepare(&mut self, sandbox: &str, id: &str, spec: &ContainerSpec) -> Result<Prepared, Failure> {
        if !is_plain(id) || self.containers.contains_key(id) {
            return Err(Failure::refused(Step::Setup, format!("{id:?} cannot be a new container's id")));
        }
        match self.sandboxes.get(sandbox).map(|sandbox| &sandbox.phase) {
            Some(PodPhase::Ready) => {}
            Some(_) => return Err(Failure::kernel(Step::Setup, "the sandbox is not running")),
            None => return Err(Failure::kernel(Step::Setup, "no such sandbox")),
        }
        let capabilities = privileges::capabilities(&spec.security)?;
        let folder = self.pod_folder(sandbox).join(id);
        // The upper folder of an overlay cannot lie on another overlay.
        let in_memory = self.in_memory || matches!(spec.rootfs, Rootfs::HostRoot(_));
        let layer = if in_memory { folder.join("layer") } else { self.setup.folder.join("layers").join(id) };
        fs::create_dir(&folder).at(Step::State, folder.display())?;
        File::create(folder.join("termination")).at(Step::State, folder.display())?;
        let anyone = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(folder.join("termination"), anyone).at(Step::State, folder.display())?;
        let shm = self.pod_shm(sandbox)?;
        let mut volumes = Vec::new();
        for mount in &spec.mounts {
            let (source, inside, of_host) = match &mount.source {
                MountSource::Host(path) => (path.clone(), String::new(), true),
                MountSource::PodTmpfs { name, size_limit, sub_path } => {
                    if !is_plain(name) || name == "shm" {
                        return Err(Failure::refused(Step::Mount, format!("{name:?} is no volume's name")));
                    }
                    (self.pod_memory(sandbox, name, *size_limit)?, sub_path.clone(), false)
                }
            };
            volumes.push(Volume {
                source,
                of_host,
                inside,
                target: mount.target.clone(),
                read_only: mount.read_only,
                propagation: mount.propagation,
            });
        }
        Ok(Prepared { folder, layer, shm, volumes, capabilities })
    }

    fn fork_container(
        &mut self,
        asker: Asker,
        sandbox: &str,
        id: &str,
        spec: Box<ContainerSpec>,
        (log, gate): (File, Option<OwnedFd>),
    ) -> Result<(), Failure> {
        let spec = Rc::new(*spec);
        let prepared = self.prepare(sandbox, id, &spec)?;
        let filters = self.filters_of(&spec, prepared.capabilities)?;
        let Some(pod) = self.sandboxes.get(sandbox) else {
            return Err(Failure::kernel(Step::Setup, "no such sandbox"));
        };
        let Some(pause) = &pod.pause else {
            return Err(Failure::kernel(Step::Setup, "the sandbox has ended"));
        };
        let sharing = pod.spec.sharing;
        let group = format!("{}/{id}", pod.group);
        let (ours, theirs) = packets::pair().at(Step::Setup, "a socket pair")?;
        let (out, out_write) = sys::pipe().at(Step::Output, "a pipe")?;
        let (error, error_write) = sys::pipe().at(Step::Output, "a pipe")?;
        let shares_pids = sharing.host_pid || sharing.share_pid;
        let pids = (sharing.share_pid && !sharing.host_pid).then(|| pause.end.fd.as_fd());
        let place = self.cgroups.birthplace(&group, false);
        let score = spec.resources.oom_score_adj;
        let (side, born) = self.fork(!shares_pids, pids, score, place).at(Step::Clone, "clone")?;
        let Side::Parent { pid, pidfd } = side else {
            let birth = Birth {
                report: theirs.as_fd(),
                output: [out_write.as_fd(), error_write.as_fd()],
                cgroups: &self.cgroups,
                group: &group,
                born,
                spec: &spec,
                hostname: &pod.spec.hostname,
                capabilities: prepared.capabilities,
                last_capability: self.last_capability,
                file_limit: self.file_limit,
                filters: filters.as_deref(),
                gate: gate.as_ref().map(AsFd::as_fd),
            };
            let mut new = NewContainer {
                pause: pause.end.fd.as_fd(),
                sharing,
                host_mounts: self.host_mounts.as_fd(),
                root: &self.setup.folder.join("root"),
                skeleton: &self.skeleton,
                hostname: self.pod_folder(sandbox).join("hostname"),
                layer: prepared.layer,
                shm: &prepared.shm,
                shm_tree: None,
                termination: prepared.folder.join("termination"),
                volumes: prepared.volumes,
                in_user_namespace: self.in_user_namespace,
            };
            inside::become_container(&birth, &mut new)
        };
        drop((theirs, out_write, error_write));
        let report = self.watch(ours, libc::EPOLLIN, Source::ContainerReport(id.to_owned()))?;
        let end = self.watch(pidfd, libc::EPOLLIN, Source::ContainerEnd(id.to_owned()))?;
        let container = Container {
            sandbox: sandbox.to_owned(),
            spec,
            group,
            process: Some(Process { pid, end }),
            phase: Phase::Starting { asker, report, exec_next: false, failure: None },
            capabilities: prepared.capabilities,
            shares_pids,
            folder: prepared.folder,
            log,
            pipes: self.watch_output(id, [out, error])?,
            removing: Vec::new(),
        };
        self.containers.insert(id.to_owned(), container);
        Ok(())
    }

    fn watch_output(&mut self, id: &str, pipes: [OwnedFd; 2]) -> Result<Pipes, Failure> {
        let mut watch = |fd: OwnedFd, stream: usize| {
            let watched = self.watch(fd, libc::EPOLLIN, Source::Log(id.to_owned(), stream));
            watched.map(|watched| Some((watched, Lines::default())))
        };
        let [out, error] = pipes;
        Ok([watch(out, 0)?, watch(error, 1)?])
    }

    pub(super) fn on_container_report(&mut self, id: &str) {
        loop {
            let Some(container) = self.containers.get(id) else { return };
            let Phase::Starting { report: watched, .. } = &container.phase else { return };
            let report = self.report(watched);
            let now = nanoseconds(self.clock.now());
            let Some(container) = self.containers.get_mut(id) else { return };
            let Phase::Starting { asker, exec_next, failure, .. } = &mut container.phase else { return };
            match report {
                Report::Nothing => return,
                Report::Ready(_) => *exec_next = true,
                Report::Failed(cause) => *failure = Some(cause),
                Report::Closed if *exec_next && failure.is_none() => {
                    let asker = *asker;
                    let before = std::mem::replace(&mut container.phase, Phase::Running { started: now });
                    let pid = container.process.as_ref().map_or(0, |process| process.pid);
                    let mut fds = Vec::new();
                    if !self.cgroups.can_find()
                        && let Some(process) = &container.process
                    {
                        fds.extend(process.end.fd.try_clone().ok());
                    }
                    if let Phase::Starting { report, .. } = before {
                        drop(self.unwatch(report));
                    }
                    self.answer_with(asker, Answer::Started { pid }, fds);
                    return;
                }
                // Its death tells the rest.
                Report::Closed => {
                    if let Phase::Starting { report, .. } = &container.phase {
                        self.epoll.remove(report.fd.as_fd());
                    }
                    return;
                }
            }
        }
    }

    pub(super) fn on_log(&mut self, id: &str, stream: usize) {
        let now = self.clock.now();
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some((watched, lines)) = &mut container.pipes[stream] else { return };
        let mut buffer = [0; 16 * 1024];
        let mut out = Vec::new();
        let mut ended = false;
        for _ in 0..limits::LOG_READ_BYTES / buffer.len() {
            match sys::read(watched.fd.as_fd(), &mut buffer) {
                Ok(0) => ended = true,
                Ok(length) => {
                    lines.take(STREAMS[stream], now, &buffer[..length], &mut out);
                    if length == buffer.len() {
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => ended = true,
            }
            break;
        }
        if ended {
            lines.end(STREAMS[stream], now, &mut out);
        }
        // A full disk costs the lines, not the container.
        let _ = container.log.write_all(&out);
        if ended && let Some((watched, _)) = container.pipes[stream].take() {
            drop(self.unwatch(watched));
        }
    }

    /// Reads what is left of the output of a container that has ended.
    fn drain(&mut self, id: &str) {
        for (stream, name) in STREAMS.iter().enumerate() {
            // A pipe holds at most a megabyte; a process that still writes gets no further chance.
            for _ in 0..16 {
                let open = self.containers.get(id).is_some_and(|container| container.pipes[stream].is_some());
                if !open {
                    break;
                }
                self.on_log(id, stream);
            }
            let now = self.clock.now();
            let Some(container) = self.containers.get_mut(id) else { return };
            if let Some((watched, mut lines)) = container.pipes[stream].take() {
                let mut out = Vec::new();
                lines.end(name, now, &mut out);
                let _ = container.log.write_all(&out);
                drop(self.unwatch(watched));
            }
        }
    }

    pub(super) fn on_container_end(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else { return };
        let Some(process) = &container.process else { return };
        let Ok(Some(ending)) = sys::child_ending(process.end.fd.as_fd(), false) else { return };
        let finished = nanoseconds(self.clock.now());
        if container.shares_pids {
            self.cgroups.kill(&container.group);
        }
        self.on_container_report(id);
        self.drain(id);
        let Some(container) = self.containers.get_mut(id) else { return };
        let started = match container.phase {
            Phase::Running { started } => Some(started),
            _ => None,
        };
        let (code, signal) = match ending {
            Ending::Code(code) => (code, 0),
            Ending::Signal(signal) => (128 + signal, signal),
        };
        let oom_killed = self.cgroups.oom_kills(&container.group) > 0;
        let exit = WireExit { code, signal, oom_killed, started: started.unwrap_or(finished), finished };
        if started.is_some() {
            let mut line = serde_json::to_vec(&(&container.sandbox, id, &exit)).unwrap_or_default();
            line.push(b'\n');
            let _ = self.exits.write_all(&line);
        }
        let process = container.process.take();
        if let Some(process) = process {
            let _ = sys::child_ending(process.end.fd.as_fd(), true);
            drop(self.unwatch(process.end));
        }
        let Some(container) = self.containers.get_mut(id) else { return };
        match std::mem::replace(&mut container.phase, Phase::Exited(exit.clone())) {
            Phase::Starting { asker, report, failure, .. } => {
                drop(self.unwatch(report));
                let failure = failure.unwrap_or_else(|| died(ending, oom_killed));
                self.forget_container(id);
                self.answer(asker, Answer::Failed(failure));
            }
            _ => {
                let (sandbox, container) = (container.sandbox.clone(), id.to_owned());
                self.send(&FromKeeper::Exited { sandbox, container, exit }, Vec::new());
                let removing =
                    self.containers.get(id).is_some_and(|container| !container.removing.is_empty());
                if removing {
                    self.forget_container(id);
                }
            }
        }
        self.finish_removals();
    }

    /// Removes what an ended container leaves in memory and in the cgroups. Its layer on the disk is the
    /// host's to delete, since that can take long.
    pub(super) fn forget_container(&mut self, id: &str) {
        let Some(container) = self.containers.remove(id) else { return };
        let _ = fs::remove_dir_all(&container.folder);
        self.remove_group(&container.group);
        for asker in container.removing {
            self.answer(asker, Answer::Done);
        }
    }

    pub(super) fn signal_container(&mut self, asker: Asker, id: &str, signal: i32) {
        let Some(container) = self.containers.get(id) else {
            return self.answer(asker, Answer::NotFound(id.to_owned()));
        };
        let result = match &container.process {
            Some(process) => sys::pidfd_signal(process.end.fd.as_fd(), signal),
            None => Ok(()),
        };
        self.answer(
            asker,
            match result.at(Step::Signal, signal) {
                Ok(()) => Answer::Done,
                Err(failure) => Answer::Failed(failure),
            },
        );
    }

    pub(super) fn kill_container(&mut self, asker: Asker, id: &str) {
        let Some(container) = self.containers.get(id) else {
            return self.answer(asker, Answer::NotFound(id.to_owned()));
        };
        self.kill(container);
        self.answer(asker, Answer::Done);
    }

    fn kill(&self, container: &Container) {
        if let Some(process) = &container.process {
            let _ = sys::pidfd_signal(process.end.fd.as_fd(), libc::SIGKILL);
        }
        if container.shares_pids {
            self.cgroups.kill(&container.group);
        }
    }

    pub(super) fn remove_container(&mut self, asker: Asker, id: &str) {
        let Some(container) = self.containers.get_mut(id) else {
            return self.answer(asker, Answer::Done);
        };
        container.removing.push(asker);
        if container.process.is_none() {
            self.forget_container(id);
        } else if let Some(container) = self.containers.get(id) {
            self.kill(container);
        }
    }

    fn state(container: &Container) -> WireState {
        match &container.phase {
            Phase::Starting { .. } => WireState::Created,
            Phase::Running { started } => {
                let pid = container.process.as_ref().map_or(0, |process| process.pid);
                WireState::Running { pid, started: *started }
            }
            Phase::Exited(exit) => WireState::Exited(exit.clone()),
        }
    }

    pub(super) fn tell_state(&mut self, asker: Asker, id: String) {
        let answer = match self.containers.get(&id) {
            Some(container) => Answer::State(Self::state(container)),
            None => Answer::NotFound(id),
        };
        self.answer(asker, answer);
    }

    pub(super) fn tell_termination(&mut self, asker: Asker, id: String) {
        let answer = match self.containers.get(&id) {
            Some(container) => {
                let mut bytes = Vec::new();
                if let Ok(file) = File::open(container.folder.join("termination")) {
                    let _ = file.take(limits::TERMINATION_MESSAGE_BYTES as u64).read_to_end(&mut bytes);
                }
                Answer::Text(String::from_utf8_lossy(&bytes).into_owned())
            }
            None => Answer::NotFound(id),
        };
        self.answer(asker, answer);
    }

    pub(super) fn tell_all(&mut self, asker: Asker) {
        let containers_of = |sandbox: &str| {
            let of_it = self.containers.iter().filter(|(_, container)| container.sandbox == sandbox);
            of_it.map(|(id, container)| (id.clone(), Self::state(container))).collect()
        };
        let all = self.sandboxes.keys().map(|id| (id.clone(), containers_of(id))).collect();
        self.answer(asker, Answer::List(all));
    }
}

fn died(ending: Ending, oom_killed: bool) -> Failure {
    let how = match ending {
        Ending::Code(code) => format!("it ended with {code} before its program began"),
        Ending::Signal(signal) => format!("signal {signal} ended it before its program began"),
    };
    let memory = if oom_killed { ": its memory limit is too low" } else { "" };
    Failure::kernel(Step::Setup, format!("{how}{memory}"))
}
