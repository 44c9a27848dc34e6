//! The adapter's settings.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The body where the settings give none, and the batch is sent whole.
pub const DEFAULT_BATCH_BODY: &str = r#"{"key": {{ batch.key }}, "route": {{ route }}, "readings": {{ readings }}}"#;
/// The body where the settings give none, and each reading is sent alone.
pub const DEFAULT_READING_BODY: &str = "{{ reading }}";

/// Settings of the adapter `http-json`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[cfg_attr(
    not(target_family = "wasm"),
    schemars(extend("x-bulkhead-transports" = {
        "upstream": { "kinds": ["http"], "required": true, "methods": ["GET", "POST"] }
    }))
)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The method of the requests.
    #[serde(default)]
    pub method: Method,
    /// Path and query below the transport's base URL, a MiniJinja template: `/readings`, `/points/{{ reading.point }}`.
    /// What an expression gives is percent-encoded.
    #[serde(default)]
    pub path: String,
    /// `batch`: one request for a batch. `reading`: one for each reading.
    #[serde(default)]
    pub mode: Mode,
    /// The body, a MiniJinja template. Where the content type is JSON, every expression is written as JSON, texts with
    /// their quotes. Default: see the README.
    #[serde(default)]
    pub body: Option<String>,
    /// The media type of the body. A body of a JSON type is checked before it is sent.
    #[serde(default = "json")]
    pub content_type: String,
    /// Further header fields. Credentials do not belong here but into the transport.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Statuses that mean the server has it: `409`, `200-299`. Default: `200-299`.
    #[serde(default)]
    pub success: Option<Vec<String>>,
    /// Statuses that mean the server will never take it; the readings are given up, one by one, and kept as dead letters.
    /// Any other status is tried again. Default: 400 to 499 but 401, 403, 404, 405, 407, 408, 425 and 429.
    #[serde(default)]
    pub reject: Option<Vec<String>>,
    /// The header field that carries the batch's key, the same at each try; empty: none.
    #[serde(default = "idempotency_key")]
    pub idempotency_header: String,
    /// The method of the check.
    #[serde(default)]
    pub check_method: CheckMethod,
    /// The path the check asks for, below the transport's base URL.
    #[serde(default)]
    pub check_path: String,
}

fn json() -> String {
    "application/json".to_owned()
}

fn idempotency_key() -> String {
    "Idempotency-Key".to_owned()
}

/// A method that takes a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl Method {
    /// It as it goes over the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        }
    }
}

/// A method that changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum CheckMethod {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
}

impl CheckMethod {
    /// It as it goes over the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CheckMethod::Get => "GET",
            CheckMethod::Head => "HEAD",
            CheckMethod::Options => "OPTIONS",
        }
    }
}

/// How many requests a batch becomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One.
    #[default]
    Batch,
    /// One for each reading.
    Reading,
}
