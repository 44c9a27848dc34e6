//! The rule of the import edges: which of our crates may name which. A line here is the design's; a crate without a
//! line may not exist.

use super::manifest::{Dependency, Manifest};
use std::path::{Component, Path, PathBuf};

/// What the layers above the log, the sandbox and the transports may import.
const BELOW_ENGINE: &[&str] = &[
    "bulkhead-bundle",
    "bulkhead-model",
    "bulkhead-log",
    "bulkhead-sandbox",
    "bulkhead-config",
    "bulkhead-transports",
];

/// Each of our crates, and what it may import besides what [`BELOW_ENGINE`] gives the three uppermost.
const EDGES: &[(&str, &[&str])] = &[
    ("bulkhead-model", &[]),
    ("bulkhead-log", &["bulkhead-model"]),
    ("bulkhead-bundle", &[]),
    ("bulkhead-author", &["bulkhead-bundle"]),
    ("bulkhead-sandbox", &["bulkhead-bundle", "bulkhead-model"]),
    ("bulkhead-config", &["bulkhead-model"]),
    ("bulkhead-transports", &["bulkhead-model", "bulkhead-sandbox"]),
    ("bulkhead-engine", BELOW_ENGINE),
    ("bulkhead-odata", &[]),
    ("bulkhead-api", &["bulkhead-engine", "bulkhead-odata"]),
    ("bulkhead", &["bulkhead-author", "bulkhead-engine", "bulkhead-odata", "bulkhead-api", "bulkhead-simulators"]),
    ("bulkhead-simulators", &[]),
    ("xtask", &["bulkhead-author", "bulkhead-bundle"]),
];

/// The crates above the engine: they may also import everything below it.
const ABOVE_ENGINE: [&str; 2] = ["bulkhead-api", "bulkhead"];

/// Simulated devices, which the tests of the crates that speak to devices may use.
const SIMULATORS: &str = "bulkhead-simulators";

/// The crates that may import anything.
const TESTS: [&str; 2] = ["bulkhead-tests", "bulkhead-fuzz"];

/// Complaints about one package of the host workspace. Its tests are held to the same edges, but for the transports'
/// tests, which need simulated devices: what needs more than its own layer is a test of the whole and lives in tests/.
pub(crate) fn check(manifest: &Manifest) -> Vec<String> {
    let package = manifest.package.as_str();
    if TESTS.contains(&package) {
        return Vec::new();
    }
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package) else {
        return vec![format!(
            "{package}: not in the list of crates in xtask/src/tidy/edges.rs; give it its edges there"
        )];
    };
    let may_import = |name: &str| {
        allowed.contains(&name) || (ABOVE_ENGINE.contains(&package) && BELOW_ENGINE.contains(&name)) || name == package
    };
    let is_test_device = |d: &Dependency| d.dev && d.name == SIMULATORS && package == "bulkhead-transports";
    let is_forbidden = |d: &&Dependency| is_ours(&d.name) && !may_import(&d.name) && !is_test_device(d);
    let forbidden = manifest.dependencies.iter().filter(is_forbidden);
    forbidden.map(|d| format!("{package}: must not import {} (see the layout in ARCHITECTURE.md)", d.name)).collect()
}

fn is_ours(name: &str) -> bool {
    TESTS.contains(&name) || EDGES.iter().any(|(ours, _)| *ours == name)
}

/// Complaints about one package of the guests: it names nothing by path outside of its workspace, so that an adapter
/// knows the host by the WIT alone.
pub(crate) fn check_guest(manifest: &Manifest, folder: &Path, workspace: &Path) -> Vec<String> {
    let outside = |path: &PathBuf| !without_dots(&folder.join(path)).starts_with(workspace);
    let forbidden = manifest.dependencies.iter().filter(|d| is_ours(&d.name) || d.path.as_ref().is_some_and(outside));
    forbidden.map(|d| format!("{}: a guest must not import {} of the host", manifest.package, d.name)).collect()
}

/// A path with `.` and `..` worked out, without looking at the disk.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::manifest;
    use super::*;

    fn complaints(package: &str, imports: &str) -> usize {
        check(&manifest(package, &format!("[dependencies]\n{imports}.workspace = true"))).len()
    }

    #[test]
    fn edges_of_the_design_are_allowed() {
        assert_eq!(complaints("bulkhead-log", "bulkhead-model"), 0);
        assert_eq!(complaints("bulkhead-transports", "bulkhead-sandbox"), 0);
        assert_eq!(complaints("bulkhead-api", "bulkhead-log"), 0);
        assert_eq!(complaints("bulkhead", "bulkhead-simulators"), 0);
        assert_eq!(complaints("bulkhead-tests", "bulkhead-engine"), 0);
        assert_eq!(complaints("bulkhead-log", "serde"), 0);
    }

    #[test]
    fn siblings_and_lower_layers_are_held_apart() {
        assert_eq!(complaints("bulkhead-log", "bulkhead-sandbox"), 1);
        assert_eq!(complaints("bulkhead-model", "bulkhead-log"), 1);
        assert_eq!(complaints("bulkhead-engine", "bulkhead-api"), 1);
        assert_eq!(complaints("bulkhead-engine", "bulkhead-odata"), 1);
        assert_eq!(complaints("bulkhead-odata", "bulkhead-model"), 1);
        assert_eq!(complaints("bulkhead-simulators", "bulkhead-model"), 1);
        assert_eq!(complaints("bulkhead-api", "bulkhead-simulators"), 1);
        assert_eq!(complaints("bulkhead", "bulkhead-tests"), 1);
    }

    #[test]
    fn tests_of_a_crate_are_held_to_its_edges_too_but_for_simulated_devices() {
        let dev = |package: &str, name: &str| {
            check(&manifest(package, &format!("[dev-dependencies]\n{name}.workspace = true")))
        };
        assert_eq!(dev("bulkhead-transports", "bulkhead-log").len(), 1);
        assert_eq!(dev("bulkhead-transports", "bulkhead-simulators").len(), 0);
        assert_eq!(complaints("bulkhead-transports", "bulkhead-simulators"), 1);
    }

    #[test]
    fn a_new_crate_needs_a_line() {
        assert!(check(&manifest("bulkhead-new", ""))[0].contains("edges.rs"));
    }

    #[test]
    fn a_guest_stays_in_its_workspace() {
        let guest = |path: &str| {
            let tables = format!("[dependencies]\nother = {{ path = \"{path}\" }}");
            check_guest(
                &manifest("guest", &tables),
                Path::new("/r/guest-adapters/guest"),
                Path::new("/r/guest-adapters"),
            )
        };
        assert!(guest("../sdk").is_empty());
        assert_eq!(guest("../../runtime/model").len(), 1);
    }
}
