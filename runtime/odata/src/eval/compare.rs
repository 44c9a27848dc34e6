//! Comparison and order of values.

use super::Decimal;
use crate::Value;
use crate::typed::Comparison;
use std::cmp::Ordering;

/// A comparison as the standard has it: never null, and of nulls only equality is true (Part 2 §5.1.1.1).
#[must_use]
pub fn compare(op: Comparison, left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) => None,
        _ => relation(left, right),
    };
    match op {
        Comparison::Eq => order == Some(Ordering::Equal),
        Comparison::Ne => order != Some(Ordering::Equal),
        Comparison::Gt => order == Some(Ordering::Greater),
        Comparison::Lt => order == Some(Ordering::Less),
        Comparison::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
    }
}

/// The order of two values for sorting: null comes first, NaN next (Part 2 §5.1.4).
#[must_use]
pub fn order(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Double(number) if number.is_nan() => 1,
        _ => 2,
    };
    rank(left).cmp(&rank(right)).then_with(|| relation(left, right).unwrap_or(Ordering::Equal))
}

/// How two values that are not null stand to each other; none if they are different in kind, or without order.
fn relation(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::DateTimeOffset(a), Value::DateTimeOffset(b))
        | (Value::Duration(a), Value::Duration(b))
        | (Value::TimeOfDay(a), Value::TimeOfDay(b))
        | (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::Guid(a), Value::Guid(b)) => Some(a.cmp(b)),
        (Value::Binary(a), Value::Binary(b)) => Some(a.cmp(b)),
        (Value::Record(a), Value::Record(b)) => {
            let equal = |(a, b): (&Value, &Value)| compare(Comparison::Eq, a, b);
            let same = a.ty == b.ty && a.home == b.home && a.values.iter().zip(&b.values).all(equal);
            same.then_some(Ordering::Equal)
        }
        (Value::Geo(a), Value::Geo(b)) => (a == b).then_some(Ordering::Equal),
        (Value::Collection(a), Value::Collection(b)) => {
            let same = a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| compare(Comparison::Eq, a, b));
            same.then_some(Ordering::Equal)
        }
        _ => numbers(left, right),
    }
}

fn numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => whole_and_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => whole_and_double(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Decimal(b)) => a.partial_cmp(&b.parse().ok()?),
        (Value::Decimal(a), Value::Double(b)) => a.parse::<f64>().ok()?.partial_cmp(b),
        (Value::Int(_) | Value::Decimal(_), Value::Int(_) | Value::Decimal(_)) => {
            match (decimal(left), decimal(right)) {
                (Some(a), Some(b)) => Some(a.order(b)),
                _ => double(left)?.partial_cmp(&double(right)?),
            }
        }
        _ => None,
    }
}

/// Without rounding the whole number, which a double cannot hold beyond 53 bits.
fn whole_and_double(whole: i64, double: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND {
        return Some(Ordering::Less);
    }
    if double < -BEYOND {
        return Some(Ordering::Greater);
    }
    let cut = double.trunc();
    // Not the total order: it would tell the two zeros apart.
    whole.cmp(&(cut as i64)).then(cut.partial_cmp(&double)?).into()
}

/// A number as decimal.
pub(super) fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::Int(number) => Some(Decimal::whole(*number)),
        Value::Decimal(digits) => Decimal::parse(digits),
        _ => None,
    }
}

/// A number as double.
pub(super) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        Value::Decimal(digits) => digits.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_types_compare_without_loss() {
        let decimal = |text: &str| Value::Decimal(text.into());
        let less = |a: &Value, b: &Value| compare(Comparison::Lt, a, b) && compare(Comparison::Gt, b, a);
        assert!(less(&Value::Int(9_007_199_254_740_992), &Value::Int(9_007_199_254_740_993)));
        assert!(less(&Value::Double(9_007_199_254_740_992.0), &Value::Int(9_007_199_254_740_993)));
        assert!(less(&Value::Int(2), &Value::Double(2.5)) && less(&Value::Double(-2.5), &Value::Int(-2)));
        assert!(less(&Value::Int(i64::MAX), &Value::Double(f64::INFINITY)));
        assert!(less(&decimal("0.1"), &decimal("0.10000000000000000001")));
        assert!(compare(Comparison::Eq, &decimal("2.50"), &Value::Double(2.5)));
        assert!(!compare(Comparison::Eq, &Value::Double(f64::NAN), &Value::Double(f64::NAN)));
        assert!(compare(Comparison::Eq, &Value::Double(-0.0), &Value::Int(0)));
    }

    #[test]
    fn null_sorts_first_then_what_is_no_number() {
        let mut values = [Value::Int(1), Value::Double(f64::NAN), Value::Null, Value::Double(-1.5)];
        values.sort_by(order);
        assert_eq!(values[0], Value::Null);
        assert_eq!(values[2..], [Value::Double(-1.5), Value::Int(1)]);
    }
}
