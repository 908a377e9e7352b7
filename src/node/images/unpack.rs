//! Unpacks one layer into a folder, as overlayfs wants it, and never outside of it.
//!
//! Every name is opened with `openat2` and `RESOLVE_BENEATH` from the folder's descriptor, so that neither `..`, an
//! absolute name nor a symlink of the archive leads out: such an entry fails the whole layer. The targets of
//! symlinks are kept as they are; they mean something inside a container only.
//!
//! - Whiteouts become character devices 0/0 (any user may make these) or, where that fails, files with the attribute
//!   `user.overlay.whiteout`. Opaque folders get `trusted.overlay.opaque`, or `user.overlay.opaque` in a user namespace.
//! - Owners that a user namespace does not map, device nodes that it may not make, and attributes that the file system
//!   does not keep are left out and counted in [`Unpacked`]; everything else that fails fails the layer.
//! - Attributes other than `security.capability` and `user.*` are not taken, above all not overlayfs' own.
//!
//! Invariant: nothing outside the folder is created, changed or removed.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fstatat, makedev, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};

use super::ImageError;
use super::tar_stream::{Kind, TarEntry, TarStream};
use crate::limits;

/// What a layer turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// Bytes of its files.
    pub size: u64,
    /// Owners that could not be set.
    pub owners_left: u64,
    /// Device nodes that could not be made.
    pub devices_left: u64,
    /// Attributes that could not be set, or are not taken.
    pub attributes_left: u64,
    /// Folders that the archive uses and does not describe, parents first.
    pub implied: Vec<PathBuf>,
}

/// What is written on a folder when all of its content is there.
struct FolderMeta {
    uid: u64,
    gid: u64,
    mode: u32,
    mtime: (i64, i64),
}

struct Unpacker<'a> {
    layer: &'a str,
    root: OwnedFd,
    found: Unpacked,
    folders: BTreeMap<PathBuf, FolderMeta>,
    /// The parent that was opened last: entries come folder by folder.
    parent: Option<(PathBuf, OwnedFd)>,
}

/// The outcome of one step on the disk.
type Step<T> = Result<T, ImageError>;

/// Unpacks the tar stream into the empty folder `into`; `layer` names it in errors. The reader is handed back so that
/// the caller can read it to its end.
pub(super) fn unpack<R: Read>(layer: &str, input: R, into: &Path) -> Step<(Unpacked, R)> {
    let root = open_root(into)?;
    let mut unpacker =
        Unpacker { layer, root, found: Unpacked::default(), folders: BTreeMap::new(), parent: None };
    let mut stream = TarStream::new(input);
    let mut entries = 0u64;
    while let Some(entry) = stream.next().map_err(|e| ImageError::malformed(layer, e))? {
        entries += 1;
        if entries > limits::LAYER_ENTRIES {
            return Err(too_large(layer, limits::LAYER_ENTRIES, "entries"));
        }
        unpacker.entry(&entry, &mut stream)?;
    }
    unpacker.finish()?;
    Ok((unpacker.found, stream.into_inner()))
}

fn open_root(folder: &Path) -> Step<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    nix::fcntl::open(folder, flags, Mode::empty())
        .map_err(|e| ImageError::io("open the folder", folder.display(), e))
}

fn too_large(layer: &str, limit: u64, unit: &'static str) -> ImageError {
    ImageError::TooLarge { object: format!("image layer {layer}"), limit, unit }
}

/// The parts of an entry's name, or how it leads out.
pub(super) fn clean_name(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.starts_with(b"/") {
        return Err("is an absolute path");
    }
    if name.len() > limits::PATH_BYTES {
        return Err("is longer than a path may be");
    }
    let mut clean = PathBuf::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("leads out of the layer by `..`"),
            _ if part.contains(&0) => return Err("holds a NUL byte"),
            _ if part.len() > limits::FILE_NAME_BYTES => {
                return Err("holds a name longer than a file's may be");
            }
            _ => clean.push(OsStr::from_bytes(part)),
        }
    }
    Ok(clean)
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, entry: &TarEntry, body: &mut R) -> Step<()> {
        let path = clean_name(&entry.path).map_err(|cause| self.escape(&entry.path, cause))?;
        let (Some(parent_path), Some(name)) = (path.parent(), path.file_name()) else {
            // The folder itself.
            if entry.kind == Kind::Directory {
                self.folders.insert(path, FolderMeta::of(entry));
            }
            return Ok(());
        };
        let parent = self.open_parent(parent_path, &entry.path)?;
        let result = match name.as_bytes().strip_prefix(b".wh.") {
            Some(hidden) => self.whiteout(parent.as_fd(), parent_path, hidden, entry),
            None => match entry.kind {
                Kind::Directory => self.folder(parent.as_fd(), name, &path, entry),
                Kind::File => self.file(parent.as_fd(), name, entry, body),
                Kind::HardLink => self.hard_link(parent.as_fd(), name, entry),
                Kind::Symlink => self.symlink(parent.as_fd(), name, entry),
                Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => self.node(parent.as_fd(), name, entry),
            },
        };
        self.parent = Some((parent_path.to_owned(), parent));
        result
    }

    fn escape(&self, entry: &[u8], cause: &str) -> ImageError {
        ImageError::Escape {
            layer: self.layer.to_owned(),
            entry: String::from_utf8_lossy(entry).into_owned(),
            cause: cause.to_owned(),
        }
    }

    fn failed(&self, step: &'static str, entry: &[u8], cause: impl std::fmt::Display) -> ImageError {
        let entry = String::from_utf8_lossy(entry);
        ImageError::io(step, format!("{entry:?} of image layer {}", self.layer), cause)
    }

    fn resolved(&self, errno: Errno, step: &'static str, entry: &[u8]) -> ImageError {
        match errno {
            Errno::EXDEV => self.escape(entry, "passes a symlink that leads out of the layer"),
            Errno::ELOOP => self.escape(entry, "passes a loop of symlinks"),
            Errno::ENOTDIR => self.failed(step, entry, "a part of its path is no folder"),
            other => self.failed(step, entry, other),
        }
    }

    /// Opens the folder that an entry goes to, and makes what is missing of it.
    fn open_parent(&mut self, path: &Path, entry: &[u8]) -> Step<OwnedFd> {
        if let Some((last, fd)) = self.parent.take()
            && last == path
        {
            return Ok(fd);
        }
        match open_beneath(self.root.as_fd(), path, OFlag::O_DIRECTORY | OFlag::O_RDONLY) {
            Ok(fd) => return Ok(fd),
            // A whiteout where the folder should be is seen to below; a file is told of there.
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => return Err(self.resolved(errno, "open the folder of", entry)),
        }
        let mut at = PathBuf::new();
        let mut parent =
            open_beneath(self.root.as_fd(), Path::new("."), OFlag::O_DIRECTORY | OFlag::O_RDONLY)
                .map_err(|e| self.resolved(e, "open the folder of", entry))?;
        for part in path.iter() {
            at.push(part);
            if self.imply(parent.as_fd(), part, entry)? {
                self.found.implied.push(at.clone());
                let meta = FolderMeta { uid: 0, gid: 0, mode: 0o755, mtime: (0, 0) };
                self.folders.insert(at.clone(), meta);
            }
            parent = open_beneath(self.root.as_fd(), &at, OFlag::O_DIRECTORY | OFlag::O_RDONLY)
                .map_err(|e| self.resolved(e, "open the folder of", entry))?;
        }
        Ok(parent)
    }

    /// Makes a folder that the archive does not describe; `false` where something has the name.
    fn imply(&self, parent: BorrowedFd<'_>, name: &OsStr, entry: &[u8]) -> Step<bool> {
        let failed = |e: Errno| self.resolved(e, "make the folder of", entry);
        let mode = Mode::from_bits_truncate(0o755);
        match mkdirat(parent, name, mode) {
            Ok(()) => return Ok(true),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
        if !is_whiteout(&stat) {
            return Ok(false);
        }
        unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).map_err(failed)?;
        mkdirat(parent, name, mode).map_err(failed)?;
        self.opaque(parent, name, entry)?;
        Ok(true)
    }

    /// Takes away what has the name already; answers whether it was a whiteout.
    fn clear(&mut self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<bool> {
        let Ok(stat) = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { return Ok(false) };
        let whiteout = is_whiteout(&stat);
        if kind_of(&stat) == SFlag::S_IFDIR {
            let path = format!("/proc/self/fd/{}", parent.as_raw_fd());
            std::fs::remove_dir_all(Path::new(&path).join(name))
                .map_err(|e| self.failed("replace", &entry.path, e))?;
            if let Ok(path) = clean_name(&entry.path) {
                self.folders.retain(|folder, _| !folder.starts_with(&path));
            }
        } else {
            unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)
                .map_err(|e| self.failed("replace", &entry.path, e))?;
        }
        Ok(whiteout)
    }

    fn folder(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path, entry: &TarEntry) -> Step<()> {
        let stat = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
        let exists = stat.is_some_and(|s| kind_of(&s) == SFlag::S_IFDIR);
        if !exists {
            let replaces_whiteout = self.clear(parent, name, entry)?;
            mkdirat(parent, name, Mode::from_bits_truncate(0o700))
                .map_err(|e| self.failed("make the folder", &entry.path, e))?;
            if replaces_whiteout {
                // The lower folder is gone as a whole: what was in it must not show through.
                self.opaque(parent, name, &entry.path)?;
            }
        }
        self.found.implied.retain(|implied| implied != path);
        self.folders.insert(path.to_owned(), FolderMeta::of(entry));
        if !entry.xattrs.is_empty() {
            let fd = open_beneath(parent, Path::new(name), OFlag::O_DIRECTORY | OFlag::O_RDONLY)
                .map_err(|e| self.resolved(e, "open the folder", &entry.path))?;
            self.attributes(fd.as_fd(), entry)?;
        }
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        entry: &TarEntry,
        body: &mut R,
    ) -> Step<()> {
        self.found.size = self.found.size.saturating_add(entry.size);
        if self.found.size > limits::LAYER_BYTES {
            return Err(too_large(self.layer, limits::LAYER_BYTES, "bytes"));
        }
        self.clear(parent, name, entry)?;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::openat(parent, name, flags, Mode::from_bits_truncate(0o600))
            .map_err(|e| self.failed("make", &entry.path, e))?;
        let mut file = File::from(fd);
        write_body(&mut file, entry, body).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ImageError::malformed(self.layer, e),
            _ => self.failed("write", &entry.path, e),
        })?;
        self.own(parent, name, entry)?;
        // After the owner: a change of owner takes setuid bits and capabilities away.
        nix::sys::stat::fchmod(&file, Mode::from_bits_truncate(entry.mode & 0o7777))
            .map_err(|e| self.failed("set the mode of", &entry.path, e))?;
        self.attributes(file.as_fd(), entry)?;
        self.stamp(parent, name, entry)
    }

    fn hard_link(&mut self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<()> {
        let target = clean_name(&entry.link)
            .map_err(|cause| self.escape(&entry.path, &format!("is a hard link whose target {cause}")))?;
        let (Some(target_parent), Some(target_name)) = (target.parent(), target.file_name()) else {
            return Err(self.escape(&entry.path, "is a hard link to the layer itself"));
        };
        let folder = open_beneath(self.root.as_fd(), target_parent, OFlag::O_DIRECTORY | OFlag::O_RDONLY)
            .map_err(|e| self.resolved(e, "find the target of the hard link", &entry.path))?;
        let stat = fstatat(folder.as_fd(), target_name, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|e| self.failed("find the target of the hard link", &entry.path, e))?;
        let here = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
        if here.is_some_and(|h| (h.st_dev, h.st_ino) == (stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        self.clear(parent, name, entry)?;
        linkat(folder.as_fd(), target_name, parent, name, AtFlags::empty())
            .map_err(|e| self.failed("make the hard link", &entry.path, e))
    }

    fn symlink(&mut self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<()> {
        if entry.link.is_empty() || entry.link.len() >= limits::PATH_BYTES || entry.link.contains(&0) {
            return Err(self.failed("make the symlink", &entry.path, "its target is no path"));
        }
        self.clear(parent, name, entry)?;
        symlinkat(OsStr::from_bytes(&entry.link), parent, name)
            .map_err(|e| self.failed("make the symlink", &entry.path, e))?;
        self.found.attributes_left += entry.xattrs.len() as u64;
        self.own(parent, name, entry)?;
        self.stamp(parent, name, entry)
    }

    fn node(&mut self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<()> {
        self.clear(parent, name, entry)?;
        let kind = match entry.kind {
            Kind::CharDevice => SFlag::S_IFCHR,
            Kind::BlockDevice => SFlag::S_IFBLK,
            _ => SFlag::S_IFIFO,
        };
        let device = makedev(u64::from(entry.device.0), u64::from(entry.device.1));
        match mknodat(parent, name, kind, Mode::from_bits_truncate(0o600), device) {
            Ok(()) => {}
            Err(Errno::EPERM) if kind != SFlag::S_IFIFO => {
                self.found.devices_left += 1;
                return Ok(());
            }
            Err(errno) => return Err(self.failed("make the node", &entry.path, errno)),
        }
        self.own(parent, name, entry)?;
        let mode = Mode::from_bits_truncate(entry.mode & 0o7777);
        nix::sys::stat::fchmodat(parent, name, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)
            .map_err(|e| self.failed("set the mode of", &entry.path, e))?;
        self.stamp(parent, name, entry)
    }

    fn whiteout(
        &mut self,
        parent: BorrowedFd<'_>,
        parent_path: &Path,
        hidden: &[u8],
        entry: &TarEntry,
    ) -> Step<()> {
        if hidden == b".wh..opq" {
            return match (parent_path.parent(), parent_path.file_name()) {
                (Some(above), Some(name)) => {
                    let above = self.open_parent(above, &entry.path)?;
                    self.opaque(above.as_fd(), name, &entry.path)
                }
                _ => self.opaque(parent, OsStr::new("."), &entry.path),
            };
        }
        if hidden.starts_with(b".wh.") {
            // Bookkeeping of aufs, which wrote the first layers.
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(self.escape(&entry.path, "is a whiteout that leads out of its folder"));
        }
        let name = OsStr::from_bytes(hidden);
        match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            // A whiteout hides lower layers only, whatever the order in the archive.
            Ok(stat) if kind_of(&stat) == SFlag::S_IFDIR => return self.opaque(parent, name, &entry.path),
            Ok(_) => return Ok(()),
            Err(_) => {}
        }
        match mknodat(parent, name, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0)) {
            Ok(()) => Ok(()),
            Err(Errno::EPERM) => self.attribute_whiteout(parent, name, entry),
            Err(errno) => Err(self.failed("make the whiteout", &entry.path, errno)),
        }
    }

    /// The form of a whiteout that needs no device node: an empty file, marked, in a marked folder.
    fn attribute_whiteout(&self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<()> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = nix::fcntl::openat(parent, name, flags, Mode::empty())
            .map_err(|e| self.failed("make the whiteout", &entry.path, e))?;
        set_attribute(file.as_fd(), c"user.overlay.whiteout", b"y")
            .and_then(|()| set_attribute(parent, c"user.overlay.opaque", b"x"))
            .map_err(|e| self.failed("mark the whiteout", &entry.path, e))
    }

    fn opaque(&self, parent: BorrowedFd<'_>, name: &OsStr, entry: &[u8]) -> Step<()> {
        let folder = open_beneath(parent, Path::new(name), OFlag::O_DIRECTORY | OFlag::O_RDONLY)
            .map_err(|e| self.resolved(e, "open the folder of", entry))?;
        match set_attribute(folder.as_fd(), c"trusted.overlay.opaque", b"y") {
            Err(Errno::EPERM | Errno::EOPNOTSUPP) => {
                set_attribute(folder.as_fd(), c"user.overlay.opaque", b"y")
            }
            other => other,
        }
        .map_err(|e| self.failed("mark as opaque the folder of", entry, e))
    }

    fn own(&mut self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<()> {
        match chown(parent, name, entry.uid, entry.gid) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.found.owners_left += 1;
                Ok(())
            }
            Err(errno) => Err(self.failed("set the owner of", &entry.path, errno)),
        }
    }

    fn stamp(&self, parent: BorrowedFd<'_>, name: &OsStr, entry: &TarEntry) -> Step<()> {
        let time = TimeSpec::new(entry.mtime.0, entry.mtime.1);
        utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(|e| self.failed("set the time of", &entry.path, e))
    }

    fn attributes(&mut self, fd: BorrowedFd<'_>, entry: &TarEntry) -> Step<()> {
        for (name, value) in &entry.xattrs {
            let taken = name == b"security.capability"
                || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
            let Some(name) = CString::new(name.clone()).ok().filter(|_| taken) else {
                self.found.attributes_left += 1;
                continue;
            };
            match set_attribute(fd, &name, value) {
                Ok(()) => {}
                Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::EACCES) => self.found.attributes_left += 1,
                Err(errno) => return Err(self.failed("set an attribute of", &entry.path, errno)),
            }
        }
        Ok(())
    }

    /// Owners, modes and times of folders, when nothing is written into them any more.
    fn finish(&mut self) -> Step<()> {
        let folders = std::mem::take(&mut self.folders);
        for (path, meta) in folders.iter().rev() {
            let text = path.as_os_str().as_bytes();
            let at = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            let folder = open_beneath(self.root.as_fd(), at, OFlag::O_DIRECTORY | OFlag::O_RDONLY)
                .map_err(|e| self.resolved(e, "open the folder", text))?;
            if !chown(folder.as_fd(), OsStr::new("."), meta.uid, meta.gid)
                .map_err(|e| self.failed("set the owner of", text, e))?
            {
                self.found.owners_left += 1;
            }
            nix::sys::stat::fchmod(&folder, Mode::from_bits_truncate(meta.mode & 0o7777))
                .map_err(|e| self.failed("set the mode of", text, e))?;
            let time = TimeSpec::new(meta.mtime.0, meta.mtime.1);
            nix::sys::stat::futimens(&folder, &time, &time)
                .map_err(|e| self.failed("set the time of", text, e))?;
        }
        Ok(())
    }
}

impl FolderMeta {
    fn of(entry: &TarEntry) -> FolderMeta {
        FolderMeta { uid: entry.uid, gid: entry.gid, mode: entry.mode, mtime: entry.mtime }
    }
}

/// Gives folders that a layer only implies the owner and mode that the layers below give them, the highest first.
pub(super) fn inherit(layer: &str, folder: &Path, implied: &[PathBuf], below: &[PathBuf]) -> Step<()> {
    let root = open_root(folder)?;
    let below: Vec<OwnedFd> = below.iter().rev().map(|b| open_root(b)).collect::<Step<_>>()?;
    for path in implied {
        let found = below.iter().find_map(|lower| {
            let fd = open_beneath(lower.as_fd(), path, OFlag::O_DIRECTORY | OFlag::O_RDONLY).ok()?;
            nix::sys::stat::fstat(&fd).ok()
        });
        let Some(stat) = found else { continue };
        let failed =
            |e: Errno| ImageError::io("set the owner of", format!("{path:?} of image layer {layer}"), e);
        let own = open_beneath(root.as_fd(), path, OFlag::O_DIRECTORY | OFlag::O_RDONLY).map_err(failed)?;
        chown(own.as_fd(), OsStr::new("."), u64::from(stat.st_uid), u64::from(stat.st_gid))
            .map_err(failed)?;
        nix::sys::stat::fchmod(&own, Mode::from_bits_truncate(stat.st_mode & 0o7777)).map_err(failed)?;
    }
    Ok(())
}

/// Opens something below a folder; symlinks are followed as long as they stay below it.
pub(super) fn open_beneath(folder: BorrowedFd<'_>, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // The kernel asks to try again when it saw a rename while it looked.
    for _ in 1..limits::OPEN_TRIES {
        match openat2(folder, path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            other => return other,
        }
    }
    openat2(folder, path, how)
}

/// Sets the owner; `false` where the user namespace does not map it.
fn chown(parent: BorrowedFd<'_>, name: &OsStr, uid: u64, gid: u64) -> nix::Result<bool> {
    let (Ok(uid), Ok(gid)) = (u32::try_from(uid), u32::try_from(gid)) else { return Ok(false) };
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
    match fchownat(parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags) {
        Ok(()) => Ok(true),
        Err(Errno::EPERM | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn kind_of(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn is_whiteout(stat: &FileStat) -> bool {
    kind_of(stat) == SFlag::S_IFCHR && stat.st_rdev == 0
}

fn set_attribute(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: the name ends in NUL, the value's pointer and length belong together, and the descriptor is open.
    let result =
        unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

fn write_body<R: Read>(file: &mut File, entry: &TarEntry, body: &mut R) -> io::Result<()> {
    let Some(parts) = &entry.sparse else {
        let mut body = body.take(entry.size);
        let written = io::copy(&mut body, file)?;
        return if written == entry.size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    };
    let mut buffer = vec![0u8; 64 * 1024];
    for (offset, length) in parts {
        let (mut at, end) = (*offset, offset + length);
        while at < end {
            let most = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            body.read_exact(&mut buffer[..most])?;
            file.write_all_at(&buffer[..most], at)?;
            at += most as u64;
        }
    }
    file.set_len(entry.size)?;
    file.flush()
}
