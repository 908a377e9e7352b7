//! MutatingAdmissionPolicy: changes in CEL to what is written.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicySpec, Mutation,
};

use super::expressions::{validate_expression, validate_match_conditions, validate_variables};
use super::{
    REINVOCATION_POLICIES, default_match, param_kind_text, validate_constraints, validate_failure_policy,
    validate_mutating_operations, validate_param_kind,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::Canonical;
use crate::api::kinds::fields::{list, text, validate_required_choice};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

const PATCHES: [&str; 2] = ["ApplyConfiguration", "JSONPatch"];

impl Kind for MutatingAdmissionPolicy {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Mutations", wide: false },
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
        let constraints = path.child("matchConstraints");
        validate_constraints(spec.match_constraints.as_ref(), &constraints, errors);
        if let Some(resources) = &spec.match_constraints {
            validate_mutating_operations(resources, &constraints, errors);
        }
        let conditions = list(&spec.match_conditions);
        validate_match_conditions(conditions, &path.child("matchConditions"), errors);
        validate_variables(list(&spec.variables), &path.child("variables"), errors);
        validate_mutations(list(&spec.mutations), &path.child("mutations"), errors);
        let field = path.child("reinvocationPolicy");
        validate_required_choice(&spec.reinvocation_policy, &REINVOCATION_POLICIES, &field, errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = MutatingAdmissionPolicySpec::default();
        let spec = self.spec.as_ref().unwrap_or(&none);
        vec![
            list(&spec.mutations).len().to_string(),
            param_kind_text(spec.param_kind.as_ref()),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_mutations(mutations: &[Mutation], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if mutations.is_empty() {
        errors.required(path, "mutations must contain at least one item");
    }
    for (at, mutation) in mutations.iter().enumerate() {
        validate_mutation(mutation, &path.index(at), errors);
    }
}

/// A mutation carries the expression of its type, and none of the other.
fn validate_mutation(mutation: &Mutation, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let apply = mutation.apply_configuration.as_ref().map(|apply| text(&apply.expression));
    let patch = mutation.json_patch.as_ref().map(|patch| text(&patch.expression));
    let (apply, patch) = (("applyConfiguration", apply), ("jsonPatch", patch));
    let kind = mutation.patch_type.as_str();
    let ((field, wanted), (other_field, other)) = match kind {
        "ApplyConfiguration" => (apply, patch),
        "JSONPatch" => (patch, apply),
        "" => return errors.required(&path.child("patchType"), ""),
        _ => return errors.not_supported(&path.child("patchType"), kind, &PATCHES),
    };
    match wanted {
        Some(expression) => {
            validate_expression(expression, "", &path.child(field).child("expression"), errors);
        }
        None => {
            let detail = format!("must be specified when patchType is {kind}");
            errors.required(&path.child(field), detail);
        }
    }
    if other.is_some() {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.invalid(&path.child(other_field), format!("{{{other_field}}}"), detail);
    }
}
