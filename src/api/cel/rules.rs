//! Runs the rules of a schema over an object.
//!
//! Invariant: what the rules of one object cost together is bounded, and a value that has not changed is not
//! refused for a rule that speaks of itself alone.

use std::rc::Rc;

use serde_json::Value;

use super::eval::{Fault, Meter, Scope};
use super::value::{Val, View};
use super::{Program, Rule};
use crate::api::error::{FieldError, FieldErrors, FieldPath, Problem};
use crate::api::schema::lists::key_of;
use crate::api::schema::{ListType, Schema};
use crate::limits::{CEL_EXPRESSION_COST, CEL_MESSAGE_BYTES, CEL_OBJECT_COST};

/// What is left of the budget of one object; negative when it is used up.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    left: i64,
}

impl Default for Spent {
    fn default() -> Spent {
        Spent { left: CEL_OBJECT_COST as i64 }
    }
}

impl Spent {
    fn is_over(self) -> bool {
        self.left < 0
    }
}

/// What is known of a value's past: whether errors about it are forgiven because it has not changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ratchet<'a> {
    current: Option<(&'a Value, &'a Value)>,
    parent: Option<(&'a Value, &'a Value)>,
}

impl<'a> Ratchet<'a> {
    /// Of a whole object and what it was.
    pub fn of(new: &'a Value, old: Option<&'a Value>) -> Ratchet<'a> {
        Ratchet { current: old.map(|old| (new, old)), parent: None }
    }

    fn forgives(self) -> bool {
        self.current.or(self.parent).is_some_and(|(new, old)| new == old)
    }

    fn key(self, name: &str) -> Ratchet<'a> {
        let Some((new, old)) = self.current else { return self };
        if self.parent.is_none() && matches!(name, "apiVersion" | "kind") {
            return Ratchet::default();
        }
        let child = new.get(name).zip(old.get(name));
        Ratchet { current: child, parent: self.current }
    }

    fn item(self, at: usize, schema: &Schema) -> Ratchet<'a> {
        let Some((new, old)) = self.current else { return self };
        let child = new.get(at).and_then(|item| {
            let items = old.as_array()?;
            let before = match schema.list_type {
                Some(ListType::Map) => {
                    let key = key_of(item, schema);
                    items.iter().find(|old| key_of(old, schema) == key)
                }
                Some(ListType::Set) => items.iter().find(|old| *old == item),
                _ => None,
            };
            Some((item, before?))
        });
        Ratchet { current: child, parent: self.current }
    }
}

/// Runs the rules of a value and of everything below it. `path` is `None` for the object itself, `root` says that it
/// is one; `old` is what the value was, where that can be told.
#[allow(clippy::too_many_arguments, reason = "what a walk over an object carries along")]
pub fn validate(
    value: &Value,
    old: Option<&Value>,
    schema: &Schema,
    root: bool,
    path: Option<&FieldPath<'_>>,
    ratchet: Ratchet<'_>,
    spent: &mut Spent,
    errors: &mut FieldErrors,
) {
    if !schema.ruled || value.is_null() || spent.is_over() {
        return;
    }
    if !schema.rules.is_empty() {
        let node = Node { value, old: old.filter(|old| !old.is_null()), schema, root, path, ratchet };
        node.run(spent, errors);
    }
    match value {
        Value::Object(fields) => {
            for named in [false, true] {
                for (name, inner) in fields {
                    let below = match named {
                        false => schema.additional_schema().filter(|_| !schema.properties.contains_key(name)),
                        true => schema.properties.get(name),
                    };
                    let Some(below) = below else { continue };
                    let before = old.and_then(|old| old.get(name));
                    let at = match (path, named) {
                        (Some(path), true) => path.child(name),
                        (Some(path), false) => path.key(name),
                        (None, _) => FieldPath::new(name),
                    };
                    let ratchet = ratchet.key(name);
                    validate(inner, before, below, below.embedded, Some(&at), ratchet, spent, errors);
                }
            }
        }
        Value::Array(items) => {
            let (Some(below), Some(path)) = (schema.items.as_deref(), path) else { return };
            let before = old.and_then(Value::as_array).filter(|_| schema.list_type == Some(ListType::Map));
            for (at, inner) in items.iter().enumerate() {
                let before = before.and_then(|items| {
                    let key = key_of(inner, schema);
                    items.iter().find(|old| key_of(old, schema) == key)
                });
                let (here, ratchet) = (path.index(at), ratchet.item(at, schema));
                validate(inner, before, below, below.embedded, Some(&here), ratchet, spent, errors);
            }
        }
        _ => {}
    }
}

struct Node<'a, 'p> {
    value: &'a Value,
    old: Option<&'a Value>,
    schema: &'a Schema,
    root: bool,
    path: Option<&'p FieldPath<'p>>,
    ratchet: Ratchet<'a>,
}

impl<'a> Node<'a, '_> {
    fn field(&self) -> String {
        self.path.map_or_else(|| "<nil>".to_owned(), ToString::to_string)
    }

    fn view(&self, value: &'a Value) -> Val<'a> {
        match value {
            Value::Object(fields) if self.root => Val::Fields(fields, View::Root(self.schema)),
            value => Val::of(value, Some(self.schema)),
        }
    }

    /// An error about the rule itself: it shows the type of the value.
    fn broken(&self, detail: String) -> FieldError {
        let value = Value::String(self.schema.type_.clone());
        FieldError { problem: Problem::Invalid, field: self.field(), value, detail }
    }

    fn run(&self, spent: &mut Spent, errors: &mut FieldErrors) {
        const OVER: &str =
            "validation failed due to running out of cost budget, no further validation rules will be run";
        let self_ = self.view(self.value);
        let before = self.old.map(|old| self.view(old));
        for rule in &self.schema.rules {
            if spent.left <= 0 {
                errors.add(self.broken(OVER.to_owned()));
                spent.left = -1;
                return;
            }
            let program = match &rule.rule {
                Ok(program) => program,
                Err(cause) => {
                    errors.add(self.broken(format!("rule compile error: compilation failed: {cause}")));
                    continue;
                }
            };
            if rule.uses_old && before.is_none() && !rule.optional_old {
                continue;
            }
            let old = match rule.optional_old {
                true => Val::Optional(before.clone().map(Rc::new)),
                false => before.clone().unwrap_or(Val::Null),
            };
            let outer = Scope::with("oldSelf", old, None);
            let scope = Scope::with("self", self_.clone(), Some(&outer));
            let mut meter = Meter::new(CEL_EXPRESSION_COST);
            let result = program.run(&scope, &mut meter);
            if meter.cost() as i64 > spent.left {
                errors.add(self.broken(OVER.to_owned()));
                spent.left = -1;
                return;
            }
            spent.left -= meter.cost() as i64;
            match result {
                Ok(Val::Bool(true)) => {}
                Ok(_) => self.failed(rule, &scope, spent, errors),
                Err(fault) => {
                    errors.add(self.broken(fault_text(&fault, rule)));
                    if fault == Fault::Budget {
                        spent.left = -1;
                    }
                }
            }
            if spent.is_over() {
                return;
            }
        }
    }

    fn failed(&self, rule: &Rule, scope: &Scope<'a, '_>, spent: &mut Spent, errors: &mut FieldErrors) {
        if !rule.uses_old && self.ratchet.forgives() {
            return;
        }
        let message = match &rule.message_expression {
            Some(Ok(program)) => match message(program, scope, spent) {
                Ok(message) => message,
                Err(detail) => {
                    errors.add(self.broken(detail));
                    spent.left = -1;
                    return;
                }
            },
            _ => None,
        };
        let detail = message.unwrap_or_else(|| match rule.message.is_empty() {
            true => format!("failed rule: {}", rule.source),
            false => rule.message.clone(),
        });
        let below = rule.field_path.trim_start_matches('.');
        let field = match (self.path, below) {
            (_, "") => self.field(),
            (None, below) => below.to_owned(),
            (Some(path), below) if below.starts_with('[') => format!("{path}{below}"),
            (Some(path), below) => format!("{path}.{below}"),
        };
        let shown = !matches!(self.schema.type_.as_str(), "object" | "array");
        let problem = match rule.reason.as_str() {
            "FieldValueForbidden" => Problem::Forbidden,
            "FieldValueRequired" => Problem::Required,
            "FieldValueDuplicate" => Problem::Duplicate,
            _ if shown => Problem::Invalid,
            _ => Problem::InvalidUnshown,
        };
        errors.add(FieldError { problem, field, value: self.value.clone(), detail });
    }
}

fn fault_text(fault: &Fault, rule: &Rule) -> String {
    let label = rule.label();
    match fault {
        Fault::Overload => format!(
            "'{fault}': call arguments did not match a supported operator, function or macro signature for rule: {label}"
        ),
        Fault::Budget => format!(
            "'{fault}': no further validation rules will be run due to call cost exceeds limit for rule: {label}"
        ),
        Fault::Error(text) => format!("{text} evaluating rule: {label}"),
    }
}

/// The message that an expression gives; `None` where it gives none, and the rule's own words serve.
///
/// # Errors
/// The budget is used up: the text of the error.
fn message(program: &Program, scope: &Scope<'_, '_>, spent: &mut Spent) -> Result<Option<String>, String> {
    let mut meter = Meter::new(CEL_EXPRESSION_COST);
    let result = program.run(scope, &mut meter);
    if meter.cost() as i64 > spent.left {
        let text = "messageExpression evaluation failed due to running out of cost budget, no further validation rules \
                    will be run";
        return Err(text.to_owned());
    }
    spent.left -= meter.cost() as i64;
    match result {
        Err(Fault::Budget) => Err(format!(
            "no further validation rules will be run due to call cost exceeds limit for messageExpression: \"{}\"",
            program.source()
        )),
        Ok(Val::Text(text)) => {
            let text = text.trim();
            let fits = !text.is_empty() && text.len() <= CEL_MESSAGE_BYTES && !text.contains('\n');
            Ok(fits.then(|| text.to_owned()))
        }
        _ => Ok(None),
    }
}
