//! CSINode: which drivers of volumes a node has.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::{CSINode, CSINodeDriver, CSINodeSpec, VolumeNodeResources};
use serde_json::json;

use super::validate_driver_name;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical, canonical_as_is};
use crate::api::kinds::fields::list;
use crate::api::meta::{IMMUTABLE, validate_not_negative};
use crate::api::names::{check_name, is_dns1123_subdomain, is_qualified_name};
use crate::api::object::{Column, Kind, Scope};
use crate::limits::CSI_NODE_BYTES;

impl Kind for CSINode {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column { name: "Drivers", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        let path = path.child("drivers");
        let mut names = BTreeSet::new();
        for (at, driver) in self.spec.drivers.iter().enumerate() {
            validate_driver(driver, &mut names, &path.index(at), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        for old in &old.spec.drivers {
            for new in self.spec.drivers.iter().filter(|new| new.name == old.name) {
                // How many volumes there may be is the only thing that changes.
                if (&new.node_id, list(&new.topology_keys)) != (&old.node_id, list(&old.topology_keys)) {
                    let value = json!({
                        "Name": new.name, "NodeID": new.node_id, "TopologyKeys": new.topology_keys, "Allocatable": null,
                    });
                    errors.invalid(&path.child("drivers"), value, IMMUTABLE);
                }
            }
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![self.spec.drivers.len().to_string(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

fn validate_driver<'a>(
    driver: &'a CSINodeDriver,
    names: &mut BTreeSet<&'a str>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_driver_name(&driver.name, &path.child("name"), errors);
    let (field, id) = (path.child("nodeID"), driver.node_id.as_str());
    if id.is_empty() {
        errors.required(&field, "");
    }
    if id.len() > CSI_NODE_BYTES {
        errors.invalid(&field, id, format!("must be {CSI_NODE_BYTES} characters or less"));
    }
    if let Some(count) = driver.allocatable.as_ref().and_then(|allocatable| allocatable.count) {
        validate_not_negative(count, &path.child("allocatable").child("count"), errors);
    }
    if !names.insert(&driver.name) {
        errors.duplicate(&path.child("name"), driver.name.as_str());
    }
    let mut keys = BTreeSet::new();
    for key in list(&driver.topology_keys) {
        if key.is_empty() {
            errors.required(path, "");
        }
        if !keys.insert(key.as_str()) {
            errors.duplicate(path, key.as_str());
        }
        errors.invalid_each(path, key, is_qualified_name(key));
    }
}

canonical_as_is!(VolumeNodeResources);

canonical! {
    CSINode {
        deep: spec;
    }
    CSINodeDriver {
        drop: topology_keys;
    }
    CSINodeSpec {
        deep: drivers;
    }
}
