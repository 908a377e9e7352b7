//! The images of a node: where the root file systems of containers come from.
//!
//! [`ImageStore`] keeps unpacked layers, each once, and an index of names. Images come in from archives and layout
//! folders ([`ImageStore::import`]), through an [`ImageSource`] when a pod asks for one that is not there
//! ([`ImageStore::pull`]), and two are always there: the host's root file system and the host's own executable.
//! [`ImageBuilder`] makes images out of files and of programs with their libraries.
//!
//! What it does not do: mount anything (the runtime joins the layers), talk to registries (an [`ImageSource`] may),
//! or read pods. It has no thread; every call may block.
//!
//! Invariant: what lies under `layers/` is whole and verified, and an image in the index has all of its layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod archive;
pub mod build;
mod builtin;
mod digest;
pub mod elf;
mod index;
mod layer;
mod manifest;
mod naming;
mod reference;
pub mod source;
mod store;
mod tar_stream;
mod unpack;

#[cfg(test)]
mod tests;

pub use build::ImageBuilder;
pub use reference::ImageRef;
pub use source::{FolderSource, ImageSource, SourcedImage};
pub use store::{Freed, ImageHold, ImageStore, StoreOptions};

/// The name of the image that is the host's root file system, read-only.
pub const HOST_IMAGE: &str = "coracle.local/host:latest";

/// The name of the image that is the host program's own executable.
pub const SELF_IMAGE: &str = "coracle.local/self:latest";

/// The argument that selects the entry in the host program's own image: `--coracle-entry=NAME`.
pub const ENTRY_ARGUMENT: &str = "--coracle-entry=";

/// Names an image by its content: the digest of its configuration, `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageId(pub String);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an image says about how to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The program and its first arguments; a container's `command` replaces it.
    pub entrypoint: Vec<String>,
    /// Further arguments; a container's `args` replace them.
    pub cmd: Vec<String>,
    /// Environment, in order.
    pub env: Vec<(String, String)>,
    /// The working directory; empty for `/`.
    pub working_dir: String,
    /// The user (`user`, `uid`, `user:group`, `uid:gid`); empty for root.
    pub user: String,
    /// The signal that asks it to end, as the image writes it (`SIGQUIT`, `3`).
    pub stop_signal: Option<String>,
    /// Ports it says it listens on (`80/tcp`).
    pub exposed_ports: BTreeSet<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// The number of the stop signal: `SIGQUIT`, `QUIT`, `3`, `SIGRTMIN+3`. `None` where the image gives none, or one
    /// that does not exist.
    pub fn stop_signal_number(&self) -> Option<i32> {
        let name = self.stop_signal.as_deref()?.trim().to_ascii_uppercase();
        if let Ok(number) = name.parse::<i32>() {
            return (1..=64).contains(&number).then_some(number);
        }
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        if let Some(offset) = name.strip_prefix("RTMIN") {
            let offset = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse::<i32>().ok()? };
            return (0..=30).contains(&offset).then_some(34 + offset);
        }
        format!("SIG{name}").parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
    }

    /// The whole argument list of a container: `command` replaces the entry point and drops the image's arguments,
    /// `args` replaces the arguments alone. Empty if neither says anything.
    pub fn command_line(&self, command: &[String], args: &[String]) -> Vec<String> {
        let (program, rest) = match (command.is_empty(), args.is_empty()) {
            (true, true) => (self.entrypoint.as_slice(), self.cmd.as_slice()),
            (true, false) => (self.entrypoint.as_slice(), args),
            (false, _) => (command, args),
        };
        program.iter().chain(rest).cloned().collect()
    }
}

/// An image that is here, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its names, sorted.
    pub references: Vec<ImageRef>,
    /// The bytes of its unpacked layers.
    pub size: u64,
    /// How to run it.
    pub config: ImageConfig,
    /// Its root file system.
    pub rootfs: crate::node::runtime::Rootfs,
    /// It came in by hand (an import, or built in), so that `imagePullPolicy: Always` has nobody else to ask.
    pub local: bool,
}

/// A step of the image store that failed, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The name is none.
    #[error("couldn't parse image name {name:?}: {cause}")]
    InvalidName {
        /// What was given.
        name: String,
        /// Upstream's words for it.
        cause: String,
    },
    /// A file could not be read or written.
    #[error("{step} {object}: {cause}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The file.
        object: String,
        /// The system's words.
        cause: String,
    },
    /// An archive or layout is not what it should be.
    #[error("image {archive}: {cause}")]
    Malformed {
        /// The archive, and the part of it.
        archive: String,
        /// What is wrong.
        cause: String,
    },
    /// An entry of a layer would be written outside of it.
    #[error("image layer {layer}: entry {entry:?} {cause}")]
    Escape {
        /// The layer.
        layer: String,
        /// The entry's name.
        entry: String,
        /// How it leads out.
        cause: String,
    },
    /// The content is not what its digest says.
    #[error("{object} has the digest {found}, not {expected}")]
    Digest {
        /// What was read.
        object: String,
        /// What its name says.
        expected: String,
        /// What its content says.
        found: String,
    },
    /// More than is accepted.
    #[error("{object} has more than the {limit} {unit} that are accepted")]
    TooLarge {
        /// What was read.
        object: String,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Something that is not read.
    #[error("{object}: {what}")]
    Unsupported {
        /// What was read.
        object: String,
        /// What is missing, and what to do.
        what: String,
    },
    /// Nobody has the image.
    #[error("image {reference:?} not found{detail}")]
    NotFound {
        /// The name.
        reference: String,
        /// What could not be looked into, as `; …`, or nothing.
        detail: String,
    },
    /// An executable that is none, or of another machine.
    #[error("executable {file}: {cause}")]
    Elf {
        /// The file.
        file: String,
        /// What is wrong.
        cause: String,
    },
    /// A library that an executable needs is nowhere.
    #[error("executable {file} needs the library {library}, which is in none of the folders searched")]
    MissingLibrary {
        /// The file.
        file: String,
        /// The library's name.
        library: String,
    },
    /// Another store has the folder.
    #[error("the image folder {0} is in use by another cluster")]
    Busy(PathBuf),
}

impl ImageError {
    fn io(step: &'static str, object: impl fmt::Display, cause: impl fmt::Display) -> ImageError {
        ImageError::Io { step, object: object.to_string(), cause: cause.to_string() }
    }

    fn malformed(archive: impl fmt::Display, cause: impl fmt::Display) -> ImageError {
        ImageError::Malformed { archive: archive.to_string(), cause: cause.to_string() }
    }
}
