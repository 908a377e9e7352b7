//! The reconciler that keeps a node registered: its Node object, its status, its lease.
//!
//! Owns the labels, capacity, conditions and addresses that a kubelet would report, and the lease in
//! `kube-node-lease`. Runs no pod. A Node that somebody deletes is registered anew; labels, taints and conditions of
//! others are left alone.
//!
//! Invariant: as long as the loop runs, the lease is renewed within its duration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
    NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};

use super::config::{Health, NodeConfig};
use super::pod::seconds;
use crate::api::quantity::{Amount, Format};
use crate::api::{ObjectKey, Registry};
use crate::limits::{LEASE_DURATION, LEASE_RENEWAL, NODE_STATUS_PERIOD};
use crate::reconcile::{Action, Context, Error, EventType, Plan, Reconciler, Seen, Wakes};
use crate::store::{Interest, Within};
use crate::world::Moment;

const LEASES: &str = "kube-node-lease";
const KUBELET_VERSION: &str = "v1.36.0";

/// The two things that are kept: each has its own rhythm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The Node object.
    Node,
    /// The lease.
    Lease,
}

/// The labels that a node registers with.
pub(super) fn node_labels(config: &NodeConfig) -> BTreeMap<String, String> {
    let mut labels = config.labels.clone();
    let mut set = |key: &str, value: &str| {
        labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    set("kubernetes.io/hostname", &config.name);
    for prefix in ["kubernetes.io", "beta.kubernetes.io"] {
        set(&format!("{prefix}/os"), &config.machine.os);
        set(&format!("{prefix}/arch"), &config.machine.arch);
    }
    labels
}

fn quantity(number: u64, format: Format) -> Quantity {
    Quantity(Amount::from_units(i64::try_from(number).unwrap_or(i64::MAX), format).to_string())
}

fn capacity(config: &NodeConfig) -> BTreeMap<String, Quantity> {
    let millis = i64::try_from(config.cpu_millis).unwrap_or(i64::MAX);
    let mut capacity: BTreeMap<String, Quantity> =
        config.extra.iter().map(|(name, amount)| (name.clone(), Quantity(amount.clone()))).collect();
    let cpu = Amount::from_millis(millis, Format::DecimalSi).to_string();
    capacity.insert("cpu".to_owned(), Quantity(cpu));
    capacity.insert("memory".to_owned(), quantity(config.memory, Format::BinarySi));
    capacity.insert("ephemeral-storage".to_owned(), quantity(config.ephemeral_storage, Format::BinarySi));
    capacity.insert("pods".to_owned(), quantity(u64::from(config.pods), Format::DecimalSi));
    for huge in ["hugepages-1Gi", "hugepages-2Mi"] {
        capacity.entry(huge.to_owned()).or_insert_with(|| Quantity("0".to_owned()));
    }
    capacity
}

fn addresses(config: &NodeConfig) -> Vec<NodeAddress> {
    let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
    let mut list: Vec<NodeAddress> =
        config.ips.iter().map(|ip| address("InternalIP", ip.to_string())).collect();
    list.push(address("Hostname", config.name.clone()));
    list
}

/// The conditions of a node, in upstream's order and words.
fn conditions(old: &[NodeCondition], trouble: Option<&str>, heartbeat: Timestamp) -> Vec<NodeCondition> {
    let own: [(&str, &str, &str, String); 4] = [
        (
            "MemoryPressure",
            "False",
            "KubeletHasSufficientMemory",
            "kubelet has sufficient memory available".to_owned(),
        ),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure".to_owned()),
        (
            "PIDPressure",
            "False",
            "KubeletHasSufficientPID",
            "kubelet has sufficient PID available".to_owned(),
        ),
        match trouble {
            None => ("Ready", "True", "KubeletReady", "kubelet is posting ready status".to_owned()),
            Some(trouble) => ("Ready", "False", "KubeletNotReady", trouble.to_owned()),
        },
    ];
    let others = old.iter().filter(|c| own.iter().all(|(kind, ..)| c.type_ != *kind));
    let mut list: Vec<NodeCondition> = others.cloned().collect();
    for (kind, status, reason, message) in own {
        let before = old.iter().find(|c| c.type_ == kind && c.status == status);
        let since = before.and_then(|before| before.last_transition_time.clone());
        list.push(NodeCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_heartbeat_time: Some(seconds(heartbeat)),
            last_transition_time: since.or_else(|| Some(seconds(heartbeat))),
        });
    }
    list
}

/// The status of a node.
pub(super) fn node_status(
    config: &NodeConfig,
    runtime: &str,
    old: &NodeStatus,
    trouble: Option<&str>,
    heartbeat: Timestamp,
) -> NodeStatus {
    let machine = &config.machine;
    NodeStatus {
        capacity: Some(capacity(config)),
        allocatable: Some(capacity(config)),
        addresses: Some(addresses(config)),
        conditions: Some(conditions(old.conditions.as_deref().unwrap_or_default(), trouble, heartbeat)),
        daemon_endpoints: config.daemon_port.map(|port| NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(port) }),
        }),
        node_info: Some(NodeSystemInfo {
            architecture: machine.arch.clone(),
            boot_id: machine.boot_id.clone(),
            container_runtime_version: runtime.to_owned(),
            kernel_version: machine.kernel.clone(),
            kubelet_version: KUBELET_VERSION.to_owned(),
            machine_id: machine.machine_id.clone(),
            operating_system: machine.os.clone(),
            os_image: machine.os_image.clone(),
            system_uuid: machine.system_uuid.clone(),
            ..NodeSystemInfo::default()
        }),
        ..old.clone()
    }
}

/// The reconciler.
#[derive(Debug)]
pub(super) struct Registration {
    name: String,
    config: Arc<NodeConfig>,
    runtime: String,
    health: Arc<Health>,
    /// When the status was last written, and what was wrong then.
    written: Option<(Moment, Option<String>)>,
    renewed: Option<Moment>,
}

impl Registration {
    pub fn new(config: Arc<NodeConfig>, runtime: String, health: Arc<Health>) -> Registration {
        let name = format!("node-registration/{}", config.name);
        Registration { name, config, runtime, health, written: None, renewed: None }
    }

    fn fresh_node(&self, now: Timestamp) -> Node {
        let taints: Vec<Taint> = self
            .config
            .taints
            .iter()
            .map(|(key, value, effect)| Taint {
                key: key.clone(),
                value: Some(value.clone()).filter(|value| !value.is_empty()),
                effect: effect.clone(),
                time_added: None,
            })
            .collect();
        let cidrs = &self.config.pod_cidrs;
        let spec = NodeSpec {
            pod_cidr: cidrs.first().cloned(),
            pod_cidrs: (!cidrs.is_empty()).then(|| cidrs.clone()),
            provider_id: None,
            taints: (!taints.is_empty()).then_some(taints),
            ..NodeSpec::default()
        };
        let trouble = self.health.trouble();
        Node {
            metadata: ObjectMeta {
                name: Some(self.config.name.clone()),
                labels: Some(node_labels(&self.config)),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
            status: Some(node_status(
                &self.config,
                &self.runtime,
                &NodeStatus::default(),
                trouble.as_deref(),
                now,
            )),
        }
    }

    fn reconcile_node(&mut self, cx: &mut Context<'_, Part>) -> Result<Action, Error> {
        let (now, moment) = (cx.now(), cx.moment());
        let key = ObjectKey::new("", &self.config.name);
        let Some(node) = cx.view().get::<Node>(&key) else {
            let mut steps = Plan::new();
            let mut node = self.fresh_node(now);
            let status = node.status.clone();
            steps.create(node.clone());
            cx.apply(steps)?;
            // A kind whose creation drops the status gets it in a second write.
            if let Some(kind) = cx.server().registry().id_of::<Node>()
                && let Ok(stored) = cx.server().get(kind, &key)
                && stored.decode::<Node>().status != status
            {
                node = stored.decode::<Node>();
                node.status = status;
                let mut steps = Plan::new();
                steps.update_status(node);
                cx.apply(steps)?;
            }
            let mut steps = Plan::new();
            let regarding = Node {
                metadata: ObjectMeta { name: Some(self.config.name.clone()), ..ObjectMeta::default() },
                ..Node::default()
            };
            steps.event(&regarding, EventType::Normal, "Starting", "Starting kubelet.".to_owned());
            cx.apply(steps)?;
            self.written = Some((moment, self.health.trouble()));
            return Ok(Action::After(NODE_STATUS_PERIOD));
        };
        let mut steps = Plan::new();
        let labels = node.metadata.labels.clone().unwrap_or_default();
        let missing =
            node_labels(&self.config).into_iter().filter(|(key, value)| labels.get(key) != Some(value));
        let missing: BTreeMap<String, String> = missing.collect();
        if !missing.is_empty() {
            let mut node = (*node).clone();
            node.metadata.labels.get_or_insert_default().extend(missing);
            steps.update(node);
            steps.look_again(Duration::from_millis(1));
            return cx.apply(steps);
        }
        let trouble = self.health.trouble();
        let old = node.status.clone().unwrap_or_default();
        let due = self.written.as_ref().is_none_or(|(at, _)| moment.since(*at) >= NODE_STATUS_PERIOD);
        // Without a beat that is due, the old heartbeat stays, so that only a real change is written.
        let beat = old.conditions.iter().flatten().find(|c| c.type_ == "Ready");
        let beat = beat.and_then(|c| c.last_heartbeat_time.as_ref()).map(|time| time.0);
        let changed = self.written.as_ref().is_none_or(|(_, before)| *before != trouble);
        let heartbeat = beat.filter(|_| !due && !changed).unwrap_or(now);
        let status = node_status(&self.config, &self.runtime, &old, trouble.as_deref(), heartbeat);
        if due || changed || status != old {
            let status = node_status(&self.config, &self.runtime, &old, trouble.as_deref(), now);
            let mut node = (*node).clone();
            if changed && let Some((_, before)) = &self.written {
                let word = if trouble.is_some() { "NodeNotReady" } else { "NodeReady" };
                if before.is_some() != trouble.is_some() {
                    let message = format!("Node {} status is now: {word}", self.config.name);
                    steps.event(&node, EventType::Normal, word, message);
                }
            }
            node.status = Some(status);
            steps.update_status(node);
            self.written = Some((moment, trouble));
        }
        let (at, _) = self.written.clone().unwrap_or((moment, None));
        steps.look_again(at.after(NODE_STATUS_PERIOD).since(moment).max(Duration::from_millis(1)));
        cx.apply(steps).inspect_err(|_| self.written = None)
    }

    fn reconcile_lease(&mut self, cx: &mut Context<'_, Part>) -> Result<Action, Error> {
        let moment = cx.moment();
        let key = ObjectKey::new(LEASES, &self.config.name);
        let found = cx.view().get::<Lease>(&key);
        if let (Some(_), Some(renewed)) = (&found, self.renewed)
            && moment.since(renewed) < LEASE_RENEWAL
        {
            return Ok(Action::After(LEASE_RENEWAL - moment.since(renewed)));
        }
        let now = cx.now();
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let node = cx.view().get::<Node>(&ObjectKey::new("", &self.config.name));
        let owner = node.map(|node| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: self.config.name.clone(),
            uid: node.uid().to_owned(),
            ..OwnerReference::default()
        });
        let mut lease = match &found {
            Some(lease) => (**lease).clone(),
            None => Lease {
                metadata: ObjectMeta {
                    name: Some(self.config.name.clone()),
                    namespace: Some(LEASES.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: None,
            },
        };
        lease.metadata.owner_references = owner.map(|owner| vec![owner]);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.config.name.clone()),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            renew_time: Some(MicroTime(now)),
            ..lease.spec.unwrap_or_default()
        });
        let mut steps = Plan::new();
        match found {
            Some(_) => steps.update(lease),
            None => steps.create(lease),
        }
        cx.apply(steps)?;
        self.renewed = Some(moment);
        Ok(Action::After(LEASE_RENEWAL))
    }
}

impl Reconciler for Registration {
    type Key = Part;

    fn name(&self) -> &str {
        &self.name
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, kinds: &Registry) -> Vec<Interest> {
        let one = |kind, key| Interest { kind, within: Within::Key(key) };
        let node = kinds.id_of::<Node>().map(|kind| one(kind, ObjectKey::new("", &self.config.name)));
        let lease = kinds.id_of::<Lease>().map(|kind| one(kind, ObjectKey::new(LEASES, &self.config.name)));
        node.into_iter().chain(lease).collect()
    }

    fn observe(&mut self, seen: &Seen<'_>, wakes: &mut Wakes<Part>) {
        if seen.is::<Node>() {
            wakes.wake(Part::Node);
            // Its lease names it as its owner.
            if seen.deleted() {
                self.renewed = None;
                self.written = None;
                wakes.wake(Part::Lease);
            }
        } else if seen.deleted() {
            wakes.wake(Part::Lease);
        }
    }

    fn reconcile(&mut self, cx: &mut Context<'_, Part>, key: &Part) -> Result<Action, Error> {
        match key {
            Part::Node => self.reconcile_node(cx),
            Part::Lease => self.reconcile_lease(cx),
        }
    }
}
