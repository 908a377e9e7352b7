//! Namespace: where objects live. It ends by the finalizers of its specification.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceSpec, NamespaceStatus};

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::{list, text};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{FINALIZER_KUBERNETES, validate_standard_finalizer};
use crate::api::names::{check_name, is_dns1123_label, is_finalizer_name};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};

/// The label by which selectors find a namespace by its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl Kind for Namespace {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["ns"];
    const HAS_STATUS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["status.phase"];
    const COLUMNS: &'static [Column] =
        &[Column { name: "Status", wide: false }, Column { name: "Age", wide: false }];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_label, name, prefix)
    }

    fn set_defaults(&mut self) {
        let status = self.status.get_or_insert_default();
        if text(&status.phase).is_empty() {
            status.phase = Some("Active".to_owned());
        }
        label_with_name(self);
    }

    fn prepare_create(&mut self) {
        let active = NamespaceStatus { phase: Some("Active".to_owned()), ..Default::default() };
        self.status = Some(active);
        let finalizers = self.spec.get_or_insert_default().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER_KUBERNETES) {
            finalizers.push(FINALIZER_KUBERNETES.to_owned());
        }
    }

    fn prepare_update(&mut self, old: &Self) {
        let finalizers = old.spec.as_ref().and_then(|spec| spec.finalizers.clone());
        self.spec.get_or_insert_default().finalizers = finalizers;
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn canonicalise(&mut self) {
        label_with_name(self);
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        let path = path.child("finalizers");
        for finalizer in self.spec.iter().flat_map(|spec| list(&spec.finalizers)) {
            errors.invalid_each(&path, finalizer, is_finalizer_name(finalizer));
            validate_standard_finalizer(finalizer, &path, errors);
        }
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        let phase = self.status.as_ref().map_or("", |status| text(&status.phase));
        let (right, when) = match self.metadata.deletion_timestamp {
            None => ("Active", "is empty"),
            Some(_) => ("Terminating", "is not empty"),
        };
        if phase != right {
            let detail = format!("may only be '{right}' if `deletionTimestamp` {when}");
            errors.invalid(&FieldPath::new("status").child("Phase"), phase, detail);
        }
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        terms.add("status.phase", self.status.as_ref().map_or("", |status| text(&status.phase)));
    }

    fn held_back(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| !list(&spec.finalizers).is_empty())
    }

    fn mark_deleting(&mut self) {
        self.status.get_or_insert_default().phase = Some("Terminating".to_owned());
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let phase = self.status.as_ref().map_or("", |status| text(&status.phase));
        vec![phase.to_owned(), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

/// Takes over from `old` what a write of the `finalize` subresource may not change: all but the finalizers of
/// the specification (and the metadata, for which the rules of every update hold).
pub fn prepare_namespace_finalize(new: &mut Namespace, old: &Namespace) {
    new.status.clone_from(&old.status);
}

fn label_with_name(namespace: &mut Namespace) {
    let Some(name) = namespace.metadata.name.as_deref().filter(|name| !name.is_empty()) else { return };
    let labels = namespace.metadata.labels.get_or_insert_default();
    if labels.get(NAME_LABEL).is_none_or(|label| label != name) {
        labels.insert(NAME_LABEL.to_owned(), name.to_owned());
    }
}

canonical! {
    Namespace {
        fill: spec, status;
    }
    NamespaceCondition {
        drop: message, reason;
        keep: last_transition_time;
    }
    NamespaceSpec {
        drop: finalizers;
    }
    NamespaceStatus {
        drop: conditions, phase;
    }
}
