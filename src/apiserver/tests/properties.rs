//! Random requests: a list and its watch together are always the later list; lists by index are lists by scan; a
//! patch is an update; what a writer leaves in memory is what readers decode.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use proptest::prelude::*;
use proptest::strategy::Strategy;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

use super::door;
use crate::api::patch::{self, JsonPatch};
use crate::api::selector::{FieldSelector, Selector};
use crate::api::{KindId, ObjectKey};
use crate::apiserver::*;
use crate::store::{Record, Revision, Select};

/// One object of each kind, fit to be created in the namespace `default`.
const OBJECTS: [&str; 12] = [
    "{apiVersion: v1, kind: Namespace, metadata: {name: x}}",
    "{apiVersion: v1, kind: Node, metadata: {name: x}, spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24]}, status: {capacity: {cpu: '2', memory: 4096Mi}}}",
    "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {nodeName: n, containers: [{name: a, image: b, resources: {limits: {cpu: 1000m}}, livenessProbe: {httpGet: {port: 80}}}], volumes: [{name: e, emptyDir: {sizeLimit: 1024Mi}}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {selector: {app: a}, type: NodePort, ports: [{port: 80}]}}",
    "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: x}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1]}], ports: [{port: 80}]}",
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b}}",
    "{apiVersion: v1, kind: Secret, metadata: {name: x}, stringData: {a: b}}",
    "{apiVersion: v1, kind: ServiceAccount, metadata: {name: x}, secrets: [{name: a}]}",
    "{apiVersion: v1, kind: Event, metadata: {name: x}, involvedObject: {kind: Pod, name: a, namespace: default}, reason: r, message: m, type: Normal, firstTimestamp: '2026-05-01T11:00:00Z'}",
    "{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: x}, spec: {holderIdentity: a, leaseDurationSeconds: 4, renewTime: '2026-05-01T11:00:00.123456789Z'}}",
    "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}}",
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {strategy: {rollingUpdate: {maxSurge: 10%}}, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}}",
];

fn start() -> Arc<Server> {
    let (server, _) = door(Vec::new());
    for name in ["default", "other"] {
        super::create(&server, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"))
            .unwrap();
    }
    server
}

/// What a record leaves in memory is what its bytes say, and the header is what the object says.
fn check_record(server: &Server, record: &Record) {
    let strategy = server.registry().strategy(record.header.kind);
    let view = record.object(&*strategy);
    let mut decoded = strategy.decode(record.body()).unwrap();
    decoded.meta_mut().resource_version = view.meta().resource_version.clone();
    assert!(strategy.same(&*view, &*decoded), "{view:?}\n{decoded:?}");
    let mut facts = super::super::encode::facts(&*strategy, &*decoded);
    // Who owns what stands in the header alone.
    facts.managed.clone_from(&record.header.managed);
    assert_eq!(facts, record.header.facts);
}

fn find(server: &Server, value: &Value) -> KindId {
    let named = |field: &str| value[field].as_str().unwrap_or_default();
    server.registry().find(named("apiVersion"), named("kind")).unwrap()
}

/// Small merge patches that mostly make sense.
fn patches() -> impl Strategy<Value = Value> {
    prop_oneof![
        ("[ab]", "[xy]?").prop_map(|(key, value)| json!({"metadata": {"labels": {key: value}}})),
        "[ab]".prop_map(|key| json!({"metadata": {"labels": {key: null}}})),
        Just(json!({"metadata": {"labels": null, "annotations": {}}})),
        Just(json!({"metadata": {"annotations": {"a": "1"}, "finalizers": ["a/b"]}})),
        Just(json!({"metadata": {"finalizers": []}})),
        Just(
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "b", "uid": "c"}]}})
        ),
        (0..4).prop_map(|n| json!({"spec": {"replicas": n, "minReadySeconds": n}})),
        "[ab]".prop_map(
            |image| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": image}]}}}})
        ),
        "[ab]".prop_map(|image| json!({"spec": {"containers": [{"name": "a", "image": image}]}})),
        (79..82).prop_map(|port| json!({"spec": {"ports": [{"port": port}]}})),
        // With its node port: one that is drawn differs between a dry run and the real one.
        Just(json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}})),
        Just(json!({"spec": {"type": "ClusterIP"}})),
        Just(json!({"spec": {"unschedulable": true, "paused": true}})),
        Just(json!({"spec": null})),
        "[ab]".prop_map(|value| json!({"data": {"k": value}})),
        Just(json!({"data": null, "immutable": true})),
        Just(json!({"status": {"phase": "Running", "replicas": 2, "observedGeneration": 1}})),
        Just(
            json!({"status": {"capacity": {"cpu": "1500m", "memory": "2048Ki"}, "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-05-01T11:00:00.7Z"}]}})
        ),
        Just(json!({"status": null})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn views_are_what_bytes_say(
        which in 0..OBJECTS.len(),
        changes in prop::collection::vec((patches(), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let server = start();
        let value: Value = serde_yaml::from_str(OBJECTS[which]).unwrap();
        let kind = find(&server, &value);
        let strategy = server.registry().strategy(kind).clone();
        let options = WriteOptions::default();
        let mut record = server.create(kind, strategy.decode_value(value).unwrap(), &options).unwrap();
        check_record(&server, &record);
        let key = record.header.key.clone();
        for (patch, status, as_json) in changes {
            let face = if status { Face::Status } else { Face::Main };
            // The same change as an update of the patched object, on a dry run; as a patch, merge or JSON, for real.
            let mut patched = server.value(&record);
            patch::merge(&mut patched, patch.clone());
            let dry = WriteOptions { dry_run: true, ..options.clone() };
            let update = strategy.decode_value(patched.clone()).map(|object| server.update(kind, face, object, &dry));
            let patch = match as_json {
                true => {
                    let operations = json!([{"op": "replace", "path": "", "value": patched}]);
                    Patch::Json(JsonPatch::from_value(operations).unwrap())
                }
                false => Patch::Merge(patch),
            };
            let answer = server.patch(kind, &key, face, &patch, &options);
            match (&update, &answer) {
                (Ok(Ok(update)), Ok(answer)) => {
                    let (a, b) = (update.body(), answer.body());
                    prop_assert_eq!(String::from_utf8_lossy(a), String::from_utf8_lossy(b));
                }
                (Ok(Err(update)), Err(answer)) => prop_assert_eq!(&update.message, &answer.message),
                (Err(_), Err(_)) => {}
                (update, answer) => prop_assert!(false, "{:?} and {:?}", update, answer),
            }
            if let Ok(answer) = answer {
                record = answer;
                check_record(&server, &record);
            }
        }
        server.store().check().unwrap();
    }
}

/// One random write of a ConfigMap or a Pod.
#[derive(Clone, Debug)]
enum Op {
    Put(bool, u8, u8, u8),
    Delete(bool, u8, bool),
    Bind(u8, u8),
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<bool>(), 0..4u8, 0..3u8, 0..2u8).prop_map(|(pod, name, app, tier)| Op::Put(pod, name, app, tier)),
        1 => (any::<bool>(), 0..4u8, any::<bool>()).prop_map(|(pod, name, at_once)| Op::Delete(pod, name, at_once)),
        1 => (0..4u8, 0..2u8).prop_map(|(name, node)| Op::Bind(name, node)),
    ]
}

fn place(name: u8) -> (&'static str, String) {
    (if name.is_multiple_of(2) { "default" } else { "other" }, format!("o{name}"))
}

fn apply(server: &Server, op: &Op) {
    let id = |pod: bool| match pod {
        true => server.registry().id_of::<Pod>().unwrap(),
        false => server.registry().id_of::<ConfigMap>().unwrap(),
    };
    match op {
        Op::Put(pod, name, app, tier) => {
            let (namespace, name) = place(*name);
            let labels = json!({"app": format!("a{app}"), "tier": format!("t{tier}")});
            let kind = id(*pod);
            let key = ObjectKey::new(namespace, &name);
            let options = WriteOptions::default();
            let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
            if server.patch(kind, &key, Face::Main, &patch, &options).is_ok() {
                return;
            }
            let mut value = json!({"metadata": {"name": name, "namespace": namespace, "labels": labels}});
            if *pod {
                value["spec"] = json!({"containers": [{"name": "c", "image": "i"}]});
            }
            let object = server.registry().strategy(kind).decode_value(value).unwrap();
            server.create(kind, object, &options).unwrap();
        }
        Op::Delete(pod, name, at_once) => {
            let (namespace, name) = place(*name);
            let mut options = DeleteOptions::default();
            if *at_once {
                options = options.grace(0);
            }
            drop(server.delete(id(*pod), &ObjectKey::new(namespace, &name), &options));
        }
        Op::Bind(name, node) => {
            let (namespace, name) = place(*name);
            drop(server.bind(&ObjectKey::new(namespace, &name), "", &format!("n{node}")));
        }
    }
}

const LABELS: [&str; 8] =
    ["", "app=a1", "app!=a1", "app in (a0,a2),tier=t1", "tier", "!tier", "app notin (a0)", "app=a1,tier=t0"];
const FIELDS: [&str; 7] = [
    "",
    "metadata.name=o1",
    "metadata.namespace=other",
    "metadata.namespace!=other",
    "spec.nodeName=n1",
    "spec.nodeName=",
    "spec.nodeName!=n0,metadata.name!=o2",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn a_list_and_its_watch_are_the_later_list(
        before in prop::collection::vec(ops(), 0..15),
        after in prop::collection::vec(ops(), 0..25),
        pod in any::<bool>(),
        labels in 0..LABELS.len(),
        fields in 0..FIELDS.len(),
        namespaced in any::<bool>(),
        limit in 1..4usize,
    ) {
        let server = start();
        let kind = match pod {
            true => server.registry().id_of::<Pod>().unwrap(),
            false => server.registry().id_of::<ConfigMap>().unwrap(),
        };
        let field = if pod { FIELDS[fields] } else { FIELDS[fields % 4] };
        let params = ListParams {
            namespace: namespaced.then(|| "other".to_owned()),
            labels: Selector::parse(LABELS[labels]).unwrap(),
            fields: FieldSelector::parse(field).unwrap(),
            ..ListParams::default()
        };
        let list = |params: &ListParams| server.list(kind, params).unwrap();
        before.iter().for_each(|op| apply(&server, op));
        let first = list(&params);
        // The list by index is the list by scan.
        let filter = super::super::list::Filter::new(
            server.strategy(kind).info(), &params.namespace, &params.labels, &params.fields,
        ).unwrap();
        let snapshot = server.store().snapshot();
        let scan: Vec<_> = snapshot
            .list_records(kind, Select::All)
            .filter(|record| filter.matches(&record.header))
            .map(|record| (record.header.key.clone(), record.header.revision))
            .collect();
        let keys = |page: &Page| -> Vec<(ObjectKey, Revision)> {
            page.items.iter().map(|record| (record.header.key.clone(), record.header.revision)).collect()
        };
        prop_assert_eq!(&scan, &keys(&first));
        let watch = |from| {
            let (namespace, labels, fields) =
                (params.namespace.clone(), params.labels.clone(), params.fields.clone());
            server.watch(kind, &WatchParams { namespace, labels, fields, from, version: 0 }).unwrap()
        };
        let mut live = watch(WatchFrom::Now);
        let mut whole = watch(WatchFrom::PresentMarked);
        // The list in pieces, while writes go on, is the list at its first piece.
        let mut piece = ListParams { limit: Some(limit), ..params.clone() };
        let mut pieces = Vec::new();
        let mut writes = after.iter();
        loop {
            let page = list(&piece);
            prop_assert_eq!(page.revision, first.revision);
            pieces.extend(keys(&page));
            writes.by_ref().take(2).for_each(|op| apply(&server, op));
            match page.continue_token {
                Some(token) => piece.continue_token = Some(token),
                None => break,
            }
        }
        prop_assert_eq!(&pieces, &keys(&first));
        writes.for_each(|op| apply(&server, op));
        let last = keys(&list(&params));
        let mut late = watch(WatchFrom::Revision(first.revision));
        for (watch, from) in [(&mut live, Some(&first)), (&mut late, Some(&first)), (&mut whole, None)] {
            let mut state: BTreeMap<ObjectKey, Revision> =
                from.map(|page| keys(page).into_iter().collect()).unwrap_or_default();
            let mut newest = Revision(0);
            while let Some(event) = watch.try_next().unwrap() {
                let (record, added) = match &event {
                    WatchEvent::Added(record) => (record, Some(true)),
                    WatchEvent::Modified(record) => (record, Some(false)),
                    WatchEvent::Deleted(record) => (record, None),
                    WatchEvent::Synced(revision) => {
                        newest = *revision;
                        continue;
                    }
                };
                let header = &record.header;
                check_record(&server, record);
                let was = match added {
                    Some(_) => state.insert(header.key.clone(), header.revision),
                    None => state.remove(&header.key),
                };
                prop_assert_eq!(was.is_none(), added == Some(true), "{:?}", event);
                prop_assert!(header.revision > newest || newest == Revision(0) || added == Some(true));
            }
            prop_assert_eq!(state.into_iter().collect::<Vec<_>>(), last.clone());
        }
        server.store().check().unwrap();
    }
}

#[test]
fn what_has_fallen_off_the_log_is_told() {
    let (server, clock) = door(Vec::new());
    super::create(&server, OBJECTS[0]).unwrap();
    let object =
        |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: x}}}}");
    let kind = super::create(&server, &object("a")).unwrap().header.kind;
    super::create(&server, &object("b")).unwrap();
    let first = server.list(kind, &ListParams { limit: Some(1), ..ListParams::default() }).unwrap();
    let watch = |from| server.watch(kind, &WatchParams { from, ..WatchParams::default() });
    let (mut slow, mut idle) = (watch(WatchFrom::Now).unwrap(), watch(WatchFrom::Now).unwrap());
    idle.try_next().unwrap();
    let key = ObjectKey::new("x", "a");
    for n in 0..2000 {
        if n == 1000 {
            clock.advance(crate::limits::LOG_AGE * 2);
        }
        let patch = Patch::Merge(json!({"data": {"n": n.to_string()}}));
        server.patch(kind, &key, Face::Main, &patch, &WriteOptions::default()).unwrap();
    }
    let rest = ListParams { continue_token: first.continue_token, ..ListParams::default() };
    let past = ListParams {
        resource_version: first.revision.to_string(),
        revision_match: RevisionMatch::Exact,
        ..ListParams::default()
    };
    assert_eq!(server.list(kind, &rest).unwrap_err().reason.code(), 410);
    assert_eq!(server.list(kind, &past).unwrap_err().reason.code(), 410);
    let refused = watch(WatchFrom::Revision(first.revision)).unwrap_err();
    assert_eq!(refused.reason.code(), 410);
    let told = format!("too old resource version: {} (", first.revision);
    assert!(refused.message.starts_with(&told), "{refused}");
    assert!(matches!(slow.try_next(), Err(WatchError::Gone)));
    // It says so again, and a new one begins with the present.
    let mut fresh = watch(WatchFrom::Present).unwrap();
    assert!(matches!(fresh.try_next(), Ok(Some(WatchEvent::Added(_)))));
}
