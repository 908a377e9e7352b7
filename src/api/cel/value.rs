//! The values that an expression works on: views of an object's JSON as its schema sees it, and what the expression
//! makes itself.
//!
//! Owns conversion from JSON, equality and order. Invariant: a view costs nothing until it is looked into, and
//! nothing that a schema does not specify can be seen through it.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::eval::{Fault, Meter};
use super::names::unescape;
use super::time::{parse_duration, parse_timestamp};
use super::url::Url;
use crate::api::quantity::Amount;
use crate::api::schema::{Additional, ListType, Schema, lists::key_of};

/// A named format of the format library.
pub type FormatName = &'static str;

/// A version by the rules of semver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Semver {
    /// Major, minor, patch.
    pub numbers: [u64; 3],
    /// What stands after `-`, in parts.
    pub pre: Vec<String>,
}

/// A network: its address, without bits behind the prefix or with, and the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address as it was given.
    pub address: IpAddr,
    /// The prefix.
    pub prefix: u8,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Val<'a> {
    /// `null`
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without sign.
    Uint(u64),
    /// A number.
    Double(f64),
    /// Text.
    Text(Rc<str>),
    /// Bytes.
    Bytes(Rc<[u8]>),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A moment.
    Timestamp(Timestamp),
    /// A list that the expression made.
    List(Rc<Vec<Val<'a>>>),
    /// A map that the expression made, in the order of insertion.
    Map(Rc<Vec<(Val<'a>, Val<'a>)>>),
    /// A list of the object.
    Items(&'a [Value], Option<&'a Schema>),
    /// A map or object of the object.
    Fields(&'a Map<String, Value>, View<'a>),
    /// Something or nothing.
    Optional(Option<Rc<Val<'a>>>),
    /// The name of a type.
    Type(&'static str),
    /// A URL.
    Url(Rc<Url>),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Cidr(Cidr),
    /// A quantity.
    Quantity(Amount),
    /// A format.
    Format(FormatName),
    /// A version.
    Semver(Rc<Semver>),
}

/// How an object's fields are seen.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    /// As they are.
    Plain,
    /// By a schema.
    Of(&'a Schema),
    /// By the schema of a whole resource: apiVersion, kind and the name in its metadata can be seen too.
    Root(&'a Schema),
    /// The metadata of a resource: the name alone.
    Meta,
}

impl<'a> Val<'a> {
    /// Text.
    pub fn text(text: &str) -> Val<'a> {
        Val::Text(Rc::from(text))
    }

    /// A list.
    pub fn list(items: Vec<Val<'a>>) -> Val<'a> {
        Val::List(Rc::new(items))
    }

    /// Something.
    pub fn some(value: Val<'a>) -> Val<'a> {
        Val::Optional(Some(Rc::new(value)))
    }

    /// A value of an object, as the schema sees it. What has no schema is seen as it is.
    pub fn of(value: &'a Value, schema: Option<&'a Schema>) -> Val<'a> {
        match value {
            Value::Null => Val::Null,
            Value::Bool(b) => Val::Bool(*b),
            Value::Number(number) => {
                let double = schema.is_some_and(|schema| schema.type_ == "number" && !schema.int_or_string);
                match number.as_i64() {
                    Some(int) if !double => Val::Int(int),
                    _ => Val::Double(number.as_f64().unwrap_or_default()),
                }
            }
            Value::String(text) => of_text(text, schema),
            Value::Array(items) => Val::Items(items, schema),
            Value::Object(fields) => match schema {
                Some(schema) if schema.embedded => Val::Fields(fields, View::Root(schema)),
                Some(schema) => Val::Fields(fields, View::Of(schema)),
                None => Val::Fields(fields, View::Plain),
            },
        }
    }

    /// The name of its type, as errors give it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null_type",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Uint(_) => "uint",
            Val::Double(_) => "double",
            Val::Text(_) => "string",
            Val::Bytes(_) => "bytes",
            Val::Duration(_) => "google.protobuf.Duration",
            Val::Timestamp(_) => "google.protobuf.Timestamp",
            Val::List(_) | Val::Items(..) => "list",
            Val::Map(_) | Val::Fields(..) => "map",
            Val::Optional(_) => "optional_type",
            Val::Type(_) => "type",
            Val::Url(_) => "kubernetes.URL",
            Val::Ip(_) => "net.IP",
            Val::Cidr(_) => "net.CIDR",
            Val::Quantity(_) => "kubernetes.Quantity",
            Val::Format(_) => "kubernetes.NamedFormat",
            Val::Semver(_) => "kubernetes.Semver",
        }
    }

    /// How large it is, as the meter counts: characters, items, or 1.
    pub fn size(&self) -> u64 {
        match self {
            Val::Text(text) => text.len() as u64,
            Val::Bytes(bytes) => bytes.len() as u64,
            Val::List(items) => items.len() as u64,
            Val::Items(items, _) => items.len() as u64,
            Val::Map(entries) => entries.len() as u64,
            Val::Fields(..) => self.keys().len() as u64,
            Val::Optional(Some(value)) => value.size(),
            _ => 1,
        }
    }

    /// Its items, if it is a list.
    pub fn items(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Val::List(items) => Some((**items).clone()),
            Val::Items(items, schema) => {
                let inner = schema.and_then(|schema| schema.items.as_deref());
                Some(items.iter().map(|item| Val::of(item, inner)).collect())
            }
            _ => None,
        }
    }

    /// The names that can be seen in a map.
    pub fn keys(&self) -> Vec<Val<'a>> {
        match self {
            Val::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Val::Fields(fields, view) => {
                let seen = fields.keys().filter(|name| visible(name, *view).is_some());
                seen.map(|name| Val::text(name)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The field of this name: escaped for objects, as it is for maps.
    pub fn field(&self, name: &str) -> Option<Val<'a>> {
        match self {
            Val::Map(entries) => {
                let found = entries.iter().find(|(key, _)| matches!(key, Val::Text(text) if **text == *name));
                found.map(|(_, value)| value.clone())
            }
            Val::Fields(fields, view) => {
                let plain = match view {
                    View::Plain => true,
                    View::Of(schema) | View::Root(schema) => schema.properties.is_empty(),
                    View::Meta => false,
                };
                if plain && let Some(found) = see(fields, name, *view) {
                    return Some(found);
                }
                see(fields, &unescape(name)?, *view)
            }
            _ => None,
        }
    }

    /// The value of a key.
    pub fn at(&self, key: &Val<'a>) -> Option<Val<'a>> {
        match (self, key) {
            (Val::Fields(fields, view), Val::Text(name)) => see(fields, name, *view),
            (Val::Map(entries), key) => {
                entries.iter().find(|(known, _)| known.is_key(key)).map(|(_, value)| value.clone())
            }
            _ => None,
        }
    }

    /// How many items a list has; `None` for what is none.
    pub fn length(&self) -> Option<usize> {
        match self {
            Val::List(items) => Some(items.len()),
            Val::Items(items, _) => Some(items.len()),
            _ => None,
        }
    }

    /// One item of a list.
    pub fn item(&self, at: usize) -> Option<Val<'a>> {
        match self {
            Val::List(items) => items.get(at).cloned(),
            Val::Items(items, schema) => {
                let inner = schema.and_then(|schema| schema.items.as_deref());
                items.get(at).map(|item| Val::of(item, inner))
            }
            _ => None,
        }
    }

    /// Whether two keys of maps are the same.
    pub fn is_key(&self, other: &Val<'a>) -> bool {
        match (self, other) {
            (Val::Text(a), Val::Text(b)) => a == b,
            (a, b) => a.compare(b) == Some(Ordering::Equal),
        }
    }

    fn list_type(&self) -> ListType {
        match self {
            Val::Items(_, Some(schema)) => schema.list_type.unwrap_or_default(),
            _ => ListType::Atomic,
        }
    }

    /// Whether both are the same value. Lists that are sets or maps are the same in any order.
    pub fn equals(&self, other: &Val<'a>, meter: &mut Meter) -> Result<bool, Fault> {
        meter.work(1)?;
        Ok(match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Text(a), Val::Text(b)) => a == b,
            (Val::Bytes(a), Val::Bytes(b)) => a == b,
            (Val::Optional(a), Val::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => a.equals(b, meter)?,
                (None, None) => true,
                _ => false,
            },
            (Val::Type(a), Val::Type(b)) => a == b,
            (Val::Url(a), Val::Url(b)) => a.text == b.text,
            (Val::Ip(a), Val::Ip(b)) => a == b,
            (Val::Cidr(a), Val::Cidr(b)) => a == b,
            (Val::Quantity(a), Val::Quantity(b)) => a == b,
            (Val::Semver(a), Val::Semver(b)) => a == b,
            (Val::Format(a), Val::Format(b)) => a == b,
            (Val::List(_) | Val::Items(..), Val::List(_) | Val::Items(..)) => {
                self.equal_lists(other, meter)?
            }
            (Val::Map(_) | Val::Fields(..), Val::Map(_) | Val::Fields(..)) => {
                let keys = self.keys();
                meter.work(keys.len() as u64)?;
                if keys.len() != other.keys().len() {
                    return Ok(false);
                }
                for key in &keys {
                    match (self.at(key), other.at(key)) {
                        (Some(a), Some(b)) if a.equals(&b, meter)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => self.compare(other) == Some(Ordering::Equal),
        })
    }

    fn equal_lists(&self, other: &Val<'a>, meter: &mut Meter) -> Result<bool, Fault> {
        let length = self.length();
        if length != other.length() {
            return Ok(false);
        }
        let any_order = [self.list_type(), other.list_type()].iter().any(|t| *t != ListType::Atomic);
        for at in 0..length.unwrap_or(0) {
            let (Some(mine), Some(theirs)) = (self.item(at), other.item(at)) else { return Ok(false) };
            if !(mine.equals(&theirs, meter)? || any_order && other.has(&mine, meter)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a list has an item.
    pub fn has(&self, item: &Val<'a>, meter: &mut Meter) -> Result<bool, Fault> {
        for at in 0..self.length().unwrap_or(0) {
            if let Some(known) = self.item(at)
                && known.equals(item, meter)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The order of two values, where there is one.
    pub fn compare(&self, other: &Val<'a>) -> Option<Ordering> {
        match (self, other) {
            (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
            (Val::Uint(a), Val::Uint(b)) => Some(a.cmp(b)),
            (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
            (Val::Int(a), Val::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Val::Uint(a), Val::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Val::Int(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
            (Val::Double(a), Val::Int(b)) => a.partial_cmp(&(*b as f64)),
            (Val::Uint(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
            (Val::Double(a), Val::Uint(b)) => a.partial_cmp(&(*b as f64)),
            (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
            (Val::Bytes(a), Val::Bytes(b)) => Some(a.cmp(b)),
            (Val::Duration(a), Val::Duration(b)) => Some(a.cmp(b)),
            (Val::Timestamp(a), Val::Timestamp(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// What two lists are together: the union of sets, the merger of maps by their keys, and otherwise one after
    /// the other.
    pub fn joined(&self, other: &Val<'a>, meter: &mut Meter) -> Result<Option<Val<'a>>, Fault> {
        let (Some(mine), Some(theirs)) = (self.length(), other.length()) else { return Ok(None) };
        meter.charge((mine + theirs) as u64 / 2)?;
        let (Some(mut all), Some(more)) = (self.items(), other.items()) else { return Ok(None) };
        match (self.list_type(), self, other) {
            (ListType::Set, ..) => {
                for item in more {
                    if !self.has(&item, meter)? {
                        all.push(item);
                    }
                }
            }
            (ListType::Map, Val::Items(mine, Some(schema)), Val::Items(theirs, _)) => {
                let keys: Vec<Value> = mine.iter().map(|known| key_of(known, schema)).collect();
                for (item, raw) in more.into_iter().zip(*theirs) {
                    meter.work(keys.len() as u64)?;
                    let key = key_of(raw, schema);
                    match keys.iter().position(|known| *known == key) {
                        Some(at) => all[at] = item,
                        None => all.push(item),
                    }
                }
            }
            _ => all.extend(more),
        }
        Ok(Some(Val::list(all)))
    }
}

fn of_text<'a>(text: &'a str, schema: Option<&'a Schema>) -> Val<'a> {
    let typed = match schema.filter(|schema| schema.type_ == "string").map(|schema| schema.format.as_str()) {
        Some("byte") => super::strings::from_base64(text).map(|bytes| Val::Bytes(Rc::from(bytes))),
        Some("duration") => parse_duration(text).map(Val::Duration),
        Some("date" | "date-time" | "datetime") => parse_timestamp(text).map(Val::Timestamp),
        _ => None,
    };
    typed.unwrap_or_else(|| Val::text(text))
}

/// How a field is seen, if it is.
fn visible<'a>(name: &str, view: View<'a>) -> Option<Option<&'a Schema>> {
    match view {
        View::Plain => Some(None),
        View::Of(schema) => schema.field(name).map(Some).or(match schema.additional {
            Some(Additional::Any(true)) => Some(None),
            _ => None,
        }),
        View::Root(schema) => match name {
            "apiVersion" | "kind" | "metadata" => Some(None),
            name => schema.field(name).map(Some),
        },
        View::Meta => matches!(name, "name" | "generateName").then_some(None),
    }
}

fn see<'a>(fields: &'a Map<String, Value>, name: &str, view: View<'a>) -> Option<Val<'a>> {
    let schema = visible(name, view)?;
    let value = fields.get(name)?;
    match (view, value) {
        (View::Root(_), Value::Object(meta)) if name == "metadata" => Some(Val::Fields(meta, View::Meta)),
        _ => Some(Val::of(value, schema)),
    }
}
