//! YAML: from a value to text, as `kubectl get -o yaml` prints it.
//!
//! Owns the layout (keys sorted, lists not indented, text of several lines as a block) and the quotes: whatever
//! a reader of YAML 1.1 or 1.2 could take for something else than a string is quoted. `serde_yaml` knows the
//! rules of 1.2 alone and would leave `yes` and `0644` bare. Long lines are folded at spaces, as upstream does.
//!
//! Invariant: what is written reads back as the same value.

use std::fmt::Write;

use serde_json::Value;

use super::scalar::{general, is_ambiguous};

/// The longest key that stands before a colon on one line, in bytes: a rule of YAML's writers.
const SIMPLE_KEY: usize = 128;

/// The column after which the next single space becomes a line break.
const FOLD: usize = 80;

/// Prints a value as YAML that ends in a newline.
pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Writes a value whose first line continues the present one; the lines after it get this indent.
fn write_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_by_cached_key(|(key, _)| natural(key));
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    new_line(out, indent);
                }
                write_entry(out, key, value, indent);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    new_line(out, indent);
                }
                out.push_str("- ");
                write_value(out, item, indent + 2);
            }
        }
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(text) if text.contains('\n') && fits_block(text) => write_block(out, text, indent),
        Value::String(text) => write_inline(out, text, Some(indent.max(2))),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&general(&format!("{float:e}"), &float.to_string())),
            None => out.push_str(&number.to_string()),
        },
        Value::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Value::Null => out.push_str("null"),
    }
}

/// A piece of a key by which keys are sorted.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Other(char),
    /// A number: how many digits count, those digits, how many there are with zeros in front.
    Number(usize, String, usize),
    Letter(char),
}

/// What a key is sorted by: numbers in it by their size, letters after all else, as upstream's writer does.
/// (Upstream's own order goes in circles where a number meets a letter, `a10 < a1b < a2 < a10`; this one is
/// whole.)
fn natural(key: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = key;
    while let Some(first) = rest.chars().next() {
        let length = rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        if length > 0 {
            let significant = rest[..length].trim_start_matches('0');
            pieces.push(Piece::Number(significant.len(), significant.to_owned(), length));
            rest = &rest[length..];
            continue;
        }
        pieces.push(if first.is_alphabetic() { Piece::Letter(first) } else { Piece::Other(first) });
        rest = &rest[first.len_utf8()..];
    }
    pieces
}

fn write_entry(out: &mut String, key: &str, value: &Value, indent: usize) {
    if key.len() > SIMPLE_KEY || key.is_empty() {
        // An empty key needs its quotes; a long one a line of its own.
        if key.is_empty() {
            out.push_str("\"\":");
        } else {
            out.push_str("? ");
            write_inline(out, key, Some(indent + 2));
            new_line(out, indent);
            out.push_str(": ");
            return write_value(out, value, indent + 2);
        }
    } else {
        write_inline(out, key, None);
        out.push(':');
    }
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            new_line(out, indent + 2);
            write_value(out, value, indent + 2);
        }
        // Lists stand at the key's own indent.
        Value::Array(items) if !items.is_empty() => {
            new_line(out, indent);
            write_value(out, value, indent);
        }
        _ => {
            out.push(' ');
            write_value(out, value, indent + 2);
        }
    }
}

fn new_line(out: &mut String, indent: usize) {
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Text of several lines that a literal block can hold.
fn fits_block(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || is_printable(c)) && !text.contains(" \n") && !text.ends_with(' ')
}

fn write_block(out: &mut String, text: &str, indent: usize) {
    let indent = indent.max(2);
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.strip_suffix('\n');
    match body {
        None => out.push('-'),
        Some(body) if body.is_empty() || body.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for line in body.unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str(line);
        }
    }
    out.push('\n');
}

/// Writes text with or without quotes; with an indent for folded lines, or, as a key, on one line.
fn write_inline(out: &mut String, text: &str, fold: Option<usize>) {
    if text.contains('\n') || is_ambiguous(text) || !text.chars().all(is_printable) {
        return write_double_quoted(out, text, fold);
    }
    if is_plain(text) {
        write_folded(out, text, fold);
    } else {
        out.push('\'');
        write_folded(out, &text.replace('\'', "''"), fold);
        out.push('\'');
    }
}

/// Writes text of one line; a space with no other beside it may become a line break.
fn write_folded(out: &mut String, text: &str, fold: Option<usize>) {
    let mut column = column(out);
    let mut after_space = true;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next_is_word = chars.peek().is_some_and(|next| *next != ' ');
        match fold {
            Some(indent) if c == ' ' && column > FOLD && !after_space && next_is_word => {
                new_line(out, indent);
                column = indent;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
        after_space = c == ' ';
    }
}

/// How many characters the last line has so far.
fn column(out: &str) -> usize {
    out[out.rfind('\n').map_or(0, |at| at + 1)..].chars().count()
}

/// Whether a printable text of one line can stand without quotes.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let blank_follows = matches!(bytes.get(1), None | Some(b' '));
    let begins_well = match first {
        b' ' | b'#' | b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"'
        | b'%' | b'@' | b'`' => false,
        b'?' | b':' | b'-' => !blank_follows,
        _ => true,
    };
    begins_well
        && !matches!(last, b' ' | b':')
        && !text.starts_with("---")
        && !text.starts_with("...")
        && text != "<<"
        && !text.contains(": ")
        && !text.contains(" #")
}

fn write_double_quoted(out: &mut String, text: &str, fold: Option<usize>) {
    let mut column = column(out) + 1;
    let mut after_space = true;
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (fold, chars.peek()) {
            (Some(indent), Some(next)) if c == ' ' && column > FOLD && !after_space => {
                new_line(out, indent);
                column = indent;
                // A space that begins a line would be lost without a backslash.
                if *next == ' ' {
                    out.push('\\');
                    column += 1;
                }
            }
            _ => {
                let before = out.len();
                write_escaped(out, c);
                column += out[before..].chars().count();
            }
        }
        after_space = c == ' ';
    }
    out.push('"');
}

fn write_escaped(out: &mut String, c: char) {
    let escape = match c {
        '"' | '\\' => c,
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        _ if is_printable(c) => return out.push(c),
        _ => {
            let code = u32::from(c);
            // Writing to a string does not fail.
            let _ = match code {
                0..=0xFF => write!(out, "\\x{code:02X}"),
                0x100..=0xFFFF => write!(out, "\\u{code:04X}"),
                _ => write!(out, "\\U{code:08X}"),
            };
            return;
        }
    };
    out.push('\\');
    out.push(escape);
}

/// What upstream's writer shows as it is: neither control characters nor what lies beyond the first plane.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}
