//! Webhooks and policies of admission.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};

use super::{check, check_defaults, check_row, check_status, check_update};

const META: &str = "metadata: {name: x}\n";
/// A webhook in which nothing is wrong, as the beginning of a flow mapping.
const HOOK: &str = "{name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'https://a'}";
const RULE: &str = "operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]";

fn hooks(more: &str) -> String {
    format!("{META}webhooks: [{HOOK}{more}}}]")
}

#[test]
fn webhooks_and_their_defaults() {
    check_defaults::<MutatingWebhookConfiguration>(
        "metadata: {name: x}\nwebhooks: [{name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], \
         clientConfig: {service: {name: s, namespace: n}}, rules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}]}]",
        "metadata: {name: x}\nwebhooks: [{name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], \
         clientConfig: {service: {name: s, namespace: n, port: 443}}, \
         rules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods], scope: '*'}], \
         failurePolicy: Fail, matchPolicy: Equivalent, namespaceSelector: {}, objectSelector: {}, timeoutSeconds: 10, reinvocationPolicy: Never}]",
    );
    check_defaults::<ValidatingWebhookConfiguration>(
        &hooks(""),
        "metadata: {name: x}\nwebhooks: [{name: a.example.com, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'https://a'}, \
         failurePolicy: Fail, matchPolicy: Equivalent, namespaceSelector: {}, objectSelector: {}, timeoutSeconds: 10}]",
    );
}

#[test]
fn webhooks() {
    let rows = [
        ("", ""),
        (", rules: []", ""),
        (
            ", failurePolicy: Maybe",
            "webhooks[0].failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\"\n",
        ),
        (
            ", matchPolicy: Near",
            "webhooks[0].matchPolicy: Unsupported value: \"Near\": supported values: \"Equivalent\", \"Exact\"\n",
        ),
        (
            ", timeoutSeconds: 31",
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds\n",
        ),
        (
            ", timeoutSeconds: 0",
            "webhooks[0].timeoutSeconds: Invalid value: 0: the timeout value must be between 1 and 30 seconds\n",
        ),
        (
            ", objectSelector: {matchExpressions: [{key: a, operator: In}]}",
            "webhooks[0].objectSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'\n",
        ),
        (
            ", matchConditions: [{name: a, expression: 'true'}, {name: a, expression: ' '}, {name: '', expression: 'true'}]",
            "webhooks[0].matchConditions[1].expression: Required value\n\
             webhooks[0].matchConditions[1].name: Duplicate value: \"a\"\n\
             webhooks[0].matchConditions[2].name: Required value\n",
        ),
        (
            ", matchConditions: [{name: 'a b', expression: 'true'}]",
            "webhooks[0].matchConditions[0].name: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', \
             and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n",
        ),
    ];
    for (more, expected) in rows {
        check::<ValidatingWebhookConfiguration>(&hooks(more), expected);
        check::<MutatingWebhookConfiguration>(&hooks(more), expected);
    }
    check::<MutatingWebhookConfiguration>(
        &hooks(", reinvocationPolicy: Always"),
        "webhooks[0].reinvocationPolicy: Unsupported value: \"Always\": supported values: \"IfNeeded\", \"Never\"\n",
    );
    check_update::<MutatingWebhookConfiguration>(&hooks(""), &hooks(", timeoutSeconds: 3"), true, "");
    check_update::<ValidatingWebhookConfiguration>(&hooks(""), &hooks(", timeoutSeconds: 10"), false, "");
    check_row::<ValidatingWebhookConfiguration>(&hooks(""), "1 | <unknown>");
    check_row::<MutatingWebhookConfiguration>(
        "metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}",
        "0 | 60m",
    );
}

#[test]
fn names_clients_and_versions_of_webhooks() {
    let rows = [
        (
            "{name: '', sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'https://a'}}",
            "webhooks[0].name: Required value\n",
        ),
        (
            "{name: a.b, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'https://a'}}",
            "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots\n",
        ),
        (
            "{name: a.b.c, sideEffects: Some, admissionReviewVersions: [v1], clientConfig: {url: 'https://a'}}",
            "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"\n",
        ),
        (
            "{name: a.b.c, sideEffects: '', admissionReviewVersions: [], clientConfig: {url: 'https://a'}}",
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun\n\
             webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1\n",
        ),
        (
            "{name: a.b.c, sideEffects: None, admissionReviewVersions: [v2, v2], clientConfig: {url: 'https://a'}}",
            "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version\n\
             webhooks[0].admissionReviewVersions: Invalid value: [\"v2\",\"v2\"]: must include at least one of v1, v1beta1\n",
        ),
        (
            "{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {}}",
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required\n",
        ),
        (
            "{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'https://a', service: {name: s, namespace: n}}}",
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required\n",
        ),
        (
            "{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {url: 'http://a?b'}}",
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]\n\
             webhooks[0].clientConfig.url: Invalid value: \"b\": query parameters are not permitted in the URL\n",
        ),
        (
            "{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {service: {name: '', namespace: n, port: 0}}}",
            "webhooks[0].clientConfig.service.namespace: Required value\n\
             webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive\n",
        ),
        (
            "{name: a.b.c, sideEffects: None, admissionReviewVersions: [v1], clientConfig: {service: {name: s, namespace: n, path: a//b/}}}",
            "webhooks[0].clientConfig.service.path: Invalid value: \"a//b/\": must start with a '/'\n\
             webhooks[0].clientConfig.service.path: Invalid value: \"a//b/\": segment[1] may not be empty\n",
        ),
    ];
    for (hook, expected) in rows {
        let expected = if hook.contains("path: a//b/") {
            // The byte that is dropped is the first segment's only one.
            expected.replace("segment[1] may", "segment[0] may not be empty\nwebhooks[0].clientConfig.service.path: Invalid value: \"a//b/\": segment[1] may")
        } else {
            expected.to_owned()
        };
        check::<ValidatingWebhookConfiguration>(&format!("{META}webhooks: [{hook}]"), &expected);
    }
    check::<ValidatingWebhookConfiguration>(
        &format!("{META}webhooks: [{HOOK}}}, {HOOK}}}]"),
        "webhooks[1].name: Duplicate value: \"a.example.com\"\n",
    );
}

#[test]
fn rules() {
    let rows = [
        ("operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], scope: Cluster", ""),
        (
            "operations: [CREATE], apiGroups: [apps], apiVersions: [v1], resources: [deployments, deployments/scale, '*/status']",
            "",
        ),
        (
            "operations: [], apiGroups: [], apiVersions: [], resources: []",
            "operations: Required value\napiGroups: Required value\napiVersions: Required value\nresources: Required value\n",
        ),
        (
            "operations: ['*', PATCH], apiGroups: [''], apiVersions: [v1], resources: [pods]",
            "operations: Invalid value: [\"*\",\"PATCH\"]: if '*' is present, must not specify other operations\n\
             operations[1]: Unsupported value: \"PATCH\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"\n",
        ),
        (
            "operations: [CREATE], apiGroups: ['*', a], apiVersions: ['*', ''], resources: [pods]",
            "apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other API groups\n\
             apiVersions: Invalid value: [\"*\",\"\"]: if '*' is present, must not specify other API versions\n\
             apiVersions[1]: Required value\n",
        ),
        (
            "operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: ['', '*/*', pods]",
            "resources[0]: Required value\n\
             resources: Invalid value: [\"\",\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources\n",
        ),
        (
            "operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: ['*', pods]",
            "resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources\n",
        ),
        (
            "operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: ['pods/*', pods/status, '*/scale', a/scale]",
            "resources[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status\n\
             resources[3]: Invalid value: \"a/scale\": if '*/scale' is present, must not specify a/scale\n",
        ),
        (
            "operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods], scope: Everywhere",
            "scope: Unsupported value: \"Everywhere\": supported values: \"*\", \"Cluster\", \"Namespaced\"\n",
        ),
    ];
    for (rule, expected) in rows {
        let at = |path: &str| expected.lines().map(|line| format!("{path}.{line}\n")).collect::<String>();
        check::<ValidatingWebhookConfiguration>(
            &hooks(&format!(", rules: [{{{rule}}}]")),
            &at("webhooks[0].rules[0]"),
        );
        check::<ValidatingAdmissionPolicy>(
            &format!(
                "{META}spec: {{validations: [{{expression: a}}], matchConstraints: {{resourceRules: [{{{rule}}}]}}}}"
            ),
            &at("spec.matchConstraints.resourceRules[0]"),
        );
    }
}

#[test]
fn validating_policies() {
    let of =
        |more: &str| format!("{META}spec: {{matchConstraints: {{resourceRules: [{{{RULE}}}]}}, {more}}}");
    check_defaults::<ValidatingAdmissionPolicy>(
        &of("validations: [{expression: 'true', message: ''}], paramKind: {apiVersion: v1, kind: ConfigMap}"),
        "metadata: {name: x}\nspec: {failurePolicy: Fail, validations: [{expression: 'true'}], paramKind: {apiVersion: v1, kind: ConfigMap}, \
         matchConstraints: {matchPolicy: Equivalent, namespaceSelector: {}, objectSelector: {}, \
         resourceRules: [{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods], scope: '*'}]}}\nstatus: {}",
    );
    let rows = [
        ("validations: [{expression: 'true'}]", ""),
        ("auditAnnotations: [{key: a, valueExpression: 'true'}]", ""),
        (
            "failurePolicy: X, validations: [{expression: ''}]",
            "spec.failurePolicy: Unsupported value: \"X\": supported values: \"Fail\", \"Ignore\"\n\
             spec.validations[0].expression: Required value: expression is not specified\n",
        ),
        (
            "variables: []",
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item\n\
             spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item\n",
        ),
        (
            "validations: [{expression: a, message: ' ', messageExpression: ' ', reason: Bad}]",
            "spec.validations[0].messageExpression: Invalid value: \" \": must be non-empty if specified\n\
             spec.validations[0].message: Invalid value: \" \": must be non-empty if specified\n\
             spec.validations[0].reason: Unsupported value: \"Bad\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\"\n",
        ),
        (
            "validations: [{expression: a, message: \"b\\nc\"}]",
            "spec.validations[0].message: Invalid value: \"b\\nc\": must not contain line breaks\n",
        ),
        (
            "validations: [{expression: a}], variables: [{name: '', expression: a}, {name: 1a, expression: ''}, {name: for, expression: a}]",
            "spec.variables[0].name: Required value: name is not specified\n\
             spec.variables[1].name: Invalid value: \"1a\": must be a valid CEL identifier\n\
             spec.variables[1].expression: Required value: expression is not specified\n\
             spec.variables[2].name: Invalid value: \"for\": must be a valid CEL identifier\n",
        ),
        (
            "auditAnnotations: [{key: a, valueExpression: ''}, {key: a, valueExpression: b}]",
            "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified\n\
             spec.auditAnnotations[1].key: Duplicate value: \"a\"\n",
        ),
        (
            "validations: [{expression: a}], paramKind: {apiVersion: a/b/c, kind: ''}",
            "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c\n\
             spec.paramKind.kind: Required value\n",
        ),
        (
            "validations: [{expression: a}], paramKind: {apiVersion: '/', kind: K}",
            "spec.paramKind.apiVersion: Invalid value: \"/\": version must be specified\n",
        ),
    ];
    for (more, expected) in rows {
        check::<ValidatingAdmissionPolicy>(&of(more), expected);
    }
    check::<ValidatingAdmissionPolicy>(
        &format!("{META}spec: {{validations: [{{expression: a}}]}}"),
        "spec.matchConstraints: Required value\n",
    );
    check::<ValidatingAdmissionPolicy>(
        &format!(
            "{META}spec: {{validations: [{{expression: a}}], matchConstraints: {{matchPolicy: X, resourceRules: [{{{RULE}, resourceNames: [a, a, b/c]}}]}}}}"
        ),
        "spec.matchConstraints.matchPolicy: Unsupported value: \"X\": supported values: \"Equivalent\", \"Exact\"\n\
         spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: \"a\"\n\
         spec.matchConstraints.resourceRules[0].resourceNames[2]: Invalid value: \"b/c\": may not contain '/'\n",
    );
    let plain = of("validations: [{expression: a}]");
    check_update::<ValidatingAdmissionPolicy>(&plain, &of("validations: [{expression: b}]"), true, "");
    check_update::<ValidatingAdmissionPolicy>(
        &plain,
        &format!("{plain}\nstatus: {{observedGeneration: 5}}"),
        false,
        "",
    );
    check_row::<ValidatingAdmissionPolicy>(&plain, "1 | <unset> | <unknown>");
    check_row::<ValidatingAdmissionPolicy>(
        "metadata: {}\nspec: {paramKind: {apiVersion: apps/v1, kind: Deployment}}",
        "0 | apps/v1/Deployment | <unknown>",
    );
}

#[test]
fn statuses_of_policies() {
    check_status::<ValidatingAdmissionPolicy>(
        META,
        "status: {conditions: [{type: a, status: 'True', reason: Fine, message: '', lastTransitionTime: '2026-05-01T11:00:00Z'}]}",
        "",
    );
    check_status::<ValidatingAdmissionPolicy>(
        META,
        "status: {typeChecking: {expressionWarnings: [{fieldRef: ' ', warning: ''}]}, conditions: [\
         {type: a, status: Yes, reason: '', message: '', observedGeneration: -1, lastTransitionTime: '2026-05-01T11:00:00Z'}, \
         {type: a, status: 'True', reason: '1', message: '', lastTransitionTime: '2026-05-01T11:00:00Z'}]}",
        "status.typeChecking.expressionWarnings[0].warning: Required value\n\
         status.typeChecking.expressionWarnings[0].fieldRef: Required value\n\
         status.conditions[0].status: Unsupported value: \"Yes\": supported values: \"False\", \"True\", \"Unknown\"\n\
         status.conditions[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero\n\
         status.conditions[0].reason: Required value\n\
         status.conditions[1].type: Duplicate value: \"a\"\n\
         status.conditions[1].reason: Invalid value: \"1\": a condition reason must start with alphabetic character, optionally followed by a \
         string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or \
         'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')\n",
    );
}

#[test]
fn bindings_of_policies() {
    let rows = [
        ("policyName: p, validationActions: [Deny, Audit]", ""),
        ("policyName: p, validationActions: [Warn], paramRef: {name: a, parameterNotFoundAction: Allow}", ""),
        (
            "policyName: p, validationActions: [Warn], paramRef: {selector: {}, parameterNotFoundAction: Deny}, matchResources: {}",
            "",
        ),
        (
            "policyName: '', validationActions: []",
            "spec.policyName: Required value\nspec.validationActions: Required value: at least one validation action is required\n",
        ),
        (
            "policyName: p, validationActions: [Deny, Warn, Warn, Log]",
            "spec.validationActions[2]: Duplicate value: \"Warn\"\n\
             spec.validationActions[3]: Unsupported value: \"Log\": supported values: \"Audit\", \"Deny\", \"Warn\"\n\
             spec.validationActions: Invalid value: [\"Deny\",\"Warn\",\"Warn\",\"Log\"]: must not contain both Deny and Warn (repeating the same \
             validation failure information in the API response and headers serves no purpose)\n",
        ),
        (
            "policyName: p, validationActions: [Deny], paramRef: {name: a/b, selector: {}}",
            "spec.paramRef.name: Invalid value: \"a/b\": may not contain '/'\n\
             spec.paramRef.name: Forbidden: name and selector are mutually exclusive\n\
             spec.paramRef.selector: Forbidden: name and selector are mutually exclusive\n\
             spec.paramRef.parameterNotFoundAction: Required value\n",
        ),
        (
            "policyName: p, validationActions: [Deny], paramRef: {parameterNotFoundAction: Wait}",
            "spec.paramRef: Required value: one of name or selector must be specified\n\
             spec.paramRef.parameterNotFoundAction: Unsupported value: \"Wait\": supported values: \"Deny\", \"Allow\"\n",
        ),
    ];
    for (spec, expected) in rows {
        check::<ValidatingAdmissionPolicyBinding>(&format!("{META}spec: {{{spec}}}"), expected);
    }
    check_defaults::<ValidatingAdmissionPolicyBinding>(
        &format!("{META}spec: {{policyName: p, validationActions: [Deny], matchResources: {{}}}}"),
        &format!(
            "{META}spec: {{policyName: p, validationActions: [Deny], matchResources: {{matchPolicy: Equivalent, namespaceSelector: {{}}, objectSelector: {{}}}}}}"
        ),
    );
    check_update::<ValidatingAdmissionPolicyBinding>(
        &format!("{META}spec: {{policyName: p, validationActions: [Deny]}}"),
        &format!("{META}spec: {{policyName: p, validationActions: [Warn]}}"),
        true,
        "",
    );
    let rows = [
        ("{policyName: p, validationActions: []}", "p | <unset> | <unknown>"),
        ("{policyName: p, validationActions: [], paramRef: {name: a}}", "p | */a | <unknown>"),
        ("{policyName: p, validationActions: [], paramRef: {name: a, namespace: b}}", "p | b/a | <unknown>"),
        (
            "{policyName: p, validationActions: [], paramRef: {selector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: In, values: [d, e]}]}}}",
            "p | &LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{\
             LabelSelectorRequirement{Key:c,Operator:In,Values:[d e],},},} | <unknown>",
        ),
    ];
    for (spec, expected) in rows {
        check_row::<ValidatingAdmissionPolicyBinding>(&format!("metadata: {{}}\nspec: {spec}"), expected);
    }
}

#[test]
fn mutating_policies() {
    let of = |more: &str| {
        format!(
            "{META}spec: {{matchConstraints: {{resourceRules: [{{{RULE}}}]}}, reinvocationPolicy: Never, {more}}}"
        )
    };
    let rows = [
        ("mutations: [{patchType: JSONPatch, jsonPatch: {expression: a}}]", ""),
        ("mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: a}}]", ""),
        ("mutations: []", "spec.mutations: Required value: mutations must contain at least one item\n"),
        (
            "mutations: [{patchType: ''}, {patchType: Merge}]",
            "spec.mutations[0].patchType: Required value\n\
             spec.mutations[1].patchType: Unsupported value: \"Merge\": supported values: \"ApplyConfiguration\", \"JSONPatch\"\n",
        ),
        (
            "mutations: [{patchType: JSONPatch, applyConfiguration: {expression: a}}]",
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch\n\
             spec.mutations[0].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when patchType is JSONPatch\n",
        ),
        (
            "mutations: [{patchType: ApplyConfiguration, applyConfiguration: {expression: ' '}, jsonPatch: {}}]",
            "spec.mutations[0].applyConfiguration.expression: Required value\n\
             spec.mutations[0].jsonPatch: Invalid value: \"{jsonPatch}\": must not be specified when patchType is ApplyConfiguration\n",
        ),
    ];
    for (more, expected) in rows {
        check::<MutatingAdmissionPolicy>(&of(more), expected);
    }
    check::<MutatingAdmissionPolicy>(
        &format!(
            "{META}spec: {{mutations: [{{patchType: JSONPatch, jsonPatch: {{expression: a}}}}], matchConstraints: {{resourceRules: [{{{}}}]}}}}",
            RULE.replace("CREATE", "DELETE")
        ),
        "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"\n\
         spec.reinvocationPolicy: Required value\n",
    );
    check::<MutatingAdmissionPolicy>(
        META,
        "spec.matchConstraints: Required value\nspec.mutations: Required value: mutations must contain at least one item\n\
         spec.reinvocationPolicy: Required value\n",
    );
    check_update::<MutatingAdmissionPolicy>(
        &of("mutations: []"),
        &of("variables: [{name: a, expression: b}]"),
        true,
        "",
    );
    check_row::<MutatingAdmissionPolicy>(&of("mutations: [{patchType: a}]"), "1 | <unset> | <unknown>");
}

#[test]
fn bindings_of_mutating_policies() {
    check::<MutatingAdmissionPolicyBinding>(&format!("{META}spec: {{policyName: p}}"), "");
    check::<MutatingAdmissionPolicyBinding>(META, "spec.policyName: Required value\n");
    check::<MutatingAdmissionPolicyBinding>(
        &format!(
            "{META}spec: {{policyName: p, matchResources: {{resourceRules: [{{{}}}]}}}}",
            RULE.replace("CREATE", "DELETE")
        ),
        "spec.matchResources.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"UPDATE\"\n",
    );
    check::<MutatingAdmissionPolicyBinding>(
        &format!("{META}spec: {{policyName: p, paramRef: {{}}}}"),
        "spec.paramRef: Required value: one of name or selector must be specified\n\
         spec.paramRef.parameterNotFoundAction: Required value\n",
    );
    let rows = [
        ("{policyName: p, paramRef: {name: a, parameterNotFoundAction: Allow}}", ""),
        ("{policyName: p, paramRef: {selector: {matchLabels: {a: b}}, parameterNotFoundAction: Deny}}", ""),
        (
            "{policyName: p, paramRef: {name: a, parameterNotFoundAction: Wait}}",
            "spec.paramRef.parameterNotFoundAction: Unsupported value: \"Wait\": supported values: \"Deny\", \"Allow\"\n",
        ),
        (
            "{policyName: p, matchResources: {matchPolicy: X}}",
            "spec.matchResources.matchPolicy: Unsupported value: \"X\": supported values: \"Equivalent\", \"Exact\"\n",
        ),
    ];
    for (spec, expected) in rows {
        check::<MutatingAdmissionPolicyBinding>(&format!("{META}spec: {spec}"), expected);
    }
    check_row::<MutatingAdmissionPolicyBinding>(
        "metadata: {}\nspec: {policyName: p, paramRef: {name: a, namespace: b}}",
        "p | b/a | <unknown>",
    );
    check_defaults::<MutatingAdmissionPolicyBinding>(
        &format!("{META}spec: {{policyName: p, matchResources: {{matchPolicy: Exact}}}}"),
        &format!(
            "{META}spec: {{policyName: p, matchResources: {{matchPolicy: Exact, namespaceSelector: {{}}, objectSelector: {{}}}}}}"
        ),
    );
    check_update::<MutatingAdmissionPolicyBinding>(
        &format!("{META}spec: {{policyName: p}}"),
        &format!("{META}spec: {{policyName: q}}"),
        true,
        "",
    );
    check_row::<MutatingAdmissionPolicyBinding>(
        "metadata: {}\nspec: {policyName: p}",
        "p | <unset> | <unknown>",
    );
}
