//! Bare kinds until their files are merged.
use crate::api::*;
use k8s_openapi::api::{apps::v1::*, coordination::v1::*, core::v1::*, discovery::v1::*};
macro_rules! bare { ($($k:ty, $s:expr, $st:expr, $grace:expr;)*) => { $(impl Kind for $k {
    const SCOPE: Scope = $s; const HAS_STATUS: bool = $st; const GRACEFUL_DELETION: bool = $grace;
    fn validate_name(_: &str, _: bool) -> Vec<String> { Vec::new() }
    fn moves_generation(&self, _: &Self) -> bool { true }
})* } }
bare! { Namespace, Scope::Cluster, true, false; Node, Scope::Cluster, true, false; Pod, Scope::Namespaced, true, true;
Service, Scope::Namespaced, true, false; EndpointSlice, Scope::Namespaced, false, false; ConfigMap, Scope::Namespaced, false, false;
Secret, Scope::Namespaced, false, false; ServiceAccount, Scope::Namespaced, false, false; Event, Scope::Namespaced, false, false;
Lease, Scope::Namespaced, false, false; ReplicaSet, Scope::Namespaced, true, false; Deployment, Scope::Namespaced, true, false; }
