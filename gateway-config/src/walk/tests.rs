//! The walker by keyword: what each refuses, in which words, and that no schema makes it run away.

use super::walk;
use crate::tree::{KeyPath, read};
use serde_json::{Value, json};

/// What is wrong with `v = …` under a schema for `v`, one line each.
fn wrong(schema: &Value, value: &str) -> Vec<String> {
    let read = read(&format!("v = {value}"));
    assert!(read.diagnostics.is_empty(), "{value}: {:?}", read.diagnostics);
    let node = read.root.get("v").expect("present");
    let lines = walk(schema, node, &KeyPath::of(&["v"]))
        .diagnostics
        .into_iter()
        .map(|item| item.hint.iter().fold(item.to_string(), |line, hint| format!("{line} ({hint})")));
    lines.collect()
}

fn fits(schema: &Value, values: &[&str]) {
    for value in values {
        assert_eq!(wrong(schema, value), [] as [&str; 0], "{value}");
    }
}

#[test]
fn numbers_are_bounded_from_both_sides_and_in_steps() {
    let schema = json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 10, "multipleOf": 0.5 });
    fits(&schema, &["0.5", "10", "9.5"]);
    assert_eq!(wrong(&schema, "0"), ["v: found 0, expected a number of at most 10 above 0 in steps of 0.5"]);
    assert_eq!(wrong(&schema, "0.3").len(), 1);
    assert_eq!(wrong(&schema, "10.5").len(), 1);
    let step = json!({ "type": "integer", "multipleOf": 2, "exclusiveMaximum": 9 });
    fits(&step, &["-2", "8"]);
    assert_eq!(wrong(&step, "10"), ["v: found 10, expected a whole number below 9 in steps of 2"]);
}

#[test]
fn integer_formats_are_bounds_and_whole_numbers_have_no_fraction() {
    let schema = json!({ "type": "integer", "format": "uint32" });
    fits(&schema, &["0", "4294967295"]);
    assert_eq!(wrong(&schema, "4294967296"), ["v: found 4294967296, expected a whole number from 0 to 4294967295"]);
    assert_eq!(wrong(&schema, "1.0"), ["v: found 1.0, expected a whole number from 0 to 4294967295"]);
    assert_eq!(wrong(&json!({ "type": "integer", "format": "int8" }), "-129").len(), 1);
    fits(&json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }), &["9223372036854775807"]);
}

#[test]
fn texts_have_lengths_patterns_and_formats() {
    let schema = json!({ "type": "string", "minLength": 2, "maxLength": 3, "pattern": "^ä" });
    fits(&schema, &["\"äöü\"", "\"äb\""]);
    assert_eq!(wrong(&schema, "\"ä\""), ["v: found \"ä\", expected text of 2 to 3 characters that matches `^ä`"]);
    assert_eq!(wrong(&schema, "\"xyz\"").len(), 1);
    for (format, good, bad) in
        [("ipv4", "1.2.3.4", "1.2.3"), ("uri", "a:b", "a b"), ("socket-address", "[::1]:5", "x:5")]
    {
        let schema = json!({ "type": "string", "format": format });
        fits(&schema, &[&format!("{good:?}")]);
        assert_eq!(wrong(&schema, &format!("{bad:?}")).len(), 1, "{format}");
    }
    fits(&json!({ "type": "string", "format": "date-time" }), &["2026-01-31T12:00:00Z"]);
    assert_eq!(wrong(&json!({ "type": "string" }), "2026-01-31"), ["v: found the time 2026-01-31, expected text"]);
    fits(&json!({ "type": "string", "pattern": "(" }), &["\"a pattern that is none bounds nothing\""]);
}

#[test]
fn long_texts_are_cut_in_messages() {
    let line = wrong(&json!({ "type": "integer" }), &format!("\"{}\"", "ü".repeat(500))).concat();
    assert!(line.contains("üüü\"…") && line.chars().count() < 120, "{line}");
}

#[test]
fn lists_have_counts_tuples_and_distinct_items() {
    let schema =
        json!({ "type": "array", "items": { "type": "integer" }, "minItems": 1, "maxItems": 2, "uniqueItems": true });
    fits(&schema, &["[1]", "[1, 2]"]);
    assert_eq!(wrong(&schema, "[]"), ["v: found a list of 0, expected 1 to 2 items"]);
    assert_eq!(wrong(&schema, "[1, 1]"), ["v[1]: found an item that is there already"]);
    assert_eq!(wrong(&schema, "[1, \"a\", 2]").len(), 2);
    let tuple = json!({ "type": "array", "prefixItems": [{ "type": "string" }], "items": { "type": "boolean" } });
    fits(&tuple, &["[\"a\", true]"]);
    assert_eq!(wrong(&tuple, "[true, \"a\"]").len(), 2);
}

#[test]
fn tables_have_required_known_and_counted_keys() {
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string", "description": "What it is called. More." } },
        "patternProperties": { "^x-": { "type": "integer" } },
        "required": ["name"], "additionalProperties": false, "maxProperties": 2,
    });
    fits(&schema, &["{ name = \"a\", x-b = 1 }"]);
    assert_eq!(
        wrong(&schema, "{ nmae = \"a\", x-b = \"c\" }"),
        [
            "v: found no key `name`, expected text (`name`: What it is called)",
            "v.nmae: found a key that is not known here, expected `name` (did you mean `name`?)",
            "v.x-b: found \"c\", expected a whole number",
        ]
    );
    assert_eq!(
        wrong(&schema, "{ name = \"a\", x-b = 1, x-c = 2 }"),
        ["v: found a table of 3 keys, expected at most 2"]
    );
}

#[test]
fn parts_of_all_of_and_references_hold_together() {
    let schema = json!({
        "$defs": { "base": { "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] } },
        "$ref": "#/$defs/base",
        "allOf": [{ "properties": { "b": { "type": "boolean" } } }, { "properties": { "a": { "minimum": 5 } } }],
        "unevaluatedProperties": false,
    });
    fits(&schema, &["{ a = 5, b = true }"]);
    assert_eq!(wrong(&schema, "{ a = 4 }"), ["v.a: found 4, expected a whole number of at least 5"]);
    assert_eq!(wrong(&schema, "{ a = 5, c = 1 }").len(), 1);
}

#[test]
fn branches_are_chosen_by_tag_by_type_and_by_keys() {
    let tagged = |name: &str, key: &str| {
        json!({
            "type": "object", "required": ["kind", key], "additionalProperties": false,
            "properties": { "kind": { "const": name }, key: { "type": "integer" } },
        })
    };
    let schema = json!({ "oneOf": [tagged("one", "a"), tagged("two", "b")] });
    fits(&schema, &["{ kind = \"two\", b = 1 }"]);
    assert_eq!(wrong(&schema, "{ kind = \"two\", b = \"x\" }"), ["v.b: found \"x\", expected a whole number"]);
    assert_eq!(
        wrong(&schema, "{ kind = \"tow\" }"),
        ["v.kind: found \"tow\", expected \"one\" or \"two\" (did you mean `two`?)"]
    );
    assert_eq!(wrong(&schema, "{ b = 1 }"), ["v: found no key `kind`, expected \"one\" or \"two\""]);

    let untagged = json!({ "anyOf": [
        { "type": "string" }, { "type": "null" },
        { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
        { "type": "object", "properties": { "list": { "type": "array" } }, "required": ["list"], "additionalProperties": false },
    ] });
    fits(&untagged, &["\"a\"", "{ file = \"a\" }", "{ list = [] }"]);
    assert_eq!(wrong(&untagged, "{ list = 1 }"), ["v.list: found 1, expected a list"]);
    assert_eq!(wrong(&untagged, "1"), ["v: found 1, expected text, or a table with `file`, or a table with `list`"]);
    assert_eq!(
        wrong(&untagged, "{ fiel = 1 }"),
        ["v: found a table with `fiel`, expected a table with `file`, or a table with `list` (did you mean `file`?)"]
    );
}

#[test]
fn enumerations_spread_over_branches_are_one() {
    let schema = json!({ "anyOf": [
        { "oneOf": [{ "const": "red" }, { "type": "string", "enum": ["green", "blue"] }] },
        { "type": "null" },
    ] });
    fits(&schema, &["\"red\"", "\"blue\""]);
    assert_eq!(
        wrong(&schema, "\"gren\""),
        ["v: found \"gren\", expected one of \"red\", \"green\", \"blue\" (did you mean `green`?)"]
    );
}

#[test]
fn secrets_are_covered_and_not_shown() {
    for schema in [json!({ "type": "string", "format": "password" }), json!({ "type": "string", "writeOnly": true })] {
        let read = read("v = 5");
        let outcome = walk(&schema, read.root.get("v").expect("present"), &KeyPath::default());
        assert_eq!(outcome.secrets.len(), 1);
        assert_eq!(outcome.diagnostics[0].message, "found a number, expected text");
    }
}

#[test]
fn schemas_that_refer_to_themselves_without_end_end() {
    let hostile = [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }, { "type": "object", "required": ["z"] }] }),
        json!({ "allOf": [{ "enum": ["a"] }], "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "anyOf": vec![json!({ "$ref": "#" }); 100] }),
        json!({ "type": "object", "additionalProperties": { "$ref": "#" }, "required": ["z"],
            "oneOf": [{ "$ref": "#" }, { "type": "object", "required": ["y"] }, { "type": "object", "required": ["x"] }] }),
        json!({ "$ref": "#/nowhere" }),
        json!({ "$ref": 5, "oneOf": 5, "properties": 5, "type": 5, "required": 5, "items": 5, "enum": 5, "minimum": "a" }),
    ];
    for schema in hostile {
        for value in ["{ a = { b = { c = {} } } }", "[[1]]", "\"a\"", "1"] {
            let _ = wrong(&schema, value);
        }
    }
}
