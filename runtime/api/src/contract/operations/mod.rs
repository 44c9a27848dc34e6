//! What is said of each operation: its name, its parameters with their bounds, its answers, an example, the problems of its own.

mod access;
mod config;
mod delivery;
mod import;
mod readings;
mod things;

use super::operation::{JSON, Operation, Schemas};
use crate::limits::{PAGE_DEFAULT_ROWS, PAGE_MAX_ROWS};
use crate::listing::{CSV, FORMAT, NDJSON, Page, TEXT};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// Groups of operations, in the order of the page.
pub(super) const TAGS: [(&str, &str); 11] = [
    ("connections", "Connections as they are now, and what can be done with them."),
    ("points", "Points, their last readings, and writing to them."),
    ("readings", "The log: history, everything behind a cursor, an event stream, what is missing."),
    ("import", "History from files."),
    ("routes", "Routes, and what could not be delivered."),
    ("config", "The running config and the ways to another one."),
    ("access", "Sessions, users, keys and the audit log."),
    ("operations", "Backups, the journal, health and metrics."),
    ("webhooks", "What others push."),
    ("odata", "The same data as an OData 4.01 service, which describes itself."),
    ("pages", "Pages for people, and this document."),
];

/// All operations.
pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let mut all = things::all(schemas);
    all.extend(readings::all(schemas));
    all.extend(delivery::all(schemas));
    all.extend(import::all(schemas));
    all.extend(config::all(schemas));
    all.extend(access::all(schemas));
    all
}

/// A whole number, 0 or more.
fn number() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
}

/// Rows of a page.
fn limit() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MAX_ROWS, "default": PAGE_DEFAULT_ROWS })
}

/// A position in the log.
fn position() -> Value {
    json!({ "type": "string", "pattern": "^([0-9a-f]{32}-)?[0-9]{1,18}$" })
}

/// A moment in a query.
fn moment() -> Value {
    json!({ "type": "string", "anyOf": [{ "format": "date-time" }, { "pattern": "^-?[0-9]{1,12}$" }] })
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

const LIMIT: &str = "Rows of a page. It also ends after 4 MiB.";
const AFTER: &str = "`next` of the page before.";

impl Operation {
    /// A list that comes as CSV and NDJSON, too.
    fn listed<P: Page + JsonSchema>(self, schemas: &mut Schemas, description: &str, example: Value) -> Self {
        let header = P::COLUMNS.join(",") + "\r\n";
        let schema = schemas.of_answer::<P>();
        let content = json!({
            JSON: { "schema": schema, "example": example },
            CSV: { "schema": { "type": "string" }, "example": header },
            NDJSON: { "schema": { "type": "string" } },
        });
        let forms = json!({ "type": "string", "enum": ["json", "csv", "ndjson"] });
        let texts = json!({ "type": "string", "enum": ["exact", "guarded"], "default": "exact" });
        self.query(FORMAT, forms, "How it is written; without it, what `Accept` likes best.")
            .query(TEXT, texts, "Texts in CSV: as they are, or so that a spreadsheet takes none for a formula.")
            .gives_any("200", description, content)
            .with_header("200", "Link", "Where the next page is (`rel=\"next\"`), if there is one.")
    }

    /// A list in pages.
    fn paged(self) -> Self {
        self.query("after", number(), AFTER).query("limit", limit(), LIMIT).problem(400, &["bad-parameter"])
    }
}
