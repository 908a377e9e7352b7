//! Refusals and successes as upstream's `Status`, and the warnings of an answer.
//!
//! Owns the JSON of a Status and which error has which parts; the words are of whoever refuses.

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use crate::api::{Reason, StatusError};
use crate::limits::WARNING_BYTES;

/// Why a request is not answered with what it asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The door, or the wire face, refused.
    Status(Box<StatusError>),
    /// A refusal that says how a list can go on all the same.
    Continue(Box<StatusError>, String),
    /// There is no such resource in a version that is there.
    NoResource,
    /// The resource has no such verb.
    NoMethod,
    /// A status without a reason.
    Bare(u16, String),
    /// There is nothing at this path.
    NoPath,
}

impl From<StatusError> for Failure {
    fn from(status: StatusError) -> Failure {
        Failure::Status(Box::new(status))
    }
}

impl Failure {
    /// The HTTP code.
    pub fn code(&self) -> StatusCode {
        let code = match self {
            Failure::Status(status) | Failure::Continue(status, _) => status.reason.code(),
            Failure::NoResource | Failure::NoPath => 404,
            Failure::NoMethod => 405,
            Failure::Bare(code, _) => *code,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// When to try again, in seconds.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Failure::Status(status) => Some(status.retry_after_seconds).filter(|seconds| *seconds > 0),
            _ => None,
        }
    }

    /// The Status.
    pub fn value(&self) -> Value {
        match self {
            Failure::Status(status) => of_error(status, None),
            Failure::Continue(status, token) => of_error(status, Some(token)),
            Failure::NoResource | Failure::NoPath => {
                generic("the server could not find the requested resource", Reason::NotFound)
            }
            Failure::NoMethod => generic(
                "the server does not allow this method on the requested resource",
                Reason::MethodNotAllowed,
            ),
            Failure::Bare(code, message) => json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "code": code,
            }),
        }
    }
}

fn generic(message: &str, reason: Reason) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason.to_string(), "details": {}, "code": reason.code(),
    })
}

/// The Status of a refusal.
pub fn of_error(error: &StatusError, token: Option<&str>) -> Value {
    let metadata = token.map_or_else(|| json!({}), |token| json!({ "continue": token }));
    let message = match error.reason {
        Reason::InternalError if !error.message.starts_with("Internal error occurred: ") => {
            format!("Internal error occurred: {}", error.message)
        }
        Reason::RequestEntityTooLarge if !error.message.starts_with("Request entity too large: ") => {
            format!("Request entity too large: {}", error.message)
        }
        _ => error.message.clone(),
    };
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
        "message": message, "reason": error.reason.to_string(), "code": error.reason.code(),
    });
    if let Some(details) = details(error) {
        status["details"] = details;
    }
    status
}

/// What a refusal is about; `None` where upstream says nothing of it.
fn details(error: &StatusError) -> Option<Value> {
    let mut details = Map::new();
    let subject = &error.subject;
    let texts =
        [("name", &subject.name), ("group", &subject.group), ("kind", &subject.kind), ("uid", &subject.uid)];
    for (field, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        details.insert(field.to_owned(), text.as_str().into());
    }
    if !error.causes.is_empty() {
        let causes = error.causes.iter().map(|cause| {
            json!({ "reason": cause.problem.reason(), "message": cause.body(), "field": cause.field })
        });
        details.insert("causes".to_owned(), causes.collect());
    } else if error.reason == Reason::InternalError {
        details.insert("causes".to_owned(), json!([{ "message": error.message }]));
    }
    if error.retry_after_seconds > 0 {
        details.insert("retryAfterSeconds".to_owned(), error.retry_after_seconds.into());
    }
    (!details.is_empty()).then_some(Value::Object(details))
}

/// What is answered for a deletion that is done.
pub fn deleted(group: &str, resource: &str, name: &str, uid: &str) -> Value {
    let mut details = json!({ "name": name, "kind": resource, "uid": uid });
    if !group.is_empty() {
        details["group"] = group.into();
    }
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    })
}

/// What is answered where something was done and nothing is to be shown.
pub fn success(code: u16) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code })
}

/// Warnings as headers: `299 - "text"`. What does not fit is cut off.
pub fn warning_headers(warnings: &[String]) -> Vec<HeaderValue> {
    let mut room = WARNING_BYTES;
    let mut headers = Vec::new();
    for warning in warnings {
        let escaped: String = warning
            .chars()
            .filter(|c| !c.is_control())
            .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        let text = format!("299 - \"{escaped}\"");
        let Some(left) = room.checked_sub(text.len()) else { break };
        room = left;
        headers.extend(HeaderValue::from_bytes(text.as_bytes()));
    }
    headers
}
