//! `examples/full.toml` says what it promises: it loads as it stands, its commented defaults are the defaults, it shows
//! every key that there is, and the bounds beside a number are those that are enforced. And every example of the project is
//! good with the adapters of the project.

use bulkhead_config::{AdapterLookup, AnyAdapter, Config, Loaded, json_schema, load, parse};
use serde_json::Value;
use std::path::{Path, PathBuf};

const FILE: &str = "examples/full.toml";

fn text() -> String {
    std::fs::read_to_string(FILE).expect("the example")
}

/// The text with `#key = …` taken in, and with `#+ key = …` when `all`.
fn uncommented(all: bool) -> String {
    let line = |line: &str| match (line.strip_prefix("#+ "), line.strip_prefix('#')) {
        (Some(example), _) if all => example.to_owned(),
        (None, Some(default)) if default.starts_with(|c: char| c.is_ascii_lowercase()) => default.to_owned(),
        _ => line.to_owned(),
    };
    text().lines().map(|it| line(it) + "\n").collect()
}

fn config(text: &str) -> Config {
    let loaded = parse(text, Path::new(FILE), &AnyAdapter);
    loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics}")).config
}

#[test]
fn it_loads_as_it_stands_without_a_diagnostic() {
    let Loaded { config, warnings } = load(Path::new(FILE), &AnyAdapter).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(config.base_dir, Path::new("examples"));
    assert_eq!(config.connections["boiler"].settings.to_value()["points"][1]["name"], "pump");
}

#[test]
fn commented_defaults_are_the_defaults() {
    assert_ne!(uncommented(false), text());
    assert_eq!(config(&uncommented(false)), config(&text()));
}

/// The tables that a schema describes, each with its keys: those of a variant include those it takes in.
fn tables<'s>(root: &'s Value, schema: &'s Value, found: &mut Vec<Vec<&'s String>>) {
    match schema {
        Value::Object(keywords) => {
            if let Some(own) = keywords.get("properties").and_then(Value::as_object) {
                let base = keywords.get("$ref").and_then(Value::as_str).and_then(|at| root.pointer(&at[1..]));
                let base = base.and_then(|base| base["properties"].as_object());
                found.push(own.keys().chain(base.into_iter().flat_map(serde_json::Map::keys)).collect());
            }
            keywords.values().for_each(|value| tables(root, value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| tables(root, item, found)),
        _ => {}
    }
}

fn shows(value: &toml::Value, keys: &[&String]) -> bool {
    match value {
        toml::Value::Table(table) => {
            keys.iter().all(|key| table.contains_key(*key)) || table.values().any(|value| shows(value, keys))
        }
        toml::Value::Array(items) => items.iter().any(|item| shows(item, keys)),
        _ => false,
    }
}

#[test]
fn it_shows_every_key() {
    let everything = uncommented(true);
    config(&everything);
    let example = toml::Value::Table(everything.parse().expect("TOML"));
    let schema = json_schema();
    let mut found = Vec::new();
    tables(&schema, &schema, &mut found);
    assert!(found.len() > 30, "only {} tables in the schema", found.len());
    for keys in found {
        assert!(shows(&example, &keys), "no table of the example has all of {keys:?}");
    }
}

/// The bounds that the schema gives each key: `(key, "1 to 5")`.
fn bounds(schema: &Value, found: &mut Vec<(String, String)>) {
    match schema {
        Value::Object(keywords) => {
            for (key, property) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
                if let (Some(min), Some(max)) = (property.get("minimum"), property.get("maximum")) {
                    found.push((key.clone(), format!("{min} to {max}")));
                }
            }
            keywords.values().for_each(|value| bounds(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| bounds(item, found)),
        _ => {}
    }
}

#[test]
fn bounds_beside_numbers_are_those_of_the_schema() {
    let everything = uncommented(true);
    let mut found = Vec::new();
    bounds(&json_schema(), &mut found);
    assert!(found.len() > 40, "only {} bounded keys in the schema", found.len());
    for (key, bounds) in &found {
        let assigns = format!("{key} = ");
        let shown = everything.lines().filter(|line| line.contains(&assigns) && line.contains(bounds)).count();
        let bounded = found.iter().filter(|other| **other == (key.clone(), bounds.clone())).count();
        assert!(shown >= bounded, "`{key}` with {bounds} stands in {shown} lines and in {bounded} tables");
    }
}

/// The adapter of the repository with the schema it carries.
fn of_the_repository(_: &Path, adapter: &str) -> AdapterLookup {
    let file = Path::new("../guest-adapters").join(adapter).join("settings.schema.json");
    match std::fs::read_to_string(&file) {
        Ok(schema) => AdapterLookup::Found(Some(serde_json::from_str(&schema).expect("a JSON Schema"))),
        Err(_) => AdapterLookup::Missing { searched: file, available: Vec::new() },
    }
}

#[test]
fn its_settings_and_transports_are_those_of_the_adapters() {
    let loaded = load(Path::new(FILE), &of_the_repository).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
}

/// What is wrong with a connection to an adapter of the repository that has these settings.
fn wrong_settings(adapter: &str, settings: &str) -> Vec<String> {
    let text = format!("[connections.a]\nadapter = \"{adapter}\"\n[connections.a.settings]\n{settings}\n");
    let found = parse(&text, Path::new("gateway.toml"), &of_the_repository);
    let items = found.err().map(|errors| errors.items).unwrap_or_default();
    items.iter().filter(|item| item.key.starts_with("connections.a.settings")).map(ToString::to_string).collect()
}

#[test]
fn what_the_settings_of_an_adapter_lack_is_found_before_it_starts() {
    let empty = "found a list of 0, expected";
    let points = "expected a table with `points`, or a table with `points_csv`";
    let label = "width_mm = 60\nheight_mm = 40";
    for (adapter, settings, key, sentence) in [
        ("modbus-registers", "", "", &*format!("found an empty table, {points}")),
        ("modbus-registers", "word_order = \"CDAB\"", "", &format!("found a table with `word_order`, {points}")),
        ("modbus-registers", "points = []", ".points", &format!("{empty} at least 1 items")),
        (
            "label-printer",
            label,
            "",
            "found a table with `width_mm`, `height_mm`, expected a table with `texts`, or a table with `qr`",
        ),
        ("label-printer", &format!("{label}\ntexts = []"), ".texts", &format!("{empty} 1 to 50 items")),
        ("mqtt-json", "topics = []", ".topics", &format!("{empty} 1 to 1000 items")),
        ("webhook-json", "hooks = []", ".hooks", &format!("{empty} 1 to 1000 items")),
        ("webhook-any", "hooks = []", ".hooks", &format!("{empty} 1 to 1000 items")),
        ("odata", "entity_set = \"Set\"\nproperties = []", ".properties", &format!("{empty} at least 1 items")),
    ] {
        let expected = format!("connections.a.settings{key}: {sentence}");
        assert_eq!(wrong_settings(adapter, settings), [expected], "{adapter}");
    }
}

#[test]
fn either_of_two_ways_to_say_it_is_enough() {
    let label = "width_mm = 60\nheight_mm = 40";
    let text = "texts = [{ text = \"{order}\", x_mm = 3, y_mm = 3 }]";
    let qr = "qr = { text = \"{order}\", x_mm = 3, y_mm = 3 }";
    let point = "points = [{ name = \"flow\", table = \"holding-register\", address = 1 }]";
    // A list of points of the repository; an empty list beside it was never wrong.
    let csv = "points_csv = \"../guest-adapters/modbus-registers/example-points.csv\"";
    for (adapter, settings) in [
        ("label-printer", format!("{label}\n{text}")),
        ("label-printer", format!("{label}\n{qr}")),
        ("label-printer", format!("{label}\ntexts = []\n{qr}")),
        ("label-printer", format!("{label}\n{text}\n{qr}")),
        ("modbus-registers", point.to_owned()),
        ("modbus-registers", csv.to_owned()),
        ("modbus-registers", format!("points = []\n{csv}")),
        ("modbus-registers", format!("{point}\n{csv}")),
    ] {
        assert_eq!(wrong_settings(adapter, &settings), [""; 0], "{adapter}: {settings}");
    }
    // What is wrong inside of either is found all the same.
    let wrong = wrong_settings("modbus-registers", "points = [{ name = \"flow\", adress = 1 }]");
    assert!(wrong.iter().any(|item| item.starts_with("connections.a.settings.points[0].adress:")), "{wrong:?}");
    let misspelt = wrong_settings("modbus-registers", "pionts = []");
    let named = "connections.a.settings: found a table with `pionts`, expected a table with `points`, or ";
    assert!(misspelt.len() == 1 && misspelt[0].starts_with(named), "{misspelt:?}");
}

/// The configs in a folder.
fn configs(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let files = entries.map(|entry| entry.expect("a folder entry").path());
    files.filter(|file| file.extension().is_some_and(|it| it == "toml")).collect()
}

#[test]
fn every_example_is_good_with_the_adapters_of_the_repository() {
    let files = [configs("examples"), configs("../docs/examples")].concat();
    assert!(files.len() >= 5, "only {files:?}");
    for file in files {
        let loaded = load(&file, &of_the_repository).unwrap_or_else(|errors| panic!("{errors}"));
        // What an example names as a secret is nowhere but on the gateway it is for.
        for warning in &loaded.warnings.items {
            assert!(warning.message.contains("no file now"), "{}: {warning}", file.display());
        }
    }
}

#[test]
fn every_adapter_of_the_repository_says_which_transports_it_wants() {
    let adapters = [
        "http-json",
        "label-printer",
        "modbus-registers",
        "mqtt-json",
        "odata",
        "serial-text",
        "webhook-any",
        "webhook-json",
    ];
    for adapter in adapters {
        let AdapterLookup::Found(Some(schema)) = of_the_repository(Path::new(""), adapter) else {
            panic!("{adapter} has no schema")
        };
        assert!(schema["x-bulkhead-transports"].is_object(), "{adapter}");
        let text = format!(
            "[connections.a]\nadapter = \"{adapter}\"\n[connections.a.transports.devise]\nkind = \"tcp\"\naddress = \"a:1\"\n"
        );
        let errors =
            parse(&text, Path::new("gateway.toml"), &of_the_repository).expect_err("no adapter wants `devise`");
        let refused = errors.items.iter().any(|item| item.key == "connections.a.transports.devise");
        assert!(refused, "{adapter}: {errors}");
    }
}
