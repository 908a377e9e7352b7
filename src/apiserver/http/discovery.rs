//! What the cluster serves: groups, versions, resources, their verbs and subresources.
//!
//! Owns the letters of discovery, old and aggregated. It is worked out from the registry at each request, so it
//! never lags behind it. Invariant: a resource that is told of is served, and the other way round.

use std::hash::Hasher;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::custom::by_priority;
use crate::api::{KindInfo, Registry, Scope, Strategy};

/// A subresource and what it takes.
pub(super) struct Subresource {
    /// Its name.
    pub name: &'static str,
    /// Group, version and kind of what is read and written, where it is not the resource's own.
    pub kind: Option<(&'static str, &'static str, &'static str)>,
    /// What can be done.
    pub verbs: &'static [&'static str],
}

const READ_WRITE: &[&str] = &["get", "patch", "update"];

/// The subresources of a kind, by name.
pub(super) fn subresources(info: &KindInfo) -> Vec<Subresource> {
    let mut list = Vec::new();
    let mut add = |name, kind, verbs| list.push(Subresource { name, kind, verbs });
    match (info.group.as_str(), info.plural.as_str()) {
        ("", "pods") => {
            add("binding", Some(("", "v1", "Binding")), &["create"]);
            add("ephemeralcontainers", None, READ_WRITE);
            add("eviction", Some(("policy", "v1", "Eviction")), &["create"]);
            add("resize", None, READ_WRITE);
        }
        ("", "namespaces") => add("finalize", None, &["update"]),
        _ => {}
    }
    if info.scale.is_some() {
        add("scale", Some(("autoscaling", "v1", "Scale")), READ_WRITE);
    }
    if info.has_status {
        add("status", None, READ_WRITE);
    }
    list
}

/// The verbs of a kind's objects, in the order of the alphabet.
pub(super) fn verbs(info: &KindInfo) -> Vec<&'static str> {
    let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let has_collection = !(info.group.is_empty() && info.plural == "namespaces");
    all.into_iter().filter(|verb| has_collection || *verb != "deletecollection").collect()
}

/// The kinds of a registry in the order in which they are told of.
fn infos(registry: &Registry) -> Vec<KindInfo> {
    let served = |info: &&KindInfo| info.served;
    let versions = |strategy: Arc<dyn Strategy>| -> Vec<KindInfo> {
        strategy.versions().iter().filter(served).cloned().collect()
    };
    registry.iter().flat_map(|(_, strategy)| versions(strategy.clone())).collect()
}

/// The groups in the order of their first kind, each with its versions; the core comes first.
fn groups(infos: &[KindInfo]) -> Vec<(String, Vec<String>)> {
    let mut list: Vec<(String, Vec<String>)> = Vec::new();
    for info in infos {
        let at = list.iter().position(|(group, _)| *group == info.group).unwrap_or_else(|| {
            list.push((info.group.clone(), Vec::new()));
            list.len() - 1
        });
        if !list[at].1.contains(&info.version) {
            list[at].1.push(info.version.clone());
        }
    }
    list.sort_by_key(|(group, _)| !group.is_empty());
    for (_, versions) in &mut list {
        versions.sort_by(|a, b| by_priority(a, b));
    }
    list
}

/// Whether a version of a group has any resource.
pub(super) fn has_version(registry: &Registry, group: &str, version: &str) -> bool {
    let is = |info: &KindInfo| info.served && info.group == group && info.version == version;
    registry.iter().any(|(_, strategy)| strategy.versions().iter().any(is))
}

/// `/api`.
pub(super) fn core_versions() -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "" }],
    })
}

fn group_value(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({ "groupVersion": format!("{group}/{version}"), "version": version }))
        .collect();
    let preferred = versions.first().cloned();
    json!({ "name": group, "versions": versions, "preferredVersion": preferred })
}

/// `/apis`.
pub(super) fn group_list(registry: &Registry) -> Value {
    let groups = groups(&infos(registry));
    let named = groups.iter().filter(|(group, _)| !group.is_empty());
    let values: Vec<Value> = named.map(|(group, versions)| group_value(group, versions)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": values })
}

/// `/apis/GROUP`; `None` where there is no such group.
pub(super) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = groups(&infos(registry));
    let (group, versions) = groups.iter().find(|(group, _)| group == name && !name.is_empty())?;
    let mut value = group_value(group, versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

/// `/api/v1`, `/apis/GROUP/VERSION`; `None` where there is no such version.
pub(super) fn resource_list(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    if !has_version(registry, group, version) {
        return None;
    }
    let mut resources = Vec::new();
    for info in infos(registry).iter().filter(|info| info.group == group && info.version == version) {
        let namespaced = info.scope == Scope::Namespaced;
        let mut resource = json!({
            "name": info.plural, "singularName": info.singular, "namespaced": namespaced, "kind": info.kind,
            "verbs": verbs(info),
        });
        if !info.short_names.is_empty() {
            resource["shortNames"] = json!(info.short_names);
        }
        if !info.categories.is_empty() {
            resource["categories"] = json!(info.categories);
        }
        resources.push(resource);
        for sub in subresources(info) {
            let kind = sub.kind.map_or(info.kind.as_str(), |(_, _, kind)| kind);
            let mut value = json!({
                "name": format!("{}/{}", info.plural, sub.name), "singularName": "", "namespaced": namespaced,
                "kind": kind, "verbs": sub.verbs,
            });
            if let Some((group, version, _)) = sub.kind.filter(|(group, _, _)| !group.is_empty()) {
                value["group"] = group.into();
                value["version"] = version.into();
            }
            resources.push(value);
        }
    }
    if group.is_empty() && version == "v1" {
        resources.push(json!({
            "name": "bindings", "singularName": "binding", "namespaced": true, "kind": "Binding",
            "verbs": ["create"],
        }));
    }
    resources.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({ "kind": "APIResourceList", "groupVersion": api_version, "resources": resources });
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

/// All resources at once: of the core, or of the groups.
pub(super) fn aggregated(registry: &Registry, core: bool) -> Value {
    let infos = infos(registry);
    let groups = groups(&infos);
    let items: Vec<Value> = groups
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let of_it = |info: &&KindInfo| info.group == *group && info.version == *version;
                    let mut resources: Vec<Value> =
                        infos.iter().filter(of_it).map(aggregated_resource).collect();
                    if group.is_empty() && version == "v1" {
                        resources.push(json!({
                            "resource": "bindings", "scope": "Namespaced", "singularResource": "binding",
                            "responseKind": { "group": "", "version": "v1", "kind": "Binding" },
                            "verbs": ["create"],
                        }));
                    }
                    resources.sort_by(|a, b| a["resource"].as_str().cmp(&b["resource"].as_str()));
                    json!({ "version": version, "freshness": "Current", "resources": resources })
                })
                .collect();
            let mut metadata = json!({});
            if !group.is_empty() {
                metadata["name"] = group.as_str().into();
            }
            json!({ "metadata": metadata, "versions": versions })
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_resource(info: &KindInfo) -> Value {
    let own = json!({ "group": info.group, "version": info.version, "kind": info.kind });
    let mut value = json!({
        "resource": info.plural,
        "responseKind": own,
        "scope": if info.scope == Scope::Namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": info.singular,
        "verbs": verbs(info),
    });
    if !info.short_names.is_empty() {
        value["shortNames"] = json!(info.short_names);
    }
    if !info.categories.is_empty() {
        value["categories"] = json!(info.categories);
    }
    let subresources: Vec<Value> = subresources(info)
        .iter()
        .map(|sub| {
            let kind = sub.kind.map_or_else(
                || own.clone(),
                |(group, version, kind)| json!({ "group": group, "version": version, "kind": kind }),
            );
            json!({ "subresource": sub.name, "responseKind": kind, "verbs": sub.verbs })
        })
        .collect();
    if !subresources.is_empty() {
        value["subresources"] = json!(subresources);
    }
    value
}

/// `/version`: which Kubernetes is served, and by whom.
pub(super) fn version() -> Value {
    let ours = env!("CARGO_PKG_VERSION");
    json!({
        "major": "1", "minor": "36", "gitVersion": format!("v1.36.0+coracle.{ours}"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// The machine's name as Kubernetes spells it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The paths that `/` tells of.
pub(super) fn paths(registry: &Registry) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in groups(&infos(registry)).iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/readyz", "/version"].map(str::to_owned));
    json!({ "paths": paths })
}

/// A mark that differs where what is told differs.
pub(super) fn etag(json: &[u8]) -> String {
    // Two different keys make 128 bits of it, for which no program of ours is attacked.
    let half = |salt: u64| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write_u64(salt);
        hasher.write(json);
        hasher.finish()
    };
    format!("\"{:016X}{:016X}\"", half(1), half(2))
}
