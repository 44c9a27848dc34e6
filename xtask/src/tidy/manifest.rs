//! What a package's manifest names: its dependencies by their published names, renaming and workspace inheritance
//! resolved.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::{Table, Value};

/// A package and what it names.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// The package's name.
    pub(crate) package: String,
    /// Everything it depends on, in any of its tables.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency of a package.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The published name, not the one it is renamed to.
    pub(crate) name: String,
    /// Whether only tests and examples see it.
    pub(crate) dev: bool,
    /// Where it lies, when it is given by path in the package's own manifest.
    pub(crate) path: Option<PathBuf>,
}

/// `[workspace.dependencies]`: from the name in code to the published one.
pub(crate) struct WorkspaceDependencies(BTreeMap<String, String>);

impl WorkspaceDependencies {
    pub(crate) fn parse(root_manifest: &str) -> Result<Self> {
        let root: Table = root_manifest.parse()?;
        let shared =
            root.get("workspace").and_then(|workspace| workspace.get("dependencies")).and_then(Value::as_table);
        let names = shared.into_iter().flatten().map(|(key, value)| (key.clone(), published_name(key, value)));
        Ok(Self(names.collect()))
    }
}

impl Manifest {
    /// Reads a manifest; none where it is a workspace without a package.
    pub(crate) fn parse(text: &str, workspace: &WorkspaceDependencies) -> Result<Option<Self>> {
        let manifest: Table = text.parse()?;
        let Some(package) = manifest.get("package") else { return Ok(None) };
        let package = package.get("name").and_then(Value::as_str).context("[package] has no name")?.to_owned();
        let mut dependencies = dependencies_of(&manifest, workspace);
        let targets = manifest.get("target").and_then(Value::as_table);
        for (_, target) in targets.into_iter().flatten() {
            dependencies.extend(target.as_table().into_iter().flat_map(|table| dependencies_of(table, workspace)));
        }
        Ok(Some(Self { package, dependencies }))
    }
}

/// The dependencies in the three tables that a manifest or one of its targets can have.
fn dependencies_of(table: &Table, workspace: &WorkspaceDependencies) -> Vec<Dependency> {
    const TABLES: [(&str, bool); 3] =
        [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)];
    let entries = TABLES.iter().flat_map(|(name, dev)| {
        let entries = table.get(*name).and_then(Value::as_table).into_iter().flatten();
        entries.map(move |entry| (*dev, entry))
    });
    entries.map(|(dev, (key, value))| dependency(key, value, dev, workspace)).collect()
}

fn dependency(key: &str, value: &Value, dev: bool, workspace: &WorkspaceDependencies) -> Dependency {
    let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
    let shared = workspace.0.get(key).filter(|_| inherited).cloned();
    let path = value.get("path").and_then(Value::as_str).map(PathBuf::from);
    Dependency { name: shared.unwrap_or_else(|| published_name(key, value)), dev, path }
}

/// A renamed dependency says its published name under `package`.
fn published_name(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A manifest of a package with these lines of dependencies, for the tests of the rules.
    pub(crate) fn manifest(package: &str, tables: &str) -> Manifest {
        let workspace = WorkspaceDependencies::parse(
            "[workspace.dependencies]\nmqtt = { package = \"rumqttc-v4-next\", version = \"1\" }\nserde = \"1\"",
        );
        let text = format!("[package]\nname = \"{package}\"\n{tables}");
        Manifest::parse(&text, &workspace.unwrap()).unwrap().unwrap()
    }

    #[test]
    fn renaming_and_inheritance_are_resolved() {
        let names = |tables: &str| -> Vec<(String, bool)> {
            manifest("p", tables).dependencies.into_iter().map(|d| (d.name, d.dev)).collect()
        };
        assert_eq!(names("[dependencies]\nmqtt.workspace = true"), [("rumqttc-v4-next".to_owned(), false)]);
        assert_eq!(names("[dev-dependencies]\ndb = { package = \"rusqlite\" }"), [("rusqlite".to_owned(), true)]);
        assert_eq!(names("[target.'cfg(unix)'.dependencies]\nnix = \"1\""), [("nix".to_owned(), false)]);
    }

    #[test]
    fn a_workspace_alone_is_no_package() {
        let workspace = WorkspaceDependencies::parse("").unwrap();
        assert!(Manifest::parse("[workspace]\nmembers = []", &workspace).unwrap().is_none());
    }
}
