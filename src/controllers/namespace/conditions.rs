//! What a namespace's status says about its end, in upstream's words.
//!
//! Pure. Invariant: every condition is always there, `False` where all is well.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NamespaceCondition, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What was found in a namespace that ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Findings {
    /// `resource.group` and how many are left.
    pub resources: BTreeMap<String, usize>,
    /// Finalizers and how many objects they hold.
    pub finalizers: BTreeMap<String, usize>,
    /// What went wrong, one sentence each.
    pub failures: Vec<String>,
}

struct Words {
    type_: &'static str,
    good: (&'static str, &'static str),
    bad: &'static str,
}

const CONDITIONS: [Words; 5] = [
    Words {
        type_: "NamespaceDeletionDiscoveryFailure",
        good: ("ResourcesDiscovered", "All resources successfully discovered"),
        bad: "DiscoveryFailed",
    },
    Words {
        type_: "NamespaceDeletionGroupVersionParsingFailure",
        good: ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        bad: "GroupVersionParsingFailed",
    },
    Words {
        type_: "NamespaceDeletionContentFailure",
        good: ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        bad: "ContentDeletionFailed",
    },
    Words {
        type_: "NamespaceContentRemaining",
        good: ("ContentRemoved", "All content successfully removed"),
        bad: "SomeResourcesRemain",
    },
    Words {
        type_: "NamespaceFinalizersRemaining",
        good: ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        bad: "SomeFinalizersRemain",
    },
];

impl Findings {
    /// Whether nothing is left and nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.failures.is_empty()
    }

    /// What is wrong, if it is, for each condition.
    fn wrong(&self, type_: &str) -> Option<String> {
        let join = |parts: &mut dyn Iterator<Item = String>| parts.collect::<Vec<_>>().join(", ");
        match type_ {
            "NamespaceDeletionContentFailure" if !self.failures.is_empty() => Some(format!(
                "Failed to delete all resource types, {} remaining: {}",
                self.failures.len(),
                self.failures.join(", ")
            )),
            "NamespaceContentRemaining" if !self.resources.is_empty() => {
                let parts = &mut self
                    .resources
                    .iter()
                    .map(|(name, count)| format!("{name} has {count} resource instances"));
                Some(format!("Some resources are remaining: {}", join(parts)))
            }
            "NamespaceFinalizersRemaining" if !self.finalizers.is_empty() => {
                let parts = &mut self
                    .finalizers
                    .iter()
                    .map(|(name, count)| format!("{name} in {count} resource instances"));
                Some(format!("Some content in the namespace has finalizers remaining: {}", join(parts)))
            }
            _ => None,
        }
    }

    /// Writes the conditions; answers whether that changed anything.
    pub fn write(&self, status: &mut NamespaceStatus, now: Time) -> bool {
        let conditions = status.conditions.get_or_insert_default();
        let mut changed = false;
        for words in &CONDITIONS {
            let wrong = self.wrong(words.type_);
            let status = if wrong.is_some() { "True" } else { "False" };
            let reason = if wrong.is_some() { words.bad } else { words.good.0 };
            let message = wrong.unwrap_or_else(|| words.good.1.to_owned());
            let mut new = NamespaceCondition {
                type_: words.type_.to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message),
                last_transition_time: Some(now.clone()),
            };
            match conditions.iter_mut().find(|old| old.type_ == words.type_) {
                Some(old) => {
                    if old.status == new.status {
                        new.last_transition_time.clone_from(&old.last_transition_time);
                    }
                    changed |= *old != new;
                    *old = new;
                }
                None => {
                    changed = true;
                    conditions.push(new);
                }
            }
        }
        changed
    }
}
