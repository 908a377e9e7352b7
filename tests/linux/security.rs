//! What a container may and may not, and what it shares with others.

use std::fs;

use crate::machine::cgroup_file;
use crate::rig::{Rig, pod};

/// Container settings, script, and what it says.
const MAY: &str = "
plain      | {}                                                  | id -u; id -g                                             | 0 0
user       | {runAsUser: 1000, runAsGroup: 2000}                 | id -u; id -g                                             | 1000 2000
nonroot    | {runAsNonRoot: true, runAsUser: 7}                  | id -u                                                    | 7
nnp        | {allowPrivilegeEscalation: false}                   | grep NoNewPrivs /proc/self/status                        | NoNewPrivs: 1
may-gain   | {}                                                  | grep -E 'NoNewPrivs|Seccomp:' /proc/self/status          | NoNewPrivs: 0 Seccomp: 0
filtered   | {seccompProfile: {type: RuntimeDefault}}            | grep Seccomp: /proc/self/status                          | Seccomp: 2
default    | {}                                                  | grep CapEff /proc/self/status                            | CapEff: 00000000a80425fb
one        | {capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}} | grep CapEff /proc/self/status                         | CapEff: 0000000000000400
all        | {privileged: true}                                  | mount -t tmpfs t /tmp && echo mounted                    | mounted
none       | {}                                                  | mount -t tmpfs t /tmp 2>/dev/null || echo refused        | refused
read-only  | {readOnlyRootFilesystem: true}                      | echo x > /x                                              | /bin/sh: can't create /x: Read-only file system
";

#[test]
fn privileges_are_as_the_pod_says() {
    let Some(rig) = Rig::start("privileges_are_as_the_pod_says") else { return };
    let rows: Vec<(&str, &str, &str, &str)> = MAY
        .trim()
        .lines()
        .map(|row| {
            let (name, rest) = row.split_once('|').unwrap();
            let (rest, said) = rest.rsplit_once('|').unwrap();
            let (context, script) = rest.split_once('|').unwrap();
            (name.trim(), context.trim(), script.trim(), said.trim())
        })
        .collect();
    for (name, context, script, _) in &rows {
        rig.apply(&pod(
            name,
            &format!("exec 2>&1; {script}; exit 0"),
            &format!("securityContext: {context}"),
            "restartPolicy: Never",
        ));
    }
    for (name, _, _, wanted) in &rows {
        rig.phase(name, "Succeeded");
        let said = rig.log(name, "main", 0, "stdout");
        assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), *wanted, "{name}");
    }
    rig.end();
}

#[test]
fn a_root_image_is_refused_where_the_pod_asks_for_another_user() {
    let Some(rig) = Rig::start("a_root_image_is_refused") else { return };
    rig.apply(&pod("careful", "exec sleep 100000", "securityContext: {runAsNonRoot: true}", ""));
    let message = rig.waiting("careful", "CreateContainerConfigError");
    let pods = rig.client.namespaced::<coracle::k8s_openapi::api::core::v1::Pod>("default");
    let uid = pods.get("careful").unwrap().uid().to_owned();
    assert_eq!(
        message,
        format!(
            "container has runAsNonRoot and image will run as root (pod: \"careful_default({uid})\", container: main)"
        )
    );
    rig.event("careful", "Failed", "Error: container has runAsNonRoot and image will run as root");
    rig.end();
}

#[test]
fn limits_stand_in_the_kernel() {
    let Some(rig) = Rig::start("limits_stand_in_the_kernel") else { return };
    let resources = "resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {cpu: 250m, memory: 48Mi}}";
    rig.apply(&pod("limited", "exec sleep 100000", resources, ""));
    rig.ready("limited");
    let pid = rig.pid("limited", "main");
    assert_eq!(cgroup_file(pid, "memory", "memory.limit_in_bytes", "memory.max"), (48 << 20).to_string());
    let quota = cgroup_file(pid, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert!(["25000", "25000 100000"].contains(&quota.as_str()), "{quota}");
    let shares = cgroup_file(pid, "cpu", "cpu.shares", "cpu.weight");
    assert!(!shares.is_empty() && shares != "1024" && shares != "100", "{shares}");
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert!((2..1000).contains(&score.trim().parse::<i32>().unwrap()), "a burstable pod: {score}");
    // Neither the host's groups nor the host's processes are seen from inside.
    assert!(!rig.exec("limited", "main", "cat /proc/1/cgroup").1.contains(&rig.id));
    assert_eq!(rig.exec("limited", "main", "cat /proc/1/comm").1, "sleep");
    rig.end();
}

#[test]
fn namespaces_are_shared_as_the_pod_says() {
    let Some(rig) = Rig::start("namespaces_are_shared_as_the_pod_says") else { return };
    rig.script("host-net", "exec sleep 100000", "hostNetwork: true");
    let two = |name: &str, share: bool| {
        let more = format!(
            "shareProcessNamespace: {share}\ninitContainers: [{{name: beside, image: BUSYBOX, restartPolicy: Always, command: [/bin/sleep, '77777']}}]"
        );
        rig.script(name, "exec sleep 100000", &more);
    };
    two("together", true);
    two("apart", false);
    let pod = rig.ready("host-net");
    assert_eq!(pod["status"]["podIP"], pod["status"]["hostIP"]);
    let ours = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(fs::read_link(format!("/proc/{}/ns/net", rig.pid("host-net", "main"))).unwrap(), ours);
    for name in ["together", "apart"] {
        rig.ready(name);
        assert_ne!(fs::read_link(format!("/proc/{}/ns/net", rig.pid(name, "main"))).unwrap(), ours);
        let seen = rig.exec(name, "main", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").1;
        assert_eq!(seen.contains("77777"), name == "together", "{name}: {seen}");
        let net = |container| fs::read_link(format!("/proc/{}/ns/net", rig.pid(name, container))).unwrap();
        assert_eq!(net("main"), net("beside"), "containers of a pod share its network");
    }
    rig.end();
}
