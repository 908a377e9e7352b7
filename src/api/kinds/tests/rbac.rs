//! Roles and their bindings.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};

use super::{check, check_defaults, check_row, check_update};

const META: &str = "metadata: {name: x, namespace: shop}\n";
const CLUSTER: &str = "metadata: {name: x}\n";

#[test]
fn roles() {
    let rows = [
        ("rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]", ""),
        ("rules: []", ""),
        ("{}", ""),
        (
            "rules: [{apiGroups: [''], resources: [pods], verbs: []}]",
            "rules[0].verbs: Required value: verbs must contain at least one value\n",
        ),
        (
            "rules: [{resources: [pods], verbs: [get]}]",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group\n",
        ),
        (
            "rules: [{apiGroups: [apps], verbs: [get]}]",
            "rules[0].resources: Required value: resource rules must supply at least one resource\n",
        ),
        (
            "rules: [{verbs: [get]}, {verbs: []}]",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group\n\
             rules[0].resources: Required value: resource rules must supply at least one resource\n\
             rules[1].verbs: Required value: verbs must contain at least one value\n\
             rules[1].apiGroups: Required value: resource rules must supply at least one api group\n\
             rules[1].resources: Required value: resource rules must supply at least one resource\n",
        ),
        (
            "rules: [{nonResourceURLs: [/a, /b], verbs: [get]}]",
            "rules[0].nonResourceURLs: Invalid value: [\"/a\",\"/b\"]: namespaced rules cannot apply to non-resource URLs\n",
        ),
        (
            "rules: [{nonResourceURLs: [/a], resourceNames: [b], verbs: [get]}]",
            "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: namespaced rules cannot apply to non-resource URLs\n\
             rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both regular resources and non-resource URLs\n",
        ),
    ];
    for (yaml, expected) in rows {
        check::<Role>(&format!("{META}{}", yaml.trim_start_matches("{}")), expected);
    }
    check::<Role>("metadata: {name: 'system:node', namespace: shop}", "");
    check::<Role>("metadata: {name: 'Any Name!', namespace: shop}", "");
    check::<Role>(
        "metadata: {name: a/b%, namespace: shop}",
        "metadata.name: Invalid value: \"a/b%\": may not contain '/'\n\
         metadata.name: Invalid value: \"a/b%\": may not contain '%'\n",
    );
    check::<Role>(
        "metadata: {name: '..', namespace: shop}",
        "metadata.name: Invalid value: \"..\": may not be '..'\n",
    );
    check_defaults::<Role>(&format!("{META}rules: []"), META);
    check_row::<Role>("metadata: {creationTimestamp: '2026-05-01T11:00:00.5Z'}", "2026-05-01T11:00:00Z");
}

#[test]
fn cluster_roles() {
    let rows = [
        ("rules: [{nonResourceURLs: ['/healthz/*'], verbs: [get]}]", ""),
        ("rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]", ""),
        ("aggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}", ""),
        ("aggregationRule: {clusterRoleSelectors: [{}]}", ""),
        (
            "rules: [{nonResourceURLs: [/a], apiGroups: [''], verbs: [get]}]",
            "rules[0].nonResourceURLs: Invalid value: [\"/a\"]: rules cannot apply to both regular resources and non-resource URLs\n",
        ),
        (
            "rules: [{nonResourceURLs: [/a]}]",
            "rules[0].verbs: Required value: verbs must contain at least one value\n",
        ),
        (
            "aggregationRule: {}",
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil\n",
        ),
        (
            "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: a, operator: In}]}]}",
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'\n\
             aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.\n",
        ),
        (
            "aggregationRule: {clusterRoleSelectors: [{matchExpressions: [{key: a, operator: Near}]}]}",
            "aggregationRule.clusterRoleSelectors[0].matchExpressions[0].operator: Invalid value: \"Near\": not a valid selector operator\n\
             aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.\n",
        ),
    ];
    for (yaml, expected) in rows {
        let yaml = yaml.replace("nonResourceURLs: [/a]}", "nonResourceURLs: [/a], verbs: []}");
        check::<ClusterRole>(&format!("{CLUSTER}{yaml}"), expected);
    }
    check::<ClusterRole>("metadata: {name: 'system:controller:job'}", "");
    check_update::<ClusterRole>(CLUSTER, "metadata: {name: x}\nrules: []", false, "");
    check_row::<ClusterRole>("metadata: {}", "0001-01-01T00:00:00Z");
}

#[test]
fn bindings() {
    check_defaults::<RoleBinding>(
        &format!(
            "{META}roleRef: {{kind: Role, name: r}}\nsubjects: [{{kind: User, name: a}}, {{kind: Group, name: b}}, {{kind: ServiceAccount, name: c, namespace: d}}]"
        ),
        &format!(
            "{META}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}}\n\
         subjects: [{{kind: User, name: a, apiGroup: rbac.authorization.k8s.io}}, {{kind: Group, name: b, apiGroup: rbac.authorization.k8s.io}}, \
         {{kind: ServiceAccount, name: c, namespace: d}}]"
        ),
    );
    let rows = [
        ("roleRef: {kind: Role, name: r}", ""),
        (
            "roleRef: {kind: ClusterRole, name: 'system:a'}\nsubjects: [{kind: User, name: me@example.com}]",
            "",
        ),
        ("roleRef: {kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: a}]", ""),
        (
            "roleRef: {apiGroup: apps, kind: Role, name: r}",
            "roleRef.apiGroup: Unsupported value: \"apps\": supported values: \"rbac.authorization.k8s.io\"\n",
        ),
        (
            "roleRef: {kind: User, name: ''}",
            "roleRef.kind: Unsupported value: \"User\": supported values: \"Role\", \"ClusterRole\"\n\
             roleRef.name: Required value\n",
        ),
        ("roleRef: {kind: Role, name: a/b}", "roleRef.name: Invalid value: \"a/b\": may not contain '/'\n"),
        (
            "roleRef: {kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: A_}]",
            "subjects[0].name: Invalid value: \"A_\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n",
        ),
        (
            "roleRef: {kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: a, apiGroup: g}]",
            "subjects[0].apiGroup: Unsupported value: \"g\": supported values: \"\"\n",
        ),
        (
            "roleRef: {kind: Role, name: r}\nsubjects: [{kind: User, name: '', apiGroup: g}]",
            "subjects[0].name: Required value\n\
             subjects[0].apiGroup: Unsupported value: \"g\": supported values: \"rbac.authorization.k8s.io\"\n",
        ),
        (
            "roleRef: {kind: Role, name: r}\nsubjects: [{kind: Robot, name: a}]",
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"\n",
        ),
    ];
    for (yaml, expected) in rows {
        check::<RoleBinding>(&format!("{META}{yaml}"), expected);
    }
    let of = |name: &str| format!("{META}roleRef: {{kind: Role, name: {name}}}");
    check_update::<RoleBinding>(&of("a"), &of("a"), false, "");
    check_update::<RoleBinding>(
        &of("a"),
        &of("b"),
        false,
        "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"b\"}: cannot change roleRef\n",
    );
    check_row::<RoleBinding>(
        "metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}\nroleRef: {kind: Role, name: r}\n\
         subjects: [{kind: User, name: a}, {kind: User, name: b}, {kind: Group, name: c}, {kind: ServiceAccount, name: d, namespace: e}]",
        "Role/r | 60m | a, b | c | e/d",
    );
}

#[test]
fn cluster_bindings() {
    let rows = [
        ("roleRef: {kind: ClusterRole, name: r}", ""),
        (
            "roleRef: {kind: ClusterRole, name: r}\nsubjects: [{kind: ServiceAccount, name: a, namespace: b}]",
            "",
        ),
        (
            "roleRef: {kind: Role, name: r}",
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"\n",
        ),
        (
            "roleRef: {kind: ClusterRole, name: r}\nsubjects: [{kind: ServiceAccount, name: a}]",
            "subjects[0].namespace: Required value\n",
        ),
        (
            "roleRef: {kind: ClusterRole, name: ''}\nsubjects: [{kind: Group, name: ''}]",
            "roleRef.name: Required value\nsubjects[0].name: Required value\n",
        ),
        ("roleRef: {kind: ClusterRole, name: '.'}", "roleRef.name: Invalid value: \".\": may not be '.'\n"),
    ];
    for (yaml, expected) in rows {
        check::<ClusterRoleBinding>(&format!("{CLUSTER}{yaml}"), expected);
    }
    check_defaults::<ClusterRoleBinding>(
        &format!("{CLUSTER}roleRef: {{kind: ClusterRole, name: r}}\nsubjects: []"),
        &format!("{CLUSTER}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}}"),
    );
    let same = format!("{CLUSTER}roleRef: {{kind: ClusterRole, name: r}}");
    check_update::<ClusterRoleBinding>(&same, &same, false, "");
    let of = |name: &str| format!("{CLUSTER}roleRef: {{kind: ClusterRole, name: {name}}}");
    check_update::<ClusterRoleBinding>(
        &of("a"),
        &of("b"),
        false,
        "roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\"Name\":\"b\"}: cannot change roleRef\n",
    );
    check_row::<ClusterRoleBinding>(
        "metadata: {}\nroleRef: {kind: ClusterRole, name: r}\nsubjects: [{kind: Group, name: 'system:masters'}]",
        "ClusterRole/r | <unknown> |  | system:masters | ",
    );
}
