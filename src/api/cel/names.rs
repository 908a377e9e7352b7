//! How the names of fields are written in expressions, where they are no identifiers.
//!
//! Invariant: `unescape(escape(name)) == name`.

const RESERVED: [&str; 18] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
];

/// The name as an expression writes it; `None` if it cannot be written.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/')) {
        return None;
    }
    let escaped = name.replace("__", "__underscores__").replace('.', "__dot__");
    Some(escaped.replace('-', "__dash__").replace('/', "__slash__"))
}

/// The name that an expression means; `None` if it is escaped wrongly.
pub fn unescape(written: &str) -> Option<String> {
    if !written.contains("__") {
        return Some(written.to_owned());
    }
    let (mut name, mut rest) = (String::new(), written);
    while let Some(at) = rest.find("__") {
        let after = &rest[at + 2..];
        let length = after.find('_').filter(|length| *length > 0 && after[*length..].starts_with("__"));
        let length = length?;
        name.push_str(&rest[..at]);
        match &after[..length] {
            "underscores" => name.push_str("__"),
            "dot" => name.push('.'),
            "dash" => name.push('-'),
            "slash" => name.push('/'),
            word if RESERVED.contains(&word) && length + 4 == written.len() => name.push_str(word),
            _ => return None,
        }
        rest = &after[length + 2..];
    }
    name.push_str(rest);
    Some(name)
}
