//! A new project: a small adapter that builds, its tests, a script for the sandbox, a config to run it with, and the SDK.

use crate::assets::Assets;
use crate::error::AuthorError;
use crate::language::Language;
use crate::sdk::{self, write};
use crate::{foreign, words};
use std::collections::BTreeSet;
use std::path::Path;

/// What a new project keeps out of its repository: what is built, what others wrote, and keys that sign.
const IGNORED: &str = "/target\n/dist\n/data\n/node_modules\n/.venv\n__pycache__\n*.key\n";

/// The maker in a new project's id, for its author to replace.
pub const PLACEHOLDER_MAKER: &str = "example";
/// A new project's author, to be replaced as well.
pub const PLACEHOLDER_AUTHOR: &str = "Your name";

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
    pub(crate) fn has_device(self) -> bool {
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
    /// The language it is written in.
    pub language: Language,
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
        let assets = Assets::unpacked()?;
        for (name, template) in self.files() {
            write(&folder.join(name), &self.filled(assets.text(&format!("templates/{template}.in"))?))?;
        }
        write(&folder.join("settings.schema.json"), &self.schema(assets.text("templates/every/schema.json.in")?))?;
        let expected = self.expected(assets.text("templates/every/expected.json.in")?)?;
        write(&folder.join("cases/first.expected.json"), &expected)?;
        write(&folder.join(".gitignore"), IGNORED)?;
        if self.language == Language::Rust {
            // The versions that the adapters beside the SDK are built and tested with.
            write(&folder.join("Cargo.lock"), assets.text("parts/Cargo.lock")?)?;
        }
        sdk::write_into(folder, self.language)
    }

    /// The project's files, and the templates they are made of.
    fn files(&self) -> Vec<(&'static str, &'static str)> {
        let mut files = vec![("run.toml", "every/run.toml"), ("cases/first.toml", "every/case.toml")];
        files.extend_from_slice(match self.language {
            Language::Rust => &[
                ("Cargo.toml", "rust/Cargo.toml"),
                ("adapter.toml", "rust/adapter.toml"),
                ("README.md", "rust/README.md"),
                ("src/lib.rs", "rust/lib.rs"),
                ("tests/adapter.rs", "rust/tests.rs"),
            ],
            Language::JavaScript => &[("adapter.js", "js/adapter.js"), ("package.json", "js/package.json")],
            Language::Python => &[("adapter.py", "python/adapter.py"), ("requirements.txt", "python/requirements.txt")],
            Language::C => &[("adapter.c", "c/adapter.c"), ("requirements.txt", "c/requirements.txt")],
        });
        if self.language != Language::Rust {
            files.extend([("adapter.toml", "foreign/adapter.toml"), ("README.md", "foreign/README.md")]);
        }
        files
    }

    /// A template with its conditional parts chosen and its words filled in. `{{#poller}}` to `{{/poller}}`, each on a line
    /// of its own, stays where the adapter has the role; the other parts' names stand in [`words::has`].
    fn filled(&self, template: &str) -> String {
        let has = |part: &str| words::has(part, &self.roles);
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
            .replace("{{maker}}", PLACEHOLDER_MAKER)
            .replace("{{author}}", PLACEHOLDER_AUTHOR)
            .replace("{{crate}}", &self.name.replace('-', "_"))
            .replace("{{Type}}", &type_name(&self.name))
            .replace("{{roles}}", &roles.join(", "))
            .replace("{{quoted_roles}}", &quoted.join(", "))
            .replace("{{transports}}", &self.transports())
            .replace("{{sdk}}", &words::of_the_sdk(self.language, &self.roles))
            .replace("{{types}}", &words::python_types(&self.roles))
            .replace("{{language}}", words::name(self.language))
            .replace("{{install}}", self.language.install().unwrap_or_default())
            .replace("{{entry}}", self.language.entry())
            .replace("{{packages}}", words::packages(self.language))
            .replace("{{componentize_qjs}}", foreign::COMPONENTIZE_QJS)
            .replace("{{componentize_py}}", foreign::COMPONENTIZE_PY)
            .replace("{{ziglang}}", foreign::ZIGLANG)
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
    fn schema(&self, template: &str) -> String {
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
        let filled = self.filled(template);
        filled.replace("{{properties}}", &properties.join(",\n")).replace("{{schema_transports}}", &transports)
    }

    /// What the script comes to.
    fn expected(&self, template: &str) -> Result<String, AuthorError> {
        let bad =
            |error: serde_json::Error| AuthorError::BadProject(format!("the template of first.expected.json: {error}"));
        let mut expected: serde_json::Value = serde_json::from_str(&self.filled(template)).map_err(bad)?;
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

    fn project(name: &str, roles: &[Role], language: Language) -> NewProject {
        NewProject { name: name.into(), roles: roles.iter().copied().collect(), language }
    }

    #[test]
    fn parts_stay_with_their_roles() {
        let assets = Assets::unpacked().unwrap();
        let project = project("weigh-bridge", &[Role::Poller], Language::Rust);
        let lib = project.filled(assets.text("templates/rust/lib.rs.in").unwrap());
        assert!(lib.contains("impl Poller for WeighBridge") && !lib.contains("impl Sink"), "{lib}");
        assert!(lib.contains("export!(WeighBridge: poller);") && !lib.contains("{{"), "{lib}");
    }

    #[test]
    fn nothing_of_a_template_is_left_in_a_project() {
        let all = [Role::Poller, Role::Listener, Role::Writer, Role::Sink, Role::Responder];
        for language in Language::ALL {
            for roles in [&all[..], &all[..1], &all[3..4], &all[4..]] {
                let folder = tempfile::tempdir().unwrap();
                let at = folder.path().join("x");
                project("x", roles, language).write(&at).unwrap();
                let entry = if language == Language::Rust { "src/lib.rs" } else { language.entry() };
                for file in [entry, "adapter.toml", "README.md", "run.toml", "cases/first.toml", "settings.schema.json"]
                {
                    let text = std::fs::read_to_string(at.join(file)).unwrap();
                    assert!(!text.contains("{{"), "{language:?} {file}: {text}");
                }
                assert_eq!(Language::of(&at).unwrap(), language);
                // A key that signs is made beside what it signs, and nobody commits it by mistake.
                let ignored = std::fs::read_to_string(at.join(".gitignore")).unwrap();
                assert!(ignored.lines().any(|line| line == "*.key"), "{ignored}");
                let manifest = std::fs::read_to_string(at.join("adapter.toml")).unwrap();
                let (id, author) =
                    (format!("id = \"{PLACEHOLDER_MAKER}/x\""), format!("author = \"{PLACEHOLDER_AUTHOR}\""));
                assert!(manifest.contains(&id) && manifest.contains(&author), "{manifest}");
                assert!(at.join("bulkhead/wit/types.wit").is_file());
            }
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
