//! How a pod is seen on the network, and what it sees: host ports, names, DNS.

use k8s_openapi::api::core::v1::{HostAlias, PodDNSConfig, PodSpec};
use serde_json::json;

use super::Of;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_old_ip};
use crate::api::names::{DNS_SUBDOMAIN_BYTES, is_dns1123_subdomain};
use crate::limits::{POD_NAMESERVERS, POD_SEARCH_BYTES, POD_SEARCHES};

/// The longest name of a host, in bytes: Linux' own limit.
const HOST_NAME_BYTES: usize = 64;
const SEARCH_FORM: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must \
     start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";

/// On the host's network a port is the host's own.
pub(super) fn validate_host_ports(
    spec: &PodSpec,
    of: Of<'_>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if spec.host_network != Some(true) {
        return;
    }
    let is_pod = matches!(of, Of::Pod(_));
    for (at, container) in spec.containers.iter().enumerate() {
        for (port_at, port) in list(&container.ports).iter().enumerate() {
            let host_port = port.host_port.unwrap_or(0);
            if (is_pod || host_port != 0) && host_port != port.container_port {
                let containers = path.child("containers");
                let container = containers.index(at);
                let ports = container.child("ports");
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(&ports.index(port_at).child("hostPort"), host_port, detail);
            }
        }
    }
}

pub(super) fn validate_hostname_override(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(name) = &spec.hostname_override else { return };
    let path = path.child("hostnameOverride");
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.forbidden(&path, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.host_network == Some(true) {
        errors.forbidden(&path, "may not be specified when hostNetwork is true");
    }
    if name.len() > HOST_NAME_BYTES {
        errors.too_long(&path, HOST_NAME_BYTES);
    }
    errors.invalid_each(&path, name, is_dns1123_subdomain(name));
}

pub(super) fn validate_host_aliases(aliases: &[HostAlias], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    for (at, alias) in aliases.iter().enumerate() {
        let path = path.index(at);
        validate_old_ip(&alias.ip, &[], &path.child("ip"), errors);
        for (at, name) in list(&alias.hostnames).iter().enumerate() {
            errors.invalid_each(&path.child("hostnames").index(at), name, is_dns1123_subdomain(name));
        }
    }
}

pub(super) fn validate_dns_config(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let config = spec.dns_config.as_ref();
    if text(&spec.dns_policy) == "None" {
        match config {
            None => {
                errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
                return;
            }
            Some(config) if list(&config.nameservers).is_empty() => {
                let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
                errors.required(&path.child("nameservers"), detail);
                return;
            }
            Some(_) => {}
        }
    }
    if let Some(config) = config {
        validate_resolver(config, path, errors);
    }
}

fn validate_resolver(config: &PodDNSConfig, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let servers = list(&config.nameservers);
    let field = path.child("nameservers");
    if servers.len() > POD_NAMESERVERS {
        let detail = format!("must not have more than {POD_NAMESERVERS} nameservers");
        errors.invalid(&field, json!(servers), detail);
    }
    for (at, server) in servers.iter().enumerate() {
        validate_old_ip(server, &[], &field.index(at), errors);
    }
    let searches = list(&config.searches);
    let field = path.child("searches");
    if searches.len() > POD_SEARCHES {
        let detail = format!("must not have more than {POD_SEARCHES} search paths");
        errors.invalid(&field, json!(searches), detail);
    }
    let bytes = searches.iter().map(|search| search.len() + 1).sum::<usize>().saturating_sub(1);
    if bytes > POD_SEARCH_BYTES {
        let detail = format!(
            "must not have more than {POD_SEARCH_BYTES} characters (including spaces) in the search list"
        );
        errors.invalid(&field, json!(searches), detail);
    }
    for (at, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.invalid_each(&field.index(at), search, is_search_domain(search));
    }
    for (at, option) in list(&config.options).iter().enumerate() {
        if text(&option.name).is_empty() {
            errors.required(&path.child("options").index(at), "must not be empty");
        }
    }
}

/// A domain whose labels may have underscores in them, as SRV records do.
fn is_search_domain(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > DNS_SUBDOMAIN_BYTES {
        wrong.push(format!("must be no more than {DNS_SUBDOMAIN_BYTES} characters"));
    }
    let plain = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let label = |label: &str| {
        let bytes = label.strip_prefix('_').unwrap_or(label).as_bytes();
        plain(bytes.first())
            && plain(bytes.last())
            && bytes.iter().all(|byte| plain(Some(byte)) || matches!(byte, b'-' | b'_'))
    };
    if !name.split('.').all(label) {
        wrong.push(SEARCH_FORM.to_owned());
    }
    wrong
}
