//! The adapter on the SDK's scripted host: requests in, answers and readings out.

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running, Seen};
use proptest::prelude::*;
use webhook_any::{Settings, WebhookAny};

/// The settings of the README's config.
fn settings() -> serde_json::Value {
    let readme = include_str!("../README.md");
    let config = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a config");
    let config: serde_json::Value = toml::from_str(config).unwrap_or_else(|error| panic!("{error}"));
    config["connections"]["meters"]["settings"].clone()
}

fn start(settings: serde_json::Value) -> Running<WebhookAny> {
    testing::start(settings).unwrap_or_else(|fault| panic!("{}", fault.message))
}

fn send(
    adapter: &mut Running<WebhookAny>,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> (u16, String, String, Vec<Seen>) {
    let headers = vec![("content-type".to_owned(), content_type.to_owned())];
    let (method, query) = ("POST".to_owned(), String::new());
    let request = Request { method, path: path.into(), query, headers, body: body.to_vec(), received: 77 };
    let (reply, readings) = adapter.respond(&request).expect("a reply");
    let media_type = reply.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.clone());
    let body = String::from_utf8(reply.body).expect("text");
    (reply.status, media_type.unwrap_or_default(), body, readings)
}

#[test]
fn the_schema_is_committed() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn xml_becomes_readings_and_is_answered_by_xml() {
    let _host = Host::install();
    let mut adapter = start(settings());
    let body = b"<?xml version='1.0'?><readings at='1970-01-01T00:00:05Z'><meter id='m1'><kwh unit='kWh'>12.5</kwh></meter></readings>";
    let (status, media_type, answer, readings) = send(&mut adapter, "/readings", "text/xml; charset=utf-8", body);
    assert_eq!((status, media_type.as_str()), (200, "application/xml"), "{answer}");
    assert!(answer.contains("<response><readings>1</readings></response>"), "{answer}");
    let reading = &readings[0];
    assert_eq!((reading.name.as_str(), reading.value.clone()), ("m1.energy", Some(12.5.into())));
    assert_eq!(reading.time, Some(5_000_000_000));
    let two = b"<readings at='1970-01-01T00:00:05Z'><meter id='m1'><kwh u='x'>1</kwh></meter><meter id='m2'><kwh u='x'>?</kwh></meter></readings>";
    let (status, _, answer, readings) = send(&mut adapter, "/readings", "application/atom+xml", two);
    assert_eq!((status, readings.len()), (200, 2), "{answer}");
    assert!(answer.contains("<readings>1</readings><problem>"), "{answer}");
    let (status, media_type, answer, _) =
        send(&mut adapter, "/readings", "application/xml", b"<readings><meter></readings>");
    assert_eq!((status, media_type.as_str()), (400, "application/xml"));
    assert!(answer.contains("<error>path /readings: expected XML"), "{answer}");
}

#[test]
fn a_form_is_answered_as_the_settings_say() {
    let _host = Host::install();
    let mut adapter = start(settings());
    let plain = "application/x-www-form-urlencoded";
    let (status, media_type, answer, readings) = send(&mut adapter, "/door1/event", plain, b"state=open&temp=21.5");
    assert_eq!((status, media_type.as_str(), answer.as_str()), (200, "text/plain", "OK 2"));
    let names: Vec<&str> = readings.iter().map(|reading| reading.name.as_str()).collect();
    assert_eq!(names, ["door1.state", "door1.temp"]);
    let body = b"--b\r\nContent-Disposition: form-data; name=\"state\"\r\n\r\nshut\r\n--b--\r\n";
    let (status, _, answer, readings) = send(&mut adapter, "/door1/event", "multipart/form-data; boundary=b", body);
    assert_eq!((status, answer.as_str(), readings[0].value.clone()), (200, "OK 1", Some("shut".into())));
    let (status, _, answer, _) = send(&mut adapter, "/door1/event", plain, b"other=1");
    assert!(status == 400 && answer.starts_with("ERROR ") && answer.contains("state"), "{status} {answer}");
}

#[test]
fn any_bytes_become_a_file_and_stay_as_they_are() {
    let _host = Host::install();
    let mut adapter = start(settings());
    let body: Vec<u8> = (0..=255).collect();
    let (status, media_type, answer, readings) = send(&mut adapter, "/picture", "image/png", &body);
    assert_eq!((status, media_type.as_str(), answer.as_str()), (200, "application/json", r#"{"readings":1}"#));
    let Some(Value::File(file)) = &readings[0].value else { panic!("{:?}", readings[0].value) };
    assert_eq!((file.name.as_str(), file.media_type.as_str(), &file.data), ("body", "image/png", &body));
}

#[test]
fn what_is_not_taken_is_told() {
    let _host = Host::install();
    let mut adapter = start(settings());
    assert_eq!(send(&mut adapter, "/readings", "application/json", b"{}").0, 415);
    assert_eq!(send(&mut adapter, "/nothing", "text/xml", b"<a/>").0, 404);
    let get = Request {
        method: "GET".into(),
        path: "/".into(),
        query: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
        received: 0,
    };
    assert_eq!(adapter.respond(&get).expect("a reply").0.status, 405);
}

#[test]
fn mistakes_in_the_settings_are_all_named() {
    let _host = Host::install();
    let settings = serde_json::json!({ "hooks": [
        { "path": "x", "format": "xml" },
        { "path": "/+a", "format": "bytes", "each": "$.a[*]" },
        { "path": "/y", "format": "form", "points": [{ "path": "a..b" }] },
        { "path": "/z", "format": "form", "answer": { "media_type": "a", "taken": "b", "status": 404 } },
    ] });
    let Err(fault) = testing::start::<WebhookAny>(settings) else { panic!("it starts") };
    for part in [
        "hooks[0].path",
        "hooks[1].name",
        "hooks[1].path",
        "hooks[1].points",
        "hooks[2].points[0]",
        "hooks[3].answer.status",
    ] {
        assert!(fault.message.contains(part), "{part}: {}", fault.message);
    }
}

proptest! {
    #[test]
    fn any_body_is_answered(body in proptest::collection::vec(any::<u8>(), 0..100), text in "[<>a=&/ readings]{0,40}") {
        let _host = Host::install();
        let mut adapter = start(settings());
        for (path, media_type) in [("/readings", "text/xml"), ("/d/event", "application/x-www-form-urlencoded"), ("/picture", "")] {
            for body in [body.as_slice(), text.as_bytes()] {
                let status = send(&mut adapter, path, media_type, body).0;
                prop_assert!([200, 400].contains(&status), "{}", status);
            }
        }
    }
}
