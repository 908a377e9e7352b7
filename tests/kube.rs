//! A real `kube::Client` against a cluster in this process, without a socket.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coracle::cluster::Cluster;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use k8s_openapi::api::events;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, EvictParams, GroupVersionKind, ListParams, ObjectMeta,
    PartialObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, CustomResource, CustomResourceExt, KubeSchema, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([("key".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "containers": [{ "name": "main", "image": "main" }] },
    }))
    .unwrap()
}

fn deployment(name: &str, replicas: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "main" }] },
            },
        },
    }))
    .unwrap()
}

#[test]
fn objects_are_made_read_changed_and_deleted() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let made = maps.create(&PostParams::default(), &config_map("one", "a")).await.unwrap();
        assert!(made.uid().is_some() && made.resource_version().is_some());
        assert_eq!(maps.get("one").await.unwrap(), made);

        let mut changed = made.clone();
        changed.data.as_mut().unwrap().insert("key".to_owned(), "b".to_owned());
        let changed = maps.replace("one", &PostParams::default(), &changed).await.unwrap();
        assert_ne!(changed.resource_version(), made.resource_version());
        let stale = maps.replace("one", &PostParams::default(), &made).await.unwrap_err();
        assert!(matches!(&stale, kube::Error::Api(status) if status.is_conflict()), "{stale}");

        let merge = Patch::Merge(json!({ "data": { "key": null, "other": "c" } }));
        let merged = maps.patch("one", &PatchParams::default(), &merge).await.unwrap();
        assert_eq!(merged.data.unwrap(), BTreeMap::from([("other".to_owned(), "c".to_owned())]));

        let listed = maps.list(&ListParams::default().fields("metadata.name=one")).await.unwrap();
        assert_eq!(listed.items.len(), 1);
        let gone = maps.delete("one", &DeleteParams::default()).await.unwrap();
        assert!(gone.is_right(), "a ConfigMap's deletion answers a Status");
        let missing = maps.get_opt("one").await.unwrap();
        assert!(missing.is_none());
        let refused = maps.get("one").await.unwrap_err();
        let kube::Error::Api(status) = refused else { panic!("{refused}") };
        assert_eq!((status.code, status.message.as_str()), (404, "configmaps \"one\" not found"));

        let dry = PostParams { dry_run: true, ..PostParams::default() };
        maps.create(&dry, &config_map("dry", "x")).await.unwrap();
        assert!(maps.get_opt("dry").await.unwrap().is_none());
    });
}

#[test]
fn dynamic_objects_and_metadata() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
        let maps: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
        let object = DynamicObject::new("dyn", &resource).data(json!({ "data": { "a": "b" } }));
        let made = maps.create(&PostParams::default(), &object).await.unwrap();
        assert_eq!(made.types.unwrap().kind, "ConfigMap");
        let patch = Patch::Json::<()>(
            serde_json::from_value(json!([{ "op": "add", "path": "/data/c", "value": "d" }])).unwrap(),
        );
        let patched = maps.patch("dyn", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(patched.data["data"]["c"], "d");

        let typed: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let metadata: PartialObjectMeta<ConfigMap> = typed.get_metadata("dyn").await.unwrap();
        assert_eq!(metadata.metadata.name.as_deref(), Some("dyn"));
        let list = typed.list_metadata(&ListParams::default()).await.unwrap();
        assert_eq!(list.items.iter().filter(|item| item.name_any() == "dyn").count(), 1);
    });
}

#[test]
fn lists_come_in_pieces_and_collections_go_together() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let maps: Api<ConfigMap> = Api::namespaced(client, "kube-public");
        for number in 0..7 {
            let mut map = config_map(&format!("m{number}"), "x");
            map.metadata.labels = Some(BTreeMap::from([("half".to_owned(), (number % 2).to_string())]));
            maps.create(&PostParams::default(), &map).await.unwrap();
        }
        let mut params = ListParams::default().limit(3);
        let mut names = Vec::new();
        loop {
            let page = maps.list(&params).await.unwrap();
            names.extend(page.items.iter().map(ResourceExt::name_any));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        assert_eq!(names.iter().filter(|name| name.starts_with('m')).count(), 7);
        let odd = ListParams::default().labels("half=1");
        let gone = maps.delete_collection(&DeleteParams::default(), &odd).await.unwrap();
        assert_eq!(gone.left().unwrap().items.len(), 3);
        assert!(maps.list(&odd).await.unwrap().items.is_empty());
    });
}

#[test]
fn watches_tell_what_happens() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let params = WatchParams::default().labels("seen=yes").timeout(20);
        let start = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        let mut events = maps.watch(&params, &start).await.unwrap().boxed();
        let told = tokio::spawn(async move {
            let mut words = Vec::new();
            while let Some(event) = events.try_next().await.unwrap() {
                words.push(match event {
                    WatchEvent::Added(map) => format!("added {}", map.name_any()),
                    WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
                    WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
                    other => format!("{other:?}"),
                });
                if words.len() == 4 {
                    break;
                }
            }
            words
        });
        maps.create(&PostParams::default(), &config_map("w", "a")).await.unwrap();
        let label =
            |value: serde_json::Value| Patch::Merge(json!({ "metadata": { "labels": { "seen": value } } }));
        let plain = PatchParams::default();
        maps.patch("w", &plain, &label(json!("yes"))).await.unwrap();
        maps.patch("w", &plain, &Patch::Merge(json!({ "data": { "key": "z" } }))).await.unwrap();
        maps.patch("w", &plain, &label(json!("no"))).await.unwrap();
        maps.patch("w", &plain, &label(json!("yes"))).await.unwrap();
        let words = tokio::time::timeout(Duration::from_secs(10), told).await.unwrap().unwrap();
        assert_eq!(words, ["added w", "modified w", "deleted w", "added w"]);
    });
}

/// Follows a watcher until it has shown `wanted`.
async fn reflect(client: Client, config: watcher::Config) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let (store, writer) = reflector::store();
    let stream = watcher(maps.clone(), config).default_backoff().reflect(writer).touched_objects().boxed();
    let driven = tokio::spawn(stream.for_each(|_| futures::future::ready(())));
    tokio::time::timeout(Duration::from_secs(10), store.wait_until_ready()).await.unwrap().unwrap();
    maps.create(&PostParams::default(), &config_map("reflected", "a")).await.unwrap();
    let seen = async {
        loop {
            let found = store.state().iter().any(|map| map.name_any() == "reflected");
            if found {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
    maps.delete("reflected", &DeleteParams::default()).await.unwrap();
    driven.abort();
}

#[test]
fn watchers_begin_with_a_list_or_with_a_stream() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        reflect(client.clone(), watcher::Config::default()).await;
        reflect(client.clone(), watcher::Config::default().streaming_lists()).await;
        reflect(client, watcher::Config::default().any_semantic()).await;
    });
}

#[test]
fn discovery_finds_everything() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let version = client.apiserver_version().await.unwrap();
        assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "36"));
        for aggregated in [false, true] {
            let discovery = kube::discovery::Discovery::new(client.clone());
            let discovery = match aggregated {
                true => discovery.run_aggregated().await.unwrap(),
                false => discovery.run().await.unwrap(),
            };
            let gvk = GroupVersionKind::gvk("apps", "v1", "Deployment");
            let (resource, capabilities) = discovery.resolve_gvk(&gvk).unwrap();
            assert_eq!(resource.plural, "deployments");
            let subresources: Vec<&str> =
                capabilities.subresources.iter().map(|(sub, _)| sub.plural.as_str()).collect();
            assert!(subresources.iter().any(|name| name.ends_with("scale")), "{subresources:?}");
            assert!(discovery.groups().any(|group| group.name() == "coordination.k8s.io"));
        }
    });
}

#[test]
fn scale_status_and_eviction() {
    let cluster = Cluster::builder().hollow_nodes(1).start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
        deployments.create(&PostParams::default(), &deployment("web", 1)).await.unwrap();
        let scale = deployments.get_scale("web").await.unwrap();
        assert_eq!(scale.spec.unwrap().replicas, Some(1));
        assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=web"));
        let patch = Patch::Merge(json!({ "spec": { "replicas": 2 } }));
        let scaled = deployments.patch_scale("web", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(scaled.spec.unwrap().replicas, Some(2));
        let ready = |d: Option<&Deployment>| {
            d.and_then(|d| d.status.as_ref()).is_some_and(|status| status.ready_replicas == Some(2))
        };
        let waited = kube::runtime::wait::await_condition(deployments.clone(), "web", ready);
        tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap().unwrap();

        let status =
            Patch::Merge(json!({ "status": { "observedGeneration": 7 }, "spec": { "replicas": 9 } }));
        let written = deployments.patch_status("web", &PatchParams::default(), &status).await.unwrap();
        assert_eq!(serde_json::to_value(written).unwrap()["spec"]["replicas"], 2);

        let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
        let list = pods.list(&ListParams::default().labels("app=web")).await.unwrap();
        let name = list.items[0].name_any();
        let evicted = pods.evict(&name, &EvictParams::default()).await.unwrap();
        assert!(evicted.is_success());
    });
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test may start threads")]
fn one_client_serves_several_runtimes_and_outlives_each() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    for round in 0..3 {
        runtime().block_on(async {
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
            maps.create(&PostParams::default(), &config_map(&format!("r{round}"), "a")).await.unwrap();
        });
    }
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let client = client.clone();
            std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                runtime.unwrap().block_on(async {
                    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
                    for round in 0..20 {
                        let map = config_map(&format!("t{number}-{round}"), "a");
                        maps.create(&PostParams::default(), &map).await.unwrap();
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let names: Api<Namespace> = Api::all(client.clone());
    let count = runtime().block_on(async {
        assert!(names.get("default").await.is_ok());
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        maps.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .iter()
            .filter(|map| {
                let name = map.name_any();
                name.starts_with('r') || name.starts_with('t')
            })
            .count()
    });
    assert_eq!(count, 63);
    drop(cluster);
    let refused = runtime().block_on(names.get("default"));
    assert!(matches!(refused, Err(kube::Error::Service(_))), "{refused:?}");
}

#[test]
fn streams_end_with_the_cluster() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let maps: Api<ConfigMap> = Api::namespaced(client, "default");
        let mut events = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
        let read = tokio::spawn(async move { while let Ok(Some(_)) = events.try_next().await {} });
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(move || drop(cluster)).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
    });
}

#[test]
fn time_may_stand_still() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    let paused =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    paused.block_on(async {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        maps.create(&PostParams::default(), &config_map("paused", "a")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(maps.get("paused").await.is_ok());
        // A client of this runtime: nothing is passed to another thread, so no time goes by while it is asked.
        let own = Client::new(cluster.wire_service(), "default");
        let maps: Api<ConfigMap> = Api::namespaced(own, "default");
        let began = tokio::time::Instant::now();
        for _ in 0..100 {
            let got = tokio::time::timeout(Duration::from_millis(1), maps.get("paused")).await;
            assert!(got.unwrap().is_ok());
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    });
}

#[test]
fn a_controller_reconciles() {
    use kube::runtime::controller::{Action, Controller};
    let cluster = Cluster::builder().hollow_nodes(1).start().unwrap();
    let client = cluster.kube_client();
    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Failed(#[from] kube::Error);
    async fn reconcile(map: Arc<ConfigMap>, client: Arc<Client>) -> Result<Action, Failed> {
        if map.metadata.labels.as_ref().is_none_or(|labels| !labels.contains_key("make")) {
            return Ok(Action::await_change());
        }
        let pods: Api<Pod> = Api::namespaced((*client).clone(), "default");
        let mut wanted = pod(&map.name_any());
        wanted.metadata.owner_references =
            Some(vec![kube::Resource::controller_owner_ref(&*map, &()).unwrap()]);
        match pods.create(&PostParams::default(), &wanted).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(other) => return Err(other.into()),
        }
        Ok(Action::await_change())
    }
    runtime().block_on(async {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
        let stop = Arc::new(tokio::sync::Notify::new());
        let stopped = stop.clone();
        let controller = Controller::new(maps.clone(), watcher::Config::default())
            .owns(pods.clone(), watcher::Config::default())
            .graceful_shutdown_on(async move { stopped.notified().await })
            .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(1)), Arc::new(client.clone()))
            .for_each(|_| futures::future::ready(()));
        let controller = tokio::spawn(controller);
        let mut map = config_map("made", "a");
        map.metadata.labels = Some(BTreeMap::from([("make".to_owned(), "pod".to_owned())]));
        maps.create(&PostParams::default(), &map).await.unwrap();
        let running = kube::runtime::wait::await_condition(
            pods.clone(),
            "made",
            kube::runtime::conditions::is_pod_running(),
        );
        tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap();
        let first = pods.get("made").await.unwrap();
        pods.delete("made", &DeleteParams::default().grace_period(0)).await.unwrap();
        let again = kube::runtime::wait::await_condition(pods.clone(), "made", move |pod: Option<&Pod>| {
            pod.is_some_and(|pod| pod.uid() != first.uid())
        });
        tokio::time::timeout(Duration::from_secs(20), again).await.unwrap().unwrap();
        stop.notify_one();
        tokio::time::timeout(Duration::from_secs(10), controller).await.unwrap().unwrap();
    });
}

/// A kind that a user of the crate would write.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Widget",
    namespaced,
    shortname = "wdg",
    category = "all"
)]
#[kube(status = "WidgetStatus", derive = "PartialEq")]
#[kube(scale = r#"{"specReplicasPath":".spec.size","statusReplicasPath":".status.size"}"#)]
#[kube(printcolumn = r#"{"name":"Size","type":"integer","jsonPath":".spec.size"}"#)]
#[serde(rename_all = "camelCase")]
struct WidgetSpec {
    #[x_kube(validation = Rule::new("self <= 5").message("at most five"))]
    size: i32,
    #[serde(default = "colour")]
    colour: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
struct WidgetStatus {
    size: i32,
}

fn colour() -> String {
    "red".to_owned()
}

/// Makes a definition and waits until its kind can be used.
async fn establish(client: &Client, definition: &CustomResourceDefinition) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), definition).await.unwrap();
    let name = definition.name_any();
    let established = kube::runtime::wait::await_condition(
        definitions,
        &name,
        kube::runtime::conditions::is_crd_established(),
    );
    tokio::time::timeout(Duration::from_secs(20), established).await.unwrap().unwrap();
}

fn widget(name: &str, size: i32) -> Widget {
    Widget::new(name, WidgetSpec { size, colour: colour(), parts: Vec::new() })
}

#[test]
fn a_derived_kind_is_made_used_and_taken_away() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        establish(&client, &Widget::crd()).await;
        let widgets: Api<Widget> = Api::namespaced(client.clone(), "default");
        let made = widgets.create(&PostParams::default(), &widget("one", 2)).await.unwrap();
        assert_eq!((made.metadata.generation, &*made.spec.colour), (Some(1), "red"));
        assert_eq!(widgets.get("one").await.unwrap(), made);
        let listed = widgets.list(&ListParams::default()).await.unwrap();
        assert_eq!((listed.types.kind.as_str(), listed.items.len()), ("WidgetList", 1));

        let refused = widgets.create(&PostParams::default(), &widget("big", 6)).await.unwrap_err();
        let kube::Error::Api(status) = refused else { panic!("{refused}") };
        let told = "Widget.example.com \"big\" is invalid: spec.size: Invalid value: 6: at most five";
        assert_eq!((status.code, status.message.as_str()), (422, told));

        let status = Patch::Merge(json!({ "status": { "size": 2 }, "spec": { "size": 4 } }));
        let written = widgets.patch_status("one", &PatchParams::default(), &status).await.unwrap();
        assert_eq!((written.spec.size, written.status), (2, Some(WidgetStatus { size: 2 })));
        let scale = widgets.get_scale("one").await.unwrap();
        assert_eq!((scale.spec.unwrap().replicas, scale.status.unwrap().replicas), (Some(2), 2));
        let patch = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
        let scaled = widgets.patch_scale("one", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(scaled.spec.unwrap().replicas, Some(3));
        let now = widgets.get("one").await.unwrap();
        assert_eq!((now.spec.size, now.metadata.generation), (3, Some(2)));
        let strategic = Patch::Strategic(json!({ "spec": { "size": 1 } }));
        let refused = widgets.patch("one", &PatchParams::default(), &strategic).await.unwrap_err();
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 415), "{refused}");
    });
    let client = cluster.kube_client();
    runtime().block_on(async {
        applied(&client).await;
        discovered(&client).await;
        taken_away(&client).await;
    });
}

async fn applied(client: &Client) {
    let widgets: Api<Widget> = Api::namespaced(client.clone(), "default");
    let said = |size: i32| {
        Patch::Apply(json!({
            "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "two" },
            "spec": { "size": size, "parts": ["a"] },
        }))
    };
    let mine = PatchParams::apply("mine");
    let made = widgets.patch("two", &mine, &said(1)).await.unwrap();
    assert_eq!((made.spec.size, &*made.spec.colour), (1, "red"));
    let owner = &made.managed_fields()[0];
    assert_eq!(
        (owner.manager.as_deref(), owner.api_version.as_deref()),
        (Some("mine"), Some("example.com/v1"))
    );
    let owned = json!({ "f:spec": { "f:parts": {}, "f:size": {} } });
    assert_eq!(owner.fields_v1.as_ref().unwrap().0, owned);
    let refused = widgets.patch("two", &PatchParams::apply("other"), &said(4)).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_conflict()), "{refused}");
    let forced = widgets.patch("two", &PatchParams::apply("other").force(), &said(4)).await.unwrap();
    assert_eq!(forced.spec.size, 4);
    let mut unknown = PatchParams::apply("mine").force();
    unknown.field_validation = Some(kube::api::ValidationDirective::Strict);
    let wrong = Patch::Apply(json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "two" },
        "spec": { "size": 4, "weight": 1 },
    }));
    let refused = widgets.patch("two", &unknown, &wrong).await.unwrap_err();
    assert!(refused.to_string().contains("spec.weight"), "{refused}");
}

async fn discovered(client: &Client) {
    for aggregated in [false, true] {
        let discovery = kube::discovery::Discovery::new(client.clone());
        let discovery = match aggregated {
            true => discovery.run_aggregated().await.unwrap(),
            false => discovery.run().await.unwrap(),
        };
        let (resource, capabilities) =
            discovery.resolve_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget")).unwrap();
        assert_eq!((resource.plural.as_str(), capabilities.subresources.len()), ("widgets", 2));
        for version in ["v1", "v2"] {
            let gvk = GroupVersionKind::gvk("autoscaling", version, "HorizontalPodAutoscaler");
            assert!(discovery.resolve_gvk(&gvk).is_some(), "{gvk:?}");
        }
    }
}

async fn taken_away(client: &Client) {
    let widgets: Api<Widget> = Api::namespaced(client.clone(), "default");
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = Widget::crd_name();
    let uid = definitions.get(name).await.unwrap().uid().unwrap();
    definitions.delete(name, &DeleteParams::default()).await.unwrap();
    let gone = kube::runtime::wait::await_condition(
        definitions.clone(),
        name,
        kube::runtime::conditions::is_deleted(&uid),
    );
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap().unwrap();
    let absent = widgets.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&absent, kube::Error::Api(status) if status.code == 404), "{absent}");
    establish(client, &Widget::crd()).await;
    assert!(widgets.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[test]
fn a_custom_kind_is_served_in_several_versions() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let mut definition = Widget::crd();
        let mut older = definition.spec.versions[0].clone();
        older.name = "v1beta1".to_owned();
        older.storage = false;
        older.deprecated = Some(true);
        definition.spec.versions.push(older);
        establish(&client, &definition).await;
        let of = |version: &str| {
            let mut resource =
                ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", version, "Widget"));
            resource.plural = "widgets".to_owned();
            Api::<DynamicObject>::namespaced_with(client.clone(), "default", &resource)
        };
        let (older, newer) = (of("v1beta1"), of("v1"));
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "example.com/v1beta1", "kind": "Widget", "metadata": { "name": "w" },
            "spec": { "size": 1 },
        }))
        .unwrap();
        let made = older.create(&PostParams::default(), &object).await.unwrap();
        assert_eq!(made.types.unwrap().api_version, "example.com/v1beta1");
        assert_eq!(newer.get("w").await.unwrap().types.unwrap().api_version, "example.com/v1");
        let merge = Patch::Merge(json!({ "spec": { "size": 2 } }));
        let patched = older.patch("w", &PatchParams::default(), &merge).await.unwrap();
        assert_eq!(patched.types.unwrap().api_version, "example.com/v1beta1");
        let listed = older.list(&ListParams::default()).await.unwrap();
        assert_eq!(listed.items[0].types.as_ref().unwrap().api_version, "example.com/v1beta1");
        assert_eq!(listed.items[0].data["spec"]["size"], 2);
        let mut events = older.watch(&WatchParams::default(), "0").await.unwrap().boxed();
        let Some(WatchEvent::Added(first)) = events.try_next().await.unwrap() else { panic!("no event") };
        assert_eq!(first.types.unwrap().api_version, "example.com/v1beta1");
    });
}

#[test]
fn autoscalers_and_events_have_two_versions() {
    let cluster = Cluster::builder().start().unwrap();
    let client = cluster.kube_client();
    runtime().block_on(async {
        let older: Api<autoscaling::v1::HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
        let newer: Api<autoscaling::v2::HorizontalPodAutoscaler> = Api::namespaced(client.clone(), "default");
        let given = serde_json::from_value(json!({
            "metadata": { "name": "web" },
            "spec": {
                "scaleTargetRef": { "kind": "Deployment", "name": "web", "apiVersion": "apps/v1" },
                "maxReplicas": 4, "targetCPUUtilizationPercentage": 50,
            },
        }));
        let made = older.create(&PostParams::default(), &given.unwrap()).await.unwrap();
        assert_eq!(made.spec.target_cpu_utilization_percentage, Some(50));
        let metrics = newer.get("web").await.unwrap().spec.metrics.unwrap();
        assert_eq!(metrics[0].resource.as_ref().unwrap().target.average_utilization, Some(50));
        let merge = Patch::Merge(json!({ "spec": { "targetCPUUtilizationPercentage": 70 } }));
        older.patch("web", &PatchParams::default(), &merge).await.unwrap();
        let metrics = newer.get("web").await.unwrap().spec.metrics.unwrap();
        assert_eq!(metrics[0].resource.as_ref().unwrap().target.average_utilization, Some(70));
        assert_eq!(older.list(&ListParams::default()).await.unwrap().items.len(), 1);

        let stored: Api<Event> = Api::namespaced(client.clone(), "default");
        let served: Api<events::v1::Event> = Api::namespaced(client.clone(), "default");
        let event = json!({
            "metadata": { "name": "e1", "namespace": "default" }, "type": "Normal", "reason": "Made", "action": "Make",
            "note": "all well", "reportingController": "example.com/maker", "reportingInstance": "maker-0",
            "regarding": { "kind": "Pod", "namespace": "default", "name": "p" },
            "eventTime": "2026-01-01T00:00:00.000000Z",
        });
        let made = served
            .create(&PostParams::default(), &serde_json::from_value(event.clone()).unwrap())
            .await
            .unwrap();
        assert_eq!(made.note.as_deref(), Some("all well"));
        let seen = stored.get("e1").await.unwrap();
        assert_eq!((seen.message.as_deref(), seen.involved_object.name.as_deref()), (Some("all well"), Some("p")));
        let of_pod = ListParams::default().fields("regarding.name=p");
        assert_eq!(served.list(&of_pod).await.unwrap().items.len(), 1);
        assert!(stored.list(&of_pod).await.is_err());
        let mut untimed = event;
        untimed["eventTime"].take();
        untimed["metadata"]["name"] = "e2".into();
        let refused = served.create(&PostParams::default(), &serde_json::from_value(untimed).unwrap()).await;
        assert!(refused.unwrap_err().to_string().contains("eventTime"));
    });
}
