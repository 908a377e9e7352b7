//! The door and the store, in process: rates, percentiles and memory, printed. No figure is asserted.
//!
//! `cargo bench --bench door`; words after `--` run only the parts whose name contains one of them.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs, reason = "a benchmark reads clocks")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use coracle::api::kinds;
use coracle::apiserver::{
    Face, ListParams, Server, ServerConfig, ServiceRange, WatchEvent, WatchFrom, WatchParams, WriteOptions,
};
use coracle::client::Client;
use coracle::k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use coracle::store::Memory;
use coracle::world::World;

fn server() -> Arc<Server> {
    let server = Server::open(ServerConfig {
        registry: Arc::new(kinds::builtin()),
        backend: Arc::new(Memory::new()),
        world: World::real(),
        admission: Vec::new(),
        services: ServiceRange::default(),
    });
    let client = Client::local(server.clone());
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("default".into());
    client.all::<Namespace>().create(&namespace).unwrap();
    server
}

/// A pod of ordinary size: one container, a projected token volume.
fn pod(number: usize) -> Pod {
    let text = include_str!("pod.json").replace("NUMBER", &format!("{number:06}"));
    serde_json::from_str(&text).unwrap()
}

/// The status that a node writes.
fn running(pod: &mut Pod, number: usize) {
    let address = format!("10.244.{}.{}", number / 250 % 250, number % 250);
    pod.status = serde_json::from_str(&include_str!("status.json").replace("ADDRESS", &address)).unwrap();
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4096.0 / 1e6
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:?} p90 {:?} p99 {:?} max {:?}", at(0.5), at(0.9), at(0.99), at(1.0))
}

fn creates() {
    for threads in [1, 2] {
        let server = server();
        let kind = server.registry().id_of::<Pod>().unwrap();
        let (batches, batch) = (1_000, 32);
        // The threads make their pods in small batches, as a caller has them: warm. Only the creates are timed.
        let times: Vec<Duration> = thread::scope(|scope| {
            let creator = |thread: usize| {
                let server = &server;
                scope.spawn(move || {
                    let mut taken = Duration::ZERO;
                    for first in (0..batches).map(|at| (thread * batches + at) * batch) {
                        let pods: Vec<_> = (first..first + batch).map(|i| Box::new(pod(i))).collect();
                        let began = Instant::now();
                        for pod in pods {
                            server.create(kind, pod, &WriteOptions::default()).unwrap();
                        }
                        taken += began.elapsed();
                    }
                    taken
                })
            };
            let running: Vec<_> = (0..threads).map(creator).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let rate: f64 = times.iter().map(|taken| (batches * batch) as f64 / taken.as_secs_f64()).sum();
        println!("pod creates through the whole door, {threads} threads: {rate:.0} a second");
        server.store().check().unwrap();
    }
}

fn reads() {
    let server = server();
    let kind = server.registry().id_of::<Pod>().unwrap();
    for i in 0..10_000 {
        server.create(kind, Box::new(pod(i)), &WriteOptions::default()).unwrap();
    }
    let api = Client::local(server.clone()).namespaced::<Pod>("default");
    let count = 1_000_000;
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            let api = &api;
            scope.spawn(move || {
                for _ in 0..count {
                    std::hint::black_box(api.get("web-6d4cf56db6-004711").unwrap());
                }
            });
        }
    });
    let rate = 2.0 * f64::from(count) / began.elapsed().as_secs_f64();
    println!("gets of a hot object, 2 threads: {rate:.0} a second");
    let times = (0..50).map(|_| {
        let began = Instant::now();
        let list = api.list(&ListParams::default()).unwrap();
        assert_eq!(list.items.len(), 10_000);
        began.elapsed()
    });
    println!("consistent list of 10,000 pods as handles: {}", percentiles(times.collect()));
}

fn memory() {
    let server = server();
    let kind = server.registry().id_of::<Pod>().unwrap();
    let before = resident();
    let count = 30_000;
    for i in 0..count {
        let record = server.create(kind, Box::new(pod(i)), &WriteOptions::default()).unwrap();
        let mut pod: Pod = record.decode();
        running(&mut pod, i);
        server.update(kind, Face::Status, Box::new(pod), &WriteOptions::default()).unwrap();
    }
    let each = (resident() - before) / count as f64 * 10_000.0;
    println!("resident for each 10,000 pods, settled, log and all: {each:.1} MB (measured over {count})");
}

fn config_map(i: usize) -> Box<ConfigMap> {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(format!("c{i}"));
    map.metadata.namespace = Some("default".into());
    Box::new(map)
}

/// How long an event is on its way to a thread that sleeps in its watch.
fn latency() {
    let server = server();
    let kind = server.registry().id_of::<ConfigMap>().unwrap();
    let origin = Instant::now();
    let sent = Arc::new(AtomicU64::new(0));
    let times = Arc::new(Mutex::new(Vec::new()));
    let params = WatchParams { from: WatchFrom::Now, ..WatchParams::default() };
    let mut watch = server.watch(kind, &params).unwrap();
    let rounds = 5_000;
    let (stamp, taken) = (sent.clone(), times.clone());
    let waiter = thread::spawn(move || {
        for _ in 0..rounds {
            let WatchEvent::Added(_) = watch.next_event().unwrap() else { panic!("an addition") };
            let now = origin.elapsed().as_nanos() as u64;
            taken.lock().unwrap().push(Duration::from_nanos(now - stamp.load(Ordering::Acquire)));
        }
    });
    for i in 0..rounds {
        let object = config_map(i);
        while times.lock().unwrap().len() < i {
            thread::yield_now();
        }
        // The waiter must be asleep again, as it is in use.
        thread::sleep(Duration::from_micros(60));
        sent.store(origin.elapsed().as_nanos() as u64, Ordering::Release);
        server.create(kind, object, &WriteOptions::default()).unwrap();
    }
    waiter.join().unwrap();
    let times = std::mem::take(&mut *times.lock().unwrap());
    println!("create called until a waiting watcher has it: {}", percentiles(times));
}

/// What watchers cost a writer.
fn watchers() {
    for (what, namespace, count) in [
        ("no watchers", "other", 0),
        ("1,000 watchers that do not match", "other", 1000),
        ("1,000 watchers that match", "default", 1000),
    ] {
        let server = server();
        let kind = server.registry().id_of::<ConfigMap>().unwrap();
        let params = WatchParams {
            namespace: Some(namespace.to_owned()),
            from: WatchFrom::Now,
            ..WatchParams::default()
        };
        let mut watches: Vec<_> = (0..count).map(|_| server.watch(kind, &params).unwrap()).collect();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            if namespace == "default" {
                let (stop, watches) = (&stop, &mut watches);
                scope.spawn(move || {
                    let mut seen = 0u64;
                    while !stop.load(Ordering::Relaxed) {
                        for watch in &mut *watches {
                            while watch.try_next().unwrap().is_some() {
                                seen += 1;
                            }
                        }
                    }
                    println!("({seen} events read meanwhile)");
                });
            }
            let objects: Vec<_> = (0..5_000).map(config_map).collect();
            let began = Instant::now();
            for object in objects {
                server.create(kind, object, &WriteOptions::default()).unwrap();
            }
            println!("a create with {what}: {:?}", began.elapsed() / 5_000);
            stop.store(true, Ordering::Relaxed);
        });
    }
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let parts: [(&str, fn()); 5] = [
        ("creates", creates),
        ("reads", reads),
        ("memory", memory),
        ("latency", latency),
        ("watchers", watchers),
    ];
    for (name, part) in parts {
        if only.is_empty() || only.iter().any(|word| name.contains(word.as_str())) {
            part();
        }
    }
}
