//! StatefulSets, DaemonSets, ControllerRevisions, ReplicationControllers, PodTemplates.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{PodTemplate, ReplicationController};

use super::tables::{check_changes, check_refusals, check_rows, check_statuses};
use super::{check_defaults, check_terms};

const SET: &str = "
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: 'x:1'}]}}
";

const TEMPLATE: &str = "
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {image: 'x:1', imagePullPolicy: IfNotPresent, name: a, resources: {},
         terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
";

#[test]
fn stateful_defaults() {
    let claims = "  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], \
                  resources: {requests: {storage: 1024Mi}}}}]\n";
    check_defaults::<StatefulSet>(
        &format!("{SET}{claims}"),
        &format!(
            "
metadata: {{name: web, namespace: shop}}
spec:
  persistentVolumeClaimRetentionPolicy: {{whenDeleted: Retain, whenScaled: Retain}}
  podManagementPolicy: OrderedReady
  replicas: 1
  revisionHistoryLimit: 10
  selector: {{matchLabels: {{app: web}}}}
  serviceName: ''
  updateStrategy: {{rollingUpdate: {{partition: 0}}, type: RollingUpdate}}
  volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}, volumeMode: Filesystem}}
    status: {{phase: Pending}}{TEMPLATE}status: {{availableReplicas: 0, replicas: 0}}
"
        ),
    );
}

#[test]
fn stateful_refusals() {
    check_refusals::<StatefulSet>(
        SET,
        r#"
        > {}
        > metadata: {name: a.b}
          metadata.name: Invalid value: "a.b": must not contain dots
        > spec: {replicas: -1, minReadySeconds: -2, ordinals: {start: -3}}
          spec.replicas: Invalid value: -1: must be greater than or equal to 0
          spec.minReadySeconds: Invalid value: -2: must be greater than or equal to 0
          spec.ordinals.start: Invalid value: -3: must be greater than or equal to 0
        > spec: {podManagementPolicy: Odd}
          spec.podManagementPolicy: Invalid value: "Odd": must be 'OrderedReady' or 'Parallel'
        > spec: {updateStrategy: {type: Odd}}
          spec.updateStrategy: Invalid value: {"RollingUpdate":null,"Type":"Odd"}: must be 'RollingUpdate' or 'OnDelete'
        > spec: {updateStrategy: {type: OnDelete, rollingUpdate: {partition: 2}}}
          spec.updateStrategy.rollingUpdate: Invalid value: {"MaxUnavailable":null,"Partition":2}: only allowed for updateStrategy 'RollingUpdate'
        > spec: {updateStrategy: {type: OnDelete}}
        > spec: {updateStrategy: {type: RollingUpdate}}
        > spec: {updateStrategy: {rollingUpdate: {partition: -1, maxUnavailable: 101%}}}
          spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0
        > spec: {persistentVolumeClaimRetentionPolicy: {whenScaled: Keep}}
          spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete"
        > spec: {serviceName: A}
          spec.serviceName: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        > spec: {selector: null}
          spec.selector: Required value
          spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`
        > spec: {selector: {matchLabels: {app: other}}}
          spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`
        > spec: {selector: {matchExpressions: [{key: app, operator: Is}]}}
          spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator
          spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Is"}],"matchLabels":{"app":"web"}}
        > spec: {template: {spec: {restartPolicy: Never, activeDeadlineSeconds: 3}}}
          spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"
          spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported
        > spec: {template: {spec: {hostname: A, subdomain: B}}}
        > spec: {volumeClaimTemplates: [{metadata: {name: data}}]}
          spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required
          spec.volumeClaimTemplates[0].spec.resources[storage]: Required value
        > spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [Odd, ReadWriteOnce, ReadWriteOncePod], volumeMode: Odd, storageClassName: A_, resources: {requests: {storage: '0'}}}}]}
          spec.volumeClaimTemplates[0].spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
          spec.volumeClaimTemplates[0].spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes
          spec.volumeClaimTemplates[0].spec.resources[storage]: Invalid value: "0": must be greater than zero
          spec.volumeClaimTemplates[0].spec.storageClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
          spec.volumeClaimTemplates[0].spec.volumeMode: Unsupported value: "Odd": supported values: "Block", "Filesystem"
        > spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}], template: {spec: {containers: [{name: a, image: x, volumeMounts: [{name: data, mountPath: /d}]}]}}}
        > spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, dataSource: {kind: Odd, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: b}}}]}
          spec.volumeClaimTemplates[0].spec.dataSource: Invalid value: "Odd": must be 'PersistentVolumeClaim' when referencing the default apiGroup
          spec.volumeClaimTemplates[0].spec: Invalid value: {}: must match dataSourceRef
        "#,
    );
}

#[test]
fn stateful_changes_statuses_and_rows() {
    let frozen = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                  'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                  'minReadySeconds' are forbidden";
    check_changes::<StatefulSet>(
        SET,
        &format!(
            "
            > {{}}
            > metadata: {{labels: {{a: b}}}}
            > status: {{replicas: 3}}
            > spec: {{replicas: 3, minReadySeconds: 1, ordinals: {{start: 2}}, revisionHistoryLimit: 1}}
              moves
            > spec: {{template: {{spec: {{hostNetwork: true}}}}, updateStrategy: {{type: OnDelete, rollingUpdate: null}}}}
              moves
            > spec: {{serviceName: A}}
              moves
              spec: Forbidden: {frozen}
            > spec: {{podManagementPolicy: Parallel}}
              moves
              spec: Forbidden: {frozen}
            > spec: {{volumeClaimTemplates: [{{metadata: {{name: x}}}}]}}
              moves
              spec: Forbidden: {frozen}
            "
        ),
    );
    check_statuses::<StatefulSet>(
        SET,
        "
        > status: {replicas: 3, readyReplicas: 2, currentReplicas: 3, updatedReplicas: 1, availableReplicas: 2}
        > spec: {replicas: 5}
        = status: {replicas: 1, collisionCount: 2}
        > status: {readyReplicas: 2, currentReplicas: 2, updatedReplicas: 2, availableReplicas: 3, collisionCount: 1}
          status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas
          status.currentReplicas: Invalid value: 2: cannot be greater than status.replicas
          status.updatedReplicas: Invalid value: 2: cannot be greater than status.replicas
          status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas
          status.availableReplicas: Invalid value: 3: cannot be greater than status.readyReplicas
          status.collisionCount: Invalid value: 1: cannot be decremented
        > status: {replicas: -1, observedGeneration: -1}
          status.replicas: Invalid value: -1: must be greater than or equal to 0
          status.observedGeneration: Invalid value: -1: must be greater than or equal to 0
          status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas
          status.currentReplicas: Invalid value: 0: cannot be greater than status.replicas
          status.updatedReplicas: Invalid value: 0: cannot be greater than status.replicas
          status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas
        ",
    );
    check_rows::<StatefulSet>(
        SET,
        "
        > {}
          0/0 | <unknown> | a | x:1
        > {metadata: {creationTimestamp: '2026-05-01T11:59:00Z'}, spec: {replicas: 3}, status: {replicas: 3, readyReplicas: 2}}
          2/3 | 60s | a | x:1
        ",
    );
}

#[test]
fn daemon_defaults() {
    check_defaults::<DaemonSet>(
        SET,
        &format!(
            "
metadata: {{name: web, namespace: shop, annotations: {{deprecated.daemonset.template.generation: '1'}}}}
spec:
  revisionHistoryLimit: 10
  selector: {{matchLabels: {{app: web}}}}
  updateStrategy: {{rollingUpdate: {{maxSurge: 0, maxUnavailable: 1}}, type: RollingUpdate}}{TEMPLATE}
status: {{currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0}}
"
        ),
    );
}

#[test]
fn daemon_refusals() {
    check_refusals::<DaemonSet>(
        SET,
        r#"
        > {}
        > spec: {updateStrategy: {type: OnDelete}}
        > spec: {updateStrategy: {rollingUpdate: {maxSurge: 10%, maxUnavailable: 0}}}
        > spec: {selector: null}
          spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`
        > spec: {selector: {matchLabels: {app: b c}}}
          spec.selector.matchLabels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
        > spec: {selector: {matchLabels: {app: b}}}
          spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`
        > spec: {minReadySeconds: -1, revisionHistoryLimit: -1}
          spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0
          spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0
        > spec: {template: {spec: {restartPolicy: OnFailure, activeDeadlineSeconds: 5}}}
          spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"
          spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported
        > spec: {updateStrategy: {type: Odd}}
          spec.updateStrategy: Unsupported value: {"RollingUpdate":null,"Type":"Odd"}: supported values: "RollingUpdate", "OnDelete"
        > spec: {updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}}
          spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero
        > spec: {updateStrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}}
          spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0
        > spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 101%}}}
          spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%
        > spec: {updateStrategy: {rollingUpdate: {maxUnavailable: -1}}}
          spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: -1: must be greater than or equal to 0
        > metadata: {annotations: {deprecated.daemonset.template.generation: x}}
          metadata.annotations[deprecated.daemonset.template.generation]: Invalid value: "x": strconv.ParseInt: parsing "x": invalid syntax
        "#,
    );
}

#[test]
fn daemon_changes_statuses_and_rows() {
    check_changes::<DaemonSet>(
        SET,
        r#"
        > {}
        > metadata: {annotations: {deprecated.daemonset.template.generation: '9'}}
        > spec: {minReadySeconds: 3}
          moves
        > spec: {template: {spec: {hostNetwork: true}}}
          moves
        > spec: {selector: {matchLabels: {app: null, a: b}}, template: {metadata: {labels: {a: b}}}}
          moves
          spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable
        "#,
    );
    check_statuses::<DaemonSet>(
        SET,
        "
        > status: {desiredNumberScheduled: 3, numberReady: 2}
        = status: {currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0, collisionCount: 1}
        > status: {desiredNumberScheduled: -1, numberUnavailable: -2, collisionCount: 0}
          status.desiredNumberScheduled: Invalid value: -1: must be greater than or equal to 0
          status.numberUnavailable: Invalid value: -2: must be greater than or equal to 0
          status.collisionCount: Invalid value: 0: cannot be decremented
        ",
    );
    check_rows::<DaemonSet>(
        SET,
        "
        > {}
          0 | 0 | 0 | 0 | 0 | <none> | <unknown> | a | x:1 | app=web
        > {spec: {template: {spec: {nodeSelector: {disk: ssd}}}}, status: {currentNumberScheduled: 3, desiredNumberScheduled: 4, numberMisscheduled: 0, numberReady: 2, updatedNumberScheduled: 1, numberAvailable: 2}}
          4 | 3 | 2 | 1 | 2 | disk=ssd | <unknown> | a | x:1 | app=web
        ",
    );
}

#[test]
fn templates_are_counted() {
    use crate::api::object::Kind;
    let old: DaemonSet = super::created(SET);
    let count = |set: &DaemonSet| set.metadata.annotations.clone().unwrap().into_values().next().unwrap();
    for (change, expected) in
        [("hostNetwork: true", "2"), ("hostNetwork: false", "1"), ("hostPID: true", "2")]
    {
        let changed = SET.replace("spec: {containers", &format!("spec: {{{change}, containers"));
        let mut new: DaemonSet = super::read(&changed);
        new.set_defaults();
        new.prepare_update(&old);
        assert_eq!(count(&new), expected, "{change}");
    }
    let mut new = old.clone();
    new.metadata.annotations = None;
    new.prepare_status(&old);
    assert_eq!(count(&new), "1");
}

#[test]
fn revisions() {
    const REVISION: &str = "{metadata: {name: web-1, namespace: shop}, data: {spec: {}}, revision: 1}";
    check_defaults::<ControllerRevision>(REVISION, REVISION);
    check_refusals::<ControllerRevision>(
        REVISION,
        r#"
        > {}
        > data: {a: [1, null]}
        > revision: 0
        > revision: -1
          revision: Invalid value: -1: must be greater than or equal to 0
        > data: null
          data: Required value: data is mandatory
        > data: x
          data: Required value: data must be a valid JSON object
        > data: [1]
          data: Required value: data must be a valid JSON object
        > metadata: {name: A}
          metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        "#,
    );
    check_changes::<ControllerRevision>(
        REVISION,
        r#"
        > {}
        > revision: 2
        > metadata: {labels: {a: b}}
        > revision: -2
          revision: Invalid value: -2: must be greater than or equal to 0
        > data: {spec: {a: 1}}
          data: Invalid value: {"spec":{"a":1}}: field is immutable
        "#,
    );
    check_rows::<ControllerRevision>(
        REVISION,
        "
        > {}
          <none> | 1 | <unknown>
        > metadata: {ownerReferences: [{apiVersion: v1, kind: Pod, name: a, uid: u}, {apiVersion: apps/v1, kind: StatefulSet, name: web, uid: u, controller: true}]}
          statefulset.apps/web | 1 | <unknown>
        ",
    );
}

const CONTROLLER: &str = "
metadata: {name: web, namespace: shop}
spec:
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: 'x:1'}]}}
";

#[test]
fn replication_controllers() {
    check_defaults::<ReplicationController>(
        CONTROLLER,
        &format!(
            "
metadata: {{name: web, namespace: shop, labels: {{app: web}}}}
spec:
  replicas: 1
  selector: {{app: web}}{TEMPLATE}
status: {{replicas: 0}}
"
        ),
    );
    check_refusals::<ReplicationController>(
        CONTROLLER,
        r#"
        > {}
        > {metadata: {labels: {a: b}}, spec: {selector: {app: web}, replicas: 0}}
        > spec: {replicas: -1, minReadySeconds: -1}
          spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0
          spec.replicas: Invalid value: -1: must be greater than or equal to 0
        > spec: {template: null}
          spec.selector: Required value
          spec.template: Required value
        > spec: {template: {metadata: null}}
          spec.selector: Required value
        > spec: {selector: {app: other}}
          spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`
        > spec: {template: {spec: {restartPolicy: Never, activeDeadlineSeconds: 1}}}
          spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"
          spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicationController is not Supported
        > spec: {template: {spec: {containers: []}}}
          spec.template.spec.containers: Required value
        "#,
    );
    check_changes::<ReplicationController>(
        CONTROLLER,
        "
        > {}
        > status: {replicas: 3}
        > spec: {replicas: 3}
          moves
        > {spec: {selector: {app: v2}, template: {metadata: {labels: {app: v2}}}}}
          moves
        ",
    );
    check_statuses::<ReplicationController>(
        CONTROLLER,
        "
        > status: {replicas: 2, readyReplicas: 1, availableReplicas: 1, fullyLabeledReplicas: 2}
        > status: {replicas: 1, readyReplicas: 2, availableReplicas: 3, observedGeneration: -1}
          status.observedGeneration: Invalid value: -1: must be greater than or equal to 0
          status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas
          status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas
          status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas
        ",
    );
    check_rows::<ReplicationController>(
        CONTROLLER,
        "
        > {spec: {replicas: 3, selector: {b: c, a: d}}, status: {replicas: 2, readyReplicas: 1}}
          3 | 2 | 1 | <unknown> | a | x:1 | a=d,b=c
        ",
    );
    check_terms::<ReplicationController>("status: {replicas: 4}", "status.replicas=4\n");
}

#[test]
fn templates() {
    const POD: &str = "
metadata: {name: web, namespace: shop}
template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: 'x:1'}, {name: b, image: y}]}}
";
    check_refusals::<PodTemplate>(
        POD,
        r#"
        > {}
        > template: {spec: {restartPolicy: Never, activeDeadlineSeconds: 3}}
        > template: {spec: {restartPolicy: Odd}}
          template.spec.restartPolicy: Unsupported value: "Odd": supported values: "Always", "OnFailure", "Never"
        > template: {spec: {containers: null}}
          template.spec.containers: Required value
        > template: {spec: {containers: [{image: x}]}}
          template.spec.containers[0].name: Required value
        > template: {metadata: {labels: {a: b c}}}
          template.labels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
        > template: {spec: {dnsPolicy: Odd}}
          template.spec.dnsPolicy: Unsupported value: "Odd": supported values: "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"
        > template: {spec: {terminationGracePeriodSeconds: -1}}
        > template: {spec: {nodeName: A_}}
          template.spec.nodeName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        "#,
    );
    check_changes::<PodTemplate>(
        POD,
        "
        > {}
        > metadata: {labels: {a: b}}
        > template: {metadata: {labels: {a: b}}}
          moves
        > template: {spec: {hostPID: true}}
          moves
        ",
    );
    check_rows::<PodTemplate>(
        POD,
        "
        > {}
          a,b | x:1,y | app=web
        > template: {metadata: null}
          a,b | x:1,y | <none>
        > template: null
          |  | <none>
        ",
    );
}
