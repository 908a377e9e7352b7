//! Finds the function that a call means. Each library is a file of its own; the conversions stand here.

use std::rc::Rc;

use super::eval::{Eval, Fault, error};
use super::value::Val;
use super::{lists, net, strings, time};

/// Whether a name opens a library, as in `sets.contains(…)`.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "strings" | "sets" | "ip" | "cidr" | "format" | "optional" | "lists")
}

/// A function of a library that is called by its name: `sets.contains(a, b)`.
pub(super) fn namespaced<'a>(
    eval: &mut Eval<'_>,
    space: &str,
    name: &str,
    args: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    match (space, name, args) {
        ("sets", ..) => lists::sets(eval.meter, name, args),
        ("lists", "range", [Val::Int(count)]) => lists::range(eval.meter, *count),
        ("strings", "quote", [Val::Text(text)]) => {
            eval.meter.text(text.len() as u64, 1)?;
            Ok(Val::text(&strings::quote(text)))
        }
        ("ip", "isCanonical", [Val::Text(text)]) => {
            eval.meter.text(text.len() as u64, 2)?;
            net::is_canonical(text)
        }
        ("format", "named", [Val::Text(name)]) => {
            eval.meter.charge(1)?;
            Ok(Val::Optional(net::format(name).map(|name| Rc::new(Val::Format(name)))))
        }
        ("format", name, []) => {
            eval.meter.charge(1)?;
            net::format(name).map(Val::Format).ok_or(Fault::Overload)
        }
        ("optional", "of", [value]) => {
            eval.meter.charge(1)?;
            Ok(Val::some(value.clone()))
        }
        ("optional", "none", []) => {
            eval.meter.charge(1)?;
            Ok(Val::Optional(None))
        }
        ("optional", "ofNonZeroValue", [value]) => {
            eval.meter.charge(1)?;
            Ok(if is_zero(value) { Val::Optional(None) } else { Val::some(value.clone()) })
        }
        _ => Err(Fault::Overload),
    }
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Optional(None) => true,
        Val::Bool(value) => !value,
        Val::Int(value) => *value == 0,
        Val::Uint(value) => *value == 0,
        Val::Double(value) => *value == 0.0,
        Val::Duration(value) => *value == 0,
        Val::Text(_) | Val::Bytes(_) | Val::List(_) | Val::Items(..) | Val::Map(_) | Val::Fields(..) => {
            value.size() == 0
        }
        _ => false,
    }
}

/// A function that is called on a value: `text.size()`.
pub(super) fn member<'a>(
    eval: &mut Eval<'_>,
    name: &str,
    target: &Val<'a>,
    args: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    if name == "size" && args.is_empty() {
        eval.meter.charge(1)?;
        return size(target);
    }
    match target {
        Val::Text(text) => strings::call(eval, name, text, args),
        Val::Optional(inner) => optional(eval, name, inner.as_deref(), args),
        Val::List(_) | Val::Items(..) => lists::call(eval.meter, name, target, args),
        Val::Timestamp(at) => {
            eval.meter.charge(1)?;
            let zone = match args {
                [] => None,
                [Val::Text(zone)] => Some(&**zone),
                _ => return Err(Fault::Overload),
            };
            time::part(*at, name, zone).map(Val::Int).ok_or(Fault::Overload)
        }
        Val::Duration(nanos) => {
            eval.meter.charge(1)?;
            Ok(Val::Int(match name {
                "getHours" => nanos / 3_600_000_000_000,
                "getMinutes" => nanos / 60_000_000_000,
                "getSeconds" => nanos / 1_000_000_000,
                "getMilliseconds" => nanos / 1_000_000,
                _ => return Err(Fault::Overload),
            }))
        }
        _ => net::call(eval.meter, name, target, args),
    }
}

fn optional<'a>(
    eval: &mut Eval<'_>,
    name: &str,
    inner: Option<&Val<'a>>,
    args: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    eval.meter.charge(1)?;
    match (name, args) {
        ("hasValue", []) => Ok(Val::Bool(inner.is_some())),
        ("value", []) => match inner {
            Some(value) => Ok(value.clone()),
            None => error("optional.none() dereference"),
        },
        ("orValue", [other]) => Ok(inner.unwrap_or(other).clone()),
        ("or", [other @ Val::Optional(_)]) => {
            Ok(inner.map_or_else(|| other.clone(), |value| Val::some(value.clone())))
        }
        _ => Err(Fault::Overload),
    }
}

fn size<'a>(value: &Val<'a>) -> Result<Val<'a>, Fault> {
    let count = match value {
        Val::Text(text) => text.chars().count(),
        Val::Bytes(bytes) => bytes.len(),
        Val::List(_) | Val::Items(..) | Val::Map(_) | Val::Fields(..) => value.size() as usize,
        _ => return Err(Fault::Overload),
    };
    Ok(Val::Int(count as i64))
}

/// A function that stands alone: `size(text)`, `int(text)`, `quantity(text)`.
pub(super) fn global<'a>(eval: &mut Eval<'_>, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    match (name, args) {
        ("size", [value]) => {
            eval.meter.charge(1)?;
            size(value)
        }
        ("dyn", [value]) => Ok(value.clone()),
        ("type", [value]) => {
            eval.meter.charge(1)?;
            Ok(Val::Type(value.type_name()))
        }
        ("matches", [Val::Text(text), pattern]) => {
            strings::call(eval, "matches", text, std::slice::from_ref(pattern))
        }
        ("int" | "uint" | "double" | "string" | "bytes" | "bool" | "duration" | "timestamp", [value]) => {
            eval.meter.text(value.size(), 1)?;
            convert(name, value)
        }
        _ => net::make(eval.meter, name, args),
    }
}

fn convert<'a>(to: &str, value: &Val<'a>) -> Result<Val<'a>, Fault> {
    const RANGE: &str = "integer overflow";
    let bad = |value: &str| {
        error(format!("type conversion error from 'string' to '{to}': {}", strings::quote(value)))
    };
    Ok(match (to, value) {
        ("int", Val::Int(v)) => Val::Int(*v),
        ("int", Val::Uint(v)) => Val::Int(super::operators::fits(i64::try_from(*v).ok(), RANGE)?),
        ("int", Val::Double(v)) if v.abs() < 9.223_372_036_854_775e18 => Val::Int(*v as i64),
        ("int", Val::Double(_)) => return error(RANGE),
        ("int", Val::Timestamp(at)) => Val::Int(at.as_second()),
        ("int", Val::Duration(nanos)) => Val::Int(*nanos),
        ("int", Val::Text(text)) => match text.parse() {
            Ok(v) => Val::Int(v),
            Err(_) => return bad(text),
        },
        ("uint", Val::Uint(v)) => Val::Uint(*v),
        ("uint", Val::Int(v)) => {
            Val::Uint(super::operators::fits(u64::try_from(*v).ok(), "unsigned integer overflow")?)
        }
        ("uint", Val::Double(v)) if *v >= 0.0 && *v < 1.8e19 => Val::Uint(*v as u64),
        ("uint", Val::Double(_)) => return error("unsigned integer overflow"),
        ("uint", Val::Text(text)) => match text.parse() {
            Ok(v) => Val::Uint(v),
            Err(_) => return bad(text),
        },
        ("double", Val::Double(v)) => Val::Double(*v),
        ("double", Val::Int(v)) => Val::Double(*v as f64),
        ("double", Val::Uint(v)) => Val::Double(*v as f64),
        ("double", Val::Text(text)) => match text.parse() {
            Ok(v) => Val::Double(v),
            Err(_) => return bad(text),
        },
        ("bool", Val::Bool(v)) => Val::Bool(*v),
        ("bool", Val::Text(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Val::Bool(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Val::Bool(false),
            other => return bad(other),
        },
        ("bytes", Val::Bytes(_)) => value.clone(),
        ("bytes", Val::Text(text)) => Val::Bytes(Rc::from(text.as_bytes())),
        ("duration", Val::Duration(v)) => Val::Duration(*v),
        ("duration", Val::Text(text)) => match time::parse_duration(text) {
            Some(v) => Val::Duration(v),
            None => return bad(text),
        },
        ("timestamp", Val::Timestamp(v)) => Val::Timestamp(*v),
        ("timestamp", Val::Int(v)) => Val::Timestamp(super::operators::fits(
            jiff::Timestamp::from_second(*v).ok(),
            "timestamp overflow",
        )?),
        ("timestamp", Val::Text(text)) => match time::parse_timestamp(text).filter(|_| text.len() > 10) {
            Some(v) => Val::Timestamp(v),
            None => return bad(text),
        },
        ("string", value) => match strings::to_text(value) {
            Some(text) => Val::text(&text),
            None => return Err(Fault::Overload),
        },
        _ => return Err(Fault::Overload),
    })
}
