//! The lines of a tap for people, and which of them are wanted. Pure.

use crate::cli::TapArguments;
use bulkhead_model::printable;
use serde_json::Value as Json;
use std::fmt::Write as _;

/// Characters of a payload that a line shows.
const PAYLOAD_SHOWN: usize = 200;
/// What stands before everything that belongs to the line before.
const INDENT: &str = "                 ";

/// Which lines are shown.
pub(super) struct Wanted {
    calls: bool,
    frames: bool,
    readings: bool,
    faults: bool,
}

impl Wanted {
    pub(super) fn of(arguments: &TapArguments) -> Self {
        let TapArguments { calls, frames, readings, faults, .. } = *arguments;
        let all = !(calls || frames || readings || faults);
        Self { calls: calls || all, frames: frames || all, readings: readings || all, faults: faults || all }
    }

    /// As parameters of the request.
    pub(super) fn asked(&self) -> Vec<(&'static str, &'static str)> {
        let kinds =
            [("calls", self.calls), ("frames", self.frames), ("readings", self.readings), ("faults", self.faults)];
        kinds.into_iter().filter(|(_, wanted)| *wanted).map(|(kind, _)| ("show", kind)).collect()
    }

    /// Whether a line is shown, of a tap that was asked for everything as of one that was asked for these.
    pub(super) fn takes(&self, line: &Json) -> bool {
        let has_fault = |json: &Json| {
            let each = json["faults"].as_array().into_iter().flatten();
            !json["fault"].is_null() || each.into_iter().any(|fault| !fault.is_null())
        };
        match text(line, "kind") {
            "call" => self.calls || self.frames && ["receive", "respond"].contains(&text(line, "call")),
            "return" => {
                self.calls
                    || self.readings && line["readings"].is_array()
                    || self.frames && !line["status"].is_null()
                    || self.faults && has_fault(line)
            }
            "exchange" => {
                let is_frame = line["transport"].is_string();
                self.frames && is_frame || self.calls && !is_frame || self.faults && has_fault(&line["answer"])
            }
            "request" => self.frames || self.faults && has_fault(line),
            "fault" => self.faults,
            "said" => self.calls,
            _ => true,
        }
    }
}

fn text<'j>(json: &'j Json, member: &str) -> &'j str {
    json[member].as_str().unwrap_or_default()
}

/// A member as it is shown.
fn shown(json: &Json, member: &str) -> String {
    printable(text(json, member))
}

/// A line for people; what belongs to it stands below it.
pub(super) fn told(line: &Json) -> String {
    let said = match text(line, "kind") {
        "tap" => format!("looking on at {} (adapter {})", shown(line, "connection"), shown(line, "adapter")),
        "call" => call(line),
        "return" => returned(line),
        "exchange" => exchange(line),
        "request" => request(line),
        "fault" => {
            let point = line["point"].as_str().map(|point| format!(" of {}", printable(point))).unwrap_or_default();
            format!("! fault{point}: {}", fault(&line["fault"]))
        }
        "said" => format!("\" {}: {}", shown(line, "level"), shown(line, "message")),
        "dropped" => {
            return format!(
                "{INDENT}… {} lines are missing here: they came faster than they were shown",
                line["events"]
            );
        }
        "end" => return format!("{INDENT}{}", shown(line, "reason")),
        other => format!("{other}: {line}"),
    };
    let time = text(line, "time");
    let clock = time.split_once('T').map_or(time, |(_, clock)| clock).trim_end_matches('Z');
    // Milliseconds are enough for people; a whole second is written without a fraction.
    let clock = if clock.contains('.') { format!("{clock:0<12}") } else { format!("{clock}.000") };
    // What is padded and cut is ASCII: a time.
    format!("{}  {said}", clock.get(..12).unwrap_or(&clock))
}

fn call(line: &Json) -> String {
    let name = text(line, "call");
    let mut said = format!("→ {name}");
    match name {
        "poll" => _ = write!(said, " {}", shown(line, "group")),
        "write" => _ = write!(said, " {} = {}", shown(line, "point"), value(&line["value"])),
        "respond" => _ = write!(said, " {} {} {}", shown(line, "method"), shown(line, "path"), payload(&line["body"])),
        "deliver" => {
            let readings = line["readings"].as_array();
            _ = write!(said, " {} of route {}", counted(readings), shown(line, "route"));
            said.push_str(&readings_below(readings));
        }
        "receive" => {
            _ = write!(said, " {}", shown(line, "transport"));
            for frame in line["frames"].as_array().into_iter().flatten() {
                let topic = frame["topic"].as_str().filter(|topic| !topic.is_empty());
                let topic = topic.map(|topic| format!("{} ", printable(topic))).unwrap_or_default();
                let what = match text(frame, "kind") {
                    "data" => payload(&frame["payload"]),
                    other => printable(other),
                };
                _ = write!(said, "\n{INDENT}{topic}{what}");
            }
        }
        _ => {}
    }
    said
}

fn returned(line: &Json) -> String {
    let mut said = format!("← {}", text(line, "call"));
    if !line["fault"].is_null() {
        _ = write!(said, " failed: {}", fault(&line["fault"]));
    } else if let Some(accepted) = line["accepted"].as_u64() {
        _ = write!(said, " accepted {accepted}, rejected {}", line["rejected"].as_array().map_or(0, Vec::len));
        if !line["rest"].is_null() {
            _ = write!(said, ", the rest not: {}", fault(&line["rest"]));
        }
    } else if let Some(found) = line["found"].as_str() {
        _ = write!(said, " found: {}", printable(found));
    } else if let Some(status) = line["status"].as_u64() {
        _ = write!(said, " {status} {}", payload(&line["body"]));
    }
    let readings = line["readings"].as_array();
    if readings.is_some() {
        _ = write!(said, " {}", counted(readings));
    }
    _ = write!(said, " ({})", took(line));
    said.push_str(&readings_below(readings));
    said
}

fn counted(readings: Option<&Vec<Json>>) -> String {
    crate::console::counted(readings.map_or(0, Vec::len) as u64, "reading")
}

fn readings_below(readings: Option<&Vec<Json>>) -> String {
    let shown = |reading: &Json| {
        let unit = reading["unit"].as_str().map(|unit| format!(" {}", printable(unit))).unwrap_or_default();
        let value = if reading["value"].is_null() { "no value".to_owned() } else { value(&reading["value"]) };
        format!("\n{INDENT}{} = {value}{unit}  {}", shown(reading, "point"), shown(reading, "status"))
    };
    readings.into_iter().flatten().map(shown).collect()
}

fn exchange(line: &Json) -> String {
    let (request, answer) = (&line["request"], &line["answer"]);
    let asked = match (text(line, "interface"), text(line, "function")) {
        ("modbus", "read") => list(&request["spans"]),
        ("modbus", _) => {
            let changes = request["changes"].as_array().into_iter().flatten();
            changes
                .map(|change| format!("{} {}", text(change, "from"), list(&change["words"])))
                .collect::<Vec<_>>()
                .join(", ")
        }
        ("mqtt", _) => format!("{} {}", shown(request, "topic"), payload(&request["payload"])),
        ("http", _) => {
            let body = payload(&request["body"]);
            format!("{} {}{}", shown(request, "method"), shown(request, "path"), spaced(&body))
        }
        ("points", _) => crate::console::counted(request["points"].as_array().map_or(0, Vec::len) as u64, "point"),
        ("state", _) => shown(request, "key"),
        _ => payload(&request["data"]),
    };
    let transport = line["transport"].as_str().map(|role| format!("{role}: ")).unwrap_or_default();
    let (interface, function) = (text(line, "interface"), text(line, "function"));
    format!("  {transport}{interface}.{function}{}{} ({})", spaced(&asked), answered(answer), took(line))
}

/// What a Modbus transport sent for the exchange that follows.
fn request(line: &Json) -> String {
    let (unit, function, span) = (&line["unit"], &line["function_code"], shown(line, "span"));
    let failed = if line["fault"].is_null() { String::new() } else { format!(" ⇒ {}", fault(&line["fault"])) };
    format!("  {}: unit {unit} function {function} {span}{failed} ({})", shown(line, "transport"), took(line))
}

fn answered(answer: &Json) -> String {
    if !answer["fault"].is_null() {
        return format!(" ⇒ {}", fault(&answer["fault"]));
    }
    if let Some(words) = answer["words"].as_array() {
        let faults = answer["faults"].as_array().map_or(0, Vec::len);
        let failed =
            if faults == 0 { String::new() } else { format!(", {}", crate::console::counted(faults as u64, "fault")) };
        return format!(" ⇒ {}{failed}", if words.is_empty() { "nothing".to_owned() } else { list(&answer["words"]) });
    }
    if let Some(faults) = answer["faults"].as_array() {
        return faults.iter().find(|one| !one.is_null()).map(|one| format!(" ⇒ {}", fault(one))).unwrap_or_default();
    }
    if let Some(status) = answer["status"].as_u64() {
        return format!(" ⇒ {status}{}", spaced(&payload(&answer["body"])));
    }
    match &answer["data"] {
        Json::Null => String::new(),
        data => format!(" ⇒ {}", payload(data)),
    }
}

fn spaced(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {text}") }
}

fn list(json: &Json) -> String {
    json.as_array().into_iter().flatten().map(value).collect::<Vec<_>>().join(" ")
}

fn value(json: &Json) -> String {
    match json {
        Json::String(text) => printable(text),
        Json::Object(_) => payload(json),
        other => other.to_string(),
    }
}

/// Bytes as a tap shows them, on one line: `"text"` with its line ends visible, or hexadecimal digits.
fn payload(json: &Json) -> String {
    let (shown, quoted) = match (json.as_str().or(json["text"].as_str()), json["hex"].as_str()) {
        (Some(text), _) => (text, true),
        (None, Some(hex)) => (hex, false),
        (None, None) => return String::new(),
    };
    let mut cut: String = shown.chars().take(PAYLOAD_SHOWN).collect();
    let is_cut = cut.len() < shown.len() || !json["bytes"].is_null();
    if quoted && shown.is_empty() {
        return String::new();
    }
    if quoted {
        cut = format!("{cut:?}");
    }
    let bytes = json["bytes"].as_u64().map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default();
    if is_cut { format!("{cut}…{bytes}") } else { cut }
}

fn fault(json: &Json) -> String {
    let remedy = json["remedy"].as_str().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
    format!("{}: {}{remedy}", shown(json, "code"), shown(json, "message"))
}

fn took(line: &Json) -> String {
    match line["took_us"].as_u64().unwrap_or_default() {
        us @ 0..1000 => format!("{us} µs"),
        us @ 1000..10_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        us => format!("{} s", us / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_poll_is_told_with_its_exchange_and_its_readings() {
        let time = "2026-01-01T10:15:03.1234567Z";
        let lines = [
            json!({ "kind": "call", "time": time, "call": "poll", "group": "fast" }),
            json!({
                "kind": "request", "time": time, "transport": "device", "unit": 1, "function_code": 3,
                "span": "holding-register:100-101", "fault": null, "took_us": 3100,
            }),
            json!({
                "kind": "request", "time": time, "transport": "device", "unit": 1, "function_code": 4,
                "span": "input-register:9-9", "fault": { "remedy": "retry", "code": "timeout", "message": "silent" },
                "took_us": 300_000,
            }),
            json!({
                "kind": "exchange", "time": time, "interface": "modbus", "function": "read", "transport": "device",
                "request": { "spans": ["holding-register:100-101"] }, "answer": { "words": [615, 7], "faults": [] },
                "took_us": 3210,
            }),
            json!({ "kind": "return", "time": time, "call": "poll", "took_us": 4000, "readings": [
                { "point": "flow_temp", "value": 61.5, "unit": "°C", "status": "Good" },
                { "point": "pump", "value": null, "unit": null, "status": "BadTimeout" },
            ] }),
        ];
        let shown: Vec<String> = lines.iter().map(told).collect();
        assert_eq!(
            shown.join("\n"),
            "10:15:03.123  → poll fast\n\
             10:15:03.123    device: unit 1 function 3 holding-register:100-101 (3.1 ms)\n\
             10:15:03.123    device: unit 1 function 4 input-register:9-9 ⇒ timeout: silent (retry) (300.0 ms)\n\
             10:15:03.123    device: modbus.read holding-register:100-101 ⇒ 615 7 (3.2 ms)\n\
             10:15:03.123  ← poll 2 readings (4.0 ms)\n                 flow_temp = 61.5 °C  Good\n                 \
             pump = no value  BadTimeout"
        );
    }

    #[test]
    fn bytes_and_faults_are_told_on_one_line() {
        let time = "2026-01-01T10:15:03Z";
        let asked = json!({
            "kind": "exchange", "time": time, "interface": "serial", "function": "exchange", "transport": "device",
            "request": { "data": "READ\r\n" }, "answer": { "data": { "hex": "02 ff" } }, "took_us": 12,
        });
        assert_eq!(told(&asked), "10:15:03.000    device: serial.exchange \"READ\\r\\n\" ⇒ 02 ff (12 µs)");
        let failed = json!({ "kind": "return", "time": time, "call": "poll", "took_us": 11_000_000,
            "fault": { "remedy": "retry", "code": "timeout", "message": "no answer" } });
        assert_eq!(told(&failed), "10:15:03.000  ← poll failed: timeout: no answer (retry) (11 s)");
        assert_eq!(payload(&json!({ "text": "ab", "bytes": 9000 })), "\"ab\"… (9000 bytes)");
        assert!(payload(&json!("x".repeat(300))).ends_with('…'));
    }

    #[test]
    fn texts_of_a_device_make_no_line_of_their_own() {
        let forged = "on\n10:15:03.123  ← poll failed\u{202e}";
        let time = "2026-01-01T10:15:03Z";
        let lines = [
            json!({ "kind": "return", "time": time, "call": "poll", "took_us": 5,
                    "readings": [{ "point": "pump", "value": forged, "unit": forged, "status": "Good" }] }),
            json!({ "kind": "call", "time": time, "call": "receive", "transport": "broker",
                    "frames": [{ "kind": "data", "topic": forged, "payload": forged }] }),
            json!({ "kind": "said", "time": time, "level": "info", "message": forged }),
            json!({ "kind": "exchange", "time": time, "interface": "mqtt", "function": "publish", "transport": "broker",
                    "request": { "topic": forged, "payload": forged }, "answer": {}, "took_us": 5 }),
        ];
        for line in &lines {
            let told = told(line);
            assert!(!told.contains(['\u{202e}', '\r']), "{told:?}");
            let first_of_its_own = told.lines().skip(1).all(|line| line.starts_with(INDENT));
            assert!(first_of_its_own && told.lines().count() <= 2, "{told:?}");
        }
    }

    #[test]
    fn filters_take_what_they_are_for() {
        let only = |calls, frames, readings, faults| Wanted { calls, frames, readings, faults };
        let frames = only(false, true, false, false);
        let exchange = json!({ "kind": "exchange", "transport": "device", "answer": {} });
        let polled = json!({ "kind": "return", "call": "poll", "readings": [] });
        let failed = json!({ "kind": "return", "call": "poll", "fault": { "code": "x" } });
        let declared = json!({ "kind": "exchange", "transport": null, "answer": {} });
        assert!(frames.takes(&exchange) && !frames.takes(&polled) && !frames.takes(&declared));
        assert!(only(false, false, true, false).takes(&polled) && !only(false, false, true, false).takes(&exchange));
        assert!(only(false, false, false, true).takes(&failed) && !only(false, false, false, true).takes(&polled));
        assert!(frames.takes(&json!({ "kind": "dropped", "events": 1 })), "what is missing is always told");
        assert_eq!(only(false, true, false, true).asked(), [("show", "frames"), ("show", "faults")]);
    }
}
