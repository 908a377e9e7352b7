//! Objects as they are served: stitched from a prefix, the stored body and a suffix, nearly a copy of bytes.
//!
//! Owns the letters of objects, lists and metadata. Every served object passes through [`write`], the one place
//! that knows what a stored body lacks. Invariant: what is written is the JSON of [`Server::value`], whatever
//! the form.
//!
//! [`Server::value`]: crate::apiserver::Server::value

use serde_json::Value;

use super::content::Form;
use super::table;
use crate::api::{KindInfo, StatusError, Strategy};
use crate::apiserver::{Page, Server};
use crate::store::Record;

/// How every stored body begins.
const OPENING: &[u8] = b"{\"metadata\":{";

/// The kind of what is shown, and the version in which it is.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub strategy: &'a dyn Strategy,
    pub version: usize,
}

impl<'a> Shown<'a> {
    /// The names of the version.
    pub fn info(self) -> &'a KindInfo {
        self.strategy.versions().get(self.version).unwrap_or(self.strategy.info())
    }
}

/// Which parts of an object are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// All, with apiVersion and kind.
    Whole,
    /// All, without apiVersion and kind: an item of a list of a built-in kind.
    Item,
    /// The metadata alone, as a `PartialObjectMetadata` of this version of meta.k8s.io.
    Metadata(&'a str),
}

/// Appends an object's JSON. What is not stored in the version that is asked for is converted.
///
/// Errors: the conversion failed.
pub(super) fn write(
    out: &mut Vec<u8>,
    server: &Server,
    shown: Shown<'_>,
    record: &Record,
    part: Part<'_>,
) -> Result<(), StatusError> {
    let info = shown.info();
    let body = record.body();
    let rest = body.strip_prefix(OPENING).filter(|rest| {
        // Metadata is that of every version.
        rest.first() != Some(&b'}')
            && (matches!(part, Part::Metadata(_)) || shown.strategy.is_verbatim(shown.version))
    });
    let Some(rest) = rest else {
        write_value(out, server.value_in(record, shown.version)?, part);
        return Ok(());
    };
    out.push(b'{');
    match part {
        Part::Whole => write_type(out, &info.kind, &info.api_version),
        Part::Item => {}
        Part::Metadata(version) => {
            write_type(out, "PartialObjectMetadata", &format!("meta.k8s.io/{version}"));
        }
    }
    out.extend_from_slice(b"\"metadata\":{");
    if let Some(revision) = record.header.revision.as_text() {
        out.extend_from_slice(b"\"resourceVersion\":\"");
        out.extend_from_slice(revision.as_bytes());
        out.extend_from_slice(b"\",");
    }
    if let Some(managed) = &record.header.managed {
        out.extend_from_slice(b"\"managedFields\":");
        managed.write_json(out);
        out.push(b',');
    }
    match part {
        Part::Whole | Part::Item => out.extend_from_slice(rest),
        Part::Metadata(_) => {
            out.extend_from_slice(&rest[..end_of_object(rest)]);
            out.extend_from_slice(b"}");
        }
    }
    Ok(())
}

/// The same for a body that begins otherwise or is of another version: slower.
fn write_value(out: &mut Vec<u8>, mut value: Value, part: Part<'_>) {
    match part {
        Part::Whole => {}
        Part::Item => {
            if let Some(fields) = value.as_object_mut() {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
        }
        Part::Metadata(version) => {
            value = serde_json::json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": value["metadata"].take(),
            });
        }
    }
    out.extend_from_slice(value.to_string().as_bytes());
}

fn write_type(out: &mut Vec<u8>, kind: &str, api_version: &str) {
    out.extend_from_slice(b"\"kind\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"apiVersion\":\"");
    out.extend_from_slice(api_version.as_bytes());
    out.extend_from_slice(b"\",");
}

/// Where an object ends that has been opened already: behind its closing brace.
fn end_of_object(rest: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (1usize, false, false);
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

/// The JSON of one object in the form that was asked for.
pub(super) fn one(
    server: &Server,
    shown: Shown<'_>,
    record: &Record,
    form: &Form,
    include: table::Include,
) -> Result<Vec<u8>, StatusError> {
    let mut out = Vec::with_capacity(record.body().len() + 128);
    match form {
        Form::Table(version) => {
            let head =
                table::Head { version, revision: record.header.revision.as_text(), ..Default::default() };
            table::write(&mut out, server, shown, &head, std::iter::once(record), include)?;
        }
        Form::Partial(version) => write(&mut out, server, shown, record, Part::Metadata(version))?,
        _ => write(&mut out, server, shown, record, Part::Whole)?,
    }
    out.push(b'\n');
    Ok(out)
}

/// The JSON of a list in the form that was asked for.
pub(super) fn list(
    server: &Server,
    shown: Shown<'_>,
    page: &Page,
    form: &Form,
    include: table::Include,
) -> Result<Vec<u8>, StatusError> {
    let info = shown.info();
    let room: usize = page.items.iter().map(|record| record.body().len() + 48).sum();
    let mut out = Vec::with_capacity(room + 256);
    if let Form::Table(version) = form {
        let head = table::Head {
            version,
            revision: Some(page.revision.to_string()),
            continue_token: page.continue_token.as_deref(),
            remaining: page.remaining,
            later: false,
        };
        table::write(&mut out, server, shown, &head, page.items.iter().map(|record| &**record), include)?;
        out.push(b'\n');
        return Ok(out);
    }
    let (kind, api_version, part) = match form {
        Form::PartialList(version) | Form::Partial(version) => (
            "PartialObjectMetadataList".to_owned(),
            format!("meta.k8s.io/{version}"),
            Part::Metadata(version),
        ),
        _ => (info.list_kind.clone(), info.api_version.clone(), item_part(shown)),
    };
    out.push(b'{');
    write_type(&mut out, &kind, &api_version);
    out.extend_from_slice(b"\"metadata\":");
    let meta = list_meta(Some(&page.revision.to_string()), page.continue_token.as_deref(), page.remaining);
    out.extend_from_slice(meta.to_string().as_bytes());
    out.extend_from_slice(b",\"items\":[");
    for (at, record) in page.items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(&mut out, server, shown, record, part)?;
    }
    out.extend_from_slice(b"]}\n");
    Ok(out)
}

/// Items of built-in kinds carry no apiVersion and kind; custom resources do.
fn item_part(shown: Shown<'_>) -> Part<'static> {
    if shown.strategy.shape(0).is_custom() { Part::Whole } else { Part::Item }
}

/// The metadata of a list.
pub(super) fn list_meta(revision: Option<&str>, token: Option<&str>, remaining: Option<usize>) -> Value {
    let mut meta = serde_json::Map::new();
    if let Some(revision) = revision {
        meta.insert("resourceVersion".to_owned(), revision.into());
    }
    if let Some(token) = token {
        meta.insert("continue".to_owned(), token.into());
    }
    if let Some(remaining) = remaining {
        meta.insert("remainingItemCount".to_owned(), remaining.into());
    }
    Value::Object(meta)
}

/// JSON with line breaks, two spaces a level.
pub(super) fn pretty(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + depth * 2, b' ');
    };
    let mut bytes = json.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if quoted {
            out.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if matches!(bytes.peek(), Some(b'}' | b']')) {
                    out.extend(bytes.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                quoted = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}
