//! Whether this node can take a pod that was bound to it: labels, ports, resources, room.
//!
//! Pure. A scheduler has looked at the same before; this is for pods that were bound past it, and for two that were
//! bound at once. Reasons and sentences are upstream's.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm, Pod};

use super::config::NodeConfig;
use super::pod::Trouble;
use super::resources::{pod_request, requested_names};
use crate::api::quantity::Amount;

/// The node as its admission sees it.
pub(super) struct Room<'a> {
    /// The node's configuration.
    pub config: &'a NodeConfig,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The other pods that run on it.
    pub others: Vec<&'a Pod>,
}

fn matches_one(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = |value: &str| values.iter().any(|v| v == value);
    let compared = |less: bool| {
        let (Some(value), Some(bound)) = (value, values.first()) else { return false };
        match (value.parse::<i64>(), bound.parse::<i64>()) {
            (Ok(value), Ok(bound)) => {
                if less {
                    value < bound
                } else {
                    value > bound
                }
            }
            _ => false,
        }
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared(false),
        "Lt" => compared(true),
        _ => false,
    }
}

fn matches_term(term: &NodeSelectorTerm, room: &Room<'_>) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    // A term that says nothing matches nothing.
    !(expressions.is_empty() && fields.is_empty())
        && expressions.iter().all(|r| matches_one(r, room.labels.get(&r.key).map(String::as_str)))
        && fields.iter().all(|r| r.key == "metadata.name" && matches_one(r, Some(&room.config.name)))
}

fn fits_labels(pod: &Pod, room: &Room<'_>) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let selected =
        spec.node_selector.iter().flatten().all(|(key, value)| room.labels.get(key) == Some(value));
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|r| r.node_selector_terms.iter().any(|term| matches_term(term, room)))
}

/// The host ports of a pod: address, protocol, port.
fn host_ports(pod: &Pod) -> Vec<(String, String, i32)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|c| super::resources::is_sidecar(c));
    let mut ports = Vec::new();
    for container in spec.containers.iter().chain(sidecars) {
        for port in container.ports.iter().flatten() {
            let on_host = spec.host_network.unwrap_or(false).then_some(port.container_port);
            let Some(number) = port.host_port.or(on_host).filter(|port| *port > 0) else { continue };
            let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
            ports.push((ip, port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), number));
        }
    }
    ports
}

fn fits_ports(pod: &Pod, room: &Room<'_>) -> bool {
    let own = host_ports(pod);
    let any = |ip: &str| ip == "0.0.0.0" || ip == "::";
    own.is_empty()
        || !room.others.iter().flat_map(|other| host_ports(other)).any(|(ip, protocol, port)| {
            own.iter().any(|(own_ip, own_protocol, own_port)| {
                *own_port == port && *own_protocol == protocol && (*own_ip == ip || any(own_ip) || any(&ip))
            })
        })
}

/// What the node has to give of a resource; `None` for one that it does not count.
fn capacity(config: &NodeConfig, name: &str) -> Option<Amount> {
    let whole = |n: u64| Amount::from_units(i64::try_from(n).unwrap_or(i64::MAX), Default::default());
    match name {
        "cpu" => {
            let millis = i64::try_from(config.cpu_millis).unwrap_or(i64::MAX);
            Some(Amount::from_millis(millis, Default::default()))
        }
        "memory" => Some(whole(config.memory)),
        "ephemeral-storage" => Some(whole(config.ephemeral_storage)),
        name => config.extra.get(name).and_then(|text| Amount::parse(text).ok()),
    }
}

fn rejected(reason: impl Into<String>, message: impl Into<String>) -> Trouble {
    Trouble { reason: reason.into(), message: message.into() }
}

fn short_of(name: &str, requested: i64, used: i64, capacity: i64) -> Trouble {
    rejected(
        format!("OutOf{name}"),
        format!(
            "Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    )
}

/// Why the node cannot take a pod; `None` if it can.
pub(super) fn admit(pod: &Pod, room: &Room<'_>) -> Option<Trouble> {
    let most = i64::from(room.config.pods);
    let count = i64::try_from(room.others.len()).unwrap_or(i64::MAX);
    if count + 1 > most {
        return Some(short_of("pods", 1, count, most));
    }
    for name in requested_names(pod) {
        let wanted = pod_request(pod, &name);
        let have = capacity(room.config, &name).unwrap_or_default();
        let used: Amount = room.others.iter().map(|other| pod_request(other, &name)).sum();
        if wanted.signum() > 0 && used + wanted > have {
            let number = |amount: Amount| if name == "cpu" { amount.millis() } else { amount.value() };
            return Some(short_of(&name, number(wanted), number(used), number(have)));
        }
    }
    if !fits_labels(pod, room) {
        let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        return Some(rejected("NodeAffinity", message));
    }
    if !fits_ports(pod, room) {
        let message =
            "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        return Some(rejected("NodePorts", message));
    }
    None
}
