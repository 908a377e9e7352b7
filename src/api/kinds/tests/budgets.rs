//! Quotas and ranges of limits.

use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};

use super::{check, check_defaults, check_row, check_status, check_update};
use crate::api::kinds::builtin;

const META: &str = "metadata: {name: x, namespace: shop}\n";

#[test]
fn quotas() {
    check_defaults::<ResourceQuota>(
        &format!("{META}spec: {{hard: {{cpu: 1000m, pods: '10'}}}}\nstatus: {{used: {{cpu: '1'}}}}"),
        &format!("{META}spec: {{hard: {{cpu: '1', pods: '10'}}}}\nstatus: {{}}"),
    );
    const NAME: &str = "must be a standard resource type or fully qualified";
    let unknown = format!(
        "spec.hard[fun]: Invalid value: \"fun\": {NAME}\nspec.hard[fun]: Invalid value: \"fun\": must be a standard resource for quota\n"
    );
    let rows = [
        (
            "hard: {pods: '10', requests.cpu: 4, limits.memory: 8Gi, count/deployments.apps: '5', requests.nvidia.com/gpu: '4'}",
            "",
        ),
        ("hard: {}", ""),
        ("hard: {fun: '1'}", unknown.as_str()),
        (
            "hard: {storage: '1'}",
            "spec.hard[storage]: Invalid value: \"storage\": must be a standard resource for quota\n",
        ),
        ("hard: {pods: '1.5'}", "spec.hard[pods]: Invalid value: \"1500m\": must be an integer\n"),
        ("hard: {cpu: '-1'}", "spec.hard[cpu]: Invalid value: \"-1\": must be greater than or equal to 0\n"),
        ("hard: {pods: '1'}, scopes: [BestEffort]", ""),
        (
            "hard: {cpu: '1'}, scopes: [BestEffort, Odd]",
            "spec.scopes: Invalid value: [\"BestEffort\",\"Odd\"]: unsupported scope applied to resource\n\
             spec.scopes: Invalid value: [\"BestEffort\",\"Odd\"]: unsupported scope\n",
        ),
        (
            "hard: {pods: '1'}, scopes: [Terminating, NotTerminating]",
            "spec.scopes: Invalid value: [\"Terminating\",\"NotTerminating\"]: conflicting scopes\n",
        ),
        (
            "hard: {pods: '1'}, scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}",
            "",
        ),
        (
            "hard: {pods: '1'}, scopeSelector: {matchExpressions: [{scopeName: BestEffort, operator: In}, {scopeName: PriorityClass, operator: Exists, values: [a]}, {scopeName: Odd, operator: Is}]}",
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
             ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity\n\
             spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector\n\
             spec.scopeSelector.matchExpressions.values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector\n\
             spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"Odd\": unsupported scope\n\
             spec.scopeSelector.matchExpressions.operator: Invalid value: \"Is\": not a valid selector operator\n",
        ),
        (
            "hard: {services: '1'}, scopeSelector: {matchExpressions: [{scopeName: VolumeAttributesClass, operator: Exists}]}",
            "spec.scopeSelector.matchExpressions: Invalid value: {\"MatchExpressions\":[{\"Operator\":\"Exists\",\"ScopeName\":\"VolumeAttributesClass\",\
             \"Values\":null}]}: unsupported scope applied to resource\n",
        ),
    ];
    for (spec, expected) in rows {
        let spec = spec.replace("requests.cpu: 4", "requests.cpu: '4'");
        check::<ResourceQuota>(&format!("{META}spec: {{{spec}}}"), expected);
    }
    let of = |spec: &str| format!("{META}spec: {{{spec}}}");
    check_update::<ResourceQuota>(&of("hard: {pods: '1'}"), &of("hard: {pods: '2'}"), false, "");
    check_update::<ResourceQuota>(
        &of("scopes: [Terminating]"),
        &of("scopes: [NotTerminating]"),
        false,
        "spec.scopes: Invalid value: [\"NotTerminating\"]: field is immutable\n",
    );
    check_status::<ResourceQuota>(META, "status: {hard: {pods: '2'}, used: {pods: '1'}}", "");
    check_status::<ResourceQuota>(
        META,
        "status: {hard: {fun: '2'}, used: {pods: '-1'}}",
        &format!(
            "{}status.used[pods]: Invalid value: \"-1\": must be greater than or equal to 0\n",
            unknown.replace("spec.", "status.")
        ),
    );
    check_row::<ResourceQuota>(
        "metadata: {}\nstatus: {hard: {limits.cpu: '2', pods: '5', cpu: '1', requests.cpu: '1'}, used: {pods: '3', limits.cpu: 500m}}",
        "cpu: 0/1, pods: 3/5, requests.cpu: 0/1 | limits.cpu: 500m/2 | <unknown>",
    );
}

#[test]
fn ranges_of_limits() {
    check_defaults::<LimitRange>(
        &format!(
            "{META}spec: {{limits: [{{type: Container, max: {{cpu: 2000m, memory: 1Gi}}, default: {{memory: 512Mi}}}}, {{type: Pod, max: {{cpu: '4'}}}}]}}"
        ),
        &format!(
            "{META}spec: {{limits: [{{type: Container, max: {{cpu: '2', memory: 1Gi}}, default: {{cpu: '2', memory: 512Mi}}, defaultRequest: {{cpu: '2', memory: 512Mi}}}}, \
             {{type: Pod, max: {{cpu: '4'}}}}]}}"
        ),
    );
    let rows = [
        ("[]", ""),
        (
            "[{type: Container, min: {cpu: 100m}, max: {cpu: '1'}}, {type: PersistentVolumeClaim, min: {storage: 1Gi}}]",
            "",
        ),
        ("[{type: example.com/thing, max: {example.com/part: '1'}}]", ""),
        (
            "[{type: Thing}, {type: Thing}]",
            "spec.limits[0].type: Invalid value: \"Thing\": must be a standard limit type or fully qualified\n\
             spec.limits[1].type: Invalid value: \"Thing\": must be a standard limit type or fully qualified\n\
             spec.limits[1].type: Duplicate value: \"Thing\"\n",
        ),
        (
            "[{type: Pod, max: {storage: '1'}, default: {cpu: '1'}, defaultRequest: {cpu: '1'}}]",
            "spec.limits[0].max[storage]: Invalid value: \"storage\": must be a standard resource for containers\n\
             spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'\n\
             spec.limits[0].defaultRequest: Forbidden: may not be specified when `type` is 'Pod'\n",
        ),
        (
            "[{type: PersistentVolumeClaim, max: {cpu: '1'}}]",
            "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided\n",
        ),
        (
            "[{type: Pod, min: {cpu: '2'}, max: {cpu: '1'}}]",
            "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1\n",
        ),
        (
            "[{type: Container, min: {cpu: '2'}, max: {cpu: '4'}, default: {cpu: '1'}, defaultRequest: {cpu: '5'}}]",
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"5\": default request value 5 is greater than max value 4\n\
             spec.limits[0].defaultRequest[cpu]: Invalid value: \"5\": default request value 5 is greater than default limit value 1\n\
             spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1\n",
        ),
        (
            "[{type: Container, min: {cpu: '2'}, default: {cpu: '3'}, defaultRequest: {cpu: '1'}}]",
            "spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1\n",
        ),
        (
            "[{type: Container, max: {cpu: '2'}, default: {cpu: '3'}, defaultRequest: {cpu: '1'}}]",
            "spec.limits[0].default[cpu]: Invalid value: \"2\": default value 3 is greater than max value 2\n",
        ),
        (
            "[{type: Pod, maxLimitRequestRatio: {cpu: 800m}}]",
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"800m\": ratio 800m is less than 1\n",
        ),
        (
            "[{type: Pod, min: {cpu: '1'}, max: {cpu: '2'}, maxLimitRequestRatio: {cpu: '3'}}]",
            "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than max/min = 2.000000\n",
        ),
        (
            "[{type: Container, default: {example.com/gpu: '2'}, defaultRequest: {example.com/gpu: '1'}}]",
            "spec.limits[0].defaultRequest[example.com/gpu]: Invalid value: \"1\": default value 2 must equal to defaultRequest value 1 in example.com/gpu\n",
        ),
    ];
    for (limits, expected) in rows {
        check::<LimitRange>(&format!("{META}spec: {{limits: {limits}}}"), expected);
    }
    check_update::<LimitRange>(META, &format!("{META}spec: {{limits: [{{type: Pod}}]}}"), false, "");
    check_row::<LimitRange>("metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}", "2026-05-01T11:00:00Z");
}

#[test]
fn amounts_may_be_numbers() {
    let registry = builtin();
    let rows = [
        ("ResourceQuota", r#"{"spec":{"hard":{"pods":10}},"status":{"used":{"pods":1.5}}}"#),
        (
            "LimitRange",
            r#"{"spec":{"limits":[{"type":"Pod","max":{"cpu":2},"min":{"cpu":0.5},"maxLimitRequestRatio":{"cpu":4}}]}}"#,
        ),
        ("RuntimeClass", r#"{"handler":"a","overhead":{"podFixed":{"cpu":1}}}"#),
        ("CSIStorageCapacity", r#"{"storageClassName":"a","capacity":1,"maximumVolumeSize":2}"#),
        (
            "PersistentVolumeClaim",
            r#"{"spec":{"resources":{"requests":{"storage":5}}},"status":{"allocatedResources":{"storage":5}}}"#,
        ),
    ];
    for (kind, json) in rows {
        let found = registry.iter().find(|(_, strategy)| strategy.info().kind == kind);
        let (_, strategy) = found.unwrap_or_else(|| panic!("no kind {kind}"));
        let decoded = strategy.decode_value(serde_json::from_str(json).unwrap());
        assert!(decoded.is_ok(), "{kind}: {:?}", decoded.err());
    }
}
