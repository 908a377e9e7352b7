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

/// How often the removal of a busy cgroup is tried again, a millisecond or an event apart: a process is out
/// of its group microseconds after its end is told, so that this many means that something is wrong.
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
