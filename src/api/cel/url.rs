//! URLs in expressions: an absolute URL or an absolute path, in parts.

use super::strings::percent_decode;

/// A URL in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// As it was written.
    pub text: String,
    /// `https`.
    pub scheme: String,
    /// `example.com:80`.
    pub host: String,
    /// `/a%20b`.
    pub path: String,
    /// Names and values, in order of the names.
    pub query: Vec<(String, Vec<String>)>,
}

impl Url {
    /// Reads a URL that has a scheme, or a path that begins at the root.
    pub fn parse(text: &str) -> Result<Url, String> {
        let fail = |why: &str| format!("parse \"{text}\": {why}");
        if text.is_empty() {
            return Err(fail("empty url"));
        }
        if text.chars().any(|c| c.is_ascii_control()) {
            return Err(fail("net/url: invalid control character in URL"));
        }
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
            _ if text.starts_with('/') => (String::new(), text),
            _ => return Err(fail("invalid URI for request")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) if !scheme.is_empty() => {
                let at = rest.find('/').unwrap_or(rest.len());
                (&rest[..at], &rest[at..])
            }
            _ => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        if host.contains([' ', '<', '>', '"']) || host.starts_with('[') && !host.contains(']') {
            return Err(fail(&format!("invalid character in host name \"{host}\"")));
        }
        if let Some((_, port)) = host_port(host)
            && !port.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(fail(&format!("invalid port \":{port}\" after host")));
        }
        if !scheme.is_empty() && host.is_empty() && !path.starts_with('/') {
            return Err(fail("invalid URI for request"));
        }
        percent_decode(path).ok_or_else(|| fail("invalid URL escape"))?;
        Ok(Url {
            text: text.to_owned(),
            scheme,
            host: host.to_owned(),
            path: path.to_owned(),
            query: read_query(query),
        })
    }

    /// The host without its port and brackets.
    pub fn hostname(&self) -> &str {
        let host = host_port(&self.host).map_or(self.host.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, if there is one.
    pub fn port(&self) -> &str {
        host_port(&self.host).map_or("", |(_, port)| port)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn host_port(host: &str) -> Option<(&str, &str)> {
    let (name, port) = host.rsplit_once(':')?;
    (!port.contains(']')).then_some((name, port))
}

fn read_query(text: &str) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| percent_decode(&text.replace('+', " "));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else { continue };
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => all.push((name, vec![value])),
        }
    }
    all.sort();
    all
}
