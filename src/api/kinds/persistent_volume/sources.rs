//! Where the bytes of a PersistentVolume are: defaults and rules of each source.
//!
//! Most of these are Kubernetes' oldest ones; drivers outside it have replaced what they did, and their rules hold
//! still.

use k8s_openapi::api::core::v1::{
    AzureDiskVolumeSource, CSIPersistentVolumeSource, FCVolumeSource, FlockerVolumeSource,
    ISCSIPersistentVolumeSource, ObjectReference, PersistentVolumeSpec, QuobyteVolumeSource, SecretReference,
    StorageOSPersistentVolumeSource,
};
use serde_json::json;

use super::Where;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_choice, validate_dns_label};
use crate::api::kinds::pod_spec::{validate_host_path, validate_nfs, validate_no_backsteps};
use crate::api::kinds::storage::validate_driver_name;
use crate::api::names::{check_name, in_range, is_dns1123_label, is_dns1123_subdomain};

/// One source: its field in JSON, how upstream's messages call it, whether a specification has it, and its rules.
pub(super) struct Source {
    /// The field in JSON.
    pub json: &'static str,
    /// The field in messages about a second source.
    field: &'static str,
    is_set: fn(&PersistentVolumeSpec) -> bool,
    validate: fn(&PersistentVolumeSpec, Where<'_>, &FieldPath<'_>, &mut FieldErrors),
}

macro_rules! sources {
    ($($json:literal $message:literal $field:ident
       |$source:pat_param, $at:pat_param, $path:ident, $errors:ident| $body:expr,)+) => {
        &[$(Source {
            json: $json,
            field: $message,
            is_set: |spec| spec.$field.is_some(),
            validate: |spec, $at, $path, $errors| {
                if let Some($source) = &spec.$field {
                    $body;
                }
            },
        },)+]
    };
}

/// Every source, in the order in which upstream looks for a second one.
pub(super) const SOURCES: &[Source] = sources![
    "hostPath" "hostPath" host_path |source, _, path, errors| validate_host_path(source, &path.child("hostPath"), errors),
    "gcePersistentDisk" "gcePersistentDisk" gce_persistent_disk |source, _, path, errors| {
        // Upstream's own spelling of the field.
        let path = path.child("persistentDisk");
        required(&path, &[("pdName", &source.pd_name)], errors);
        partition(source.partition, &path, errors);
    },
    "awsElasticBlockStore" "awsElasticBlockStore" aws_elastic_block_store |source, _, path, errors| {
        let path = path.child("awsElasticBlockStore");
        required(&path, &[("volumeID", &source.volume_id)], errors);
        partition(source.partition, &path, errors);
    },
    "glusterfs" "glusterfs" glusterfs |source, _, path, errors| {
        let path = path.child("glusterfs");
        required(&path, &[("endpoints", &source.endpoints), ("path", &source.path)], errors);
        let field = path.child("endpointsNamespace");
        match source.endpoints_namespace.as_deref() {
            None => {}
            Some("") => {
                let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                errors.invalid(&field, "", detail);
            }
            Some(name) => errors.invalid_each(&field, name, check_name(is_dns1123_label, name, false)),
        }
    },
    "flocker" "flocker" flocker |source, _, path, errors| validate_flocker(source, &path.child("flocker"), errors),
    "nfs" "nfs" nfs |source, _, path, errors| validate_nfs(source, &path.child("nfs"), errors),
    "rbd" "rbd" rbd |source, _, path, errors| {
        let path = path.child("rbd");
        if source.monitors.is_empty() {
            errors.required(&path.child("monitors"), "");
        }
        required(&path, &[("image", &source.image)], errors);
    },
    "quobyte" "quobyte" quobyte |source, _, path, errors| validate_quobyte(source, &path.child("quobyte"), errors),
    "cephfs" "cephFS" cephfs |source, _, path, errors| {
        if source.monitors.is_empty() {
            errors.required(&path.child("cephfs").child("monitors"), "");
        }
    },
    "iscsi" "iscsi" iscsi |source, at, path, errors| validate_iscsi(source, at, &path.child("iscsi"), errors),
    "cinder" "cinder" cinder |source, _, path, errors| {
        let path = path.child("cinder");
        required(&path, &[("volumeID", &source.volume_id)], errors);
        if let Some(secret) = &source.secret_ref {
            validate_named(text(&secret.name), text(&secret.namespace), &path.child("secretRef"), errors);
        }
    },
    "fc" "fc" fc |source, _, path, errors| validate_fc(source, &path.child("fc"), errors),
    "flexVolume" "flexVolume" flex_volume |source, _, path, errors| {
        let path = path.child("flexVolume");
        required(&path, &[("driver", &source.driver)], errors);
        for key in source.options.iter().flatten().map(|(key, _)| key) {
            let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
            if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
                let detail = "kubernetes.io and k8s.io namespaces are reserved";
                errors.invalid(&path.child("options").key(key), key.as_str(), detail);
            }
        }
    },
    "azureFile" "azureFile" azure_file |source, _, path, errors| {
        let path = path.child("azureFile");
        required(&path, &[("secretName", &source.secret_name), ("shareName", &source.share_name)], errors);
        if source.secret_namespace.as_deref() == Some("") {
            errors.required(&path.child("secretNamespace"), "");
        }
    },
    "vsphereVolume" "vsphereVolume" vsphere_volume |source, _, path, errors| {
        required(&path.child("vsphereVolume"), &[("volumePath", &source.volume_path)], errors);
    },
    "photonPersistentDisk" "photonPersistentDisk" photon_persistent_disk |source, _, path, errors| {
        required(&path.child("photonPersistentDisk"), &[("pdID", &source.pd_id)], errors);
    },
    "portworxVolume" "portworxVolume" portworx_volume |source, _, path, errors| {
        required(&path.child("portworxVolume"), &[("volumeID", &source.volume_id)], errors);
    },
    "azureDisk" "azureDisk" azure_disk |source, _, path, errors| {
        validate_azure_disk(source, &path.child("azureDisk"), errors);
    },
    "scaleIO" "scaleIO" scale_io |source, _, path, errors| {
        let name = text(&source.volume_name).to_owned();
        let fields = [("gateway", &source.gateway), ("system", &source.system), ("volumeName", &name)];
        required(&path.child("scaleIO"), &fields, errors);
    },
    "local" "local" local |source, _, path, errors| {
        let path = path.child("local");
        let path = path.child("path");
        if source.path.is_empty() {
            errors.required(&path, "");
        } else {
            validate_no_backsteps(&source.path, &path, errors);
        }
    },
    "storageos" "storageos" storageos |source, _, path, errors| {
        validate_storage_os(source, &path.child("storageos"), errors);
    },
    "csi" "csi" csi |source, _, path, errors| validate_csi(source, &path.child("csi"), errors),
];

/// Fills what the user left out of the source.
pub(crate) fn default_volume_source(spec: &mut PersistentVolumeSpec) {
    fn word(field: &mut Option<String>, word: &str) {
        if text(field).is_empty() {
            *field = Some(word.to_owned());
        }
    }
    if let Some(source) = &mut spec.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut spec.iscsi {
        word(&mut source.iscsi_interface, "default");
    }
    if let Some(source) = &mut spec.rbd {
        word(&mut source.pool, "rbd");
        word(&mut source.user, "admin");
        word(&mut source.keyring, "/etc/ceph/keyring");
    }
    if let Some(source) = &mut spec.azure_disk {
        source.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
        source.fs_type.get_or_insert_with(|| "ext4".to_owned());
        source.read_only.get_or_insert(false);
        source.kind.get_or_insert_with(|| "Shared".to_owned());
    }
    if let Some(source) = &mut spec.scale_io {
        word(&mut source.storage_mode, "ThinProvisioned");
        word(&mut source.fs_type, "xfs");
    }
}

/// Whether options of a mount, given by annotation, are passed on to a source of this kind.
pub(super) fn takes_mount_options(spec: &PersistentVolumeSpec) -> bool {
    const WITH: [&str; 13] = [
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    SOURCES.iter().any(|source| WITH.contains(&source.json) && (source.is_set)(spec))
}

/// Collects what is wrong with the source, of which there is one.
pub(super) fn validate_sources(
    spec: &PersistentVolumeSpec,
    at: Where<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let mut first = true;
    for source in SOURCES.iter().filter(|source| (source.is_set)(spec)) {
        // A driver by flexVolume is never counted as a second one, as upstream has it.
        if !first && source.json != "flexVolume" {
            errors.forbidden(&path.child(source.field), "may not specify more than 1 volume type");
            continue;
        }
        first = false;
        (source.validate)(spec, at, path, errors);
        if source.json == "local" && (at == Where::Inline || spec.node_affinity.is_none()) {
            errors.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    if first {
        errors.required(path, "must specify a volume type");
    }
}

fn required(path: &FieldPath<'_>, fields: &[(&str, &String)], errors: &mut FieldErrors) {
    for (field, _) in fields.iter().filter(|(_, value)| value.is_empty()) {
        errors.required(&path.child(field), "");
    }
}

fn partition(number: Option<i32>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(number) = number.filter(|number| !(0..=255).contains(number)) {
        let detail = in_range(number.into(), 0, 255).join("");
        errors.invalid(&path.child("partition"), number, detail);
    }
}

fn lun(number: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for detail in in_range(number.into(), 0, 255) {
        errors.invalid(&path.child("lun"), number, detail);
    }
}

fn validate_named(name: &str, namespace: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (field, value) in [("name", name), ("namespace", namespace)] {
        if value.is_empty() {
            errors.required(&path.child(field), "");
        }
    }
}

fn validate_flocker(source: &FlockerVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (name, uuid) = (text(&source.dataset_name), text(&source.dataset_uuid));
    if name.is_empty() && uuid.is_empty() {
        errors.required(path, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.invalid(path, "resource", detail);
    }
    if name.contains('/') {
        errors.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

fn validate_quobyte(source: &QuobyteVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let (field, registry) = (path.child("registry"), source.registry.as_str());
    if registry.is_empty() {
        errors.required(&field, PAIRS);
    } else if text(&source.tenant).len() > 64 {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.required(&path.child("tenant"), detail);
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            errors.invalid(&field, registry, PAIRS);
        }
    }
    required(path, &[("volume", &source.volume)], errors);
}

/// Whether a text splits into a host and a port, either of which may be empty.
fn is_host_and_port(pair: &str) -> bool {
    match pair.rsplit_once(':') {
        Some((host, port)) if host.starts_with('[') => {
            let inner = &host[1..];
            host.ends_with(']')
                && !inner[..inner.len().saturating_sub(1)].contains(['[', ']'])
                && !port.contains(['[', ']'])
        }
        Some((host, _)) => !pair.contains(['[', ']']) && !host.contains(':'),
        None => false,
    }
}

fn validate_iscsi(
    source: &ISCSIPersistentVolumeSource,
    at: Where<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    const FORM: &str = "must be valid format";
    let (portal, iqn) = (source.target_portal.as_str(), source.iqn.as_str());
    required(path, &[("targetPortal", &source.target_portal)], errors);
    let volume = match at {
        Where::Volume(name) => name,
        Where::Inline => "",
    };
    if source.initiator_name.is_some() && volume.len() + 1 + portal.len() > 64 {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                      iscsi.initiatorName is specified.";
        errors.invalid(&path.child("targetportal"), portal, detail);
    }
    if iqn.is_empty() {
        errors.required(&path.child("iqn"), "");
    } else if !is_initiator(iqn) {
        errors.invalid(&path.child("iqn"), iqn, FORM);
    }
    lun(source.lun, path, errors);
    let chap = source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true);
    match &source.secret_ref {
        None if chap => errors.required(&path.child("secretRef"), ""),
        Some(secret) if text(&secret.name).is_empty() => {
            errors.required(&path.child("secretRef").child("name"), "");
        }
        _ => {}
    }
    if let Some(initiator) = source.initiator_name.as_deref().filter(|name| !is_initiator(name)) {
        errors.invalid(&path.child("initiatorname"), initiator, FORM);
    }
}

/// A name in one of the three forms of iSCSI.
fn is_initiator(name: &str) -> bool {
    let rest_of = |prefix: &str| {
        // The fourth byte may be any.
        let rest = name.strip_prefix(prefix)?;
        rest.char_indices().nth(1).map(|(at, _)| &rest[at..])
    };
    let plain = |rest: &str, length: usize| {
        rest.len() == length && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if name.starts_with("eui") {
        return rest_of("eui").is_some_and(|rest| plain(rest, 16));
    }
    if name.starts_with("naa") {
        return rest_of("naa").is_some_and(|rest| plain(rest, 32));
    }
    name.starts_with("iqn")
        && name.match_indices("iqn.").any(|(at, found)| is_dated(&name[at + found.len()..]))
}

/// `2026-05.com.example:disk`: a month, a domain and a name, which goes to the end.
fn is_dated(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    if !digits(0..4) || bytes.get(4) != Some(&b'-') || !digits(5..7) || bytes.get(7) != Some(&b'.') {
        return false;
    }
    let Some((domain, name)) = rest.get(8..).and_then(|rest| rest.split_once(':')) else { return false };
    !domain.is_empty()
        && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !name.is_empty()
        && !name.contains([',', ';', '*', '&', '$', '|', ' ', '\t', '\n', '\r', '\u{c}'])
}

fn validate_fc(source: &FCVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (targets, ids) = (list(&source.target_wwns), list(&source.wwids));
    let field = path.child("targetWWNs");
    if targets.is_empty() && ids.is_empty() {
        errors.required(&field, "must specify either targetWWNs or wwids, but not both");
    }
    if !targets.is_empty() && !ids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.invalid(&field, json!(targets), detail);
    }
    if !targets.is_empty() {
        match source.lun {
            None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
            Some(number) => lun(number, path, errors),
        }
    }
}

fn validate_azure_disk(source: &AzureDiskVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const CACHING: [&str; 3] = ["None", "ReadOnly", "ReadWrite"];
    const KINDS: [&str; 3] = ["Dedicated", "Managed", "Shared"];
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    required(path, &[("diskName", &source.disk_name), ("diskURI", &source.disk_uri)], errors);
    validate_choice(&source.caching_mode, &CACHING, &path.child("cachingMode"), errors);
    validate_choice(&source.kind, &KINDS, &path.child("kind"), errors);
    let (field, uri) = (path.child("diskURI"), source.disk_uri.as_str());
    match source.kind.as_deref() {
        Some("Managed") if !uri.starts_with("/subscriptions/") => {
            errors.not_supported(&field, uri, &[MANAGED]);
        }
        Some("Managed") | None => {}
        Some(_) if !uri.starts_with("https://") => errors.not_supported(&field, uri, &[BLOB]),
        Some(_) => {}
    }
}

fn validate_storage_os(
    source: &StorageOSPersistentVolumeSource,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (name, namespace) = (text(&source.volume_name), text(&source.volume_namespace));
    if name.is_empty() {
        errors.required(&path.child("volumeName"), "");
    } else {
        validate_dns_label(name, &path.child("volumeName"), errors);
    }
    if !namespace.is_empty() {
        validate_dns_label(namespace, &path.child("volumeNamespace"), errors);
    }
    if let Some(ObjectReference { name, namespace, .. }) = &source.secret_ref {
        validate_named(text(name), text(namespace), &path.child("secretRef"), errors);
    }
}

fn validate_csi(source: &CSIPersistentVolumeSource, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_driver_name(&source.driver, &path.child("driver"), errors);
    required(path, &[("volumeHandle", &source.volume_handle)], errors);
    for (field, secret) in [
        ("controllerPublishSecretRef", &source.controller_publish_secret_ref),
        ("controllerExpandSecretRef", &source.controller_expand_secret_ref),
        ("nodePublishSecretRef", &source.node_publish_secret_ref),
        ("nodeExpandSecretRef", &source.node_expand_secret_ref),
    ] {
        let Some(SecretReference { name, namespace, .. }) = secret else { continue };
        let path = path.child(field);
        match text(name) {
            "" => errors.required(&path.child("name"), ""),
            name => errors.invalid_each(&path.child("name"), name, is_dns1123_subdomain(name)),
        }
        match text(namespace) {
            "" => errors.required(&path.child("namespace"), ""),
            name => validate_dns_label(name, &path.child("namespace"), errors),
        }
    }
}
