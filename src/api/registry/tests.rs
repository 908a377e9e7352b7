//! Kinds that come and go, and kinds of several versions.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;

use super::{KindId, Retired, Strategy};
use crate::api::{DynamicObject, kinds};

fn strategy(version: &str, kind: &str) -> Arc<dyn Strategy> {
    let registry = kinds::builtin();
    let mut retired = Retired::of(&*registry.strategy(KindId(0)));
    retired.info.group = "example.com".into();
    retired.info.version = version.into();
    retired.info.api_version = format!("example.com/{version}");
    retired.info.kind = kind.into();
    retired.info.plural = format!("{}s", kind.to_lowercase());
    Arc::new(retired)
}

#[test]
fn a_number_is_never_given_twice() {
    let registry = kinds::builtin();
    let fixed = registry.iter().count();
    let first = registry.add(strategy("v1", "Thing"));
    assert_eq!(registry.find("example.com/v1", "Thing"), Some(first));
    assert_eq!(registry.find_resource("example.com", "v1", "things").map(|s| s.kind), Some(first));
    registry.remove(first);
    assert_eq!(registry.find("example.com/v1", "Thing"), None);
    assert!(!registry.is_there(first));
    let second = registry.add(strategy("v1", "Thing"));
    assert_ne!(first, second);
    assert_eq!(registry.find("example.com/v1", "Thing"), Some(second));
    // What is gone still has its names.
    assert_eq!(registry.strategy(first).info().kind, "Thing");
    registry.replace(second, strategy("v2", "Thing"));
    assert_eq!(registry.find("example.com/v1", "Thing"), None);
    assert_eq!(registry.find("example.com/v2", "Thing"), Some(second));
    assert_eq!(registry.iter().count(), fixed + 1);
    assert!(registry.id_of::<ConfigMap>().is_some());
}

#[test]
fn a_dynamic_object_keeps_everything() {
    let json = br#"{"apiVersion":"a/v1","kind":"K","metadata":{"name":"n"},"spec":{"x":1.5},"y":null}"#;
    let object = DynamicObject::from_slice("", "", json).unwrap();
    assert_eq!(serde_json::to_string(&object).unwrap().as_bytes(), json);
}
