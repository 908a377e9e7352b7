//! Selectors over fields: `metadata.name=web,status.phase!=Running`.
//!
//! Owns their text and its escapes. Knows no field: a term on a field that a kind does not offer is refused by
//! whoever knows the kind, with the help of [`FieldSelector::terms`].
//!
//! Invariant: a field that is not there counts as empty.

use std::fmt;

use super::SelectorError;
use crate::limits::SELECTOR_BYTES;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldTerm {
    /// The field's path, as the kind names it.
    pub field: String,
    /// The value, without escapes.
    pub value: String,
    /// Whether the field must have the value, or must not.
    pub equals: bool,
}

/// A field selector: all of its terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Selects every object.
    pub fn everything() -> FieldSelector {
        FieldSelector::default()
    }

    /// Selects the objects whose field has this value.
    pub fn equal(field: impl Into<String>, value: impl Into<String>) -> FieldSelector {
        FieldSelector { terms: vec![FieldTerm { field: field.into(), value: value.into(), equals: true }] }
    }

    /// Reads a text: terms with `=`, `==` or `!=`, and `\` before each `\`, `,` and `=` of a value.
    pub fn parse(text: &str) -> Result<FieldSelector, SelectorError> {
        if text.len() > SELECTOR_BYTES {
            return Err(SelectorError::Long);
        }
        let mut parts = split(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let Some((field, equals, value)) = split_term(part) else {
                return Err(SelectorError::Term { selector: text.to_owned(), term: part.to_owned() });
            };
            let value = unescape(value)?;
            if !field.is_empty() || !value.is_empty() {
                terms.push(FieldTerm { field: field.to_owned(), value, equals });
            }
        }
        Ok(FieldSelector { terms })
    }

    /// The terms, in the order of their text.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Whether it restricts nothing.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The fields that must have exactly this value: what an index can answer.
    pub fn exact(&self) -> impl Iterator<Item = (&str, &str)> {
        self.terms.iter().filter(|term| term.equals).map(|term| (term.field.as_str(), term.value.as_str()))
    }

    /// The value that this field must have, if one is asked for.
    pub fn exact_value(&self, field: &str) -> Option<&str> {
        self.exact().find(|(known, _)| *known == field).map(|(_, value)| value)
    }

    /// Whether it selects an object with these fields.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.terms.iter().all(|term| (field(&term.field).unwrap_or_default() == term.value) == term.equals)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let operator = if term.equals { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}", term.field)?;
            for c in term.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// The terms between the commas that no backslash stands before.
fn split(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let at_comma = |c: char| {
        let bare = !escaped && c == ',';
        escaped = !escaped && c == '\\';
        bare
    };
    text.split(at_comma).collect()
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at =
        term.char_indices().find(|(at, _)| term[*at..].starts_with("!=") || term[*at..].starts_with('='))?.0;
    let (field, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, false, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, true, value))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => plain.push(next),
                Some(next) => return Err(SelectorError::Escape(format!("\\{next}"))),
                None => return Err(SelectorError::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(SelectorError::Unescaped(c)),
            _ => plain.push(c),
        }
    }
    Ok(plain)
}
