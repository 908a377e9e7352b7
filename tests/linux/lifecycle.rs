//! The life of containers: order of start, restarts, ends.

use serde_json::{Value, json};

use coracle::client::{DeleteOptions, conditions};
use coracle::k8s_openapi::api::core::v1::Pod;

use crate::rig::{PATIENCE, Rig, pod, terminated, until};

#[test]
fn containers_start_in_order_and_sidecars_stay() {
    let Some(rig) = Rig::start("containers_start_in_order_and_sidecars_stay") else { return };
    rig.apply(
        "
apiVersion: v1
kind: Pod
metadata: {name: ordered}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  initContainers:
  - name: one
    image: BUSYBOX
    command: [/bin/sh, -c, echo one >> /order/file]
    volumeMounts: &mounts [{name: order, mountPath: /order}]
  - name: beside
    image: BUSYBOX
    restartPolicy: Always
    command: [/bin/sh, -c, 'trap \"echo beside ends >> /order/file; exit 0\" TERM; echo beside >> /order/file; while :; do sleep 0.1; done']
    startupProbe: {exec: {command: [grep, -q, beside, /order/file]}, periodSeconds: 1}
    volumeMounts: *mounts
  - name: two
    image: BUSYBOX
    command: [/bin/sh, -c, echo two >> /order/file]
    volumeMounts: *mounts
  containers:
  - name: main
    image: BUSYBOX
    command: [/bin/sh, -c, 'echo main >> /order/file; while ! test -e /order/end; do sleep 0.1; done; exit 0']
    volumeMounts: *mounts
  volumes: [{name: order, hostPath: {path: FOLDER/order, type: DirectoryOrCreate}}]
",
    );
    rig.ready("ordered");
    let file = rig.folder().join("order/file");
    until("the main container has begun", || {
        std::fs::read_to_string(&file).ok()?.contains("main").then_some(())
    });
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\nbeside\ntwo\nmain\n");
    rig.container("ordered", "beside");
    std::fs::write(rig.folder().join("order/end"), "").unwrap();
    rig.phase("ordered", "Succeeded");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\nbeside\ntwo\nmain\nbeside ends\n");
    rig.end();
}

#[test]
fn a_failed_init_container_fails_the_pod() {
    let Some(rig) = Rig::start("a_failed_init_container_fails_the_pod") else { return };
    rig.script(
        "blocked",
        "echo never",
        "restartPolicy: Never\ninitContainers: [{name: init, image: BUSYBOX, command: [/bin/sh, -c, exit 9]}]",
    );
    let failed = rig.phase("blocked", "Failed");
    assert_eq!(terminated(&failed, "init")["exitCode"], 9);
    assert_eq!(failed["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    rig.end();
}

#[test]
fn ends_are_told_and_restarts_follow_the_policy() {
    let Some(rig) = Rig::start("ends_are_told_and_restarts_follow_the_policy") else { return };
    rig.script("always", "exit 5", "restartPolicy: Always");
    rig.script(
        "on-failure",
        "test -e /k/once || { touch /k/once; exit 6; }",
        "restartPolicy: OnFailure\nvolumes: [{name: k, emptyDir: {}}]",
    );
    rig.script("never", "kill -TERM 1; sleep 100000", "restartPolicy: Never");
    rig.script(
        "killed",
        "kill -KILL 1; trap 'exit 12' USR1; kill -USR1 1; sleep 100000",
        "restartPolicy: Never",
    );
    rig.apply(&pod(
        "greedy",
        "x=a; while :; do x=$x$x; done",
        "resources: {limits: {memory: 24Mi}}",
        "restartPolicy: Never",
    ));
    rig.apply(&pod("message", "printf good-bye > /dev/termination-log; exit 1", "", "restartPolicy: Never"));
    rig.apply(&pod(
        "from-log",
        "echo the end is in the log; exit 1",
        "terminationMessagePolicy: FallbackToLogsOnError",
        "restartPolicy: Never",
    ));

    let message = rig.waiting("always", "CrashLoopBackOff");
    assert!(
        message.starts_with("back-off 10s restarting failed container=main pod=always_default("),
        "{message}"
    );
    let looping = rig.pod_when("always", "has restarted", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"] == 1
    });
    assert_eq!(looping["status"]["phase"], "Running");
    assert_eq!(looping["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 5);
    rig.event("always", "BackOff", "Back-off restarting failed container main in pod always_default(");

    let check = |pod: &Value, code: i32, reason: &str, message: Value| {
        let end = terminated(pod, "main");
        assert_eq!(
            (&end["exitCode"], &end["reason"], &end["message"]),
            (&json!(code), &json!(reason), &message),
            "{}",
            pod["metadata"]["name"]
        );
    };
    check(&rig.phase("greedy", "Failed"), 137, "OOMKilled", Value::Null);
    check(&rig.phase("message", "Failed"), 1, "Error", json!("good-bye"));
    check(&rig.phase("from-log", "Failed"), 1, "Error", json!("the end is in the log"));
    // The first process of a PID namespace does not get a signal from inside that it has no handler for.
    check(&rig.phase("killed", "Failed"), 12, "Error", Value::Null);
    rig.phase("never", "Running");
    rig.delete("never");
    rig.end();
}

#[test]
fn hooks_run_and_a_pod_ends_in_its_grace_period() {
    let Some(rig) = Rig::start("hooks_run_and_a_pod_ends_in_its_grace_period") else { return };
    let volumes = "volumes: [{name: host, hostPath: {path: FOLDER}}]";
    let mounts = "volumeMounts: [{name: host, mountPath: /host}]";
    let hooks = "lifecycle:\n  postStart: {exec: {command: [/bin/sh, -c, echo post >> /host/hooks]}}\n  preStop: {exec: {command: [/bin/sh, -c, echo pre >> /host/hooks]}}";
    let script = "trap 'echo term >> /host/hooks; exit 0' TERM; while :; do sleep 0.1; done";
    let longer = format!("terminationGracePeriodSeconds: 60\n{volumes}");
    let manifest = pod("polite", script, &format!("{mounts}\n{hooks}"), &longer);
    rig.apply(&manifest.replacen("  terminationGracePeriodSeconds: 1\n", "", 1));
    // This one never ends by itself.
    rig.apply(&pod("stubborn", "trap '' TERM; while :; do sleep 0.1; done", "", ""));
    rig.ready("polite");
    rig.ready("stubborn");
    let hooks = rig.folder().join("hooks");
    until("postStart has run", || std::fs::read_to_string(&hooks).ok());
    rig.container("polite", "main");
    rig.delete("polite");
    assert_eq!(std::fs::read_to_string(&hooks).unwrap(), "post\npre\nterm\n");
    rig.delete("stubborn");
    rig.apply(&pod(
        "badly",
        "exec sleep 100000",
        "lifecycle: {postStart: {exec: {command: [/bin/sh, -c, exit 4]}}}",
        "",
    ));
    rig.event("badly", "FailedPostStartHook", "PostStartHook failed");
    rig.delete("badly");
    rig.end();
}

#[test]
fn pods_that_are_deleted_while_they_start_leave_nothing() {
    let Some(rig) = Rig::start("pods_that_are_deleted_while_they_start_leave_nothing") else { return };
    let pods = rig.client.namespaced::<Pod>("default");
    let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    for turn in 0..20 {
        let name = format!("brief-{turn}");
        let init = "initContainers: [{name: init, image: BUSYBOX, command: [/bin/true]}]";
        rig.script(&name, "exec sleep 100000", init);
        match turn % 4 {
            0 => {}
            1 => drop(rig.pod_when(&name, "has a node", |pod| pod["spec"]["nodeName"].is_string())),
            2 => drop(rig.pod_when(&name, "has an address", |pod| pod["status"]["podIP"].is_string())),
            _ => drop(rig.pod_when(&name, "has an image", |pod| {
                pod["status"]["initContainerStatuses"][0]["imageID"].as_str().is_some_and(|id| !id.is_empty())
            })),
        }
        let options = if turn % 3 == 0 { now.clone() } else { DeleteOptions::default() };
        pods.delete(&name, &options).unwrap();
    }
    pods.wait("", conditions::gone(), PATIENCE).unwrap();
    until("only the keeper is left", || (crate::machine::processes(&rig.id).len() == 1).then_some(()));
    // Their folders and logs are gone too.
    let empty =
        |folder: &std::path::Path| std::fs::read_dir(folder).is_ok_and(|mut found| found.next().is_none());
    let logs = rig.node().logs();
    until("no log is left", || empty(&logs).then_some(()));
    until("no volume is left", || empty(&logs.parent()?.join("pods")).then_some(()));
    rig.end();
}
