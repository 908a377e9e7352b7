//! The built-in kinds, one file each: defaults, validation, what an update may change, when the generation
//! moves, index terms, printer columns. Adding a kind is adding one file and one line here.

use super::registry::Registry;

/// A registry with every built-in kind.
pub fn builtin() -> Registry {
    Registry::empty()
}
