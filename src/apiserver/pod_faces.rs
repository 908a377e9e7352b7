//! The faces of a pod besides its whole and its status: `ephemeralcontainers` and `resize`.
//!
//! Owns what a write of such a face may change: everything else stays as it is. Pure.
//!
//! Invariant: what [`prepare`] leaves differs from the old pod in the face alone, and in metadata.

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use serde_json::Value;

use super::options::Face;
use crate::api::kinds::qos_class;
use crate::api::{FieldErrors, FieldPath, Object};

/// The annotation that marks a pod as the shadow of a static one.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Takes over from the old pod what the face does not show. Objects that are no pods are left alone.
pub(super) fn prepare(face: Face, object: &mut dyn Object, old: &dyn Object) {
    let (Some(pod), Some(old)) =
        (object.as_any_mut().downcast_mut::<Pod>(), old.as_any().downcast_ref::<Pod>())
    else {
        return;
    };
    let given = pod.spec.take().unwrap_or_default();
    let mut spec = old.spec.clone().unwrap_or_default();
    match face {
        Face::EphemeralContainers => {
            spec.ephemeral_containers = given.ephemeral_containers;
            let (name, version) = (pod.metadata.name.take(), pod.metadata.resource_version.take());
            pod.metadata = old.metadata.clone();
            pod.metadata.name = name;
            pod.metadata.resource_version = version;
        }
        _ => {
            let init = (given.init_containers.as_deref(), spec.init_containers.as_deref_mut());
            let fits = same_names(&given.containers, &spec.containers)
                && same_names(
                    given.init_containers.as_deref().unwrap_or_default(),
                    init.1.as_deref().unwrap_or_default(),
                );
            if fits {
                resize(&given.containers, &mut spec.containers);
                if let (Some(given), Some(kept)) = init {
                    resize(given, kept);
                }
                spec.resources = given.resources;
            } else {
                // Left as given, so that validation says what is wrong with it.
                spec.containers = given.containers;
                spec.init_containers = given.init_containers;
            }
            pod.metadata.labels.clone_from(&old.metadata.labels);
            pod.metadata.annotations.clone_from(&old.metadata.annotations);
            pod.metadata.finalizers.clone_from(&old.metadata.finalizers);
            pod.metadata.owner_references.clone_from(&old.metadata.owner_references);
        }
    }
    pod.spec = Some(spec);
    pod.status.clone_from(&old.status);
}

fn same_names(given: &[Container], kept: &[Container]) -> bool {
    given.len() == kept.len() && given.iter().zip(kept).all(|(given, kept)| given.name == kept.name)
}

fn resize(given: &[Container], kept: &mut [Container]) {
    for (given, kept) in given.iter().zip(kept) {
        kept.resources.clone_from(&given.resources);
        kept.resize_policy.clone_from(&given.resize_policy);
    }
}

/// Collects what is wrong with the change.
pub(super) fn validate(face: Face, object: &dyn Object, old: &dyn Object, errors: &mut FieldErrors) {
    let (Some(pod), Some(old)) = (object.as_any().downcast_ref::<Pod>(), old.as_any().downcast_ref::<Pod>())
    else {
        return;
    };
    let mirrored = old.metadata.annotations.as_ref().is_some_and(|list| list.contains_key(MIRROR_POD));
    let nothing = FieldPath::new("");
    match face {
        Face::EphemeralContainers if mirrored => {
            errors.forbidden(&nothing, "static pods do not support ephemeral containers");
        }
        Face::EphemeralContainers => validate_ephemeral(pod, old, errors),
        _ if mirrored => errors.forbidden(&nothing, "static pods cannot be resized"),
        _ => validate_resize(pod, old, errors),
    }
}

fn validate_ephemeral(pod: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let spec = FieldPath::new("spec");
    let path = spec.child("ephemeralContainers");
    let list =
        |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.clone()).unwrap_or_default();
    let now = list(pod);
    for before in list(old) {
        let name = &before.name;
        match now.iter().find(|now| now.name == *name) {
            None => {
                errors
                    .forbidden(&path, format!("existing ephemeral containers {name:?} may not be removed\n"));
            }
            Some(now) if *now != before => {
                errors
                    .forbidden(&path, format!("existing ephemeral containers {name:?} may not be changed\n"));
            }
            Some(_) => {}
        }
    }
}

fn validate_resize(pod: &Pod, old: &Pod, errors: &mut FieldErrors) {
    let (Some(new), Some(before)) = (&pod.spec, &old.spec) else { return };
    let path = FieldPath::new("spec");
    if before.os.as_ref().is_some_and(|os| os.name == "windows") {
        errors.forbidden(&FieldPath::new(""), "windows pods cannot be resized");
        return;
    }
    if qos_class(new) != qos_class(before) {
        let class = old.status.as_ref().and_then(|status| status.qos_class.clone());
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.invalid(&path, class.map_or(Value::Null, Value::String), why);
    }
    let none = Vec::new();
    let init =
        (new.init_containers.as_ref().unwrap_or(&none), before.init_containers.as_ref().unwrap_or(&none));
    let lists = [("containers", &new.containers, &before.containers), ("initContainers", init.0, init.1)];
    for (field, new, before) in lists {
        let path = path.child(field);
        if !same_names(new, before) {
            errors.forbidden(&path, "containers may not be renamed or reordered on resize");
            continue;
        }
        for (at, (new, before)) in new.iter().zip(before).enumerate() {
            let place = path.index(at);
            validate_container(new, before, &place.child("resources"), errors);
        }
    }
}

/// Only cpu and memory may differ, and neither may go.
fn validate_container(new: &Container, before: &Container, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let none = ResourceRequirements::default();
    let (new, before) = (new.resources.as_ref().unwrap_or(&none), before.resources.as_ref().unwrap_or(&none));
    let parts = [("requests", &new.requests, &before.requests), ("limits", &new.limits, &before.limits)];
    for (field, new, before) in parts {
        let new = new.clone().unwrap_or_default();
        let before = before.clone().unwrap_or_default();
        for name in ["cpu", "memory"] {
            if before.contains_key(name) && !new.contains_key(name) {
                errors.forbidden(&path.child(field), format!("resource {field} cannot be removed"));
            }
        }
        let others = |list: &std::collections::BTreeMap<String, _>| {
            let mut list = list.clone();
            list.retain(|name: &String, _| name != "cpu" && name != "memory");
            list
        };
        if others(&new) != others(&before) {
            errors.forbidden(&FieldPath::new("spec"), "only cpu and memory resources are mutable");
        }
    }
    if new.claims != before.claims {
        errors.forbidden(&FieldPath::new("spec"), "only cpu and memory resources are mutable");
    }
}
