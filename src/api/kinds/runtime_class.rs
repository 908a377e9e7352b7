//! RuntimeClass: by which runtime a pod's containers are run, and what that costs.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::api::node::v1::{Overhead, RuntimeClass, Scheduling};
use serde_json::json;

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::{list, text, validate_dns_label};
use super::pod_spec::{validate_limits, validate_tolerations};
use super::resources::round_amounts;
use super::unchanged::validate_unchanged;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_labels;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for RuntimeClass {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = false;
    const QUANTITIES: &'static [&'static str] = &["podFixed"];
    const COLUMNS: &'static [Column] =
        &[Column { name: "Handler", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        if let Some(overhead) = &mut self.overhead {
            round_amounts(&mut overhead.pod_fixed);
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("handler");
        if self.handler.is_empty() {
            errors.required(&path, "");
        } else {
            validate_dns_label(&self.handler, &path, errors);
        }
        if let Some(fixed) = self.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref()) {
            validate_limits(fixed, &FieldPath::new("overhead"), errors);
        }
        if let Some(scheduling) = &self.scheduling {
            validate_scheduling(scheduling, &FieldPath::new("scheduling"), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        validate_unchanged(&self.handler, &old.handler, &FieldPath::new("handler"), errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![self.handler.clone(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

fn validate_scheduling(scheduling: &Scheduling, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_labels(scheduling.node_selector.as_ref(), &path.child("nodeSelector"), errors);
    let (path, tolerations) = (path.child("tolerations"), list(&scheduling.tolerations));
    validate_tolerations(tolerations, &path, errors);
    let mut seen = BTreeSet::new();
    for (at, toleration) in tolerations.iter().enumerate() {
        let Toleration { key, operator, value, effect, .. } = toleration;
        if !seen.insert((text(key), text(operator), text(value), text(effect))) {
            let value = json!({
                "Key": text(key), "Operator": text(operator), "Value": text(value), "Effect": text(effect),
                "TolerationSeconds": toleration.toleration_seconds,
            });
            errors.duplicate(&path.index(at), value);
        }
    }
}

canonical! {
    Overhead {
        drop: pod_fixed;
    }
    RuntimeClass {
        keep: overhead, scheduling;
    }
    Scheduling {
        drop: node_selector, tolerations;
    }
}
