//! Classes of storage, drivers and attachments.

use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};

use super::{check, check_defaults, check_row, check_status, check_update, created, read};
use crate::api::object::Kind;

const META: &str = "metadata: {name: x}\n";

#[test]
fn storage_classes() {
    check_defaults::<StorageClass>(
        &format!("{META}provisioner: example.com/disk\nparameters: {{}}"),
        &format!("{META}provisioner: example.com/disk\nreclaimPolicy: Delete\nvolumeBindingMode: Immediate"),
    );
    let rows = [
        ("provisioner: kubernetes.io/no-provisioner\nvolumeBindingMode: WaitForFirstConsumer", ""),
        ("provisioner: Example.com/Disk\nreclaimPolicy: Retain", ""),
        ("provisioner: ''", "provisioner: Required value\n"),
        (
            "provisioner: a/b/c",
            "provisioner: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
             with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')\n",
        ),
        (
            "provisioner: a\nreclaimPolicy: Recycle",
            "reclaimPolicy: Unsupported value: \"Recycle\": supported values: \"Delete\", \"Retain\"\n",
        ),
        (
            "provisioner: a\nvolumeBindingMode: Later",
            "volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\"\n",
        ),
        ("provisioner: a\nparameters: {'': b}", "parameters: Invalid value: \"\": field can not be empty.\n"),
        (
            "provisioner: a\nallowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, a]}, {key: zone, values: []}]}]",
            "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"\n\
             allowedTopologies[0].matchLabelExpressions[1].values: Required value\n\
             allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"zone\"\n",
        ),
        (
            "provisioner: a\nallowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, b]}]}, {matchLabelExpressions: [{key: zone, values: [b, a]}]}]",
            "allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\"\n",
        ),
    ];
    for (yaml, expected) in rows {
        check::<StorageClass>(&format!("{META}{yaml}"), expected);
    }
    check_update::<StorageClass>(
        &format!("{META}provisioner: a\nparameters: {{b: c}}"),
        &format!(
            "{META}provisioner: z\nparameters: {{b: d}}\nreclaimPolicy: Retain\nvolumeBindingMode: WaitForFirstConsumer"
        ),
        false,
        "parameters: Invalid value: {\"b\":\"d\"}: field is immutable\n\
         provisioner: Invalid value: \"z\": field is immutable\n\
         reclaimPolicy: Invalid value: \"Retain\": field is immutable\n\
         volumeBindingMode: Invalid value: \"WaitForFirstConsumer\": field is immutable\n",
    );
    check_update::<StorageClass>(
        &format!("{META}provisioner: a"),
        &format!("{META}provisioner: a\nallowVolumeExpansion: true\nmountOptions: [ro]"),
        false,
        "",
    );
    check_row::<StorageClass>("metadata: {}\nprovisioner: a", "a | Delete | Immediate | false | <unknown>");
}

#[test]
fn volume_attachments() {
    let rows = [
        ("attacher: a.b, nodeName: n, source: {persistentVolumeName: pv}", ""),
        (
            "attacher: a.b, nodeName: n, source: {inlineVolumeSpec: {accessModes: [ReadWriteOnce], csi: {driver: a.b, volumeHandle: h}}}",
            "",
        ),
        (
            "attacher: '', nodeName: n, source: {}",
            "spec.attacher: Required value\n\
             spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName\n",
        ),
        (
            "attacher: a, nodeName: n, source: {persistentVolumeName: pv, inlineVolumeSpec: {}}",
            "spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName\n",
        ),
        (
            "attacher: a, nodeName: n, source: {inlineVolumeSpec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, claimRef: {}, nfs: {server: s, path: /p}, \
             persistentVolumeReclaimPolicy: Delete, nodeAffinity: {}, storageClassName: c, volumeMode: Block}}",
            "spec.source.inlineVolumeSpec.claimRef: Forbidden: may not be specified in the context of inline volumes\n\
             spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes\n\
             spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes\n\
             spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes\n\
             spec.source.inlineVolumeSpec.nodeAffinity: Forbidden: may not be specified in the context of inline volumes\n\
             spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes\n\
             spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes\n",
        ),
        (
            "attacher: a, nodeName: n, source: {persistentVolumeName: A}",
            "spec.source.persistentVolumeName: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n",
        ),
    ];
    for (spec, expected) in rows {
        check::<VolumeAttachment>(&format!("{META}spec: {{{spec}}}"), expected);
    }
    let of = |node: &str| {
        format!("{META}spec: {{attacher: a, nodeName: {node}, source: {{persistentVolumeName: pv}}}}")
    };
    check_defaults::<VolumeAttachment>(
        &format!("{}\nstatus: {{attached: true}}", of("n")),
        &format!("{}\nstatus: {{attached: false}}", of("n")),
    );
    check_update::<VolumeAttachment>(
        &of("n"),
        &format!("{}\nstatus: {{attached: true}}", of("n")),
        false,
        "",
    );
    check_update::<VolumeAttachment>(
        &of("n"),
        &of("m"),
        false,
        "spec: Invalid value: {\"attacher\":\"a\",\"nodeName\":\"m\",\"source\":{\"persistentVolumeName\":\"pv\"}}: field is immutable\n",
    );
    check_status::<VolumeAttachment>(
        &of("n"),
        &format!("{}\nstatus: {{attached: true, attachmentMetadata: {{a: b}}}}", of("m")),
        "",
    );
    check_status::<VolumeAttachment>(
        &of("n"),
        &format!(
            "{}\nstatus: {{attached: false, attachError: {{message: '{}', errorCode: -1}}}}",
            of("n"),
            "a".repeat(1025)
        ),
        "status.attachError.message: Too long: may not be more than 262144 bytes\n\
         status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive\n",
    );
    check_row::<VolumeAttachment>(&of("n"), "a | pv | n | false | <unknown>");
    check_row::<VolumeAttachment>(
        &format!("{}\nstatus: {{attached: true}}", of("n")),
        "a | pv | n | true | <unknown>",
    );
}

#[test]
fn csi_drivers() {
    check_defaults::<CSIDriver>(
        &format!("{META}spec: {{preventPodSchedulingIfMissing: true}}"),
        &format!(
            "{META}spec: {{attachRequired: true, podInfoOnMount: false, storageCapacity: false, fsGroupPolicy: ReadWriteOnceWithFSType, \
             volumeLifecycleModes: [Persistent], requiresRepublish: false, seLinuxMount: false}}"
        ),
    );
    let rows = [
        ("{}", ""),
        ("{volumeLifecycleModes: [Persistent, Ephemeral], nodeAllocatableUpdatePeriodSeconds: 10}", ""),
        (
            "{fsGroupPolicy: Some}",
            "spec.fsGroupPolicy: Unsupported value: \"Some\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"\n",
        ),
        (
            "{tokenRequests: [{audience: a}, {audience: a}, {audience: b, expirationSeconds: 599}, {audience: c, expirationSeconds: 4294967297}]}",
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"\n\
             spec.tokenRequests[2].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes\n\
             spec.tokenRequests[3].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds\n",
        ),
        (
            "{volumeLifecycleModes: [Forever]}",
            "spec.volumeLifecycleModes: Unsupported value: \"Forever\": supported values: \"Persistent\", \"Ephemeral\"\n",
        ),
        (
            "{nodeAllocatableUpdatePeriodSeconds: 9}",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds\n",
        ),
        (
            "{serviceAccountTokenInSecrets: true}",
            "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified\n",
        ),
        ("{serviceAccountTokenInSecrets: true, tokenRequests: [{audience: a}]}", ""),
    ];
    for (spec, expected) in rows {
        check::<CSIDriver>(&format!("{META}spec: {spec}"), expected);
    }
    check_update::<CSIDriver>(
        &format!("{META}spec: {{}}"),
        &format!("{META}spec: {{attachRequired: false, volumeLifecycleModes: [Ephemeral]}}"),
        false,
        "spec.attachedRequired: Invalid value: false: field is immutable\n\
         spec.volumeLifecycleModes: Invalid value: [\"Ephemeral\"]: field is immutable\n",
    );
    let old: CSIDriver = created(&format!("{META}spec: {{}}"));
    for (spec, generation) in [("{}", None), ("{podInfoOnMount: true}", Some(1))] {
        let mut new: CSIDriver = read(&format!("{META}spec: {spec}"));
        new.set_defaults();
        new.prepare_update(&old);
        assert_eq!(new.metadata.generation, generation, "{spec}");
    }
    check_row::<CSIDriver>(
        "metadata: {}\nspec: {}",
        "true | false | false | <unset> | false | <none> | <unknown>",
    );
    check_row::<CSIDriver>(
        "metadata: {}\nspec: {attachRequired: false, tokenRequests: [{audience: a}, {audience: b}], volumeLifecycleModes: [Persistent, Ephemeral]}",
        "false | false | false | a,b | false | Persistent,Ephemeral | <unknown>",
    );
}

#[test]
fn csi_nodes() {
    let rows = [
        ("[]", ""),
        ("[{name: a.b, nodeID: n, topologyKeys: [example.com/zone], allocatable: {count: 0}}]", ""),
        (
            "[{name: '', nodeID: ''}]",
            "spec.drivers[0].name: Required value\nspec.drivers[0].nodeID: Required value\n",
        ),
        ("[{name: a, nodeID: n}, {name: a, nodeID: n}]", "spec.drivers[1].name: Duplicate value: \"a\"\n"),
        (
            "[{name: a, nodeID: n, allocatable: {count: -1}}]",
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0\n",
        ),
        ("[{name: a, nodeID: n, topologyKeys: [b, b]}]", "spec.drivers[0]: Duplicate value: \"b\"\n"),
    ];
    for (drivers, expected) in rows {
        check::<CSINode>(&format!("{META}spec: {{drivers: {drivers}}}"), expected);
    }
    check::<CSINode>(
        &format!("{META}spec: {{drivers: [{{name: {}, nodeID: {}}}]}}", "a".repeat(64), "n".repeat(257)),
        &format!(
            "spec.drivers[0].name: Too long: may not be more than 63 bytes\n\
             spec.drivers[0].nodeID: Invalid value: \"{}\": must be 256 characters or less\n",
            "n".repeat(257)
        ),
    );
    let of = |id: &str, count: u8| {
        format!("{META}spec: {{drivers: [{{name: a, nodeID: {id}, allocatable: {{count: {count}}}}}]}}")
    };
    check_update::<CSINode>(&of("n", 1), &of("n", 2), false, "");
    check_update::<CSINode>(
        &of("n", 1),
        &of("m", 1),
        false,
        "spec.drivers: Invalid value: {\"Allocatable\":null,\"Name\":\"a\",\"NodeID\":\"m\",\"TopologyKeys\":null}: field is immutable\n",
    );
    check_defaults::<CSINode>(&of("n", 1), &of("n", 1));
    check_row::<CSINode>(&of("n", 1), "1 | <unknown>");
}

#[test]
fn storage_capacities() {
    const SPACE: &str = "metadata: {name: x, namespace: shop}\n";
    check_defaults::<CSIStorageCapacity>(
        &format!("{SPACE}storageClassName: c\ncapacity: 1024Mi\nmaximumVolumeSize: 0.0005"),
        &format!("{SPACE}storageClassName: c\ncapacity: 1Gi\nmaximumVolumeSize: 1m"),
    );
    let rows = [
        ("storageClassName: c", ""),
        ("storageClassName: c\ncapacity: '0'\nnodeTopology: {}", ""),
        (
            "storageClassName: c\ncapacity: '-1'",
            "capacity: Invalid value: \"-1\": must be greater than or equal to 0\n",
        ),
        (
            "storageClassName: c\nnodeTopology: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}",
            "nodeTopology.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'\n",
        ),
        (
            "storageClassName: ''",
            "storageClassName: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n",
        ),
    ];
    for (yaml, expected) in rows {
        check::<CSIStorageCapacity>(&format!("{SPACE}{yaml}"), expected);
    }
    check_update::<CSIStorageCapacity>(
        &format!("{SPACE}storageClassName: c\ncapacity: 1Gi"),
        &format!("{SPACE}storageClassName: c\ncapacity: 2Gi"),
        false,
        "",
    );
    check_update::<CSIStorageCapacity>(
        &format!("{SPACE}storageClassName: c"),
        &format!("{SPACE}storageClassName: d\nnodeTopology: {{matchLabels: {{a: b}}}}"),
        false,
        "nodeTopology: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: field is immutable\n\
         storageClassName: Invalid value: \"d\": field is immutable\n",
    );
    check_row::<CSIStorageCapacity>("metadata: {}\nstorageClassName: c\ncapacity: 1Gi", "c | 1Gi");
    check_row::<CSIStorageCapacity>("metadata: {}\nstorageClassName: c", "c | <unset>");
}

#[test]
fn volume_attributes_classes() {
    let rows = [
        ("driverName: a.b\nparameters: {iops: '1'}", ""),
        (
            "driverName: ''",
            "driverName: Required value\nparameters: Required value: must contain at least one key/value pair\n",
        ),
        ("driverName: a\nparameters: {'': b}", "parameters: Invalid value: \"\": field can not be empty.\n"),
        ("driverName: Example.com/Disk\nparameters: {a: b, c: ''}", ""),
        (
            "driverName: a\nparameters: {}",
            "parameters: Required value: must contain at least one key/value pair\n",
        ),
    ];
    for (yaml, expected) in rows {
        check::<VolumeAttributesClass>(&format!("{META}{yaml}"), expected);
    }
    let many: String = (0..513).map(|number| format!("k{number}: v, ")).collect();
    check::<VolumeAttributesClass>(
        &format!("{META}driverName: a\nparameters: {{{many}}}"),
        "parameters: Too long: may not be more than 512 bytes\n",
    );
    check::<VolumeAttributesClass>(
        &format!("{META}driverName: a\nparameters: {{k: {}}}", "v".repeat(256 * 1024)),
        "parameters: Too long: may not be more than 262144 bytes\n",
    );
    check_update::<VolumeAttributesClass>(
        &format!("{META}driverName: a\nparameters: {{b: c}}"),
        &format!("{META}driverName: z\nparameters: {{b: d}}"),
        false,
        "driverName: Forbidden: updates to driverName are forbidden.\nparameters: Forbidden: updates to parameters are forbidden.\n",
    );
    let plain = format!("{META}driverName: a\nparameters: {{b: c}}");
    check_update::<VolumeAttributesClass>(&plain, &plain, false, "");
    check_defaults::<VolumeAttributesClass>(&plain, &plain);
    check_row::<VolumeAttributesClass>(
        "metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}\ndriverName: b.c",
        "b.c | 60m",
    );
    check_row::<VolumeAttributesClass>("metadata: {}\ndriverName: a", "a | <unknown>");
}
