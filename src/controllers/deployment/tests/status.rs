//! Tables of the status: counts, conditions, and when to look again.

use super::*;

/// Holds what the plan says in the status against what is expected: counts, unavailable and terminating pods,
/// conditions, the time of the next look.
fn check_status(rows: &[(&str, &str)]) {
    compare(rows, tell_status);
}

fn tell_status(fixture: &Fixture) -> String {
    let decision = fixture.plan();
    let old = fixture.found().shared();
    let mut told = Vec::new();
    for step in &decision.status.steps {
        let Step::UpdateStatus(object) = step else { panic!("{step:?}") };
        let new = object.as_any().downcast_ref::<Deployment>().unwrap();
        assert_eq!(new.spec, old.spec);
        let (was, is) = (old.status.clone().unwrap(), new.status.clone().unwrap());
        let counts = [is.replicas, is.updated_replicas, is.ready_replicas, is.available_replicas];
        let counts: Vec<_> = counts.iter().map(|count| count.unwrap_or(0).to_string()).collect();
        told.push(format!("{} {}", counts.join("/"), is.unavailable_replicas.unwrap_or(0)));
        told.push(is.terminating_replicas.map_or_else(|| "?".to_owned(), |count| count.to_string()));
        if was.collision_count != is.collision_count {
            told.push(format!("collisions {}", is.collision_count.unwrap()));
        }
        for condition in is.conditions.iter().flatten() {
            let reason = condition.reason.as_deref().unwrap();
            told.push(format!("{}={}:{reason}", &condition.type_name()[..1], &condition.state()[..1]));
        }
        for condition in was.conditions.iter().flatten() {
            if is.conditions.iter().flatten().all(|other| other.type_ != condition.type_) {
                told.push(format!("no {}", &condition.type_name()[..1]));
            }
        }
    }
    if let Some(wait) = decision.status.again {
        told.push(format!("again {}", wait.as_secs()));
    }
    told.join(" ")
}

#[test]
fn the_status_tells_counts_and_conditions() {
    check_status(&[
        ("3 surge=1", "0/0/0/0 3 0 P=T:NewReplicaSetCreated A=F:MinimumReplicasUnavailable again 601"),
        ("0 surge=1", "0/0/0/0 0 0 A=T:MinimumReplicasAvailable P=T:NewReplicaSetAvailable"),
        ("3 surge=1 deadline=2147483647", "0/0/0/0 3 0 A=F:MinimumReplicasUnavailable"),
        (
            "3 surge=1\nnew 3/0 rev=1 pods=0",
            "0/0/0/0 3 0 P=T:FoundNewReplicaSet A=F:MinimumReplicasUnavailable again 601",
        ),
        (
            "3 surge=1 progress=NewReplicaSetCreated@20\nnew 3/1 rev=1 terminating=2",
            "3/3/1/1 2 2 A=F:MinimumReplicasUnavailable P=T:ReplicaSetUpdated again 601",
        ),
        (
            "3 surge=1 unavailable=2 progress=NewReplicaSetCreated@20\nnew 3/1 rev=1",
            "3/3/1/1 2 0 A=T:MinimumReplicasAvailable P=T:ReplicaSetUpdated again 601",
        ),
        (
            "3 surge=1 progress=ReplicaSetUpdated@20\nnew 3/3 rev=1",
            "3/3/3/3 0 0 A=T:MinimumReplicasAvailable P=T:NewReplicaSetAvailable",
        ),
        // No progress: the deadline passes.
        (
            "3 surge=1 replicas=3 updated=3 progress=ReplicaSetUpdated@570\nnew 3/0 rev=1",
            "3/3/0/0 3 0 P=T:ReplicaSetUpdated A=F:MinimumReplicasUnavailable again 11",
        ),
        (
            "3 surge=1 replicas=3 updated=3 progress=ReplicaSetUpdated@580\nnew 3/0 rev=1",
            "3/3/0/0 3 0 P=T:ReplicaSetUpdated A=F:MinimumReplicasUnavailable again 1",
        ),
        (
            "3 surge=1 replicas=3 updated=3 progress=ReplicaSetUpdated@581\nnew 3/0 rev=1",
            "3/3/0/0 3 0 A=F:MinimumReplicasUnavailable P=F:ProgressDeadlineExceeded",
        ),
        (
            "3 surge=1 replicas=3 updated=3 progress=ProgressDeadlineExceeded@999 failed\nnew 3/0 rev=1",
            "3/3/0/0 3 0 P=F:ProgressDeadlineExceeded A=F:MinimumReplicasUnavailable",
        ),
        // Progress after all.
        (
            "3 surge=1 replicas=3 updated=3 progress=ProgressDeadlineExceeded@999 failed\nnew 3/1 rev=1",
            "3/3/1/1 2 0 A=F:MinimumReplicasUnavailable P=T:ReplicaSetUpdated again 601",
        ),
        // A rollout that is over does not time out, whatever happens to its pods.
        (
            "3 surge=1 replicas=3 updated=3 ready=3 available=3 progress=NewReplicaSetAvailable@999\nnew 3/1 rev=1",
            "3/3/1/1 2 0 P=T:NewReplicaSetAvailable A=F:MinimumReplicasUnavailable",
        ),
        // Pause and resume.
        (
            "3 surge=1 paused progress=NewReplicaSetAvailable@999\nnew 3/3 rev=1",
            "3/3/3/3 0 0 P=U:DeploymentPaused A=T:MinimumReplicasAvailable",
        ),
        (
            "3 surge=1 paused progress=ProgressDeadlineExceeded@999 failed\nnew 3/0 rev=1",
            "3/3/0/0 3 0 P=F:ProgressDeadlineExceeded A=F:MinimumReplicasUnavailable",
        ),
        (
            "3 surge=1 progress=DeploymentPaused@9999 replicas=3 updated=3\nnew 3/0 rev=1",
            "3/3/0/0 3 0 P=U:DeploymentResumed A=F:MinimumReplicasUnavailable again 601",
        ),
        ("3 surge=1 paused deadline=2147483647\nnew 3/3 rev=1", "3/3/3/3 0 0 A=T:MinimumReplicasAvailable"),
        // What keeps a set from making pods is told by the Deployment too.
        (
            "3 surge=1 progress=NewReplicaSetCreated@20\nnew 3/0 pods=0 rev=1 failure",
            "0/0/0/0 3 0 P=T:NewReplicaSetCreated A=F:MinimumReplicasUnavailable R=T:FailedCreate again 561",
        ),
        (
            "3 recreate progress=ReplicaSetUpdated@20 replicas=3 ready=3 available=3\na 3/3 rev=1",
            "3/0/3/3 0 0 P=T:ReplicaSetUpdated A=T:MinimumReplicasAvailable again 561",
        ),
    ]);
}
