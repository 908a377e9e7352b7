//! The canonical form of a pod and its status: one table, taken from the published Go types.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, HostIP, LinuxContainerUser, NodeAllocatableResourceClaimStatus, Pod, PodCondition, PodIP,
    PodResourceClaimStatus, PodStatus, ResourceHealth, ResourceStatus, VolumeMountStatus,
};

use crate::api::kinds::canonical::{canonical, canonical_as_is};

canonical_as_is!(HostIP, PodIP, PodResourceClaimStatus,);

canonical! {
    ContainerState {
        keep: running, terminated, waiting;
    }
    ContainerStateRunning {
        keep: started_at;
    }
    ContainerStateTerminated {
        drop: container_id, message, reason, signal;
        keep: finished_at, started_at;
    }
    ContainerStateWaiting {
        drop: message, reason;
    }
    ContainerStatus {
        drop: allocated_resources, allocated_resources_status, container_id, volume_mounts;
        keep: resources, user;
        fill: last_state, state;
    }
    ContainerUser {
        keep: linux;
    }
    LinuxContainerUser {
        drop: supplemental_groups;
    }
    NodeAllocatableResourceClaimStatus {
        drop: containers;
    }
    Pod {
        fill: spec, status;
    }
    PodCondition {
        drop: message, observed_generation, reason;
        keep: last_probe_time, last_transition_time;
    }
    PodStatus {
        drop: allocated_resources, conditions, container_statuses, ephemeral_container_statuses,
              host_ip, host_ips, init_container_statuses, message,
              node_allocatable_resource_claim_statuses, nominated_node_name, observed_generation, phase,
              pod_ip, pod_ips, qos_class, reason, resize, resource_claim_statuses;
        keep: resources, start_time;
    }
    ResourceHealth {
        drop: health;
    }
    ResourceStatus {
        drop: resources;
    }
    VolumeMountStatus {
        drop: read_only;
    }
}
