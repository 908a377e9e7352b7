//! The grammar of paths: from a method and a path to what is asked for.
//!
//! Pure: knows neither kinds nor groups, so a path may name what no cluster has. Invariant: every path is some
//! [`Request`], and a resource request has a resource.

use http::Method;

use crate::api::StatusError;

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `/`: the list of paths.
    Root,
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`, and what stands below them.
    Health,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: the groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` and `/apis/GROUP/VERSION`: the resources of a version.
    Resources {
        /// Empty for the core.
        group: String,
        /// The version.
        version: String,
    },
    /// Objects of a resource.
    Objects(Target),
    /// Nothing that an API server has.
    Unknown,
}

/// What a resource request is about, and what is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is to be done, as far as method and path say it: a list may still turn out to be a watch.
    pub verb: Verb,
    /// Empty for the core.
    pub group: String,
    /// The version.
    pub version: String,
    /// The namespace that the path names.
    pub namespace: Option<String>,
    /// The plural.
    pub resource: String,
    /// The object.
    pub name: Option<String>,
    /// The subresource of the object.
    pub subresource: Option<String>,
    /// What stands after the subresource.
    pub rest: String,
}

/// What is to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read many.
    List,
    /// Follow many, or one.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change one.
    Patch,
    /// Delete one.
    Delete,
    /// Delete many.
    DeleteCollection,
    /// A method that no resource has.
    Other,
}

impl Verb {
    /// As discovery and access rules spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "deletecollection",
            Verb::Other => "",
        }
    }
}

/// The subresources of a namespace: what else stands there is a resource in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Reads a path, still percent-encoded.
///
/// # Errors
/// 400 for escapes that are none and bytes that are no text.
pub fn parse(method: &Method, path: &str) -> Result<Request, StatusError> {
    let path = decode(path).ok_or_else(|| {
        StatusError::bad_request(format!("invalid URL escape or text in the path {path:?}"))
    })?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    Ok(match parts[..] {
        [""] => Request::Root,
        ["version"] => Request::Version,
        ["healthz" | "livez" | "readyz", ..] => Request::Health,
        ["api"] => Request::CoreVersions,
        ["apis"] => Request::Groups,
        ["apis", group] => Request::Group(group.to_owned()),
        ["api", version] => Request::Resources { group: String::new(), version: version.to_owned() },
        ["apis", group, version] => {
            Request::Resources { group: group.to_owned(), version: version.to_owned() }
        }
        ["api", version, ref rest @ ..] => objects(method, "", version, rest),
        ["apis", group, version, ref rest @ ..] => objects(method, group, version, rest),
        _ => Request::Unknown,
    })
}

fn objects(method: &Method, group: &str, version: &str, parts: &[&str]) -> Request {
    // The old way to watch: a word before the resource.
    let (watched, parts) = match parts {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        parts => (false, parts),
    };
    let (namespace, parts) = match parts {
        ["namespaces", namespace, below, ..] if !NAMESPACE_SUBRESOURCES.contains(below) => {
            (Some((*namespace).to_owned()), &parts[2..])
        }
        parts => (None, parts),
    };
    if parts.iter().take(3).any(|part| part.is_empty()) {
        return Request::Unknown;
    }
    let at = |index: usize| parts.get(index).map(|part| (*part).to_owned());
    let Some(resource) = at(0) else { return Request::Unknown };
    let name = at(1);
    let verb = match (method, &name) {
        (&Method::GET, _) if watched => Verb::Watch,
        _ if watched => Verb::Other,
        (&Method::GET, Some(_)) => Verb::Get,
        (&Method::GET, None) => Verb::List,
        (&Method::POST, _) => Verb::Create,
        (&Method::PUT, _) => Verb::Update,
        (&Method::PATCH, _) => Verb::Patch,
        (&Method::DELETE, Some(_)) => Verb::Delete,
        (&Method::DELETE, None) => Verb::DeleteCollection,
        _ => Verb::Other,
    };
    let rest = parts.get(3..).unwrap_or_default().join("/");
    Request::Objects(Target {
        verb,
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        resource,
        name,
        subresource: at(2),
        rest,
    })
}

/// Takes percent escapes away; `None` where they are none or leave no text.
pub(super) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}
