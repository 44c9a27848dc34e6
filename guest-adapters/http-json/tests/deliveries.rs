//! The adapter against servers that a test scripts.

use bulkhead_sdk::BatchPoint;
use bulkhead_sdk::http::Incoming;
use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running};
use http_json::{HttpJson, Settings};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

fn start(settings: serde_json::Value) -> Running<HttpJson> {
    testing::start(settings).unwrap_or_else(|fault| panic!("{}", fault.message))
}

fn batch(values: Vec<Value>) -> Batch {
    let point = BatchPoint {
        connection: "line1".into(),
        name: "press/temp \"a\"".into(),
        kind: Kind::Real,
        unit: Some("°C".into()),
        description: None,
    };
    let entry = |(index, value): (usize, Value)| Entry {
        seq: 100 + index as u64,
        reading: Reading { point: 0, time: Some(1_777_888_800_123_456_789), status: 0, value: Some(value) },
    };
    Batch {
        key: "k".into(),
        route: "up".into(),
        points: vec![point],
        entries: values.into_iter().enumerate().map(entry).collect(),
    }
}

fn numbers(count: u32) -> Batch {
    batch((0..count).map(|number| Value::Integer(number.into())).collect())
}

fn answer(status: u16, body: &str) -> Result<Incoming, Fault> {
    Ok(Incoming { status, headers: Vec::new(), body: body.into() })
}

/// A server that refuses requests that hold one of these values, and remembers what it took.
fn picky(host: &Host, refused: BTreeSet<i64>) -> Rc<RefCell<Vec<i64>>> {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let remembered = taken.clone();
    host.on_http(move |_, request| {
        let body: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
        let values: Vec<i64> = body["readings"]
            .as_array()
            .expect("readings")
            .iter()
            .map(|reading| reading["value"].as_i64().expect("a number"))
            .collect();
        if values.iter().any(|value| refused.contains(value)) {
            return answer(422, "a value is out of range");
        }
        remembered.borrow_mut().extend(values);
        answer(200, "")
    });
    taken
}

#[test]
fn the_readmes_config_has_settings_that_start() {
    let _host = Host::install();
    let readme = include_str!("../README.md");
    let config = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a config");
    let config: serde_json::Value = toml::from_str(config).unwrap_or_else(|error| panic!("{error}"));
    let connections = config["connections"].as_object().expect("connections");
    let own =
        connections.values().find(|one| one["adapter"] == "http-json" && one["settings"].is_object()).expect("its own");
    start(own["settings"].clone());
}

#[test]
fn the_schema_is_committed() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn a_batch_is_one_request_with_its_key() {
    let host = Host::install();
    host.on_http(|transport, _| {
        assert_eq!(transport, "upstream");
        answer(201, "")
    });
    let mut values = vec![Value::Real(61.5), Value::Decimal("12.50".into()), Value::Bytes(vec![1, 2])];
    values.extend([Value::Boolean(true), Value::Text("a\"b".into()), Value::Time(0)]);
    let outcome = start(json!({ "path": "/readings" })).deliver(&batch(values)).expect("taken");
    assert_eq!((outcome.accepted, outcome.rejected.len(), outcome.rest), (6, 0, None));
    let requests = host.http_requests();
    assert_eq!((requests.len(), requests[0].method.as_str(), requests[0].path.as_str()), (1, "POST", "/readings"));
    assert!(requests[0].headers.contains(&("Idempotency-Key".into(), "k".into())));
    let body: serde_json::Value = serde_json::from_slice(&requests[0].body).expect("JSON");
    assert_eq!((body["key"].as_str(), body["route"].as_str()), (Some("k"), Some("up")));
    let expected = json!({ "seq": 100, "connection": "line1", "point": "press/temp \"a\"", "unit": "°C", "value": 61.5,
        "time": "2026-05-04T10:00:00.123456Z", "time_ms": 1_777_888_800_123_i64, "status": 0, "status_name": "Good", "good": true });
    assert_eq!(body["readings"][0], expected);
    let values: Vec<&serde_json::Value> =
        body["readings"].as_array().expect("readings").iter().map(|one| &one["value"]).collect();
    assert_eq!(
        values[1..],
        [&json!("12.50"), &json!("AQI="), &json!(true), &json!("a\"b"), &json!("1970-01-01T00:00:00.000000Z")]
    );
}

#[test]
fn each_reading_is_a_request_of_its_own_where_asked() {
    let host = Host::install();
    host.on_http(|_, request| if request.body == b"{\"v\": 1}" { answer(400, "no ones") } else { answer(200, "") });
    let settings = json!({ "mode": "reading", "method": "PUT", "path": "/points/{{ reading.point }}", "body": "{\"v\": {{ reading.value }}}" });
    let outcome = start(settings).deliver(&numbers(3)).expect("delivered");
    assert_eq!((outcome.accepted, outcome.rest), (3, None));
    assert_eq!(outcome.rejected.len(), 1);
    let rejection = &outcome.rejected[0];
    assert_eq!((rejection.index, rejection.fault.remedy), (1, Remedy::Reject));
    assert!(rejection.fault.message.ends_with("answered 400: no ones"), "{}", rejection.fault.message);
    let requests = host.http_requests();
    assert_eq!(requests[2].path, "/points/press%2Ftemp%20%22a%22");
    assert!(requests[2].headers.contains(&("Idempotency-Key".into(), "k-102-102".into())));
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let host = Host::install();
    host.on_http(|_, _| {
        Ok(Incoming { status: 503, headers: vec![("retry-after".into(), "7".into())], body: Vec::new() })
    });
    let fault = start(json!({})).deliver(&numbers(2)).expect_err("nothing was taken");
    assert_eq!((fault.remedy, fault.retry_after_ms, fault.code.as_str()), (Remedy::Retry, Some(7_000), "status-503"));
    let calls = Rc::new(RefCell::new(0));
    host.on_http(move |_, _| {
        *calls.borrow_mut() += 1;
        if *calls.borrow() <= 2 { answer(200, "") } else { answer(429, "slow down") }
    });
    let outcome = start(json!({ "mode": "reading" })).deliver(&numbers(5)).expect("two were taken");
    assert_eq!(outcome.accepted, 2);
    assert_eq!(outcome.rest.expect("a reason").code, "status-429");
}

/// A server that takes everything, each request after this many seconds.
fn slow(host: &Host, seconds: u64) {
    let clock = host.clone();
    let now = RefCell::new(0);
    host.on_http(move |_, _| {
        *now.borrow_mut() += seconds * 1_000_000_000;
        clock.set_monotonic(*now.borrow());
        answer(200, "")
    });
}

#[test]
fn a_delivery_to_a_slow_server_ends_in_time_and_says_how_far_it_came() {
    let host = Host::install();
    slow(&host, 25);
    let outcome = start(json!({ "mode": "reading" })).deliver(&numbers(50)).expect("three were taken");
    assert_eq!(outcome.accepted, 3, "after 25, 50 and 75 s");
    let rest = outcome.rest.expect("a reason");
    assert_eq!((rest.remedy, rest.code.as_str(), rest.retry_after_ms), (Remedy::Retry, "delivery-time", Some(0)));
    assert_eq!(host.http_requests().len(), 3);
}

#[test]
fn wrong_credentials_and_paths_lose_nothing() {
    let host = Host::install();
    for status in [401, 403, 404] {
        host.on_http(move |_, _| answer(status, ""));
        let fault = start(json!({ "mode": "reading" })).deliver(&numbers(2)).expect_err("nothing was taken");
        assert_eq!(fault.remedy, Remedy::Retry, "{status}");
    }
}

#[test]
fn a_refused_batch_is_halved_until_the_culprits_stand_alone() {
    let host = Host::install();
    let taken = picky(&host, BTreeSet::from([3, 700]));
    let outcome = start(json!({})).deliver(&numbers(1_000)).expect("delivered");
    assert_eq!((outcome.accepted, outcome.rest), (1_000, None));
    assert_eq!(outcome.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [3, 700]);
    assert_eq!(*taken.borrow(), (0..1_000).filter(|number| ![3, 700].contains(number)).collect::<Vec<_>>());
    let keys: BTreeSet<String> = host.http_requests().iter().map(|one| one.headers[1].1.clone()).collect();
    assert_eq!(keys.len(), host.http_requests().len(), "each part has a key of its own");
}

#[test]
fn the_search_is_bounded_and_goes_on_where_it_stopped() {
    let host = Host::install();
    let _taken = picky(&host, (0..200).collect());
    let outcome = start(json!({})).deliver(&numbers(200)).expect("some were found");
    let rest = outcome.rest.expect("it was cut short");
    assert_eq!((rest.code.as_str(), rest.retry_after_ms), ("batch-halving", Some(0)));
    assert!(outcome.accepted > 0 && outcome.accepted as usize == outcome.rejected.len());
    assert_eq!(host.http_requests().len(), http_json::REQUESTS_MAX as usize);
}

#[test]
fn the_check_asks_what_the_settings_say() {
    let host = Host::install();
    host.on_http(|_, request| if request.path == "/health" { answer(204, "") } else { answer(404, "") });
    let check = |path: &str| start(json!({ "check_method": "HEAD", "check_path": path })).check();
    assert_eq!(check("/health").expect("healthy"), "HEAD /health answered 204");
    assert!(
        check("/helth")
            .expect_err("no such path")
            .message
            .contains("HEAD /helth answered 404: there is nothing at this path")
    );
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let _host = Host::install();
    for (settings, expected) in [
        (json!({ "headers": { "Authorization": "Bearer x" } }), "credentials belong into the transport's `auth`"),
        (json!({ "headers": { "X Y": "1" } }), "no name of a header field"),
        (json!({ "headers": { "X-Y": "1\r\nHost: x" } }), "control character"),
        (json!({ "idempotency_header": "host" }), "settings.idempotency_header: `host`"),
        (json!({ "success": ["2xx"] }), "`2xx` is no status"),
        (json!({ "body": "{% for %}" }), "settings.body, line 1"),
        (json!({ "methd": "PUT" }), "unknown field `methd`"),
    ] {
        let fault = testing::start::<HttpJson>(settings).expect_err(expected);
        assert_eq!(fault.remedy, Remedy::Reconfigure);
        assert!(fault.message.contains(expected), "{}", fault.message);
    }
}

proptest! {
    #[test]
    fn what_is_refused_alone_is_rejected_and_all_else_taken_once_in_order(count in 1u32..60, refused in prop::collection::btree_set(0i64..60, 0..4)) {
        let host = Host::install();
        let taken = picky(&host, refused.clone());
        let outcome = start(json!({})).deliver(&numbers(count)).expect("delivered");
        prop_assert_eq!(outcome.accepted, count);
        let expected: Vec<i64> = (0..i64::from(count)).filter(|number| !refused.contains(number)).collect();
        prop_assert_eq!(&*taken.borrow(), &expected);
        let rejected: Vec<i64> = outcome.rejected.iter().map(|one| one.index.into()).collect();
        let due: Vec<i64> = refused.into_iter().filter(|number| *number < i64::from(count)).collect();
        prop_assert_eq!(rejected, due);
    }
}
