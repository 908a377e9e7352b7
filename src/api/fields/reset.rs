//! What a write through a subresource does not change, and so does not own: the status in a write of the object, the
//! specification in one of the status.
//!
//! Invariant: the sets are upstream's for every kind that it serves.

use std::sync::OnceLock;

use super::set::Set;

/// What a write of a kind's object, or of a subresource of it, leaves as it was.
///
/// `subresource` is empty for the object itself; `custom` tells custom resources.
pub fn reset_fields(
    group: &str,
    kind: &str,
    subresource: &str,
    has_status: bool,
    custom: bool,
) -> &'static Set {
    static SETS: OnceLock<[Set; 7]> = OnceLock::new();
    let [none, status, spec, spec_and_meta, spec_and_labels, of_pod, of_request] = SETS.get_or_init(|| {
        [
            Set::default(),
            Set::of_names(&[&["status"]]),
            Set::of_names(&[&["spec"]]),
            Set::of_names(&[&["spec"], &["metadata"]]),
            Set::of_names(&[&["spec"], &["metadata", "labels"]]),
            Set::of_names(&[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]),
            Set::of_names(&[&["spec"], &["status", "conditions"]]),
        ]
    });
    match (subresource, group, kind) {
        ("", "certificates.k8s.io", "CertificateSigningRequest") => status,
        ("" | "finalize", ..) if has_status => status,
        ("status", "", "Pod") => of_pod,
        ("status", "apps", "Deployment") => spec_and_labels,
        ("status", "certificates.k8s.io", "CertificateSigningRequest") => of_request,
        (
            "status",
            "admissionregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "resource.k8s.io"
            | "storage.k8s.io",
            _,
        )
        | ("status", "networking.k8s.io", "ServiceCIDR") => spec_and_meta,
        ("status", ..) if custom => spec_and_meta,
        ("status", ..) => spec,
        _ => none,
    }
}
