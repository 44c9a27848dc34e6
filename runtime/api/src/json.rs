//! Readings and values as JSON.
//!
//! | kind | JSON |
//! | --- | --- |
//! | boolean, integer, real | `true`, `12`, `61.5`; a real without digits as text: `"NaN"`, `"INF"`, `"-INF"` |
//! | decimal | its digits as text, so that none is lost: `"-12.50"` |
//! | text | text |
//! | time, duration | RFC 3339 and ISO 8601 text: `"2026-01-31T08:30:00Z"`, `"PT1.5S"` |
//! | bytes | hexadecimal digits |
//! | file | `{"name", "media_type", "size_bytes", "data"}`, data in base64 (RFC 4648 §4) |

use crate::moment;
use base64::Engine as _;
use bulkhead_log::{Point, Row};
use bulkhead_model::{Status, Value};
use serde_json::{Map, Value as Json, json};

/// Bytes a reading takes in an answer apart from its value; roughly, for the bound of a page.
const READING_BYTES: usize = 128;

/// A value.
pub(crate) fn value(value: &Value) -> Json {
    match value {
        Value::Boolean(value) => json!(value),
        Value::Integer(value) => json!(value),
        Value::Real(value) if value.is_nan() => json!("NaN"),
        Value::Real(value) if value.is_infinite() => json!(if *value > 0.0 { "INF" } else { "-INF" }),
        Value::Real(value) => json!(value),
        Value::Decimal(text) | Value::Text(text) => json!(text),
        Value::Time(ns) => json!(moment::rfc3339(*ns)),
        Value::Duration(ns) => json!(moment::iso8601(*ns)),
        Value::Bytes(_) => json!(value.to_string()),
        Value::File(file) => json!({
            "name": file.name,
            "media_type": file.media_type,
            "size_bytes": file.data.len(),
            "data": base64::engine::general_purpose::STANDARD.encode(&file.data),
        }),
    }
}

/// The members every reading has.
fn put_reading(members: &mut Map<String, Json>, row: &Row) {
    members.insert("time".into(), moment::rfc3339(row.reading.time.0).into());
    members.insert("status".into(), row.reading.status.0.into());
    members.insert("status_name".into(), status_name(row.reading.status).into());
    members.insert("value".into(), row.reading.value.as_ref().map_or(Json::Null, value));
}

/// A status for people: its name, or severity and number.
pub(crate) fn status_name(status: Status) -> String {
    status.to_string()
}

/// A reading of a point that is named elsewhere.
pub(crate) fn reading(row: &Row) -> Json {
    let mut members = Map::from_iter([("seq".to_owned(), row.seq.into())]);
    put_reading(&mut members, row);
    Json::Object(members)
}

/// A reading with the point it is of.
pub(crate) fn named_reading(row: &Row, point: &Point) -> Json {
    let mut members = Map::from_iter([
        ("seq".to_owned(), row.seq.into()),
        ("connection".to_owned(), Json::from(&*point.connection)),
        ("point".to_owned(), point.info.name.clone().into()),
    ]);
    put_reading(&mut members, row);
    Json::Object(members)
}

/// Roughly the bytes of a reading in an answer.
pub(crate) fn weight(row: &Row) -> usize {
    let value = match &row.reading.value {
        Some(Value::Decimal(text) | Value::Text(text)) => text.len(),
        Some(Value::Bytes(bytes)) => bytes.len() * 2,
        Some(Value::File(file)) => file.data.len() / 3 * 4 + file.name.len() + file.media_type.len(),
        _ => 0,
    };
    READING_BYTES + value
}

/// A declared point.
pub(crate) fn point(point: &Point) -> Json {
    let info = &point.info;
    json!({
        "id": point.id,
        "connection": &*point.connection,
        "name": info.name,
        "kind": info.kind,
        "unit": info.unit,
        "group": info.group,
        "writable": info.write.is_some(),
        "write": info.write,
        "description": info.description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_every_digit() {
        assert_eq!(value(&Value::Integer(i64::MAX)).to_string(), "9223372036854775807");
        assert_eq!(value(&Value::Real(0.1)).to_string(), "0.1");
        assert_eq!(value(&Value::Real(f64::NEG_INFINITY)), json!("-INF"));
        assert_eq!(value(&Value::Decimal("-12.50".into())), json!("-12.50"));
        assert_eq!(value(&Value::Bytes(vec![0, 255])), json!("00ff"));
        assert_eq!(value(&Value::Duration(-1_500_000_000)), json!("-PT1.5S"));
    }
}
