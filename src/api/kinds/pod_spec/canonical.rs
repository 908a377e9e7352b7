//! The canonical form of a pod's specification and template: one table, taken from the published Go types.
//!
//! Invariant: a field is listed exactly when its form can differ from what its JSON decodes to, or from what
//! Kubernetes would serve.

use k8s_openapi::api::core::v1::{
    AWSElasticBlockStoreVolumeSource, Affinity, AzureFileVolumeSource, CSIVolumeSource, Capabilities,
    CephFSVolumeSource, CinderVolumeSource, ClusterTrustBundleProjection, ConfigMapProjection,
    ConfigMapVolumeSource, Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule,
    ContainerRestartRuleOnExitCodes, DownwardAPIProjection, DownwardAPIVolumeFile, DownwardAPIVolumeSource,
    EmptyDirVolumeSource, EnvFromSource, EnvVar, EnvVarSource, EphemeralContainer, EphemeralVolumeSource,
    ExecAction, FCVolumeSource, FlexVolumeSource, FlockerVolumeSource, GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource, GlusterfsVolumeSource, HTTPGetAction, HTTPHeader, HostAlias, ISCSIVolumeSource,
    ImageVolumeSource, KeyToPath, Lifecycle, LifecycleHandler, LocalObjectReference, NFSVolumeSource,
    NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectFieldSelector,
    PersistentVolumeClaimSpec, PersistentVolumeClaimTemplate, PersistentVolumeClaimVolumeSource,
    PhotonPersistentDiskVolumeSource, PodAffinity, PodAffinityTerm, PodAntiAffinity,
    PodCertificateProjection, PodDNSConfig, PodDNSConfigOption, PodReadinessGate, PodResourceClaim,
    PodSchedulingGate, PodSecurityContext, PodSpec, PodTemplateSpec, PortworxVolumeSource,
    PreferredSchedulingTerm, Probe, ProjectedVolumeSource, QuobyteVolumeSource, RBDVolumeSource,
    ResourceClaim, ResourceFieldSelector, ResourceRequirements, SELinuxOptions, ScaleIOVolumeSource,
    SecretProjection, SecretVolumeSource, SecurityContext, ServiceAccountTokenProjection,
    StorageOSVolumeSource, Sysctl, TCPSocketAction, Toleration, TopologySpreadConstraint, Volume,
    VolumeDevice, VolumeMount, VolumeProjection, VolumeResourceRequirements, VsphereVirtualDiskVolumeSource,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::kinds::canonical::{canonical, canonical_as_is};

canonical_as_is!(
    ContainerResizePolicy,
    HTTPHeader,
    KeyToPath,
    LocalObjectReference,
    PodReadinessGate,
    PodResourceClaim,
    PodSchedulingGate,
    Sysctl,
    VolumeDevice,
);

canonical! {
    AWSElasticBlockStoreVolumeSource {
        drop: fs_type, partition, read_only;
    }
    Affinity {
        keep: node_affinity, pod_affinity, pod_anti_affinity;
    }
    AzureFileVolumeSource {
        drop: read_only;
    }
    CSIVolumeSource {
        drop: volume_attributes;
    }
    Capabilities {
        drop: add, drop;
    }
    CephFSVolumeSource {
        drop: path, read_only, secret_file, user;
    }
    CinderVolumeSource {
        drop: fs_type, read_only;
    }
    ClusterTrustBundleProjection {
        keep: label_selector;
    }
    ConfigMapProjection {
        drop: items;
    }
    ConfigMapVolumeSource {
        drop: items;
    }
    Container {
        drop: args, command, env, env_from, image, image_pull_policy, ports, resize_policy,
              restart_policy_rules, stdin, stdin_once, termination_message_path,
              termination_message_policy, tty, volume_devices, volume_mounts, working_dir;
        keep: lifecycle, liveness_probe, readiness_probe, security_context, startup_probe;
        fill: resources;
    }
    ContainerPort {
        drop: host_ip, host_port, name, protocol;
    }
    ContainerRestartRule {
        keep: exit_codes;
    }
    ContainerRestartRuleOnExitCodes {
        drop: values;
    }
    DownwardAPIProjection {
        drop: items;
    }
    DownwardAPIVolumeFile {
        keep: field_ref, resource_field_ref;
    }
    DownwardAPIVolumeSource {
        drop: items;
    }
    EmptyDirVolumeSource {
        drop: medium;
        keep: size_limit;
    }
    EnvFromSource {
        drop: prefix;
    }
    EnvVar {
        drop: value;
        keep: value_from;
    }
    EnvVarSource {
        keep: field_ref, resource_field_ref;
    }
    EphemeralContainer {
        drop: args, command, env, env_from, image, image_pull_policy, ports, resize_policy,
              restart_policy_rules, stdin, stdin_once, target_container_name, termination_message_path,
              termination_message_policy, tty, volume_devices, volume_mounts, working_dir;
        keep: lifecycle, liveness_probe, readiness_probe, security_context, startup_probe;
        fill: resources;
    }
    EphemeralVolumeSource {
        keep: volume_claim_template;
    }
    ExecAction {
        drop: command;
    }
    FCVolumeSource {
        drop: fs_type, read_only, target_wwns, wwids;
    }
    FlexVolumeSource {
        drop: fs_type, options, read_only;
    }
    FlockerVolumeSource {
        drop: dataset_name, dataset_uuid;
    }
    GCEPersistentDiskVolumeSource {
        drop: fs_type, partition, read_only;
    }
    GitRepoVolumeSource {
        drop: directory, revision;
    }
    GlusterfsVolumeSource {
        drop: read_only;
    }
    HTTPGetAction {
        drop: host, http_headers, path, scheme;
    }
    HostAlias {
        drop: hostnames;
    }
    ISCSIVolumeSource {
        drop: chap_auth_discovery, chap_auth_session, fs_type, iscsi_interface, portals, read_only;
    }
    ImageVolumeSource {
        drop: pull_policy, reference;
    }
    LabelSelector {
        drop: match_expressions, match_labels;
    }
    LabelSelectorRequirement {
        drop: values;
    }
    Lifecycle {
        keep: post_start, pre_stop;
    }
    LifecycleHandler {
        keep: exec, http_get, tcp_socket;
    }
    NFSVolumeSource {
        drop: read_only;
    }
    NodeAffinity {
        drop: preferred_during_scheduling_ignored_during_execution;
        keep: required_during_scheduling_ignored_during_execution;
    }
    NodeSelector {
        deep: node_selector_terms;
    }
    NodeSelectorRequirement {
        drop: values;
    }
    NodeSelectorTerm {
        drop: match_expressions, match_fields;
    }
    ObjectFieldSelector {
        drop: api_version;
    }
    PersistentVolumeClaimSpec {
        drop: access_modes, volume_name;
        keep: selector;
        fill: resources;
    }
    PersistentVolumeClaimTemplate {
        fill: metadata;
        deep: spec;
    }
    PersistentVolumeClaimVolumeSource {
        drop: read_only;
    }
    PhotonPersistentDiskVolumeSource {
        drop: fs_type;
    }
    PodAffinity {
        drop: preferred_during_scheduling_ignored_during_execution,
              required_during_scheduling_ignored_during_execution;
    }
    PodAffinityTerm {
        drop: match_label_keys, mismatch_label_keys, namespaces;
        keep: label_selector, namespace_selector;
    }
    PodAntiAffinity {
        drop: preferred_during_scheduling_ignored_during_execution,
              required_during_scheduling_ignored_during_execution;
    }
    PodCertificateProjection {
        drop: certificate_chain_path, credential_bundle_path, key_path, user_annotations;
    }
    PodDNSConfig {
        drop: nameservers, options, searches;
    }
    PodDNSConfigOption {
        drop: name;
    }
    PodSecurityContext {
        drop: supplemental_groups, sysctls;
        keep: se_linux_options;
    }
    PodSpec {
        drop: dns_policy, ephemeral_containers, host_aliases, host_ipc, host_network, host_pid,
              hostname, image_pull_secrets, init_containers, node_name, node_selector, overhead,
              priority_class_name, readiness_gates, resource_claims, restart_policy, scheduler_name,
              scheduling_gates, service_account, service_account_name, subdomain, tolerations,
              topology_spread_constraints, volumes;
        keep: affinity, dns_config, resources, security_context;
        deep: containers;
    }
    PodTemplateSpec {
        fill: metadata, spec;
    }
    PortworxVolumeSource {
        drop: fs_type, read_only;
    }
    PreferredSchedulingTerm {
        deep: preference;
    }
    Probe {
        drop: failure_threshold, initial_delay_seconds, period_seconds, success_threshold,
              timeout_seconds;
        keep: exec, http_get, tcp_socket;
    }
    ProjectedVolumeSource {
        drop: sources;
    }
    QuobyteVolumeSource {
        drop: group, read_only, tenant, user;
    }
    RBDVolumeSource {
        drop: fs_type, keyring, pool, read_only, user;
    }
    ResourceClaim {
        drop: request;
    }
    ResourceFieldSelector {
        drop: container_name;
        fill: divisor;
    }
    ResourceRequirements {
        drop: claims, limits, requests;
    }
    SELinuxOptions {
        drop: level, role, type_, user;
    }
    ScaleIOVolumeSource {
        drop: fs_type, protection_domain, read_only, ssl_enabled, storage_mode, storage_pool,
              volume_name;
    }
    SecretProjection {
        drop: items;
    }
    SecretVolumeSource {
        drop: items, secret_name;
    }
    SecurityContext {
        keep: capabilities, se_linux_options;
    }
    ServiceAccountTokenProjection {
        drop: audience;
    }
    StorageOSVolumeSource {
        drop: fs_type, read_only, volume_name, volume_namespace;
    }
    TCPSocketAction {
        drop: host;
    }
    Toleration {
        drop: effect, key, operator, value;
    }
    TopologySpreadConstraint {
        drop: match_label_keys;
        keep: label_selector;
    }
    Volume {
        keep: aws_elastic_block_store, azure_file, cephfs, cinder, config_map, csi, downward_api,
              empty_dir, ephemeral, fc, flex_volume, flocker, gce_persistent_disk, git_repo, glusterfs,
              image, iscsi, nfs, persistent_volume_claim, photon_persistent_disk, portworx_volume,
              projected, quobyte, rbd, scale_io, secret, storageos, vsphere_volume;
    }
    VolumeMount {
        drop: read_only, sub_path, sub_path_expr;
    }
    VolumeProjection {
        keep: cluster_trust_bundle, config_map, downward_api, pod_certificate, secret,
              service_account_token;
    }
    VolumeResourceRequirements {
        drop: limits, requests;
    }
    VsphereVirtualDiskVolumeSource {
        drop: fs_type, storage_policy_id, storage_policy_name;
    }
    WeightedPodAffinityTerm {
        deep: pod_affinity_term;
    }
}
