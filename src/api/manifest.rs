//! Manifests: from a file's text to the objects that it holds, and back.
//!
//! Owns reading YAML as kubectl reads it (YAML 1.1 scalars, so that `0644` is 420 and `on` is true), JSON, many
//! documents and Lists, and the line of everything that was read. Knows no kind: what the objects mean, and
//! whether their fields exist, is decided by whoever decodes them.
//!
//! Invariant: memory and time are bounded by the limits, whatever aliases the text holds, and each error says
//! in which document and on which line it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::limits::{MANIFEST_BYTES, MANIFEST_DEPTH, MANIFEST_DOCUMENTS, MANIFEST_VALUES};

mod json;
mod node;
mod scalar;
mod write;
mod yaml;

use node::{Node, Segment};

pub use write::to_yaml;

/// What is wrong at one place of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is larger than a manifest may be.
    #[error("a manifest must be no more than {MANIFEST_BYTES} bytes")]
    Large,
    /// The bytes are no text.
    #[error("the text is not valid UTF-8")]
    NotText,
    /// Something other than a comment follows `---` on its line.
    #[error("invalid Yaml document separator: {0}")]
    Separator(String),
    /// The text is neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// Values lie too deep in one another.
    #[error("values nest deeper than {MANIFEST_DEPTH} levels")]
    Deep,
    /// There are too many documents.
    #[error("a manifest must hold no more than {MANIFEST_DOCUMENTS} objects")]
    ManyDocuments,
    /// There are too many values.
    #[error("a manifest must hold no more than {MANIFEST_VALUES} values")]
    ManyValues,
    /// Aliases make documents far larger than their text.
    #[error("document contains excessive aliasing")]
    Aliasing,
    /// An alias stands within the value that it repeats.
    #[error("anchor value contains itself")]
    Loop,
    /// A mapping has one key twice.
    #[error("key {0:?} already set in map")]
    DuplicateKey(String),
    /// A key is no scalar, or null.
    #[error("invalid map key: {0}")]
    Key(&'static str),
    /// The value of `<<` is neither a mapping nor a list of mappings.
    #[error("map merge requires map or sequence of maps as the value")]
    Merge,
    /// A scalar is not what its tag says.
    #[error("cannot decode `{text}` as a {tag}")]
    Tag {
        /// The scalar.
        text: String,
        /// The tag, in its short form.
        tag: String,
    },
    /// A number that JSON has no word for.
    #[error("unsupported value: {0}")]
    NotFinite(String),
    /// The document is no mapping.
    #[error("an object is expected here, not {0}")]
    NotAnObject(&'static str),
    /// The object does not say what it is: the fields that are missing.
    #[error("{}", missing(.0))]
    Untyped(Vec<&'static str>),
    /// A field cannot be read as its type, in the words of whoever decodes it.
    #[error("{0}")]
    Field(String),
}

/// A manifest cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("document {document}, line {line}: {}{problem}", field_prefix(.field))]
pub struct ManifestError {
    /// The document, counted from 1; empty documents do not count.
    pub document: usize,
    /// The line of the text, counted from 1.
    pub line: usize,
    /// The field's path, such as `spec.containers[0].name`; empty where it is not about a field.
    pub field: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What an object says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeMeta<'a> {
    /// Its group and version, such as `apps/v1`.
    pub api_version: &'a str,
    /// Its kind.
    pub kind: &'a str,
}

/// One object of a manifest.
#[derive(Clone)]
pub struct Document {
    /// The document that it stands in, counted from 1. The items of a List share their document.
    pub index: usize,
    /// The line that it begins on, counted from 1.
    pub line: usize,
    /// The object.
    pub value: Value,
    node: Arc<Node>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("index", &self.index)
            .field("line", &self.line)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

impl Document {
    /// The line of a field, given as a JSON pointer (`/spec/replicas`) or as a path in an error's style
    /// (`spec.containers[0].name`). A field that is not there has the line of what should hold it.
    pub fn line_of(&self, path: &str) -> usize {
        self.node.line_of(&segments(path))
    }

    /// The apiVersion and kind, both of which an object must have.
    ///
    /// # Errors
    /// [`Problem::NotAnObject`] or [`Problem::Untyped`], with the object's place.
    pub fn type_meta(&self) -> Result<TypeMeta<'_>, ManifestError> {
        if !self.value.is_object() {
            return Err(self.error_at("", Problem::NotAnObject(name_of(&self.value))));
        }
        let of = |field: &str| self.value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (of("apiVersion"), of("kind")) {
            (Some(api_version), Some(kind)) => Ok(TypeMeta { api_version, kind }),
            (None, Some(_)) => Err(self.error_at("", Problem::Untyped(vec!["apiVersion"]))),
            (Some(_), None) => Err(self.error_at("", Problem::Untyped(vec!["kind"]))),
            (None, None) => Err(self.error_at("", Problem::Untyped(vec!["apiVersion", "kind"]))),
        }
    }

    /// An error about one field of this object; an empty path means the object itself.
    pub fn error_at(&self, field: &str, problem: Problem) -> ManifestError {
        let line = if field.is_empty() { self.line } else { self.line_of(field) };
        ManifestError { document: self.index, line, field: field.to_owned(), problem }
    }
}

/// Reads a manifest: YAML or JSON, many documents, Lists replaced by their items.
///
/// Empty documents are passed over. A key that is there twice is refused, as an API server does by default.
///
/// # Errors
/// The first thing that is wrong, with document, line and, where it is about a field, the field's path.
pub fn read(text: impl AsRef<[u8]>) -> Result<Vec<Document>, ManifestError> {
    let bytes = text.as_ref();
    let whole = |line, problem| ManifestError { document: 1, line, field: String::new(), problem };
    if bytes.len() > MANIFEST_BYTES {
        return Err(whole(1, Problem::Large));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        whole(line, Problem::NotText)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    for (index, node) in (1..).zip(roots(text)?) {
        let fault = |fault: Fault| fault.in_document(index);
        let value = node.to_value();
        flatten(index, value, node, &mut documents).map_err(fault)?;
    }
    Ok(documents)
}

/// Reads a text that is one value, as the body of a request is: an API server does not look for further documents
/// there. Answers the keys that are there twice too, with their lines; of those the last counts.
///
/// # Errors
/// The first thing that is wrong.
pub fn read_one(text: impl AsRef<[u8]>) -> Result<(Value, Vec<(usize, String)>), ManifestError> {
    let bytes = text.as_ref();
    let whole = |problem| ManifestError { document: 1, line: 1, field: String::new(), problem };
    if bytes.len() > MANIFEST_BYTES {
        return Err(whole(Problem::Large));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole(Problem::NotText))?;
    let (node, doubled) = yaml::document(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    Ok((node.map_or(Value::Null, |node| node.to_value()), doubled))
}

/// The documents' trees. What begins like a JSON object is tried as JSON first, which YAML does not contain in
/// every detail.
fn roots(text: &str) -> Result<Vec<Arc<Node>>, ManifestError> {
    if !text.trim_start().starts_with('{') {
        return yaml::documents(text);
    }
    let as_json = match json::documents(text) {
        Ok(nodes) => return Ok(nodes),
        Err(error) => error,
    };
    // A flow mapping of YAML also begins with a brace, but only a text that is no JSON at all can be one.
    match (&as_json.problem, yaml::documents(text)) {
        (Problem::Syntax(_), Ok(nodes)) => Ok(nodes),
        (Problem::Syntax(_), Err(error)) if !matches!(error.problem, Problem::Syntax(_)) => Err(error),
        _ => Err(as_json),
    }
}

/// Adds an object, or the items of a List one by one.
fn flatten(
    index: usize,
    mut value: Value,
    node: Arc<Node>,
    documents: &mut Vec<Document>,
) -> Result<(), Fault> {
    let is_list = value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    let items = value.get_mut("items").filter(|items| is_list && items.is_array()).map(Value::take);
    let (Some(Value::Array(items)), Some(nodes)) = (items, node.field("items")) else {
        if documents.len() >= MANIFEST_DOCUMENTS {
            return Err(Fault::at(node.line, Problem::ManyDocuments));
        }
        documents.push(Document { index, line: node.line, value, node });
        return Ok(());
    };
    for (mut item, node) in items.into_iter().zip(nodes.items()) {
        inherit_type(&value, &mut item);
        flatten(index, item, Arc::clone(node), documents)?;
    }
    Ok(())
}

/// An item of a `PodList` that does not say what it is is a `Pod`.
fn inherit_type(list: &Value, item: &mut Value) {
    let text = |field: &str| list.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind").strip_suffix("List").unwrap_or_default();
    if let Value::Object(fields) = item
        && !kind.is_empty()
        && !fields.contains_key("kind")
        && !fields.contains_key("apiVersion")
    {
        fields.insert("kind".to_owned(), kind.into());
        fields.insert("apiVersion".to_owned(), text("apiVersion").into());
    }
}

/// Something wrong, on its way out of the values that hold it.
#[derive(Debug)]
struct Fault {
    line: usize,
    /// The path to it, innermost first.
    path: Vec<Segment<'static>>,
    problem: Problem,
}

impl Fault {
    fn at(line: usize, problem: Problem) -> Fault {
        Fault { line, path: Vec::new(), problem }
    }

    /// The same, seen from the value that holds it.
    fn within(mut self, segment: Segment<'_>) -> Fault {
        self.path.push(segment.into_owned());
        self
    }

    fn in_document(self, document: usize) -> ManifestError {
        use std::fmt::Write;
        let mut field = String::new();
        for segment in self.path.iter().rev() {
            let dot = if field.is_empty() { "" } else { "." };
            let _ = match segment {
                Segment::Index(index) => write!(field, "[{index}]"),
                Segment::Key(key) if key.contains(['.', '/', '[', ']']) => write!(field, "[{key}]"),
                Segment::Key(key) => write!(field, "{dot}{key}"),
            };
        }
        // Only what is about a value names it: a broken text has no fields yet.
        if matches!(self.problem, Problem::Syntax(_) | Problem::Deep | Problem::ManyValues) {
            field.clear();
        }
        ManifestError { document, line: self.line, field, problem: self.problem }
    }
}

/// The steps of a JSON pointer or of a path in an error's style.
fn segments(path: &str) -> Vec<Segment<'_>> {
    if let Some(pointer) = path.strip_prefix('/') {
        let unescaped = |step: &str| step.replace("~1", "/").replace("~0", "~");
        return pointer.split('/').map(|step| Segment::Key(Cow::Owned(unescaped(step)))).collect();
    }
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        steps.push(Segment::Key(Cow::Borrowed(step)));
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn field_prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("field {field}: ") }
}

fn missing(fields: &[&str]) -> String {
    let sentences: Vec<String> = fields.iter().map(|field| format!("{field} not set")).collect();
    sentences.join(", ")
}

#[cfg(test)]
mod tests;
