//! Reads JSON and notes the fields that are in it twice, in one pass.
//!
//! Owns nothing but that. Of fields that are there twice the last counts, as upstream reads them. Nesting is
//! bounded by the parser.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::limits::STRICT_ERRORS;

/// A value, and `duplicate field "spec.replicas"` for each field that is there twice.
///
/// # Errors
/// In the words of upstream where they are the same for every parser.
pub fn read_json(body: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut doubled = Vec::new();
    let mut source = serde_json::Deserializer::from_slice(body);
    let value =
        Seed { doubled: &mut doubled }.deserialize(&mut source).map_err(|error| words(&error, body))?;
    source.end().map_err(|error| words(&error, body))?;
    doubled.truncate(STRICT_ERRORS);
    let mut fields: Vec<String> = Vec::new();
    for steps in doubled {
        let field = format!("duplicate field {:?}", path(&steps));
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Ok((value, fields))
}

/// What is wrong, in upstream's words where every parser means the same.
fn words(error: &serde_json::Error, body: &[u8]) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    match body.trim_ascii_start().first() {
        Some(byte) if !b"{[\"-tfn0123456789".contains(byte) => {
            format!("invalid character {:?} looking for beginning of value", char::from(*byte))
        }
        _ => error.to_string(),
    }
}

enum Step {
    Field(String),
    Index(usize),
}

/// The way to a field, from its end to the object: steps are added on the way out, so a body without doubled
/// fields costs nothing.
type Way = Vec<Step>;

fn path(steps: &Way) -> String {
    let mut text = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Index(at) => text.push_str(&format!("[{at}]")),
        }
    }
    text
}

struct Seed<'a> {
    doubled: &'a mut Vec<Way>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let before = self.doubled.len();
            let Some(item) = items.next_element_seed(Seed { doubled: self.doubled })? else { break };
            for way in &mut self.doubled[before..] {
                way.push(Step::Index(list.len()));
            }
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let before = self.doubled.len();
            let value = entries.next_value_seed(Seed { doubled: self.doubled })?;
            for way in &mut self.doubled[before..] {
                way.push(Step::Field(name.clone()));
            }
            if fields.contains_key(&name) && self.doubled.len() <= STRICT_ERRORS {
                self.doubled.push(vec![Step::Field(name.clone())]);
            }
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}
