//! Real software in pods: nginx and redis, from images of every form that is read.

use std::path::Path;

use coracle::api::patch::JsonPatch;
use coracle::client::{Patch, conditions};
use coracle::cluster::ClusterBuilder;
use coracle::k8s_openapi::api::apps::v1::Deployment;
use coracle::k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::images;
use crate::rig::{PATIENCE, Rig, until};
use crate::wire::{Load, Redis, get};

const NGINX: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  index.html: the first page
  nginx.conf: |
    user root;
    worker_processes 1;
    pid /run/nginx.pid;
    events {}
    http {
      access_log off;
      keepalive_timeout 60;
      client_body_temp_path /tmp/body;
      proxy_temp_path /tmp/proxy;
      fastcgi_temp_path /tmp/fastcgi;
      uwsgi_temp_path /tmp/uwsgi;
      scgi_temp_path /tmp/scgi;
      server { listen 80; root /page; }
    }
---
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
      containers:
      - name: nginx
        image: IMAGE
        ports: [{containerPort: 80, name: http}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        volumeMounts:
        - {name: web, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
        - {name: web, mountPath: /page}
      volumes: [{name: web, configMap: {name: web}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
";

/// Serves a page with nginx, and restarts it under load from an image of this form.
fn nginx_is_rolled(test: &str, give: impl FnOnce(ClusterBuilder, &Path) -> ClusterBuilder) {
    let Some(rig) = Rig::start_with(test, give) else { return };
    rig.apply(&NGINX.replace("IMAGE", "test/nginx:1"));
    rig.available("web");
    let target = rig.service("web", 80);
    assert_eq!(until("the Service answers", || get(target).ok()), "the first page");
    let load = Load::start(target);
    until("both clients are served", || {
        let (new, kept) = load.answered();
        (new > 20 && kept > 20).then_some(())
    });
    let deployments = rig.client.namespaced::<Deployment>("default");
    let pods = rig.client.namespaced::<Pod>("default");
    for turn in 1..=2 {
        let restarted = json!([{"op": "add", "path": "/spec/template/metadata/annotations",
            "value": {"kubectl.kubernetes.io/restartedAt": format!("turn {turn}")}}]);
        deployments.patch("web", &Patch::Json(JsonPatch::from_value(restarted).unwrap())).unwrap();
        rig.available("web");
        pods.wait("app=web", conditions::count(2), PATIENCE).unwrap();
    }
    let (new, kept) = load.answered();
    until("both clients are served by the last pods", || {
        let (now, kept_now) = load.answered();
        (now > new + 20 && kept_now > kept + 20).then_some(())
    });
    let failures = load.stop();
    assert!(failures.is_empty(), "{failures:#?}\n{}", rig.told());
    rig.end();
}

#[test]
fn nginx_from_an_oci_archive_is_rolled_without_a_failed_request() {
    nginx_is_rolled("nginx_from_an_oci_archive", |builder, folder| {
        let archive = folder.join("nginx.tar");
        images::nginx("test/nginx:1").write_oci_archive(&archive).unwrap();
        builder.image(archive)
    });
}

#[test]
fn nginx_from_a_docker_archive_of_a_folder_is_rolled_without_a_failed_request() {
    nginx_is_rolled("nginx_from_a_docker_archive", |builder, folder| {
        let store = folder.join("archives");
        std::fs::create_dir_all(&store).unwrap();
        images::nginx("test/nginx:1").write_docker_archive(&store.join("nginx.tar")).unwrap();
        builder.image_folder(store)
    });
}

const REDIS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis, labels: {app: redis}}
spec:
  selector: {matchLabels: {app: redis}}
  template:
    metadata: {labels: {app: redis}}
    spec:
      containers:
      - name: redis
        image: test/redis:1
        ports: [{containerPort: 6379}]
        readinessProbe: {tcpSocket: {port: 6379}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: redis}
spec: {selector: {app: redis}, ports: [{port: 6379}]}
";

#[test]
fn redis_keeps_its_data_over_a_restart() {
    let given = |builder: ClusterBuilder, folder: &Path| {
        let layout = folder.join("redis");
        images::redis("test/redis:1").write_oci_layout(&layout).unwrap();
        builder.image(layout).layers_on_disk()
    };
    let Some(rig) = Rig::start_with("redis_keeps_its_data_over_a_restart", given) else { return };
    rig.apply(REDIS);
    rig.available("redis");
    let target = rig.service("redis", 6379);
    let mut redis = until("the Service leads to redis", || Redis::connect(target).ok());
    assert_eq!(redis.command(&["SET", "answer", "forty two"]).unwrap().as_deref(), Some("OK"));
    assert_eq!(redis.command(&["GET", "answer"]).unwrap().as_deref(), Some("forty two"));
    assert_eq!(redis.command(&["GET", "question"]).unwrap(), None);
    assert_eq!(redis.command(&["SAVE"]).unwrap().as_deref(), Some("OK"));
    let pods = rig.client.namespaced::<Pod>("default");
    let pod = pods.wait("app=redis", conditions::ready(1), PATIENCE).unwrap().remove(0);
    let pid = rig.pid(pod.name(), "redis");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    let again = rig.pod_when(pod.name(), "has restarted", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"] == 1 && crate::rig::is_ready(pod)
    });
    assert_eq!(again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(again["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"], "Error");
    let value = until("the Service leads to redis again", || {
        Redis::connect(target).ok()?.command(&["GET", "answer"]).ok()
    });
    assert_eq!(value.as_deref(), Some("forty two"));
    rig.end();
}
