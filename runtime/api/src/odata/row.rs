//! A row of the log as OData values: the point's part from the catalogue, the value under the property of its kind.

use crate::json;
use bulkhead_log::{Catalogue, Log, Point, QueryRow, SqlValue, value_of};
use bulkhead_model::{Kind, PointId, Status, Value as Reading};
use bulkhead_odata::{EntityType, Error, Row, Value};
use std::sync::Arc;

/// Bytes a row takes apart from its value; roughly, for the bound of a page.
const ROW_BYTES: usize = 256;

/// A property of a reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Seq,
    PointId,
    Connection,
    Point,
    Kind,
    Unit,
    Time,
    Status,
    StatusName,
    Good,
    Value,
    Numeric,
    Of(Kind),
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Seq" => Self::Seq,
            "PointId" => Self::PointId,
            "Connection" => Self::Connection,
            "Point" => Self::Point,
            "Kind" => Self::Kind,
            "Unit" => Self::Unit,
            "Time" => Self::Time,
            "Status" => Self::Status,
            "StatusName" => Self::StatusName,
            "Good" => Self::Good,
            "Value" => Self::Value,
            "NumericValue" => Self::Numeric,
            "BooleanValue" => Self::Of(Kind::Boolean),
            "IntegerValue" => Self::Of(Kind::Integer),
            "DecimalValue" => Self::Of(Kind::Decimal),
            "TextValue" => Self::Of(Kind::Text),
            "TimeValue" => Self::Of(Kind::Time),
            "DurationValue" => Self::Of(Kind::Duration),
            "BytesValue" => Self::Of(Kind::Bytes),
            _ => return None,
        })
    }
}

/// Makes rows of a query's columns.
pub(super) struct Rows<'l> {
    fields: Vec<Field>,
    log: &'l Log,
    catalogue: Arc<Catalogue>,
}

impl<'l> Rows<'l> {
    /// # Errors
    /// [`Error::Internal`] for a property that a reading has not.
    pub(super) fn new(entity_type: &EntityType, columns: &[usize], log: &'l Log) -> Result<Self, Error> {
        let field = |column: &usize| {
            let name = &entity_type.properties[*column].name;
            Field::named(name).ok_or_else(|| Error::Internal(format!("a reading has no {name}")))
        };
        let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
        // Taken after the query was opened, so it has every point that the query can see.
        Ok(Self { fields, log, catalogue: log.catalogue() })
    }

    /// Puts the values of a row's columns in place of others; roughly their bytes. The row has `seq`, `point`, `time`,
    /// `status`, `value`.
    pub(super) fn fill(&self, row: &QueryRow<'_>, values: &mut Row) -> Result<usize, Error> {
        let number = |column| row.integer(column).ok_or_else(|| Error::Internal("a row of the log is damaged".into()));
        let (seq, id, time, status) = (number(0)?, number(1)?, number(2)?, number(3)?);
        let point = u32::try_from(id).ok().and_then(|id| self.catalogue.by_id(PointId(id)));
        let point = point.ok_or_else(|| Error::Internal(format!("the log has no point {id}")))?;
        let stored = row.value(4);
        let value = value_of(point.info.kind, &stored)
            .ok_or_else(|| Error::Internal(format!("the value of row {seq} is not of its point's kind")))?;
        let may_be_nan = value.is_none() && point.info.kind == Kind::Real;
        let value = if may_be_nan { nan(self.log, seq) } else { value };
        let status = Status(u32::try_from(status).unwrap_or(u32::MAX));
        let reading = Shown { seq, time, status, point, value: value.as_ref() };
        values.clear();
        values.extend(self.fields.iter().map(|field| reading.property(*field)));
        Ok(ROW_BYTES + bytes_of(&stored))
    }
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
    fn property(&self, field: Field) -> Value {
        let info = &self.point.info;
        match field {
            Field::Seq => Value::Int(self.seq),
            Field::PointId => Value::Int(i64::from(self.point.id.0)),
            Field::Connection => Value::String(self.point.connection.to_string()),
            Field::Point => Value::String(info.name.clone()),
            Field::Kind => Value::String(info.kind.name().to_owned()),
            Field::Unit => info.unit.clone().map_or(Value::Null, Value::String),
            Field::Time => Value::DateTimeOffset(self.time),
            Field::Status => Value::Int(i64::from(self.status.0)),
            Field::StatusName => Value::String(json::status_name(self.status)),
            Field::Good => Value::Boolean(self.status.is_good()),
            Field::Value => self.value.map_or(Value::Null, |value| Value::String(text_of(value))),
            Field::Numeric => self.value.map_or(Value::Null, number_of),
            Field::Of(kind) => match self.value.filter(|value| value.kind() == kind) {
                Some(value) => typed(value),
                None => Value::Null,
            },
        }
    }
}

fn number_of(value: &Reading) -> Value {
    let is_number = matches!(value.kind(), Kind::Integer | Kind::Real | Kind::Decimal);
    value.as_f64().filter(|_| is_number).map_or(Value::Null, Value::Double)
}

/// A value under the type of its kind.
pub(super) fn typed(value: &Reading) -> Value {
    match value {
        Reading::Boolean(value) => Value::Boolean(*value),
        Reading::Integer(number) => Value::Int(*number),
        Reading::Real(number) => Value::Double(*number),
        Reading::Decimal(digits) => Value::Decimal(digits.clone()),
        Reading::Text(text) => Value::String(text.clone()),
        Reading::Time(ns) => Value::DateTimeOffset(*ns),
        Reading::Duration(ns) => Value::Duration(*ns),
        Reading::Bytes(bytes) => Value::Binary(bytes.clone()),
        Reading::File(_) => Value::String(value.to_string()),
    }
}

/// A value as text: as in the JSON of the REST API, without quotes; a file as its name and size.
pub(crate) fn text_of(value: &Reading) -> String {
    if matches!(value, Reading::File(_)) {
        return value.to_string();
    }
    match json::value(value) {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
