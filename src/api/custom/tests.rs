//! Paths of columns, and the order of versions.

use serde_json::{Value, json};

use super::path::Path;
use super::priority;

#[test]
fn paths_find_what_columns_show() {
    let value = json!({"a": {"b.c": 1, "l": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}, "m": {"k": "v"}});
    for (path, found) in [
        (".a.l[0].n", "[\"x\"]"),
        (".a.l[-1].v", "[2]"),
        (".a.l[*].n", "[\"x\",\"y\"]"),
        (".a.l[?(@.n==\"y\")].v", "[2]"),
        (".a.l[?(@.n!='y')].v", "[1]"),
        (".a['b.c']", "[1]"),
        (".a.b\\.c", "[1]"),
        ("{.m.k}", "[\"v\"]"),
        (".m.*", "[\"v\"]"),
        (".none.k", "[]"),
        (".a.l[7]", "[]"),
    ] {
        let found_values: Vec<&Value> = Path::parse(path).unwrap().find(&value);
        assert_eq!(serde_json::to_string(&found_values).unwrap(), found, "{path}");
    }
    for wrong in [".a[", ".a[x", ".a[?(x)]", "..a"] {
        assert!(Path::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn versions_are_ordered_as_upstream_orders_them() {
    let mut versions = ["v1", "foo", "v2", "v1beta1", "v11", "v3beta1", "v1alpha1", "bar"];
    versions.sort_by(|a, b| priority(b).cmp(&priority(a)));
    assert_eq!(versions, ["v11", "v2", "v1", "v3beta1", "v1beta1", "v1alpha1", "bar", "foo"]);
}
