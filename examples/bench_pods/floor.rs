//! The floor: what the kernel itself takes for a pod, by bare system calls from a small process with one thread.
//!
//! A round is: a group in each hierarchy for pod and container; a clone into new network, IPC and UTS namespaces that
//! hands its network namespace back; a veth pair with addresses and routes, one batch at each end; a clone into a new
//! PID namespace that joins those, makes mount and cgroup namespaces, mounts an overlay and `/proc`, pivots into it
//! and executes. It is over when the exec has happened. Nothing else of what a pod needs is in it: no devices, masks,
//! volumes, logs, privileges, filters, objects.
//!
//! The rounds' namespaces live until all are measured and are then ended together.

use std::ffi::CString;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    self, AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, read, sethostname, setsid, write};

use crate::figures::Outcome;
use crate::netlink::Batch;

/// The child that measures when it is asked to.
pub struct Floor {
    socket: OwnedFd,
    child: Pid,
}

impl Floor {
    /// Forks the child. The caller must have one thread.
    pub fn start() -> Outcome<Floor> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) = socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        // SAFETY: there is one thread, so the child may go on as if nothing had happened.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Floor { socket: ours, child }),
            ForkResult::Child => {
                drop(ours);
                serve(&theirs);
                // SAFETY: ends this process without running what the parent registered.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// Measures so many rounds.
    pub fn measure(&mut self, rounds: usize) -> Outcome<Vec<Duration>> {
        write(&self.socket, &(rounds as u64).to_ne_bytes())?;
        let mut buffer = vec![0; 8 * rounds + 1024];
        let length = read(&self.socket, &mut buffer)?;
        if length != 8 * rounds {
            return Err(format!("the floor: {}", String::from_utf8_lossy(&buffer[..length])).into());
        }
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
        Ok(buffer[..length].chunks(8).map(|bytes| Duration::from_nanos(number(bytes))).collect())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = socket::shutdown(self.socket.as_raw_fd(), socket::Shutdown::Both);
        let _ = waitpid(self.child, None);
    }
}

fn serve(socket: &OwnedFd) {
    let mut request = [0; 8];
    while read(socket, &mut request).is_ok_and(|length| length == 8) {
        let answer = match rounds(u64::from_ne_bytes(request) as usize) {
            Ok(times) => times.iter().flat_map(|time| (time.as_nanos() as u64).to_ne_bytes()).collect(),
            Err(cause) => cause.to_string().into_bytes(),
        };
        let _ = write(socket, &answer);
    }
}

fn rounds(count: usize) -> Outcome<Vec<Duration>> {
    let bench = Bench::new()?;
    let mut times = Vec::new();
    let mut pods = Vec::new();
    for number in 0..count {
        let began = Instant::now();
        let pod = bench.pod(number)?;
        times.push(began.elapsed());
        pods.push(pod);
    }
    Ok(times)
}

/// What all rounds share; ends what they made.
struct Bench {
    groups: Vec<PathBuf>,
    /// The same of the unified tree.
    tree: Option<PathBuf>,
    memory: PathBuf,
    host: OwnedFd,
}

impl Bench {
    fn new() -> Outcome<Bench> {
        let id = std::process::id();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let own = |place: &PathBuf| place.join(format!("floor-{id}"));
        let (v1, v2) = hierarchies(&mounts);
        let bench = Bench {
            groups: v1.iter().map(own).collect(),
            tree: v2.as_ref().map(own),
            memory: std::env::temp_dir().join(format!("floor-{id}")),
            host: route_socket()?,
        };
        std::fs::create_dir(&bench.memory)?;
        mount(Some("floor"), &bench.memory, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        std::fs::create_dir(bench.memory.join("root"))?;
        bench.groups.iter().chain(&bench.tree).try_for_each(std::fs::create_dir)?;
        Ok(bench)
    }

    fn pod(&self, number: usize) -> Outcome<Pod> {
        let (ours, theirs) = pair()?;
        let name = format!("pod{number}");
        let place = self.unified(Path::new(&name))?;
        let (pause, pause_fd) = match clone(0, place.as_ref())? {
            Some(parent) => parent,
            None => child(|| self.become_pause(&name, &theirs)),
        };
        drop(theirs);
        let mut pod = Pod { processes: vec![pause] };
        let [namespace, inside] = receive(&ours)?;
        self.wire(number, namespace.as_fd(), inside.as_fd())?;
        let (ours, theirs) = pair()?;
        let place = self.unified(&Path::new(&name).join("container"))?;
        let container = match clone(libc::CLONE_NEWPID as u64, place.as_ref())? {
            Some((pid, _)) => pid,
            None => child(|| self.become_container(&name, &pause_fd)),
        };
        pod.processes.push(container);
        drop(theirs);
        let mut text = [0; 256];
        match read(&ours, &mut text)? {
            0 => Ok(pod),
            length => Err(String::from_utf8_lossy(&text[..length]).into()),
        }
    }

    /// A group of the unified tree, to be born in: the fastest way into one.
    fn unified(&self, group: &Path) -> io::Result<Option<OwnedFd>> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let path = tree.join(group);
        std::fs::create_dir(&path)?;
        Ok(Some(std::fs::File::open(path)?.into()))
    }

    fn wire(&self, number: usize, namespace: BorrowedFd<'_>, inside: BorrowedFd<'_>) -> io::Result<()> {
        let (here, there) = (2_000_000 + number as i32, 2);
        let gateway = Ipv4Addr::new(198, 19, 0, 1);
        let address = Ipv4Addr::new(198, 19, 1 + (number / 250) as u8, 1 + (number % 250) as u8);
        let mut host = Batch::default();
        host.veth(&format!("fl{}x{number}", std::process::id()), here, there, namespace);
        host.up(here);
        host.route(here, Some(address), None);
        host.ask(self.host.as_fd())?;
        let mut pod = Batch::default();
        pod.up(1);
        pod.up(there);
        pod.address(there, address);
        pod.route(there, Some(gateway), None);
        pod.route(there, None, Some(gateway));
        pod.ask(inside)
    }

    fn become_pause(&self, name: &str, report: &OwnedFd) -> Outcome<()> {
        setsid()?;
        for group in &self.groups {
            std::fs::create_dir(group.join(name))?;
        }
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)?;
        sethostname(name)?;
        let namespace = open("/proc/self/ns/net", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let netlink = route_socket()?;
        let fds = [namespace.as_raw_fd(), netlink.as_raw_fd()];
        let data = [io::IoSlice::new(b"ready")];
        let fds = [ControlMessage::ScmRights(&fds)];
        socket::sendmsg::<()>(report.as_raw_fd(), &data, &fds, MsgFlags::empty(), None)?;
        loop {
            nix::unistd::pause();
        }
    }

    fn become_container(&self, name: &str, pause: &OwnedFd) -> Outcome<()> {
        setsid()?;
        for group in &self.groups {
            let group = group.join(name).join("container");
            std::fs::create_dir(&group)?;
            std::fs::write(group.join("tasks"), "0")?;
        }
        setns(pause, CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)?;
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        let (upper, work) =
            (self.memory.join(format!("{name}-upper")), self.memory.join(format!("{name}-work")));
        std::fs::create_dir(&upper)?;
        std::fs::create_dir(&work)?;
        let root = self.memory.join("root");
        let options = format!("lowerdir=/,upperdir={},workdir={},volatile", upper.display(), work.display());
        mount(Some("overlay"), &root, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
        let program = std::fs::read_link("/proc/self/exe")?;
        std::env::set_current_dir(&root)?;
        nix::unistd::pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
        let program = CString::new(program.to_string_lossy().as_bytes())?;
        nix::unistd::execve(&program, &[program.as_c_str(), c"--coracle-entry=hold"], &[] as &[CString])?;
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let empty = |folder: &Path| {
            let inner = std::fs::read_dir(folder).into_iter().flatten().flatten();
            for pod in inner.filter(|entry| entry.path().is_dir()) {
                let _ = std::fs::remove_dir(pod.path().join("container"));
                let _ = std::fs::remove_dir(pod.path());
            }
            std::fs::remove_dir(folder).is_ok() || !folder.exists()
        };
        for group in self.groups.iter().chain(&self.tree) {
            // On v1 a process is out of its group a moment after its end was told.
            for _ in 0..1000 {
                if empty(group) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let _ = umount2(&self.memory, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&self.memory);
    }
}

/// The processes of a round; ends them.
struct Pod {
    processes: Vec<Pid>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        for pid in self.processes.iter().rev() {
            let _ = kill(*pid, Signal::SIGKILL);
            let _ = waitpid(*pid, None);
        }
    }
}

/// Runs a child's part, which returns only when it failed, and tells why by its standard error.
fn child(part: impl FnOnce() -> Outcome<()>) -> ! {
    if let Err(cause) = part() {
        eprintln!("the floor's child: {cause}");
    }
    // SAFETY: ends this process without running what the parent registered.
    unsafe { libc::_exit(1) }
}

fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socket::socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

fn route_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: a plain call; what it gives is new and ours.
    unsafe {
        let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

fn receive(socket: &OwnedFd) -> Outcome<[OwnedFd; 2]> {
    let mut data = [0; 16];
    let mut parts = [io::IoSliceMut::new(&mut data)];
    let mut space = nix::cmsg_space!([i32; 2]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = socket::recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = part
            && let [namespace, netlink] = fds[..]
        {
            // SAFETY: both came with the message and are ours.
            return Ok(unsafe { [OwnedFd::from_raw_fd(namespace), OwnedFd::from_raw_fd(netlink)] });
        }
    }
    Err("the pause process of the floor ended".into())
}

/// Forks into new namespaces and a group; `None` in the child.
fn clone(flags: u64, group: Option<&OwnedFd>) -> io::Result<Option<(Pid, OwnedFd)>> {
    const INTO_GROUP: u64 = 0x2_0000_0000;
    let mut pidfd: i32 = -1;
    let mut arguments = [0u64; 11];
    arguments[0] = flags | libc::CLONE_PIDFD as u64;
    arguments[1] = &raw mut pidfd as u64;
    arguments[4] = libc::SIGCHLD as u64;
    if let Some(group) = group {
        arguments[0] |= INTO_GROUP;
        arguments[10] = group.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork of a process with one thread; the arguments live through the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, arguments.as_mut_ptr(), size_of_val(&arguments)) };
    match pid {
        0 => Ok(None),
        // SAFETY: the kernel stored a new descriptor there.
        1.. => Ok(Some((Pid::from_raw(pid as i32), unsafe { OwnedFd::from_raw_fd(pidfd) }))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Where groups are made: cpu, memory and pids on v1, and the unified tree.
fn hierarchies(mounts: &str) -> (Vec<PathBuf>, Option<PathBuf>) {
    let mut v1 = Vec::new();
    let mut v2 = None;
    for line in mounts.lines() {
        let Some((mount, filesystem)) = line.split_once(" - ") else { continue };
        let Some(point) = mount.split(' ').nth(4).map(PathBuf::from) else { continue };
        let options = filesystem.rsplit(' ').next().unwrap_or_default();
        if filesystem.starts_with("cgroup2 ") {
            v2 = Some(point);
        } else if filesystem.starts_with("cgroup ")
            && options.split(',').any(|option| ["cpu", "memory", "pids"].contains(&option))
        {
            v1.push(point);
        }
    }
    (v1, v2)
}
