//! What a writer leaves in memory is what a reader decodes: for objects of every kind, written by hand and then
//! changed at random, the canonical form is what decoding its own JSON gives, and it stays as it is.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::api::meta::canonicalise_meta;
use crate::api::object::Kind;

/// One object of each kind, with values that are not canonical.
const OBJECTS: &[(&str, &str)] = &[
    (
        "Namespace",
        "metadata: {name: a}\nspec: {finalizers: [kubernetes]}\nstatus: {phase: Active, conditions: [{type: a, status: b, lastTransitionTime: '2026-05-01T11:00:00.5Z', message: ''}]}",
    ),
    (
        "Node",
        "metadata: {name: a}\nspec: {taints: [{key: a, effect: b, timeAdded: '2026-05-01T11:00:00.5Z'}], unschedulable: false}\nstatus: {capacity: {cpu: 1000m, memory: 1024Ki}, conditions: [{type: Ready, status: 'True', lastHeartbeatTime: '2026-05-01T11:00:00.9Z'}], images: [{names: [], sizeBytes: 0}], nodeInfo: {kubeletVersion: v1}}",
    ),
    (
        "Pod",
        "metadata: {name: a, labels: {}, annotations: {a: b}, creationTimestamp: '2026-05-01T11:00:00.123456789Z', ownerReferences: [{apiVersion: v1, kind: a, name: b, uid: c}]}\nspec: {nodeName: '', hostNetwork: false, containers: [{name: a, image: b, args: [], tty: false, env: [{name: a, value: ''}], ports: [{containerPort: 80, hostPort: 0}], resources: {limits: {cpu: 0.5, memory: '1e3'}, requests: {}}, livenessProbe: {httpGet: {port: 80}, periodSeconds: 0}, securityContext: {capabilities: {add: [], drop: [ALL]}}}], volumes: [{name: a, emptyDir: {sizeLimit: 1024Mi}}, {name: b, projected: {sources: [{downwardAPI: {items: [{path: a, resourceFieldRef: {resource: limits.cpu}}]}}]}}], affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: []}}, overhead: {cpu: 1500m}}\nstatus: {phase: Running, startTime: '2026-05-01T11:00:00.7Z', containerStatuses: [{name: a, ready: false, state: {running: {startedAt: '2026-05-01T11:00:00.7Z'}}, lastState: {terminated: {exitCode: 0, signal: 0, finishedAt: '2026-05-01T11:00:00.7Z'}}}]}",
    ),
    (
        "Service",
        "metadata: {name: a}\nspec: {ports: [{port: 80, nodePort: 0}], selector: {}, clusterIPs: [], publishNotReadyAddresses: false}\nstatus: {loadBalancer: {ingress: []}, conditions: [{type: a, status: b, reason: c, message: d, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "EndpointSlice",
        "metadata: {name: a}\naddressType: IPv4\nports: []\nendpoints: [{addresses: [a], hints: {forZones: []}, targetRef: {kind: '', uid: a}, deprecatedTopology: {}}]",
    ),
    ("ConfigMap", "metadata: {name: a, generation: 0, finalizers: []}\ndata: {}\nbinaryData: {a: YQ==}"),
    ("Secret", "metadata: {name: a}\nstringData: {a: b}\ntype: ''"),
    (
        "ServiceAccount",
        "metadata: {name: a, managedFields: [{manager: a, operation: Update, time: '2026-05-01T11:00:00.7Z', fieldsType: FieldsV1, fieldsV1: {f:a: {}}}]}\nsecrets: []\nimagePullSecrets: [{name: a}]",
    ),
    (
        "Event",
        "metadata: {name: a}\ninvolvedObject: {kind: Pod, name: '', namespace: a}\neventTime: '2026-05-01T11:00:00.123456789Z'\nfirstTimestamp: '2026-05-01T11:00:00.7Z'\ncount: 0\nseries: {count: 2, lastObservedTime: '2026-05-01T11:00:00.1234567Z'}\nsource: {component: ''}",
    ),
    (
        "Lease",
        "metadata: {name: a}\nspec: {holderIdentity: '', renewTime: '2026-05-01T11:00:00.123456789Z', acquireTime: '2026-05-01T11:00:00Z'}",
    ),
    (
        "ReplicaSet",
        "metadata: {name: a}\nspec: {minReadySeconds: 0, selector: {matchLabels: {}}, template: {metadata: {labels: {}}, spec: {containers: []}}}\nstatus: {replicas: 0, readyReplicas: 0, conditions: [{type: a, status: b, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "Deployment",
        "metadata: {name: a}\nspec: {paused: false, selector: {}, strategy: {rollingUpdate: {maxSurge: 1}}, template: {spec: {containers: [{name: a, resources: {requests: {memory: 2048Ki}}}], initContainers: [], tolerations: []}}}\nstatus: {observedGeneration: 0, conditions: [{type: a, status: b, lastUpdateTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "StatefulSet",
        "metadata: {name: a}\nspec: {minReadySeconds: 0, serviceName: a, selector: {matchLabels: {}}, ordinals: {start: 0}, updateStrategy: {rollingUpdate: {maxUnavailable: 1}}, volumeClaimTemplates: [{metadata: {name: a, labels: {}}, spec: {accessModes: [], volumeName: '', resources: {requests: {storage: 1024Mi}, limits: {}}, selector: {}}, status: {phase: '', capacity: {storage: 1000m}, conditions: [{type: a, status: b, lastProbeTime: '2026-05-01T11:00:00.7Z'}]}}], template: {metadata: {labels: {}}, spec: {containers: [{name: a}]}}}\nstatus: {replicas: 0, currentRevision: '', availableReplicas: 0, conditions: [{type: a, status: b, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "DaemonSet",
        "metadata: {name: a, annotations: {deprecated.daemonset.template.generation: '3'}}\nspec: {minReadySeconds: 0, selector: {matchLabels: {}}, updateStrategy: {type: '', rollingUpdate: {maxSurge: 1}}, template: {metadata: {labels: {}}, spec: {containers: []}}}\nstatus: {currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0, numberAvailable: 0, conditions: [{type: a, status: b, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "ControllerRevision",
        "metadata: {name: a, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: a, uid: b, controller: true}]}\ndata: {spec: {template: {}}}\nrevision: 3",
    ),
    (
        "ReplicationController",
        "metadata: {name: a}\nspec: {minReadySeconds: 0, replicas: 0, selector: {}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, resources: {requests: {memory: 2048Ki}}}]}}}\nstatus: {replicas: 0, readyReplicas: 0, conditions: [{type: a, status: b, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "PodTemplate",
        "metadata: {name: a}\ntemplate: {metadata: {labels: {}}, spec: {containers: [{name: a, image: b, args: []}], nodeSelector: {}}}",
    ),
    (
        "Endpoints",
        "metadata: {name: a}\nsubsets: [{addresses: [{ip: 10.0.0.1, hostname: '', targetRef: {kind: '', uid: a}}], notReadyAddresses: [], ports: [{name: '', port: 80}]}, {}]",
    ),
    (
        "Job",
        "metadata: {name: a, uid: b, labels: {}}\nspec: {parallelism: 0, backoffLimitPerIndex: 1, completionMode: Indexed, podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: a}]}, {action: Count, onPodConditions: [], onExitCodes: {operator: In, values: [1]}}]}, successPolicy: {rules: [{succeededIndexes: '0'}]}, selector: {matchLabels: {}}, template: {metadata: {labels: {a: b}}, spec: {restartPolicy: Never, containers: [{name: a}]}}}\nstatus: {active: 0, completedIndexes: '', startTime: '2026-05-01T11:00:00.7Z', completionTime: '2026-05-01T11:00:00.7Z', uncountedTerminatedPods: {failed: [], succeeded: [a]}, conditions: [{type: Complete, status: 'True', lastProbeTime: '2026-05-01T11:00:00.7Z', lastTransitionTime: '2026-05-01T11:00:00.7Z', reason: ''}]}",
    ),
    (
        "CronJob",
        "metadata: {name: a}\nspec: {schedule: '@daily', concurrencyPolicy: '', timeZone: UTC, jobTemplate: {spec: {template: {metadata: {labels: {}}, spec: {restartPolicy: OnFailure, containers: [{name: a, env: []}]}}}}}\nstatus: {active: [{kind: Job, name: '', uid: a}], lastScheduleTime: '2026-05-01T11:00:00.7Z', lastSuccessfulTime: '2026-05-01T11:00:00.7Z'}",
    ),
    (
        "HorizontalPodAutoscaler",
        "metadata: {name: a, annotations: {autoscaling.alpha.kubernetes.io/metrics: '[]'}}\nspec: {maxReplicas: 3, scaleTargetRef: {apiVersion: '', kind: a, name: b}, behavior: {scaleUp: {policies: [], tolerance: 1000m}, scaleDown: {policies: [{type: Pods, value: 1, periodSeconds: 2}]}}, metrics: [{type: Object, object: {describedObject: {apiVersion: '', kind: a, name: b}, metric: {name: a, selector: {matchLabels: {}}}, target: {type: Value, value: 1000m}}}, {type: External, external: {metric: {name: a}, target: {type: Value, averageValue: 0.5}}}, {type: Pods, pods: {metric: {name: a}, target: {type: AverageValue, averageValue: 1024Mi}}}, {type: ContainerResource, containerResource: {name: cpu, container: a, target: {type: Utilization, averageUtilization: 3}}}]}\nstatus: {desiredReplicas: 0, currentReplicas: 0, lastScaleTime: '2026-05-01T11:00:00.7Z', currentMetrics: [{type: Resource, resource: {name: cpu, current: {averageValue: 1500m}}}, {type: External, external: {metric: {name: a}, current: {value: 0.1}}}], conditions: [{type: a, status: b, reason: '', lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "PodDisruptionBudget",
        "metadata: {name: a}\nspec: {minAvailable: 50%, selector: {matchLabels: {}, matchExpressions: []}}\nstatus: {observedGeneration: 0, disruptedPods: {a: '2026-05-01T11:00:00.7Z'}, conditions: [{type: a, status: b, reason: c, message: d, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "NetworkPolicy",
        "metadata: {name: a}\nspec: {ingress: [{from: [{podSelector: {matchLabels: {}}, ipBlock: {cidr: 10.0.0.0/8, except: []}}], ports: [{port: 80}, {port: http, endPort: 3}]}, {}], egress: [{to: [], ports: []}], policyTypes: []}",
    ),
    (
        "Ingress",
        "metadata: {name: a}\nspec: {defaultBackend: {service: {name: a}}, rules: [{host: '', http: {paths: [{path: '', pathType: Prefix, backend: {service: {name: a, port: {name: '', number: 80}}}}, {pathType: Exact, backend: {resource: {kind: a, name: b}}}]}}], tls: [{hosts: [], secretName: ''}]}\nstatus: {loadBalancer: {ingress: [{ip: 10.0.0.1, hostname: '', ports: [{port: 80, protocol: TCP}]}]}}",
    ),
    ("IngressClass", "metadata: {name: a}\nspec: {controller: '', parameters: {kind: a, name: b}}"),
    (
        "IPAddress",
        "metadata: {name: 10.0.0.1}\nspec: {parentRef: {group: '', resource: services, namespace: '', name: b}}",
    ),
    (
        "ServiceCIDR",
        "metadata: {name: a}\nspec: {cidrs: [10.0.0.0/8]}\nstatus: {conditions: [{type: a, status: b, reason: c, message: d, observedGeneration: 0, lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "Role",
        "metadata: {name: a}\nrules: [{apiGroups: [], resources: [a], resourceNames: [], nonResourceURLs: [], verbs: []}]",
    ),
    (
        "RoleBinding",
        "metadata: {name: a}\nroleRef: {apiGroup: '', kind: Role, name: b}\nsubjects: [{kind: User, name: a, apiGroup: '', namespace: ''}]",
    ),
    (
        "ClusterRole",
        "metadata: {name: a}\nrules: []\naggregationRule: {clusterRoleSelectors: [{matchLabels: {}, matchExpressions: [{key: a, operator: In, values: []}]}]}",
    ),
    (
        "ClusterRoleBinding",
        "metadata: {name: a}\nroleRef: {kind: ClusterRole, name: b}\nsubjects: [{kind: Group, name: a}]",
    ),
    ("PriorityClass", "metadata: {name: a}\nvalue: 0\nglobalDefault: false\ndescription: ''"),
    (
        "RuntimeClass",
        "metadata: {name: a}\nhandler: ''\noverhead: {podFixed: {cpu: 1000m}}\nscheduling: {nodeSelector: {}, tolerations: [{key: '', effect: ''}]}",
    ),
    (
        "ValidatingWebhookConfiguration",
        "metadata: {name: a}\nwebhooks: [{name: a, sideEffects: None, admissionReviewVersions: [], rules: [{apiGroups: [], operations: []}], clientConfig: {caBundle: '', service: {name: '', namespace: ''}}, matchConditions: []}]",
    ),
    (
        "MutatingWebhookConfiguration",
        "metadata: {name: a}\nwebhooks: [{name: a, sideEffects: None, admissionReviewVersions: [v1], rules: [{resources: [a/b], operations: ['*']}], clientConfig: {url: 'https://a/b'}, matchConditions: [{name: a, expression: ''}]}]",
    ),
    (
        "ValidatingAdmissionPolicy",
        "metadata: {name: a}\nspec: {validations: [{expression: a, message: ''}], auditAnnotations: [], variables: [], matchConstraints: {resourceRules: [{resourceNames: [], operations: []}]}, paramKind: {kind: ''}}\nstatus: {observedGeneration: 0, conditions: [{type: a, status: b, reason: c, message: d, lastTransitionTime: '2026-05-01T11:00:00.7Z'}], typeChecking: {expressionWarnings: []}}",
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        "metadata: {name: a}\nspec: {policyName: a, validationActions: [], paramRef: {name: '', selector: {matchLabels: {}}}, matchResources: {excludeResourceRules: []}}",
    ),
    (
        "MutatingAdmissionPolicy",
        "metadata: {name: a}\nspec: {mutations: [{patchType: JSONPatch, jsonPatch: {expression: ''}}], reinvocationPolicy: '', matchConstraints: {}}",
    ),
    (
        "MutatingAdmissionPolicyBinding",
        "metadata: {name: a}\nspec: {policyName: '', paramRef: {namespace: ''}, matchResources: {resourceRules: [{}]}}",
    ),
    (
        "PersistentVolume",
        "metadata: {name: a}\nspec: {capacity: {storage: 1024Mi}, accessModes: [], storageClassName: '', claimRef: {name: '', uid: a}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: []}]}}, csi: {driver: a, volumeHandle: b, fsType: '', volumeAttributes: {}, nodePublishSecretRef: {name: ''}}, iscsi: {iqn: a, lun: 0, targetPortal: b, portals: []}, scaleIO: {gateway: a, system: b, secretRef: {name: ''}}}\nstatus: {phase: '', lastPhaseTransitionTime: '2026-05-01T11:00:00.7Z'}",
    ),
    (
        "PersistentVolumeClaim",
        "metadata: {name: a}\nspec: {accessModes: [], volumeName: '', resources: {requests: {storage: 1024Mi}}, dataSource: {kind: PersistentVolumeClaim, name: b}, selector: {matchLabels: {}}}\nstatus: {capacity: {storage: 1000m}, conditions: [{type: a, status: b, reason: '', lastProbeTime: '2026-05-01T11:00:00.7Z'}], modifyVolumeStatus: {status: a, targetVolumeAttributesClassName: ''}}",
    ),
    (
        "ResourceQuota",
        "metadata: {name: a}\nspec: {hard: {pods: 1000m, cpu: '0.5'}, scopes: [], scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: []}]}}\nstatus: {hard: {}, used: {cpu: 1000m}}",
    ),
    (
        "LimitRange",
        "metadata: {name: a}\nspec: {limits: [{type: Container, max: {cpu: 1000m}, min: {}, default: {memory: 1024Ki}, maxLimitRequestRatio: {cpu: '2'}}]}",
    ),
    (
        "StorageClass",
        "metadata: {name: a}\nprovisioner: a\nparameters: {}\nmountOptions: []\nallowedTopologies: [{matchLabelExpressions: []}]",
    ),
    (
        "VolumeAttachment",
        "metadata: {name: a}\nspec: {attacher: a, nodeName: b, source: {inlineVolumeSpec: {accessModes: [], csi: {driver: a, volumeHandle: b}}}}\nstatus: {attached: true, attachmentMetadata: {}, attachError: {message: '', time: '2026-05-01T11:00:00.7Z'}}",
    ),
    ("CSIDriver", "metadata: {name: a}\nspec: {tokenRequests: [], volumeLifecycleModes: []}"),
    (
        "CSINode",
        "metadata: {name: a}\nspec: {drivers: [{name: a, nodeID: b, topologyKeys: [], allocatable: {count: 0}}]}",
    ),
    (
        "CSIStorageCapacity",
        "metadata: {name: a}\nstorageClassName: b\ncapacity: 1024Mi\nmaximumVolumeSize: 0.1Gi\nnodeTopology: {matchLabels: {}}",
    ),
    ("VolumeAttributesClass", "metadata: {name: a}\ndriverName: b\nparameters: {}"),
    (
        "FlowSchema",
        "metadata: {name: a}\nspec: {priorityLevelConfiguration: {name: b}, rules: [{subjects: [{kind: Group, group: {name: c}}], resourceRules: [{verbs: [get], apiGroups: [''], resources: [pods], clusterScope: false, namespaces: []}], nonResourceRules: []}]}\nstatus: {conditions: [{type: Dangling, status: '', lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "PriorityLevelConfiguration",
        "metadata: {name: a}\nspec: {type: Limited, limited: {limitResponse: {type: Queue, queuing: {queues: 0}}}}\nstatus: {conditions: [{type: a, message: '', lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "CertificateSigningRequest",
        "metadata: {name: a}\nspec: {request: YQ==, signerName: a.b/c, usages: [], extra: {a: []}, groups: []}\nstatus: {certificate: '', conditions: [{type: Approved, status: 'True', reason: '', lastUpdateTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
    (
        "APIService",
        "metadata: {name: v1.a.b}\nspec: {group: a.b, version: v1, groupPriorityMinimum: 1, versionPriority: 1, caBundle: '', service: {name: '', namespace: b}}\nstatus: {conditions: [{type: Available, status: 'True', reason: '', lastTransitionTime: '2026-05-01T11:00:00.7Z'}]}",
    ),
];

/// Holds the invariant for one object; those that do not decode are passed over.
fn holds<K: Kind>(value: &Value, defaults: bool) -> Result<(), TestCaseError> {
    let Ok(mut object) = serde_json::from_value::<K>(value.clone()) else { return Ok(()) };
    if defaults {
        object.prepare_create();
        object.set_defaults();
    }
    canonicalise_meta(object.metadata_mut());
    object.canonicalise();
    let bytes = serde_json::to_vec(&object).unwrap();
    let decoded: K = serde_json::from_slice(&bytes).unwrap();
    prop_assert_eq!(&decoded, &object, "decoded from its JSON");
    let mut again = object.clone();
    if defaults {
        again.set_defaults();
    }
    canonicalise_meta(again.metadata_mut());
    again.canonicalise();
    prop_assert_eq!(&again, &object, "done again");
    // What may be asked of any object, however odd, is answered.
    let mut errors = crate::api::FieldErrors::default();
    object.validate(&mut errors);
    object.validate_create(&mut errors);
    object.validate_update(&decoded, &mut errors);
    object.validate_status(&decoded, &mut errors);
    object.row(super::noon());
    prop_assert!(!object.moves_generation(&decoded));
    Ok(())
}

fn holds_for(kind: &str, value: &Value, defaults: bool) -> Result<(), TestCaseError> {
    match kind {
        "Namespace" => holds::<Namespace>(value, defaults),
        "Node" => holds::<Node>(value, defaults),
        "Pod" => holds::<Pod>(value, defaults),
        "Service" => holds::<Service>(value, defaults),
        "EndpointSlice" => holds::<EndpointSlice>(value, defaults),
        "ConfigMap" => holds::<ConfigMap>(value, defaults),
        "Secret" => holds::<Secret>(value, defaults),
        "ServiceAccount" => holds::<ServiceAccount>(value, defaults),
        "Event" => holds::<Event>(value, defaults),
        "Lease" => holds::<Lease>(value, defaults),
        "ReplicaSet" => holds::<ReplicaSet>(value, defaults),
        "Deployment" => holds::<Deployment>(value, defaults),
        "StatefulSet" => holds::<StatefulSet>(value, defaults),
        "DaemonSet" => holds::<DaemonSet>(value, defaults),
        "ControllerRevision" => holds::<ControllerRevision>(value, defaults),
        "ReplicationController" => holds::<ReplicationController>(value, defaults),
        "PodTemplate" => holds::<PodTemplate>(value, defaults),
        "Endpoints" => holds::<Endpoints>(value, defaults),
        "Job" => holds::<Job>(value, defaults),
        "CronJob" => holds::<CronJob>(value, defaults),
        "HorizontalPodAutoscaler" => holds::<HorizontalPodAutoscaler>(value, defaults),
        "PodDisruptionBudget" => holds::<PodDisruptionBudget>(value, defaults),
        "NetworkPolicy" => holds::<NetworkPolicy>(value, defaults),
        "Ingress" => holds::<Ingress>(value, defaults),
        "IngressClass" => holds::<IngressClass>(value, defaults),
        "IPAddress" => holds::<IPAddress>(value, defaults),
        "ServiceCIDR" => holds::<ServiceCIDR>(value, defaults),
        "Role" => holds::<Role>(value, defaults),
        "RoleBinding" => holds::<RoleBinding>(value, defaults),
        "ClusterRole" => holds::<ClusterRole>(value, defaults),
        "ClusterRoleBinding" => holds::<ClusterRoleBinding>(value, defaults),
        "PriorityClass" => holds::<PriorityClass>(value, defaults),
        "RuntimeClass" => holds::<RuntimeClass>(value, defaults),
        "ValidatingWebhookConfiguration" => holds::<ValidatingWebhookConfiguration>(value, defaults),
        "MutatingWebhookConfiguration" => holds::<MutatingWebhookConfiguration>(value, defaults),
        "ValidatingAdmissionPolicy" => holds::<ValidatingAdmissionPolicy>(value, defaults),
        "ValidatingAdmissionPolicyBinding" => holds::<ValidatingAdmissionPolicyBinding>(value, defaults),
        "MutatingAdmissionPolicy" => holds::<MutatingAdmissionPolicy>(value, defaults),
        "MutatingAdmissionPolicyBinding" => holds::<MutatingAdmissionPolicyBinding>(value, defaults),
        "PersistentVolume" => holds::<PersistentVolume>(value, defaults),
        "PersistentVolumeClaim" => holds::<PersistentVolumeClaim>(value, defaults),
        "ResourceQuota" => holds::<ResourceQuota>(value, defaults),
        "LimitRange" => holds::<LimitRange>(value, defaults),
        "StorageClass" => holds::<StorageClass>(value, defaults),
        "VolumeAttachment" => holds::<VolumeAttachment>(value, defaults),
        "CSIDriver" => holds::<CSIDriver>(value, defaults),
        "CSINode" => holds::<CSINode>(value, defaults),
        "CSIStorageCapacity" => holds::<CSIStorageCapacity>(value, defaults),
        "VolumeAttributesClass" => holds::<VolumeAttributesClass>(value, defaults),
        "FlowSchema" => holds::<FlowSchema>(value, defaults),
        "PriorityLevelConfiguration" => holds::<PriorityLevelConfiguration>(value, defaults),
        "CertificateSigningRequest" => holds::<CertificateSigningRequest>(value, defaults),
        "APIService" => holds::<APIService>(value, defaults),
        other => panic!("no kind {other}"),
    }
}

fn value_of(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap_or_else(|wrong| panic!("{wrong} in {yaml}"))
}

#[test]
fn objects_written_by_hand() {
    for &(kind, yaml) in OBJECTS {
        for defaults in [false, true] {
            holds_for(kind, &value_of(yaml), defaults).unwrap_or_else(|wrong| panic!("{kind}: {wrong}"));
        }
    }
}

/// What takes the place of a value somewhere in an object.
fn replacement(choice: u8) -> Value {
    match choice {
        0 => Value::Null,
        1 => json!(""),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(false),
        5 => json!([]),
        6 => json!({}),
        7 => json!("1.50"),
        8 => json!("1000m"),
        9 => json!("2026-05-01T11:00:00.987654321Z"),
        10 => json!("1..5"),
        11 => json!("2026-05-01T11:00:00+05:30"),
        12 => json!(i32::MAX),
        13 => json!("00.1Ki"),
        _ => json!("word"),
    }
}

/// Walks to a place that the numbers choose and puts another value there.
fn change(value: &mut Value, path: &mut std::slice::Iter<'_, u8>, choice: u8) {
    let Some(step) = path.next() else {
        *value = replacement(choice);
        return;
    };
    let step = usize::from(*step);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let at = step % map.len();
            if let Some((_, inner)) = map.iter_mut().nth(at) {
                change(inner, path, choice);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let at = step % list.len();
            change(&mut list[at], path, choice);
        }
        leaf => *leaf = replacement(choice),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1152, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn objects_changed_at_random(
        kind in 0..OBJECTS.len(),
        changes in prop::collection::vec((prop::collection::vec(any::<u8>(), 2..9), 0..15u8), 1..6),
        defaults in any::<bool>(),
    ) {
        let (kind, yaml) = OBJECTS[kind];
        let mut value = value_of(yaml);
        for (path, choice) in changes {
            change(&mut value, &mut path.iter(), choice);
        }
        holds_for(kind, &value, defaults)?;
    }
}
