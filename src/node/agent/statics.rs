//! The pods of the node's own: read from files, run without the API, shown there by a mirror.
//!
//! Owns how a file's pod becomes a pod of this node (name, uid, annotations) and its mirror. Names, annotations and
//! hashes play the parts that upstream gives them; the hash itself is ours.
//!
//! Invariant: a change of a file's pod changes its uid, so that the old one is ended before the new one begins.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;

use super::config::Hands;
use super::seams::{StaticFile, StaticPods};
use crate::api::{Kind, ObjectKey, manifest};

/// The annotation that marks a mirror; its value is the hash of the pod that it shows.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const HASH: &str = "kubernetes.io/config.hash";
const SOURCE: &str = "kubernetes.io/config.source";
const SEEN: &str = "kubernetes.io/config.seen";

/// A pod of the node's own.
#[derive(Clone, Debug)]
pub(super) struct StaticPod {
    /// Its uid at the runtime: the hash of what the file says.
    pub uid: String,
    /// The pod.
    pub pod: Arc<Pod>,
}

impl StaticPod {
    /// Whether a mirror shows this pod as it is now.
    pub fn is_mirrored_by(&self, mirror: &Pod) -> bool {
        let hash = mirror.metadata.annotations.as_ref().and_then(|annotations| annotations.get(MIRROR));
        hash == Some(&self.uid) && mirror.metadata.deletion_timestamp.is_none()
    }

    /// The mirror to be created. It belongs to its node, so that it goes with the node's object.
    pub fn mirror(&self, node: &str, node_uid: &str) -> Pod {
        let mut pod = (*self.pod).clone();
        pod.metadata.uid = None;
        pod.metadata.owner_references = Some(vec![OwnerReference {
            api_version: Node::API_VERSION.to_owned(),
            kind: Node::KIND.to_owned(),
            name: node.to_owned(),
            uid: node_uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        pod.metadata.annotations.get_or_insert_default().insert(MIRROR.to_owned(), self.uid.clone());
        pod
    }
}

/// Reads the node's own pods; none if it has no source of them.
pub(super) fn read(hands: &Hands) -> Result<Vec<StaticFile>, String> {
    hands.statics.as_ref().map_or_else(|| Ok(Vec::new()), |statics| statics.read())
}

/// Makes pods of this node out of files. Of two of one name the first counts.
pub(super) fn prepare(files: Vec<StaticFile>, node: &str, now: Timestamp) -> BTreeMap<ObjectKey, StaticPod> {
    let mut pods = BTreeMap::new();
    for file in files {
        let mut pod = match file.pod {
            Ok(pod) => *pod,
            Err(cause) => {
                tracing::warn!(file = %file.name, %cause, "no pod can be read from a file");
                continue;
            }
        };
        let uid = hash(&file.name, &pod);
        let meta = &mut pod.metadata;
        meta.name = Some(format!("{}-{node}", meta.name.as_deref().unwrap_or_default()));
        meta.namespace.get_or_insert_with(|| "default".to_owned());
        meta.uid = Some(uid.clone());
        let annotations = meta.annotations.get_or_insert_default();
        annotations.insert(HASH.to_owned(), uid.clone());
        annotations.insert(SOURCE.to_owned(), "file".to_owned());
        annotations.insert(SEEN.to_owned(), now.to_string());
        let spec = pod.spec.get_or_insert_default();
        spec.node_name = Some(node.to_owned());
        spec.tolerations.get_or_insert_default().push(Toleration {
            operator: Some("Exists".to_owned()),
            effect: Some("NoExecute".to_owned()),
            ..Toleration::default()
        });
        pod.set_defaults();
        pods.entry(ObjectKey::of(&pod.metadata)).or_insert(StaticPod { uid, pod: Arc::new(pod) });
    }
    pods
}

/// 32 hexadecimal digits that change with what the file says.
fn hash(name: &str, pod: &Pod) -> String {
    let text = serde_json::to_string(pod).unwrap_or_default();
    let digits = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, name, &text).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", digits(0), digits(1))
}

type Listener = Box<dyn Fn() + Send + Sync>;

/// A folder of manifests, one pod a file. Files whose names begin with a dot are left out.
///
/// It does not watch by itself: whoever does (the watch of a real node's folder, a test) calls
/// [`FolderPods::changed`].
pub struct FolderPods {
    folder: PathBuf,
    listeners: Mutex<Vec<Listener>>,
}

impl FolderPods {
    /// The pods of a folder; one that does not exist has none.
    pub fn new(folder: &Path) -> FolderPods {
        FolderPods { folder: folder.to_owned(), listeners: Mutex::default() }
    }

    /// The folder may have changed.
    pub fn changed(&self) {
        for listener in self.listeners.lock().iter() {
            listener();
        }
    }
}

impl StaticPods for FolderPods {
    fn read(&self) -> Result<Vec<StaticFile>, String> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(format!("read folder {}: {cause}", self.folder.display())),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let is_manifest = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            !name.starts_with('.') && path.is_file()
        };
        let files = paths
            .into_iter()
            .filter(is_manifest)
            .map(|path| StaticFile { name: path.display().to_string(), pod: read_pod(&path).map(Box::new) });
        Ok(files.collect())
    }

    fn on_change(&self, wake: Listener) {
        self.listeners.lock().push(wake);
    }
}

fn read_pod(path: &Path) -> Result<Pod, String> {
    let size = std::fs::metadata(path).map_err(|cause| cause.to_string())?.len();
    if size > crate::limits::OBJECT_BYTES as u64 {
        return Err(format!("{size} bytes are more than an object may have"));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| cause.to_string())?;
    let mut documents = manifest::read(&text).map_err(|cause| cause.to_string())?;
    let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
        return Err("a file of the node's own pods holds one pod".to_owned());
    };
    let named = document.type_meta().map_err(|cause| cause.to_string())?;
    if (named.api_version, named.kind) != ("v1", "Pod") {
        return Err(format!("{} of {} is no pod of v1", named.kind, named.api_version));
    }
    let pod: Pod = serde_json::from_value(document.value).map_err(|cause| cause.to_string())?;
    if pod.metadata.name.as_deref().unwrap_or_default().is_empty() {
        return Err("metadata.name: Required value: name or generateName is required".to_owned());
    }
    Ok(pod)
}

impl fmt::Debug for FolderPods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FolderPods({})", self.folder.display())
    }
}
