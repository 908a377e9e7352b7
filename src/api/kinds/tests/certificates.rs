//! Requests for certificates.

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::super::{prepare_approval, validate_approval};
use super::{check_row, check_terms, created, lines, noon, read};
use crate::api::error::FieldErrors;
use crate::api::meta::validate_meta;
use crate::api::object::Kind;

/// A request of a key that nobody has kept, and a certificate of it.
const REQUEST: &str = concat!(
    "-----BEGIN CERTIFICATE REQUEST-----\n",
    "MIHGMG8CAQAwDTELMAkGA1UEAwwCbWUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n",
    "AASanFQVJpFpgYYzFT10dQKCUphGfpHNApyIp7ng/yz3c1Mb6zgyGw4bG4lWUea3\n",
    "ZbiJuQhwJnxu1enxsHXAd5auoAAwCgYIKoZIzj0EAwIDRwAwRAIgHFS45KhfEoet\n",
    "3Xj9QtNdxoa8wWHljY26cY9tVurXgm0CIBxSYFnA7uSGaPyy/b4hKk2lNlxaJcO4\n",
    "uuAJQsO6O00a\n",
    "-----END CERTIFICATE REQUEST-----\n",
);
const CERTIFICATE: &str = concat!(
    "-----BEGIN CERTIFICATE-----\n",
    "MIIBcDCCARegAwIBAgIUPYRsAqY+TTtEoRbkXlwCXFDW/08wCgYIKoZIzj0EAwIw\n",
    "DTELMAkGA1UEAwwCY2EwIBcNMjYxMTI0MjEzMjAzWhgPMjEyNjEwMzEyMTMyMDNa\n",
    "MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmpxUFSaR\n",
    "aYGGMxU9dHUCglKYRn6RzQKciKe54P8s93NTG+s4MhsOGxuJVlHmt2W4ibkIcCZ8\n",
    "btXp8bB1wHeWrqNTMFEwHQYDVR0OBBYEFH2PtwaAj7TpjuMrECE6mNpq0uXzMB8G\n",
    "A1UdIwQYMBaAFH2PtwaAj7TpjuMrECE6mNpq0uXzMA8GA1UdEwEB/wQFMAMBAf8w\n",
    "CgYIKoZIzj0EAwIDRwAwRAIgN7yDlIB5xFqFgIfMJ12SaR2+cvQClGN3SNbqGvQg\n",
    "kZECIGFV/XpPiCFG0FBpzqHZjMloPZnA7wE/snY6bq2Id/68\n",
    "-----END CERTIFICATE-----\n",
);

/// A request for a certificate of `pem` with such a specification; a sound one where none is given.
fn request(pem: &str, spec: &str) -> CertificateSigningRequest {
    let sound = "signerName: example.com/signer, usages: [client auth]";
    let spec = if spec.is_empty() { sound } else { spec };
    let yaml = format!("metadata: {{name: 'any name'}}\nspec: {{request: '', {spec}}}");
    let mut request: CertificateSigningRequest = created(&yaml);
    request.spec.request = ByteString(pem.as_bytes().to_vec());
    request
}

fn wrong(request: &CertificateSigningRequest) -> String {
    let mut errors = FieldErrors::default();
    let rule = CertificateSigningRequest::validate_name;
    validate_meta(&request.metadata, CertificateSigningRequest::SCOPE, &rule, &mut errors);
    request.validate(&mut errors);
    lines(errors)
}

#[test]
fn requests() {
    const USES: &str = "usages: [client auth]";
    let rows = [
        ("".to_owned(), ""),
        (format!("signerName: kubernetes.io/kube-apiserver-client, {USES}, expirationSeconds: 600"), ""),
        (
            format!("signerName: example.com/s, {USES}, expirationSeconds: 599"),
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)\n",
        ),
        ("signerName: example.com/s, usages: []".to_owned(), "spec.usages: Required value\n"),
        (
            "signerName: example.com/s, usages: [any, any]".to_owned(),
            "spec.usages[1]: Duplicate value: \"any\"\n",
        ),
        (
            "signerName: example.com/s, usages: [fun]".to_owned(),
            "spec.usages[0]: Unsupported value: \"fun\": supported values: \"any\", \"cert sign\", \"client auth\", \"code signing\", \"content commitment\", \
             \"crl sign\", \"data encipherment\", \"decipher only\", \"digital signature\", \"email protection\", \"encipher only\", \"ipsec end system\", \
             \"ipsec tunnel\", \"ipsec user\", \"key agreement\", \"key encipherment\", \"microsoft sgc\", \"netscape sgc\", \"ocsp signing\", \"s/mime\", \
             \"server auth\", \"signing\", \"timestamping\"\n",
        ),
        (format!("signerName: '', {USES}"), "spec.signerName: Required value\n"),
        (
            format!("signerName: signer, {USES}"),
            "spec.signerName: Invalid value: \"signer\": must be a fully qualified domain and path of the form 'example.com/signer-name'\n",
        ),
        (
            format!("signerName: example/s, {USES}"),
            "spec.signerName: Invalid value: \"example\": should be a domain with at least two segments separated by dots\n",
        ),
        (
            format!("signerName: kubernetes.io/legacy-unknown, {USES}"),
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version\n",
        ),
        (
            format!("signerName: example.com/A, {USES}"),
            "spec.signerName: Invalid value: \"A\": validating label \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n",
        ),
    ];
    for (spec, expected) in rows {
        assert_eq!(wrong(&request(REQUEST, &spec)), expected, "{spec}");
    }
    let rows = [
        ("", "\"\""),
        ("hello", "\"aGVsbG8=\""),
        (
            "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n",
            "\"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCllRPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=\"",
        ),
    ];
    for (pem, shown) in rows {
        let expected =
            format!("spec.request: Invalid value: {shown}: PEM block type must be CERTIFICATE REQUEST\n");
        assert_eq!(wrong(&request(pem, "")), expected, "{pem}");
    }
    let cut = "-----BEGIN CERTIFICATE REQUEST-----\nMAkG\n-----END CERTIFICATE REQUEST-----\n";
    assert!(wrong(&request(cut, "")).ends_with("asn1: syntax error: data truncated\n"));
    let made: CertificateSigningRequest = created(
        "metadata: {name: a}\nspec: {request: YQ==, signerName: a, username: me, uid: u, groups: [g], extra: {a: [b]}}\nstatus: {certificate: YQ==}",
    );
    let expected: CertificateSigningRequest =
        created("metadata: {name: a}\nspec: {request: YQ==, signerName: a}");
    assert_eq!(made, expected);
}

/// Holds what is wrong with a write of a face against lines; `status` are its conditions.
fn check_faces(before: &str, after: &str, status: &str, approval: &str) {
    let mut old = request(REQUEST, "");
    old.status = read::<CertificateSigningRequest>(&format!(
        "spec: {{request: '', signerName: ''}}\nstatus: {before}"
    ))
    .status;
    old.stamp(None, noon());
    let mut new = request(REQUEST, "signerName: example.com/other, usages: [any]");
    new.status =
        read::<CertificateSigningRequest>(&format!("spec: {{request: '', signerName: ''}}\nstatus: {after}"))
            .status;
    let (mut by_status, mut by_approval) = (new.clone(), new);
    by_status.prepare_status(&old);
    by_status.stamp(Some(&old), noon());
    let mut errors = FieldErrors::default();
    by_status.validate_status(&old, &mut errors);
    assert_eq!(lines(errors), status, "status: {before} to {after}");
    prepare_approval(&mut by_approval, &old);
    by_approval.stamp(Some(&old), noon());
    let mut errors = FieldErrors::default();
    validate_approval(&by_approval, &old, &mut errors);
    assert_eq!(lines(errors), approval, "approval: {before} to {after}");
    assert_eq!((&by_status.spec, &by_approval.spec), (&old.spec, &old.spec));
}

#[test]
fn answers() {
    const NONE: &str = "{}";
    const YES: &str = "{conditions: [{type: Approved, status: 'True', reason: a}]}";
    check_faces(NONE, NONE, "", "");
    check_faces(
        NONE,
        YES,
        "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"\n",
        "",
    );
    check_faces(YES, YES, "", "");
    check_faces(
        YES,
        NONE,
        "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"\n",
        "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\"\n",
    );
    check_faces(
        YES,
        "{conditions: [{type: Approved, status: 'True', reason: a}, {type: Denied, status: 'True'}]}",
        "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive\n\
         status.conditions: Forbidden: updates may not add a condition of type \"Denied\"\n",
        "status.conditions: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive\n",
    );
    check_faces(
        NONE,
        "{conditions: [{type: Failed, status: 'False'}, {type: '', status: ''}, {type: Mine, status: Maybe}, {type: Mine, status: 'True'}]}",
        "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\"\n\
         status.conditions[1].type: Required value\nstatus.conditions[1].status: Required value\n\
         status.conditions[2].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"\n\
         status.conditions[3].type: Duplicate value: \"Mine\"\n",
        "status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\"\n\
         status.conditions[1].type: Required value\nstatus.conditions[1].status: Required value\n\
         status.conditions[2].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \"Unknown\"\n\
         status.conditions[3].type: Duplicate value: \"Mine\"\n",
    );
    // Approval takes the conditions alone; the status puts back what is not its own.
    check_faces(YES, "{conditions: [{type: Approved, status: 'True', reason: b}]}", "", "");
}

#[test]
fn certificates() {
    let with = |pem: &str| {
        let mut request = request(REQUEST, "");
        let status = request.status.get_or_insert_default();
        status.certificate = Some(ByteString(pem.as_bytes().to_vec()));
        request
    };
    let old = request(REQUEST, "");
    let rows = [
        (CERTIFICATE.to_owned(), ""),
        (format!("{CERTIFICATE}some words\n{CERTIFICATE}"), ""),
        (
            "words".to_owned(),
            "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block\n",
        ),
        (
            REQUEST.to_owned(),
            "status.certificate: Invalid value: \"<certificate data>\": only CERTIFICATE PEM blocks are allowed, found \"CERTIFICATE REQUEST\"\n",
        ),
        (
            CERTIFICATE.replace("CERTIFICATE-----\nM", "CERTIFICATE-----\nA: b\n\nM"),
            "status.certificate: Invalid value: \"<certificate data>\": no PEM block headers are permitted\n",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n".to_owned(),
            "status.certificate: Invalid value: \"<certificate data>\": x509: malformed certificate\n",
        ),
    ];
    for (pem, expected) in rows {
        let mut errors = FieldErrors::default();
        with(&pem).validate_status(&old, &mut errors);
        assert_eq!(lines(errors), expected, "{pem}");
    }
    let mut errors = FieldErrors::default();
    with(&format!("{CERTIFICATE}{CERTIFICATE}")).validate_status(&with(CERTIFICATE), &mut errors);
    assert_eq!(
        lines(errors),
        "status.certificate: Forbidden: updates may not modify existing certificate content\n"
    );
    let mut errors = FieldErrors::default();
    validate_approval(&with(CERTIFICATE), &old, &mut errors);
    assert_eq!(lines(errors), "status.certificate: Forbidden: updates may not set certificate content\n");
}

#[test]
fn rows_of_requests() {
    let spec = "spec: {request: '', signerName: '', usages: []}";
    let rows = [
        ("{}", "<unknown> | <none> |  | <none> | Pending"),
        (
            "{conditions: [{type: Approved, status: 'True'}], certificate: YQ==}",
            "<unknown> | <none> |  | <none> | Approved,Issued",
        ),
        (
            "{conditions: [{type: Approved, status: 'True'}, {type: Failed, status: 'True'}]}",
            "<unknown> | <none> |  | <none> | Approved,Failed",
        ),
        (
            "{conditions: [{type: Denied, status: 'True'}, {type: Approved, status: 'True'}]}",
            "<unknown> | <none> |  | <none> | Denied",
        ),
    ];
    for (status, expected) in rows {
        check_row::<CertificateSigningRequest>(
            &format!("metadata: {{}}\n{spec}\nstatus: {status}"),
            expected,
        );
    }
    check_row::<CertificateSigningRequest>(
        "metadata: {creationTimestamp: '2026-05-01T11:00:00Z'}\nspec: {request: '', signerName: a.b/c, username: me, expirationSeconds: 3600}",
        "60m | a.b/c | me | 60m | Pending",
    );
    check_terms::<CertificateSigningRequest>(
        "metadata: {}\nspec: {request: '', signerName: a.b/c}",
        "spec.signerName=a.b/c\n",
    );
}
