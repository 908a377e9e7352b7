//! PersistentVolume: storage that outlives the pods that use it.
//!
//! Owns the rules of the object and of its source; VolumeAttachment holds a source too, and calls them.

mod canonical;
mod sources;

use std::collections::BTreeMap;
use std::path::{Component, Path};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::{Value, json};

use super::age::since;
use super::canonical::Canonical;
use super::fields::{list, text};
use super::pod_spec::validate_node_selector;
use super::resources::round_amounts;
use super::unchanged::{changes, validate_unchanged};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{IMMUTABLE, time_now_meta};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::api::quantity::Amount;
use sources::SOURCES;
pub(crate) use sources::default_volume_source;

/// The annotation by which a class was named before there was a field.
pub(super) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// The annotation by which options of a mount were given before there was a field.
const MOUNT_ANNOTATION: &str = "volume.beta.kubernetes.io/mount-options";
/// The ways in which a volume can be used.
pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// What a volume is to a pod.
pub(super) const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];
const RECLAIM_POLICIES: [&str; 3] = ["Delete", "Recycle", "Retain"];

/// Where a volume's specification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where<'a> {
    /// In a PersistentVolume of this name.
    Volume(&'a str),
    /// In an attachment.
    Inline,
}

impl Kind for PersistentVolume {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["pv"];
    const HAS_STATUS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["name"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Capacity", wide: false },
        Column { name: "Access Modes", wide: false },
        Column { name: "Reclaim Policy", wide: false },
        Column { name: "Status", wide: false },
        Column { name: "Claim", wide: false },
        Column { name: "StorageClass", wide: false },
        Column { name: "VolumeAttributesClass", wide: false },
        Column { name: "Reason", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "VolumeMode", wide: true },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        let status = self.status.get_or_insert_default();
        if text(&status.phase).is_empty() {
            status.phase = Some("Pending".to_owned());
        }
        let spec = self.spec.get_or_insert_default();
        if text(&spec.persistent_volume_reclaim_policy).is_empty() {
            spec.persistent_volume_reclaim_policy = Some("Retain".to_owned());
        }
        spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
        round_amounts(&mut spec.capacity);
        default_volume_source(spec);
    }

    fn prepare_create(&mut self) {
        let phase = Some("Pending".to_owned());
        self.status = Some(PersistentVolumeStatus { phase, ..Default::default() });
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        let (Some(new), Some(old)) = (&mut self.status, &old.status) else { return };
        if new.phase == old.phase && new.last_phase_transition_time.is_none() {
            new.last_phase_transition_time.clone_from(&old.last_phase_transition_time);
        }
    }

    fn stamp(&mut self, old: Option<&Self>, now: Timestamp) {
        let none = PersistentVolumeStatus::default();
        let before = old.and_then(|old| old.status.as_ref()).unwrap_or(&none);
        let Some(status) = &mut self.status else { return };
        let same = status.last_phase_transition_time == before.last_phase_transition_time;
        if status.phase != before.phase && (same || status.last_phase_transition_time.is_none()) {
            status.last_phase_transition_time = Some(time_now_meta(now));
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let name = text(&self.metadata.name);
        validate_volume_spec(spec, Where::Volume(name), &FieldPath::new("spec"), errors);
        let annotated =
            self.metadata.annotations.as_ref().is_some_and(|them| them.contains_key(MOUNT_ANNOTATION));
        if annotated && !sources::takes_mount_options(spec) {
            let path = FieldPath::new("metadata");
            let path = path.child("annotations");
            let detail = "may not specify mount options for this volume type";
            errors.forbidden(&path.child(MOUNT_ANNOTATION), detail);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let (Some(new), Some(old)) = (&self.spec, &old.spec) else { return };
        let path = FieldPath::new("spec");
        validate_source_change(new, old, &path.child("persistentvolumesource"), errors);
        validate_unchanged(&new.volume_mode, &old.volume_mode, &FieldPath::new("volumeMode"), errors);
        if old.node_affinity.is_some() && !same_affinity(new, old) {
            let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
            errors.invalid(&FieldPath::new("nodeAffinity"), json!(new.node_affinity), detail);
        }
        if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
            let path = path.child("volumeAttributesClassName");
            errors.forbidden(&path, "update from non-nil value to nil is forbidden");
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        terms.add("name", text(&self.metadata.name));
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let (none, empty) = (PersistentVolumeSpec::default(), PersistentVolumeStatus::default());
        let (spec, status) = (self.spec.as_ref().unwrap_or(&none), self.status.as_ref().unwrap_or(&empty));
        let or_unset = |value: &Option<String>| value.clone().unwrap_or_else(|| "<unset>".to_owned());
        let claim = spec.claim_ref.as_ref();
        let phase = match self.metadata.deletion_timestamp {
            Some(_) => "Terminating",
            None => text(&status.phase),
        };
        vec![
            storage_text(spec.capacity.as_ref().and_then(|capacity| capacity.get("storage"))),
            access_text(list(&spec.access_modes)),
            text(&spec.persistent_volume_reclaim_policy).to_owned(),
            phase.to_owned(),
            claim.map_or_else(String::new, |it| format!("{}/{}", text(&it.namespace), text(&it.name))),
            class_text(&self.metadata.annotations, &spec.storage_class_name),
            or_unset(&spec.volume_attributes_class_name),
            text(&status.reason).to_owned(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            or_unset(&spec.volume_mode),
        ]
    }
}

/// A size, which is zero where none is given.
pub(super) fn storage_text(size: Option<&Quantity>) -> String {
    size.map_or_else(|| "0".to_owned(), |size| size.0.clone())
}

/// The access modes as their short names, each once and in upstream's order.
pub(super) fn access_text(modes: &[String]) -> String {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = short.iter().filter(|(mode, _)| modes.iter().any(|other| other == mode));
    given.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The class, by annotation or by field.
pub(super) fn class_text(annotations: &Option<BTreeMap<String, String>>, class: &Option<String>) -> String {
    let annotated = annotations.as_ref().and_then(|annotations| annotations.get(CLASS_ANNOTATION));
    annotated.or(class.as_ref()).cloned().unwrap_or_default()
}

/// What is said of access modes, of volumes and claims alike.
pub(super) fn validate_access_modes(modes: &[String], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(&mode.as_str())) {
        errors.not_supported(path, mode.as_str(), &ACCESS_MODES);
    }
    let known = || modes.iter().filter(|mode| ACCESS_MODES.contains(&mode.as_str()));
    if known().any(|mode| mode == "ReadWriteOncePod") && known().any(|mode| mode != "ReadWriteOncePod") {
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Collects what is wrong with a volume's specification.
pub(crate) fn validate_volume_spec(
    spec: &PersistentVolumeSpec,
    at: Where<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let inline = at == Where::Inline;
    if inline {
        validate_inline(spec, path, errors);
    }
    let modes = list(&spec.access_modes);
    if modes.is_empty() {
        errors.required(&path.child("accessModes"), "");
    }
    validate_access_modes(modes, &path.child("accessModes"), errors);
    if !inline {
        validate_capacity(spec, &path.child("capacity"), errors);
    }
    validate_policy(spec, inline, &path.child("persistentVolumeReclaimPolicy"), errors);
    if let Some(affinity) = &spec.node_affinity {
        let path = path.child("nodeAffinity");
        match &affinity.required {
            _ if inline => errors.forbidden(&path, INLINE),
            None => errors.required(&path.child("required"), "must specify required node constraints"),
            Some(required) => validate_node_selector(required, &path.child("required"), errors),
        }
    }
    sources::validate_sources(spec, at, path, errors);
    let root = spec.host_path.as_ref().is_some_and(|source| is_root(&source.path));
    if root && text(&spec.persistent_volume_reclaim_policy) == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.forbidden(&path.child("persistentVolumeReclaimPolicy"), detail);
    }
    validate_class(spec, inline, path, errors);
}

const INLINE: &str = "may not be specified in the context of inline volumes";

fn validate_inline(spec: &PersistentVolumeSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if spec.claim_ref.is_some() {
        errors.forbidden(&path.child("claimRef"), INLINE);
    }
    if spec.capacity.as_ref().is_some_and(|capacity| !capacity.is_empty()) {
        errors.forbidden(&path.child("capacity"), INLINE);
    }
    if spec.csi.is_none() {
        errors.required(&path.child("csi"), "has to be specified in the context of inline volumes");
    }
}

fn validate_capacity(spec: &PersistentVolumeSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let capacity = spec.capacity.clone().unwrap_or_default();
    if capacity.is_empty() {
        errors.required(path, "");
    }
    if capacity.len() != 1 || !capacity.contains_key("storage") {
        errors.not_supported(path, json!(spec.capacity), &["storage"]);
    }
    for (name, quantity) in &capacity {
        let path = path.key(name);
        match Amount::parse(&quantity.0) {
            Err(wrong) => errors.invalid(&path, quantity.0.as_str(), wrong.to_string()),
            Ok(amount) => {
                if amount.value() < 0 {
                    errors.invalid(&path, amount.value(), "must be a valid resource quantity");
                }
                if amount.signum() <= 0 {
                    errors.invalid(&path, amount.to_string(), "must be greater than zero");
                }
            }
        }
    }
}

fn validate_policy(
    spec: &PersistentVolumeSpec,
    inline: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    match text(&spec.persistent_volume_reclaim_policy) {
        "" => {}
        "Retain" if inline => {}
        _ if inline => errors.forbidden(path, "may only be Retain in the context of inline volumes"),
        policy if !RECLAIM_POLICIES.contains(&policy) => {
            errors.not_supported(path, policy, &RECLAIM_POLICIES);
        }
        _ => {}
    }
}

fn validate_class(spec: &PersistentVolumeSpec, inline: bool, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let class = text(&spec.storage_class_name);
    if !class.is_empty() {
        let path = path.child("storageClassName");
        if inline {
            errors.forbidden(&path, INLINE);
        } else {
            errors.invalid_each(&path, class, check_name(is_dns1123_subdomain, class, false));
        }
    }
    if let Some(mode) = spec.volume_mode.as_deref() {
        let path = path.child("volumeMode");
        if inline && mode != "Filesystem" {
            let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.forbidden(&path, detail);
        } else if !inline && !VOLUME_MODES.contains(&mode) {
            errors.not_supported(&path, mode, &VOLUME_MODES);
        }
    }
    // An inline volume's is not looked at.
    if let Some(class) = spec.volume_attributes_class_name.as_deref().filter(|_| !inline) {
        let field = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.required(&field, "an empty string is disallowed");
        } else {
            errors.invalid_each(&field, class, check_name(is_dns1123_subdomain, class, false));
        }
        if spec.csi.is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.required(&path.child("csi"), detail);
        }
    }
}

/// Whether a path, cleaned, is that of the root.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for component in Path::new(path).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    path.starts_with('/') && depth == 0
}

/// The source stays what it is, but for a secret that a CSI driver needs to expand it, which may come later.
fn validate_source_change(
    new: &PersistentVolumeSpec,
    old: &PersistentVolumeSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut new = sources_of(new);
    let old = sources_of(old);
    let secret = "controllerExpandSecretRef";
    let had = |all: &Value| all.get("csi").is_some_and(|csi| csi.get(secret).is_some());
    if old.get("csi").is_some()
        && !had(&old)
        && let Some(csi) = new.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove(secret);
    }
    if new != old {
        let changes = changes(path, &old, &new);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{changes}");
        errors.forbidden(path, detail);
    }
}

/// The sources of a specification, and nothing else of it.
fn sources_of(spec: &PersistentVolumeSpec) -> Value {
    let mut all = json!(spec);
    if let Some(fields) = all.as_object_mut() {
        fields.retain(|field, _| SOURCES.iter().any(|source| source.json == field));
    }
    all
}

/// Labels of nodes that have got another name.
const RENAMED: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// Whether the nodes are the same, but for labels that were given their newer names.
fn same_affinity(new: &PersistentVolumeSpec, old: &PersistentVolumeSpec) -> bool {
    if new.node_affinity == old.node_affinity {
        return true;
    }
    let required = |spec: &PersistentVolumeSpec| {
        spec.node_affinity.as_ref().and_then(|affinity| affinity.required.clone())
    };
    let (Some(new), Some(mut old)) = (required(new), required(old)) else { return false };
    if new.node_selector_terms.len() != old.node_selector_terms.len() {
        return false;
    }
    for (new, old) in new.node_selector_terms.iter().zip(&mut old.node_selector_terms) {
        let pairs = list(&new.match_expressions).iter().zip(old.match_expressions.iter_mut().flatten());
        for (new, old) in pairs {
            if RENAMED.iter().any(|(before, after)| old.key == *before && new.key == *after) {
                old.key.clone_from(&new.key);
            }
        }
    }
    new == old
}
