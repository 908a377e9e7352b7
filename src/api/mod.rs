//! To be written.

pub mod names;
