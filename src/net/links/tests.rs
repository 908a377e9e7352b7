//! Links on real hosts: what comes, what goes, and what stays of others.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::*;
use crate::net::nft::{self, Kernel};
use crate::net::service::ServiceTable;
use crate::net::testbed::*;

/// Everything of the host's namespace that we could leave behind: links, routes and tables.
fn traces() -> Vec<String> {
    let socket = Socket::open(SockProtocol::NetlinkRoute).unwrap();
    let mut traces: Vec<String> = list_links(&socket)
        .unwrap()
        .into_iter()
        .map(|link| format!("link {} forwarding {}", link.name, link.forwarding))
        .collect();
    let answers = ask(&socket, "routes", &mut [("listing", messages::list_routes())]).unwrap();
    traces.extend(
        answers
            .iter()
            .flat_map(|answer| &answer.messages)
            .filter_map(|(kind, payload)| messages::read_route(*kind, payload))
            .map(|route| format!("route {}", route.destination)),
    );
    traces
        .extend(nft::clusters(&Kernel::open().unwrap()).unwrap().into_iter().map(|id| format!("table {id}")));
    traces.sort();
    traces
}

/// Waits until no link of a pod that is gone is left, by the listener's own news.
fn settle(links: &PodLinks) {
    let bound = std::time::Duration::from_secs(20);
    assert!(links.wait_ended(bound), "links of ended pods are still there");
}

#[test]
fn closing_leaves_nothing() {
    on_hosts("closing_leaves_nothing", || {
        let outside = Namespace::new();
        testing::uplink(&outside);
        let before = traces();
        let id = cluster_id("close");
        let links = PodLinks::open(links_config(&id)).unwrap();
        let mut table = ServiceTable::open(nft_config(&id, &links)).unwrap();
        let pods = ["a", "b"].map(|name| TestPod::new(&links, name));
        assert!(traces().contains(&"link up0 forwarding true".to_owned()));
        assert!(traces().len() > before.len() + 6, "{:?}", traces());
        table.close().unwrap();
        assert!(links.close().is_empty());
        assert!(links.close().is_empty());
        assert_eq!(traces(), before);
        drop(pods);
    });
}

#[test]
fn a_pod_keeps_its_address_and_gives_it_back() {
    on_host("a_pod_keeps_its_address_and_gives_it_back", || {
        let id = cluster_id("again");
        let mut config = links_config(&id);
        config.pods = "10.244.0.0/30".parse().unwrap();
        let links = PodLinks::open(config).unwrap();
        let pod = TestPod::new(&links, "a");
        let again = links.attach("a", pod.namespace.netns.as_fd(), pod.namespace.netlink.as_fd()).unwrap();
        assert_eq!(again.ips, [pod.ip]);
        let refused = TestPod::try_new(&links, "b").err().unwrap();
        assert_eq!(
            refused.to_string(),
            "pod b: no address is left in the pod range 10.244.0.0/30: all 1 are in use"
        );
        // Detached before its namespace ends, and after.
        links.detach("a");
        links.detach("a");
        assert!(TestPod::try_new(&links, "b").is_err(), "the link is still there");
        drop(pod);
        settle(&links);
        let pod = TestPod::new(&links, "b");
        assert_eq!(tcp(pod.endpoint()), "b 10.244.0.1", "no stale neighbour");
        drop(pod);
        // The news may come before the call or after it.
        links.detach("b");
        settle(&links);
        TestPod::new(&links, "c");
    });
}

#[test]
fn a_failed_attach_leaves_nothing() {
    on_host("a_failed_attach_leaves_nothing", || {
        let links = PodLinks::open(links_config(&cluster_id("failed"))).unwrap();
        let before = traces();
        let pod = Namespace::new();
        // A socket of the host's own namespace is not one of the pod's: eth0 is not there.
        let wrong = Socket::open(SockProtocol::NetlinkRoute).unwrap();
        let error = links.attach("x", pod.netns.as_fd(), wrong.fd()).unwrap_err();
        assert!(error.to_string().starts_with("pod x: preparing eth0 in the pod: No such device"), "{error}");
        assert_eq!(traces(), before);
        links.attach("x", pod.netns.as_fd(), pod.netlink.as_fd()).unwrap();
    });
}

#[test]
fn a_sweep_takes_the_dead_and_leaves_the_living() {
    on_host("a_sweep_takes_the_dead_and_leaves_the_living", || {
        let outside = Namespace::new();
        testing::uplink(&outside);
        let before = traces();
        let (dead, alive) = (cluster_id("dead"), cluster_id("alive"));
        let first = PodLinks::open(links_config(&dead)).unwrap();
        let first_table = ServiceTable::open(nft_config(&dead, &first)).unwrap();
        let orphan = TestPod::new(&first, "orphan");
        let mut config = links_config(&alive);
        config.pods = "10.245.0.0/24".parse().unwrap();
        config.services = "10.97.0.0/16".parse().unwrap();
        let second = PodLinks::open(config).unwrap();
        let mut second_table = ServiceTable::open(nft_config(&alive, &second)).unwrap();
        let pod = TestPod::new(&second, "pod");
        // As after a kill: nothing of the first cluster's own is run.
        first.watch.lock().take().unwrap().stop();
        std::mem::forget((first, first_table));

        let swept = crate::net::sweep(|id| id == alive);
        assert_eq!(swept.errors, [""; 0]);
        assert_eq!(swept.clusters.into_iter().collect::<Vec<_>>(), std::slice::from_ref(&dead));
        assert_eq!(tcp(pod.endpoint()), "pod 10.245.0.1", "the living one is not touched");
        assert!(traces().contains(&"link up0 forwarding true".to_owned()), "it still needs the uplink");
        assert!(!traces().iter().any(|t| t.contains(&dead) || t.contains(&names::bridge(&dead))));
        second_table.close().unwrap();
        assert!(second.close().is_empty());
        assert_eq!(traces(), before, "who goes last restores the uplink");
        drop((orphan, pod));
    });
}

#[test]
fn a_start_over_leftovers_of_the_same_cluster() {
    on_host("a_start_over_leftovers_of_the_same_cluster", || {
        let id = cluster_id("over");
        let first = PodLinks::open(links_config(&id)).unwrap();
        let pod = TestPod::new(&first, "a");
        first.watch.lock().take().unwrap().stop();
        std::mem::forget(first);
        // Adopted: the pod stays reachable and keeps its address.
        let mut config = links_config(&id);
        config.adopt = vec![("a".into(), PodIps { ips: vec![pod.ip] })];
        let second = PodLinks::open(config.clone()).unwrap();
        assert_eq!(tcp(pod.endpoint()), "a 10.244.0.1");
        assert_ne!(TestPod::new(&second, "b").ip, pod.ip);
        second.watch.lock().take().unwrap().stop();
        std::mem::forget(second);
        // Not adopted: all of it goes.
        config.adopt.clear();
        let third = PodLinks::open(config).unwrap();
        assert_eq!(tcp(pod.endpoint()), "unreachable");
        assert_eq!(TestPod::new(&third, "b").ip, pod.ip);
    });
}

#[test]
fn a_hundred_pods_come_and_go() {
    on_host("a_hundred_pods_come_and_go", || {
        use crate::world::{Clock, SystemClock};
        let clock = SystemClock::new();
        let links = PodLinks::open(links_config(&cluster_id("hundred"))).unwrap();
        let namespaces: Vec<Namespace> = (0..100).map(|_| Namespace::new()).collect();
        let mut times = Vec::new();
        for (n, pod) in namespaces.iter().enumerate() {
            let start = clock.moment();
            links.attach(&n.to_string(), pod.netns.as_fd(), pod.netlink.as_fd()).unwrap();
            times.push(clock.moment().since(start));
        }
        times.sort();
        let start = clock.moment();
        drop(namespaces);
        for n in 0..100 {
            links.detach(&n.to_string());
        }
        settle(&links);
        let gone = clock.moment().since(start);
        eprintln!("attach p50 {:?} p99 {:?}; 100 gone in {gone:?}", times[50], times[98]);
        let mut fresh = std::collections::BTreeSet::new();
        let mut state = links.shared.state.lock();
        while let Ok(ips) = state.addresses.take() {
            fresh.insert(ips);
        }
        assert_eq!(fresh.len(), 253, "every address is free again");
    });
}

#[test]
fn pods_are_attached_side_by_side() {
    on_host("pods_are_attached_side_by_side", || {
        let links = PodLinks::open(links_config(&cluster_id("many"))).unwrap();
        let pods: Vec<Vec<TestPod>> = std::thread::scope(|scope| {
            let attach = |worker: u32| {
                let links = &links;
                scope.spawn(move || {
                    (0..8).map(|n| TestPod::new(links, &format!("{worker}-{n}"))).collect::<Vec<_>>()
                })
            };
            let workers: Vec<_> = (0..4).map(attach).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        let ips: std::collections::BTreeSet<_> = pods.iter().flatten().map(|pod| pod.ip).collect();
        assert_eq!(ips.len(), 32);
        for pod in pods.iter().flatten() {
            assert_eq!(tcp(pod.endpoint()), format!("{} 10.244.0.1", pod.name));
        }
    });
}

#[test]
fn the_first_packet_arrives() {
    on_hosts("the_first_packet_arrives", || {
        use crate::world::{Clock, SystemClock};
        let clock = SystemClock::new();
        let links = PodLinks::open(links_config(&cluster_id("first"))).unwrap();
        for n in 0..10 {
            let pod = TestPod::new(&links, &n.to_string());
            let to: SocketAddr = pod.endpoint();
            let start = clock.moment();
            assert_eq!(tcp(to), format!("{n} 10.244.0.1"));
            let waited = clock.moment().since(start);
            assert!(waited.as_millis() < 900, "the first packet was lost: {waited:?}");
        }
    });
}
