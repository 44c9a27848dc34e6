//! Shapes that answers have and types do not say: values, moments, names of kinds, states, roles and counters, taken from the
//! code that makes them; and of types of other crates, which do not describe themselves.

use crate::access::password::{PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS};
use bulkhead_config::ApiRole;
use bulkhead_engine::{CountersSnapshot, Phase};
use bulkhead_log::GapReason;
use bulkhead_model::Kind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, json};

/// A moment as answers have it.
pub(crate) fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "examples": ["2026-01-31T08:30:00.25Z"] })
}

/// A moment or null.
pub(crate) fn moment_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "format": "date-time", "examples": ["2027-01-01T00:00:00Z"] })
}

/// A value of any kind (module `json`), or null.
pub(crate) fn value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": "By the kind of the point: boolean, integer and real as JSON has them (a real that is no number as \
            \"NaN\", \"INF\" or \"-INF\"), decimal as its digits in a text, text, time as RFC 3339, duration as ISO 8601, bytes \
            as hexadecimal digits, a file as an object. Null where there is none.",
        "anyOf": [
            { "type": ["boolean", "number", "string", "null"] },
            {
                "type": "object",
                "required": ["name", "media_type", "size_bytes", "data"],
                "properties": {
                    "name": { "type": "string" },
                    "media_type": { "type": "string" },
                    "size_bytes": { "type": "integer", "minimum": 0 },
                    "data": { "type": "string", "contentEncoding": "base64" },
                },
            },
        ],
    })
}

/// Names of kinds.
pub(crate) fn kind(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": Kind::ALL.map(Kind::name) })
}

/// Where connections and routes are in their lives.
pub(crate) fn phase(_: &mut SchemaGenerator) -> Schema {
    let all = [
        Phase::Disabled,
        Phase::Starting,
        Phase::Running,
        Phase::Waiting(String::new()),
        Phase::Failed(String::new()),
        Phase::Stopped,
    ];
    json_schema!({ "type": "string", "enum": all.map(|phase| phase.name()) })
}

/// Names of roles.
pub(crate) fn role(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ApiRole::ALL.map(ApiRole::name) })
}

/// Why readings are missing.
pub(crate) fn gap_reason(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": GapReason::ALL.map(GapReason::code) })
}

/// The counters of a connection.
pub(crate) fn counters(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = CountersSnapshot::default().named().into_iter().map(|(name, _)| name).collect();
    let properties: Map<_, _> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": "integer", "minimum": 0 }))).collect();
    json_schema!({
        "type": "object",
        "description": "Counted since the gateway started.",
        "properties": properties,
        "required": names,
    })
}

/// What may be written to a point.
pub(crate) fn write_limits(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["object", "null"],
        "required": ["min", "max"],
        "properties": {
            "min": { "type": ["number", "null"], "description": "Lowest number accepted; null: no bound." },
            "max": { "type": ["number", "null"], "description": "Highest number accepted; null: no bound." },
        },
    })
}

/// The name of a user or key.
pub(crate) fn account_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 64 })
}

/// A password.
pub(crate) fn password(_: &mut SchemaGenerator) -> Schema {
    let (min, max) = (PASSWORD_MIN_CHARS, PASSWORD_MAX_BYTES);
    json_schema!({ "type": "string", "format": "password", "minLength": min, "maxLength": max })
}

/// A mistake of a config: `bulkhead_config::Diagnostic`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Diagnostic")]
pub(crate) struct DiagnosticShape {
    /// `error` or `warning`.
    severity: String,
    /// From 1; 0 when the text could not be read at all.
    line: usize,
    /// From 1, in characters; 0 when the text could not be read at all.
    column: usize,
    /// Where in the config; empty for the file as a whole.
    key: String,
    /// What is wrong.
    message: String,
    /// What to do about it.
    hint: Option<String>,
}

/// A config that was taken up: `bulkhead_engine::Applied`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Applied")]
pub(crate) struct AppliedShape {
    /// Names the running config.
    tag: String,
    /// New parts, such as `connections.boiler`.
    added: Vec<String>,
    /// Parts that are gone.
    removed: Vec<String>,
    /// Parts that ended and began anew.
    restarted: Vec<ToldShape>,
    /// Parts that went on and noticed nothing.
    kept: Vec<String>,
    /// Connections among the new and restarted that did not start.
    failed: Vec<ToldShape>,
    /// Keys whose change takes effect at the next start only.
    needs_restart: Vec<String>,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// What is doubtful about it.
    warnings: DiagnosticsShape,
}

/// A part and what there is to say of it: `bulkhead_engine::Told`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Told")]
struct ToldShape {
    /// The part.
    part: String,
    /// Why.
    reason: String,
}

/// `bulkhead_config::Diagnostics`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Diagnostics")]
struct DiagnosticsShape {
    /// The file.
    file: String,
    /// What was found.
    diagnostics: Vec<DiagnosticShape>,
}

/// What a problem is (RFC 9457).
pub(super) fn problem() -> serde_json::Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "Why a request cannot be served (RFC 9457). Some have further members.",
        "required": ["type", "title", "status", "code", "detail", "instance"],
        "properties": {
            "type": { "type": "string", "pattern": "^urn:bulkhead:problem:", "description": "`urn:bulkhead:problem:` and the code." },
            "title": text("The status in words."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "pattern": "^[a-z0-9-]+$", "description": "What it is, for programs." },
            "detail": text("What it is, for people."),
            "instance": {
                "type": "string",
                "pattern": "^urn:bulkhead:request:",
                "description": "`urn:bulkhead:request:` and the id of the request, which the header X-Request-Id has, too. The journal \
                    has a line with it.",
            },
            "near": text("The name that was probably meant."),
            "parameter": text("The query parameter that is wrong."),
            "known": { "type": "array", "items": { "type": "string" }, "description": "The query parameters that are known here." },
            "needed": text("The role that it needs."),
            "fault": text("The code of the adapter's fault."),
        },
    })
}

/// What an error of the OData service is (OData JSON 4.01 §21.1).
pub(super) fn odata_error() -> serde_json::Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": { "code": { "type": "string" }, "message": { "type": "string" }, "target": { "type": ["string", "null"] } },
            },
        },
    })
}
