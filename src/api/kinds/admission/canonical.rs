//! The canonical form of the kinds of admission: one table, taken from the published Go types.

use k8s_openapi::api::admissionregistration::v1::{
    ApplyConfiguration, AuditAnnotation, ExpressionWarning, JSONPatch, MatchCondition, MatchResources,
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingAdmissionPolicyBindingSpec,
    MutatingAdmissionPolicySpec, MutatingWebhook, MutatingWebhookConfiguration, Mutation,
    NamedRuleWithOperations, ParamKind, ParamRef, RuleWithOperations, TypeChecking,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, ValidatingAdmissionPolicyStatus, ValidatingWebhook,
    ValidatingWebhookConfiguration, Validation, Variable, WebhookClientConfig,
};

use crate::api::kinds::canonical::{canonical, canonical_as_is};

canonical_as_is!(AuditAnnotation, ExpressionWarning, MatchCondition, Variable);

canonical! {
    ApplyConfiguration {
        drop: expression;
    }
    JSONPatch {
        drop: expression;
    }
    MatchResources {
        drop: exclude_resource_rules, resource_rules;
        keep: namespace_selector, object_selector;
    }
    MutatingAdmissionPolicy {
        fill: spec;
    }
    MutatingAdmissionPolicyBinding {
        fill: spec;
    }
    MutatingAdmissionPolicyBindingSpec {
        drop: policy_name;
        keep: match_resources, param_ref;
    }
    MutatingAdmissionPolicySpec {
        drop: match_conditions, mutations, reinvocation_policy, variables;
        keep: match_constraints, param_kind;
    }
    MutatingWebhook {
        drop: match_conditions, rules;
        keep: namespace_selector, object_selector;
        deep: client_config;
    }
    MutatingWebhookConfiguration {
        drop: webhooks;
    }
    Mutation {
        keep: apply_configuration, json_patch;
    }
    NamedRuleWithOperations {
        drop: api_groups, api_versions, operations, resource_names, resources;
    }
    ParamKind {
        drop: api_version, kind;
    }
    ParamRef {
        drop: name, namespace;
        keep: selector;
    }
    RuleWithOperations {
        drop: api_groups, api_versions, operations, resources;
    }
    TypeChecking {
        drop: expression_warnings;
    }
    ValidatingAdmissionPolicy {
        fill: spec, status;
    }
    ValidatingAdmissionPolicyBinding {
        deep: spec;
    }
    ValidatingAdmissionPolicyBindingSpec {
        keep: match_resources, param_ref;
    }
    ValidatingAdmissionPolicySpec {
        drop: audit_annotations, match_conditions, validations, variables;
        keep: match_constraints, param_kind;
    }
    ValidatingAdmissionPolicyStatus {
        drop: conditions, observed_generation;
        keep: type_checking;
    }
    ValidatingWebhook {
        drop: match_conditions, rules;
        keep: namespace_selector, object_selector;
        deep: client_config;
    }
    ValidatingWebhookConfiguration {
        drop: webhooks;
    }
    Validation {
        drop: message, message_expression;
    }
    WebhookClientConfig {
        drop: ca_bundle;
    }
}
