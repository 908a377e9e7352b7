//! A cluster of hollow nodes, as any user, on any platform: a Deployment is rolled out, updated, rolled back and
//! deleted, and nothing runs.
//!
//! `cargo run --example control_plane`

#![allow(clippy::disallowed_methods, reason = "an example shows what each step took")]

use std::error::Error;
use std::time::{Duration, Instant};

use coracle::api::ObjectKey;
use coracle::client::{Api, Client, DeleteOptions, ListParams, Patch, conditions, table};
use coracle::cluster::Cluster;
use coracle::controllers::rollout;
use coracle::k8s_openapi::api::apps::v1::Deployment;
use coracle::k8s_openapi::api::core::v1::{Namespace, Pod};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let mut began = Instant::now();
    let mut step = |what: &str| {
        println!("{:>9.2} ms  {what}", began.elapsed().as_secs_f64() * 1e3);
        began = Instant::now();
    };
    let cluster = Cluster::builder().hollow_nodes(3).start()?;
    step("a cluster with 3 hollow nodes is ready");

    let client = cluster.client();
    for applied in client.apply_manifest(include_str!("manifests/web.yaml"))? {
        println!("              {applied}");
    }
    step("the manifest is applied");

    let deployments: Api<Deployment> = client.namespaced("shop");
    let pods: Api<Pod> = client.namespaced("shop");
    deployments.wait("app=web", conditions::available(), PATIENCE)?;
    step("the deployment is available");
    show(&client, &pods)?;

    let version = json!({"spec": {"template": {"spec": {"containers": [container("2")]}}}});
    deployments.patch("web", &Patch::Merge(version))?;
    deployments.wait("app=web", conditions::available(), PATIENCE)?;
    step("it is updated, one pod after the other");
    show(&client, &pods)?;

    let key = ObjectKey::new("shop", "web");
    rollout::undo(cluster.server(), &key, None)?;
    deployments.wait("app=web", conditions::available(), PATIENCE)?;
    step("it is rolled back");
    for entry in rollout::history(&cluster.server().store().snapshot(), &key)? {
        println!("              revision {} is kept by {}", entry.number, entry.replica_set);
    }

    client.all::<Namespace>().delete("shop", &DeleteOptions::default())?;
    client.all::<Namespace>().wait_named("shop", conditions::gone(), PATIENCE)?;
    if !pods.list(&ListParams::default())?.items.is_empty() {
        return Err("pods outlived their namespace".into());
    }
    step("the namespace and all that was in it is gone");
    cluster.shutdown()?;
    step("the cluster has ended");
    Ok(())
}

/// The container of the manifest with another version.
fn container(version: &str) -> serde_json::Value {
    json!({
        "name": "web", "image": "coracle.local/self:latest", "args": ["--coracle-entry=web"],
        "env": [{"name": "VERSION", "value": version}],
    })
}

fn show(client: &Client, pods: &Api<Pod>) -> Result<(), Box<dyn Error>> {
    let list = pods.list(&ListParams::default())?;
    let now = client.server().world().clock.now();
    for line in table(client.server().registry(), &list.items, now, true).lines() {
        println!("              {line}");
    }
    Ok(())
}
