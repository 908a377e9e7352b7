//! The `binding` subresource of pods: names the node of a pod, once.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Server;
use super::encode;
use crate::api::{ObjectKey, StatusError};
use crate::limits::CONFLICT_RETRIES;
use crate::store::{Expect, Proposal, Record, Refused};

impl Server {
    /// Binds a pod to a node, and says in its conditions that it is scheduled.
    ///
    /// Errors: 404 without the pod; 409 when it has another uid, is bound already or is being deleted.
    pub fn bind(&self, key: &ObjectKey, uid: &str, node: &str) -> Result<Arc<Record>, StatusError> {
        let Some(kind) = self.registry().id_of::<Pod>() else {
            return Err(StatusError::not_found("", "pods", key.name()));
        };
        let strategy = self.strategy(kind);
        let conflict = |why: &str| StatusError::conflict("", "pods/binding", key.name(), why);
        for _ in 0..CONFLICT_RETRIES {
            let current = self.get(kind, key)?;
            let mut pod: Pod = current.decode();
            if !uid.is_empty() && *current.header.uid != *uid {
                let found = &current.header.uid;
                return Err(conflict(&format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
                )));
            }
            if current.header.deleting {
                return Err(conflict(&format!(
                    "pod {} is being deleted, cannot be assigned to a host",
                    key.name()
                )));
            }
            let spec = pod.spec.get_or_insert_default();
            if let Some(taken) = spec.node_name.as_deref().filter(|taken| !taken.is_empty()) {
                return Err(conflict(&format!("pod {} is already assigned to node \"{taken}\"", key.name())));
            }
            if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
                return Err(conflict(&format!("pod {} has non-empty .spec.schedulingGates", key.name())));
            }
            spec.node_name = Some(node.to_owned());
            set_scheduled(&mut pod, Time(self.now()));
            let proposal = Proposal {
                kind,
                key: key.clone(),
                expect: Expect::At(current.header.revision),
                // Upstream does not track a binding either.
                put: Some(encode::draft(&*strategy, Box::new(pod), current.header.managed.clone())?),
            };
            match self.store.commit(proposal) {
                Ok(record) => return Ok(record),
                Err(Refused::Conflict { .. }) => {}
                Err(failed) => return Err(super::write::failed(failed)),
            }
        }
        Err(conflict("too many others changed it at the same time"))
    }
}

fn set_scheduled(pod: &mut Pod, now: Time) {
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    let scheduled = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(now),
        ..PodCondition::default()
    };
    match conditions.iter_mut().find(|condition| condition.type_ == "PodScheduled") {
        Some(found) if found.status == "True" => {}
        Some(found) => *found = scheduled,
        None => conditions.push(scheduled),
    }
}
