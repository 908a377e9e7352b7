//! The way into a cluster for programs: typed and dynamic, synchronous, cheap to clone.
//!
//! [`Client`] stands for the cluster, [`Api`] for one kind in one place. Here it is a function call into the
//! door; a remote one comes behind the same types. Owns waiting, informers and what a manifest means when it
//! is applied.
//!
//! # Example
//!
//! ```no_run
//! use std::time::Duration;
//! use coracle::client::{Api, Client, conditions};
//! use coracle::k8s_openapi::api::core::v1::Pod;
//!
//! # fn example(client: Client) -> Result<(), coracle::client::Error> {
//! client.apply_manifest(include_str!("../../examples/manifests/web.yaml"))?;
//! let pods: Api<Pod> = client.namespaced("shop");
//! pods.wait("app=web", conditions::ready(3), Duration::from_secs(10))?;
//! # Ok(())
//! # }
//! ```

mod api;
pub mod conditions;
mod dynamic;
mod informer;
mod manifest;
mod printing;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use api::{Api, Event, List, Watch};
pub use conditions::Condition;
pub use dynamic::{DynamicApi, DynamicList};
pub use informer::Informer;
pub use manifest::{Applied, Outcome};
pub use printing::table;

pub use crate::apiserver::{
    DeleteOptions, ListParams, Patch, Propagation, RevisionMatch, WatchFrom, WatchParams, WriteOptions,
};

use crate::api::manifest::ManifestError;
use crate::api::selector::SelectorError;
use crate::api::{Kind, StatusError};
use crate::apiserver::{Server, WatchError};

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The door refused.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An object of a manifest was refused.
    #[error("document {document}, line {line}: {cause}")]
    Refused {
        /// The document, counted from 1.
        document: usize,
        /// The line of the field that is wrong, or of the object.
        line: usize,
        /// The door's answer.
        cause: StatusError,
    },
    /// The selector is none.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// A watch lost its place.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// What was waited for did not come about in time.
    #[error("timed out after {after:?} waiting for {what}; {state}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How things stood at the end.
        state: String,
        /// How long was waited.
        after: Duration,
    },
}

impl Error {
    /// The door's answer, if that is what it is.
    pub fn status(&self) -> Option<&StatusError> {
        match self {
            Error::Status(status) | Error::Refused { cause: status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the object was not there.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(StatusError::is_not_found)
    }

    /// Whether the object had changed.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(StatusError::is_conflict)
    }
}

/// A cluster, as its users see it.
#[derive(Clone)]
pub struct Client {
    server: Arc<Server>,
    manager: Arc<str>,
}

impl Client {
    /// A client that calls a door in this process.
    pub fn local(server: Arc<Server>) -> Client {
        Client { server, manager: Arc::from("coracle") }
    }

    /// The same under another name, by which its writes are known.
    pub fn named(&self, manager: &str) -> Client {
        Client { server: self.server.clone(), manager: Arc::from(manager) }
    }

    /// The objects of a kind in a namespace.
    pub fn namespaced<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::new(self.clone(), Some(namespace))
    }

    /// The objects of a kind in the whole cluster. Objects in namespaces can be listed and watched so, and written
    /// where their metadata names the namespace.
    pub fn all<K: Kind>(&self) -> Api<K> {
        Api::new(self.clone(), None)
    }

    /// The objects of a kind that is known at run time only.
    ///
    /// Errors: 404 where the cluster has no such kind.
    pub fn dynamic(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<DynamicApi, Error> {
        DynamicApi::new(self.clone(), api_version, kind, namespace)
    }

    /// Applies a manifest: each object is created, or changed so that it says what the manifest says. What an
    /// earlier manifest said and this one does not is taken away; what others wrote stays.
    ///
    /// Objects are applied in the order of the manifest; the first that is refused ends it.
    ///
    /// Errors: with document, line and field for a manifest that cannot be read or an object that is refused.
    pub fn apply_manifest(&self, text: &str) -> Result<Vec<Applied>, Error> {
        manifest::apply(self, text)
    }

    /// Deletes the objects that a manifest names, in the reverse order. Those that are gone already are fine.
    pub fn delete_manifest(&self, text: &str) -> Result<(), Error> {
        manifest::delete(self, text)
    }

    /// The door behind it.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(crate) fn write_options(&self) -> WriteOptions {
        WriteOptions { field_manager: self.manager.to_string(), ..WriteOptions::default() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}
