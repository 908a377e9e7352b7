//! Scaling a Deployment while several of its sets have pods: each set gets its share, so that a rollout in the
//! middle is made neither faster nor riskier by it.

use std::cmp::Reverse;

use k8s_openapi::api::apps::v1::Deployment;

use super::fences::{Strategy, desired, max_surge, strategy};
use super::revision::{desired_then, most_then};
use super::sets::{Set, Sets};

/// Whether the Deployment was given another size since a set with pods was last scaled.
pub(super) fn is_due(deployment: &Deployment, sets: &Sets) -> bool {
    let active: Vec<&Set> = sets.list.iter().filter(|set| set.size() > 0).collect();
    if active.len() > 1 && strategy(deployment) == Strategy::Recreate {
        // There is nothing to share out: the old ones have to go anyway.
        return false;
    }
    active.into_iter().filter_map(|set| desired_then(set.get())).any(|then| then != desired(deployment))
}

/// Gives the sets their sizes.
pub(super) fn scale(deployment: &Deployment, sets: &mut Sets) {
    let desired = desired(deployment);
    if let Some(only) = active_or_latest(sets) {
        // The notes are renewed even where the size fits: a set that somebody scaled by hand would otherwise
        // look like a Deployment that was just scaled, for ever.
        let note = sets.list[only].size() > 0;
        sets.scale(only, desired, deployment, note);
        return;
    }
    if sets.newest().is_some_and(|new| is_saturated(deployment, new)) {
        for at in sets.old() {
            sets.scale(at, 0, deployment, false);
        }
        return;
    }
    if strategy(deployment) == Strategy::Rolling {
        share(deployment, sets);
    }
}

/// The only set with pods, or the latest if none has any; `None` if several have.
fn active_or_latest(sets: &Sets) -> Option<usize> {
    let active: Vec<usize> = (0..sets.list.len()).filter(|at| sets.list[*at].size() > 0).collect();
    match active[..] {
        [] => sets.new.or_else(|| sets.old().last().copied()),
        [only] => Some(only),
        _ => None,
    }
}

/// Whether the new set has all the replicas that are asked for, and they are available.
fn is_saturated(deployment: &Deployment, new: &Set) -> bool {
    let desired = desired(deployment);
    new.size() == desired && new.available() == desired && desired_then(new.get()) == Some(desired)
}

/// Shares what is to be added or taken among the sets with pods, in proportion to their sizes; what is left
/// over goes to the largest.
fn share(deployment: &Deployment, sets: &mut Sets) {
    let mut active: Vec<usize> = (0..sets.list.len()).filter(|at| sets.list[*at].size() > 0).collect();
    let total = sets.sum(|set| set.size().max(0));
    let allowed = match desired(deployment) {
        0 => 0,
        desired => desired.saturating_add(max_surge(deployment)),
    };
    let difference = allowed - total;
    // From large to small; of equal ones, the newer grows first and the older shrinks first.
    if difference > 0 {
        active.sort_by_cached_key(|at| Reverse((sets.list[*at].size(), sets.list[*at].age_order())));
    } else {
        active.sort_by_cached_key(|at| (Reverse(sets.list[*at].size()), sets.list[*at].age_order()));
    }
    let mut given = 0;
    let mut sizes: Vec<i32> = Vec::new();
    for &at in &active {
        let part = proportion(deployment, &sets.list[at], difference, given);
        given += part;
        sizes.push(sets.list[at].size() + part);
    }
    if let Some(largest) = sizes.first_mut() {
        *largest = (*largest + difference - given).max(0);
    }
    for (at, size) in active.into_iter().zip(sizes) {
        sets.scale(at, size, deployment, true);
    }
}

/// The share of one set in a difference, of which some is given already.
fn proportion(deployment: &Deployment, set: &Set, difference: i32, given: i32) -> i32 {
    let left = difference - given;
    if difference == 0 || left == 0 {
        return 0;
    }
    let share = fraction(deployment, set);
    if difference > 0 { share.min(left) } else { share.max(left) }
}

fn fraction(deployment: &Deployment, set: &Set) -> i32 {
    let (size, desired) = (set.size(), desired(deployment));
    if desired == 0 {
        return -size;
    }
    let now = desired.saturating_add(max_surge(deployment));
    // Where the note is missing or useless, the pods that there are must do.
    let then = most_then(set.get()).filter(|then| *then != 0);
    let then = then.or_else(|| deployment.status.as_ref()?.replicas).unwrap_or(0);
    if then == 0 {
        return 0;
    }
    let share = f64::from(size) * f64::from(now) / f64::from(then);
    (share.round() as i32).saturating_sub(size)
}
