//! The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};

use super::fences::{desired, max_unavailable};
use super::sets::{Set, Sets};
use crate::api::kinds::versions::{Part, Specified, Told};
use crate::api::meta::time_now_meta;

pub(super) const AVAILABLE: &str = "Available";
pub(crate) const PROGRESSING: &str = "Progressing";
pub(super) const REPLICA_FAILURE: &str = "ReplicaFailure";

const SET_UPDATED: &str = "ReplicaSetUpdated";
pub(super) const SET_NOT_CREATED: &str = "ReplicaSetCreateError";
pub(super) const SET_CREATED: &str = "NewReplicaSetCreated";
pub(super) const SET_FOUND: &str = "FoundNewReplicaSet";
const SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// The reason of a rollout that made no progress for too long.
pub(crate) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";

/// How long a rollout may stand still, in seconds, if that is bounded at all.
pub(super) fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}

/// The condition of a type.
pub(super) fn condition<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.is(type_))
}

fn reason(condition: &DeploymentCondition) -> &str {
    condition.reason.as_deref().unwrap_or_default()
}

fn new_condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> DeploymentCondition {
    DeploymentCondition {
        type_: Part::of(type_.to_owned()),
        status: Part::of(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(time_now_meta(now)),
        last_update_time: Some(time_now_meta(now)),
    }
}

/// Sets a condition. One with the same status and reason stays as it is; one with the same status keeps the
/// time of its transition.
fn set(status: &mut DeploymentStatus, mut new: DeploymentCondition) {
    if let Some(old) = condition(status, new.type_name()) {
        if old.status == new.status && old.reason == new.reason {
            return;
        }
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time.clone();
        }
    }
    remove(status, new.type_name());
    status.conditions.get_or_insert_default().push(new);
}

fn remove(status: &mut DeploymentStatus, type_: &str) {
    if let Some(list) = &mut status.conditions {
        list.retain(|condition| !condition.is(type_));
    }
}

/// Sets the condition Progressing in the Deployment at hand.
pub(super) fn set_progressing(
    deployment: &mut Deployment,
    state: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let status = deployment.status.get_or_insert_default();
    set(status, new_condition(PROGRESSING, state, reason, message, now));
}

/// Notes that the Deployment was paused or resumed, so that the pause does not count as a lack of progress.
pub(super) fn note_pause(deployment: &mut Deployment, now: Timestamp) {
    if deadline(deployment).is_none() {
        return;
    }
    let known = deployment.status.as_ref().and_then(|status| condition(status, PROGRESSING)).map(reason);
    if known == Some(TIMED_OUT) {
        return;
    }
    match (is_paused(deployment), known == Some(PAUSED)) {
        (true, false) => {
            set_progressing(deployment, "Unknown", PAUSED, "Deployment is paused".to_owned(), now)
        }
        (false, true) => {
            set_progressing(deployment, "Unknown", RESUMED, "Deployment is resumed".to_owned(), now)
        }
        _ => {}
    }
}

pub(super) fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec().and_then(|spec| spec.paused).unwrap_or(false)
}

/// The status without a word about progress.
pub(super) fn counted(deployment: &Deployment, sets: &Sets, now: Timestamp) -> DeploymentStatus {
    let old = deployment.status.clone().unwrap_or_default();
    let available = sets.sum(Set::available);
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: Some(sets.sum(Set::replicas)),
        updated_replicas: Some(sets.newest().map_or(0, Set::replicas)),
        ready_replicas: Some(sets.sum(Set::ready)),
        available_replicas: Some(available),
        unavailable_replicas: Some((sets.sum(Set::size) - available).max(0)),
        terminating_replicas: terminating(sets),
        collision_count: old.collision_count,
        conditions: old.conditions,
    };
    let (state, reason, message) = if available >= desired(deployment) - max_unavailable(deployment) {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut status, new_condition(AVAILABLE, state, reason, message.to_owned(), now));
    status
}

/// How many pods are on their way out; `None` if a set does not tell.
fn terminating(sets: &Sets) -> Option<i32> {
    let of = |set: &ReplicaSet| {
        let status = set.status.clone().unwrap_or_default();
        let seen = status.observed_generation.unwrap_or(0) != 0;
        if seen { status.terminating_replicas } else { Some(status.terminating_replicas.unwrap_or(0)) }
    };
    sets.list.iter().try_fold(0, |sum: i32, set| Some(sum.saturating_add(of(set.get())?)))
}

/// The status in the course of a rollout.
pub(super) fn of_rollout(deployment: &Deployment, sets: &Sets, now: Timestamp) -> DeploymentStatus {
    let mut status = counted(deployment, sets, now);
    match deadline(deployment) {
        None => remove(&mut status, PROGRESSING),
        Some(seconds) => note_progress(deployment, sets, seconds, &mut status, now),
    }
    let newest_first = sets.newest().into_iter().chain(&sets.list);
    let mut failures = newest_first.flat_map(|set| {
        let status = set.get().status.as_ref();
        status.into_iter().flat_map(|status| status.conditions.iter().flatten())
    });
    match failures.find(|condition| condition.is(REPLICA_FAILURE)) {
        None => remove(&mut status, REPLICA_FAILURE),
        Some(failure) => {
            let failure = DeploymentCondition {
                type_: failure.type_.clone(),
                status: failure.status.clone(),
                reason: failure.reason.clone(),
                message: failure.message.clone(),
                last_transition_time: failure.last_transition_time.clone(),
                last_update_time: failure.last_transition_time.clone(),
            };
            set(&mut status, failure);
        }
    }
    status
}

fn note_progress(
    deployment: &Deployment,
    sets: &Sets,
    seconds: i32,
    status: &mut DeploymentStatus,
    now: Timestamp,
) {
    let current = condition(status, PROGRESSING).cloned();
    let done_before = current.as_ref().is_some_and(|condition| reason(condition) == SET_AVAILABLE)
        && status.replicas == status.updated_replicas;
    if done_before {
        return;
    }
    let subject = match sets.newest() {
        Some(new) => format!("ReplicaSet \"{}\"", new.name()),
        None => format!("Deployment \"{}\"", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if is_complete(deployment, status) {
        let message = format!("{subject} has successfully progressed.");
        set(status, new_condition(PROGRESSING, "True", SET_AVAILABLE, message, now));
    } else if makes_progress(deployment, status) {
        let message = format!("{subject} is progressing.");
        let mut progress = new_condition(PROGRESSING, "True", SET_UPDATED, message, now);
        if let Some(current) = current {
            // Written anew each time, since the time of the last progress is what the deadline counts from.
            if current.state() == "True" {
                progress.last_transition_time = current.last_transition_time;
            }
            remove(status, PROGRESSING);
        }
        set(status, progress);
    } else if current.is_some_and(|condition| has_timed_out(&condition, seconds, now)) {
        let message = format!("{subject} has timed out progressing.");
        set(status, new_condition(PROGRESSING, "False", TIMED_OUT, message, now));
    }
}

/// Whether all replicas that are asked for are of the new revision and available, and no others are left.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let desired = desired(deployment);
    let all = |count: Option<i32>| count.unwrap_or(0) == desired;
    all(status.updated_replicas)
        && all(status.replicas)
        && all(status.available_replicas)
        && status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
}

/// Whether the new status shows progress over that of the Deployment.
fn makes_progress(deployment: &Deployment, new: &DeploymentStatus) -> bool {
    let none = DeploymentStatus::default();
    let old = deployment.status.as_ref().unwrap_or(&none);
    let count = |count: Option<i32>| count.unwrap_or(0);
    let left = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(new.updated_replicas) > count(old.updated_replicas)
        || left(new) < left(old)
        || count(new.ready_replicas) > count(old.ready_replicas)
        || count(new.available_replicas) > count(old.available_replicas)
}

fn has_timed_out(progressing: &DeploymentCondition, seconds: i32, now: Timestamp) -> bool {
    match reason(progressing) {
        SET_AVAILABLE => false,
        TIMED_OUT => true,
        _ => overdue_at(progressing, seconds).is_some_and(|at| at < now),
    }
}

fn overdue_at(progressing: &DeploymentCondition, seconds: i32) -> Option<Timestamp> {
    let from = progressing.last_update_time.as_ref()?.0;
    from.checked_add(SignedDuration::from_secs(i64::from(seconds))).ok()
}

/// When to look again, lest a rollout stands still without anybody noticing.
pub(super) fn next_check(
    deployment: &Deployment,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let seconds = deadline(deployment)?;
    let progressing = condition(status, PROGRESSING)?;
    if is_complete(deployment, status) || matches!(reason(progressing), TIMED_OUT | SET_AVAILABLE) {
        return None;
    }
    let left = overdue_at(progressing, seconds)?.duration_since(now);
    // A moment later than due, so that it is surely over then.
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1))
}

/// The status as it is stored: no zeros where Kubernetes leaves them out.
pub(super) fn normal(mut status: DeploymentStatus) -> DeploymentStatus {
    let counts = [
        &mut status.replicas,
        &mut status.updated_replicas,
        &mut status.ready_replicas,
        &mut status.available_replicas,
        &mut status.unavailable_replicas,
    ];
    for count in counts {
        *count = count.filter(|count| *count != 0);
    }
    status.observed_generation = status.observed_generation.filter(|generation| *generation != 0);
    status.conditions = status.conditions.filter(|list| !list.is_empty());
    status
}
