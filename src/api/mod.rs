//! To be written.

pub mod names;
pub mod quantity;
pub mod selector;
