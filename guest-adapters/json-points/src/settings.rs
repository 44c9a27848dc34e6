//! The settings that say which places of a payload are points. Adapters take them into their own by [`with_mapping`].

use crate::Encoding;
use bulkhead_sdk::Kind;
use serde::Deserialize;

/// Defines a settings struct that has the keys of a mapping beside its own, and `mapping()` to get them. Spelt out in one
/// struct rather than flattened, so that a misspelt key is refused and an error names the whole path to it.
#[macro_export]
macro_rules! with_mapping {
    ($(#[$attribute:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, serde::Deserialize)]
        #[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($own)*
            /// The points. Empty: every number, text and boolean of the payload becomes a point named by its path; numbers
            /// are then of type real.
            #[serde(default)]
            pub points: Vec<$crate::PointSettings>,
            /// The elements of an array of objects, a path that ends in `[*]`: `$.measurements[*]`. The paths of `points`,
            /// `name_path`, `value_path` and `time_path` then begin at an element.
            #[serde(default)]
            pub each: Option<String>,
            /// Only with `each`: where an element names itself. With `value_path` it is the point's name; without, it
            /// stands before the name of each of the element's points: `pump1.temp`.
            #[serde(default)]
            pub name_path: Option<String>,
            /// Only with `each` and `name_path`: where an element has its value. `points` then lists, by `path`, the names
            /// that are taken, with their types and units; without `points` every name is.
            #[serde(default)]
            pub value_path: Option<String>,
            /// Only with `each`: where an element has its time, written as `time` says. In an element without it the time of
            /// the payload counts; where there is none either, its readings get BadNoData unless `time.optional` is set.
            #[serde(default)]
            pub time_path: Option<String>,
            /// The time of the payload. Absent: the moment it arrived.
            #[serde(default)]
            pub time: Option<$crate::TimeSettings>,
            /// How the text is encoded: `utf-8`, `cp1251` or `latin-1`.
            #[serde(default)]
            pub encoding: $crate::Encoding,
        }

        impl $name {
            /// The keys of the mapping.
            #[must_use]
            pub fn mapping(&self) -> $crate::Mapping {
                $crate::Mapping {
                    points: self.points.clone(),
                    each: self.each.clone(),
                    name_path: self.name_path.clone(),
                    value_path: self.value_path.clone(),
                    time_path: self.time_path.clone(),
                    time: self.time.clone(),
                    encoding: self.encoding,
                }
            }
        }
    };
}

/// Which values of a JSON payload are points, and when they were acquired. [`with_mapping`] says what each key means.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "documented where operators read them, in the macro above")]
pub struct Mapping {
    pub points: Vec<PointSettings>,
    pub each: Option<String>,
    pub name_path: Option<String>,
    pub value_path: Option<String>,
    pub time_path: Option<String>,
    pub time: Option<TimeSettings>,
    pub encoding: Encoding,
}

/// One place that is a point.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PointSettings {
    /// Where its value is: `$.motor.temp`, `motor.temp`, `sensors[0].value`, `$` for the whole payload.
    pub path: String,
    /// Its name. Default: the path without `$.`.
    #[serde(default)]
    pub name: Option<String>,
    /// The type of its values.
    #[serde(default, rename = "type")]
    pub kind: PointType,
    /// Unit of measure, such as `°C`.
    #[serde(default)]
    pub unit: Option<String>,
    /// A number is multiplied by this; only with type real.
    #[serde(default = "one")]
    pub scale: f64,
    /// Then this is added; only with type real.
    #[serde(default)]
    pub offset: f64,
    /// Whether payloads may leave it out. A missing value then gives no reading; otherwise one with the status BadNoData.
    #[serde(default)]
    pub optional: bool,
    /// Only with type time: how it is written, as in `time`. Default: rfc3339.
    #[serde(default)]
    pub format: Option<String>,
    /// Only with type time: the IANA time zone of a time without an offset.
    #[serde(default)]
    pub zone: Option<String>,
    /// What it means, for people.
    #[serde(default)]
    pub description: Option<String>,
}

fn one() -> f64 {
    1.0
}

/// The type of a point's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PointType {
    /// A 64-bit float; also from a text such as `"21.5"`.
    #[default]
    Real,
    /// A whole number of 64 bits.
    Integer,
    /// `true`, `false`, 1, 0, and the texts `true`, `false`, `on`, `off`, `1`, `0`.
    Boolean,
    /// A text.
    Text,
    /// A decimal number kept digit by digit.
    Decimal,
    /// A moment.
    Time,
}

impl PointType {
    /// The kind of the point that is declared.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            PointType::Real => Kind::Real,
            PointType::Integer => Kind::Integer,
            PointType::Boolean => Kind::Boolean,
            PointType::Text => Kind::Text,
            PointType::Decimal => Kind::Decimal,
            PointType::Time => Kind::Time,
        }
    }
}

/// Where the time of a payload is and how it is written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TimeSettings {
    /// Where it is. May be left out where `time_path` alone is used.
    #[serde(default)]
    pub path: Option<String>,
    /// `rfc3339`, `unix-s`, `unix-ms`, `unix-us`, `unix-ns`, or a pattern such as `%d.%m.%Y %H:%M:%S`.
    #[serde(default = "rfc3339")]
    pub format: String,
    /// The IANA time zone of a time without an offset, such as `Europe/Berlin`. Default: patterns are UTC, and an
    /// RFC 3339 time without an offset is refused.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether payloads may leave it out. The moment of arrival then counts; otherwise the readings get BadNoData.
    #[serde(default)]
    pub optional: bool,
}

fn rfc3339() -> String {
    "rfc3339".to_owned()
}
