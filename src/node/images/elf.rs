//! Finds what an executable needs to run: its interpreter and its shared libraries, without running it.
//!
//! Reads program headers and the dynamic section (`PT_INTERP`, `DT_NEEDED`, `DT_RPATH`, `DT_RUNPATH`) and searches as
//! the dynamic linker does: run paths with `$ORIGIN`, `/etc/ld.so.cache`, the default folders. `LD_LIBRARY_PATH` is
//! not read: what runs in a container does not have it. Libraries that a program opens by name while it runs are
//! not seen.
//!
//! Invariant: every offset and length of a file is checked before it is used, and no more than
//! [`limits::ELF_TABLE_BYTES`] of it are held.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use super::ImageError;
use crate::limits;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// What an ELF file says about how it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// 64-bit, byte order and machine: libraries must have the same.
    pub machine: (bool, bool, u16),
    /// The dynamic linker's path; `None` for static programs and libraries.
    pub interpreter: Option<PathBuf>,
    /// The names of the libraries it needs.
    pub needed: Vec<String>,
    /// The old search path, which holds for the libraries below too.
    pub rpath: Vec<String>,
    /// The search path for its own libraries.
    pub runpath: Vec<String>,
}

/// One library of a closure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The name it is asked by.
    pub name: String,
    /// The file on this machine.
    pub source: PathBuf,
    /// Where the dynamic linker looks for it in an image that has the program at its place.
    pub target: PathBuf,
}

/// All that an executable needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The dynamic linker, at its own path.
    pub interpreter: Option<PathBuf>,
    /// The libraries, in the order found.
    pub libraries: Vec<Library>,
    /// A library lies where only the linker's cache tells: the image needs `/etc/ld.so.cache` too.
    pub needs_cache: bool,
}

/// A bounds-checked view of the parts of a file.
struct Reader<'a> {
    file: &'a File,
    label: String,
    wide: bool,
    little: bool,
}

/// A `PT_LOAD` segment: address, offset and length in the file.
type Segment = (u64, u64, u64);

impl Elf {
    /// Reads an ELF file; `label` names it in errors.
    pub fn read(file: &File, label: &Path) -> Result<Elf, ImageError> {
        let mut head = [0u8; 64];
        let label = label.display().to_string();
        let bad = |cause: &str| ImageError::Elf { file: label.clone(), cause: cause.to_owned() };
        let length = file.read_at(&mut head, 0).map_err(|e| bad(&e.to_string()))?;
        if length < 52 || &head[..4] != b"\x7fELF" {
            return Err(bad("is no ELF file"));
        }
        let (wide, little) = (head[4] == 2, head[5] == 1);
        if (wide && length < 64) || !matches!(head[4], 1 | 2) || !matches!(head[5], 1 | 2) {
            return Err(bad("has a broken ELF header"));
        }
        let reader = Reader { file, label: label.clone(), wide, little };
        let machine = reader.number(&head[18..20]) as u16;
        let (table, entry_size, count) = if wide {
            (reader.number(&head[32..40]), reader.number(&head[54..56]), reader.number(&head[56..58]))
        } else {
            (reader.number(&head[28..32]), reader.number(&head[42..44]), reader.number(&head[44..46]))
        };
        if count > 0 && entry_size < if wide { 56 } else { 32 } {
            return Err(bad("has program headers of a wrong size"));
        }
        let headers = reader.bytes(table, count * entry_size)?;
        let mut elf = Elf { machine: (wide, little, machine), ..Elf::default() };
        let mut loads: Vec<Segment> = Vec::new();
        let mut dynamic = None;
        for header in headers.chunks_exact((entry_size as usize).max(1)) {
            let (offset, address, size) = if wide {
                (&header[8..16], &header[16..24], &header[32..40])
            } else {
                (&header[4..8], &header[8..12], &header[16..20])
            };
            let (offset, address, size) =
                (reader.number(offset), reader.number(address), reader.number(size));
            match reader.number(&header[..4]) {
                PT_LOAD => loads.push((address, offset, size)),
                PT_DYNAMIC => dynamic = Some((offset, size)),
                PT_INTERP => elf.interpreter = Some(PathBuf::from(reader.text(offset, size)?)),
                _ => {}
            }
        }
        if let Some((offset, size)) = dynamic {
            elf.read_dynamic(&reader, &reader.bytes(offset, size)?, &loads)?;
        }
        Ok(elf)
    }

    fn read_dynamic(
        &mut self,
        reader: &Reader<'_>,
        table: &[u8],
        loads: &[Segment],
    ) -> Result<(), ImageError> {
        let word = if reader.wide { 8 } else { 4 };
        let entries: Vec<(u64, u64)> = table
            .chunks_exact(word * 2)
            .map(|entry| (reader.number(&entry[..word]), reader.number(&entry[word..])))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let value = |wanted: u64| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        let Some(strings) = value(DT_STRTAB) else { return Ok(()) };
        let size = value(DT_STRSZ).unwrap_or(0);
        let start = loads
            .iter()
            .find(|(address, _, length)| strings >= *address && strings - address < *length)
            .and_then(|(address, offset, _)| offset.checked_add(strings - address))
            .ok_or_else(|| reader.bad("has its string table outside of the file"))?;
        for (tag, value) in &entries {
            if !matches!(*tag, DT_NEEDED | DT_RPATH | DT_RUNPATH) {
                continue;
            }
            if *value >= size {
                return Err(reader.bad("has a name outside of its string table"));
            }
            let at = start.checked_add(*value).ok_or_else(|| reader.bad("has a name outside of the file"))?;
            let text = reader.text(at, (size - value).min(limits::PATH_BYTES as u64))?;
            match *tag {
                DT_NEEDED => self.needed.push(text),
                DT_RPATH => self.rpath = split_path(&text),
                _ => self.runpath = split_path(&text),
            }
            if self.needed.len() > limits::ELF_LIBRARIES {
                return Err(reader.bad("needs too many libraries"));
            }
        }
        Ok(())
    }
}

fn split_path(path: &str) -> Vec<String> {
    path.split(':').filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

impl Reader<'_> {
    fn bad(&self, cause: &str) -> ImageError {
        ImageError::Elf { file: self.label.clone(), cause: cause.to_owned() }
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
    }

    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, ImageError> {
        if length > limits::ELF_TABLE_BYTES || offset.checked_add(length).is_none() {
            return Err(self.bad("has a table that is too large"));
        }
        let mut bytes = vec![0u8; length as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|_| self.bad("has a table outside of the file"))?;
        Ok(bytes)
    }

    /// The text at an offset up to its NUL, at most `length` bytes; the file may end before.
    fn text(&self, offset: u64, length: u64) -> Result<String, ImageError> {
        let mut bytes = vec![0u8; length.min(limits::PATH_BYTES as u64) as usize];
        let read = self.file.read_at(&mut bytes, offset).map_err(|e| self.bad(&e.to_string()))?;
        let end = bytes[..read].iter().position(|b| *b == 0);
        let end = end.ok_or_else(|| self.bad("has a name without end"))?;
        bytes.truncate(end);
        String::from_utf8(bytes).map_err(|_| self.bad("has a name that is not text"))
    }
}

/// An object of the closure whose own needs are looked for.
struct Object {
    elf: Elf,
    label: PathBuf,
    /// The folder that `$ORIGIN` means on this machine, and in the image.
    origin: (PathBuf, PathBuf),
    /// The old run paths of the objects that led here.
    inherited: Vec<(String, (PathBuf, PathBuf))>,
}

/// Finds all that `executable` needs, when the program lies at `target` in the image. `label` is the program's own
/// path on this machine, which `$ORIGIN` refers to.
pub fn closure(executable: &File, label: &Path, target: &Path) -> Result<Closure, ImageError> {
    let elf = Elf::read(executable, label)?;
    let mut closure = Closure { interpreter: elf.interpreter.clone(), ..Closure::default() };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    if let Some(name) = closure.interpreter.as_ref().and_then(|i| i.file_name()) {
        seen.insert(name.to_string_lossy().into_owned());
    }
    let cache = Cache::read(Path::new("/etc/ld.so.cache"));
    let machine = elf.machine;
    let mut queue = std::collections::VecDeque::from([Object {
        elf,
        label: label.to_owned(),
        origin: (folder_of(label), folder_of(target)),
        inherited: Vec::new(),
    }]);
    while let Some(object) = queue.pop_front() {
        let rpath = object.elf.rpath.iter().map(|path| (path.clone(), object.origin.clone()));
        let inherited: Vec<_> = rpath.chain(object.inherited.iter().cloned()).collect();
        for name in &object.elf.needed {
            if !seen.insert(name.clone()) {
                continue;
            }
            if closure.libraries.len() >= limits::ELF_LIBRARIES {
                return Err(ImageError::Elf {
                    file: label.display().to_string(),
                    cause: "needs too many libraries".to_owned(),
                });
            }
            let (source, target, found, by_cache) = search(name, &object, &inherited, machine, &cache)
                .ok_or_else(|| ImageError::MissingLibrary {
                    file: object.label.display().to_string(),
                    library: name.clone(),
                })?;
            closure.needs_cache |= by_cache;
            closure.libraries.push(Library {
                name: name.clone(),
                source: source.clone(),
                target: target.clone(),
            });
            queue.push_back(Object {
                elf: found,
                origin: (folder_of(&source), folder_of(&target)),
                label: source,
                inherited: inherited.clone(),
            });
        }
    }
    Ok(closure)
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// The folders that the dynamic linker knows by itself.
fn default_folders() -> Vec<PathBuf> {
    let triplet = match std::env::consts::ARCH {
        "x86" => "i386-linux-gnu".to_owned(),
        "arm" => "arm-linux-gnueabihf".to_owned(),
        "powerpc64" => "powerpc64le-linux-gnu".to_owned(),
        arch => format!("{arch}-linux-gnu"),
    };
    let folders = [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}")];
    let fixed = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];
    folders.into_iter().map(PathBuf::from).chain(fixed.map(PathBuf::from)).collect()
}

type Hit = (PathBuf, PathBuf, Elf, bool);

/// Looks for one library in the linker's order; the last part of the answer says that only the cache knows it.
fn search(
    name: &str,
    object: &Object,
    inherited: &[(String, (PathBuf, PathBuf))],
    machine: (bool, bool, u16),
    cache: &Cache,
) -> Option<Hit> {
    let fits = |source: &Path| {
        let elf = Elf::read(&File::open(source).ok()?, source).ok()?;
        (elf.machine == machine).then_some(elf)
    };
    if name.contains('/') {
        let source = PathBuf::from(name);
        return fits(&source).map(|elf| (source.clone(), normal(&source), elf, false));
    }
    let own = object.elf.runpath.iter().map(|path| (path.clone(), object.origin.clone()));
    // A run path of the new kind switches the old kind off.
    let old = if object.elf.runpath.is_empty() { inherited } else { &[] };
    for (path, (here, there)) in old.iter().cloned().chain(own) {
        for (source, target) in expand(&path, &here, &there) {
            if let Some(elf) = fits(&source.join(name)) {
                return Some((source.join(name), normal(&target.join(name)), elf, false));
            }
        }
    }
    let defaults = default_folders();
    for source in cache.lookup(name) {
        if let Some(elf) = fits(&source) {
            let known = source.parent().is_some_and(|folder| defaults.iter().any(|d| d == folder));
            return Some((source.clone(), normal(&source), elf, !known));
        }
    }
    defaults.into_iter().map(|folder| folder.join(name)).find_map(|source| {
        let elf = fits(&source)?;
        Some((source.clone(), source, elf, false))
    })
}

/// A run path with its variables replaced, on this machine and in the image.
fn expand(path: &str, here: &Path, there: &Path) -> Vec<(PathBuf, PathBuf)> {
    let put = |text: &str, name: &str, value: &str| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    };
    let arch = std::env::consts::ARCH;
    let libs = [format!("lib/{arch}-linux-gnu"), "lib64".to_owned(), "lib".to_owned()];
    let path = put(path, "PLATFORM", arch);
    let choices = if path.contains("LIB") { libs.to_vec() } else { vec![String::new()] };
    let mut expanded = Vec::new();
    for lib in choices {
        let path = put(&path, "LIB", &lib);
        let with = |origin: &Path| PathBuf::from(put(&path, "ORIGIN", &origin.to_string_lossy()));
        expanded.push((with(here), with(there)));
    }
    expanded
}

/// An absolute path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// The dynamic linker's cache: names of libraries and their paths.
struct Cache {
    entries: Vec<(String, PathBuf)>,
}

impl Cache {
    /// A cache that is missing or not understood is empty: the default folders remain.
    fn read(path: &Path) -> Cache {
        let bytes = std::fs::metadata(path)
            .ok()
            .filter(|m| m.len() <= limits::ELF_TABLE_BYTES * 4)
            .and_then(|_| std::fs::read(path).ok())
            .unwrap_or_default();
        Cache { entries: Cache::parse(&bytes).unwrap_or_default() }
    }

    fn parse(bytes: &[u8]) -> Option<Vec<(String, PathBuf)>> {
        const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
        let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        let bytes = &bytes[start..];
        let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        let text = |at: usize| {
            let rest = bytes.get(at..)?;
            let end = rest.iter().take(limits::PATH_BYTES).position(|b| *b == 0)?;
            std::str::from_utf8(&rest[..end]).ok().map(str::to_owned)
        };
        let count = number(MAGIC.len())?;
        let mut entries = Vec::new();
        for entry in 0..count.min(bytes.len() / 24) {
            let at = 48 + entry * 24;
            // Entries for better processors are left out: the plain library is always beside them.
            let plain = number(at + 16)? == 0 && number(at + 20)? == 0;
            if let (true, Some(name), Some(path)) = (plain, text(number(at + 4)?), text(number(at + 8)?)) {
                entries.push((name, PathBuf::from(path)));
            }
        }
        Some(entries)
    }

    fn lookup(&self, name: &str) -> Vec<PathBuf> {
        self.entries.iter().filter(|(n, _)| n == name).map(|(_, path)| path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closure_of_ls_is_its_linker_and_libraries() {
        let path = Path::new("/bin/ls");
        let closure = closure(&File::open(path).unwrap(), path, path).unwrap();
        assert!(closure.interpreter.as_ref().is_some_and(|i| i.exists()), "{closure:?}");
        let names: Vec<&str> = closure.libraries.iter().map(|l| l.name.as_str()).collect();
        assert!(names.contains(&"libc.so.6"), "{names:?}");
        // Linked to a library that itself needs another.
        assert!(names.iter().any(|n| n.starts_with("libselinux")), "{names:?}");
        assert!(names.iter().any(|n| n.starts_with("libpcre2")), "{names:?}");
        assert!(closure.libraries.iter().all(|l| l.source.exists() && l.target.is_absolute()));
        assert!(!closure.needs_cache);
    }

    #[test]
    fn origin_moves_with_the_program() {
        let expanded = expand("$ORIGIN/../lib/${ORIGIN}", Path::new("/opt/x/bin"), Path::new("/"));
        assert_eq!(normal(&expanded[0].1), Path::new("/lib"));
        assert_eq!(normal(&expanded[0].0), Path::new("/opt/x/lib/opt/x/bin"));
        assert_eq!(expand("/a/$LIB", Path::new("/"), Path::new("/")).len(), 3);
    }

    #[test]
    fn broken_files_are_refused_and_never_read_out_of_bounds() {
        let whole = std::fs::read("/bin/ls").unwrap();
        let path = std::env::temp_dir().join(format!("coracle-elf-{}", std::process::id()));
        let check = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Elf::read(&File::open(&path).unwrap(), Path::new("x"))
        };
        assert!(check(b"#!/bin/sh\n").unwrap_err().to_string().contains("is no ELF file"));
        for length in [0, 4, 51, 63, 64, 100, 500, 1000, 4096] {
            assert!(check(&whole[..length]).is_err(), "{length}");
        }
        for at in 16..64 {
            for value in [0u8, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = check(&bytes);
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
