//! Who may do what: roles, and their bindings to users, groups and accounts.
//!
//! Owns the kinds of `rbac.authorization.k8s.io` and the rules that they share. Does not decide about requests: that
//! is authorisation's work.
//!
//! Invariant: the names of these kinds are segments of a path, not names of DNS (`system:node` is one).

mod cluster_role;
mod cluster_role_binding;
mod role;
mod role_binding;

use k8s_openapi::api::rbac::v1::{AggregationRule, PolicyRule, RoleRef, Subject};
use serde_json::json;

use super::canonical::canonical;
use super::fields::{list, text};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_subdomain, is_path_segment_name};
use crate::api::object::Column;

/// The group of these kinds, which is also that of users and groups.
const GROUP: &str = "rbac.authorization.k8s.io";
const SUBJECT_KINDS: [&str; 3] = ["ServiceAccount", "User", "Group"];

/// The columns of both bindings.
const BINDING_COLUMNS: &[Column] = &[
    Column { name: "Role", wide: false },
    Column { name: "Age", wide: false },
    Column { name: "Users", wide: true },
    Column { name: "Groups", wide: true },
    Column { name: "ServiceAccounts", wide: true },
];

/// Collects what is wrong with the rules of a role.
fn validate_rules(rules: &[PolicyRule], namespaced: bool, errors: &mut FieldErrors) {
    let path = FieldPath::new("rules");
    for (at, rule) in rules.iter().enumerate() {
        validate_rule(rule, namespaced, &path.index(at), errors);
    }
}

fn validate_rule(rule: &PolicyRule, namespaced: bool, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if rule.verbs.is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    }
    let urls = list(&rule.non_resource_urls);
    let (groups, resources) = (list(&rule.api_groups), list(&rule.resources));
    if !urls.is_empty() {
        let path = path.child("nonResourceURLs");
        if namespaced {
            errors.invalid(&path, json!(urls), "namespaced rules cannot apply to non-resource URLs");
        }
        if !groups.is_empty() || !resources.is_empty() || !list(&rule.resource_names).is_empty() {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&path, json!(urls), detail);
        }
        return;
    }
    if groups.is_empty() {
        errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if resources.is_empty() {
        errors.required(&path.child("resources"), "resource rules must supply at least one resource");
    }
}

fn default_role_ref(role: &mut RoleRef) {
    if text(&role.api_group).is_empty() {
        role.api_group = Some(GROUP.to_owned());
    }
}

fn default_subjects(subjects: &mut Option<Vec<Subject>>) {
    for subject in subjects.iter_mut().flatten() {
        if text(&subject.api_group).is_empty() && matches!(subject.kind.as_str(), "User" | "Group") {
            subject.api_group = Some(GROUP.to_owned());
        }
    }
}

/// Collects what is wrong with a binding: the role of one of these kinds, and who gets it.
fn validate_binding(role: &RoleRef, subjects: &[Subject], namespaced: bool, errors: &mut FieldErrors) {
    let path = FieldPath::new("roleRef");
    if text(&role.api_group) != GROUP {
        errors.not_supported(&path.child("apiGroup"), text(&role.api_group), &[GROUP]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.kind.as_str()) {
        errors.not_supported(&path.child("kind"), role.kind.as_str(), kinds);
    }
    if role.name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        errors.invalid_each(&path.child("name"), &role.name, is_path_segment_name(&role.name));
    }
    let path = FieldPath::new("subjects");
    for (at, subject) in subjects.iter().enumerate() {
        validate_subject(subject, namespaced, &path.index(at), errors);
    }
}

fn validate_subject(subject: &Subject, namespaced: bool, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (name, group) = (subject.name.as_str(), text(&subject.api_group));
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    }
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !name.is_empty() {
                let wrong = check_name(is_dns1123_subdomain, name, false);
                errors.invalid_each(&path.child("name"), name, wrong);
            }
            if !group.is_empty() {
                errors.not_supported(&path.child("apiGroup"), group, &[""]);
            }
            if !namespaced && text(&subject.namespace).is_empty() {
                errors.required(&path.child("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.not_supported(&path.child("apiGroup"), group, &[GROUP]);
            }
        }
        other => errors.not_supported(&path.child("kind"), other, &SUBJECT_KINDS),
    }
}

/// A binding keeps its role for its whole life: what it grants is seen at its creation.
fn validate_same_role(new: &RoleRef, old: &RoleRef, errors: &mut FieldErrors) {
    if new != old {
        let value = json!({ "APIGroup": text(&new.api_group), "Kind": new.kind, "Name": new.name });
        errors.invalid(&FieldPath::new("roleRef"), value, "cannot change roleRef");
    }
}

/// The cells of a binding, its age given.
fn binding_row(role: &RoleRef, subjects: &[Subject], age: String) -> Vec<String> {
    let names = |kind: &str| {
        let names = subjects.iter().filter(|subject| subject.kind == kind).map(|subject| match kind {
            "ServiceAccount" => format!("{}/{}", text(&subject.namespace), subject.name),
            _ => subject.name.clone(),
        });
        names.collect::<Vec<_>>().join(", ")
    };
    vec![format!("{}/{}", role.kind, role.name), age, names("User"), names("Group"), names("ServiceAccount")]
}

canonical! {
    AggregationRule {
        drop: cluster_role_selectors;
    }
    PolicyRule {
        drop: api_groups, non_resource_urls, resource_names, resources;
    }
    RoleRef {
        fill: api_group;
    }
    Subject {
        drop: api_group, namespace;
    }
}
