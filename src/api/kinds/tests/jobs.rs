//! Jobs and CronJobs.

use k8s_openapi::api::batch::v1::{CronJob, Job};

use super::tables::{check_changes, check_refusals, check_rows, check_statuses};
use super::{check_defaults, check_terms};

const JOB: &str = "
metadata: {name: pi, namespace: shop, uid: u-1}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: 'x:1'}]}}}
";

#[test]
fn job_defaults() {
    check_defaults::<Job>(
        JOB,
        "
metadata:
  labels: {batch.kubernetes.io/controller-uid: u-1, batch.kubernetes.io/job-name: pi, controller-uid: u-1, job-name: pi}
  name: pi
  namespace: shop
  uid: u-1
spec:
  backoffLimit: 6
  completionMode: NonIndexed
  completions: 1
  manualSelector: false
  parallelism: 1
  podReplacementPolicy: TerminatingOrFailed
  selector: {matchLabels: {batch.kubernetes.io/controller-uid: u-1}}
  suspend: false
  template:
    metadata:
      labels: {batch.kubernetes.io/controller-uid: u-1, batch.kubernetes.io/job-name: pi, controller-uid: u-1, job-name: pi}
    spec:
      containers:
      - {image: 'x:1', imagePullPolicy: IfNotPresent, name: a, resources: {},
         terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
      dnsPolicy: ClusterFirst
      restartPolicy: Never
      schedulerName: default-scheduler
      securityContext: {}
      terminationGracePeriodSeconds: 30
status: {}
",
    );
    let spec = |more: &str| {
        let job: Job = super::created(&JOB.replace("spec: {template", &format!("spec: {{{more}, template")));
        let spec = job.spec.unwrap();
        (spec.completions, spec.parallelism, spec.backoff_limit, spec.pod_replacement_policy.unwrap())
    };
    assert_eq!(spec("parallelism: 3"), (None, Some(3), Some(6), "TerminatingOrFailed".to_owned()));
    assert_eq!(spec("completions: 3"), (Some(3), Some(1), Some(6), "TerminatingOrFailed".to_owned()));
    let (_, _, limit, policy) = spec("backoffLimitPerIndex: 1, podFailurePolicy: {rules: []}");
    assert_eq!((limit, policy.as_str()), (Some(i32::MAX), "Failed"));
}

#[test]
fn job_refusals() {
    check_refusals::<Job>(
        JOB,
        r#"
        > {}
        > spec: {parallelism: -1, completions: -1, activeDeadlineSeconds: -1, backoffLimit: -1, ttlSecondsAfterFinished: -1}
          spec.parallelism: Invalid value: -1: must be greater than or equal to 0
          spec.completions: Invalid value: -1: must be greater than or equal to 0
          spec.activeDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0
          spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0
          spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0
        > spec: {template: {spec: {restartPolicy: null}}}
          spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
        > spec: {template: {spec: {restartPolicy: Always}}}
          spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
        > spec: {template: {spec: {restartPolicy: Odd}}}
          spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "Always", "OnFailure", "Never"
          spec.template.spec.restartPolicy: Unsupported value: "Odd": supported values: "OnFailure", "Never"
        > spec: {template: {spec: {restartPolicy: OnFailure}}}
        > spec: {completionMode: Odd}
          spec.completionMode: Unsupported value: "Odd": supported values: "NonIndexed", "Indexed"
        > spec: {completionMode: Indexed, parallelism: 3}
          spec.completions: Required value: when completion mode is Indexed
        > spec: {completionMode: Indexed, completions: 3}
        > spec: {completionMode: Indexed, completions: 200000, parallelism: 100001, backoffLimitPerIndex: 1, maxFailedIndexes: 10001}
          spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed
          spec.parallelism: Invalid value: 100001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index
          spec.maxFailedIndexes: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index
        > spec: {completionMode: Indexed, completions: 200000, backoffLimitPerIndex: 1}
          spec.maxFailedIndexes: Required value: must be specified when completions is above 100000
        > spec: {completionMode: Indexed, completions: 3, maxFailedIndexes: 4}
          spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified
          spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions
        > spec: {backoffLimitPerIndex: 1, maxFailedIndexes: 1}
          spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode
          spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode
        > spec: {managedBy: ''}
          spec.managedBy: Required value
        > spec: {managedBy: acme}
          spec.managedBy: Invalid value: "acme": must be a domain-prefixed path (such as "acme.io/foo")
        > spec: {managedBy: acme.io/a b}
          spec.managedBy: Invalid value: "a b": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')
        > spec: {managedBy: acme.io/abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop}
          spec.managedBy: Too long: may not be more than 63 bytes
        > spec: {podReplacementPolicy: Odd}
          spec.podReplacementPolicy: Unsupported value: "Odd": supported values: "Failed", "TerminatingOrFailed"
        > spec: {podReplacementPolicy: TerminatingOrFailed, podFailurePolicy: {rules: []}}
          spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"
        > metadata: {uid: null}
          metadata.uid: Required value
        > spec: {template: {metadata: {labels: {job-name: other}}}}
          spec.template.metadata.labels[job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u-1","batch.kubernetes.io/job-name":"pi","controller-uid":"u-1","job-name":"other"}: must be 'pi'
        > spec: {selector: {matchLabels: {a: b}}}
          spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u-1"}}: `selector` not auto-generated
          spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u-1","batch.kubernetes.io/job-name":"pi","controller-uid":"u-1","job-name":"pi"}: `selector` does not match template `labels`
        > spec: {manualSelector: true}
          spec.selector: Required value
          spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`
        > spec: {manualSelector: true, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}}}
        > {metadata: {name: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz-0123456789}, spec: {completionMode: Indexed, completions: 1}}
          metadata.name: Invalid value: "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz-0123456789": will not able to create pod with invalid DNS label: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz-0123456789-0
        "#,
    );
}

#[test]
fn job_policies() {
    check_refusals::<Job>(
        JOB,
        r#"
        > spec: {podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {containerName: a, operator: In, values: [1, 5]}}, {action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}}
        > spec: {podFailurePolicy: {rules: [{action: '', onExitCodes: {operator: '', values: []}}]}}
          spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]
          spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]
          spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: []: at least one value is required
        > spec: {podFailurePolicy: {rules: [{action: Odd, onExitCodes: {containerName: b, operator: In, values: [5, 0, 5]}}]}}
          spec.podFailurePolicy.rules[0].action: Unsupported value: "Odd": supported values: "Count", "FailIndex", "FailJob", "Ignore"
          spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "b": must be one of the container or initContainer names in the pod template
          spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator
          spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 5
          spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [5,0,5]: must be ordered
        > spec: {podFailurePolicy: {rules: [{action: FailIndex}]}}
          spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set
          spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required
        > spec: {podFailurePolicy: {rules: [{action: Count, onExitCodes: {operator: NotIn, values: [0]}, onPodConditions: [{type: '', status: Odd}]}]}}
          spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "": name part must be non-empty
          spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
          spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"
          spec.podFailurePolicy.rules[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported
        > spec: {podFailurePolicy: {rules: []}, template: {spec: {restartPolicy: OnFailure}}}
          spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified
        > spec: {podFailurePolicy: {rules: [&r {action: Ignore, onPodConditions: [{type: A}]}, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r, *r]}}
          spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items
        > spec: {successPolicy: {rules: [{succeededCount: 1}]}}
          spec.successPolicy: Invalid value: {"Rules":[{"SucceededCount":1,"SucceededIndexes":null}]}: requires indexed completion mode
        = spec: {completionMode: Indexed, completions: 5}
        > spec: {successPolicy: {rules: [{succeededIndexes: '0,2-3', succeededCount: 3}]}}
        > spec: {successPolicy: {rules: []}}
          spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified
        > spec: {successPolicy: {rules: [{}]}}
          spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified
        > spec: {successPolicy: {rules: [{succeededIndexes: '3,1'}]}}
          spec.successPolicy.rules[0].succeededIndexes: Invalid value: "3,1": error parsing succeededIndexes: non-increasing order, previous: 3, current: 1
        > spec: {successPolicy: {rules: [{succeededIndexes: '0-1', succeededCount: 6}]}}
          spec.successPolicy.rules[0].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)
          spec.successPolicy.rules[0].succeededCount: Invalid value: 6: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)
        > spec: {successPolicy: {rules: [{succeededCount: -1}]}}
          spec.successPolicy.rules[0].succeededCount: Invalid value: -1: must be greater than or equal to 0
        "#,
    );
}

#[test]
fn job_changes() {
    check_changes::<Job>(
        JOB,
        r#"
        > {}
        > status: {active: 3}
        > spec: {parallelism: 3, suspend: true, backoffLimit: 2, ttlSecondsAfterFinished: 5}
          moves
        > spec: {completions: 2}
          moves
          spec.completions: Invalid value: 2: field is immutable
        > spec: {completionMode: Indexed}
          moves
          spec.completionMode: Invalid value: "Indexed": field is immutable
        > spec: {managedBy: acme.io/x}
          moves
          spec.managedBy: Invalid value: "acme.io/x": field is immutable
        > spec: {podFailurePolicy: {rules: []}, podReplacementPolicy: Failed}
          moves
          spec.podFailurePolicy: Invalid value: {"Rules":[]}: field is immutable
        > spec: {selector: {matchLabels: {a: b}}, manualSelector: true}
          moves
          spec.template.metadata.labels: Invalid value: {"batch.kubernetes.io/controller-uid":"u-1","batch.kubernetes.io/job-name":"pi","controller-uid":"u-1","job-name":"pi"}: `selector` does not match template `labels`
          spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"u-1"}}: field is immutable
        = spec: {suspend: true}
        > spec: {template: {metadata: {labels: {a: b}, annotations: {c: d}}, spec: {nodeSelector: {disk: ssd}, tolerations: [{operator: Exists}], schedulingGates: [{name: a}], affinity: {nodeAffinity: {}}}}}
          moves
        > spec: {template: {spec: {containers: [{name: a, image: 'x:1', imagePullPolicy: IfNotPresent, terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File, resources: {requests: {cpu: 1}}}]}}}
          moves
        = {spec: {completionMode: Indexed, completions: 3, parallelism: 3, suspend: false}}
        > spec: {completions: 5, parallelism: 5}
          moves
        > spec: {completions: 5}
          moves
          spec.completions: Invalid value: 5: can only be modified in tandem with spec.parallelism
        > spec: {backoffLimitPerIndex: 2}
          moves
          spec.backoffLimitPerIndex: Invalid value: 2: field is immutable
        "#,
    );
    // The template is shown whole.
    let old: Job = super::created(JOB);
    for (suspend, active, field) in
        [(false, 0, "spec.template"), (true, 1, "spec.template"), (true, 0, "spec.template.spec")]
    {
        let mut old = old.clone();
        old.spec.as_mut().unwrap().suspend = Some(suspend);
        old.status.as_mut().unwrap().active = Some(active);
        let mut new = old.clone();
        new.spec.as_mut().unwrap().template.spec.as_mut().unwrap().host_network = Some(true);
        let mut errors = crate::api::FieldErrors::default();
        crate::api::Kind::validate_update(&new, &old, &mut errors);
        let found: Vec<(String, String)> =
            errors.into_list().into_iter().map(|error| (error.field, error.detail)).collect();
        assert_eq!(found, [(field.to_owned(), "field is immutable".to_owned())]);
    }
}

#[test]
fn job_statuses() {
    check_statuses::<Job>(
        JOB,
        r#"
        > status: {active: 1, ready: 1, startTime: '2026-05-01T11:00:00Z'}
        > status: {active: -1, failed: -1}
          status.active: Invalid value: -1: must be greater than or equal to 0
          status.failed: Invalid value: -1: must be greater than or equal to 0
          status.failed: Invalid value: -1: cannot decrease the failed counter
        > status: {active: 1, ready: 2}
          status.ready: Invalid value: 2: cannot set more ready pods than active
        > status: {completedIndexes: '0'}
          status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode
        > status: {failedIndexes: ''}
          status.failedIndexes: Invalid value: "": cannot set non-null failedIndexes when backoffLimitPerIndex is null
        > status: {uncountedTerminatedPods: {succeeded: [a, ''], failed: [a]}}
          status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty
          status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"
        > status: {completionTime: '2026-05-01T11:00:00Z'}
          status.completionTime: Invalid value: "2026-05-01T11:00:00Z": cannot set completionTime when there is no Complete=True condition
        > status: {conditions: [{type: Complete, status: 'True'}]}
          status.completionTime: Required value: completionTime is required for Complete jobs
          status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition
          status.startTime: Required value: startTime is required for finished job
        > status: {conditions: [{type: Failed, status: 'True'}], active: 1, terminating: 2, startTime: '2026-05-01T11:00:00Z', uncountedTerminatedPods: {failed: [a]}}
          status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition
          status.active: Invalid value: 1: active>0 is invalid for finished job
          status.uncountedTerminatedPods: Invalid value: {"Failed":["a"],"Succeeded":null}: must be empty for finished job
          status.terminating: Invalid value: 2: terminating>0 is invalid for finished job
        > status: {startTime: '2026-05-01T11:00:00Z', completionTime: '2026-05-01T10:00:00Z', conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}
          status.completionTime: Invalid value: "2026-05-01T10:00:00Z": must be equal to or after `startTime`
        > status: {startTime: '2026-05-01T11:00:00Z', completionTime: '2026-05-01T11:30:00Z', succeeded: 1, conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}
        > status: {conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: FailureTarget, status: 'True'}]}
          status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions
        = status: {failed: 2, succeeded: 1, startTime: '2026-05-01T11:00:00Z', completionTime: '2026-05-01T11:30:00Z', conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}
        > status: {failed: 1, succeeded: 0}
          status.failed: Invalid value: 1: cannot decrease the failed counter
          status.succeeded: Invalid value: 0: cannot decrease the succeeded counter
        > status: {completionTime: '2026-05-01T11:31:00Z', startTime: '2026-05-01T11:01:00Z'}
          status.completionTime: Invalid value: "2026-05-01T11:31:00Z": field is immutable
          status.startTime: Invalid value: "2026-05-01T11:01:00Z": field is immutable for unsuspended job once set
        > status: {conditions: []}
          status.completionTime: Invalid value: "2026-05-01T11:30:00Z": cannot set completionTime when there is no Complete=True condition
          status.conditions: Invalid value: cannot disable the terminal Complete=True condition
          status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition
        = {spec: {completionMode: Indexed, completions: 5, backoffLimitPerIndex: 1}, status: {completionTime: null, conditions: []}}
        > status: {completedIndexes: '0-2', failedIndexes: '2,4'}
          status.failedIndexes: Invalid value: "2,4": failedIndexes and completedIndexes overlap at index: 2
        > status: {completedIndexes: '0-9', failedIndexes: '4,4'}
          status.completedIndexes: Invalid value: "0-9": error parsing completedIndexes: too large index: "9"
          status.failedIndexes: Invalid value: "4,4": error parsing failedIndexes: non-increasing order, previous: 4, current: 4
        "#,
    );
}

#[test]
fn job_rows() {
    check_rows::<Job>(
        JOB,
        "
        > {}
          Running | 0/1 |  | <unknown> | a | x:1 | <none>
        > {spec: {parallelism: 3}}
          Running | 0/1 of 3 |  | <unknown> | a | x:1 | <none>
        > {spec: {completions: 5, selector: {matchLabels: {a: b}}}, status: {succeeded: 2, startTime: '2026-05-01T11:58:00Z'}}
          Running | 2/5 | 2m | <unknown> | a | x:1 | a=b
        > {status: {succeeded: 1, startTime: '2026-05-01T11:00:00Z', completionTime: '2026-05-01T11:00:05Z', conditions: [{type: Complete, status: 'True'}]}}
          Complete | 1/1 | 5s | <unknown> | a | x:1 | <none>
        > {status: {conditions: [{type: FailureTarget, status: 'True'}, {type: Failed, status: 'True'}]}}
          Failed | 0/1 |  | <unknown> | a | x:1 | <none>
        > {metadata: {deletionTimestamp: '2026-05-01T11:00:00Z'}, status: {conditions: [{type: Suspended, status: 'True'}]}}
          Terminating | 0/1 |  | <unknown> | a | x:1 | <none>
        > {status: {conditions: [{type: Suspended, status: 'True'}]}}
          Suspended | 0/1 |  | <unknown> | a | x:1 | <none>
        > {status: {conditions: [{type: Complete, status: 'False'}, {type: SuccessCriteriaMet, status: 'True'}]}}
          SuccessCriteriaMet | 0/1 |  | <unknown> | a | x:1 | <none>
        ",
    );
    check_terms::<Job>("status: {succeeded: 4}", "status.successful=4\n");
}

const CRON: &str = "
metadata: {name: pi, namespace: shop}
spec:
  schedule: '*/5 * * * *'
  jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: a, image: 'x:1'}]}}}}
";

#[test]
fn cron_defaults() {
    check_defaults::<CronJob>(
        CRON,
        "
metadata: {name: pi, namespace: shop}
spec:
  concurrencyPolicy: Allow
  failedJobsHistoryLimit: 1
  jobTemplate:
    metadata: {}
    spec:
      template:
        metadata: {}
        spec:
          containers:
          - {image: 'x:1', imagePullPolicy: IfNotPresent, name: a, resources: {},
             terminationMessagePath: /dev/termination-log, terminationMessagePolicy: File}
          dnsPolicy: ClusterFirst
          restartPolicy: OnFailure
          schedulerName: default-scheduler
          securityContext: {}
          terminationGracePeriodSeconds: 30
  schedule: '*/5 * * * *'
  successfulJobsHistoryLimit: 3
  suspend: false
status: {}
",
    );
}

#[test]
fn cron_refusals() {
    check_refusals::<CronJob>(
        CRON,
        r#"
        > {}
        > spec: {schedule: '@hourly', timeZone: Europe/Berlin}
        > spec: {schedule: ''}
          spec.schedule: Required value
        > spec: {schedule: '* * * *'}
          spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]
        > spec: {schedule: 'CRON_TZ=UTC * * * * *'}
          spec.schedule: Invalid value: "CRON_TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead
        > spec: {schedule: 'TZ=0'}
          spec.schedule: Invalid value: "TZ=0": invalid schedule format: runtime error: slice bounds out of range [:-1]
          spec.schedule: Invalid value: "TZ=0": cannot use TZ or CRON_TZ in schedule, use timeZone field instead
        > spec: {timeZone: ''}
          spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string
        > spec: {timeZone: local}
          spec.timeZone: Invalid value: "local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones
          spec.timeZone: Invalid value: "local": unknown time zone local
        > spec: {timeZone: Local}
          spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones
        > spec: {timeZone: Mars/Base}
          spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base
        > spec: {timeZone: Europe//Berlin}
          spec.timeZone: Invalid value: "Europe//Berlin": unknown time zone Europe//Berlin
        > spec: {timeZone: ../etc}
          spec.timeZone: Invalid value: "../etc": unknown time zone ../etc
        > spec: {startingDeadlineSeconds: -1, successfulJobsHistoryLimit: -1, failedJobsHistoryLimit: -1}
          spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0
          spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0
          spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0
        > spec: {concurrencyPolicy: Odd}
          spec.concurrencyPolicy: Unsupported value: "Odd": supported values: "Allow", "Forbid", "Replace"
        > spec: {jobTemplate: {spec: {parallelism: -1, template: {spec: {restartPolicy: Always}}}}}
          spec.jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0
          spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
        > spec: {jobTemplate: {spec: {manualSelector: true, selector: {matchLabels: {a: b}}}}}
          spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated
          spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"
        > metadata: {name: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1}
          metadata.name: Invalid value: "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz1": must be no more than 52 characters
        "#,
    );
}

#[test]
fn cron_changes_and_rows() {
    check_changes::<CronJob>(
        CRON,
        r#"
        > {}
        > status: {active: [{name: a}]}
        > spec: {schedule: '@daily', suspend: true, timeZone: UTC}
          moves
        > spec: {schedule: x}
          moves
          spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]
        "#,
    );
    check_statuses::<CronJob>(
        CRON,
        "> status: {active: [{name: a}], lastScheduleTime: '2026-05-01T11:00:00Z'}",
    );
    check_rows::<CronJob>(
        CRON,
        "
        > {}
          */5 * * * * | <none> | <unset> | 0 | <none> | <unknown> | a | x:1 | <none>
        > {spec: {timeZone: UTC, suspend: false}, status: {active: [{name: a}], lastScheduleTime: '2026-05-01T11:59:00Z'}}
          */5 * * * * | UTC | False | 1 | 60s | <unknown> | a | x:1 | <none>
        > {spec: {suspend: true}}
          */5 * * * * | <none> | True | 0 | <none> | <unknown> | a | x:1 | <none>
        ",
    );
}
