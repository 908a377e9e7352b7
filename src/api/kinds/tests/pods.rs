//! Pods: defaults and refusals.

use k8s_openapi::api::core::v1::Pod;

use super::{check, check_defaults, check_terms, created};
use crate::api::object::Kind;

/// A pod whose specification is `spec`, which is indented by nothing.
fn pod(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("metadata: {{name: web, namespace: shop}}\nspec:\n{spec}")
}

/// A pod with one container that has these fields besides name and image.
fn container(fields: &str) -> String {
    let fields: String = fields.lines().map(|line| format!("  {line}\n")).collect();
    pod(&format!("containers:\n- name: a\n  image: nginx\n{fields}"))
}

#[test]
fn defaults_of_the_smallest_pod() {
    check_defaults::<Pod>(
        &pod("containers:\n- {name: a, image: nginx}"),
        "
metadata: {name: web, namespace: shop}
spec:
  containers:
  - image: nginx
    imagePullPolicy: Always
    name: a
    resources: {}
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
status: {phase: Pending, qosClass: BestEffort}
",
    );
}

#[test]
fn defaults_of_what_pods_commonly_have() {
    check_defaults::<Pod>(
        &pod("
serviceAccount: bot
hostNetwork: true
hostPID: false
initContainers:
- {name: i, image: 'reg:5000/x/y:1.2', resources: {limits: {cpu: 1000m, memory: 1024Mi}}}
containers:
- name: a
  image: nginx:latest
  args: []
  stdin: false
  ports: [{containerPort: 80}]
  env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: E, value: ''}]
  resources: {limits: {cpu: 0.1, memory: '1e6'}, requests: {cpu: 50.5m}}
  livenessProbe: {httpGet: {port: 80}, initialDelaySeconds: 0}
  readinessProbe: {grpc: {port: 1}}
  lifecycle: {preStop: {httpGet: {port: http, path: /bye}}, stopSignal: SIGTERM}
volumes:
- {name: v}
- {name: c, configMap: {name: c}}
- {name: s, secret: {secretName: s, defaultMode: 256}}
- {name: h, hostPath: {path: /x}}
- name: p
  projected:
    sources:
    - serviceAccountToken: {path: t}
    - downwardAPI: {items: [{path: n, fieldRef: {fieldPath: metadata.name}}]}
"),
        "
metadata: {name: web, namespace: shop}
spec:
  serviceAccount: bot
  serviceAccountName: bot
  hostNetwork: true
  initContainers:
  - name: i
    image: reg:5000/x/y:1.2
    imagePullPolicy: IfNotPresent
    resources: {limits: {cpu: '1', memory: 1Gi}, requests: {cpu: '1', memory: 1Gi}}
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
  containers:
  - image: nginx:latest
    imagePullPolicy: Always
    name: a
    ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
    env: [{name: IP, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}}, {name: E}]
    resources: {limits: {cpu: 100m, memory: '1e6'}, requests: {cpu: 51m, memory: '1e6'}}
    livenessProbe:
      {failureThreshold: 3, httpGet: {path: /, port: 80, scheme: HTTP}, periodSeconds: 10, successThreshold: 1,
       timeoutSeconds: 1}
    readinessProbe:
      {failureThreshold: 3, grpc: {port: 1, service: ''}, periodSeconds: 10, successThreshold: 1, timeoutSeconds: 1}
    lifecycle: {preStop: {httpGet: {port: http, path: /bye, scheme: HTTP}}}
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
  volumes:
  - {name: v, emptyDir: {}}
  - {name: c, configMap: {name: c, defaultMode: 420}}
  - {name: s, secret: {secretName: s, defaultMode: 256}}
  - {name: h, hostPath: {path: /x, type: ''}}
  - name: p
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {path: t, expirationSeconds: 3600}
      - downwardAPI: {items: [{path: n, fieldRef: {apiVersion: v1, fieldPath: metadata.name}}]}
status: {phase: Pending, qosClass: Burstable}
",
    );
}

#[test]
fn pull_policies_follow_the_tag() {
    let policy = |image: &str| {
        let pod: Pod = created(&pod(&format!("containers: [{{name: a, image: '{image}'}}]")));
        pod.spec.unwrap().containers[0].image_pull_policy.clone().unwrap()
    };
    let table = [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("reg:5000/nginx", "Always"),
        ("reg.io/a/b:v1", "IfNotPresent"),
        ("a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "IfNotPresent"),
        ("a:latest@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "Always"),
        ("Nginx", "IfNotPresent"),
        ("", "IfNotPresent"),
    ];
    for (image, expected) in table {
        assert_eq!(policy(image), expected, "{image}");
    }
}

#[test]
fn classes_of_service() {
    let class = |resources: &str| {
        let pod: Pod = created(&container(&format!("resources: {resources}")));
        pod.status.unwrap().qos_class.unwrap()
    };
    assert_eq!(class("{limits: {cpu: 1, memory: 1Gi}}"), "Guaranteed");
    assert_eq!(
        class("{limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: '1', memory: 1Gi}}"),
        "Guaranteed"
    );
    assert_eq!(class("{limits: {cpu: 1}}"), "Burstable");
    assert_eq!(class("{requests: {memory: 1}}"), "Burstable");
    assert_eq!(class("{requests: {cpu: 0}}"), "BestEffort");
}

#[test]
fn names_and_containers() {
    check::<Pod>(
        "metadata: {name: web}\nspec: {}",
        "metadata.namespace: Required value\nspec.containers: Required value\n",
    );
    check::<Pod>(
        &pod("containers:\n- {}\n- {name: a, image: ' x', ports: [{}]}\n- {name: a, image: x}"),
        "spec.containers[0].name: Required value\n\
         spec.containers[0].image: Required value\n\
         spec.containers[1].ports[0].containerPort: Required value\n\
         spec.containers[2].name: Duplicate value: \"a\"\n\
         spec.containers[1].image: Invalid value: \" x\": must not have leading or trailing whitespace\n",
    );
    check::<Pod>(
        &pod(
            "containers: [{name: A_b, image: x, imagePullPolicy: Maybe, terminationMessagePolicy: no}]\nrestartPolicy: x\ndnsPolicy: y",
        ),
        "spec.containers[0].name: Invalid value: \"A_b\": a lowercase RFC 1123 label must consist of lower case \
         alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
         '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n\
         spec.containers[0].terminationMessagePolicy: Unsupported value: \"no\": supported values: \"File\", \
         \"FallbackToLogsOnError\"\n\
         spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \
         \"IfNotPresent\", \"Never\"\n\
         spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"\n\
         spec.dnsPolicy: Unsupported value: \"y\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", \
         \"Default\", \"None\"\n",
    );
    check::<Pod>(
        &pod(
            "initContainers: [{name: a, image: x, readinessProbe: {exec: {command: [x]}}}]\ncontainers: [{name: a, image: x}]",
        ),
        "spec.initContainers[0].name: Duplicate value: \"a\"\n\
         spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without \
         restartPolicy=Always\n",
    );
}

#[test]
fn ports() {
    check::<Pod>(
        &container(
            "ports: [{containerPort: 70000, name: Web, protocol: tcp}, {containerPort: 1, hostPort: -1}]",
        ),
        "spec.containers[0].ports[0].name: Invalid value: \"Web\": must contain only alpha-numeric characters (a-z, 0-9), \
         and hyphens (-)\n\
         spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive\n\
         spec.containers[0].ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"\n\
         spec.containers[0].ports[1].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive\n",
    );
    check::<Pod>(
        &container("ports: [{containerPort: 1, hostPort: 80}, {containerPort: 2, hostPort: 80}]"),
        "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\"\n",
    );
}

#[test]
fn environment() {
    check::<Pod>(
        &container(
            "env:\n- {name: '', value: x}\n- {name: 'a=b'}\n- {name: c, valueFrom: {}}\n\
             - {name: d, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}\n\
             - {name: e, valueFrom: {fieldRef: {fieldPath: spec.containers}}}\n\
             - {name: f, valueFrom: {fieldRef: {fieldPath: status.phase}}}\n\
             - {name: g, valueFrom: {configMapKeyRef: {name: c, key: a/b}}}\n\
             - {name: h, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 2}}}\n\
             - {name: i, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}\n\
             envFrom:\n- {}\n- {configMapRef: {name: c}, prefix: 'p-'}",
        ),
        "spec.containers[0].env[0].name: Required value\n\
         spec.containers[0].env[1].name: Invalid value: \"a=b\": a valid environment variable name must consist only of \
         printable ASCII characters other than '='\n\
         spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, \
         `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`\n\
         spec.containers[0].env[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty\n\
         spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.containers\": error converting \
         fieldPath: field label not supported: spec.containers\n\
         spec.containers[0].env[5].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \
         \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \
         \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"\n\
         spec.containers[0].env[6].valueFrom.configMapKeyRef.key: Invalid value: \"a/b\": a valid config key must consist \
         of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for \
         validation is '[-._a-zA-Z0-9]+')\n\
         spec.containers[0].env[7].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values \
         1m and 1 are supported with the cpu resource\n\
         spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`\n",
    );
}

#[test]
fn volumes_and_mounts() {
    check::<Pod>(
        &pod("
containers:
- name: a
  image: x
  volumeMounts:
  - {name: gone, mountPath: /a}
  - {name: v, mountPath: ''}
  - {name: v, mountPath: /b, subPath: /x, subPathExpr: ../y}
  - {name: v, mountPath: /b, mountPropagation: Bidirectional}
volumes:
- {name: v}
- {name: v}
- {name: w, hostPath: {path: /a/../b, type: Nothing}, secret: {secretName: s}}
- {name: x, configMap: {name: '', defaultMode: 4096, items: [{key: '', path: ../a}]}}
- {name: y, downwardAPI: {items: [{path: a}]}}
- {name: z, projected: {sources: [{secret: {name: s, items: [{key: a, path: p}]}}, {configMap: {name: c, items: [{key: a, path: p}]}}]}}
- {name: t, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 1}}]}}
- {emptyDir: {sizeLimit: -1}}
"),
        "spec.volumes[1].name: Duplicate value: \"v\"\n\
         spec.volumes[2].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'\n\
         spec.volumes[2].hostPath.type: Unsupported value: \"Nothing\": supported values: \"\", \"BlockDevice\", \
         \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"\n\
         spec.volumes[2].secret: Forbidden: may not specify more than 1 volume type\n\
         spec.volumes[3].configMap.name: Required value\n\
         spec.volumes[3].configMap.defaultMode: Invalid value: 4096: must be a number between 0 and 0777 (octal), both \
         inclusive\n\
         spec.volumes[3].configMap.items[0].key: Required value\n\
         spec.volumes[3].configMap.items[0].path: Invalid value: \"../a\": must not contain '..'\n\
         spec.volumes[4].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required\n\
         spec.volumes[5].projected: Invalid value: \"c\": conflicting duplicate paths\n\
         spec.volumes[6].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a \
         duration less than 10 minutes\n\
         spec.volumes[7].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity\n\
         spec.volumes[7].name: Required value\n\
         spec.containers[0].volumeMounts[0].name: Not found: \"gone\"\n\
         spec.containers[0].volumeMounts[1].mountPath: Required value\n\
         spec.containers[0].volumeMounts.subPath: Invalid value: \"/x\": must be a relative path\n\
         spec.containers[0].volumeMounts[2].subPathExpr: Invalid value: \"../y\": subPathExpr and subPath are mutually \
         exclusive\n\
         spec.containers[0].volumeMounts.subPathExpr: Invalid value: \"../y\": must not contain '..'\n\
         spec.containers[0].volumeMounts[3].mountPath: Invalid value: \"/b\": must be unique\n\
         spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only \
         to privileged containers\n\
         spec.volumes[6].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when \
         serviceAccountName is not set\n",
    );
}

#[test]
fn probes_and_hooks() {
    check::<Pod>(
        &container(
            "livenessProbe: {}\n\
             readinessProbe: {httpGet: {port: 0, scheme: ftp}, periodSeconds: -1, terminationGracePeriodSeconds: 3}\n\
             startupProbe: {exec: {}, tcpSocket: {port: x}, successThreshold: 2}\n\
             lifecycle: {preStop: {sleep: {seconds: 31}}}",
        ),
        "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
         terminationGracePeriodSeconds (30)\n\
         spec.containers[0].livenessProbe: Required value: must specify a handler type\n\
         spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive\n\
         spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"ftp\": supported values: \"HTTP\", \
         \"HTTPS\"\n\
         spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0\n\
         spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for \
         readinessProbes\n\
         spec.containers[0].startupProbe.exec.command: Required value\n\
         spec.containers[0].startupProbe.tcpSocket: Forbidden: may not specify more than 1 handler type\n\
         spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1\n",
    );
}

#[test]
fn resources() {
    check::<Pod>(
        &container(
            "resources: {limits: {cpu: 1, gpus: 1, nvidia.com/gpu: 500m, memory: -1}, requests: {cpu: 2, example.com/x: 1}}",
        ),
        "spec.containers[0].resources.limits[gpus]: Invalid value: \"gpus\": must be a standard resource type or fully \
         qualified\n\
         spec.containers[0].resources.limits[gpus]: Invalid value: \"gpus\": must be a standard resource for containers\n\
         spec.containers[0].resources.limits[memory]: Invalid value: \"-1\": must be greater than or equal to 0\n\
         spec.containers[0].resources.limits[nvidia.com/gpu]: Invalid value: \"500m\": must be an integer\n\
         spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1\n\
         spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources\n\
         spec.containers[0].resources.requests[gpus]: Invalid value: \"gpus\": must be a standard resource type or fully \
         qualified\n\
         spec.containers[0].resources.requests[gpus]: Invalid value: \"gpus\": must be a standard resource for \
         containers\n\
         spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0\n\
         spec.containers[0].resources.requests[nvidia.com/gpu]: Invalid value: \"500m\": must be an integer\n",
    );
    check::<Pod>(
        &container("resources: {limits: {hugepages-2Mi: 3Mi}}"),
        "spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple \
         of hugepages-2Mi\n\
         spec.containers[0].resources.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer \
         multiple of hugepages-2Mi\n\
         spec.containers[0].resources: Forbidden: HugePages require cpu or memory\n",
    );
}

#[test]
fn security() {
    check::<Pod>(
        &container(
            "securityContext: {runAsUser: -1, procMount: Unmasked, seccompProfile: {type: Localhost}}",
        ),
        "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive\n\
         spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use \
         `Unmasked`\n\
         spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp \
         type is Localhost\n",
    );
    check::<Pod>(
        &pod("
containers: [{name: a, image: x}]
hostPID: true
hostUsers: false
shareProcessNamespace: true
securityContext: {fsGroup: -2, sysctls: [{name: ''}, {name: A}, {name: kernel.shm_rmid_forced}, {name: kernel.shm_rmid_forced}]}
"),
        "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be \
         enabled\n\
         spec.securityContext.fsGroup: Invalid value: -2: must be between 0 and 2147483647, inclusive\n\
         spec.securityContext.sysctls[0].name: Required value\n\
         spec.securityContext.sysctls[1].name: Invalid value: \"A\": must have at most 253 characters and match regex \
         ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$\n\
         spec.securityContext.sysctls[3].name: Duplicate value: \"kernel.shm_rmid_forced\"\n\
         spec.HostPID: Forbidden: when `hostUsers` is false\n",
    );
}

#[test]
fn placement() {
    check::<Pod>(
        &pod("
containers: [{name: a, image: x}]
nodeSelector: {'a b': x}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}, {key: b, operator: Like, values: [x]}]}]
    preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, preference: {}}]
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {a: b}}, topologyKey: ''}]
tolerations:
- {operator: Equal}
- {key: a, operator: Exists, value: x}
- {key: a, effect: Never, tolerationSeconds: 3}
topologySpreadConstraints:
- {maxSkew: 0, topologyKey: '', whenUnsatisfiable: No}
"),
        "spec.nodeSelector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and \
         must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n\
         spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].\
         matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'\n\
         spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].\
         matchExpressions[1].operator: Invalid value: \"Like\": not a valid selector operator\n\
         spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be \
         in the range 1-100\n\
         spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can \
         not be empty\n\
         spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": \
         name part must be non-empty\n\
         spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: \"\": \
         name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
         character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n\
         spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero\n\
         spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty\n\
         spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"No\": supported values: \
         \"DoNotSchedule\", \"ScheduleAnyway\"\n\
         spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \
         \"match all values and all keys\"\n\
         spec.tolerations[1].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'\n\
         spec.tolerations[2].effect: Invalid value: \"Never\": effect must be 'NoExecute' when `tolerationSeconds` is \
         set\n\
         spec.tolerations[2].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \
         \"NoExecute\"\n",
    );
}

#[test]
fn network_and_gates() {
    check::<Pod>(
        &pod("
containers: [{name: a, image: x}]
dnsPolicy: None
hostAliases: [{ip: 1.2.3, hostnames: [A]}]
hostname: a.b
activeDeadlineSeconds: 0
schedulingGates: [{name: g}]
nodeName: n
"),
        "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None\n\
         spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive\n\
         spec.hostname: Invalid value: \"a.b\": must not contain dots\n\
         spec.hostAliases[0].ip: Invalid value: \"1.2.3\": must be a valid IP address, (e.g. 10.9.8.7 or \
         2001:db8::ffff)\n\
         spec.hostAliases[0].hostnames[0]: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower \
         case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
         'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n\
         spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared\n",
    );
}

#[test]
fn grace_periods() {
    let period = |spec: &str, status: &str, asked| {
        let pod: Pod = super::read(&format!("spec: {{{spec}containers: []}}\nstatus: {{{status}}}"));
        pod.grace_period(asked)
    };
    let bound = "nodeName: n, terminationGracePeriodSeconds: 30, ";
    assert_eq!(period(bound, "", None), 30);
    assert_eq!(period(bound, "", Some(5)), 5);
    assert_eq!(period(bound, "", Some(0)), 0);
    assert_eq!(period(bound, "", Some(-1)), 1);
    assert_eq!(period(bound, "phase: Succeeded", Some(5)), 0);
    assert_eq!(period(bound, "phase: Failed", None), 0);
    assert_eq!(period("terminationGracePeriodSeconds: 30, ", "", Some(5)), 0);
    assert_eq!(period("nodeName: n, terminationGracePeriodSeconds: -3, ", "", None), 1);
}

#[test]
fn terms() {
    check_terms::<Pod>(
        "
metadata: {labels: {app: web, other: x, pod-template-hash: abc}}
spec: {nodeName: n, restartPolicy: Always, schedulerName: s, serviceAccountName: b, containers: []}
status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
",
        "spec.nodeName=n\nspec.restartPolicy=Always\nspec.schedulerName=s\nspec.serviceAccountName=b\n\
         spec.hostNetwork=false\nstatus.phase=Running\nstatus.podIP=10.0.0.1\nstatus.nominatedNodeName=\n\
         label:app=web\nlabel:pod-template-hash=abc\n",
    );
}
