//! Starting, ending, logging, limiting, and what is left after each kind of death.

use super::*;

#[test]
fn exit_codes_and_signals() {
    let Some(machine) = Machine::new("exit_codes_and_signals") else { return };
    let pod = machine.run_sandbox("a");
    let check = |name: &str, script: &str, expected: (i32, i32)| {
        let exit = machine.run(&pod, &machine.script(name, script));
        assert_eq!((exit.code, exit.signal, exit.oom_killed), (expected.0, expected.1, false), "{name}");
        assert!(exit.started <= exit.finished);
    };
    check("ok", "true", (0, 0));
    check("seven", "exit 7", (7, 0));
    // The first process of a PID namespace is safe from its own signals; its child is not.
    check("child", "sh -c 'kill -9 $$'; exit $?", (137, 0));

    let id = machine.runtime.start_container(&pod, &machine.script("sleep", "sleep 1000")).unwrap();
    assert!(matches!(machine.runtime.state(&id).unwrap(), ContainerState::Running { pid, .. } if pid > 1));
    // No handler, first process: a SIGTERM is lost.
    machine.runtime.signal(&id, libc::SIGTERM).unwrap();
    assert!(matches!(machine.runtime.state(&id).unwrap(), ContainerState::Running { .. }));
    machine.runtime.kill(&id).unwrap();
    let exit = machine.exit(&id);
    assert_eq!((exit.code, exit.signal), (137, 9));
    assert_eq!(machine.runtime.state(&id).unwrap(), ContainerState::Exited(exit));
    machine.runtime.signal(&id, libc::SIGTERM).unwrap();
    machine.runtime.remove_container(&id).unwrap();
    machine.runtime.remove_container(&id).unwrap();
    assert!(matches!(machine.runtime.state(&id), Err(RuntimeError::NotFound(_))));

    let trap = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    let id = machine.runtime.start_container(&pod, &machine.script("trap", trap)).unwrap();
    while !machine.log("trap").contains("up") {
        std::thread::yield_now();
    }
    machine.runtime.signal(&id, libc::SIGTERM).unwrap();
    assert_eq!(machine.exit(&id).code, 3);
    assert_eq!(machine.output("trap"), "up\nbye\n");
    machine.runtime.remove_sandbox(&pod).unwrap();
    assert_eq!(machine.runtime.list().unwrap(), Vec::new());
}

#[test]
fn logs_keep_streams_and_cut_lines() {
    let Some(machine) = Machine::new("logs_keep_streams_and_cut_lines") else { return };
    let pod = machine.run_sandbox("a");
    let script = "echo one; echo two >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf rest";
    let mut spec =
        machine.script("log", script.replace("head", "busybox head").replace("tr ", "busybox tr ").as_str());
    spec.env.push(("A".into(), "b".into()));
    assert_eq!(machine.run(&pod, &spec).code, 0);
    let log = machine.log("log");
    let shape: Vec<(String, String, usize)> = log
        .lines()
        .map(|line| {
            let parts: Vec<&str> = line.splitn(4, ' ').collect();
            assert!(parts[0].len() == 30 && parts[0].ends_with('Z'), "{}", parts[0]);
            (parts[1].to_owned(), parts[2].to_owned(), parts[3].len())
        })
        .collect();
    let of = |stream: &str| -> Vec<(String, usize)> {
        shape.iter().filter(|(s, _, _)| s == stream).map(|(_, tag, length)| (tag.clone(), *length)).collect()
    };
    let expected = [("F", 3), ("P", 16384), ("P", 16384), ("F", 40000 - 2 * 16384), ("F", 4)];
    assert_eq!(of("stdout"), expected.map(|(tag, length)| (tag.to_owned(), length)));
    assert_eq!(of("stderr"), [("F".to_owned(), 3)]);
}

#[test]
fn refuses_what_cannot_run() {
    let Some(machine) = Machine::new("refuses_what_cannot_run") else { return };
    let pod = machine.run_sandbox("a");
    let check = |change: &dyn Fn(&mut ContainerSpec), expected: &str| {
        let mut spec = machine.script("bad", "true");
        change(&mut spec);
        match machine.runtime.start_container(&pod, &spec) {
            Err(error @ RuntimeError::Refused { .. }) => {
                assert_eq!(error.to_string(), format!("container bad: {expected}"));
            }
            other => panic!("{other:?} instead of {expected}"),
        }
    };
    let not_found = "exec: exec: \"foo\": executable file not found in $PATH";
    check(&|spec| spec.command = vec!["foo".into()], not_found);
    let missing = "exec: exec: \"/no/such\": stat /no/such: no such file or directory";
    check(&|spec| spec.command = vec!["/no/such".into()], missing);
    check(&|spec| spec.command = vec!["/bin/data".into()], "exec: exec: \"/bin/data\": permission denied");
    let user = "find the user: unable to find user joe: no matching entries in passwd file";
    check(&|spec| spec.security.user = User::Image("joe".into()), user);
    let root = "find the user: container has runAsNonRoot and image will run as root";
    check(&|spec| spec.security.must_be_non_root = true, root);
    let source = "mount a volume: /no/such to /x: No such file or directory (os error 2)";
    let mount = Mount {
        source: MountSource::Host("/no/such".into()),
        target: "/x".into(),
        read_only: false,
        propagation: Propagation::None,
    };
    check(&|spec| spec.mounts = vec![mount.clone()], source);
    let cap = "set the privileges: unknown capability \"FLY\"";
    check(&|spec| spec.security.add_capabilities = vec!["FLY".into()], cap);
    // Nothing of them is left but the pod.
    assert_eq!(machine.runtime.list().unwrap(), [(pod.clone(), Vec::new())]);
    let error = machine.runtime.start_container(&SandboxId("none".into()), &machine.script("x", "true"));
    assert!(matches!(error, Err(RuntimeError::Kernel { .. })));
    let bad = SandboxSpec { id: "../x".into(), ..SandboxSpec::default() };
    assert!(matches!(machine.runtime.run_sandbox(&bad), Err(RuntimeError::Refused { .. })));
}

#[test]
fn exec_runs_inside() {
    if skip_in_user_namespace("exec_runs_inside") {
        return;
    }
    let Some(machine) = Machine::new("exec_runs_inside") else { return };
    let pod = machine.run_sandbox("a");
    let mut spec = machine.script("main", "echo here > /tmp/file; exec sleep 1000");
    spec.env.push(("NAME".into(), "value".into()));
    spec.security.user = User::Image("web".into());
    spec.security.seccomp = Seccomp::RuntimeDefault;
    spec.mounts.push(Mount {
        source: MountSource::PodTmpfs {
            name: "t".into(),
            size_limit: Some(1 << 20),
            sub_path: String::new(),
        },
        target: "/tmp".into(),
        read_only: false,
        propagation: Propagation::None,
    });
    let id = machine.runtime.start_container(&pod, &spec).unwrap();
    let exec = |script: &str, timeout: u64| {
        let command = ["sh", "-c", script].map(String::from);
        machine.runtime.exec(&id, &command, Duration::from_millis(timeout))
    };
    let out = exec("while ! cat /tmp/file; do :; done 2>/dev/null; echo $NAME; id -u; id -G; hostname", 5000)
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.output), "here\nvalue\n33\n34 40\nhost-of-a\n");
    assert_eq!((out.code, out.timed_out), (0, false));
    assert_eq!(exec("exit 9", 5000).unwrap().code, 9);
    let groups =
        String::from_utf8(exec("cat /proc/1/cgroup /proc/self/cgroup", 5000).unwrap().output).unwrap();
    assert!(!groups.contains("coracle"), "{groups}");
    let out = exec("echo began; sleep 1000", 1000).unwrap();
    assert_eq!((out.timed_out, out.output.as_slice()), (true, b"began\n".as_slice()));
    let big = exec("busybox head -c 1000000 /dev/zero", 5000).unwrap();
    assert_eq!(big.output.len(), crate::limits::EXEC_OUTPUT_BYTES);
    let error = machine.runtime.exec(&id, &["nothing".into()], Duration::from_secs(1)).unwrap_err();
    assert!(error.to_string().ends_with("\"nothing\": executable file not found in $PATH"), "{error}");
    machine.runtime.kill(&id).unwrap();
    machine.exit(&id);
    assert!(matches!(exec("true", 100), Err(RuntimeError::Kernel { .. })));
}

/// The control file of a container's group, if its hierarchy is here.
fn control_file(machine: &Machine, pod: &str, id: &ContainerId, file: &str) -> Option<String> {
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(path) = folders.pop() {
        let group = path.join(format!("coracle-{}/pod{pod}/{}", machine.cluster, id.0)).join(file);
        if let Ok(text) = fs::read_to_string(group) {
            return Some(text.trim().to_owned());
        }
        let below = fs::read_dir(&path).into_iter().flatten().flatten();
        folders.extend(below.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
    }
    None
}

#[test]
fn limits_are_applied_and_oom_is_told() {
    let Some(machine) = Machine::new("limits_are_applied_and_oom_is_told") else { return };
    let missing = machine.runtime.without_limits();
    if !missing.is_empty() {
        eprintln!("SKIPPED: no cgroups for {missing:?}: limits_are_applied_and_oom_is_told");
        return;
    }
    let pod = machine.run_sandbox("a");
    let mut spec = machine.script("limits", "cat /proc/self/oom_score_adj; exec sleep 1000");
    spec.resources = Resources {
        cpu_request_millis: Some(500),
        cpu_limit_millis: Some(250),
        memory_limit: Some(32 << 20),
        pids_limit: Some(50),
        oom_score_adj: Some(900),
    };
    let id = machine.runtime.start_container(&pod, &spec).unwrap();
    let file = |v1: &str, v2: &str| {
        control_file(&machine, "a", &id, v1).or_else(|| control_file(&machine, "a", &id, v2)).unwrap()
    };
    assert!(["512", "20"].contains(&file("cpu.shares", "cpu.weight").as_str()));
    assert!(["25000", "25000 100000"].contains(&file("cpu.cfs_quota_us", "cpu.max").as_str()));
    assert_eq!(file("memory.limit_in_bytes", "memory.max"), (32 << 20).to_string());
    assert_eq!(file("pids.max", "pids.max"), "50");
    while machine.log("limits").is_empty() {
        std::thread::yield_now();
    }
    machine.runtime.kill(&id).unwrap();
    assert!(!machine.exit(&id).oom_killed);
    assert_eq!(machine.output("limits"), "900\n");

    let mut spec = machine.script("oom", "exec busybox tail /dev/zero");
    spec.resources.memory_limit = Some(16 << 20);
    let exit = machine.run(&pod, &spec);
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, 9, true));
}

#[test]
fn limits_hold() {
    let Some(machine) = Machine::new("limits_hold") else { return };
    let missing = machine.runtime.without_limits();
    if !missing.is_empty() {
        eprintln!("SKIPPED: no cgroups for {missing:?}: limits_hold");
        return;
    }
    let pod = machine.run_sandbox("a");
    // One process too many.
    let mut spec = machine.script("forks", "sleep 1000 & sleep 1000 & sleep 1000 & echo all");
    spec.resources.pids_limit = Some(3);
    assert_ne!(machine.run(&pod, &spec).code, 0);
    assert!(!machine.output("forks").contains("all"), "{}", machine.log("forks"));
    // A twentieth of a core is soon used up.
    let mut spec = machine.script("burns", "while :; do :; done");
    spec.resources.cpu_limit_millis = Some(50);
    let id = machine.runtime.start_container(&pod, &spec).unwrap();
    let throttled = || {
        let text = control_file(&machine, "a", &id, "cpu.stat").unwrap();
        text.lines().any(|line| line.strip_prefix("nr_throttled ").is_some_and(|count| count != "0"))
    };
    let clock = SystemClock::new();
    while !throttled() {
        assert!(clock.moment().0 < Duration::from_secs(20));
        std::thread::yield_now();
    }
    machine.runtime.kill(&id).unwrap();
    assert_eq!(machine.exit(&id).signal, 9);
}

#[test]
fn pods_share_what_they_should() {
    let Some(machine) = Machine::new("pods_share_what_they_should") else { return };
    let tmpfs = |sub: &str| Mount {
        source: MountSource::PodTmpfs { name: "work".into(), size_limit: None, sub_path: sub.into() },
        target: "/work".into(),
        read_only: false,
        propagation: Propagation::None,
    };
    let names = "for n in net ipc uts pid mnt cgroup; do busybox readlink /proc/self/ns/$n; done";
    let look = format!("{names}; cat /work/mark /dev/shm/mark; hostname; cat /etc/hostname");
    let pod = machine.run_sandbox("a");
    let mut first = machine.script("first", &format!("{names}; echo w > /work/mark; echo s > /dev/shm/mark"));
    first.mounts = vec![tmpfs("in/side")];
    let mut second = machine.script("second", &look);
    second.mounts = vec![tmpfs("in/side")];
    assert_eq!(machine.run(&pod, &first).code, 0, "{}", machine.log("first"));
    assert_eq!(machine.run(&pod, &second).code, 0, "{}", machine.log("second"));
    let (first, second) = (machine.output("first"), machine.output("second"));
    let (first, second): (Vec<&str>, Vec<&str>) = (first.lines().collect(), second.lines().collect());
    assert_eq!(first[..3], second[..3]);
    for (index, name) in ["pid", "mnt", "cgroup"].iter().enumerate() {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let own = own.to_str().unwrap();
        assert!(own != first[3 + index] && own != second[3 + index], "{first:?} {second:?}");
    }
    assert_eq!(second[6..], ["w", "s", "host-of-a", "host-of-a"]);
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(own.to_str().unwrap(), first[0]);

    // A shared PID namespace ends with its pause process, and its containers see each other.
    let mut spec = machine.sandbox("b");
    spec.sharing.share_pid = true;
    let pod = machine.runtime.run_sandbox(&spec).unwrap().id;
    let sleeper = machine.runtime.start_container(&pod, &machine.script("sleeper", "sleep 1234")).unwrap();
    let seen = machine.run(&pod, &machine.script("looker", "busybox ps; ls /proc/1/root/ 2>&1"));
    let output = machine.output("looker");
    assert!(output.contains("sleep 1234") && output.contains("coracle-pause default/b"), "{output}");
    assert!(output.contains("ermission denied"), "{output}");
    assert_eq!(seen.code & !1, 0);
    machine.runtime.kill(&sleeper).unwrap();
    assert_eq!(machine.exit(&sleeper).signal, 9);

    // The host's namespaces.
    let mut spec = machine.sandbox("c");
    spec.sharing = Sharing { host_network: true, host_pid: true, host_ipc: true, share_pid: false };
    let sandbox = machine.runtime.run_sandbox(&spec).unwrap();
    assert!(sandbox.netns.is_none());
    assert_eq!(machine.run(&sandbox.id, &machine.script("host", names)).code, 0);
    let output = machine.output("host");
    let lines: Vec<&str> = output.lines().collect();
    for (index, name) in ["net", "ipc", "uts", "pid"].iter().enumerate() {
        let own = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_eq!(own.to_str().unwrap(), lines[index]);
    }
}

#[test]
fn netlink_acts_in_the_pod() {
    use netlink_sys::Socket;
    let Some(machine) = Machine::new("netlink_acts_in_the_pod") else { return };
    let mut spec = machine.sandbox("a");
    spec.sysctls = BTreeMap::from([("net.ipv4.ip_unprivileged_port_start".into(), "0".into())]);
    let first = machine.runtime.run_sandbox(&spec).unwrap().netns.unwrap();
    let again = machine.runtime.run_sandbox(&spec).unwrap().netns.unwrap();
    use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
    use std::os::unix::fs::MetadataExt;
    let inode =
        |fd: &std::os::fd::OwnedFd| fs::metadata(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().ino();
    assert_eq!(inode(&first.namespace), inode(&again.namespace));
    // SAFETY: the descriptor is ours and handed over.
    let socket = unsafe { Socket::from_raw_fd(first.netlink.into_raw_fd()) };
    assert!(socket.as_raw_fd() > 0);
    let script =
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; busybox ip addr show lo | grep -c 127.0.0.1";
    let pod = SandboxId("a".into());
    assert_eq!(machine.run(&pod, &machine.script("look", script)).code, 0);
    assert_eq!(machine.output("look"), "0\n1\n");
    let mut spec = machine.sandbox("b");
    spec.sysctls = BTreeMap::from([("kernel.panic".into(), "1".into())]);
    assert!(matches!(machine.runtime.run_sandbox(&spec), Err(RuntimeError::Refused { .. })));
}

#[test]
fn a_termination_message_is_read() {
    let Some(machine) = Machine::new("a_termination_message_is_read") else { return };
    let pod = machine.run_sandbox("a");
    let script = "busybox seq 1 5000 > /dev/termination-log";
    let id = machine.runtime.start_container(&pod, &machine.script("m", script)).unwrap();
    machine.exit(&id);
    let text = machine.runtime.termination_message(&id).unwrap();
    assert!(text.len() == crate::limits::TERMINATION_MESSAGE_BYTES && text.starts_with("1\n2\n"));
}

/// A host program of its own: starts one container and waits to be killed.
fn host_program() -> i32 {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let (folder, cluster) = (PathBuf::from(&arguments[0]), &arguments[1]);
    let mut config = config(&folder, cluster);
    if arguments[2] == "stay" {
        config.on_host_exit = OnHostExit::StayForAdoption;
    }
    let runtime = LinuxRuntime::start(&config, &World::real()).unwrap();
    let spec = SandboxSpec { id: "a".into(), pod: "default/a".into(), ..SandboxSpec::default() };
    let pod = runtime.run_sandbox(&spec).unwrap().id;
    if arguments[2] == "deaf" {
        assert_eq!(run_deaf(&runtime, &pod, &folder), 7);
        drop(runtime);
        println!("ready");
        return 0;
    }
    let command = ["sh", "-c", "echo up; exec sleep 1000"].map(String::from).to_vec();
    runtime.start_container(&pod, &container(&folder, "orphan", command)).unwrap();
    println!("ready");
    loop {
        std::thread::park();
    }
}

/// Runs a container in a program that ignores SIGCHLD and takes every child that it can get.
fn run_deaf(runtime: &LinuxRuntime, pod: &SandboxId, folder: &Path) -> i32 {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let (sender, events) = crossbeam_channel::unbounded();
    runtime.subscribe(Box::new(move |event| drop(sender.send(event))));
    let command = ["sh", "-c", "sleep 0.1; exit 7"].map(String::from).to_vec();
    runtime.start_container(pod, &container(folder, "deaf", command)).unwrap();
    // SAFETY: a wait for any child, which there must not be.
    let child = unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) };
    assert_eq!(child, -1);
    match events.recv().unwrap() {
        RuntimeEvent::Exited { exit, .. } => exit.code,
        RuntimeEvent::Lost { reason } => panic!("{reason}"),
    }
}

crate::entry!("test-host-program", host_program);

#[allow(clippy::disallowed_methods, reason = "a test starts a host program to kill it")]
fn start_host(folder: &Path, cluster: &str, how: &str) -> std::process::Child {
    let mut child = std::process::Command::new("/proc/self/exe")
        .args(["--coracle-entry=test-host-program", folder.to_str().unwrap(), cluster, how])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// The keeper of a cluster, by its title.
fn keeper_of(cluster: &str) -> Option<u32> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        line.starts_with(&format!("coracle-keeper {cluster} ")).then_some(())?;
        entry.file_name().to_str()?.parse().ok()
    })
}

fn wait_until_gone(folder: &Path, cluster: &str) {
    let clock = SystemClock::new();
    loop {
        let left = left_behind(folder, cluster);
        if left.is_empty() {
            return;
        }
        assert!(clock.moment().0 < Duration::from_secs(20), "{left:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_host_leaves_nothing() {
    let Some((folder, cluster)) = prepare("a_killed_host_leaves_nothing") else { return };
    let mut host = start_host(&folder, &cluster, "end");
    assert!(!left_behind(&folder, &cluster).is_empty());
    host.kill().unwrap();
    host.wait().unwrap();
    wait_until_gone(&folder, &cluster);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_host_that_takes_every_child_gets_exit_codes() {
    let Some((folder, cluster)) = prepare("a_host_that_takes_every_child_gets_exit_codes") else { return };
    let mut host = start_host(&folder, &cluster, "deaf");
    assert!(host.wait().unwrap().success());
    assert_eq!(left_behind(&folder, &cluster), Vec::<String>::new());
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_keeper_that_stays_is_adopted() {
    let Some((folder, cluster)) = prepare("a_keeper_that_stays_is_adopted") else { return };
    let mut host = start_host(&folder, &cluster, "stay");
    host.kill().unwrap();
    host.wait().unwrap();
    let mut config = config(&folder, &cluster);
    assert!(LinuxRuntime::start(&config, &World::real()).is_err());
    assert_eq!(LinuxRuntime::sweep(&folder.join("state")).unwrap(), Vec::<String>::new());
    config.on_host_exit = OnHostExit::StayForAdoption;
    // The keeper learns of the host's end by an event of its own; until then it refuses a second one.
    let runtime = loop {
        if let Ok(runtime) = LinuxRuntime::start(&config, &World::real()) {
            break runtime;
        }
        std::thread::yield_now();
    };
    let list = runtime.list().unwrap();
    assert!(matches!(&list[0].1[..], [(_, ContainerState::Running { .. })]), "{list:?}");
    drop(runtime);
    let runtime = loop {
        if let Ok(runtime) = LinuxRuntime::start(&config, &World::real()) {
            break runtime;
        }
        std::thread::yield_now();
    };
    assert_eq!(runtime.list().unwrap(), list);
    runtime.shutdown().unwrap();
    assert!(matches!(runtime.list(), Err(RuntimeError::Lost(_))));
    wait_until_gone(&folder, &cluster);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_killed_keeper_is_told_and_cleaned_up() {
    let Some(machine) = Machine::new("a_killed_keeper_is_told_and_cleaned_up") else { return };
    let pod = machine.run_sandbox("a");
    machine.runtime.start_container(&pod, &machine.script("main", "sleep 1000")).unwrap();
    let keeper = keeper_of(&machine.cluster).unwrap();
    sys::pidfd_signal(std::os::fd::AsFd::as_fd(&sys::pidfd_open(keeper).unwrap()), libc::SIGKILL).unwrap();
    let event = machine.events.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(event, RuntimeEvent::Lost { .. }));
    // The folder is the host's too, which lives.
    assert_eq!(left_behind(&machine.folder, &machine.cluster), ["its state folder"]);
    assert!(matches!(machine.runtime.list(), Err(RuntimeError::Lost(_))));
    machine.runtime.restart().unwrap();
    assert_ne!(keeper_of(&machine.cluster).unwrap(), keeper);
    assert_eq!(machine.runtime.list().unwrap(), []);
    let pod = machine.run_sandbox("a");
    machine.runtime.start_container(&pod, &machine.script("main", "exit 5")).unwrap();
    let event = machine.events.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(matches!(event, RuntimeEvent::Exited { exit, .. } if exit.code == 5));
    machine.runtime.restart().unwrap();
    assert_eq!(machine.runtime.list().unwrap().len(), 1, "one that lives stays as it is");
    machine.runtime.shutdown().unwrap();
    assert!(machine.runtime.restart().is_err(), "it was shut down");
    wait_until_gone(&machine.folder, &machine.cluster);
}

#[test]
fn a_keeper_that_is_dead_when_the_runtime_ends_leaves_nothing() {
    let Some(machine) = Machine::new("a_keeper_that_is_dead_when_the_runtime_ends_leaves_nothing") else {
        return;
    };
    machine.run_sandbox("a");
    let keeper = keeper_of(&machine.cluster).unwrap();
    sys::pidfd_signal(std::os::fd::AsFd::as_fd(&sys::pidfd_open(keeper).unwrap()), libc::SIGKILL).unwrap();
    machine.runtime.shutdown().unwrap();
    assert_eq!(left_behind(&machine.folder, &machine.cluster), Vec::<String>::new());
}

#[test]
fn what_two_deaths_left_is_swept_and_the_living_is_not() {
    let Some(machine) = Machine::new("what_two_deaths_left_is_swept_and_the_living_is_not") else { return };
    let pod = machine.run_sandbox("a");
    let alive = machine.runtime.start_container(&pod, &machine.script("main", "sleep 1000")).unwrap();
    let dead = format!("{}-dead", machine.cluster);
    let mut host = start_host(&machine.folder, &dead, "stay");
    let keeper = sys::pidfd_open(keeper_of(&dead).unwrap()).unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    sys::pidfd_signal(std::os::fd::AsFd::as_fd(&keeper), libc::SIGKILL).unwrap();
    sys::poll(&[(std::os::fd::AsRawFd::as_raw_fd(&keeper), libc::POLLIN)], 20_000).unwrap();
    assert!(!left_behind(&machine.folder, &dead).is_empty());
    assert_eq!(LinuxRuntime::sweep(&machine.folder.join("state")).unwrap(), std::slice::from_ref(&dead));
    assert_eq!(left_behind(&machine.folder, &dead), Vec::<String>::new());
    assert!(matches!(machine.runtime.state(&alive).unwrap(), ContainerState::Running { .. }));
}

#[test]
fn mounts_are_told_both_ways_where_asked() {
    use super::super::mount;
    let Some(machine) = Machine::new("mounts_are_told_both_ways_where_asked") else { return };
    let shared = machine.folder.join("shared");
    fs::create_dir_all(shared.join("below")).unwrap();
    struct Unmount(PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            while mount::detach(&self.0).is_ok() {}
        }
    }
    mount::mount(c"test", &shared, c"tmpfs", 0, c"").unwrap();
    let _unmount = Unmount(shared.clone());
    mount::propagate(&shared, libc::MS_SHARED).unwrap();
    fs::create_dir(shared.join("in")).unwrap();
    fs::create_dir(shared.join("out")).unwrap();
    let pod = machine.run_sandbox("a");
    let start = |name: &str, propagation| {
        let script =
            "while ! test -e /v/in/mark; do sleep 0.01; done; busybox mount -t tmpfs inner /v/out; exit $?";
        let mut spec = machine.script(name, script);
        spec.security.privileged = true;
        spec.mounts = vec![Mount {
            source: MountSource::Host(shared.clone()),
            target: "/v".into(),
            read_only: false,
            propagation,
        }];
        machine.runtime.start_container(&pod, &spec).unwrap()
    };
    let table = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let one_way = start("one-way", Propagation::HostToContainer);
    mount::mount(c"test", &shared.join("in"), c"tmpfs", 0, c"").unwrap();
    let _unmount_in = Unmount(shared.join("in"));
    fs::write(shared.join("in/mark"), "").unwrap();
    assert_eq!(machine.exit(&one_way).code, 0);
    assert!(!table().contains(" - tmpfs inner "));
    let both = start("both", Propagation::Bidirectional);
    assert_eq!(machine.exit(&both).code, 0);
    let _unmount_out = Unmount(shared.join("out"));
    assert!(table().lines().any(|line| line.contains("shared/out") && line.contains(" - tmpfs inner ")));
}

#[test]
fn the_probe_says_what_is_missing() {
    let Some((folder, cluster)) = prepare("the_probe_says_what_is_missing") else { return };
    fs::create_dir_all(folder.join("state")).unwrap();
    let report = LinuxRuntime::probe(&config(&folder, &cluster), &World::real()).unwrap();
    assert_eq!(report.without_limits.is_empty(), report.sentence().is_empty());
    assert_eq!(fs::read_dir(folder.join("state")).unwrap().count(), 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn many_at_once_and_then_none() {
    let Some(machine) = Machine::new("many_at_once_and_then_none") else { return };
    let machine = Arc::new(machine);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let machine = &machine;
            scope.spawn(move || {
                for round in 0..4 {
                    let name = format!("p{thread}-{round}");
                    let pod = machine.run_sandbox(&name);
                    let spec = machine.script(&name, "echo $BIG | busybox wc -c; sleep 1000");
                    let id = machine.runtime.start_container(&pod, &spec).unwrap();
                    if round % 2 == 0 {
                        machine.runtime.remove_sandbox(&pod).unwrap();
                        assert!(matches!(machine.runtime.state(&id), Err(RuntimeError::NotFound(_))));
                    }
                }
            });
        }
    });
    assert_eq!(machine.runtime.list().unwrap().len(), 16);
    // An environment larger than a packet.
    let pod = machine.run_sandbox("big");
    let mut spec = machine.script("big", "echo ${#BIG}");
    spec.env.push(("BIG".into(), "x".repeat(120_000)));
    let id = machine.runtime.start_container(&pod, &spec).unwrap();
    machine.exit(&id);
    assert_eq!(machine.output("big"), "120000\n");
}
