//! ConfigMap: words and files for pods to read.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;

use super::age::since;
use super::canonical::{Canonical, canonical};
use crate::api::error::{FieldErrors, FieldPath, Problem};
use crate::api::names::{check_name, is_config_map_key, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};
use crate::limits::SECRET_BYTES;

/// What is said of a field that `immutable: true` protects.
pub(super) const FROZEN: &str = "field is immutable when `immutable` is set";

impl Kind for ConfigMap {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["cm"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column { name: "Data", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            let data = FieldPath::new("data");
            errors.invalid_each(&data.key(key), key, is_config_map_key(key));
            if self.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
                errors.invalid(&data.key(key), key.as_str(), "duplicate of key present in binaryData");
            }
            bytes += value.len();
        }
        for (key, value) in self.binary_data.iter().flatten() {
            let data = FieldPath::new("binaryData");
            errors.invalid_each(&data.key(key), key, is_config_map_key(key));
            bytes += value.0.len();
        }
        if bytes > SECRET_BYTES {
            let detail = format!("may not be more than {SECRET_BYTES} bytes");
            errors.push(Problem::TooLong, &FieldPath::new(""), Value::Null, detail);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if old.immutable != Some(true) {
            return;
        }
        if self.immutable != Some(true) {
            errors.forbidden(&FieldPath::new("immutable"), FROZEN);
        }
        if self.data != old.data {
            errors.forbidden(&FieldPath::new("data"), FROZEN);
        }
        if self.binary_data != old.binary_data {
            errors.forbidden(&FieldPath::new("binaryData"), FROZEN);
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let count = |len: Option<usize>| len.unwrap_or(0);
        let keys = count(self.data.as_ref().map(|data| data.len()))
            + count(self.binary_data.as_ref().map(|data| data.len()));
        vec![keys.to_string(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

canonical! {
    ConfigMap {
        drop: binary_data, data;
    }
}
