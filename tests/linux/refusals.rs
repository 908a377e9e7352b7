//! Pods that cannot run, and what they and their events say about it.

use std::fs::{self, File};
use std::path::Path;

use coracle::client::{DeleteOptions, conditions};
use coracle::cluster::{Cluster, ClusterBuilder};
use coracle::k8s_openapi::api::core::v1::Pod;
use sha2::{Digest, Sha256};

use crate::rig::{Folder, PATIENCE, Rig, can_run, pod, terminated};

fn with_image(name: &str, image: &str, more: &str) -> String {
    pod(name, "exec sleep 100000", more, "").replace("BUSYBOX", image)
}

#[test]
fn images_that_are_not_there() {
    let Some(rig) = Rig::start("images_that_are_not_there") else { return };
    rig.apply(&with_image("missing", "test/none:1", ""));
    rig.apply(&with_image("wrong", "Not/An:Image:Name", ""));
    rig.apply(&with_image("never", "test/none:1", "imagePullPolicy: Never"));
    rig.event("missing", "Pulling", "Pulling image \"test/none:1\"");
    rig.event("missing", "Failed", "Failed to pull image \"test/none:1\": ");
    rig.event("missing", "Failed", "Error: ErrImagePull");
    let message = rig.waiting("missing", "ImagePullBackOff");
    assert!(message.starts_with("Back-off pulling image \"test/none:1\": ErrImagePull: "), "{message}");
    rig.event("missing", "BackOff", "Back-off pulling image \"test/none:1\"");
    let message = rig.waiting("wrong", "InvalidImageName");
    assert!(
        message.contains("couldn't parse image name \"Not/An:Image:Name\": invalid reference format"),
        "{message}"
    );
    rig.event("wrong", "InspectFailed", "Failed to apply default image tag \"Not/An:Image:Name\": ");
    let message = rig.waiting("never", "ErrImageNeverPull");
    assert_eq!(message, "Container image \"test/none:1\" is not present with pull policy of Never");
    rig.event("never", "ErrImageNeverPull", &message);
    for name in ["missing", "wrong", "never"] {
        assert_eq!(rig.phase(name, "Pending")["spec"]["nodeName"], "node-1");
        rig.delete(name);
    }
    rig.end();
}

#[test]
fn an_image_that_comes_later_is_found() {
    let with = |builder: ClusterBuilder, folder: &Path| {
        fs::create_dir_all(folder.join("late")).unwrap();
        builder.image_folder(folder.join("late"))
    };
    let Some(rig) = Rig::start_with("an_image_that_comes_later_is_found", with) else { return };
    rig.apply(&with_image("patient", "test/later:1", ""));
    rig.waiting("patient", "ImagePullBackOff");
    let archive = rig.folder().join("later.tar");
    crate::images::program(&["/usr/bin/busybox", "/bin/busybox"], "busybox-static");
    let builder = coracle::node::images::ImageBuilder::new("test/later:1");
    let builder = builder.copy_binary_to("/usr/bin/busybox", "/bin/busybox");
    let builder = builder.symlink("/bin/sh", "busybox").symlink("/bin/sleep", "busybox");
    builder.write_oci_archive(&archive).unwrap();
    fs::rename(archive, rig.folder().join("late/later.tar")).unwrap();
    rig.ready("patient");
    rig.event("patient", "Pulled", "Successfully pulled image \"test/later:1\" in ");
    rig.delete("patient");
    rig.end();
}

#[test]
fn programs_that_cannot_be_run() {
    let Some(rig) = Rig::start("programs_that_cannot_be_run") else { return };
    let command = |name: &str, command: &str| {
        let text = pod(name, "true", "", "restartPolicy: Never");
        rig.apply(&text.replace("[/bin/sh, -c, \"true\"]", command));
    };
    command("absent", "[/no/such/program]");
    command("unknown", "[no-such-program]");
    command("folder", "[/bin]");
    command("unfit", "[/etc/passwd]");
    for (name, sentence) in [
        ("absent", "exec: \"/no/such/program\": stat /no/such/program: no such file or directory"),
        ("unknown", "exec: \"no-such-program\": executable file not found in $PATH"),
        ("folder", "exec: \"/bin\": "),
        ("unfit", "exec: \"/etc/passwd\": permission denied"),
    ] {
        let failed = rig.phase(name, "Failed");
        let end = terminated(&failed, "main");
        assert_eq!((&end["exitCode"], &end["reason"]), (&128.into(), &"StartError".into()), "{name} {end}");
        let message = end["message"].as_str().unwrap();
        assert!(message.contains(sentence), "{name}: {message}");
        rig.event(name, "Failed", sentence);
    }
    rig.apply(&pod("again", "true", "", "").replace("[/bin/sh, -c, \"true\"]", "[/no/such/program]"));
    rig.waiting("again", "CrashLoopBackOff");
    rig.pod_when("again", "has ended with 128", |pod| terminated(pod, "main")["exitCode"] == 128);
    rig.end();
}

#[test]
fn inputs_that_are_not_there_and_come_later() {
    let Some(rig) = Rig::start("inputs_that_are_not_there_and_come_later") else { return };
    let env = "env: [{name: A, valueFrom: {configMapKeyRef: {name: late, key: a}}}]";
    let mounts = "volumeMounts: [{name: files, mountPath: /files}]";
    rig.apply(&pod("env", "exec sleep 100000", env, ""));
    rig.apply(&pod(
        "volume",
        "exec sleep 100000",
        mounts,
        "volumes: [{name: files, configMap: {name: late}}]",
    ));
    rig.apply(&pod(
        "host",
        "exec sleep 100000",
        mounts,
        "volumes: [{name: files, hostPath: {path: FOLDER/none, type: Directory}}]",
    ));
    assert_eq!(rig.waiting("env", "CreateContainerConfigError"), "configmap \"late\" not found");
    rig.event("env", "Failed", "Error: configmap \"late\" not found");
    rig.event(
        "volume",
        "FailedMount",
        "MountVolume.SetUp failed for volume \"files\" : configmap \"late\" not found",
    );
    rig.waiting("volume", "ContainerCreating");
    rig.event("host", "FailedMount", "hostPath type check failed: ");
    rig.waiting("host", "ContainerCreating");
    rig.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: late}, data: {b: other}}");
    assert_eq!(rig.exec("volume", "main", "cat /files/b").1, "other");
    rig.event("env", "Failed", "Error: couldn't find key a in ConfigMap default/late");
    rig.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: late}, data: {a: here}}");
    rig.ready("env");
    assert_eq!(rig.exec("env", "main", "echo $A").1, "here");
    fs::create_dir(rig.folder().join("none")).unwrap();
    rig.ready("host");
    rig.end();
}

#[test]
fn a_full_address_range_is_told_and_recovers() {
    let with = |builder: ClusterBuilder, _: &Path| builder.pod_range("10.199.77.0/29".parse().unwrap());
    let Some(rig) = Rig::start_with("a_full_address_range_is_told_and_recovers", with) else { return };
    let names: Vec<String> = (0..8).map(|number| format!("pod-{number}")).collect();
    for name in &names {
        rig.apply(&pod(name, "exec sleep 100000", "", "terminationGracePeriodSeconds: 0").replacen(
            "  terminationGracePeriodSeconds: 1\n",
            "",
            1,
        ));
    }
    let pods = rig.client.namespaced::<Pod>("default");
    let running = pods.wait("", conditions::ready(5), PATIENCE).unwrap();
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let one = running.iter().find(|pod| phase(pod) == "Running").unwrap().name().to_owned();
    let full = "Failed to create pod sandbox: ";
    let waiting = crate::rig::until("a pod waits for an address", || {
        let events = rig.client.namespaced::<coracle::k8s_openapi::api::core::v1::Event>("default");
        let found = events.list(&Default::default()).unwrap().items;
        let found = found.into_iter().find(|event| {
            event.reason.as_deref() == Some("FailedCreatePodSandBox")
                && event
                    .message
                    .as_deref()
                    .is_some_and(|text| text.starts_with(full) && text.contains("10.199.77.0/29"))
        })?;
        found.involved_object.name.clone()
    });
    rig.phase(&waiting, "Pending");
    let before = pods.list(&Default::default()).unwrap().items;
    let before = before.iter().filter(|pod| phase(pod) == "Running").count();
    rig.delete(&one);
    pods.wait("", conditions::ready(before), PATIENCE)
        .unwrap_or_else(|cause| panic!("{cause}\n{}", rig.told()));
    for name in names.iter().filter(|name| **name != one) {
        let now = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
        pods.delete(name, &now).unwrap();
    }
    pods.wait("", conditions::gone(), PATIENCE).unwrap();
    rig.end();
}

/// Adds a file under a name that the tar library itself refuses to write.
fn add(archive: &mut tar::Builder<impl std::io::Write>, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

/// A `docker save` archive whose layer leads out of its root.
fn escaping_archive(path: &Path) {
    let mut layer = tar::Builder::new(Vec::new());
    add(&mut layer, "etc/fine", b"fine");
    add(&mut layer, "../../../../../../../../tmp/coracle-escaped", b"out");
    let layer = layer.into_inner().unwrap();
    let digest = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
    );
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    add(&mut archive, "config.json", config.as_bytes());
    add(&mut archive, "layer.tar", &layer);
    add(
        &mut archive,
        "manifest.json",
        br#"[{"Config":"config.json","RepoTags":["test/escape:1"],"Layers":["layer.tar"]}]"#,
    );
    archive.finish().unwrap();
}

#[test]
fn an_archive_that_leads_out_is_refused() {
    let with = |builder: ClusterBuilder, folder: &Path| {
        fs::create_dir_all(folder.join("bad")).unwrap();
        escaping_archive(&folder.join("bad/escape.tar"));
        builder.image_folder(folder.join("bad"))
    };
    let Some(rig) = Rig::start_with("an_archive_that_leads_out_is_refused", with) else { return };
    rig.apply(&with_image("escape", "test/escape:1", ""));
    let text = rig.event("escape", "Failed", "Failed to pull image \"test/escape:1\": ");
    assert!(text.contains("coracle-escaped"), "{text}");
    rig.waiting("escape", "ImagePullBackOff");
    assert!(!Path::new("/tmp/coracle-escaped").exists());
    rig.end();
}

#[test]
fn a_cluster_with_a_broken_image_does_not_start() {
    if !can_run("a_cluster_with_a_broken_image_does_not_start") {
        return;
    }
    let folder = Folder::new("broken");
    escaping_archive(&folder.path().join("escape.tar"));
    let state = folder.path().join("state");
    let builder = Cluster::builder().node("node-1").state_dir(&state).image(folder.path().join("escape.tar"));
    let refused = builder.start().unwrap_err().to_string();
    assert!(refused.contains("coracle-escaped"), "{refused}");
    assert!(!Path::new("/tmp/coracle-escaped").exists());
    let left: Vec<_> = fs::read_dir(&state).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}
