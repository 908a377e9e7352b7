//! VolumeAttributesClass: what of a volume may be changed while it lives.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::VolumeAttributesClass;

use super::{validate_parameters, validate_provisioner};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for VolumeAttributesClass {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["vac"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column { name: "DriverName", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_provisioner(&self.driver_name, &FieldPath::new("driverName"), errors);
        validate_parameters(self.parameters.as_ref(), false, &FieldPath::new("parameters"), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if self.driver_name != old.driver_name {
            errors.forbidden(&FieldPath::new("driverName"), "updates to driverName are forbidden.");
        }
        if self.parameters != old.parameters {
            errors.forbidden(&FieldPath::new("parameters"), "updates to parameters are forbidden.");
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![self.driver_name.clone(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

canonical! {
    VolumeAttributesClass {
        drop: parameters;
    }
}
