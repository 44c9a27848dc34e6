//! Routes: which points go to which sink, under which names, how often, and what is tried again when.

use schemars::JsonSchema;
use serde::Deserialize;

/// A mapping from the points of source connections to one sink connection.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Which points, as patterns `connection/point` with `*` for any run of characters and `?` for one.
    #[schemars(length(min = 1, max = 1000))]
    pub select: Vec<String>,
    /// The sink connection.
    pub to: String,
    /// Whether it runs. A route that is off keeps its cursor.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// Where a route without a cursor begins: `"oldest"`, `"now"`, or a seq.
    #[serde(default)]
    pub from: RouteStart,
    /// The route's former name: a route without a cursor takes over that one's cursor, the batch it has on the way and its
    /// dead letters. Harmless once that is done.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-z0-9_-]+$"))]
    pub renamed_from: Option<String>,
    /// Most readings in one batch.
    #[serde(default = "default_batch_max_readings")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_max_readings: u32,
    /// A batch is sent when its first reading has waited this long, in milliseconds.
    #[serde(default = "default_batch_max_age_ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub batch_max_age_ms: u32,
    /// First wait after a batch was not taken, in milliseconds; it doubles each time, with jitter.
    #[serde(default = "default_retry_first_ms")]
    #[schemars(range(min = 10, max = 3_600_000))]
    pub retry_first_ms: u32,
    /// Longest wait between two tries, in milliseconds.
    #[serde(default = "default_retry_max_ms")]
    #[schemars(range(min = 10, max = 3_600_000))]
    pub retry_max_ms: u32,
    /// How often a reading that the upstream refuses for good is tried before it becomes a dead letter. What follows waits
    /// for these tries, so more than one is for upstreams whose refusals pass by.
    #[serde(default = "default_reject_tries")]
    #[schemars(range(min = 1, max = 10))]
    pub reject_tries: u32,
    /// Most readings sent in a second; it bounds how fast a backlog drains.
    #[serde(default = "default_drain_max_per_s")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub drain_max_per_s: u32,
    /// New names for points. The first rule that matches counts.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub rename: Vec<Rename>,
    /// Linear conversions. The first rule that matches counts.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub convert: Vec<Convert>,
}

impl Route {
    /// [`Route::retry_first_ms`] where the config does not say it.
    pub const RETRY_FIRST_MS: u32 = 1000;

    /// [`Route::retry_max_ms`] where the config does not say it.
    pub const RETRY_MAX_MS: u32 = 60_000;

    /// [`Route::reject_tries`] where the config does not say it: an upstream that refuses for good is taken at its word.
    pub const REJECT_TRIES: u32 = 1;

    /// [`Route::drain_max_per_s`] where the config does not say it: more than a small machine reads.
    pub const DRAIN_MAX_PER_S: u32 = 100_000;
}

/// Where a route without a cursor begins. A route with one goes on behind it, whatever this says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(from = "WrittenStart")]
#[schemars(with = "WrittenStart")]
pub enum RouteStart {
    /// At the oldest reading the log still has.
    #[default]
    Oldest,
    /// At the first reading after the route was made.
    Now,
    /// At the reading of this seq, or the next there is.
    Seq(u64),
}

/// [`RouteStart`] as the config writes it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum WrittenStart {
    Place(StartPlace),
    Seq(#[schemars(range(min = 1))] u64),
}

/// A start with a name.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StartPlace {
    Oldest,
    Now,
}

impl From<WrittenStart> for RouteStart {
    fn from(written: WrittenStart) -> Self {
        match written {
            WrittenStart::Place(StartPlace::Oldest) => RouteStart::Oldest,
            WrittenStart::Place(StartPlace::Now) => RouteStart::Now,
            WrittenStart::Seq(seq) => RouteStart::Seq(seq),
        }
    }
}

/// A new name for the points of a pattern.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// Which points: a pattern `connection/point`.
    pub points: String,
    /// The new name; `$1`, `$2`, … stand for what the first, second, … `*` of the pattern took.
    #[schemars(length(min = 1, max = 255))]
    pub to: String,
}

/// A linear conversion of the points of a pattern: `value × scale + offset`.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// Which points: a pattern `connection/point`.
    pub points: String,
    /// Factor.
    #[serde(default = "default_scale")]
    pub scale: f64,
    /// What is added after the factor.
    #[serde(default)]
    pub offset: f64,
    /// The unit afterwards; absent: the point's own.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub unit: Option<String>,
}

fn default_true() -> bool {
    true
}
fn default_batch_max_readings() -> u32 {
    500
}
fn default_batch_max_age_ms() -> u32 {
    1000
}
fn default_retry_first_ms() -> u32 {
    Route::RETRY_FIRST_MS
}
fn default_retry_max_ms() -> u32 {
    Route::RETRY_MAX_MS
}
fn default_reject_tries() -> u32 {
    Route::REJECT_TRIES
}
fn default_drain_max_per_s() -> u32 {
    Route::DRAIN_MAX_PER_S
}
fn default_scale() -> f64 {
    1.0
}
