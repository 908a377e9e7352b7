//! Probes and hooks: what is run against a container, and when.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, LifecycleHandler, PodSpec, Probe, SleepAction,
    TCPSocketAction,
};

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::kinds::fields::{list, text, validate_port, validate_port_or_name};
use crate::api::meta::validate_not_negative;
use crate::api::names::is_http_header_name;

/// What a probe or a hook does.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http: Option<&'a HTTPGetAction>,
    tcp: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

/// Collects what is wrong with the hooks and probes of a container that may have them.
pub(super) fn validate_hooks_and_probes(
    container: &Container,
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let grace = spec.termination_grace_period_seconds;
    if let Some(lifecycle) = &container.lifecycle {
        let path = path.child("lifecycle");
        for (field, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(hook) = hook {
                validate_handler(&hook_handler(hook), grace, &path.child(field), errors);
            }
        }
    }
    if let Some(probe) = &container.liveness_probe {
        validate_whole_probe(probe, grace, &path.child("livenessProbe"), errors);
    }
    if let Some(probe) = &container.readiness_probe {
        let path = path.child("readinessProbe");
        validate_probe(probe, grace, &path, errors);
        if let Some(seconds) = probe.termination_grace_period_seconds {
            let detail = "must not be set for readinessProbes";
            errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, detail);
        }
    }
    if let Some(probe) = &container.startup_probe {
        validate_whole_probe(probe, grace, &path.child("startupProbe"), errors);
    }
}

/// A probe of which one success counts.
fn validate_whole_probe(probe: &Probe, grace: Option<i64>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_probe(probe, grace, path, errors);
    let successes = probe.success_threshold.unwrap_or(0);
    if successes != 1 {
        errors.invalid(&path.child("successThreshold"), successes, "must be 1");
    }
}

fn validate_probe(probe: &Probe, grace: Option<i64>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let handler = Handler {
        exec: probe.exec.as_ref(),
        http: probe.http_get.as_ref(),
        tcp: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    validate_handler(&handler, grace, path, errors);
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (field, number) in numbers {
        validate_not_negative(number.unwrap_or(0), &path.child(field), errors);
    }
    if let Some(seconds) = probe.termination_grace_period_seconds.filter(|seconds| *seconds <= 0) {
        let path = path.child("terminationGracePeriodSeconds");
        errors.invalid(&path, seconds, "must be greater than 0");
    }
}

fn hook_handler(hook: &LifecycleHandler) -> Handler<'_> {
    Handler {
        exec: hook.exec.as_ref(),
        http: hook.http_get.as_ref(),
        tcp: hook.tcp_socket.as_ref(),
        grpc: None,
        sleep: hook.sleep.as_ref(),
    }
}

/// Exactly one action, and what is wrong with it.
fn validate_handler(
    handler: &Handler<'_>,
    grace: Option<i64>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let set = [
        ("exec", handler.exec.is_some()),
        ("httpGet", handler.http.is_some()),
        ("tcpSocket", handler.tcp.is_some()),
        ("grpc", handler.grpc.is_some()),
        ("sleep", handler.sleep.is_some()),
    ];
    let mut given = set.into_iter().filter(|(_, set)| *set).map(|(field, _)| field);
    let Some(first) = given.next() else {
        errors.required(path, "must specify a handler type");
        return;
    };
    let field = path.child(first);
    if let Some(action) = handler.exec {
        if list(&action.command).is_empty() {
            errors.required(&field.child("command"), "");
        }
    } else if let Some(action) = handler.http {
        validate_http(action, &field, errors);
    } else if let Some(action) = handler.tcp {
        validate_port_or_name(&action.port, &field.child("port"), errors);
    } else if let Some(action) = handler.grpc {
        validate_port(action.port, &field.child("port"), errors);
    } else if let (Some(action), Some(grace)) = (handler.sleep, grace)
        && !(0..=grace).contains(&action.seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(&field, action.seconds, detail);
    }
    for more in given {
        errors.forbidden(&path.child(more), "may not specify more than 1 handler type");
    }
}

fn validate_http(action: &HTTPGetAction, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if text(&action.path).is_empty() {
        errors.required(&path.child("path"), "");
    }
    validate_port_or_name(&action.port, &path.child("port"), errors);
    let scheme = text(&action.scheme);
    if !matches!(scheme, "HTTP" | "HTTPS") {
        errors.not_supported(&path.child("scheme"), scheme, &["HTTP", "HTTPS"]);
    }
    for header in list(&action.http_headers) {
        errors.invalid_each(&path.child("httpHeaders"), &header.name, is_http_header_name(&header.name));
    }
}
