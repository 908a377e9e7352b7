//! The door, told as scripts (requests and the answers that Kubernetes gives) and as properties.

mod admission;
mod custom;
mod ownership;
mod properties;
mod script;

use std::sync::Arc;

use super::{Admission, Server, ServerConfig, ServiceRange};
use crate::api::kinds;
use crate::reconcile::simulation::StillClock;
use crate::store::Memory;
use crate::world::{SeededEntropy, World};

/// A door over an empty store, with a clock that stands still. It gives Services 14 addresses.
pub(crate) fn door(admission: Vec<Arc<dyn Admission>>) -> (Arc<Server>, Arc<StillClock>) {
    let clock = Arc::new(StillClock::at("2026-05-01T12:00:00.5Z".parse().unwrap()));
    let world = World { clock: clock.clone(), entropy: Arc::new(SeededEntropy::from_seed(1)) };
    let server = Server::open(ServerConfig {
        registry: Arc::new(kinds::builtin()),
        backend: Arc::new(Memory::new()),
        world,
        admission,
        services: ServiceRange { addresses: "10.0.0.0/28".parse().unwrap() },
    });
    (server, clock)
}

/// Creates an object from YAML.
pub(crate) fn create(
    server: &Server,
    yaml: &str,
) -> Result<Arc<crate::store::Record>, crate::api::StatusError> {
    let value: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
    let named = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let kind = server.registry().find(&named("apiVersion"), &named("kind")).unwrap();
    let object = server.registry().strategy(kind).decode_value(value).unwrap();
    server.create(kind, object, &super::WriteOptions::default())
}
