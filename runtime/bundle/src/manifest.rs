//! What an adapter says about itself: the manifest in its file, checked before anybody shows or believes it.

use crate::section::custom_section;
use crate::{MANIFEST_SECTION, Surface};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The format of the manifest that this gateway reads.
pub const MANIFEST_FORMAT: u32 = 1;
/// The version of the WIT package that this gateway runs.
pub const WIT_VERSION: &str = "0.1.0";

/// Longest manifest, in bytes.
const MANIFEST_MAX_BYTES: usize = 64 << 10;
/// Longest text in it, in bytes.
const TEXT_MAX_BYTES: usize = 1024;
/// Longest id, in bytes.
const ID_MAX_BYTES: usize = 128;
/// Most default points.
const POINTS_MAX: usize = 1000;

/// Why an adapter asks for a capability, by the capability's name: `modbus`, `http`.
pub type Asks = BTreeMap<String, String>;

/// What an adapter says about itself. Its file's content, and only that, stands behind it: a signature vouches for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Who and what, the same for all versions: `maker/adapter`, of `a-z`, `0-9`, `-`, `_`, `.` around one `/`.
    pub id: String,
    /// Its version. A higher one replaces a lower one; never the other way round unasked.
    pub version: Version,
    /// What it does, in one sentence.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// Its licence, an SPDX expression.
    pub licence: String,
    /// The version of the package `bulkhead:adapter` that it speaks.
    pub wit: Version,
    /// Its roles; they are what its component exports.
    pub roles: BTreeSet<String>,
    /// Why it asks for each capability it imports that must be granted.
    #[serde(default)]
    pub asks: Asks,
    /// Points that it declares whatever its settings are; none for an adapter whose points come from its settings.
    #[serde(default)]
    pub points: Vec<DefaultPoint>,
}

/// A point that an adapter declares whatever its settings are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultPoint {
    /// Its name.
    pub name: String,
    /// The type of its values, as the WIT names it: `real`, `integer`, …
    pub kind: String,
    /// Its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Capabilities of the package that need a grant, and those that need none.
const ASKED_FOR: [&str; 5] = ["modbus", "serial", "tcp", "mqtt", "http"];

/// Whether an interface of the package needs a grant, and so a reason in the manifest.
#[must_use]
pub fn is_capability(interface: &str) -> bool {
    ASKED_FOR.contains(&interface)
}

const ROLES: [&str; 5] = ["poller", "listener", "writer", "sink", "responder"];
const KINDS: [&str; 9] = ["boolean", "integer", "real", "decimal", "text", "time", "duration", "bytes", "file"];

impl Manifest {
    /// The manifest in the bytes of an adapter file; none where it carries none.
    ///
    /// # Errors
    /// In words: the bytes are no component's, or what is wrong with the manifest.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(json) = custom_section(bytes, MANIFEST_SECTION)? else { return Ok(None) };
        Self::parse(json).map(Some).map_err(|cause| format!("its manifest: {cause}"))
    }

    /// Parses and checks a manifest's JSON.
    ///
    /// # Errors
    /// In words.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        if json.len() > MANIFEST_MAX_BYTES {
            return Err(format!("{} bytes, at most {MANIFEST_MAX_BYTES} are read", json.len()));
        }
        let format: Format = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if format.format != MANIFEST_FORMAT {
            return Err(format!("it has format {}, and this gateway reads format {MANIFEST_FORMAT}", format.format));
        }
        let manifest: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks names and lengths; that nothing in it can move a terminal's cursor.
    ///
    /// # Errors
    /// In words: which field is wrong and what was expected.
    pub fn check(&self) -> Result<(), String> {
        check_id(&self.id)?;
        for (field, text) in self.texts() {
            if text.len() > TEXT_MAX_BYTES || text.chars().any(char::is_control) {
                return Err(format!("{field}: expected at most {TEXT_MAX_BYTES} bytes without control characters"));
            }
        }
        for (field, text) in [("description", &self.description), ("author", &self.author), ("licence", &self.licence)]
        {
            if text.trim().is_empty() {
                return Err(format!("{field}: it is empty"));
            }
        }
        if self.roles.is_empty() {
            return Err("roles: expected at least one".into());
        }
        known("roles", self.roles.iter(), &ROLES)?;
        known("asks", self.asks.keys(), &ASKED_FOR)?;
        known("points: kind", self.points.iter().map(|point| &point.kind), &KINDS)?;
        match self.points.len() > POINTS_MAX {
            true => Err(format!("points: {} of them, expected at most {POINTS_MAX}", self.points.len())),
            false => Ok(()),
        }
    }

    /// Compares it with what the component really imports and exports.
    ///
    /// # Errors
    /// In words: a role it does not have, an import without a reason, a reason for what it does not import.
    pub fn check_against(&self, surface: &Surface) -> Result<(), String> {
        let roles = surface.roles();
        if self.roles != roles {
            return Err(format!("it says roles {}, and the component exports {}", list(&self.roles), list(&roles)));
        }
        let asked: BTreeSet<String> = surface.capabilities().into_iter().filter(|name| is_capability(name)).collect();
        let reasons: BTreeSet<String> = self.asks.keys().cloned().collect();
        if let Some(silent) = asked.difference(&reasons).next() {
            return Err(format!(
                "asks: the component imports {silent}, and no reason is given; add `{silent} = \"…\"`"
            ));
        }
        match reasons.difference(&asked).next() {
            Some(idle) => Err(format!("asks: a reason is given for {idle}, which the component does not import")),
            None => Ok(()),
        }
    }

    fn texts(&self) -> Vec<(&'static str, &str)> {
        let mut texts =
            vec![("description", self.description.as_str()), ("author", &self.author), ("licence", &self.licence)];
        texts.extend(self.asks.values().map(|reason| ("asks", reason.as_str())));
        for point in &self.points {
            texts.push(("points: name", &point.name));
            texts.extend(point.unit.as_deref().map(|unit| ("points: unit", unit)));
            texts.extend(point.description.as_deref().map(|text| ("points: description", text)));
        }
        texts
    }
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn check_id(id: &str) -> Result<(), String> {
    let good = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
    };
    match id.split_once('/') {
        Some((maker, name)) if id.len() <= ID_MAX_BYTES && good(maker) && good(name) => Ok(()),
        _ => Err(format!("id: found {id:?}, expected `maker/adapter` of a-z, 0-9, -, _ and .")),
    }
}

fn known<'a>(field: &str, mut found: impl Iterator<Item = &'a String>, known: &[&str]) -> Result<(), String> {
    match found.find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{field}: found {name:?}, expected one of {}", known.join(", "))),
        None => Ok(()),
    }
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() { "none".into() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn manifest(version: &str) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            id: "acme/press".into(),
            version: version.parse().unwrap(),
            description: "Reads a press.".into(),
            author: "Acme".into(),
            licence: "MIT".into(),
            wit: WIT_VERSION.parse().unwrap(),
            roles: BTreeSet::from(["poller".into()]),
            asks: Asks::from([("modbus".into(), "Reads the press.".into())]),
            points: Vec::new(),
        }
    }

    fn refusal(change: impl FnOnce(&mut Manifest)) -> String {
        let mut changed = manifest("1.0.0");
        change(&mut changed);
        Manifest::parse(&serde_json::to_vec(&changed).unwrap()).unwrap_err()
    }

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let written = manifest("1.2.3");
        assert_eq!(Manifest::parse(&serde_json::to_vec(&written).unwrap()), Ok(written));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        assert!(refusal(|m| m.format = 2).contains("format 2"));
        assert!(refusal(|m| m.id = "press".into()).contains("maker/adapter"));
        assert!(refusal(|m| m.author = " ".into()).contains("author"));
        assert!(refusal(|m| m.description = "\u{1b}[2J".into()).contains("control"));
        assert!(refusal(|m| _ = m.roles.insert("printer".into())).contains("\"printer\""));
        assert!(refusal(|m| _ = m.asks.insert("files".into(), "x".into())).contains("\"files\""));
        assert!(refusal(|m| m.roles.clear()).contains("at least one"));
        assert!(Manifest::parse(&vec![b' '; MANIFEST_MAX_BYTES + 1]).unwrap_err().contains("at most"));
    }

    #[test]
    fn roles_and_reasons_are_held_against_the_component() {
        let surface = |imports: &[&str], exports: &[&str]| Surface {
            imports: imports.iter().map(|name| format!("bulkhead:adapter/{name}@0.1.0")).collect(),
            exports: exports.iter().map(|name| format!("bulkhead:adapter/{name}@0.1.0")).collect(),
        };
        let manifest = manifest("1.0.0");
        let fits = surface(&["types", "points", "log", "modbus"], &["adapter", "poller"]);
        assert_eq!(manifest.check_against(&fits), Ok(()));
        let more = surface(&["modbus", "http"], &["adapter", "poller"]);
        assert!(manifest.check_against(&more).unwrap_err().contains("imports http"));
        let less = surface(&[], &["adapter", "poller"]);
        assert!(manifest.check_against(&less).unwrap_err().contains("does not import"));
        let other = surface(&["modbus"], &["adapter", "sink"]);
        assert!(manifest.check_against(&other).unwrap_err().contains("exports sink"));
    }
}
