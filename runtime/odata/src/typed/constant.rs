//! Literals to values, in the type the model asks for.

use super::Types;
use crate::Value;
use crate::geo::Geo;
use crate::literal::{self, Literal};
use crate::model::{Base, PrimitiveType, Type};
use std::sync::Arc;

/// The value of a literal by itself, with its type where that is not the value's own.
pub(super) fn value(literal: &Literal, types: &Types<'_>) -> Result<(Value, Option<Type>), String> {
    let value = match literal {
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
        Literal::Geo(prefix, text) => {
            let shape = Geo::parse(text, prefix == "geography");
            let shape = shape.ok_or_else(|| format!("{prefix}'SRID=4326;Point(1 2)' or another shape is expected"))?;
            Value::Geo(Arc::new(shape))
        }
        Literal::Enum(name, members) => return enumeration(name, members, types),
    };
    let ty = value.ty().map(Type::from);
    Ok((value, ty))
}

fn enumeration(name: &str, members: &str, types: &Types<'_>) -> Result<(Value, Option<Type>), String> {
    let ty = types.model().type_of_name(name).filter(|ty| matches!(ty.base, Base::Enum(_)));
    let Some(Type { base: Base::Enum(place), .. }) = ty else {
        return Err(format!("the model has no enumeration `{name}`"));
    };
    let value = types.enumeration(place).parse(members);
    let value = value.ok_or_else(|| format!("`{members}` is no member of the enumeration `{name}`"))?;
    Ok((Value::Int(value), ty))
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

/// A value as a literal of another type, where the grammar leaves the type open: texts that are durations, GUIDs, binaries
/// or members of enumerations without their prefix (4.01), dates where a moment is meant (midnight UTC), numbers among each
/// other.
pub(super) fn convert(value: &Value, to: Type, types: &Types<'_>) -> Option<Value> {
    const NS_PER_DAY: i64 = 86_400_000_000_000;
    if let (Value::String(text), Base::Enum(place), false) = (value, to.base, to.collection) {
        return types.enumeration(place).parse(text).map(Value::Int);
    }
    if value.fits(to) {
        return Some(value.clone());
    }
    match (value, to.primitive()?) {
        (Value::String(text), PrimitiveType::Duration) => literal::duration_ns(text).map(Value::Duration),
        (Value::String(text), PrimitiveType::Guid) => literal::guid_bytes(text).map(Value::Guid),
        (Value::String(text), PrimitiveType::Binary) => literal::decode_base64url(text).map(Value::Binary),
        (Value::Date(days), PrimitiveType::DateTimeOffset) => {
            Some(Value::DateTimeOffset(i64::from(*days).saturating_mul(NS_PER_DAY)))
        }
        (Value::Int(number), PrimitiveType::Decimal) => Some(Value::Decimal(number.to_string())),
        (Value::Int(number), PrimitiveType::Double | PrimitiveType::Single) => Some(Value::Double(*number as f64)),
        (Value::Decimal(digits), PrimitiveType::Double | PrimitiveType::Single) => {
            digits.parse().ok().map(Value::Double)
        }
        _ => None,
    }
}
