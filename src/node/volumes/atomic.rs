//! Changes the files of a volume by one symlink swap, as upstream's atomic writer lays them out.
//!
//! ```text
//! VOLUME/..2026_01_02_15_04_05.0/key   the content
//! VOLUME/..data -> ..2026_01_02_15_04_05.0
//! VOLUME/key    -> ..data/key
//! ```
//!
//! Invariant: a reader that goes through `..data` sees the old files or the new ones, never a mixture.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Payload, VolumeCause, set};
use crate::limits;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Writes the payload into the folder; answers whether anything had to change. `stamp` names the new content.
pub(super) fn write(
    folder: &Path,
    payload: &Payload,
    group: Option<u32>,
    stamp: Timestamp,
) -> Result<bool, VolumeCause> {
    let data = folder.join(DATA);
    let old = match fs::read_link(&data) {
        Ok(target) => Some(folder.join(target)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(VolumeCause::io("read the link", &data, error)),
    };
    let gone = match &old {
        Some(old) => top_names(old)?.difference(&visible(payload)).cloned().collect(),
        None => BTreeSet::new(),
    };
    let same = old.as_ref().is_some_and(|old| is_same(old, payload));
    if !same {
        let new = fill(folder, payload, group, stamp)?;
        if let Err(error) = swap(folder, &new) {
            remove(&new)?;
            return Err(error);
        }
    }
    for name in visible(payload) {
        let link = folder.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(Path::new(DATA).join(&name), &link)
                .map_err(|e| VolumeCause::io("make the link", &link, e))?;
        }
    }
    for name in gone {
        let link = folder.join(name);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(VolumeCause::io("remove the link", &link, error));
            }
            _ => {}
        }
    }
    if let Some(old) = old.filter(|_| !same) {
        remove(&old)?;
    }
    Ok(!same)
}

fn remove(folder: &Path) -> Result<(), VolumeCause> {
    fs::remove_dir_all(folder).map_err(|e| VolumeCause::io("remove", folder, e))
}

/// The first parts of the payload's paths: what a user sees in the volume.
fn visible(payload: &Payload) -> BTreeSet<String> {
    let first = |path: &String| path.split('/').next().unwrap_or_default().to_owned();
    payload.files().keys().map(first).collect()
}

fn top_names(folder: &Path) -> Result<BTreeSet<String>, VolumeCause> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(VolumeCause::io("read the folder", folder, error)),
    }
}

/// Whether the folder holds exactly these files.
fn is_same(folder: &Path, payload: &Payload) -> bool {
    let same = |(path, file): (&String, &super::FileProjection)| {
        fs::read(folder.join(path)).is_ok_and(|bytes| bytes == file.bytes)
    };
    payload.files().iter().all(same) && count(folder) == payload.files().len()
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.file_type().is_ok_and(|t| t.is_dir()) { count(&e.path()) } else { 1 }).sum()
}

/// Makes the folder with the new content.
fn fill(
    folder: &Path,
    payload: &Payload,
    group: Option<u32>,
    stamp: Timestamp,
) -> Result<PathBuf, VolumeCause> {
    let new = stamped(folder, stamp)?;
    let filled = payload.files().iter().try_for_each(|(path, file)| {
        let path = new.join(path);
        write_file(&new, &path, &file.bytes, file.mode).map_err(|e| VolumeCause::io("write", &path, e))
    });
    if let Err(error) = filled {
        remove(&new)?;
        return Err(error);
    }
    set::give_to_group(&new, group, true);
    Ok(new)
}

/// A new folder named after the time; a second one in the same second gets another number.
fn stamped(folder: &Path, stamp: Timestamp) -> Result<PathBuf, VolumeCause> {
    let time = stamp.strftime("..%Y_%m_%d_%H_%M_%S");
    let mut path = folder.join(format!("{time}.0"));
    for number in 0..limits::OPEN_TRIES {
        path = folder.join(format!("{time}.{number}"));
        match fs::DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) => {
                set_mode(&path, 0o755).map_err(|e| VolumeCause::io("set the mode of", &path, e))?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(VolumeCause::io("make the folder", &path, error)),
        }
    }
    Err(VolumeCause::io("make the folder", &path, "too many of this second are left"))
}

fn write_file(top: &Path, path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let parents: Vec<&Path> = path.ancestors().skip(1).take_while(|parent| *parent != top).collect();
    for parent in parents.into_iter().rev() {
        if !parent.exists() {
            fs::create_dir(parent)?;
            set_mode(parent, 0o755)?;
        }
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    set_mode(path, mode)
}

fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

fn swap(folder: &Path, new: &Path) -> Result<(), VolumeCause> {
    let (link, data) = (folder.join(NEW_DATA), folder.join(DATA));
    let target = new.file_name().map(Path::new).unwrap_or(new);
    // One that a kill left behind is in the way.
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(target, &link).map_err(|e| VolumeCause::io("make the link", &link, e))?;
    fs::rename(&link, &data).map_err(|e| VolumeCause::io("swap the link", &data, e))
}
