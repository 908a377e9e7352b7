//! To be written.

pub mod manifest;
pub mod names;
pub mod quantity;
pub mod selector;
