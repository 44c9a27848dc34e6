//! The JSON Schema of the config file, derived from its types: what editors complete by and the walker checks against.

use crate::Config;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a name of a connection, route, role, poll group or credential looks like.
pub(crate) const NAME_PATTERN: &str = "^[a-z0-9_-]+$";

/// Longest such name in bytes.
const NAME_MAX_BYTES: usize = 64;

/// Whether a text is such a name.
pub(crate) fn is_name(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=NAME_MAX_BYTES).contains(&text.len()) && text.bytes().all(may)
}

/// The schema of such a name.
pub(crate) fn name() -> Value {
    json!({ "minLength": 1, "maxLength": NAME_MAX_BYTES, "pattern": NAME_PATTERN })
}

/// The JSON Schema (draft 2020-12) of the config file. Keys that it does not name are mistakes; secrets are `writeOnly`.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>().to_value();
    let mut bases = BTreeSet::new();
    find_bases(&schema, &mut bases);
    close(&mut schema);
    for (name, definition) in schema.get_mut("$defs").and_then(Value::as_object_mut).into_iter().flatten() {
        if !bases.contains(name) {
            close(definition);
        } else {
            close_inside(definition);
        }
        if name == "Secret" {
            definition["writeOnly"] = true.into();
        }
    }
    schema
}

/// The definitions that a variant takes in beside keys of its own: they cannot refuse unknown keys themselves.
fn find_bases(schema: &Value, bases: &mut BTreeSet<String>) {
    match schema {
        Value::Object(keywords) => {
            if let (Some(Value::String(target)), true) = (keywords.get("$ref"), keywords.contains_key("properties")) {
                bases.extend(target.strip_prefix("#/$defs/").map(ToOwned::to_owned));
            }
            keywords.values().for_each(|value| find_bases(value, bases));
        }
        Value::Array(items) => items.iter().for_each(|item| find_bases(item, bases)),
        _ => {}
    }
}

/// Has every table with named keys refuse others.
fn close(schema: &mut Value) {
    close_inside(schema);
    let Some(keywords) = schema.as_object_mut() else { return };
    let is_table = keywords.get("type").is_some_and(|one| one == "object");
    if is_table && keywords.contains_key("properties") && !keywords.contains_key("additionalProperties") {
        let keyword = if keywords.contains_key("$ref") { "unevaluatedProperties" } else { "additionalProperties" };
        keywords.insert(keyword.to_owned(), false.into());
    }
}

fn close_inside(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    for (keyword, value) in keywords.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(schemas)) => schemas.values_mut().for_each(close),
            ("items" | "additionalProperties", schema) => close(schema),
            ("oneOf" | "anyOf" | "prefixItems", Value::Array(schemas)) => schemas.iter_mut().for_each(close),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every table that names keys, outside of the bases that variants take in.
    fn open_tables(path: &str, schema: &Value, found: &mut Vec<String>) {
        if let Value::Object(keywords) = schema {
            let closed =
                ["additionalProperties", "unevaluatedProperties"].iter().any(|key| keywords.contains_key(*key));
            if keywords.contains_key("properties") && keywords.contains_key("type") && !closed {
                found.push(path.to_owned());
            }
            keywords.iter().for_each(|(key, value)| open_tables(&format!("{path}/{key}"), value, found));
        }
        if let Value::Array(items) = schema {
            items.iter().for_each(|item| open_tables(path, item, found));
        }
    }

    #[test]
    fn only_the_bases_of_transports_are_open() {
        let mut found = Vec::new();
        open_tables("", &json_schema(), &mut found);
        let bases = ["Http", "ModbusRtu", "ModbusTcp", "Mqtt", "Serial", "Tcp"];
        assert_eq!(found, bases.map(|name| format!("/$defs/{name}")));
    }

    #[test]
    fn secrets_are_marked() {
        assert_eq!(json_schema()["$defs"]["Secret"]["writeOnly"], true);
    }
}
