//! Carries out the steps of a plan through the door. Thin: one call a step.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::Error;
use super::plan::{EventType, Step};
use crate::api::{KindId, ObjectKey, StatusError};
use crate::apiserver::{Face, Server, WriteOptions};
use crate::store::Revision;
use crate::world::World;

/// Carries out one step; answers the revision that it wrote, or revision 0 where there was nothing to write.
pub(super) fn apply(
    server: &Arc<Server>,
    source: &str,
    manager: &str,
    world: &World,
    step: Step,
) -> Result<Revision, Error> {
    let options = WriteOptions { field_manager: manager.to_owned(), ..WriteOptions::default() };
    let refused = |verb: &str, kind: &str, key: &ObjectKey| {
        let step = format!("{verb} {kind} {key}");
        move |cause: StatusError| Error::Refused { step, cause }
    };
    let find = |type_name: (&str, &str)| -> Result<KindId, Error> {
        server.registry().find(type_name.0, type_name.1).ok_or_else(|| Error::Failed {
            step: format!("write of a {}", type_name.1),
            cause: format!("{} is not a kind of this cluster", type_name.0),
        })
    };
    match step {
        Step::Create(object) => {
            let kind = find(object.type_name())?;
            let on_error = refused("create", object.type_name().1, &ObjectKey::of(object.meta()));
            let record = server.create(kind, object, &options).map_err(on_error)?;
            Ok(record.header.revision)
        }
        Step::Update(object) => {
            let kind = find(object.type_name())?;
            let on_error = refused("update", object.type_name().1, &ObjectKey::of(object.meta()));
            let record = server.update(kind, Face::Main, object, &options).map_err(on_error)?;
            Ok(record.header.revision)
        }
        Step::UpdateStatus(object) => {
            let kind = find(object.type_name())?;
            let on_error = refused("update status of", object.type_name().1, &ObjectKey::of(object.meta()));
            let record = server.update(kind, Face::Status, object, &options).map_err(on_error)?;
            Ok(record.header.revision)
        }
        Step::Finalize(object) => {
            let kind = find(object.type_name())?;
            let on_error = refused("finalize", object.type_name().1, &ObjectKey::of(object.meta()));
            let record = server.update(kind, Face::Finalize, object, &options).map_err(on_error)?;
            Ok(record.header.revision)
        }
        Step::Delete { kind: (api_version, name), key, options } => {
            let kind = find((&api_version, &name))?;
            match server.delete(kind, &key, &options) {
                Ok(record) => Ok(record.header.revision),
                Err(cause) if cause.is_not_found() => Ok(Revision(0)),
                Err(cause) => Err(refused("delete", &name, &key)(cause)),
            }
        }
        Step::Bind { pod, uid, node } => {
            let record = server.bind(&pod, &uid, &node).map_err(refused("bind", "Pod", &pod))?;
            Ok(record.header.revision)
        }
        Step::Event { regarding, event_type, reason, message } => {
            let happened = Happened { regarding: *regarding, event_type, reason, message };
            if let Err(cause) = record_event(server, source, manager, world, happened) {
                tracing::debug!(%cause, "an event is lost");
            }
            Ok(Revision(0))
        }
    }
}

struct Happened {
    regarding: ObjectReference,
    event_type: EventType,
    reason: String,
    message: String,
}

/// Writes an event, or counts up the one that says the same of the same object.
fn record_event(
    server: &Server,
    source: &str,
    manager: &str,
    world: &World,
    happened: Happened,
) -> Result<(), StatusError> {
    let Some(kind) = server.registry().id_of::<Event>() else { return Ok(()) };
    let regarding = &happened.regarding;
    let mut hasher = DefaultHasher::new();
    let parts = [&regarding.kind, &regarding.uid, &regarding.field_path];
    (parts, &happened.reason, &happened.message, source).hash(&mut hasher);
    let namespace = regarding.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let name = format!("{}.{:016x}", regarding.name.as_deref().unwrap_or_default(), hasher.finish());
    let now = Time(world.clock.now());
    let options = WriteOptions { field_manager: manager.to_owned(), ..WriteOptions::default() };
    if let Some(record) = server.store().get(kind, ObjectKey::new(&namespace, &name).as_str()) {
        let mut event: Event = record.decode();
        event.count = Some(event.count.unwrap_or(1) + 1);
        event.last_timestamp = Some(now);
        return server.update(kind, Face::Main, Box::new(event), &options).map(|_| ());
    }
    let event = Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace), ..ObjectMeta::default() },
        involved_object: happened.regarding,
        reason: Some(happened.reason),
        message: Some(happened.message),
        type_: Some(
            match happened.event_type {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            }
            .to_owned(),
        ),
        source: Some(EventSource { component: Some(source.to_owned()), host: None }),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        reporting_component: Some(source.to_owned()),
        ..Event::default()
    };
    server.create(kind, Box::new(event), &options).map(|_| ())
}
