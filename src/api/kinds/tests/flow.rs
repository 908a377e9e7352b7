//! Flow schemas, priority levels and API services.

use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use super::super::{mandatory_flow_schemas, mandatory_priority_levels};
use super::{check, check_defaults, check_row, check_status, check_update, created, lines, noon};
use crate::api::error::FieldErrors;
use crate::api::object::Kind;

const META: &str = "metadata: {name: x}\n";

#[test]
fn flow_schemas() {
    let of = |more: &str| format!("{META}spec: {{priorityLevelConfiguration: {{name: a}}{more}}}");
    check_defaults::<FlowSchema>(
        &of(", rules: []"),
        &format!(
            "{META}spec: {{matchingPrecedence: 1000, priorityLevelConfiguration: {{name: a}}}}\nstatus: {{}}"
        ),
    );
    const SUBJECT: &str = "subjects: [{kind: User, user: {name: '*'}}]";
    let rule = |rule: &str| format!(", rules: [{{{rule}}}]");
    let rows = [
        (", distinguisherMethod: {type: ByUser}".to_owned(), ""),
        (
            rule(
                "subjects: [{kind: ServiceAccount, serviceAccount: {name: '*', namespace: n}}], \
                  resourceRules: [{verbs: [get, list], apiGroups: ['*'], resources: ['*'], namespaces: ['*']}], \
                  nonResourceRules: [{verbs: ['*'], nonResourceURLs: [/healthz, /metrics/*, /]}]",
            ),
            "",
        ),
        (
            ", matchingPrecedence: -1".to_owned(),
            "spec.matchingPrecedence: Invalid value: -1: must be a positive value\n",
        ),
        (
            ", matchingPrecedence: 10001".to_owned(),
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000\n",
        ),
        (
            ", matchingPrecedence: 1".to_owned(),
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1\n",
        ),
        (
            ", distinguisherMethod: {type: ByMood}".to_owned(),
            "spec.distinguisherMethod.type: Unsupported value: {\"Type\":\"ByMood\"}: supported values: \"ByNamespace\", \"ByUser\"\n",
        ),
        (
            rule("subjects: []"),
            "spec.rules[0].subjects: Required value: subjects must contain at least one value\n\
             spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty\n",
        ),
        (
            rule(
                "subjects: [{kind: User, group: {name: g}}, {kind: Group, group: {name: ''}, user: {name: u}}, {kind: Robot}, \
                  {kind: ServiceAccount, serviceAccount: {name: '', namespace: ''}}], nonResourceRules: [{verbs: ['*'], nonResourceURLs: ['*']}]",
            ),
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'\n\
             spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'\n\
             spec.rules[0].subjects[1].group.name: Required value\n\
             spec.rules[0].subjects[1].user: Forbidden: user is forbidden when subject kind is not 'User'\n\
             spec.rules[0].subjects[2].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"\n\
             spec.rules[0].subjects[3].serviceAccount.name: Required value\n\
             spec.rules[0].subjects[3].serviceAccount.namespace: Required value: must specify namespace for service account\n",
        ),
        (
            rule(&format!(
                "{SUBJECT}, resourceRules: [{{verbs: [fly], apiGroups: [], resources: ['*', pods]}}, \
                  {{verbs: ['*', get], apiGroups: ['*', a], resources: [], clusterScope: true, namespaces: ['*', a]}}, \
                  {{verbs: [], apiGroups: [a], resources: [b], namespaces: [A]}}]"
            )),
            "spec.rules[0].resourceRules[0].verbs: Unsupported value: [\"fly\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \
             \"list\", \"patch\", \"proxy\", \"update\", \"watch\"\n\
             spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group\n\
             spec.rules[0].resourceRules[0].resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources\n\
             spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace\n\
             spec.rules[0].resourceRules[1].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs\n\
             spec.rules[0].resourceRules[1].apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other api groups\n\
             spec.rules[0].resourceRules[1].resources: Required value: resource rules must supply at least one resource\n\
             spec.rules[0].resourceRules[1].namespaces: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify other namespaces\n\
             spec.rules[0].resourceRules[2].verbs: Required value: verbs must contain at least one value\n\
             spec.rules[0].resourceRules[2].namespaces[0]: Invalid value: \"A\": each member of this list must be '*' or a DNS-1123 label; a lowercase RFC 1123 \
             label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n",
        ),
        (
            rule(&format!(
                "{SUBJECT}, nonResourceRules: [{{verbs: [get], nonResourceURLs: ['', a, '/a b', //a, '/*/a', '/a*']}}, {{verbs: [get], nonResourceURLs: []}}]"
            )),
            "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"\": must not be empty\n\
             spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"a\": must start with slash\n\
             spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: \"/a b\": must not contain white-space\n\
             spec.rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: \"//a\": must not contain double slash\n\
             spec.rules[0].nonResourceRules[0].nonResourceURLs[4]: Invalid value: \"/*/a\": wildcard can only do suffix matching\n\
             spec.rules[0].nonResourceRules[0].nonResourceURLs[5]: Invalid value: \"/a*\": wildcard can only do suffix matching\n\
             spec.rules[0].nonResourceRules[1].nonResourceURLs: Required value: nonResourceURLs must contain at least one value\n",
        ),
    ];
    for (more, expected) in rows {
        check::<FlowSchema>(&of(&more), expected);
    }
    check::<FlowSchema>(
        &format!("{META}spec: {{priorityLevelConfiguration: {{name: ''}}}}"),
        "spec.priorityLevelConfiguration.name: Required value: must reference a priority level\n",
    );
    check_update::<FlowSchema>(&of(""), &of(", matchingPrecedence: 5"), true, "");
    check_update::<FlowSchema>(
        &of(""),
        &format!("{}\nstatus: {{conditions: [{{type: a}}]}}", of("")),
        false,
        "",
    );
    check_status::<FlowSchema>(
        &of(""),
        "status: {conditions: [{type: a}, {type: a}, {type: ''}]}\nspec: {priorityLevelConfiguration: {name: b}}",
        "status.conditions[1].type: Duplicate value: \"a\"\nstatus.conditions[2].type: Required value\n",
    );
    check_row::<FlowSchema>(
        &format!(
            "{}\nstatus: {{conditions: [{{type: Dangling, status: 'False'}}]}}",
            of(", matchingPrecedence: 5, distinguisherMethod: {type: ByUser}")
        ),
        "a | 5 | ByUser | <unknown> | False",
    );
    check_row::<FlowSchema>(&of(""), "a | 0 | <none> | <unknown> | ?");
}

#[test]
fn what_every_cluster_has_is_sound() {
    for mut schema in mandatory_flow_schemas() {
        schema.set_defaults();
        schema.canonicalise();
        let mut errors = FieldErrors::default();
        schema.validate(&mut errors);
        assert_eq!(lines(errors), "");
    }
    for mut level in mandatory_priority_levels() {
        level.set_defaults();
        level.canonicalise();
        let mut errors = FieldErrors::default();
        level.validate(&mut errors);
        assert_eq!(lines(errors), "");
    }
    let changed: FlowSchema = created(
        "metadata: {name: catch-all}\nspec: {priorityLevelConfiguration: {name: catch-all}, matchingPrecedence: 10000}",
    );
    let mut errors = FieldErrors::default();
    changed.validate(&mut errors);
    assert!(lines(errors).ends_with(": spec of 'catch-all' must equal the fixed value\n"));
}

#[test]
fn priority_levels() {
    let of = |spec: &str| format!("{META}spec: {{{spec}}}");
    check_defaults::<PriorityLevelConfiguration>(
        &of("type: Limited, limited: {limitResponse: {type: Queue, queuing: {}}}"),
        &format!(
            "{META}spec: {{type: Limited, limited: {{nominalConcurrencyShares: 30, lendablePercent: 0, limitResponse: {{type: Queue, queuing: \
             {{queues: 64, handSize: 8, queueLengthLimit: 50}}}}}}}}\nstatus: {{}}"
        ),
    );
    let rows = [
        ("type: Limited, limited: {limitResponse: {type: Reject}}", ""),
        (
            "type: Limited, limited: {nominalConcurrencyShares: 0, lendablePercent: 100, borrowingLimitPercent: 0, limitResponse: {type: Queue, queuing: {}}}",
            "",
        ),
        (
            "type: Exempt",
            "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'\n",
        ),
        ("type: Some", "spec.type: Unsupported value: \"Some\": supported values: \"Exempt\", \"Limited\"\n"),
        ("type: Limited", "spec.limited: Required value: must not be empty when type is Limited\n"),
        (
            "type: Limited, exempt: {}, limited: {limitResponse: {type: Reject, queuing: {}}}",
            "spec.exempt: Forbidden: must be nil if the type is Limited\n\
             spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited\n",
        ),
        (
            "type: Limited, limited: {limitResponse: {type: Queue}}",
            "spec.limited.limitResponse.queuing: Required value: must not be empty if limited.limitResponse.type is Limited\n",
        ),
        (
            "type: Limited, limited: {nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1, limitResponse: {type: Wait}}",
            "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer\n\
             spec.limited.limitResponse.type: Unsupported value: \"Wait\": supported values: \"Queue\", \"Reject\"\n\
             spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive\n\
             spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer\n",
        ),
        (
            "type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: -1, handSize: -1, queueLengthLimit: -1}}}",
            "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive\n\
             spec.limited.limitResponse.queuing.queues: Invalid value: -1: must be positive\n\
             spec.limited.limitResponse.queuing.handSize: Invalid value: -1: must be positive\n",
        ),
        (
            "type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 4, handSize: 5}}}",
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)\n",
        ),
        (
            "type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 1024, handSize: 7}}}",
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1024 and handSize 7 should not be greater than 60\n",
        ),
        (
            "type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 10000001}}}",
            "spec.limited.limitResponse.queuing.queues: Invalid value: 10000001: must not be greater than 10000000\n\
             spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 10000001 and handSize 8 should not be greater than 60\n",
        ),
    ];
    for (spec, expected) in rows {
        check::<PriorityLevelConfiguration>(&of(spec), expected);
    }
    check::<PriorityLevelConfiguration>(
        "metadata: {name: exempt}\nspec: {type: Exempt, exempt: {nominalConcurrencyShares: 5, lendablePercent: 50}}",
        "",
    );
    let plain = of("type: Limited, limited: {limitResponse: {type: Reject}}");
    check_update::<PriorityLevelConfiguration>(
        &plain,
        &of("type: Limited, limited: {nominalConcurrencyShares: 5, limitResponse: {type: Reject}}"),
        true,
        "",
    );
    check_update::<PriorityLevelConfiguration>(&plain, &plain, false, "");
    check_row::<PriorityLevelConfiguration>(
        &of(
            "type: Limited, limited: {nominalConcurrencyShares: 5, limitResponse: {type: Queue, queuing: {queues: 1, handSize: 2, queueLengthLimit: 3}}}",
        ),
        "Limited | 5 | 1 | 2 | 3 | <unknown>",
    );
    check_row::<PriorityLevelConfiguration>(
        &of("type: Exempt"),
        "Exempt | <none> | <none> | <none> | <none> | <unknown>",
    );
}

#[test]
fn api_services() {
    const NAMED: &str = "metadata: {name: v1.example.com}\n";
    let of = |more: &str| {
        format!(
            "{NAMED}spec: {{group: example.com, version: v1, groupPriorityMinimum: 1000, versionPriority: 15{more}}}"
        )
    };
    let rows = [
        ("", ""),
        (", service: {name: s, namespace: n}, insecureSkipTLSVerify: true", ""),
        (
            ", caBundle: YWI=, insecureSkipTLSVerify: true",
            "spec.caBundle: Invalid value: \"2 bytes\": local APIServices may not have a caBundle\nspec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify\n",
        ),
        (
            ", service: {name: '', namespace: '', port: 0}",
            "spec.service.namespace: Required value\nspec.service.name: Required value\nspec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive\n",
        ),
        (
            ", service: {name: s, namespace: n}, caBundle: YQ==, insecureSkipTLSVerify: true",
            "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present\n",
        ),
    ];
    for (more, expected) in rows {
        check::<APIService>(&of(more), expected);
    }
    check::<APIService>(
        "metadata: {name: v1.}\nspec: {version: v1, groupPriorityMinimum: 1, versionPriority: 1}",
        "",
    );
    check::<APIService>(
        &format!("{NAMED}spec: {{version: V, groupPriorityMinimum: 0, versionPriority: 1001}}"),
        "metadata.name: Invalid value: \"v1.example.com\": must be `spec.version+\".\"+spec.group`: \"V.\"\n\
         spec.group: Required value: only v1 may have an empty group and it better be legacy kube\n\
         spec.version: Invalid value: \"V\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, \
         and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')\n\
         spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000\n\
         spec.versionPriority: Invalid value: 1001: must be positive and less than 1000\n",
    );
    check_defaults::<APIService>(
        &of(", service: {name: s, namespace: n}"),
        &format!("{}\nstatus: {{}}", of(", service: {name: s, namespace: n, port: 443}")),
    );
    let mut local: APIService = created(&of(""));
    local.stamp(None, noon());
    let status = serde_json::to_string(&local.status).unwrap();
    assert_eq!(
        status,
        "{\"conditions\":[{\"lastTransitionTime\":\"2026-05-01T12:00:00Z\",\"message\":\"Local APIServices are always available\",\"reason\":\"Local\",\
         \"status\":\"True\",\"type\":\"Available\"}]}"
    );
    check_update::<APIService>(&of(""), &of(", insecureSkipTLSVerify: false"), false, "");
    check_status::<APIService>(
        &of(""),
        &format!("{}\nstatus: {{conditions: [{{type: Available, status: Maybe}}]}}", of("")),
        "status.conditions[0].status: Unsupported value: \"Maybe\": supported values: \"True\", \"False\", \"Unknown\"\n",
    );
    check_row::<APIService>(&of(""), "Local | Unknown | <unknown>");
    check_row::<APIService>(
        &format!(
            "{}\nstatus: {{conditions: [{{type: Available, status: 'False', reason: Gone}}]}}",
            of(", service: {name: s, namespace: n}")
        ),
        "n/s | False (Gone) | <unknown>",
    );
}
