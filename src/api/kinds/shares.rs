//! A number of pods, or a share of them: `2` or `25%`, as rollouts and budgets say it.
//!
//! Owns its checks; what a share comes to is for those who know the whole.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::NEGATIVE;
use crate::api::names::is_percent;

/// A number that is not negative, or a percentage.
pub(crate) fn validate_share(share: &IntOrString, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match share {
        IntOrString::Int(number) if *number < 0 => errors.invalid(path, *number, NEGATIVE),
        IntOrString::Int(_) => {}
        IntOrString::String(text) => errors.invalid_each(path, text, is_percent(text)),
    }
}

/// A percentage is not above the whole.
pub(crate) fn validate_within_whole(share: &IntOrString, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if percent_of(share).is_some_and(|percent| percent > 100) {
        errors.invalid(path, json!(share), "must not be greater than 100%");
    }
}

/// The number, or the number before the sign of a percentage; what is neither is 0.
pub(crate) fn number_of(share: &IntOrString) -> i64 {
    match share {
        IntOrString::Int(number) => (*number).into(),
        IntOrString::String(word) => percent_of(share).unwrap_or_else(|| word.parse().unwrap_or(0)),
    }
}

fn percent_of(share: &IntOrString) -> Option<i64> {
    let IntOrString::String(text) = share else { return None };
    // A share with more digits than fit is far above every bound.
    is_percent(text).is_empty().then(|| text.trim_end_matches('%').parse().unwrap_or(i64::MAX))
}
