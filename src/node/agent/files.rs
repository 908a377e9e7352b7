//! The agent's own files of a pod, as text: `/etc/hosts`, `/etc/resolv.conf`, the host name; and `$(VAR)`.
//!
//! Pure. Who writes them is [`Inputs`](super::seams::Inputs).

use std::fmt::Write as _;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

use super::config::NodeConfig;
use super::seams::PodFiles;
use crate::limits::{POD_NAMESERVERS, POD_SEARCHES};

const HEADER: &str = "# Kubernetes-managed hosts file.\n";

/// The host name that the pod's containers see, at most 63 characters.
pub(super) fn hostname(pod: &Pod, config: &NodeConfig) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    if spec.host_network.unwrap_or(false) {
        return config.name.clone();
    }
    let own = spec.hostname_override.clone().or_else(|| spec.hostname.clone());
    let name = own.filter(|name| !name.is_empty()).or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    let short = name.get(..63).unwrap_or(&name).trim_end_matches(['-', '.']);
    match domain(pod, config) {
        Some(domain) if spec.set_hostname_as_fqdn.unwrap_or(false) => format!("{short}.{domain}"),
        _ => short.to_owned(),
    }
}

/// The domain of a pod with a subdomain.
fn domain(pod: &Pod, config: &NodeConfig) -> Option<String> {
    let subdomain = pod.spec.as_ref()?.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    Some(format!("{subdomain}.{namespace}.svc.{}", config.cluster_domain))
}

fn hosts(pod: &Pod, config: &NodeConfig, ips: &[IpAddr], hostname: &str) -> String {
    let mut text = HEADER.to_owned();
    text.push_str(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let short = hostname.split('.').next().unwrap_or(hostname);
    for ip in ips {
        let _ = match domain(pod, config) {
            Some(domain) => writeln!(text, "{ip}\t{short}.{domain}\t{short}"),
            None => writeln!(text, "{ip}\t{hostname}"),
        };
    }
    let aliases = pod.spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten());
    let mut aliases = aliases.peekable();
    if aliases.peek().is_some() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let _ = writeln!(
            text,
            "{}\t{}",
            alias.ip,
            alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t")
        );
    }
    text
}

/// The parts of a `resolv.conf`.
#[derive(Default)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Resolver {
    fn read(text: &str) -> Resolver {
        let mut resolver = Resolver::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => resolver.servers.extend(words.next()),
                Some("search" | "domain") => resolver.searches = words.collect(),
                Some("options") => resolver.options.extend(words),
                _ => {}
            }
        }
        resolver
    }

    fn write(self) -> String {
        let mut text = String::new();
        for server in self.servers.iter().take(POD_NAMESERVERS) {
            let _ = writeln!(text, "nameserver {server}");
        }
        let searches: Vec<String> = self.searches.into_iter().take(POD_SEARCHES).collect();
        if !searches.is_empty() {
            let _ = writeln!(text, "search {}", searches.join(" "));
        }
        if !self.options.is_empty() {
            let _ = writeln!(text, "options {}", self.options.join(" "));
        }
        text
    }
}

fn push_new(list: &mut Vec<String>, item: String) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn resolv(pod: &Pod, config: &NodeConfig) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    let host = Resolver::read(&config.host_resolv);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let on_host = spec.host_network.unwrap_or(false);
    let cluster = match policy {
        "ClusterFirst" => !on_host,
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let mut resolver = match policy {
        "None" => Resolver::default(),
        _ if cluster && !config.cluster_dns.is_empty() => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let domain = &config.cluster_domain;
            let mut searches =
                vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
            host.searches.into_iter().for_each(|search| push_new(&mut searches, search));
            let servers = config.cluster_dns.iter().map(ToString::to_string).collect();
            Resolver { servers, searches, options: vec!["ndots:5".to_owned()] }
        }
        _ => host,
    };
    if let Some(own) = &spec.dns_config {
        own.nameservers.iter().flatten().for_each(|s| push_new(&mut resolver.servers, s.clone()));
        own.searches.iter().flatten().for_each(|s| push_new(&mut resolver.searches, s.clone()));
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            let value = option.value.clone();
            let same = |text: &String| text.split(':').next() == Some(name.as_str());
            resolver.options.retain(|text| !same(text));
            resolver.options.push(value.map_or_else(|| name.clone(), |value| format!("{name}:{value}")));
        }
    }
    resolver.write()
}

/// The files of a pod with these addresses.
pub(super) fn pod_files(pod: &Pod, config: &NodeConfig, ips: &[IpAddr], hostname: &str) -> PodFiles {
    let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false);
    PodFiles {
        hosts: (!on_host).then(|| hosts(pod, config, ips, hostname)),
        resolv: Some(resolv(pod, config)),
        hostname: hostname.to_owned(),
    }
}

/// Expands `$(NAME)` by the environment; `$$` is one `$`, and an unknown name stays as it is written.
pub(super) fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match env.iter().rev().find(|(key, _)| key == name) {
                Some((_, value)) => out.push_str(value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_upstream_does() {
        let env = vec![("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())];
        for (text, expected) in [
            ("x", "x"),
            ("$(A)", "1"),
            ("a$(A)b$(B)", "a1b$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$(NO)", "$(NO)"),
            ("$(A", "$(A"),
            ("$A", "$A"),
            ("$", "$"),
            ("$$", "$"),
            ("$()", "$()"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }

    fn pod(spec: serde_json::Value) -> Pod {
        let pod = serde_json::json!({"metadata": {"name": "web-0", "namespace": "shop"}, "spec": spec});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn names_and_resolvers_follow_the_pod() {
        let mut config = NodeConfig::new("node-1");
        config.host_resolv = "nameserver 9.9.9.9\nsearch example.org\noptions edns0\n".to_owned();
        config.cluster_dns = vec!["10.96.0.10".parse().unwrap()];
        let containers = serde_json::json!([]);
        for (extra, name, resolver) in [
            (
                serde_json::json!({}),
                "web-0",
                "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local \
                 example.org\noptions ndots:5\n",
            ),
            (
                serde_json::json!({"hostname": "db", "subdomain": "data", "dnsPolicy": "Default"}),
                "db",
                "nameserver 9.9.9.9\nsearch example.org\noptions edns0\n",
            ),
            (
                serde_json::json!({"hostname": "db", "subdomain": "data", "setHostnameAsFQDN": true,
                    "dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.2.3.4"], "searches": ["a.b"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]}}),
                "db.data.shop.svc.cluster.local",
                "nameserver 1.2.3.4\nsearch a.b\noptions ndots:2 edns0\n",
            ),
            (
                serde_json::json!({"hostNetwork": true}),
                "node-1",
                "nameserver 9.9.9.9\nsearch example.org\noptions edns0\n",
            ),
        ] {
            let mut spec = extra;
            spec["containers"] = containers.clone();
            let pod = pod(spec);
            assert_eq!(hostname(&pod, &config), name);
            assert_eq!(resolv(&pod, &config), resolver);
        }
    }

    #[test]
    fn hosts_name_the_pod_and_its_aliases() {
        let config = NodeConfig::new("node-1");
        let spec = serde_json::json!({"containers": [], "hostname": "db", "subdomain": "data",
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let text = hosts(&pod(spec), &config, &["10.0.0.7".parse().unwrap()], "db");
        assert!(text.contains("\n10.0.0.7\tdb.data.shop.svc.cluster.local\tdb\n"), "{text}");
        assert!(text.ends_with("1.2.3.4\ta\tb\n"), "{text}");
    }
}
