//! What came of a script, as JSON that reads well and compares line by line.

use super::super::super::poll::json_value;
use bulkhead_model::{PointInfo, Reading, Timestamp};
use bulkhead_sandbox::capability::{Fault, Remedy};
use serde_json::{Map, Value as Json, json};

/// Bytes as text where they are printable, else as hexadecimal digits.
pub(super) fn bytes(bytes: &[u8]) -> Json {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !"\r\n\t".contains(c)) => text.into(),
        _ => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ") }),
    }
}

pub(super) fn fault(fault: &Fault) -> Json {
    let remedy = match fault.remedy {
        Remedy::Retry => "retry",
        Remedy::Reconnect => "reconnect",
        Remedy::Reject => "reject",
        Remedy::Reconfigure => "reconfigure",
    };
    let mut told = json!({ "remedy": remedy, "code": fault.code, "message": fault.message });
    if let Some(ms) = fault.retry_after_ms {
        told["retry_after_ms"] = ms.into();
    }
    told
}

pub(super) fn reading(point: &PointInfo, reading: &Reading) -> Json {
    let mut told = Map::new();
    told.insert("point".into(), point.name.as_str().into());
    told.insert("value".into(), reading.value.as_ref().map_or(Json::Null, json_value));
    if let Some(unit) = &point.unit {
        told.insert("unit".into(), unit.as_str().into());
    }
    told.insert("kind".into(), point.kind.name().into());
    told.insert("status".into(), reading.status.to_string().into());
    told.insert("time".into(), time(reading.time));
    Json::Object(told)
}

pub(super) fn time(time: Timestamp) -> Json {
    super::super::super::poll::time(time).into()
}

/// The first place at which two outcomes differ, and both sides there.
pub(in super::super) fn difference(path: &str, expected: &Json, found: &Json) -> Option<String> {
    match (expected, found) {
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                difference(&place, a.get(key).unwrap_or(&Json::Null), b.get(key).unwrap_or(&Json::Null))
            })
        }
        (Json::Array(a), Json::Array(b)) => (0..a.len().max(b.len())).find_map(|index| {
            let nothing = Json::Null;
            difference(&format!("{path}[{index}]"), a.get(index).unwrap_or(&nothing), b.get(index).unwrap_or(&nothing))
        }),
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path}\n    expected {a}\n    found    {b}")),
    }
}

/// A step that brought a fault, or nothing because the adapter crashed or ran out of time.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Failure {
    /// Where, why, and what the adapter said of it.
    pub(in super::super) told: String,
    pub(in super::super) is_crash: bool,
}

/// The steps that failed though they are expected to succeed: where they stand before any difference, they are its reason.
pub(in super::super) fn failures(expected: &Json, found: &Json) -> Vec<Failure> {
    let steps = found["steps"].as_array().into_iter().flatten().enumerate();
    let unexpected = steps.filter_map(|(index, step)| {
        let known = &expected["steps"][index];
        if !known["fault"].is_null() || !known["failed"].is_null() {
            return None;
        }
        let why = match (step["failed"].as_str(), &step["fault"]) {
            (Some(crash), _) => crash.to_owned(),
            (None, Json::Null) => return None,
            (None, fault) => format!("{}: {} ({})", text(fault, "code"), text(fault, "message"), text(fault, "remedy")),
        };
        let said = step["said"].as_array().into_iter().flatten();
        let complaints = said.filter_map(|line| line["error"].as_str().or(line["warn"].as_str()));
        let said: String =
            complaints.filter(|line| !why.contains(line)).map(|line| format!("\n    it said: {line}")).collect();
        let told = format!("steps[{index}] {}: {why}{said}", text(step, "call"));
        Some(Failure { told, is_crash: step["failed"].is_string() })
    });
    unexpected.collect()
}

fn text<'j>(json: &'j Json, member: &str) -> &'j str {
    json[member].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        let (a, b) = (json!({"steps": [{"x": 1}, {"x": 2}]}), json!({"steps": [{"x": 1}, {"x": 3}]}));
        assert_eq!(difference("", &a, &a), None);
        assert_eq!(difference("", &a, &b).unwrap(), "steps[1].x\n    expected 2\n    found    3");
        assert!(difference("", &a, &json!({"steps": []})).unwrap().starts_with("steps[0]"));
    }

    #[test]
    fn a_step_that_failed_says_why_unless_it_is_expected_to() {
        let fault = json!({ "remedy": "reconfigure", "code": "bad-settings", "message": "x" });
        let found = json!({ "steps": [
            { "call": "start" },
            { "call": "poll a", "fault": fault, "said": [{ "info": "hello" }, { "error": "no x\nat y" }] },
            { "call": "poll b", "failed": "the adapter crashed: z" },
        ] });
        let told = |expected: &Json| -> Vec<(String, bool)> {
            failures(expected, &found).into_iter().map(|failure| (failure.told, failure.is_crash)).collect()
        };
        let crash = ("steps[2] poll b: the adapter crashed: z".to_owned(), true);
        let reported = "steps[1] poll a: bad-settings: x (reconfigure)\n    it said: no x\nat y".to_owned();
        assert_eq!(told(&json!({})), [(reported, false), crash.clone()]);
        assert_eq!(told(&json!({ "steps": [{}, { "fault": {} }, { "readings": [] }] })), [crash]);
        assert_eq!(told(&found), []);
    }

    #[test]
    fn bytes_that_do_not_print_are_hexadecimal() {
        assert_eq!(bytes(b"a\r\n"), json!("a\r\n"));
        assert_eq!(bytes(&[0, 255]), json!({"hex": "00 ff"}));
    }
}
