//! To be written.

pub mod manifest;
pub mod names;
pub mod patch;
pub mod quantity;
pub mod selector;
