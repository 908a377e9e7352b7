//! The words that host and keeper exchange, and how they go over the socket.
//!
//! A message is one packet: a byte that says where the JSON is (behind it, or in a file in memory that comes
//! as the first descriptor), the JSON, and descriptors. Both sides are the same executable, so the form is
//! free to change.
//!
//! Invariant: each [`Request`] is answered by exactly one [`FromKeeper::Answer`] of its number, in any order.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::{ContainerSpec, ContainerState, Exit, RuntimeError, SandboxSpec};
use super::{packets, sys};
use crate::limits;

/// What the host asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Chosen by the host; the answer carries it too.
    pub(super) number: u64,
    /// What.
    pub(super) ask: Ask,
}

/// The questions.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// The first message of a connection.
    Hello(Setup),
    /// Make a sandbox.
    RunSandbox(SandboxSpec),
    /// End and remove a sandbox.
    RemoveSandbox { sandbox: String },
    /// Make and start a container. The first descriptor is its log. If there is a second, the program is executed
    /// once a byte comes out of it, and not at all if it ends before.
    StartContainer { sandbox: String, id: String, spec: Box<ContainerSpec> },
    /// Send a signal to the first process.
    Signal { id: String, signal: i32 },
    /// Kill all processes.
    Kill { id: String },
    /// Remove an ended container.
    RemoveContainer { id: String },
    /// Where it stands.
    State { id: String },
    /// Run a command in it.
    Exec { id: String, command: Vec<String>, timeout_ms: u64 },
    /// The text of its termination message.
    TerminationMessage { id: String },
    /// Everything that exists.
    List,
    /// End everything and exit.
    Shutdown,
}

/// What a keeper must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Whose it is.
    pub(super) cluster: String,
    /// The node that it runs containers for.
    pub(super) node: String,
    /// Its own folder.
    pub(super) folder: PathBuf,
    /// Whether it waits to be adopted when the host ends.
    pub(super) stay: bool,
    /// Whether the containers' writable layers lie in memory, wherever the folder is.
    pub(super) layers_in_memory: bool,
}

/// What the keeper sends.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromKeeper {
    /// The answer to a request.
    Answer { number: u64, answer: Answer },
    /// A container ended.
    Exited { sandbox: String, container: String, exit: WireExit },
}

/// The answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Done, nothing to tell. Descriptors may come with it.
    Done,
    /// A container runs.
    Started { pid: u32 },
    /// Where a container stands.
    State(WireState),
    /// What a command gave.
    Executed { code: i32, output: Vec<u8>, timed_out: bool },
    /// A text.
    Text(String),
    /// Everything that exists.
    List(Vec<(String, Vec<(String, WireState)>)>),
    /// No such sandbox or container.
    NotFound(String),
    /// It failed.
    Failed(Failure),
}

/// A container's state, as sent and as written to the state folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WireState {
    /// Being made.
    Created,
    /// Runs.
    Running { pid: u32, started: i64 },
    /// Ended.
    Exited(WireExit),
}

/// A container's end; times in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireExit {
    pub(super) code: i32,
    pub(super) signal: i32,
    pub(super) oom_killed: bool,
    pub(super) started: i64,
    pub(super) finished: i64,
}

fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A time as it is sent.
pub(super) fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(0)
}

impl From<WireExit> for Exit {
    fn from(exit: WireExit) -> Exit {
        Exit {
            code: exit.code,
            signal: exit.signal,
            oom_killed: exit.oom_killed,
            started: time(exit.started),
            finished: time(exit.finished),
        }
    }
}

impl From<WireState> for ContainerState {
    fn from(state: WireState) -> ContainerState {
        match state {
            WireState::Created => ContainerState::Created,
            WireState::Running { pid, started } => ContainerState::Running { pid, started: time(started) },
            WireState::Exited(exit) => ContainerState::Exited(exit.into()),
        }
    }
}

/// The steps that can fail, so that their text is one of a closed list on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    Start,
    State,
    Send,
    Clone,
    Cgroup,
    Namespaces,
    Network,
    Sysctl,
    Root,
    Mount,
    Devices,
    User,
    Privileges,
    Seccomp,
    WorkingDir,
    Exec,
    Log,
    Output,
    Signal,
    Remove,
    Setup,
}

impl Step {
    /// The text that users read.
    pub(super) fn text(self) -> &'static str {
        match self {
            Step::Start => "start the keeper",
            Step::State => "keep state",
            Step::Send => "ask the keeper",
            Step::Clone => "make a process",
            Step::Cgroup => "set up the cgroup",
            Step::Namespaces => "enter the namespaces",
            Step::Network => "set up the network namespace",
            Step::Sysctl => "set a kernel parameter",
            Step::Root => "mount the root file system",
            Step::Mount => "mount a volume",
            Step::Devices => "set up devices",
            Step::User => "find the user",
            Step::Privileges => "set the privileges",
            Step::Seccomp => "set the system call filter",
            Step::WorkingDir => "enter the working directory",
            Step::Exec => "exec",
            Step::Log => "open the log",
            Step::Output => "set up the output",
            Step::Signal => "send a signal",
            Step::Remove => "remove",
            Step::Setup => "set up",
        }
    }
}

/// Why something failed, still without the object's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// The specification is at fault, not the kernel.
    pub(super) refused: bool,
    /// What was being done.
    pub(super) step: Step,
    /// What is wrong.
    pub(super) cause: String,
}

impl Failure {
    /// The specification cannot be carried out.
    pub(super) fn refused(step: Step, cause: impl Into<String>) -> Failure {
        Failure { refused: true, step, cause: cause.into() }
    }

    /// The kernel said no.
    pub(super) fn kernel(step: Step, cause: impl Into<String>) -> Failure {
        Failure { refused: false, step, cause: cause.into() }
    }

    /// With the object's name, as the host's callers get it.
    pub(super) fn about(self, object: &str) -> RuntimeError {
        let (object, step, cause) = (object.to_owned(), self.step.text(), self.cause);
        if self.refused {
            RuntimeError::Refused { object, step, cause }
        } else {
            RuntimeError::Kernel { object, step, cause }
        }
    }
}

/// Turns a kernel's error into a [`Failure`].
pub(super) trait At<T> {
    /// Names the step and what it was done to.
    fn at(self, step: Step, what: impl Display) -> Result<T, Failure>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step, what: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::kernel(step, format!("{what}: {error}")))
    }
}

impl From<(i32, Vec<u8>, bool)> for Answer {
    fn from((code, output, timed_out): (i32, Vec<u8>, bool)) -> Answer {
        Answer::Executed { code, output, timed_out }
    }
}

const INLINE: u8 = 0;
const IN_FILE: u8 = 1;

/// A message ready to be sent.
#[derive(Debug)]
pub(super) struct Packet {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Packet {
    /// Encodes a message. What is too long for a packet goes into a file in memory.
    pub(super) fn new(message: &impl Serialize, fds: Vec<OwnedFd>) -> io::Result<Packet> {
        let mut bytes = vec![INLINE];
        serde_json::to_writer(&mut bytes, message)?;
        if bytes.len() <= limits::KEEPER_PACKET_BYTES {
            return Ok(Packet { bytes, fds });
        }
        let mut file = File::from(sys::memory_file(c"coracle-message")?);
        file.write_all(&bytes[1..])?;
        let mut all = vec![file.into()];
        all.extend(fds);
        Ok(Packet { bytes: vec![IN_FILE], fds: all })
    }

    /// Sends it as one packet.
    pub(super) fn send(&self, socket: BorrowedFd<'_>, wait: bool) -> io::Result<()> {
        let fds: Vec<RawFd> = self.fds.iter().map(AsRawFd::as_raw_fd).collect();
        packets::send(socket, &self.bytes, &fds, wait)
    }
}

/// Receives a message; `None` when the other side has ended.
pub(super) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    wait: bool,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    buffer.resize(limits::KEEPER_PACKET_BYTES + 1, 0);
    let (length, mut fds) = match packets::receive(socket, buffer, wait) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        other => other?,
    };
    if length == 0 {
        return Ok(None);
    }
    let message = if buffer[0] == IN_FILE && !fds.is_empty() {
        let mut file = File::from(fds.remove(0));
        file.rewind()?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        serde_json::from_slice(&text)?
    } else {
        serde_json::from_slice(&buffer[1..length])?
    };
    Ok(Some((message, fds)))
}

/// Borrows a socket for [`Packet::send`].
pub(super) fn socket(fd: &OwnedFd) -> BorrowedFd<'_> {
    fd.as_fd()
}
