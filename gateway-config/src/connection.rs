//! Connections: an adapter with its settings, its transports, its schedule and its limits.

use crate::{LogLevel, Webhook, WhenFull};
use bulkhead_model::transport::Transport;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The poll group of points that name no other; its interval is [`Connection::poll_interval_ms`].
pub const DEFAULT_POLL_GROUP: &str = "default";

/// One running adapter: what it is, what it is told, what it may touch.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The adapter: the name of a file in `adapters_dir`, without `.wasm`.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9_-]+$"))]
    pub adapter: String,
    /// Whether it runs.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// Least important lines of this connection to write; absent: `logging.level`.
    #[serde(default)]
    pub log_level: Option<LogLevel>,
    /// Time between the starts of two polls of the group `default`, in milliseconds.
    #[serde(default = "default_poll_interval_ms")]
    #[schemars(range(min = 10, max = 86_400_000))]
    pub poll_interval_ms: u32,
    /// While a device is down one Bad reading a point is written in this many seconds.
    #[serde(default = "default_heartbeat_s")]
    #[schemars(range(min = 1, max = 86_400))]
    pub heartbeat_s: u32,
    /// What happens to its readings when the log is full; `log.when_full` unless it is given. `refuse` holds even where
    /// the log drops.
    #[serde(default)]
    pub when_full: Option<WhenFull>,
    /// Its readings older than this many seconds are deleted, a segment at a time; absent: `log.retention_max_age_s`.
    #[serde(default)]
    #[schemars(range(min = 60, max = 3_153_600_000_u64))]
    pub retention_max_age_s: Option<u64>,
    /// Whether OData has a set of its name with a row for each time at which it acquired something, and its points beside
    /// each other.
    #[serde(default)]
    pub wide_set: bool,
    /// Poll groups by name, each with an interval of its own.
    #[serde(default)]
    #[schemars(extend("propertyNames" = crate::schema::name()))]
    pub poll_groups: BTreeMap<String, PollGroup>,
    /// The transports granted to it, by the role the adapter gives them, such as `device` or `upstream`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = crate::schema::name()))]
    pub transports: BTreeMap<String, Transport>,
    /// What it may use up.
    #[serde(default)]
    pub limits: Limits,
    /// What others may send to its webhooks, where its adapter has the role responder.
    #[serde(default)]
    pub webhook: Webhook,
    /// What the adapter is told, as its own schema lays it out. Handed over as JSON.
    #[serde(default)]
    #[schemars(with = "serde_json::Value", extend("type" = "object"))]
    pub settings: AdapterSettings,
}

/// An adapter's settings as the JSON text it is handed. Text, because the settings of a large register map take ten times
/// its length as a tree of values. Clones share it; equal settings have equal texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdapterSettings(Arc<str>);

impl AdapterSettings {
    /// The text of a JSON object.
    #[must_use]
    pub fn text(&self) -> Arc<str> {
        self.0.clone()
    }

    /// It as a tree of values.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).expect("it was written as JSON")
    }
}

impl From<&serde_json::Value> for AdapterSettings {
    fn from(value: &serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Default for AdapterSettings {
    fn default() -> Self {
        Self("{}".into())
    }
}

impl<'de> Deserialize<'de> for AdapterSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|value| Self::from(&value))
    }
}

impl Connection {
    /// Time between the starts of two polls of a group, in milliseconds.
    #[must_use]
    pub fn interval_ms(&self, group: &str) -> u32 {
        self.poll_groups.get(group).map_or(self.poll_interval_ms, |group| group.interval_ms)
    }
}

/// A poll group: points that are read together.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollGroup {
    /// Time between the starts of two polls, in milliseconds.
    #[schemars(range(min = 10, max = 86_400_000))]
    pub interval_ms: u32,
}

/// What a connection may use up. Beyond it only the connection itself suffers.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory of one adapter instance, in MiB.
    #[schemars(range(min = 1, max = 1024))]
    pub memory_max_mb: u32,
    /// Longest time the adapter may compute in one call, in milliseconds; waiting for a transport is not counted.
    #[schemars(range(min = 10, max = 60_000))]
    pub call_timeout_ms: u32,
    /// Longest time one host call may take, in milliseconds; raised where a transport's own timeout is longer.
    #[schemars(range(min = 10, max = 600_000))]
    pub host_call_timeout_ms: u32,
    /// Longest time one call of the adapter may take with everything in it, in milliseconds; raised where a single host call
    /// may take longer.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub call_total_timeout_ms: u32,
    /// Calls of transports, of the durable memory and declarations of points in a second; further ones wait for their turn.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_per_s: u32,
    /// Durable memory in KiB; 0: none, and an adapter that imports it does not start.
    #[schemars(range(max = 64))]
    pub state_max_kb: u32,
    /// Lines of the journal it may write in a second; the rest is counted and dropped.
    #[schemars(range(min = 1, max = 1000))]
    pub log_lines_per_s: u32,
    /// Most frames in one call of the listener.
    #[schemars(range(min = 1, max = 10_000))]
    pub frames_per_call_max: u32,
    /// Writes that may wait for the writer; further ones are refused.
    #[schemars(range(min = 1, max = 10_000))]
    pub command_queue_max: u32,
    /// First wait before an adapter that failed is started again, in milliseconds; it doubles each time.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub restart_first_ms: u32,
    /// Longest wait before it is started again, in milliseconds.
    #[schemars(range(min = 10, max = 3_600_000))]
    pub restart_max_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max_mb: 64,
            call_timeout_ms: 2000,
            host_call_timeout_ms: 60_000,
            call_total_timeout_ms: 180_000,
            requests_per_s: 10_000,
            state_max_kb: 64,
            log_lines_per_s: 20,
            frames_per_call_max: 1024,
            command_queue_max: 64,
            restart_first_ms: 500,
            restart_max_ms: 60_000,
        }
    }
}

fn default_true() -> bool {
    true
}
fn default_poll_interval_ms() -> u32 {
    1000
}
fn default_heartbeat_s() -> u32 {
    60
}
