//! Pods of a folder of manifests, and their mirrors in the API.

use std::fs;
use std::path::Path;

use coracle::client::conditions;
use coracle::k8s_openapi::api::core::v1::Pod;

use crate::images::BUSYBOX;
use crate::rig::{PATIENCE, Rig, until};

/// Puts a manifest in place as careful programs do: written beside, then renamed.
fn place(folder: &Path, text: &str) {
    let hidden = folder.join(".fixed.yaml");
    fs::write(&hidden, text).unwrap();
    fs::rename(&hidden, folder.join("fixed.yaml")).unwrap();
}

fn manifest(version: u32) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: fixed}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  - name: main\n    image: {BUSYBOX}\n    command: [/bin/sleep, '{version}00000']\n"
    )
}

#[test]
fn a_manifest_in_the_folder_runs_and_has_a_mirror() {
    let with = |builder: coracle::cluster::ClusterBuilder, folder: &Path| {
        let statics = folder.join("manifests");
        fs::create_dir_all(&statics).unwrap();
        place(&statics, &manifest(1));
        builder.static_pods(statics)
    };
    let Some(rig) = Rig::start_with("a_manifest_in_the_folder_runs", with) else { return };
    let folder = rig.folder().join("manifests");
    let runs = |version: u32| {
        until(&format!("version {version} runs"), || {
            let title = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let wanted = format!("/bin/sleep\0{version}00000\0");
            crate::machine::processes(&rig.id).iter().any(|pid| title(pid) == wanted).then_some(())
        });
    };
    runs(1);
    let mirror = rig.ready("fixed-node-1");
    let annotations = &mirror["metadata"]["annotations"];
    assert!(annotations["kubernetes.io/config.mirror"].is_string(), "{annotations}");
    assert_eq!(annotations["kubernetes.io/config.source"], "file");
    assert_eq!(mirror["metadata"]["ownerReferences"][0]["kind"], "Node");
    place(&folder, &manifest(2));
    runs(2);
    rig.ready("fixed-node-1");
    // The whole folder is put in place by renaming it, with a number as YAML 1.1 writes modes.
    let next = rig.folder().join("next");
    fs::create_dir(&next).unwrap();
    let volumes = "  volumes: [{name: files, configMap: {name: none, optional: true, defaultMode: 0640}}]\n";
    place(&next, &(manifest(3) + volumes));
    fs::rename(&folder, rig.folder().join("before")).unwrap();
    fs::rename(&next, &folder).unwrap();
    runs(3);
    place(&folder, &manifest(2));
    runs(2);
    rig.ready("fixed-node-1");
    // Deleting the mirror ends nothing: it comes back.
    let pods = rig.client.namespaced::<Pod>("default");
    let old = pods.get("fixed-node-1").unwrap().uid().to_owned();
    pods.delete(
        "fixed-node-1",
        &coracle::client::DeleteOptions { grace_period_seconds: Some(0), ..Default::default() },
    )
    .unwrap();
    rig.pod_when("fixed-node-1", "is back", |pod| {
        pod["metadata"]["uid"] != old.as_str() && crate::rig::is_ready(pod)
    });
    runs(2);
    fs::remove_file(folder.join("fixed.yaml")).unwrap();
    pods.wait("", conditions::gone(), PATIENCE).unwrap();
    until("no process is left of it", || (crate::machine::processes(&rig.id).len() == 1).then_some(()));
    rig.end();
}
