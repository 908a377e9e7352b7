//! Plans as tables, and volumes on a real disk. Groups are checked when the tests run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};
use serde_json::{Value, json};

use super::*;
use crate::node::runtime::{Mount, MountSource, Propagation};

/// A folder of the test's own, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("coracle-volumes-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path.canonicalize().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A configMap `cm` with the data given, and a secret `s`.
struct Objects(Value);

impl Lookup for Objects {
    fn config_map(&self, _: &str, name: &str) -> Option<Arc<ConfigMap>> {
        let map = json!({ "data": self.0, "binaryData": { "bin": "AAEC" } });
        (name == "cm").then(|| Arc::new(serde_json::from_value(map).unwrap()))
    }
    fn secret(&self, _: &str, name: &str) -> Option<Arc<Secret>> {
        let secret = json!({ "data": { "key": "c2VjcmV0" } });
        (name == "s").then(|| Arc::new(serde_json::from_value(secret).unwrap()))
    }
}

fn objects() -> Objects {
    Objects(json!({ "a": "1", "b": "2" }))
}

fn pod(volumes: Value, mounts: Value, fs_group: Option<u32>) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "shop", "labels": { "app": "web" } },
        "spec": {
            "securityContext": { "fsGroup": fs_group },
            "volumes": volumes,
            "containers": [{ "name": "c", "volumeMounts": mounts, "resources": { "limits": { "cpu": "2" } } }],
        },
    }))
    .unwrap()
}

fn one(source: Value) -> Value {
    let mut volume = source;
    volume["name"] = json!("v");
    json!([volume])
}

/// One line for a plan: `path=bytes(mode)` for files.
fn check(source: Value, expected: &str) {
    let found = match plan(&pod(one(source), json!([]), None), &objects()) {
        Err(error) => format!("! {error}"),
        Ok(planned) => match &planned[0].source {
            VolumeSource::Files(payload) => {
                let line = |(path, file): (&String, &FileProjection)| {
                    format!("{path}={}({:o})", String::from_utf8_lossy(&file.bytes), file.mode)
                };
                payload.files().iter().map(line).collect::<Vec<_>>().join(" ")
            }
            VolumeSource::Driver(volume) => format!("Driver {}", volume.name),
            other => format!("{other:?}"),
        },
    };
    let prefix = "! MountVolume.SetUp failed for volume \"v\" : ";
    let expected = expected.strip_prefix("! ").map(|e| format!("{prefix}{e}")).unwrap_or(expected.to_owned());
    assert_eq!(found, expected);
}

#[test]
fn plans_of_every_kind() {
    check(json!({}), "EmptyDir");
    check(json!({ "emptyDir": {} }), "EmptyDir");
    check(
        json!({ "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } }),
        "Memory { size_limit: Some(67108864) }",
    );
    check(json!({ "emptyDir": { "medium": "Disk" } }), "! unknown storage medium \"Disk\"");
    check(json!({ "hostPath": { "path": "/x", "type": "File" } }), "HostPath { path: \"/x\", kind: File }");
    check(json!({ "hostPath": { "path": "/x", "type": "Pipe" } }), "! Pipe is an invalid volume type");
    check(
        json!({ "hostPath": { "path": "/x/../y" } }),
        "! invalid path: must be an absolute path without '..': /x/../y",
    );
    check(json!({ "nfs": { "server": "s", "path": "/" } }), "Driver v");
}

#[test]
fn plans_of_files() {
    check(json!({ "configMap": { "name": "cm" } }), "a=1(644) b=2(644) bin=\u{0}\u{1}\u{2}(644)");
    check(
        json!({ "configMap": { "name": "cm", "defaultMode": 0o400, "items": [
            { "key": "a", "path": "x/./y//a" }, { "key": "b", "path": "b", "mode": 0o755 } ] } }),
        "b=2(755) x/y/a=1(400)",
    );
    check(json!({ "configMap": { "name": "no" } }), "! configmap \"no\" not found");
    check(json!({ "configMap": { "name": "no", "optional": true } }), "");
    let items = |optional: bool| json!({ "name": "cm", "optional": optional, "items": [{ "key": "z", "path": "z" }] });
    check(json!({ "configMap": items(false) }), "! configmap references non-existent config key: z");
    check(json!({ "configMap": items(true) }), "");
    check(json!({ "secret": { "secretName": "s" } }), "key=secret(644)");
    check(json!({ "secret": { "secretName": "no" } }), "! secret \"no\" not found");
    check(
        json!({ "secret": { "secretName": "s", "items": [{ "key": "z", "path": "z" }] } }),
        "! references non-existent secret key: z",
    );
    check(
        json!({ "downwardAPI": { "items": [
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
            { "path": "cpu", "resourceFieldRef": { "containerName": "c", "resource": "limits.cpu" } } ] } }),
        "cpu=2(644) labels=app=\"web\"(644)",
    );
    check(
        json!({ "downwardAPI": { "items": [{ "path": "ip", "fieldRef": { "fieldPath": "status.podIP" } }] } }),
        "! unsupported fieldPath: status.podIP",
    );
    check(
        json!({ "projected": { "defaultMode": 0o440, "sources": [
            { "secret": { "name": "s", "items": [{ "key": "key", "path": "deep/key" }] } },
            { "configMap": { "name": "cm", "items": [{ "key": "a", "path": "a" }] } },
            { "downwardAPI": { "items": [{ "path": "n", "fieldRef": { "fieldPath": "metadata.name" } }] } } ] } }),
        "a=1(440) deep/key=secret(440) n=p(440)",
    );
    check(
        json!({ "projected": { "sources": [
            { "secret": { "name": "no" } }, { "configMap": { "name": "nor" } } ] } }),
        "! [secret \"no\" not found, configmap \"nor\" not found]",
    );
    check(
        json!({ "projected": { "sources": [{ "serviceAccountToken": { "path": "token" } }] } }),
        "! service account tokens are not issued (asked for )",
    );
}

#[test]
fn paths_that_lead_out_are_refused() {
    for (path, expected) in [
        ("", "must not be empty: \"\""),
        (".", "must not be empty: \".\""),
        ("/a", "must be relative path: /a"),
        ("../a", "must not contain '..': ../a"),
        ("a/../../b", "must not contain '..': a/../../b"),
        ("..data", "must not start with '..': ..data"),
        ("./..data/x", "must not start with '..': ./..data/x"),
    ] {
        check(
            json!({ "configMap": { "name": "cm", "items": [{ "key": "a", "path": path }] } }),
            &format!("! invalid path: {expected}"),
        );
    }
    let long = "x".repeat(256);
    assert!(plan::clean_path(&long).is_err() && plan::clean_path(&format!("a/{long}")).is_err());
    assert!(plan::clean_path(&"x/".repeat(2049)).is_err());
    assert_eq!(plan::clean_path("a..b/..c").unwrap(), "a..b/..c");
}

fn now(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_change_by_one_swap() {
    let place = Place::new();
    let items = json!([{ "key": "a", "path": "a" }, { "key": "b", "path": "dir/b", "mode": 0o600 }]);
    let pod =
        pod(one(json!({ "configMap": { "name": "cm", "optional": true, "items": items } })), json!([]), None);
    let planned = |data: Value| plan(&pod, &Objects(data)).unwrap();
    let first = planned(json!({ "a": "1", "b": "2" }));
    let mut set = VolumeSet::setup(&place.0, &first, now(0), &[]).unwrap();
    let folder = place.0.join("volumes/v");
    let text = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    assert_eq!(names(&folder), ["..2023_11_14_22_13_20.0", "..data", "a", "dir"]);
    assert_eq!(fs::read_link(folder.join("a")).unwrap(), Path::new("..data/a"));
    assert_eq!((text("a"), text("dir/b")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(fs::metadata(folder.join("dir/b")).unwrap().mode() & 0o7777, 0o600);
    // Nothing new changes nothing.
    assert_eq!(set.update(&first, now(1)).unwrap(), Vec::<String>::new());
    assert_eq!(names(&folder)[0], "..2023_11_14_22_13_20.0");
    // A descriptor of the old content keeps it; a path through the link has the new.
    let old = fs::File::open(folder.join("a")).unwrap();
    let link = fs::symlink_metadata(folder.join("a")).unwrap().ino();
    assert_eq!(set.update(&planned(json!({ "a": "10", "b": "2" })), now(0)).unwrap(), ["v"]);
    assert_eq!(names(&folder)[0], "..2023_11_14_22_13_20.1");
    assert_eq!((text("a"), std::io::read_to_string(old).unwrap()), ("10".to_owned(), "1".to_owned()));
    assert_eq!(fs::symlink_metadata(folder.join("a")).unwrap().ino(), link);
    // What a kill left in the middle of a swap is no hindrance.
    symlink("nowhere", folder.join("..data_tmp")).unwrap();
    assert_eq!(set.update(&planned(json!({ "b": "3" })), now(2)).unwrap(), ["v"]);
    assert_eq!(names(&folder), ["..2023_11_14_22_13_22.0", "..data", "dir"]);
    assert_eq!(text("dir/b"), "3");
    drop(set);
    // A second setup finds what is there.
    let set = VolumeSet::setup(&place.0, &planned(json!({ "b": "3" })), now(9), &[]).unwrap();
    assert_eq!(names(&folder)[0], "..2023_11_14_22_13_22.0");
    drop(set);
    VolumeSet::teardown(&place.0, &[]).unwrap();
    VolumeSet::teardown(&place.0, &[]).unwrap();
    assert_eq!(names(&place.0), Vec::<String>::new());
}

#[test]
fn readers_never_see_a_mixture() {
    let place = Place::new();
    let payload = |text: &str| {
        let mut payload = Payload::default();
        for name in ["x", "y"] {
            payload.insert(name, FileProjection { bytes: text.into(), mode: 0o644 }).unwrap();
        }
        payload
    };
    atomic::write(&place.0, &payload("0"), None, now(0)).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // One look at the link, then everything from there; it may be gone by then.
                let Ok(data) = fs::read_link(place.0.join("..data")) else { panic!("no data") };
                let read = |name: &str| fs::read_to_string(place.0.join(&data).join(name));
                if let (Ok(x), Ok(y)) = (read("x"), read("y")) {
                    assert_eq!(x, y);
                }
            }
        });
        for n in 1..300 {
            atomic::write(&place.0, &payload(&n.to_string()), None, now(n)).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(names(&place.0).len(), 4);
}

#[test]
fn a_group_may_use_the_volumes() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("REQUIRE_ROOT").is_err(), "needs root");
        eprintln!("SKIPPED: needs root: a_group_may_use_the_volumes");
        return;
    }
    let place = Place::new();
    if std::os::unix::fs::chown(&place.0, None, Some(2000)).is_err() {
        eprintln!("SKIPPED: needs a group 2000 in this user namespace: a_group_may_use_the_volumes");
        return;
    }
    let volumes = json!([
        { "name": "v", "secret": { "secretName": "s", "defaultMode": 0o400 } },
        { "name": "e", "emptyDir": {} },
    ]);
    let planned = plan(&pod(volumes, json!([]), Some(2000)), &objects()).unwrap();
    VolumeSet::setup(&place.0, &planned, now(0), &[]).unwrap();
    let look = |path: &str| {
        let metadata = fs::metadata(place.0.join("volumes").join(path)).unwrap();
        (metadata.gid(), metadata.mode() & 0o7777)
    };
    assert_eq!(look("v/key"), (2000, 0o440));
    assert_eq!(look("v/..data"), (2000, 0o2755));
    assert_eq!(look("e"), (2000, 0o2777));
    assert_eq!(fs::metadata(place.0.join("volumes")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn host_paths_are_checked_and_made() {
    let place = Place::new();
    fs::write(place.0.join("file"), "x").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.0.join("socket")).unwrap();
    let table = [
        ("Directory", "none", "is not a directory"),
        ("Directory", "file", "is not a directory"),
        ("Directory", ".", ""),
        ("DirectoryOrCreate", "file", "is not a directory"),
        ("DirectoryOrCreate", "new/deep", ""),
        ("File", "none", "is not a file"),
        ("File", "file", ""),
        ("FileOrCreate", "created", ""),
        ("FileOrCreate", ".", "is not a file"),
        ("FileOrCreate", "no/folder", "No such file"),
        ("Socket", "file", "is not a socket file"),
        ("Socket", "socket", ""),
        ("CharDevice", "file", "is not a character device"),
        ("CharDevice", "/dev/null", ""),
        ("BlockDevice", "/dev/null", "is not a block device"),
        ("", "made", ""),
        ("", "file", ""),
    ];
    for (kind, path, expected) in table {
        let path = place.0.join(path);
        let planned = plan(
            &pod(one(json!({ "hostPath": { "path": path, "type": kind } })), json!([]), None),
            &objects(),
        );
        let text = VolumeSet::setup(&place.0, &planned.unwrap(), now(0), &[])
            .map_or_else(|e| e.to_string(), |_| String::new());
        assert!(text.contains(expected) && text.is_empty() == expected.is_empty(), "{kind} {path:?}: {text}");
    }
    assert!(
        place.0.join("new/deep").is_dir()
            && place.0.join("created").is_file()
            && place.0.join("made").is_dir()
    );
}

fn mounts(pod: &Pod, place: &Place) -> Result<Vec<Mount>, MountError> {
    let set = VolumeSet::setup(&place.0, &plan(pod, &objects()).unwrap(), now(0), &[]).unwrap();
    let environment = [("POD".to_owned(), "web-1".to_owned()), ("UP".to_owned(), "..".to_owned())];
    set.mounts_for(&pod.spec.as_ref().unwrap().containers[0], &environment)
}

fn mount(extra: Value) -> Value {
    let mut mount = extra;
    mount["name"] = json!("v");
    mount["mountPath"] = json!("/m");
    json!([mount])
}

#[test]
fn sub_paths_stay_inside() {
    let place = Place::new();
    let volume = place.0.join("volumes/v");
    fs::create_dir_all(volume.join("real/inner")).unwrap();
    fs::set_permissions(&volume, PermissionsExt::from_mode(0o2775)).unwrap();
    symlink("/etc", volume.join("absolute")).unwrap();
    symlink("../../..", volume.join("up")).unwrap();
    symlink("real", volume.join("inside")).unwrap();
    symlink("loop", volume.join("loop")).unwrap();
    let refused = "failed to prepare subPath for volumeMount \"v\" of container \"c\"";
    let table = [
        (json!({ "subPath": "real/inner" }), "real/inner"),
        (json!({ "subPath": "inside/inner" }), "real/inner"),
        (json!({ "subPath": "new/deep" }), "new/deep"),
        (json!({ "subPathExpr": "logs/$(POD)" }), "logs/web-1"),
        (json!({ "subPath": "absolute" }), refused),
        (json!({ "subPath": "absolute/passwd" }), refused),
        (json!({ "subPath": "absolute/new" }), refused),
        (json!({ "subPath": "up/etc" }), refused),
        (json!({ "subPath": "loop/x" }), refused),
        (json!({ "subPath": "/etc" }), "error SubPath `/etc` must not be an absolute path"),
        (json!({ "subPath": "a/../../b" }), "unable to provision SubPath `a/../../b`: must not contain '..'"),
        (json!({ "subPathExpr": "$(UP)/x" }), "unable to provision SubPath `../x`: must not contain '..'"),
        (json!({ "subPathExpr": "$(NO)/$(NOR)" }), "missing value for NO, NOR"),
    ];
    for (extra, expected) in table {
        let found = match mounts(&pod(one(json!({ "emptyDir": {} })), mount(extra.clone()), None), &place) {
            Err(error) => error.to_string(),
            Ok(mounts) => match &mounts[0].source {
                MountSource::Host(path) => path.strip_prefix(&volume).unwrap().display().to_string(),
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(found, expected, "{extra}");
    }
    assert_eq!(
        fs::metadata(volume.join("new/deep")).unwrap().mode() & 0o7777,
        0o2775,
        "the volume's own mode"
    );
}

#[test]
fn mounts_say_what_the_container_asks() {
    let place = Place::new();
    let volumes = json!([
        { "name": "cm", "configMap": { "name": "cm" } },
        { "name": "e", "emptyDir": {} },
        { "name": "m", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
    ]);
    let list = json!([
        { "name": "cm", "mountPath": "/etc/cm" },
        { "name": "cm", "mountPath": "/etc/one", "subPath": "a" },
        { "name": "e", "mountPath": "/etc/cm/sub/e", "readOnly": true, "mountPropagation": "HostToContainer" },
        { "name": "m", "mountPath": "relative", "subPath": "x" },
    ]);
    let found = mounts(&pod(volumes.clone(), list, None), &place).unwrap();
    let volume = |name: &str| place.0.join("volumes").join(name);
    assert_eq!(found[0].source, MountSource::Host(volume("cm")));
    assert!(found[0].read_only && volume("cm/sub/e").is_dir(), "a mount point in a read-only volume");
    let MountSource::Host(one) = &found[1].source else { panic!() };
    assert!(one.starts_with(volume("cm")) && fs::read(one).unwrap() == b"1");
    assert!(fs::symlink_metadata(one).unwrap().is_file());
    assert_eq!((found[2].read_only, found[2].propagation), (true, Propagation::HostToContainer));
    let memory = MountSource::PodTmpfs { name: "m".into(), size_limit: Some(1 << 20), sub_path: "x".into() };
    assert_eq!(
        (&found[3].source, found[3].target.as_str(), found[3].read_only),
        (&memory, "/relative", false)
    );
    let missing = mounts(&pod(volumes, mount(json!({})), None), &place).unwrap_err().to_string();
    assert_eq!(missing, "cannot find volume \"v\" to mount into container \"c\"");
}

#[test]
fn drivers_make_further_kinds() {
    #[derive(Debug)]
    struct Nfs;
    impl VolumeDriver for Nfs {
        fn handles(&self, volume: &Volume) -> bool {
            volume.nfs.is_some()
        }
        fn setup(&self, _: &Volume, folder: &Path) -> Result<PathBuf, String> {
            Ok(folder.join("mounted"))
        }
        fn teardown(&self, name: &str, _: &Path) -> Result<(), String> {
            if name == "v" { Err("still busy".to_owned()) } else { Ok(()) }
        }
    }
    let place = Place::new();
    let planned =
        plan(&pod(one(json!({ "nfs": { "server": "s", "path": "/" } })), json!([]), None), &objects())
            .unwrap();
    let error = VolumeSet::setup(&place.0, &planned, now(0), &[]).unwrap_err().to_string();
    assert!(error.contains("need a driver"), "{error}");
    let drivers: Vec<Arc<dyn VolumeDriver>> = vec![Arc::new(Nfs)];
    VolumeSet::setup(&place.0, &planned, now(0), &drivers).unwrap();
    let failures = VolumeSet::teardown(&place.0, &drivers).unwrap_err();
    assert!(failures[0].to_string().contains("still busy"));
    VolumeSet::teardown(&place.0, &[]).unwrap();
}
