//! The Service proxy as a reconciler: Services and their EndpointSlices become rules of the [`ServiceTable`].
//!
//! Collects the Services that changed, writes them in one batch at a time, and publishes the revision that the
//! last committed batch covers, so that whoever stops a pod knows when its endpoint is out of the kernel.
//!
//! Invariant: when [`Covered`] says a revision, the kernel's rules are those of the state at that revision or a
//! newer one.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use parking_lot::Mutex;

use super::{NftError, Protocol, ServiceRule, ServiceTable};
use crate::api::{ObjectKey, Registry};
use crate::limits::PROXY_RETRY;
use crate::reconcile::{Action, Class, Context, Error, Output, Reconciler, Seen, Ticket, View, Wakes};
use crate::store::{Interest, Revision, Select};

/// The label by which a slice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The index term of that label.
const SERVICE_TERM: &str = "label:kubernetes.io/service-name";

type Listener = Box<dyn Fn() + Send + Sync>;

/// The revision that the kernel's rules cover, and who wants to know when it moves.
#[derive(Default)]
pub struct Covered {
    revision: AtomicU64,
    listeners: Mutex<Vec<Listener>>,
}

impl Covered {
    /// The revision.
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Calls `wake` whenever the revision has moved. It must not block.
    pub fn on_change(&self, wake: Listener) {
        self.listeners.lock().push(wake);
    }

    fn advance(&self, to: Revision) {
        if self.revision.fetch_max(to.0, Ordering::AcqRel) < to.0 {
            for wake in self.listeners.lock().iter() {
                wake();
            }
        }
    }
}

impl fmt::Debug for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Covered({})", self.revision())
    }
}

/// The proxy of one node.
pub struct ServiceProxy {
    node: String,
    table: Arc<Mutex<ServiceTable>>,
    covered: Arc<Covered>,
    changed: BTreeSet<ObjectKey>,
    /// The Services being written, and the revision that their rules were read at.
    writing: Option<(BTreeSet<ObjectKey>, Revision)>,
    failed: bool,
}

impl ServiceProxy {
    /// A proxy for the node of this name, over a table in its network namespace.
    pub fn new(node: &str, table: Arc<Mutex<ServiceTable>>, covered: Arc<Covered>) -> ServiceProxy {
        ServiceProxy {
            node: node.to_owned(),
            table,
            covered,
            changed: BTreeSet::new(),
            writing: None,
            failed: false,
        }
    }
}

impl Reconciler for ServiceProxy {
    /// There is one table, and so one key.
    type Key = ();

    fn name(&self) -> &str {
        "service-proxy"
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        let ids = [kinds.id_of::<Service>(), kinds.id_of::<EndpointSlice>()];
        ids.into_iter().flatten().map(Interest::all).collect()
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<()>) {
        if seen.is::<Service>() {
            self.changed.insert(seen.key().clone());
        } else {
            let change = seen.change();
            for record in std::iter::once(&change.new).chain(&change.old) {
                if let Some(service) = record.header.label(SERVICE_NAME) {
                    self.changed.insert(ObjectKey::new(seen.key().namespace(), service));
                }
            }
        }
        wakes.wake(());
    }

    fn reconcile(&mut self, cx: &mut Context<'_, ()>, (): &()) -> Result<Action, Error> {
        if self.writing.is_some() {
            return Ok(Action::Done);
        }
        if std::mem::take(&mut self.failed) {
            return Ok(Action::After(PROXY_RETRY));
        }
        let view = cx.view();
        if self.changed.is_empty() {
            self.covered.advance(view.revision());
            return Ok(Action::Done);
        }
        let services = std::mem::take(&mut self.changed);
        let update: Vec<(String, Vec<ServiceRule>)> =
            services.iter().map(|key| (key.to_string(), rules_of(view, key, &self.node))).collect();
        self.writing = Some((services, view.revision()));
        let table = self.table.clone();
        cx.submit(Class::Network, (), move || table.lock().update(update));
        Ok(Action::Done)
    }

    fn complete(&mut self, _cx: &mut Context<'_, ()>, (): &(), _ticket: Ticket, output: Output) {
        let Some((services, revision)) = self.writing.take() else { return };
        match output.downcast::<Result<Vec<String>, NftError>>().map(|result| *result) {
            Ok(Ok(left_out)) => {
                for sentence in left_out {
                    tracing::warn!("{sentence}");
                }
                self.covered.advance(revision);
            }
            Ok(Err(cause)) => self.again(services, &cause.to_string()),
            Err(_) => self.again(services, "the write panicked"),
        }
    }
}

impl ServiceProxy {
    fn again(&mut self, services: BTreeSet<ObjectKey>, cause: &str) {
        tracing::error!(%cause, "the Service table could not be written; tries again");
        self.changed.extend(services);
        self.failed = true;
    }
}

impl fmt::Debug for ServiceProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceProxy({})", self.node)
    }
}

/// The rules of a Service as a view has it; none for one that is gone, headless or elsewhere.
fn rules_of(view: &View, key: &ObjectKey, node: &str) -> Vec<ServiceRule> {
    let Some(service) = view.get::<Service>(key) else { return Vec::new() };
    let slices: Vec<_> = view
        .list::<EndpointSlice>(Select::Term(SERVICE_TERM, key.name()))
        .filter(|slice| slice.namespace() == key.namespace())
        .map(|slice| slice.shared())
        .collect();
    let slices: Vec<&EndpointSlice> = slices.iter().map(|slice| &**slice).collect();
    plan(key, &service, &slices, node)
}

/// Pure: a Service and its slices to rules.
fn plan(key: &ObjectKey, service: &Service, slices: &[&EndpointSlice], node: &str) -> Vec<ServiceRule> {
    let Some(spec) = &service.spec else { return Vec::new() };
    if spec.type_.as_deref() == Some("ExternalName") {
        return Vec::new();
    }
    let single = spec.cluster_ip.iter();
    let texts =
        spec.cluster_ips.as_ref().map_or_else(|| single.collect(), |ips| ips.iter().collect::<Vec<_>>());
    let cluster_ips: Vec<IpAddr> = texts.into_iter().filter_map(|ip| ip.parse().ok()).collect();
    if cluster_ips.is_empty() {
        return Vec::new();
    }
    let local = spec.internal_traffic_policy.as_deref() == Some("Local");
    let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
        let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        let seconds = config.and_then(|client| client.timeout_seconds).unwrap_or(10800);
        Duration::from_secs(seconds.unsigned_abs().into())
    });
    let rule = |port: &ServicePort| ServiceRule {
        service: key.to_string(),
        cluster_ips: cluster_ips.clone(),
        protocol: protocol(port.protocol.as_deref()),
        port: u16::try_from(port.port).unwrap_or(0),
        endpoints: endpoints(port, slices, local.then_some(node)),
        affinity,
    };
    spec.ports.iter().flatten().map(rule).collect()
}

fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

/// Where a port leads: to every ready endpoint; without one, to those that end but still serve.
fn endpoints(port: &ServicePort, slices: &[&EndpointSlice], node: Option<&str>) -> Vec<SocketAddr> {
    let mut ready = BTreeSet::new();
    let mut serving = BTreeSet::new();
    for slice in slices {
        let name = port.name.as_deref().unwrap_or_default();
        let wanted = protocol(port.protocol.as_deref());
        let target = slice.ports.iter().flatten().find(|candidate| {
            candidate.name.as_deref().unwrap_or_default() == name
                && protocol(candidate.protocol.as_deref()) == wanted
        });
        let Some(number) = target.and_then(|p| p.port).and_then(|port| u16::try_from(port).ok()) else {
            continue;
        };
        let near = |endpoint: &&Endpoint| node.is_none_or(|node| endpoint.node_name.as_deref() == Some(node));
        for endpoint in slice.endpoints.iter().flatten().filter(near) {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let addresses = endpoint.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
            let sockets = addresses.map(|ip| SocketAddr::new(ip, number));
            if conditions.ready.unwrap_or(true) {
                ready.extend(sockets);
            } else if conditions.serving == Some(true) && conditions.terminating == Some(true) {
                serving.extend(sockets);
            }
        }
    }
    if ready.is_empty() { serving } else { ready }.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Service and slices in YAML; the rules as lines.
    fn check(service: &str, slices: &str, expected: &[&str]) {
        let service: Service = serde_yaml::from_str(service).unwrap();
        let slices: Vec<EndpointSlice> = serde_yaml::from_str(slices).unwrap();
        let slices: Vec<&EndpointSlice> = slices.iter().collect();
        let rules = plan(&ObjectKey::new("shop", "web"), &service, &slices, "n1");
        let lines: Vec<String> = rules
            .iter()
            .map(|rule| {
                let affinity =
                    rule.affinity.map_or(String::new(), |time| format!(" for {}s", time.as_secs()));
                format!(
                    "{:?} {:?}:{} -> {:?}{affinity}",
                    rule.protocol, rule.cluster_ips, rule.port, rule.endpoints
                )
            })
            .collect();
        assert_eq!(lines, expected);
    }

    const SLICES: &str = r"
- ports: [{name: http, port: 8080, protocol: TCP}]
  addressType: IPv4
  endpoints:
  - {addresses: [10.0.0.1], nodeName: n1, conditions: {ready: true}}
  - {addresses: [10.0.0.2], nodeName: n2, conditions: {ready: true}}
  - {addresses: [10.0.0.3], nodeName: n1, conditions: {ready: false, serving: true, terminating: true}}
";

    #[test]
    fn services_become_rules() {
        let web = "{spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}]}}";
        check(web, SLICES, &["Tcp [10.96.0.7]:80 -> [10.0.0.1:8080, 10.0.0.2:8080]"]);
        check(web, "[]", &["Tcp [10.96.0.7]:80 -> []"]);
        let local =
            "{spec: {clusterIP: 10.96.0.7, internalTrafficPolicy: Local, ports: [{name: http, port: 80}]}}";
        check(local, SLICES, &["Tcp [10.96.0.7]:80 -> [10.0.0.1:8080]"]);
        let sticky =
            "{spec: {clusterIP: 10.96.0.7, sessionAffinity: ClientIP, ports: [{name: http, port: 80}]}}";
        check(sticky, SLICES, &["Tcp [10.96.0.7]:80 -> [10.0.0.1:8080, 10.0.0.2:8080] for 10800s"]);
        check("{spec: {clusterIP: None, ports: [{name: http, port: 80}]}}", SLICES, &[]);
        check("{spec: {type: ExternalName, externalName: x, clusterIP: 10.96.0.7}}", SLICES, &[]);
        let other = "{spec: {clusterIP: 10.96.0.7, ports: [{name: other, port: 80}]}}";
        check(other, SLICES, &["Tcp [10.96.0.7]:80 -> []"]);
        let ending = SLICES.replace("ready: true", "ready: false");
        check(web, &ending, &["Tcp [10.96.0.7]:80 -> [10.0.0.3:8080]"]);
    }
}
