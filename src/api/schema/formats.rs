//! The formats of texts that are checked: those of OpenAPI and of Kubernetes.
//!
//! Formats that are not known are ignored, as upstream ignores them.

use std::net::IpAddr;

use crate::api::cel::{Url, from_base64, parse_duration, parse_timestamp};
use crate::api::names;

/// The name without its dashes, which do not count.
fn plain(format: &str) -> String {
    format.replace('-', "")
}

/// Whether a format is checked.
pub fn is_known(format: &str) -> bool {
    const KNOWN: [&str; 26] = [
        "bsonobjectid",
        "uri",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "cidr",
        "mac",
        "uuid",
        "uuid3",
        "uuid4",
        "uuid5",
        "isbn",
        "isbn10",
        "isbn13",
        "creditcard",
        "ssn",
        "hexcolor",
        "rgbcolor",
        "byte",
        "password",
        "date",
        "duration",
        "datetime",
        "k8sshortname",
        "k8slongname",
    ];
    KNOWN.contains(&plain(format).as_str())
}

/// Whether a text is of a format. Any text is of one that is not known.
pub fn is(format: &str, text: &str) -> bool {
    match plain(format).as_str() {
        "bsonobjectid" => text.len() == 24 && hex(text),
        "uri" => Url::parse(text).is_ok(),
        "email" => email(text),
        "hostname" => hostname(text),
        "ipv4" => matches!(text.parse(), Ok(IpAddr::V4(_))),
        "ipv6" => matches!(text.parse(), Ok(IpAddr::V6(_))),
        "cidr" => text.split_once('/').is_some_and(|(address, bits)| {
            let most = match address.parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
        }),
        "mac" => mac(text),
        "uuid" => uuid(text, None),
        "uuid3" => uuid(text, Some('3')),
        "uuid4" => uuid(text, Some('4')),
        "uuid5" => uuid(text, Some('5')),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => creditcard(text),
        "ssn" => {
            let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
            digits.len() == 9 && digits.bytes().all(|b| b.is_ascii_digit()) && matches!(text.len(), 9..=11)
        }
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && hex(digits)
        }
        "rgbcolor" => text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')).is_some_and(|rest| {
            let parts: Vec<&str> = rest.split(',').map(str::trim).collect();
            parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
        }),
        "byte" => from_base64(text).is_some(),
        "date" => text.len() == 10 && parse_timestamp(text).is_some(),
        "datetime" => text.len() > 10 && parse_timestamp(text).is_some(),
        "duration" => parse_duration(text).is_some() || scala_duration(text),
        "k8sshortname" => names::is_dns1123_label(text).is_empty(),
        "k8slongname" => names::is_dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

fn hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn email(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atom = |part: &str| !part.is_empty() && !part.contains([' ', '@', '<', '>', ',', ';', '(', ')', '"']);
    local.split('.').all(atom) && domain.split('.').all(atom)
}

fn hostname(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |c: char| c.is_alphanumeric() || c == '-';
        let end = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        (1..=63).contains(&part.chars().count())
            && part.chars().all(inner)
            && end(part.chars().next())
            && end(part.chars().last())
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn mac(text: &str) -> bool {
    let groups = |separator: char, size: usize, counts: &[usize]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| part.len() == size && hex(part))
    };
    groups(':', 2, &[6, 8, 20]) || groups('-', 2, &[6, 8, 20]) || groups('.', 4, &[3, 4, 10])
}

fn uuid(text: &str, version: Option<char>) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !hex(&digits) || text.len() > 36 {
        return false;
    }
    let at = |place: usize| digits.chars().nth(place).map(|c| c.to_ascii_lowercase());
    match version {
        None => true,
        Some('3') => at(12) == Some('3'),
        Some(version) => {
            at(12) == Some(version) && at(16).is_some_and(|c| matches!(c, '8' | '9' | 'a' | 'b'))
        }
    }
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn isbn10(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if plain.len() != 10 || !plain[..9].bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = digits(&plain[..9]).iter().zip(1..).map(|(digit, at)| digit * at).sum();
    match plain.as_bytes()[9] {
        b'X' => sum % 11 == 10,
        last => last.is_ascii_digit() && sum % 11 == u32::from(last - b'0'),
    }
}

fn isbn13(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    if plain.len() != 13 || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let weighted = digits(&plain).into_iter().enumerate();
    weighted.map(|(at, digit)| if at % 2 == 0 { digit } else { 3 * digit }).sum::<u32>().is_multiple_of(10)
}

fn creditcard(text: &str) -> bool {
    let digits = digits(text);
    if !(13..=16).contains(&digits.len()) {
        return false;
    }
    let luhn = digits.iter().rev().enumerate().map(|(at, digit)| match at % 2 {
        0 => *digit,
        _ if digit * 2 > 9 => digit * 2 - 9,
        _ => digit * 2,
    });
    luhn.sum::<u32>().is_multiple_of(10)
}

/// Durations as Scala writes them: `22 ns`, `3 days`.
fn scala_duration(text: &str) -> bool {
    const UNITS: [&str; 20] = [
        "ns", "nano", "us", "µs", "micro", "ms", "milli", "s", "sec", "m", "min", "h", "hr", "hour", "d",
        "day", "w", "wk", "week", "weeks",
    ];
    let start = text.find(|c: char| c.is_ascii_digit());
    let Some(rest) = start.map(|start| &text[start..]) else { return false };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let unit = rest[..end].to_lowercase();
    let long = ["nano", "micro", "milli", "sec", "min", "hour", "day", "week"];
    UNITS.contains(&unit.as_str()) || long.iter().any(|long| unit.starts_with(long))
}
