//! Fields that an update may not change: the check, and how the value is shown.
//!
//! Knows no kind.

use serde::Serialize;
use serde_json::json;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;

/// A field that keeps the value that the object was created with.
pub(crate) fn validate_unchanged<T: PartialEq + Serialize>(
    new: &T,
    old: &T,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if new != old {
        errors.invalid(path, json!(new), IMMUTABLE);
    }
}
