//! Services and EndpointSlices.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::{check, check_defaults, check_row, check_status, check_terms, check_update};
use crate::api::Kind;

fn service(spec: &str) -> String {
    format!("metadata: {{name: web, namespace: shop, resourceVersion: '1'}}\nspec: {{{spec}}}")
}

#[test]
fn defaults() {
    check_defaults::<Service>(
        "metadata: {name: web, namespace: shop}\nspec: {selector: {a: b}, ports: [{port: 80}]}",
        "
metadata: {name: web, namespace: shop}
spec:
  internalTrafficPolicy: Cluster
  ports: [{port: 80, protocol: TCP, targetPort: 80}]
  selector: {a: b}
  sessionAffinity: None
  type: ClusterIP
status: {loadBalancer: {}}
",
    );
    check_defaults::<Service>(
        "metadata: {name: web, namespace: shop}\n\
         spec: {type: LoadBalancer, clusterIP: 10.0.0.1, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: http}]}",
        "
metadata: {name: web, namespace: shop}
spec:
  allocateLoadBalancerNodePorts: true
  clusterIP: 10.0.0.1
  clusterIPs: [10.0.0.1]
  externalTrafficPolicy: Cluster
  internalTrafficPolicy: Cluster
  ports: [{port: 80, protocol: TCP, targetPort: http}]
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 10800}}
  type: LoadBalancer
status: {loadBalancer: {}}
",
    );
}

#[test]
fn refusals() {
    check::<Service>(&service("ports: [{port: 80}]"), "");
    check::<Service>(&service("clusterIP: None"), "");
    check::<Service>(&service(""), "spec.ports: Required value\n");
    check::<Service>(
        &service("type: ExternalName, clusterIP: 10.0.0.1"),
        "spec.clusterIPs: Forbidden: may not be set for ExternalName services\nspec.externalName: Required value\n",
    );
    check::<Service>(
        &service(
            "ports: [{port: 0, protocol: X, targetPort: -1}, {port: 80, name: a, nodePort: 30000}, {port: 80, name: a}], \
             selector: {a: 'b c'}, sessionAffinity: x, externalTrafficPolicy: Local",
        ),
        "spec.ports[0].name: Required value\n\
         spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n\
         spec.ports[0].protocol: Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"\n\
         spec.ports[0].targetPort: Invalid value: -1: must be between 1 and 65535, inclusive\n\
         spec.ports[2].name: Duplicate value: \"a\"\n\
         spec.selector: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric \
         characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')\n\
         spec.sessionAffinity: Unsupported value: \"x\": supported values: \"ClientIP\", \"None\"\n\
         spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'\n\
         spec.ports[2]: Duplicate value: {\"AppProtocol\":null,\"Name\":\"\",\"NodePort\":0,\"Port\":80,\"Protocol\":\"TCP\",\
         \"TargetPort\":0}\n\
         spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services\n",
    );
    check::<Service>(
        &service(
            "ports: [{port: 80}], clusterIP: 10.0.0.01, externalIPs: [127.0.0.1], ipFamilies: [IPv5], type: Odd",
        ),
        "spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"\n\
         spec.clusterIPs[0]: Invalid value: \"10.0.0.01\": must not have leading 0s\n\
         spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)\n\
         spec.type: Unsupported value: \"Odd\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \
         \"NodePort\"\n",
    );
}

#[test]
fn changes() {
    let old = service("clusterIP: 10.0.0.1, ports: [{port: 80}]");
    // The address is taken over where it is not repeated, also by a change of the type.
    check_update::<Service>(&old, &service("ports: [{port: 81}]"), false, "");
    check_update::<Service>(
        &old,
        &service("type: ExternalName, externalName: a.b, clusterIP: 10.0.0.1"),
        false,
        "",
    );
    check_update::<Service>(
        &old,
        &service("clusterIP: 10.0.0.2, clusterIPs: [10.0.0.1], ports: [{port: 80}]"),
        false,
        "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set\n",
    );
    check_update::<Service>(
        &old,
        &service("clusterIP: None, clusterIPs: [None], ports: [{port: 80}]"),
        false,
        "spec.clusterIPs[0]: Invalid value: [\"None\"]: may not change once set\n",
    );
    for repeated in ["", ", clusterIP: 10.0.0.1"] {
        let mut outside: Service =
            super::read(&service(&format!("type: ExternalName, externalName: a.b{repeated}")));
        outside.prepare_update(&super::created(&old));
        let spec = outside.spec.unwrap();
        assert_eq!((spec.cluster_ip, spec.cluster_ips), (None, None), "dropped with the type");
    }
    let mut node: Service =
        super::read(&service("type: ClusterIP, ports: [{port: 80, nodePort: 30001}], clusterIP: 10.0.0.1"));
    let old: Service =
        super::created(&service("type: NodePort, ports: [{port: 80, nodePort: 30001}], clusterIP: 10.0.0.1"));
    node.prepare_update(&old);
    assert_eq!(node.spec.unwrap().ports.unwrap()[0].node_port, None, "dropped with the type");
}

#[test]
fn statuses() {
    check_status::<Service>(
        &service("ports: [{port: 80}]"),
        "spec: {type: LoadBalancer}\nstatus: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}",
        "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'\n",
    );
}

#[test]
fn rows_and_terms() {
    check_row::<Service>(
        "metadata: {creationTimestamp: '2026-05-01T11:59:00Z'}\n\
         spec: {type: NodePort, clusterIPs: [10.0.0.1], ports: [{port: 80, nodePort: 30000, protocol: TCP}, \
         {port: 53, protocol: UDP}], selector: {a: b, c: d}}",
        "NodePort | 10.0.0.1 | <none> | 80:30000/TCP,53/UDP | 60s | a=b,c=d",
    );
    check_row::<Service>(
        "metadata: {}\nspec: {type: LoadBalancer}\nstatus: {loadBalancer: {ingress: [{hostname: b}, {ip: 1.2.3.4}]}}",
        "LoadBalancer | <none> | 1.2.3.4,b | <none> | <unknown> | <none>",
    );
    check_terms::<Service>(
        "spec: {type: ClusterIP, clusterIP: None}",
        "spec.clusterIP=None\nspec.type=ClusterIP\n",
    );
}

fn slice(rest: &str) -> String {
    format!("metadata: {{name: web-1, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}\n{rest}")
}

#[test]
fn slices() {
    let one =
        "addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [10.0.0.1], targetRef: {uid: u}}]";
    check_defaults::<EndpointSlice>(
        &slice(one),
        "
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: '', port: 80, protocol: TCP}]
endpoints: [{addresses: [10.0.0.1], conditions: {}, targetRef: {uid: u}}]
",
    );
    check::<EndpointSlice>(
        &slice(
            "addressType: IPv4\nports: [{name: A}, {name: a, protocol: Q}, {name: a}]\n\
             endpoints: [{}, {addresses: [x, '::1', 127.0.0.1], nodeName: N_, hostname: a.b}]",
        ),
        "ports[0].name: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
         characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
         used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n\
         ports[1].protocol: Unsupported value: \"Q\": supported values: \"SCTP\", \"TCP\", \"UDP\"\n\
         ports[2].name: Duplicate value: \"a\"\n\
         endpoints[0].addresses: Required value: must contain at least 1 address\n\
         endpoints[1].addresses[0]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)\n\
         endpoints[1].addresses: Invalid value: \"::1\": must be an IPv4 address\n\
         endpoints[1].addresses[1]: Invalid value: \"::1\": may not be in the loopback range (127.0.0.0/8, ::1/128)\n\
         endpoints[1].addresses[2]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, \
         ::1/128)\n\
         endpoints[1].nodeName: Invalid value: \"N_\": a lowercase RFC 1123 subdomain must consist of lower case \
         alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
         regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n\
         endpoints[1].hostname: Invalid value: \"a.b\": must not contain dots\n",
    );
    check::<EndpointSlice>(
        &slice("addressType: X"),
        "addressType: Unsupported value: \"X\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"\n",
    );
    check_update::<EndpointSlice>(&slice(one), &slice(one), false, "");
    let two = "addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [10.0.0.2]}]";
    check_update::<EndpointSlice>(&slice(one), &slice(two), true, "");
    check_update::<EndpointSlice>(
        &slice(one),
        &slice("addressType: FQDN"),
        true,
        "addressType: Invalid value: \"FQDN\": field is immutable\n",
    );
    check_terms::<EndpointSlice>(&slice(one), "label:kubernetes.io/service-name=web\nendpoint.pod=u\n");
    check_row::<EndpointSlice>(
        &slice(
            "addressType: IPv4\nports: [{port: 80}]\nendpoints: [{addresses: [a, b]}, {addresses: [c, d, e]}]",
        ),
        "IPv4 | 80 | a,b,c + 2 more... | <unknown>",
    );
    check_row::<EndpointSlice>(&slice("addressType: IPv4"), "IPv4 | <unset> | <unset> | <unknown>");
}
