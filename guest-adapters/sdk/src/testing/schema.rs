//! The settings schema beside an adapter is the one its settings type describes.

use schemars::JsonSchema;
use std::path::Path;

/// Compares the JSON Schema of `Settings` with the file of this name in the adapter's folder. With `UPDATE_GOLDEN=1` in the
/// environment the file is written instead.
///
/// # Panics
/// Where they differ or the file cannot be read.
pub fn assert_schema<Settings: JsonSchema>(file: &str) {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the folder of the crate it tests");
    let path = Path::new(&folder).join(file);
    let schema = schemars::schema_for!(Settings);
    let mut is = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    is.push('\n');
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, &is).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(committed == is, "{} is not what the settings are; run the tests with UPDATE_GOLDEN=1", path.display());
}
