//! A host that uses kube-rs elsewhere and the newest types: both libraries speak of the same `Pod`, and a
//! Deployment, whose type differs between the versions, is rolled out all the same.

use std::error::Error;
use std::time::Duration;

use coracle::client::{Api, Client, DeleteOptions, conditions};
use coracle::cluster::Cluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

const WEB: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, \
                   selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, \
                   spec: {terminationGracePeriodSeconds: 1, containers: [{name: a, image: a}]}}}}";

/// The names of the pods of a cluster in this process, and of one elsewhere.
pub async fn names(here: &Client, there: &kube::Client) -> Result<Vec<String>, Box<dyn Error>> {
    let mut pods: Vec<Pod> = Vec::new();
    for pod in here.all::<Pod>().list(&Default::default())?.items {
        pods.push((*pod).clone());
    }
    pods.extend(kube::Api::<Pod>::all(there.clone()).list(&Default::default()).await?.items);
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::builder().hollow_nodes(1).start()?;
    let client = cluster.client();
    client.apply_manifest(WEB)?;
    let deployments: Api<Deployment> = client.namespaced("default");
    let web = deployments.wait_named("web", conditions::available(), Duration::from_secs(20))?;
    // `spec` is no longer an `Option`: these are the host's types, not those of 1.36.
    let wanted = web.and_then(|web| web.spec.replicas);
    println!("{} is rolled out with {wanted:?} replicas", <Deployment as k8s_openapi::Resource>::KIND);
    deployments.delete("web", &DeleteOptions::default())?;
    deployments.wait_named("web", conditions::gone(), Duration::from_secs(20))?;
    cluster.shutdown()?;
    Ok(())
}
