//! The canonical form of persistent volumes: one table, taken from the published Go types. What is shared with the
//! volumes of pods stands there.

use k8s_openapi::api::core::v1::{
    AzureFilePersistentVolumeSource, CSIPersistentVolumeSource, CephFSPersistentVolumeSource,
    CinderPersistentVolumeSource, FlexPersistentVolumeSource, GlusterfsPersistentVolumeSource,
    ISCSIPersistentVolumeSource, PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus,
    RBDPersistentVolumeSource, ScaleIOPersistentVolumeSource, SecretReference,
    StorageOSPersistentVolumeSource, VolumeNodeAffinity,
};

use crate::api::kinds::canonical::canonical;

canonical! {
    AzureFilePersistentVolumeSource {
        drop: read_only;
    }
    CSIPersistentVolumeSource {
        drop: fs_type, read_only, volume_attributes;
        keep: controller_expand_secret_ref, controller_publish_secret_ref, node_expand_secret_ref, node_publish_secret_ref, node_stage_secret_ref;
    }
    CephFSPersistentVolumeSource {
        drop: path, read_only, secret_file, user;
        keep: secret_ref;
    }
    CinderPersistentVolumeSource {
        drop: fs_type, read_only;
        keep: secret_ref;
    }
    FlexPersistentVolumeSource {
        drop: fs_type, options, read_only;
        keep: secret_ref;
    }
    GlusterfsPersistentVolumeSource {
        drop: read_only;
    }
    ISCSIPersistentVolumeSource {
        drop: chap_auth_discovery, chap_auth_session, fs_type, iscsi_interface, portals, read_only;
        keep: secret_ref;
    }
    PersistentVolume {
        fill: spec, status;
    }
    PersistentVolumeSpec {
        drop: access_modes, capacity, mount_options, persistent_volume_reclaim_policy, storage_class_name;
        keep: aws_elastic_block_store, azure_file, cephfs, cinder, claim_ref, csi, fc, flex_volume, flocker, gce_persistent_disk, glusterfs, iscsi, nfs, node_affinity, photon_persistent_disk, portworx_volume, quobyte, rbd, scale_io, storageos, vsphere_volume;
    }
    PersistentVolumeStatus {
        drop: message, phase, reason;
        keep: last_phase_transition_time;
    }
    RBDPersistentVolumeSource {
        drop: fs_type, keyring, pool, read_only, user;
        keep: secret_ref;
    }
    ScaleIOPersistentVolumeSource {
        drop: fs_type, protection_domain, read_only, ssl_enabled, storage_mode, storage_pool, volume_name;
        deep: secret_ref;
    }
    SecretReference {
        drop: name, namespace;
    }
    StorageOSPersistentVolumeSource {
        drop: fs_type, read_only, volume_name, volume_namespace;
        keep: secret_ref;
    }
    VolumeNodeAffinity {
        keep: required;
    }
}
