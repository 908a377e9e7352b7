//! Expressions in CEL: the rules that a schema carries.
//!
//! Owns a metered evaluation that always ends, Kubernetes' function libraries, and how the rules of a schema are
//! run over an object (`rules`). The crate `cel` parses; nothing of its evaluator is used. There is no check of types
//! at compile time: what an expression may not do is found when it does it. The authorizer's library is left out.
//!
//! Invariant: an evaluation takes no more steps than its budget has, and builds no value that its budget does not pay.

mod calls;
mod eval;
mod lists;
mod names;
mod net;
mod operators;
mod rules;
mod strings;
mod time;
mod url;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;

use regex::Regex;

pub use eval::{Fault, Meter, Scope};
pub use names::{escape, unescape};
pub use rules::{Ratchet, Spent, validate};
pub use value::{Val, View};

pub(crate) use strings::from_base64;
pub(crate) use time::{parse_duration, parse_timestamp};
pub(crate) use url::Url;

use super::schema::compile_pattern;
use crate::limits::{CEL_DEPTH, CEL_EXPRESSION_BYTES, CEL_TOKENS, CEL_TREE_DEPTH};

/// An expression that parses.
#[derive(Clone)]
pub struct Program {
    source: Arc<str>,
    root: Arc<IdedExpr>,
    /// The patterns that stand in it as literals.
    patterns: Arc<BTreeMap<String, Regex>>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({})", self.source)
    }
}

impl Program {
    /// Parses an expression.
    ///
    /// # Errors
    /// What is wrong with it, as text.
    pub fn parse(source: &str) -> Result<Program, String> {
        if source.len() > CEL_EXPRESSION_BYTES {
            let most = CEL_EXPRESSION_BYTES;
            return Err(format!(
                "expression code point size exceeds limit: size: {}, limit {most}",
                source.len()
            ));
        }
        if tokens(source) > CEL_TOKENS {
            return Err(format!("expression has too many parts: limit {CEL_TOKENS}"));
        }
        let parser =
            cel::parser::PrattParser::new().max_recursion_depth(CEL_DEPTH).enable_optional_syntax(true);
        let root = parser.parse(source).map_err(|cause| cause.to_string())?;
        if depth(&root) > CEL_TREE_DEPTH {
            return Err("expression recursion limit exceeded".to_owned());
        }
        let patterns = Arc::new(patterns(&root)?);
        Ok(Program { source: Arc::from(source), root: Arc::new(root), patterns })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the expression speaks of a variable.
    pub fn uses(&self, name: &str) -> bool {
        any(&self.root, &mut |expr| matches!(expr, Expr::Ident(ident) if ident == name))
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// What went wrong, or that the budget is used up.
    pub fn run<'a>(&self, scope: &Scope<'a, '_>, meter: &mut Meter) -> Result<Val<'a>, Fault> {
        eval::run(&self.root, &self.patterns, scope, meter)
    }

    /// The names that are neither known variables nor bound in the expression.
    pub fn unknown_names(&self, known: &[&str]) -> Vec<String> {
        let mut bound: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
        any(&self.root, &mut |expr| {
            match expr {
                Expr::Comprehension(c) => {
                    bound.extend([c.iter_var.clone(), c.accu_var.clone()]);
                    bound.extend(c.iter_var2.clone());
                }
                Expr::Call(call) => bound.extend(call.args.iter().filter_map(|arg| match &arg.expr {
                    Expr::Ident(name) if eval::binds(&call.func_name) => Some(name.clone()),
                    _ => None,
                })),
                _ => {}
            }
            false
        });
        let mut unknown = Vec::new();
        any(&self.root, &mut |expr| {
            if let Expr::Ident(name) = expr
                && !bound.contains(name)
                && !eval::is_type(name)
                && !calls::is_namespace(name)
                && !unknown.contains(name)
            {
                unknown.push(name.clone());
            }
            false
        });
        unknown
    }
}

/// The patterns that stand in an expression as literals, compiled.
fn patterns(root: &IdedExpr) -> Result<BTreeMap<String, Regex>, String> {
    let mut texts = Vec::new();
    any(root, &mut |expr| {
        if let Expr::Call(call) = expr
            && matches!(call.func_name.as_str(), "matches" | "find" | "findAll")
            && let Some(Expr::Literal(LiteralValue::String(text))) = call.args.first().map(|arg| &arg.expr)
        {
            texts.push(text.inner().to_owned());
        }
        false
    });
    let compiled = texts.into_iter().map(|text| {
        let pattern = compile_pattern(&text).map_err(|cause| format!("invalid matches argument: {cause}"))?;
        Ok((text, pattern))
    });
    compiled.collect()
}

/// A bound on how many tokens there are: what a parser's stack may grow by.
fn tokens(source: &str) -> usize {
    let (mut count, mut within) = (0, false);
    for c in source.chars() {
        let word = c.is_alphanumeric() || c == '_';
        if !word && !c.is_whitespace() || word && !within {
            count += 1;
        }
        within = word;
    }
    count
}

fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::Comprehension(c) => {
            vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|e| of_entry(&e.expr)).collect(),
        Expr::Struct(fields) => fields.entries.iter().flat_map(|e| of_entry(&e.expr)).collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// Whether the test holds for any part of the expression. Goes down without recursion.
fn any(root: &IdedExpr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        if test(&next.expr) {
            return true;
        }
        open.extend(children(&next.expr));
    }
    false
}

fn depth(root: &IdedExpr) -> usize {
    let (mut open, mut most) = (vec![(root, 1)], 0);
    while let Some((next, depth)) = open.pop() {
        most = most.max(depth);
        open.extend(children(&next.expr).into_iter().map(|child| (child, depth + 1)));
    }
    most
}

/// A rule of a schema, with its expressions.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The rule; `Err` where it does not parse.
    pub rule: Result<Program, String>,
    /// The rule's text.
    pub source: String,
    /// The message, if it is given.
    pub message: String,
    /// The expression of the message.
    pub message_expression: Option<Result<Program, String>>,
    /// `FieldValueInvalid` and the like.
    pub reason: String,
    /// The field that the error is about, below the one that has the rule.
    pub field_path: String,
    /// `oldSelf` is an optional, and the rule is run without one too.
    pub optional_old: bool,
    /// The rule speaks of `oldSelf`.
    pub uses_old: bool,
}

impl Rule {
    /// A rule as a schema gives it.
    pub fn new(given: &ValidationRule) -> Rule {
        let rule = Program::parse(given.rule.trim());
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let expression = text(&given.message_expression);
        Rule {
            uses_old: rule.as_ref().is_ok_and(|rule| rule.uses("oldSelf")),
            rule,
            source: given.rule.trim().to_owned(),
            message: text(&given.message).trim().to_owned(),
            message_expression: (!expression.trim().is_empty()).then(|| Program::parse(expression.trim())),
            reason: text(&given.reason),
            field_path: text(&given.field_path).trim().to_owned(),
            optional_old: given.optional_old_self == Some(true),
        }
    }

    /// What an error calls the rule.
    pub(crate) fn label(&self) -> &str {
        if self.message.is_empty() { &self.source } else { &self.message }
    }
}
