//! What a template's parts and words become, by roles and language: which parts stay, what is imported, how things are called.

use crate::language::Language;
use crate::new_project::Role;
use std::collections::BTreeSet;

/// Whether a part of a template stays: a role's name where the adapter has it, and
/// - `device`: it needs a line; `request`: and sends on it;
/// - `readings`: it brings some; `point`: it has a point, as all do but a sink alone; `no_point`, `readonly` (it is not written to);
/// - `responder_only`: a responder that is no listener.
pub(crate) fn has(part: &str, roles: &BTreeSet<Role>) -> bool {
    let any = |wanted: &[Role]| wanted.iter().any(|role| roles.contains(role));
    let point = roles.iter().any(|role| *role != Role::Sink);
    match part {
        "device" => roles.iter().any(|role| role.has_device()),
        "request" => any(&[Role::Poller, Role::Writer]),
        "point" => point,
        "no_point" => !point,
        "readonly" => point && !roles.contains(&Role::Writer),
        "readings" => any(&[Role::Poller, Role::Listener, Role::Responder]),
        "responder_only" => any(&[Role::Responder]) && !any(&[Role::Listener]),
        part => roles.iter().any(|role| role.name() == part),
    }
}

/// What an adapter imports of its SDK.
pub(crate) fn of_the_sdk(language: Language, roles: &BTreeSet<Role>) -> String {
    let names: &[(&str, &str)] = match language {
        Language::JavaScript => &[
            ("sends", "bytes"),
            ("any", "fault"),
            ("any", "guarded"),
            ("point", "point"),
            ("readings", "reading"),
            ("writer", "result"),
            ("any", "settingsWith"),
            ("readings", "text"),
        ],
        Language::Python => &[
            ("any", "fault"),
            ("any", "guarded"),
            ("point", "point"),
            ("readings", "reading"),
            ("writer", "result"),
            ("any", "settings_with"),
        ],
        Language::Rust | Language::C => &[],
    };
    listed(names, roles)
}

/// What an adapter in Python imports of the types.
pub(crate) fn python_types(roles: &BTreeSet<Role>) -> String {
    let names = [
        ("listener", "FrameKind"),
        ("point", "Kind"),
        ("sink", "Outcome"),
        ("any", "Remedy"),
        ("responder", "Reply"),
        ("real", "Value_Real"),
        ("writer", "WriteLimits"),
    ];
    listed(&names, roles)
}

fn listed(names: &[(&str, &str)], roles: &BTreeSet<Role>) -> String {
    let is_used = |part: &str| match part {
        "any" => true,
        "sends" => has("request", roles) || has("sink", roles),
        "real" => has("readings", roles) || has("writer", roles),
        part => has(part, roles),
    };
    let used: Vec<&str> = names.iter().filter(|(part, _)| is_used(part)).map(|(_, name)| *name).collect();
    used.join(", ")
}

/// What people call it.
pub(crate) fn name(language: Language) -> &'static str {
    match language {
        Language::Rust => "Rust",
        Language::JavaScript => "JavaScript",
        Language::Python => "Python",
        Language::C => "C",
    }
}

/// The file that names the project's packages.
pub(crate) fn packages(language: Language) -> &'static str {
    match language {
        Language::Rust => "Cargo.toml",
        Language::JavaScript => "package.json",
        Language::Python | Language::C => "requirements.txt",
    }
}
