//! CustomResourceDefinition: a kind that a user makes.
//!
//! Its rules as an object; what it makes of its kind stands in `api::custom`. Invariant: a definition that was
//! accepted has schemas that can be used, and exactly one version in which its objects are stored.

mod schema;
mod validate;

pub(crate) use validate::{Approval, approval_of};

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionCondition,
    CustomResourceDefinitionNames, CustomResourceDefinitionStatus, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::error::FieldErrors;
use crate::api::meta::whole_seconds;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

/// The finalizer that holds a definition until the objects of its kind are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Sets a condition; its time moves when its status does. Answers whether anything changed.
pub fn set_condition(
    status: &mut CustomResourceDefinitionStatus,
    type_: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> bool {
    let conditions = status.conditions.get_or_insert_default();
    let mut condition = CustomResourceDefinitionCondition {
        type_: type_.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(whole_seconds(now))),
        ..CustomResourceDefinitionCondition::default()
    };
    let Some(known) = conditions.iter_mut().find(|known| known.type_ == type_) else {
        conditions.push(condition);
        return true;
    };
    if known.status == condition.status {
        condition.last_transition_time = known.last_transition_time.clone();
    }
    condition.observed_generation = known.observed_generation;
    let changed = *known != condition;
    *known = condition;
    changed
}

fn storage_version(definition: &CustomResourceDefinition) -> Option<&str> {
    definition.spec.versions.iter().find(|version| version.storage).map(|version| version.name.as_str())
}

/// The storage version is one of those in which objects were ever stored.
fn note_storage_version(definition: &mut CustomResourceDefinition) {
    let Some(storage) = storage_version(definition).map(str::to_owned) else { return };
    let status = definition.status.get_or_insert_default();
    let stored = status.stored_versions.get_or_insert_default();
    if !stored.contains(&storage) {
        stored.push(storage);
    }
}

/// Drops from a schema what its JSON would not keep.
fn canonical_schema(props: &mut JSONSchemaProps) {
    props.default.take_if(|json| json.0.is_null());
    props.example.take_if(|json| json.0.is_null());
    for list in [&mut props.all_of, &mut props.any_of, &mut props.one_of] {
        list.iter_mut().flatten().for_each(canonical_schema);
    }
    if let Some(not) = &mut props.not {
        canonical_schema(not);
    }
    props.properties.iter_mut().flatten().for_each(|(_, schema)| canonical_schema(schema));
    if let Some(JSONSchemaPropsOrBool::Schema(schema)) = &mut props.additional_properties {
        canonical_schema(schema);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &mut props.items {
        canonical_schema(schema);
    }
}

impl Kind for CustomResourceDefinition {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["crd", "crds"];
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = true;
    const ANY_FINALIZER: bool = true;
    const COLUMNS: &'static [Column] = &[Column { name: "Created At", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let names = &mut self.spec.names;
        if names.singular.as_deref().unwrap_or_default().is_empty() {
            names.singular = Some(names.kind.to_lowercase());
        }
        if names.list_kind.as_deref().unwrap_or_default().is_empty() && !names.kind.is_empty() {
            names.list_kind = Some(format!("{}List", names.kind));
        }
        self.spec
            .conversion
            .get_or_insert_with(|| CustomResourceConversion { strategy: "None".to_owned(), webhook: None });
        let webhook = self.spec.conversion.as_mut().and_then(|conversion| conversion.webhook.as_mut());
        let service = webhook.and_then(|webhook| webhook.client_config.as_mut()?.service.as_mut());
        if let Some(service) = service {
            service.port.get_or_insert(443);
        }
        if self.status.as_ref().and_then(|status| status.stored_versions.as_ref()).is_none_or(Vec::is_empty) {
            note_storage_version(self);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(CustomResourceDefinitionStatus {
            accepted_names: Some(CustomResourceDefinitionNames::default()),
            ..CustomResourceDefinitionStatus::default()
        });
        note_storage_version(self);
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status = old.status.clone();
        note_storage_version(self);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec = old.spec.clone();
        let finalizers = self.metadata.finalizers.take();
        let revision = self.metadata.resource_version.take();
        let managed = self.metadata.managed_fields.take();
        self.metadata = old.metadata.clone();
        self.metadata.finalizers = finalizers;
        self.metadata.resource_version = revision;
        self.metadata.managed_fields = managed;
    }

    fn canonicalise(&mut self) {
        self.spec.preserve_unknown_fields.take_if(|preserve| !*preserve);
        for version in &mut self.spec.versions {
            if let Some(props) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) {
                canonical_schema(props);
            }
            version.additional_printer_columns.take_if(|list| list.is_empty());
            version.selectable_fields.take_if(|list| list.is_empty());
            version.deprecated.take_if(|deprecated| !*deprecated);
        }
        for names in std::iter::once(&mut self.spec.names)
            .chain(self.status.as_mut().and_then(|status| status.accepted_names.as_mut()))
        {
            names.short_names.take_if(|list| list.is_empty());
            names.categories.take_if(|list| list.is_empty());
        }
        let conditions = self.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten());
        for condition in conditions {
            if let Some(at) = &mut condition.last_transition_time {
                at.0 = whole_seconds(at.0);
            }
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate::whole(self, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        validate::change(self, old, errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        validate::status(self, errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    /// A definition that is not marked yet is marked first: the objects of its kind go before it.
    fn held_back(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
    }

    fn mark_deleting(&mut self) {
        let finalizers = self.metadata.finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
            finalizers.push(CLEANUP_FINALIZER.to_owned());
        }
        let Some(at) = self.metadata.deletion_timestamp.as_ref().map(|at| at.0) else { return };
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let status = self.status.get_or_insert_default();
        set_condition(status, "Terminating", true, "InstanceDeletionPending", message, at);
    }

    fn row(&self, _now: Timestamp) -> Vec<String> {
        vec![self.metadata.creation_timestamp.as_ref().map_or_else(String::new, |at| at.0.to_string())]
    }
}
