//! From the bytes of an archive to a verified layer on the disk: decompression, digests, unpacking.
//!
//! Invariant: a layer that is answered has the digests that its image names.

use std::io::{BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::archive::{self, Archive, LayerBlob};
use super::digest::{self, Hashing};
use super::{ImageError, unpack};
use crate::limits;

/// Lets everybody into a layer's top folder, as a root file system does.
pub(super) fn open_folder(path: &Path) -> Result<(), ImageError> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
        .map_err(|e| ImageError::io("set the mode of", path.display(), e))
}

/// Unpacks and verifies one layer; answers its size and whether it has folders that it only implies.
pub(super) fn unpack_layer(
    archive: &Archive,
    blob: &LayerBlob,
    into: &Path,
    below: &[PathBuf],
) -> Result<(u64, bool), ImageError> {
    let label = format!("{} of {}", blob.file.display(), archive.label());
    open_folder(into)?;
    let (input, _) = archive.read(&blob.file)?;
    let mut packed = BufReader::with_capacity(1 << 17, Hashing::new(input));
    let magic = std::io::BufRead::fill_buf(&mut packed)
        .map_err(|e| ImageError::io("read the image layer", &label, e))?;
    if blob.media_type.contains("zstd") || magic.starts_with(&archive::ZSTD_MAGIC) {
        return Err(archive::zstd(format!("image layer {label}")));
    }
    let compressed = magic.starts_with(&archive::GZIP_MAGIC);
    let most = limits::LAYER_BYTES * 2;
    let (found, plain_digest, packed) = if compressed {
        let plain = Hashing::new(flate2::bufread::MultiGzDecoder::new(packed).take(most));
        let (found, plain) = unpack::unpack(&label, plain, into)?;
        let (digest, input) = finish(plain, &label)?;
        (found, digest, input.into_inner().into_inner())
    } else {
        let plain = Hashing::new(packed.take(most));
        let (found, plain) = unpack::unpack(&label, plain, into)?;
        let (digest, input) = finish(plain, &label)?;
        (found, digest, input.into_inner())
    };
    digest::check(&format!("image layer {label}"), &blob.diff_id, &plain_digest)?;
    if let Some(expected) = &blob.digest {
        let (digest, _) = finish(packed.into_inner(), &label)?;
        digest::check(&format!("image layer file {label}"), expected, &digest)?;
    }
    if !below.is_empty() {
        unpack::inherit(&label, into, &found.implied, below)?;
    }
    if found.owners_left + found.devices_left + found.attributes_left > 0 {
        tracing::info!(
            layer = %label,
            owners = found.owners_left,
            devices = found.devices_left,
            attributes = found.attributes_left,
            "image layer unpacked without what this user may not set"
        );
    }
    Ok((found.size, !found.implied.is_empty()))
}

/// Reads what follows the end of an archive, and answers the digest of the whole.
fn finish<R: Read>(input: Hashing<R>, label: &str) -> Result<(String, R), ImageError> {
    input.finish(limits::LAYER_TRAILING_BYTES).map_err(|e| ImageError::malformed(label, e))
}
