//! Compares two stored bodies without decoding what is equal in both.
//!
//! Bodies are written by one writer, so equal parts are equal bytes: the fields of the outermost object are compared as
//! text, and only those that differ are decoded. Invariant: the answer is that of [`super::compare`].

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::{Comparison, compare, compare_field};
use crate::api::shape::Node;

/// What differs between two bodies.
///
/// Errors: a sentence where the items of a list cannot be told apart.
pub fn compare_bodies(node: Node<'_>, old: &[u8], new: &[u8]) -> Result<Comparison, String> {
    let (Some(before), Some(after)) = (fields_of(old), fields_of(new)) else {
        let read = |body: &[u8]| serde_json::from_slice::<Value>(body).map_err(|cause| cause.to_string());
        return compare(node, &read(old)?, &read(new)?);
    };
    let mut found = Comparison::default();
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names {
        let (before, after) = (before.get(name).copied(), after.get(name).copied());
        if before == after {
            continue;
        }
        let read = |text: Option<&[u8]>| text.map(serde_json::from_slice::<Value>).transpose();
        let (before, after) = (read(before), read(after));
        let (Ok(before), Ok(after)) = (before, after) else { return Err(format!("{name} cannot be read")) };
        found.join(compare_field(node, name, before, after)?);
    }
    Ok(found)
}

/// The fields of an object and the text of each; `None` where the text is not as our own writer writes it.
fn fields_of(text: &[u8]) -> Option<BTreeMap<&str, &[u8]>> {
    let mut fields = BTreeMap::new();
    let mut at = 1;
    if text.first() != Some(&b'{') || text.len() < 2 {
        return None;
    }
    if text[at] == b'}' {
        return (text.len() == 2).then_some(fields);
    }
    loop {
        let end = string_end(text, at)?;
        let name = std::str::from_utf8(&text[at + 1..end - 1]).ok()?;
        if name.contains('\\') || *text.get(end)? != b':' {
            return None;
        }
        let begin = end + 1;
        at = value_end(text, begin)?;
        fields.insert(name, &text[begin..at]);
        match text.get(at)? {
            b',' => at += 1,
            b'}' if at + 1 == text.len() => return Some(fields),
            _ => return None,
        }
    }
}

/// Where the string that begins at `at` ends.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the value that begins at `at` ends.
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}
