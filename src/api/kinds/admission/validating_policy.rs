//! ValidatingAdmissionPolicy: rules in CEL that may refuse a write.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    AuditAnnotation, TypeChecking, ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec,
    ValidatingAdmissionPolicyStatus, Validation,
};
use serde_json::{Value, json};

use super::expressions::{
    validate_expression, validate_match_conditions, validate_not_blank, validate_variables,
};
use super::{
    default_match, param_kind_text, validate_constraints, validate_failure_policy, validate_param_kind,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::Canonical;
use crate::api::kinds::conditions::{keep_meta_for_status, validate_conditions};
use crate::api::kinds::fields::{list, text, validate_choice};
use crate::api::names::{check_name, is_dns1123_subdomain, is_qualified_name};
use crate::api::object::{Column, Kind, Scope};
use crate::limits::{AUDIT_ANNOTATIONS, AUDIT_EXPRESSION_BYTES};

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

impl Kind for ValidatingAdmissionPolicy {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Validations", wide: false },
        Column { name: "ParamKind", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        spec.match_constraints.iter_mut().for_each(default_match);
    }

    fn prepare_create(&mut self) {
        self.status = Some(ValidatingAdmissionPolicyStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        keep_meta_for_status(&mut self.metadata, &old.metadata);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        validate_failure_policy(&spec.failure_policy, &path.child("failurePolicy"), errors);
        if let Some(kind) = &spec.param_kind {
            validate_param_kind(kind, &path.child("paramKind"), errors);
        }
        validate_constraints(spec.match_constraints.as_ref(), &path.child("matchConstraints"), errors);
        let conditions = list(&spec.match_conditions);
        validate_match_conditions(conditions, &path.child("matchConditions"), errors);
        validate_variables(list(&spec.variables), &path.child("variables"), errors);
        validate_decisions(text(&self.metadata.name), spec, &path, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let Some(status) = &self.status else { return };
        let path = FieldPath::new("status");
        if let Some(checking) = &status.type_checking {
            validate_type_checking(checking, &path.child("typeChecking"), errors);
        }
        validate_conditions(list(&status.conditions), &path.child("conditions"), errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = ValidatingAdmissionPolicySpec::default();
        let spec = self.spec.as_ref().unwrap_or(&none);
        vec![
            list(&spec.validations).len().to_string(),
            param_kind_text(spec.param_kind.as_ref()),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_decisions(
    policy: &str,
    spec: &ValidatingAdmissionPolicySpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (validations, annotations) = (list(&spec.validations), list(&spec.audit_annotations));
    if validations.is_empty() && annotations.is_empty() {
        for field in ["validations", "auditAnnotations"] {
            let detail = "validations or auditAnnotations must contain at least one item";
            errors.required(&path.child(field), detail);
        }
        return;
    }
    for (at, validation) in validations.iter().enumerate() {
        validate_validation(validation, &path.child("validations").index(at), errors);
    }
    let path = path.child("auditAnnotations");
    if annotations.len() > AUDIT_ANNOTATIONS {
        let value: Vec<Value> = annotations
            .iter()
            .map(
                |annotation| json!({ "Key": annotation.key, "ValueExpression": annotation.value_expression }),
            )
            .collect();
        let detail = format!("must not have more than {AUDIT_ANNOTATIONS} auditAnnotations");
        errors.invalid(&path, value, detail);
    }
    let mut keys = BTreeSet::new();
    for (at, annotation) in annotations.iter().enumerate() {
        validate_annotation(policy, annotation, &path.index(at), errors);
        if !keys.insert(annotation.key.as_str()) {
            errors.duplicate(&path.index(at).child("key"), annotation.key.as_str());
        }
    }
}

fn validate_validation(validation: &Validation, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let absent = "expression is not specified";
    validate_expression(&validation.expression, absent, &path.child("expression"), errors);
    let expression = text(&validation.message_expression);
    validate_not_blank(expression, &path.child("messageExpression"), errors);
    let (field, message) = (path.child("message"), text(&validation.message));
    if validate_not_blank(message, &field, errors) && message.trim().contains(['\n', '\r']) {
        errors.invalid(&field, message, "must not contain line breaks");
    }
    validate_choice(&validation.reason, &REASONS, &path.child("reason"), errors);
}

fn validate_annotation(
    policy: &str,
    annotation: &AuditAnnotation,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let field = path.child("key");
    if policy.is_empty() {
        errors.invalid(&field, annotation.key.as_str(), "requires metadata.name be non-empty");
    } else {
        let key = format!("{policy}/{}", annotation.key);
        errors.invalid_each(&field, &key, is_qualified_name(&key));
    }
    let field = path.child("valueExpression");
    if annotation.value_expression.trim().len() > AUDIT_EXPRESSION_BYTES {
        errors.required(&field, format!("must not exceed {AUDIT_EXPRESSION_BYTES} bytes in length"));
    } else {
        let absent = "valueExpression is not specified";
        validate_expression(&annotation.value_expression, absent, &field, errors);
    }
}

fn validate_type_checking(checking: &TypeChecking, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, warning) in list(&checking.expression_warnings).iter().enumerate() {
        let path = path.child("expressionWarnings");
        let path = path.index(at);
        if warning.warning.is_empty() {
            errors.required(&path.child("warning"), "");
        }
        if warning.field_ref.trim().is_empty() {
            errors.required(&path.child("fieldRef"), "");
        }
    }
}
