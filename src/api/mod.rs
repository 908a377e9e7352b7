//! What an object is: kinds, metadata, names, selectors, quantities, patches, manifests.
//!
//! Everything here is pure: text and objects in, objects and errors out. It knows no store and no clock.

pub mod cel;
pub mod cron;
pub mod custom;
pub mod dynamic;
pub mod error;
pub mod fields;
pub mod kinds;
pub mod manifest;
pub mod meta;
pub mod names;
pub mod object;
pub mod patch;
pub mod quantity;
pub mod registry;
pub mod schema;
pub mod selector;
pub mod shape;
pub mod taints;

pub use dynamic::DynamicObject;
pub use error::{FieldError, FieldErrors, FieldPath, Problem, Reason, StatusError};
pub use object::{Column, Kind, Object, ObjectKey, Scope, ServedName, TermName, Terms};
pub use registry::{KindId, KindInfo, Registry, ScalePaths, Served, Strategy, TableColumn, WrongField};
