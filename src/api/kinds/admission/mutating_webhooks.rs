//! MutatingWebhookConfiguration: webhooks that may change what is written.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};

use super::REINVOCATION_POLICIES;
use super::webhook::{default_mutating, validate_hooks};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::Canonical;
use crate::api::kinds::fields::{list, validate_choice};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for MutatingWebhookConfiguration {
    const SCOPE: Scope = Scope::Cluster;
    const CATEGORIES: &'static [&'static str] = &["api-extensions"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column { name: "Webhooks", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        for hook in self.webhooks.iter_mut().flatten() {
            default_mutating(hook);
            hook.reinvocation_policy.get_or_insert_with(|| "Never".to_owned());
        }
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

/// Whether a webhook is asked again when a later one has changed something.
fn validate_more(hook: &MutatingWebhook, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let path = path.child("reinvocationPolicy");
    validate_choice(&hook.reinvocation_policy, &REINVOCATION_POLICIES, &path, errors);
}
