//! PodTemplate: a template of pods that stands for itself.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodTemplate;

use super::canonical::canonical;
use super::pod_spec::{default_template, validate_template};
use super::rules::{canonical_by_table, named_as_subdomain};
use super::workload::{containers_text, labels_text};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::object::{Column, Kind, Scope};

impl Kind for PodTemplate {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column::shown("Containers"), Column::shown("Images"), Column::shown("Pod Labels")];

    named_as_subdomain!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        default_template(self.template.get_or_insert_default());
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let none = Default::default();
        validate_template(self.template.as_ref().unwrap_or(&none), &FieldPath::new("template"), errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.template != old.template
    }

    fn row(&self, _now: Timestamp) -> Vec<String> {
        let template = self.template.as_ref();
        let (names, images) = containers_text(template);
        let metadata = template.and_then(|template| template.metadata.as_ref());
        vec![names, images, labels_text(metadata.and_then(|metadata| metadata.labels.as_ref()))]
    }
}

canonical! {
    PodTemplate {
        fill: template;
    }
}
