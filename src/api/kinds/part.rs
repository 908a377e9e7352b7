//! Parts of objects that are optional in one version of the published types and required in another: the
//! `spec` of a Deployment and a ReplicaSet is optional in 1.36 and required in 1.37.
//!
//! Code that must build with both reads such a part through [`Part`], and names the type that it expects:
//! `let spec: Option<&DeploymentSpec> = deployment.spec.part();`.

/// A part of an object, whether its field is optional or not.
pub trait Part<T> {
    /// The part, where it is there.
    fn part(&self) -> Option<&T>;
    /// The part, which is made where it is not there.
    fn part_mut(&mut self) -> &mut T;
}

impl<T> Part<T> for T {
    fn part(&self) -> Option<&T> {
        Some(self)
    }

    fn part_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: Default> Part<T> for Option<T> {
    fn part(&self) -> Option<&T> {
        self.as_ref()
    }

    fn part_mut(&mut self) -> &mut T {
        self.get_or_insert_default()
    }
}
