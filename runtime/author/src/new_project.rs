//! A new project: a small adapter that builds, its tests, a script for the sandbox, a config to run it with, and the SDK.

use crate::error::AuthorError;
use crate::sdk::{self, write};
use std::collections::BTreeSet;
use std::path::Path;

const CARGO: &str = include_str!("../templates/rust/Cargo.toml.in");
const MANIFEST: &str = include_str!("../templates/rust/adapter.toml.in");
const README: &str = include_str!("../templates/rust/README.md.in");
const LIB: &str = include_str!("../templates/rust/lib.rs.in");
const TESTS: &str = include_str!("../templates/rust/tests.rs.in");
const RUN: &str = include_str!("../templates/rust/run.toml.in");
const CASE: &str = include_str!("../templates/rust/case.toml.in");
const EXPECTED: &str = include_str!("../templates/rust/expected.json.in");
const SCHEMA: &str = include_str!("../templates/rust/schema.json.in");
const IGNORED: &str = "/target\n/dist\n/data\n";

/// Longest name.
const NAME_MAX_BYTES: usize = 64;

/// What the adapter is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads when asked.
    Poller,
    /// Turns frames into readings.
    Listener,
    /// Writes values.
    Writer,
    /// Takes readings upstream.
    Sink,
    /// Answers requests.
    Responder,
}

impl Role {
    /// Its name in the WIT package.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Poller => "poller",
            Role::Listener => "listener",
            Role::Writer => "writer",
            Role::Sink => "sink",
            Role::Responder => "responder",
        }
    }

    fn asks_for(self) -> Option<(&'static str, &'static str)> {
        match self {
            Role::Poller | Role::Writer => Some(("serial", "Sends requests to the device and reads its answers.")),
            Role::Sink => Some(("http", "Sends readings to the upstream.")),
            Role::Listener | Role::Responder => None,
        }
    }

    /// Whether it needs a line to a device.
    fn has_device(self) -> bool {
        matches!(self, Role::Poller | Role::Listener | Role::Writer)
    }
}

/// A project to be made.
#[derive(Debug)]
pub struct NewProject {
    /// The adapter's name.
    pub name: String,
    /// Its roles; at least one.
    pub roles: BTreeSet<Role>,
}

impl NewProject {
    /// Writes the project into a folder that is not there.
    ///
    /// # Errors
    /// [`AuthorError::Occupied`], [`AuthorError::BadName`], the operating system's word.
    pub fn write(&self, folder: &Path) -> Result<(), AuthorError> {
        check_name(&self.name)?;
        if folder.exists() {
            return Err(AuthorError::Occupied(folder.to_owned()));
        }
        for (name, template) in [
            ("Cargo.toml", CARGO),
            ("adapter.toml", MANIFEST),
            ("README.md", README),
            ("src/lib.rs", LIB),
            ("tests/adapter.rs", TESTS),
            ("run.toml", RUN),
            ("cases/first.toml", CASE),
        ] {
            write(&folder.join(name), &self.filled(template))?;
        }
        write(&folder.join("settings.schema.json"), &self.schema())?;
        write(&folder.join("cases/first.expected.json"), &self.expected()?)?;
        write(&folder.join(".gitignore"), IGNORED)?;
        write(&folder.join("Cargo.lock"), sdk::LOCKED)?;
        sdk::write_into(folder)
    }

    /// A template with its conditional parts chosen and its words filled in. `{{#poller}}` to `{{/poller}}`, each on a line
    /// of its own, stays where the adapter has the role; `device` is any role that needs a line, `readings` any that brings
    /// some, `point` any but a sink.
    fn filled(&self, template: &str) -> String {
        let has = |part: &str| match part {
            "device" => self.roles.iter().any(|role| role.has_device()),
            "point" => self.roles.iter().any(|role| *role != Role::Sink),
            "readings" => self.roles.iter().any(|role| !matches!(role, Role::Sink | Role::Writer)),
            part => self.roles.iter().any(|role| role.name() == part),
        };
        let mut text = String::new();
        let mut skipped: Vec<bool> = Vec::new();
        for line in template.lines() {
            if let Some(part) = line.trim().strip_prefix("{{#").and_then(|rest| rest.strip_suffix("}}")) {
                skipped.push(!has(part));
            } else if line.trim().starts_with("{{/") {
                skipped.pop();
            } else if !skipped.contains(&true) {
                text.push_str(line);
                text.push('\n');
            }
        }
        let roles: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
        let quoted: Vec<String> = roles.iter().map(|role| format!("\"{role}\"")).collect();
        let asks: BTreeSet<_> = self.roles.iter().filter_map(|role| role.asks_for()).collect();
        let asks: String = asks.iter().map(|(capability, why)| format!("{capability} = \"{why}\"\n")).collect();
        let filled = text
            .replace("{{name}}", &self.name)
            .replace("{{crate}}", &self.name.replace('-', "_"))
            .replace("{{Type}}", &type_name(&self.name))
            .replace("{{roles}}", &roles.join(", "))
            .replace("{{quoted_roles}}", &quoted.join(", "))
            .replace("{{transports}}", &self.transports())
            .replace("{{asks}}", asks.trim_end());
        filled.trim_end().to_owned() + "\n"
    }

    fn wanted(&self) -> Vec<Wanted> {
        let device = self.roles.iter().any(|role| role.has_device());
        let device = device.then_some(("device", &["serial", "tcp"] as &[_]));
        let upstream = self.roles.contains(&Role::Sink).then_some(("upstream", &["http"] as &[_]));
        device.into_iter().chain(upstream).collect()
    }

    /// The transports by role, as the attribute of the settings has them.
    fn transports(&self) -> String {
        let one = |(role, kinds): &Wanted| format!("{role:?}: {{ \"kinds\": {kinds:?}, \"required\": true }}");
        self.wanted().iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What the settings' own test would write, in its order.
    fn schema(&self) -> String {
        let property = |(key, what, default): &(&str, &str, &str)| {
            let lines = [("description", *what), ("type", "string"), ("default", *default)];
            let lines = lines.map(|(key, value)| format!("      {key:?}: {}", serde_json::Value::from(value)));
            format!("    {key:?}: {{\n{}\n    }}", lines.join(",\n"))
        };
        // By name, as the settings' own test writes them.
        let mut properties = Vec::new();
        if self.roles.contains(&Role::Sink) {
            let what = "Where readings are posted to, below the upstream's base URL.";
            properties.push(("path", what, "/readings"));
        }
        if self.roles.iter().any(|role| *role != Role::Sink) {
            properties.push(("point", "The point's name.", "value"));
        }
        if self.roles.contains(&Role::Poller) {
            properties.push(("request", "What the device is asked with.", "READ\r\n"));
        }
        let properties: Vec<String> = properties.iter().map(property).collect();
        let transports: Vec<String> = self.wanted().iter().map(transport_schema).collect();
        let transports = match transports.is_empty() {
            true => "{}".to_owned(),
            false => format!("{{\n{}\n  }}", transports.join(",\n")),
        };
        let filled = self.filled(SCHEMA);
        filled.replace("{{properties}}", &properties.join(",\n")).replace("{{schema_transports}}", &transports)
    }

    /// What the script comes to.
    fn expected(&self) -> Result<String, AuthorError> {
        let bad =
            |error: serde_json::Error| AuthorError::BadProject(format!("the template of first.expected.json: {error}"));
        let mut expected: serde_json::Value = serde_json::from_str(&self.filled(EXPECTED)).map_err(bad)?;
        // The list ends in a null, so that each of its parts can end in a comma.
        expected["steps"].as_array_mut().and_then(Vec::pop);
        Ok(serde_json::to_string_pretty(&expected).map_err(bad)? + "\n")
    }
}

/// A transport of the schema: its role and kinds.
type Wanted = (&'static str, &'static [&'static str]);

fn transport_schema((role, kinds): &Wanted) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("        {kind:?}")).collect();
    format!("    {role:?}: {{\n      \"kinds\": [\n{}\n      ],\n      \"required\": true\n    }}", kinds.join(",\n"))
}

fn check_name(name: &str) -> Result<(), AuthorError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    match begins && name.len() <= NAME_MAX_BYTES && name.bytes().all(good) && !name.ends_with('-') {
        true => Ok(()),
        false => Err(AuthorError::BadName(name.into())),
    }
}

/// `WeighBridge` of `weigh-bridge`.
fn type_name(name: &str) -> String {
    let capital = |part: &str| {
        part.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(part.chars().skip(1)).collect::<String>()
    };
    name.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_with_their_roles() {
        let project = NewProject { name: "weigh-bridge".into(), roles: BTreeSet::from([Role::Poller]) };
        let lib = project.filled(LIB);
        assert!(lib.contains("impl Poller for WeighBridge") && !lib.contains("impl Sink"), "{lib}");
        assert!(lib.contains("export!(WeighBridge: poller);") && !lib.contains("{{"), "{lib}");
        for template in [CARGO, MANIFEST, README, TESTS, RUN, CASE] {
            let all = [Role::Poller, Role::Listener, Role::Writer, Role::Sink, Role::Responder];
            let project = NewProject { name: "x".into(), roles: BTreeSet::from(all) };
            assert!(!project.filled(template).contains("{{"), "{}", project.filled(template));
        }
    }

    #[test]
    fn a_name_is_one_of_a_crate_and_of_a_connection() {
        for bad in ["", "-x", "9x", "x-", "Press", "../x", "a b"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert!(check_name("weigh-bridge-2").is_ok());
    }
}
