//! The adapter on the SDK's scripted host: requests in, answers and readings out.

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running, Seen};
use proptest::prelude::*;
use serde_json::json;
use webhook_json::{Settings, WebhookJson};

fn start(settings: serde_json::Value) -> Running<WebhookJson> {
    testing::start(settings).unwrap_or_else(|fault| panic!("{}", fault.message))
}

fn request(method: &str, path: &str, body: &[u8]) -> Request {
    let (query, headers) = (String::new(), Vec::new());
    Request { method: method.into(), path: path.into(), query, headers, body: body.to_vec(), received: 77 }
}

fn post(adapter: &mut Running<WebhookJson>, path: &str, body: &str) -> (u16, serde_json::Value, Vec<Seen>) {
    let (reply, readings) = adapter.respond(&request("POST", path, body.as_bytes())).expect("a reply");
    (reply.status, serde_json::from_slice(&reply.body).expect("JSON"), readings)
}

fn telemetry() -> serde_json::Value {
    json!({ "hooks": [{ "path": "/+device/telemetry", "points": [{ "path": "temp", "unit": "°C" }, { "path": "ok", "type": "boolean" }],
                        "time": { "path": "ts", "format": "unix-s" } }] })
}

#[test]
fn the_readmes_config_has_settings_that_start() {
    let _host = Host::install();
    let readme = include_str!("../README.md");
    let config = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a config");
    let config: serde_json::Value = toml::from_str(config).unwrap_or_else(|error| panic!("{error}"));
    let connections = config["connections"].as_object().expect("connections");
    let own = connections
        .values()
        .find(|one| one["adapter"] == "webhook-json" && one["settings"].is_object())
        .expect("its own");
    start(own["settings"].clone());
}

#[test]
fn the_schema_is_committed() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn an_object_becomes_readings_and_the_answer_counts_them() {
    let _host = Host::install();
    let (status, body, readings) =
        post(&mut start(telemetry()), "/press/telemetry", r#"{"ts":5,"temp":61.5,"ok":true}"#);
    assert_eq!((status, body), (200, json!({ "readings": 2 })));
    assert_eq!(
        (readings[0].name.as_str(), readings[0].value.clone(), readings[0].time),
        ("press.temp", Some(61.5.into()), Some(5_000_000_000))
    );
}

#[test]
fn an_array_is_read_element_by_element() {
    let host = Host::install();
    let payload = r#" [{"ts":5,"temp":1,"ok":true},{"ts":6,"temp":2,"ok":false},{"temp":3,"ok":false}]"#;
    let (status, body, readings) = post(&mut start(telemetry()), "/press/telemetry", payload);
    let times: Vec<Option<i64>> = readings.iter().filter(|one| one.name == "press.temp").map(|one| one.time).collect();
    assert_eq!(times, [Some(5_000_000_000), Some(6_000_000_000), Some(77)]);
    assert_eq!(readings[4].status, Status::BAD_NO_DATA, "an element without its time is not given another");
    assert_eq!((status, body["readings"].as_i64()), (200, Some(4)));
    assert!(host.reports()[0].1.message.contains("at `$[2].ts` expected the element's time, found nothing"));
}

#[test]
fn a_payload_that_cannot_be_used_is_400_with_the_reason() {
    let host = Host::install();
    let mut adapter = start(telemetry());
    let (status, body, readings) = post(&mut adapter, "/press/telemetry", "temp=5");
    assert_eq!(status, 400);
    assert!(
        body["error"].as_str().expect("a reason").starts_with("path /press/telemetry: expected JSON, found expected"),
        "{body}"
    );
    assert_eq!(readings.iter().map(|one| one.status).collect::<Vec<_>>(), [Status::BAD_DECODING_ERROR; 2]);
    assert_eq!(host.reports().len(), 2);
    let (status, body, _) = post(&mut adapter, "/press/telemetry", r#"{"ts":5,"temp":"hot","ok":true}"#);
    assert_eq!((status, body["readings"].as_i64()), (200, Some(1)));
    assert!(body["problems"][0].as_str().expect("a problem").contains("at `temp` expected a number"));
}

#[test]
fn other_paths_and_methods_are_refused() {
    let _host = Host::install();
    let mut adapter = start(telemetry());
    assert_eq!(post(&mut adapter, "/other", "{}").0, 404);
    let (reply, _) = adapter.respond(&request("GET", "/press/telemetry", b"")).expect("a reply");
    assert_eq!((reply.status, reply.headers[1].1.as_str()), (405, "POST, PUT"));
}

#[test]
fn the_connections_own_path_may_be_a_hook() {
    let _host = Host::install();
    let mut adapter = start(json!({ "hooks": [{ "path": "/#", "name": "{path}" }] }));
    assert_eq!(post(&mut adapter, "/", r#"{"a":1}"#).0, 200);
    let fault = testing::start::<WebhookJson>(json!({ "hooks": [{ "path": "x" }, { "path": "/a", "each": "b" }] }))
        .expect_err("mistakes");
    assert!(
        fault.message.contains("hooks[0].path: `x` does not begin") && fault.message.contains("hooks[1].each: "),
        "{}",
        fault.message
    );
}

proptest! {
    #[test]
    fn no_payload_panics(body in prop::collection::vec(any::<u8>(), 0..60)) {
        let _host = Host::install();
        let (reply, readings) = start(telemetry()).respond(&request("POST", "/p/telemetry", &body)).expect("a reply");
        prop_assert!(matches!(reply.status, 200 | 400));
        prop_assert!(reply.status == 200 || readings.iter().all(|one| one.value.is_none()));
    }
}
