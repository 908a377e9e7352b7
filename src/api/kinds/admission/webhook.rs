//! What validating and mutating webhooks have in common: defaults and rules of one webhook.

use std::collections::BTreeSet;

use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, RuleWithOperations, ValidatingWebhook, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use super::expressions::validate_match_conditions;
use super::{FAILURE_POLICIES, MATCH_POLICIES, default_scope, validate_rule};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, validate_choice, validate_label_selector};
use crate::api::kinds::webhook_client::{validate_webhook_service, validate_webhook_url};
use crate::api::names::{is_dns1035_label, is_dns1123_subdomain};

/// The port of a webhook's Service, and how long a call may take, where nothing is said.
const PORT: i32 = 443;
const SECONDS: i32 = 10;
const MOST_SECONDS: i32 = 30;
const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

/// The parts that both kinds of webhook have.
#[derive(Clone, Copy)]
pub(super) struct Hook<'a> {
    name: &'a str,
    client: &'a WebhookClientConfig,
    rules: &'a [RuleWithOperations],
    failure_policy: &'a Option<String>,
    match_policy: &'a Option<String>,
    namespaces: Option<&'a LabelSelector>,
    objects: Option<&'a LabelSelector>,
    side_effects: &'a str,
    timeout: Option<i32>,
    conditions: &'a [MatchCondition],
    reviews: &'a [String],
}

/// Both structs have the same fields, but no common type: each macro writes one function for both.
macro_rules! both {
    ($($kind:ident $default:ident),+) => {
        $(impl<'a> From<&'a $kind> for Hook<'a> {
            fn from(hook: &'a $kind) -> Hook<'a> {
                Hook {
                    name: &hook.name,
                    client: &hook.client_config,
                    rules: list(&hook.rules),
                    failure_policy: &hook.failure_policy,
                    match_policy: &hook.match_policy,
                    namespaces: hook.namespace_selector.as_ref(),
                    objects: hook.object_selector.as_ref(),
                    side_effects: &hook.side_effects,
                    timeout: hook.timeout_seconds,
                    conditions: list(&hook.match_conditions),
                    reviews: &hook.admission_review_versions,
                }
            }
        }

        /// Fills what the user left out.
        pub(super) fn $default(hook: &mut $kind) {
            hook.failure_policy.get_or_insert_with(|| "Fail".to_owned());
            hook.match_policy.get_or_insert_with(|| "Equivalent".to_owned());
            hook.namespace_selector.get_or_insert_default();
            hook.object_selector.get_or_insert_default();
            hook.timeout_seconds.get_or_insert(SECONDS);
            for rule in hook.rules.iter_mut().flatten() {
                default_scope(&mut rule.scope);
            }
            if let Some(service) = &mut hook.client_config.service {
                service.port.get_or_insert(PORT);
            }
        })+
    };
}

both!(ValidatingWebhook default_validating, MutatingWebhook default_mutating);

/// Collects what is wrong with the webhooks of one configuration; `more` checks what only one kind has.
pub(super) fn validate_hooks<'a, T>(
    hooks: &'a [T],
    more: fn(&T, &FieldPath<'_>, &mut FieldErrors),
    errors: &mut FieldErrors,
) where
    &'a T: Into<Hook<'a>>,
{
    let path = FieldPath::new("webhooks");
    let mut names = BTreeSet::new();
    for (at, both) in hooks.iter().enumerate() {
        let hook: Hook<'a> = both.into();
        let path = path.index(at);
        validate_name(hook.name, &path.child("name"), errors);
        validate_plain(hook, &path, errors);
        more(both, &path, errors);
        validate_client(hook.client, &path.child("clientConfig"), errors);
        validate_match_conditions(hook.conditions, &path.child("matchConditions"), errors);
        validate_reviews(hook.reviews, &path.child("admissionReviewVersions"), errors);
        if !hook.name.is_empty() && !names.insert(hook.name) {
            errors.duplicate(&path.child("name"), hook.name);
        }
    }
}

fn validate_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let wrong = is_dns1123_subdomain(name);
    if name.is_empty() {
        errors.required(path, "");
    } else if !wrong.is_empty() {
        errors.invalid(path, name, wrong.join(","));
    } else if name.split('.').count() < 3 {
        errors.invalid(path, name, "should be a domain with at least three segments separated by dots");
    }
}

fn validate_plain(hook: Hook<'_>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, rule) in hook.rules.iter().enumerate() {
        validate_rule(rule.into(), &path.child("rules").index(at), errors);
    }
    validate_choice(hook.failure_policy, &FAILURE_POLICIES, &path.child("failurePolicy"), errors);
    validate_choice(hook.match_policy, &MATCH_POLICIES, &path.child("matchPolicy"), errors);
    let field = path.child("sideEffects");
    match hook.side_effects {
        "" => errors.required(&field, format!("must specify one of {}", SIDE_EFFECTS.join(", "))),
        other if !SIDE_EFFECTS.contains(&other) => errors.not_supported(&field, other, &SIDE_EFFECTS),
        _ => {}
    }
    if let Some(seconds) = hook.timeout.filter(|seconds| !(1..=MOST_SECONDS).contains(seconds)) {
        let detail = format!("the timeout value must be between 1 and {MOST_SECONDS} seconds");
        errors.invalid(&path.child("timeoutSeconds"), seconds, detail);
    }
    for (field, selector) in [("namespaceSelector", hook.namespaces), ("objectSelector", hook.objects)] {
        if let Some(selector) = selector {
            validate_label_selector(selector, &path.child(field), errors);
        }
    }
}

fn validate_client(client: &WebhookClientConfig, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match (&client.url, &client.service) {
        (Some(url), None) => validate_webhook_url(url, &path.child("url"), errors),
        (None, Some(service)) => {
            let port = service.port.unwrap_or(PORT);
            let (namespace, name, at) = (&service.namespace, &service.name, service.path.as_deref());
            validate_webhook_service(namespace, name, at, port, &path.child("service"), errors);
        }
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

fn validate_reviews(versions: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if versions.is_empty() {
        errors.required(path, format!("must specify one of {}", REVIEWS.join(", ")));
        return;
    }
    let mut seen = BTreeSet::new();
    for (at, version) in versions.iter().enumerate() {
        if seen.insert(version.as_str()) {
            errors.invalid_each(&path.index(at), version, is_dns1035_label(version));
        } else {
            errors.invalid(&path.index(at), version.as_str(), "duplicate version");
        }
    }
    if !REVIEWS.iter().any(|known| seen.contains(known)) {
        let detail = format!("must include at least one of {}", REVIEWS.join(", "));
        errors.invalid(path, json!(versions), detail);
    }
}
