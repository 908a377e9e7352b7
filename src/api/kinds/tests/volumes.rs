//! Persistent volumes and claims of them.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::{check, check_defaults, check_row, check_status, check_terms, check_update, created, noon, read};
use crate::api::object::Kind;

const META: &str = "metadata: {name: x}\n";
const CLAIM: &str = "metadata: {name: x, namespace: shop}\n";

fn volume(more: &str) -> String {
    format!("{META}spec: {{capacity: {{storage: 1Gi}}, accessModes: [ReadWriteOnce], {more}}}")
}

#[test]
fn defaults_of_volumes() {
    check_defaults::<PersistentVolume>(
        &volume("hostPath: {path: /a}, storageClassName: ''"),
        &format!(
            "{META}spec: {{capacity: {{storage: 1Gi}}, accessModes: [ReadWriteOnce], hostPath: {{path: /a, type: ''}}, persistentVolumeReclaimPolicy: Retain, \
             volumeMode: Filesystem}}\nstatus: {{phase: Pending}}"
        ),
    );
    check_defaults::<PersistentVolume>(
        &volume("rbd: {monitors: [a], image: b}, iscsi: {iqn: a, lun: 0, targetPortal: b}"),
        &format!(
            "{META}spec: {{capacity: {{storage: 1Gi}}, accessModes: [ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, volumeMode: Filesystem, \
             rbd: {{monitors: [a], image: b, pool: rbd, user: admin, keyring: /etc/ceph/keyring}}, \
             iscsi: {{iqn: a, lun: 0, targetPortal: b, iscsiInterface: default}}}}\nstatus: {{phase: Pending}}"
        ),
    );
    let mut object: PersistentVolume = created(&volume("hostPath: {path: /a}"));
    object.stamp(None, noon());
    let first = object.status.as_ref().and_then(|status| status.last_phase_transition_time.clone());
    assert_eq!(first.as_ref().map(|time| time.0), Some(noon()));
    let rows = [("Pending", false), ("Available", true)];
    for (phase, moved) in rows {
        let mut new: PersistentVolume = read(&format!("{META}status: {{phase: {phase}}}"));
        new.prepare_status(&object);
        let later = noon() + jiff::SignedDuration::from_secs(60);
        new.stamp(Some(&object), later);
        let at = new.status.and_then(|status| status.last_phase_transition_time).map(|time| time.0);
        assert_eq!(at, Some(if moved { later } else { noon() }), "{phase}");
    }
}

#[test]
fn volumes() {
    let rows = [
        ("hostPath: {path: /a}", ""),
        ("nfs: {server: s, path: /p}, persistentVolumeReclaimPolicy: Recycle", ""),
        ("csi: {driver: a.b, volumeHandle: h}, volumeAttributesClassName: gold", ""),
        (
            "local: {path: /a}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}",
            "",
        ),
        ("volumeMode: Block", "spec: Required value: must specify a volume type\n"),
        (
            "hostPath: {path: /a}, nfs: {server: s, path: /p}",
            "spec.nfs: Forbidden: may not specify more than 1 volume type\n",
        ),
        (
            "hostPath: {path: /a/../..}, persistentVolumeReclaimPolicy: Recycle",
            "spec.hostPath.path: Invalid value: \"/a/../..\": must not contain '..'\n\
             spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'\n",
        ),
        (
            "hostPath: {path: /a}, persistentVolumeReclaimPolicy: Forget, volumeMode: Tape",
            "spec.persistentVolumeReclaimPolicy: Unsupported value: \"Forget\": supported values: \"Delete\", \"Recycle\", \"Retain\"\n\
             spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"\n",
        ),
        (
            "local: {path: ''}",
            "spec.local.path: Required value\nspec.nodeAffinity: Required value: Local volume requires node affinity\n",
        ),
        (
            "hostPath: {path: /a}, nodeAffinity: {}",
            "spec.nodeAffinity.required: Required value: must specify required node constraints\n",
        ),
        (
            "hostPath: {path: /a}, nodeAffinity: {required: {nodeSelectorTerms: []}}",
            "spec.nodeAffinity.required.nodeSelectorTerms: Required value: must have at least one node selector term\n",
        ),
        (
            "hostPath: {path: /a}, volumeAttributesClassName: ''",
            "spec.volumeAttributesClassName: Required value: an empty string is disallowed\n\
             spec.csi: Required value: has to be specified when using volumeAttributesClassName\n",
        ),
    ];
    for (more, expected) in rows {
        check::<PersistentVolume>(&volume(more), expected);
    }
    check::<PersistentVolume>(
        &format!("{META}spec: {{hostPath: {{path: /a}}}}"),
        "spec.accessModes: Required value\nspec.capacity: Required value\n\
         spec.capacity: Unsupported value: null: supported values: \"storage\"\n",
    );
    check::<PersistentVolume>(
        &format!(
            "{META}spec: {{hostPath: {{path: /a}}, accessModes: [ReadWriteOncePod, ReadWriteMany, All], capacity: {{storage: '-1', cpu: '1'}}}}"
        ),
        "spec.accessModes: Unsupported value: \"All\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"\n\
         spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes\n\
         spec.capacity: Unsupported value: {\"cpu\":\"1\",\"storage\":\"-1\"}: supported values: \"storage\"\n\
         spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity\n\
         spec.capacity[storage]: Invalid value: \"-1\": must be greater than zero\n",
    );
    check::<PersistentVolume>(
        "metadata: {name: x, annotations: {volume.beta.kubernetes.io/mount-options: ro}}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /a}}",
        "metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this volume type\n",
    );
}

#[test]
fn sources_of_volumes() {
    let rows = [
        (
            "gcePersistentDisk: {pdName: '', partition: 256}",
            "persistentDisk.pdName: Required value\npersistentDisk.partition: Invalid value: 256: must be between 0 and 255, inclusive\n",
        ),
        ("awsElasticBlockStore: {volumeID: ''}", "awsElasticBlockStore.volumeID: Required value\n"),
        (
            "glusterfs: {endpoints: '', path: '', endpointsNamespace: ''}",
            "glusterfs.endpoints: Required value\nglusterfs.path: Required value\nglusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace name\n",
        ),
        ("flocker: {}", "flocker: Required value: one of datasetName and datasetUUID is required\n"),
        (
            "flocker: {datasetName: a/b, datasetUUID: c}",
            "flocker: Invalid value: \"resource\": datasetName and datasetUUID can not be specified simultaneously\nflocker.datasetName: Invalid value: \"a/b\": must not contain '/'\n",
        ),
        (
            "nfs: {server: '', path: p}",
            "nfs.server: Required value\nnfs.path: Invalid value: \"p\": must be an absolute path\n",
        ),
        ("rbd: {monitors: [], image: ''}", "rbd.monitors: Required value\nrbd.image: Required value\n"),
        (
            "quobyte: {registry: 'a:1,b', volume: ''}",
            "quobyte.registry: Invalid value: \"a:1,b\": must be a host:port pair or multiple pairs separated by commas\nquobyte.volume: Required value\n",
        ),
        ("cephfs: {monitors: []}", "cephfs.monitors: Required value\n"),
        (
            "cinder: {volumeID: '', secretRef: {}}",
            "cinder.volumeID: Required value\ncinder.secretRef.name: Required value\ncinder.secretRef.namespace: Required value\n",
        ),
        ("fc: {}", "fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both\n"),
        (
            "fc: {targetWWNs: [a], wwids: [b], lun: 256}",
            "fc.targetWWNs: Invalid value: [\"a\"]: targetWWNs and wwids can not be specified simultaneously\nfc.lun: Invalid value: 256: must be between 0 and 255, inclusive\n",
        ),
        ("fc: {targetWWNs: [a]}", "fc.lun: Required value: lun is required if targetWWNs is specified\n"),
        (
            "flexVolume: {driver: '', options: {x.k8s.io/a: b, ok: c}}",
            "flexVolume.driver: Required value\nflexVolume.options[x.k8s.io/a]: Invalid value: \"x.k8s.io/a\": kubernetes.io and k8s.io namespaces are reserved\n",
        ),
        (
            "azureFile: {secretName: '', shareName: '', secretNamespace: ''}",
            "azureFile.secretName: Required value\nazureFile.shareName: Required value\nazureFile.secretNamespace: Required value\n",
        ),
        ("vsphereVolume: {volumePath: ''}", "vsphereVolume.volumePath: Required value\n"),
        ("photonPersistentDisk: {pdID: ''}", "photonPersistentDisk.pdID: Required value\n"),
        ("portworxVolume: {volumeID: ''}", "portworxVolume.volumeID: Required value\n"),
        (
            "azureDisk: {diskName: d, diskURI: u, cachingMode: X}",
            "azureDisk.cachingMode: Unsupported value: \"X\": supported values: \"None\", \"ReadOnly\", \"ReadWrite\"\nazureDisk.diskURI: Unsupported value: \"u\": supported values: \"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd\"\n",
        ),
        (
            "scaleIO: {gateway: '', system: s, secretRef: {}}",
            "scaleIO.gateway: Required value\nscaleIO.volumeName: Required value\n",
        ),
        (
            "storageos: {volumeName: A.b}",
            "storageos.volumeName: Invalid value: \"A.b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n",
        ),
        (
            "csi: {driver: '', volumeHandle: '', nodePublishSecretRef: {name: a}}",
            "csi.driver: Required value\ncsi.volumeHandle: Required value\ncsi.nodePublishSecretRef.namespace: Required value\n",
        ),
        (
            "iscsi: {targetPortal: '', iqn: '', lun: -1, chapAuthSession: true}",
            "iscsi.targetPortal: Required value\niscsi.iqn: Required value\niscsi.lun: Invalid value: -1: must be between 0 and 255, inclusive\niscsi.secretRef: Required value\n",
        ),
        (
            "iscsi: {targetPortal: p, iqn: 'iqn.2015-02.example.com:disk.1', lun: 0, initiatorName: eui.0123456789abcdef}",
            "",
        ),
        (
            "iscsi: {targetPortal: p, iqn: 'iqn.2015-2.example.com:a', lun: 0, initiatorName: naa.1}",
            "iscsi.iqn: Invalid value: \"iqn.2015-2.example.com:a\": must be valid format\niscsi.initiatorname: Invalid value: \"naa.1\": must be valid format\n",
        ),
    ];
    for (source, expected) in rows {
        let expected: String = expected.lines().map(|line| format!("spec.{line}\n")).collect();
        check::<PersistentVolume>(&volume(source), &expected);
    }
}

#[test]
fn changes_of_volumes() {
    let plain = volume("csi: {driver: a, volumeHandle: h}");
    check_update::<PersistentVolume>(
        &plain,
        &volume("csi: {driver: a, volumeHandle: h}, mountOptions: [ro]"),
        false,
        "",
    );
    check_update::<PersistentVolume>(
        &plain,
        &volume("csi: {driver: a, volumeHandle: h, controllerExpandSecretRef: {name: s, namespace: n}}"),
        false,
        "",
    );
    check_update::<PersistentVolume>(
        &plain,
        &volume("csi: {driver: a, volumeHandle: i}, volumeMode: Block"),
        false,
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n\
         - spec.persistentvolumesource.csi.volumeHandle: \"h\"\n+ spec.persistentvolumesource.csi.volumeHandle: \"i\"\n\
         volumeMode: Invalid value: \"Block\": field is immutable\n",
    );
    let on = |key: &str| {
        volume(&format!(
            "hostPath: {{path: /a}}, nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: {key}, operator: Exists}}]}}]}}}}"
        ))
    };
    check_update::<PersistentVolume>(
        &on("failure-domain.beta.kubernetes.io/zone"),
        &on("topology.kubernetes.io/zone"),
        false,
        "",
    );
    check_update::<PersistentVolume>(
        &on("a"),
        &on("b"),
        false,
        "nodeAffinity: Invalid value: {\"required\":{\"nodeSelectorTerms\":[{\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"Exists\"}]}]}}: \
         field is immutable, except for updating from beta label to GA\n",
    );
    check_update::<PersistentVolume>(
        &volume("csi: {driver: a, volumeHandle: h}, volumeAttributesClassName: gold"),
        &plain,
        false,
        "spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden\n",
    );
}

#[test]
fn rows_of_volumes() {
    check_row::<PersistentVolume>(
        "metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}\n\
         spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany, ReadWriteOnce, ReadWriteOnce], persistentVolumeReclaimPolicy: Retain, storageClassName: fast, \
         claimRef: {namespace: shop, name: data}, volumeMode: Block}\nstatus: {phase: Bound, reason: r}",
        "1Gi | RWO,RWX | Retain | Bound | shop/data | fast | <unset> | r | 60m | Block",
    );
    check_row::<PersistentVolume>(
        "metadata: {deletionTimestamp: '2026-05-01T11:00:00Z', annotations: {volume.beta.kubernetes.io/storage-class: old}}\nspec: {storageClassName: new}",
        "0 |  |  | Terminating |  | old | <unset> |  | <unknown> | <unset>",
    );
    check_terms::<PersistentVolume>("metadata: {name: a}", "name=a\n");
    check_row::<PersistentVolumeClaim>(
        "metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}\nspec: {volumeName: v, volumeMode: Filesystem, storageClassName: fast}\n\
         status: {phase: Bound, capacity: {storage: 2Gi}, accessModes: [ReadWriteOncePod]}",
        "Bound | v | 2Gi | RWOP | fast | <unset> | 60m | Filesystem",
    );
    check_row::<PersistentVolumeClaim>(
        "metadata: {}\nspec: {volumeAttributesClassName: gold}\nstatus: {phase: Pending, capacity: {storage: 2Gi}}",
        "Pending |  |  |  |  | gold | <unknown> | <unset>",
    );
    check_terms::<PersistentVolumeClaim>("metadata: {name: a}", "name=a\n");
}

fn claim(more: &str) -> String {
    format!("{CLAIM}spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}{more}}}")
}

#[test]
fn claims() {
    check_defaults::<PersistentVolumeClaim>(
        &claim(", dataSource: {kind: PersistentVolumeClaim, name: a}"),
        &format!(
            "{}\nstatus: {{phase: Pending}}",
            claim(
                ", volumeMode: Filesystem, dataSource: {kind: PersistentVolumeClaim, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: a}"
            )
        ),
    );
    check_defaults::<PersistentVolumeClaim>(
        &claim(", dataSource: {apiGroup: example.com, kind: Book, name: a}"),
        &format!("{}\nstatus: {{phase: Pending}}", claim(", volumeMode: Filesystem")),
    );
    check_defaults::<PersistentVolumeClaim>(
        &claim(", dataSourceRef: {apiGroup: example.com, kind: Book, name: a}"),
        &format!(
            "{}\nstatus: {{phase: Pending}}",
            claim(
                ", volumeMode: Filesystem, dataSource: {apiGroup: example.com, kind: Book, name: a}, dataSourceRef: {apiGroup: example.com, kind: Book, name: a}"
            )
        ),
    );
    let rows = [
        ("", ""),
        (", storageClassName: ''", ""),
        (", selector: {matchLabels: {a: b}}, volumeMode: Block, volumeAttributesClassName: ''", ""),
        (
            ", volumeMode: Tape, storageClassName: a_b",
            "spec.storageClassName: Invalid value: \"a_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n\
             spec.volumeMode: Unsupported value: \"Tape\": supported values: \"Block\", \"Filesystem\"\n",
        ),
        (
            ", selector: {matchExpressions: [{key: a, operator: In}]}",
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'\n",
        ),
        (
            ", dataSource: {kind: PersistentVolumeClaim, name: a}, dataSourceRef: {kind: PersistentVolumeClaim, name: b}",
            "spec: Invalid value: {}: must match dataSourceRef\n",
        ),
        (
            ", dataSourceRef: {kind: Book, name: ''}",
            "spec.dataSource.name: Required value\n\
             spec.dataSource: Invalid value: \"Book\": must be 'PersistentVolumeClaim' when referencing the default apiGroup\n\
             spec.dataSourceRef.name: Required value\n\
             spec.dataSourceRef: Invalid value: \"Book\": must be 'PersistentVolumeClaim' when referencing the default apiGroup\n",
        ),
        (", dataSourceRef: {kind: PersistentVolumeClaim, name: a, namespace: other}", ""),
    ];
    for (more, expected) in rows {
        check::<PersistentVolumeClaim>(&claim(more), expected);
    }
    check::<PersistentVolumeClaim>(
        CLAIM,
        "spec.accessModes: Required value: at least 1 access mode is required\nspec.resources[storage]: Required value\n",
    );
    check::<PersistentVolumeClaim>(
        &claim("").replace("1Gi", "0").replace("ReadWriteOnce", "Some"),
        "spec.accessModes: Unsupported value: \"Some\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"\n\
         spec.resources[storage]: Invalid value: \"0\": must be greater than zero\n",
    );
}

/// Holds a change of a claim whose status stays as it is, in the old one.
fn change(old: &str, status: &str, new: &str, expected: &str) {
    let mut old: PersistentVolumeClaim = created(old);
    let with: PersistentVolumeClaim = read(&format!("status: {status}"));
    old.status = with.status;
    let mut object: PersistentVolumeClaim = read(new);
    object.set_defaults();
    object.prepare_update(&old);
    object.canonicalise();
    let mut errors = crate::api::error::FieldErrors::default();
    object.validate_update(&old, &mut errors);
    assert_eq!(super::lines(errors), expected, "{new}");
}

#[test]
fn changes_of_claims() {
    const BOUND: &str = "{phase: Bound, capacity: {storage: 1Gi}}";
    const SPEC: &str = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    let sized = |size: &str| claim("").replace("1Gi", size);
    change(&claim(""), "{phase: Pending}", &claim(""), "");
    change(&claim(""), "{phase: Pending}", &claim(", volumeName: v"), "");
    change(&claim(""), "{phase: Pending}", &claim(", storageClassName: fast"), "");
    change(&claim(""), BOUND, &sized("2Gi"), "");
    change(&claim(", volumeName: v"), BOUND, &claim(", volumeName: v, volumeAttributesClassName: gold"), "");
    change(
        &claim(""),
        "{phase: Pending}",
        &sized("2Gi"),
        &format!(
            "{SPEC}- spec.resources.requests.storage: \"1Gi\"\n+ spec.resources.requests.storage: \"2Gi\"\n"
        ),
    );
    change(
        &sized("3Gi"),
        BOUND,
        &sized("1Gi"),
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity\n",
    );
    change(&sized("3Gi"), BOUND, &sized("2Gi"), "");
    change(
        &claim(", volumeName: v, storageClassName: a"),
        BOUND,
        &claim(", volumeName: w, storageClassName: b, volumeMode: Block"),
        &format!(
            "{SPEC}- spec.storageClassName: \"a\"\n+ spec.storageClassName: \"b\"\n- spec.volumeMode: \"Filesystem\"\n+ spec.volumeMode: \"Block\"\n\
             - spec.volumeName: \"v\"\n+ spec.volumeName: \"w\"\nvolumeMode: Invalid value: \"Block\": field is immutable\n"
        ),
    );
    let annotated = |class: &str, more: &str| {
        claim(more).replace(
            "namespace: shop",
            &format!("namespace: shop, annotations: {{volume.beta.kubernetes.io/storage-class: {class}}}"),
        )
    };
    change(&annotated("old", ""), "{phase: Pending}", &claim(", storageClassName: old"), "");
    change(
        &annotated("old", ""),
        "{phase: Pending}",
        &annotated("new", ""),
        "metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: \"new\": field is immutable\n",
    );
    change(
        &claim(", volumeAttributesClassName: gold"),
        "{phase: Bound, currentVolumeAttributesClassName: gold}",
        &claim(""),
        "spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is not nil\n",
    );
}

#[test]
fn statuses_of_claims() {
    check_status::<PersistentVolumeClaim>(&claim(""), "status: {phase: Bound, capacity: {storage: 1Gi}}", "");
    check_status::<PersistentVolumeClaim>(
        CLAIM,
        "status: {capacity: {storage: '-2'}, allocatedResources: {cpu: '1', storage: '-1', example.com/x: '1'}, \
         allocatedResourceStatuses: {storage: NodeResizePending, 'a b': NodeResizePending, example.com/y: Soon}}",
        "Spec.accessModes: Required value\n\
         status.capacity[storage]: Invalid value: -2: must be a valid resource quantity\n\
         status.allocatedResourceStatuses: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')\n\
         status.allocatedResourceStatuses: Unsupported value: \"example.com/y\": supported values: \"ControllerResizeInProgress\", \
         \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \"NodeResizeInfeasible\", \"NodeResizePending\"\n\
         status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"\n\
         status.allocatedResources[storage]: Invalid value: \"-1\": must be greater than or equal to 0\n",
    );
}
