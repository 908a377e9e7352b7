//! JSON paths as printer columns write them: `.status.conditions[?(@.type=="Ready")].status`.
//!
//! Owns the part of the language that definitions use. Invariant: a path that cannot be read finds nothing.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    At(i64),
    All,
    /// Items whose field is, or is not, this text.
    Where(Vec<String>, bool, String),
}

/// A path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Path {
    steps: Vec<Step>,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Path, String> {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        let text = text.strip_prefix('$').unwrap_or(text);
        let (mut steps, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (inner, next) = brackets(after).ok_or("unterminated array")?;
                steps.push(bracket(inner)?);
                rest = next;
                continue;
            }
            let after = rest.strip_prefix('.').unwrap_or(rest);
            let (mut name, mut chars) = (String::new(), after.char_indices());
            let mut end = after.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => name.extend(chars.next().map(|(_, c)| c)),
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    c => name.push(c),
                }
            }
            match name.as_str() {
                "" if after.is_empty() && rest == "." => {}
                "" => return Err(format!("unrecognized character in action: {rest}")),
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Field(name)),
            }
            rest = &after[end..];
        }
        Ok(Path { steps })
    }

    /// The values that the path finds.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.take(value)).collect();
        }
        found
    }
}

/// What stands up to the bracket that closes, texts in quotes left whole, and what follows.
fn brackets(text: &str) -> Option<(&str, &str)> {
    let (mut quote, mut depth) = (None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> Option<&str> {
    let text = text.trim();
    let inner = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    inner('\'').or_else(|| inner('"'))
}

fn bracket(inner: &str) -> Result<Step, String> {
    if inner == "*" {
        return Ok(Step::All);
    }
    if let Some(name) = unquoted(inner) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        let (left, same, right) = match (filter.split_once("=="), filter.split_once("!=")) {
            (Some((left, right)), _) => (left, true, right),
            (_, Some((left, right))) => (left, false, right),
            _ => return Err(format!("unrecognized filter: {filter}")),
        };
        let path = left.trim().strip_prefix("@.").ok_or_else(|| format!("unrecognized filter: {filter}"))?;
        let wanted = unquoted(right).unwrap_or_else(|| right.trim()).to_owned();
        return Ok(Step::Where(path.split('.').map(str::to_owned).collect(), same, wanted));
    }
    inner.parse().map(Step::At).map_err(|_| format!("invalid array index {inner}"))
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Step {
    fn take<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Step::Field(name), Value::Object(fields)) => fields.get(name).into_iter().collect(),
            (Step::At(at), Value::Array(items)) => {
                let at = if *at < 0 { items.len() as i64 + at } else { *at };
                usize::try_from(at).ok().and_then(|at| items.get(at)).into_iter().collect()
            }
            (Step::All, Value::Array(items)) => items.iter().collect(),
            (Step::All, Value::Object(fields)) => fields.values().collect(),
            (Step::Where(path, same, wanted), Value::Array(items)) => {
                let holds = |item: &&Value| {
                    let found = path.iter().try_fold(*item, |value, name| value.get(name));
                    found.is_some_and(|found| (as_text(found) == *wanted) == *same)
                };
                items.iter().filter(holds).collect()
            }
            _ => Vec::new(),
        }
    }
}
