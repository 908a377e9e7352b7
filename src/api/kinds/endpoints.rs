//! Endpoints: the addresses behind a Service in one object, as they were before EndpointSlices.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};

use super::age::since;
use super::canonical::canonical;
use super::fields::{
    list, text, validate_dns_label, validate_endpoint_ip, validate_old_ip, validate_port, validate_protocol,
};
use super::pod_spec::or_word;
use super::rules::{canonical_by_table, named_as_subdomain, no_generation};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_subdomain, is_qualified_name};
use crate::api::object::{Column, Kind, Scope};

/// How many addresses a printed row shows.
const SHOWN: usize = 3;

impl Kind for Endpoints {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["ep"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[Column::shown("Endpoints"), Column::shown("Age")];

    named_as_subdomain!();
    no_generation!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        for port in self.subsets.iter_mut().flatten().flat_map(|subset| subset.ports.iter_mut().flatten()) {
            or_word(&mut port.protocol, "TCP");
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let path = FieldPath::new("subsets");
        for (at, subset) in list(&self.subsets).iter().enumerate() {
            validate_subset(subset, &path.index(at), errors);
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![endpoints_text(list(&self.subsets)), since(self.metadata.creation_timestamp.as_ref(), now)]
    }
}

/// The first addresses, with their ports, and how many more there are.
fn endpoints_text(subsets: &[EndpointSubset]) -> String {
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut all = subsets.iter().flat_map(|subset| {
        let ports = list(&subset.ports);
        let ports: Vec<Option<i32>> = match ports {
            [] => vec![None],
            ports => ports.iter().map(|port| Some(port.port)).collect(),
        };
        let addresses = list(&subset.addresses);
        ports.into_iter().flat_map(move |port| addresses.iter().map(move |address| (&address.ip, port)))
    });
    let shown = all.by_ref().take(SHOWN).map(|(address, port)| match port {
        None => address.clone(),
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
    });
    let shown = shown.collect::<Vec<_>>().join(",");
    match all.count() {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn validate_subset(subset: &EndpointSubset, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (ready, unready) = (list(&subset.addresses), list(&subset.not_ready_addresses));
    if ready.is_empty() && unready.is_empty() {
        errors.required(path, "must specify `addresses` or `notReadyAddresses`");
    }
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", unready)] {
        let path = path.child(field);
        for (at, address) in addresses.iter().enumerate() {
            validate_address(address, &path.index(at), errors);
        }
    }
    let ports = list(&subset.ports);
    for (at, port) in ports.iter().enumerate() {
        validate_endpoint_port(port, ports.len() > 1, &path.child("ports").index(at), errors);
    }
}

fn validate_address(address: &EndpointAddress, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_old_ip(&address.ip, &[], &path.child("ip"), errors);
    if !text(&address.hostname).is_empty() {
        validate_dns_label(text(&address.hostname), &path.child("hostname"), errors);
    }
    if let Some(node) = &address.node_name {
        let wrong = check_name(is_dns1123_subdomain, node, false);
        errors.invalid_each(&path.child("nodeName"), node, wrong);
    }
    validate_endpoint_ip(&address.ip, &path.child("ip"), errors);
}

fn validate_endpoint_port(port: &EndpointPort, named: bool, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match text(&port.name) {
        "" if named => errors.required(&path.child("name"), ""),
        "" => {}
        name => validate_dns_label(name, &path.child("name"), errors),
    }
    validate_port(port.port, &path.child("port"), errors);
    validate_protocol(text(&port.protocol), &path.child("protocol"), errors);
    if let Some(protocol) = &port.app_protocol {
        errors.invalid_each(&path.child("appProtocol"), protocol, is_qualified_name(protocol));
    }
}

canonical! {
    EndpointAddress {
        drop: hostname;
        keep: target_ref;
    }
    EndpointPort {
        drop: name, protocol;
    }
    EndpointSubset {
        drop: addresses, not_ready_addresses, ports;
    }
    Endpoints {
        drop: subsets;
    }
}
