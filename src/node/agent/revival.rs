//! When a runtime that is gone is started again.
//!
//! Pure: time is passed in. The first restart is at once, each further one waits twice as long, and after some in a row
//! it is given up. A runtime that lived for a while begins anew.
//!
//! Invariant: at most one restart is under way.

use crate::limits::{RUNTIME_RESTART_FIRST, RUNTIME_RESTARTS, RUNTIME_STEADY};
use crate::reconcile::Ticket;
use crate::world::Moment;

/// Where a node's runtime stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It runs, since then if it was started again.
    #[default]
    Up,
    /// It is gone, and is to be started then.
    Gone(Moment),
    /// It is being started.
    Starting(Ticket),
    /// It died too often.
    GivenUp,
}

/// The life of a node's runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Revival {
    state: State,
    /// Since when it runs.
    since: Option<Moment>,
    /// How often it was started in a row without living for long.
    tries: u32,
}

impl Revival {
    /// Whether there is no runtime.
    pub fn is_lost(&self) -> bool {
        self.state != State::Up
    }

    /// Whether it will not be started again.
    pub fn is_given_up(&self) -> bool {
        self.state == State::GivenUp
    }

    /// It is gone, or could not be started.
    pub fn lost(&mut self, now: Moment) {
        // One that was never started again has lived since the agent has.
        let steady = self.since.is_none_or(|since| now.since(since) >= RUNTIME_STEADY);
        if self.state == State::Up && steady {
            self.tries = 0;
        }
        self.since = Some(now);
        self.state = match self.tries {
            RUNTIME_RESTARTS.. => State::GivenUp,
            0 => State::Gone(now),
            tries => State::Gone(now.after(RUNTIME_RESTART_FIRST * (1 << (tries - 1)))),
        };
    }

    /// When a restart is due.
    pub fn due(&self) -> Option<Moment> {
        match self.state {
            State::Gone(at) => Some(at),
            _ => None,
        }
    }

    /// A restart is under way.
    pub fn begin(&mut self, ticket: Ticket) {
        self.tries += 1;
        self.state = State::Starting(ticket);
    }

    /// Whether this restart is the one under way.
    pub fn awaits(&self, ticket: Ticket) -> bool {
        self.state == State::Starting(ticket)
    }

    /// It runs again.
    pub fn up(&mut self, now: Moment) {
        self.since = Some(now);
        self.state = State::Up;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The waits before each restart of a runtime that lives for so long each time, until it is given up.
    fn waits(lives: Duration, most: usize) -> Vec<u128> {
        let (mut revival, mut now, mut waits) =
            (Revival::default(), Moment(Duration::from_secs(1)), Vec::new());
        loop {
            revival.lost(now);
            let Some(due) = revival.due().filter(|_| waits.len() < most) else { return waits };
            waits.push(due.since(now).as_millis());
            now = due;
            revival.begin(Ticket(1));
            assert!(revival.awaits(Ticket(1)) && revival.is_lost());
            revival.up(now);
            assert!(!revival.is_lost());
            now = now.after(lives);
        }
    }

    #[test]
    fn a_runtime_that_dies_soon_is_started_less_and_less_often() {
        let once = [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600];
        assert_eq!(waits(Duration::ZERO, 99), once);
        assert_eq!(waits(RUNTIME_STEADY - Duration::from_millis(1), 99), once);
        assert_eq!(waits(RUNTIME_STEADY, 12), [0; 12]);
    }
}
