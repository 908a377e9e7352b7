//! The tour: each step prints what it did and what it took, and fails loudly if anything is not as it should be.

use std::error::Error;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use coracle::api::ObjectKey;
use coracle::api::patch::JsonPatch;
use coracle::client::{Api, Client, DeleteOptions, ListParams, Patch, conditions, table};
use coracle::cluster::Cluster;
use coracle::controllers::rollout;
use coracle::k8s_openapi::api::apps::v1::Deployment;
use coracle::k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use coracle::node::private;
use coracle::node::runtime::{ContainerId, ContainerState, Runtime};
use coracle::store::Stored;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::load::{Load, visit};
use crate::machine::Marks;

type Outcome<T> = Result<T, Box<dyn Error>>;

const PATIENCE: Duration = Duration::from_secs(30);

/// Prints a line for each step, with the time since the one before.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, what: &str) {
        println!("{:>10.2} ms  {what}", self.0.elapsed().as_secs_f64() * 1e3);
        self.0 = Instant::now();
    }
}

fn note(text: &str) {
    for line in text.lines() {
        println!("               {line}");
    }
}

/// The whole tour.
pub fn run() -> Outcome<()> {
    let alone = !private::is_root();
    if alone {
        private::enter()?;
        println!(
            "Not root: everything happens in private namespaces, without cgroup limits, and the Service address is \
             reachable from inside only."
        );
    }
    let mut steps = Steps(Instant::now());
    let cluster = Cluster::builder().node("node-1").start()?;
    steps.done("a cluster with one node is ready");
    for warning in cluster.linux_node().into_iter().flat_map(|node| node.warnings()) {
        note(warning);
    }
    let marks = Marks::of(cluster.linux_node().ok_or("there is no node")?.cluster_id(), alone);
    let seen = marks.traces();
    for what in ["link", "route", "process", "nftables table", "folder"] {
        if !seen.iter().any(|trace| trace.starts_with(what)) {
            return Err(format!("no {what} of the cluster is found, and so none would be missed").into());
        }
    }
    let toured = tour(&cluster, &mut steps);
    if toured.is_err() {
        explain(&cluster.client());
    }
    cluster.shutdown()?;
    steps.done("the cluster has ended");
    toured?;
    let left: Vec<String> = marks.traces().into_iter().collect();
    if !left.is_empty() {
        return Err(format!("left on the machine: {}", left.join(", ")).into());
    }
    steps.done("the machine is as it was: no mount, link, route, process, cgroup or table of ours");
    Ok(())
}

fn tour(cluster: &Cluster, steps: &mut Steps) -> Outcome<()> {
    let client = cluster.client();
    for applied in client.apply_manifest(include_str!("../manifests/web.yaml"))? {
        note(&applied.to_string());
    }
    steps.done("the manifest is applied");

    let deployments: Api<Deployment> = client.namespaced("shop");
    let pods: Api<Pod> = client.namespaced("shop");
    deployments.wait("app=web", conditions::available(), PATIENCE)?;
    steps.done("the deployment is available");

    let target = service_address(&client)?;
    let answers = (0..6).map(|_| visit(target)).collect::<Result<Vec<_>, _>>()?;
    note(&answers.join("\n"));
    steps.done(&format!("6 connections to the Service at {target} are answered"));
    show(&client, &pods)?;

    client.apply_manifest(include_str!("../manifests/visitor.yaml"))?;
    pods.wait("app=visitor", conditions::ready(1), PATIENCE)?;
    steps.done("a visitor calls the Service from a pod without end");

    let load = Load::start(target);
    let version =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/env/0/value", "value": "2"}]);
    deployments.patch("web", &Patch::Json(JsonPatch::from_value(version)?))?;
    deployments.wait("app=web", conditions::available(), PATIENCE)?;
    old_pods_are_gone(&pods)?;
    steps.done("a rolling update to version 2, under load from the host and from a pod");
    expect_version(target, "version 2")?;
    note(&format!("from the host:  {}", load.report()));
    note(&format!("from the pod:   {}", visitor_report(&pods)?));

    rollout::undo(cluster.server(), &ObjectKey::new("shop", "web"), None)?;
    deployments.wait("app=web", conditions::available(), PATIENCE)?;
    old_pods_are_gone(&pods)?;
    steps.done("rolled back to version 1, under the same load");
    expect_version(target, "version 1")?;
    let (from_host, from_pod) = (load.report(), visitor_report(&pods)?);
    note(&format!("from the host:  {from_host}"));
    note(&format!("from the pod:   {from_pod}"));
    if load.stop() > 0 || !from_pod.contains(" 0 failed") {
        return Err("a request failed".into());
    }
    show(&client, &pods)?;
    pods.delete("visitor", &DeleteOptions::default())?;

    kill_a_container(cluster, &pods)?;
    steps.done("a container's process is killed, and the container restarted");
    show(&client, &pods)?;

    client.delete_manifest(include_str!("../manifests/web.yaml"))?;
    client.all::<Namespace>().wait_named("shop", conditions::gone(), PATIENCE)?;
    steps.done("the namespace and everything in it is deleted");
    Ok(())
}

fn service_address(client: &Client) -> Outcome<SocketAddr> {
    let service = client.namespaced::<Service>("shop").get("web")?;
    let spec = service.spec.as_ref().ok_or("the Service has no spec")?;
    let ip: IpAddr = spec.cluster_ip.as_deref().ok_or("the Service has no address")?.parse()?;
    Ok(SocketAddr::new(ip, 80))
}

fn expect_version(target: SocketAddr, version: &str) -> Outcome<()> {
    for _ in 0..12 {
        let answer = visit(target)?;
        if !answer.ends_with(version) {
            return Err(format!("{answer:?} where {version} is expected").into());
        }
    }
    Ok(())
}

/// Waits until no pod of an older version is left.
fn old_pods_are_gone(pods: &Api<Pod>) -> Outcome<()> {
    pods.wait("app=web", conditions::count(3), PATIENCE)?;
    Ok(())
}

fn visitor_report(pods: &Api<Pod>) -> Outcome<String> {
    let visitor = pods.get("visitor")?;
    let ip: IpAddr = pod_ip(&visitor).ok_or("the visitor has no address")?.parse()?;
    let mut text = String::new();
    TcpStream::connect((ip, 8081))?.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

fn pod_ip(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref()
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

fn kill_a_container(cluster: &Cluster, pods: &Api<Pod>) -> Outcome<()> {
    let victim = pods.wait("app=web", conditions::ready(3), PATIENCE)?.remove(0);
    let id = victim
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref()?.first()?.container_id.clone())
        .ok_or("the pod has no container")?;
    let id = ContainerId(id.trim_start_matches("coracle://").to_owned());
    let node = cluster.linux_node().ok_or("there is no node")?;
    let ContainerState::Running { pid, .. } = node.runtime().state(&id)? else {
        return Err("the container does not run".into());
    };
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL)?;
    let restarted = |pods: &[Stored<Pod>]| pods.iter().any(|pod| restarts(pod) == 1);
    pods.wait("app=web", restarted, PATIENCE)?;
    pods.wait("app=web", conditions::ready(3), PATIENCE)?;
    Ok(())
}

fn show(client: &Client, pods: &Api<Pod>) -> Outcome<()> {
    let list = pods.list(&ListParams::default())?;
    let now = client.server().world().clock.now();
    let text = table(client.server().registry(), &list.items, now, true);
    // The last two columns are for schedulers that preempt.
    let cut = text.lines().map(|line| line.split("   NOMINATED").next().unwrap_or(line));
    note(&cut.map(|line| line.trim_end_matches("<none>").trim_end()).collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// After a failure: the pods and the events, so that the cause can be seen.
fn explain(client: &Client) {
    use coracle::k8s_openapi::api::core::v1::Event;
    let _ = show(client, &client.namespaced("shop"));
    if let Ok(events) = client.all::<Event>().list(&ListParams::default()) {
        for event in events.items {
            note(&format!(
                "{} {}: {}",
                event.involved_object.name.as_deref().unwrap_or_default(),
                event.reason.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or_default()
            ));
        }
    }
}
