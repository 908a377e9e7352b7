//! Priority classes and runtime classes.

use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::super::system_priority_classes;
use super::{check, check_defaults, check_row, check_update};
use crate::api::error::FieldErrors;
use crate::api::object::Kind;

const META: &str = "metadata: {name: x}\n";

#[test]
fn priority_classes() {
    check_defaults::<PriorityClass>(
        &format!("{META}globalDefault: false\ndescription: ''"),
        &format!("{META}value: 0\npreemptionPolicy: PreemptLowerPriority"),
    );
    let rows = [
        ("metadata: {name: x}\nvalue: 1000000000", ""),
        ("metadata: {name: x}\nvalue: -5\npreemptionPolicy: Never", ""),
        (
            "metadata: {name: x}\nvalue: 1000000001",
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000\n",
        ),
        (
            "metadata: {name: x}\npreemptionPolicy: Sometimes",
            "preemptionPolicy: Unsupported value: \"Sometimes\": supported values: \"PreemptLowerPriority\", \"Never\"\n",
        ),
        ("metadata: {name: x}\npreemptionPolicy: ''", "preemptionPolicy: Required value\n"),
        (
            "metadata: {name: system-mine}",
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: \
             system-mine is not a known system priority class\n",
        ),
        (
            "metadata: {name: system-node-critical}\nvalue: 7",
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: \
             value of system-node-critical PriorityClass must be 2000001000\n",
        ),
        (
            "metadata: {name: system-cluster-critical}\nvalue: 2000000000\nglobalDefault: true",
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: \
             globalDefault of system-cluster-critical PriorityClass must be false\n",
        ),
        ("metadata: {name: system-cluster-critical}\nvalue: 2000000000", ""),
        (
            "metadata: {name: A}",
            "metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n",
        ),
    ];
    for (yaml, expected) in rows {
        check::<PriorityClass>(yaml, expected);
    }
    check_update::<PriorityClass>(
        &format!("{META}value: 1"),
        &format!("{META}value: 2\npreemptionPolicy: Never"),
        false,
        "value: Forbidden: may not be changed in an update.\n\
         preemptionPolicy: Invalid value: \"Never\": field is immutable\n",
    );
    check_update::<PriorityClass>(
        &format!("{META}value: 1"),
        &format!("{META}value: 1\nglobalDefault: true\ndescription: more"),
        false,
        "",
    );
    check_row::<PriorityClass>(
        "metadata: {}\nvalue: 5\nglobalDefault: true\npreemptionPolicy: Never",
        "5 | true | <unknown> | Never",
    );
    for mut class in system_priority_classes() {
        class.set_defaults();
        let mut errors = FieldErrors::default();
        class.validate(&mut errors);
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn runtime_classes() {
    check_defaults::<RuntimeClass>(
        &format!(
            "{META}handler: kata\noverhead: {{podFixed: {{cpu: '0.25', memory: 1024Ki}}}}\nscheduling: {{nodeSelector: {{}}}}"
        ),
        &format!("{META}handler: kata\noverhead: {{podFixed: {{cpu: 250m, memory: 1Mi}}}}\nscheduling: {{}}"),
    );
    let rows = [
        ("handler: runc", ""),
        ("handler: ''", "handler: Required value\n"),
        ("handler: a.b", "handler: Invalid value: \"a.b\": must not contain dots\n"),
        (
            "handler: a\noverhead: {podFixed: {cpu: -1}}",
            "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0\n",
        ),
        (
            "handler: a\noverhead: {podFixed: {pods: 1}}",
            "overhead.limits[pods]: Invalid value: \"pods\": must be a standard resource for containers\n",
        ),
        (
            "handler: a\nscheduling: {nodeSelector: {'a b': c}}",
            "scheduling.nodeSelector: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n",
        ),
        ("handler: a\nscheduling: {tolerations: [{key: a, operator: Exists, effect: NoSchedule}]}", ""),
        (
            "handler: a\nscheduling: {tolerations: [{key: a, operator: Equal, value: b, tolerationSeconds: 5}]}",
            "scheduling.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set\n",
        ),
        (
            "handler: a\nscheduling: {tolerations: [{key: a, operator: Exists}, {key: a, operator: Exists}]}",
            "scheduling.tolerations[1]: Duplicate value: {\"Effect\":\"\",\"Key\":\"a\",\"Operator\":\"Exists\",\"TolerationSeconds\":null,\"Value\":\"\"}\n",
        ),
    ];
    for (yaml, expected) in rows {
        let yaml = yaml.replace("cpu: -1", "cpu: '-1'").replace("pods: 1", "pods: '1'");
        check::<RuntimeClass>(&format!("{META}{yaml}"), expected);
    }
    check_update::<RuntimeClass>(
        &format!("{META}handler: a"),
        &format!("{META}handler: b"),
        false,
        "handler: Invalid value: \"b\": field is immutable\n",
    );
    check_row::<RuntimeClass>("metadata: {}\nhandler: a", "a | <unknown>");
}
