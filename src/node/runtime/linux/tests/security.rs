//! What a container may and may not.

use super::*;

/// Runs a script in a changed container and compares its output.
fn check(
    machine: &Machine,
    name: &str,
    change: impl FnOnce(&mut ContainerSpec),
    script: &str,
    expected: &str,
) {
    let pod = machine.run_sandbox("a");
    let mut spec = machine.script(name, &format!("exec 2>&1; {script}"));
    change(&mut spec);
    machine.run(&pod, &spec);
    assert_eq!(machine.output(name), expected, "{name}");
}

#[test]
fn privileges_are_as_asked() {
    if skip_in_user_namespace("privileges_are_as_asked") {
        return;
    }
    let Some(machine) = Machine::new("privileges_are_as_asked") else { return };
    let status =
        "grep -E '^(CapBnd|CapEff|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | busybox tr '\\t' ' '";
    let lines = |eff: &str, bnd: &str, nnp: u8, seccomp: u8| {
        format!(
            "CapEff: {eff:0>16}\nCapBnd: {bnd:0>16}\nCapAmb: {:0>16}\nNoNewPrivs: {nnp}\nSeccomp: {seccomp}\n",
            0
        )
    };
    let default = "a80425fb";
    check(&machine, "plain", |_| {}, status, &lines(default, default, 0, 0));
    let user = |spec: &mut ContainerSpec| {
        spec.security.user = User::Ids { uid: 33, gid: Some(9) };
        spec.security.supplemental_groups = vec![7];
        spec.security.no_new_privileges = true;
        spec.security.seccomp = Seccomp::RuntimeDefault;
    };
    check(&machine, "user", user, status, &lines("0", default, 1, 2));
    check(&machine, "ids", user, "id -u; id -g; id -G; echo $HOME", "33\n9\n9 7 40\n/home\n");
    let none = |spec: &mut ContainerSpec| {
        spec.security.drop_capabilities = vec!["ALL".into()];
        spec.security.add_capabilities = vec!["KILL".into()];
        spec.security.seccomp = Seccomp::RuntimeDefault;
    };
    check(&machine, "kill", none, status, &lines("20", "20", 0, 2));
    let mount = "busybox mount -t tmpfs t /tmp; echo $?";
    let out = "mount: permission denied (are you root?)\n1\n";
    check(&machine, "mount", |_| {}, mount, out);
    let privileged = |spec: &mut ContainerSpec| spec.security.privileged = true;
    check(
        &machine,
        "privileged",
        privileged,
        &format!("{mount}; test -w /proc/sys/kernel/panic; echo $?"),
        "0\n0\n",
    );
    let filtered = |spec: &mut ContainerSpec| {
        spec.security.add_capabilities = vec!["SYS_ADMIN".into()];
        spec.security.seccomp = Seccomp::RuntimeDefault;
    };
    check(&machine, "filtered", filtered, mount, "0\n");
    let unshare = |spec: &mut ContainerSpec| spec.security.seccomp = Seccomp::RuntimeDefault;
    let out = "unshare: unshare(0x10000000): Operation not permitted\n1\n";
    check(&machine, "unshare", unshare, "busybox unshare -U true; echo $?", out);
}

#[test]
fn the_root_is_closed() {
    let Some(machine) = Machine::new("the_root_is_closed") else { return };
    fs::create_dir_all(machine.folder.join("volume")).unwrap();
    fs::write(machine.folder.join("volume/file"), "text\n").unwrap();
    // Links that would lead out of a root that is not entered yet.
    let layer = machine.folder.join("layer");
    std::os::unix::fs::symlink("/", layer.join("up")).unwrap();
    std::os::unix::fs::symlink("../../../../../../tmp", layer.join("far")).unwrap();
    let volume = machine.folder.join("volume");
    let mount = move |target: &str, read_only| Mount {
        source: MountSource::Host(volume.clone()),
        target: target.to_owned(),
        read_only,
        propagation: Propagation::None,
    };
    let list = "ls / /dev | busybox tr '\\n' ' '; echo";
    let all = "/: bin dev etc far home proc sys tmp up  \
               /dev: core fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero \n";
    check(&machine, "list", |_| {}, list, all);
    let read_only = |spec: &mut ContainerSpec| {
        spec.security.read_only_root = true;
        spec.working_dir = "/new/place".into();
        spec.mounts = vec![mount("/up/deep/er", true), mount("/far", false)];
    };
    let script = "busybox pwd; echo a > /x; echo b > /deep/er/x; cat /tmp/file; echo c > /tmp/new; cat /deep/er/new; echo d > /dev/null";
    let out = "/new/place\nsh: can't create /x: Read-only file system\n\
               sh: can't create /deep/er/x: Read-only file system\ntext\nc\n";
    check(&machine, "ro", read_only, script, out);
    assert_eq!(fs::read_to_string(machine.folder.join("volume/new")).unwrap(), "c\n");
    let hidden = "busybox wc -c < /proc/interrupts; echo 1 > /proc/sys/kernel/panic; echo > /sys/kernel/uevent_seqnum; \
                  busybox mknod /dev/disk b 254 0 2>/dev/null; busybox head -c 1 /dev/disk 2>/dev/null || echo none; ls -A /sys/firmware; \
                  ls /proc/self/fd | busybox wc -l; busybox ps | grep -c 'coracle-[k]eeper'";
    let out = "0\nsh: can't create /proc/sys/kernel/panic: Read-only file system\n\
               sh: can't create /sys/kernel/uevent_seqnum: Read-only file system\n\
               none\n4\n0\n";
    check(&machine, "hidden", |_| {}, hidden, out);
    // A working directory by descriptor leads nowhere.
    for number in 3..40 {
        let mut spec = machine.script("fd", "true");
        spec.working_dir = format!("/proc/self/fd/{number}");
        let error = machine.runtime.start_container(&SandboxId("a".into()), &spec);
        assert!(matches!(error, Err(RuntimeError::Refused { .. } | RuntimeError::Kernel { .. })), "{number}");
    }
    let proc = |spec: &mut ContainerSpec| {
        spec.mounts = vec![Mount { target: "/proc/sys".into(), ..sample(&machine) }]
    };
    let mut spec = machine.script("proc", "true");
    proc(&mut spec);
    let error = machine.runtime.start_container(&SandboxId("a".into()), &spec).unwrap_err();
    assert!(error.to_string().contains("nothing may be mounted inside /proc"), "{error}");
}

fn sample(machine: &Machine) -> Mount {
    Mount {
        source: MountSource::Host(machine.folder.join("volume")),
        target: "/v".into(),
        read_only: false,
        propagation: Propagation::None,
    }
}

#[test]
fn the_host_root_and_many_layers_are_roots() {
    let Some(machine) = Machine::new("the_host_root_and_many_layers_are_roots") else { return };
    let host = |spec: &mut ContainerSpec| {
        spec.rootfs = Rootfs::HostRoot("/".into());
        spec.command = vec![
            "/bin/sh".into(),
            "-c".into(),
            "test -d /usr && echo x > /only-here && cat /only-here".into(),
        ];
    };
    check(&machine, "host", host, "", "x\n");
    assert!(!Path::new("/only-here").exists());
    let mut layers = vec![machine.folder.join("layer")];
    for number in 0..150 {
        let layer = machine.folder.join(format!("a-layer-with-quite-a-long-name-{number}"));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join("top"), format!("{number}\n")).unwrap();
        layers.push(layer);
    }
    check(&machine, "layers", |spec| spec.rootfs = Rootfs::Layers(layers), "cat /top", "149\n");
}

#[test]
fn the_host_program_cannot_be_written_through_a_container() {
    if skip_in_user_namespace("the_host_program_cannot_be_written_through_a_container") {
        return;
    }
    let Some(machine) = Machine::new("the_host_program_cannot_be_written_through_a_container") else {
        return;
    };
    let mut spec = machine.sandbox("a");
    spec.sharing.host_pid = true;
    let pod = machine.runtime.run_sandbox(&spec).unwrap().id;
    let keeper = fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(&format!("coracle-keeper {} ", machine.cluster))
    });
    let keeper = keeper.unwrap().file_name().into_string().unwrap();
    let mut spec = machine.script("write", &format!("exec 2>&1; : >> /proc/{keeper}/exe; echo $?"));
    spec.security.privileged = true;
    machine.run(&pod, &spec);
    let output = machine.output("write");
    assert!(output.contains("Read-only file system") || output.contains("Text file busy"), "{output}");
}
