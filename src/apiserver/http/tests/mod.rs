//! The wire face, told as tables: requests and the answers that Kubernetes gives.
//!
//! The files are in `tables/`. A line that begins with `>` is a request; headers (`+ Accept: …`) and a body follow;
//! then what is expected:
//!
//! ```text
//! = 200                               the code
//! = 404 NotFound pods "a" not found   the code, reason and message of a Status
//! @ {"name":"a","kind":"pods"}        the details of a Status; `-` for none
//! ~ /metadata/name "a"                a value in the body, by its JSON pointer; `-` for none
//! ! {…}                               the whole body
//! " text                              the whole body, as text
//! : Content-Type: application/json    a header; `-` for none
//! $ rv /metadata/resourceVersion      keeps a value, used later as `$rv`
//! % w                                 the answer is a stream: it is called `w`
//! ```
//!
//! A line `read w` is followed by the lines of the stream that are there, `. {…}` each, and `. end` at its end;
//! `advance 60` moves the clock. `$r1` is the revision that a section begins at, `$r2` the next. A line `== title` begins a section with an empty store that has the namespace
//! `default`.

mod forms;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Body as _;
use serde_json::Value;

use super::{Alarm, Alarms, Body, Wire};
use crate::apiserver::Server;
use crate::reconcile::simulation::StillClock;
use crate::world::Moment;

/// Alarms that nobody rings: these tests poll.
pub(super) struct Silent;

impl Alarms for Silent {
    fn set(&self, _at: Moment, task: Waker) -> Alarm {
        Alarm::new(task, ())
    }
}

/// A wire face over an empty store with the namespace `default`.
pub(super) fn face() -> (Wire, Arc<Server>, Arc<StillClock>) {
    let (server, clock) = crate::apiserver::tests::door(Vec::new());
    crate::apiserver::tests::create(&server, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}")
        .unwrap();
    (Wire::new(server.clone(), Arc::new(Silent)), server, clock)
}

/// What has come of a body so far, and whether it has ended.
pub(super) fn read(body: &mut Body) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut task = Context::from_waker(Waker::noop());
    loop {
        match std::pin::Pin::new(&mut *body).poll_frame(&mut task) {
            Poll::Ready(Some(Ok(frame))) => bytes.extend_from_slice(frame.data_ref().unwrap()),
            Poll::Ready(None) => return (bytes, true),
            Poll::Pending => return (bytes, false),
            Poll::Ready(Some(Err(never))) => match never {},
        }
    }
}

/// Asks for something and reads the whole answer.
pub(super) fn ask(
    wire: &Wire,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, HeaderMap, Body) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let (parts, body) = wire.answer(request).into_parts();
    (parts.status.as_u16(), parts.headers, body)
}

struct Session {
    wire: Wire,
    clock: Arc<StillClock>,
    words: BTreeMap<String, String>,
    streams: BTreeMap<String, Body>,
}

/// The last answer, taken apart.
#[derive(Default)]
struct Answered {
    code: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
    stream: Option<Body>,
}

impl Answered {
    fn value(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }
}

impl Session {
    fn new() -> Session {
        let (wire, server, clock) = face();
        let base = server.store().revision().0;
        let revision = |number: u64| (format!("r{number}"), (base + number - 1).to_string());
        Session { wire, clock, words: (1..10).map(revision).collect(), streams: BTreeMap::new() }
    }

    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, value) in self.words.iter().rev() {
            text = text.replace(&format!("${word}"), value);
        }
        text
    }

    fn ask(&self, request: &str, headers: &[(String, String)], body: &str) -> Answered {
        let request = self.fill(request);
        let (method, uri) = request.split_once(' ').unwrap();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (code, headers, mut body) = ask(&self.wire, method, uri, &headers, &self.fill(body));
        if body.size_hint().exact().is_none() {
            return Answered { code, headers, stream: Some(body), ..Answered::default() };
        }
        Answered { code, headers, bytes: read(&mut body).0, stream: None }
    }
}

/// Compares one expectation with an answer; what differs is answered.
fn compare(session: &mut Session, answered: &mut Answered, line: &str) -> Option<String> {
    let (mark, rest) = line.split_at(1);
    let rest = session.fill(rest.strip_prefix(' ').unwrap_or(rest));
    let value = answered.value();
    let found = match mark {
        "=" => {
            let mut found = answered.code.to_string();
            if rest.contains(' ') {
                let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
                found = format!("{found} {} {}", text("reason"), text("message"));
            }
            found.trim_end().to_owned()
        }
        "@" => value.get("details").map_or("-".to_owned(), Value::to_string),
        "~" => {
            let (pointer, _) = rest.split_once(' ').unwrap();
            format!("{pointer} {}", value.pointer(pointer).map_or("-".to_owned(), Value::to_string))
        }
        "!" => value.to_string(),
        "\"" => String::from_utf8_lossy(&answered.bytes).trim_end().replace('\n', "\\n"),
        ":" => {
            let (name, _) = rest.split_once(':').unwrap();
            let all: Vec<&str> = answered.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
            format!("{name}: {}", if all.is_empty() { "-".to_owned() } else { all.join(" | ") })
        }
        "$" => {
            let (word, pointer) = rest.split_once(' ').unwrap();
            let found =
                value.pointer(pointer).map_or(String::new(), |v| v.as_str().unwrap_or_default().to_owned());
            session.words.insert(word.to_owned(), found);
            return None;
        }
        "%" => {
            let stream = answered.stream.take();
            session.streams.extend(stream.map(|stream| (rest.clone(), stream)));
            return (!session.streams.contains_key(&rest)).then(|| "no stream".to_owned());
        }
        other => panic!("{other:?} is no expectation"),
    };
    let same = match (mark, serde_json::from_str::<Value>(&rest), serde_json::from_str::<Value>(&found)) {
        ("@" | "!", Ok(wanted), Ok(found)) => wanted == found,
        ("~", _, _) => {
            let json = |text: &str| serde_json::from_str::<Value>(text.split_once(' ').unwrap().1).ok();
            rest == found || (json(&rest).is_some() && json(&rest) == json(&found))
        }
        _ => rest.trim_end() == found.trim_end(),
    };
    (!same).then(|| format!("wanted {mark} {rest}\n     found {mark} {found}"))
}

fn check(name: &str, text: &str) {
    let mut session = Session::new();
    let (mut wrong, mut rows) = (Vec::new(), 0);
    let mut lines = text.lines().enumerate().peekable();
    let mut answered = Answered::default();
    while let Some((number, line)) = lines.next() {
        let place = format!("{name}:{}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("== ") {
            session = Session::new();
        } else if let Some(request) = line.strip_prefix("> ") {
            rows += 1;
            let mut headers = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with("+ ")) {
                let (name, value) = line[2..].split_once(": ").unwrap();
                headers.push((name.to_owned(), value.to_owned()));
            }
            let mut body = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty() && !line.starts_with("= "))
            {
                body.push(line);
            }
            answered = session.ask(request, &headers, &body.join("\n"));
        } else if let Some(seconds) = line.strip_prefix("advance ") {
            session.clock.advance(Duration::from_secs(seconds.parse().unwrap()));
        } else if let Some(stream) = line.strip_prefix("read ") {
            rows += 1;
            let (bytes, ended) = read(session.streams.get_mut(stream).unwrap());
            let text = String::from_utf8(bytes).unwrap();
            let mut found: Vec<String> = text.lines().map(brief).collect();
            found.extend(ended.then(|| "end".to_owned()));
            let mut wanted = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(". ")) {
                wanted.push(session.fill(&line[2..]));
            }
            if found != wanted {
                wrong.push(format!("{place}: wanted {wanted:#?}\n     found {found:#?}"));
            }
        } else if let Some(differs) = compare(&mut session, &mut answered, line) {
            wrong.push(format!("{place}: {differs}\n     body {}", String::from_utf8_lossy(&answered.bytes)));
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows of {name} differ:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{name}: {rows} rows");
}

/// An event in a few words: its type, its object's kind and name, its revision, and what else matters.
fn brief(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    let object = &event["object"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut words = vec![text(&event["type"]), text(&object["kind"])];
    match text(&object["kind"]).as_str() {
        "Status" => words.extend([object["code"].to_string(), text(&object["message"])]),
        "Table" => {
            words.push(if object["columnDefinitions"].is_null() { "later" } else { "first" }.to_owned());
            words.push(object["rows"][0]["cells"].to_string());
        }
        _ => {
            let meta = &object["metadata"];
            words.extend([text(&meta["name"]), text(&meta["resourceVersion"])]);
            if !meta["annotations"].is_null() {
                words.push(meta["annotations"].to_string());
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

macro_rules! tables {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let name = concat!(stringify!($name), ".table");
                check(name, include_str!(concat!("tables/", stringify!($name), ".table")));
            }
        )*
    };
}

tables!(paths discovery options bodies writes deletes lists subresources watches patches);
