//! The API's contract: an OpenAPI 3.1 document, made from the table of what each path needs, from the types that requests and
//! answers are, from the bounds of the code and from what `operations` says of each. Only tests are built with it: they hold
//! it against the committed `docs/openapi.json` (which `UPDATE_GOLDEN=1` writes), and that is what the gateway serves.

mod operation;
mod operations;
mod shapes;

pub(crate) use shapes::*;

use crate::access::scheme::COOKIE_TLS;
use crate::access::table::ENDPOINTS;
use operation::{Operation, Schemas};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ABOUT: &str = "The HTTP face of a Bulkhead gateway. What it is for and how to use it: docs/api.md.\n\nEvery operation with GET takes \
    HEAD, too. Methods that a path does not take are answered with 405, paths that are not there with 404 (401 to \
    strangers), both as problems (RFC 9457). Members may be added to answers and to problems; clients ignore those that they do \
    not know. An unknown query parameter is an error.";

/// The document.
fn document() -> Value {
    let mut schemas = Schemas::new();
    let operations = operations::all(&mut schemas);
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let (path, method) = (operation.path, operation.method.to_lowercase());
        let at = paths.entry(path).or_insert_with(|| json!({}));
        let before = at.as_object_mut().expect("made above").insert(method.clone(), operation.described());
        assert!(before.is_none(), "{method} {path} stands twice");
    }
    let responses = shared_responses(&mut paths);
    let mut named = schemas.into_named();
    named.insert("Problem".into(), problem());
    named.insert("ODataError".into(), odata_error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bulkhead",
            "version": "v1",
            "description": ABOUT,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/", "description": "The gateway that this document came from." }],
        "tags": operations::TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
        "paths": paths,
        "components": { "schemas": named, "responses": responses, "headers": headers(), "securitySchemes": security_schemes() },
    })
}

/// Takes problems that several operations can end in out of them, to stand once.
fn shared_responses(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let key = |status: &str, response: &Value| {
        (status.to_owned(), response["description"].as_str().unwrap_or_default().to_owned())
    };
    let is_problem = |response: &Value| {
        response
            .pointer("/content")
            .and_then(Value::as_object)
            .is_some_and(|content| content.keys().eq(["application/problem+json"]))
    };
    for_each_response(paths, |status, response| {
        if is_problem(response) {
            *counts.entry(key(status, response)).or_default() += 1;
        }
    });
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = BTreeMap::new();
    for ((status, description), _) in counts.iter().filter(|(_, count)| **count > 1) {
        let number = numbers.entry(status).or_default();
        *number += 1;
        names.insert((status.clone(), description.clone()), format!("Problem{status}.{number}"));
    }
    let mut shared = Map::new();
    for_each_response(paths, |status, response| {
        let Some(name) = names.get(&key(status, response)).filter(|_| is_problem(response)) else { return };
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        shared.insert(name.clone(), std::mem::replace(response, reference));
    });
    shared
}

fn for_each_response(paths: &mut Map<String, Value>, mut visit: impl FnMut(&str, &mut Value)) {
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for responses in operations.filter_map(|operation| operation["responses"].as_object_mut()) {
        responses.iter_mut().for_each(|(status, response)| visit(status, response));
    }
}

fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "Names the request: a problem has it in `instance`, the journal in the line about what was not served, the \
                audit log in `request`.",
            "required": true,
            "schema": { "type": "string", "pattern": "^[0-9a-f]{8}-[0-9]+$" },
        },
        "RetryAfter": { "description": "After how many seconds to try again.", "schema": { "type": "integer", "minimum": 1 } },
    })
}

fn security_schemes() -> Value {
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "A token of the config, or one of an issuer (JWT).",
        },
        "apiKey": {
            "type": "http", "scheme": "bearer", "bearerFormat": "bk_…",
            "description": "An API key: `bulkhead key create`, or `POST /api/v1/keys`.",
        },
        "basic": {
            "type": "http", "scheme": "basic",
            "description": "User name and password, over TLS or on the gateway itself only.",
        },
        "session": {
            "type": "apiKey", "in": "cookie", "name": COOKIE_TLS,
            "description": "A session of a browser: `POST /api/v1/login`. What changes something also needs the header X-CSRF-Token \
                with the `csrf_token` of the login. Without TLS the cookie has another name.",
        },
        "mutualTLS": { "type": "mutualTLS", "description": "A client certificate that the config maps to a role." },
    })
}

/// The file that is committed and served.
fn committed() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[test]
fn the_committed_document_is_what_the_code_says() {
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(committed(), made).unwrap();
        return;
    }
    let found = std::fs::read_to_string(committed()).unwrap_or_default();
    assert!(found == made, "docs/openapi.json is not what the code says: write it with UPDATE_GOLDEN=1");
}

#[test]
fn every_row_of_the_table_has_its_operations_and_no_operation_is_without_a_row() {
    let mut schemas = Schemas::new();
    let of = |operation: &Operation| (operation.row, operation.method);
    let described: BTreeSet<_> = operations::all(&mut schemas).iter().map(of).collect();
    let taken: BTreeSet<_> = ENDPOINTS
        .iter()
        .flat_map(|endpoint| endpoint.methods.iter().map(|(method, _)| (endpoint.path, *method)))
        .collect();
    assert_eq!(described, taken, "runtime/api/src/contract/operations has what runtime/api/src/access/table.rs has");
}

#[test]
fn operations_have_names_of_their_own_and_every_reference_leads_somewhere() {
    let mut schemas = Schemas::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in operations::all(&mut schemas) {
        *counts.entry(operation.id).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let document = document();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 30, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').expect("of this document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[test]
fn types_of_other_crates_have_the_members_that_their_shapes_say() {
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut schemas = Schemas::new();
    schemas.of_answer::<AppliedShape>();
    let named = schemas.into_named();
    let wrong = bulkhead_config::parse("[api]\nlisten = 1\n", Path::new("gateway.toml"), &bulkhead_config::AnyAdapter);
    let diagnostics = wrong.map(|_| ()).unwrap_err();
    let told = bulkhead_engine::Told { part: "connections.a".into(), reason: "new".into() };
    let changes = bulkhead_engine::Reloaded { restarted: vec![told], ..Default::default() };
    let applied = json!(bulkhead_engine::Applied { tag: "t".into(), changes, warnings: diagnostics });
    for (name, pointer) in [
        ("Applied", ""),
        ("Told", "/restarted/0"),
        ("Diagnostics", "/warnings"),
        ("Diagnostic", "/warnings/diagnostics/0"),
    ] {
        let real = applied.pointer(pointer).unwrap_or_else(|| panic!("{pointer} of {applied}"));
        assert_eq!(members(real), members(&named[name]["properties"]), "{name}");
    }
    let clock = json!(bulkhead_engine::ClockStatus { trusted: true, reason: None });
    assert_eq!(members(&clock), BTreeSet::from(["reason".to_owned(), "trusted".to_owned()]), "health::Clock");
}
