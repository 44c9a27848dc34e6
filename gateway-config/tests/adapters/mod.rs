//! Adapters made up for tests, with settings schemas derived from types as real adapters derive theirs.

use bulkhead_config::AdapterLookup;
use schemars::JsonSchema;
use std::path::Path;

/// Settings like those of a register map.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
struct Registers {
    /// Points in the config.
    #[serde(default)]
    points: Vec<Point>,
    /// A CSV file of points.
    #[schemars(extend("format" = "bulkhead-file"))]
    points_csv: Option<String>,
    /// Which word of a long value comes first.
    #[serde(default)]
    word_order: WordOrder,
}

#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema is used")]
struct Point {
    /// Its name.
    #[schemars(length(min = 1, max = 255))]
    name: String,
    /// Where it is.
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    scale: Option<f64>,
}

#[derive(JsonSchema)]
#[serde(tag = "table", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only the schema is used")]
enum Place {
    Coil { address: u16 },
    HoldingRegister { address: u16, r#type: Type },
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the schema is used")]
enum Type {
    U16,
    F32,
    /// Text of this many registers.
    String(u8),
}

#[derive(JsonSchema, Default)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only the schema is used")]
enum WordOrder {
    #[default]
    BigEndian,
    LittleEndian,
}

/// Settings that say nothing of unknown keys, with a list of patterns and a secret.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is used")]
struct Lines {
    /// The expression.
    expression: String,
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    talker: Option<String>,
    #[schemars(extend("format" = "password"))]
    pin: Option<u16>,
    #[schemars(range(max = 10.0), extend("exclusiveMinimum" = 0))]
    factor: Option<f64>,
    range: Option<(f64, f64)>,
}

/// Settings of an adapter that says which transports it wants.
#[derive(JsonSchema)]
#[schemars(extend("x-bulkhead-transports" = {
    "device": { "kinds": ["modbus-tcp", "modbus-rtu"], "required": true },
    "printer": { "kinds": ["tcp"] },
}))]
struct Meter {}

/// Settings of an adapter that wants none.
#[derive(JsonSchema)]
#[schemars(extend("x-bulkhead-transports" = {}))]
struct Hooks {}

/// The names of all.
const NAMES: [&str; 7] =
    ["http-json", "meter", "modbus-registers", "mqtt-json", "odata", "serial-text", "webhook-json"];

/// Looks one up, as the gateway does in its folder.
pub(crate) fn look_up(adapters_dir: &Path, adapter: &str) -> AdapterLookup {
    match adapter {
        "modbus-registers" => AdapterLookup::Found(Some(schemars::schema_for!(Registers).to_value())),
        "serial-text" => AdapterLookup::Found(Some(schemars::schema_for!(Lines).to_value())),
        "meter" => AdapterLookup::Found(Some(schemars::schema_for!(Meter).to_value())),
        "webhook-json" => AdapterLookup::Found(Some(schemars::schema_for!(Hooks).to_value())),
        "http-json" | "mqtt-json" | "odata" => AdapterLookup::Found(None),
        "broken" => {
            AdapterLookup::Unusable { file: "adapters/broken.wasm".into(), reason: "it exports no role".into() }
        }
        _ => AdapterLookup::Missing {
            searched: Path::new(adapters_dir.file_name().unwrap_or_default()).join(format!("{adapter}.wasm")),
            available: NAMES.map(ToOwned::to_owned).to_vec(),
        },
    }
}
