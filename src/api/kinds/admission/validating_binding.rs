//! ValidatingAdmissionPolicyBinding: where a validating policy holds, and what then happens.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use serde_json::json;

use super::{default_match, param_ref_text, validate_binding};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::Canonical;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

impl Kind for ValidatingAdmissionPolicyBinding {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[
        Column { name: "PolicyName", wide: false },
        Column { name: "ParamRef", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        self.spec.match_resources.iter_mut().for_each(default_match);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let spec = &self.spec;
        validate_binding(&spec.policy_name, spec.param_ref.as_ref(), spec.match_resources.as_ref(), errors);
        let path = FieldPath::new("spec");
        validate_actions(&spec.validation_actions, &path.child("validationActions"), errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let age = since(self.metadata.creation_timestamp.as_ref(), now);
        vec![self.spec.policy_name.clone(), param_ref_text(self.spec.param_ref.as_ref()), age]
    }
}

fn validate_actions(actions: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (at, action) in actions.iter().enumerate() {
        if !ACTIONS.contains(&action.as_str()) {
            errors.not_supported(&path.index(at), action.as_str(), &ACTIONS);
        }
        if !seen.insert(action.as_str()) {
            errors.duplicate(&path.index(at), action.as_str());
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                      API response and headers serves no purpose)";
        errors.invalid(path, json!(actions), detail);
    }
    if actions.is_empty() {
        errors.required(path, "at least one validation action is required");
    }
}
