//! What stands in the slices of services.

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::EndpointSlices;
use crate::api::ObjectKey;
use crate::apiserver::{DeleteOptions, Face};
use crate::controllers::harness::{Harness, namespace, node};
use crate::reconcile::simulation::Rest;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
}

/// A pod of the label `app=web` from a short form: `ip`, `ips`, `ready` (yes unless `false`), `node` (`a`), `phase`,
/// `app`, `port` (number of the port named `http`), `hostname`, `subdomain`, `ns`.
fn create_pod(harness: &Harness, name: &str, short: &Value) {
    let text = |key: &str, default: &str| short[key].as_str().unwrap_or(default).to_owned();
    let ports = short["port"]
        .as_i64()
        .map(|port| json!([{"name": "http", "containerPort": port, "protocol": "TCP"}]));
    let place = text("ns", "n");
    harness
        .create(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": place, "labels": {"app": text("app", "web")}},
            "spec": {
                "nodeName": text("node", "a"), "hostname": short["hostname"], "subdomain": short["subdomain"],
                "containers": [{"name": "c", "image": "i", "ports": ports}],
            },
        }))
        .expect("a pod");
    let ips: Vec<String> = match short["ips"].as_array() {
        Some(ips) => ips.iter().filter_map(|ip| ip.as_str().map(str::to_owned)).collect(),
        None => vec![text("ip", "10.1.0.1")],
    };
    let ready = if short["ready"] == false { "False" } else { "True" };
    let status = json!({
        "phase": text("phase", "Running"), "podIPs": ips.iter().filter(|ip| !ip.is_empty()).map(|ip| json!({"ip": ip})).collect::<Vec<_>>(),
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:07Z"}],
    });
    harness.change::<Pod>(&ObjectKey::new(&place, name), Face::Status, |pod| {
        pod.status = serde_json::from_value(status).expect("a status");
    });
}

fn create_service(harness: &Harness, name: &str, spec: &Value) {
    let mut whole =
        json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]});
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    let meta = json!({"name": name, "namespace": "n", "labels": {"team": "x"}});
    harness
        .create(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": whole}))
        .expect("a service");
}

/// The slices: `ports > endpoints`, an endpoint as `addresses` with `r`, `s`, `t` for its conditions and `@node/zone`.
fn show(harness: &Harness) -> String {
    let mut slices: Vec<String> = harness
        .list::<EndpointSlice>()
        .iter()
        .map(|slice| {
            let ports = slice.ports.iter().flatten();
            let ports: Vec<String> = ports
                .map(|port| format!("{}{}", port.name.clone().unwrap_or_default(), port.port.unwrap_or(0)))
                .collect();
            let mut endpoints: Vec<String> = slice.endpoints.iter().flatten().map(endpoint).collect();
            endpoints.sort();
            format!("{}>{}", ports.join(","), endpoints.join(","))
        })
        .collect();
    slices.sort();
    if slices.is_empty() { "none".to_owned() } else { slices.join(" ") }
}

fn endpoint(endpoint: &k8s_openapi::api::discovery::v1::Endpoint) -> String {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let flag =
        |on: Option<bool>, letter: &str| if on == Some(true) { letter.to_owned() } else { String::new() };
    let zone = endpoint.zone.clone().map_or(String::new(), |zone| format!("/{zone}"));
    let host = endpoint.hostname.clone().map_or(String::new(), |host| format!("={host}"));
    format!(
        "{}:{}{}{}@{}{zone}{host}",
        endpoint.addresses.join("+"),
        flag(conditions.ready, "r"),
        flag(conditions.serving, "s"),
        flag(conditions.terminating, "t"),
        endpoint.node_name.clone().unwrap_or_default(),
    )
}

fn begin(seed: u64) -> Harness {
    let harness = Harness::new(seed);
    for name in ["n", "m"] {
        harness.create(namespace(name)).expect("a namespace");
    }
    let mut zoned = node("a", 1, 1);
    zoned["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": "z"});
    harness.create(zoned).expect("a node");
    harness.create(node("b", 1, 1)).expect("a node");
    harness
}

/// Rows of `service | pods | slices`.
fn check(table: &str) {
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let columns: Vec<&str> = row.split(" | ").map(str::trim).collect();
        for seed in 0..4 {
            let mut harness = begin(seed);
            if seed % 2 == 0 {
                harness.start(EndpointSlices::default());
                harness.settle();
            }
            let pods = yaml(columns[1]);
            if seed < 2 {
                create_service(&harness, "web", &yaml(columns[0]));
                harness.settle();
            }
            for (name, short) in pods.as_object().into_iter().flatten() {
                create_pod(&harness, name, short);
            }
            if seed >= 2 {
                create_service(&harness, "web", &yaml(columns[0]));
            }
            if seed % 2 == 1 {
                harness.start(EndpointSlices::default());
            }
            assert_eq!(harness.settle(), Rest::Quiet, "{row}: nothing is left to do");
            assert_eq!(show(&harness), columns[2], "{row} (seed {seed})");
        }
    }
}

#[test]
fn services_and_pods() {
    check(
        "{} | {} | >
         {} | {p: {}} | 8080>10.1.0.1:rs@a/z
         {} | {p: {node: b}} | 8080>10.1.0.1:rs@b
         {} | {p: {ready: false}} | 8080>10.1.0.1:@a/z
         {publishNotReadyAddresses: true} | {p: {ready: false}} | 8080>10.1.0.1:r@a/z
         {} | {p: {ip: ''}} | >
         {} | {p: {phase: Succeeded}, q: {phase: Failed}} | >
         {} | {p: {app: other}} | >
         {} | {p: {ns: m}} | >
         {} | {p: {ip: 10.1.0.1}, q: {ip: 10.1.0.2, ready: false}} | 8080>10.1.0.1:rs@a/z,10.1.0.2:@a/z
         # A pod on a node that is not there is left out, unless it is to be published in any case.
         {} | {p: {node: z}} | >
         {publishNotReadyAddresses: true} | {p: {node: z}} | 8080>10.1.0.1:rs@z
         # Named ports may differ from pod to pod; pods without such a port have none.
         {ports: [{port: 80, targetPort: http, protocol: TCP}]} | {p: {port: 1}, q: {port: 2, ip: 10.1.0.2}, r: {port: 2, ip: 10.1.0.3}} | 1>10.1.0.1:rs@a/z 2>10.1.0.2:rs@a/z,10.1.0.3:rs@a/z
         {ports: [{port: 80, targetPort: http, protocol: TCP}]} | {p: {}} | >10.1.0.1:rs@a/z
         {ports: [{port: 80, targetPort: http, protocol: UDP}]} | {p: {port: 1}} | >10.1.0.1:rs@a/z
         {ports: [{name: y, port: 80, protocol: TCP}, {name: x, port: 81, targetPort: http, protocol: TCP}]} | {p: {port: 7}} | x7,y80>10.1.0.1:rs@a/z
         {clusterIP: None} | {p: {hostname: h, subdomain: web}} | 8080>10.1.0.1:rs@a/z=h
         {clusterIP: None} | {p: {hostname: h, subdomain: else}} | 8080>10.1.0.1:rs@a/z
         {clusterIP: None, ports: []} | {p: {}} | >10.1.0.1:rs@a/z
         {selector: {}} | {p: {}} | none
         {selector: {app: other}} | {p: {app: other}} | 8080>10.1.0.1:rs@a/z
         {ipFamilies: [IPv4]} | {p: {ips: [10.1.0.1, 'fd00::1']}} | 8080>10.1.0.1:rs@a/z
         {ipFamilies: [IPv4]} | {p: {ips: ['fd00::1']}} | >",
    );
}

#[test]
fn changes_are_few() {
    let mut harness = begin(1);
    harness.start(EndpointSlices::default());
    create_service(&harness, "web", &json!({}));
    for at in 0..3 {
        create_pod(&harness, &format!("p{at}"), &json!({"ip": format!("10.1.0.{}", at + 1)}));
    }
    harness.settle();
    let slice = &harness.list::<EndpointSlice>()[0];
    let labels = slice.metadata.labels.clone().unwrap_or_default();
    assert_eq!(
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "),
        "endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io kubernetes.io/service-name=web team=x"
    );
    assert!(slice.name().starts_with("web-") && slice.name().len() == 9);
    let owner = &slice.metadata.owner_references.as_ref().expect("an owner")[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("Service", Some(true)));
    // Many pods turn at once: one write.
    let before = slice.revision();
    let turn = |harness: &Harness, ready: &str| {
        for at in 0..3 {
            harness.change::<Pod>(&ObjectKey::new("n", &format!("p{at}")), Face::Status, |pod| {
                let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
                conditions[0].status = ready.to_owned();
            });
        }
    };
    let last = harness.view().revision();
    turn(&harness, "False");
    let written = harness.view().revision();
    harness.settle();
    assert_eq!(harness.view().revision().0, written.0 + 1, "one write after {last}");
    let slice = &harness.list::<EndpointSlice>()[0];
    assert!(slice.revision() > before);
    let annotation = slice
        .metadata
        .annotations
        .as_ref()
        .and_then(|a| a.get("endpoints.kubernetes.io/last-change-trigger-time"));
    assert_eq!(annotation.map(String::as_str), Some("2026-01-01T00:00:07Z"));
    // A change that no endpoint shows: no write.
    harness.change::<Pod>(&ObjectKey::new("n", "p0"), Face::Main, |pod| {
        pod.metadata.annotations.get_or_insert_default().insert("x".to_owned(), "y".to_owned());
    });
    let written = harness.view().revision();
    harness.settle();
    assert_eq!(harness.view().revision(), written);
    // A pod that ends is said to; one that is gone goes, and the last one leaves an empty slice.
    turn(&harness, "True");
    harness.delete::<Pod>(&ObjectKey::new("n", "p0"), &DeleteOptions::default());
    harness.settle();
    assert_eq!(show(&harness), "8080>10.1.0.1:st@a/z,10.1.0.2:rs@a/z,10.1.0.3:rs@a/z");
    let name = harness.list::<EndpointSlice>()[0].name().to_owned();
    for at in 0..3 {
        harness.delete::<Pod>(&ObjectKey::new("n", &format!("p{at}")), &DeleteOptions::default().grace(0));
    }
    harness.settle();
    assert_eq!(show(&harness), ">");
    assert_eq!(harness.list::<EndpointSlice>()[0].name(), name, "the slice is written over");
}

#[test]
fn large_services_have_many_slices() {
    let mut harness = begin(2);
    harness.start(EndpointSlices::default());
    create_service(&harness, "web", &json!({}));
    harness.settle();
    for at in 0..250 {
        create_pod(&harness, &format!("p{at:03}"), &json!({"ip": format!("10.1.1.{at}")}));
    }
    harness.settle();
    let sizes = |harness: &Harness| -> usize {
        let slices = harness.list::<EndpointSlice>();
        assert!(slices.iter().all(|slice| slice.endpoints.as_ref().map_or(0, Vec::len) <= 100));
        slices.iter().map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len)).sum()
    };
    assert_eq!(sizes(&harness), 250);
    assert_eq!(harness.list::<EndpointSlice>().len(), 3);
    for at in 0..245 {
        harness.delete::<Pod>(&ObjectKey::new("n", &format!("p{at:03}")), &DeleteOptions::default().grace(0));
    }
    harness.settle();
    assert_eq!(sizes(&harness), 5);
}

#[test]
fn nodes_and_services_come_and_go() {
    let mut harness = begin(3);
    harness.start(EndpointSlices::default());
    create_service(&harness, "web", &json!({}));
    create_pod(&harness, "p", &json!({"node": "late"}));
    harness.settle();
    assert_eq!(show(&harness), ">");
    harness.create(node("late", 1, 1)).expect("a node");
    harness.settle();
    assert_eq!(show(&harness), "8080>10.1.0.1:rs@late");
    harness.change::<Node>(&ObjectKey::new("", "late"), Face::Main, |node| {
        let labels = node.metadata.labels.get_or_insert_default();
        labels.insert("topology.kubernetes.io/zone".to_owned(), "y".to_owned());
    });
    harness.settle();
    assert_eq!(show(&harness), "8080>10.1.0.1:rs@late/y");
    harness.change::<Service>(&ObjectKey::new("n", "web"), Face::Main, |service| {
        let selector = service.spec.get_or_insert_default().selector.get_or_insert_default();
        selector.insert("app".to_owned(), "none".to_owned());
    });
    harness.settle();
    assert_eq!(show(&harness), ">");
    // A namesake of the Service does not keep the slices of the old one.
    let old = harness.list::<EndpointSlice>()[0].uid().to_owned();
    harness.delete::<Service>(&ObjectKey::new("n", "web"), &DeleteOptions::default());
    create_service(&harness, "web", &json!({}));
    harness.settle();
    assert_eq!(show(&harness), "8080>10.1.0.1:rs@late/y");
    assert_ne!(harness.list::<EndpointSlice>()[0].uid(), old);
}
