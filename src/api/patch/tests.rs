//! Tables and properties of `api::patch`.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Rows of `document | patch | result`, or `! error` for a result.
fn check(apply: impl Fn(&str, &str) -> Result<Value, String>, table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let [document, patch, expected] = row.split(" | ").map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("a row has three parts: {row}");
        };
        let got = apply(document, patch);
        match expected.strip_prefix("! ") {
            Some(sentence) => assert_eq!(got, Err(sentence.to_owned()), "{row}"),
            None => assert_eq!(got, Ok(serde_json::from_str(expected).expect(row)), "{row}"),
        }
    }
}

fn merged(document: &str, patch: &str) -> Result<Value, String> {
    let mut document = serde_json::from_str(document).expect(document);
    merge(&mut document, serde_json::from_str(patch).expect(patch));
    Ok(document)
}

fn patched(document: &str, patch: &str) -> Result<Value, String> {
    let document = serde_json::from_str(document).expect(document);
    let patch = JsonPatch::decode(patch.as_bytes()).map_err(|error| error.to_string())?;
    patch.apply(&document).map_err(|error| error.to_string())
}

#[test]
fn the_merges_of_the_rfc() {
    check(
        merged,
        r#"
        {"a":"b"} | {"a":"c"} | {"a":"c"}
        {"a":"b"} | {"b":"c"} | {"a":"b","b":"c"}
        {"a":"b"} | {"a":null} | {}
        {"a":"b","b":"c"} | {"a":null} | {"b":"c"}
        {"a":["b"]} | {"a":"c"} | {"a":"c"}
        {"a":"c"} | {"a":["b"]} | {"a":["b"]}
        {"a":{"b":"c"}} | {"a":{"b":"d","c":null}} | {"a":{"b":"d"}}
        {"a":[{"b":"c"}]} | {"a":[1]} | {"a":[1]}
        ["a","b"] | ["c","d"] | ["c","d"]
        {"a":"b"} | ["c"] | ["c"]
        {"a":"foo"} | null | null
        {"a":"foo"} | "bar" | "bar"
        {"e":null} | {"a":1} | {"e":null,"a":1}
        [1,2] | {"a":"b","c":null} | {"a":"b"}
        {} | {"a":{"bb":{"ccc":null}}} | {"a":{"bb":{}}}
        {} | {"a":[{"b":null,"c":1},null]} | {"a":[{"c":1},null]}
        "#,
    );
}

#[test]
fn the_operations_of_the_rfc() {
    check(
        patched,
        r#"
        {"a":1} | [{"op":"add","path":"/b","value":2}] | {"a":1,"b":2}
        {"a":[1,3]} | [{"op":"add","path":"/a/1","value":2}] | {"a":[1,2,3]}
        {"a":[1]} | [{"op":"add","path":"/a/-","value":[2]}] | {"a":[1,[2]]}
        {"a":[1]} | [{"op":"add","path":"/a/1","value":2}] | {"a":[1,2]}
        {"a":1,"b":2} | [{"op":"remove","path":"/b"}] | {"a":1}
        {"a":[1,2,3]} | [{"op":"remove","path":"/a/1"}] | {"a":[1,3]}
        {"a":1} | [{"op":"replace","path":"/a","value":2}] | {"a":2}
        {"a":{"b":1},"c":{}} | [{"op":"move","from":"/a/b","path":"/c/d"}] | {"a":{},"c":{"d":1}}
        {"a":[1,2,3]} | [{"op":"move","from":"/a/0","path":"/a/2"}] | {"a":[2,3,1]}
        {"a":{"b":1}} | [{"op":"copy","from":"/a","path":"/c"}] | {"a":{"b":1},"c":{"b":1}}
        {"a":{"b":[1,"x"]}} | [{"op":"test","path":"/a","value":{"b":[1,"x"]}}] | {"a":{"b":[1,"x"]}}
        {"a/b":1,"m~n":2} | [{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/m~0n"}] | {}
        {"~1":1} | [{"op":"test","path":"/~01","value":1}] | {"~1":1}
        {"":1} | [{"op":"test","path":"/","value":1}] | {"":1}
        {"a":1} | [{"op":"replace","path":"","value":[1]}] | [1]
        {"a":1} | [{"op":"test","path":"","value":{"a":1}}] | {"a":1}
        {"a":1} | [] | {"a":1}
        {"a":1} | [{"op":"add","path":"/b","value":2,"unknown":3}] | {"a":1,"b":2}
        "#,
    );
}

#[test]
fn where_upstream_is_wider_than_the_rfc() {
    check(
        patched,
        r#"
        {"a":[1,2]} | [{"op":"add","path":"/a/-1","value":3}] | {"a":[1,2,3]}
        {"a":[1,2]} | [{"op":"remove","path":"/a/-1"}] | {"a":[1]}
        {} | [{"op":"replace","path":"/a","value":2}] | {"a":2}
        {} | [{"op":"test","path":"/a","value":null}] | {}
        {} | [{"op":"copy","from":"/a","path":"/b"}] | {"b":null}
        {} | [{"op":"add","path":"/a"}] | {"a":null}
        "#,
    );
}

#[test]
fn operations_that_fail_say_why() {
    check(
        patched,
        r#"
        {} | [{"op":"remove","path":"/a"}] | ! operation 0: error in remove for path: '/a': Unable to remove nonexistent key: a: missing value
        {} | [{"op":"add","path":"/a","value":1},{"op":"add","path":"/b/c","value":1}] | ! operation 1: add operation does not apply: doc is missing path: "/b/c": missing value
        {"a":1} | [{"op":"add","path":"/a/b","value":1}] | ! operation 0: add operation does not apply: doc is missing path: "/a/b": missing value
        {"a":[]} | [{"op":"remove","path":"/a/0"}] | ! operation 0: error in remove for path: '/a/0': Unable to access invalid index: 0: invalid index referenced
        {"a":[]} | [{"op":"add","path":"/a/1","value":1}] | ! operation 0: error in add for path: '/a/1': Unable to access invalid index: 1: invalid index referenced
        {"a":[]} | [{"op":"add","path":"/a/b","value":1}] | ! operation 0: error in add for path: '/a/b': Unable to access invalid index: b: invalid index referenced
        {"a":[1]} | [{"op":"replace","path":"/a/-","value":1}] | ! operation 0: error in replace for path: '/a/-': Unable to access invalid index: -: invalid index referenced
        {"a":1} | [{"op":"test","path":"/a","value":2}] | ! operation 0: testing value /a failed: test failed
        {"a":1} | [{"op":"replace","path":"","value":2}] | ! operation 0: replace operation value must be object or array
        {"a":{}} | [{"op":"move","from":"/a","path":"/a/b"}] | ! operation 0: move operation does not apply: doc is missing path: "/a/b": missing value
        {} | [{"op":"merge","path":"/a"}] | ! operation 0: Unexpected kind: merge
        {} | [{"path":"/a"}] | ! operation 0: Unexpected kind: unknown
        {} | [{"op":"add"}] | ! operation 0: add operation failed to decode path: missing value
        {} | [{"op":"copy","path":"/a"}] | ! operation 0: copy operation failed to decode from: missing value
        {} | [{"op":"add","path":"a","value":1}] | ! operation 0: "a" is not a JSON pointer: it must begin with '/'
        {} | [{"op":"remove","path":""}] | ! operation 0: remove operation does not apply: doc is missing path: "": missing value
        {} | {} | ! cannot decode the JSON patch: a list of operations is expected
        {} | [1] | ! cannot decode the JSON patch: operation 0 is not an object
        "#,
    );
}

#[test]
fn hostile_patches_end() {
    let many = Value::Array(vec![json!({"op": "remove", "path": "/a"}); PATCH_OPERATIONS + 1]);
    assert_eq!(JsonPatch::from_value(many), Err(PatchError::Many(PATCH_OPERATIONS + 1)));
    let apply = |document: Value, operations: Vec<Value>| {
        JsonPatch::from_value(Value::Array(operations)).unwrap().apply(&document)
    };
    let problem = |result: Result<Value, PatchError>| match result {
        Err(PatchError::Operation { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let copies = vec![json!({"op": "copy", "from": "/a", "path": "/a/-"}); 100];
    let wide = json!({"a": ["x".repeat(100_000)]});
    assert!(matches!(problem(apply(wide, copies)), OperationError::Copies(_)));
    let path = |depth: usize| "/a".repeat(depth);
    let deeper = (1..=200).map(|depth| json!({"op": "add", "path": path(depth), "value": {}})).collect();
    assert_eq!(problem(apply(json!({}), deeper)), OperationError::Deep);
    let moves = |n: usize| {
        let (from, path) = if n.is_multiple_of(2) { ("/a", "/b/a") } else { ("/b/a", "/a") };
        json!({"op": "move", "from": from, "path": path})
    };
    let items = vec![json!(0); 100_000];
    let document = json!({"a": items, "b": {}});
    assert_eq!(problem(apply(document, (0..1000).map(moves).collect())), OperationError::Work);
}

fn trees() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from)];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c~/]{0,2}", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// The RFC's own few lines, for a patch without objects in lists.
fn model(target: Option<Value>, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut fields = match target {
        Some(Value::Object(fields)) => fields,
        _ => Default::default(),
    };
    for (key, change) in changes {
        let old = fields.remove(key);
        if !change.is_null() {
            fields.insert(key.clone(), model(old, change));
        }
    }
    Value::Object(fields)
}

fn without_lists(value: Value) -> Value {
    match value {
        Value::Array(_) => json!([1, "list"]),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, without_lists(value))).collect())
        }
        other => other,
    }
}

fn operations() -> impl Strategy<Value = Value> {
    let path = "(/[a-c0-2~-]{0,2}){0,3}";
    let op = prop::sample::select(vec!["add", "remove", "replace", "move", "copy", "test"]);
    (op, path, path, trees())
        .prop_map(|(op, from, path, value)| json!({"op": op, "from": from, "path": path, "value": value}))
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        cases: 512,
        ..ProptestConfig::default()
    })]

    #[test]
    fn merging_is_that_of_the_rfc(target in trees(), patch in trees()) {
        let patch = without_lists(patch);
        let mut merged = target.clone();
        merge(&mut merged, patch.clone());
        prop_assert_eq!(&merged, &model(Some(target), &patch));
        let once = merged.clone();
        merge(&mut merged, patch);
        prop_assert_eq!(merged, once);
    }

    #[test]
    fn what_is_added_can_be_tested_and_removed(document in trees(), value in trees(), key in "[a-z~/]{1,4}") {
        prop_assume!(document.get(&key).is_none() && document.is_object());
        let path = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        let patch = json!([
            {"op": "add", "path": path, "value": value},
            {"op": "test", "path": path, "value": value},
            {"op": "move", "from": path, "path": "/elsewhere"},
            {"op": "remove", "path": "/elsewhere"},
        ]);
        prop_assert_eq!(JsonPatch::from_value(patch).unwrap().apply(&document), Ok(document));
    }

    #[test]
    fn no_patch_panics(document in trees(), patch in prop::collection::vec(operations(), 0..8), other in trees(),
                       bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(patch) = JsonPatch::from_value(Value::Array(patch)) {
            let _ = patch.apply(&document);
        }
        let _ = JsonPatch::from_value(other);
        let _ = JsonPatch::decode(&bytes);
    }
}
