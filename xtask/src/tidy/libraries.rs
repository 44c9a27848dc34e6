//! The rule of library ownership: some libraries are named by one crate only, so that what they do stays in one place
//! and can be replaced there.

use super::manifest::{Dependency, Manifest};

/// Libraries, and who names them. A pattern that ends in `*` is a beginning of a name.
struct Ownership {
    libraries: &'static [&'static str],
    /// Packages that may name them.
    owners: &'static [&'static str],
    /// Packages that may name them for their tests only; `*` is all.
    in_tests_of: &'static [&'static str],
}

const OWNERSHIP: &[Ownership] = &[
    Ownership {
        libraries: &["rusqlite", "libsqlite3-sys"],
        owners: &["bulkhead-log"],
        in_tests_of: &["bulkhead-odata"],
    },
    Ownership { libraries: &["wasmtime*", "cranelift*"], owners: &["bulkhead-sandbox"], in_tests_of: &[] },
    Ownership {
        libraries: &["tokio-modbus", "rumqttc*", "serial2*", "tokio-serial", "serialport"],
        owners: &["bulkhead-transports"],
        in_tests_of: &[],
    },
    // The command line is a client of a running gateway.
    Ownership { libraries: &["reqwest"], owners: &["bulkhead-transports", "bulkhead"], in_tests_of: &["*"] },
    // The simulated upstream is a server too.
    Ownership { libraries: &["axum*"], owners: &["bulkhead-api", "bulkhead-simulators"], in_tests_of: &[] },
];

/// The crate of the tests of the whole: it may name anything, as the reference its measurements compare with.
const TESTS: &str = "bulkhead-tests";

/// Complaints about one package of the host workspace.
pub(crate) fn check(manifest: &Manifest) -> Vec<String> {
    let package = manifest.package.as_str();
    if package == TESTS {
        return Vec::new();
    }
    manifest.dependencies.iter().filter_map(|dependency| complaint(package, dependency)).collect()
}

fn complaint(package: &str, dependency: &Dependency) -> Option<String> {
    let rule = OWNERSHIP.iter().find(|rule| rule.libraries.iter().any(|pattern| matches(pattern, &dependency.name)))?;
    let named = |packages: &[&str]| packages.iter().any(|pattern| matches(pattern, package));
    if named(rule.owners) || (dependency.dev && named(rule.in_tests_of)) {
        return None;
    }
    Some(format!("{package}: must not name {}; it belongs to {}", dependency.name, rule.owners.join(", ")))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::manifest;
    use super::*;

    fn complaints(package: &str, tables: &str) -> usize {
        check(&manifest(package, tables)).len()
    }

    #[test]
    fn owners_may_name_their_libraries() {
        assert_eq!(complaints("bulkhead-log", "[dependencies]\nrusqlite = \"1\""), 0);
        assert_eq!(complaints("bulkhead-sandbox", "[dependencies]\nwasmtime-wasi = \"48\""), 0);
        assert_eq!(complaints("bulkhead-tests", "[dependencies]\ntokio-modbus = \"1\""), 0);
        assert_eq!(complaints("bulkhead", "[dependencies]\nreqwest = \"1\""), 0);
    }

    #[test]
    fn others_may_not() {
        assert_eq!(complaints("bulkhead-api", "[dependencies]\nrusqlite = \"1\""), 1);
        assert_eq!(complaints("bulkhead-engine", "[dev-dependencies]\nwasmtime-wasi = \"48\""), 1);
        assert_eq!(complaints("bulkhead-simulators", "[dependencies]\ntokio-modbus = \"1\""), 1);
        assert_eq!(complaints("bulkhead-transports", "[dependencies]\naxum = \"1\""), 1);
        assert_eq!(complaints("bulkhead-api", "[dependencies]\nreqwest = \"1\""), 1);
    }

    #[test]
    fn a_new_name_does_not_hide_a_library() {
        assert_eq!(complaints("bulkhead-engine", "[dependencies]\nmqtt.workspace = true"), 1);
        assert_eq!(complaints("bulkhead-engine", "[dependencies]\ndb = { package = \"rusqlite\" }"), 1);
    }

    #[test]
    fn some_libraries_may_be_named_in_tests() {
        assert_eq!(complaints("bulkhead-odata", "[dev-dependencies]\nrusqlite = \"1\""), 0);
        assert_eq!(complaints("bulkhead-odata", "[dependencies]\nrusqlite = \"1\""), 1);
        assert_eq!(complaints("bulkhead-api", "[dev-dependencies]\nreqwest = \"1\""), 0);
    }
}
