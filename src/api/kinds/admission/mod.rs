//! Who else is asked about a write: webhooks, and policies in CEL with their bindings.
//!
//! Owns the kinds of `admissionregistration.k8s.io` and the rules that they share: what a rule matches, what a policy's
//! parameters are. Asks nobody: calling webhooks and running policies is the door's work.
//!
//! Invariant: what these kinds say of an expression depends on its text alone (see `expressions`).

mod canonical;
mod expressions;
mod mutating_binding;
mod mutating_policy;
mod mutating_webhooks;
mod validating_binding;
mod validating_policy;
mod validating_webhooks;
mod webhook;

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ParamKind, ParamRef, RuleWithOperations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::fields::{list, text, validate_label_selector};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1035_label, is_dns1123_subdomain, is_path_segment_name};

const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];
const REINVOCATION_POLICIES: [&str; 2] = ["IfNeeded", "Never"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MUTATING_OPERATIONS: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];

/// What a rule says, with or without names of resources.
#[derive(Clone, Copy)]
struct Rule<'a> {
    operations: &'a [String],
    groups: &'a [String],
    versions: &'a [String],
    resources: &'a [String],
    scope: &'a Option<String>,
}

impl<'a> From<&'a RuleWithOperations> for Rule<'a> {
    fn from(rule: &'a RuleWithOperations) -> Rule<'a> {
        Rule {
            operations: list(&rule.operations),
            groups: list(&rule.api_groups),
            versions: list(&rule.api_versions),
            resources: list(&rule.resources),
            scope: &rule.scope,
        }
    }
}

impl<'a> From<&'a NamedRuleWithOperations> for Rule<'a> {
    fn from(rule: &'a NamedRuleWithOperations) -> Rule<'a> {
        Rule {
            operations: list(&rule.operations),
            groups: list(&rule.api_groups),
            versions: list(&rule.api_versions),
            resources: list(&rule.resources),
            scope: &rule.scope,
        }
    }
}

fn default_scope(scope: &mut Option<String>) {
    scope.get_or_insert_with(|| "*".to_owned());
}

fn default_match(resources: &mut MatchResources) {
    resources.match_policy.get_or_insert_with(|| "Equivalent".to_owned());
    resources.namespace_selector.get_or_insert_default();
    resources.object_selector.get_or_insert_default();
    let rules = resources.resource_rules.iter_mut().chain(resources.exclude_resource_rules.iter_mut());
    rules.flatten().for_each(|rule| default_scope(&mut rule.scope));
}

fn is_wild(words: &[String]) -> bool {
    words.iter().any(|word| word == "*")
}

fn validate_rule(rule: Rule<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let field = path.child("operations");
    if rule.operations.is_empty() {
        errors.required(&field, "");
    }
    if rule.operations.len() > 1 && is_wild(rule.operations) {
        let detail = "if '*' is present, must not specify other operations";
        errors.invalid(&field, json!(rule.operations), detail);
    }
    for (at, operation) in rule.operations.iter().enumerate() {
        if !OPERATIONS.contains(&operation.as_str()) {
            errors.not_supported(&field.index(at), operation.as_str(), &OPERATIONS);
        }
    }
    for (field, words, what) in
        [("apiGroups", rule.groups, "API groups"), ("apiVersions", rule.versions, "API versions")]
    {
        let path = path.child(field);
        if words.is_empty() {
            errors.required(&path, "");
        }
        if words.len() > 1 && is_wild(words) {
            let detail = format!("if '*' is present, must not specify other {what}");
            errors.invalid(&path, json!(words), detail);
        }
    }
    for (at, _) in rule.versions.iter().enumerate().filter(|(_, version)| version.is_empty()) {
        errors.required(&path.child("apiVersions").index(at), "");
    }
    validate_resources(rule.resources, &path.child("resources"), errors);
    if let Some(scope) = rule.scope
        && !SCOPES.contains(&scope.as_str())
    {
        errors.not_supported(&path.child("scope"), scope.as_str(), &SCOPES);
    }
}

/// Resources with or without their subresources: `pods`, `pods/*`, `*/status`.
fn validate_resources(resources: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if resources.is_empty() {
        errors.required(path, "");
    }
    let (mut all_below, mut everywhere) = (BTreeSet::new(), BTreeSet::new());
    let (mut wild, mut plain) = (false, false);
    for (at, both) in resources.iter().enumerate() {
        if both.is_empty() {
            errors.required(&path.index(at), "");
            continue;
        }
        wild |= both == "*";
        let Some((resource, below)) = both.split_once('/') else {
            // The last one decides, as upstream has it.
            plain = both != "*";
            continue;
        };
        if all_below.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {both}");
            errors.invalid(&path.index(at), both.as_str(), detail);
        }
        if everywhere.contains(below) {
            let detail = format!("if '*/{below}' is present, must not specify {both}");
            errors.invalid(&path.index(at), both.as_str(), detail);
        }
        if below == "*" {
            all_below.insert(resource);
        }
        if resource == "*" {
            everywhere.insert(below);
        }
    }
    if resources.len() > 1 && resources.iter().any(|both| both == "*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.invalid(path, json!(resources), detail);
    }
    if wild && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.invalid(path, json!(resources), detail);
    }
}

fn validate_match(resources: &MatchResources, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let field = path.child("matchPolicy");
    match resources.match_policy.as_deref() {
        None => errors.required(&field, ""),
        Some(policy) if !MATCH_POLICIES.contains(&policy) => {
            errors.not_supported(&field, policy, &MATCH_POLICIES);
        }
        Some(_) => {}
    }
    let selectors = [
        ("namespaceSelector", &resources.namespace_selector),
        ("objectSelector", &resources.object_selector),
    ];
    for (field, selector) in selectors {
        match selector {
            Some(selector) => validate_label_selector(selector, &path.child(field), errors),
            None => errors.required(&path.child(field), ""),
        }
    }
    let rules = [
        ("resourceRules", &resources.resource_rules),
        ("excludeResourceRules", &resources.exclude_resource_rules),
    ];
    for (field, rules) in rules {
        for (at, rule) in list(rules).iter().enumerate() {
            validate_named_rule(rule, &path.child(field).index(at), errors);
        }
    }
}

fn validate_named_rule(rule: &NamedRuleWithOperations, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    let path_of_names = path.child("resourceNames");
    for (at, name) in list(&rule.resource_names).iter().enumerate() {
        errors.invalid_each(&path_of_names.index(at), name, is_path_segment_name(name));
        if !seen.insert(name) {
            errors.duplicate(&path_of_names.index(at), name.as_str());
        }
    }
    validate_rule(rule.into(), path, errors);
}

/// What a policy applies to, which it must say.
fn validate_constraints(
    constraints: Option<&MatchResources>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let Some(constraints) = constraints else {
        errors.required(path, "");
        return;
    };
    validate_match(constraints, path, errors);
    if list(&constraints.resource_rules).is_empty() {
        errors.required(&path.child("resourceRules"), "");
    }
}

/// What is deleted cannot be changed.
fn validate_mutating_operations(resources: &MatchResources, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let operations = list(&resources.resource_rules).iter().flat_map(|rule| list(&rule.operations));
    for operation in operations.filter(|operation| !MUTATING_OPERATIONS.contains(&operation.as_str())) {
        let path = path.child("resourceRules");
        errors.not_supported(&path.child("operations"), operation.as_str(), &MUTATING_OPERATIONS);
    }
}

fn validate_failure_policy(policy: &Option<String>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match policy.as_deref() {
        None => errors.required(path, ""),
        Some(policy) if !FAILURE_POLICIES.contains(&policy) => {
            errors.not_supported(path, policy, &FAILURE_POLICIES);
        }
        Some(_) => {}
    }
}

fn validate_param_kind(kind: &ParamKind, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let field = path.child("apiVersion");
    let both = text(&kind.api_version);
    match both.split('/').collect::<Vec<_>>()[..] {
        [""] => errors.required(&field, ""),
        ["", ""] => errors.invalid(&field, both, "version must be specified"),
        [version] => validate_version(both, version, &field, errors),
        [group, version] => {
            let wrong = is_dns1123_subdomain(group);
            if !group.is_empty() && !wrong.is_empty() {
                errors.invalid(&field, group, wrong.join(","));
            }
            validate_version(both, version, &field, errors);
        }
        _ => errors.invalid(&field, both, format!("unexpected GroupVersion string: {both}")),
    }
    let (field, name) = (path.child("kind"), text(&kind.kind));
    let wrong = is_dns1035_label(&name.to_lowercase());
    if name.is_empty() {
        errors.required(&field, "");
    } else if !wrong.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        errors.invalid(&field, name, detail);
    }
}

fn validate_version(both: &str, version: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let wrong = is_dns1035_label(version);
    if version.is_empty() {
        errors.invalid(path, both, "version must be specified");
    } else if !wrong.is_empty() {
        errors.invalid(path, version, wrong.join(","));
    }
}

fn validate_param_ref(reference: &ParamRef, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    let name = text(&reference.name);
    if !name.is_empty() {
        errors.invalid_each(&path.child("name"), name, is_path_segment_name(name));
        if reference.selector.is_some() {
            errors.forbidden(&path.child("name"), EXCLUSIVE);
        }
    }
    match &reference.selector {
        Some(selector) => {
            validate_label_selector(selector, &path.child("selector"), errors);
            if !name.is_empty() {
                errors.forbidden(&path.child("selector"), EXCLUSIVE);
            }
        }
        None if name.is_empty() => errors.required(path, "one of name or selector must be specified"),
        None => {}
    }
    let field = path.child("parameterNotFoundAction");
    match text(&reference.parameter_not_found_action) {
        "" => errors.required(&field, ""),
        "Deny" | "Allow" => {}
        other => errors.not_supported(&field, other, &["Deny", "Allow"]),
    }
}

/// What a binding binds, for either kind of policy.
fn validate_binding(
    policy: &str,
    params: Option<&ParamRef>,
    resources: Option<&MatchResources>,
    errors: &mut FieldErrors,
) {
    let path = FieldPath::new("spec");
    if policy.is_empty() {
        errors.required(&path.child("policyName"), "");
    } else {
        let wrong = check_name(is_dns1123_subdomain, policy, false);
        errors.invalid_each(&path.child("policyName"), policy, wrong);
    }
    if let Some(params) = params {
        validate_param_ref(params, &path.child("paramRef"), errors);
    }
    if let Some(resources) = resources {
        validate_match(resources, &path.child("matchResources"), errors);
    }
}

/// The cell of a policy's kind of parameters.
fn param_kind_text(kind: Option<&ParamKind>) -> String {
    kind.map_or_else(
        || "<unset>".to_owned(),
        |kind| format!("{}/{}", text(&kind.api_version), text(&kind.kind)),
    )
}

/// The cell of a binding's parameters.
fn param_ref_text(reference: Option<&ParamRef>) -> String {
    let Some(reference) = reference else { return "<unset>".to_owned() };
    match (text(&reference.namespace), text(&reference.name)) {
        (_, "") => reference.selector.as_ref().map_or_else(|| "<unset>".to_owned(), selector_text),
        ("", name) => format!("*/{name}"),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// A selector as Go prints the struct.
fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}: {value},"));
    let requirements = list(&selector.match_expressions).iter().map(|requirement| {
        let values = list(&requirement.values).join(" ");
        format!(
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            requirement.key, requirement.operator
        )
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        requirements.collect::<String>()
    )
}
