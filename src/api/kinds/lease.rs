//! Lease: who holds something, and since when it has been said again.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::text;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::NEGATIVE;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

impl Kind for Lease {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] =
        &[Column { name: "Holder", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn prepare_create(&mut self) {
        // Coordinated leader election is off in a default server, which drops its fields.
        let spec = self.spec.get_or_insert_default();
        spec.strategy = None;
        spec.preferred_holder = None;
    }

    fn prepare_update(&mut self, old: &Self) {
        let before = |field: fn(&LeaseSpec) -> bool| old.spec.as_ref().is_some_and(field);
        let (had_strategy, had_holder) =
            (before(|spec| spec.strategy.is_some()), before(|spec| spec.preferred_holder.is_some()));
        let spec = self.spec.get_or_insert_default();
        spec.strategy.take_if(|_| !had_strategy);
        spec.preferred_holder.take_if(|_| !had_holder);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
            errors.invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0");
        }
        if let Some(transitions) = spec.lease_transitions.filter(|transitions| *transitions < 0) {
            errors.invalid(&path.child("leaseTransitions"), transitions, NEGATIVE);
        }
        let strategy = text(&spec.strategy);
        if spec.strategy.is_some() && strategy != "OldestEmulationVersion" {
            validate_custom_strategy(strategy, &path.child("strategy").child("strategy"), errors);
        }
        if !text(&spec.preferred_holder).is_empty() && strategy.is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            errors.forbidden(&path.child("preferredHolder"), detail);
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let holder = self.spec.as_ref().map_or("", |spec| text(&spec.holder_identity));
        vec![holder.to_owned(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

/// A strategy that is not Kubernetes' own carries a domain. (Upstream names the field twice in its path.)
fn validate_custom_strategy(strategy: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if strategy.contains('/') {
        errors.invalid_each(path, strategy, crate::api::names::is_qualified_name(strategy));
    } else {
        errors.not_supported(path, strategy, &["OldestEmulationVersion"]);
    }
}

canonical! {
    Lease {
        fill: spec;
    }
    LeaseSpec {
        keep: acquire_time, renew_time;
    }
}
