//! Namespaces, nodes, and the kinds that only hold something.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Node, Secret, ServiceAccount};

use super::{check, check_defaults, check_row, check_status, check_terms, check_update};

const META: &str = "metadata: {name: x, namespace: shop, resourceVersion: '1'}\n";

#[test]
fn namespaces() {
    check_defaults::<Namespace>(
        "metadata: {name: shop}",
        "
metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop}}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
",
    );
    check::<Namespace>(
        "metadata: {name: A, namespace: b}\nspec: {finalizers: [mine]}",
        "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
         characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
         used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n\
         metadata.namespace: Forbidden: not allowed on this type\n\
         spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified\n",
    );
    check_status::<Namespace>(
        "metadata: {name: shop}",
        "metadata: {name: shop}\nstatus: {phase: Terminating}",
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty\n",
    );
    // An update neither takes the finalizer away nor ends the namespace.
    check_update::<Namespace>(
        "metadata: {name: shop}",
        "metadata: {name: shop}\nspec: {finalizers: []}",
        false,
        "",
    );
    check_row::<Namespace>("status: {phase: Active}", "Active | <unknown>");
    check_terms::<Namespace>("status: {phase: Active}", "status.phase=Active\n");
}

#[test]
fn nodes() {
    check_defaults::<Node>(
        "metadata: {name: n}\nspec: {podCIDR: 10.1.0.0/24}\nstatus: {capacity: {cpu: 2000m}}",
        "
metadata: {name: n}
spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24]}
status:
  allocatable: {cpu: '2'}
  capacity: {cpu: '2'}
  daemonEndpoints: {kubeletEndpoint: {Port: 0}}
  nodeInfo:
    {architecture: '', bootID: '', containerRuntimeVersion: '', kernelVersion: '', kubeProxyVersion: '',
     kubeletVersion: '', machineID: '', operatingSystem: '', osImage: '', systemUUID: ''}
",
    );
    check::<Node>(
        "metadata: {name: n}\nspec: {podCIDRs: [10.0.0.1/24, x], taints: [{key: a, effect: No}, {key: b, effect: NoExecute}, \
         {key: b, effect: NoExecute}]}\nstatus: {capacity: {pods: 1500m}}",
        "metadata.taints[0].effect: Unsupported value: \"No\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \
         \"NoExecute\"\n\
         metadata.taints[2]: Duplicate value: {\"Effect\":\"NoExecute\",\"Key\":\"b\",\"TimeAdded\":null,\"Value\":\"\"}: \
         taints must be unique by key and effect pair\n\
         status.capacity.pods: Invalid value: \"1500m\": must be an integer\n\
         status.allocatable.pods: Invalid value: \"1500m\": must be an integer\n\
         spec.podCIDRs[0]: Invalid value: \"10.0.0.1/24\": must not have bits set beyond the prefix length\n\
         spec.podCIDRs[1]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)\n\
         spec.podCIDRs: Invalid value: [\"10.0.0.1/24\",\"x\"]: may specify no more than one CIDR for each IP family\n",
    );
    check_update::<Node>(
        "metadata: {name: n}\nspec: {podCIDR: 10.1.0.0/24, providerID: a}",
        "metadata: {name: n}\nspec: {podCIDR: 10.2.0.0/24, providerID: b}",
        false,
        "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid\n\
         spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid\n",
    );
    check_status::<Node>(
        "metadata: {name: n}",
        "status: {addresses: [{type: InternalIP, address: a}, {type: InternalIP, address: a}]}",
        "status.addresses[1]: Duplicate value: {\"Address\":\"a\",\"Type\":\"InternalIP\"}\n",
    );
    check_row::<Node>(
        "metadata: {labels: {node-role.kubernetes.io/b: '', node-role.kubernetes.io/a: '', kubernetes.io/role: c}}\n\
         spec: {unschedulable: true}\n\
         status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], \
         nodeInfo: {kubeletVersion: v1.36.0, kernelVersion: '6.18', architecture: amd64, osImage: Debian}}",
        "Ready,SchedulingDisabled | a,b,c | <unknown> | v1.36.0 | 10.0.0.1 | <none> | Debian | 6.18 (amd64) | <unknown>",
    );
    check_row::<Node>(
        "{}",
        "Unknown | <none> | <unknown> |  | <none> | <none> | <unknown> | <unknown> | <unknown>",
    );
    check_terms::<Node>("spec: {unschedulable: true}", "spec.unschedulable=true\n");
}

#[test]
fn config_maps() {
    check_defaults::<ConfigMap>(
        "metadata: {name: x, namespace: shop}\ndata: {}",
        "metadata: {name: x, namespace: shop}",
    );
    check::<ConfigMap>(
        &format!("{META}data: {{a: b, '../x': c}}\nbinaryData: {{a: YQ==}}"),
        "data[../x]: Invalid value: \"../x\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' \
         (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')\n\
         data[../x]: Invalid value: \"../x\": must not start with '..'\n\
         data[a]: Invalid value: \"a\": duplicate of key present in binaryData\n",
    );
    let frozen = format!("{META}data: {{a: b}}\nimmutable: true");
    check_update::<ConfigMap>(
        &frozen,
        &format!("{META}data: {{a: c}}"),
        false,
        "immutable: Forbidden: field is immutable when `immutable` is set\n\
         data: Forbidden: field is immutable when `immutable` is set\n",
    );
    check_update::<ConfigMap>(&frozen, &frozen, false, "");
    check_row::<ConfigMap>("data: {a: b, c: d}\nbinaryData: {e: YQ==}", "3 | <unknown>");
}

#[test]
fn secrets() {
    check_defaults::<Secret>(
        "metadata: {name: x, namespace: shop}\ndata: {a: YQ==, b: Yg==}\nstringData: {b: c}",
        "metadata: {name: x, namespace: shop}\ndata: {a: YQ==, b: Yw==}\ntype: Opaque",
    );
    check::<Secret>(
        &format!("{META}type: kubernetes.io/tls\ndata: {{tls.crt: ''}}"),
        "data[tls.key]: Required value\n",
    );
    check::<Secret>(
        &format!("{META}type: kubernetes.io/basic-auth"),
        "data[username]: Required value\ndata[password]: Required value\n",
    );
    check::<Secret>(
        &format!("{META}type: kubernetes.io/service-account-token"),
        "metadata.annotations[kubernetes.io/service-account.name]: Required value\n",
    );
    check::<Secret>(
        &format!("{META}type: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: ''}}"),
        "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": unexpected end of JSON input\n",
    );
    check_update::<Secret>(
        META,
        &format!("{META}type: other"),
        false,
        "type: Invalid value: \"other\": field is immutable\n",
    );
    check_row::<Secret>("type: Opaque\ndata: {a: YQ==}", "Opaque | 1 | <unknown>");
    check_terms::<Secret>("type: Opaque", "type=Opaque\n");
}

#[test]
fn accounts_and_leases() {
    check::<ServiceAccount>(META, "");
    check_row::<ServiceAccount>("{}", "<unknown>");
    check::<Lease>(
        &format!("{META}spec: {{leaseDurationSeconds: 0, leaseTransitions: -1, strategy: x}}"),
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0\n\
         spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0\n",
    );
    check_row::<Lease>("spec: {holderIdentity: me}", "me | <unknown>");
}

#[test]
fn events() {
    check::<Event>(&format!("{META}involvedObject: {{namespace: shop}}"), "");
    check::<Event>(
        &format!("{META}involvedObject: {{namespace: other}}"),
        "involvedObject.namespace: Invalid value: \"other\": does not match event.namespace\n",
    );
    check::<Event>(
        &format!(
            "{META}involvedObject: {{namespace: shop}}\neventTime: '2026-05-01T11:00:00.000000Z'\nreason: r"
        ),
        "reportingComponent: Required value\n\
         reportingComponent: Invalid value: \"\": name part must be non-empty\n\
         reportingComponent: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or '.', and \
         must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n\
         reportingInstance: Required value\naction: Required value\n",
    );
    check_row::<Event>(
        "metadata: {}\ninvolvedObject: {kind: Pod, name: web, fieldPath: 'spec.containers{a}'}\ntype: Normal\nreason: Pulled\n\
         message: ' done '\nsource: {component: kubelet, host: n}\nfirstTimestamp: '2026-05-01T11:00:00Z'\n\
         lastTimestamp: '2026-05-01T11:58:00Z'\ncount: 4",
        "2m | Normal | Pulled | pod/web | spec.containers{a} | kubelet, n | done | 60m | 4",
    );
    check_terms::<Event>(
        "metadata: {}\ninvolvedObject: {kind: Pod, name: web}\nreason: r\nreportingComponent: me\ntype: Normal",
        "involvedObject.kind=Pod\ninvolvedObject.namespace=\ninvolvedObject.name=web\ninvolvedObject.uid=\n\
         involvedObject.apiVersion=\ninvolvedObject.resourceVersion=\ninvolvedObject.fieldPath=\nreason=r\n\
         reportingComponent=me\nsource=me\ntype=Normal\n",
    );
}
