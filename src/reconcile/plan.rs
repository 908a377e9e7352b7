//! What a reconciler decided: a list of steps, plain data, applied in order by the loop.
//!
//! Owns the steps and nothing of how they are carried out. Invariant: a plan is made from one view; applying it
//! to that view's state and planning again gives an empty plan.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;

use super::Action;
use crate::api::{Kind, Object, ObjectKey};
use crate::apiserver::DeleteOptions;

/// One write.
#[derive(Debug)]
pub enum Step {
    /// Creates an object; its metadata names namespace and name (or generateName).
    Create(Box<dyn Object>),
    /// Writes the whole object; its resourceVersion must be the one read.
    Update(Box<dyn Object>),
    /// Writes the status alone; the same.
    UpdateStatus(Box<dyn Object>),
    /// Writes a Namespace's `spec.finalizers` alone.
    Finalize(Box<dyn Object>),
    /// Deletes an object. One that is gone already is fine.
    Delete {
        /// `apiVersion` and `kind`.
        kind: (String, String),
        /// Which.
        key: ObjectKey,
        /// How; the uid precondition should be set.
        options: DeleteOptions,
    },
    /// Binds a pod to a node.
    Bind {
        /// The pod.
        pod: ObjectKey,
        /// Its uid, so that a namesake is not bound.
        uid: String,
        /// The node.
        node: String,
    },
    /// Tells users what happened. One like it within the last hour is counted up instead. Failures are
    /// logged and do not stop the plan.
    Event {
        /// The object it is about.
        regarding: Box<ObjectReference>,
        /// Normal or warning.
        event_type: EventType,
        /// One word: `ScalingReplicaSet`.
        reason: String,
        /// One sentence.
        message: String,
    },
}

/// Whether an event is worth worrying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// As it should not.
    Warning,
}

/// What a reconciler decided for a key.
#[derive(Debug, Default)]
pub struct Plan {
    /// The writes, in order. The first that fails ends the plan.
    pub steps: Vec<Step>,
    /// When to look again.
    pub again: Option<Duration>,
}

impl Plan {
    /// A plan with nothing to do.
    pub fn new() -> Plan {
        Plan::default()
    }

    /// Creates an object.
    pub fn create<K: Kind>(&mut self, object: K) {
        self.steps.push(Step::Create(Box::new(object)));
    }

    /// Writes an object.
    pub fn update<K: Kind>(&mut self, object: K) {
        self.steps.push(Step::Update(Box::new(object)));
    }

    /// Writes an object's status.
    pub fn update_status<K: Kind>(&mut self, object: K) {
        self.steps.push(Step::UpdateStatus(Box::new(object)));
    }

    /// Deletes an object in the background, if it still has this uid.
    pub fn delete<K: Kind>(&mut self, key: &ObjectKey, uid: &str) {
        self.delete_with::<K>(key, DeleteOptions::default().of_uid(uid));
    }

    /// Deletes an object as the options say.
    pub fn delete_with<K: Kind>(&mut self, key: &ObjectKey, options: DeleteOptions) {
        let kind = (K::API_VERSION.to_owned(), K::KIND.to_owned());
        self.steps.push(Step::Delete { kind, key: key.clone(), options });
    }

    /// Tells users what happened to an object.
    pub fn event<K: Kind>(&mut self, regarding: &K, event_type: EventType, reason: &str, message: String) {
        let meta = regarding.metadata();
        let reference = ObjectReference {
            api_version: Some(K::API_VERSION.to_owned()),
            kind: Some(K::KIND.to_owned()),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            field_path: None,
        };
        self.event_on(reference, event_type, reason, message);
    }

    /// The same about a part of an object, which the reference's `fieldPath` names.
    pub fn event_on(
        &mut self,
        regarding: ObjectReference,
        event_type: EventType,
        reason: &str,
        message: String,
    ) {
        let regarding = Box::new(regarding);
        self.steps.push(Step::Event { regarding, event_type, reason: reason.to_owned(), message });
    }

    /// Asks to be called again after this long, or sooner if that was asked already.
    pub fn look_again(&mut self, after: Duration) {
        self.again = Some(self.again.map_or(after, |earlier| earlier.min(after)));
    }

    /// The action that the plan amounts to.
    pub fn action(&self) -> Action {
        self.again.map_or(Action::Done, Action::After)
    }
}
