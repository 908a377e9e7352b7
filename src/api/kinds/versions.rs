//! The one place that knows how the published types of Kubernetes 1.36 and 1.37 differ where we use them.
//!
//! The host chooses the version, so the rest of the code reads and makes these parts through the traits here, and
//! names neither version. What differs: the `spec` of Deployment and ReplicaSet is optional in 1.36 and required
//! in 1.37; `type` and `status` of their conditions are required in 1.36 and optional in 1.37. Fields that only
//! one version has are not read at all: where a struct that may grow is made or taken apart, `..` covers them.
//!
//! Invariant: what is served is the same, whichever version is chosen.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetCondition, DaemonSetSpec, Deployment, DeploymentCondition, DeploymentSpec,
    ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, StatefulSet, StatefulSetCondition, StatefulSetSpec,
};

/// A field that holds a `T` in one version of the types and an `Option<T>` in the other.
pub(crate) trait Part<T> {
    /// The field's value, with a part in it.
    fn of(part: T) -> Self;
    /// The part, where it is there.
    fn part(&self) -> Option<&T>;
    /// The part, which is made where it is not there.
    fn part_mut(&mut self) -> &mut T;
}

impl<T> Part<T> for T {
    fn of(part: T) -> Self {
        part
    }

    fn part(&self) -> Option<&T> {
        Some(self)
    }

    fn part_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: Default> Part<T> for Option<T> {
    fn of(part: T) -> Self {
        Some(part)
    }

    fn part(&self) -> Option<&T> {
        self.as_ref()
    }

    fn part_mut(&mut self) -> &mut T {
        self.get_or_insert_default()
    }
}

/// A kind whose `spec` is a [`Part`].
pub(crate) trait Specified {
    /// What stands in `spec`.
    type Spec;
    /// The spec, where there is one.
    fn spec(&self) -> Option<&Self::Spec>;
    /// The spec, which is made where there is none.
    fn spec_mut(&mut self) -> &mut Self::Spec;
}

/// A condition whose `type` and `status` are [`Part`]s.
pub(crate) trait Told {
    /// Its type; empty where nothing is said.
    fn type_name(&self) -> &str;
    /// Its status; empty where nothing is said.
    fn state(&self) -> &str;

    /// Whether it is the condition of this type.
    fn is(&self, type_: &str) -> bool {
        self.type_name() == type_
    }
}

macro_rules! specified {
    ($($kind:ident: $spec:ident),+ $(,)?) => {$(
        impl Specified for $kind {
            type Spec = $spec;

            fn spec(&self) -> Option<&$spec> {
                self.spec.part()
            }

            fn spec_mut(&mut self) -> &mut $spec {
                self.spec.part_mut()
            }
        }
    )+};
}

macro_rules! told {
    ($($condition:ident),+ $(,)?) => {$(
        impl Told for $condition {
            fn type_name(&self) -> &str {
                self.type_.part().map_or("", String::as_str)
            }

            fn state(&self) -> &str {
                self.status.part().map_or("", String::as_str)
            }
        }
    )+};
}

specified!(
    DaemonSet: DaemonSetSpec,
    Deployment: DeploymentSpec,
    ReplicaSet: ReplicaSetSpec,
    StatefulSet: StatefulSetSpec,
);
told!(DaemonSetCondition, DeploymentCondition, ReplicaSetCondition, StatefulSetCondition);
