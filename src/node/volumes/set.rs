//! The volumes of one pod on the disk: sets them up, changes their files, takes them down.
//!
//! They lie in `POD/volumes/NAME`. Setting up is repeatable: after a restart of the host program the same call finds
//! what is there. The runtime makes memory; nothing of it is on the disk.
//!
//! Caveat: the files of secrets are on the disk of the pod's folder, which only its owner may enter; put the state
//! folder on a tmpfs where they must not be.
//!
//! Invariant: a failed setup leaves the volumes before it, so that it can be tried again, and `teardown` removes all.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::{PlannedVolume, VolumeCause, VolumeDriver, VolumeError, VolumeSource, atomic, host_path};

/// The bits a group gets in volumes that containers may write, and in those they may not.
const WRITABLE: u32 = 0o660;
const READABLE: u32 = 0o440;

/// Where a volume is, for mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// A file or folder; `read_only` whatever the container asks.
    Path { path: PathBuf, read_only: bool },
    /// Memory of the runtime.
    Memory { size_limit: Option<u64> },
}

/// The volumes of one pod, set up.
#[derive(Debug)]
pub struct VolumeSet {
    folder: PathBuf,
    drivers: Vec<Arc<dyn VolumeDriver>>,
    pub(super) placed: BTreeMap<String, Placed>,
}

impl VolumeSet {
    /// Sets the volumes up in the pod's folder. `now` names the content of files.
    pub fn setup(
        pod_folder: &Path,
        planned: &[PlannedVolume],
        now: Timestamp,
        drivers: &[Arc<dyn VolumeDriver>],
    ) -> Result<VolumeSet, VolumeError> {
        let folder = pod_folder.join("volumes");
        let mut set = VolumeSet { folder, drivers: drivers.to_vec(), placed: BTreeMap::new() };
        for volume in planned {
            let placed = set.place(volume, now).map_err(|cause| cause.of(&volume.name))?;
            set.placed.insert(volume.name.clone(), placed);
        }
        Ok(set)
    }

    /// Brings the files of volumes to what a new plan says; answers the volumes that changed. Volumes without files
    /// stay as they are.
    pub fn update(&mut self, planned: &[PlannedVolume], now: Timestamp) -> Result<Vec<String>, VolumeError> {
        let mut changed = Vec::new();
        for volume in planned {
            let VolumeSource::Files(payload) = &volume.source else { continue };
            let Some(Placed::Path { path, .. }) = self.placed.get(&volume.name) else { continue };
            if atomic::write(path, payload, volume.fs_group, now).map_err(|cause| cause.of(&volume.name))? {
                changed.push(volume.name.clone());
            }
        }
        Ok(changed)
    }

    /// Removes every volume of the pod's folder, also those that another program set up. Goes on after a failure and
    /// answers all of them. What `hostPath` points to stays.
    pub fn teardown(pod_folder: &Path, drivers: &[Arc<dyn VolumeDriver>]) -> Result<(), Vec<VolumeError>> {
        let folder = pod_folder.join("volumes");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(vec![VolumeCause::io("read the folder", &folder, error).of("")]),
        };
        let mut failures = Vec::new();
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let refused = drivers.iter().find_map(|driver| driver.teardown(&name, &path).err());
            let removed = match refused {
                Some(reason) => Err(VolumeCause::Refused(reason)),
                None => fs::remove_dir_all(&path).map_err(|e| VolumeCause::io("remove", &path, e)),
            };
            failures.extend(removed.err().map(|cause| cause.of(&name)));
        }
        if failures.is_empty() {
            let removed = fs::remove_dir(&folder);
            failures.extend(removed.err().map(|e| VolumeCause::io("remove", &folder, e).of("")));
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    fn place(&self, volume: &PlannedVolume, now: Timestamp) -> Result<Placed, VolumeCause> {
        let path = self.folder.join(&volume.name);
        match &volume.source {
            VolumeSource::EmptyDir => {
                if make_folder(&path, 0o777)? {
                    give_to_group(&path, volume.fs_group, false);
                }
                Ok(Placed::Path { path, read_only: false })
            }
            VolumeSource::Memory { size_limit } => Ok(Placed::Memory { size_limit: *size_limit }),
            VolumeSource::Files(payload) => {
                make_folder(&path, 0o777)?;
                for nested in &volume.nested {
                    let nested = path.join(nested);
                    // A mount point that is a file of the volume is there already.
                    if !payload.files().keys().any(|file| path.join(file) == nested) {
                        fs::create_dir_all(&nested)
                            .map_err(|e| VolumeCause::io("make the mount point", &nested, e))?;
                    }
                }
                atomic::write(&path, payload, volume.fs_group, now)?;
                if volume.fs_group.is_some() {
                    give_one(&path, volume.fs_group, true);
                }
                Ok(Placed::Path { path, read_only: true })
            }
            VolumeSource::HostPath { path, kind } => {
                host_path::ensure(path, *kind)?;
                Ok(Placed::Path { path: path.clone(), read_only: false })
            }
            VolumeSource::Driver(source) => {
                let driver = self.drivers.iter().find(|driver| driver.handles(source));
                let driver = driver.ok_or_else(|| VolumeCause::NoDriver(volume.name.clone()))?;
                make_folder(&path, 0o755)?;
                let path = driver.setup(source, &path).map_err(VolumeCause::Refused)?;
                Ok(Placed::Path { path, read_only: false })
            }
        }
    }
}

/// Makes a folder with a mode; answers whether it was missing. The folder above it is the owner's alone.
fn make_folder(path: &Path, mode: u32) -> Result<bool, VolumeCause> {
    if path.is_dir() {
        return Ok(false);
    }
    let failed = |e: std::io::Error| VolumeCause::io("make the folder", path, e);
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    fs::create_dir(path).map_err(failed)?;
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)?;
    Ok(true)
}

/// Gives a folder and all in it to a group, as `fsGroup` asks. What the user may not change stays, as upstream leaves it.
pub(super) fn give_to_group(path: &Path, group: Option<u32>, read_only: bool) {
    if group.is_none() {
        return;
    }
    if fs::symlink_metadata(path).is_ok_and(|m| m.is_dir()) {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            give_to_group(&entry.path(), group, read_only);
        }
    }
    give_one(path, group, read_only);
}

fn give_one(path: &Path, group: Option<u32>, read_only: bool) {
    let given = std::os::unix::fs::lchown(path, None, group).and_then(|()| {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_symlink() {
            return Ok(());
        }
        let folder = if metadata.is_dir() { 0o2110 } else { 0 };
        let mode = metadata.mode() & 0o7777 | folder | if read_only { READABLE } else { WRITABLE };
        fs::set_permissions(path, PermissionsExt::from_mode(mode))
    });
    if let Err(error) = given {
        tracing::debug!(%error, "{} keeps its group", path.display());
    }
}
