//! The adapter on the SDK's scripted host: messages in, readings and reports out.

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running, Seen};
use mqtt_json::{MqttJson, Settings};
use proptest::prelude::*;
use serde_json::json;

fn start(settings: serde_json::Value) -> Running<MqttJson> {
    testing::start(settings).unwrap_or_else(|fault| panic!("{}", fault.message))
}

fn telemetry() -> serde_json::Value {
    json!({ "topics": [{
        "filter": "plant/+line/+device/telemetry",
        "name": "{line}.{device}.{path}",
        "points": [
            { "path": "$.temp", "unit": "°C" },
            { "path": "state", "name": "running", "type": "boolean" },
        ],
        "time": { "path": "ts", "format": "unix-ms" },
    }] })
}

fn receive(adapter: &mut Running<MqttJson>, topic: &str, payload: &str) -> Vec<Seen> {
    let frame = Frame { received: 77, ..Frame::message(topic, payload) };
    adapter.receive("broker", &[frame]).expect("readings")
}

#[test]
fn the_readmes_config_has_settings_that_start() {
    let _host = Host::install();
    let readme = include_str!("../README.md");
    let config = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a config");
    let config: serde_json::Value = toml::from_str(config).unwrap_or_else(|error| panic!("{error}"));
    let connections = config["connections"].as_object().expect("connections");
    let own =
        connections.values().find(|one| one["adapter"] == "mqtt-json" && one["settings"].is_object()).expect("its own");
    start(own["settings"].clone());
}

#[test]
fn the_schema_is_committed() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn a_message_becomes_named_readings_with_its_own_time() {
    let host = Host::install();
    let mut adapter = start(telemetry());
    let readings =
        receive(&mut adapter, "plant/l1/press/telemetry", r#"{"ts":1700000000000,"temp":61.5,"state":true}"#);
    let of = |name: &str, value: Value, unit: Option<&str>| Seen {
        name: name.into(),
        value: Some(value),
        status: Status::GOOD,
        time: Some(1_700_000_000_000_000_000),
        unit: unit.map(str::to_owned),
    };
    assert_eq!(readings, [of("l1.press.temp", 61.5.into(), Some("°C")), of("l1.press.running", true.into(), None)]);
    receive(&mut adapter, "plant/l1/press/telemetry", r#"{"ts":1700000000001,"temp":61.6,"state":true}"#);
    assert_eq!(host.declare_calls(), 1, "the second message of a topic declares nothing");
    assert!(host.reports().is_empty());
}

#[test]
fn a_payload_that_does_not_parse_is_a_bad_reading_of_each_point_and_reported() {
    let host = Host::install();
    let mut adapter = start(telemetry());
    let good = Frame::message("plant/l1/a/telemetry", r#"{"ts":1,"temp":1,"state":false}"#);
    let torn = Frame { received: 77, ..Frame::message("plant/l1/b/telemetry", r#"{"ts":1,"temp":"#) };
    let readings = adapter.receive("broker", &[torn, good]).expect("readings");
    let states: Vec<(&str, Status)> = readings.iter().map(|reading| (reading.name.as_str(), reading.status)).collect();
    assert_eq!(
        states,
        [
            ("l1.b.temp", Status::BAD_DECODING_ERROR),
            ("l1.b.running", Status::BAD_DECODING_ERROR),
            ("l1.a.temp", Status::GOOD),
            ("l1.a.running", Status::GOOD),
        ]
    );
    assert!(readings[0].value.is_none() && readings[0].time == Some(77));
    let reports = host.reports();
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[0].0.as_deref(), Some("l1.b.temp"));
    assert_eq!(reports[0].1.code, "not-json");
    let message = &reports[0].1.message;
    assert!(
        message.starts_with("topic plant/l1/b/telemetry: expected JSON, found EOF") && message.contains("column 15"),
        "{message}"
    );
}

#[test]
fn a_wrong_type_and_a_missing_path_leave_the_other_values() {
    let host = Host::install();
    let mut adapter = start(telemetry());
    let readings = receive(&mut adapter, "plant/l1/a/telemetry", r#"{"ts":1,"temp":"hot"}"#);
    assert_eq!(
        readings.iter().map(|reading| reading.status).collect::<Vec<_>>(),
        [Status::BAD_TYPE_MISMATCH, Status::BAD_NO_DATA]
    );
    let messages: Vec<String> = host.reports().into_iter().map(|(_, fault)| fault.message).collect();
    assert_eq!(
        messages,
        [
            "topic plant/l1/a/telemetry: at `temp` expected a number, found the text `hot`",
            "topic plant/l1/a/telemetry: at `state` expected true, false, 1 or 0, found nothing",
        ]
    );
}

#[test]
fn a_retained_message_is_uncertain_unless_it_says_when() {
    let _host = Host::install();
    let mut adapter =
        start(json!({ "topics": [{ "filter": "a", "time": { "path": "ts", "format": "unix-s", "optional": true } }] }));
    let status = |adapter: &mut Running<MqttJson>, payload: &str| {
        let frame = Frame { retained: true, ..Frame::message("a", payload) };
        adapter.receive("broker", &[frame]).expect("readings")[0].status
    };
    assert_eq!(status(&mut adapter, r#"{"v":1}"#), Status::UNCERTAIN_LAST_USABLE_VALUE);
    assert_eq!(status(&mut adapter, r#"{"v":1,"ts":5}"#), Status::GOOD);
    assert_eq!(status(&mut adapter, "{"), Status::BAD_DECODING_ERROR);
}

#[test]
fn points_found_in_payloads_keep_their_type() {
    let host = Host::install();
    let mut adapter = start(json!({ "topics": [{ "filter": "+/state" }] }));
    let names: Vec<String> = receive(&mut adapter, "pump/state", r#"{"a":{"b":1},"c":"x"}"#)
        .into_iter()
        .map(|reading| reading.name)
        .collect();
    assert_eq!(names, ["pump.a.b", "pump.c"]);
    let readings = receive(&mut adapter, "pump/state", r#"{"a":{"b":"text"},"c":null}"#);
    assert_eq!(
        readings.iter().map(|reading| reading.status).collect::<Vec<_>>(),
        [Status::BAD_TYPE_MISMATCH, Status::BAD_NO_DATA]
    );
    assert_eq!(receive(&mut adapter, "pump/state", "no json").len(), 2, "both known points turn bad");
    assert_eq!(host.reports().len(), 4);
}

#[test]
fn a_topic_without_wildcards_is_in_the_catalogue_before_its_first_message() {
    let host = Host::install();
    let _adapter = start(
        json!({ "topics": [{ "filter": "boiler", "points": [{ "path": "t", "type": "decimal", "unit": "K" }] }] }),
    );
    let points = host.points();
    assert_eq!((points[0].name.as_str(), points[0].kind, points[0].unit.as_deref()), ("t", Kind::Decimal, Some("K")));
}

#[test]
fn a_topic_nobody_mapped_and_the_events_of_the_transport() {
    let host = Host::install();
    let mut adapter = start(telemetry());
    assert!(receive(&mut adapter, "other", "{}").is_empty());
    assert_eq!(host.reports()[0].1.code, "unmapped-topic");
    let event = Frame { kind: FrameKind::Disconnected, ..Frame::message("", "") };
    assert!(adapter.receive("broker", &[event]).expect("nothing").is_empty());
    assert_eq!(host.reports().len(), 1);
}

#[test]
fn a_host_that_takes_no_more_points_is_reported_and_the_rest_goes_on() {
    let host = Host::install();
    let mut adapter = start(telemetry());
    receive(&mut adapter, "plant/l1/a/telemetry", r#"{"ts":1,"temp":1,"state":1}"#);
    host.fail_declare(Some(Fault::reject("too-many-points", "at most 20000")));
    assert!(receive(&mut adapter, "plant/l1/b/telemetry", r#"{"ts":1,"temp":1,"state":1}"#).is_empty());
    assert_eq!(receive(&mut adapter, "plant/l1/a/telemetry", r#"{"ts":2,"temp":1,"state":1}"#).len(), 2);
    let (_, fault) = host.reports().remove(0);
    assert_eq!(
        (fault.code.as_str(), fault.message.as_str()),
        ("too-many-points", "topic plant/l1/b/telemetry: at most 20000")
    );
}

#[test]
fn settings_that_cannot_work_say_every_reason() {
    let _host = Host::install();
    let settings = json!({ "topics": [
        { "filter": "a/#/b" },
        { "filter": "a/+x", "name": "{y}.{path}" },
        { "filter": "a/+x", "name": "{x}", "points": [{ "path": "a" }, { "path": "b[" }] },
    ] });
    let fault = testing::start::<MqttJson>(settings).expect_err("mistakes");
    assert_eq!(fault.remedy, Remedy::Reconfigure);
    for part in [
        "topics[0].filter: ",
        "topics[1].name: ",
        "this filter has {path}, {x}",
        "topics[2].name: ",
        "topics[2].points[1].path: ",
    ] {
        assert!(fault.message.contains(part), "{part} is not in {}", fault.message);
    }
    let misspelt = json!({ "topics": [{ "filter": "a", "points": [{ "path": "a", "typ": "real" }] }] });
    let fault = testing::start::<MqttJson>(misspelt).expect_err("a mistake");
    assert!(fault.message.starts_with("settings.topics[0].points[0].typ: unknown field `typ`"), "{}", fault.message);
}

proptest! {
    #[test]
    fn no_payload_panics_and_each_listed_point_gets_a_reading(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        let _host = Host::install();
        let mut adapter = start(telemetry());
        let frame = Frame::message("plant/l1/a/telemetry", payload);
        prop_assert_eq!(adapter.receive("broker", &[frame]).expect("readings").len(), 2);
    }
}
