//! The adapter's settings.

use crate::edm::EdmType;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Most entities in one `$batch`.
pub const BATCH_SIZE_MAX: u32 = 1_000;

/// Settings of the adapter `odata`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = {
        "upstream": { "kinds": ["http"], "required": true, "methods": ["GET", "HEAD", "POST", "PATCH", "PUT"] }
    }))
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The entity set that readings go to, as `$metadata` names it: `Measurements`. A path below the service root is
    /// possible: `Plants('A1')/Measurements`.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1), extend("examples" = ["Measurements"])))]
    pub entity_set: String,
    /// What the properties of an entity are made of, at least one. Each reading becomes one entity.
    #[cfg_attr(
        not(target_family = "wasm"),
        schemars(length(min = 1), extend("examples" = [[
            { "name": "Time", "from": "time", "type": "Edm.DateTimeOffset" },
            { "name": "Value", "from": "value", "type": "Edm.Double" }
        ]]))
    )]
    pub properties: Vec<PropertySettings>,
    /// How entities are sent.
    #[serde(default)]
    pub send: Send,
    /// Only with `send` batch: whether the entities of a `$batch` are one change set, taken or refused together.
    #[serde(default = "yes")]
    pub change_set: bool,
    /// Only with `send` batch: most entities in one `$batch`, 1 to 1000.
    #[serde(default = "default_batch_size")]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1, max = 1000)))]
    pub batch_size: u32,
    /// Whether Edm.Int64 and Edm.Decimal are written as texts, as `IEEE754Compatible=true` in the content type asks, for
    /// services that read numbers as 64-bit floats. Otherwise as numbers with all their digits.
    #[serde(default)]
    pub ieee754_compatible: bool,
    /// Write to the entity that has these keys instead of adding a new one.
    #[serde(default)]
    pub upsert: Option<Upsert>,
    /// Whether the service wants a CSRF token with each change, as SAP's do.
    #[serde(default)]
    pub csrf: bool,
    /// Only with `csrf`: where the token is fetched, below the service root.
    #[serde(default = "root")]
    pub csrf_path: String,
    /// Statuses that mean the service has it. `409` belongs here where keys come from the reading and one that is there
    /// already is the same one. Default: `200-299`.
    #[serde(default)]
    pub success: Option<Vec<String>>,
    /// Statuses that mean the service will never take it. Any other status is tried again. Default: 400 to 499 but 401,
    /// 403, 404, 405, 407, 408, 425 and 429.
    #[serde(default)]
    pub reject: Option<Vec<String>>,
    /// The header field that carries a key that is the same at each try; empty: none.
    #[serde(default = "idempotency_key")]
    pub idempotency_header: String,
    /// Further header fields, such as `sap-client`. Credentials do not belong here but into the transport.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn default_batch_size() -> u32 {
    100
}

fn root() -> String {
    "/".to_owned()
}

fn idempotency_key() -> String {
    "Idempotency-Key".to_owned()
}

/// How entities are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Send {
    /// One request an entity.
    #[default]
    Entity,
    /// `$batch` in JSON (OData 4.01, and services of 4.0 that take it).
    BatchJson,
    /// `$batch` in multipart/mixed (every OData 4 service that has `$batch`).
    BatchMultipart,
}

/// One property of the entities.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PropertySettings {
    /// Its name, as in `$metadata`.
    pub name: String,
    /// What of the reading it holds. Either this or `const`.
    #[serde(default)]
    pub from: Option<Source>,
    /// The same for every entity. Either this or `from`.
    #[serde(default, rename = "const")]
    pub constant: Option<Constant>,
    /// Its type.
    #[serde(rename = "type")]
    pub edm_type: EdmType,
    /// Edm.Decimal: most digits in all. Edm.DateTimeOffset and Edm.TimeOfDay: digits of a second's fraction, 0 to 9,
    /// further ones are cut off; default 3.
    #[serde(default)]
    pub precision: Option<u8>,
    /// Edm.Decimal: most digits after the point; further ones are rounded, halves away from zero. Default: as the value
    /// has them.
    #[serde(default)]
    pub scale: Option<u8>,
}

/// What of a reading a property holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The value; null where there is none.
    Value,
    /// When it was acquired.
    Time,
    /// The point's name.
    Point,
    /// The connection's name.
    Connection,
    /// Its number in the log.
    Seq,
    /// The point's unit; null where it has none.
    Unit,
    /// The OPC UA StatusCode as a number.
    Status,
    /// The status's name: `Good`, `BadTimeout`.
    StatusName,
    /// Whether the status is Good.
    Good,
    /// The route's name.
    Route,
}

/// A value that is the same for every entity.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Constant {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
}

/// Writing to the entity of a key.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Upsert {
    /// The properties that make the key, as `$metadata` lists them. At least one.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1)))]
    pub key: Vec<String>,
    /// PATCH changes the properties that are sent, PUT sets the others to their defaults.
    #[serde(default)]
    pub method: UpsertMethod,
    /// When the service may write.
    #[serde(default)]
    pub condition: Condition,
}

/// The method of an upsert.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum UpsertMethod {
    /// PATCH.
    #[default]
    Patch,
    /// PUT.
    Put,
}

/// When the service may write to the entity of a key (OData 4.01 Part 1 §11.4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// Whether or not it is there: an upsert proper.
    #[default]
    None,
    /// Only if it is there: `If-Match: *`. One that is not there is rejected.
    Exists,
    /// Only if it is not there: `If-None-Match: *`. One that is there is rejected.
    Absent,
}
