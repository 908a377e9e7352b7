//! Makes plans of a pod's volumes.
//!
//! Pure: sees the pod and what the lookup answers. Does not know where volumes lie.
//!
//! Invariant: every path in a payload is clean: relative, without `.` and `..`, and not beginning with `..`.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeFile, EmptyDirVolumeSource, HostPathVolumeSource, KeyToPath, Pod,
    ProjectedVolumeSource, SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};

use super::{
    FileProjection, HostPathKind, Lookup, Payload, PlannedVolume, TokenRequest, VolumeCause, VolumeError,
    VolumeSource, downward,
};
use crate::limits;

/// The mode of files whose volume gives none.
const DEFAULT_MODE: i32 = 0o644;

/// Plans every volume of the pod, in its order.
///
/// # Errors
/// The first volume that cannot be made, in the words of the event `FailedMount`. Trying again later may help: a
/// missing configMap may come.
pub fn plan(pod: &Pod, lookup: &dyn Lookup) -> Result<Vec<PlannedVolume>, VolumeError> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    let planned = volumes.into_iter().flatten().map(|volume| {
        let source = source(pod, volume, lookup)
            .map_err(|cause| VolumeError { volume: volume.name.clone(), cause })?;
        let nested = match source {
            VolumeSource::Files(_) => nested(pod, &volume.name),
            _ => Vec::new(),
        };
        Ok(PlannedVolume { name: volume.name.clone(), source, fs_group: fs_group(pod), nested })
    });
    planned.collect()
}

/// `fsGroup` of the pod.
fn fs_group(pod: &Pod) -> Option<u32> {
    let security = pod.spec.as_ref()?.security_context.as_ref()?;
    security.fs_group.and_then(|group| u32::try_from(group).ok())
}

fn source(pod: &Pod, volume: &Volume, lookup: &dyn Lookup) -> Result<VolumeSource, VolumeCause> {
    if let Some(source) = &volume.empty_dir {
        return empty_dir(source);
    }
    if let Some(source) = &volume.host_path {
        return host_path(source);
    }
    let mut files = Files { pod, lookup, payload: Payload::default(), size: 0 };
    if let Some(source) = &volume.config_map {
        let ConfigMapVolumeSource { name, items, optional, default_mode, .. } = source;
        files.config_map(name, items.as_deref(), *optional, default_mode.unwrap_or(DEFAULT_MODE))?;
    } else if let Some(source) = &volume.secret {
        let SecretVolumeSource { secret_name, items, optional, default_mode, .. } = source;
        let name = secret_name.as_deref().unwrap_or_default();
        files.secret(name, items.as_deref(), *optional, default_mode.unwrap_or(DEFAULT_MODE))?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        files.downward(source.items.as_deref().unwrap_or_default(), mode)?;
    } else if let Some(source) = &volume.projected {
        files.projected(source)?;
    } else if is_empty(volume) {
        // A volume without a source is an emptyDir.
        return Ok(VolumeSource::EmptyDir);
    } else {
        return Ok(VolumeSource::Driver(Box::new(volume.clone())));
    }
    Ok(VolumeSource::Files(files.payload))
}

fn is_empty(volume: &Volume) -> bool {
    *volume == Volume { name: volume.name.clone(), ..Volume::default() }
}

fn empty_dir(source: &EmptyDirVolumeSource) -> Result<VolumeSource, VolumeCause> {
    match source.medium.as_deref().unwrap_or_default() {
        "" => Ok(VolumeSource::EmptyDir),
        "Memory" => {
            let limit = source.size_limit.as_ref().map(downward::parse).transpose()?;
            // Zero is no limit, as upstream reads it.
            let limit = limit.and_then(|limit| u64::try_from(limit.value()).ok()).filter(|limit| *limit > 0);
            Ok(VolumeSource::Memory { size_limit: limit })
        }
        medium => Err(VolumeCause::Invalid(format!("unknown storage medium {medium:?}"))),
    }
}

fn host_path(source: &HostPathVolumeSource) -> Result<VolumeSource, VolumeCause> {
    let kind = match source.type_.as_deref().unwrap_or_default() {
        "" => HostPathKind::Unset,
        "DirectoryOrCreate" => HostPathKind::DirectoryOrCreate,
        "Directory" => HostPathKind::Directory,
        "FileOrCreate" => HostPathKind::FileOrCreate,
        "File" => HostPathKind::File,
        "Socket" => HostPathKind::Socket,
        "CharDevice" => HostPathKind::CharDevice,
        "BlockDevice" => HostPathKind::BlockDevice,
        other => return Err(VolumeCause::Invalid(format!("{other} is an invalid volume type"))),
    };
    if !source.path.starts_with('/') || source.path.split('/').any(|part| part == "..") {
        return Err(VolumeCause::InvalidPath(format!(
            "must be an absolute path without '..': {}",
            source.path
        )));
    }
    Ok(VolumeSource::HostPath { path: (&source.path).into(), kind })
}

/// The files of one volume, as they are collected.
struct Files<'a> {
    pod: &'a Pod,
    lookup: &'a dyn Lookup,
    payload: Payload,
    size: usize,
}

impl Files<'_> {
    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or("default")
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>, mode: i32) -> Result<(), VolumeCause> {
        self.size += bytes.len();
        if self.size > limits::VOLUME_PAYLOAD_BYTES {
            return Err(VolumeCause::TooLarge(limits::VOLUME_PAYLOAD_BYTES));
        }
        let mode = u32::try_from(mode).unwrap_or(0) & 0o777;
        self.payload.insert(path, FileProjection { bytes, mode })
    }

    fn config_map(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<(), VolumeCause> {
        let Some(map) = self.lookup.config_map(self.namespace(), name) else {
            return missing("configmap", name, optional);
        };
        let text = |key: &str| map.data.as_ref().and_then(|d| d.get(key)).map(|v| v.clone().into_bytes());
        let binary = |key: &str| map.binary_data.as_ref().and_then(|d| d.get(key)).map(|v| v.0.clone());
        let value = |key: &str| text(key).or_else(|| binary(key));
        let keys =
            map.data.iter().flat_map(|d| d.keys()).chain(map.binary_data.iter().flat_map(|d| d.keys()));
        let keys: Vec<String> = keys.cloned().collect();
        self.keys(keys, items, optional, mode, &value, VolumeCause::MissingConfigKey)
    }

    fn secret(
        &mut self,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<(), VolumeCause> {
        let Some(secret) = self.lookup.secret(self.namespace(), name) else {
            return missing("secret", name, optional);
        };
        let value = |key: &str| secret.data.as_ref().and_then(|d| d.get(key)).map(|v| v.0.clone());
        let keys: Vec<String> = secret.data.iter().flat_map(|d| d.keys()).cloned().collect();
        self.keys(keys, items, optional, mode, &value, VolumeCause::MissingSecretKey)
    }

    /// Every key as a file of its name, or the chosen ones at the paths given.
    fn keys(
        &mut self,
        keys: Vec<String>,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
        value: &dyn Fn(&str) -> Option<Vec<u8>>,
        lacks: fn(String) -> VolumeCause,
    ) -> Result<(), VolumeCause> {
        let items = items.unwrap_or_default();
        if items.is_empty() {
            for key in keys {
                self.add(&key, value(&key).unwrap_or_default(), mode)?;
            }
            return Ok(());
        }
        for item in items {
            match value(&item.key) {
                Some(bytes) => self.add(&item.path, bytes, item.mode.unwrap_or(mode))?,
                None if optional == Some(true) => {}
                None => return Err(lacks(item.key.clone())),
            }
        }
        Ok(())
    }

    fn downward(&mut self, items: &[DownwardAPIVolumeFile], mode: i32) -> Result<(), VolumeCause> {
        let mut failures = Vec::new();
        for item in items {
            let value = if let Some(field) = &item.field_ref {
                // Files know fewer fields than variables: what changes with the pod's life is not among them.
                match field.field_path.as_str() {
                    path if path.starts_with("metadata.") => downward::field_value(self.pod, path),
                    path => Err(downward::DownwardError::Path(path.to_owned())),
                }
            } else if let Some(resource) = &item.resource_field_ref {
                downward::resource_value(resource, self.pod, None, &self.lookup.allocatable())
            } else {
                Ok(String::new())
            };
            match value {
                Ok(value) => self.add(&item.path, value.into_bytes(), item.mode.unwrap_or(mode))?,
                Err(error) => failures.push(error.into()),
            }
        }
        together(failures)
    }

    fn projected(&mut self, source: &ProjectedVolumeSource) -> Result<(), VolumeCause> {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let sources = source.sources.iter().flatten();
        let failures = sources.filter_map(|source| self.projection(source, mode).err()).collect();
        together(failures)
    }

    fn projection(&mut self, source: &VolumeProjection, mode: i32) -> Result<(), VolumeCause> {
        if let Some(map) = &source.config_map {
            self.config_map(&map.name, map.items.as_deref(), map.optional, mode)
        } else if let Some(secret) = &source.secret {
            self.secret(&secret.name, secret.items.as_deref(), secret.optional, mode)
        } else if let Some(files) = &source.downward_api {
            self.downward(files.items.as_deref().unwrap_or_default(), mode)
        } else if let Some(token) = &source.service_account_token {
            self.token(token, mode)
        } else if source.cluster_trust_bundle.is_some() {
            Err(VolumeCause::Invalid("projections of ClusterTrustBundles are not supported".to_owned()))
        } else if source.pod_certificate.is_some() {
            Err(VolumeCause::Invalid("projections of PodCertificates are not supported".to_owned()))
        } else {
            Ok(())
        }
    }

    fn token(&mut self, source: &ServiceAccountTokenProjection, mode: i32) -> Result<(), VolumeCause> {
        let spec = self.pod.spec.as_ref();
        let request = TokenRequest {
            namespace: self.namespace().to_owned(),
            service_account: spec.and_then(|s| s.service_account_name.clone()).unwrap_or_default(),
            pod_name: self.pod.metadata.name.clone().unwrap_or_default(),
            pod_uid: self.pod.metadata.uid.clone().unwrap_or_default(),
            audience: source.audience.clone().filter(|a| !a.is_empty()),
            expiration_seconds: source.expiration_seconds,
        };
        let token = self.lookup.service_account_token(&request).map_err(VolumeCause::Refused)?;
        // A group that may read it is added when the volume is set up.
        let mode = if fs_group(self.pod).is_some() { 0o600 } else { mode };
        self.add(&source.path, token, mode)
    }
}

fn missing(kind: &'static str, name: &str, optional: Option<bool>) -> Result<(), VolumeCause> {
    if optional == Some(true) {
        return Ok(());
    }
    Err(VolumeCause::NotFound { kind, name: name.to_owned() })
}

fn together(mut failures: Vec<VolumeCause>) -> Result<(), VolumeCause> {
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => Err(VolumeCause::Several(failures)),
    }
}

/// A path of a payload, without empty parts and dots.
pub(super) fn clean_path(path: &str) -> Result<String, VolumeCause> {
    let invalid = |text: String| Err(VolumeCause::InvalidPath(text));
    if path.is_empty() {
        return invalid("must not be empty: \"\"".to_owned());
    }
    if path.starts_with('/') {
        return invalid(format!("must be relative path: {path}"));
    }
    if path.len() > limits::PATH_BYTES {
        return invalid(format!("must be less than or equal to {} characters", limits::PATH_BYTES));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return invalid(format!("must not contain '..': {path}"));
    }
    if parts.iter().any(|part| part.len() > limits::FILE_NAME_BYTES) {
        let limit = limits::FILE_NAME_BYTES;
        return invalid(format!("filenames must be less than or equal to {limit} characters"));
    }
    match parts.first() {
        None => invalid(format!("must not be empty: {path:?}")),
        Some(first) if first.starts_with("..") => invalid(format!("must not start with '..': {path}")),
        Some(_) if path.contains('\0') => invalid("must not hold a NUL character".to_owned()),
        Some(_) => Ok(parts.join("/")),
    }
}

/// Where other volumes are mounted inside this one, as paths inside it.
fn nested(pod: &Pod, volume: &str) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init = spec.init_containers.iter().flatten();
    let mut found: Vec<String> = Vec::new();
    for container in init.chain(&spec.containers) {
        let mounts: Vec<&VolumeMount> = container.volume_mounts.iter().flatten().collect();
        for outer in mounts.iter().filter(|mount| mount.name == volume && mount.sub_path_expr.is_none()) {
            for inner in mounts.iter().filter(|mount| mount.name != volume) {
                let outer_path = outer.mount_path.trim_end_matches('/');
                let below = inner.mount_path.strip_prefix(outer_path).and_then(|p| p.strip_prefix('/'));
                let Some(below) = below.filter(|below| !below.is_empty()) else { continue };
                let path = match outer.sub_path.as_deref().filter(|sub| !sub.is_empty()) {
                    Some(sub) => format!("{sub}/{below}"),
                    None => below.to_owned(),
                };
                // What is not a clean path is refused when it is mounted.
                found.extend(clean_path(&path));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
