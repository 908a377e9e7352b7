//! A host that takes the defaults: one hollow node, one pod, waited for and deleted.

use std::error::Error;
use std::time::Duration;

use coracle::client::{Api, DeleteOptions, conditions};
use coracle::cluster::Cluster;
use coracle::k8s_openapi::api::core::v1::Pod;

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: one, labels: {app: one}}, \
                   spec: {terminationGracePeriodSeconds: 1, containers: [{name: a, image: a}]}}";

fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::builder().hollow_nodes(1).start()?;
    let client = cluster.client();
    client.apply_manifest(POD)?;
    let pods: Api<Pod> = client.namespaced("default");
    let ready = pods.wait("app=one", conditions::ready(1), Duration::from_secs(20))?;
    println!("{} runs on {:?}", ready[0].name(), ready[0].spec.as_ref().and_then(|spec| spec.node_name.clone()));
    pods.delete("one", &DeleteOptions::default())?;
    pods.wait_named("one", conditions::gone(), Duration::from_secs(20))?;
    cluster.shutdown()?;
    Ok(())
}
