//! The adapter's settings.

use serde::Deserialize;

/// Most entries of `hooks`.
pub(crate) const HOOKS_MAX: usize = 1_000;

/// Settings of the adapter `webhook-json`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = {}))
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which paths take payloads, and how they are read. A payload is read by every entry that matches its path. At least one.
    #[cfg_attr(not(target_family = "wasm"), schemars(length(min = 1, max = 1000)))]
    pub hooks: Vec<HookSettings>,
}

bulkhead_json_points::with_mapping! {
    /// The payloads of some paths. A payload that is an array of objects is read element by element.
    pub struct HookSettings {
        /// The path below the connection's own. `+device` stands for one part of it, `#rest` at the end for all further
        /// ones: `/`, `/telemetry`, `/+device/telemetry`.
        #[cfg_attr(not(target_family = "wasm"), schemars(extend("examples" = ["/telemetry"])))]
        pub path: String,
        /// How its points are named: `{path}` is the point's own name, `{device}` what `+device` stood for, `{1}` what the
        /// first wildcard stood for. Default: what the wildcards stood for, then the point's own name, with dots between.
        #[serde(default)]
        pub name: Option<String>,
    }
}
