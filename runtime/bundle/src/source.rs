//! The manifest as its author writes it, `adapter.toml`, and how it becomes the one in the component.

use crate::manifest::{Asks, DefaultPoint, MANIFEST_FORMAT, Manifest, WIT_VERSION};
use semver::Version;
use serde::Deserialize;
use std::collections::BTreeSet;

/// `adapter.toml`. What a package of the adapter's language says already need not be said again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSource {
    /// As [`Manifest::id`].
    pub id: String,
    /// As [`Manifest::version`]; absent: the package's.
    pub version: Option<Version>,
    /// As [`Manifest::description`]; absent: the package's.
    pub description: Option<String>,
    /// As [`Manifest::author`]; absent: the package's.
    pub author: Option<String>,
    /// As [`Manifest::licence`]; absent: the package's.
    pub licence: Option<String>,
    /// As [`Manifest::roles`].
    pub roles: BTreeSet<String>,
    /// As [`Manifest::asks`].
    #[serde(default)]
    pub asks: Asks,
    /// As [`Manifest::points`].
    #[serde(default)]
    pub points: Vec<DefaultPoint>,
}

/// What the package of the adapter's language says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageFacts {
    /// Its version.
    pub version: Option<Version>,
    /// What it does.
    pub description: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Its licence.
    pub licence: Option<String>,
}

impl PackageFacts {
    /// Of a package in the output of `cargo metadata`.
    #[must_use]
    pub fn of_cargo(package: &serde_json::Value) -> Self {
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        let authors: Vec<&str> =
            package["authors"].as_array().into_iter().flatten().filter_map(|a| a.as_str()).collect();
        Self {
            version: package["version"].as_str().and_then(|version| version.parse().ok()),
            description: text("description"),
            author: (!authors.is_empty()).then(|| authors.join(", ")),
            licence: text("license"),
        }
    }
}

impl ManifestSource {
    /// Parses `adapter.toml`.
    ///
    /// # Errors
    /// In words, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| format!("adapter.toml: {}", error.to_string().trim_end()))
    }

    /// The manifest, with what the package says where `adapter.toml` is silent.
    ///
    /// # Errors
    /// In words: what is missing, or wrong with it.
    pub fn manifest(self, package: PackageFacts) -> Result<Manifest, String> {
        fn given<T>(field: &str, own: Option<T>, packages: Option<T>) -> Result<T, String> {
            own.or(packages).ok_or_else(|| format!("adapter.toml: `{field}` is missing, and the package gives none"))
        }
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            id: self.id,
            version: given("version", self.version, package.version)?,
            description: given("description", self.description, package.description)?,
            author: given("author", self.author, package.author)?,
            licence: given("licence", self.licence, package.licence)?,
            wit: WIT_VERSION.parse().map_err(|error| format!("{WIT_VERSION}: {error}"))?,
            roles: self.roles,
            asks: self.asks,
            points: self.points,
        };
        manifest.check().map_err(|cause| format!("adapter.toml: {cause}"))?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str =
        "id = \"acme/press\"\nauthor = \"Acme\"\nroles = [\"poller\"]\n[asks]\nmodbus = \"Reads it.\"\n";

    #[test]
    fn the_package_fills_in_what_is_not_said() {
        let package =
            serde_json::json!({ "version": "1.2.3", "description": "Reads a press.", "license": "MIT", "authors": [] });
        let manifest = ManifestSource::parse(SOURCE).unwrap().manifest(PackageFacts::of_cargo(&package)).unwrap();
        assert_eq!((manifest.version.to_string().as_str(), manifest.author.as_str()), ("1.2.3", "Acme"));
        let error = ManifestSource::parse(SOURCE).unwrap().manifest(PackageFacts::default()).unwrap_err();
        assert!(error.contains("`version` is missing"), "{error}");
    }

    #[test]
    fn a_key_that_does_not_exist_is_named_with_its_line() {
        let error = ManifestSource::parse("id = \"a/b\"\nrole = [\"poller\"]\n").unwrap_err();
        assert!(error.contains("line 2") && error.contains("`role`"), "{error}");
    }
}
