//! Checks what lies at a path of the host, and makes it where the type says so.
//!
//! Invariant: something that exists is never changed.

use std::fs::{self, Metadata};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use super::{HostPathKind, VolumeCause};

/// Makes sure that the path is what the pod says it is.
pub(super) fn ensure(path: &Path, kind: HostPathKind) -> Result<(), VolumeCause> {
    let found = fs::metadata(path).ok();
    match (kind, &found) {
        (HostPathKind::Unset | HostPathKind::DirectoryOrCreate, None) => {
            return fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(path)
                .map_err(|e| VolumeCause::io("make the folder", path, e));
        }
        (HostPathKind::FileOrCreate, None) => {
            return fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(path)
                .map(drop)
                .map_err(|e| VolumeCause::io("make the file", path, e));
        }
        _ => {}
    }
    let is = |test: fn(&Metadata) -> bool| found.as_ref().is_some_and(test);
    let (fits, expected) = match kind {
        HostPathKind::Unset => (true, ""),
        HostPathKind::DirectoryOrCreate | HostPathKind::Directory => (is(Metadata::is_dir), "directory"),
        HostPathKind::FileOrCreate | HostPathKind::File => (is(Metadata::is_file), "file"),
        HostPathKind::Socket => (is(|m| m.file_type().is_socket()), "socket file"),
        HostPathKind::CharDevice => (is(|m| m.file_type().is_char_device()), "character device"),
        HostPathKind::BlockDevice => (is(|m| m.file_type().is_block_device()), "block device"),
    };
    if fits {
        return Ok(());
    }
    Err(VolumeCause::HostPath { path: path.display().to_string(), expected })
}
