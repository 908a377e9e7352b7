//! Rollouts for people and programs: how one stands, which revisions there are, and undo, pause, resume and
//! restart, with `kubectl rollout`'s sentences.
//!
//! Owns no state and takes no part in the rollout: it reads a view, or changes the Deployment's spec through the
//! door as any user would.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::deployment::{
    CHANGE_CAUSE, PROGRESSING, TEMPLATE_HASH, TIMED_OUT, is_copied, revision_of, same_template,
};
use crate::api::kinds::versions::{Specified, Told};
use crate::api::meta::whole_seconds;
use crate::api::{ObjectKey, StatusError};
use crate::apiserver::{Face, Server, WriteOptions};
use crate::limits::CONFLICT_RETRIES;
use crate::reconcile::View;
use crate::store::{Select, Stored};

/// The annotation of a template whose change makes all pods new.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// How a rollout stands. Printed, it is the sentence of `kubectl rollout status`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolloutStatus {
    /// The controller has not seen the newest spec yet.
    #[error("Waiting for deployment spec update to be observed...")]
    NotObserved,
    /// No progress for longer than `progressDeadlineSeconds`.
    #[error("deployment {name:?} exceeded its progress deadline")]
    TimedOut {
        /// The Deployment.
        name: String,
    },
    /// New replicas are missing.
    #[error(
        "Waiting for deployment {name:?} rollout to finish: {updated} out of {desired} new replicas have been \
         updated..."
    )]
    Updating {
        /// The Deployment.
        name: String,
        /// How many new replicas there are.
        updated: i32,
        /// How many there shall be.
        desired: i32,
    },
    /// Old replicas are left.
    #[error(
        "Waiting for deployment {name:?} rollout to finish: {old} old replicas are pending termination..."
    )]
    Ending {
        /// The Deployment.
        name: String,
        /// How many.
        old: i32,
    },
    /// New replicas do not serve yet.
    #[error(
        "Waiting for deployment {name:?} rollout to finish: {available} of {updated} updated replicas are \
         available..."
    )]
    Starting {
        /// The Deployment.
        name: String,
        /// How many are available.
        available: i32,
        /// How many new replicas there are.
        updated: i32,
    },
    /// Everything is new, and available.
    #[error("deployment {name:?} successfully rolled out")]
    Done {
        /// The Deployment.
        name: String,
    },
}

impl RolloutStatus {
    /// Whether the rollout is over and well.
    pub fn is_done(&self) -> bool {
        matches!(self, RolloutStatus::Done { .. })
    }

    /// Whether it is over and failed.
    pub fn is_failed(&self) -> bool {
        matches!(self, RolloutStatus::TimedOut { .. })
    }
}

/// How the rollout of a Deployment stands.
pub fn status(deployment: &Deployment) -> RolloutStatus {
    let name = deployment.metadata.name.clone().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    if deployment.metadata.generation.unwrap_or(0) > status.observed_generation.unwrap_or(0) {
        return RolloutStatus::NotObserved;
    }
    let timed_out = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.is(PROGRESSING) && condition.reason.as_deref() == Some(TIMED_OUT));
    if timed_out {
        return RolloutStatus::TimedOut { name };
    }
    let count = |count: Option<i32>| count.unwrap_or(0);
    let (updated, all) = (count(status.updated_replicas), count(status.replicas));
    let available = count(status.available_replicas);
    match deployment.spec().and_then(|spec| spec.replicas) {
        Some(desired) if updated < desired => RolloutStatus::Updating { name, updated, desired },
        _ if all > updated => RolloutStatus::Ending { name, old: all - updated },
        _ if available < updated => RolloutStatus::Starting { name, available, updated },
        _ => RolloutStatus::Done { name },
    }
}

/// Why a rollout could not be read or changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RolloutError {
    /// The door refused.
    #[error("{0}")]
    Refused(Box<StatusError>),
    /// There is no such revision.
    #[error("unable to find specified revision {0} in history")]
    NoRevision(i64),
    /// There is nothing to go back to.
    #[error("no rollout history found for deployment {0:?}")]
    NoHistory(String),
    /// A paused Deployment is not rolled back.
    #[error(
        "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
    )]
    UndoPaused,
    /// A paused Deployment is not restarted.
    #[error("can't restart paused deployment (run rollout resume first)")]
    RestartPaused,
    /// It is paused already.
    #[error("is already paused")]
    AlreadyPaused,
    /// It is not paused.
    #[error("is not paused")]
    NotPaused,
}

impl From<StatusError> for RolloutError {
    fn from(refused: StatusError) -> RolloutError {
        RolloutError::Refused(Box::new(refused))
    }
}

/// One revision of a Deployment.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Its number.
    pub number: i64,
    /// The ReplicaSet that keeps it.
    pub replica_set: ObjectKey,
    /// Why it was made, where somebody said so.
    pub change_cause: Option<String>,
    /// Its template, with the hash label.
    pub template: PodTemplateSpec,
}

/// The revisions of a Deployment, from old to new.
pub fn history(view: &View, key: &ObjectKey) -> Result<Vec<Revision>, RolloutError> {
    let deployment = find(view, key)?;
    let mut revisions: Vec<Revision> = owned(view, &deployment)
        .filter_map(|set| {
            Some(Revision {
                number: revision_of(&set.metadata)?,
                replica_set: set.key().clone(),
                change_cause: cause(&set.metadata),
                template: set.spec()?.template.clone().unwrap_or_default(),
            })
        })
        .collect();
    revisions.sort_by_key(|revision| revision.number);
    Ok(revisions)
}

fn cause(meta: &ObjectMeta) -> Option<String> {
    meta.annotations.as_ref()?.get(CHANGE_CAUSE).filter(|cause| !cause.is_empty()).cloned()
}

fn find(view: &View, key: &ObjectKey) -> Result<Stored<Deployment>, RolloutError> {
    let missing = || StatusError::not_found("apps", "deployments", key.name()).into();
    view.get::<Deployment>(key).ok_or_else(missing)
}

fn owned<'a>(view: &'a View, owner: &'a Stored<Deployment>) -> impl Iterator<Item = Stored<ReplicaSet>> + 'a {
    let sets = view.list::<ReplicaSet>(Select::Owner(owner.uid()));
    sets.filter(|set| set.header().controller().is_some_and(|controller| *controller.uid == *owner.uid()))
}

/// Rolls a Deployment back to a revision; `None` for the one before the newest. Answers whether that changed
/// anything: a template that is in use already is left alone.
///
/// Errors: no such Deployment or revision, or the Deployment is paused.
pub fn undo(server: &Arc<Server>, key: &ObjectKey, to_revision: Option<i64>) -> Result<bool, RolloutError> {
    let mut changed = false;
    change(server, key, |view, deployment| {
        let revision = pick(history(view, key)?, to_revision, key)?;
        if is_paused(deployment) {
            return Err(RolloutError::UndoPaused);
        }
        let spec = deployment.spec_mut();
        changed = !same_template(&spec.template, &revision.template);
        if !changed {
            return Ok(());
        }
        let mut template = revision.template;
        if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
            labels.remove(TEMPLATE_HASH);
        }
        spec.template = template;
        // The Deployment gets the revision's annotations back, or the revision would get the present ones.
        let annotations = deployment.metadata.annotations.get_or_insert_default();
        annotations.retain(|key, _| !is_copied(key));
        let set = view.get::<ReplicaSet>(&revision.replica_set);
        let theirs = set.and_then(|set| set.metadata.annotations.clone()).unwrap_or_default();
        annotations.extend(theirs.into_iter().filter(|(key, _)| is_copied(key)));
        Ok(())
    })?;
    Ok(changed)
}

/// The revision asked for; without a number, the last but one.
fn pick(mut history: Vec<Revision>, number: Option<i64>, key: &ObjectKey) -> Result<Revision, RolloutError> {
    match number.filter(|number| *number != 0) {
        Some(number) => {
            let at = history.iter().position(|revision| revision.number == number);
            at.map(|at| history.swap_remove(at)).ok_or(RolloutError::NoRevision(number))
        }
        None => {
            history.pop();
            history.pop().ok_or_else(|| RolloutError::NoHistory(key.name().to_owned()))
        }
    }
}

/// Pauses a Deployment: changes of its template wait.
pub fn pause(server: &Arc<Server>, key: &ObjectKey) -> Result<(), RolloutError> {
    set_paused(server, key, true, RolloutError::AlreadyPaused)
}

/// Resumes a paused Deployment.
pub fn resume(server: &Arc<Server>, key: &ObjectKey) -> Result<(), RolloutError> {
    set_paused(server, key, false, RolloutError::NotPaused)
}

fn set_paused(
    server: &Arc<Server>,
    key: &ObjectKey,
    paused: bool,
    otherwise: RolloutError,
) -> Result<(), RolloutError> {
    change(server, key, |_, deployment| {
        if is_paused(deployment) == paused {
            return Err(otherwise.clone());
        }
        deployment.spec_mut().paused = paused.then_some(true);
        Ok(())
    })
}

/// Replaces all pods of a Deployment, by its own strategy, with new ones of the same template.
pub fn restart(server: &Arc<Server>, key: &ObjectKey) -> Result<(), RolloutError> {
    let now = whole_seconds(server.world().clock.now()).to_string();
    change(server, key, |_, deployment| {
        if is_paused(deployment) {
            return Err(RolloutError::RestartPaused);
        }
        let template = &mut deployment.spec_mut().template;
        let annotations = template.metadata.get_or_insert_default().annotations.get_or_insert_default();
        annotations.insert(RESTARTED_AT.to_owned(), now.clone());
        Ok(())
    })
}

fn is_paused(deployment: &Deployment) -> bool {
    deployment.spec().and_then(|spec| spec.paused).unwrap_or(false)
}

/// Changes a Deployment, and again from its newest state when somebody else was faster.
fn change(
    server: &Arc<Server>,
    key: &ObjectKey,
    mut edit: impl FnMut(&View, &mut Deployment) -> Result<(), RolloutError>,
) -> Result<(), RolloutError> {
    let options = WriteOptions { field_manager: "rollout".to_owned(), ..WriteOptions::default() };
    let mut tries = CONFLICT_RETRIES;
    loop {
        let view = server.store().snapshot();
        let stored = find(&view, key)?;
        let mut deployment = stored.shared().as_ref().clone();
        edit(&view, &mut deployment)?;
        if deployment == *stored.shared() {
            return Ok(());
        }
        tries -= 1;
        match server.update(stored.header().kind, Face::Main, Box::new(deployment), &options) {
            Ok(_) => return Ok(()),
            Err(conflict) if conflict.is_conflict() && tries > 0 => {}
            Err(refused) => return Err(refused.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_told_in_kubectls_sentences() {
        let wait = "Waiting for deployment \"web\" rollout to finish:";
        // generation, desired; observed, replicas, updated, available, reason of Progressing
        let rows = [
            (2, 3, (1, 3, 3, 3, ""), "Waiting for deployment spec update to be observed...".to_owned()),
            (2, 3, (2, 3, 1, 3, ""), format!("{wait} 1 out of 3 new replicas have been updated...")),
            (2, 3, (2, 4, 3, 3, ""), format!("{wait} 1 old replicas are pending termination...")),
            (2, 3, (2, 3, 3, 1, ""), format!("{wait} 1 of 3 updated replicas are available...")),
            (2, 3, (2, 3, 3, 3, ""), "deployment \"web\" successfully rolled out".to_owned()),
            (1, 0, (1, 0, 0, 0, ""), "deployment \"web\" successfully rolled out".to_owned()),
            (2, 3, (2, 4, 1, 3, TIMED_OUT), "deployment \"web\" exceeded its progress deadline".to_owned()),
        ];
        for (generation, desired, (observed, replicas, updated, available, reason), expected) in rows {
            let deployment: Deployment = serde_yaml::from_str(&format!(
                "{{metadata: {{name: web, generation: {generation}}}, spec: {{replicas: {desired}, selector: {{}}, \
                 template: {{}}}}, status: {{observedGeneration: {observed}, replicas: {replicas}, \
                 updatedReplicas: {updated}, availableReplicas: {available}, conditions: [{{type: Progressing, \
                 status: 'True', reason: '{reason}'}}]}}}}"
            ))
            .unwrap();
            assert_eq!(status(&deployment).to_string(), expected);
        }
    }

    use crate::api::kinds;
    use crate::apiserver::{ServerConfig, ServiceRange};
    use crate::controllers::deployment::Deployments;
    use crate::reconcile::simulation::Simulation;
    use crate::reconcile::{Loop, Spawner};
    use crate::store::Memory;
    use std::time::Duration;

    fn key() -> ObjectKey {
        ObjectKey::new("default", "web")
    }

    /// A Deployment of no replicas with its controller: revisions come without pods.
    fn cluster() -> (Arc<Simulation>, Arc<Server>) {
        let simulation = Simulation::new(1);
        let server = Server::open(ServerConfig {
            registry: Arc::new(kinds::builtin()),
            backend: Arc::new(Memory::new()),
            world: simulation.world().clone(),
            admission: Vec::new(),
            services: ServiceRange::default(),
        });
        let spawner: Arc<dyn Spawner> = simulation.clone();
        Loop::start(Deployments::new(), &server, simulation.world(), &spawner);
        let create = |yaml: &str| {
            let value: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
            let kind = server.registry().find_word(value["kind"].as_str().unwrap()).unwrap();
            let object = server.registry().strategy(kind).decode_value(value).unwrap();
            server.create(kind, object, &WriteOptions::default()).unwrap();
        };
        create("{apiVersion: v1, kind: Namespace, metadata: {name: default}}");
        create(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, annotations: {kubernetes.io/change-cause: \
             first}}, spec: {replicas: 0, selector: {matchLabels: {app: web}}, strategy: {type: Recreate}, template: \
             {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: one}]}}}}",
        );
        simulation.run_for(Duration::from_secs(5));
        (simulation, server)
    }

    fn set_image(server: &Arc<Server>, image: &str) {
        change(server, &key(), |_, deployment| {
            let cause = (CHANGE_CAUSE.to_owned(), format!("image {image}"));
            deployment.metadata.annotations.get_or_insert_default().extend([cause]);
            let pod = deployment.spec_mut().template.spec.as_mut().unwrap();
            pod.containers[0].image = Some(image.to_owned());
            Ok(())
        })
        .unwrap();
    }

    /// The revisions as `number cause`, and the image in use.
    fn tell(server: &Arc<Server>) -> (String, String) {
        let view = server.store().snapshot();
        let history = history(&view, &key()).unwrap();
        let told: Vec<String> = history
            .iter()
            .map(|revision| {
                format!("{} {}", revision.number, revision.change_cause.as_deref().unwrap_or("-"))
            })
            .collect();
        let deployment = view.get::<Deployment>(&key()).unwrap();
        let template = &deployment.spec().unwrap().template;
        let image = template.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
        assert!(!template.metadata.as_ref().unwrap().labels.as_ref().unwrap().contains_key(TEMPLATE_HASH));
        (told.join(", "), image)
    }

    #[test]
    fn rollouts_are_undone_to_any_revision() {
        let (simulation, server) = cluster();
        let settle = || simulation.run_for(Duration::from_secs(5));
        assert_eq!(tell(&server), ("1 first".to_owned(), "one".to_owned()));
        assert_eq!(undo(&server, &key(), None), Err(RolloutError::NoHistory("web".to_owned())));
        for image in ["two", "three"] {
            set_image(&server, image);
            settle();
        }
        assert_eq!(tell(&server).0, "1 first, 2 image two, 3 image three");
        assert_eq!(undo(&server, &key(), None), Ok(true));
        settle();
        assert_eq!(tell(&server), ("1 first, 3 image three, 4 image two".to_owned(), "two".to_owned()));
        assert_eq!(undo(&server, &key(), Some(1)), Ok(true));
        settle();
        assert_eq!(tell(&server), ("3 image three, 4 image two, 5 first".to_owned(), "one".to_owned()));
        assert_eq!(undo(&server, &key(), Some(5)), Ok(false));
        let missing = undo(&server, &key(), Some(2)).unwrap_err();
        assert_eq!(missing.to_string(), "unable to find specified revision 2 in history");
        let nobody = ObjectKey::new("default", "nobody");
        let nobody = undo(&server, &nobody, None).unwrap_err();
        assert_eq!(nobody.to_string(), "deployments.apps \"nobody\" not found");
    }

    #[test]
    fn rollouts_are_paused_resumed_and_restarted() {
        let (simulation, server) = cluster();
        let settle = || simulation.run_for(Duration::from_secs(5));
        assert_eq!(resume(&server, &key()), Err(RolloutError::NotPaused));
        pause(&server, &key()).unwrap();
        assert_eq!(pause(&server, &key()), Err(RolloutError::AlreadyPaused));
        assert_eq!(restart(&server, &key()), Err(RolloutError::RestartPaused));
        set_image(&server, "two");
        settle();
        assert_eq!(tell(&server).0, "1 first", "a change of the template waits");
        assert_eq!(undo(&server, &key(), Some(1)), Err(RolloutError::UndoPaused));
        resume(&server, &key()).unwrap();
        settle();
        assert_eq!(tell(&server).0.matches(',').count(), 1);
        restart(&server, &key()).unwrap();
        settle();
        assert_eq!(tell(&server).0.matches(',').count(), 2);
        let view = server.store().snapshot();
        let deployment = view.get::<Deployment>(&key()).unwrap();
        let template = deployment.spec().unwrap().template.metadata.clone().unwrap();
        let at = &template.annotations.unwrap()[RESTARTED_AT];
        assert!(at.starts_with("2026-01-01T00:00:") && at.ends_with('Z'), "{at}");
    }
}
