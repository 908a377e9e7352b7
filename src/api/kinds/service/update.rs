//! What a change of a Service takes over, what it drops, and what it may not do.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServiceSpec;
use serde_json::json;

use super::{is_headless, is_reachable_from_outside, needs_health_check};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text};
use crate::api::meta::IMMUTABLE;

const ONCE: &str = "may not change once set";

fn needs_address(spec: &ServiceSpec) -> bool {
    text(&spec.type_) != "ExternalName"
}

fn needs_node_port(spec: &ServiceSpec) -> bool {
    matches!(text(&spec.type_), "NodePort" | "LoadBalancer")
}

fn node_ports(spec: &ServiceSpec) -> BTreeSet<i32> {
    list(&spec.ports).iter().filter_map(|port| port.node_port).filter(|port| *port != 0).collect()
}

/// Takes over what was given out before and the client did not repeat.
pub(super) fn take_over(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_address(old) && needs_address(new) {
        if text(&new.cluster_ip).is_empty() {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if list(&new.cluster_ips).is_empty() && !list(&old.cluster_ips).is_empty() {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        take_over_node_ports(new, old);
    }
    if needs_health_check(old) && needs_health_check(new) && new.health_check_node_port.unwrap_or(0) == 0 {
        new.health_check_node_port = old.health_check_node_port;
    }
    align_addresses(new, old);
}

fn take_over_node_ports(new: &mut ServiceSpec, old: &ServiceSpec) {
    let used: BTreeSet<i32> = node_ports(old).intersection(&node_ports(new)).copied().collect();
    let by_name: BTreeMap<&str, i32> =
        list(&old.ports).iter().map(|port| (text(&port.name), port.node_port.unwrap_or(0))).collect();
    for port in new.ports.iter_mut().flatten().filter(|port| port.node_port.unwrap_or(0) == 0) {
        let before = by_name.get(text(&port.name)).copied().unwrap_or(0);
        if before != 0 && !used.contains(&before) {
            port.node_port = Some(before);
        }
    }
}

/// Lets the plural field follow where a client changed the singular one alone.
fn align_addresses(new: &mut ServiceSpec, old: &ServiceSpec) {
    if list(&new.cluster_ips).is_empty() && text(&new.cluster_ip) == text(&old.cluster_ip) {
        new.cluster_ips.clone_from(&old.cluster_ips);
    }
    let same_plural = list(&new.cluster_ips) == list(&old.cluster_ips);
    if text(&new.cluster_ip) == text(&old.cluster_ip) || !same_plural {
        return;
    }
    new.cluster_ips = match text(&new.cluster_ip) {
        "" => None,
        address => Some(vec![address.to_owned()]),
    };
}

/// Drops what the new type has no use for, as far as the client did not change it.
pub(super) fn drop_for_type(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_address(old) && !needs_address(new) {
        let same_plural = list(&new.cluster_ips) == list(&old.cluster_ips);
        if text(&new.cluster_ip) == text(&old.cluster_ip) && same_plural {
            new.cluster_ip = None;
            new.cluster_ips = None;
        }
        if list(&new.ip_families) == list(&old.ip_families) {
            new.ip_families = None;
        }
        if new.ip_family_policy == old.ip_family_policy {
            new.ip_family_policy = None;
        }
    }
    let no_new_ports = node_ports(old).is_superset(&node_ports(new));
    if needs_node_port(old) && !needs_node_port(new) && no_new_ports {
        for port in new.ports.iter_mut().flatten() {
            port.node_port = None;
        }
    }
    let same_health = new.health_check_node_port.unwrap_or(0) == old.health_check_node_port.unwrap_or(0);
    if needs_health_check(old) && !needs_health_check(new) && same_health {
        new.health_check_node_port = None;
    }
    if text(&old.type_) == "LoadBalancer" && text(&new.type_) != "LoadBalancer" {
        let before = old.allocate_load_balancer_node_ports;
        new.allocate_load_balancer_node_ports.take_if(|now| before == Some(*now));
        let before = &old.load_balancer_class;
        new.load_balancer_class.take_if(|now| before.as_ref() == Some(now));
    }
    if is_reachable_from_outside(old)
        && !is_reachable_from_outside(new)
        && text(&new.external_traffic_policy) == text(&old.external_traffic_policy)
    {
        new.external_traffic_policy = None;
    }
}

/// Collects what is wrong with the change.
pub(super) fn validate_change(new: &ServiceSpec, old: &ServiceSpec, errors: &mut FieldErrors) {
    if needs_address(new) && needs_address(old) {
        validate_addresses(new, old, errors);
        validate_families(new, old, errors);
    }
    let spec = FieldPath::new("spec");
    if text(&new.type_) == "LoadBalancer"
        && text(&old.type_) == "LoadBalancer"
        && new.load_balancer_class != old.load_balancer_class
    {
        errors.invalid(&spec.child("loadBalancerClass"), json!(new.load_balancer_class), ONCE);
    }
    let (now, before) = (new.health_check_node_port, old.health_check_node_port);
    if needs_health_check(old) && needs_health_check(new) && now.unwrap_or(0) != before.unwrap_or(0) {
        errors.forbidden(&spec.child("healthCheckNodePort"), IMMUTABLE);
    }
}

fn validate_addresses(new: &ServiceSpec, old: &ServiceSpec, errors: &mut FieldErrors) {
    if is_headless(old) && is_headless(new) {
        return;
    }
    let spec = FieldPath::new("spec");
    let path = spec.child("clusterIPs");
    let (now, before) = (list(&new.cluster_ips), list(&old.cluster_ips));
    if now.len() == before.len() {
        for (at, (_, _)) in now.iter().zip(before).enumerate().filter(|(_, (now, before))| now != before) {
            errors.invalid(&path.index(at), json!(now), ONCE);
        }
        return;
    }
    if now.is_empty() {
        errors.invalid(&path.index(0), json!(null), "primary clusterIP can not be unset");
    }
    if let (Some(first), Some(old_first)) = (now.first(), before.first())
        && first != old_first
    {
        errors.invalid(&path.index(0), json!(now), ONCE);
    }
    if before.len() > now.len() && now.len() == 1 {
        validate_single_stack(new, "clusterIP", errors);
    }
}

fn validate_families(new: &ServiceSpec, old: &ServiceSpec, errors: &mut FieldErrors) {
    if is_headless(old) || is_headless(new) {
        return;
    }
    let spec = FieldPath::new("spec");
    let path = spec.child("ipFamilies");
    let (now, before) = (list(&new.ip_families), list(&old.ip_families));
    if now.len() == before.len() {
        for _ in now.iter().zip(before).filter(|(now, before)| now != before) {
            errors.invalid(&path.index(0), json!(now), ONCE);
        }
        return;
    }
    if before.len() > now.len() && list(&new.cluster_ips).is_empty() {
        errors.invalid(&path.index(0), json!(new.ip_families), "primary ipFamily can not be unset");
    }
    if let (Some(first), Some(old_first)) = (now.first(), before.first())
        && first != old_first
    {
        errors.invalid(&path.index(0), json!(new.cluster_ips), ONCE);
    }
    if before.len() > now.len() && now.len() == 1 {
        validate_single_stack(new, "ipFamily", errors);
    }
}

fn validate_single_stack(new: &ServiceSpec, what: &str, errors: &mut FieldErrors) {
    if text(&new.ip_family_policy) != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        errors.invalid(&FieldPath::new("spec").child("ipFamilyPolicy"), json!(new.ip_family_policy), detail);
    }
}
