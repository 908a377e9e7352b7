//! Plans as text, and the behaviour of real packets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use proptest::prelude::*;

use super::plan::Model;
use super::*;
use crate::net::links::{LinksConfig, PodLinks};
use crate::net::testbed::*;

/// Reads `service ip protocol port [sticky] > endpoint…` lines.
fn rules(text: &str) -> Vec<ServiceRule> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(rule).collect()
}

fn rule(line: &str) -> ServiceRule {
    let (head, endpoints) = line.split_once('>').unwrap();
    let mut head = head.split_whitespace();
    let mut next = || head.next().unwrap();
    ServiceRule {
        service: next().to_owned(),
        cluster_ips: next().split(',').map(|ip| ip.parse().unwrap()).collect(),
        protocol: match next() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => Protocol::Sctp,
        },
        port: next().parse().unwrap(),
        affinity: head.next().map(|_| std::time::Duration::from_secs(10800)),
        endpoints: endpoints.split_whitespace().map(|e| e.parse().unwrap()).collect(),
    }
}

/// Goes from one state to the other and compares the elements that change.
fn check(old: &str, new: &str, expected: &str) {
    let mut model = Model::default();
    model.replace(rules(old));
    let change = model.replace(rules(new));
    let mut lines: Vec<String> = change.remove.iter().map(|e| format!("- {e}")).collect();
    lines.extend(change.add.iter().map(|e| format!("+ {e}")));
    lines.extend(change.gone_udp.iter().map(|(s, e)| format!("! {s} {e}")));
    lines.extend(change.left_out);
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(lines, expected);
    assert_eq!(model.replace(rules(new)), Change::default(), "a second plan is empty");
}

#[test]
fn a_new_service_is_its_elements() {
    check(
        "",
        "shop/web 10.96.0.1 tcp 80 > 10.244.0.2:8080 10.244.0.3:8080",
        "+ services 10.96.0.1 tcp 80 : 2
         + endpoints 10.96.0.1 tcp 80 0 : 10.244.0.2:8080
         + endpoints 10.96.0.1 tcp 80 1 : 10.244.0.3:8080
         + itself 10.244.0.2
         + itself 10.244.0.3",
    );
}

#[test]
fn endpoints_that_stay_keep_their_place() {
    check(
        "web 10.96.0.1 tcp 80 > 10.244.0.2:1 10.244.0.3:1 10.244.0.4:1",
        "web 10.96.0.1 tcp 80 > 10.244.0.5:1 10.244.0.3:1 10.244.0.4:1",
        "- endpoints 10.96.0.1 tcp 80 0 : 10.244.0.2:1
         - itself 10.244.0.2
         + endpoints 10.96.0.1 tcp 80 0 : 10.244.0.5:1
         + itself 10.244.0.5",
    );
    check(
        "web 10.96.0.1 udp 80 > 10.244.0.2:1 10.244.0.3:1 10.244.0.4:1",
        "web 10.96.0.1 udp 80 > 10.244.0.4:1 10.244.0.3:1",
        "- services 10.96.0.1 udp 80 : 3
         - endpoints 10.96.0.1 udp 80 0 : 10.244.0.2:1
         - endpoints 10.96.0.1 udp 80 2 : 10.244.0.4:1
         - itself 10.244.0.2
         + services 10.96.0.1 udp 80 : 2
         + endpoints 10.96.0.1 udp 80 0 : 10.244.0.4:1
         ! 10.96.0.1:80 10.244.0.2:1",
    );
}

#[test]
fn a_service_without_endpoints_has_no_elements() {
    check("web 10.96.0.1 tcp 80 >", "web 10.96.0.1 tcp 80 >", "");
    check(
        "web 10.96.0.1 tcp 80 > 10.244.0.2:1",
        "web 10.96.0.1 tcp 80 >",
        "- services 10.96.0.1 tcp 80 : 1
         - endpoints 10.96.0.1 tcp 80 0 : 10.244.0.2:1
         - itself 10.244.0.2",
    );
}

#[test]
fn an_address_passes_from_one_service_to_another() {
    check(
        "z 10.96.0.1 tcp 80 > 10.244.0.2:1",
        "a 10.96.0.1 tcp 80 sticky > 10.244.0.2:1",
        "- services 10.96.0.1 tcp 80 : 1
         - endpoints 10.96.0.1 tcp 80 0 : 10.244.0.2:1
         - itself 10.244.0.2
         + services 10.96.0.1 tcp 80 : 1 sticky
         + endpoints 10.96.0.1 tcp 80 0 : 10.244.0.2:1
         + itself 10.244.0.2",
    );
}

#[test]
fn of_two_services_with_one_address_the_first_stays() {
    let mut model = Model::default();
    model.replace(rules("z 10.96.0.1 tcp 80 > 10.244.0.2:1"));
    let change = model.update(vec![("a".into(), rules("a 10.96.0.1 tcp 80 > 10.244.0.3:1"))]);
    assert_eq!(change.left_out, ["10.96.0.1 tcp 80 of Service a is taken by Service z"]);
    assert!(change.add.is_empty() && change.remove.is_empty());
}

#[test]
fn each_family_gets_its_own_endpoints() {
    check(
        "",
        "web 10.96.0.1,fd00::1 sctp 80 > 10.244.0.2:1 [fd01::2]:1 [fd01::3]:1",
        "+ services 10.96.0.1 sctp 80 : 1
         + endpoints 10.96.0.1 sctp 80 0 : 10.244.0.2:1
         + itself 10.244.0.2
         + services fd00::1 sctp 80 : 2
         + endpoints fd00::1 sctp 80 0 : [fd01::2]:1
         + endpoints fd00::1 sctp 80 1 : [fd01::3]:1
         + itself fd01::2
         + itself fd01::3",
    );
}

proptest! {
    /// Carrying out the changes of any sequence leads to the elements of the last state.
    #[test]
    fn changes_add_up(states in prop::collection::vec(
        prop::collection::vec((0u8..4, 0u8..3, prop::collection::vec(2u8..9, 0..6), any::<bool>()), 0..6), 1..8)
    ) {
        let mut model = Model::default();
        let mut table = std::collections::BTreeSet::new();
        for state in states {
            let desired = state.into_iter().map(|(service, ip, pods, sticky)| ServiceRule {
                service: format!("s{service}"),
                cluster_ips: vec![IpAddr::from([10, 96, 0, ip])],
                protocol: Protocol::Tcp,
                port: 80,
                endpoints: pods.into_iter().map(|p| SocketAddr::from(([10, 244, 0, p], 1))).collect(),
                affinity: sticky.then_some(std::time::Duration::from_secs(1)),
            }).collect();
            let change = model.replace(desired);
            for element in change.remove {
                prop_assert!(table.remove(&element), "removed {element} which is not there");
            }
            for element in change.add {
                prop_assert!(table.insert(element.clone()), "added {element} which is there");
            }
            let expected: std::collections::BTreeSet<_> = model.elements().into_iter().collect();
            prop_assert_eq!(&table, &expected);
        }
    }
}

/// The rules as the kernel gets them.
#[test]
fn the_static_rules_are_these() {
    let config = NftConfig {
        cluster_id: "c".into(),
        group: 0x4000_0001,
        gateways: vec!["10.244.0.1".parse().unwrap()],
        pods: vec!["10.244.0.0/24".parse().unwrap()],
        cluster_pods: vec!["10.244.0.0/16".parse().unwrap()],
        services: vec!["10.96.0.0/16".parse().unwrap()],
    };
    let mut text = ruleset::render_static(&config);
    text.push_str(&ruleset::render_chain(&ruleset::pick_chain(Family::V4, Pick { count: 2, sticky: false })));
    text.push_str(&ruleset::render_chain(&ruleset::pick_chain(Family::V6, Pick { count: 2, sticky: true })));
    let expected = include_str!("ruleset.golden");
    if text != expected {
        eprintln!("{text}");
    }
    assert!(text == expected, "the rules differ from ruleset.golden; the new text stands above");
}

/// A host with three pods and a table.
struct Host {
    pods: Vec<TestPod>,
    table: ServiceTable,
    links: Arc<PodLinks>,
}

impl Host {
    fn new(name: &str) -> Host {
        let id = cluster_id(name);
        Host::with(&id, links_config(&id))
    }

    fn with(id: &str, config: LinksConfig) -> Host {
        let links = Arc::new(PodLinks::open(config).unwrap());
        let table = ServiceTable::open(nft_config(id, &links)).unwrap();
        let pods = ["a", "b", "c"].into_iter().map(|name| TestPod::new(&links, name)).collect();
        Host { pods, table, links }
    }

    /// Puts addresses of pods in the place of their names, and applies.
    fn apply(&mut self, text: &str) {
        let mut text = text.to_owned();
        for pod in &self.pods {
            if let Some(ip) = pod.ip6 {
                text = text.replace(&format!("@{}6", pod.name), &SocketAddr::new(ip, 8080).to_string());
            }
            text = text.replace(&format!("@{}", pod.name), &pod.endpoint().to_string());
        }
        assert_eq!(self.table.apply(rules(&text)).unwrap(), [""; 0]);
    }

    /// Checks lines `from protocol to = answer`; an answer `a|b host` may be either's.
    fn check(&self, table: &str) {
        let mut wrong = String::new();
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (question, expected) = line.split_once(" = ").unwrap();
            let words: Vec<&str> = question.split_whitespace().collect();
            let pod = |name: &str| self.pods.iter().find(|pod| pod.name == name);
            let to: SocketAddr = match (pod(words[2]), words[2].strip_suffix('6').and_then(pod)) {
                (Some(pod), _) => pod.endpoint(),
                (None, Some(pod)) => SocketAddr::new(pod.ip6.unwrap(), 8080),
                (None, None) => words[2].parse().unwrap(),
            };
            let ask = if words[1] == "tcp" { tcp } else { udp };
            let mut answer = match pod(words[0]) {
                Some(pod) => pod.namespace.run(move || ask(to)),
                None => ask(to),
            };
            let hosts = self.links.gateways().iter().map(|ip| (*ip, "host"));
            let pods = self.pods.iter().flat_map(|pod| {
                [Some(pod.ip), pod.ip6].into_iter().flatten().map(|ip| (ip, pod.name.as_str()))
            });
            for (ip, name) in hosts.chain(pods) {
                if let Some(who) = answer.strip_suffix(&format!(" {ip}")) {
                    answer = format!("{who} {name}");
                    break;
                }
            }
            let (who, rest) = expected.split_once(' ').unwrap_or((expected, ""));
            let possible = |who: &str| format!("{who} {rest}").trim_end() == answer;
            if !who.split('|').any(possible) {
                wrong.push_str(&format!("{line}, and not {answer}\n"));
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}

#[test]
fn packets_go_where_they_should() {
    on_hosts("packets_go_where_they_should", || {
        let mut host = Host::new("packets");
        host.apply(
            "all 10.96.0.1 tcp 80 > @a @b @c
             all 10.96.0.1 udp 80 > @a @b @c
             one 10.96.0.2 tcp 80 > @a
             one 10.96.0.2 udp 80 > @a
             stick 10.96.0.3 tcp 80 sticky > @a @b @c
             none 10.96.0.4 tcp 80 >
             none 10.96.0.4 udp 80 >",
        );
        host.check(
            "host tcp a = a host
             host udp a = a host
             a tcp b = b a
             b udp a = a b
             a tcp a = a a
             a tcp 10.244.0.1:9 = refused
             a tcp 10.244.0.200:80 = unreachable
             host tcp 10.244.0.200:80 = unreachable
             host tcp 10.96.0.1:80 = a|b|c host
             host udp 10.96.0.1:80 = a|b|c host
             b tcp 10.96.0.2:80 = a b
             b udp 10.96.0.2:80 = a b
             a tcp 10.96.0.2:80 = a host
             a udp 10.96.0.2:80 = a host
             host tcp 10.96.0.2:81 = refused
             b tcp 10.96.0.2:81 = refused
             host tcp 10.96.0.4:80 = refused
             host udp 10.96.0.4:80 = refused
             b tcp 10.96.0.4:80 = refused
             b udp 10.96.0.4:80 = refused
             b tcp 10.96.7.7:80 = refused",
        );
        // Every endpoint is drawn, and a sticky client stays.
        let to: SocketAddr = "10.96.0.1:80".parse().unwrap();
        let drawn: std::collections::BTreeSet<String> = (0..60).map(|_| tcp(to)).collect();
        assert_eq!(drawn.len(), 3, "{drawn:?}");
        let to: SocketAddr = "10.96.0.3:80".parse().unwrap();
        let drawn: std::collections::BTreeSet<String> = (0..20).map(|_| tcp(to)).collect();
        assert_eq!(drawn.len(), 1, "{drawn:?}");
    });
}

#[test]
fn packets_go_where_they_should_over_ipv6() {
    if !has_ipv6("packets_go_where_they_should_over_ipv6") {
        return;
    }
    on_hosts("packets_go_where_they_should_over_ipv6", || {
        let id = cluster_id("dual");
        let mut host = Host::with(&id, dual_config(&id));
        host.apply(
            "all 10.96.0.1,fd00:96::1 tcp 80 > @a @b @c @a6 @b6 @c6
             one 10.96.0.2,fd00:96::2 udp 80 > @a @a6
             one fd00:96::2 tcp 80 > @a6
             stick fd00:96::3 tcp 80 sticky > @a6 @b6
             none fd00:96::4 tcp 80 >",
        );
        host.check(
            "host tcp a = a host
             host tcp a6 = a host
             host udp a6 = a host
             a tcp b6 = b a
             b udp a6 = a b
             host tcp 10.96.0.1:80 = a|b|c host
             host tcp [fd00:96::1]:80 = a|b|c host
             b udp [fd00:96::2]:80 = a b
             a tcp [fd00:96::2]:80 = a host
             a udp [fd00:96::2]:80 = a host
             c tcp [fd00:96::3]:80 = a|b c
             host tcp [fd00:96::4]:80 = refused
             b tcp [fd00:96::4]:80 = refused
             b udp [fd00:96::4]:80 = refused
             c udp [fd00:96::4]:80 = refused
             host udp [fd00:96::4]:80 = refused
             c udp [fd00:96::4]:80 = refused
             b udp b6 = b b
             c udp [fd00:244::1]:99 = refused
             a tcp [fd00:244::99]:80 = unreachable",
        );
    });
}

#[test]
fn a_change_of_endpoints_leaves_no_old_answers() {
    on_hosts("a_change_of_endpoints_leaves_no_old_answers", || {
        let mut host = Host::new("change");
        host.apply("web 10.96.0.1 tcp 80 > @a @b\nweb 10.96.0.1 udp 80 > @a");
        let to: SocketAddr = "10.96.0.1:80".parse().unwrap();
        let flow = UdpSocket::bind("0.0.0.0:0").unwrap();
        assert_eq!(udp_from(&flow, to), "a 10.244.0.1");
        host.apply("web 10.96.0.1 tcp 80 > @c\nweb 10.96.0.1 udp 80 > @c");
        assert_eq!(udp_from(&flow, to), "c 10.244.0.1", "the same flow goes to the new endpoint");
        for _ in 0..20 {
            assert_eq!(tcp(to), "c 10.244.0.1");
        }
        host.apply("web 10.96.0.1 tcp 80 >");
        host.check("host tcp 10.96.0.1:80 = refused\nb udp 10.96.0.1:80 = refused");
        host.apply("web 10.96.0.1 tcp 80 > @b");
        host.check("host tcp 10.96.0.1:80 = b host\na tcp 10.96.0.1:80 = b a");
    });
}

#[test]
fn a_connection_outlives_its_endpoint() {
    on_hosts("a_connection_outlives_its_endpoint", || {
        use std::io::{Read, Write};
        use std::net::{TcpListener, TcpStream};
        let mut host = Host::new("drain");
        let listener = host.pods[0].namespace.run(|| TcpListener::bind("0.0.0.0:9090").unwrap());
        host.apply(&format!("web 10.96.0.1 tcp 80 > {}:9090", host.pods[0].ip));
        let mut from_host = TcpStream::connect("10.96.0.1:80").unwrap();
        let mut accepted = vec![listener.accept().unwrap().0];
        let mut from_pod = host.pods[1].namespace.run(|| TcpStream::connect("10.96.0.1:80").unwrap());
        accepted.push(listener.accept().unwrap().0);
        host.apply("web 10.96.0.1 tcp 80 >");
        for (client, server) in [&mut from_host, &mut from_pod].into_iter().zip(&mut accepted) {
            let mut heard = [0; 4];
            client.write_all(b"ping").unwrap();
            server.read_exact(&mut heard).unwrap();
            server.write_all(b"pong").unwrap();
            client.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"pong");
        }
        host.check("host tcp 10.96.0.1:80 = refused\nb tcp 10.96.0.1:80 = refused");
    });
}

#[test]
fn a_burst_of_changes_fails_no_connection() {
    on_host("a_burst_of_changes_fails_no_connection", || {
        let mut host = Host::new("burst");
        host.apply("web 10.96.0.1 tcp 80 > @a");
        let to: SocketAddr = "10.96.0.1:80".parse().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                let mut answers = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let answer = tcp(to);
                    assert!(answer.ends_with("10.244.0.1"), "{answer}");
                    answers += 1;
                }
                answers
            });
            for _ in 0..150 {
                host.apply("web 10.96.0.1 tcp 80 > @a @b @c");
                host.apply("web 10.96.0.1 tcp 80 > @c");
                host.apply("web 10.96.0.1 tcp 80 > @b @a");
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(client.join().unwrap() > 0);
        });
    });
}

#[test]
fn what_leaves_the_cluster_has_the_hosts_address() {
    on_hosts("what_leaves_the_cluster_has_the_hosts_address", || {
        // A server outside, reached over a link that stands for the host's uplink.
        let outside = Namespace::new();
        uplink(&outside);
        let host = Host::new("outside");
        let listener = outside.run(|| std::net::TcpListener::bind("192.0.2.2:80").unwrap());
        let asking = host.pods[0].namespace.run(|| std::net::TcpStream::connect("192.0.2.2:80").map(drop));
        asking.expect("a pod reaches the outside");
        assert_eq!(listener.accept().unwrap().1.ip().to_string(), "192.0.2.1");
    });
}

/// Joins a namespace with this one: 192.0.2.1 here, .2 there, and a default route to it.
pub(in crate::net) fn uplink(outside: &Namespace) {
    use crate::net::links::testing as t;
    t::uplink(outside);
}

#[test]
fn ten_thousand_services() {
    on_host("ten_thousand_services", || {
        let id = cluster_id("many");
        let links = PodLinks::open(links_config(&id)).unwrap();
        let mut table = ServiceTable::open(nft_config(&id, &links)).unwrap();
        let ip = |n: u32| IpAddr::from([10, 96, (n / 250) as u8, (n % 250) as u8]);
        let endpoint = |n: u32| SocketAddr::from(([10, 244, (n / 250 % 250) as u8, (n % 250) as u8], 8080));
        let rule = |n: u32, first: u32| ServiceRule {
            service: format!("many/{n}"),
            cluster_ips: vec![ip(n)],
            protocol: Protocol::Tcp,
            port: 80,
            endpoints: vec![endpoint(first), endpoint(2 * n + 1)],
            affinity: None,
        };
        let clock = crate::world::SystemClock::new();
        let time = |act: &mut dyn FnMut()| {
            use crate::world::Clock;
            let start = clock.moment();
            act();
            clock.moment().since(start)
        };
        let all: Vec<ServiceRule> = (0..10_000).map(|n| rule(n, 2 * n)).collect();
        let mut all = Some(all);
        let load = time(&mut || drop(table.apply(all.take().unwrap()).unwrap()));
        let mut one: Vec<_> = (0..50)
            .map(|n| {
                time(&mut || drop(table.update(vec![(format!("many/{n}"), vec![rule(n, 7777)])]).unwrap()))
            })
            .collect();
        one.sort();
        let rewrite = time(&mut || table.rewrite().unwrap());
        let close = time(&mut || table.close().unwrap());
        eprintln!(
            "10,000 Services of 2 endpoints: load {load:?}, one change p50 {:?}, written anew {rewrite:?}, removed {close:?}",
            one[25]
        );
    });
}
