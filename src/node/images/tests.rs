//! The store against real and hostile archives. Needs no root: what only root may do is checked when it runs as root.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use tar::{EntryType, Header};

use super::*;
use crate::node::runtime::Rootfs;

/// A folder of the test's own, removed at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("coracle-images-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn store(&self) -> ImageStore {
        ImageStore::open(&self.0.join("store"), StoreOptions::default()).unwrap()
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.0.join("store/layers")).unwrap().count()
    }

    fn temps(&self) -> usize {
        fs::read_dir(self.0.join("store/tmp")).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One entry of a test's layer.
struct Item {
    kind: EntryType,
    path: &'static str,
    link: &'static str,
    body: &'static [u8],
    mode: u32,
    pax: Vec<(&'static str, &'static [u8])>,
}

fn item(kind: EntryType, path: &'static str, link: &'static str) -> Item {
    Item { kind, path, link, body: b"", mode: 0o755, pax: Vec::new() }
}

fn file(path: &'static str, body: &'static [u8]) -> Item {
    Item { body, mode: 0o644, ..item(EntryType::Regular, path, "") }
}

/// A tar stream whose names are written as they are, good or bad.
fn tar_of(items: &[Item]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for item in items {
        archive.append_pax_extensions(item.pax.iter().copied()).unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(item.kind);
        header.set_mode(item.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        header.set_size(item.body.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..item.path.len()].copy_from_slice(item.path.as_bytes());
        gnu.linkname[..item.link.len()].copy_from_slice(item.link.as_bytes());
        header.set_cksum();
        archive.append(&header, item.body).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A docker archive with these layers.
fn docker(path: &Path, layers: &[Vec<u8>], tamper: bool) {
    let ids: Vec<String> = layers.iter().map(|l| digest::of(if tamper { b"other" } else { l })).collect();
    let config = json!({
        "os": "linux", "architecture": manifest::architecture(),
        "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let names: Vec<String> = (0..layers.len()).map(|n| format!("{n}/layer.tar")).collect();
    let list = json!([{ "Config": "config.json", "RepoTags": ["bad:1"], "Layers": names }]);
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).unwrap();
    };
    add("config.json", config.to_string().as_bytes());
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer);
    }
    add("manifest.json", list.to_string().as_bytes());
    archive.finish().unwrap();
}

fn paths(image: &Image) -> Vec<PathBuf> {
    match &image.rootfs {
        Rootfs::Layers(layers) => layers.clone(),
        Rootfs::HostRoot(root) => vec![root.clone()],
    }
}

/// A small image; hashing a whole C library takes a while in a debug build.
fn small() -> ImageBuilder {
    ImageBuilder::new("shop/web:v1").file("/srv/index.html", "hello", 0o640)
}

fn builder() -> ImageBuilder {
    ImageBuilder::new("shop/web:v1")
        .file("/srv/index.html", "hello", 0o640)
        .symlink("/index", "srv/index.html")
        .file("/bin/ls", vec![7; 4096], 0o755)
        .entrypoint(["/bin/ls"])
        .cmd(["-l"])
        .env("A", "b=c")
        .user("1000:1000")
        .stop_signal("SIGQUIT")
        .expose("80/tcp")
        .label("x", "y")
}

fn check_built(store: &ImageStore, place: &Place, ids: &[ImageId]) {
    let name = ImageRef::parse("shop/web:v1").unwrap();
    let image = store.resolve(&name).unwrap().unwrap();
    assert_eq!(ids, std::slice::from_ref(&image.id));
    assert_eq!(image.references, [name]);
    assert_eq!(image.config.command_line(&[], &[]), ["/bin/ls", "-l"]);
    assert_eq!(image.config.env[1], ("A".to_owned(), "b=c".to_owned()));
    assert_eq!((image.config.user.as_str(), image.config.stop_signal_number()), ("1000:1000", Some(3)));
    assert!(image.local && image.size > 1000);
    let root = &paths(&image)[0];
    assert_eq!(fs::read(root.join("index")).unwrap(), b"hello");
    assert_eq!(fs::metadata(root.join("srv/index.html")).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    assert!(root.join("bin/ls").exists());
    assert_eq!((place.layers(), place.temps()), (1, 0));
}

#[test]
fn all_three_formats_give_the_same_image() {
    let place = Place::new();
    let store = place.store();
    let (layout, oci, docker) = (place.0.join("layout"), place.0.join("oci.tar"), place.0.join("docker.tar"));
    builder().write_oci_layout(&layout).unwrap();
    builder().gzip(false).write_oci_archive(&oci).unwrap();
    builder().write_docker_archive(&docker).unwrap();
    let zipped = place.0.join("docker.tar.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(File::create(&zipped).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs::read(&docker).unwrap()).unwrap();
    encoder.finish().unwrap();
    for path in [&layout, &oci, &docker, &zipped] {
        let ids = store.import(path, None).unwrap();
        check_built(&store, &place, &ids);
    }
    drop(store);
    // What was there is there after a restart; what was half done is not.
    fs::create_dir(place.0.join("store/tmp/layer-7")).unwrap();
    fs::create_dir(place.0.join("store/layers").join("0".repeat(64))).unwrap();
    let store = place.store();
    let id = store.list()[0].id.clone();
    check_built(&store, &place, &[id]);
    assert!(matches!(
        ImageStore::open(&place.0.join("store"), StoreOptions::default()),
        Err(ImageError::Busy(_))
    ));
}

#[test]
fn hostile_layers_fail_and_leave_nothing() {
    use EntryType::{Directory, Link, Symlink};
    let outside = std::env::temp_dir().join(format!("coracle-escape-{}", std::process::id()));
    let cases: Vec<(&str, Vec<Item>)> = vec![
        ("leads out of the layer by `..`", vec![file("../escape", b"x")]),
        ("leads out of the layer by `..`", vec![file("a/../../escape", b"x")]),
        ("is an absolute path", vec![file("/escape", b"x")]),
        ("passes a symlink", vec![item(Symlink, "l", "/tmp"), file("l/escape", b"x")]),
        ("passes a symlink", vec![item(Symlink, "l", "../.."), file("l/escape", b"x")]),
        ("passes a symlink", vec![item(Symlink, "l", "/tmp"), item(Directory, "l/new", "")]),
        ("passes a symlink", vec![item(Symlink, "l", "/tmp"), item(Symlink, "l/new", "x")]),
        ("passes a symlink", vec![item(Symlink, "l", "/"), item(Link, "h", "l/etc/passwd")]),
        ("passes a loop", vec![item(Symlink, "l", "l"), file("l/x", b"x")]),
        ("hard link whose target leads out", vec![item(Link, "h", "../../etc/passwd")]),
        ("hard link whose target is an absolute", vec![item(Link, "h", "/etc/passwd")]),
        ("find the target of the hard link", vec![item(Link, "h", "missing")]),
        ("is a whiteout that leads out", vec![file("a/.wh...", b"")]),
        ("is a whiteout that leads out", vec![file(".wh.", b"")]),
        ("no folder", vec![file("a", b"x"), file("a/b", b"x")]),
        ("unknown type", vec![item(EntryType::new(b'Z'), "z", "")]),
    ];
    for (expected, items) in cases {
        let place = Place::new();
        let store = place.store();
        let path = place.0.join("bad.tar");
        let good = tar_of(&[file("good", b"good")]);
        docker(&path, &[good, tar_of(&items)], false);
        let error = store.import(&path, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert!(!error.contains('\n'));
        assert_eq!((place.layers(), place.temps()), (0, 0), "{expected}");
        assert!(!place.0.join("escape").exists() && !Path::new("/tmp/escape").exists() && !outside.exists());
        assert!(store.resolve(&ImageRef::parse("bad:1").unwrap()).unwrap().is_none());
    }
}

#[test]
fn broken_archives_are_refused_in_one_sentence() {
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("x.tar");
    let fails = |expected: &str| {
        let error = store.import(&path, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        assert_eq!((place.layers(), place.temps()), (0, 0), "{expected}");
    };
    docker(&path, &[tar_of(&[file("a", b"a")])], true);
    fails("has the digest");
    docker(&path, &[vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0]], false);
    fails("zstd");
    let mut cut = tar_of(&[file("a", b"aaaa")]);
    cut.truncate(514);
    docker(&path, &[cut], false);
    fails("ends within an entry");
    fs::write(&path, b"\x28\xb5\x2f\xfd....").unwrap();
    fails("zstd");
    fs::write(&path, vec![b'x'; 4096]).unwrap();
    fails("no tar archive");
    fs::write(&path, b"").unwrap();
    fails("neither an OCI layout");
    fs::remove_file(&path).unwrap();
    fails("No such file");
}

#[test]
fn a_changed_blob_of_a_layout_is_found() {
    let place = Place::new();
    let store = place.store();
    let layout = place.0.join("layout");
    small().write_oci_layout(&layout).unwrap();
    let mut blobs: Vec<PathBuf> =
        fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|e| e.unwrap().path()).collect();
    blobs.sort();
    for blob in blobs {
        let good = fs::read(&blob).unwrap();
        let mut bad = good.clone();
        let at = bad.len() / 2;
        bad[at] ^= 1;
        fs::write(&blob, bad).unwrap();
        assert!(store.import(&layout, None).is_err());
        assert_eq!((place.layers(), place.temps()), (0, 0));
        fs::write(&blob, good).unwrap();
    }
    // A blob that is a link out of the layout is not followed.
    let blob = fs::read_dir(layout.join("blobs/sha256")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&blob, place.0.join("blob")).unwrap();
    std::os::unix::fs::symlink(place.0.join("blob"), &blob).unwrap();
    assert!(store.import(&layout, None).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn layers_are_unpacked_as_overlayfs_wants_them() {
    use EntryType::{Char, Directory, Link};
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("x.tar");
    let setuid = Item { mode: 0o4755, ..file("bin/su", b"su") };
    let long = Item {
        pax: vec![
            ("path", b"a/long/name/in/pax"),
            ("mtime", b"12.5"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ],
        ..file("short", b"pax")
    };
    let below = tar_of(&[
        Item { mode: 0o1777, ..item(Directory, "tmp/", "") },
        file("gone", b"x"),
        setuid,
        item(Link, "bin/sudo", "bin/su"),
    ]);
    let above = tar_of(&[
        file(".wh.gone", b""),
        file("tmp/x", b"implied folder"),
        item(Directory, "etc", ""),
        file("etc/.wh..wh..opq", b""),
        file(".wh.new", b""),
        item(Directory, "new", ""),
        long,
        item(Char, "null", ""),
        file("twice", b"one"),
        file("twice", b"two"),
    ]);
    docker(&path, &[below, above], false);
    let id = &store.import(&path, None).unwrap()[0];
    let layers = paths(&store.get(id).unwrap());
    let su = fs::metadata(layers[0].join("bin/su")).unwrap();
    assert_eq!((su.mode() & 0o7777, su.mtime(), su.nlink()), (0o4755, 1_000_000, 2));
    let top = &layers[1];
    let gone = fs::symlink_metadata(top.join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(fs::metadata(top.join("tmp")).unwrap().mode() & 0o7777, 0o1777, "taken from the layer below");
    assert_eq!(fs::read(top.join("twice")).unwrap(), b"two");
    let pax = fs::metadata(top.join("a/long/name/in/pax")).unwrap();
    assert_eq!((pax.mtime(), pax.mtime_nsec()), (12, 500_000_000));
    for (folder, opaque) in [("etc", true), ("new", true), ("tmp", false), ("a/long/name/in/pax", false)] {
        let found = ["trusted.overlay.opaque", "user.overlay.opaque", "trusted.overlay.redirect"];
        let found = found.iter().any(|name| has_attribute(&top.join(folder), name));
        assert_eq!(found, opaque, "{folder}");
    }
}

fn has_attribute(path: &Path, name: &str) -> bool {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: both texts end in NUL, and a size of 0 asks for the length alone.
    unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

#[test]
fn sparse_files_are_read_and_bounded() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_path("sparse").unwrap();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(4);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 20);
    gnu.sparse[0].set_offset(4096);
    gnu.sparse[0].set_length(4);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.extend_from_slice(b"data");
    layer.resize(512 * 4, 0);
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("x.tar");
    docker(&path, &[layer.clone()], false);
    let id = &store.import(&path, None).unwrap()[0];
    let content = fs::read(paths(&store.get(id).unwrap())[0].join("sparse")).unwrap();
    assert_eq!((content.len(), &content[4096..4100], content[0]), (1 << 20, b"data".as_slice(), 0));
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(crate::limits::LAYER_BYTES + 1);
    header.set_cksum();
    layer[..512].copy_from_slice(header.as_bytes());
    docker(&path, &[layer], false);
    assert!(matches!(store.import(&path, None), Err(ImageError::TooLarge { .. })));
}

#[test]
fn names_come_from_the_caller_or_the_archive() {
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("a.tar");
    small().write_oci_archive(&path).unwrap();
    let names = |under: Option<&str>| {
        let id = store.import(&path, under).unwrap().remove(0);
        let names: Vec<String> = store.get(&id).unwrap().references.iter().map(ToString::to_string).collect();
        names
    };
    assert_eq!(names(Some("other")), ["docker.io/library/other:v1"]);
    assert_eq!(names(Some("x.io:5000/app:2")), ["docker.io/library/other:v1", "x.io:5000/app:2"]);
    assert!(matches!(store.import(&path, Some("Bad Name")), Err(ImageError::InvalidName { .. })));
    // A bare tag is one of the archive's own name.
    let layout = place.0.join("cache");
    small().write_oci_layout(&layout).unwrap();
    let index = fs::read_to_string(layout.join("index.json")).unwrap();
    fs::write(layout.join("index.json"), index.replace("io.containerd.image.name", "unused")).unwrap();
    store.import(&layout, None).unwrap();
    assert!(store.resolve(&ImageRef::parse("cache:v1").unwrap()).unwrap().is_some());
}

#[test]
fn an_image_of_several_platforms_gives_this_one() {
    let place = Place::new();
    let store = place.store();
    let layout = place.0.join("layout");
    small().write_oci_layout(&layout).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let here = index["manifests"][0].clone();
    let entry = |os: &str, architecture: &str, from: &serde_json::Value| {
        let mut entry = from.clone();
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        entry
    };
    let missing = json!({ "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
    let write = |entries: Vec<serde_json::Value>| {
        let inner = json!({ "schemaVersion": 2, "manifests": entries }).to_string();
        let name = digest::of(inner.as_bytes());
        fs::write(layout.join("blobs/sha256").join(digest::hex(&name).unwrap()), &inner).unwrap();
        let outer = json!({ "schemaVersion": 2, "manifests": [{
            "digest": name, "size": inner.len(), "annotations": { "org.opencontainers.image.ref.name": "multi:1" },
        }] });
        fs::write(layout.join("index.json"), outer.to_string()).unwrap();
    };
    let foreign = [entry("windows", "amd64", &missing), entry("linux", "mips", &missing)];
    write(foreign.to_vec());
    let error = store.import(&layout, None).unwrap_err().to_string();
    assert!(error.contains("it is for linux/mips, windows/amd64, not for linux/"), "{error}");
    let mut all = foreign.to_vec();
    all.push(entry("unknown", "unknown", &missing));
    all.push(entry("linux", manifest::architecture(), &here));
    write(all);
    store.import(&layout, None).unwrap();
    assert!(store.resolve(&ImageRef::parse("multi:1").unwrap()).unwrap().is_some());
    let by_digest = format!("multi@{}", here["digest"].as_str().unwrap());
    assert!(store.resolve(&ImageRef::parse(&by_digest).unwrap()).unwrap().is_some());
}

#[test]
fn unused_images_go_and_held_ones_stay() {
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("a.tar");
    small().write_oci_archive(&path).unwrap();
    let id = store.import(&path, None).unwrap().remove(0);
    let hold = store.hold(&id).unwrap();
    assert_eq!(hold.image().id, id);
    assert_eq!(store.remove_unused(&|_| false).unwrap(), Freed::default());
    drop(hold);
    assert_eq!(store.remove_unused(&|_| true).unwrap(), Freed::default());
    let freed = store.remove_unused(&|_| false).unwrap();
    assert_eq!(freed.images, std::slice::from_ref(&id));
    assert!(freed.bytes > 0 && store.hold(&id).is_none() && store.get(&id).is_none());
    assert_eq!((place.layers(), place.temps()), (0, 0));
}

#[test]
fn threads_that_want_one_layer_unpack_it_once() {
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("a.tar");
    small().write_oci_archive(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    store.import(&path, None).unwrap();
                    store.remove_unused(&|_| false).unwrap();
                }
            });
        }
    });
    store.remove_unused(&|_| false).unwrap();
    assert_eq!((place.layers(), place.temps()), (0, 0));
    assert_eq!(store.import(&path, None).unwrap(), store.import(&path, None).unwrap());
    assert_eq!(place.layers(), 1);
}

#[test]
fn a_folder_of_archives_is_a_source() {
    let place = Place::new();
    let store = place.store();
    let folder = place.0.join("images");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("README.md"), "not an image").unwrap();
    let sources: Vec<Arc<dyn ImageSource>> = vec![Arc::new(FolderSource::new(&folder))];
    let name = ImageRef::parse("shop/web:v1").unwrap();
    let error = store.pull(&name, &sources).unwrap_err().to_string();
    assert_eq!(error, "image \"docker.io/shop/web:v1\" not found: no image source has it");
    fs::write(folder.join("broken.tar"), vec![b'x'; 1024]).unwrap();
    assert!(store.pull(&name, &sources).unwrap_err().to_string().contains("broken.tar"));
    small().write_oci_layout(&folder.join("web")).unwrap();
    let image = store.pull(&name, &sources).unwrap();
    assert!(!image.local && image.references == [name]);
    assert_eq!(place.temps(), 0);
}

#[test]
fn the_host_and_its_program_are_images() {
    let place = Place::new();
    let store = place.store();
    let host = store.resolve(&ImageRef::parse(HOST_IMAGE).unwrap()).unwrap().unwrap();
    assert_eq!(host.rootfs, Rootfs::HostRoot("/".into()));
    let name = ImageRef::parse(SELF_IMAGE).unwrap();
    let own = store.resolve(&name).unwrap().unwrap();
    assert_eq!(own.config.entrypoint, ["/entry"]);
    let root = &paths(&own)[0];
    let entry = fs::metadata(root.join("entry")).unwrap();
    assert_eq!(entry.len(), fs::metadata("/proc/self/exe").unwrap().len());
    assert_eq!(entry.permissions().mode() & 0o555, 0o555);
    let linker = elf::Elf::read(&File::open("/proc/self/exe").unwrap(), Path::new("self")).unwrap();
    assert!(root.join(linker.interpreter.unwrap().strip_prefix("/").unwrap()).exists());
    assert_eq!(fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    assert!(store.hold(&own.id).is_some() && store.hold(&host.id).is_some());
    store.remove_unused(&|_| false).unwrap();
    let made = fs::metadata(root).unwrap().ino();
    drop(store);
    let again = place.store().resolve(&name).unwrap().unwrap();
    assert_eq!(again, own);
    assert_eq!(fs::metadata(root).unwrap().ino(), made, "built once");
}

#[test]
fn programs_of_this_machine_become_images() {
    for program in ["/usr/sbin/nginx", "/usr/bin/redis-server", "/bin/busybox"] {
        if !Path::new(program).exists() {
            eprintln!("SKIPPED: needs {program}");
            continue;
        }
        let path = Path::new(program);
        let closure = elf::closure(&File::open(path).unwrap(), path, path).unwrap();
        assert!(closure.libraries.iter().all(|library| library.source.is_file()), "{closure:?}");
    }
    let place = Place::new();
    let path = place.0.join("x.tar");
    ImageBuilder::new("x").copy_binary("/bin/ls").write_docker_archive(&path).unwrap();
    let store = place.store();
    let id = store.import(&path, None).unwrap().remove(0);
    let root = &paths(&store.get(&id).unwrap())[0];
    assert!(root.join("bin/ls").exists() && root.join("bin/ls").metadata().unwrap().mode() & 0o111 == 0o111);
    let closure =
        elf::closure(&File::open("/bin/ls").unwrap(), Path::new("/bin/ls"), Path::new("/bin/ls")).unwrap();
    for file in closure.libraries.iter().map(|l| &l.target).chain(&closure.interpreter) {
        assert!(root.join(file.strip_prefix("/").unwrap()).is_file(), "{file:?}");
    }
    let error =
        ImageBuilder::new("x").copy_binary("/etc/passwd").write_docker_archive(Path::new("/dev/null"));
    assert!(error.unwrap_err().to_string().contains("is no ELF file"));
}

#[test]
fn command_lines_and_signals_are_dockers() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let config = ImageConfig { entrypoint: words("e"), cmd: words("c d"), ..ImageConfig::default() };
    for (command, args, expected) in [("", "", "e c d"), ("", "a", "e a"), ("x", "", "x"), ("x", "a", "x a")]
    {
        assert_eq!(config.command_line(&words(command), &words(args)), words(expected));
    }
    for (name, number) in
        [("SIGTERM", Some(15)), ("quit", Some(3)), ("9", Some(9)), ("SIGRTMIN+3", Some(37)), ("NO", None)]
    {
        let config = ImageConfig { stop_signal: Some(name.to_owned()), ..ImageConfig::default() };
        assert_eq!(config.stop_signal_number(), number, "{name}");
    }
}

#[test]
fn the_kernel_joins_the_layers() {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("REQUIRE_ROOT").is_err(), "needs root");
        eprintln!("SKIPPED: needs root: the_kernel_joins_the_layers");
        return;
    }
    let place = Place::new();
    let store = place.store();
    let path = place.0.join("x.tar");
    let below = tar_of(&[
        file("gone", b"x"),
        file("kept", b"x"),
        file("opaque/old", b"x"),
        file("replaced/old", b"x"),
        file("merged/old", b"x"),
    ]);
    let above = tar_of(&[
        file(".wh.gone", b""),
        file("opaque/.wh..wh..opq", b""),
        file("opaque/new", b"x"),
        file(".wh.replaced", b""),
        file("replaced/new", b"x"),
        file("merged/new", b"x"),
    ]);
    docker(&path, &[below, above], false);
    let id = &store.import(&path, None).unwrap()[0];
    let layers = paths(&store.get(id).unwrap());
    let point = place.0.join("root");
    fs::create_dir(&point).unwrap();
    // A mount namespace of the thread's own: it ends with the thread.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap();
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            // In a user namespace the marks are of the other kind, and overlayfs is told so.
            let marks = if has_attribute(&layers[1].join("opaque"), "user.overlay.opaque") {
                ",userxattr"
            } else {
                ""
            };
            let options = format!("lowerdir={}:{}{marks}", layers[1].display(), layers[0].display());
            mount(Some("overlay"), &point, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str()))
                .unwrap();
            for (file, there) in [
                ("gone", false),
                ("kept", true),
                ("opaque/old", false),
                ("opaque/new", true),
                ("replaced/old", false),
                ("replaced/new", true),
                ("merged/old", true),
                ("merged/new", true),
            ] {
                assert_eq!(point.join(file).exists(), there, "{file}");
            }
            let names = fs::read_dir(point.join("opaque")).unwrap().count();
            assert_eq!(names, 1);
        });
    });
}

#[test]
fn no_mutation_of_a_layer_gets_out_or_panics() {
    use crate::world::{Entropy, SeededEntropy};
    let whole = tar_of(&[
        item(EntryType::Directory, "d", ""),
        Item { pax: vec![("path", b"d/pax"), ("mtime", b"-1.5")], ..file("x", b"body") },
        item(EntryType::Symlink, "l", "d"),
        file("l/through", b"x"),
        item(EntryType::Link, "h", "d/pax"),
        file("d/.wh.gone", b""),
        file("d/.wh..wh..opq", b""),
    ]);
    let place = Place::new();
    let into = place.0.join("outer/layer");
    let entropy = SeededEntropy::from_seed(11);
    for _ in 0..400 {
        fs::create_dir_all(&into).unwrap();
        let mut bytes = whole.clone();
        let headers = bytes.len() / 512;
        for _ in 0..1 + entropy.next() % 4 {
            // Mostly in headers, whose checksum is then made right again, so that the change is looked at.
            let block = (entropy.next() as usize % headers) * 512;
            let at = block + entropy.next() as usize % 512;
            let values = [0, b'/', b'.', b'7', 0x80, 0xff, entropy.next() as u8];
            bytes[at] = values[entropy.next() as usize % values.len()];
            let sum: u32 = bytes[block..block + 512]
                .iter()
                .enumerate()
                .map(|(n, b)| if (148..156).contains(&n) { 32 } else { u32::from(*b) })
                .sum();
            if bytes[block..block + 512].iter().any(|b| *b != 0) && !bytes[block..].starts_with(b"body") {
                bytes[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let _ = unpack::unpack("mutated", bytes.as_slice(), &into);
        assert_eq!(fs::read_dir(place.0.join("outer")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1);
        fs::remove_dir_all(&into).unwrap();
    }
}
