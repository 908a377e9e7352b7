//! Every limit of Coracle, each with its reason. Nothing else in the crate holds a bound of its own.

use std::time::Duration;

/// The longest chain of writes retried after a conflict inside the door, as upstream's guaranteed update.
pub const CONFLICT_RETRIES: usize = 64;

/// The largest object accepted, in bytes of JSON: etcd's request limit, which upstream passes on.
pub const OBJECT_BYTES: usize = 1536 * 1024;

/// The largest body accepted by the door, in bytes: upstream's limit for a request.
pub const REQUEST_BYTES: usize = 3 * 1024 * 1024;

/// How many bytes of old revisions the log keeps for watchers that lag.
pub const LOG_BYTES: usize = 8 * 1024 * 1024;

/// How many revisions one segment of the log holds: small, so that trimming frees memory soon.
pub const LOG_SEGMENT: usize = 256;

/// How long the log keeps a revision at the most: upstream compacts etcd every five minutes.
pub const LOG_AGE: Duration = Duration::from_secs(300);

/// How many bytes of typed views the store keeps warm. A typed Pod weighs some 22 KB.
pub const VIEW_CACHE_BYTES: usize = 8 * 1024 * 1024;

const _: () = assert!(OBJECT_BYTES < REQUEST_BYTES && OBJECT_BYTES < LOG_BYTES);

/// How many log entries a follower reads at a time: enough to keep up, few enough to let others run.
pub const FOLLOW_BATCH: usize = 256;

/// The first wait of a key that failed: upstream's work queues begin with 5 ms.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(5);

/// The longest wait of a key that fails again and again. Upstream goes up to 1000 s; what can mend a key here
/// is nearly always an event, and one try in five minutes costs nothing.
pub const BACKOFF_MOST: Duration = Duration::from_secs(300);

/// How often a key that lost against another writer is tried again at once before it backs off.
pub const STALE_RETRIES_AT_ONCE: u32 = 3;

/// How many keys a loop works on before it lets other loops have its thread.
pub const KEYS_A_STEP: usize = 32;

/// How many threads step the loops. Two keep two cores busy; more would only wait for each other's commits.
pub const LOOP_THREADS: usize = 2;

/// The longest name made from a `generateName`, in bytes: upstream's bound, that of a DNS label.
pub const GENERATED_NAME_BYTES: usize = 63;

/// How many random characters follow a `generateName`: upstream's number, 14 million names a prefix.
pub const GENERATED_SUFFIX: usize = 5;

/// The longest text of a selector, in bytes: a request's URL has no room for more anyway.
pub const SELECTOR_BYTES: usize = 64 * 1024;

/// The longest text of a quantity, in bytes: far more than a number of any use has, and short enough that the
/// exact arithmetic stays cheap.
pub const QUANTITY_BYTES: usize = 256;

/// The largest power of ten that a quantity may be written with: beyond any number of use, and printable.
pub const QUANTITY_EXPONENT: i32 = 100_000;

/// The largest manifest, in bytes: ten times the largest request, since it holds many objects.
pub const MANIFEST_BYTES: usize = 32 * 1024 * 1024;

/// The most documents, list items counted, in one manifest.
pub const MANIFEST_DOCUMENTS: usize = 10_000;

/// How deep a manifest may nest: the deepest published type (a CustomResourceDefinition's schema apart) has 20
/// levels, and serde_json stops at 128.
pub const MANIFEST_DEPTH: usize = 100;

/// How many values one document may have once its aliases are expanded: some 30 times what the largest object
/// can hold would still be refused by its size, so this only stops documents that grow by aliasing.
pub const MANIFEST_VALUES: usize = 1_000_000;

/// How many bytes of text the aliases of one document may add: the most that an object may have at all.
pub const MANIFEST_ALIAS_BYTES: usize = OBJECT_BYTES;

/// The most operations in one JSON patch: upstream's limit.
pub const PATCH_OPERATIONS: usize = 10_000;

/// How many bytes the copies of one JSON patch may add: upstream's limit, that of a request.
pub const PATCH_COPY_BYTES: usize = REQUEST_BYTES;

const _: () = assert!(MANIFEST_DEPTH < 128 && GENERATED_SUFFIX < GENERATED_NAME_BYTES);

/// How often a name is drawn for `generateName` before the collision is told: upstream's number.
pub const GENERATED_NAME_TRIES: usize = 8;

/// How many objects a collection is deleted by at a time.
pub const LIST_CHUNK: usize = 500;
/// How many bytes all annotations of one object may have together: upstream's limit.
pub const ANNOTATION_BYTES: usize = 256 * 1024;

/// How many bytes the values of one Secret or ConfigMap may have together: upstream's limit.
pub const SECRET_BYTES: usize = 1024 * 1024;

/// The longest name of a field manager, in bytes: upstream's limit.
pub const FIELD_MANAGER_BYTES: usize = 128;

/// The longest name of a subresource in managed fields, in bytes: upstream's limit.
pub const SUBRESOURCE_NAME_BYTES: usize = 256;

/// The most endpoints, ports and addresses of an endpoint in one EndpointSlice: upstream's limits.
pub const SLICE_ENDPOINTS: usize = 1000;
/// See [`SLICE_ENDPOINTS`].
pub const SLICE_PORTS: usize = 20_000;
/// See [`SLICE_ENDPOINTS`].
pub const SLICE_ADDRESSES: usize = 100;

/// The most hints of each sort, and of old topology labels, of one endpoint: upstream's limits.
pub const ENDPOINT_HINTS: usize = 8;
/// See [`ENDPOINT_HINTS`].
pub const ENDPOINT_TOPOLOGY_LABELS: usize = 16;

/// How long an Event's words may be, in bytes: action, reason and reporting instance; the message.
pub const EVENT_WORD_BYTES: usize = 128;
/// See [`EVENT_WORD_BYTES`].
pub const EVENT_MESSAGE_BYTES: usize = 1024;

/// The most name servers and search domains of a pod, and the bytes of all search domains: what glibc reads.
pub const POD_NAMESERVERS: usize = 3;
/// See [`POD_NAMESERVERS`].
pub const POD_SEARCHES: usize = 32;
/// See [`POD_NAMESERVERS`].
pub const POD_SEARCH_BYTES: usize = 2048;

/// The most restart rules of a container, and exit codes of one rule: upstream's limits.
pub const RESTART_RULES: usize = 20;
/// See [`RESTART_RULES`].
pub const RESTART_RULE_CODES: usize = 255;

const _: () = assert!(ANNOTATION_BYTES < OBJECT_BYTES && SECRET_BYTES < OBJECT_BYTES);

/// How many threads make and end containers: they wait for the keeper and the kernel, hardly for a core.
pub const RUNTIME_THREADS: usize = 16;

/// How many threads unpack images: each fills a core.
pub const IMAGE_THREADS: usize = 2;

/// How many threads write volumes.
pub const VOLUME_THREADS: usize = 4;

/// How many probes and hooks run at a time: a hanging one holds its thread for its whole time limit.
pub const PROBE_THREADS: usize = 32;

/// How many threads write the kernel's network state: more than one a socket would wait for each other.
pub const NETWORK_THREADS: usize = 2;

/// How many calls to servers elsewhere run at a time.
pub const REMOTE_THREADS: usize = 16;

/// The first and the longest wait of a container that fails again and again, and of an image that cannot be
/// fetched: upstream's.
pub const POD_BACKOFF_FIRST: Duration = Duration::from_secs(10);
/// See [`POD_BACKOFF_FIRST`].
pub const POD_BACKOFF_MOST: Duration = Duration::from_secs(300);

/// How long a pod that ends is kept whole until no Service leads to it any more. What programs the kernel needs
/// some milliseconds; two seconds only pass where it is stuck or gone.
pub const DRAIN_MOST: Duration = Duration::from_secs(2);

/// How often a node renews its lease, and how long the lease says it holds: upstream's.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(10);
/// See [`LEASE_RENEWAL`].
pub const LEASE_DURATION: Duration = Duration::from_secs(40);

/// How often a node writes its status though nothing changed: upstream's.
pub const NODE_STATUS_PERIOD: Duration = Duration::from_secs(300);

/// The least time that a container gets between its stop signal and its end when a hook used up the grace period:
/// upstream's.
pub const LEAST_GRACE: Duration = Duration::from_secs(2);

/// How long an agent waits until it tries again what failed in making or removing a pod (sandbox, volumes):
/// upstream's pod workers come back after some 10 s; a missing ConfigMap wakes the pod by itself.
pub const POD_RETRY: Duration = Duration::from_secs(10);

/// The most bytes of a termination message: one container's, as upstream.
pub const TERMINATION_MESSAGE_BYTES: usize = 4096;
/// How much of the log stands in for a missing termination message: upstream's.
pub const TERMINATION_LOG_BYTES: usize = 2048;
/// See [`TERMINATION_LOG_BYTES`].
pub const TERMINATION_LOG_LINES: usize = 80;

/// The most bytes of an answer that an HTTP probe reads: upstream's.
pub const PROBE_BODY_BYTES: usize = 10 * 1024;

/// How many redirects an HTTP probe follows: upstream's.
pub const PROBE_REDIRECTS: usize = 10;

/// How long `ErrImagePull` is shown before it becomes `ImagePullBackOff`: long enough to be seen by a watcher.
pub const PULL_ERROR_SHOWN: Duration = Duration::from_secs(1);

/// How many pods a node takes where its configuration says nothing: upstream's.
pub const NODE_PODS: u32 = 110;

/// How long a postStart hook may take. Upstream sets no limit; a hook that hangs would hold its thread for ever.
pub const HOOK_MOST: Duration = Duration::from_secs(600);

/// The most steps that the agent takes for one pod at a time: every step changes the pod's state and no plan has
/// more than some for each container, so this only stops a planning error from going round.
pub const POD_STEPS: usize = 1000;

const _: () = assert!(POD_BACKOFF_FIRST.as_secs() < POD_BACKOFF_MOST.as_secs());
const _: () = assert!(LEASE_RENEWAL.as_secs() * 2 < LEASE_DURATION.as_secs());
