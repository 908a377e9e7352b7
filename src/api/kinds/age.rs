//! Prints how long ago something was, as `kubectl get` does: `45s`, `5m30s`, `3d4h`, `2y`.
//!
//! Owns the rounding: two units while the first is small, one afterwards; and the cell of kinds that have no
//! columns of their own, which shows when they were made. Reads no clock.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};

use crate::api::meta::whole_seconds;
use crate::api::object::Column;

/// The columns of kinds for which upstream has none.
pub(crate) const CREATED_AT: &[Column] = &[Column { name: "Created At", wide: false }];

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A number of seconds in words. Clocks may be a second apart; more than that ahead is `<invalid>`.
pub(crate) fn human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds, MINUTE, "m", 1, "s"),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds, HOUR, "h", MINUTE, "m"),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds, DAY, "d", HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds, YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(seconds: i64, large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    match (seconds / large, seconds % large / small) {
        (most, 0) => format!("{most}{large_unit}"),
        (most, rest) => format!("{most}{large_unit}{rest}{small_unit}"),
    }
}

/// The time since `then`; `<unknown>` where there is none.
pub(crate) fn since(then: Option<&Time>, now: Timestamp) -> String {
    then.map_or_else(unknown, |then| between(then.0, now))
}

/// The time since `then`; `<unknown>` where there is none.
pub(crate) fn since_micro(then: Option<&MicroTime>, now: Timestamp) -> String {
    then.map_or_else(unknown, |then| between(then.0, now))
}

/// The cells below [`CREATED_AT`]. An object that is in no store yet has Go's first time.
pub(crate) fn created_at(meta: &ObjectMeta) -> Vec<String> {
    let time = meta.creation_timestamp.as_ref();
    vec![time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |time| whole_seconds(time.0).to_string())]
}

fn unknown() -> String {
    "<unknown>".to_owned()
}

fn between(then: Timestamp, now: Timestamp) -> String {
    human_duration(now.duration_since(then).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_upstream() {
        // Upstream's own table (apimachinery, util/duration).
        let table = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (1, "1s"),
            (70, "70s"),
            (190, "3m10s"),
            (70 * MINUTE, "70m"),
            (47 * HOUR, "47h"),
            (49 * HOUR, "2d1h"),
            (8 * DAY - 2 * HOUR, "7d22h"),
            (8 * DAY + 2 * HOUR, "8d"),
            (2 * HOUR + 59 * MINUTE, "179m"),
            (3 * HOUR, "3h"),
            (5 * HOUR + 30 * MINUTE, "5h30m"),
            (10 * DAY, "10d"),
            (3 * YEAR, "3y"),
            (2 * YEAR - DAY, "729d"),
            (2 * YEAR + DAY, "2y1d"),
            (8 * YEAR, "8y"),
        ];
        for (seconds, text) in table {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
    }
}
