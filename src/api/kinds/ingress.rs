//! Ingress: which requests from outside reach which Service.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::TypedLocalObjectReference;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressLoadBalancerIngress,
    IngressLoadBalancerStatus, IngressPortStatus, IngressRule, IngressServiceBackend, IngressSpec,
    IngressStatus, IngressTLS, ServiceBackendPort,
};
use serde_json::Value;

use super::age::since;
use super::canonical::{canonical, canonical_as_is};
use super::fields::{list, text, validate_old_ip, validate_port, validate_required_segment};
use super::rules::{canonical_by_table, generation_of_spec, named_as_subdomain, status_apart};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{
    check_name, is_dns1123_label, is_dns1123_subdomain, is_port_name, is_wildcard_dns1123_subdomain,
    parse_ip_sloppy,
};
use crate::api::object::{Column, Kind, Scope};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
/// Sequences that would make a path mean something else.
const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_ENDINGS: [&str; 2] = ["/..", "/."];
const NOT_AN_ADDRESS: &str = "must be a DNS name, not an IP address";
/// How many hosts a printed row shows.
const SHOWN: usize = 3;

impl Kind for Ingress {
    const SCOPE: Scope = Scope::Namespaced;
    const SHORT_NAMES: &'static [&'static str] = &["ing"];
    const HAS_STATUS: bool = true;
    const COLUMNS: &'static [Column] = &[
        Column::shown("Class"),
        Column::shown("Hosts"),
        Column::shown("Address"),
        Column::shown("Ports"),
        Column::shown("Age"),
    ];

    named_as_subdomain!();
    status_apart!();
    generation_of_spec!();
    canonical_by_table!();

    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let path = FieldPath::new("spec");
        let rules = list(&spec.rules);
        if rules.is_empty() && spec.default_backend.is_none() {
            let detail = "either `defaultBackend` or `rules` must be specified";
            errors.invalid(&path, Value::Null, detail);
        }
        if let Some(backend) = &spec.default_backend {
            validate_backend(backend, &path.child("defaultBackend"), errors);
        }
        for (at, rule) in rules.iter().enumerate() {
            validate_rule(rule, &path.child("rules").index(at), errors);
        }
        for (at, tls) in list(&spec.tls).iter().enumerate() {
            validate_tls(tls, &path.child("tls").index(at), errors);
        }
        if let Some(class) = &spec.ingress_class_name {
            let wrong = check_name(is_dns1123_subdomain, class, false);
            errors.invalid_each(&path.child("ingressClassName"), class, wrong);
        }
    }

    fn validate_create(&self, errors: &mut FieldErrors) {
        let annotation = self.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION));
        let class = self.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
        if let (Some(annotation), Some(class)) = (annotation, class)
            && annotation != class
        {
            let path = FieldPath::new("annotations");
            let detail = "must match `ingressClassName` when both are specified";
            errors.invalid(&path.child(CLASS_ANNOTATION), annotation.as_str(), detail);
        }
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        let before: Vec<String> = balancers(old).iter().filter_map(|ingress| ingress.ip.clone()).collect();
        let path = FieldPath::new("status");
        let path = path.child("loadBalancer");
        let path = path.child("ingress");
        for (at, ingress) in balancers(self).iter().enumerate() {
            let path = path.index(at);
            if !text(&ingress.ip).is_empty() {
                validate_old_ip(text(&ingress.ip), &before, &path.child("ip"), errors);
            }
            let host = text(&ingress.hostname);
            if !host.is_empty() {
                let path = path.child("hostname");
                errors.invalid_each(&path, host, is_dns1123_subdomain(host));
                if parse_ip_sloppy(host).is_some() {
                    errors.invalid(&path, host, NOT_AN_ADDRESS);
                }
            }
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = IngressSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&none);
        let found =
            balancers(self).iter().filter_map(|ingress| match (text(&ingress.ip), text(&ingress.hostname)) {
                ("", "") => None,
                ("", host) => Some(host),
                (address, _) => Some(address),
            });
        vec![
            spec.ingress_class_name.clone().unwrap_or_else(|| "<none>".to_owned()),
            hosts_text(list(&spec.rules)),
            found.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(","),
            if list(&spec.tls).is_empty() { "80" } else { "80, 443" }.to_owned(),
            since(self.metadata.creation_timestamp.as_ref(), now),
        ]
    }
}

fn balancers(ingress: &Ingress) -> &[IngressLoadBalancerIngress] {
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    status.map_or(&[], |status| list(&status.ingress))
}

/// The first hosts, and how many rules follow the one that filled the cell.
fn hosts_text(rules: &[IngressRule]) -> String {
    let hosts = || rules.iter().map(|rule| text(&rule.host));
    let shown: Vec<&str> = hosts().filter(|host| !host.is_empty()).take(SHOWN).collect();
    if shown.is_empty() {
        return "*".to_owned();
    }
    let filled = hosts().enumerate().filter(|(_, host)| !host.is_empty()).nth(SHOWN - 1);
    let text = shown.join(",");
    match filled {
        Some((at, _)) if at + 1 < rules.len() => format!("{text} + {} more...", rules.len() - SHOWN),
        _ => text,
    }
}

/// A name of a host, which may stand for all names below it.
fn validate_host(host: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let wrong =
        if host.contains('*') { is_wildcard_dns1123_subdomain(host) } else { is_dns1123_subdomain(host) };
    errors.invalid_each(path, host, wrong);
}

fn validate_tls(tls: &IngressTLS, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let hosts = path.child("hosts");
    for (at, host) in list(&tls.hosts).iter().enumerate() {
        validate_host(host, &hosts.index(at), errors);
    }
    let secret = text(&tls.secret_name);
    if !secret.is_empty() {
        let wrong = check_name(is_dns1123_subdomain, secret, false);
        errors.invalid_each(&path.child("secretName"), secret, wrong);
    }
}

fn validate_rule(rule: &IngressRule, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let host = text(&rule.host);
    if !host.is_empty() {
        let path = path.child("host");
        if parse_ip_sloppy(host).is_some() {
            errors.invalid(&path, host, NOT_AN_ADDRESS);
        }
        validate_host(host, &path, errors);
    }
    let Some(http) = &rule.http else { return };
    let path = path.child("http");
    let path = path.child("paths");
    if http.paths.is_empty() {
        errors.required(&path, "");
    }
    for (at, http_path) in http.paths.iter().enumerate() {
        validate_path(http_path, &path.index(at), errors);
    }
}

fn validate_path(path: &HTTPIngressPath, at: &FieldPath<'_>, errors: &mut FieldErrors) {
    let (value, value_path) = (text(&path.path), at.child("path"));
    let absolute = value.starts_with('/');
    match path.path_type.as_str() {
        "" => {
            errors.required(&at.child("pathType"), "pathType must be specified");
            return;
        }
        "Exact" | "Prefix" => {
            if !absolute {
                errors.invalid(&value_path, value, "must be an absolute path");
            }
            for bad in BAD_SEQUENCES.into_iter().filter(|bad| value.contains(bad)) {
                errors.invalid(&value_path, value, format!("must not contain '{bad}'"));
            }
            for bad in BAD_ENDINGS.into_iter().filter(|bad| value.ends_with(bad)) {
                errors.invalid(&value_path, value, format!("cannot end with '{bad}'"));
            }
        }
        "ImplementationSpecific" => {
            if !value.is_empty() && !absolute {
                errors.invalid(&value_path, value, "must be an absolute path");
            }
        }
        other => errors.not_supported(&at.child("pathType"), other, &PATH_TYPES),
    }
    validate_backend(&path.backend, &at.child("backend"), errors);
}

fn validate_backend(backend: &IngressBackend, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => {
            errors.invalid(path, "", "cannot set both resource and service backends");
        }
        (Some(resource), None) => validate_resource(resource, &path.child("resource"), errors),
        (None, Some(service)) => validate_service(service, path, errors),
        (None, None) => errors.invalid(path, "", "resource or service backend is required"),
    }
}

fn validate_service(service: &IngressServiceBackend, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let service_path = path.child("service");
    let name_path = service_path.child("name");
    if service.name.is_empty() {
        errors.required(&name_path, "");
    } else {
        let wrong = check_name(is_dns1123_label, &service.name, false);
        errors.invalid_each(&name_path, &service.name, wrong);
    }
    let none = ServiceBackendPort::default();
    let port = service.port.as_ref().unwrap_or(&none);
    let port_path = service_path.child("port");
    match (text(&port.name), port.number.unwrap_or(0)) {
        ("", 0) => errors.required(path, "port name or number is required"),
        ("", number) => validate_port(number, &port_path.child("number"), errors),
        (name, 0) => errors.invalid_each(&port_path.child("name"), name, is_port_name(name)),
        _ => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}

fn validate_resource(resource: &TypedLocalObjectReference, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Some(group) = &resource.api_group {
        errors.invalid_each(&path.child("apiGroup"), group, is_dns1123_subdomain(group));
    }
    validate_required_segment(&resource.kind, &path.child("kind"), errors);
    validate_required_segment(&resource.name, &path.child("name"), errors);
}

canonical_as_is!(IngressPortStatus,);

canonical! {
    HTTPIngressPath {
        drop: path;
        deep: backend;
    }
    HTTPIngressRuleValue {
        deep: paths;
    }
    Ingress {
        fill: spec, status;
    }
    IngressBackend {
        keep: service;
    }
    IngressLoadBalancerIngress {
        drop: hostname, ip, ports;
    }
    IngressLoadBalancerStatus {
        drop: ingress;
    }
    IngressRule {
        drop: host;
        keep: http;
    }
    IngressServiceBackend {
        fill: port;
    }
    IngressSpec {
        drop: rules, tls;
        keep: default_backend;
    }
    IngressStatus {
        fill: load_balancer;
    }
    IngressTLS {
        drop: hosts, secret_name;
    }
    ServiceBackendPort {
        drop: name, number;
    }
}
