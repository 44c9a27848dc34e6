//! Arithmetic. What has no result is null: a division of whole numbers by zero, a difference of infinities, a moment out of
//! range. Of floating-point numbers a division by zero is infinite (Part 2 §5.1.1.2.5).

use super::compare::{decimal, double};
use crate::Value;
use crate::model::PrimitiveType;
use crate::typed::Arithmetic;

const NS_PER_DAY: i64 = 86_400_000_000_000;

/// The result in the type that the checker found.
pub(super) fn compute(op: Arithmetic, left: &Value, right: &Value, ty: Option<PrimitiveType>) -> Value {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        (Value::DateTimeOffset(_) | Value::Duration(_) | Value::Date(_), _)
        | (_, Value::DateTimeOffset(_) | Value::Duration(_) | Value::Date(_)) => {
            times(op, left, right).unwrap_or(Value::Null)
        }
        (Value::Int(a), Value::Int(b)) if ty.is_some_and(PrimitiveType::is_integer) => wholes(op, *a, *b),
        _ if ty == Some(PrimitiveType::Decimal) => decimals(op, left, right),
        _ => doubles(op, double(left), double(right)),
    }
}

/// What overflows goes on as a floating-point number, as it does in a database.
fn wholes(op: Arithmetic, a: i64, b: i64) -> Value {
    let exact = match op {
        Arithmetic::Add => a.checked_add(b),
        Arithmetic::Sub => a.checked_sub(b),
        Arithmetic::Mul => a.checked_mul(b),
        Arithmetic::Div | Arithmetic::DivBy | Arithmetic::Mod if b == 0 => return Value::Null,
        Arithmetic::Mod => Some(a.wrapping_rem(b)),
        Arithmetic::Div | Arithmetic::DivBy => a.checked_div(b),
    };
    exact.map_or_else(|| doubles(op, Some(a as f64), Some(b as f64)), Value::Int)
}

fn decimals(op: Arithmetic, left: &Value, right: &Value) -> Value {
    let exact = decimal(left).zip(decimal(right)).and_then(|(a, b)| match op {
        Arithmetic::Add => a.plus(b),
        Arithmetic::Sub => a.minus(b),
        Arithmetic::Mul => a.times(b),
        Arithmetic::Div | Arithmetic::DivBy => a.divided_by(b),
        Arithmetic::Mod => a.remainder(b),
    });
    let divides = matches!(op, Arithmetic::Div | Arithmetic::DivBy | Arithmetic::Mod);
    match exact {
        None if divides && double(right) == Some(0.0) => Value::Null,
        Some(number) => Value::Decimal(number.to_string()),
        None => match doubles(op, double(left), double(right)) {
            Value::Double(number) if number.is_finite() => Value::Decimal(format!("{number}")),
            other => other,
        },
    }
}

fn doubles(op: Arithmetic, a: Option<f64>, b: Option<f64>) -> Value {
    let Some((a, b)) = a.zip(b) else { return Value::Null };
    let result = match op {
        Arithmetic::Mod if b == 0.0 => return Value::Null,
        // Zero has no sign here, as it has none in a database.
        Arithmetic::Div | Arithmetic::DivBy if b == 0.0 => a * f64::INFINITY,
        Arithmetic::Add => a + b,
        Arithmetic::Sub => a - b,
        Arithmetic::Mul => a * b,
        Arithmetic::Div | Arithmetic::DivBy => a / b,
        Arithmetic::Mod => a % b,
    };
    if result.is_nan() { Value::Null } else { Value::Double(result) }
}

fn times(op: Arithmetic, left: &Value, right: &Value) -> Option<Value> {
    use Value::{Date, DateTimeOffset, Duration};
    Some(match (op, left, right) {
        (Arithmetic::Add, DateTimeOffset(a), Duration(b)) | (Arithmetic::Add, Duration(a), DateTimeOffset(b)) => {
            DateTimeOffset(a.checked_add(*b)?)
        }
        (Arithmetic::Sub, DateTimeOffset(a), Duration(b)) => DateTimeOffset(a.checked_sub(*b)?),
        (Arithmetic::Sub, DateTimeOffset(a), DateTimeOffset(b)) => Duration(a.checked_sub(*b)?),
        (Arithmetic::Add, Duration(a), Duration(b)) => Duration(a.checked_add(*b)?),
        (Arithmetic::Sub, Duration(a), Duration(b)) => Duration(a.checked_sub(*b)?),
        (Arithmetic::Sub, Date(a), Date(b)) => Duration(i64::from(*a - *b).checked_mul(NS_PER_DAY)?),
        (Arithmetic::Add, Date(a), Duration(b)) => shifted(*a, *b)?,
        (Arithmetic::Sub, Date(a), Duration(b)) => shifted(*a, b.checked_neg()?)?,
        (Arithmetic::Mul, Duration(a), number) | (Arithmetic::Mul, number, Duration(a)) => scaled(*a, double(number)?)?,
        (Arithmetic::Div | Arithmetic::DivBy, Duration(a), number) => scaled(*a, 1.0 / double(number)?)?,
        _ => return None,
    })
}

/// Whole days only: a part of a day does not reach the next.
fn shifted(days: i32, ns: i64) -> Option<Value> {
    days.checked_add(i32::try_from(ns / NS_PER_DAY).ok()?).map(Value::Date)
}

fn scaled(ns: i64, factor: f64) -> Option<Value> {
    let result = ns as f64 * factor;
    (result.is_finite() && result.abs() < i64::MAX as f64).then(|| Value::Duration(result.round() as i64))
}

/// The value with its sign changed.
pub(super) fn negate(value: &Value) -> Value {
    match value {
        Value::Int(number) => number.checked_neg().map_or(Value::Double(-(*number as f64)), Value::Int),
        Value::Double(number) => Value::Double(-number),
        Value::Decimal(_) => match decimal(value) {
            Some(number) => Value::Decimal(number.negated().to_string()),
            None => double(value).map_or(Value::Null, |number| Value::Double(-number)),
        },
        Value::Duration(ns) => ns.checked_neg().map_or(Value::Null, Value::Duration),
        _ => Value::Null,
    }
}
