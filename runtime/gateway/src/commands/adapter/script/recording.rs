//! A script made of a connection at work: the lines of a tap become steps, and what was answered to the adapter becomes what the
//! script's transports answer. Pure.

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use toml::Value as Toml;

/// Most steps of one recording.
const STEPS_MAX: usize = 1_000;

/// What was seen so far.
#[derive(Default)]
pub(in crate::commands) struct Recording {
    /// When the first thing in it happened.
    began: Option<jiff::Timestamp>,
    /// What the adapter asked of its transports when it was started, if that was seen.
    start: Vec<Json>,
    /// Guests that are being started now.
    starting: BTreeSet<u64>,
    /// Calls that have not returned yet, by their guest.
    open: BTreeMap<u64, Seen>,
    /// Calls that have.
    steps: Vec<Seen>,
    calls: u64,
}

/// A call of the adapter.
struct Seen {
    /// Its place among all calls by their beginnings.
    number: u64,
    began: jiff::Timestamp,
    call: Json,
    /// What the adapter asked meanwhile, with the answers.
    exchanges: Vec<Json>,
    /// What came of it.
    outcome: Json,
}

/// Why a recording goes no further; what was recorded until then is good.
pub(in crate::commands) type Ended = String;

impl Recording {
    /// Takes the next line of a tap.
    ///
    /// # Errors
    /// Why the recording ends before this line.
    pub(in crate::commands) fn take(&mut self, line: &Json) -> Result<(), Ended> {
        let guest = line["guest"].as_u64().unwrap_or_default();
        match (line["kind"].as_str().unwrap_or_default(), line["call"].as_str()) {
            ("dropped", _) => Err(format!("{} lines were dropped, so that a script would lack them", line["events"])),
            ("call", Some("start")) => self.begin_start(guest, line),
            ("call", Some("stop")) => match self.steps.is_empty() {
                true => {
                    *self = Self { calls: self.calls, ..Self::default() };
                    Ok(())
                }
                false => Err("the connection was stopped, and begins anew if it does".into()),
            },
            ("call", Some(_)) => {
                self.calls += 1;
                let seen = Seen {
                    number: self.calls,
                    began: moment(line)?,
                    call: line.clone(),
                    exchanges: Vec::new(),
                    outcome: Json::Null,
                };
                self.began.get_or_insert(seen.began);
                self.open.insert(guest, seen);
                Ok(())
            }
            ("return", Some("start")) => {
                self.starting.remove(&guest);
                Ok(())
            }
            ("return", Some(_)) => self.end_call(guest, line),
            ("exchange", _) if line["transport"].is_string() => {
                if self.starting.contains(&guest) {
                    self.start.push(line.clone());
                } else if let Some(call) = self.open.get_mut(&guest) {
                    call.exchanges.push(line.clone());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An adapter that is started in the midst of a recording remembers nothing of what was before, and a script cannot say so.
    /// The guest that writes is started when it first has something to write: its start is that of the same adapter.
    fn begin_start(&mut self, guest: u64, line: &Json) -> Result<(), Ended> {
        let is_known = self.steps.iter().any(|seen| seen.call["guest"] == guest);
        if is_known {
            return Err("the adapter was started anew".into());
        }
        if self.steps.is_empty() {
            self.began = Some(moment(line)?);
            self.start.clear();
            self.starting.insert(guest);
            if let Some(call) = self.open.get_mut(&guest) {
                call.exchanges.clear();
            }
        }
        Ok(())
    }

    fn end_call(&mut self, guest: u64, line: &Json) -> Result<(), Ended> {
        let Some(mut seen) = self.open.remove(&guest) else { return Ok(()) };
        // The adapter was not called at all: it waits to be built anew.
        if line["fault"]["code"] == "resting" {
            return Ok(());
        }
        seen.outcome = line.clone();
        self.steps.push(seen);
        match self.steps.len() {
            STEPS_MAX => Err(format!("a recording holds at most {STEPS_MAX} calls")),
            _ => Ok(()),
        }
    }

    /// How many calls were recorded.
    pub(in crate::commands) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The script, for an adapter with these settings and these transports (role and kind).
    ///
    /// # Errors
    /// What of it no script can say.
    pub(in crate::commands) fn script(
        mut self,
        settings: toml::Table,
        transports: &[(String, &'static str)],
    ) -> Result<Recorded, String> {
        self.steps.sort_by_key(|seen| seen.number);
        let began = self.began.ok_or("nothing was recorded")?;
        let mut answers: BTreeMap<&str, Vec<Toml>> = BTreeMap::new();
        for exchange in self.start.iter().chain(self.steps.iter().flat_map(|seen| &seen.exchanges)) {
            let role = exchange["transport"].as_str().unwrap_or_default();
            answers.entry(role).or_default().extend(answer(exchange)?);
        }
        let mut text = format!("now = \"{began:.3}\"\n\n");
        let settings = toml::Table::from_iter([("settings".to_owned(), Toml::from(settings))]);
        text.push_str(&toml::to_string(&settings).map_err(|error| format!("the settings: {error}"))?);
        for (role, kind) in transports {
            text.push_str(&format!("\n[transports.{}]\nkind = \"{kind}\"\n", key_of(role)));
            if let Some(answers) = answers.remove(role.as_str()).filter(|answers| !answers.is_empty()) {
                let lines: String = answers.iter().map(|answer| format!("  {},\n", inline(answer))).collect();
                text.push_str(&format!("answers = [\n{lines}]\n"));
            }
        }
        let (mut outcomes, mut now) = (Vec::new(), began);
        for seen in self.steps {
            let wait_ms = seen.began.duration_since(now).as_millis();
            if wait_ms > 0 {
                text.push_str(&format!("\n[[steps]]\nwait = {wait_ms}\n"));
                outcomes.push(Json::Null);
                now = seen.began;
            }
            text.push_str(&format!("\n[[steps]]\n{} = {}\n", text_of(&seen.call["call"]), inline(&step(&seen.call)?)));
            outcomes.push(seen.outcome);
        }
        Ok(Recorded { text, outcomes })
    }
}

/// A script, and what came of its steps in the gateway; null for those that are none of the adapter's.
#[derive(Debug)]
pub(in crate::commands) struct Recorded {
    /// In TOML.
    pub(in crate::commands) text: String,
    pub(in crate::commands) outcomes: Vec<Json>,
}

fn moment(line: &Json) -> Result<jiff::Timestamp, String> {
    let text = line["time"].as_str().unwrap_or_default();
    text.parse().map_err(|error| format!("a line's time `{text}` is none: {error}"))
}

fn table_of(key: &str, value: impl Into<Toml>) -> Toml {
    toml::Table::from_iter([(key.to_owned(), value.into())]).into()
}

/// Members of a table, without those that are not there.
fn table<const N: usize>(members: [(&str, Option<Toml>); N]) -> Toml {
    toml::Table::from_iter(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)))).into()
}

/// What a transport of the script answers to this; nothing where it answers nothing.
fn answer(exchange: &Json) -> Result<Option<Toml>, String> {
    let (request, answer) = (&exchange["request"], &exchange["answer"]);
    let fault = (!answer["fault"].is_null()).then(|| fault(&answer["fault"]));
    let interface = exchange["interface"].as_str().unwrap_or_default();
    Ok(match (interface, exchange["function"].as_str().unwrap_or_default()) {
        ("modbus", "read") => Some(table([
            ("read", Some(plain(&request["spans"])?)),
            ("words", some_items(&answer["words"])?),
            ("faults", item_faults(&answer["faults"])),
            ("fault", fault),
        ])),
        ("modbus", "write") => {
            let faults = answer["faults"].as_array().into_iter().flatten().zip(0i64..);
            let faults = faults.filter(|(fault, _)| !fault.is_null()).map(|(fault, index)| item_fault(fault, index));
            let faults: Vec<Toml> = faults.collect();
            let faults = (!faults.is_empty()).then(|| faults.into());
            Some(table([("write", Some(plain(&request["changes"])?)), ("faults", faults)]))
        }
        ("serial" | "tcp", "exchange") => {
            let came = if fault.is_some() { None } else { Some(bytes(&answer["data"])?) };
            Some(table([("request", Some(bytes(&request["data"])?)), ("answer", came), ("fault", fault)]))
        }
        ("http", _) => {
            let asked = format!("{} {}", text_of(&request["method"]), text_of(&request["path"]));
            let body = if fault.is_some() { None } else { Some(bytes(&answer["body"])?) };
            Some(table([
                ("request", Some(asked.into())),
                ("status", answer["status"].as_i64().map(Toml::from)),
                ("headers", fields(&answer["headers"])),
                ("body", body),
                ("fault", fault),
            ]))
        }
        _ => None,
    })
}

fn text_of(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn some_items(json: &Json) -> Result<Option<Toml>, String> {
    match json.as_array() {
        Some(items) if !items.is_empty() => plain(json).map(Some),
        _ => Ok(None),
    }
}

/// Header fields as a table; of those that come several times the last.
fn fields(json: &Json) -> Option<Toml> {
    let pairs = json.as_array().into_iter().flatten();
    let named = pairs.map(|pair| (text_of(&pair[0]).to_owned(), Toml::from(text_of(&pair[1]))));
    let table: toml::Table = named.collect();
    (!table.is_empty()).then(|| table.into())
}

fn fault(json: &Json) -> Toml {
    let member = |name: &str| json[name].as_str().map(Toml::from);
    table([("code", member("code")), ("message", member("message")), ("remedy", member("remedy"))])
}

fn item_fault(json: &Json, index: i64) -> Toml {
    let mut told = fault(json);
    if let Toml::Table(members) = &mut told {
        members.insert("index".into(), index.into());
    }
    told
}

fn item_faults(json: &Json) -> Option<Toml> {
    let faults = json.as_array().into_iter().flatten();
    let faults: Vec<Toml> =
        faults.map(|one| item_fault(&one["fault"], one["index"].as_i64().unwrap_or_default())).collect();
    (!faults.is_empty()).then(|| faults.into())
}

/// Bytes as a tap shows them, as a script has them: a text, or `{ hex }`.
fn bytes(json: &Json) -> Result<Toml, String> {
    match (json.as_str(), json["hex"].as_str(), json["bytes"].as_u64()) {
        (_, _, Some(length)) => Err(format!("a payload of {length} bytes is too long to be recorded")),
        (Some(text), ..) => Ok(text.into()),
        (_, Some(hex), _) => Ok(table_of("hex", hex)),
        _ => Ok("".into()),
    }
}

/// JSON as TOML; what is null is left out.
pub(in crate::commands) fn plain(json: &Json) -> Result<Toml, String> {
    Ok(match json {
        Json::Null => return Err("null has no form in a script".into()),
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(plain).collect::<Result<Vec<_>, _>>()?.into(),
        Json::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(key, value)| Ok((key.clone(), plain(value)?)));
            members.collect::<Result<toml::Table, String>>()?.into()
        }
    })
}

/// What the adapter was called for: the value of a step's one key, which is the call's name.
fn step(call: &Json) -> Result<Toml, String> {
    Ok(match text_of(&call["call"]) {
        "check" => toml::Table::new().into(),
        "poll" => plain(&call["group"])?,
        "receive" => {
            let frames = call["frames"].as_array().into_iter().flatten().map(frame).collect::<Result<Vec<_>, _>>()?;
            table([("transport", Some(plain(&call["transport"])?)), ("frames", Some(frames.into()))])
        }
        "write" => table_of(text_of(&call["point"]), scalar(&call["value"])?),
        "deliver" => {
            let readings = call["readings"].as_array().into_iter().flatten();
            readings.map(delivered).collect::<Result<Vec<_>, String>>()?.into()
        }
        "respond" => table([
            ("method", Some(plain(&call["method"])?)),
            ("path", Some(plain(&call["path"])?)),
            ("query", Some(plain(&call["query"])?)),
            ("headers", fields(&call["headers"])),
            ("body", Some(bytes(&call["body"])?)),
        ]),
        other => return Err(format!("a call of {other} has no form in a script")),
    })
}

/// What stands first in a table: what was asked, before what was answered.
const ASKED: [&str; 6] = ["request", "read", "write", "words", "transport", "index"];

/// A value on one line; a text always in quotes with escapes, so that bytes that end a line are seen.
fn inline(value: &Toml) -> String {
    match value {
        Toml::String(text) => quoted(text),
        Toml::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Toml::Table(members) if members.is_empty() => "{}".to_owned(),
        Toml::Table(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| !ASKED.contains(&key.as_str()));
            let shown = members.into_iter().map(|(key, value)| format!("{} = {}", key_of(key), inline(value)));
            format!("{{ {} }}", shown.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A key: bare where TOML allows it.
fn key_of(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

fn frame(frame: &Json) -> Result<Toml, String> {
    let said = |name: &str, usual: Json| match frame[name] == usual {
        true => Ok(None),
        false => plain(&frame[name]).map(Some),
    };
    Ok(table([
        ("topic", said("topic", "".into())?),
        ("payload", Some(bytes(&frame["payload"])?)),
        ("kind", said("kind", "data".into())?),
        ("retained", said("retained", false.into())?),
        ("properties", said("properties", Json::Array(Vec::new()))?),
    ]))
}

fn delivered(reading: &Json) -> Result<Toml, String> {
    let member = |name: &str| if reading[name].is_null() { Ok(None) } else { scalar(&reading[name]).map(Some) };
    Ok(table([
        ("connection", member("connection")?),
        ("point", member("point")?),
        ("unit", member("unit")?),
        ("status", member("status")?),
        ("value", member("value")?),
    ]))
}

/// A value that a script can hold.
fn scalar(json: &Json) -> Result<Toml, String> {
    match json {
        Json::Object(_) | Json::Array(_) => Err("a value of bytes or a file has no form in a script".into()),
        scalar => plain(scalar),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Case;
    use super::*;
    use serde_json::json;

    fn at(ms: u32) -> String {
        format!("2026-01-01T00:00:{:02}.{:03}Z", ms / 1000, ms % 1000)
    }

    fn call(ms: u32, guest: u64, members: Json) -> Json {
        let mut line = json!({ "kind": "call", "guest": guest, "time": at(ms) });
        line.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        line
    }

    fn returned(guest: u64, call: &str) -> Json {
        json!({ "kind": "return", "guest": guest, "call": call, "time": at(0), "readings": [] })
    }

    fn sent(guest: u64, request: &str, answer: Json) -> Json {
        json!({
            "kind": "exchange", "guest": guest, "interface": "serial", "function": "exchange", "transport": "device",
            "request": { "data": request }, "answer": answer,
        })
    }

    fn poll(ms: u32) -> [Json; 3] {
        [
            call(ms, 1, json!({ "call": "poll", "group": "default" })),
            sent(1, "READ\r\n", json!({ "data": { "hex": "02 ff" } })),
            returned(1, "poll"),
        ]
    }

    fn recorded(lines: &[Json]) -> (Recorded, String) {
        let mut recording = Recording::default();
        for line in lines {
            recording.take(line).unwrap();
        }
        let settings = toml::Table::from_iter([("request".to_owned(), Toml::from("READ"))]);
        let recorded = recording.script(settings, &[("device".to_owned(), "serial")]).unwrap();
        Case::parse(&recorded.text).unwrap();
        let text = recorded.text.clone();
        (recorded, text)
    }

    #[test]
    fn polls_become_steps_with_the_time_between_and_answers_in_order() {
        let mut lines = vec![call(0, 1, json!({ "call": "start" })), returned(1, "start")];
        lines.extend(poll(5));
        lines.extend(poll(1005));
        let (recorded, text) = recorded(&lines);
        assert_eq!(
            text,
            r#"now = "2026-01-01T00:00:00.000Z"

[settings]
request = "READ"

[transports.device]
kind = "serial"
answers = [
  { request = "READ\r\n", answer = { hex = "02 ff" } },
  { request = "READ\r\n", answer = { hex = "02 ff" } },
]

[[steps]]
wait = 5

[[steps]]
poll = "default"

[[steps]]
wait = 1000

[[steps]]
poll = "default"
"#
        );
        assert_eq!(recorded.outcomes.iter().map(Json::is_null).collect::<Vec<_>>(), [true, false, true, false]);
    }

    #[test]
    fn calls_of_two_guests_stand_in_the_order_in_which_they_began_each_with_its_own_exchanges() {
        let write = call(20, 2, json!({ "call": "write", "point": "setpoint", "value": 62.5 }));
        let lines = [
            call(10, 1, json!({ "call": "poll", "group": "default" })),
            write,
            sent(2, "SET 62.5", json!({ "data": "OK" })),
            sent(1, "READ", json!({ "data": "12.5" })),
            returned(2, "write"),
            returned(1, "poll"),
        ];
        let (_, text) = recorded(&lines);
        assert!(text.find("READ").unwrap() < text.find("SET 62.5").unwrap(), "{text}");
        assert!(text.contains("setpoint = 62.5"), "{text}");
    }

    #[test]
    fn faults_keep_their_remedy_and_frames_their_properties() {
        let lines = [
            call(0, 1, json!({ "call": "poll", "group": "default" })),
            sent(1, "READ", json!({ "fault": { "remedy": "reconnect", "code": "timeout", "message": "no answer" } })),
            returned(1, "poll"),
            call(
                1,
                1,
                json!({ "call": "receive", "transport": "broker", "frames": [{
                "kind": "data", "topic": "a/b", "payload": "1", "retained": true, "properties": [["k", "v"]] }] }),
            ),
            returned(1, "receive"),
        ];
        let (_, text) = recorded(&lines);
        assert!(text.contains("remedy = \"reconnect\"") && text.contains("code = \"timeout\""), "{text}");
        assert!(text.contains("properties = [[\"k\", \"v\"]]") && text.contains("retained = true"), "{text}");
    }

    #[test]
    fn what_a_script_cannot_say_ends_the_recording_or_is_refused() {
        let mut recording = Recording::default();
        for line in poll(0) {
            recording.take(&line).unwrap();
        }
        assert!(recording.take(&json!({ "kind": "dropped", "events": 3 })).unwrap_err().contains("3 lines"));
        let again = call(5, 1, json!({ "call": "start" }));
        assert!(recording.take(&again).unwrap_err().contains("anew"));
        assert!(recording.take(&call(5, 1, json!({ "call": "stop" }))).is_err());
        assert_eq!(recording.len(), 1, "what was recorded before stays");

        let mut long = Recording::default();
        for line in [
            call(0, 1, json!({ "call": "poll", "group": "default" })),
            sent(1, "READ", json!({ "data": { "hex": "00", "bytes": 2_000_000 } })),
            returned(1, "poll"),
        ] {
            long.take(&line).unwrap();
        }
        assert!(long.script(toml::Table::new(), &[]).unwrap_err().contains("2000000 bytes"));
        assert!(Recording::default().script(toml::Table::new(), &[]).is_err());
    }

    #[test]
    fn texts_are_written_so_that_they_are_read_back() {
        for text in ["a\"b\\c\r\n\t", "\u{0}\u{7f}é", ""] {
            let table: toml::Table = toml::from_str(&format!("{} = {}", key_of("a key"), quoted(text))).unwrap();
            assert_eq!(table["a key"].as_str(), Some(text));
        }
    }

    #[test]
    fn what_began_before_the_tap_is_left_out() {
        let mut lines = vec![sent(1, "HALF", json!({ "data": "x" })), returned(1, "poll")];
        lines.extend(poll(5));
        let (recorded, text) = recorded(&lines);
        assert!(!text.contains("HALF") && recorded.outcomes.len() == 1, "{text}");
    }
}
