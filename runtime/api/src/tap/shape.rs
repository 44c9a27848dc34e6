//! What was told of a connection at work, as JSON, covered and cut. Pure.

use super::cover::Cover;
use crate::{json, moment};
use bulkhead_sandbox::capability::{Fault, Frame, FrameKind, Level, Message, Qos, Remedy, Span, Table};
use bulkhead_sandbox::tap::{Answered, Asked, Brought, Call, Refused, TapEvent, TapReading, Told};
use bulkhead_sandbox::wit;
use serde_json::{Map, Value as Json, json};

/// An event as a line of a tap.
pub(crate) fn event(event: &TapEvent, cover: &Cover, payload_max_bytes: usize) -> Json {
    let shape = Shape { cover, payload_max_bytes };
    let (kind, members) = match &event.told {
        Told::Calls(call) => ("call", shape.call(call)),
        Told::Returns { call, took_us, outcome } => {
            let brought = match outcome {
                Ok(brought) => shape.brought(brought),
                Err(refused) => json!({ "fault": shape.refused(refused) }),
            };
            ("return", with(brought, json!({ "call": call, "took_us": took_us })))
        }
        Told::Asks { transport, asked, answered, took_us } => {
            let (interface, function) = asked.name();
            let head = json!({
                "interface": interface, "function": function, "transport": transport, "took_us": took_us,
                "request": shape.asked(asked), "answer": shape.answered(answered),
            });
            ("exchange", head)
        }
        Told::Sends { transport, request, fault, took_us } => {
            let head = json!({
                "transport": transport, "took_us": took_us, "unit": request.unit, "function_code": request.function,
                "span": span_name(&request.span), "fault": fault.as_ref().map(|fault| shape.fault(fault)),
            });
            ("request", head)
        }
        Told::Reports { point, fault } => ("fault", json!({ "point": point, "fault": shape.fault(fault) })),
        Told::Says { level, message } => {
            ("said", json!({ "level": level_name(*level), "message": cover.text(message) }))
        }
    };
    let head = json!({ "kind": kind, "time": moment::rfc3339(event.time.0), "guest": event.guest });
    with(head, covered(members, cover))
}

/// Members whose texts are the gateway's own words, by which programs tell lines apart.
const OWN_WORDS: [&str; 9] =
    ["call", "interface", "function", "transport", "kind", "level", "remedy", "status", "time"];

/// JSON with every text covered that an adapter, a device or the config can have given: names of points, routes and keys, too.
fn covered(json: Json, cover: &Cover) -> Json {
    match json {
        Json::String(text) => cover.text(&text).into(),
        Json::Array(items) => items.into_iter().map(|item| covered(item, cover)).collect(),
        Json::Object(members) => {
            let shown = members.into_iter().map(|(name, value)| match OWN_WORDS.contains(&name.as_str()) {
                true => (name, value),
                false => (name, covered(value, cover)),
            });
            Json::Object(shown.collect())
        }
        other => other,
    }
}

fn with(members: Json, more: Json) -> Json {
    let taken = |members| match members {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    Json::Object(taken(members).into_iter().chain(taken(more)).collect())
}

struct Shape<'c> {
    cover: &'c Cover,
    payload_max_bytes: usize,
}

impl Shape<'_> {
    /// Bytes: text where they are some that can be read, else `{ "hex" }`; `{ …, "bytes": length }` where they are cut.
    fn bytes(&self, bytes: &[u8]) -> Json {
        let covered = self.cover.bytes(bytes);
        let cut = covered.len() > self.payload_max_bytes;
        let shown = &covered[..covered.len().min(self.payload_max_bytes)];
        // A character that the cut goes through is no reason to show the rest as digits.
        let shown = match std::str::from_utf8(shown) {
            Err(error) if cut && error.error_len().is_none() => &shown[..error.valid_up_to()],
            _ => shown,
        };
        match (std::str::from_utf8(shown).ok().filter(|text| is_readable(text)), cut) {
            (Some(text), false) => text.into(),
            (Some(text), true) => json!({ "text": text, "bytes": bytes.len() }),
            (None, false) => json!({ "hex": hex(shown) }),
            (None, true) => json!({ "hex": hex(shown), "bytes": bytes.len() }),
        }
    }

    fn fields(&self, fields: &[(String, String)]) -> Json {
        fields.iter().map(|(name, value)| json!([name, self.cover.field(name, value)])).collect()
    }

    fn call(&self, call: &Call) -> Json {
        let more = match call {
            Call::Start | Call::Check | Call::Stop => json!({}),
            Call::Poll { group } => json!({ "group": group }),
            Call::Receive { transport, frames } => {
                json!({ "transport": transport, "frames": frames.iter().map(|f| self.frame(f)).collect::<Vec<_>>() })
            }
            Call::Write { point, value } => json!({ "point": point, "value": self.value(value) }),
            Call::Deliver { batch } => self.batch(batch),
            Call::Respond { request } => json!({
                "method": request.method,
                "path": self.cover.path(&request.path),
                "query": self.cover.query(&request.query),
                "headers": self.fields(&request.headers),
                "body": self.bytes(&request.body),
            }),
        };
        with(json!({ "call": call.name() }), more)
    }

    fn frame(&self, frame: &Frame) -> Json {
        let kind = match frame.kind {
            FrameKind::Data => "data",
            FrameKind::Connected => "connected",
            FrameKind::Disconnected => "disconnected",
            FrameKind::Timer => "timer",
        };
        json!({
            "kind": kind,
            "topic": self.cover.text(&frame.topic),
            "payload": self.bytes(&frame.payload),
            "received": moment::rfc3339(frame.received),
            "retained": frame.retained,
            "properties": self.fields(&frame.properties),
        })
    }

    fn batch(&self, batch: &wit::Batch) -> Json {
        let entry = |entry: &wit::Entry| {
            let point = batch.points.get(entry.reading.point as usize);
            let value = entry.reading.value.clone().map(bulkhead_sandbox::value_to_model);
            json!({
                "seq": entry.seq,
                "connection": point.map(|point| &point.connection),
                "point": point.map(|point| &point.name),
                "unit": point.and_then(|point| point.unit.as_ref()),
                "time": entry.reading.time.map(moment::rfc3339),
                "status": json::status_name(bulkhead_model::Status(entry.reading.status)),
                "value": value.map(|value| self.value(&value)),
            })
        };
        let readings: Vec<Json> = batch.entries.iter().map(entry).collect();
        json!({ "key": batch.key, "route": batch.route, "readings": readings })
    }

    fn brought(&self, brought: &Brought) -> Json {
        match brought {
            Brought::Nothing => json!({}),
            Brought::Found(found) => json!({ "found": self.cover.text(found) }),
            Brought::Readings(readings) => json!({ "readings": self.readings(readings) }),
            Brought::Outcome(outcome) => {
                let rejected = outcome.rejected.iter();
                let rejected = rejected.map(|one| json!({ "index": one.index, "fault": self.fault(&one.fault) }));
                json!({
                    "accepted": outcome.accepted,
                    "rejected": rejected.collect::<Vec<_>>(),
                    "rest": outcome.rest.as_ref().map(|fault| self.fault(fault)),
                })
            }
            Brought::Reply { status, headers, body, readings } => json!({
                "status": status,
                "headers": self.fields(headers),
                "body": self.bytes(body),
                "readings": self.readings(readings),
            }),
        }
    }

    fn readings(&self, readings: &[TapReading]) -> Vec<Json> {
        let shown = |told: &TapReading| {
            json!({
                "point": told.point,
                "kind": told.kind,
                "unit": told.unit,
                "time": moment::rfc3339(told.reading.time.0),
                "status": json::status_name(told.reading.status),
                "value": told.reading.value.as_ref().map(|value| self.value(value)),
            })
        };
        readings.iter().map(shown).collect()
    }

    fn value(&self, value: &bulkhead_model::Value) -> Json {
        match value {
            bulkhead_model::Value::Bytes(bytes) => self.bytes(bytes),
            bulkhead_model::Value::File(file) => {
                json!({ "name": self.cover.text(&file.name), "media_type": file.media_type, "data": self.bytes(&file.data) })
            }
            other => match json::value(other) {
                Json::String(text) => self.cover.text(&text).into(),
                shown => shown,
            },
        }
    }

    fn asked(&self, asked: &Asked) -> Json {
        match asked {
            Asked::Declare(points) => {
                json!({ "points": points.iter().map(|point| &point.name).collect::<Vec<_>>() })
            }
            Asked::State("set", key, bytes) => json!({ "key": self.cover.text(key), "bytes": bytes }),
            Asked::State(_, key, _) => json!({ "key": self.cover.text(key) }),
            Asked::ModbusRead(spans) => json!({ "spans": spans.iter().map(span_name).collect::<Vec<_>>() }),
            Asked::ModbusWrite(changes) => {
                let shown = changes.iter().map(|change| {
                    json!({ "from": format!("{}:{}", table_name(change.table), change.address), "words": change.words })
                });
                json!({ "changes": shown.collect::<Vec<_>>() })
            }
            Asked::Exchange(_, bytes) | Asked::Send(_, bytes) => json!({ "data": self.bytes(bytes) }),
            Asked::Publish(message) | Asked::SetWill(message) => self.message(message),
            Asked::Request(request) => json!({
                "method": request.method,
                "path": self.cover.path(&request.path),
                "headers": self.fields(&request.headers),
                "body": self.bytes(&request.body),
            }),
        }
    }

    fn message(&self, message: &Message) -> Json {
        let qos = match message.qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        };
        json!({
            "topic": self.cover.text(&message.topic),
            "payload": self.bytes(&message.payload),
            "qos": qos,
            "retain": message.retain,
            "properties": self.fields(&message.properties),
        })
    }

    fn answered(&self, answered: &Answered) -> Json {
        match answered {
            Answered::Done => json!({}),
            Answered::Fault(fault) => json!({ "fault": self.fault(fault) }),
            Answered::Each(results) => {
                let shown = |result: &Result<(), Fault>| result.as_ref().err().map(|fault| self.fault(fault));
                json!({ "faults": results.iter().map(shown).collect::<Vec<_>>() })
            }
            Answered::Words(words) => {
                let faults = words.faults.iter();
                let faults = faults.map(|one| json!({ "index": one.index, "fault": self.fault(&one.fault) }));
                json!({ "words": words.words, "faults": faults.collect::<Vec<_>>() })
            }
            Answered::Bytes(bytes) => json!({ "data": self.bytes(bytes) }),
            Answered::Response(response) => json!({
                "status": response.status,
                "headers": self.fields(&response.headers),
                "body": self.bytes(&response.body),
            }),
            Answered::Stored(bytes) => json!({ "bytes": bytes }),
        }
    }

    fn fault(&self, fault: &Fault) -> Json {
        json!({
            "remedy": remedy_name(fault.remedy),
            "code": fault.code,
            "message": self.cover.text(&fault.message),
        })
    }

    fn refused(&self, refused: &Refused) -> Json {
        json!({
            "remedy": refused.remedy.map(remedy_name),
            "code": refused.code,
            "message": self.cover.text(&refused.message),
        })
    }
}

fn is_readable(text: &str) -> bool {
    !text.chars().any(|character| character.is_control() && !"\r\n\t".contains(character))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn table_name(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::DiscreteInput => "discrete-input",
        Table::InputRegister => "input-register",
        Table::HoldingRegister => "holding-register",
    }
}

/// Such as `holding-register:100-101`: first and last address.
fn span_name(span: &Span) -> String {
    let last = u32::from(span.address) + u32::from(span.count.max(1)) - 1;
    format!("{}:{}-{last}", table_name(span.table), span.address)
}

fn remedy_name(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Retry => "retry",
        Remedy::Reconnect => "reconnect",
        Remedy::Reject => "reject",
        Remedy::Reconfigure => "reconfigure",
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::{AnyAdapter, TapSettings, redacted};
    use bulkhead_model::Timestamp;
    use bulkhead_sandbox::capability::{Incoming, Outgoing, SpanFault, Words};
    use bulkhead_sandbox::tap::ModbusRequest;
    use std::path::Path;

    fn shown(told: Told) -> Json {
        let config = "[api.credentials.a]\ntoken = \"hunter22\"\n";
        let cover = Cover::new(redacted(config, Path::new(""), &AnyAdapter), &TapSettings::default());
        event(&TapEvent { time: Timestamp(1_767_225_600_000_000_000), guest: 1, told }, &cover, 16)
    }

    fn asks(asked: Asked, answered: Answered) -> Json {
        shown(Told::Asks { transport: Some("device".into()), asked, answered, took_us: 5 })
    }

    #[test]
    fn a_modbus_exchange_shows_spans_words_and_faults() {
        let span = Span { table: Table::HoldingRegister, address: 100, count: 2 };
        let fault = Fault::new(Remedy::Reject, "illegal-data-address", "no such address");
        let words = Words { words: vec![615, 7], faults: vec![SpanFault { index: 0, fault }] };
        assert_eq!(
            asks(Asked::ModbusRead(vec![span]), Answered::Words(words)),
            json!({
                "kind": "exchange", "time": "2026-01-01T00:00:00Z", "guest": 1, "took_us": 5,
                "interface": "modbus", "function": "read", "transport": "device",
                "request": { "spans": ["holding-register:100-101"] },
                "answer": { "words": [615, 7], "faults": [{ "index": 0, "fault": {
                    "remedy": "reject", "code": "illegal-data-address", "message": "no such address" } }] },
            })
        );
    }

    #[test]
    fn a_request_to_a_device_shows_where_it_went_and_why_it_failed() {
        let request = ModbusRequest {
            unit: 17,
            function: 3,
            span: Span { table: Table::HoldingRegister, address: 65_535, count: 1 },
        };
        let told = |fault| shown(Told::Sends { transport: "device".into(), request, fault, took_us: 5 });
        let answered = json!({
            "kind": "request", "time": "2026-01-01T00:00:00Z", "guest": 1, "took_us": 5, "transport": "device",
            "unit": 17, "function_code": 3, "span": "holding-register:65535-65535", "fault": null,
        });
        assert_eq!(told(None), answered);
        let failed = told(Some(Fault::new(Remedy::Retry, "timeout", "no answer of hunter22")));
        assert_eq!(failed["fault"]["message"], "no answer of ***");
    }

    #[test]
    fn bytes_are_text_or_digits_and_long_ones_are_cut_with_their_length() {
        let data = |bytes: &[u8]| {
            let told = asks(Asked::Exchange("serial", b"READ\r\n".to_vec()), Answered::Bytes(bytes.to_vec()));
            assert_eq!(told["request"]["data"], "READ\r\n");
            told["answer"]["data"].clone()
        };
        assert_eq!(data(b"12.5 kg"), "12.5 kg");
        assert_eq!(data(&[2, 255]), json!({ "hex": "02 ff" }));
        assert_eq!(data(b"0123456789abcdefgh"), json!({ "text": "0123456789abcdef", "bytes": 18 }));
        assert_eq!(data("0123456789abcdeé".as_bytes()), json!({ "text": "0123456789abcde", "bytes": 17 }));
        assert_eq!(data(&[1; 17])["bytes"], 17);
    }

    #[test]
    fn an_http_exchange_shows_no_credential_of_either_side() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = Outgoing {
            method: "POST".into(),
            path: "/login?token=abc".into(),
            headers: vec![field("cookie", "session=1"), field("accept", "text/plain")],
            body: b"hunter22".to_vec(),
        };
        let response =
            Incoming { status: 200, headers: vec![field("set-cookie", "session=2")], body: b"hunter22 ok".to_vec() };
        let told = asks(Asked::Request(request), Answered::Response(response));
        assert_eq!(told["request"]["path"], "/login?token=***");
        assert_eq!(told["request"]["headers"], json!([["cookie", "***"], ["accept", "text/plain"]]));
        assert_eq!((&told["request"]["body"], &told["answer"]["body"]), (&json!("***"), &json!("*** ok")));
        assert_eq!(told["answer"]["headers"], json!([["set-cookie", "***"]]));
    }

    #[test]
    fn names_that_an_adapter_gives_are_covered_as_well() {
        let told = shown(Told::Reports {
            point: Some("of hunter22".into()),
            fault: Fault::new(Remedy::Retry, "hunter22", "no answer to hunter22"),
        });
        assert!(!told.to_string().contains("hunter22"), "{told}");
        assert_eq!((&told["kind"], &told["fault"]["remedy"]), (&json!("fault"), &json!("retry")));
    }

    #[test]
    fn a_secret_is_covered_before_a_payload_is_cut() {
        let told = asks(Asked::Send("tcp", b"0123456789hunter22".to_vec()), Answered::Done);
        assert_eq!(told["request"]["data"], "0123456789***");
    }
}
