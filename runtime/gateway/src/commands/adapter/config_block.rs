//! A config block for an adapter: a connection with the transports its schema names, the settings that it cannot do without,
//! and the least grants. Values in angle brackets, and example addresses, are for the operator to replace.

use bulkhead_model::printable;
use serde_json::{Map, Value as Json, json};
use std::fmt::Write;

/// Deepest settings that are filled in; schemas may refer to themselves.
const DEPTH_MAX: usize = 16;

/// The block for an adapter of this name.
pub(super) fn config_block(name: &str, roles: &[String], schema: Option<&Json>) -> String {
    let mut block = format!("[connections.{name}]\nadapter = \"{name}\"\n");
    let empty = Json::Null;
    let schema = schema.unwrap_or(&empty);
    let wanted = schema["x-bulkhead-transports"].as_object();
    for (role, transport) in wanted.into_iter().flatten() {
        let kinds: Vec<&str> = transport["kinds"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let Some(kind) = kinds.first() else { continue };
        let required = transport["required"] == true;
        block.push('\n');
        if !required {
            _ = writeln!(block, "# if you need it:");
        }
        _ = writeln!(block, "[connections.{name}.transports.{}]", printable(role));
        let others = printable(&kinds[1..].join(", "));
        let others = if others.is_empty() { String::new() } else { format!("  # or: {others}") };
        _ = writeln!(block, "kind = \"{}\"{others}", printable(kind));
        block.push_str(transport_lines(kind, roles));
        if *kind == "http" {
            block.push_str(&allowed_methods(transport, roles));
        }
    }
    let settings = skeleton(schema, schema, 0);
    if settings.as_object().is_some_and(|settings| !settings.is_empty()) {
        let tables = json!({ "connections": { name: { "settings": on_one_line(settings) } } });
        // A tree of texts, numbers, lists and tables is TOML.
        let text = toml::to_string(&tables).unwrap_or_default();
        _ = write!(block, "\n{text}");
    }
    block
}

/// Settings without line ends in their texts: TOML would write such a text on several lines, which an adapter could fill with
/// what looks like ours.
fn on_one_line(settings: Json) -> Json {
    match settings {
        Json::String(text) => printable(&text).into(),
        Json::Array(items) => items.into_iter().map(on_one_line).collect(),
        Json::Object(members) => {
            members.into_iter().map(|(name, value)| (printable(&name), on_one_line(value))).collect()
        }
        other => other,
    }
}

/// What a transport cannot do without, and its grants: nothing is granted that is not written here.
fn transport_lines(kind: &str, roles: &[String]) -> &'static str {
    let writes = roles.iter().any(|role| role == "writer");
    match kind {
        "serial" => "port = \"/dev/ttyUSB0\"\n",
        "tcp" => "address = \"192.168.1.20:4001\"\n",
        "modbus-tcp" if writes => {
            "address = \"192.168.1.10:502\"\n# nothing may be written without it:\n# allow_write = [\"holding-register:100-120\"]\n"
        }
        "modbus-tcp" => "address = \"192.168.1.10:502\"\n",
        "modbus-rtu" if writes => {
            "port = \"/dev/ttyUSB0\"\n# nothing may be written without it:\n# allow_write = [\"holding-register:100-120\"]\n"
        }
        "modbus-rtu" => "port = \"/dev/ttyUSB0\"\n",
        "mqtt" => {
            "address = \"192.168.1.30:1883\"\nsubscribe = [\"plant/#\"]\n# nothing may be published without it:\n# publish = [\"plant/commands/#\"]\n"
        }
        "http" => {
            "# it reaches this address and what lies below, nothing else\nbase_url = \"https://upstream.example/api\"\n"
        }
        _ => "",
    }
}

/// The grant of the methods that the adapter says it needs; where it says none, a sink needs one that writes.
fn allowed_methods(transport: &Json, roles: &[String]) -> String {
    let said = transport["methods"].as_array().into_iter().flatten().filter_map(Json::as_str);
    let mut methods: Vec<&str> = said.filter(|method| is_method(method)).collect();
    if methods.is_empty() && roles.iter().any(|role| role == "sink") {
        methods.push("POST");
    }
    let quoted: Vec<String> = methods.iter().map(|method| format!("\"{method}\"")).collect();
    if quoted.is_empty() { String::new() } else { format!("allow_methods = [{}]\n", quoted.join(", ")) }
}

/// Whether a text can be one of `allow_methods`.
fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A value for a schema: what it requires, each with its default, its first choice, or a word in angle brackets.
fn skeleton(schema: &Json, root: &Json, depth: usize) -> Json {
    if depth > DEPTH_MAX {
        return Json::Null;
    }
    if let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
        return root.pointer(target).map_or(Json::Null, |target| skeleton(target, root, depth + 1));
    }
    for key in ["example", "const", "default"] {
        if !schema[key].is_null() {
            return schema[key].clone();
        }
    }
    if let Some(first) = schema["examples"].get(0).or_else(|| schema["enum"].get(0)) {
        return first.clone();
    }
    if let (Some(choice), false) = (first_branch(schema), schema["properties"].is_object()) {
        return skeleton(choice, root, depth + 1);
    }
    match schema["type"].as_str().or_else(|| schema["type"].get(0).and_then(Json::as_str)) {
        Some("object") | None if schema["properties"].is_object() => object(schema, root, depth),
        Some("object") => json!({}),
        Some("array") => match schema["minItems"].as_u64().unwrap_or(0) {
            0 if depth > 0 => json!([]),
            _ => json!([skeleton(&schema["items"], root, depth + 1)]),
        },
        Some("integer") => schema["minimum"].as_i64().unwrap_or(1).into(),
        Some("number") => schema["minimum"].as_f64().unwrap_or(1.0).into(),
        Some("boolean") => false.into(),
        _ => "<text>".into(),
    }
}

/// The branch that is filled in where a schema leaves the choice.
fn first_branch(schema: &Json) -> Option<&Json> {
    ["oneOf", "anyOf"].iter().find_map(|key| schema[*key].get(0))
}

/// The keys that a table and its first branch require.
fn object(schema: &Json, root: &Json, depth: usize) -> Json {
    let branch = first_branch(schema).unwrap_or(&Json::Null);
    let keys_of = |schema: &'_ Json| schema["required"].as_array().cloned().unwrap_or_default();
    let required: Vec<Json> = [keys_of(schema), keys_of(branch)].concat();
    let filled = required.iter().filter_map(Json::as_str).map(|key| {
        let property = both(&schema["properties"][key], &branch["properties"][key]);
        let value = match skeleton(&property, root, depth + 1) {
            Json::String(text) if text == "<text>" => format!("<{key}>").into(),
            value => value,
        };
        (key.to_owned(), value)
    });
    Json::Object(filled.filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
}

/// A property as a table and its branch say it together.
fn both(of_table: &Json, of_branch: &Json) -> Json {
    let keywords = [of_table, of_branch].into_iter().filter_map(Json::as_object).flatten();
    Json::Object(keywords.map(|(keyword, value)| (keyword.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_schema_make_no_lines_of_their_own() {
        let schema = json!({
            "type": "object",
            "x-bulkhead-transports": { "a\nsignature": { "kinds": ["tcp\nsignature", "x\nsignature"], "required": true } },
            "required": ["text"],
            "properties": { "text": { "default": "a\nsignature good" } },
        });
        let block = config_block("scale", &[], Some(&schema));
        assert!(block.contains("text = \"a signature good\""), "{block}");
        assert!(!block.lines().any(|line| line.starts_with("signature")), "{block}");
    }

    #[test]
    fn what_is_required_is_filled_in_and_nothing_else() {
        let schema = json!({
            "type": "object",
            "x-bulkhead-transports": { "device": { "kinds": ["serial", "tcp"], "required": true } },
            "required": ["patterns", "unit"],
            "properties": {
                "patterns": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/P" } },
                "unit": { "enum": ["kg", "lb"] },
                "extra": { "type": "string" }
            },
            "$defs": { "P": { "type": "object", "required": ["regex", "n"], "properties": {
                "regex": { "type": "string" }, "n": { "type": "integer", "minimum": 3 } } } }
        });
        let block = config_block("scale", &[], Some(&schema));
        let expected = "[connections.scale]\nadapter = \"scale\"\n\n[connections.scale.transports.device]\n\
                        kind = \"serial\"  # or: tcp\nport = \"/dev/ttyUSB0\"\n\n[connections.scale.settings]\nunit = \"kg\"\n\n\
                        [[connections.scale.settings.patterns]]\nn = 3\nregex = \"<regex>\"\n";
        assert_eq!(block, expected);
    }

    #[test]
    fn of_keys_of_which_one_is_enough_the_first_is_filled_in() {
        let schema = json!({
            "type": "object",
            "required": ["width"],
            "properties": {
                "width": { "type": "integer" },
                "texts": { "type": "array", "items": { "type": "string", "examples": ["{order}"] } },
                "qr": { "type": "string" }
            },
            "anyOf": [{ "required": ["texts"], "properties": { "texts": { "minItems": 1 } } }, { "required": ["qr"] }]
        });
        let block = config_block("labels", &[], Some(&schema));
        assert!(block.ends_with("[connections.labels.settings]\ntexts = [\"{order}\"]\nwidth = 1\n"), "{block}");
    }

    #[test]
    fn an_http_adapter_is_granted_the_methods_that_it_names() {
        let block = |upstream: Json, role: &str| {
            let schema = json!({ "x-bulkhead-transports": { "upstream": upstream } });
            let block = config_block("erp", &[role.to_owned()], Some(&schema));
            block.lines().find(|line| line.starts_with("allow_methods")).map(ToOwned::to_owned)
        };
        let named = json!({ "kinds": ["http"], "required": true, "methods": ["GET", "PATCH", "x\"]\nsigned = 1", 5] });
        assert_eq!(block(named, "poller").as_deref(), Some("allow_methods = [\"GET\", \"PATCH\"]"));
        let unnamed = json!({ "kinds": ["http"], "required": true });
        assert_eq!(block(unnamed.clone(), "sink").as_deref(), Some("allow_methods = [\"POST\"]"));
        assert_eq!(block(unnamed, "poller"), None);
        assert_eq!(block(json!({ "kinds": ["tcp"], "methods": ["GET"] }), "poller"), None);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({ "$ref": "#/$defs/A", "$defs": { "A": {
            "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/A" } } } } });
        assert!(config_block("x", &[], Some(&schema)).starts_with("[connections.x]"));
        assert_eq!(config_block("x", &[], None), "[connections.x]\nadapter = \"x\"\n");
    }
}
