//! Tables of strategic merges, by kind, and the property that a patch of a difference leads to its target.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::*;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect(text)
}

/// Rows of `object | patch | result`, or `! error`, each in YAML's flow form.
fn check(api_version: &str, kind: &str, table: &str) {
    let shape = Shape::builtin(api_version, kind).expect(kind);
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [object, patch, expected] = row.split(" | ").collect::<Vec<_>>()[..] else { panic!("{row}") };
        let got = merge(&shape, yaml(object), yaml(patch)).map_err(|cause| cause.to_string());
        match expected.strip_prefix("! ") {
            Some(sentence) => assert_eq!(got, Err(sentence.replace("\\n", "\n")), "{row}"),
            None => assert_eq!(got, Ok(yaml(expected)), "{row}"),
        }
    }
}

#[test]
fn maps_and_single_values() {
    check(
        "v1",
        "ConfigMap",
        "
        {} | {} | {}
        {data: {a: x}} | {data: {b: y}} | {data: {a: x, b: y}}
        {data: {a: x}} | {data: {a: y}} | {data: {a: y}}
        {data: {a: x, b: y}} | {data: {a: null}} | {data: {b: y}}
        {data: {a: x}} | {data: null} | {}
        {data: {a: x}} | {data: {$patch: replace, b: y}} | {data: {b: y}}
        {data: {a: x}} | {data: {$patch: delete}} | {data: {}}
        {data: {a: x}} | {$patch: replace, immutable: true} | {immutable: true}
        {data: {a: x}} | {$patch: delete} | {}
        {} | {data: {a: null, b: y}} | {data: {b: y}}
        {} | {data: {$patch: delete}} | {}
        {} | {data: {$patch: replace, a: x}} | {}
        {metadata: {labels: {a: x}}} | {metadata: {labels: {a: null, b: y}}} | {metadata: {labels: {b: y}}}
        {data: {a: x}} | {data: {$patch: merge, b: y}} | ! unknown patch type: merge in map: map[$patch:merge b:y]
        {data: {a: x}} | {data: {$patch: nonsense}} | ! unknown patch type: nonsense in map: map[$patch:nonsense]
        {data: {a: x}} | {data: {$patch: 1}} | ! unknown patch type: 1 in map: map[$patch:1]
        {data: {a: x}} | [] | ! invalid JSON document
        {data: {a: x}} | null | ! invalid JSON document
        {data: {a: x}} | {data: [x]} | {data: [x]}
        {immutable: true} | {immutable: false} | {immutable: false}
        {data: {a: x}} | {data: {$retainKeys: [b], b: y}} | {data: {b: y}}
        {data: {a: x}} | {data: {$retainKeys: [a, b], b: y}} | {data: {a: x, b: y}}
        {data: {a: x}} | {data: {$retainKeys: [a], b: y}} | ! invalid patch format of retainKeys
        {data: {a: x}} | {data: {$retainKeys: a}} | ! invalid patch format of retainKeys
        {data: {a: x}} | {data: {$retainKeys: [a], b: null}} | {data: {a: x}}
        {data: {a: x}} | {data: {$retainKeys: []}} | {data: {}}
        {binaryData: {a: {}}} | {binaryData: {a: {b: {}}}} | ! merging an object in json but data type is not struct, instead is: map
        {data: {a: {b: {}}}} | {data: {a: {b: {c: 1}}}} | ! merging an object in json but data type is not struct, instead is: map
        ",
    );
}

#[test]
fn lists_of_items_with_keys() {
    check(
        "v1",
        "Pod",
        "
        {spec: {containers: [{name: a, image: x}]}} | {spec: {containers: [{name: a, image: y}]}} | {spec: {containers: [{name: a, image: y}]}}
        {spec: {containers: [{name: a, image: x}]}} | {spec: {containers: [{name: a, args: [p]}]}} | {spec: {containers: [{name: a, image: x, args: [p]}]}}
        {spec: {containers: [{name: a, args: [p, q]}]}} | {spec: {containers: [{name: a, args: [r]}]}} | {spec: {containers: [{name: a, args: [r]}]}}
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{name: b}]}} | {spec: {containers: [{name: b}, {name: a}]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {containers: [{name: c}]}} | {spec: {containers: [{name: c}, {name: a}, {name: b}]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {containers: [{name: b, image: x}]}} | {spec: {containers: [{name: a}, {name: b, image: x}]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {containers: [{name: b, image: x}, {name: a, image: y}]}} | {spec: {containers: [{name: b, image: x}, {name: a, image: y}]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {containers: [{name: a, $patch: delete}]}} | {spec: {containers: [{name: b}]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {containers: [{name: c, $patch: delete}]}} | {spec: {containers: [{name: a}, {name: b}]}}
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{$patch: replace}, {name: b}]}} | {spec: {containers: [{name: b}]}}
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{$patch: replace}]}} | {spec: {containers: []}}
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{name: a, $patch: merge}]}} | ! merging lists cannot yet be specified in the patch
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{name: a, $patch: twist}]}} | ! unknown patch type: twist in map: map[$patch:twist name:a]
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{$patch: delete}]}} | ! map: map[$patch:delete] does not contain declared merge key: name
        {spec: {containers: [{name: a}]}} | {spec: {containers: [{image: x}]}} | ! map: map[image:x] does not contain declared merge key: name
        {spec: {containers: [{name: a}]}} | {spec: {containers: [x]}} | ! list element types are not identical: [[map[name:a]] [x]]
        {spec: {containers: [{name: a}]}} | {spec: {containers: [[x]]}} | ! list element types are not identical: [[map[name:a]] [[x]]]
        {spec: {containers: []}} | {spec: {containers: [[x]]}} | ! lists of lists are not supported
        {spec: {containers: [{name: a}]}} | {spec: {containers: []}} | {spec: {containers: [{name: a}]}}
        {spec: {containers: [{name: a}]}} | {spec: {containers: null}} | {spec: {}}
        {} | {spec: {containers: [{name: a, $patch: delete}, {name: b}]}} | {spec: {containers: [{name: b}]}}
        {spec: {containers: [{name: a, ports: [{containerPort: 80, protocol: TCP}]}]}} | {spec: {containers: [{name: a, ports: [{containerPort: 80, protocol: UDP}]}]}} | {spec: {containers: [{name: a, ports: [{containerPort: 80, protocol: UDP}]}]}}
        {spec: {containers: [{name: a, env: [{name: k, value: v}]}]}} | {spec: {containers: [{name: a, env: [{name: k, value: null, valueFrom: {fieldRef: {fieldPath: f}}}]}]}} | {spec: {containers: [{name: a, env: [{name: k, valueFrom: {fieldRef: {fieldPath: f}}}]}]}}
        {spec: {containers: [{name: a, volumeMounts: [{mountPath: /x, name: v}]}]}} | {spec: {containers: [{name: a, volumeMounts: [{mountPath: /y, name: v}]}]}} | {spec: {containers: [{name: a, volumeMounts: [{mountPath: /y, name: v}, {mountPath: /x, name: v}]}]}}
        {spec: {tolerations: [{key: a}]}} | {spec: {tolerations: [{key: b}]}} | {spec: {tolerations: [{key: b}]}}
        {spec: {nodeSelector: {a: x}}} | {spec: {nodeSelector: {b: y}}} | {spec: {nodeSelector: {a: x, b: y}}}
        {spec: {volumes: [{name: v, emptyDir: {}}]}} | {spec: {volumes: [{name: v, $retainKeys: [name, hostPath], hostPath: {path: /p}}]}} | {spec: {volumes: [{name: v, hostPath: {path: /p}}]}}
        {spec: {volumes: [{name: v, emptyDir: {}}]}} | {spec: {volumes: [{name: v, hostPath: {path: /p}}]}} | {spec: {volumes: [{name: v, emptyDir: {}, hostPath: {path: /p}}]}}
        {status: {conditions: [{type: Ready, status: 'True'}]}} | {status: {conditions: [{type: Ready, status: 'False'}, {type: X, status: 'True'}]}} | {status: {conditions: [{type: Ready, status: 'False'}, {type: X, status: 'True'}]}}
        {metadata: {ownerReferences: [{uid: u, name: a}]}} | {metadata: {ownerReferences: [{uid: u, $patch: delete}]}} | {metadata: {ownerReferences: []}}
        {metadata: {ownerReferences: [{uid: u, name: a}]}} | {metadata: {ownerReferences: [{uid: v, name: b}]}} | {metadata: {ownerReferences: [{uid: v, name: b}, {uid: u, name: a}]}}
        {spec: {nope: {a: 1}}} | {spec: {nope: {b: 1}}} | ! unable to find api field in struct PodSpec for the json field \"nope\"
        {spec: {nope: [1]}} | {spec: {nope: [2]}} | ! unable to find api field in struct PodSpec for the json field \"nope\"
        ",
    );
}

#[test]
fn lists_of_single_values_and_orders() {
    check(
        "v1",
        "Pod",
        "
        {metadata: {finalizers: [a]}} | {metadata: {finalizers: [b]}} | {metadata: {finalizers: [b, a]}}
        {metadata: {finalizers: [a, b]}} | {metadata: {finalizers: [b]}} | {metadata: {finalizers: [a, b]}}
        {metadata: {finalizers: [a, b]}} | {metadata: {finalizers: [b, a]}} | {metadata: {finalizers: [b, a]}}
        {metadata: {finalizers: [a, b, c]}} | {metadata: {$deleteFromPrimitiveList/finalizers: [b]}} | {metadata: {finalizers: [a, c]}}
        {metadata: {finalizers: [a]}} | {metadata: {$deleteFromPrimitiveList/finalizers: [a]}} | {metadata: {finalizers: []}}
        {metadata: {finalizers: [a]}} | {metadata: {$deleteFromPrimitiveList/finalizers: [x]}} | {metadata: {finalizers: [a]}}
        {metadata: {}} | {metadata: {$deleteFromPrimitiveList/finalizers: [x]}} | {metadata: {}}
        {metadata: {finalizers: [a, b]}} | {metadata: {$deleteFromPrimitiveList/finalizers: [a], finalizers: [c]}} | {metadata: {finalizers: [c, b]}}
        {metadata: {finalizers: [a]}} | {metadata: {$deleteFromPrimitiveList: [a]}} | ! invalid patch format of primitive list
        {metadata: {finalizers: [a]}} | {metadata: {$deleteFromPrimitiveListfinalizers: [a]}} | ! invalid patch format of primitive list
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder/finalizers: [b, a]}} | {metadata: {finalizers: [b, a]}}
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder/finalizers: [c, b, a], finalizers: [c]}} | {metadata: {finalizers: [c, b, a]}}
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder/finalizers: [a], finalizers: [c]}} | ! The order in patch list:\\n[c]\\n doesn't match $setElementOrder list:\\n[a]\\n
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder: [a]}} | ! invalid patch format of setElementOrder list
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder/finalizers: a}} | ! expected a []interface {}, but received a string
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder/finalizers: [a], finalizers: x}} | ! expected a []interface {}, but received a string
        {metadata: {finalizers: [a, b]}} | {metadata: {$setElementOrder/nope: [a]}} | ! unable to find api field in struct ObjectMeta for the json field \"nope\"
        {metadata: {labels: {}}} | {metadata: {$setElementOrder/name: [a]}} | ! expected slice or array type, but got: struct
        {metadata: {}} | {metadata: {$setElementOrder/finalizers: [a]}} | {metadata: {}}
        {metadata: {}} | {metadata: {$setElementOrder/finalizers: [b, a], finalizers: [b, a]}} | {metadata: {finalizers: [b, a]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}} | {spec: {containers: [{name: b}, {name: a}]}}
        {spec: {containers: [{name: a}, {name: b}, {name: s}]}} | {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}} | {spec: {containers: [{name: b}, {name: a}, {name: s}]}}
        {spec: {containers: [{name: s}, {name: a}, {name: b}]}} | {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}} | {spec: {containers: [{name: s}, {name: b}, {name: a}]}}
        {spec: {containers: [{name: a}]}} | {spec: {$setElementOrder/containers: [{name: n}, {name: a}], containers: [{name: n, image: x}]}} | {spec: {containers: [{name: n, image: x}, {name: a}]}}
        {spec: {containers: [{name: a}, {name: b}]}} | {spec: {$setElementOrder/containers: [{name: b}], containers: [{name: a, $patch: delete}, {name: b, image: x}]}} | {spec: {containers: [{name: b, image: x}]}}
        {spec: {containers: [{name: a}]}} | {spec: {$setElementOrder/containers: [{nom: a}]}} | ! map: map[nom:a] does not contain declared merge key: name
        {spec: {containers: [{name: a}]}} | {spec: {$setElementOrder/containers: [x]}} | ! expected a map[string]interface {}, but received a string
        ",
    );
}

#[test]
fn kinds_with_rules_of_their_own() {
    check(
        "apps/v1",
        "Deployment",
        "
        {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}} | {spec: {strategy: {$retainKeys: [type], type: Recreate}}} | {spec: {strategy: {type: Recreate}}}
        {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}} | {spec: {strategy: {type: Recreate}}} | {spec: {strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}}}
        {spec: {replicas: 3}} | {spec: {replicas: null}} | {spec: {}}
        {spec: {selector: {matchLabels: {a: x}}}} | {spec: {selector: {matchLabels: {b: y}}}} | {spec: {selector: {matchLabels: {a: x, b: y}}}}
        {spec: {template: {spec: {containers: [{name: a}]}}}} | {spec: {template: {spec: {containers: [{name: a, resources: {limits: {cpu: 1}}}]}}}} | {spec: {template: {spec: {containers: [{name: a, resources: {limits: {cpu: 1}}}]}}}}
        ",
    );
    check(
        "v1",
        "Service",
        "
        {spec: {ports: [{port: 80, protocol: TCP}]}} | {spec: {ports: [{port: 80, protocol: UDP}]}} | {spec: {ports: [{port: 80, protocol: UDP}]}}
        {spec: {ports: [{port: 80}]}} | {spec: {ports: [{port: 81}]}} | {spec: {ports: [{port: 81}, {port: 80}]}}
        {spec: {clusterIPs: [a]}} | {spec: {clusterIPs: [b]}} | {spec: {clusterIPs: [b]}}
        ",
    );
}

#[test]
fn custom_resources_have_none() {
    let error = merge(&Shape::unknown(), json!({}), json!({})).unwrap_err();
    assert_eq!((error.reason(), error), (Reason::BadRequest, StrategicError::Unsupported));
}

#[test]
fn long_lists_and_deep_patches_end() {
    let shape = Shape::builtin("v1", "Pod").unwrap();
    let list =
        |from: usize| (from..from + 20_000).map(|at| json!({"name": at.to_string()})).collect::<Vec<_>>();
    let merged = merge(
        &shape,
        json!({"spec": {"containers": list(0)}}),
        json!({"spec": {"$setElementOrder/containers": list(10_000), "containers": list(10_000)}}),
    );
    assert_eq!(merged.unwrap()["spec"]["containers"].as_array().map(Vec::len), Some(30_000));
    let mut deep = json!({});
    for _ in 0..200 {
        deep = json!({"properties": {"a": deep}});
    }
    let shape = Shape::builtin("apiextensions.k8s.io/v1", "CustomResourceDefinition").unwrap();
    let object = |inner: &Value| json!({"spec": {"conversion": inner}});
    // Deeper than any body that is read; it ends in an answer all the same.
    let _ = merge(&shape, object(&deep), object(&deep));
}

/// A pod with some of a few containers, ports, labels and volumes.
fn some_pod() -> impl Strategy<Value = Value> {
    let container = (0..4usize, 0..3u8, prop::option::of(0..3u8)).prop_map(|(name, image, port)| {
        let mut made = json!({"name": format!("c{name}"), "image": format!("i{image}")});
        if let Some(port) = port {
            made["ports"] = json!([{"containerPort": 80 + port, "protocol": "TCP"}]);
        }
        made
    });
    let unique = |items: Vec<Value>| {
        let mut seen = std::collections::BTreeSet::new();
        items.into_iter().filter(|item| seen.insert(item["name"].to_string())).collect::<Vec<_>>()
    };
    let finalizers = prop::collection::btree_set("[ab]/[x-z]", 0..3);
    let labels = prop::collection::btree_map("[a-c]", "[x-z]", 0..3);
    (prop::collection::vec(container, 1..4), labels, finalizers).prop_map(
        move |(containers, labels, finalizers)| {
            json!({
                "metadata": {"name": "p", "labels": labels, "finalizers": finalizers},
                "spec": {"containers": unique(containers)},
            })
        },
    )
}

/// A strategic patch from one object to another, as kubectl makes it.
fn difference(node: Node<'_>, old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, after) in new {
        let Some(before) = old.get(name) else {
            patch.insert(name.clone(), after.clone());
            continue;
        };
        if before == after {
            continue;
        }
        let rule = node.get().map.as_ref().and_then(|map| map.declared(name)).map(|field| &field.patch);
        match (before, after, rule) {
            (Value::Array(before), Value::Array(after), Some(rule)) if rule.merge => {
                let (item, _) = look_up_list(node, name).unwrap();
                list_difference(&mut patch, name, (before, after), item, rule);
            }
            _ => {
                let below = node.field(name).unwrap_or(node);
                patch.insert(name.clone(), difference(below, before, after));
            }
        }
    }
    Value::Object(patch)
}

fn list_difference(
    patch: &mut Map<String, Value>,
    name: &str,
    (before, after): (&[Value], &[Value]),
    item: Node<'_>,
    rule: &PatchRule,
) {
    let order = format!("{SET_ORDER}/{name}");
    let Some(key) = rule.key.as_deref() else {
        let gone: Vec<&Value> = before.iter().filter(|item| !after.contains(item)).collect();
        let new: Vec<&Value> = after.iter().filter(|item| !before.contains(item)).collect();
        patch.insert(format!("{DELETE_FROM_LIST}/{name}"), json!(gone));
        patch.insert(name.to_owned(), json!(new));
        patch.insert(order, json!(after));
        return;
    };
    let mut changes = Vec::new();
    for new in after {
        match before.iter().find(|old| old[key] == new[key]) {
            Some(old) if old == new => {}
            Some(old) => {
                let mut change = difference(item, old, new);
                change[key] = new[key].clone();
                changes.push(change);
            }
            None => changes.push(new.clone()),
        }
    }
    for old in before.iter().filter(|old| after.iter().all(|new| new[key] != old[key])) {
        changes.push(json!({DIRECTIVE: "delete", key: old[key]}));
    }
    patch.insert(order, after.iter().map(|item| json!({key: item[key]})).collect());
    if !changes.is_empty() {
        patch.insert(name.to_owned(), Value::Array(changes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_patch_of_a_difference_leads_to_its_target(old in some_pod(), new in some_pod()) {
        let shape = Shape::builtin("v1", "Pod").unwrap();
        let patch = difference(shape.root(), &old, &new);
        prop_assert_eq!(merge(&shape, old, patch), Ok(new));
    }

    #[test]
    fn any_patch_has_an_answer(old in some_pod(), patch in any_patch()) {
        let shape = Shape::builtin("v1", "Pod").unwrap();
        let _ = merge(&shape, old, patch);
    }
}

/// Patches of directives and nonsense.
fn any_patch() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3i64).prop_map(Value::from),
        "(replace|delete|merge|a|c0|c1)".prop_map(Value::from),
    ];
    let name = "(metadata|spec|containers|name|ports|finalizers|labels|\\$patch|\\$retainKeys|\
                \\$deleteFromPrimitiveList/finalizers|\\$setElementOrder/containers|\\$setElementOrder/finalizers|\
                \\$setElementOrder)";
    leaf.prop_recursive(5, 48, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
