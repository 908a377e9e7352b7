//! One step of a rollout: the new set up, old sets down.
//!
//! Counts what is available so that no order in which ReplicaSets act on their sizes can break the bounds:
//! an old set that has still to come down counts with what it will keep.

use k8s_openapi::api::apps::v1::Deployment;

use super::fences::{Strategy, desired, max_surge, max_unavailable, strategy};
use super::sets::{Set, Sets};

/// The size that the new set should have, given its size and that of all sets together.
pub(super) fn new_size(deployment: &Deployment, size: i32, total: i32) -> i32 {
    let desired = desired(deployment);
    match strategy(deployment) {
        Strategy::Recreate => desired,
        Strategy::Rolling => {
            let room = desired.saturating_add(max_surge(deployment)).saturating_sub(total);
            if room <= 0 { size } else { size + room.min(desired - size) }
        }
    }
}

/// Brings the new set towards its size. Answers whether it changed.
pub(super) fn scale_new(deployment: &Deployment, sets: &mut Sets) -> bool {
    let Some(at) = sets.new else { return false };
    let (size, desired) = (sets.list[at].size(), desired(deployment));
    if size == desired {
        return false;
    }
    let wanted = if size > desired { desired } else { new_size(deployment, size, sets.sum(Set::size)) };
    sets.scale(at, wanted, deployment, false)
}

/// Brings old sets down as far as availability allows. Answers whether one changed.
pub(super) fn scale_old(deployment: &Deployment, sets: &mut Sets) -> bool {
    let Some(new) = sets.newest() else { return false };
    let least = desired(deployment) - max_unavailable(deployment);
    let not_available = new.size() - new.available_kept();
    let old: Vec<usize> = sets.old().into_iter().filter(|at| sets.list[*at].size() > 0).collect();
    let most = sets.sum(Set::size) - least - not_available;
    if most <= 0 || old.is_empty() {
        return false;
    }
    // What does not serve goes first: it can be lost at once, and would keep the rollout waiting.
    let mut left = most;
    let mut changed = false;
    for &at in &old {
        let down = sets.list[at].not_ready().min(left);
        if down > 0 {
            left -= down;
            changed |= take(deployment, sets, at, down);
        }
    }
    let mut spare = (sets.sum(Set::available_kept) - least).min(left);
    for &at in &old {
        let down = sets.list[at].size().min(spare);
        if down > 0 {
            spare -= down;
            changed |= take(deployment, sets, at, down);
        }
    }
    changed
}

fn take(deployment: &Deployment, sets: &mut Sets, at: usize, down: i32) -> bool {
    let size = sets.list[at].size();
    sets.scale(at, size - down, deployment, false)
}

/// Brings every old set to nothing. Answers whether one changed.
pub(super) fn end_old(deployment: &Deployment, sets: &mut Sets) -> bool {
    let mut changed = false;
    for at in sets.old() {
        changed |= sets.scale(at, 0, deployment, false);
    }
    changed
}
