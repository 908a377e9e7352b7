//! IPAddress: an address that is given out, and to whom.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPAddress, IPAddressSpec, ParentReference};
use serde_json::json;

use super::age::since;
use super::canonical::canonical;
use super::fields::{text, validate_required_segment};
use super::rules::{canonical_by_table, no_generation};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;
use crate::api::names::{is_dns1123_subdomain, is_ip, is_path_segment_name};
use crate::api::object::{Column, Kind, Scope};

impl Kind for IPAddress {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["ip"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[Column::shown("ParentRef"), Column::shown("Age")];

    no_generation!();
    canonical_by_table!();

    fn validate_name(name: &str, _prefix: bool) -> Vec<String> {
        is_ip(name)
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        let path = path.child("parentRef");
        let parent = &self.spec.parent_ref;
        if *parent == ParentReference::default() {
            errors.required(&path, "");
            return;
        }
        let group = text(&parent.group);
        if !group.is_empty() {
            errors.invalid_each(&path.child("group"), group, is_dns1123_subdomain(group));
        }
        validate_required_segment(&parent.resource, &path.child("resource"), errors);
        validate_required_segment(&parent.name, &path.child("name"), errors);
        let namespace = text(&parent.namespace);
        if !namespace.is_empty() {
            errors.invalid_each(&path.child("namespace"), namespace, is_path_segment_name(namespace));
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let parent = &self.spec.parent_ref;
        if *parent != old.spec.parent_ref {
            // Upstream shows its internal form of the struct here.
            let value = json!({
                "Group": text(&parent.group),
                "Resource": parent.resource,
                "Namespace": text(&parent.namespace),
                "Name": parent.name,
            });
            let path = FieldPath::new("spec");
            errors.invalid(&path.child("parentRef"), value, IMMUTABLE);
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let parent = &self.spec.parent_ref;
        let mut words = vec![match text(&parent.group) {
            "" => parent.resource.to_lowercase(),
            group => format!("{}.{group}", parent.resource).to_lowercase(),
        }];
        words.extend(parent.namespace.clone().filter(|namespace| !namespace.is_empty()));
        words.push(parent.name.clone());
        let parent =
            if *parent == ParentReference::default() { "<none>".to_owned() } else { words.join("/") };
        vec![parent, since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

canonical! {
    IPAddress {
        deep: spec;
    }
    IPAddressSpec {
        deep: parent_ref;
    }
    ParentReference {
        drop: group, namespace;
    }
}
