//! A Service as one printed line.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

use crate::api::kinds::age::since;
use crate::api::kinds::fields::{list, text};
use crate::api::kinds::workload::labels_text;

pub(super) fn row(service: &Service, now: Timestamp) -> Vec<String> {
    let none = || "<none>".to_owned();
    let spec = service.spec.clone().unwrap_or_default();
    let ports: Vec<String> = list(&spec.ports).iter().map(port_text).collect();
    vec![
        text(&spec.type_).to_owned(),
        list(&spec.cluster_ips).first().cloned().unwrap_or_else(none),
        external_addresses(service, &spec),
        if ports.is_empty() { none() } else { ports.join(",") },
        since(service.metadata.creation_timestamp.as_ref(), now),
        labels_text(spec.selector.as_ref()),
    ]
}

fn port_text(port: &ServicePort) -> String {
    let protocol = text(&port.protocol);
    match port.node_port {
        Some(node_port) if node_port > 0 => format!("{}:{node_port}/{protocol}", port.port),
        _ => format!("{}/{protocol}", port.port),
    }
}

fn external_addresses(service: &Service, spec: &ServiceSpec) -> String {
    let mut addresses = list(&spec.external_ips).to_vec();
    match text(&spec.type_) {
        "ClusterIP" | "NodePort" if addresses.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => addresses.join(","),
        "LoadBalancer" => {
            let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
            let ingress = balancer.into_iter().flat_map(|balancer| list(&balancer.ingress));
            let found = ingress.filter_map(|ingress| match (text(&ingress.ip), text(&ingress.hostname)) {
                ("", "") => None,
                ("", name) => Some(name.to_owned()),
                (address, _) => Some(address.to_owned()),
            });
            let mut all: Vec<String> = found.collect::<BTreeSet<_>>().into_iter().collect();
            all.append(&mut addresses);
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        "ExternalName" => text(&spec.external_name).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}
