//! The running config and the ways to another one.

use super::super::AppliedShape;
use super::super::operation::{Operation, Schemas, operation};
use super::text;
use crate::config::{Checked, ConfigStatus};
use serde_json::{Value, json};

const TOML: &str = "application/toml";

pub(super) fn all(schemas: &mut Schemas) -> Vec<Operation> {
    let toml =
        || json!({ TOML: { "schema": { "type": "string" }, "example": "[api]\nlisten = \"127.0.0.1:8470\"\n" } });
    let sent = |operation: Operation| {
        operation
            .takes_any(toml())
            .problem(400, &["bad-body"])
            .problem(403, &["needs-credential"])
            .problem(413, &["body-too-large"])
            .problem(415, &["media-type"])
    };
    vec![
        operation("config", "GET", "/api/v1/config", "getConfig", "The running config as TOML, secrets covered")
            .gives_any("200", "The config.", toml())
            .with_header("200", "ETag", "Its tag, for If-Match.")
            .problem(404, &["no-config-file"]),
        changed(sent(
            operation("config", "POST", "/api/v1/config", "putConfig", "Take up another config and write it to the file")
                .about("Fetch, change, send with the tag of what was fetched. What is refused leaves the running config as it is.")
                .header("If-Match", text(), "The ETag of the config that it was made from, or `*`. Without it: 428."),
        ), schemas)
            .problem(400, &["bad-if-match"])
            .problem(412, &["outdated-config"])
            .problem(428, &["if-match-needed"]),
        operation("config", "GET", "/api/v1/config/status", "getConfigStatus", "Whether the running config is the one in the file")
            .gives::<ConfigStatus>(schemas, 200, "How they stand to each other.", json!({
                "file": "gateway.toml", "needs_restart": [], "refused": null, "tag": "47a8840bc68faa9df9d5bfdfaa2a0007-4",
            }))
            .problem(404, &["no-config-file"]),
        sent(operation("config", "POST", "/api/v1/config/check", "checkConfig", "Check a config and change nothing"))
            .gives::<Checked>(schemas, 200, "What is wrong with it.", json!({
                "diagnostics": [{
                    "severity": "error", "line": 2, "column": 11, "key": "api.listen", "message": "expected an address",
                    "hint": "such as 127.0.0.1:8470",
                }],
                "ok": false,
                "text": "gateway.toml:2:11: error: api.listen: expected an address (hint: such as 127.0.0.1:8470)\n",
            }))
            .problem(404, &["no-config-file"])
            .problem(409, &["file-edited"])
            .problem(412, &["outdated-config"])
            .problem(422, &["invalid-config"]),
        switched("/api/v1/connections/{connection}/enable", "enableConnection", "Switch a connection on", schemas),
        switched("/api/v1/connections/{connection}/disable", "disableConnection", "Switch a connection off", schemas),
        changed(operation("config", "POST", "/api/v1/config/reload", "reloadConfig", "Have the file read again"), schemas),
        changed(operation("config", "POST", "/api/v1/config/rollback", "rollBackConfig", "Go back to the config before"), schemas)
            .problem(409, &["nothing-before"]),
    ]
}

/// A change of `enabled` of a connection.
fn switched(path: &'static str, id: &'static str, summary: &'static str, schemas: &mut Schemas) -> Operation {
    let about = "Changes `enabled` of the connection in the config and writes that to the file; everything else of its text stays.";
    changed(operation("connections", "POST", path, id, summary).about(about), schemas)
        .problem(403, &["needs-credential"])
        .problem(404, &["no-such-connection"])
        .problem(409, &["not-in-place", "outdated"])
}

/// What all that take up a config have in common.
fn changed(operation: Operation, schemas: &mut Schemas) -> Operation {
    operation
        .gives::<AppliedShape>(schemas, 200, "What it changed.", applied())
        .with_header("200", "ETag", "The tag of the config that runs now.")
        .problem(404, &["no-config-file"])
        .problem(409, &["file-edited"])
        .problem(412, &["outdated-config"])
        .problem(422, &["invalid-config"])
        .problem(500, &["config-file"])
}

fn applied() -> Value {
    json!({
        "added": [], "failed": [], "kept": ["connections.boiler", "routes.to-erp"], "needs_restart": [], "removed": [],
        "restarted": [{ "part": "connections.erp", "reason": "its settings changed" }],
        "tag": "47a8840bc68faa9df9d5bfdfaa2a0007-4", "took_ms": 3,
        "warnings": { "diagnostics": [], "file": "gateway.toml" },
    })
}
