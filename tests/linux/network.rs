//! Services as programs see them: from the host, from pods, between clusters, with bridge filtering and without.

use std::fs;
use std::os::unix::process::CommandExt;

use coracle::api::patch::JsonPatch;
use coracle::client::{Patch, conditions};
use coracle::k8s_openapi::api::apps::v1::Deployment;
use coracle::k8s_openapi::api::core::v1::Pod;
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use crate::rig::{PATIENCE, Rig, can_run, pod, until};
use crate::wire::{Load, ask_udp, get};

const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
pub const FILTER_VARIABLE: &str = "CORACLE_TEST_BRIDGE_FILTER";

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: main
        image: BUSYBOX
        command: [/bin/sh, -c, 'mkdir /page; echo $HOSTNAME > /page/index.html; exec httpd -f -p 8080 -h /page']
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        # This server drops what it has accepted when it is asked to end.
        lifecycle: {preStop: {sleep: {seconds: 1}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
";

/// Every pod reaches the Service by its address, also where it leads back to itself.
fn pods_reach_the_service(rig: &Rig, pods: &[String]) {
    let target = rig.service("web", 80);
    for name in pods {
        let script =
            format!("for i in $(seq 40); do wget -q -O - http://{target}/ || echo failed; done | sort -u");
        let said = rig.exec(name, "main", &script).1;
        let mut wanted = pods.to_vec();
        wanted.sort();
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "from {name}");
    }
}

fn rollout(rig: &Rig) {
    rig.apply(WEB);
    rig.available("web");
    let target = rig.service("web", 80);
    let names = || {
        let pods =
            rig.client.namespaced::<Pod>("default").wait("app=web", conditions::count(2), PATIENCE).unwrap();
        pods.iter().map(|pod| pod.name().to_owned()).collect::<Vec<_>>()
    };
    let pods = names();
    // The proxy hears of ready pods when the deployment does: not before.
    for name in &pods {
        until("the Service leads to each pod", || (get(target).ok()? == *name).then_some(()));
    }
    pods_reach_the_service(rig, &pods);
    let load = Load::start(target);
    until("the Service is called", || (load.answered().0 > 20).then_some(()));
    let deployments = rig.client.namespaced::<Deployment>("default");
    let restarted =
        json!([{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"turn": "2"}}]);
    deployments.patch("web", &Patch::Json(JsonPatch::from_value(restarted).unwrap())).unwrap();
    rig.available("web");
    pods_reach_the_service(rig, &names());
    let before = load.answered().0;
    until("the last pods are called", || (load.answered().0 > before + 20).then_some(()));
    let failures = load.stop();
    assert!(failures.is_empty(), "{failures:#?}\n{}", rig.told());
}

/// The scenario of a child process that has a network namespace of its own.
pub fn rollout_in_own_namespace() {
    let filter = std::env::var(FILTER_VARIABLE).unwrap();
    if fs::write(BRIDGE_FILTER, &filter).is_err() {
        eprintln!("SKIPPED: this kernel has no {BRIDGE_FILTER}: rollout with {filter}");
        return;
    }
    // A namespace of its own has no other links, so it has none when the cluster has ended.
    let links = || {
        let text = fs::read_to_string("/proc/net/dev").unwrap();
        text.lines().skip(2).map(|line| line.split(':').next().unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    let before = links();
    let rig = Rig::start("rollout_in_own_namespace").unwrap();
    assert_eq!(fs::read_to_string(BRIDGE_FILTER).unwrap().trim(), filter);
    rollout(&rig);
    assert_eq!(fs::read_to_string(BRIDGE_FILTER).unwrap().trim(), filter, "a setting of the host is changed");
    rig.end();
    assert_eq!(links(), before);
    assert_eq!(fs::read_to_string("/proc/net/route").unwrap().lines().count(), 1);
    assert_eq!(coracle::net::tables().unwrap(), Vec::<String>::new());
}

fn roll_out_with(filter: &str) {
    let mut command = crate::death::command("rollout");
    command.env(FILTER_VARIABLE, filter);
    // SAFETY: one system call, between fork and exec.
    unsafe { command.pre_exec(|| unshare(CloneFlags::CLONE_NEWNET).map_err(Into::into)) };
    assert!(command.status().unwrap().success(), "bridge-nf-call-iptables {filter}");
}

#[test]
fn a_rollout_with_bridge_filtering_fails_no_request() {
    if can_run("a_rollout_with_bridge_filtering_fails_no_request") {
        roll_out_with("1");
    }
}

#[test]
fn a_rollout_without_bridge_filtering_fails_no_request() {
    if can_run("a_rollout_without_bridge_filtering_fails_no_request") {
        roll_out_with("0");
    }
}

#[test]
fn two_clusters_do_not_meet() {
    let Some(one) = Rig::start("two_clusters_do_not_meet") else { return };
    let two = Rig::start("two_clusters_do_not_meet, the second").unwrap();
    let serve = |rig: &Rig, text: &str| {
        rig.apply("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}");
        rig.apply(&pod(
            "web",
            &format!("mkdir /page; echo {text} > /page/index.html; exec httpd -f -p 8080 -h /page"),
            "",
            "",
        ));
        let pod = rig.ready("web");
        let target = rig.service("web", 80);
        until("the Service answers", || get(target).ok());
        (target, pod["status"]["podIP"].as_str().unwrap().to_owned())
    };
    let (first, first_pod) = serve(&one, "one");
    let (second, second_pod) = serve(&two, "two");
    assert_ne!(first, second);
    assert_ne!(first_pod, second_pod);
    assert_eq!(get(first).unwrap(), "one");
    assert_eq!(get(second).unwrap(), "two");
    let say =
        |rig: &Rig, to: &str| rig.exec("web", "main", &format!("wget -q -O - http://{to}/ || echo failed")).1;
    assert_eq!(say(&one, &first.to_string()), "one");
    assert_eq!(say(&two, &second.to_string()), "two");
    one.end();
    assert_eq!(get(second).unwrap(), "two", "the end of one is nothing to the other");
    assert_eq!(say(&two, &second.to_string()), "two");
    assert!(get(first).is_err(), "its Service is gone");
    two.end();
}

#[test]
fn a_udp_service_follows_its_pods() {
    let Some(rig) = Rig::start("a_udp_service_follows_its_pods") else { return };
    let run = |name: &str| {
        rig.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: echo}}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    image: coracle.local/self:latest\n    args: [--coracle-entry=udp_echo]\n    env: [{{name: POD_NAME, value: {name}}}]\n"
        ));
        rig.ready(name);
    };
    rig.apply("{apiVersion: v1, kind: Service, metadata: {name: echo}, spec: {selector: {app: echo}, ports: [{port: 77, targetPort: 7777, protocol: UDP}]}}");
    run("first");
    let target = rig.service("echo", 77);
    until("the first pod answers", || (ask_udp(target, "hello").ok()? == "first: hello").then_some(()));
    // A flow that goes on from the same port must not stick to a pod that is gone.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let ask = |text: &str| {
        let mut buffer = [0; 512];
        socket.send_to(text.as_bytes(), target).ok()?;
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    until("the flow reaches the first pod", || ask("again").filter(|answer| answer == "first: again"));
    rig.delete("first");
    run("second");
    until("the same flow reaches the second pod", || ask("still").filter(|answer| answer == "second: still"));
    rig.end();
}
