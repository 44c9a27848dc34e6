//! Literals to values, in the type the model asks for.

use crate::literal::{self, Literal};
use crate::{PrimitiveType, Value};

/// The value of a literal by itself.
pub(super) fn value(literal: &Literal) -> Result<Value, String> {
    Ok(match literal {
        Literal::Null => Value::Null,
        Literal::Boolean(value) => Value::Boolean(*value),
        Literal::Integer(digits) => integer(digits),
        Literal::Number(digits) => Value::Decimal(digits.trim_start_matches('+').to_owned()),
        Literal::NonFinite(number) => Value::Double(*number),
        Literal::String(text) => Value::String(text.clone()),
        Literal::DateTimeOffset(text) => {
            Value::DateTimeOffset(literal::date_time_offset_ns(text).ok_or("this day does not exist")?)
        }
        Literal::Date(text) => Value::Date(days(text)?),
        Literal::TimeOfDay(text) => Value::TimeOfDay(literal::time_of_day_ns(text).ok_or("this is no time of day")?),
        Literal::Guid(text) => Value::Guid(literal::guid_bytes(text).ok_or("this is no GUID")?),
        Literal::Duration(text) => {
            Value::Duration(literal::duration_ns(text).ok_or("this duration is longer than 292 years")?)
        }
        Literal::Binary(text) => Value::Binary(literal::decode_base64url(text).ok_or("this is no base64url text")?),
        Literal::Geo(..) => return Err("geographic values are not supported".into()),
        Literal::Enum(..) => return Err("enumeration values are not supported".into()),
    })
}

/// Integers beyond 64 bits are decimals.
fn integer(digits: &str) -> Value {
    let digits = digits.trim_start_matches('+');
    digits.parse().map_or_else(|_| Value::Decimal(digits.to_owned()), Value::Int)
}

fn days(text: &str) -> Result<i32, String> {
    let days = literal::days_since_epoch(text).ok_or("this day does not exist")?;
    i32::try_from(days).map_err(|_| "this day is out of range".to_owned())
}

/// A value as a literal of another type, where the grammar leaves the type open: texts that are durations, GUIDs or
/// binaries without their prefix (4.01), dates where a moment is meant (midnight UTC), numbers among each other.
pub(super) fn convert(value: &Value, to: PrimitiveType) -> Option<Value> {
    const NS_PER_DAY: i64 = 86_400_000_000_000;
    match (value, to) {
        (value, to) if value.fits(to) => Some(value.clone()),
        (Value::String(text), PrimitiveType::Duration) => literal::duration_ns(text).map(Value::Duration),
        (Value::String(text), PrimitiveType::Guid) => literal::guid_bytes(text).map(Value::Guid),
        (Value::String(text), PrimitiveType::Binary) => literal::decode_base64url(text).map(Value::Binary),
        (Value::Date(days), PrimitiveType::DateTimeOffset) => {
            Some(Value::DateTimeOffset(i64::from(*days).saturating_mul(NS_PER_DAY)))
        }
        (Value::Int(number), PrimitiveType::Decimal) => Some(Value::Decimal(number.to_string())),
        (Value::Int(number), PrimitiveType::Double) => Some(Value::Double(*number as f64)),
        (Value::Decimal(digits), PrimitiveType::Double) => digits.parse().ok().map(Value::Double),
        _ => None,
    }
}
