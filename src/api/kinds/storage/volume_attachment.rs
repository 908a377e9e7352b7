//! VolumeAttachment: that a volume is to be, and is, at a node.

use jiff::Timestamp;
use k8s_openapi::api::storage::v1::{
    VolumeAttachment, VolumeAttachmentSource, VolumeAttachmentSpec, VolumeAttachmentStatus, VolumeError,
};

use super::validate_driver_name;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::age::since;
use crate::api::kinds::canonical::{Canonical, canonical};
use crate::api::kinds::conditions::keep_meta_for_status;
use crate::api::kinds::fields::text;
use crate::api::kinds::persistent_volume::{Where, default_volume_source, validate_volume_spec};
use crate::api::kinds::unchanged::validate_unchanged;
use crate::api::names::{check_name, in_range, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};
use crate::limits::{ATTACHMENT_BYTES, VOLUME_ERROR_BYTES};

impl Kind for VolumeAttachment {
    const SCOPE: Scope = Scope::Cluster;
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Attacher", wide: false },
        Column { name: "PV", wide: false },
        Column { name: "Node", wide: false },
        Column { name: "Attached", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        if let Some(volume) = &mut self.spec.source.inline_volume_spec {
            default_volume_source(volume);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(VolumeAttachmentStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        keep_meta_for_status(&mut self.metadata, &old.metadata);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("spec");
        validate_driver_name(&self.spec.attacher, &path.child("attacher"), errors);
        validate_source(&self.spec.source, &path.child("source"), errors);
        let node = self.spec.node_name.as_str();
        let wrong = check_name(is_dns1123_subdomain, node, false);
        errors.invalid_each(&path.child("nodeName"), node, wrong);
        validate_status(self, errors);
        if let Some(volume) = &self.spec.source.persistent_volume_name {
            let wrong = check_name(is_dns1123_subdomain, volume, false);
            let path = path.child("source");
            errors.invalid_each(&path.child("persistentVolumeName"), volume, wrong);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        validate_unchanged(&self.spec, &old.spec, &FieldPath::new("spec"), errors);
    }

    fn validate_status(&self, _old: &Self, errors: &mut FieldErrors) {
        // Upstream holds the whole object against its rules again.
        self.validate(errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.spec.attacher.clone(),
            text(&self.spec.source.persistent_volume_name).to_owned(),
            self.spec.node_name.clone(),
            self.status.as_ref().is_some_and(|status| status.attached).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn validate_source(source: &VolumeAttachmentSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (&source.inline_volume_spec, &source.persistent_volume_name) {
        (None, None) => errors.required(path, ONE),
        (Some(_), Some(_)) => errors.forbidden(path, ONE),
        (None, Some(name)) => {
            if name.is_empty() {
                let detail = "must specify non empty persistentVolumeName";
                errors.required(&path.child("persistentVolumeName"), detail);
            }
        }
        (Some(volume), None) => {
            validate_volume_spec(volume, Where::Inline, &path.child("inlineVolumeSpec"), errors);
        }
    }
}

fn validate_status(attachment: &VolumeAttachment, errors: &mut FieldErrors) {
    let Some(status) = &attachment.status else { return };
    let path = FieldPath::new("status");
    let words = status.attachment_metadata.iter().flatten();
    let bytes: usize = words.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ATTACHMENT_BYTES {
        errors.too_long(&path.child("attachmentMetadata"), ATTACHMENT_BYTES);
    }
    for (field, error) in [("attachError", &status.attach_error), ("detachError", &status.detach_error)] {
        let Some(error) = error else { continue };
        let path = path.child(field);
        if text(&error.message).len() > VOLUME_ERROR_BYTES {
            // The number in the answer is upstream's slip.
            errors.too_long(&path.child("message"), ATTACHMENT_BYTES);
        }
        if let Some(code) = error.error_code.filter(|code| *code < 0) {
            for detail in in_range(code.into(), 0, i32::MAX.into()) {
                errors.invalid(&path.child("errorCode"), code, detail);
            }
        }
    }
}

canonical! {
    VolumeAttachment {
        fill: status;
        deep: spec;
    }
    VolumeAttachmentSource {
        keep: inline_volume_spec;
    }
    VolumeAttachmentSpec {
        deep: source;
    }
    VolumeAttachmentStatus {
        drop: attachment_metadata;
        keep: attach_error, detach_error;
    }
    VolumeError {
        drop: message;
        keep: time;
    }
}
