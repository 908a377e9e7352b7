//! Which names a definition gets, and what its conditions say of them. Pure.
//!
//! Invariant: a name that a definition has is never taken from it.

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames,
};

use crate::api::custom::is_condition_true;
use crate::api::kinds::custom_resource_definition::{Approval, approval_of, set_condition};
use crate::store::Stored;

/// The names that others have, by what they are the names of.
struct Taken {
    resources: Vec<String>,
    kinds: Vec<String>,
}

impl Taken {
    fn of(others: &[Stored<CustomResourceDefinition>]) -> Taken {
        let mut taken = Taken { resources: Vec::new(), kinds: Vec::new() };
        let accepted = |other: &CustomResourceDefinition| {
            other.status.as_ref().and_then(|status| status.accepted_names.clone())
        };
        for names in others.iter().filter_map(|other| accepted(other)) {
            taken.resources.extend([names.plural, names.singular.unwrap_or_default()]);
            taken.resources.extend(names.short_names.unwrap_or_default());
            taken.kinds.extend([names.kind, names.list_kind.unwrap_or_default()]);
        }
        taken
    }
}

fn check(wanted: &str, own: &str, taken: &[String]) -> Result<(), String> {
    if wanted == own || wanted.is_empty() || !taken.iter().any(|name| name == wanted) {
        return Ok(());
    }
    Err(format!("\"{wanted}\" is already in use"))
}

/// The names that the definition may have, and the last conflict: reason and message.
fn settle(
    wanted: &CustomResourceDefinitionNames,
    own: &CustomResourceDefinitionNames,
    taken: &Taken,
) -> (CustomResourceDefinitionNames, Option<(&'static str, String)>) {
    let mut names = own.clone();
    let mut conflict = None;
    fn text(name: &Option<String>) -> &str {
        name.as_deref().unwrap_or_default()
    }
    match check(&wanted.plural, &own.plural, &taken.resources) {
        Ok(()) => names.plural.clone_from(&wanted.plural),
        Err(message) => conflict = Some(("PluralConflict", message)),
    }
    match check(text(&wanted.singular), text(&own.singular), &taken.resources) {
        Ok(()) => names.singular.clone_from(&wanted.singular),
        Err(message) => conflict = Some(("SingularConflict", message)),
    }
    let had = own.short_names.as_deref().unwrap_or_default();
    let short = wanted.short_names.iter().flatten().filter(|name| !had.contains(name));
    let errors: Vec<String> = short.filter_map(|name| check(name, "", &taken.resources).err()).collect();
    match errors.as_slice() {
        [] => names.short_names.clone_from(&wanted.short_names),
        [one] => conflict = Some(("ShortNamesConflict", one.clone())),
        many => conflict = Some(("ShortNamesConflict", format!("[{}]", many.join(", ")))),
    }
    match check(&wanted.kind, &own.kind, &taken.kinds) {
        Ok(()) => names.kind.clone_from(&wanted.kind),
        Err(message) => conflict = Some(("KindConflict", message)),
    }
    match check(text(&wanted.list_kind), text(&own.list_kind), &taken.kinds) {
        Ok(()) => names.list_kind.clone_from(&wanted.list_kind),
        Err(message) => conflict = Some(("ListKindConflict", message)),
    }
    names.categories.clone_from(&wanted.categories);
    (names, conflict)
}

/// The definition with the status that it should have; `None` if it has it.
pub(super) fn plan(
    definition: &CustomResourceDefinition,
    others: &[Stored<CustomResourceDefinition>],
    now: Timestamp,
) -> Option<CustomResourceDefinition> {
    let mut object = definition.clone();
    let status = object.status.get_or_insert_default();
    let own = status.accepted_names.clone().unwrap_or_default();
    let (names, conflict) = settle(&definition.spec.names, &own, &Taken::of(others));
    let mut changed = names != own;
    status.accepted_names = Some(names);
    let accepted = conflict.is_none();
    let (reason, message) = conflict.unwrap_or(("NoConflicts", "no conflicts found".to_owned()));
    changed |= set_condition(status, "NamesAccepted", accepted, reason, &message, now);
    if !is_condition_true(definition, "Established") {
        let (reason, message) = match accepted {
            true => ("InitialNamesAccepted", "the initial names have been accepted"),
            false => ("NotAccepted", "not all names are accepted"),
        };
        changed |= set_condition(status, "Established", accepted, reason, message, now);
    }
    let conforms = match approval_of(definition) {
        Approval::NotNeeded | Approval::Invalid(_) => None,
        Approval::Missing => Some((
            false,
            "MissingAnnotation",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
             https://github.com/kubernetes/enhancements/pull/1111"
                .to_owned(),
        )),
        Approval::Approved(url) => Some((true, "ApprovedAnnotation", format!("approved in {url}"))),
        Approval::Bypassed(text) => Some((false, "UnapprovedAnnotation", format!("not approved: {text:?}"))),
    };
    if let Some((holds, reason, message)) = conforms {
        let type_ = "KubernetesAPIApprovalPolicyConformant";
        changed |= set_condition(status, type_, holds, reason, &message, now);
    }
    changed.then_some(object)
}
