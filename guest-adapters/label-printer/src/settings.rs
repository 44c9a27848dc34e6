//! The adapter's settings, as its config writes them.

use serde::Deserialize;

/// Most texts of a label.
pub(crate) const TEXTS_MAX: usize = 50;
/// Longest side of a label.
pub(crate) const SIDE_MAX_MM: f64 = 1000.0;

/// Settings of the adapter `label-printer`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(
        extend("x-bulkhead-transports" = { "printer": { "kinds": ["tcp"], "required": true } }),
        extend("anyOf" = [
            { "type": "object", "required": ["texts"], "properties": { "texts": { "minItems": 1 } } },
            { "type": "object", "required": ["qr"], "properties": { "qr": {} } }
        ])
    )
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Width of the label.
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1.0, max = 1000.0), extend("examples" = [60.0])))]
    pub width_mm: f64,
    /// Its height, in the direction in which it comes out.
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1.0, max = 1000.0), extend("examples" = [40.0])))]
    pub height_mm: f64,
    /// How finely the printer prints: 6, 8 (203 dpi), 12 (300 dpi) or 24 (600 dpi).
    #[serde(default = "dots_per_mm")]
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("enum" = [6, 8, 12, 24])))]
    pub dots_per_mm: u8,
    /// Lines of text. Where there is no `qr`, at least one.
    #[serde(default)]
    #[cfg_attr(not(target_family = "wasm"), schemars(length(max = 50)))]
    pub texts: Vec<TextSettings>,
    /// A QR code.
    #[serde(default)]
    pub qr: Option<QrSettings>,
    /// How many of each label.
    #[serde(default = "one")]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1, max = 99)))]
    pub copies: u8,
    /// Whether the printer is asked before each label whether it can print; without it, a label that is sent to a printer
    /// without paper waits in the printer, or is lost.
    #[serde(default = "yes")]
    pub ask_status: bool,
}

/// A line of text.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TextSettings {
    /// What is printed. `{order}` stands for a field of the webhook's JSON or of the reading, `{item.name}` for one inside of
    /// another; `{{` and `}}` are braces.
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = ["{order}"])))]
    pub text: String,
    /// From the left edge.
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = [5.0])))]
    pub x_mm: f64,
    /// From the top edge to the top of the text.
    #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = [5.0])))]
    pub y_mm: f64,
    /// Height of the letters.
    #[serde(default = "text_height_mm")]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1.0, max = 100.0)))]
    pub height_mm: f64,
}

/// A QR code.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct QrSettings {
    /// What stands in it, with fields as in `texts`.
    pub text: String,
    /// From the left edge.
    pub x_mm: f64,
    /// From the top edge.
    pub y_mm: f64,
    /// Dots of the side of one of its squares.
    #[serde(default = "module_dots")]
    #[cfg_attr(not(target_family = "wasm"), schemars(range(min = 1, max = 10)))]
    pub module_dots: u8,
    /// How much of it may be lost and it can still be read.
    #[serde(default)]
    pub correction: Correction,
}

/// How much of a QR code may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// 7 %.
    Low,
    /// 15 %.
    #[default]
    Medium,
    /// 25 %.
    Quarter,
    /// 30 %.
    High,
}

fn dots_per_mm() -> u8 {
    8
}

fn one() -> u8 {
    1
}

fn yes() -> bool {
    true
}

fn text_height_mm() -> f64 {
    4.0
}

fn module_dots() -> u8 {
    5
}
