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

/// How many values one document may have once its aliases are expanded: some 30 times what the largest object
/// can hold would still be refused by its size, so this only stops documents that grow by aliasing.
pub const MANIFEST_VALUES: usize = 1_000_000;

/// How many bytes of text the aliases of one document may add: the most that an object may have at all.
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
