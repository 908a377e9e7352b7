//! The volumes of a pod: what is mounted into its containers.
//!
//! [`plan`] is pure: it makes, of a pod and of what a [`Lookup`] knows, a [`PlannedVolume`] for each volume, with the
//! whole content of configMaps, secrets, projections and downward files in it. [`VolumeSet`] carries that out in the
//! pod's folder, changes files by one symlink swap, and tells the mounts of a container.
//!
//! It reads no store, mounts nothing (the runtime does, also the memory of `medium: Memory`), and knows no claims;
//! later kinds come in through [`VolumeDriver`]. Texts of errors are those of upstream's events.
//!
//! Invariant: nothing outside a volume's folder is written, whatever names a pod or a container gives.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

#[cfg(target_os = "linux")]
mod atomic;
pub mod downward;
#[cfg(target_os = "linux")]
mod host_path;
#[cfg(target_os = "linux")]
mod mounts;
mod plan;
#[cfg(target_os = "linux")]
mod set;
#[cfg(target_os = "linux")]
mod subpath;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

#[cfg(target_os = "linux")]
pub use mounts::MountError;
pub use plan::plan;
#[cfg(target_os = "linux")]
pub use set::VolumeSet;

/// What plans need to know of the cluster. The agent fills it from its view; it must not block.
pub trait Lookup {
    /// The configMap, if there is one.
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>>;

    /// The secret, if there is one.
    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>>;

    /// What the node has to give away: the limits of containers that set none.
    fn allocatable(&self) -> BTreeMap<String, Quantity> {
        BTreeMap::new()
    }

    /// A token for the pod's service account. Without an implementation it is refused.
    ///
    /// # Errors
    /// The sentence that goes into the event.
    fn service_account_token(&self, request: &TokenRequest) -> Result<Vec<u8>, String> {
        Err(format!("service account tokens are not issued (asked for {})", request.service_account))
    }
}

/// What a projected volume asks of the issuer of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's service account.
    pub service_account: String,
    /// The pod's name, to which the token is bound.
    pub pod_name: String,
    /// The pod's uid.
    pub pod_uid: String,
    /// Whom the token is for; `None` for the API server.
    pub audience: Option<String>,
    /// How long it holds.
    pub expiration_seconds: Option<i64>,
}

/// One file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProjection {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// The files of a volume, by relative path. [`plan`] makes only valid ones; so does [`Payload::insert`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    files: BTreeMap<String, FileProjection>,
}

impl Payload {
    /// Adds a file; one of the same path is replaced.
    ///
    /// # Errors
    /// The path is empty, absolute, too long, leads out, or begins with `..`, which the writer keeps for itself.
    pub fn insert(&mut self, path: &str, file: FileProjection) -> Result<(), VolumeCause> {
        self.files.insert(plan::clean_path(path)?, file);
        Ok(())
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &BTreeMap<String, FileProjection> {
        &self.files
    }
}

/// `hostPath.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPathKind {
    /// No check; a missing folder is made when it is mounted.
    Unset,
    /// A folder, made if nothing is there.
    DirectoryOrCreate,
    /// A folder.
    Directory,
    /// A file, made if nothing is there; the folder above it is not.
    FileOrCreate,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// What a volume is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum VolumeSource {
    /// An empty folder on the disk.
    EmptyDir,
    /// Memory, made by the runtime.
    Memory {
        /// The most bytes.
        size_limit: Option<u64>,
    },
    /// Files that change by one swap, read-only for containers.
    Files(Payload),
    /// A path of the host.
    HostPath {
        /// The path.
        path: PathBuf,
        /// What must be there.
        kind: HostPathKind,
    },
    /// A kind that a [`VolumeDriver`] knows.
    Driver(Box<Volume>),
}

/// A volume that can be set up.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedVolume {
    /// Its name in the pod.
    pub name: String,
    /// What it is made of.
    pub source: VolumeSource,
    /// `fsGroup` of the pod: the group that may use it.
    pub fs_group: Option<u32>,
    /// Folders inside it onto which other volumes are mounted; made beforehand, since it is read-only.
    pub nested: Vec<String>,
}

/// Further kinds of volumes. Called from executors; may block.
///
/// ```
/// use std::path::{Path, PathBuf};
/// use coracle::k8s_openapi::api::core::v1::Volume;
/// use coracle::node::volumes::VolumeDriver;
///
/// /// Network file systems that the host has mounted already.
/// #[derive(Debug)]
/// struct Mounted;
///
/// impl VolumeDriver for Mounted {
///     fn handles(&self, volume: &Volume) -> bool {
///         volume.nfs.is_some()
///     }
///     fn setup(&self, volume: &Volume, _folder: &Path) -> Result<PathBuf, String> {
///         let nfs = volume.nfs.as_ref().ok_or("no nfs source")?;
///         Ok(Path::new("/net").join(&nfs.server).join(nfs.path.trim_start_matches('/')))
///     }
///     fn teardown(&self, _name: &str, _folder: &Path) -> Result<(), String> {
///         Ok(())
///     }
/// }
/// ```
pub trait VolumeDriver: Send + Sync + fmt::Debug {
    /// Whether this driver knows the volume's kind.
    fn handles(&self, volume: &Volume) -> bool;

    /// Makes the volume and answers the path that containers get. `folder` is an empty folder of the volume's own.
    /// A second call answers the same.
    ///
    /// # Errors
    /// One sentence for the event.
    fn setup(&self, volume: &Volume, folder: &Path) -> Result<PathBuf, String>;

    /// Undoes `setup`; the folder is removed afterwards. Called for volumes that were never set up, too.
    ///
    /// # Errors
    /// One sentence for the log.
    fn teardown(&self, name: &str, folder: &Path) -> Result<(), String>;
}

/// A volume that could not be planned or set up, in the words of the event `FailedMount`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {cause}")]
pub struct VolumeError {
    /// The volume's name.
    pub volume: String,
    /// What is wrong.
    pub cause: VolumeCause,
}

/// What is wrong with a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeCause {
    /// An object that it takes its files from is missing.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A configMap lacks a key.
    #[error("configmap references non-existent config key: {0}")]
    MissingConfigKey(String),
    /// A secret lacks a key.
    #[error("references non-existent secret key: {0}")]
    MissingSecretKey(String),
    /// A file's path is none.
    #[error("invalid path: {0}")]
    InvalidPath(String),
    /// A value of the downward API.
    #[error(transparent)]
    Downward(#[from] downward::DownwardError),
    /// The files are too large together.
    #[error("the volume's files have more than {0} bytes")]
    TooLarge(usize),
    /// The path of the host is not what its type says.
    #[error("hostPath type check failed: {path} is not a {expected}")]
    HostPath {
        /// The path.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A type of host path, or a medium, that does not exist.
    #[error("{0}")]
    Invalid(String),
    /// A kind that no driver knows.
    #[error("volumes of this kind need a driver, and none of this node's handles it: {0}")]
    NoDriver(String),
    /// A driver or an issuer of tokens refused.
    #[error("{0}")]
    Refused(String),
    /// The system refused.
    #[error("{step} {path}: {cause}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The file.
        path: String,
        /// The system's words.
        cause: String,
    },
    /// Several sources of one projection.
    #[error("[{}]", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Several(Vec<VolumeCause>),
}

#[cfg(target_os = "linux")]
impl VolumeCause {
    fn io(step: &'static str, path: &Path, cause: impl fmt::Display) -> VolumeCause {
        VolumeCause::Io { step, path: path.display().to_string(), cause: cause.to_string() }
    }

    fn of(self, volume: &str) -> VolumeError {
        VolumeError { volume: volume.to_owned(), cause: self }
    }
}
