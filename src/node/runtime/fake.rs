//! A hollow runtime: sandboxes and containers as data, no process, no kernel.
//!
//! Hollow nodes run on it, so that a cluster of thousands of nodes fits into one program. It does all that the trait
//! asks, by the same rules: containers run until they are signalled, killed or, as their [`Behaviour`] says, end by
//! themselves; ends are told through the sink.
//!
//! It has no time of its own. What ends by itself ends in [`FakeRuntime::expire`], which a loop calls
//! ([`hollow`](crate::node::agent::hollow) adds it).
//!
//! Invariant: every container belongs to a sandbox that exists, and its end is told exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    ContainerId, ContainerSpec, ContainerState, EXEC_STEP, EventSink, ExecOutput, Exit, Runtime,
    RuntimeError, RuntimeEvent, Sandbox, SandboxId, SandboxSpec,
};
use crate::world::{Moment, World};

const SIGKILL: i32 = 9;

/// How a hollow container behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// It ends by itself after this long, with this code.
    pub exit: Option<(Duration, i32)>,
    /// It takes no notice of its stop signal.
    pub ignores_signals: bool,
    /// The exit code after its stop signal.
    pub stopped_code: i32,
    /// Its end is an out-of-memory kill.
    pub oom_killed: bool,
    /// It cannot be made, and why.
    pub not_made: Option<String>,
    /// Its program cannot be executed, and why.
    pub not_run: Option<String>,
    /// What its termination message file holds.
    pub message: String,
    /// The code of every command that is run inside it.
    pub exec_code: i32,
}

/// Tells how a container behaves, by its specification.
pub type Script = Box<dyn Fn(&ContainerSpec) -> Behaviour + Send + Sync>;

struct Container {
    sandbox: SandboxId,
    state: ContainerState,
    behaviour: Behaviour,
    due: Option<Moment>,
}

#[derive(Default)]
struct State {
    sandboxes: BTreeSet<SandboxId>,
    containers: BTreeMap<ContainerId, Container>,
    due: BTreeSet<(Moment, ContainerId)>,
    lost: Option<String>,
    /// A restart fails.
    for_good: bool,
    pids: u32,
}

/// The hollow runtime.
pub struct FakeRuntime {
    world: World,
    script: Script,
    state: Mutex<State>,
    sink: Mutex<Option<EventSink>>,
    scheduled: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

impl FakeRuntime {
    /// A runtime whose containers run until they are stopped.
    pub fn new(world: World) -> FakeRuntime {
        FakeRuntime::scripted(world, Box::new(|_| Behaviour::default()))
    }

    /// A runtime whose containers behave as `script` says.
    pub fn scripted(world: World, script: Script) -> FakeRuntime {
        FakeRuntime {
            world,
            script,
            state: Mutex::default(),
            sink: Mutex::default(),
            scheduled: Mutex::default(),
        }
    }

    /// Calls `wake` whenever [`FakeRuntime::expire`] may be due earlier than before.
    pub fn on_scheduled(&self, wake: Box<dyn Fn() + Send + Sync>) {
        *self.scheduled.lock() = Some(wake);
    }

    /// Ends the containers whose time has come. Answers when it is to be called again.
    pub fn expire(&self) -> Option<Moment> {
        let now = self.world.clock.moment();
        let mut ended = Vec::new();
        let next = {
            let mut state = self.state.lock();
            while let Some((at, id)) = state.due.first().cloned() {
                if at > now {
                    break;
                }
                let code =
                    state.containers.get(&id).and_then(|c| c.behaviour.exit).map_or(0, |(_, code)| code);
                ended.extend(self.end(&mut state, &id, code, 0));
            }
            state.due.first().map(|(at, _)| *at)
        };
        self.tell(ended);
        next
    }

    /// Ends a container from outside, as if its process had ended by itself.
    pub fn end_container(&self, id: &ContainerId, code: i32) {
        let ended = self.end(&mut self.state.lock(), id, code, 0);
        self.tell(ended);
    }

    /// Every running container with its sandbox.
    pub fn running(&self) -> Vec<(SandboxId, ContainerId)> {
        let state = self.state.lock();
        let running =
            state.containers.iter().filter(|(_, c)| matches!(c.state, ContainerState::Running { .. }));
        running.map(|(id, container)| (container.sandbox.clone(), id.clone())).collect()
    }

    /// Loses everything at once, as when the process that holds the containers dies. A restart brings the runtime back.
    pub fn lose(&self, reason: &str) {
        self.lose_until(reason, false);
    }

    /// The same, and no restart succeeds before the next [`FakeRuntime::lose`].
    pub fn lose_for_good(&self, reason: &str) {
        self.lose_until(reason, true);
    }

    fn lose_until(&self, reason: &str, for_good: bool) {
        {
            let mut state = self.state.lock();
            *state = State { lost: Some(reason.to_owned()), for_good, ..State::default() };
        }
        self.tell([RuntimeEvent::Lost { reason: reason.to_owned() }]);
    }

    /// Marks a container as ended; the event is to be told once the lock is free.
    fn end(&self, state: &mut State, id: &ContainerId, code: i32, signal: i32) -> Option<RuntimeEvent> {
        let container = state.containers.get_mut(id)?;
        let ContainerState::Running { started, .. } = container.state else { return None };
        let exit = Exit {
            code,
            signal,
            oom_killed: container.behaviour.oom_killed && code != 0,
            started,
            finished: self.world.clock.now(),
        };
        container.state = ContainerState::Exited(exit.clone());
        if let Some(at) = container.due.take() {
            state.due.remove(&(at, id.clone()));
        }
        Some(RuntimeEvent::Exited { sandbox: container.sandbox.clone(), container: id.clone(), exit })
    }

    fn tell(&self, events: impl IntoIterator<Item = RuntimeEvent>) {
        let sink = self.sink.lock();
        if let Some(sink) = &*sink {
            events.into_iter().for_each(sink);
        }
    }

    fn alive(&self) -> Result<parking_lot::MutexGuard<'_, State>, RuntimeError> {
        let state = self.state.lock();
        match &state.lost {
            Some(reason) => Err(RuntimeError::Lost(reason.clone())),
            None => Ok(state),
        }
    }

    fn new_id(&self) -> ContainerId {
        let entropy = &self.world.entropy;
        ContainerId((0..4).map(|_| format!("{:016x}", entropy.next())).collect())
    }
}

impl Runtime for FakeRuntime {
    fn version(&self) -> String {
        concat!("hollow://", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn subscribe(&self, sink: EventSink) {
        *self.sink.lock() = Some(sink);
    }

    fn run_sandbox(&self, spec: &SandboxSpec) -> Result<Sandbox, RuntimeError> {
        let id = SandboxId(spec.id.clone());
        self.alive()?.sandboxes.insert(id.clone());
        Ok(Sandbox {
            id,
            #[cfg(target_os = "linux")]
            netns: None,
        })
    }

    fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        let ended: Vec<RuntimeEvent> = {
            let mut state = self.alive()?;
            let of_it = state.containers.iter().filter(|(_, container)| container.sandbox == *id);
            let of_it: Vec<ContainerId> = of_it.map(|(id, _)| id.clone()).collect();
            let ended =
                of_it.iter().filter_map(|id| self.end(&mut state, id, 128 + SIGKILL, SIGKILL)).collect();
            for id in of_it {
                state.containers.remove(&id);
            }
            state.sandboxes.remove(id);
            ended
        };
        self.tell(ended);
        Ok(())
    }

    fn start_container(
        &self,
        sandbox: &SandboxId,
        spec: &ContainerSpec,
    ) -> Result<ContainerId, RuntimeError> {
        let behaviour = (self.script)(spec);
        let object = format!("container {}", spec.name);
        let refused = |step: &'static str, cause: &String| {
            Err(RuntimeError::Refused { object: object.clone(), step, cause: cause.clone() })
        };
        let mut state = self.alive()?;
        if !state.sandboxes.contains(sandbox) {
            return Err(RuntimeError::NotFound(sandbox.0.clone()));
        }
        if let Some(cause) = &behaviour.not_made {
            return refused("make", cause);
        }
        if let Some(cause) = &behaviour.not_run {
            return refused(EXEC_STEP, cause);
        }
        let id = self.new_id();
        state.pids += 1;
        let running = ContainerState::Running { pid: state.pids, started: self.world.clock.now() };
        let due = behaviour.exit.map(|(after, _)| self.world.clock.moment().after(after));
        if let Some(at) = due {
            state.due.insert((at, id.clone()));
        }
        let container = Container { sandbox: sandbox.clone(), state: running, behaviour, due };
        state.containers.insert(id.clone(), container);
        drop(state);
        if let (Some(_), Some(wake)) = (due, &*self.scheduled.lock()) {
            wake();
        }
        Ok(id)
    }

    fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), RuntimeError> {
        let ended = {
            let mut state = self.alive()?;
            let container = state.containers.get(id).ok_or_else(|| RuntimeError::NotFound(id.0.clone()))?;
            let code = container.behaviour.stopped_code;
            match (signal, container.behaviour.ignores_signals) {
                (SIGKILL, _) => self.end(&mut state, id, 128 + SIGKILL, SIGKILL),
                (_, true) => None,
                (_, false) => self.end(&mut state, id, code, 0),
            }
        };
        self.tell(ended);
        Ok(())
    }

    fn kill(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.signal(id, SIGKILL)
    }

    fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.alive()?.containers.remove(id);
        Ok(())
    }

    fn state(&self, id: &ContainerId) -> Result<ContainerState, RuntimeError> {
        let state = self.alive()?;
        let container = state.containers.get(id).ok_or_else(|| RuntimeError::NotFound(id.0.clone()))?;
        Ok(container.state.clone())
    }

    fn exec(
        &self,
        id: &ContainerId,
        _command: &[String],
        _timeout: Duration,
    ) -> Result<ExecOutput, RuntimeError> {
        let state = self.alive()?;
        let container = state.containers.get(id).ok_or_else(|| RuntimeError::NotFound(id.0.clone()))?;
        Ok(ExecOutput { code: container.behaviour.exec_code, ..ExecOutput::default() })
    }

    fn termination_message(&self, id: &ContainerId) -> Result<String, RuntimeError> {
        let state = self.alive()?;
        let container = state.containers.get(id).ok_or_else(|| RuntimeError::NotFound(id.0.clone()))?;
        Ok(container.behaviour.message.clone())
    }

    fn list(&self) -> Result<Vec<(SandboxId, Vec<(ContainerId, ContainerState)>)>, RuntimeError> {
        let state = self.alive()?;
        let mut all: BTreeMap<SandboxId, Vec<(ContainerId, ContainerState)>> =
            state.sandboxes.iter().map(|id| (id.clone(), Vec::new())).collect();
        for (id, container) in &state.containers {
            all.entry(container.sandbox.clone()).or_default().push((id.clone(), container.state.clone()));
        }
        Ok(all.into_iter().collect())
    }

    fn restart(&self) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        match &state.lost {
            Some(reason) if state.for_good => Err(RuntimeError::Lost(reason.clone())),
            Some(_) => {
                *state = State::default();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn shutdown(&self) -> Result<(), RuntimeError> {
        let mut state = self.state.lock();
        *state = State { lost: Some("it was shut down".to_owned()), for_good: true, ..State::default() };
        Ok(())
    }
}

impl fmt::Debug for FakeRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        write!(f, "FakeRuntime({} sandboxes, {} containers)", state.sandboxes.len(), state.containers.len())
    }
}
