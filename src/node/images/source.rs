//! Where images that are not here come from: the seam, and folders of archives.
//!
//! A registry is an [`ImageSource`] that downloads a layout into the scratch folder it is given; none is built in yet.
//!
//! Invariant: a source changes nothing but its scratch folder.

use std::fmt;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use super::{ImageError, ImageRef};

/// An image that a source has, ready to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcedImage {
    /// An OCI layout folder, an OCI archive or a `docker save` archive.
    pub path: PathBuf,
    /// Which image of it, where it holds several; `None` for the only one.
    pub name: Option<ImageRef>,
}

/// Finds images by name. Called from executors; may block.
///
/// ```no_run
/// use coracle::node::images::{ImageError, ImageRef, ImageSource, SourcedImage};
///
/// /// One archive under any name.
/// #[derive(Debug)]
/// struct Always(std::path::PathBuf);
///
/// impl ImageSource for Always {
///     fn fetch(&self, _: &ImageRef, _: &std::path::Path) -> Result<Option<SourcedImage>, ImageError> {
///         Ok(Some(SourcedImage { path: self.0.clone(), name: None }))
///     }
/// }
/// ```
pub trait ImageSource: Send + Sync + fmt::Debug {
    /// Looks for an image. `None` where this source does not have it, so that the next one is asked. `scratch` is an
    /// empty folder that is removed after the import.
    fn fetch(&self, reference: &ImageRef, scratch: &Path) -> Result<Option<SourcedImage>, ImageError>;
}

/// A folder of archives and layouts, which are found by the names they themselves give. It is read at each fetch, so
/// that archives can be added at any time.
#[derive(Clone, Debug)]
pub struct FolderSource {
    folder: PathBuf,
}

impl FolderSource {
    /// A source that reads this folder.
    pub fn new(folder: impl Into<PathBuf>) -> FolderSource {
        FolderSource { folder: folder.into() }
    }

    fn candidates(&self) -> Result<Vec<PathBuf>, ImageError> {
        let failed = |e: std::io::Error| ImageError::io("read the image folder", self.folder.display(), e);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let archive = [".tar", ".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end));
            if archive || path.join("index.json").is_file() || path.join("manifest.json").is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }
}

impl ImageSource for FolderSource {
    fn fetch(&self, reference: &ImageRef, scratch: &Path) -> Result<Option<SourcedImage>, ImageError> {
        let mut broken = None;
        for path in self.candidates()? {
            let images = Archive::open(&path, scratch).and_then(|archive| archive.images());
            let images = match images {
                Ok(images) => images,
                Err(error) => {
                    broken.get_or_insert(error);
                    continue;
                }
            };
            for image in images {
                let fits = match reference.digest() {
                    Some(digest) => image.id == digest || image.manifests.contains(digest),
                    None => image.names.contains(reference),
                };
                if fits {
                    return Ok(Some(SourcedImage { path, name: image.names.into_iter().next() }));
                }
            }
        }
        match broken {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }
}
