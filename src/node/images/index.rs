//! The index of a store on the disk: read, replaced by a rename, and made to agree with the folder.
//!
//! Invariant: at any moment the file is a whole index, the old one or the new one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ImageConfig, ImageError, ImageId};

/// What is on the disk as `index.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    pub images: BTreeMap<ImageId, Record>,
    pub names: BTreeMap<String, ImageId>,
    pub layers: BTreeMap<String, u64>,
    pub own_layer: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub layers: Vec<String>,
    pub manifests: BTreeSet<String>,
    pub config: ImageConfig,
    pub local: bool,
}

pub(super) fn read_index(dir: &Path) -> Result<Index, ImageError> {
    let path = dir.join("index.json");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| ImageError::malformed(path.display(), e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Index::default()),
        Err(e) => Err(ImageError::io("read", path.display(), e)),
    }
}

pub(super) fn write_index(dir: &Path, index: &Index) -> Result<(), ImageError> {
    let (path, new) = (dir.join("index.json"), dir.join("tmp/index.json"));
    let failed = |e: std::io::Error| ImageError::io("write", path.display(), e);
    let bytes = serde_json::to_vec(index).map_err(|e| ImageError::malformed(path.display(), e))?;
    let mut file = File::create(&new).map_err(failed)?;
    file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
    std::fs::rename(&new, &path).map_err(failed)
}

/// Makes folder and index agree: half-made things go, and images that lost a layer.
pub(super) fn sweep(dir: &Path, mut index: Index) -> Result<Index, ImageError> {
    let names = |folder: PathBuf| -> Result<Vec<String>, ImageError> {
        let failed = |e: std::io::Error| ImageError::io("read the folder", folder.display(), e);
        let entries = std::fs::read_dir(&folder).map_err(failed)?;
        entries.map(|e| Ok(e.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
    };
    for name in names(dir.join("tmp"))? {
        remove_tree(&dir.join("tmp").join(name));
    }
    let present: BTreeSet<String> = names(dir.join("layers"))?.into_iter().collect();
    index.layers.retain(|name, _| present.contains(name));
    let layers = index.layers.clone();
    index.images.retain(|id, record| {
        let whole = record.layers.iter().all(|name| layers.contains_key(name));
        if !whole {
            tracing::warn!(image = %id, "image dropped: a layer is missing from {}", dir.display());
        }
        whole
    });
    let images = index.images.clone();
    index.names.retain(|_, id| images.contains_key(id));
    index.own_layer = index.own_layer.filter(|name| layers.contains_key(name));
    let used: BTreeSet<&String> =
        index.images.values().flat_map(|record| &record.layers).chain(&index.own_layer).collect();
    for name in present.iter().filter(|name| !used.contains(name)) {
        remove_tree(&dir.join("layers").join(name));
    }
    let used: BTreeSet<String> = used.into_iter().cloned().collect();
    index.layers.retain(|name, _| used.contains(name));
    Ok(index)
}

/// Removes a file or folder; what cannot be removed is told, not fatal.
pub(super) fn remove_tree(path: &Path) {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => return,
    };
    if let Err(error) = removed {
        tracing::warn!(%error, "{} could not be removed", path.display());
    }
}
