//! Values from Rust's types, and their kinds.

use crate::{Kind, Value};
use std::fmt;

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

    /// It as a number: booleans are 0 and 1, decimals are parsed, the rest has none.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Boolean(value) => Some(f64::from(u8::from(*value))),
            Value::Integer(value) | Value::Time(value) | Value::Duration(value) => Some(*value as f64),
            Value::Real(value) => Some(*value),
            Value::Decimal(text) => text.parse().ok(),
            Value::Text(_) | Value::Bytes(_) | Value::File(_) => None,
        }
    }
}

impl Kind {
    /// Its name in lower case, as in WIT and in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Real => "real",
            Kind::Decimal => "decimal",
            Kind::Text => "text",
            Kind::Time => "time",
            Kind::Duration => "duration",
            Kind::Bytes => "bytes",
            Kind::File => "file",
        }
    }
}

/// As a person reads it: times and durations in nanoseconds, bytes as hexadecimal digits, a file as its name and size.
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

macro_rules! from {
    ($case:ident: $($rust:ty),*) => {
        $(impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Value::$case(value.into())
            }
        })*
    };
}

from!(Boolean: bool);
from!(Integer: i8, i16, i32, i64, u8, u16, u32);
from!(Real: f32, f64);
from!(Text: &str, String);
from!(Bytes: Vec<u8>, &[u8]);
