//! The built-in kinds, one file each: defaults, validation, what an update may change, when the generation
//! moves, index terms, printer columns. Adding a kind is adding one file and one line here.

mod age;
mod canonical;
mod config_map;
pub(crate) mod custom_resource_definition;
mod deployment;
mod endpoint_slice;
mod event;
mod fields;
mod lease;
mod namespace;
mod node;
pub mod part;
mod pod;
mod pod_spec;
mod replica_set;
mod resources;
mod secret;
mod service;
mod service_account;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

pub(crate) use self::age::human_duration;
pub use self::namespace::prepare_namespace_finalize;
use super::registry::Registry;

#[cfg(test)]
mod tests;

/// A registry with every built-in kind.
pub fn builtin() -> Registry {
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
        .with::<CustomResourceDefinition>()
}
