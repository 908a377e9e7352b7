//! Container output in the CRI log format: `<time> <stream> <tag> <text>`, one line each.
//!
//! A line longer than the limit is cut into parts with the tag P; its end has F. The writer never waits for
//! anything but the disk, and output that cannot be written is dropped, so that a container is never blocked.
//!
//! Invariant: what a container wrote on one stream comes out in order and without gaps, however it was cut
//! into reads.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::limits;

/// The names of the two streams.
pub(super) const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// Splits one stream into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes what was read and appends complete log lines to `out`.
    pub(super) fn take(&mut self, stream: &str, now: Timestamp, mut data: &[u8], out: &mut Vec<u8>) {
        let mut stamp = String::new();
        let _ = write!(stamp, "{now:.9} {stream}");
        while !data.is_empty() {
            let room = limits::LOG_LINE_BYTES - self.rest.len();
            let end = data.iter().take(room + 1).position(|byte| *byte == b'\n');
            match end {
                Some(end) => {
                    line(out, &stamp, 'F', &self.rest, &data[..end]);
                    self.rest.clear();
                    data = &data[end + 1..];
                }
                None if data.len() > room => {
                    line(out, &stamp, 'P', &self.rest, &data[..room]);
                    self.rest.clear();
                    data = &data[room..];
                }
                None => {
                    self.rest.extend_from_slice(data);
                    data = &[];
                }
            }
        }
    }

    /// The stream has ended: what is left is a line.
    pub(super) fn end(&mut self, stream: &str, now: Timestamp, out: &mut Vec<u8>) {
        if !self.rest.is_empty() {
            line(out, &format!("{now:.9} {stream}"), 'F', &self.rest, &[]);
            self.rest = Vec::new();
        }
    }
}

fn line(out: &mut Vec<u8>, stamp: &str, tag: char, first: &[u8], second: &[u8]) {
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(&[b' ', tag as u8, b' ']);
    out.extend_from_slice(first);
    out.extend_from_slice(second);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reads: &[&str], expected: &str) {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let now = Timestamp::from_second(0).unwrap();
        for read in reads {
            lines.take("stdout", now, read.as_bytes(), &mut out);
        }
        lines.end("stdout", now, &mut out);
        let text = String::from_utf8(out).unwrap().replace("1970-01-01T00:00:00.000000000Z stdout ", "");
        assert_eq!(text, expected);
    }

    #[test]
    fn cuts_lines() {
        check(&["a\nb\n"], "F a\nF b\n");
        check(&["a", "b\nc"], "F ab\nF c\n");
        check(&["\n\n"], "F \nF \n");
        let long = "x".repeat(limits::LOG_LINE_BYTES);
        check(&[&long, "\n"], &format!("F {long}\n"));
        check(&[&long, "y\n"], &format!("P {long}\nF y\n"));
        check(&[&format!("{long}{long}y")], &format!("P {long}\nP {long}\nF y\n"));
    }
}
