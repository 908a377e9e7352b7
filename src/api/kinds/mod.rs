//! The built-in kinds, one file each: defaults, validation, what an update may change, when the generation
//! moves, index terms, printer columns. Adding a kind is adding one file and one line here.

mod pending;
use super::registry::Registry;

/// A registry with every built-in kind.
pub fn builtin() -> Registry {
    use k8s_openapi::api::{apps::v1::*, coordination::v1::*, core::v1::*, discovery::v1::*};
    Registry::empty()
        .with::<Namespace>()
        .with::<Node>()
        .with::<Pod>()
        .with::<Service>()
        .with::<EndpointSlice>()
        .with::<ConfigMap>()
        .with::<Secret>()
        .with::<ServiceAccount>()
        .with::<Event>()
        .with::<Lease>()
        .with::<ReplicaSet>()
        .with::<Deployment>()
}
