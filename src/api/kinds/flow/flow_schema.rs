//! FlowSchema: which requests belong to a priority level.

use jiff::Timestamp;
use k8s_openapi::api::flowcontrol::v1::{
    FlowDistinguisherMethod, FlowSchema, FlowSchemaCondition, FlowSchemaSpec, FlowSchemaStatus, GroupSubject,
    NonResourcePolicyRule, PolicyRulesWithSubjects, PriorityLevelConfigurationReference, ResourcePolicyRule,
    ServiceAccountSubject, Subject, UserSubject,
};
use serde_json::json;

use super::{EXEMPT, mandatory_flow_schemas, type_of, validate_conditions};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical, canonical_as_is, drop_if_empty, fill, keep};
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::versions::Part;
use crate::api::names::{check_name, is_dns1123_label, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

const FLOWS: [&str; 2] = ["ByNamespace", "ByUser"];
const SUBJECTS: [&str; 3] = ["Group", "ServiceAccount", "User"];
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const PRECEDENCE: i32 = 1000;
const PRECEDENCE_MOST: i32 = 10_000;

impl Kind for FlowSchema {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "PriorityLevel", wide: false },
        Column { name: "MatchingPrecedence", wide: false },
        Column { name: "DistinguisherMethod", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "MissingPL", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec: &mut FlowSchemaSpec = self.spec.part_mut();
        if spec.matching_precedence.unwrap_or(0) == 0 {
            spec.matching_precedence = Some(PRECEDENCE);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(FlowSchemaStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        let managed = self.metadata.managed_fields.take();
        let version = self.metadata.resource_version.take();
        self.metadata.clone_from(&old.metadata);
        self.metadata.managed_fields = managed;
        self.metadata.resource_version = version;
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let (name, path) = (text(&self.metadata.name), FieldPath::new("spec"));
        let spec: Option<&FlowSchemaSpec> = self.spec.part();
        let Some(spec) = spec else { return };
        validate_spec(name, spec, &path, errors);
        let fixed = mandatory_flow_schemas();
        let fixed = fixed.iter().find(|fixed| text(&fixed.metadata.name) == name);
        if let Some(fixed) = fixed
            && fixed.spec != self.spec
        {
            let detail = format!("spec of '{name}' must equal the fixed value");
            errors.invalid(&path, json!(spec), detail);
        }
        let conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        validate_conditions(conditions.map(|condition| type_of(condition.type_.part())), errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        validate_conditions(conditions.map(|condition| type_of(condition.type_.part())), errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = FlowSchemaSpec::default();
        let spec: &FlowSchemaSpec = self.spec.part().unwrap_or(&none);
        let mut conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        let dangling = conditions.find(|condition| type_of(condition.type_.part()) == "Dangling");
        vec![
            spec.priority_level_configuration.name.clone(),
            spec.matching_precedence.unwrap_or(0).to_string(),
            spec.distinguisher_method
                .as_ref()
                .map_or_else(|| "<none>".to_owned(), |method| method.type_.clone()),
            since(self.metadata.creation_timestamp.as_ref(), now),
            dangling.map_or_else(|| "?".to_owned(), |condition| text(&condition.status).to_owned()),
        ]
    }
}

fn validate_spec(name: &str, spec: &FlowSchemaSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (field, precedence) = (path.child("matchingPrecedence"), spec.matching_precedence.unwrap_or(0));
    if precedence <= 0 {
        errors.invalid(&field, precedence, "must be a positive value");
    }
    if precedence > PRECEDENCE_MOST {
        errors.invalid(&field, precedence, format!("must not be greater than {PRECEDENCE_MOST}"));
    }
    if precedence == 1 && name != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.invalid(&field, precedence, detail);
    }
    if let Some(method) = &spec.distinguisher_method
        && !FLOWS.contains(&method.type_.as_str())
    {
        let field = path.child("distinguisherMethod");
        errors.not_supported(&field.child("type"), json!({ "Type": method.type_ }), &FLOWS);
    }
    let field = path.child("priorityLevelConfiguration");
    match spec.priority_level_configuration.name.as_str() {
        "" => errors.required(&field.child("name"), "must reference a priority level"),
        level => {
            let wrong = check_name(is_dns1123_subdomain, level, false);
            errors.invalid_each(&field.child("name"), level, wrong);
        }
    }
    for (at, rule) in list(&spec.rules).iter().enumerate() {
        validate_rule(rule, &path.child("rules").index(at), errors);
    }
}

fn validate_rule(rule: &PolicyRulesWithSubjects, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if rule.subjects.is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (at, subject) in rule.subjects.iter().enumerate() {
        validate_subject(subject, &path.child("subjects").index(at), errors);
    }
    let (resources, others) = (list(&rule.resource_rules), list(&rule.non_resource_rules));
    if resources.is_empty() && others.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.required(path, detail);
    }
    for (at, rule) in resources.iter().enumerate() {
        validate_resource_rule(rule, &path.child("resourceRules").index(at), errors);
    }
    for (at, rule) in others.iter().enumerate() {
        validate_other_rule(rule, &path.child("nonResourceRules").index(at), errors);
    }
}

/// A subject has the part that its kind names, and no other.
fn validate_subject(subject: &Subject, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let kind = subject.kind.as_str();
    if !SUBJECTS.contains(&kind) {
        errors.not_supported(&path.child("kind"), kind, &SUBJECTS);
        return;
    }
    let parts = [
        ("ServiceAccount", "serviceAccount", subject.service_account.is_some()),
        ("User", "user", subject.user.is_some()),
        ("Group", "group", subject.group.is_some()),
    ];
    for (part, field, given) in parts.iter().filter(|(part, ..)| *part == kind) {
        if !given {
            let detail = format!("{field} is required when subject kind is '{part}'");
            errors.required(&path.child(field), detail);
        }
    }
    let name = match kind {
        "ServiceAccount" => {
            if let Some(account) = &subject.service_account {
                validate_account(account, &path.child("serviceAccount"), errors);
            }
            None
        }
        "User" => subject.user.as_ref().map(|user| ("user", &user.name)),
        _ => subject.group.as_ref().map(|group| ("group", &group.name)),
    };
    if let Some((field, _)) = name.filter(|(_, name)| name.is_empty()) {
        errors.required(&path.child(field).child("name"), "");
    }
    for (part, field, given) in parts {
        if given && part != kind {
            let detail = format!("{field} is forbidden when subject kind is not '{part}'");
            errors.forbidden(&path.child(field), detail);
        }
    }
}

fn validate_account(account: &ServiceAccountSubject, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match account.name.as_str() {
        "" => errors.required(&path.child("name"), ""),
        "*" => {}
        name => {
            errors.invalid_each(&path.child("name"), name, check_name(is_dns1123_subdomain, name, false));
        }
    }
    match account.namespace.as_str() {
        "" => errors.required(&path.child("namespace"), "must specify namespace for service account"),
        name => {
            errors.invalid_each(&path.child("namespace"), name, check_name(is_dns1123_label, name, false));
        }
    }
}

fn is_wild(words: &[String]) -> bool {
    words.iter().any(|word| word == "*")
}

fn validate_verbs(verbs: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if verbs.is_empty() {
        errors.required(path, "verbs must contain at least one value");
    } else if is_wild(verbs) {
        if verbs.len() > 1 {
            errors.invalid(path, json!(verbs), "if '*' is present, must not specify other verbs");
        }
    } else if !verbs.iter().all(|verb| VERBS.contains(&verb.as_str())) {
        errors.not_supported(path, json!(verbs), &VERBS);
    }
}

fn validate_resource_rule(rule: &ResourcePolicyRule, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_verbs(&rule.verbs, &path.child("verbs"), errors);
    for (field, words, one, many) in [
        ("apiGroups", &rule.api_groups, "api group", "api groups"),
        ("resources", &rule.resources, "resource", "resources"),
    ] {
        let path = path.child(field);
        if words.is_empty() {
            errors.required(&path, format!("resource rules must supply at least one {one}"));
        } else if words.len() > 1 && is_wild(words) {
            let detail = format!("if '*' is present, must not specify other {many}");
            errors.invalid(&path, json!(words), detail);
        }
    }
    let (path, namespaces) = (path.child("namespaces"), list(&rule.namespaces));
    if namespaces.is_empty() && rule.cluster_scope != Some(true) {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&path, detail);
    } else if is_wild(namespaces) {
        if namespaces.len() > 1 {
            let detail = "if '*' is present, must not specify other namespaces";
            errors.invalid(&path, json!(namespaces), detail);
        }
    } else {
        for (at, name) in namespaces.iter().enumerate() {
            for wrong in check_name(is_dns1123_label, name, false) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {wrong}");
                errors.invalid(&path.index(at), name.as_str(), detail);
            }
        }
    }
}

fn validate_other_rule(rule: &NonResourcePolicyRule, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_verbs(&rule.verbs, &path.child("verbs"), errors);
    let (path, urls) = (path.child("nonResourceURLs"), &rule.non_resource_urls);
    if urls.is_empty() {
        errors.required(&path, "nonResourceURLs must contain at least one value");
    } else if is_wild(urls) {
        if urls.len() > 1 {
            let detail = "if '*' is present, must not specify other non-resource URLs";
            errors.invalid(&path, json!(urls), detail);
        }
    } else {
        for (at, url) in urls.iter().enumerate() {
            if let Some(detail) = wrong_url(url) {
                errors.invalid(&path.index(at), url.as_str(), detail);
            }
        }
    }
}

fn wrong_url(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ if stars > 1 || stars == 1 && !url.ends_with("/*") => Some("wildcard can only do suffix matching"),
        _ => None,
    }
}

impl Canonical for FlowSchema {
    fn make_canonical(&mut self) {
        let spec: &mut FlowSchemaSpec = self.spec.part_mut();
        spec.make_canonical();
        fill(&mut self.status);
    }
}

impl Canonical for FlowSchemaCondition {
    fn make_canonical(&mut self) {
        drop_if_empty(&mut self.message);
        drop_if_empty(&mut self.reason);
        drop_if_empty(&mut self.status);
        keep(&mut self.last_transition_time);
    }
}

canonical_as_is!(
    FlowDistinguisherMethod,
    GroupSubject,
    NonResourcePolicyRule,
    PriorityLevelConfigurationReference,
    ServiceAccountSubject,
    Subject,
    UserSubject,
);

canonical! {
    FlowSchemaSpec {
        drop: rules;
        fill: matching_precedence;
    }
    FlowSchemaStatus {
        drop: conditions;
    }
    PolicyRulesWithSubjects {
        drop: non_resource_rules, resource_rules;
    }
    ResourcePolicyRule {
        drop: cluster_scope, namespaces;
    }
}
