//! The built-in kinds, one file each: defaults, validation, what an update may change, when the generation
//! moves, index terms, printer columns. Adding a kind is adding one file and one line here.

mod admission;
mod age;
mod api_service;
mod autoscaler;
mod canonical;
mod certificates;
mod conditions;
mod config_map;
mod controller_revision;
mod cron_job;
pub(crate) mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod disruption_budget;
mod endpoint_slice;
mod endpoints;
mod event;
pub mod event_versions;
mod fields;
mod flow;
mod ingress;
mod ingress_class;
mod ip_address;
mod job;
mod lease;
mod limit_range;
mod namespace;
mod network_policy;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_spec;
mod pod_template;
mod priority_class;
mod rbac;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod resources;
mod rules;
mod runtime_class;
mod secret;
mod service;
mod service_account;
mod service_cidr;
mod shares;
mod stateful_set;
mod storage;
mod unchanged;
pub(crate) mod versions;
mod webhook_client;
mod workload;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

pub(crate) use self::age::human_duration;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

pub use self::autoscaler::{ConvertError, convert as convert_autoscaler};
pub use self::certificates::{prepare_approval, validate_approval};
pub use self::flow::{mandatory_flow_schemas, mandatory_priority_levels};
pub use self::namespace::prepare_namespace_finalize;
pub(crate) use self::pod_spec::qos_class;
pub use self::priority_class::system_priority_classes;
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
        .with::<Role>()
        .with::<RoleBinding>()
        .with::<ClusterRole>()
        .with::<ClusterRoleBinding>()
        .with::<PriorityClass>()
        .with::<RuntimeClass>()
        .with::<ValidatingWebhookConfiguration>()
        .with::<MutatingWebhookConfiguration>()
        .with::<ValidatingAdmissionPolicy>()
        .with::<ValidatingAdmissionPolicyBinding>()
        .with::<MutatingAdmissionPolicy>()
        .with::<MutatingAdmissionPolicyBinding>()
        .with::<PersistentVolume>()
        .with::<PersistentVolumeClaim>()
        .with::<ResourceQuota>()
        .with::<LimitRange>()
        .with::<StorageClass>()
        .with::<VolumeAttachment>()
        .with::<CSIDriver>()
        .with::<CSINode>()
        .with::<CSIStorageCapacity>()
        .with::<VolumeAttributesClass>()
        .with::<FlowSchema>()
        .with::<PriorityLevelConfiguration>()
        .with::<CertificateSigningRequest>()
        .with::<APIService>()
        .with::<CustomResourceDefinition>()
}
