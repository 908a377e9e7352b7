//! CSIStorageCapacity: how much room a class of storage has in a part of the cluster.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::CSIStorageCapacity;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::canonical::{Canonical, canonical};
use crate::api::kinds::fields::validate_label_selector;
use crate::api::kinds::resources::round_amount;
use crate::api::kinds::unchanged::validate_unchanged;
use crate::api::meta::NEGATIVE;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};
use crate::api::quantity::Amount;

impl Kind for CSIStorageCapacity {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const QUANTITIES: &'static [&'static str] = &["maximumVolumeSize"];
    const COLUMNS: &'static [Column] =
        &[Column { name: "StorageClassName", wide: false }, Column { name: "Capacity", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        // Decoding a quantity rounds it, as everywhere.
        self.capacity.iter_mut().chain(&mut self.maximum_volume_size).for_each(round_amount);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        if let Some(selector) = &self.node_topology {
            validate_label_selector(selector, &FieldPath::new("nodeTopology"), errors);
        }
        let class = self.storage_class_name.as_str();
        let wrong = check_name(is_dns1123_subdomain, class, false);
        errors.invalid_each(&FieldPath::new("storageClassName"), class, wrong);
        if let Some(capacity) = &self.capacity {
            let path = FieldPath::new("capacity");
            match Amount::parse(&capacity.0) {
                Err(wrong) => errors.invalid(&path, capacity.0.as_str(), wrong.to_string()),
                Ok(amount) if amount.signum() < 0 => errors.invalid(&path, amount.to_string(), NEGATIVE),
                Ok(_) => {}
            }
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let path = FieldPath::new("nodeTopology");
        validate_unchanged(&self.node_topology, &old.node_topology, &path, errors);
        let path = FieldPath::new("storageClassName");
        validate_unchanged(&self.storage_class_name, &old.storage_class_name, &path, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, _now: Timestamp) -> Vec<String> {
        let capacity = self.capacity.as_ref().map(|capacity| capacity.0.clone());
        vec![self.storage_class_name.clone(), capacity.unwrap_or_else(|| "<unset>".to_owned())]
    }
}

canonical! {
    CSIStorageCapacity {
        keep: capacity, maximum_volume_size, node_topology;
    }
}
