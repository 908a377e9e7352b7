//! StorageClass: how volumes are made that a claim asks for by the name of a class.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{TopologySelectorLabelRequirement, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::StorageClass;

use super::{validate_parameters, validate_provisioner};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical, canonical_as_is};
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::unchanged::validate_unchanged;
use crate::api::names::{check_name, is_dns1123_subdomain, is_qualified_name};
use crate::api::object::{Column, Kind, Scope};

const RECLAIM_POLICIES: [&str; 2] = ["Delete", "Retain"];
const BINDING_MODES: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];

/// The values that each key of a term allows.
type Topology<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

impl Kind for StorageClass {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["sc"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Provisioner", wide: false },
        Column { name: "ReclaimPolicy", wide: false },
        Column { name: "VolumeBindingMode", wide: false },
        Column { name: "AllowVolumeExpansion", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        self.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
        self.volume_binding_mode.get_or_insert_with(|| "Immediate".to_owned());
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_provisioner(&self.provisioner, &FieldPath::new("provisioner"), errors);
        validate_parameters(self.parameters.as_ref(), true, &FieldPath::new("parameters"), errors);
        let policy = text(&self.reclaim_policy);
        if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy) {
            errors.not_supported(&FieldPath::new("reclaimPolicy"), policy, &RECLAIM_POLICIES);
        }
        let path = FieldPath::new("volumeBindingMode");
        match self.volume_binding_mode.as_deref() {
            None => errors.required(&path, ""),
            Some(mode) if !BINDING_MODES.contains(&mode) => errors.not_supported(&path, mode, &BINDING_MODES),
            Some(_) => {}
        }
        validate_topologies(list(&self.allowed_topologies), errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        let path = FieldPath::new("parameters");
        validate_unchanged(&self.parameters, &old.parameters, &path, errors);
        let path = FieldPath::new("provisioner");
        validate_unchanged(&self.provisioner, &old.provisioner, &path, errors);
        let path = FieldPath::new("reclaimPolicy");
        validate_unchanged(&self.reclaim_policy, &old.reclaim_policy, &path, errors);
        let path = FieldPath::new("volumeBindingMode");
        validate_unchanged(&self.volume_binding_mode, &old.volume_binding_mode, &path, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let or = |value: &Option<String>, other: &str| value.clone().unwrap_or_else(|| other.to_owned());
        vec![
            self.provisioner.clone(),
            or(&self.reclaim_policy, "Delete"),
            or(&self.volume_binding_mode, "Immediate"),
            self.allow_volume_expansion.unwrap_or(false).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_topologies(terms: &[TopologySelectorTerm], errors: &mut FieldErrors) {
    let path = FieldPath::new("allowedTopologies");
    // Upstream begins with an empty set for each term, so that an empty term always counts as a second one.
    let mut seen: Vec<Topology<'_>> = vec![Topology::new(); terms.len()];
    for (at, term) in terms.iter().enumerate() {
        let path = path.index(at);
        let topology = validate_term(term, &path, errors);
        for _ in seen.iter().filter(|other| **other == topology) {
            errors.duplicate(&path.child("matchLabelExpressions"), "");
        }
        seen.push(topology);
    }
}

fn validate_term<'a>(
    term: &'a TopologySelectorTerm,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Topology<'a> {
    let mut topology = Topology::new();
    let path = path.child("matchLabelExpressions");
    for (at, requirement) in list(&term.match_label_expressions).iter().enumerate() {
        let path = path.index(at);
        let values = validate_requirement(requirement, &path, errors);
        if topology.insert(&requirement.key, values).is_some() {
            errors.duplicate(&path.child("key"), requirement.key.as_str());
        }
    }
    topology
}

fn validate_requirement<'a>(
    requirement: &'a TopologySelectorLabelRequirement,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> BTreeSet<&'a str> {
    let field = path.child("values");
    if requirement.values.is_empty() {
        errors.required(&field, "");
    }
    let mut values = BTreeSet::new();
    for (at, value) in requirement.values.iter().enumerate() {
        if !values.insert(value.as_str()) {
            errors.duplicate(&field.index(at), value.as_str());
        }
    }
    errors.invalid_each(&path.child("key"), &requirement.key, is_qualified_name(&requirement.key));
    values
}

canonical_as_is!(TopologySelectorLabelRequirement);

canonical! {
    StorageClass {
        drop: allowed_topologies, mount_options, parameters;
    }
    TopologySelectorTerm {
        drop: match_label_expressions;
    }
}
