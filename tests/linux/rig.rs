//! A cluster of one test, and the questions that tests ask it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use coracle::api::Kind;
use coracle::client::{Client, Condition, DeleteOptions, ListParams, conditions};
use coracle::cluster::{Cluster, ClusterBuilder, LinuxNode};
use coracle::k8s_openapi::api::apps::v1::Deployment;
use coracle::k8s_openapi::api::core::v1::{Event, Pod, Service};
use coracle::node::runtime::{ContainerId, ContainerState, Runtime};
use coracle::store::Stored;
use serde_json::Value;

use crate::images;
use crate::machine::{Links, traces};
use crate::network::FILTER_VARIABLE;

/// How long a condition may take on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Whether a test can run; says so loudly where not.
pub fn can_run(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var("REQUIRE_ROOT").as_deref() != Ok("1"), "{test} needs root");
    eprintln!("SKIPPED: needs root: {test}");
    false
}

/// Asks again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// A folder of one test, removed when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("coracle-test-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A closure as a condition that can say how things stood.
struct Is<'a, F>(&'a str, F);

impl<K: Kind, F: Fn(&Value) -> bool> Condition<K> for Is<'_, F> {
    fn holds(&self, objects: &[Stored<K>]) -> bool {
        objects.iter().any(|object| self.1(&serde_json::to_value(&**object).unwrap()))
    }

    fn what(&self) -> String {
        self.0.to_owned()
    }

    fn state(&self, objects: &[Stored<K>]) -> String {
        let values =
            objects.iter().map(|object| serde_json::to_value(&**object).unwrap()["status"].to_string());
        values.collect::<Vec<_>>().join("\n")
    }
}

/// A cluster with one node and the busybox image.
pub struct Rig {
    cluster: Option<Cluster>,
    pub client: Client,
    pub id: String,
    pub links: Links,
    folder: Folder,
}

impl Rig {
    /// A cluster for a test; `None` where the test cannot run.
    pub fn start(test: &str) -> Option<Rig> {
        Rig::start_with(test, |builder, _| builder)
    }

    /// The same with more: the folder is the test's own.
    pub fn start_with(test: &str, more: impl FnOnce(ClusterBuilder, &Path) -> ClusterBuilder) -> Option<Rig> {
        if !can_run(test) {
            return None;
        }
        let folder = Folder::new(test);
        let busybox = folder.path().join("busybox");
        images::busybox().write_oci_layout(&busybox).unwrap();
        let builder = Cluster::builder().node("node-1").image(busybox);
        let cluster = more(builder, folder.path()).start().unwrap();
        let id = cluster.linux_node().unwrap().cluster_id().to_owned();
        // `/sys` shows the network namespace that it was mounted in.
        let inside = std::env::var_os(FILTER_VARIABLE).is_some();
        let links = if inside { Links::default() } else { Links::of(&id) };
        Some(Rig { client: cluster.client(), links, id, cluster: Some(cluster), folder })
    }

    /// The test's own folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    pub fn node(&self) -> &LinuxNode {
        self.cluster().linux_node().unwrap()
    }

    /// Applies a manifest; `BUSYBOX` stands for the image and `FOLDER` for the test's folder.
    pub fn apply(&self, manifest: &str) {
        let folder = self.folder().display().to_string();
        let text = manifest.replace("BUSYBOX", images::BUSYBOX).replace("FOLDER", &folder);
        self.client.apply_manifest(&text).unwrap_or_else(|cause| panic!("{cause}\n{text}"));
    }

    /// A pod of one busybox container `main` that runs a script; `more` are further lines of the pod's spec.
    pub fn script(&self, name: &str, script: &str, more: &str) {
        self.apply(&pod(name, script, "", more));
    }

    /// The pod once it is so; it must exist.
    pub fn pod_when(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let pods = self.client.namespaced::<Pod>("default");
        let found = pods.wait_named(name, Is(&format!("pod {name} {what}"), is), PATIENCE);
        serde_json::to_value(&**found.unwrap_or_else(|cause| panic!("{cause}")).as_ref().unwrap()).unwrap()
    }

    /// The pod once it is ready.
    pub fn ready(&self, name: &str) -> Value {
        self.pod_when(name, "is ready", is_ready)
    }

    /// The pod once it is in this phase.
    pub fn phase(&self, name: &str, phase: &str) -> Value {
        self.pod_when(name, phase, |pod| pod["status"]["phase"] == phase)
    }

    /// The message with which a container of a pod waits for this reason.
    pub fn waiting(&self, name: &str, reason: &str) -> String {
        let waits = |pod: &Value| {
            let statuses = pod["status"]["containerStatuses"].as_array()?;
            let found = statuses.iter().map(|status| &status["state"]["waiting"]);
            let found = found.into_iter().find(|waiting| waiting["reason"] == reason)?;
            Some(found["message"].as_str().unwrap_or_default().to_owned())
        };
        waits(&self.pod_when(name, reason, |pod| waits(pod).is_some())).unwrap()
    }

    pub fn available(&self, name: &str) {
        let deployments = self.client.namespaced::<Deployment>("default");
        let selector = format!("app={name}");
        if let Err(cause) = deployments.wait(&selector, conditions::available(), PATIENCE) {
            panic!("{cause}");
        }
    }

    /// Waits for an event about an object whose text contains this; answers its text.
    pub fn event(&self, about: &str, reason: &str, text: &str) -> String {
        let is = |event: &Value| {
            event["involvedObject"]["name"] == about
                && event["reason"] == reason
                && event["message"].as_str().is_some_and(|message| message.contains(text))
        };
        let what = format!("event {reason} of {about} with {text:?}");
        let events = self.client.namespaced::<Event>("default");
        let found = events
            .wait("", Is(&what, is), PATIENCE)
            .unwrap_or_else(|cause| panic!("{cause}\n{}", self.told()));
        let event = found.iter().map(|event| serde_json::to_value(&**event).unwrap()).find(|event| is(event));
        event.unwrap()["message"].as_str().unwrap().to_owned()
    }

    /// Deletes a pod and waits until it is gone.
    pub fn delete(&self, name: &str) {
        let pods = self.client.namespaced::<Pod>("default");
        pods.delete(name, &DeleteOptions::default()).unwrap();
        pods.wait_named(name, conditions::gone(), PATIENCE).unwrap();
    }

    /// The runtime's name of a container that runs.
    pub fn container(&self, pod: &str, container: &str) -> ContainerId {
        until(&format!("container {container} of {pod} runs"), || {
            let pod = self.client.namespaced::<Pod>("default").get(pod).ok()?;
            let pod = serde_json::to_value(&*pod).unwrap();
            let all = ["containerStatuses", "initContainerStatuses"];
            let statuses =
                all.iter().flat_map(|list| pod["status"][list].as_array().cloned().unwrap_or_default());
            let status = statuses.into_iter().find(|status| status["name"] == container)?;
            status["state"]["running"].as_object()?;
            let id = ContainerId(status["containerID"].as_str()?.trim_start_matches("coracle://").to_owned());
            matches!(self.node().runtime().state(&id), Ok(ContainerState::Running { .. })).then_some(id)
        })
    }

    /// The first process of a container, in the host's numbering.
    pub fn pid(&self, pod: &str, container: &str) -> u32 {
        let id = self.container(pod, container);
        match self.node().runtime().state(&id).unwrap() {
            ContainerState::Running { pid, .. } => pid,
            other => panic!("{pod} {container} is {other:?}"),
        }
    }

    /// Runs a script in a container: its exit code and output.
    pub fn exec(&self, pod: &str, container: &str, script: &str) -> (i32, String) {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let id = self.container(pod, container);
        let answer = self.node().runtime().exec(&id, &command, PATIENCE).unwrap();
        (answer.code, String::from_utf8_lossy(&answer.output).trim().to_owned())
    }

    /// What a container of an existing pod has said on a stream (`stdout`, `stderr`), from its log in the CRI format.
    pub fn log(&self, pod: &str, container: &str, attempt: u32, stream: &str) -> String {
        let pods = self.client.namespaced::<Pod>("default");
        let uid = pods.get(pod).unwrap().uid().to_owned();
        let folder = self.node().logs().join(format!("default_{pod}_{uid}")).join(container);
        let path = folder.join(format!("{attempt}.log"));
        let text = fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        let mut said = String::new();
        for line in text.lines() {
            let parts: Vec<&str> = line.splitn(4, ' ').collect();
            parts[0].parse::<jiff::Timestamp>().unwrap_or_else(|cause| panic!("{line:?}: {cause}"));
            assert!(["F", "P"].contains(&parts[2]), "{line:?}");
            if parts[1] == stream {
                said.push_str(parts[3]);
                if parts[2] == "F" {
                    said.push('\n');
                }
            }
        }
        said
    }

    /// The address of a Service.
    pub fn service(&self, name: &str, port: u16) -> SocketAddr {
        let service = self.client.namespaced::<Service>("default").get(name).unwrap();
        let ip: IpAddr = service.spec.as_ref().unwrap().cluster_ip.as_ref().unwrap().parse().unwrap();
        SocketAddr::new(ip, port)
    }

    /// Ends the cluster, and looks whether anything of it is left.
    pub fn end(mut self) {
        self.cluster.take().unwrap().shutdown().unwrap();
        assert_nothing_left(&self.id, &self.links);
    }

    /// Pods and events, for people.
    pub fn told(&self) -> String {
        let mut lines = Vec::new();
        for pod in self.client.all::<Pod>().list(&ListParams::default()).unwrap().items {
            let value = serde_json::to_value(&*pod).unwrap();
            lines.push(format!("{}: {}", pod.name(), value["status"]));
        }
        for event in self.client.all::<Event>().list(&ListParams::default()).unwrap().items {
            lines.push(format!(
                "{} {}: {}",
                event.involved_object.name.as_deref().unwrap_or_default(),
                event.reason.as_deref().unwrap_or_default(),
                event.message.as_deref().unwrap_or_default()
            ));
        }
        lines.join("\n")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() && self.cluster.is_some() {
            eprintln!("{}", self.told());
        }
    }
}

/// Nothing of a cluster that has ended is on this machine. Its ranges may be another's by now, which is seen as soon
/// as that one has put its name to them.
pub fn assert_nothing_left(id: &str, links: &Links) {
    let left = traces(id, links);
    assert!(left.is_empty(), "left of {id}: {left:#?}");
    until("the ranges are routed nowhere, or to another cluster", || links.ranges_are_free().then_some(()));
}

pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// The manifest of a pod with one container `main` that runs a script. `container` are further lines of the
/// container, `more` of the pod's spec, in flow style or indented as they are.
pub fn pod(name: &str, script: &str, container: &str, more: &str) -> String {
    let script = serde_json::to_string(script).unwrap();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  \
         terminationGracePeriodSeconds: 1\n{}  containers:\n  - name: main\n    image: BUSYBOX\n    command: [/bin/sh, -c, {script}]\n{}",
        indented(more, 2),
        indented(container, 4),
    )
}

fn indented(text: &str, by: usize) -> String {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("{:by$}{line}\n", "")).collect()
}

/// The last or present end of a container.
pub fn terminated<'a>(pod: &'a Value, container: &str) -> &'a Value {
    for list in ["containerStatuses", "initContainerStatuses"] {
        for status in pod["status"][list].as_array().into_iter().flatten() {
            if status["name"] == container {
                let now = &status["state"]["terminated"];
                return if now.is_null() { &status["lastState"]["terminated"] } else { now };
            }
        }
    }
    &Value::Null
}
