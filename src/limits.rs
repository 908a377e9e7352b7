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
pub const PATCH_COPY_BYTES: usize = REQUEST_BYTES;

/// How deep a JSON patch may make an object: what serde_json reads back, so that nothing deeper is ever stored.
pub const PATCH_DEPTH: usize = 127;

/// How many values one JSON patch may look at or shift in lists: about a second of work, far above what a patch
/// of use needs, against thousands of removals from the front of a huge list.
pub const PATCH_WORK: usize = 50_000_000;

const _: () = assert!(MANIFEST_DEPTH < 128 && GENERATED_SUFFIX < GENERATED_NAME_BYTES);

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
