//! Tables of the pure parts: phases, conditions, QoS, memory scores, security, admission, plans.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition};
use serde_json::{Value, json};

use crate::api::ObjectKey;
use crate::node::agent::NodeConfig;
use crate::node::agent::admit::{Room, admit};
use crate::node::agent::plan::{Act, Wish, plan};
use crate::node::agent::pod::{Life, Origin, PodRun, PostStart, Stage, StopStep, Why};
use crate::node::agent::resources::{container_resources, pod_resources, qos};
use crate::node::agent::seams::{Images, PullPolicy, ResolvedImage};
use crate::node::agent::{hollow, security, status};
use crate::node::runtime::{ContainerId, Seccomp, User};
use crate::world::Moment;

fn pod_of(spec: Value) -> Pod {
    let pod = json!({"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": spec});
    serde_json::from_value(pod).unwrap()
}

/// Reads `m.a=R s.b=T0`: role (`i`, `s`, `m`), name, state. States: `W` waits, `R` runs, `r` runs and is not started,
/// `U` runs and is not ready, `T3` ended with 3, `W3` waits after it ended with 3, `?` without a status.
fn read(policy: &str, text: &str) -> (Pod, Vec<ContainerStatus>) {
    let (mut inits, mut mains, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        let (name, state) = word.split_once('=').unwrap();
        let (role, name) = name.split_once('.').unwrap();
        let mut container = json!({"name": name});
        if role == "s" {
            container["restartPolicy"] = json!("Always");
        }
        if role == "m" {
            mains.push(container)
        } else {
            inits.push(container)
        }
        let code: Option<i32> = state[1..].parse().ok();
        let (now, last) = match (&state[..1], code) {
            ("W", None) => (json!({"waiting": {}}), json!({})),
            ("W", Some(code)) => (json!({"waiting": {}}), json!({"terminated": {"exitCode": code}})),
            ("T", code) => (json!({"terminated": {"exitCode": code.unwrap_or(0)}}), json!({})),
            ("?", _) => continue,
            _ => (json!({"running": {}}), json!({})),
        };
        let ready = (role != "i" && state == "R") || (role == "i" && state == "T0");
        let status = json!({"name": name, "image": "", "imageID": "", "ready": ready, "restartCount": 0,
            "started": state == "R" || state == "U", "state": now, "lastState": last});
        statuses.push(serde_json::from_value(status).unwrap());
    }
    let spec = json!({"restartPolicy": policy, "initContainers": inits, "containers": mains});
    (pod_of(spec), statuses)
}

#[test]
fn phases_are_upstreams() {
    let table = "
        Always    | m.a=W                   | Pending
        Always    | m.a=R                   | Running
        Always    | m.a=R m.b=R             | Running
        Always    | m.a=R m.b=W             | Pending
        Always    | m.a=R m.b=?             | Pending
        Always    | m.a=R m.b=W1            | Running
        Always    | m.a=T0                  | Running
        Always    | m.a=T1                  | Running
        Always    | m.a=W1                  | Running
        Always    | m.a=T0 m.b=T1           | Running
        OnFailure | m.a=T0                  | Succeeded
        OnFailure | m.a=T1                  | Running
        OnFailure | m.a=T0 m.b=T1           | Running
        OnFailure | m.a=T0 m.b=R            | Running
        OnFailure | m.a=T0 m.b=T0           | Succeeded
        OnFailure | m.a=W1 m.b=T0           | Running
        Never     | m.a=T0                  | Succeeded
        Never     | m.a=T1                  | Failed
        Never     | m.a=T0 m.b=T1           | Failed
        Never     | m.a=T1 m.b=R            | Running
        Never     | m.a=T0 m.b=W            | Pending
        Never     | m.a=?                   | Pending
        Always    | i.i=R m.a=W             | Pending
        Always    | i.i=T0 m.a=W            | Pending
        Always    | i.i=T0 m.a=R            | Running
        Always    | i.i=T1 m.a=W            | Pending
        Always    | i.i=W1 m.a=W            | Pending
        OnFailure | i.i=T1 m.a=W            | Pending
        Never     | i.i=T1 m.a=W            | Failed
        Never     | i.i=W1 m.a=W            | Failed
        Never     | i.i=T0 i.j=T2 m.a=W     | Failed
        Always    | i.i=? m.a=R             | Pending
        Always    | s.s=r m.a=W             | Pending
        Always    | s.s=R m.a=R             | Running
        Always    | s.s=W m.a=W             | Pending
        Never     | s.s=R m.a=T0            | Running
        Never     | s.s=T0 m.a=T0           | Succeeded
        Never     | s.s=T137 m.a=T0         | Succeeded
        Never     | s.s=T1 m.a=T1           | Failed
        Always    | s.s=W1 m.a=R            | Running
        Always    | s.s=r m.a=R             | Pending
        Always    | s.s=r m.a=R       | Running   | started
        Always    | m.a=T0            | Succeeded | over
        Always    | m.a=T1            | Failed    | over
        Always    | m.a=T0 m.b=W1     | Failed    | over
        Always    | m.a=R             | Running   | over
        Always    | m.a=T0            | Running   | over static";
    for row in table.trim().lines() {
        let parts: Vec<&str> = row.split('|').map(str::trim).collect();
        let (pod, statuses) = read(parts[0], parts[1]);
        let flags = parts.get(3).copied().unwrap_or_default();
        let over = flags.contains("over");
        let found = status::phase(&pod, &statuses, over, flags.contains("started"), flags.contains("static"));
        assert_eq!(found, parts[2], "{row}");
    }
}

fn shown(condition: &PodCondition) -> String {
    let reason = condition.reason.as_deref().unwrap_or_default();
    let message = condition.message.as_deref().unwrap_or_default();
    format!("{} {reason} {message}", condition.status).trim().to_owned()
}

#[test]
fn conditions_are_upstreams() {
    let table = "
        ready | m.a=R          | Running   | True
        ready | m.a=U          | Running   | False ContainersNotReady containers with unready status: [a]
        ready | m.a=U m.b=W    | Pending   | False ContainersNotReady containers with unready status: [a b]
        ready | m.a=R m.b=?    | Pending   | False ContainersNotReady containers with unknown status: [b]
        ready | m.a=U m.b=?    | Pending   | False ContainersNotReady containers with unknown status: [b], containers with unready status: [a]
        ready | m.a=?          | Pending   | False UnknownContainerStatuses
        ready | m.a=T0         | Succeeded | False PodCompleted
        ready | m.a=T1         | Failed    | False PodFailed
        ready | m.a=R m.b=T1   | Failed    | False PodFailed
        ready | s.s=U m.a=R    | Running   | False ContainersNotReady containers with unready status: [s]
        ready | i.i=T0 m.a=R   | Running   | True
        init  | m.a=W          | Pending   | True
        init  | i.i=R m.a=W    | Pending   | False ContainersNotInitialized containers with incomplete status: [i]
        init  | i.i=T0 m.a=W   | Pending   | True
        init  | i.i=T1 m.a=W   | Pending   | False ContainersNotInitialized containers with incomplete status: [i]
        init  | i.i=T0 i.j=? m.a=W | Pending | False ContainersNotInitialized containers with unknown status: [j]
        init  | s.s=r m.a=W    | Pending   | False ContainersNotInitialized containers with incomplete status: [s]
        init  | s.s=R m.a=W    | Pending   | True
        init  | i.i=? m.a=?    | Pending   | False UnknownContainerStatuses
        init  | i.i=T0 m.a=T0  | Succeeded | True PodCompleted
        init  | s.s=r m.a=R    | Running   | True";
    for row in table.trim().lines() {
        let parts: Vec<&str> = row.split('|').map(str::trim).collect();
        let (pod, statuses) = read("Always", parts[1]);
        let started = parts[1].contains("m.a=R");
        let found = match parts[0] {
            "ready" => status::pod_ready(&pod, &[], &statuses, parts[2]),
            _ => status::initialized(&pod, &statuses, parts[2], started),
        };
        assert_eq!(shown(&found), parts[3], "{row}");
    }
}

#[test]
fn readiness_gates_count() {
    let (mut pod, statuses) = read("Always", "m.a=R");
    let gates = json!([{"conditionType": "x/y"}]);
    pod.spec.as_mut().unwrap().readiness_gates = serde_json::from_value(gates).unwrap();
    let gate = |status: &str| PodCondition {
        type_: "x/y".to_owned(),
        status: status.to_owned(),
        ..PodCondition::default()
    };
    for (conditions, expected) in [
        (
            vec![],
            "False ReadinessGatesNotReady corresponding condition of pod readiness gate \"x/y\" does not exist.",
        ),
        (
            vec![gate("False")],
            "False ReadinessGatesNotReady the status of pod readiness gate \"x/y\" is not \"True\", but False",
        ),
        (vec![gate("True")], "True"),
    ] {
        assert_eq!(shown(&status::pod_ready(&pod, &conditions, &statuses, "Running")), expected);
    }
}

/// Reads `100m/200m 1Gi/1Gi`: requests and limits of CPU and memory, `-` for none.
fn resources(text: &str) -> Value {
    let mut requests = serde_json::Map::new();
    let mut limits = serde_json::Map::new();
    for (word, name) in text.split_whitespace().zip(["cpu", "memory"]) {
        let (request, limit) = word.split_once('/').unwrap();
        for (amount, list) in [(request, &mut requests), (limit, &mut limits)] {
            if amount != "-" {
                list.insert(name.to_owned(), json!(amount));
            }
        }
    }
    json!({"requests": requests, "limits": limits})
}

#[test]
fn classes_and_limits_follow_the_resources() {
    // Containers, class, oom_score_adj of the first, pod: cpu request / cpu limit / memory limit in MiB.
    let table = "
        -/- -/-                             | BestEffort | 1000 | 0/-/-
        100m/100m 1Gi/1Gi                   | Guaranteed | -997 | 100/100/1024
        -/100m -/1Gi                        | Guaranteed | -997 | 100/100/1024
        100m/200m 1Gi/1Gi                   | Burstable  | 750  | 100/200/1024
        100m/100m -/-                       | Burstable  | 999  | 100/100/-
        -/- 2Gi/-                           | Burstable  | 500  | 0/-/-
        -/- 4Gi/-                           | Burstable  | 3    | 0/-/-
        -/- 1/-                             | Burstable  | 999  | 0/-/-
        0/0 0/0                             | BestEffort | 1000 | 0/-/-
        1/1 1Gi/1Gi ; 1/1 1Gi/1Gi           | Guaranteed | -997 | 2000/2000/2048
        1/1 1Gi/1Gi ; -/- -/-               | Burstable  | 750  | 1000/-/-
        1/2 1Gi/2Gi ; 500m/1 1Gi/1Gi        | Burstable  | 750  | 1500/3000/3072";
    for row in table.trim().lines() {
        let parts: Vec<&str> = row.split('|').map(str::trim).collect();
        let containers: Vec<Value> = parts[0]
            .split(';')
            .enumerate()
            .map(|(at, text)| json!({"name": format!("c{at}"), "resources": resources(text)}))
            .collect();
        let pod = pod_of(json!({"containers": containers}));
        assert_eq!(qos(&pod).as_str(), parts[1], "{row}");
        let first = &pod.spec.as_ref().unwrap().containers[0];
        let own = container_resources(&pod, first, 4 << 30);
        assert_eq!(own.oom_score_adj, parts[2].parse().ok(), "{row}");
        let whole = pod_resources(&pod);
        let text = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let found = format!(
            "{}/{}/{}",
            text(whole.cpu_request_millis),
            text(whole.cpu_limit_millis),
            text(whole.memory_limit.map(|bytes| bytes >> 20))
        );
        assert_eq!(found, parts[3], "{row}");
    }
}

fn image(user: &str) -> ResolvedImage {
    let image = hollow::HollowImages.pull("app:1").unwrap();
    ResolvedImage { user: user.to_owned(), ..(*image).clone() }
}

#[test]
fn security_of_pod_and_container_is_merged() {
    let ids = |uid, gid| User::Ids { uid, gid };
    for (pod, own, user, expected) in [
        (json!({}), json!({}), "", Ok(User::Image(String::new()))),
        (json!({}), json!({}), "app", Ok(User::Image("app".to_owned()))),
        (json!({"runAsUser": 5}), json!({}), "", Ok(ids(5, None))),
        (json!({"runAsUser": 5, "runAsGroup": 6}), json!({}), "", Ok(ids(5, Some(6)))),
        (json!({"runAsUser": 5}), json!({"runAsUser": 7}), "", Ok(ids(7, None))),
        (json!({"runAsUser": 5, "runAsGroup": 6}), json!({"runAsGroup": 8}), "", Ok(ids(5, Some(8)))),
        (json!({"runAsGroup": 6}), json!({}), "", Ok(ids(0, Some(6)))),
        (json!({"runAsGroup": 6}), json!({}), "9", Ok(ids(9, Some(6)))),
        (json!({"runAsGroup": 6}), json!({}), "app:x", Ok(User::Image("app:6".to_owned()))),
        (json!({"runAsNonRoot": true}), json!({}), "9", Ok(User::Image("9".to_owned()))),
        (json!({"runAsNonRoot": true}), json!({"runAsNonRoot": false}), "", Ok(User::Image(String::new()))),
        (json!({"runAsNonRoot": true, "runAsUser": 5}), json!({}), "", Ok(ids(5, None))),
        (
            json!({"runAsNonRoot": true}),
            json!({}),
            "",
            Err("container has runAsNonRoot and image will run as root (pod: \"p_d(u)\", container: c)"),
        ),
        (
            json!({"runAsNonRoot": true}),
            json!({"runAsUser": 0}),
            "9",
            Err("container's runAsUser breaks non-root policy (pod: \"p_d(u)\", container: c)"),
        ),
        (
            json!({"runAsNonRoot": true}),
            json!({}),
            "app",
            Err(
                "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root \
                 (pod: \"p_d(u)\", container: c)",
            ),
        ),
        (
            json!({"seccompProfile": {"type": "Localhost"}}),
            json!({}),
            "",
            Err("seccomp profiles of type Localhost are not supported by this node"),
        ),
    ] {
        let container = json!({"name": "c", "securityContext": own});
        let pod = pod_of(json!({"securityContext": pod, "containers": [container]}));
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let found = security::container_security(&pod, container, &image(user), Seccomp::Unconfined);
        assert_eq!(found.map(|security| security.user), expected.map_err(str::to_owned), "{user}");
    }
}

#[test]
fn capabilities_and_filters_are_mapped() {
    let own = json!({"capabilities": {"add": ["CAP_NET_ADMIN", "sys_time"], "drop": ["ALL"]},
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "procMount": "Unmasked",
        "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = pod_of(json!({"securityContext": {"fsGroup": 3, "supplementalGroups": [1, 2]},
        "containers": [{"name": "c", "securityContext": own}]}));
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let found = security::container_security(&pod, container, &image(""), Seccomp::Unconfined).unwrap();
    assert_eq!(found.add_capabilities, ["NET_ADMIN", "SYS_TIME"]);
    assert_eq!(found.drop_capabilities, ["ALL"]);
    assert_eq!(found.supplemental_groups, [1, 2, 3]);
    assert!(found.no_new_privileges && found.read_only_root && found.unmasked_proc && !found.privileged);
    assert_eq!(found.seccomp, Seccomp::RuntimeDefault);
}

#[test]
fn tags_imply_pull_policies() {
    for (image, given, expected) in [
        ("app", None, PullPolicy::Always),
        ("app:latest", None, PullPolicy::Always),
        ("app:1", None, PullPolicy::IfNotPresent),
        ("host:5000/app", None, PullPolicy::Always),
        ("app@sha256:00", None, PullPolicy::IfNotPresent),
        ("app", Some("Never"), PullPolicy::Never),
        ("app:1", Some("Always"), PullPolicy::Always),
    ] {
        let container = Container {
            image: Some(image.to_owned()),
            image_pull_policy: given.map(str::to_owned),
            ..Container::default()
        };
        assert_eq!(PullPolicy::of(&container), expected, "{image}");
    }
}

#[test]
fn affinity_and_ports_are_judged_as_upstream() {
    let config = NodeConfig::new("n");
    let other =
        pod_of(json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}));
    let affinity = |expression: Value| {
        json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [expression]}}}})
    };
    let expression = |operator: &str, values: &[&str]| {
        affinity(json!({"matchExpressions": [{"key": "cpu", "operator": operator, "values": values}]}))
    };
    let port = |port: Value| json!({"containers": [{"name": "c", "ports": [port]}]});
    for (spec, expected) in [
        (json!({"containers": []}), None),
        (json!({"containers": [], "nodeSelector": {"cpu": "8"}}), None),
        (json!({"containers": [], "nodeSelector": {"cpu": "9"}}), Some("NodeAffinity")),
        (expression("In", &["8", "9"]), None),
        (expression("NotIn", &["8"]), Some("NodeAffinity")),
        (expression("Exists", &[]), None),
        (expression("DoesNotExist", &[]), Some("NodeAffinity")),
        (expression("Gt", &["7"]), None),
        (expression("Gt", &["8"]), Some("NodeAffinity")),
        (expression("Lt", &["9"]), None),
        (affinity(json!({})), Some("NodeAffinity")),
        (
            affinity(json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]})),
            None,
        ),
        (port(json!({"containerPort": 1, "hostPort": 80})), Some("NodePorts")),
        (port(json!({"containerPort": 1, "hostPort": 81})), None),
        (port(json!({"containerPort": 1, "hostPort": 80, "protocol": "UDP"})), None),
        (port(json!({"containerPort": 1, "hostPort": 80, "hostIP": "1.2.3.4"})), Some("NodePorts")),
        (port(json!({"containerPort": 80})), None),
    ] {
        let labels = BTreeMap::from([("cpu".to_owned(), "8".to_owned())]);
        let room = Room { config: &config, labels, others: vec![&other] };
        let text = spec.to_string();
        let found = admit(&pod_of(spec), &room).map(|refused| refused.reason);
        assert_eq!(found.as_deref(), expected, "{text}");
    }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn live() -> Life {
    let id = ContainerId("c".to_owned());
    Life::Live { id, started: Timestamp::UNIX_EPOCH, since: at(0), hook: PostStart::Done }
}

fn run_of(spec: Value, stage: Stage, lives: Vec<Life>) -> PodRun {
    let key = ObjectKey::new("d", "p");
    let now = (Timestamp::UNIX_EPOCH, at(0));
    let mut run = PodRun::new(&key, "u", Origin::Api, Arc::new(pod_of(spec)), now);
    run.stage = stage;
    run.touched = true;
    for (track, life) in run.tracks.iter_mut().zip(lives) {
        track.instances = 1;
        track.life = life;
    }
    run
}

#[test]
fn a_pod_ends_step_by_step() {
    let spec = || {
        json!({"containers": [{"name": "a"}],
            "initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "t", "restartPolicy": "Always"}]})
    };
    let began = Stage::Stopping { began: at(0) };
    let rest = || Life::Idle { retry_at: None };
    let mut run = run_of(spec(), Stage::Running, vec![live(), live(), live()]);
    run.end(Why::Deleted, Duration::from_secs(30));
    let acts = |run: &PodRun, drained: bool, now: u64| plan(run, Wish { drained }, at(now)).acts;
    assert_eq!(acts(&run, false, 5), [Act::Enter(Stage::Draining { until: at(7) })]);
    assert_eq!(acts(&run, true, 5), [Act::Enter(Stage::Stopping { began: at(5) })]);
    run.stage = Stage::Draining { until: at(7) };
    assert_eq!(acts(&run, false, 6), []);
    assert_eq!(plan(&run, Wish { drained: false }, at(6)).at, Some(at(7)));
    assert_eq!(acts(&run, false, 7), [Act::Enter(Stage::Stopping { began: at(7) })]);
    run.stage = began.clone();
    assert_eq!(acts(&run, true, 1), [Act::Stop(2, at(30))], "the pod's own containers first");
    run.tracks[2].life = rest();
    assert_eq!(acts(&run, true, 1), [Act::Stop(1, at(30))], "then the last sidecar");
    run.tracks[1].life = rest();
    assert_eq!(acts(&run, true, 1), [Act::Stop(0, at(30))]);
    let stopping = |step| Life::Stopping {
        id: ContainerId("c".to_owned()),
        started: Timestamp::UNIX_EPOCH,
        deadline: at(30),
        step,
    };
    for (step, now, expected) in [
        (StopStep::Due, 1, vec![Act::Signal(0, at(1))]),
        (StopStep::Asked(at(1)), 29, vec![]),
        (StopStep::Asked(at(1)), 30, vec![Act::Kill(0)]),
        (StopStep::Asked(at(32)), 31, vec![]),
        (StopStep::Sleep(at(10)), 9, vec![]),
        (StopStep::Sleep(at(10)), 10, vec![Act::Signal(0, at(12))]),
        (StopStep::Sleep(at(99)), 30, vec![Act::Signal(0, at(32))]),
    ] {
        run.tracks[0].life = stopping(step);
        assert_eq!(acts(&run, true, now), expected, "{step:?} at {now}");
    }
    run.end(Why::Deleted, Duration::from_secs(3));
    run.tracks[0].life = stopping(StopStep::Asked(at(1)));
    assert_eq!(acts(&run, true, 3), [Act::Kill(0)], "a shorter grace period shortens");
    run.tracks[0].life = rest();
    assert_eq!(acts(&run, true, 3), [Act::TearDown { anew: false }]);
}
