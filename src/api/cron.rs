//! Schedules as CronJobs write them: five fields (`*/5 8-18 * * mon-fri`), a word (`@daily`) or a distance
//! (`@every 1h30m`); and the time zones that they are read in.
//!
//! Reads what the library that upstream uses reads, and refuses what that refuses, in its words. Knows no clock:
//! [`Schedule::next`] is asked with a time.
//!
//! Invariant: `next` is after the time that it is asked for, in whole seconds, and ends within
//! [`CRON_YEARS`] years of local days.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::limits::CRON_YEARS;

/// A time zone by its name in the database of IANA, which is part of the program. Case counts.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

/// When something is to be done, again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    rule: Rule,
    /// The zone that the text names itself, which stored CronJobs of old may.
    zone: Option<TimeZone>,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// So many seconds after the last time.
    Every(i64),
    /// Whenever all fields match.
    Fields { minute: Field, hour: Field, day: Field, month: Field, weekday: Field },
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum ScheduleError {
    #[error("empty spec string")]
    Empty,
    #[error("invalid schedule format: runtime error: slice bounds out of range [:-1]")]
    ZoneAlone,
    #[error("provided bad location {0}: unknown time zone {0}")]
    Zone(String),
    #[error("expected exactly 5 fields, found {0}: [{1}]")]
    Count(usize, String),
    #[error("unrecognized descriptor: {0}")]
    Word(String),
    #[error("failed to parse duration {0}: time: {1}")]
    Duration(String, String),
    #[error("too many hyphens: {0}")]
    Hyphens(String),
    #[error("too many slashes: {0}")]
    Slashes(String),
    #[error("failed to parse int from {0}: strconv.Atoi: parsing {0:?}: {1}")]
    Number(String, &'static str),
    #[error("negative number ({0}) not allowed: {1}")]
    Negative(i64, String),
    #[error("beginning of range ({0}) below minimum ({1}): {2}")]
    Below(u64, u64, String),
    #[error("end of range ({0}) above maximum ({1}): {2}")]
    Above(u64, u64, String),
    #[error("beginning of range ({0}) beyond end of range ({1}): {2}")]
    Backwards(u64, u64, String),
    #[error("step of range should be a positive number: {0}")]
    NoStep(String),
}

/// The values that match, as bits, and whether a star is among the words: days and weekdays both count only where
/// one of them is a star, otherwise either is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    star: bool,
}

impl Field {
    fn has(self, value: i8) -> bool {
        self.bits & (1 << value) != 0
    }
}

/// The bounds of a field, and the words for its values.
struct Bounds {
    first: u64,
    last: u64,
    words: &'static [&'static str],
}

const MINUTE: Bounds = Bounds { first: 0, last: 59, words: &[] };
const HOUR: Bounds = Bounds { first: 0, last: 23, words: &[] };
const DAY: Bounds = Bounds { first: 1, last: 31, words: &[] };
const MONTH: Bounds = Bounds {
    first: 1,
    last: 12,
    words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Bounds =
    Bounds { first: 0, last: 6, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// The words for schedules, and what they stand for.
const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// Reads a schedule.
    ///
    /// Errors: the text is none; the sentence is upstream's.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        if text.is_empty() {
            return Err(ScheduleError::Empty);
        }
        let named = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ="));
        let Some(named) = named else {
            return Ok(Schedule { rule: parse_rule(text)?, zone: None });
        };
        let (name, rest) = named.split_once(' ').ok_or(ScheduleError::ZoneAlone)?;
        let zone = match name {
            "Local" => None,
            "" => Some(TimeZone::UTC),
            name => Some(time_zone(name).ok_or_else(|| ScheduleError::Zone(name.to_owned()))?),
        };
        Ok(Schedule { rule: parse_rule(rest.trim())?, zone })
    }

    /// The first time after `after`, for who lives in `zone`; none where no time comes within some years
    /// (`0 0 31 2 *`).
    ///
    /// Where clocks are set forward, the hour that is left out has no times; where they are set back, the times of
    /// the hour that comes twice come twice, as with upstream.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let second = after.as_second() - i64::from(after.subsec_nanosecond() < 0);
        match &self.rule {
            Rule::Every(seconds) => Timestamp::from_second(second.checked_add(*seconds)?).ok(),
            Rule::Fields { .. } => self.search(second + 1, self.zone.as_ref().unwrap_or(zone)),
        }
    }

    /// The first time that matches, from this second on.
    fn search(&self, from: i64, zone: &TimeZone) -> Option<Timestamp> {
        let Rule::Fields { minute, hour, month, .. } = &self.rule else { return None };
        let mut at = Timestamp::from_second(from).ok()?;
        let last_year = zone.to_datetime(at).year().checked_add(CRON_YEARS)?;
        loop {
            let local = zone.to_datetime(at);
            if local.year() > last_year {
                return None;
            }
            let (in_minute, in_hour) = (i64::from(local.second()), i64::from(local.minute()) * 60);
            at = if !month.has(local.month()) {
                start_of(next_month(local.date())?, zone)?
            } else if !self.has_day(local) {
                start_of(local.date().tomorrow().ok()?, zone)?
            } else if !hour.has(local.hour()) {
                later(at, 3600 - in_hour - in_minute)?
            } else if !minute.has(local.minute()) || in_minute > 0 {
                later(at, 60 - in_minute)?
            } else {
                return Some(at);
            };
        }
    }

    fn has_day(&self, local: DateTime) -> bool {
        let Rule::Fields { day, weekday, .. } = &self.rule else { return false };
        let in_month = day.has(local.day());
        let in_week = weekday.has(local.weekday().to_sunday_zero_offset());
        if day.star || weekday.star { in_month && in_week } else { in_month || in_week }
    }
}

fn later(at: Timestamp, seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(at.as_second() + seconds).ok()
}

fn next_month(date: Date) -> Option<Date> {
    match date.month() {
        12 => Date::new(date.year().checked_add(1)?, 1, 1).ok(),
        month => Date::new(date.year(), month + 1, 1).ok(),
    }
}

/// The first moment of a day, which need not be midnight.
fn start_of(date: Date, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0)).compatible().ok()
}

fn parse_rule(text: &str) -> Result<Rule, ScheduleError> {
    if text.starts_with('@') {
        if let Some((_, fields)) = WORDS.iter().find(|(word, _)| *word == text) {
            return parse_rule(fields);
        }
        let Some(duration) = text.strip_prefix("@every ") else {
            return Err(ScheduleError::Word(text.to_owned()));
        };
        let nanoseconds =
            parse_duration(duration).map_err(|wrong| ScheduleError::Duration(text.to_owned(), wrong))?;
        return Ok(Rule::Every((nanoseconds / 1_000_000_000).max(1)));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return Err(ScheduleError::Count(fields.len(), fields.join(" ")));
    };
    Ok(Rule::Fields {
        minute: parse_field(minute, &MINUTE)?,
        hour: parse_field(hour, &HOUR)?,
        day: parse_field(day, &DAY)?,
        month: parse_field(month, &MONTH)?,
        weekday: parse_field(weekday, &WEEKDAY)?,
    })
}

fn parse_field(text: &str, bounds: &Bounds) -> Result<Field, ScheduleError> {
    let mut field = Field { bits: 0, star: false };
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let Field { bits, star } = parse_range(range, bounds)?;
        field.bits |= bits;
        field.star |= star;
    }
    Ok(field)
}

/// `*`, `5`, `5-9`, each with `/2` after it; `5/2` means from 5 to the last.
fn parse_range(text: &str, bounds: &Bounds) -> Result<Field, ScheduleError> {
    let whole = || text.to_owned();
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let mut star = matches!(ends[0], "*" | "?");
    let (first, mut last) = match ends[..] {
        _ if star => (bounds.first, bounds.last),
        [only] => {
            let value = parse_value(only, bounds)?;
            (value, value)
        }
        [first, last] => (parse_value(first, bounds)?, parse_value(last, bounds)?),
        _ => {
            parse_value(ends[0], bounds)?;
            return Err(ScheduleError::Hyphens(whole()));
        }
    };
    let step = match parts[..] {
        [_] => 1,
        [_, step] => {
            let step = parse_number(step)?;
            if ends.len() == 1 {
                last = bounds.last;
            }
            star &= step <= 1;
            step
        }
        _ => return Err(ScheduleError::Slashes(whole())),
    };
    if first < bounds.first {
        return Err(ScheduleError::Below(first, bounds.first, whole()));
    }
    if last > bounds.last {
        return Err(ScheduleError::Above(last, bounds.last, whole()));
    }
    if first > last {
        return Err(ScheduleError::Backwards(first, last, whole()));
    }
    if step == 0 {
        return Err(ScheduleError::NoStep(whole()));
    }
    let bits = (first..=last).filter(|value| (value - first) % step == 0).fold(0, |bits, at| bits | 1 << at);
    Ok(Field { bits, star })
}

fn parse_value(text: &str, bounds: &Bounds) -> Result<u64, ScheduleError> {
    let word = text.to_lowercase();
    match bounds.words.iter().position(|known| *known == word) {
        Some(at) => Ok(at as u64 + bounds.first),
        None => parse_number(text),
    }
}

fn parse_number(text: &str) -> Result<u64, ScheduleError> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match text.parse::<i64>() {
        Ok(number) => u64::try_from(number).map_err(|_| ScheduleError::Negative(number, text.to_owned())),
        Err(wrong) if matches!(wrong.kind(), PosOverflow | NegOverflow) => {
            Err(ScheduleError::Number(text.to_owned(), "value out of range"))
        }
        Err(_) => Err(ScheduleError::Number(text.to_owned(), "invalid syntax")),
    }
}

/// Reads a duration such as `1h30m` or `1.5s`, in nanoseconds.
fn parse_duration(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let invalid = || format!("invalid duration {text:?}");
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = take(&mut rest, |letter| letter.is_ascii_digit() || letter == '.');
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(invalid());
        }
        let unit = take(&mut rest, |letter| !letter.is_ascii_digit() && letter != '.');
        if unit.is_empty() {
            return Err(format!("missing unit in duration {text:?}"));
        }
        let Some((_, size)) = UNITS.iter().find(|(known, _)| *known == unit) else {
            return Err(format!("unknown unit {unit:?} in duration {text:?}"));
        };
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        // No more digits than can matter: an hour has thirteen digits of nanoseconds.
        let fraction = &fraction[..fraction.len().min(15)];
        let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| invalid())? };
        total += i128::from(whole) * size + part * size / 10i128.pow(fraction.len() as u32);
        if total > i64::MAX.into() {
            return Err(invalid());
        }
    }
    let total = if negative { -total } else { total };
    i64::try_from(total).map_err(|_| invalid())
}

/// Takes the letters at the beginning that pass.
fn take<'a>(rest: &mut &'a str, passes: fn(char) -> bool) -> &'a str {
    let end = rest.find(|letter| !passes(letter)).unwrap_or(rest.len());
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests;
