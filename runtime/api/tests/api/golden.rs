//! Golden answers: compared with files, which `UPDATE_GOLDEN=1` writes anew.

use serde_json::Value;
use std::path::Path;

/// Compares JSON with `golden/<name>.json`.
pub(crate) fn check(name: &str, found: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/golden").join(format!("{name}.json"));
    let found = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; write it with UPDATE_GOLDEN=1", path.display()));
    assert!(found == expected, "{name} differs from {}; found:\n{found}", path.display());
}
