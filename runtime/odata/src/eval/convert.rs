//! `cast` between primitive types (Part 2 §5.1.1.11.1): null where the value cannot be one of the other type.

use super::Decimal;
use super::compare::{decimal, double};
use crate::Value;
use crate::literal;
use crate::model::{Base, PrimitiveType, Type};
use crate::typed::Types;
use std::cmp::Ordering;

const NS_PER_DAY: i64 = 86_400_000_000_000;

/// A value as one of another type.
pub(super) fn cast(value: &Value, from: Option<Type>, to: Type, types: &Types<'_>) -> Value {
    if *value == Value::Null || from == Some(to) {
        return value.clone();
    }
    let found = match (to.base, to.collection) {
        (Base::Primitive(ty), false) => primitive(value, from, ty, types),
        (Base::Enum(place), false) => match value {
            Value::String(text) => types.enumeration(place).parse(text).map(Value::Int),
            Value::Int(number) => types.enumeration(place).parse(&number.to_string()).map(Value::Int),
            _ => None,
        },
        _ => None,
    };
    found.unwrap_or(Value::Null)
}

fn primitive(value: &Value, from: Option<Type>, to: PrimitiveType, types: &Types<'_>) -> Option<Value> {
    use PrimitiveType as T;
    if let Some((least, most)) = to.integer_range() {
        return whole(value).filter(|number| (least..=most).contains(number)).map(Value::Int);
    }
    match (to, value) {
        (T::String, _) => Some(Value::String(text(value, from, types))),
        (T::Double | T::Single, Value::String(text)) => double_of_text(text).map(Value::Double),
        (T::Double | T::Single, _) => double(value).map(Value::Double),
        (T::Decimal, Value::Double(number)) if number.is_finite() => {
            Decimal::parse(&number.to_string()).map(|number| Value::Decimal(number.to_string()))
        }
        (T::Decimal, Value::String(text)) => {
            (literal::number(text) == Ok(text.len())).then(|| Value::Decimal(text.clone()))
        }
        (T::Decimal, Value::Int(number)) => Some(Value::Decimal(number.to_string())),
        (T::Boolean, Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            _ => None,
        },
        (T::DateTimeOffset, Value::String(text)) => literal::date_time_offset_ns(text).map(Value::DateTimeOffset),
        (T::DateTimeOffset, Value::Date(days)) => {
            Some(Value::DateTimeOffset(i64::from(*days).checked_mul(NS_PER_DAY)?))
        }
        (T::Date, Value::DateTimeOffset(ns)) => i32::try_from(ns.div_euclid(NS_PER_DAY)).ok().map(Value::Date),
        (T::Date, Value::String(text)) if literal::date(text) == Ok(text.len()) => {
            i32::try_from(literal::days_since_epoch(text)?).ok().map(Value::Date)
        }
        (T::TimeOfDay, Value::DateTimeOffset(ns)) => Some(Value::TimeOfDay(ns.rem_euclid(NS_PER_DAY))),
        (T::TimeOfDay, Value::String(text)) if literal::time_of_day(text) == Ok(text.len()) => {
            literal::time_of_day_ns(text).map(Value::TimeOfDay)
        }
        (T::Duration, Value::String(text)) => literal::duration_ns(text).map(Value::Duration),
        (T::Guid, Value::String(text)) => literal::guid_bytes(text).map(Value::Guid),
        (T::Binary, Value::String(text)) => literal::decode_base64url(text).map(Value::Binary),
        (ty, value) => value.fits(ty).then(|| value.clone()),
    }
}

/// Fractions are cut off.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Double(number) => {
            let cut = number.trunc();
            (cut.abs() < i64::MAX as f64).then_some(cut as i64)
        }
        Value::Decimal(_) => {
            let number = decimal(value)?;
            let toward_zero =
                if number.order(Decimal::whole(0)) == Ordering::Less { Ordering::Greater } else { Ordering::Less };
            number.rounded(toward_zero).to_string().parse().ok()
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn double_of_text(text: &str) -> Option<f64> {
    match text {
        "INF" => Some(f64::INFINITY),
        "-INF" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        _ => (literal::number(text) == Ok(text.len())).then(|| text.parse().ok())?,
    }
}

/// A value as text: members of an enumeration by their names.
fn text(value: &Value, from: Option<Type>, types: &Types<'_>) -> String {
    match (value, from) {
        (Value::Int(number), Some(Type { base: Base::Enum(place), .. })) => types.enumeration(place).print(*number),
        (Value::Double(number), _) if number.is_finite() => number.to_string(),
        _ => value.to_string(),
    }
}
