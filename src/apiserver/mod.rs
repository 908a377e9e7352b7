//! The one door to the store: decode, default, admit, validate, commit.
//!
//! In-process calls, controllers and requests from elsewhere pass through the same pipeline and get the same
//! defaults, admission, validation and conflicts. Owns that pipeline; the rules of a kind are the kind's, the
//! truth is the store's. Authorisation and the wire face come before it, later.
//!
//! Guarantees: a write that changes nothing makes no revision; a write is based on the object that it names, or
//! refused with a conflict; what is answered is what was stored.

mod addresses;
pub mod admission;
mod base64;
mod binding;
mod custom;
mod delete;
mod encode;
#[cfg(feature = "http")]
pub mod http;
mod ledger;
mod list;
mod options;
mod patch;
mod pod_faces;
mod watch;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::Arc;

pub use addresses::ServiceRange;
pub use admission::{Admission, Attempt, Operation};
pub use custom::MakeConverter;
pub use list::Page;
pub use options::{
    DeleteOptions, Face, FieldValidation, ListParams, Propagation, RevisionMatch, Warnings, WatchFrom,
    WatchParams, WriteOptions,
};
pub use patch::Patch;
pub use watch::{Watch, WatchError, WatchEvent};

use crate::api::{KindId, ObjectKey, Registry, StatusError, Strategy};
use crate::store::{Backend, Record, Store};
use crate::world::World;
use addresses::Addresses;
use ledger::Ledger;

/// The door. Shared by everyone in an [`Arc`].
pub struct Server {
    store: Store,
    world: World,
    admission: Vec<Arc<dyn Admission>>,
    /// Links of the host are in the chain: what they change is defaulted again.
    has_own_links: bool,
    addresses: Addresses,
    ledger: Ledger,
}

/// What a door is made of.
pub struct ServerConfig {
    /// The kinds.
    pub registry: Arc<Registry>,
    /// Where the truth is kept.
    pub backend: Arc<dyn Backend>,
    /// Time and chance.
    pub world: World,
    /// The host's own admission, after the built-in.
    pub admission: Vec<Arc<dyn Admission>>,
    /// The range from which Services get their addresses.
    pub services: ServiceRange,
}

impl Server {
    /// A door over a backend, with the backend's content.
    pub fn open(config: ServerConfig) -> Arc<Server> {
        let definitions = custom::Definitions::new(config.registry.clone(), None);
        let facts = Arc::new(encode::Facts { registry: config.registry.clone(), definitions });
        let store = Store::open(config.backend, config.registry, facts, &config.world);
        let has_own_links = !config.admission.is_empty();
        let mut admission = admission::builtin();
        admission.extend(config.admission);
        let addresses = Addresses::new(config.services);
        let ledger = Ledger::default();
        Arc::new(Server { store, world: config.world, admission, has_own_links, addresses, ledger })
    }

    /// The store, for snapshots and followers. It is written through the door alone.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The kinds.
    pub fn registry(&self) -> &Arc<Registry> {
        self.store.registry()
    }

    /// Time and chance.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Reads one object.
    pub fn get(&self, kind: KindId, key: &ObjectKey) -> Result<Arc<Record>, StatusError> {
        self.store.get(kind, key.as_str()).ok_or_else(|| self.not_found(kind, key))
    }

    /// The JSON of a stored object as it is served: with apiVersion, kind, resourceVersion and managedFields.
    pub fn value(&self, record: &Record) -> serde_json::Value {
        let strategy = self.strategy(record.header.kind);
        let value = encode::value_in(&*strategy, record, 0);
        value.unwrap_or_else(|_| encode::full_value(strategy.info(), record))
    }

    /// The same in one of the kind's versions.
    ///
    /// Errors: the conversion failed.
    pub fn value_in(&self, record: &Record, version: usize) -> Result<serde_json::Value, StatusError> {
        encode::value_in(&*self.strategy(record.header.kind), record, version)
    }

    pub(crate) fn strategy(&self, kind: KindId) -> Arc<dyn Strategy> {
        self.registry().strategy(kind)
    }

    pub(crate) fn not_found(&self, kind: KindId, key: &ObjectKey) -> StatusError {
        let strategy = self.strategy(kind);
        let info = strategy.info();
        StatusError::not_found(&info.group, &info.plural, key.name())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
