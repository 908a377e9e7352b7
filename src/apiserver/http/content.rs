//! What bodies are made of: which forms a caller accepts, and from bytes to a value.
//!
//! Owns content types: negotiation of the answer's, and reading JSON and YAML bodies with the fields that are in
//! them twice. Knows no kind.
//!
//! Invariant: whatever the headers hold, an answer is either in a form that the caller accepts, or a 406.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use serde_json::Value;

use super::query::{Query, WriteQuery};
use super::strict;
use crate::api::patch::JsonPatch;
use crate::api::{Reason, StatusError, manifest};
use crate::apiserver::{FieldValidation, Patch, Warnings, WriteOptions};

/// The letters of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`.
    #[default]
    Json,
    /// `application/yaml`.
    Yaml,
}

impl Encoding {
    /// Its content type.
    pub fn mime(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Yaml => "application/yaml",
        }
    }
}

/// What is told of each object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// All of it.
    #[default]
    Whole,
    /// A row of its table, in this version of meta.k8s.io.
    Table(String),
    /// Its metadata.
    Partial(String),
    /// The metadata of each in a list.
    PartialList(String),
    /// All resources of all groups at once (aggregated discovery).
    Discovery,
}

/// How to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The letters.
    pub encoding: Encoding,
    /// What is told.
    pub form: Form,
    /// With line breaks, for people.
    pub pretty: bool,
}

/// Which forms an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Objects: whole, as a table, or their metadata.
    Objects,
    /// A stream of events about objects: the same, in JSON alone.
    Events,
    /// One form.
    Plain,
    /// Discovery: plain or aggregated.
    Discovery,
}

const MIMES: &str = "application/json, application/yaml";

/// One choice of an `Accept` header.
struct Clause<'a> {
    mime: &'a str,
    params: Vec<(&'a str, &'a str)>,
    quality: f32,
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut list: Vec<Clause<'_>> = header
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let mime = parts.next().unwrap_or_default();
            let mut quality = 1.0;
            let params = parts.filter_map(|part| {
                let (name, value) = part.split_once('=')?;
                Some((name.trim(), value.trim().trim_matches('"')))
            });
            let mut kept = Vec::new();
            for (name, value) in params {
                match name {
                    "q" => quality = value.parse().unwrap_or(1.0),
                    _ => kept.push((name, value)),
                }
            }
            Clause { mime, params: kept, quality }
        })
        .collect();
    list.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    list
}

/// Chooses the form of the answer.
///
/// # Errors
/// 406 where nothing that the caller accepts can be given.
pub fn negotiate(headers: &HeaderMap, query: &Query, offer: Offer) -> Result<Accepted, StatusError> {
    let mut accepted = choose(headers, offer)?;
    let agent = header(headers, USER_AGENT.as_str());
    accepted.pretty |= match query.get("pretty").filter(|text| !text.is_empty()) {
        Some(text) => matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        None => ["curl", "Wget", "Mozilla/5.0"].iter().any(|person| agent.starts_with(person)),
    };
    Ok(accepted)
}

fn choose(headers: &HeaderMap, offer: Offer) -> Result<Accepted, StatusError> {
    let text = header(headers, ACCEPT.as_str());
    if text.is_empty() {
        return Ok(Accepted::default());
    }
    for clause in clauses(text) {
        let encodings: &[Encoding] = match clause.mime {
            "application/json" => &[Encoding::Json],
            "application/yaml" => &[Encoding::Yaml],
            "application/*" | "*/*" => &[Encoding::Json, Encoding::Yaml],
            _ => &[],
        };
        let fitting = encodings.iter().filter(|encoding| {
            // A stream has no form in YAML.
            offer != Offer::Events || **encoding == Encoding::Json
        });
        for encoding in fitting {
            if let Some(accepted) = accept(*encoding, &clause, offer) {
                return Ok(accepted);
            }
        }
    }
    let mimes = if offer == Offer::Events { "application/json;stream=watch" } else { MIMES };
    let message = format!("only the following media types are accepted: {mimes}");
    Err(StatusError::new(Reason::NotAcceptable, message))
}

fn accept(encoding: Encoding, clause: &Clause<'_>, offer: Offer) -> Option<Accepted> {
    let of = |name: &str| clause.params.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let pretty = of("pretty") == Some("1");
    if of("stream").is_some_and(|stream| !stream.is_empty() && stream != "watch") {
        return None;
    }
    if of("stream").is_some_and(|stream| stream == "watch") && encoding != Encoding::Json {
        return None;
    }
    let asked = ["as", "g", "v"].iter().any(|name| of(name).is_some());
    if !asked {
        return Some(Accepted { encoding, form: Form::Whole, pretty });
    }
    let (kind, group, version) =
        (of("as").unwrap_or_default(), of("g").unwrap_or_default(), of("v").unwrap_or_default());
    let form = match (offer, kind, group, version) {
        (Offer::Objects | Offer::Events, _, "meta.k8s.io", "v1" | "v1beta1") => match kind {
            "Table" => Form::Table(version.to_owned()),
            "PartialObjectMetadata" => Form::Partial(version.to_owned()),
            "PartialObjectMetadataList" => Form::PartialList(version.to_owned()),
            _ => return None,
        },
        (Offer::Discovery, "APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Form::Discovery,
        _ => return None,
    };
    Some(Accepted { encoding, form, pretty })
}

/// The text of a header; empty where it is missing or no text.
pub fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The content type of a request, without its parameters.
fn mime(headers: &HeaderMap) -> &str {
    header(headers, CONTENT_TYPE.as_str()).split(';').next().unwrap_or_default().trim()
}

/// A body, read.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// What it says. Of fields that are there twice the last counts.
    pub value: Value,
    /// The fields that are there twice.
    pub doubled: Vec<String>,
}

/// Reads the body of a write.
///
/// # Errors
/// [`Unreadable`]: a content type that is not understood, or the words of what is wrong.
pub fn read(headers: &HeaderMap, body: &[u8], validation: FieldValidation) -> Result<Given, Unreadable> {
    match mime(headers) {
        "" | "application/json" => {
            let (value, doubled) = strict::read_json(body).map_err(Unreadable::Json)?;
            Ok(Given { value, doubled })
        }
        "application/yaml" | "application/x-yaml" | "text/yaml" => read_yaml(body, validation),
        _ => Err(Unreadable::Type(format!(
            "the body of the request was in an unknown format - accepted media types include: {MIMES}"
        ))),
    }
}

fn read_yaml(body: &[u8], validation: FieldValidation) -> Result<Given, Unreadable> {
    let (value, doubled) = match manifest::read_one(body) {
        Ok(read) => read,
        Err(error) => return Err(Unreadable::Yaml(error.to_string())),
    };
    let doubled = match validation {
        FieldValidation::Ignore => Vec::new(),
        _ => doubled
            .into_iter()
            .map(|(line, key)| format!("line {line}: key {key:?} already set in map"))
            .collect(),
    };
    Ok(Given { value, doubled })
}

/// Why a body gives no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its content type is not understood.
    Type(String),
    /// It is no JSON.
    Json(String),
    /// It is no YAML.
    Yaml(String),
}

impl Unreadable {
    /// As a refusal, for bodies that are no object of a kind.
    pub fn refusal(self) -> StatusError {
        match self {
            Unreadable::Type(message) => StatusError::new(Reason::UnsupportedMediaType, message),
            Unreadable::Json(cause) => {
                StatusError::bad_request(format!("couldn't get version/kind; json parse error: {cause}"))
            }
            Unreadable::Yaml(cause) => StatusError::bad_request(format!("yaml: {cause}")),
        }
    }
}

/// What is wrong with a list of fields, in one sentence.
pub fn strict_error(fields: &[String]) -> String {
    format!("strict decoding error: {}", fields.join(", "))
}

/// The ways to tell a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// By list keys.
    Strategic,
    /// Server-side apply.
    Apply,
}

/// The way that a request tells its change.
///
/// # Errors
/// 415 for none of them.
pub fn patch_type(headers: &HeaderMap) -> Result<PatchType, StatusError> {
    Ok(match mime(headers) {
        "application/json-patch+json" => PatchType::Json,
        "application/merge-patch+json" => PatchType::Merge,
        "application/strategic-merge-patch+json" => PatchType::Strategic,
        "application/apply-patch+yaml" => PatchType::Apply,
        _ => {
            let message = "the body of the request was in an unknown format - accepted media types include: \
                           application/json-patch+json, application/merge-patch+json, \
                           application/strategic-merge-patch+json, application/apply-patch+yaml";
            return Err(StatusError::new(Reason::UnsupportedMediaType, message));
        }
    })
}

/// A patch from the body of a request. The one place where wire and patches meet.
///
/// # Errors
/// 400 for a body that is no such patch, 413 for one with too many operations, 415 for a type that the door does
/// not take.
pub fn patch_of(kind: PatchType, body: &[u8], write: &WriteQuery) -> Result<Patch, StatusError> {
    let WriteQuery { options: WriteOptions { field_validation: validation, warnings, .. }, force } = write;
    let validation = *validation;
    let undecodable = |cause: String| StatusError::bad_request(format!("error decoding patch: {cause}"));
    match kind {
        PatchType::Json => {
            let (value, doubled) = strict::read_json(body).map_err(undecodable)?;
            judge_doubled(doubled.iter().map(|field| format!("json patch {field}")), validation, warnings)?;
            let operations = JsonPatch::from_value(value).map_err(|cause| {
                let reason = match cause {
                    crate::api::patch::PatchError::Many(_) => Reason::RequestEntityTooLarge,
                    _ => Reason::BadRequest,
                };
                StatusError::new(reason, cause.to_string())
            })?;
            Ok(Patch::Json(operations))
        }
        PatchType::Merge => {
            let (value, doubled) = strict::read_json(body).map_err(undecodable)?;
            if !value.is_object() {
                return Err(StatusError::bad_request("Invalid JSON Patch"));
            }
            judge_doubled(doubled.into_iter(), validation, warnings)?;
            Ok(Patch::Merge(value))
        }
        PatchType::Strategic => {
            let (value, doubled) = strict::read_json(body).map_err(undecodable)?;
            judge_doubled(doubled.into_iter(), validation, warnings)?;
            Ok(Patch::Strategic(value))
        }
        PatchType::Apply => {
            let undecodable = |cause| match cause {
                Unreadable::Type(text) | Unreadable::Json(text) | Unreadable::Yaml(text) => {
                    StatusError::bad_request(format!("error decoding YAML: {text}"))
                }
            };
            let Given { value, doubled } = read_yaml(body, validation).map_err(undecodable)?;
            judge_doubled(doubled.into_iter(), validation, warnings)?;
            Ok(Patch::Apply { value, force: *force == Some(true) })
        }
    }
}

fn judge_doubled(
    doubled: impl Iterator<Item = String>,
    validation: FieldValidation,
    warnings: &Warnings,
) -> Result<(), StatusError> {
    match validation {
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            doubled.for_each(|field| warnings.add(field));
            Ok(())
        }
        FieldValidation::Strict => {
            let fields: Vec<String> = doubled.collect();
            if fields.is_empty() {
                return Ok(());
            }
            let message = format!(" \"\" is invalid: patch: Invalid value: {}", strict_error(&fields));
            Err(StatusError::new(Reason::Invalid, message))
        }
    }
}
