//! The config in an adapter's README is one that works.

use std::path::Path;

/// The settings of a connection from the first TOML block of a file in the adapter's folder, as the adapter receives them.
///
/// # Panics
/// Where the file, the block or the connection is not there, or the block is not TOML.
#[must_use]
pub fn settings_in(file: &str, connection: &str) -> serde_json::Value {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the folder of the crate it tests");
    let path = Path::new(&folder).join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let block = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("{} has no block ```toml", path.display()));
    let config: serde_json::Value = toml::from_str(block).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let settings = config.pointer(&format!("/connections/{connection}/settings"));
    settings.unwrap_or_else(|| panic!("{} configures no connection `{connection}`", path.display())).clone()
}
