//! What is served is the JSON of the object, whatever was stitched; and bad input is answered.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_service::Service;

use super::{ask, face, read};
use crate::apiserver::http::objects;
use crate::limits::REQUEST_BYTES;

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn strings() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            Just('{'),
            Just('}'),
            Just('"'),
            Just('\\'),
            Just(','),
            Just('é'),
            Just('\n'),
            any::<char>()
        ],
        0..12,
    )
    .prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn stitched_bytes_are_the_object(values in proptest::collection::vec(strings(), 1..5), pretty: bool) {
        let (wire, server, _) = face();
        let data: serde_json::Map<String, Value> =
            values.iter().enumerate().map(|(at, value)| (format!("k{at}"), json!(value))).collect();
        let annotations: serde_json::Map<String, Value> =
            values.iter().enumerate().map(|(at, value)| (format!("a{at}"), json!(value))).collect();
        let given = json!({ "metadata": { "name": "a", "annotations": annotations }, "data": data });
        let (code, _, mut body) = ask(&wire, "POST", MAPS, JSON, &given.to_string());
        prop_assert_eq!(code, 201);
        let made: Value = serde_json::from_slice(&read(&mut body).0).unwrap();
        let kind = server.registry().find("v1", "ConfigMap").unwrap();
        let record = server.get(kind, &crate::api::ObjectKey::new("default", "a")).unwrap();
        let wanted = server.value(&record);
        prop_assert_eq!(&made, &wanted);
        let uri = format!("{MAPS}/a?pretty={pretty}");
        let (_, _, mut body) = ask(&wire, "GET", &uri, &[], "");
        let got: Value = serde_json::from_slice(&read(&mut body).0).unwrap();
        prop_assert_eq!(&got, &wanted);
        let partial = [("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")];
        let (_, _, mut body) = ask(&wire, "GET", &uri, &partial, "");
        let got: Value = serde_json::from_slice(&read(&mut body).0).unwrap();
        prop_assert_eq!(&got["metadata"], &wanted["metadata"]);
    }

    #[test]
    fn whatever_is_asked_is_answered(
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("PATCH"), Just("DELETE"), Just("HEAD")],
        path in "(/(api|apis|v1|pods|namespaces|default|watch|a|%2F|status|apps|deployments|[a-z%?&=]{0,6})){0,8}",
        query in "([a-zA-Z]{0,12}=[ -~&&[^#\"<>\\\\^`{|}]]{0,10}&?){0,4}",
        kind in prop_oneof![Just("application/json"), Just("application/yaml"), Just("application/json-patch+json"), Just("x")],
        body in ".{0,40}",
    ) {
        let (wire, _, _) = face();
        let uri = format!("/{}?{}", path.trim_start_matches('/'), query.replace(' ', "+"));
        let request = Request::builder().method(method).uri(uri).header("Content-Type", kind);
        if let Ok(request) = request.body(Bytes::from(body)) {
            let code = wire.answer(request).status().as_u16();
            prop_assert!(code < 500 || matches!(code, 500 | 503 | 504), "{}", code);
        }
    }
}

#[test]
fn json_is_made_pretty_without_changing_it() {
    let table = [
        (
            r#"{"a":[1,{"b":"x{,}\"y"}],"c":{},"d":[]}"#,
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x{,}\\\"y\"\n    }\n  ],\n  \"c\": {},\n  \"d\": []\n}\n",
        ),
        ("{}", "{}\n"),
    ];
    for (plain, wanted) in table {
        assert_eq!(String::from_utf8(objects::pretty(plain.as_bytes())).unwrap(), wanted);
    }
}

#[test]
fn bodies_are_bounded() {
    let (wire, _, _) = face();
    let large =
        format!("{{\"metadata\":{{\"name\":\"a\"}},\"data\":{{\"k\":\"{}\"}}}}", "x".repeat(REQUEST_BYTES));
    let (code, _, mut body) = ask(&wire, "POST", MAPS, JSON, &large);
    let status: Value = serde_json::from_slice(&read(&mut body).0).unwrap();
    assert_eq!(code, 413);
    assert_eq!(status["message"], "Request entity too large: limit is 3145728");
    assert_eq!(status["reason"], "RequestEntityTooLarge");
    // The same through the service, where the body comes in pieces.
    let mut service = wire;
    let request =
        Request::builder().method("POST").uri(MAPS).body(http_body_util::Full::new(Bytes::from(large)));
    let mut answer = std::pin::pin!(service.call(request.unwrap()));
    let mut task = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(response)) = answer.as_mut().poll(&mut task) else { panic!("an answer") };
    assert_eq!(response.status(), 413);
}

#[test]
fn deep_and_wide_input_is_refused() {
    let (wire, _, _) = face();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (kind, code) in [("application/json", 400), ("application/yaml", 400)] {
        let given = format!("{{\"metadata\":{{\"name\":\"a\"}},\"x\":{deep}}}");
        assert_eq!(ask(&wire, "POST", MAPS, &[("Content-Type", kind)], &given).0, code, "{kind}");
    }
    let many: Vec<String> = (0..100_000).map(|at| format!("\"f{at}\":1")).collect();
    let given = format!("{{\"metadata\":{{\"name\":\"a\"}},{}}}", many.join(","));
    let (code, headers, _) = ask(&wire, "POST", MAPS, JSON, &given);
    let warned: usize = headers.get_all("Warning").iter().map(|value| value.len()).sum();
    assert_eq!(code, 201);
    assert!(warned <= crate::limits::WARNING_BYTES, "{warned}");
    let selector = "a,".repeat(100_000);
    assert_eq!(ask(&wire, "GET", &format!("{MAPS}?labelSelector={}", &selector[..60_000]), &[], "").0, 400);
}

/// Keeps work until it is asked for.
#[derive(Default)]
struct Later(parking_lot::Mutex<Vec<Box<dyn FnOnce() + Send>>>);

impl crate::apiserver::http::Blocking for Later {
    fn run(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.lock().push(work);
    }
}

/// A backend that says that it blocks.
#[derive(Debug, Default)]
struct Slow(crate::store::Memory);

impl crate::store::Backend for Slow {
    fn connect(&self, feed: std::sync::Arc<dyn crate::store::Feed>) -> crate::store::Revision {
        self.0.connect(feed)
    }

    fn propose(
        &self,
        proposal: crate::store::Proposal,
    ) -> Result<crate::store::Revision, crate::store::Refused> {
        self.0.propose(proposal)
    }
}

#[test]
fn what_may_block_is_done_elsewhere() {
    let (_, model, _) = face();
    let server = crate::apiserver::Server::open(crate::apiserver::ServerConfig {
        registry: model.registry().clone(),
        backend: std::sync::Arc::new(Slow::default()),
        world: model.world().clone(),
        admission: Vec::new(),
        services: crate::apiserver::ServiceRange::default(),
    });
    let later = std::sync::Arc::new(Later::default());
    let wire = crate::apiserver::http::Wire::new(server, std::sync::Arc::new(super::Silent));
    let mut service = wire.with_blocking(later.clone());
    let mut ask = |method: &str, body: &'static str| {
        let request = Request::builder().method(method).uri("/api/v1/namespaces");
        service.call(request.body(http_body_util::Full::new(Bytes::from_static(body.as_bytes()))).unwrap())
    };
    let mut task = Context::from_waker(Waker::noop());
    let mut get = std::pin::pin!(ask("GET", ""));
    assert!(get.as_mut().poll(&mut task).is_ready());
    let mut made = std::pin::pin!(ask("POST", "{\"metadata\":{\"name\":\"a\"}}"));
    let mut lost = std::pin::pin!(ask("POST", "{\"metadata\":{\"name\":\"b\"}}"));
    assert!(made.as_mut().poll(&mut task).is_pending());
    assert!(lost.as_mut().poll(&mut task).is_pending());
    let mut work = std::mem::take(&mut *later.0.lock());
    drop(work.pop());
    work.into_iter().for_each(|work| work());
    let code = |answer: Poll<Result<http::Response<_>, _>>| match answer {
        Poll::Ready(Ok::<_, std::convert::Infallible>(response)) => response.status().as_u16(),
        _ => panic!("an answer"),
    };
    assert_eq!(code(made.as_mut().poll(&mut task)), 201);
    assert_eq!(code(lost.as_mut().poll(&mut task)), 503);
}
