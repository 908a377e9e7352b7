//! The documents of OCI images and of `docker save`: types, and the choice of a platform.
//!
//! Pure: reads bytes that others fetched and verified.
//!
//! Invariant: unknown fields and missing optional ones never fail a document.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ImageConfig;

/// Content, named by its digest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: Option<u64>,
    pub platform: Option<Platform>,
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

/// A manifest (`config` and `layers`) or an index of manifests (`manifests`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    pub schema_version: u32,
    pub manifests: Option<Vec<Descriptor>>,
    pub config: Option<Descriptor>,
    pub layers: Vec<Descriptor>,
}

/// One image of a `docker save` archive.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct DockerImage {
    pub config: String,
    pub repo_tags: Option<Vec<String>>,
    pub layers: Vec<String>,
}

/// An image's configuration, in the common form of OCI and Docker.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConfigDocument {
    pub os: String,
    pub architecture: String,
    pub config: Option<RunConfig>,
    pub rootfs: RootfsDocument,
}

/// The layers of an image, by the digests of their plain tar streams.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootfsDocument {
    pub diff_ids: Vec<String>,
}

/// How to run an image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RunConfig {
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub working_dir: String,
    pub user: String,
    pub stop_signal: Option<String>,
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    pub labels: Option<BTreeMap<String, String>>,
}

impl ConfigDocument {
    /// What of it the node uses.
    pub fn image_config(&self) -> ImageConfig {
        let run = self.config.clone().unwrap_or_default();
        let split = |entry: String| match entry.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (entry, String::new()),
        };
        ImageConfig {
            entrypoint: run.entrypoint.unwrap_or_default(),
            cmd: run.cmd.unwrap_or_default(),
            env: run.env.unwrap_or_default().into_iter().map(split).collect(),
            working_dir: run.working_dir,
            user: run.user,
            stop_signal: run.stop_signal.filter(|s| !s.is_empty()),
            exposed_ports: run.exposed_ports.unwrap_or_default().into_keys().collect(),
            labels: run.labels.unwrap_or_default(),
        }
    }

    /// The platform it says; empty fields say nothing.
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant: None }
    }
}

impl Platform {
    /// Whether an image of this platform runs here. Empty fields fit.
    pub fn runs_here(&self) -> bool {
        (self.os.is_empty() || self.os == "linux")
            && (self.architecture.is_empty() || self.architecture == architecture())
    }

    /// `os/architecture`.
    pub fn text(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }
}

/// This machine's architecture in the words of images.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    }
}
