//! Loading as a caller sees it: files in settings, paths, differences, pictures, and texts of any kind.

mod adapters;

use bulkhead_config::{
    AdapterLookup, AnyAdapter, Change, Config, Credential, Edit, LogLevel, Section, Severity, diff, load, parse,
};
use bulkhead_model::transport::{Framing, Transport};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

fn config(text: &str) -> Config {
    parse(text, Path::new("gateway.toml"), &AnyAdapter).unwrap_or_else(|errors| panic!("{errors}")).config
}

#[test]
fn a_whole_config_becomes_values() {
    let text = r#"
        [api]
        listen = "0.0.0.0:0"
        [api.credentials.bi]
        username = "u"
        password = "p"
        [connections.a]
        adapter = "x"
        log_level = "debug"
        poll_groups.fast.interval_ms = 100
        settings = { when = 2026-01-31, deep = [{ f = 1.5 }] }
        [connections.a.transports.line]
        kind = "serial"
        port = "/dev/ttyS0"
        framing = { idle_gap_ms = 20 }
    "#;
    let config = config(text);
    let connection = &config.connections["a"];
    assert_eq!(connection.log_level, Some(LogLevel::Debug));
    assert_eq!((connection.interval_ms("fast"), connection.interval_ms("default")), (100, 1000));
    assert_eq!(connection.settings.to_value(), json!({ "when": "2026-01-31", "deep": [{ "f": 1.5 }] }));
    assert!(matches!(config.api.credentials["bi"], Credential::Password { .. }));
    let Transport::Serial(serial) = &connection.transports["line"] else { panic!("{connection:?}") };
    assert_eq!((serial.line.baud, &serial.framing), (9600, &Framing::IdleGapMs(20)));
}

#[test]
fn debug_of_a_config_hides_its_secrets() {
    let text = "[api.credentials.a]\ntoken = \"hunter2\"\n";
    assert!(!format!("{:?}", config(text)).contains("hunter2"));
}

#[test]
fn a_file_in_the_settings_is_handed_over_as_its_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    std::fs::write(folder.path().join("points.csv"), "\u{feff}name;unit\nä;°C\n").expect("written");
    std::fs::write(&path, "[connections.a]\nadapter = \"modbus-registers\"\nsettings.points_csv = \"points.csv\"\n")
        .expect("written");
    let loaded = load(&path, &adapters::look_up).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.config.connections["a"].settings.to_value(), json!({ "points_csv": "name;unit\nä;°C\n" }));
    assert_eq!(loaded.config.data_dir(), folder.path().join("data"));
    assert_eq!(loaded.config.adapter_file("x"), folder.path().join("adapters/x.wasm"));

    let file = std::fs::File::create(folder.path().join("points.csv")).expect("created");
    file.set_len((1 << 20) + 1).expect("grown");
    let errors = load(&path, &adapters::look_up).expect_err("the file is too long");
    assert!(errors.to_string().contains("longer than 1048576 bytes"), "{errors}");
}

#[test]
fn a_config_that_cannot_be_read_is_a_diagnostic() {
    let errors = load(Path::new("nowhere/gateway.toml"), &AnyAdapter).expect_err("there is no such file");
    assert!(errors.plain().starts_with("nowhere/gateway.toml: error: the config cannot be read"), "{errors}");
    let picture = errors.pretty(false);
    assert!(picture.contains("nowhere/gateway.toml: the config cannot be read"), "{picture}");
}

#[test]
fn each_adapter_is_looked_up_once_in_the_folder_that_the_config_names() {
    let asked: RefCell<Vec<(PathBuf, String)>> = RefCell::default();
    let schemas = |folder: &Path, adapter: &str| {
        asked.borrow_mut().push((folder.to_owned(), adapter.to_owned()));
        AdapterLookup::Found(None)
    };
    let text =
        "gateway.adapters_dir = \"lib\"\n[connections]\na.adapter = \"x\"\nb.adapter = \"x\"\nc.adapter = \"../y\"\n";
    let errors = parse(text, Path::new("etc/gateway.toml"), &schemas).expect_err("`../y` is no name");
    assert_eq!(errors.errors(), 1, "{errors}");
    assert_eq!(asked.into_inner(), [(PathBuf::from("etc/lib"), "x".to_owned())]);
}

#[test]
fn a_picture_marks_the_place_and_covers_secrets() {
    let text = "[api.credentials.a]\ntoken = \"hunter2\"\nrole = \"root\"\n";
    let errors = parse(text, Path::new("gateway.toml"), &AnyAdapter).expect_err("`root` is no role");
    let picture = errors.pretty(false);
    assert!(picture.contains("gateway.toml:3:8") && picture.contains("role = \"root\""), "{picture}");
    assert!(picture.contains("token = \"*******\""), "{picture}");
    assert!(errors.pretty(true).contains('\u{1b}') && !picture.contains('\u{1b}'));
}

#[test]
fn warnings_alone_do_not_refuse_a_config() {
    let text = "[api.credentials.a]\ntoken = { file = \"nowhere\" }\n";
    let loaded = parse(text, Path::new("gateway.toml"), &AnyAdapter).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings.items.len(), 1);
    assert_eq!(loaded.warnings.items[0].severity, Severity::Warning);
}

#[test]
fn differences_name_what_was_added_removed_and_changed() {
    let old = config(
        "[connections.a]\nadapter = \"x\"\n[connections.b]\nadapter = \"x\"\n[connections.c]\nadapter = \"x\"\n",
    );
    let new = config(
        "[logging]\nlevel = \"debug\"\n[connections.b]\nadapter = \"x\"\nsettings.n = 1\n[connections.c]\nadapter = \"x\"\n\
         [connections.d]\nadapter = \"x\"\n[routes.r]\nselect = [\"b/*\"]\nto = \"d\"\n",
    );
    let changes = diff(&old, &new);
    assert_eq!(
        changes,
        [
            Change::Section(Section::Logging),
            Change::Connection("a".into(), Edit::Removed),
            Change::Connection("b".into(), Edit::Changed),
            Change::Connection("d".into(), Edit::Added),
            Change::Route("r".into(), Edit::Added),
        ]
    );
    assert_eq!(changes[2].to_string(), "connections.b changed");
    assert_eq!(diff(&new, &new), []);
}

/// Something like a config: lines of keys and headers that exist, with values of any kind.
fn likely_text() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[api]",
        "[log]",
        "[gateway]",
        "[connections.a]",
        "[connections.a.transports.t]",
        "[[routes.r.rename]]",
        "[routes.r]",
        "[api.credentials.c]",
        "[connections.a.settings]",
        "[[connections.a.settings.points]]",
    ]);
    let key = prop::sample::select(vec![
        "adapter",
        "kind",
        "select",
        "to",
        "points",
        "framing",
        "address",
        "port",
        "token",
        "listen",
        "convert",
        "auth",
        "base_url",
        "subscribe",
        "allow_write",
        "max_bytes",
        "transports",
        "name",
        "type",
        "a.b.c",
        "x",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "\"modbus-registers\"",
            "\"serial-text\"",
            "\"mqtt\"",
            "\"http\"",
            "\"tcp\"",
            "1",
            "-1",
            "1e400",
            "nan",
            "[]",
            "{}",
            "true",
            "2026-01-31",
            "{ delimiter = 1 }",
            "[\"a/*\"]",
            "{ kind = \"basic\" }",
            "\"a/b\"",
            "[[[]]]",
            "0xFFFFFFFFFFFFFFFFF",
            "'''",
            "[{ points = \"a/*\", to = \"$9\" }]",
            "\"$share/\"",
            "\"[::\"",
        ])
        .prop_map(ToOwned::to_owned),
        any::<String>().prop_map(|text| format!("{text:?}")),
        any::<String>(),
    ];
    let line = prop_oneof![
        header.prop_map(ToOwned::to_owned),
        (key, value).prop_map(|(key, value)| format!("{key} = {value}"))
    ];
    prop::collection::vec(line, 0..25).prop_map(|lines| lines.join("\n"))
}

/// Any outcome is good, as long as there is one, every rendering of it works and every place is in the text.
fn survives(text: &str) {
    let diagnostics = match parse(text, Path::new("gateway.toml"), &adapters::look_up) {
        Ok(loaded) => {
            assert_eq!(loaded.warnings.errors(), 0);
            loaded.warnings
        }
        Err(diagnostics) => {
            assert!(diagnostics.errors() > 0);
            diagnostics
        }
    };
    let _ = (diagnostics.pretty(false), serde_json::to_string(&diagnostics).expect("plain data"));
    assert_eq!(diagnostics.plain().is_empty(), diagnostics.is_empty());
    for item in &diagnostics.items {
        assert!(item.span.end <= text.len() && item.line >= 1 && item.column >= 1, "{item:?}");
        assert!(!item.message.contains("does not fit its types"), "{item}\n{text}");
    }
}

/// Cases of each property; `PROPTEST_CASES` says otherwise.
const CASES: u32 = 1000;

fn proptest_config() -> ProptestConfig {
    // A count that is given here would otherwise win over the variable.
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: given.unwrap_or(CASES), failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn connections_are_named_in_a_config_with_mistakes_and_not_in_half_of_one() {
    let names = |text| bulkhead_config::connection_names_of(text).map(|names| names.into_iter().collect::<Vec<_>>());
    let wrong = "[connections.press]\nadaptor = 3\n[connections.boiler]\n[api]\nlisten = \"0.0.0.0:1\"\n";
    assert_eq!(names(wrong), Some(["boiler", "gateway", "press"].map(str::to_owned).into()));
    assert_eq!(names(""), Some(vec!["gateway".to_owned()]));
    assert_eq!(names(&format!("{wrong}[connections.half")), None);
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn nothing_like_a_config_panics_or_passes_the_walker_and_fails_the_types(text in likely_text()) {
        survives(&text);
    }
}
