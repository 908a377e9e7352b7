//! Finds the images in an OCI layout folder, an OCI archive or a `docker save` archive.
//!
//! Owns where content lies in each format and which of several platforms is taken. Verifies documents (manifests,
//! indexes, configurations) against their digests; layers are verified by whoever unpacks them.
//!
//! A reference in `org.opencontainers.image.ref.name` that is a tag alone names the repository of the archive's own
//! file name: `web.tar` with the tag `v1` holds `web:v1`.
//!
//! Invariant: a file is only ever read from inside the folder or archive that was given.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::manifest::{ConfigDocument, Descriptor, DockerImage, Document};
use super::tar_stream::{Kind, TarStream};
use super::unpack::{clean_name, open_beneath};
use super::{ImageError, ImageRef, digest};
use crate::limits;

/// How many symlinks of an archive are followed: old Docker archives use one for a layer that several images share.
const LINKS: usize = 8;

/// An opened archive or layout.
pub(super) struct Archive {
    label: String,
    stem: String,
    blobs: Blobs,
}

enum Blobs {
    Folder(OwnedFd),
    Tar { file: Arc<File>, files: BTreeMap<PathBuf, (u64, u64)>, links: BTreeMap<PathBuf, PathBuf> },
}

/// An image found in an archive.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its names.
    pub names: BTreeSet<ImageRef>,
    /// The digests of its manifest and of the indexes above it.
    pub manifests: BTreeSet<String>,
    /// The digest of its configuration: its id.
    pub id: String,
    pub config: ConfigDocument,
    pub layers: Vec<LayerBlob>,
}

/// One layer of an image, as it lies in the archive.
#[derive(Clone, Debug)]
pub(super) struct LayerBlob {
    pub file: PathBuf,
    /// The digest of the file, where the format gives one.
    pub digest: Option<String>,
    pub media_type: String,
    /// The digest of the plain tar stream.
    pub diff_id: String,
}

/// A name as an archive gives it.
enum RawName {
    Whole(ImageRef),
    Tag(String),
}

impl Archive {
    /// Opens what lies at `path`. A compressed archive is unpacked to an unnamed file in `scratch`.
    pub fn open(path: &Path, scratch: &Path) -> Result<Archive, ImageError> {
        let label = path.display().to_string();
        let metadata = std::fs::metadata(path).map_err(|e| ImageError::io("read the image", &label, e))?;
        let blobs = if metadata.is_dir() {
            let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            let folder = nix::fcntl::open(path, flags, Mode::empty())
                .map_err(|e| ImageError::io("open the image folder", &label, e))?;
            Blobs::Folder(folder)
        } else if metadata.is_file() {
            let file = File::open(path).map_err(|e| ImageError::io("open the image", &label, e))?;
            index_tar(plain(file, &label, scratch)?, &label)?
        } else {
            return Err(ImageError::malformed(&label, "neither a file nor a folder"));
        };
        Ok(Archive { label, stem: stem(path), blobs })
    }

    /// Its path, for messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The images that run on this machine.
    pub fn images(&self) -> Result<Vec<Found>, ImageError> {
        let found = if self.has("oci-layout") && self.has("index.json") {
            self.oci_images()?
        } else if self.has("manifest.json") {
            self.docker_images()?
        } else if self.has("index.json") {
            self.oci_images()?
        } else {
            return Err(ImageError::malformed(
                &self.label,
                "neither an OCI layout (no index.json) nor a docker save archive (no manifest.json)",
            ));
        };
        if found.is_empty() {
            return Err(ImageError::malformed(&self.label, "holds no image"));
        }
        Ok(found)
    }

    /// Opens a file of the archive, with its size.
    pub fn read(&self, name: &Path) -> Result<(Box<dyn Read + '_>, u64), ImageError> {
        let missing = |cause: &dyn std::fmt::Display| {
            ImageError::malformed(&self.label, format!("{} cannot be read: {cause}", name.display()))
        };
        match &self.blobs {
            Blobs::Folder(folder) => {
                let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
                let file = File::from(open_beneath(folder.as_fd(), name, flags).map_err(|e| missing(&e))?);
                let metadata = file.metadata().map_err(|e| missing(&e))?;
                if !metadata.is_file() {
                    return Err(missing(&"it is no file"));
                }
                Ok((Box::new(BufReader::with_capacity(1 << 17, file)), metadata.len()))
            }
            Blobs::Tar { file, files, links } => {
                let mut name = name;
                for _ in 0..LINKS {
                    let Some(target) = links.get(name) else { break };
                    name = target;
                }
                let (at, size) = files.get(name).ok_or_else(|| missing(&"the archive does not hold it"))?;
                let section = Section { file: file.clone(), at: *at, end: at + size };
                Ok((Box::new(BufReader::with_capacity(1 << 17, section)), *size))
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.read(Path::new(name)).is_ok()
    }

    fn document(&self, name: &Path) -> Result<Vec<u8>, ImageError> {
        let (input, size) = self.read(name)?;
        if size > limits::IMAGE_DOCUMENT_BYTES {
            return Err(ImageError::TooLarge {
                object: format!("{} of image {}", name.display(), self.label),
                limit: limits::IMAGE_DOCUMENT_BYTES,
                unit: "bytes",
            });
        }
        let mut bytes = Vec::new();
        input
            .take(limits::IMAGE_DOCUMENT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|e| ImageError::io("read", format!("{} of image {}", name.display(), self.label), e))?;
        Ok(bytes)
    }

    /// A document named by its digest, verified.
    fn content(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let bytes = self.document(&self.blob(&descriptor.digest)?)?;
        let object = format!("{} of image {}", descriptor.digest, self.label);
        digest::check(&object, &descriptor.digest, &digest::of(&bytes))?;
        Ok(bytes)
    }

    fn blob(&self, name: &str) -> Result<PathBuf, ImageError> {
        match digest::hex(name) {
            Some(hex) => Ok(Path::new("blobs/sha256").join(hex)),
            None if name.starts_with("sha512:") || name.starts_with("sha384:") => {
                Err(ImageError::Unsupported {
                    object: format!("{name} of image {}", self.label),
                    what: "only sha256 digests are read".to_owned(),
                })
            }
            None => Err(ImageError::malformed(&self.label, format!("{name:?} is no digest"))),
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, what: &str, bytes: &[u8]) -> Result<T, ImageError> {
        serde_json::from_slice(bytes).map_err(|e| ImageError::malformed(&self.label, format!("{what}: {e}")))
    }

    fn oci_images(&self) -> Result<Vec<Found>, ImageError> {
        let index: Document = self.parse("index.json", &self.document(Path::new("index.json"))?)?;
        let mut by_name: BTreeMap<BTreeSet<ImageRef>, Vec<Found>> = BTreeMap::new();
        let mut elsewhere = BTreeSet::new();
        let descriptors = index.manifests.unwrap_or_default();
        self.bounded(descriptors.len(), limits::ARCHIVE_IMAGES, "images")?;
        for descriptor in &descriptors {
            let mut found = Vec::new();
            self.collect(descriptor, 0, &BTreeSet::new(), &mut found, &mut elsewhere)?;
            let names = self.names_of(descriptor)?;
            let group = by_name.entry(names).or_default();
            group.extend(found);
        }
        let mut images: Vec<Found> = Vec::new();
        for (names, group) in by_name {
            // Several manifests under one name are one image for several platforms; without a name each stands alone.
            let take = if names.is_empty() { group.len() } else { 1 };
            for mut image in group.into_iter().take(take) {
                image.names = names.clone();
                match images.iter_mut().find(|i| i.id == image.id) {
                    Some(same) => {
                        same.names.extend(image.names);
                        same.manifests.extend(image.manifests);
                    }
                    None => images.push(image),
                }
            }
        }
        if images.is_empty() && !elsewhere.is_empty() {
            return Err(self.wrong_platform(&elsewhere));
        }
        Ok(images)
    }

    fn wrong_platform(&self, elsewhere: &BTreeSet<String>) -> ImageError {
        let list: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
        ImageError::Unsupported {
            object: format!("image {}", self.label),
            what: format!("it is for {}, not for linux/{}", list.join(", "), super::manifest::architecture()),
        }
    }

    fn bounded(&self, count: usize, limit: usize, unit: &'static str) -> Result<(), ImageError> {
        if count <= limit {
            return Ok(());
        }
        Err(ImageError::TooLarge { object: format!("image {}", self.label), limit: limit as u64, unit })
    }

    /// Follows a descriptor to the manifests of this platform.
    fn collect(
        &self,
        descriptor: &Descriptor,
        depth: usize,
        above: &BTreeSet<String>,
        found: &mut Vec<Found>,
        elsewhere: &mut BTreeSet<String>,
    ) -> Result<(), ImageError> {
        if let Some(platform) = descriptor.platform.as_ref().filter(|p| !p.runs_here()) {
            if platform.os != "unknown" {
                elsewhere.insert(platform.text());
            }
            return Ok(());
        }
        self.bounded(depth, limits::IMAGE_INDEX_DEPTH, "nested indexes")?;
        let document: Document = self.parse(&descriptor.digest, &self.content(descriptor)?)?;
        let mut above = above.clone();
        above.insert(descriptor.digest.clone());
        if let Some(manifests) = &document.manifests {
            self.bounded(manifests.len(), limits::ARCHIVE_IMAGES, "images")?;
            let before = found.len();
            for inner in manifests {
                self.collect(inner, depth + 1, &above, found, elsewhere)?;
                if found.len() > before {
                    return Ok(());
                }
            }
            return Ok(());
        }
        let Some(config) = &document.config else {
            return Err(ImageError::malformed(
                &self.label,
                format!("{} is neither an image manifest nor an index", descriptor.digest),
            ));
        };
        let kind = config.media_type.as_str();
        // Other kinds of configuration belong to artifacts that are no images (signatures, charts).
        if kind.is_empty() || kind.contains("image.config") || kind.contains("container.image") {
            let image = self.manifest_image(config, &document.layers, above)?;
            let platform = image.config.platform();
            if platform.runs_here() {
                found.push(image);
            } else {
                elsewhere.insert(platform.text());
            }
        }
        Ok(())
    }

    fn manifest_image(
        &self,
        config: &Descriptor,
        layers: &[Descriptor],
        manifests: BTreeSet<String>,
    ) -> Result<Found, ImageError> {
        let document: ConfigDocument = self.parse("configuration", &self.content(config)?)?;
        self.bounded(layers.len(), limits::IMAGE_LAYERS, "layers")?;
        let files = layers
            .iter()
            .map(|layer| {
                Ok((self.blob(&layer.digest)?, Some(layer.digest.clone()), layer.media_type.clone()))
            })
            .collect::<Result<Vec<_>, ImageError>>()?;
        let layers = self.layers(&document, files)?;
        Ok(Found { names: BTreeSet::new(), manifests, id: config.digest.clone(), config: document, layers })
    }

    fn layers(
        &self,
        config: &ConfigDocument,
        files: Vec<(PathBuf, Option<String>, String)>,
    ) -> Result<Vec<LayerBlob>, ImageError> {
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != files.len() {
            return Err(ImageError::malformed(
                &self.label,
                format!("the configuration names {} layers, the manifest {}", diff_ids.len(), files.len()),
            ));
        }
        let pairs = files.into_iter().zip(diff_ids);
        pairs
            .map(|((file, digest, media_type), diff_id)| {
                self.blob(diff_id)?;
                Ok(LayerBlob { file, digest, media_type, diff_id: diff_id.clone() })
            })
            .collect()
    }

    fn names_of(&self, descriptor: &Descriptor) -> Result<BTreeSet<ImageRef>, ImageError> {
        let Some(annotations) = &descriptor.annotations else { return Ok(BTreeSet::new()) };
        let whole = annotations.get("io.containerd.image.name");
        let Some(name) = whole.or_else(|| annotations.get("org.opencontainers.image.ref.name")) else {
            return Ok(BTreeSet::new());
        };
        let raw = if whole.is_some() || name.contains(['/', ':', '@']) {
            RawName::Whole(ImageRef::parse(name)?)
        } else {
            RawName::Tag(name.clone())
        };
        let name = match raw {
            RawName::Whole(name) => Some(name),
            RawName::Tag(tag) => ImageRef::parse(&format!("{}:{tag}", self.stem)).ok(),
        };
        Ok(name.into_iter().collect())
    }

    fn docker_images(&self) -> Result<Vec<Found>, ImageError> {
        let images: Vec<DockerImage> =
            self.parse("manifest.json", &self.document(Path::new("manifest.json"))?)?;
        self.bounded(images.len(), limits::ARCHIVE_IMAGES, "images")?;
        let mut found = Vec::new();
        let mut elsewhere = BTreeSet::new();
        for image in images {
            let bytes = self.document(&self.inside(&image.config)?)?;
            let id = digest::of(&bytes);
            let name = image.config.trim_end_matches(".json").rsplit('/').next().unwrap_or_default();
            if digest::is_hex(name) {
                let object = format!("{} of image {}", image.config, self.label);
                digest::check(&object, &format!("sha256:{name}"), &id)?;
            }
            let config: ConfigDocument = self.parse("configuration", &bytes)?;
            if !config.platform().runs_here() {
                elsewhere.insert(config.platform().text());
                continue;
            }
            self.bounded(image.layers.len(), limits::IMAGE_LAYERS, "layers")?;
            let files = image
                .layers
                .iter()
                .map(|layer| Ok((self.inside(layer)?, None, String::new())))
                .collect::<Result<Vec<_>, ImageError>>()?;
            let layers = self.layers(&config, files)?;
            let tags = image.repo_tags.unwrap_or_default();
            let names = tags.iter().map(|tag| ImageRef::parse(tag)).collect::<Result<_, _>>()?;
            found.push(Found { names, manifests: BTreeSet::new(), id, config, layers });
        }
        if found.is_empty() && !elsewhere.is_empty() {
            return Err(self.wrong_platform(&elsewhere));
        }
        Ok(found)
    }

    /// A file name that a document gives.
    fn inside(&self, name: &str) -> Result<PathBuf, ImageError> {
        clean_name(name.as_bytes())
            .map_err(|cause| ImageError::malformed(&self.label, format!("the file name {name:?} {cause}")))
    }
}

/// The file name without the usual ends of archives: what a bare tag is a tag of.
fn stem(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let ends = [".gz", ".tgz", ".tar", ".oci", ".docker"];
    let mut stem = name.as_str();
    while let Some(shorter) = ends.iter().find_map(|end| stem.strip_suffix(end)) {
        stem = shorter;
    }
    stem.to_owned()
}

/// An archive that is not compressed: the file itself, or an unnamed file with its plain content.
fn plain(mut file: File, label: &str, scratch: &Path) -> Result<File, ImageError> {
    let failed = |e: io::Error| ImageError::io("read the image", label, e);
    let mut magic = [0u8; 4];
    let length = file.read(&mut magic).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    if length == 4 && magic == ZSTD_MAGIC {
        return Err(zstd(format!("image {label}")));
    }
    if !magic.starts_with(&GZIP_MAGIC) {
        return Ok(file);
    }
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let fd = nix::fcntl::open(scratch, flags, Mode::from_bits_truncate(0o600))
        .map_err(|e| ImageError::io("make a file in", scratch.display(), e))?;
    let mut plain = File::from(fd);
    let mut input = flate2::read::MultiGzDecoder::new(BufReader::new(file)).take(limits::LAYER_BYTES + 1);
    let written =
        io::copy(&mut input, &mut plain).map_err(|e| ImageError::malformed(label, format!("gzip: {e}")))?;
    if written > limits::LAYER_BYTES {
        return Err(ImageError::TooLarge {
            object: format!("image {label}"),
            limit: limits::LAYER_BYTES,
            unit: "bytes",
        });
    }
    Ok(plain)
}

/// How a gzip stream begins.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// How a zstd stream begins.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The answer to zstd.
pub(super) fn zstd(object: String) -> ImageError {
    ImageError::Unsupported {
        object,
        what: "it is compressed with zstd, which is not read; save it with gzip or without compression"
            .to_owned(),
    }
}

fn index_tar(mut file: File, label: &str) -> Result<Blobs, ImageError> {
    let bad = |e: io::Error| ImageError::malformed(label, e);
    file.seek(SeekFrom::Start(0)).map_err(bad)?;
    let length = file.metadata().map_err(bad)?.len();
    let mut stream = TarStream::new(BufReader::new(file));
    let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
    let mut entries = 0u64;
    while let Some(entry) = stream.next().map_err(bad)? {
        entries += 1;
        if entries > limits::LAYER_ENTRIES {
            let object = format!("image {label}");
            return Err(ImageError::TooLarge { object, limit: limits::LAYER_ENTRIES, unit: "entries" });
        }
        let name = clean_name(&entry.path).map_err(|cause| ImageError::Escape {
            layer: label.to_owned(),
            entry: String::from_utf8_lossy(&entry.path).into_owned(),
            cause: cause.to_owned(),
        })?;
        match entry.kind {
            Kind::File if entry.sparse.is_none() => {
                if entry.offset.checked_add(entry.size).is_none_or(|end| end > length) {
                    return Err(ImageError::malformed(label, "the archive ends within an entry"));
                }
                files.insert(name, (entry.offset, entry.size));
            }
            Kind::Symlink | Kind::HardLink => {
                let from = if entry.kind == Kind::Symlink { name.parent() } else { None };
                if let Some(target) = join(from.unwrap_or(Path::new("")), &entry.link) {
                    links.insert(name, target);
                }
            }
            _ => {}
        }
        let (rest, input) = stream.leave_rest();
        let rest = i64::try_from(rest).map_err(|_| ImageError::malformed(label, "an entry is too large"))?;
        input.seek_relative(rest).map_err(bad)?;
    }
    let file = stream.into_inner().into_inner();
    let prefix = top_folder(&files);
    if let Some(prefix) = prefix {
        let cut = |path: PathBuf| path.strip_prefix(&prefix).map(Path::to_owned).unwrap_or(path);
        files = files.into_iter().map(|(path, place)| (cut(path), place)).collect();
        links = links.into_iter().map(|(path, target)| (cut(path), cut(target))).collect();
    }
    Ok(Blobs::Tar { file: Arc::new(file), files, links })
}

/// The one folder that holds everything, where an archive was packed from outside of the layout.
fn top_folder(files: &BTreeMap<PathBuf, (u64, u64)>) -> Option<PathBuf> {
    let first = files.keys().next()?.iter().next()?;
    let folder = PathBuf::from(first);
    let marked = ["index.json", "manifest.json"].iter().any(|name| files.contains_key(&folder.join(name)));
    (marked && files.keys().all(|path| path.starts_with(&folder))).then_some(folder)
}

/// A link's target as a path of the archive; `None` where it leads out.
fn join(folder: &Path, target: &[u8]) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if !path.pop() {
                    return None;
                }
            }
            _ => path.push(std::str::from_utf8(part).ok()?),
        }
    }
    Some(path)
}

/// A part of a file that several threads may read at once.
struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let n = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
