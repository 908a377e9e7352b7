//! The image store: layers on disk, each unpacked once, and the index of images and names.
//!
//! ```text
//! DIR/lock               held while a store is open
//! DIR/index.json         images, names, sizes; replaced by a rename
//! DIR/layers/HEX         a layer, by the digest of its plain tar stream
//! DIR/layers/HEX-HEX     the same, where its implied folders depend on the layers below
//! DIR/layers/self-HEX    the host program's own image
//! DIR/empty              the one layer of images that have none
//! DIR/tmp                what is being made; emptied at open
//! ```
//!
//! Several threads may import, resolve and remove at once. A layer that two of them want is unpacked by one, the
//! other waits for it. The disk is never waited for under the lock that readers take.
//!
//! Invariant: an image in the index has all of its layers, and what is neither in the index nor being used for one is
//! not on the disk. It holds through kills; after a loss of power the folder may have to be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{Flock, FlockArg};
use parking_lot::{Condvar, Mutex};

use super::archive::{Archive, LayerBlob};
use super::builtin::{self, OwnProgram};
use super::index::{Index, Record, read_index, remove_tree, sweep, write_index};
use super::layer::{open_folder, unpack_layer};
use super::naming::Naming;
use super::source::ImageSource;
use super::{HOST_IMAGE, Image, ImageError, ImageId, ImageRef, SELF_IMAGE, digest};
use crate::node::runtime::Rootfs;

/// What the built-in images are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// The folder behind [`HOST_IMAGE`]; `None` for no such image.
    pub host_root: Option<PathBuf>,
    /// The executable behind [`SELF_IMAGE`]; `None` for no such image.
    pub executable: Option<PathBuf>,
}

impl Default for StoreOptions {
    /// The root file system and the running program.
    fn default() -> Self {
        StoreOptions { host_root: Some("/".into()), executable: Some("/proc/self/exe".into()) }
    }
}

/// What a removal gave back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// The images that are gone.
    pub images: Vec<ImageId>,
    /// The bytes of the layers that are gone.
    pub bytes: u64,
}

/// The images of one node. Cheap to clone; the folder is released with the last clone and hold.
#[derive(Clone, Debug)]
pub struct ImageStore {
    inner: Arc<Inner>,
}

/// Keeps an image from being removed, for as long as a container uses it.
#[derive(Debug)]
pub struct ImageHold {
    image: Image,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    options: StoreOptions,
    state: Mutex<State>,
    /// A layer is ready, or given up.
    settled: Condvar,
    /// Whoever changes the index, one at a time; readers do not take it.
    writer: Mutex<()>,
    next: AtomicU64,
    _lock: Flock<File>,
}

#[derive(Debug, Default)]
struct State {
    index: Arc<Index>,
    /// Layers on the disk, with their sizes.
    present: BTreeMap<String, u64>,
    /// Layers that are being made or removed.
    busy: BTreeSet<String>,
    /// Layers that an import needs and the index does not name yet.
    pins: BTreeMap<String, usize>,
    holds: BTreeMap<ImageId, usize>,
    /// Images that are being removed.
    leaving: BTreeSet<ImageId>,
    /// The host program's own image, once it has been asked for.
    own: Option<Image>,
}

/// A folder that is removed with what is in it, unless it was moved away.
struct TempFolder(PathBuf);

impl Drop for TempFolder {
    fn drop(&mut self) {
        remove_tree(&self.0);
    }
}

/// A layer that must stay although the index does not name it yet.
struct LayerPin<'a> {
    inner: &'a Inner,
    name: String,
    size: u64,
}

impl Drop for LayerPin<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        if let Some(count) = state.pins.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                state.pins.remove(&self.name);
            }
        }
    }
}

/// Marks layers as being made or removed; whoever wants them waits.
struct Busy<'a> {
    inner: &'a Inner,
    names: Vec<String>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        for name in &self.names {
            state.busy.remove(name);
        }
        self.inner.settled.notify_all();
    }
}

impl ImageStore {
    /// Opens the folder, makes it if it is missing, and removes what an earlier program left half done.
    ///
    /// # Errors
    /// [`ImageError::Busy`] while another store has it.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<ImageStore, ImageError> {
        for folder in [dir.to_owned(), dir.join("layers"), dir.join("empty"), dir.join("tmp")] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(if folder.ends_with("empty") { 0o755 } else { 0o700 })
                .create(&folder)
                .map_err(|e| ImageError::io("make the folder", folder.display(), e))?;
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(dir.join("lock"))
            .map_err(|e| ImageError::io("open", dir.join("lock").display(), e))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| ImageError::Busy(dir.to_owned()))?;
        let dir = dir.canonicalize().map_err(|e| ImageError::io("find", dir.display(), e))?;
        let index = sweep(&dir, read_index(&dir)?)?;
        let state = State { present: index.layers.clone(), index: Arc::new(index), ..State::default() };
        Ok(ImageStore {
            inner: Arc::new(Inner {
                dir,
                options,
                state: Mutex::new(state),
                settled: Condvar::new(),
                writer: Mutex::new(()),
                next: AtomicU64::new(0),
                _lock: lock,
            }),
        })
    }

    /// Takes in the images of an OCI layout folder, an OCI archive or a `docker save` archive.
    ///
    /// `under` gives the name: with a tag or digest it names the only image in there; without one it names the
    /// repository, and the images keep their tags. Without `under` they keep their own names.
    ///
    /// # Guarantees
    /// Everything is verified against its digests. A failed import leaves nothing behind.
    pub fn import(&self, path: &Path, under: Option<&str>) -> Result<Vec<ImageId>, ImageError> {
        self.inner.settle(self.inner.import(path, &Naming::of(under)?, true))
    }

    /// Fetches an image from the first source that has it.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] where none has it; the first source's own error where one could not tell.
    pub fn pull(&self, reference: &ImageRef, sources: &[Arc<dyn ImageSource>]) -> Result<Image, ImageError> {
        let scratch = self.inner.temp("pull")?;
        let mut failures = Vec::new();
        for source in sources {
            let found = match source.fetch(reference, &scratch.0) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) => {
                    failures.push(error.to_string());
                    continue;
                }
            };
            let naming = Naming::Pulled { wanted: found.name, name: reference.clone() };
            let ids = self.inner.settle(self.inner.import(&found.path, &naming, false))?;
            if let Some(image) = ids.first().and_then(|id| self.get(id)) {
                return Ok(image);
            }
        }
        let detail = match failures.is_empty() {
            true => ": no image source has it".to_owned(),
            false => format!(": {}", failures.join("; ")),
        };
        Err(ImageError::NotFound { reference: reference.to_string(), detail })
    }

    /// The image of a name, if it is here. The host program's own image is made at the first call for it.
    pub fn resolve(&self, reference: &ImageRef) -> Result<Option<Image>, ImageError> {
        let name = reference.to_string();
        if name == SELF_IMAGE {
            return self.inner.own_image();
        }
        if name == HOST_IMAGE {
            return Ok(self.inner.host_image());
        }
        let index = self.inner.state.lock().index.clone();
        let id = match reference.digest() {
            Some(digest) => index
                .images
                .iter()
                .find(|(id, record)| id.0 == digest || record.manifests.contains(digest))
                .map(|(id, _)| id),
            None => index.names.get(&name),
        };
        Ok(id.and_then(|id| self.inner.image(&index, id)))
    }

    /// The image of an id, if it is here.
    pub fn get(&self, id: &ImageId) -> Option<Image> {
        let index = {
            let state = self.inner.state.lock();
            if let Some(own) = state.own.as_ref().filter(|own| &own.id == id) {
                return Some(own.clone());
            }
            state.index.clone()
        };
        let host = || self.inner.host_image().filter(|host| &host.id == id);
        self.inner.image(&index, id).or_else(host)
    }

    /// Keeps an image while the answer lives. `None` where it is not here, or just being removed.
    pub fn hold(&self, id: &ImageId) -> Option<ImageHold> {
        let image = self.get(id)?;
        let mut state = self.inner.state.lock();
        let built_in =
            image.references.iter().any(|r| [HOST_IMAGE, SELF_IMAGE].contains(&r.to_string().as_str()));
        if state.leaving.contains(id) || !built_in && !state.index.images.contains_key(id) {
            return None;
        }
        *state.holds.entry(id.clone()).or_default() += 1;
        drop(state);
        Some(ImageHold { image, inner: self.inner.clone() })
    }

    /// Every image, sorted by id; of the built-in ones those that were asked for.
    pub fn list(&self) -> Vec<Image> {
        let (index, own) = {
            let state = self.inner.state.lock();
            (state.index.clone(), state.own.clone())
        };
        let images = index.images.keys().filter_map(|id| self.inner.image(&index, id));
        images.chain(own).chain(self.inner.host_image()).collect()
    }

    /// Gives an image one more name; a name that another image had moves.
    pub fn tag(&self, id: &ImageId, reference: &ImageRef) -> Result<(), ImageError> {
        let missing = || ImageError::NotFound { reference: id.to_string(), detail: String::new() };
        self.inner.change(|index| {
            if !index.images.contains_key(id) {
                return Err(missing());
            }
            index.names.insert(reference.to_string(), id.clone());
            Ok(())
        })?
    }

    /// Takes a name away; the image stays until [`ImageStore::remove_unused`]. Unknown names are fine.
    pub fn untag(&self, reference: &ImageRef) -> Result<(), ImageError> {
        self.inner.change(|index| index.names.remove(&reference.to_string())).map(drop)
    }

    /// Removes every image that no [`ImageHold`] keeps and `keep` does not want, with the layers that no other image
    /// uses. `keep` may look at the store, and must not change it.
    pub fn remove_unused(&self, keep: &dyn Fn(&Image) -> bool) -> Result<Freed, ImageError> {
        let writer = self.inner.writer.lock();
        let index = self.inner.state.lock().index.clone();
        let images = index.images.keys().filter_map(|id| self.inner.image(&index, id));
        let unwanted: Vec<ImageId> = images.filter(|image| !keep(image)).map(|image| image.id).collect();
        let leaving: BTreeSet<ImageId> = {
            let mut state = self.inner.state.lock();
            let leaving: BTreeSet<ImageId> =
                unwanted.into_iter().filter(|id| !state.holds.contains_key(id)).collect();
            state.leaving.extend(leaving.iter().cloned());
            leaving
        };
        let changed = self.inner.change_alone(|index| {
            index.images.retain(|id, _| !leaving.contains(id));
            index.names.retain(|_, id| !leaving.contains(id));
        });
        self.inner.state.lock().leaving.retain(|id| !leaving.contains(id));
        drop(writer);
        changed?;
        let bytes = self.inner.sweep_layers();
        Ok(Freed { images: leaving.into_iter().collect(), bytes })
    }
}

impl ImageHold {
    /// The image that is kept.
    pub fn image(&self) -> &Image {
        &self.image
    }
}

impl Drop for ImageHold {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        if let Some(count) = state.holds.get_mut(&self.image.id) {
            *count -= 1;
            if *count == 0 {
                state.holds.remove(&self.image.id);
            }
        }
    }
}

impl Inner {
    fn temp(&self, kind: &str) -> Result<TempFolder, ImageError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("tmp").join(format!("{kind}-{number}"));
        std::fs::create_dir(&path).map_err(|e| ImageError::io("make the folder", path.display(), e))?;
        Ok(TempFolder(path))
    }

    /// Removes what a failed import unpacked before it failed.
    fn settle<T>(&self, result: Result<T, ImageError>) -> Result<T, ImageError> {
        if result.is_err() {
            self.sweep_layers();
        }
        result
    }

    fn import(&self, path: &Path, naming: &Naming, local: bool) -> Result<Vec<ImageId>, ImageError> {
        let scratch = self.temp("import")?;
        let archive = Archive::open(path, &scratch.0)?;
        let images = naming.apply(archive.label(), archive.images()?)?;
        let mut pins: Vec<LayerPin<'_>> = Vec::new();
        let mut records = Vec::new();
        for image in images {
            let mut layers: Vec<String> = Vec::new();
            for blob in &image.layers {
                let pin = self.layer(&archive, blob, &layers)?;
                layers.push(pin.name.clone());
                pins.push(pin);
            }
            let record = Record {
                layers,
                manifests: image.manifests.clone(),
                config: image.config.image_config(),
                local,
            };
            records.push((ImageId(image.id), image.names, record));
        }
        self.change(|index| {
            for pin in &pins {
                index.layers.insert(pin.name.clone(), pin.size);
            }
            let mut ids = Vec::new();
            for (id, names, record) in records {
                let earlier = index.images.remove(&id);
                let mut record = record;
                if let Some(earlier) = earlier {
                    record.local |= earlier.local;
                    record.manifests.extend(earlier.manifests);
                    record.layers = earlier.layers;
                }
                index.images.insert(id.clone(), record);
                for name in names {
                    index.names.insert(name.to_string(), id.clone());
                }
                ids.push(id);
            }
            ids
        })
    }

    /// The layer on the disk, unpacked if nobody has done it yet. `below` are the layers under it.
    fn layer(
        &self,
        archive: &Archive,
        blob: &LayerBlob,
        below: &[String],
    ) -> Result<LayerPin<'_>, ImageError> {
        let Some(hex) = digest::hex(&blob.diff_id) else {
            return Err(ImageError::malformed(archive.label(), format!("{:?} is no digest", blob.diff_id)));
        };
        let chain = digest::of(below.join(",").as_bytes());
        let names = [hex.to_owned(), format!("{hex}-{}", digest::hex(&chain).unwrap_or_default())];
        let busy = {
            let mut state = self.state.lock();
            loop {
                if names.iter().any(|name| state.busy.contains(name)) {
                    self.settled.wait(&mut state);
                    continue;
                }
                if let Some(name) = names.iter().find(|name| state.present.contains_key(*name)) {
                    return Ok(self.pin(&mut state, name));
                }
                state.busy.extend(names.iter().cloned());
                break Busy { inner: self, names: names.to_vec() };
            }
        };
        let below: Vec<PathBuf> = below.iter().map(|name| self.layer_path(name)).collect();
        let temp = self.temp("layer")?;
        let (size, implied) = unpack_layer(archive, blob, &temp.0, &below)?;
        let name = if implied && !below.is_empty() { &names[1] } else { &names[0] };
        self.put_layer(&temp.0, name, size)?;
        let pin = self.pin(&mut self.state.lock(), name);
        drop(busy);
        Ok(pin)
    }

    fn layer_path(&self, name: &str) -> PathBuf {
        self.dir.join("layers").join(name)
    }

    fn put_layer(&self, from: &Path, name: &str, size: u64) -> Result<(), ImageError> {
        let path = self.layer_path(name);
        std::fs::rename(from, &path).map_err(|e| ImageError::io("move the layer to", path.display(), e))?;
        self.state.lock().present.insert(name.to_owned(), size);
        Ok(())
    }

    fn pin(&self, state: &mut State, name: &str) -> LayerPin<'_> {
        *state.pins.entry(name.to_owned()).or_default() += 1;
        LayerPin {
            inner: self,
            name: name.to_owned(),
            size: state.present.get(name).copied().unwrap_or_default(),
        }
    }

    /// Changes the index, on the disk first.
    fn change<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, ImageError> {
        let _writer = self.writer.lock();
        self.change_alone(change)
    }

    /// The same for a caller that holds the writer's lock.
    fn change_alone<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, ImageError> {
        let mut index = Index::clone(&self.state.lock().index);
        let answer = change(&mut index);
        let used: BTreeSet<&String> =
            index.images.values().flat_map(|record| &record.layers).chain(&index.own_layer).collect();
        let layers = index.layers.iter().filter(|(name, _)| used.contains(name));
        index.layers = layers.map(|(name, size)| (name.clone(), *size)).collect();
        write_index(&self.dir, &index)?;
        self.state.lock().index = Arc::new(index);
        Ok(answer)
    }

    /// Removes the layers that neither the index nor an import needs; answers their bytes.
    fn sweep_layers(&self) -> u64 {
        let (busy, bytes) = {
            let mut state = self.state.lock();
            let index = state.index.clone();
            let unused: BTreeMap<String, u64> = state
                .present
                .iter()
                .filter(|(name, _)| {
                    !index.layers.contains_key(*name)
                        && !state.pins.contains_key(*name)
                        && !state.busy.contains(*name)
                })
                .map(|(name, size)| (name.clone(), *size))
                .collect();
            state.present.retain(|name, _| !unused.contains_key(name));
            state.busy.extend(unused.keys().cloned());
            let bytes = unused.values().sum();
            (Busy { inner: self, names: unused.into_keys().collect() }, bytes)
        };
        for name in &busy.names {
            // Out of the way by a rename first: what is found under its name is whole.
            let Ok(grave) = self.temp("gone") else { continue };
            if std::fs::rename(self.layer_path(name), &grave.0).is_err() {
                remove_tree(&self.layer_path(name));
            }
        }
        bytes
    }

    fn image(&self, index: &Index, id: &ImageId) -> Option<Image> {
        let record = index.images.get(id)?;
        let names = index.names.iter().filter(|(_, named)| *named == id);
        let mut layers: Vec<PathBuf> = record.layers.iter().map(|name| self.layer_path(name)).collect();
        if layers.is_empty() {
            layers.push(self.dir.join("empty"));
        }
        Some(Image {
            id: id.clone(),
            references: names.filter_map(|(name, _)| ImageRef::parse(name).ok()).collect(),
            size: record.layers.iter().filter_map(|name| index.layers.get(name)).sum(),
            config: record.config.clone(),
            rootfs: Rootfs::Layers(layers),
            local: record.local,
        })
    }

    fn host_image(&self) -> Option<Image> {
        let root = self.options.host_root.as_ref()?;
        Some(Image {
            id: ImageId(digest::of(format!("host {}", root.display()).as_bytes())),
            references: ImageRef::parse(HOST_IMAGE).into_iter().collect(),
            size: 0,
            config: builtin::host_config(),
            rootfs: Rootfs::HostRoot(root.clone()),
            local: true,
        })
    }

    /// The host program's own image: looked at once a store, built once an identity of the program.
    fn own_image(&self) -> Result<Option<Image>, ImageError> {
        let Some(executable) = &self.options.executable else { return Ok(None) };
        if let Some(own) = &self.state.lock().own {
            return Ok(Some(own.clone()));
        }
        let program = OwnProgram::open(executable)?;
        let name = format!("self-{}", digest::hex(&program.identity).unwrap_or_default());
        let busy = {
            let mut state = self.state.lock();
            while state.busy.contains(&name) {
                self.settled.wait(&mut state);
            }
            if let Some(own) = &state.own {
                return Ok(Some(own.clone()));
            }
            state.busy.insert(name.clone());
            Busy { inner: self, names: vec![name.clone()] }
        };
        let known = self.state.lock().present.get(&name).copied();
        let size = match known {
            Some(size) => size,
            None => {
                let temp = self.temp("self")?;
                open_folder(&temp.0)?;
                let size = program.build(&temp.0)?;
                self.put_layer(&temp.0, &name, size)?;
                self.change(|index| {
                    index.layers.insert(name.clone(), size);
                    index.own_layer = Some(name.clone());
                })?;
                size
            }
        };
        let own = Image {
            id: program.id(),
            references: ImageRef::parse(SELF_IMAGE).into_iter().collect(),
            size,
            config: builtin::own_config(),
            rootfs: Rootfs::Layers(vec![self.layer_path(&name)]),
            local: true,
        };
        self.state.lock().own = Some(own.clone());
        drop(busy);
        self.sweep_layers();
        Ok(Some(own))
    }
}
