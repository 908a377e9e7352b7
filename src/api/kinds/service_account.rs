//! ServiceAccount: who a pod is.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;

use super::age::since;
use super::canonical::{Canonical, canonical};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for ServiceAccount {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["sa"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

canonical! {
    ServiceAccount {
        drop: image_pull_secrets, secrets;
    }
}
