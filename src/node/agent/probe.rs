//! The probes of one container: when the next is due, and what their results add up to.
//!
//! Pure: time and results are passed in. Running a probe is `jobs`' work.
//!
//! Invariant: of each probe at most one run is under way; results of an instance that is no more are dropped.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

use super::seams::Verdict;
use crate::reconcile::Ticket;
use crate::world::Moment;

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// Holds the other two back until it succeeds.
    Startup,
    /// Restarts the container when it fails.
    Liveness,
    /// Takes the container out of Services while it fails.
    Readiness,
}

impl Which {
    pub const ALL: [Which; 3] = [Which::Startup, Which::Liveness, Which::Readiness];

    /// As it is written in events.
    pub fn text(self) -> &'static str {
        match self {
            Which::Startup => "Startup",
            Which::Liveness => "Liveness",
            Which::Readiness => "Readiness",
        }
    }
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Same,
    /// The probe now counts as succeeding.
    Up,
    /// The probe now counts as failing.
    Down,
}

/// One probe of one container.
#[derive(Clone, Debug)]
struct State {
    probe: Probe,
    due: Option<Moment>,
    ticket: Option<Ticket>,
    /// The last result and how often it came in a row.
    last: Option<bool>,
    run: i32,
    /// What it counts as: `None` until there is enough to say.
    good: Option<bool>,
    /// It failed for good: nothing more is asked of this instance.
    held: bool,
}

impl State {
    fn of(probe: Option<&Probe>) -> Option<State> {
        let probe = probe?.clone();
        Some(State { probe, due: None, ticket: None, last: None, run: 0, good: None, held: false })
    }

    fn take(&mut self, which: Which, success: bool) -> Turn {
        if self.last == Some(success) {
            self.run += 1;
        } else {
            self.last = Some(success);
            self.run = 1;
        }
        let threshold = match success {
            true => self.probe.success_threshold.unwrap_or(1),
            false => self.probe.failure_threshold.unwrap_or(3),
        };
        if self.run < threshold.max(1) {
            return Turn::Same;
        }
        let before = self.good.replace(success);
        if !success && which != Which::Readiness {
            self.held = true;
            self.run = 0;
            return Turn::Down;
        }
        match (before, success) {
            (Some(before), now) if before == now => Turn::Same,
            (_, true) => Turn::Up,
            (_, false) => Turn::Down,
        }
    }
}

/// The probes of one container.
#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    states: [Option<State>; 3],
}

fn seconds(value: Option<i32>, default: i32) -> Duration {
    Duration::from_secs(u64::try_from(value.unwrap_or(default)).unwrap_or(0))
}

/// How long one run of a probe may take.
pub(super) fn timeout(probe: &Probe) -> Duration {
    seconds(probe.timeout_seconds, 1).max(Duration::from_secs(1))
}

impl Probing {
    /// The probes that a container names; `probed` is false for init containers that run to their end.
    pub fn of(container: &Container, probed: bool) -> Probing {
        if !probed {
            return Probing::default();
        }
        let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
        Probing { states: probes.map(|probe| State::of(probe.as_ref())) }
    }

    fn state(&self, which: Which) -> Option<&State> {
        self.states[which as usize].as_ref()
    }

    /// The probe as the container names it.
    pub fn probe(&self, which: Which) -> Option<&Probe> {
        self.state(which).map(|state| &state.probe)
    }

    /// A new instance runs: everything begins anew.
    pub fn begin(&mut self, now: Moment) {
        self.end();
        for state in self.states.iter_mut().flatten() {
            state.due = Some(now.after(seconds(state.probe.initial_delay_seconds, 0)));
        }
    }

    /// The instance is no more.
    pub fn end(&mut self) {
        for state in self.states.iter_mut().flatten() {
            *state = State {
                due: None,
                ticket: None,
                last: None,
                run: 0,
                good: None,
                held: false,
                probe: state.probe.clone(),
            };
        }
    }

    /// Whether the startup probe, if there is one, succeeded.
    pub fn started(&self) -> bool {
        self.state(Which::Startup).is_none_or(|state| state.good == Some(true))
    }

    /// Whether the readiness probe, if there is one, counts as succeeding.
    pub fn ready(&self) -> bool {
        self.state(Which::Readiness).is_none_or(|state| state.good == Some(true))
    }

    /// The probe that is due now, if one is; otherwise when the next will be. `ending`: the pod ends, and only its
    /// readiness still matters.
    pub fn due(&self, now: Moment, ending: bool) -> Result<Which, Option<Moment>> {
        let mut next: Option<Moment> = None;
        for which in Which::ALL {
            let Some(state) = self.state(which) else { continue };
            let wanted = match which {
                Which::Startup => !self.started() && !ending,
                Which::Liveness => self.started() && !ending,
                Which::Readiness => self.started(),
            };
            let (true, false, None, Some(due)) = (wanted, state.held, state.ticket, state.due) else {
                continue;
            };
            if due <= now {
                return Ok(which);
            }
            next = Some(next.map_or(due, |earlier| earlier.min(due)));
        }
        Err(next)
    }

    /// A run has been handed out. The next one is a period later, however long this one takes.
    pub fn submitted(&mut self, which: Which, ticket: Ticket, now: Moment) {
        let Some(state) = &mut self.states[which as usize] else { return };
        state.ticket = Some(ticket);
        state.due = Some(now.after(seconds(state.probe.period_seconds, 10).max(Duration::from_secs(1))));
    }

    /// Which probe a ticket belongs to.
    pub fn of_ticket(&self, ticket: Ticket) -> Option<Which> {
        Which::ALL
            .into_iter()
            .find(|which| self.state(*which).is_some_and(|state| state.ticket == Some(ticket)))
    }

    /// A run ended without a result.
    pub fn dropped(&mut self, which: Which) {
        if let Some(state) = &mut self.states[which as usize] {
            state.ticket = None;
        }
    }

    /// Takes a result. A startup that has just succeeded makes the others due.
    pub fn took(&mut self, which: Which, verdict: &Verdict, now: Moment) -> Turn {
        let Some(state) = &mut self.states[which as usize] else { return Turn::Same };
        state.ticket = None;
        let turn = state.take(which, !matches!(verdict, Verdict::Failure(_)));
        if which == Which::Startup && turn == Turn::Up {
            for state in self.states[1..].iter_mut().flatten() {
                state.due = Some(state.due.unwrap_or(now).max(now));
            }
        }
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs results (`+`, `-`) of one probe and shows after each whether the container is started and ready
    /// (`sr`), and what turned.
    fn check(kind: &str, thresholds: (i32, i32), results: &str, expected: &str) {
        let probe = Probe {
            success_threshold: Some(thresholds.0),
            failure_threshold: Some(thresholds.1),
            ..Probe::default()
        };
        let mut container = Container::default();
        let which = match kind {
            "startup" => {
                container.startup_probe = Some(probe);
                Which::Startup
            }
            "liveness" => {
                container.liveness_probe = Some(probe);
                Which::Liveness
            }
            _ => {
                container.readiness_probe = Some(probe);
                Which::Readiness
            }
        };
        let mut probing = Probing::of(&container, true);
        probing.begin(Moment::default());
        let mut found = Vec::new();
        for result in results.chars() {
            let verdict = if result == '+' { Verdict::Success } else { Verdict::Failure(String::new()) };
            let turn = probing.took(which, &verdict, Moment::default());
            let turn = match turn {
                Turn::Same => "",
                Turn::Up => "^",
                Turn::Down => "v",
            };
            let started = if probing.started() { "s" } else { "-" };
            let ready = if probing.ready() { "r" } else { "-" };
            found.push(format!("{started}{ready}{turn}"));
        }
        assert_eq!(found.join(" "), expected, "{kind} {thresholds:?} {results}");
    }

    #[test]
    fn results_add_up() {
        check("readiness", (1, 3), "+", "sr^");
        check("readiness", (1, 3), "-", "s-");
        check("readiness", (1, 3), "+--+", "sr^ sr sr sr");
        check("readiness", (1, 3), "+---", "sr^ sr sr s-v");
        check("readiness", (1, 3), "+---+", "sr^ sr sr s-v sr^");
        check("readiness", (2, 1), "++", "s- sr^");
        check("readiness", (2, 1), "+-++", "s- s-v s- sr^");
        check("readiness", (1, 1), "+-+", "sr^ s-v sr^");
        check("readiness", (1, 3), "---", "s- s- s-v");
        check("liveness", (1, 3), "+", "sr^");
        check("liveness", (1, 3), "---", "sr sr srv");
        check("liveness", (1, 3), "--+---", "sr sr sr^ sr sr srv");
        check("liveness", (1, 1), "-", "srv");
        check("startup", (1, 3), "--+", "-r -r sr^");
        check("startup", (1, 3), "---", "-r -r -rv");
        check("startup", (1, 1), "+", "sr^");
    }

    #[test]
    fn probes_fall_due_in_their_rhythm() {
        let at = |s: u64| Moment(Duration::from_secs(s));
        let container: Container = serde_json::from_value(serde_json::json!({
            "name": "a",
            "startupProbe": {"periodSeconds": 2},
            "livenessProbe": {"initialDelaySeconds": 5, "periodSeconds": 10},
            "readinessProbe": {"periodSeconds": 3},
        }))
        .unwrap();
        let mut probing = Probing::of(&container, true);
        probing.begin(at(0));
        assert_eq!(probing.due(at(0), false), Ok(Which::Startup));
        probing.submitted(Which::Startup, Ticket(1), at(0));
        assert_eq!(probing.due(at(0), false), Err(None));
        assert_eq!(probing.of_ticket(Ticket(1)), Some(Which::Startup));
        probing.took(Which::Startup, &Verdict::Failure(String::new()), at(1));
        assert_eq!(probing.due(at(1), false), Err(Some(at(2))));
        probing.submitted(Which::Startup, Ticket(2), at(2));
        assert_eq!(probing.took(Which::Startup, &Verdict::Success, at(3)), Turn::Up);
        assert_eq!(probing.due(at(3), false), Ok(Which::Readiness));
        probing.submitted(Which::Readiness, Ticket(3), at(3));
        assert_eq!(probing.due(at(3), false), Err(Some(at(5))));
        assert_eq!(probing.due(at(5), false), Ok(Which::Liveness));
        assert_eq!(probing.due(at(5), true), Err(None));
        probing.end();
        assert_eq!(probing.of_ticket(Ticket(3)), None);
        assert!(!probing.ready());
    }
}
