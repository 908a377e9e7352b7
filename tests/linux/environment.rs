//! What a container is told: its command, arguments and variables; and what it says: its logs.

use crate::rig::{Rig, terminated};

const PODS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: "7"}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: open sesame}
---
apiVersion: v1
kind: Service
metadata: {name: early-bird}
spec: {selector: {app: none}, ports: [{port: 81}]}
---
apiVersion: v1
kind: Pod
metadata: {name: told, labels: {app: told, tier: front}, annotations: {note: by hand}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: BUSYBOX
    workingDir: /tmp/work
    command: [/bin/sh, -c, 'pwd; for word in "$@"; do echo "arg $word"; done; env | sort', name]
    args: [$(GREETING), $$(GREETING), $(NONE), $(COMBINED)]
    env:
    - {name: GREETING, value: hello}
    - {name: COMBINED, value: $(GREETING)-world-$(LATER)}
    - {name: LATER, value: late}
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: ABSENT, valueFrom: {configMapKeyRef: {name: settings, key: none, optional: true}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: key, key: password}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: TIER, valueFrom: {fieldRef: {fieldPath: "metadata.labels['tier']"}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    envFrom:
    - {prefix: SET_, configMapRef: {name: settings}}
    resources: {limits: {memory: 32Mi}}
"#;

#[test]
fn a_container_is_told_what_its_pod_says() {
    let Some(rig) = Rig::start("a_container_is_told_what_its_pod_says") else { return };
    rig.apply(PODS);
    let pod = rig.phase("told", "Succeeded");
    let said = rig.log("told", "main", 0, "stdout");
    let ip = pod["status"]["podIP"].as_str().unwrap();
    let bird = rig.service("early-bird", 81).ip();
    let expected = format!(
        "/tmp/work
         arg hello
         arg $(GREETING)
         arg $(NONE)
         arg hello-world-$(LATER)
         GREETING=hello
         COMBINED=hello-world-$(LATER)
         LATER=late
         COLOUR=blue
         PASSWORD=open sesame
         POD=told
         NODE=node-1
         TIER=front
         NOTE=by hand
         IP={ip}
         MEMORY=32
         SET_colour=blue
         SET_size=7
         HOSTNAME=told
         EARLY_BIRD_SERVICE_HOST={bird}
         EARLY_BIRD_SERVICE_PORT=81"
    );
    for line in expected.lines() {
        assert!(said.lines().any(|said| said == line.trim()), "{line:?} is missing in:\n{said}");
    }
    assert!(!said.contains("ABSENT="), "{said}");
    rig.end();
}

#[test]
fn what_a_container_says_is_logged() {
    let Some(rig) = Rig::start("what_a_container_says_is_logged") else { return };
    rig.script(
        "talk",
        "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'no end'; exit 3",
        "restartPolicy: Never",
    );
    let pod = rig.phase("talk", "Failed");
    let said = rig.log("talk", "main", 0, "stdout");
    assert_eq!(
        said,
        format!("out\n{}\nno end", "x".repeat(40000)).to_owned()
            + if said.ends_with('\n') { "\n" } else { "" }
    );
    assert_eq!(rig.log("talk", "main", 0, "stderr"), "err\n");
    let end = terminated(&pod, "main");
    assert_eq!((&end["exitCode"], &end["reason"]), (&3.into(), &"Error".into()));
    rig.end();
}
