//! What controllers ask of a pod: is it active, ready, available; which one goes first when there are too many.
//!
//! Pure, and about one pod at a time but for the order of deletion. Invariant: that order is total, and equal
//! pods do not exist in it.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The annotation by which users say which pods of a set to give up first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The phase; empty where there is none yet.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether all its containers have ended for good.
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether it counts as one of its owner's replicas: neither ended nor being deleted.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Whether it is being deleted and has not ended yet.
pub fn is_terminating(pod: &Pod) -> bool {
    !is_terminal(pod) && pod.metadata.deletion_timestamp.is_some()
}

fn ready_condition(pod: &Pod) -> Option<&PodCondition> {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.find(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether it is ready to serve.
pub fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some()
}

/// Since when it is ready; `None` if it is not, or does not say since when.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    Some(ready_condition(pod)?.last_transition_time.as_ref()?.0)
}

/// Whether it has been ready for `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    is_ready(pod)
        && (min_ready_seconds <= 0
            || ready_since(pod).is_some_and(|since| available_at(since, min_ready_seconds) <= now))
}

/// How long a ready pod will need until it is available; `None` if it is, or if time alone will not do it.
pub fn available_in(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> Option<Duration> {
    if min_ready_seconds <= 0 {
        return None;
    }
    let at = available_at(ready_since(pod)?, min_ready_seconds);
    Duration::try_from(at.duration_since(now)).ok().filter(|wait| !wait.is_zero())
}

fn available_at(since: Timestamp, min_ready_seconds: i32) -> Timestamp {
    since.checked_add(SignedDuration::from_secs(i64::from(min_ready_seconds))).unwrap_or(Timestamp::MAX)
}

/// What the user says that losing this pod costs; 0 where nothing valid is said.
pub fn deletion_cost(pod: &Pod) -> i32 {
    let Some(text) = pod.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST)) else {
        return 0;
    };
    // No plus sign and no leading zeros, as upstream has it.
    let valid = text == "0" || text.starts_with('-') || text.starts_with(|c| matches!(c, '1'..='9'));
    if valid { text.parse().unwrap_or(0) } else { 0 }
}

/// The most restarts of one of its containers, and of one of its sidecars.
pub fn restarts(pod: &Pod) -> (i32, i32) {
    let Some(status) = &pod.status else { return (0, 0) };
    let regular = status.container_statuses.iter().flatten().map(|container| container.restart_count).max();
    let is_sidecar = |name: &str| {
        let mut init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
        init.any(|container| container.name == name && container.restart_policy.as_deref() == Some("Always"))
    };
    let init = status.init_container_statuses.iter().flatten();
    let sidecars = init.filter(|container| is_sidecar(&container.name)).map(|c| c.restart_count).max();
    (regular.unwrap_or(0), sidecars.unwrap_or(0))
}

/// The place of a pod among those of its set when some must go: the least goes first.
pub type DeletionRank = (bool, u8, bool, i32, Reverse<usize>, i64, Reverse<(i32, i32)>, i64, String);

/// Ranks a pod for deletion, as upstream orders them: without a node before with one, pending before unknown
/// before running, not ready before ready, cheap before dear, many of the owner's on its node (`neighbours`)
/// before few, ready for a short time before long, many restarts before few, young before old.
///
/// Times count by their magnitude (powers of two), so that not always the very youngest goes. Where upstream
/// compares two pods of one magnitude by uid at once, restarts and age are asked first here: its way is not an
/// order (a before b before c before a), and both leave such pairs to chance.
pub fn deletion_rank(pod: &Pod, neighbours: usize, now: Timestamp) -> DeletionRank {
    let has_node =
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|n| !n.is_empty());
    let phase = match phase(pod) {
        "Running" => 2,
        "Unknown" => 1,
        _ => 0,
    };
    let ready = is_ready(pod);
    let ready_for = if ready { magnitude(ready_since(pod), now) } else { 0 };
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (
        has_node,
        phase,
        ready,
        deletion_cost(pod),
        Reverse(neighbours),
        ready_for,
        Reverse(restarts(pod)),
        magnitude(created, now),
        pod.metadata.uid.clone().unwrap_or_default(),
    )
}

/// The power of two of the nanoseconds that have passed: -1 for none, -2 where the time is not known.
fn magnitude(since: Option<Timestamp>, now: Timestamp) -> i64 {
    let Some(since) = since else { return -2 };
    let passed = now.duration_since(since).as_nanos();
    if passed <= 0 { -1 } else { i64::from(passed.ilog2()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(yaml: &str) -> Pod {
        serde_yaml::from_str(yaml).unwrap()
    }

    const NOW: &str = "2026-01-01T01:00:00Z";

    /// Ranks pods given one a line and tells their names, the first to go first.
    fn order(lines: &str) -> String {
        let now = NOW.parse().unwrap();
        let mut ranked: Vec<_> = lines
            .trim()
            .lines()
            .map(|line| {
                let word = |name: &str| {
                    let prefix = format!("{name}=");
                    line.split_whitespace().find_map(|w| w.strip_prefix(prefix.as_str()))
                };
                let name = line.split_whitespace().next().unwrap();
                let ready = word("ready").map_or_else(String::new, |at| {
                    format!("conditions: [{{type: Ready, status: 'True', lastTransitionTime: '2026-01-01T{at}Z'}}]")
                });
                let pod = pod(&format!(
                    "metadata: {{name: {name}, uid: {name}, creationTimestamp: '2026-01-01T{}Z', annotations: \
                     {{controller.kubernetes.io/pod-deletion-cost: '{}'}}}}\n\
                     spec: {{nodeName: '{}', containers: []}}\n\
                     status: {{phase: {}, containerStatuses: [{{name: c, image: '', imageID: '', ready: true, \
                     restartCount: {}}}], {ready}}}",
                    word("created").unwrap_or("00:00:00"),
                    word("cost").unwrap_or("0"),
                    word("node").unwrap_or("n"),
                    word("phase").unwrap_or("Running"),
                    word("restarts").unwrap_or("0"),
                ));
                let neighbours = word("rank").map_or(0, |rank| rank.parse().unwrap());
                (deletion_rank(&pod, neighbours, now), name)
            })
            .collect();
        ranked.sort();
        ranked.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pods_go_in_upstreams_order() {
        let rows = [
            ("a node=n\nb node=", "b a"),
            ("a phase=Running\nb phase=Unknown\nc phase=Pending", "c b a"),
            ("a ready=00:10:00\nb", "b a"),
            ("a node= phase=Running\nb node=n phase=Pending", "a b"),
            ("a cost=10\nb cost=-5\nc", "b c a"),
            ("a cost=+10\nb cost=008\nc cost=-1", "c a b"),
            ("a cost=10\nb cost=0 ready=00:10:00", "a b"),
            ("a rank=1\nb rank=3\nc rank=2", "b c a"),
            ("a rank=1 cost=1\nb rank=3 cost=2", "a b"),
            ("a ready=00:10:00\nb ready=00:59:00\nc ready=00:59:59", "c b a"),
            ("a ready=00:59:00 restarts=9\nb ready=00:59:59", "b a"),
            ("a restarts=1\nb restarts=5\nc", "b a c"),
            ("a created=00:00:01\nb created=00:59:50\nc created=00:30:00", "b c a"),
            // The same magnitude of age: the uid decides.
            ("b created=00:00:01\na created=00:00:02", "a b"),
            ("b created=02:00:00\na created=01:00:00", "a b"),
        ];
        for (lines, expected) in rows {
            assert_eq!(order(lines), expected, "{lines}");
        }
    }

    #[test]
    fn a_pod_is_available_once_it_has_been_ready_for_long_enough() {
        let ready =
            pod("{metadata: {}, status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: \
             '2026-01-01T00:59:30Z'}]}}");
        let now: Timestamp = NOW.parse().unwrap();
        let seconds = Duration::from_secs;
        for (min_ready, available, wait) in
            [(0, true, None), (29, true, None), (30, true, None), (31, false, Some(seconds(1)))]
        {
            assert_eq!(is_available(&ready, min_ready, now), available, "{min_ready}");
            assert_eq!(available_in(&ready, min_ready, now), wait, "{min_ready}");
        }
        let unready = pod("{metadata: {}, status: {conditions: [{type: Ready, status: 'False'}]}}");
        assert!(!is_available(&unready, 0, now) && available_in(&unready, 10, now).is_none());
        let without_time = pod("{metadata: {}, status: {conditions: [{type: Ready, status: 'True'}]}}");
        assert!(is_available(&without_time, 0, now) && !is_available(&without_time, 1, now));
    }

    #[test]
    fn sidecars_restarts_are_told_apart() {
        let counted = pod(
            "{metadata: {}, spec: {containers: [], initContainers: [{name: s, restartPolicy: Always}, {name: i}]}, \
             status: {containerStatuses: [{name: c, image: '', imageID: '', ready: true, restartCount: 3}], \
             initContainerStatuses: [{name: s, image: '', imageID: '', ready: true, restartCount: 2}, {name: i, \
             image: '', imageID: '', ready: true, restartCount: 9}]}}",
        );
        assert_eq!(restarts(&counted), (3, 2));
    }
}
