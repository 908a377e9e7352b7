//! The expressions in CEL that webhooks and policies carry: that they are there, and how their conditions and
//! variables are named.
//!
//! The one place through which every expression of these kinds goes ([`validate_expression`]). What they
//! may name and of which type they are is not looked at here.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{MatchCondition, Variable};

use crate::api::cel::Program;
use crate::api::error::{FieldErrors, FieldPath, Problem};
use crate::api::names::is_qualified_name;
use crate::limits::MATCH_CONDITIONS;

/// Words that no variable may be called.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Collects what is wrong with an expression that must be given; `absent` says so.
pub(super) fn validate_expression(
    expression: &str,
    absent: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if expression.trim().is_empty() {
        errors.required(path, absent);
    } else if let Err(cause) = Program::parse(expression) {
        errors.invalid(path, expression, format!("compilation failed: {cause}"));
    }
}

/// Collects what is wrong with the conditions under which a webhook or a policy is asked at all.
pub(super) fn validate_match_conditions(
    conditions: &[MatchCondition],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if conditions.len() > MATCH_CONDITIONS {
        errors.too_many(path, conditions.len(), MATCH_CONDITIONS);
    }
    let mut seen = BTreeSet::new();
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        validate_expression(&condition.expression, "", &path.child("expression"), errors);
        let (field, name) = (path.child("name"), condition.name.as_str());
        if name.is_empty() {
            errors.required(&field, "");
            continue;
        }
        errors.invalid_each(&field, name, is_qualified_name(name));
        if !seen.insert(name) {
            errors.duplicate(&field, name);
        }
    }
}

/// Collects what is wrong with the variables of a policy.
pub(super) fn validate_variables(variables: &[Variable], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, variable) in variables.iter().enumerate() {
        let path = path.index(at);
        let name = variable.name.as_str();
        if name.trim().is_empty() {
            errors.required(&path.child("name"), "name is not specified");
        } else if !is_identifier(name) {
            errors.invalid(&path.child("name"), name, "must be a valid CEL identifier");
        }
        let absent = "expression is not specified";
        validate_expression(&variable.expression, absent, &path.child("expression"), errors);
    }
}

fn is_identifier(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(fits)
        && !RESERVED.contains(&name)
}

/// A text that, where it is given, may not be blank.
pub(super) fn validate_not_blank(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) -> bool {
    let blank = !value.is_empty() && value.trim().is_empty();
    if blank {
        errors.push(Problem::Invalid, path, value.into(), "must be non-empty if specified");
    }
    !blank
}
