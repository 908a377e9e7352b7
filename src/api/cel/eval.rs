//! Evaluates a parsed expression step by step, and lets the meter count each.
//!
//! Invariant: every step that takes time or room is charged before or right after it is done, and nothing goes on
//! once the budget is used up.

use std::collections::BTreeMap;
use std::rc::Rc;

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::Regex;

use super::calls;
use super::operators as ops;
use super::value::Val;
use crate::limits::CEL_EXPRESSION_COST;

/// Why an expression gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something went wrong: no such key, a number that does not fit.
    #[error("{0}")]
    Error(String),
    /// An operator or function does not take such values.
    #[error("no such overload")]
    Overload,
    /// The budget is used up.
    #[error("operation cancelled: actual cost limit exceeded")]
    Budget,
}

/// An error of this text.
pub(super) fn error<T>(text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Error(text.into()))
}

/// Counts the cost of one expression.
#[derive(Clone, Debug)]
pub struct Meter {
    cost: u64,
    limit: u64,
    /// Work that is too small to be charged one by one.
    tenths: u64,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new(CEL_EXPRESSION_COST)
    }
}

impl Meter {
    /// A meter with a budget.
    pub fn new(limit: u64) -> Meter {
        Meter { cost: 0, limit, tenths: 0 }
    }

    /// What was charged so far.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// Charges a cost.
    pub fn charge(&mut self, cost: u64) -> Result<(), Fault> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(Fault::Budget) } else { Ok(()) }
    }

    /// Charges a tenth of a cost for each.
    pub fn work(&mut self, steps: u64) -> Result<(), Fault> {
        self.tenths += steps;
        let whole = self.tenths / 10;
        self.tenths %= 10;
        self.charge(whole)
    }

    /// Charges for going through so many characters, so often.
    pub fn text(&mut self, characters: u64, times: u64) -> Result<(), Fault> {
        self.charge((characters * times).div_ceil(10))
    }
}

/// The variables that an expression sees.
#[derive(Debug)]
pub struct Scope<'a, 'p> {
    name: &'p str,
    value: Val<'a>,
    parent: Option<&'p Scope<'a, 'p>>,
}

impl<'a, 'p> Scope<'a, 'p> {
    /// One variable, which hides that of the same name.
    pub fn with(name: &'p str, value: Val<'a>, parent: Option<&'p Scope<'a, 'p>>) -> Scope<'a, 'p> {
        Scope { name, value, parent }
    }

    fn find(&self, name: &str) -> Option<&Val<'a>> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if here.name == name {
                return Some(&here.value);
            }
            scope = here.parent;
        }
        None
    }
}

/// The functions whose first arguments are names that they bind.
pub(super) fn binds(function: &str) -> bool {
    const BINDING: [&str; 10] = [
        "all",
        "exists",
        "existsOne",
        "exists_one",
        "transformList",
        "transformMap",
        "transformMapEntry",
        "sortBy",
        "optMap",
        "optFlatMap",
    ];
    BINDING.contains(&function)
}

pub(super) fn is_type(name: &str) -> bool {
    type_of_name(name).is_some()
}

fn type_of_name(name: &str) -> Option<&'static str> {
    const TYPES: [&str; 12] = [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "dyn",
    ];
    TYPES.iter().find(|known| **known == name).copied()
}

/// Evaluates an expression.
pub(super) fn run<'a>(
    root: &IdedExpr,
    patterns: &BTreeMap<String, Regex>,
    scope: &Scope<'a, '_>,
    meter: &mut Meter,
) -> Result<Val<'a>, Fault> {
    Eval { patterns, meter }.expr(&root.expr, scope)
}

pub(super) struct Eval<'e> {
    pub patterns: &'e BTreeMap<String, Regex>,
    pub meter: &'e mut Meter,
}

impl Eval<'_> {
    fn expr<'a>(&mut self, expr: &Expr, scope: &Scope<'a, '_>) -> Result<Val<'a>, Fault> {
        match expr {
            Expr::Literal(literal) => Ok(literal_value(literal)),
            Expr::Ident(name) => {
                self.meter.charge(1)?;
                match (scope.find(name.trim_start_matches('.')), type_of_name(name)) {
                    (Some(value), _) => Ok(value.clone()),
                    (None, Some(name)) => Ok(Val::Type(name)),
                    (None, None) => error(format!("no such attribute(s): {name}")),
                }
            }
            Expr::Select(select) => {
                if let Some(name) = qualified(expr) {
                    return Ok(Val::Type(name));
                }
                let operand = self.expr(&select.operand.expr, scope)?;
                if select.test {
                    return ops::has(&operand, &select.field);
                }
                self.meter.charge(1)?;
                ops::select(&operand, &select.field)
            }
            Expr::List(list) => {
                self.meter.charge(10)?;
                let mut items = Vec::with_capacity(list.elements.len());
                for (at, element) in list.elements.iter().enumerate() {
                    let value = self.expr(&element.expr, scope)?;
                    match (list.optional_indices.contains(&at), value) {
                        (true, Val::Optional(Some(value))) => items.push((*value).clone()),
                        (true, Val::Optional(None)) => {}
                        (true, _) => return Err(Fault::Overload),
                        (false, value) => items.push(value),
                    }
                }
                Ok(Val::list(items))
            }
            Expr::Map(map) => self.map(map.entries.iter().map(|entry| &entry.expr), scope),
            Expr::Struct(object) => error(format!("unknown type: {}", object.type_name)),
            Expr::Comprehension(loop_) => self.comprehension(loop_, scope),
            Expr::Call(call) => self.call(call, scope),
            Expr::Unspecified => error("an empty expression"),
        }
    }

    fn map<'a, 'm>(
        &mut self,
        entries: impl Iterator<Item = &'m EntryExpr>,
        scope: &Scope<'a, '_>,
    ) -> Result<Val<'a>, Fault> {
        self.meter.charge(30)?;
        let mut made: Vec<(Val<'a>, Val<'a>)> = Vec::new();
        for entry in entries {
            let EntryExpr::MapEntry(entry) = entry else { return error("a map is expected") };
            let key = self.expr(&entry.key.expr, scope)?;
            if !matches!(key, Val::Text(_) | Val::Int(_) | Val::Uint(_) | Val::Bool(_)) {
                return error(format!("unsupported key type: {}", key.type_name()));
            }
            if made.iter().any(|(known, _)| known.is_key(&key)) {
                return error("Failed with repeated key");
            }
            match (entry.optional, self.expr(&entry.value.expr, scope)?) {
                (true, Val::Optional(Some(value))) => made.push((key, (*value).clone())),
                (true, Val::Optional(None)) => {}
                (true, _) => return Err(Fault::Overload),
                (false, value) => made.push((key, value)),
            }
        }
        Ok(Val::Map(Rc::new(made)))
    }

    /// The pairs that a loop goes over: index and item, or key and value.
    fn pairs<'a>(&mut self, range: &Val<'a>) -> Result<Vec<(Val<'a>, Val<'a>)>, Fault> {
        if let Some(length) = range.length() {
            self.meter.work(length as u64)?;
            let items = (0..length).filter_map(|at| Some((Val::Int(at as i64), range.item(at)?)));
            return Ok(items.collect());
        }
        match range {
            Val::Map(_) | Val::Fields(..) => {
                let keys = range.keys();
                self.meter.work(keys.len() as u64)?;
                let pair = |key: Val<'a>| {
                    let value = range.at(&key)?;
                    Some((key, value))
                };
                Ok(keys.into_iter().filter_map(pair).collect())
            }
            _ => Err(Fault::Overload),
        }
    }

    fn comprehension<'a>(&mut self, c: &ComprehensionExpr, scope: &Scope<'a, '_>) -> Result<Val<'a>, Fault> {
        let range = self.expr(&c.iter_range.expr, scope)?;
        let is_list = range.length().is_some();
        let mut accumulator = self.expr(&c.accu_init.expr, scope)?;
        let appended = appends(c);
        let (decides, mut failed) = (decides(c), None);
        for (first, second) in self.pairs(&range)? {
            let value = match (&c.iter_var2, is_list) {
                (None, true) => second.clone(),
                _ => first,
            };
            let with_first = Scope::with(&c.iter_var, value, Some(scope));
            let with_both;
            let here = match &c.iter_var2 {
                Some(name) => {
                    with_both = Scope::with(name, second, Some(&with_first));
                    &with_both
                }
                None => &with_first,
            };
            if let Some((filter, item)) = appended
                && let Val::List(list) = &mut accumulator
            {
                self.meter.charge(12)?;
                if let Some(filter) = filter {
                    match self.expr(filter, here)? {
                        Val::Bool(true) => {}
                        Val::Bool(false) => continue,
                        _ => return Err(Fault::Overload),
                    }
                }
                let item = self.expr(item, here)?;
                Rc::make_mut(list).push(item);
                continue;
            }
            let here = Scope::with(&c.accu_var, accumulator, Some(here));
            if matches!(self.expr(&c.loop_cond.expr, &here), Ok(Val::Bool(false))) {
                accumulator = here.value;
                break;
            }
            let step = self.expr(&c.loop_step.expr, &here);
            accumulator = match (step, decides) {
                (Ok(value), _) => value,
                (Err(Fault::Budget), _) => return Err(Fault::Budget),
                (Err(fault), None) => return Err(fault),
                // Another item may still decide.
                (Err(fault), Some(_)) => {
                    failed.get_or_insert(fault);
                    here.value
                }
            };
        }
        if let (Some(fault), Some(decides)) = (failed, decides)
            && !matches!(accumulator, Val::Bool(value) if value == decides)
        {
            return Err(fault);
        }
        let here = Scope::with(&c.accu_var, accumulator, Some(scope));
        self.expr(&c.result.expr, &here)
    }

    fn call<'a>(&mut self, call: &CallExpr, scope: &Scope<'a, '_>) -> Result<Val<'a>, Fault> {
        let name = call.func_name.as_str();
        let args = call.args.as_slice();
        match (name, args) {
            (operators::LOGICAL_AND, [a, b]) => return self.both(&a.expr, &b.expr, false, scope),
            (operators::LOGICAL_OR, [a, b]) => return self.both(&a.expr, &b.expr, true, scope),
            (operators::CONDITIONAL, [condition, yes, no]) => {
                return match self.expr(&condition.expr, scope)? {
                    Val::Bool(true) => self.expr(&yes.expr, scope),
                    Val::Bool(false) => self.expr(&no.expr, scope),
                    _ => Err(Fault::Overload),
                };
            }
            (operators::NOT_STRICTLY_FALSE, [arg]) => {
                return match self.expr(&arg.expr, scope) {
                    Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                    Err(Fault::Budget) => Err(Fault::Budget),
                    _ => Ok(Val::Bool(true)),
                };
            }
            _ => {}
        }
        if let Some(target) = &call.target {
            if let Expr::Ident(space) = &target.expr
                && calls::is_namespace(space)
                && scope.find(space).is_none()
            {
                let args = self.all(args, scope)?;
                return calls::namespaced(self, space, name, &args);
            }
            if binds(name) && args.len() >= 2 {
                let target = self.expr(&target.expr, scope)?;
                return self.binding(name, &target, args, scope);
            }
            let target = self.expr(&target.expr, scope)?;
            let args = self.all(args, scope)?;
            return calls::member(self, name, &target, &args);
        }
        let args = self.all(args, scope)?;
        match ops::apply(self.meter, name, &args)? {
            Some(value) => Ok(value),
            None => calls::global(self, name, &args),
        }
    }

    fn all<'a>(&mut self, args: &[IdedExpr], scope: &Scope<'a, '_>) -> Result<Vec<Val<'a>>, Fault> {
        args.iter().map(|arg| self.expr(&arg.expr, scope)).collect()
    }

    /// `&&` and `||`: one side alone decides where it can, whatever becomes of the other.
    fn both<'a>(
        &mut self,
        a: &Expr,
        b: &Expr,
        decides: bool,
        scope: &Scope<'a, '_>,
    ) -> Result<Val<'a>, Fault> {
        let first = self.expr(a, scope);
        match &first {
            Ok(Val::Bool(value)) if *value == decides => return first,
            Err(Fault::Budget) => return first,
            _ => {}
        }
        let second = self.expr(b, scope);
        match (&first, &second) {
            (_, Ok(Val::Bool(value))) if *value == decides => second,
            (_, Err(Fault::Budget)) => second,
            (Ok(Val::Bool(_)), Ok(Val::Bool(_))) => second,
            (Err(_), _) => first,
            (_, Err(_)) => second,
            _ => Err(Fault::Overload),
        }
    }

    /// Functions that bind names: the two-variable forms of the macros, `sortBy`, and those of optionals.
    fn binding<'a>(
        &mut self,
        name: &str,
        target: &Val<'a>,
        args: &[IdedExpr],
        scope: &Scope<'a, '_>,
    ) -> Result<Val<'a>, Fault> {
        let bound = |at: usize| match args.get(at).map(|arg| &arg.expr) {
            Some(Expr::Ident(name)) => Ok(name.as_str()),
            _ => error("argument must be a simple name"),
        };
        match (name, args.len()) {
            ("optMap" | "optFlatMap", 2) => {
                let Val::Optional(inner) = target else { return Err(Fault::Overload) };
                let Some(inner) = inner else { return Ok(Val::Optional(None)) };
                let here = Scope::with(bound(0)?, (**inner).clone(), Some(scope));
                let value = self.expr(&args[1].expr, &here)?;
                Ok(if name == "optMap" { Val::some(value) } else { value })
            }
            ("sortBy", 2) => {
                let mut keyed = Vec::new();
                for (_, item) in self.pairs(target)? {
                    let here = Scope::with(bound(0)?, item.clone(), Some(scope));
                    keyed.push((self.expr(&args[1].expr, &here)?, item));
                }
                super::lists::sort_keyed(self.meter, keyed)
            }
            (_, 3 | 4) => self.two_variables(name, target, (bound(0)?, bound(1)?), &args[2..], scope),
            _ => Err(Fault::Overload),
        }
    }

    fn two_variables<'a>(
        &mut self,
        name: &str,
        target: &Val<'a>,
        names: (&str, &str),
        bodies: &[IdedExpr],
        scope: &Scope<'a, '_>,
    ) -> Result<Val<'a>, Fault> {
        let (mut hits, mut list, mut map) = (0, Vec::new(), Vec::new());
        let mut failed = None;
        for (key, value) in self.pairs(target)? {
            let outer = Scope::with(names.0, key.clone(), Some(scope));
            let here = Scope::with(names.1, value, Some(&outer));
            self.meter.charge(2)?;
            if let [filter, _] = bodies {
                match self.expr(&filter.expr, &here)? {
                    Val::Bool(true) => {}
                    Val::Bool(false) => continue,
                    _ => return Err(Fault::Overload),
                }
            }
            let Some(body) = bodies.last() else { return Err(Fault::Overload) };
            let result = self.expr(&body.expr, &here);
            match (name, result) {
                (_, Err(Fault::Budget)) => return Err(Fault::Budget),
                ("all", Ok(Val::Bool(false))) => return Ok(Val::Bool(false)),
                ("exists", Ok(Val::Bool(true))) => return Ok(Val::Bool(true)),
                ("all" | "exists", Ok(Val::Bool(_))) => {}
                ("all" | "exists", Err(fault)) => failed = Some(fault),
                ("existsOne" | "exists_one", Ok(Val::Bool(hit))) => hits += usize::from(hit),
                ("transformList", Ok(value)) => list.push(value),
                ("transformMap", Ok(value)) => map.push((key, value)),
                ("transformMapEntry", Ok(entry @ (Val::Map(_) | Val::Fields(..)))) => {
                    for key in entry.keys() {
                        if map.iter().any(|(known, _): &(Val<'a>, Val<'a>)| known.is_key(&key)) {
                            return error("insert failed: key already exists");
                        }
                        let value = entry.at(&key).unwrap_or(Val::Null);
                        map.push((key, value));
                        self.meter.work(map.len() as u64)?;
                    }
                }
                (_, Err(fault)) => return Err(fault),
                _ => return Err(Fault::Overload),
            }
        }
        if let Some(fault) = failed {
            return Err(fault);
        }
        Ok(match name {
            "all" => Val::Bool(true),
            "exists" => Val::Bool(false),
            "existsOne" | "exists_one" => Val::Bool(hits == 1),
            "transformList" => Val::list(list),
            _ => Val::Map(Rc::new(map)),
        })
    }
}

/// Names of types that have a dot.
fn qualified(expr: &Expr) -> Option<&'static str> {
    let Expr::Select(last) = expr else { return None };
    let Expr::Select(middle) = &last.operand.expr else { return None };
    let Expr::Ident(first) = &middle.operand.expr else { return None };
    match (first.as_str(), middle.field.as_str(), last.field.as_str()) {
        ("google", "protobuf", "Duration") => Some("google.protobuf.Duration"),
        ("google", "protobuf", "Timestamp") => Some("google.protobuf.Timestamp"),
        _ => None,
    }
}

fn literal_value<'a>(literal: &LiteralValue) -> Val<'a> {
    match literal {
        LiteralValue::Boolean(value) => Val::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Val::Bytes(Rc::from(value.inner())),
        LiteralValue::Double(value) => Val::Double(*value.inner()),
        LiteralValue::Int(value) => Val::Int(*value.inner()),
        LiteralValue::Null => Val::Null,
        LiteralValue::String(value) => Val::text(value.inner()),
        LiteralValue::UInt(value) => Val::Uint(*value.inner()),
    }
}

/// If a loop joins truths: the one that decides it (`true` for `exists`, `false` for `all`).
fn decides(c: &ComprehensionExpr) -> Option<bool> {
    let Expr::Call(step) = &c.loop_step.expr else { return None };
    let Expr::Ident(first) = &step.args.first()?.expr else { return None };
    match step.func_name.as_str() {
        operators::LOGICAL_OR if *first == c.accu_var => Some(true),
        operators::LOGICAL_AND if *first == c.accu_var => Some(false),
        _ => None,
    }
}

/// If a loop does nothing but append to a list: what it appends, and on which condition. Such a list grows in
/// place.
fn appends(c: &ComprehensionExpr) -> Option<(Option<&Expr>, &Expr)> {
    let accumulator = |expr: &Expr| matches!(expr, Expr::Ident(name) if *name == c.accu_var);
    fn appended<'e>(expr: &'e Expr, accumulator: &dyn Fn(&Expr) -> bool) -> Option<&'e Expr> {
        let Expr::Call(call) = expr else { return None };
        let [list, added] = call.args.as_slice() else { return None };
        let Expr::List(added) = &added.expr else { return None };
        let [item] = added.elements.as_slice() else { return None };
        (call.func_name == operators::ADD && accumulator(&list.expr)).then_some(&item.expr)
    }
    if let Some(item) = appended(&c.loop_step.expr, &accumulator) {
        return Some((None, item));
    }
    let Expr::Call(call) = &c.loop_step.expr else { return None };
    let [filter, step, keep] = call.args.as_slice() else { return None };
    if call.func_name != operators::CONDITIONAL || !accumulator(&keep.expr) {
        return None;
    }
    Some((Some(&filter.expr), appended(&step.expr, &accumulator)?))
}
