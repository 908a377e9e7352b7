//! IngressClass: which controller serves an Ingress.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference, IngressClassSpec};

use super::age::since;
use super::canonical::{canonical, canonical_as_is};
use super::fields::{text, validate_dns_label, validate_domain_path, validate_required_segment};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;
use crate::api::names::is_dns1123_subdomain;
use crate::api::object::{Column, Kind, Scope};
use crate::limits::INGRESS_CONTROLLER_BYTES;

const SCOPES: [&str; 2] = ["Cluster", "Namespace"];

impl Kind for IngressClass {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column::shown("Controller"), Column::shown("Parameters"), Column::shown("Age")];

    named_as_subdomain!();
    generation_of_spec!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        if let Some(parameters) = &mut spec.parameters {
            parameters.scope.get_or_insert_with(|| "Cluster".to_owned());
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        let controller = text(&spec.controller);
        if controller.len() > INGRESS_CONTROLLER_BYTES {
            errors.too_long(&path.child("controller"), INGRESS_CONTROLLER_BYTES);
        }
        validate_domain_path(controller, &path.child("controller"), errors);
        if let Some(parameters) = &spec.parameters {
            validate_parameters(parameters, &path.child("parameters"), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let controller = |class: &IngressClass| class.spec.clone().and_then(|spec| spec.controller);
        let (new, old) = (controller(self), controller(old));
        if new != old {
            let path = FieldPath::new("spec");
            errors.invalid(&path.child("controller"), text(&new), IMMUTABLE);
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let spec = self.spec.as_ref();
        let parameters = spec.and_then(|spec| spec.parameters.as_ref()).map(|parameters| {
            let group = parameters.api_group.as_ref().map_or(String::new(), |group| format!(".{group}"));
            format!("{}{group}/{}", parameters.kind, parameters.name)
        });
        vec![
            spec.and_then(|spec| spec.controller.clone()).unwrap_or_default(),
            parameters.unwrap_or_else(|| "<none>".to_owned()),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_parameters(
    parameters: &IngressClassParametersReference,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(group) = &parameters.api_group {
        errors.invalid_each(&path.child("apiGroup"), group, is_dns1123_subdomain(group));
    }
    validate_required_segment(&parameters.kind, &path.child("kind"), errors);
    validate_required_segment(&parameters.name, &path.child("name"), errors);
    let namespace_path = path.child("namespace");
    match (parameters.scope.as_deref(), &parameters.namespace) {
        (None, _) => errors.required(&path.child("scope"), ""),
        (Some("Namespace"), None) => {
            errors.required(&namespace_path, "`parameters.scope` is set to 'Namespace'");
        }
        (Some("Namespace"), Some(namespace)) => validate_dns_label(namespace, &namespace_path, errors),
        (Some("Cluster"), Some(_)) => {
            errors.forbidden(&namespace_path, "`parameters.scope` is set to 'Cluster'");
        }
        (Some("Cluster"), None) => {}
        (Some(other), _) => errors.not_supported(&path.child("scope"), other, &SCOPES),
    }
}

canonical_as_is!(IngressClassParametersReference,);

canonical! {
    IngressClass {
        fill: spec;
    }
    IngressClassSpec {
        drop: controller;
    }
}
