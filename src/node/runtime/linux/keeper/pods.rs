//! The keeper's sandboxes: a pause process, its namespaces, the pod's file systems in memory, its removal.
//!
//! Invariant: a sandbox is answered as removed only when none of its processes, mounts and groups is left.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::super::super::SandboxSpec;
use super::super::inside;
use super::super::mount::{self, NO_DEVICES, NO_EXEC, NO_SUID};
use super::super::packets;
use super::super::sys::{self, Side};
use super::super::wire::{Answer, At, Failure, Step};
use super::{Asker, Keeper, Process, Report, Source, Watched};
use crate::limits;

/// Where a sandbox stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its pause process sets itself up.
    Starting(Watched),
    /// Containers may be started.
    Ready,
    /// Its pause process has ended by itself.
    Broken,
    /// It is being removed.
    Ending,
}

/// One sandbox.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) spec: SandboxSpec,
    pub(super) group: String,
    pub(super) pause: Option<Process>,
    pub(super) phase: Phase,
    /// The network namespace and its netlink socket; none for the host's.
    network: Vec<OwnedFd>,
    /// File systems in memory, by name (`shm` and the volumes'), in our mount namespace.
    memory: BTreeMap<String, PathBuf>,
    /// The containers forgotten at its end, whose layers are still to be deleted.
    layers: Vec<String>,
    /// Its group stayed busy past the bound.
    gave_up: bool,
    failure: Option<Failure>,
    starting: Vec<Asker>,
    removing: Vec<Asker>,
}

/// Whether a name can be that of a folder and of a group.
pub(super) fn is_plain(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !id.is_empty() && id.len() <= 200 && id.chars().all(plain) && !id.starts_with('.') && id != "skeleton"
}

impl Keeper {
    pub(super) fn run_sandbox(&mut self, asker: Asker, spec: SandboxSpec) {
        if !is_plain(&spec.id) {
            let cause = format!("{:?} cannot be a sandbox's name", spec.id);
            return self.answer(asker, Answer::Failed(Failure::refused(Step::Setup, cause)));
        }
        if let Some(sandbox) = self.sandboxes.get_mut(&spec.id) {
            match sandbox.phase {
                Phase::Starting(_) => sandbox.starting.push(asker),
                Phase::Ready => self.tell_sandbox(asker, &spec.id),
                Phase::Broken | Phase::Ending => {
                    let failure = Failure::kernel(Step::Setup, "the sandbox has ended or is being removed");
                    self.answer(asker, Answer::Failed(failure));
                }
            }
            return;
        }
        let result = self.fork_pause(asker, &spec);
        if let Err(failure) = result {
            self.answer(asker, Answer::Failed(failure));
        }
    }

    fn fork_pause(&mut self, asker: Asker, spec: &SandboxSpec) -> Result<(), Failure> {
        let folder = self.pod_folder(&spec.id);
        fs::create_dir_all(&folder).at(Step::State, folder.display())?;
        let hostname = folder.join("hostname");
        fs::write(&hostname, format!("{}\n", spec.hostname)).at(Step::State, hostname.display())?;
        let group = format!("pod{}", spec.id);
        let (ours, theirs) = packets::pair().at(Step::Setup, "a socket pair")?;
        let new_pids = spec.sharing.share_pid && !spec.sharing.host_pid;
        // The pause process must outlive the containers in a shortage of memory, as the keeper.
        let place = self.cgroups.birthplace(&group, true);
        let (side, born) = self.fork(new_pids, None, Some(-998), place).at(Step::Clone, "clone")?;
        let Side::Parent { pid, pidfd } = side else {
            inside::become_pause(spec, (&group, born), &self.cgroups, self.title, theirs.as_fd())
        };
        drop(theirs);
        let id = spec.id.clone();
        let report = self.watch(ours, libc::EPOLLIN, Source::SandboxReport(id.clone()))?;
        let end = self.watch(pidfd, libc::EPOLLIN, Source::SandboxEnd(id.clone()))?;
        let sandbox = Sandbox {
            spec: spec.clone(),
            group,
            pause: Some(Process { pid, end }),
            phase: Phase::Starting(report),
            network: Vec::new(),
            memory: BTreeMap::new(),
            layers: Vec::new(),
            gave_up: false,
            failure: None,
            starting: vec![asker],
            removing: Vec::new(),
        };
        self.sandboxes.insert(id, sandbox);
        Ok(())
    }

    pub(super) fn on_sandbox_report(&mut self, id: &str) {
        let Some(sandbox) = self.sandboxes.get(id) else { return };
        let Phase::Starting(watched) = &sandbox.phase else { return };
        let report = self.report(watched);
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        match report {
            Report::Nothing => {}
            Report::Ready(fds) => {
                sandbox.network = fds;
                let before = std::mem::replace(&mut sandbox.phase, Phase::Ready);
                let askers = std::mem::take(&mut sandbox.starting);
                if let Phase::Starting(watched) = before {
                    drop(self.unwatch(watched));
                }
                for asker in askers {
                    self.tell_sandbox(asker, id);
                }
            }
            Report::Failed(failure) => sandbox.failure = Some(failure),
            // Its death tells the rest.
            Report::Closed => {
                if let Phase::Starting(watched) = &sandbox.phase {
                    self.epoll.remove(watched.fd.as_fd());
                }
            }
        }
    }

    fn tell_sandbox(&mut self, asker: Asker, id: &str) {
        let Some(sandbox) = self.sandboxes.get(id) else { return };
        let mut fds: Vec<OwnedFd> = sandbox.network.iter().filter_map(|fd| fd.try_clone().ok()).collect();
        // Without cgroups the host finds what a dead keeper leaves by descriptors.
        if !self.cgroups.can_find()
            && let Some(pause) = &sandbox.pause
        {
            fds.extend(pause.end.fd.try_clone().ok());
        }
        self.answer_with(asker, Answer::Done, fds);
    }

    pub(super) fn on_sandbox_end(&mut self, id: &str) {
        let Some(sandbox) = self.sandboxes.get(id) else { return };
        let Some(pause) = &sandbox.pause else { return };
        if !matches!(sys::child_ending(pause.end.fd.as_fd(), true), Ok(Some(_))) {
            return;
        }
        if matches!(sandbox.phase, Phase::Starting(_)) {
            self.on_sandbox_report(id);
        }
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        let pause = sandbox.pause.take();
        if let Some(pause) = pause {
            drop(self.unwatch(pause.end));
        }
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        match std::mem::replace(&mut sandbox.phase, Phase::Broken) {
            Phase::Starting(watched) => {
                let failure = sandbox.failure.take().unwrap_or_else(|| {
                    Failure::kernel(Step::Setup, "the sandbox's process died while it was made")
                });
                let askers = std::mem::take(&mut sandbox.starting);
                drop(self.unwatch(watched));
                for asker in askers {
                    self.answer(asker, Answer::Failed(failure.clone()));
                }
                self.begin_removal(id);
            }
            Phase::Ending => sandbox.phase = Phase::Ending,
            // Somebody killed it: the namespaces may be gone, so the containers go too.
            Phase::Ready | Phase::Broken => self.kill_containers_of(id),
        }
        self.finish_removals();
    }

    pub(super) fn remove_sandbox(&mut self, asker: Asker, id: &str) {
        match self.sandboxes.get_mut(id) {
            None => self.answer(asker, Answer::Done),
            Some(sandbox) => {
                sandbox.removing.push(asker);
                sandbox.gave_up = false;
                self.begin_removal(id);
                self.finish_removals();
            }
        }
    }

    /// Kills every process of a sandbox; the rest follows as they end.
    pub(super) fn begin_removal(&mut self, id: &str) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        let before = std::mem::replace(&mut sandbox.phase, Phase::Ending);
        let askers = std::mem::take(&mut sandbox.starting);
        let group = sandbox.group.clone();
        if let Some(pause) = &sandbox.pause {
            let _ = sys::pidfd_signal(pause.end.fd.as_fd(), libc::SIGKILL);
        }
        if let Phase::Starting(watched) = before {
            drop(self.unwatch(watched));
        }
        for asker in askers {
            let failure = Failure::kernel(Step::Setup, "the sandbox was removed while it was made");
            self.answer(asker, Answer::Failed(failure));
        }
        self.cgroups.kill(&group);
        self.kill_containers_of(id);
    }

    fn kill_containers_of(&mut self, id: &str) {
        for container in self.containers.values().filter(|container| container.sandbox == id) {
            if let Some(process) = &container.process {
                let _ = sys::pidfd_signal(process.end.fd.as_fd(), libc::SIGKILL);
            }
            if container.shares_pids {
                self.cgroups.kill(&container.group);
            }
        }
        for command in self.commands.values() {
            if let Some(container) = self.containers.get(&command.container)
                && container.sandbox == id
            {
                sys::signal_group(command.process.pid, libc::SIGKILL);
            }
        }
    }

    /// Completes the removal of every sandbox whose processes have all ended.
    pub(super) fn finish_removals(&mut self) {
        let commands = self.commands.values().filter_map(|command| self.containers.get(&command.container));
        let containers = self.containers.values().filter(|container| container.process.is_some());
        let alive: HashSet<&str> =
            containers.chain(commands).map(|container| container.sandbox.as_str()).collect();
        let ended = |id: &str, sandbox: &Sandbox| {
            matches!(sandbox.phase, Phase::Ending) && sandbox.pause.is_none() && !alive.contains(id)
        };
        let done: Vec<String> = self
            .sandboxes
            .iter()
            .filter(|(id, sandbox)| ended(id, sandbox))
            .map(|(id, _)| id.clone())
            .collect();
        for id in done {
            let of_it = |(name, container): (&String, &super::Container)| {
                (container.sandbox == id).then(|| name.clone())
            };
            let names: Vec<String> = self.containers.iter().filter_map(of_it).collect();
            for name in &names {
                self.forget_container(name);
            }
            let Some(sandbox) = self.sandboxes.get_mut(&id) else { continue };
            sandbox.layers.extend(names);
            for path in std::mem::take(&mut sandbox.memory).values() {
                let _ = mount::detach(path);
            }
            sandbox.network.clear();
            let (group, gave_up) = (sandbox.group.clone(), sandbox.gave_up);
            if self.stuck.remove(&group) {
                self.give_up(&id);
                continue;
            }
            // Given up, it is not waited for again until its removal is asked for again.
            if !(if gave_up { self.cgroups.remove(&group) } else { self.remove_group(&group) }) {
                continue;
            }
            // Those of its containers are gone with it.
            let below = format!("{group}/");
            let of_it = self.busy.keys().filter(|busy| busy.starts_with(&below)).cloned();
            for busy in of_it.collect::<Vec<_>>() {
                self.no_longer_busy(&busy);
            }
            let _ = fs::remove_dir_all(self.pod_folder(&id));
            if let Some(sandbox) = self.sandboxes.remove(&id) {
                for asker in sandbox.removing {
                    self.answer(asker, Answer::Text(sandbox.layers.join(",")));
                }
            }
        }
    }

    /// Leaves a sandbox whose group stays busy until its removal is asked for again.
    fn give_up(&mut self, id: &str) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return };
        sandbox.gave_up = true;
        for asker in std::mem::take(&mut sandbox.removing) {
            let cause = "its cgroup stays busy: a process of it does not end";
            self.answer(asker, Answer::Failed(Failure::kernel(Step::Remove, cause)));
        }
        // At the end of all, the whole tree is tried once more.
        if self.ending.is_some() {
            self.sandboxes.remove(id);
        }
    }

    /// The path of a pod's file system in memory, made on first use.
    pub(super) fn pod_memory(
        &mut self,
        sandbox: &str,
        name: &str,
        size: Option<u64>,
    ) -> Result<PathBuf, Failure> {
        let folder = self.pod_folder(sandbox);
        let Some(sandbox) = self.sandboxes.get_mut(sandbox) else {
            return Err(Failure::kernel(Step::Mount, "the sandbox is gone"));
        };
        if let Some(path) = sandbox.memory.get(name) {
            return Ok(path.clone());
        }
        let path = folder.join(format!("tmpfs-{name}"));
        let exec = if name == "shm" { NO_EXEC } else { 0 };
        let make = || -> io::Result<()> {
            fs::create_dir_all(&path)?;
            let mode = if name == "shm" { c"1777" } else { c"0777" };
            let size = size.map(|size| CString::new(size.to_string())).transpose()?;
            let mut options = vec![(c"mode", mode)];
            options.extend(size.as_deref().map(|size| (c"size", size)));
            let tree = mount::memory_tree(&options, NO_SUID | NO_DEVICES | exec)?;
            mount::attach(tree.as_fd(), mount::open_place(&path)?.as_fd())
        };
        make().at(Step::Mount, path.display())?;
        sandbox.memory.insert(name.to_owned(), path.clone());
        Ok(path)
    }

    /// The pod's `/dev/shm`: its own, or the host's.
    pub(super) fn pod_shm(&mut self, sandbox: &str) -> Result<PathBuf, Failure> {
        if self.sandboxes.get(sandbox).is_some_and(|sandbox| sandbox.spec.sharing.host_ipc) {
            return Ok(PathBuf::from("/dev/shm"));
        }
        self.pod_memory(sandbox, "shm", Some(limits::POD_SHM_BYTES))
    }
}
