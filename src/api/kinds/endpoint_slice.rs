//! EndpointSlice: a part of the addresses behind a Service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};

use super::age::since;
use super::canonical::{Canonical, canonical, canonical_as_is};
use super::fields::{
    list, text, validate_dns_label, validate_endpoint_ip, validate_old_ip, validate_protocol,
};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::{IMMUTABLE, validate_labels};
use crate::api::names::{
    check_name, is_dns1123_label, is_dns1123_subdomain, is_ip, is_label_value, is_qualified_name,
    parse_ip_sloppy,
};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};
use crate::limits::{
    ENDPOINT_HINTS, ENDPOINT_TOPOLOGY_LABELS, SLICE_ADDRESSES, SLICE_ENDPOINTS, SLICE_PORTS,
};

const SERVICE_TERM: TermName = "label:kubernetes.io/service-name";
const POD_TERM: TermName = "endpoint.pod";
const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
/// How many ports and addresses a printed row shows.
const SHOWN: usize = 3;

impl Kind for EndpointSlice {
    const SCOPE: Scope = Scope::Namespaced;
    const HAS_STATUS: bool = false;
    const TERMS: &'static [TermName] = &[SERVICE_TERM, POD_TERM];
    const COLUMNS: &'static [Column] = &[
        Column { name: "AddressType", wide: false },
        Column { name: "Ports", wide: false },
        Column { name: "Endpoints", wide: false },
        Column { name: "Age", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        for port in self.ports.iter_mut().flatten() {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
    }

    fn prepare_create(&mut self) {
        // The old topology is only kept where it was stored before.
        for endpoint in self.endpoints.iter_mut().flatten() {
            endpoint.deprecated_topology = None;
        }
    }

    fn prepare_update(&mut self, old: &Self) {
        if self.endpoints != old.endpoints {
            self.prepare_create();
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("addressType");
        match self.address_type.as_str() {
            "" => errors.required(&path, ""),
            other if !ADDRESS_TYPES.contains(&other) => errors.not_supported(&path, other, &ADDRESS_TYPES),
            _ => {}
        }
        validate_ports(list(&self.ports), &FieldPath::new("ports"), errors);
        let path = FieldPath::new("endpoints");
        let endpoints = list(&self.endpoints);
        if endpoints.len() > SLICE_ENDPOINTS {
            errors.too_many(&path, endpoints.len(), SLICE_ENDPOINTS);
            return;
        }
        for (at, endpoint) in endpoints.iter().enumerate() {
            validate_endpoint(endpoint, &self.address_type, &path.index(at), errors);
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if self.address_type != old.address_type {
            errors.invalid(&FieldPath::new("addressType"), self.address_type.as_str(), IMMUTABLE);
        }
    }

    fn moves_generation(&self, old: &Self) -> bool {
        self.endpoints != old.endpoints
            || self.ports != old.ports
            || self.address_type != old.address_type
            || self.metadata.labels != old.metadata.labels
    }

    fn terms(&self, terms: &mut Terms) {
        let labels = self.metadata.labels.as_ref();
        if let Some(service) = labels.and_then(|labels| labels.get("kubernetes.io/service-name")) {
            terms.add(SERVICE_TERM, service.as_str());
        }
        for endpoint in list(&self.endpoints) {
            if let Some(uid) = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()) {
                terms.add(POD_TERM, uid);
            }
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let port = |port: &EndpointPort| match port.port {
            Some(number) => number.to_string(),
            None => port.name.clone().unwrap_or_else(|| "*".to_owned()),
        };
        let addresses = || list(&self.endpoints).iter().flat_map(|endpoint| &endpoint.addresses);
        vec![
            self.address_type.clone(),
            some_of(list(&self.ports).iter().map(port)),
            some_of(addresses().cloned()),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

/// The first of the list, and how many more there are.
fn some_of(mut texts: impl Iterator<Item = String>) -> String {
    let shown: Vec<String> = texts.by_ref().take(SHOWN).collect();
    let more = texts.count();
    if shown.is_empty() {
        return "<unset>".to_owned();
    }
    let shown = shown.join(",");
    if more == 0 { shown } else { format!("{shown} + {more} more...") }
}

fn validate_ports(ports: &[EndpointPort], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if ports.len() > SLICE_PORTS {
        errors.too_many(path, ports.len(), SLICE_PORTS);
        return;
    }
    let mut names = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = path.index(at);
        let name = text(&port.name);
        if !name.is_empty() {
            validate_dns_label(name, &path.child("name"), errors);
        }
        if !names.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        validate_protocol(text(&port.protocol), &path.child("protocol"), errors);
        if let Some(protocol) = &port.app_protocol {
            errors.invalid_each(&path.child("appProtocol"), protocol, is_qualified_name(protocol));
        }
    }
}

fn validate_endpoint(endpoint: &Endpoint, kind: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let addresses = path.child("addresses");
    if endpoint.addresses.is_empty() {
        errors.required(&addresses, "must contain at least 1 address");
    } else if endpoint.addresses.len() > SLICE_ADDRESSES {
        errors.too_many(&addresses, endpoint.addresses.len(), SLICE_ADDRESSES);
    }
    for (at, address) in endpoint.addresses.iter().enumerate() {
        validate_address(address, kind, &addresses, at, errors);
    }
    if let Some(node) = &endpoint.node_name {
        let wrong = check_name(is_dns1123_subdomain, node, false);
        errors.invalid_each(&path.child("nodeName"), node, wrong);
    }
    let topology = path.child("deprecatedTopology");
    let labels = endpoint.deprecated_topology.as_ref();
    if let Some(labels) = labels.filter(|labels| labels.len() > ENDPOINT_TOPOLOGY_LABELS) {
        errors.too_many(&topology, labels.len(), ENDPOINT_TOPOLOGY_LABELS);
    }
    validate_labels(labels, &topology, errors);
    if let Some(hostname) = &endpoint.hostname {
        errors.invalid_each(&path.child("hostname"), hostname, is_dns1123_label(hostname));
    }
    if let Some(hints) = &endpoint.hints {
        validate_hints(hints, &path.child("hints"), errors);
    }
}

fn validate_address(address: &str, kind: &str, list: &FieldPath<'_>, at: usize, errors: &mut FieldErrors) {
    let path = list.index(at);
    let is_v4 = parse_ip_sloppy(address).is_some_and(|address| address.is_ipv4());
    match kind {
        "IPv4" if validate_old_ip(address, &[], &path, errors) => {
            if !is_v4 {
                errors.invalid(list, address, "must be an IPv4 address");
            }
            validate_endpoint_ip(address, &path, errors);
        }
        "IPv6" => {
            let wrong = is_ip(address);
            if wrong.is_empty() {
                if is_v4 {
                    errors.invalid(list, address, "must be an IPv6 address");
                }
                validate_endpoint_ip(address, &path, errors);
            }
            errors.invalid_each(&path, address, wrong);
        }
        "FQDN" => validate_domain_name(address, &path, errors),
        _ => {}
    }
}

/// A fully qualified domain name, with or without its last dot.
fn validate_domain_name(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let wrong = is_dns1123_subdomain(name);
    if !wrong.is_empty() {
        errors.invalid(path, name, wrong.join(","));
    } else if !name.contains('.') {
        errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
    } else {
        let labels = name.split('.').map(|label| (label, is_dns1123_label(label)));
        if let Some((label, wrong)) = labels.into_iter().find(|(_, wrong)| !wrong.is_empty()) {
            errors.invalid(path, label, wrong.join(","));
        }
    }
}

fn validate_hints(hints: &EndpointHints, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let zones: Vec<&str> = list(&hints.for_zones).iter().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<&str> = list(&hints.for_nodes).iter().map(|node| node.name.as_str()).collect();
    for (field, names, rule) in [
        ("forZones", zones, is_label_value as fn(&str) -> Vec<String>),
        ("forNodes", nodes, is_dns1123_subdomain),
    ] {
        let path = path.child(field);
        if names.len() > ENDPOINT_HINTS {
            errors.too_many(&path, names.len(), ENDPOINT_HINTS);
            return;
        }
        for (at, name) in names.iter().enumerate() {
            let path = path.index(at);
            if names[..at].contains(name) {
                errors.duplicate(&path.child("name"), *name);
            }
            errors.invalid_each(&path.child("name"), name, rule(name));
        }
    }
}

canonical_as_is!(EndpointConditions, EndpointPort, ForNode, ForZone);

canonical! {
    Endpoint {
        drop: deprecated_topology;
        keep: hints, target_ref;
        fill: conditions;
    }
    EndpointHints {
        drop: for_nodes, for_zones;
    }
    EndpointSlice {
        drop: endpoints, ports;
    }
    ObjectReference {
        drop: api_version, field_path, kind, name, namespace, resource_version, uid;
    }
}
