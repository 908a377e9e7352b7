//! Taints of nodes and tolerations of pods: which keeps which away.
//!
//! Pure, and shared by whoever places pods and whoever evicts them. An empty operator means `Equal`, an empty
//! key or effect of a toleration means all; `Gt` and `Lt` match nothing, since upstream keeps them off by default.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// The effect that keeps new pods away.
pub const NO_SCHEDULE: &str = "NoSchedule";
/// The effect that keeps new pods away where there is another place.
pub const PREFER_NO_SCHEDULE: &str = "PreferNoSchedule";
/// The effect that keeps new pods away and makes running ones leave.
pub const NO_EXECUTE: &str = "NoExecute";

/// The taint of a node whose Ready condition is false.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// The taint of a node that has not been heard of.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// The taint of a node whose `spec.unschedulable` is set.
pub const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Whether a toleration covers a taint.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator) {
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        "Exists" => true,
        _ => false,
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// The first taint with one of these effects that none of the tolerations covers.
pub fn first_untolerated<'t>(
    taints: &'t [Taint],
    tolerations: &[Toleration],
    effects: &[&str],
) -> Option<&'t Taint> {
    taints.iter().find(|taint| {
        effects.contains(&taint.effect.as_str()) && !tolerations.iter().any(|t| tolerates(t, taint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (String, String, String, String) {
        let mut parts = text.split_whitespace();
        let mut next = || parts.next().unwrap_or("-").replace('-', "");
        (next(), next(), next(), next())
    }

    /// Rows of `taint: key value effect | toleration: key operator value effect | yes or no`; `-` is empty.
    fn check(table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let columns: Vec<&str> = row.split('|').map(str::trim).collect();
            let (key, value, effect, _) = parse(columns[0]);
            let taint = Taint { key, value: Some(value), effect, time_added: None };
            let (key, operator, value, effect) = parse(columns[1]);
            let toleration = Toleration {
                key: Some(key),
                operator: Some(operator),
                value: Some(value),
                effect: Some(effect),
                toleration_seconds: None,
            };
            assert_eq!(tolerates(&toleration, &taint), columns[2] == "yes", "{row}");
        }
    }

    #[test]
    fn tolerations_cover_taints() {
        check(
            "a x NoSchedule | a Equal x NoSchedule | yes
             a x NoSchedule | a - x NoSchedule | yes
             a x NoSchedule | a Equal x - | yes
             a x NoSchedule | a Equal y NoSchedule | no
             a x NoSchedule | b Equal x NoSchedule | no
             a x NoSchedule | a Equal x NoExecute | no
             a x NoSchedule | a Exists - NoSchedule | yes
             a x NoSchedule | - Exists - - | yes
             a x NoSchedule | - Exists - NoExecute | no
             a - NoExecute | a Equal - NoExecute | yes
             a - NoExecute | a Gt 1 NoExecute | no",
        );
    }
}
