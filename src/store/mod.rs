//! To be written.

/// A revision of the store: one counter for everything, as etcd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);
