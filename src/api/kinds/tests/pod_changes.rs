//! Pods: what an update and a write of the status may change.

use k8s_openapi::api::core::v1::Pod;

use super::{check_status, check_update};

fn pod(spec: &str) -> String {
    format!("metadata: {{name: web, namespace: shop, resourceVersion: '1'}}\nspec: {{{spec}}}")
}

const OLD: &str = "containers: [{name: a, image: 'x:1'}], initContainers: [{name: i, image: 'y:1'}]";

#[test]
fn images_may_change() {
    let new = "containers: [{name: a, image: 'x:2', imagePullPolicy: IfNotPresent}], \
               initContainers: [{name: i, image: 'y:2'}]";
    check_update::<Pod>(&pod(OLD), &pod(new), true, "");
    check_update::<Pod>(&pod(OLD), &pod(OLD), false, "");
}

#[test]
fn containers_may_not_come_or_go() {
    check_update::<Pod>(
        &pod(OLD),
        &pod(
            "containers: [{name: a, image: 'x:1'}, {name: b, image: x}], initContainers: [{name: i, image: 'y:1'}]",
        ),
        true,
        "spec.containers: Forbidden: pod updates may not add or remove containers\n",
    );
    check_update::<Pod>(
        &pod(OLD),
        &pod("containers: [{name: a, image: 'x:1'}]"),
        true,
        "spec.initContainers: Forbidden: pod updates may not add or remove containers\n",
    );
}

#[test]
fn the_rest_may_not_change() {
    let refused = |change: &str, lines: &str| {
        check_update::<Pod>(
            &pod(OLD),
            &pod(&format!("{OLD}, {change}")),
            true,
            &format!(
                "spec: Forbidden: pod updates may not change fields other than \
                 `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                 `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` \
                 (allow it to be set to 1 if it was previously negative)\n{lines}\n"
            ),
        );
    };
    refused("hostname: b", "- spec.hostname: null\n+ spec.hostname: \"b\"");
    refused(
        "terminationGracePeriodSeconds: 1",
        "- spec.terminationGracePeriodSeconds: 30\n+ spec.terminationGracePeriodSeconds: 1",
    );
    refused("nodeName: n", "- spec.nodeName: null\n+ spec.nodeName: \"n\"");
    refused("nodeSelector: {a: b}", "- spec.nodeSelector: null\n+ spec.nodeSelector: {\"a\":\"b\"}");
    // What says nothing is no change.
    check_update::<Pod>(
        &pod(OLD),
        &pod(&format!("{OLD}, hostNetwork: false, nodeSelector: {{}}")),
        false,
        "",
    );
}

#[test]
fn what_may_change_a_little() {
    let with = |more: &str| pod(&format!("{OLD}, {more}"));
    let deadline = |seconds: i32| with(&format!("activeDeadlineSeconds: {seconds}"));
    check_update::<Pod>(&pod(OLD), &deadline(9), true, "");
    check_update::<Pod>(&deadline(9), &deadline(8), true, "");
    check_update::<Pod>(
        &deadline(9),
        &deadline(10),
        true,
        "spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value\n",
    );
    check_update::<Pod>(
        &deadline(9),
        &pod(OLD),
        true,
        "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value\n",
    );
    let negative = with("terminationGracePeriodSeconds: -5");
    check_update::<Pod>(&negative, &with("terminationGracePeriodSeconds: 1"), true, "");
    let tolerates = |list: &str| with(&format!("tolerations: [{list}]"));
    let one = "{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 3}";
    let same = "{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 9}";
    check_update::<Pod>(
        &tolerates(one),
        &tolerates(&format!("{{key: b, operator: Exists}}, {same}")),
        true,
        "",
    );
    check_update::<Pod>(
        &tolerates(one),
        &tolerates("{key: b, operator: Exists}"),
        true,
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds\n",
    );
}

#[test]
fn gated_pods_may_be_placed() {
    let gated = |more: &str| pod(&format!("{OLD}, schedulingGates: [{{name: g}}]{more}"));
    check_update::<Pod>(
        &gated(", nodeSelector: {a: b}"),
        &pod(&format!("{OLD}, nodeSelector: {{a: b, c: d}}")),
        true,
        "",
    );
    check_update::<Pod>(
        &gated(", nodeSelector: {a: b}"),
        &gated(", nodeSelector: {a: c}"),
        true,
        "spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector are allowed (no mutations or \
         deletions)\n",
    );
    check_update::<Pod>(
        &pod(OLD),
        &gated(""),
        true,
        "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'\n",
    );
}

#[test]
fn mirror_pods_stay_mirrors() {
    let with = |annotations: &str| {
        format!(
            "metadata: {{name: web, namespace: shop, resourceVersion: '1', annotations: {{{annotations}}}}}\n\
             spec: {{{OLD}, nodeName: n}}"
        )
    };
    check_update::<Pod>(
        &with("kubernetes.io/config.mirror: x"),
        &with(""),
        false,
        "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod annotation\n",
    );
    check_update::<Pod>(
        &with(""),
        &with("kubernetes.io/config.mirror: x"),
        false,
        "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation\n",
    );
}

#[test]
fn statuses() {
    let pod = |status: &str| {
        format!(
            "metadata: {{name: web, namespace: shop}}\nspec: {{restartPolicy: Never, nodeName: n, {OLD}}}\n\
             status: {{{status}}}"
        )
    };
    let old = pod(
        "phase: Running, qosClass: BestEffort, containerStatuses: [{name: a, state: {terminated: {exitCode: 1}}}]",
    );
    check_status::<Pod>(&old, &pod("phase: Running, podIP: 10.0.0.1, hostIP: 10.0.0.2"), "");
    check_status::<Pod>(
        &old,
        &pod("qosClass: Burstable, observedGeneration: -1, podIPs: [{ip: x}], nominatedNodeName: m, \
             conditions: [{type: 'a b', status: 'True'}], containerStatuses: [{name: a, state: {running: {}}}]"),
        "status.conditions[0].Type: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
         used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n\
         status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node\n\
         status.observedGeneration: Invalid value: -1: must be a non-negative integer\n\
         status.qosClass: Invalid value: \"Burstable\": field is immutable\n\
         status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state\n\
         status.podIPs[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)\n",
    );
}
