//! Service: one address before many pods.
//!
//! Owns its rules; the addresses and node ports themselves are given out by the door, after `prepare_create`
//! and before validation.

mod row;
mod update;
mod validate;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ClientIPConfig, LoadBalancerIngress, LoadBalancerStatus, PortStatus, Service, ServicePort, ServiceSpec,
    ServiceStatus, SessionAffinityConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::canonical::{Canonical, canonical, canonical_as_is};
use super::fields::{list, text};
use crate::api::error::FieldErrors;
use crate::api::names::{check_name, is_dns1123_label};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};

/// How long a client stays with its endpoint where nothing is said: three hours.
const AFFINITY_SECONDS: i32 = 10_800;

impl Kind for Service {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["svc"];
    const CATEGORIES: &'static [&'static str] = &["all"];
    const HAS_STATUS: bool = true;
    const TERMS: &'static [TermName] = &["spec.clusterIP"];
    const SELECTABLE_FIELDS: &'static [TermName] = &["spec.clusterIP", "spec.type"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Type", wide: false },
        Column { name: "Cluster-IP", wide: false },
        Column { name: "External-IP", wide: false },
        Column { name: "Port(s)", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "Selector", wide: true },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_label, name, prefix)
    }

    fn set_defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        default_spec(spec);
        if text(&spec.type_) != "LoadBalancer" {
            return;
        }
        let balancer = self.status.as_mut().and_then(|status| status.load_balancer.as_mut());
        for ingress in balancer.into_iter().flat_map(|balancer| balancer.ingress.iter_mut().flatten()) {
            if !text(&ingress.ip).is_empty() {
                ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
            }
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(ServiceStatus::default());
        let spec = self.spec.get_or_insert_default();
        if !text(&spec.cluster_ip).is_empty() && list(&spec.cluster_ips).is_empty() {
            spec.cluster_ips = spec.cluster_ip.clone().map(|address| vec![address]);
        }
    }

    fn prepare_update(&mut self, old: &Self) {
        self.status.clone_from(&old.status);
        if let (Some(new), Some(before)) = (&mut self.spec, &old.spec) {
            update::take_over(new, before);
            update::drop_for_type(new, before);
            if text(&new.type_) != "LoadBalancer" {
                self.status.get_or_insert_default().load_balancer = None;
            }
        }
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate::validate(self, errors);
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if let (Some(new), Some(old)) = (&self.spec, &old.spec) {
            update::validate_change(new, old, errors);
        }
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        validate::validate_status(self, old, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        let (address, kind) =
            self.spec.as_ref().map_or(("", ""), |spec| (text(&spec.cluster_ip), text(&spec.type_)));
        terms.add("spec.clusterIP", address);
        terms.add("spec.type", kind);
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        row::row(self, now)
    }
}

fn default_spec(spec: &mut ServiceSpec) {
    let or = |field: &mut Option<String>, word: &str| {
        if text(field).is_empty() {
            *field = Some(word.to_owned());
        }
    };
    or(&mut spec.session_affinity, "None");
    or(&mut spec.type_, "ClusterIP");
    match text(&spec.session_affinity) {
        "None" => spec.session_affinity_config = None,
        "ClientIP" => {
            let config = spec.session_affinity_config.take();
            let client = config.and_then(|config| config.client_ip);
            let seconds = client.and_then(|client| client.timeout_seconds).unwrap_or(AFFINITY_SECONDS);
            let client_ip = Some(ClientIPConfig { timeout_seconds: Some(seconds) });
            spec.session_affinity_config = Some(SessionAffinityConfig { client_ip });
        }
        _ => {}
    }
    for port in spec.ports.iter_mut().flatten() {
        or(&mut port.protocol, "TCP");
        let unset = match &port.target_port {
            None | Some(IntOrString::Int(0)) => true,
            Some(IntOrString::String(name)) => name.is_empty(),
            Some(IntOrString::Int(_)) => false,
        };
        if unset {
            port.target_port = Some(IntOrString::Int(port.port));
        }
    }
    if is_reachable_from_outside(spec) {
        or(&mut spec.external_traffic_policy, "Cluster");
    }
    if matches!(text(&spec.type_), "ClusterIP" | "NodePort" | "LoadBalancer") {
        spec.internal_traffic_policy.get_or_insert_with(|| "Cluster".to_owned());
    }
    if text(&spec.type_) == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
    }
}

/// Whether clients outside the cluster reach it through nodes.
fn is_reachable_from_outside(spec: &ServiceSpec) -> bool {
    match text(&spec.type_) {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !list(&spec.external_ips).is_empty(),
        _ => false,
    }
}

/// Whether a load balancer asks its nodes if they have an endpoint.
fn needs_health_check(spec: &ServiceSpec) -> bool {
    text(&spec.type_) == "LoadBalancer" && text(&spec.external_traffic_policy) == "Local"
}

/// Whether it wants no address of its own.
fn is_headless(spec: &ServiceSpec) -> bool {
    matches!(list(&spec.cluster_ips), [address] if address == "None")
}

canonical_as_is!(PortStatus,);

canonical! {
    Condition {
        drop: observed_generation;
        deep: last_transition_time;
    }
    LoadBalancerIngress {
        drop: hostname, ip, ports;
    }
    LoadBalancerStatus {
        drop: ingress;
    }
    Service {
        fill: spec, status;
    }
    ServicePort {
        drop: name, node_port, protocol;
        fill: target_port;
    }
    ServiceSpec {
        drop: cluster_ip, cluster_ips, external_ips, external_name, external_traffic_policy,
              health_check_node_port, ip_families, load_balancer_ip, load_balancer_source_ranges, ports,
              publish_not_ready_addresses, selector, session_affinity, type_;
    }
    ServiceStatus {
        drop: conditions;
        fill: load_balancer;
    }
}
