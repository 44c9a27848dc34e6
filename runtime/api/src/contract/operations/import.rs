//! History from files.

use super::super::operation::{Operation, Schemas, operation};
use super::text;
use crate::import::{Imported, ShownImport};
use crate::listing::NDJSON;
use bulkhead_log::IMPORT_ID_MAX_BYTES;
use bulkhead_model::Kind;
use serde_json::{Value, json};

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let progress = json!({
        "bytes": 1830211, "id": "history-2025", "lines": 52561, "readings": 52560, "set_aside": 0, "state": "done",
    });
    vec![
        settings(operation("import", "POST", "/api/v1/import", "importHistory", "Import history from a file"))
            .about(
                "The body is the whole file, however often it is sent: what is in the log already is passed over. What a header and \
                 a parameter can say: docs/api.md.",
            )
            .takes_any(file())
            .gives::<Imported>(schemas, 200, "What came of it.", imported())
            .problem(400, &["bad-body", "bad-parameter"])
            .problem(404, &["no-such-connection"])
            .problem(408, &["body-too-slow"])
            .problem(409, &["import-running", "other-file"])
            .problem(415, &["media-type"])
            .problem(422, &["bad-row", "bad-header", "too-many-bad-rows"])
            .problem(507, &["no-room"]),
        operation("import", "GET", "/api/v1/import/{id}", "getImport", "How far an import is")
            .gives::<ShownImport>(schemas, 200, "How far it is.", progress)
            .problem(404, &["no-such-import"]),
    ]
}

fn settings(operation: Operation) -> Operation {
    let one_of = |names: &[&str]| json!({ "type": "string", "enum": names });
    let id = json!({ "type": "string", "pattern": format!("^[A-Za-z0-9_.-]{{1,{IMPORT_ID_MAX_BYTES}}}$") });
    operation
        .query("id", id, "The import's name; sent again under it, the file goes on where it broke off.")
        .query("connection", text(), "The connection of rows that name none.")
        .query("point", text(), "The point of rows that name none.")
        .query("delimiter", one_of(&["comma", "semicolon", "tab"]), "Between cells; without it, what the header shows.")
        .query("decimal", one_of(&["point", "comma"]), "In numbers.")
        .query("time_format", text(), "How times are written.")
        .query("zone", text(), "The time zone of times that name none.")
        .queries("map", json!({ "type": "string", "pattern": "^.+=.+$" }), "`column=role`: what is in a column.")
        .query("shape", one_of(&["rows", "columns"]), "A reading a row, or a column a point.")
        .query("bad_rows", one_of(&["refuse", "set-aside"]), "What becomes of bad rows.")
        .query(
            "create",
            one_of(&Kind::ALL.map(Kind::name)),
            "The kind of points that are not there yet; without it they are a mistake.",
        )
        .query("dry_run", json!({ "type": "boolean" }), "Nothing is imported, every mistake is told.")
}

fn file() -> Value {
    let header = "time,point,value\n2025-01-01T00:00:00Z,flow_temp,61.5\n";
    let line = "{\"time\":\"2025-01-01T00:00:00Z\",\"point\":\"flow_temp\",\"value\":61.5}\n";
    json!({
        "text/csv": { "schema": { "type": "string" }, "example": header },
        "text/tab-separated-values": { "schema": { "type": "string" } },
        NDJSON: { "schema": { "type": "string" }, "example": line },
    })
}

fn imported() -> Value {
    json!({
        "bad": 0, "bad_rows": [], "bytes": 1830211, "from": "2025-01-01T00:00:00Z", "id": "history-2025", "imported": 52560,
        "known": 0, "lines": 52561, "readings": 52560, "set_aside": 0, "state": "done", "to": "2025-12-31T23:50:00Z",
    })
}
