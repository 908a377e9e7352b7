//! Custom kinds.
