//! The SDK as it goes into a project: the same sources as in this repository, with a package file that stands by itself.

use crate::error::AuthorError;
use std::path::Path;
use toml::{Table, Value};

/// Files of the SDK and the WIT package, by their place in a project's folder `bulkhead`.
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
const SDK_PACKAGE: &str = include_str!("../../../guest-adapters/sdk/Cargo.toml");
const WORKSPACE: &str = include_str!("../../../guest-adapters/Cargo.toml");
/// The versions that the project's own adapters are built and tested with.
pub(crate) const LOCKED: &str = include_str!("../../../guest-adapters/Cargo.lock");

/// Writes the SDK into the folder `bulkhead` of a project.
pub(crate) fn write_into(project: &Path) -> Result<(), AuthorError> {
    let folder = project.join("bulkhead");
    for (place, text) in SOURCES {
        write(&folder.join(place), text)?;
    }
    write(&folder.join("rust/sdk/Cargo.toml"), &package()?)
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), AuthorError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(AuthorError::file(folder))?;
    std::fs::write(path, text).map_err(AuthorError::file(path))
}

/// The SDK's package file without what it has from its workspace here.
fn package() -> Result<String, AuthorError> {
    let bad = |error: toml::de::Error| AuthorError::BadProject(format!("the SDK's package: {error}"));
    let mut package: Table = SDK_PACKAGE.parse().map_err(bad)?;
    let workspace: Table = WORKSPACE.parse().map_err(bad)?;
    let of_workspace = |section: &str, key: &str| workspace.get("workspace")?.get(section)?.get(key).cloned();
    resolve(&mut package, "package", &|key| of_workspace("package", key));
    resolve(&mut package, "dependencies", &|key| of_workspace("dependencies", key));
    for target in tables(package.get_mut("target")) {
        target.remove("dev-dependencies");
        resolve(target, "dependencies", &|key| of_workspace("dependencies", key));
    }
    for section in ["lints", "example", "dev-dependencies"] {
        package.remove(section);
    }
    if let Some(Value::Table(own)) = package.get_mut("package") {
        for discovered in ["autoexamples", "autotests"] {
            own.insert(discovered.into(), false.into());
        }
    }
    toml::to_string(&package).map_err(|error| AuthorError::BadProject(format!("the SDK's package: {error}")))
}

/// Puts the workspace's word in the place of `{ workspace = true }`.
fn resolve(table: &mut Table, section: &str, of_workspace: &dyn Fn(&str) -> Option<Value>) {
    let Some(Value::Table(section)) = table.get_mut(section) else { return };
    for (key, value) in section.iter_mut() {
        if value.get("workspace").and_then(Value::as_bool) == Some(true)
            && let Some(given) = of_workspace(key)
        {
            *value = given;
        }
    }
}

fn tables(value: Option<&mut Value>) -> impl Iterator<Item = &mut Table> {
    let table = value.and_then(Value::as_table_mut);
    table.into_iter().flat_map(|table| table.iter_mut()).filter_map(|(_, value)| value.as_table_mut())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_names_nothing_of_a_workspace() {
        let text = package().unwrap();
        assert!(!text.contains("workspace"), "{text}");
        let package: Table = text.parse().unwrap();
        assert!(package["dependencies"]["wit-bindgen"].get("version").is_some(), "{text}");
        assert_eq!(package["package"]["edition"].as_str(), Some("2024"));
    }

    #[test]
    fn the_interfaces_are_where_the_sdk_looks_for_them() {
        let names: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
        assert!(names.contains(&"wit/types.wit") && names.contains(&"rust/sdk/src/lib.rs"), "{names:?}");
        let bindings = SOURCES.iter().find(|(name, _)| *name == "rust/sdk/src/bindings.rs").unwrap().1;
        assert!(bindings.contains("\"../../wit\""), "from bulkhead/rust/sdk that is bulkhead/wit");
    }
}
