//! Tables of what is found and written; and, as root, groups of the kernel's.

use super::super::sys;
use super::*;

fn check(mountinfo: &str, membership: &str, expected: &str) {
    let found: Vec<String> = find_trees(mountinfo, membership)
        .iter()
        .map(|tree| {
            let version = if tree.unified { "v2" } else { "v1" };
            format!("{version} {} {}", tree.place.display(), tree.controllers.join(","))
        })
        .collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(found.iter().map(|line| line.trim_end()).collect::<Vec<_>>(), expected);
}

#[test]
fn finds_the_hierarchies() {
    check(
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
         35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory\n\
         40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
         41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
        "3:cpu,cpuacct:/\n4:memory:/a/b\n0::/",
        "v1 /sys/fs/cgroup/cpu,cpuacct cpu
         v1 /sys/fs/cgroup/memory/a/b memory
         v2 /sys/fs/cgroup/unified",
    );
    check(
        "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate",
        "0::/user.slice/x.scope",
        "v2 /sys/fs/cgroup/user.slice/x.scope",
    );
    // A container without a cgroup namespace of its own.
    check(
        "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory",
        "4:memory:/docker/1",
        "v1 /sys/fs/cgroup/memory memory",
    );
}

#[test]
fn turns_limits_into_control_files() {
    let limits = Resources {
        cpu_request_millis: Some(250),
        cpu_limit_millis: Some(500),
        memory_limit: Some(1 << 20),
        pids_limit: Some(9),
        oom_score_adj: None,
    };
    let all: Vec<String> = CONTROLLERS.iter().map(|name| name.to_string()).collect();
    let text = |unified| {
        let tree = Tree { place: PathBuf::new(), unified, controllers: all.clone() };
        settings(&tree, &limits).iter().map(|(file, text)| format!("{file}={text};")).collect::<String>()
    };
    let v1 = "cpu.shares=256;cpu.cfs_quota_us=50000;memory.limit_in_bytes=1048576;pids.max=9;";
    assert_eq!(text(false), v1);
    assert_eq!(text(true), "cpu.weight=10;cpu.max=50000 100000;memory.max=1048576;pids.max=9;");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a process to be killed")]
fn groups_without_a_unified_tree_are_killed_and_removed() {
    if sys::effective_uid() != 0 {
        let test = "groups_without_a_unified_tree_are_killed_and_removed";
        assert!(std::env::var("REQUIRE_ROOT").as_deref() != Ok("1"), "{test} needs root");
        eprintln!("SKIPPED: needs root: {test}");
        return;
    }
    let mut cgroups = Cgroups::find(&format!("test-{}-v1", std::process::id()));
    cgroups.trees.retain(|tree| !tree.unified);
    cgroups.prepare();
    if !cgroups.can_find() {
        return;
    }
    cgroups.create("pod", &Resources::default(), true).unwrap();
    cgroups.create("pod/container", &Resources::default(), false).unwrap();
    let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
    for tree in &cgroups.trees {
        let path = cgroups.path(tree, "pod/container/cgroup.procs");
        fs::write(path, child.id().to_string()).unwrap();
    }
    assert!(!cgroups.remove(""));
    cgroups.kill("pod");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    assert!(cgroups.destroy());
    assert!(cgroups.trees.iter().all(|tree| !cgroups.path(tree, "").exists()));
}

/// A v2 group with controllers, below the real root, for a test to be the place of clusters. `None`, said
/// loudly, where there is none.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Option<Place> {
        if sys::effective_uid() != 0 {
            assert!(std::env::var("REQUIRE_ROOT").as_deref() != Ok("1"), "{test} needs root");
            eprintln!("SKIPPED: needs root: {test}");
            return None;
        }
        let found = Cgroups::find("none");
        let tree =
            found.trees.iter().find(|tree| tree.unified && tree.controllers.len() == CONTROLLERS.len());
        let outer = tree.and_then(|tree| {
            let path = tree.place.join(format!("test-{}-{test}", std::process::id()));
            let at_root = !tree.place.join("cgroup.type").exists();
            (at_root && fs::create_dir(&path).is_ok()).then_some((tree.clone(), path))
        });
        let Some((tree, path)) = outer else {
            eprintln!("SKIPPED: needs cgroup v2 with all controllers: {test}");
            return None;
        };
        let place = Place(path);
        delegation::hand_down(&tree.place, &tree.controllers).unwrap();
        Some(place)
    }

    fn clusters(&self, name: &str) -> Cgroups {
        let controllers = CONTROLLERS.iter().map(|name| name.to_string()).collect();
        let tree = Tree { place: self.0.clone(), unified: true, controllers };
        Cgroups { own: format!("coracle-{name}"), trees: vec![tree] }
    }

    #[allow(clippy::disallowed_methods, reason = "a process to be moved")]
    fn process(&self, group: &str) -> std::process::Child {
        let child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        fs::write(self.0.join(group).join("cgroup.procs"), child.id().to_string()).unwrap();
        child
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.join(file)).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let whole = Cgroups {
            own: String::new(),
            trees: vec![Tree { place: self.0.clone(), unified: true, controllers: Vec::new() }],
        };
        whole.destroy();
    }
}

#[test]
fn a_delegated_place_is_left_as_it_was_by_the_last() {
    let Some(place) = Place::new("delegated") else { return };
    let mut guest = place.process("");
    let (mut first, mut second) = (place.clusters("first"), place.clusters("second"));
    first.prepare();
    assert_eq!(first.missing(), Vec::<&str>::new());
    assert_eq!(place.read("coracle.leaf/cgroup.procs"), guest.id().to_string());
    assert_eq!(place.read("cgroup.subtree_control"), "cpu memory pids");
    second.prepare();
    assert_eq!(second.missing(), Vec::<&str>::new());
    first.create("pod", &Resources::default(), true).unwrap();
    assert!(first.destroy());
    // The second still needs it.
    assert_eq!(place.read("cgroup.subtree_control"), "cpu memory pids");
    assert_eq!(place.read("cgroup.procs"), "");
    second.create("pod", &Resources::default(), true).unwrap();
    assert!(second.destroy());
    assert_eq!(place.read("cgroup.subtree_control"), "");
    assert_eq!(place.read("cgroup.procs"), guest.id().to_string());
    assert_eq!(folders_below(&place.0), Vec::<PathBuf>::new());
    guest.kill().unwrap();
    guest.wait().unwrap();
}

#[test]
fn what_was_handed_down_before_or_is_used_meanwhile_stays() {
    let Some(place) = Place::new("handed-down") else { return };
    fs::write(place.0.join("cgroup.subtree_control"), "+pids").unwrap();
    fs::create_dir(place.0.join("other")).unwrap();
    let mut clusters = place.clusters("only");
    clusters.prepare();
    assert_eq!(place.read("cgroup.subtree_control"), "cpu memory pids");
    fs::write(place.0.join("other/cpu.weight"), "50").unwrap();
    assert!(clusters.destroy());
    assert_eq!(place.read("cgroup.subtree_control"), "cpu pids");
    assert_eq!(place.read("other/cpu.weight"), "50");
}

#[test]
fn an_event_tells_that_a_group_is_empty() {
    let Some(place) = Place::new("events") else { return };
    let mut clusters = place.clusters("only");
    clusters.prepare();
    clusters.create("pod", &Resources::default(), true).unwrap();
    clusters.create("pod/container", &Resources::default(), false).unwrap();
    let mut child = place.process("coracle-only/pod/container");
    let events = clusters.events("pod").unwrap();
    use std::os::fd::{AsFd, AsRawFd};
    assert!(populated(events.as_fd()));
    assert!(!clusters.remove("pod"));
    clusters.kill("pod");
    assert!(sys::poll(&[(events.as_raw_fd(), libc::POLLPRI)], 20_000).unwrap());
    assert!(!populated(events.as_fd()));
    assert!(clusters.remove("pod"));
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    // One that is gone has no process.
    assert!(!populated(events.as_fd()));
    assert!(clusters.destroy());
}

#[test]
fn groups_are_found_where_another_process_made_them() {
    let folder = std::env::temp_dir().join(format!("coracle-places-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let tree =
        Tree { place: folder.join("elsewhere"), unified: false, controllers: vec!["memory".to_owned()] };
    let made = Cgroups { own: "coracle-x".to_owned(), trees: vec![tree.clone()] };
    let own = Cgroups::find("x").trees;
    made.write_down(&folder).unwrap();
    let found = Cgroups::find_written("x", &folder).trees;
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(found[0], tree);
    assert_eq!(found[1..], own);
    // Without that file, or with nonsense in it, they are looked for at our own place.
    assert_eq!(Cgroups::find_written("x", &folder).trees, own);
}
