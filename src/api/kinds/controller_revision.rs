//! ControllerRevision: a state that a StatefulSet or a DaemonSet can go back to. It never changes.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::Value;

use super::age::since;
use super::rules::{named_as_subdomain, no_generation};
use super::versions::Part;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{IMMUTABLE, validate_not_negative};
use crate::api::object::{Column, Kind, Scope};

impl Kind for ControllerRevision {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column::shown("Controller"), Column::shown("Revision"), Column::shown("Age")];

    named_as_subdomain!();
    no_generation!();

    fn validate(&self, errors: &mut FieldErrors) {
        validate_not_negative(revision(self), &FieldPath::new("revision"), errors);
    }

    fn validate_create(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("data");
        match data(self) {
            Value::Null => errors.required(&path, "data is mandatory"),
            Value::Object(_) => {}
            _ => errors.required(&path, "data must be a valid JSON object"),
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if data(self) != data(old) {
            errors.invalid(&FieldPath::new("data"), data(self).clone(), IMMUTABLE);
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let owners = self.metadata.owner_references.iter().flatten();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
        let controller = controller.map(|owner| {
            let kind = owner.kind.to_lowercase();
            match owner.api_version.split_once('/') {
                Some((group, _)) if !group.is_empty() => format!("{kind}.{group}/{}", owner.name),
                _ => format!("{kind}/{}", owner.name),
            }
        });
        vec![
            controller.unwrap_or_else(|| "<none>".to_owned()),
            revision(self).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn data(revision: &ControllerRevision) -> &Value {
    let data: Option<&RawExtension> = revision.data.part();
    data.map_or(&Value::Null, |data| &data.0)
}

fn revision(revision: &ControllerRevision) -> i64 {
    let number: Option<&i64> = revision.revision.part();
    number.copied().unwrap_or(0)
}
