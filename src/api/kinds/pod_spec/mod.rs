//! x
mod canonical;
