//! ClusterRoleBinding: who gets a role in the whole cluster.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

use super::{
    BINDING_COLUMNS, binding_row, default_role_ref, default_subjects, validate_binding, validate_same_role,
};
use crate::api::error::FieldErrors;
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical};
use crate::api::kinds::fields::list;
use crate::api::names::is_path_segment_name;
use crate::api::object::{Column, Kind, Scope};

impl Kind for ClusterRoleBinding {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = BINDING_COLUMNS;

    fn validate_name(name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn set_defaults(&mut self) {
        default_role_ref(&mut self.role_ref);
        default_subjects(&mut self.subjects);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_binding(&self.role_ref, list(&self.subjects), false, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        validate_same_role(&self.role_ref, &old.role_ref, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let age = since(self.metadata.creation_timestamp.as_ref(), now);
        binding_row(&self.role_ref, list(&self.subjects), age)
    }
}

canonical! {
    ClusterRoleBinding {
        drop: subjects;
        deep: role_ref;
    }
}
