//! The capabilities that an operator grants, and the kinds of transport that grant each; held against the transports that the
//! schema of an adapter's settings names.

use bulkhead_bundle::Surface;
use serde_json::Value as Json;

/// Each capability with the kinds of transport that grant it.
const GRANTED_BY: [(&str, &[&str]); 5] = [
    ("modbus", &["modbus-tcp", "modbus-rtu"]),
    ("serial", &["serial", "tcp"]),
    ("tcp", &["tcp"]),
    ("mqtt", &["mqtt"]),
    ("http", &["http"]),
];

/// The capabilities that need a grant.
pub(crate) fn capabilities() -> impl Iterator<Item = &'static str> {
    GRANTED_BY.into_iter().map(|(capability, _)| capability)
}

/// Checks that each capability which the component imports can be granted by a transport of its settings' schema. A schema
/// without `x-bulkhead-transports`, or with a transport that takes any kind, says nothing of it.
///
/// # Errors
/// In words: what the schema's transports take, and what the import needs.
pub(crate) fn check_transports(schema: &Json, surface: &Surface) -> Result<(), String> {
    let Some(transports) = schema["x-bulkhead-transports"].as_object() else { return Ok(()) };
    let mut taken = Vec::new();
    for (name, transport) in transports {
        let Some(kinds) = transport["kinds"].as_array() else { return Ok(()) };
        taken.push((name, kinds.iter().filter_map(Json::as_str).collect::<Vec<_>>()));
    }
    let imported = surface.capabilities();
    let grants = |kind: &&str| taken.iter().any(|(_, kinds)| kinds.contains(kind));
    let mut ungranted = GRANTED_BY.iter().filter(|(name, kinds)| imported.contains(*name) && !kinds.iter().any(grants));
    let Some((capability, kinds)) = ungranted.next() else { return Ok(()) };
    let mut takes: Vec<String> =
        taken.iter().map(|(name, kinds)| format!("the transport {name} takes {}", kinds.join(", "))).collect();
    if takes.is_empty() {
        takes.push("x-bulkhead-transports names no transport".to_owned());
    }
    let (takes, needs) = (takes.join("; "), kinds.join(" or "));
    Err(format!("settings.schema.json: {takes}; the component imports {capability}, which needs {needs}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use serde_json::json;

    #[test]
    fn an_import_that_no_transport_of_the_schema_can_grant_is_refused() {
        let importing = |names: &[&str]| Surface {
            imports: names.iter().map(|name| format!("bulkhead:adapter/{name}@0.1.0")).collect(),
            ..Surface::default()
        };
        let said = |transports: Json, imports: &[&str]| {
            let schema = json!({ "type": "object", "x-bulkhead-transports": transports });
            check_transports(&schema, &importing(imports)).map_or_else(|error| error, |()| "good".into())
        };
        let device = json!({ "device": { "kinds": ["serial", "tcp"], "required": true } });
        assert_eq!(
            said(device.clone(), &["log", "modbus"]),
            "settings.schema.json: the transport device takes serial, tcp; the component imports modbus, which needs \
             modbus-tcp or modbus-rtu"
        );
        assert_eq!(said(device.clone(), &["log", "points", "serial", "tcp"]), "good");
        assert_eq!(said(json!({ "line": { "kinds": ["tcp"] } }), &["serial"]), "good");
        assert_eq!(said(device, &[]), "good");
        let none = said(json!({}), &["http"]);
        assert!(none.contains("names no transport; the component imports http, which needs http"), "{none}");
        assert_eq!(said(json!({ "device": {} }), &["mqtt"]), "good");
        assert_eq!(check_transports(&json!({}), &importing(&["mqtt"])), Ok(()));
    }

    #[test]
    fn every_capability_that_needs_a_grant_is_known() {
        let assets = Assets::unpacked().unwrap();
        let text = assets.text("wit/capabilities.wit").unwrap();
        let interfaces = text.lines().filter_map(|line| line.strip_prefix("interface ")?.split(' ').next());
        let mut asked: Vec<&str> = interfaces.filter(|name| bulkhead_bundle::is_capability(name)).collect();
        let mut known: Vec<&str> = capabilities().collect();
        asked.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, asked);
    }
}
