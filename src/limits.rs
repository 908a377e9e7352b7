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
