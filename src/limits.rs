//! Every limit of Coracle, each with its reason. Nothing else in the crate holds a bound of its own.

use std::time::Duration;

/// The longest chain of writes retried after a conflict inside the door, as upstream's guaranteed update.
pub const CONFLICT_RETRIES: usize = 64;

/// The largest object accepted, in bytes of JSON: etcd's request limit, which upstream passes on.
pub const OBJECT_BYTES: usize = 1536 * 1024;

/// How many bytes of old revisions the log keeps for watchers that lag.
pub const LOG_BYTES: usize = 8 * 1024 * 1024;

/// How many revisions one segment of the log holds: small, so that trimming frees memory soon.
pub const LOG_SEGMENT: usize = 256;

/// How long the log keeps a revision at the most: upstream compacts etcd every five minutes.
pub const LOG_AGE: Duration = Duration::from_secs(300);

/// How many bytes of typed views the store keeps warm. A typed Pod weighs some 22 KB.
pub const VIEW_CACHE_BYTES: usize = 8 * 1024 * 1024;

const _: () = assert!(OBJECT_BYTES < LOG_BYTES);

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

// Images and volumes.

/// The most bytes of one image's manifest, index or configuration: containerd's own bound for manifests, doubled.
pub const IMAGE_DOCUMENT_BYTES: u64 = 8 * 1024 * 1024;

/// The most layers of one image: overlayfs takes 500, and every common builder stops at 127.
pub const IMAGE_LAYERS: usize = 128;

/// The most images in one archive or layout folder: far above what any tool saves at once.
pub const ARCHIVE_IMAGES: usize = 1024;

/// How deep an image index may point to another index: two levels are in use.
pub const IMAGE_INDEX_DEPTH: usize = 4;

/// The most bytes one layer may unpack to: larger than the largest published images, small beside a disk.
pub const LAYER_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// The most entries of one layer: each costs an inode, and the largest published layers have some 500,000.
pub const LAYER_ENTRIES: u64 = 2_000_000;

/// The most bytes of one extended header of a tar entry (long names, attributes): attributes end at 64 KiB each.
pub const TAR_EXTENSION_BYTES: u64 = 1024 * 1024;

/// The longest path in an archive or volume: the kernel's `PATH_MAX`.
pub const PATH_BYTES: usize = 4096;

/// The longest name of one file: the kernel's `NAME_MAX`.
pub const FILE_NAME_BYTES: usize = 255;

/// The most bytes of an ELF file's tables that are read: section-free program headers and dynamic entries are some KiB.
pub const ELF_TABLE_BYTES: u64 = 4 * 1024 * 1024;

/// The most libraries in the closure of one executable: large desktop programs have some 300.
pub const ELF_LIBRARIES: usize = 1024;

/// The most bytes of the files of one configMap, secret or projected volume: several whole objects together.
pub const VOLUME_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// How often a path is opened again below a folder when the kernel saw a rename meanwhile: each try is microseconds.
pub const OPEN_TRIES: usize = 64;

/// The most bytes that may follow the end of a layer's archive: tar pads to 10 KiB, some writers to more.
pub const LAYER_TRAILING_BYTES: u64 = 16 * 1024 * 1024;
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

/// How many values one manifest may have, aliases written out: what 32 MB of usual YAML hold, and some 500 MB
/// of memory at the worst.
pub const MANIFEST_VALUES: usize = 1_000_000;

/// How many bytes of text the aliases of one manifest may add: the most that one object may have at all.
pub const MANIFEST_ALIAS_BYTES: usize = OBJECT_BYTES;

/// The most operations in one JSON patch: upstream's limit.
pub const PATCH_OPERATIONS: usize = 10_000;

/// How many bytes the copies of one JSON patch may add: upstream's limit, that of a request.
pub const PATCH_COPY_BYTES: usize = 3 * 1024 * 1024;

/// How deep a JSON patch may make an object: what serde_json reads back, so that nothing deeper is ever stored.
pub const PATCH_DEPTH: usize = 127;

/// How many values one JSON patch may look at or shift in lists: about a second of work, far above what a patch
/// of use needs, against thousands of removals from the front of a huge list.
pub const PATCH_WORK: usize = 50_000_000;

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
/// How large the buffers of a busy netlink socket are asked to be: a load of 10,000 Services is one message
/// batch of some 4 MB, and a burst of links that end must not overrun the listener.
pub const NETLINK_BUFFER_BYTES: usize = 32 * 1024 * 1024;

/// The largest datagram that is received over netlink: a refusal carries the refused message, and one with
/// set elements has up to [`SET_ELEMENTS_PER_MESSAGE`] of them.
pub const NETLINK_DATAGRAM_BYTES: usize = 64 * 1024;

/// The same for links and routes, whose messages are short: what is read is zeroed first, on the way of
/// every pod.
pub const NETLINK_ROUTE_DATAGRAM_BYTES: usize = 16 * 1024;

/// How many set elements go into one netlink message: the attribute that holds them has a 16-bit length,
/// and an IPv6 element with its data takes 76 bytes.
pub const SET_ELEMENTS_PER_MESSAGE: usize = 500;

/// The most endpoints of one Service port that are programmed; upstream cuts Endpoints at the same number.
pub const ENDPOINTS_PER_SERVICE: usize = 1000;

/// How long the Service proxy waits before it writes again what the kernel refused.
pub const PROXY_RETRY: Duration = Duration::from_millis(200);

/// How many pods a ReplicaSet makes or ends in one pass: upstream's bound, so that one large set cannot keep
/// all others waiting.
pub const BURST_REPLICAS: usize = 500;

/// How long the annotation with a ReplicaSet's earlier revisions may be, in bytes: upstream's bound, some 100
/// revisions.
pub const REVISION_HISTORY_BYTES: usize = 2000;

/// How long a cluster's start waits for its nodes to be ready.
pub const NODE_READY: Duration = Duration::from_secs(30);

/// How many clusters with real nodes one machine takes before their address ranges must be given by hand.
pub const CLUSTERS_A_HOST: u8 = 16;
/// The most bytes of one message between host and keeper that go in the packet itself; longer ones go in a
/// file in memory. Well below the kernel's default socket buffer, so that many fit at once.
pub const KEEPER_PACKET_BYTES: usize = 32 * 1024;

/// The longest log line before it is cut with the tag P, as containerd cuts it.
pub const LOG_LINE_BYTES: usize = 16 * 1024;

/// How many bytes of a container's output the keeper reads before it looks at anything else.
pub const LOG_READ_BYTES: usize = 64 * 1024;

/// How many bytes of an exec's output are kept: probes report 10 KiB, hooks the same.
pub const EXEC_OUTPUT_BYTES: usize = 64 * 1024;

/// The longest termination message, as upstream's for one container.
pub const TERMINATION_MESSAGE_BYTES: usize = 4096;

/// How often the removal of the groups of an ended cluster is tried again, a millisecond apart, where nothing
/// tells that they are free (v1): a process is out of its group microseconds after its end is told, so that
/// this many means that something is wrong.
pub const CGROUP_REMOVAL_TRIES: u32 = 2000;

/// How long killed processes may take to end before their cgroup is given up as stuck: one in
/// uninterruptible sleep would otherwise hold up the start of the next cluster for ever.
pub const CGROUP_DRAIN: Duration = Duration::from_secs(10);

/// How often a path inside a root is walked again because of a mount or a rename elsewhere: each walk takes
/// microseconds, so that this many in a row means that something is wrong.
pub const OPEN_IN_ROOT_TRIES: u32 = 10_000;

/// The size of a pod's `/dev/shm`, as Docker's and containerd's.
pub const POD_SHM_BYTES: u64 = 64 * 1024 * 1024;

const _: () = assert!(LOG_LINE_BYTES <= LOG_READ_BYTES);

/// What scores assume of a container that asks for no cpu, in thousandths of a core: upstream's guess.
pub const SCHEDULER_GUESSED_CPU_MILLIS: i64 = 100;
/// What scores assume of a container that asks for no memory, in bytes: upstream's guess.
pub const SCHEDULER_GUESSED_MEMORY_BYTES: i64 = 200 * 1024 * 1024;
/// Below this many nodes each is looked at; above, at least this many feasible ones are found: upstream's number.
pub const SCHEDULER_FEASIBLE_LEAST: usize = 100;
/// The least percentage of a large cluster's nodes that are scored: upstream's number.
pub const SCHEDULER_PERCENT_LEAST: usize = 5;
/// The first and the longest wait of a pod that found no node: upstream's times.
pub const SCHEDULER_BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// See [`SCHEDULER_BACKOFF_FIRST`].
pub const SCHEDULER_BACKOFF_MOST: Duration = Duration::from_secs(10);

/// How many objects one turn of the garbage collector or the namespace controller writes before it lets others
/// have the loop.
pub const DELETIONS_A_TURN: usize = 100;

/// The most endpoints that the controller puts into one EndpointSlice: upstream's default.
pub const SLICE_ENDPOINTS_FILLED: usize = 100;

/// How long a node may stay silent before it counts as unreachable: upstream's default.
pub const NODE_GRACE: Duration = Duration::from_secs(40);
/// The same for a node that has never said how it is: upstream's default.
pub const NODE_STARTUP_GRACE: Duration = Duration::from_secs(60);
/// How long a pod that names no toleration of its own stays on a node that is not ready or unreachable, in
/// seconds: what upstream's admission would have given it.
pub const NODE_LOSS_TOLERATION_SECONDS: i64 = 300;

const _: () = assert!(
    SLICE_ENDPOINTS_FILLED <= SLICE_ENDPOINTS && NODE_GRACE.as_secs() <= NODE_STARTUP_GRACE.as_secs()
);

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

/// The room in bytes that encoding an object begins with: most objects fit, and larger ones grow it.
pub const ENCODE_ROOM: usize = 16 * 1024;
/// How often the processes of a delegated v2 group are listed to be moved: those forked meanwhile are found by
/// the next listing, and only a fork bomb needs more than a few.
pub const CGROUP_MOVES: usize = 64;

/// How often the lock of a place in the cgroup tree is tried, a millisecond apart: its holders need
/// microseconds, and whoever holds it longer must not keep a cluster from starting.
pub const CGROUP_LOCK_TRIES: u32 = 200;

/// How many nodes the schema of a custom resource may have, and how deep they may lie: some ten times what the largest
/// published definitions have. Every walk over a schema is bounded by these.
pub const SCHEMA_NODES: usize = 50_000;
/// See [`SCHEMA_NODES`].
pub const SCHEMA_DEPTH: usize = 100;

/// How many bytes a compiled regular expression may take: of a schema's pattern, and of an expression in CEL.
pub const PATTERN_BYTES: usize = 1 << 20;

/// The cost that one CEL expression may have: upstream's, some 0.1 s there.
pub const CEL_EXPRESSION_COST: u64 = 1_000_000;
/// The cost that all rules of one object may have together: upstream's.
pub const CEL_OBJECT_COST: u64 = 10_000_000;
/// The longest message that a message expression may give: upstream's.
pub const CEL_MESSAGE_BYTES: usize = 5 * 1024;
/// The longest CEL expression in bytes, and how deep it may be nested. Upstream bounds both by the estimated cost
/// and its parser.
pub const CEL_EXPRESSION_BYTES: usize = 100_000;
/// See [`CEL_EXPRESSION_BYTES`].
pub const CEL_DEPTH: u16 = 96;
/// How many tokens a CEL expression may have: each may lie one deeper in the parser's stack, which is tried with 2 MiB
/// and a build without optimisation.
pub const CEL_TOKENS: usize = 3_000;
/// How deep a parsed CEL expression may be: each level takes some of the stack when it is evaluated.
pub const CEL_TREE_DEPTH: usize = 150;
/// How many CEL rules one schema may have: upstream's bound on the total cost allows no more of any use.
pub const CEL_RULES: usize = 10_000;
/// How many bytes of text and items a value may have that one CEL expression builds.
pub const CEL_VALUE_BYTES: usize = 8 << 20;

/// How many fields users may select the objects of one version of a custom resource by: upstream's.
pub const SELECTABLE_FIELDS: usize = 8;
/// How long a ready pod may wait to count as available until the Services that select it are programmed. As with
/// [`DRAIN_MOST`], a proxy needs some milliseconds; two seconds only pass where it is stuck or gone.
pub const PROGRAM_MOST: Duration = Duration::from_secs(2);

/// How long an agent waits before it starts a runtime again that died soon after it was started; twice as long each
/// time. The first restart is at once.
pub const RUNTIME_RESTART_FIRST: Duration = Duration::from_millis(100);

/// How often in a row a runtime that dies soon, or does not start, is started again: the waits add up to some 100
/// seconds, and what is still wrong then needs a person.
pub const RUNTIME_RESTARTS: u32 = 10;

/// How long a runtime must have lived for its death to count as the first again.
pub const RUNTIME_STEADY: Duration = Duration::from_secs(60);
/// The most bytes of an IngressClass's controller: upstream's.
pub const INGRESS_CONTROLLER_BYTES: usize = 250;
/// The most bytes of a condition's reason: upstream's.
pub const CONDITION_REASON_BYTES: usize = 1024;
/// The most bytes of a condition's message: upstream's.
pub const CONDITION_MESSAGE_BYTES: usize = 32 * 1024;
/// The most pods at a time, and the most failed indexes, of an indexed Job: upstream's, so that the lists of
/// indexes in its status stay short.
pub const INDEXED_JOB_PODS: i32 = 100_000;
/// From more completions than this on, an indexed Job with a limit for each index has the bounds of
/// [`LONG_JOB_PODS`]: upstream's.
pub const LONG_JOB_COMPLETIONS: i32 = 100_000;
/// The most pods at a time, and the most failed indexes, of a Job with very many completions: upstream's.
pub const LONG_JOB_PODS: i32 = 10_000;
/// The most rules of a Job's policy for failed pods, and of its policy for success: upstream's.
pub const JOB_POLICY_RULES: usize = 20;
/// The most exit codes that one rule of a Job names: upstream's, as there are no more.
pub const JOB_POLICY_EXIT_CODES: usize = 255;
/// The most conditions of pods that one rule of a Job names: upstream's.
pub const JOB_POLICY_CONDITIONS: usize = 20;
/// The most bytes of the name of another controller that a Job is left to: upstream's.
pub const JOB_MANAGED_BY_BYTES: usize = 63;
/// The most bytes of a list of indexes in a Job's policy for success: upstream's.
pub const JOB_INDEXES_BYTES: usize = 64 * 1024;
/// The longest name of a CronJob: the names of its Jobs have 11 characters more, and must be labels.
pub const CRON_JOB_NAME_BYTES: usize = 52;
/// How many years a schedule is searched for its next time, as upstream does: one that never comes must not be
/// looked for without end.
pub const CRON_YEARS: i16 = 5;
/// The longest window over which an autoscaler steadies itself, in seconds: upstream's.
pub const SCALING_WINDOW_SECONDS: i32 = 3600;
/// The longest period of an autoscaler's policy, in seconds: upstream's.
pub const SCALING_PERIOD_SECONDS: i32 = 1800;
/// The most conditions under which a webhook or a policy is asked: upstream's.
pub const MATCH_CONDITIONS: usize = 64;
/// The most audit annotations of a policy, and the bytes of the expression of one: upstream's.
pub const AUDIT_ANNOTATIONS: usize = 20;
/// See [`AUDIT_ANNOTATIONS`].
pub const AUDIT_EXPRESSION_BYTES: usize = 5 * 1024;
/// The most parameters of a class of storage, and the bytes of all of them: upstream's.
pub const CLASS_PARAMETERS: usize = 512;
/// See [`CLASS_PARAMETERS`].
pub const CLASS_PARAMETER_BYTES: usize = 256 * 1024;
/// The bytes of what an attached volume says of itself, and of the message of an error: upstream's.
pub const ATTACHMENT_BYTES: usize = 256 * 1024;
/// See [`ATTACHMENT_BYTES`].
pub const VOLUME_ERROR_BYTES: usize = 1024;
/// The bytes of a CSI driver's name, and of the name that it has for a node: upstream's.
pub const CSI_DRIVER_BYTES: usize = 63;
/// See [`CSI_DRIVER_BYTES`].
pub const CSI_NODE_BYTES: usize = 256;
// The wire face.

/// The most bytes that a request's body may have: upstream's.
pub const REQUEST_BYTES: usize = 3 * 1024 * 1024;
/// How many wrong fields of one body are told: upstream's.
pub const STRICT_ERRORS: usize = 100;
/// How often a watch that wants them is sent a bookmark: upstream's.
pub const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts at least where it does not say; at most twice as long: upstream's.
pub const WATCH_LEAST: Duration = Duration::from_secs(1800);
/// The events of a watch that are there already are sent together in pieces of about so many bytes: large enough
/// that a piece costs little, small enough that ten thousand watches hold little.
pub const WATCH_PIECE_BYTES: usize = 64 * 1024;
/// The most bytes of warnings in the headers of an answer: upstream truncates at the same size.
pub const WARNING_BYTES: usize = 4 * 1024;
/// How deep an object or the schema of one may nest where it is merged and taken apart: deeper than any type, and far
/// from the end of a thread's stack.
pub const FIELDS_DEPTH: usize = 128;
/// How deep a schema is followed for the shape of its objects; see [`FIELDS_DEPTH`].
pub const SHAPE_DEPTH: usize = 64;

/// The most managers of an object that come from updates: upstream's; older ones are merged.
pub const UPDATE_MANAGERS: usize = 10;

/// How many sets of fields are known before those that no object has any more are looked for.
pub const INTERN_SWEEP: usize = 1024;
/// The smallest range of pods or Services is one of this prefix: two addresses are the network's and the gateway's.
pub const POD_RANGE_LONGEST: u8 = 29;
