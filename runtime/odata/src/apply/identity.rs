//! What makes values the same for groups and for counting what is distinct, as bytes that can be hashed: looking through all
//! groups for each row would take time by the square of them.

use crate::Value;
use crate::eval::Decimal;
use crate::value::Home;
use std::collections::HashMap;

/// Bytes that are equal for values that are the same, and for no others.
type Identity = Vec<u8>;

/// Places in the order in which their values came first.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    places: HashMap<Identity, usize>,
}

impl Distinct {
    /// The place of values, and whether they are new.
    pub(super) fn place(&mut self, values: &[Value]) -> (usize, bool) {
        let mut identity = Identity::new();
        values.iter().for_each(|value| write(value, &mut identity));
        let next = self.places.len();
        let place = *self.places.entry(identity).or_insert(next);
        (place, place == next)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }
}

/// Each value begins with what kind it is, and those whose length varies say it: no two can run together.
fn write(value: &Value, out: &mut Identity) {
    match value {
        Value::Null => out.push(0),
        Value::Boolean(value) => out.extend([1, u8::from(*value)]),
        Value::Int(number) => whole(*number, out),
        Value::Double(number) => double(*number, out),
        Value::Decimal(digits) => {
            let short = Decimal::parse(digits).map_or_else(|| digits.clone(), |decimal| decimal.to_string());
            match short.parse() {
                Ok(number) => whole(number, out),
                Err(_) => text(4, short.as_bytes(), out),
            }
        }
        Value::String(value) => text(5, value.as_bytes(), out),
        Value::DateTimeOffset(number) => fixed(6, &number.to_le_bytes(), out),
        Value::Duration(number) => fixed(7, &number.to_le_bytes(), out),
        Value::Guid(bytes) => fixed(8, bytes, out),
        Value::Date(days) => fixed(9, &days.to_le_bytes(), out),
        Value::TimeOfDay(number) => fixed(10, &number.to_le_bytes(), out),
        Value::Binary(bytes) => text(11, bytes, out),
        Value::Geo(shape) => text(12, shape.to_string().as_bytes(), out),
        Value::Record(record) => {
            out.push(13);
            out.extend(record.ty.to_le_bytes());
            let (kind, place) = match record.home {
                Home::Set(place) => (0, place),
                Home::Singleton(place) => (1, place),
                Home::None => (2, 0),
            };
            fixed(kind, &place.to_le_bytes(), out);
            record.values.iter().for_each(|value| write(value, out));
        }
        Value::Collection(items) => {
            fixed(14, &items.len().to_le_bytes(), out);
            items.iter().for_each(|item| write(item, out));
        }
    }
}

fn fixed(kind: u8, bytes: &[u8], out: &mut Identity) {
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn text(kind: u8, bytes: &[u8], out: &mut Identity) {
    fixed(kind, &bytes.len().to_le_bytes(), out);
    out.extend_from_slice(bytes);
}

fn whole(number: i64, out: &mut Identity) {
    fixed(2, &number.to_le_bytes(), out);
}

/// A whole number is the same in any type, both zeros are one, and so are all that are no number.
fn double(number: f64, out: &mut Identity) {
    let fits = number.fract() == 0.0 && number.abs() < 9.0e18;
    match number {
        _ if fits => whole(number as i64, out),
        _ if number.is_nan() => fixed(3, &f64::NAN.to_le_bytes(), out),
        _ => fixed(3, &number.to_le_bytes(), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::order;
    use proptest::prelude::*;
    use std::cmp::Ordering;
    use std::sync::Arc;

    fn same(left: &Value, right: &Value) -> bool {
        let mut distinct = Distinct::default();
        distinct.place(std::slice::from_ref(left));
        !distinct.place(std::slice::from_ref(right)).1
    }

    /// Few values of each kind, so that equal ones meet.
    fn value() -> impl Strategy<Value = Value> {
        let plain = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            (-2_i64..3).prop_map(Value::Int),
            prop_oneof![Just(0.0), Just(-0.0), Just(1.0), Just(0.5), Just(f64::NAN), Just(f64::INFINITY), Just(1e300)]
                .prop_map(Value::Double),
            "[a-b]{0,2}".prop_map(Value::String),
            (0_i64..2).prop_map(Value::DateTimeOffset),
            (0_i64..2).prop_map(Value::Duration),
            (0_i32..2).prop_map(Value::Date),
            (0_i64..2).prop_map(Value::TimeOfDay),
            proptest::collection::vec(0_u8..2, 0..2).prop_map(Value::Binary),
            (0_u8..2).prop_map(|byte| Value::Guid([byte; 16])),
        ];
        plain.prop_recursive(2, 6, 3, |inner| {
            proptest::collection::vec(inner, 0..3).prop_map(|items| Value::Collection(Arc::new(items)))
        })
    }

    /// As [`same`], told value by value.
    fn are_the_same(left: &Value, right: &Value) -> bool {
        match (left, right) {
            (Value::Collection(a), Value::Collection(b)) => {
                a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| are_the_same(a, b))
            }
            (Value::Collection(_), _) | (_, Value::Collection(_)) => false,
            (Value::Null, _) | (_, Value::Null) => left == right,
            (Value::Int(_) | Value::Double(_), Value::Int(_) | Value::Double(_)) => {
                let no_number = |value: &Value| matches!(value, Value::Double(number) if number.is_nan());
                no_number(left) == no_number(right) && order(left, right) == Ordering::Equal
            }
            _ => left == right,
        }
    }

    proptest! {
        #[test]
        fn bytes_tell_apart_what_differs_and_nothing_else(left in value(), right in value()) {
            prop_assert_eq!(same(&left, &right), are_the_same(&left, &right), "{:?} {:?}", left, right);
        }
    }

    #[test]
    fn decimals_are_the_same_by_their_number() {
        let decimal = |digits: &str| Value::Decimal(digits.into());
        assert!(same(&decimal("1.50"), &decimal("1.5")) && same(&decimal("2"), &decimal("2.000")));
        assert!(!same(&decimal("1.5"), &decimal("1.51")));
    }

    #[test]
    fn values_beside_each_other_do_not_run_together() {
        let text = |text: &str| Value::String(text.into());
        let mut distinct = Distinct::default();
        assert_eq!(distinct.place(&[text("a"), text("b")]), (0, true));
        assert_eq!(distinct.place(&[text("ab"), text("")]), (1, true));
        assert_eq!((distinct.place(&[text("a"), text("b")]), distinct.count()), ((0, false), 2));
    }
}
