//! Commands run inside containers (exec): bounded output, a time limit, an exit code.
//!
//! A command whose streams are passed through (with a terminal, or standard input) will be a second way to
//! make a [`Command`]: its pipes would go to the host by descriptor instead of into `output`.
//!
//! Invariant: a command is answered once, after its process has ended.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use super::super::super::ContainerSpec;
use super::super::inside::{self, Birth};
use super::super::packets;
use super::super::sys::{self, Ending, Side};
use super::super::wire::{Answer, At, Failure, Step};
use super::containers::Phase;
use super::{Asker, Keeper, Process, Report, Source, Timer, Watched};
use crate::limits;
use crate::world::{Clock, Moment};

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) container: String,
    pub(super) process: Process,
    asker: Asker,
    report: Watched,
    failure: Option<Failure>,
    exec_next: bool,
    pipe: Option<Watched>,
    output: Vec<u8>,
    deadline: (Moment, u64),
    timed_out: bool,
}

impl Keeper {
    pub(super) fn execute(&mut self, asker: Asker, id: String, command: Vec<String>, timeout_ms: u64) {
        let Some(container) = self.containers.get(&id) else {
            return self.answer(asker, Answer::NotFound(id));
        };
        if !matches!(container.phase, Phase::Running { .. }) {
            let failure = Failure::kernel(Step::Exec, "the container is not running");
            return self.answer(asker, Answer::Failed(failure));
        }
        let spec = ContainerSpec { command, ..(*container.spec).clone() };
        if let Err(failure) = self.fork_command(asker, id, spec, timeout_ms) {
            self.answer(asker, Answer::Failed(failure));
        }
    }

    fn fork_command(
        &mut self,
        asker: Asker,
        id: String,
        spec: ContainerSpec,
        timeout_ms: u64,
    ) -> Result<(), Failure> {
        let gone = || Failure::kernel(Step::Exec, "the container is not running");
        let capabilities = self.containers.get(&id).ok_or_else(gone)?.capabilities;
        let filters = self.filters_of(&spec, capabilities)?;
        let container = self.containers.get(&id).ok_or_else(gone)?;
        let process = container.process.as_ref().ok_or_else(gone)?;
        let pod = self.sandboxes.get(&container.sandbox).ok_or_else(gone)?;
        let (ours, theirs) = packets::pair().at(Step::Setup, "a socket pair")?;
        let (out, out_write) = sys::pipe().at(Step::Output, "a pipe")?;
        let pids = process.end.fd.as_fd();
        let place = self.cgroups.birthplace(&container.group, false);
        let score = spec.resources.oom_score_adj;
        let (side, born) = self.fork(false, Some(pids), score, place).at(Step::Clone, "clone")?;
        let Side::Parent { pid, pidfd } = side else {
            let birth = Birth {
                report: theirs.as_fd(),
                output: [out_write.as_fd(), out_write.as_fd()],
                cgroups: &self.cgroups,
                group: &container.group,
                born,
                spec: &spec,
                hostname: &pod.spec.hostname,
                capabilities,
                last_capability: self.last_capability,
                file_limit: self.file_limit,
                filters: filters.as_deref(),
                gate: None,
            };
            inside::become_command(&birth, process.end.fd.as_fd())
        };
        drop((theirs, out_write));
        self.next_token += 1;
        let number = self.next_token;
        let report = self.watch(ours, libc::EPOLLIN, Source::CommandReport(number))?;
        let end = self.watch(pidfd, libc::EPOLLIN, Source::CommandEnd(number))?;
        let pipe = self.watch(out, libc::EPOLLIN, Source::CommandOutput(number))?;
        let deadline = (self.clock.moment().after(Duration::from_millis(timeout_ms)), number);
        self.timers.insert(deadline, Timer::Command(number));
        let command = Command {
            container: id,
            process: Process { pid, end },
            asker,
            report,
            failure: None,
            exec_next: false,
            pipe: Some(pipe),
            output: Vec::new(),
            deadline,
            timed_out: false,
        };
        self.commands.insert(number, command);
        Ok(())
    }

    pub(super) fn on_command_report(&mut self, number: u64) {
        loop {
            let Some(command) = self.commands.get(&number) else { return };
            let report = self.report(&command.report);
            let Some(command) = self.commands.get_mut(&number) else { return };
            match report {
                Report::Nothing => return,
                Report::Ready(_) => command.exec_next = true,
                Report::Failed(failure) => command.failure = Some(failure),
                Report::Closed => return self.epoll.remove(command.report.fd.as_fd()),
            }
        }
    }

    pub(super) fn on_command_output(&mut self, number: u64) {
        let Some(command) = self.commands.get_mut(&number) else { return };
        let Some(pipe) = &command.pipe else { return };
        let mut buffer = [0; 16 * 1024];
        match sys::read(pipe.fd.as_fd(), &mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => {
                if let Some(pipe) = command.pipe.take() {
                    drop(self.unwatch(pipe));
                }
            }
            Ok(length) => {
                let room = limits::EXEC_OUTPUT_BYTES - command.output.len();
                command.output.extend_from_slice(&buffer[..length.min(room)]);
            }
        }
    }

    pub(super) fn on_command_timeout(&mut self, number: u64) {
        let Some(command) = self.commands.get_mut(&number) else { return };
        command.timed_out = true;
        // The command leads a group of its own; it is not reaped yet, so the number is still its.
        sys::signal_group(command.process.pid, libc::SIGKILL);
        let _ = sys::pidfd_signal(command.process.end.fd.as_fd(), libc::SIGKILL);
    }

    pub(super) fn on_command_end(&mut self, number: u64) {
        let Some(command) = self.commands.get(&number) else { return };
        let Ok(Some(ending)) = sys::child_ending(command.process.end.fd.as_fd(), true) else { return };
        self.on_command_report(number);
        // What it wrote lies in the pipe; a process it left behind does not keep us waiting.
        for _ in 0..limits::EXEC_OUTPUT_BYTES / (16 * 1024) + 1 {
            self.on_command_output(number);
        }
        let Some(command) = self.commands.remove(&number) else { return };
        self.timers.remove(&command.deadline);
        drop(self.unwatch(command.process.end));
        drop(self.unwatch(command.report));
        if let Some(pipe) = command.pipe {
            drop(self.unwatch(pipe));
        }
        let code = match ending {
            Ending::Code(code) => code,
            Ending::Signal(signal) => 128 + signal,
        };
        let answer = match command.failure {
            Some(failure) if !command.timed_out => Answer::Failed(failure),
            None if !command.exec_next && !command.timed_out => {
                Answer::Failed(Failure::kernel(Step::Exec, "it died before the command began"))
            }
            _ => Answer::from((code, command.output, command.timed_out)),
        };
        self.answer(command.asker, answer);
        self.finish_removals();
    }
}
