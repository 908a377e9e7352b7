//! Where a webhook is: what its URL or the path at its Service may be.
//!
//! Knows no kind. Reads URLs as Go's library does, as far as its answers are seen; connects to nothing.

use crate::api::error::{FieldErrors, FieldPath};
use crate::api::names::{is_dns1123_subdomain, is_port_number};

const FORM: &str = "; desired format: https://host[/path]";

/// The parts of a URL that a webhook's rules look at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Url<'a> {
    scheme: String,
    user: Option<&'a str>,
    host: &'a str,
    query: &'a str,
    fragment: &'a str,
}

/// Collects what is wrong with the URL of a webhook.
pub(crate) fn validate_webhook_url(url: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let parts = match parse(url) {
        Ok(parts) => parts,
        Err(wrong) => {
            let detail = format!("url must be a valid URL: parse {url:?}: {wrong}{FORM}");
            errors.required(path, detail);
            return;
        }
    };
    if parts.scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        errors.invalid(path, parts.scheme, detail);
    }
    if parts.host.is_empty() {
        errors.invalid(path, "", format!("host must be specified{FORM}"));
    }
    if let Some(user) = parts.user {
        errors.invalid(path, user, "user information is not permitted in the URL");
    }
    if !parts.fragment.is_empty() {
        errors.invalid(path, parts.fragment, "fragments are not permitted in the URL");
    }
    if !parts.query.is_empty() {
        errors.invalid(path, parts.query, "query parameters are not permitted in the URL");
    }
}

/// Collects what is wrong with the Service of a webhook.
pub(crate) fn validate_webhook_service(
    namespace: &str,
    name: &str,
    at: Option<&str>,
    port: i32,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    // Upstream's callers hand over name and namespace in the wrong order: its answers name the other field.
    if namespace.is_empty() {
        errors.required(&path.child("name"), "");
    }
    if name.is_empty() {
        errors.required(&path.child("namespace"), "");
    }
    let wrong = is_port_number(port.into());
    if !wrong.is_empty() {
        errors.invalid(&path.child("port"), port, format!("port is not valid: {}", wrong.join(", ")));
    }
    if let Some(at) = at {
        validate_path(at, &path.child("path"), errors);
    }
}

fn validate_path(at: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match at {
        "" | "/" => return,
        "//" => {
            errors.invalid(path, at, "segment[0] may not be empty");
            return;
        }
        _ => {}
    }
    if !at.starts_with('/') {
        errors.invalid(path, at, "must start with a '/'");
    }
    // Upstream drops the first byte, whatever it is.
    let first = at.chars().next().map_or(0, char::len_utf8);
    let rest = &at[first..];
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    for (number, step) in rest.split('/').enumerate() {
        if step.is_empty() {
            errors.invalid(path, at, format!("segment[{number}] may not be empty"));
            continue;
        }
        for wrong in is_dns1123_subdomain(step) {
            errors.invalid(path, at, format!("segment[{number}]: {wrong}"));
        }
    }
}

/// Takes a URL apart; the sentence of Go's library where it is none.
fn parse(url: &str) -> Result<Url<'_>, String> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    check_escapes(fragment)?;
    let (scheme, rest) = split_scheme(url)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = Url { scheme: scheme.to_ascii_lowercase(), query, fragment, ..Url::default() };
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            // What has a scheme and no slash is opaque.
            return Ok(parts);
        }
        if rest.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let Some(authority) = rest.strip_prefix("//").filter(|_| !rest.starts_with("///") || !scheme.is_empty())
    else {
        check_escapes(rest)?;
        return Ok(parts);
    };
    let (authority, at) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
    check_escapes(at)?;
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if user.is_some_and(|user| !user.bytes().all(is_user_byte)) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    check_host(host)?;
    (parts.user, parts.host) = (user, host);
    Ok(parts)
}

fn split_scheme(url: &str) -> Result<(&str, &str), String> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&url[..at], &url[at + 1..])),
            _ => break,
        }
    }
    Ok(("", url))
}

fn is_user_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

fn check_host(host: &str) -> Result<(), String> {
    let port = if let Some(rest) = host.strip_prefix('[') {
        let Some((_, port)) = rest.rsplit_once(']') else {
            return Err("missing ']' in host".to_owned());
        };
        port
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    if !port.is_empty()
        && !port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(format!("invalid port {port:?} after host"));
    }
    let fits = |letter: char| {
        !letter.is_ascii() || letter.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"%".contains(letter)
    };
    if let Some(letter) = host.chars().find(|letter| !fits(*letter)) {
        return Err(format!("invalid character {:?} in host name", letter.to_string()));
    }
    match first_wrong_escape(host) {
        Some(escape) => Err(format!("invalid URL escape {escape:?}")),
        None => Ok(()),
    }
}

fn check_escapes(text: &str) -> Result<(), String> {
    first_wrong_escape(text).map_or(Ok(()), |escape| Err(format!("invalid URL escape {escape:?}")))
}

fn first_wrong_escape(text: &str) -> Option<&str> {
    text.match_indices('%').map(|(at, _)| &text[at..]).find_map(|rest| {
        let valid = rest.len() >= 3 && rest.as_bytes()[1..3].iter().all(u8::is_ascii_hexdigit);
        let end = rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at);
        (!valid).then(|| &rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds what is wrong with each URL against lines.
    fn check(rows: &[(&str, &str)]) {
        for (url, expected) in rows {
            let mut errors = FieldErrors::default();
            validate_webhook_url(url, &FieldPath::new("url"), &mut errors);
            let found: String = errors.into_list().iter().map(|error| format!("{error}\n")).collect();
            assert_eq!(found, *expected, "{url}");
        }
    }

    #[test]
    fn urls() {
        check(&[
            ("https://example.com", ""),
            ("https://example.com:443/a/b", ""),
            ("https://[::1]:8443/", ""),
            ("HTTPS://127.0.0.1/", ""),
            (
                "http://example.com",
                "url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]\n",
            ),
            (
                "example.com/a",
                "url: Invalid value: \"\": 'https' is the only allowed URL scheme; desired format: https://host[/path]\n\
                 url: Invalid value: \"\": host must be specified; desired format: https://host[/path]\n",
            ),
            (
                "https:///a",
                "url: Invalid value: \"\": host must be specified; desired format: https://host[/path]\n",
            ),
            (
                "https://me:you@example.com",
                "url: Invalid value: \"me:you\": user information is not permitted in the URL\n",
            ),
            (
                "https://example.com/?a=b#c",
                "url: Invalid value: \"c\": fragments are not permitted in the URL\n\
                 url: Invalid value: \"a=b\": query parameters are not permitted in the URL\n",
            ),
            (
                "://a",
                "url: Required value: url must be a valid URL: parse \"://a\": missing protocol scheme; desired format: https://host[/path]\n",
            ),
            (
                "https://a:b",
                "url: Required value: url must be a valid URL: parse \"https://a:b\": invalid port \":b\" after host; desired format: https://host[/path]\n",
            ),
            (
                "https://a/%zz",
                "url: Required value: url must be a valid URL: parse \"https://a/%zz\": invalid URL escape \"%zz\"; desired format: https://host[/path]\n",
            ),
            (
                "https://a b/",
                "url: Required value: url must be a valid URL: parse \"https://a b/\": invalid character \" \" in host name; desired format: https://host[/path]\n",
            ),
        ]);
    }
}
