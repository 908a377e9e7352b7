//! An operator as its users write them, and its test: a hundred custom resources come up with running pods and right
//! conditions, are changed and deleted, and everything that they owned is gone.
//!
//! `cargo run --example operator_test --features kube` runs the pods on hollow nodes, as any user, on any platform.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and an example reads clocks"
)]

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle::cluster::Cluster;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Namespace, ObjectReference, Pod, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event as News, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{self, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher;
use kube::{Client, CustomResource, CustomResourceExt, KubeSchema, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::json;

const COUNT: usize = 100;
const MANAGER: &str = "shop-operator";

/// A shop: so many tills of one image, behind one address.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(group = "example.com", version = "v1", kind = "Shop", namespaced, status = "ShopStatus")]
#[kube(scale = r#"{"specReplicasPath":".spec.tills","statusReplicasPath":".status.tills"}"#)]
pub struct ShopSpec {
    #[x_kube(validation = Rule::new("self >= 0 && self <= 5").message("a shop has at most five tills"))]
    tills: i32,
    image: String,
}

/// What the operator tells of a shop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ShopStatus {
    tills: i32,
    #[serde(default)]
    #[schemars(schema_with = "conditions_by_type")]
    conditions: Vec<Condition>,
}

/// Conditions are a list in which each type stands once, so that managers can own one each.
fn conditions_by_type(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string" },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": { "type": "string", "minLength": 1 },
                "message": { "type": "string" },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
            },
        },
    })
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("asking the cluster: {0}")]
    Kube(#[from] kube::Error),
    #[error("the finalizer: {0}")]
    Finalizer(String),
}

/// What the operator has at hand.
struct Operator {
    client: Client,
    recorder: Recorder,
}

impl Operator {
    async fn reconcile(shop: Arc<Shop>, operator: Arc<Operator>) -> Result<Action, Failure> {
        let shops: Api<Shop> =
            Api::namespaced(operator.client.clone(), &shop.namespace().unwrap_or_default());
        let handled = finalizer(&shops, "example.com/closing", shop, async |event| match event {
            finalizer::Event::Apply(shop) => operator.open(&shop).await,
            finalizer::Event::Cleanup(shop) => operator.close(&shop).await,
        });
        handled.await.map_err(|cause| Failure::Finalizer(cause.to_string()))
    }

    /// Makes what the shop needs, and tells how far it is.
    async fn open(&self, shop: &Shop) -> Result<Action, Failure> {
        let (name, namespace) = (shop.name_any(), shop.namespace().unwrap_or_default());
        let apply = PatchParams::apply(MANAGER).force();
        let meta = json!({ "name": name, "ownerReferences": [shop.controller_owner_ref(&())] });
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &namespace);
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {
                "replicas": shop.spec.tills,
                "selector": { "matchLabels": { "shop": name } },
                "template": {
                    "metadata": { "labels": { "shop": name } },
                    "spec": { "containers": [{ "name": "till", "image": shop.spec.image }] },
                },
            },
        });
        let deployment = deployments.patch(&name, &apply, &Patch::Apply(&deployment)).await?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), &namespace);
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": { "selector": { "shop": name }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        });
        services.patch(&name, &apply, &Patch::Apply(&service)).await?;
        self.tell(shop, &deployment).await?;
        Ok(Action::await_change())
    }

    async fn tell(&self, shop: &Shop, deployment: &Deployment) -> Result<(), Failure> {
        let seen = serde_json::to_value(deployment).unwrap_or_default();
        let number = |field: &str| seen["status"][field].as_i64().unwrap_or(0);
        let current = seen["status"]["observedGeneration"] == seen["metadata"]["generation"];
        let ready = current
            && number("updatedReplicas") == i64::from(shop.spec.tills)
            && number("availableReplicas") == number("updatedReplicas")
            && number("replicas") == number("updatedReplicas");
        let state = if ready { "True" } else { "False" };
        let told = shop.status.as_ref().and_then(|status| status.conditions.first());
        let changed = told.is_none_or(|told| told.status != state);
        let since = match told {
            Some(told) if !changed => serde_json::to_value(&told.last_transition_time).unwrap_or_default(),
            _ => json!(k8s_openapi::jiff::Timestamp::now().to_string()),
        };
        let status = json!({
            "apiVersion": "example.com/v1", "kind": "Shop",
            "status": {
                "tills": number("availableReplicas"),
                "conditions": [{
                    "type": "Ready", "status": state, "reason": "Tills", "message": "",
                    "lastTransitionTime": since, "observedGeneration": shop.metadata.generation,
                }],
            },
        });
        let shops: Api<Shop> = Api::namespaced(self.client.clone(), &shop.namespace().unwrap_or_default());
        let apply = PatchParams::apply(MANAGER).force();
        shops.patch_status(&shop.name_any(), &apply, &Patch::Apply(&status)).await?;
        if ready && changed {
            self.note(&shop.object_ref(&()), "Opened", "Opening").await?;
        }
        Ok(())
    }

    async fn close(&self, shop: &Shop) -> Result<Action, Failure> {
        self.note(&shop.object_ref(&()), "Closed", "Closing").await?;
        Ok(Action::await_change())
    }

    async fn note(&self, of: &ObjectReference, reason: &str, action: &str) -> Result<(), Failure> {
        let news = News {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            note: None,
            action: action.to_owned(),
            secondary: None,
        };
        Ok(self.recorder.publish(&news, of).await?)
    }

    /// The operator's whole life, until `end` is there.
    async fn run(client: Client, end: impl Future<Output = ()> + Send + Sync + 'static) {
        let recorder = Recorder::new(client.clone(), Reporter::from(MANAGER));
        let operator = Arc::new(Operator { client: client.clone(), recorder });
        let shops = Controller::new(Api::<Shop>::all(client.clone()), watcher::Config::default());
        let running = shops
            .owns(Api::<Deployment>::all(client.clone()), watcher::Config::default())
            .owns(Api::<Service>::all(client), watcher::Config::default())
            .graceful_shutdown_on(end)
            .run(Operator::reconcile, |_, _, _| Action::requeue(Duration::from_millis(50)), operator);
        running.for_each(|_| std::future::ready(())).await;
    }
}

/// Prints what each phase took.
struct Phases(Instant);

impl Phases {
    fn end(&mut self, phase: impl Display) {
        println!("{:>10.2} ms  {phase}", self.0.elapsed().as_secs_f64() * 1e3);
        self.0 = Instant::now();
    }
}

fn is_ready(shop: &Shop, tills: i32) -> bool {
    shop.status.as_ref().is_some_and(|status| {
        status.tills == tills
            && status.conditions.iter().any(|told| {
                told.type_ == "Ready"
                    && told.status == "True"
                    && told.observed_generation == shop.metadata.generation
            })
    })
}

/// Waits until every shop is as it should be.
async fn all_ready(shops: &Api<Shop>, tills: i32) {
    for number in 0..COUNT {
        let ready = move |shop: Option<&Shop>| shop.is_some_and(|shop| is_ready(shop, tills));
        await_condition(shops.clone(), &name(number), ready).await.unwrap();
    }
}

fn name(number: usize) -> String {
    format!("shop-{number:03}")
}

/// Waits until a kind has no object in the namespace.
async fn all_gone<K>(api: &Api<K>)
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let list = api.list_metadata(&ListParams::default()).await.unwrap();
    for object in list.items {
        let uid = object.uid().unwrap();
        await_condition(api.clone(), &object.name_any(), conditions::is_deleted(&uid)).await.unwrap();
    }
}

/// The test body; it is the same on real nodes.
async fn test(client: Client, mut phases: Phases) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &Shop::crd()).await.unwrap();
    let established = conditions::is_crd_established();
    await_condition(definitions, "shops.example.com", established).await.unwrap();
    phases.end("the custom resource is established");

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(Operator::run(client.clone(), async { drop(stopped.await) }));

    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some("mall".to_owned()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    let namespace = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let shops: Api<Shop> = Api::namespaced(client.clone(), "mall");
    let refused = shops.create(&PostParams::default(), &shop("too-large", 6)).await.unwrap_err();
    assert!(refused.to_string().contains("a shop has at most five tills"), "{refused}");
    for number in 0..COUNT {
        shops.create(&PostParams::default(), &shop(&name(number), 2)).await.unwrap();
    }
    all_ready(&shops, 2).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "mall");
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 2 * COUNT);
    phases.end(format!("{COUNT} shops are open, with {} pods", 2 * COUNT));

    for number in 0..COUNT {
        let scale = json!({ "spec": { "replicas": 3 } });
        shops.patch_scale(&name(number), &PatchParams::default(), &Patch::Merge(&scale)).await.unwrap();
    }
    all_ready(&shops, 3).await;
    phases.end("all are scaled to 3 tills");

    let image = json!({ "spec": { "image": "till:2" } });
    for number in 0..COUNT {
        shops.patch(&name(number), &PatchParams::default(), &Patch::Merge(&image)).await.unwrap();
    }
    all_ready(&shops, 3).await;
    let running_pods = pods.list(&ListParams::default()).await.unwrap();
    let old = running_pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    assert!(
        old.flat_map(|pod| &pod.spec.as_ref().unwrap().containers)
            .all(|c| c.image.as_deref() == Some("till:2"))
    );
    phases.end("all are rolled out to a new image");

    shops.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    all_gone(&shops).await;
    all_gone(&Api::<Deployment>::namespaced(client.clone(), "mall")).await;
    all_gone(&Api::<Service>::namespaced(client.clone(), "mall")).await;
    all_gone(&pods).await;
    phases.end("all are closed, and what they owned is gone");

    let events: Api<Event> = Api::namespaced(client, "mall");
    let told = events.list(&ListParams::default()).await.unwrap();
    let count = |reason: &str| told.iter().filter(|event| event.reason.as_deref() == Some(reason)).count();
    assert!(count("Opened") >= COUNT && count("Closed") >= COUNT, "{} {}", count("Opened"), count("Closed"));
    namespaces.delete("mall", &DeleteParams::default()).await.unwrap();
    let uid = namespace.uid().unwrap();
    await_condition(namespaces, "mall", conditions::is_deleted(&uid)).await.unwrap();
    phases.end("the namespace is gone");

    drop(stop);
    running.await.unwrap();
    phases.end("the operator has ended");
}

fn shop(name: &str, tills: i32) -> Shop {
    Shop::new(name, ShopSpec { tills, image: "till:1".to_owned() })
}

fn main() {
    let begun = Instant::now();
    let mut phases = Phases(begun);
    let cluster = Cluster::builder().hollow_nodes(3).start().unwrap();
    let client = cluster.kube_client();
    phases.end("a cluster with three hollow nodes and its kube::Client");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test(client, phases));
    drop(cluster);
    println!("{:>10.2} ms  in all", begun.elapsed().as_secs_f64() * 1e3);
}
