//! What the agent of a Linux node works with on this machine's disk: the image store, and the folders of pods with
//! their files, volumes and logs. A thin adapter of `images`, `volumes` and `env` to the agent's seams.
//!
//! ```text
//! STATE/pods/<uid>/{hosts,resolv.conf,hostname,volumes/}      gone with the pod
//! STATE/logs/<namespace>_<name>_<uid>/<container>/<n>.log     gone when the pod object is
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use parking_lot::Mutex;

use super::agent::seams::{ImageProblem, Images, InputProblem, Inputs, PodFiles, PullPolicy, ResolvedImage};
use super::env;
use super::images::{Image, ImageRef, ImageSource, ImageStore};
use super::runtime::{Mount, MountSource, Propagation};
use super::volumes::{self, Lookup, VolumeSet};
use crate::api::ObjectKey;
use crate::reconcile::View;
use crate::store::Select;
use crate::world::Clock;

/// The images of this machine: the store, and where it may fetch from.
#[derive(Debug)]
pub struct LocalImages {
    store: ImageStore,
    sources: Vec<Arc<dyn ImageSource>>,
}

impl LocalImages {
    /// Images of a store, fetched from these sources when they are not in it.
    pub fn new(store: ImageStore, sources: Vec<Arc<dyn ImageSource>>) -> LocalImages {
        LocalImages { store, sources }
    }
}

fn parse(reference: &str) -> Result<ImageRef, ImageProblem> {
    ImageRef::parse(reference).map_err(|cause| {
        ImageProblem::InvalidName(format!("Failed to apply default image tag {reference:?}: {cause}"))
    })
}

fn resolved(image: Image) -> Arc<ResolvedImage> {
    Arc::new(ResolvedImage {
        id: image.id.0,
        rootfs: image.rootfs,
        stop_signal: image.config.stop_signal_number(),
        entrypoint: image.config.entrypoint,
        cmd: image.config.cmd,
        env: image.config.env,
        working_dir: image.config.working_dir,
        user: image.config.user,
        size: image.size,
    })
}

impl Images for LocalImages {
    fn present(
        &self,
        reference: &str,
        policy: PullPolicy,
    ) -> Result<Option<Arc<ResolvedImage>>, ImageProblem> {
        let parsed = parse(reference)?;
        let found = self.store.resolve(&parsed).map_err(|cause| ImageProblem::Failed(cause.to_string()))?;
        match (found, policy) {
            // What came in by hand has nobody to be asked for.
            (Some(image), _) if image.local => Ok(Some(resolved(image))),
            (Some(image), PullPolicy::IfNotPresent | PullPolicy::Never) => Ok(Some(resolved(image))),
            (None, PullPolicy::Never) => Err(ImageProblem::NeverPull(format!(
                "Container image {reference:?} is not present with pull policy of Never"
            ))),
            _ => Ok(None),
        }
    }

    fn pull(&self, reference: &str) -> Result<Arc<ResolvedImage>, ImageProblem> {
        let parsed = parse(reference)?;
        let image = self.store.pull(&parsed, &self.sources);
        image.map(resolved).map_err(|cause| ImageProblem::Failed(cause.to_string()))
    }
}

/// The pods' folders on this machine.
pub struct LocalInputs {
    pods: PathBuf,
    logs: PathBuf,
    allocatable: BTreeMap<String, Quantity>,
    clock: Arc<dyn Clock>,
    sets: Mutex<BTreeMap<String, VolumeSet>>,
}

impl std::fmt::Debug for LocalInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalInputs({})", self.pods.display())
    }
}

/// What a view knows of configMaps and secrets.
struct InView<'a> {
    view: &'a View,
    allocatable: &'a BTreeMap<String, Quantity>,
}

impl Lookup for InView<'_> {
    fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<ConfigMap>> {
        self.view.get::<ConfigMap>(&ObjectKey::new(namespace, name)).map(|found| found.shared())
    }

    fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        self.view.get::<Secret>(&ObjectKey::new(namespace, name)).map(|found| found.shared())
    }

    fn allocatable(&self) -> BTreeMap<String, Quantity> {
        self.allocatable.clone()
    }
}

fn problem(step: &str, path: &Path, cause: &std::io::Error) -> InputProblem {
    InputProblem(format!("{step} {}: {cause}", path.display()))
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

impl LocalInputs {
    /// Folders below `state`. `allocatable` is what containers without limits are told.
    pub fn new(state: &Path, allocatable: BTreeMap<String, Quantity>, clock: Arc<dyn Clock>) -> LocalInputs {
        LocalInputs {
            pods: state.join("pods"),
            logs: state.join("logs"),
            allocatable,
            clock,
            sets: Mutex::default(),
        }
    }

    fn folder(&self, uid: &str) -> PathBuf {
        self.pods.join(uid)
    }

    fn log_folder(&self, pod: &str, uid: &str) -> PathBuf {
        self.logs.join(format!("{}_{uid}", pod.replace('/', "_")))
    }

    /// Writes a file of the pod in place, since containers hold it mounted.
    fn write_file(folder: &Path, name: &str, text: Option<&String>) -> Result<(), InputProblem> {
        let Some(text) = text else { return Ok(()) };
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|present| present == *text) {
            return Ok(());
        }
        fs::write(&path, text).map_err(|cause| problem("write", &path, &cause))
    }
}

impl Inputs for LocalInputs {
    fn prepare(&self, pod: &Pod, view: &View, files: &PodFiles) -> Result<(), InputProblem> {
        let folder = self.folder(uid(pod));
        fs::create_dir_all(&folder).map_err(|cause| problem("make the folder", &folder, &cause))?;
        Self::write_file(&folder, "hosts", files.hosts.as_ref())?;
        Self::write_file(&folder, "resolv.conf", files.resolv.as_ref())?;
        Self::write_file(&folder, "hostname", Some(&format!("{}\n", files.hostname)))?;
        let lookup = InView { view, allocatable: &self.allocatable };
        let planned = volumes::plan(pod, &lookup).map_err(|cause| InputProblem(cause.to_string()))?;
        let now = self.clock.now();
        let mut sets = self.sets.lock();
        match sets.get_mut(uid(pod)) {
            Some(set) => set.update(&planned, now).map(|_| ()),
            None => VolumeSet::setup(&folder, &planned, now, &[]).map(|set| {
                sets.insert(uid(pod).to_owned(), set);
            }),
        }
        .map_err(|cause| InputProblem(cause.to_string()))
    }

    fn environment(
        &self,
        pod: &Pod,
        container: &Container,
        image: &ResolvedImage,
        view: &View,
    ) -> Result<Vec<(String, String)>, InputProblem> {
        let lookup = InView { view, allocatable: &self.allocatable };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let services: Vec<Service> =
            view.list::<Service>(Select::Namespace(namespace)).map(|service| (*service).clone()).collect();
        let own = env::environment(pod, container, &lookup, &services)
            .map_err(|cause| InputProblem(cause.to_string()))?;
        Ok(image.env.iter().cloned().chain(own).collect())
    }

    fn mounts(
        &self,
        pod: &Pod,
        container: &Container,
        env: &[(String, String)],
    ) -> Result<Vec<Mount>, InputProblem> {
        let folder = self.folder(uid(pod));
        let mut mounts = match self.sets.lock().get(uid(pod)) {
            Some(set) => set.mounts_for(container, env).map_err(|cause| InputProblem(cause.to_string()))?,
            None => Vec::new(),
        };
        let files =
            [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname")];
        for (name, target) in files {
            let source = folder.join(name);
            // A volume of the container's own wins, as upstream has it.
            if source.is_file() && !mounts.iter().any(|mount| mount.target == target) {
                mounts.push(Mount {
                    source: MountSource::Host(source),
                    target: target.to_owned(),
                    read_only: false,
                    propagation: Propagation::None,
                });
            }
        }
        Ok(mounts)
    }

    fn log_path(&self, pod: &Pod, container: &str, attempt: u32) -> Result<PathBuf, InputProblem> {
        let folder = self.log_folder(ObjectKey::of(&pod.metadata).as_str(), uid(pod)).join(container);
        fs::create_dir_all(&folder).map_err(|cause| problem("make the folder", &folder, &cause))?;
        Ok(folder.join(format!("{attempt}.log")))
    }

    fn log_tail(&self, path: &Path, lines: usize, bytes: usize) -> String {
        let text = read_end(path, bytes + lines * LOG_PREFIX).unwrap_or_default();
        let content: Vec<&str> = text.lines().filter_map(log_content).collect();
        let tail = content[content.len().saturating_sub(lines)..].join("\n");
        let start = (tail.len().saturating_sub(bytes)..tail.len()).find(|at| tail.is_char_boundary(*at));
        start.map_or(String::new(), |start| tail[start..].to_owned())
    }

    fn release(&self, uid: &str) -> Result<(), InputProblem> {
        self.sets.lock().remove(uid);
        let folder = self.folder(uid);
        if !folder.exists() {
            return Ok(());
        }
        VolumeSet::teardown(&folder, &[]).map_err(|causes| {
            InputProblem(causes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        fs::remove_dir_all(&folder).map_err(|cause| problem("remove", &folder, &cause))
    }

    fn forget(&self, uid: &str, pod: &str) -> Result<(), InputProblem> {
        let folder = self.log_folder(pod, uid);
        match fs::remove_dir_all(&folder) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                Err(problem("remove", &folder, &cause))
            }
            _ => Ok(()),
        }
    }
}

/// What stands before the content of a log line: time, stream and tag.
const LOG_PREFIX: usize = 48;

fn read_end(path: &Path, bytes: usize) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes as u64)))?;
    let mut raw = Vec::new();
    file.read_to_end(&mut raw)?;
    Ok(String::from_utf8_lossy(&raw).into_owned())
}

/// The content of a line in the CRI format.
fn log_content(line: &str) -> Option<&str> {
    let mut parts = line.splitn(4, ' ');
    let (_time, _stream, _tag) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next()
}
