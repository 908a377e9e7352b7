//! The mounts of a container: where each of its volumes goes, with `subPath` resolved.
//!
//! Invariant: a mount's source lies inside its volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::set::{Placed, VolumeSet};
use super::subpath;
use crate::node::env;
use crate::node::runtime::{Mount, MountSource, Propagation};

/// A mount that cannot be made, in the words of `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// The pod has no such volume.
    #[error("cannot find volume {volume:?} to mount into container {container:?}")]
    NoVolume {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
    /// `subPath` begins with a slash.
    #[error("error SubPath `{0}` must not be an absolute path")]
    Absolute(String),
    /// `subPath` leads out.
    #[error("unable to provision SubPath `{0}`: must not contain '..'")]
    Backsteps(String),
    /// `subPathExpr` names variables that are not set.
    #[error("missing value for {0}")]
    Missing(String),
    /// `subPath` passes a symlink out of the volume, or cannot be made. What is wrong is not told to the pod's owner,
    /// who may learn of the host by it.
    #[error("failed to prepare subPath for volumeMount {volume:?} of container {container:?}")]
    SubPath {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
    /// A mode that does not exist.
    #[error("invalid MountPropagation mode: {0:?}")]
    Propagation(String),
}

impl VolumeSet {
    /// The mounts of a container, in its order. `environment` is the container's whole environment, which
    /// `subPathExpr` refers to. Folders that `subPath` names are made.
    pub fn mounts_for(
        &self,
        container: &Container,
        environment: &[(String, String)],
    ) -> Result<Vec<Mount>, MountError> {
        let mounts = container.volume_mounts.iter().flatten();
        mounts.map(|mount| self.mount(container, mount, environment)).collect()
    }

    fn mount(
        &self,
        container: &Container,
        mount: &VolumeMount,
        environment: &[(String, String)],
    ) -> Result<Mount, MountError> {
        let placed = self.placed.get(&mount.name).ok_or_else(|| MountError::NoVolume {
            volume: mount.name.clone(),
            container: container.name.clone(),
        })?;
        let sub_path = sub_path(mount, environment)?;
        let (source, must_be_read_only) = match placed {
            Placed::Path { path, read_only } if sub_path.is_empty() => {
                (MountSource::Host(path.clone()), *read_only)
            }
            Placed::Path { path, read_only } => {
                let found = subpath::find(path, &sub_path).map_err(|errno| {
                    tracing::warn!(%errno, "subPath {sub_path:?} of {} is refused", path.display());
                    MountError::SubPath { volume: mount.name.clone(), container: container.name.clone() }
                })?;
                (MountSource::Host(found), *read_only)
            }
            Placed::Memory { size_limit } => {
                let memory =
                    MountSource::PodTmpfs { name: mount.name.clone(), size_limit: *size_limit, sub_path };
                (memory, false)
            }
        };
        let slash = if mount.mount_path.starts_with('/') { "" } else { "/" };
        Ok(Mount {
            source,
            target: format!("{slash}{}", mount.mount_path),
            read_only: mount.read_only == Some(true) || must_be_read_only,
            propagation: propagation(mount.mount_propagation.as_deref())?,
        })
    }
}

fn sub_path(mount: &VolumeMount, environment: &[(String, String)]) -> Result<String, MountError> {
    let sub_path = match mount.sub_path_expr.as_deref().filter(|expression| !expression.is_empty()) {
        Some(expression) => expand(expression, environment)?,
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    if sub_path.starts_with('/') {
        return Err(MountError::Absolute(sub_path));
    }
    if sub_path.split('/').any(|part| part == "..") {
        return Err(MountError::Backsteps(sub_path));
    }
    Ok(sub_path)
}

/// `subPathExpr`, whose variables must all have a value.
fn expand(expression: &str, environment: &[(String, String)]) -> Result<String, MountError> {
    let values: BTreeMap<&str, &str> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let mut missing = std::collections::BTreeSet::new();
    let expanded = env::expand(expression, |name| {
        let value = values.get(name).copied().unwrap_or_default();
        if value.is_empty() {
            missing.insert(name.to_owned());
        }
        Some(value.to_owned())
    });
    if missing.is_empty() {
        return Ok(expanded);
    }
    Err(MountError::Missing(missing.into_iter().collect::<Vec<_>>().join(", ")))
}

fn propagation(mode: Option<&str>) -> Result<Propagation, MountError> {
    match mode {
        None | Some("None") => Ok(Propagation::None),
        Some("HostToContainer") => Ok(Propagation::HostToContainer),
        Some("Bidirectional") => Ok(Propagation::Bidirectional),
        Some(other) => Err(MountError::Propagation(other.to_owned())),
    }
}
