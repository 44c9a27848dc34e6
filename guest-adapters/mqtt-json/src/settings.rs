//! The adapter's settings.

use serde::Deserialize;

/// Most entries of `topics`.
pub(crate) const TOPICS_MAX: usize = 1_000;

/// Settings of the adapter `mqtt-json`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = { "broker": { "kinds": ["mqtt"], "required": true } }))
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which messages are read, and how. A message is read by every entry whose filter matches its topic. At least one.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1, max = 1000)))]
    pub topics: Vec<TopicSettings>,
}

bulkhead_json_points::with_mapping! {
    /// The messages of one topic filter.
    pub struct TopicSettings {
        /// An MQTT topic filter whose wildcards may have names: `plant/+line/+device/telemetry`, `plant/#rest`.
        #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = ["plant/+device/telemetry"])))]
        pub filter: String,
        /// How its points are named: `{path}` is the point's own name, `{line}` what the wildcard `+line` matched, `{1}`
        /// what the first wildcard matched, `{topic}` the whole topic. Default: what the wildcards matched, then the
        /// point's own name, with dots between.
        #[serde(default)]
        pub name: Option<String>,
    }
}
