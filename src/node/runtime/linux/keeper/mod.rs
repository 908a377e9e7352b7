//! The keeper: the parent of every container, one process with one thread.
//!
//! Owns the loop over one epoll: the host's socket, the reports and ends of children, log pipes, timers.
//! `pods`, `containers` and `commands` hold what happens to each; `logs` writes the CRI format. All that can
//! take long happens in children (see `inside`), so the loop never waits.
//!
//! Invariant: when the host's socket ends, everything that was made here is undone and the process exits,
//! unless it was told to stay for adoption.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::{ContainerSpec, Seccomp};
use super::cgroup::{self, Cgroups};
use super::inside::READY;
use super::launch::{LOCK_FD, SOCKET_FD};
use super::seccomp::{self, Filters};
use super::wire::{self, Answer, Ask, At, Failure, FromKeeper, Packet, Request, Setup, Step};
use super::{mount, packets, sys};
use crate::limits;
use crate::world::{Clock, Moment, SystemClock};

mod commands;
mod containers;
mod logs;
mod pods;
mod start;

use commands::Command;
use containers::Container;
use pods::Sandbox;

/// A descriptor in the epoll set.
#[derive(Debug)]
struct Watched {
    fd: OwnedFd,
    token: u64,
}

/// A child that has not been reaped.
#[derive(Debug)]
struct Process {
    pid: u32,
    end: Watched,
}

/// What a token of the epoll set stands for.
#[derive(Clone, Debug)]
enum Source {
    Host,
    Listener,
    SandboxReport(String),
    SandboxEnd(String),
    ContainerReport(String),
    ContainerEnd(String),
    Log(String, usize),
    CommandReport(u64),
    CommandEnd(u64),
    CommandOutput(u64),
    GroupEvents(String),
}

/// What happens at a time.
#[derive(Clone, Debug)]
enum Timer {
    /// A command has had its time.
    Command(u64),
    /// A busy group has.
    Group(String),
}

/// A group that is removed once its last process has left it.
#[derive(Debug)]
struct Busy {
    /// Tell when that is, where there is a unified tree, until they have told it.
    events: Option<Watched>,
    deadline: (Moment, u64),
}

/// Whom an answer is for: a connection and a request of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asker {
    connection: u64,
    number: u64,
}

/// What a child told through its report socket.
enum Report {
    /// The exec comes next; a sandbox is complete.
    Ready(Vec<OwnedFd>),
    /// It gave up.
    Failed(Failure),
    /// The socket was closed: by the exec, or by its death.
    Closed,
    /// Nothing yet.
    Nothing,
}

/// Where the process's own arguments lie in memory, for titles.
type Title = (usize, usize);

/// The keeper's state.
struct Keeper {
    setup: Setup,
    cgroups: Cgroups,
    clock: SystemClock,
    epoll: sys::Epoll,
    sources: BTreeMap<u64, Source>,
    next_token: u64,
    host: Option<Watched>,
    connection: u64,
    outbox: VecDeque<Packet>,
    /// The host's socket is full, and watched for room.
    full: bool,
    buffer: Vec<u8>,
    listener: Option<OwnedFd>,
    lock: OwnedFd,
    sandboxes: BTreeMap<String, Sandbox>,
    containers: BTreeMap<String, Container>,
    commands: BTreeMap<u64, Command>,
    timers: BTreeMap<(Moment, u64), Timer>,
    /// Groups that were busy when they were to be removed.
    busy: BTreeMap<String, Busy>,
    /// Groups that stayed busy past the bound.
    stuck: BTreeSet<String>,
    filters: BTreeMap<u64, Rc<Filters>>,
    host_mounts: File,
    own_pids: File,
    oom: Option<(File, String)>,
    title: Title,
    last_capability: u32,
    file_limit: Option<(u64, u64)>,
    in_user_namespace: bool,
    /// The writable layers of all containers lie in memory.
    in_memory: bool,
    skeleton: PathBuf,
    /// The ends of containers, a line each.
    exits: File,
    /// Everything is being ended, for these askers.
    ending: Option<Vec<Asker>>,
}

/// Takes over the process. Called before `main`.
pub(super) fn main() -> ! {
    sys::ignore_signals();
    sys::set_name(c"coracle-keeper");
    // SAFETY: whoever starts a keeper puts its socket and its lock there, and nobody else has them.
    let (socket, lock) = unsafe { (OwnedFd::from_raw_fd(SOCKET_FD), OwnedFd::from_raw_fd(LOCK_FD)) };
    let mut buffer = Vec::new();
    let Ok(Some((request, _))) = wire::receive::<Request>(socket.as_fd(), &mut buffer, true) else {
        sys::exit_now(1)
    };
    let Ask::Hello(setup) = request.ask else { sys::exit_now(1) };
    let number = request.number;
    match Keeper::new(setup, lock) {
        Ok(mut keeper) => {
            let asker = keeper.connect(socket, number);
            keeper.welcome(asker);
            keeper.run()
        }
        Err(failure) => {
            let answer = FromKeeper::Answer { number, answer: Answer::Failed(failure) };
            if let Ok(packet) = Packet::new(&answer, Vec::new()) {
                let _ = packet.send(socket.as_fd(), true);
            }
            sys::exit_now(1)
        }
    }
}

impl Keeper {
    fn new(setup: Setup, lock: OwnedFd) -> Result<Keeper, Failure> {
        let open = |path: &str| File::open(path).at(Step::Start, path);
        sys::close_from(3, false).at(Step::Start, "close_range")?;
        let oom = start::protect_from_oom();
        // A pod takes some seven descriptors; the usual limit of 1,024 is for programs that use select.
        let file_limit = sys::file_limit().ok();
        if let Some((_, most)) = file_limit {
            sys::set_file_limit((most, most));
        }
        let title = start::argument_memory();
        sys::overwrite_arguments(
            title.0,
            title.1,
            &format!("coracle-keeper {} {}", setup.cluster, setup.node),
        );
        sys::prctl(libc::PR_SET_DUMPABLE, 0).at(Step::Start, "dumpable")?;
        let host_mounts = open("/proc/self/ns/mnt")?;
        sys::unshare(libc::CLONE_NEWNS).at(Step::Start, "mount namespace")?;
        mount::propagate(Path::new("/"), libc::MS_SLAVE | libc::MS_REC).at(Step::Start, "propagation")?;
        let own = start::own_folders(&setup)?;
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
        let mut cgroups = Cgroups::find(&setup.cluster);
        cgroups.prepare();
        let listener = if setup.stay { Some(start::listen(&own)?) } else { None };
        let mut keeper = Keeper {
            cgroups,
            clock: SystemClock::new(),
            epoll: sys::Epoll::new().at(Step::Start, "epoll")?,
            sources: BTreeMap::new(),
            next_token: 0,
            host: None,
            connection: 0,
            outbox: VecDeque::new(),
            full: false,
            buffer: Vec::new(),
            listener: None,
            lock,
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            commands: BTreeMap::new(),
            timers: BTreeMap::new(),
            busy: BTreeMap::new(),
            stuck: BTreeSet::new(),
            filters: BTreeMap::new(),
            host_mounts,
            own_pids: open("/proc/self/ns/pid")?,
            oom,
            title,
            last_capability: number("/proc/sys/kernel/cap_last_cap").unwrap_or(40),
            file_limit,
            in_user_namespace: start::in_user_namespace(),
            in_memory: own.on_overlay || setup.layers_in_memory,
            skeleton: own.skeleton,
            exits: own.exits,
            ending: None,
            setup,
        };
        if let Some(listener) = listener {
            let token = keeper.source(Source::Listener);
            keeper.epoll.add(listener.as_fd(), libc::EPOLLIN, token).at(Step::Start, "epoll")?;
            keeper.listener = Some(listener);
        }
        Ok(keeper)
    }

    /// Takes a connection as the host's.
    fn connect(&mut self, socket: OwnedFd, number: u64) -> Asker {
        self.connection += 1;
        self.outbox.clear();
        self.full = false;
        self.host = self.watch(socket, libc::EPOLLIN, Source::Host).ok();
        Asker { connection: self.connection, number }
    }

    /// Answers the first message: with the lock, so that an adopting host holds it too.
    fn welcome(&mut self, asker: Asker) {
        let missing = self.cgroups.missing().join(",");
        let text = Answer::Text(missing);
        match self.lock.try_clone() {
            Ok(lock) => self.answer_with(asker, text, vec![lock]),
            Err(_) => self.answer(asker, text),
        }
    }

    fn run(mut self) -> ! {
        loop {
            let ready = self.epoll.wait(self.timeout());
            let Ok(ready) = ready else { self.finish() };
            for token in ready {
                if let Some(source) = self.sources.get(&token).cloned() {
                    self.dispatch(source);
                }
            }
            self.flush();
            self.run_timers();
            self.retry_busy();
            if self.ending.is_some() && self.sandboxes.is_empty() {
                self.finish();
            }
        }
    }

    fn dispatch(&mut self, source: Source) {
        match source {
            Source::Host => self.on_host(),
            Source::Listener => self.on_connection(),
            Source::SandboxReport(id) => self.on_sandbox_report(&id),
            Source::SandboxEnd(id) => self.on_sandbox_end(&id),
            Source::ContainerReport(id) => self.on_container_report(&id),
            Source::ContainerEnd(id) => self.on_container_end(&id),
            Source::Log(id, stream) => self.on_log(&id, stream),
            Source::CommandReport(id) => self.on_command_report(id),
            Source::CommandEnd(id) => self.on_command_end(id),
            Source::CommandOutput(id) => self.on_command_output(id),
            Source::GroupEvents(group) => self.on_group_events(&group),
        }
    }

    /// Until the next timer, in milliseconds.
    fn timeout(&self) -> i32 {
        if self.busy.values().any(|busy| busy.events.is_none()) {
            return 1;
        }
        let Some(((when, _), _)) = self.timers.first_key_value() else { return -1 };
        let left = when.since(self.clock.moment());
        i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX)
    }

    fn run_timers(&mut self) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > self.clock.moment() {
                break;
            }
            match entry.remove() {
                Timer::Command(command) => self.on_command_timeout(command),
                Timer::Group(group) => self.on_group_timeout(group),
            }
        }
    }

    /// Removes a group, now or as soon as its last process has left it; true if it is gone.
    fn remove_group(&mut self, group: &str) -> bool {
        if self.busy.contains_key(group) {
            return false;
        }
        if self.cgroups.remove(group) {
            return true;
        }
        // Opened before it is killed, and read before it is waited for: so no change is missed.
        let events = self.cgroups.events(group);
        self.cgroups.kill(group);
        let events = events.filter(|events| cgroup::populated(events.as_fd()));
        let events =
            events.and_then(|fd| self.watch(fd, libc::EPOLLPRI, Source::GroupEvents(group.to_owned())).ok());
        self.next_token += 1;
        let deadline = (self.clock.moment().after(limits::CGROUP_DRAIN), self.next_token);
        self.timers.insert(deadline, Timer::Group(group.to_owned()));
        self.busy.insert(group.to_owned(), Busy { events, deadline });
        false
    }

    fn on_group_events(&mut self, group: &str) {
        let Some(busy) = self.busy.get_mut(group) else { return };
        let Some(events) = busy.events.take_if(|events| !cgroup::populated(events.fd.as_fd())) else {
            return;
        };
        drop(self.unwatch(events));
        self.retry_busy();
    }

    /// Tries again to remove groups that were busy and of which no event will tell: on v1 without a unified
    /// tree a process leaves its group a moment after its end is told, and with one the other trees may lag
    /// behind it. Until the group's deadline.
    fn retry_busy(&mut self) {
        let untold = self.busy.iter().filter(|(_, busy)| busy.events.is_none());
        let gone: Vec<String> =
            untold.filter(|(group, _)| self.cgroups.remove(group)).map(|(group, _)| group.clone()).collect();
        if gone.is_empty() {
            return;
        }
        for group in gone {
            self.no_longer_busy(&group);
        }
        self.finish_removals();
    }

    fn no_longer_busy(&mut self, group: &str) {
        let Some(busy) = self.busy.remove(group) else { return };
        self.timers.remove(&busy.deadline);
        if let Some(events) = busy.events {
            drop(self.unwatch(events));
        }
    }

    fn on_group_timeout(&mut self, group: String) {
        self.no_longer_busy(&group);
        if self.sandboxes.values().any(|sandbox| sandbox.group == group) {
            self.stuck.insert(group);
        }
        self.finish_removals();
    }

    fn source(&mut self, source: Source) -> u64 {
        self.next_token += 1;
        self.sources.insert(self.next_token, source);
        self.next_token
    }

    fn watch(&mut self, fd: OwnedFd, events: i32, source: Source) -> Result<Watched, Failure> {
        let token = self.source(source);
        match self.epoll.add(fd.as_fd(), events, token) {
            Ok(()) => Ok(Watched { fd, token }),
            Err(error) => {
                self.sources.remove(&token);
                Err(error).at(Step::Setup, "epoll")
            }
        }
    }

    fn unwatch(&mut self, watched: Watched) -> OwnedFd {
        self.sources.remove(&watched.token);
        self.epoll.remove(watched.fd.as_fd());
        watched.fd
    }

    fn on_host(&mut self) {
        loop {
            let Some(host) = &self.host else { return };
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = wire::receive::<Request>(host.fd.as_fd(), &mut buffer, false);
            self.buffer = buffer;
            match received {
                Ok(Some((request, fds))) => {
                    let asker = Asker { connection: self.connection, number: request.number };
                    self.handle(asker, request.ask, fds);
                }
                Ok(None) => return self.on_host_end(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A message that is none: the host answers for its own memory, and goes on without this one.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => return self.on_host_end(),
            }
        }
    }

    fn on_host_end(&mut self) {
        if let Some(host) = self.host.take() {
            drop(self.unwatch(host));
        }
        self.outbox.clear();
        if !self.setup.stay {
            self.end_all(None);
        }
    }

    fn on_connection(&mut self) {
        let Some(listener) = &self.listener else { return };
        let Ok(socket) = packets::accept(listener.as_fd()) else { return };
        // One host at a time: a second one sees its connection end.
        if self.host.is_some() || self.ending.is_some() {
            return;
        }
        self.connect(socket, 0);
    }

    fn handle(&mut self, asker: Asker, ask: Ask, mut fds: Vec<OwnedFd>) {
        match ask {
            Ask::Hello(_) => self.welcome(asker),
            Ask::RunSandbox(spec) => self.run_sandbox(asker, spec),
            Ask::RemoveSandbox { sandbox } => self.remove_sandbox(asker, &sandbox),
            Ask::StartContainer { sandbox, id, spec } => {
                let gate = if fds.len() > 1 { fds.pop() } else { None };
                let log = fds.pop().map(File::from);
                self.start_container(asker, &sandbox, &id, spec, (log, gate));
            }
            Ask::Signal { id, signal } => self.signal_container(asker, &id, signal),
            Ask::Kill { id } => self.kill_container(asker, &id),
            Ask::RemoveContainer { id } => self.remove_container(asker, &id),
            Ask::State { id } => self.tell_state(asker, id),
            Ask::Exec { id, command, timeout_ms } => self.execute(asker, id, command, timeout_ms),
            Ask::TerminationMessage { id } => self.tell_termination(asker, id),
            Ask::List => self.tell_all(asker),
            Ask::Shutdown => self.end_all(Some(asker)),
        }
    }

    fn answer(&mut self, asker: Asker, answer: Answer) {
        self.answer_with(asker, answer, Vec::new());
    }

    fn answer_with(&mut self, asker: Asker, answer: Answer, fds: Vec<OwnedFd>) {
        if asker.connection == self.connection {
            self.send(&FromKeeper::Answer { number: asker.number, answer }, fds);
        }
    }

    fn send(&mut self, message: &FromKeeper, fds: Vec<OwnedFd>) {
        if self.host.is_some()
            && let Ok(packet) = Packet::new(message, fds)
        {
            self.outbox.push_back(packet);
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(host) = &self.host else { return };
        while let Some(packet) = self.outbox.front() {
            match packet.send(host.fd.as_fd(), false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An error of the socket shows as its end, in the loop.
                _ => drop(self.outbox.pop_front()),
            }
        }
        let full = !self.outbox.is_empty();
        if full != self.full {
            let events = if full { libc::EPOLLIN | libc::EPOLLOUT } else { libc::EPOLLIN };
            // One that cannot be watched for room is tried again with the next event.
            if self.epoll.change(host.fd.as_fd(), events, host.token).is_ok() {
                self.full = full;
            }
        }
    }

    /// Forks a child into the PID namespace of `pids`, or a new one, with its out-of-memory score, in a group of the
    /// unified tree. Tells whether it was born in that group.
    fn fork(
        &self,
        new_pids: bool,
        pids: Option<BorrowedFd<'_>>,
        oom_score: Option<i32>,
        place: Option<OwnedFd>,
    ) -> io::Result<(sys::Side, bool)> {
        if let Some(pids) = pids {
            sys::setns(pids, libc::CLONE_NEWPID)?;
        }
        if let Some((file, before)) = &self.oom {
            let score = oom_score.map_or_else(|| before.clone(), |score| score.to_string());
            let mut file: &File = file;
            let _ = file.write_all(score.as_bytes());
        }
        let flags = if new_pids { libc::CLONE_NEWPID } else { 0 };
        let side = match &place {
            // Not every kernel and every delegation allows it; the child then enters by itself.
            Some(place) => sys::fork_into(flags, Some(place.as_fd())).map(|side| (side, true)),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        let side = side.or_else(|_| sys::fork_into(flags, None).map(|side| (side, false)));
        if matches!(side, Ok((sys::Side::Child, _))) {
            return side;
        }
        if let Some((file, _)) = &self.oom {
            let mut file: &File = file;
            let _ = file.write_all(b"-998");
        }
        if pids.is_some() {
            sys::setns(self.own_pids.as_fd(), libc::CLONE_NEWPID)?;
        }
        side
    }

    fn report(&self, report: &Watched) -> Report {
        let mut buffer = vec![0; limits::KEEPER_PACKET_BYTES];
        match packets::receive(report.fd.as_fd(), &mut buffer, false) {
            Ok((0, _)) => Report::Closed,
            Ok((length, fds)) if &buffer[..length] == READY => Report::Ready(fds),
            Ok((length, _)) => {
                Report::Failed(serde_json::from_slice(&buffer[..length]).unwrap_or_else(|_| {
                    Failure::kernel(Step::Setup, "the child said nothing that makes sense".to_owned())
                }))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Report::Nothing,
            Err(_) => Report::Closed,
        }
    }

    /// The filters of a container's programs, compiled once for each set of capabilities.
    fn filters_of(
        &mut self,
        spec: &ContainerSpec,
        capabilities: u64,
    ) -> Result<Option<Rc<Filters>>, Failure> {
        if spec.security.privileged || spec.security.seccomp == Seccomp::Unconfined {
            return Ok(None);
        }
        if let Some(filters) = self.filters.get(&capabilities) {
            return Ok(Some(Rc::clone(filters)));
        }
        let filters = Rc::new(seccomp::default_filters(capabilities)?);
        self.filters.insert(capabilities, Rc::clone(&filters));
        Ok(Some(filters))
    }

    /// A pod's folder in memory: its file systems, and small files of its containers.
    fn pod_folder(&self, sandbox: &str) -> PathBuf {
        self.setup.folder.join("mem").join(sandbox)
    }

    /// Ends all sandboxes; the loop exits when the last is gone.
    fn end_all(&mut self, asker: Option<Asker>) {
        self.ending.get_or_insert_default().extend(asker);
        for id in self.sandboxes.keys().cloned().collect::<Vec<_>>() {
            self.begin_removal(&id);
        }
        self.finish_removals();
    }

    /// Undoes what is left and exits.
    fn finish(&mut self) -> ! {
        self.cgroups.destroy();
        let _ = mount::detach(&self.setup.folder.join("mem"));
        let _ = fs::remove_dir_all(&self.setup.folder);
        for asker in self.ending.take().unwrap_or_default() {
            self.answer(asker, Answer::Done);
        }
        sys::exit_now(0)
    }
}
