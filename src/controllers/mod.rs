//! To be written.
pub mod endpoint_slice;
pub mod garbage;
pub mod namespace;
pub mod node_lifecycle;
pub mod service_account;
