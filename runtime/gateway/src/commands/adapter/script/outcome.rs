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
    fn bytes_that_do_not_print_are_hexadecimal() {
        assert_eq!(bytes(b"a\r\n"), json!("a\r\n"));
        assert_eq!(bytes(&[0, 255]), json!({"hex": "00 ff"}));
    }
}
