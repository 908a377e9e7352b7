//! Under which names the images of an archive are put into the store.
//!
//! Invariant: an image never gets a name that the caller did not ask for, nor two images one name.

use std::collections::BTreeSet;

use super::archive::Found;
use super::{ImageError, ImageRef};

/// Under which names images are put.
pub(super) enum Naming {
    Own,
    Repository(String),
    Whole(ImageRef),
    Pulled { wanted: Option<ImageRef>, name: ImageRef },
}

impl Naming {
    pub fn of(under: Option<&str>) -> Result<Naming, ImageError> {
        let Some(name) = under else { return Ok(Naming::Own) };
        let reference = ImageRef::parse(name)?;
        let last = name.rsplit('/').next().unwrap_or(name);
        let whole = last.contains(':') || name.contains('@');
        Ok(if whole { Naming::Whole(reference) } else { Naming::Repository(reference.repository()) })
    }

    /// Chooses among the images of an archive and names them.
    pub fn apply(&self, archive: &str, mut images: Vec<Found>) -> Result<Vec<Found>, ImageError> {
        let one = |images: &[Found]| match images.len() {
            1 => Ok(()),
            n => Err(ImageError::malformed(
                archive,
                format!("holds {n} images, which cannot all get one name"),
            )),
        };
        match self {
            Naming::Own => {}
            Naming::Whole(name) => {
                one(&images)?;
                images[0].names = BTreeSet::from([name.clone()]);
            }
            Naming::Repository(repository) => {
                for image in &mut images {
                    let tags: BTreeSet<String> =
                        image.names.iter().map(|n| n.tag().unwrap_or("latest").to_owned()).collect();
                    let tags = if tags.is_empty() { BTreeSet::from(["latest".to_owned()]) } else { tags };
                    let names = tags.iter().map(|tag| ImageRef::parse(&format!("{repository}:{tag}")));
                    image.names = names.collect::<Result<_, _>>()?;
                }
                let all: Vec<&ImageRef> = images.iter().flat_map(|image| &image.names).collect();
                if all.iter().collect::<BTreeSet<_>>().len() < all.len() {
                    one(&images)?;
                }
            }
            Naming::Pulled { wanted, name } => {
                if let Some(wanted) = wanted {
                    images.retain(|image| image.names.contains(wanted));
                } else if let Some(digest) = name.digest().filter(|_| images.len() > 1) {
                    images.retain(|image| image.id == digest || image.manifests.contains(digest));
                }
                one(&images)?;
                images[0].names = BTreeSet::from([name.clone()]);
            }
        }
        Ok(images)
    }
}
