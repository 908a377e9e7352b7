//! Makes images: files, links, and programs of this machine with the libraries they need.
//!
//! A builder collects one layer and a configuration, and writes them as an OCI layout folder, an OCI archive or a
//! `docker save` archive, which [`ImageStore::import`](super::ImageStore::import) and other tools read.
//!
//! ```no_run
//! # use coracle::node::images::{ImageBuilder, ImageError};
//! ImageBuilder::new("web:v1")
//!     .copy_binary("/usr/sbin/nginx")
//!     .copy_tree("/etc/nginx", "/etc/nginx")
//!     .folder("/var/log/nginx", 0o755)
//!     .entrypoint(["/usr/sbin/nginx", "-g", "daemon off;"])
//!     .stop_signal("SIGQUIT")
//!     .write_oci_archive("web.tar".as_ref())?;
//! # Ok::<(), ImageError>(())
//! ```
//!
//! Invariant: the same calls on the same files give the same bytes, so the same image id.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use serde_json::json;

use super::builtin::{PATH, SMALL_FILES, files_of};
use super::{ImageError, ImageRef, digest, elf, manifest};

/// What lies at a path of the layer.
#[derive(Clone, Debug)]
enum Item {
    Folder,
    Bytes(Vec<u8>),
    /// A file of this machine, read when the image is written.
    Host(PathBuf),
    Symlink(PathBuf),
}

/// An item with its mode and owner.
#[derive(Clone, Debug)]
struct Entry {
    item: Item,
    mode: u32,
    owner: (u32, u32),
}

/// Collects an image. Mistakes are kept and told by the call that writes.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    name: String,
    entries: BTreeMap<PathBuf, Entry>,
    owner: (u32, u32),
    gzip: bool,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    env: Vec<String>,
    working_dir: String,
    user: String,
    stop_signal: Option<String>,
    exposed_ports: BTreeSet<String>,
    labels: BTreeMap<String, String>,
    failure: Option<ImageError>,
}

/// The parts of a written image.
struct Written {
    reference: ImageRef,
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl ImageBuilder {
    /// An empty image of this name, with `/tmp`, `/etc/passwd`, `/etc/group` and a `PATH`.
    pub fn new(name: &str) -> ImageBuilder {
        let mut builder = ImageBuilder {
            name: name.to_owned(),
            entries: BTreeMap::new(),
            owner: (0, 0),
            gzip: true,
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            env: vec![format!("PATH={PATH}")],
            working_dir: String::new(),
            user: String::new(),
            stop_signal: None,
            exposed_ports: BTreeSet::new(),
            labels: BTreeMap::new(),
            failure: None,
        };
        builder = builder.folder("/tmp", 0o1777).folder("/root", 0o700);
        for (path, text) in SMALL_FILES {
            builder = builder.file(path, text, 0o644);
        }
        builder
    }

    /// The owner of what is added from now on; root at first.
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// Whether the layer is compressed; it is, unless told otherwise.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// A file with this content; one that is there already is replaced.
    pub fn file(self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.add(path.as_ref(), Item::Bytes(bytes.into()), mode)
    }

    /// A folder.
    pub fn folder(self, path: impl AsRef<Path>, mode: u32) -> Self {
        self.add(path.as_ref(), Item::Folder, mode)
    }

    /// A symlink at `path` to `target`.
    pub fn symlink(self, path: impl AsRef<Path>, target: impl Into<PathBuf>) -> Self {
        self.add(path.as_ref(), Item::Symlink(target.into()), 0o777)
    }

    /// A file of this machine, with its mode.
    pub fn copy_file(mut self, source: impl AsRef<Path>, path: impl AsRef<Path>) -> Self {
        let source = source.as_ref();
        match std::fs::metadata(source) {
            Ok(metadata) if metadata.is_file() => {
                let mode = metadata.permissions().mode() & 0o7777;
                self.add(path.as_ref(), Item::Host(source.to_owned()), mode)
            }
            Ok(_) => {
                self.fail(ImageError::io("copy", source.display(), "it is no file"));
                self
            }
            Err(error) => {
                self.fail(ImageError::io("copy", source.display(), error));
                self
            }
        }
    }

    /// A folder of this machine with all that is in it: files, folders and symlinks.
    pub fn copy_tree(mut self, source: impl AsRef<Path>, path: impl AsRef<Path>) -> Self {
        let mut queue = vec![(source.as_ref().to_owned(), path.as_ref().to_owned())];
        while let Some((from, to)) = queue.pop() {
            let metadata = match std::fs::symlink_metadata(&from) {
                Ok(metadata) => metadata,
                Err(error) => {
                    self.fail(ImageError::io("copy", from.display(), error));
                    return self;
                }
            };
            let mode = metadata.permissions().mode() & 0o7777;
            if metadata.is_symlink() {
                match std::fs::read_link(&from) {
                    Ok(target) => self = self.symlink(&to, target),
                    Err(error) => self.fail(ImageError::io("copy", from.display(), error)),
                }
            } else if metadata.is_dir() {
                self = self.folder(&to, mode);
                match std::fs::read_dir(&from) {
                    Ok(entries) => {
                        queue.extend(entries.flatten().map(|e| (e.path(), to.join(e.file_name()))))
                    }
                    Err(error) => self.fail(ImageError::io("copy", from.display(), error)),
                }
            } else if metadata.is_file() {
                self = self.add(&to, Item::Host(from), mode);
            }
        }
        self
    }

    /// A program of this machine at its own path, with its interpreter and libraries at theirs.
    pub fn copy_binary(self, program: impl AsRef<Path>) -> Self {
        let path = program.as_ref().to_owned();
        self.copy_binary_to(&path, &path)
    }

    /// A program of this machine at another path, with its interpreter and libraries.
    pub fn copy_binary_to(mut self, program: impl AsRef<Path>, path: impl AsRef<Path>) -> Self {
        let (program, path) = (program.as_ref(), path.as_ref());
        // `$ORIGIN` is the folder of the file itself, not of a link to it.
        let real = std::fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
        let closure = File::open(program)
            .map_err(|e| ImageError::io("open the program", program.display(), e))
            .and_then(|file| elf::closure(&file, &real, path));
        match closure {
            Ok(closure) => {
                for (source, target) in files_of(&closure) {
                    self = self.copy_file(source, target);
                }
                self.copy_file(program, path)
            }
            Err(error) => {
                self.fail(error);
                self
            }
        }
    }

    /// The program and its first arguments.
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// Further arguments, which a container's `args` replace.
    pub fn cmd<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.cmd = words.into_iter().map(Into::into).collect();
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let prefix = format!("{name}=");
        self.env.retain(|entry| !entry.starts_with(&prefix));
        self.env.push(format!("{prefix}{value}"));
        self
    }

    /// The user, as in an image's configuration.
    pub fn user(mut self, user: &str) -> Self {
        self.user = user.to_owned();
        self
    }

    /// The working directory.
    pub fn working_dir(mut self, path: &str) -> Self {
        self.working_dir = path.to_owned();
        self
    }

    /// The signal that asks the program to end.
    pub fn stop_signal(mut self, signal: &str) -> Self {
        self.stop_signal = Some(signal.to_owned());
        self
    }

    /// A port that the program listens on (`80/tcp`).
    pub fn expose(mut self, port: &str) -> Self {
        self.exposed_ports.insert(port.to_owned());
        self
    }

    /// A label.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes an OCI layout into a folder, which is made if it is missing.
    pub fn write_oci_layout(&self, folder: &Path) -> Result<ImageRef, ImageError> {
        let written = self.written()?;
        for (name, bytes) in written.oci_files(self.gzip)? {
            let path = folder.join(name);
            let parent = path.parent().unwrap_or(folder);
            std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&path, bytes))
                .map_err(|e| ImageError::io("write", path.display(), e))?;
        }
        Ok(written.reference)
    }

    /// Writes an OCI layout as a tar archive.
    pub fn write_oci_archive(&self, file: &Path) -> Result<ImageRef, ImageError> {
        let written = self.written()?;
        write_archive(file, &written.oci_files(self.gzip)?)?;
        Ok(written.reference)
    }

    /// Writes an archive as `docker save` does.
    pub fn write_docker_archive(&self, file: &Path) -> Result<ImageRef, ImageError> {
        let written = self.written()?;
        write_archive(file, &written.docker_files()?)?;
        Ok(written.reference)
    }

    fn fail(&mut self, error: ImageError) {
        self.failure.get_or_insert(error);
    }

    fn add(mut self, path: &Path, item: Item, mode: u32) -> Self {
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::Normal(part) => clean.push(part),
                Component::RootDir | Component::CurDir => {}
                _ => {
                    self.fail(ImageError::malformed(
                        &self.name,
                        format!("{} is no path of an image", path.display()),
                    ));
                    return self;
                }
            }
        }
        let parents: Vec<PathBuf> = clean.ancestors().skip(1).map(Path::to_owned).collect();
        for parent in parents.into_iter().filter(|p| !p.as_os_str().is_empty()) {
            let entry = Entry { item: Item::Folder, mode: 0o755, owner: (0, 0) };
            self.entries.entry(parent).or_insert(entry);
        }
        if !clean.as_os_str().is_empty() {
            self.entries.insert(clean, Entry { item, mode, owner: self.owner });
        }
        self
    }

    fn written(&self) -> Result<Written, ImageError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let reference = ImageRef::parse(&self.name)?;
        let layer = self.layer()?;
        let ports: BTreeMap<&String, serde_json::Value> =
            self.exposed_ports.iter().map(|port| (port, json!({}))).collect();
        let config = json!({
            "architecture": manifest::architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.cmd,
                "Env": self.env,
                "WorkingDir": self.working_dir,
                "User": self.user,
                "StopSignal": self.stop_signal,
                "ExposedPorts": ports,
                "Labels": self.labels,
            },
            "rootfs": { "type": "layers", "diff_ids": [digest::of(&layer)] },
            "history": [{ "created_by": "coracle" }],
        });
        Ok(Written { reference, config: bytes(&config)?, layer })
    }

    fn layer(&self) -> Result<Vec<u8>, ImageError> {
        let failed = |e: std::io::Error| ImageError::io("build the layer of", &self.name, e);
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(u64::from(entry.owner.0));
            header.set_gid(u64::from(entry.owner.1));
            header.set_mtime(0);
            header.set_size(0);
            match &entry.item {
                Item::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    archive.append_data(&mut header, path, std::io::empty()).map_err(failed)?;
                }
                Item::Bytes(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, path, bytes.as_slice()).map_err(failed)?;
                }
                Item::Host(source) => {
                    let failed = |e: std::io::Error| ImageError::io("copy", source.display(), e);
                    let file = File::open(source).map_err(failed)?;
                    let size = file.metadata().map_err(failed)?.len();
                    header.set_size(size);
                    archive.append_data(&mut header, path, file.take(size)).map_err(failed)?;
                }
                Item::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, path, target).map_err(failed)?;
                }
            }
        }
        archive.into_inner().map_err(failed)
    }
}

impl Written {
    fn oci_files(&self, gzip: bool) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
        let (packed, kind) = if gzip {
            (compress(&self.layer)?, "application/vnd.oci.image.layer.v1.tar+gzip")
        } else {
            (self.layer.clone(), "application/vnd.oci.image.layer.v1.tar")
        };
        let describe = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest::of(bytes), "size": bytes.len() });
        let manifest = bytes(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": describe("application/vnd.oci.image.config.v1+json", &self.config),
            "layers": [describe(kind, &packed)],
        }))?;
        let mut entry = describe("application/vnd.oci.image.manifest.v1+json", &manifest);
        entry["annotations"] = json!({
            "io.containerd.image.name": self.reference.to_string(),
            "org.opencontainers.image.ref.name": self.reference.tag().unwrap_or("latest"),
        });
        let index = bytes(&json!({ "schemaVersion": 2, "manifests": [entry] }))?;
        let blob = |content: Vec<u8>| {
            let name = digest::of(&content);
            (format!("blobs/sha256/{}", digest::hex(&name).unwrap_or_default()), content)
        };
        Ok(vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index),
            blob(manifest),
            blob(self.config.clone()),
            blob(packed),
        ])
    }

    fn docker_files(&self) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
        let id = digest::of(&self.config);
        let layer = digest::of(&self.layer);
        let config_name = format!("{}.json", digest::hex(&id).unwrap_or_default());
        let layer_name = format!("{}/layer.tar", digest::hex(&layer).unwrap_or_default());
        let name = format!("{}:{}", self.reference.repository(), self.reference.tag().unwrap_or("latest"));
        let manifest =
            bytes(&json!([{ "Config": config_name, "RepoTags": [name], "Layers": [layer_name] }]))?;
        Ok(vec![
            (config_name, self.config.clone()),
            (layer_name, self.layer.clone()),
            ("manifest.json".to_owned(), manifest),
        ])
    }
}

fn bytes(value: &serde_json::Value) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(value).map_err(|e| ImageError::malformed("builder", e))
}

fn compress(plain: &[u8]) -> Result<Vec<u8>, ImageError> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .map_err(|e| ImageError::io("compress", "the layer", e))
}

fn write_archive(path: &Path, files: &[(String, Vec<u8>)]) -> Result<(), ImageError> {
    let failed = |e: std::io::Error| ImageError::io("write", path.display(), e);
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    let mut archive = tar::Builder::new(file);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content.as_slice()).map_err(failed)?;
    }
    let file = archive.into_inner().map_err(failed)?;
    file.into_inner().map_err(|e| failed(e.into_error()))?.sync_data().map_err(failed)
}
