//! The environment of a container, and the `$(VAR)` of its command.
//!
//! Pure: sees the pod, what a [`Lookup`] answers, and the Services. Which image variables lie below is the agent's
//! matter: they come first in the list it gives the runtime, these after them.
//!
//! Invariant: every name is there once, and equal input gives an equal list in equal order.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvFromSource, EnvVarSource, Pod, Secret, Service};

use super::volumes::Lookup;
use super::volumes::downward::{DownwardError, field_value, resource_value};

/// An environment that cannot be built: the message of `CreateContainerConfigError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// A configMap or secret is missing.
    #[error("{kind} {name:?} not found")]
    NotFound {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A configMap or secret lacks a key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    MissingKey {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A field or a resource.
    #[error(transparent)]
    Downward(#[from] DownwardError),
    /// A source that is not supported.
    #[error("environment variable {0} has a source that is not supported: fileKeyRef")]
    Unsupported(String),
}

/// Variables in the order of their first mention; a later value replaces an earlier one in its place.
#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    index: BTreeMap<String, usize>,
}

impl Variables {
    fn set(&mut self, name: String, value: String) {
        match self.index.get(&name) {
            Some(at) => self.list[*at].1 = value,
            None => {
                self.index.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }

    fn get(&self, name: &str) -> Option<&String> {
        self.index.get(name).map(|at| &self.list[*at].1)
    }
}

/// Builds the environment: `envFrom`, then `env`, then the Services that nothing before has named.
///
/// `services` may be all of the cluster's, or those of the pod's namespace and `default/kubernetes`.
pub fn environment(
    pod: &Pod,
    container: &Container,
    lookup: &dyn Lookup,
    services: &[Service],
) -> Result<Vec<(String, String)>, EnvError> {
    let services = service_variables(pod, services);
    let mut variables = Variables::default();
    for source in container.env_from.iter().flatten() {
        env_from(pod, source, lookup, &mut variables)?;
    }
    for variable in container.env.iter().flatten() {
        let written = variable.value.as_deref().unwrap_or_default();
        let value = if !written.is_empty() {
            expand(written, |name| variables.get(name).or_else(|| services.get(name)).cloned())
        } else if let Some(source) = &variable.value_from {
            match value_from(pod, container, &variable.name, source, lookup)? {
                Some(value) => value,
                None => continue,
            }
        } else {
            String::new()
        };
        variables.set(variable.name.clone(), value);
    }
    for (name, value) in services {
        if variables.get(&name).is_none() {
            variables.set(name, value);
        }
    }
    Ok(variables.list)
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

fn config_map(
    pod: &Pod,
    lookup: &dyn Lookup,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<Arc<ConfigMap>>, EnvError> {
    match lookup.config_map(namespace(pod), name) {
        None if optional != Some(true) => {
            Err(EnvError::NotFound { kind: "configmap", name: name.to_owned() })
        }
        found => Ok(found),
    }
}

fn secret(
    pod: &Pod,
    lookup: &dyn Lookup,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<Arc<Secret>>, EnvError> {
    match lookup.secret(namespace(pod), name) {
        None if optional != Some(true) => Err(EnvError::NotFound { kind: "secret", name: name.to_owned() }),
        found => Ok(found),
    }
}

fn env_from(
    pod: &Pod,
    source: &EnvFromSource,
    lookup: &dyn Lookup,
    variables: &mut Variables,
) -> Result<(), EnvError> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(reference) = &source.config_map_ref {
        let map = config_map(pod, lookup, &reference.name, reference.optional)?;
        for (key, value) in map.iter().filter_map(|map| map.data.as_ref()).flatten() {
            variables.set(format!("{prefix}{key}"), value.clone());
        }
    } else if let Some(reference) = &source.secret_ref {
        let secret = secret(pod, lookup, &reference.name, reference.optional)?;
        for (key, value) in secret.iter().filter_map(|secret| secret.data.as_ref()).flatten() {
            variables.set(format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned());
        }
    }
    Ok(())
}

/// The value of a source; `None` where an optional one is missing and the variable is left out.
fn value_from(
    pod: &Pod,
    container: &Container,
    variable: &str,
    source: &EnvVarSource,
    lookup: &dyn Lookup,
) -> Result<Option<String>, EnvError> {
    let missing = |key: &str, kind: &'static str, name: &str, optional: Option<bool>| {
        if optional == Some(true) {
            return Ok(None);
        }
        let (key, name) = (key.to_owned(), name.to_owned());
        Err(EnvError::MissingKey { key, kind, namespace: namespace(pod).to_owned(), name })
    };
    if let Some(field) = &source.field_ref {
        return Ok(Some(field_value(pod, &field.field_path)?));
    }
    if let Some(resource) = &source.resource_field_ref {
        return Ok(Some(resource_value(resource, pod, Some(container), &lookup.allocatable())?));
    }
    if let Some(reference) = &source.config_map_key_ref {
        let Some(map) = config_map(pod, lookup, &reference.name, reference.optional)? else {
            return Ok(None);
        };
        return match map.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(value.clone())),
            None => missing(&reference.key, "ConfigMap", &reference.name, reference.optional),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let Some(secret) = secret(pod, lookup, &reference.name, reference.optional)? else { return Ok(None) };
        return match secret.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None => missing(&reference.key, "Secret", &reference.name, reference.optional),
        };
    }
    if source.file_key_ref.is_some() {
        return Err(EnvError::Unsupported(variable.to_owned()));
    }
    Ok(Some(String::new()))
}

/// Variables of the Services that the pod sees: `kubernetes` always, those of its own namespace unless
/// `enableServiceLinks` is false.
fn service_variables(pod: &Pod, services: &[Service]) -> BTreeMap<String, String> {
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let namespace_of = service.metadata.namespace.as_deref().unwrap_or("default");
        if namespace_of == "default" && name == "kubernetes" {
            chosen.entry(name).or_insert(service);
        } else if namespace_of == namespace(pod) && links {
            chosen.insert(name, service);
        }
    }
    let mut variables = BTreeMap::new();
    for (name, service) in chosen {
        add_service(name, service, &mut variables);
    }
    variables
}

fn add_service(name: &str, service: &Service, variables: &mut BTreeMap<String, String>) {
    let variable = |text: &str| text.replace('-', "_").to_uppercase();
    let Some(spec) = &service.spec else { return };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    let ports = spec.ports.as_deref().unwrap_or_default();
    let Some(first) = ports.first() else { return };
    if matches!(ip, "" | "None") {
        return;
    }
    let prefix = variable(name);
    let mut set = |name: String, value: String| variables.insert(name, value);
    set(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
    set(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    for (number, port) in ports.iter().enumerate() {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            set(format!("{prefix}_SERVICE_PORT_{}", variable(port_name)), port.port.to_string());
        }
        let protocol = port.protocol.as_deref().filter(|p| !p.is_empty()).unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
        if number == 0 {
            set(format!("{prefix}_PORT"), url.clone());
        }
        let prefix = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
        set(format!("{prefix}_PROTO"), protocol.to_lowercase());
        set(format!("{prefix}_PORT"), port.port.to_string());
        set(format!("{prefix}_ADDR"), ip.to_owned());
        set(prefix, url);
    }
}

/// A container's `command` and `args` with every `$(VAR)` that the environment has; others stay as they are.
pub fn expand_command(
    command: &[String],
    args: &[String],
    environment: &[(String, String)],
) -> (Vec<String>, Vec<String>) {
    let values: BTreeMap<&str, &str> = environment.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let all = |words: &[String]| {
        words.iter().map(|word| expand(word, |name| values.get(name).map(|v| (*v).to_owned()))).collect()
    };
    (all(command), all(args))
}

/// Replaces `$(NAME)` by what `value` answers, and leaves it where it answers nothing. `$$` is one `$`.
pub fn expand(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match value(name) {
                Some(value) => expanded.push_str(&value),
                None => expanded.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            // No reference: the sign stands for itself, and what follows too, but for one bracket or sign.
            expanded.push('$');
            let next = rest.chars().next();
            if let Some(next) = next {
                expanded.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Objects;

    impl Lookup for Objects {
        fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
            let map = json!({ "data": { "COLOR": "blue", "SIZE": "1" } });
            (namespace == "shop" && name == "cm").then(|| Arc::new(serde_json::from_value(map).unwrap()))
        }
        fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
            let secret = json!({ "data": { "COLOR": "cmVk", "KEY": "c2VjcmV0" } });
            (namespace == "shop" && name == "s").then(|| Arc::new(serde_json::from_value(secret).unwrap()))
        }
    }

    fn build(container: serde_json::Value, links: bool) -> Result<Vec<(String, String)>, EnvError> {
        let mut container = container;
        container["name"] = json!("c");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "shop" },
            "spec": { "enableServiceLinks": links, "containers": [container] },
        }))
        .unwrap();
        let service = |namespace: &str, name: &str, ip: &str| -> Service {
            serde_json::from_value(json!({
                "metadata": { "name": name, "namespace": namespace },
                "spec": { "clusterIP": ip, "ports": [
                    { "port": 443, "name": "https" }, { "port": 53, "name": "dns-udp", "protocol": "UDP" } ] },
            }))
            .unwrap()
        };
        let services = [
            service("default", "kubernetes", "10.0.0.1"),
            service("shop", "my-web", "fd00::5"),
            service("shop", "headless", "None"),
            service("other", "web", "10.0.0.3"),
        ];
        environment(&pod, &pod.spec.as_ref().unwrap().containers[0], &Objects, &services)
    }

    fn check(container: serde_json::Value, expected: &str) {
        let found = match build(container, false) {
            Err(error) => format!("! {error}"),
            Ok(list) => {
                let list = list.into_iter().filter(|(name, _)| !name.starts_with("KUBERNETES_"));
                list.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn variables_come_from_all_their_sources() {
        check(
            json!({ "envFrom": [
                { "configMapRef": { "name": "cm" } },
                { "secretRef": { "name": "s" }, "prefix": "S_" },
                { "configMapRef": { "name": "none", "optional": true } } ],
              "env": [
                { "name": "SIZE", "value": "2" },
                { "name": "A", "value": "$(SIZE)-$(S_KEY)-$(NONE)-$$(SIZE)" },
                { "name": "SIZE", "value": "$(SIZE)3" },
                { "name": "EMPTY" } ] }),
            "COLOR=blue SIZE=23 S_COLOR=red S_KEY=secret A=2-secret-$(NONE)-$(SIZE) EMPTY=",
        );
        check(
            json!({ "env": [
                { "name": "A", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "SIZE" } } },
                { "name": "B", "valueFrom": { "secretKeyRef": { "name": "s", "key": "KEY" } } },
                { "name": "C", "valueFrom": { "secretKeyRef": { "name": "s", "key": "X", "optional": true } } },
                { "name": "D", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "E", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } } } ],
              "resources": { "limits": { "cpu": "1.5" } } }),
            "A=1 B=secret D=p E=1500",
        );
        check(json!({ "env": [{ "name": "A", "value": "$(KUBERNETES_SERVICE_HOST)" }] }), "A=10.0.0.1");
    }

    #[test]
    fn failures_have_upstreams_words() {
        let key = |kind: &str, name: &str, key: &str| json!({ "env": [{ "name": "A", "valueFrom": { kind: { "name": name, "key": key } } }] });
        check(key("configMapKeyRef", "none", "a"), "! configmap \"none\" not found");
        check(key("secretKeyRef", "none", "a"), "! secret \"none\" not found");
        check(key("configMapKeyRef", "cm", "a"), "! couldn't find key a in ConfigMap shop/cm");
        check(key("secretKeyRef", "s", "a"), "! couldn't find key a in Secret shop/s");
        check(json!({ "envFrom": [{ "secretRef": { "name": "x" } }] }), "! secret \"x\" not found");
        check(
            json!({ "env": [{ "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "spec.x" } } }] }),
            "! field label not supported: spec.x",
        );
    }

    #[test]
    fn services_are_variables() {
        let list = build(json!({}), true).unwrap();
        let text: Vec<String> = list.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for expected in [
            "KUBERNETES_SERVICE_HOST=10.0.0.1",
            "KUBERNETES_SERVICE_PORT_HTTPS=443",
            "KUBERNETES_PORT_53_UDP=udp://10.0.0.1:53",
            "MY_WEB_SERVICE_HOST=fd00::5",
            "MY_WEB_PORT=tcp://[fd00::5]:443",
            "MY_WEB_PORT_443_TCP_ADDR=fd00::5",
            "MY_WEB_SERVICE_PORT_DNS_UDP=53",
        ] {
            assert!(text.iter().any(|line| line == expected), "{expected} in {text:#?}");
        }
        assert_eq!(
            text.iter().filter(|line| line.starts_with("HEADLESS") || line.starts_with("WEB")).count(),
            0
        );
        let without = build(json!({}), false).unwrap();
        assert!(without.iter().all(|(name, _)| name.starts_with("KUBERNETES_")) && !without.is_empty());
    }

    #[test]
    fn expansion_follows_upstreams_table() {
        let values = [("VAR_A", "A"), ("VAR_B", "B"), ("VAR_REF", "$(VAR_A)"), ("VAR_EMPTY", "")];
        let table = [
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("$(VAR_A)$(VAR_A)$(VAR_B)", "AAB"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("$(VAR_EMPTY)-", "-"),
            ("$$(VAR_A)", "$(VAR_A)"),
            ("$$$(VAR_A)", "$A"),
            ("$$$$$(VAR_B)+", "$$B+"),
            ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo$(VAR_A", "foo$(VAR_A"),
            ("foo$((VAR_A)", "foo$((VAR_A)"),
            ("$(MISSING)-x", "$(MISSING)-x"),
            ("$VAR_A", "$VAR_A"),
            ("$", "$"),
            ("$$", "$"),
            ("\n$(VAR_A)\u{e9}$\u{e9}", "\nA\u{e9}$\u{e9}"),
            ("$()", "$()"),
            ("$(VAR_A", "$(VAR_A"),
            ("$(", "$("),
        ];
        let environment: Vec<_> = values.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        for (text, expected) in table {
            let (command, args) = expand_command(&[text.to_owned()], &[text.to_owned()], &environment);
            assert_eq!((command[0].as_str(), args[0].as_str()), (expected, expected), "{text}");
        }
    }
}
