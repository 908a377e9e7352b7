//! What a YAML scalar means to kubectl.
//!
//! Owns the rules of YAML 1.1 as Kubernetes' own reader has them: `0644` and `0o644` are 420, `yes` and `on`
//! are true, `1_000` is a number, base 60 is not read, a timestamp stays text.
//!
//! Invariant: a scalar that no rule knows is a string.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::Problem;

/// A scalar as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
}

/// The tags that change what a scalar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag<'a> {
    /// None: the scalar's form decides.
    Absent,
    /// One of YAML's own: the part after `!!`.
    Core(&'a str),
    /// Any other: the scalar is text.
    Foreign,
}

/// Understands a scalar; `plain` says that no quotes stood around it.
pub(super) fn resolve(text: &str, plain: bool, tag: Tag<'_>) -> Result<Scalar, Problem> {
    let name = match tag {
        Tag::Absent if plain => return Ok(by_form(text)),
        Tag::Absent | Tag::Foreign | Tag::Core("str") => return Ok(Scalar::Text(text.to_owned())),
        Tag::Core("binary") => return binary(text),
        Tag::Core(name @ ("bool" | "int" | "float" | "null" | "timestamp")) => name,
        Tag::Core(_) => return Ok(Scalar::Text(text.to_owned())),
    };
    match (name, by_form(text)) {
        ("bool", scalar @ Scalar::Bool(_))
        | ("int", scalar @ (Scalar::Signed(_) | Scalar::Unsigned(_)))
        | ("float", scalar @ Scalar::Float(_))
        | ("null", scalar @ Scalar::Null) => Ok(scalar),
        ("float", Scalar::Signed(number)) => Ok(Scalar::Float(number as f64)),
        ("timestamp", scalar @ Scalar::Text(_)) if looks_like_a_date(text) => Ok(scalar),
        _ => Err(Problem::Tag { text: shortened(text), tag: format!("!!{name}") }),
    }
}

/// Whether a reader of YAML 1.1 would take this bare text for something else than a string.
pub(super) fn is_ambiguous(text: &str) -> bool {
    !matches!(by_form(text), Scalar::Text(_)) || looks_like_a_date(text) || is_base_60(text)
}

impl Scalar {
    /// The value in JSON.
    pub(super) fn into_value(self) -> Result<Value, Problem> {
        Ok(match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(yes) => Value::Bool(yes),
            Scalar::Signed(number) => number.into(),
            Scalar::Unsigned(number) => number.into(),
            Scalar::Float(number) => float(number)?,
            Scalar::Text(text) => Value::String(text),
        })
    }

    /// The text that it becomes as a mapping's key.
    pub(super) fn into_key(self) -> Result<String, Problem> {
        Ok(match self {
            Scalar::Null => return Err(Problem::Key("null")),
            Scalar::Bool(yes) => yes.to_string(),
            Scalar::Signed(number) => number.to_string(),
            Scalar::Unsigned(number) => number.to_string(),
            Scalar::Float(number) => float_key(number),
            Scalar::Text(text) => text,
        })
    }
}

/// A number in JSON: whole ones without a point, so that they fit fields that count.
pub(super) fn float(number: f64) -> Result<Value, Problem> {
    if number.fract() == 0.0 && number.abs() < 18e18 {
        let whole = number as i128;
        if let Ok(whole) = i64::try_from(whole) {
            return Ok(whole.into());
        }
        if let Ok(whole) = u64::try_from(whole) {
            return Ok(whole.into());
        }
    }
    let refused = || {
        Problem::NotFinite(
            if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            }
            .to_owned(),
        )
    };
    Number::from_f64(number).map(Value::Number).ok_or_else(refused)
}

fn by_form(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let number = match text.as_bytes()[0] {
        b'.' => read_float(text),
        b'+' | b'-' | b'0'..=b'9' => {
            let plain =
                if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
            integer(&plain).or_else(|| read_float(&plain))
        }
        _ => None,
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

fn integer(text: &str) -> Option<Scalar> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if text.starts_with('-') {
        return 0i64.checked_sub_unsigned(magnitude).map(Scalar::Signed);
    }
    match i64::try_from(magnitude) {
        Ok(number) => Some(Scalar::Signed(number)),
        Err(_) if !text.starts_with('+') => Some(Scalar::Unsigned(magnitude)),
        Err(_) => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, within what a double holds.
fn read_float(text: &str) -> Option<Scalar> {
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match rest.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (rest, None),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_float = is_digits(whole)
        && is_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|digits| !digits.is_empty() && is_digits(digits));
    if !is_float {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Scalar::Float)
}

/// A key that was a floating point number: the shortest digits that give the same single-precision number.
fn float_key(number: f64) -> String {
    let number = number as f32;
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    general(&format!("{number:e}"), &number.to_string())
}

/// Of a number's two forms the one that upstream prints: large numbers and small fractions have an exponent,
/// of two digits at least.
pub(super) fn general(scientific: &str, plain: &str) -> String {
    let split = scientific.split_once('e');
    let parsed = split.and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)));
    match parsed {
        Some((digits, exponent)) if !(-4..LARGEST_PLAIN).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => plain.to_owned(),
    }
}

/// From this power of ten on, a number is written with an exponent.
const LARGEST_PLAIN: i32 = 6;

fn binary(text: &str) -> Result<Scalar, Problem> {
    let wrong = || Problem::Tag { text: shortened(text), tag: "!!binary".to_owned() };
    let symbol = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let packed: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    let padding = packed.iter().rev().take_while(|byte| **byte == b'=').count();
    if !packed.len().is_multiple_of(4) || padding > 2 {
        return Err(wrong());
    }
    let mut bytes = Vec::with_capacity(packed.len() / 4 * 3);
    for group in packed[..packed.len() - padding].chunks(4) {
        let mut bits = 0u32;
        for byte in group {
            bits = bits << 6 | u32::from(symbol(*byte).ok_or_else(wrong)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    String::from_utf8(bytes).map(Scalar::Text).map_err(|_| wrong())
}

/// `2001-2-3`, perhaps followed by a time.
fn looks_like_a_date(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, "0:0:0"),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let is_number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let [year, month, day] = parts[..] else { return false };
    is_number(year, 4..=4)
        && is_number(month, 1..=2)
        && is_number(day, 1..=2)
        && time.split(':').count() >= 3
        && time.bytes().all(|byte| byte.is_ascii_digit() || b":.+-Zz".contains(&byte))
}

/// `1:30:15.5`, a number in YAML 1.1 that other readers still know.
fn is_base_60(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = digits.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    digits.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && !rest.is_empty()
        && rest.iter().enumerate().all(|(index, part)| {
            let (whole, fraction) = match part.split_once('.') {
                Some(split) if index + 1 == rest.len() => split,
                _ => (*part, ""),
            };
            let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            matches!(whole.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']) && is_digits(fraction)
        })
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(37).collect::<String>() + "..."
}
