//! The whole adapter on a scripted line: scales, NMEA, requests, torn and foreign lines, and its settings.
#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

use bulkhead_sdk::testing::{self, Host, Running, Seen};
use bulkhead_sdk::{Fault, Frame, FrameKind, Status, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use serial_text::SerialText;
use serial_text::settings::Settings;

fn start(settings: Json) -> (Host, Running<SerialText>) {
    let host = Host::install();
    (host, testing::start(settings).unwrap())
}

fn scale() -> Json {
    json!({
        "patterns": [{
            "regex": "^(?<flag>ST|US|OL),GS,(?<weight>[-+ 0-9.]*)kg$",
            "status": {"capture": "flag", "values": {"ST": "Good", "US": "Uncertain", "OL": "BadOutOfRange"}},
            "points": [{"name": "weight", "unit": "kg"}],
        }],
        "ignore": ["^#"],
    })
}

fn receive(adapter: &mut Running<SerialText>, line: &str) -> Vec<Seen> {
    adapter.receive("device", &[Frame::data(line)]).unwrap()
}

fn codes(host: &Host) -> Vec<String> {
    host.reports().into_iter().map(|(_, fault)| fault.code).collect()
}

#[test]
fn a_scale_says_weight_and_whether_it_is_stable() {
    let (host, mut adapter) = start(scale());
    for (line, value, status) in [
        ("ST,GS,+00123.4kg", Some(123.4), Status::GOOD),
        ("US,GS,-    3.0kg\r\n", Some(-3.0), Status::UNCERTAIN),
        ("OL,GS,+99999.9kg", None, Status::BAD_OUT_OF_RANGE),
        ("ST,GS,        kg", None, Status::BAD_NO_DATA),
    ] {
        let readings = receive(&mut adapter, line);
        assert_eq!(readings.len(), 1, "{line}");
        assert_eq!((readings[0].value.clone(), readings[0].status), (value.map(Value::Real), status), "{line}");
        assert_eq!(readings[0].unit.as_deref(), Some("kg"));
    }
    assert_eq!(host.reports(), []);
}

#[test]
fn each_reading_has_the_time_its_frame_arrived() {
    let (_host, mut adapter) = start(scale());
    let frames: Vec<_> =
        (1..4).map(|at| Frame { received: at * 1000, ..Frame::data(format!("ST,GS,{at}kg")) }).collect();
    let readings = adapter.receive("device", &frames).unwrap();
    let times: Vec<_> = readings.iter().map(|reading| (reading.value.clone(), reading.time)).collect();
    assert_eq!(times, (1..4).map(|at| (Some(Value::Real(at as f64)), Some(at * 1000))).collect::<Vec<_>>());
}

#[test]
fn lines_that_fit_nothing_are_reported_unless_they_are_expected() {
    let (host, mut adapter) = start(scale());
    assert_eq!(receive(&mut adapter, "# scale 7, firmware 2"), []);
    assert_eq!(receive(&mut adapter, ""), []);
    assert_eq!(codes(&host), Vec::<String>::new());
    assert_eq!(receive(&mut adapter, "GS,+00123.4kg"), []);
    assert_eq!(receive(&mut adapter, "\u{1b}[2J"), []);
    assert_eq!(adapter.receive("device", &[Frame::data(vec![0xFF, 0xFE])]).unwrap(), []);
    assert_eq!(codes(&host), ["unmatched-line", "unmatched-line", "bad-encoding"]);
    assert_eq!(host.reports()[1].1.message, r"no pattern matches `\u{1b}[2J`");
}

#[test]
fn a_field_that_is_no_value_is_bad_and_named() {
    let (host, mut adapter) = start(scale());
    let readings = receive(&mut adapter, "ST,GS,+12.3.4kg");
    assert_eq!((readings[0].value.clone(), readings[0].status), (None, Status::BAD_DECODING_ERROR));
    let reports = host.reports();
    assert_eq!((reports[0].0.as_deref(), reports[0].1.code.as_str()), (Some("weight"), "bad-field"));
    assert!(reports[0].1.message.contains("got `+12.3.4` in `ST,GS,+12.3.4kg`"), "{reports:?}");
}

#[test]
fn a_flag_that_is_not_listed_is_not_taken_for_good() {
    let mut settings = scale();
    settings["patterns"][0]["status"]["values"] = json!({"ST": "Good"});
    let (_host, mut adapter) = start(settings);
    assert_eq!(receive(&mut adapter, "US,GS,1.0kg")[0].status, Status::UNCERTAIN);
}

#[test]
fn connecting_and_timers_are_no_lines() {
    let (host, mut adapter) = start(scale());
    let frames = [FrameKind::Connected, FrameKind::Disconnected, FrameKind::Timer]
        .map(|kind| Frame { kind, ..Frame::data("ST,GS,1kg") });
    assert_eq!(adapter.receive("device", &frames).unwrap(), []);
    assert_eq!(host.reports(), []);
}

fn gps() -> Json {
    json!({
        "nmea": true,
        "patterns": [{
            "regex": "^GPGGA,[^,]*,(?<lat>[^,]*,[NS]?),(?<lon>[^,]*,[EW]?),(?<fix>\\d),(?<satellites>\\d*),",
            "points": [
                {"name": "latitude", "capture": "lat", "type": "nmea-angle", "unit": "deg"},
                {"name": "longitude", "capture": "lon", "type": "nmea-angle", "unit": "deg"},
                {"name": "satellites", "type": "integer"},
            ],
        }],
        "ignore": ["^GPGSV,"],
    })
}

const GGA: &str = "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47";

#[test]
fn nmea_sentences_are_read_and_their_checksum_is_checked() {
    let (host, mut adapter) = start(gps());
    let readings = receive(&mut adapter, GGA);
    let names: Vec<_> = readings.iter().map(|reading| reading.name.as_str()).collect();
    assert_eq!(names, ["latitude", "longitude", "satellites"]);
    assert_eq!(readings[2].value, Some(Value::Integer(8)));
    let latitude = readings[0].value.as_ref().unwrap().as_f64().unwrap();
    assert!((latitude - 48.1173).abs() < 1e-9);

    let torn = GGA.replace("08", "18");
    let readings = receive(&mut adapter, &torn);
    assert!(readings.iter().all(|reading| reading.status == Status::BAD_DECODING_ERROR && reading.value.is_none()));
    assert_eq!((readings.len(), codes(&host)), (3, vec!["bad-checksum".to_owned()]));
    assert!(host.reports()[0].1.message.contains("the checksum says 47, the sentence gives 46"));

    assert_eq!(receive(&mut adapter, "$GPGSV,1,1,00*79"), []);
    assert_eq!(receive(&mut adapter, "$GPXXX,1*42"), []);
    assert_eq!(codes(&host).len(), 2, "an ignored sentence is not reported, an unknown one is");
}

#[test]
fn a_fix_that_is_not_there_is_no_data() {
    let (_host, mut adapter) = start(gps());
    let body = "GPGGA,123519,,,,,0,00,,,M,,M,,";
    let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
    let readings = receive(&mut adapter, &format!("${body}*{sum:02X}"));
    assert_eq!((readings[0].value.clone(), readings[0].status), (None, Status::BAD_NO_DATA));
    assert_eq!(readings[2].value, Some(Value::Integer(0)));
}

fn asked() -> Json {
    json!({
        "patterns": [
            {"regex": "^W(?<weight>.+)$", "points": [{"name": "weight", "decimal_comma": true, "unit": "kg"}]},
            {"regex": "^T(?<tare>.+)$", "points": [{"name": "tare"}]},
        ],
        "poll": [{"request": "P\\r\\n"}, {"request": "\\x05", "timeout_ms": 200}],
    })
}

#[test]
fn a_poll_sends_its_requests_and_reads_the_answers() {
    let (host, mut adapter) = start(asked());
    host.on_exchange(|transport, request| match (transport, request) {
        ("device", b"P\r\n") => Ok(b"W 12,5".to_vec()),
        ("device", b"\x05") => Ok(b"T2.5".to_vec()),
        other => panic!("{other:?}"),
    });
    let readings = adapter.poll("default").unwrap();
    let values: Vec<_> = readings.iter().map(|reading| (reading.name.as_str(), reading.value.clone())).collect();
    assert_eq!(values, [("weight", Some(Value::Real(12.5))), ("tare", Some(Value::Real(2.5)))]);
    assert_eq!(adapter.poll("other").unwrap(), []);
    assert_eq!(adapter.check().unwrap(), "the device says `W 12,5`: weight is 12.5");
}

#[test]
fn an_answer_that_fits_nothing_leaves_no_point_out() {
    let (host, mut adapter) = start(asked());
    host.on_exchange(|_, request| Ok(if request == b"P\r\n" { b"?ERR".to_vec() } else { b"T2.5".to_vec() }));
    let readings = adapter.poll("default").unwrap();
    let weight = readings.iter().find(|reading| reading.name == "weight").unwrap();
    assert_eq!((weight.value.clone(), weight.status), (None, Status::BAD_DECODING_ERROR));
    assert_eq!(readings.len(), 2);
    assert_eq!(codes(&host), ["unmatched-line"]);
    assert!(adapter.check().unwrap_err().message.contains("`?ERR`, and no pattern matches it"));
}

#[test]
fn one_answer_that_does_not_come_is_bad_alone_and_none_at_all_is_a_fault() {
    let (host, mut adapter) = start(asked());
    host.on_exchange(|_, request| match request {
        b"\x05" => Err(Fault::retry("timeout", "no answer within 200 ms")),
        _ => Ok(b"W 12,5".to_vec()),
    });
    let readings = adapter.poll("default").unwrap();
    assert_eq!((readings[1].name.as_str(), readings[1].status), ("tare", Status::BAD_TIMEOUT));
    assert_eq!(codes(&host), ["timeout"]);
    host.on_exchange(|_, _| Err(Fault::retry("timeout", "no answer")));
    assert_eq!(adapter.poll("default").unwrap_err().code, "timeout");
    host.on_exchange(|_, _| Err(Fault::reconnect("not-connected", "gone")));
    assert_eq!(adapter.poll("default").unwrap_err().code, "not-connected");
}

#[test]
fn text_in_another_encoding_is_read_and_asked_for() {
    let (host, mut adapter) = start(json!({
        "encoding": "cp1251",
        "patterns": [{"regex": "^Вес: (?<weight>.+) кг$", "points": [{"name": "weight"}]}],
        "poll": {"request": "Вес\\r"},
    }));
    host.on_exchange(|_, request| {
        assert_eq!(request, b"\xC2\xE5\xF1\r");
        Ok(b"\xC2\xE5\xF1: 7.5 \xEA\xE3".to_vec())
    });
    assert_eq!(adapter.poll("default").unwrap()[0].value, Some(Value::Real(7.5)));
}

#[test]
fn settings_that_do_not_fit_name_the_field() {
    let pattern = |regex: &str, point: Json| json!({"patterns": [{"regex": regex, "points": [point]}]});
    for (settings, part) in [
        (json!({"patterns": []}), "no patterns"),
        (pattern("(?<a>", json!({"name": "a"})), "patterns[0]: `(?<a>` is no regular expression"),
        (pattern("(?<a>.)", json!({"name": "b"})), "point `b`: the expression has no group `(?<b>…)`; it has: a"),
        (pattern("(?<a>.)", json!({"name": "a", "type": "boolean"})), "a boolean needs it"),
        (pattern("(?<a>.)", json!({"name": "a", "scale": 0})), "`scale` must be"),
        (pattern("(?<a>.)", json!({"name": "a", "typ": "real"})), "settings.patterns[0].points[0].typ: unknown field"),
        (
            json!({"patterns": [{"regex": "(?<a>.)", "points": [{"name": "a"}],
                "status": {"capture": "a", "values": {"x": "Fine"}}}]}),
            "`Fine` is no status; expected one of Good",
        ),
        (
            json!({"patterns": [{"regex": "(?<a>.)", "points": [{"name": "a"}]},
                {"regex": "(?<a>.)!", "points": [{"name": "a", "type": "text"}]}]}),
            "point `a` is of kind real in one pattern and text in another",
        ),
        (
            json!({"patterns": [{"regex": "(?<a>.)", "points": [{"name": "a"}]}], "poll": {"request": "\\q"}}),
            "poll[0].request: `\\q` is no escape",
        ),
        (
            json!({"patterns": [{"regex": "(?<a>.)", "points": [{"name": "a"}]}], "poll": {"request": "P", "group": "fast"}}),
            "no pattern is of the group `fast`",
        ),
        (
            json!({"patterns": [{"regex": "(?<a>.)", "points": [{"name": "a"}]}], "poll": [{"reqest": "P"}]}),
            "settings.poll[0].reqest: unknown field",
        ),
    ] {
        let _host = Host::install();
        let fault = testing::start::<SerialText>(settings).unwrap_err();
        assert_eq!(fault.code, "bad-settings");
        assert!(fault.message.contains(part), "{} ≠ {part}", fault.message);
    }
}

#[test]
fn the_schema_is_the_committed_one() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn the_configs_in_the_readme_work() {
    let (_host, mut scale) = start(testing::settings_in("README.md", "scale"));
    let readings = receive(&mut scale, "US,GS,+00123.4kg");
    assert_eq!((readings[0].value.clone(), readings[0].status), (Some(Value::Real(123.4)), Status::UNCERTAIN));

    let (_host, mut gps) = start(testing::settings_in("README.md", "gps"));
    let readings = receive(&mut gps, GGA);
    assert_eq!(readings.iter().find(|reading| reading.name == "satellites").unwrap().value, Some(Value::Integer(8)));

    let (host, mut balance) = start(testing::settings_in("README.md", "balance"));
    host.on_exchange(|_, request| {
        assert_eq!(request, b"SI\r\n");
        Ok(b"S S     100,02 g".to_vec())
    });
    assert_eq!(balance.poll("default").unwrap()[0].value, Some(Value::Real(100.02)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail_and_every_line_is_read_or_reported(bytes: Vec<u8>) {
        let (host, mut adapter) = start(scale());
        let readings = adapter.receive("device", &[Frame::data(bytes.clone())]).unwrap();
        let expected = bytes.iter().all(|byte| b"\r\n".contains(byte)) || bytes.starts_with(b"#");
        prop_assert!(!readings.is_empty() || !host.reports().is_empty() || expected);
    }

    #[test]
    fn a_line_torn_anywhere_is_never_a_good_reading_of_another_weight(at in 0usize..16) {
        let (_host, mut adapter) = start(scale());
        let readings = receive(&mut adapter, &"ST,GS,+00123.4kg"[..at]);
        prop_assert!(readings.iter().all(|reading| reading.value.is_none()));
    }
}
