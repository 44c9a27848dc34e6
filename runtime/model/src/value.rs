//! Values: what a reading or a command carries.

use crate::Kind;
use std::fmt;

/// A file as a value.
#[derive(Clone, PartialEq, Debug)]
pub struct File {
    /// The file's name without a path.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Its content.
    pub data: Vec<u8>,
}

/// A value of one of the nine kinds.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A decimal number as digits.
    Decimal(String),
    /// Text.
    Text(String),
    /// A moment, nanoseconds since the Unix epoch.
    Time(i64),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A file.
    File(Box<File>),
}

/// Why a text is not a value of a kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ValueError {
    /// The text.
    pub text: String,
    /// What was expected, with an article.
    pub expected: &'static str,
}

impl Value {
    /// The kind it is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Value::Boolean(_) => Kind::Boolean,
            Value::Integer(_) => Kind::Integer,
            Value::Real(_) => Kind::Real,
            Value::Decimal(_) => Kind::Decimal,
            Value::Text(_) => Kind::Text,
            Value::Time(_) => Kind::Time,
            Value::Duration(_) => Kind::Duration,
            Value::Bytes(_) => Kind::Bytes,
            Value::File(_) => Kind::File,
        }
    }

    /// It as a number, for limits and conversions: booleans are 0 and 1, decimals are parsed, the rest has none.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Boolean(value) => Some(f64::from(u8::from(*value))),
            #[expect(clippy::cast_precision_loss, reason = "the nearest number is what limits and conversions need")]
            Value::Integer(value) | Value::Time(value) | Value::Duration(value) => Some(*value as f64),
            Value::Real(value) => Some(*value),
            Value::Decimal(text) => text.parse().ok(),
            Value::Text(_) | Value::Bytes(_) | Value::File(_) => None,
        }
    }

    /// A value of a kind from text, as a person types it. Times and durations are whole nanoseconds, bytes hexadecimal.
    ///
    /// # Errors
    /// [`ValueError`] with what was expected; files cannot be typed.
    pub fn parse(kind: Kind, text: &str) -> Result<Value, ValueError> {
        let wrong = |expected| ValueError { text: text.to_owned(), expected };
        match kind {
            Kind::Boolean => match text {
                "true" | "1" | "on" => Ok(Value::Boolean(true)),
                "false" | "0" | "off" => Ok(Value::Boolean(false)),
                _ => Err(wrong("a boolean: true, false, on, off, 1 or 0")),
            },
            Kind::Integer => text.parse().map(Value::Integer).map_err(|_| wrong("a whole number")),
            Kind::Real => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Real(number)),
                _ => Err(wrong("a number")),
            },
            Kind::Decimal if is_decimal(text) => Ok(Value::Decimal(text.to_owned())),
            Kind::Decimal => Err(wrong("a decimal number such as -12.50")),
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Time => text.parse().map(Value::Time).map_err(|_| wrong("a time in nanoseconds since 1970")),
            Kind::Duration => text.parse().map(Value::Duration).map_err(|_| wrong("a duration in nanoseconds")),
            Kind::Bytes => {
                parse_hex(text).map(Value::Bytes).ok_or_else(|| wrong("an even number of hexadecimal digits"))
            }
            Kind::File => Err(wrong("a value that can be typed: it is a file")),
        }
    }
}

/// Digits with an optional sign and an optional fraction.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// As a person reads it: bytes as hexadecimal digits, a file as its name and size.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => value.fmt(f),
            Value::Integer(value) | Value::Time(value) | Value::Duration(value) => value.fmt(f),
            Value::Real(value) => value.fmt(f),
            Value::Decimal(text) | Value::Text(text) => text.fmt(f),
            Value::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Value::File(file) => write!(f, "{} ({} bytes)", file.name, file.data.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_text_becomes_a_value_of_its_kind_or_says_what_was_expected() {
        assert_eq!(Value::parse(Kind::Boolean, "on"), Ok(Value::Boolean(true)));
        assert_eq!(Value::parse(Kind::Integer, "-3"), Ok(Value::Integer(-3)));
        assert_eq!(Value::parse(Kind::Decimal, "-12.50"), Ok(Value::Decimal("-12.50".into())));
        assert_eq!(Value::parse(Kind::Bytes, "0aFF"), Ok(Value::Bytes(vec![10, 255])));
        for (kind, text) in [(Kind::Real, "NaN"), (Kind::Decimal, "1."), (Kind::Bytes, "abc"), (Kind::Integer, "1.5")] {
            let error = Value::parse(kind, text).unwrap_err();
            assert_eq!(error.text, text);
        }
    }
}
