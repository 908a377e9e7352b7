//! The loop around one reconciler: takes in changes, outputs and timers, and hands out keys.
//!
//! Owns the queue, the cursor on the log, the mailbox and the tickets of one reconciler. Knows no thread:
//! a driver steps it. Invariant: before a key is reconciled, every change up to the view that it gets has been
//! observed.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use jiff::Timestamp;

use super::driver::{Component, Handle, Progress, Spawner, Work};
use super::plan::Plan;
use super::queue::{Queue, Wakes};
use super::{Action, Class, Error, Output, Panicked, Reconciler, Seen, Ticket, View};
use crate::api::KindId;
use crate::apiserver::Server;
use crate::store::{Change, Follower, Gone, Interest, Revision, Select};
use crate::world::{Moment, World};

/// What reaches a loop from outside.
enum Mail<K> {
    /// Work ended.
    Output(K, Ticket, Output),
    /// Somebody wants a key looked at.
    Wake(K),
}

/// Wakes keys of one loop from any thread. Cheap to clone.
pub struct Notifier<K> {
    mail: Sender<Mail<K>>,
    handle: Handle,
}

impl<K> Clone for Notifier<K> {
    fn clone(&self) -> Self {
        Notifier { mail: self.mail.clone(), handle: self.handle.clone() }
    }
}

impl<K> fmt::Debug for Notifier<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notifier")
    }
}

impl<K> Notifier<K> {
    /// This key is to be reconciled.
    pub fn notify(&self, key: K) {
        // A closed mailbox means that the loop has ended: nobody is left to be told.
        let _ = self.mail.send(Mail::Wake(key));
        self.handle.wake();
    }
}

/// What a reconciler may use while it works on one key.
pub struct Context<'a, K> {
    view: View,
    server: &'a Arc<Server>,
    world: &'a World,
    spawner: &'a Arc<dyn Spawner>,
    notifier: &'a Notifier<K>,
    tickets: &'a mut u64,
    source: &'a str,
    manager: &'a str,
    wrote: Revision,
}

impl<K: Clone + Send + 'static> Context<'_, K> {
    /// The state to decide from. It is taken once, before the key is reconciled, and does not change.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The door, for what a plan cannot say. Prefer [`Context::apply`].
    pub fn server(&self) -> &Arc<Server> {
        self.server
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// The monotonic clock.
    pub fn moment(&self) -> Moment {
        self.world.clock.moment()
    }

    /// The clock and the entropy.
    pub fn world(&self) -> &World {
        self.world
    }

    /// Applies a plan: its steps in order, the first failure ends it. Answers the plan's action.
    pub fn apply(&mut self, plan: Plan) -> Result<Action, Error> {
        let action = plan.action();
        for step in plan.steps {
            let revision = super::apply::apply(self.server, self.source, self.manager, self.world, step)?;
            self.wrote = self.wrote.max(revision);
        }
        Ok(action)
    }

    /// Hands blocking work to the executor of its class. Its output comes to [`Reconciler::complete`] for
    /// `key`.
    pub fn submit<T: Any + Send>(
        &mut self,
        class: Class,
        key: K,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Ticket {
        *self.tickets += 1;
        let ticket = Ticket(*self.tickets);
        let notifier = self.notifier.clone();
        let work: Work = Box::new(move || {
            let output: Output = match catch_unwind(AssertUnwindSafe(work)) {
                Ok(output) => Box::new(output),
                Err(panic) => Box::new(Panicked(panic_text(&*panic))),
            };
            let _ = notifier.mail.send(Mail::Output(key, ticket, output));
            notifier.handle.wake();
        });
        self.spawner.submit(class, work);
        ticket
    }

    /// Wakes keys of this loop from elsewhere: for callbacks of a runtime, a kernel, a server.
    pub fn notifier(&self) -> Notifier<K> {
        self.notifier.clone()
    }
}

/// The text of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_owned(),
    }
}

/// The loop of one reconciler.
pub struct Loop<R: Reconciler> {
    reconciler: R,
    server: Arc<Server>,
    world: World,
    spawner: Arc<dyn Spawner>,
    interests: Vec<Interest>,
    follower: Option<Follower>,
    queue: Queue<R::Key>,
    mail: Receiver<Mail<R::Key>>,
    notifier: Notifier<R::Key>,
    tickets: u64,
}

impl<R: Reconciler> Loop<R> {
    /// The loop of a reconciler, to be added to a driver. Answers also what wakes its keys from elsewhere.
    pub fn start(
        reconciler: R,
        server: &Arc<Server>,
        world: &World,
        spawner: &Arc<dyn Spawner>,
    ) -> Notifier<R::Key> {
        let (sender, mail) = unbounded();
        let mut notifier = None;
        spawner.add(Box::new(|handle| {
            let made = Notifier { mail: sender, handle };
            notifier = Some(made.clone());
            let interests = reconciler.interests(server.registry());
            Box::new(Loop {
                reconciler,
                server: server.clone(),
                world: world.clone(),
                spawner: spawner.clone(),
                interests,
                follower: None,
                queue: Queue::new(),
                mail,
                notifier: made,
                tickets: 0,
            })
        }));
        match notifier {
            Some(notifier) => notifier,
            None => unreachable!("a driver builds what it adds"),
        }
    }

    /// Begins anew: folds are emptied and every present object is observed as just created.
    fn rebuild(&mut self) {
        self.reconciler.reset();
        let snapshot = self.server.store().snapshot();
        let mut wakes = Wakes::default();
        let every = || snapshot.registry().iter().map(|(kind, _)| kind).collect();
        for interest in &self.interests {
            let kinds = if interest.kind == KindId::EVERY { every() } else { vec![interest.kind] };
            let records = kinds.iter().flat_map(|kind| snapshot.list_records(*kind, Select::All));
            for record in records {
                let change = Change {
                    revision: record.header.revision,
                    old: None,
                    new: record.clone(),
                    deleted: false,
                };
                if interest.matches(&change) {
                    let seen = Seen { change: &change, registry: snapshot.registry() };
                    self.reconciler.observe(&seen, &mut wakes);
                }
            }
        }
        self.take_wakes(wakes);
        let wake = self.notifier.handle.as_wake();
        let followed = self.server.store().follow(self.interests.clone(), snapshot.revision(), wake);
        // A snapshot just taken cannot have fallen off the log; if it has, the next step tries again.
        self.follower = followed.ok();
    }

    fn take_wakes(&mut self, wakes: Wakes<R::Key>) {
        let now = self.world.clock.moment();
        for key in wakes.now {
            self.queue.wake(key);
        }
        for (key, delay) in wakes.later {
            self.queue.wake_at(key, now.after(delay));
        }
    }

    /// Observes what is new in the log. Answers whether there is more.
    fn take_changes(&mut self) -> bool {
        let Some(follower) = &mut self.follower else {
            self.rebuild();
            return true;
        };
        let mut changes = Vec::new();
        match follower.read(&mut changes) {
            Ok(more) => {
                let mut wakes = Wakes::default();
                let registry = self.server.registry();
                for change in &changes {
                    self.reconciler.observe(&Seen { change, registry }, &mut wakes);
                }
                self.take_wakes(wakes);
                more
            }
            Err(Gone) => {
                tracing::info!(name = self.reconciler.name(), "lost its place in the log and begins anew");
                self.follower = None;
                true
            }
        }
    }

    fn take_mail(&mut self) {
        while let Ok(mail) = self.mail.try_recv() {
            match mail {
                Mail::Wake(key) => self.queue.wake(key),
                Mail::Output(key, ticket, output) => {
                    let view = self.server.store().snapshot();
                    let (completed, wrote) =
                        self.with_context(view, |r, cx| r.complete(cx, &key, ticket, output));
                    if let Err(panic) = completed {
                        tracing::error!(name = self.reconciler.name(), ?key, %panic, "a completion panicked");
                    }
                    self.queue.hold(&key, wrote);
                    self.queue.wake(key);
                }
            }
        }
    }

    /// Calls the reconciler with a context; answers what it gave, or its panic, and the last revision that it
    /// wrote.
    fn with_context<T>(
        &mut self,
        view: View,
        call: impl FnOnce(&mut R, &mut Context<'_, R::Key>) -> T,
    ) -> (Result<T, String>, Revision) {
        let name = self.reconciler.name().to_owned();
        let manager = self.reconciler.manager().to_owned();
        let mut context = Context {
            view,
            server: &self.server,
            world: &self.world,
            spawner: &self.spawner,
            notifier: &self.notifier,
            tickets: &mut self.tickets,
            source: &name,
            manager: &manager,
            wrote: Revision(0),
        };
        let reconciler = &mut self.reconciler;
        let result = catch_unwind(AssertUnwindSafe(|| call(reconciler, &mut context)));
        (result.map_err(|panic| panic_text(&*panic)), context.wrote)
    }

    fn work(&mut self, key: R::Key) {
        let view = self.server.store().snapshot();
        let (result, wrote) = self.with_context(view, |r, cx| r.reconcile(cx, &key));
        let now = self.world.clock.moment();
        self.queue.hold(&key, wrote);
        match result {
            Ok(Ok(Action::Done)) => self.queue.succeeded(&key, None),
            Ok(Ok(Action::After(delay))) => self.queue.succeeded(&key, Some(now.after(delay))),
            Ok(Err(error)) if error.is_stale() => self.queue.failed(key, true, now),
            Ok(Err(error)) => {
                tracing::warn!(name = self.reconciler.name(), ?key, %error, "tries again later");
                self.queue.failed(key, false, now);
            }
            Err(panic) => {
                tracing::error!(name = self.reconciler.name(), ?key, %panic, "panicked; tries again later");
                self.queue.failed(key, false, now);
            }
        }
    }
}

impl<R: Reconciler> Component for Loop<R> {
    fn name(&self) -> &str {
        self.reconciler.name()
    }

    fn step(&mut self, most: usize, pick: Option<u64>) -> Progress {
        self.take_mail();
        for _ in 0..most {
            let mut more = true;
            while more {
                more = self.take_changes();
            }
            self.queue.expire(self.world.clock.moment());
            match self.queue.take(self.server.store().revision(), pick) {
                Some(key) => self.work(key),
                None => break,
            }
        }
        if self.queue.is_ready(self.server.store().revision()) || !self.mail.is_empty() {
            return Progress::More;
        }
        self.queue.next_timer().map_or(Progress::Idle, Progress::Until)
    }
}
