//! Who owns what after writes of every verb, told as scripts; and that a cluster's own writes are kept account of.
//!
//! The script is `ownership.txt`: `> verb manager [key] object` and below it the answer: the revision, and a line a
//! manager with the fields that it owns. `+n` is a time, in seconds from the start.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::api::fields::{Entry, ManagedFields};
use crate::api::patch::JsonPatch;
use crate::api::{KindId, ObjectKey, StatusError};
use crate::apiserver::*;
use crate::reconcile::simulation::StillClock;
use crate::store::Record;

struct Session {
    server: Arc<Server>,
    clock: Arc<StillClock>,
    start: i64,
    base: u64,
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|cause| panic!("{text}: {cause}"))
}

fn options(manager: &str) -> WriteOptions {
    let field_manager = if manager == "-" { String::new() } else { manager.replace('_', " ") };
    WriteOptions { field_manager, ..WriteOptions::default() }
}

fn lines(managed: Option<&ManagedFields>, start: i64) -> String {
    let line = |entry: &Entry| {
        let time = entry.time.map_or("never".to_owned(), |time| format!("+{}", time - start));
        let through = if entry.subresource.is_empty() { "" } else { "/" };
        let operation = entry.operation.as_str().to_lowercase();
        let fields = entry.fields.to_string().replace('\n', " ");
        format!(
            "\n{} {operation}{through}{} {} {time}: {fields}",
            entry.manager, entry.subresource, entry.api_version
        )
    };
    managed.into_iter().flat_map(ManagedFields::entries).map(line).collect()
}

impl Session {
    fn new() -> Session {
        let (server, clock) = super::door(Vec::new());
        super::create(&server, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}").unwrap();
        let base = server.store().revision().0;
        let start = server.now().as_second();
        Session { server, clock, start, base }
    }

    fn find(&self, object: &Value) -> (KindId, ObjectKey) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = self.server.registry().find(&text(&object["apiVersion"]), &text(&object["kind"])).unwrap();
        let meta = &object["metadata"];
        (kind, ObjectKey::new(&text(&meta["namespace"]), &text(&meta["name"])))
    }

    fn do_one(&mut self, line: &str) -> Result<Arc<Record>, StatusError> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if verb == "tick" {
            self.clock.advance(std::time::Duration::from_secs(rest.parse().unwrap()));
            return Err(StatusError::bad_request("-"));
        }
        let (manager, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let options = options(manager);
        let server = &self.server;
        if let Some((word, text)) = ["merge", "strategic", "json", "bind", "delete", "kindapply"]
            .contains(&verb)
            .then(|| rest.split_once(' ').unwrap_or((rest, "{}")))
        {
            let (kind, key) = word.split_once('/').unwrap();
            let kind = server.registry().find_word(kind).unwrap();
            let key = ObjectKey::from_text(key);
            let patch = match verb {
                "bind" => return server.bind(&key, "", text),
                "delete" => {
                    return server.delete(
                        kind,
                        &key,
                        &DeleteOptions::default().grace(text.parse().unwrap_or(30)),
                    );
                }
                "merge" => Patch::Merge(yaml(text)),
                "strategic" => Patch::Strategic(yaml(text)),
                "json" => Patch::Json(JsonPatch::from_value(yaml(text)).unwrap()),
                _ => Patch::Apply { value: yaml(text), force: false },
            };
            return server.patch(kind, &key, Face::Main, &patch, &options);
        }
        let object = yaml(rest);
        let (kind, key) = self.find(&object);
        let typed = || server.registry().strategy(kind).decode_value(object.clone()).unwrap();
        let apply = |face, force| {
            server.patch(kind, &key, face, &Patch::Apply { value: object.clone(), force }, &options)
        };
        match verb {
            "create" => server.create(kind, typed(), &options),
            "update" => server.update(kind, Face::Main, typed(), &options),
            "status" => server.update(kind, Face::Status, typed(), &options),
            "apply" => apply(Face::Main, false),
            "force" => apply(Face::Main, true),
            "applystatus" => apply(Face::Status, false),
            "forcestatus" => apply(Face::Status, true),
            other => panic!("{other}"),
        }
    }

    fn request(&mut self, line: &str) -> String {
        let before = self.server.store().revision();
        match self.do_one(line) {
            Ok(record) => {
                let revision = match self.server.store().revision() == before {
                    true => "same".to_owned(),
                    false => format!("@{}", record.header.revision.0 - self.base),
                };
                format!("{revision}{}", lines(record.header.managed.as_deref(), self.start))
            }
            Err(done) if done.message == "-" => String::new(),
            Err(error) => {
                let cause = |cause: &crate::api::FieldError| {
                    format!("\n  {} {}: {}", cause.problem.reason(), cause.field, cause.body())
                };
                let causes: String = match error.is_conflict() {
                    true => error.causes.iter().map(cause).collect(),
                    false => String::new(),
                };
                format!("! {} {}{causes}", error.reason.code(), error.message)
            }
        }
    }
}

#[test]
fn scripts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/apiserver/tests/ownership.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for script in text.split("\n== ").skip(1) {
        let title = script.lines().next().unwrap_or_default();
        let mut session = Session::new();
        for step in script.split("\n> ").skip(1) {
            let (request, expected) = step.split_once('\n').unwrap_or((step, ""));
            let got = session.request(request);
            count += 1;
            if got.trim_end() != expected.trim_end() {
                wrong.push(format!(
                    "{title}: {request}\n--- got\n{got}\n--- expected\n{}",
                    expected.trim_end()
                ));
            }
        }
        session.server.store().check().unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count >= 80, "{count} steps");
}

#[test]
fn served_objects_carry_their_managed_fields_and_typed_ones_do_not() {
    let session = Session::new();
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: {k: v}}";
    let record = super::create(&session.server, text).unwrap();
    let value = session.server.value(&record);
    assert_eq!(
        value["metadata"]["managedFields"],
        serde_json::json!([{
            "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {".": {}, "f:k": {}}},
            "manager": "unknown", "operation": "Update", "time": "2026-05-01T12:00:00Z",
        }])
    );
    assert_eq!(record.decode::<ConfigMap>().metadata.managed_fields, None);
    let stored = crate::store::Stored::<ConfigMap>::new(record);
    assert_eq!(stored.managed_fields().len(), 1);
}

#[test]
fn what_a_client_sends_back_changes_nothing() {
    let session = Session::new();
    let server = &session.server;
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: {k: v}}";
    let record = super::create(server, text).unwrap();
    let kind = record.header.kind;
    let value = server.value(&record);
    let object = server.registry().strategy(kind).decode_value(value).unwrap();
    let again = server.update(kind, Face::Main, object, &options("other")).unwrap();
    assert_eq!(again.header.revision, record.header.revision);
    // Entries that make no sense count as none.
    let mut map: ConfigMap = record.decode();
    map.metadata.managed_fields =
        Some(vec![ManagedFieldsEntry { operation: Some("Nonsense".into()), ..Default::default() }]);
    let again = server.update(kind, Face::Main, Box::new(map), &options("other")).unwrap();
    assert_eq!(again.header.revision, record.header.revision);
}

#[test]
fn objects_made_alike_share_one_account() {
    let session = Session::new();
    let make = |name: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: default}}, spec: {{containers: [{{name: c, \
             image: {name}}}]}}}}"
        );
        super::create(&session.server, &text).unwrap().header.managed.clone().unwrap()
    };
    assert!(Arc::ptr_eq(&make("a"), &make("b")));
}

#[test]
fn a_dry_run_says_who_would_own_what() {
    let session = Session::new();
    let server = &session.server;
    let value =
        yaml("{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: {k: v}}");
    let kind = server.registry().find("v1", "ConfigMap").unwrap();
    let key = ObjectKey::new("default", "a");
    let dry = WriteOptions { dry_run: true, ..options("m") };
    let patch = Patch::Apply { value, force: false };
    let record = server.patch(kind, &key, Face::Main, &patch, &dry).unwrap();
    assert_eq!(lines(record.header.managed.as_deref(), session.start), "\nm apply v1 +0: .data.k");
    assert!(server.get(kind, &key).is_err());
}

/// A host's admission that sets a label on everything.
#[derive(Debug)]
struct Labels;

impl Admission for Labels {
    fn mutate(&self, _: &Attempt<'_>, object: &mut dyn crate::api::Object) -> Result<(), StatusError> {
        object.meta_mut().labels.get_or_insert_default().insert("from".into(), "admission".into());
        Ok(())
    }
}

#[test]
fn what_admission_adds_is_nobodys() {
    let (server, _) = super::door(vec![Arc::new(Labels)]);
    super::create(&server, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}").unwrap();
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: {k: v}}";
    let record = super::create(&server, text).unwrap();
    let start = server.now().as_second();
    assert_eq!(lines(record.header.managed.as_deref(), start), "\nunknown update v1 +0: .data .data.k");
    let mut map: ConfigMap = record.decode();
    map.metadata.labels = None;
    map.data.get_or_insert_default().insert("k".into(), "w".into());
    let after = server.update(record.header.kind, Face::Main, Box::new(map), &options("m")).unwrap();
    let account = lines(after.header.managed.as_deref(), start);
    assert_eq!(account, "\nm update v1 +0: .data.k\nunknown update v1 +0: .data");
    assert!(after.decode::<ConfigMap>().metadata.labels.is_some());
}

#[test]
fn a_pod_that_asks_for_nothing_of_its_account() {
    // The service account that admission gives, and the node that the scheduler gives, have no owner, as upstream.
    let mut session = Session::new();
    session.request("create kubelet {apiVersion: v1, kind: Node, metadata: {name: n}}");
    let pod = "create me {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {containers: [{name: \
               c, image: i}]}}";
    session.request(pod);
    session.request("bind s pods/default/p n");
    let kind = session.server.registry().id_of::<Pod>().unwrap();
    let record = session.server.get(kind, &ObjectKey::new("default", "p")).unwrap();
    let account = lines(record.header.managed.as_deref(), session.start);
    assert!(!account.contains("serviceAccount") && !account.contains("nodeName"), "{account}");
    assert_eq!(account.lines().count(), 2, "{account}");
}
