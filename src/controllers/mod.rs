//! To be written.
pub mod endpoint_slice;
pub mod garbage;
#[cfg(test)]
pub(crate) mod harness;
pub mod namespace;
pub mod node_lifecycle;
pub mod service_account;
