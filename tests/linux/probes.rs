//! Probes: what is alive, what is ready, what has started.

use coracle::client::conditions;
use coracle::k8s_openapi::api::core::v1::Pod;

use crate::rig::{PATIENCE, Rig, pod, until};
use crate::wire::get;

/// A script that serves a page at port 8080 once `/tmp/serve` is there.
const SERVES: &str = "echo $HOSTNAME > /tmp/index.html; while ! test -e /tmp/serve; do sleep 0.1; done; exec httpd -f -p 8080 -h /tmp";

#[test]
fn a_sick_container_is_replaced() {
    let Some(rig) = Rig::start("a_sick_container_is_replaced") else { return };
    let probe =
        "livenessProbe: {exec: {command: [test, '!', -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 1}";
    rig.apply(&pod("patient", "exec sleep 100000", probe, ""));
    rig.ready("patient");
    rig.exec("patient", "main", "touch /tmp/sick");
    rig.event("patient", "Killing", "Container main failed liveness probe, will be restarted");
    let again = rig.pod_when("patient", "runs again", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && !status["state"]["running"].is_null()
    });
    assert_eq!(again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    // A new root file system: it is healthy again.
    assert_eq!(rig.exec("patient", "main", "ls /tmp").1, "");
    rig.delete("patient");
    rig.end();
}

#[test]
fn a_service_leads_to_ready_pods_alone() {
    let Some(rig) = Rig::start("a_service_leads_to_ready_pods_alone") else { return };
    let ready =
        "readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}";
    rig.apply("{apiVersion: v1, kind: Service, metadata: {name: door}, spec: {selector: {role: door}, ports: [{port: 80, targetPort: 8080}]}}");
    for name in ["left", "right"] {
        let manifest = pod(name, SERVES, ready, "");
        rig.apply(&manifest.replace("labels: {", "labels: {role: door, "));
        rig.phase(name, "Running");
        assert_eq!(rig.exec(name, "main", "touch /tmp/serve").0, 0);
    }
    let target = rig.service("door", 80);
    assert!(get(target).is_err(), "no pod is ready");
    rig.exec("left", "main", "touch /tmp/ready");
    rig.ready("left");
    until("the Service leads to the ready pod", || get(target).ok());
    for _ in 0..12 {
        assert_eq!(get(target).unwrap(), "left");
    }
    rig.exec("right", "main", "touch /tmp/ready");
    until("the Service leads to the other pod too", || (get(target).ok()? == "right").then_some(()));
    rig.exec("left", "main", "rm /tmp/ready");
    rig.pod_when("left", "is not ready", |pod| !crate::rig::is_ready(pod));
    until("the Service leads to it no longer", || {
        (0..12).all(|_| get(target).is_ok_and(|answer| answer == "right")).then_some(())
    });
    rig.end();
}

#[test]
fn probes_of_each_kind_wait_for_the_startup_probe() {
    let Some(rig) = Rig::start("probes_of_each_kind_wait_for_the_startup_probe") else { return };
    let probes = "ports: [{name: web, containerPort: 8080}]
startupProbe: {tcpSocket: {port: web}, periodSeconds: 1, failureThreshold: 1000}
livenessProbe: {exec: {command: [test, -e, /tmp/serve]}, periodSeconds: 1, failureThreshold: 1}
readinessProbe: {httpGet: {path: /index.html, port: web}, periodSeconds: 1}";
    rig.apply(&pod("slow", SERVES, probes, ""));
    rig.event("slow", "Unhealthy", "Startup probe failed: dial tcp ");
    let status = rig.phase("slow", "Running")["status"]["containerStatuses"][0].clone();
    assert_eq!((&status["started"], &status["restartCount"]), (&false.into(), &0.into()), "{status}");
    rig.exec("slow", "main", "touch /tmp/serve");
    let ready = rig.ready("slow");
    let status = &ready["status"]["containerStatuses"][0];
    assert_eq!((&status["started"], &status["restartCount"]), (&true.into(), &0.into()), "{status}");
    rig.exec("slow", "main", "rm /tmp/index.html");
    rig.event("slow", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404");
    let pods = rig.client.namespaced::<Pod>("default");
    pods.wait(
        "",
        |pods: &[_]| {
            pods.iter().any(|pod: &coracle::store::Stored<Pod>| {
                !crate::rig::is_ready(&serde_json::to_value(&**pod).unwrap())
            })
        },
        PATIENCE,
    )
    .unwrap();
    rig.delete("slow");
    pods.wait("", conditions::gone(), PATIENCE).unwrap();
    rig.end();
}
