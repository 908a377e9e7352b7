//! The built-in kinds, one file each: defaults, validation, what an update may change, when the generation
//! moves, index terms, printer columns. Adding a kind is adding one file and one line here.

mod age;
mod autoscaler;
mod canonical;
mod claims;
mod conditions;
mod config_map;
mod controller_revision;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption_budget;
mod endpoint_slice;
mod endpoints;
mod event;
mod fields;
mod ingress;
mod ingress_class;
mod ip_address;
mod job;
mod lease;
mod namespace;
mod network_policy;
mod node;
mod pod;
mod pod_spec;
mod pod_template;
mod replica_set;
mod replication_controller;
mod resources;
mod rules;
mod secret;
mod service;
mod service_account;
mod service_cidr;
mod shares;
mod stateful_set;
pub(crate) mod versions;
mod workload;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, Namespace, Node, Pod, PodTemplate, ReplicationController, Secret, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

pub use self::autoscaler::{ConvertError, convert as convert_autoscaler};
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
        .with::<StatefulSet>()
        .with::<DaemonSet>()
        .with::<ControllerRevision>()
        .with::<ReplicationController>()
        .with::<PodTemplate>()
        .with::<Endpoints>()
        .with::<Job>()
        .with::<CronJob>()
        .with::<HorizontalPodAutoscaler>()
        .with::<PodDisruptionBudget>()
        .with::<NetworkPolicy>()
        .with::<Ingress>()
        .with::<IngressClass>()
        .with::<IPAddress>()
        .with::<ServiceCIDR>()
}
