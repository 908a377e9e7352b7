//! Lists in expressions: Kubernetes' functions, the extended library, and sets.

use std::cmp::Ordering;

use super::eval::{Fault, Meter, error};
use super::operators;
use super::value::Val;

/// A function of a list.
pub(super) fn call<'a>(
    meter: &mut Meter,
    name: &str,
    list: &Val<'a>,
    args: &[Val<'a>],
) -> Result<Val<'a>, Fault> {
    let length = list.length().unwrap_or(0);
    meter.charge(length as u64)?;
    let items = || (0..length).filter_map(|at| list.item(at));
    Ok(match (name, args) {
        ("isSorted", []) => {
            for at in 1..length {
                let order = match (list.item(at - 1), list.item(at)) {
                    (Some(a), Some(b)) => a.compare(&b),
                    _ => None,
                };
                match order {
                    None => return Err(Fault::Overload),
                    Some(Ordering::Greater) => return Ok(Val::Bool(false)),
                    Some(_) => {}
                }
            }
            Val::Bool(true)
        }
        ("sum", []) => {
            let mut sum: Option<Val<'a>> = None;
            for item in items() {
                sum = Some(match sum {
                    None => item,
                    Some(sum) => {
                        let added = operators::apply(meter, "_+_", &[sum, item])?;
                        added.ok_or(Fault::Overload)?
                    }
                });
            }
            sum.unwrap_or(Val::Int(0))
        }
        ("min" | "max", []) => {
            let mut best: Option<Val<'a>> = None;
            for item in items() {
                let better = match &best {
                    None => true,
                    Some(best) => match item.compare(best) {
                        None => return Err(Fault::Overload),
                        Some(order) => {
                            order == if name == "min" { Ordering::Less } else { Ordering::Greater }
                        }
                    },
                };
                if better {
                    best = Some(item);
                }
            }
            match best {
                Some(best) => best,
                None => return error(format!("{name} called on empty list")),
            }
        }
        ("indexOf" | "lastIndexOf", [wanted]) => {
            let mut found = -1;
            for at in 0..length {
                let at = if name == "indexOf" { at } else { length - 1 - at };
                if let Some(item) = list.item(at)
                    && item.equals(wanted, meter)?
                {
                    found = at as i64;
                    break;
                }
            }
            Val::Int(found)
        }
        ("join", []) => super::strings::join(meter, list, "")?,
        ("join", [Val::Text(separator)]) => super::strings::join(meter, list, separator)?,
        ("first", []) => Val::Optional(list.item(0).map(std::rc::Rc::new)),
        ("last", []) => {
            let last = length.checked_sub(1).and_then(|at| list.item(at));
            Val::Optional(last.map(std::rc::Rc::new))
        }
        ("reverse", []) => Val::list(items().collect::<Vec<_>>().into_iter().rev().collect()),
        ("slice", [Val::Int(from), Val::Int(to)]) => {
            let most = length as i64;
            if *from < 0 || *to < 0 {
                return error(format!("cannot slice({from}, {to}), negative indexes not supported"));
            }
            if from > to {
                return error(format!(
                    "cannot slice({from}, {to}), start index must be less than or equal to end index"
                ));
            }
            if *to > most {
                return error(format!("cannot slice({from}, {to}), list is length {most}"));
            }
            Val::list(items().skip(*from as usize).take((to - from) as usize).collect())
        }
        ("distinct", []) => {
            let mut seen: Vec<Val<'a>> = Vec::new();
            for item in items() {
                let known = Val::list(std::mem::take(&mut seen));
                let has = known.has(&item, meter)?;
                if let Val::List(list) = known {
                    seen = std::rc::Rc::unwrap_or_clone(list);
                }
                if !has {
                    seen.push(item);
                }
            }
            Val::list(seen)
        }
        ("flatten", []) => flatten(meter, list, 1)?,
        ("flatten", [Val::Int(depth)]) if *depth >= 0 => flatten(meter, list, (*depth).min(64))?,
        ("flatten", [Val::Int(_)]) => return error("level must be non-negative"),
        ("sort", []) => sort_keyed(meter, items().map(|item| (item.clone(), item)).collect())?,
        _ => return Err(Fault::Overload),
    })
}

fn flatten<'a>(meter: &mut Meter, list: &Val<'a>, depth: i64) -> Result<Val<'a>, Fault> {
    let mut flat = Vec::new();
    for at in 0..list.length().unwrap_or(0) {
        let Some(item) = list.item(at) else { continue };
        meter.work(1)?;
        if depth > 0 && item.length().is_some() {
            let inner = flatten(meter, &item, depth - 1)?;
            meter.work(inner.size())?;
            flat.extend(inner.items().unwrap_or_default());
        } else {
            flat.push(item);
        }
    }
    Ok(Val::list(flat))
}

/// The items in the order of their keys.
pub(super) fn sort_keyed<'a>(
    meter: &mut Meter,
    mut keyed: Vec<(Val<'a>, Val<'a>)>,
) -> Result<Val<'a>, Fault> {
    meter.charge(keyed.len() as u64 * 2)?;
    if keyed.windows(2).any(|pair| pair[0].0.compare(&pair[1].0).is_none()) {
        return error("list elements must have the same type");
    }
    keyed.sort_by(|a, b| a.0.compare(&b.0).unwrap_or(Ordering::Equal));
    Ok(Val::list(keyed.into_iter().map(|(_, item)| item).collect()))
}

/// The numbers from 0 to `count`.
pub(super) fn range<'a>(meter: &mut Meter, count: i64) -> Result<Val<'a>, Fault> {
    meter.charge(count.max(0) as u64)?;
    Ok(Val::list((0..count).map(Val::Int).collect()))
}

/// `sets.contains`, `sets.equivalent`, `sets.intersects`.
pub(super) fn sets<'a>(meter: &mut Meter, name: &str, args: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    let [a, b] = args else { return Err(Fault::Overload) };
    let (Some(many), Some(few)) = (a.length(), b.length()) else { return Err(Fault::Overload) };
    meter.charge((many * few).max(1) as u64)?;
    let contains = |meter: &mut Meter, a: &Val<'a>, b: &Val<'a>| {
        for at in 0..b.length().unwrap_or(0) {
            if let Some(item) = b.item(at)
                && !a.has(&item, meter)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(Val::Bool(match name {
        "contains" => contains(meter, a, b)?,
        "equivalent" => contains(meter, a, b)? && contains(meter, b, a)?,
        "intersects" => {
            let mut some = false;
            for at in 0..few {
                some = some || b.item(at).map_or(Ok(false), |item| a.has(&item, meter))?;
            }
            some
        }
        _ => return Err(Fault::Overload),
    }))
}
