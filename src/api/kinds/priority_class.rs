//! PriorityClass: how much a pod matters when there is not room for all.
//!
//! Owns its rules and the two classes that every cluster has; whoever starts a cluster creates those.

use jiff::Timestamp;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::age::since;
use super::canonical::{Canonical, canonical};
use super::fields::text;
use super::unchanged::validate_unchanged;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope};

/// The highest priority that a user may give.
const HIGHEST: i32 = 1_000_000_000;
/// The lowest of the priorities that are Kubernetes' own.
const SYSTEM: i32 = 2 * HIGHEST;
const SYSTEM_PREFIX: &str = "system-";
const POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];

/// The classes that every cluster has from its start, in the order in which they are made.
pub fn system_priority_classes() -> [PriorityClass; 2] {
    let class = |name: &str, value: i32, description: &str| PriorityClass {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        value: Some(value),
        description: Some(description.to_owned()),
        ..Default::default()
    };
    [
        class(
            "system-node-critical",
            SYSTEM + 1000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        class(
            "system-cluster-critical",
            SYSTEM,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}

impl Kind for PriorityClass {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["pc"];
    const HAS_STATUS: bool = false;
    const COLUMNS: &'static [Column] = &[
        Column { name: "Value", wide: false },
        Column { name: "Global-Default", wide: false },
        Column { name: "Age", wide: false },
        Column { name: "PreemptionPolicy", wide: false },
    ];

    fn validate_name(name: &str, prefix: bool) -> Vec<String> {
        check_name(is_dns1123_subdomain, name, prefix)
    }

    fn set_defaults(&mut self) {
        self.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".to_owned());
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        if text(&self.metadata.name).starts_with(SYSTEM_PREFIX) {
            if let Err(wrong) = is_known(self) {
                let detail = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {wrong}"
                );
                errors.forbidden(&FieldPath::new("metadata").child("name"), detail);
            }
        } else if value_of(self) > HIGHEST {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
            errors.forbidden(&FieldPath::new("value"), detail);
        }
        if let Some(policy) = &self.preemption_policy {
            let path = FieldPath::new("preemptionPolicy");
            match policy.as_str() {
                "" => errors.required(&path, ""),
                policy if !POLICIES.contains(&policy) => errors.not_supported(&path, policy, &POLICIES),
                _ => {}
            }
        }
    }

    fn validate_update(&self, old: &Self, errors: &mut FieldErrors) {
        if value_of(self) != value_of(old) {
            errors.forbidden(&FieldPath::new("value"), "may not be changed in an update.");
        }
        let path = FieldPath::new("preemptionPolicy");
        validate_unchanged(&self.preemption_policy, &old.preemption_policy, &path, errors);
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        // Upstream gives each its first generation, and never another.
        false
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            value_of(self).to_string(),
            self.global_default.unwrap_or(false).to_string(),
            since(self.metadata.creation_timestamp.as_ref(), now),
            text(&self.preemption_policy).to_owned(),
        ]
    }
}

fn value_of(class: &PriorityClass) -> i32 {
    class.value.unwrap_or(0)
}

/// Whether a class with a reserved name is one that every cluster has, unchanged.
fn is_known(class: &PriorityClass) -> Result<(), String> {
    let name = text(&class.metadata.name);
    let known = system_priority_classes();
    let Some(known) = known.iter().find(|known| text(&known.metadata.name) == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value_of(class) != value_of(known) {
        return Err(format!("value of {name} PriorityClass must be {}", value_of(known)));
    }
    if class.global_default.unwrap_or(false) {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}

canonical! {
    PriorityClass {
        drop: description, global_default;
        fill: value;
    }
}
