//! What a name, a key or a label value may look like.
//!
//! Owns the character and length rules of Kubernetes' identifiers, with the sentences that its API server
//! answers. Knows no kind: which rule a field follows is decided where the kind is declared.
//!
//! Each check returns every sentence that applies; an empty answer means that the value is fine.
//!
//! Invariant: lengths are counted in bytes, and every accepted value is ASCII.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::{GENERATED_NAME_BYTES, GENERATED_SUFFIX};
use crate::world::{Entropy, name_suffix};

/// The longest label of DNS, in bytes.
pub const DNS_LABEL_BYTES: usize = 63;

/// The longest subdomain of DNS, in bytes.
pub const DNS_SUBDOMAIN_BYTES: usize = 253;

/// The longest value of a label, and the longest name part of a label's key, in bytes.
pub const LABEL_BYTES: usize = 63;

/// The longest name of a port, in bytes.
pub const PORT_NAME_BYTES: usize = 15;

const LABEL_1123: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_1123: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const WILDCARD_1123: &str = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_UNDERSCORE: &str = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

/// A label of DNS as RFC 1123 has it: the name of a Namespace, of a container, of a volume.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, DNS_LABEL_BYTES);
    if !matches_label(value.as_bytes(), is_lower_alphanumeric) {
        if matches_subdomain(value) {
            wrong.push("must not contain dots".to_owned());
        } else {
            wrong.push(pattern_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                 start and end with an alphanumeric character",
                LABEL_1123,
                &["my-name", "123-abc"],
            ));
        }
    }
    wrong
}

/// A subdomain of DNS as RFC 1123 has it: the name of most objects.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, DNS_SUBDOMAIN_BYTES);
    if !matches_subdomain(value) {
        wrong.push(subdomain_error());
    }
    wrong
}

/// A subdomain of DNS below any name: `*.example.com`.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, DNS_SUBDOMAIN_BYTES);
    if !value.strip_prefix("*.").is_some_and(matches_subdomain) {
        wrong.push(pattern_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
             consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            WILDCARD_1123,
            &["*.example.com"],
        ));
    }
    wrong
}

/// A subdomain of DNS whose labels may also hold underscores: a search domain of a pod.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, DNS_SUBDOMAIN_BYTES);
    let fits = |label: &str| {
        let rest = label.strip_prefix('_').unwrap_or(label);
        !rest.starts_with('_') && matches_label(rest.replace('_', "-").as_bytes(), is_lower_alphanumeric)
    };
    if !value.split('.').all(fits) {
        wrong.push(pattern_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
             must start and end with an alphanumeric character",
            SUBDOMAIN_UNDERSCORE,
            &["example.com"],
        ));
    }
    wrong
}

/// A label of DNS as RFC 1035 has it, which begins with a letter.
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, DNS_LABEL_BYTES);
    if !matches_label(value.as_bytes(), |byte| byte.is_ascii_lowercase()) {
        wrong.push(pattern_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character",
            LABEL_1035,
            &["my-name", "abc-123"],
        ));
    }
    wrong
}

/// Holds `name` against `check`, as the name of an object or, with `prefix`, as a `generateName`: a prefix may
/// end in a dash, since characters will follow.
pub fn check_name(check: fn(&str) -> Vec<String>, name: &str, prefix: bool) -> Vec<String> {
    // Upstream puts one letter in the place of the last two characters; the answers depend on it.
    if prefix && name.len() > 1 && name.ends_with('-') {
        let kept = name.len() - 2;
        if name.is_char_boundary(kept) {
            return check(&format!("{}a", &name[..kept]));
        }
    }
    check(name)
}

/// A qualified name: the key of a label, of a selector, of a resource, a condition's type.
pub fn is_qualified_name(value: &str) -> Vec<String> {
    const RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                        alphanumeric character";
    const EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
    let mut wrong = Vec::new();
    let name = match value.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                if prefix.len() > DNS_SUBDOMAIN_BYTES {
                    wrong.push(format!("prefix part must be no more than {DNS_SUBDOMAIN_BYTES} bytes"));
                }
                if !matches_subdomain(prefix) {
                    wrong.push(format!("prefix part {}", subdomain_error()));
                }
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                pattern_error(RULE, LABEL_KEY, &EXAMPLES)
            )];
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES {
        wrong.push(format!("name part must be no more than {LABEL_BYTES} bytes"));
    }
    if !matches_label_name(name) {
        wrong.push(format!("name part {}", pattern_error(RULE, LABEL_KEY, &EXAMPLES)));
    }
    wrong
}

/// The key of an annotation: a qualified name whose case does not matter.
pub fn is_annotation_key(value: &str) -> Vec<String> {
    is_qualified_name(&value.to_lowercase())
}

/// The name of a finalizer: a qualified name.
pub fn is_finalizer_name(value: &str) -> Vec<String> {
    is_qualified_name(value)
}

/// The value of a label.
pub fn is_label_value(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > LABEL_BYTES {
        wrong.push(format!("must be no more than {LABEL_BYTES} bytes"));
    }
    if !value.is_empty() && !matches_label_name(value) {
        wrong.push(pattern_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character",
            LABEL_VALUE,
            &["MyValue", "my_value", "12345"],
        ));
    }
    wrong
}

/// The name of a port, as IANA names services.
pub fn is_port_name(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, PORT_NAME_BYTES);
    if value.is_empty() || !value.bytes().all(|byte| is_lower_alphanumeric(byte) || byte == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".to_owned());
    }
    if value.contains("--") {
        wrong.push("must not contain consecutive hyphens".to_owned());
    }
    if value.starts_with('-') || value.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".to_owned());
    }
    wrong
}

/// The number of a port.
pub fn is_port_number(port: i64) -> Vec<String> {
    in_range(port, 1, 65535)
}

/// A number within bounds that both count.
pub fn in_range(value: i64, low: i64, high: i64) -> Vec<String> {
    if (low..=high).contains(&value) {
        return Vec::new();
    }
    vec![format!("must be between {low} and {high}, inclusive")]
}

/// The name of an environment variable: printable ASCII without `=`, as Kubernetes allows since its rules were
/// relaxed.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    if value.is_empty() {
        return vec!["environment variable name must be non-empty".to_owned()];
    }
    if value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// The key of a ConfigMap or Secret, which becomes a file's name.
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, DNS_SUBDOMAIN_BYTES);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if value.is_empty() || !value.bytes().all(fits) {
        wrong.push(pattern_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            CONFIG_KEY,
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match value {
        "." => wrong.push("must not be '.'".to_owned()),
        ".." => wrong.push("must not be '..'".to_owned()),
        _ if value.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// A name that can stand as one segment of a path: the least that every object's name must be.
pub fn is_path_segment_name(value: &str) -> Vec<String> {
    if matches!(value, "." | "..") {
        return vec![format!("may not be '{value}'")];
    }
    let contained = ["/", "%"].iter().filter(|part| value.contains(**part));
    contained.map(|part| format!("may not contain '{part}'")).collect()
}

/// A percentage, such as a Deployment's `maxSurge` may be.
pub fn is_percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    vec![pattern_error(
        "a valid percent string must be a numeric string followed by an ending '%'",
        "[0-9]+%",
        &["1%", "93%"],
    )]
}

/// The name of an HTTP header.
pub fn is_http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Vec::new();
    }
    vec![pattern_error(
        "a valid HTTP header must consist of alphanumeric characters or '-'",
        "[-A-Za-z0-9]+",
        &["X-Header-Name"],
    )]
}

/// Reads an address as Kubernetes always has: zeros in front of a number are passed over.
///
/// An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) comes back as IPv6; `to_canonical` unwraps it.
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if !value.contains(':') {
        return parse_ipv4_sloppy(value).map(IpAddr::V4);
    }
    let (groups, tail) = match value.rsplit_once(':') {
        Some((front, last)) if last.contains('.') => {
            let [a, b, c, d] = parse_ipv4_sloppy(last)?.octets();
            (front, format!(":{:x}:{:x}", u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        _ => (value, String::new()),
    };
    let short = groups.split(':').map(|group| match group.trim_start_matches('0') {
        "" if group.is_empty() => "",
        "" => "0",
        rest => rest,
    });
    let plain = short.collect::<Vec<_>>().join(":") + &tail;
    plain.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// An address in a field that was there before the rules became strict: any spelling that means one address
/// alone.
pub fn is_ip_for_old_field(value: &str) -> Vec<String> {
    if parse_ip_sloppy(value).is_none() {
        return vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()];
    }
    match value.parse::<IpAddr>() {
        Err(_) => vec!["must not have leading 0s".to_owned()],
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".to_owned()]
        }
        Ok(_) => Vec::new(),
    }
}

/// An address in the one spelling that Kubernetes would give it.
pub fn is_ip(value: &str) -> Vec<String> {
    let wrong = is_ip_for_old_field(value);
    match value.parse::<IpAddr>() {
        Ok(address) if wrong.is_empty() && address.to_string() != value => {
            vec![format!("must be in canonical form (\"{address}\")")]
        }
        _ => wrong,
    }
}

/// A name made from a `generateName`: the base, cut so that the whole fits, and five random characters.
pub fn generate_name(base: &str, entropy: &dyn Entropy) -> String {
    let mut kept = base.len().min(GENERATED_NAME_BYTES - GENERATED_SUFFIX);
    while !base.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{}", &base[..kept], name_suffix(entropy, GENERATED_SUFFIX))
}

fn too_long(value: &str, most: usize) -> Vec<String> {
    if value.len() > most { vec![format!("must be no more than {most} characters")] } else { Vec::new() }
}

fn pattern_error(rule: &str, pattern: &str, examples: &[&str]) -> String {
    let examples = examples.iter().map(|example| format!("'{example}', ")).collect::<Vec<_>>().join(" or ");
    format!("{rule} (e.g. {examples}regex used for validation is '{pattern}')")
}

fn subdomain_error() -> String {
    pattern_error(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
         start and end with an alphanumeric character",
        SUBDOMAIN_1123,
        &["example.com"],
    )
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// A label of lower-case letters, digits and inner dashes, whose first byte passes `first`.
fn matches_label(value: &[u8], first: fn(u8) -> bool) -> bool {
    let (Some(head), Some(last)) = (value.first(), value.last()) else { return false };
    first(*head)
        && is_lower_alphanumeric(*last)
        && value.iter().all(|byte| is_lower_alphanumeric(*byte) || *byte == b'-')
}

fn matches_subdomain(value: &str) -> bool {
    value.split('.').all(|label| matches_label(label.as_bytes(), is_lower_alphanumeric))
}

fn matches_label_name(value: &str) -> bool {
    let bytes = value.as_bytes();
    let (Some(head), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    head.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn parse_ipv4_sloppy(value: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        let digits = parts.next()?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0');
        *octet = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::SeededEntropy;

    /// Rows of `value | sentence; sentence`, each sentence cut to its beginning; no sentence means fine.
    fn check(rule: fn(&str) -> Vec<String>, table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (value, expected) = row.split_once('|').expect("a row has a bar");
            let value = value.trim().replace("<a*64>", &"a".repeat(64)).replace("<a*254>", &"a".repeat(254));
            let value = value.replace("<space>", " ").replace("<tab>", "\t");
            let expected: Vec<&str> =
                expected.split(';').map(str::trim).filter(|sentence| !sentence.is_empty()).collect();
            let got = rule(&value);
            assert_eq!(got.len(), expected.len(), "{value:?}: {got:?}");
            for (got, expected) in got.iter().zip(expected) {
                assert!(got.starts_with(expected), "{value:?}: {got:?} does not begin with {expected:?}");
            }
        }
    }

    #[test]
    fn labels_and_subdomains() {
        check(
            is_dns1123_label,
            "a|
             0-a|
             my-name|
             my.name| must not contain dots
             <a*64>| must be no more than 63 characters
             | a lowercase RFC 1123 label
             -a| a lowercase RFC 1123 label
             a-| a lowercase RFC 1123 label
             A| a lowercase RFC 1123 label
             ä| a lowercase RFC 1123 label
             <a*64>_| must be no more than 63 characters; a lowercase RFC 1123 label",
        );
        check(
            is_dns1123_subdomain,
            "a.b-c.0|
             <a*64>|
             <a*254>| must be no more than 253 characters
             a..b| a lowercase RFC 1123 subdomain
             a.| a lowercase RFC 1123 subdomain
             .a| a lowercase RFC 1123 subdomain
             a-.b| a lowercase RFC 1123 subdomain",
        );
        check(
            is_dns1123_subdomain_with_underscore,
            "_tcp.a_b.example.com|
             a|
             __a| a lowercase RFC 1123 subdomain
             a_| a lowercase RFC 1123 subdomain
             _| a lowercase RFC 1123 subdomain",
        );
        check(
            is_dns1035_label,
            "a-0|
             0a| a DNS-1035 label
             a.b| a DNS-1035 label",
        );
    }

    #[test]
    fn sentences_are_whole() {
        assert_eq!(
            is_dns1123_label("A"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                 start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                 validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(
            is_qualified_name("a/b/c"),
            [
                "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                 with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                 validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix \
                 and '/' (e.g. 'example.com/MyName')"
            ]
        );
    }

    #[test]
    fn keys_and_values() {
        check(
            is_qualified_name,
            "app|
             app.kubernetes.io/name|
             A_b.c|
             | name part must be non-empty; name part must consist
             /a| prefix part must be non-empty
             a/| name part must be non-empty; name part must consist
             A.com/a| prefix part a lowercase RFC 1123 subdomain
             <a*254>/a| prefix part must be no more than 253 bytes
             <a*64>| name part must be no more than 63 bytes
             -a| name part must consist",
        );
        check(is_annotation_key, "Example.com/Key|");
        check(
            is_label_value,
            "|
             1.2_3|
             a b| a valid label must be an empty string
             <a*64>| must be no more than 63 bytes",
        );
    }

    #[test]
    fn ports_keys_and_variables() {
        check(
            is_port_name,
            "http|
             http2-a|
             80| must contain at least one letter
             | must contain only alpha-numeric; must contain at least one letter
             a--b| must not contain consecutive hyphens
             -a| must not begin or end with a hyphen
             Http| must contain only alpha-numeric
             abcdefghijklmnop| must be no more than 15 characters",
        );
        check(
            is_env_var_name,
            "A|
             1 a%|
             a=b| a valid environment variable name
             a<tab>b| a valid environment variable name
             ä| a valid environment variable name
             | environment variable name must be non-empty",
        );
        check(
            is_config_map_key,
            ".a|
             a_B-1.txt|
             .| must not be '.'
             ..| must not be '..'
             ..a| must not start with '..'
             a/b| a valid config key
             | a valid config key",
        );
        check(
            is_path_segment_name,
            "a:b|
             .| may not be '.'
             ..| may not be '..'
             a/%| may not contain '/'; may not contain '%'",
        );
        check(is_percent, "0%|\n 100%|\n %| a valid percent\n 1| a valid percent\n -1%| a valid percent");
    }

    #[test]
    fn addresses() {
        check(
            is_ip,
            "10.9.8.7|
             2001:db8::ffff|
             ::|
             010.0.0.1| must not have leading 0s
             ::ffff:1.2.3.4| must not be an IPv4-mapped
             2001:DB8::1| must be in canonical form (\"2001:db8::1\")
             256.0.0.1| must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
             1.2.3| must be a valid IP address
             1.2.3.4.5| must be a valid IP address
             | must be a valid IP address
             a| must be a valid IP address
             1::2::3| must be a valid IP address
             fe80::1%eth0| must be a valid IP address
             00001::| must not have leading 0s",
        );
        assert_eq!(parse_ip_sloppy("010.002.003.004"), Some(IpAddr::V4(Ipv4Addr::new(10, 2, 3, 4))));
        assert_eq!(parse_ip_sloppy("::ffff:01.2.3.4"), "::ffff:1.2.3.4".parse().ok());
    }

    #[test]
    fn prefixes_may_end_in_a_dash() {
        assert!(check_name(is_dns1123_subdomain, "web-", true).is_empty());
        assert!(!check_name(is_dns1123_subdomain, "web-", false).is_empty());
        assert!(!check_name(is_dns1123_subdomain, "ä-", true).is_empty());
    }

    #[test]
    fn generated_names_fit() {
        let entropy = SeededEntropy::from_seed(1);
        assert_eq!(generate_name("web-", &entropy).len(), 9);
        assert_eq!(generate_name(&"a".repeat(300), &entropy).len(), 63);
        assert!(generate_name(&"ä".repeat(300), &entropy).len() <= 63);
    }
}
