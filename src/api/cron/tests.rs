//! Tables after those of the library that upstream uses (its parser's and its schedule's own tests).

use super::*;

/// Rows of `schedule | sentence`; no sentence means fine.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (text, expected) = row.split_once('|').unwrap();
        let found = Schedule::parse(text.trim()).err().map(|wrong| wrong.to_string()).unwrap_or_default();
        assert_eq!(found, expected.trim(), "{text}");
    }
}

#[test]
fn what_is_a_schedule() {
    check(
        r#"
        * * * * * |
        */5 8-18 1,15 jan-MAR Mon-fri |
        5/15 * * * ? |
        0 0 , * * |
        +5 * * * * |
        @hourly |
        @midnight |
        @every 1h30m |
        @every -5s |
        TZ=UTC * 5 * * * |
        CRON_TZ=Asia/Tokyo @daily |
        | empty spec string
        * * * * | expected exactly 5 fields, found 4: [* * * *]
        x | expected exactly 5 fields, found 1: [x]
        0 0 * * * * | expected exactly 5 fields, found 6: [0 0 * * * *]
        60 * * * * | end of range (60) above maximum (59): 60
        * 24 * * * | end of range (24) above maximum (23): 24
        * * 0 * * | beginning of range (0) below minimum (1): 0
        * * 32 * * | end of range (32) above maximum (31): 32
        * * * 13 * | end of range (13) above maximum (12): 13
        * * * * 7 | end of range (7) above maximum (6): 7
        5-3 * * * * | beginning of range (5) beyond end of range (3): 5-3
        */0 * * * * | step of range should be a positive number: */0
        1-2-3 * * * * | too many hyphens: 1-2-3
        1/2/3 * * * * | too many slashes: 1/2/3
        */-5 * * * * | negative number (-5) not allowed: -5
        -5 * * * * | failed to parse int from : strconv.Atoi: parsing "": invalid syntax
        five * * * * | failed to parse int from five: strconv.Atoi: parsing "five": invalid syntax
        99999999999999999999 * * * * | failed to parse int from 99999999999999999999: strconv.Atoi: parsing "99999999999999999999": value out of range
        @often | unrecognized descriptor: @often
        @every | unrecognized descriptor: @every
        @every 1x | failed to parse duration @every 1x: time: unknown unit "x" in duration "1x"
        @every 1 | failed to parse duration @every 1: time: missing unit in duration "1"
        @every .s | failed to parse duration @every .s: time: invalid duration ".s"
        @every 9999999h | failed to parse duration @every 9999999h: time: invalid duration "9999999h"
        TZ=0 | invalid schedule format: runtime error: slice bounds out of range [:-1]
        TZ=Mars/Base * * * * * | provided bad location Mars/Base: unknown time zone Mars/Base
        "#,
    );
}

/// Rows of `schedule | zone | time | the times after it`.
fn check_times(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [schedule, zone, from, times] = cells[..] else { panic!("{row}") };
        let schedule = Schedule::parse(schedule).unwrap();
        let zone = time_zone(zone).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        let mut found = Vec::new();
        for _ in times.split(' ') {
            let Some(next) = schedule.next(at, &zone) else {
                found.push("never".to_owned());
                break;
            };
            assert!(next > at);
            found.push(next.to_string());
            at = next;
        }
        assert_eq!(found.join(" "), times, "{row}");
    }
}

#[test]
fn when_it_is_time() {
    check_times(
        "
        * * * * * | UTC | 2026-05-01T12:00:00Z | 2026-05-01T12:01:00Z 2026-05-01T12:02:00Z
        * * * * * | UTC | 2026-05-01T12:00:59.5Z | 2026-05-01T12:01:00Z
        */15 * * * * | UTC | 2026-05-01T12:50:00Z | 2026-05-01T13:00:00Z 2026-05-01T13:15:00Z
        20-35/15 * * * * | UTC | 2026-05-01T12:45:00Z | 2026-05-01T13:20:00Z 2026-05-01T13:35:00Z
        0 0 31 * * | UTC | 2026-05-01T00:00:00Z | 2026-05-31T00:00:00Z 2026-07-31T00:00:00Z
        0 0 29 2 * | UTC | 2026-05-01T00:00:00Z | 2028-02-29T00:00:00Z 2032-02-29T00:00:00Z
        0 0 31 2 * | UTC | 2026-05-01T00:00:00Z | never
        0 0 , * * | UTC | 2026-05-01T00:00:00Z | never
        0 12 13 * fri | UTC | 2026-05-01T13:00:00Z | 2026-05-08T12:00:00Z 2026-05-13T12:00:00Z
        0 12 */2 * fri | UTC | 2026-05-01T13:00:00Z | 2026-05-03T12:00:00Z
        0 12 * * fri | UTC | 2026-05-01T13:00:00Z | 2026-05-08T12:00:00Z
        @monthly | UTC | 2026-12-15T00:00:00Z | 2027-01-01T00:00:00Z
        @weekly | UTC | 2026-05-01T00:00:00Z | 2026-05-03T00:00:00Z
        @every 90s | UTC | 2026-05-01T12:00:10.7Z | 2026-05-01T12:01:40Z 2026-05-01T12:03:10Z
        @every 10ms | UTC | 2026-05-01T12:00:00Z | 2026-05-01T12:00:01Z
        0 9 * * * | Asia/Kolkata | 2026-05-01T00:00:00Z | 2026-05-01T03:30:00Z 2026-05-02T03:30:00Z
        CRON_TZ=Asia/Tokyo 0 9 * * * | UTC | 2026-05-01T12:00:00Z | 2026-05-02T00:00:00Z
        ",
    );
}

#[test]
fn when_clocks_are_set() {
    check_times(
        "
        30 2 * * * | America/New_York | 2012-03-10T12:00:00Z | 2012-03-12T06:30:00Z
        0 * * * * | America/New_York | 2012-03-11T06:00:00Z | 2012-03-11T07:00:00Z 2012-03-11T08:00:00Z
        30 1 * * * | America/New_York | 2012-11-04T04:00:00Z | 2012-11-04T05:30:00Z 2012-11-04T06:30:00Z 2012-11-05T06:30:00Z
        0 0 * * * | America/Sao_Paulo | 2018-11-03T12:00:00Z | 2018-11-05T02:00:00Z
        0 1 * * * | America/Sao_Paulo | 2018-11-03T12:00:00Z | 2018-11-04T03:00:00Z
        ",
    );
}

#[test]
fn zones_have_their_names() {
    for (name, known) in
        [("Europe/Berlin", true), ("US/Pacific", true), ("UTC", true), ("europe/berlin", false), ("", false)]
    {
        assert_eq!(time_zone(name).is_some(), known, "{name}");
    }
}
