//! The two images that need no file: the host's root file system, and the host program's own executable.
//!
//! The executable's image is one layer: the program at `/entry`, its interpreter and libraries at their own paths, and
//! the few files that a C library asks for. Files are shared with the host where the file system can (a reflink, or a
//! hard link of a file that everybody may read and execute), else copied.
//!
//! Invariant: a layer's name follows from the identity of every file in it, so that a rebuilt program gets a new one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};

use super::elf::{self, Closure};
use super::{ImageConfig, ImageError, ImageId, digest};

/// Where the program lies in its own image.
const ENTRY: &str = "/entry";
/// The search path of programs, as containerd's default.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Small files that programs and C libraries ask for.
pub(super) const SMALL_FILES: [(&str, &str); 3] = [
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"),
    ("/etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
];

/// The host program and all that it needs.
pub(super) struct OwnProgram {
    program: File,
    mode: u32,
    closure: Closure,
    /// Differs for every other content.
    pub identity: String,
}

impl OwnProgram {
    /// Looks at an executable, usually `/proc/self/exe`.
    pub fn open(path: &Path) -> Result<OwnProgram, ImageError> {
        let failed = |e: io::Error| ImageError::io("open the program", path.display(), e);
        let program = File::open(path).map_err(failed)?;
        let metadata = program.metadata().map_err(failed)?;
        // A program that was replaced while it runs has a path that ends in a mark, but `$ORIGIN` is still its folder.
        let label = std::fs::read_link(path).unwrap_or_else(|_| path.to_owned());
        let closure = elf::closure(&program, &label, Path::new(ENTRY))?;
        let mut identity = describe(Path::new(ENTRY), &metadata);
        for (source, target) in files_of(&closure) {
            let metadata = std::fs::metadata(source)
                .map_err(|e| ImageError::io("read the library", source.display(), e))?;
            identity.push_str(&describe(target, &metadata));
        }
        let identity = digest::of(identity.as_bytes());
        Ok(OwnProgram { program, mode: metadata.permissions().mode(), closure, identity })
    }

    /// The image's id.
    pub fn id(&self) -> ImageId {
        ImageId(self.identity.clone())
    }

    /// Fills an empty folder with the layer; answers the bytes of its files.
    pub fn build(&self, into: &Path) -> Result<u64, ImageError> {
        let mut size = place(&self.program, Path::new(ENTRY), self.mode, into, Path::new(ENTRY))?;
        for (source, target) in files_of(&self.closure) {
            let failed = |e: io::Error| ImageError::io("open the library", source.display(), e);
            let file = File::open(source).map_err(failed)?;
            let mode = file.metadata().map_err(failed)?.permissions().mode();
            size += place(&file, source, mode, into, target)?;
        }
        for (path, text) in SMALL_FILES {
            write_file(&inside(into, Path::new(path)), text.as_bytes(), 0o644)?;
            size += text.len() as u64;
        }
        for (path, mode) in [("/tmp", 0o1777), ("/root", 0o700), ("/run", 0o755), ("/var/tmp", 0o1777)] {
            let path = inside(into, Path::new(path));
            make_folders(&path)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))
                .map_err(|e| ImageError::io("set the mode of", path.display(), e))?;
        }
        Ok(size)
    }
}

/// How to run the host's own executable: the entry is chosen by an argument of the pod.
pub(super) fn own_config() -> ImageConfig {
    ImageConfig {
        entrypoint: vec![ENTRY.to_owned()],
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        ..ImageConfig::default()
    }
}

/// How to run the host's root file system: a shell, unless the pod says what.
pub(super) fn host_config() -> ImageConfig {
    ImageConfig {
        cmd: vec!["/bin/sh".to_owned()],
        env: vec![("PATH".to_owned(), PATH.to_owned())],
        ..ImageConfig::default()
    }
}

/// Every file of a closure: where it is, and where it goes.
pub(super) fn files_of(closure: &Closure) -> impl Iterator<Item = (&Path, &Path)> {
    let interpreter = closure.interpreter.as_deref().map(|path| (path, path));
    let libraries = closure.libraries.iter().map(|l| (l.source.as_path(), l.target.as_path()));
    let cache = closure.needs_cache.then(|| Path::new("/etc/ld.so.cache")).map(|path| (path, path));
    interpreter.into_iter().chain(libraries).chain(cache)
}

fn describe(target: &Path, metadata: &std::fs::Metadata) -> String {
    // Not the change time: a hard link of ours moves it.
    format!(
        "{} {} {} {} {}.{} {:o}\n",
        target.display(),
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.mode()
    )
}

fn inside(folder: &Path, target: &Path) -> PathBuf {
    folder.join(target.strip_prefix("/").unwrap_or(target))
}

fn make_folders(path: &Path) -> Result<(), ImageError> {
    std::fs::create_dir_all(path).map_err(|e| ImageError::io("make the folder", path.display(), e))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
        .map_err(|e| ImageError::io("set the mode of", path.display(), e))
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ImageError> {
    if let Some(parent) = path.parent() {
        make_folders(parent)?;
    }
    std::fs::write(path, bytes)
        .and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)))
        .map_err(|e| ImageError::io("write", path.display(), e))
}

/// Puts a file of the host into a layer, without copying where that can be; answers its size.
fn place(file: &File, label: &Path, mode: u32, folder: &Path, target: &Path) -> Result<u64, ImageError> {
    let path = inside(folder, target);
    if let Some(parent) = path.parent() {
        make_folders(parent)?;
    }
    let failed = |e: io::Error| ImageError::io("put into the image", label.display(), e);
    let size = file.metadata().map_err(failed)?.len();
    let shared_mode = mode & 0o7777;
    let for_everybody =
        shared_mode & 0o555 == 0o555 || (shared_mode & 0o444 == 0o444 && target != Path::new(ENTRY));
    let for_everybody = for_everybody && shared_mode & 0o7000 == 0;
    let mut copy = File::create_new(&path).map_err(failed)?;
    if clone_content(file, &copy).is_err() {
        if for_everybody && hard_link(file, &path).is_ok() {
            return Ok(size);
        }
        let mut input = file.try_clone().map_err(failed)?;
        io::Seek::rewind(&mut input).map_err(failed)?;
        io::copy(&mut input, &mut copy).map_err(failed)?;
    }
    copy.set_permissions(PermissionsExt::from_mode(0o755)).map_err(failed)?;
    Ok(size)
}

/// Replaces the empty file at `path` by a link to an open file.
fn hard_link(file: &File, path: &Path) -> nix::Result<()> {
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let beside = path.with_extension("link-in-the-making");
    nix::unistd::linkat(AT_FDCWD, source.as_str(), AT_FDCWD, &beside, AtFlags::AT_SYMLINK_FOLLOW)?;
    nix::fcntl::renameat(AT_FDCWD, &beside, AT_FDCWD, path)
}

fn clone_content(from: &File, to: &File) -> nix::Result<()> {
    // SAFETY: FICLONE takes an open descriptor as its argument and touches no memory of ours.
    nix::errno::Errno::result(unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE as _, from.as_raw_fd()) })
        .map(drop)
}
