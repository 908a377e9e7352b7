//! Streams cost nothing at rest, are woken once, and end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use http_body::Body as _;

use super::{ask, face};
use crate::apiserver::http::Body;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll(body: &mut Body, waker: &Waker) -> Poll<Option<String>> {
    let mut task = Context::from_waker(waker);
    std::pin::Pin::new(body).poll_frame(&mut task).map(|frame| {
        let frame = frame?.unwrap_or_else(|never| match never {});
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    })
}

fn make(wire: &crate::apiserver::http::Wire, resource: &str, name: &str) {
    let body = format!("{{\"metadata\":{{\"name\":\"{name}\"}}}}");
    let uri = format!("/api/v1/namespaces/default/{resource}");
    assert_eq!(ask(wire, "POST", &uri, &[("Content-Type", "application/json")], &body).0, 201);
}

#[test]
fn only_what_matches_wakes() {
    let (wire, _, _) = face();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let uri = "/api/v1/configmaps?watch=1&fieldSelector=metadata.name%3Dwanted,metadata.namespace%3Ddefault";
    let (_, _, mut body) = ask(&wire, "GET", uri, &[], "");
    assert!(poll(&mut body, &waker).is_pending());
    for number in 0..50 {
        make(&wire, "serviceaccounts", &format!("a{number}"));
        make(&wire, "configmaps", &format!("a{number}"));
    }
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    make(&wire, "configmaps", "wanted");
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    let Poll::Ready(Some(text)) = poll(&mut body, &waker) else { panic!("an event") };
    assert!(
        text.starts_with("{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\""),
        "{text}"
    );
    assert!(poll(&mut body, &waker).is_pending());
}

#[test]
fn what_is_there_comes_in_few_pieces() {
    let (wire, _, _) = face();
    for number in 0..300 {
        make(&wire, "configmaps", &format!("a{number}"));
    }
    let (_, _, mut body) = ask(&wire, "GET", "/api/v1/configmaps?watch=1", &[], "");
    let (mut pieces, mut lines) = (0, 0);
    while let Poll::Ready(Some(text)) = poll(&mut body, Waker::noop()) {
        pieces += 1;
        lines += text.lines().count();
    }
    assert_eq!(lines, 300);
    assert!(pieces < 5, "{pieces}");
}

#[test]
fn a_watch_that_fell_off_the_log_says_so_and_ends() {
    let (wire, server, clock) = face();
    let (_, _, mut slow) = ask(&wire, "GET", "/api/v1/configmaps?watch=1&resourceVersion=1", &[], "");
    make(&wire, "configmaps", "a");
    // Past the age of the log, in more entries than its youngest segment holds.
    for number in 0..crate::limits::LOG_SEGMENT * 3 {
        if number % crate::limits::LOG_SEGMENT == 0 {
            clock.advance(crate::limits::LOG_AGE + Duration::from_secs(1));
        }
        make(&wire, "configmaps", &format!("b{number}"));
    }
    assert!(server.store().forgotten().0 > 2);
    let Poll::Ready(Some(text)) = poll(&mut slow, Waker::noop()) else { panic!("an event") };
    assert!(text.starts_with("{\"type\":\"ERROR\",\"object\":{"), "{text}");
    assert!(text.contains("\"code\":410") && text.contains("\"reason\":\"Expired\""), "{text}");
    assert!(text.contains("too old resource version: "), "{text}");
    assert_eq!(poll(&mut slow, Waker::noop()), Poll::Ready(None));
    // One that begins there is told in the same way, with 200.
    let (code, _, mut late) = ask(&wire, "GET", "/api/v1/configmaps?watch=1&resourceVersion=1", &[], "");
    assert_eq!(code, 200);
    let Poll::Ready(Some(text)) = poll(&mut late, Waker::noop()) else { panic!("an event") };
    assert!(text.contains("\"code\":410"), "{text}");
    // A list that has come too late is told how to go on.
    let token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJkZWZhdWx0L2IxMDAifQ";
    let (code, _, mut body) =
        ask(&wire, "GET", &format!("/api/v1/configmaps?limit=2&continue={token}"), &[], "");
    let status: serde_json::Value = serde_json::from_slice(&super::read(&mut body).0).unwrap();
    assert_eq!(code, 410, "{status}");
    let token = status["metadata"]["continue"].as_str().unwrap();
    let (code, _, mut body) =
        ask(&wire, "GET", &format!("/api/v1/configmaps?limit=2&continue={token}"), &[], "");
    let list: serde_json::Value = serde_json::from_slice(&super::read(&mut body).0).unwrap();
    assert_eq!(code, 200, "{list}");
    assert!(list["items"][0]["metadata"]["name"].as_str() >= Some("b100"));
}
