//! The files in `include/` are what is made of the WIT package. `UPDATE_GOLDEN=1 cargo test -p bulkhead-sdk-c` writes them.

use std::path::Path;

#[test]
fn the_bindings_are_those_of_the_interfaces() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = bulkhead_sdk_c::generate(&folder.join("../../wit")).unwrap();
    for (name, text) in [("bulkhead.h", made.header), ("bulkhead.c", made.source)] {
        let path = folder.join("include").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(folder.join("include")).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{} is not what is made of wit/: UPDATE_GOLDEN=1 writes it", path.display());
    }
}
