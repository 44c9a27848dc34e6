//! What a command prints, compared with what it should print; `UPDATE_GOLDEN=1` writes it anew.

use std::path::Path;

/// Compares a text with `golden/<name>`.
pub(crate) fn assert_golden(name: &str, is: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adapters/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, is).unwrap();
    }
    let should = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(is, should, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}
