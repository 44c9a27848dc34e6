//! The SDK as it goes into a project: the same sources as in this repository, for Rust with a package file that stands by
//! itself.

use crate::assets::Assets;
use crate::error::AuthorError;
use crate::language::Language;
use std::path::Path;
use toml::{Table, Value};

/// Writes the interfaces and the SDK of a language into the folder `bulkhead` of a project.
pub(crate) fn write_into(project: &Path, language: Language) -> Result<(), AuthorError> {
    let assets = Assets::unpacked()?;
    let folder = project.join("bulkhead");
    for part in ["wit", language.folder()] {
        for (place, text) in assets.below(part) {
            write(&folder.join(part).join(place), text)?;
        }
    }
    match language {
        Language::Rust => write(&folder.join("rust/sdk/Cargo.toml"), &package(&assets)?),
        _ => Ok(()),
    }
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), AuthorError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(AuthorError::file(folder))?;
    std::fs::write(path, text).map_err(AuthorError::file(path))
}

/// The SDK's package file without what it has from its workspace here.
fn package(assets: &Assets) -> Result<String, AuthorError> {
    let bad = |error: toml::de::Error| AuthorError::BadProject(format!("the SDK's package: {error}"));
    let mut package: Table = assets.text("parts/sdk.toml")?.parse().map_err(bad)?;
    let workspace: Table = assets.text("parts/workspace.toml")?.parse().map_err(bad)?;
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
        let text = package(&Assets::unpacked().unwrap()).unwrap();
        assert!(!text.contains("workspace"), "{text}");
        let package: Table = text.parse().unwrap();
        assert!(package["dependencies"]["wit-bindgen"].get("version").is_some(), "{text}");
        assert_eq!(package["package"]["edition"].as_str(), Some("2024"));
    }

    #[test]
    fn the_interfaces_are_where_the_sdk_looks_for_them() {
        let assets = Assets::unpacked().unwrap();
        assert!(assets.text("wit/types.wit").is_ok() && assets.text("rust/sdk/src/lib.rs").is_ok());
        let bindings = assets.text("rust/sdk/src/bindings.rs").unwrap();
        assert!(bindings.contains("\"../../wit\""), "from bulkhead/rust/sdk that is bulkhead/wit");
    }
}
