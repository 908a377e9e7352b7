//! What may be wrong with a Service.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use serde_json::json;

use super::{is_headless, is_reachable_from_outside, needs_health_check};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{
    is_dual_stack, list, text, validate_choice, validate_dns_label, validate_endpoint_ip, validate_old_cidr,
    validate_old_ip, validate_port, validate_port_or_name, validate_protocol, validate_required_choice,
};
use crate::api::meta::validate_labels;
use crate::api::names::{is_dns1123_subdomain, is_qualified_name, parse_ip_sloppy};

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const AFFINITIES: [&str; 2] = ["ClientIP", "None"];
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const FAMILY_POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const TRAFFIC_POLICIES: [&str; 2] = ["Cluster", "Local"];
const DISTRIBUTIONS: [&str; 3] = ["PreferClose", "PreferSameZone", "PreferSameNode"];
/// A day: the longest that a client may be held to its endpoint.
const MAX_AFFINITY_SECONDS: i32 = 86_400;
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";

/// Collects what is wrong with the Service.
pub(super) fn validate(service: &Service, errors: &mut FieldErrors) {
    let Some(spec) = &service.spec else { return };
    validate_topology_annotations(service, errors);
    let path = FieldPath::new("spec");
    let kind = text(&spec.type_);
    if list(&spec.ports).is_empty() && !is_headless(spec) && kind != "ExternalName" {
        errors.required(&path.child("ports"), "");
    }
    validate_by_type(spec, kind, &path, errors);
    validate_ports(spec, &path.child("ports"), errors);
    validate_labels(spec.selector.as_ref(), &path.child("selector"), errors);
    validate_affinity(spec, &path, errors);
    if kind != "ExternalName" {
        validate_addresses(spec, &path, errors);
    }
    for (at, address) in list(&spec.external_ips).iter().enumerate() {
        let path = path.child("externalIPs");
        if validate_old_ip(address, &[], &path.index(at), errors) {
            validate_endpoint_ip(address, &path.index(at), errors);
        }
    }
    validate_required_choice(&spec.type_, &TYPES, &path.child("type"), errors);
    validate_port_uses(spec, kind, &path.child("ports"), errors);
    validate_balancer(service, spec, &path, errors);
    validate_traffic(spec, &path, errors);
}

fn validate_topology_annotations(service: &Service, errors: &mut FieldErrors) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    let get = |key: &str| service.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    if let (Some(mode), Some(hints)) = (get(MODE), get(HINTS))
        && mode != hints
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        let path = FieldPath::new("metadata");
        errors.invalid(&path.child("annotations").key(MODE), mode.as_str(), detail);
    }
}

fn validate_by_type(spec: &ServiceSpec, kind: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match kind {
        "LoadBalancer" | "NodePort" if is_headless(spec) => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.invalid(&path.child("clusterIPs").index(0), "None", detail);
        }
        "ExternalName" => {
            let set = [
                ("clusterIPs", !list(&spec.cluster_ips).is_empty()),
                ("ipFamilies", !list(&spec.ip_families).is_empty()),
                ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
            ];
            for (field, _) in set.into_iter().filter(|(_, set)| *set) {
                errors.forbidden(&path.child(field), "may not be set for ExternalName services");
            }
            let name = text(&spec.external_name);
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                errors.required(&path.child("externalName"), "");
            } else {
                errors.invalid_each(&path.child("externalName"), name, is_dns1123_subdomain(name));
            }
        }
        _ => {}
    }
}

fn validate_ports(spec: &ServiceSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let ports = list(&spec.ports);
    let mut names = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = path.index(at);
        match text(&port.name) {
            "" if ports.len() > 1 => errors.required(&path.child("name"), ""),
            "" => {}
            name => {
                validate_dns_label(name, &path.child("name"), errors);
                if !names.insert(name) {
                    errors.duplicate(&path.child("name"), name);
                }
            }
        }
        validate_port(port.port, &path.child("port"), errors);
        validate_protocol(text(&port.protocol), &path.child("protocol"), errors);
        if let Some(target) = &port.target_port {
            validate_port_or_name(target, &path.child("targetPort"), errors);
        }
        if let Some(protocol) = &port.app_protocol {
            errors.invalid_each(&path.child("appProtocol"), protocol, is_qualified_name(protocol));
        }
    }
}

/// Ports that are used twice, or not at all by this type.
fn validate_port_uses(spec: &ServiceSpec, kind: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let ports = || list(&spec.ports).iter().enumerate();
    let node_port = |port: &ServicePort| port.node_port.filter(|port| *port != 0);
    if kind == "ClusterIP" {
        for (at, _) in ports().filter(|(_, port)| node_port(port).is_some()) {
            let detail = "may not be used when `type` is 'ClusterIP'";
            errors.forbidden(&path.index(at).child("nodePort"), detail);
        }
    }
    let mut seen = BTreeSet::new();
    for (at, port) in ports() {
        if let Some(number) = node_port(port)
            && !seen.insert((text(&port.protocol), number))
        {
            errors.duplicate(&path.index(at).child("nodePort"), number);
        }
    }
    let mut seen = BTreeSet::new();
    for (at, port) in ports() {
        if !seen.insert((text(&port.protocol), port.port)) {
            let value = json!({
                "Name": "", "Protocol": port.protocol, "AppProtocol": null, "Port": port.port,
                "TargetPort": 0, "NodePort": 0,
            });
            errors.duplicate(&path.index(at), value);
        }
    }
}

fn validate_affinity(spec: &ServiceSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_required_choice(&spec.session_affinity, &AFFINITIES, &path.child("sessionAffinity"), errors);
    let path = path.child("sessionAffinityConfig");
    match (text(&spec.session_affinity), &spec.session_affinity_config) {
        ("ClientIP", config) => {
            const WHEN: &str = "when session affinity type is ClientIP";
            let client = config.as_ref().map(|config| config.client_ip.as_ref());
            match client.map(|client| client.map(|client| client.timeout_seconds)) {
                None => errors.required(&path, WHEN),
                Some(None) => errors.required(&path.child("clientIP"), WHEN),
                Some(Some(None)) => {
                    errors.required(&path.child("clientIP").child("timeoutSeconds"), WHEN);
                }
                Some(Some(Some(seconds))) if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {MAX_AFFINITY_SECONDS}");
                    errors.invalid(&path.child("clientIP").child("timeoutSeconds"), seconds, detail);
                }
                Some(Some(Some(_))) => {}
            }
        }
        ("None", Some(_)) => {
            errors.forbidden(&path, "must not be set when session affinity is None");
        }
        _ => {}
    }
}

fn validate_addresses(spec: &ServiceSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let addresses = list(&spec.cluster_ips);
    let plural = path.child("clusterIPs");
    match (text(&spec.cluster_ip), addresses.first()) {
        ("", Some(_)) => {
            errors.invalid(&plural, json!(addresses), "must be empty when `clusterIP` is not specified");
        }
        (single, None) if !single.is_empty() => errors.required(&plural, ""),
        (single, Some(first)) if first != single => {
            errors.invalid(&plural, json!(addresses), "first value must match `clusterIP`");
        }
        _ => {}
    }
    let families = list(&spec.ip_families);
    for (at, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies");
        if !FAMILIES.contains(&family.as_str()) {
            errors.not_supported(&path.index(at), family.as_str(), &FAMILIES);
        }
        if families[..at].contains(family) {
            errors.duplicate(&path.index(at), family.as_str());
        }
    }
    validate_choice(&spec.ip_family_policy, &FAMILY_POLICIES, &path.child("ipFamilyPolicy"), errors);
    let mut valid = true;
    for (at, address) in addresses.iter().enumerate() {
        if at == 0 && address == "None" {
            if addresses.len() > 1 {
                valid = false;
                errors.invalid(&plural, json!(addresses), "'None' must be the first and only value");
            }
            continue;
        }
        valid &= validate_old_ip(address, &[], &plural.index(at), errors);
    }
    if addresses.len() > 2 {
        errors.invalid(&plural, json!(addresses), "may only hold up to 2 values");
    }
    if valid {
        validate_families(spec, &plural, errors);
    }
}

fn validate_families(spec: &ServiceSpec, plural: &FieldPath<'_>, errors: &mut FieldErrors) {
    let addresses = list(&spec.cluster_ips);
    if addresses.len() > 1 && !is_dual_stack(addresses.iter().map(String::as_str)) {
        let detail = "may specify no more than one IP for each IP family";
        errors.invalid(plural, json!(addresses), detail);
    }
    if is_headless(spec) {
        return;
    }
    for (at, (address, family)) in addresses.iter().zip(list(&spec.ip_families)).enumerate() {
        let is_v6 = parse_ip_sloppy(address).is_some_and(|address| address.is_ipv6());
        if (family == "IPv4" && is_v6) || (family == "IPv6" && !is_v6) {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
            errors.invalid(&plural.index(at), address.as_str(), detail);
        }
    }
}

fn validate_balancer(service: &Service, spec: &ServiceSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let is_balancer = text(&spec.type_) == "LoadBalancer";
    let annotation =
        service.metadata.annotations.as_ref().and_then(|annotations| annotations.get(SOURCE_RANGES));
    let ranges = list(&spec.load_balancer_source_ranges);
    if !ranges.is_empty() {
        let path = path.child("LoadBalancerSourceRanges");
        if !is_balancer {
            errors.forbidden(&path, ONLY_BALANCERS);
        }
        for (at, range) in ranges.iter().enumerate() {
            validate_old_cidr(range.trim(), &[], &path.index(at), errors);
        }
    } else if let Some(ranges) = annotation {
        let meta = FieldPath::new("metadata");
        let annotations = meta.child("annotations");
        let path = annotations.key(SOURCE_RANGES);
        if !is_balancer {
            errors.forbidden(&path, ONLY_BALANCERS);
        }
        if !ranges.trim().is_empty() {
            for range in ranges.trim().split(',') {
                validate_old_cidr(range.trim(), &[], &path, errors);
            }
        }
    }
    if spec.allocate_load_balancer_node_ports.is_some() && !is_balancer {
        errors.forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY_BALANCERS);
    }
    if spec.allocate_load_balancer_node_ports.is_none() && is_balancer {
        errors.required(&FieldPath::new("allocateLoadBalancerNodePorts"), "");
    }
    match &spec.load_balancer_class {
        Some(class) if is_balancer => {
            errors.invalid_each(&path.child("loadBalancerClass"), class, is_qualified_name(class));
        }
        Some(_) => errors.forbidden(&path.child("loadBalancerClass"), ONLY_BALANCERS),
        None => {}
    }
}

fn validate_traffic(spec: &ServiceSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let external = path.child("externalTrafficPolicy");
    if is_reachable_from_outside(spec) {
        validate_required_choice(&spec.external_traffic_policy, &TRAFFIC_POLICIES, &external, errors);
    } else if let Some(policy) = &spec.external_traffic_policy {
        let detail = "may only be set for externally-accessible services";
        errors.invalid(&external, policy.as_str(), detail);
    }
    let health = path.child("healthCheckNodePort");
    match (needs_health_check(spec), spec.health_check_node_port.unwrap_or(0)) {
        (true, 0) => errors.required(&health, ""),
        (true, port) => validate_port(port, &health, errors),
        (false, 0) => {}
        (false, port) => {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&health, port, detail);
        }
    }
    let internal = path.child("internalTrafficPolicy");
    let inside = matches!(text(&spec.type_), "ClusterIP" | "NodePort" | "LoadBalancer");
    if spec.internal_traffic_policy.is_none() && inside {
        errors.required(&internal, "");
    }
    validate_choice(&spec.internal_traffic_policy, &TRAFFIC_POLICIES, &internal, errors);
    validate_choice(&spec.traffic_distribution, &DISTRIBUTIONS, &path.child("trafficDistribution"), errors);
}

/// Collects what is wrong with a write of the status.
pub(super) fn validate_status(service: &Service, old: &Service, errors: &mut FieldErrors) {
    let ingress = |service: &Service| {
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.clone());
        balancer.and_then(|balancer| balancer.ingress).unwrap_or_default()
    };
    let path = FieldPath::new("status");
    let path = path.child("loadBalancer");
    let path = path.child("ingress");
    let (now, before) = (ingress(service), ingress(old));
    if service.spec.as_ref().is_none_or(|spec| text(&spec.type_) != "LoadBalancer") {
        if !now.is_empty() {
            errors.forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'");
        }
        return;
    }
    let before: Vec<String> = before.into_iter().filter_map(|ingress| ingress.ip).collect();
    for (at, ingress) in now.iter().enumerate() {
        let path = path.index(at);
        let address = text(&ingress.ip);
        if !address.is_empty() {
            validate_old_ip(address, &before, &path.child("ip"), errors);
        }
        match &ingress.ip_mode {
            None if address.is_empty() => {}
            None => errors.required(&path.child("ipMode"), "must be specified when `ip` is set"),
            Some(_) if address.is_empty() => {
                errors.forbidden(&path.child("ipMode"), "may not be specified when `ip` is not set");
            }
            mode => validate_choice(mode, &["Proxy", "VIP"], &path.child("ipMode"), errors),
        }
        let name = text(&ingress.hostname);
        if !name.is_empty() {
            let path = path.child("hostname");
            errors.invalid_each(&path, name, is_dns1123_subdomain(name));
            if parse_ip_sloppy(name).is_some() {
                errors.invalid(&path, name, "must be a DNS name, not an IP address");
            }
        }
    }
}
