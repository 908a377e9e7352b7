//! ClusterRole: what may be done in the whole cluster, or in each namespace to which it is bound.

use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRole;
use serde_json::Value;

use super::validate_rules;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::{CREATED_AT, created_at};
use crate::api::kinds::canonical::{Canonical, canonical};
use crate::api::kinds::fields::{list, validate_label_selector};
use crate::api::names::is_path_segment_name;
use crate::api::object::{Column, Kind, Scope};
use crate::api::selector::Selector;

impl Kind for ClusterRole {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = CREATED_AT;

    fn validate_name(name: &str, _prefix: bool) -> Vec<String> {
        is_path_segment_name(name)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_rules(list(&self.rules), false, errors);
        let Some(aggregation) = &self.aggregation_rule else { return };
        let path = FieldPath::new("aggregationRule");
        let path = path.child("clusterRoleSelectors");
        let selectors = list(&aggregation.cluster_role_selectors);
        if selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.required(&path, detail);
        }
        for (at, selector) in selectors.iter().enumerate() {
            let path = path.index(at);
            validate_label_selector(selector, &path, errors);
            if Selector::from_label_selector(Some(selector)).is_err() {
                // The value that upstream shows is the selector that could not be made.
                errors.invalid(&path, Value::Null, "invalid label selector.");
            }
        }
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
    ClusterRole {
        drop: rules;
        keep: aggregation_rule;
    }
}
