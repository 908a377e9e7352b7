//! CSIDriver: what a driver of volumes can do, and what it wants to be told.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::{CSIDriver, CSIDriverSpec, TokenRequest};

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical, canonical_as_is};
use crate::api::kinds::fields::{list, validate_choice};
use crate::api::kinds::unchanged::validate_unchanged;
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

const GROUP_POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];
const LIFECYCLES: [&str; 2] = ["Persistent", "Ephemeral"];
/// How long a token lives, in seconds.
const TOKEN_LEAST: i64 = 600;
const TOKEN_MOST: i64 = 1 << 32;
/// How often, at the most, a node says how many volumes it takes, in seconds.
const UPDATE_LEAST: i64 = 10;

impl Kind for CSIDriver {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[
        Column { name: "AttachRequired", wide: false },
        Column { name: "PodInfoOnMount", wide: false },
        Column { name: "StorageCapacity", wide: false },
        Column { name: "TokenRequests", wide: false },
        Column { name: "RequiresRepublish", wide: false },
        Column { name: "Modes", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = &mut self.spec;
        spec.attach_required.get_or_insert(true);
        spec.pod_info_on_mount.get_or_insert(false);
        spec.storage_capacity.get_or_insert(false);
        spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
        if list(&spec.volume_lifecycle_modes).is_empty() {
            spec.volume_lifecycle_modes = Some(vec!["Persistent".to_owned()]);
        }
        spec.requires_republish.get_or_insert(false);
        spec.se_linux_mount.get_or_insert(false);
    }

    fn prepare_create(&mut self) {
        // Its feature is off in a default server.
        self.spec.prevent_pod_scheduling_if_missing = None;
    }

    fn prepare_update(&mut self, old: &Self) {
        if old.spec.prevent_pod_scheduling_if_missing.is_none() {
            self.spec.prevent_pod_scheduling_if_missing = None;
        }
        // No generation at first, and then one for each change of the specification.
        if self.spec != old.spec {
            self.metadata.generation = Some(old.metadata.generation.unwrap_or(0) + 1);
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_spec(&self.spec, &FieldPath::new("spec"), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        let (new, old) = (&self.spec, &old.spec);
        // Upstream's own spelling of the field.
        let field = path.child("attachedRequired");
        validate_unchanged(&new.attach_required, &old.attach_required, &field, errors);
        let field = path.child("volumeLifecycleModes");
        validate_unchanged(&new.volume_lifecycle_modes, &old.volume_lifecycle_modes, &field, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let spec = &self.spec;
        let yes = |flag: Option<bool>, other: bool| flag.unwrap_or(other).to_string();
        let audiences = spec.token_requests.as_ref().map(|requests| {
            requests.iter().map(|request| request.audience.as_str()).collect::<Vec<_>>().join(",")
        });
        let modes = list(&spec.volume_lifecycle_modes).join(",");
        vec![
            yes(spec.attach_required, true),
            yes(spec.pod_info_on_mount, false),
            yes(spec.storage_capacity, false),
            audiences.unwrap_or_else(|| "<unset>".to_owned()),
            yes(spec.requires_republish, false),
            if modes.is_empty() { "<none>".to_owned() } else { modes },
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_spec(spec: &CSIDriverSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, flag) in [
        ("attachedRequired", spec.attach_required),
        ("podInfoOnMount", spec.pod_info_on_mount),
        ("storageCapacity", spec.storage_capacity),
    ] {
        if flag.is_none() {
            errors.required(&path.child(field), "");
        }
    }
    validate_choice(&spec.fs_group_policy, &GROUP_POLICIES, &path.child("fsGroupPolicy"), errors);
    let requests = list(&spec.token_requests);
    validate_tokens(requests, &path.child("tokenRequests"), errors);
    for mode in list(&spec.volume_lifecycle_modes) {
        if !LIFECYCLES.contains(&mode.as_str()) {
            errors.not_supported(&path.child("volumeLifecycleModes"), mode.as_str(), &LIFECYCLES);
        }
    }
    if spec.se_linux_mount.is_none() {
        errors.required(&path.child("seLinuxMount"), "");
    }
    if let Some(seconds) = spec.node_allocatable_update_period_seconds.filter(|it| *it < UPDATE_LEAST) {
        let detail = format!("must be greater than or equal to {UPDATE_LEAST} seconds");
        errors.invalid(&path.child("nodeAllocatableUpdatePeriodSeconds"), seconds, detail);
    }
    if let Some(in_secrets) = spec.service_account_token_in_secrets.filter(|_| requests.is_empty()) {
        let detail = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        errors.invalid(&path.child("serviceAccountTokenInSecrets"), in_secrets, detail);
    }
}

fn validate_tokens(requests: &[TokenRequest], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut audiences = BTreeSet::new();
    for (at, request) in requests.iter().enumerate() {
        let path = path.index(at);
        if !audiences.insert(request.audience.as_str()) {
            errors.duplicate(&path.child("audience"), request.audience.as_str());
            continue;
        }
        let Some(seconds) = request.expiration_seconds else { continue };
        let path = path.child("expirationSeconds");
        if seconds < TOKEN_LEAST {
            errors.invalid(&path, seconds, "may not specify a duration less than 10 minutes");
        }
        if seconds > TOKEN_MOST {
            errors.invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
}

canonical_as_is!(TokenRequest);

canonical! {
    CSIDriver {
        deep: spec;
    }
    CSIDriverSpec {
        drop: token_requests, volume_lifecycle_modes;
    }
}
