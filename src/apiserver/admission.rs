//! Admission: what may change or refuse a write between defaulting and validation, as a chain.
//!
//! Owns the trait that hosts implement and the built-in links: a namespace must exist and not be ending, and a
//! pod gets its service account. Links see the object as it will be stored.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Pod};

use crate::api::{Object, ObjectKey, Reason, Scope, StatusError, Strategy};
use crate::store::Snapshot;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of an object or its status.
    Update,
    /// A deletion.
    Delete,
}

/// One write on its way through the chain.
pub struct Attempt<'a> {
    /// What is being done.
    pub operation: Operation,
    /// The kind's rules and names.
    pub strategy: &'a dyn Strategy,
    /// Which object.
    pub key: &'a ObjectKey,
    /// The object before, for updates and deletions.
    pub old: Option<&'a dyn Object>,
    /// The state in which the write is judged.
    pub snapshot: &'a Snapshot,
    /// Nothing will be committed.
    pub dry_run: bool,
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} {}", self.operation, self.strategy.info().kind, self.key)
    }
}

/// A link of the chain. Both halves default to letting everything pass.
///
/// # Example
///
/// ```
/// use coracle::api::{Object, StatusError};
/// use coracle::apiserver::{Admission, Attempt, Operation};
///
/// /// Refuses objects without a team.
/// #[derive(Debug)]
/// struct Team;
///
/// impl Admission for Team {
///     fn validate(&self, attempt: &Attempt<'_>, object: Option<&dyn Object>) -> Result<(), StatusError> {
///         let labels = object.and_then(|object| object.meta().labels.as_ref());
///         if attempt.operation == Operation::Create && labels.is_none_or(|l| !l.contains_key("team")) {
///             let info = attempt.strategy.info();
///             let name = attempt.key.name();
///             return Err(StatusError::forbidden(&info.group, &info.plural, name, "label team is missing"));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Admission: Send + Sync + fmt::Debug {
    /// May change the object. Called in the order of the chain.
    fn mutate(&self, attempt: &Attempt<'_>, object: &mut dyn Object) -> Result<(), StatusError> {
        let _ = (attempt, object);
        Ok(())
    }

    /// May refuse. Called after every `mutate` and after validation; `object` is `None` for deletions.
    fn validate(&self, attempt: &Attempt<'_>, object: Option<&dyn Object>) -> Result<(), StatusError> {
        let _ = (attempt, object);
        Ok(())
    }
}

/// The built-in links.
pub(super) fn builtin() -> Vec<Arc<dyn Admission>> {
    vec![Arc::new(NamespaceLifecycle), Arc::new(ServiceAccountName)]
}

/// Refuses new objects in namespaces that are missing or ending, and the deletion of those that every cluster
/// has.
#[derive(Debug)]
struct NamespaceLifecycle;

const KEPT_NAMESPACES: [&str; 3] = ["default", "kube-system", "kube-public"];

impl Admission for NamespaceLifecycle {
    fn mutate(&self, attempt: &Attempt<'_>, _object: &mut dyn Object) -> Result<(), StatusError> {
        let info = attempt.strategy.info();
        if attempt.operation != Operation::Create || info.scope == Scope::Cluster {
            return Ok(());
        }
        let namespace = attempt.key.namespace();
        let Some(kind) = attempt.snapshot.registry().id_of::<Namespace>() else { return Ok(()) };
        let Some(found) = attempt.snapshot.get_record(kind, namespace) else {
            return Err(StatusError::not_found("", "namespaces", namespace));
        };
        if found.header.deleting {
            let why = format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            );
            return Err(StatusError::forbidden(&info.group, &info.plural, attempt.key.name(), &why));
        }
        Ok(())
    }

    fn validate(&self, attempt: &Attempt<'_>, _object: Option<&dyn Object>) -> Result<(), StatusError> {
        let info = attempt.strategy.info();
        let is_namespace = info.group.is_empty() && info.kind == "Namespace";
        if attempt.operation == Operation::Delete
            && is_namespace
            && KEPT_NAMESPACES.contains(&attempt.key.name())
        {
            let why = "this namespace may not be deleted";
            return Err(StatusError::forbidden("", "namespaces", attempt.key.name(), why));
        }
        Ok(())
    }
}

/// Gives a pod without a service account the namespace's `default`, and refuses one whose account is missing.
///
/// Mirror pods of static pods are left alone, as upstream leaves them.
#[derive(Debug)]
struct ServiceAccountName;

/// The annotation that marks a pod as the shadow of a static one.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

impl Admission for ServiceAccountName {
    fn mutate(&self, attempt: &Attempt<'_>, object: &mut dyn Object) -> Result<(), StatusError> {
        if attempt.operation != Operation::Create {
            return Ok(());
        }
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
        if pod.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(MIRROR_POD)) {
            return Ok(());
        }
        let Some(spec) = &mut pod.spec else { return Ok(()) };
        if spec.service_account_name.as_deref().unwrap_or_default().is_empty() {
            spec.service_account_name = Some("default".to_owned());
        }
        let account = spec.service_account_name.clone().unwrap_or_default();
        spec.service_account = Some(account.clone());
        // The namespace's own `default` appears moments after the namespace; every other one must be there.
        let key = ObjectKey::new(attempt.key.namespace(), &account);
        let found = attempt.snapshot.get::<k8s_openapi::api::core::v1::ServiceAccount>(&key).is_some();
        if !found && account != "default" {
            let mut refused = StatusError::forbidden(
                "",
                "pods",
                attempt.key.name(),
                &format!(
                    "error looking up service account {}/{account}: serviceaccount \"{account}\" not found",
                    attempt.key.namespace()
                ),
            );
            refused.reason = Reason::Forbidden;
            return Err(refused);
        }
        Ok(())
    }
}
