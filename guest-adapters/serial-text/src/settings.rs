//! The settings of a connection, as its config writes them.

use bulkhead_sdk::text::Encoding;
#[cfg(not(target_family = "wasm"))]
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// Settings of the adapter `serial-text`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = { "device": { "kinds": ["serial", "tcp"], "required": true } }))
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How lines are read: the first pattern that matches a line makes readings of it. At least one.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub patterns: Vec<PatternSettings>,
    /// Lines that match one of these regular expressions and no pattern are expected, and not reported.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Whether lines are NMEA 0183 sentences (`$…*hh`): the checksum is checked and patterns see what stands between `$` or
    /// `!` and `*`.
    #[serde(default)]
    pub nmea: bool,
    /// The encoding of lines.
    #[serde(default)]
    pub encoding: Encoding,
    /// What to send to devices that speak only when asked; one request or a list.
    #[serde(default, deserialize_with = "one_or_many")]
    #[cfg_attr(not(target_family = "wasm"), schemars(with = "OneOrMany"))]
    pub poll: Vec<PollSettings>,
}

/// A regular expression and the points it reads.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PatternSettings {
    /// The regular expression, with named groups: `^ST,GS,(?<weight>[-+ 0-9.]+)kg$`. `\d`, `\w` and `\s` are ASCII;
    /// look-around and back-references are not there.
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = ["^ST,GS,(?<weight>[-+ 0-9.]+)kg$"])))]
    pub regex: String,
    /// The points. At least one.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub points: Vec<PointSettings>,
    /// A group of the expression that says how far the values can be trusted.
    #[serde(default)]
    pub status: Option<StatusSettings>,
    /// The poll group whose requests this pattern's lines answer. Absent: `default` where `poll` is given, else none.
    #[serde(default)]
    pub group: Option<String>,
}

/// One point of a pattern.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PointSettings {
    /// The point's name. Patterns may share a point; its settings must then give the same kind of value.
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = ["weight"])))]
    pub name: String,
    /// The group of the expression that holds the value; absent: the group named like the point.
    #[serde(default)]
    pub capture: Option<String>,
    /// What the text is.
    #[serde(default, rename = "type")]
    pub value_type: ValueType,
    /// The value is the number times this; an integer becomes a real number.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Added after scaling; an integer becomes a real number.
    #[serde(default)]
    pub offset: Option<f64>,
    /// Whether the number has a decimal comma.
    #[serde(default)]
    pub decimal_comma: bool,
    /// For the type `boolean`: texts that are true and texts that are false, such as `{ ON = true, OFF = false }`.
    #[serde(default)]
    pub values: BTreeMap<String, bool>,
    /// Unit of measure, such as `kg`.
    #[serde(default)]
    pub unit: Option<String>,
    /// What it means, for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// What a captured text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ValueType {
    /// A number; spaces, as scales put them between sign and digits, are taken out.
    #[default]
    Real,
    /// A whole number.
    Integer,
    /// A decimal number kept exactly, digit for digit.
    Decimal,
    /// Text, without spaces at its ends.
    Text,
    /// One of `values`.
    Boolean,
    /// An angle as NMEA 0183 writes it, with its hemisphere: `4807.038,N` is 48.1173 degrees. South and west are negative.
    NmeaAngle,
}

/// A flag in the line, and the statuses it stands for.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatusSettings {
    /// The group of the expression that holds the flag.
    pub capture: String,
    /// Flags and the names of their statuses: `{ ST = "Good", US = "Uncertain", OL = "BadOutOfRange" }`. A Bad status goes
    /// without a value.
    pub values: BTreeMap<String, String>,
    /// The status of a flag that is not listed; absent: `Uncertain`.
    #[serde(default)]
    pub otherwise: Option<String>,
}

/// A request to a device that speaks only when asked.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PollSettings {
    /// What to send. `\r`, `\n`, `\t`, `\0`, `\\` and `\x05` stand for bytes; what is not ASCII is sent in the connection's
    /// encoding.
    pub request: String,
    /// The poll group that sends it.
    #[serde(default = "default_group")]
    pub group: String,
    /// Longest wait for the answer in milliseconds; absent: the transport's.
    #[serde(default)]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 10, max = 60_000)))]
    pub timeout_ms: Option<u32>,
}

/// The group of what names none.
pub(crate) const DEFAULT_GROUP: &str = "default";

fn default_group() -> String {
    DEFAULT_GROUP.to_owned()
}

/// How `poll` looks in the schema.
#[cfg(not(target_family = "wasm"))]
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes the setting to the schema, holds none")]
enum OneOrMany {
    One(PollSettings),
    Many(Vec<PollSettings>),
}

/// One request or a list of them, without losing the place of a mistake in either.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PollSettings>, D::Error> {
    struct Requests;

    impl<'de> Visitor<'de> for Requests {
        type Value = Vec<PollSettings>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a request `{ request = \"…\" }` or a list of them")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            PollSettings::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }

    deserializer.deserialize_any(Requests)
}
