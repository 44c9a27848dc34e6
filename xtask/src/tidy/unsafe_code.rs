//! Where `unsafe` code may be: in a few files that are named here, each with its reason. Every other crate of the host forbids
//! it, so that no attribute further down can let it in.

/// Crates of the host that have some. In them the workspace's lint denies it but for these files.
const CRATES: [&str; 2] = ["runtime/log/", "runtime/sandbox/"];

/// The files, from the root of the checkout.
const FILES: [&str; 8] = [
    // Loads code that this gateway compiled; the file says why that is sound.
    "runtime/sandbox/src/precompiled.rs",
    // Two calls into the C library's allocator.
    "runtime/sandbox/src/memory.rs",
    // Generated from the WIT.
    "runtime/sandbox/src/bindings.rs",
    "runtime/sandbox/src/next/bindings.rs",
    // SQLite's virtual tables are traits that promise a layout; none has an unsafe block.
    "runtime/log/src/readings_table.rs",
    "runtime/log/src/memory_tables.rs",
    "runtime/log/src/batch_table.rs",
    // Generated from the WIT, inside of the sandbox.
    "guest-adapters/sdk/src/bindings.rs",
];

/// Files of the SDK whose macros bring generated exports into an adapter.
const GENERATED_INTO_ADAPTERS: &str = "guest-adapters/sdk/src/instance.rs";

/// A complaint where a file lets `unsafe` code in, or a crate's root does not keep it out.
pub(crate) fn check(shown: &str, text: &str) -> Option<String> {
    if is_root(shown) && !CRATES.iter().any(|of| shown.starts_with(of)) && !text.contains("#![forbid(unsafe_code)]") {
        return Some(format!("{shown}: must have #![forbid(unsafe_code)], as every crate but log and sandbox"));
    }
    let allows = |line: &str| ["allow(", "expect(", "warn("].iter().any(|word| line.contains(word));
    let mut attribute = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        // An attribute may stand on several lines.
        attribute = (attribute || line.starts_with("#[") || line.starts_with("#![")) && !line.is_empty();
        let lets_in = attribute && line.contains("unsafe_code") && !line.contains("forbid(") && !line.contains("deny(");
        let is_named = FILES.contains(&shown) || shown == GENERATED_INTO_ADAPTERS;
        if lets_in && !is_named && (allows(line) || !line.starts_with('#')) {
            return Some(format!(
                "{shown}:{}: lets unsafe code in; xtask/src/tidy/unsafe_code.rs names where it may be",
                number + 1
            ));
        }
        attribute = attribute && !line.ends_with(']');
    }
    None
}

/// Whether a file is the root of a library or of the gateway or xtask.
fn is_root(shown: &str) -> bool {
    let is_host = ["runtime/", "gateway-config/", "tests/src/", "tests/simulators/", "xtask/"];
    let is_host = is_host.iter().any(|folder| shown.starts_with(folder));
    is_host && (shown.ends_with("src/lib.rs") || shown == "runtime/gateway/src/main.rs" || shown == "xtask/src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_must_forbid_it_but_for_two_crates() {
        assert!(check("runtime/api/src/lib.rs", "//! Text.\n").unwrap().contains("forbid"));
        assert_eq!(check("runtime/api/src/lib.rs", "//! Text.\n\n#![forbid(unsafe_code)]\n"), None);
        assert_eq!(check("runtime/log/src/lib.rs", "//! Text.\n"), None);
        assert_eq!(check("runtime/api/src/text.rs", "//! Text.\n"), None);
    }

    #[test]
    fn no_other_file_lets_it_in_on_one_line_or_on_several() {
        let one = "//! Text.\n#[expect(unsafe_code, reason = \"why\")]\nfn f() {}\n";
        let several = "//! Text.\n#![allow(\n    missing_docs,\n    unsafe_code,\n)]\n";
        for text in [one, several] {
            assert!(check("runtime/sandbox/src/text.rs", text).unwrap().contains("lets unsafe code in"), "{text}");
            assert_eq!(check("runtime/sandbox/src/memory.rs", text), None);
        }
        assert_eq!(
            check("xtask/src/tidy/unsafe_code.rs", "//! The lint unsafe_code.\nconst A: &str = \"unsafe_code\";\n"),
            None
        );
    }
}
