//! What goes wrong at the door, in Kubernetes' own words: a [`Reason`] with its code, the object it is about,
//! and, for invalid objects, one [`FieldError`] a field.
//!
//! Owns the texts that users and their programs read; knows no HTTP beyond the code of each reason.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

/// Why a request was refused: upstream's `metav1.StatusReason`, each with its HTTP code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 400: the request makes no sense.
    BadRequest,
    /// 401: nobody knows who asks.
    Unauthorized,
    /// 403: known, and not allowed.
    Forbidden,
    /// 404: no such object or kind.
    NotFound,
    /// 405: the kind has no such verb.
    MethodNotAllowed,
    /// 406: no form of the answer is acceptable.
    NotAcceptable,
    /// 409: an object of that name is there.
    AlreadyExists,
    /// 409: the object has changed since it was read, or a precondition does not hold.
    Conflict,
    /// 410: the revision asked for is gone; read again from the present.
    Expired,
    /// 413: too many bytes.
    RequestEntityTooLarge,
    /// 415: a content type that is not understood.
    UnsupportedMediaType,
    /// 422: the object breaks a rule of its kind.
    Invalid,
    /// 429: come back later.
    TooManyRequests,
    /// 500: our fault.
    InternalError,
    /// 503: a part is missing or still starting.
    ServiceUnavailable,
    /// 504: it took too long.
    Timeout,
}

impl Reason {
    /// The HTTP status code that goes with it.
    pub fn code(self) -> u16 {
        match self {
            Reason::BadRequest => 400,
            Reason::Unauthorized => 401,
            Reason::Forbidden => 403,
            Reason::NotFound => 404,
            Reason::MethodNotAllowed => 405,
            Reason::NotAcceptable => 406,
            Reason::AlreadyExists | Reason::Conflict => 409,
            Reason::Expired => 410,
            Reason::RequestEntityTooLarge => 413,
            Reason::UnsupportedMediaType => 415,
            Reason::Invalid => 422,
            Reason::TooManyRequests => 429,
            Reason::InternalError => 500,
            Reason::ServiceUnavailable => 503,
            Reason::Timeout => 504,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What an error is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The API group, empty for the core.
    pub group: String,
    /// The kind (`Pod`) for invalid objects, the resource (`pods`) otherwise, as upstream fills it.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The object's uid, where a precondition names it.
    pub uid: String,
}

/// A request that was refused: upstream's `Status` with `status: Failure`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct StatusError {
    /// Why.
    pub reason: Reason,
    /// The sentence that users read.
    pub message: String,
    /// The object.
    pub subject: Subject,
    /// The fields that are wrong, for `Invalid`.
    pub causes: Vec<FieldError>,
    /// When to try again, in seconds, for `TooManyRequests` and time-outs; 0 where nothing is said.
    pub retry_after_seconds: u32,
}

impl StatusError {
    /// An error with nothing but a reason and a sentence.
    pub fn new(reason: Reason, message: impl Into<String>) -> StatusError {
        StatusError {
            reason,
            message: message.into(),
            subject: Subject::default(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        }
    }

    fn about(reason: Reason, group: &str, resource: &str, name: &str, message: String) -> StatusError {
        let subject = Subject {
            group: group.to_owned(),
            kind: resource.to_owned(),
            name: name.to_owned(),
            uid: String::new(),
        };
        StatusError { subject, ..StatusError::new(reason, message) }
    }

    /// `pods "x" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> StatusError {
        let message = format!("{} \"{name}\" not found", qualified(group, resource));
        StatusError::about(Reason::NotFound, group, resource, name, message)
    }

    /// `pods "x" already exists`.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> StatusError {
        let message = format!("{} \"{name}\" already exists", qualified(group, resource));
        StatusError::about(Reason::AlreadyExists, group, resource, name, message)
    }

    /// `Operation cannot be fulfilled on pods "x": why`.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> StatusError {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(group, resource));
        StatusError::about(Reason::Conflict, group, resource, name, message)
    }

    /// `pods "x" is forbidden: why`.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> StatusError {
        let message = format!("{} \"{name}\" is forbidden: {why}", qualified(group, resource));
        StatusError::about(Reason::Forbidden, group, resource, name, message)
    }

    /// `Pod "x" is invalid: spec.containers: Required value`.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<FieldError>) -> StatusError {
        // What is said twice, in the same words, stands in the sentence once.
        let mut seen = HashSet::new();
        let said = causes.iter().map(ToString::to_string).filter(|cause| seen.insert(cause.clone()));
        let said: Vec<String> = said.collect();
        let list = match said.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{} \"{name}\" is invalid: {list}", qualified(group, kind));
        StatusError { causes, ..StatusError::about(Reason::Invalid, group, kind, name, message) }
    }

    /// A request that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> StatusError {
        StatusError::new(Reason::BadRequest, message)
    }

    /// The revision asked for is no longer kept.
    pub fn expired(message: impl Into<String>) -> StatusError {
        StatusError::new(Reason::Expired, message)
    }

    /// Whether the object was not there.
    pub fn is_not_found(&self) -> bool {
        self.reason == Reason::NotFound
    }

    /// Whether the object had changed, or a precondition did not hold.
    pub fn is_conflict(&self) -> bool {
        self.reason == Reason::Conflict
    }

    /// Whether an object of that name was there.
    pub fn is_already_exists(&self) -> bool {
        self.reason == Reason::AlreadyExists
    }
}

fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// What is wrong with one field: upstream's `field.Error`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// What kind of wrong.
    pub problem: Problem,
    /// Where: `spec.template.spec.containers[0].name`.
    pub field: String,
    /// The value that is wrong, where its text is shown.
    pub value: Value,
    /// More words, or none.
    pub detail: String,
}

/// The kinds of wrong that a field can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// What is referred to is not there.
    NotFound,
    /// It must be given.
    Required,
    /// Two of the same.
    Duplicate,
    /// The value breaks a rule.
    Invalid,
    /// The value breaks a rule, and is too large or too internal to be shown.
    InvalidUnshown,
    /// Not one of the values allowed.
    NotSupported,
    /// It may not be set here.
    Forbidden,
    /// Too long.
    TooLong,
    /// Too many entries.
    TooMany,
    /// Our fault.
    Internal,
    /// A value of the wrong type.
    TypeInvalid,
    /// Another manager owns the field: a server-side apply says so in the detail.
    ManagerConflict,
}

impl Problem {
    /// The word in `details.causes[].reason`.
    pub fn reason(self) -> &'static str {
        match self {
            Problem::NotFound => "FieldValueNotFound",
            Problem::Required => "FieldValueRequired",
            Problem::Duplicate => "FieldValueDuplicate",
            Problem::Invalid | Problem::InvalidUnshown => "FieldValueInvalid",
            Problem::NotSupported => "FieldValueNotSupported",
            Problem::Forbidden => "FieldValueForbidden",
            Problem::TooLong => "FieldValueTooLong",
            Problem::TooMany => "FieldValueTooMany",
            Problem::Internal => "InternalError",
            Problem::TypeInvalid => "FieldValueTypeInvalid",
            Problem::ManagerConflict => "FieldManagerConflict",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Problem::NotFound => "Not found",
            Problem::Required => "Required value",
            Problem::Duplicate => "Duplicate value",
            Problem::Invalid | Problem::InvalidUnshown => "Invalid value",
            Problem::NotSupported => "Unsupported value",
            Problem::Forbidden => "Forbidden",
            Problem::TooLong => "Too long",
            Problem::TooMany => "Too many",
            Problem::Internal => "Internal error",
            Problem::TypeInvalid => "Invalid value",
            Problem::ManagerConflict => "Conflict",
        }
    }
}

impl FieldError {
    /// The message without the field's path: `Invalid value: "x": must be …`.
    pub fn body(&self) -> String {
        if self.problem == Problem::ManagerConflict {
            return self.detail.clone();
        }
        let words = self.problem.words();
        let shows_value = !matches!(
            self.problem,
            Problem::Required
                | Problem::Forbidden
                | Problem::InvalidUnshown
                | Problem::TooLong
                | Problem::Internal
                | Problem::TooMany
        );
        let value = match &self.value {
            Value::Object(_) | Value::Array(_) => self.value.to_string(),
            Value::Null => "null".to_owned(),
            plain => plain.to_string(),
        };
        match (shows_value, self.detail.is_empty()) {
            (true, true) => format!("{words}: {value}"),
            (true, false) => format!("{words}: {value}: {}", self.detail),
            (false, true) => words.to_owned(),
            (false, false) => format!("{words}: {}", self.detail),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// The path to a field, built on the way down: `FieldPath::new("spec").child("containers").index(0)`.
///
/// Cheap until it is printed: each step refers to the one above it.
#[derive(Clone, Copy, Debug)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Child(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> FieldPath<'a> {
    /// The path of a field of the object itself.
    pub fn new(field: &'a str) -> FieldPath<'a> {
        FieldPath { parent: None, step: Step::Child(field) }
    }

    /// A field below this one.
    pub fn child(&'a self, field: &'a str) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Child(field) }
    }

    /// An entry of a list.
    pub fn index(&'a self, index: usize) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Index(index) }
    }

    /// An entry of a map.
    pub fn key(&'a self, key: &'a str) -> FieldPath<'a> {
        FieldPath { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Child(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Child(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// Collects what is wrong with an object.
#[derive(Debug, Default)]
pub struct FieldErrors {
    list: Vec<FieldError>,
}

impl FieldErrors {
    /// The list, in the order found.
    pub fn into_list(self) -> Vec<FieldError> {
        self.list
    }

    /// How many things are wrong so far.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one that is whole already.
    pub fn add(&mut self, error: FieldError) {
        self.list.push(error);
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem, field: &FieldPath<'_>, value: Value, detail: impl Into<String>) {
        self.list.push(FieldError { problem, field: field.to_string(), value, detail: detail.into() });
    }

    /// The field must be given.
    pub fn required(&mut self, field: &FieldPath<'_>, detail: impl Into<String>) {
        self.push(Problem::Required, field, Value::Null, detail);
    }

    /// The value breaks a rule.
    pub fn invalid(&mut self, field: &FieldPath<'_>, value: impl Into<Value>, detail: impl Into<String>) {
        self.push(Problem::Invalid, field, value.into(), detail);
    }

    /// The value breaks a rule, and is not shown.
    pub fn invalid_unshown(&mut self, field: &FieldPath<'_>, detail: impl Into<String>) {
        self.push(Problem::InvalidUnshown, field, Value::Null, detail);
    }

    /// The value breaks each of these rules (nothing is added for none).
    pub fn invalid_each(&mut self, field: &FieldPath<'_>, value: &str, details: Vec<String>) {
        for detail in details {
            self.invalid(field, value, detail);
        }
    }

    /// The field may not be set, or not changed.
    pub fn forbidden(&mut self, field: &FieldPath<'_>, detail: impl Into<String>) {
        self.push(Problem::Forbidden, field, Value::Null, detail);
    }

    /// There is another with that value.
    pub fn duplicate(&mut self, field: &FieldPath<'_>, value: impl Into<Value>) {
        self.push(Problem::Duplicate, field, value.into(), "");
    }

    /// What it names is not there.
    pub fn not_found(&mut self, field: &FieldPath<'_>, value: impl Into<Value>) {
        self.push(Problem::NotFound, field, value.into(), "");
    }

    /// Not one of the values allowed, which are shown in their order.
    pub fn not_supported(&mut self, field: &FieldPath<'_>, value: impl Into<Value>, allowed: &[&str]) {
        let list = allowed.iter().map(|v| format!("\"{v}\"")).collect::<Vec<_>>().join(", ");
        self.push(Problem::NotSupported, field, value.into(), format!("supported values: {list}"));
    }

    /// More bytes than `most`.
    pub fn too_long(&mut self, field: &FieldPath<'_>, most: usize) {
        self.push(Problem::TooLong, field, Value::Null, format!("may not be more than {most} bytes"));
    }

    /// More entries than `most`.
    pub fn too_many(&mut self, field: &FieldPath<'_>, actual: usize, most: usize) {
        let detail = format!("{actual}: must have at most {most} items");
        self.push(Problem::TooMany, field, Value::Null, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_as_upstream() {
        let spec = FieldPath::new("spec");
        let containers = spec.child("containers");
        let first = containers.index(0);
        let mut errors = FieldErrors::default();
        errors.required(&first.child("name"), "");
        errors.invalid(&first.child("image"), "", "must be set");
        errors.not_supported(&spec.child("restartPolicy"), "x", &["Always", "Never"]);
        let error = StatusError::invalid("", "Pod", "web", errors.into_list());
        assert_eq!(
            error.message,
            "Pod \"web\" is invalid: [spec.containers[0].name: Required value, \
             spec.containers[0].image: Invalid value: \"\": must be set, \
             spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"Never\"]"
        );
        assert_eq!(
            StatusError::conflict("apps", "deployments", "a", "why").message,
            "Operation cannot be fulfilled on deployments.apps \"a\": why"
        );
    }
}
