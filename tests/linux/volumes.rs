//! Volumes as containers see them.

use crate::rig::{Rig, until};

const POD: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: files}
data: {one: first, two: second}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {password: b3BlbiBzZXNhbWU=}
---
apiVersion: v1
kind: Pod
metadata: {name: holder, labels: {app: holder}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: writer
    image: BUSYBOX
    command: [/bin/sh, -c, 'echo shared > /shared/file; exec sleep 100000']
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: memory, mountPath: /memory}
    - {name: host, mountPath: /host}
    - {name: all, mountPath: /all}
    - {name: items, mountPath: /items}
    - {name: secret, mountPath: /secret, readOnly: true}
    - {name: all, mountPath: /alone, subPath: one}
    - {name: shared, mountPath: /part, subPath: deep/part}
    - {name: down, mountPath: /down}
    - {name: projected, mountPath: /projected}
  - name: reader
    image: BUSYBOX
    command: [/bin/sleep, '100000']
    volumeMounts:
    - {name: shared, mountPath: /seen}
    - {name: memory, mountPath: /memory}
    - {name: host, mountPath: /host, readOnly: true}
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: host, hostPath: {path: FOLDER/host, type: DirectoryOrCreate}}
  - {name: all, configMap: {name: files, defaultMode: 0644}}
  - {name: items, configMap: {name: files, items: [{key: two, path: deep/2, mode: 0400}]}}
  - {name: secret, secret: {secretName: key, defaultMode: 0440}}
  - {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - name: projected
    projected:
      sources:
      - {configMap: {name: files, items: [{key: one, path: a/1}]}}
      - {secret: {name: key}}
"#;

/// Container, script, exit code and output.
const SEEN: &str = "
reader | cat /seen/file                                     | 0 | shared
writer | ls /items /items/deep | tr '\\n' ' '                 | 0 | /items: deep  /items/deep: 2
writer | cat /items/deep/2                                  | 0 | second
writer | stat -L -c %a /items/deep/2 /all/one /secret/password | 0 | 400 644 440
writer | cat /secret/password                               | 0 | open sesame
writer | echo x > /secret/password                          | 1 | /bin/sh: can't create /secret/password: Read-only file system
writer | grep -c ' /memory tmpfs ' /proc/mounts        | 0 | 1
writer | echo kept > /memory/file                           | 0 |
reader | cat /memory/file                                   | 0 | kept
writer | head -c 2000000 /dev/zero 2>/dev/null > /memory/big | 1 |
writer | stat -c %s /memory/big                             | 0 | 1044480
writer | rm /memory/big                                     | 0 |
writer | echo to the host > /host/file                      | 0 |
reader | cat /host/file                                     | 0 | to the host
reader | echo x > /host/other                               | 1 | /bin/sh: can't create /host/other: Read-only file system
writer | echo part > /part/file; cat /shared/deep/part/file | 0 | part
writer | cat /alone                                         | 0 | first
writer | cat /down/labels                                   | 0 | app=\"holder\"
writer | cat /projected/a/1 /projected/password             | 0 | firstopen sesame
writer | echo x > /etc/written; cat /etc/written            | 0 | x
";

#[test]
fn volumes_are_what_the_pod_says() {
    let Some(rig) = Rig::start("volumes_are_what_the_pod_says") else { return };
    rig.apply(POD);
    rig.ready("holder");
    until("the writer has written", || {
        (rig.exec("holder", "writer", "cat /shared/file").0 == 0).then_some(())
    });
    for row in SEEN.trim().lines() {
        let (rest, output) = row.rsplit_once('|').unwrap();
        let (rest, code) = rest.rsplit_once('|').unwrap();
        let (container, script) = rest.split_once('|').unwrap();
        let answer = rig.exec("holder", container.trim(), script.trim());
        let said = answer.1.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((answer.0, said), (code.trim().parse().unwrap(), wanted), "{row}");
    }
    let host = rig.folder().join("host/file");
    assert_eq!(std::fs::read_to_string(host).unwrap(), "to the host\n");
    // Nothing of it stands in the host's own table of mounts.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&rig.id), "{mounts}");

    let changed = POD.split("---").next().unwrap().replace("first", "newer");
    rig.apply(&changed);
    until("the running container sees the changed file", || {
        (rig.exec("holder", "writer", "cat /all/one").1 == "newer").then_some(())
    });
    assert_eq!(rig.exec("holder", "writer", "cat /projected/a/1").1, "newer");
    assert_eq!(rig.exec("holder", "writer", "cat /alone").1, "first", "a subPath never changes");
    rig.delete("holder");
    rig.end();
}
