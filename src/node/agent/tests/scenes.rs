//! Scenes: one pod each, and how its status goes.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::bed::Bed;
use crate::api::ObjectKey;
use crate::node::runtime::Runtime;

fn container(name: &str, args: &[&str]) -> Value {
    json!({"name": name, "image": "app:1", "args": args})
}

/// Runs one pod for a while and compares the states that its status went through.
fn check(spec: Value, seconds: u64, expected: &str) -> Bed {
    let bed = Bed::new(7);
    bed.pod("p", spec);
    bed.run_for(seconds);
    assert_eq!(bed.trace(), trim(expected));
    bed
}

fn trim(text: &str) -> String {
    text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_pod_runs_in_two_writes() {
    let bed = check(
        json!({"containers": [container("a", &[])]}),
        40,
        "p Pending
         p Pending a=ContainerCreating
         p Running ready a=Running",
    );
    let status = bed.get("p").unwrap().status.unwrap();
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(status.host_ip.as_deref(), Some("192.168.0.1"));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    let own = status.container_statuses.unwrap().remove(0);
    assert_eq!(own.image_id, "hollow://app:1");
    assert!(own.container_id.unwrap().starts_with("coracle://"));
    assert_eq!((own.started, own.ready), (Some(true), true));
    let kinds: Vec<String> = status.conditions.unwrap().into_iter().map(|c| c.type_).collect();
    let order = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    assert_eq!(kinds, order);
    let mut events = bed.events();
    events.sort();
    let expected = [
        "Created Container created",
        "Pulled Container image \"app:1\" already present on machine and can be accessed by the pod",
        "Started Container started",
    ];
    assert_eq!(events, expected);
}

#[test]
fn init_containers_and_sidecars_come_in_order() {
    let mut sidecar = container("side", &[]);
    sidecar["restartPolicy"] = json!("Always");
    let bed = Bed::new(7);
    bed.pod(
        "p",
        json!({"initContainers": [container("first", &["exit:5:0"]), sidecar], "containers": [container("a", &[])]}),
    );
    bed.run_for(120);
    assert_eq!(
        bed.trace(),
        trim(
            "p Pending
             p Pending first=PodInitializing side=PodInitializing a=PodInitializing
             p Pending first=Running side=PodInitializing a=PodInitializing
             p Pending first=Completed(0) side=PodInitializing a=PodInitializing
             p Pending first=Completed(0) side=Running a=PodInitializing
             p Running ready first=Completed(0) side=Running a=Running"
        )
    );
    bed.delete("p", 30);
    bed.until(60, || bed.get("p").is_none());
    bed.check();
}

#[test]
fn a_job_ends_and_its_sidecar_with_it() {
    let mut sidecar = container("side", &[]);
    sidecar["restartPolicy"] = json!("Always");
    let bed = Bed::new(9);
    let spec = json!({"restartPolicy": "Never", "initContainers": [sidecar],
        "containers": [container("a", &["exit:20:0", "says:done"])]});
    bed.pod("p", spec);
    bed.run_for(120);
    let trace = bed.trace();
    let last: Vec<&str> = trace.lines().rev().take(2).collect();
    assert!(last[0].starts_with("p Succeeded side=Completed(0) a=Completed(0)"), "{trace}");
    let status = bed.get("p").unwrap().status.unwrap();
    let end = status.container_statuses.unwrap().remove(0).state.unwrap().terminated.unwrap();
    assert_eq!(end.message.as_deref(), Some("done"));
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    bed.check();
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let bed = check(
        json!({"restartPolicy": "Never", "initContainers": [container("i", &["exit:3:4"])],
               "containers": [container("a", &[])]}),
        90,
        "p Pending
         p Pending i=PodInitializing a=PodInitializing
         p Pending i=Running a=PodInitializing
         p Failed i=Error(4) a=PodInitializing
         p Failed i=Error(4) a=PodInitializing",
    );
    bed.check();
}

#[test]
fn a_crash_loop_backs_off_as_upstream() {
    let bed = Bed::new(3);
    bed.pod("p", json!({"containers": [container("a", &["exit:0:1"])]}));
    bed.until(60, || {
        bed.get("p").is_some_and(|pod| pod.status.is_some_and(|s| s.container_statuses.is_some()))
    });
    let pod = |bed: &Bed| bed.get("p").unwrap().status.unwrap().container_statuses.unwrap().remove(0);
    let mut waits = Vec::new();
    for _ in 0..6 {
        bed.until(900, || {
            let reason = pod(&bed).state.and_then(|state| state.waiting?.reason);
            reason.as_deref() == Some("CrashLoopBackOff")
        });
        let now = pod(&bed);
        let message = now.state.clone().unwrap().waiting.unwrap().message.unwrap();
        let uid = bed.get("p").unwrap().metadata.uid.unwrap();
        let delay = message.split(' ').nth(1).unwrap().to_owned();
        assert_eq!(message, format!("back-off {delay} restarting failed container=a pod=p_d({uid})"));
        let finished = now.last_state.unwrap().terminated.unwrap().finished_at.unwrap().0;
        let before = now.restart_count;
        bed.until(900, || pod(&bed).restart_count > before);
        let restarted = bed.sim.world().clock.now();
        let waited = restarted.duration_since(finished).as_secs();
        waits.push(format!("{delay}:{}", if waited >= 300 { 300 } else { waited / 10 * 10 }));
    }
    // Starting takes up to some simulated seconds more, so only the tens are compared, and up to 30 s are let pass.
    let delays: Vec<&str> = waits.iter().map(|wait| wait.split(':').next().unwrap()).collect();
    assert_eq!(delays, ["10s", "20s", "40s", "1m20s", "2m40s", "5m0s"]);
    for (wait, least) in waits.iter().zip([10, 20, 40, 80, 160, 300]) {
        let waited: i64 = wait.split(':').nth(1).unwrap().parse().unwrap();
        assert!(waited >= least && waited < least + 40, "{waits:?}");
    }
    assert!(
        bed.events()
            .iter()
            .any(|event| event.starts_with("BackOff Back-off restarting failed container a in pod p_d("))
    );
}

#[test]
fn failures_to_start_have_the_standard_reasons() {
    let secured = |args: &[&str], security: Value| {
        let mut container = container("a", args);
        container["securityContext"] = security;
        json!({"containers": [container]})
    };
    for (spec, reason, message) in [
        (json!({"containers": [container("a", &["bad"])]}), "CreateContainerError", "no such user"),
        (
            secured(&[], json!({"runAsNonRoot": true})),
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
        ),
        (
            secured(&[], json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}})),
            "CreateContainerConfigError",
            "Localhost",
        ),
        (
            json!({"containers": [container("a", &["missing"])]}),
            "RunContainerError",
            "no such file or directory",
        ),
    ] {
        let bed = Bed::new(5);
        bed.pod("p", spec);
        bed.until(120, || {
            let statuses = bed.get("p").and_then(|pod| pod.status?.container_statuses).unwrap_or_default();
            let waiting =
                statuses.first().and_then(|status| status.state.clone()?.waiting).unwrap_or_default();
            waiting.reason.as_deref() == Some(reason) && waiting.message.unwrap_or_default().contains(message)
        });
        assert_eq!(bed.phase("p"), if reason == "RunContainerError" { "Running" } else { "Pending" });
        bed.delete("p", 30);
        bed.until(120, || bed.get("p").is_none());
        bed.check();
    }
}

#[test]
fn what_cannot_be_executed_ends_with_128() {
    let bed = Bed::new(5);
    bed.pod("p", json!({"restartPolicy": "Never", "containers": [container("a", &["missing"])]}));
    bed.until(120, || bed.phase("p") == "Failed");
    let status = bed.get("p").unwrap().status.unwrap().container_statuses.unwrap().remove(0);
    let end = status.state.unwrap().terminated.unwrap();
    assert_eq!((end.exit_code, end.reason.as_deref()), (128, Some("StartError")));
    bed.run_for(60);
    bed.check();
}

#[test]
fn probes_decide_readiness_and_restarts() {
    let mut ready = container("a", &[]);
    ready["readinessProbe"] = json!({"exec": {"command": ["x"]}, "periodSeconds": 1});
    let bed = check(
        json!({"containers": [ready]}),
        60,
        "p Pending
         p Pending a=ContainerCreating
         p Running a=Running
         p Running ready a=Running",
    );
    bed.check();

    let mut sick = container("a", &["sick"]);
    sick["livenessProbe"] = json!({"exec": {"command": ["x"]}, "periodSeconds": 2, "failureThreshold": 2});
    let bed = Bed::new(7);
    bed.pod("p", json!({"containers": [sick]}));
    bed.until(200, || {
        let statuses = bed.get("p").and_then(|pod| pod.status?.container_statuses).unwrap_or_default();
        statuses.first().is_some_and(|status| status.restart_count > 0)
    });
    let events = bed.events();
    for expected in
        ["Unhealthy Liveness probe failed: ", "Killing Container a failed liveness probe, will be restarted"]
    {
        assert!(events.iter().any(|event| event == expected), "{events:?}");
    }

    let mut never = container("a", &["sick"]);
    never["startupProbe"] = json!({"exec": {"command": ["x"]}, "periodSeconds": 1, "failureThreshold": 3});
    never["readinessProbe"] = json!({"tcpSocket": {"port": 1}});
    let bed = Bed::new(7);
    bed.pod("p", json!({"restartPolicy": "Never", "containers": [never]}));
    bed.until(300, || bed.phase("p") == "Succeeded");
    assert!(!bed.trace().contains("ready"));
    bed.run_for(60);
    bed.check();
}

#[test]
fn a_deletion_asks_first_and_kills_at_the_end() {
    let bed = Bed::new(7);
    bed.pod("kind", json!({"containers": [container("a", &[])]}));
    bed.pod("deaf", json!({"containers": [container("a", &["deaf"])]}));
    bed.until(60, || bed.is_ready("kind") && bed.is_ready("deaf"));
    bed.delete("kind", 30);
    bed.delete("deaf", 30);
    let began = bed.sim.world().clock.moment();
    bed.until(28, || bed.get("kind").is_none());
    bed.until(100, || bed.get("deaf").is_none());
    let took = bed.sim.world().clock.moment().since(began).as_secs();
    assert!((30..75).contains(&took), "{took}");
    let trace = bed.trace();
    assert!(trace.contains("kind Succeeded ending a=Completed(0)"), "{trace}");
    assert!(trace.contains("deaf Failed ending a=Error(137)"), "{trace}");
    bed.check();
}

#[test]
fn a_shorter_grace_period_shortens() {
    let bed = Bed::new(7);
    bed.pod("deaf", json!({"containers": [container("a", &["deaf"])]}));
    bed.until(60, || bed.is_ready("deaf"));
    bed.delete("deaf", 3600);
    bed.run_for(40);
    assert!(bed.get("deaf").is_some());
    bed.delete("deaf", 5);
    bed.until(60, || bed.get("deaf").is_none());
    bed.check();
}

#[test]
fn a_pod_waits_until_no_service_leads_to_it() {
    let slice = |uid: &str, ready: bool| {
        json!({"metadata": {"name": "s", "namespace": "d"}, "addressType": "IPv4", "ports": [],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "namespace": "d", "name": "p", "uid": uid}}]})
    };
    for leave in [true, false] {
        let bed = Bed::new(7);
        bed.pod("p", json!({"containers": [container("a", &[])]}));
        bed.until(60, || bed.is_ready("p"));
        let uid = bed.get("p").unwrap().metadata.uid.unwrap();
        bed.create::<EndpointSlice>(slice(&uid, true));
        bed.sim.settle();
        bed.delete("p", 30);
        bed.sim.settle();
        let killing = |bed: &Bed| bed.events().iter().any(|event| event.starts_with("Killing"));
        assert!(!killing(&bed));
        if leave {
            let kind = bed.server.registry().id_of::<EndpointSlice>().unwrap();
            let options = crate::apiserver::DeleteOptions::default();
            bed.server.delete(kind, &ObjectKey::new("d", "s"), &options).unwrap();
            bed.sim.settle();
        } else {
            bed.run_for(2);
        }
        assert!(killing(&bed), "leave {leave}");
        bed.until(60, || bed.get("p").is_none());
        bed.check();
    }
}

#[test]
fn a_pod_too_long_active_fails() {
    let bed = Bed::new(7);
    bed.pod("p", json!({"activeDeadlineSeconds": 60, "containers": [container("a", &[])]}));
    bed.run_for(150);
    let status = bed.get("p").unwrap().status.unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was active on the node longer than the specified deadline")
    );
    bed.check();
}

#[test]
fn what_does_not_fit_is_rejected() {
    let bed = Bed::new(7);
    let big = |cpu: &str| {
        let mut container = container("a", &[]);
        container["resources"] = json!({"requests": {"cpu": cpu, "memory": "1Gi"}});
        container["ports"] = json!([{"containerPort": 80, "hostPort": 8080}]);
        container
    };
    bed.pod("one", json!({"containers": [big("1500m")]}));
    bed.until(60, || bed.is_ready("one"));
    bed.pod("cpu", json!({"containers": [big("600m")]}));
    bed.pod("port", json!({"containers": [big("100m")]}));
    bed.pod("label", json!({"nodeSelector": {"disk": "fast"}, "containers": [container("a", &[])]}));
    bed.run_for(60);
    for (name, reason, message) in [
        (
            "cpu",
            "OutOfcpu",
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 600, used: 1500, capacity: 2000",
        ),
        (
            "port",
            "NodePorts",
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
        ),
        (
            "label",
            "NodeAffinity",
            "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
    ] {
        let status = bed.get(name).unwrap().status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Failed"));
        assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some(reason), Some(message)));
        bed.delete(name, 30);
        bed.until(60, || bed.get(name).is_none());
    }
    bed.check();
}

#[test]
fn a_namesake_begins_after_the_old_one_ended() {
    let bed = Bed::new(7);
    bed.pod("p", json!({"containers": [container("a", &[])]}));
    bed.until(60, || bed.is_ready("p"));
    let old = bed.get("p").unwrap().metadata.uid.unwrap();
    bed.delete("p", 0);
    bed.pod("p", json!({"containers": [container("a", &[])]}));
    bed.until(120, || bed.is_ready("p"));
    let running = bed.runtime.running();
    assert_eq!(running.len(), 1);
    assert_ne!(running[0].0.0, old);
    bed.run_for(60);
    bed.check();
}

#[test]
fn hooks_hold_the_container_back() {
    let mut hooked = container("a", &[]);
    hooked["lifecycle"] =
        json!({"postStart": {"sleep": {"seconds": 20}}, "preStop": {"sleep": {"seconds": 15}}});
    let bed = Bed::new(7);
    bed.pod("p", json!({"containers": [hooked]}));
    bed.run_for(15);
    assert_eq!(bed.phase("p"), "Pending");
    bed.until(60, || bed.is_ready("p"));
    bed.delete("p", 60);
    let began = bed.sim.world().clock.moment();
    bed.until(70, || bed.get("p").is_none());
    assert!(bed.sim.world().clock.moment().since(began).as_secs() >= 15);

    let mut failing = container("a", &["sick"]);
    failing["lifecycle"] = json!({"postStart": {"exec": {"command": ["x"]}}});
    let bed = Bed::new(7);
    bed.pod("p", json!({"containers": [failing]}));
    bed.until(120, || bed.events().contains(&"FailedPostStartHook PostStartHook failed".to_owned()));
    bed.delete("p", 30);
    bed.until(120, || bed.get("p").is_none());
    bed.check();
}

#[test]
fn a_lost_runtime_is_told() {
    let bed = Bed::new(7);
    bed.pod("p", json!({"containers": [container("a", &[])]}));
    bed.until(60, || bed.is_ready("p"));
    bed.runtime.lose_for_good("the keeper was killed");
    bed.run_for(5);
    let status = bed.get("p").unwrap().status.unwrap().container_statuses.unwrap().remove(0);
    let end = status.state.unwrap().terminated.unwrap();
    assert_eq!((end.exit_code, end.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
    let node = bed.server.store().snapshot().get::<Node>(&ObjectKey::new("", "n")).unwrap();
    let ready =
        node.status.clone().unwrap().conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "False");
    assert_eq!(ready.message.as_deref(), Some("the container runtime is gone: the keeper was killed"));
    bed.delete("p", 30);
    bed.until(60, || bed.get("p").is_none());
}

#[test]
fn a_runtime_that_cannot_be_started_again_is_given_up() {
    let bed = Bed::new(7);
    bed.runtime.lose_for_good("the keeper was killed");
    let message = || {
        let node = bed.server.store().snapshot().get::<Node>(&ObjectKey::new("", "n"))?;
        let conditions = node.status.clone()?.conditions?;
        conditions.into_iter().find(|c| c.type_ == "Ready").filter(|c| c.status == "False")?.message
    };
    bed.until(300, || message().is_some_and(|message| message.ends_with("too often to be started again")));
}

#[test]
fn a_lost_runtime_is_started_again_and_its_pods_with_it() {
    for seed in 0..20 {
        let bed = Bed::new(seed);
        let once = container("i", &["exit:1:0"]);
        bed.pod("p", json!({"containers": [container("a", &[])], "initContainers": [once]}));
        bed.pod("never", json!({"containers": [container("a", &[])], "restartPolicy": "Never"}));
        bed.until(120, || bed.is_ready("p") && bed.is_ready("never"));
        // These are somewhere on their way.
        bed.pod("late", json!({"containers": [container("a", &[])]}));
        bed.pod("going", json!({"containers": [container("a", &[])]}));
        bed.run_for(seed % 4);
        bed.delete("going", 5);
        bed.runtime.lose("the keeper was killed");
        bed.run_for(1);
        bed.until(300, || bed.is_ready("p") && bed.is_ready("late") && bed.get("going").is_none());
        let status = |name: &str| bed.get(name).unwrap().status.unwrap();
        let container = status("p").container_statuses.unwrap().remove(0);
        let last = container.last_state.unwrap().terminated.unwrap();
        assert_eq!((container.restart_count, last.exit_code), (1, 137), "{seed}");
        assert_eq!(last.reason.as_deref(), Some("ContainerStatusUnknown"), "{seed}");
        let init = status("p").init_container_statuses.unwrap().remove(0);
        assert_eq!((init.restart_count, init.state.unwrap().terminated.unwrap().exit_code), (1, 0), "{seed}");
        bed.until(120, || status("never").phase.as_deref() == Some("Failed"));
        let end = status("never").container_statuses.unwrap().remove(0).state.unwrap().terminated.unwrap();
        assert_eq!((end.exit_code, end.reason.as_deref()), (137, Some("ContainerStatusUnknown")), "{seed}");
        let node = bed.server.store().snapshot().get::<Node>(&ObjectKey::new("", "n")).unwrap();
        let conditions = node.status.clone().unwrap().conditions.unwrap();
        assert!(conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"), "{seed}");
        // One instance of each runs, and what was removed is removed.
        assert_eq!(bed.runtime.running().len(), 2, "{seed}");
        bed.check();
    }
}

#[test]
fn a_node_keeps_itself_registered() {
    let bed = Bed::new(7);
    bed.run_for(60);
    let key = ObjectKey::new("", "n");
    let node = bed.server.store().snapshot().get::<Node>(&key).unwrap();
    let status = node.status.clone().unwrap();
    assert_eq!(status.capacity.unwrap()["memory"].0, "4Gi");
    assert_eq!(status.allocatable.unwrap()["pods"].0, "30");
    let shown: Vec<String> = status
        .conditions
        .unwrap()
        .iter()
        .map(|c| format!("{}={} {}", c.type_, c.status, c.message.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        shown,
        [
            "MemoryPressure=False kubelet has sufficient memory available",
            "DiskPressure=False kubelet has no disk pressure",
            "PIDPressure=False kubelet has sufficient PID available",
            "Ready=True kubelet is posting ready status",
        ]
    );
    assert_eq!(node.metadata.labels.clone().unwrap()["kubernetes.io/hostname"], "n");
    let lease = |bed: &Bed| {
        let found = bed.server.store().snapshot().get::<Lease>(&ObjectKey::new("kube-node-lease", "n"));
        found.unwrap().spec.clone().unwrap().renew_time.unwrap().0
    };
    let before = lease(&bed);
    let writes = bed.server.store().revision();
    bed.run_for(100);
    assert_eq!(lease(&bed).duration_since(before).as_secs(), 100);
    assert_eq!(bed.server.store().revision().0 - writes.0, 10, "only the lease is written");
    let kind = bed.server.registry().id_of::<Node>().unwrap();
    let uid = node.uid().to_owned();
    bed.server.delete(kind, &key, &crate::apiserver::DeleteOptions::default()).unwrap();
    bed.run_for(1);
    let anew = bed.server.store().snapshot().get::<Node>(&key).unwrap();
    assert_ne!(anew.uid(), uid);
}

#[test]
fn a_new_agent_takes_over_what_runs_and_removes_the_rest() {
    let bed = Bed::new(7);
    bed.pod("kept", json!({"containers": [container("a", &[])]}));
    bed.pod("gone", json!({"containers": [container("a", &[])]}));
    bed.until(60, || bed.is_ready("kept") && bed.is_ready("gone"));
    let before = bed.runtime.running();
    bed.delete("gone", 0);
    let bed = bed.restart(8);
    bed.run_for(60);
    let after = bed.runtime.running();
    assert_eq!(after.len(), 1);
    assert!(before.contains(&after[0]));
    assert!(bed.is_ready("kept"));
    assert_eq!(bed.get("kept").unwrap().status.unwrap().container_statuses.unwrap()[0].restart_count, 0);
    bed.check();

    // What ended while nobody looked is seen, and what vanished is taken as ended.
    bed.runtime.end_container(&after[0].1, 3);
    let bed = bed.restart(9);
    bed.run_for(60);
    let status = bed.get("kept").unwrap().status.unwrap().container_statuses.unwrap().remove(0);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 3);
    bed.runtime.remove_sandbox(&after[0].0).unwrap();
    let bed = bed.restart(10);
    bed.run_for(60);
    let status = bed.get("kept").unwrap().status.unwrap().container_statuses.unwrap().remove(0);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 137);
    assert_eq!(status.restart_count, 2);
    bed.delete("kept", 30);
    bed.until(60, || bed.get("kept").is_none());
    bed.check();
}

#[test]
fn the_nodes_own_pods_have_mirrors() {
    let folder = std::env::temp_dir().join(format!("coracle-statics-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let cleanup = Cleanup(folder.clone());
    let write = |name: &str, image: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: own, namespace: d}}\nspec:\n  containers:\n  - name: a\n    \
             image: {image}\n"
        );
        let draft = folder.join(format!(".{name}"));
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(&draft, folder.join(name)).unwrap();
    };
    write("own.yaml", "app:1");
    let statics = std::sync::Arc::new(crate::node::agent::FolderPods::new(&folder));
    let bed = Bed::with_statics(7, statics.clone());
    bed.until(60, || bed.is_ready("own-n"));
    let image = |bed: &Bed| bed.get("own-n").and_then(|pod| pod.spec?.containers[0].image.clone());
    let mirror = bed.get("own-n").unwrap();
    let annotations = mirror.metadata.annotations.clone().unwrap();
    assert_eq!(annotations["kubernetes.io/config.source"], "file");
    assert_eq!(annotations["kubernetes.io/config.mirror"], annotations["kubernetes.io/config.hash"]);
    assert_eq!(mirror.spec.unwrap().node_name.as_deref(), Some("n"));

    // A mirror that is deleted comes back, and nothing is restarted.
    let running = bed.runtime.running();
    bed.delete("own-n", 0);
    bed.until(60, || bed.is_ready("own-n"));
    assert_eq!(bed.runtime.running(), running);

    // A changed file is a new pod.
    write("own.yaml", "app:2");
    statics.changed();
    bed.until(120, || bed.is_ready("own-n") && image(&bed).as_deref() == Some("app:2"));
    assert_eq!(bed.runtime.running().len(), 1);
    assert_ne!(bed.runtime.running(), running);

    std::fs::remove_file(folder.join("own.yaml")).unwrap();
    statics.changed();
    bed.until(120, || bed.get("own-n").is_none());
    assert_eq!(bed.runtime.list().unwrap(), []);
    drop(cleanup);
}

struct Cleanup(std::path::PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_changed_image_replaces_the_container() {
    let bed = Bed::new(7);
    bed.pod("p", json!({"containers": [container("a", &[])]}));
    bed.until(60, || bed.is_ready("p"));
    let mut pod = bed.get("p").unwrap();
    pod.spec.as_mut().unwrap().containers[0].image = Some("app:2".to_owned());
    let kind = bed.server.registry().id_of::<k8s_openapi::api::core::v1::Pod>().unwrap();
    let options = crate::apiserver::WriteOptions::default();
    bed.server.update(kind, crate::apiserver::Face::Main, Box::new(pod), &options).unwrap();
    bed.run_for(90);
    assert!(bed.is_ready("p"));
    let status = bed.get("p").unwrap().status.unwrap().container_statuses.unwrap().remove(0);
    assert_eq!((status.image_id.as_str(), status.restart_count), ("hollow://app:2", 1));
    assert!(bed.events().contains(&"Killing Container a definition changed, will be restarted".to_owned()));
    bed.check();
}
