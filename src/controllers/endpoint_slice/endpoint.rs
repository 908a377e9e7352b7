//! One pod as an endpoint: what is read of it, and what a slice says of it.
//!
//! Pure. Invariant: a pod that has ended or has no address is no endpoint.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::names::parse_ip_sloppy;

/// What is read of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodFacts {
    pub namespace: String,
    pub name: String,
    pub uid: Arc<str>,
    /// Whether it can be an endpoint at all.
    pub counts: bool,
    addresses: Vec<IpAddr>,
    ready: bool,
    terminating: bool,
    pub node: Option<String>,
    hostname: Option<String>,
    subdomain: Option<String>,
    /// The named ports: name, protocol, number.
    ports: Vec<(String, String, i32)>,
    /// When its readiness last changed.
    pub turned: Option<Timestamp>,
}

fn some(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

impl PodFacts {
    /// Reads a pod.
    pub fn of(pod: &Pod) -> PodFacts {
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let list = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
        let mut addresses: Vec<IpAddr> = list.iter().filter_map(|ip| parse_ip_sloppy(&ip.ip)).collect();
        if addresses.is_empty() {
            addresses.extend(status.and_then(|status| parse_ip_sloppy(status.pod_ip.as_deref()?)));
        }
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        let sidecars = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let containers = spec.into_iter().flat_map(|spec| &spec.containers).chain(sidecars);
        let ports = containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
            let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
            Some((some(&port.name)?, protocol, port.container_port))
        });
        PodFacts {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: Arc::from(pod.metadata.uid.as_deref().unwrap_or_default()),
            counts: !matches!(phase, "Succeeded" | "Failed") && !addresses.is_empty(),
            addresses,
            ready: ready.is_some_and(|condition| condition.status == "True"),
            terminating: pod.metadata.deletion_timestamp.is_some(),
            node: spec.and_then(|spec| some(&spec.node_name)),
            hostname: spec.and_then(|spec| some(&spec.hostname)),
            subdomain: spec.and_then(|spec| some(&spec.subdomain)),
            ports: ports.collect(),
            turned: ready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
        }
    }

    /// The ports of a Service as this pod has them; those that it has not are left out.
    pub fn ports(&self, service: &Service) -> Vec<EndpointPort> {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        let mut found: Vec<EndpointPort> = ports
            .iter()
            .filter_map(|port| {
                Some(EndpointPort {
                    name: Some(port.name.clone().unwrap_or_default()),
                    port: Some(self.port(port)?),
                    protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                    app_protocol: port.app_protocol.clone(),
                })
            })
            .collect();
        found.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        found
    }

    fn port(&self, port: &ServicePort) -> Option<i32> {
        match &port.target_port {
            None | Some(IntOrString::Int(0)) => Some(port.port),
            Some(IntOrString::Int(number)) => Some(*number),
            Some(IntOrString::String(wanted)) => {
                let protocol = port.protocol.as_deref().unwrap_or("TCP");
                let found = self.ports.iter().find(|(name, p, _)| name == wanted && p == protocol);
                found.map(|(.., number)| *number)
            }
        }
    }

    /// What a slice of this address type says of the pod; `None` if it has no address of it.
    pub fn endpoint(&self, service: &Service, address_type: &str, zone: Option<&str>) -> Option<Endpoint> {
        let wanted = |ip: &&IpAddr| ip.is_ipv6() == (address_type == "IPv6");
        let addresses: Vec<String> = self.addresses.iter().filter(wanted).map(ToString::to_string).collect();
        if addresses.is_empty() {
            return None;
        }
        let published = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses);
        let ready = published == Some(true) || self.ready && !self.terminating;
        Some(Endpoint {
            addresses,
            conditions: Some(EndpointConditions {
                ready: Some(ready),
                serving: Some(self.ready),
                terminating: Some(self.terminating),
            }),
            hostname: self.hostname.clone().filter(|_| self.subdomain == service.metadata.name),
            node_name: self.node.clone(),
            target_ref: Some(ObjectReference {
                kind: Some("Pod".to_owned()),
                namespace: Some(self.namespace.clone()),
                name: Some(self.name.clone()),
                uid: Some(self.uid.to_string()),
                ..ObjectReference::default()
            }),
            zone: zone.map(str::to_owned),
            ..Endpoint::default()
        })
    }
}

/// The order of ports in a slice, and what makes two lists of ports the same.
pub(super) fn sort_key(port: &EndpointPort) -> (&str, i32, &str, &str) {
    (
        port.name.as_deref().unwrap_or_default(),
        port.port.unwrap_or(0),
        port.protocol.as_deref().unwrap_or_default(),
        port.app_protocol.as_deref().unwrap_or_default(),
    )
}
