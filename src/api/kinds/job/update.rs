//! What a change of a Job may touch: little, but for one that is suspended.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Affinity, Container, PodSpec, PodTemplateSpec};
use serde_json::{Value, json};

use super::{holds, is_indexed, policy};
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::IMMUTABLE;

/// Collects what is wrong with a change; `before` is the Job as it was.
pub(super) fn validate_change(new: &JobSpec, old: &JobSpec, before: &Job, errors: &mut FieldErrors) {
    let path = FieldPath::new("spec");
    validate_completions(new, old, &path.child("completions"), errors);
    let mut kept = |field: &str, same: bool, value: Value| {
        if !same {
            errors.invalid(&path.child(field), value, IMMUTABLE);
        }
    };
    kept("selector", new.selector == old.selector, json!(new.selector));
    validate_template_change(new, old, before, &mut kept);
    kept("completionMode", new.completion_mode == old.completion_mode, json!(new.completion_mode));
    let failure = new.pod_failure_policy.as_ref().map(policy::shown_failure);
    kept("podFailurePolicy", new.pod_failure_policy == old.pod_failure_policy, json!(failure));
    let limit = new.backoff_limit_per_index;
    kept("backoffLimitPerIndex", limit == old.backoff_limit_per_index, json!(limit));
    kept("managedBy", new.managed_by == old.managed_by, json!(new.managed_by));
    let success = new.success_policy.as_ref().map(policy::shown_success);
    kept("successPolicy", new.success_policy == old.success_policy, json!(success));
}

/// An indexed Job may grow and shrink, all its pods at once; others may not.
fn validate_completions(new: &JobSpec, old: &JobSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if new.completions == old.completions {
        return;
    }
    if !is_indexed(new) {
        errors.invalid(path, json!(new.completions), IMMUTABLE);
    } else if let Some(completions) = new.completions
        && new.parallelism != Some(completions)
    {
        errors.invalid(path, completions, "can only be modified in tandem with spec.parallelism");
    }
}

/// While a Job is suspended and has no pods, it may be told where its pods go and what they get.
fn validate_template_change(
    new: &JobSpec,
    old: &JobSpec,
    before: &Job,
    kept: &mut impl FnMut(&str, bool, Value),
) {
    let suspended = old.suspend == Some(true);
    let open = suspended
        && before.status.as_ref().is_none_or(|status| {
            (status.start_time.is_none() || holds(status, "Suspended")) && status.active.unwrap_or(0) == 0
        });
    if !open {
        kept("template", new.template == old.template, json!(new.template));
        return;
    }
    let mut allowed = old.template.clone();
    take_over_scheduling(&mut allowed, &new.template);
    let (Some(pod), Some(allowed)) = (&new.template.spec, &mut allowed.spec) else { return };
    take_over_resources(allowed, pod);
    kept("template.spec", pod == allowed, json!(pod));
}

fn take_over_scheduling(allowed: &mut PodTemplateSpec, new: &PodTemplateSpec) {
    allowed.metadata.clone_from(&new.metadata);
    let (Some(pod), Some(new)) = (&mut allowed.spec, &new.spec) else { return };
    match (&new.affinity, &mut pod.affinity) {
        (None, Some(old)) => {
            old.node_affinity = None;
            if *old == Affinity::default() {
                pod.affinity = None;
            }
        }
        (Some(new), old) => {
            old.get_or_insert_default().node_affinity.clone_from(&new.node_affinity);
        }
        (None, None) => {}
    }
    pod.node_selector.clone_from(&new.node_selector);
    pod.tolerations.clone_from(&new.tolerations);
    pod.scheduling_gates.clone_from(&new.scheduling_gates);
}

fn take_over_resources(allowed: &mut PodSpec, new: &PodSpec) {
    let take_over = |allowed: &mut [Container], new: &[Container]| {
        if allowed.len() == new.len() {
            for (allowed, new) in allowed.iter_mut().zip(new).filter(|(old, new)| old.name == new.name) {
                allowed.resources.clone_from(&new.resources);
            }
        }
    };
    take_over(&mut allowed.containers, &new.containers);
    if let (Some(allowed), Some(new)) = (&mut allowed.init_containers, &new.init_containers) {
        take_over(allowed, new);
    }
}
