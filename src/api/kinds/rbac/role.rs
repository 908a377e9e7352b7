//! Role: what may be done in one namespace.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::Role;

use super::validate_rules;
use crate::api::error::FieldErrors;
use crate::api::kinds::age::{CREATED_AT, created_at};
use crate::api::kinds::canonical::{Canonical, canonical};
use crate::api::kinds::fields::list;
use crate::api::names::is_path_segment_name;
use crate::api::object::{Column, Kind, Scope};

impl Kind for Role {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = CREATED_AT;

    fn validate_name(name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_rules(list(&self.rules), true, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, _now: Timestamp) -> Vec<String> {
        created_at(&self.metadata)
    }
}

canonical! {
    Role {
        drop: rules;
    }
}
