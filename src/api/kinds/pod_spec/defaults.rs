//! What a pod's specification gets where the user left it open.
//!
//! Invariant: filling in twice changes nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, EnvVar, EphemeralContainer, HTTPGetAction, LifecycleHandler,
    ObjectFieldSelector, PodSpec, Probe, Volume,
};

use super::resources::aggregate;
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::resources::{is_huge_page, is_overcommit_allowed, round_amounts};

/// The seconds that a pod has to end where nothing is said.
const GRACE_SECONDS: i64 = 30;
/// The mode of the files of a volume: readable by all.
const FILE_MODE: i32 = 0o644;
/// How long a projected token is good for: an hour.
const TOKEN_SECONDS: i64 = 3600;

/// The word where there is none.
pub(crate) fn or_word(field: &mut Option<String>, word: &str) {
    if text(field).is_empty() {
        *field = Some(word.to_owned());
    }
}

fn or_number(field: &mut Option<i32>, number: i32) {
    if field.unwrap_or(0) == 0 {
        *field = Some(number);
    }
}

/// Fills in what pods and templates share.
pub(crate) fn default_spec(spec: &mut PodSpec) {
    for volume in spec.volumes.iter_mut().flatten() {
        default_volume(volume);
    }
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        default_container(container);
    }
    for container in spec.ephemeral_containers.iter_mut().flatten() {
        default_ephemeral(container);
    }
    or_word(&mut spec.dns_policy, "ClusterFirst");
    or_word(&mut spec.restart_policy, "Always");
    or_word(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    round_amounts(&mut spec.overhead);
    // Groups of pods are off in a default server, which drops them.
    spec.scheduling_group = None;
    if let Some(resources) = &mut spec.resources {
        round_amounts(&mut resources.limits);
        round_amounts(&mut resources.requests);
    }
    // The account has an old name too; both are served.
    if text(&spec.service_account_name).is_empty() {
        spec.service_account_name = spec.service_account.take().filter(|account| !account.is_empty());
    }
    if spec.service_account != spec.service_account_name {
        spec.service_account.clone_from(&spec.service_account_name);
    }
}

/// Fills in what only pods get, not templates.
pub(crate) fn default_pod_only(spec: &mut PodSpec) {
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        let Some(resources) = &mut container.resources else { continue };
        let Some(limits) = resources.limits.as_ref().filter(|limits| !limits.is_empty()) else { continue };
        let requests = resources.requests.get_or_insert_default();
        for (name, amount) in limits {
            if !requests.contains_key(name) {
                requests.insert(name.clone(), amount.clone());
            }
        }
    }
    default_pod_resources(spec);
    spec.enable_service_links.get_or_insert(true);
    if spec.host_network == Some(true) {
        for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
            for port in container.ports.iter_mut().flatten() {
                or_number(&mut port.host_port, port.container_port);
            }
        }
    }
}

/// Where the whole pod has limits, its requests follow from its containers and those limits.
fn default_pod_resources(spec: &mut PodSpec) {
    let Some(resources) = &spec.resources else { return };
    let has = |map: &Option<BTreeMap<_, _>>| map.as_ref().is_some_and(|map| !map.is_empty());
    if !has(&resources.limits) && !has(&resources.requests) {
        return;
    }
    let mut limits = resources.limits.clone().unwrap_or_default();
    let mut requests = resources.requests.clone().unwrap_or_default();
    for (name, amount) in aggregate(spec, |resources| resources.limits.as_ref()) {
        if is_huge_page(&name) && !requests.contains_key(&name) {
            limits.entry(name).or_insert_with(|| amount.into());
        }
    }
    if !limits.is_empty() {
        for (name, amount) in aggregate(spec, |resources| resources.requests.as_ref()) {
            if matches!(name.as_str(), "cpu" | "memory") && is_overcommit_allowed(&name) {
                requests.entry(name).or_insert_with(|| amount.into());
            }
        }
        for (name, amount) in &limits {
            if matches!(name.as_str(), "cpu" | "memory") || is_huge_page(name) {
                requests.entry(name.clone()).or_insert_with(|| amount.clone());
            }
        }
    }
    let resources = spec.resources.get_or_insert_default();
    resources.limits = Some(limits).filter(|limits| !limits.is_empty());
    resources.requests = Some(requests).filter(|requests| !requests.is_empty());
}

fn default_container(container: &mut Container) {
    default_image(text(&container.image), &mut container.image_pull_policy);
    or_word(&mut container.termination_message_path, "/dev/termination-log");
    or_word(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        or_word(&mut port.protocol, "TCP");
    }
    default_env(container.env.as_mut());
    if let Some(resources) = &mut container.resources {
        round_amounts(&mut resources.limits);
        round_amounts(&mut resources.requests);
    }
    let probes =
        [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    probes.into_iter().flatten().for_each(default_probe);
    if let Some(lifecycle) = &mut container.lifecycle {
        // Stop signals are off in a default server, which drops them.
        lifecycle.stop_signal = None;
        for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten() {
            default_handler(handler);
        }
    }
}

fn default_ephemeral(container: &mut EphemeralContainer) {
    default_image(text(&container.image), &mut container.image_pull_policy);
    or_word(&mut container.termination_message_path, "/dev/termination-log");
    or_word(&mut container.termination_message_policy, "File");
    default_env(container.env.as_mut());
}

fn default_env(vars: Option<&mut Vec<EnvVar>>) {
    for source in vars.into_iter().flatten().filter_map(|var| var.value_from.as_mut()) {
        if let Some(field) = &mut source.field_ref {
            default_field(field);
        }
        if let Some(file) = &mut source.file_key_ref {
            file.optional.get_or_insert(false);
        }
    }
}

fn default_field(field: &mut ObjectFieldSelector) {
    or_word(&mut field.api_version, "v1");
}

fn default_probe(probe: &mut Probe) {
    or_number(&mut probe.timeout_seconds, 1);
    or_number(&mut probe.period_seconds, 10);
    or_number(&mut probe.success_threshold, 1);
    or_number(&mut probe.failure_threshold, 3);
    if let Some(action) = &mut probe.http_get {
        default_http(action);
    }
    if let Some(action) = &mut probe.grpc {
        action.service.get_or_insert_default();
    }
}

fn default_handler(handler: &mut LifecycleHandler) {
    if let Some(action) = &mut handler.http_get {
        default_http(action);
    }
}

fn default_http(action: &mut HTTPGetAction) {
    or_word(&mut action.path, "/");
    or_word(&mut action.scheme, "HTTP");
}

fn default_image(image: &str, policy: &mut Option<String>) {
    if text(policy).is_empty() {
        let word = if is_latest(image) { "Always" } else { "IfNotPresent" };
        *policy = Some(word.to_owned());
    }
}

fn default_volume(volume: &mut Volume) {
    if has_no_source(volume) {
        volume.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(source) = &mut volume.image {
        default_image(text(&source.reference), &mut source.pull_policy);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(FILE_MODE);
        for field in source.items.iter_mut().flatten().filter_map(|item| item.field_ref.as_mut()) {
            default_field(field);
        }
    }
    if let Some(source) = &mut volume.projected {
        source.default_mode.get_or_insert(FILE_MODE);
        for source in source.sources.iter_mut().flatten() {
            if let Some(token) = &mut source.service_account_token {
                token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
            }
            let items = source.downward_api.iter_mut().flat_map(|api| api.items.iter_mut().flatten());
            items.filter_map(|item| item.field_ref.as_mut()).for_each(default_field);
        }
    }
    default_old_volume(volume);
}

/// The sources that drivers outside Kubernetes have replaced.
fn default_old_volume(volume: &mut Volume) {
    if let Some(source) = &mut volume.iscsi {
        or_word(&mut source.iscsi_interface, "default");
    }
    if let Some(source) = &mut volume.rbd {
        or_word(&mut source.pool, "rbd");
        or_word(&mut source.user, "admin");
        or_word(&mut source.keyring, "/etc/ceph/keyring");
    }
    if let Some(source) = &mut volume.azure_disk {
        source.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
        source.fs_type.get_or_insert_with(|| "ext4".to_owned());
        source.read_only.get_or_insert(false);
        source.kind.get_or_insert_with(|| "Shared".to_owned());
    }
    if let Some(source) = &mut volume.scale_io {
        or_word(&mut source.storage_mode, "ThinProvisioned");
        or_word(&mut source.fs_type, "xfs");
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut())
    {
        template.spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    }
}

fn has_no_source(volume: &Volume) -> bool {
    super::volumes::SOURCES.iter().all(|source| !(source.is_set)(volume))
}

/// Whether the image is the newest one of its name: its tag is `latest`, or it has neither tag nor digest.
/// What is no image's name is nothing at all.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[slash..].find(':') {
        Some(colon) => (&name[..slash + colon], Some(&name[slash + colon + 1..])),
        None => (name, None),
    };
    if !is_image_name(name) {
        return false;
    }
    tag.map_or(digest.is_none(), |tag| tag == "latest")
}

fn is_image_name(name: &str) -> bool {
    let rest = match name.split_once('/') {
        Some((domain, rest))
            if domain.contains(['.', ':'])
                || domain == "localhost"
                || domain.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            rest
        }
        _ => name,
    };
    let is_id = rest.len() == 64 && rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    !is_id && rest.split('/').all(is_image_component)
}

fn is_image_component(component: &str) -> bool {
    let plain = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = component.as_bytes();
    plain(bytes.first())
        && plain(bytes.last())
        && bytes.iter().all(|byte| plain(Some(byte)) || matches!(byte, b'.' | b'_' | b'-'))
}

/// The containers of every sort but the ephemeral ones, with the name of their list.
pub(super) fn all_containers(spec: &PodSpec) -> impl Iterator<Item = (&'static str, usize, &Container)> {
    let init = list(&spec.init_containers).iter().enumerate();
    let init = init.map(|(at, container)| ("initContainers", at, container));
    init.chain(spec.containers.iter().enumerate().map(|(at, container)| ("containers", at, container)))
}
