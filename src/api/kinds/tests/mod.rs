//! Tables of what Kubernetes answers: defaults, refusals, changes, printed lines. What is expected comes from
//! upstream's code and tests.

mod admission;
mod autoscalers;
mod budgets;
mod certificates;
mod classes;
mod convert;
mod event_versions;
mod flow;
mod jobs;
mod networking;
mod pod_changes;
mod pod_rows;
mod pods;
mod rbac;
mod round_trip;
mod services;
mod sets;
mod small;
mod storage;
mod tables;
mod volumes;
mod workloads;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::error::FieldErrors;
use crate::api::meta::{canonicalise_meta, validate_meta};
use crate::api::object::Kind;

/// Reads an object from YAML.
pub(super) fn read<K: Kind>(yaml: &str) -> K {
    serde_yaml::from_str(yaml).unwrap_or_else(|wrong| panic!("{wrong} in\n{yaml}"))
}

/// An object as the door has it when it begins to validate a creation.
pub(super) fn created<K: Kind>(yaml: &str) -> K {
    let mut object: K = read(yaml);
    object.prepare_create();
    object.set_defaults();
    canonicalise_meta(object.metadata_mut());
    object.canonicalise();
    object
}

fn lines(errors: FieldErrors) -> String {
    errors.into_list().iter().map(|error| format!("{error}\n")).collect()
}

/// Holds the object, created, against its whole YAML.
#[track_caller]
pub(super) fn check_defaults<K: Kind>(yaml: &str, expected: &str) {
    let object: K = created(yaml);
    let found = serde_json::to_value(&object).unwrap();
    let wanted: Value = serde_yaml::from_str(expected).unwrap();
    let print = |value: &Value| serde_yaml::to_string(value).unwrap();
    let mut wanted = wanted;
    for field in ["apiVersion", "kind"] {
        wanted[field] = found[field].clone();
    }
    assert_eq!(print(&found), print(&wanted));
    let mut again = object.clone();
    again.set_defaults();
    again.canonicalise();
    assert_eq!(again, object, "not idempotent");
}

/// Holds what is wrong with the object, created, against lines.
#[track_caller]
pub(super) fn check<K: Kind>(yaml: &str, expected: &str) {
    let object: K = created(yaml);
    let mut errors = FieldErrors::default();
    validate_meta(object.metadata(), K::SCOPE, &K::validate_name, &mut errors);
    object.validate(&mut errors);
    object.validate_create(&mut errors);
    assert_eq!(lines(errors), expected, "{yaml}");
}

/// Holds what is wrong with a change, and whether it moves the generation, against lines.
#[track_caller]
pub(super) fn check_update<K: Kind>(old: &str, new: &str, moves: bool, expected: &str) {
    let old: K = created(old);
    let mut object: K = read(new);
    object.set_defaults();
    object.prepare_update(&old);
    canonicalise_meta(object.metadata_mut());
    object.canonicalise();
    let mut errors = FieldErrors::default();
    object.validate_update(&old, &mut errors);
    assert_eq!(lines(errors), expected, "{new}");
    assert_eq!(object.moves_generation(&old), moves, "moves the generation: {new}");
}

/// Holds what is wrong with a write of the status against lines.
#[track_caller]
pub(super) fn check_status<K: Kind>(old: &str, new: &str, expected: &str) {
    let mut old: K = read(old);
    old.set_defaults();
    old.canonicalise();
    let mut object: K = read(new);
    object.set_defaults();
    object.prepare_status(&old);
    object.canonicalise();
    let mut errors = FieldErrors::default();
    object.validate_status(&old, &mut errors);
    assert_eq!(lines(errors), expected, "{new}");
}

/// The time at which tables are printed.
pub(super) fn noon() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

/// Holds the printed line, its cells parted by `|`, against text.
#[track_caller]
pub(super) fn check_row<K: Kind>(yaml: &str, expected: &str) {
    let object: K = read(yaml);
    let row = object.row(noon());
    assert_eq!(row.len(), K::COLUMNS.len(), "a cell for each column");
    assert_eq!(row.join(" | "), expected, "{yaml}");
}

/// Holds the index terms against text, and their names against those declared.
#[track_caller]
pub(super) fn check_terms<K: Kind>(yaml: &str, expected: &str) {
    let object: K = read(yaml);
    let mut terms = crate::api::Terms::default();
    object.terms(&mut terms);
    let declared = |name| K::TERMS.contains(name) || K::SELECTABLE_FIELDS.contains(name);
    assert!(terms.list.iter().all(|(name, _)| declared(name)), "an undeclared term");
    let found: String = terms.list.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_kind_is_registered_under_its_names() {
    let registry = super::builtin();
    let names = registry.iter().map(|(_, strategy)| {
        let info = strategy.info();
        format!("{} {} {} {}\n", info.api_version, info.kind, info.plural, info.has_generation)
    });
    assert_eq!(
        names.collect::<String>(),
        "v1 Namespace namespaces false\n\
         v1 Node nodes false\n\
         v1 Pod pods true\n\
         v1 Service services false\n\
         discovery.k8s.io/v1 EndpointSlice endpointslices true\n\
         v1 ConfigMap configmaps false\n\
         v1 Secret secrets false\n\
         v1 ServiceAccount serviceaccounts false\n\
         v1 Event events false\n\
         coordination.k8s.io/v1 Lease leases false\n\
         apps/v1 ReplicaSet replicasets true\n\
         apps/v1 Deployment deployments true\n\
         apps/v1 StatefulSet statefulsets true\n\
         apps/v1 DaemonSet daemonsets true\n\
         apps/v1 ControllerRevision controllerrevisions false\n\
         v1 ReplicationController replicationcontrollers true\n\
         v1 PodTemplate podtemplates true\n\
         v1 Endpoints endpoints false\n\
         batch/v1 Job jobs true\n\
         batch/v1 CronJob cronjobs true\n\
         autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers false\n\
         policy/v1 PodDisruptionBudget poddisruptionbudgets true\n\
         networking.k8s.io/v1 NetworkPolicy networkpolicies true\n\
         networking.k8s.io/v1 Ingress ingresses true\n\
         networking.k8s.io/v1 IngressClass ingressclasses true\n\
         networking.k8s.io/v1 IPAddress ipaddresses false\n\
         networking.k8s.io/v1 ServiceCIDR servicecidrs false\n\
         rbac.authorization.k8s.io/v1 Role roles false\n\
         rbac.authorization.k8s.io/v1 RoleBinding rolebindings false\n\
         rbac.authorization.k8s.io/v1 ClusterRole clusterroles false\n\
         rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings false\n\
         scheduling.k8s.io/v1 PriorityClass priorityclasses true\n\
         node.k8s.io/v1 RuntimeClass runtimeclasses false\n\
         admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations true\n\
         admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations true\n\
         admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy validatingadmissionpolicies true\n\
         admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings true\n\
         admissionregistration.k8s.io/v1 MutatingAdmissionPolicy mutatingadmissionpolicies true\n\
         admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding mutatingadmissionpolicybindings true\n\
         v1 PersistentVolume persistentvolumes false\n\
         v1 PersistentVolumeClaim persistentvolumeclaims false\n\
         v1 ResourceQuota resourcequotas false\n\
         v1 LimitRange limitranges false\n\
         storage.k8s.io/v1 StorageClass storageclasses false\n\
         storage.k8s.io/v1 VolumeAttachment volumeattachments false\n\
         storage.k8s.io/v1 CSIDriver csidrivers false\n\
         storage.k8s.io/v1 CSINode csinodes false\n\
         storage.k8s.io/v1 CSIStorageCapacity csistoragecapacities false\n\
         storage.k8s.io/v1 VolumeAttributesClass volumeattributesclasses false\n\
         flowcontrol.apiserver.k8s.io/v1 FlowSchema flowschemas true\n\
         flowcontrol.apiserver.k8s.io/v1 PriorityLevelConfiguration prioritylevelconfigurations true\n\
         certificates.k8s.io/v1 CertificateSigningRequest certificatesigningrequests false\n\
         apiregistration.k8s.io/v1 APIService apiservices false\n\
         apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions true\n"
    );
}

#[test]
fn short_names_and_categories() {
    let registry = super::builtin();
    let named = registry
        .iter()
        .map(|(_, strategy)| strategy.info().clone())
        .filter(|info| !info.short_names.is_empty() || !info.categories.is_empty());
    let found: Vec<String> = named
        .map(|info| format!("{} {} {}", info.plural, info.short_names.join(","), info.categories.join(",")))
        .collect();
    let expected = "namespaces ns |nodes no |pods po all|services svc all|configmaps cm |serviceaccounts sa |events ev |\
                    replicasets rs all|deployments deploy all|statefulsets sts all|daemonsets ds all|\
                    replicationcontrollers rc all|endpoints ep |jobs  all|cronjobs cj all|\
                    horizontalpodautoscalers hpa all|poddisruptionbudgets pdb |networkpolicies netpol |\
                    ingresses ing |ipaddresses ip |priorityclasses pc |\
                    validatingwebhookconfigurations  api-extensions|mutatingwebhookconfigurations  api-extensions|validatingadmissionpolicies  api-extensions|validatingadmissionpolicybindings  api-extensions|\
                    mutatingadmissionpolicies  api-extensions|mutatingadmissionpolicybindings  api-extensions|persistentvolumes pv |\
                    persistentvolumeclaims pvc |resourcequotas quota |limitranges limits |storageclasses sc |\
                    volumeattributesclasses vac |certificatesigningrequests csr |\
                    apiservices  api-extensions|customresourcedefinitions crd,crds api-extensions";
    assert_eq!(found.join("|"), expected);
}
