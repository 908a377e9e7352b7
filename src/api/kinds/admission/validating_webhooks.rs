//! ValidatingWebhookConfiguration: webhooks that may refuse a write.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};

use super::webhook::{default_validating, validate_hooks};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::Canonical;
use crate::api::kinds::fields::list;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for ValidatingWebhookConfiguration {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column { name: "Webhooks", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        self.webhooks.iter_mut().flatten().for_each(default_validating);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_hooks(list(&self.webhooks), validate_more, errors);
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.webhooks != old.webhooks
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![list(&self.webhooks).len().to_string(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

/// A webhook that changes nothing has nothing of its own to check.
fn validate_more(_hook: &ValidatingWebhook, _path: &FieldPath<'_>, _errors: &mut FieldErrors) {}
