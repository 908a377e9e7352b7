//! Certificates and requests for them as text: whether the text is PEM, and whether what it holds has the shape of a
//! request (PKCS #10) or of a certificate (X.509).
//!
//! Looks at the outer structure alone: keys, names and signatures are the signer's to read. Never panics, whatever
//! the bytes; allocates no more than they are.

use k8s_openapi::ByteString;
use serde_json::Value;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const ATTRIBUTES: u8 = 0xa0;

/// One block of PEM.
struct Block<'a> {
    kind: &'a str,
    has_headers: bool,
    bytes: Vec<u8>,
    rest: &'a str,
}

/// Whether the text holds a request for a certificate; a sentence where not.
pub(super) fn check_request(pem: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(pem).unwrap_or_default();
    let block = next_block(text).filter(|block| block.kind == "CERTIFICATE REQUEST");
    let Some(block) = block else { return Err("PEM block type must be CERTIFICATE REQUEST".to_owned()) };
    let (whole, rest) = element(&block.bytes, SEQUENCE)?;
    if !rest.is_empty() {
        return Err("asn1: syntax error: trailing data".to_owned());
    }
    let (info, rest) = element(whole, SEQUENCE)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    element(rest, BIT_STRING)?;
    let (_version, rest) = element(info, INTEGER)?;
    let (_subject, rest) = element(rest, SEQUENCE)?;
    let (_key, rest) = element(rest, SEQUENCE)?;
    if !rest.is_empty() {
        element(rest, ATTRIBUTES)?;
    }
    Ok(())
}

/// Whether the text holds certificates and nothing else; a sentence where not.
pub(super) fn check_certificates(pem: &[u8]) -> Result<(), String> {
    let mut text = std::str::from_utf8(pem).unwrap_or_default();
    let mut found = false;
    while let Some(block) = next_block(text) {
        if block.kind != "CERTIFICATE" {
            return Err(format!("only CERTIFICATE PEM blocks are allowed, found {:?}", block.kind));
        }
        if block.has_headers {
            return Err("no PEM block headers are permitted".to_owned());
        }
        if block.bytes.is_empty() {
            return Err("found CERTIFICATE PEM block containing 0 certificates".to_owned());
        }
        let mut rest = block.bytes.as_slice();
        while !rest.is_empty() {
            let (certificate, after) = element(rest, SEQUENCE).map_err(|_| MALFORMED.to_owned())?;
            check_certificate(certificate).map_err(|_| MALFORMED.to_owned())?;
            rest = after;
        }
        found = true;
        text = block.rest;
    }
    if found { Ok(()) } else { Err("must contain at least one CERTIFICATE PEM block".to_owned()) }
}

const MALFORMED: &str = "x509: malformed certificate";

fn check_certificate(certificate: &[u8]) -> Result<(), String> {
    let (_body, rest) = element(certificate, SEQUENCE)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    element(rest, BIT_STRING).map(|_| ())
}

/// The first whole block of a text.
fn next_block(mut text: &str) -> Option<Block<'_>> {
    const BEGIN: &str = "-----BEGIN ";
    const DASHES: &str = "-----";
    loop {
        let at = text.find(BEGIN)?;
        let starts_line = at == 0 || text[..at].ends_with('\n');
        let after = &text[at + BEGIN.len()..];
        let line_end = after.find('\n').unwrap_or(after.len());
        let kind = after[..line_end].trim_end().strip_suffix(DASHES);
        let body = &after[line_end..];
        let end = kind.and_then(|kind| {
            let end = format!("\n-----END {kind}{DASHES}");
            body.find(&end).map(|at| (kind, at, at + end.len()))
        });
        if let Some((kind, to, next)) = end.filter(|_| starts_line) {
            let (has_headers, data) = after_headers(&body[..to]);
            if let Some(bytes) = base64(data) {
                return Some(Block { kind, has_headers, bytes, rest: &body[next..] });
            }
        }
        text = after;
    }
}

/// The lines after those that have a colon.
fn after_headers(body: &str) -> (bool, &str) {
    let mut rest = body.trim_start_matches(['\n', '\r']);
    let mut any = false;
    while let Some((_, after)) = rest.split_once('\n').filter(|(line, _)| line.contains(':')) {
        any = true;
        rest = after;
    }
    (any, rest)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let plain: String = text.split_ascii_whitespace().collect();
    serde_json::from_value::<ByteString>(Value::String(plain)).ok().map(|bytes| bytes.0)
}

/// The first element of DER, which must have the tag: its content, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Result<(&[u8], &[u8]), String> {
    const TRUNCATED: &str = "asn1: syntax error: data truncated";
    let [found, length, rest @ ..] = bytes else {
        return Err(
            if bytes.is_empty() { "asn1: syntax error: sequence truncated" } else { TRUNCATED }.to_owned()
        );
    };
    if *found != tag {
        return Err(format!("asn1: structure error: tags don't match ({tag} vs {found})"));
    }
    let (length, rest) = match *length {
        short if short < 0x80 => (usize::from(short), rest),
        long => {
            let count = usize::from(long & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return Err("asn1: structure error: length too large".to_owned());
            }
            let (digits, rest) = rest.split_at(count);
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    rest.split_at_checked(length).ok_or_else(|| TRUNCATED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_bytes_are_refused() {
        for bytes in [&b""[..], b"\xff", b"-----BEGIN X", b"-----BEGIN X-----\n-----END X-----"] {
            assert!(check_request(bytes).is_err() && check_certificates(bytes).is_err());
        }
        for bytes in
            [&[0x30][..], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 255, 255, 255, 255], &[0x31, 0]]
        {
            assert!(element(bytes, SEQUENCE).is_err(), "{bytes:?}");
        }
        assert_eq!(element(&[0x30, 1, 7, 9], SEQUENCE), Ok((&[7][..], &[9][..])));
        assert_eq!(element(&[0x30, 0x81, 1, 7], SEQUENCE), Ok((&[7][..], &[][..])));
    }
}
