//! Values that a pod learns about itself: fields of its metadata, spec and status, and resources of its containers.
//!
//! Pure, and used for files and for environment variables alike. Addresses are read from the pod's status: the agent
//! gives the pod with the status it has just learnt.
//!
//! Invariant: a field that upstream supports has a value, be it empty; any other is an error in upstream's words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::quantity::Amount;

/// A value that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownwardError {
    /// A field that is not supported there.
    #[error("field label not supported: {0}")]
    Label(String),
    /// A field of a path that files do not know.
    #[error("unsupported fieldPath: {0}")]
    Path(String),
    /// `['key']` after something that has no keys.
    #[error("field label does not support subscript: {0}")]
    Subscript(String),
    /// `['key']` that is no key.
    #[error("invalid key subscript in {0}")]
    Key(String),
    /// A resource that is not supported.
    #[error("unsupported container resource : {0}")]
    Resource(String),
    /// A container that is not in the pod.
    #[error("container {0} not found")]
    Container(String),
    /// A quantity that is none.
    #[error("quantity {text:?}: {cause}")]
    Quantity {
        /// What was given.
        text: String,
        /// What is wrong.
        cause: String,
    },
}

/// The value of a field: `metadata.name`, `metadata.namespace`, `metadata.uid`, `metadata.labels`,
/// `metadata.annotations` (whole, or `['key']`), `spec.nodeName`, `spec.serviceAccountName`, `status.podIP`,
/// `status.podIPs`, `status.hostIP`, `status.hostIPs`.
pub fn field_value(pod: &Pod, path: &str) -> Result<String, DownwardError> {
    if let Some((map, key)) = split_subscript(path) {
        let map = match map {
            "metadata.labels" => &pod.metadata.labels,
            "metadata.annotations" => &pod.metadata.annotations,
            _ => return Err(DownwardError::Subscript(path.to_owned())),
        };
        if key.is_empty() || key.len() > 253 + 1 + 63 {
            return Err(DownwardError::Key(path.to_owned()));
        }
        return Ok(map.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    let status = pod.status.as_ref();
    let value = match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "metadata.labels" => pod.metadata.labels.as_ref().map(format_map),
        "metadata.annotations" => pod.metadata.annotations.as_ref().map(format_map),
        "spec.nodeName" | "spec.host" => spec.and_then(|s| s.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|s| s.service_account_name.clone()),
        "status.podIP" => pod_ips(pod).into_iter().next(),
        "status.podIPs" => Some(pod_ips(pod).join(",")),
        "status.hostIP" => status.and_then(|s| s.host_ip.clone()),
        "status.hostIPs" => {
            let ips = status.and_then(|s| s.host_ips.as_ref()).into_iter().flatten();
            let ips: Vec<String> = ips.map(|ip| ip.ip.clone()).collect();
            if ips.is_empty() { status.and_then(|s| s.host_ip.clone()) } else { Some(ips.join(",")) }
        }
        // Accepted by the API, and not answered by a node.
        "spec.restartPolicy" | "spec.schedulerName" | "status.phase" => {
            return Err(DownwardError::Path(path.to_owned()));
        }
        _ => return Err(DownwardError::Label(path.to_owned())),
    };
    Ok(value.unwrap_or_default())
}

fn pod_ips(pod: &Pod) -> Vec<String> {
    let Some(status) = &pod.status else { return Vec::new() };
    let ips: Vec<String> = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect();
    if ips.is_empty() { status.pod_ip.iter().cloned().collect() } else { ips }
}

/// The value of a resource (`limits.cpu`, `requests.memory`, …) in units of the divisor, rounded up. A limit of cpu,
/// memory or ephemeral storage that is not set is what the pod as a whole may have, or else the node.
///
/// The container is the selector's, or `container` where it names none.
pub fn resource_value(
    selector: &ResourceFieldSelector,
    pod: &Pod,
    container: Option<&Container>,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<String, DownwardError> {
    let named = selector.container_name.as_deref().unwrap_or_default();
    let container = match (named, container) {
        ("", Some(container)) => container,
        (name, _) => {
            let spec = pod.spec.as_ref();
            let containers = spec.map(|s| s.containers.iter()).into_iter().flatten();
            let init = spec.and_then(|s| s.init_containers.as_ref()).into_iter().flatten();
            let mut all = containers.chain(init);
            all.find(|c| c.name == name).ok_or_else(|| DownwardError::Container(name.to_owned()))?
        }
    };
    let unsupported = || DownwardError::Resource(selector.resource.clone());
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let plain = matches!(resource, "cpu" | "memory" | "ephemeral-storage");
    if !plain && !resource.starts_with("hugepages-") || !matches!(list, "limits" | "requests") {
        return Err(unsupported());
    }
    let resources = container.resources.as_ref();
    let amount = |quantity: Option<&Quantity>| match quantity {
        None => Ok(None),
        Some(quantity) => parse(quantity).map(|a| Some(a).filter(|a| !a.is_zero())),
    };
    let own = if list == "limits" {
        amount(resources.and_then(|r| r.limits.as_ref()).and_then(|l| l.get(resource)))?
    } else {
        amount(resources.and_then(|r| r.requests.as_ref()).and_then(|l| l.get(resource)))?
    };
    let value = match own {
        None if list == "limits" && plain => {
            let limits = pod.spec.as_ref().and_then(|s| s.resources.as_ref()).and_then(|r| r.limits.as_ref());
            let whole_pod =
                amount(limits.and_then(|l| l.get(resource)).filter(|_| resource != "ephemeral-storage"))?;
            match whole_pod {
                Some(amount) => Some(amount),
                None => amount(allocatable.get(resource))?,
            }
        }
        own => own,
    };
    let divisor = amount(selector.divisor.as_ref())?;
    let one = || Amount::from_units(1, crate::api::quantity::Format::DecimalSi);
    let (value, divisor) = (value.unwrap_or(Amount::ZERO), divisor.unwrap_or_else(one));
    let (value, divisor) = match resource {
        "cpu" => (value.millis(), divisor.millis()),
        _ => (value.value(), divisor.value()),
    };
    let (value, divisor) = (i128::from(value), i128::from(divisor.max(1)));
    Ok(((value + divisor - 1).div_euclid(divisor)).to_string())
}

pub(super) fn parse(quantity: &Quantity) -> Result<Amount, DownwardError> {
    Amount::parse(&quantity.0)
        .map_err(|e| DownwardError::Quantity { text: quantity.0.clone(), cause: e.to_string() })
}

/// `path['key']` in its two parts.
fn split_subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.strip_suffix("']")?.split_once("['")?;
    (!map.is_empty()).then_some((map, key))
}

/// `key="value"` lines, sorted, the values quoted as Go quotes them.
fn format_map(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map.iter().map(|(key, value)| format!("{key}={}", go_quote(value))).collect();
    lines.join("\n")
}

fn go_quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_ascii() || is_printable(c) => quoted.push(c),
            c if (c as u32) < 0x10000 => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Rust's own idea of it; behind a letter, so that a combining mark counts as what it is.
fn is_printable(c: char) -> bool {
    let text = format!("a{c}");
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "web-1", "namespace": "shop", "uid": "u",
                "labels": { "b": "2", "a": "x\"\n\u{e9}\u{200b}" },
                "annotations": { "k.io/x": "y" },
            },
            "spec": {
                "nodeName": "n1", "serviceAccountName": "default",
                "containers": [
                    { "name": "a", "resources": {
                        "limits": { "cpu": "250m", "hugepages-2Mi": "4Mi" },
                        "requests": { "memory": "100Mi", "cpu": "1100m" } } },
                    { "name": "b" },
                ],
            },
            "status": {
                "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }, { "ip": "fd00::1" }],
                "hostIP": "192.0.2.1", "hostIPs": [{ "ip": "192.0.2.1" }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn fields() {
        let table = [
            ("metadata.name", "web-1"),
            ("metadata.namespace", "shop"),
            ("metadata.uid", "u"),
            ("metadata.labels", "a=\"x\\\"\\n\u{e9}\\u200b\"\nb=\"2\""),
            ("metadata.labels['b']", "2"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['k.io/x']", "y"),
            ("spec.nodeName", "n1"),
            ("spec.serviceAccountName", "default"),
            ("status.podIP", "10.0.0.1"),
            ("status.podIPs", "10.0.0.1,fd00::1"),
            ("status.hostIP", "192.0.2.1"),
            ("status.hostIPs", "192.0.2.1"),
            ("spec.containers", "! field label not supported: spec.containers"),
            ("status.phase", "! unsupported fieldPath: status.phase"),
            ("spec.x['a']", "! field label does not support subscript: spec.x['a']"),
        ];
        for (path, expected) in table {
            let found = field_value(&pod(), path).unwrap_or_else(|e| format!("! {e}"));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn resources() {
        let allocatable = BTreeMap::from([
            ("cpu".to_owned(), Quantity("2".to_owned())),
            ("memory".to_owned(), Quantity("1Gi".to_owned())),
        ]);
        let table = [
            ("a", "limits.cpu", "", "1"),
            ("a", "limits.cpu", "1m", "250"),
            ("a", "requests.cpu", "", "2"),
            ("a", "requests.memory", "", "104857600"),
            ("a", "requests.memory", "1Mi", "100"),
            ("a", "requests.memory", "0", "104857600"),
            ("a", "limits.memory", "1Mi", "1024"),
            ("a", "limits.hugepages-2Mi", "1Mi", "4"),
            ("b", "limits.cpu", "", "2"),
            ("b", "requests.cpu", "", "0"),
            ("b", "limits.gpu", "", "! unsupported container resource : limits.gpu"),
            ("c", "limits.cpu", "", "! container c not found"),
        ];
        for (container, resource, divisor, expected) in table {
            let selector = ResourceFieldSelector {
                container_name: Some(container.to_owned()),
                divisor: (!divisor.is_empty()).then(|| Quantity(divisor.to_owned())),
                resource: resource.to_owned(),
            };
            let found = resource_value(&selector, &pod(), None, &allocatable);
            assert_eq!(
                found.unwrap_or_else(|e| format!("! {e}")),
                expected,
                "{container} {resource} {divisor}"
            );
        }
    }
}
