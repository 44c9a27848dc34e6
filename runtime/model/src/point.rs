//! Points: what a connection can say, by name, type and unit.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A point's number in the log. Never reused; a point declared anew with another kind gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PointId(pub u32);

/// The type of a point's values: one for each case of [`crate::Value`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// True or false.
    Boolean,
    /// A whole number of 64 bits.
    Integer,
    /// A 64-bit floating-point number.
    Real,
    /// A decimal number kept as digits.
    Decimal,
    /// Text.
    Text,
    /// A moment.
    Time,
    /// A length of time.
    Duration,
    /// Bytes.
    Bytes,
    /// A file with name and media type.
    File,
}

impl Kind {
    /// Every kind, in the order of their stored numbers.
    pub const ALL: [Kind; 9] = [
        Kind::Boolean,
        Kind::Integer,
        Kind::Real,
        Kind::Decimal,
        Kind::Text,
        Kind::Time,
        Kind::Duration,
        Kind::Bytes,
        Kind::File,
    ];

    /// The number under which the log stores it: its index in [`Kind::ALL`], fixed for ever.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Kind> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Its name in lower case, as in WIT, config and API.
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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What may be written to a point; a missing end is open.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WriteLimits {
    /// Lowest number accepted.
    pub min: Option<f64>,
    /// Highest number accepted.
    pub max: Option<f64>,
}

/// A point as its adapter declares it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PointInfo {
    /// Unique in the connection; 1 to 255 bytes without control characters.
    pub name: String,
    /// The type of its values.
    pub kind: Kind,
    /// Unit of measure.
    pub unit: Option<String>,
    /// The poll group that reads it.
    pub group: Option<String>,
    /// Present when it can be written.
    pub write: Option<WriteLimits>,
    /// What it means, for people.
    pub description: Option<String>,
}

impl PointInfo {
    /// Longest name, in bytes.
    pub const NAME_MAX_BYTES: usize = 255;

    /// A point with a name and a kind and nothing else.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind, unit: None, group: None, write: None, description: None }
    }

    /// Whether a name is one a point may have.
    #[must_use]
    pub fn name_is_valid(name: &str) -> bool {
        !name.is_empty() && name.len() <= Self::NAME_MAX_BYTES && !name.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_of_kinds_go_both_ways() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(Kind::from_number(9), None);
    }
}
