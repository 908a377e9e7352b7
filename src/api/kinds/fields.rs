//! Checks of single fields that several kinds share: label selectors, ports, addresses, and short ways to read
//! optional fields.
//!
//! Knows no kind. The rules of names and the spelling of addresses are `names`' own.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::validate_labels;
use crate::api::names::{
    is_dns1123_label, is_dns1123_subdomain, is_ip_for_old_field, is_label_value, is_path_segment_name,
    is_port_name, is_port_number, is_qualified_name, parse_ip_sloppy,
};

/// The protocols that a port may speak.
pub(crate) const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// An optional text; empty where it is absent.
pub(crate) fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// An optional list; empty where it is absent.
pub(crate) fn list<T>(field: &Option<Vec<T>>) -> &[T] {
    field.as_deref().unwrap_or_default()
}

/// Collects what is wrong with a label selector.
pub(crate) fn validate_label_selector(
    selector: &LabelSelector,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    validate_labels(selector.match_labels.as_ref(), &path.child("matchLabels"), errors);
    for (at, requirement) in list(&selector.match_expressions).iter().enumerate() {
        validate_requirement(requirement, &path.child("matchExpressions").index(at), errors);
    }
}

fn validate_requirement(
    requirement: &LabelSelectorRequirement,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let values = list(&requirement.values);
    match requirement.operator.as_str() {
        "In" | "NotIn" => {
            if values.is_empty() {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.required(&path.child("values"), detail);
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&path.child("values"), detail);
            }
        }
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    errors.invalid_each(&path.child("key"), &requirement.key, is_qualified_name(&requirement.key));
    for (at, value) in values.iter().enumerate() {
        errors.invalid_each(&path.child("values").index(at), value, is_label_value(value));
    }
}

/// Whether the selector says nothing, and so selects everything.
pub(crate) fn selects_all(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
        && list(&selector.match_expressions).is_empty()
}

/// A port by number, or by the name of a container's port.
pub(crate) fn validate_port_or_name(port: &IntOrString, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match port {
        IntOrString::Int(number) => validate_port(*number, path, errors),
        IntOrString::String(name) => errors.invalid_each(path, name, is_port_name(name)),
    }
}

/// The number of a port.
pub(crate) fn validate_port(port: i32, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for detail in is_port_number(port.into()) {
        errors.invalid(path, port, detail);
    }
}

/// The protocol of a port, which defaulting has filled in.
pub(crate) fn validate_protocol(protocol: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if protocol.is_empty() {
        errors.required(path, "");
    } else if !PROTOCOLS.contains(&protocol) {
        errors.not_supported(path, protocol, &PROTOCOLS);
    }
}

/// A word out of a closed list, where it is given.
pub(crate) fn validate_choice(
    value: &Option<String>,
    allowed: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(value) = value
        && !allowed.contains(&value.as_str())
    {
        errors.not_supported(path, value.as_str(), allowed);
    }
}

/// A word out of a closed list, which must be given.
pub(crate) fn validate_required_choice(
    value: &Option<String>,
    allowed: &[&str],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    match text(value) {
        "" => errors.required(path, ""),
        value if !allowed.contains(&value) => errors.not_supported(path, value, allowed),
        _ => {}
    }
}

/// A path with the domain of whoever made it in front: `acme.io/foo`.
pub(crate) fn validate_domain_path(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    const PATTERN: &str = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+";
    if value.is_empty() {
        errors.required(path, "");
        return;
    }
    let (host, rest) = value.split_once('/').unwrap_or((value, ""));
    if host.is_empty() || rest.is_empty() {
        errors.invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        return;
    }
    errors.invalid_each(path, host, is_dns1123_subdomain(host));
    if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte)) {
        errors.invalid(path, rest, format!("Invalid path (regex used for validation is '{PATTERN}')"));
    }
}

/// A name that can stand as a segment of a path, and must be given.
pub(crate) fn validate_required_segment(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if value.is_empty() {
        errors.required(path, "");
    } else {
        errors.invalid_each(path, value, is_path_segment_name(value));
    }
}

/// A name that is a label of DNS.
pub(crate) fn validate_dns_label(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    errors.invalid_each(path, value, is_dns1123_label(value));
}

/// An address; one that was there before is taken as it is.
pub(crate) fn validate_old_ip(
    value: &str,
    before: &[String],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> bool {
    if before.iter().any(|old| old == value) {
        return true;
    }
    let wrong = is_ip_for_old_field(value);
    let valid = wrong.is_empty();
    errors.invalid_each(path, value, wrong);
    valid
}

/// A range of addresses; one that was there before is taken as it is.
pub(crate) fn validate_old_cidr(
    value: &str,
    before: &[String],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if before.iter().any(|old| old == value) {
        return;
    }
    let Some((address, bits)) = parse_cidr_sloppy(value) else {
        errors.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        return;
    };
    let (written, written_bits) = value.split_once('/').unwrap_or((value, ""));
    if written.parse::<IpAddr>().is_err() || written_bits != bits.to_string() {
        errors.invalid(path, value, "must not have leading 0s in IP or prefix length");
    } else if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        errors.invalid(path, value, "must not have an IPv4-mapped IPv6 address");
    } else if masked(address, bits) != address {
        errors.invalid(path, value, "must not have bits set beyond the prefix length");
    }
}

/// A range of addresses in the one spelling that Kubernetes would give it.
pub(crate) fn validate_cidr(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let before = errors.len();
    validate_old_cidr(value, &[], path, errors);
    if errors.len() == before
        && let Some((address, bits)) = parse_cidr_sloppy(value)
        && format!("{address}/{bits}") != value
    {
        errors.invalid(path, value, format!("must be in canonical form (\"{address}/{bits}\")"));
    }
}

/// Reads a range as Kubernetes always has: its address, which may lie anywhere in it, and the bits of its prefix.
pub(crate) fn parse_cidr_sloppy(value: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = value.split_once('/')?;
    let address = parse_ip_sloppy(address)?;
    let bits: u8 = bits.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}

/// The first address of the range of so many bits that the address lies in.
pub(crate) fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// An address at which something can be reached from elsewhere.
pub(crate) fn validate_endpoint_ip(value: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(address) = parse_ip_sloppy(value) else {
        errors.invalid(path, value, "must be a valid IP address");
        return;
    };
    let address = address.to_canonical();
    if address.is_unspecified() {
        errors.invalid(path, value, format!("may not be unspecified ({value})"));
    }
    if address.is_loopback() {
        errors.invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (unicast, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    if unicast {
        let detail = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
        errors.invalid(path, value, detail);
    }
    if multicast {
        let detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        errors.invalid(path, value, detail);
    }
}

/// Whether these are addresses of both families.
pub(crate) fn is_dual_stack<'a>(addresses: impl IntoIterator<Item = &'a str>) -> bool {
    let families: Vec<bool> =
        addresses.into_iter().filter_map(parse_ip_sloppy).map(|address| address.is_ipv4()).collect();
    families.contains(&true) && families.contains(&false)
}
