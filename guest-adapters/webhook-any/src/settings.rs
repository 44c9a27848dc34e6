//! The adapter's settings.

use serde::Deserialize;

/// Most entries of `hooks`.
pub(crate) const HOOKS_MAX: usize = 1_000;

/// Settings of the adapter `webhook-any`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = {}))
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which paths take what, and how it is read. A body is read by every entry that matches its path and takes its media type.
    /// At least one.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1, max = 1000)))]
    pub hooks: Vec<HookSettings>,
}

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An XML document. Elements are objects, `$.root.element`, attributes `@name` in them, an element's text is `#text` where it
    /// has attributes or elements beside it. Names are without their prefixes; values are texts.
    Xml,
    /// The fields of a form, urlencoded or multipart: `$.field`, a text each. A file of a multipart form is an object with
    /// `name`, `media_type`, `bytes` (its length) and, where it is UTF-8, `text`.
    Form,
    /// Anything: the whole body is a reading of type file, of the point that `name` names.
    Bytes,
}

/// What is answered instead of the usual.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnswerSettings {
    /// Its media type.
    pub media_type: String,
    /// What is answered once the readings are committed. `{readings}` is their number, `{problems}` what was wrong with single
    /// values; both are escaped for XML or JSON where the media type is one.
    pub taken: String,
    /// What is answered with status 400 to a body of which nothing could be used; `{error}` is the reason. Default: as `taken`.
    #[serde(default)]
    pub refused: Option<String>,
    /// The status of `taken`, 200 to 299.
    #[serde(default = "ok")]
    pub status: u16,
}

fn ok() -> u16 {
    200
}

bulkhead_json_points::with_mapping! {
    /// The bodies of some paths.
    pub struct HookSettings {
        /// The path below the connection's own. `+device` stands for one part of it, `#rest` at the end for all further
        /// ones: `/`, `/telemetry`, `/+device/telemetry`. With the format `bytes` a plain path.
        #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = ["/telemetry"])))]
        pub path: String,
        /// What the bodies are.
        pub format: crate::settings::Format,
        /// How its points are named: `{path}` is the point's own name, `{device}` what `+device` stood for, `{1}` what the
        /// first wildcard stood for. Default: what the wildcards stood for, then the point's own name, with dots between. With
        /// the format `bytes` the name of its one point.
        #[serde(default)]
        pub name: Option<String>,
        /// What is answered instead of the usual: XML to XML, JSON to the others.
        #[serde(default)]
        pub answer: Option<crate::settings::AnswerSettings>,
    }
}
