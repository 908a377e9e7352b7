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
