//! NetworkPolicy: who may speak to the selected pods, and to whom they may speak.

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::age::since;
use super::canonical::{canonical, canonical_as_is};
use super::fields::{
    list, masked, parse_cidr_sloppy, validate_choice, validate_label_selector, validate_old_cidr,
    validate_port, validate_port_or_name,
};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain};
use super::workload::selector_text;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::object::{Column, Kind, Scope};

const DIRECTIONS: [&str; 2] = ["Ingress", "Egress"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

impl Kind for NetworkPolicy {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["netpol"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[Column::shown("Pod-Selector"), Column::shown("Age")];

    named_as_subdomain!();
    generation_of_spec!();
    canonical_by_table!();

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        let ingress = spec.ingress.iter_mut().flatten().map(|rule| &mut rule.ports);
        let egress = spec.egress.iter_mut().flatten().map(|rule| &mut rule.ports);
        for port in ingress.chain(egress).flat_map(|ports| ports.iter_mut().flatten()) {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        if list(&spec.policy_types).is_empty() {
            let directions = if list(&spec.egress).is_empty() { &DIRECTIONS[..1] } else { &DIRECTIONS[..] };
            spec.policy_types = Some(directions.iter().map(|&direction| direction.to_owned()).collect());
        }
    }

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        if let Some(selector) = &spec.pod_selector {
            validate_label_selector(selector, &path.child("podSelector"), errors);
        }
        for (at, rule) in list(&spec.ingress).iter().enumerate() {
            let path = path.child("ingress");
            validate_rule(list(&rule.ports), ("from", list(&rule.from)), &path.index(at), errors);
        }
        for (at, rule) in list(&spec.egress).iter().enumerate() {
            let path = path.child("egress");
            validate_rule(list(&rule.ports), ("to", list(&rule.to)), &path.index(at), errors);
        }
        let (types, path) = (list(&spec.policy_types), path.child("policyTypes"));
        if types.len() > DIRECTIONS.len() {
            errors.invalid(&path, json!(types), "may not specify more than two policyTypes");
            return;
        }
        for (at, direction) in types.iter().enumerate() {
            if !DIRECTIONS.contains(&direction.as_str()) {
                errors.not_supported(&path.index(at), direction.as_str(), &DIRECTIONS);
            }
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = Default::default();
        let selector = self.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
        vec![
            selector_text(Some(selector.unwrap_or(&none))),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

/// One rule of either direction; `peers` are its list's name and entries.
fn validate_rule(
    ports: &[NetworkPolicyPort],
    (field, peers): (&str, &[NetworkPolicyPeer]),
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let ports_path = path.child("ports");
    for (at, port) in ports.iter().enumerate() {
        validate_policy_port(port, &ports_path.index(at), errors);
    }
    let peers_path = path.child(field);
    for (at, peer) in peers.iter().enumerate() {
        validate_peer(peer, &peers_path.index(at), errors);
    }
}

fn validate_policy_port(port: &NetworkPolicyPort, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_choice(&port.protocol, &PROTOCOLS, &path.child("protocol"), errors);
    let end_path = path.child("endPort");
    match (&port.port, port.end_port) {
        (None, None) => {}
        (None, Some(end)) => {
            errors.invalid(&end_path, end, "may not be specified when `port` is not specified");
        }
        (Some(first), end) => {
            let number = matches!(first, IntOrString::Int(_));
            if let (IntOrString::String(_), Some(end)) = (first, end) {
                errors.invalid(&end_path, end, "may not be specified when `port` is non-numeric");
            }
            validate_port_or_name(first, &path.child("port"), errors);
            if let (IntOrString::Int(first), Some(end), true) = (first, end, number) {
                if end < *first {
                    errors.invalid(&end_path, *first, "must be greater than or equal to `port`");
                }
                validate_port(end, &end_path, errors);
            }
        }
    }
}

fn validate_peer(peer: &NetworkPolicyPeer, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let selectors = [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)];
    let mut selected = false;
    for (field, selector) in selectors {
        if let Some(selector) = selector {
            selected = true;
            validate_label_selector(selector, &path.child(field), errors);
        }
    }
    if let Some(block) = &peer.ip_block {
        validate_block(block, &path.child("ipBlock"), errors);
    }
    match (selected, &peer.ip_block) {
        (false, None) => errors.required(path, "must specify a peer"),
        (true, Some(_)) => errors.forbidden(path, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

/// A range of addresses, and smaller ones inside it that are left out.
fn validate_block(block: &IPBlock, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if block.cidr.is_empty() {
        errors.required(&path.child("cidr"), "");
        return;
    }
    validate_old_cidr(&block.cidr, &[], &path.child("cidr"), errors);
    let Some((whole, bits)) = parse_cidr_sloppy(&block.cidr) else { return };
    for (at, except) in list(&block.except).iter().enumerate() {
        let path = path.child("except");
        let path = path.index(at);
        validate_old_cidr(except, &[], &path, errors);
        let Some((part, part_bits)) = parse_cidr_sloppy(except) else { continue };
        let first = masked(part, part_bits);
        let inside = whole.is_ipv4() == first.is_ipv4()
            && masked(first, bits) == masked(whole, bits)
            && part_bits > bits;
        if !inside {
            errors.invalid(&path, except.as_str(), "must be a strict subset of `cidr`");
        }
    }
}

canonical_as_is!(NetworkPolicyPort,);

canonical! {
    IPBlock {
        drop: except;
    }
    NetworkPolicy {
        fill: spec;
    }
    NetworkPolicyEgressRule {
        drop: ports, to;
    }
    NetworkPolicyIngressRule {
        drop: from, ports;
    }
    NetworkPolicyPeer {
        keep: ip_block, namespace_selector, pod_selector;
    }
    NetworkPolicySpec {
        drop: egress, ingress, policy_types;
        fill: pod_selector;
    }
}
