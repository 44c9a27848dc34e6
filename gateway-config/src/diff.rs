//! What differs between two configs: the list of what a reload has to stop, start and change.

use crate::Config;
use std::collections::BTreeMap;
use std::fmt;

/// One difference between two configs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// A global section differs.
    Section(Section),
    /// A connection differs, by name.
    Connection(String, Edit),
    /// A route differs, by name.
    Route(String, Edit),
}

/// A global section of the config.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Section {
    /// `[gateway]`
    Gateway,
    /// `[logging]`
    Logging,
    /// `[sandbox]`
    Sandbox,
    /// `[api]`
    Api,
    /// `[security]`
    Security,
    /// `[log]`
    Log,
    /// `[health]`
    Health,
    /// `[tap]`
    Tap,
}

/// How a named part differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Edit {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is there in both, with other content.
    Changed,
}

/// What differs, sections first, then connections, then routes, each by name. Empty when nothing differs.
///
/// A change of the config file's place alone is a change of no part, although relative paths then mean other files.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let sections = [
        (Section::Gateway, old.gateway != new.gateway),
        (Section::Logging, old.logging != new.logging),
        (Section::Sandbox, old.sandbox != new.sandbox),
        (Section::Api, old.api != new.api),
        (Section::Security, old.security != new.security),
        (Section::Log, old.log != new.log),
        (Section::Health, old.health != new.health),
        (Section::Tap, old.tap != new.tap),
    ];
    let sections = sections.into_iter().filter(|(_, differs)| *differs).map(|(section, _)| Change::Section(section));
    let connections = edits(&old.connections, &new.connections);
    let routes = edits(&old.routes, &new.routes);
    sections
        .chain(connections.into_iter().map(|(name, edit)| Change::Connection(name, edit)))
        .chain(routes.into_iter().map(|(name, edit)| Change::Route(name, edit)))
        .collect()
}

fn edits<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> BTreeMap<String, Edit> {
    let removed = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Edit::Removed));
    let others = new.iter().filter_map(|(name, part)| match old.get(name) {
        None => Some((name.clone(), Edit::Added)),
        Some(before) if before != part => Some((name.clone(), Edit::Changed)),
        Some(_) => None,
    });
    removed.chain(others).collect()
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Section::Gateway => "gateway",
            Section::Logging => "logging",
            Section::Sandbox => "sandbox",
            Section::Api => "api",
            Section::Security => "security",
            Section::Log => "log",
            Section::Health => "health",
            Section::Tap => "tap",
        })
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Edit::Added => "added",
            Edit::Removed => "removed",
            Edit::Changed => "changed",
        })
    }
}

/// Such as `connections.boiler changed`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Section(section) => write!(f, "{section} changed"),
            Change::Connection(name, edit) => write!(f, "connections.{name} {edit}"),
            Change::Route(name, edit) => write!(f, "routes.{name} {edit}"),
        }
    }
}
