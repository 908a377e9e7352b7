//! APIService: that a version of a group is served, by this server or by another behind a Service.

use jiff::Timestamp;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceCondition, APIServiceSpec, APIServiceStatus, ServiceReference,
};

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::{list, text};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::time_now_meta;
use crate::api::names::{is_dns1035_label, is_dns1123_subdomain, is_path_segment_name, is_port_number};
use crate::api::object::{Column, Kind, Scope};

const AVAILABLE: &str = "Available";
const STATUSES: [&str; 3] = ["True", "False", "Unknown"];
const PORT: i32 = 443;

impl Kind for APIService {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Service", wide: false },
        Column { name: "Available", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn set_defaults(&mut self) {
        if let Some(service) = self.spec.as_mut().and_then(|spec| spec.service.as_mut()) {
            service.port.get_or_insert(PORT);
        }
    }

    fn prepare_create(&mut self) {
        let mut status = APIServiceStatus::default();
        if self.spec.as_ref().is_none_or(|spec| spec.service.is_none()) {
            status.conditions = Some(vec![APIServiceCondition {
                type_: AVAILABLE.to_owned(),
                status: "True".to_owned(),
                reason: Some("Local".to_owned()),
                message: Some("Local APIServices are always available".to_owned()),
                ..Default::default()
            }]);
        }
        self.status = Some(status);
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.metadata.labels.clone_from(&old.metadata.labels);
        self.metadata.annotations.clone_from(&old.metadata.annotations);
        self.metadata.finalizers.clone_from(&old.metadata.finalizers);
        self.metadata.owner_references.clone_from(&old.metadata.owner_references);
    }

    fn stamp(&mut self, old: Option<&Self>, now: Timestamp) {
        if old.is_some() {
            return;
        }
        let status = self.status.iter_mut();
        for condition in status.flat_map(|status| status.conditions.iter_mut().flatten()) {
            condition.last_transition_time = Some(time_now_meta(now));
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let none = APIServiceSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&none);
        let wanted = format!("{}.{}", text(&spec.version), text(&spec.group));
        let name = text(&self.metadata.name);
        if !name.is_empty() && name != wanted && is_path_segment_name(name).is_empty() {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
            errors.invalid(&FieldPath::new("metadata").child("name"), name, detail);
        }
        validate_spec(spec, &FieldPath::new("spec"), errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let path = FieldPath::new("status");
        let path = path.child("conditions");
        let conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        for (at, condition) in conditions.enumerate() {
            let status = condition.status.as_str();
            if !STATUSES.contains(&status) {
                errors.not_supported(&path.index(at).child("status"), status, &STATUSES);
            }
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let service = self.spec.as_ref().and_then(|spec| spec.service.as_ref());
        let mut conditions = self.status.iter().flat_map(|status| list(&status.conditions));
        let available = match conditions.find(|condition| condition.type_ == AVAILABLE) {
            None => "Unknown".to_owned(),
            Some(condition) => match text(&condition.reason) {
                reason if condition.status != "True" && !reason.is_empty() => {
                    format!("{} ({reason})", condition.status)
                }
                _ => condition.status.clone(),
            },
        };
        vec![
            service.map_or_else(
                || "Local".to_owned(),
                |service| format!("{}/{}", text(&service.namespace), text(&service.name)),
            ),
            available,
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_spec(spec: &APIServiceSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (group, version) = (text(&spec.group), text(&spec.version));
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.required(&path.child("group"), detail);
    }
    if !group.is_empty() {
        errors.invalid_each(&path.child("group"), group, is_dns1123_subdomain(group));
    }
    errors.invalid_each(&path.child("version"), version, is_dns1035_label(version));
    for (field, priority, most) in [
        ("groupPriorityMinimum", spec.group_priority_minimum, 20_000),
        ("versionPriority", spec.version_priority, 1000),
    ] {
        if !(1..=most).contains(&priority) {
            let detail = format!("must be positive and less than {most}");
            errors.invalid(&path.child(field), priority, detail);
        }
    }
    let bundle = spec.ca_bundle.as_ref().map_or(0, |bundle| bundle.0.len());
    let insecure = spec.insecure_skip_tls_verify == Some(true);
    let flag = path.child("insecureSkipTLSVerify");
    let Some(service) = &spec.service else {
        if bundle > 0 {
            let value = format!("{bundle} bytes");
            errors.invalid(&path.child("caBundle"), value, "local APIServices may not have a caBundle");
        }
        if insecure {
            errors.invalid(&flag, true, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    };
    validate_service(service, &path.child("service"), errors);
    if insecure && bundle > 0 {
        errors.invalid(&flag, true, "may not be true if caBundle is present");
    }
}

fn validate_service(service: &ServiceReference, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, value) in [("namespace", &service.namespace), ("name", &service.name)] {
        if text(value).is_empty() {
            errors.required(&path.child(field), "");
        }
    }
    let port = service.port.unwrap_or(PORT);
    let wrong = is_port_number(port.into());
    if !wrong.is_empty() {
        errors.invalid(&path.child("port"), port, format!("port is not valid: {}", wrong.join(", ")));
    }
}

canonical! {
    APIService {
        fill: spec, status;
    }
    APIServiceCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    APIServiceSpec {
        drop: ca_bundle, group, insecure_skip_tls_verify, version;
        keep: service;
    }
    APIServiceStatus {
        drop: conditions;
    }
    ServiceReference {
        drop: name, namespace;
    }
}
