//! NetworkPolicies, Ingresses, IngressClasses, IPAddresses, ServiceCIDRs, Endpoints; and PodDisruptionBudgets.

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::check_defaults;
use super::tables::{check_changes, check_refusals, check_rows, check_statuses};

#[test]
fn budgets() {
    const BUDGET: &str = "
metadata: {name: web, namespace: shop}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
";
    check_defaults::<PodDisruptionBudget>(
        BUDGET,
        "
metadata: {name: web, namespace: shop}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
status: {currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0}
",
    );
    check_refusals::<PodDisruptionBudget>(
        BUDGET,
        r#"
        > {}
        > spec: null
        > spec: {minAvailable: 100%}
        > spec: {minAvailable: 101%}
          spec.minAvailable: Invalid value: "101%": must not be greater than 100%
        > spec: {minAvailable: -1}
          spec.minAvailable: Invalid value: -1: must be greater than or equal to 0
        > spec: {minAvailable: half}
          spec.minAvailable: Invalid value: "half": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')
        > spec: {maxUnavailable: 1}
          spec: Invalid value: {"MaxUnavailable":1,"MinAvailable":1,"Selector":{"matchLabels":{"app":"web"}},"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set
        > spec: {minAvailable: null, maxUnavailable: -1}
          spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0
        > spec: {selector: {matchExpressions: [{key: a, operator: In}]}}
          spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
        > spec: {unhealthyPodEvictionPolicy: Odd}
          spec.unhealthyPodEvictionPolicy: Unsupported value: "Odd": supported values: "AlwaysAllow", "IfHealthyBudget"
        "#,
    );
    check_changes::<PodDisruptionBudget>(
        BUDGET,
        "
        > {}
        > status: {expectedPods: 3}
        > spec: {minAvailable: 2, selector: {matchLabels: {app: other}}}
          moves
        ",
    );
    check_statuses::<PodDisruptionBudget>(
        BUDGET,
        r#"
        > status: {expectedPods: 3, conditions: [{type: DisruptionAllowed, status: 'True', reason: SufficientPods, message: '', lastTransitionTime: '2026-05-01T11:00:00Z'}]}
        > status: {expectedPods: -1, disruptionsAllowed: -2}
          status.disruptionsAllowed: Invalid value: -2: must be greater than or equal to 0
          status.expectedPods: Invalid value: -1: must be greater than or equal to 0
        > status: {conditions: [{type: A, status: Odd, reason: '', message: '', observedGeneration: -1, lastTransitionTime: '2026-05-01T11:00:00Z'}, {type: A, status: 'True', reason: '1', message: '', lastTransitionTime: '2026-05-01T11:00:00Z'}]}
          status.conditions[0].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"
          status.conditions[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero
          status.conditions[0].reason: Required value
          status.conditions[1].type: Duplicate value: "A"
          status.conditions[1].reason: Invalid value: "1": a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')
        "#,
    );
    check_rows::<PodDisruptionBudget>(
        BUDGET,
        "
        > {}
          1 | N/A | 0 | <unknown>
        > {spec: {minAvailable: null, maxUnavailable: 50%}, status: {disruptionsAllowed: 2}}
          N/A | 50% | 2 | <unknown>
        ",
    );
}

#[test]
fn policies() {
    const POLICY: &str = "
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: web}}}
";
    check_defaults::<NetworkPolicy>(
        "metadata: {name: web, namespace: shop}\nspec: {egress: [{ports: [{port: 80}]}]}",
        "
metadata: {name: web, namespace: shop}
spec: {egress: [{ports: [{port: 80, protocol: TCP}]}], podSelector: {}, policyTypes: [Ingress, Egress]}
",
    );
    check_refusals::<NetworkPolicy>(
        POLICY,
        r#"
        > {}
        > spec: {ingress: [{}], egress: []}
        > spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {podSelector: {}, namespaceSelector: {}}], ports: [{port: 80, endPort: 90}, {port: http}]}]}
        > spec: {podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}
          spec.podSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'
        > spec: {ingress: [{ports: [{protocol: X}]}]}
          spec.ingress[0].ports[0].protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"
        > spec: {egress: [{ports: [{port: 0}, {port: A_}]}]}
          spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
          spec.egress[0].ports[1].port: Invalid value: "A_": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
          spec.egress[0].ports[1].port: Invalid value: "A_": must contain at least one letter (a-z)
        > spec: {ingress: [{ports: [{endPort: 90}]}]}
          spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is not specified
        > spec: {ingress: [{ports: [{port: http, endPort: 90}]}]}
          spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric
        > spec: {ingress: [{ports: [{port: 80, endPort: 0}]}]}
          spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`
          spec.ingress[0].ports[0].endPort: Invalid value: 0: must be between 1 and 65535, inclusive
        > spec: {ingress: [{from: [{}]}]}
          spec.ingress[0].from[0]: Required value: must specify a peer
        > spec: {egress: [{to: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8}}]}]}
          spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer
        > spec: {egress: [{to: [{ipBlock: {cidr: ''}}]}]}
          spec.egress[0].to[0].ipBlock.cidr: Required value
        > spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.1/8}}]}]}
          spec.egress[0].to[0].ipBlock.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length
        > spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [x, 11.0.0.0/16, 10.0.0.0/8]}}]}]}
          spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
          spec.egress[0].to[0].ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`
          spec.egress[0].to[0].ipBlock.except[2]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`
        > spec: {policyTypes: [Odd]}
          spec.policyTypes[0]: Unsupported value: "Odd": supported values: "Ingress", "Egress"
        > spec: {policyTypes: [Ingress, Egress, Ingress]}
          spec.policyTypes: Invalid value: ["Ingress","Egress","Ingress"]: may not specify more than two policyTypes
        "#,
    );
    check_changes::<NetworkPolicy>(
        POLICY,
        "
        > {}
        > metadata: {annotations: {a: b}}
        > spec: {podSelector: {matchLabels: {a: b}}}
          moves
        ",
    );
    check_rows::<NetworkPolicy>(
        POLICY,
        "
        > {}
          app=web | <unknown>
        > spec: {podSelector: null}
          <none> | <unknown>
        ",
    );
}

const INGRESS: &str = "
metadata: {name: web, namespace: shop}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
";

#[test]
fn ingress_refusals() {
    check_defaults::<Ingress>(
        INGRESS,
        "
metadata: {name: web, namespace: shop}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
status: {loadBalancer: {}}
",
    );
    check_refusals::<Ingress>(
        INGRESS,
        r#"
        > {}
        > spec: {defaultBackend: {service: {name: 0web, port: {number: null, name: http}}}}
        > spec: {defaultBackend: null}
          spec: Invalid value: null: either `defaultBackend` or `rules` must be specified
        > spec: {defaultBackend: {service: null}}
          spec.defaultBackend: Invalid value: "": resource or service backend is required
        > spec: {defaultBackend: {resource: {kind: a, name: b}}}
          spec.defaultBackend: Invalid value: "": cannot set both resource and service backends
        > spec: {defaultBackend: {service: {name: '', port: null}}}
          spec.defaultBackend.service.name: Required value
          spec.defaultBackend: Required value: port name or number is required
        > spec: {defaultBackend: {service: {name: a.b, port: {name: http}}}}
          spec.defaultBackend.service.name: Invalid value: "a.b": must not contain dots
          spec.defaultBackend: Invalid value: "": cannot set both port name & port number
        > spec: {defaultBackend: {service: {port: {number: 70000}}}}
          spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive
        > spec: {defaultBackend: {service: {port: {number: 0, name: A}}}}
          spec.defaultBackend.service.port.name: Invalid value: "A": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
          spec.defaultBackend.service.port.name: Invalid value: "A": must contain at least one letter (a-z)
        > spec: {defaultBackend: {service: null, resource: {apiGroup: A_, kind: '', name: a/b}}}
          spec.defaultBackend.resource.apiGroup: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
          spec.defaultBackend.resource.kind: Required value
          spec.defaultBackend.resource.name: Invalid value: "a/b": may not contain '/'
        > spec: {rules: [{host: 10.0.0.1}, {host: '*.a.b'}, {host: 'a.*.b'}]}
          spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address
          spec.rules[2].host: Invalid value: "a.*.b": a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        > spec: {rules: [{http: {paths: []}}]}
          spec.rules[0].http.paths: Required value
        > spec: {rules: [{http: {paths: [{path: /, backend: {service: {name: a, port: {number: 1}}}}]}}]}
          spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified
        > spec: {rules: [{http: {paths: [{path: a, pathType: Exact, backend: {service: {name: a, port: {number: 1}}}}, {pathType: Prefix, backend: {service: {name: a, port: {number: 1}}}}, {pathType: ImplementationSpecific, backend: {service: {name: a, port: {number: 1}}}}]}}]}
          spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path
          spec.rules[0].http.paths[1].path: Invalid value: "": must be an absolute path
        > spec: {rules: [{http: {paths: [{path: /a//b/.., pathType: Prefix, backend: {service: {name: a, port: {number: 1}}}}]}}]}
          spec.rules[0].http.paths[0].path: Invalid value: "/a//b/..": must not contain '//'
          spec.rules[0].http.paths[0].path: Invalid value: "/a//b/..": cannot end with '/..'
        > spec: {rules: [{http: {paths: [{path: /, pathType: Odd, backend: {}}]}}]}
          spec.rules[0].http.paths[0].pathType: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"
          spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required
        > spec: {tls: [{hosts: [A, '*.a'], secretName: A}]}
          spec.tls[0].hosts[0]: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
          spec.tls[0].secretName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        > {metadata: {annotations: {kubernetes.io/ingress.class: a}}, spec: {ingressClassName: b}}
          annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified
        "#,
    );
}

#[test]
fn ingress_changes_statuses_and_rows() {
    check_changes::<Ingress>(
        INGRESS,
        "
        > {}
        > status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}
        > {metadata: {annotations: {kubernetes.io/ingress.class: a}}, spec: {ingressClassName: b}}
          moves
        ",
    );
    check_statuses::<Ingress>(
        INGRESS,
        r#"
        > status: {loadBalancer: {ingress: [{ip: 1.2.3.4}, {hostname: a.b}]}}
        > status: {loadBalancer: {ingress: [{ip: 1.2.3}, {hostname: 1.2.3.4}]}}
          status.loadBalancer.ingress[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
          status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address
        = status: {loadBalancer: {ingress: [{ip: 01.2.3.4}]}}
        > {}
        "#,
    );
    check_rows::<Ingress>(
        INGRESS,
        "
        > {}
          <none> | * |  | 80 | <unknown>
        > {spec: {ingressClassName: c, rules: [{host: a}, {}, {host: b}], tls: [{}]}, status: {loadBalancer: {ingress: [{hostname: z}, {ip: 1.2.3.4}]}}}
          c | a,b | 1.2.3.4,z | 80, 443 | <unknown>
        > {spec: {rules: [{host: a}, {host: b}, {host: c}]}}
          <none> | a,b,c |  | 80 | <unknown>
        > {spec: {rules: [{host: a}, {host: b}, {host: c}, {host: d}, {}]}}
          <none> | a,b,c + 2 more... |  | 80 | <unknown>
        ",
    );
}

#[test]
fn ingress_classes() {
    const CLASS: &str = "
metadata: {name: web}
spec: {controller: acme.io/ingress, parameters: {kind: Config, name: a}}
";
    check_defaults::<IngressClass>(
        CLASS,
        "
metadata: {name: web}
spec: {controller: acme.io/ingress, parameters: {kind: Config, name: a, scope: Cluster}}
",
    );
    check_refusals::<IngressClass>(
        CLASS,
        r#"
        > {}
        > spec: {parameters: {scope: Namespace, namespace: shop, apiGroup: a.b}}
        > spec: {controller: null}
          spec.controller: Required value
        > spec: {controller: acme}
          spec.controller: Invalid value: "acme": must be a domain-prefixed path (such as "acme.io/foo")
        > spec: {controller: A/b}
          spec.controller: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        > spec: {parameters: {kind: '', name: null}}
          spec.parameters.kind: Required value
          spec.parameters.name: Required value
        > spec: {parameters: {kind: a/b, name: a%b}}
          spec.parameters.kind: Invalid value: "a/b": may not contain '/'
          spec.parameters.name: Invalid value: "a%b": may not contain '%'
        > spec: {parameters: {scope: Odd}}
          spec.parameters.scope: Unsupported value: "Odd": supported values: "Cluster", "Namespace"
        > spec: {parameters: {scope: Namespace}}
          spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'
        > spec: {parameters: {namespace: shop}}
          spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'
        "#,
    );
    check_changes::<IngressClass>(
        CLASS,
        r#"
        > {}
        > spec: {parameters: {name: b}}
          moves
        > spec: {controller: acme.io/other}
          moves
          spec.controller: Invalid value: "acme.io/other": field is immutable
        "#,
    );
    check_rows::<IngressClass>(
        CLASS,
        "
        > {}
          acme.io/ingress | Config/a | <unknown>
        > spec: {parameters: {apiGroup: a.b}}
          acme.io/ingress | Config.a.b/a | <unknown>
        > spec: {parameters: null}
          acme.io/ingress | <none> | <unknown>
        ",
    );
}

#[test]
fn addresses() {
    const ADDRESS: &str = "
metadata: {name: 10.0.0.1}
spec: {parentRef: {resource: services, namespace: shop, name: web}}
";
    check_defaults::<IPAddress>(ADDRESS, ADDRESS);
    check_refusals::<IPAddress>(
        ADDRESS,
        r#"
        > {}
        > metadata: {name: '2001:db8::1'}
        > metadata: {name: web}
          metadata.name: Invalid value: "web": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
        > metadata: {name: 010.0.0.1}
          metadata.name: Invalid value: "010.0.0.1": must not have leading 0s
        > metadata: {name: '2001:DB8::1'}
          metadata.name: Invalid value: "2001:DB8::1": must be in canonical form ("2001:db8::1")
        > metadata: {name: '::ffff:10.0.0.1'}
          metadata.name: Invalid value: "::ffff:10.0.0.1": must not be an IPv4-mapped IPv6 address
        > spec: null
          spec.parentRef: Required value
        > spec: {parentRef: {resource: null, name: ''}}
          spec.parentRef.resource: Required value
          spec.parentRef.name: Required value
        > spec: {parentRef: {group: A, resource: a/b, name: .., namespace: '.'}}
          spec.parentRef.group: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
          spec.parentRef.resource: Invalid value: "a/b": may not contain '/'
          spec.parentRef.name: Invalid value: "..": may not be '..'
          spec.parentRef.namespace: Invalid value: ".": may not be '.'
        "#,
    );
    check_changes::<IPAddress>(
        ADDRESS,
        r#"
        > {}
        > metadata: {labels: {a: b}}
        > spec: {parentRef: {name: other}}
          spec.parentRef: Invalid value: {"Group":"","Name":"other","Namespace":"shop","Resource":"services"}: field is immutable
        "#,
    );
    check_rows::<IPAddress>(
        ADDRESS,
        "
        > {}
          services/shop/web | <unknown>
        > spec: {parentRef: {group: Acme.io, resource: Things, namespace: null}}
          things.acme.io/web | <unknown>
        > spec: null
          <none> | <unknown>
        ",
    );
}

#[test]
fn ranges() {
    const RANGE: &str = "{metadata: {name: web}, spec: {cidrs: [10.0.0.0/24]}}";
    check_defaults::<ServiceCIDR>(RANGE, "{metadata: {name: web}, spec: {cidrs: [10.0.0.0/24]}, status: {}}");
    check_refusals::<ServiceCIDR>(
        RANGE,
        r#"
        > {}
        > spec: {cidrs: ['2001:db8::/64', 10.0.0.0/8]}
        > spec: {cidrs: []}
          spec.cidrs: Required value: at least one CIDR required
        > spec: {cidrs: [10.0.0.0/8, 'fd00::/64', 11.0.0.0/8]}
          spec.cidrs: Invalid value: {"CIDRs":["10.0.0.0/8","fd00::/64","11.0.0.0/8"]}: may only hold up to 2 values
        > spec: {cidrs: [10.0.0.0]}
          spec.cidrs[0]: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
        > spec: {cidrs: [010.0.0.0/8]}
          spec.cidrs[0]: Invalid value: "010.0.0.0/8": must not have leading 0s in IP or prefix length
        > spec: {cidrs: ['2001:DB8::/64']}
          spec.cidrs[0]: Invalid value: "2001:DB8::/64": must be in canonical form ("2001:db8::/64")
        > spec: {cidrs: [10.0.0.1/8]}
          spec.cidrs[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length
        > spec: {cidrs: [10.0.0.0/8, 11.0.0.0/8]}
          spec.cidrs: Invalid value: ["10.0.0.0/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64
        "#,
    );
    check_changes::<ServiceCIDR>(
        RANGE,
        r#"
        > {}
        > spec: {cidrs: [10.0.0.0/24, 'fd00::/64']}
        > spec: {cidrs: [10.0.1.0/24]}
          spec.cidrs[0]: Invalid value: "10.0.1.0/24": field is immutable
        > spec: {cidrs: [10.0.1.0/24, x]}
          spec.cidrs[0]: Invalid value: "10.0.1.0/24": field is immutable
          spec.cidrs[1]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
        > spec: {cidrs: []}
          spec.cidrs: Invalid value: []: field is immutable
        "#,
    );
    check_rows::<ServiceCIDR>(
        RANGE,
        "
        > {}
          10.0.0.0/24 | <unknown>
        > spec: {cidrs: [10.0.0.0/24, 'fd00::/64']}
          10.0.0.0/24,fd00::/64 | <unknown>
        ",
    );
}

#[test]
fn endpoints() {
    const POINTS: &str = "
metadata: {name: web, namespace: shop}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}]}]
";
    check_defaults::<Endpoints>(
        POINTS,
        "
metadata: {name: web, namespace: shop}
subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80, protocol: TCP}]}]
",
    );
    check_refusals::<Endpoints>(
        POINTS,
        r#"
        > {}
        > subsets: null
        > subsets: [{notReadyAddresses: [{ip: '2001:db8::1', hostname: a, nodeName: n.a}]}]
        > subsets: [{}]
          subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`
        > subsets: [{addresses: [{ip: ''}]}]
          subsets[0].addresses[0].ip: Invalid value: "": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
          subsets[0].addresses[0].ip: Invalid value: "": must be a valid IP address
        > subsets: [{notReadyAddresses: [{ip: 127.0.0.1}, {ip: 169.254.0.1}, {ip: 0.0.0.0}]}]
          subsets[0].notReadyAddresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)
          subsets[0].notReadyAddresses[1].ip: Invalid value: "169.254.0.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)
          subsets[0].notReadyAddresses[2].ip: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)
        > subsets: [{addresses: [{ip: 10.0.0.1, hostname: a.b}]}]
          subsets[0].addresses[0].hostname: Invalid value: "a.b": must not contain dots
        > subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 0, protocol: X, appProtocol: a b}]}]
          subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
          subsets[0].ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"
          subsets[0].ports[0].appProtocol: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        > subsets: [{addresses: [{ip: 10.0.0.1}], ports: [{port: 80}, {port: 81, name: a.b}]}]
          subsets[0].ports[0].name: Required value
          subsets[0].ports[1].name: Invalid value: "a.b": must not contain dots
        "#,
    );
    check_changes::<Endpoints>(
        POINTS,
        "
        > {}
        > subsets: [{addresses: [{ip: 10.0.0.2}]}]
        ",
    );
    check_rows::<Endpoints>(
        POINTS,
        "
        > {}
          10.0.0.1:80 | <unknown>
        > subsets: null
          <none> | <unknown>
        > subsets: [{notReadyAddresses: [{ip: 10.0.0.1}]}]
          | <unknown>
        > subsets: [{addresses: [{ip: 10.0.0.1}, {ip: '2001:db8::1'}], ports: [{port: 80}, {port: 81}]}, {addresses: [{ip: 10.0.0.3}]}]
          10.0.0.1:80,[2001:db8::1]:80,10.0.0.1:81 + 2 more... | <unknown>
        ",
    );
}
