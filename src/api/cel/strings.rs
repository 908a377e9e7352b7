//! Text in expressions: CEL's own functions, the extended library, and regular expressions.
//!
//! Positions are counted in characters. Invariant: what a function makes is paid for before it is made.

use std::fmt::Write;
use std::rc::Rc;

use regex::Regex;

use super::eval::{Eval, Fault, Meter, error};
use super::time;
use super::value::Val;
use crate::api::schema::compile_pattern;
use crate::limits::CEL_VALUE_BYTES;

/// The cost of compiling a pattern that is not written in the expression.
const COMPILE_COST: u64 = 500;

/// A function of a text.
pub(super) fn call<'a>(
    eval: &mut Eval<'_>,
    name: &str,
    text: &Rc<str>,
    args: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    let length = text.len() as u64;
    match (name, args) {
        ("matches" | "find" | "findAll", [Val::Text(pattern), rest @ ..]) => {
            return matching(eval, name, text, pattern, rest);
        }
        ("startsWith" | "endsWith", [Val::Text(other)]) => eval.meter.text(other.len() as u64, 1)?,
        ("contains" | "indexOf" | "lastIndexOf", [Val::Text(_), ..]) => eval.meter.text(length, 1)?,
        ("replace" | "split", _) => eval.meter.text(length, 2)?,
        _ => eval.meter.text(length, 1)?,
    }
    let value = match (name, args) {
        ("contains", [Val::Text(other)]) => Val::Bool(text.contains(&**other)),
        ("startsWith", [Val::Text(other)]) => Val::Bool(text.starts_with(&**other)),
        ("endsWith", [Val::Text(other)]) => Val::Bool(text.ends_with(&**other)),
        ("charAt", [Val::Int(at)]) => {
            let count = text.chars().count() as i64;
            if *at == count {
                return Ok(Val::text(""));
            }
            match usize::try_from(*at).ok().and_then(|at| text.chars().nth(at)) {
                Some(c) => Val::text(c.encode_utf8(&mut [0; 4])),
                None => return error(format!("index out of range: {at}")),
            }
        }
        ("indexOf" | "lastIndexOf", [Val::Text(other), rest @ ..]) => position(name, text, other, rest)?,
        ("lowerAscii", []) => Val::text(&text.to_ascii_lowercase()),
        ("upperAscii", []) => Val::text(&text.to_ascii_uppercase()),
        ("trim", []) => Val::text(text.trim()),
        ("reverse", []) => Val::text(&text.chars().rev().collect::<String>()),
        ("replace", [Val::Text(old), Val::Text(new)]) => replace(eval.meter, text, old, new, usize::MAX)?,
        ("replace", [Val::Text(old), Val::Text(new), Val::Int(most)]) => {
            let most = usize::try_from(*most).unwrap_or(usize::MAX);
            replace(eval.meter, text, old, new, most)?
        }
        ("split", [Val::Text(separator)]) => split(text, separator, usize::MAX),
        ("split", [Val::Text(separator), Val::Int(most)]) => {
            split(text, separator, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        ("substring", [Val::Int(from)]) => substring(text, *from, text.chars().count() as i64)?,
        ("substring", [Val::Int(from), Val::Int(to)]) => substring(text, *from, *to)?,
        ("format", [list @ (Val::List(_) | Val::Items(..))]) => format(eval.meter, text, list)?,
        _ => return Err(Fault::Overload),
    };
    Ok(value)
}

fn matching<'a>(
    eval: &mut Eval<'_>,
    name: &str,
    text: &Rc<str>,
    pattern: &Rc<str>,
    rest: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    let text_cost = (1 + text.len() as u64).div_ceil(10);
    let pattern_cost = (pattern.len() as u64).div_ceil(4);
    eval.meter.charge(text_cost.saturating_mul(pattern_cost))?;
    let made;
    let expression: &Regex = match eval.patterns.get(&**pattern) {
        Some(known) => known,
        None => {
            eval.meter.charge(COMPILE_COST + pattern.len() as u64)?;
            made = match compile_pattern(pattern) {
                Ok(made) => made,
                Err(cause) => return error(format!("Illegal regex: {cause}")),
            };
            &made
        }
    };
    Ok(match (name, rest) {
        ("matches", []) => Val::Bool(expression.is_match(text)),
        ("find", []) => Val::text(expression.find(text).map_or("", |found| found.as_str())),
        ("findAll", []) => found(expression, text, usize::MAX),
        ("findAll", [Val::Int(most)]) => {
            found(expression, text, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return Err(Fault::Overload),
    })
}

fn found<'a>(expression: &Regex, text: &str, most: usize) -> Val<'a> {
    Val::list(expression.find_iter(text).take(most).map(|found| Val::text(found.as_str())).collect())
}

fn position<'a>(name: &str, text: &str, other: &str, rest: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    let count = |text: &str| text.chars().count() as i64;
    let byte_at = |at: i64| {
        let at = usize::try_from(at).ok()?;
        text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(at)
    };
    let chars = |byte: usize| text[..byte].chars().count() as i64;
    let found = match (name, rest) {
        ("indexOf", []) => text.find(other).map(chars),
        ("indexOf", [Val::Int(from)]) => match byte_at(*from) {
            Some(byte) => text[byte..].find(other).map(|at| chars(byte + at)),
            None if other.is_empty() && *from > count(text) => None,
            None => return error(format!("index out of range: {from}")),
        },
        ("lastIndexOf", []) => text.rfind(other).map(chars),
        ("lastIndexOf", [Val::Int(from)]) => match byte_at(*from) {
            Some(byte) => {
                let end = (byte + other.len()).min(text.len());
                let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
                text[..end].rfind(other).map(chars)
            }
            None => return error(format!("index out of range: {from}")),
        },
        _ => return Err(Fault::Overload),
    };
    Ok(Val::Int(found.unwrap_or(-1)))
}

fn replace<'a>(meter: &mut Meter, text: &str, old: &str, new: &str, most: usize) -> Result<Val<'a>, Fault> {
    let times = match old.is_empty() {
        true => text.chars().count() + 1,
        false => text.matches(old).count(),
    };
    let size = text.len() + times.min(most) * new.len();
    if size > CEL_VALUE_BYTES {
        return Err(Fault::Budget);
    }
    meter.text(size as u64, 1)?;
    Ok(Val::text(&text.replacen(old, new, most)))
}

fn split<'a>(text: &str, separator: &str, most: usize) -> Val<'a> {
    if most == 0 {
        return Val::list(Vec::new());
    }
    if separator.is_empty() {
        let mut parts: Vec<Val<'a>> = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if parts.len() + 1 == most {
                break;
            }
            let (head, tail) = rest.split_at(c.len_utf8());
            parts.push(Val::text(head));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Val::text(rest));
        }
        return Val::list(parts);
    }
    Val::list(text.splitn(most, separator).map(Val::text).collect())
}

fn substring<'a>(text: &str, from: i64, to: i64) -> Result<Val<'a>, Fault> {
    let count = text.chars().count() as i64;
    if from < 0 || from > count {
        return error(format!("index out of range: {from}"));
    }
    if to < 0 || to > count {
        return error(format!("index out of range: {to}"));
    }
    if to < from {
        return error(format!("invalid substring range. start: {from}, end: {to}"));
    }
    let part = text.chars().skip(from as usize).take((to - from) as usize);
    Ok(Val::text(&part.collect::<String>()))
}

/// `join` of a list of texts.
pub(super) fn join<'a>(meter: &mut Meter, list: &Val<'a>, separator: &str) -> Result<Val<'a>, Fault> {
    let mut joined = String::new();
    for at in 0..list.length().unwrap_or(0) {
        let Some(Val::Text(text)) = list.item(at) else { return Err(Fault::Overload) };
        if at > 0 {
            joined.push_str(separator);
        }
        meter.text((text.len() + separator.len()) as u64, 2)?;
        joined.push_str(&text);
    }
    Ok(Val::text(&joined))
}

/// The value as `string()` gives it; `None` for values that have no text.
pub(super) fn to_text(value: &Val<'_>) -> Option<String> {
    Some(match value {
        Val::Text(text) => text.to_string(),
        Val::Bool(value) => value.to_string(),
        Val::Int(value) => value.to_string(),
        Val::Uint(value) => value.to_string(),
        Val::Double(value) => value.to_string(),
        Val::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
        Val::Duration(nanos) => time::duration_text(*nanos),
        Val::Timestamp(at) => at.to_string(),
        Val::Type(name) => (*name).to_owned(),
        Val::Ip(address) => address.to_string(),
        Val::Cidr(cidr) => format!("{}/{}", cidr.address, cidr.prefix),
        _ => return None,
    })
}

/// The text in quotes, with what cannot be shown escaped.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `"%s is %d".format([…])`.
fn format<'a>(meter: &mut Meter, text: &str, list: &Val<'a>) -> Result<Val<'a>, Fault> {
    let (mut made, mut next) = (String::new(), 0);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            made.push(c);
            continue;
        }
        let mut verb = chars.next();
        let mut precision = None;
        if verb == Some('%') {
            made.push('%');
            continue;
        }
        if verb == Some('.') {
            let mut digits = String::new();
            verb = chars.next();
            while let Some(digit) = verb.filter(char::is_ascii_digit) {
                digits.push(digit);
                verb = chars.next();
            }
            let Some(places) = digits.parse::<usize>().ok().filter(|places| *places <= 100) else {
                return error("could not parse formatting clause: invalid precision");
            };
            precision = Some(places);
        }
        let Some(value) = list.item(next) else { return error(format!("index {next} out of range")) };
        next += 1;
        let before = made.len();
        match verb {
            Some('s') => write_value(meter, &mut made, &value, 0)?,
            Some(verb @ ('d' | 'b' | 'x' | 'X' | 'o')) => number(&mut made, verb, &value)?,
            Some(verb @ ('f' | 'e')) => decimal(&mut made, verb, &value, precision.unwrap_or(6))?,
            other => {
                let clause = other.map(String::from).unwrap_or_default();
                return error(format!(
                    "could not parse formatting clause: unrecognized formatting clause \"{clause}\""
                ));
            }
        }
        meter.text((made.len() - before) as u64, 1)?;
    }
    Ok(Val::text(&made))
}

fn write_value(meter: &mut Meter, out: &mut String, value: &Val<'_>, depth: usize) -> Result<(), Fault> {
    meter.work(1)?;
    if out.len() > CEL_VALUE_BYTES || depth > 64 {
        return Err(Fault::Budget);
    }
    if let Some(length) = value.length() {
        out.push('[');
        for at in 0..length {
            if at > 0 {
                out.push_str(", ");
            }
            if let Some(item) = value.item(at) {
                write_value(meter, out, &item, depth + 1)?;
            }
        }
        out.push(']');
        return Ok(());
    }
    if let Val::Map(_) | Val::Fields(..) = value {
        let mut keys: Vec<(String, Val<'_>)> =
            value.keys().into_iter().map(|key| (to_text(&key).unwrap_or_default(), key)).collect();
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        out.push('{');
        for (at, (text, key)) in keys.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            out.push_str(text);
            out.push_str(": ");
            write_value(meter, out, &value.at(key).unwrap_or(Val::Null), depth + 1)?;
        }
        out.push('}');
        return Ok(());
    }
    match value {
        Val::Null => out.push_str("null"),
        value => match to_text(value) {
            Some(text) => out.push_str(&text),
            None => {
                return error(format!(
                    "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, \
                     maps, lists, types, durations, and timestamps, was given {}",
                    value.type_name()
                ));
            }
        },
    }
    Ok(())
}

fn number(out: &mut String, verb: char, value: &Val<'_>) -> Result<(), Fault> {
    let _ = match (verb, value) {
        ('d', Val::Int(v)) => write!(out, "{v}"),
        ('d', Val::Uint(v)) => write!(out, "{v}"),
        ('b', Val::Int(v)) => write!(out, "{}{:b}", if *v < 0 { "-" } else { "" }, v.unsigned_abs()),
        ('b', Val::Uint(v)) => write!(out, "{v:b}"),
        ('b', Val::Bool(v)) => write!(out, "{}", u8::from(*v)),
        ('o', Val::Int(v)) => write!(out, "{}{:o}", if *v < 0 { "-" } else { "" }, v.unsigned_abs()),
        ('o', Val::Uint(v)) => write!(out, "{v:o}"),
        ('x', Val::Int(v)) => write!(out, "{}{:x}", if *v < 0 { "-" } else { "" }, v.unsigned_abs()),
        ('X', Val::Int(v)) => write!(out, "{}{:X}", if *v < 0 { "-" } else { "" }, v.unsigned_abs()),
        ('x', Val::Uint(v)) => write!(out, "{v:x}"),
        ('X', Val::Uint(v)) => write!(out, "{v:X}"),
        ('x' | 'X', Val::Text(_) | Val::Bytes(_)) => {
            let bytes: &[u8] = match value {
                Val::Text(text) => text.as_bytes(),
                Val::Bytes(bytes) => bytes,
                _ => &[],
            };
            for byte in bytes {
                let _ = if verb == 'x' { write!(out, "{byte:02x}") } else { write!(out, "{byte:02X}") };
            }
            Ok(())
        }
        ('d', value) => {
            return error(format!(
                "error during formatting: decimal clause can only be used on integers, was given {}",
                value.type_name()
            ));
        }
        (_, value) => {
            return error(format!(
                "error during formatting: only integers, byte buffers, and strings can be formatted as hex, was given \
                 {}",
                value.type_name()
            ));
        }
    };
    Ok(())
}

fn decimal(out: &mut String, verb: char, value: &Val<'_>, places: usize) -> Result<(), Fault> {
    let value = match value {
        Val::Double(v) => *v,
        Val::Int(v) => *v as f64,
        Val::Uint(v) => *v as f64,
        value => {
            return error(format!(
                "error during formatting: fixed-point clause can only be used on doubles, was given {}",
                value.type_name()
            ));
        }
    };
    if verb == 'f' {
        let _ = write!(out, "{value:.places$}");
        return Ok(());
    }
    let text = format!("{value:.places$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Written with raised digits, as CEL does.
    let _ = write!(out, "{mantissa}×10");
    for c in format!("{}{:02}", if exponent < 0 { "-" } else { "" }, exponent.unsigned_abs()).chars() {
        out.push(match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '0' | '4'..='9' => ['⁰', ' ', ' ', ' ', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][c as usize - '0' as usize],
            other => other,
        });
    }
    Ok(())
}

/// Bytes written in base64, with padding.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let pieces = text.len() / 4;
    for (at, piece) in text.chunks(4).enumerate() {
        let padding = piece.iter().rev().take_while(|b| **b == b'=').count();
        if padding > 2 || padding > 0 && at + 1 != pieces {
            return None;
        }
        let mut bits: u32 = 0;
        for byte in &piece[..4 - padding] {
            let six = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        bits <<= 6 * padding;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

/// A text with `%41` turned into `A`.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &tail[2..];
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
