//! To be written.

pub mod names;
pub mod quantity;
