//! How many replicas a Deployment may have too many or too few: `maxSurge` and `maxUnavailable` resolved.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::kinds::versions::Specified;

/// How many replicas are asked for; 1 where nothing is said.
pub(super) fn desired(deployment: &Deployment) -> i32 {
    deployment.spec().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// How a rollout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Replicas are replaced step by step. What no strategy is given for does this.
    Rolling,
    /// All old replicas go before the first new one comes.
    Recreate,
}

pub(super) fn strategy(deployment: &Deployment) -> Strategy {
    let strategy = deployment.spec().and_then(|spec| spec.strategy.as_ref());
    match strategy.and_then(|strategy| strategy.type_.as_deref()) {
        Some("Recreate") => Strategy::Recreate,
        _ => Strategy::Rolling,
    }
}

/// Surge and unavailability of a rolling update, in replicas. Both are never zero.
fn resolved(deployment: &Deployment) -> (i32, i32) {
    let strategy = deployment.spec().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let desired = desired(deployment);
    let surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), desired, true);
    let unavailable = scaled(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), desired, false);
    // Percents may round to nothing; without either, the rollout would stand still.
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

/// A number, or a percentage of `total` rounded up or down; 0 for what is neither.
fn scaled(value: Option<&IntOrString>, total: i32, up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|number| number.parse::<i32>().ok()).unwrap_or(0);
            let hundredths = i64::from(percent) * i64::from(total);
            let whole = if up { (hundredths + 99).div_euclid(100) } else { hundredths.div_euclid(100) };
            i32::try_from(whole).unwrap_or(i32::MAX)
        }
    }
}

/// How many replicas there may be beyond the desired ones.
pub(super) fn max_surge(deployment: &Deployment) -> i32 {
    match strategy(deployment) {
        Strategy::Rolling => resolved(deployment).0,
        Strategy::Recreate => 0,
    }
}

/// How many of the desired replicas may be unavailable.
pub(super) fn max_unavailable(deployment: &Deployment) -> i32 {
    let desired = desired(deployment);
    if strategy(deployment) == Strategy::Recreate || desired == 0 {
        return 0;
    }
    resolved(deployment).1.min(desired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_round_surge_up_and_unavailability_down() {
        // desired, maxSurge, maxUnavailable: surge, unavailable
        let rows = [
            (2, "0%", "1%", 0, 1),
            (1, "0%", "1%", 0, 1),
            (2, "1%", "25%", 1, 0),
            (1, "1%", "25%", 1, 0),
            (2, "1%", "0%", 1, 0),
            (10, "25%", "25%", 3, 2),
            (4, "25%", "25%", 1, 1),
            (3, "25%", "25%", 1, 0),
            (1, "25%", "25%", 1, 0),
            (0, "25%", "25%", 0, 0),
            (10, "3", "2", 3, 2),
            (10, "0", "0", 0, 1),
            (3, "0", "5", 0, 3),
            (3, "5", "100%", 5, 3),
            (3, "150%", "50%", 5, 1),
            (3, "x", "10%", 0, 1),
        ];
        for (desired, surge, unavailable, expected_surge, expected_unavailable) in rows {
            let value =
                |text: &str| text.parse::<i32>().map_or_else(|_| format!("'{text}'"), |n| n.to_string());
            let deployment: Deployment = serde_yaml::from_str(&format!(
                "{{metadata: {{}}, spec: {{replicas: {desired}, selector: {{}}, template: {{}}, strategy: {{type: \
                 RollingUpdate, rollingUpdate: {{maxSurge: {}, maxUnavailable: {}}}}}}}}}",
                value(surge),
                value(unavailable)
            ))
            .unwrap();
            let found = (max_surge(&deployment), max_unavailable(&deployment));
            assert_eq!(found, (expected_surge, expected_unavailable), "{desired} {surge} {unavailable}");
        }
    }

    #[test]
    fn recreate_has_neither() {
        let text =
            "{metadata: {}, spec: {replicas: 5, selector: {}, template: {}, strategy: {type: Recreate}}}";
        let deployment: Deployment = serde_yaml::from_str(text).unwrap();
        assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), (0, 0));
    }
}
