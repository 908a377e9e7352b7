//! Facts of the table and of schemas, looked up by paths.

use serde_json::json;

use super::*;

/// What stands at a path of field names (`[]` goes into a list, `{}` into a map), in a few words.
fn at(shape: &Shape, path: &str) -> String {
    let mut node = shape.root();
    let mut rule = String::new();
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]").trim_end_matches("{}");
        let map = node.get().map.as_ref();
        if !name.is_empty() {
            let Some(field) = map.and_then(|map| map.declared(name)) else {
                let rest = map.and_then(|map| map.rest);
                let Some(rest) = rest else { return "none".to_owned() };
                node = node.at(rest);
                continue;
            };
            rule = String::new();
            if field.always {
                rule.push_str(" always");
            }
            if let Some(default) = field.default.as_ref().filter(|default| **default != json!("")) {
                rule.push_str(&format!(" default={default}"));
            }
            if field.patch != PatchRule::default() {
                let how = if field.patch.merge { " merge" } else { " replace" };
                rule.push_str(how);
                rule.push_str(&field.patch.key.as_ref().map(|key| format!(" by {key}")).unwrap_or_default());
            }
            node = node.at(field.kind);
        }
        if step.ends_with("[]") {
            node = node.at(node.get().list.as_ref().expect(path).item);
        }
        if step.ends_with("{}") {
            node = node.at(node.get().map.as_ref().expect(path).rest.expect(path));
        }
    }
    let found = node.get();
    let mut words = Vec::new();
    if let Some(map) = &found.map {
        words.push(match (map.atomic, map.is_structure()) {
            (true, true) => "whole structure",
            (true, false) => "whole map",
            (false, true) => "structure",
            (false, false) => "map",
        });
    }
    words.extend(found.scalar.map(|scalar| match scalar {
        Scalar::Text => "text",
        Scalar::Number => "number",
        Scalar::Bool => "truth",
        Scalar::Any => "any",
    }));
    let list = found.list.as_ref().map(|list| match &list.kind {
        ListKind::Atomic => "whole list".to_owned(),
        ListKind::Set => "set".to_owned(),
        ListKind::Map(keys) => format!("list by {}", keys.join(",")),
    });
    format!("{}{rule}", words.into_iter().map(str::to_owned).chain(list).collect::<Vec<_>>().join("/"))
}

/// Rows of `apiVersion Kind path | what`.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let (place, expected) = row.split_once(" | ").expect(row);
        let [api_version, kind, path] = place.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let shape = Shape::builtin(api_version, kind).expect(row);
        assert_eq!(at(&shape, path), expected, "{row}");
    }
}

#[test]
fn the_built_in_types_say_what_the_description_says() {
    check(
        "
        apps/v1 Deployment spec | structure always
        apps/v1 Deployment spec.replicas | number
        apps/v1 Deployment spec.selector | whole structure
        apps/v1 Deployment spec.strategy | structure always
        apps/v1 Deployment spec.template.spec.containers | list by name always merge by name
        apps/v1 Deployment spec.template.spec.containers[].ports | list by containerPort,protocol merge by containerPort
        apps/v1 Deployment spec.template.spec.containers[].ports[].protocol | text default=\"TCP\"
        apps/v1 Deployment spec.template.spec.containers[].args | whole list
        apps/v1 Deployment spec.template.spec.containers[].env | list by name merge by name
        apps/v1 Deployment spec.template.spec.containers[].resources.limits | map
        apps/v1 Deployment spec.template.spec.containers[].resources.limits{} | any
        apps/v1 Deployment spec.template.spec.nodeSelector | whole map
        apps/v1 Deployment spec.template.spec.tolerations | whole list
        apps/v1 Deployment spec.template.spec.volumes | list by name merge by name
        apps/v1 Deployment spec.template.spec.volumes[].configMap.items | whole list
        apps/v1 Deployment spec.template.spec.topologySpreadConstraints | list by topologyKey,whenUnsatisfiable merge by topologyKey
        apps/v1 Deployment status.conditions | list by type merge by type
        v1 Pod metadata.labels | map
        v1 Pod metadata.finalizers | set merge
        v1 Pod metadata.ownerReferences | list by uid merge by uid
        v1 Pod metadata.ownerReferences[] | whole structure merge by uid
        v1 Pod metadata.creationTimestamp | any
        v1 Pod status.podIPs | list by ip merge by ip
        v1 Pod spec.hostAliases | list by ip merge by ip
        v1 Pod spec.imagePullSecrets | list by name merge by name
        v1 Pod spec.containers[].livenessProbe.httpGet.port | any
        v1 Pod spec.nope | none
        v1 Service spec.ports | list by port,protocol merge by port
        v1 Service spec.selector | whole map
        v1 Service spec.clusterIPs | whole list
        v1 Service status.loadBalancer | structure always
        v1 Node status.addresses | list by type merge by type
        v1 Node status.images | whole list
        v1 Node spec.taints | whole list
        v1 ConfigMap data | map
        v1 Secret data{} | text
        v1 ServiceAccount secrets | list by name merge by name
        v1 Event involvedObject | whole structure always
        batch/v1 Job spec.selector | whole structure
        rbac.authorization.k8s.io/v1 Role rules | whole list
        rbac.authorization.k8s.io/v1 ClusterRole aggregationRule.clusterRoleSelectors | whole list
        networking.k8s.io/v1 Ingress spec.rules | whole list
        discovery.k8s.io/v1 EndpointSlice endpoints | whole list
        coordination.k8s.io/v1 Lease spec.renewTime | any
        admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration webhooks | list by name merge by name
        apiextensions.k8s.io/v1 CustomResourceDefinition spec.versions[].schema.openAPIV3Schema.properties{}.properties{}.type | text
        ",
    );
}

#[test]
fn every_reference_of_the_table_is_in_it() {
    let text = include_str!("table.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let names: Vec<&str> =
        lines.iter().map(|line| line.split([' ', '!']).next().unwrap_or_default()).collect();
    assert!(names.is_sorted() && lines.len() > 400);
    for line in &lines {
        for field in line.split(' ').skip(1).filter(|word| !word.starts_with('=')) {
            let kind = field.split_once(':').expect(field).1;
            let kind = kind.split(['"', ';']).next().unwrap_or_default();
            if let Some((_, name)) = kind.split_once('@') {
                assert!(names.binary_search(&name.trim_end_matches('!')).is_ok(), "{field} of {line}");
            } else {
                assert!(kind.ends_with(['s', 'n', 'b', '*', '~', '?']), "{field} of {line}");
            }
        }
    }
}

#[test]
fn schemas_of_custom_resources() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "list": {"type": "array", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"],
            "items": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer", "default": 7}}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
        "port": {"x-kubernetes-int-or-string": true},
        "when": {"type": "string", "format": "date-time"},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "free": {"x-kubernetes-preserve-unknown-fields": true},
        "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
    }}}});
    let shape = Shape::of_schema(&schema);
    let rows = [
        ("metadata.finalizers", "set merge"),
        ("spec", "structure"),
        ("spec.list", "whole list"),
        ("spec.set", "set"),
        ("spec.keyed", "list by a,b"),
        ("spec.keyed[].b", "number default=7"),
        ("spec.map{}", "number"),
        ("spec.whole", "whole structure"),
        ("spec.port", "any"),
        ("spec.when", "any"),
        ("spec.open.x", "map/any/whole list"),
        ("spec.free", "map/any/whole list"),
        ("spec.embedded.metadata.labels", "map"),
        ("spec.nope", "none"),
        ("nope", "none"),
    ];
    for (path, expected) in rows {
        assert_eq!(at(&shape, path), expected, "{path}");
    }
    assert_eq!(at(&Shape::unknown(), "spec.anything.at.all"), "map/any/whole list");
    assert_eq!(at(&Shape::of_schema(&json!({"type": 5, "properties": [1]})), "metadata.labels"), "map");
}

#[test]
fn a_schema_of_any_depth_ends() {
    let mut schema = json!({"type": "object"});
    for _ in 0..100 {
        schema = json!({"type": "object", "properties": {"a": schema}});
    }
    let shape = Shape::of_schema(&schema);
    assert_eq!(at(&shape, &["a"; 40].join(".")), "structure");
}
