//! Tables of what Kubernetes says of metadata, after upstream's own tests of it.

use super::*;
use crate::api::names::is_dns1123_subdomain;

fn read(yaml: &str) -> ObjectMeta {
    serde_yaml::from_str(yaml).unwrap()
}

fn lines(errors: FieldErrors) -> String {
    errors.into_list().iter().map(|error| format!("{error}\n")).collect()
}

#[track_caller]
fn check(scope: Scope, yaml: &str, expected: &str) {
    let mut errors = FieldErrors::default();
    let rule = |name: &str, prefix: bool| check_name(is_dns1123_subdomain, name, prefix);
    validate_meta(&read(yaml), scope, &rule, &mut errors);
    assert_eq!(lines(errors), expected, "{yaml}");
}

#[track_caller]
fn check_update(old: &str, new: &str, expected: &str) {
    let mut errors = FieldErrors::default();
    validate_meta_update(&read(new), &read(old), &mut errors);
    assert_eq!(lines(errors), expected, "{new}");
}

#[test]
fn names_and_namespaces() {
    check(Scope::Namespaced, "{name: a, namespace: b}", "");
    check(
        Scope::Namespaced,
        "{}",
        "metadata.name: Required value: name or generateName is required\nmetadata.namespace: Required value\n",
    );
    check(
        Scope::Namespaced,
        "{name: a, namespace: b.c}",
        "metadata.namespace: Invalid value: \"b.c\": must not contain dots\n",
    );
    check(
        Scope::Cluster,
        "{name: a, namespace: b}",
        "metadata.namespace: Forbidden: not allowed on this type\n",
    );
    check(Scope::Cluster, "{name: a-x, generateName: a-}", "");
    check(
        Scope::Cluster,
        "{name: a, generation: -1}",
        "metadata.generation: Invalid value: -1: must be greater than or equal to 0\n",
    );
}

#[test]
fn labels_and_annotations() {
    check(
        Scope::Cluster,
        "{name: a, labels: {/b: c, d: -e}, annotations: {F/G: h, i/: j}}",
        "metadata.labels: Invalid value: \"/b\": prefix part must be non-empty\n\
         metadata.labels: Invalid value: \"-e\": a valid label must be an empty string or consist of alphanumeric \
         characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')\n\
         metadata.annotations: Invalid value: \"i/\": name part must be non-empty\n\
         metadata.annotations: Invalid value: \"i/\": name part must consist of alphanumeric characters, '-', '_' or '.', \
         and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
         for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n",
    );
    let size = |bytes: usize| format!("{{name: a, annotations: {{a: '{}'}}}}", "x".repeat(bytes - 1));
    check(Scope::Cluster, &size(ANNOTATION_BYTES), "");
    check(
        Scope::Cluster,
        &size(ANNOTATION_BYTES + 1),
        "metadata.annotations: Too long: may not be more than 262144 bytes\n",
    );
}

#[test]
fn owners() {
    let owner = |more: &str| format!("{{apiVersion: apps/v1, kind: ReplicaSet, name: a, uid: u{more}}}");
    let owners = |list: &[String]| format!("{{name: a, ownerReferences: [{}]}}", list.join(", "));
    check(Scope::Cluster, &owners(&[owner(", controller: true"), owner("")]), "");
    check(
        Scope::Cluster,
        &owners(&["{apiVersion: '', kind: '', name: '', uid: ''}".to_owned()]),
        "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty\n\
         metadata.ownerReferences.kind: Invalid value: \"\": must not be empty\n\
         metadata.ownerReferences.name: Invalid value: \"\": must not be empty\n\
         metadata.ownerReferences.uid: Invalid value: \"\": must not be empty\n",
    );
    check(
        Scope::Cluster,
        &owners(&["{apiVersion: v1, kind: Event, name: a, uid: u}".to_owned()]),
        "metadata.ownerReferences: Invalid value: {\"apiVersion\":\"v1\",\"kind\":\"Event\",\"name\":\"a\",\"uid\":\"u\"}: \
         /v1, Kind=Event is disallowed from being an owner\n",
    );
    let both = [
        owner(", controller: true"),
        "{apiVersion: v1, kind: Pod, name: b, uid: v, controller: true}".to_owned(),
    ];
    let mut errors = FieldErrors::default();
    validate_owners(
        read(&owners(&both)).owner_references.as_deref().unwrap_or_default(),
        &FieldPath::new("o"),
        &mut errors,
    );
    assert_eq!(
        errors.into_list()[0].detail,
        "Only one reference can have Controller set to true. Found \"true\" in references for ReplicaSet/a and Pod/b"
    );
}

#[test]
fn finalizers() {
    check(Scope::Cluster, "{name: a, finalizers: [example.com/x, orphan]}", "");
    check(
        Scope::Cluster,
        "{name: a, finalizers: [orphan, foregroundDeletion, mine]}",
        "metadata.finalizers: Invalid value: [\"orphan\",\"foregroundDeletion\",\"mine\"]: finalizer orphan and \
         foregroundDeletion cannot be both set\n\
         metadata.finalizers[2]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully \
         qualified\n",
    );
    let old = "{resourceVersion: '1', deletionTimestamp: '2026-05-01T11:00:00Z', finalizers: [x.y/a, x.y/b]}";
    check_update(old, &old.replace(", x.y/b", ""), "");
    check_update(
        old,
        &old.replace("x.y/b", "x.y/d, x.y/c"),
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
         finalizers []string{\"x.y/c\", \"x.y/d\"}\n",
    );
}

#[test]
fn what_never_changes() {
    let old = "{name: a, namespace: b, uid: u, resourceVersion: '1', generation: 2, \
               creationTimestamp: '2026-05-01T11:00:00Z'}";
    check_update(old, old, "");
    check_update(
        old,
        "{name: x, namespace: y, uid: z, generation: 1, deletionGracePeriodSeconds: 3}",
        "metadata.resourceVersion: Invalid value: \"\": must be specified for an update\n\
         metadata.generation: Invalid value: 1: must not be decremented\n\
         metadata.name: Invalid value: \"x\": field is immutable\n\
         metadata.namespace: Invalid value: \"y\": field is immutable\n\
         metadata.uid: Invalid value: \"z\": field is immutable\n\
         metadata.creationTimestamp: Invalid value: null: field is immutable\n\
         metadata.deletionGracePeriodSeconds: Invalid value: 3: field is immutable\n",
    );
    let mut new = read("{name: a, namespace: b, resourceVersion: '1', generation: 9}");
    prepare_meta_update(&mut new, &read(old));
    assert_eq!(new, read(old));
}

#[test]
fn managed_fields() {
    check(
        Scope::Cluster,
        "{name: a, managedFields: [{operation: Patch, fieldsType: X, manager: \"a\\u0001\"}]}",
        "metadata.managedFields[0].operation: Invalid value: \"Patch\": must be `Apply` or `Update`\n\
         metadata.managedFields[0].fieldsType: Invalid value: \"X\": must be `FieldsV1`\n\
         metadata.managedFields[0].manager: Invalid value: \"a\\u0001\": invalid character U+0001 (at position 1)\n",
    );
}

#[test]
fn canonical_times() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(time_now_meta(time("2026-05-01T11:00:00.999Z")).0, time("2026-05-01T11:00:00Z"));
    assert_eq!(whole_seconds(time("1969-12-31T23:59:59.5Z")).to_string(), "1969-12-31T23:59:59Z");
    assert_eq!(
        whole_microseconds(time("2026-05-01T11:00:00.123456789Z")),
        time("2026-05-01T11:00:00.123456Z")
    );
}
