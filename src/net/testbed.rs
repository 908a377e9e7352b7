//! Hosts and pods for tests: network namespaces held by threads.
//!
//! A test's whole host is a fresh namespace, so tests in parallel never meet, and what a test leaves goes
//! with its thread.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{self, AddressFamily, Shutdown, SockFlag, SockProtocol, SockType};

use super::links::{Ipv6Ranges, LinksConfig, NetError, PodLinks};
use super::nft::ruleset::NftConfig;

/// Runs `test` on a thread that is a host of its own, once for each setting of
/// `net.bridge.bridge-nf-call-iptables`. Says loudly that it was skipped where it cannot.
pub(super) fn on_hosts(name: &str, test: impl Fn() + Clone + Send + 'static) {
    for bridged in ["0", "1"] {
        let test = test.clone();
        on_host(name, move || {
            // Without br_netfilter in the kernel both runs are the same.
            let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", bridged);
            test();
        });
    }
}

/// Runs `test` on a thread that is a host of its own.
pub(super) fn on_host(name: &str, test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("REQUIRE_ROOT").as_deref() != Ok("1"), "needs root: {name}");
        eprintln!("SKIPPED: needs root: {name}");
        return;
    }
    let host = Builder::new().name(name.to_owned()).spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace for the test");
        super::links::testing::lo_up();
        test();
    });
    if let Err(panic) = host.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// A cluster id that no other test of any process has.
pub(super) fn cluster_id(name: &str) -> String {
    format!("t{}-{name}", std::process::id())
}

pub(super) fn links_config(id: &str) -> LinksConfig {
    LinksConfig {
        cluster_id: id.to_owned(),
        pods: "10.244.0.0/24".parse().unwrap(),
        services: "10.96.0.0/16".parse().unwrap(),
        ipv6: None,
        adopt: Vec::new(),
    }
}

/// Whether pods can have IPv6 addresses on a host of [`on_host`]; if not, says that the test is left out.
pub(super) fn has_ipv6(name: &str) -> bool {
    let all = std::path::Path::new("/proc/sys/net/ipv6/conf/all");
    let missing = match (all.exists(), all.join("force_forwarding").exists()) {
        (_, true) => return true,
        (true, false) => "a kernel that forwards IPv6 on single links (6.17)",
        (false, false) => "IPv6",
    };
    eprintln!("SKIPPED: needs {missing}: {name}");
    false
}

/// With IPv6 too.
pub(super) fn dual_config(id: &str) -> LinksConfig {
    let ipv6 =
        Ipv6Ranges { pods: "fd00:244::/64".parse().unwrap(), services: "fd00:96::/112".parse().unwrap() };
    LinksConfig { ipv6: Some(ipv6), ..links_config(id) }
}

pub(super) fn nft_config(id: &str, links: &PodLinks) -> NftConfig {
    NftConfig {
        cluster_id: id.to_owned(),
        group: links.group(),
        gateways: links.gateways().to_vec(),
        pods: vec!["10.244.0.0/24".parse().unwrap(), "fd00:244::/64".parse().unwrap()],
        cluster_pods: vec!["10.244.0.0/16".parse().unwrap(), "fd00:244::/56".parse().unwrap()],
        services: vec!["10.96.0.0/16".parse().unwrap(), "fd00:96::/112".parse().unwrap()],
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace with a thread that lives in it.
pub(super) struct Namespace {
    pub netns: OwnedFd,
    pub netlink: OwnedFd,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    pub fn new() -> Namespace {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (ready, made) = mpsc::channel();
        let thread = Builder::new()
            .spawn(move || {
                unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace for a pod");
                let netns = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
                let netlink = socket::socket(
                    AddressFamily::Netlink,
                    SockType::Raw,
                    SockFlag::SOCK_CLOEXEC,
                    SockProtocol::NetlinkRoute,
                )
                .unwrap();
                ready.send((OwnedFd::from(netns), netlink)).unwrap();
                for job in queue {
                    job();
                }
            })
            .unwrap();
        let (netns, netlink) = made.recv().unwrap();
        Namespace { netns, netlink, jobs: Some(jobs), thread: Some(thread) }
    }

    /// Runs `job` on the thread of the namespace.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, result) = mpsc::channel();
        let job: Job = Box::new(move || drop(answer.send(job())));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        result.recv().expect("the job ran")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A pod that answers on TCP and UDP port 8080 with its name and who asks.
pub(super) struct TestPod {
    pub name: String,
    pub ip: IpAddr,
    pub ip6: Option<IpAddr>,
    tcp: TcpListener,
    udp: UdpSocket,
    servers: Vec<JoinHandle<()>>,
    pub namespace: Namespace,
}

impl TestPod {
    pub fn new(links: &PodLinks, name: &str) -> TestPod {
        TestPod::try_new(links, name).unwrap()
    }

    pub fn try_new(links: &PodLinks, name: &str) -> Result<TestPod, NetError> {
        let namespace = Namespace::new();
        let ips = links.attach(name, namespace.netns.as_fd(), namespace.netlink.as_fd())?;
        let (ip, ip6) = (ips.ips[0], ips.ips.get(1).copied());
        let own = name.to_owned();
        let (tcp, udp, servers) = namespace.run(move || {
            let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 8080)).unwrap();
            let udp = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 8080)).unwrap();
            let (streams, datagrams, tcp_name) =
                (tcp.try_clone().unwrap(), udp.try_clone().unwrap(), own.clone());
            let serve_tcp = move || {
                while let Ok((mut stream, peer)) = streams.accept() {
                    let _ = write!(stream, "{tcp_name} {}", peer.ip().to_canonical());
                }
            };
            let serve_udp = move || {
                let mut buffer = [0; 16];
                while let Ok((length, peer)) = datagrams.recv_from(&mut buffer) {
                    if length == 0 {
                        break;
                    }
                    let _ = datagrams.send_to(format!("{own} {}", peer.ip().to_canonical()).as_bytes(), peer);
                }
            };
            let servers =
                vec![Builder::new().spawn(serve_tcp).unwrap(), Builder::new().spawn(serve_udp).unwrap()];
            (tcp, udp, servers)
        });
        Ok(TestPod { name: name.to_owned(), ip, ip6, tcp, udp, servers, namespace })
    }

    pub fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.ip, 8080)
    }
}

impl Drop for TestPod {
    fn drop(&mut self) {
        let _ = socket::shutdown(self.tcp.as_raw_fd(), Shutdown::Both);
        let _ = socket::shutdown(self.udp.as_raw_fd(), Shutdown::Both);
        for server in self.servers.drain(..) {
            let _ = server.join();
        }
    }
}

/// What a connection to `to` answers, or one word for how it fails.
pub(super) fn tcp(to: SocketAddr) -> String {
    let asked = TcpStream::connect_timeout(&to, Duration::from_secs(3)).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    asked.unwrap_or_else(|error| word(&error))
}

/// What a datagram to `to` from a socket is answered, or one word for how it fails.
pub(super) fn udp_from(socket: &UdpSocket, to: SocketAddr) -> String {
    let asked = socket.connect(to).and_then(|()| {
        socket.set_read_timeout(Some(Duration::from_millis(800)))?;
        socket.send(b"?")?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    });
    asked.unwrap_or_else(|error| word(&error))
}

pub(super) fn udp(to: SocketAddr) -> String {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    udp_from(&UdpSocket::bind(any).unwrap(), to)
}

fn word(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        // A datagram that a rule of the sender's own host refuses fails in the sending call.
        ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied => "refused".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "timeout".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "unreachable".to_owned(),
        _ => error.to_string(),
    }
}
