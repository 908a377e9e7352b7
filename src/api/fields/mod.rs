//! Who owns which fields of an object: field paths and sets, and the rules of server-side apply.
//!
//! ```text
//! object ─► extract (what it says)      ┐
//! old, new ─► compare (what differs)    ├─► ownership (apply, update) ─► ManagedFields
//! live, applied ─► merge (what becomes) ┘
//! ```
//!
//! Owns sets of fields in the form of `fieldsV1`, how objects of a [`crate::api::shape::Shape`] are taken apart, compared and
//! merged, and who owns what after a write. Does not know requests, stores or clocks.
//!
//! Invariant: what an object's managed fields name are fields of its kind, and each is named by whoever wrote it last
//! or applies it still.

mod compare;
mod extract;
mod intern;
mod items;
mod managed;
mod merge;
mod outline;
mod ownership;
mod path;
mod reset;
mod set;
mod spans;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, compare};
pub use extract::field_set;
pub use intern::Interner;
pub(crate) use items::go_bare;
pub use items::{Misfit, Misfits, check};
pub use managed::{Entry, ManagedFields, Operation, is_reset, manager_of_user_agent};
pub use merge::merge;
pub use outline::{Outline, OutlineKeys};
pub use ownership::{ApplyError, Conflict, LAST_APPLIED, Outcome, Writer, apply, fields_of_change, update};
pub use path::{Element, Literal, Step, show_path};
pub use reset::reset_fields;
pub use set::Set;
pub use spans::compare_bodies;
