//! The wire face of the door without a socket: an HTTP request in, a response with a streaming body out.
//!
//! ```text
//! request ─► path ─► query, content ─► verbs ─► door ─► objects, table, stream ─► response
//!            what    options, body     call     truth   letters
//! ```
//!
//! Owns the letters of HTTP: the grammar of paths and options, content types, Status errors, discovery, watch
//! streams. The rules of objects are the door's. There is no listener here, no identity and no TLS: whoever holds a
//! [`Wire`] may do everything.
//!
//! Guarantees: a request is answered on the thread that polls it, unless it may block; a watch takes no thread
//! and costs nothing while nothing that matches happens; whatever a request holds, it is answered with a response.

mod answer;
mod body;
mod content;
mod deletes;
mod discovery;
mod objects;
mod path;
mod query;
mod scale;
mod status;
mod stream;
mod strict;
mod subresources;
mod table;
mod verbs;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, RETRY_AFTER, VARY,
    WARNING,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::Value;

pub use answer::{Answer, Blocking};
pub use body::Body;
pub use path::Verb;

use self::content::{Accepted, Encoding, Form, Offer};
use self::query::Query;
use self::status::Failure;
use super::Server;
use crate::api::{Reason, StatusError, manifest};
use crate::limits::REQUEST_BYTES;
use crate::world::Moment;

/// Wakes tasks when a moment comes, for streams that end at a time.
pub trait Alarms: Send + Sync {
    /// Wakes a task at a moment, at once if it lies behind. Dropping what is answered takes it back.
    fn set(&self, at: Moment, task: Waker) -> Alarm;

    /// Nothing more will happen: streams end. Whoever sets this wakes every task that waits.
    fn is_closed(&self) -> bool {
        false
    }
}

/// A task that will be woken; see [`Alarms`].
pub struct Alarm {
    task: Waker,
    _held: Box<dyn Send>,
}

impl Alarm {
    /// An alarm for `task` that is taken back when `held` is dropped.
    pub fn new(task: Waker, held: impl Send + 'static) -> Alarm {
        Alarm { task, _held: Box::new(held) }
    }

    /// Whether it wakes this task.
    pub fn wakes(&self, task: &Waker) -> bool {
        self.task.will_wake(task)
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

/// The wire face: a `tower` service from requests to responses. Cheap to clone; every clone is the same face.
#[derive(Clone)]
pub struct Wire {
    server: Arc<Server>,
    alarms: Arc<dyn Alarms>,
    blocking: Option<Arc<dyn Blocking>>,
}

impl Wire {
    /// The face of a door. Every request is answered by the thread that polls it.
    pub fn new(server: Arc<Server>, alarms: Arc<dyn Alarms>) -> Wire {
        Wire { server, alarms, blocking: None }
    }

    /// The same, but requests that may take long are answered by `blocking`.
    pub fn with_blocking(mut self, blocking: Arc<dyn Blocking>) -> Wire {
        self.blocking = Some(blocking);
        self
    }

    /// Where a request is answered that may take long; `None` where it may not.
    fn blocking_for(&self, parts: &Parts) -> Option<&Arc<dyn Blocking>> {
        let writes = parts.method != Method::GET && parts.method != Method::HEAD;
        self.blocking.as_ref().filter(|_| writes && self.server.store().blocks())
    }

    /// Answers a request whose body is there already.
    pub fn answer(&self, request: Request<Bytes>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if body.len() > REQUEST_BYTES {
            return self.refuse(&parts, &too_large().into());
        }
        self.route(&parts, &body)
    }

    fn route(&self, parts: &Parts, body: &Bytes) -> Response<Body> {
        let request = match path::parse(&parts.method, parts.uri.path()) {
            Ok(request) => request,
            Err(refused) => return self.refuse(parts, &refused.into()),
        };
        let query = Query::parse(parts.uri.query());
        let answered = match request {
            path::Request::Objects(target) => verbs::answer(self, parts, query, body, target),
            plain => self.tell(parts, &query, &plain),
        };
        answered.unwrap_or_else(|failure| self.refuse(parts, &failure))
    }

    /// What is not about objects.
    fn tell(&self, parts: &Parts, query: &Query, request: &path::Request) -> Result<Response<Body>, Failure> {
        if parts.method != Method::GET && *request != path::Request::Unknown {
            return Err(Failure::NoMethod);
        }
        let registry = self.server.registry();
        let value = match request {
            path::Request::Root => discovery::paths(registry),
            path::Request::Version => discovery::version(),
            path::Request::Health => return Ok(text(StatusCode::OK, "ok")),
            path::Request::CoreVersions | path::Request::Groups => {
                return self.tell_groups(parts, query, *request == path::Request::CoreVersions);
            }
            path::Request::Group(name) => discovery::group(registry, name).ok_or(Failure::NoPath)?,
            path::Request::Resources { group, version } => {
                discovery::resource_list(registry, group, version).ok_or(Failure::NoPath)?
            }
            path::Request::Objects(_) | path::Request::Unknown => return Err(Failure::NoPath),
        };
        let accepted = content::negotiate(&parts.headers, query, Offer::Plain)?;
        Ok(respond_value(StatusCode::OK, &accepted, &value))
    }

    fn tell_groups(&self, parts: &Parts, query: &Query, core: bool) -> Result<Response<Body>, Failure> {
        let registry = self.server.registry();
        let accepted = content::negotiate(&parts.headers, query, Offer::Discovery)?;
        if accepted.form != Form::Discovery {
            let value = if core { discovery::core_versions() } else { discovery::group_list(registry) };
            return Ok(respond_value(StatusCode::OK, &accepted, &value));
        }
        let json = discovery::aggregated(registry, core).to_string().into_bytes();
        let etag = discovery::etag(&json);
        let known = content::header(&parts.headers, IF_NONE_MATCH.as_str()) == etag;
        let mut response = match known {
            true => Response::new(Body::whole(Bytes::new())),
            false => respond(StatusCode::OK, &accepted, json),
        };
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            let mime = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(mime));
        }
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&etag).ok().map(|etag| (ETAG, etag)));
        headers.insert(VARY, HeaderValue::from_static("Accept"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
        Ok(response)
    }

    /// The answer of a request that is refused.
    fn refuse(&self, parts: &Parts, failure: &Failure) -> Response<Body> {
        if *failure == Failure::NoPath {
            return text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        let query = Query::parse(parts.uri.query());
        let accepted = content::negotiate(&parts.headers, &query, Offer::Objects).unwrap_or_default();
        let accepted = Accepted { form: Form::Whole, ..accepted };
        let mut response = respond_value(failure.code(), &accepted, &failure.value());
        if let Some(seconds) = failure.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if *failure == Failure::NoMethod {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
        }
        response
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wire({:?})", self.server)
    }
}

fn too_large() -> StatusError {
    let message = format!("Request entity too large: limit is {REQUEST_BYTES}");
    StatusError::new(Reason::RequestEntityTooLarge, message)
}

fn text(code: StatusCode, words: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::from_static(words.as_bytes())));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(words.len()));
    response
}

fn respond_value(code: StatusCode, accepted: &Accepted, value: &Value) -> Response<Body> {
    let mut json = value.to_string().into_bytes();
    json.push(b'\n');
    respond(code, accepted, json)
}

/// A response with a JSON text in the letters that are accepted.
fn respond(code: StatusCode, accepted: &Accepted, json: Vec<u8>) -> Response<Body> {
    let bytes = match accepted.encoding {
        Encoding::Json if accepted.pretty => objects::pretty(&json),
        Encoding::Json => json,
        Encoding::Yaml => manifest::to_yaml(&serde_json::from_slice(&json).unwrap_or_default()).into_bytes(),
    };
    let length = bytes.len();
    let mut response = Response::new(Body::whole(bytes));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(accepted.encoding.mime()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// Adds what the caller is to be warned of.
fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for text in status::warning_headers(warnings) {
        response.headers_mut().append(WARNING, text);
    }
}

impl<B> tower_service::Service<Request<B>> for Wire
where
    B: http_body::Body + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<B>;

    fn poll_ready(&mut self, _task: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer<B> {
        Answer::new(self.clone(), request)
    }
}
