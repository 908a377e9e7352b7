//! The flow schemas and priority levels that every cluster has, whatever its users do.

use k8s_openapi::api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, FlowDistinguisherMethod, FlowSchema, FlowSchemaSpec, GroupSubject,
    LimitResponse, LimitedPriorityLevelConfiguration, NonResourcePolicyRule, PolicyRulesWithSubjects,
    PriorityLevelConfiguration, PriorityLevelConfigurationReference, PriorityLevelConfigurationSpec,
    ResourcePolicyRule, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::EXEMPT;
use crate::api::kinds::versions::Part;

const CATCH_ALL: &str = "catch-all";

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..Default::default() }
}

/// The schemas: of administrators, who are never held back, and of what no other schema names.
pub fn mandatory_flow_schemas() -> [FlowSchema; 2] {
    [
        schema(EXEMPT, 1, None, &["system:masters"]),
        schema(CATCH_ALL, 10_000, Some("ByUser"), &["system:unauthenticated", "system:authenticated"]),
    ]
}

fn schema(name: &str, precedence: i32, flows: Option<&str>, groups: &[&str]) -> FlowSchema {
    let all = || vec!["*".to_owned()];
    let subject = |group: &&str| Subject {
        kind: "Group".to_owned(),
        group: Some(GroupSubject { name: (*group).to_owned() }),
        ..Default::default()
    };
    let rule = PolicyRulesWithSubjects {
        subjects: groups.iter().map(subject).collect(),
        resource_rules: Some(vec![ResourcePolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            cluster_scope: Some(true),
            namespaces: Some(all()),
        }]),
        non_resource_rules: Some(vec![NonResourcePolicyRule { verbs: all(), non_resource_urls: all() }]),
    };
    let mut schema = FlowSchema { metadata: named(name), ..Default::default() };
    let spec: &mut FlowSchemaSpec = schema.spec.part_mut();
    *spec = FlowSchemaSpec {
        priority_level_configuration: PriorityLevelConfigurationReference { name: name.to_owned() },
        matching_precedence: Some(precedence),
        distinguisher_method: flows.map(|kind| FlowDistinguisherMethod { type_: kind.to_owned() }),
        rules: Some(vec![rule]),
    };
    schema
}

/// The levels of those schemas.
pub fn mandatory_priority_levels() -> [PriorityLevelConfiguration; 2] {
    let level = |name: &str, value: PriorityLevelConfigurationSpec| {
        let mut level = PriorityLevelConfiguration { metadata: named(name), ..Default::default() };
        let spec: &mut PriorityLevelConfigurationSpec = level.spec.part_mut();
        *spec = value;
        level
    };
    let mut limited = LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(5),
        lendable_percent: Some(0),
        ..Default::default()
    };
    let response: &mut LimitResponse = limited.limit_response.part_mut();
    response.type_ = "Reject".to_owned();
    [
        level(
            EXEMPT,
            PriorityLevelConfigurationSpec {
                type_: "Exempt".to_owned(),
                exempt: Some(ExemptPriorityLevelConfiguration {
                    nominal_concurrency_shares: Some(0),
                    lendable_percent: Some(0),
                }),
                ..Default::default()
            },
        ),
        level(
            CATCH_ALL,
            PriorityLevelConfigurationSpec {
                type_: "Limited".to_owned(),
                limited: Some(limited),
                ..Default::default()
            },
        ),
    ]
}
