//! Deployments and ReplicaSets.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::{check, check_defaults, check_row, check_status, check_terms, check_update};

fn workload(spec: &str) -> String {
    format!(
        "metadata: {{name: web, namespace: shop, resourceVersion: '1'}}\n\
         spec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: a, image: 'x:1'}}]}}}}\n{spec}"
    )
}

#[test]
fn defaults() {
    check_defaults::<Deployment>(
        &workload("").replace(", resourceVersion: '1'", ""),
        "
metadata: {name: web, namespace: shop}
spec:
  progressDeadlineSeconds: 600
  replicas: 1
  revisionHistoryLimit: 10
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxSurge: 25%, maxUnavailable: 25%}, type: RollingUpdate}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - image: x:1
        imagePullPolicy: IfNotPresent
        name: a
        resources: {}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
status: {}
",
    );
}

#[test]
fn refusals() {
    check::<Deployment>(&workload(""), "");
    check::<ReplicaSet>(&workload("  replicas: 0"), "");
    check::<Deployment>(
        &workload(
            "  replicas: -1\n  minReadySeconds: 5\n  progressDeadlineSeconds: 5\n  strategy: {type: Odd}",
        ),
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n\
         spec.strategy: Unsupported value: {\"RollingUpdate\":null,\"Type\":\"Odd\"}: supported values: \"Recreate\", \
         \"RollingUpdate\"\n\
         spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds\n",
    );
    let rolling = |surge: &str, unavailable: &str| {
        workload(&format!(
            "  strategy: {{rollingUpdate: {{maxSurge: {surge}, maxUnavailable: {unavailable}}}}}"
        ))
    };
    check::<Deployment>(
        &rolling("0", "0%"),
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0\n",
    );
    check::<Deployment>(
        &rolling("-1", "101%"),
        "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: must be greater than or equal to 0\n\
         spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%\n",
    );
    check::<Deployment>(
        &workload("  strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}"),
        "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'\n",
    );
    check::<Deployment>(
        "metadata: {name: web, namespace: shop}\nspec: {template: {metadata: {labels: {a: b}}}}",
        "spec.selector: Required value\n\
         spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`\n\
         spec.template.spec.containers: Required value\n",
    );
    check::<ReplicaSet>(
        "metadata: {name: web, namespace: shop}\n\
         spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: c}}, spec: {restartPolicy: Never, \
         activeDeadlineSeconds: 3, containers: [{image: x}]}}}",
        "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`\n\
         spec.template.spec.containers[0].name: Required value\n\
         spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"\n\
         spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported\n",
    );
    check::<ReplicaSet>(
        "metadata: {name: web, namespace: shop}\n\
         spec: {selector: {matchExpressions: [{key: a, operator: Is}]}, template: {}}",
        "spec.selector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator\n\
         spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Is\"}]}: invalid label \
         selector\n",
    );
}

#[test]
fn changes_and_generations() {
    check_update::<Deployment>(&workload(""), &workload(""), false, "");
    check_update::<Deployment>(&workload(""), &workload("  replicas: 3"), true, "");
    let annotated = workload("").replace("namespace: shop", "namespace: shop, annotations: {a: b}");
    check_update::<Deployment>(&workload(""), &annotated, true, "");
    check_update::<ReplicaSet>(&workload(""), &annotated, false, "");
    check_update::<ReplicaSet>(&workload(""), &workload("  minReadySeconds: 3"), true, "");
    let other = workload("").replace("matchLabels: {app: web}", "matchLabels: {app: other}");
    check_update::<Deployment>(
        &workload(""),
        &other,
        true,
        "spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"other\"}}: field is immutable\n",
    );
    // The status is not for users of the whole object.
    check_update::<Deployment>(&workload(""), &workload("status: {replicas: 3}"), false, "");
}

#[test]
fn statuses() {
    let status = |status: &str| workload(&format!("status: {{{status}}}"));
    check_status::<Deployment>(
        &status(""),
        &status("replicas: 3, readyReplicas: 2, availableReplicas: 2"),
        "",
    );
    check_status::<Deployment>(
        &status("collisionCount: 2"),
        &status(
            "replicas: 1, readyReplicas: 2, availableReplicas: 3, observedGeneration: -1, collisionCount: 1",
        ),
        "status.observedGeneration: Invalid value: -1: must be greater than or equal to 0\n\
         status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas\n\
         status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas\n\
         status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas\n\
         status.collisionCount: Invalid value: 1: cannot be decremented\n",
    );
    check_status::<ReplicaSet>(
        &status("replicas: 0"),
        &status("replicas: 1, fullyLabeledReplicas: 2"),
        "status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas\n",
    );
}

#[test]
fn rows_and_terms() {
    let status = workload(
        "  replicas: 3\nstatus: {replicas: 4, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2}",
    );
    check_row::<Deployment>(&status, "2/3 | 1 | 2 | <unknown> | a | x:1 | app=web");
    check_row::<ReplicaSet>(&status, "3 | 4 | 2 | <unknown> | a | x:1 | app=web");
    check_terms::<ReplicaSet>(&status, "status.replicas=4\n");
}
