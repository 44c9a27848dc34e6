//! The transports an adapter wants, as its settings schema says, against those that a connection has: one that is
//! missing, one under a name the adapter does not know, one of a kind it cannot use.
//!
//! The schema says it at its root:
//! `"x-bulkhead-transports": { "device": { "kinds": ["modbus-tcp", "modbus-rtu"], "required": true } }`.
//! An adapter whose schema does not is not checked. As the rest of the schema it is not trusted: what in it is not of this
//! shape is passed over.

use crate::Diagnostic;
use crate::tree::{Entry, KeyPath, Value as Toml};
use crate::walk::{did_you_mean, one_of};
use serde_json::{Map, Value};

/// The keyword of the schema.
const KEYWORD: &str = "x-bulkhead-transports";

/// The kinds there are; any other is refused by the schema of the config.
const KINDS: [&str; 6] = ["modbus-tcp", "modbus-rtu", "serial", "tcp", "mqtt", "http"];

/// Checks the transports of a connection against those that its adapter's settings schema names.
pub(crate) fn check(schema: &Value, adapter: &str, connection: &Entry, path: &KeyPath, out: &mut Vec<Diagnostic>) {
    let Some(wanted) = schema.get(KEYWORD).and_then(Value::as_object) else { return };
    let granted = connection.node.get("transports");
    if granted.is_some_and(|node| !matches!(node.value, Toml::Table(_))) {
        return;
    }
    let granted = granted.map(|node| node.entries()).unwrap_or_default();
    for (role, wants) in wanted {
        let required = wants.get("required") == Some(&Value::Bool(true));
        if required && granted.iter().all(|entry| entry.key != *role) {
            out.push(missing(adapter, role, wants, connection, path));
        }
    }
    let path = path.key("transports");
    for entry in granted {
        match wanted.get(&entry.key) {
            Some(wants) => out.extend(wrong_kind(adapter, wants, entry, &path)),
            None => out.push(unknown(adapter, wanted, granted, entry, &path)),
        }
    }
}

fn missing(adapter: &str, role: &str, wants: &Value, connection: &Entry, path: &KeyPath) -> Diagnostic {
    let kind = kinds(wants).map_or_else(String::new, |kinds| format!(" of kind {}", one_of(&kinds)));
    let message =
        format!("found no transport `{role}`, expected one{kind}: the adapter `{adapter}` does not work without it");
    let table = path.key("transports").key(role);
    Diagnostic::error(&connection.key_span, path.clone(), message).hint(format!("it is a table `[{table}]`"))
}

fn unknown(adapter: &str, wanted: &Map<String, Value>, granted: &[Entry], entry: &Entry, path: &KeyPath) -> Diagnostic {
    let expected = if wanted.is_empty() {
        "none".to_owned()
    } else {
        let names: Vec<Value> = wanted.keys().map(|role| role.as_str().into()).collect();
        one_of(&names.iter().collect::<Vec<_>>()).replace('"', "`")
    };
    let message = format!("found a transport that the adapter `{adapter}` does not use, expected {expected}");
    // A role that is there already is not what was meant.
    let absent = wanted.keys().map(String::as_str).filter(|role| granted.iter().all(|other| other.key != *role));
    Diagnostic::error(&entry.key_span, path.key(&entry.key), message)
        .maybe_hint(did_you_mean(&entry.key, &absent.collect::<Vec<_>>()))
}

fn wrong_kind(adapter: &str, wants: &Value, entry: &Entry, path: &KeyPath) -> Option<Diagnostic> {
    let kinds = kinds(wants)?;
    let node = entry.node.get("kind")?;
    let kind = node.text().filter(|kind| KINDS.contains(kind))?;
    if kinds.iter().any(|can| can.as_str() == Some(kind)) {
        return None;
    }
    let message = format!(
        "found {kind:?}, expected {}, the kind of `{}` that the adapter `{adapter}` uses",
        one_of(&kinds),
        entry.key
    );
    Some(Diagnostic::error(&node.span, path.key(&entry.key).key("kind"), message))
}

/// The kinds a transport may have; none where the schema does not say.
fn kinds(wants: &Value) -> Option<Vec<&Value>> {
    let kinds: Vec<&Value> = wants.get("kinds")?.as_array()?.iter().filter(|kind| kind.is_string()).collect();
    (!kinds.is_empty()).then_some(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::read;
    use serde_json::json;

    fn wrong(schema: &Value, connection: &str) -> Vec<String> {
        let read = read(&format!("[c]\n{connection}"));
        assert!(read.diagnostics.is_empty(), "{connection}");
        let mut out = Vec::new();
        let path = KeyPath::of(&["connections", "c"]);
        check(schema, "x", read.root.entry("c").expect("present"), &path, &mut out);
        out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_kinds_are_those_of_the_config() {
        let schema = crate::json_schema();
        let branches = schema["$defs"]["Transport"]["oneOf"].as_array().expect("a branch a kind");
        let kinds: Vec<&str> = branches.iter().filter_map(|it| it["properties"]["kind"]["const"].as_str()).collect();
        assert_eq!(kinds, KINDS);
    }

    #[test]
    fn what_the_schema_does_not_say_is_not_checked() {
        let device = "transports.device.kind = \"mqtt\"\n";
        for schema in [json!(true), json!({}), json!({ KEYWORD: 5 }), json!({ KEYWORD: ["device"] })] {
            assert_eq!(wrong(&schema, device), [""; 0], "{schema}");
        }
        for wants in [json!(5), json!({}), json!({ "kinds": "http" }), json!({ "kinds": [5] }), json!({ "kinds": [] })]
        {
            let schema = json!({ KEYWORD: { "device": wants } });
            assert_eq!((wrong(&schema, device), wrong(&schema, "")), (vec![], vec![]), "{schema}");
        }
        let required = json!({ KEYWORD: { "device": { "required": true } } });
        assert!(wrong(&required, "")[0].contains("expected one: the adapter"), "{:?}", wrong(&required, ""));
    }

    #[test]
    fn what_the_walker_refuses_is_not_refused_again() {
        let schema = json!({ KEYWORD: { "device": { "kinds": ["http"], "required": true } } });
        for said in ["transports = 5", "transports.device = 5", "transports.device.kind = \"htpt\""] {
            assert_eq!(wrong(&schema, said), [""; 0], "{said}");
        }
    }
}
