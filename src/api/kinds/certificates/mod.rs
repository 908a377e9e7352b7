//! CertificateSigningRequest: that someone asks a signer for a certificate, and what became of it.
//!
//! Owns the rules of the object and of its `status` and `approval` subresources. Who may approve, and the signing
//! itself, are others' work.
//!
//! Invariant: what a request asks for never changes; an answer, once given, is never taken back.

mod pem;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
};
use serde_json::json;

use super::age::{human_duration, since};
use super::canonical::{Canonical, canonical};
use super::conditions::STATUSES;
use super::fields::{list, text};
use super::unchanged::changes;
use crate::api::error::{FieldErrors, FieldPath};
use crate::api::meta::time_now_meta;
use crate::api::names::{DNS_LABEL_BYTES, DNS_SUBDOMAIN_BYTES, is_dns1123_label, is_dns1123_subdomain};
use crate::api::object::{Column, Kind, Scope, TermName, Terms};

const APPROVED: &str = "Approved";
const DENIED: &str = "Denied";
const FAILED: &str = "Failed";
/// The signer of requests from before there were signers.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// The shortest life of a certificate that may be asked for, in seconds.
const EXPIRATION_LEAST: i32 = 600;
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// Which part of the object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    Status,
    Approval,
}

impl Kind for CertificateSigningRequest {
    const SCOPE: Scope = Scope::Cluster;
    const SHORT_NAMES: &'static [&'static str] = &["csr"];
    const HAS_STATUS: bool = true;
    const SELECTABLE_FIELDS: &'static [TermName] = &["spec.signerName"];
    const COLUMNS: &'static [Column] = &[
        Column { name: "Age", wide: false },
        Column { name: "SignerName", wide: false },
        Column { name: "Requestor", wide: false },
        Column { name: "RequestedDuration", wide: false },
        Column { name: "Condition", wide: false },
    ];

    fn validate_name(_name: &str, _prefix: bool) -> Vec<String> {
        // Any name is one, as upstream has it.
        Vec::new()
    }

    fn prepare_create(&mut self) {
        // Who asks is the server's to say, not the client's.
        self.spec.username = None;
        self.spec.uid = None;
        self.spec.groups = None;
        self.spec.extra = None;
        self.status = Some(CertificateSigningRequestStatus::default());
    }

    fn prepare_update(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        self.status.clone_from(&old.status);
    }

    fn prepare_status(&mut self, old: &Self) {
        self.spec.clone_from(&old.spec);
        let status = self.status.get_or_insert_default();
        for kind in [APPROVED, DENIED] {
            put_back(status.conditions.get_or_insert_default(), conditions(old), kind);
        }
    }

    fn stamp(&mut self, old: Option<&Self>, now: Timestamp) {
        let now = Some(time_now_meta(now));
        let before = old.map_or(&[][..], conditions);
        let status = self.status.iter_mut();
        for condition in status.flat_map(|status| status.conditions.iter_mut().flatten()) {
            if condition.last_update_time.is_none() {
                condition.last_update_time.clone_from(&now);
            }
            if condition.last_transition_time.is_none() {
                let same = before.iter().find(|other| {
                    other.type_ == condition.type_
                        && other.status == condition.status
                        && other.last_transition_time.is_some()
                });
                let at = same.map_or(&now, |other| &other.last_transition_time);
                condition.last_transition_time.clone_from(at);
            }
        }
    }

    fn canonicalise(&mut self) {
        self.make_canonical();
    }

    fn validate(&self, errors: &mut FieldErrors) {
        validate_whole(self, None, errors);
    }

    fn validate_status(&self, old: &Self, errors: &mut FieldErrors) {
        validate_face(self, old, Face::Status, errors);
    }

    fn has_generation() -> bool {
        false
    }

    fn moves_generation(&self, _old: &Self) -> bool {
        false
    }

    fn terms(&self, terms: &mut Terms) {
        terms.add("spec.signerName", self.spec.signer_name.as_str());
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let none = || "<none>".to_owned();
        let signer = self.spec.signer_name.as_str();
        let duration = self.spec.expiration_seconds;
        vec![
            since(self.metadata.creation_timestamp.as_ref(), now),
            if signer.is_empty() { none() } else { signer.to_owned() },
            text(&self.spec.username).to_owned(),
            duration.map_or_else(none, |seconds| human_duration(seconds.into())),
            state_text(self),
        ]
    }
}

/// Takes over from `old` what a write of the `approval` subresource may not change: all but the conditions (and the
/// metadata, for which the rules of every update hold).
pub fn prepare_approval(new: &mut CertificateSigningRequest, old: &CertificateSigningRequest) {
    let conditions = new.status.take().and_then(|status| status.conditions);
    new.spec.clone_from(&old.spec);
    new.status.clone_from(&old.status);
    new.status.get_or_insert_default().conditions = conditions;
}

/// Collects what is wrong with a write of the `approval` subresource.
pub fn validate_approval(
    new: &CertificateSigningRequest,
    old: &CertificateSigningRequest,
    errors: &mut FieldErrors,
) {
    validate_face(new, old, Face::Approval, errors);
}

fn conditions(request: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    request.status.as_ref().map_or(&[], |status| list(&status.conditions))
}

fn of_kind<'a>(
    all: &'a [CertificateSigningRequestCondition],
    kind: &'a str,
) -> impl Iterator<Item = &'a CertificateSigningRequestCondition> {
    all.iter().filter(move |condition| condition.type_ == kind)
}

/// Puts the conditions of a kind back as they were, where there are as many.
fn put_back(
    new: &mut [CertificateSigningRequestCondition],
    old: &[CertificateSigningRequestCondition],
    kind: &str,
) {
    if of_kind(new, kind).count() == of_kind(old, kind).count() {
        let places = new.iter_mut().filter(|condition| condition.type_ == kind);
        places.zip(of_kind(old, kind)).for_each(|(new, old)| new.clone_from(old));
    }
}

fn state_text(request: &CertificateSigningRequest) -> String {
    let has = |kind: &str| of_kind(conditions(request), kind).next().is_some();
    let mut state = match (has(DENIED), has(APPROVED)) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has(FAILED) {
        state.push_str(",Failed");
    }
    let certificate = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    if certificate.is_some_and(|certificate| !certificate.0.is_empty()) {
        state.push_str(",Issued");
    }
    state
}

/// Collects what is wrong with a request; what was there before is taken as it is.
fn validate_whole(
    request: &CertificateSigningRequest,
    old: Option<&CertificateSigningRequest>,
    errors: &mut FieldErrors,
) {
    validate_spec(&request.spec, &FieldPath::new("spec"), errors);
    let path = FieldPath::new("status");
    validate_conditions(conditions(request), old, &path.child("conditions"), errors);
    let certificate = |request: &CertificateSigningRequest| {
        request.status.as_ref().and_then(|status| status.certificate.clone()).unwrap_or_default().0
    };
    let now = certificate(request);
    if old.is_none_or(|old| certificate(old) != now)
        && !now.is_empty()
        && let Err(wrong) = pem::check_certificates(&now)
    {
        errors.invalid(&path.child("certificate"), "<certificate data>", wrong);
    }
}

fn validate_spec(spec: &CertificateSigningRequestSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if let Err(wrong) = pem::check_request(&spec.request.0) {
        errors.invalid(&path.child("request"), json!(spec.request), wrong);
    }
    let (field, usages) = (path.child("usages"), list(&spec.usages));
    if usages.is_empty() {
        errors.required(&field, "");
    }
    for (at, usage) in usages.iter().enumerate() {
        if !USAGES.contains(&usage.as_str()) {
            errors.not_supported(&field.index(at), usage.as_str(), &USAGES);
        }
    }
    let mut seen = BTreeSet::new();
    for (at, usage) in usages.iter().enumerate() {
        if !seen.insert(usage) {
            errors.duplicate(&field.index(at), usage.as_str());
        }
    }
    let (field, signer) = (path.child("signerName"), spec.signer_name.as_str());
    if signer == LEGACY_SIGNER {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.invalid(&field, signer, detail);
    } else {
        validate_signer(signer, &field, errors);
    }
    if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < EXPIRATION_LEAST) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&path.child("expirationSeconds"), seconds, detail);
    }
}

/// The name of a signer: a domain and a path.
fn validate_signer(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let [domain, rest] = name.split('/').collect::<Vec<_>>()[..] else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, detail);
        return;
    };
    if domain.len() > DNS_SUBDOMAIN_BYTES {
        errors.too_long(path, DNS_SUBDOMAIN_BYTES);
    }
    validate_labels_of(domain, is_dns1123_label, path, errors);
    if !domain.contains('.') {
        errors.invalid(path, domain, "should be a domain with at least two segments separated by dots");
    }
    validate_labels_of(rest, is_dns1123_subdomain, path, errors);
    let most = 2 * DNS_SUBDOMAIN_BYTES + DNS_LABEL_BYTES + 2;
    if name.len() > most {
        errors.too_long(path, most);
    }
}

/// The first part between dots that breaks the rule is told.
fn validate_labels_of(
    text: &str,
    rule: fn(&str) -> Vec<String>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let wrong = text.split('.').map(|label| (label, rule(label))).find(|(_, wrong)| !wrong.is_empty());
    for (label, wrong) in
        wrong.into_iter().flat_map(|(label, all)| all.into_iter().map(move |it| (label, it)))
    {
        errors.invalid(path, text, format!("validating label {label:?}: {wrong}"));
    }
}

fn validate_conditions(
    all: &[CertificateSigningRequestCondition],
    old: Option<&CertificateSigningRequest>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let had = |kind: &str| old.is_some_and(|old| of_kind(conditions(old), kind).next().is_some());
    let both_before = had(APPROVED) && had(DENIED);
    let (mut seen, mut answered) = (BTreeSet::new(), BTreeSet::new());
    for (at, condition) in all.iter().enumerate() {
        let (kind, path_here) = (condition.type_.as_str(), path.index(at));
        if kind.is_empty() {
            errors.required(&path_here.child("type"), "");
        }
        let answers = [APPROVED, DENIED].contains(&kind);
        let allowed: &[&str] = if answers || kind == FAILED { &["True"] } else { &STATUSES };
        match condition.status.as_str() {
            "" => errors.required(&path_here.child("status"), ""),
            other if !allowed.contains(&other) => {
                errors.not_supported(&path_here.child("status"), other, allowed);
            }
            _ => {}
        }
        if answers && !both_before {
            answered.insert(kind);
            if answered.len() == 2 {
                let detail = "Approved and Denied conditions are mutually exclusive";
                errors.invalid(path, kind, detail);
            }
        }
        if !seen.insert(kind) {
            errors.duplicate(&path_here.child("type"), kind);
        }
    }
}

fn validate_face(
    new: &CertificateSigningRequest,
    old: &CertificateSigningRequest,
    face: Face,
    errors: &mut FieldErrors,
) {
    validate_whole(new, Some(old), errors);
    let path = FieldPath::new("status");
    let field = path.child("conditions");
    let (now, before) = (conditions(new), conditions(old));
    let count = |all, kind| of_kind(all, kind).count();
    for kind in [APPROVED, DENIED, FAILED] {
        if count(now, kind) < count(before, kind) {
            errors.forbidden(&field, format!("updates may not remove a condition of type {kind:?}"));
        }
    }
    for kind in [APPROVED, DENIED] {
        if face == Face::Approval || count(now, kind) < count(before, kind) {
            continue;
        }
        let (is, was): (Vec<_>, Vec<_>) = (of_kind(now, kind).collect(), of_kind(before, kind).collect());
        if is.len() > was.len() {
            errors.forbidden(&field, format!("updates may not add a condition of type {kind:?}"));
        } else if is != was {
            let changes = changes(&field, &was, &is);
            let detail = format!("updates may not modify a condition of type {kind:?}\n{changes}");
            errors.forbidden(&field, detail);
        }
    }
    let certificate = |request: &CertificateSigningRequest| {
        request.status.as_ref().and_then(|status| status.certificate.clone()).unwrap_or_default()
    };
    if certificate(new) != certificate(old) {
        let field = path.child("certificate");
        if face == Face::Approval {
            errors.forbidden(&field, "updates may not set certificate content");
        } else if !certificate(old).0.is_empty() {
            errors.forbidden(&field, "updates may not modify existing certificate content");
        }
    }
}

canonical! {
    CertificateSigningRequest {
        fill: status;
        deep: spec;
    }
    CertificateSigningRequestCondition {
        drop: message, reason;
        keep: last_transition_time, last_update_time;
    }
    CertificateSigningRequestSpec {
        drop: extra, groups, uid, usages, username;
    }
    CertificateSigningRequestStatus {
        drop: certificate, conditions;
    }
}
