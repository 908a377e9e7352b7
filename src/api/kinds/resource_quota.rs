//! ResourceQuota: how much all objects of a namespace may ask for together.
//!
//! Owns the rules of the object; counting what is used is another's work.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus, ScopeSelector, ScopedResourceSelectorRequirement,
};
use serde_json::{Value, json};

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::list;
use super::resources::{
    ResourceList, is_standard_for_quota, round_amounts, validate_amount, validate_resource,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

const SCOPES: [&str; 7] = [
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
/// Scopes of which no object has both.
const EXCLUSIVE: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
/// What a pod asks for.
const COMPUTE: [&str; 6] =
    ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

impl Kind for ResourceQuota {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["quota"];
    const HAS_STATUS: bool = true;
    const QUANTITIES: &'static [&'static str] = &["hard", "used"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Request", wide: false },
        Column { name: "Limit", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        round_amounts(&mut self.spec.get_or_insert_default().hard);
        let status = self.status.get_or_insert_default();
        round_amounts(&mut status.hard);
        round_amounts(&mut status.used);
    }

    fn prepare_create(&mut self) {
        self.status = Some(ResourceQuotaStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(spec) = &self.spec {
            let path = FieldPath::new("spec");
            validate_amounts(&spec.hard, &path.child("hard"), errors);
            validate_scopes(spec, &path.child("scopes"), errors);
            if let Some(selector) = &spec.scope_selector {
                validate_selector(spec, selector, &path.child("scopeSelector"), errors);
            }
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let scopes = |quota: &Self| -> BTreeSet<String> {
            quota.spec.iter().flat_map(|spec| list(&spec.scopes)).cloned().collect()
        };
        if scopes(self) != scopes(old) {
            let path = FieldPath::new("spec");
            let value = json!(self.spec.as_ref().map(|spec| &spec.scopes));
            errors.invalid(&path.child("scopes"), value, IMMUTABLE);
        }
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        if let Some(status) = &self.status {
            let path = FieldPath::new("status");
            validate_amounts(&status.hard, &path.child("hard"), errors);
            validate_amounts(&status.used, &path.child("used"), errors);
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = ResourceQuotaStatus::default();
        let status = self.status.as_ref().unwrap_or(&none);
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in status.hard.iter().flatten() {
            let used = status.used.as_ref().and_then(|used| used.get(name)).map_or("0", |used| &used.0);
            let column = if name.starts_with("limits.") { &mut limits } else { &mut requests };
            column.push(format!("{name}: {used}/{}", hard.0));
        }
        vec![requests.join(", "), limits.join(", "), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

fn validate_amounts(amounts: &Option<ResourceList>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (name, quantity) in amounts.iter().flatten() {
        let path = path.key(name);
        validate_resource(name, &path, errors);
        if !name.contains('/') && !is_standard_for_quota(name) {
            errors.invalid(&path, name.as_str(), "must be a standard resource for quota");
        }
        validate_amount(name, quantity, &path, errors);
    }
}

/// Whether objects of the scope ask for the resource at all.
fn is_in_scope(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => resource == "pods" || COMPUTE.contains(&resource),
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

/// How many of the resources are not in the scope.
fn out_of_scope(spec: &ResourceQuotaSpec, scope: &str) -> usize {
    let names = spec.hard.iter().flatten().map(|(name, _)| name);
    names.filter(|name| is_standard_for_quota(name) && !is_in_scope(scope, name)).count()
}

fn has_exclusive(scopes: &BTreeSet<&str>) -> usize {
    EXCLUSIVE.iter().filter(|pair| pair.iter().all(|scope| scopes.contains(scope))).count()
}

fn validate_scopes(spec: &ResourceQuotaSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let scopes = list(&spec.scopes);
    let value = || json!(scopes);
    for scope in scopes {
        if !SCOPES.contains(&scope.as_str()) {
            errors.invalid(path, value(), "unsupported scope");
        }
        for _ in 0..out_of_scope(spec, scope) {
            errors.invalid(path, value(), "unsupported scope applied to resource");
        }
    }
    let set = scopes.iter().map(String::as_str).collect();
    for _ in 0..has_exclusive(&set) {
        errors.invalid(path, value(), "conflicting scopes");
    }
}

fn validate_selector(
    spec: &ResourceQuotaSpec,
    selector: &ScopeSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.child("matchExpressions");
    let requirements = list(&selector.match_expressions);
    for requirement in requirements {
        let scope = requirement.scope_name.as_str();
        if !SCOPES.contains(&scope) {
            errors.invalid(&path.child("scopeName"), scope, "unsupported scope");
        }
        for _ in 0..out_of_scope(spec, scope) {
            let all: Vec<Value> = requirements.iter().map(internal).collect();
            let value = json!({ "MatchExpressions": all });
            errors.invalid(&path, value, "unsupported scope applied to resource");
        }
        validate_requirement(requirement, &path, errors);
    }
    let set = requirements.iter().map(|requirement| requirement.scope_name.as_str()).collect();
    for _ in 0..has_exclusive(&set) {
        errors.invalid(&path, json!(spec.scopes), "conflicting scopes");
    }
}

/// A requirement as upstream's messages show it.
fn internal(requirement: &ScopedResourceSelectorRequirement) -> Value {
    json!({ "ScopeName": requirement.scope_name, "Operator": requirement.operator, "Values": requirement.values })
}

fn validate_requirement(
    requirement: &ScopedResourceSelectorRequirement,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (operator, values) = (requirement.operator.as_str(), list(&requirement.values));
    let plain = !matches!(requirement.scope_name.as_str(), "PriorityClass" | "VolumeAttributesClass")
        && SCOPES.contains(&requirement.scope_name.as_str());
    if plain && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort \
                      or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.invalid(&path.child("operator"), operator, detail);
    }
    match operator {
        "In" | "NotIn" => {
            if values.is_empty() {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.required(&path.child("values"), detail);
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.invalid(&path.child("values"), json!(values), detail);
            }
        }
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
}

canonical! {
    ResourceQuota {
        fill: spec, status;
    }
    ResourceQuotaSpec {
        drop: hard, scopes;
        keep: scope_selector;
    }
    ResourceQuotaStatus {
        drop: hard, used;
    }
    ScopeSelector {
        drop: match_expressions;
    }
    ScopedResourceSelectorRequirement {
        drop: values;
    }
}
