//! Validates a value by its schema, with upstream's messages and paths.
//!
//! Invariant: a value that is as it was is not refused for what was wrong with it before.

use serde_json::{Map, Number, Value};

use super::{Additional, ListType, Schema, formats, lists};
use crate::api::error::{FieldError, FieldErrors, Problem};

/// Collects what is wrong with a value. `base` is the path of the value, empty for an object itself; `old` is what it was
/// before, in a change.
pub fn validate(value: &Value, old: Option<&Value>, schema: &Schema, base: &str, errors: &mut FieldErrors) {
    let mut walk = Walk { base, path: String::new() };
    let found = walk.node(value, old, schema);
    for error in found.errors {
        errors.add(error);
    }
}

/// What one node gave: its errors, and how many checks there were, by which the nearest alternative is chosen.
#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Found {
    fn take(&mut self, other: Found) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }
}

struct Walk<'b> {
    base: &'b str,
    /// The path below the base.
    path: String,
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_whole(number: &Number) -> bool {
    number.as_f64().is_none_or(|value| value.fract() == 0.0 && value.abs() < 9.007_199_254_740_992e15)
}

impl Walk<'_> {
    fn field(&self) -> String {
        let path = self.path.trim_start_matches('.');
        match (self.base.is_empty(), path.is_empty()) {
            (true, true) => "<nil>".to_owned(),
            (true, false) => path.to_owned(),
            (false, true) => self.base.to_owned(),
            (false, false) => format!("{}.{path}", self.base),
        }
    }

    fn error(&self, problem: Problem, value: Value, detail: String) -> FieldError {
        FieldError { problem, field: self.field(), value, detail }
    }

    fn invalid(&self, value: Value, what: &str) -> FieldError {
        self.error(Problem::Invalid, value, format!("{} in body {what}", self.path))
    }

    /// An error about the whole: upstream tells it at the base.
    fn whole(&self, what: String) -> FieldError {
        let field = if self.base.is_empty() { "<nil>".to_owned() } else { self.base.to_owned() };
        FieldError { problem: Problem::Invalid, field, value: Value::String(String::new()), detail: what }
    }

    fn within<T>(&mut self, step: &str, call: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let result = call(self);
        self.path.truncate(length);
        result
    }

    /// A node with its past: errors of what has not changed are forgiven.
    fn node(&mut self, value: &Value, old: Option<&Value>, schema: &Schema) -> Found {
        let mut found = self.check(value, old, schema);
        if !found.errors.is_empty() && old.is_some_and(|old| old == value) {
            found.errors.clear();
        }
        found
    }

    fn check(&mut self, value: &Value, old: Option<&Value>, schema: &Schema) -> Found {
        let mut found = self.type_(value, schema);
        if value.is_null() {
            found.errors.extend(self.enumeration(value, schema));
            return found;
        }
        found.take(self.alternatives(value, old, schema));
        found.checks += 3;
        match value {
            Value::String(text) => {
                found.errors.extend(self.text(text, schema));
                found.checks += 1;
            }
            Value::Number(number) => {
                found.errors.extend(self.number(number, schema));
                found.checks += 1;
            }
            Value::Array(items) => found.take(self.array(items, old, schema)),
            _ => {}
        }
        found.errors.extend(self.enumeration(value, schema));
        if let Value::Object(fields) = value {
            found.take(self.object(fields, old, schema));
        }
        found
    }

    fn type_(&self, value: &Value, schema: &Schema) -> Found {
        let types = if schema.int_or_string { "integer,string" } else { schema.type_.as_str() };
        let mut found = Found { errors: Vec::new(), checks: 1 };
        let kind = kind_of(value);
        if types.is_empty() {
            return found;
        }
        let fits = match value {
            Value::Null => schema.nullable,
            // A text or list of a formatted text is left to its format.
            Value::String(_) | Value::Array(_) if schema.type_ == "string" && !schema.format.is_empty() => {
                true
            }
            Value::Number(number) => {
                types.split(',').any(|t| t == kind || t == "number" || t == "integer" && is_whole(number))
            }
            _ => types.split(',').any(|t| t == kind),
        };
        if !fits {
            let wanted = match value {
                Value::Null | Value::String(_) | Value::Array(_) => types,
                _ if !schema.format.is_empty() => schema.format.as_str(),
                _ => types,
            };
            let detail = format!("{} in body must be of type {wanted}: \"{kind}\"", self.path);
            found.errors.push(self.error(Problem::TypeInvalid, kind.into(), detail));
            found.checks = 0;
        }
        found
    }

    fn enumeration(&self, value: &Value, schema: &Schema) -> Option<FieldError> {
        let allowed = schema.enumeration.as_ref()?;
        let same = |known: &Value| match (known, value) {
            (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
            (a, b) => a == b && !b.is_null(),
        };
        if allowed.is_empty() || allowed.iter().any(same) {
            return None;
        }
        let text = |known: &Value| match known {
            Value::String(text) => format!("\"{text}\""),
            other => format!("\"{}\"", other.to_string().replace('"', "\\\"")),
        };
        let list: Vec<String> = allowed.iter().map(text).collect();
        let detail = format!("supported values: {}", list.join(", "));
        Some(self.error(Problem::NotSupported, value.clone(), detail))
    }

    fn text(&self, text: &str, schema: &Schema) -> Option<FieldError> {
        let value = || Value::String(text.to_owned());
        let length = || text.chars().count() as i64;
        if let Some(most) = schema.max_length.filter(|most| length() > *most) {
            let detail = format!("may not be more than {most} bytes");
            return Some(self.error(Problem::TooLong, Value::Null, detail));
        }
        if let Some(least) = schema.min_length.filter(|least| length() < *least) {
            return Some(self.invalid(value(), &format!("should be at least {least} chars long")));
        }
        if let Some(pattern) = &schema.pattern {
            match &pattern.expression {
                Ok(expression) if expression.is_match(text) => {}
                Ok(_) => return Some(self.invalid(value(), &format!("should match '{}'", pattern.text))),
                Err(cause) => {
                    let what = format!("should match '{}, but pattern is invalid: {cause}'", pattern.text);
                    return Some(self.invalid(value(), &what));
                }
            }
        }
        if !schema.format.is_empty() && !formats::is(&schema.format, text) {
            let shown = value();
            let detail = format!("{} in body must be of type {}: {shown}", self.path, schema.format);
            return Some(self.error(Problem::TypeInvalid, shown, detail));
        }
        None
    }

    fn number(&self, number: &Number, schema: &Schema) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let value = number.as_f64().unwrap_or_default();
        let shown = || Value::Number(number.clone());
        let in_range = match (schema.type_.as_str(), schema.format.as_str()) {
            ("integer", "int32") => value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX),
            ("integer", _) => number.is_i64() || number.is_f64() && value.abs() < 9.3e18,
            ("number", "float") => value.abs() <= f64::from(f32::MAX),
            _ => true,
        };
        if !in_range {
            let kind = match schema.format.is_empty() {
                true => format!("{} (default format)", schema.type_),
                false => format!("{} with format {}", schema.type_, schema.format),
            };
            errors.push(self.whole(format!("Checked value must be of type {kind} in {}", self.path)));
        }
        if let Some(factor) = schema.multiple_of {
            let times = if factor < 1.0 { 1.0 / factor * value } else { value / factor };
            let whole = (times - times.round()).abs() < 1e-9 * times.abs().max(1.0);
            if factor <= 0.0 {
                errors.push(self.whole(format!(
                    "factor MultipleOf declared for {} must be positive: {factor}",
                    self.path
                )));
            } else if !whole {
                errors.push(self.invalid(shown(), &format!("should be a multiple of {factor}")));
            }
        }
        if let Some((most, exclusive)) = schema.maximum
            && (value > most || exclusive && value >= most)
        {
            let words = if exclusive { "less than" } else { "less than or equal to" };
            errors.push(self.invalid(shown(), &format!("should be {words} {most}")));
        }
        if let Some((least, exclusive)) = schema.minimum
            && (value < least || exclusive && value <= least)
        {
            let words = if exclusive { "greater than" } else { "greater than or equal to" };
            errors.push(self.invalid(shown(), &format!("should be {words} {least}")));
        }
        errors
    }

    fn too_many(&self, actual: i64, most: i64) -> FieldError {
        let detail = format!("{actual}: must have at most {most} items");
        self.error(Problem::TooMany, Value::Null, detail)
    }

    fn array(&mut self, items: &[Value], old: Option<&Value>, schema: &Schema) -> Found {
        let mut found = Found { errors: Vec::new(), checks: 1 };
        if let Some(inner) = schema.items.as_deref() {
            for (at, item) in items.iter().enumerate() {
                let before = old.and_then(Value::as_array).and_then(|old| match schema.list_type {
                    Some(ListType::Map) => {
                        let key = lists::key_of(item, schema);
                        old.iter().find(|before| lists::key_of(before, schema) == key)
                    }
                    Some(ListType::Set) => old.iter().find(|before| *before == item),
                    _ => None,
                });
                let below = self.within(&format!("[{at}]"), |walk| walk.node(item, before, inner));
                found.take(below);
            }
        }
        let size = items.len() as i64;
        if let Some(least) = schema.min_items.filter(|least| size < *least) {
            found.errors.push(self.invalid(size.into(), &format!("should have at least {least} items")));
        }
        if let Some(most) = schema.max_items.filter(|most| size > *most) {
            found.errors.push(self.too_many(size, most));
        }
        found
    }

    fn object(&mut self, fields: &Map<String, Value>, old: Option<&Value>, schema: &Schema) -> Found {
        let mut found = Found::default();
        let size = fields.len() as i64;
        if let Some(least) = schema.min_properties.filter(|least| size < *least) {
            found.errors.push(self.invalid(size.into(), &format!("should have at least {least} properties")));
        }
        if let Some(most) = schema.max_properties.filter(|most| size > *most) {
            found.errors.push(self.too_many(size, most));
        }
        for (name, value) in fields {
            let root_type = self.path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind");
            let before = old.filter(|_| !root_type).and_then(|old| old.get(name));
            match (schema.properties.get(name), &schema.additional) {
                (Some(property), _) => {
                    let step = if self.path.is_empty() { name.clone() } else { format!(".{name}") };
                    let below = self.within(&step, |walk| walk.node(value, before, property));
                    found.take(below);
                }
                (None, Some(Additional::Schema(additional))) => {
                    let below = self.within(&format!(".{name}"), |walk| walk.node(value, before, additional));
                    found.take(below);
                }
                (None, Some(Additional::Any(false))) => {
                    let detail = format!("{}.{name} in body is a forbidden property", self.path);
                    found.errors.push(self.error(Problem::Invalid, name.as_str().into(), detail));
                }
                (None, _) => {}
            }
        }
        for name in schema.required.iter().filter(|name| !fields.contains_key(*name)) {
            let error = self.within(&format!(".{name}"), |walk| {
                walk.error(Problem::Required, Value::Null, String::new())
            });
            found.errors.push(error);
        }
        found
    }

    /// `anyOf`, `oneOf`, `allOf` and `not`.
    fn alternatives(&mut self, value: &Value, old: Option<&Value>, schema: &Schema) -> Found {
        let mut found = Found::default();
        let quoted = format!("\"{}\"", self.path);
        let int_or_string = schema.int_or_string && schema.any_of.iter().all(|any| !any.type_.is_empty());
        if !schema.any_of.is_empty() && !int_or_string {
            let (valid, nearest) = self.nearest(&schema.any_of, value, old, true);
            if valid == 0 {
                found.errors.push(self.whole(format!("{quoted} must validate at least one schema (anyOf)")));
            }
            found.take(nearest);
        }
        if !schema.one_of.is_empty() {
            let (valid, nearest) = self.nearest(&schema.one_of, value, old, false);
            if valid != 1 {
                let more = match valid {
                    0 => "Found none valid".to_owned(),
                    valid => format!("Found {valid} valid alternatives"),
                };
                let what = format!("{quoted} must validate one and only one schema (oneOf). {more}");
                found.errors.push(self.whole(what));
            }
            found.take(nearest);
        }
        if !schema.all_of.is_empty() {
            let mut valid = 0;
            for part in &schema.all_of {
                let result = self.check(value, old, part);
                valid += usize::from(result.errors.is_empty());
                found.take(result);
            }
            if valid != schema.all_of.len() {
                let more = if valid == 0 { ". None validated" } else { "" };
                found
                    .errors
                    .push(self.whole(format!("{quoted} must validate all the schemas (allOf){more}")));
            }
        }
        if let Some(not) = &schema.not
            && self.check(value, old, not).errors.is_empty()
        {
            found.errors.push(self.whole(format!("{quoted} must not validate the schema (not)")));
        }
        found
    }

    /// How many of the schemas hold, and what the first that holds gave, or else the one that came nearest.
    fn nearest(
        &mut self,
        schemas: &[Schema],
        value: &Value,
        old: Option<&Value>,
        first_ends: bool,
    ) -> (usize, Found) {
        let (mut valid, mut best) = (0, None::<Found>);
        for schema in schemas {
            let result = self.check(value, old, schema);
            if result.errors.is_empty() {
                valid += 1;
                if valid == 1 {
                    best = Some(result);
                }
                if first_ends {
                    break;
                }
            } else if valid == 0 && best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        (valid, best.unwrap_or_default())
    }
}
