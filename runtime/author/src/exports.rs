//! What a project in JavaScript or Python exports, held against the roles of its `adapter.toml`. The tools of these languages
//! make a component of every role in the world, and what the source lacks would trap when it is asked for.

use crate::error::AuthorError;
use crate::foreign;
use crate::language::Language;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

const JAVASCRIPT: &str = include_str!("exports/javascript.mjs");
const PYTHON: &str = include_str!("exports/python.py");

/// The functions of each role, with what they take.
const FUNCTIONS: [(&str, &[(&str, &str)]); 6] = [
    ("adapter", &[("start", "settings"), ("check", ""), ("stop", "")]),
    ("poller", &[("poll", "group")]),
    ("listener", &[("receive", "transport, frames")]),
    ("writer", &[("write", "commands")]),
    ("sink", &[("deliver", "batch")]),
    ("responder", &[("respond", "request")]),
];

/// What a look at the source brought.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Found {
    /// What is not there.
    Missing(Vec<Missing>),
    /// It is no source, or imports what is not there: its tool says so.
    Unreadable(#[expect(dead_code, reason = "the tool has better words for it")] String),
}

/// A role that is not exported, or a function that a role lacks.
#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Missing {
    export: String,
    function: Option<String>,
}

/// Checks that a source exports `adapter` and each role, with their functions. Rust and C say it themselves when they link.
///
/// # Errors
/// [`AuthorError::BadProject`]: what is missing, and what to add; [`AuthorError::NoTool`].
pub(crate) fn check(language: Language, folder: &Path, roles: &[String]) -> Result<(), AuthorError> {
    let program = match language {
        Language::Rust | Language::C => return Ok(()),
        Language::JavaScript => foreign::node(folder)?,
        Language::Python => foreign::python_of(folder)?,
    };
    match look(language, &program, folder, roles)? {
        Found::Missing(missing) => match missing.first() {
            Some(first) => Err(AuthorError::BadProject(advice(language, first))),
            None => Ok(()),
        },
        Found::Unreadable(_) => Ok(()),
    }
}

fn look(language: Language, program: &Path, folder: &Path, roles: &[String]) -> Result<Found, AuthorError> {
    let wanted: BTreeMap<String, Vec<&str>> = FUNCTIONS
        .iter()
        .filter(|(name, _)| *name == "adapter" || roles.iter().any(|role| role == name))
        .map(|(name, functions)| (exported(language, name), functions.iter().map(|(one, _)| *one).collect()))
        .collect();
    let asked = json!({ "entry": folder.join(language.entry()), "wanted": wanted }).to_string();
    let mut tool = Command::new(program);
    match language {
        Language::Python => tool.args(["-I", "-c", PYTHON]).arg(asked),
        _ => {
            tool.args([
                "--no-warnings",
                "--experimental-vm-modules",
                "--input-type=module",
                "--eval",
                JAVASCRIPT,
                "--",
            ]);
            tool.arg(asked)
        }
    };
    let output = tool.current_dir(folder).stdin(Stdio::null()).output().map_err(AuthorError::file(program))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let (program, entry) = (program.display(), language.entry());
        AuthorError::BadProject(format!("{program} cannot be asked what {entry} exports: {}", said.trim_end()))
    })
}

/// The name under which a role is exported: `poller`, and `Poller` in Python.
fn exported(language: Language, role: &str) -> String {
    match language {
        Language::Python => role.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(role.chars().skip(1)).collect(),
        _ => role.to_owned(),
    }
}

/// What is missing, and the lines to add.
fn advice(language: Language, missing: &Missing) -> String {
    let (entry, export) = (language.entry(), &missing.export);
    let functions = FUNCTIONS.iter().find(|(role, _)| exported(language, role) == *export);
    let functions = functions.map_or(&[] as &[_], |(_, functions)| functions);
    let of = |wanted: Option<&str>| {
        let wanted = functions.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
        wanted.map(|(name, takes)| definition(language, name, takes)).collect::<Vec<_>>().join(", ")
    };
    match (language, missing.function.as_deref()) {
        (Language::Python, None) => {
            format!("{entry} has no class {export}: add @guarded class {export} with {}", of(None))
        }
        (Language::Python, Some(name)) => {
            format!("{entry}: the class {export} has no method {name}: add {}", of(Some(name)))
        }
        (_, None) => {
            format!("{entry} does not export {export}: add export const {export} = guarded({{ {} }})", of(None))
        }
        (_, Some(name)) => format!("{entry}: {export} has no function {name}: add {} to it", of(Some(name))),
    }
}

fn definition(language: Language, name: &str, takes: &str) -> String {
    match (language, takes) {
        (Language::Python, "") => format!("def {name}(self)"),
        (Language::Python, takes) => format!("def {name}(self, {takes})"),
        (_, takes) => format!("{name}({takes}) {{ … }}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::Assets;
    use crate::{NewProject, Role};

    const ALL: [Role; 5] = [Role::Poller, Role::Listener, Role::Writer, Role::Sink, Role::Responder];

    fn names(roles: &[Role]) -> Vec<String> {
        roles.iter().map(|role| role.name().to_owned()).collect()
    }

    /// What the check says of a new project with these roles, whose entry was changed, when `adapter.toml` has all of `promised`.
    fn said(language: Language, roles: &[Role], promised: &[Role], change: impl Fn(String) -> String) -> String {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("x");
        NewProject { name: "x".into(), roles: roles.iter().copied().collect(), language }.write(&at).unwrap();
        let entry = at.join(language.entry());
        std::fs::write(&entry, change(std::fs::read_to_string(&entry).unwrap())).unwrap();
        check(language, &at, &names(promised)).map_or_else(|error| error.to_string(), |()| "good".into())
    }

    #[test]
    fn every_function_of_the_roles_is_known() {
        let assets = Assets::unpacked().unwrap();
        let mut known: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut interface = "";
        for line in assets.text("wit/roles.wit").unwrap().lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("interface ").and_then(|rest| rest.split(' ').next()) {
                interface = name;
            } else if let Some((name, _)) = line.split_once(": func(") {
                known.entry(interface).or_default().push(name);
            }
        }
        let ours = FUNCTIONS.map(|(role, functions)| (role, functions.iter().map(|(name, _)| *name).collect()));
        assert_eq!(known, BTreeMap::from(ours));
    }

    #[test]
    fn new_projects_export_what_they_promise() {
        for language in [Language::JavaScript, Language::Python] {
            for roles in [&ALL[..], &ALL[..1], &ALL[3..4], &ALL[4..]] {
                assert_eq!(said(language, roles, roles, |text| text), "good", "{language:?} {roles:?}");
            }
        }
    }

    #[test]
    fn what_javascript_lacks_is_named_with_what_to_add() {
        let js = |promised, change: &dyn Fn(String) -> String| said(Language::JavaScript, &ALL[..1], promised, change);
        let poller = "adapter.js does not export poller: add export const poller = guarded({ poll(group) { … } })";
        assert_eq!(js(&ALL[..1], &|text| text.replace("export const poller", "const poller")), poller);
        let writer = "adapter.js does not export writer: add export const writer = guarded({ write(commands) { … } })";
        assert_eq!(js(&[Role::Poller, Role::Writer], &|text| text), writer);
        let poll = "adapter.js: poller has no function poll: add poll(group) { … } to it";
        assert_eq!(js(&ALL[..1], &|text| text.replace("poll(group)", "pull(group)")), poll);
        // The names are known even where the top of the module needs what only a gateway has.
        let needs = |text: String| text.replace("export const poller", "declare([]).first;\nconst poller");
        assert_eq!(js(&ALL[..1], &needs), poller);
        let fine: [&dyn Fn(String) -> String; 5] = [
            &|text| text.replace("export const poller", "const poller") + "export { poller };",
            &|text| text.replace("export const poller", "const own") + "export default { poller: own };",
            &|text| text.replace("export const poller", "declare([]).first;\nexport const poller"),
            &|text| text.replace("export const poller", "await new Promise(() => {});\nexport const poller"),
            // componentize-qjs says what is wrong with it.
            &|text| text + "}",
        ];
        for (index, change) in fine.iter().enumerate() {
            assert_eq!(js(&ALL[..1], change), "good", "{index}");
        }
    }

    #[test]
    fn what_python_lacks_is_named_with_what_to_add() {
        let python = |promised, change: &dyn Fn(String) -> String| said(Language::Python, &ALL[..1], promised, change);
        let class = "adapter.py has no class Poller: add @guarded class Poller with def poll(self, group)";
        assert_eq!(python(&ALL[..1], &|text| text.replace("class Poller", "class Pollers")), class);
        let method = "adapter.py: the class Poller has no method poll: add def poll(self, group)";
        assert_eq!(python(&ALL[..1], &|text| text.replace("def poll(", "def pull(")), method);
        assert!(python(&[Role::Poller, Role::Sink], &|text| text).contains("has no class Sink"));
        let stop = "adapter.py: the class Adapter has no method stop: add def stop(self)";
        assert_eq!(python(&ALL[..1], &|text| text.replace("def stop(", "def halt(")), stop);
        let fine: [&dyn Fn(String) -> String; 8] = [
            &|text| text.replace("def poll(", "def pull(") + "Poller.poll = Poller.pull\n",
            &|text| text.replace("class Poller:", "class Own:") + "if True:\n    from elsewhere import Poller\n",
            &|text| text.replace("def poll(", "def pull(") + "setattr(Poller, 'poll', Poller.pull)\n",
            &|text| text.replace("@guarded\nclass Poller:", "class Base:") + "class Poller(Base):\n    pass\n",
            &|text| text.replace("@guarded\nclass Poller:", "class Own:") + "Poller = Own\n",
            &|text| text.replace("class Poller:", "class Own:") + "from elsewhere import Poller\n",
            &|text| text.replace("class Poller:", "class Own:") + "from elsewhere import *\n",
            // componentize-py says what is wrong with it.
            &|text| text + "class",
        ];
        for (index, change) in fine.iter().enumerate() {
            assert_eq!(python(&ALL[..1], change), "good", "{index}");
        }
    }
}
