//! A row of the log as OData values: the point's part from the catalogue, the value under the property of its kind.

use crate::json;
use bulkhead_log::{Log, Point, QueryRow, SqlValue, value_of};
use bulkhead_model::{Kind, PointId, Status, Value as Reading};
use bulkhead_odata::{Error, Query, Row, Value};

/// Bytes a row takes apart from its value; roughly, for the bound of a page.
const ROW_BYTES: usize = 256;

/// The values of a row's columns, in the order of [`Query::columns`], and roughly their bytes.
pub(super) fn properties(row: &QueryRow<'_>, query: &Query<'_>, log: &Log) -> Result<(Row, usize), Error> {
    let number = |column| row.integer(column).ok_or_else(|| Error::Internal("a row of the log is damaged".into()));
    let (seq, id, time, status) = (number(0)?, number(1)?, number(2)?, number(3)?);
    // Newer than the query's view, so it has every point of that view.
    let catalogue = log.catalogue();
    let point = u32::try_from(id).ok().and_then(|id| catalogue.by_id(PointId(id)));
    let point = point.ok_or_else(|| Error::Internal(format!("the log has no point {id}")))?;
    let stored = row.value(4);
    let value = value_of(point.info.kind, &stored)
        .ok_or_else(|| Error::Internal(format!("the value of row {seq} is not of its point's kind")))?;
    let may_be_nan = value.is_none() && point.info.kind == Kind::Real;
    let value = if may_be_nan { nan(log, seq) } else { value };
    let status = Status(u32::try_from(status).unwrap_or(u32::MAX));
    let reading = Shown { seq, time, status, point, value: value.as_ref() };
    Ok((query.column_names().map(|name| reading.property(name)).collect(), ROW_BYTES + bytes_of(&stored)))
}

/// A real that is not a number: SQL has none and shows it as NULL, as it does a missing value; the row itself knows.
fn nan(log: &Log, seq: i64) -> Option<Reading> {
    let seq = u64::try_from(seq).ok()?;
    let row = log.read(seq.checked_sub(1)?, 1).ok()?.into_iter().next()?;
    row.reading.value.filter(|_| row.seq == seq)
}

fn bytes_of(stored: &SqlValue) -> usize {
    match stored {
        SqlValue::Text(text) => text.len(),
        SqlValue::Blob(bytes) => bytes.len() * 2,
        _ => 0,
    }
}

struct Shown<'a> {
    seq: i64,
    time: i64,
    status: Status,
    point: &'a Point,
    value: Option<&'a Reading>,
}

impl Shown<'_> {
    fn property(&self, name: &str) -> Value {
        let info = &self.point.info;
        match name {
            "Seq" => Value::Int(self.seq),
            "PointId" => Value::Int(i64::from(self.point.id.0)),
            "Connection" => Value::String(self.point.connection.to_string()),
            "Point" => Value::String(info.name.clone()),
            "Kind" => Value::String(info.kind.name().to_owned()),
            "Unit" => info.unit.clone().map_or(Value::Null, Value::String),
            "Time" => Value::DateTimeOffset(self.time),
            "Status" => Value::Int(i64::from(self.status.0)),
            "StatusName" => Value::String(json::status_name(self.status)),
            "Good" => Value::Boolean(self.status.is_good()),
            _ => self.value.map_or(Value::Null, |value| of_value(name, value)),
        }
    }
}

/// A property that is there for values of some kinds only.
fn of_value(name: &str, value: &Reading) -> Value {
    match (name, value) {
        ("Value", value) => Value::String(text_of(value)),
        ("NumericValue", value) if matches!(value.kind(), Kind::Integer | Kind::Real | Kind::Decimal) => {
            value.as_f64().map_or(Value::Null, Value::Double)
        }
        ("BooleanValue", Reading::Boolean(value)) => Value::Boolean(*value),
        ("IntegerValue", Reading::Integer(number)) => Value::Int(*number),
        ("DecimalValue", Reading::Decimal(digits)) => Value::Decimal(digits.clone()),
        ("TextValue", Reading::Text(text)) => Value::String(text.clone()),
        ("TimeValue", Reading::Time(ns)) => Value::DateTimeOffset(*ns),
        ("DurationValue", Reading::Duration(ns)) => Value::Duration(*ns),
        ("BytesValue", Reading::Bytes(bytes)) => Value::Binary(bytes.clone()),
        _ => Value::Null,
    }
}

/// A value as text: as in the JSON of the REST API, without quotes; a file as its name and size.
fn text_of(value: &Reading) -> String {
    if matches!(value, Reading::File(_)) {
        return value.to_string();
    }
    match json::value(value) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
