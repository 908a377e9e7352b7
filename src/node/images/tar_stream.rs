//! Reads a tar stream entry by entry, with a bound on everything that is kept in memory.
//!
//! Owns the format: ustar, GNU long names, PAX headers, GNU sparse files. Does not touch the disk and does not
//! judge names; `unpack` and `archive` do that.
//!
//! Invariant: no more than [`limits::TAR_EXTENSION_BYTES`] of a header are ever held, whatever the stream says.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};

use crate::limits;

const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// One entry, with long names and extended headers applied.
#[derive(Clone, Debug)]
pub(super) struct TarEntry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    /// The size of the file when it is whole.
    pub size: u64,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds and nanoseconds.
    pub mtime: (i64, i64),
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the body begins in the stream.
    pub offset: u64,
    /// The parts of a sparse file that the body holds, as (offset, length).
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// What earlier headers say about the next entry.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, i64)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A tar stream. `read` gives the body of the entry that `next` answered last.
pub(super) struct TarStream<R> {
    input: R,
    position: u64,
    /// Bytes of the present entry's body that are not read yet.
    left: u64,
    /// Bytes after the body up to the next block.
    padding: u64,
}

fn bad(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl<R: Read> TarStream<R> {
    pub fn new(input: R) -> Self {
        TarStream { input, position: 0, left: 0, padding: 0 }
    }

    /// The stream below, once the entries are read.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// Leaves the rest of the present entry to the caller, who moves the input on by the number answered.
    pub fn leave_rest(&mut self) -> (u64, &mut R) {
        let rest = self.left.saturating_add(self.padding);
        self.position = self.position.saturating_add(rest);
        (self.left, self.padding) = (0, 0);
        (rest, &mut self.input)
    }

    /// The next entry, or `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<TarEntry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            self.left = header.entry_size().map_err(|e| bad(format!("bad size field: {e}")))?;
            if kind.is_hard_link() || kind.is_symlink() || kind.is_dir() {
                // Old archives give these the size of what they point to, and no body.
                self.left = 0;
            }
            self.padding = padding(self.left)?;
            match kind {
                EntryType::GNULongName => extensions.path = Some(self.long_name()?),
                EntryType::GNULongLink => extensions.link = Some(self.long_name()?),
                EntryType::XHeader => {
                    let body = self.extension()?;
                    extensions.read_pax(&body)?;
                }
                EntryType::XGlobalHeader => {}
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> io::Result<TarEntry> {
        let raw_path = header.path_bytes().into_owned();
        let path = extensions.path.unwrap_or(raw_path);
        let kind = match header.entry_type() {
            // Archives of before 1988 mark a folder by a slash alone.
            EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
            EntryType::Link => Kind::HardLink,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Directory => Kind::Directory,
            EntryType::Char => Kind::CharDevice,
            EntryType::Block => Kind::BlockDevice,
            EntryType::Fifo => Kind::Fifo,
            other => return Err(bad(format!("entry of unknown type {:#04x}", other.as_byte()))),
        };
        if let Some(size) = extensions.size
            && kind == Kind::File
        {
            self.left = size;
            self.padding = padding(size)?;
        }
        let mut size = self.left;
        let mut sparse = None;
        if header.entry_type() == EntryType::GNUSparse {
            let (real, parts) = self.sparse_map(header)?;
            size = real;
            sparse = Some(parts);
        }
        // An empty field is zero.
        let field = |name: &str, raw: &[u8], value: io::Result<u64>| match value {
            Err(_) if raw.iter().all(|b| matches!(b, 0 | b' ')) => Ok(0),
            other => other.map_err(|_| bad(format!("bad {name} field"))),
        };
        let old = header.as_old();
        let uid = extensions.uid.map_or_else(|| field("uid", &old.uid, header.uid()), Ok)?;
        let gid = extensions.gid.map_or_else(|| field("gid", &old.gid, header.gid()), Ok)?;
        let mode = field("mode", &old.mode, header.mode().map(u64::from))? as u32;
        Ok(TarEntry {
            path,
            link: extensions
                .link
                .unwrap_or_else(|| header.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default()),
            kind,
            size,
            mode,
            uid,
            gid,
            mtime: extensions.mtime.unwrap_or_else(|| (header.mtime().unwrap_or(0) as i64, 0)),
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            xattrs: extensions.xattrs,
            offset: self.position,
            sparse,
        })
    }

    /// The next header, or `None` at the end of the archive: a block of zeros, or no block at all.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut header.as_mut_bytes()[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(bad("the archive ends within a header")),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.position += BLOCK as u64;
        if header.as_bytes().iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum: u32 = header.as_bytes().iter().enumerate().map(checksum_byte).sum();
        if header.cksum().ok() != Some(sum) {
            return Err(bad("a header's checksum is wrong: this is no tar archive"));
        }
        Ok(Some(header))
    }

    fn sparse_map(&mut self, header: &Header) -> io::Result<(u64, Vec<(u64, u64)>)> {
        let gnu = header.as_gnu().ok_or_else(|| bad("a sparse entry without a GNU header"))?;
        let real = gnu.real_size()?;
        let mut parts = Vec::new();
        let mut body = 0u64;
        let mut end = 0u64;
        let mut add = |block: &tar::GnuSparseHeader, parts: &mut Vec<(u64, u64)>| -> io::Result<()> {
            if block.is_empty() {
                return Ok(());
            }
            let (offset, length) = (block.offset()?, block.length()?);
            let next = offset.checked_add(length).ok_or_else(|| bad("bad sparse map"))?;
            if offset < end || next > real || parts.len() as u64 > limits::TAR_EXTENSION_BYTES / 16 {
                return Err(bad("bad sparse map"));
            }
            end = next;
            body += length;
            parts.push((offset, length));
            Ok(())
        };
        for block in &gnu.sparse {
            add(block, &mut parts)?;
        }
        let mut extended = gnu.is_extended();
        while extended {
            let mut more = GnuExtSparseHeader::new();
            self.input.read_exact(more.as_mut_bytes())?;
            self.position += BLOCK as u64;
            for block in more.sparse() {
                add(block, &mut parts)?;
            }
            extended = more.is_extended();
        }
        if body != self.left {
            return Err(bad("a sparse map does not fit its entry"));
        }
        Ok((real, parts))
    }

    fn long_name(&mut self) -> io::Result<Vec<u8>> {
        let mut name = self.extension()?;
        if let Some(end) = name.iter().position(|b| *b == 0) {
            name.truncate(end);
        }
        Ok(name)
    }

    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.left > limits::TAR_EXTENSION_BYTES {
            return Err(bad(format!(
                "an extended header of {} bytes; at most {} are read",
                self.left,
                limits::TAR_EXTENSION_BYTES
            )));
        }
        let mut body = Vec::new();
        self.read_to_end(&mut body)?;
        Ok(body)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink())?;
        self.position += skipped;
        if skipped < self.left {
            return Err(bad("the archive ends within an entry"));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: Read> Read for TarStream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.input.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(bad("the archive ends within an entry"));
        }
        self.left -= n as u64;
        self.position += n as u64;
        Ok(n)
    }
}

/// The bytes from the end of a body to the next block.
fn padding(size: u64) -> io::Result<u64> {
    let end = size.checked_next_multiple_of(BLOCK as u64).ok_or_else(|| bad("bad size field"))?;
    Ok(end - size)
}

/// What a byte of a header adds to its checksum: the checksum's own field counts as spaces.
fn checksum_byte((index, byte): (usize, &u8)) -> u32 {
    if (148..156).contains(&index) { u32::from(b' ') } else { u32::from(*byte) }
}

impl Extensions {
    /// Reads `length key=value\n` records.
    fn read_pax(&mut self, mut body: &[u8]) -> io::Result<()> {
        while !body.is_empty() && body[0] != 0 {
            let space = body.iter().position(|b| *b == b' ').ok_or_else(|| bad("bad PAX record"))?;
            let length: usize = text(&body[..space])?.parse().map_err(|_| bad("bad PAX record length"))?;
            if length <= space + 1 || length > body.len() {
                return Err(bad("bad PAX record length"));
            }
            let record = &body[space + 1..length];
            body = &body[length..];
            let record = record.strip_suffix(b"\n").ok_or_else(|| bad("bad PAX record"))?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(|| bad("bad PAX record"))?;
            self.pax(&record[..equals], &record[equals + 1..])?;
        }
        Ok(())
    }

    fn pax(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let number = || text(value)?.parse::<u64>().map_err(|_| bad("bad number in a PAX record"));
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(pax_time(text(value)?)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(bad("a sparse file in PAX form, which is not read; pack it without --sparse"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.".as_slice()) {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| bad("a PAX record is not text"))
}

/// `seconds[.fraction]`, maybe negative.
fn pax_time(value: &str) -> io::Result<(i64, i64)> {
    let (seconds, fraction) = value.split_once('.').unwrap_or((value, ""));
    let whole: i64 = seconds.parse().map_err(|_| bad("bad time in a PAX record"))?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: i64 = digits.parse().map_err(|_| bad("bad time in a PAX record"))?;
    if value.starts_with('-') && nanos > 0 {
        Ok((whole.saturating_sub(1), 1_000_000_000 - nanos))
    } else {
        Ok((whole, nanos))
    }
}
