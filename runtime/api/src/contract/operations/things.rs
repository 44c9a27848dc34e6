//! Connections, points, pages, health, webhooks and OData.

use super::super::operation::{JSON, Operation, Schemas, operation};
use super::{AFTER, LIMIT, limit, number, text};
use crate::adapters::Adapters;
use crate::connections::{Connections, ShownConnection, Tested};
use crate::health::{Health, Readiness};
use crate::journal::JournalLines;
use crate::limits::TAP_MAX_S;
use crate::metrics;
use crate::points::{LatestPage, PointAndLatest, PointsPage};
use crate::write::ShownWritten;
use serde_json::{Value, json};

/// An answer of a golden file, which a test holds against a real one; of its lists the first two items.
macro_rules! golden {
    ($name:literal) => {{
        let whole = include_str!(concat!("../../../tests/api/golden/", $name, ".json"));
        $crate::contract::operations::things::shortened(serde_json::from_str(whole).expect("JSON"))
    }};
}
pub(super) use golden;

/// The same with at most two items in each list.
pub(super) fn shortened(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().take(2).map(shortened).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, shortened(value))).collect(),
        other => other,
    }
}

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = connections(schemas);
    all.extend(points(schemas));
    all.extend(pages());
    all.extend(operations(schemas));
    all.extend(webhooks());
    all.extend(odata());
    all
}

fn connections(schemas: &mut Schemas) -> Vec<Operation> {
    let ndjson = json!({ "application/x-ndjson": {
        "schema": { "type": "string" },
        "example": "{\"adapter\":\"modbus-registers\",\"connection\":\"boiler\",\"kind\":\"tap\"}\n",
    } });
    let kinds = json!({ "type": "string", "enum": ["calls", "frames", "readings", "faults"] });
    vec![
        operation(
            "connections",
            "GET",
            "/api/v1/connections",
            "listConnections",
            "All connections with state, counters and faults",
        )
        .gives::<Connections>(schemas, 200, "Every connection.", golden!("connections")),
        operation("connections", "GET", "/api/v1/connections/{connection}", "getConnection", "One connection")
            .gives::<ShownConnection>(schemas, 200, "The connection.", golden!("connection"))
            .problem(404, &["no-such-connection"]),
        operation(
            "connections",
            "POST",
            "/api/v1/connections/{connection}/test",
            "testConnection",
            "Whether a connection works",
        )
        .about("Of one that is on whether it and its transports work; one that is off is put up for its adapter's own check.")
        .gives::<Tested>(
            schemas,
            200,
            "What was found.",
            json!({ "message": "boiler is running and its transports are up", "ok": true }),
        )
        .problem(404, &["no-such-connection"]),
        operation(
            "connections",
            "GET",
            "/api/v1/adapters",
            "listAdapters",
            "Adapters of the gateway's folder, judged as it judges them",
        )
        .gives::<Adapters>(schemas, 200, "By name.", adapters()),
        operation(
            "connections",
            "GET",
            "/api/v1/connections/{connection}/tap",
            "tapConnection",
            "Look on at a connection, live",
        )
        .about("One JSON object a line, until the client goes or the time is over. Secrets are covered.")
        .queries("show", kinds, "What to show; everything without.")
        .query(
            "for_s",
            json!({ "type": "integer", "minimum": 1, "maximum": TAP_MAX_S }),
            "Ends it after so many seconds.",
        )
        .query("whole", json!({ "type": "boolean" }), "Payloads up to 1 MiB instead of their first 4 KiB.")
        .streams()
        .gives_any("200", "What happens, as it happens.", ndjson)
        .problem(404, &["no-such-connection"]),
    ]
}

fn adapters() -> Value {
    json!({ "adapters": [{
        "id": "bulkhead.modbus-registers", "last_upgrade": null, "name": "modbus-registers", "on_probation": false,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "signed_by": null, "state": "admitted",
        "used_by": ["boiler"], "version": "0.1.0",
    }] })
}

fn points(schemas: &mut Schemas) -> Vec<Operation> {
    let one = "/api/v1/connections/{connection}/points/{point}";
    let row = "/api/v1/connections/{connection}/points/{*point}";
    let written = json!({
        "written": 62.5,
        "read_back": { "seq": 1268, "status": 0, "status_name": "Good", "time": "2026-11-22T01:17:20.432366548Z", "value": 62.5 },
    });
    vec![
        operation("points", "GET", "/api/v1/points", "listPoints", "Points of all connections or of one")
            .query("connection", text(), "Only this connection's.")
            .paged()
            .listed::<PointsPage>(schemas, "Points by their numbers.", golden!("points"))
            .problem(404, &["no-such-connection"]),
        operation("points", "GET", "/api/v1/connections/{connection}/points", "listPointsOfConnection", "Points of a connection")
            .paged()
            .listed::<PointsPage>(schemas, "Points by their numbers.", golden!("points"))
            .problem(404, &["no-such-connection"]),
        operation("points", "GET", one, "getPoint", "A point with its last reading")
            .at(row)
            .gives::<PointAndLatest>(schemas, 200, "The point.", golden!("point"))
            .problem(404, &["no-such-connection", "no-such-point"]),
        operation("points", "POST", one, "writePoint", "Write a value to a point")
            .at(row)
            .about(
                "The value as JSON has it, or as one types it. Answered when the device has taken it and was asked again. After \
                 504 nobody knows whether it has.",
            )
            .once()
            .takes_any(json!({ JSON: { "schema": write_body(), "example": { "value": 62.5 } } }))
            .gives::<ShownWritten>(schemas, 200, "What was written and what the device said afterwards.", written)
            .problem(400, &["bad-body"])
            .problem(404, &["no-such-connection", "no-such-point"])
            .problem(409, &["not-writable", "missing-role"])
            .problem(413, &["body-too-large"])
            .problem(415, &["media-type"])
            .problem(422, &["bad-value"])
            .problem(502, &["device-refused", "adapter-crashed"])
            .problem(503, &["not-running"]),
        operation("points", "GET", "/api/v1/latest", "listLatest", "The last readings of all connections or of one")
            .query("connection", text(), "Only this connection's.")
            .query("after", number(), AFTER)
            .query("limit", limit(), LIMIT)
            .listed::<LatestPage>(schemas, "Readings by the numbers of their points.", golden!("latest"))
            .problem(404, &["no-such-connection"]),
    ]
}

fn write_body() -> Value {
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
        "properties": {
            "value": { "type": ["boolean", "number", "string"], "description": "As JSON has it, by the point's kind." },
            "text": { "type": "string", "description": "As one types it." },
        },
    })
}

fn page(media_type: &str) -> Value {
    json!({ media_type: { "schema": { "type": "string" } } })
}

fn pages() -> Vec<Operation> {
    let html = || page("text/html; charset=utf-8");
    let (script, style) = (|| page("text/javascript; charset=utf-8"), || page("text/css; charset=utf-8"));
    vec![
        operation("pages", "GET", "/", "frontPage", "The front page").gives_any("200", "The page.", html()),
        operation("pages", "GET", "/front-page.js", "frontPageScript", "Its script").gives_any(
            "200",
            "The script.",
            script(),
        ),
        operation("pages", "GET", "/front-page.css", "frontPageStyle", "Its looks").gives_any(
            "200",
            "The style.",
            style(),
        ),
        operation("pages", "GET", "/docs", "docsPage", "This document as a page, with Swagger UI").gives_any(
            "200",
            "The page.",
            html(),
        ),
        operation("pages", "GET", "/docs/{asset}", "docsPageAsset", "What that page needs")
            .conditional()
            .gives_any(
                "200",
                "The file.",
                json!({
                    "text/javascript; charset=utf-8": { "schema": { "type": "string" } },
                    "text/css; charset=utf-8": { "schema": { "type": "string" } },
                    "text/plain; charset=utf-8": { "schema": { "type": "string" } },
                }),
            )
            .with_header("200", "ETag", "Changes with the content.")
            .problem(404, &["no-such-path"]),
        operation("pages", "GET", "/api/v1/openapi.json", "getOpenApi", "This document")
            .conditional()
            .gives_any(
                "200",
                "OpenAPI 3.1.",
                json!({ JSON: { "schema": { "type": "object", "required": ["openapi", "paths"] } } }),
            )
            .with_header("200", "ETag", "Changes with the content."),
    ]
}

fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let openmetrics = json!({ metrics::MEDIA_TYPE: {
        "schema": { "type": "string" },
        "example": "# TYPE bulkhead_clock_trusted gauge\nbulkhead_clock_trusted 1\n# EOF\n",
    } });
    let health = json!({ "status": "ok", "clock": { "trusted": true, "reason": null } });
    vec![
        operation("operations", "GET", "/api/v1/journal", "getJournal", "The journal's last lines")
            .gives::<JournalLines>(
                schemas,
                200,
                "The lines, the oldest first.",
                json!({ "lines": ["2026-11-22T10:12:40Z INFO bulkhead: the gateway runs"] }),
            ),
        operation("operations", "GET", "/metrics", "getMetrics", "Everything that is counted, for Prometheus")
            .gives_any("200", "OpenMetrics text.", openmetrics),
        operation("operations", "GET", "/healthz", "getHealth", "Whether the process answers and the log can commit")
            .gives::<Health>(schemas, 200, "It is well.", health)
            .problem(503, &["log-failed"]),
        operation("operations", "GET", "/readyz", "getReadiness", "Whether every enabled connection is past its start")
            .gives::<Readiness>(schemas, 200, "It is.", json!({ "status": "ready" }))
            .problem(503, &["starting"]),
    ]
}

/// What an adapter is sent and answers can be anything.
fn webhooks() -> Vec<Operation> {
    let methods = [
        ("GET", "getHook", "getHookBelow"),
        ("POST", "postHook", "postHookBelow"),
        ("PUT", "putHook", "putHookBelow"),
        ("PATCH", "patchHook", "patchHookBelow"),
        ("DELETE", "deleteHook", "deleteHookBelow"),
    ];
    let hook = |method: &'static str, path, row, id| {
        let anything = json!({ "*/*": { "schema": {} } });
        let hook = operation("webhooks", method, path, id, "A webhook, answered by the adapter of its connection")
            .at(row)
            .about(
                "Body, query and header fields without credentials go to the adapter of the connection, if it has the role \
                 responder; what it answers comes back once its readings are committed. Which media types it understands, it \
                 says itself.",
            )
            .once()
            .gives_any("default", "What the adapter answers.", anything.clone())
            .problem(400, &["refused"])
            .problem(401, &["bad-signature"])
            .problem(404, &["no-such-connection"])
            .problem(409, &["missing-role"])
            .problem(413, &["body-too-large"])
            .problem(502, &["adapter-crashed", "bad-reply"])
            .problem(503, &["not-running", "not-answered"])
            .own_errors();
        if matches!(method, "POST" | "PUT" | "PATCH") { hook.takes_any(anything) } else { hook }
    };
    let all = methods.into_iter().flat_map(|(method, id, id_below)| {
        [
            hook(method, "/hooks/{connection}", "/hooks/{connection}", id),
            hook(method, "/hooks/{connection}/{path}", "/hooks/{connection}/{*path}", id_below),
        ]
    });
    all.collect()
}

fn odata() -> Vec<Operation> {
    let error = || json!({ JSON: { "schema": { "$ref": "#/components/schemas/ODataError" } } });
    let paths = [
        ("/odata/v4", "/odata/v4", ["odataRoot", "odataRootPost", "odataRootPut", "odataRootPatch", "odataRootDelete"]),
        (
            "/odata/v4/",
            "/odata/v4/",
            ["odataService", "odataServicePost", "odataServicePut", "odataServicePatch", "odataServiceDelete"],
        ),
        ("/odata/v4/{path}", "/odata/v4/{*path}", ["odataGet", "odataPost", "odataPut", "odataPatch", "odataDelete"]),
    ];
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let mut all = vec![
        operation(
            "odata",
            "GET",
            "/odata/v4/$metadata",
            "odataMetadata",
            "What the OData service has: its model as CSDL",
        )
        .at("/odata/v4/{*path}")
        .own_errors()
        .query("$format", json!({ "type": "string", "enum": ["xml", "json"] }), "XML, or JSON.")
        .gives_any(
            "200",
            "The model.",
            json!({ "application/xml": { "schema": { "type": "string" } }, JSON: { "schema": { "type": "object" } } }),
        )
        .gives_any("default", "An error as OData has it.", error()),
    ];
    for (path, row, ids) in paths {
        for (method, id) in methods.into_iter().zip(ids) {
            let summary = if method == "GET" { "Read by OData 4.01" } else { "What OData 4.01 does with this method" };
            let operation = operation("odata", method, path, id, summary)
                .at(row)
                .own_errors()
                .about("`$metadata` describes it; docs/api.md says what it can do.")
                .gives_any("200", "What was asked for.", json!({ "*/*": { "schema": {} } }))
                .gives_any(
                    "default",
                    "An error as OData has it, or what else the standard says.",
                    json!({ "*/*": { "schema": {} } }),
                );
            all.push(match method {
                "GET" | "DELETE" => operation,
                _ => operation.takes_any(json!({ JSON: { "schema": { "type": "object" } }, "multipart/mixed": { "schema": { "type": "string" } } })),
            });
        }
    }
    all
}
