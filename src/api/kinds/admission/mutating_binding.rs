//! MutatingAdmissionPolicyBinding: where a mutating policy holds.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicyBinding;

use super::{default_match, param_ref_text, validate_binding, validate_mutating_operations};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::Canonical;
use crate::api::kinds::fields::text;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for MutatingAdmissionPolicyBinding {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[
        Column { name: "PolicyName", wide: false },
        Column { name: "ParamRef", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.match_resources.iter_mut().for_each(default_match);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let resources = spec.match_resources.as_ref();
        validate_binding(text(&spec.policy_name), spec.param_ref.as_ref(), resources, errors);
        if let Some(resources) = resources {
            let path = FieldPath::new("spec");
            validate_mutating_operations(resources, &path.child("matchResources"), errors);
        }
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.spec != old.spec
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let age = since(self.metadata.creation_timestamp.as_ref(), now);
        let spec = self.spec.as_ref();
        let policy = spec.map_or("", |spec| text(&spec.policy_name));
        vec![policy.to_owned(), param_ref_text(spec.and_then(|spec| spec.param_ref.as_ref())), age]
    }
}
