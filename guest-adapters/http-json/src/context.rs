//! What templates see of a batch.

use bulkhead_sdk::prelude::*;
use bulkhead_upstream::{base64, rfc3339};
use minijinja::Value as TemplateValue;
use minijinja::context;

/// Digits of a second's fraction in times.
const FRACTION_DIGITS: u8 = 6;

/// What a request for several readings sees: `batch.key`, `batch.route`, `route`, `readings`. The key is that of the part
/// of the batch that is sent.
pub(crate) fn together(batch: &Batch, key: &str, readings: Vec<TemplateValue>) -> TemplateValue {
    context! { batch => context! { key, route => batch.route.as_str() }, route => batch.route.as_str(), readings }
}

/// What a request for one reading sees: the same, and `reading`.
pub(crate) fn alone(batch: &Batch, key: &str, reading: TemplateValue) -> TemplateValue {
    context! { reading => reading.clone(), ..together(batch, key, vec![reading]) }
}

/// One reading: `seq`, `connection`, `point`, `unit`, `time` (RFC 3339), `time_ms`, `status`, `status_name`, `good`,
/// `value`.
pub(crate) fn reading(batch: &Batch, entry: &Entry) -> TemplateValue {
    let point = batch.points.get(entry.reading.point as usize);
    let status = Status(entry.reading.status);
    let time_ns = entry.reading.time.unwrap_or_default();
    context! {
        seq => entry.seq,
        connection => point.map(|point| point.connection.as_str()),
        point => point.map(|point| point.name.as_str()),
        unit => point.and_then(|point| point.unit.as_deref()),
        time => rfc3339(time_ns, FRACTION_DIGITS),
        time_ms => time_ns.div_euclid(1_000_000),
        status => status.0,
        status_name => status_name(status),
        good => status.is_good(),
        value => entry.reading.value.as_ref().map_or(TemplateValue::from(()), value),
    }
}

/// The status's own name, or at least how bad it is.
fn status_name(status: Status) -> &'static str {
    status.name().unwrap_or(if status.is_good() {
        "Good"
    } else if status.is_bad() {
        "Bad"
    } else {
        "Uncertain"
    })
}

/// A value as JSON can hold it: a decimal as its digits in a text, so that none is lost; a time as RFC 3339; a duration in
/// nanoseconds; bytes in base64; a number that JSON does not have as null.
fn value(value: &Value) -> TemplateValue {
    match value {
        Value::Boolean(value) => TemplateValue::from(*value),
        Value::Integer(number) | Value::Duration(number) => TemplateValue::from(*number),
        Value::Real(number) if number.is_finite() => TemplateValue::from(*number),
        Value::Real(_) => TemplateValue::from(()),
        Value::Decimal(text) | Value::Text(text) => TemplateValue::from(text.as_str()),
        Value::Time(time_ns) => TemplateValue::from(rfc3339(*time_ns, FRACTION_DIGITS)),
        Value::Bytes(bytes) => TemplateValue::from(base64(bytes)),
        Value::File(file) => {
            context! { name => file.name.as_str(), media_type => file.media_type.as_str(), data => base64(&file.data) }
        }
    }
}
