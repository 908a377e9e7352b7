//! The subresources: status, scale, binding, eviction, ephemeral containers, resize, finalize; and the refusal of
//! those that need a connection.
//!
//! Owns which subresource takes which verb and what its body is. What a face of an object may change is the
//! door's.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{Binding, Pod, PodCondition};
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::Body;
use super::content::{self, Accepted, Offer};
use super::path::{Target, Verb};
use super::query::{self, Query, WriteVerb};
use super::status::{self, Failure};
use super::verbs::Call;
use super::{Wire, discovery, respond_value, scale};
use crate::api::{FieldErrors, FieldPath, KindInfo, Reason, ScalePaths, StatusError};
use crate::apiserver::{DeleteOptions, Face, Patch, WriteOptions};
use crate::limits::CONFLICT_RETRIES;
use crate::store::Record;

/// Those that need a connection to a node: what is there of them comes with the listener.
const CONNECTED: [&str; 5] = ["log", "exec", "attach", "portforward", "proxy"];

/// Answers a request about a subresource.
pub(super) fn answer(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let name = call.target.subresource.as_deref().unwrap_or_default();
    let info = call.info();
    if info.group.is_empty() && CONNECTED.contains(&name) && info.plural == "pods" {
        return connect(call, name);
    }
    let known = discovery::subresources(info);
    let Some(sub) = known.iter().find(|sub| sub.name == name && call.target.rest.is_empty()) else {
        return Err(Failure::NoResource);
    };
    if !sub.verbs.contains(&call.target.verb.as_str()) {
        return Err(Failure::NoMethod);
    }
    match (name, &info.scale) {
        ("status", _) => face(call, Face::Status),
        ("finalize", _) => face(call, Face::Finalize),
        ("ephemeralcontainers", _) => face(call, Face::EphemeralContainers),
        ("resize", _) => face(call, Face::Resize),
        ("binding", _) => bind(call),
        ("eviction", _) => evict(call),
        ("scale", Some(paths)) => scale_verb(call, paths),
        _ => Err(Failure::NoResource),
    }
}

fn face(call: &Call<'_>, face: Face) -> Result<Response<Body>, Failure> {
    match call.target.verb {
        Verb::Get => {
            let record = call.wire.server.get(call.kind, &call.key())?;
            call.show(StatusCode::OK, &record)
        }
        Verb::Update => call.update(face),
        Verb::Patch => call.patch(face),
        _ => Err(Failure::NoMethod),
    }
}

/// Logs, terminals and ports of a pod.
fn connect(call: &Call<'_>, name: &str) -> Result<Response<Body>, Failure> {
    if name == "log" && call.target.verb != Verb::Get {
        return Err(Failure::NoMethod);
    }
    call.wire.server.get(call.kind, &call.key())?;
    let message = format!("pods/{name} is not served: this server has no connection to nodes yet");
    Err(StatusError::new(Reason::ServiceUnavailable, message).into())
}

/// The names of a kind that is only the body of a subresource.
fn body_info(of: &KindInfo, api_version: &str, kind: &str) -> KindInfo {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    KindInfo {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        ..of.clone()
    }
}

fn decode<T: DeserializeOwned>(value: Value) -> Result<(T, Vec<String>), String> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(path.to_string());
    let object = serde_ignored::deserialize(value, &mut note).map_err(|cause| cause.to_string())?;
    Ok((object, unknown))
}

fn read<T: DeserializeOwned>(call: &Call<'_>, info: &KindInfo, options: &WriteOptions) -> Result<T, Failure> {
    call.read_object(options.field_validation, info, decode::<T>, &options.warnings)
}

fn created(call: &Call<'_>) -> Response<Body> {
    call.show_value(StatusCode::CREATED, &status::success(201))
}

/// Whether the path is that of bindings that name their pod themselves.
pub(super) fn is_legacy_binding(target: &Target) -> bool {
    target.group.is_empty()
        && target.version == "v1"
        && target.resource == "bindings"
        && target.namespace.is_some()
        && target.name.is_none()
}

/// A binding posted to its namespace: the pod is the one of its name.
pub(super) fn bind_by_body(
    wire: &Wire,
    parts: &Parts,
    query: &Query,
    body: &Bytes,
    target: &Target,
) -> Result<Response<Body>, Failure> {
    if target.verb != Verb::Create {
        return Err(Failure::NoMethod);
    }
    let registry = wire.server.registry();
    let Some(kind) = registry.id_of::<Pod>() else { return Err(Failure::NoResource) };
    let accepted: Accepted = content::negotiate(&parts.headers, query, Offer::Plain)?;
    let strategy = registry.strategy(kind).clone();
    let target = Target { resource: "pods".to_owned(), ..target.clone() };
    let mut call =
        Call { wire, parts, query: query.clone(), body, target, kind, version: 0, strategy, accepted };
    let options = call.write_query(WriteVerb::Create)?.options;
    let binding: Binding = read(&call, &body_info(call.info(), "v1", "Binding"), &options)?;
    call.target.name = binding.metadata.name.clone();
    bind_to(&call, &binding, &options)?;
    Ok(respond_value(StatusCode::CREATED, &call.accepted, &status::success(201)))
}

fn bind(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let options = call.write_query(WriteVerb::Create)?.options;
    let binding: Binding = read(call, &body_info(call.info(), "v1", "Binding"), &options)?;
    if binding.metadata.name.as_ref().is_some_and(|name| Some(name) != call.target.name.as_ref()) {
        let message = "name in URL does not match name in Binding object";
        return Err(StatusError::bad_request(message).into());
    }
    bind_to(call, &binding, &options)?;
    Ok(created(call))
}

fn bind_to(call: &Call<'_>, binding: &Binding, options: &WriteOptions) -> Result<(), Failure> {
    let key = call.key();
    let target = &binding.target;
    let mut errors = FieldErrors::default();
    let path = FieldPath::new("target");
    let kind = target.kind.as_deref().unwrap_or_default();
    if !matches!(kind, "" | "Node") {
        errors.not_supported(&path.child("kind"), kind, &["Node", "<empty>"]);
    }
    let node = target.name.as_deref().unwrap_or_default();
    if node.is_empty() {
        errors.required(&path.child("name"), "");
    }
    if !errors.is_empty() {
        return Err(StatusError::invalid("", "Binding", key.name(), errors.into_list()).into());
    }
    if options.dry_run {
        call.wire.server.get(call.kind, &key)?;
        return Ok(());
    }
    let uid = binding.metadata.uid.as_deref().unwrap_or_default();
    call.wire.server.bind(&key, uid, node)?;
    Ok(())
}

/// Evicts a pod: says in its conditions why it goes, and deletes it, unless a budget forbids it.
fn evict(call: &Call<'_>) -> Result<Response<Body>, Failure> {
    let write = call.write_query(WriteVerb::Create)?.options;
    let eviction: Eviction = read(call, &body_info(call.info(), "policy/v1", "Eviction"), &write)?;
    let key = call.key();
    if eviction.metadata.name.as_deref().unwrap_or_default() != key.name() {
        let message = "name in URL does not match name in Eviction object";
        return Err(StatusError::bad_request(message).into());
    }
    let given = serde_json::to_value(&eviction.delete_options).unwrap_or_default();
    let mut options: DeleteOptions = match given.is_null() {
        true => DeleteOptions::default(),
        false => query::delete_options(Some(&given), &call.query)?.options,
    };
    options.dry_run |= write.dry_run;
    let server = &call.wire.server;
    for _ in 0..CONFLICT_RETRIES {
        let record = server.get(call.kind, &key)?;
        check_budget(&record)?;
        let evicted = evict_at(call, &record, &options, &write);
        match evicted {
            // Somebody else was faster: judged anew, unless the caller named the revision.
            Err(conflict) if conflict.is_conflict() && options.resource_version.is_none() => {}
            Err(refused) => return Err(refused.into()),
            Ok(()) => return Ok(created(call)),
        }
    }
    let why = "too many others changed it at the same time";
    Err(StatusError::conflict("", "pods", key.name(), why).into())
}

/// Whether the budgets of a pod let it go. There are no budgets yet: the kind and its controller come later, and
/// are asked here.
fn check_budget(_pod: &Record) -> Result<(), StatusError> {
    Ok(())
}

fn evict_at(
    call: &Call<'_>,
    record: &Record,
    options: &DeleteOptions,
    write: &WriteOptions,
) -> Result<(), StatusError> {
    let server = &call.wire.server;
    let key = &record.header.key;
    let revision = record.header.revision.to_string();
    if options.uid.as_deref().is_some_and(|uid| *uid != *record.header.uid)
        || options.resource_version.as_ref().is_some_and(|asked| *asked != revision)
        || options.dry_run
    {
        // The door says what is wrong with the precondition.
        return server.delete(call.kind, key, options).map(drop);
    }
    let mut pod: Pod = record.decode();
    let now = server.world().clock.now();
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != "DisruptionTarget");
    conditions.push(PodCondition {
        type_: "DisruptionTarget".to_owned(),
        status: "True".to_owned(),
        reason: Some("EvictionByEvictionAPI".to_owned()),
        message: Some("Eviction API: evicting".to_owned()),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    });
    server.update(call.kind, Face::Status, Box::new(pod), write)?;
    let options = DeleteOptions { resource_version: None, ..options.clone() };
    server.delete(call.kind, key, &options.of_uid(&record.header.uid)).map(drop)
}

fn scale_verb(call: &Call<'_>, paths: &ScalePaths) -> Result<Response<Body>, Failure> {
    let server = &call.wire.server;
    let shown = |record: &Record| server.value_in(record, call.version).map(|value| scale::of(&value, paths));
    match call.target.verb {
        Verb::Get => {
            let record = server.get(call.kind, &call.key())?;
            Ok(call.show_value(StatusCode::OK, &shown(&record)?))
        }
        Verb::Update => {
            let options = call.write_query(WriteVerb::Update)?.options;
            let given: Scale = read(call, &scale::info(call.info()), &options)?;
            call.check_name(given.metadata.name.as_deref().unwrap_or_default())?;
            let record = write_scale(call, paths, &given, &options)?;
            Ok(call.show_value(StatusCode::OK, &shown(&record)?))
        }
        _ => {
            let (patch, options) = call.read_patch()?;
            let mut tries = CONFLICT_RETRIES;
            loop {
                let value = patched_scale(shown(&*server.get(call.kind, &call.key())?)?, &patch)?;
                let (given, _) = decode::<Scale>(value).map_err(StatusError::bad_request)?;
                tries -= 1;
                match write_scale(call, paths, &given, &options) {
                    // A patch that names no revision is applied anew when somebody else was faster.
                    Err(Failure::Status(raced))
                        if raced.is_conflict() && tries > 0 && !names_revision(&patch) => {}
                    written => return Ok(call.show_value(StatusCode::OK, &shown(&*written?)?)),
                }
            }
        }
    }
}

/// The Scale that a patch leads to. A Scale has no lists, so every patch that is an object is merged alike.
fn patched_scale(mut value: Value, patch: &Patch) -> Result<Value, StatusError> {
    match patch {
        Patch::Merge(given) | Patch::Strategic(given) | Patch::Apply { value: given, .. } => {
            crate::api::patch::merge(&mut value, given.clone());
            Ok(value)
        }
        Patch::Json(operations) => operations.apply(&value).map_err(|cause| {
            let rejected = "the server rejected our request due to an error in our request";
            StatusError::new(Reason::Invalid, format!("{rejected}: {cause}"))
        }),
    }
}

fn names_revision(patch: &Patch) -> bool {
    match patch {
        Patch::Merge(given) | Patch::Strategic(given) | Patch::Apply { value: given, .. } => {
            given["metadata"]["resourceVersion"].is_string()
        }
        Patch::Json(operations) => operations.touches("/metadata/resourceVersion"),
    }
}

fn write_scale(
    call: &Call<'_>,
    paths: &ScalePaths,
    given: &Scale,
    options: &WriteOptions,
) -> Result<std::sync::Arc<Record>, Failure> {
    let replicas = i64::from(given.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0));
    let name = call.target.name.as_deref().unwrap_or_default();
    if replicas < 0 {
        let mut errors = FieldErrors::default();
        let path = FieldPath::new("spec");
        errors.invalid(&path.child("replicas"), replicas, crate::api::meta::NEGATIVE);
        return Err(StatusError::invalid("autoscaling", "Scale", name, errors.into_list()).into());
    }
    let patch = scale::patch(paths, replicas, given.metadata.resource_version.as_deref());
    let server = &call.wire.server;
    Ok(server.patch(call.kind, &call.key(), Face::Main, &Patch::Merge(patch), options)?)
}
