//! What containers and pods ask for of a node, and what they may have at the most.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodResourceClaim, PodSpec, ResourceClaim, ResourceRequirements};
use serde_json::json;

use super::containers::is_sidecar;
use crate::api::error::{FieldErrors, FieldPath, Problem};
use crate::api::kinds::fields::{list, text, validate_dns_label};
use crate::api::kinds::resources::{
    ResourceList, is_extended, is_for_containers, is_huge_page, is_native, is_overcommit_allowed,
    validate_amount, validate_resource,
};
use crate::api::names::{check_name, is_dns1123_subdomain};
use crate::api::quantity::Amount;

/// Which names are allowed.
#[derive(Clone, Copy)]
enum For {
    Container,
    Pod,
}

pub(super) fn validate_container(
    container: &Container,
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let Some(resources) = &container.resources {
        validate_requirements(resources, For::Container, path, errors);
        validate_claim_names(list(&resources.claims), spec, &path.child("claims"), errors);
    }
}

/// What a runtime takes on top for itself; upstream checks it as limits.
pub(crate) fn validate_limits(limits: &ResourceList, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let resources = ResourceRequirements { limits: Some(limits.clone()), ..Default::default() };
    validate_requirements(&resources, For::Container, path, errors);
}

fn validate_requirements(
    resources: &ResourceRequirements,
    of: For,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let (mut plain, mut huge) = (false, false);
    for (name, quantity) in resources.limits.iter().flatten() {
        let path = limits_path.key(name);
        validate_resource_name(name, of, &path, errors);
        if let Some(amount) = validate_amount(name, quantity, &path, errors) {
            validate_huge_page(name, amount, &path, errors);
        }
        plain |= matches!(name.as_str(), "cpu" | "memory");
        huge |= is_huge_page(name);
    }
    for (name, quantity) in resources.requests.iter().flatten() {
        let path = requests_path.key(name);
        validate_resource_name(name, of, &path, errors);
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
        if limit.is_none() && !is_overcommit_allowed(name) {
            errors.required(&limits_path, "Limit must be set for non overcommitable resources");
        }
        if let Some(amount) = validate_amount(name, quantity, &path, errors) {
            if let Some(limit) = limit.and_then(|limit| Amount::parse(&limit.0).ok()) {
                validate_within(name, amount, limit, &requests_path, errors);
            }
            validate_huge_page(name, amount, &path, errors);
        }
        plain |= matches!(name.as_str(), "cpu" | "memory");
        huge |= is_huge_page(name);
    }
    if huge && !plain {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}

fn validate_within(
    name: &str,
    request: Amount,
    limit: Amount,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let relation = match is_overcommit_allowed(name) {
        false if request != limit => "equal to",
        true if request > limit => "less than or equal to",
        _ => return,
    };
    errors.invalid(path, request.to_string(), format!("must be {relation} {name} limit of {limit}"));
}

/// The name of a resource that a container may ask for.
pub(crate) fn validate_container_resource(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    validate_resource_name(name, For::Container, path, errors);
}

fn validate_resource_name(name: &str, of: For, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let valid = validate_resource(name, path, errors);
    let has_domain = name.contains('/');
    match of {
        For::Container if !has_domain => {
            if !is_for_containers(name) {
                errors.invalid(path, name, "must be a standard resource for containers");
            }
        }
        For::Container => {
            if !is_native(name) && !is_extended(name) {
                errors.invalid(path, name, "doesn't follow extended resource name standard");
            }
        }
        For::Pod if valid => {
            if !is_pod_level(name) {
                errors.not_supported(path, name, &["cpu", "hugepages-", "memory"]);
            }
        }
        For::Pod => {}
    }
}

/// Whether a pod as a whole can ask for the resource.
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge_page(name)
}

fn validate_huge_page(name: &str, amount: Amount, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(size) = name.strip_prefix("hugepages-") else { return };
    let divisible = Amount::parse(size).is_ok_and(|size| {
        size.signum() > 0 && size.is_whole() && amount.value().checked_rem(size.value()) == Some(0)
    });
    if !divisible {
        let detail = format!("{amount} is not positive integer multiple of {name}");
        errors.invalid(path, amount.to_string(), detail);
    }
}

/// The claims of devices that a pod has.
pub(super) fn validate_claims(claims: &[PodResourceClaim], path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    for (at, claim) in claims.iter().enumerate() {
        let path = path.index(at);
        if claim.name.is_empty() {
            errors.required(&path.child("name"), "");
        } else if !names.insert(claim.name.as_str()) {
            errors.duplicate(&path.child("name"), claim.name.as_str());
        } else {
            validate_dns_label(&claim.name, &path.child("name"), errors);
        }
        let (direct, template) = (&claim.resource_claim_name, &claim.resource_claim_template_name);
        match (direct, template) {
            (Some(_), Some(_)) => {
                let detail =
                    "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.invalid(&path, json!(claim), detail);
            }
            (None, None) => {
                let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.invalid(&path, json!(claim), detail);
            }
            _ => {}
        }
        for (field, name) in [("resourceClaimName", direct), ("resourceClaimTemplateName", template)] {
            if let Some(name) = name {
                let wrong = check_name(is_dns1123_subdomain, name, false);
                errors.invalid_each(&path.child(field), name, wrong);
            }
        }
    }
}

/// The claims of the pod that one container uses.
fn validate_claim_names(
    claims: &[ResourceClaim],
    spec: &PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (at, claim) in claims.iter().enumerate() {
        let path = path.index(at);
        if claim.name.is_empty() {
            errors.required(&path, "");
            continue;
        }
        let request = text(&claim.request);
        if !request.is_empty() {
            validate_dns_label(request, &path.child("request"), errors);
        }
        let clashes = |other: &ResourceClaim| {
            let earlier = text(&other.request);
            other.name == claim.name && (earlier.is_empty() || request.is_empty() || earlier == request)
        };
        if let Some(other) = claims[..at].iter().find(|other| clashes(other)) {
            let whole = text(&other.request).is_empty() || request.is_empty();
            let key = if whole { claim.name.clone() } else { format!("{}/{request}", claim.name) };
            errors.duplicate(&path, key);
        }
        let known: BTreeSet<&str> =
            list(&spec.resource_claims).iter().map(|claim| claim.name.as_str()).collect();
        if !known.contains(claim.name.as_str()) {
            let names = known.into_iter().collect::<Vec<_>>().join(", ");
            let which = if names.is_empty() { " which is empty".to_owned() } else { format!(": {names}") };
            let detail = format!("must be one of the names in pod.spec.resourceClaims{which}");
            errors.push(Problem::NotFound, &path, claim.name.as_str().into(), detail);
        }
    }
}

/// What the pod as a whole asks for, held against its containers.
pub(super) fn validate_pod_resources(spec: &PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(resources) = &spec.resources else { return };
    let path = path.child("resources");
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        errors.forbidden(&path, "may not be set for a windows pod");
        return;
    }
    if resources.claims.is_some() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    validate_requirements(resources, For::Pod, &path, errors);
    let amount_of = |amounts: &Option<ResourceList>, name: &str| {
        let amount = amounts.as_ref().and_then(|amounts| amounts.get(name));
        amount.and_then(|amount| Amount::parse(&amount.0).ok())
    };
    for (name, total) in aggregate(spec, |resources| resources.requests.as_ref()) {
        if let Some(own) = amount_of(&resources.requests, &name).filter(|own| total > *own) {
            let detail = format!("must be greater than or equal to aggregate container requests of {total}");
            errors.invalid(&path.child("requests").key(&name), own.to_string(), detail);
        }
    }
    for (name, total) in aggregate(spec, |resources| resources.limits.as_ref()) {
        let own = amount_of(&resources.limits, &name).filter(|own| is_huge_page(&name) && total > *own);
        if let Some(own) = own {
            let detail = format!("must be greater than or equal to aggregate container limits of {total}");
            errors.invalid(&path.child("limits").key(&name), own.to_string(), detail);
        }
    }
    for (at, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in limits.into_iter().flatten() {
            let Some(own) = amount_of(&resources.limits, name) else { continue };
            if Amount::parse(&limit.0).is_ok_and(|limit| limit > own) {
                let containers = path.child("containers");
                let container = containers.index(at);
                let detail = format!("must be less than or equal to pod limits of {own}");
                errors.invalid(&container.key(name).child("limits"), limit.0.as_str(), detail);
            }
        }
    }
}

/// What all containers need together: those that run beside each other added, and the most that an init
/// container needs beside the sidecars that it finds.
pub(super) fn aggregate(
    spec: &PodSpec,
    of: fn(&ResourceRequirements) -> Option<&ResourceList>,
) -> BTreeMap<String, Amount> {
    let amounts = |container: &Container| -> Vec<(String, Amount)> {
        let list = container.resources.as_ref().and_then(of).into_iter().flatten();
        let parsed = list.filter_map(|(name, quantity)| {
            Amount::parse(&quantity.0).ok().map(|amount| (name.clone(), amount))
        });
        parsed.collect()
    };
    let add = |totals: &mut BTreeMap<String, Amount>, more: Vec<(String, Amount)>| {
        for (name, amount) in more {
            *totals.entry(name).or_default() += amount;
        }
    };
    let mut totals = BTreeMap::new();
    for container in &spec.containers {
        add(&mut totals, amounts(container));
    }
    let (mut sidecars, mut peak) = (BTreeMap::new(), BTreeMap::<String, Amount>::new());
    for container in list(&spec.init_containers) {
        let mut needed = sidecars.clone();
        add(&mut needed, amounts(container));
        if is_sidecar(container) {
            add(&mut totals, amounts(container));
            sidecars.clone_from(&needed);
        }
        for (name, amount) in needed {
            let most = peak.entry(name).or_insert(amount);
            *most = (*most).max(amount);
        }
    }
    for (name, amount) in peak {
        let total = totals.entry(name).or_insert(amount);
        *total = (*total).max(amount);
    }
    totals
}
