//! A bill of materials in the form of CycloneDX 1.6.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the gateway's binary is made of.
#[derive(Debug, Clone)]
pub(crate) struct Bill {
    pub(crate) target: String,
    /// When, in RFC 3339.
    pub(crate) made: String,
    pub(crate) shipped: Component,
    pub(crate) components: Vec<Component>,
    /// Which component needs which, by their references.
    pub(crate) edges: BTreeMap<String, BTreeSet<String>>,
}

/// What becomes of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It is in the binary.
    Linked,
    /// It runs during the build.
    Build,
}

/// One package.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    /// Its package URL, which names it in the bill.
    pub(crate) reference: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) scope: Scope,
    /// Whether it is of this repository.
    pub(crate) is_ours: bool,
    /// The component whose sources it comes with.
    pub(crate) part_of: Option<String>,
    /// As an SPDX expression.
    pub(crate) licence: Option<String>,
    sha256: Option<String>,
    repository: Option<String>,
}

impl Component {
    /// Of a package in the output of `cargo metadata`.
    pub(crate) fn of_package(package: &Value, scope: Scope, sha256: Option<String>) -> Self {
        let text = |key: &str| package[key].as_str().map(str::to_owned);
        let (name, version) = (text("name").unwrap_or_default(), text("version").unwrap_or_default());
        Self {
            reference: format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")),
            name,
            version,
            scope,
            is_ours: package["source"].is_null(),
            part_of: None,
            licence: text("license").map(|licence| expression(&licence)),
            sha256,
            repository: text("repository"),
        }
    }

    /// The pages of Swagger UI, which come with another component and are packed into the binary.
    pub(crate) fn swagger_ui(version: &str, part_of: &str) -> Self {
        Self {
            reference: format!("pkg:npm/swagger-ui-dist@{version}"),
            name: "swagger-ui-dist".into(),
            licence: Some("Apache-2.0".into()),
            repository: Some("https://github.com/swagger-api/swagger-ui".into()),
            ..Self::sqlite(version, part_of)
        }
    }

    /// SQLite's C sources, which come with another component.
    pub(crate) fn sqlite(version: &str, part_of: &str) -> Self {
        Self {
            reference: format!("pkg:generic/sqlite@{version}"),
            name: "sqlite".into(),
            version: version.into(),
            scope: Scope::Linked,
            is_ours: false,
            part_of: Some(part_of.into()),
            licence: Some("blessing".into()),
            sha256: None,
            repository: Some("https://sqlite.org/src".into()),
        }
    }

    fn to_json(&self, kind: &str) -> Value {
        let mut json = json!({
            "type": kind,
            "bom-ref": self.reference,
            "name": self.name,
            "version": self.version,
            "purl": self.reference,
            "scope": match self.scope { Scope::Linked => "required", Scope::Build => "excluded" },
        });
        if let Some(licence) = &self.licence {
            json["licenses"] = json!([{ "expression": licence }]);
        }
        if let Some(sha256) = &self.sha256 {
            json["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
        }
        if let Some(repository) = &self.repository {
            json["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
        }
        json
    }
}

impl Bill {
    /// As the file has it.
    pub(crate) fn to_json(&self) -> Value {
        let mut shipped = self.shipped.to_json("application");
        shipped["properties"] = json!([{ "name": "bulkhead:target", "value": self.target }]);
        let known: BTreeSet<&str> =
            self.components.iter().chain([&self.shipped]).map(|one| one.reference.as_str()).collect();
        let dependencies: Vec<Value> = known
            .iter()
            .map(|one| json!({ "ref": one, "dependsOn": self.edges.get(*one).cloned().unwrap_or_default() }))
            .collect();
        let components: Vec<Value> = self.components.iter().map(|one| one.to_json("library")).collect();
        let mut bill = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {
                "timestamp": self.made,
                "tools": { "components": [{ "type": "application", "name": "cargo xtask sbom" }] },
                "component": shipped,
            },
            "components": components,
            "dependencies": dependencies,
        });
        bill["serialNumber"] = json!(serial_number(&bill.to_string()));
        bill
    }
}

/// A number of the content, in the form of a UUID that is made of a hash (version 8).
fn serial_number(content: &str) -> String {
    let hash = bulkhead_bundle::sha256_hex(content.as_bytes());
    format!("urn:uuid:{}-{}-8{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

/// Some packages still write a slash for a choice, as it was done before SPDX expressions.
fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_form_of_a_choice_becomes_an_expression() {
        assert_eq!(expression("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(expression("Apache-2.0 / MIT"), "Apache-2.0 OR MIT");
        assert_eq!(expression("(MIT OR Apache-2.0) AND Unicode-3.0"), "(MIT OR Apache-2.0) AND Unicode-3.0");
    }

    #[test]
    fn the_same_content_has_the_same_number_and_another_another() {
        let number = serial_number("a");
        assert_eq!(number, serial_number("a"));
        assert_ne!(number, serial_number("b"));
        assert_eq!(number.len(), "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79".len());
    }
}
