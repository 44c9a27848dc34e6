//! The adapter against services that a test scripts: entities alone, `$batch` in both formats, tokens, errors.

use bulkhead_sdk::BatchPoint;
use bulkhead_sdk::http::{Incoming, Outgoing};
use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host, Running};
use odata::{OData, Settings};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

fn start(settings: serde_json::Value) -> Running<OData> {
    testing::start(settings).unwrap_or_else(|fault| panic!("{}", fault.message))
}

fn settings(more: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({ "entity_set": "Measurements", "properties": [
        { "name": "Device", "from": "point", "type": "Edm.String" },
        { "name": "Time", "from": "time", "type": "Edm.DateTimeOffset" },
        { "name": "Value", "from": "value", "type": "Edm.Decimal" },
        { "name": "Plant", "const": "P1", "type": "Edm.String" },
    ] });
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    settings
}

fn batch(values: Vec<Value>) -> Batch {
    let point = BatchPoint {
        connection: "line1".into(),
        name: "press/t".into(),
        kind: Kind::Real,
        unit: None,
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

fn numbers(count: i64) -> Batch {
    batch((0..count).map(Value::Integer).collect())
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Incoming, Fault> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Ok(Incoming { status, headers, body: body.into() })
}

fn header<'r>(request: &'r Outgoing, name: &str) -> Option<&'r str> {
    request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

#[test]
fn a_delivery_to_a_slow_service_ends_in_time_and_says_how_far_it_came() {
    // Entity by entity, and entity by entity after a `$batch` that is refused: that one takes 25 s too.
    for (send, entities) in [("entity", 3), ("batch-json", 2)] {
        let host = Host::install();
        let clock = host.clone();
        let seconds = RefCell::new(0);
        host.on_http(move |_, request| {
            *seconds.borrow_mut() += 25;
            clock.set_monotonic(*seconds.borrow() * 1_000_000_000);
            if request.path == "/$batch" { answer(400, &[], REFUSAL) } else { answer(201, &[], "") }
        });
        let outcome = start(settings(json!({ "send": send }))).deliver(&numbers(50)).expect("some were taken");
        assert_eq!(outcome.accepted, entities, "{send}");
        let rest = outcome.rest.expect("a reason");
        assert_eq!((rest.remedy, rest.code.as_str(), rest.retry_after_ms), (Remedy::Retry, "delivery-time", Some(0)));
        assert_eq!(host.http_requests().len(), 3, "{send}");
    }
}

/// A service that refuses entities with these values and remembers the values it took.
#[derive(Clone, Default)]
struct Service {
    refused: BTreeSet<i64>,
    taken: Rc<RefCell<Vec<i64>>>,
}

const REFUSAL: &str = r#"{"error":{"code":"RANGE","message":"Value out of range","details":[{"code":"V","target":"Value","message":"too high"}]}}"#;

impl Service {
    fn install(host: &Host, refused: impl IntoIterator<Item = i64>) -> Service {
        let service = Service { refused: refused.into_iter().collect(), ..Service::default() };
        let serving = service.clone();
        host.on_http(move |_, request| serving.serve(request));
        service
    }

    fn value(body: &serde_json::Value) -> i64 {
        body["Value"].as_i64().expect("a whole value")
    }

    fn serve(&self, request: &Outgoing) -> Result<Incoming, Fault> {
        let text = std::str::from_utf8(&request.body).expect("UTF-8");
        if request.path != "/$batch" {
            let value = Self::value(&serde_json::from_str(text).expect("an entity"));
            return if self.take(&[value]) { answer(201, &[], "") } else { answer(400, &[], REFUSAL) };
        }
        if header(request, "content-type").is_some_and(|name| name.starts_with("multipart")) {
            self.serve_multipart(text)
        } else {
            self.serve_json(&serde_json::from_str(text).expect("JSON"))
        }
    }

    /// All or nothing.
    fn take(&self, values: &[i64]) -> bool {
        let is_taken = !values.iter().any(|value| self.refused.contains(value));
        if is_taken {
            self.taken.borrow_mut().extend(values);
        }
        is_taken
    }

    fn serve_json(&self, body: &serde_json::Value) -> Result<Incoming, Fault> {
        let requests = body["requests"].as_array().expect("requests");
        let values: Vec<i64> = requests.iter().map(|one| Self::value(&one["body"])).collect();
        let refusal: serde_json::Value = serde_json::from_str(REFUSAL).expect("JSON");
        let is_set = requests[0]["atomicityGroup"].is_string();
        let set_taken = is_set && self.take(&values);
        let responses: Vec<serde_json::Value> = (requests.iter().zip(&values))
            .map(|(one, value)| match (is_set, if is_set { set_taken } else { self.take(&[*value]) }) {
                (_, true) => json!({ "id": one["id"], "status": 201 }),
                (true, false) if !self.refused.contains(value) => json!({ "id": one["id"], "status": 424 }),
                (_, false) => json!({ "id": one["id"], "status": 400, "body": refusal }),
            })
            .collect();
        answer(200, &[("content-type", "application/json")], &json!({ "responses": responses }).to_string())
    }

    fn serve_multipart(&self, text: &str) -> Result<Incoming, Fault> {
        let values: Vec<i64> = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| Self::value(&serde_json::from_str(line).expect("an entity")))
            .collect();
        let part = |status: &str, body: &str| {
            format!("Content-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\n\r\n{body}\r\n")
        };
        let wrapped = |parts: Vec<String>, boundary: &str| {
            parts.iter().map(|part| format!("--{boundary}\r\n{part}")).collect::<String>()
                + &format!("--{boundary}--\r\n")
        };
        let parts = if text.contains("changeset_bulkhead") {
            if self.take(&values) {
                let inner = wrapped(vec![part("204 No Content", ""); values.len()], "c");
                vec![format!("Content-Type: multipart/mixed; boundary=c\r\n\r\n{inner}")]
            } else {
                vec![part("400 Bad Request", REFUSAL)]
            }
        } else {
            values
                .iter()
                .map(
                    |value| {
                        if self.take(&[*value]) { part("201 Created", "") } else { part("400 Bad Request", REFUSAL) }
                    },
                )
                .collect()
        };
        answer(200, &[("content-type", "multipart/mixed; boundary=\"b\"")], &wrapped(parts, "b"))
    }
}

#[test]
fn the_readmes_config_has_settings_that_start() {
    let _host = Host::install();
    let readme = include_str!("../README.md");
    let config = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a config");
    let config: serde_json::Value = toml::from_str(config).unwrap_or_else(|error| panic!("{error}"));
    let connections = config["connections"].as_object().expect("connections");
    let own =
        connections.values().find(|one| one["adapter"] == "odata" && one["settings"].is_object()).expect("its own");
    start(own["settings"].clone());
}

#[test]
fn the_schema_is_committed() {
    testing::assert_schema::<Settings>("settings.schema.json");
}

#[test]
fn an_entity_has_its_properties_and_types() {
    let host = Host::install();
    host.on_http(|transport, _| {
        assert_eq!(transport, "upstream");
        answer(201, &[], "")
    });
    let outcome =
        start(settings(json!({ "ieee754_compatible": true }))).deliver(&batch(vec![Value::Decimal("12.50".into())]));
    assert_eq!(outcome.expect("taken").accepted, 1);
    let request = &host.http_requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/Measurements"));
    assert_eq!(
        std::str::from_utf8(&request.body).expect("UTF-8"),
        r#"{"Device":"press/t","Time":"2026-05-04T10:00:00.123Z","Value":"12.50","Plant":"P1"}"#
    );
    assert_eq!(header(request, "content-type"), Some("application/json;IEEE754Compatible=true"));
    assert_eq!((header(request, "odata-version"), header(request, "idempotency-key")), (Some("4.0"), Some("k")));
}

#[test]
fn a_refused_entity_is_rejected_with_the_services_words_in_every_way_of_sending() {
    for more in [
        json!({}),
        json!({ "send": "batch-json" }),
        json!({ "send": "batch-json", "change_set": false }),
        json!({ "send": "batch-multipart" }),
        json!({ "send": "batch-multipart", "change_set": false }),
        json!({ "send": "batch-multipart", "batch_size": 3 }),
    ] {
        let host = Host::install();
        let service = Service::install(&host, [4, 7]);
        let outcome = start(settings(more.clone())).deliver(&numbers(10)).expect("delivered");
        assert_eq!((outcome.accepted, outcome.rest), (10, None), "{more}");
        assert_eq!(outcome.rejected.iter().map(|one| one.index).collect::<Vec<_>>(), [4, 7], "{more}");
        let message = &outcome.rejected[0].fault.message;
        assert!(
            message.ends_with(
                "for line1/press/t (value 4, seq 104) answered 400: RANGE: Value out of range (Value: V: too high)"
            ),
            "{message}"
        );
        assert_eq!(*service.taken.borrow(), [0, 1, 2, 3, 5, 6, 8, 9], "{more}: each once, in order");
    }
}

#[test]
fn a_batch_without_refusals_is_one_request() {
    for send in ["batch-json", "batch-multipart"] {
        let host = Host::install();
        let service = Service::install(&host, []);
        let outcome = start(settings(json!({ "send": send }))).deliver(&numbers(50)).expect("delivered");
        assert_eq!((outcome.accepted, host.http_requests().len(), service.taken.borrow().len()), (50, 1, 50));
    }
}

#[test]
fn a_value_that_does_not_fit_is_rejected_without_asking() {
    let host = Host::install();
    let service = Service::install(&host, []);
    let values = vec![Value::Integer(1), Value::Text("hot".into()), Value::Integer(3)];
    let outcome = start(settings(json!({ "send": "batch-json" }))).deliver(&batch(values)).expect("delivered");
    assert_eq!((outcome.accepted, outcome.rejected.len(), outcome.rejected[0].index), (3, 1, 1));
    let fault = &outcome.rejected[0].fault;
    assert!(
        fault.message.contains("(value hot, seq 101): property `Value`: the text `hot` does not fit Edm.Decimal"),
        "{}",
        fault.message
    );
    assert_eq!(*service.taken.borrow(), [1, 3]);
}

#[test]
fn upserts_write_to_the_key_under_their_condition() {
    let host = Host::install();
    host.on_http(|_, request| {
        if request.body.ends_with(b"1,\"Plant\":\"P1\"}") { answer(404, &[], "") } else { answer(204, &[], "") }
    });
    let upsert = json!({ "upsert": { "key": ["Device", "Time"], "method": "PUT", "condition": "exists" } });
    let outcome = start(settings(upsert)).deliver(&numbers(2)).expect("delivered");
    assert_eq!((outcome.accepted, outcome.rejected[0].index), (2, 1), "what must be there and is not, is rejected");
    let request = &host.http_requests()[0];
    assert_eq!(request.method, "PUT");
    assert_eq!(request.path, "/Measurements(Device='press%2Ft',Time=2026-05-04T10%3A00%3A00.123Z)");
    assert_eq!(header(request, "if-match"), Some("*"));
    let plain = start(settings(json!({ "upsert": { "key": ["Device"] } }))).deliver(&numbers(1)).expect("delivered");
    assert_eq!(plain.accepted, 1);
    let request = &host.http_requests()[2];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PATCH", "/Measurements('press%2Ft')"));
    assert_eq!(header(request, "if-match"), None);
}

#[test]
fn a_busy_service_and_wrong_credentials_lose_nothing() {
    for (status, send) in
        [(503, "entity"), (429, "batch-json"), (401, "entity"), (403, "batch-multipart"), (404, "entity")]
    {
        let host = Host::install();
        host.on_http(move |_, _| answer(status, &[("retry-after", "9")], REFUSAL));
        let fault = start(settings(json!({ "send": send }))).deliver(&numbers(3)).expect_err("nothing was taken");
        assert_eq!((fault.remedy, fault.retry_after_ms), (Remedy::Retry, Some(9_000)), "{status}");
        assert!(
            fault.message.contains(&format!("answered {status}")) && fault.message.contains("RANGE"),
            "{}",
            fault.message
        );
    }
}

#[test]
fn what_waits_inside_a_batch_stops_there() {
    let host = Host::install();
    host.on_http(|_, _| {
        let responses = json!({ "responses": [{ "id": "1", "status": 503, "headers": { "Retry-After": "2" } }, { "id": "0", "status": 201 }] });
        answer(200, &[], &responses.to_string())
    });
    let outcome = start(settings(json!({ "send": "batch-json", "change_set": false })))
        .deliver(&numbers(2))
        .expect("one was taken");
    assert_eq!((outcome.accepted, outcome.rest.expect("a reason").retry_after_ms), (1, Some(2_000)));
}

#[test]
fn an_answer_that_is_none_loses_nothing() {
    for (content_type, body) in [
        ("text/html", "<p>hello"),
        ("application/json", r#"{"responses":[]}"#),
        ("multipart/mixed;boundary=b", "--b--"),
    ] {
        for send in ["batch-json", "batch-multipart"] {
            let host = Host::install();
            host.on_http(move |_, _| answer(200, &[("content-type", content_type)], body));
            let fault = start(settings(json!({ "send": send }))).deliver(&numbers(2)).expect_err("nothing was taken");
            assert_eq!((fault.code.as_str(), fault.remedy), ("bad-batch-answer", Remedy::Retry));
        }
    }
}

#[test]
fn what_is_there_already_may_count_as_taken_also_in_change_sets() {
    for send in ["batch-json", "batch-multipart"] {
        let host = Host::install();
        host.on_http(move |_, request| match (request.path.as_str(), send) {
            ("/$batch", "batch-json") => {
                let responses = json!({ "responses": [{ "id": "0", "status": 424 }, { "id": "1", "status": 409 }] });
                answer(200, &[], &responses.to_string())
            }
            ("/$batch", _) => {
                let part = "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 409 Conflict\r\n\r\n\r\n--b--\r\n";
                answer(202, &[("content-type", "multipart/mixed;boundary=b")], part)
            }
            _ if request.body.windows(9).any(|part| part == b"\"Value\":1") => answer(409, &[], ""),
            _ => answer(201, &[], ""),
        });
        // Without 200 and 202: these statuses are about entities, not about the batch that carries them.
        let more = json!({ "send": send, "success": ["201", "204", "409"] });
        let outcome = start(settings(more)).deliver(&numbers(2)).expect("delivered");
        assert_eq!((outcome.accepted, outcome.rejected.len(), outcome.rest), (2, 0, None), "{send}");
    }
}

#[test]
fn a_csrf_token_is_fetched_kept_and_renewed() {
    let host = Host::install();
    let round = Rc::new(RefCell::new(0));
    host.on_http(move |_, request| {
        if header(request, "x-csrf-token") == Some("Fetch") {
            *round.borrow_mut() += 1;
            if request.method == "HEAD" && *round.borrow() == 1 {
                return answer(405, &[], "");
            }
            let token = format!("t{}", round.borrow());
            return answer(
                200,
                &[("x-csrf-token", &token), ("set-cookie", "sid=1; Path=/"), ("set-cookie", "lb=2; Secure")],
                "",
            );
        }
        let token = header(request, "x-csrf-token").expect("a token");
        assert_eq!(header(request, "cookie"), Some("sid=1; lb=2"));
        if token == "t2" && request.body.windows(9).any(|part| part == b"\"Value\":1") {
            return answer(403, &[("x-csrf-token", "Required")], "CSRF token validation failed");
        }
        answer(201, &[], "")
    });
    let outcome = start(settings(json!({ "csrf": true }))).deliver(&numbers(3)).expect("delivered");
    assert_eq!((outcome.accepted, outcome.rejected.len()), (3, 0));
    let methods: Vec<String> = host.http_requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["HEAD", "GET", "POST", "POST", "HEAD", "POST", "POST"]);
}

const METADATA: &str = r#"<Edmx><Schema Namespace="M"><EntityType Name="T"><Key><PropertyRef Name="Device"/></Key>
    <Property Name="Device" Type="Edm.String"/><Property Name="Time" Type="Edm.DateTimeOffset"/>
    <Property Name="Value" Type="Edm.Decimal"/></EntityType><EntityContainer Name="C"><EntitySet Name="Measurements" EntityType="M.T"/>
    </EntityContainer></Schema></Edmx>"#;

#[test]
fn the_check_compares_the_settings_with_the_metadata() {
    let host = Host::install();
    host.on_http(|_, request| {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/$metadata"));
        answer(200, &[], METADATA)
    });
    let fault = start(settings(json!({}))).check().expect_err("a property is not there");
    assert_eq!((fault.code.as_str(), fault.remedy), ("metadata-mismatch", Remedy::Reconfigure));
    assert_eq!(fault.message, "`Measurements` has no property `Plant`; there are Device, Time, Value");
    let fitting = json!({ "properties": [{ "name": "Device", "from": "point", "type": "Edm.String" }] });
    let found = start(settings(fitting)).check().expect("it fits");
    assert_eq!(found, "the service is there; `Measurements` and its 1 properties are as the settings say");
    host.on_http(|_, _| answer(401, &[], ""));
    assert!(
        start(settings(json!({})))
            .check()
            .expect_err("no credentials")
            .message
            .contains("credentials of the transport")
    );
}

#[test]
fn settings_that_cannot_work_say_every_reason() {
    let _host = Host::install();
    let wrong = json!({ "entity_set": "", "batch_size": 0, "headers": { "Cookie": "x" }, "success": ["ok"], "upsert": { "key": ["Id"] }, "properties": [
        { "name": "A", "type": "Edm.String" },
        { "name": "B", "const": 300, "type": "Edm.Byte" },
        { "name": "C", "from": "value", "type": "Edm.Double" },
        { "name": "C", "from": "value", "type": "Edm.Double" },
    ] });
    let fault = testing::start::<OData>(wrong).expect_err("mistakes");
    for part in [
        "settings.entity_set",
        "settings.batch_size",
        "settings.headers: `Cookie`",
        "settings.success",
        "settings.upsert.key: `Id`",
        "settings.properties[0] `A`: either",
        "settings.properties[1] `B`: the integer `300`",
        "settings.properties[3]: `C` is there twice",
    ] {
        assert!(fault.message.contains(part), "{part} is not in {}", fault.message);
    }
    let fault = testing::start::<OData>(settings(json!({ "send": "batch" }))).expect_err("an unknown way");
    assert!(fault.message.starts_with("settings.send: unknown variant `batch`"), "{}", fault.message);
}

proptest! {
    #[test]
    fn each_entity_is_taken_once_in_order_or_rejected(
        count in 1i64..30, refused in prop::collection::btree_set(0i64..30, 0..4),
        send in prop::sample::select(vec!["entity", "batch-json", "batch-multipart"]), change_set: bool, size in 1u32..12,
    ) {
        let host = Host::install();
        let service = Service::install(&host, refused.clone());
        let more = json!({ "send": send, "change_set": change_set, "batch_size": size });
        let outcome = start(settings(more)).deliver(&numbers(count)).expect("delivered");
        prop_assert_eq!(i64::from(outcome.accepted), count);
        let expected: Vec<i64> = (0..count).filter(|number| !refused.contains(number)).collect();
        prop_assert_eq!(&*service.taken.borrow(), &expected);
        prop_assert_eq!(outcome.rejected.len() + expected.len(), outcome.accepted as usize);
    }

    #[test]
    fn no_answer_panics(status in 200u16..600, body in prop::collection::vec(any::<u8>(), 0..60), content_type in "\\PC{0,30}") {
        for send in ["entity", "batch-json", "batch-multipart"] {
            let host = Host::install();
            let (body, content_type) = (body.clone(), content_type.clone());
            host.on_http(move |_, _| Ok(Incoming { status, headers: vec![("content-type".into(), content_type.clone())], body: body.clone() }));
            let _ = start(settings(json!({ "send": send }))).deliver(&numbers(2));
        }
    }
}
