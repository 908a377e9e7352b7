//! The class of service of a pod, which follows from what it asks for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

use super::defaults::all_containers;
use crate::api::kinds::resources::ResourceList;
use crate::api::quantity::Amount;

/// `Guaranteed` where every container has limits of processor and memory that equal its requests, `BestEffort`
/// where none asks for anything, `Burstable` otherwise.
pub(crate) fn qos_class(spec: &PodSpec) -> &'static str {
    let (mut requests, mut limits) = (BTreeMap::new(), BTreeMap::new());
    let mut guaranteed = true;
    let mut take = |resources: Option<&ResourceRequirements>| {
        let list = |of: fn(&ResourceRequirements) -> &Option<ResourceList>| {
            resources.and_then(|resources| of(resources).as_ref())
        };
        add(&mut requests, list(|resources| &resources.requests));
        guaranteed &= add(&mut limits, list(|resources| &resources.limits)) == 2;
    };
    match &spec.resources {
        // What the pod has as a whole decides alone.
        Some(resources) => take(Some(resources)),
        None => all_containers(spec).for_each(|(_, _, container)| take(container.resources.as_ref())),
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds up processor and memory; answers for how many of the two there was something.
fn add(totals: &mut BTreeMap<&'static str, Amount>, amounts: Option<&ResourceList>) -> usize {
    let mut found = 0;
    for name in ["cpu", "memory"] {
        let quantity = amounts.and_then(|amounts| amounts.get(name));
        let amount = quantity.and_then(|quantity| Amount::parse(&quantity.0).ok());
        if let Some(amount) = amount.filter(|amount| amount.signum() > 0) {
            found += 1;
            *totals.entry(name).or_default() += amount;
        }
    }
    found
}
