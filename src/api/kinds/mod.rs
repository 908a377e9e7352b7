//! The built-in kinds, one file each: defaults, validation, what an update may change, when the generation
//! moves, index terms, printer columns. Adding a kind is adding one file and one line here.

mod admission;
mod age;
mod api_service;
mod canonical;
mod certificates;
mod conditions;
mod config_map;
mod deployment;
mod endpoint_slice;
mod event;
pub mod event_versions;
mod fields;
mod flow;
mod lease;
mod limit_range;
mod namespace;
mod node;
pub mod part;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_spec;
mod priority_class;
mod rbac;
mod replica_set;
mod resource_quota;
mod resources;
mod runtime_class;
mod secret;
mod service;
mod service_account;
mod storage;
mod unchanged;
mod webhook_client;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

pub use self::certificates::{prepare_approval, validate_approval};
pub use self::flow::{mandatory_flow_schemas, mandatory_priority_levels};
pub use self::namespace::prepare_namespace_finalize;
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
}
