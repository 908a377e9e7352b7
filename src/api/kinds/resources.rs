//! Amounts of resources by name: which names there are, whose amounts must be whole, and what may be promised
//! twice.
//!
//! Knows resources; the arithmetic is `quantity`'s.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::NEGATIVE;
use crate::api::names::is_qualified_name;
use crate::api::quantity::Amount;

/// Amounts by the name of their resource.
pub(crate) type ResourceList = BTreeMap<String, Quantity>;

const HUGE_PAGES: &str = "hugepages-";

/// Resources that are counted, in quotas.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that are measured.
const MEASURED: [&str; 11] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "storage",
    "requests.storage",
];

/// Whether the name is that of pages of one size.
pub(crate) fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// Whether the resource is one of Kubernetes' own.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether the resource is one that a node's vendor brought.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// Whether more of the resource may be promised than there is.
pub(crate) fn is_overcommit_allowed(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// Whether Kubernetes knows the resource without a domain.
pub(crate) fn is_standard(name: &str) -> bool {
    MEASURED.contains(&name)
        || COUNTED.contains(&name)
        || is_huge_page(name)
        || name.starts_with("requests.hugepages-")
}

/// Whether quotas know the resource without a domain.
pub(crate) fn is_standard_for_quota(name: &str) -> bool {
    is_standard(name) && name != "storage"
}

/// The name of a resource; whether it is one.
pub(crate) fn validate_resource(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) -> bool {
    let wrong = is_qualified_name(name);
    let valid = wrong.is_empty();
    errors.invalid_each(path, name, wrong);
    if valid && !name.contains('/') && !is_standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
        return false;
    }
    valid
}

/// Whether a container may ask for the resource without a domain.
pub(crate) fn is_for_containers(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(name)
}

fn is_counted(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// The amount of a resource; an error where the text is none.
pub(crate) fn validate_amount(
    name: &str,
    quantity: &Quantity,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Amount> {
    let amount = match Amount::parse(&quantity.0) {
        Ok(amount) => amount,
        Err(wrong) => {
            errors.invalid(path, quantity.0.as_str(), wrong.to_string());
            return None;
        }
    };
    if amount.signum() < 0 {
        errors.invalid(path, amount.to_string(), NEGATIVE);
    }
    if is_counted(name) && !amount.is_whole() {
        errors.invalid(path, amount.to_string(), "must be an integer");
    }
    Some(amount)
}

/// Whether the text can be seen to be canonical and no finer than a thousandth: few digits and a common suffix,
/// as nearly all amounts are. (`false` says nothing.)
pub(crate) fn is_plainly_canonical(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=3).contains(&digits)
        && !text.starts_with('0')
        && matches!(&text[digits..], "" | "m" | "k" | "M" | "G" | "Ki" | "Mi" | "Gi")
}

/// Rounds every amount up to thousandths, the finest that Kubernetes keeps.
pub(crate) fn round_amounts(amounts: &mut Option<ResourceList>) {
    amounts.iter_mut().flat_map(|amounts| amounts.values_mut()).for_each(round_amount);
}

/// Rounds one amount up to thousandths.
pub(crate) fn round_amount(quantity: &mut Quantity) {
    if is_plainly_canonical(&quantity.0) {
        return;
    }
    if let Ok(amount) = Amount::parse(&quantity.0) {
        let rounded = amount.rounded_up(-3);
        if rounded != amount {
            *quantity = rounded.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_canonical_is() {
        for number in 0..1100 {
            for suffix in ["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "x"] {
                let text = format!("{number}{suffix}");
                if is_plainly_canonical(&text) {
                    assert_eq!(Amount::parse(&text).map(|amount| amount.to_string()), Ok(text.clone()));
                    assert_eq!(
                        Amount::parse(&text).map(|amount| amount.rounded_up(-3).to_string()),
                        Ok(text)
                    );
                }
            }
        }
        assert!(is_plainly_canonical("100m") && is_plainly_canonical("64Mi"));
        assert!(!is_plainly_canonical("") && !is_plainly_canonical("01") && !is_plainly_canonical("1.5"));
    }

    #[test]
    fn resources_by_name() {
        let table = [
            ("cpu", true, true, true),
            ("hugepages-2Mi", true, true, false),
            ("pods", true, true, true),
            ("nvidia.com/gpu", false, false, false),
            ("kubernetes.io/x", false, true, true),
        ];
        for (name, standard, native, overcommit) in table {
            assert_eq!(
                (is_standard(name), is_native(name), is_overcommit_allowed(name)),
                (standard, native, overcommit),
                "{name}"
            );
        }
        assert!(
            is_extended("nvidia.com/gpu") && !is_extended("cpu") && !is_extended("requests.nvidia.com/gpu")
        );
    }
}
