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
use bulkhead_model::{Status, Value, WriteLimits};
use serde::Serialize;
use serde_json::{Value as Json, json};

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

/// A status for people: its name, or severity and number.
pub(crate) fn status_name(status: Status) -> String {
    status.to_string()
}

/// A reading of a point that is named elsewhere.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Reading"))]
pub(crate) struct ShownReading {
    /// Its number in the log.
    pub(crate) seq: u64,
    /// OPC UA StatusCode; 0 is Good.
    pub(crate) status: u32,
    /// The status as a name.
    pub(crate) status_name: String,
    /// When the value was acquired.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    pub(crate) time: String,
    /// The value; null where the status is Bad and there is none.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::value"))]
    pub(crate) value: Json,
}

/// A reading with the point it is of.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "NamedReading"))]
pub(crate) struct ShownNamedReading {
    /// The connection.
    pub(crate) connection: String,
    /// The point.
    pub(crate) point: String,
    /// Its number in the log.
    pub(crate) seq: u64,
    /// OPC UA StatusCode; 0 is Good.
    pub(crate) status: u32,
    /// The status as a name.
    pub(crate) status_name: String,
    /// When the value was acquired.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::moment"))]
    pub(crate) time: String,
    /// The value; null where the status is Bad and there is none.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::value"))]
    pub(crate) value: Json,
}

/// A declared point.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Point"))]
pub(crate) struct ShownPoint {
    /// The connection.
    pub(crate) connection: String,
    /// What it is, in words.
    pub(crate) description: Option<String>,
    /// The poll group.
    pub(crate) group: Option<String>,
    /// Its number; never given twice.
    pub(crate) id: u32,
    /// The type of its values.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::kind"))]
    pub(crate) kind: &'static str,
    /// Its name, unique within its connection.
    pub(crate) name: String,
    /// The unit of its values.
    pub(crate) unit: Option<String>,
    /// Whether values can be written to it.
    pub(crate) writable: bool,
    /// What may be written; null where nothing may.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::write_limits"))]
    pub(crate) write: Option<WriteLimits>,
}

/// A reading of a point that is named elsewhere.
pub(crate) fn reading(row: &Row) -> ShownReading {
    let Row { seq, reading } = row;
    ShownReading {
        seq: *seq,
        status: reading.status.0,
        status_name: status_name(reading.status),
        time: moment::rfc3339(reading.time.0),
        value: reading.value.as_ref().map_or(Json::Null, value),
    }
}

/// A reading with the point it is of.
pub(crate) fn named_reading(row: &Row, point: &Point) -> ShownNamedReading {
    let ShownReading { seq, status, status_name, time, value } = reading(row);
    let (connection, point) = (point.connection.to_string(), point.info.name.clone());
    ShownNamedReading { connection, point, seq, status, status_name, time, value }
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
pub(crate) fn point(point: &Point) -> ShownPoint {
    let info = &point.info;
    ShownPoint {
        connection: point.connection.to_string(),
        description: info.description.clone(),
        group: info.group.clone(),
        id: point.id.0,
        kind: info.kind.name(),
        name: info.name.clone(),
        unit: info.unit.clone(),
        writable: info.write.is_some(),
        write: info.write,
    }
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
