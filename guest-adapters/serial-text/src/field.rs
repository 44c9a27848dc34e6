//! A captured text to a value.

use crate::nmea;
use crate::settings::{PointSettings, ValueType};
use bulkhead_sdk::{Kind, Scaling, Status, Value};
use std::collections::BTreeMap;

/// How the text of one point is read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Field {
    value_type: ValueType,
    scaling: Option<Scaling>,
    decimal_comma: bool,
    values: BTreeMap<String, bool>,
}

/// Why a text is no value: the status of the reading, and for a text that should have been one a sentence.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct NoValue {
    /// The status.
    pub(crate) status: Status,
    /// What was expected and what came; none where the device left the field empty.
    pub(crate) reason: Option<String>,
}

impl Field {
    /// Checks that a point's settings hold together.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub(crate) fn new(point: &PointSettings) -> Result<Self, String> {
        let is_number = matches!(point.value_type, ValueType::Real | ValueType::Integer | ValueType::NmeaAngle);
        let scaling = match (point.scale, point.offset) {
            (None, None) => None,
            _ if !is_number => return Err("`scale` and `offset` are for the types real and integer".to_owned()),
            (scale, offset) => Some(
                Scaling::new(scale.unwrap_or(1.0), offset.unwrap_or(0.0))
                    .ok_or("`scale` must be a finite number other than 0, `offset` a finite number")?,
            ),
        };
        if (point.value_type == ValueType::Boolean) == point.values.is_empty() {
            return Err("`values` says which texts are true and false; a boolean needs it, other types do not have it"
                .to_owned());
        }
        Ok(Self {
            value_type: point.value_type,
            scaling,
            decimal_comma: point.decimal_comma,
            values: point.values.clone(),
        })
    }

    /// The kind of its values.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        match self.value_type {
            ValueType::Integer if self.scaling.is_none() => Kind::Integer,
            ValueType::Real | ValueType::Integer | ValueType::NmeaAngle => Kind::Real,
            ValueType::Decimal => Kind::Decimal,
            ValueType::Text => Kind::Text,
            ValueType::Boolean => Kind::Boolean,
        }
    }

    /// The value of a captured text; an empty number is no data.
    ///
    /// # Errors
    /// [`NoValue`].
    pub(crate) fn read(&self, text: &str) -> Result<Value, NoValue> {
        let text = text.trim();
        if self.value_type == ValueType::Text {
            return Ok(Value::Text(text.to_owned()));
        }
        if text.is_empty() || text == "," {
            return Err(NoValue { status: Status::BAD_NO_DATA, reason: None });
        }
        let value = match self.value_type {
            ValueType::Boolean => self.values.get(text).copied().map(Value::Boolean),
            ValueType::NmeaAngle => nmea::angle(text).map(|angle| Value::Real(self.scaled(angle))),
            ValueType::Decimal => self.digits(text).and_then(|digits| decimal(&digits)).map(Value::Decimal),
            ValueType::Integer if self.scaling.is_none() => {
                self.digits(text).and_then(|digits| digits.parse().ok()).map(Value::Integer)
            }
            ValueType::Real | ValueType::Integer => self.real(text),
            ValueType::Text => None,
        };
        value.ok_or_else(|| NoValue {
            status: Status::BAD_DECODING_ERROR,
            reason: Some(format!("expected {}, got `{text}`", self.expected())),
        })
    }

    fn real(&self, text: &str) -> Option<Value> {
        let digits = self.digits(text)?;
        let number = match self.value_type {
            ValueType::Integer => digits.parse::<i64>().ok()? as f64,
            _ => digits.parse::<f64>().ok()?,
        };
        let value = self.scaled(number);
        value.is_finite().then_some(Value::Real(value))
    }

    fn scaled(&self, number: f64) -> f64 {
        self.scaling.map_or(number, |scaling| scaling.apply(number))
    }

    /// A number with a decimal point and without spaces; none for a text with anything but signs, digits, one decimal mark and
    /// an exponent. Words such as `inf` and `nan` are no numbers here.
    fn digits(&self, text: &str) -> Option<String> {
        let mark = if self.decimal_comma { ',' } else { '.' };
        let allowed = |character: char| character.is_ascii_digit() || "+-eE".contains(character) || character == mark;
        let digits: String = text.chars().filter(|character| *character != ' ').collect();
        if !digits.chars().all(allowed) || digits.matches(mark).count() > 1 {
            return None;
        }
        let digits = digits.replace(',', ".");
        digits.parse::<f64>().ok().map(|_| digits)
    }

    fn expected(&self) -> String {
        match self.value_type {
            ValueType::Boolean => {
                format!("one of {}", self.values.keys().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", "))
            }
            ValueType::NmeaAngle => "an angle such as `4807.038,N`".to_owned(),
            ValueType::Integer => "a whole number".to_owned(),
            _ if self.decimal_comma => "a number with a decimal comma".to_owned(),
            _ => "a number with a decimal point".to_owned(),
        }
    }
}

/// A decimal number as the gateway writes it: a minus or no sign, digits on both sides of the point, no exponent.
fn decimal(digits: &str) -> Option<String> {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    (!digits.contains(['e', 'E'])).then(|| format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(json: serde_json::Value) -> Field {
        let mut settings = serde_json::json!({ "name": "a" });
        settings.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        Field::new(&serde_json::from_value(settings).unwrap()).unwrap()
    }

    #[test]
    fn texts_become_values_of_their_type() {
        for (json, text, value) in [
            (serde_json::json!({}), "+00123.4", Value::Real(123.4)),
            (serde_json::json!({}), "-   12.5", Value::Real(-12.5)),
            (serde_json::json!({}), "1.5E3", Value::Real(1500.0)),
            (serde_json::json!({"decimal_comma": true}), " 12,5", Value::Real(12.5)),
            (serde_json::json!({"scale": 0.1}), "3", Value::Real(0.3)),
            (serde_json::json!({"type": "integer"}), "+0042", Value::Integer(42)),
            (serde_json::json!({"type": "integer", "scale": 0.01, "offset": 1}), "150", Value::Real(2.5)),
            (serde_json::json!({"type": "decimal"}), "-12.50", Value::Decimal("-12.50".into())),
            (serde_json::json!({"type": "decimal"}), "+ .5", Value::Decimal("0.5".into())),
            (serde_json::json!({"type": "decimal"}), "7.", Value::Decimal("7".into())),
            (serde_json::json!({"type": "text"}), " AB 7 ", Value::Text("AB 7".into())),
            (
                serde_json::json!({"type": "boolean", "values": {"ON": true, "OFF": false}}),
                "OFF",
                Value::Boolean(false),
            ),
        ] {
            assert_eq!(field(json.clone()).read(text), Ok(value.clone()), "{json} {text}");
            assert_eq!(field(json).kind(), value.kind());
        }
    }

    #[test]
    fn what_is_no_value_is_bad_and_says_why() {
        for (json, text, part) in [
            (serde_json::json!({}), "12,5", "a number with a decimal point, got `12,5`"),
            (serde_json::json!({}), "nan", "got `nan`"),
            (serde_json::json!({}), "inf", "got `inf`"),
            (serde_json::json!({}), "1.2.3", "got `1.2.3`"),
            (serde_json::json!({}), "1e999", "got `1e999`"),
            (serde_json::json!({"decimal_comma": true}), "1.5", "decimal comma"),
            (serde_json::json!({"type": "decimal"}), "1e3", "got `1e3`"),
            (serde_json::json!({"type": "integer"}), "1.5", "a whole number"),
            (serde_json::json!({"type": "integer"}), "99999999999999999999", "a whole number"),
            (serde_json::json!({"type": "boolean", "values": {"ON": true, "OFF": false}}), "on", "one of `OFF`, `ON`"),
        ] {
            let none = field(json).read(text).unwrap_err();
            assert_eq!(none.status, Status::BAD_DECODING_ERROR);
            assert!(none.reason.as_deref().unwrap().contains(part), "{none:?} ≠ {part}");
        }
        assert_eq!(field(serde_json::json!({})).read("  "), Err(NoValue { status: Status::BAD_NO_DATA, reason: None }));
    }

    proptest! {
        #[test]
        fn numbers_written_out_come_back(number: f64) {
            prop_assume!(number.is_finite());
            prop_assert_eq!(field(serde_json::json!({})).read(&number.to_string()), Ok(Value::Real(number)));
            let comma = number.to_string().replace('.', ",");
            prop_assert_eq!(field(serde_json::json!({"decimal_comma": true})).read(&comma), Ok(Value::Real(number)));
        }

        #[test]
        fn no_text_is_taken_for_a_number_that_is_not_finite(text in "\\PC{0,12}") {
            if let Ok(Value::Real(number)) = field(serde_json::json!({})).read(&text) {
                prop_assert!(number.is_finite());
            }
        }
    }
}
