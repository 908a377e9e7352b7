//! The operators of expressions: arithmetic, comparison, selection.
//!
//! Invariant: a number that does not fit is an error, never another number.

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::operators;
use jiff::SignedDuration;

use super::eval::{Fault, Meter, error};
use super::value::Val;

/// The field of an object; of an optional one, optionally.
pub(super) fn select<'a>(operand: &Val<'a>, field: &str) -> Result<Val<'a>, Fault> {
    match operand {
        Val::Map(_) | Val::Fields(..) => match operand.field(field) {
            Some(value) => Ok(value),
            None => error(format!("no such key: {field}")),
        },
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => Ok(Val::Optional(inner.field(field).map(Rc::new))),
        _ => Err(Fault::Overload),
    }
}

/// Whether the field is there.
pub(super) fn has<'a>(operand: &Val<'a>, field: &str) -> Result<Val<'a>, Fault> {
    match operand {
        Val::Map(_) | Val::Fields(..) => Ok(Val::Bool(operand.field(field).is_some())),
        Val::Optional(None) => Ok(Val::Bool(false)),
        Val::Optional(Some(inner)) => Ok(Val::Bool(inner.field(field).is_some())),
        _ => Err(Fault::Overload),
    }
}

/// An operator; `None` if it is none.
pub(super) fn apply<'a>(meter: &mut Meter, name: &str, args: &[Val<'a>]) -> Result<Option<Val<'a>>, Fault> {
    let value = match (name, args) {
        (operators::EQUALS, [a, b]) => {
            meter.text(a.size().min(b.size()), 1)?;
            Val::Bool(a.equals(b, meter)?)
        }
        (operators::NOT_EQUALS, [a, b]) => {
            meter.text(a.size().min(b.size()), 1)?;
            Val::Bool(!a.equals(b, meter)?)
        }
        (operators::LESS, [a, b]) => order(meter, a, b, |o| o == Ordering::Less)?,
        (operators::LESS_EQUALS, [a, b]) => order(meter, a, b, |o| o != Ordering::Greater)?,
        (operators::GREATER, [a, b]) => order(meter, a, b, |o| o == Ordering::Greater)?,
        (operators::GREATER_EQUALS, [a, b]) => order(meter, a, b, |o| o != Ordering::Less)?,
        (operators::ADD, [a, b]) => add(meter, a, b)?,
        (operators::SUBSTRACT, [a, b]) => subtract(meter, a, b)?,
        (operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [a, b]) => {
            meter.charge(1)?;
            scale(name, a, b)?
        }
        (operators::NEGATE, [a]) => {
            meter.charge(1)?;
            match a {
                Val::Int(a) => Val::Int(fits(a.checked_neg(), "integer overflow")?),
                Val::Double(a) => Val::Double(-a),
                Val::Duration(a) => Val::Duration(fits(a.checked_neg(), "integer overflow")?),
                _ => return Err(Fault::Overload),
            }
        }
        (operators::LOGICAL_NOT, [Val::Bool(a)]) => {
            meter.charge(1)?;
            Val::Bool(!a)
        }
        (operators::LOGICAL_NOT, _) => return Err(Fault::Overload),
        (operators::IN, [item, list]) => is_in(meter, item, list)?,
        (operators::INDEX, [list, at]) => {
            meter.charge(1)?;
            index(list, at)?
        }
        (operators::OPT_INDEX, [list, at]) => {
            meter.charge(1)?;
            optional_index(list, at)?
        }
        (operators::OPT_SELECT, [operand, Val::Text(field)]) => {
            meter.charge(1)?;
            match operand {
                Val::Optional(Some(inner)) => Val::Optional(inner.field(field).map(Rc::new)),
                Val::Optional(None) => Val::Optional(None),
                other => Val::Optional(other.field(field).map(Rc::new)),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

pub(super) fn fits<T>(value: Option<T>, why: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::Error(why.to_owned()))
}

fn order<'a>(
    meter: &mut Meter,
    a: &Val<'a>,
    b: &Val<'a>,
    holds: fn(Ordering) -> bool,
) -> Result<Val<'a>, Fault> {
    meter.text(a.size().min(b.size()), 1)?;
    match a.compare(b) {
        Some(found) => Ok(Val::Bool(holds(found))),
        None if matches!((a, b), (Val::Double(_), _) | (_, Val::Double(_))) => Ok(Val::Bool(false)),
        None => Err(Fault::Overload),
    }
}

fn add<'a>(meter: &mut Meter, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
    if let (Val::Text(_), Val::Text(_)) | (Val::Bytes(_), Val::Bytes(_)) = (a, b) {
        meter.text(a.size() + b.size(), 1)?;
    } else {
        meter.charge(1)?;
    }
    Ok(match (a, b) {
        (Val::Int(a), Val::Int(b)) => Val::Int(fits(a.checked_add(*b), "integer overflow")?),
        (Val::Uint(a), Val::Uint(b)) => Val::Uint(fits(a.checked_add(*b), "unsigned integer overflow")?),
        (Val::Double(a), Val::Double(b)) => Val::Double(a + b),
        (Val::Text(a), Val::Text(b)) => Val::Text(Rc::from([&**a, &**b].concat())),
        (Val::Bytes(a), Val::Bytes(b)) => Val::Bytes(Rc::from([&**a, &**b].concat())),
        (Val::Duration(a), Val::Duration(b)) => Val::Duration(fits(a.checked_add(*b), "integer overflow")?),
        (Val::Timestamp(at), Val::Duration(by)) | (Val::Duration(by), Val::Timestamp(at)) => {
            let moved = at.checked_add(SignedDuration::from_nanos(*by)).ok();
            Val::Timestamp(fits(moved, "timestamp overflow")?)
        }
        (a, b) => match a.joined(b, meter)? {
            Some(list) => list,
            None => return Err(Fault::Overload),
        },
    })
}

fn subtract<'a>(meter: &mut Meter, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
    meter.charge(1)?;
    Ok(match (a, b) {
        (Val::Int(a), Val::Int(b)) => Val::Int(fits(a.checked_sub(*b), "integer overflow")?),
        (Val::Uint(a), Val::Uint(b)) => Val::Uint(fits(a.checked_sub(*b), "unsigned integer overflow")?),
        (Val::Double(a), Val::Double(b)) => Val::Double(a - b),
        (Val::Duration(a), Val::Duration(b)) => Val::Duration(fits(a.checked_sub(*b), "integer overflow")?),
        (Val::Timestamp(at), Val::Duration(by)) => {
            let moved = at.checked_sub(SignedDuration::from_nanos(*by)).ok();
            Val::Timestamp(fits(moved, "timestamp overflow")?)
        }
        (Val::Timestamp(a), Val::Timestamp(b)) => {
            let nanos = i64::try_from(a.duration_since(*b).as_nanos()).ok();
            Val::Duration(fits(nanos, "integer overflow")?)
        }
        _ => return Err(Fault::Overload),
    })
}

fn scale<'a>(name: &str, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Fault> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => {
            let value = match name {
                operators::MULTIPLY => a.checked_mul(*b),
                operators::DIVIDE if *b == 0 => return error("division by zero"),
                operators::DIVIDE => a.checked_div(*b),
                _ if *b == 0 => return error("modulus by zero"),
                _ => a.checked_rem(*b),
            };
            Ok(Val::Int(fits(value, "integer overflow")?))
        }
        (Val::Uint(a), Val::Uint(b)) => {
            let value = match name {
                operators::MULTIPLY => a.checked_mul(*b),
                operators::DIVIDE if *b == 0 => return error("division by zero"),
                operators::DIVIDE => a.checked_div(*b),
                _ if *b == 0 => return error("modulus by zero"),
                _ => a.checked_rem(*b),
            };
            Ok(Val::Uint(fits(value, "unsigned integer overflow")?))
        }
        (Val::Double(a), Val::Double(b)) if name == operators::MULTIPLY => Ok(Val::Double(a * b)),
        (Val::Double(a), Val::Double(b)) if name == operators::DIVIDE => Ok(Val::Double(a / b)),
        _ => Err(Fault::Overload),
    }
}

fn is_in<'a>(meter: &mut Meter, item: &Val<'a>, list: &Val<'a>) -> Result<Val<'a>, Fault> {
    match list {
        Val::List(_) | Val::Items(..) => {
            meter.charge(list.size())?;
            Ok(Val::Bool(list.has(item, meter)?))
        }
        Val::Map(entries) => {
            meter.charge(1)?;
            meter.work(entries.len() as u64)?;
            Ok(Val::Bool(list.at(item).is_some()))
        }
        Val::Fields(..) => {
            meter.charge(1)?;
            Ok(Val::Bool(list.at(item).is_some()))
        }
        _ => Err(Fault::Overload),
    }
}

fn place(list: &Val<'_>, at: &Val<'_>) -> Option<i64> {
    list.length()?;
    match at {
        Val::Int(at) => Some(*at),
        Val::Uint(at) => i64::try_from(*at).ok(),
        Val::Double(at) if at.fract() == 0.0 => Some(*at as i64),
        _ => None,
    }
}

fn index<'a>(list: &Val<'a>, at: &Val<'a>) -> Result<Val<'a>, Fault> {
    match list {
        Val::List(_) | Val::Items(..) => {
            let Some(at) = place(list, at) else { return Err(Fault::Overload) };
            match usize::try_from(at).ok().and_then(|at| list.item(at)) {
                Some(item) => Ok(item),
                None => error(format!("index out of bounds: {at}")),
            }
        }
        Val::Map(_) | Val::Fields(..) => match list.at(at) {
            Some(value) => Ok(value),
            None => error(format!("no such key: {}", super::strings::to_text(at).unwrap_or_default())),
        },
        Val::Optional(_) => optional_index(list, at),
        _ => Err(Fault::Overload),
    }
}

fn optional_index<'a>(list: &Val<'a>, at: &Val<'a>) -> Result<Val<'a>, Fault> {
    Ok(Val::Optional(match list {
        Val::List(_) | Val::Items(..) => {
            let at = place(list, at).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| list.item(at)).map(Rc::new)
        }
        Val::Map(_) | Val::Fields(..) => list.at(at).map(Rc::new),
        Val::Optional(None) => None,
        Val::Optional(Some(inner)) => return optional_index(inner, at),
        _ => return Err(Fault::Overload),
    }))
}
