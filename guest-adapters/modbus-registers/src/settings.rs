//! The settings of a connection, as its config writes them.

use bulkhead_sdk::WriteLimits;
use bulkhead_sdk::modbus::Table;
use bulkhead_sdk::text::Encoding;
#[cfg(not(target_family = "wasm"))]
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the adapter `modbus-registers`. At least one point, inline or from a list.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(
        extend("x-bulkhead-transports" = { "device": { "kinds": ["modbus-tcp", "modbus-rtu"], "required": true } }),
        extend("anyOf" = [
            { "type": "object", "required": ["points"], "properties": { "points": { "minItems": 1 } } },
            { "type": "object", "required": ["points_csv"], "properties": { "points_csv": {} } }
        ])
    )
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the addresses of the points mean.
    #[serde(default)]
    pub address_style: AddressStyle,
    /// The word order of points that do not name one.
    #[serde(default)]
    pub word_order: WordOrder,
    /// Whether a write to one bit of a register may read the register, change the bit and write the register back. The
    /// device may change its other bits in between, and that change is then lost: hence off unless it is asked for.
    #[serde(default)]
    pub read_modify_write: bool,
    /// The points.
    #[serde(default)]
    pub points: Vec<PointSettings>,
    /// A CSV file with more points: a header row with the names of a point's settings, and `min` and `max`; separated by
    /// commas or semicolons. With semicolons a number may have a decimal comma.
    #[serde(default)]
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("format" = "bulkhead-file")))]
    pub points_csv: Option<String>,
}

/// What an address means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AddressStyle {
    /// As it goes over the wire: the first register is 0.
    #[default]
    ZeroBased,
    /// As many manuals count: the first register is 1.
    OneBased,
    /// A reference number that holds the table too: 40001 or 400001 is the first holding register, 30001 the first input
    /// register, 10001 the first discrete input, 1 the first coil. `table` may then be left out.
    Reference,
}

/// One point of the register map.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("examples" = [{ "name": "temperature", "table": "holding-register", "address": 100 }]))
)]
#[serde(deny_unknown_fields)]
pub struct PointSettings {
    /// The point's name, unique in the connection.
    pub name: String,
    /// The table it is in; it may be left out where the address is a reference number.
    #[serde(default)]
    pub table: Option<TableName>,
    /// The address of its first register or bit; what it means says `address_style`.
    #[cfg_attr(not(target_family = "wasm"), schemars(range(max = 465_536)))]
    pub address: u32,
    /// How the registers hold the value. Absent: `u16` in registers, `bool` for a bit of a register and in the two tables
    /// of bits.
    #[serde(default, rename = "type")]
    pub value_type: Option<ValueType>,
    /// The order of words and bytes, where it is not the connection's.
    #[serde(default)]
    pub word_order: Option<WordOrder>,
    /// The bit of one register that is the value: 0 is the lowest.
    #[serde(default)]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(max = 15)))]
    pub bit: Option<u8>,
    /// Registers of a `string`, two characters each.
    #[serde(default)]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1, max = 125)))]
    pub length: Option<u16>,
    /// The encoding of a `string`.
    #[serde(default)]
    pub encoding: Option<Encoding>,
    /// The value is the register's number times this; the point is then a real number.
    #[serde(default)]
    pub scale: Option<f64>,
    /// Added after scaling; the point is then a real number.
    #[serde(default)]
    pub offset: Option<f64>,
    /// Unit of measure, such as `°C`.
    #[serde(default)]
    pub unit: Option<String>,
    /// The poll group that reads it; absent: `default`.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether it can be written, and within which limits. The transport's `allow_write` must cover it too.
    #[serde(default)]
    pub writable: Writable,
    /// What it means, for people.
    #[serde(default)]
    pub description: Option<String>,
}

/// One of the four tables of a Modbus device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TableName {
    /// One bit, readable and writable.
    Coil,
    /// One bit, readable.
    DiscreteInput,
    /// 16 bits, readable.
    InputRegister,
    /// 16 bits, readable and writable.
    HoldingRegister,
}

impl TableName {
    /// Its name, as in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TableName::Coil => "coil",
            TableName::DiscreteInput => "discrete-input",
            TableName::InputRegister => "input-register",
            TableName::HoldingRegister => "holding-register",
        }
    }

    /// Whether it holds bits, not registers.
    #[must_use]
    pub fn holds_bits(self) -> bool {
        matches!(self, TableName::Coil | TableName::DiscreteInput)
    }

    /// Whether it can be written.
    #[must_use]
    pub fn is_writable(self) -> bool {
        matches!(self, TableName::Coil | TableName::HoldingRegister)
    }

    pub(crate) fn table(self) -> Table {
        match self {
            TableName::Coil => Table::Coil,
            TableName::DiscreteInput => Table::DiscreteInput,
            TableName::InputRegister => Table::InputRegister,
            TableName::HoldingRegister => Table::HoldingRegister,
        }
    }
}

/// How registers hold a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// A bit, or a register that is 0 for false and anything else for true.
    Bool,
    /// One register, unsigned.
    U16,
    /// One register, two's complement.
    I16,
    /// Two registers, unsigned.
    U32,
    /// Two registers, two's complement.
    I32,
    /// Four registers, unsigned. A value above 9,223,372,036,854,775,807 is Bad (out of range) unless it is scaled.
    U64,
    /// Four registers, two's complement.
    I64,
    /// Two registers, IEEE 754 single precision.
    F32,
    /// Four registers, IEEE 754 double precision.
    F64,
    /// Registers of two characters each; the value ends at the first zero byte, spaces at its end are taken off.
    String,
    /// One register of four decimal digits.
    Bcd16,
    /// Two registers of eight decimal digits.
    Bcd32,
}

/// The order in which the bytes of a value come; A is the highest. Values of four registers follow the same two rules: does
/// the highest word come first, and does the high byte of each word come first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
pub enum WordOrder {
    /// High word first, high byte first (64 bits: ABCDEFGH).
    #[default]
    #[serde(rename = "ABCD", alias = "ABCDEFGH")]
    Abcd,
    /// Low word first, high byte first (64 bits: GHEFCDAB).
    #[serde(rename = "CDAB", alias = "GHEFCDAB")]
    Cdab,
    /// High word first, low byte first (64 bits: BADCFEHG).
    #[serde(rename = "BADC", alias = "BADCFEHG")]
    Badc,
    /// Low word first, low byte first (64 bits: HGFEDCBA).
    #[serde(rename = "DCBA", alias = "HGFEDCBA")]
    Dcba,
}

impl WordOrder {
    pub(crate) fn low_word_first(self) -> bool {
        matches!(self, WordOrder::Cdab | WordOrder::Dcba)
    }

    pub(crate) fn low_byte_first(self) -> bool {
        matches!(self, WordOrder::Badc | WordOrder::Dcba)
    }
}

/// Whether a point can be written.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(untagged, expecting = "expected true, false or a table with `min` and `max`")]
pub enum Writable {
    /// Without limits of its own, or not at all.
    Flag(bool),
    /// Within limits.
    Limits(Limits),
}

/// What may be written; a missing end is open.
#[derive(Clone, Copy, PartialEq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Lowest value accepted, scaled.
    #[serde(default)]
    pub min: Option<f64>,
    /// Highest value accepted, scaled.
    #[serde(default)]
    pub max: Option<f64>,
}

impl Default for Writable {
    fn default() -> Self {
        Writable::Flag(false)
    }
}

impl Writable {
    pub(crate) fn limits(self) -> Option<WriteLimits> {
        match self {
            Writable::Flag(false) => None,
            Writable::Flag(true) => Some(WriteLimits { min: None, max: None }),
            Writable::Limits(Limits { min, max }) => Some(WriteLimits { min, max }),
        }
    }
}
