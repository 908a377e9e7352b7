//! Pods as printed, after upstream's own tables for its printers.

use k8s_openapi::api::core::v1::Pod;

use super::check_row;

/// A pod with containers a and b, two init containers of which the second goes on, and this status.
fn check_pod(more: &str, status: &str, expected: &str) {
    check_row::<Pod>(
        &format!(
            "metadata: {{creationTimestamp: '2026-05-01T11:00:00Z'}}\n\
             spec: {{nodeName: n, containers: [{{name: a}}, {{name: b}}]{more}}}\nstatus: {{{status}}}"
        ),
        &format!("{expected} | n | <none> | <none>"),
    );
}

const RUNS: &str = "ready: true, state: {running: {}}";
const INIT: &str = ", initContainers: [{name: i}, {name: s, restartPolicy: Always}]";

#[test]
fn plain_words() {
    check_pod("", "phase: Pending", "0/2 | Pending | 0 | 60m | <none>");
    check_pod("", "phase: Failed, reason: Evicted", "0/2 | Evicted | 0 | 60m | <none>");
    check_pod(
        "",
        &format!(
            "phase: Running, podIPs: [{{ip: 10.0.0.1}}], containerStatuses: [{{name: a, {RUNS}}}, {{name: b, {RUNS}}}]"
        ),
        "2/2 | Running | 0 | 60m | 10.0.0.1",
    );
    check_pod(
        "",
        "phase: Pending, containerStatuses: [{name: a, state: {waiting: {reason: ContainerCreating}}}]",
        "0/2 | ContainerCreating | 0 | 60m | <none>",
    );
    check_pod(
        "",
        "phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]",
        "0/2 | SchedulingGated | 0 | 60m | <none>",
    );
}

#[test]
fn ends_and_restarts() {
    check_pod(
        "",
        &format!(
            "phase: Running, containerStatuses: [{{name: a, {RUNS}}}, {{name: b, restartCount: 3, \
             lastState: {{terminated: {{exitCode: 1, finishedAt: '2026-05-01T11:55:00Z'}}}}, \
             state: {{waiting: {{reason: CrashLoopBackOff}}}}}}]"
        ),
        "1/2 | CrashLoopBackOff | 3 (5m ago) | 60m | <none>",
    );
    check_pod(
        "",
        "phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, reason: Completed}}}]",
        "0/2 | Completed | 0 | 60m | <none>",
    );
    check_pod(
        "",
        "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]",
        "0/2 | ExitCode:3 | 0 | 60m | <none>",
    );
    check_pod(
        "",
        "phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 137, signal: 9}}}]",
        "0/2 | Signal:9 | 0 | 60m | <none>",
    );
    // One has done its work and the other runs.
    let both = format!(
        "containerStatuses: [{{name: a, state: {{terminated: {{exitCode: 0, reason: Completed}}}}}}, {{name: b, {RUNS}}}]"
    );
    check_pod("", &format!("phase: Running, {both}"), "1/2 | NotReady | 0 | 60m | <none>");
    let ready = "conditions: [{type: Ready, status: 'True'}]";
    check_pod("", &format!("phase: Running, {both}, {ready}"), "1/2 | Running | 0 | 60m | <none>");
}

#[test]
fn init_containers() {
    check_pod(
        INIT,
        "phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}]",
        "0/3 | Init:0/2 | 0 | 60m | <none>",
    );
    check_pod(
        INIT,
        "phase: Pending, initContainerStatuses: [{name: i, restartCount: 2, state: {terminated: {exitCode: 1, reason: Error}}}]",
        "0/3 | Init:Error | 2 | 60m | <none>",
    );
    check_pod(
        INIT,
        "phase: Pending, initContainerStatuses: [{name: i, restartCount: 2, \
         lastState: {terminated: {exitCode: 1, finishedAt: '2026-05-01T11:59:50Z'}}, \
         state: {waiting: {reason: CrashLoopBackOff}}}]",
        "0/3 | Init:CrashLoopBackOff | 2 (10s ago) | 60m | <none>",
    );
    // The sidecar counts among the containers, and its restarts stay when the others begin.
    check_pod(
        INIT,
        &format!(
            "phase: Running, initContainerStatuses: [{{name: i, restartCount: 5, state: {{terminated: {{exitCode: 0}}}}}}, \
             {{name: s, restartCount: 1, started: true, {RUNS}}}], containerStatuses: [{{name: a, {RUNS}}}]"
        ),
        "2/3 | Running | 1 | 60m | <none>",
    );
}

#[test]
fn ending() {
    let pod = |reason: &str, phase: &str| {
        format!(
            "metadata: {{creationTimestamp: '2026-05-01T11:00:00Z', deletionTimestamp: '2026-05-01T11:00:00Z'}}\n\
             spec: {{containers: [{{name: a}}], readinessGates: [{{conditionType: g}}]}}\n\
             status: {{phase: {phase}, reason: '{reason}', conditions: [{{type: g, status: 'True'}}]}}"
        )
    };
    check_row::<Pod>(&pod("", "Running"), "0/1 | Terminating | 0 | 60m | <none> | <none> | <none> | 1/1");
    check_row::<Pod>(&pod("NodeLost", "Running"), "0/1 | Unknown | 0 | 60m | <none> | <none> | <none> | 1/1");
    check_row::<Pod>(&pod("", "Failed"), "0/1 | Failed | 0 | 60m | <none> | <none> | <none> | 1/1");
}
