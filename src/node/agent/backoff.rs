//! How long a container that failed, or an image that could not be fetched, waits until the next try.
//!
//! Pure: time is passed in. The rules are upstream's: the first restart is at once, the next wait is 10 s after the
//! end, and each further one twice as long up to 5 min; a container that ran for 10 min begins anew.

use std::time::Duration;

use crate::limits::{POD_BACKOFF_FIRST, POD_BACKOFF_MOST};
use crate::world::Moment;

/// The back-off of one container or image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    entry: Option<(Duration, Moment)>,
}

impl Backoff {
    /// Until when a container that ended at `ended` waits; `None` if it does not.
    pub fn wait_until(&self, ended: Moment) -> Option<Moment> {
        let (delay, updated) = self.entry?;
        if expired(ended, updated) {
            return None;
        }
        Some(ended.after(delay))
    }

    /// The present delay.
    pub fn delay(&self) -> Duration {
        self.entry.map_or(Duration::ZERO, |(delay, _)| delay)
    }

    /// Counts a restart of what ended at `ended`.
    pub fn next(&mut self, ended: Moment, now: Moment) {
        let delay = match self.entry {
            Some((delay, updated)) if !expired(ended, updated) => (delay * 2).min(POD_BACKOFF_MOST),
            _ => POD_BACKOFF_FIRST,
        };
        self.entry = Some((delay, now));
    }

    /// Counts a failure that has no end of its own (fetching an image): the wait begins now. Answers until when.
    pub fn failed(&mut self, now: Moment) -> Moment {
        self.next(now, now);
        now.after(self.delay())
    }
}

fn expired(event: Moment, updated: Moment) -> bool {
    event.since(updated) > POD_BACKOFF_MOST * 2
}

/// A duration as Go prints it (`10s`, `1m20s`, `5m0s`): users search for these texts.
pub fn go_duration(duration: Duration) -> String {
    let (whole, millis) = (duration.as_secs(), duration.subsec_millis());
    if whole == 0 && millis > 0 {
        return format!("{millis}ms");
    }
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let seconds = if millis == 0 { format!("{seconds}s") } else { format!("{seconds}.{millis:03}s") };
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, _) => format!("{minutes}m{seconds}"),
        _ => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_waits_as_upstream_does() {
        let mut backoff = Backoff::default();
        let mut now = Moment::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            // The container ends at once; it is restarted as soon as it may be.
            let until = backoff.wait_until(now).unwrap_or(now);
            waits.push(go_duration(until.since(now)));
            let ended = now;
            now = until;
            backoff.next(ended, now);
        }
        assert_eq!(waits, ["0s", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"]);
    }

    #[test]
    fn ten_good_minutes_forget_the_past() {
        let mut backoff = Backoff::default();
        let start = Moment::default();
        backoff.next(start, start);
        backoff.next(start, start);
        assert_eq!(backoff.delay(), Duration::from_secs(20));
        let ended = start.after(Duration::from_secs(601));
        assert_eq!(backoff.wait_until(ended), None);
        backoff.next(ended, ended);
        assert_eq!(backoff.delay(), Duration::from_secs(10));
    }

    #[test]
    fn durations_read_as_in_go() {
        for (millis, text) in [
            (0, "0s"),
            (500, "500ms"),
            (1500, "1.500s"),
            (10_000, "10s"),
            (80_000, "1m20s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }
}
