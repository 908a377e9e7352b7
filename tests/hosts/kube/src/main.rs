//! A host that uses kube-rs elsewhere: both libraries speak of the same `Pod`.

use coracle::client::Client;
use k8s_openapi::api::core::v1::Pod;

/// The names of the pods of a cluster in this process, and of one elsewhere.
pub async fn names(here: &Client, there: &kube::Client) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut pods: Vec<Pod> = Vec::new();
    for pod in here.all::<Pod>().list(&Default::default())?.items {
        pods.push((*pod).clone());
    }
    pods.extend(kube::Api::<Pod>::all(there.clone()).list(&Default::default()).await?.items);
    Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
}

fn main() {
    println!("{}", <Pod as k8s_openapi::Resource>::KIND);
}
