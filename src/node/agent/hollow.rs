//! The hands of hollow nodes: addresses without a network, images without files, volumes without a disk.
//!
//! Part of the product: with these and the hollow runtime, the same agent runs thousands of nodes in one program. A
//! hollow pod costs its state and its objects, nothing of the kernel.
//!
//! Invariant: nothing here touches the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;

use super::config::{Hands, NodeConfig};
use super::files::expand;
use super::seams::{
    HttpCall, ImageProblem, Images, InputProblem, Inputs, PodFiles, Prober, PullPolicy, ResolvedImage,
    StaticPods, Verdict,
};
use crate::api::Registry;
use crate::apiserver::Server;
use crate::node::network::{PodAddresses, PodNetns, PodNetwork, PodNetworkError};
use crate::node::runtime::fake::FakeRuntime;
use crate::node::runtime::{Mount, Rootfs};
use crate::reconcile::{Action, Context, Error, Loop, Reconciler, Seen, Spawner, View, Wakes};
use crate::store::{Interest, Revision};
use crate::world::World;

/// Gives addresses out of a range, and connects nothing.
#[derive(Debug)]
pub struct HollowNetwork {
    first: u32,
    count: u32,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    by_uid: BTreeMap<String, u32>,
    used: BTreeSet<u32>,
    next: u32,
}

impl HollowNetwork {
    /// A network of `count` addresses from `first` on.
    pub fn new(first: Ipv4Addr, count: u32) -> HollowNetwork {
        HollowNetwork { first: u32::from(first), count, given: Mutex::default() }
    }

    /// The pods that have an address, by uid.
    pub fn attached(&self) -> Vec<String> {
        self.given.lock().by_uid.keys().cloned().collect()
    }
}

impl PodNetwork for HollowNetwork {
    fn attach(
        &self,
        uid: &str,
        pod: &str,
        _netns: Option<&PodNetns>,
    ) -> Result<PodAddresses, PodNetworkError> {
        let mut given = self.given.lock();
        let number = match given.by_uid.get(uid) {
            Some(number) => *number,
            None => {
                let start = given.next;
                let free = (0..self.count)
                    .map(|offset| (start + offset) % self.count)
                    .find(|number| !given.used.contains(number));
                let number = free.ok_or_else(|| PodNetworkError {
                    pod: pod.to_owned(),
                    step: "give an address",
                    cause: format!("all {} addresses are in use", self.count),
                })?;
                given.next = (number + 1) % self.count;
                given.used.insert(number);
                given.by_uid.insert(uid.to_owned(), number);
                number
            }
        };
        Ok(PodAddresses { ips: vec![IpAddr::V4(Ipv4Addr::from(self.first.wrapping_add(number)))] })
    }

    fn detach(&self, uid: &str) -> Result<(), PodNetworkError> {
        let mut given = self.given.lock();
        if let Some(number) = given.by_uid.remove(uid) {
            given.used.remove(&number);
        }
        Ok(())
    }

    fn covered(&self) -> Revision {
        Revision(u64::MAX)
    }

    fn on_covered(&self, _wake: Box<dyn Fn() + Send + Sync>) {
        // Everything is always covered.
    }
}

/// Accepts every reference.
#[derive(Debug, Default)]
pub struct HollowImages;

impl Images for HollowImages {
    fn present(
        &self,
        reference: &str,
        _policy: PullPolicy,
    ) -> Result<Option<Arc<ResolvedImage>>, ImageProblem> {
        self.pull(reference).map(Some)
    }

    fn pull(&self, reference: &str) -> Result<Arc<ResolvedImage>, ImageProblem> {
        Ok(Arc::new(ResolvedImage {
            id: format!("hollow://{reference}"),
            rootfs: Rootfs::Layers(Vec::new()),
            entrypoint: vec!["/hollow".to_owned()],
            cmd: Vec::new(),
            env: Vec::new(),
            working_dir: String::new(),
            user: String::new(),
            stop_signal: None,
            size: 0,
        }))
    }
}

/// Prepares nothing. The environment is what the pod writes out itself.
#[derive(Debug, Default)]
pub struct HollowInputs;

impl Inputs for HollowInputs {
    fn prepare(&self, _pod: &Pod, _view: &View, _files: &PodFiles) -> Result<(), InputProblem> {
        Ok(())
    }

    fn environment(
        &self,
        _pod: &Pod,
        container: &Container,
        _image: &ResolvedImage,
        _view: &View,
    ) -> Result<Vec<(String, String)>, InputProblem> {
        let mut env = Vec::new();
        for variable in container.env.iter().flatten() {
            let value = expand(variable.value.as_deref().unwrap_or_default(), &env);
            env.push((variable.name.clone(), value));
        }
        Ok(env)
    }

    fn mounts(
        &self,
        _pod: &Pod,
        _container: &Container,
        _env: &[(String, String)],
    ) -> Result<Vec<Mount>, InputProblem> {
        Ok(Vec::new())
    }

    fn log_path(&self, _pod: &Pod, _container: &str, _attempt: u32) -> Result<PathBuf, InputProblem> {
        Ok(PathBuf::new())
    }

    fn log_tail(&self, _path: &Path, _lines: usize, _bytes: usize) -> String {
        String::new()
    }

    fn release(&self, _uid: &str) -> Result<(), InputProblem> {
        Ok(())
    }

    fn forget(&self, _uid: &str, _pod: &str) -> Result<(), InputProblem> {
        Ok(())
    }
}

/// Finds everything well.
#[derive(Debug, Default)]
pub struct HollowProber;

impl Prober for HollowProber {
    fn tcp(&self, _address: IpAddr, _port: u16, _timeout: Duration) -> Verdict {
        Verdict::Success
    }

    fn http(&self, _call: &HttpCall, _timeout: Duration) -> Verdict {
        Verdict::Success
    }
}

/// Lets hollow containers end by themselves when their time has come.
struct Ticker {
    name: String,
    runtime: Arc<FakeRuntime>,
}

impl Reconciler for Ticker {
    type Key = ();

    fn name(&self) -> &str {
        &self.name
    }

    fn manager(&self) -> &str {
        super::MANAGER
    }

    fn interests(&self, _kinds: &Registry) -> Vec<Interest> {
        Vec::new()
    }

    fn observe(&mut self, _seen: &Seen<'_>, _wakes: &mut Wakes<()>) {}

    fn reconcile(&mut self, cx: &mut Context<'_, ()>, _key: &()) -> Result<Action, Error> {
        let next = self.runtime.expire();
        Ok(next.map_or(Action::Done, |at| Action::After(at.since(cx.moment()))))
    }
}

/// Starts a hollow node: the agent over `runtime`, hollow images and inputs, and this network, which hollow nodes may
/// share. Probes over the network always succeed.
pub fn start(
    config: NodeConfig,
    runtime: Arc<FakeRuntime>,
    network: Arc<dyn PodNetwork>,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) -> super::NodeAgent {
    start_with(config, runtime, network, None, server, world, spawner)
}

/// The same for a node that has pods of its own.
pub fn start_with(
    config: NodeConfig,
    runtime: Arc<FakeRuntime>,
    network: Arc<dyn PodNetwork>,
    statics: Option<Arc<dyn StaticPods>>,
    server: &Arc<Server>,
    world: &World,
    spawner: &Arc<dyn Spawner>,
) -> super::NodeAgent {
    let ticker = Ticker { name: format!("hollow-runtime/{}", config.name), runtime: runtime.clone() };
    let wake = Loop::start(ticker, server, world, spawner);
    runtime.on_scheduled(Box::new(move || wake.notify(())));
    let hands = Hands {
        runtime,
        network,
        images: Arc::new(HollowImages),
        inputs: Arc::new(HollowInputs),
        prober: Arc::new(HollowProber),
        statics,
    };
    super::start(config, hands, server, world, spawner)
}
